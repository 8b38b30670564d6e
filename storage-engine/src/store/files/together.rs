//! Several files at once: all of them change or none does.

use std::collections::HashSet;

use super::trash::Step;
use super::{File, FileError, FileId};
use crate::backend::{Batch, Rev};
use crate::limits::BATCH_OPS_MAX;
use crate::store::Store;
use crate::store::name::BucketName;
use crate::store::quota::SizedRefused;

/// What becomes of one of several files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileDeed {
    /// The application knows of it; its bytes must be there.
    Register,
    /// It goes into the trash; where no bytes are, for good.
    Trash,
}

/// Why none of the files changed.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct NotTogether {
    /// The deed it is about; `None`: all of them.
    pub at: Option<usize>,
    pub error: FileError,
}

impl Store {
    /// Does all of this or nothing, in one commit; each file only if it still has the revision it was judged at. The files
    /// as they are then; `None`: nothing of it is left.
    pub async fn change_files(
        &self,
        bucket: &BucketName,
        deeds: &[(FileId, Rev, FileDeed)],
    ) -> Result<Vec<Option<File>>, NotTogether> {
        let of_all = |error| NotTogether { at: None, error };
        let distinct: HashSet<FileId> = deeds.iter().map(|(id, _, _)| *id).collect();
        if distinct.len() < deeds.len() {
            return Err(of_all(FileError::Invalid("each file changes once")));
        }
        let (mut batch, mut rows, mut files) = (Batch::default(), Vec::new(), Vec::with_capacity(deeds.len()));
        // Whose the requirements of the batch are; the first is that of all.
        batch.require.push(self.is_open(bucket));
        let mut whose = vec![None];
        for (at, (id, judged, deed)) in deeds.iter().enumerate() {
            let of_it = |error| NotTogether { at: Some(at), error };
            let step = self.step_of(bucket, *id, *judged, *deed).await.map_err(of_it)?;
            rows.extend(step.sized(bucket).map_err(|fault| of_it(fault.into()))?);
            files.push(step.after.clone());
            let of_step = self.step_batch(bucket, *id, step).await;
            let Batch { require, ops } = of_step.map_err(|fault| of_it(fault.into()))?;
            whose.extend(require.iter().map(|_| Some(at)));
            batch.require.extend(require);
            batch.ops.extend(ops);
        }
        if batch.ops.len() + batch.require.len() > BATCH_OPS_MAX {
            let many = "they need more than the 2,000 rows that change together; send fewer at once";
            return Err(of_all(FileError::Invalid(many)));
        }
        let _changing = self.changing(bucket);
        let refused = match self.commit_counted(bucket, &rows, batch).await {
            Ok(_) => return Ok(files),
            Err(refused) => refused,
        };
        Err(match refused {
            SizedRefused::Condition { index: 0, .. } => of_all(match self.why_gate_closed(bucket).await {
                Ok(closed) => closed.into(),
                Err(fault) => fault.into(),
            }),
            SizedRefused::Condition { index, .. } => NotTogether {
                at: whose.get(index).copied().flatten(),
                error: FileError::Changed,
            },
            other => of_all(other.into()),
        })
    }

    async fn step_of(&self, bucket: &BucketName, id: FileId, judged: Rev, deed: FileDeed) -> Result<Step, FileError> {
        let (before, rev) = self.file_as_judged(bucket, id, Some(judged)).await?;
        match deed {
            FileDeed::Trash => self
                .trash_step(bucket, id, before, rev)
                .await?
                .ok_or(FileError::Changed),
            FileDeed::Register => {
                if !before.state.has_bytes() {
                    return Err(FileError::State(before.state));
                }
                let now = self.now();
                let after = File {
                    registered: before.registered.or(Some(now)),
                    updated: if before.registered.is_none() {
                        now
                    } else {
                        before.updated
                    },
                    ..before.clone()
                };
                Ok(Step {
                    before,
                    rev,
                    after: Some(after),
                    require: Vec::new(),
                    ops: Vec::new(),
                    size: None,
                })
            }
        }
    }
}
