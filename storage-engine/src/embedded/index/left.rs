//! The index of a run that was killed: what it left is opened again and made equal, row by row, to rows that are known to
//! stand. So nothing is believed of it; that most rows are there already is what saves the time of writing them. It is
//! opened only where the page cache of that run must still be there.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::mpsc;

use minicbor::{Decode, Encode};

use super::database::{Store, StoreError};
use super::tree::{Tree, row_bytes};
use super::{Index, IndexError, IndexOptions, IndexStats, MARKER_NAME, TREE_PREFIX, clean_stop, marker};
use crate::embedded::detached;
use crate::embedded::drive::index_dir;
use crate::embedded::drive::{Uptime, uptime_at};
use crate::embedded::record::{RowRecord, from_cbor, to_cbor};

const RUNNING_NAME: &str = "running";
const RUNNING_BYTES_MAX: u64 = 4096;
const MAGIC: &[u8; 8] = b"DSINDEXR";
/// Rows looked at under one lock.
const PAGE_ROWS: usize = 4096;

/// What stands in the file `running` while an index is open.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
struct Running {
    /// Name of the tree's directory.
    #[n(0)]
    tree: String,
    #[n(1)]
    uptime: Uptime,
}

/// Says which tree is in use. Without it the next start rebuilds: a failure is logged only.
pub(super) fn note(dir: &Path, tree: &str) {
    let write = || -> std::io::Result<()> {
        let running = Running {
            tree: tree.to_owned(),
            uptime: uptime_at(dir)?,
        };
        index_dir::write_durably(&dir.join(RUNNING_NAME), &marker::framed(MAGIC, &to_cbor(&running)))
    };
    if let Err(error) = write() {
        tracing::warn!(%error, "a start after a crash will rebuild the index");
        forget(dir);
    }
}

/// Says that no tree here may be opened again after a crash.
pub(super) fn forget(dir: &Path) {
    if let Err(error) = index_dir::remove_durably(&dir.join(RUNNING_NAME)) {
        tracing::warn!(%error, path = %dir.display(), "cannot remove the note of a running index");
    }
}

/// Whether a run left a tree here that may be opened again.
pub(super) fn is_noted(dir: &Path) -> bool {
    noted(dir).is_ok()
}

/// Name of the tree that a killed run left, if its page cache must still be there; otherwise why not.
fn noted(dir: &Path) -> Result<String, String> {
    let bytes = index_dir::read_small(&dir.join(RUNNING_NAME), RUNNING_BYTES_MAX).map_err(|e| e.to_string())?;
    let bytes = bytes.ok_or("no run was killed with it open")?;
    let payload = marker::unframed(MAGIC, &bytes).map_err(|e| e.to_string())?;
    let running: Running = from_cbor("note of a running index", payload).map_err(|e| e.to_string())?;
    if running.uptime != uptime_at(dir).map_err(|e| e.to_string())? {
        return Err("the machine or the mount is not the same as then".to_owned());
    }
    let is_tree = running.tree.starts_with(TREE_PREFIX) && !running.tree.contains('/');
    if !is_tree || !dir.join(&running.tree).is_dir() {
        return Err("the tree that was in use is not there".to_owned());
    }
    Ok(running.tree)
}

impl Index {
    /// Opens what a run left that was killed; `None` if there is nothing that may be opened. Its rows are anything at all
    /// until a [`Matching`] has ended; a start after a crash before that does not open it again.
    pub fn open_left(dir: &Path, options: IndexOptions) -> Result<Option<Self>, IndexError> {
        let name = match noted(dir) {
            Ok(name) => name,
            Err(reason) => {
                tracing::debug!(%reason, "no index of a killed run is opened");
                return Ok(None);
            }
        };
        let failed = |e: std::io::Error| IndexError::Failed(format!("{}: {e}", dir.display()));
        // No marker may stand over what is changed from here on. And should it be the opening or the comparison that ends
        // this process, or never ends itself, the next one does without: it is noted again when the comparison has ended.
        index_dir::remove_durably(&dir.join(MARKER_NAME)).map_err(failed)?;
        index_dir::remove_durably(&dir.join(RUNNING_NAME)).map_err(failed)?;
        let store = match open_in_time(dir, &name, &options) {
            Ok(store) => store,
            Err(reason) => {
                tracing::warn!(%reason, "the index of a killed run cannot be opened; it will be rebuilt");
                return Ok(None);
            }
        };
        clean_stop::remove_leftovers(dir, &name).map_err(failed)?;
        let tree = Tree {
            store,
            name,
            stats: IndexStats::default(),
        };
        Ok(Some(Self::with_tree(dir, options, tree)))
    }

