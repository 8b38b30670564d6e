//! Networks of both families.

use std::net::{IpAddr, Ipv6Addr};

/// An address or a network in CIDR form, as bits of IPv6; IPv4 stands at `::ffff:0:0/96`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    bits: u128,
    mask: u128,
    /// Length of the prefix in the family it was written in.
    prefix: u32,
    v4: bool,
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_ipv6_mapped()),
        IpAddr::V6(address) => u128::from(address),
    }
}

impl Network {
    /// Reads `203.0.113.0/24`, `2001:db8::/32` or a single address.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) if prefix.bytes().all(|byte| byte.is_ascii_digit()) => {
                (address, Some(prefix.parse::<u32>().ok()?))
            }
            Some(_) => return None,
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let family = if address.is_ipv4() { 32 } else { Ipv6Addr::BITS };
        let prefix = prefix.unwrap_or(family);
        let host = family.checked_sub(prefix)?;
        let mask = u128::MAX.checked_shl(host).unwrap_or(0);
        Some(Self {
            bits: bits(address) & mask,
            mask,
            prefix,
            v4: address.is_ipv4(),
        })
    }

    /// Whether `address` lies in it; an IPv4 address mapped into IPv6 is the IPv4 address.
    pub fn contains(&self, address: IpAddr) -> bool {
        bits(address) & self.mask == self.bits
    }

    /// Whether it is no larger than what AWS calls a fixed range (/8, or /32 of IPv6).
    pub(super) fn is_narrow(&self) -> bool {
        self.prefix >= if self.v4 { 8 } else { 32 }
    }
}

#[cfg(test)]
mod tests {
    use super::Network;

    #[test]
    fn a_network_holds_its_addresses_in_either_spelling() {
        for (net, address, expected) in [
            ("203.0.113.0/24", "203.0.113.255", true),
            ("203.0.113.7/24", "203.0.113.1", true),
            ("203.0.113.0/24", "203.0.114.0", false),
            ("203.0.113.0/24", "::ffff:203.0.113.9", true),
            ("203.0.113.7", "203.0.113.7", true),
            ("203.0.113.7", "203.0.113.8", false),
            ("0.0.0.0/0", "198.51.100.1", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("::/0", "2001:db8::1", true),
            ("2001:db8:1234::/48", "2001:db8:1234:5678::1", true),
            ("2001:db8:1234::/48", "2001:db8:1235::1", false),
            ("::1", "::1", true),
        ] {
            assert_eq!(
                Network::parse(net).unwrap().contains(address.parse().unwrap()),
                expected,
                "{net} {address}"
            );
        }
        for wrong in [
            "",
            "203.0.113.0/33",
            "203.0.113/24",
            "::/129",
            "203.0.113.0/",
            "203.0.113.0/+8",
            "a/8",
        ] {
            assert_eq!(Network::parse(wrong), None, "{wrong}");
        }
    }
}
