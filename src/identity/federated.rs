//! Temporary credentials of somebody whom an identity provider vouches for.
//!
//! They are in no row: the token carries who they are and what was said of them. What a provider's people may do is
//! looked up anew at every request, so a provider that is configured no longer, and a policy that changed, count at once.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use storage_engine::store::clock::Timestamp;

use super::directory::Directory;
use super::error::IdentityError;
use super::ldap::dn_key;
use super::own::is_inline;
use super::snapshot::{Rights, Snapshot};
use super::temporary::{CarriedAccount, Draft, SECONDS, Temporary};
use crate::auth::{Account, Caller, Federated, Identity, Kind};
use crate::policy::Policy;

const CANONICAL_PURPOSE: &[u8] = b"drystone federated 1\0";
/// The id, in [`Federation`], of the LDAP server; those of all other providers hold a `:`.
pub const LDAP_PROVIDER: &str = "ldap";

/// The condition key of the LDAP server's groups of somebody.
const LDAP_GROUPS: &str = "ldap:groups";

/// Most bytes of a name: it is carried in every token.
const NAME_BYTES_MAX: usize = 512;

/// What the people of the configured providers have, by the provider's id.
pub type Federation = BTreeMap<String, FederationRights>;

/// What the people of one provider have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FederationRights {
    /// The policies that their own tokens name.
    OwnClaims,
    /// These, all of them.
    Policies(Vec<String>),
    /// Those that are attached here to them and to the groups they are in, as users and groups of an LDAP server.
    Attached,
}

/// Somebody a provider vouches for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// The id of the provider, a key of [`Federation`].
    pub provider: String,
    /// A name that nobody else ever has: the issuer's and theirs.
    pub name: String,
    /// The groups the provider says they are in; sorted, and called like no group of the directory.
    pub groups: Vec<String>,
    /// What else was said of them, by condition key. `ldap:groups` comes from the groups by itself.
    pub claims: BTreeMap<String, Vec<String>>,
    /// The policies that were named for them.
    pub policies: Vec<String>,
    /// Until when they are vouched for.
    pub ends: Timestamp,
}

/// A [`Person`] as a token carries it. Fields are added, never given another meaning.
#[derive(Serialize, Deserialize)]
pub(super) struct CarriedPerson {
    provider: String,
    name: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    groups: Vec<String>,
    claims: BTreeMap<String, Vec<String>>,
    policies: Vec<String>,
}

/// The canonical id of somebody an identity provider vouches for, by the name that tells them from all others
/// (`ISSUER#SUBJECT`, or a distinguished name, which holds no `#`): always the same, and that of no user. Upper and lower
/// case make no difference in a distinguished name, and they do in an issuer's subjects.
pub fn person_id(name: &str) -> String {
    let name = match name.contains('#') {
        true => Cow::Borrowed(name),
        false => Cow::Owned(dn_key(name)),
    };
    let hash = digest(&SHA256, &[CANONICAL_PURPOSE, name.as_bytes()].concat());
    hex_simd::encode_to_string(hash, hex_simd::AsciiCase::Lower)
}

/// Whether a token can carry the name.
pub(super) fn check_name(name: &str) -> Result<(), IdentityError> {
    match name.len() > NAME_BYTES_MAX {
        true => Err(IdentityError::InvalidArgument(
            "what the identity provider calls the user is longer than a name may be",
        )),
        false => Ok(()),
    }
}

/// What a name goes by in rows of revocations. No user's name holds `=`.
pub(super) fn revocation_row(name: &str) -> String {
    format!("federated={}", person_id(name))
}

impl From<Person> for CarriedPerson {
    fn from(person: Person) -> Self {
        Self {
            provider: person.provider,
            name: person.name,
            groups: person.groups,
            claims: person.claims,
            policies: person.policies,
        }
    }
}

