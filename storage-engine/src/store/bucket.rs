//! Buckets: made, found, listed, deleted.
//!
//! A bucket is two rows: its record, and a gate. Whatever puts an object or begins an upload requires the gate, and
//! needs no other look at the bucket. Deleting takes the gate away first, so that no object can slip in behind the
//! scan for emptiness; the record stands until the bucket is gone, so it is never seen missing while it exists.

use crate::backend::{Batch, Key, NewBody, Op, Put, Require, Rev};
use crate::limits::{LIST_ITEMS_MAX, SETTINGS_BYTES_MAX};
use crate::store::clock::Timestamp;
use crate::store::error::{CommitRefused, Fault, faults_from_below};
use crate::store::files::index_mark;
use crate::store::name::BucketName;
use crate::store::record::Record;
use crate::store::record::bucket::{BucketRecord, BucketState};
use crate::store::record::settings::BucketSettings;
use crate::store::settings::{SettingsTooLarge, settings_op};
use crate::store::{Store, key};

/// A bucket as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    pub name: BucketName,
    pub created: Timestamp,
    /// The location constraint it was made with; empty: none.
    pub region: String,
    /// The canonical id of the user who made it; `None`: root.
    pub owner: Option<String>,
}

/// A page of buckets, in the order of their names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketPage {
    pub buckets: Vec<Bucket>,
    /// Give it as `after` for the next page; `None`: this was the last.
    pub next: Option<String>,
}

/// Which buckets to list. `limit` is cut at 1,000 items.
#[derive(Clone, Debug, Default)]
pub struct ListBuckets {
    pub prefix: String,
    /// Only names greater than this one.
    pub after: Option<String>,
    pub limit: usize,
}

/// A bucket to be made.
#[derive(Clone, Debug)]
pub struct NewBucket {
    pub name: BucketName,
    /// Kept for GetBucketLocation.
    pub region: String,
    /// The canonical id of the user who makes it; `None`: root.
    pub owner: Option<String>,
    /// What is set on it from the start.
    pub settings: BucketSettings,
}

#[derive(Debug, thiserror::Error)]
pub enum CreateBucketError {
    #[error("the bucket exists already")]
    Exists {
        /// Whose it is; `None`: root's.
        owner: Option<String>,
    },
    #[error("the settings of a bucket have at most {SETTINGS_BYTES_MAX} bytes together; these have {bytes}")]
    SettingsTooLarge { bytes: usize },
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// A failed look at a bucket.
#[derive(Debug, thiserror::Error)]
pub enum BucketError {
    #[error("no such bucket")]
    NoSuchBucket,
    #[error(transparent)]
    Fault(#[from] Fault),
}

#[derive(Debug, thiserror::Error)]
pub enum DeleteBucketError {
    #[error("no such bucket")]
    NoSuchBucket,
    #[error("the bucket is not empty")]
    NotEmpty,
    /// Another deletion of the same bucket is on its way.
    #[error("a conflicting operation is in progress")]
    Busy,
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Uploads that leave with a bucket in one batch.
const UPLOADS_AT_ONCE: usize = 500;

/// Why a write found its bucket's gate closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GateClosed {
    NoSuchBucket,
    /// A deletion is looking whether the bucket is empty, or was cut off while it did and is undone now.
    Busy,
}

faults_from_below!(CreateBucketError, BucketError, DeleteBucketError);

impl From<SettingsTooLarge> for CreateBucketError {
    fn from(SettingsTooLarge { bytes }: SettingsTooLarge) -> Self {
        Self::SettingsTooLarge { bytes }
    }
}

fn described(name: BucketName, record: BucketRecord) -> Bucket {
    Bucket {
        name,
        created: record.created,
        region: record.region,
        owner: record.owner,
    }
}

fn row(key: Key, value: bytes::Bytes) -> Op {
    Op::Put(Put {
        key,
        value,
        body: NewBody::None,
        parent_len: None,
    })
}

impl Store {
    /// Makes a bucket of root's, on which nothing is set. `region` is kept for GetBucketLocation.
    pub async fn create_bucket(&self, bucket: &BucketName, region: &str) -> Result<Bucket, CreateBucketError> {
        self.make_bucket(NewBucket {
            name: bucket.clone(),
            region: region.to_owned(),
            owner: None,
            settings: BucketSettings::default(),
        })
        .await
    }

