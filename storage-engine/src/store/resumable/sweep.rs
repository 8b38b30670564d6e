//! Removing resumable uploads that nobody wrote to for too long, and what ended ones left behind.

use std::collections::HashSet;

use crate::backend::{Batch, Key, Op, Require, Rev};
use crate::limits::LIST_ITEMS_MAX;
use crate::store::error::{CommitRefused, Fault};
use crate::store::files::FileId;
use crate::store::name::{BucketName, UploadId};
use crate::store::record::Record;
use crate::store::record::resumable::{Purpose, Resumable};
use crate::store::{Store, key};

/// Upload rows that are removed with one batch when their bucket goes.
const UPLOADS_AT_ONCE: usize = 250;

/// A row of an upload, found by a walk.
struct Met {
    row: Key,
    rev: Rev,
    bucket: BucketName,
    upload: UploadId,
    kind: key::ResumableKind,
    value: bytes::Bytes,
}

/// What takes an upload away, with the pieces that it would have been made of.
struct Removal {
    batch: Batch,
    piles: Vec<Key>,
}

/// What is done with uploads that have expired.
#[derive(Clone, Copy)]
enum Sweep {
    Remove,
    Count,
}

impl Store {
    /// Looks through all resumable uploads and removes those that have expired, and part rows that an ended one left
    /// behind. For a job that runs now and then. Gives how many uploads it removed.
    pub async fn sweep_expired_resumables(&self) -> Result<usize, Fault> {
        self.go_through_expired(Sweep::Remove).await
    }

    /// How many uploads [`Self::sweep_expired_resumables`] would remove now. Changes nothing.
    pub async fn count_expired_resumables(&self) -> Result<usize, Fault> {
        self.go_through_expired(Sweep::Count).await
    }

    async fn go_through_expired(&self, sweep: Sweep) -> Result<usize, Fault> {
        let beginning = key::all_resumables();
        let Some(end) = beginning.after_prefix() else {
            return Ok(0);
        };
        let (mut start, mut swept) = (beginning, 0);
        while let Some((met, next)) = self.next_upload(&start, &end).await? {
            start = next;
            match (met.kind, sweep) {
                (key::ResumableKind::Record, Sweep::Remove) => swept += usize::from(self.sweep_if_expired(&met).await?),
                (key::ResumableKind::Record, Sweep::Count) => swept += usize::from(self.removal(&met).await?.is_some()),
                // The first row of an upload that stands is its record.
                (key::ResumableKind::Pile | key::ResumableKind::Part(_), Sweep::Remove) => {
                    self.sweep_parts_later(vec![key::pile(&met.bucket, &met.upload)]);
                }
                (key::ResumableKind::Pile | key::ResumableKind::Part(_), Sweep::Count) => {}
            }
        }
        Ok(swept)
    }

    /// The files of a bucket that resumable uploads are under way for. One that has expired is not, whether or not its row
    /// was removed already.
    pub async fn files_being_uploaded(&self, bucket: &BucketName) -> Result<HashSet<FileId>, Fault> {
        let mut start = key::resumables(bucket);
        let Some(end) = start.after_prefix() else {
            return Ok(HashSet::new());
        };
        let mut files = HashSet::new();
        while let Some((met, next)) = self.next_upload(&start, &end).await? {
            start = next;
            if met.kind != key::ResumableKind::Record {
                continue;
            }
            let record = Resumable::from_value(&met.value)?;
            if record.has_expired(self.now()) {
                continue;
            }
            let target = match record.purpose {
                Purpose::Object(target) | Purpose::Final { target, .. } => target,
                Purpose::Partial { .. } => continue,
            };
            files.extend(target.file.map(FileId::from_bytes));
        }
        Ok(files)
    }

    /// Removes all resumable uploads of a bucket whose gate is closed, as long as `guard` holds.
    pub(in crate::store) async fn remove_resumables_of(
        &self,
        bucket: &BucketName,
        guard: &Require,
    ) -> Result<(), CommitRefused> {
        let mut start = key::resumables(bucket);
        let Some(end) = start.after_prefix() else { return Ok(()) };
        loop {
            let (mut ops, mut piles) = (Vec::new(), Vec::new());
            while piles.len() < UPLOADS_AT_ONCE {
                let met = self.next_upload(&start, &end).await.map_err(CommitRefused::Fault)?;
                let Some((met, next)) = met else { break };
                start = next;
                let pile = key::pile(bucket, &met.upload);
                ops.extend([
                    Op::Delete(key::resumable(bucket, &met.upload)),
                    Op::Delete(pile.clone()),
                ]);
                piles.push(pile);
            }
            if piles.is_empty() {
                return Ok(());
            }
            let require = vec![guard.clone()];
            self.commit(Batch { require, ops }).await?;
            self.sweep_parts_later(piles);
        }
    }

    /// The first row of the first upload in this range, and where the next upload's rows begin.
    async fn next_upload(&self, start: &Key, end: &Key) -> Result<Option<(Met, Key)>, Fault> {
        let page = self.inner.backend.scan(start.clone()..end.clone(), 1).await?;
        let Some((row_key, row)) = page.items.into_iter().next() else {
            return Ok(None);
        };
        let corrupt = || Fault::Corrupt(format!("a row of a resumable upload with the key {row_key:?}"));
        let parsed = key::parse_resumable(&row_key).ok_or_else(corrupt)?;
        let met = Met {
            row: row_key.clone(),
            rev: row.rev,
            bucket: BucketName::parse(parsed.bucket).map_err(|_| corrupt())?,
            upload: parsed.upload,
            kind: parsed.kind,
            value: row.value,
        };
        Ok(Some((met, parsed.end)))
    }

    /// What removes an upload that has expired; `None`: it stays, or goes with the upload that it is a piece of.
    async fn removal(&self, met: &Met) -> Result<Option<Removal>, Fault> {
        let record = Resumable::from_value(&met.value)?;
        if !record.has_expired(self.now()) {
            return Ok(None);
        }
        let mut require = vec![Require::RevIs(met.row.clone(), met.rev)];
        let mut ended = vec![met.upload];
        match record.purpose {
            Purpose::Object(_) | Purpose::Partial { of: None } => {}
            Purpose::Partial { of: Some(whole) } => {
                let whole = key::resumable(&met.bucket, &whole);
                if self.inner.backend.get(&whole).await?.is_some() {
                    return Ok(None);
                }
                require.push(Require::Absent(whole));
            }
            Purpose::Final { partials, .. } => ended.extend(partials),
        }
        let piles: Vec<Key> = ended.iter().map(|id| key::pile(&met.bucket, id)).collect();
        let records = ended.iter().map(|id| key::resumable(&met.bucket, id));
        let ops = records.chain(piles.iter().cloned()).map(Op::Delete).collect();
        Ok(Some(Removal {
            batch: Batch { require, ops },
            piles,
        }))
    }

    async fn sweep_if_expired(&self, met: &Met) -> Result<bool, Fault> {
        let Some(Removal { batch, piles }) = self.removal(met).await? else {
            return Ok(false);
        };
        match self.commit(batch).await {
            Ok(_) => {
                self.sweep_parts_later(piles);
                Ok(true)
            }
            // Written to meanwhile.
            Err(CommitRefused::Condition { .. }) => Ok(false),
            Err(CommitRefused::Fault(fault)) => Err(fault),
        }
    }
}

const _: () = assert!(UPLOADS_AT_ONCE * 2 < LIST_ITEMS_MAX);
