//! How much space each file system must keep, so that deletes, checkpoints, compaction and the index can always go on.
//! Pure arithmetic; directories that share a file system share its space and each add to what it must keep.

use std::collections::BTreeMap;

/// Log segments per drive that must still fit.
const LOG_SEGMENTS: u64 = 2;

/// A drive's part in its file system.
#[derive(Clone, Copy, Debug)]
pub struct DriveSpace {
    /// Names the file system; drives with one number share it.
    pub device: u64,
    pub free: u64,
    /// The index lives on the same file system, beside this drive or in its own directory.
    pub holds_index: bool,
}

/// What must stay possible.
#[derive(Clone, Copy, Debug)]
pub struct Reserve {
    /// Bytes of one shard file of the next checkpoint.
    pub checkpoint_shard_bytes: u64,
    /// Bytes the index takes when it is built anew.
    pub index_bytes: u64,
    /// Longest shard file of a log segment.
    pub log_segment_bytes: u64,
}

/// A file system with its share of the reserve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileSystem {
    pub free: u64,
    pub reserve: u64,
}

impl FileSystem {
    /// Below the reserve its drives take no extents and new bodies are refused; log, checkpoint and index go on.
    pub fn is_short(&self) -> bool {
        self.free < self.reserve
    }

    /// Whether `bytes` more, over all drives on it, leave the reserve whole.
    pub fn takes(&self, bytes: u64) -> bool {
        self.free.checked_sub(bytes).is_some_and(|left| left >= self.reserve)
    }
}

/// Every file system with what it must keep, by device.
pub fn reserves(drives: &[DriveSpace], reserve: &Reserve) -> BTreeMap<u64, FileSystem> {
    let mut systems: BTreeMap<u64, FileSystem> = BTreeMap::new();
    let mut indexed: BTreeMap<u64, u64> = BTreeMap::new();
    for drive in drives {
        let system = systems.entry(drive.device).or_insert(FileSystem {
            free: drive.free,
            reserve: 0,
        });
        system.free = system.free.min(drive.free);
        let log = reserve.log_segment_bytes.saturating_mul(LOG_SEGMENTS);
        system.reserve = system
            .reserve
            .saturating_add(reserve.checkpoint_shard_bytes)
            .saturating_add(log);
        if drive.holds_index {
            indexed.insert(drive.device, reserve.index_bytes);
        }
    }
    for (device, bytes) in indexed {
        if let Some(system) = systems.get_mut(&device) {
            system.reserve = system.reserve.saturating_add(bytes);
        }
    }
    systems
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESERVE: Reserve = Reserve {
        checkpoint_shard_bytes: 10,
        index_bytes: 7,
        log_segment_bytes: 64,
    };

    #[test]
    fn drives_on_one_file_system_add_up_and_the_index_counts_once() {
        let drive = |device, free, holds_index| DriveSpace {
            device,
            free,
            holds_index,
        };
        let systems = reserves(
            &[drive(1, 300, true), drive(1, 299, true), drive(2, 500, false)],
            &RESERVE,
        );
        assert_eq!(
            systems[&1],
            FileSystem {
                free: 299,
                reserve: 2 * (10 + 128) + 7
            }
        );
        assert_eq!(
            systems[&2],
            FileSystem {
                free: 500,
                reserve: 138
            }
        );
    }

    #[test]
    fn a_file_system_is_short_below_its_reserve_and_takes_only_what_leaves_it_whole() {
        let system = FileSystem { free: 100, reserve: 60 };
        assert!(!system.is_short() && system.takes(40) && !system.takes(41) && !system.takes(200));
        assert!(FileSystem { free: 59, reserve: 60 }.is_short());
        assert!(!FileSystem { free: 60, reserve: 60 }.is_short());
    }
}
