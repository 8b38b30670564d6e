//! How much each bucket holds: counted in the background from the listings, kept until the next count.
//!
//! Owns the figures and when they are counted anew; the admin API and metrics tell them, always with the time of the count.
//! Nothing is counted until somebody asks. A count reads the index only, rests as long as it reads, and the next one waits
//! twenty times as long as the last one took, so all counting together takes less than a twentieth of one core. It never
//! keeps anything of single objects.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use storage_engine::store::Store;
use storage_engine::store::bucket::{Bucket, ListBuckets};
use storage_engine::store::clock::Timestamp;
use storage_engine::store::error::Fault;
use storage_engine::store::list::{ListError, ListObjects, Listed};
use time::OffsetDateTime;
use tokio::sync::watch;

/// Figures younger than this are not counted anew.
const AGE_MIN: Duration = Duration::from_secs(1);
/// How many times as long as a count took the next one waits.
const REST_FACTOR: u32 = 20;
/// After a count that failed.
const RETRY: Duration = Duration::from_secs(5);
const PAGE: usize = 1_000;

/// Sizes by which objects are counted: MinIO's names, and the size from which each no longer counts.
pub const SIZES: [(&str, u64); 7] = [
    ("LESS_THAN_1024_B", 1 << 10),
    ("BETWEEN_1024_B_AND_1_MB", 1 << 20),
    ("BETWEEN_1_MB_AND_10_MB", 10 << 20),
    ("BETWEEN_10_MB_AND_64_MB", 64 << 20),
    ("BETWEEN_64_MB_AND_128_MB", 128 << 20),
    ("BETWEEN_128_MB_AND_512_MB", 512 << 20),
    ("GREATER_THAN_512_MB", u64::MAX),
];

/// What one bucket holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketUsage {
    pub created: Timestamp,
    pub objects: u64,
    pub bytes: u64,
    /// Objects by [`SIZES`].
    pub sizes: [u64; SIZES.len()],
}

impl BucketUsage {
    fn of(bucket: &Bucket) -> Self {
        Self {
            created: bucket.created,
            objects: 0,
            bytes: 0,
            sizes: [0; SIZES.len()],
        }
    }

    fn add(&mut self, size: u64) {
        self.objects += 1;
        self.bytes = self.bytes.saturating_add(size);
        let class = SIZES.iter().position(|(_, end)| size < *end).unwrap_or(SIZES.len() - 1);
        if let Some(count) = self.sizes.get_mut(class) {
            *count += 1;
        }
    }
}

/// What all buckets hold, as one count found it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Figures {
    /// When the count ended.
    pub counted_at: OffsetDateTime,
    pub buckets: BTreeMap<String, BucketUsage>,
}

impl Figures {
    pub fn objects(&self) -> u64 {
        self.buckets.values().map(|bucket| bucket.objects).sum()
    }

    pub fn bytes(&self) -> u64 {
        self.buckets.values().map(|bucket| bucket.bytes).sum()
    }
}

/// When to count again.
struct Due {
    running: bool,
    next: Instant,
}

struct Inner {
    store: Store,
    due: Mutex<Due>,
    figures: watch::Sender<Option<Arc<Figures>>>,
}

/// The figures of one store; clones share them.
#[derive(Clone)]
pub struct Usage {
    inner: Arc<Inner>,
}

impl Usage {
    pub fn new(store: Store) -> Self {
        let due = Due {
            running: false,
            next: Instant::now(),
        };
        Self {
            inner: Arc::new(Inner {
                store,
                due: Mutex::new(due),
                figures: watch::Sender::new(None),
            }),
        }
    }

    /// The last figures, at once; a count begins if one is due. `None`: nothing was counted yet.
    pub fn latest(&self) -> Option<Arc<Figures>> {
        self.begin_if_due();
        self.inner.figures.borrow().clone()
    }

    /// The figures of a count that is due or going on, if it ends within `patience`; else the last ones.
    pub async fn figures(&self, patience: Duration) -> Option<Arc<Figures>> {
        let mut changed = self.inner.figures.subscribe();
        if self.begin_if_due() {
            // Not in time, or the store cannot be read: the last figures say from when they are.
            drop(tokio::time::timeout(patience, changed.changed()).await);
        }
        self.inner.figures.borrow().clone()
    }

