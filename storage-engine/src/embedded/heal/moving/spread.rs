//! Which shards should go from fuller to emptier drives. Pure.

use std::collections::BTreeMap;

use crate::embedded::id::{DriveId, SegmentId};

/// How full a drive is with what the store keeps, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Level {
    pub(super) held: u64,
    pub(super) free: u64,
}

/// A segment whose shards may move.
#[derive(Clone, Debug)]
pub(super) struct Holding {
    pub(super) segment: SegmentId,
    /// Of one shard file.
    pub(super) bytes: u64,
    pub(super) drives: Vec<DriveId>,
    /// Whether one of its shards may be moved now; otherwise it only counts.
    pub(super) may_move: bool,
}

/// Holdings of one order of size that are kept for a pair of drives.
const KEPT: u8 = 8;

/// Of any number of holdings so many that the best moves are among them: for each two drives some of each order of size,
/// and the smallest. So a plan is empty only where one of all holdings would be.
#[derive(Default)]
pub(super) struct Sample {
    kept: Vec<Holding>,
    by_size: BTreeMap<(DriveId, DriveId, u32), u8>,
    smallest: BTreeMap<(DriveId, DriveId), u64>,
}

impl Sample {
    /// Counts a holding on its drives, and keeps it if none like it is kept.
    pub(super) fn meet(&mut self, levels: &mut BTreeMap<DriveId, Level>, holding: Holding) {
        for drive in &holding.drives {
            if let Some(level) = levels.get_mut(drive) {
                level.held += holding.bytes;
            }
        }
        if !holding.may_move || holding.bytes == 0 {
            return;
        }
        let mut is_new = false;
        for from in holding.drives.iter().filter(|drive| levels.contains_key(drive)) {
            for to in levels.keys().filter(|drive| !holding.drives.contains(drive)) {
                let alike = self.by_size.entry((*from, *to, holding.bytes.ilog2())).or_default();
                let smallest = self.smallest.entry((*from, *to)).or_insert(u64::MAX);
                is_new |= *alike < KEPT || holding.bytes < *smallest;
                *alike = alike.saturating_add(1);
                *smallest = holding.bytes.min(*smallest);
            }
        }
        if is_new {
            self.kept.push(holding);
        }
    }

    pub(super) fn into_holdings(self) -> Vec<Holding> {
        self.kept
    }
}

/// A shard and the drive it should go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shift {
    pub(super) segment: SegmentId,
    pub(super) shard: u8,
    pub(super) to: DriveId,
}

/// A drive while it is planned: its room is what it holds and what is free on it.
struct Drive {
    id: DriveId,
    held: f64,
    room: f64,
}

impl Drive {
    fn fill(&self) -> f64 {
        self.held / self.room
    }
}

/// The next moves, at most `most`, each segment in at most one of them; none when the fullest and the emptiest drive differ
/// by no more than `percent` of how full all are on average, or no shard is left whose move would bring them nearer.
pub(super) fn plan(
    levels: BTreeMap<DriveId, Level>,
    mut holdings: Vec<Holding>,
    percent: u8,
    most: usize,
) -> Vec<Shift> {
    let mut drives: Vec<Drive> = levels
        .into_iter()
        .map(|(id, level)| Drive {
            id,
            held: level.held as f64,
            room: (level.held.saturating_add(level.free)).max(1) as f64,
        })
        .collect();
    // Large ones first: fewer moves.
    holdings.sort_by_key(|holding| std::cmp::Reverse(holding.bytes));
    let mut shifts = Vec::new();
    while shifts.len() < most {
        let Some(shift) = next(&mut drives, &mut holdings, percent) else {
            break;
        };
        shifts.push(shift);
    }
    shifts
}

