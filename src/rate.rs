//! How often somebody may do something: so many times at once, and then once in each of so long a time (the generic cell
//! rate algorithm of ITU-T I.371). Pure: times come in, counted from any moment that stays the same.
//!
//! Of each is kept when it would be as if they had done nothing, so whoever is not kept has done nothing of late. Who is
//! kept where there are too many is for their owners to say.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

/// Bits of an address of IPv6 that tell customers of a network apart; the others are one customer's own.
const IPV6_PREFIX_BITS: u32 = 64;

/// `burst` times at once, and then once in `each`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    pub(crate) burst: u32,
    pub(crate) each: Duration,
}

/// Who did something of late.
#[derive(Debug)]
pub(crate) struct Rates<K> {
    /// When it would be as if they had done nothing.
    free_at: HashMap<K, Duration>,
}

impl<K> Default for Rates<K> {
    fn default() -> Self {
        Self {
            free_at: HashMap::new(),
        }
    }
}

impl<K: Eq + Hash> Rates<K> {
    /// How long they have to wait before they may do it once more; zero: they may now.
    pub(crate) fn wait<Q>(&self, who: &Q, rate: Rate, now: Duration) -> Duration
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let free_at = self.free_at.get(who).copied().unwrap_or_default();
        let all_but_one = rate.each.saturating_mul(rate.burst.saturating_sub(1));
        free_at.saturating_sub(now).saturating_sub(all_but_one)
    }

    /// Counts that they do it.
    pub(crate) fn count(&mut self, who: K, rate: Rate, now: Duration) {
        let free_at = self.free_at.entry(who).or_default();
        *free_at = (*free_at).max(now).saturating_add(rate.each);
    }

    /// It is as if they had not done it.
    pub(crate) fn forgive<Q>(&mut self, who: &Q, rate: Rate)
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        if let Some(free_at) = self.free_at.get_mut(who) {
            *free_at = free_at.saturating_sub(rate.each);
        }
    }

    /// Whether one is kept, or one more can be of `most`; for that whoever did nothing of late is forgotten.
    pub(crate) fn has_room<Q>(&mut self, who: &Q, most: usize, now: Duration) -> bool
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        if self.free_at.len() < most || self.free_at.contains_key(who) {
            return true;
        }
        self.free_at.retain(|_, free_at| *free_at > now);
        self.free_at.len() < most
    }

    /// Forgets all others, whatever they did.
    pub(crate) fn keep(&mut self, mut kept: impl FnMut(&K) -> bool) {
        self.free_at.retain(|who, _| kept(who));
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.free_at.len()
    }
}

/// Whom an address is of, as far as it tells: all of one customer's addresses are one.
pub(crate) fn customer(address: IpAddr) -> IpAddr {
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
    use super::*;

    const RATE: Rate = Rate {
        burst: 3,
        each: Duration::from_secs(10),
    };

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(1_000_000 + seconds)
    }

    #[test]
    fn so_many_are_let_at_once_and_then_one_after_the_other() {
        let mut rates = Rates::default();
        for _ in 0..3 {
            assert_eq!(rates.wait("ann", RATE, at(0)), Duration::ZERO);
            rates.count("ann".to_owned(), RATE, at(0));
        }
        for (seconds, wait) in [(0, 10), (9, 1), (10, 0), (500, 0)] {
            assert_eq!(rates.wait("ann", RATE, at(seconds)), Duration::from_secs(wait));
        }
        assert_eq!(rates.wait("bob", RATE, at(0)), Duration::ZERO);
        rates.forgive("ann", RATE);
        assert_eq!(rates.wait("ann", RATE, at(0)), Duration::ZERO);
    }

    #[test]
    fn who_did_nothing_of_late_makes_room_and_who_is_kept_needs_none() {
        let mut rates = Rates::default();
        for who in 0..5 {
            rates.count(who, RATE, at(0));
        }
        assert!(!rates.has_room(&9, 5, at(9)) && rates.has_room(&4, 5, at(9)));
        assert!(rates.has_room(&9, 5, at(10)));
        assert_eq!(rates.len(), 0);
    }

    #[test]
    fn a_customer_has_one_address_of_ipv4_and_a_network_of_ipv6() {
        let of = |text: &str| customer(text.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::9:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:198.51.100.7"), of("198.51.100.7"));
        assert_ne!(of("198.51.100.8"), of("198.51.100.7"));
    }
}