    /// Makes a bucket with its first settings. Whatever a bucket of this name had before is not among them.
    pub async fn make_bucket(&self, new: NewBucket) -> Result<Bucket, CreateBucketError> {
        let record = BucketRecord {
            created: self.now(),
            region: new.region,
            state: BucketState::Open,
            owner: new.owner,
        };
        let (record_key, gate) = (key::bucket(&new.name), key::gate(&new.name));
        let require = vec![Require::Absent(record_key.clone())];
        let mut ops = vec![
            row(record_key, record.to_value()),
            row(gate, bytes::Bytes::new()),
            // Also where nothing is set: whatever is left of one before goes.
            settings_op(&new.name, &new.settings)?,
        ];
        if new.settings.files {
            ops.push(index_mark(&new.name));
        }
        let batch = Batch { require, ops };
        match self.commit(batch).await {
            Ok(_) => Ok(described(new.name, record)),
            Err(CommitRefused::Condition { .. }) => Err(self.why_taken(&new.name).await?),
            Err(CommitRefused::Fault(fault)) => Err(fault.into()),
        }
    }

    /// The bucket as it stands.
    pub async fn head_bucket(&self, bucket: &BucketName) -> Result<Bucket, BucketError> {
        let (record, _) = self.bucket_record(bucket).await?.ok_or(BucketError::NoSuchBucket)?;
        Ok(described(bucket.clone(), record))
    }

    /// The bucket as it stands, and the revision that [`Store::only_while`] takes; `None`: there is none.
    pub async fn look_at_bucket(&self, bucket: &BucketName) -> Result<Option<(Bucket, Rev)>, Fault> {
        let found = self.bucket_record(bucket).await?;
        Ok(found.map(|(record, rev)| (described(bucket.clone(), record), rev)))
    }

    /// Says whose the bucket is that stands where one was to be made.
    async fn why_taken(&self, bucket: &BucketName) -> Result<CreateBucketError, Fault> {
        Ok(match self.bucket_record(bucket).await? {
            Some((record, _)) => CreateBucketError::Exists { owner: record.owner },
            // Deleted meanwhile: the client may ask again.
            None => CreateBucketError::Fault(Fault::Unavailable("the bucket is being deleted".into())),
        })
    }

    /// A page of all buckets.
    pub async fn list_buckets(&self, list: ListBuckets) -> Result<BucketPage, Fault> {
        let prefix = key::buckets(&list.prefix);
        let limit = list.limit.min(LIST_ITEMS_MAX);
        let Some(end) = prefix.after_prefix() else {
            return Err(Fault::Internal("no end of buckets".into()));
        };
        let start = match &list.after {
            Some(after) => key::buckets(after).successor().max(prefix),
            None => prefix,
        };
        if limit == 0 || start >= end {
            return Ok(BucketPage {
                buckets: Vec::new(),
                next: None,
            });
        }
        let page = self.inner.backend.scan(start..end, limit).await?;
        let mut buckets = Vec::with_capacity(page.items.len());
        for (row_key, row) in &page.items {
            let name = key::text_after(row_key, &key::buckets("")).and_then(|text| BucketName::parse(text).ok());
            let name = name.ok_or_else(|| Fault::Corrupt(format!("a bucket row with the key {row_key:?}")))?;
            let record = BucketRecord::from_value(&row.value)?;
            buckets.push(described(name, record));
        }
        let next = buckets
            .last()
            .filter(|_| page.more)
            .map(|bucket| bucket.name.as_str().to_owned());
        Ok(BucketPage { buckets, next })
    }

    /// Deletes an empty bucket, with the unfinished uploads in it. It goes on when the caller goes away.
    pub async fn delete_bucket(&self, bucket: &BucketName) -> Result<(), DeleteBucketError> {
        let (store, bucket) = (self.clone(), bucket.clone());
        let task = tokio::spawn(async move { store.delete_bucket_to_the_end(&bucket).await });
        task.await
            .unwrap_or_else(|error| Err(Fault::Internal(format!("deleting a bucket: {error}")).into()))
    }

    async fn delete_bucket_to_the_end(&self, bucket: &BucketName) -> Result<(), DeleteBucketError> {
        let (record, rev) = self
            .bucket_record(bucket)
            .await?
            .ok_or(DeleteBucketError::NoSuchBucket)?;
        if self.meant_revision(bucket).is_some_and(|meant| meant != rev) {
            return Err(DeleteBucketError::Busy);
        }
        // Looked at first with the gate open: a bucket in use is refused without disturbing its writers.
        if !self.bucket_is_empty(bucket).await? {
            if record.state == BucketState::Deleting {
                self.open_gate(bucket, &record, rev).await?;
            }
            return Err(DeleteBucketError::NotEmpty);
        }
        let marked = BucketRecord {
            state: BucketState::Deleting,
            ..record
        };
        let close = Batch {
            require: vec![Require::RevIs(key::bucket(bucket), rev)],
            ops: vec![
                row(key::bucket(bucket), marked.to_value()),
                Op::Delete(key::gate(bucket)),
            ],
        };
        let rev = match self.commit(close).await {
            Ok(rev) => rev,
            Err(CommitRefused::Condition { found: None, .. }) => return Err(DeleteBucketError::NoSuchBucket),
            Err(CommitRefused::Condition { found: Some(_), .. }) => return Err(DeleteBucketError::Busy),
            Err(CommitRefused::Fault(fault)) => return Err(fault.into()),
        };
        match self.remove_closed_bucket(bucket, rev).await {
            Ok(()) => Ok(()),
            Err(error) => {
                // The first error is the answer; if the gate cannot be opened now, the next writer or deletion does it.
                if let Err(fault) = self.open_gate(bucket, &marked, rev).await {
                    tracing::warn!(%fault, %bucket, "a bucket stays closed until it is written to again");
                }
                Err(error)
            }
        }
    }

