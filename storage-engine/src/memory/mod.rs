//! A backend in memory: the simplest statement of the promises, for tests.
//!
//! One mutex, one ordered map of rows, one map of bodies. It owns nothing that outlives the process and never touches a
//! file; everything it answers it could be asked to justify line by line against the docs of [`crate::backend`].

use std::collections::{BTreeMap, HashMap};
use std::ops::{Bound, Range};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use parking_lot::Mutex;

use crate::backend::{
    Backend, Batch, Blob, BlobClass, BodyRef, BodySource, BodyStream, CommitError, Entry, GroupedScan, Health, Key,
    Page, PutBlobError, ReadError, Rev, Row, ServiceState,
};
use crate::limits::SCAN_ROWS_MAX;

mod commit;

/// Rows and bodies of one process. Clones share them.
#[derive(Clone, Default)]
pub struct MemoryBackend {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    rows: BTreeMap<Bytes, StoredRow>,
    /// Bodies that a row owns, by their id. What is not here is gone.
    bodies: HashMap<u64, Owned>,
    last_rev: u64,
    last_body: u64,
}

#[derive(Clone)]
struct StoredRow {
    value: Bytes,
    rev: Rev,
    body: Option<u64>,
    parent_len: Option<usize>,
}

struct Owned {
    body: Arc<Body>,
    class: BlobClass,
    /// The row that owns it.
    owner: Bytes,
}

/// The bytes of a body, in the chunks they came in.
struct Body {
    len: u64,
    chunks: Vec<Bytes>,
}

/// What a [`Blob`] of this backend holds.
struct Staged {
    body: Arc<Body>,
    class: BlobClass,
    /// The committed bodies it was joined from; their ownership moves with it.
    joined: Vec<u64>,
}

impl MemoryBackend {
    pub fn new() -> Self {
        Self::default()
    }

    /// How many bodies are owned by rows: a test's way to see that nothing is left behind.
    pub fn bodies(&self) -> usize {
        self.state.lock().bodies.len()
    }

    /// How many rows stand.
    pub fn rows(&self) -> usize {
        self.state.lock().rows.len()
    }
}

impl State {
    fn row(&self, stored: &StoredRow) -> Row {
        let body = stored.body.and_then(|id| {
            let handle = Bytes::copy_from_slice(&id.to_be_bytes());
            self.bodies.get(&id).map(|owned| BodyRef {
                len: owned.body.len,
                handle,
            })
        });
        Row {
            value: stored.value.clone(),
            rev: stored.rev,
            body,
        }
    }

    fn owned(&self, body: &BodyRef) -> Option<(u64, &Owned)> {
        let id = u64::from_be_bytes(body.handle.as_ref().try_into().ok()?);
        self.bodies.get(&id).map(|owned| (id, owned))
    }

    /// The rows of a range, in their order.
    fn within(&self, range: &Range<Key>) -> impl DoubleEndedIterator<Item = (&Bytes, &StoredRow)> {
        let (start, end) = (range.start.as_bytes(), range.end.as_bytes());
        let bounds = (Bound::Included(start), Bound::Excluded(end));
        // A range that ends before it begins the map would take for a bug.
        (start < end)
            .then(|| self.rows.range::<[u8], _>(bounds))
            .into_iter()
            .flatten()
    }

    /// The first of them, at most `limit`.
    fn page<'s>(&self, mut rows: impl Iterator<Item = (&'s Bytes, &'s StoredRow)>, limit: usize) -> Page<(Key, Row)> {
        let items = rows
            .by_ref()
            .take(limit.min(SCAN_ROWS_MAX))
            .map(|(key, stored)| (Key::new(key.clone()), self.row(stored)))
            .collect();
        let more = rows.next().is_some();
        Page { items, more }
    }

    /// The first row whose key is not less than `start`.
    fn first_from(&self, start: &Key) -> Option<(Key, &StoredRow)> {
        let from = (Bound::Included(start.as_bytes()), Bound::Unbounded);
        self.rows
            .range::<[u8], _>(from)
            .next()
            .map(|(key, row)| (Key::new(key.clone()), row))
    }
}

/// The group that a row under `prefix` belongs to, if it has the delimiter behind the prefix.
fn group_of(row_key: &Key, prefix: &Key, delimiter: &[u8]) -> Option<Key> {
    if delimiter.is_empty() {
        return None;
    }
    let behind = row_key.as_bytes().strip_prefix(prefix.as_bytes())?;
    let at = behind.windows(delimiter.len()).position(|window| window == delimiter)?;
    let len = prefix.as_bytes().len() + at + delimiter.len();
    row_key.as_bytes().get(..len).map(|group| Key::new(group.to_vec()))
}

#[async_trait]
impl Backend for MemoryBackend {
    async fn get(&self, key: &Key) -> Result<Option<Row>, ReadError> {
        let state = self.state.lock();
        Ok(state.rows.get(key.as_bytes()).map(|stored| state.row(stored)))
    }

    async fn scan(&self, range: Range<Key>, limit: usize) -> Result<Page<(Key, Row)>, ReadError> {
        let state = self.state.lock();
        Ok(state.page(state.within(&range), limit))
    }

