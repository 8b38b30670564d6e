//! How far the files of each drive have been verified: a pass over all segments that a drive has a part of, spread over
//! days, and kept on the drive itself so that a restart goes on where it stopped. What is kept decides nothing about what
//! the store holds.

use std::collections::BTreeSet;
use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use minicbor::{Decode, Encode};

use crate::embedded::drive::Drive;
use crate::embedded::id::SegmentId;
use crate::embedded::record::{from_cbor, to_cbor};

const MAGIC: &[u8; 8] = b"DSSCRUB1";
const HEADER_BYTES: usize = 12;

/// Seconds since 1970.
pub(super) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

/// Notes on a drive that all its files have to be verified, from the first on. It must stand there before a root calls
/// the drive in again: that root makes it look like one that never was away. Blocks.
pub(in crate::embedded) fn keep_doubt(drive: &Drive) -> io::Result<()> {
    let kept = drive.read_scrub().ok().flatten();
    let pass = kept.and_then(|bytes| Pass::decode(&bytes)).unwrap_or_default();
    match drive.write_scrub(&pass.anew(now(), true).encode()) {
        // One that says nothing means the same.
        Err(full) if matches!(full.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => {
            drive.empty_scrub()
        }
        written => written,
    }
}

/// Where the pass over one drive stands. Times are seconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Pass {
    #[n(0)]
    pub(super) began: u64,
    /// The last segment that was verified; they are taken in the order of their ids.
    #[n(1)]
    pub(super) upto: Option<SegmentId>,
    /// When the last whole pass ended.
    #[n(2)]
    pub(super) passed: Option<u64>,
    /// The drive was out or behind when this pass began: it does not wait for its time.
    #[n(3)]
    pub(super) in_doubt: bool,
}

impl Pass {
    /// A pass from the beginning.
    pub(super) fn anew(self, now: u64, in_doubt: bool) -> Self {
        Self {
            began: now,
            upto: None,
            in_doubt,
            ..self
        }
    }

    /// The pass is through: the next one begins.
    pub(super) fn ended(now: u64) -> Self {
        Self {
            began: now,
            upto: None,
            passed: Some(now),
            in_doubt: false,
        }
    }

    /// The segments of `held` that this pass has not verified.
    pub(super) fn left(self, held: &BTreeSet<SegmentId>) -> Vec<SegmentId> {
        let behind = |id: &&SegmentId| self.upto.is_none_or(|upto| **id > upto);
        held.iter().filter(behind).copied().collect()
    }

    /// How many of `total` segments should be verified by now, so that the pass takes `within`.
    pub(super) fn due(self, total: usize, now: u64, within: Duration) -> usize {
        let elapsed = now.saturating_sub(self.began) as f64;
        let share = (elapsed / within.as_secs_f64().max(1.0)).min(1.0);
        (total as f64 * share) as usize
    }

    /// What is kept on the drive.
    pub fn encode(self) -> Vec<u8> {
        let payload = to_cbor(&self);
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&crc32fast::hash(&payload).to_le_bytes());
        bytes.extend_from_slice(&payload);
        bytes
    }

    /// `None` if the bytes are not whole: the drive is then in doubt.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (header, payload) = bytes.split_at_checked(HEADER_BYTES)?;
        let crc = header.strip_prefix(MAGIC)?;
        let whole = crc == crc32fast::hash(payload).to_le_bytes();
        from_cbor("scrub", payload).ok().filter(|_| whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u8) -> SegmentId {
        SegmentId::from_bytes([n; 16])
    }

    #[test]
    fn a_pass_goes_on_behind_the_last_segment_and_is_spread_over_its_time() {
        let held: BTreeSet<SegmentId> = (1..=8).map(id).collect();
        let week = Duration::from_secs(7 * 86_400);
        let pass = Pass {
            upto: Some(id(6)),
            ..Pass::default().anew(1000, false)
        };
        assert_eq!(pass.left(&held), [id(7), id(8)]);
        assert_eq!(Pass::default().left(&held).len(), 8);
        assert_eq!(pass.due(8, 1000, week), 0);
        assert_eq!(pass.due(8, 1000 + 7 * 43_200, week), 4);
        assert_eq!(pass.due(8, 1000 + 70 * 86_400, week), 8);
        assert_eq!(pass.due(8, 10, week), 0, "the clock went back");
    }

    #[test]
    fn what_is_kept_is_read_back_or_counts_as_nothing() {
        let pass = Pass {
            upto: Some(id(3)),
            ..Pass::ended(77).anew(78, true)
        };
        let bytes = pass.encode();
        assert_eq!(Pass::decode(&bytes), Some(pass));
        for at in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[at] ^= 1;
            assert_eq!(Pass::decode(&bad), None, "{at}");
            assert_eq!(Pass::decode(&bytes[..at]), None);
        }
    }
}
