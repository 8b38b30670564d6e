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
use crate::images::album::AutoFormats;
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
        let avif = if order.avif_if_small { " or AVIF" } else { "" };
        let told = format!("{MAKING}\n{state}\n{}\n{:?}{avif}", order.options, order.encoding);
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

/// Which of these formats a client says to take: by name, since `image/*` is said by clients that show neither. AVIF is not
/// taken by whom WebP is dearer to.
pub(super) fn accepted(headers: &HeaderMap, of: AutoFormats) -> AutoFormats {
    let (avif, webp) = (weight(headers, "image/avif"), weight(headers, "image/webp"));
    AutoFormats {
        avif: of.avif && avif > 0.0 && !(of.webp && webp > avif),
        webp: of.webp && webp > 0.0,
    }
}

/// How much a client wants a media type that it names: 0 is not at all, 1 most.
fn weight(headers: &HeaderMap, named: &str) -> f32 {
    let accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let weights = accepted.flat_map(|text| text.split(',')).filter_map(|kind| {
        let mut words = kind.split(';').map(str::trim);
        let is_named = words.next().is_some_and(|kind| kind.eq_ignore_ascii_case(named));
        let said = words.find_map(|word| word.strip_prefix("q=").or(word.strip_prefix("Q=")));
        // What is no weight was meant as some.
        let weight = said.and_then(|weight| weight.parse().ok()).unwrap_or(1.0_f32);
        is_named.then_some(weight.clamp(0.0, 1.0))
    });
    weights.fold(0.0, f32::max)
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

    const BOTH: AutoFormats = AutoFormats { avif: true, webp: true };

    fn told(text: &'static str, of: AutoFormats) -> Vec<&'static str> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static(text));
        accepted(&headers, of).names()
    }

    #[test]
    fn a_format_is_sent_to_who_names_it() {
        for (text, formats) in [
            (
                "image/avif,image/webp,image/apng,image/*,*/*;q=0.8",
                &["avif", "webp"][..],
            ),
            ("image/png, Image/AVIF;q=0.5", &["avif"]),
            ("image/png, Image/WebP;q=0.5", &["webp"]),
            ("image/webp;q=x", &["webp"]),
            ("image/webp;level=1;q=0.1", &["webp"]),
            ("*/*", &[]),
            ("image/*", &[]),
            ("image/webp;q=0, image/avif; Q=0.0", &[]),
            ("image/webp;q=0.000, */*", &[]),
            ("image/webpx, image/avif-sequence", &[]),
            // Whoever wants WebP more gets that.
            ("image/avif;q=0.5,image/webp;q=0.9", &["webp"]),
            ("image/avif;q=0.9,image/webp;q=0.9", &["avif", "webp"]),
            ("image/avif;q=0.9,image/webp;q=0", &["avif"]),
        ] {
            assert_eq!(told(text, BOTH), formats, "{text}");
        }
        assert_eq!(accepted(&HeaderMap::new(), BOTH).names(), [""; 0]);
    }

    #[test]
    fn a_format_that_is_not_chosen_here_is_sent_to_nobody() {
        let browser = "image/avif;q=0.5,image/webp";
        for (of, formats) in [
            (&["avif", "webp"][..], &["webp"][..]),
            (&["webp"], &["webp"]),
            (&["avif"], &["avif"]),
            (&[], &[]),
        ] {
            let of = AutoFormats::named(of.iter().copied()).unwrap();
            assert_eq!(told(browser, of), formats);
        }
        assert_eq!(AutoFormats::named(["webp", "jpeg"]), None);
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
