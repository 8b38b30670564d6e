//! CompleteMultipartUpload: the parts become one object, without copying their bytes.
//!
//! It runs in a task of its own and ends with it, whether or not the client stays. The upload is marked first, so that
//! no part changes under it; then one small batch puts the object and deletes the upload. Sent again after success, it
//! gives the same answer, which is read from the object.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use md5::{Digest, Md5};
use parking_lot::Mutex;

use crate::backend::{Batch, BlobClass, BodyRef, Key, NewBody, Op, Put, Require, Rev};
use crate::limits::{LIST_ITEMS_MAX, OBJECT_BYTES_MAX, PART_BYTES_MIN, PART_TABLE_INLINE_BYTES_MAX, PARTS_MAX};
#[cfg(test)]
use crate::planted;
use crate::store::bucket::GateClosed;
use crate::store::checksum::{self, Checksum, ChecksumType};
use crate::store::condition::{WriteCondition, WriteRefused};
use crate::store::error::{CommitRefused, Fault, TakeInError, faults_from_below};
use crate::store::etag::ETag;
use crate::store::multipart::list::PartRow;
use crate::store::name::{BucketName, ObjectKey, PartNumber, UploadId};
use crate::store::object::put::{DecideError, Stored};
use crate::store::quota::{OverQuota, SizedRefused};
use crate::store::record::Record;
use crate::store::record::labels::Labels;
use crate::store::record::object::{Object, Parts};
use crate::store::record::part_table::{PartTable, TablePart};
use crate::store::record::upload::{Upload, UploadState};
use crate::store::{RACES_MAX, Store, key};

/// A part as the client names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedPart {
    pub number: PartNumber,
    pub etag: String,
    pub checksum: Option<Checksum>,
}

#[derive(Clone, Debug)]
pub struct CompleteUpload {
    pub bucket: BucketName,
    pub key: ObjectKey,
    pub upload: UploadId,
    /// In ascending order of their numbers.
    pub parts: Vec<NamedPart>,
    pub condition: WriteCondition,
    /// What the object's checksum must be.
    pub checksum: Option<Checksum>,
    /// What the object's checksum type must be.
    pub checksum_type: Option<ChecksumType>,
    /// What the object's size in bytes must be.
    pub size: Option<u64>,
}

/// A successful Complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completed {
    pub stored: Stored,
    /// An earlier Complete had done it already; this one changed nothing.
    pub before: bool,
}

