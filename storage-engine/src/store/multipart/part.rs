//! UploadPart and UploadPartCopy: a part's row is put, replacing one of the same number.

use crate::backend::{Batch, BlobClass, Key, NewBody as RowBody, Op, Put, Require, Rev};
use crate::store::body::{ChecksumRequest, NewBody, take_in};
use crate::store::checksum::ChecksumAlgorithm;
use crate::store::error::{BodyError, CommitRefused, Fault, faults_from_below, take_in_errors};
use crate::store::etag::ETag;
use crate::store::hashing::Digests;
use crate::store::multipart::{NotOpen, from_not_open};
use crate::store::name::{BucketName, ObjectKey, PartNumber, UploadId};
use crate::store::object::copy::{CopySource, CopySourceError};
use crate::store::object::get::Selection;
use crate::store::quota::{NoRoom, OverQuota};
use crate::store::record::Record;
use crate::store::record::part::Part;
use crate::store::record::upload::{Upload, UploadState};
use crate::store::{Store, key};

/// Which part of which upload.
#[derive(Clone, Debug)]
pub struct PartPlace {
    pub bucket: BucketName,
    pub key: ObjectKey,
    pub upload: UploadId,
    pub number: PartNumber,
}

#[derive(Debug, thiserror::Error)]
pub enum UploadPartError {
    #[error("no such bucket")]
    NoSuchBucket,
    #[error("no such upload")]
    NoSuchUpload,
    /// Nothing was stored; the same request may be sent again, and finds either an open upload or none.
    #[error("the upload is being completed")]
    Completing,
    #[error("the upload's checksum is {expected:?}, the part's {found:?}")]
    ChecksumAlgorithm {
        expected: ChecksumAlgorithm,
        found: ChecksumAlgorithm,
    },
    /// This part alone would make the bucket hold more than it may.
    #[error(transparent)]
    OverQuota(OverQuota),
    #[error(transparent)]
    Body(BodyError),
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl From<NoRoom> for UploadPartError {
    fn from(none: NoRoom) -> Self {
        match none {
            NoRoom::OverQuota(over) => Self::OverQuota(over),
            NoRoom::Fault(fault) => Self::Fault(fault),
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum UploadPartCopyError {
    #[error(transparent)]
    Part(#[from] UploadPartError),
    #[error(transparent)]
    Source(#[from] CopySourceError),
}

faults_from_below!(UploadPartError);
take_in_errors!(UploadPartError);
from_not_open!(UploadPartError);

impl Store {
    /// Stores a part. A part that was stored under the same number is replaced.
    pub async fn upload_part(&self, place: &PartPlace, body: NewBody<'_>) -> Result<Part, UploadPartError> {
        let upload_key = key::upload(&place.bucket, &place.key, &place.upload);
        let (upload, _) = self.open_upload(&place.bucket, &upload_key, &place.upload).await?;
        let body = keep_checksum_of(&upload, body)?;
        let object_key = key::current(&place.bucket, &place.key);
        if let Some(len) = body.len {
            self.look_for_room(&place.bucket, &object_key, len).await?;
        }
        let (blob, digests) = take_in(self.inner.backend.as_ref(), BlobClass::Part, body).await?;
        let Digests { len, md5, checksum } = digests;
        self.look_for_room(&place.bucket, &object_key, len).await?;
        let part = Part {
            size: len,
            etag: ETag::Md5(md5),
            modified: self.now(),
            checksum,
        };
        // Looked at again after the body: only what comes between here and the commit is a race.
        let (_, rev) = self.open_upload(&place.bucket, &upload_key, &place.upload).await?;
        let put = Put {
            key: key::part(&upload_key, place.number),
            value: part.to_value(),
            body: RowBody::Blob(blob),
            parent_len: Some(upload_key.as_bytes().len()),
        };
        let batch = Batch {
            require: vec![Require::RevIs(upload_key.clone(), rev)],
            ops: vec![Op::Put(put)],
        };
        match self.commit_part(upload_key, (place.number, len), batch).await {
            Ok(_) => Ok(part),
            Err(CommitRefused::Condition { found: None, .. }) => Err(UploadPartError::NoSuchUpload),
            Err(CommitRefused::Condition { found: Some(_), .. }) => Err(UploadPartError::Completing),
            Err(CommitRefused::Fault(fault)) => Err(fault.into()),
        }
    }

    /// Copies an object, or a range of it, into a part.
    pub async fn upload_part_copy(
        &self,
        place: &PartPlace,
        source: &CopySource,
        selection: Selection,
    ) -> Result<Part, UploadPartCopyError> {
        let read = self.read_copy_source(source, selection).await?;
        let len = read.head.range.end - read.head.range.start;
        let body = NewBody {
            source: crate::store::object::copy::as_source(read.body),
            len: Some(len),
            content_md5: None,
            checksum: ChecksumRequest::None,
        };
        match self.upload_part(place, body).await {
            // The body of a copy comes from below: what fails there is no fault of the request.
            Err(UploadPartError::Body(error)) => Err(CopySourceError::from(error).into()),
            other => Ok(other?),
        }
    }

    /// The upload, if parts may be added to it and it may be aborted.
    pub(in crate::store) async fn open_upload(
        &self,
        bucket: &BucketName,
        upload_key: &Key,
        id: &UploadId,
    ) -> Result<(Upload, Rev), NotOpen> {
        let Some((upload, rev)) = self.find_upload(upload_key).await? else {
            let exists = self.bucket_exists(bucket).await?;
            return Err(if exists {
                NotOpen::NoSuchUpload
            } else {
                NotOpen::NoSuchBucket
            });
        };
        match upload.state {
            UploadState::Completing(epoch) if epoch == self.inner.epoch.0 && self.inner.running.contains(id) => {
                Err(NotOpen::Completing)
            }
            // Completed by nobody any more: its Complete ended with its task or with its process.
            UploadState::Completing(_) | UploadState::Open => Ok((upload, rev)),
        }
    }

    pub(in crate::store) async fn find_upload(&self, upload_key: &Key) -> Result<Option<(Upload, Rev)>, Fault> {
        match self.inner.backend.get(upload_key).await? {
            Some(row) => Ok(Some((Upload::from_value(&row.value)?, row.rev))),
            None => Ok(None),
        }
    }
}

/// A part is hashed with its upload's algorithm, asked for or not: Complete needs it.
fn keep_checksum_of<'a>(upload: &Upload, mut body: NewBody<'a>) -> Result<NewBody<'a>, UploadPartError> {
    match (upload.checksum, body.checksum.algorithm()) {
        (Some(expected), Some(found)) if expected.algorithm != found => Err(UploadPartError::ChecksumAlgorithm {
            expected: expected.algorithm,
            found,
        }),
        (Some(expected), None) => {
            body.checksum = ChecksumRequest::Compute(expected.algorithm);
            Ok(body)
        }
        (Some(_), Some(_)) | (None, _) => Ok(body),
    }
}
