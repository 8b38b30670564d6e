//! What a root says, and its checksummed form in a slot.
//!
//! A slot is: magic (8 bytes) | slot version u32 | payload length u32 | CRC-32 of the payload u32 | CRC-32 of the 20
//! bytes before u32 | payload (CBOR of [`RootSlot`]). Integers are little-endian.

use std::path::Path;

use minicbor::{Decode, Encode};

use crate::embedded::checkpoint::CheckpointRef;
use crate::embedded::drive::MountFacts;
use crate::embedded::id::{DriveId, SegmentId, StoreId};
use crate::embedded::record::{DecodeError, from_cbor, to_cbor};
use crate::embedded::segment::Segment;

const MAGIC: &[u8; 8] = b"DSROOT01";
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 24;
/// Most drives a store may have.
pub const MEMBERS_MAX: usize = 256;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum MemberState {
    /// Takes new segments.
    #[n(0)]
    In,
    /// Failed or was late; takes nothing until a start finds it well.
    #[n(1)]
    Out,
    /// Serves what it has, takes nothing new; what it holds is moved to others.
    #[n(2)]
    Draining,
    /// Was being drained when it failed or was late: what it held is made anew on others.
    #[n(3)]
    DrainingOut,
}

impl MemberState {
    /// Segments that are made now may use it.
    pub fn takes_new(self) -> bool {
        match self {
            Self::In => true,
            Self::Out | Self::Draining | Self::DrainingOut => false,
        }
    }

    /// It takes part: roots are written to it and shards read from it.
    pub fn serves(self) -> bool {
        match self {
            Self::In | Self::Draining => true,
            Self::Out | Self::DrainingOut => false,
        }
    }

    /// The operator wants it empty.
    pub fn is_draining(self) -> bool {
        match self {
            Self::Draining | Self::DrainingOut => true,
            Self::In | Self::Out => false,
        }
    }

    /// As it is once the drive failed or was late.
    pub fn put_out(self) -> Self {
        match self {
            Self::In | Self::Out => Self::Out,
            Self::Draining | Self::DrainingOut => Self::DrainingOut,
        }
    }

    /// As it is once the drive answers again.
    pub fn taken_back(self) -> Self {
        match self {
            Self::In | Self::Out => Self::In,
            Self::Draining | Self::DrainingOut => Self::Draining,
        }
    }

    /// As it is once the operator wants the drive empty.
    pub fn drained(self) -> Self {
        match self {
            Self::In | Self::Draining => Self::Draining,
            Self::Out | Self::DrainingOut => Self::DrainingOut,
        }
    }

