//! The directory's rows: users, groups, roles, policies, access keys, what is attached to people of other directories,
//! revocations, and the sealed key of their secrets.
//!
//! Owns what the rows are; how they are kept is [`super::whole`]'s. What a change means, and whether it may be made, is
//! decided above; secrets come and go as sealed bytes.

use std::collections::{BTreeMap, BTreeSet};

use crate::backend::{Key, Op, Rev};
use crate::store::Store;
use crate::store::error::Fault;
use crate::store::key::{self, IdentityRow};
use crate::store::record::Record;
use crate::store::record::identity::{
    AccessKeyRecord, AttachmentRecord, DirectoryHead, GroupRecord, PolicyRecord, RevocationRecord, RoleRecord,
    SealRecord, UserRecord,
};
use crate::store::whole::{ChangeWholeError, put};

/// Everything in the directory at one revision.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DirectoryRows {
    /// `None`: nothing was ever put.
    pub rev: Option<Rev>,
    pub users: BTreeMap<String, UserRecord>,
    pub groups: BTreeMap<String, GroupRecord>,
    pub roles: BTreeMap<String, RoleRecord>,
    pub policies: BTreeMap<String, PolicyRecord>,
    pub access_keys: BTreeMap<String, AccessKeyRecord>,
    /// By whom they are of, as the directory names those who are in another one.
    pub attachments: BTreeMap<String, AttachmentRecord>,
    /// By account.
    pub revocations: BTreeMap<String, RevocationRecord>,
    pub seal: Option<SealRecord>,
    /// Rows that are there and do not read. Each is refused alone: what it concerns is for whoever asks to shut out.
    pub unreadable: BTreeSet<(RowKind, String)>,
}

/// What a row of the directory is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RowKind {
    User,
    Group,
    Role,
    Policy,
    AccessKey,
    Attachment,
    Revocation,
    /// Nothing that this version knows.
    Unknown,
}

impl RowKind {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Group => "group",
            Self::Role => "role",
            Self::Policy => "policy",
            Self::AccessKey => "access key",
            Self::Attachment => "attachment",
            Self::Revocation => "revocation",
            Self::Unknown => "row",
        }
    }
}

/// One row of a change: the record it is to have, or `None` to take it away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DirectoryChange {
    User(String, Option<UserRecord>),
    Group(String, Option<GroupRecord>),
    Role(String, Option<RoleRecord>),
    Policy(String, Option<PolicyRecord>),
    AccessKey(String, Option<AccessKeyRecord>),
    Attachment(String, Option<AttachmentRecord>),
    Revocation(String, Option<RevocationRecord>),
    Seal(SealRecord),
}

impl DirectoryChange {
    /// The row it puts or takes away; `None`: that of the seal.
    fn row(&self) -> Option<(RowKind, String)> {
        let (kind, name) = match self {
            Self::User(name, _) => (RowKind::User, name),
            Self::Group(name, _) => (RowKind::Group, name),
            Self::Role(name, _) => (RowKind::Role, name),
            Self::Policy(name, _) => (RowKind::Policy, name),
            Self::AccessKey(name, _) => (RowKind::AccessKey, name),
            Self::Attachment(name, _) => (RowKind::Attachment, name),
            Self::Revocation(name, _) => (RowKind::Revocation, name),
            Self::Seal(_) => return None,
        };
        Some((kind, name.clone()))
    }

    fn op(&self) -> Op {
        let (key, value) = match self {
            Self::User(name, record) => (IdentityRow::User(name).key(), record.as_ref().map(Record::to_value)),
            Self::Group(name, record) => (IdentityRow::Group(name).key(), record.as_ref().map(Record::to_value)),
            Self::Role(name, record) => (IdentityRow::Role(name).key(), record.as_ref().map(Record::to_value)),
            Self::Policy(name, record) => (IdentityRow::Policy(name).key(), record.as_ref().map(Record::to_value)),
            Self::AccessKey(name, record) => (
                IdentityRow::AccessKey(name).key(),
                record.as_ref().map(Record::to_value),
            ),
            Self::Attachment(name, record) => (
                IdentityRow::Attachment(name).key(),
                record.as_ref().map(Record::to_value),
            ),
            Self::Revocation(name, record) => (
                IdentityRow::Revocation(name).key(),
                record.as_ref().map(Record::to_value),
            ),
            Self::Seal(record) => (IdentityRow::Seal.key(), Some(record.to_value())),
        };
        match value {
            Some(value) => put(key, value),
            None => Op::Delete(key),
        }
    }
}

