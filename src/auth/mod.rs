//! Who is calling: one layer in front of every S3 route.
//!
//! Owns the verification of AWS Signature Version 4 in all its forms (Authorization header, presigned query,
//! aws-chunked bodies signed, signed with trailer, unsigned with trailer) and hands on a plain request: an [`Identity`],
//! a byte stream, and trailers once the stream has ended. It never decides what a caller may do, never routes, and never
//! holds a whole body.
//!
//! What leaves here carries no `Authorization`, no signature in its query, no aws-chunked framing and no header that
//! described any of it: see [`Authenticator::authenticate`].

mod authenticate;
mod bearer;
mod body;
mod canonical;
mod claim;
mod clean;
mod credentials;
mod date;
mod error;
mod form;
mod hash;
mod identity;
mod link;
mod payload;
pub mod sign;
mod signed_with;
mod signing;
mod signing_key;
mod standing;
mod target;

pub use authenticate::{Authenticated, Authenticator, Realm};
pub use body::{AuthBody, BodyError, BoxError};
pub use credentials::{Credential, CredentialSource, RootCredentials, SecretKey};
pub use error::AuthError;
pub use form::{FormDoor, FormFields, FormSender, is_form};
pub use hash::sha256;
pub use identity::{Account, Accounts, AssumedRole, Caller, Federated, Identity, Kind};
pub use link::{
    ForImage, LINK_KEY_CHARS, LINK_KEY_START, LinkTerms, LinkUse, ShownAs, Terms, UploadTerms, is_link_key,
};
pub use payload::{Payload, PayloadMode, Trailers};
pub use signed_with::SignedWith;
pub use signing::{SignedIn, Signing};
pub use standing::Standing;
