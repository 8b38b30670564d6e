//! How many drives may be lost with every live body still readable: the truth over all segments, also those that were
//! written before a drive was replaced. It reads what is known in memory and never asks a drive.

use std::collections::BTreeMap;

use super::SegmentTable;
use crate::embedded::id::{DriveId, SegmentId};
use crate::embedded::segment::{PresentDrive, Segment};

/// Most drives that may be lost, whichever they are, with enough shards of the segment left. 0 also if there are not
/// enough now. Shard files that are known to be `bad` do not count.
pub fn spare(segment: &Segment, drives: &[PresentDrive], bad: impl Fn(SegmentId, u8, DriveId) -> bool + Copy) -> usize {
    let mut held: BTreeMap<DriveId, usize> = BTreeMap::new();
    for (shard, hint) in (0u8..).zip(&segment.drives) {
        let holds = |on: &&PresentDrive| {
            on.drive.holds_shard(segment.kind, segment.id, shard) && !bad(segment.id, shard, on.id)
        };
        let hinted = drives.iter().filter(|on| on.id == *hint).find(holds);
        if let Some(on) = hinted.or_else(|| drives.iter().find(holds)) {
            *held.entry(on.id).or_default() += 1;
        }
    }
    spare_of(usize::from(segment.geometry.data), held.into_values().collect())
}

/// The same of numbers of shards per drive, of which `data` must be left.
fn spare_of(data: usize, mut held: Vec<usize>) -> usize {
    held.sort_unstable_by(|a, b| b.cmp(a));
    let mut left: usize = held.iter().sum();
    let mut lost = 0;
    for shards in held {
        match left.checked_sub(shards) {
            Some(rest) if rest >= data => left = rest,
            Some(_) | None => break,
        }
        lost += 1;
    }
    lost
}

impl SegmentTable {
    /// The least that any segment with live bytes can spare; `None` if there is none.
    pub fn spare(&self, drives: &[PresentDrive], bad: impl Fn(SegmentId, u8, DriveId) -> bool + Copy) -> Option<usize> {
        // One after the other, so that nobody who commits waits for all of them.
        let segments = self.live_ids().into_iter().filter_map(|id| self.segment(id));
        segments.map(|segment| spare(&segment, drives, bad)).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_drives_go_first() {
        assert_eq!(spare_of(2, vec![1, 1, 1, 1]), 2);
        assert_eq!(spare_of(2, vec![1, 1, 1]), 1);
        assert_eq!(spare_of(2, vec![1, 1]), 0);
        assert_eq!(spare_of(2, vec![1]), 0);
        assert_eq!(spare_of(2, vec![1, 2, 1]), 1, "one drive holds two shards");
        assert_eq!(spare_of(2, vec![3, 1]), 0);
        assert_eq!(spare_of(1, vec![1, 1, 1]), 2);
    }
}
