//! How many shards a stripe has and how long they are. Pure arithmetic on counts.

use minicbor::{Decode, Encode};

/// Most data shards of a log segment: a 4 KiB object must not cost a dozen reads.
const LOG_DATA_SHARDS_MAX: usize = 4;
/// Most shards of an extent.
pub const EXTENT_SHARDS_MAX: usize = 16;

/// k data shards and m parity shards, with at most `unit` bytes per shard and stripe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub struct Geometry {
    #[n(0)]
    pub data: u8,
    #[n(1)]
    pub parity: u8,
    #[n(2)]
    pub unit: u32,
}

/// The number of parity shards m for a store formatted with `members` drives when the operator names none.
pub fn default_parity(members: usize) -> u8 {
    match members {
        0 | 1 => 0,
        2 | 3 => 1,
        4 | 5 => 2,
        6 | 7 => 3,
        _ => 4,
    }
}

impl Geometry {
    fn new(data: usize, parity: u8) -> Option<Self> {
        let data = u8::try_from(data).ok().filter(|k| *k >= 1)?;
        let unit = if data < 4 { 128 * 1024 } else { 64 * 1024 };
        Some(Self { data, parity, unit })
    }

    /// Geometry of a new log segment with `usable` drives; `None` if there are not even m+1.
    pub fn for_log(usable: usize, parity: u8) -> Option<Self> {
        Self::new(
            usable.checked_sub(usize::from(parity))?.min(LOG_DATA_SHARDS_MAX),
            parity,
        )
    }

    /// Geometry of a new extent, pack or checkpoint with `usable` drives; `None` if there are not even m+1.
    pub fn for_extent(usable: usize, parity: u8) -> Option<Self> {
        Self::new(usable.min(EXTENT_SHARDS_MAX).checked_sub(usize::from(parity))?, parity)
    }

    /// The shards of `full`, where this has fewer.
    pub fn short_of(&self, full: Option<Self>) -> Option<u8> {
        let full = full.filter(|full| full.shards() > self.shards())?;
        u8::try_from(full.shards()).ok()
    }

    /// k + m.
    pub fn shards(&self) -> usize {
        usize::from(self.data) + usize::from(self.parity)
    }

    /// Most data bytes one stripe holds.
    pub fn stripe_bytes_max(&self) -> usize {
        usize::from(self.data) * self.unit as usize
    }

    /// Payload bytes of each shard of a stripe with `data_bytes` bytes of data.
    pub fn shard_bytes(&self, data_bytes: usize) -> usize {
        data_bytes.div_ceil(usize::from(self.data).max(1))
    }
}
