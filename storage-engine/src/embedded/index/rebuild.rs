//! Moving the index into a fresh database while it is in use, since sled's files only grow. Rows are copied page by
//! page; changes to what is copied already go to both. It never blocks readers longer than one small page.

use std::path::Path;

use super::database::StoreError;
use super::page;
use super::tree::{Change, Tree};
use super::{Index, IndexError, TREE_PREFIX, clean_stop, left};
use crate::backend::Key;
use crate::embedded::drive::index_dir;
use crate::embedded::record::RowRecord;

/// Rows copied at a time, with readers waiting.
const COPY_ROWS: usize = 128;

pub(super) struct Rebuild {
    next: Tree,
    /// Every row with a smaller key is in `next`.
    copied_to: Vec<u8>,
}

impl Rebuild {
    /// Applies what concerns the rows copied so far.
    pub(super) fn follow(&mut self, changes: &[Change<'_>]) -> Result<(), StoreError> {
        changes
            .iter()
            .filter(|change| change.key() < self.copied_to.as_slice())
            .try_for_each(|c| self.next.apply(c))
    }
}

impl Index {
    /// Moves the rows into a fresh database in the same directory and removes the old one: see [`Self::move_to`].
    pub fn rebuild(&self) -> Result<(), IndexError> {
        self.move_to(&self.dir())
    }

    /// Moves the rows into a fresh database in `dir` and removes the old one. Blocks until it is done; readers and writers
    /// go on meanwhile. Does nothing if a move is under way already; if the fresh one fails, the old one stays in use.
    pub fn move_to(&self, dir: &Path) -> Result<(), IndexError> {
        let from = self.dir();
        let elsewhere = dir != from.as_path();
        let make = || {
            if elsewhere {
                let cleared = index_dir::make_dirs(dir).and_then(|()| clean_stop::discard(dir));
                cleared.map_err(|e| StoreError(e.to_string()))?;
            }
            Tree::create(dir, TREE_PREFIX, &self.options)
        };
        let next = match make() {
            Ok(next) => next,
            Err(error) => {
                tracing::warn!(%error, "cannot make a fresh index");
                return Ok(());
            }
        };
        let under_way = self.write(|state| {
            let under_way = state.rebuild.is_some();
            state.rebuild.get_or_insert(Rebuild {
                next,
                copied_to: Vec::new(),
            });
            Ok(under_way)
        })?;
        if under_way {
            return Ok(());
        }
        while self.copy_page()? {}
        let old = self.write(|state| {
            let next = state.rebuild.take().map(|rebuild| rebuild.next);
            if next.is_some() {
                dir.clone_into(&mut self.dir.lock());
            }
            let old = next.and_then(|next| state.tree.replace(next));
            if let (Some(_), Some(tree)) = (&old, &state.tree) {
                left::note(dir, &tree.name);
                if elsewhere {
                    left::forget(&from);
                }
            }
            Ok(old)
        })?;
        if let Some(Tree { store, name, .. }) = old {
            drop(store);
            index_dir::remove_trees_in_background(vec![if elsewhere { from } else { from.join(name) }]);
        }
        Ok(())
    }

    /// Copies the next rows; `false` when there are none left.
    fn copy_page(&self) -> Result<bool, IndexError> {
        self.write(|state| {
            let (Some(tree), Some(rebuild)) = (&state.tree, &mut state.rebuild) else {
                return Ok(false);
            };
            let end = [0xFF; crate::limits::KEY_BYTES_MAX + 1];
            let page = tree
                .store
                .read(|rows| page::scan(&rows, &rebuild.copied_to, &end, COPY_ROWS, super::read_row::<RowRecord>))?;
            let copy = |(key, row): &(Key, RowRecord)| rebuild.next.apply(&super::put_of(key.as_bytes(), row));
            if let Err(error) = page.items.iter().try_for_each(copy) {
                abandon(&mut state.rebuild, &error);
                return Ok(false);
            }
            if let Some((key, _)) = page.items.last() {
                rebuild.copied_to = Key::successor(key).as_bytes().to_vec();
            }
            if !page.more {
                rebuild.copied_to = end.to_vec();
            }
            Ok(page.more)
        })
    }
}

/// Gives a move up; the database in use stays as it is.
pub(super) fn abandon(rebuild: &mut Option<Rebuild>, error: &StoreError) {
    tracing::warn!(%error, "the fresh index failed; the old one stays in use");
    *rebuild = None;
}
