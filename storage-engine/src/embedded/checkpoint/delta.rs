//! What the log says since the last checkpoint, record after record: the last word on each key, segments that came and
//! went, bytes written. Pure. It stands in memory, so a checkpoint falls due before it grows large.

use std::collections::{BTreeMap, BTreeSet};

use crate::embedded::id::SegmentId;
use crate::embedded::record::{LogRecord, RowOp, RowRecord};
use crate::embedded::segment::{Segment, SegmentKind};
#[cfg(test)]
use crate::planted;

/// The last word on a key.
#[derive(Clone, Debug, Default)]
pub(super) struct Change {
    /// The row as last put, or `None` if it is gone.
    pub(super) row: Option<RowRecord>,
    /// Whether the key was deleted in between: rows from before that depended on it went with it, even if it was put
    /// again.
    pub(super) ended: bool,
}

/// The effect of the records between two positions of the log.
#[derive(Clone, Debug, Default)]
pub struct LogDelta {
    pub(super) changes: BTreeMap<Vec<u8>, Change>,
    pub(super) declared: BTreeMap<SegmentId, Segment>,
    pub(super) removed: BTreeSet<SegmentId>,
    pub(super) body_bytes: BTreeMap<SegmentId, u64>,
    /// Keys of rows that were put and depend on the key.
    dependents: BTreeMap<Vec<u8>, BTreeSet<Vec<u8>>>,
}

impl LogDelta {
    /// Takes the next record in, which stands in log segment `segment`.
    pub fn absorb(&mut self, segment: SegmentId, record: LogRecord) {
        let written: u64 = record.stripes.iter().map(|len| u64::from(*len)).sum();
        if written > 0 {
            *self.body_bytes.entry(segment).or_default() += written;
        }
        for pack in record
            .segments
            .iter()
            .filter(|segment| segment.kind == SegmentKind::Pack)
        {
            // The record that first declares a pack names all that is in it; a later one, after healing, none of it.
            let bodies = record.ops.iter().filter_map(|op| match op {
                RowOp::Put { row, .. } => row.body.as_ref(),
                RowOp::Delete { .. } => None,
            });
            let live = bodies
                .flat_map(|body| body.live_bytes())
                .filter(|live| live.segment == pack.id);
            *self.body_bytes.entry(pack.id).or_default() += live.map(|live| live.bytes).sum::<u64>();
        }
        for segment in record.segments {
            self.declare(segment);
        }
        self.removed.extend(record.removed);
        // Deletes last: what the same record puts under a row that it deletes is gone as well.
        let mut deleted: Vec<Vec<u8>> = Vec::new();
        for op in record.ops {
            match op {
                RowOp::Put { key, row } => self.put(key.into(), row),
                RowOp::Delete { key } => deleted.push(key.into()),
            }
        }
        #[cfg(test)]
        if planted::is(planted::Bug::ResurrectedDelete) {
            deleted.clear();
        }
        while let Some(key) = deleted.pop() {
            self.unlink(&key);
            deleted.extend(self.dependents.remove(&key).into_iter().flatten());
            self.changes.insert(key, Change { row: None, ended: true });
        }
    }

    fn put(&mut self, key: Vec<u8>, row: RowRecord) {
        self.unlink(&key);
        if let Some(parent) = row.parent_len.and_then(|len| key.get(..usize::from(len))) {
            self.dependents.entry(parent.to_vec()).or_default().insert(key.clone());
        }
        self.changes.entry(key).or_default().row = Some(row);
    }

    /// Forgets what the row last put under this key depended on.
    fn unlink(&mut self, key: &[u8]) {
        let row = self.changes.get(key).and_then(|change| change.row.as_ref());
        let parent = row.and_then(|row| key.get(..usize::from(row.parent_len?)));
        if let Some(keys) = parent.and_then(|parent| self.dependents.get_mut(parent)) {
            keys.remove(key);
        }
    }

    /// Takes in a segment that rows may name, such as a log segment that the root names.
    pub fn declare(&mut self, segment: Segment) {
        self.declared.insert(segment.id, segment);
    }

    /// Whether these records changed the row of a key, or deleted one that it may have depended on.
    pub fn touches(&self, key: &[u8]) -> bool {
        let ended_above = || {
            self.changes
                .iter()
                .any(|(above, change)| change.ended && key.starts_with(above))
        };
        self.changes.contains_key(key) || ended_above()
    }

    /// Every key it knows a row of.
    #[cfg(test)]
    pub fn rows(&self) -> impl Iterator<Item = &Vec<u8>> {
        self.changes
            .iter()
            .filter(|(_, change)| change.row.is_some())
            .map(|(key, _)| key)
    }

    /// Takes a key out whatever the log said of it.
    #[cfg(test)]
    pub fn lose(&mut self, key: Vec<u8>) {
        self.changes.insert(key, Change { row: None, ended: true });
    }

    /// Number of keys it has a word on.
    pub fn keys(&self) -> usize {
        self.changes.len()
    }
}
