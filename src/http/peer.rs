//! Who is at the other end of a request: as the listener saw it, or as a proxy says that the operator trusts.
//!
//! A client can write any header. So what `X-Forwarded-For` and `X-Forwarded-Proto` say counts only on a connection that
//! comes from a trusted proxy, and only as far back as every proxy on the way is trusted.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;

use crate::policy::Network;

/// The other end; in the extensions of every request that fronts see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    pub address: IpAddr,
    /// Whether the connection is encrypted.
    pub secure: bool,
}

impl Peer {
    /// The client, if this is one of `trusted` and says who that is; else this itself.
    pub(super) fn client(self, trusted: &[Network], headers: &HeaderMap) -> Self {
        let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(address));
        if !is_trusted(self.address) {
            return self;
        }
        let mut client = self;
        let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let lines: Vec<_> = headers.get_all("x-forwarded-for").iter().map(text).collect();
        // The last entry is what the nearest proxy saw; those before it are the word of whoever sent them.
        let entries = lines.iter().flat_map(|line| line.split(','));
        for entry in entries.rev() {
            let Some(address) = address(entry.trim()) else { break };
            client.address = address;
            if !is_trusted(address) {
                break;
            }
        }
        let scheme = headers.get_all("x-forwarded-proto").iter().next_back().map(text);
        if let Some(scheme) = scheme.as_deref().and_then(|schemes| schemes.rsplit(',').next()) {
            client.secure = scheme.trim().eq_ignore_ascii_case("https");
        }
        client
    }
}

/// An address, with or without port.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    let address = bare
        .parse()
        .or_else(|_| text.parse::<SocketAddr>().map(|socket| socket.ip()));
    address.ok().map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::{Network, Peer};

    fn client(trusted: &[&str], peer: &str, headers: &[(&'static str, &'static str)]) -> (String, bool) {
        let trusted: Vec<_> = trusted.iter().map(|text| Network::parse(text).unwrap()).collect();
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        let peer = Peer {
            address: peer.parse().unwrap(),
            secure: false,
        };
        let client = peer.client(&trusted, &map);
        (client.address.to_string(), client.secure)
    }

    #[test]
    fn only_a_trusted_proxy_says_who_the_client_is() {
        let told = [("x-forwarded-for", "198.51.100.7"), ("x-forwarded-proto", "https")];
        assert_eq!(client(&[], "10.0.0.1", &told), ("10.0.0.1".to_owned(), false));
        assert_eq!(client(&["10.0.0.2"], "10.0.0.1", &told), ("10.0.0.1".to_owned(), false));
        assert_eq!(
            client(&["10.0.0.0/8"], "10.0.0.1", &told),
            ("198.51.100.7".to_owned(), true)
        );
        assert_eq!(client(&["10.0.0.0/8"], "10.0.0.1", &[]), ("10.0.0.1".to_owned(), false));
    }

    #[test]
    fn what_an_untrusted_client_claims_before_it_is_not_believed() {
        for (value, expected) in [
            ("203.0.113.9, 198.51.100.7", "198.51.100.7"),
            ("203.0.113.9, 198.51.100.7, 10.0.0.9", "198.51.100.7"),
            ("203.0.113.9, nonsense, 10.0.0.9", "10.0.0.9"),
            ("nonsense", "10.0.0.1"),
            ("10.0.0.8, 10.0.0.9", "10.0.0.8"),
            ("198.51.100.7:4711", "198.51.100.7"),
            ("[2001:db8::7]:4711", "2001:db8::7"),
            ("[2001:db8::7]", "2001:db8::7"),
            ("::ffff:198.51.100.7", "198.51.100.7"),
        ] {
            let found = client(&["10.0.0.0/8"], "10.0.0.1", &[("x-forwarded-for", value)]);
            assert_eq!(found.0, expected, "{value}");
        }
        let lines = [("x-forwarded-for", "203.0.113.9"), ("x-forwarded-for", "198.51.100.7")];
        assert_eq!(client(&["10.0.0.0/8"], "10.0.0.1", &lines).0, "198.51.100.7");
    }
}
