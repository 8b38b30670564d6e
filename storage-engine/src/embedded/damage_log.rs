//! What becomes of damage that reads find: it is told in the log, a damaged place once. Healing takes over from here.

use std::collections::HashSet;

use parking_lot::Mutex;

use super::id::SegmentId;
use super::segment::{Damage, DamageSink};

/// Places remembered before they are told again.
const PLACES_MAX: usize = 10_000;

/// Tells of each damaged shard of a segment once.
#[derive(Default)]
pub struct DamageLog {
    told: Mutex<HashSet<(SegmentId, u8)>>,
}

impl DamageSink for DamageLog {
    fn damaged(&self, damage: Damage) {
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