/// A failed Complete. The upload stays as it was, unless it says [`Fault::Unknown`].
#[derive(Debug, thiserror::Error)]
pub enum CompleteUploadError {
    #[error("no such bucket")]
    NoSuchBucket,
    /// The bucket was just being deleted; the same request may be sent again.
    #[error("the bucket is being deleted")]
    BucketBusy,
    #[error("no such upload")]
    NoSuchUpload,
    #[error("no parts are named")]
    NoParts,
    #[error("the parts are not in ascending order")]
    PartOrder,
    /// Not uploaded, or uploaded with another ETag or checksum.
    #[error("part {0} was not uploaded as named")]
    InvalidPart(PartNumber),
    #[error("part {number} has {size} bytes; only the last may have fewer than {PART_BYTES_MIN}")]
    PartTooSmall { number: PartNumber, size: u64 },
    #[error("the object would be larger than {OBJECT_BYTES_MAX} bytes")]
    TooLarge,
    #[error("the object has {found} bytes, not the {declared} declared")]
    SizeMismatch { declared: u64, found: u64 },
    #[error("the object's checksum is not the one given")]
    ChecksumMismatch,
    #[error("the upload was begun with another checksum type")]
    ChecksumType,
    #[error(transparent)]
    OverQuota(#[from] OverQuota),
    #[error(transparent)]
    Refused(#[from] WriteRefused),
    #[error(transparent)]
    Fault(#[from] Fault),
}

faults_from_below!(CompleteUploadError);

impl From<GateClosed> for CompleteUploadError {
    fn from(closed: GateClosed) -> Self {
        match closed {
            GateClosed::NoSuchBucket => Self::NoSuchBucket,
            GateClosed::Busy => Self::BucketBusy,
        }
    }
}

impl From<DecideError> for CompleteUploadError {
    fn from(error: DecideError) -> Self {
        match error {
            DecideError::Refused(refused) => Self::Refused(refused),
            DecideError::Fault(fault) => Self::Fault(fault),
        }
    }
}

/// The uploads that this process completes just now, or decides about: a second Complete of one waits for the first.
#[derive(Default)]
pub(in crate::store) struct Running(Mutex<HashMap<UploadId, Arc<tokio::sync::Mutex<()>>>>);

impl Running {
    pub(in crate::store) fn contains(&self, id: &UploadId) -> bool {
        self.0.lock().contains_key(id)
    }

    fn enter(&self, id: &UploadId) -> Arc<tokio::sync::Mutex<()>> {
        self.0.lock().entry(*id).or_default().clone()
    }

    /// Forgets the upload unless others wait for it; `turn` is the caller's own handle.
    fn leave(&self, id: &UploadId, turn: Arc<tokio::sync::Mutex<()>>) {
        let mut running = self.0.lock();
        drop(turn);
        if running.get(id).is_some_and(|turn| Arc::strong_count(turn) == 1) {
            running.remove(id);
        }
    }
}

/// Somebody decides what becomes of an upload. Leaves when the task ends, however it ends.
pub(super) struct Turn<'s> {
    store: &'s Store,
    id: UploadId,
    turn: Option<Arc<tokio::sync::Mutex<()>>>,
}

impl Turn<'_> {
    /// Waits until nobody else decides about it.
    pub(super) async fn come(&self) -> Option<tokio::sync::OwnedMutexGuard<()>> {
        let turn = self.turn.clone()?;
        Some(turn.lock_owned().await)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if let Some(turn) = self.turn.take() {
            self.store.inner.running.leave(&self.id, turn);
        }
    }
}

impl Store {
    /// Completes an upload. It goes on when the caller goes away; sent again, it answers the same, and says that it was done before.
    pub async fn complete_upload(&self, complete: CompleteUpload) -> Result<Completed, CompleteUploadError> {
        if complete.parts.is_empty() {
            return Err(CompleteUploadError::NoParts);
        }
        let ascending = complete.parts.is_sorted_by(|a, b| a.number < b.number);
        if !ascending {
            return Err(CompleteUploadError::PartOrder);
        }
        let store = self.clone();
        let task = tokio::spawn(async move { store.complete_in_turn(&complete).await });
        task.await
            .unwrap_or_else(|error| Err(Fault::Internal(format!("completing an upload: {error}")).into()))
    }

    async fn complete_in_turn(&self, complete: &CompleteUpload) -> Result<Completed, CompleteUploadError> {
        let leave = self.turn_of_upload(&complete.upload);
        let _first = leave.come().await;
        let upload_key = key::upload(&complete.bucket, &complete.key, &complete.upload);
        let Some((upload, rev)) = self.find_upload(&upload_key).await? else {
            let stored = self.completed_before(complete).await?;
            return Ok(Completed { stored, before: true });
        };
        let marked = self.marked(upload);
        let rev = match self.put_upload(&upload_key, &marked, rev).await {
            Ok(rev) => rev,
            Err(CommitRefused::Condition { found: None, .. }) => return Err(CompleteUploadError::NoSuchUpload),
            Err(refused) => return Err(refused.into_fault().into()),
        };
        let result = self.complete_marked(complete, &upload_key, &marked, rev).await;
        match &result {
            Ok(_) => {
                self.inner.part_sizes.forget(&upload_key);
                self.sweep_parts_later(vec![upload_key]);
            }
            Err(_) => self.unmark(&upload_key, marked, rev).await,
        }
        let before = false;
        result.map(|stored| Completed { stored, before })
    }

