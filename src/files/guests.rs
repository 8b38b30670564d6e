//! How often guests begin uploads: by the address they come from, and by the project key they bring. Pure.
//!
//! Of each is kept when it would be as if nobody had come, so what is not kept has done nothing of late.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use parking_lot::Mutex;
use time::OffsetDateTime;

/// Addresses, and keys, that are remembered.
const KEPT_MAX: usize = 16_384;
/// Bits of an address of IPv6 that tell customers of a network apart; the others are one customer's own.
const IPV6_PREFIX_BITS: u32 = 64;

/// How often something may be done: `burst` times at once, and then once in every `every_millis`.
#[derive(Clone, Copy, Debug)]
struct Pace {
    burst: u64,
    every_millis: u64,
}

const OF_ADDRESS: Pace = Pace {
    burst: 20,
    every_millis: 6_000,
};
const OF_KEY: Pace = Pace {
    burst: 200,
    every_millis: 100,
};

/// Guests that began uploads of late.
#[derive(Default)]
pub(super) struct Guests {
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    /// `None`: nobody knows where they come from.
    by_address: Ends<Option<IpAddr>>,
    by_key: Ends<String>,
}

/// Until when each has done what it may, in milliseconds since 1970.
type Ends<K> = HashMap<K, u64>;

impl Guests {
    /// Counts an upload that is begun; `Err`: it is one too many, and how long to wait for the next.
    pub(super) fn begin(&self, address: Option<IpAddr>, key_id: &str, now: OffsetDateTime) -> Result<(), Duration> {
        let now = u64::try_from(now.unix_timestamp_nanos() / 1_000_000).unwrap_or_default();
        let address = address.map(customer);
        let seen = &mut *self.seen.lock();
        let by_address = next(&mut seen.by_address, &address, OF_ADDRESS, now)?;
        let by_key = next(&mut seen.by_key, key_id, OF_KEY, now)?;
        seen.by_address.insert(address, by_address);
        seen.by_key.insert(key_id.to_owned(), by_key);
        Ok(())
    }
}

/// When `who` will have done what it may, once it does it now.
fn next<K, Q>(ends: &mut Ends<K>, who: &Q, pace: Pace, now: u64) -> Result<u64, Duration>
where
    K: Eq + Hash + std::borrow::Borrow<Q>,
    Q: Eq + Hash + ?Sized,
{
    if ends.len() >= KEPT_MAX && !ends.contains_key(who) {
        ends.retain(|_, end| *end > now);
        if ends.len() >= KEPT_MAX {
            // More come at once than anybody counts.
            return Err(Duration::from_millis(pace.every_millis));
        }
    }
    let from = ends.get(who).copied().unwrap_or_default().max(now);
    let end = from.saturating_add(pace.every_millis);
    let over = (end - now).saturating_sub(pace.burst.saturating_mul(pace.every_millis));
    match over {
        0 => Ok(end),
        over => Err(Duration::from_millis(over)),
    }
}

/// Whom an address is of.
fn customer(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let others = u128::MAX >> IPV6_PREFIX_BITS;
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !others))
        }
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
        let mut ends: Ends<u64> = (0..KEPT_MAX as u64).map(|who| (who, 10)).collect();
        assert!(next(&mut ends, &1_000_000, OF_KEY, 9).is_err(), "all of them count");
        assert_eq!(next(&mut ends, &7, OF_KEY, 9), Ok(10 + OF_KEY.every_millis));
        assert_eq!(next(&mut ends, &1_000_000, OF_KEY, 10), Ok(10 + OF_KEY.every_millis));
        assert!(ends.is_empty());
    }
}
