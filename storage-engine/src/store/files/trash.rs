//! Taking a file away: into the trash, out of it again, for good; or refusing what arrived.
//!
//! In the trash its bytes are a noncurrent version of its key, which is free for another. They count for the quotas of files,
//! and not for that of the bucket.

use super::{Downloads, File, FileError, FileId, FileState, object_key, object_row, random};
use crate::backend::{Batch, Key, NewBody, Op, Put, Require, Rev};
use crate::store::clock::Timestamp;
use crate::store::error::Fault;
use crate::store::name::BucketName;
use crate::store::object::Current;
use crate::store::quota::SizedRefused;
use crate::store::record::Record;
use crate::store::record::object::Object;
use crate::store::{RACES_MAX, Store, key};

/// What became of a file that was taken away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Removed {
    /// It is in the trash now, or was already.
    Trashed(Box<File>),
    /// Nothing of it is left: no bytes had arrived.
    Gone,
}

impl From<SizedRefused> for FileError {
    fn from(refused: SizedRefused) -> Self {
        match refused {
            SizedRefused::OverQuota(over) => Self::OverQuota(over),
            SizedRefused::Condition { .. } => Self::Changed,
            SizedRefused::PartChanged => Self::Fault(Fault::Internal("a file's batch joined parts".into())),
            SizedRefused::Fault(fault) => Self::Fault(fault),
        }
    }
}

/// One step of a file's life: what its record becomes, and what happens to its object.
pub(super) struct Step {
    pub(super) before: File,
    pub(super) rev: Rev,
    pub(super) after: Option<File>,
    pub(super) require: Vec<Require>,
    pub(super) ops: Vec<Op>,
    /// What its object's row counts for then; `None`: as much as before.
    pub(super) size: Option<u64>,
}

impl Step {
    /// What its object's row counts for then.
    pub(super) fn sized(&self, bucket: &BucketName) -> Result<Option<(Key, u64)>, Fault> {
        let sized = self.size.map(|size| Ok((object_row(bucket, &self.before)?, size)));
        sized.transpose()
    }
}

impl Store {
    /// Takes a file into the trash, from where it can be restored. With `judged` only at that revision.
    pub async fn trash_file(&self, bucket: &BucketName, id: FileId, judged: Option<Rev>) -> Result<Removed, FileError> {
        for _ in 0..RACES_MAX {
            let (before, rev) = self.file_as_judged(bucket, id, judged).await?;
            if before.state == FileState::Trashed {
                return Ok(Removed::Trashed(Box::new(before)));
            }
            let Some(step) = self.trash_step(bucket, id, before, rev).await? else {
                continue;
            };
            let after = step.after.clone();
            if self.take_step(bucket, id, step, judged).await? {
                return Ok(after.map_or(Removed::Gone, |after| Removed::Trashed(Box::new(after))));
            }
        }
        Err(Fault::Unavailable("the file changed again and again".into()).into())
    }

    /// The step that takes a file into the trash, or, where no bytes are, away; `None`: it has just changed.
    pub(super) async fn trash_step(
        &self,
        bucket: &BucketName,
        id: FileId,
        before: File,
        rev: Rev,
    ) -> Result<Option<Step>, FileError> {
        match before.state {
            FileState::Trashed => return Err(FileError::State(before.state)),
            FileState::Pending | FileState::Rejected => {
                return Ok(Some(self.end_step(bucket, id, (before, rev), None).await?));
            }
            FileState::Received | FileState::Active | FileState::Scanning | FileState::Quarantined => {}
        }
        let row_key = object_row(bucket, &before)?;
        let Some(current) = self.current(&row_key).await? else {
            return Ok(None);
        };
        let now = self.now();
        let version = version_at(now)?;
        let kept = key::version(bucket, &object_key(&before)?, &version);
        let after = File {
            state: FileState::Trashed,
            deleted: Some(now),
            updated: now,
            trash: Some(version),
            // What opened it before opens nothing when it comes back.
            epoch: before.epoch.wrapping_add(1),
            // Whoever needed it said otherwise by now.
            refs: Vec::new(),
            ..before.clone()
        };
        Ok(Some(Step {
            before,
            rev,
            after: Some(after),
            require: vec![
                Require::RevIs(row_key.clone(), current.rev),
                Require::Absent(kept.clone()),
            ],
            ops: vec![moved(kept, row_key.clone(), &current), Op::Delete(row_key)],
            size: Some(0),
        }))
    }