/// The best move between the fullest drive that has one and the emptiest; the levels and the holdings follow.
fn next(drives: &mut [Drive], holdings: &mut Vec<Holding>, percent: u8) -> Option<Shift> {
    let all: f64 = drives.iter().map(Drive::fill).sum();
    let apart = all / drives.len().max(1) as f64 * f64::from(percent) / 100.0;
    drives.sort_by(|a, b| b.fill().total_cmp(&a.fill()));
    let mut found = None;
    'search: for (at, from) in drives.iter().enumerate() {
        for (to_at, to) in drives.iter().enumerate().skip(at + 1).rev() {
            let gap = from.fill() - to.fill();
            if gap <= apart {
                break;
            }
            // After it the other must not be fuller than this one was: half the gap at most is the best move.
            let most = gap / (1.0 / from.room + 1.0 / to.room);
            let fits = |holding: &Holding| {
                holding.bytes > 0
                    && holding.bytes as f64 <= most
                    && holding.drives.contains(&from.id)
                    && !holding.drives.contains(&to.id)
            };
            if let Some(which) = holdings.iter().position(fits) {
                found = Some((at, to_at, which));
                break 'search;
            }
        }
    }
    let (from, to, which) = found?;
    let holding = holdings.remove(which);
    let from_id = drives.get(from)?.id;
    let shard = holding.drives.iter().position(|drive| *drive == from_id)?;
    drives.get_mut(from)?.held -= holding.bytes as f64;
    let to = drives.get_mut(to)?;
    to.held += holding.bytes as f64;
    Some(Shift {
        segment: holding.segment,
        shard: u8::try_from(shard).ok()?,
        to: to.id,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drive(n: u8) -> DriveId {
        DriveId::from_bytes([n; 16])
    }

    fn holding(n: u8, bytes: u64, on: &[u8]) -> Holding {
        Holding {
            segment: SegmentId::from_bytes([n; 16]),
            bytes,
            drives: on.iter().map(|n| drive(*n)).collect(),
            may_move: true,
        }
    }

    /// Drives of 1000 bytes that hold what the segments say.
    fn levels(drives: u8, holdings: &[Holding]) -> BTreeMap<DriveId, Level> {
        let held = |id: DriveId| {
            holdings
                .iter()
                .filter(|h| h.drives.contains(&id))
                .map(|h| h.bytes)
                .sum::<u64>()
        };
        let level = |n| {
            let held = held(drive(n));
            (
                drive(n),
                Level {
                    held,
                    free: 1000 - held,
                },
            )
        };
        (1..=drives).map(level).collect()
    }

    fn after(holdings: &[Holding], shifts: &[Shift]) -> Vec<Holding> {
        let mut holdings = holdings.to_vec();
        for shift in shifts {
            let holding = holdings.iter_mut().find(|h| h.segment == shift.segment).unwrap();
            assert!(!holding.drives.contains(&shift.to), "two shards on one drive");
            holding.drives[usize::from(shift.shard)] = shift.to;
        }
        holdings
    }

    #[test]
    fn an_empty_drive_gets_its_share_and_then_nothing_moves() {
        let all: Vec<Holding> = (0..40).map(|n| holding(n, 10, &[1, 2, 3, 4])).collect();
        let shifts = plan(levels(5, &all), all.clone(), 10, 1000);
        let moved = after(&all, &shifts);
        let held: Vec<u64> = levels(5, &moved).values().map(|level| level.held).collect();
        assert!(held.iter().all(|held| (300..=340).contains(held)), "{held:?}");
        assert_eq!(plan(levels(5, &moved), moved, 10, 1000), []);
    }

    #[test]
    fn moves_are_bounded_and_a_segment_moves_once_at_a_time() {
        let all: Vec<Holding> = (0..40).map(|n| holding(n, 10, &[1, 2])).collect();
        let shifts = plan(levels(4, &all), all.clone(), 10, 7);
        assert_eq!(shifts.len(), 7);
        let segments: std::collections::BTreeSet<SegmentId> = shifts.iter().map(|shift| shift.segment).collect();
        assert_eq!(segments.len(), 7);
    }

    #[test]
    fn what_would_only_swap_the_levels_stays() {
        let one = [holding(1, 400, &[1])];
        assert_eq!(
            plan(levels(2, &one), one.to_vec(), 10, 10).len(),
            0,
            "it would be as uneven as before"
        );
        assert_eq!(plan(levels(2, &[]), Vec::new(), 10, 10), []);
        let near: Vec<Holding> = (0..21)
            .map(|n| holding(n, 10, if n < 11 { &[1] } else { &[2] }))
            .collect();
        assert_eq!(plan(levels(2, &near), near, 10, 10), []);
    }

    #[test]
    fn a_sample_of_many_holdings_has_the_moves_that_all_of_them_have() {
        let wide = |n: u64| Holding {
            segment: SegmentId::from_bytes(u128::from(n).to_le_bytes()),
            bytes: 1 + n * 7 % 300,
            drives: if n.is_multiple_of(5) {
                vec![drive(2)]
            } else {
                vec![drive(1), drive(3)]
            },
            may_move: !n.is_multiple_of(11),
        };
        let (mut levels, mut sample) = (levels(4, &[]), Sample::default());
        for n in 0..20_000 {
            sample.meet(&mut levels, wide(n));
        }
        let held: u64 = (0..20_000).filter(|n| n % 5 != 0).map(|n| wide(n).bytes).sum();
        assert_eq!(levels[&drive(3)].held, held, "all are counted");
        let kept = sample.into_holdings();
        assert!(kept.len() < 1000, "{} are kept", kept.len());
        assert!(kept.iter().all(|holding| holding.may_move));
        for pair in [(1, 2), (1, 4), (2, 1), (2, 3), (3, 4)].map(|(a, b)| (drive(a), drive(b))) {
            let of_pair = |h: &&Holding| h.drives.contains(&pair.0) && !h.drives.contains(&pair.1);
            let smallest = kept.iter().filter(of_pair).map(|h| h.bytes).min();
            let all = (0..20_000).map(wide).filter(|h| h.may_move && of_pair(&h));
            assert_eq!(smallest, all.map(|h| h.bytes).min(), "{pair:?}");
            assert!(kept.iter().filter(of_pair).any(|h| h.bytes >= 256), "{pair:?}");
        }
    }
}
