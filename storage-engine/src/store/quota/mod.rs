//! Quotas: how much a bucket and its files may hold, held to exactly while it is written to.
//!
//! Owns, for every bucket with a quota, a ledger of what the bucket holds: its objects; of its catalogue all files, those of
//! each owner and those of each logical bucket. It is counted once from the rows, then carried on by every commit that
//! changes it, and counted anew every hour. It lives in memory, about a hundred bytes for each owner, so one process writes
//! to a store that has quotas. Buckets without one cost a look at their settings and a shared lock that nobody waits for. It
//! never counts parts of uploads that are not completed: they are no objects yet, and their file counts by what it was
//! announced with.

mod commit;
mod count;
mod ledger;
mod weight;

use std::sync::Arc;

use crate::backend::{Batch, CommitError, Key, Rev};
use crate::store::error::{CommitRefused, Fault};
use crate::store::files::{File, FileState};
use crate::store::name::BucketName;
use crate::store::record::settings::BucketSettings;
use crate::store::{Store, key};

use commit::{EnteredCommit, Judged, Subject, Tried, weighed};
use ledger::Unkept;
use weight::{Change, Growth, Weight};

pub(super) use ledger::{Ledgers, place_of};
pub use weight::{Account, Held, QuotaOf, QuotaUnit};

/// A write that would make something hold more than it may. Nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{of} may hold {quota} {unit} and would hold {needed} with this")]
pub struct OverQuota {
    pub of: QuotaOf,
    pub unit: QuotaUnit,
    pub quota: u64,
    pub needed: u64,
}

impl OverQuota {
    /// For whoever sent it. Owners are told their own figures; of what they have in common with others, that it is used up.
    pub fn told(&self) -> String {
        match self.of {
            QuotaOf::Owner => format!("No room is left: {self}."),
            QuotaOf::LogicalBucket | QuotaOf::Environment | QuotaOf::Bucket => {
                format!("No room is left for this file: {} holds as much as it may.", self.of)
            }
        }
    }
}

/// A commit of an object's row that was not done, or may not have been.
#[derive(Debug)]
pub(super) enum SizedRefused {
    OverQuota(OverQuota),
    Condition {
        index: usize,
        found: Option<Rev>,
    },
    /// See [`CommitError::PartChanged`].
    PartChanged,
    Fault(Fault),
}

impl From<CommitError> for SizedRefused {
    fn from(error: CommitError) -> Self {
        if let CommitError::PartChanged = error {
            return Self::PartChanged;
        }
        match CommitRefused::from(error) {
            CommitRefused::Condition { index, found } => Self::Condition { index, found },
            CommitRefused::Fault(fault) => Self::Fault(fault),
        }
    }
}

impl From<Fault> for SizedRefused {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl SizedRefused {
    /// For batches that join no parts and make nothing larger.
    pub(super) fn of_removal(self) -> CommitRefused {
        match self {
            Self::Condition { index, found } => CommitRefused::Condition { index, found },
            Self::Fault(fault) => CommitRefused::Fault(fault),
            Self::OverQuota(over) => CommitRefused::Fault(Fault::Internal(format!("a removal was refused: {over}"))),
            Self::PartChanged => CommitRefused::Fault(Fault::Internal("a batch without parts missed one".into())),
        }
    }
}

/// What is set on a bucket, as it was while nobody began to count what the bucket holds.
struct Books<'s> {
    _unkept: Option<tokio::sync::RwLockReadGuard<'s, ()>>,
    settings: Option<Arc<BucketSettings>>,
}

/// A failed look for room.
#[derive(Debug)]
pub(super) enum NoRoom {
    OverQuota(OverQuota),
    Fault(Fault),
}

impl From<Fault> for NoRoom {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl Store {
    /// What is set on a bucket, if anything says how much it may hold.
    async fn limits_of(&self, bucket: &BucketName) -> Result<Option<Arc<BucketSettings>>, Fault> {
        let settings = self.bucket_settings(bucket).await?;
        Ok(settings
            .map(|(settings, _)| settings)
            .filter(|settings| settings.has_quota()))
    }

    /// Whether an object of `size` bytes has room in place of what the row holds now, and the file that it is of, so that a
    /// body that has none is refused before it is taken in. The commit decides.
    pub(super) async fn look_for_room(&self, bucket: &BucketName, row_key: &Key, size: u64) -> Result<(), NoRoom> {
        let Some(settings) = self.limits_of(bucket).await? else {
            return Ok(());
        };
        let mut changes = vec![Change {
            row: row_key.clone(),
            old: self.weight_of(Subject::Object, row_key).await?,
            new: Weight::of_object(size),
        }];
        if !settings.file_quotas.is_unset() {
            changes.extend(self.change_of_file(bucket, row_key, size).await?);
        }
        let growth = Growth::of(&changes);
        if growth.limited(&settings).next().is_none() {
            return Ok(());
        }
        let ledger = self.inner.ledgers.of(bucket);
        self.await_count(bucket, &ledger).await?;
        let judged = ledger.sums.lock().judge(&growth, &settings);
        if let Err(over) = judged {
            self.tell_over_quota(bucket, over).await;
        }
        judged.map_err(NoRoom::OverQuota)
    }