    /// Brings a file back out of the trash. Its key must still be free.
    pub async fn restore_file(&self, bucket: &BucketName, id: FileId, judged: Option<Rev>) -> Result<File, FileError> {
        for _ in 0..RACES_MAX {
            let (before, rev) = self.file_as_judged(bucket, id, judged).await?;
            let (FileState::Trashed, Some(version)) = (before.state, before.trash) else {
                return Err(FileError::State(before.state));
            };
            let kept = key::version(bucket, &object_key(&before)?, &version);
            let Some(current) = self.current(&kept).await? else {
                return Err(FileError::NoSuchFile);
            };
            let row_key = object_row(bucket, &before)?;
            let holder = key::file_of_key(bucket, &before.key);
            let taken =
                self.inner.backend.get(&row_key).await?.is_some() || self.inner.backend.get(&holder).await?.is_some();
            if taken {
                return Err(FileError::KeyTaken);
            }
            let after = File {
                state: FileState::of_labels(&current.object.labels),
                deleted: None,
                updated: self.now(),
                trash: None,
                downloads: before.downloads.map(restored),
                ..before.clone()
            };
            let step = Step {
                before,
                rev,
                after: Some(after.clone()),
                require: vec![
                    Require::RevIs(kept.clone(), current.rev),
                    Require::Absent(row_key.clone()),
                    Require::Absent(holder),
                ],
                ops: vec![moved(row_key, kept.clone(), &current), Op::Delete(kept)],
                size: Some(current.object.size),
            };
            if self.take_step(bucket, id, step, judged).await? {
                return Ok(after);
            }
        }
        Err(Fault::Unavailable("the file changed again and again".into()).into())
    }

    /// Takes a file away for good, with every byte that is kept of it.
    pub async fn purge_file(&self, bucket: &BucketName, id: FileId, judged: Option<Rev>) -> Result<(), FileError> {
        self.end_file(bucket, id, judged, None).await
    }

    /// Refuses a file whose bytes arrived: they go, and why is kept.
    pub async fn reject_file(
        &self,
        bucket: &BucketName,
        id: FileId,
        judged: Option<Rev>,
        why: &str,
    ) -> Result<(), FileError> {
        self.end_file(bucket, id, judged, Some(why)).await
    }

    async fn end_file(
        &self,
        bucket: &BucketName,
        id: FileId,
        judged: Option<Rev>,
        rejected: Option<&str>,
    ) -> Result<(), FileError> {
        for _ in 0..RACES_MAX {
            let (before, rev) = self.file_as_judged(bucket, id, judged).await?;
            let step = self.end_step(bucket, id, (before, rev), rejected).await?;
            if self.take_step(bucket, id, step, judged).await? {
                return Ok(());
            }
        }
        Err(Fault::Unavailable("the file changed again and again".into()).into())
    }

