//! Segments on more drives than will be left, and segments made while drives were away: their bodies are written anew,
//! as compaction does, to segments that fit the drives. What they leave behind goes as all that is dead.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::super::survey::Survey;
use super::{Mover, Pace, SPACE_WITHIN};
use crate::embedded::compact::{CompactError, CompactStore, Repoint, compact};
use crate::embedded::erasure::Geometry;
use crate::embedded::housekeeping::packs::PackGround;
use crate::embedded::id::{DriveId, SegmentId};
use crate::embedded::index::Index;
use crate::embedded::segment::{Segment, SegmentReader, SegmentWriter, StagedSegment};
use crate::embedded::table::{Lease, Pin};

/// Most live bytes that one look through the index moves: until it is over no checkpoint frees what it emptied.
const BYTES_MAX: u64 = 1 << 30;
/// About the most that one pack takes.
const PACK_BYTES_MAX: u64 = 512 << 20;

/// Compaction at the pace of healing, as long as there is room, and a reason, for it.
struct Paced {
    packs: PackGround,
    pace: Arc<Pace>,
    /// Live bytes that were not copied yet.
    left: AtomicU64,
    /// What is to become wider.
    narrow: Vec<Segment>,
}

impl Paced {
    /// A round takes long, and others write meanwhile; drives come and go. So it is looked again before each pack.
    async fn still_worth_it(&self) -> Result<(), CompactError> {
        let shared = &self.packs.shared;
        if !self.narrow.is_empty() {
            let survey = Survey::of(shared);
            if !self.narrow.iter().all(|segment| survey.could_be_wider(segment)) {
                return Err(CompactError::NoDrives(
                    "a drive left meanwhile; what was to be wider would not be".into(),
                ));
            }
        }
        let (parity, _, drives) = shared.extent_candidates();
        let too_few = || CompactError::NoDrives("too few drives are in to write with full parity".into());
        let geometry = Geometry::for_extent(drives.len(), parity).ok_or_else(too_few)?;
        let drives: Vec<DriveId> = drives.iter().map(|drive| drive.id()).collect();
        let looked = shared.look_at_space(SPACE_WITHIN, None).await;
        let mut room = looked.map_err(CompactError::NoDrives)?.room;
        let bytes = self.left.load(Ordering::Acquire).min(PACK_BYTES_MAX);
        let each = bytes.div_ceil(u64::from(geometry.data).max(1));
        match room.spend_shards(&drives, geometry.shards(), each) {
            true => Ok(()),
            false => Err(CompactError::NoRoom),
        }
    }
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
        let less = |left: u64| Some(left.saturating_sub(bytes));
        let _ = self.left.fetch_update(Ordering::AcqRel, Ordering::Acquire, less);
        self.pace.passed(bytes).await;
    }

    async fn new_pack(&self) -> Result<SegmentWriter, CompactError> {
        self.still_worth_it().await?;
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
        let victims: BTreeSet<SegmentId> = leased.iter().map(|(segment, ..)| segment.id).collect();
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
            left: AtomicU64::new(bytes),
            narrow: match narrower {
                true => Vec::new(),
                false => leased.iter().map(|(segment, ..)| segment.clone()).collect(),
            },
        });
        let moved = compact(&ground, victims.clone()).await;
        self.waits_for_room |= matches!(moved, Err(CompactError::NoRoom));
        // What was counted for it stands now.
        self.room = None;
        let live = |id: SegmentId| self.shared.table.live(id).unwrap_or(0);
        let emptied = leased.iter().filter(|(segment, ..)| live(segment.id) == 0);
        let (count, done) = emptied.fold((0, 0), |(count, done), (_, bytes, _)| (count + 1, done + bytes));
        if !narrower {
            self.shared.service.moving.widened(count, done);
        }
        // Where all of it ended early, nothing is known of the single ones.
        if moved.is_ok() {
            let left = self.stubborn.note(victims, live, Instant::now());
            if left > 0 {
                let reason = format!(
                    "{left} segments hold what cannot be read whole, or was in use; they are tried again later"
                );
                self.shared.service.moving.reason(reason);
            }
        }
        drop(leased);
        // Healing waits for what was missing in them, and counts what is wider.
        self.shared.service.damage.bell.notify_one();
        Ok(moved.map_err(|e| e.to_string())? > 0)
    }

    /// The segments that new ones have room for, with their live bytes.
    async fn lease_what_fits(&mut self, segments: BTreeSet<SegmentId>) -> Result<Vec<(Segment, u64, Lease)>, String> {
        self.waits_for_room = false;
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
                self.waits_for_room = true;
                break;
            }
            bytes += entry.live;
            leased.push((entry.segment, entry.live, lease));
            if bytes >= BYTES_MAX {
                break;
            }
        }
        Ok(leased)
    }
}
