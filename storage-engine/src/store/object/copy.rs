//! CopyObject: bytes are copied; a copy onto itself only moves the body to the new record.

use futures::{StreamExt, TryStreamExt};

use crate::backend::{Batch, BodySource, BodyStream, NewBody as RowBody, Op, Put, ReadError, Require, SourceError};
use crate::store::body::{ChecksumRequest, NewBody};
use crate::store::checksum::{ChecksumAlgorithm, ChecksumHasher, ChecksumType, ObjectChecksum};
use crate::store::condition::{ConditionHeader, ReadConditions, ReadVerdict, WriteCondition, WriteRefused};
use crate::store::error::{BodyError, CommitRefused, Fault};
use crate::store::name::{BucketName, ObjectKey, VersionId};
use crate::store::object::Current;
use crate::store::object::get::{GetObject, GetObjectError, ObjectRead, Selection};
use crate::store::object::put::{PutObject, PutObjectError, Stored};
use crate::store::record::Record;
use crate::store::record::labels::{Labels, Visibility};
use crate::store::record::object::{Metadata, Object};
use crate::store::tags::Tags;
use crate::store::{RACES_MAX, Store, key};

/// What is copied, and the conditions it must meet; every failed one is a failed precondition.
#[derive(Clone, Debug)]
pub struct CopySource {
    pub bucket: BucketName,
    pub key: ObjectKey,
    pub version: Option<VersionId>,
    pub conditions: ReadConditions,
}

#[derive(Clone, Debug)]
pub struct CopyObject {
    pub source: CopySource,
    pub bucket: BucketName,
    pub key: ObjectKey,
    /// `None`: the source's (directive COPY).
    pub metadata: Option<Metadata>,
    /// Asked for although metadata is copied; a storage class is no part of what COPY copies. `None`: STANDARD.
    pub storage_class: Option<String>,
    /// `None`: the source's (directive COPY).
    pub tags: Option<Tags>,
    /// Who copies, and so owns the copy; `None`: root.
    pub owner: Option<String>,
    /// Never the source's. `None`: the default of the bucket; of a copy onto itself, what stands.
    pub visibility: Option<Visibility>,
    /// The canned ACL that says `visibility` offers the copy to the bucket's owner.
    pub offered: bool,
    /// `None`: the source's algorithm.
    pub checksum: Option<ChecksumAlgorithm>,
    pub condition: WriteCondition,
}

/// The source of a copy cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum CopySourceError {
    #[error("no such source bucket")]
    NoSuchBucket,
    #[error("no such source key")]
    NoSuchKey,
    #[error("no such source version")]
    NoSuchVersion,
    /// It is no longer the one that was judged on: see [`Store::only_on`].
    #[error("the source changed meanwhile")]
    Changed,
    #[error("a precondition on the source does not hold")]
    PreconditionFailed(ConditionHeader),
    #[error("the range is not within the {size} bytes of the source")]
    RangeNotSatisfiable { size: u64 },
    /// More than one PUT may store.
    #[error("the source is too large to copy at once")]
    TooLarge,
    #[error(transparent)]
    Fault(#[from] Fault),
}

