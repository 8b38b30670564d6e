//! How often somebody may fail to sign in. Pure: the clock's time comes in.
//!
//! What is counted is who asks from one network, and for one name from there; a name alone is not, so nobody can be kept
//! out by others who fail in that name. Whoever guesses from many places meets the directory server's own rules.

use std::net::IpAddr;
use std::time::Duration;

use crate::rate::{Rate, Rates, customer};

/// Most counts that are kept.
const KEPT_MAX: usize = 10_000;

const OF_NAME: Rate = Rate {
    burst: 10,
    each: Duration::from_secs(6),
};
const OF_NETWORK: Rate = Rate {
    burst: 100,
    each: Duration::from_secs(1),
};

/// What is counted: one network, and a name if it is that.
type Counted = (Option<IpAddr>, Option<String>);

/// Who failed when.
#[derive(Debug, Default)]
pub(super) struct Attempts(Rates<Counted>);

fn counted(from: Option<IpAddr>, name: &str) -> [(Counted, Rate); 2] {
    let network = from.map(customer);
    [
        ((network, None), OF_NETWORK),
        ((network, Some(name.to_lowercase())), OF_NAME),
    ]
}

impl Attempts {
    /// Counts an attempt as one that failed; `false`: it is one too many and must not be made.
    pub(super) fn begin(&mut self, from: Option<IpAddr>, name: &str, now: Duration) -> bool {
        let counted = counted(from, name);
        if counted
            .iter()
            .any(|(who, rate)| !self.0.wait(who, *rate, now).is_zero())
        {
            return false;
        }
        // All of it before any is counted: what makes room may go as far as to forget everybody.
        counted.iter().for_each(|(who, _)| self.make_room(who, now));
        counted.into_iter().for_each(|(who, rate)| self.0.count(who, rate, now));
        true
    }

    /// It did not fail after all.
    pub(super) fn forgive(&mut self, from: Option<IpAddr>, name: &str) {
        for (who, rate) in counted(from, name) {
            self.0.forgive(&who, rate);
        }
    }

    fn make_room(&mut self, who: &Counted, now: Duration) {
        if self.0.has_room(who, KEPT_MAX, now) {
            return;
        }
        // Names that were made up go before networks.
        self.0.keep(|(_, name)| name.is_none());
        if !self.0.has_room(who, KEPT_MAX, now) {
            self.0.keep(|_| false);
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
        let (mut attempts, start) = (Attempts::default(), Duration::from_secs(1_000));
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
        let (mut attempts, start) = (Attempts::default(), Duration::from_secs(1_000));
        for _ in 0..1_000 {
            assert!(attempts.begin(from(1), "ann", start));
            attempts.forgive(from(1), "ann");
        }
    }

    #[test]
    fn many_names_from_one_place_are_too_many_and_the_counts_are_bounded() {
        let (mut attempts, start) = (Attempts::default(), Duration::from_secs(1_000));
        let tried = (0..200)
            .filter(|number| attempts.begin(from(1), &number.to_string(), start))
            .count();
        assert_eq!(tried, 100);
        for number in 0..30_000_u32 {
            attempts.begin(Some(IpAddr::from(number.to_be_bytes())), "ann", start);
            assert!(attempts.0.len() <= KEPT_MAX + 1);
        }
    }
}
