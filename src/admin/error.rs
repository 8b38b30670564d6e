//! Refusals of the admin API: the JSON document that MinIO's clients print.

use http::{Response, StatusCode};

use super::About;
use super::sealed::SealError;
use crate::auth::AuthError;
use crate::http::body::Body;
use crate::http::error;

/// Why an admin request was not done.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// MinIO's clients look at these very words.
    #[error("Access Denied.")]
    AccessDenied,
    /// The caller could not be told, or the request is not the one that was signed.
    #[error("{message}")]
    Auth {
        code: &'static str,
        status: StatusCode,
        message: String,
    },
    #[error("{message}")]
    Body {
        code: &'static str,
        status: StatusCode,
        message: String,
    },
    /// A refusal by the name that MinIO's clients know it by.
    #[error("{message}")]
    Minio {
        code: &'static str,
        status: StatusCode,
        message: String,
    },
    /// A parameter is missing or makes no sense.
    #[error("{0}")]
    Argument(String),
    #[error("The body is larger than 256 KiB.")]
    BodyTooLarge,
    #[error("The body ended before it was whole.")]
    BodyCutOff,
    /// The body is not the document that the verb takes.
    #[error("The body is not understood: {0}")]
    Unreadable(String),
    #[error("{0}")]
    NoSuchDrive(String),
    /// It does not fit how the store stands; nothing was changed unless the words say so.
    #[error("{0}")]
    Refused(String),
    /// The store cannot be changed now.
    #[error("{0}")]
    Unavailable(String),
    #[error("The specified method is not allowed against this resource.")]
    MethodNotAllowed,
    /// Not 503: MinIO's clients would ask again for minutes.
    #[error("{0} is not implemented by this server; nothing was changed.")]
    NotBuilt(&'static str),
    #[error("An internal error happened. It has been logged.")]
    Internal(String),
}

impl From<&AuthError> for AdminError {
    fn from(error: &AuthError) -> Self {
        Self::Auth {
            code: error.code(),
            status: error.status(),
            message: error.to_string(),
        }
    }
}

impl From<SealError> for AdminError {
    fn from(error: SealError) -> Self {
        match error {
            SealError::Unknown | SealError::Wrong => Self::Minio {
                code: "XMinioAdminConfigBadJSON",
                status: StatusCode::BAD_REQUEST,
                message: format!("The body is not understood: {error}."),
            },
            // Not 429 or 503: MinIO's clients would ask again at once, each time with a body to open.
            SealError::Busy => Self::Minio {
                code: "XDrystoneTooManyRequests",
                status: StatusCode::BAD_REQUEST,
                message: format!("Nothing was done: {error}."),
            },
            SealError::Unable => Self::Internal(error.to_string()),
        }
    }
}

impl AdminError {
    fn code(&self) -> &'static str {
        match self {
            Self::AccessDenied => "AccessDenied",
            Self::Auth { code, .. } | Self::Body { code, .. } | Self::Minio { code, .. } => code,
            Self::Argument(_) => "XMinioAdminInvalidArgument",
            Self::BodyTooLarge => "EntityTooLarge",
            Self::BodyCutOff => "IncompleteBody",
            Self::MethodNotAllowed => "MethodNotAllowed",
            Self::Unreadable(_) => "InvalidRequest",
            Self::NoSuchDrive(_) => "NoSuchDrive",
            Self::Refused(_) => "Conflict",
            Self::Unavailable(_) => "ServiceUnavailable",
            Self::NotBuilt(_) => "NotImplemented",
            Self::Internal(_) => "InternalError",
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::AccessDenied => StatusCode::FORBIDDEN,
            Self::Auth { status, .. } | Self::Body { status, .. } | Self::Minio { status, .. } => *status,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BodyCutOff => StatusCode::BAD_REQUEST,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::Unreadable(_) | Self::Argument(_) => StatusCode::BAD_REQUEST,
            Self::NoSuchDrive(_) => StatusCode::NOT_FOUND,
            Self::Refused(_) => StatusCode::CONFLICT,
            Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::NotBuilt(_) => StatusCode::NOT_IMPLEMENTED,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The whole answer to the request it is about.
    pub(super) fn response(&self, about: &About, host_id: &str) -> Response<Body> {
        if let Self::Internal(reason) = self {
            tracing::error!(reason, path = about.path, "an admin request failed; this is a bug");
        }
        error::json_document(
            self.status(),
            self.code(),
            &self.to_string(),
            &about.path,
            about.id,
            host_id,
        )
    }
}
