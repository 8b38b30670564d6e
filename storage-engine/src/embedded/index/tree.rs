//! One generation of the index: a database in a directory of its own, with the counters that go with its rows. It owns
//! the bookkeeping of dependent rows; it never locks and never outlives its [`super::Index`].

use std::path::Path;

use super::database::{Store, StoreError};
use super::page;
use super::stored_row::parent_len;
use super::{IndexOptions, IndexStats};

pub(super) struct Tree {
    pub(super) store: Store,
    /// Name of its directory under the index directory.
    pub(super) name: String,
    pub(super) stats: IndexStats,
}

/// A change of one row, encoded.
pub(super) enum Change<'a> {
    Put {
        key: &'a [u8],
        cbor: Vec<u8>,
        parent_len: Option<u16>,
    },
    Delete {
        key: &'a [u8],
    },
}

impl Change<'_> {
    pub(super) fn key(&self) -> &[u8] {
        match self {
            Self::Put { key, .. } | Self::Delete { key } => key,
        }
    }
}

impl Tree {
    /// Makes an empty one in `dir` under a name that was never used.
    pub(super) fn create(dir: &Path, prefix: &str, options: &IndexOptions) -> Result<Self, StoreError> {
        let name = fresh_name(prefix)?;
        let store = Store::open(&dir.join(&name), options.cache_bytes)?;
        Ok(Self {
            store,
            name,
            stats: IndexStats::default(),
        })
    }

    /// What must be removed as well after `changes` were applied: rows that depend on a row which is not there.
    pub(super) fn orphans(&self, changes: &[Change<'_>]) -> Result<Vec<Vec<u8>>, StoreError> {
        let mut orphans = Vec::new();
        let mut waiting = Vec::new();
        for change in changes {
            match change {
                Change::Put { parent_len: None, .. } => {}
                Change::Put {
                    key,
                    parent_len: Some(len),
                    ..
                } => {
                    let parent = key.get(..usize::from(*len)).filter(|parent| parent.len() < key.len());
                    if parent.map_or(Ok(None), |parent| self.store.get(parent))?.is_none() {
                        waiting.push(key.to_vec());
                        orphans.push(key.to_vec());
                    }
                }
                Change::Delete { key } => waiting.push(key.to_vec()),
            }
        }
        while let Some(parent) = waiting.pop() {
            let count = usize::try_from(self.store.dependents(&parent)?).unwrap_or(usize::MAX);
            if count > 0 {
                let rows = self
                    .store
                    .read(|rows| page::dependent_rows(&rows, &parent, count, |key, _| Ok(key.to_vec())))?;
                waiting.extend(rows.iter().cloned());
                orphans.extend(rows);
            }
        }
        Ok(orphans)
    }

    pub(super) fn apply(&mut self, change: &Change<'_>) -> Result<(), StoreError> {
        let key = change.key();
        let (old, new_len, new_parent) = match change {
            Change::Put { cbor, parent_len, .. } => (self.store.put(key, cbor)?, Some(cbor.len()), *parent_len),
            Change::Delete { .. } => (self.store.remove(key)?, None, None),
        };
        let mut old_parent = None;
        if let Some(old) = &old {
            self.stats.rows = self.stats.rows.saturating_sub(1);
            self.stats.bytes = self.stats.bytes.saturating_sub(row_bytes(key, old.len()));
            old_parent = parent_len(old).map_err(|e| StoreError(e.to_string()))?;
        }
        if let Some(len) = new_len {
            self.stats.rows += 1;
            self.stats.bytes += row_bytes(key, len);
        }
        if old_parent != new_parent {
            self.count_dependent(key, old_parent, |count| count.saturating_sub(1))?;
            self.count_dependent(key, new_parent, |count| count + 1)?;
        }
        Ok(())
    }

    fn count_dependent(&self, key: &[u8], len: Option<u16>, change: impl FnOnce(u64) -> u64) -> Result<(), StoreError> {
        let Some(parent) = len.and_then(|len| key.get(..usize::from(len))) else {
            return Ok(());
        };
        let count = self.store.dependents(parent)?;
        self.store.set_dependents(parent, change(count))
    }
}

/// What a row counts for in [`IndexStats::bytes`].
pub(super) fn row_bytes(key: &[u8], value_len: usize) -> u64 {
    (key.len() + value_len) as u64
}

fn fresh_name(prefix: &str) -> Result<String, StoreError> {
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(|e| StoreError(format!("no randomness: {e}")))?;
    Ok(format!("{prefix}{:016x}", u64::from_le_bytes(random)))
}