    /// The upload as its row stands while somebody decides what becomes of it: no part is added to it.
    pub(super) fn marked(&self, upload: Upload) -> Upload {
        Upload {
            state: UploadState::Completing(self.inner.epoch.0),
            ..upload
        }
    }

    /// The upload goes on. It counts as open anyway once whoever marked it has left; the row only says so sooner.
    pub(super) async fn unmark(&self, upload_key: &Key, marked: Upload, rev: Rev) {
        let open = Upload {
            state: UploadState::Open,
            ..marked
        };
        if let Err(error) = self.put_upload(upload_key, &open, rev).await {
            tracing::debug!(?error, "an upload stays marked as completing");
        }
    }

    /// The turn of whoever decides what becomes of an upload.
    pub(super) fn turn_of_upload(&self, id: &UploadId) -> Turn<'_> {
        Turn {
            store: self,
            id: *id,
            turn: Some(self.inner.running.enter(id)),
        }
    }

    pub(super) async fn put_upload(&self, upload_key: &Key, upload: &Upload, rev: Rev) -> Result<Rev, CommitRefused> {
        let put = Put {
            key: upload_key.clone(),
            value: upload.to_value(),
            body: NewBody::None,
            parent_len: None,
        };
        self.commit(Batch {
            require: vec![Require::RevIs(upload_key.clone(), rev)],
            ops: vec![Op::Put(put)],
        })
        .await
    }

    /// The answer to a Complete that was sent again.
    async fn completed_before(&self, complete: &CompleteUpload) -> Result<Stored, CompleteUploadError> {
        match self.current(&key::current(&complete.bucket, &complete.key)).await? {
            Some(current) if current.object.upload == Some(complete.upload) => Ok(Stored::of(&current.object)),
            _ if self.bucket_exists(&complete.bucket).await? => Err(CompleteUploadError::NoSuchUpload),
            _ => Err(CompleteUploadError::NoSuchBucket),
        }
    }

    async fn complete_marked(
        &self,
        complete: &CompleteUpload,
        upload_key: &Key,
        upload: &Upload,
        rev: Rev,
    ) -> Result<Stored, CompleteUploadError> {
        let object_key = key::current(&complete.bucket, &complete.key);
        self.decide_write(&object_key, &complete.condition).await?;
        let gathered = self.gather(complete, upload, upload_key, rev).await?;
        let mut bodies = gathered.bodies;
        let mut object = Object {
            size: gathered.size,
            etag: gathered.etag,
            modified: self.now(),
            metadata: upload.metadata.clone(),
            checksum: gathered.checksum,
            parts: Some(gathered.parts),
            upload: Some(complete.upload),
            labels: Labels::default(),
        };
        for _ in 0..RACES_MAX {
            let mut require = vec![self.is_open(&complete.bucket), Require::RevIs(upload_key.clone(), rev)];
            require.extend(self.decide_write(&object_key, &complete.condition).await?);
            require.extend(self.as_judged(&object_key));
            let (labels, unchanged) = self.settle_labels(&object_key, upload.labels.clone()).await?;
            require.extend(unchanged);
            object.labels = labels;
            let blob =
                self.inner
                    .backend
                    .join_blobs(&bodies)
                    .await
                    .map_err(|error| match TakeInError::from(error) {
                        TakeInError::Fault(fault) => fault,
                        TakeInError::Body(error) => Fault::Internal(error.to_string()),
                    })?;
            let put = Put {
                key: object_key.clone(),
                value: object.to_value(),
                body: NewBody::Blob(blob),
                parent_len: None,
            };
            let ops = vec![Op::Put(put), Op::Delete(upload_key.clone())];
            let batch = Batch { require, ops };
            match self
                .commit_sized(&complete.bucket, &object_key, object.size, batch)
                .await
            {
                Ok(_) => return Ok(Stored::of(&object)),
                Err(SizedRefused::PartChanged) => {
                    // The upload is marked, so nobody replaced one: its body was written anew elsewhere.
                    bodies = self.gather(complete, upload, upload_key, rev).await?.bodies;
                }
                Err(SizedRefused::Condition { index: 0, .. }) => {
                    return Err(self.why_gate_closed(&complete.bucket).await?.into());
                }
                Err(SizedRefused::Condition { index: 1, .. }) => return Err(CompleteUploadError::NoSuchUpload),
                Err(SizedRefused::Condition { .. }) if self.as_judged(&object_key).next().is_some() => break,
                Err(SizedRefused::Condition { .. }) => {}
                Err(SizedRefused::OverQuota(over)) => return Err(over.into()),
                Err(SizedRefused::Fault(fault)) => return Err(fault.into()),
            }
        }
        Err(WriteRefused::Conflict.into())
    }

