//! Dates and byte ranges as headers write them, and the conditions of a read. Pure.
//!
//! Owns their parsing. What they mean for an object the store decides.

use http::HeaderMap;
use http::header::{IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_UNMODIFIED_SINCE};
use storage_engine::store::clock::Timestamp;
use storage_engine::store::condition::{ETagMatch, ReadConditions};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

/// The conditions of a GET or HEAD, as its headers have them.
pub(crate) fn of_headers(headers: &HeaderMap) -> ReadConditions {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    ReadConditions {
        if_match: text(IF_MATCH).map(ETagMatch::parse),
        if_none_match: text(IF_NONE_MATCH).map(ETagMatch::parse),
        if_modified_since: text(IF_MODIFIED_SINCE).and_then(date),
        if_unmodified_since: text(IF_UNMODIFIED_SINCE).and_then(date),
    }
}

/// An HTTP date; what is none is to be ignored (RFC 9110 §13.1.3).
pub(crate) fn date(text: &str) -> Option<Timestamp> {
    let seconds = OffsetDateTime::parse(text, &Rfc2822).ok()?.unix_timestamp();
    Some(Timestamp::from_millis(u64::try_from(seconds).ok()?.checked_mul(1_000)?))
}

/// A single byte range as a header asks for it; positions are inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RangeHeader {
    From { first: u64, last: Option<u64> },
    Suffix { length: u64 },
}

/// Reads a `Range` header. What is not exactly one well-formed byte range is ignored, as AWS and RFC 9110 §14.2 do, and
/// the whole object is answered.
pub(crate) fn range(text: &str) -> Option<RangeHeader> {
    let (unit, spec) = text.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let (first, last) = spec.trim().split_once('-')?;
    if first.is_empty() {
        return Some(RangeHeader::Suffix { length: digits(last)? });
    }
    let first = digits(first)?;
    let last = if last.is_empty() { None } else { Some(digits(last)?) };
    if last.is_some_and(|last| last < first) {
        return None;
    }
    Some(RangeHeader::From { first, last })
}

fn digits(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    // More digits than fit mean "as far as there is".
    Some(text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::{RangeHeader, date, range};

    #[test]
    fn a_range_header_is_one_byte_range_or_nothing() {
        let from = |first, last| Some(RangeHeader::From { first, last });
        let table = [
            ("bytes=0-0", from(0, Some(0))),
            ("bytes=5-", from(5, None)),
            ("Bytes= 5-9", from(5, Some(9))),
            ("bytes=-7", Some(RangeHeader::Suffix { length: 7 })),
            ("bytes=-0", Some(RangeHeader::Suffix { length: 0 })),
            ("bytes=0-99999999999999999999999", from(0, Some(u64::MAX))),
            ("bytes=9-5", None),
            ("bytes=0-1,3-4", None),
            ("bytes=", None),
            ("bytes=-", None),
            ("bytes=a-b", None),
            ("bytes=+1-2", None),
            ("items=0-1", None),
            ("0-1", None),
        ];
        for (text, expected) in table {
            assert_eq!(range(text), expected, "{text}");
        }
    }

    #[test]
    fn dates_are_http_dates_or_ignored() {
        assert_eq!(
            date("Wed, 21 Oct 2015 07:28:00 GMT").map(|t| t.seconds()),
            Some(1_445_412_480)
        );
        assert_eq!(date("2015-10-21"), None);
        assert_eq!(date("Thu, 01 Jan 1960 00:00:00 GMT"), None);
    }
}
