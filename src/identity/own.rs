//! What AWS's IAM asks of the directory in words of its own: making without replacing, taking away only what is bare, and
//! policies that belong to one user, group or role (inline policies).
//!
//! An inline policy is a policy like any other, under a name that tells whose it is, attached to that one and gone with it.

use storage_engine::store::identity::{DirectoryChange, RowKind};
use storage_engine::store::record::identity::{GroupRecord, KeyParent, PolicyRecord, UserRecord};

use super::attach::{Target, attached, with_policies};
use super::directory::Directory;
use super::error::IdentityError;
use super::groups::members;
use super::rules;
use super::snapshot::Snapshot;
use super::users::{canonical_id, existing};
use crate::auth::SecretKey;
use crate::policy::{Kind, Policy};

const UNGUESSABLE_CHARS: usize = 40;
const PATH_BYTES_MAX: usize = 512;
/// Most inline policies of one user, group or role: all of them go with it in one batch.
const INLINE_MAX: usize = 100;

/// What the names of a target's inline policies begin with. Policies' own names hold no `/`, so what follows the last one
/// is the policy's.
pub(super) fn beginning(target: &Target) -> String {
    match target {
        Target::User(name) => format!("inline/user/{name}/"),
        Target::Group(name) => format!("inline/group/{name}/"),
        Target::Role(name) => format!("inline/role/{name}/"),
        Target::Ldap(entry) => format!("inline/ldap/{}/", entry.dn()),
    }
}

/// Whether a policy of this name belongs to one user, group or role alone.
pub(super) fn is_inline(name: &str) -> bool {
    name.starts_with("inline/")
}

/// Whether a policy of this name may be attached to the target: an inline one belongs to one alone.
pub(super) fn may_have(target: &Target, name: &str) -> bool {
    !is_inline(name) || inline_name(target, name).is_some()
}

/// The policy's own name, if it is an inline one of this target.
pub(super) fn inline_name<'n>(target: &Target, name: &'n str) -> Option<&'n str> {
    name.strip_prefix(&beginning(target)).filter(|rest| !rest.contains('/'))
}

fn full_name(target: &Target, policy: &str) -> Result<String, IdentityError> {
    rules::name(policy)?;
    if policy.contains('/') {
        return Err(IdentityError::InvalidArgument(
            "the name of an inline policy holds no '/'",
        ));
    }
    Ok(format!("{}{policy}", beginning(target)))
}

/// A path of IAM: it begins and ends with `/`. The one of most is kept as none.
pub(super) fn checked_path(path: Option<String>) -> Result<Option<String>, IdentityError> {
    let Some(path) = path.filter(|path| path != "/") else {
        return Ok(None);
    };
    let good = path.starts_with('/') && path.ends_with('/') && path.len() <= PATH_BYTES_MAX;
    match good && path.bytes().all(|byte| byte.is_ascii_graphic()) {
        true => Ok(Some(path)),
        false => Err(IdentityError::InvalidArgument(
            "a path begins and ends with '/' and has at most 512 visible ASCII characters",
        )),
    }
}

impl Directory {
    /// Makes a user who has no secret that anybody knows, and signs with access keys only.
    pub async fn create_user(&self, name: &str, path: Option<String>) -> Result<(), IdentityError> {
        rules::access_key(name)?;
        let path = checked_path(path)?;
        if name == self.root_access_key() {
            return Err(IdentityError::NotAllowed("this is root's access key"));
        }
        let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-";
        let secret = super::access_keys::generated(letters, UNGUESSABLE_CHARS)?;
        let secret = SecretKey::new(secret.as_bytes());
        let (name, canonical_id) = (name.to_owned(), canonical_id()?);
        self.change_secrets(move |snapshot, now| {
            let rows = &snapshot.rows;
            if rows.users.contains_key(&name) || rows.is_unreadable(RowKind::User, &name) {
                return Err(IdentityError::AlreadyThere("user"));
            }
            if rows.access_keys.contains_key(&name) || rows.is_unreadable(RowKind::AccessKey, &name) {
                return Err(IdentityError::AccessKeyTaken("an access key of an account"));
            }
            let record = UserRecord {
                created: now,
                updated: now,
                enabled: true,
                canonical_id: canonical_id.clone(),
                sealed_secret: snapshot.sealed(&name, &secret)?,
                policies: Vec::new(),
                groups: Vec::new(),
                path: path.clone(),
            };
            Ok((vec![DirectoryChange::User(name.clone(), Some(record))], ()))
        })
        .await
    }

    /// Makes a group without members.
    pub async fn create_group(&self, name: &str, path: Option<String>) -> Result<(), IdentityError> {
        rules::name(name)?;
        let path = checked_path(path)?;
        let name = name.to_owned();
        self.change(move |snapshot, now| {
            let rows = &snapshot.rows;
            if rows.groups.contains_key(&name) || rows.is_unreadable(RowKind::Group, &name) {
                return Err(IdentityError::AlreadyThere("group"));
            }
            let record = GroupRecord {
                created: now,
                updated: now,
                enabled: true,
                policies: Vec::new(),
                path: path.clone(),
            };
            Ok((vec![DirectoryChange::Group(name.clone(), Some(record))], ()))
        })
        .await
    }

