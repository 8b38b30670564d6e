//! Groups: their members and status.

use std::collections::BTreeMap;

use storage_engine::store::clock::Timestamp;
use storage_engine::store::identity::{DirectoryChange, RowKind};
use storage_engine::store::record::identity::{GroupRecord, UserRecord};

use super::attach::Target;
use super::directory::Directory;
use super::error::IdentityError;
use super::rules;
use super::snapshot::Snapshot;
use super::users;

/// A group as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupView {
    pub name: String,
    pub enabled: bool,
    /// Sorted.
    pub members: Vec<String>,
    /// Sorted.
    pub policies: Vec<String>,
    /// Where IAM's clients file it; `None`: `/`.
    pub path: Option<String>,
    pub created: Timestamp,
    pub updated: Timestamp,
}

fn existing<'s>(snapshot: &'s Snapshot, name: &str) -> Result<&'s GroupRecord, IdentityError> {
    let found = snapshot.rows.groups.get(name);
    found.ok_or_else(|| IdentityError::NoSuchGroup(name.to_owned()))
}

/// The members of a group, sorted.
pub(super) fn members(snapshot: &Snapshot, group: &str) -> Vec<String> {
    let is_member = |user: &UserRecord| user.groups.iter().any(|name| name == group);
    let users = snapshot.rows.users.iter();
    users
        .filter(|(_, user)| is_member(user))
        .map(|(name, _)| name.clone())
        .collect()
}

/// The row of a user who joins or leaves a group; `None`: nothing changes.
fn moved(name: &str, user: &UserRecord, group: &str, joins: bool, now: Timestamp) -> Option<DirectoryChange> {
    let place = user.groups.binary_search_by(|probe| probe.as_str().cmp(group));
    let mut groups = user.groups.clone();
    match (place, joins) {
        (Ok(_), true) | (Err(_), false) => return None,
        (Err(at), true) => groups.insert(at, group.to_owned()),
        (Ok(at), false) => drop(groups.remove(at)),
    }
    let record = UserRecord {
        updated: now,
        groups,
        ..user.clone()
    };
    Some(DirectoryChange::User(name.to_owned(), Some(record)))
}

/// Takes a group away that does not read, and its members out of it: nobody can take them out one by one.
fn without(snapshot: &Snapshot, group: &str, now: Timestamp) -> Vec<DirectoryChange> {
    let users = snapshot.rows.users.iter();
    let mut changes: Vec<DirectoryChange> = users
        .filter_map(|(name, user)| moved(name, user, group, false, now))
        .collect();
    changes.push(DirectoryChange::Group(group.to_owned(), None));
    changes
}

impl Directory {
    /// Makes users members of a group, which is made if it is not there. All of them must exist.
    pub async fn add_members(&self, group: &str, members: &[String]) -> Result<(), IdentityError> {
        rules::name(group)?;
        if members.iter().any(|name| name == self.root_access_key()) {
            return Err(IdentityError::NotAllowed("root is in no group"));
        }
        let (group, members) = (group.to_owned(), members.to_vec());
        self.change(move |snapshot, now| {
            snapshot.must_read(RowKind::Group, &group)?;
            let record = match snapshot.rows.groups.get(&group) {
                Some(standing) => GroupRecord {
                    updated: now,
                    ..standing.clone()
                },
                None => GroupRecord {
                    created: now,
                    updated: now,
                    enabled: true,
                    policies: Vec::new(),
                    path: None,
                },
            };
            // By name: one that is given twice changes one row.
            let mut changes = BTreeMap::new();
            for name in &members {
                let user = users::existing(snapshot, name)?;
                changes.insert(name, moved(name, user, &group, true, now));
            }
            let mut changes: Vec<DirectoryChange> = changes.into_values().flatten().collect();
            changes.push(DirectoryChange::Group(group.clone(), Some(record)));
            Ok((changes, ()))
        })
        .await
    }

    /// Takes users out of a group. None named: removes the group, which must have no members then.
    pub async fn remove_members(&self, group: &str, members: &[String]) -> Result<(), IdentityError> {
        let (group, leaving) = (group.to_owned(), members.to_vec());
        self.change(move |snapshot, now| {
            if leaving.is_empty() && snapshot.rows.is_unreadable(RowKind::Group, &group) {
                return Ok((without(snapshot, &group, now), ()));
            }
            let standing = existing(snapshot, &group)?;
            if leaving.is_empty() {
                if !self::members(snapshot, &group).is_empty() {
                    return Err(IdentityError::GroupNotEmpty);
                }
                let mut changes = super::own::inline_of(snapshot, &Target::Group(group.clone()));
                changes.push(DirectoryChange::Group(group.clone(), None));
                return Ok((changes, ()));
            }
            let mut changes = BTreeMap::new();
            for name in &leaving {
                let user = users::existing(snapshot, name)?;
                changes.insert(name, moved(name, user, &group, false, now));
            }
            let record = GroupRecord {
                updated: now,
                ..standing.clone()
            };
            let mut changes: Vec<DirectoryChange> = changes.into_values().flatten().collect();
            changes.push(DirectoryChange::Group(group.clone(), Some(record)));
            Ok((changes, ()))
        })
        .await
    }

    /// Enables or disables a group. Members of a disabled group have none of its policies.
    pub async fn set_group_status(&self, group: &str, enabled: bool) -> Result<(), IdentityError> {
        let group = group.to_owned();
        self.change(move |snapshot, now| {
            let record = GroupRecord {
                updated: now,
                enabled,
                ..existing(snapshot, &group)?.clone()
            };
            Ok((vec![DirectoryChange::Group(group.clone(), Some(record))], ()))
        })
        .await
    }

    /// The names of all groups, sorted.
    pub fn groups(&self) -> Result<Vec<String>, IdentityError> {
        Ok(self.snapshot()?.rows.groups.keys().cloned().collect())
    }

    /// One group.
    pub fn group(&self, name: &str) -> Result<GroupView, IdentityError> {
        let snapshot = self.snapshot()?;
        let group = existing(&snapshot, name)?;
        Ok(GroupView {
            name: name.to_owned(),
            enabled: group.enabled,
            members: members(&snapshot, name),
            policies: group.policies.clone(),
            path: group.path.clone(),
            created: group.created,
            updated: group.updated,
        })
    }
}
