//! How long the reads of one drive take: an estimate of what most of them keep to, that follows the last few dozen. It
//! knows times only.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The estimate, in nanoseconds; 0 as long as nothing was read.
#[derive(Debug, Default)]
pub struct ReadLatency(AtomicU64);

/// Up by a quarter of what is missing, down by a thirty-second of what is too much: about one read in nine takes longer.
fn follow(estimate: u64, sample: u64) -> u64 {
    match estimate {
        0 => sample,
        _ if sample > estimate => estimate + (sample - estimate).div_ceil(4),
        _ => estimate - (estimate - sample) / 32,
    }
}

impl ReadLatency {
    /// A read took this long, from when it was wanted.
    pub fn note(&self, took: Duration) {
        let sample = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX).max(1);
        // Of two at once one may be lost: it is an estimate.
        let estimate = self.0.load(Ordering::Relaxed);
        self.0.store(follow(estimate, sample), Ordering::Relaxed);
    }

    /// What most reads keep to; `None` as long as nothing was read.
    pub fn usual(&self) -> Option<Duration> {
        let estimate = self.0.load(Ordering::Relaxed);
        (estimate > 0).then(|| Duration::from_nanos(estimate))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(samples: impl IntoIterator<Item = u64>) -> Duration {
        let latency = ReadLatency::default();
        for millis in samples {
            latency.note(Duration::from_millis(millis));
        }
        latency.usual().unwrap()
    }

    #[test]
    fn a_steady_drive_is_known_from_its_first_read() {
        assert_eq!(ReadLatency::default().usual(), None);
        assert_eq!(after([7]), Duration::from_millis(7));
        assert_eq!(after([7; 100]), Duration::from_millis(7));
    }

    #[test]
    fn one_straggler_is_soon_forgotten_and_a_drive_that_got_slow_is_soon_known() {
        let fast = || std::iter::repeat_n(1, 100);
        assert!(after(fast().chain([400]).chain(fast())) < Duration::from_millis(10));
        assert!(after(fast().chain([400; 8])) > Duration::from_millis(300));
        assert!(after([400; 8].into_iter().chain(fast()).chain(fast())) < Duration::from_millis(10));
    }

    #[test]
    fn it_stands_above_most_reads() {
        let mixed = (0..1000).map(|n| 1 + (n * 7) % 100);
        let usual = after(mixed);
        assert!(
            usual > Duration::from_millis(70) && usual < Duration::from_millis(100),
            "{usual:?}"
        );
    }
}
