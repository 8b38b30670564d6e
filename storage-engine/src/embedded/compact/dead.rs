//! What may be deleted. Pure. Every rule answers "no" to what it does not know: absent from a table is not dead, and what
//! could not be read is neither dead nor an orphan.

use std::collections::BTreeSet;

use crate::embedded::checkpoint::Position;
use crate::embedded::id::SegmentId;
use crate::embedded::segment::SegmentKind;
use crate::embedded::table::TableSnapshot;
#[cfg(test)]
use crate::planted;

/// What is known when segments are judged.
#[derive(Clone, Copy, Debug)]
pub struct Grounds<'a> {
    /// The table of the newest checkpoint that the root names.
    pub newest: &'a TableSnapshot,
    /// Segments the root names: the log since the older checkpoint, and both checkpoints.
    pub rooted: &'a BTreeSet<SegmentId>,
}

/// Whether no row of the newest checkpoint and none of now leads into the segment, nobody reads it and no start would.
/// `live_now` is the live counter of now, which speaks for the index; `pins` the number of readers.
pub fn is_dead(id: SegmentId, grounds: &Grounds<'_>, live_now: Option<i64>, pins: usize) -> bool {
    let durably = grounds.newest.get(&id).is_some_and(|entry| entry.live == 0);
    #[cfg(test)]
    if planted::is(planted::Bug::DeadWhileLive) {
        return grounds.newest.contains_key(&id) && pins == 0 && !grounds.rooted.contains(&id);
    }
    durably && live_now == Some(0) && pins == 0 && !grounds.rooted.contains(&id)
}

/// A shard file that was found on a drive.
#[derive(Clone, Copy, Debug)]
pub struct Shard {
    pub segment: SegmentId,
    pub kind: SegmentKind,
    /// Start epoch in its header; `None` if the header could not be read.
    pub created_epoch: Option<u64>,
}

/// What an orphan must be absent from.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    pub grounds: Grounds<'a>,
    /// The position of the newest checkpoint.
    pub newest_position: Position,
    /// Every segment of the table as it is now.
    pub current: &'a BTreeSet<SegmentId>,
    /// Epoch of the present start.
    pub start_epoch: u64,
    /// Sequence number of the head record of the present start.
    pub head_seq: u64,
}

/// Whether a checkpoint at `position` includes the record with this sequence number: whatever the log held before that
/// record, which rows or segments it named, is then in the checkpoint.
pub fn lies_past(position: &Position, head_seq: u64) -> bool {
    position.seq >= head_seq
}

/// Whether a shard file belongs to a segment that nothing names and nothing will: it was made before the present start,
/// by a task that cannot go on any more, and a checkpoint made since does not know it.
pub fn is_orphan(shard: &Shard, known: &Known<'_>) -> bool {
    let id = shard.segment;
    let made_before = shard.created_epoch.is_some_and(|epoch| epoch < known.start_epoch);
    if !made_before || known.grounds.rooted.contains(&id) {
        return false;
    }
    match shard.kind {
        // Only the root names checkpoints.
        SegmentKind::Checkpoint => true,
        SegmentKind::Log | SegmentKind::Extent | SegmentKind::Pack => {
            lies_past(&known.newest_position, known.head_seq)
                && !known.grounds.newest.contains_key(&id)
                && !known.current.contains(&id)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::table::TableEntry;
    use crate::embedded::table::tests::segment;

    fn table(entries: &[(u8, u64)]) -> TableSnapshot {
        let entry = |(n, live): &(u8, u64)| {
            (
                segment(*n).id,
                TableEntry {
                    segment: segment(*n),
                    live: *live,
                    body_bytes: 100,
                },
            )
        };
        entries.iter().map(entry).collect()
    }

    #[test]
    fn dead_is_only_what_the_checkpoint_the_counters_the_readers_and_the_root_all_give_up() {
        let newest = table(&[(1, 0), (2, 5), (4, 0)]);
        let rooted = BTreeSet::from([segment(4).id]);
        let grounds = Grounds {
            newest: &newest,
            rooted: &rooted,
        };
        let dead = |n, live, pins| is_dead(segment(n).id, &grounds, live, pins);
        assert!(dead(1, Some(0), 0));
        assert!(!dead(1, Some(0), 1), "it is being read");
        assert!(!dead(1, Some(3), 0), "the index disagrees");
        assert!(!dead(1, Some(-3), 0), "counters that went wrong prove nothing");
        assert!(!dead(1, None, 0), "not known now");
        assert!(!dead(2, Some(0), 0), "the checkpoint still has a row");
        assert!(!dead(3, Some(0), 0), "absent from the checkpoint is not dead");
        assert!(!dead(4, Some(0), 0), "a start would replay it");
    }

    #[test]
    fn orphans_are_older_than_the_start_and_absent_everywhere() {
        let newest = table(&[(1, 0)]);
        let (rooted, current) = (BTreeSet::from([segment(2).id]), BTreeSet::from([segment(3).id]));
        let position = Position {
            segment: segment(9).id,
            offset: 8192,
            seq: 70,
            epoch: 7,
        };
        let known = Known {
            grounds: Grounds {
                newest: &newest,
                rooted: &rooted,
            },
            newest_position: position,
            current: &current,
            start_epoch: 7,
            head_seq: 70,
        };
        let shard = |n, kind, created_epoch| Shard {
            segment: segment(n).id,
            kind,
            created_epoch,
        };
        for kind in [SegmentKind::Log, SegmentKind::Extent, SegmentKind::Pack] {
            assert!(is_orphan(&shard(5, kind, Some(6)), &known));
            assert!(
                !is_orphan(&shard(5, kind, Some(7)), &known),
                "its task may still be at work"
            );
            assert!(!is_orphan(&shard(5, kind, None), &known), "unreadable is not an orphan");
            for n in 1..=3 {
                assert!(!is_orphan(&shard(n, kind, Some(6)), &known), "segment {n} is known");
            }
            let early = Known {
                newest_position: Position { seq: 69, ..position },
                ..known
            };
            assert!(
                !is_orphan(&shard(5, kind, Some(6)), &early),
                "the checkpoint does not include the start"
            );
        }
        assert!(is_orphan(&shard(5, SegmentKind::Checkpoint, Some(6)), &known));
        assert!(!is_orphan(&shard(2, SegmentKind::Checkpoint, Some(6)), &known));
        assert!(!is_orphan(&shard(5, SegmentKind::Checkpoint, Some(7)), &known));
    }
}
