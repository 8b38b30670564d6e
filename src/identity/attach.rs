//! Which policies users, groups and roles have.

use std::collections::BTreeSet;

use storage_engine::store::clock::Timestamp;
use storage_engine::store::identity::DirectoryChange;
use storage_engine::store::record::identity::{GroupRecord, RoleRecord, UserRecord};

use super::directory::Directory;
use super::error::IdentityError;
use super::ldap::LdapEntry;
use super::own::{is_inline, may_have};
use super::snapshot::Snapshot;

/// Whom policies are attached to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    User(String),
    Group(String),
    Role(String),
    /// Who is in no row of this directory and need not be known to it.
    Ldap(LdapEntry),
}

/// What an attaching or detaching did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attached {
    /// The policies that were not attached before, or no longer are; sorted.
    pub changed: Vec<String>,
    pub updated: Timestamp,
}

/// Which of [`Entities`] are asked for; all lists empty: everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntitiesAsked {
    pub users: Vec<String>,
    pub groups: Vec<String>,
    pub policies: Vec<String>,
}

/// Who has which policies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entities {
    /// User, its own policies, and those of each of its groups.
    pub users: Vec<UserEntities>,
    /// Group and its policies.
    pub groups: Vec<(String, Vec<String>)>,
    /// Policy, and the users and groups it is attached to.
    pub policies: Vec<PolicyEntities>,
}

/// The policies of one user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserEntities {
    pub user: String,
    pub policies: Vec<String>,
    /// Groups the user is a member of, with their policies.
    pub groups: Vec<(String, Vec<String>)>,
}

/// Whom one policy is attached to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicyEntities {
    pub policy: String,
    pub users: Vec<String>,
    pub groups: Vec<String>,
}

/// The policies attached to a target now.
pub(super) fn attached<'s>(snapshot: &'s Snapshot, target: &Target) -> Result<&'s [String], IdentityError> {
    match target {
        Target::User(name) => match snapshot.rows.users.get(name) {
            Some(user) => Ok(&user.policies),
            None => Err(IdentityError::NoSuchUser(name.clone())),
        },
        Target::Group(name) => match snapshot.rows.groups.get(name) {
            Some(group) => Ok(&group.policies),
            None => Err(IdentityError::NoSuchGroup(name.clone())),
        },
        Target::Role(name) => match snapshot.rows.roles.get(name) {
            Some(role) => Ok(&role.policies),
            None => Err(IdentityError::NoSuchRole(name.clone())),
        },
        Target::Ldap(entry) => snapshot.attached_to(entry),
    }
}

/// The target's row with these policies.
pub(super) fn with_policies(
    snapshot: &Snapshot,
    target: &Target,
    policies: BTreeSet<String>,
    now: Timestamp,
) -> Option<DirectoryChange> {
    let policies: Vec<String> = policies.into_iter().collect();
    Some(match target {
        Target::User(name) => {
            let record = UserRecord {
                updated: now,
                policies,
                ..snapshot.rows.users.get(name)?.clone()
            };
            DirectoryChange::User(name.clone(), Some(record))
        }
        Target::Group(name) => {
            let record = GroupRecord {
                updated: now,
                policies,
                ..snapshot.rows.groups.get(name)?.clone()
            };
            DirectoryChange::Group(name.clone(), Some(record))
        }
        Target::Role(name) => {
            let record = RoleRecord {
                updated: now,
                policies,
                ..snapshot.rows.roles.get(name)?.clone()
            };
            DirectoryChange::Role(name.clone(), Some(record))
        }
        Target::Ldap(entry) => snapshot.with_attached(entry, policies, now),
    })
}

fn all_exist(snapshot: &Snapshot, target: &Target, policies: &[String]) -> Result<(), IdentityError> {
    if policies.iter().any(|name| !may_have(target, name)) {
        return Err(IdentityError::InvalidArgument(
            "an inline policy belongs to one user, group or role and is attached to no other",
        ));
    }
    let missing = policies.iter().find(|name| snapshot.policy(name).is_none());
    missing.map_or(Ok(()), |name| Err(IdentityError::NoSuchPolicy(name.clone())))
}

impl Directory {
    /// Attaches policies, beside those attached already. All of them attached: [`IdentityError::AlreadyApplied`].
    pub async fn attach(&self, target: &Target, policies: &[String]) -> Result<Attached, IdentityError> {
        self.rearrange(target, policies, |standing, named| {
            standing.union(named).cloned().collect()
        })
        .await
    }