    async fn scan_back(&self, range: Range<Key>, limit: usize) -> Result<Page<(Key, Row)>, ReadError> {
        let state = self.state.lock();
        Ok(state.page(state.within(&range).rev(), limit))
    }

    async fn scan_grouped(&self, scan: GroupedScan) -> Result<Page<Entry>, ReadError> {
        let GroupedScan {
            prefix,
            delimiter,
            after,
            limit,
        } = scan;
        let limit = limit.min(SCAN_ROWS_MAX);
        let behind = |item: &Key| match group_of(item, &prefix, &delimiter) {
            Some(group) => group.after_prefix(),
            None => Some(item.successor()),
        };
        let mut start = match &after {
            Some(after) => behind(after).map(|start| start.max(prefix.clone())),
            None => Some(prefix.clone()),
        };
        let state = self.state.lock();
        let mut items = Vec::new();
        while let Some(from) = start {
            let Some((row_key, stored)) = state.first_from(&from) else {
                break;
            };
            if !row_key.as_bytes().starts_with(prefix.as_bytes()) {
                break;
            }
            if items.len() >= limit {
                return Ok(Page { items, more: true });
            }
            start = behind(&row_key);
            items.push(match group_of(&row_key, &prefix, &delimiter) {
                Some(group) => Entry::Group(group),
                None => Entry::Row(row_key, state.row(stored)),
            });
        }
        Ok(Page { items, more: false })
    }

    async fn commit(&self, batch: Batch) -> Result<Rev, CommitError> {
        self.state.lock().commit(batch)
    }

    async fn put_blob(
        &self,
        class: BlobClass,
        mut source: BodySource<'_>,
        _size_hint: Option<u64>,
    ) -> Result<Blob, PutBlobError> {
        let mut body = Body {
            len: 0,
            chunks: Vec::new(),
        };
        while let Some(chunk) = source.next().await {
            let chunk = chunk.map_err(PutBlobError::Source)?;
            body.len += chunk.len() as u64;
            body.chunks.push(chunk);
        }
        let len = body.len;
        let staged = Staged {
            body: Arc::new(body),
            class,
            joined: Vec::new(),
        };
        Ok(Blob {
            len,
            staged: Box::new(staged),
        })
    }

    async fn join_blobs(&self, parts: &[BodyRef]) -> Result<Blob, PutBlobError> {
        let state = self.state.lock();
        let mut whole = Body {
            len: 0,
            chunks: Vec::new(),
        };
        let mut joined = Vec::with_capacity(parts.len());
        for part in parts {
            let found = state.owned(part).filter(|(_, owned)| owned.class == BlobClass::Part);
            let Some((id, owned)) = found else {
                return Err(PutBlobError::Unavailable(
                    "a part to be joined is no longer stored".into(),
                ));
            };
            whole.len += owned.body.len;
            whole.chunks.extend(owned.body.chunks.iter().cloned());
            joined.push(id);
        }
        let len = whole.len;
        Ok(Blob {
            len,
            staged: Box::new(Staged {
                body: Arc::new(whole),
                class: BlobClass::Object,
                joined,
            }),
        })
    }

    async fn get_blob(&self, body: &BodyRef, range: Range<u64>) -> Result<BodyStream, ReadError> {
        let body = match self.state.lock().owned(body) {
            Some((_, owned)) => Arc::clone(&owned.body),
            None => return Err(ReadError::Gone),
        };
        if range.start > range.end || range.end > body.len {
            return Err(ReadError::Corrupt(format!(
                "bytes {range:?} of a body of {} bytes",
                body.len
            )));
        }
        let mut at = 0;
        let mut chunks = Vec::new();
        for chunk in &body.chunks {
            let (from, to) = (at, at + chunk.len() as u64);
            at = to;
            let (first, last) = (range.start.max(from), range.end.min(to));
            if first < last {
                // Both lie within the chunk, whose length is a usize.
                chunks.push(Ok(chunk.slice((first - from) as usize..(last - from) as usize)));
            }
        }
        Ok(Box::pin(futures::stream::iter(chunks)))
    }

    async fn delete_blob(&self, blob: Blob) {
        drop(blob);
    }

    fn health(&self) -> Health {
        Health {
            store: "memory".into(),
            state: ServiceState::ReadWrite,
            large_bodies_fail: None,
            drives: Vec::new(),
            parity: 0,
            tolerated_losses: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::MemoryBackend;
    use crate::backend::Backend;
    use crate::conformance;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn keeps_every_promise_of_the_seam() {
        let backend: Arc<dyn Backend> = Arc::new(MemoryBackend::new());
        conformance::all(&backend).await;
    }

    #[tokio::test]
    async fn a_body_that_nobody_owns_is_not_kept() {
        let backend = MemoryBackend::new();
        let shared: Arc<dyn Backend> = Arc::new(backend.clone());
        conformance::all(&shared).await;
        let rows = backend
            .state
            .lock()
            .rows
            .values()
            .filter(|row| row.body.is_some())
            .count();
        assert!(backend.bodies() <= rows, "{} bodies for {rows} rows", backend.bodies());
    }
}
