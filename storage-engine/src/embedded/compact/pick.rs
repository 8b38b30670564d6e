//! Which segments to compact. Pure.

use crate::embedded::id::SegmentId;
use crate::embedded::segment::SegmentKind;

/// Most live bytes moved in one round.
const ROUND_BYTES_MAX: u64 = 256 << 20;

/// A segment that may be compacted.
#[derive(Clone, Copy, Debug)]
pub struct Candidate {
    pub id: SegmentId,
    pub kind: SegmentKind,
    /// Nothing is written to it any more.
    pub sealed: bool,
    pub live: u64,
    /// Bytes of all bodies in it, dead or alive.
    pub stored: u64,
}

/// The segments whose live bodies should move now, the emptiest first: those under half live; under pressure any from
/// which something is to be won. What has nothing live needs no moving. Checkpoints and extents are never compacted:
/// an extent holds one body.
pub fn pick(candidates: &[Candidate], pressure: bool) -> Vec<SegmentId> {
    let fits = |c: &&Candidate| {
        let small_bodies = match c.kind {
            SegmentKind::Log | SegmentKind::Pack => true,
            SegmentKind::Extent | SegmentKind::Checkpoint => false,
        };
        let worth = if pressure {
            c.live < c.stored
        } else {
            c.live < c.stored / 2
        };
        small_bodies && c.sealed && c.live > 0 && worth
    };
    let mut picked: Vec<&Candidate> = candidates.iter().filter(fits).collect();
    // live / stored, compared without dividing.
    picked.sort_by_key(|c| (u128::from(c.live) << 64) / u128::from(c.stored.max(1)));
    let mut bytes = 0;
    let within = |c: &&&Candidate| {
        let first = bytes == 0;
        bytes += c.live;
        first || bytes <= ROUND_BYTES_MAX
    };
    picked.iter().take_while(within).map(|c| c.id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::table::tests::segment;

    fn candidate(n: u8, live: u64, stored: u64) -> Candidate {
        Candidate {
            id: segment(n).id,
            kind: SegmentKind::Log,
            sealed: true,
            live,
            stored,
        }
    }

    fn ids(ns: &[u8]) -> Vec<SegmentId> {
        ns.iter().map(|n| segment(*n).id).collect()
    }

    #[test]
    fn under_half_live_moves_the_emptiest_first() {
        let all = [
            candidate(1, 50, 100),
            candidate(2, 49, 100),
            candidate(3, 1, 100),
            candidate(4, 0, 100),
        ];
        assert_eq!(pick(&all, false), ids(&[3, 2]));
        assert_eq!(pick(&all, true), ids(&[3, 2, 1]));
        assert!(pick(&[candidate(1, 100, 100)], true).is_empty(), "nothing is to be won");
    }

    #[test]
    fn open_segments_extents_and_checkpoints_stay() {
        let open = Candidate {
            sealed: false,
            ..candidate(1, 1, 100)
        };
        let extent = Candidate {
            kind: SegmentKind::Extent,
            ..candidate(2, 1, 100)
        };
        let checkpoint = Candidate {
            kind: SegmentKind::Checkpoint,
            ..candidate(3, 1, 100)
        };
        let pack = Candidate {
            kind: SegmentKind::Pack,
            ..candidate(4, 1, 100)
        };
        assert_eq!(pick(&[open, extent, checkpoint, pack], true), ids(&[4]));
    }

    #[test]
    fn a_round_is_bounded_but_never_empty() {
        let large = |n, live| candidate(n, live, 4 << 30);
        assert_eq!(pick(&[large(1, 200 << 20), large(2, 201 << 20)], false), ids(&[1]));
        assert_eq!(pick(&[large(1, 300 << 20)], false), ids(&[1]));
    }
}
