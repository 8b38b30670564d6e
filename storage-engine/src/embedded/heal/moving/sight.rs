//! What of the segments stands on drives that are drained, or could stand better, as far as it is known in memory.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::super::survey::{Needed, Survey};
use super::super::walk::Ends;
use super::board::{Drain, MovingStatus};
use super::fit::{self, Burden, Rest};
use super::spread::{self, Holding, Level, Sample};
use crate::embedded::compact::Room;
use crate::embedded::core::Shared;
use crate::embedded::id::{DriveId, SegmentId};
use crate::embedded::root::{Member, Root};
use crate::embedded::segment::{PresentDrive, Segment};

/// Moves of the rebalance that are planned at once.
const SHIFTS_MAX: usize = 128;
/// Segments that one look names as work; the next look names more.
const WORK_MAX: usize = 4096;
/// Segments that one look names as too wide: they are written anew with one look through the index.
const WIDE_MAX: usize = 65_536;

/// What is to be done about one segment.
pub(super) struct Work {
    pub(super) segment: SegmentId,
    /// Shards that go from one drive that stays to another: shard and new drive. Those on drained drives go by themselves.
    shifts: Vec<(u8, DriveId)>,
}

/// The drives and the root at one moment.
pub(super) struct Sight {
    survey: Survey,
    root: Root,
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

/// What one look through all segments found.
#[derive(Default)]
pub(super) struct Looked {
    /// What all drained drives still hold.
    pub(super) left: Held,
    /// Segments with shards on drained drives that have another place, and those that stand somewhere twice; the first
    /// of them.
    pub(super) work: Vec<Work>,
    /// Segments with live bytes that are on more drives than can have them again: they can only become narrower. The
    /// first of them.
    pub(super) wide: BTreeSet<SegmentId>,
    /// Segments that were made while drives were away and could be wider now; the first of them. None while drives are
    /// drained.
    pub(super) narrow: BTreeSet<SegmentId>,
    /// A log segment that no drive can take from a drained one is needed by a start only: it goes with newer checkpoints.
    pub(super) log_waits: bool,
    /// What the rebalance would move next.
    pub(super) shifts: Vec<Work>,
    /// A drive whose space nobody knows: the rebalance is not over as long as there is one.
    pub(super) unseen: Option<DriveId>,
}

/// A member that is to be empty, while it is counted what it has, or is listed for in the table or the root, whether it
/// is here or not.
struct Emptying {
    id: DriveId,
    /// Segments with files on it that were not met in the table yet. What nothing names counts, too: a body on its way
    /// may be there.
    unmet: HashSet<SegmentId>,
    held: Held,
}

impl Emptying {
    fn of(survey: &Survey, id: DriveId) -> Self {
        let known = survey.drive(id).map(|on| on.drive.known_shards()).unwrap_or_default();
        Self {
            id,
            unmet: known.into_iter().map(|(id, ..)| id).collect(),
            held: Held::default(),
        }
    }

    /// Counts a segment if it is here, or listed: the lists count, too, nothing may look for it there any more. `bytes`
    /// are those of a shard, if it is needed.
    fn meet(&mut self, segment: &Segment, bytes: Option<u64>) {
        if !(self.unmet.remove(&segment.id) || segment.drives.contains(&self.id)) {
            return;
        }
        self.held.segments += 1;
        match bytes {
            Some(bytes) => self.held.bytes += bytes,
            None => self.held.unneeded += 1,
        }
    }

    /// What it holds, once all of the table was met.
    fn end(mut self, root: &Root, shared: &Shared) -> (DriveId, Held) {
        let log = root.log.iter().map(|log| &log.segment);
        let checkpoints = root.checkpoints.iter().map(|checkpoint| &checkpoint.segment);
        let listed = log
            .chain(checkpoints)
            .filter(|segment| segment.drives.contains(&self.id));
        self.unmet.extend(
            listed
                .map(|segment| segment.id)
                .filter(|id| shared.table.live(*id).is_none()),
        );
        let rest = self.unmet.len() as u64;
        self.held.segments += rest;
        self.held.unneeded += rest;
        (self.id, self.held)
    }
}

impl Sight {
    pub(super) fn of(shared: &Shared) -> Self {
        let root = shared.keeper.lock().root().clone();
        Self {
            survey: Survey::of(shared),
            rebalance: root.rebalance,
            root,
        }
    }

