//! Segments on more drives than will be left: no drive is free for their shards, so their bodies are written anew, as
//! compaction does, to segments that fit. What they leave behind goes as all that is dead.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Mover, Pace};
use crate::embedded::compact::{CompactError, CompactStore, Repoint, compact};
use crate::embedded::housekeeping::packs::PackGround;
use crate::embedded::id::SegmentId;
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
    /// Writes bodies anew whose segments are too wide. Says whether any was.
    pub(super) async fn narrow(&self, wide: BTreeSet<SegmentId>) -> Result<bool, String> {
        let mut bytes = 0;
        let mut leased: Vec<(SegmentId, Lease)> = Vec::new();
        for id in wide {
            if bytes >= BYTES_MAX {
                break;
            }
            if let Some((entry, lease)) = self.shared.table.lease(id) {
                bytes += entry.live;
                leased.push((id, lease));
            }
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
        // Healing waits for what was missing in them.
        self.shared.service.damage.bell.notify_one();
        Ok(moved > 0)
    }
}
