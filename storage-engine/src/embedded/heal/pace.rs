//! How fast healing may go: a share of the time and a rate, so that clients keep the drives. It knows time and bytes only.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Bytes between two pauses.
const STRIDE_BYTES: u64 = 1024 * 1024;

/// Bounds of what healing takes from the drives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HealOptions {
    /// Of 100 parts of time, how many healing works at most; 1 to 100.
    pub duty_percent: u8,
    /// Most bytes of shard files it reads back, verifies or writes in a second.
    pub bytes_per_second: u64,
    /// How often the whole store is looked through for missing shards when nothing gives cause to.
    pub census_every: Duration,
    /// All files of a drive are verified once in this time.
    pub scrub_within: Duration,
    /// How long a drive has been away before the running store looks at it again; then less and less often.
    pub drives_after: Duration,
}

impl Default for HealOptions {
    fn default() -> Self {
        Self {
            duty_percent: 50,
            bytes_per_second: 128 * 1024 * 1024,
            census_every: Duration::from_secs(600),
            scrub_within: Duration::from_secs(7 * 24 * 60 * 60),
            drives_after: Duration::from_secs(10),
        }
    }
}

/// Makes one who works pause as the options say.
#[derive(Debug)]
pub(super) struct Pace {
    options: HealOptions,
    stride: Mutex<Stride>,
}

#[derive(Debug)]
struct Stride {
    began: Instant,
    bytes: u64,
}

impl Pace {
    pub(super) fn new(options: HealOptions) -> Self {
        let stride = Mutex::new(Stride {
            began: Instant::now(),
            bytes: 0,
        });
        Self { options, stride }
    }

    /// Counts bytes that were worked on; now and then it waits.
    pub(super) async fn passed(&self, bytes: u64) {
        let pause = {
            let mut stride = self.stride.lock();
            stride.bytes += bytes;
            if stride.bytes < STRIDE_BYTES {
                return;
            }
            pause_after(&self.options, stride.began.elapsed(), stride.bytes)
        };
        tokio::time::sleep(pause).await;
        self.restart();
    }

    /// Begins to count anew, after a time without work.
    pub(super) fn restart(&self) {
        *self.stride.lock() = Stride {
            began: Instant::now(),
            bytes: 0,
        };
    }
}

/// The pause after `worked` on `bytes`. Pure.
fn pause_after(options: &HealOptions, worked: Duration, bytes: u64) -> Duration {
    let duty = u32::from(options.duty_percent.clamp(1, 100));
    let by_duty = worked * (100 - duty) / duty;
    let rate = options.bytes_per_second.max(1);
    let at_rate = Duration::from_secs_f64(bytes as f64 / rate as f64);
    by_duty.max(at_rate.saturating_sub(worked))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longer_of_both_pauses_counts() {
        let options = |duty_percent, bytes_per_second| HealOptions {
            duty_percent,
            bytes_per_second,
            ..HealOptions::default()
        };
        let ms = Duration::from_millis;
        assert_eq!(pause_after(&options(50, 1 << 40), ms(10), 1 << 20), ms(10));
        assert_eq!(pause_after(&options(25, 1 << 40), ms(10), 1 << 20), ms(30));
        assert_eq!(pause_after(&options(100, 1 << 20), ms(10), 1 << 20), ms(990));
        assert_eq!(pause_after(&options(0, 1 << 40), ms(1), 1 << 20), ms(99));
        assert!(pause_after(&options(100, 1 << 40), ms(10), 1 << 20) < ms(1));
    }
}
