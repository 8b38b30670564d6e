//! A store in a temporary directory, and the things that happen to it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use storage_engine::backend::{
    Backend, Batch, Blob, BlobClass, BodyStream, CommitError, Key, NewBody, Op, Put, ReadError, Require, Rev,
    ServiceState,
};
use storage_engine::embedded::drive::{DriveOptions, FaultPlan};
use storage_engine::embedded::heal::{Census, CensusDepth, HealOptions, HealState};
use storage_engine::embedded::{Embedded, OpenError, OpenOptions};
use tempfile::TempDir;

pub(crate) struct Scene {
    pub(crate) root: TempDir,
    pub(crate) drives: usize,
}

impl Scene {
    pub(crate) fn new(drives: usize) -> Self {
        Self {
            root: TempDir::new().unwrap(),
            drives,
        }
    }

    pub(crate) fn drive(&self, n: usize) -> PathBuf {
        self.root.path().join(format!("data{n}"))
    }

    pub(crate) fn away(&self, n: usize) -> PathBuf {
        self.root.path().join(format!("away{n}"))
    }

    pub(crate) fn options(&self) -> OpenOptions {
        OpenOptions {
            drives: (1..=self.drives).map(|n| self.drive(n)).collect(),
            index_dir: None,
            ..OpenOptions::default()
        }
    }

    pub(crate) async fn open(&self) -> Arc<Embedded> {
        self.try_open(self.options()).await.unwrap()
    }

    /// With healing as fast as it can: tests do not wait for clients.
    pub(crate) fn healing(&self) -> OpenOptions {
        OpenOptions {
            heal: eager(),
            ..self.options()
        }
    }

    /// The same, on drives that do what the plan says.
    pub(crate) fn with_faults(&self, plan: &Arc<FaultPlan>) -> OpenOptions {
        OpenOptions {
            drive: DriveOptions {
                faults: Some(Arc::clone(plan)),
                ..DriveOptions::default()
            },
            ..self.healing()
        }
    }

    pub(crate) async fn try_open(&self, options: OpenOptions) -> Result<Arc<Embedded>, OpenError> {
        self.wait_for_locks().await;
        Embedded::open(options).await
    }

