//! Why there is no image, as clients are told: a status, a code they compare, and a sentence for whoever writes them.

use std::borrow::Cow;
use std::time::Duration;

use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};
use serde::Serialize;

use super::options::OptionsError;
use super::path::PathError;
use super::pool::PoolError;
use super::wire::NotMade;
use crate::http::body::{self, Body};

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    pub status: StatusCode,
    /// `{domain}/{name}`.
    pub code: Cow<'static, str>,
    /// It holds nothing that is secret.
    pub message: Cow<'static, str>,
    /// When to come again.
    pub retry_after: Option<Duration>,
}

/// bkend's two error envelopes in one.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<'a> {
    success: bool,
    error: Inner<'a>,
    status_code: u16,
    message: &'a str,
}

#[derive(Serialize)]
struct Inner<'a> {
    code: &'a str,
    message: &'a str,
}

impl Refused {
    pub fn new(status: StatusCode, code: impl Into<Cow<'static, str>>, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status,
            code: code.into(),
            message: message.into(),
            retry_after: None,
        }
    }

    /// So many images are being made that this one has to wait.
    pub fn busy() -> Self {
        let message = "Too many images are being made now. Please try again in a moment.";
        Self {
            retry_after: Some(Duration::from_secs(1)),
            ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "image/busy", message)
        }
    }

    /// A bug, or a machine that cannot start a worker.
    pub fn internal() -> Self {
        let message = "The image cannot be made now. The log of the server says why.";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "image/not-made", message)
    }

    /// What S3 said when the file itself was asked for as this caller.
    pub fn of_original(status: StatusCode) -> Self {
        match status {
            StatusCode::NOT_FOUND => Self::new(status, "file/not-found", "There is no such file."),
            StatusCode::FORBIDDEN => Self::new(status, "file/access-denied", "The file is not open to this caller."),
            StatusCode::SERVICE_UNAVAILABLE => Self {
                retry_after: Some(Duration::from_secs(1)),
                ..Self::new(
                    status,
                    "SERVICE_UNAVAILABLE",
                    "The file cannot be read now. Please try again.",
                )
            },
            StatusCode::PRECONDITION_FAILED => Self {
                retry_after: Some(Duration::from_secs(1)),
                ..Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "image/busy",
                    "The file changed while its image was made. Please try again.",
                )
            },
            _ if status.is_client_error() => Self::new(status, "file/invalid-path", "The file cannot be asked for so."),
            _ => Self::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "file/not-readable",
                "The file cannot be read. The log of the server says why.",
            ),
        }
    }

    /// The answer, in bkend's form.
    pub fn response(&self) -> Response<Body> {
        let envelope = Envelope {
            success: false,
            error: Inner {
                code: &self.code,
                message: &self.message,
            },
            status_code: self.status.as_u16(),
            message: &self.message,
        };
        let mut response = Response::new(body::full(serde_json::to_vec(&envelope).unwrap_or_default()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(wait) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
        }
        response
    }
}

impl From<OptionsError> for Refused {
    fn from(error: OptionsError) -> Self {
        let (status, code) = match &error {
            OptionsError::Wrong(_) => (StatusCode::BAD_REQUEST, "image/invalid-options"),
            OptionsError::NotBuilt(_) => (StatusCode::NOT_IMPLEMENTED, "image/not-built"),
        };
        Self::new(status, code, error.to_string())
    }
}

impl From<PathError> for Refused {
    fn from(error: PathError) -> Self {
        match error {
            PathError::Options(error) => error.into(),
            PathError::TooLong | PathError::NoKey | PathError::NotText => {
                Self::new(StatusCode::BAD_REQUEST, "file/invalid-path", error.to_string())
            }
        }
    }
}

impl From<NotMade> for Refused {
    fn from(error: NotMade) -> Self {
        let (status, code) = match error {
            NotMade::NoImage => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "image/not-an-image"),
            NotMade::Damaged => (StatusCode::UNPROCESSABLE_ENTITY, "image/damaged"),
            NotMade::TooManyPixelsForAvif => (StatusCode::UNPROCESSABLE_ENTITY, "image/too-expensive"),
            NotMade::TooManyPixels | NotMade::TooLarge => (StatusCode::UNPROCESSABLE_ENTITY, "image/too-large"),
            NotMade::Outside => (StatusCode::BAD_REQUEST, "image/invalid-options"),
            NotMade::BadOrder => return Self::internal(),
        };
        Self::new(status, code, error.to_string())
    }
}

impl From<&PoolError> for Refused {
    fn from(error: &PoolError) -> Self {
        match error {
            PoolError::Busy => Self::busy(),
            PoolError::NotMade(error) => (*error).into(),
            PoolError::TooSlow(_) | PoolError::Died => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "image/too-expensive",
                "The image takes more time or memory to make than one may.",
            ),
            PoolError::SourceTooLarge => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "image/too-large", error.to_string())
            }
            PoolError::Source(_) => Self::of_original(StatusCode::SERVICE_UNAVAILABLE),
            PoolError::NoWorker(_) => Self::internal(),
        }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn a_refusal_has_both_forms_that_clients_read() {
        let response = Refused::busy().response();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()[RETRY_AFTER], "1");
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        let json: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(json["success"], false);
        assert_eq!(json["error"]["code"], "image/busy");
        assert_eq!(json["statusCode"], 503);
        assert_eq!(json["message"], json["error"]["message"]);
    }
}
