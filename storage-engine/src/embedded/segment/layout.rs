//! Where the stripes of a piece stand. Pure arithmetic.

use std::ops::Range;

use super::Piece;
use crate::embedded::erasure::Geometry;
use crate::embedded::frame::FRAME_HEADER_BYTES;

/// A stripe, and the part of its data that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StripePart {
    /// Where its frames stand in every shard file.
    pub offset: u64,
    /// Data bytes of the whole stripe.
    pub data_len: usize,
    /// The wanted bytes of its data.
    pub wanted: Range<usize>,
}

/// Bytes a stripe with `data_len` bytes of data takes in every shard file.
pub fn stripe_file_bytes(geometry: Geometry, data_len: usize) -> u64 {
    (FRAME_HEADER_BYTES + geometry.shard_bytes(data_len)) as u64
}

/// Bytes a piece with `len` bytes of data takes in every shard file.
pub fn piece_file_bytes(geometry: Geometry, len: u64) -> u64 {
    let full = geometry.stripe_bytes_max().max(1) as u64;
    let last = (len % full) as usize;
    let last_bytes = if last == 0 {
        0
    } else {
        stripe_file_bytes(geometry, last)
    };
    (len / full).saturating_mul(stripe_file_bytes(geometry, full as usize)) + last_bytes
}

/// The stripes that hold the bytes `range` of a piece, in order; bytes behind the piece's end are left out.
pub fn stripes_of(geometry: Geometry, piece: Piece, range: Range<u64>) -> impl Iterator<Item = StripePart> {
    let full = geometry.stripe_bytes_max().max(1) as u64;
    let step = stripe_file_bytes(geometry, full as usize);
    let end = range.end.min(piece.len);
    let start = range.start.min(end);
    let indices = if start == end {
        0..0
    } else {
        start / full..end.div_ceil(full)
    };
    indices.map(move |index| {
        let begin = index * full;
        let data_len = full.min(piece.len - begin);
        let from = start.saturating_sub(begin);
        let to = (end - begin).min(data_len);
        StripePart {
            offset: piece.offset.saturating_add(index.saturating_mul(step)),
            data_len: data_len as usize,
            wanted: from as usize..to as usize,
        }
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::embedded::id::SegmentId;

    const GEOMETRY: Geometry = Geometry {
        data: 2,
        parity: 1,
        unit: 100,
    };

    fn piece(len: u64) -> Piece {
        Piece {
            segment: SegmentId::from_bytes([1; 16]),
            offset: 4096,
            len,
        }
    }

    fn part(offset: u64, data_len: usize, wanted: Range<usize>) -> StripePart {
        StripePart {
            offset,
            data_len,
            wanted,
        }
    }

    #[test]
    fn stripes_follow_back_to_back_and_the_last_may_be_short() {
        let all: Vec<StripePart> = stripes_of(GEOMETRY, piece(450), 0..450).collect();
        let expected = [part(4096, 200, 0..200), part(4244, 200, 0..200), part(4392, 50, 0..50)];
        assert_eq!(all, expected);
        assert_eq!(piece_file_bytes(GEOMETRY, 450), 148 + 148 + 73);
    }

    #[test]
    fn a_range_touches_only_its_stripes() {
        let some: Vec<StripePart> = stripes_of(GEOMETRY, piece(450), 199..201).collect();
        assert_eq!(some, [part(4096, 200, 199..200), part(4244, 200, 0..1)]);
        assert_eq!(stripes_of(GEOMETRY, piece(450), 400..u64::MAX).count(), 1);
        assert_eq!(stripes_of(GEOMETRY, piece(450), 450..460).count(), 0);
        assert_eq!(stripes_of(GEOMETRY, piece(0), 0..0).count(), 0);
    }

    proptest! {
        #[test]
        fn the_wanted_bytes_of_all_stripes_are_the_range(len in 0u64..2000, a in 0u64..2000, b in 0u64..2000) {
            let (start, end) = (a.min(b).min(len), a.max(b).min(len));
            let wanted: usize = stripes_of(GEOMETRY, piece(len), start..end).map(|s| s.wanted.len()).sum();
            prop_assert_eq!(wanted as u64, end - start);
            let bytes: u64 = stripes_of(GEOMETRY, piece(len), 0..len).map(|s| stripe_file_bytes(GEOMETRY, s.data_len)).sum();
            prop_assert_eq!(bytes, piece_file_bytes(GEOMETRY, len));
        }
    }
}