    /// The step that takes a file away for good, or leaves nothing of it but why it was rejected.
    async fn end_step(
        &self,
        bucket: &BucketName,
        id: FileId,
        (before, rev): (File, Rev),
        rejected: Option<&str>,
    ) -> Result<Step, FileError> {
        let (mut require, mut ops) = (Vec::new(), Vec::new());
        // Another file waits for its bytes or has them in the trash: whatever stands at its key is not its own.
        let has_object = before.state.has_bytes();
        if has_object {
            let row_key = object_row(bucket, &before)?;
            // What cannot be read can be taken away.
            if let Some(row) = self.inner.backend.get(&row_key).await? {
                require.push(Require::RevIs(row_key.clone(), row.rev));
                ops.push(Op::Delete(row_key));
            }
        }
        if let Some(version) = before.trash {
            ops.push(Op::Delete(key::version(bucket, &object_key(&before)?, &version)));
        }
        ops.extend(self.without_versions(bucket, id, &before).await?.ops);
        let after = rejected.map(|why| File {
            state: FileState::Rejected,
            updated: self.now(),
            rejected: Some(why.to_owned()),
            epoch: before.epoch.wrapping_add(1),
            trash: None,
            kept: 0,
            ..before.clone()
        });
        Ok(Step {
            before,
            rev,
            after,
            require,
            ops,
            size: has_object.then_some(0),
        })
    }

    /// All of a step, on condition that the file still is as it was read.
    pub(super) async fn step_batch(&self, bucket: &BucketName, id: FileId, step: Step) -> Result<Batch, Fault> {
        let mut require = vec![Require::RevIs(key::file(bucket, id.as_bytes()), step.rev)];
        require.extend(step.require);
        let mut ops = self
            .file_ops(bucket, id, Some(&step.before), step.after.as_ref())
            .await?;
        ops.extend(step.ops);
        Ok(Batch { require, ops })
    }

    pub(super) async fn file_as_judged(
        &self,
        bucket: &BucketName,
        id: FileId,
        judged: Option<Rev>,
    ) -> Result<(File, Rev), FileError> {
        let (file, rev) = self.file(bucket, &id).await?.ok_or(FileError::NoSuchFile)?;
        match judged {
            Some(judged) if judged != rev => Err(FileError::Changed),
            Some(_) | None => Ok((file, rev)),
        }
    }

    /// Commits a step; `false`: something else came first, look again.
    pub(super) async fn take_step(
        &self,
        bucket: &BucketName,
        id: FileId,
        step: Step,
        judged: Option<Rev>,
    ) -> Result<bool, FileError> {
        let sized = step.sized(bucket)?;
        // A file comes back only into a bucket that takes objects; it goes from any.
        let grows = sized.as_ref().is_some_and(|(_, size)| *size > 0);
        let mut batch = self.step_batch(bucket, id, step).await?;
        batch.require.extend(grows.then(|| self.is_open(bucket)));
        let _changing = self.changing(bucket);
        match self.commit_counted(bucket, sized.as_slice(), batch).await {
            Ok(_) => {
                if grows {
                    self.judged.tell_screen(bucket);
                }
                Ok(true)
            }
            Err(SizedRefused::Condition { .. }) if judged.is_none() => Ok(false),
            Err(refused) => Err(refused.into()),
        }
    }
}

/// A file that comes back is given out: one that was given out as often as it may be, as often again.
fn restored(downloads: Downloads) -> Downloads {
    match downloads.left {
        0 => Downloads {
            left: downloads.most,
            ..downloads
        },
        _ => downloads,
    }
}

/// The object's row under another key, with its body.
pub(super) fn moved(to: Key, from: Key, current: &Current) -> Op {
    let body = match current.body {
        Some(_) => NewBody::Moved(from),
        None => NewBody::None,
    };
    let object: &Object = &current.object;
    Op::Put(Put {
        key: to,
        value: object.to_value(),
        body,
        parent_len: None,
    })
}

/// A version that sorts before every earlier one of its key.
pub(super) fn version_at(time: Timestamp) -> Result<[u8; 16], Fault> {
    let random: [u8; 8] = random()?;
    let mut version = [0; 16];
    let newest_first = (u64::MAX - time.millis()).to_be_bytes();
    for (to, from) in version.iter_mut().zip(newest_first.iter().chain(&random)) {
        *to = *from;
    }
    Ok(version)
}
