//! Cross-origin answers: which pages may read what the store says to their browser, and the preflight they send before.
//!
//! One rule for all buckets, from the configuration. It lets nobody do anything: every request is still judged by its
//! signature. It never touches the server's own paths.

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, CONTENT_RANGE, HeaderMap, HeaderName, HeaderValue, ORIGIN, VARY,
};
use http::{Method, Response, StatusCode};

use super::body::{self, Body};
use crate::config::Origins;

/// Methods that S3 has.
const METHODS: [&str; 5] = ["GET", "HEAD", "PUT", "POST", "DELETE"];
/// How long a browser may remember the answer to a preflight, in seconds.
const MAX_AGE_SECONDS: &str = "600";

/// Named even where it is not said: a browser answers a range out of a whole answer that it kept.
const IN_A_RANGE: HeaderName = CONTENT_RANGE;

/// The rule for all buckets.
#[derive(Debug)]
pub(super) struct Cors {
    origins: Origins,
}

/// The page behind a request.
#[derive(Debug)]
pub(super) enum Page {
    /// Not a page's request, or a page whose browser must not show it the answer.
    Nobody,
    /// Any page may read. Without the browser's own credentials: a proxy's login is not for every page to use.
    Any,
    /// This origin was named by the operator.
    Named(HeaderValue),
}

impl Cors {
    pub(super) fn new(origins: Origins) -> Self {
        Self { origins }
    }

    /// Who asks.
    pub(super) fn page(&self, headers: &HeaderMap) -> Page {
        let Some(origin) = headers.get(ORIGIN) else {
            return Page::Nobody;
        };
        match &self.origins {
            Origins::Any => Page::Any,
            named if origin.to_str().is_ok_and(|origin| named.allow(origin)) => Page::Named(origin.clone()),
            Origins::Matching(_) | Origins::Nobody => Page::Nobody,
        }
    }

    /// The answer to a preflight that is allowed; `None` for anything else.
    pub(super) fn preflight(&self, method: &Method, headers: &HeaderMap) -> Option<Response<Body>> {
        let wanted = headers.get(ACCESS_CONTROL_REQUEST_METHOD)?.to_str().ok()?;
        let allowed = !matches!(self.page(headers), Page::Nobody);
        if method != Method::OPTIONS || !allowed || !METHODS.contains(&wanted) {
            return None;
        }
        let mut response = Response::new(body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        let answer = response.headers_mut();
        if let Ok(methods) = HeaderValue::from_str(&METHODS.join(", ")) {
            answer.insert(ACCESS_CONTROL_ALLOW_METHODS, methods);
        }
        // Which headers a request may carry is decided by the signature that covers them.
        if let Some(asked) = headers.get(ACCESS_CONTROL_REQUEST_HEADERS) {
            answer.insert(ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
        }
        answer.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(MAX_AGE_SECONDS));
        Some(response)
    }

    /// Lets the page read the answer, all its headers included.
    pub(super) fn open(&self, page: &Page, answer: &mut HeaderMap) {
        // Without it a browser that kept the answer to an <img> would show that one, closed, to a page's script.
        if !matches!(self.origins, Origins::Nobody) {
            answer.append(VARY, HeaderValue::from_static("Origin"));
        }
        let origin = match page {
            Page::Nobody => return,
            Page::Any => HeaderValue::from_static("*"),
            Page::Named(origin) => {
                answer.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
                origin.clone()
            }
        };
        let said = answer.keys().map(HeaderName::as_str);
        let names: Vec<&str> = said
            .filter(|name| !name.starts_with("access-control-") && *name != IN_A_RANGE.as_str())
            .chain([IN_A_RANGE.as_str()])
            .collect();
        if let Ok(names) = HeaderValue::from_str(&names.join(", ")) {
            answer.insert(ACCESS_CONTROL_EXPOSE_HEADERS, names);
        }
        answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    }
}
