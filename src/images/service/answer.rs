//! The answer that holds an image: what caches between may do with it, and that it never acts as a page.

use bytes::Bytes;
use http::header::{
    ACCEPT, ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_MODIFIED_SINCE, IF_NONE_MATCH,
    LAST_MODIFIED, VARY,
};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};

use super::original::Asking;
use crate::auth::sha256;
use crate::http::body::{self, Body};
use crate::images::cache::Variant;
use crate::images::wire::Encoding;
use crate::media;

/// Changes when the same options make other bytes than before.
const MAKING: &str = "1";

/// An image that is served, but for its bytes.
pub(super) struct Served<'a> {
    pub(super) variant: &'a Variant,
    pub(super) modified: Option<HeaderValue>,
    /// Its format was chosen by what the client accepts.
    pub(super) by_accept: bool,
    /// Everybody may see it.
    pub(super) is_open: bool,
}

impl Served<'_> {
    /// The answer to a client that has the image already.
    pub(super) fn unchanged(&self, head: &Parts) -> Option<Response<Body>> {
        let has = match head.headers.get(IF_NONE_MATCH) {
            Some(known) => names(known, &self.etag()),
            None => {
                let since = head.headers.get(IF_MODIFIED_SINCE);
                // Clients send back what they were told.
                since.is_some() && since == self.modified.as_ref()
            }
        };
        if !has {
            return None;
        }
        let mut response = Response::new(body::empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        self.describe(response.headers_mut(), head);
        Some(response)
    }

    pub(super) fn answer(&self, head: &Parts, encoding: Encoding, bytes: Bytes) -> Response<Body> {
        let length = bytes.len();
        let body = if head.method == Method::HEAD {
            body::empty()
        } else {
            body::full(bytes)
        };
        let mut response = Response::new(body);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(encoding.media_type()));
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        headers.insert(ACCEPT_RANGES, HeaderValue::from_static("none"));
        self.describe(headers, head);
        response
    }

    fn describe(&self, headers: &mut HeaderMap, head: &Parts) {
        if let Ok(etag) = HeaderValue::try_from(self.etag()) {
            headers.insert(ETAG, etag);
        }
        if let Some(modified) = &self.modified {
            headers.insert(LAST_MODIFIED, modified.clone());
        }
        if self.by_accept {
            headers.append(VARY, HeaderValue::from_static("Accept"));
        }
        keep(headers, head, self.is_open);
    }

    /// Of this image alone: of the file as it is, these options, and this format.
    fn etag(&self) -> String {
        let Variant { state, order, .. } = self.variant;
        let told = format!("{MAKING}\n{state}\n{}\n{:?}", order.options, order.encoding);
        let hash = sha256(told.as_bytes());
        let start = hash.first_chunk::<16>().copied().unwrap_or_default();
        format!("\"{}\"", hex_simd::encode_to_string(start, hex_simd::AsciiCase::Lower))
    }
}

/// What S3 answered with the original, as it is sent on.
pub(super) fn original(mut answer: Response<Body>, head: &Parts, asking: &Asking) -> Response<Body> {
    if head.method == Method::HEAD {
        *answer.body_mut() = body::empty();
    }
    keep(answer.headers_mut(), head, !asking.names_caller());
    answer
}

/// Whether a client says that it shows WebP.
pub(super) fn accepts_webp(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted.flat_map(|text| text.split(',')).any(|kind| {
        let mut words = kind.split(';').map(str::trim);
        let named = words.next().is_some_and(|kind| kind.eq_ignore_ascii_case("image/webp"));
        let refused = words.any(|word| {
            let weight = word.strip_prefix("q=").or(word.strip_prefix("Q="));
            weight.is_some_and(|weight| weight.parse() == Ok(0.0_f32))
        });
        named && !refused
    })
}

/// How long it may be kept, and by whom.
fn keep(headers: &mut HeaderMap, head: &Parts, is_open: bool) {
    let query = head.uri.query().unwrap_or_default();
    let is_versioned = query
        .split('&')
        .any(|pair| pair.strip_prefix("v=").is_some_and(|version| !version.is_empty()));
    let value = match is_open {
        true => media::kept(is_versioned),
        false => "private, no-cache",
    };
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(value));
    headers.insert(
        "content-security-policy",
        HeaderValue::from_static("default-src 'none'; sandbox"),
    );
    headers.insert("cross-origin-resource-policy", HeaderValue::from_static("cross-origin"));
    if !is_open {
        headers.insert("referrer-policy", HeaderValue::from_static("no-referrer"));
        headers.append(VARY, HeaderValue::from_static("Authorization, X-API-Key"));
    }
}

/// Whether a list of entity tags has this one, weak or not.
fn names(known: &HeaderValue, etag: &str) -> bool {
    let Ok(known) = known.to_str() else { return false };
    known
        .split(',')
        .map(str::trim)
        .any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn webp_is_sent_to_who_says_to_take_it() {
        let accepts = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, HeaderValue::from_static(text));
            accepts_webp(&headers)
        };
        assert!(accepts("image/avif,image/webp,image/apng,image/*,*/*;q=0.8"));
        assert!(accepts("image/png, Image/WebP;q=0.5"));
        for text in [
            "*/*",
            "image/*",
            "image/webp;q=0",
            "image/webp;q=0.000, */*",
            "image/webpx",
        ] {
            assert!(!accepts(text), "{text}");
        }
        assert!(!accepts_webp(&HeaderMap::new()));
    }

    #[test]
    fn an_entity_tag_is_found_in_a_list() {
        for (known, found) in [
            ("\"a\"", true),
            ("W/\"a\"", true),
            ("\"b\", \"a\"", true),
            ("*", true),
            ("\"b\"", false),
            ("a", false),
        ] {
            assert_eq!(names(&HeaderValue::from_static(known), "\"a\""), found, "{known}");
        }
    }
}
