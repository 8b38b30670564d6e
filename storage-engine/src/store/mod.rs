//! S3 semantics over any backend: buckets, objects, listings, multipart uploads. Written once.
//!
//! Owns names, records, conditions, hashes and what an operation means. It never touches a drive, never sees HTTP, and
//! never decides who may do what. All its state is in the backend's rows; every write is one batch whose `require`
//! makes it linearizable, so any number of stores may work over one backend.

use std::sync::Arc;

use crate::backend::{Backend, Batch, Require, Rev};
use crate::store::clock::{Clock, Timestamp};
use crate::store::error::CommitRefused;
use crate::store::multipart::complete::Running;
use crate::store::name::BucketName;

pub mod body;
pub mod bucket;
pub mod checksum;
pub mod clock;
pub mod condition;
pub mod error;
pub mod etag;
mod hashing;
pub mod identity;
pub mod key;
pub mod list;
pub mod multipart;
pub mod name;
pub mod object;
pub mod quota;
pub mod record;
pub mod settings;
pub mod tags;

#[cfg(test)]
mod tests;

/// One start of the process: random, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Epoch(pub [u8; 16]);

/// The store. Cheap to clone; clones are the same store.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
    /// The one bucket that is meant by its name: see [`Store::only_while`].
    meant: Option<(BucketName, Rev)>,
}

struct Inner {
    backend: Arc<dyn Backend>,
    clock: Arc<dyn Clock>,
    epoch: Epoch,
    /// Uploads that a Complete of this process is working on.
    running: Running,
    settings: settings::Kept,
    /// What buckets with a quota hold.
    ledgers: quota::Ledgers,
}

impl Store {
    pub fn new(backend: Arc<dyn Backend>, clock: Arc<dyn Clock>, epoch: Epoch) -> Self {
        Self {
            inner: Arc::new(Inner {
                backend,
                clock,
                epoch,
                running: Running::default(),
                settings: settings::Kept::default(),
                ledgers: quota::Ledgers::default(),
            }),
            meant: None,
        }
    }

    /// The same store for whoever was judged on a bucket as it stood: writes to `bucket` through it are refused once
    /// the bucket does not have the revision `rev` any more, because it was deleted or made anew.
    pub fn only_while(&self, bucket: &BucketName, rev: Rev) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            meant: Some((bucket.clone(), rev)),
        }
    }

    /// What makes sure that a bucket is open for writes. Its record and its gate are always written together.
    fn is_open(&self, bucket: &BucketName) -> Require {
        match self.meant_revision(bucket) {
            Some(rev) => Require::RevIs(key::gate(bucket), rev),
            None => Require::Present(key::gate(bucket)),
        }
    }

    fn meant_revision(&self, bucket: &BucketName) -> Option<Rev> {
        let (meant, rev) = self.meant.as_ref()?;
        (meant == bucket).then_some(*rev)
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
