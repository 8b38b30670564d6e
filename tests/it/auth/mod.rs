//! Authentication, from outside: requests as clients send them, and what reaches the routes.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

mod chunks;
mod mutations;
mod refusals;
mod timing;
mod vectors;
mod wiring;

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use drystone::auth::sign::Signer;
use drystone::auth::{AuthBody, AuthError, Authenticated, Authenticator, BodyError, RootCredentials, SecretKey};
use http::Request;
use http_body::Body;
use http_body_util::Full;
use time::OffsetDateTime;
use time::macros::datetime;

const ACCESS_KEY: &str = "AKIAIOSFODNN7EXAMPLE";
const SECRET_KEY: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
const NOW: OffsetDateTime = datetime!(2013-05-24 00:00:00 UTC);

fn authenticator(site_region: Option<&str>) -> Authenticator {
    let root = RootCredentials::new(ACCESS_KEY, SecretKey::new(SECRET_KEY));
    Authenticator::new(Arc::new(root), site_region.map(str::to_owned)).unwrap()
}

fn signer() -> Signer {
    Signer::new(ACCESS_KEY, SecretKey::new(SECRET_KEY), "us-east-1")
}

/// A request with the body's length declared, unless the headers say otherwise.
fn request(method: &str, uri: &str, headers: &[(&str, &str)], body: &[u8]) -> Request<Full<Bytes>> {
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Full::new(Bytes::copy_from_slice(body))).unwrap()
}

fn authenticate(request: Request<Full<Bytes>>) -> Result<Authenticated, AuthError> {
    authenticator(None).authenticate_at(request, NOW)
}

/// Everything the body gives out, or the error it ends in. Never waits: the sources of these tests are always ready.
fn read(body: AuthBody) -> Result<Vec<u8>, BodyError> {
    match read_on(body) {
        (bytes, None) => Ok(bytes),
        (_, Some(error)) => Err(error),
    }
}

/// Everything the body gives out before it ends, and the error it ends in.
fn read_on(body: AuthBody) -> (Vec<u8>, Option<BodyError>) {
    let mut body = pin!(body);
    let mut bytes = Vec::new();
    loop {
        let mut frame = pin!(poll_fn(|cx| body.as_mut().poll_frame(cx)));
        match frame.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Pending => panic!("the source is always ready"),
            Poll::Ready(None) => return (bytes, None),
            Poll::Ready(Some(Ok(frame))) => bytes.extend_from_slice(&frame.into_data().unwrap()),
            Poll::Ready(Some(Err(error))) => return (bytes, Some(*error.downcast::<BodyError>().unwrap())),
        }
    }
}

/// The S3 code a request ends in, whether its head or its body is refused; the body if it is accepted.
fn outcome(request: Request<Full<Bytes>>) -> Result<Vec<u8>, &'static str> {
    let authenticated = authenticate(request).map_err(|error| error.code())?;
    read(authenticated.request.into_body()).map_err(|error| error.code())
}
