//! The directory: who there is, and what they may do.
//!
//! Owns users, groups, roles, policies and access keys: one snapshot in memory answers every request without waiting, and a
//! change is first durable in the store, then in the snapshot, then acknowledged. It is the authenticator's source of
//! credentials. It never decides whether a request is allowed (that is `access`), and never shows a secret it keeps.

mod access_keys;
mod assumed;
mod attach;
mod directory;
mod error;
mod federated;
mod groups;
mod ldap;
mod link;
mod own;
mod policies;
mod rename;
mod roles;
mod rules;
mod seal;
mod snapshot;
mod temporary;
#[cfg(test)]
mod tests;
mod users;

pub use access_keys::{AccessKeyChange, AccessKeyView, NewAccessKey, NewCredential, account_of};
pub use assumed::{RoleTaker, TrustedRole};
pub use attach::{Attached, Entities, EntitiesAsked, Target};
pub use directory::{Directory, Root};
pub use error::IdentityError;
pub use federated::{Federation, FederationRights, LDAP_PROVIDER, Person, person_id};
pub use groups::GroupView;
pub use ldap::LdapEntry;
pub use link::{LINK_TOKEN_CHARS_MAX, LinkSealer, SealedLink};
pub use policies::PolicyView;
pub use rename::UserMove;
pub use roles::{NewRole, RoleChange, RoleView};
pub use seal::{SealError, SealKeys};
pub use temporary::Temporary;
pub use users::{NewUser, UserView};

/// Whose access keys or temporary credentials are meant: root's, or those of a user by name.
pub use storage_engine::store::record::identity::KeyParent;

use snapshot::Snapshot;
use storage_engine::store::clock::Timestamp;
use storage_engine::store::error::Fault;
use storage_engine::store::identity::DirectoryChange;
use storage_engine::store::record::identity::RevocationRecord;

fn internal(why: &str) -> IdentityError {
    Fault::Internal(why.to_owned()).into()
}

/// Refuses every temporary credential that the account of this row was given so far; also where the clock went back.
fn revocation(snapshot: &Snapshot, account: &str, now: Timestamp) -> DirectoryChange {
    let before = snapshot.rows.revocations.get(account);
    let until = before.map_or(now, |row| row.until.max(now));
    DirectoryChange::Revocation(account.to_owned(), Some(RevocationRecord { until }))
}
