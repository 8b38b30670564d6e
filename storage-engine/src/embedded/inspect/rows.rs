//! One row, found as a start finds it: in the newest checkpoint that can be read and the log after it, never in the
//! index.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{InspectError, PATIENCE};
use crate::backend::Key;
use crate::embedded::checkpoint::{CheckpointEntry, CheckpointRef};
use crate::embedded::checkpoint_io;
use crate::embedded::drive::Drive;
use crate::embedded::id::SegmentId;
use crate::embedded::log::{FoundRecord, LogDrives};
use crate::embedded::record::{RowOp, RowRecord};
use crate::embedded::recovery::{Verdict, replay};
use crate::embedded::root::Root;
use crate::embedded::segment::{Segment, SegmentReader};

/// A row that stands, and every segment that is known.
pub(super) struct Found {
    pub(super) row: RowRecord,
    pub(super) segments: BTreeMap<SegmentId, Segment>,
}

/// What rows are read from.
pub(super) struct Rows<'a> {
    pub(super) root: &'a Root,
    pub(super) drives: &'a [Arc<Drive>],
    pub(super) reader: &'a SegmentReader,
}

/// The row while the log is read.
struct Standing {
    key: Vec<u8>,
    row: Option<RowRecord>,
    segments: BTreeMap<SegmentId, Segment>,
}

impl Standing {
    fn declare(&mut self, segment: &Segment) {
        self.segments.insert(segment.id, segment.clone());
    }

    fn absorb(&mut self, found: &FoundRecord) {
        found.record.segments.iter().for_each(|segment| self.declare(segment));
        for op in &found.record.ops {
            match op {
                RowOp::Put { key, row } if key.as_slice() == self.key => self.row = Some(row.clone()),
                RowOp::Put { .. } => {}
                RowOp::Delete { key } => {
                    let deleted = key.as_slice() == self.key || self.depends_on(key);
                    if deleted {
                        self.row = None;
                    }
                }
            }
        }
    }

    /// Whether the row goes with the row of this key.
    fn depends_on(&self, key: &[u8]) -> bool {
        let parent_len = self.row.as_ref().and_then(|row| row.parent_len);
        parent_len.is_some_and(|len| usize::from(len) == key.len()) && self.key.starts_with(key)
    }
}

impl Rows<'_> {
    /// The row with this key, if it stands.
    pub(super) async fn find(&self, key: &Key) -> Result<Option<Found>, InspectError> {
        let mut reasons = Vec::new();
        for checkpoint in self.root.checkpoints.iter().rev() {
            match self.in_checkpoint(key, checkpoint).await {
                Ok(standing) => return self.replayed(standing, checkpoint).await,
                Err(reason) => reasons.push(reason),
            }
        }
        Err(InspectError::Rows(reasons.join("; ")))
    }

    async fn in_checkpoint(&self, key: &Key, checkpoint: &CheckpointRef) -> Result<Standing, String> {
        let mut standing = Standing {
            key: key.as_bytes().to_vec(),
            row: None,
            segments: BTreeMap::new(),
        };
        let mut entries = checkpoint_io::open(self.reader, checkpoint);
        while let Some(entry) = entries.next().await.map_err(|error| error.to_string())? {
            match entry {
                CheckpointEntry::Row { key, row } if key.as_slice() == standing.key => standing.row = Some(row),
                CheckpointEntry::Segment(entry) => standing.declare(&entry.segment),
                CheckpointEntry::Row { .. } | CheckpointEntry::End(_) => {}
            }
        }
        Ok(standing)
    }

    async fn replayed(&self, mut standing: Standing, from: &CheckpointRef) -> Result<Option<Found>, InspectError> {
        self.root.log.iter().for_each(|log| standing.declare(&log.segment));
        let drives = Arc::new(LogDrives::new(self.drives.to_vec(), PATIENCE));
        let (root, position) = (self.root.clone(), from.position);
        let read = tokio::task::spawn_blocking(move || {
            let mut absorb = |_, found: &FoundRecord| {
                standing.absorb(found);
                Ok(())
            };
            let end = replay(&root, &position, &drives, &mut absorb)?;
            if let Some(tail) = end.tail.filter(|tail| tail.verdict == Verdict::Keep) {
                standing.absorb(&tail.record);
            }
            Ok::<_, crate::embedded::recovery::ReplayError>(standing)
        });
        let standing = read.await.map_err(|error| InspectError::Rows(error.to_string()))?;
        let Standing { row, segments, .. } = standing.map_err(|error| InspectError::Rows(error.to_string()))?;
        Ok(row.map(|row| Found { row, segments }))
    }
}
