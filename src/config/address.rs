//! Addresses to listen on, as written by an operator: `:9000`, `host:9000`, `[::1]:9000`.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// Where to listen. No host means every interface of the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenAddress {
    host: Option<String>,
    port: u16,
}

/// Why a text is no address to listen on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not an address to listen on; write HOST:PORT, :PORT or [IPV6]:PORT")]
pub struct AddressError(pub String);

impl ListenAddress {
    pub fn new(host: Option<&str>, port: u16) -> Self {
        Self {
            host: host.map(str::to_owned),
            port,
        }
    }

    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let error = || AddressError(text.to_owned());
        let (host, port) = text.rsplit_once(':').ok_or_else(error)?;
        let port = port.parse::<u16>().map_err(|_| error())?;
        if host.is_empty() {
            return Ok(Self { host: None, port });
        }
        if let Some(inner) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            inner.parse::<Ipv6Addr>().map_err(|_| error())?;
            return Ok(Self {
                host: Some(inner.to_owned()),
                port,
            });
        }
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        if !host.bytes().all(allowed) {
            return Err(error());
        }
        Ok(Self {
            host: Some(host.to_owned()),
            port,
        })
    }

    /// The host as written, without brackets; `None` stands for every interface.
    pub fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether only this machine can reach the address.
    pub fn is_loopback(&self) -> bool {
        match &self.host {
            None => false,
            Some(host) => match host.parse::<IpAddr>() {
                Ok(address) => address.is_loopback(),
                Err(_) => host.eq_ignore_ascii_case("localhost"),
            },
        }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            None => write!(f, ":{}", self.port),
            Some(host) if host.contains(':') => write!(f, "[{host}]:{}", self.port),
            Some(host) => write!(f, "{host}:{}", self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_written() {
        let table = [
            (":9000", None, 9000, false),
            ("0.0.0.0:9000", Some("0.0.0.0"), 9000, false),
            ("127.0.0.1:1", Some("127.0.0.1"), 1, true),
            ("localhost:0", Some("localhost"), 0, true),
            ("[::1]:9000", Some("::1"), 9000, true),
            ("[::]:9000", Some("::"), 9000, false),
            ("store.example.net:443", Some("store.example.net"), 443, false),
        ];
        for (text, host, port, loopback) in table {
            let address = ListenAddress::parse(text).unwrap();
            assert_eq!(
                (address.host(), address.port(), address.is_loopback()),
                (host, port, loopback),
                "{text}"
            );
            assert_eq!(address.to_string(), text);
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for bad in [
            "9000",
            "",
            ":",
            "host:",
            ":65536",
            ":-1",
            "::1:9000",
            "[::1]",
            "[x]:1",
            "http://h:1",
            "a b:1",
        ] {
            assert!(ListenAddress::parse(bad).is_err(), "{bad}");
        }
    }
}
