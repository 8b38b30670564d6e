//! How often guests begin uploads: by the address they come from, and by the project key they bring. Pure.

use std::borrow::Borrow;
use std::hash::Hash;
use std::net::IpAddr;
use std::time::Duration;

use parking_lot::Mutex;
use time::OffsetDateTime;

use crate::rate::{Rate, Rates, customer};

/// Addresses, and keys, that are remembered.
const KEPT_MAX: usize = 16_384;

const OF_ADDRESS: Rate = Rate {
    burst: 20,
    each: Duration::from_secs(6),
};
const OF_KEY: Rate = Rate {
    burst: 200,
    each: Duration::from_millis(100),
};

/// Guests that began uploads of late.
#[derive(Default)]
pub(super) struct Guests {
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    /// `None`: nobody knows where they come from.
    by_address: Rates<Option<IpAddr>>,
    by_key: Rates<String>,
}

impl Guests {
    /// Counts an upload that is begun; `Err`: it is one too many, and how long to wait for the next.
    pub(super) fn begin(&self, address: Option<IpAddr>, key_id: &str, now: OffsetDateTime) -> Result<(), Duration> {
        let now = Duration::try_from(now - OffsetDateTime::UNIX_EPOCH).unwrap_or_default();
        let address = address.map(customer);
        let Seen { by_address, by_key } = &mut *self.seen.lock();
        let wait = wait(by_address, &address, OF_ADDRESS, now).max(wait(by_key, key_id, OF_KEY, now));
        if !wait.is_zero() {
            return Err(wait);
        }
        by_address.count(address, OF_ADDRESS, now);
        by_key.count(key_id.to_owned(), OF_KEY, now);
        Ok(())
    }
}

/// How long they have to wait; where more come at once than anybody counts, as if they were one too many.
fn wait<K, Q>(rates: &mut Rates<K>, who: &Q, rate: Rate, now: Duration) -> Duration
where
    K: Eq + Hash + Borrow<Q>,
    Q: Eq + Hash + ?Sized,
{
    match rates.has_room(who, KEPT_MAX, now) {
        true => rates.wait(who, rate, now),
        false => rate.each,
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-01-02 03:04:05 UTC);

    fn at(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    fn begun(guests: &Guests, address: &str, key: &str, now: OffsetDateTime) -> u64 {
        (0..1_000)
            .take_while(|_| guests.begin(at(address), key, now).is_ok())
            .count() as u64
    }

    #[test]
    fn an_address_begins_so_many_at_once_and_then_one_by_one() {
        let guests = Guests::default();
        assert_eq!(begun(&guests, "198.51.100.7", "a", NOW), 20);
        let wait = guests.begin(at("198.51.100.7"), "a", NOW).unwrap_err();
        assert_eq!(wait, Duration::from_secs(6));
        let almost = NOW + Duration::from_millis(5_999);
        assert_eq!(begun(&guests, "198.51.100.7", "a", almost), 0);
        assert_eq!(begun(&guests, "198.51.100.7", "a", NOW + wait), 1);
        // Neither another key nor an address of the same customer makes it more; another customer has their own.
        assert_eq!(begun(&guests, "2001:db8::1", "a", NOW), 20);
        assert_eq!(begun(&guests, "2001:db8::9:1", "b", NOW), 0);
        assert_eq!(begun(&guests, "::ffff:198.51.100.9", "a", NOW), 20);
        assert_eq!(begun(&guests, "198.51.100.9", "b", NOW), 0);
        assert_eq!(begun(&guests, "2001:db8:0:1::1", "a", NOW), 20);
        assert_eq!(
            begun(&guests, "198.51.100.7", "a", NOW + Duration::from_secs(3_600)),
            20
        );
    }

    #[test]
    fn a_key_begins_so_many_whoever_brings_it() {
        let guests = Guests::default();
        let all: u64 = (0..20)
            .map(|last| begun(&guests, &format!("198.51.100.{last}"), "a", NOW))
            .sum();
        assert_eq!(all, 200);
        assert_eq!(begun(&guests, "198.51.100.99", "b", NOW), 20);
        // What the key refused does not count for the address.
        assert_eq!(begun(&guests, "198.51.100.200", "a", NOW), 0);
        assert_eq!(begun(&guests, "198.51.100.200", "b", NOW), 20);
    }

    #[test]
    fn what_is_remembered_is_bounded_and_forgotten_when_it_says_nothing_any_more() {
        let (mut rates, start) = (Rates::default(), Duration::from_secs(1));
        (0..KEPT_MAX).for_each(|who| rates.count(who, OF_KEY, start));
        let almost = start + OF_KEY.each - Duration::from_millis(1);
        assert_eq!(wait(&mut rates, &1_000_000, OF_KEY, almost), OF_KEY.each);
        assert_eq!(wait(&mut rates, &7, OF_KEY, almost), Duration::ZERO);
        assert_eq!(
            wait(&mut rates, &1_000_000, OF_KEY, start + OF_KEY.each),
            Duration::ZERO
        );
        assert_eq!(rates.len(), 0);
    }
}
