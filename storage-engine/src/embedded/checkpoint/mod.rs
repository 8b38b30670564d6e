//! Checkpoints: all standing rows and the segment table at one position of the log, as one body in a segment of its
//! own. They are merged from the previous checkpoint and the log after it, never from the index, and are named in the
//! root only after they were read back from the drives. This folder never decides when one is due.

use minicbor::{Decode, Encode};

use super::id::SegmentId;
use super::segment::{Piece, Segment};

/// A place between two records of the log: everything before it is included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Position {
    /// The log segment.
    #[n(0)]
    pub segment: SegmentId,
    /// Offset in its shard files where the next record stands.
    #[n(1)]
    pub offset: u64,
    /// Sequence number of the last batch that is included; 0 if there is none.
    #[n(2)]
    pub seq: u64,
    /// Epoch of the root that opened the segment.
    #[n(3)]
    pub epoch: u64,
}

/// Where a checkpoint is and what it must be; stands in the root.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct CheckpointRef {
    #[n(0)]
    pub segment: Segment,
    #[n(1)]
    pub piece: Piece,
    #[n(2)]
    pub position: Position,
    /// Number of rows.
    #[n(3)]
    pub rows: u64,
    /// CRC-32 of all bytes of the piece.
    #[n(4)]
    pub crc: u32,
}

mod codec;
mod delta;
mod merge;
mod stream;

pub use codec::{CheckpointEntry, Decoder, Encoder, End};
pub use delta::LogDelta;
pub use merge::{Difference, Merge, MergeError, differences};
pub use stream::{CheckpointError, CheckpointReader, CheckpointSink, Written, write_merged};
