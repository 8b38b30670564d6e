//! What a read found broken. A read makes it good from other shards; this is how whoever heals learns of it.

use crate::embedded::frame::FrameError;
use crate::embedded::id::{DriveId, SegmentId};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// The drive is present but has no such shard file.
    Missing,
    /// The drive answered with an error.
    Unreadable(String),
    /// What was read does not verify.
    Frame(FrameError),
}

/// A shard of a stripe that could not be used where it should have been.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    pub segment: SegmentId,
    pub shard: u8,
    pub drive: DriveId,
    /// Offset of the frame in the shard file.
    pub offset: u64,
    pub why: Why,
}

/// Takes reports of damage. It is called on the path of reads and must not block.
pub trait DamageSink: Send + Sync {
    fn damaged(&self, damage: Damage);

    /// A read of this drive took so long that others are read in its place.
    fn late(&self, drive: DriveId);
}
