//! The records of what happened to files, for whoever listens: an event, and one delivery of it to one listener.

use minicbor::{Decode, Encode};

use crate::store::clock::Timestamp;
use crate::store::record::Record;
use crate::store::record::file::{File, FileState};

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum EventKind {
    /// Bytes arrived for a file, its first ones or others.
    #[n(0)]
    Received,
    /// A file may be read by whom its visibility says: its bytes were looked at, or it came back out of the trash.
    #[n(1)]
    Active,
    /// Its bytes were refused.
    #[n(2)]
    Rejected,
    /// It went into the trash, or for good.
    #[n(3)]
    Deleted,
    /// A write was refused because the bucket holds as much as it may.
    #[n(4)]
    OverQuota,
    /// Nothing happened: somebody wants to know whether a listener hears.
    #[n(5)]
    Test,
    /// A scanner found something in its bytes, or could not take them: nobody reads them.
    #[n(6)]
    Quarantined,
}

impl EventKind {
    /// Every kind that can be listened to.
    pub const ALL: [Self; 6] = [
        Self::Received,
        Self::Active,
        Self::Rejected,
        Self::Deleted,
        Self::OverQuota,
        Self::Quarantined,
    ];

    /// Its place in a set of kinds.
    pub fn bit(self) -> u32 {
        match self {
            Self::Received => 1,
            Self::Active => 1 << 1,
            Self::Rejected => 1 << 2,
            Self::Deleted => 1 << 3,
            Self::OverQuota => 1 << 4,
            Self::Test => 1 << 5,
            Self::Quarantined => 1 << 6,
        }
    }
}

/// One event.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct EventRecord {
    #[n(0)]
    pub kind: EventKind,
    #[n(1)]
    pub at: Timestamp,
    /// The file it is about; absent: about none.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub id: Option<[u8; 16]>,
    /// The state it was in before.
    #[n(3)]
    pub from: Option<FileState>,
    /// The file as it was then; of one that is gone, as it was last. Absent once nobody waits for it.
    #[n(4)]
    pub file: Option<File>,
    /// Nothing is left of the file.
    #[n(5)]
    pub purged: bool,
}

/// One delivery of an event to one listener: one that waits, or what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct DeliveryRecord {
    #[n(0)]
    pub event: EventRecord,
    #[n(1)]
    pub attempts: u32,
    /// When it is tried next, or was tried last.
    #[n(2)]
    pub at: Timestamp,
    #[n(3)]
    pub state: DeliveryState,
    /// The HTTP status of the last answer; absent: there was none.
    #[n(4)]
    pub status: Option<u16>,
    /// What went wrong the last time.
    #[n(5)]
    pub error: Option<String>,
}

/// How far a delivery is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum DeliveryState {
    #[n(0)]
    Waiting,
    #[n(1)]
    Delivered,
    /// Given up.
    #[n(2)]
    Dead,
}

impl DeliveryState {
    /// Its name, as applications spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Delivered => "delivered",
            Self::Dead => "dead",
        }
    }
}

impl Record for EventRecord {
    const KIND: &'static str = "event";
}

impl Record for DeliveryRecord {
    const KIND: &'static str = "delivery";
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::record::tests::{rejects_damage, survives};

    fn event(kind: EventKind) -> EventRecord {
        EventRecord {
            kind,
            at: Timestamp::from_millis(1),
            id: Some([7; 16]),
            from: Some(FileState::Pending),
            file: Some(File::pending(
                "k".into(),
                [2; 16],
                "a".into(),
                Timestamp::from_millis(1),
            )),
            purged: true,
        }
    }

    #[test]
    fn they_survive_their_value_and_refuse_damage() {
        for kind in EventKind::ALL.into_iter().chain([EventKind::Test]) {
            survives(&event(kind));
        }
        let bare = EventRecord {
            id: None,
            from: None,
            file: None,
            purged: false,
            ..event(EventKind::OverQuota)
        };
        survives(&bare);
        rejects_damage(&event(EventKind::Deleted));
        for state in [DeliveryState::Waiting, DeliveryState::Delivered, DeliveryState::Dead] {
            let delivery = DeliveryRecord {
                event: event(EventKind::Active),
                attempts: 3,
                at: Timestamp::from_millis(9),
                state,
                status: Some(500),
                error: Some("why".into()),
            };
            survives(&delivery);
            rejects_damage(&delivery);
        }
    }

    #[test]
    fn each_kind_has_a_place_of_its_own_in_a_set() {
        let set = EventKind::ALL.into_iter().fold(0, |set, kind| set | kind.bit());
        assert_eq!((set, set & EventKind::Test.bit()), (0b101_1111, 0));
    }
}
