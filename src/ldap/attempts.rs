//! How often somebody may fail to sign in. Pure: the clock's time comes in.
//!
//! What is counted is who asks from one network, and for one name from there; a name alone is not, so nobody can be kept
//! out by others who fail in that name. Whoever guesses from many places meets the directory server's own rules.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Most counts that are kept.
const KEPT_MAX: usize = 10_000;

/// So many failures at once, and then one in each of these times.
#[derive(Clone, Copy, Debug)]
struct Rate {
    burst: u32,
    each: Duration,
}

const OF_NAME: Rate = Rate {
    burst: 10,
    each: Duration::from_secs(6),
};
const OF_NETWORK: Rate = Rate {
    burst: 100,
    each: Duration::from_secs(1),
};

/// What is counted: one network, and a name if it is that.
type Counted = ([u8; 8], Option<String>);

/// Who failed when.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    /// When nothing would be held against them any more.
    free_at: HashMap<Counted, Instant>,
}

/// The first 64 bits of an address: who has one of them has all below.
fn network(from: Option<IpAddr>) -> [u8; 8] {
    let address = match from {
        None => [0; 16],
        Some(IpAddr::V4(address)) => {
            let mut whole = [0; 16];
            let (first, _) = whole.split_at_mut(4);
            first.copy_from_slice(&address.octets());
            whole
        }
        Some(IpAddr::V6(address)) => match address.to_ipv4_mapped() {
            Some(address) => return network(Some(IpAddr::V4(address))),
            None => address.octets(),
        },
    };
    let mut first = [0; 8];
    first.iter_mut().zip(address).for_each(|(to, byte)| *to = byte);
    first
}

fn counted(from: Option<IpAddr>, name: &str) -> [(Counted, Rate); 2] {
    let network = network(from);
    [
        ((network, None), OF_NETWORK),
        ((network, Some(name.to_lowercase())), OF_NAME),
    ]
}

impl Attempts {
    /// Counts an attempt as one that failed; `false`: it is one too many and must not be made.
    pub(super) fn begin(&mut self, from: Option<IpAddr>, name: &str, now: Instant) -> bool {
        let counted = counted(from, name);
        let full = |(key, rate): &(Counted, Rate)| {
            let free_at = self.free_at.get(key).copied().unwrap_or(now);
            free_at.saturating_duration_since(now) > rate.each.saturating_mul(rate.burst.saturating_sub(1))
        };
        if counted.iter().any(full) {
            return false;
        }
        self.make_room(now);
        for (key, rate) in counted {
            let free_at = self.free_at.entry(key).or_insert(now);
            *free_at = (*free_at).max(now) + rate.each;
        }
        true
    }

    /// It did not fail after all.
    pub(super) fn forgive(&mut self, from: Option<IpAddr>, name: &str) {
        for (key, rate) in counted(from, name) {
            if let Some(free_at) = self.free_at.get_mut(&key) {
                *free_at = free_at.checked_sub(rate.each).unwrap_or(*free_at);
            }
        }
    }

    fn make_room(&mut self, now: Instant) {
        if self.free_at.len() < KEPT_MAX {
            return;
        }
        self.free_at.retain(|_, free_at| *free_at > now);
        // Names that were made up go before networks.
        if self.free_at.len() >= KEPT_MAX {
            self.free_at.retain(|(_, name), _| name.is_none());
        }
        if self.free_at.len() >= KEPT_MAX {
            self.free_at.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(last: u8) -> Option<IpAddr> {
        Some(IpAddr::from([192, 0, 2, last]))
    }

    #[test]
    fn failures_add_up_for_a_name_from_one_place_and_fade() {
        let (mut attempts, start) = (Attempts::default(), Instant::now());
        for _ in 0..10 {
            assert!(attempts.begin(from(1), "ann", start));
        }
        assert!(!attempts.begin(from(1), "ANN", start));
        assert!(attempts.begin(from(1), "bob", start));
        assert!(attempts.begin(from(2), "ann", start));
        assert!(!attempts.begin(from(1), "ann", start + Duration::from_secs(5)));
        assert!(attempts.begin(from(1), "ann", start + Duration::from_secs(6)));
        assert!(!attempts.begin(from(1), "ann", start + Duration::from_secs(6)));
    }

    #[test]
    fn who_signs_in_is_held_nothing_against() {
        let (mut attempts, start) = (Attempts::default(), Instant::now());
        for _ in 0..1_000 {
            assert!(attempts.begin(from(1), "ann", start));
            attempts.forgive(from(1), "ann");
        }
    }

    #[test]
    fn many_names_from_one_place_are_too_many_and_the_counts_are_bounded() {
        let (mut attempts, start) = (Attempts::default(), Instant::now());
        let tried = (0..200)
            .filter(|number| attempts.begin(from(1), &number.to_string(), start))
            .count();
        assert_eq!(tried, 100);
        for number in 0..30_000_u32 {
            attempts.begin(Some(IpAddr::from(number.to_be_bytes())), "ann", start);
            assert!(attempts.free_at.len() <= KEPT_MAX + 2);
        }
        let mapped = "::ffff:192.0.2.1".parse::<IpAddr>().unwrap();
        assert_eq!(network(Some(mapped)), network(from(1)));
    }
}