    /// As it is once the operator wants to keep the drive.
    pub fn kept(self) -> Self {
        match self {
            Self::In | Self::Draining => Self::In,
            Self::Out | Self::DrainingOut => Self::Out,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Member {
    #[n(0)]
    pub id: DriveId,
    #[n(1)]
    pub state: MemberState,
    /// How the drive was mounted when it came to its place; decides whether an empty directory may take its place.
    #[n(2)]
    pub mount: MountFacts,
    /// Where it was last seen; a hint for messages and adoption, never for identity.
    #[n(3)]
    pub path: String,
}

/// A log segment in the root's order. Exactly the last one may be open.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct LogSegment {
    #[n(0)]
    pub segment: Segment,
    /// Bytes from the start of every shard file that count; what lies beyond is void. `None`: this is the open one.
    #[n(1)]
    pub valid_len: Option<u64>,
    /// Epoch of the root that opened it: the high bits of its sequence numbers.
    #[n(2)]
    pub epoch: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Root {
    #[n(0)]
    pub store: StoreId,
    /// Raised by every change.
    #[n(1)]
    pub epoch: u64,
    /// Tells two roots of one epoch apart.
    #[n(2)]
    pub nonce: u64,
    /// Parity shards of new segments.
    #[n(3)]
    pub parity: u8,
    #[n(4)]
    pub members: Vec<Member>,
    /// The table before a change of membership, until a later root says that the change is settled.
    #[cbor(n(5), decode_with = "crate::cbor::known")]
    pub old_members: Option<Vec<Member>>,
    /// Drives that were replaced or removed: no members, never counted, never taken back by themselves.
    #[n(6)]
    pub gone: Vec<DriveId>,
    /// Log segments since the older kept checkpoint, oldest first.
    #[n(7)]
    pub log: Vec<LogSegment>,
    /// The last two checkpoints, oldest first.
    #[n(8)]
    pub checkpoints: Vec<CheckpointRef>,
    /// Shards are moved from fuller to emptier drives until they differ by at most so many percent.
    #[n(9)]
    pub rebalance: Option<u8>,
}

impl Root {
    pub fn member(&self, id: DriveId) -> Option<&Member> {
        self.members.iter().find(|member| member.id == id)
    }

    /// Whether a drive takes part, as the table says or, while a change of the members is not settled, the one before.
    pub fn serves(&self, id: DriveId) -> bool {
        let mut members = self.tables().flatten();
        members.any(|member| member.id == id && member.state.serves())
    }

    /// The drives that a change of the members which is not settled takes out: they count in the table from before.
    pub fn parting(&self) -> impl Iterator<Item = &Member> {
        let before = self.old_members.iter().flatten();
        before.filter(|member| self.member(member.id).is_none())
    }

    /// How many drives new segments would use if all that stay in the store took part.
    pub fn takers(&self) -> usize {
        self.members.iter().filter(|member| !member.state.is_draining()).count()
    }

    pub fn open_log(&self) -> Option<&LogSegment> {
        self.log.last().filter(|log| log.valid_len.is_none())
    }

    /// Ends a log segment: what its shard files hold from `valid_len` on is void.
    pub fn seal(&mut self, segment: SegmentId, valid_len: u64) {
        if let Some(log) = self.log.iter_mut().find(|log| log.segment.id == segment) {
            log.valid_len = Some(valid_len);
        }
    }

    /// Drives that get nothing new until a start finds them well.
    pub fn put_out(&mut self, out: &[DriveId]) {
        for member in self.members.iter_mut().filter(|member| out.contains(&member.id)) {
            member.state = member.state.put_out();
        }
    }

    /// A drive that is here and answers is in again, for new segments. Where it is now is noted, and how that is mounted
    /// if it is another place than before: by that an empty drive is judged which comes there later. `present` are the
    /// drives that are here.
    pub fn readmit(&mut self, id: DriveId, path: &Path, present: &[(DriveId, MountFacts)]) {
        let path = path.to_string_lossy();
        let mount = self
            .member(id)
            .and_then(|member| self.new_place_of(member, &path, present));
        for member in self.members.iter_mut().filter(|member| member.id == id) {
            member.state = member.state.taken_back();
            member.path = path.clone().into_owned();
            member.mount = mount.clone().unwrap_or_else(|| member.mount.clone());
        }
    }

    /// How a member is mounted now, if that is not the place which is recorded.
    fn new_place_of(&self, member: &Member, path: &str, present: &[(DriveId, MountFacts)]) -> Option<MountFacts> {
        let (_, now) = present.iter().find(|(id, _)| *id == member.id)?;
        let recorded = &member.mount;
        let same = (member.path.as_str(), &recorded.fs_type, &recorded.place_in_fs);
        if same == (path, &now.fs_type, &now.place_in_fs) {
            return None;
        }
        // Numbers of devices are another boot's, and only say who shares: one is taken that says who does now.
        let others = present.iter().filter(|(id, _)| *id != member.id);
        let others: Vec<(u64, bool)> = others
            .filter_map(|(id, facts)| Some((self.member(*id)?.mount.device, facts.device == now.device)))
            .collect();
        let tells = |device: &u64| others.iter().all(|(other, shares)| (other == device) == *shares);
        let shared = others.iter().filter(|(_, shares)| *shares).map(|(other, _)| *other);
        let unused = (0..).find(|device| self.members.iter().all(|other| other.mount.device != *device));
        let mut candidates = std::iter::once(recorded.device).chain(shared.clone()).chain(unused);
        let device = candidates.find(tells).or(shared.clone().next()).or(unused)?;
        Some(MountFacts { device, ..now.clone() })
    }

    /// Order of roots: the higher epoch is newer; the nonce only makes the order total.
    pub fn age(&self) -> (u64, u64) {
        (self.epoch, self.nonce)
    }

    /// Whether `present` are more than half of the members, of both tables if there are two.
    pub fn has_majority(&self, present: impl Fn(DriveId) -> bool) -> bool {
        self.tables()
            .all(|table| table.iter().filter(|m| present(m.id)).count() * 2 > table.len())
    }

    /// Whether `present` are at least half of the members, of both tables if there are two.
    pub fn has_half(&self, present: impl Fn(DriveId) -> bool) -> bool {
        self.tables()
            .all(|table| table.iter().filter(|m| present(m.id)).count() * 2 >= table.len())
    }

    /// Whether the store could write with full parity if these members took part. One that is drained takes nothing
    /// new, and is lost only when it is not there.
    pub fn is_writable_with(&self, well: impl Fn(DriveId) -> bool) -> bool {
        let parity = usize::from(self.parity);
        let (well_ones, lost): (Vec<&Member>, Vec<&Member>) = self.members.iter().partition(|member| well(member.id));
        let take_new = well_ones.iter().filter(|member| !member.state.is_draining()).count();
        self.has_majority(well) && take_new > parity && lost.len() <= parity
    }

    fn tables(&self) -> impl Iterator<Item = &[Member]> {
        std::iter::once(self.members.as_slice()).chain(self.old_members.as_deref())
    }
}

/// What one slot of one drive holds.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct RootSlot {
    /// The drive this slot stands on.
    #[n(0)]
    pub drive: DriveId,
    #[n(1)]
    pub root: Root,
}

/// The bytes of a slot.
pub fn encode_slot(slot: &RootSlot) -> Vec<u8> {
    let payload = to_cbor(slot);
    let mut bytes = Vec::with_capacity(HEADER_BYTES + payload.len());
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    let payload_len = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    bytes.extend_from_slice(&payload_len.to_le_bytes());
    bytes.extend_from_slice(&crc32fast::hash(&payload).to_le_bytes());
    let header_crc = crc32fast::hash(&bytes);
    bytes.extend_from_slice(&header_crc.to_le_bytes());
    bytes.extend_from_slice(&payload);
    bytes
}

/// Reads a slot. Bytes behind the payload are the rest of a longer, older slot and are ignored.
pub fn decode_slot(bytes: &[u8]) -> Result<RootSlot, DecodeError> {
    from_cbor("root slot", payload_of(bytes)?)
}

fn payload_of(bytes: &[u8]) -> Result<&[u8], DecodeError> {
    let bad = |cause: &str| DecodeError {
        what: "root slot",
        cause: cause.to_owned(),
    };
    let (header, rest) = bytes.split_at_checked(HEADER_BYTES).ok_or_else(|| bad("too short"))?;
    let field = |at: usize| -> Option<u32> { Some(u32::from_le_bytes(header.get(at..at + 4)?.try_into().ok()?)) };
    if header.get(..8) != Some(MAGIC.as_slice()) {
        return Err(bad("wrong magic"));
    }
    if field(20) != header.get(..20).map(crc32fast::hash) {
        return Err(bad("header checksum does not match"));
    }
    if field(8) != Some(VERSION) {
        return Err(bad("written by a newer version of drystone; this one cannot read it"));
    }
    let payload_len = field(12)
        .and_then(|len| usize::try_from(len).ok())
        .ok_or_else(|| bad("bad length"))?;
    let payload = rest.get(..payload_len).ok_or_else(|| bad("cut short"))?;
    if field(16) != Some(crc32fast::hash(payload)) {
        return Err(bad("payload checksum does not match"));
    }
    Ok(payload)
}

/// Whether this is a whole slot that this program does not understand: of another version, or with something in it that
/// came later. It must not be written, and an older one beside it must not be taken for the newest.
pub fn is_newer_slot(bytes: &[u8]) -> bool {
    let Some((header, _)) = bytes.split_at_checked(HEADER_BYTES) else {
        return false;
    };
    let field = |at: usize| -> Option<u32> { Some(u32::from_le_bytes(header.get(at..at + 4)?.try_into().ok()?)) };
    let sealed = header.get(..8) == Some(MAGIC.as_slice()) && field(20) == header.get(..20).map(crc32fast::hash);
    sealed && (field(8) != Some(VERSION) || is_whole_and_strange(bytes))
}

fn is_whole_and_strange(bytes: &[u8]) -> bool {
    payload_of(bytes).is_ok_and(|payload| from_cbor::<RootSlot>("root slot", payload).is_err())
}

#[cfg(test)]
pub mod tests {
    use super::*;

    pub fn member(n: u8) -> Member {
        let mount = MountFacts {
            fs_type: "xfs".into(),
            place_in_fs: "/".into(),
            device: u64::from(n),
        };
        Member {
            id: DriveId::from_bytes([n; 16]),
            state: MemberState::In,
            mount,
            path: format!("/data{n}"),
        }
    }

    pub fn root(epoch: u64, members: u8) -> Root {
        Root {
            store: StoreId::from_bytes([9; 16]),
            epoch,
            nonce: 7,
            parity: 2,
            members: (1..=members).map(member).collect(),
            old_members: None,
            gone: vec![],
            log: vec![],
            checkpoints: vec![],
            rebalance: None,
        }
    }

    #[test]
    fn a_slot_reads_back_and_ignores_the_tail_of_a_longer_predecessor() {
        let slot = RootSlot {
            drive: DriveId::from_bytes([1; 16]),
            root: root(5, 4),
        };
        let mut bytes = encode_slot(&slot);
        assert_eq!(decode_slot(&bytes).unwrap(), slot);
        bytes.extend_from_slice(b"left over");
        assert_eq!(decode_slot(&bytes).unwrap(), slot);
    }

    fn facts(fs_type: &str, place_in_fs: &str, device: u64) -> MountFacts {
        MountFacts {
            fs_type: fs_type.into(),
            place_in_fs: place_in_fs.into(),
            device,
        }
    }

    #[test]
    fn at_another_place_a_drive_is_noted_with_how_that_is_mounted_and_with_whom_it_shares() {
        let id = |n: u8| DriveId::from_bytes([n; 16]);
        // Another boot: what was device 1 is 41 now.
        let own = |n: u8| (id(n), facts("xfs", "/", u64::from(n) + 40));
        let back = |second: MountFacts, path: &str| {
            let mut root = root(5, 4);
            root.put_out(&[id(2)]);
            root.readmit(id(2), Path::new(path), &[own(1), (id(2), second), own(3)]);
            root.member(id(2)).cloned().unwrap()
        };
        let same = back(own(2).1, "/data2");
        assert_eq!(same, member(2), "in the same place nothing changes but its state");
        let elsewhere = back(facts("ext4", "/srv/two", 41), "/srv/two");
        assert_eq!(elsewhere.path, "/srv/two");
        assert_eq!(
            elsewhere.mount,
            facts("ext4", "/srv/two", 1),
            "it shares with the first"
        );
        let remounted = back(facts("ext4", "/data2", 99), "/data2");
        assert_eq!(
            remounted.mount,
            facts("ext4", "/data2", 2),
            "it shares with nobody, as before"
        );
        // In one file system: all share, as before.
        let mut one = root(5, 3);
        for member in &mut one.members {
            member.mount = facts("xfs", &member.path, 7);
        }
        let present = [
            (id(1), facts("xfs", "/data2", 50)),
            (id(2), facts("xfs", "/data1", 50)),
            (id(3), facts("xfs", "/data3", 50)),
        ];
        one.readmit(id(1), Path::new("/data2"), &present);
        one.readmit(id(2), Path::new("/data1"), &present);
        let mounts: Vec<MountFacts> = one.members.into_iter().map(|member| member.mount).collect();
        let expected = ["/data2", "/data1", "/data3"].map(|place| facts("xfs", place, 7));
        assert_eq!(mounts, expected);
        // One that shared moves to a device of its own.
        let mut alone = root(5, 3);
        alone.members.iter_mut().for_each(|member| member.mount.device = 0);
        let present = [
            own(1),
            (id(2), facts("xfs", "/new", 60)),
            (id(3), facts("xfs", "/", 41)),
        ];
        alone.readmit(id(2), Path::new("/new"), &present);
        assert_eq!(alone.member(id(2)).unwrap().mount.device, 1, "a number that nobody has");
    }

    #[test]
    fn a_slot_of_a_newer_version_is_told_from_a_damaged_one() {
        let slot = RootSlot {
            drive: DriveId::from_bytes([1; 16]),
            root: root(5, 4),
        };
        let mut bytes = encode_slot(&slot);
        assert!(!is_newer_slot(&bytes));
        bytes[8] = 2;
        assert!(!is_newer_slot(&bytes), "its checksum does not hold: damage");
        let crc = crc32fast::hash(&bytes[..20]);
        bytes[20..24].copy_from_slice(&crc.to_le_bytes());
        assert!(is_newer_slot(&bytes) && decode_slot(&bytes).is_err());
        // A member in a state that this program does not know, say.
        let payload = b"\x82\x01";
        let mut strange = MAGIC.to_vec();
        strange.extend_from_slice(&VERSION.to_le_bytes());
        strange.extend_from_slice(&2_u32.to_le_bytes());
        strange.extend_from_slice(&crc32fast::hash(payload).to_le_bytes());
        let crc = crc32fast::hash(&strange);
        strange.extend_from_slice(&crc.to_le_bytes());
        strange.extend_from_slice(payload);
        assert!(is_newer_slot(&strange) && decode_slot(&strange).is_err());
        strange[24] ^= 1;
        assert!(!is_newer_slot(&strange), "damage");
        assert!(!is_newer_slot(&bytes[..10]));
    }

    #[test]
    fn every_flipped_byte_and_every_truncation_of_a_slot_is_refused() {
        let bytes = encode_slot(&RootSlot {
            drive: DriveId::from_bytes([1; 16]),
            root: root(5, 4),
        });
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 0x40;
            assert!(decode_slot(&flipped).is_err(), "flip at {at} went unseen");
            assert!(decode_slot(&bytes[..at]).is_err(), "truncation to {at} went unseen");
        }
    }
}
