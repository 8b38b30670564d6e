//! When a delivery that failed is tried again. Pure.

use std::time::Duration;

/// Before the second attempt; each further wait is three times as long.
const FIRST: Duration = Duration::from_secs(10);
const LONGEST: Duration = Duration::from_secs(8 * 3_600);
/// After the event.
const GIVEN_UP: Duration = Duration::from_secs(72 * 3_600);

/// How long to wait after so many attempts, `since` the event happened; `None`: it is given up. `luck`, of 0 to 255, moves
/// the wait by up to a fifth either way, so that what failed together does not come back together.
pub(super) fn wait(attempts: u32, since: Duration, luck: u8) -> Option<Duration> {
    let tripled = 3_u32.saturating_pow(attempts.saturating_sub(1).min(20));
    let wait = FIRST.saturating_mul(tripled).min(LONGEST);
    let wait = wait * 4 / 5 + wait * 2 / 5 * u32::from(luck) / 255;
    (since + wait <= GIVEN_UP).then_some(wait)
}

#[cfg(test)]
mod tests {
    use super::{GIVEN_UP, LONGEST, wait};
    use std::time::Duration;

    #[test]
    fn waits_grow_to_eight_hours_and_end_after_three_days() {
        for luck in [0, 128, 255] {
            let (mut since, mut attempts, mut waits) = (Duration::ZERO, 0, Vec::new());
            loop {
                attempts += 1;
                let Some(next) = wait(attempts, since, luck) else { break };
                since += next;
                waits.push(next);
            }
            assert!(since <= GIVEN_UP && since > GIVEN_UP - LONGEST * 6 / 5 * 2, "{since:?}");
            assert!((12..25).contains(&waits.len()), "{waits:?}");
            assert!(waits.is_sorted() && waits[0] >= Duration::from_secs(8));
            assert!(waits.iter().all(|wait| *wait <= LONGEST * 6 / 5));
        }
        assert!(wait(1, Duration::ZERO, 255).unwrap() <= Duration::from_secs(12));
        assert!(wait(u32::MAX, Duration::ZERO, 0).is_some());
        assert_eq!(wait(1, GIVEN_UP, 0), None);
    }
}
