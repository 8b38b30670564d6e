//! Segments on more drives than will be left: no drive is free for their shards, so their bodies are written anew, as
//! compaction does, to segments that fit. What they leave behind goes as all that is dead.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Mover, Pace};
use crate::embedded::compact::{CompactError, CompactStore, Repoint, compact};
use crate::embedded::erasure::Geometry;
use crate::embedded::housekeeping::packs::PackGround;
use crate::embedded::id::{DriveId, SegmentId};
use crate::embedded::index::Index;
use crate::embedded::segment::{Segment, SegmentReader, SegmentWriter, StagedSegment};
use crate::embedded::table::{Lease, Pin};

/// Most live bytes that one look through the index moves.
const BYTES_MAX: u64 = 16 << 30;

/// Compaction at the pace of healing.
struct Paced {
    packs: PackGround,
    pace: Arc<Pace>,
}

#[async_trait::async_trait]
impl CompactStore for Paced {
    fn index(&self) -> &Index {
        self.packs.index()
    }

    fn reader(&self) -> &SegmentReader {
        self.packs.reader()
    }

    fn pin(&self, id: SegmentId) -> Option<(Segment, Pin)> {
        self.packs.pin(id)
    }

    async fn copied(&self, bytes: u64) {
        self.pace.passed(bytes).await;
    }

    async fn new_pack(&self) -> Result<SegmentWriter, CompactError> {
        self.packs.new_pack().await
    }

    async fn commit_repoint(&self, moves: Vec<Repoint>, packs: Vec<StagedSegment>) -> Result<(), CompactError> {
        self.packs.commit_repoint(moves, packs).await
    }
}

impl Mover {
    /// Writes bodies anew whose segments are too wide, as many as there is room for: what they leave is free only with
    /// newer checkpoints. Says whether any was.
    pub(super) async fn narrow(&mut self, wide: BTreeSet<SegmentId>) -> Result<bool, String> {
        let (parity, _, drives) = self.shared.extent_candidates();
        let Some(geometry) = Geometry::for_extent(drives.len(), parity) else {
            return Ok(false);
        };
        let drives: Vec<DriveId> = drives.iter().map(|drive| drive.id()).collect();
        let (mut bytes, mut is_full) = (0, false);
        let mut leased: Vec<(SegmentId, Lease)> = Vec::new();
        for id in wide {
            let Some((entry, lease)) = self.shared.table.lease(id) else {
                continue;
            };
            let each = entry.live.div_ceil(u64::from(geometry.data).max(1));
            is_full = !self.room().await?.spend_shards(&drives, geometry.shards(), each);
            if is_full {
                break;
            }
            bytes += entry.live;
            leased.push((id, lease));
            if bytes >= BYTES_MAX {
                break;
            }
        }
        if is_full {
            let reason = "there is little room above what the drives must keep free: only so much is written anew as newer \
                          checkpoints free";
            self.shared.service.moving.reason(reason.to_owned());
        }
        let victims: BTreeSet<SegmentId> = leased.iter().map(|(id, _)| *id).collect();
        if victims.is_empty() {
            return Ok(false);
        }
        tracing::info!(
            segments = victims.len(),
            bytes,
            "segments on more drives than will be left are written anew"
        );
        let ground = Arc::new(Paced {
            packs: PackGround {
                shared: Arc::clone(&self.shared),
                committer: self.committer.clone(),
            },
            pace: Arc::clone(&self.pace),
        });
        let moved = compact(&ground, victims).await.map_err(|e| e.to_string())?;
        drop(leased);
        // What was counted for it stands now.
        self.room = None;
        // Healing waits for what was missing in them.
        self.shared.service.damage.bell.notify_one();
        Ok(moved > 0)
    }
}
