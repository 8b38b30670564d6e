//! Resumable uploads: begun, appended to from an offset as often as it takes, finished, ended, or made into one.
//!
//! An upload is a row that says how many bytes are stored; whoever appends requires it at its revision, so the bytes
//! stored are one sequence. What is appended becomes a part of its own; the parts depend on a second row, the *pile*.
//! Finishing joins them to an object and deletes the pile; the upload's row stays until it expires, so that a client that
//! missed the answer finds out. S3's multipart uploads are other rows: neither sees the other's. Never knows a protocol.

use crate::backend::{Batch, Key, NewBody, Op, Put, Require, Rev};
use crate::limits::OBJECT_BYTES_MAX;
use crate::store::error::{CommitRefused, Fault};
use crate::store::name::{BucketName, UploadId};
use crate::store::record::Record;
use crate::store::record::resumable::{Purpose, Resumable};
use crate::store::resumable::writers::{Superseded, Turn};
use crate::store::{Store, key};

pub mod append;
mod arriving;
pub mod begin;
pub mod finish;
mod merge;
pub mod sweep;
pub(in crate::store) mod writers;

/// Why there is no upload to go on with, or nothing may be changed about it.
#[derive(Debug, thiserror::Error)]
pub enum ResumableError {
    /// Never begun, ended, or expired and removed.
    #[error("no such upload")]
    NoSuchUpload,
    #[error("the upload has expired")]
    Expired,
    /// Nothing changed; a request about the same upload that came later goes on.
    #[error("a newer request about the upload came")]
    Superseded,
    /// It is a piece of an upload that was begun, and lives as long as that one.
    #[error("the upload is a piece of another one")]
    Taken,
    /// It became an object, and ends by itself.
    #[error("the upload is finished")]
    Finished,
    #[error("the upload's length is {known}, not {given}")]
    OtherLength { known: u64, given: u64 },
    #[error("{offset} bytes are stored already, more than {given}")]
    Shorter { offset: u64, given: u64 },
    #[error("an upload may have {max} bytes")]
    TooLarge { max: u64 },
    #[error(transparent)]
    Fault(#[from] Fault),
}

crate::store::error::faults_from_below!(ResumableError);

impl From<Superseded> for ResumableError {
    fn from(_: Superseded) -> Self {
        Self::Superseded
    }
}

/// An upload as its row stands.
struct Open<'b> {
    bucket: &'b BucketName,
    id: UploadId,
    record: Resumable,
    rev: Rev,
}

impl Open<'_> {
    fn row_key(&self) -> Key {
        key::resumable(self.bucket, &self.id)
    }

    /// Puts the upload's row.
    fn put(&self, record: &Resumable) -> Op {
        Op::Put(Put {
            key: self.row_key(),
            value: record.to_value(),
            body: NewBody::None,
            parent_len: None,
        })
    }
}

/// Most bytes that the upload may have.
fn most_bytes(record: &Resumable) -> u64 {
    let known = [record.length, record.size_max].into_iter().flatten().min();
    known.unwrap_or(OBJECT_BYTES_MAX).min(OBJECT_BYTES_MAX)
}

impl Store {
    /// What is known of an upload. Whoever writes to it goes on, so more may be stored by the time this returns.
    pub async fn resumable(&self, bucket: &BucketName, id: &UploadId) -> Result<Resumable, ResumableError> {
        Ok(self.open_resumable(bucket, id).await?.record)
    }

    /// What is known of an upload once whoever wrote to it has been ended and has stored what arrived: its offset stays
    /// as it is until somebody appends.
    pub async fn resumable_at_rest(&self, bucket: &BucketName, id: &UploadId) -> Result<Resumable, ResumableError> {
        self.open_resumable(bucket, id).await?;
        let _turn = Turn::take(self, id).await?;
        Ok(self.open_resumable(bucket, id).await?.record)
    }

    /// Says how many bytes an upload will have, where that was left open.
    pub async fn set_resumable_length(
        &self,
        bucket: &BucketName,
        id: &UploadId,
        length: u64,
    ) -> Result<Resumable, ResumableError> {
        self.open_resumable(bucket, id).await?;
        let _turn = Turn::take(self, id).await?;
        let open = self.open_resumable(bucket, id).await?;
        check_length(&open.record, length)?;
        if open.record.length.is_some() {
            return Ok(open.record);
        }
        let record = Resumable {
            length: Some(length),
            ..open.record.clone()
        };
        self.put_resumable(&open, &record).await?;
        Ok(record)
    }

    /// Ends an upload without an object, and gives what it was. The uploads that it was to be made of end with it.
    pub async fn terminate_resumable(&self, bucket: &BucketName, id: &UploadId) -> Result<Resumable, ResumableError> {
        self.open_resumable(bucket, id).await?;
        let _turn = Turn::take(self, id).await?;
        let open = self.open_resumable(bucket, id).await?;
        if open.record.done.is_some() {
            return Err(ResumableError::Finished);
        }
        let ended = match &open.record.purpose {
            Purpose::Partial { of: Some(_) } => return Err(ResumableError::Taken),
            Purpose::Partial { of: None } | Purpose::Object(_) => vec![*id],
            Purpose::Final { partials, .. } => partials.iter().chain([id]).copied().collect(),
        };
        let rows = |id: &UploadId| [key::resumable(bucket, id), key::pile(bucket, id)];
        let ops = ended.iter().flat_map(rows).map(Op::Delete).collect();
        let require = vec![Require::RevIs(open.row_key(), open.rev)];
        self.commit(Batch { require, ops })
            .await
            .map_err(CommitRefused::into_fault)?;
        self.sweep_parts_later(ended.iter().map(|id| key::pile(bucket, id)).collect());
        Ok(open.record)
    }

    async fn open_resumable<'b>(&self, bucket: &'b BucketName, id: &UploadId) -> Result<Open<'b>, ResumableError> {
        let Some(row) = self.inner.backend.get(&key::resumable(bucket, id)).await? else {
            return Err(ResumableError::NoSuchUpload);
        };
        let record = Resumable::from_value(&row.value)?;
        if record.has_expired(self.now()) {
            return Err(ResumableError::Expired);
        }
        Ok(Open {
            bucket,
            id: *id,
            record,
            rev: row.rev,
        })
    }

    /// Puts the upload's row, if it is as it was read.
    async fn put_resumable(&self, open: &Open<'_>, record: &Resumable) -> Result<Rev, Fault> {
        let require = vec![Require::RevIs(open.row_key(), open.rev)];
        let ops = vec![open.put(record)];
        self.commit(Batch { require, ops })
            .await
            .map_err(CommitRefused::into_fault)
    }
}

/// Whether an upload may turn out to have this many bytes.
fn check_length(record: &Resumable, given: u64) -> Result<(), ResumableError> {
    if let Some(known) = record.length.filter(|known| *known != given) {
        return Err(ResumableError::OtherLength { known, given });
    }
    if given < record.offset {
        return Err(ResumableError::Shorter {
            offset: record.offset,
            given,
        });
    }
    match most_bytes(record) {
        max if given > max => Err(ResumableError::TooLarge { max }),
        _ => Ok(()),
    }
}
