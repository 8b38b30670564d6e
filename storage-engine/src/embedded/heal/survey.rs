//! What the store needs and who has it, segment by segment, as far as it is known in memory: nothing is read here, and
//! the same survey after a restart finds the same.

use std::collections::{BTreeMap, BTreeSet};

use super::plan::{Finding, Fleet, judge};
use super::walk::Ends;
use crate::embedded::core::Shared;
use crate::embedded::erasure::Geometry;
use crate::embedded::id::{DriveId, SegmentId};
use crate::embedded::segment::{PresentDrive, Segment, SegmentKind};
use crate::embedded::table::TableEntry;

/// A segment that is needed, and where it ends.
pub(super) struct Needed {
    pub(super) entry: TableEntry,
    pub(super) ends: Ends,
}

impl Needed {
    pub(super) fn segment(&self) -> &Segment {
        &self.entry.segment
    }

    /// About the bytes of one shard file.
    pub(super) fn shard_bytes(&self) -> u64 {
        let data = self.entry.live.max(self.entry.body_bytes);
        data / u64::from(self.entry.segment.geometry.data).max(1)
    }
}

/// The drives and the root at one moment.
pub(super) struct Survey {
    pub(super) present: Vec<PresentDrive>,
    pub(super) fleet: Fleet,
    /// Of new segments.
    parity: u8,
    /// How many drives new segments would use if all that stay in the store took part.
    takers: usize,
    /// The root's log segments; `None` is the open one.
    rooted: BTreeMap<SegmentId, Option<u64>>,
    /// The newest checkpoint. It is verified like other segments; a bad one is followed by another instead of healed.
    pub(super) checkpoint: Option<Needed>,
    /// All checkpoints that the root names.
    checkpoints: BTreeSet<SegmentId>,
}

impl Survey {
    pub(super) fn of(shared: &Shared) -> Self {
        let mut present = shared.drives.present();
        let keeper = shared.keeper.lock();
        let root = keeper.root();
        // What a drive has that was removed helps nobody after the next start.
        present.retain(|on| root.member(on.id).is_some());
        let is_in = |id: DriveId| root.member(id).is_some_and(|member| member.state.takes_new());
        let mut usable: Vec<(u64, DriveId)> = present
            .iter()
            .filter(|on| is_in(on.id))
            .map(|on| (on.drive.space_seen().free, on.id))
            .collect();
        usable.sort_by(|a, b| b.cmp(a));
        let fleet = Fleet {
            members: root.members.iter().map(|member| member.id).collect(),
            usable: usable.into_iter().map(|(_, id)| id).collect(),
            leaving: root
                .members
                .iter()
                .filter(|member| member.state.is_draining())
                .map(|member| member.id)
                .collect(),
        };
        let rooted = root.log.iter().map(|log| (log.segment.id, log.valid_len));
        Self {
            fleet,
            parity: root.parity,
            takers: root.takers(),
            rooted: rooted.collect(),
            checkpoint: root.checkpoints.last().map(|newest| Needed {
                entry: TableEntry {
                    segment: newest.segment.clone(),
                    live: newest.piece.len,
                    body_bytes: 0,
                },
                ends: Ends::After(newest.piece.len),
            }),
            checkpoints: root.checkpoints.iter().map(|kept| kept.segment.id).collect(),
            present,
        }
    }

    /// Whether it is the log segment that is being written.
    pub(super) fn is_open(&self, id: SegmentId) -> bool {
        self.rooted.get(&id).is_some_and(Option::is_none)
    }

    pub(super) fn is_checkpoint(&self, id: SegmentId) -> bool {
        self.checkpoints.contains(&id)
    }

    /// Whether the root names it.
    pub(super) fn names(&self, id: SegmentId) -> bool {
        self.rooted.contains_key(&id) || self.checkpoints.contains(&id)
    }