    /// Removes a user, group or role that has nothing any more: no policies, access keys, groups or members.
    pub async fn remove_bare(&self, target: &Target) -> Result<(), IdentityError> {
        let target = target.clone();
        self.change(move |snapshot, now| {
            if let Target::Role(name) = &target
                && snapshot.rows.is_unreadable(RowKind::Role, name)
            {
                let gone = DirectoryChange::Role(name.clone(), None);
                let inline = inline_of(snapshot, &target);
                return Ok((inline.into_iter().chain([gone]).collect(), ()));
            }
            if !attached(snapshot, &target)?.is_empty() {
                return Err(IdentityError::NotBare("policies"));
            }
            let changes = match &target {
                Target::User(name) => {
                    let parent = KeyParent::User(name.clone());
                    if snapshot.rows.access_keys.values().any(|key| key.parent == parent) {
                        return Err(IdentityError::NotBare("access keys"));
                    }
                    if !existing(snapshot, name)?.groups.is_empty() {
                        return Err(IdentityError::NotBare("groups"));
                    }
                    let gone = DirectoryChange::User(name.clone(), None);
                    vec![gone, super::revocation(snapshot, name, now)]
                }
                Target::Group(name) if members(snapshot, name).is_empty() => {
                    vec![DirectoryChange::Group(name.clone(), None)]
                }
                Target::Group(_) => return Err(IdentityError::GroupNotEmpty),
                Target::Role(name) => vec![DirectoryChange::Role(name.clone(), None)],
                Target::Ldap(entry) => return Err(IdentityError::NoSuchUser(entry.dn().to_owned())),
            };
            // Left over where they were detached and not removed.
            Ok((changes.into_iter().chain(inline_of(snapshot, &target)).collect(), ()))
        })
        .await
    }

    /// Makes an inline policy of the target, or gives it another text.
    pub async fn put_inline(&self, target: &Target, policy: &str, document: &[u8]) -> Result<(), IdentityError> {
        let name = full_name(target, policy)?;
        let parsed = Policy::parse(document, Kind::Identity);
        let parsed = parsed.map_err(|error| IdentityError::MalformedPolicy(error.to_string()))?;
        let (target, text) = (target.clone(), parsed.text().to_owned());
        self.change(move |snapshot, now| {
            let policies = attached(snapshot, &target)?;
            let rows = &snapshot.rows.policies;
            if !rows.contains_key(&name) && inline_names(snapshot, &target).count() >= INLINE_MAX {
                return Err(IdentityError::TooMany(
                    "a user, group or role has at most 100 inline policies",
                ));
            }
            let with_it = policies.iter().chain([&name]).cloned().collect();
            let created = rows.get(&name).map_or(now, |record| record.created);
            let record = PolicyRecord {
                created,
                updated: now,
                text: text.clone(),
            };
            let mut changes = vec![DirectoryChange::Policy(name.clone(), Some(record))];
            changes.extend(with_policies(snapshot, &target, with_it, now));
            Ok((changes, ()))
        })
        .await
    }

    /// Takes an inline policy of the target away.
    pub async fn remove_inline(&self, target: &Target, policy: &str) -> Result<(), IdentityError> {
        let (name, target, policy) = (full_name(target, policy)?, target.clone(), policy.to_owned());
        self.change(move |snapshot, now| {
            let policies = attached(snapshot, &target)?;
            if !policies.contains(&name) {
                return Err(IdentityError::NoSuchPolicy(policy.clone()));
            }
            let without = policies.iter().filter(|standing| **standing != name).cloned().collect();
            let mut changes = vec![DirectoryChange::Policy(name.clone(), None)];
            changes.extend(with_policies(snapshot, &target, without, now));
            Ok((changes, ()))
        })
        .await
    }

    /// The text of an inline policy of the target.
    pub fn inline_policy(&self, target: &Target, policy: &str) -> Result<String, IdentityError> {
        let snapshot = self.snapshot()?;
        let name = full_name(target, policy)?;
        let found = attached(&snapshot, target)?.contains(&name);
        let found = snapshot.policy(&name).filter(|_| found);
        let found = found.ok_or_else(|| IdentityError::NoSuchPolicy(policy.to_owned()))?;
        Ok(found.text().to_owned())
    }

    /// The names of the target's inline policies, and of the other policies attached to it.
    pub fn policies_by_kind(&self, target: &Target) -> Result<(Vec<String>, Vec<String>), IdentityError> {
        let snapshot = self.snapshot()?;
        let own = |name: &String| inline_name(target, name).map(str::to_owned);
        let policies = attached(&snapshot, target)?;
        let others = policies.iter().filter(|name| own(name).is_none()).cloned().collect();
        Ok((policies.iter().filter_map(own).collect(), others))
    }
}

/// The inline policies that are a target's, also those that were detached.
pub(super) fn inline_names<'s>(snapshot: &'s Snapshot, target: &Target) -> impl Iterator<Item = &'s String> {
    let names = snapshot.rows.policies.range(beginning(target)..).map(|(name, _)| name);
    let beginning = beginning(target);
    let mine = names.take_while(move |name| name.starts_with(&beginning));
    let own = target.clone();
    mine.filter(move |name| inline_name(&own, name).is_some())
}

/// The inline policies that go with a target, wherever it is taken away.
pub(super) fn inline_of(snapshot: &Snapshot, target: &Target) -> Vec<DirectoryChange> {
    inline_names(snapshot, target)
        .map(|name| DirectoryChange::Policy(name.clone(), None))
        .collect()
}
