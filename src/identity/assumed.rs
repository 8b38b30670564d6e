//! Temporary credentials of those who took on a role.
//!
//! The token carries which role, under what name, and who took it on with what. At every request both are looked up anew:
//! the role for what it may do, and whoever took it on for whether they are still let in. So a role that is changed or
//! removed, and a user, access key or identity provider that is disabled or removed, count at once.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::KeyParent;
use super::directory::Directory;
use super::error::IdentityError;
use super::federated::{CarriedPerson, Federation, Person, check_name, revocation_row};
use super::roles::role_arn;
use super::rules;
use super::snapshot::{Rights, Snapshot};
use super::temporary::{CarriedAccount, Draft, ROOT_ACCOUNT, SECONDS, Temporary};
use crate::auth::{Account, AssumedRole, Identity, Kind};
use crate::policy::Policy;

/// A role that can be taken on, and by whom.
#[derive(Clone, Debug)]
pub struct TrustedRole {
    name: String,
    canonical_id: String,
    seconds_max: u32,
    /// The ARN that names it.
    pub arn: String,
    /// The policy that says who may take it on.
    pub trust: Arc<Policy>,
}

/// Who takes on a role.
#[derive(Clone, Debug)]
pub enum RoleTaker<'a> {
    /// Whoever signed.
    Signed(&'a Identity),
    /// Somebody an identity provider vouches for.
    Person(Person),
}

/// What a token carries of a role. Fields are added, never given another meaning.
#[derive(Serialize, Deserialize)]
pub(super) struct CarriedRole {
    role: String,
    session: String,
    by: CarriedTaker,
    /// The access key that it was taken on with, where that was not the account's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    /// The generation of that key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key_generation: Option<String>,
}

/// The access key that a role is taken on with.
struct TakersKey {
    access_key: String,
    generation: Option<String>,
}

/// A role that was taken on, as it stands.
pub(super) struct StandingRole {
    pub(super) account: Account,
    pub(super) rights: Rights,
    pub(super) claims: BTreeMap<String, Vec<String>>,
    /// When the access key ends that it was taken on with (milliseconds since 1970), if it does by itself.
    pub(super) ends: Option<u64>,
}

#[derive(Serialize, Deserialize)]
enum CarriedTaker {
    Root,
    User { name: String, canonical_id: String },
    Person(CarriedPerson),
}

impl CarriedTaker {
    /// Whether whoever took on a role at this time (milliseconds since 1970) is still let in.
    fn stands(&self, snapshot: &Snapshot, federation: &Federation, issued: u64) -> bool {
        let is_there = match self {
            Self::Root => true,
            Self::User { name, canonical_id } => {
                let rights = snapshot.rights_of(name).and_then(Result::ok);
                rights.is_some_and(|rights| rights.canonical_id == *canonical_id)
            }
            Self::Person(person) => person.is_vouched_for(federation),
        };
        is_there && !snapshot.is_revoked(&self.row(), issued)
    }

    /// What they go by in rows of revocations.
    fn row(&self) -> Cow<'_, str> {
        match self {
            Self::Root => Cow::Borrowed(ROOT_ACCOUNT),
            Self::User { name, .. } => Cow::Borrowed(name),
            Self::Person(person) => Cow::Owned(revocation_row(person.name())),
        }
    }

    fn account(&self) -> Option<KeyParent> {
        match self {
            Self::Root => Some(KeyParent::Root),
            Self::User { name, .. } => Some(KeyParent::User(name.clone())),
            Self::Person(_) => None,
        }
    }
}

impl CarriedRole {
    /// What the role goes by in rows of revocations. No user's name holds `=`.
    pub(super) fn row(&self) -> String {
        format!("role={}", self.role)
    }

    /// Bytes that the groups and claims of whoever took it on take in a token, about.
    pub(super) fn weights(&self) -> [usize; 2] {
        match &self.by {
            CarriedTaker::Root | CarriedTaker::User { .. } => [0, 0],
            CarriedTaker::Person(person) => person.weights(),
        }
    }

    /// What whoever took it on goes by there.
    pub(super) fn row_of_taker(&self) -> Cow<'_, str> {
        self.by.row()
    }

    /// What of it holds still; `None`: nothing.
    pub(super) fn standing(self, snapshot: &Snapshot, federation: &Federation, issued: u64) -> Option<StandingRole> {
        if !self.by.stands(snapshot, federation, issued) {
            return None;
        }
        let mut ends = None;
        if let Some(key) = &self.key {
            // One that was made anew under the name, or has another secret, is another key.
            let standing = snapshot.rows.access_keys.get(key).filter(|_| snapshot.may_sign(key))?;
            if Some(&standing.parent) != self.by.account().as_ref()
                || standing.generation != self.key_generation
                || standing.created.millis() > issued
            {
                return None;
            }
            ends = standing.expires.map(|end| end.millis());
        }
        let role = snapshot.rows.roles.get(&self.role)?;
        let rights = Rights {
            canonical_id: role.canonical_id.clone(),
            groups: Vec::new(),
            policies: snapshot.named(&role.policies).ok()?,
        };
        let mut claims = match &self.by {
            CarriedTaker::Person(person) => person.claims(),
            CarriedTaker::Root | CarriedTaker::User { .. } => BTreeMap::new(),
        };
        for tag in &role.tags {
            claims.insert(format!("aws:principaltag/{}", tag.key), vec![tag.value.clone()]);
        }
        let path = role.path.as_deref().unwrap_or("/");
        Some(StandingRole {
            account: Account::Role(AssumedRole::new(&self.role, path, &self.session)),
            rights,
            claims,
            ends,
        })
    }
}

