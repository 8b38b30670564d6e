//! Users: made, changed, listed, removed.

use std::sync::Arc;

use storage_engine::store::clock::Timestamp;
use storage_engine::store::identity::{DirectoryChange, RowKind};
use storage_engine::store::record::identity::{KeyParent, UserRecord};

use super::attach::Target;
use super::directory::Directory;
use super::error::IdentityError;
use super::rules;
use super::snapshot::Snapshot;
use crate::auth::{Identity, SecretKey};

/// A user to be made, or to be given another secret.
#[derive(Clone, Debug)]
pub struct NewUser {
    /// The name, which is the access key.
    pub name: String,
    pub secret: SecretKey,
    pub enabled: bool,
}

/// A user as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserView {
    pub name: String,
    pub enabled: bool,
    /// 64 hexadecimal digits that never change.
    pub canonical_id: String,
    /// Attached to the user itself, sorted.
    pub policies: Vec<String>,
    /// The groups it is a member of, sorted.
    pub groups: Vec<String>,
    /// Where IAM's clients file it; `None`: `/`.
    pub path: Option<String>,
    pub created: Timestamp,
    pub updated: Timestamp,
}

impl UserView {
    fn of(name: &str, user: &UserRecord) -> Self {
        Self {
            name: name.to_owned(),
            enabled: user.enabled,
            canonical_id: user.canonical_id.clone(),
            policies: user.policies.clone(),
            groups: user.groups.clone(),
            path: user.path.clone(),
            created: user.created,
            updated: user.updated,
        }
    }
}

/// The user record of that name.
pub(super) fn existing<'s>(snapshot: &'s Snapshot, name: &str) -> Result<&'s UserRecord, IdentityError> {
    let found = snapshot.rows.users.get(name);
    found.ok_or_else(|| IdentityError::NoSuchUser(name.to_owned()))
}

/// The access key a caller signed with; root's for root.
pub(super) fn own_key<'i>(directory: &'i Directory, by: &'i Identity) -> Option<&'i str> {
    match by {
        Identity::Anonymous => None,
        Identity::Root => Some(directory.root_access_key()),
        Identity::Caller(caller) => Some(&caller.access_key),
    }
}

impl Directory {
    /// Makes a user, or gives an existing one this secret and status; its policies and groups stay, its temporary
    /// credentials end.
    pub async fn put_user(&self, by: &Identity, user: NewUser) -> Result<(), IdentityError> {
        let NewUser { name, secret, enabled } = user;
        rules::access_key(&name)?;
        let text =
            std::str::from_utf8(secret.expose()).map_err(|_| IdentityError::InvalidSecretKey("it is no text"))?;
        rules::secret(text)?;
        if name == self.root_access_key() {
            return Err(IdentityError::NotAllowed("this is root's access key"));
        }
        if !enabled && own_key(self, by) == Some(name.as_str()) {
            return Err(IdentityError::NotAllowed("nobody disables themselves"));
        }
        let canonical_id = canonical_id()?;
        self.change_secrets(move |snapshot, now| {
            snapshot.must_read(RowKind::User, &name)?;
            if snapshot.rows.access_keys.contains_key(&name) || snapshot.rows.is_unreadable(RowKind::AccessKey, &name) {
                return Err(IdentityError::AccessKeyTaken("an access key of an account"));
            }
            let sealed_secret = snapshot.sealed(&name, &secret)?;
            let record = match snapshot.rows.users.get(&name) {
                Some(user) => UserRecord {
                    updated: now,
                    enabled,
                    sealed_secret,
                    ..user.clone()
                },
                None => UserRecord {
                    created: now,
                    updated: now,
                    enabled,
                    canonical_id: canonical_id.clone(),
                    sealed_secret,
                    policies: Vec::new(),
                    groups: Vec::new(),
                    path: None,
                },
            };
            let mut changes = vec![DirectoryChange::User(name.clone(), Some(record))];
            // Who knew the secret before may have had temporary credentials with it.
            if snapshot.rows.users.contains_key(&name) {
                changes.push(super::revocation(snapshot, &name, now));
            }
            Ok((changes, ()))
        })
        .await
    }

