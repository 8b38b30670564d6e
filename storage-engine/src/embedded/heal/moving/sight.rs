//! What of the segments stands on drives that are drained, or could stand better, as far as it is known in memory.

use std::collections::{BTreeMap, BTreeSet};

use super::super::plan::Finding;
use super::super::survey::{Needed, Survey};
use super::board::{Drain, MovingStatus};
use super::spread::{self, Holding, Level};
use crate::embedded::core::Shared;
use crate::embedded::id::{DriveId, SegmentId};
use crate::embedded::root::{Member, Root};
use crate::embedded::segment::{PresentDrive, Segment};
use crate::embedded::table::TableEntry;

/// Moves of the rebalance that are planned at once.
const SHIFTS_MAX: usize = 128;

/// What is to be done about one segment.
pub(super) struct Work {
    pub(super) segment: SegmentId,
    /// Shards that go from one drive that stays to another: shard and new drive. Those on drained drives go by themselves.
    shifts: Vec<(u8, DriveId)>,
}

/// All segments and drives at one moment.
pub(super) struct Sight {
    survey: Survey,
    root: Root,
    entries: BTreeMap<SegmentId, TableEntry>,
    pub(super) rebalance: Option<u8>,
}

/// What a drained drive still has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) segments: u64,
    pub(super) bytes: u64,
    /// Of the segments, those that no live row and no start needs, checkpoints, and what nothing names: they go with newer
    /// checkpoints.
    pub(super) unneeded: u64,
}

impl Sight {
    pub(super) fn of(shared: &Shared) -> Self {
        let root = shared.keeper.lock().root().clone();
        Self {
            survey: Survey::of(shared),
            rebalance: root.rebalance,
            root,
            entries: shared.table.snapshot(),
        }
    }

    fn leaving(&self) -> impl Iterator<Item = &Member> {
        self.root.members.iter().filter(|member| member.state.is_draining())
    }

    pub(super) fn is_draining(&self) -> bool {
        self.leaving().next().is_some()
    }

    /// The log segment that is being written is on a drive that is drained.
    pub(super) fn open_log_leaves(&self, shared: &Shared) -> bool {
        let keeper = shared.keeper.lock();
        let open = keeper.root().open_log().map(|log| log.segment.drives.clone());
        open.is_some_and(|drives| self.leaving().any(|member| drives.contains(&member.id)))
    }

    fn needed(&self) -> impl Iterator<Item = (Needed, &TableEntry)> {
        let entries = self.entries.values();
        entries.filter_map(|entry| Some((self.survey.needed(entry.clone())?, entry)))
    }

    fn judged(&self, shared: &Shared) -> impl Iterator<Item = (Needed, Finding)> {
        self.needed().map(|(needed, _)| {
            let finding = self.survey.judge(shared, needed.segment());
            (needed, finding)
        })
    }

    /// Segments with shards on drained drives that have another place, and those that stand somewhere twice.
    pub(super) fn work(&self, shared: &Shared) -> Vec<Work> {
        let mut work = Vec::new();
        for (needed, finding) in self.judged(shared) {
            let leaves = finding.leaves.iter().any(|leave| leave.to.is_some());
            if leaves || finding.moved.is_some() || self.is_twice(shared, needed.segment()) {
                work.push(Work {
                    segment: needed.segment().id,
                    shifts: Vec::new(),
                });
            }
        }
        work
    }

    fn is_twice(&self, shared: &Shared, segment: &Segment) -> bool {
        let held = self.survey.held(shared, segment);
        let mut listed = segment.drives.iter().zip(&held);
        listed.any(|(hint, holders)| holders.len() > 1 && holders.contains(hint))
    }

    /// Segments with live bytes that are on more drives than can have them again: they can only become narrower.
    pub(super) fn too_wide(&self, shared: &Shared) -> BTreeSet<SegmentId> {
        let stay = self
            .root
            .members
            .iter()
            .filter(|member| !member.state.is_draining())
            .count();
        let wide = self.judged(shared).filter(|(needed, finding)| {
            let stuck = finding.homeless > 0 || finding.leaves.iter().any(|leave| leave.to.is_none());
            stuck && needed.segment().geometry.shards() > stay && needed.entry.live > 0
        });
        wide.map(|(needed, _)| needed.segment().id).collect()
    }

    /// What a member still has, or is listed for in the table or the root, whether it is here or not.
    fn held_by(&self, member: &Member) -> Held {
        // Whatever it has counts, also what nothing names yet: a body on its way may be there.
        let on = self.survey.drive(member.id);
        let known = on.map(|on| on.drive.known_shards()).unwrap_or_default();
        let mut ids: BTreeSet<SegmentId> = known.into_iter().map(|(id, ..)| id).collect();
        let log = self.root.log.iter().map(|log| &log.segment);
        let checkpoints = self.root.checkpoints.iter().map(|checkpoint| &checkpoint.segment);
        let table = self.entries.values().map(|entry| &entry.segment);
        // The lists count, too: nothing may look for it there any more.
        let named = log.chain(checkpoints).chain(table);
        let listed = named.filter(|segment| segment.drives.contains(&member.id));
        ids.extend(listed.map(|segment| segment.id));
        let mut held = Held {
            segments: ids.len() as u64,
            ..Held::default()
        };
        for id in ids {
            let needed = self
                .entries
                .get(&id)
                .and_then(|entry| self.survey.needed(entry.clone()));
            match needed {
                Some(needed) => held.bytes += needed.shard_bytes(),
                None => held.unneeded += 1,
            }
        }
        held
    }

