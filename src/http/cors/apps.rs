//! Pages that call the Files API: of any origin, since nothing is done for them that their own headers do not say. Which
//! origins may bring a key is the key's to say, when it comes.

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, HeaderMap, HeaderName, HeaderValue, ORIGIN,
};
use http::{Method, Response, StatusCode};

use crate::http::body::{self, Body};

/// Methods that the Files API has.
const METHODS: &str = "GET, HEAD, PUT, POST, PATCH, DELETE, OPTIONS";
/// How long a browser may remember the answer to a preflight, in seconds.
const MAX_AGE_SECONDS: &str = "3600";
/// What is not there on every answer, and what a browser shows no script unless it is named.
const EXPOSED: [&str; 16] = [
    "accept-ranges",
    "content-disposition",
    "content-length",
    "content-range",
    "digest",
    "etag",
    "location",
    "repr-digest",
    "retry-after",
    "tus-extension",
    "tus-max-size",
    "tus-resumable",
    "tus-version",
    "upload-expires",
    "upload-length",
    "upload-offset",
];

/// The answer to a preflight; `None`: it is none.
pub(in crate::http) fn preflight(method: &Method, headers: &HeaderMap) -> Option<Response<Body>> {
    if method != Method::OPTIONS || !headers.contains_key(ORIGIN) {
        return None;
    }
    headers.get(ACCESS_CONTROL_REQUEST_METHOD)?;
    let mut response = Response::new(body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let answer = response.headers_mut();
    answer.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(METHODS));
    if let Some(asked) = headers.get(ACCESS_CONTROL_REQUEST_HEADERS) {
        answer.insert(ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
    }
    answer.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(MAX_AGE_SECONDS));
    open(answer);
    Some(response)
}

/// Lets pages of any origin read the answer. Never with a browser's own credentials: no cookie means anything here.
pub(in crate::http) fn open(answer: &mut HeaderMap) {
    let said = answer.keys().map(HeaderName::as_str);
    let mut names: Vec<&str> = said
        .filter(|name| !name.starts_with("access-control-"))
        .chain(EXPOSED)
        .collect();
    names.push("x-amz-request-id");
    names.sort_unstable();
    names.dedup();
    if let Ok(names) = HeaderValue::from_str(&names.join(", ")) {
        answer.insert(ACCESS_CONTROL_EXPOSE_HEADERS, names);
    }
    answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
}

#[cfg(test)]
mod tests {
    use super::{HeaderMap, HeaderValue, Method, preflight};

    #[test]
    fn pages_of_any_origin_may_ask_with_any_header() {
        let mut headers = HeaderMap::new();
        assert!(preflight(&Method::OPTIONS, &headers).is_none());
        headers.insert("origin", HeaderValue::from_static("https://app.test"));
        headers.insert("access-control-request-method", HeaderValue::from_static("PATCH"));
        headers.insert(
            "access-control-request-headers",
            HeaderValue::from_static("x-api-key, authorization"),
        );
        assert!(preflight(&Method::GET, &headers).is_none());
        let answer = preflight(&Method::OPTIONS, &headers).unwrap();
        let said = |name: &str| {
            answer
                .headers()
                .get(name)
                .and_then(|value| value.to_str().ok())
                .unwrap_or_default()
        };
        assert_eq!(answer.status(), 204);
        assert_eq!(said("access-control-allow-origin"), "*");
        assert_eq!(said("access-control-allow-headers"), "x-api-key, authorization");
        assert!(said("access-control-allow-methods").contains("PATCH"));
        assert!(said("access-control-expose-headers").contains("etag"));
        assert!(said("access-control-allow-credentials").is_empty());
    }
}
