//! Which bytes are held back when they come in, and that whoever scans learns of it.

use std::collections::BTreeSet;
use std::sync::Arc;

use parking_lot::Mutex;
use storage_engine::store::files::{File, Screen};
use storage_engine::store::name::BucketName;
use tokio::sync::Notify;

use crate::projects::{LogicalBuckets, Scan};

/// Buckets in which something may wait.
#[derive(Default)]
pub struct News {
    buckets: Mutex<BTreeSet<BucketName>>,
    came: Notify,
}

impl News {
    pub(super) fn tell(&self, bucket: &BucketName) {
        self.buckets.lock().insert(bucket.clone());
        self.came.notify_one();
    }

    /// Waits for news, and takes them.
    pub(super) async fn take(&self) -> BTreeSet<BucketName> {
        loop {
            let found = std::mem::take(&mut *self.buckets.lock());
            if !found.is_empty() {
                return found;
            }
            self.came.notified().await;
        }
    }
}

/// Holds back what is put into app buckets, unless the rules of its logical bucket say otherwise.
pub struct Screening {
    rules: Arc<dyn LogicalBuckets>,
    news: Arc<News>,
}

impl Screening {
    pub fn new(rules: Arc<dyn LogicalBuckets>, news: Arc<News>) -> Self {
        Self { rules, news }
    }
}

impl Screen for Screening {
    fn holds_back(&self, bucket: &BucketName, file: &File) -> bool {
        let name = file.bucket.as_ref().or(file.category.as_ref());
        let rules = name.and_then(|name| self.rules.of(bucket).remove(name));
        rules.is_none_or(|rules| rules.scan == Scan::On)
    }

    fn came(&self, bucket: &BucketName) {
        self.news.tell(bucket);
    }
}
