//! A backend between whose requests somebody else gets a turn, at the one that a test names.

use std::ops::Range;

use async_trait::async_trait;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use storage_engine::backend::{
    Backend, Batch, Blob, BlobClass, BodyRef, BodySource, BodyStream, CommitError, Entry, GroupedScan, Health, Key,
    Page, PutBlobError, ReadError, Rev, Row,
};
use storage_engine::memory::MemoryBackend;

/// What somebody else does.
type Act = BoxFuture<'static, ()>;

pub(super) struct Interleaved {
    memory: MemoryBackend,
    /// After how many more requests, and what.
    next: Mutex<Option<(usize, Act)>>,
}

impl Interleaved {
    pub(super) fn over(memory: MemoryBackend) -> Self {
        Self {
            memory,
            next: Mutex::new(None),
        }
    }

    /// From now on `passed` requests are answered; right before the next one `act` is done, with what it asks for itself.
    pub(super) fn after(&self, passed: usize, act: Act) {
        *self.next.lock() = Some((passed, act));
    }

    /// Nobody comes any more. `true`: somebody would have.
    pub(super) fn nobody(&self) -> bool {
        self.next.lock().take().is_some()
    }

    async fn turn(&self) {
        let due = {
            let mut next = self.next.lock();
            match next.take() {
                Some((0, act)) => Some(act),
                Some((left, act)) => {
                    *next = Some((left - 1, act));
                    None
                }
                None => None,
            }
        };
        if let Some(act) = due {
            act.await;
        }
    }
}

#[async_trait]
impl Backend for Interleaved {
    async fn get(&self, key: &Key) -> Result<Option<Row>, ReadError> {
        self.turn().await;
        self.memory.get(key).await
    }
    async fn scan(&self, range: Range<Key>, limit: usize) -> Result<Page<(Key, Row)>, ReadError> {
        self.turn().await;
        self.memory.scan(range, limit).await
    }
    async fn scan_back(&self, range: Range<Key>, limit: usize) -> Result<Page<(Key, Row)>, ReadError> {
        self.turn().await;
        self.memory.scan_back(range, limit).await
    }
    async fn scan_grouped(&self, scan: GroupedScan) -> Result<Page<Entry>, ReadError> {
        self.turn().await;
        self.memory.scan_grouped(scan).await
    }
    async fn commit(&self, batch: Batch) -> Result<Rev, CommitError> {
        self.turn().await;
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
        self.memory.get_blob(body, range).await
    }
    async fn delete_blob(&self, blob: Blob) {
        self.memory.delete_blob(blob).await;
    }
    fn health(&self) -> Health {
        self.memory.health()
    }
}
