//! Takes everything off a request that only authentication needed, so that what is routed looks unsigned and plain.

use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, header, request::Parts};

use super::claim::{QUERY_PARAMETERS, only};
use super::error::AuthError;
use super::payload::{Payload, PayloadMode, Trailers};
use super::target::Query;

const DECODED_LENGTH: HeaderName = HeaderName::from_static("x-amz-decoded-content-length");
const TRAILER: HeaderName = HeaderName::from_static("x-amz-trailer");
const REMOVED: [HeaderName; 6] = [
    header::AUTHORIZATION,
    HeaderName::from_static("x-amz-content-sha256"),
    HeaderName::from_static("x-amz-date"),
    HeaderName::from_static("x-amz-security-token"),
    DECODED_LENGTH,
    TRAILER,
];

/// What changes in a request's target and headers because its URL was presigned.
#[derive(Default)]
pub(super) struct Cleaning {
    query: Option<String>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Cleaning {
    /// The signature's parameters go. Other `x-amz-*` parameters stand for headers (SDKs move them into the URL when they
    /// presign), so headers is what they become again; a store that overlooked them would take a request for encryption
    /// or for an ACL as a plain one. The exception is checksum *values*: SDKs sign the one of an empty body into the URL of
    /// a body they have not seen, and S3 does not hold the upload to it.
    pub(super) fn of_presigned(parts: &Parts, query: &Query<'_>) -> Result<Self, AuthError> {
        let mut kept = String::new();
        let mut headers: Vec<(HeaderName, HeaderValue)> = Vec::new();
        for pair in &query.pairs {
            if QUERY_PARAMETERS.iter().any(|name| pair.name.eq_ignore_ascii_case(name)) {
                continue;
            }
            let name = pair.name.to_ascii_lowercase();
            if !name.starts_with("x-amz-") {
                if !kept.is_empty() {
                    kept.push('&');
                }
                kept.push_str(pair.raw);
                continue;
            }
            if is_checksum_value(&name) {
                continue;
            }
            let (name, value) = (HeaderName::try_from(name), HeaderValue::try_from(pair.value.as_ref()));
            let (Ok(name), Ok(value)) = (name, value) else {
                return Err(AuthError::InvalidRequest(
                    "An x-amz- parameter of the query cannot be a header.",
                ));
            };
            let earlier = headers.iter().filter(|(n, _)| *n == name).map(|(_, v)| v);
            if parts
                .headers
                .get_all(&name)
                .iter()
                .chain(earlier)
                .any(|other| *other != value)
            {
                return Err(AuthError::InvalidArgument(
                    "An x-amz- parameter comes twice, with different values.",
                ));
            }
            headers.push((name, value));
        }
        Ok(Self {
            query: Some(kept),
            headers,
        })
    }

    /// Rewrites the request's head and says what is known about its body.
    pub(super) fn apply(self, parts: &mut Parts, mode: PayloadMode, host: HeaderValue) -> Result<Payload, AuthError> {
        if let Some(query) = &self.query {
            replace_query(parts, query)?;
        }
        for (name, value) in self.headers {
            parts.headers.insert(name, value);
        }
        if !host.is_empty() {
            parts.headers.insert(HOST, host);
        }
        let chunked_encoding = strip_aws_chunked(&mut parts.headers);
        let trailers = announced_trailers(&parts.headers, &mode)?;
        let payload = if mode.is_chunked() {
            let decoded = number(&parts.headers, &DECODED_LENGTH)?.ok_or(AuthError::DecodedLengthMissing)?;
            parts.headers.remove(TRANSFER_ENCODING);
            parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(decoded));
            Payload {
                mode,
                decoded_length: Some(decoded),
                trailers,
            }
        } else {
            // Said of a plain body, as some clients do, it means nothing and S3 only forgets it. With the length of what
            // is to be decoded beside it the body has chunks, and they would be stored as content.
            if chunked_encoding && parts.headers.contains_key(DECODED_LENGTH) {
                return Err(AuthError::InvalidRequest(
                    "The body is said to be aws-chunked, but x-amz-content-sha256 does not name a streaming payload.",
                ));
            }
            let decoded_length = number(&parts.headers, &CONTENT_LENGTH)?;
            Payload {
                mode,
                decoded_length,
                trailers,
            }
        };
        for name in &REMOVED {
            parts.headers.remove(name);
        }
        Ok(payload)
    }
}

