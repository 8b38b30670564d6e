//! Named policies: the operator's, and those every store has.

use storage_engine::store::clock::Timestamp;
use storage_engine::store::identity::{DirectoryChange, RowKind};
use storage_engine::store::record::identity::PolicyRecord;

use super::directory::Directory;
use super::error::IdentityError;
use super::ldap::LdapEntry;
use super::own::is_inline;
use super::rules;
use super::snapshot::Snapshot;
use crate::policy::{Kind, Policy, PolicyError, canned};

/// A named policy as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyView {
    pub name: String,
    /// JSON as its author wrote it.
    pub text: String,
    /// `None`: one that every store has.
    pub created: Option<Timestamp>,
    pub updated: Option<Timestamp>,
}

fn view(snapshot: &Snapshot, name: &str, policy: &Policy) -> PolicyView {
    let record = snapshot.rows.policies.get(name);
    PolicyView {
        name: name.to_owned(),
        text: policy.text().to_owned(),
        created: record.map(|record| record.created),
        updated: record.map(|record| record.updated),
    }
}

/// Checks the policy of an access key or temporary credential.
pub(super) fn check_session(text: &str) -> Result<Policy, IdentityError> {
    Policy::parse(text.as_bytes(), Kind::Session).map_err(|error| match error {
        PolicyError::TooLarge { limit } => IdentityError::SessionPolicyTooLarge(limit),
        PolicyError::NotJson(_) | PolicyError::Document(_) | PolicyError::Statement { .. } => {
            IdentityError::MalformedPolicy(error.to_string())
        }
    })
}

/// Who a policy is attached to, in words; `None`: nobody.
fn users_of(snapshot: &Snapshot, policy: &str) -> Option<String> {
    let has = |policies: &[String]| policies.iter().any(|name| name == policy);
    let user = snapshot.rows.users.iter().find(|(_, user)| has(&user.policies));
    let group = snapshot.rows.groups.iter().find(|(_, group)| has(&group.policies));
    let role = snapshot.rows.roles.iter().find(|(_, role)| has(&role.policies));
    let here = match (user, group, role) {
        (Some((name, _)), _, _) => Some(format!("attached to user '{name}'")),
        (None, Some((name, _)), _) => Some(format!("attached to group '{name}'")),
        (None, None, Some((name, _))) => Some(format!("attached to role '{name}'")),
        (None, None, None) => None,
    };
    here.or_else(|| {
        let mut elsewhere = snapshot.rows.attachments.iter();
        let (row, record) = elsewhere.find(|(_, row)| has(&row.policies))?;
        Some(match LdapEntry::of_row(row, record) {
            Some(entry) => format!("attached to '{}' of the LDAP server", entry.dn()),
            None => "attached to somebody whom this version does not know".to_owned(),
        })
    })
}

impl Snapshot {
    /// Whether the operator has a policy of this name, be it one that does not read.
    pub(super) fn has_policy_row(&self, name: &str) -> bool {
        self.rows.policies.contains_key(name) || self.rows.is_unreadable(RowKind::Policy, name)
    }
}

impl Directory {
    /// Makes a policy, or gives an existing one another text. One under the name of a policy that every store has takes
    /// its place until it is removed.
    pub async fn put_policy(&self, name: &str, document: &[u8]) -> Result<(), IdentityError> {
        rules::name(name)?;
        if is_inline(name) {
            return Err(IdentityError::InvalidArgument(
                "names that begin with 'inline/' are those of inline policies",
            ));
        }
        if name.starts_with(canned::OF_AWS) {
            return Err(IdentityError::InvalidArgument(
                "names that begin with 'aws/' are those of AWS's own policies",
            ));
        }
        let policy = Policy::parse(document, Kind::Identity);
        let policy = policy.map_err(|error| IdentityError::MalformedPolicy(error.to_string()))?;
        let (name, text) = (name.to_owned(), policy.text().to_owned());
        self.change(move |snapshot, now| {
            let created = snapshot.rows.policies.get(&name).map_or(now, |record| record.created);
            let record = PolicyRecord {
                created,
                updated: now,
                text: text.clone(),
            };
            Ok((vec![DirectoryChange::Policy(name.clone(), Some(record))], ()))
        })
        .await
    }

    /// All policies, by name, but for AWS's own: they are there for clients that know them.
    pub fn policies(&self) -> Result<Vec<PolicyView>, IdentityError> {
        let snapshot = self.snapshot()?;
        Ok(snapshot
            .policies()
            .iter()
            .filter(|(name, _)| !name.starts_with(canned::OF_AWS))
            .map(|(name, policy)| view(&snapshot, name, policy))
            .collect())
    }

    /// One policy.
    pub fn policy(&self, name: &str) -> Result<PolicyView, IdentityError> {
        let snapshot = self.snapshot()?;
        let policy = snapshot.policy(name);
        let policy = policy.ok_or_else(|| IdentityError::NoSuchPolicy(name.to_owned()))?;
        Ok(view(&snapshot, name, policy))
    }

    /// Removes a policy that is attached to nobody.
    pub async fn remove_policy(&self, name: &str) -> Result<(), IdentityError> {
        let name = name.to_owned();
        self.change(move |snapshot, _now| {
            let built_in = canned::find(&name).is_some();
            match (snapshot.has_policy_row(&name), built_in) {
                (false, true) => return Err(IdentityError::PolicyBuiltIn(name.clone())),
                (false, false) => return Err(IdentityError::NoSuchPolicy(name.clone())),
                // Users of this name fall back to the store's own, which is not what they were given.
                (true, _) => {
                    if let Some(by) = users_of(snapshot, &name) {
                        return Err(IdentityError::PolicyInUse(by));
                    }
                }
            }
            Ok((vec![DirectoryChange::Policy(name.clone(), None)], ()))
        })
        .await
    }
}
