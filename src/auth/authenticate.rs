//! The order of the checks on one request, and the clean request that comes out of them.

use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use http_body::Body;
use time::OffsetDateTime;

use super::body::{AuthBody, BoxError};
use super::credentials::CredentialSource;
use super::error::AuthError;
use super::identity::Identity;

/// A request whose caller is known.
pub struct Authenticated {
    /// Who is calling; also in the request's extensions.
    pub identity: Identity,
    /// The plain, unsigned request. Its extensions hold [`Identity`] and [`super::Payload`].
    pub request: Request<AuthBody>,
}

/// Verifies requests against one source of credentials.
pub struct Authenticator {
    credentials: Arc<dyn CredentialSource>,
    site_region: Option<String>,
}

impl Authenticator {
    /// `site_region`: the only region signatures may name; `None` accepts any. Fails when the system has no randomness.
    pub fn new(credentials: Arc<dyn CredentialSource>, site_region: Option<String>) -> Result<Self, getrandom::Error> {
        Ok(Self {
            credentials,
            site_region,
        })
    }

    /// Verifies `request` at the system's time.
    pub fn authenticate<B>(&self, request: Request<B>) -> Result<Authenticated, AuthError>
    where
        B: Body<Data = Bytes> + Send + Sync + 'static,
        B::Error: Into<BoxError>,
    {
        self.authenticate_at(request, OffsetDateTime::now_utc())
    }

    /// Verifies `request` as if it had come at `now`.
    pub fn authenticate_at<B>(&self, _request: Request<B>, _now: OffsetDateTime) -> Result<Authenticated, AuthError>
    where
        B: Body<Data = Bytes> + Send + Sync + 'static,
        B::Error: Into<BoxError>,
    {
        let _ = (&self.credentials, &self.site_region);
        Err(AuthError::NotImplemented("Requests cannot be authenticated yet."))
    }
}
