//! What the log says since the last checkpoint, record after record: the last word on each key, segments that came and
//! went, bytes written. Pure. It stands in memory, so a checkpoint falls due before it grows large.

use std::collections::{BTreeMap, BTreeSet};

use crate::embedded::id::SegmentId;
use crate::embedded::record::{LogRecord, RowOp, RowRecord};
use crate::embedded::segment::Segment;

/// The effect of the records between two positions of the log.
#[derive(Clone, Debug, Default)]
pub struct LogDelta {
    /// The row as last put, or `None` if it was deleted last.
    pub(super) rows: BTreeMap<Vec<u8>, Option<RowRecord>>,
    pub(super) declared: BTreeMap<SegmentId, Segment>,
    pub(super) removed: BTreeSet<SegmentId>,
    pub(super) body_bytes: BTreeMap<SegmentId, u64>,
}

impl LogDelta {
    /// Takes the next record in, which stands in log segment `segment`.
    pub fn absorb(&mut self, segment: SegmentId, record: LogRecord) {
        let written: u64 = record.stripes.iter().map(|len| u64::from(*len)).sum();
        if written > 0 {
            *self.body_bytes.entry(segment).or_default() += written;
        }
        for segment in record.segments {
            self.declare(segment);
        }
        self.removed.extend(record.removed);
        for op in record.ops {
            match op {
                RowOp::Put { key, row } => self.rows.insert(key.into(), Some(row)),
                RowOp::Delete { key } => self.rows.insert(key.into(), None),
            };
        }
    }

    /// Takes in a segment that rows may name, such as a log segment that the root names.
    pub fn declare(&mut self, segment: Segment) {
        self.declared.insert(segment.id, segment);
    }

    /// Number of keys it has a word on.
    pub fn keys(&self) -> usize {
        self.rows.len()
    }
}
