//! PutObject: a body and what is said about it become the current version of a key.

use crate::backend::{Batch, BlobClass, NewBody as RowBody, Op, Put, Require};
use crate::limits::SMALL_BODY_BYTES_MAX;
#[cfg(test)]
use crate::planted;
use crate::store::body::{NewBody, take_in};
use crate::store::bucket::GateClosed;
use crate::store::checksum::{ChecksumType, ObjectChecksum};
use crate::store::clock::Timestamp;
use crate::store::condition::{Guard, WriteCondition, WriteRefused};
use crate::store::error::{BodyError, Fault, faults_from_below, take_in_errors};
use crate::store::etag::ETag;
use crate::store::name::{BucketName, ObjectKey};
use crate::store::object::guard;
use crate::store::quota::{NoRoom, OverQuota, SizedRefused};
use crate::store::record::Record;
use crate::store::record::labels::Labels;
use crate::store::record::object::{Metadata, MetadataTooLarge, Object};
use crate::store::{Store, key};

/// One PUT.
pub struct PutObject<'a> {
    pub bucket: BucketName,
    pub key: ObjectKey,
    pub metadata: Metadata,
    pub labels: Labels,
    pub body: NewBody<'a>,
    pub condition: WriteCondition,
}

/// What was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    pub etag: ETag,
    pub size: u64,
    pub modified: Timestamp,
    pub checksum: Option<ObjectChecksum>,
}