    /// Whether a count is going on.
    fn begin_if_due(&self) -> bool {
        let mut due = self.inner.due.lock();
        if due.running {
            return true;
        }
        if Instant::now() < due.next {
            return false;
        }
        due.running = true;
        let inner = Arc::clone(&self.inner);
        tokio::spawn(async move {
            let began = Instant::now();
            let counted = count(&inner.store).await;
            let rest = match counted {
                Ok(buckets) => {
                    let figures = Figures {
                        counted_at: OffsetDateTime::now_utc(),
                        buckets,
                    };
                    inner.figures.send_replace(Some(Arc::new(figures)));
                    began.elapsed().saturating_mul(REST_FACTOR).max(AGE_MIN)
                }
                Err(fault) => {
                    tracing::debug!(%fault, "what the buckets hold was not counted");
                    RETRY
                }
            };
            let mut due = inner.due.lock();
            due.running = false;
            due.next = Instant::now() + rest;
        });
        true
    }
}

async fn count(store: &Store) -> Result<BTreeMap<String, BucketUsage>, Fault> {
    let mut counted = BTreeMap::new();
    let mut list = ListBuckets {
        limit: PAGE,
        ..ListBuckets::default()
    };
    loop {
        let page = store.list_buckets(list.clone()).await?;
        for bucket in &page.buckets {
            if let Some(usage) = count_bucket(store, bucket).await? {
                counted.insert(bucket.name.as_str().to_owned(), usage);
            }
        }
        list.after = page.next;
        if list.after.is_none() {
            return Ok(counted);
        }
    }
}

/// `None` if the bucket went away meanwhile.
async fn count_bucket(store: &Store, bucket: &Bucket) -> Result<Option<BucketUsage>, Fault> {
    let mut usage = BucketUsage::of(bucket);
    let mut list = ListObjects {
        bucket: bucket.name.clone(),
        prefix: String::new(),
        delimiter: String::new(),
        after: None,
        limit: PAGE,
    };
    loop {
        let began = Instant::now();
        let page = match store.list_objects(&list).await {
            Ok(page) => page,
            Err(ListError::NoSuchBucket) => return Ok(None),
            Err(ListError::Fault(fault)) => return Err(fault),
        };
        for item in &page.items {
            match item {
                Listed::Item(listed) => usage.add(listed.object.size),
                Listed::CommonPrefix(_) => {}
            }
        }
        list.after = page.next;
        if list.after.is_none() {
            return Ok(Some(usage));
        }
        // Requests come first.
        tokio::time::sleep(began.elapsed()).await;
    }
}

#[cfg(test)]
mod tests {
    use storage_engine::memory::MemoryBackend;
    use storage_engine::store::Epoch;
    use storage_engine::store::clock::SystemClock;
    use storage_engine::store::name::BucketName;

    use super::*;

    async fn store() -> Store {
        let store = Store::new(
            Arc::new(MemoryBackend::default()),
            Arc::new(SystemClock),
            Epoch([1; 16]),
        );
        for bucket in ["pile", "wall"] {
            store
                .create_bucket(&BucketName::parse(bucket).unwrap(), "")
                .await
                .unwrap();
        }
        store
    }

    #[test]
    fn objects_are_counted_by_their_size() {
        let mut usage = BucketUsage {
            created: Timestamp::from_millis(0),
            objects: 0,
            bytes: 0,
            sizes: [0; SIZES.len()],
        };
        for size in [0, 1_023, 1_024, 1 << 20, 600 << 20, u64::MAX] {
            usage.add(size);
        }
        assert_eq!(usage.sizes, [2, 1, 1, 0, 0, 0, 2]);
        assert_eq!((usage.objects, usage.bytes), (6, u64::MAX));
    }

    #[tokio::test]
    async fn figures_are_what_is_there_and_are_counted_anew_when_they_are_old() {
        let store = store().await;
        let usage = Usage::new(store.clone());
        assert_eq!(
            usage.inner.figures.borrow().clone(),
            None,
            "nothing is counted before somebody asks"
        );
        let first = usage.figures(Duration::from_secs(5)).await.unwrap();
        assert_eq!(first.buckets.keys().collect::<Vec<_>>(), ["pile", "wall"]);
        assert_eq!((first.objects(), first.bytes()), (0, 0));
        store
            .create_bucket(&BucketName::parse("tower").unwrap(), "")
            .await
            .unwrap();
        usage.inner.due.lock().next = Instant::now();
        let second = usage.figures(Duration::from_secs(5)).await.unwrap();
        assert_eq!(second.buckets.len(), 3);
        assert!(second.counted_at >= first.counted_at);
    }
}