    /// A log segment that no drive can take from a drained one is needed by a start only: it goes with newer checkpoints.
    pub(super) fn log_waits_for_checkpoint(&self, shared: &Shared) -> bool {
        let stuck = |(needed, finding): (Needed, Finding)| {
            needed.entry.live == 0 && finding.leaves.iter().any(|leave| leave.to.is_none())
        };
        self.is_draining() && self.judged(shared).any(stuck)
    }

    /// Writes on the board how far the drains are. Gives what all of them still hold.
    pub(super) fn tell(&self, shared: &Shared) -> Held {
        let mut all = Held::default();
        let mut left = Vec::new();
        for member in self.leaving() {
            let held = self.held_by(member);
            all.segments += held.segments;
            all.bytes += held.bytes;
            all.unneeded += held.unneeded;
            left.push((member.id, held, held.segments == 0 && !lies_on(shared, member.id)));
        }
        shared.service.moving.set_left(left, self.rebalance.is_some());
        all
    }

    /// What the rebalance would move next.
    pub(super) fn shifts(&self, shared: &Shared, percent: u8) -> Vec<Work> {
        let mut levels: BTreeMap<DriveId, Level> = BTreeMap::new();
        for id in &self.survey.fleet.usable {
            let free = self.survey.drive(*id).map_or(0, |on| on.drive.space_seen().free);
            levels.insert(*id, Level { held: 0, free });
        }
        let mut holdings = Vec::new();
        for (needed, finding) in self.judged(shared) {
            let bytes = needed.shard_bytes();
            let whole = finding.is_whole() && finding.leaves.is_empty() && finding.moved.is_none();
            for drive in &needed.segment().drives {
                if let Some(level) = levels.get_mut(drive) {
                    level.held += bytes;
                }
            }
            if whole {
                holdings.push(Holding {
                    segment: needed.segment().id,
                    bytes,
                    drives: needed.segment().drives.clone(),
                });
            }
        }
        let shifts = spread::plan(levels, holdings, percent, SHIFTS_MAX);
        let work = shifts.into_iter().map(|shift| Work {
            segment: shift.segment,
            shifts: vec![(shift.shard, shift.to)],
        });
        work.collect()
    }
}

/// The shards of a segment to be made now, and where.
pub(super) fn targets(shared: &Shared, survey: &Survey, needed: &Needed, work: &Work) -> Vec<(u8, PresentDrive)> {
    let segment = needed.segment();
    let finding = survey.judge(shared, segment);
    let leaves = finding.leaves.iter().filter_map(|leave| Some((leave.shard, leave.to?)));
    let has_none = |id: DriveId| !survey.held(shared, segment).iter().any(|holders| holders.contains(&id));
    let shifts = work.shifts.iter().copied();
    let shifts = shifts.filter(|(_, to)| survey.fleet.usable.contains(to) && has_none(*to));
    let all = leaves.chain(shifts);
    all.filter_map(|(shard, to)| Some((shard, survey.drive(to)?.clone())))
        .collect()
}

/// Where the shards of a segment are once its work is done.
pub(super) fn places(shared: &Shared, survey: &Survey, needed: &Needed, work: &Work) -> Vec<DriveId> {
    let segment = needed.segment();
    let held = survey.held(shared, segment);
    let moved = survey.judge(shared, segment).moved;
    let mut drives = moved.unwrap_or_else(|| segment.drives.clone());
    for (shard, to) in &work.shifts {
        let made = held
            .get(usize::from(*shard))
            .is_some_and(|holders| holders.contains(to));
        if let Some(place) = drives.get_mut(usize::from(*shard)).filter(|_| made) {
            *place = *to;
        }
    }
    drives
}

/// How far drains and the rebalance are, as it was last looked.
pub(in crate::embedded) fn status(shared: &Shared) -> MovingStatus {
    let root = shared.keeper.lock().root().clone();
    let mut status = shared.service.moving.status();
    status.rebalance.percent = root.rebalance;
    let leaving = root.members.iter().filter(|member| member.state.is_draining());
    let drains = leaving.map(|member| Drain {
        id: member.id.to_string(),
        path: member.path.clone(),
        present: member.state.serves() && shared.drives.get(&member.id).is_some(),
        ..shared.service.moving.drain(member.id)
    });
    status.drains = drains.collect();
    status
}

/// Whether a drive is to be drained, or the store to be balanced.
pub(super) fn is_ordered(shared: &Shared) -> bool {
    let keeper = shared.keeper.lock();
    let root = keeper.root();
    root.rebalance.is_some() || root.members.iter().any(|member| member.state.is_draining())
}

fn lies_on(shared: &Shared, id: DriveId) -> bool {
    let drive = shared.drives.get(&id);
    drive.is_some_and(|drive| shared.index.lies_under(&drive.index_dir()))
}

/// Whether nothing that the store needs, or lists, is on a drive any more.
pub(in crate::embedded) fn holds_nothing(shared: &Shared, member: &Member) -> bool {
    member.state.is_draining() && Sight::of(shared).held_by(member).segments == 0 && !lies_on(shared, member.id)
}

/// About the bytes of all that is on a drive.
pub(in crate::embedded) fn held_bytes(shared: &Shared, id: DriveId) -> u64 {
    let sight = Sight::of(shared);
    sight.root.member(id).map_or(0, |member| sight.held_by(member).bytes)
}

/// How many segments have too few shards on the drives that are here.
pub(in crate::embedded) fn unreadable(shared: &Shared) -> usize {
    let sight = Sight::of(shared);
    sight.judged(shared).filter(|(_, finding)| finding.spare < 0).count()
}
