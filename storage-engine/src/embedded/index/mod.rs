//! The index: all rows in key order, in a database that may be deleted at any time. It owns the index directory, the
//! rule when an index of an earlier run may be used, and pages that are one snapshot; it never is the truth about
//! anything, and nothing is acknowledged or freed because it alone says so.

mod clean_stop;
mod database;
mod left;
mod marker;
mod page;
mod rebuild;
mod stored_row;
mod tree;

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use minicbor::{Decode, Encode};
use parking_lot::{Mutex, RwLock};

use self::database::{StoreError, Stored};
use self::tree::{Change, Tree};
use super::drive::index_dir;
use super::record::{RowOp, RowRecord, to_cbor};
use crate::backend::{GroupedScan, Key, Page};

pub use self::left::Matching;
pub use self::marker::Marker;
pub use self::page::Grouped;
pub use self::stored_row::{BodyView, RowView, StoredRev, StoredRow};

const MARKER_NAME: &str = "marker";
const TREE_PREFIX: &str = "tree-";
const ASIDE_PREFIX: &str = "aside-";
/// An index smaller than this is never rebuilt for its size.
const REBUILD_DISK_BYTES_MIN: u64 = 64 << 20;
/// An index is rebuilt when it takes this many times the bytes of its rows.
const REBUILD_FACTOR: u64 = 3;

/// The index cannot be used any more, now or ever: stop service and rebuild it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum IndexError {
    #[error("the index failed: {0}")]
    Failed(String),
    #[error("the index is closed")]
    Closed,
}

#[derive(Clone, Debug)]
pub struct IndexOptions {
    /// Most bytes of rows kept in memory.
    pub cache_bytes: u64,
    /// Longest time an index of an earlier run may take to open.
    pub open_time_max: Duration,
}

impl Default for IndexOptions {
    fn default() -> Self {
        Self {
            cache_bytes: 64 << 20,
            open_time_max: Duration::from_secs(60),
        }
    }
}

/// What the index holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct IndexStats {
    #[n(0)]
    pub rows: u64,
    /// Bytes of all keys and encoded rows.
    #[n(1)]
    pub bytes: u64,
}

/// All rows in key order. Every method blocks: call it where blocking is allowed.
pub struct Index {
    /// Where it is now: it may move.
    dir: Mutex<PathBuf>,
    options: IndexOptions,
    state: RwLock<State>,
    /// Why the index must not be used any more.
    failed: OnceLock<String>,
}

struct State {
    /// Absent once closed.
    tree: Option<Tree>,
    rebuild: Option<rebuild::Rebuild>,
}

impl Index {
    /// Makes an empty index in `dir`; whatever index was there is set aside and removed in the background.
    pub fn create(dir: &Path, options: IndexOptions) -> Result<Self, IndexError> {
        let make = || -> std::io::Result<()> {
            index_dir::make_dirs(dir)?;
            clean_stop::discard(dir)
        };
        make().map_err(|e| IndexError::Failed(format!("{}: {e}", dir.display())))?;
        let tree = Tree::create(dir, TREE_PREFIX, &options).map_err(|e| IndexError::Failed(e.0))?;
        Ok(Self::noted(dir, options, tree))
    }

    /// The same, and a start after a crash may use it.
    fn noted(dir: &Path, options: IndexOptions, tree: Tree) -> Self {
        left::note(dir, &tree.name);
        Self::with_tree(dir, options, tree)
    }

    /// An index that is open from now on.
    fn with_tree(dir: &Path, options: IndexOptions, tree: Tree) -> Self {
        let state = RwLock::new(State {
            tree: Some(tree),
            rebuild: None,
        });
        Self {
            dir: Mutex::new(dir.to_owned()),
            options,
            state,
            failed: OnceLock::new(),
        }
    }

    /// The row with this key.
    pub fn get(&self, key: &[u8]) -> Result<Option<RowRecord>, IndexError> {
        self.get_as(key)
    }

    /// The row with this key, as much of it as `R` reads.
    pub fn get_as<R: StoredRow>(&self, key: &[u8]) -> Result<Option<R>, IndexError> {
        self.read(|tree| tree.store.get(key)?.map(|cbor| read_row(&cbor)).transpose())
    }

    /// The CBOR form of the row with this key.
    pub fn get_raw(&self, key: &[u8]) -> Result<Option<Vec<u8>>, IndexError> {
        self.read(|tree| Ok(tree.store.get(key)?.map(|cbor: Stored| cbor.to_vec())))
    }

    /// Rows in `range`, ascending, at most `limit`: one snapshot with respect to [`Self::apply`].
    pub fn scan<R: StoredRow>(&self, range: &Range<Key>, limit: usize) -> Result<Page<(Key, R)>, IndexError> {
        let (start, end) = (range.start.as_bytes(), range.end.as_bytes());
        self.read(|tree| tree.store.read(|rows| page::scan(&rows, start, end, limit, read_row)))
    }

    /// Rows in `range`, descending, at most `limit`: one snapshot with respect to [`Self::apply`].
    pub fn scan_back<R: StoredRow>(&self, range: &Range<Key>, limit: usize) -> Result<Page<(Key, R)>, IndexError> {
        let (start, end) = (range.start.as_bytes(), range.end.as_bytes());
        self.read(|tree| {
            tree.store
                .read(|rows| page::scan_back(&rows, start, end, limit, read_row))
        })
    }

    /// Rows and groups, ascending: one snapshot with respect to [`Self::apply`]. The cost follows what is returned.
    pub fn scan_grouped<R: StoredRow>(&self, scan: &GroupedScan) -> Result<Page<Grouped<R>>, IndexError> {
        self.read(|tree| tree.store.read(|rows| page::scan_grouped(&rows, scan, read_row)))
    }

