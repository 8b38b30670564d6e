//! Segments: one set of shard files in lockstep, one per drive of the segment's own list. Here stripes are written to
//! and read from drives; what the bodies mean and who owns them is never asked.

mod body;
mod damage;
mod drives;
mod gather;
mod lateness;
mod layout;
mod reader;
mod shard_read;
mod staged;
#[cfg(test)]
mod tests;
mod writer;

pub use body::{Ground, PutBodyError, StagedBody, put_body};
pub use damage::{Damage, DamageSink, Why};
pub use drives::{Drives, PresentDrive};
pub use layout::{StripePart, piece_file_bytes, stripe_file_bytes, stripes_of};
use minicbor::{Decode, Encode};

use super::erasure::Geometry;
use super::id::{DriveId, SegmentId};
pub use reader::{SegmentReadError, SegmentReader};
pub use staged::StagedSegment;
pub use writer::{NewSegment, SegmentWriter, WriteError, on_drive};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Encode, Decode)]
#[cbor(index_only)]
pub enum SegmentKind {
    #[n(1)]
    Log,
    #[n(2)]
    Extent,
    #[n(3)]
    Pack,
    #[n(4)]
    Checkpoint,
}

/// What must be known to read a segment. `drives[i]` is a hint where shard i is.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Segment {
    #[n(0)]
    pub id: SegmentId,
    #[n(1)]
    pub kind: SegmentKind,
    #[n(2)]
    pub geometry: Geometry,
    #[n(3)]
    pub drives: Vec<DriveId>,
    /// Shards that it would have if every drive of the store had taken part when it was made; `None`: so many as it has.
    /// One that was made while drives were away is written anew, wider, when they are back.
    #[n(4)]
    pub full_width: Option<u8>,
}

impl Segment {
    /// Made with fewer shards than the store had drives for.
    pub fn is_narrow(&self) -> bool {
        self.full_width
            .is_some_and(|width| usize::from(width) > self.geometry.shards())
    }
}

/// A run of a body inside one segment: consecutive stripes, all full but the last.
/// `offset` is where the first stripe's frame stands in every shard file; `len` counts data bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub struct Piece {
    #[n(0)]
    pub segment: SegmentId,
    #[n(1)]
    pub offset: u64,
    #[n(2)]
    pub len: u64,
}

#[cfg(test)]
mod form {
    use super::*;
    use crate::embedded::record::{from_cbor, to_cbor};

    /// As every store has it that was made before segments said how wide they could have been.
    const OLD: &[u8] = &[
        0x84, 0x50, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 0x02, 0x83, 2, 1, 0x1a, 0, 2, 0, 0, 0x81, 0x50, 9,
        9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9,
    ];

    #[test]
    fn a_segment_from_before_is_read_as_wide_as_it_is_and_written_as_it_was() {
        let old: Segment = from_cbor("segment", OLD).unwrap();
        assert_eq!((old.full_width, old.is_narrow()), (None, false));
        assert_eq!(to_cbor(&old), OLD);
        let narrow = Segment {
            full_width: Some(4),
            ..old
        };
        assert!(narrow.is_narrow());
        let bytes = to_cbor(&narrow);
        assert_eq!((bytes[0], bytes.last()), (0x85, Some(&4)));
        assert_eq!(from_cbor::<Segment>("segment", &bytes).unwrap(), narrow);
    }
}
