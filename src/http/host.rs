//! Which host a request means: one `Host`, the proxy's lost port, and the bucket in a virtual host. Pure.

use http::header::{HOST, HeaderMap, HeaderValue};
use http::{Uri, uri::Authority};

/// What the operator said about names under which the server is reached.
#[derive(Clone, Debug, Default)]
pub struct Hosts {
    domains: Vec<String>,
    /// Host and port of `MINIO_SERVER_URL`.
    public: Option<Authority>,
}

/// A request that names no host, several, or different ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadHost;

impl Hosts {
    /// `domains` in lower case; `server_url` as checked by the configuration.
    pub fn new(domains: Vec<String>, server_url: Option<&str>) -> Self {
        let public = server_url.and_then(|url| url.parse::<Uri>().ok());
        let public = public.and_then(|url| url.authority().cloned());
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
        let lost_port = self.public.as_ref().filter(|public| {
            authority.port().is_none() && (host == host_of(public) || matches!(style, Style::VirtualHost))
        });
        let settled = match lost_port.and_then(Authority::port_u16) {
            Some(port) => HeaderValue::from_str(&format!("{}:{port}", authority.host())),
            None => HeaderValue::from_str(authority.as_str()),
        };
        headers.insert(HOST, settled.map_err(|_| BadHost)?);
        Ok(style)
    }

    /// Whether this is a name of the server itself or of one of its buckets, and so nobody else's. In lower case.
    pub fn is_own(&self, host: &str) -> bool {
        let is_public = self.public.as_ref().is_some_and(|public| host_of(public) == host);
        is_public || self.domains.iter().any(|domain| domain == host) || self.is_below(host)
    }

    /// The name that a settled request is sent to, without port, where it is none of the server's own.
    pub fn foreign(&self, headers: &HeaderMap) -> Option<String> {
        let authority = headers.get(HOST)?.to_str().ok()?.parse::<Authority>().ok()?;
        Some(host_of(&authority)).filter(|host| !self.is_own(host))
    }

    /// Makes a settled request one to the server itself, where it is known how clients call that.
    pub fn bring_home(&self, headers: &mut HeaderMap) {
        let public = self.public.as_ref();
        if let Some(own) = public.and_then(|public| HeaderValue::from_str(public.as_str()).ok()) {
            headers.insert(HOST, own);
        }
    }

    fn is_below(&self, host: &str) -> bool {
        self.domains.iter().any(|domain| {
            let front = host.strip_suffix(domain.as_str());
            let bucket = front.and_then(|front| front.strip_suffix('.'));
            bucket.is_some_and(|bucket| !bucket.is_empty())
        })
    }

    fn style(&self, host: &str) -> Style {
        // A domain that is itself below another one is not a bucket of it.
        if !self.domains.iter().any(|domain| domain == host) && self.is_below(host) {
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
    fn a_name_that_is_not_the_servers_own_may_be_an_image_hosts() {
        let hosts = Hosts::new(vec!["s3.test".into()], Some("https://Store.test:8443"));
        let foreign = |host: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, HeaderValue::from_str(host).unwrap());
            hosts.foreign(&headers)
        };
        for own in ["store.test", "STORE.test:9000", "s3.test", "b.s3.test.", "store.test."] {
            assert_eq!(foreign(own), None, "{own}");
        }
        for (host, name) in [
            ("IMG.test:9000", "img.test"),
            ("img.test.", "img.test"),
            ("xs3.test", "xs3.test"),
        ] {
            assert_eq!(foreign(host).as_deref(), Some(name));
        }
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static("img.test"));
        Hosts::default().bring_home(&mut headers);
        assert_eq!(headers[HOST], "img.test");
        hosts.bring_home(&mut headers);
        assert_eq!(headers[HOST], "Store.test:8443");
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
