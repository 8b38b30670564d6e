//! AbortMultipartUpload: the upload's row goes, and with it what its parts own.

use crate::backend::{Batch, Op, Require};
use crate::store::error::{CommitRefused, Fault};
use crate::store::multipart::from_not_open;
use crate::store::name::{BucketName, ObjectKey, UploadId};
use crate::store::{RACES_MAX, Store, key};

#[derive(Debug, thiserror::Error)]
pub enum AbortUploadError {
    #[error("no such bucket")]
    NoSuchBucket,
    #[error("no such upload")]
    NoSuchUpload,
    #[error("the upload is being completed")]
    Completing,
    #[error(transparent)]
    Fault(#[from] Fault),
}

from_not_open!(AbortUploadError);

impl Store {
    /// Ends an upload without an object. Parts on their way are refused from then on.
    pub async fn abort_upload(
        &self,
        bucket: &BucketName,
        object_key: &ObjectKey,
        id: &UploadId,
    ) -> Result<(), AbortUploadError> {
        let upload_key = key::upload(bucket, object_key, id);
        for _ in 0..RACES_MAX {
            let (_, rev) = self.open_upload(bucket, &upload_key, id).await?;
            let require = vec![Require::RevIs(upload_key.clone(), rev)];
            match self
                .commit(Batch {
                    require,
                    ops: vec![Op::Delete(upload_key.clone())],
                })
                .await
            {
                Ok(_) => {
                    self.inner.part_sizes.forget(&upload_key);
                    self.sweep_parts_later(vec![upload_key]);
                    return Ok(());
                }
                Err(CommitRefused::Condition { .. }) => {}
                Err(CommitRefused::Fault(fault)) => return Err(fault.into()),
            }
        }
        Err(AbortUploadError::Completing)
    }
}
