//! Cross-origin answers: which pages may read what the store says to their browser, and the preflight they send before.
//!
//! A bucket's own rules decide about it alone ([`bucket`]); for every other bucket there is one rule, from the
//! configuration. Neither lets anybody do anything: every request is still judged by who sent it. It never touches the
//! server's own paths.

pub(super) mod apps;
mod bucket;

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, CONTENT_RANGE, HeaderMap, HeaderName, HeaderValue, ORIGIN, VARY,
};
use http::{Method, Response, StatusCode};

use storage_engine::store::record::settings::CorsRule;

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
    /// What the rules of the bucket say of it.
    OfBucket(Box<HeaderMap>),
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

    /// Who asks, where the bucket has rules of its own.
    pub(super) fn page_of_bucket(rules: &[CorsRule], method: &Method, headers: &HeaderMap) -> Page {
        let mut said = HeaderMap::new();
        bucket::tell(bucket::matching(rules, method.as_str(), headers), headers, &mut said);
        Page::OfBucket(Box::new(said))
    }

    /// The answer to a preflight that is allowed; `None` for anything else.
    pub(super) fn preflight(page: &Page, method: &Method, headers: &HeaderMap) -> Option<Response<Body>> {
        let wanted = headers.get(ACCESS_CONTROL_REQUEST_METHOD)?.to_str().ok()?;
        let allowed = match page {
            Page::Nobody => false,
            Page::Any | Page::Named(_) => true,
            Page::OfBucket(said) => {
                let allowed = method == Method::OPTIONS && said.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN);
                return allowed.then(|| Response::new(body::empty()));
            }
        };
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
        if let Page::OfBucket(said) = page {
            for (name, value) in said.iter() {
                answer.append(name.clone(), value.clone());
            }
            return;
        }
        // Without it a browser that kept the answer to an <img> would show that one, closed, to a page's script.
        if !matches!(self.origins, Origins::Nobody) {
            answer.append(VARY, HeaderValue::from_static("Origin"));
        }
        let origin = match page {
            Page::Nobody | Page::OfBucket(_) => return,
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
