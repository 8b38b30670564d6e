//! The original of an image, asked for as its caller would ask S3: so whoever may not see a file sees no image of it, and
//! what is decided about files is decided in one place.

use bytes::Bytes;
use futures::TryStreamExt;
use http::header::{
    ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE,
    IF_UNMODIFIED_SINCE, LAST_MODIFIED, RANGE,
};
use http::request::Parts;
use http::{Extensions, HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyStream, Empty};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use storage_engine::store::name::BucketName;

use crate::auth::{ForImage, ShownAs};
use crate::http::body::{Body, BoxError};
use crate::images::options::Options;
use crate::images::refused::Refused;

/// What stands in a path as it is (RFC 3986 §2.3), and what parts it.
const KEPT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/');
/// Headers that are about the image, not about its original.
const OF_THE_IMAGE: [http::HeaderName; 6] = [
    IF_MATCH,
    IF_NONE_MATCH,
    IF_MODIFIED_SINCE,
    IF_UNMODIFIED_SINCE,
    IF_RANGE,
    RANGE,
];
/// The query parameter that brings the token of a share, and the one that marks a URL as that of one version.
const SHARE: &str = "drystone-share";
const VERSION: &str = "v";

/// What of an image's request counts for its original.
#[derive(Clone)]
pub(super) struct Asking {
    uri: Uri,
    headers: HeaderMap,
    extensions: Extensions,
    /// The method and the query are signed: nothing but a GET with all of them is what was let.
    presigned: bool,
}

/// The file, as S3 tells of it.
pub(super) struct Found {
    /// Differs whenever the file does.
    pub(super) state: String,
    pub(super) etag: HeaderValue,
    pub(super) modified: Option<HeaderValue>,
    pub(super) size: u64,
    /// `None`: only its head was asked for.
    pub(super) body: Option<Body>,
}

impl Asking {
    pub(super) fn of(head: &Parts, bucket: &BucketName, key: &str) -> Option<Self> {
        let query = head.uri.query().unwrap_or_default();
        let named = |pair: &str, name: &str| pair.split('=').next() == Some(name);
        let presigned = query.split('&').any(|pair| {
            pair.split('=')
                .next()
                .is_some_and(|name| name.eq_ignore_ascii_case("X-Amz-Signature"))
        });
        let kept: Vec<&str> = query
            .split('&')
            .filter(|pair| match presigned {
                true => !named(pair, VERSION),
                false => named(pair, SHARE),
            })
            .collect();
        let mut target = format!("/{}/{}", bucket.as_str(), utf8_percent_encode(key, KEPT));
        if kept.iter().any(|pair| !pair.is_empty()) {
            target.push('?');
            target.push_str(&kept.join("&"));
        }
        let mut extensions = head.extensions.clone();
        extensions.insert(ForImage);
        Some(Self {
            uri: Uri::try_from(target).ok()?,
            headers: head.headers.clone(),
            extensions,
            presigned,
        })
    }

    /// Says what will be made of it: a link may be for that alone.
    pub(super) fn shown_as(&mut self, options: &Options) {
        self.extensions.insert(ShownAs(options.to_string()));
    }

    /// Whether the request brings anything that says who asks; else the file is open to everybody who may see it.
    pub(super) fn names_caller(&self) -> bool {
        let brings = |name: &str| self.headers.contains_key(name);
        self.presigned || self.uri.query().is_some() || brings("authorization") || brings("x-api-key")
    }

    /// A request for the file as it is, conditions and range included.
    pub(super) fn whole(&self, method: &Method) -> Request<Empty<Bytes>> {
        let method = if self.presigned { Method::GET } else { method.clone() };
        self.request(method, self.headers.clone())
    }

    /// A request that tells how the file is: for its head, where that may be asked for.
    pub(super) fn look(&self) -> Request<Empty<Bytes>> {
        let method = if self.presigned { Method::GET } else { Method::HEAD };
        self.request(method, self.plain())
    }

    /// A request for the bytes of the file, if it still is so.
    pub(super) fn fetch(&self, etag: &HeaderValue) -> Request<Empty<Bytes>> {
        let mut headers = self.plain();
        headers.insert(IF_MATCH, etag.clone());
        self.request(Method::GET, headers)
    }

    fn plain(&self) -> HeaderMap {
        let mut headers = self.headers.clone();
        for name in &OF_THE_IMAGE {
            headers.remove(name);
        }
        headers.remove(ACCEPT);
        headers
    }

    fn request(&self, method: Method, headers: HeaderMap) -> Request<Empty<Bytes>> {
        let mut request = Request::new(Empty::new());
        *request.method_mut() = method;
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = headers;
        *request.extensions_mut() = self.extensions.clone();
        request
    }
}

impl Found {
    /// Reads an answer of S3.
    pub(super) fn read(answer: Response<Body>, method: &Method) -> Result<Self, Refused> {
        if answer.status() != StatusCode::OK {
            return Err(Refused::of_original(answer.status()));
        }
        let headers = answer.headers();
        let text = |name: &http::HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        let (Some(etag), Some(size)) = (
            headers.get(ETAG).cloned(),
            text(&CONTENT_LENGTH).and_then(|text| text.parse().ok()),
        ) else {
            return Err(Refused::of_original(StatusCode::INTERNAL_SERVER_ERROR));
        };
        let part = |name: &str| {
            let value = headers.get(name).and_then(|value| value.to_str().ok());
            value.unwrap_or_default().to_owned()
        };
        let state = format!(
            "{} {} {size} {}",
            part("etag"),
            part("last-modified"),
            part("x-amz-version-id")
        );
        Ok(Self {
            state,
            etag,
            modified: headers.get(LAST_MODIFIED).cloned(),
            size,
            body: (*method == Method::GET).then(|| answer.into_body()),
        })
    }
}

/// Whether an original may be shown as it is: an image that cannot be a page.
pub(super) fn is_shown(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = kind.unwrap_or_default().to_ascii_lowercase();
    ["image/jpeg", "image/png", "image/webp", "image/gif", "image/avif"].contains(&kind.as_str())
}

/// The bytes of a body, one piece after the other.
pub(super) fn pieces(body: Body) -> impl futures::Stream<Item = Result<Bytes, BoxError>> + Send + Unpin {
    let frames = BodyStream::new(body);
    Box::pin(frames.try_filter_map(|frame| async move { Ok(frame.into_data().ok()) }))
}
