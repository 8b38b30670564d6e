//! Catalogues that an earlier build wrote: their index is made anew before the first list, which waits for it.
//!
//! Owns the mark that says by which rows the files of a bucket are found. A catalogue that begins empty has it from its first
//! moment, so nothing is ever made anew there.

use tokio::sync::Mutex;

use super::{File, FileId, id_at, index};
use crate::backend::{Batch, Key, Op, Require, Rev};
use crate::limits::LIST_ITEMS_MAX;
use crate::store::error::{CommitRefused, Fault};
use crate::store::name::BucketName;
use crate::store::record::Record;
use crate::store::{RACES_MAX, Store, key};

/// The rows that [`index::rows`] computes. Another number, and every catalogue is made anew.
const FORMAT: &[u8] = &[2];
/// Rows that are changed in one batch, beside those of one more file.
const OPS: usize = 400;

/// One index is made anew at a time.
#[derive(Default)]
pub(in crate::store) struct Rebuilding(Mutex<()>);

/// Says that all files of a bucket are found by all their rows; true of a bucket that has none yet.
pub(in crate::store) fn mark(bucket: &BucketName) -> Op {
    index::put(key::file_index_mark(bucket), bytes::Bytes::from_static(FORMAT))
}

impl Store {
    /// Returns when every file of the bucket is found by all its rows, and by no others.
    pub(super) async fn index_is_whole(&self, bucket: &BucketName) -> Result<(), Fault> {
        if self.has_mark(bucket).await? {
            return Ok(());
        }
        let _alone = self.inner.rebuilding.0.lock().await;
        if self.has_mark(bucket).await? {
            return Ok(());
        }
        tracing::info!(%bucket, "the index of a catalogue is made anew");
        self.put_all_rows(bucket).await?;
        self.drop_other_rows(bucket).await?;
        let batch = Batch {
            require: vec![Require::Present(key::gate(bucket))],
            ops: vec![mark(bucket)],
        };
        match self.commit(batch).await {
            // A bucket that goes, or is not there, needs none.
            Ok(_) | Err(CommitRefused::Condition { .. }) => Ok(()),
            Err(CommitRefused::Fault(fault)) => Err(fault),
        }
    }

    async fn has_mark(&self, bucket: &BucketName) -> Result<bool, Fault> {
        let row = self.inner.backend.get(&key::file_index_mark(bucket)).await?;
        Ok(row.is_some_and(|row| row.value.as_ref() == FORMAT))
    }

    /// The mark for a bucket that begins to keep a catalogue, if it has no file.
    pub(in crate::store) async fn mark_if_empty(&self, bucket: &BucketName) -> Result<Option<Op>, Fault> {
        let beginning = key::catalogue(bucket);
        let Some(end) = beginning.after_prefix() else {
            return Ok(None);
        };
        let found = self.inner.backend.scan(beginning..end, 1).await?;
        Ok(found.items.is_empty().then(|| mark(bucket)))
    }

    async fn put_all_rows(&self, bucket: &BucketName) -> Result<(), Fault> {
        let (mut start, end) = (key::file(bucket, &[0; 16]), key::file(bucket, &[0xFF; 16]).successor());
        let mut batch = Batch::default();
        loop {
            let page = self.inner.backend.scan(start..end.clone(), LIST_ITEMS_MAX).await?;
            for (row_key, row) in &page.items {
                let (id, file) = (id_at(row_key.as_bytes())?, File::from_value(&row.value)?);
                let rows = index::rows(bucket, id, &file);
                let puts = rows.into_iter().map(|row| index::put(row, bytes::Bytes::new()));
                batch.ops.extend(puts);
                batch.require.push(Require::RevIs(row_key.clone(), row.rev));
                if batch.ops.len() + batch.require.len() > OPS {
                    self.put_rows(bucket, std::mem::take(&mut batch)).await?;
                }
            }
            match page.items.last() {
                Some((last, _)) if page.more => start = last.successor(),
                Some(_) | None => break,
            }
        }
        match batch.ops.is_empty() {
            true => Ok(()),
            false => self.put_rows(bucket, batch).await,
        }
    }

    /// Puts rows of some files; of those that changed meanwhile, one by one as they are now.
    async fn put_rows(&self, bucket: &BucketName, batch: Batch) -> Result<(), Fault> {
        let records: Vec<Key> = batch.require.iter().map(|require| require.key().clone()).collect();
        match self.commit(batch).await {
            Ok(_) => return Ok(()),
            Err(CommitRefused::Condition { .. }) => {}
            Err(CommitRefused::Fault(fault)) => return Err(fault),
        }
        for record in records {
            let id = id_at(record.as_bytes())?;
            self.change_rows(bucket, id, |file| {
                let rows = file.map(|file| index::rows(bucket, id, file)).unwrap_or_default();
                rows.into_iter()
                    .map(|row| index::put(row, bytes::Bytes::new()))
                    .collect()
            })
            .await?;
        }
        Ok(())
    }

    /// Changes rows of one file as its record says it, whatever else happens to it.
    async fn change_rows(
        &self,
        bucket: &BucketName,
        id: FileId,
        ops: impl Fn(Option<&File>) -> Vec<Op>,
    ) -> Result<(), Fault> {
        for _ in 0..RACES_MAX {
            let found: Option<(File, Rev)> = self.file(bucket, &id).await?;
            let ops = ops(found.as_ref().map(|(file, _)| file));
            if ops.is_empty() {
                return Ok(());
            }
            let record = key::file(bucket, id.as_bytes());
            let require = vec![Require::as_seen(record, found.map(|(_, rev)| rev))];
            match self.commit(Batch { require, ops }).await {
                Ok(_) => return Ok(()),
                Err(CommitRefused::Condition { .. }) => {}
                Err(CommitRefused::Fault(fault)) => return Err(fault),
            }
        }
        Err(Fault::Unavailable("a file changed again and again".into()))
    }

    /// Deletes the rows that no file is found by any more.
    async fn drop_other_rows(&self, bucket: &BucketName) -> Result<(), Fault> {
        let beginning = key::file_indices(bucket);
        let Some(end) = beginning.after_prefix() else {
            return Ok(());
        };
        let mut start = beginning;
        loop {
            let page = self.inner.backend.scan(start..end.clone(), LIST_ITEMS_MAX).await?;
            for (row, _) in &page.items {
                let id = id_at(row.as_bytes())?;
                self.change_rows(bucket, id, |file| {
                    let stays = file.is_some_and(|file| index::rows(bucket, id, file).contains(row));
                    match stays {
                        true => Vec::new(),
                        false => vec![Op::Delete(row.clone())],
                    }
                })
                .await?;
            }
            match page.items.last() {
                Some((last, _)) if page.more => start = last.successor(),
                Some(_) | None => return Ok(()),
            }
        }
    }
}
