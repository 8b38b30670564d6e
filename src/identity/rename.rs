//! Giving a user another name or path, as IAM does.
//!
//! A user stays who it is: its canonical id, secret, policies, groups and access keys go with it, and what it owns is owned
//! under the id. Policies of others that name the old name do not follow, and temporary credentials end.

use std::collections::BTreeSet;

use storage_engine::store::clock::Timestamp;
use storage_engine::store::identity::{DirectoryChange, RowKind};
use storage_engine::store::record::identity::{AccessKeyRecord, KeyParent, UserRecord};

use super::access_keys::account_of;
use super::attach::Target;
use super::directory::Directory;
use super::error::IdentityError;
use super::own::{beginning, checked_path, inline_name, inline_names};
use super::rules;
use super::snapshot::Snapshot;
use super::users::existing;
use crate::auth::Identity;

/// What is to change of a user; `None` leaves a part as it is.
#[derive(Clone, Debug, Default)]
pub struct UserMove {
    /// The name it is to have.
    pub name: Option<String>,
    /// Where IAM's clients are to file it.
    pub path: Option<String>,
}

/// The name of a policy once its user has another name.
fn moved(policy: &str, from: &Target, to: &Target) -> String {
    let own = inline_name(from, policy).map(|own| format!("{}{own}", beginning(to)));
    own.unwrap_or_else(|| policy.to_owned())
}

/// The rows that change with the name: those of the user, its access keys and its inline policies.
fn renamed(
    snapshot: &Snapshot,
    name: &str,
    to: &str,
    record: UserRecord,
    now: Timestamp,
) -> Result<Vec<DirectoryChange>, IdentityError> {
    let rows = &snapshot.rows;
    if rows.users.contains_key(to) || rows.is_unreadable(RowKind::User, to) {
        return Err(IdentityError::AlreadyThere("user"));
    }
    if rows.access_keys.contains_key(to) || rows.is_unreadable(RowKind::AccessKey, to) {
        return Err(IdentityError::AccessKeyTaken("an access key of an account"));
    }
    let (before, after) = (Target::User(name.to_owned()), Target::User(to.to_owned()));
    // It is sealed for its access key, which the name is.
    let secret = snapshot.secret(name, &record.sealed_secret);
    let secret = secret.map_err(|_| IdentityError::NotAllowed("the secret of this user cannot be read"))?;
    let policies: BTreeSet<String> = record.policies.iter().map(|one| moved(one, &before, &after)).collect();
    let record = UserRecord {
        sealed_secret: snapshot.sealed(to, &secret)?,
        policies: policies.into_iter().collect(),
        ..record
    };
    let mut changes = vec![
        DirectoryChange::User(name.to_owned(), None),
        DirectoryChange::User(to.to_owned(), Some(record)),
        // A user made anew under the old name takes over no temporary credential of this one.
        super::revocation(snapshot, name, now),
    ];
    let parent = KeyParent::User(name.to_owned());
    for (access_key, key) in rows.access_keys.iter().filter(|(_, key)| key.parent == parent) {
        let key = AccessKeyRecord {
            parent: KeyParent::User(to.to_owned()),
            ..key.clone()
        };
        changes.push(DirectoryChange::AccessKey(access_key.clone(), Some(key)));
    }
    for policy in inline_names(snapshot, &before) {
        let text = rows.policies.get(policy).cloned();
        changes.push(DirectoryChange::Policy(policy.clone(), None));
        changes.push(DirectoryChange::Policy(moved(policy, &before, &after), text));
    }
    Ok(changes)
}

impl Directory {
    /// Gives a user another name, another path, or both. Nobody gives their own account another name, by whichever of its
    /// credentials: it would keep its rights and slip from every policy that denies something to the name.
    pub async fn move_user(&self, by: &Identity, name: &str, change: UserMove) -> Result<(), IdentityError> {
        let new = change.name.filter(|new| new != name);
        if let Some(new) = &new {
            if account_of(by) == Some(KeyParent::User(name.to_owned())) {
                return Err(IdentityError::NotAllowed("nobody gives themselves another name"));
            }
            rules::access_key(new)?;
            if new == self.root_access_key() {
                return Err(IdentityError::NotAllowed("this is root's access key"));
            }
        }
        let has_path = change.path.is_some();
        let (name, path) = (name.to_owned(), checked_path(change.path)?);
        self.change_secrets(move |snapshot, now| {
            let standing = existing(snapshot, &name)?;
            let record = UserRecord {
                updated: now,
                path: if has_path { path.clone() } else { standing.path.clone() },
                ..standing.clone()
            };
            let changes = match &new {
                Some(new) => renamed(snapshot, &name, new, record, now)?,
                None => vec![DirectoryChange::User(name.clone(), Some(record))],
            };
            Ok((changes, ()))
        })
        .await
    }
}