    /// How many rows name `parent` as the row they depend on, whether it stands or not.
    pub fn dependents(&self, parent: &[u8]) -> Result<u64, IndexError> {
        self.read(|tree| tree.store.dependents(parent))
    }

    /// All rows that name `parent` as the row they depend on. The cost follows the rows between it and the last of them.
    pub fn dependent_rows(&self, parent: &[u8]) -> Result<Vec<(Key, RowRecord)>, IndexError> {
        self.read(|tree| {
            let count = usize::try_from(tree.store.dependents(parent)?).unwrap_or(usize::MAX);
            if count == 0 {
                return Ok(Vec::new());
            }
            let read = |key: &[u8], cbor: &[u8]| Ok((Key::new(key.to_vec()), read_row(cbor)?));
            tree.store.read(|rows| page::dependent_rows(&rows, parent, count, read))
        })
    }

    /// Applies all of `ops`; no reader sees a part of them. Rows that depend on a row that is gone then go with it.
    pub fn apply(&self, ops: &[RowOp]) -> Result<(), IndexError> {
        let changes: Vec<Change<'_>> = ops.iter().map(change_of).collect();
        self.write(|state| state.apply(&changes))
    }

    /// Puts rows that come in ascending order, fast; for filling an index that nobody reads yet.
    pub fn bulk_load<'a>(&self, rows: impl IntoIterator<Item = (&'a [u8], &'a RowRecord)>) -> Result<(), IndexError> {
        let mut rows = rows.into_iter();
        self.write(|state| rows.try_for_each(|(key, row)| state.apply(&[put_of(key, row)])))
    }

    pub fn stats(&self) -> Result<IndexStats, IndexError> {
        self.read(|tree| Ok(tree.stats))
    }

    /// Bytes the index takes on disk.
    pub fn disk_bytes(&self) -> Result<u64, IndexError> {
        self.read(|tree| index_dir::disk_bytes(&self.dir().join(&tree.name)).map_err(|e| StoreError(e.to_string())))
    }

    fn dir(&self) -> PathBuf {
        self.dir.lock().clone()
    }

    /// Whether its files are below this path.
    pub fn lies_under(&self, path: &Path) -> bool {
        self.dir.lock().starts_with(path)
    }

    /// Whether it takes so much more than its rows that [`Self::rebuild`] is worth it.
    pub fn is_bloated(&self) -> Result<bool, IndexError> {
        let disk = self.disk_bytes()?;
        Ok(disk > REBUILD_DISK_BYTES_MIN && disk / REBUILD_FACTOR > self.stats()?.bytes)
    }

    fn read<T>(&self, work: impl FnOnce(&Tree) -> Result<T, StoreError>) -> Result<T, IndexError> {
        self.check()?;
        let state = self.state.read();
        let tree = state.tree.as_ref().ok_or(IndexError::Closed)?;
        work(tree).map_err(|e| self.fail(e))
    }

    fn write<T>(&self, work: impl FnOnce(&mut State) -> Result<T, StoreError>) -> Result<T, IndexError> {
        let mut state = self.state.write();
        self.check()?;
        if state.tree.is_none() {
            return Err(IndexError::Closed);
        }
        // Under the lock, so that nobody reads what a failed change left half done.
        work(&mut state).map_err(|e| self.fail(e))
    }

    /// Why it must not be used any more, if that is so: only a new one helps.
    pub fn why_failed(&self) -> Option<&str> {
        self.failed.get().map(String::as_str)
    }

    /// Fails it as an error of the database does: nothing is read from it any more, and only a new one helps.
    pub fn give_up(&self, why: &str) {
        self.fail(StoreError(why.to_owned()));
    }

    fn check(&self) -> Result<(), IndexError> {
        self.failed
            .get()
            .map_or(Ok(()), |why| Err(IndexError::Failed(why.clone())))
    }

    fn fail(&self, error: StoreError) -> IndexError {
        if self.failed.set(error.0.clone()).is_ok() {
            // It is not opened again: whatever is wrong with it would be again.
            left::forget(&self.dir());
            tracing::error!(error = %error, "the index failed and must be rebuilt");
        }
        IndexError::Failed(error.0)
    }
}

impl State {
    fn apply(&mut self, changes: &[Change<'_>]) -> Result<(), StoreError> {
        let Some(tree) = &mut self.tree else { return Ok(()) };
        changes.iter().try_for_each(|change| tree.apply(change))?;
        let orphans = tree.orphans(changes)?;
        let removals: Vec<Change<'_>> = orphans.iter().map(|key| Change::Delete { key }).collect();
        removals.iter().try_for_each(|change| tree.apply(change))?;
        for changes in [changes, &removals] {
            if let Some(Err(error)) = self.rebuild.as_mut().map(|rebuild| rebuild.follow(changes)) {
                rebuild::abandon(&mut self.rebuild, &error);
            }
        }
        Ok(())
    }
}

fn change_of(op: &RowOp) -> Change<'_> {
    match op {
        RowOp::Put { key, row } => put_of(key, row),
        RowOp::Delete { key } => Change::Delete { key },
    }
}

fn put_of<'a>(key: &'a [u8], row: &RowRecord) -> Change<'a> {
    Change::Put {
        key,
        cbor: to_cbor(row),
        parent_len: row.parent_len,
    }
}

fn read_row<R: StoredRow>(cbor: &[u8]) -> Result<R, StoreError> {
    R::read(cbor).map_err(|e| StoreError(e.to_string()))
}

#[cfg(test)]
mod tests;
