//! What a verb answers, and how it goes out: plain JSON, sealed under the caller's secret, or nothing but a status.

use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use serde::Serialize;
use serde_json::Value;
use zeroize::Zeroizing;

use super::error::AdminError;
use super::sealed::deriving::Sealer;
use crate::auth::SignedWith;
use crate::http::body::{self, Body};

/// The answer of a verb that was done.
pub(super) enum Answer {
    Document(Value),
    /// Holds secrets, or MinIO's clients expect it like that: goes out under the caller's secret.
    Sealed(Zeroizing<Vec<u8>>),
    /// A body without an end.
    Stream(Body),
    /// No body.
    Done(StatusCode),
    /// No body; settings are as they were asked for, and no start is needed.
    Applied,
}

/// Tells `mc admin config` that no start is needed.
const APPLIED: HeaderName = HeaderName::from_static("x-minio-config-applied");

impl Answer {
    /// The plain JSON of a document of ours.
    pub(super) fn of(document: impl Serialize) -> Result<Self, AdminError> {
        let document = serde_json::to_value(document).map_err(|e| AdminError::Internal(e.to_string()))?;
        Ok(Self::Document(document))
    }

    /// A document that goes out sealed.
    pub(super) fn sealed(document: &impl Serialize) -> Result<Self, AdminError> {
        let text = serde_json::to_vec(document).map_err(|e| AdminError::Internal(e.to_string()))?;
        Ok(Self::Sealed(Zeroizing::new(text)))
    }

    /// The whole response.
    pub(super) async fn response(
        self,
        sealer: &Sealer,
        caller: Option<&SignedWith>,
    ) -> Result<Response<Body>, AdminError> {
        let with_body = |bytes: Vec<u8>, kind: &'static str| {
            let mut response = Response::new(body::full(bytes));
            let kind = HeaderValue::from_static(kind);
            response.headers_mut().insert(header::CONTENT_TYPE, kind);
            response
        };
        match self {
            Self::Document(document) => Ok(with_body(document.to_string().into_bytes(), "application/json")),
            Self::Sealed(text) => {
                // Nobody else has a secret to seal with.
                let caller = caller.ok_or(AdminError::AccessDenied)?;
                let sealed = sealer.seal(&caller.access_key, caller.secret.clone(), text).await?;
                Ok(with_body(sealed, "application/octet-stream"))
            }
            Self::Stream(body) => {
                let mut response = Response::new(body);
                let kind = HeaderValue::from_static("text/event-stream");
                response.headers_mut().insert(header::CONTENT_TYPE, kind);
                Ok(response)
            }
            Self::Done(status) => {
                let mut response = Response::new(body::empty());
                *response.status_mut() = status;
                Ok(response)
            }
            Self::Applied => {
                let mut response = Response::new(body::empty());
                response.headers_mut().insert(APPLIED, HeaderValue::from_static("true"));
                Ok(response)
            }
        }
    }
}