    /// All users, by name.
    pub fn users(&self) -> Result<Vec<UserView>, IdentityError> {
        let snapshot = self.snapshot()?;
        Ok(snapshot
            .rows
            .users
            .iter()
            .map(|(name, user)| UserView::of(name, user))
            .collect())
    }

    /// One user.
    pub fn user(&self, name: &str) -> Result<UserView, IdentityError> {
        let snapshot = self.snapshot()?;
        existing(&snapshot, name).map(|user| UserView::of(name, user))
    }

    /// Enables or disables a user. A disabled user is refused from the next request on, with every key it has.
    pub async fn set_user_status(&self, by: &Identity, name: &str, enabled: bool) -> Result<(), IdentityError> {
        if own_key(self, by) == Some(name) || name == self.root_access_key() {
            return Err(IdentityError::NotAllowed(
                "nobody enables or disables themselves, nor root",
            ));
        }
        let name = name.to_owned();
        self.change(move |snapshot, now| {
            let user = existing(snapshot, &name)?;
            let record = UserRecord {
                updated: now,
                enabled,
                ..user.clone()
            };
            Ok((vec![DirectoryChange::User(name.clone(), Some(record))], ()))
        })
        .await
    }

    /// Removes a user with all its access keys; also one that is shut out because root took its name.
    pub async fn remove_user(&self, by: &Identity, name: &str) -> Result<(), IdentityError> {
        let refused = || IdentityError::NotAllowed("nobody removes themselves, nor root");
        let is_own = matches!(by, Identity::Caller(caller) if caller.access_key == name);
        let is_roots = name == self.root_access_key();
        if is_own || (is_roots && self.user(name).is_err()) {
            return Err(refused());
        }
        let name = name.to_owned();
        self.change(move |snapshot, now| {
            if !snapshot.rows.is_unreadable(RowKind::User, &name) {
                existing(snapshot, &name)?;
            }
            let parent = KeyParent::User(name.clone());
            let keys = snapshot.rows.access_keys.iter();
            let mut changes: Vec<DirectoryChange> = keys
                .filter(|(_, key)| key.parent == parent)
                .map(|(access_key, _)| DirectoryChange::AccessKey(access_key.clone(), None))
                .collect();
            changes.extend(super::own::inline_of(snapshot, &Target::User(name.clone())));
            changes.push(DirectoryChange::User(name.clone(), None));
            // A user made anew under this name takes over no temporary credential of this one.
            changes.push(super::revocation(snapshot, &name, now));
            Ok((changes, ()))
        })
        .await
    }
}

impl Snapshot {
    /// What does not read is not written over in passing: whoever removes it first means it.
    pub(super) fn must_read(&self, kind: RowKind, name: &str) -> Result<(), IdentityError> {
        match self.rows.is_unreadable(kind, name) {
            true => Err(IdentityError::InvalidArgument(
                "one of this name is there that cannot be read; remove it first",
            )),
            false => Ok(()),
        }
    }

    /// A secret as it is stored for this access key.
    pub(super) fn sealed(&self, access_key: &str, secret: &SecretKey) -> Result<Vec<u8>, IdentityError> {
        let sealer = self.sealer.as_ref().map(Arc::as_ref);
        let sealer = sealer.ok_or_else(|| IdentityError::NotOpen("the key of its secrets is not made yet".into()))?;
        let sealed = sealer.seal_secret(access_key, secret.expose());
        sealed.map_err(|error| super::internal(&error.to_string()))
    }
}

pub(super) fn canonical_id() -> Result<String, IdentityError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| super::internal(&error.to_string()))?;
    Ok(hex_simd::encode_to_string(bytes, hex_simd::AsciiCase::Lower))
}