    /// What an object of so many bytes makes of the file that it is of, or is to become.
    async fn change_of_file(&self, bucket: &BucketName, row_key: &Key, size: u64) -> Result<Option<Change>, Fault> {
        let Some((_, object_key)) = key::parse_current(row_key) else {
            return Ok(None);
        };
        let Some(filed) = self.filed(bucket, object_key).await? else {
            return Ok(Some(Change {
                row: key::files(bucket),
                old: Weight::default(),
                new: Weight::of_anybody(size),
            }));
        };
        let kept = match self.judged.keeps() {
            true => self.kept_when_replaced(bucket, filed.id, &filed.file).await?,
            false => filed.file.kept,
        };
        let after = File {
            state: FileState::Received,
            size,
            kept,
            ..filed.file.clone()
        };
        Ok(Some(Change {
            row: key::file(bucket, filed.id.as_bytes()),
            old: Weight::of_file(&filed.file),
            new: Weight::of_file(&after),
        }))
    }

    /// Commits a batch after which the object row `row_key` holds `size` bytes, nothing for a removal. Refused if the
    /// bucket, or whoever the files of the batch count for, has a quota and would hold more than that; a batch that makes
    /// nothing larger never is, and waits for no count: a bucket can be emptied whatever is wrong with its rows. In a bucket
    /// with a quota it runs to its end when the caller goes away.
    pub(super) async fn commit_sized(
        &self,
        bucket: &BucketName,
        row_key: &Key,
        size: u64,
        batch: Batch,
    ) -> Result<Rev, SizedRefused> {
        let mut batch = batch;
        let mut turn = None;
        let (books, _following) = loop {
            let books = self.open_books(bucket).await?;
            let Some(turns) = self.catalogue_turn(books.settings.as_deref(), row_key)? else {
                break (books, None);
            };
            let Some(mine) = turn.take().or_else(|| turns.try_lock().ok()) else {
                // Nobody waits for a turn with the books open: a count waits for those, and whoever has the turn for it.
                drop(books);
                turn = Some(turns.lock().await);
                continue;
            };
            let following = self.follow_in_turn(bucket, (mine, row_key), &mut batch).await?;
            break (books, Some(following));
        };
        let objects = [(row_key.clone(), size)];
        self.commit_with(books, bucket, (&objects, Judged::Later), batch).await
    }

    /// The same, for any number of objects' rows and a batch that has with it what the catalogue needs.
    pub(super) async fn commit_counted(
        &self,
        bucket: &BucketName,
        rows: &[(Key, u64)],
        batch: Batch,
    ) -> Result<Rev, SizedRefused> {
        let books = self.open_books(bucket).await?;
        self.commit_with(books, bucket, (rows, Judged::Later), batch).await
    }

    async fn open_books(&self, bucket: &BucketName) -> Result<Books<'_>, Fault> {
        let unkept = match self.inner.ledgers.unkept(bucket) {
            Some(unkept) => Some(unkept.read().await),
            None => None,
        };
        // Looked at under the lock: whoever counts after a quota was set knows who did not see it.
        let settings = self.bucket_settings(bucket).await?;
        Ok(Books {
            _unkept: unkept,
            settings: settings.map(|(settings, _)| settings),
        })
    }

    /// The same, for a batch that makes nothing larger but says anew whose it is: it is entered, and never refused.
    pub(super) async fn commit_entered(&self, bucket: &BucketName, batch: Batch) -> Result<Rev, CommitRefused> {
        let books = self.open_books(bucket).await.map_err(CommitRefused::Fault)?;
        let committed = self.commit_with(books, bucket, (&[], Judged::Not), batch).await;
        committed.map_err(SizedRefused::of_removal)
    }

    async fn commit_with(
        &self,
        books: Books<'_>,
        bucket: &BucketName,
        (objects, mut judged): (&[(Key, u64)], Judged),
        mut batch: Batch,
    ) -> Result<Rev, SizedRefused> {
        let ledgers = &self.inner.ledgers;
        let Some(settings) = books.settings.clone().filter(|settings| settings.has_quota()) else {
            let _forgotten = Unkept { ledgers, bucket };
            return Ok(self.inner.backend.commit(batch).await?);
        };
        drop(books);
        let rows = weighed(bucket, objects, &batch)?;
        let ledger = ledgers.of(bucket);
        loop {
            let store = self.clone();
            let entered = EnteredCommit {
                rows: rows.clone(),
                settings: Arc::clone(&settings),
                judged,
            };
            let task = tokio::spawn(entered.run(store, Arc::clone(&ledger), batch));
            match task.await {
                Ok(Tried::Done(done)) => {
                    if let Err(SizedRefused::OverQuota(over)) = &done {
                        self.tell_over_quota(bucket, *over).await;
                    }
                    return done;
                }
                Ok(Tried::Uncounted(back)) => batch = *back,
                Err(error) => return Err(Fault::Internal(format!("writing within a quota: {error}")).into()),
            }
            self.await_count(bucket, &ledger).await?;
            judged = Judged::Now;
        }
    }
}
