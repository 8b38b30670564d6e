//! The store over the backend in memory, and over one that fails and races on command.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use futures::TryStreamExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;

use crate::backend::{
    Backend, Batch, Blob, BlobClass, BodyRef, BodySource, BodyStream, CommitError, Entry, GroupedScan, Health, Key,
    Page, PutBlobError, ReadError, Rev, Row,
};
use crate::memory::MemoryBackend;
use crate::store::body::{ChecksumRequest, NewBody};
use crate::store::clock::{Clock, Timestamp};
use crate::store::condition::{ReadConditions, WriteCondition};
use crate::store::name::{BucketName, ObjectKey};
use crate::store::object::get::{GetObject, GetObjectError, Selection};
use crate::store::object::put::{PutObject, PutObjectError, Stored};
use crate::store::record::object::Metadata;
use crate::store::{Epoch, Store};

mod agreement;
mod bucket;
mod copy;
mod counter;
mod drives;
mod files;
mod identity;
mod labels;
mod list;
mod lives;
mod machine;
mod model;
mod multipart;
mod object;
mod part_sizes;
mod power;
mod projects;
mod quota;
mod race;
mod resumable;
mod server_settings;
mod settings;

const MIB: usize = 1024 * 1024;

/// A clock that goes on by a second whenever it is read.
#[derive(Default)]
struct Ticking(AtomicU64);

impl Clock for Ticking {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_700_000_000_000 + self.0.fetch_add(1, Ordering::Relaxed) * 1_000)
    }
}

/// A store in memory with one bucket.
struct Fixture {
    store: Store,
    memory: MemoryBackend,
    bucket: BucketName,
}

fn bucket(name: &str) -> BucketName {
    BucketName::parse(name).unwrap()
}

fn key(name: &str) -> ObjectKey {
    ObjectKey::parse(name).unwrap()
}

fn store_over(backend: Arc<dyn Backend>, epoch: u8) -> Store {
    Store::new(backend, Arc::new(Ticking::default()), Epoch([epoch; 16]))
}

/// A store whose bucket keeps a catalogue.
async fn with_catalogue() -> Fixture {
    let all = fixture().await;
    let changed = all.store.change_settings(&all.bucket, |settings| settings.files = true);
    changed.await.unwrap();
    all
}

async fn fixture() -> Fixture {
    let memory = MemoryBackend::new();
    let store = store_over(Arc::new(memory.clone()), 1);
    let bucket = bucket("abc");
    store.create_bucket(&bucket, "").await.unwrap();
    Fixture { store, memory, bucket }
}

impl Fixture {
    fn put_of(&self, name: &str, body: impl Into<Bytes>) -> PutObject<'static> {
        PutObject {
            labels: Default::default(),
            bucket: self.bucket.clone(),
            key: key(name),
            metadata: Metadata::default(),
            body: NewBody::from_bytes(body),
            condition: WriteCondition::default(),
        }
    }

    async fn put(&self, name: &str, body: impl Into<Bytes>) -> Stored {
        self.store.put_object(self.put_of(name, body)).await.unwrap()
    }

    async fn put_if(
        &self,
        name: &str,
        body: impl Into<Bytes>,
        condition: WriteCondition,
    ) -> Result<Stored, PutObjectError> {
        self.store
            .put_object(PutObject {
                condition,
                ..self.put_of(name, body)
            })
            .await
    }

    fn get_of(&self, name: &str) -> GetObject {
        GetObject {
            bucket: self.bucket.clone(),
            key: key(name),
            version: None,
            selection: Selection::Whole,
            conditions: ReadConditions::default(),
        }
    }

    async fn read(&self, get: &GetObject) -> Result<Bytes, GetObjectError> {
        let read = self.store.get_object(get).await?;
        let chunks: Vec<Bytes> = read.body.try_collect().await.map_err(GetObjectError::from)?;
        Ok(chunks.concat().into())
    }

    async fn get(&self, name: &str) -> Bytes {
        self.read(&self.get_of(name)).await.unwrap()
    }

    async fn assert_absent(&self, name: &str) {
        let found = self.store.head_object(&self.get_of(name)).await;
        assert!(matches!(found, Err(GetObjectError::NoSuchKey)), "{found:?}");
    }

    /// The same rows and bodies after a restart.
    fn restarted(&self) -> Self {
        let store = store_over(Arc::new(self.memory.clone()), 2);
        Self {
            store,
            memory: self.memory.clone(),
            bucket: self.bucket.clone(),
        }
    }
}

