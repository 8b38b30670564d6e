//! When the next checkpoint is due. Pure: facts in, a reason out.

use std::time::Duration;

/// Metadata of the log that is always allowed between two checkpoints. The merge keeps the last word on every key of it
/// in memory, so this also bounds the memory of a checkpoint on a small store.
const LOG_BYTES_MIN: u64 = 64 << 20;
/// Bytes that may wait to be freed, and the share of the capacity that may.
const WAITING_BYTES_MAX: u64 = 1 << 30;
const WAITING_SHARE: u64 = 50;
/// Longest time anything waits to be freed.
const WAITING_TIME_MAX: Duration = Duration::from_secs(600);

/// What the decision rests on.
#[derive(Clone, Copy, Debug, Default)]
pub struct DueFacts {
    /// Bytes of metadata frames written since the newest checkpoint.
    pub metadata_bytes: u64,
    /// Size of the newest checkpoint.
    pub checkpoint_bytes: u64,
    /// Bytes of segments with nothing live that only a checkpoint (or two, for the log) can free.
    pub waiting_bytes: u64,
    /// How long the first of them has been waiting, or has waited since the newest checkpoint.
    pub waiting_for: Option<Duration>,
    pub capacity_bytes: u64,
    /// The newest checkpoint bears fewer losses of drives than one made now would, or is damaged.
    pub thin: bool,
    /// Space is below the reserve on some drive.
    pub pressure: bool,
    /// Checkpoints made since the pressure began.
    pub made_under_pressure: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DueReason {
    /// The replay of the next start grows too long.
    LogGrew,
    /// Much waits to be freed.
    MuchWaits,
    /// Something has waited long.
    WaitsLong,
    /// A drive that held a shard of the newest checkpoint is gone: a checkpoint is not healed, a new one is made.
    Thin,
    /// Space is short: two at once, since the log is freed up to the older one.
    Pressure,
}

/// Why a checkpoint is due now; `None` if none is.
pub fn checkpoint_due(facts: &DueFacts) -> Option<DueReason> {
    if facts.pressure && facts.waiting_bytes > 0 && facts.made_under_pressure < 2 {
        return Some(DueReason::Pressure);
    }
    if facts.thin {
        return Some(DueReason::Thin);
    }
    if facts.metadata_bytes > LOG_BYTES_MIN.max(facts.checkpoint_bytes / 2) {
        return Some(DueReason::LogGrew);
    }
    let much = WAITING_BYTES_MAX.min(facts.capacity_bytes / WAITING_SHARE);
    if facts.waiting_bytes > 0 && facts.waiting_bytes > much {
        return Some(DueReason::MuchWaits);
    }
    let long = facts.waiting_bytes > 0 && facts.waiting_for.is_some_and(|waited| waited >= WAITING_TIME_MAX);
    long.then_some(DueReason::WaitsLong)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quiet() -> DueFacts {
        DueFacts {
            capacity_bytes: 1 << 40,
            checkpoint_bytes: 10 << 20,
            ..DueFacts::default()
        }
    }

    #[test]
    fn a_checkpoint_that_lost_shards_is_followed_by_a_whole_one() {
        let facts = DueFacts { thin: true, ..quiet() };
        assert_eq!(checkpoint_due(&facts), Some(DueReason::Thin));
    }

    #[test]
    fn an_idle_store_makes_no_checkpoints() {
        assert_eq!(checkpoint_due(&quiet()), None);
        assert_eq!(
            checkpoint_due(&DueFacts {
                pressure: true,
                ..quiet()
            }),
            None,
            "nothing would become free"
        );
        let waited = Some(Duration::from_secs(10_000));
        assert_eq!(
            checkpoint_due(&DueFacts {
                waiting_for: waited,
                ..quiet()
            }),
            None
        );
        assert_eq!(
            checkpoint_due(&DueFacts {
                capacity_bytes: 0,
                ..quiet()
            }),
            None
        );
    }

    #[test]
    fn the_log_may_grow_to_half_of_the_checkpoint_but_always_a_little() {
        let log = |metadata_bytes, checkpoint_bytes| {
            checkpoint_due(&DueFacts {
                metadata_bytes,
                checkpoint_bytes,
                ..quiet()
            })
        };
        assert_eq!(log(64 << 20, 0), None);
        assert_eq!(log((64 << 20) + 1, 0), Some(DueReason::LogGrew));
        assert_eq!(log(400 << 20, 1 << 30), None);
        assert_eq!(log((512 << 20) + 1, 1 << 30), Some(DueReason::LogGrew));
    }

    #[test]
    fn what_waits_is_freed_when_it_is_much_or_old() {
        let waits = |waiting_bytes, capacity_bytes, secs| {
            let waiting_for = Some(Duration::from_secs(secs));
            checkpoint_due(&DueFacts {
                waiting_bytes,
                capacity_bytes,
                waiting_for,
                ..quiet()
            })
        };
        assert_eq!(waits(1 << 30, 1 << 40, 1), None);
        assert_eq!(waits((1 << 30) + 1, 1 << 40, 1), Some(DueReason::MuchWaits));
        assert_eq!(
            waits(21 << 20, 1 << 30, 1),
            Some(DueReason::MuchWaits),
            "2 % of a small store"
        );
        assert_eq!(waits(1, 1 << 40, 599), None);
        assert_eq!(waits(1, 1 << 40, 600), Some(DueReason::WaitsLong));
    }

    #[test]
    fn pressure_makes_two_in_a_row() {
        let made = |made_under_pressure| {
            checkpoint_due(&DueFacts {
                pressure: true,
                waiting_bytes: 1,
                made_under_pressure,
                ..quiet()
            })
        };
        assert_eq!(made(0), Some(DueReason::Pressure));
        assert_eq!(made(1), Some(DueReason::Pressure));
        assert_eq!(made(2), None);
    }
}