/// The host as received: the `Host` header, or the authority of HTTP/2. Empty when there is neither.
pub(super) fn host(parts: &Parts) -> Result<HeaderValue, AuthError> {
    let mut hosts = parts.headers.get_all(HOST).iter();
    let header = hosts.next();
    if hosts.next().is_some() {
        return Err(AuthError::InvalidRequest("The Host header comes twice."));
    }
    let authority = parts.uri.authority().map(http::uri::Authority::as_str);
    match (header, authority) {
        (Some(header), Some(authority)) if !header.as_bytes().eq_ignore_ascii_case(authority.as_bytes()) => Err(
            AuthError::InvalidRequest("The Host header and the authority of the request are different."),
        ),
        (Some(header), _) => Ok(header.clone()),
        (None, Some(authority)) => {
            HeaderValue::try_from(authority).map_err(|_| AuthError::InvalidRequest("The authority is not valid."))
        }
        (None, None) => Ok(HeaderValue::from_static("")),
    }
}

fn is_checksum_value(name: &str) -> bool {
    match name.strip_prefix("x-amz-checksum-") {
        Some("algorithm" | "type" | "mode") => false,
        Some(_algorithm) => true,
        None => name == "x-amz-sdk-checksum-algorithm",
    }
}

/// Puts another query behind the same path.
pub(super) fn replace_query(parts: &mut Parts, query: &str) -> Result<(), AuthError> {
    let path = parts.uri.path();
    let target = if query.is_empty() {
        path.to_owned()
    } else {
        [path, "?", query].concat()
    };
    let target = PathAndQuery::try_from(target).map_err(|_| AuthError::InvalidUri)?;
    let mut uri = std::mem::take(&mut parts.uri).into_parts();
    uri.path_and_query = Some(target);
    parts.uri = http::Uri::from_parts(uri).map_err(|_| AuthError::InvalidUri)?;
    Ok(())
}

/// Takes `aws-chunked` out of `Content-Encoding` and says whether it was there.
fn strip_aws_chunked(headers: &mut HeaderMap) -> bool {
    let is_chunked = |coding: &str| coding.eq_ignore_ascii_case("aws-chunked");
    let codings: Vec<String> = headers
        .get_all(CONTENT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|coding| coding.trim().to_owned())
        .collect();
    if !codings.iter().any(|coding| is_chunked(coding)) {
        return false;
    }
    let rest: Vec<&str> = codings
        .iter()
        .map(String::as_str)
        .filter(|c| !c.is_empty() && !is_chunked(c))
        .collect();
    headers.remove(CONTENT_ENCODING);
    if !rest.is_empty()
        && let Ok(value) = HeaderValue::try_from(rest.join(","))
    {
        headers.insert(CONTENT_ENCODING, value);
    }
    true
}

fn number(headers: &HeaderMap, name: &HeaderName) -> Result<Option<u64>, AuthError> {
    let Some(text) = only(headers, name)? else {
        return Ok(None);
    };
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match text.parse() {
        Ok(number) if digits => Ok(Some(number)),
        Ok(_) | Err(_) => Err(AuthError::InvalidRequest("A length of the body is not a number.")),
    }
}

fn announced_trailers(headers: &HeaderMap, mode: &PayloadMode) -> Result<Trailers, AuthError> {
    let mut names = Vec::new();
    for value in headers.get_all(TRAILER) {
        let value = value.to_str().unwrap_or_default();
        for name in value.split(',').map(str::trim) {
            let name = HeaderName::try_from(name)
                .ok()
                .filter(|name| name.as_str().starts_with("x-amz-checksum-"));
            names.push(name.ok_or(AuthError::InvalidRequest(
                "The value specified in the x-amz-trailer header is not supported",
            ))?);
        }
    }
    match mode {
        PayloadMode::SignedBody(_) | PayloadMode::Unsigned | PayloadMode::StreamingSigned if !names.is_empty() => {
            Err(AuthError::InvalidRequest(
                "x-amz-trailer announces trailers that x-amz-content-sha256 does not provide for.",
            ))
        }
        PayloadMode::SignedBody(_)
        | PayloadMode::Unsigned
        | PayloadMode::StreamingSigned
        | PayloadMode::StreamingSignedTrailer
        | PayloadMode::StreamingUnsignedTrailer => Ok(Trailers::announced_as(names)),
    }
}
