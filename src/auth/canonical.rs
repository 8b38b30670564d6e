//! The canonical request and the string to sign, for the verifier and for the signer alike.
//!
//! S3's rules: the path is encoded once and never normalised; header values are trimmed and runs of spaces become one.

use http::{HeaderMap, HeaderName};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::hash::{HexHash, sha256_hex};
use super::target::Query;

/// The one algorithm.
pub(super) const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// The query parameter a presigned URL does not sign.
pub(super) const SIGNATURE_PARAMETER: &str = "X-Amz-Signature";

const VALUE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
const PATH: &AsciiSet = &VALUE.remove(b'/');

/// Everything a signature covers.
pub(super) struct Canonical<'a> {
    pub(super) method: &'a str,
    /// Decoded once.
    pub(super) path: &'a str,
    pub(super) query: &'a Query<'a>,
    pub(super) headers: &'a HeaderMap,
    /// The host as received, from the `Host` header or the authority of HTTP/2.
    pub(super) host: &'a [u8],
    /// Lower-case names, ascending, separated by `;`.
    pub(super) signed_headers: &'a str,
    pub(super) payload_hash: &'a str,
    pub(super) order: Order,
}

/// In which order the parameters of a query are signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// By name, then by value: S3's.
    Sorted,
    /// By name, those of one name as they were sent: of MinIO's clients for Go, which ask for events like that.
    AsSent,
}

impl Canonical<'_> {
    /// The text whose hash is signed.
    pub(super) fn request(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(768);
        out.extend_from_slice(self.method.as_bytes());
        out.push(b'\n');
        push_encoded(&mut out, self.path, PATH);
        out.push(b'\n');
        self.push_query(&mut out);
        out.push(b'\n');
        for name in self.signed_headers.split(';') {
            out.extend_from_slice(name.as_bytes());
            out.push(b':');
            self.push_values(&mut out, name);
            out.push(b'\n');
        }
        out.push(b'\n');
        out.extend_from_slice(self.signed_headers.as_bytes());
        out.push(b'\n');
        out.extend_from_slice(self.payload_hash.as_bytes());
        out
    }

    /// The string to sign, for a scope `day/region/service/aws4_request`.
    pub(super) fn string_to_sign(&self, date: &str, scope: &str) -> String {
        let hash: HexHash = sha256_hex(&self.request());
        let pieces = [ALGORITHM, "\n", date, "\n", scope, "\n", hash.as_str()];
        pieces.concat()
    }

    fn push_query(&self, out: &mut Vec<u8>) {
        let mut pairs: Vec<(String, String)> = self
            .query
            .pairs
            .iter()
            .filter(|pair| !pair.name.eq_ignore_ascii_case(SIGNATURE_PARAMETER))
            .map(|pair| (encoded(&pair.name), encoded(&pair.value)))
            .collect();
        match self.order {
            Order::Sorted => pairs.sort_unstable(),
            Order::AsSent => pairs.sort_by(|a, b| a.0.cmp(&b.0)),
        }
        for (i, (name, value)) in pairs.iter().enumerate() {
            if i > 0 {
                out.push(b'&');
            }
            out.extend_from_slice(name.as_bytes());
            out.push(b'=');
            out.extend_from_slice(value.as_bytes());
        }
    }

    fn push_values(&self, out: &mut Vec<u8>, name: &str) {
        if name == "host" {
            push_value(out, self.host);
            return;
        }
        let mut values = self.headers.get_all(name).iter().peekable();
        if values.peek().is_none() && name == http::header::EXPECT.as_str() {
            // Proxies answer `Expect` themselves and do not pass it on; the only value there is can be put back.
            push_value(out, b"100-continue");
        }
        for (i, value) in values.enumerate() {
            if i > 0 {
                out.push(b',');
            }
            push_value(out, value.as_bytes());
        }
    }
}

/// The names of `headers` plus `host`, as a list of signed headers.
pub(super) fn signed_headers_of<'a>(headers: impl Iterator<Item = &'a HeaderName>) -> String {
    let mut names: Vec<&str> = headers.map(HeaderName::as_str).chain(["host"]).collect();
    names.sort_unstable();
    names.dedup();
    names.join(";")
}

/// Encodes a name or a value of a query.
pub(super) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, VALUE).to_string()
}

/// Encodes a path.
pub(super) fn encoded_path(text: &str) -> String {
    utf8_percent_encode(text, PATH).to_string()
}

fn push_encoded(out: &mut Vec<u8>, text: &str, set: &'static AsciiSet) {
    for piece in utf8_percent_encode(text, set) {
        out.extend_from_slice(piece.as_bytes());
    }
}

fn push_value(out: &mut Vec<u8>, value: &[u8]) {
    let words = value
        .split(|b| matches!(b, b' ' | b'\t'))
        .filter(|word| !word.is_empty());
    for (i, word) in words.enumerate() {
        if i > 0 {
            out.push(b' ');
        }
        out.extend_from_slice(word);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_one_name_are_signed_sorted_or_as_they_were_sent() {
        let query = Query::parse(Some("b=2&b=1&a=3&X-Amz-Signature=x")).unwrap();
        let signed = |order| {
            let canonical = Canonical {
                method: "GET",
                path: "/",
                query: &query,
                headers: &HeaderMap::new(),
                host: b"h",
                signed_headers: "host",
                payload_hash: "hash",
                order,
            };
            let text = String::from_utf8(canonical.request()).unwrap();
            text.lines().nth(2).unwrap().to_owned()
        };
        assert_eq!(signed(Order::Sorted), "a=3&b=1&b=2");
        assert_eq!(signed(Order::AsSent), "a=3&b=2&b=1");
        assert!(query.repeats_a_name());
        assert!(!Query::parse(Some("b=2&a=2")).unwrap().repeats_a_name());
    }
}