    fn in_tree<T>(&self, work: impl FnOnce(&mut Tree) -> Result<T, StoreError>) -> Result<T, IndexError> {
        self.write(|state| match &mut state.tree {
            Some(tree) => work(tree),
            None => Err(StoreError("it is closed".into())),
        })
    }
}

/// Opens a database on a thread of its own, since sled may take arbitrarily long over what it finds.
pub(super) fn open_in_time(dir: &Path, tree: &str, options: &IndexOptions) -> Result<Store, String> {
    let (sender, receiver) = mpsc::sync_channel(1);
    let (path, cache_bytes) = (dir.join(tree), options.cache_bytes);
    let open = move || {
        // Nobody listens any more if it took too long.
        let _ = sender.send(Store::open(&path, cache_bytes));
    };
    detached::spawn("index-open", open).map_err(|e| e.to_string())?;
    let opened = receiver.recv_timeout(options.open_time_max);
    let opened = opened.map_err(|_| format!("it did not open within {:?}", options.open_time_max))?;
    opened.map_err(|e| e.0)
}

/// A row as it is to stand.
struct Wanted {
    key: Vec<u8>,
    cbor: Vec<u8>,
}

/// What makes the rows before some key as they are to be.
enum Change {
    Put(Vec<u8>, Vec<u8>),
    Remove(Vec<u8>),
}

/// Makes an index hold exactly the rows that are handed to it in ascending order, by changing what differs.
pub struct Matching<'a> {
    index: &'a Index,
    /// Every row with a smaller key is as it is to be.
    matched_to: Vec<u8>,
    stats: IndexStats,
    dependents: BTreeMap<Vec<u8>, u64>,
    changed: u64,
    changed_max: u64,
}

impl<'a> Matching<'a> {
    /// More than `changed_max` changes, and writing all rows anew is faster.
    pub fn new(index: &'a Index, changed_max: u64) -> Self {
        Self {
            index,
            matched_to: Vec::new(),
            stats: IndexStats::default(),
            dependents: BTreeMap::new(),
            changed: 0,
            changed_max,
        }
    }

    /// The next rows. `false` if so much differs that it is not worth going on.
    pub fn meet<'r>(&mut self, rows: impl IntoIterator<Item = (&'r [u8], &'r RowRecord)>) -> Result<bool, IndexError> {
        let mut wanted = Vec::new();
        for (key, row) in rows {
            let cbor = to_cbor(row);
            self.stats.rows += 1;
            self.stats.bytes += row_bytes(key, cbor.len());
            if let Some(parent) = row.parent_len.and_then(|len| key.get(..usize::from(len))) {
                *self.dependents.entry(parent.to_vec()).or_default() += 1;
            }
            wanted.push(Wanted {
                key: key.to_vec(),
                cbor,
            });
        }
        let Some(last) = wanted.last() else { return Ok(true) };
        let mut end = last.key.clone();
        end.push(0);
        self.match_to(wanted, Some(end))
    }

    /// All rows were handed over: what is left behind them goes, and the counters are set. Gives the number of changes;
    /// `None` if too much differed.
    pub fn end(mut self) -> Result<Option<u64>, IndexError> {
        if !self.match_to(Vec::new(), None)? {
            return Ok(None);
        }
        let (stats, dependents) = (self.stats, &self.dependents);
        self.index.in_tree(|tree| {
            let known = tree.store.all_dependents()?;
            for (parent, _) in known
                .iter()
                .filter(|(parent, _)| !dependents.contains_key(parent.as_slice()))
            {
                tree.store.set_dependents(parent, 0)?;
            }
            for (parent, count) in dependents {
                if known.get(parent) != Some(count) {
                    tree.store.set_dependents(parent, *count)?;
                }
            }
            tree.stats = stats;
            note(&self.index.dir(), &tree.name);
            Ok(())
        })?;
        Ok(Some(self.changed))
    }

    /// Makes the rows from `matched_to` up to `end`, or to the last, the wanted ones.
    fn match_to(&mut self, wanted: Vec<Wanted>, end: Option<Vec<u8>>) -> Result<bool, IndexError> {
        let mut wanted = wanted.into_iter().peekable();
        loop {
            let (from, left) = (self.matched_to.clone(), self.changed_max.saturating_sub(self.changed));
            let looked = self.index.in_tree(|tree| {
                let looked = tree
                    .store
                    .read(|rows| look(&rows, &from, end.as_deref(), &mut wanted))?;
                if looked.changes.len() as u64 <= left {
                    for change in &looked.changes {
                        match change {
                            Change::Put(key, cbor) => drop(tree.store.put(key, cbor)?),
                            Change::Remove(key) => drop(tree.store.remove(key)?),
                        }
                    }
                }
                Ok(looked)
            })?;
            self.changed += looked.changes.len() as u64;
            if self.changed > self.changed_max {
                return Ok(false);
            }
            self.matched_to = looked.to;
            if looked.done {
                break;
            }
        }
        if let Some(end) = end {
            self.matched_to = end;
        }
        Ok(true)
    }
}

