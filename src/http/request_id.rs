//! Request ids: sixteen hexadecimal digits, never the same twice in one run, found again in the log.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// The id of one request. The edge puts it into the request's extensions before any front sees the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RequestId(u64);

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016X}", self.0)
    }
}

/// Makes request ids from a counter, mixed so that they tell nothing about how busy the server is.
#[derive(Debug)]
pub struct RequestIds {
    seed: u64,
    next: AtomicU64,
    host_id: String,
}

impl RequestIds {
    /// `seed` should be random and differ between runs.
    pub fn new(seed: u64) -> Self {
        let host_id = format!("{:016x}{:016x}", mixed(seed), mixed(seed.rotate_left(17)));
        Self {
            seed,
            next: AtomicU64::new(0),
            host_id,
        }
    }

    pub fn make(&self) -> RequestId {
        RequestId(mixed(self.seed.wrapping_add(self.next.fetch_add(1, Ordering::Relaxed))))
    }

    /// Names this run of the server, for `x-amz-id-2`.
    pub fn host_id(&self) -> &str {
        &self.host_id
    }
}

/// A bijection on 64 bits (the finaliser of SplitMix64), so different inputs stay different.
fn mixed(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_do_not_repeat_and_have_sixteen_digits() {
        let ids = RequestIds::new(7);
        let made: HashSet<String> = (0..10_000).map(|_| ids.make().to_string()).collect();
        assert_eq!(made.len(), 10_000);
        assert!(
            made.iter()
                .all(|id| id.len() == 16 && id.bytes().all(|byte| byte.is_ascii_hexdigit()))
        );
    }
}
