//! How many bytes the parts of an upload have together, carried on from part to part: whoever holds an upload to a limit asks
//! at each part, and would otherwise read all parts each time.
//!
//! Owns the sizes of the parts of the uploads that were asked about lately, in memory: kept in the upload's row, they would make
//! its parts wait for each other. They are read from the rows once, from then on every part says its own when it is stored.
//! What is stored by another process is not seen; whoever joins the parts reads the rows.

use std::collections::{BTreeMap, HashMap};

use parking_lot::Mutex;

use crate::backend::{Batch, Key, Rev};
use crate::limits::LIST_ITEMS_MAX;
use crate::store::error::{CommitRefused, Fault};
use crate::store::multipart::part::PartPlace;
use crate::store::name::PartNumber;
use crate::store::record::Record;
use crate::store::record::part::Part;
use crate::store::{Store, key};

/// Parts of all uploads whose sizes are kept; all are forgotten when there are more.
const KEPT_MAX: usize = 200_000;

/// The sizes of the parts of some uploads, by the key of the upload's row.
#[derive(Default)]
pub(in crate::store) struct Sizes(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    uploads: HashMap<Key, OfUpload>,
    /// Of all parts and uploads.
    entries: usize,
    begun: u64,
}

struct OfUpload {
    /// Tells it from what was kept of the same upload before it was forgotten.
    begun: u64,
    /// Size and revision of each part.
    parts: BTreeMap<PartNumber, (u64, Rev)>,
    /// All rows were read that were there before anybody said a size here.
    complete: bool,
}

impl Kept {
    /// From here on every part of the upload that is stored is noted.
    fn begin(&mut self, upload: &Key) -> u64 {
        if let Some(known) = self.uploads.get(upload) {
            return known.begun;
        }
        self.begun += 1;
        self.entries += 1;
        let known = OfUpload {
            begun: self.begun,
            parts: BTreeMap::new(),
            complete: false,
        };
        self.uploads.insert(upload.clone(), known);
        self.begun
    }

    fn note(&mut self, upload: &Key, number: PartNumber, size: u64, rev: Rev) {
        let Some(known) = self.uploads.get_mut(upload) else {
            return;
        };
        let part = known.parts.entry(number).or_insert_with(|| {
            self.entries += 1;
            (size, rev)
        });
        // Of two parts of one number the one stays that was stored last, whoever says so first.
        if part.1 <= rev {
            *part = (size, rev);
        }
        if self.entries > KEPT_MAX {
            self.uploads.clear();
            self.entries = 0;
        }
    }

    fn forget(&mut self, upload: &Key) {
        if let Some(known) = self.uploads.remove(upload) {
            self.entries = self.entries.saturating_sub(1 + known.parts.len());
        }
    }

    /// The sum without one part; `None`: not all parts are known.
    fn sum_without(&self, upload: &Key, number: PartNumber) -> Option<u64> {
        let known = self.uploads.get(upload).filter(|known| known.complete)?;
        let others = known.parts.iter().filter(|(other, _)| **other != number);
        Some(others.fold(0, |sum, (_, (size, _))| sum.saturating_add(*size)))
    }
}

/// A part that is being stored. Where nobody says how that ended, the sizes of its upload are forgotten.
pub(super) struct Storing<'s> {
    sizes: &'s Sizes,
    upload: Option<Key>,
}

impl Storing<'_> {
    /// It is stored.
    pub(super) fn stored(mut self, number: PartNumber, size: u64, rev: Rev) {
        if let Some(upload) = self.upload.take() {
            self.sizes.0.lock().note(&upload, number, size, rev);
        }
    }

    /// It is not, and the part that was there before stays.
    pub(super) fn refused(mut self) {
        self.upload = None;
    }
}

impl Drop for Storing<'_> {
    fn drop(&mut self) {
        if let Some(upload) = &self.upload {
            self.sizes.forget(upload);
        }
    }
}

impl Sizes {
    pub(super) fn storing(&self, upload: &Key) -> Storing<'_> {
        Storing {
            sizes: self,
            upload: Some(upload.clone()),
        }
    }

    /// The upload has ended, or its parts are no longer what they were.
    pub(in crate::store) fn forget(&self, upload: &Key) {
        self.0.lock().forget(upload);
    }
}

impl Store {
    /// Bytes that the other parts of an upload have together, as far as they are stored; an upload that is not there has none.
    pub async fn size_of_other_parts(&self, place: &PartPlace) -> Result<u64, Fault> {
        let upload = key::upload(&place.bucket, &place.key, &place.upload);
        match self.find_upload(&upload).await? {
            Some(_) => self.sum_of_parts(&upload, place.number).await,
            None => Ok(0),
        }
    }

    /// Stores a part's row and says its size, whether or not anybody waits for that.
    pub(super) async fn commit_part(
        &self,
        upload: Key,
        (number, size): (PartNumber, u64),
        batch: Batch,
    ) -> Result<Rev, CommitRefused> {
        let store = self.clone();
        let task = tokio::spawn(async move {
            let storing = store.inner.part_sizes.storing(&upload);
            let committed = store.commit(batch).await;
            match &committed {
                Ok(rev) => storing.stored(number, size, *rev),
                Err(CommitRefused::Fault(Fault::Unknown(_))) => drop(storing),
                Err(CommitRefused::Condition { .. } | CommitRefused::Fault(_)) => storing.refused(),
            }
            committed
        });
        task.await.unwrap_or_else(|error| {
            Err(CommitRefused::Fault(Fault::Internal(format!(
                "storing a part: {error}"
            ))))
        })
    }

    /// Bytes that the parts of an upload have together, without the part of one number, as far as they are stored. The cost
    /// follows the number of parts in memory; their rows are read once.
    async fn sum_of_parts(&self, upload: &Key, without: PartNumber) -> Result<u64, Fault> {
        let begun = {
            let mut kept = self.inner.part_sizes.0.lock();
            if let Some(sum) = kept.sum_without(upload, without) {
                return Ok(sum);
            }
            kept.begin(upload)
        };
        let (mut start, end) = (upload.successor(), key::part_table(upload));
        let mut found = BTreeMap::new();
        loop {
            let page = self.inner.backend.scan(start..end.clone(), LIST_ITEMS_MAX).await?;
            for (row_key, row) in &page.items {
                let number = key::parse_upload(row_key).and_then(|parsed| parsed.part);
                let number = number.and_then(|number| PartNumber::new(number).ok());
                let number = number.ok_or_else(|| Fault::Corrupt(format!("a part row with the key {row_key:?}")))?;
                found.insert(number, (Part::from_value(&row.value)?.size, row.rev));
            }
            match page.items.last() {
                Some((last, _)) if page.more => start = last.successor(),
                Some(_) | None => break,
            }
        }
        let mut kept = self.inner.part_sizes.0.lock();
        // If it was forgotten meanwhile, what was read counts for now only.
        let is_same = |kept: &Kept| kept.uploads.get(upload).is_some_and(|known| known.begun == begun);
        if is_same(&kept) {
            for (number, (size, rev)) in &found {
                kept.note(upload, *number, *size, *rev);
            }
        }
        if let Some(known) = kept.uploads.get_mut(upload).filter(|known| known.begun == begun) {
            known.complete = true;
        }
        let others = found.iter().filter(|(number, _)| **number != without);
        let read = others.fold(0_u64, |sum, (_, (size, _))| sum.saturating_add(*size));
        Ok(kept.sum_without(upload, without).unwrap_or(read))
    }
}
