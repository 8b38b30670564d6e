//! When a shard that is being read counts as late, so that others are read in its place. Pure: it knows times only.

use std::time::Duration;

/// However fast drives are, a busy machine holds a read up for as long as this.
const LATE_AFTER_MIN: Duration = Duration::from_millis(50);
/// However slow they are, a client is not kept waiting longer for one of them.
pub(super) const LATE_AFTER_MAX: Duration = Duration::from_millis(500);
/// A read is late when it takes this many times what is usual for drives of this store.
const LATE_FACTOR: u32 = 8;
/// How long a drive that is always late is read only if others cannot give the stripe.
const AVOID_SLOW_FOR: Duration = Duration::from_secs(5);
/// The same for one that is late for once, in times of what is late.
const AVOID_LATE_FACTOR: u32 = 10;

/// What counts as late, from what is usual for each drive: the middle one speaks for all, so that the slow among them,
/// being fewer, do not.
pub(super) fn late_after(mut usual: Vec<Duration>) -> Duration {
    usual.sort_unstable();
    let middle = usual.len().saturating_sub(1) / 2;
    let usual = usual.get(middle).copied().unwrap_or(LATE_AFTER_MAX);
    usual.saturating_mul(LATE_FACTOR).clamp(LATE_AFTER_MIN, LATE_AFTER_MAX)
}

/// How long a drive is avoided of which a read was late.
pub(super) fn avoid_for(late_after: Duration, usual: Option<Duration>) -> Duration {
    match usual {
        Some(usual) if usual >= late_after => AVOID_SLOW_FOR,
        _ => late_after.saturating_mul(AVOID_LATE_FACTOR).min(AVOID_SLOW_FOR),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn what_is_late_follows_the_drives_within_bounds() {
        assert_eq!(late_after(vec![]), ms(500), "nothing is known yet");
        assert_eq!(late_after(vec![Duration::from_micros(80); 4]), ms(50));
        assert_eq!(late_after(vec![ms(12); 4]), ms(96));
        assert_eq!(late_after(vec![ms(300); 4]), ms(500));
    }

    #[test]
    fn slow_drives_do_not_say_what_is_late_while_others_are_as_many() {
        assert_eq!(late_after(vec![ms(1000), ms(10), ms(1000), ms(10)]), ms(80));
        assert_eq!(late_after(vec![ms(1000), ms(10)]), ms(80));
        assert_eq!(late_after(vec![ms(1000)]), ms(500));
    }

    #[test]
    fn a_drive_that_is_always_late_is_avoided_longer_than_one_that_was_late_once() {
        assert_eq!(avoid_for(ms(50), Some(ms(1))), ms(500));
        assert_eq!(avoid_for(ms(50), None), ms(500));
        assert_eq!(avoid_for(ms(50), Some(ms(60))), ms(5000));
        assert_eq!(avoid_for(ms(500), Some(ms(1))), ms(5000));
    }
}