    /// As if the root said so.
    #[cfg(test)]
    pub(super) fn pretend(&mut self, edit: impl FnOnce(&mut Root)) {
        edit(&mut self.root);
        self.rebalance = self.root.rebalance;
        self.survey.fleet.leaving = self.leaving().map(|member| member.id).collect();
        let leaving = self.survey.fleet.leaving.clone();
        self.survey.fleet.usable.retain(|id| !leaving.contains(id));
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

    /// Goes through all segments once and writes on the board how far the drains are. Takes as long as there are segments,
    /// and memory for their ids alone: call it where one may wait.
    pub(super) fn look(&self, shared: &Shared, room: &Room) -> Looked {
        let mut looked = Looked {
            unseen: self.survey.fleet.usable.iter().find(|id| !room.knows(**id)).copied(),
            ..Looked::default()
        };
        let strays = self.strays(shared);
        let mut emptying: Vec<Emptying> = self.leaving().map(|m| Emptying::of(&self.survey, m.id)).collect();
        let mut spreading = self
            .rebalance
            .map(|percent| (percent, self.levels(room), Sample::default()));
        let stay = self.root.members.len() - emptying.len();
        let mut narrow = (0_u64, 0_u64);
        for id in shared.table.ids() {
            let Some(entry) = shared.table.entry(id) else { continue };
            let segment = entry.segment.clone();
            let needed = self.survey.needed(entry);
            let bytes = needed.as_ref().map(Needed::shard_bytes);
            emptying.iter_mut().for_each(|drive| drive.meet(&segment, bytes));
            let Some(needed) = needed else { continue };
            let well = !strays.contains(&id) && self.survey.stands(shared, &segment);
            if !well {
                self.look_at(shared, &needed, stay, &mut looked);
            } else if needed.entry.live > 0 && self.survey.could_be_wider(&segment) {
                narrow = (narrow.0 + 1, narrow.1 + needed.entry.live);
                if !self.is_draining() && looked.narrow.len() < WIDE_MAX {
                    looked.narrow.insert(id);
                }
            }
            if let Some((_, levels, sample)) = &mut spreading {
                sample.meet(levels, Holding::of(&needed, well));
            }
        }
        let mut left = Vec::new();
        for drive in emptying {
            let (id, held) = drive.end(&self.root, shared);
            looked.left.segments += held.segments;
            looked.left.bytes += held.bytes;
            looked.left.unneeded += held.unneeded;
            left.push((id, held, held.segments == 0 && !lies_on(shared, id)));
        }
        shared.service.moving.set_narrow(narrow.0, narrow.1);
        shared.service.moving.set_left(left, self.rebalance.is_some());
        if let Some((percent, levels, sample)) = spreading {
            let shifts = spread::plan(levels, sample.into_holdings(), percent, SHIFTS_MAX);
            let work = shifts.into_iter().map(|shift| Work {
                segment: shift.segment,
                shifts: vec![(shift.shard, shift.to)],
            });
            looked.shifts = work.collect();
        }
        looked
    }

    /// Judges a segment that does not simply stand where its list says.
    fn look_at(&self, shared: &Shared, needed: &Needed, stay: usize, looked: &mut Looked) {
        let segment = needed.segment();
        let finding = self.survey.judge(shared, segment);
        let stuck = finding.leaves.iter().any(|leave| leave.to.is_none());
        let leaves = finding.leaves.iter().any(|leave| leave.to.is_some());
        let has_work = leaves || finding.moved.is_some() || self.is_twice(shared, segment);
        if has_work && looked.work.len() < WORK_MAX {
            looked.work.push(Work {
                segment: segment.id,
                shifts: Vec::new(),
            });
        }
        let only_narrower =
            (finding.homeless > 0 || stuck) && segment.geometry.shards() > stay && needed.entry.live > 0;
        if only_narrower && looked.wide.len() < WIDE_MAX {
            looked.wide.insert(segment.id);
        }
        looked.log_waits |= stuck && needed.entry.live == 0;
    }

    /// Segments with a shard on a drive that is not listed for it.
    fn strays(&self, shared: &Shared) -> BTreeSet<SegmentId> {
        let mut strays = BTreeSet::new();
        for on in &self.survey.present {
            let files = on.drive.known_shards();
            strays.extend(shared.table.listed_elsewhere(on.id, &files).take(WORK_MAX));
        }
        strays
    }

    fn is_twice(&self, shared: &Shared, segment: &Segment) -> bool {
        let held = self.survey.held(shared, segment);
        let mut listed = (0u8..).zip(segment.drives.iter().zip(&held));
        let has_other = |shard, home: &DriveId| self.survey.copies(segment, shard).any(|id| id != *home);
        listed.any(|(shard, (hint, holders))| holders.contains(hint) && has_other(shard, hint))
    }

    /// The drives that the rebalance spreads over, and what they take.
    fn levels(&self, room: &Room) -> BTreeMap<DriveId, Level> {
        let level = |id: &DriveId| {
            (
                *id,
                Level {
                    held: 0,
                    free: room.on(*id),
                },
            )
        };
        let seen = self.survey.fleet.usable.iter().filter(|id| room.knows(**id));
        seen.map(level).collect()
    }

    /// What a member still has.
    fn held_by(&self, shared: &Shared, member: &Member) -> Held {
        let mut emptying = Emptying::of(&self.survey, member.id);
        for id in shared.table.ids() {
            let Some(entry) = shared.table.entry(id) else { continue };
            let segment = entry.segment.clone();
            let needed = self.survey.needed(entry);
            emptying.meet(&segment, needed.as_ref().map(Needed::shard_bytes));
        }
        emptying.end(&self.root, shared).1
    }

    /// What would have to find a place if a drive were to be empty, beside those that already are.
    fn burden(&self, shared: &Shared, leaving: &BTreeSet<DriveId>, needed: &Needed) -> Option<Burden> {
        let segment = needed.segment();
        let of_start = match needed.ends {
            Ends::At(valid_len) => valid_len,
            Ends::After(_) => needed.shard_bytes(),
        };
        let held = self.survey.held(shared, segment);
        let on: BTreeSet<DriveId> = held
            .into_iter()
            .flatten()
            .chain(segment.drives.iter().copied())
            .collect();
        let (leaving, staying): (Vec<DriveId>, Vec<DriveId>) = on.into_iter().partition(|id| leaving.contains(id));
        (needed.entry.live > 0 && !leaving.is_empty()).then_some(Burden {
            shards: segment.geometry.shards(),
            live: needed.entry.live,
            file_bytes: of_start,
            leaving,
            staying,
        })
    }
}

impl Holding {
    fn of(needed: &Needed, may_move: bool) -> Self {
        Self {
            segment: needed.segment().id,
            bytes: needed.shard_bytes(),
            drives: needed.segment().drives.clone(),
            may_move,
        }
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

/// Whether nothing that the store needs, or lists, is on a drive any more. Blocks for a look through all segments.
pub(in crate::embedded) fn holds_nothing(shared: &Shared, member: &Member) -> bool {
    member.state.is_draining() && Sight::of(shared).held_by(shared, member).segments == 0 && !lies_on(shared, member.id)
}

/// Bytes that would find no place above what the file systems must keep, if a drive were drained beside those that are.
/// Blocks for a look through all segments.
pub(in crate::embedded) fn without_place(shared: &Shared, id: DriveId, room: Room) -> u64 {
    let sight = Sight::of(shared);
    let mut leaving = sight.survey.fleet.leaving.clone();
    leaving.insert(id);
    let rest = Rest {
        members: sight
            .root
            .members
            .iter()
            .filter(|member| !leaving.contains(&member.id))
            .count(),
        usable: sight
            .survey
            .fleet
            .usable
            .iter()
            .copied()
            .filter(|usable| *usable != id)
            .collect(),
        parity: sight.root.parity,
    };
    let burdens = shared.table.ids().into_iter().filter_map(|segment| {
        let needed = sight.survey.needed(shared.table.entry(segment)?)?;
        sight.burden(shared, &leaving, &needed)
    });
    fit::without_place(room, &rest, burdens)
}

/// How many segments have too few shards on the drives that are here. Blocks for a look through all segments.
pub(in crate::embedded) fn unreadable(shared: &Shared) -> usize {
    let sight = Sight::of(shared);
    let judged = shared.table.ids().into_iter().filter_map(|id| {
        let needed = sight.survey.needed(shared.table.entry(id)?)?;
        Some(sight.survey.judge(shared, needed.segment()))
    });
    judged.filter(|finding| finding.spare < 0).count()
}