impl DirectoryRows {
    /// Makes the same change here as a batch of these changes does in the store.
    pub fn apply(&mut self, changes: &[DirectoryChange]) {
        fn set<R: Clone>(rows: &mut BTreeMap<String, R>, name: &str, record: Option<&R>) {
            match record {
                Some(record) => drop(rows.insert(name.to_owned(), record.clone())),
                None => drop(rows.remove(name)),
            }
        }
        for change in changes {
            if let Some(row) = change.row() {
                self.unreadable.remove(&row);
            }
            match change {
                DirectoryChange::User(name, record) => set(&mut self.users, name, record.as_ref()),
                DirectoryChange::Group(name, record) => set(&mut self.groups, name, record.as_ref()),
                DirectoryChange::Role(name, record) => set(&mut self.roles, name, record.as_ref()),
                DirectoryChange::Policy(name, record) => set(&mut self.policies, name, record.as_ref()),
                DirectoryChange::AccessKey(name, record) => set(&mut self.access_keys, name, record.as_ref()),
                DirectoryChange::Attachment(name, record) => set(&mut self.attachments, name, record.as_ref()),
                DirectoryChange::Revocation(name, record) => set(&mut self.revocations, name, record.as_ref()),
                DirectoryChange::Seal(record) => self.seal = Some(record.clone()),
            }
        }
    }

    /// Takes a row in. Only of the key that seals all secrets it is an error that it does not read.
    fn take(&mut self, row_key: &Key, value: &[u8]) -> Result<(), Fault> {
        fn set<R: Record>(rows: &mut BTreeMap<String, R>, name: &str, value: &[u8]) -> bool {
            R::from_value(value).is_ok_and(|record| {
                rows.insert(name.to_owned(), record);
                true
            })
        }
        let unread = |kind, name: &str| Some((kind, name.to_owned()));
        let refused = match key::parse_identity(row_key) {
            Some(IdentityRow::Head) => None,
            Some(IdentityRow::Seal) => {
                self.seal = Some(Record::from_value(value)?);
                None
            }
            Some(IdentityRow::User(name)) if !set(&mut self.users, name, value) => unread(RowKind::User, name),
            Some(IdentityRow::Group(name)) if !set(&mut self.groups, name, value) => unread(RowKind::Group, name),
            Some(IdentityRow::Role(name)) if !set(&mut self.roles, name, value) => unread(RowKind::Role, name),
            Some(IdentityRow::Policy(name)) if !set(&mut self.policies, name, value) => unread(RowKind::Policy, name),
            Some(IdentityRow::AccessKey(name)) if !set(&mut self.access_keys, name, value) => {
                unread(RowKind::AccessKey, name)
            }
            Some(IdentityRow::Attachment(name)) if !set(&mut self.attachments, name, value) => {
                unread(RowKind::Attachment, name)
            }
            Some(IdentityRow::Revocation(name)) if !set(&mut self.revocations, name, value) => {
                unread(RowKind::Revocation, name)
            }
            Some(
                IdentityRow::User(_)
                | IdentityRow::Group(_)
                | IdentityRow::Role(_)
                | IdentityRow::Policy(_)
                | IdentityRow::AccessKey(_)
                | IdentityRow::Attachment(_)
                | IdentityRow::Revocation(_),
            ) => None,
            None => unread(RowKind::Unknown, &format!("{row_key:?}")),
        };
        self.unreadable.extend(refused);
        Ok(())
    }

    /// Whether a row is there that does not read.
    pub fn is_unreadable(&self, kind: RowKind, name: &str) -> bool {
        !self.unreadable.is_empty() && self.unreadable.contains(&(kind, name.to_owned()))
    }
}

impl Store {
    /// The whole directory at one revision.
    pub async fn load_directory(&self) -> Result<DirectoryRows, Fault> {
        let (rev, rows) = self.load_whole(&IdentityRow::Head.key(), DirectoryRows::take).await?;
        Ok(DirectoryRows { rev, ..rows })
    }

    /// The revision of the directory; `None` when nothing was ever put.
    pub async fn directory_rev(&self) -> Result<Option<Rev>, Fault> {
        self.rev_of_whole(&IdentityRow::Head.key()).await
    }

    /// Makes all of `changes` or none, if the directory is still at `seen`; answers its new revision. Each row may be
    /// named once.
    pub async fn change_directory(
        &self,
        seen: Option<Rev>,
        changes: &[DirectoryChange],
    ) -> Result<Rev, ChangeWholeError> {
        let head = DirectoryHead { changed: self.now() };
        let ops = changes.iter().map(DirectoryChange::op).collect();
        let head = (IdentityRow::Head.key(), head.to_value());
        self.change_whole(head, seen, ops).await
    }
}