    async fn remove_closed_bucket(&self, bucket: &BucketName, rev: Rev) -> Result<(), DeleteBucketError> {
        if !self.bucket_is_empty(bucket).await? {
            return Err(DeleteBucketError::NotEmpty);
        }
        let guard = Require::RevIs(key::bucket(bucket), rev);
        match self.remove_resumables_of(bucket, &guard).await {
            Ok(()) => {}
            Err(CommitRefused::Condition { .. }) => return Err(DeleteBucketError::Busy),
            Err(CommitRefused::Fault(fault)) => return Err(fault.into()),
        }
        match self.remove_events_of(bucket, &guard).await {
            Ok(()) => {}
            Err(CommitRefused::Condition { .. }) => return Err(DeleteBucketError::Busy),
            Err(CommitRefused::Fault(fault)) => return Err(fault.into()),
        }
        loop {
            // The gate is closed: no upload can be added. The last of them go in one batch with the bucket itself.
            let uploads = self
                .upload_rows(&key::uploads(bucket, ""), None, UPLOADS_AT_ONCE)
                .await?;
            let last = !uploads.more;
            let keys: Vec<Key> = uploads.items.into_iter().map(|(key, _)| key).collect();
            let mut ops: Vec<Op> = keys.iter().cloned().map(Op::Delete).collect();
            if last {
                ops.push(Op::Delete(key::bucket(bucket)));
                ops.push(Op::Delete(key::settings(bucket)));
                ops.push(Op::Delete(key::file_index_mark(bucket)));
            }
            match self
                .commit(Batch {
                    require: vec![guard.clone()],
                    ops,
                })
                .await
            {
                Ok(_) => self.sweep_parts_later(keys),
                Err(CommitRefused::Condition { .. }) => return Err(DeleteBucketError::Busy),
                Err(CommitRefused::Fault(fault)) => return Err(fault.into()),
            }
            if last {
                return Ok(());
            }
        }
    }

    async fn bucket_is_empty(&self, bucket: &BucketName) -> Result<bool, Fault> {
        for beginning in [key::currents(bucket, ""), key::versions(bucket), key::catalogue(bucket)] {
            let Some(end) = beginning.after_prefix() else { continue };
            if !self.inner.backend.scan(beginning..end, 1).await?.items.is_empty() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Opens the gate of a bucket whose deletion was given up or cut off. Someone else's change wins.
    async fn open_gate(&self, bucket: &BucketName, record: &BucketRecord, rev: Rev) -> Result<(), Fault> {
        let open = BucketRecord {
            state: BucketState::Open,
            ..record.clone()
        };
        let batch = Batch {
            require: vec![Require::RevIs(key::bucket(bucket), rev)],
            ops: vec![
                row(key::bucket(bucket), open.to_value()),
                row(key::gate(bucket), bytes::Bytes::new()),
            ],
        };
        match self.commit(batch).await {
            Ok(_) | Err(CommitRefused::Condition { .. }) => Ok(()),
            Err(CommitRefused::Fault(fault)) => Err(fault),
        }
    }

    pub(super) async fn bucket_record(&self, bucket: &BucketName) -> Result<Option<(BucketRecord, Rev)>, Fault> {
        match self.inner.backend.get(&key::bucket(bucket)).await? {
            Some(row) => Ok(Some((BucketRecord::from_value(&row.value)?, row.rev))),
            None => Ok(None),
        }
    }

    /// Says why a gate was found closed. A gate closed by a deletion that did not end is opened for the next writer.
    pub(super) async fn why_gate_closed(&self, bucket: &BucketName) -> Result<GateClosed, Fault> {
        match self.bucket_record(bucket).await? {
            None => Ok(GateClosed::NoSuchBucket),
            Some((record, rev)) => {
                if record.state == BucketState::Deleting {
                    self.open_gate(bucket, &record, rev).await?;
                }
                Ok(GateClosed::Busy)
            }
        }
    }
}