    /// What the upload becomes. The table of its parts is stored as one more body where it is large.
    async fn gather(
        &self,
        complete: &CompleteUpload,
        upload: &Upload,
        upload_key: &Key,
        rev: Rev,
    ) -> Result<Gathered, CompleteUploadError> {
        let uploaded = self.all_parts(upload_key).await?;
        let plan = plan(complete, upload, &uploaded)?;
        let mut bodies = plan.bodies;
        let parts = match plan.table.to_value() {
            value if value.len() <= PART_TABLE_INLINE_BYTES_MAX => Parts::Inline(plan.table),
            value => {
                let len = u32::try_from(value.len()).map_err(|_| Fault::Internal("a part table over 4 GiB".into()))?;
                bodies.push(self.put_part_table(upload_key, rev, value).await?);
                Parts::InBody {
                    count: u16::try_from(plan.table.parts.len()).unwrap_or(PARTS_MAX),
                    len,
                }
            }
        };
        Ok(Gathered {
            size: plan.size,
            etag: plan.etag,
            checksum: plan.checksum,
            parts,
            bodies,
        })
    }

    async fn all_parts(&self, upload_key: &Key) -> Result<Vec<PartRow>, Fault> {
        let mut all: Vec<PartRow> = Vec::new();
        loop {
            let after = all.last().map_or(0, |(number, _, _)| number.get());
            let (rows, more) = self.part_rows(upload_key, after, LIST_ITEMS_MAX).await?;
            all.extend(rows);
            if !more {
                return Ok(all);
            }
        }
    }

    /// Stores a large table as one more part, so that it can be joined behind the others.
    async fn put_part_table(&self, upload_key: &Key, rev: Rev, value: Bytes) -> Result<BodyRef, Fault> {
        let row_key = key::part_table(upload_key);
        let len = value.len() as u64;
        let source = Box::pin(futures::stream::once(std::future::ready(Ok(value))));
        let blob = self.inner.backend.put_blob(BlobClass::Part, source, Some(len)).await;
        let blob = blob.map_err(|error| match TakeInError::from(error) {
            TakeInError::Fault(fault) => fault,
            TakeInError::Body(error) => Fault::Internal(error.to_string()),
        })?;
        let put = Put {
            key: row_key.clone(),
            value: Bytes::new(),
            body: NewBody::Blob(blob),
            parent_len: Some(upload_key.as_bytes().len()),
        };
        let require = vec![Require::RevIs(upload_key.clone(), rev)];
        self.commit(Batch {
            require,
            ops: vec![Op::Put(put)],
        })
        .await
        .map_err(CommitRefused::into_fault)?;
        let row = self.inner.backend.get(&row_key).await?;
        row.and_then(|row| row.body)
            .ok_or_else(|| Fault::Unavailable("the part table was swept; send it again".into()))
    }
}

/// What an upload becomes, all of it stored.
struct Gathered {
    size: u64,
    etag: ETag,
    checksum: Option<checksum::ObjectChecksum>,
    parts: Parts,
    /// Of the parts, and of their table if it has one.
    bodies: Vec<BodyRef>,
}

