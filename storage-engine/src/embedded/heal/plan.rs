//! What is to be done about a segment: which shards are missing or bad, and on which drives they shall be made anew.
//! Pure; it decides from what is told and never asks a drive.

use std::collections::BTreeSet;

use crate::embedded::id::DriveId;
use crate::embedded::segment::Segment;

/// What is known of the drives.
pub(super) struct Fleet {
    /// Every member of the store, wherever it is.
    pub(super) members: BTreeSet<DriveId>,
    /// The drives that are here and take new segments, the one with most free space first.
    pub(super) usable: Vec<DriveId>,
    /// Members that are drained: what they have counts as long as they have it, and they get nothing.
    pub(super) leaving: BTreeSet<DriveId>,
}

/// A shard on a drive that is drained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Leave {
    pub(super) shard: u8,
    pub(super) from: DriveId,
    /// The drive that shall have it; `None`: there is none now.
    pub(super) to: Option<DriveId>,
}

/// How a segment stands, and what would make it whole.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Finding {
    /// Good shards on different drives beyond the k that are needed; negative: it cannot be read now.
    pub(super) spare: i32,
    /// Shard and the drive that shall get it.
    pub(super) targets: Vec<(u8, DriveId)>,
    /// Members that have to come back for the rest.
    pub(super) awaited: Vec<DriveId>,
    /// Shards that no drive is left for.
    pub(super) homeless: usize,
    /// The drives it is on, as far as they are known better than its own list says.
    pub(super) moved: Option<Vec<DriveId>>,
    /// Good shards whose drives are drained.
    pub(super) leaves: Vec<Leave>,
}

impl Finding {
    /// Nothing is missing and the drives are where the list says.
    pub(super) fn is_whole(&self) -> bool {
        self.targets.is_empty() && self.awaited.is_empty() && self.homeless == 0
    }
}

/// Which drive each shard is counted on: its own, else another that stays, else one that is drained. No drive counts for
/// two.
fn homes(segment: &Segment, held: &[Vec<DriveId>], fleet: &Fleet) -> (Vec<Option<DriveId>>, BTreeSet<DriveId>) {
    let mut taken: BTreeSet<DriveId> = BTreeSet::new();
    let mut homes: Vec<Option<DriveId>> = vec![None; held.len()];
    let stays = |id: DriveId| !fleet.leaving.contains(&id);
    let fits: [&dyn Fn(DriveId, DriveId) -> bool; 3] =
        [&|id, hint| id == hint && stays(id), &|id, _| stays(id), &|_, _| true];
    for fits in fits {
        let open = homes.iter_mut().zip(segment.drives.iter().zip(held));
        for (home, (hint, holders)) in open.filter(|(home, _)| home.is_none()) {
            *home = holders
                .iter()
                .copied()
                .find(|id| fits(*id, *hint) && !taken.contains(id));
            taken.extend(*home);
        }
    }
    (homes, taken)
}

/// Judges a segment by who has good shard files of it: `held[i]` are the drives with shard i.
pub(super) fn judge(segment: &Segment, held: &[Vec<DriveId>], fleet: &Fleet) -> Finding {
    let (homes, mut taken) = homes(segment, held, fleet);
    let leaving = |id: &DriveId| fleet.leaving.contains(id);
    let good = taken.len();
    let missing = || {
        (0u8..)
            .zip(&segment.drives)
            .zip(&homes)
            .filter(|(_, home)| home.is_none())
    };
    // A member's own place is kept for it, whether it is here or not, unless it is to have none.
    let reserved: BTreeSet<DriveId> = missing()
        .map(|((_, hint), _)| *hint)
        .filter(|hint| fleet.members.contains(hint) && !taken.contains(hint) && !leaving(hint))
        .collect();
    let mut finding = Finding {
        spare: i32::try_from(good).unwrap_or(i32::MAX) - i32::from(segment.geometry.data),
        targets: Vec::new(),
        awaited: Vec::new(),
        homeless: 0,
        moved: None,
        leaves: Vec::new(),
    };
    for ((shard, hint), _) in missing() {
        if reserved.contains(hint) {
            match fleet.usable.contains(hint) {
                true => finding.targets.push((shard, *hint)),
                false => finding.awaited.push(*hint),
            }
            continue;
        }
        let free = |id: &&DriveId| !taken.contains(*id) && !reserved.contains(*id);
        match fleet.usable.iter().find(free).copied() {
            Some(drive) => {
                taken.insert(drive);
                finding.targets.push((shard, drive));
            }
            None => finding.homeless += 1,
        }
    }
    // What is missing comes first.
    for (shard, home) in (0u8..).zip(&homes) {
        let Some(from) = home.filter(leaving) else { continue };
        let free = |id: &&DriveId| !taken.contains(*id) && !reserved.contains(*id);
        let to = fleet.usable.iter().find(free).copied();
        taken.extend(to);
        finding.leaves.push(Leave { shard, from, to });
    }
    finding.moved = moved(segment, &homes, fleet);
    finding
}

