//! Stopping cleanly and finding out at the next start whether the index that is there may be used. An index is used
//! only if its marker and every byte of its files are as the clean stop left them; anything else is set aside.

use std::io;
use std::path::Path;

use super::left::{self, open_in_time};
use super::marker::{self, MarkerFile};
use super::tree::Tree;
use super::{ASIDE_PREFIX, Index, IndexError, IndexOptions, MARKER_NAME, Marker, TREE_PREFIX};
use crate::embedded::drive::{holds_anything, index_dir};
use crate::embedded::table::TableSnapshot;
#[cfg(test)]
use crate::planted;

/// Longest marker file that is read.
const MARKER_BYTES_MAX: u64 = 256 << 20;

impl Index {
    /// Opens the index of the last run, if that run stopped cleanly at exactly the state `expected`. Otherwise what is
    /// there is set aside and `None` is given. With it come the counters of the segment table that belong to its rows.
    /// The marker is gone, durably, before the first write.
    pub fn open_clean(
        dir: &Path,
        expected: &Marker,
        options: IndexOptions,
    ) -> Result<Option<(Self, TableSnapshot)>, IndexError> {
        let failed = |e: io::Error| IndexError::Failed(format!("{}: {e}", dir.display()));
        index_dir::make_dirs(dir).map_err(failed)?;
        let opened = match usable(dir, expected) {
            Ok(file) => {
                #[cfg(test)]
                if planted::is(planted::Bug::IndexTrusted) {
                    return open_marked(dir, file, &options)
                        .map(|(tree, table)| Some((Self::noted(dir, options, tree), table)))
                        .map_err(IndexError::Failed);
                }
                index_dir::remove_durably(&dir.join(MARKER_NAME)).map_err(failed)?;
                open_marked(dir, file, &options)
            }
            Err(why) => Err(why),
        };
        match opened {
            Ok((tree, table)) => {
                remove_leftovers(dir, &tree.name).map_err(failed)?;
                Ok(Some((Self::noted(dir, options, tree), table)))
            }
            // Rather what a killed run left than nothing: see [`Index::open_left`].
            Err(_) if left::is_noted(dir) => Ok(None),
            Err(why) => {
                // Where there was none, as in a store that was made just now, nothing is amiss.
                if holds_anything(dir) {
                    tracing::info!(reason = %why, "the index of the last run is not used; it will be rebuilt");
                }
                discard(dir).map_err(failed)?;
                Ok(None)
            }
        }
    }

    /// Closes the index and marks it as standing for the state `marker`, with the counters `table`. On an error there is no marker, and the next
    /// start rebuilds. Every later call answers [`IndexError::Closed`].
    pub fn close(&self, marker: &Marker, table: TableSnapshot) -> Result<(), IndexError> {
        let tree = {
            let mut state = self.state.write();
            self.check()?;
            state.rebuild = None;
            state.tree.take().ok_or(IndexError::Closed)?
        };
        left::forget(&self.dir());
        let Tree { store, name, stats } = tree;
        store.flush().map_err(|e| self.fail(e))?;
        drop(store);
        let write = move || -> io::Result<()> {
            let dir = self.dir().join(&name);
            index_dir::sync_tree(&dir)?;
            let files = index_dir::inventory(&dir)?;
            let file = MarkerFile {
                marker: *marker,
                tree: name.clone(),
                stats,
                files,
                table: table.into_values().collect(),
            };
            index_dir::write_durably(&self.dir().join(MARKER_NAME), &marker::encode(&file))
        };
        write().map_err(|e| IndexError::Failed(format!("{}: {e}", self.dir().display())))
    }
}

/// Removes the marker, durably, and sets every tree aside.
pub(super) fn discard(dir: &Path) -> io::Result<()> {
    index_dir::remove_durably(&dir.join(MARKER_NAME))?;
    left::forget(dir);
    let is_tree = |name: &str| name.starts_with(TREE_PREFIX);
    index_dir::remove_trees_in_background(index_dir::set_aside(dir, is_tree, ASIDE_PREFIX)?);
    Ok(())
}

/// The marker file, if the index it speaks of may be used; otherwise why not.
fn usable(dir: &Path, expected: &Marker) -> Result<MarkerFile, String> {
    let bytes = index_dir::read_small(&dir.join(MARKER_NAME), MARKER_BYTES_MAX).map_err(|e| e.to_string())?;
    let bytes = bytes.ok_or("there is no marker of a clean stop")?;
    let file = marker::decode(&bytes).map_err(|e| e.to_string())?;
    #[cfg(test)]
    if planted::is(planted::Bug::IndexTrusted) {
        return Ok(file);
    }
    if file.marker != *expected {
        return Err("it stands for another state of the store".to_owned());
    }
    if !file.tree.starts_with(TREE_PREFIX) || file.tree.contains('/') {
        return Err("the marker names no tree".to_owned());
    }
    match index_dir::matches_inventory(&dir.join(&file.tree), &file.files) {
        Ok(true) => Ok(file),
        Ok(false) => Err("its files are not as they were when it was closed".to_owned()),
        Err(e) => Err(e.to_string()),
    }
}

/// The tree that a marker names, with the counters that belong to it.
fn open_marked(dir: &Path, file: MarkerFile, options: &IndexOptions) -> Result<(Tree, TableSnapshot), String> {
    let store = open_in_time(dir, &file.tree, options)?;
    let table = file.table.into_iter().map(|entry| (entry.segment.id, entry)).collect();
    Ok((
        Tree {
            store,
            name: file.tree,
            stats: file.stats,
        },
        table,
    ))
}

/// Removes what earlier runs left beside the tree that is used.
pub(super) fn remove_leftovers(dir: &Path, tree: &str) -> io::Result<()> {
    let is_left = |name: &str| name.starts_with(TREE_PREFIX) && name != tree;
    index_dir::remove_trees_in_background(index_dir::set_aside(dir, is_left, ASIDE_PREFIX)?);
    Ok(())
}