#[derive(Debug, thiserror::Error)]
pub enum CopyObjectError {
    #[error(transparent)]
    Source(#[from] CopySourceError),
    /// Onto itself, with nothing to change.
    #[error("an object cannot be copied onto itself without changing anything")]
    NothingChanges,
    #[error(transparent)]
    Put(#[from] PutObjectError),
}

impl From<GetObjectError> for CopySourceError {
    fn from(error: GetObjectError) -> Self {
        match error {
            GetObjectError::NoSuchBucket => Self::NoSuchBucket,
            GetObjectError::NoSuchKey | GetObjectError::NoSuchPart { .. } => Self::NoSuchKey,
            GetObjectError::NoSuchVersion => Self::NoSuchVersion,
            GetObjectError::Changed => Self::Changed,
            GetObjectError::NotModified { .. } => Self::PreconditionFailed(ConditionHeader::IfNoneMatch),
            GetObjectError::PreconditionFailed(header) => Self::PreconditionFailed(header),
            GetObjectError::RangeNotSatisfiable { size } => Self::RangeNotSatisfiable { size },
            GetObjectError::Fault(fault) => Self::Fault(fault),
        }
    }
}

/// A body that came from below, not from the client.
impl From<BodyError> for CopySourceError {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::TooLarge { .. } => Self::TooLarge,
            BodyError::Source(source) => Self::Fault(match source.downcast::<ReadError>() {
                Ok(error) => Fault::from(*error),
                Err(source) => Fault::Internal(source.to_string()),
            }),
            BodyError::Incomplete { .. }
            | BodyError::Overlong { .. }
            | BodyError::BadDigest
            | BodyError::ChecksumMismatch(_) => Self::Fault(Fault::Corrupt(format!("the source of a copy: {error}"))),
        }
    }
}

/// A body on its way out as one on its way in.
pub(in crate::store) fn as_source(body: BodyStream) -> BodySource<'static> {
    Box::pin(body.map_err(SourceError::from))
}

impl Store {
    /// Copies an object. Onto itself it changes what is said about the object and keeps its bytes and ETag.
    pub async fn copy_object(&self, copy: CopyObject) -> Result<Stored, CopyObjectError> {
        if copy.source.bucket == copy.bucket && copy.source.key == copy.key {
            return self.copy_onto_itself(copy).await;
        }
        let read = self.read_copy_source(&copy.source, Selection::Whole).await?;
        let object = read.head.object;
        let algorithm = copy
            .checksum
            .or(object.checksum.map(|checksum| checksum.value.algorithm()));
        let put = PutObject {
            bucket: copy.bucket,
            key: copy.key,
            metadata: copied_metadata(copy.metadata, copy.storage_class, &object),
            labels: Labels {
                owner: copy.owner,
                tags: copy.tags.unwrap_or(object.labels.tags),
                visibility: copy.visibility,
                shares: Vec::new(),
                writing_named: false,
                offered: copy.offered,
                held: false,
                barred: None,
                counted: false,
            },
            body: NewBody {
                source: as_source(read.body),
                len: Some(object.size),
                content_md5: None,
                checksum: algorithm.map_or(ChecksumRequest::None, ChecksumRequest::Compute),
            },
            condition: copy.condition,
        };
        match self.put_object(put).await {
            Err(PutObjectError::Body(error)) => Err(CopySourceError::from(error).into()),
            other => Ok(other?),
        }
    }

    pub(in crate::store) async fn read_copy_source(
        &self,
        source: &CopySource,
        selection: Selection,
    ) -> Result<ObjectRead, CopySourceError> {
        let get = GetObject {
            bucket: source.bucket.clone(),
            key: source.key.clone(),
            version: source.version,
            selection,
            conditions: source.conditions.clone(),
        };
        Ok(self.get_object(&get).await?)
    }

