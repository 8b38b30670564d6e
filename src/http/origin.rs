//! What the addresses begin with that the server gives out. Pure.

use super::peer::Peer;

/// How the server is reached, as far as the operator said.
#[derive(Clone, Debug, Default)]
pub struct Origins {
    /// `MINIO_SERVER_URL` as checked by the configuration; `None`: as the caller reached it.
    pub server_url: Option<String>,
    /// Whether it listens with TLS.
    pub tls: bool,
}

impl Origins {
    /// Scheme and authority: as the operator said, or as the caller reached the server, TLS of a trusted proxy included.
    pub fn of(&self, peer: Option<&Peer>, host: &str) -> String {
        if let Some(url) = &self.server_url {
            return url.clone();
        }
        let secure = peer.map_or(self.tls, |peer| peer.secure);
        format!("{}://{host}", if secure { "https" } else { "http" })
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::{Origins, Peer};

    #[test]
    fn addresses_begin_as_the_operator_said_or_as_the_caller_came() {
        let peer = |secure| Peer {
            address: Ipv4Addr::LOCALHOST.into(),
            secure,
        };
        let unsaid = Origins {
            server_url: None,
            tls: true,
        };
        assert_eq!(unsaid.of(None, "a:9000"), "https://a:9000");
        assert_eq!(unsaid.of(Some(&peer(false)), "a:9000"), "http://a:9000");
        assert_eq!(unsaid.of(Some(&peer(true)), "a"), "https://a");
        let said = Origins {
            server_url: Some("https://store.test".into()),
            tls: false,
        };
        assert_eq!(said.of(Some(&peer(false)), "a:9000"), "https://store.test");
    }
}
