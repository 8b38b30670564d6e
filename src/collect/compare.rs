//! Whether records and bytes agree, for whoever asks: told and counted, never mended.

use storage_engine::store::error::Fault;
use storage_engine::store::files::Disagreement;

use super::Collector;

/// As many of a bucket are named in the log.
const NAMED_MAX: u64 = 50;

/// Where records and bytes disagree, in all buckets that keep a catalogue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Disagreements {
    /// Files, and versions of files, whose bytes are not there.
    pub without_bytes: u64,
    /// Objects that no file stands for.
    pub without_record: u64,
}

impl Disagreements {
    fn add(&mut self, found: &Disagreement) {
        match found {
            Disagreement::NoBytes { .. } | Disagreement::NoVersionBytes { .. } => self.without_bytes += 1,
            Disagreement::NoRecord { .. } => self.without_record += 1,
        }
    }

    fn sum(&self) -> u64 {
        self.without_bytes + self.without_record
    }
}

impl Collector {
    /// Goes through all records and all objects of buckets that keep a catalogue. Both are always changed together, so none
    /// of them should disagree; those that do stay as they are.
    pub async fn compare(&self) -> Result<Disagreements, Fault> {
        let mut all = Disagreements::default();
        for bucket in self.store.buckets_with_files().await? {
            let mut here = Disagreements::default();
            let mut tell = |found: Disagreement| {
                here.add(&found);
                if here.sum() <= NAMED_MAX {
                    tracing::error!(%bucket, ?found, "a record and what is stored disagree");
                }
            };
            self.store.compare_catalogue(&bucket, &mut tell).await?;
            all.without_bytes += here.without_bytes;
            all.without_record += here.without_record;
        }
        Ok(all)
    }
}