fn pattern(len: usize) -> Bytes {
    (0..len).map(|i| (i.wrapping_mul(31) ^ (i >> 8)) as u8).collect()
}

fn chunked(chunks: Vec<Bytes>, len: Option<u64>) -> NewBody<'static> {
    let source = Box::pin(futures::stream::iter(chunks.into_iter().map(Ok)));
    NewBody {
        source,
        len,
        content_md5: None,
        checksum: ChecksumRequest::None,
    }
}

type Act = Box<dyn FnOnce() -> BoxFuture<'static, Option<CommitError>> + Send>;

/// Memory, but before the next commits something happens: another write, or the commit's failure.
struct Scripted {
    memory: MemoryBackend,
    before_commits: Mutex<VecDeque<Act>>,
    /// Reads of bodies that answer `Gone` although the body stands.
    gone_reads: AtomicU64,
    /// How often the settings of a bucket were read.
    settings_reads: AtomicU64,
    /// How many rows were asked for one by one or given out in pages, and how many pages.
    rows_read: AtomicU64,
}

impl Scripted {
    fn over(memory: &MemoryBackend) -> Arc<Self> {
        Arc::new(Self {
            memory: memory.clone(),
            before_commits: Mutex::default(),
            gone_reads: AtomicU64::new(0),
            settings_reads: AtomicU64::new(0),
            rows_read: AtomicU64::new(0),
        })
    }

    fn read<T>(&self, page: Page<T>) -> Page<T> {
        self.rows_read.fetch_add(1 + page.items.len() as u64, Ordering::Relaxed);
        page
    }

    fn before_next_commit(&self, act: impl FnOnce() -> BoxFuture<'static, Option<CommitError>> + Send + 'static) {
        self.before_commits.lock().push_back(Box::new(act));
    }

    fn fail_next_commit(&self, error: CommitError) {
        self.before_next_commit(|| Box::pin(async { Some(error) }));
    }

    fn nothing_before_next_commit(&self) {
        self.before_next_commit(|| Box::pin(async { None }));
    }
}

#[async_trait]
impl Backend for Scripted {
    async fn get(&self, key: &Key) -> Result<Option<Row>, ReadError> {
        let settings = u64::from(key.as_bytes().starts_with(b"s/"));
        self.settings_reads.fetch_add(settings, Ordering::Relaxed);
        self.rows_read.fetch_add(1, Ordering::Relaxed);
        self.memory.get(key).await
    }

    async fn scan(&self, range: Range<Key>, limit: usize) -> Result<Page<(Key, Row)>, ReadError> {
        Ok(self.read(self.memory.scan(range, limit).await?))
    }

    async fn scan_back(&self, range: Range<Key>, limit: usize) -> Result<Page<(Key, Row)>, ReadError> {
        Ok(self.read(self.memory.scan_back(range, limit).await?))
    }

    async fn scan_grouped(&self, scan: GroupedScan) -> Result<Page<Entry>, ReadError> {
        self.memory.scan_grouped(scan).await
    }

    async fn commit(&self, batch: Batch) -> Result<Rev, CommitError> {
        let act = self.before_commits.lock().pop_front();
        if let Some(act) = act
            && let Some(error) = act().await
        {
            return Err(error);
        }
        self.memory.commit(batch).await
    }

    async fn put_blob(
        &self,
        class: BlobClass,
        source: BodySource<'_>,
        size_hint: Option<u64>,
    ) -> Result<Blob, PutBlobError> {
        self.memory.put_blob(class, source, size_hint).await
    }

    async fn join_blobs(&self, parts: &[BodyRef]) -> Result<Blob, PutBlobError> {
        self.memory.join_blobs(parts).await
    }

    async fn get_blob(&self, body: &BodyRef, range: Range<u64>) -> Result<BodyStream, ReadError> {
        if self
            .gone_reads
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1))
            .is_ok()
        {
            return Err(ReadError::Gone);
        }
        self.memory.get_blob(body, range).await
    }

    async fn delete_blob(&self, blob: Blob) {
        self.memory.delete_blob(blob).await;
    }

    fn health(&self) -> Health {
        self.memory.health()
    }
}
