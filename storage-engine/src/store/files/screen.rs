//! Bytes that nobody reads until they were scanned: who says which, and where they are found.
//!
//! Owns the seam to whoever scans. It scans nothing, and decides nothing about a verdict.

use super::File;
use crate::store::Store;
use crate::store::bucket::ListBuckets;
use crate::store::error::Fault;
use crate::store::name::BucketName;

/// Buckets that are looked at together.
const PAGE: usize = 500;

/// Says which bytes are held back until somebody has scanned them.
pub trait Screen: Send + Sync {
    /// Whether bytes that come in for this file are read by nobody yet. Asked in each write of a catalogue, so it must not
    /// wait.
    fn holds_back(&self, bucket: &BucketName, file: &File) -> bool;

    /// Something changed in this bucket that may have left files to scan. It may be told for nothing, and where the process
    /// ends it is not told: whoever scans looks by itself, too.
    fn came(&self, bucket: &BucketName);
}

impl Store {
    /// Every bucket that keeps a catalogue.
    pub async fn buckets_with_files(&self) -> Result<Vec<BucketName>, Fault> {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let list = ListBuckets {
                prefix: String::new(),
                after: after.take(),
                limit: PAGE,
            };
            let page = self.list_buckets(list).await?;
            for bucket in page.buckets {
                let settings = self.bucket_settings(&bucket.name).await?;
                if settings.is_some_and(|(settings, _)| settings.files) {
                    found.push(bucket.name);
                }
            }
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(found),
            }
        }
    }
}
