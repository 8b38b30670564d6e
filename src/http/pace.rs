//! A floor under the speed of request bodies, so that a dripping client cannot hold a request for ever.
//!
//! Only time spent waiting for the client counts: a server that is slow to read cuts nobody off.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use prometheus_client::metrics::counter::Counter;
use tokio::time::{Instant, Sleep, sleep_until};

use super::body::BoxError;
use crate::telemetry::trace::Received;

/// How much must arrive in each stretch of waiting.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    pub window: Duration,
    pub window_bytes_min: u64,
}

impl Default for Pace {
    /// 1 KiB a second, judged over 30 s of waiting.
    fn default() -> Self {
        Self {
            window: Duration::from_secs(30),
            window_bytes_min: 30 * 1024,
        }
    }
}

/// The client sent its body slower than the floor.
#[derive(Debug, thiserror::Error)]
#[error("the request body arrived too slowly")]
pub struct BodyTooSlow;

/// Tells the edge, after the front has answered, what became of the body.
#[derive(Clone, Debug, Default)]
pub struct Flag(Arc<AtomicBool>);

impl Flag {
    pub fn is_raised(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    fn raise(&self) {
        self.0.store(true, Ordering::Release);
    }
}

/// What the edge asks about a body once the front has answered.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// The front asked for a first piece. Only then does a client that waits for `100 Continue` send anything.
    pub read: Flag,
    /// The body was cut for its pace.
    pub slow: Flag,
}

/// Most bytes and time spent on reading away what a front did not want, so that the client sees the answer
/// instead of a reset connection.
const DRAIN_BYTES_MAX: u64 = 8 * 1024 * 1024;
const DRAIN_TIME_MAX: Duration = Duration::from_secs(5);

/// A request body with a floor under its speed.
pub struct Paced {
    inner: Option<Incoming>,
    received: Counter,
    /// Of a request that is traced.
    traced: Option<Received>,
    pace: Pace,
    outcome: Outcome,
    /// A client that waits for `100 Continue` sends nothing unless asked: its body must not be polled needlessly.
    waits_for_continue: bool,
    window_bytes: u64,
    waited: Duration,
    waiting_since: Option<Instant>,
    alarm: Option<Pin<Box<Sleep>>>,
}

impl Paced {
    pub fn new(
        inner: Incoming,
        pace: Pace,
        outcome: Outcome,
        waits_for_continue: bool,
        (received, traced): (Counter, Option<Received>),
    ) -> Self {
        Self {
            inner: Some(inner),
            received,
            traced,
            pace,
            outcome,
            waits_for_continue,
            window_bytes: 0,
            waited: Duration::ZERO,
            waiting_since: None,
            alarm: None,
        }
    }

    fn arrived(&mut self, bytes: u64) {
        self.received.inc_by(bytes);
        if let Some(traced) = &self.traced {
            traced.add(bytes);
        }
        self.window_bytes = self.window_bytes.saturating_add(bytes);
        if let Some(since) = self.waiting_since.take() {
            self.waited += since.elapsed();
        }
    }

    /// Ready when the floor is broken.
    fn poll_floor(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let since = *self.waiting_since.get_or_insert_with(Instant::now);
            let deadline = since + self.pace.window.saturating_sub(self.waited);
            let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
            if alarm.deadline() != deadline {
                alarm.as_mut().reset(deadline);
            }
            ready!(alarm.as_mut().poll(cx));
            if self.window_bytes < self.pace.window_bytes_min {
                return Poll::Ready(());
            }
            self.window_bytes = 0;
            self.waited = Duration::ZERO;
            self.waiting_since = Some(Instant::now());
        }
    }
}

impl HttpBody for Paced {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        let Some(inner) = &mut this.inner else {
            return Poll::Ready(None);
        };
        if !this.outcome.read.is_raised() {
            this.outcome.read.raise();
        }
        match Pin::new(inner).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                this.arrived(frame.data_ref().map_or(0, |data| data.len() as u64));
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                this.inner = None;
                Poll::Ready(Some(Err(error.into())))
            }
            Poll::Ready(None) => {
                this.inner = None;
                Poll::Ready(None)
            }
            Poll::Pending => {
                ready!(this.poll_floor(cx));
                this.inner = None;
                this.outcome.slow.raise();
                Poll::Ready(Some(Err(BodyTooSlow.into())))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner
            .as_ref()
            .map_or_else(|| SizeHint::with_exact(0), HttpBody::size_hint)
    }
}

impl Drop for Paced {
    fn drop(&mut self) {
        let Some(rest) = self.inner.take() else { return };
        let known_large = rest.size_hint().lower() > DRAIN_BYTES_MAX;
        let never_invited = self.waits_for_continue && !self.outcome.read.is_raised();
        if never_invited || rest.is_end_stream() || known_large {
            return;
        }
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(tokio::time::timeout(DRAIN_TIME_MAX, drain(rest)));
        }
    }
}

async fn drain(mut body: Incoming) {
    use http_body_util::BodyExt;

    let mut bytes = 0_u64;
    while let Some(Ok(frame)) = body.frame().await {
        bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
        if bytes > DRAIN_BYTES_MAX {
            return;
        }
    }
}