    /// Every sealed segment that rows lead into or a start would replay.
    pub(super) fn needed_ids(&self, shared: &Shared) -> BTreeSet<SegmentId> {
        let sealed = self.rooted.iter().filter(|(_, valid_len)| valid_len.is_some());
        let mut ids: BTreeSet<SegmentId> = sealed.map(|(id, _)| *id).collect();
        ids.extend(shared.table.live_ids());
        ids.retain(|id| !self.is_open(*id));
        ids
    }

    /// The segment, unless it is not needed (any more), open, or unknown.
    pub(super) fn needed(&self, entry: TableEntry) -> Option<Needed> {
        let id = entry.segment.id;
        let ends = match (self.rooted.get(&id), entry.segment.kind) {
            (Some(None), _) | (_, SegmentKind::Checkpoint) => return None,
            (Some(Some(valid_len)), _) => Ends::At(*valid_len),
            (None, _) if entry.live == 0 => return None,
            (None, SegmentKind::Extent) => Ends::After(entry.live),
            (None, SegmentKind::Log | SegmentKind::Pack) => Ends::After(entry.live.max(entry.body_bytes)),
        };
        Some(Needed { entry, ends })
    }

    /// Who has each shard of the segment, without files that are known to be bad.
    pub(super) fn held(&self, shared: &Shared, segment: &Segment) -> Vec<Vec<DriveId>> {
        let board = &shared.service.heal;
        let holders = |shard: u8| -> Vec<DriveId> {
            let has = |on: &&PresentDrive| {
                on.drive.holds_shard(segment.kind, segment.id, shard) && !board.is_bad(segment.id, shard, on.id)
            };
            self.present.iter().filter(has).map(|on| on.id).collect()
        };
        (0u8..).zip(&segment.drives).map(|(shard, _)| holders(shard)).collect()
    }

    /// Who has a file of a shard, good or bad.
    pub(super) fn copies(&self, segment: &Segment, shard: u8) -> impl Iterator<Item = DriveId> {
        let has = move |on: &&PresentDrive| on.drive.holds_shard(segment.kind, segment.id, shard);
        self.present.iter().filter(has).map(|on| on.id)
    }

    pub(super) fn judge(&self, shared: &Shared, segment: &Segment) -> Finding {
        judge(segment, &self.held(shared, segment), &self.fleet)
    }

    /// Whether each shard stands where the list says, on a drive of its own that stays: then nothing is to be done but for
    /// copies elsewhere. Costs one look a shard, where [`Self::judge`] asks every drive for each.
    pub(super) fn stands(&self, shared: &Shared, segment: &Segment) -> bool {
        let board = &shared.service.heal;
        let stands = |(shard, hint): (u8, &DriveId)| {
            let on = self.drive(*hint).filter(|_| !self.fleet.leaving.contains(hint));
            on.is_some_and(|on| on.drive.holds_shard(segment.kind, segment.id, shard))
                && !board.is_bad(segment.id, shard, *hint)
        };
        let twice = |at: usize, id: &DriveId| segment.drives.iter().skip(at + 1).any(|other| other == id);
        (0u8..).zip(&segment.drives).all(stands) && !segment.drives.iter().enumerate().any(|(at, id)| twice(at, id))
    }

    /// Whether what is in a segment would get all the shards now that it should have had, or as many as all drives of the
    /// store give, and no less parity. While one of them is away it is not written anew: it would be once more.
    pub(super) fn could_be_wider(&self, segment: &Segment) -> bool {
        let usable = self.fleet.usable.len();
        let Some(now) = Geometry::for_extent(usable, self.parity).filter(|_| segment.is_narrow()) else {
            return false;
        };
        let is_wider = now.shards() > segment.geometry.shards() && now.parity >= segment.geometry.parity;
        let full = usize::from(segment.full_width.unwrap_or(u8::MAX));
        is_wider && (usable >= self.takers || now.shards() >= full)
    }

    pub(super) fn drive(&self, id: DriveId) -> Option<&PresentDrive> {
        self.present.iter().find(|on| on.id == id)
    }
}
