//! S3 semantics over any backend: buckets, objects, listings, multipart uploads. Written once.
//!
//! Owns names, records, conditions, hashes and what an operation means. It never touches a drive, never sees HTTP, and
//! never decides who may do what. All its state is in the backend's rows; every write is one batch whose `require`
//! makes it linearizable, so any number of stores may work over one backend.

use std::sync::Arc;

use crate::backend::{Backend, Batch, Rev};
use crate::store::clock::{Clock, Timestamp};
use crate::store::error::CommitRefused;
use crate::store::judged::Judged;
use crate::store::multipart::complete::Running;
use crate::store::multipart::sizes::Sizes;
use crate::store::resumable::writers::Writers;

pub mod body;
pub mod bucket;
pub mod checksum;
pub mod clock;
pub mod condition;
pub mod counter;
pub mod error;
pub mod etag;
pub mod files;
mod hashing;
pub mod identity;
pub mod judged;
pub mod key;
pub mod list;
pub mod multipart;
pub mod name;
pub mod object;
pub mod projects;
pub mod quota;
pub mod record;
pub mod resumable;
pub mod server_settings;
pub mod settings;
pub mod share;
pub mod tags;
pub mod whole;

#[cfg(test)]
mod tests;

/// One start of the process: random, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Epoch(pub [u8; 16]);

/// The store. Cheap to clone; clones are the same store.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
    judged: Judged,
}

struct Inner {
    backend: Arc<dyn Backend>,
    clock: Arc<dyn Clock>,
    epoch: Epoch,
    /// Uploads that a Complete of this process is working on.
    running: Running,
    /// Of the parts of uploads that somebody holds to a limit.
    part_sizes: Sizes,
    /// Who appends to which upload.
    writers: Writers,
    settings: settings::Kept,
    /// What buckets with a quota hold.
    ledgers: quota::Ledgers,
    /// Of those who change what a catalogue follows.
    turns: files::Turns,
    /// How many files lists have.
    totals: files::Totals,
    told_of_quota: files::ToldOfQuota,
    last_id: files::LastId,
    rebuilding: files::Rebuilding,
}

impl Store {
    pub fn new(backend: Arc<dyn Backend>, clock: Arc<dyn Clock>, epoch: Epoch) -> Self {
        Self {
            inner: Arc::new(Inner {
                backend,
                clock,
                epoch,
                running: Running::default(),
                part_sizes: Sizes::default(),
                writers: Writers::default(),
                settings: settings::Kept::default(),
                ledgers: quota::Ledgers::default(),
                turns: files::Turns::default(),
                totals: files::Totals::default(),
                told_of_quota: files::ToldOfQuota::default(),
                last_id: files::LastId::default(),
                rebuilding: files::Rebuilding::default(),
            }),
            judged: Judged::default(),
        }
    }

    /// The backend below, for health and readiness.
    pub fn backend(&self) -> &Arc<dyn Backend> {
        &self.inner.backend
    }

    fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }

    async fn commit(&self, batch: Batch) -> Result<Rev, CommitRefused> {
        self.inner.backend.commit(batch).await.map_err(CommitRefused::from)
    }
}

/// How often an operation that lost a race looks again before it answers "unavailable".
const RACES_MAX: usize = 32;
