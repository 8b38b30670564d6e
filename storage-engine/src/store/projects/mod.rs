//! The rows of the projects: apps that use the store, their environments, their keys, and who vouches for their users.
//!
//! Owns what the rows are; how they are kept is [`super::whole`]'s. What a change means, and whether it may be made, is
//! decided above; secrets come and go as hashes and sealed bytes.

use std::collections::{BTreeMap, BTreeSet};

use crate::backend::{Key, Op, Rev};
use crate::store::Store;
use crate::store::error::Fault;
use crate::store::key::{self, ProjectRow};
use crate::store::record::Record;
use crate::store::record::projects::{
    EnvironmentRecord, IssuerRecord, ProjectKeyRecord, ProjectRecord, ProjectsHead, UserRecord,
};
use crate::store::whole::{ChangeWholeError, put};

/// The name of something that belongs to a project.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OfProject {
    pub project: String,
    /// An environment's name, an issuer's alias, or of a user all that [`ProjectRow::User`] names them by.
    pub name: String,
}

impl OfProject {
    pub fn new(project: &str, name: &str) -> Self {
        Self {
            project: project.to_owned(),
            name: name.to_owned(),
        }
    }
}

/// All projects at one revision.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProjectRows {
    /// `None`: nothing was ever put.
    pub rev: Option<Rev>,
    pub projects: BTreeMap<String, ProjectRecord>,
    pub environments: BTreeMap<OfProject, EnvironmentRecord>,
    /// By id.
    pub keys: BTreeMap<String, ProjectKeyRecord>,
    pub issuers: BTreeMap<OfProject, IssuerRecord>,
    pub users: BTreeMap<OfProject, UserRecord>,
    /// Rows that are there and do not read. Each is refused alone: what it concerns is for whoever asks to shut out.
    pub unreadable: BTreeSet<RowName>,
}

/// Which row of the projects is meant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RowName {
    Project(String),
    Environment(OfProject),
    ProjectKey(String),
    Issuer(OfProject),
    User(OfProject),
    /// Nothing that this version knows.
    Unknown(String),
}

/// One row of a change: the record it is to have, or `None` to take it away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProjectChange {
    Project(String, Option<ProjectRecord>),
    Environment(OfProject, Option<EnvironmentRecord>),
    ProjectKey(String, Option<ProjectKeyRecord>),
    Issuer(OfProject, Option<IssuerRecord>),
    User(OfProject, Option<UserRecord>),
}

impl ProjectChange {
    fn row(&self) -> RowName {
        match self {
            Self::Project(name, _) => RowName::Project(name.clone()),
            Self::Environment(name, _) => RowName::Environment(name.clone()),
            Self::ProjectKey(id, _) => RowName::ProjectKey(id.clone()),
            Self::Issuer(name, _) => RowName::Issuer(name.clone()),
            Self::User(name, _) => RowName::User(name.clone()),
        }
    }

    fn op(&self) -> Op {
        let (row, value) = match self {
            Self::Project(name, record) => (ProjectRow::Project(name), record.as_ref().map(Record::to_value)),
            Self::Environment(OfProject { project, name }, record) => (
                ProjectRow::Environment { project, name },
                record.as_ref().map(Record::to_value),
            ),
            Self::ProjectKey(id, record) => (ProjectRow::ProjectKey(id), record.as_ref().map(Record::to_value)),
            Self::Issuer(OfProject { project, name }, record) => (
                ProjectRow::Issuer { project, alias: name },
                record.as_ref().map(Record::to_value),
            ),
            Self::User(OfProject { project, name }, record) => (
                ProjectRow::User { project, name },
                record.as_ref().map(Record::to_value),
            ),
        };
        match value {
            Some(value) => put(row.key(), value),
            None => Op::Delete(row.key()),
        }
    }
}

impl ProjectRows {
    /// Makes the same change here as a batch of these changes does in the store.
    pub fn apply(&mut self, changes: &[ProjectChange]) {
        fn set<N: Ord + Clone, R: Clone>(rows: &mut BTreeMap<N, R>, name: &N, record: Option<&R>) {
            match record {
                Some(record) => drop(rows.insert(name.clone(), record.clone())),
                None => drop(rows.remove(name)),
            }
        }
        for change in changes {
            self.unreadable.remove(&change.row());
            match change {
                ProjectChange::Project(name, record) => set(&mut self.projects, name, record.as_ref()),
                ProjectChange::Environment(name, record) => set(&mut self.environments, name, record.as_ref()),
                ProjectChange::ProjectKey(id, record) => set(&mut self.keys, id, record.as_ref()),
                ProjectChange::Issuer(name, record) => set(&mut self.issuers, name, record.as_ref()),
                ProjectChange::User(name, record) => set(&mut self.users, name, record.as_ref()),
            }
        }
    }

    fn take(&mut self, row_key: &Key, value: &[u8]) -> Result<(), Fault> {
        fn set<N: Ord, R: Record>(rows: &mut BTreeMap<N, R>, name: N, value: &[u8]) -> bool {
            R::from_value(value).is_ok_and(|record| {
                rows.insert(name, record);
                true
            })
        }
        let refused = match key::parse_project(row_key) {
            Some(ProjectRow::Head) => None,
            Some(ProjectRow::Project(name)) => {
                let taken = set(&mut self.projects, name.to_owned(), value);
                (!taken).then(|| RowName::Project(name.to_owned()))
            }
            Some(ProjectRow::Environment { project, name }) => {
                let name = OfProject::new(project, name);
                let taken = set(&mut self.environments, name.clone(), value);
                (!taken).then_some(RowName::Environment(name))
            }
            Some(ProjectRow::ProjectKey(id)) => {
                let taken = set(&mut self.keys, id.to_owned(), value);
                (!taken).then(|| RowName::ProjectKey(id.to_owned()))
            }
            Some(ProjectRow::Issuer { project, alias }) => {
                let name = OfProject::new(project, alias);
                let taken = set(&mut self.issuers, name.clone(), value);
                (!taken).then_some(RowName::Issuer(name))
            }
            Some(ProjectRow::User { project, name }) => {
                let name = OfProject::new(project, name);
                let taken = set(&mut self.users, name.clone(), value);
                (!taken).then_some(RowName::User(name))
            }
            None => Some(RowName::Unknown(format!("{row_key:?}"))),
        };
        self.unreadable.extend(refused);
        Ok(())
    }
}

impl Store {
    /// All projects at one revision.
    pub async fn load_projects(&self) -> Result<ProjectRows, Fault> {
        let (rev, rows) = self.load_whole(&ProjectRow::Head.key(), ProjectRows::take).await?;
        Ok(ProjectRows { rev, ..rows })
    }

    /// Makes all of `changes` or none, if the projects are still at `seen`; answers their new revision. Each row may be
    /// named once.
    pub async fn change_projects(&self, seen: Option<Rev>, changes: &[ProjectChange]) -> Result<Rev, ChangeWholeError> {
        let head = ProjectsHead { changed: self.now() };
        let ops = changes.iter().map(ProjectChange::op).collect();
        let head = (ProjectRow::Head.key(), head.to_value());
        self.change_whole(head, seen, ops).await
    }
}
