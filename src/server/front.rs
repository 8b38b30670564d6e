//! The S3 front behind authentication, as the edge calls it.

use std::sync::Arc;

use http::{Request, Response};
use storage_engine::backend::Backend;

use crate::auth::{Authenticator, RootCredentials, SecretKey};
use crate::config::Config;
use crate::config::credentials::Root;
use crate::http::body::{self, Body, RequestBody};
use crate::http::edge::{Answering, Front};
use crate::http::error::document;
use crate::http::request_id::RequestId;

/// Authentication first, then S3, over one backend.
pub(super) fn s3(
    config: &Config,
    root: &Root,
    _backend: Arc<dyn Backend>,
    host_id: &str,
) -> Result<Arc<Front>, getrandom::Error> {
    let secret = SecretKey::new(root.password.expose().as_bytes());
    let credentials = Arc::new(RootCredentials::new(root.user.clone(), secret));
    let authenticator = Arc::new(Authenticator::new(credentials, config.region.clone())?);
    let host_id: Arc<str> = Arc::from(host_id);
    Ok(Arc::new(move |request: Request<RequestBody>| -> Answering {
        let authenticator = Arc::clone(&authenticator);
        let host_id = Arc::clone(&host_id);
        Box::pin(async move { answer(&authenticator, request, &host_id) })
    }))
}

fn answer(authenticator: &Authenticator, request: Request<RequestBody>, host_id: &str) -> Response<Body> {
    let path = request.uri().path().to_owned();
    let Some(id) = request.extensions().get::<RequestId>().copied() else {
        return Response::new(body::empty());
    };
    match authenticator.authenticate(request) {
        Ok(_authenticated) => document(
            http::StatusCode::NOT_IMPLEMENTED,
            "NotImplemented",
            "S3 operations are not part of this build yet.",
            &path,
            id,
            host_id,
        ),
        Err(error) => error.to_response(&path, &id.to_string()).map(body::full),
    }
}
