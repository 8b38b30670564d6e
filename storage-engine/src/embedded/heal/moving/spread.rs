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
}
