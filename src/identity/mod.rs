//! The directory: who there is, and what they may do.
//!
//! Owns users, groups, policies and access keys: one snapshot in memory answers every request without waiting, and a
//! change is first durable in the store, then in the snapshot, then acknowledged. It is the authenticator's source of
//! credentials. It never decides whether a request is allowed (that is `access`), and never shows a secret it keeps.

mod access_keys;
mod attach;
mod directory;
mod error;
mod groups;
mod policies;
mod rules;
mod seal;
mod snapshot;
mod temporary;
#[cfg(test)]
mod tests;
mod users;

pub use access_keys::{AccessKeyChange, AccessKeyView, NewAccessKey, NewCredential};
pub use attach::{Attached, Entities, EntitiesAsked, Target};
pub use directory::{Directory, Root};
pub use error::IdentityError;
pub use groups::GroupView;
pub use policies::PolicyView;
pub use seal::{SealError, SealKeys};
pub use temporary::Temporary;
pub use users::{NewUser, UserView};

use storage_engine::store::clock::Timestamp;
use storage_engine::store::error::Fault;
use storage_engine::store::identity::DirectoryChange;
use storage_engine::store::record::identity::RevocationRecord;

fn internal(why: &str) -> IdentityError {
    Fault::Internal(why.to_owned()).into()
}

/// Refuses every temporary credential of an account made until `now`.
fn revocation(account: &str, now: Timestamp) -> DirectoryChange {
    DirectoryChange::Revocation(account.to_owned(), Some(RevocationRecord { until: now }))
}
