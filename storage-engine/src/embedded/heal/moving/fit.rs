//! Whether what is on drives that are to be empty has room on the others. Pure: what each has, and the room of the drives
//! that stay, in; the bytes that would find no place, out.

use crate::embedded::compact::Room;
use crate::embedded::erasure::Geometry;
use crate::embedded::id::DriveId;

/// A segment with shards on drives that are to be empty.
#[derive(Clone, Debug)]
pub(super) struct Burden {
    pub(super) shards: usize,
    /// Bytes of bodies that rows own in it.
    pub(super) live: u64,
    /// About the bytes of one of its shard files.
    pub(super) file_bytes: u64,
    /// Of its drives those that are to be empty, and those that stay.
    pub(super) leaving: Vec<DriveId>,
    pub(super) staying: Vec<DriveId>,
}

/// The drives that stay.
#[derive(Clone, Debug)]
pub(super) struct Rest {
    /// Members that are not to be empty, here or not.
    pub(super) members: usize,
    /// Those that are here and take new segments.
    pub(super) usable: Vec<DriveId>,
    /// Of new segments.
    pub(super) parity: u8,
}

impl Rest {
    /// Counts one segment as it will be; gives the bytes that have no place. One that fits the drives moves shard by shard;
    /// a wider one is written anew as wide as they allow, and what it leaves is free then.
    fn take(&self, room: &mut Room, burden: &Burden) -> u64 {
        if burden.shards > self.members {
            let Some(geometry) = Geometry::for_extent(self.usable.len(), self.parity) else {
                return burden.live;
            };
            let each = burden.live.div_ceil(u64::from(geometry.data).max(1));
            if !room.spend_shards(&self.usable, geometry.shards(), each) {
                return each.saturating_mul(geometry.shards() as u64);
            }
            for drive in burden.leaving.iter().chain(&burden.staying) {
                room.give_back(*drive, burden.file_bytes);
            }
            return 0;
        }
        let mut short = 0;
        let mut free: Vec<DriveId> = self.usable.clone();
        free.retain(|drive| !burden.staying.contains(drive));
        for leaving in &burden.leaving {
            // Where no drive is free now, one that is away has to come back: that is no want of room.
            let Some(at) = (0..free.len()).max_by_key(|at| free.get(*at).map(|drive| room.on(*drive))) else {
                break;
            };
            let to = free.swap_remove(at);
            match room.spend(to, burden.file_bytes) {
                true => room.give_back(*leaving, burden.file_bytes),
                false => short += burden.file_bytes,
            }
        }
        short
    }
}

/// The bytes of shard files that would find no place.
pub(super) fn without_place(mut room: Room, rest: &Rest, burdens: impl IntoIterator<Item = Burden>) -> u64 {
    burdens.into_iter().map(|burden| rest.take(&mut room, &burden)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::compact::{DriveSpace, Reserve};

    fn id(n: u8) -> DriveId {
        DriveId::from_bytes([n; 16])
    }

    /// Drives from 1 on, each on its own file system with so much free above the 128 that it keeps.
    fn room(free: &[u64]) -> Room {
        let reserve = Reserve {
            checkpoint_shard_bytes: 0,
            index_bytes: 0,
            log_segment_bytes: 64,
        };
        let space = |(n, free): (u8, &u64)| {
            let space = DriveSpace {
                device: u64::from(n),
                free: 128 + free,
                holds_index: false,
            };
            (id(n), space)
        };
        let drives: Vec<(DriveId, DriveSpace)> = (1u8..).zip(free).map(space).collect();
        Room::of(&drives, &reserve)
    }

    /// Drive 1 leaves; so many stay. EC:2.
    fn rest(members: u8) -> Rest {
        Rest {
            members: usize::from(members),
            usable: (2..=members + 1).map(id).collect(),
            parity: 2,
        }
    }

    fn burden(live: u64, file_bytes: u64, drives: &[u8]) -> Burden {
        Burden {
            shards: drives.len(),
            live,
            file_bytes,
            leaving: vec![id(1)],
            staying: drives.iter().filter(|n| **n != 1).map(|n| id(*n)).collect(),
        }
    }

    #[test]
    fn a_shard_moves_to_the_roomiest_drive_that_has_none() {
        let four = |count| vec![burden(20, 10, &[1, 2, 3, 4]); count];
        assert_eq!(without_place(room(&[0, 99, 99, 99, 30, 10]), &rest(5), four(4)), 0);
        assert_eq!(
            without_place(room(&[0, 99, 99, 99, 30, 10]), &rest(5), four(5)),
            10,
            "the others have a shard of it"
        );
    }

    #[test]
    fn what_is_wider_than_the_rest_is_counted_as_wide_as_the_rest_allows() {
        // 3+2 on five: 10 on each. On four it is 2+2: 15 on each, and 10 come back.
        let wide = |count| vec![burden(30, 10, &[1, 2, 3, 4, 5]); count];
        assert_eq!(without_place(room(&[0, 15, 15, 15, 15]), &rest(4), wide(1)), 0);
        assert_eq!(without_place(room(&[0, 20, 20, 20, 20]), &rest(4), wide(2)), 0);
        assert_eq!(without_place(room(&[0, 19, 20, 20, 20]), &rest(4), wide(2)), 60);
        assert_eq!(
            without_place(room(&[0, 14, 900, 900, 900]), &rest(4), wide(1)),
            60,
            "all four must take it"
        );
    }

    #[test]
    fn a_drive_that_has_to_come_back_first_is_no_want_of_room() {
        let away = Rest {
            usable: vec![id(2), id(3), id(4)],
            ..rest(4)
        };
        assert_eq!(
            without_place(room(&[0, 0, 0, 0]), &away, [burden(20, 10, &[1, 2, 3, 4])]),
            0
        );
    }
}