/// What an upload becomes; decided without touching anything.
#[derive(Debug)]
struct Plan {
    size: u64,
    etag: ETag,
    checksum: Option<checksum::ObjectChecksum>,
    table: PartTable,
    bodies: Vec<BodyRef>,
}

fn plan(complete: &CompleteUpload, upload: &Upload, uploaded: &[PartRow]) -> Result<Plan, CompleteUploadError> {
    let mut size = 0_u64;
    let mut etags = Md5::new();
    let mut table = PartTable {
        parts: Vec::with_capacity(complete.parts.len()),
    };
    let mut bodies = Vec::with_capacity(complete.parts.len());
    let last = complete.parts.last().map(|named| named.number);
    for named in &complete.parts {
        let invalid = CompleteUploadError::InvalidPart(named.number);
        let found = uploaded
            .binary_search_by_key(&named.number, |(number, _, _)| *number)
            .ok();
        let Some((number, part, body)) = found.and_then(|at| uploaded.get(at)) else {
            return Err(invalid);
        };
        let same_checksum = named.checksum.is_none_or(|checksum| part.checksum == Some(checksum));
        if ETag::parse(&named.etag) != Some(part.etag) || !same_checksum {
            return Err(invalid);
        }
        if Some(*number) != last && part.size < PART_BYTES_MIN {
            return Err(CompleteUploadError::PartTooSmall {
                number: *number,
                size: part.size,
            });
        }
        size = size
            .checked_add(part.size)
            .filter(|size| *size <= OBJECT_BYTES_MAX)
            .ok_or(CompleteUploadError::TooLarge)?;
        etags.update(part.etag.md5());
        table.parts.push(TablePart {
            number: number.get(),
            size: part.size,
            checksum: part.checksum,
        });
        match body {
            Some(body) => bodies.push(body.clone()),
            None => return Err(Fault::Corrupt(format!("part {number} has no body")).into()),
        }
    }
    if let Some(declared) = complete.size.filter(|declared| *declared != size) {
        return Err(CompleteUploadError::SizeMismatch { declared, found: size });
    }
    #[cfg(test)]
    if planted::is(planted::Bug::ForgottenPart) && bodies.len() > 1 {
        bodies.pop();
    }
    let checksum = object_checksum(complete, upload, &table)?;
    let parts = u16::try_from(complete.parts.len()).unwrap_or(PARTS_MAX);
    let etag = ETag::Multipart {
        md5: etags.finalize().into(),
        parts,
    };
    Ok(Plan {
        size,
        etag,
        checksum,
        table,
        bodies,
    })
}

fn object_checksum(
    complete: &CompleteUpload,
    upload: &Upload,
    table: &PartTable,
) -> Result<Option<checksum::ObjectChecksum>, CompleteUploadError> {
    let Some(wanted) = upload.checksum else {
        let nothing_asked = complete.checksum.is_none() && complete.checksum_type.is_none();
        return if nothing_asked {
            Ok(None)
        } else {
            Err(CompleteUploadError::ChecksumType)
        };
    };
    if complete.checksum_type.is_some_and(|kind| kind != wanted.kind) {
        return Err(CompleteUploadError::ChecksumType);
    }
    let mut parts = Vec::with_capacity(table.parts.len());
    for part in &table.parts {
        let checksum = part
            .checksum
            .ok_or_else(|| Fault::Corrupt(format!("part {} has no checksum", part.number)))?;
        parts.push((checksum, part.size));
    }
    let checksum = checksum::of_parts(wanted.algorithm, wanted.kind, parts)
        .ok_or_else(|| Fault::Corrupt("the parts' checksums are of another kind than the upload's".into()))?;
    match complete.checksum {
        Some(given) if given != checksum.value => Err(CompleteUploadError::ChecksumMismatch),
        Some(_) | None => Ok(Some(checksum)),
    }
}
