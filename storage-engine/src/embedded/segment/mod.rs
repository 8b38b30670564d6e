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
