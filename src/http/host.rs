//! Which host a request means: one `Host`, the proxy's lost port, and the bucket in a virtual host. Pure.

use http::header::{HOST, HeaderMap, HeaderValue};
use http::{Uri, uri::Authority};

/// What the operator said about names under which the server is reached.
#[derive(Clone, Debug, Default)]
pub struct Hosts {
    domains: Vec<String>,
    /// Host and port of `MINIO_SERVER_URL`, if it names a port.
    public: Option<(String, u16)>,
}

/// A request that names no host, several, or different ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadHost;

impl Hosts {
    /// `domains` in lower case; `server_url` as checked by the configuration.
    pub fn new(domains: Vec<String>, server_url: Option<&str>) -> Self {
        let public = server_url.and_then(|url| url.parse::<Uri>().ok()).and_then(|url| {
            url.authority()
                .and_then(|authority| Some((host_of(authority), authority.port_u16()?)))
        });
        Self { domains, public }
    }

    /// Leaves exactly one `Host` in `headers`, equal to the request line's if that names one, with the port that the
    /// client signed, and tells whether a bucket is part of it.
    ///
    /// A proxy that sends on `Host` without the port breaks every signature; where `MINIO_SERVER_URL` names that port,
    /// it is put back.
    pub fn settle(&self, uri: &Uri, headers: &mut HeaderMap) -> Result<Style, BadHost> {
        let mut given = headers.get_all(HOST).iter();
        let (first, second) = (given.next(), given.next());
        if second.is_some() {
            return Err(BadHost);
        }
        let from_header = match first {
            Some(value) => Some(
                value
                    .to_str()
                    .ok()
                    .and_then(|text| text.parse::<Authority>().ok())
                    .ok_or(BadHost)?,
            ),
            None => None,
        };
        let authority = match (uri.authority(), from_header) {
            (Some(line), Some(header)) if *line != header => return Err(BadHost),
            (Some(line), _) => line.clone(),
            (None, Some(header)) => header,
            (None, None) => return Err(BadHost),
        };
        if authority.as_str().contains('@') {
            return Err(BadHost);
        }
        let host = host_of(&authority);
        let style = self.style(&host);
        let lost_port = self.public.as_ref().filter(|(public, _)| {
            authority.port().is_none() && (host == *public || matches!(style, Style::VirtualHost))
        });
        let settled = match lost_port {
            Some((_, port)) => HeaderValue::from_str(&format!("{}:{port}", authority.host())),
            None => HeaderValue::from_str(authority.as_str()),
        };
        headers.insert(HOST, settled.map_err(|_| BadHost)?);
        Ok(style)
    }

    fn style(&self, host: &str) -> Style {
        let in_domain = |domain: &String| {
            host.strip_suffix(domain.as_str())
                .and_then(|front| front.strip_suffix('.'))
                .is_some_and(|b| !b.is_empty())
        };
        // A domain that is itself below another one is not a bucket of it.
        if !self.domains.iter().any(|domain| domain == host) && self.domains.iter().any(in_domain) {
            Style::VirtualHost
        } else {
            Style::Path
        }
    }
}

fn host_of(authority: &Authority) -> String {
    authority.host().trim_end_matches('.').to_ascii_lowercase()
}

/// Where a request names its bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// The first label of the host is a bucket; every path is a key.
    VirtualHost,
    Path,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settle(hosts: &Hosts, uri: &str, given: &[&str]) -> Result<(Style, String), BadHost> {
        let mut headers = HeaderMap::new();
        for host in given {
            headers.append(HOST, HeaderValue::from_str(host).unwrap());
        }
        let style = hosts.settle(&uri.parse().unwrap(), &mut headers)?;
        assert_eq!(headers.get_all(HOST).iter().count(), 1);
        Ok((style, headers[HOST].to_str().unwrap().to_owned()))
    }

    #[test]
    fn exactly_one_host_is_left() {
        let hosts = Hosts::default();
        assert_eq!(settle(&hosts, "/b/k", &["a:9000"]), Ok((Style::Path, "a:9000".into())));
        assert_eq!(
            settle(&hosts, "http://a:9000/b", &[]),
            Ok((Style::Path, "a:9000".into()))
        );
        assert_eq!(
            settle(&hosts, "http://a:9000/b", &["a:9000"]),
            Ok((Style::Path, "a:9000".into()))
        );
        for (uri, given) in [
            ("/b", vec![]),
            ("/b", vec!["a", "a"]),
            ("/b", vec!["a", "evil"]),
            ("http://a/b", vec!["evil"]),
            ("/b", vec!["a b"]),
            ("/b", vec![""]),
            ("/b", vec!["user@a"]),
        ] {
            assert_eq!(settle(&hosts, uri, &given), Err(BadHost), "{uri} {given:?}");
        }
    }

    #[test]
    fn a_bucket_is_found_below_a_domain_only() {
        let hosts = Hosts::new(vec!["s3.test".into(), "eu.s3.test".into()], None);
        let table = [
            ("s3.test", Style::Path),
            ("pics.s3.test:9000", Style::VirtualHost),
            ("PICS.S3.test", Style::VirtualHost),
            ("a.b.s3.test", Style::VirtualHost),
            ("eu.s3.test", Style::Path),
            ("xs3.test", Style::Path),
            ("127.0.0.1:9000", Style::Path),
            ("[::1]:9000", Style::Path),
        ];
        for (host, style) in table {
            assert_eq!(settle(&hosts, "/minio/x", &[host]).unwrap().0, style, "{host}");
        }
    }

    #[test]
    fn the_port_that_a_proxy_dropped_is_put_back() {
        let hosts = Hosts::new(vec!["store.test".into()], Some("https://store.test:8443"));
        let table = [
            ("store.test", "store.test:8443"),
            ("b.store.test", "b.store.test:8443"),
            ("store.test:9000", "store.test:9000"),
            ("other.test", "other.test"),
        ];
        for (received, settled) in table {
            assert_eq!(settle(&hosts, "/", &[received]).unwrap().1, settled, "{received}");
        }
        let default_port = Hosts::new(Vec::new(), Some("https://store.test"));
        assert_eq!(settle(&default_port, "/", &["store.test"]).unwrap().1, "store.test");
    }
}
