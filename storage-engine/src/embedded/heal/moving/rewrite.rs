//! Segments on more drives than will be left, and segments made while drives were away: their bodies are written anew,
//! as compaction does, to segments that fit the drives. What they leave behind goes as all that is dead.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

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
    /// Writes bodies anew whose segments are too wide, or narrower than they should be, as many as there is room for: what
    /// they leave is free only with newer checkpoints. Says whether any was.
    pub(super) async fn rewrite(&mut self, segments: BTreeSet<SegmentId>, narrower: bool) -> Result<bool, String> {
        let leased = self.lease_what_fits(segments).await?;
        let victims: BTreeSet<SegmentId> = leased.iter().map(|(id, ..)| *id).collect();
        if victims.is_empty() {
            return Ok(false);
        }
        let bytes: u64 = leased.iter().map(|(_, live, _)| live).sum();
        let why = match narrower {
            true => "they are on more drives than will be left",
            false => "they were made while drives were away",
        };
        tracing::info!(segments = victims.len(), bytes, why, "segments are written anew");
        let ground = Arc::new(Paced {
            packs: PackGround {
                shared: Arc::clone(&self.shared),
                committer: self.committer.clone(),
            },
            pace: Arc::clone(&self.pace),
        });
        let moved = compact(&ground, victims.clone()).await.map_err(|e| e.to_string());
        // What was counted for it stands now.
        self.room = None;
        let live = |id: SegmentId| self.shared.table.live(id).unwrap_or(0);
        let emptied = leased.iter().filter(|(id, ..)| live(*id) == 0);
        let (count, done) = emptied.fold((0, 0), |(count, done), (_, bytes, _)| (count + 1, done + bytes));
        if !narrower {
            self.shared.service.moving.widened(count, done);
        }
        let left = self.stubborn.note(victims, live, Instant::now());
        if left > 0 && moved.is_ok() {
            let reason =
                format!("{left} segments hold what cannot be read whole, or was in use; they are tried again later");
            self.shared.service.moving.reason(reason);
        }
        drop(leased);
        // Healing waits for what was missing in them, and counts what is wider.
        self.shared.service.damage.bell.notify_one();
        Ok(moved? > 0)
    }

    /// The segments that new ones have room for, with their live bytes.
    async fn lease_what_fits(&mut self, segments: BTreeSet<SegmentId>) -> Result<Vec<(SegmentId, u64, Lease)>, String> {
        let (parity, _, drives) = self.shared.extent_candidates();
        let Some(geometry) = Geometry::for_extent(drives.len(), parity) else {
            return Ok(Vec::new());
        };
        let drives: Vec<DriveId> = drives.iter().map(|drive| drive.id()).collect();
        let (mut bytes, now) = (0, Instant::now());
        let mut leased = Vec::new();
        for id in segments {
            if self.stubborn.holds(id, now) {
                continue;
            }
            let Some((entry, lease)) = self.shared.table.lease(id) else {
                continue;
            };
            let each = entry.live.div_ceil(u64::from(geometry.data).max(1));
            if !self.room().await?.spend_shards(&drives, geometry.shards(), each) {
                let reason = "there is little room above what the drives must keep free: only so much is written anew as \
                              newer checkpoints free";
                self.shared.service.moving.reason(reason.to_owned());
                break;
            }
            bytes += entry.live;
            leased.push((id, entry.live, lease));
            if bytes >= BYTES_MAX {
                break;
            }
        }
        Ok(leased)
    }
}
