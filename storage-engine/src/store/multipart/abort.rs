//! AbortMultipartUpload: the upload's row goes, and with it what its parts own.
//!
//! Whoever wants it gone because nobody went on with it must not lose a part that comes in that moment: the upload is marked
//! as for a Complete, so that no part is added while its parts are looked at once more.

use crate::backend::{Batch, Key, Op, Require, Rev};
use crate::limits::LIST_ITEMS_MAX;
use crate::store::clock::Timestamp;
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

    /// Whether the upload was begun, and the last of its parts came, at `since` or before; of one that is not there, no.
    pub async fn upload_rests(
        &self,
        bucket: &BucketName,
        object_key: &ObjectKey,
        id: &UploadId,
        since: Timestamp,
    ) -> Result<bool, Fault> {
        let upload_key = key::upload(bucket, object_key, id);
        match self.find_upload(&upload_key).await? {
            Some((upload, _)) if upload.begun <= since => self.parts_rest(&upload_key, since).await,
            Some(_) | None => Ok(false),
        }
    }

    /// Ends an upload without an object if it rests as [`Self::upload_rests`] says. `false`: it does not, or something was
    /// done about it meanwhile. A part that is sent in the very moment is refused, or is found and keeps the upload.
    pub async fn abort_upload_at_rest(
        &self,
        bucket: &BucketName,
        object_key: &ObjectKey,
        id: &UploadId,
        since: Timestamp,
    ) -> Result<bool, Fault> {
        let upload_key = key::upload(bucket, object_key, id);
        let leave = self.turn_of_upload(id);
        let _first = leave.come().await;
        let found = self.find_upload(&upload_key).await?;
        let Some((upload, rev)) = found.filter(|(upload, _)| upload.begun <= since) else {
            return Ok(false);
        };
        let marked = self.marked(upload);
        let rev = match self.put_upload(&upload_key, &marked, rev).await {
            Ok(rev) => rev,
            Err(CommitRefused::Condition { .. }) => return Ok(false),
            Err(CommitRefused::Fault(fault)) => return Err(fault),
        };
        match self.parts_rest(&upload_key, since).await {
            Ok(true) => self.end_marked(upload_key, rev).await,
            other => {
                self.unmark(&upload_key, marked, rev).await;
                other
            }
        }
    }

    async fn end_marked(&self, upload_key: Key, rev: Rev) -> Result<bool, Fault> {
        let batch = Batch {
            require: vec![Require::RevIs(upload_key.clone(), rev)],
            ops: vec![Op::Delete(upload_key.clone())],
        };
        match self.commit(batch).await {
            Ok(_) => {
                self.inner.part_sizes.forget(&upload_key);
                self.sweep_parts_later(vec![upload_key]);
                Ok(true)
            }
            Err(CommitRefused::Condition { .. }) => Ok(false),
            Err(CommitRefused::Fault(fault)) => Err(fault),
        }
    }

    async fn parts_rest(&self, upload_key: &Key, since: Timestamp) -> Result<bool, Fault> {
        let mut after = 0;
        loop {
            let (parts, more) = self.part_rows(upload_key, after, LIST_ITEMS_MAX).await?;
            if parts.iter().any(|(_, part, _)| part.modified > since) {
                return Ok(false);
            }
            match parts.last() {
                Some((number, _, _)) if more => after = number.get(),
                Some(_) | None => return Ok(true),
            }
        }
    }
}