/// The list as it should be, if a drive on it is no member any more, or drained, and another has its shard.
fn moved(segment: &Segment, homes: &[Option<DriveId>], fleet: &Fleet) -> Option<Vec<DriveId>> {
    let better = |(hint, home): (&DriveId, &Option<DriveId>)| match home {
        Some(home) if !fleet.members.contains(hint) || fleet.leaving.contains(hint) => *home,
        Some(_) | None => *hint,
    };
    let list: Vec<DriveId> = segment.drives.iter().zip(homes).map(better).collect();
    (list != segment.drives).then_some(list)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::table::tests::segment;

    fn id(n: u8) -> DriveId {
        DriveId::from_bytes([n; 16])
    }

    fn fleet(members: &[u8], usable: &[u8]) -> Fleet {
        Fleet {
            members: members.iter().map(|n| id(*n)).collect(),
            usable: usable.iter().map(|n| id(*n)).collect(),
            leaving: BTreeSet::new(),
        }
    }

    /// The same, with drive 1 drained.
    fn without_one(members: &[u8], usable: &[u8]) -> Fleet {
        let leaving = BTreeSet::from([id(1)]);
        Fleet {
            leaving,
            ..fleet(members, usable)
        }
    }

    /// 2+2 on drives 1 to 4; `held` says which drives have each shard.
    fn judged(held: [&[u8]; 4], fleet: &Fleet) -> Finding {
        let mut four = segment(1);
        four.geometry.data = 2;
        four.geometry.parity = 2;
        four.drives = (1..=4).map(id).collect();
        let held: Vec<Vec<DriveId>> = held.iter().map(|on| on.iter().map(|n| id(*n)).collect()).collect();
        judge(&four, &held, fleet)
    }

    #[test]
    fn a_whole_segment_needs_nothing() {
        let finding = judged([&[1], &[2], &[3], &[4]], &fleet(&[1, 2, 3, 4], &[1, 2, 3, 4]));
        assert!(finding.is_whole() && finding.moved.is_none());
        assert_eq!(finding.spare, 2);
    }

    #[test]
    fn a_shard_goes_back_to_its_own_drive_and_one_that_is_away_is_waited_for() {
        let finding = judged([&[1], &[], &[3], &[]], &fleet(&[1, 2, 3, 4], &[1, 3, 4]));
        assert_eq!(finding.targets, [(3, id(4))]);
        assert_eq!(finding.awaited, [id(2)]);
        assert_eq!(finding.spare, 0);
        assert!(!finding.is_whole());
    }

    #[test]
    fn a_shard_of_a_drive_that_is_gone_goes_to_one_that_has_none() {
        let finding = judged([&[1], &[2], &[3], &[]], &fleet(&[1, 2, 3, 5, 6], &[3, 6, 1, 5, 2]));
        assert_eq!(finding.targets, [(3, id(6))], "the one with most space");
        let crowded = judged([&[1], &[2], &[3], &[]], &fleet(&[1, 2, 3], &[1, 2, 3]));
        assert_eq!(
            (crowded.targets.len(), crowded.homeless),
            (0, 1),
            "never two on one drive"
        );
    }

    #[test]
    fn two_replaced_drives_get_one_shard_each() {
        let finding = judged([&[], &[2], &[], &[4]], &fleet(&[2, 4, 5, 6], &[2, 4, 5, 6]));
        assert_eq!(finding.targets, [(0, id(5)), (2, id(6))]);
        assert_eq!(finding.spare, 0);
    }

    #[test]
    fn the_place_of_a_member_that_is_away_is_not_given_to_another_shard() {
        // Drive 1 is gone, 2 is away; the only free one is 5.
        let finding = judged([&[], &[], &[3], &[4]], &fleet(&[2, 3, 4, 5], &[3, 4, 5]));
        assert_eq!(finding.targets, [(0, id(5))]);
        assert_eq!(finding.awaited, [id(2)]);
    }

    #[test]
    fn where_a_shard_is_instead_of_on_a_gone_drive_is_told() {
        let finding = judged([&[1], &[2], &[3], &[5]], &fleet(&[1, 2, 3, 5], &[1, 2, 3, 5]));
        assert!(finding.is_whole());
        assert_eq!(finding.moved, Some(vec![id(1), id(2), id(3), id(5)]));
        let lent = judged([&[1], &[2], &[3], &[5]], &fleet(&[1, 2, 3, 4, 5], &[1, 2, 3, 4, 5]));
        assert_eq!(lent.moved, None, "drive 4 may come back");
    }

    #[test]
    fn two_shards_on_one_drive_are_one_that_may_be_lost() {
        let finding = judged([&[1], &[1], &[3], &[4]], &fleet(&[1, 3, 4, 5], &[1, 3, 4, 5]));
        assert_eq!(finding.spare, 1);
        assert_eq!(finding.targets, [(1, id(5))]);
    }

    #[test]
    fn a_shard_on_a_drained_drive_counts_and_is_to_move_to_one_that_has_none() {
        let five = without_one(&[1, 2, 3, 4, 5], &[2, 3, 4, 5]);
        let finding = judged([&[1], &[2], &[3], &[4]], &five);
        assert!(finding.is_whole() && finding.moved.is_none());
        assert_eq!(finding.spare, 2);
        let leave = |to: Option<u8>| Leave {
            shard: 0,
            from: id(1),
            to: to.map(id),
        };
        assert_eq!(finding.leaves, [leave(Some(5))]);
        let four = without_one(&[1, 2, 3, 4], &[2, 3, 4]);
        assert_eq!(judged([&[1], &[2], &[3], &[4]], &four).leaves, [leave(None)]);
    }

    #[test]
    fn a_shard_that_was_moved_off_a_drained_drive_is_told_and_counts_there() {
        let five = without_one(&[1, 2, 3, 4, 5], &[2, 3, 4, 5]);
        for held in [[1, 5].as_slice(), &[5]] {
            let finding = judged([held, &[2], &[3], &[4]], &five);
            assert!(finding.is_whole() && finding.leaves.is_empty(), "{held:?}");
            assert_eq!(finding.moved, Some(vec![id(5), id(2), id(3), id(4)]));
        }
    }

    #[test]
    fn what_a_drained_drive_lost_is_made_on_another_and_a_missing_shard_has_the_only_free_drive() {
        let five = without_one(&[1, 2, 3, 4, 5], &[2, 3, 4, 5]);
        let lost = judged([&[], &[2], &[3], &[4]], &five);
        assert_eq!((lost.targets, lost.awaited.len()), (vec![(0, id(5))], 0));
        // Drive 2 is gone, and only one drive is free.
        let both = judged([&[1], &[], &[3], &[4]], &without_one(&[1, 3, 4, 5], &[3, 4, 5]));
        assert_eq!(both.targets, [(1, id(5))]);
        assert_eq!(both.leaves.first().map(|leave| leave.to), Some(None));
    }

    #[test]
    fn a_stray_copy_takes_no_drive_from_the_shard_that_belongs_there() {
        let five = without_one(&[1, 2, 3, 4, 5], &[2, 3, 4, 5]);
        let finding = judged([&[1, 2], &[2], &[3], &[4]], &five);
        assert!(finding.is_whole() && finding.spare == 2, "{finding:?}");
    }
}
