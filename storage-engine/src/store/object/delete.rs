//! DeleteObject: idempotent, or conditional on what stands.

use crate::backend::{Batch, Op, Require};
use crate::store::bucket::GateClosed;
use crate::store::condition::{WriteCondition, WriteRefused};
use crate::store::error::{CommitRefused, Fault, faults_from_below};
use crate::store::name::{BucketName, ObjectKey, VersionId};
use crate::store::quota::SizedRefused;
use crate::store::{RACES_MAX, Store, key};

/// One DELETE.
#[derive(Clone, Debug)]
pub struct DeleteObject {
    pub bucket: BucketName,
    pub key: ObjectKey,
    /// `None`: the current version.
    pub version: Option<VersionId>,
    pub condition: WriteCondition,
}

#[derive(Debug, thiserror::Error)]
pub enum DeleteObjectError {
    #[error("no such bucket")]
    NoSuchBucket,
    #[error(transparent)]
    Refused(#[from] WriteRefused),
    #[error(transparent)]
    Fault(#[from] Fault),
}

faults_from_below!(DeleteObjectError);

impl Store {
    /// Deletes an object; a key that holds nothing is deleted already. With `If-Match` it must hold what is named.
    pub async fn delete_object(&self, delete: &DeleteObject) -> Result<(), DeleteObjectError> {
        let row_key = key::current(&delete.bucket, &delete.key);
        for _ in 0..RACES_MAX {
            let current = match delete.version {
                // No bucket has versions yet: a version with an id is gone already.
                Some(VersionId::Id(_)) => None,
                None | Some(VersionId::Null) => self.current(&row_key).await?,
            };
            if current.is_none() && !self.bucket_exists(&delete.bucket).await? {
                return Err(DeleteObjectError::NoSuchBucket);
            }
            delete
                .condition
                .decide(current.as_ref().map(|current| &current.object.etag))?;
            // What is gone already is nobody's to be judged on.
            let Some(current) = current else { return Ok(()) };
            if self.is_another(&row_key, Some(current.rev)) {
                return Err(WriteRefused::Conflict.into());
            }
            let mut require = vec![Require::RevIs(row_key.clone(), current.rev)];
            require.extend(self.is_meant(&delete.bucket));
            let is_meant = require.len() > 1;
            let ops = vec![Op::Delete(row_key.clone())];
            let removed = self
                .commit_sized(&delete.bucket, &row_key, 0, Batch { require, ops })
                .await;
            match removed.map_err(SizedRefused::of_removal) {
                Ok(_) => return Ok(()),
                Err(CommitRefused::Condition { index: 1, .. }) if is_meant => {
                    match self.why_gate_closed(&delete.bucket).await? {
                        GateClosed::NoSuchBucket => return Err(DeleteObjectError::NoSuchBucket),
                        GateClosed::Busy => return Err(WriteRefused::Conflict.into()),
                    }
                }
                Err(CommitRefused::Condition { .. }) => {}
                Err(CommitRefused::Fault(fault)) => return Err(fault.into()),
            }
        }
        Err(WriteRefused::Conflict.into())
    }
}
