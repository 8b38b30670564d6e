//! Multipart uploads: begun, filled part by part, listed, completed or aborted.
//!
//! An upload is a row; its parts are rows that depend on it. Whoever deletes the upload's row decides: after that its
//! part rows own nothing, and are swept when there is time.

use crate::backend::{Batch, Key, Op, Page, Row};
use crate::limits::BATCH_OPS_MAX;
use crate::store::error::Fault;
use crate::store::{Store, key};

pub mod abort;
pub mod begin;
pub mod complete;
pub mod list;
pub mod part;
pub(in crate::store) mod sizes;

/// Rows read at once while looking for upload rows; parts in between are skipped by seeking.
const SCAN_ROWS: usize = 256;

/// Why an upload takes neither parts nor an abort.
#[derive(Debug)]
pub(super) enum NotOpen {
    NoSuchBucket,
    NoSuchUpload,
    Completing,
    Fault(Fault),
}

impl From<Fault> for NotOpen {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// Lets an operation on an open upload take [`NotOpen`] with `?`.
macro_rules! from_not_open {
    ($error:ty) => {
        impl From<crate::store::multipart::NotOpen> for $error {
            fn from(not_open: crate::store::multipart::NotOpen) -> Self {
                match not_open {
                    crate::store::multipart::NotOpen::NoSuchBucket => Self::NoSuchBucket,
                    crate::store::multipart::NotOpen::NoSuchUpload => Self::NoSuchUpload,
                    crate::store::multipart::NotOpen::Completing => Self::Completing,
                    crate::store::multipart::NotOpen::Fault(fault) => Self::Fault(fault),
                }
            }
        }
    };
}
use from_not_open;

impl Store {
    /// The rows of uploads under `beginning` (a prefix of row keys) whose keys are not less than `from`.
    pub(super) async fn upload_rows(
        &self,
        beginning: &Key,
        from: Option<Key>,
        limit: usize,
    ) -> Result<Page<(Key, Row)>, Fault> {
        let mut items: Vec<(Key, Row)> = Vec::new();
        let Some(end) = beginning.after_prefix() else {
            return Ok(Page { items, more: false });
        };
        let mut start = from.unwrap_or_else(|| beginning.clone()).max(beginning.clone());
        loop {
            if start >= end {
                return Ok(Page { items, more: false });
            }
            let page = self.inner.backend.scan(start..end.clone(), SCAN_ROWS).await?;
            let mut next = None;
            for (row_key, row) in page.items {
                let parsed = key::parse_upload(&row_key)
                    .ok_or_else(|| Fault::Corrupt(format!("an upload row with the key {row_key:?}")))?;
                next = match parsed.part {
                    Some(_) => row_key
                        .as_bytes()
                        .get(..parsed.upload_len)
                        .map(|upload| Key::new(upload.to_vec())),
                    None if items.len() == limit => return Ok(Page { items, more: true }),
                    None => {
                        items.push((row_key.clone(), row));
                        None
                    }
                }
                .and_then(|upload| upload.after_prefix())
                .or_else(|| Some(row_key.successor()));
            }
            match next {
                Some(next) if page.more => start = next,
                Some(_) | None => return Ok(Page { items, more: false }),
            }
        }
    }

    /// Removes part rows that depend on upload rows which are gone. Nothing depends on it: they own nothing.
    pub(super) fn sweep_parts_later(&self, uploads: Vec<Key>) {
        let store = self.clone();
        tokio::spawn(async move {
            for upload in uploads {
                if let Err(fault) = store.sweep_parts(&upload).await {
                    tracing::debug!(%fault, "part rows of an ended upload stay until the next sweep");
                }
            }
        });
    }

    /// Looks through all uploads for part rows left behind by a process that ended before it had swept them, and
    /// removes them. For a start, in the background. Gives how many ended uploads had left something.
    pub async fn sweep_ended_uploads(&self) -> Result<usize, Fault> {
        let beginning = key::all_uploads();
        let Some(end) = beginning.after_prefix() else {
            return Ok(0);
        };
        let (mut start, mut swept) = (beginning, 0);
        loop {
            let page = self.inner.backend.scan(start..end.clone(), 1).await?;
            let Some((row_key, _)) = page.items.first() else {
                return Ok(swept);
            };
            let parsed = key::parse_upload(row_key)
                .ok_or_else(|| Fault::Corrupt(format!("an upload row with the key {row_key:?}")))?;
            let upload = row_key
                .as_bytes()
                .get(..parsed.upload_len)
                .map(|upload| Key::new(upload.to_vec()));
            let upload = upload.unwrap_or_else(|| row_key.clone());
            if parsed.part.is_some() {
                // The first row of an upload that stands is its own.
                self.sweep_parts(&upload).await?;
                swept += 1;
            }
            match upload.after_prefix() {
                Some(next) => start = next,
                None => return Ok(swept),
            }
        }
    }

    async fn sweep_parts(&self, upload: &Key) -> Result<(), Fault> {
        let Some(end) = upload.after_prefix() else {
            return Ok(());
        };
        loop {
            let page = self
                .inner
                .backend
                .scan(upload.successor()..end.clone(), BATCH_OPS_MAX - 1)
                .await?;
            if page.items.is_empty() {
                return Ok(());
            }
            let require = vec![crate::backend::Require::Absent(upload.clone())];
            let ops = page.items.into_iter().map(|(row_key, _)| Op::Delete(row_key)).collect();
            self.commit(Batch { require, ops })
                .await
                .map_err(crate::store::error::CommitRefused::into_fault)?;
            if !page.more {
                return Ok(());
            }
        }
    }
}
