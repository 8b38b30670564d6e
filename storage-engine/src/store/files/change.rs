//! Announcing a file, and changing what is said of one.

use super::{File, FileError, FileId, FileState, check, follow, object_key, object_row};
use crate::backend::{Batch, NewBody, Op, Put, Require, Rev};
use crate::store::error::Fault;
use crate::store::name::BucketName;
use crate::store::quota::SizedRefused;
use crate::store::record::Record;
use crate::store::record::labels::{Barred, Labels};
use crate::store::{RACES_MAX, Store, key};

impl Store {
    /// Announces a file whose bytes are to come. Neither a file nor an object may have its key. The bytes that it is announced
    /// with must have room, and count from now on.
    pub async fn create_file(&self, bucket: &BucketName, id: FileId, file: &File) -> Result<(), FileError> {
        if file.state != FileState::Pending {
            return Err(FileError::State(file.state));
        }
        check(file)?;
        let require = vec![
            self.is_open(bucket),
            Require::Absent(key::file(bucket, id.as_bytes())),
            Require::Absent(key::file_of_key(bucket, &file.key)),
            Require::Absent(object_row(bucket, file)?),
        ];
        let ops = self.file_ops(bucket, id, None, Some(file)).await?;
        let _changing = self.changing(bucket);
        match self.commit_counted(bucket, &[], Batch { require, ops }).await {
            Ok(_) => Ok(()),
            Err(SizedRefused::Condition { index: 0, .. }) => Err(self.why_gate_closed(bucket).await?.into()),
            Err(SizedRefused::Condition { .. }) => Err(FileError::KeyTaken),
            Err(refused) => Err(refused.into()),
        }
    }

    /// Changes what is said of a file, and gives the file as it is then; its object changes with it. With `judged` only if
    /// the file still has that revision; without, `change` is called again when another change came in between. Key and ids
    /// are not changed by it, and of the state only what [`may_follow`] lets: what is done with bytes that are there.
    pub async fn change_file(
        &self,
        bucket: &BucketName,
        id: FileId,
        judged: Option<Rev>,
        change: impl Fn(&mut File) + Send + Sync,
    ) -> Result<File, FileError> {
        for _ in 0..RACES_MAX {
            let Some((before, rev)) = self.file(bucket, &id).await? else {
                return Err(FileError::NoSuchFile);
            };
            if judged.is_some_and(|judged| judged != rev) {
                return Err(FileError::Changed);
            }
            let mut after = before.clone();
            change(&mut after);
            settle(&before, &mut after)?;
            self.hold_back_moved(bucket, &before, &mut after);
            if after == before {
                return Ok(after);
            }
            after.updated = self.now();
            check(&after)?;
            let mut batch = Batch {
                require: vec![
                    self.is_open(bucket),
                    Require::RevIs(key::file(bucket, id.as_bytes()), rev),
                ],
                ops: self.file_ops(bucket, id, Some(&before), Some(&after)).await?,
            };
            if after.labels != before.labels || after.state != before.state {
                self.relabel_object(bucket, &after, &mut batch).await?;
            }
            let _changing = self.changing(bucket);
            match self.commit_counted(bucket, &[], batch).await {
                Ok(_) => {
                    if after.state == FileState::Scanning && before.state != after.state {
                        self.judged.tell_screen(bucket);
                    }
                    return Ok(after);
                }
                Err(SizedRefused::Condition { index: 0, .. }) => {
                    return Err(self.why_gate_closed(bucket).await?.into());
                }
                Err(SizedRefused::Condition { .. }) => {}
                Err(refused) => return Err(refused.into()),
            }
        }
        Err(Fault::Unavailable("the file changed again and again".into()).into())
    }

    /// Of a file that moves to where bytes are scanned, bytes that never were are held back until they have been.
    fn hold_back_moved(&self, bucket: &BucketName, before: &File, after: &mut File) {
        let moves = (&before.bucket, &before.category) != (&after.bucket, &after.category);
        if moves && after.state == FileState::Active && after.scan.is_none() && self.judged.holds_back(bucket, after) {
            after.state = FileState::Scanning;
            after.labels.barred = Some(Barred::Scanning);
        }
    }

    /// Adds what makes the object say of itself what its file says. The object of a file in the trash is the version kept
    /// there; what stands at its key by then is another's.
    async fn relabel_object(&self, bucket: &BucketName, file: &File, batch: &mut Batch) -> Result<(), FileError> {
        let row_key = match (file.state, file.trash) {
            (FileState::Received | FileState::Active | FileState::Scanning | FileState::Quarantined, _) => {
                object_row(bucket, file)?
            }
            (FileState::Trashed, Some(version)) => key::version(bucket, &object_key(file)?, &version),
            (FileState::Pending | FileState::Trashed | FileState::Rejected, _) => return Ok(()),
        };
        let Some(current) = self.current(&row_key).await? else {
            let gone = "the object of a file went away while the file was changed";
            return Err(Fault::Unavailable(gone.into()).into());
        };
        let mut object = current.object;
        object.labels = Labels {
            tags: object.labels.tags.clone(),
            held: match file.state {
                FileState::Trashed => object.labels.held,
                _ => file.state == FileState::Received,
            },
            ..file.labels.clone()
        };
        let body = match current.body {
            Some(_) => NewBody::Moved(row_key.clone()),
            None => NewBody::None,
        };
        batch.require.push(Require::RevIs(row_key.clone(), current.rev));
        batch.ops.push(Op::Put(Put {
            key: row_key,
            value: object.to_value(),
            body,
            parent_len: None,
        }));
        Ok(())
    }
}

/// Keeps what no change changes.
fn settle(before: &File, after: &mut File) -> Result<(), FileError> {
    if after.state != before.state && !may_follow(before, after.state) {
        return Err(FileError::State(before.state));
    }
    after.key.clone_from(&before.key);
    (after.public_id, after.created, after.trash) = (before.public_id, before.created, before.trash);
    after.kept = before.kept;
    // The bytes are what they are; of what was only announced more may become known.
    if before.state != FileState::Pending {
        after.size = before.size;
    }
    after.labels = follow::of_object(&after.labels);
    after.labels.barred = match after.state {
        FileState::Active => None,
        FileState::Scanning => Some(Barred::Scanning),
        FileState::Quarantined => Some(Barred::Quarantined),
        FileState::Pending | FileState::Received | FileState::Trashed | FileState::Rejected => before.labels.barred,
    };
    Ok(())
}

/// Whether a change may take a file into this state. What was looked at is active, unless it is to be scanned first; what
/// was scanned is active or in quarantine, may be let out of it, and may be scanned again.
fn may_follow(before: &File, state: FileState) -> bool {
    let to_be_scanned = before.labels.barred.is_some();
    match (before.state, state) {
        (FileState::Received, FileState::Active) => !to_be_scanned,
        (FileState::Received, FileState::Scanning) => to_be_scanned,
        (FileState::Scanning, FileState::Active | FileState::Quarantined)
        | (FileState::Quarantined, FileState::Active | FileState::Scanning)
        | (FileState::Active, FileState::Scanning) => true,
        _ => false,
    }
}
