//! Is this what a first format leaves on a drive that was cut off before its root was there? Pure: what stands in a
//! drive's folder, in; yes, or why not, out.
//!
//! A store that ever was one has more: each start begins a log segment of a later epoch before anything is written. So
//! files of the first epoch alone hold no data, and a format may begin anew in their place, if that is all that any of
//! the given paths holds.

use super::format::FIRST_EPOCH;
use crate::embedded::drive::Leftover;
use crate::embedded::frame::ShardHeader;
use crate::embedded::root::{decode_slot, is_newer_slot};
use crate::embedded::segment::SegmentKind;

/// No file of a first format is longer: its log and its checkpoint hold nothing yet.
const FIRST_FILE_BYTES_MAX: u64 = 64 * 1024;

/// Whether everything here was left by a first format.
///
/// # Errors
/// What speaks against it.
pub fn left_by_a_first_format(leftovers: &[Leftover]) -> Result<(), String> {
    leftovers.iter().try_for_each(|leftover| match leftover {
        Leftover::FirstRoot(bytes) if decode_slot(bytes).is_err() && !is_newer_slot(bytes) => Ok(()),
        Leftover::FirstRoot(_) => Err("its root can be read".to_owned()),
        Leftover::Other(name) => Err(format!("a first format makes no '{name}'")),
        Leftover::Shard {
            kind, segment, shard, ..
        } if !matches!(kind, SegmentKind::Log | SegmentKind::Checkpoint) => {
            Err(format!("it holds shard {shard} of {segment}, a body's"))
        }
        Leftover::Shard { hollow: true, .. } => Ok(()),
        // What stands behind the header reached media before it.
        Leftover::Shard { head, len, .. } if *len <= FIRST_FILE_BYTES_MAX && head.iter().all(|byte| *byte == 0) => {
            Ok(())
        }
        Leftover::Shard {
            kind,
            segment,
            shard,
            head,
            ..
        } => match ShardHeader::decode(*segment, *shard, head) {
            Ok(header) if header.kind == *kind && header.created_epoch == FIRST_EPOCH => Ok(()),
            Ok(header) => Err(format!(
                "shard {shard} of {segment} was made in epoch {}",
                header.created_epoch
            )),
            Err(error) => Err(format!("shard {shard} of {segment} cannot be read: {error}")),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::erasure::Geometry;
    use crate::embedded::frame::FORMAT_VERSION;
    use crate::embedded::id::{SegmentId, StoreId};

    fn shard(kind: SegmentKind, epoch: u64) -> Leftover {
        let segment = SegmentId::from_bytes([7; 16]);
        let header = ShardHeader {
            format: FORMAT_VERSION,
            store: StoreId::from_bytes([1; 16]),
            segment,
            kind,
            shard: 2,
            geometry: Geometry::for_log(4, 2).unwrap(),
            created_epoch: epoch,
        };
        Leftover::Shard {
            kind,
            segment,
            shard: 2,
            head: header.encode(),
            len: 12288,
            hollow: false,
        }
    }

    fn hollow(of: Leftover) -> Leftover {
        match of {
            Leftover::Shard {
                kind, segment, shard, ..
            } => Leftover::Shard {
                kind,
                segment,
                shard,
                head: vec![0; 12],
                len: 12,
                hollow: true,
            },
            other => other,
        }
    }

    fn headless(of: Leftover, len: u64) -> Leftover {
        match of {
            Leftover::Shard {
                kind, segment, shard, ..
            } => Leftover::Shard {
                kind,
                segment,
                shard,
                head: vec![0; 4096],
                len,
                hollow: false,
            },
            other => other,
        }
    }

    fn first_root() -> Vec<u8> {
        use crate::embedded::id::DriveId;
        use crate::embedded::root::{RootSlot, encode_slot};
        let root = crate::embedded::root::tests_support::root(1, 4);
        let drive = DriveId::from_bytes([1; 16]);
        encode_slot(&RootSlot { drive, root })
    }

    #[test]
    fn files_of_the_first_epoch_and_hollow_ones_were_left_by_a_first_format() {
        let left = [
            shard(SegmentKind::Log, 1),
            shard(SegmentKind::Checkpoint, 1),
            hollow(shard(SegmentKind::Log, 9)),
            headless(shard(SegmentKind::Checkpoint, 1), 12288),
            Leftover::FirstRoot(vec![0; 600]),
            Leftover::FirstRoot(first_root()[..100].to_vec()),
        ];
        assert_eq!(left_by_a_first_format(&left), Ok(()));
        assert_eq!(left_by_a_first_format(&[]), Ok(()));
    }

    #[test]
    fn anything_that_a_store_could_have_written_was_not() {
        let Leftover::Shard {
            kind,
            segment,
            shard: index,
            mut head,
            len,
            hollow,
        } = shard(SegmentKind::Log, 1)
        else {
            unreachable!("it is a shard")
        };
        head[60] ^= 1;
        let damaged = Leftover::Shard {
            kind,
            segment,
            shard: index,
            head,
            len,
            hollow,
        };
        for one in [
            shard(SegmentKind::Log, 2),
            shard(SegmentKind::Checkpoint, 3),
            shard(SegmentKind::Extent, 1),
            hollow_extent(),
            damaged,
            headless(shard(SegmentKind::Log, 1), 1 << 20),
            headless(shard(SegmentKind::Extent, 1), 12288),
            Leftover::FirstRoot(first_root()),
            Leftover::Other("index".into()),
            Leftover::Other("root.1".into()),
        ] {
            let told = left_by_a_first_format(&[shard(SegmentKind::Log, 1), one.clone()]);
            assert!(told.is_err(), "{one:?}");
        }
    }

    fn hollow_extent() -> Leftover {
        hollow(shard(SegmentKind::Extent, 1))
    }
}
