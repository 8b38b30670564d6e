//! The one place from which the server calls addresses that applications named: receivers of webhooks, files to fetch.
//!
//! Owns which addresses may be called, and that the address that was judged is the one that is connected to. It knows no
//! proxy, keeps no connection and no cookie, and follows a redirect only where it is asked to, judging each hop as the
//! first address was. What a server answers is bounded in time and size.

mod address;
mod dial;
mod fetch;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use url::{Host, Url};

use self::address::may_be_called;
use self::dial::{Dialer, LookUp};
pub use self::fetch::{Fetched, Patience};
use crate::http::body::{self, Body};
use crate::http::trust;
use crate::policy::Network;

/// Bytes of an address.
pub const URL_BYTES_MAX: usize = 2_048;
/// What the server calls itself.
const USER_AGENT: &str = "Drystone";

/// What an operator lets the server call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Networks that may be called although they are not public.
    pub networks: Vec<Network>,
    /// Whether it may call without TLS.
    pub plain_http: bool,
}

/// Why nothing came of a call.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OutboundError {
    #[error("The address is not valid: {0}.")]
    Url(&'static str),
    /// It leads into a network that is not public. Which one is not told.
    #[error("The address leads to where this server does not call.")]
    Forbidden,
    /// No connection, or one that broke. Why, for the log.
    #[error("The other server cannot be reached.")]
    Unreachable(String),
    /// Its certificate is not one that is believed, or is for another name. Why, for the log.
    #[error(
        "The other server's certificate is not believed: it is of nobody that this server trusts, for another name, or over."
    )]
    Certificate(String),
    #[error("The other server did not answer in time.")]
    TimedOut,
    #[error("The other server redirected more often than is followed.")]
    Redirects,
    #[error("The other server answered {0}.")]
    Status(StatusCode),
    #[error("The other server sent an encoded body that was not asked for.")]
    Encoded,
}

impl OutboundError {
    /// The one at the root of `error`, however deep it was wrapped.
    pub fn find<'e>(error: &'e (dyn std::error::Error + 'static)) -> Option<&'e Self> {
        causes(error).find_map(|error| error.downcast_ref::<Self>())
    }

    /// Of whatever a client ran into: what was said below, if it was said here.
    fn of(error: &(dyn std::error::Error + 'static)) -> Self {
        if let Some(own) = Self::find(error) {
            return own.clone();
        }
        let said: Vec<String> = causes(error).map(ToString::to_string).collect();
        let said = said.join(": ");
        match causes(error).any(is_of_certificate) {
            true => Self::Certificate(said),
            false => Self::Unreachable(said),
        }
    }
}

/// Whether a handshake ended because of the certificate that was shown. An error of the system's keeps what it is about
/// inside, and that may be another one.
fn is_of_certificate(error: &(dyn std::error::Error + 'static)) -> bool {
    if let Some(tls) = error.downcast_ref::<rustls::Error>() {
        return matches!(tls, rustls::Error::InvalidCertificate(_));
    }
    let inside = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    inside.is_some_and(|inside| is_of_certificate(inside))
}

fn causes<'e>(
    error: &'e (dyn std::error::Error + 'static),
) -> impl Iterator<Item = &'e (dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error), |error| error.source())
}

/// A whole answer.
#[derive(Debug)]
pub struct Answered {
    pub status: StatusCode,
    /// Its first bytes; what is more was not read.
    pub body: Bytes,
}

/// Calls other servers. Clones are the same.
#[derive(Clone)]
pub struct Outbound {
    client: Client<HttpsConnector<Dialer>, Body>,
    networks: Arc<[Network]>,
    plain_http: bool,
}

impl Outbound {
    /// Trusts whom the machine trusts, and the operator's own authorities in these folders of certificates.
    pub fn new(rules: Rules, certs_dirs: &[PathBuf]) -> Result<Self, rustls::Error> {
        Ok(Self::with(rules, dial::system(), trust::of_machine_and(certs_dirs)?))
    }

    fn with(rules: Rules, look_up: LookUp, tls: rustls::ClientConfig) -> Self {
        let networks: Arc<[Network]> = rules.networks.into();
        let dialer = Dialer {
            look_up,
            named: Arc::clone(&networks),
        };
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .wrap_connector(dialer);
        Self {
            // A connection that is kept would be used without its address being judged again.
            client: Client::builder(TokioExecutor::new())
                .pool_max_idle_per_host(0)
                .build(connector),
            networks,
            plain_http: rules.plain_http,
        }
    }

    /// The address as it is called, if it can be: what it leads to by name is judged when it is called.
    pub fn check(&self, text: &str) -> Result<Url, OutboundError> {
        if text.len() > URL_BYTES_MAX {
            return Err(OutboundError::Url("it has more than 2,048 bytes"));
        }
        let url = Url::parse(text).map_err(|_| OutboundError::Url("it is no URL"))?;
        self.judge(&url)?;
        Ok(url)
    }

    fn judge(&self, url: &Url) -> Result<(), OutboundError> {
        match url.scheme() {
            "https" => {}
            "http" if self.plain_http => {}
            "http" => return Err(OutboundError::Url("it must begin with https://")),
            _ => return Err(OutboundError::Url("it must begin with https:// or http://")),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(OutboundError::Url("it names a user"));
        }
        let may_be_called = |address| may_be_called(address, &self.networks);
        match url.host() {
            Some(Host::Ipv4(v4)) if !may_be_called(v4.into()) => Err(OutboundError::Forbidden),
            Some(Host::Ipv6(v6)) if !may_be_called(v6.into()) => Err(OutboundError::Forbidden),
            Some(_) => Ok(()),
            None => Err(OutboundError::Url("it names no host")),
        }
    }

    /// Posts a body, and reads at most `answer_bytes` of what is answered, all within `time`. A redirect is an answer as
    /// every other; it is not followed.
    pub async fn post(
        &self,
        url: &Url,
        (headers, body): (HeaderMap, Bytes),
        within: (Duration, usize),
    ) -> Result<Answered, OutboundError> {
        self.send(url, (headers, body::full(body)), within).await
    }

    /// As [`Self::post`], of a body that comes in pieces.
    pub async fn send(
        &self,
        url: &Url,
        (headers, body): (HeaderMap, Body),
        (time, answer_bytes): (Duration, usize),
    ) -> Result<Answered, OutboundError> {
        let calling = async {
            self.judge(url)?;
            let mut request = Request::post(uri(url)?).body(body).map_err(|_| no_request())?;
            *request.headers_mut() = headers;
            let (parts, body) = self.call(request).await?.into_parts();
            // Whatever is wrong with the rest of an answer, the request was taken.
            let body = Limited::new(body, answer_bytes).collect().await;
            Ok(Answered {
                status: parts.status,
                body: body.map(|body| body.to_bytes()).unwrap_or_default(),
            })
        };
        let called = tokio::time::timeout(time, calling).await;
        called.unwrap_or(Err(OutboundError::TimedOut))
    }

    async fn call(&self, mut request: Request<Body>) -> Result<Response<Incoming>, OutboundError> {
        let name = http::HeaderValue::from_static(USER_AGENT);
        request.headers_mut().insert(http::header::USER_AGENT, name);
        let called = self.client.request(request).await;
        called.map_err(|error| OutboundError::of(&error))
    }
}

fn uri(url: &Url) -> Result<Uri, OutboundError> {
    let mut url = url.clone();
    url.set_fragment(None);
    url.as_str().parse().map_err(|_| no_request())
}

fn no_request() -> OutboundError {
    OutboundError::Url("no request can be made of it")
}
