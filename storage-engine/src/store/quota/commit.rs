//! A commit that is entered in a ledger: claimed before, settled or given up after.

use std::sync::Arc;

use parking_lot::Mutex;

use super::SizedRefused;
use super::ledger::{Ledger, Sums};
use super::weight::{Change, Growth, Weight};
use crate::backend::{Batch, CommitError, Key, Op, Rev};
use crate::store::error::Fault;
use crate::store::files::File;
use crate::store::name::BucketName;
use crate::store::record::Record;
use crate::store::record::object::Object;
use crate::store::record::settings::BucketSettings;
use crate::store::{Store, key};

/// What a row that counts for something is the row of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    Object,
    File,
}

impl Subject {
    /// What a row of such a thing counts for.
    pub(super) fn weigh(self, value: &[u8]) -> Result<Weight, Fault> {
        Ok(match self {
            Self::Object => Weight::of_object(Object::from_value(value)?.size),
            Self::File => Weight::of_file(&File::from_value(value)?),
        })
    }
}

/// A row, and what it counts for after a commit.
#[derive(Clone, Debug)]
pub(super) struct Weighed {
    row: Key,
    subject: Subject,
    weight: Weight,
}

/// Whether a commit can be refused for what it makes larger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judged {
    /// It is entered and never refused.
    Not,
    /// Once the bucket is counted.
    Later,
    Now,
}

/// A batch, and what the rows count for that it changes.
pub(super) struct EnteredCommit {
    pub(super) rows: Vec<Weighed>,
    pub(super) settings: Arc<BucketSettings>,
    pub(super) judged: Judged,
}

pub(super) enum Tried {
    Done(Result<Rev, SizedRefused>),
    /// It makes larger what nobody has counted.
    Uncounted(Box<Batch>),
}

/// What the rows count for after a batch: objects' by the sizes that are told, files' by the batch itself, so that no change
/// of a catalogue is missed.
pub(super) fn weighed(bucket: &BucketName, objects: &[(Key, u64)], batch: &Batch) -> Result<Vec<Weighed>, Fault> {
    let mut rows: Vec<Weighed> = objects
        .iter()
        .map(|(row, bytes)| Weighed {
            row: row.clone(),
            subject: Subject::Object,
            weight: Weight::of_object(*bytes),
        })
        .collect();
    let files = key::files(bucket);
    for op in &batch.ops {
        if !op.key().as_bytes().starts_with(files.as_bytes()) {
            continue;
        }
        let (row, weight) = match op {
            Op::Put(put) => (&put.key, Subject::File.weigh(&put.value)?),
            Op::Delete(row) => (row, Weight::default()),
        };
        rows.push(Weighed {
            row: row.clone(),
            subject: Subject::File,
            weight,
        });
    }
    Ok(rows)
}

impl Store {
    /// What the row counts for; nothing, if it cannot be read: it can be written over and removed.
    pub(super) async fn weight_of(&self, subject: Subject, row: &Key) -> Result<Weight, Fault> {
        let Some(found) = self.inner.backend.get(row).await? else {
            return Ok(Weight::default());
        };
        match subject.weigh(&found.value) {
            Err(Fault::Corrupt(_)) => Ok(Weight::default()),
            weighed => weighed,
        }
    }
}

impl EnteredCommit {
    pub(super) async fn run(self, store: Store, ledger: Arc<Ledger>, batch: Batch) -> Tried {
        let _moving = ledger.moving.read().await;
        let _turns = ledger.turns(self.rows.iter().map(|weighed| &weighed.row)).await;
        let mut changes = Vec::with_capacity(self.rows.len());
        for Weighed { row, subject, weight } in self.rows {
            match store.weight_of(subject, &row).await {
                Ok(old) => changes.push(Change { row, old, new: weight }),
                Err(fault) => return Tried::Done(Err(fault.into())),
            }
        }
        let growth = Growth::of(&changes);
        let claimed = match self.judged {
            Judged::Later if growth.limited(&self.settings).next().is_some() => {
                return Tried::Uncounted(Box::new(batch));
            }
            Judged::Not | Judged::Later => {
                ledger.sums.lock().enter(&growth);
                Ok(())
            }
            Judged::Now => ledger.sums.lock().claim(&growth, &self.settings),
        };
        if let Err(over) = claimed {
            return Tried::Done(Err(SizedRefused::OverQuota(over)));
        }
        let claim = Claim {
            sums: Some(&ledger.sums),
            growth: &growth,
        };
        let committed = store.inner.backend.commit(batch).await;
        match &committed {
            Ok(_) => claim.end(|sums| sums.settle(&changes, &growth)),
            Err(CommitError::Unknown(_)) => drop(claim),
            Err(
                CommitError::Failed { .. }
                | CommitError::Invalid(_)
                | CommitError::PartChanged
                | CommitError::Full(_)
                | CommitError::Unavailable(_),
            ) => claim.end(|sums| sums.give_up(&growth)),
        }
        Tried::Done(committed.map_err(SizedRefused::from))
    }
}

/// What is claimed; where nobody says how that ended, it is in doubt.
struct Claim<'a> {
    sums: Option<&'a Mutex<Sums>>,
    growth: &'a Growth,
}

impl Claim<'_> {
    fn end(mut self, how: impl FnOnce(&mut Sums)) {
        if let Some(sums) = self.sums.take() {
            how(&mut sums.lock());
        }
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        if let Some(sums) = self.sums.take() {
            sums.lock().doubt(self.growth);
        }
    }
}