impl Stored {
    pub(in crate::store) fn of(object: &Object) -> Self {
        Self {
            etag: object.etag,
            size: object.size,
            modified: object.modified,
            checksum: object.checksum,
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum PutObjectError {
    #[error("no such bucket")]
    NoSuchBucket,
    /// The bucket was just being deleted; nothing was stored, and the same request may be sent again.
    #[error("the bucket is being deleted")]
    BucketBusy,
    #[error(transparent)]
    Metadata(#[from] MetadataTooLarge),
    #[error(transparent)]
    Refused(#[from] WriteRefused),
    #[error(transparent)]
    OverQuota(#[from] OverQuota),
    #[error(transparent)]
    Body(BodyError),
    #[error(transparent)]
    Fault(#[from] Fault),
}

faults_from_below!(PutObjectError);
take_in_errors!(PutObjectError);

impl From<NoRoom> for PutObjectError {
    fn from(none: NoRoom) -> Self {
        match none {
            NoRoom::OverQuota(over) => Self::OverQuota(over),
            NoRoom::Fault(fault) => Self::Fault(fault),
        }
    }
}

impl From<GateClosed> for PutObjectError {
    fn from(closed: GateClosed) -> Self {
        match closed {
            GateClosed::NoSuchBucket => Self::NoSuchBucket,
            GateClosed::Busy => Self::BucketBusy,
        }
    }
}

impl Store {
    /// Stores an object. It is durable and visible to every later request when this returns `Ok`; on every error but
    /// [`Fault::Unknown`] nothing changed.
    pub async fn put_object(&self, put: PutObject<'_>) -> Result<Stored, PutObjectError> {
        let PutObject {
            bucket,
            key: object_key,
            metadata,
            labels,
            body,
            condition,
        } = put;
        metadata.check()?;
        let row_key = key::current(&bucket, &object_key);
        // A small body costs less than the look that would refuse it early; the commit decides either way.
        if body.len.is_none_or(|len| len > SMALL_BODY_BYTES_MAX as u64) {
            self.look_before_put((&bucket, &row_key), &condition, body.len).await?;
        }
        let (blob, digests) = take_in(self.inner.backend.as_ref(), BlobClass::Object, body).await?;
        let object = Object {
            size: digests.len,
            etag: ETag::Md5(digests.md5),
            modified: self.now(),
            metadata: metadata.normalized(),
            checksum: digests.checksum.map(|value| ObjectChecksum {
                value,
                kind: ChecksumType::FullObject,
            }),
            parts: None,
            upload: None,
            labels,
        };
        let mut require = vec![self.is_open(&bucket)];
        require.extend(self.decide_write(&row_key, &condition).await?);
        require.extend(self.as_judged(&row_key));
        let (labels, unchanged) = self.settle_labels(&row_key, object.labels).await?;
        require.extend(unchanged);
        let object = Object { labels, ..object };
        #[cfg(test)]
        let object = match self.with_planted_bug(&row_key, object).await? {
            Ok(object) => object,
            Err(dropped) => return Ok(Stored::of(&dropped)),
        };
        let body = if object.size == 0 {
            RowBody::None
        } else {
            RowBody::Blob(blob)
        };
        let op = Put {
            key: row_key.clone(),
            value: object.to_value(),
            body,
            parent_len: None,
        };
        let ops = vec![Op::Put(op)];
        match self
            .commit_sized(&bucket, &row_key, object.size, Batch { require, ops })
            .await
        {
            Ok(_) => Ok(Stored::of(&object)),
            Err(SizedRefused::Condition { index: 0, .. }) => Err(self.why_gate_closed(&bucket).await?.into()),
            Err(SizedRefused::Condition { .. }) => {
                // The body is consumed, so the client must send it again unless the condition fails for good.
                self.decide_write(&row_key, &condition).await?;
                Err(WriteRefused::Conflict.into())
            }
            Err(SizedRefused::OverQuota(over)) => Err(over.into()),
            Err(SizedRefused::PartChanged) => Err(Fault::Internal("a PUT joined parts".into()).into()),
            Err(SizedRefused::Fault(fault)) => Err(fault.into()),
        }
    }

    /// Refuses early what the commit would refuse after a long body.
    async fn look_before_put(
        &self,
        (bucket, row_key): (&BucketName, &crate::backend::Key),
        condition: &WriteCondition,
        len: Option<u64>,
    ) -> Result<(), PutObjectError> {
        if !self.bucket_exists(bucket).await? {
            return Err(PutObjectError::NoSuchBucket);
        }
        self.decide_write(row_key, condition).await?;
        if let Some(len) = len {
            self.look_for_room(bucket, row_key, len).await?;
        }
        Ok(())
    }

    /// The object with a planted bug; `Err`: the write is dropped.
    #[cfg(test)]
    async fn with_planted_bug(
        &self,
        row_key: &crate::backend::Key,
        object: Object,
    ) -> Result<Result<Object, Object>, Fault> {
        let Some(bug) = planted::selected() else {
            return Ok(Ok(object));
        };
        Ok(match self.current(row_key).await? {
            Some(old) if bug == planted::Bug::OldETag => Ok(Object {
                etag: old.object.etag,
                ..object
            }),
            Some(old) if bug == planted::Bug::ClockOrder && old.object.modified > object.modified => Err(object),
            Some(_) | None => Ok(object),
        })
    }

    /// Decides a write's condition on what stands now, and says what keeps the decision true.
    pub(in crate::store) async fn decide_write(
        &self,
        row_key: &crate::backend::Key,
        condition: &WriteCondition,
    ) -> Result<Option<Require>, DecideError> {
        if condition.is_none() {
            return Ok(None);
        }
        let current = self.current(row_key).await?;
        let decided = condition.decide(current.as_ref().map(|current| &current.object.etag))?;
        debug_assert!(decided != Guard::None, "a condition always guards something");
        Ok(guard(decided, row_key, current.map(|current| current.rev)))
    }
}

/// A condition that does not hold, or could not be looked at.
#[derive(Debug)]
pub(in crate::store) enum DecideError {
    Refused(WriteRefused),
    Fault(Fault),
}

impl From<WriteRefused> for DecideError {
    fn from(refused: WriteRefused) -> Self {
        Self::Refused(refused)
    }
}

impl From<Fault> for DecideError {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<DecideError> for PutObjectError {
    fn from(error: DecideError) -> Self {
        match error {
            DecideError::Refused(refused) => Self::Refused(refused),
            DecideError::Fault(fault) => Self::Fault(fault),
        }
    }
}