impl Directory {
    /// The role of this name, filed under `path`, for whoever wants to take it on.
    pub fn role_to_assume(&self, path: &str, name: &str) -> Result<TrustedRole, IdentityError> {
        let snapshot = self.snapshot()?;
        let none = || IdentityError::NoSuchRole(name.to_owned());
        let role = snapshot.rows.roles.get(name).ok_or_else(none)?;
        if role.path.as_deref().unwrap_or("/") != path {
            return Err(none());
        }
        Ok(TrustedRole {
            name: name.to_owned(),
            canonical_id: role.canonical_id.clone(),
            seconds_max: role.seconds_max,
            arn: role_arn(name, role.path.as_deref()),
            trust: Arc::clone(snapshot.trust(name).ok_or_else(none)?),
        })
    }

    /// Gives out a temporary credential of a role, narrowed by `policy`, under the name `session`; whether it may be given
    /// was decided before. It ends with what it was asked for with: an access key, or a provider's token.
    pub async fn issue_role(
        &self,
        role: &TrustedRole,
        by: RoleTaker<'_>,
        session: &str,
        seconds: u64,
        policy: Option<String>,
    ) -> Result<Temporary, IdentityError> {
        rules::session_name(session)?;
        if seconds < *SECONDS.start() {
            return Err(IdentityError::InvalidArgument(
                "a temporary credential lasts at least 900 seconds",
            ));
        }
        if seconds > u64::from(role.seconds_max) {
            return Err(IdentityError::InvalidArgument(
                "DurationSeconds is more than the MaxSessionDuration of the role",
            ));
        }
        let (by, key, end) = self.taker(by)?;
        let (key, key_generation) = key.map(|key| (key.access_key, key.generation)).unzip();
        let asked = self.now().millis().saturating_add(seconds.saturating_mul(1_000));
        self.seal_temporary(Draft {
            account: CarriedAccount::Role(CarriedRole {
                role: role.name.clone(),
                session: session.to_owned(),
                by,
                key,
                key_generation: key_generation.flatten(),
            }),
            canonical_id: role.canonical_id.clone(),
            expires: end.map_or(asked, |end| asked.min(end)),
            policy,
        })
        .await
    }

