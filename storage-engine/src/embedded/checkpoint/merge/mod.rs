//! Merging a checkpoint with the log after it: rows in, rows out, both in the order of their keys, and a recount of the
//! live bytes from the rows that stand. Pure; memory holds the delta and the segment table, never the rows.

use std::collections::{BTreeMap, HashMap, btree_map};
use std::iter::Peekable;

use super::LogDelta;
use super::delta::Change;
use crate::backend::Key;
use crate::embedded::id::SegmentId;
use crate::embedded::record::RowRecord;
use crate::embedded::table::{TableEntry, TableSnapshot};

#[derive(Clone, Debug, thiserror::Error)]
pub enum MergeError {
    /// The log or the checkpoint contradicts itself: a row that stands leads into a segment that is not (or no more)
    /// in the segment table.
    #[error("row {key:?} names segment {segment}, which no table knows")]
    UnknownSegment { key: Key, segment: SegmentId },
    /// The table of the previous checkpoint came before one of its rows.
    #[error("rows out of order at {0:?}")]
    OutOfOrder(Key),
}

/// A merge under way. Feed it every row of the previous checkpoint, then its table.
pub struct Merge {
    changes: Peekable<btree_map::IntoIter<Vec<u8>, Change>>,
    delta: LogDelta,
    standing: Standing,
    live: HashMap<SegmentId, Live>,
    last: Option<Vec<u8>>,
}

struct Live {
    bytes: u64,
    /// A row that names the segment, for the message if nobody knows it.
    key: Vec<u8>,
}

impl Merge {
    pub fn new(mut delta: LogDelta) -> Self {
        let changes = std::mem::take(&mut delta.changes).into_iter().peekable();
        Self {
            changes,
            delta,
            standing: Standing::default(),
            live: HashMap::new(),
            last: None,
        }
    }

    /// The next row of the previous checkpoint. Gives `out` the rows of the result up to here.
    pub fn row(
        &mut self,
        key: &[u8],
        row: &RowRecord,
        out: &mut impl FnMut(&[u8], &RowRecord),
    ) -> Result<(), MergeError> {
        if self.last.as_ref().is_some_and(|last| last.as_slice() >= key) {
            return Err(MergeError::OutOfOrder(Key::new(key.to_vec())));
        }
        let last = self.last.get_or_insert_default();
        last.clear();
        last.extend_from_slice(key);
        while self.change_before(Some(key), out) {}
        let stood = self.standing.carries(key, row.parent_len, Age::Older);
        match self.changes.next_if(|(change_key, _)| change_key == key) {
            Some((_, Change { row: Some(put), ended })) => {
                let age = if ended || !stood { Age::Newer } else { Age::Older };
                self.emit(key, &put, age, out);
            }
            Some((_, Change { row: None, .. })) => {}
            None if stood => self.emit(key, row, Age::Older, out),
            None => {}
        }
        Ok(())
    }

    /// Takes one change of the log whose key is smaller than `key`, or any if there is none; `false` if none is left.
    /// [`Self::row`] and [`Self::finish`] do this by themselves; a caller that wants the result in small portions does
    /// it before.
    pub fn change_before(&mut self, key: Option<&[u8]>, out: &mut impl FnMut(&[u8], &RowRecord)) -> bool {
        let comes = |(change_key, _): &(Vec<u8>, _)| key.is_none_or(|key| change_key.as_slice() < key);
        let Some((change_key, change)) = self.changes.next_if(comes) else {
            return false;
        };
        if let Some(put) = change.row {
            self.emit(&change_key, &put, Age::Newer, out);
        }
        true
    }