    async fn copy_onto_itself(&self, copy: CopyObject) -> Result<Stored, CopyObjectError> {
        let row_key = key::current(&copy.bucket, &copy.key);
        if let Some(metadata) = &copy.metadata {
            metadata.check().map_err(PutObjectError::from)?;
        }
        for _ in 0..RACES_MAX {
            let current = self.copy_source_row(&copy.source, &row_key).await?;
            if self.is_another(&row_key, Some(current.rev)) {
                return Err(PutObjectError::from(WriteRefused::Conflict).into());
            }
            copy.condition
                .decide(Some(&current.object.etag))
                .map_err(PutObjectError::from)?;
            let metadata = copied_metadata(copy.metadata.clone(), copy.storage_class.clone(), &current.object);
            let asked = copy.checksum.filter(|algorithm| {
                current
                    .object
                    .checksum
                    .is_none_or(|checksum| checksum.value.algorithm() != *algorithm)
            });
            let labels = relabelled(&copy, &current.object.labels);
            let said = copy.metadata.is_some() || copy.tags.is_some() || copy.visibility.is_some();
            if !said && asked.is_none() && metadata == current.object.metadata {
                return Err(CopyObjectError::NothingChanges);
            }
            let checksum = match asked {
                None => current.object.checksum,
                Some(algorithm) => match self.checksum_of_body(&current, algorithm).await {
                    Ok(checksum) => Some(checksum),
                    Err(ReadError::Gone) => continue,
                    Err(error) => return Err(CopySourceError::Fault(error.into()).into()),
                },
            };
            let object = Object {
                metadata,
                checksum,
                modified: self.now(),
                labels,
                ..current.object
            };
            let body = if current.body.is_some() {
                RowBody::Moved(row_key.clone())
            } else {
                RowBody::None
            };
            let put = Put {
                key: row_key.clone(),
                value: object.to_value(),
                body,
                parent_len: None,
            };
            let require = vec![self.is_open(&copy.bucket), Require::RevIs(row_key.clone(), current.rev)];
            let ops = vec![Op::Put(put)];
            match self
                .commit_followed(&copy.bucket, &row_key, Batch { require, ops })
                .await
            {
                Ok(_) => return Ok(Stored::of(&object)),
                Err(CommitRefused::Condition { index: 0, .. }) => {
                    let closed = self.why_gate_closed(&copy.bucket).await.map_err(PutObjectError::from)?;
                    return Err(PutObjectError::from(closed).into());
                }
                Err(CommitRefused::Condition { .. }) => {}
                Err(CommitRefused::Fault(fault)) => return Err(PutObjectError::from(fault).into()),
            }
        }
        Err(PutObjectError::from(WriteRefused::Conflict).into())
    }

    async fn copy_source_row(
        &self,
        source: &CopySource,
        row_key: &crate::backend::Key,
    ) -> Result<Current, CopySourceError> {
        let current = match source.version {
            Some(VersionId::Id(_)) => None,
            None | Some(VersionId::Null) => self.current(row_key).await?,
        };
        let Some(current) = current else {
            let exists = self.bucket_exists(&source.bucket).await?;
            return Err(match source.version {
                _ if !exists => CopySourceError::NoSuchBucket,
                None => CopySourceError::NoSuchKey,
                Some(_) => CopySourceError::NoSuchVersion,
            });
        };
        match source.conditions.decide(&current.object.etag, current.object.modified) {
            ReadVerdict::Proceed => Ok(current),
            ReadVerdict::NotModified(header) | ReadVerdict::PreconditionFailed(header) => {
                Err(CopySourceError::PreconditionFailed(header))
            }
        }
    }

    async fn checksum_of_body(
        &self,
        current: &Current,
        algorithm: ChecksumAlgorithm,
    ) -> Result<ObjectChecksum, ReadError> {
        let mut hasher = ChecksumHasher::new(algorithm);
        let mut body = self.read_range(current, 0..current.object.size).await?;
        while let Some(chunk) = body.next().await {
            hasher.update(&chunk?);
        }
        Ok(ObjectChecksum {
            value: hasher.finish(),
            kind: ChecksumType::FullObject,
        })
    }
}

/// The labels of an object that is copied onto itself; whose it is does not change by that.
fn relabelled(copy: &CopyObject, standing: &Labels) -> Labels {
    Labels {
        owner: standing.owner.clone(),
        tags: copy.tags.clone().unwrap_or_else(|| standing.tags.clone()),
        visibility: copy.visibility.or(standing.visibility),
        shares: standing.shares.clone(),
        writing_named: copy.visibility.is_none() && standing.writing_named,
        offered: copy.offered || (copy.visibility.is_none() && standing.offered),
        held: standing.held,
        barred: standing.barred,
        counted: standing.counted,
    }
}

fn copied_metadata(given: Option<Metadata>, storage_class: Option<String>, source: &Object) -> Metadata {
    let metadata = match given {
        Some(metadata) => metadata,
        None => Metadata {
            storage_class,
            ..source.metadata.clone()
        },
    };
    metadata.normalized()
}
