//! The directory's rows: users, groups, roles, policies, access keys, what is attached to people of other directories,
//! revocations, and the sealed key of their secrets.
//!
//! Owns how they are kept: read whole, changed in one batch. Every change requires the revision of the directory that it
//! was made from and puts it anew, so two changes made from the same state never both succeed. What a change means, and
//! whether it may be made, is decided above; secrets come and go as sealed bytes.

use std::collections::{BTreeMap, BTreeSet};

use crate::backend::{Batch, Key, NewBody, Op, Put, Require, Rev};
use crate::limits::{BATCH_OPS_MAX, LIST_ITEMS_MAX, VALUE_BYTES_MAX};
use crate::store::error::{CommitRefused, Fault, faults_from_below};
use crate::store::key::{self, IdentityRow};
use crate::store::record::Record;
use crate::store::record::identity::{
    AccessKeyRecord, AttachmentRecord, DirectoryHead, GroupRecord, PolicyRecord, RevocationRecord, RoleRecord,
    SealRecord, UserRecord,
};
use crate::store::{RACES_MAX, Store};

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

/// A change of the directory that was not made. Only [`Fault::Unknown`] leaves open whether it was.
#[derive(Debug, thiserror::Error)]
pub enum ChangeDirectoryError {
    /// The directory is no longer as it was when the change was thought out. Nothing changed.
    #[error("the directory was changed meanwhile")]
    Stale,
    /// More rows, or a larger row, than one batch takes. Nothing changed.
    #[error("the change is too large: {0}")]
    TooLarge(&'static str),
    #[error(transparent)]
    Fault(#[from] Fault),
}

faults_from_below!(ChangeDirectoryError);

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

fn put(key: Key, value: bytes::Bytes) -> Op {
    Op::Put(Put {
        key,
        value,
        body: NewBody::None,
        parent_len: None,
    })
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
        for _ in 0..RACES_MAX {
            let before = self.directory_rev().await?;
            let mut rows = self.directory_pages().await?;
            // Pages share no snapshot; an unchanged head tells that they are of one state.
            if self.directory_rev().await? == before {
                rows.rev = before;
                return Ok(rows);
            }
        }
        Err(Fault::Unavailable(
            "the directory changed again and again while it was read".into(),
        ))
    }

    /// The revision of the directory; `None` when nothing was ever put.
    pub async fn directory_rev(&self) -> Result<Option<Rev>, Fault> {
        let head = self.inner.backend.get(&IdentityRow::Head.key()).await?;
        Ok(head.map(|row| row.rev))
    }

    async fn directory_pages(&self) -> Result<DirectoryRows, Fault> {
        let beginning = key::identities();
        let end = beginning
            .after_prefix()
            .ok_or_else(|| Fault::Internal("no end of the directory".into()))?;
        let (mut start, mut rows) = (beginning, DirectoryRows::default());
        loop {
            let page = self
                .inner
                .backend
                .scan(start.clone()..end.clone(), LIST_ITEMS_MAX)
                .await?;
            for (row_key, row) in &page.items {
                rows.take(row_key, &row.value)?;
            }
            match page.items.last() {
                Some((last, _)) if page.more => start = last.successor(),
                Some(_) | None => return Ok(rows),
            }
        }
    }

    /// Makes all of `changes` or none, if the directory is still at `seen`; answers its new revision. Each row may be
    /// named once.
    pub async fn change_directory(
        &self,
        seen: Option<Rev>,
        changes: &[DirectoryChange],
    ) -> Result<Rev, ChangeDirectoryError> {
        if changes.len() >= BATCH_OPS_MAX {
            return Err(ChangeDirectoryError::TooLarge("too many rows change at once"));
        }
        let head = IdentityRow::Head.key();
        let mut ops: Vec<Op> = changes.iter().map(DirectoryChange::op).collect();
        let large = |op: &Op| matches!(op, Op::Put(put) if put.value.len() > VALUE_BYTES_MAX);
        if ops.iter().any(large) {
            return Err(ChangeDirectoryError::TooLarge("a row is larger than 64 KiB"));
        }
        let changed = DirectoryHead { changed: self.now() };
        ops.push(put(head.clone(), changed.to_value()));
        let require = match seen {
            Some(rev) => Require::RevIs(head, rev),
            None => Require::Absent(head),
        };
        let batch = Batch {
            require: vec![require],
            ops,
        };
        match self.commit(batch).await {
            Ok(rev) => Ok(rev),
            Err(CommitRefused::Condition { .. }) => Err(ChangeDirectoryError::Stale),
            Err(CommitRefused::Fault(fault)) => Err(fault.into()),
        }
    }
}
