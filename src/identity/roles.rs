//! Roles: rights that others take on for a while, and who may.

use std::collections::BTreeMap;

use storage_engine::store::clock::Timestamp;
use storage_engine::store::identity::{DirectoryChange, RowKind};
use storage_engine::store::record::identity::{RoleRecord, RoleTag};

use super::directory::Directory;
use super::error::IdentityError;
use super::own::checked_path;
use super::rules;
use super::snapshot::Snapshot;
use super::users::canonical_id;
use crate::policy::{ACCOUNT_ID, Kind, Policy};

/// How long a role may be taken on at most, in seconds, as AWS has it.
const SECONDS: std::ops::RangeInclusive<u32> = 3_600..=43_200;
const DESCRIPTION_BYTES_MAX: usize = 1_000;
const TAGS_MAX: usize = 50;
const TAG_KEY_CHARS_MAX: usize = 128;
const TAG_VALUE_CHARS_MAX: usize = 256;
/// Most roles, as AWS has it.
const ROLES_MAX: usize = 1_000;

/// A role to be made.
#[derive(Clone, Debug)]
pub struct NewRole {
    pub name: String,
    /// `None`: `/`.
    pub path: Option<String>,
    /// JSON of the policy that says who may take it on.
    pub trust: String,
    pub description: String,
    /// `None`: an hour.
    pub seconds_max: Option<u32>,
    pub tags: Vec<(String, String)>,
}

/// What is to change of a role; `None` leaves a part as it is.
#[derive(Clone, Debug, Default)]
pub struct RoleChange {
    /// JSON of the policy that says who may take it on.
    pub trust: Option<String>,
    pub description: Option<String>,
    pub seconds_max: Option<u32>,
}

/// A role as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleView {
    pub name: String,
    /// 64 hexadecimal digits that never change.
    pub canonical_id: String,
    /// JSON as its author wrote it.
    pub trust: String,
    pub description: String,
    /// How long it may be taken on at most.
    pub seconds_max: u32,
    /// Where IAM's clients file it; `None`: `/`.
    pub path: Option<String>,
    /// By key.
    pub tags: Vec<(String, String)>,
    pub created: Timestamp,
}

impl RoleView {
    fn of(name: &str, role: &RoleRecord) -> Self {
        let tags = role.tags.iter().map(|tag| (tag.key.clone(), tag.value.clone()));
        Self {
            name: name.to_owned(),
            canonical_id: role.canonical_id.clone(),
            trust: role.trust.clone(),
            description: role.description.clone(),
            seconds_max: role.seconds_max,
            path: role.path.clone(),
            tags: tags.collect(),
            created: role.created,
        }
    }

    /// The ARN that names it.
    pub fn arn(&self) -> String {
        role_arn(&self.name, self.path.as_deref())
    }
}

/// The ARN of a role.
pub(super) fn role_arn(name: &str, path: Option<&str>) -> String {
    format!("arn:aws:iam::{ACCOUNT_ID}:role{}{name}", path.unwrap_or("/"))
}

/// The role of that name. No two differ in upper and lower case alone, so either finds it.
fn existing<'s>(snapshot: &'s Snapshot, name: &str) -> Result<(&'s String, &'s RoleRecord), IdentityError> {
    let roles = &snapshot.rows.roles;
    let found = roles.get_key_value(name);
    let found = found.or_else(|| roles.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)));
    found.ok_or_else(|| IdentityError::NoSuchRole(name.to_owned()))
}

fn checked_trust(text: &str) -> Result<(), IdentityError> {
    let parsed = Policy::parse(text.as_bytes(), Kind::Trust);
    parsed
        .map(drop)
        .map_err(|error| IdentityError::MalformedPolicy(error.to_string()))
}

fn checked_description(text: &str) -> Result<(), IdentityError> {
    match text.len() > DESCRIPTION_BYTES_MAX {
        true => Err(IdentityError::InvalidArgument("a description has at most 1000 bytes")),
        false => Ok(()),
    }
}

fn checked_seconds(seconds: u32) -> Result<(), IdentityError> {
    match SECONDS.contains(&seconds) {
        true => Ok(()),
        false => Err(IdentityError::InvalidArgument(
            "MaxSessionDuration is 3600 to 43200 seconds",
        )),
    }
}

