//! How much space each file system must keep, so that deletes, checkpoints, compaction and the index can always go on.
//! Pure arithmetic; directories that share a file system share its space and each add to what it must keep.

use std::collections::BTreeMap;

use crate::embedded::id::DriveId;

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

/// What the drives take above what their file systems must keep, as it was at one look; what is planned is taken off it.
#[derive(Clone, Debug, Default)]
pub struct Room {
    systems: BTreeMap<u64, FileSystem>,
    devices: BTreeMap<DriveId, u64>,
}

impl Room {
    pub fn of(drives: &[(DriveId, DriveSpace)], reserve: &Reserve) -> Self {
        let spaces: Vec<DriveSpace> = drives.iter().map(|(_, space)| *space).collect();
        Self {
            systems: reserves(&spaces, reserve),
            devices: drives.iter().map(|(id, space)| (*id, space.device)).collect(),
        }
    }

    /// Some file system is below its reserve.
    pub fn is_short(&self) -> bool {
        self.systems.values().any(FileSystem::is_short)
    }

    /// Whether a drive was seen.
    pub fn knows(&self, drive: DriveId) -> bool {
        self.devices.contains_key(&drive)
    }

    /// Bytes that a drive takes; 0 for one that was not seen. Drives on one file system have them together.
    pub fn on(&self, drive: DriveId) -> u64 {
        let system = self.devices.get(&drive).and_then(|device| self.systems.get(device));
        system.map_or(0, |system| system.free.saturating_sub(system.reserve))
    }

    /// Bytes of bodies that the store takes whichever drives they go to: a byte of a body takes at most one byte of each.
    pub fn for_bodies(&self) -> u64 {
        let sharing = |device: &u64| self.devices.values().filter(|other| *other == device).count() as u64;
        let left = self.systems.iter();
        let left = left.map(|(device, system)| system.free.saturating_sub(system.reserve) / sharing(device).max(1));
        left.min().unwrap_or(0)
    }

    /// Takes bytes off a drive; `false`, and nothing is taken, where it has no room for them.
    pub fn spend(&mut self, drive: DriveId, bytes: u64) -> bool {
        let device = self.devices.get(&drive);
        let system = device.and_then(|device| self.systems.get_mut(device));
        let Some(system) = system.filter(|system| system.takes(bytes)) else {
            return false;
        };
        system.free -= bytes;
        true
    }

    /// Something on a drive is gone.
    pub fn give_back(&mut self, drive: DriveId, bytes: u64) {
        let device = self.devices.get(&drive);
        if let Some(system) = device.and_then(|device| self.systems.get_mut(device)) {
            system.free = system.free.saturating_add(bytes);
        }
    }

    /// Takes the shards of a new segment off those of `drives` that have most room; `false`, and nothing is taken, where
    /// there are not so many that take one.
    pub fn spend_shards(&mut self, drives: &[DriveId], shards: usize, bytes_each: u64) -> bool {
        let mut roomiest: Vec<DriveId> = drives.to_vec();
        roomiest.sort_by_key(|drive| std::cmp::Reverse(self.on(*drive)));
        let mut spent = Vec::with_capacity(shards);
        for drive in roomiest.into_iter().take(shards) {
            if !self.spend(drive, bytes_each) {
                break;
            }
            spent.push(drive);
        }
        let all = spent.len() == shards;
        if !all {
            spent.into_iter().for_each(|drive| self.give_back(drive, bytes_each));
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u8) -> DriveId {
        DriveId::from_bytes([n; 16])
    }

    /// Drives 1 and 2 on one file system, 3 on its own; each keeps 138, and the first two the index.
    fn room(free: u64, free_on_3: u64) -> Room {
        let space = |device, free, holds_index| DriveSpace {
            device,
            free,
            holds_index,
        };
        let drives = [
            (id(1), space(1, free, true)),
            (id(2), space(1, free, false)),
            (id(3), space(2, free_on_3, false)),
        ];
        Room::of(&drives, &RESERVE)
    }

    #[test]
    fn what_one_drive_takes_is_gone_for_others_on_its_file_system() {
        let mut room = room(2 * 138 + 7 + 10, 138 + 100);
        assert_eq!(
            (room.on(id(1)), room.on(id(2)), room.on(id(3)), room.on(id(9))),
            (10, 10, 100, 0)
        );
        assert_eq!(room.for_bodies(), 5, "each byte of a body takes one of both");
        assert!(room.spend(id(1), 6) && !room.spend(id(2), 5) && room.spend(id(2), 4));
        room.give_back(id(1), 3);
        assert_eq!((room.on(id(2)), room.on(id(3))), (3, 100));
        assert!(!room.spend(id(9), 0), "one that was not seen takes nothing");
    }

    #[test]
    fn shards_go_to_the_roomiest_drives_or_nowhere() {
        let mut room = room(2 * 138 + 7 + 10, 138 + 100);
        assert!(room.spend_shards(&[id(1), id(3)], 1, 50));
        assert_eq!((room.on(id(1)), room.on(id(3))), (10, 50));
        assert!(
            !room.spend_shards(&[id(1), id(2), id(3)], 3, 6),
            "two of them share ten"
        );
        assert_eq!((room.on(id(1)), room.on(id(3))), (10, 50), "nothing is taken");
        assert!(!room.spend_shards(&[id(3)], 2, 1));
    }

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
