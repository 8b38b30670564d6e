//! What becomes of damage that reads find: it is told in the log, a damaged place once, and kept for healing, which
//! looks at the whole shard file.

use std::collections::{BTreeSet, HashSet};
use std::time::Instant;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::id::{DriveId, SegmentId};
use super::segment::{Damage, DamageSink, Why};
use super::suspicion::{Cause, Suspicions};

/// Places remembered before they are told again, and suspects kept before more are left to the next read.
const PLACES_MAX: usize = 10_000;

/// A shard file in which a read found something wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Suspect {
    pub segment: SegmentId,
    pub shard: u8,
    pub drive: DriveId,
}

/// Tells of each damaged shard of a segment once, and keeps those that nobody has looked at yet.
#[derive(Default)]
pub struct DamageLog {
    told: Mutex<HashSet<(SegmentId, u8)>>,
    suspects: Mutex<BTreeSet<Suspect>>,
    /// Drives that reads and others had trouble with.
    pub suspicions: Suspicions,
    /// Rung when there is something to heal.
    pub bell: Notify,
}

impl DamageLog {
    /// The suspects since this was last asked.
    pub fn take(&self) -> BTreeSet<Suspect> {
        std::mem::take(&mut *self.suspects.lock())
    }

    /// The shard was made good: what is found there from now on is news.
    pub fn forget(&self, segment: SegmentId, shard: u8) {
        self.told.lock().remove(&(segment, shard));
    }
}

impl DamageSink for DamageLog {
    fn late(&self, drive: DriveId) {
        self.suspicions.note(drive, &Cause::Late, Instant::now());
    }

    fn damaged(&self, damage: Damage) {
        if let Why::Unreadable(error) = &damage.why {
            let cause = Cause::Error(error.clone());
            self.suspicions.note(damage.drive, &cause, Instant::now());
        }
        let suspect = Suspect {
            segment: damage.segment,
            shard: damage.shard,
            drive: damage.drive,
        };
        {
            let mut suspects = self.suspects.lock();
            if suspects.len() < PLACES_MAX && suspects.insert(suspect) {
                self.bell.notify_one();
            }
        }
        let mut told = self.told.lock();
        if told.len() >= PLACES_MAX {
            told.clear();
        }
        if told.insert((damage.segment, damage.shard)) {
            tracing::warn!(
                segment = %damage.segment,
                shard = damage.shard,
                drive = %damage.drive,
                offset = damage.offset,
                why = ?damage.why,
                "a shard was found damaged; the read was made good from the others"
            );
        }
    }
}