/// The tags with these put in. AWS knows no case in their keys: a tag takes the place of one that differs in case alone.
fn with_tags(standing: &[RoleTag], put: &[(String, String)]) -> Result<Vec<RoleTag>, IdentityError> {
    let mut tags: BTreeMap<String, RoleTag> = standing
        .iter()
        .map(|tag| (tag.key.to_lowercase(), tag.clone()))
        .collect();
    for (key, value) in put {
        let key_fits = (1..=TAG_KEY_CHARS_MAX).contains(&key.chars().count());
        let fits = key_fits && value.chars().count() <= TAG_VALUE_CHARS_MAX;
        let named_by_aws = key.to_lowercase().starts_with("aws:");
        if !fits || named_by_aws || key.chars().chain(value.chars()).any(char::is_control) {
            return Err(IdentityError::InvalidArgument(
                "a tag's key has 1 to 128 characters and does not begin with 'aws:', its value has at most 256",
            ));
        }
        let tag = RoleTag {
            key: key.clone(),
            value: value.clone(),
        };
        tags.insert(key.to_lowercase(), tag);
    }
    match tags.len() > TAGS_MAX {
        true => Err(IdentityError::TooMany("a role has at most 50 tags")),
        false => Ok(tags.into_values().collect()),
    }
}

impl Directory {
    /// Makes a role without policies.
    pub async fn create_role(&self, new: NewRole) -> Result<(), IdentityError> {
        rules::role_name(&new.name)?;
        checked_trust(&new.trust)?;
        checked_description(&new.description)?;
        let seconds_max = new.seconds_max.unwrap_or(*SECONDS.start());
        checked_seconds(seconds_max)?;
        let (path, tags) = (checked_path(new.path.clone())?, with_tags(&[], &new.tags)?);
        let canonical_id = canonical_id()?;
        self.change(move |snapshot, now| {
            let taken = existing(snapshot, &new.name).is_ok();
            if taken || snapshot.rows.is_unreadable(RowKind::Role, &new.name) {
                return Err(IdentityError::AlreadyThere("role"));
            }
            if snapshot.rows.roles.len() >= ROLES_MAX {
                return Err(IdentityError::TooMany("there are at most 1000 roles"));
            }
            let record = RoleRecord {
                created: now,
                updated: now,
                canonical_id: canonical_id.clone(),
                trust: new.trust.clone(),
                description: new.description.clone(),
                seconds_max,
                policies: Vec::new(),
                path: path.clone(),
                tags: tags.clone(),
            };
            Ok((vec![DirectoryChange::Role(new.name.clone(), Some(record))], ()))
        })
        .await
    }

    /// All roles, by name.
    pub fn roles(&self) -> Result<Vec<RoleView>, IdentityError> {
        let snapshot = self.snapshot()?;
        let roles = snapshot.rows.roles.iter();
        Ok(roles.map(|(name, role)| RoleView::of(name, role)).collect())
    }

    /// One role; upper and lower case in its name do not count.
    pub fn role(&self, name: &str) -> Result<RoleView, IdentityError> {
        let snapshot = self.snapshot()?;
        let (name, role) = existing(&snapshot, name)?;
        Ok(RoleView::of(name, role))
    }

    /// Changes a role; in force from the next request on.
    pub async fn change_role(&self, name: &str, change: RoleChange) -> Result<(), IdentityError> {
        change.trust.as_deref().map(checked_trust).transpose()?;
        change.description.as_deref().map(checked_description).transpose()?;
        change.seconds_max.map(checked_seconds).transpose()?;
        let name = name.to_owned();
        self.change(move |snapshot, now| {
            let (name, standing) = existing(snapshot, &name)?;
            let mut role = standing.clone();
            role.updated = now;
            role.trust = change.trust.clone().unwrap_or(role.trust);
            role.description = change.description.clone().unwrap_or(role.description);
            role.seconds_max = change.seconds_max.unwrap_or(role.seconds_max);
            Ok((vec![DirectoryChange::Role(name.clone(), Some(role))], ()))
        })
        .await
    }

    /// Puts tags on a role, in the place of those of the same keys.
    pub async fn tag_role(&self, name: &str, tags: Vec<(String, String)>) -> Result<(), IdentityError> {
        let name = name.to_owned();
        self.change(move |snapshot, now| {
            let (name, standing) = existing(snapshot, &name)?;
            let role = RoleRecord {
                updated: now,
                tags: with_tags(&standing.tags, &tags)?,
                ..standing.clone()
            };
            Ok((vec![DirectoryChange::Role(name.clone(), Some(role))], ()))
        })
        .await
    }

    /// Takes tags off a role by their keys; one that is not there is nothing to complain of.
    pub async fn untag_role(&self, name: &str, keys: Vec<String>) -> Result<(), IdentityError> {
        let name = name.to_owned();
        self.change(move |snapshot, now| {
            let (name, standing) = existing(snapshot, &name)?;
            let mut role = standing.clone();
            role.updated = now;
            let named = |tag: &RoleTag| keys.iter().any(|key| key.to_lowercase() == tag.key.to_lowercase());
            role.tags.retain(|tag| !named(tag));
            Ok((vec![DirectoryChange::Role(name.clone(), Some(role))], ()))
        })
        .await
    }
}
