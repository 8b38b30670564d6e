//! Files whose bytes are given out so often and no more.
//!
//! Owns that no download is counted twice and none too many is let, and that the last one takes the file to the trash in the
//! very commit that counts it. Whoever gives bytes out counts first; what reads them for the server itself does not.

use super::{Downloads, File, FileError};
use crate::backend::{Batch, Require};
use crate::store::counter::CountError;
use crate::store::error::Fault;
use crate::store::name::{BucketName, ObjectKey};
use crate::store::quota::SizedRefused;
use crate::store::{RACES_MAX, Store, key};

impl Store {
    /// Counts one download of the file that stands at this key; durable when it returns. Of as many callers as like exactly
    /// as many get `Ok` as downloads are left.
    pub async fn count_download(&self, bucket: &BucketName, key: &ObjectKey) -> Result<(), CountError> {
        let _turn = self.turn_of(&key::current(bucket, key)).await?;
        for _ in 0..RACES_MAX {
            // Of what is gone, or gave way to another, nothing is left.
            let Some((id, before, rev)) = self.file_of_key(bucket, key.as_str()).await? else {
                return Err(CountError::NothingLeft);
            };
            let left = before.downloads.filter(|_| before.state.has_bytes());
            let left = left.and_then(|downloads| {
                Some(Downloads {
                    left: downloads.left.checked_sub(1)?,
                    ..downloads
                })
            });
            let left = left.ok_or(CountError::NothingLeft)?;
            let counted = match left.left {
                0 => self.give_out_last(bucket, (id, before, rev), left).await?,
                _ => {
                    let after = File {
                        downloads: Some(left),
                        ..before.clone()
                    };
                    let batch = Batch {
                        require: vec![Require::RevIs(key::file(bucket, id.as_bytes()), rev)],
                        ops: self.file_ops(bucket, id, Some(&before), Some(&after)).await?,
                    };
                    let _changing = self.changing(bucket);
                    match self.commit_counted(bucket, &[], batch).await {
                        Ok(_) => true,
                        Err(SizedRefused::Condition { .. }) => false,
                        Err(refused) => return Err(refused_count(refused.into())),
                    }
                }
            };
            if counted {
                return Ok(());
            }
        }
        Err(Fault::Unavailable("a file was read again and again".into()).into())
    }

    /// Counts the last download of a file, with which it goes to the trash; `false`: it has just changed.
    async fn give_out_last(
        &self,
        bucket: &BucketName,
        (id, before, rev): (super::FileId, File, crate::backend::Rev),
        left: Downloads,
    ) -> Result<bool, CountError> {
        let step = self.trash_step(bucket, id, before, rev).await.map_err(refused_count)?;
        let Some(mut step) = step else { return Ok(false) };
        if let Some(after) = &mut step.after {
            after.downloads = Some(left);
        }
        self.take_step(bucket, id, step, None).await.map_err(refused_count)
    }
}

/// What is counted makes nothing larger, and a bucket that goes takes no more.
fn refused_count(error: FileError) -> CountError {
    match error {
        FileError::Fault(fault) => fault.into(),
        FileError::NoSuchBucket | FileError::NoSuchFile | FileError::NoSuchVersion | FileError::State(_) => {
            CountError::NothingLeft
        }
        FileError::BucketBusy
        | FileError::Changed
        | FileError::KeyTaken
        | FileError::Invalid(_)
        | FileError::OverQuota(_) => Fault::Unavailable("a download could not be counted".into()).into(),
    }
}