    /// The threads of a store that was killed let go of its drives a moment later; a dead process does so at once.
    pub(crate) async fn wait_for_locks(&self) {
        for path in (1..=self.drives).map(|n| self.drive(n).join(".drystone/lock")) {
            let Ok(lock) = std::fs::File::open(path) else { continue };
            for _ in 0..500 {
                if lock.try_lock().is_ok() {
                    break;
                }
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        }
    }

    /// Takes a drive out while nobody has it open.
    /// Puts an empty directory in the place of a drive.
    pub(crate) fn wipe(&self, n: usize) {
        std::fs::remove_dir_all(self.drive(n)).unwrap();
        std::fs::create_dir(self.drive(n)).unwrap();
    }

    pub(crate) fn remove(&self, n: usize) {
        std::fs::rename(self.drive(n), self.away(n)).unwrap();
    }

    pub(crate) fn bring_back(&self, n: usize) {
        std::fs::rename(self.away(n), self.drive(n)).unwrap();
    }

    /// All shard files of log segments on a drive, newest last.
    pub(crate) fn log_files(&self, n: usize) -> Vec<PathBuf> {
        let mut files: Vec<(std::time::SystemTime, PathBuf)> = std::fs::read_dir(self.drive(n).join(".drystone/log"))
            .unwrap()
            .map(|entry| entry.unwrap())
            .map(|entry| (entry.metadata().unwrap().modified().unwrap(), entry.path()))
            .collect();
        files.sort();
        files.into_iter().map(|(_, path)| path).collect()
    }
}

pub(crate) fn eager() -> HealOptions {
    HealOptions {
        duty_percent: 100,
        bytes_per_second: 1 << 40,
        drives_after: std::time::Duration::from_millis(500),
        ..HealOptions::default()
    }
}

/// Waits until healing says that nothing is missing, and a count of every frame says so, too.
pub(crate) async fn until_whole(store: &Embedded) -> Census {
    for _ in 0..1200 {
        if store.heal_status().state == HealState::Whole {
            let census = store.census(CensusDepth::Frames).await.unwrap();
            if census.is_clean() {
                return census;
            }
        }
        store.heal_now();
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("never whole: {:?}", store.heal_status());
}

/// Waits until a drive that is drained holds nothing.
pub(crate) async fn until_drained(store: &Embedded, path: &str) {
    let began = std::time::Instant::now();
    while began.elapsed() < std::time::Duration::from_secs(240) {
        let status = store.moving_status();
        let drain = status.drains.iter().find(|drain| drain.path == path);
        if drain
            .unwrap_or_else(|| panic!("{path} is not drained: {status:?}"))
            .holds_nothing
        {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("never empty: {:?} {:?}", store.moving_status(), store.heal_status());
}

/// So many small bodies and as many large ones; each tells its round, its number and its size.
#[derive(Clone, Copy)]
pub(crate) struct Bodies {
    pub(crate) count: u64,
    pub(crate) large: usize,
}

impl Bodies {
    fn each(self, round: u64) -> impl Iterator<Item = (String, Bytes)> {
        (0..self.count).flat_map(move |n| {
            let small = body(round * 100 + n, 3000 + n as usize);
            let large = body(round * 100 + n + 50, self.large + n as usize);
            [
                (format!("{round}/small/{n}"), small),
                (format!("{round}/large/{n}"), large),
            ]
        })
    }

    pub(crate) async fn fill(self, store: &Embedded, round: u64) {
        for (name, bytes) in self.each(round) {
            put(store, &name, &bytes).await;
        }
    }

    pub(crate) async fn check(self, store: &Embedded, round: u64) {
        for (name, bytes) in self.each(round) {
            expect(store, &name, &bytes).await;
        }
    }
}

/// Ends a store as a killed process does: nothing is closed, no marker is written.
pub(crate) async fn kill(store: Arc<Embedded>) {
    let weak = Arc::downgrade(&store);
    drop(store);
    for _ in 0..500 {
        if weak.upgrade().is_none() {
            // Lane threads let go of the drives' locks right after.
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("something still holds the store");
}

pub(crate) fn key(text: &str) -> Key {
    Key::new(text.as_bytes().to_vec())
}

/// Bytes that tell their own seed, so that a mix-up shows.
pub(crate) fn body(seed: u64, len: usize) -> Bytes {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let bytes: Vec<u8> = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    })
    .take(len)
    .collect();
    bytes.into()
}

pub(crate) async fn stage(store: &Embedded, class: BlobClass, bytes: &Bytes) -> Blob {
    let chunks: Vec<Result<Bytes, storage_engine::backend::SourceError>> = bytes
        .chunks(64 * 1024)
        .map(|chunk| Ok(bytes.slice_ref(chunk)))
        .collect();
    store
        .put_blob(class, Box::pin(futures::stream::iter(chunks)), Some(bytes.len() as u64))
        .await
        .unwrap()
}

pub(crate) fn put_op(name: &str, value: &str, body: NewBody) -> Op {
    Op::Put(Put {
        key: key(name),
        value: Bytes::copy_from_slice(value.as_bytes()),
        body,
        parent_len: None,
    })
}

pub(crate) async fn try_put(store: &Embedded, name: &str, bytes: &Bytes) -> Result<Rev, CommitError> {
    let blob = match store
        .put_blob(
            BlobClass::Object,
            Box::pin(futures::stream::iter([Ok(bytes.clone())])),
            None,
        )
        .await
    {
        Ok(blob) => blob,
        Err(error) => return Err(CommitError::Unavailable(error.to_string())),
    };
    store
        .commit(Batch {
            require: vec![],
            ops: vec![put_op(name, name, NewBody::Blob(blob))],
        })
        .await
}

pub(crate) async fn put(store: &Embedded, name: &str, bytes: &Bytes) {
    try_put(store, name, bytes).await.unwrap();
}

pub(crate) async fn delete(store: &Embedded, name: &str) {
    store
        .commit(Batch {
            require: vec![],
            ops: vec![Op::Delete(key(name))],
        })
        .await
        .unwrap();
}

pub(crate) async fn collect(stream: BodyStream) -> Result<Bytes, ReadError> {
    let chunks: Vec<Bytes> = stream.try_collect().await?;
    Ok(chunks.concat().into())
}

pub(crate) async fn read(store: &Embedded, name: &str) -> Result<Option<Bytes>, ReadError> {
    let Some(row) = store.get(&key(name)).await? else {
        return Ok(None);
    };
    assert_eq!(row.value, name.as_bytes(), "the row is another key's");
    let Some(body) = row.body else {
        return Ok(Some(Bytes::new()));
    };
    let bytes = collect(store.get_blob(&body, 0..body.len).await?).await?;
    assert_eq!(bytes.len() as u64, body.len, "short read");
    Ok(Some(bytes))
}

pub(crate) async fn expect(store: &Embedded, name: &str, bytes: &Bytes) {
    let found = read(store, name)
        .await
        .unwrap()
        .unwrap_or_else(|| panic!("{name} is lost"));
    assert!(found == *bytes, "{name} has other bytes");
}

pub(crate) async fn list(store: &Embedded) -> Vec<String> {
    let page = store.scan(key("\0")..key("\u{10FFFF}"), 10_000).await.unwrap();
    assert!(!page.more);
    page.items
        .into_iter()
        .map(|(key, _)| String::from_utf8(key.as_bytes().to_vec()).unwrap())
        .collect()
}

pub(crate) fn is_read_only(store: &Embedded) -> bool {
    matches!(store.health().state, ServiceState::ReadOnly(_))
}

pub(crate) fn is_not_ready(store: &Embedded) -> bool {
    matches!(store.health().state, ServiceState::NotReady(_))
}

/// Every regular file below a directory with its size: to prove that nothing was removed.
pub(crate) fn files_below(dir: &Path) -> Vec<(PathBuf, u64)> {
    let mut found = Vec::new();
    let mut open = vec![dir.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap()) {
            let meta = entry.metadata().unwrap();
            if meta.is_dir() {
                open.push(entry.path());
            } else {
                found.push((entry.path(), meta.len()));
            }
        }
    }
    found.sort();
    found
}

pub(crate) async fn require_absent(store: &Embedded, name: &str, bytes: &Bytes) -> Result<Rev, CommitError> {
    let blob = stage(store, BlobClass::Object, bytes).await;
    let ops = vec![put_op(name, name, NewBody::Blob(blob))];
    store
        .commit(Batch {
            require: vec![Require::Absent(key(name))],
            ops,
        })
        .await
}

/// Copies a directory; entries with a name in `left_out` stay behind.
pub(crate) fn copy_tree(from: &Path, to: &Path, left_out: &[&str]) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(|entry| entry.unwrap()) {
        let name = entry.file_name();
        if left_out.iter().any(|left| name == *left) {
            continue;
        }
        let target = to.join(name);
        if entry.file_type().unwrap().is_dir() {
            copy_tree(&entry.path(), &target, left_out);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
