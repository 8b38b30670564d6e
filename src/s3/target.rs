//! Which bucket and key a request is about: virtual-host and path style.
//!
//! Owns host matching (label boundaries, IP literals, ports) for the guard, for errors and for s3s, so that all three
//! read one request the same way. It never validates names; s3s does, with our rules, when it routes.

use std::net::IpAddr;

use http::header::HOST;
use http::{HeaderMap, Uri};
use percent_encoding::percent_decode_str;
use s3s::S3Result;
use s3s::host::{S3Host, VirtualHost};

/// What a request addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Service,
    Bucket { bucket: String },
    Object { bucket: String, key: String },
}

/// The domains under which buckets are host names. Empty: path style only.
#[derive(Clone, Debug, Default)]
pub(crate) struct Domains(Vec<String>);

impl Domains {
    /// Takes domain names, with or without port; letter case does not matter.
    pub(crate) fn new(domains: impl IntoIterator<Item = String>) -> Self {
        let mut domains: Vec<String> = domains
            .into_iter()
            .map(|domain| without_port(domain.trim().trim_matches('.')).to_ascii_lowercase())
            .filter(|domain| !domain.is_empty())
            .collect();
        // The longest matching domain wins, so that `a.example.com` may stand beside `example.com`.
        domains.sort_by_key(|domain| std::cmp::Reverse(domain.len()));
        Self(domains)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The bucket that this Host header names, if it is a label under one of the domains.
    fn bucket_of(&self, host: &str) -> Option<String> {
        let host = without_port(host);
        if self.0.is_empty() || host.starts_with('[') || host.parse::<IpAddr>().is_ok() {
            return None;
        }
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        for domain in &self.0 {
            if host == *domain {
                return None;
            }
            let bucket = host
                .strip_suffix(domain.as_str())
                .and_then(|rest| rest.strip_suffix('.'));
            if let Some(bucket) = bucket.filter(|bucket| !bucket.is_empty()) {
                return Some(bucket.to_owned());
            }
        }
        None
    }

    /// What the request addresses; `None` if its path is not valid UTF-8 after decoding.
    pub(crate) fn target(&self, uri: &Uri, headers: &HeaderMap) -> Option<Target> {
        let path = percent_decode_str(uri.path()).decode_utf8().ok()?;
        let path = path.strip_prefix('/').unwrap_or(&path);
        let host = headers
            .get(HOST)
            .and_then(|host| host.to_str().ok())
            .or_else(|| uri.authority().map(|a| a.as_str()));
        if let Some(bucket) = host.and_then(|host| self.bucket_of(host)) {
            return Some(match path {
                "" => Target::Bucket { bucket },
                key => Target::Object {
                    bucket,
                    key: key.to_owned(),
                },
            });
        }
        Some(match path.split_once('/') {
            None if path.is_empty() => Target::Service,
            None => Target::Bucket {
                bucket: path.to_owned(),
            },
            Some((bucket, "")) => Target::Bucket {
                bucket: bucket.to_owned(),
            },
            Some((bucket, key)) => Target::Object {
                bucket: bucket.to_owned(),
                key: key.to_owned(),
            },
        })
    }
}

impl S3Host for Domains {
    fn parse_host_header<'a>(&'a self, host: &'a str) -> S3Result<VirtualHost<'a>> {
        let virtual_host = VirtualHost::new(host);
        Ok(match self.bucket_of(host) {
            Some(bucket) => virtual_host.with_bucket(bucket),
            None => virtual_host,
        })
    }
}

/// The host without a port; an IPv6 literal keeps its colons and brackets.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if !name.contains(':') || name.ends_with(']') => {
            if port.bytes().all(|b| b.is_ascii_digit()) {
                name
            } else {
                host
            }
        }
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::{Domains, Target};
    use http::{HeaderMap, Uri};

    fn target(domains: &[&str], host: &str, path: &str) -> Option<Target> {
        let mut headers = HeaderMap::new();
        headers.insert("host", host.parse().unwrap());
        let uri: Uri = path.parse().unwrap();
        Domains::new(domains.iter().map(ToString::to_string)).target(&uri, &headers)
    }

    fn bucket(name: &str) -> Option<Target> {
        Some(Target::Bucket {
            bucket: name.to_owned(),
        })
    }

    fn object(bucket: &str, key: &str) -> Option<Target> {
        Some(Target::Object {
            bucket: bucket.to_owned(),
            key: key.to_owned(),
        })
    }

    #[test]
    fn a_bucket_is_a_label_under_a_domain_and_nothing_else() {
        let domains = &["s3.example.com", "example.com"];
        assert_eq!(target(domains, "b.s3.example.com", "/k"), object("b", "k"));
        assert_eq!(target(domains, "B.S3.Example.com:9000", "/k"), object("b", "k"));
        assert_eq!(target(domains, "b.example.com.", "/"), bucket("b"));
        assert_eq!(target(domains, "s3.example.com", "/b/k"), object("b", "k"));
        assert_eq!(target(domains, "my.dotted.example.com", "/k"), object("my.dotted", "k"));
        assert_eq!(target(domains, "evilexample.com", "/b/k"), object("b", "k"));
        assert_eq!(target(domains, ".example.com", "/b/k"), object("b", "k"));
        assert_eq!(target(domains, "elsewhere.org", "/b/k"), object("b", "k"));
    }

    #[test]
    fn ip_literals_and_servers_without_domain_are_path_style() {
        assert_eq!(target(&["0.0.1"], "127.0.0.1:9000", "/b/k"), object("b", "k"));
        assert_eq!(target(&["example.com"], "[::1]:9000", "/b/"), bucket("b"));
        assert_eq!(target(&[], "b.example.com", "/c/k"), object("c", "k"));
        assert_eq!(target(&[], "localhost", "/"), Some(Target::Service));
    }

    #[test]
    fn a_key_is_everything_behind_the_bucket_decoded_once() {
        assert_eq!(target(&[], "h", "/b//k/../%2F%2525/"), object("b", "/k/..//%25/"));
        assert_eq!(target(&["d"], "b.d", "/v1/minio"), object("b", "v1/minio"));
        assert_eq!(target(&[], "h", "/b/%FF"), None);
    }
}
