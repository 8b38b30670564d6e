//! Further access keys of an account (MinIO's service accounts): made, changed, listed, removed.

use std::sync::Arc;

use storage_engine::store::clock::Timestamp;
use storage_engine::store::identity::{DirectoryChange, RowKind};
use storage_engine::store::record::identity::{AccessKeyRecord, KeyParent};
use zeroize::Zeroizing;

use super::directory::Directory;
use super::error::IdentityError;
use super::policies::check_session;
use super::rules;
use super::snapshot::Snapshot;
use super::users;
use crate::auth::{Account, Identity, Kind, SecretKey};

/// Most access keys of one account: all of them go with it in one batch.
const KEYS_MAX: usize = 500;
const GENERATED_KEY_CHARS: usize = 20;
const GENERATED_SECRET_CHARS: usize = 40;
/// 130 bits: no two of a key are ever the same.
const GENERATION_CHARS: usize = 26;

/// An access key to be made.
#[derive(Clone, Debug)]
pub struct NewAccessKey {
    /// Whose key it is to be.
    pub parent: KeyParent,
    /// `None`: generated.
    pub access_key: Option<String>,
    /// `None`: generated.
    pub secret: Option<SecretKey>,
    /// JSON of a policy that narrows the parent's rights.
    pub policy: Option<String>,
    pub name: String,
    pub description: String,
    pub expires: Option<Timestamp>,
}

impl NewAccessKey {
    /// A generated pair with all rights of its parent, for ever.
    pub fn of(parent: KeyParent) -> Self {
        Self {
            parent,
            access_key: None,
            secret: None,
            policy: None,
            name: String::new(),
            description: String::new(),
            expires: None,
        }
    }
}

/// A pair that was made, shown once.
#[derive(Clone, Debug)]
pub struct NewCredential {
    pub access_key: String,
    pub secret: SecretKey,
    pub expires: Option<Timestamp>,
}

/// What is to change of an access key; `None` leaves a part as it is.
#[derive(Clone, Debug, Default)]
pub struct AccessKeyChange {
    /// An empty text takes the policy away: the parent's rights.
    pub policy: Option<String>,
    pub secret: Option<SecretKey>,
    pub enabled: Option<bool>,
    pub name: Option<String>,
    pub description: Option<String>,
    /// `Some(None)`: it does not expire.
    pub expires: Option<Option<Timestamp>>,
}

/// An access key as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessKeyView {
    pub access_key: String,
    pub parent: KeyParent,
    /// Whether it may sign: enabled, and so is its parent. It may have expired.
    pub enabled: bool,
    /// Its own policy; `None`: the parent's rights.
    pub policy: Option<String>,
    pub name: String,
    pub description: String,
    pub created: Timestamp,
    pub expires: Option<Timestamp>,
}

fn existing<'s>(snapshot: &'s Snapshot, access_key: &str) -> Result<&'s AccessKeyRecord, IdentityError> {
    let found = snapshot.rows.access_keys.get(access_key);
    found.ok_or_else(|| IdentityError::NoSuchAccessKey(access_key.to_owned()))
}

/// A credential with a policy of its own neither makes, changes nor removes keys: they can do more than it may.
fn unbounded(by: &Identity) -> Result<(), IdentityError> {
    match by {
        Identity::Root => Ok(()),
        Identity::Caller(caller) if caller.session.is_none() => Ok(()),
        Identity::Caller(_) => Err(IdentityError::NotAllowed(
            "a credential that a policy of its own narrows neither makes, changes nor removes access keys",
        )),
        Identity::Anonymous => Err(IdentityError::NotAllowed("an access key is made by somebody")),
    }
}

/// When the credential of a caller ends; `None`: not by itself.
fn end_of(snapshot: &Snapshot, by: &Identity) -> Option<Timestamp> {
    let Identity::Caller(caller) = by else { return None };
    match caller.kind {
        Kind::User => None,
        Kind::AccessKey => snapshot.rows.access_keys.get(&caller.access_key)?.expires,
        Kind::Temporary { expires } => {
            let millis = u64::try_from(expires.unix_timestamp_nanos() / 1_000_000);
            Some(Timestamp::from_millis(millis.unwrap_or_default()))
        }
    }
}

/// Whether a key lasts longer than a credential that ends then.
fn outlives(key: &AccessKeyRecord, end: Option<Timestamp>) -> bool {
    end.is_some_and(|end| key.expires.is_none_or(|expires| expires > end))
}

