//! A file of another server, fetched: redirects judged hop by hop, the body as it comes.

use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, StreamExt};
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, LOCATION};
use http::{HeaderMap, HeaderValue, Request, StatusCode};
use http_body_util::BodyDataStream;
use hyper::body::Incoming;
use storage_engine::backend::SourceError;
use tokio::time::{Instant, timeout, timeout_at};
use url::Url;

use super::{Outbound, OutboundError, URL_BYTES_MAX, no_request, uri};
use crate::http::body;

/// Redirects that are followed.
const REDIRECTS_MAX: usize = 5;

/// How long another server may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// To begin its answer, with all redirects.
    pub answer: Duration,
    /// Between two pieces of the body.
    pub idle: Duration,
    /// For all of it.
    pub whole: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            answer: Duration::from_secs(30),
            idle: Duration::from_secs(30),
            whole: Duration::from_secs(30 * 60),
        }
    }
}

/// What another server gives.
pub struct Fetched {
    /// Where it was in the end.
    pub url: Url,
    pub headers: HeaderMap,
    /// Ends in an error when it stalls or breaks off.
    pub body: Pin<Box<dyn Stream<Item = Result<Bytes, SourceError>> + Send>>,
}

impl Outbound {
    /// Gets what is at `url`: the beginning of an answer with status 200, its body still to come.
    pub async fn fetch(&self, url: &Url, patience: Patience) -> Result<Fetched, OutboundError> {
        let end = Instant::now() + patience.whole;
        let finding = timeout(patience.answer, self.find(url.clone())).await;
        let (url, headers, body) = finding.unwrap_or(Err(OutboundError::TimedOut))?;
        let encoded = headers.get(CONTENT_ENCODING).is_some_and(|coding| coding != "identity");
        if encoded {
            return Err(OutboundError::Encoded);
        }
        let pieces = futures::stream::unfold(Some(BodyDataStream::new(body)), move |body| async move {
            let mut body = body?;
            let until = end.min(Instant::now() + patience.idle);
            match timeout_at(until, body.next()).await {
                Ok(None) => None,
                Ok(Some(Ok(piece))) => Some((Ok(piece), Some(body))),
                Ok(Some(Err(error))) => Some((Err(broken(OutboundError::of(&error))), None)),
                Err(_) => Some((Err(broken(OutboundError::TimedOut)), None)),
            }
        });
        Ok(Fetched {
            url,
            headers,
            body: Box::pin(pieces),
        })
    }

    async fn find(&self, mut url: Url) -> Result<(Url, HeaderMap, Incoming), OutboundError> {
        for _ in 0..=REDIRECTS_MAX {
            self.judge(&url)?;
            let request = Request::get(uri(&url)?)
                .header(ACCEPT_ENCODING, HeaderValue::from_static("identity"))
                .body(body::empty())
                .map_err(|_| no_request())?;
            let (parts, body) = self.call(request).await?.into_parts();
            match parts.status {
                StatusCode::OK => return Ok((url, parts.headers, body)),
                StatusCode::MOVED_PERMANENTLY
                | StatusCode::FOUND
                | StatusCode::SEE_OTHER
                | StatusCode::TEMPORARY_REDIRECT
                | StatusCode::PERMANENT_REDIRECT => url = next(&url, &parts.headers)?,
                status => return Err(OutboundError::Status(status)),
            }
        }
        Err(OutboundError::Redirects)
    }
}

fn broken(error: OutboundError) -> SourceError {
    Box::new(error)
}

/// Where a redirect leads.
fn next(url: &Url, headers: &HeaderMap) -> Result<Url, OutboundError> {
    let location = headers.get(LOCATION).and_then(|location| location.to_str().ok());
    let next = location.filter(|location| location.len() <= URL_BYTES_MAX);
    let next = next.and_then(|location| url.join(location).ok());
    next.ok_or(OutboundError::Url("a redirect leads to none"))
}