    /// Detaches policies. None of them attached: [`IdentityError::AlreadyApplied`].
    pub async fn detach(&self, target: &Target, policies: &[String]) -> Result<Attached, IdentityError> {
        self.rearrange(target, policies, |standing, named| {
            standing.difference(named).cloned().collect()
        })
        .await
    }

    /// Makes these the target's policies, and no others beside its inline ones, which are taken away one by one.
    pub async fn set_policies(&self, target: &Target, policies: &[String]) -> Result<(), IdentityError> {
        let (target, policies) = (target.clone(), policies.to_vec());
        self.change(move |snapshot, now| {
            let inline = attached(snapshot, &target)?.iter().filter(|name| is_inline(name));
            all_exist(snapshot, &target, &policies)?;
            let wanted = policies.iter().chain(inline).cloned().collect();
            let change = with_policies(snapshot, &target, wanted, now);
            Ok((change.into_iter().collect(), ()))
        })
        .await
    }

    async fn rearrange(
        &self,
        target: &Target,
        policies: &[String],
        wanted: fn(&BTreeSet<String>, &BTreeSet<String>) -> BTreeSet<String>,
    ) -> Result<Attached, IdentityError> {
        if policies.is_empty() {
            return Err(IdentityError::InvalidArgument("no policy is named"));
        }
        let (target, policies) = (target.clone(), policies.to_vec());
        self.change(move |snapshot, now| {
            let standing: BTreeSet<String> = attached(snapshot, &target)?.iter().cloned().collect();
            all_exist(snapshot, &target, &policies)?;
            let named = policies.iter().cloned().collect();
            let wanted = wanted(&standing, &named);
            let changed: Vec<String> = standing.symmetric_difference(&wanted).cloned().collect();
            if changed.is_empty() {
                return Err(IdentityError::AlreadyApplied);
            }
            let change = with_policies(snapshot, &target, wanted, now);
            let answer = Attached { changed, updated: now };
            Ok((change.into_iter().collect(), answer))
        })
        .await
    }

    /// Who has which policies. What is asked for and not there is left out.
    pub fn entities(&self, asked: &EntitiesAsked) -> Result<Entities, IdentityError> {
        let snapshot = self.snapshot()?;
        let everything = *asked == EntitiesAsked::default();
        let wants = |list: &[String], name: &String| everything || list.contains(name);
        let rows = &snapshot.rows;
        let policies_of = |group: &String| {
            rows.groups
                .get(group)
                .map_or(Vec::new(), |group| group.policies.clone())
        };
        let user_entities = |(name, user): (&String, &UserRecord)| UserEntities {
            user: name.clone(),
            policies: user.policies.clone(),
            groups: user
                .groups
                .iter()
                .map(|group| (group.clone(), policies_of(group)))
                .collect(),
        };
        let users = rows.users.iter().filter(|(name, user)| {
            // As long as nobody asks for them by name, those without policies say nothing.
            wants(&asked.users, name) && (!everything || !user.policies.is_empty())
        });
        let groups = rows
            .groups
            .iter()
            .filter(|(name, group)| wants(&asked.groups, name) && (!everything || !group.policies.is_empty()));
        let policies = snapshot.policies().keys().filter(|name| wants(&asked.policies, name));
        Ok(Entities {
            users: users.map(user_entities).collect(),
            groups: groups
                .map(|(name, group)| (name.clone(), group.policies.clone()))
                .collect(),
            policies: policies
                .map(|policy| policy_entities(&snapshot, policy))
                .filter(|found| !everything || !found.users.is_empty() || !found.groups.is_empty())
                .collect(),
        })
    }
}

fn policy_entities(snapshot: &Snapshot, policy: &str) -> PolicyEntities {
    let has = |policies: &[String]| policies.iter().any(|name| name == policy);
    let users = snapshot.rows.users.iter().filter(|(_, user)| has(&user.policies));
    let groups = snapshot.rows.groups.iter().filter(|(_, group)| has(&group.policies));
    PolicyEntities {
        policy: policy.to_owned(),
        users: users.map(|(name, _)| name.clone()).collect(),
        groups: groups.map(|(name, _)| name.clone()).collect(),
    }
}
