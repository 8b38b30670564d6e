//! Every way the token service refuses, as AWS's STS writes it.

use http::StatusCode;
use quick_xml::escape::escape;
use storage_engine::store::error::Fault;

use super::answer::NAMESPACE;
use super::iam;
use crate::auth::{AuthError, Realm};
use crate::http::body::BoxError;
use crate::identity::IdentityError;
use crate::ldap::LdapError;
use crate::openid::OpenIdError;

/// Why a request to the token service was refused.
#[derive(Debug, thiserror::Error)]
pub(super) enum StsError {
    #[error(transparent)]
    Auth(#[from] AuthError),
    /// The body is not the one that was signed.
    #[error("The form is not the one that was signed.")]
    Body(BoxError),
    #[error("Access Denied.")]
    AccessDenied,
    #[error("{0}")]
    NotAllowed(String),
    #[error("The form of the request cannot be read.")]
    FormUnreadable,
    #[error("{0}")]
    Invalid(&'static str),
    #[error("{0}")]
    InvalidValue(String),
    #[error("{0} is missing in the form.")]
    Missing(&'static str),
    #[error("{0}")]
    MalformedPolicy(String),
    #[error("{0}")]
    PolicyTooLarge(String),
    #[error(transparent)]
    Provider(#[from] OpenIdError),
    #[error(transparent)]
    Ldap(#[from] LdapError),
    #[error("{0} is not implemented.")]
    NotBuilt(String),
    #[error("The token service has no action '{0}'.")]
    UnknownAction(String),
    #[error("{0}")]
    NoSuchEntity(String),
    #[error("{0}")]
    EntityExists(String),
    #[error("{0}")]
    Conflict(String),
    #[error("{0}")]
    Limit(String),
    #[error("{0}")]
    Unavailable(String),
    #[error("An internal error happened. It has been logged.")]
    Internal(String),
}

impl From<IdentityError> for StsError {
    fn from(error: IdentityError) -> Self {
        let text = error.to_string();
        match error {
            IdentityError::NotAllowed(_) => Self::NotAllowed(text),
            IdentityError::MalformedPolicy(_) => Self::MalformedPolicy(text),
            IdentityError::SessionPolicyTooLarge(_) | IdentityError::CredentialTooLarge { .. } => {
                Self::PolicyTooLarge(text)
            }
            IdentityError::InvalidArgument(_)
            | IdentityError::InvalidAccessKey(_)
            | IdentityError::InvalidSecretKey(_) => Self::InvalidValue(text),
            IdentityError::TooMany(_) => Self::Limit(text),
            IdentityError::NoSuchUser(_)
            | IdentityError::NoSuchGroup(_)
            | IdentityError::NoSuchRole(_)
            | IdentityError::NoSuchPolicy(_)
            | IdentityError::NoSuchAccessKey(_) => Self::NoSuchEntity(text),
            IdentityError::AlreadyThere(_) | IdentityError::AccessKeyTaken(_) => Self::EntityExists(text),
            IdentityError::NotBare(_) | IdentityError::GroupNotEmpty | IdentityError::PolicyInUse(_) => {
                Self::Conflict(text)
            }
            IdentityError::NotOpen(_) | IdentityError::Shut(_) => {
                Self::Unavailable("The directory of users is not open.".to_owned())
            }
            IdentityError::Fault(Fault::Unavailable(_) | Fault::Unknown(_) | Fault::Full(_)) => {
                Self::Unavailable("The store cannot take changes now. Please try again later.".to_owned())
            }
            IdentityError::Fault(Fault::Corrupt(_) | Fault::Internal(_))
            | IdentityError::PolicyBuiltIn(_)
            | IdentityError::AlreadyApplied => Self::Internal(text),
        }
    }
}

impl StsError {
    fn code(&self) -> &'static str {
        match self {
            // What clients of AWS's STS know these by.
            Self::Auth(AuthError::InvalidAccessKeyId { .. }) => "InvalidClientTokenId",
            Self::Auth(error) => error.code(),
            Self::Body(_) => "SignatureDoesNotMatch",
            Self::AccessDenied | Self::NotAllowed(_) => "AccessDenied",
            Self::FormUnreadable | Self::Invalid(_) | Self::InvalidValue(_) => "InvalidParameterValue",
            Self::Missing(_) => "MissingParameter",
            Self::MalformedPolicy(_) => "MalformedPolicyDocument",
            Self::PolicyTooLarge(_) => "PackedPolicyTooLarge",
            Self::Provider(error) => match error {
                OpenIdError::Expired => "ExpiredToken",
                OpenIdError::Unreachable => "IDPCommunicationError",
                // As MinIO says it.
                OpenIdError::NoProvider
                | OpenIdError::NoRole
                | OpenIdError::Malformed(_)
                | OpenIdError::Refused(_)
                | OpenIdError::NoPolicies(_) => "InvalidParameterValue",
            },
            Self::Ldap(error) => match error {
                LdapError::Unreachable => "IDPCommunicationError",
                LdapError::TooOften => "Throttling",
                // As MinIO says it.
                LdapError::NoServer | LdapError::Wrong | LdapError::TooManyGroups => "InvalidParameterValue",
            },
            Self::NoSuchEntity(_) => "NoSuchEntity",
            Self::EntityExists(_) => "EntityAlreadyExists",
            Self::Conflict(_) => "DeleteConflict",
            Self::Limit(_) => "LimitExceeded",
            Self::NotBuilt(_) => "NotImplemented",
            Self::UnknownAction(_) => "InvalidAction",
            Self::Unavailable(_) => "ServiceUnavailable",
            Self::Internal(_) => "InternalError",
        }
    }

    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::Auth(error) => error.status(),
            Self::Body(_) | Self::AccessDenied | Self::NotAllowed(_) => StatusCode::FORBIDDEN,
            Self::FormUnreadable
            | Self::Invalid(_)
            | Self::InvalidValue(_)
            | Self::Missing(_)
            | Self::MalformedPolicy(_)
            | Self::PolicyTooLarge(_)
            | Self::Provider(
                OpenIdError::NoProvider
                | OpenIdError::NoRole
                | OpenIdError::Malformed(_)
                | OpenIdError::Refused(_)
                | OpenIdError::NoPolicies(_)
                | OpenIdError::Expired,
            )
            | Self::Ldap(LdapError::NoServer | LdapError::Wrong | LdapError::TooManyGroups)
            | Self::UnknownAction(_) => StatusCode::BAD_REQUEST,
            Self::NoSuchEntity(_) => StatusCode::NOT_FOUND,
            Self::EntityExists(_) | Self::Conflict(_) | Self::Limit(_) => StatusCode::CONFLICT,
            Self::NotBuilt(_) => StatusCode::NOT_IMPLEMENTED,
            Self::Ldap(LdapError::TooOften) => StatusCode::TOO_MANY_REQUESTS,
            Self::Provider(OpenIdError::Unreachable) | Self::Ldap(LdapError::Unreachable) | Self::Unavailable(_) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// As the API of this realm writes it.
    pub(super) fn to_xml(&self, realm: Realm, id: &str) -> String {
        let (namespace, code) = match (realm, self.code()) {
            (Realm::Iam, "InvalidParameterValue" | "MissingParameter") => (iam::NAMESPACE, "ValidationError"),
            (Realm::Iam, code) => (iam::NAMESPACE, code),
            (Realm::Sts | Realm::S3 | Realm::Admin, code) => (NAMESPACE, code),
        };
        let fault = if self.status().is_server_error() {
            "Receiver"
        } else {
            "Sender"
        };
        let message = self.to_string();
        let message: String = message.chars().filter(|c| !c.is_control()).collect();
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ErrorResponse xmlns=\"{namespace}\"><Error><Type>{fault}</Type>\
             <Code>{code}</Code><Message>{}</Message></Error><RequestId>{id}</RequestId></ErrorResponse>",
            escape(&message)
        )
    }
}