struct Looked {
    changes: Vec<Change>,
    /// Every row with a smaller key has been compared.
    to: Vec<u8>,
    done: bool,
}

/// Compares a page of rows with the wanted ones, taking these as it goes.
fn look<O: super::page::Ordered<Error = StoreError>>(
    rows: &O,
    from: &[u8],
    end: Option<&[u8]>,
    wanted: &mut std::iter::Peekable<std::vec::IntoIter<Wanted>>,
) -> Result<Looked, StoreError> {
    let mut changes = Vec::new();
    for (seen, row) in rows.from(from).enumerate() {
        let (key, cbor) = row?;
        let key = key.as_ref();
        if end.is_some_and(|end| key >= end) {
            break;
        }
        if seen == PAGE_ROWS {
            let to = key.to_vec();
            return Ok(Looked {
                changes,
                to,
                done: false,
            });
        }
        while let Some(absent) = wanted.next_if(|wanted| wanted.key.as_slice() < key) {
            changes.push(Change::Put(absent.key, absent.cbor));
        }
        match wanted.next_if(|wanted| wanted.key == key) {
            Some(same) if same.cbor == cbor.as_ref() => {}
            Some(other) => changes.push(Change::Put(other.key, other.cbor)),
            None => changes.push(Change::Remove(key.to_vec())),
        }
    }
    changes.extend(wanted.map(|absent| Change::Put(absent.key, absent.cbor)));
    let to = end.unwrap_or(from).to_vec();
    Ok(Looked {
        changes,
        to,
        done: true,
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::backend::Key;
    use crate::embedded::record::RowOp;

    type Rows = BTreeMap<Vec<u8>, RowRecord>;

    fn options() -> IndexOptions {
        IndexOptions {
            cache_bytes: 8 << 20,
            ..IndexOptions::default()
        }
    }

    fn row(rev: u64, parent_len: Option<u16>) -> RowRecord {
        RowRecord {
            rev,
            value: format!("value {rev}").into_bytes().into(),
            body: None,
            parent_len,
        }
    }

    /// Rows of which every third depends on another, chosen by `keep` and aged by `age`.
    fn rows(count: u64, keep: impl Fn(u64) -> bool, age: impl Fn(u64) -> u64) -> Rows {
        let numbers = (0..count).filter(|n| keep(*n));
        let parent = |n: u64| format!("p/{:03}", n / 30).into_bytes();
        let all = numbers.flat_map(|n| match n % 3 {
            0 => vec![
                (parent(n), row(1, None)),
                (
                    [parent(n), format!("/{n:05}").into_bytes()].concat(),
                    row(age(n), Some(5)),
                ),
            ],
            _ => vec![(format!("c/{n:05}").into_bytes(), row(age(n), None))],
        });
        all.collect()
    }

    fn filled(dir: &Path, rows: &Rows) -> Index {
        let index = Index::create(dir, options()).unwrap();
        index
            .bulk_load(rows.iter().map(|(key, row)| (key.as_slice(), row)))
            .unwrap();
        index
    }

    fn all(index: &Index) -> (Rows, IndexStats, BTreeMap<Vec<u8>, u64>) {
        let page = index
            .scan::<RowRecord>(&(Key::new("")..Key::new(vec![0xFF; 8])), usize::MAX)
            .unwrap();
        let rows = page.items.into_iter().map(|(key, row)| (key.as_bytes().to_vec(), row));
        let dependents = index.in_tree(|tree| tree.store.all_dependents()).unwrap();
        (rows.collect(), index.stats().unwrap(), dependents)
    }

    fn matched(index: &Index, rows: &Rows, changed_max: u64) -> Option<u64> {
        let mut matching = Matching::new(index, changed_max);
        let rows: Vec<_> = rows.iter().collect();
        for page in rows.chunks(97) {
            if !matching
                .meet(page.iter().map(|(key, row)| (key.as_slice(), *row)))
                .unwrap()
            {
                return None;
            }
        }
        matching.end().unwrap()
    }

    #[test]
    fn whatever_an_index_holds_it_becomes_what_it_is_matched_with() {
        let wanted = rows(9_000, |n| n % 7 != 0, |n| n);
        let fresh = tempfile::tempdir().unwrap();
        let expected = all(&filled(fresh.path(), &wanted));
        for held in [
            rows(9_000, |n| n % 7 != 0, |n| n),
            rows(9_000, |n| n % 5 != 0, |n| if n % 11 == 0 { n + 1 } else { n }),
            rows(9_000, |n| n % 7 == 0, |n| n),
            rows(20_000, |_| true, |n| n * 2),
            Rows::new(),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let index = filled(dir.path(), &held);
            let changed = matched(&index, &wanted, u64::MAX).unwrap();
            assert!(all(&index) == expected, "{} rows held", held.len());
            let differing = wanted.iter().filter(|(key, row)| held.get(*key) != Some(row)).count()
                + held.keys().filter(|key| !wanted.contains_key(*key)).count();
            assert_eq!(changed, differing as u64);
            // It counts dependents as one that was filled row by row does.
            index
                .apply(&[RowOp::Delete {
                    key: b"p/000".to_vec().into(),
                }])
                .unwrap();
            assert_eq!(index.dependents(b"p/000").unwrap(), 0);
        }
        let dir = tempfile::tempdir().unwrap();
        let index = filled(dir.path(), &wanted);
        assert_eq!(matched(&index, &Rows::new(), u64::MAX), Some(wanted.len() as u64));
        assert_eq!(all(&index), (Rows::new(), IndexStats::default(), BTreeMap::new()));
    }

    #[test]
    fn an_index_that_differs_too_much_is_given_up() {
        let dir = tempfile::tempdir().unwrap();
        let wanted = rows(300, |_| true, |n| n);
        let index = filled(dir.path(), &rows(300, |n| n % 2 == 0, |n| n));
        assert_eq!(matched(&index, &wanted, 20), None);
    }

    #[test]
    fn only_the_note_of_this_boot_and_mount_opens_what_was_left() {
        let dir = tempfile::tempdir().unwrap();
        let held = rows(500, |_| true, |n| n);
        drop(filled(dir.path(), &held));
        let note = dir.path().join(RUNNING_NAME);
        let good = fs::read(&note).unwrap();
        let opened = || Index::open_left(dir.path(), options()).unwrap();
        let index = opened().expect("it is opened again");
        assert_eq!(matched(&index, &held, 0), Some(0), "every row was there");
        drop(index);

        let running: Running = from_cbor("note", marker::unframed(MAGIC, &good).unwrap()).unwrap();
        let elsewhere = tempfile::tempdir_in("/dev/shm").unwrap();
        for other in [
            Running {
                tree: "tree-none".into(),
                ..running.clone()
            },
            Running {
                tree: "../tree-x".into(),
                ..running.clone()
            },
            Running {
                uptime: uptime_at(elsewhere.path()).unwrap(),
                ..running.clone()
            },
            Running {
                uptime: running.uptime.of_another_boot(),
                ..running
            },
        ] {
            fs::write(&note, marker::framed(MAGIC, &to_cbor(&other))).unwrap();
            assert!(opened().is_none(), "{other:?}");
        }
        let mut flipped = good.clone();
        flipped[20] ^= 1;
        fs::write(&note, flipped).unwrap();
        assert!(opened().is_none());
        fs::write(&note, good).unwrap();
        assert!(opened().is_some());
    }

    #[test]
    fn what_was_compared_in_part_when_the_process_was_killed_again_is_not_opened_again() {
        let dir = tempfile::tempdir().unwrap();
        let wanted = rows(3_000, |_| true, |n| n + 1);
        drop(filled(dir.path(), &rows(3_000, |n| n % 2 == 0, |n| n)));
        let index = Index::open_left(dir.path(), options()).unwrap().expect("it was noted");
        let mut matching = Matching::new(&index, u64::MAX);
        let some = wanted.iter().take(500).map(|(key, row)| (key.as_slice(), row));
        assert!(matching.meet(some).unwrap());
        drop(index);
        assert!(!is_noted(dir.path()), "what ends a comparison would end each");
        assert!(Index::open_left(dir.path(), options()).unwrap().is_none());
        let note = || fs::read(dir.path().join(RUNNING_NAME));
        assert!(note().is_err());
        // Whole, it is: the next crash costs no rebuild.
        drop(filled(dir.path(), &wanted));
        let index = Index::open_left(dir.path(), options()).unwrap().expect("it was noted");
        assert!(note().is_err());
        assert_eq!(matched(&index, &wanted, 0), Some(0));
        assert!(note().is_ok());
        drop(index);
        assert!(Index::open_left(dir.path(), options()).unwrap().is_some());
    }

    #[test]
    fn an_index_that_failed_or_was_closed_is_not_opened_as_one_that_was_left() {
        let dir = tempfile::tempdir().unwrap();
        let index = filled(dir.path(), &rows(10, |_| true, |n| n));
        index.give_up("planted");
        drop(index);
        assert!(Index::open_left(dir.path(), options()).unwrap().is_none());
        assert!(!is_noted(dir.path()));
    }
}