impl CarriedPerson {
    /// Whom a role was given to: the role's policies count, and none of theirs.
    pub(super) fn without_policies(person: Person) -> Self {
        Self {
            provider: person.provider,
            name: person.name,
            groups: person.groups,
            claims: person.claims,
            policies: Vec::new(),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// What was said of them, by condition key.
    pub(super) fn claims(&self) -> BTreeMap<String, Vec<String>> {
        claims_of(&self.provider, &self.groups, &self.claims)
    }

    /// Bytes that its groups and its claims take in a token, about.
    pub(super) fn weights(&self) -> [usize; 2] {
        let bytes = |texts: &[String]| texts.iter().map(|text| text.len().saturating_add(3)).sum::<usize>();
        let claims = self
            .claims
            .iter()
            .map(|(key, values)| key.len().saturating_add(bytes(values)));
        [bytes(&self.groups), claims.sum()]
    }

    /// Whether their provider still stands in the settings.
    pub(super) fn is_vouched_for(&self, federation: &Federation) -> bool {
        federation.contains_key(&self.provider)
    }

    /// Account, rights and claims as they stand; `None`: nothing of it holds any more.
    pub(super) fn standing(
        self,
        snapshot: &Snapshot,
        federation: &Federation,
    ) -> Option<(Account, Rights, BTreeMap<String, Vec<String>>)> {
        let policies = snapshot.policies_of(&self, federation).ok()?;
        let claims = self.claims();
        let rights = Rights {
            canonical_id: person_id(&self.name),
            groups: self.groups,
            policies,
        };
        Some((Account::Federated(Federated::new(&self.name)), rights, claims))
    }
}

/// What was said of somebody; the groups of an LDAP server are carried once and are a claim as well.
fn claims_of(
    provider: &str,
    groups: &[String],
    claims: &BTreeMap<String, Vec<String>>,
) -> BTreeMap<String, Vec<String>> {
    let mut claims = claims.clone();
    if provider == LDAP_PROVIDER && !groups.is_empty() {
        claims.insert(LDAP_GROUPS.to_owned(), groups.to_vec());
    }
    claims
}

impl Snapshot {
    /// The policies of a provider's people, or why there are none. What is not defined counts for nothing; what cannot be
    /// read may be the one that denies.
    fn policies_of(&self, person: &CarriedPerson, federation: &Federation) -> Result<Vec<Arc<Policy>>, IdentityError> {
        const NONE: IdentityError = IdentityError::InvalidArgument(
            "none of the policies that the identity provider or its settings name is there",
        );
        const UNATTACHED: IdentityError =
            IdentityError::InvalidArgument("no policy is attached to the user or to any of its groups");
        let (names, none): (Vec<&String>, _) = match federation.get(&person.provider) {
            None => return Err(IdentityError::NotAllowed("the identity provider is not configured")),
            Some(FederationRights::OwnClaims) => (person.policies.iter().collect(), NONE),
            Some(FederationRights::Policies(names)) => (names.iter().collect(), NONE),
            Some(FederationRights::Attached) => {
                let names = self.ldap_policies(&person.name, &person.groups)?;
                (names.into_iter().collect(), UNATTACHED)
            }
        };
        let defined = names
            .into_iter()
            // What stands inline belongs to one user or group alone.
            .filter(|name| !is_inline(name))
            .filter(|name| self.policy(name).is_some() || self.has_policy_row(name));
        let policies = self.named(defined);
        let policies = policies.map_err(|_| IdentityError::NotAllowed("a policy of the caller cannot be read"))?;
        if policies.is_empty() { Err(none) } else { Ok(policies) }
    }
}

impl Directory {
    /// Who would sign with a credential of this person: for what is to be decided before it is given out.
    pub fn person(&self, person: &Person) -> Result<Identity, IdentityError> {
        let snapshot = self.snapshot()?;
        let policies = snapshot.policies_of(&person.clone().into(), self.federation())?;
        let latest = self.now().seconds().saturating_add(*SECONDS.end());
        let seconds = i64::try_from(person.ends.seconds().min(latest)).unwrap_or(i64::MAX);
        let expires = time::OffsetDateTime::from_unix_timestamp(seconds);
        Ok(Identity::Caller(Arc::new(Caller {
            access_key: String::new(),
            kind: Kind::Temporary {
                expires: expires.map_err(|_| IdentityError::InvalidArgument("the token lasts too long"))?,
            },
            account: Account::Federated(Federated::new(&person.name)),
            canonical_id: person_id(&person.name),
            groups: person.groups.clone(),
            claims: claims_of(&person.provider, &person.groups, &person.claims),
            policies,
            session: None,
        })))
    }

    /// Gives out a temporary credential to somebody a provider vouches for, narrowed by `policy`: for so many seconds, or
    /// as long as they are vouched for, whichever is shorter.
    pub async fn issue_to_person(
        &self,
        person: Person,
        seconds: Option<u64>,
        policy: Option<String>,
    ) -> Result<Temporary, IdentityError> {
        check_name(&person.name)?;
        let snapshot = self.snapshot()?;
        let (canonical_id, ends) = (person_id(&person.name), person.ends);
        let carried = CarriedPerson::from(person);
        snapshot.policies_of(&carried, self.federation())?;
        let asked = seconds.unwrap_or(*SECONDS.end());
        if !SECONDS.contains(&asked) {
            return Err(IdentityError::InvalidArgument(
                "a temporary credential lasts 900 to 604800 seconds",
            ));
        }
        let now = self.now().millis();
        let expires = now.saturating_add(asked.saturating_mul(1_000)).min(ends.millis());
        let account = CarriedAccount::Person(carried);
        self.seal_temporary(Draft {
            account,
            canonical_id,
            expires,
            policy,
        })
        .await
    }

    /// Refuses, from the next request on, every temporary credential given out so far to the person of this name.
    pub async fn revoke_person(&self, name: &str) -> Result<(), IdentityError> {
        let row = revocation_row(name);
        self.change(move |snapshot, now| Ok((vec![super::revocation(snapshot, &row, now)], ())))
            .await
    }
}