/// What tells a key with this secret from the same key with another one, and from one made anew under its name.
fn generation() -> Result<String, IdentityError> {
    Ok(generated(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", GENERATION_CHARS)?.to_string())
}

fn future(expires: Option<Timestamp>, now: Timestamp) -> Result<(), IdentityError> {
    if expires.is_some_and(|end| end <= now) {
        return Err(IdentityError::InvalidArgument("the expiration is in the past"));
    }
    Ok(())
}

fn check_secret(secret: &SecretKey) -> Result<(), IdentityError> {
    let text = std::str::from_utf8(secret.expose()).map_err(|_| IdentityError::InvalidSecretKey("it is no text"))?;
    rules::secret(text)
}

impl Directory {
    /// The account that clients mean by a name: root's goes by its access key there.
    pub fn account_named(&self, name: &str) -> KeyParent {
        match name == self.root_access_key() {
            true => KeyParent::Root,
            false => KeyParent::User(name.to_owned()),
        }
    }

    /// The name that clients know an account by.
    pub fn name_of<'n>(&'n self, account: &'n KeyParent) -> &'n str {
        match account {
            KeyParent::Root => self.root_access_key(),
            KeyParent::User(name) => name,
        }
    }

    /// Makes an access key, which ends with the caller's own credential at the latest. What the caller may do for other
    /// accounts is `access`'s to say, before.
    pub async fn add_access_key(&self, by: &Identity, new: NewAccessKey) -> Result<NewCredential, IdentityError> {
        unbounded(by)?;
        let access_key = match new.access_key {
            Some(access_key) => access_key,
            None => generated(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", GENERATED_KEY_CHARS)?.to_string(),
        };
        let secret = match new.secret {
            Some(secret) => secret,
            None => {
                let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-";
                SecretKey::new(generated(letters, GENERATED_SECRET_CHARS)?.as_bytes())
            }
        };
        rules::access_key(&access_key)?;
        check_secret(&secret)?;
        rules::key_name(&new.name)?;
        rules::description(&new.description)?;
        let policy = new.policy.filter(|text| !text.is_empty());
        policy.as_deref().map(check_session).transpose()?;
        if access_key == self.root_access_key() {
            return Err(IdentityError::NotAllowed("this is root's access key"));
        }
        future(new.expires, self.now())?;
        let (parent, by, generation) = (new.parent, by.clone(), generation()?);
        let (name, description, wanted) = (new.name, new.description, new.expires);
        self.change_secrets(move |snapshot, now| {
            if let KeyParent::User(user) = &parent {
                users::existing(snapshot, user)?;
                if snapshot.why_shut_out(user).is_some() {
                    return Err(IdentityError::NotAllowed("this user is shut out"));
                }
            }
            let expires = match (wanted, end_of(snapshot, &by)) {
                (Some(wanted), Some(end)) => Some(wanted.min(end)),
                (wanted, end) => wanted.or(end),
            };
            let rows = &snapshot.rows;
            if rows.users.contains_key(&access_key) || rows.is_unreadable(RowKind::User, &access_key) {
                return Err(IdentityError::AccessKeyTaken("a user"));
            }
            if rows.access_keys.contains_key(&access_key) || rows.is_unreadable(RowKind::AccessKey, &access_key) {
                return Err(IdentityError::AccessKeyTaken("another access key"));
            }
            if rows.access_keys.values().filter(|key| key.parent == parent).count() >= KEYS_MAX {
                return Err(IdentityError::TooMany("an account has at most 500 access keys"));
            }
            let record = AccessKeyRecord {
                created: now,
                updated: now,
                enabled: true,
                parent: parent.clone(),
                sealed_secret: snapshot.sealed(&access_key, &secret)?,
                policy: policy.clone(),
                name: name.clone(),
                description: description.clone(),
                expires,
                generation: Some(generation.clone()),
            };
            let made = NewCredential {
                access_key: access_key.clone(),
                secret: secret.clone(),
                expires,
            };
            Ok((vec![DirectoryChange::AccessKey(access_key.clone(), Some(record))], made))
        })
        .await
    }

    /// One access key.
    pub fn access_key(&self, access_key: &str) -> Result<AccessKeyView, IdentityError> {
        let snapshot = self.snapshot()?;
        let key = existing(&snapshot, access_key)?;
        Ok(AccessKeyView::of(&snapshot, access_key, key))
    }

    /// The access keys of one account.
    pub fn access_keys_of(&self, parent: &KeyParent) -> Result<Vec<AccessKeyView>, IdentityError> {
        let snapshot = self.snapshot()?;
        let keys = snapshot.rows.access_keys.iter();
        Ok(keys
            .filter(|(_, key)| key.parent == *parent)
            .map(|(access_key, key)| AccessKeyView::of(&snapshot, access_key, key))
            .collect())
    }

    /// Changes an access key; in force from the next request on.
    pub async fn change_access_key(
        &self,
        by: &Identity,
        access_key: &str,
        change: AccessKeyChange,
    ) -> Result<(), IdentityError> {
        unbounded(by)?;
        change.secret.as_ref().map(check_secret).transpose()?;
        change.name.as_deref().map(rules::key_name).transpose()?;
        change.description.as_deref().map(rules::description).transpose()?;
        let policy = change.policy.as_deref().filter(|text| !text.is_empty());
        policy.map(check_session).transpose()?;
        future(change.expires.flatten(), self.now())?;
        if change.enabled == Some(false) && users::own_key(self, by) == Some(access_key) {
            return Err(IdentityError::NotAllowed("nobody disables themselves"));
        }
        // What makes more of a key than it was.
        let gives = change.secret.is_some()
            || change.policy.is_some()
            || change.expires.is_some()
            || change.enabled == Some(true);
        let (access_key, by, generation) = (access_key.to_owned(), by.clone(), generation()?);
        self.change_secrets(move |snapshot, now| {
            let mut key = existing(snapshot, &access_key)?.clone();
            key.updated = now;
            if let Some(secret) = &change.secret {
                key.sealed_secret = snapshot.sealed(&access_key, secret)?;
                key.generation = Some(generation.clone());
            }
            if let Some(text) = &change.policy {
                key.policy = Some(text.clone()).filter(|text| !text.is_empty());
            }
            key.enabled = change.enabled.unwrap_or(key.enabled);
            key.name = change.name.clone().unwrap_or(key.name);
            key.description = change.description.clone().unwrap_or(key.description);
            key.expires = change.expires.unwrap_or(key.expires);
            if gives && outlives(&key, end_of(snapshot, &by)) {
                return Err(IdentityError::NotAllowed(
                    "a credential that ends changes no access key that lasts longer",
                ));
            }
            Ok((vec![DirectoryChange::AccessKey(access_key.clone(), Some(key))], ()))
        })
        .await
    }

    /// Removes an access key; refused from the next request on.
    pub async fn remove_access_key(&self, by: &Identity, access_key: &str) -> Result<(), IdentityError> {
        unbounded(by)?;
        let access_key = access_key.to_owned();
        self.change(move |snapshot, _now| {
            existing(snapshot, &access_key)?;
            Ok((vec![DirectoryChange::AccessKey(access_key.clone(), None)], ()))
        })
        .await
    }

    /// The policies that bound an account now: those of the user and its groups; none for root, whom nothing bounds.
    pub fn policies_of(&self, account: &KeyParent) -> Result<Vec<Arc<crate::policy::Policy>>, IdentityError> {
        let snapshot = self.snapshot()?;
        match account {
            KeyParent::Root => Ok(Vec::new()),
            KeyParent::User(name) => match snapshot.rights_of(name) {
                Some(rights) => Ok(rights.map_err(|why| super::internal(&why))?.policies),
                None => Err(IdentityError::NoSuchUser(name.clone())),
            },
        }
    }
}

impl AccessKeyView {
    fn of(snapshot: &Snapshot, access_key: &str, key: &AccessKeyRecord) -> Self {
        let parent_enabled = match &key.parent {
            KeyParent::Root => true,
            KeyParent::User(name) => snapshot.rights_of(name).is_some(),
        };
        Self {
            access_key: access_key.to_owned(),
            parent: key.parent.clone(),
            enabled: key.enabled && parent_enabled,
            policy: key.policy.clone(),
            name: key.name.clone(),
            description: key.description.clone(),
            created: key.created,
            expires: key.expires,
        }
    }
}

/// The account that a caller's access keys belong to. `None` for callers who can have none.
pub fn account_of(by: &Identity) -> Option<KeyParent> {
    match by {
        Identity::Anonymous => None,
        Identity::Root => Some(KeyParent::Root),
        Identity::Caller(caller) => match &caller.account {
            Account::Root => Some(KeyParent::Root),
            Account::User(name) => Some(KeyParent::User(name.clone())),
            Account::Federated(_) | Account::Role(_) => None,
        },
    }
}

/// Random letters; 32 or 64 of them, so that a byte maps without bias.
pub(super) fn generated(letters: &[u8], length: usize) -> Result<Zeroizing<String>, IdentityError> {
    let mut bytes = Zeroizing::new(vec![0_u8; length]);
    getrandom::fill(&mut bytes).map_err(|error| super::internal(&error.to_string()))?;
    let letter = |byte: &u8| letters.get(usize::from(*byte) % letters.len().max(1)).copied();
    Ok(Zeroizing::new(
        bytes.iter().filter_map(letter).map(char::from).collect(),
    ))
}