    /// Who takes on a role, with which access key, and when that ends (milliseconds since 1970).
    fn taker(&self, by: RoleTaker<'_>) -> Result<(CarriedTaker, Option<TakersKey>, Option<u64>), IdentityError> {
        const NOT_AGAIN: IdentityError = IdentityError::NotAllowed("temporary credentials take on no role");
        let (caller, snapshot) = match by {
            RoleTaker::Person(person) => {
                check_name(&person.name)?;
                let end = person.ends.millis();
                let carried = CarriedPerson::without_policies(person);
                return Ok((CarriedTaker::Person(carried), None, Some(end)));
            }
            RoleTaker::Signed(Identity::Anonymous) => return Err(IdentityError::NotAllowed("nobody is signed in")),
            RoleTaker::Signed(Identity::Root) => return Ok((CarriedTaker::Root, None, None)),
            RoleTaker::Signed(Identity::Caller(caller)) => (caller, self.snapshot()?),
        };
        let (key, end) = match caller.kind {
            Kind::User => (None, None),
            Kind::AccessKey => {
                let standing = snapshot.rows.access_keys.get(&caller.access_key);
                let standing = standing.ok_or_else(|| IdentityError::NoSuchAccessKey(caller.access_key.clone()))?;
                let key = TakersKey {
                    access_key: caller.access_key.clone(),
                    generation: standing.generation.clone(),
                };
                (Some(key), standing.expires.map(|end| end.millis()))
            }
            Kind::Temporary { .. } => return Err(NOT_AGAIN),
        };
        let taker = match &caller.account {
            Account::Root => CarriedTaker::Root,
            Account::User(name) => CarriedTaker::User {
                name: name.clone(),
                canonical_id: caller.canonical_id.clone(),
            },
            Account::Federated(_) | Account::Role(_) => return Err(NOT_AGAIN),
        };
        Ok((taker, key, end))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use storage_engine::store::clock::{Clock, Timestamp};
    use storage_engine::store::identity::DirectoryChange;

    use super::super::tests::{Ground, add, child, ground};
    use super::super::{AccessKeyChange, NewRole};
    use super::{Directory, RoleTaker};
    use crate::auth::{CredentialSource, Identity, SecretKey};

    const KEY: &str = "alices-key";

    async fn ground_with_app() -> (Ground, Directory) {
        let ground = ground();
        let directory = ground.open().await;
        add(&directory, "alice").await;
        let role = NewRole {
            name: "app".into(),
            path: None,
            trust: r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"AWS":"alice"}}]}"#.into(),
            description: String::new(),
            seconds_max: Some(7_200),
            tags: Vec::new(),
        };
        directory.create_role(role).await.unwrap();
        make_key(&directory).await;
        (ground, directory)
    }

    async fn make_key(directory: &Directory) {
        let new = child("alice", KEY);
        directory.add_access_key(&Identity::Root, new).await.unwrap();
    }

    async fn change(directory: &Directory, change: AccessKeyChange) {
        directory.change_access_key(&Identity::Root, KEY, change).await.unwrap();
    }

    fn with_secret(secret: &str) -> AccessKeyChange {
        AccessKeyChange {
            secret: Some(SecretKey::new(secret)),
            ..AccessKeyChange::default()
        }
    }

    fn ending(expires: Option<Timestamp>) -> AccessKeyChange {
        AccessKeyChange {
            expires: Some(expires),
            ..AccessKeyChange::default()
        }
    }

    /// Access key and token of the role, taken on for two hours.
    async fn taken(directory: &Directory, with: &str) -> (String, String) {
        let role = directory.role_to_assume("/", "app").unwrap();
        let by = directory.find(with).unwrap().identity;
        let given = directory.issue_role(&role, RoleTaker::Signed(&by), "me", 7_200, None);
        let given = given.await.unwrap();
        (
            given.access_key,
            String::from_utf8(given.token.expose().to_vec()).unwrap(),
        )
    }

    /// When it ends, in seconds since 1970; `None`: it opens nothing.
    fn end(directory: &Directory, (access_key, token): &(String, String)) -> Option<i64> {
        let found = directory.find_temporary(access_key, token)?;
        Some(found.expires.unwrap().unix_timestamp())
    }

    #[tokio::test]
    async fn what_was_taken_on_with_an_access_key_ends_when_the_key_has_another_secret() {
        let (_ground, directory) = ground_with_app().await;
        let (by_key, by_user) = (taken(&directory, KEY).await, taken(&directory, "alice").await);
        let described = AccessKeyChange {
            description: Some("for the printer".into()),
            ..AccessKeyChange::default()
        };
        change(&directory, described).await;
        assert!(end(&directory, &by_key).is_some());
        change(&directory, with_secret("another-secret")).await;
        assert_eq!(end(&directory, &by_key), None);
        assert!(end(&directory, &by_user).is_some());
        let again = taken(&directory, KEY).await;
        assert!(end(&directory, &again).is_some());
        change(&directory, with_secret("another-secret")).await;
        assert_eq!(end(&directory, &again), None, "also when it is the same secret");
    }

    #[tokio::test]
    async fn an_access_key_made_anew_revives_nothing_whatever_the_clock_says() {
        let (ground, directory) = ground_with_app().await;
        let before = taken(&directory, KEY).await;
        directory.remove_access_key(&Identity::Root, KEY).await.unwrap();
        assert_eq!(end(&directory, &before), None);
        ground.clock.0.fetch_sub(600_000, Ordering::Relaxed);
        make_key(&directory).await;
        assert_eq!(end(&directory, &before), None);
        let now = taken(&directory, KEY).await;
        assert!(end(&directory, &now).is_some());
    }

    #[tokio::test]
    async fn what_was_taken_on_with_an_access_key_ends_no_later_than_the_key() {
        let (ground, directory) = ground_with_app().await;
        let now = ground.clock.now();
        let seconds = i64::try_from(now.seconds()).unwrap();
        let given = taken(&directory, KEY).await;
        assert_eq!(end(&directory, &given), Some(seconds + 7_200));
        for (millis, ends) in [(600_000, 600), (6_000_000, 6_000), (60_000_000, 7_200)] {
            let expires = Timestamp::from_millis(now.millis() + millis);
            change(&directory, ending(Some(expires))).await;
            assert_eq!(end(&directory, &given), Some(seconds + ends));
        }
        change(&directory, ending(None)).await;
        assert_eq!(end(&directory, &given), Some(seconds + 7_200));
    }

    #[tokio::test]
    async fn an_access_key_of_before_there_were_generations_goes_on_and_gets_one_with_its_next_secret() {
        let (ground, directory) = ground_with_app().await;
        let rows = ground.store.load_directory().await.unwrap();
        let mut key = rows.access_keys[KEY].clone();
        assert!(key.generation.take().is_some());
        let old = [DirectoryChange::AccessKey(KEY.into(), Some(key))];
        ground.store.change_directory(rows.rev, &old).await.unwrap();
        drop(directory);
        let directory = ground.open().await;
        let given = taken(&directory, KEY).await;
        assert!(end(&directory, &given).is_some());
        change(&directory, with_secret("another-secret")).await;
        assert_eq!(end(&directory, &given), None);
        let rows = ground.store.load_directory().await.unwrap();
        assert!(rows.access_keys[KEY].generation.is_some());
    }
}
