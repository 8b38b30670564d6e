//! Signature Version 4 for the load generator and the crash tests, in the header and in a link, with the signing key derived once a day.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign};
use time::OffsetDateTime;
use time::macros::format_description;

/// What stands in `x-amz-content-sha256` when the body is not covered by the signature.
pub const UNSIGNED: &str = "UNSIGNED-PAYLOAD";

/// The lower-case hexadecimal SHA-256 of `bytes`.
#[must_use]
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex_simd::encode_to_string(digest(&SHA256, bytes).as_ref(), hex_simd::AsciiCase::Lower)
}

/// A key pair with its signing key for one day and region.
#[derive(Clone)]
pub struct Signer {
    access: String,
    scope: String,
    moment: String,
    key: Key,
}

/// What is signed; `path` and `query` are already percent-encoded, `query` is sorted.
#[derive(Debug, Clone, Copy)]
pub struct Signed<'a> {
    /// GET, PUT …
    pub method: &'a str,
    /// The encoded path, from `/` on.
    pub path: &'a str,
    /// The encoded query without `?`; empty for none.
    pub query: &'a str,
    /// The Host header.
    pub host: &'a str,
    /// The hexadecimal SHA-256 of the body, or [`UNSIGNED`].
    pub payload: &'a str,
}

impl Signer {
    /// A signer whose signatures all carry the moment `now`; valid as long as the server accepts that clock.
    #[must_use]
    pub fn new(access: &str, secret: &str, region: &str, now: OffsetDateTime) -> Self {
        let moment = now
            .format(format_description!("[year][month][day]T[hour][minute][second]Z"))
            .unwrap_or_default();
        let day = moment.get(..8).unwrap_or_default().to_owned();
        let mut key = Key::new(HMAC_SHA256, format!("AWS4{secret}").as_bytes());
        for step in [day.as_str(), region, "s3", "aws4_request"] {
            key = Key::new(HMAC_SHA256, sign(&key, step.as_bytes()).as_ref());
        }
        Self {
            access: access.to_owned(),
            scope: format!("{day}/{region}/s3/aws4_request"),
            moment,
            key,
        }
    }

    /// The value of `x-amz-date` that goes with the signatures.
    #[must_use]
    pub fn moment(&self) -> &str {
        &self.moment
    }

    /// The value of the Authorization header over `host;x-amz-content-sha256;x-amz-date`.
    #[must_use]
    pub fn authorization(&self, what: Signed<'_>) -> String {
        let names = "host;x-amz-content-sha256;x-amz-date";
        let canonical = format!(
            "{}\n{}\n{}\nhost:{}\nx-amz-content-sha256:{}\nx-amz-date:{}\n\n{names}\n{}",
            what.method, what.path, what.query, what.host, what.payload, self.moment, what.payload
        );
        let signature = self.signature(&canonical);
        format!(
            "AWS4-HMAC-SHA256 Credential={}/{}, SignedHeaders={names}, Signature={signature}",
            self.access, self.scope
        )
    }

    /// The path and query of a link that anybody may use for `seconds` with any body.
    #[must_use]
    pub fn link(&self, method: &str, path: &str, host: &str, seconds: u32) -> String {
        let query = format!(
            "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={}&X-Amz-Date={}&X-Amz-Expires={seconds}\
             &X-Amz-SignedHeaders=host",
            encode(&format!("{}/{}", self.access, self.scope), false),
            self.moment
        );
        let canonical = format!("{method}\n{path}\n{query}\nhost:{host}\n\nhost\n{UNSIGNED}");
        format!("{path}?{query}&X-Amz-Signature={}", self.signature(&canonical))
    }

    fn signature(&self, canonical: &str) -> String {
        let text = format!(
            "AWS4-HMAC-SHA256\n{}\n{}\n{}",
            self.moment,
            self.scope,
            sha256_hex(canonical.as_bytes())
        );
        let signature = sign(&self.key, text.as_bytes());
        hex_simd::encode_to_string(signature.as_ref(), hex_simd::AsciiCase::Lower)
    }
}

/// Percent-encodes as the signature demands; `/` stays when `path`.
#[must_use]
pub fn encode(text: &str, path: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            b'/' if path => out.push('/'),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn the_published_list_example_has_the_published_signature() {
        // "GET Bucket (List Objects)" of the S3 documentation of Signature Version 4.
        let signer = Signer::new(
            "AKIAIOSFODNN7EXAMPLE",
            "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            "us-east-1",
            datetime!(2013-05-24 00:00 UTC),
        );
        let payload = sha256_hex(b"");
        let header = signer.authorization(Signed {
            method: "GET",
            path: "/",
            query: "max-keys=2&prefix=J",
            host: "examplebucket.s3.amazonaws.com",
            payload: &payload,
        });
        let expected = "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7";
        assert!(header.ends_with(&format!("Signature={expected}")), "{header}");
    }

    #[test]
    fn the_published_link_example_has_the_published_signature() {
        // "Authenticating Requests: Using Query Parameters" of the same documentation.
        let signer = Signer::new(
            "AKIAIOSFODNN7EXAMPLE",
            "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            "us-east-1",
            datetime!(2013-05-24 00:00 UTC),
        );
        let link = signer.link("GET", "/test.txt", "examplebucket.s3.amazonaws.com", 86_400);
        let expected = "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404";
        assert!(link.ends_with(&format!("X-Amz-Signature={expected}")), "{link}");
    }

    #[test]
    fn everything_but_the_unreserved_is_encoded() {
        assert_eq!(encode("a/b +ü~", true), "a/b%20%2B%C3%BC~");
        assert_eq!(encode("a/b", false), "a%2Fb");
    }
}