    /// Gives `out` the remaining rows and returns the table of the result, given the previous one's.
    pub fn finish(
        mut self,
        previous: impl IntoIterator<Item = TableEntry>,
        out: &mut impl FnMut(&[u8], &RowRecord),
    ) -> Result<TableSnapshot, MergeError> {
        while self.change_before(None, out) {}
        let mut table: TableSnapshot = previous.into_iter().map(|entry| (entry.segment.id, entry)).collect();
        for (id, segment) in std::mem::take(&mut self.delta.declared) {
            let body_bytes = table.get(&id).map_or(0, |known| known.body_bytes);
            table.insert(
                id,
                TableEntry {
                    segment,
                    live: 0,
                    body_bytes,
                },
            );
        }
        table.retain(|id, _| !self.delta.removed.contains(id));
        for (id, entry) in &mut table {
            entry.live = self.live.remove(id).map_or(0, |live| live.bytes);
            entry.body_bytes += self.delta.body_bytes.get(id).copied().unwrap_or(0);
        }
        let unknown = self.live.into_iter().find(|(_, live)| live.bytes > 0);
        match unknown {
            Some((segment, live)) => Err(MergeError::UnknownSegment {
                key: Key::new(live.key),
                segment,
            }),
            None => Ok(table),
        }
    }

    /// A row of the result, unless the row it depends on does not stand: then it is left out.
    fn emit(&mut self, key: &[u8], row: &RowRecord, age: Age, out: &mut impl FnMut(&[u8], &RowRecord)) {
        if !self.standing.carries(key, row.parent_len, Age::Newer) {
            return;
        }
        self.standing.push(key, age);
        for live in row.body.iter().flat_map(|body| body.live_bytes()) {
            let counted = self.live.entry(live.segment);
            counted
                .or_insert_with(|| Live {
                    bytes: 0,
                    key: key.to_vec(),
                })
                .bytes += live.bytes;
        }
        out(key, row);
    }
}

/// Whether a row was there all the time since the previous checkpoint, whatever its value, or began its life later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Age {
    Older,
    Newer,
}

/// Which rows before the present one have a key that it begins with: only these can be what it depends on.
#[derive(Default)]
struct Standing {
    last: Vec<u8>,
    /// Lengths of the beginnings of `last` that are keys of rows that stand, ascending.
    lens: Vec<(usize, Age)>,
}

impl Standing {
    /// Whether a row of this age with this key, not smaller than all before it, has what it depends on: nothing, or a
    /// row that stands. An older row cannot hang on one that began its life later.
    fn carries(&mut self, key: &[u8], parent_len: Option<u16>, age: Age) -> bool {
        let common = self.last.iter().zip(key).take_while(|(a, b)| a == b).count();
        while self.lens.last().is_some_and(|(len, _)| *len > common) {
            self.lens.pop();
        }
        let Some(len) = parent_len.map(usize::from) else {
            return true;
        };
        let found = self.lens.binary_search_by_key(&len, |(len, _)| *len);
        let parent = found.ok().and_then(|at| self.lens.get(at));
        parent.is_some_and(|(_, parent_age)| len < key.len() && (age == Age::Newer || *parent_age == Age::Older))
    }

    /// Takes in a row that stands, after [`Self::carries`] said so.
    fn push(&mut self, key: &[u8], age: Age) {
        self.last.clear();
        self.last.extend_from_slice(key);
        self.lens.push((key.len(), age));
    }
}

/// A segment whose live bytes were counted differently in two ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Difference {
    pub segment: SegmentId,
    /// From the rows of the checkpoint; `None`: its table does not have the segment.
    pub recounted: Option<u64>,
    /// From the counters copied at the same position.
    pub counted: Option<u64>,
}

/// Compares a checkpoint's recount with the counters copied at its position. Any difference means that the counters,
/// or the index they were kept with, cannot be trusted: discard the index and take the recount.
pub fn differences(recounted: &TableSnapshot, counted: &TableSnapshot) -> Vec<Difference> {
    let live = |table: &TableSnapshot, id: &SegmentId| table.get(id).map(|entry| entry.live);
    let ids: BTreeMap<&SegmentId, ()> = recounted.keys().chain(counted.keys()).map(|id| (id, ())).collect();
    let compare = ids.into_keys().map(|id| Difference {
        segment: *id,
        recounted: live(recounted, id),
        counted: live(counted, id),
    });
    compare
        .filter(|difference| difference.recounted != difference.counted)
        .collect()
}

#[cfg(test)]
mod tests;
