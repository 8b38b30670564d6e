//! Request headers made fit for s3s, which reads some of them more narrowly than AWS does.
//!
//! Owns what is moved aside ([`Lifted`]) for our own handlers to read: conditions with unquoted or several entity tags,
//! dates that must be ignored when they are not dates, header texts outside ASCII, headers carried in a presigned
//! query. It never judges a value.

use http::header::{
    CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_TYPE, EXPIRES, HeaderName,
    HeaderValue, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE,
};
use http::{HeaderMap, Method};

use super::error::{Code, Failure};
use super::guard::{Parameter, is_header_in_query};

/// Headers that s3s does not see; handlers read them from the request's extensions.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lifted(HeaderMap);

impl Lifted {
    /// The header as text; `None` if absent, empty or not UTF-8.
    pub(crate) fn text(&self, name: impl http::header::AsHeaderName) -> Option<&str> {
        let text = std::str::from_utf8(self.0.get(name)?.as_bytes()).ok()?.trim();
        if text.is_empty() { None } else { Some(text) }
    }
}

pub(crate) const COPY_IF_MATCH: HeaderName = HeaderName::from_static("x-amz-copy-source-if-match");
pub(crate) const COPY_IF_NONE_MATCH: HeaderName = HeaderName::from_static("x-amz-copy-source-if-none-match");
pub(crate) const COPY_IF_MODIFIED: HeaderName = HeaderName::from_static("x-amz-copy-source-if-modified-since");
pub(crate) const COPY_IF_UNMODIFIED: HeaderName = HeaderName::from_static("x-amz-copy-source-if-unmodified-since");

const CONDITIONS: [HeaderName; 11] = [
    IF_MATCH,
    IF_NONE_MATCH,
    IF_MODIFIED_SINCE,
    IF_UNMODIFIED_SINCE,
    IF_RANGE,
    RANGE,
    EXPIRES,
    COPY_IF_MATCH,
    COPY_IF_NONE_MATCH,
    COPY_IF_MODIFIED,
    COPY_IF_UNMODIFIED,
];
const TEXTS: [HeaderName; 5] = [
    CACHE_CONTROL,
    CONTENT_DISPOSITION,
    CONTENT_ENCODING,
    CONTENT_LANGUAGE,
    CONTENT_TYPE,
];

/// Turns `x-amz-*` query parameters into the headers they stand for, so that one set of rules judges both.
pub(crate) fn unfold_query(query: &[Parameter], headers: &mut HeaderMap) -> Result<(), Failure> {
    for (name, value) in query.iter().filter(|(name, _)| is_header_in_query(name)) {
        let name = HeaderName::try_from(name.to_ascii_lowercase());
        let (Ok(name), Ok(value)) = (name, HeaderValue::try_from(value)) else {
            return Err(Code::INVALID_URI.into());
        };
        if headers.get(&name) != Some(&value) {
            headers.append(name, value);
        }
    }
    Ok(())
}

/// Moves aside what s3s would refuse or misread.
pub(crate) fn lift(method: &Method, headers: &mut HeaderMap) -> Lifted {
    let mut lifted = HeaderMap::new();
    for name in &CONDITIONS {
        if headers.contains_key(name) {
            take(name, headers, &mut lifted);
        }
    }
    let write = method == Method::PUT || method == Method::POST;
    for name in TEXTS.iter().filter(|_| write) {
        let odd = |value: &HeaderValue| {
            // s3s reads every POST of this type as a browser form, even the start of a multipart upload.
            value.to_str().is_err() || (method == Method::POST && value.as_bytes().starts_with(b"multipart/form-data"))
        };
        if headers.get(name).is_some_and(odd) {
            take(name, headers, &mut lifted);
        }
    }
    if write {
        join_metadata(headers);
    }
    Lifted(lifted)
}

/// Several lines of one header are one list.
fn take(name: &HeaderName, headers: &mut HeaderMap, lifted: &mut HeaderMap) {
    let joined = join(headers, name);
    headers.remove(name);
    if let Some(value) = joined {
        lifted.insert(name.clone(), value);
    }
}

fn join(headers: &HeaderMap, name: &HeaderName) -> Option<HeaderValue> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?;
    let mut joined = first.as_bytes().to_vec();
    for value in values {
        joined.push(b',');
        joined.extend_from_slice(value.as_bytes());
    }
    HeaderValue::from_bytes(&joined).ok()
}

/// User metadata given twice is one value with a comma, as AWS stores it.
fn join_metadata(headers: &mut HeaderMap) {
    let twice: Vec<HeaderName> = headers
        .keys()
        .filter(|name| name.as_str().starts_with("x-amz-meta-") && headers.get_all(*name).iter().nth(1).is_some())
        .cloned()
        .collect();
    for name in twice {
        if let Some(joined) = join(headers, &name) {
            headers.insert(name, joined);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Lifted, lift, unfold_query};
    use http::{HeaderMap, Method};

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, http::HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        headers
    }

    #[test]
    fn conditions_are_moved_aside_and_lists_joined() {
        let mut given = headers(&[
            ("if-match", "abc"),
            ("if-match", "\"def\""),
            ("range", "bytes=0-1"),
            ("host", "h"),
        ]);
        let lifted = lift(&Method::GET, &mut given);
        assert_eq!(lifted.text("if-match"), Some("abc,\"def\""));
        assert_eq!(lifted.text("range"), Some("bytes=0-1"));
        assert_eq!(given, headers(&[("host", "h")]));
    }

    #[test]
    fn texts_outside_ascii_and_form_types_of_posts_are_moved_aside() {
        let mut given = headers(&[
            ("content-disposition", "a; filename=\"ü\""),
            ("content-type", "multipart/form-data"),
        ]);
        let lifted = lift(&Method::POST, &mut given);
        assert_eq!(lifted.text("content-disposition"), Some("a; filename=\"ü\""));
        assert_eq!(lifted.text("content-type"), Some("multipart/form-data"));
        let mut plain = headers(&[("content-type", "text/plain"), ("cache-control", "no-cache")]);
        let Lifted(lifted) = lift(&Method::PUT, &mut plain);
        assert!(lifted.is_empty() && plain.len() == 2);
    }

    #[test]
    fn metadata_given_twice_becomes_one_list() {
        let mut given = headers(&[("x-amz-meta-a", "1"), ("x-amz-meta-a", "2"), ("x-amz-meta-b", "3")]);
        lift(&Method::PUT, &mut given);
        assert_eq!(given, headers(&[("x-amz-meta-a", "1,2"), ("x-amz-meta-b", "3")]));
    }

    #[test]
    fn headers_in_a_presigned_query_count_as_headers() {
        let mut given = headers(&[("x-amz-meta-a", "1")]);
        let query = [
            ("X-Amz-Acl".to_owned(), "public-read".to_owned()),
            ("x-amz-meta-a".to_owned(), "1".to_owned()),
        ];
        unfold_query(&query, &mut given).unwrap();
        assert_eq!(given, headers(&[("x-amz-meta-a", "1"), ("x-amz-acl", "public-read")]));
        assert!(unfold_query(&[("x-amz-b\n".to_owned(), String::new())], &mut given).is_err());
    }
}
