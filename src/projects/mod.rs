//! Projects: apps that use the store, and who comes from them.
//!
//! Owns projects with their environments, project keys and issuers of tokens: what a request brings in `X-API-Key` and
//! `Authorization: Bearer` becomes an [`AppCaller`], whose [`crate::auth::Identity`] is judged by `access` as every other.
//! It never decides whether a request is allowed, beyond what the key's scopes leave out, and never shows a secret it
//! keeps: of a secret key it knows the hash alone.

mod admit;
mod asked;
mod caller;
mod directory;
mod environments;
mod error;
mod images;
mod issuers;
mod keys;
mod logical;
mod names;
mod policies;
mod quotas;
mod scopes;
mod snapshot;
#[cfg(test)]
mod tests;
mod upload_tokens;
mod users;
mod webhooks;

pub use admit::API_KEY;
pub use caller::{AppCaller, AppRefused, AppUser, Environment, ImageSettings, Project};
pub use directory::Projects;
pub use error::ProjectsError;
pub use images::NewImages;
pub use issuers::{IssuerView, NewIssuer, NewIssuerKeys};
pub use keys::{MadeKey, NewProjectKey, ProjectKeyView};
pub use logical::{Confirm, Gc, LogicalBucket, LogicalBuckets, Scan, Sizes, TTL_SECONDS_RANGE, is_type};
pub use quotas::{QuotaChange, QuotaChanges, is_person};
pub use scopes::{Operation, Scopes, UnknownScope};
pub use upload_tokens::{GrantedUser, UPLOAD_TOKEN, UploadGrant, UploadTokenError};
pub use users::{UserChange, UserStanding};
pub use webhooks::{NewWebhook, Webhook, WebhookChange, WebhooksOf};

/// What a project key is: publishable, or secret.
pub use storage_engine::store::record::projects::{Envelope, KeyKind};
