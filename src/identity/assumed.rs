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
use super::access_keys::end_of;
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

    /// What whoever took it on goes by there.
    pub(super) fn row_of_taker(&self) -> Cow<'_, str> {
        self.by.row()
    }

    /// Account, rights and claims as they stand; `None`: nothing of it holds any more.
    pub(super) fn standing(
        self,
        snapshot: &Snapshot,
        federation: &Federation,
        issued: u64,
    ) -> Option<(Account, Rights, BTreeMap<String, Vec<String>>)> {
        if !self.by.stands(snapshot, federation, issued) {
            return None;
        }
        if let Some(key) = &self.key {
            // One that was made anew under the name is another key.
            let standing = snapshot.rows.access_keys.get(key).filter(|_| snapshot.may_sign(key))?;
            if Some(&standing.parent) != self.by.account().as_ref() || standing.created.millis() > issued {
                return None;
            }
        }
        let role = snapshot.rows.roles.get(&self.role)?;
        let rights = Rights {
            canonical_id: role.canonical_id.clone(),
            groups: Vec::new(),
            policies: snapshot.named(&role.policies).ok()?,
        };
        let mut claims = match &self.by {
            CarriedTaker::Person(person) => person.claims().clone(),
            CarriedTaker::Root | CarriedTaker::User { .. } => BTreeMap::new(),
        };
        for tag in &role.tags {
            claims.insert(format!("aws:principaltag/{}", tag.key), vec![tag.value.clone()]);
        }
        let path = role.path.as_deref().unwrap_or("/");
        let account = Account::Role(AssumedRole::new(&self.role, path, &self.session));
        Some((account, rights, claims))
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
        let asked = self.now().millis().saturating_add(seconds.saturating_mul(1_000));
        self.seal_temporary(Draft {
            account: CarriedAccount::Role(CarriedRole {
                role: role.name.clone(),
                session: session.to_owned(),
                by,
                key,
            }),
            canonical_id: role.canonical_id.clone(),
            expires: end.map_or(asked, |end| asked.min(end)),
            policy,
        })
        .await
    }

    /// Who takes on a role, with which access key, and when that ends (milliseconds since 1970).
    fn taker(&self, by: RoleTaker<'_>) -> Result<(CarriedTaker, Option<String>, Option<u64>), IdentityError> {
        const NOT_AGAIN: IdentityError = IdentityError::NotAllowed("temporary credentials take on no role");
        let caller = match by {
            RoleTaker::Person(person) => {
                check_name(&person.name)?;
                let end = person.ends.millis();
                let carried = CarriedPerson::without_policies(person);
                return Ok((CarriedTaker::Person(carried), None, Some(end)));
            }
            RoleTaker::Signed(Identity::Anonymous) => return Err(IdentityError::NotAllowed("nobody is signed in")),
            RoleTaker::Signed(Identity::Root) => return Ok((CarriedTaker::Root, None, None)),
            RoleTaker::Signed(by @ Identity::Caller(caller)) => {
                let end = end_of(&*self.snapshot()?, by).map(|end| end.millis());
                (caller, end)
            }
        };
        let (caller, end) = caller;
        let key = match caller.kind {
            Kind::User => None,
            Kind::AccessKey => Some(caller.access_key.clone()),
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
