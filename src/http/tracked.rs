//! A response body that counts what it sends and keeps a request "in flight" until its last byte.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};

use super::body::{Body, BoxError};
use super::connection::InFlight;
use super::turn::Turn;
use crate::telemetry::metrics::RequestMeter;
use crate::telemetry::trace::Answered;

/// Everything that ends when the last byte of the answer is handed to the connection, or the client is gone.
pub struct UntilAnswered {
    pub connection: InFlight,
    pub turn: Option<Turn>,
    pub meter: RequestMeter,
    /// Told when it is dropped; `None`: nobody listens.
    pub trace: Option<Answered>,
}

/// A response body that holds [`UntilAnswered`].
pub struct Tracked {
    inner: Body,
    held: UntilAnswered,
}

impl Tracked {
    pub fn new(inner: Body, held: UntilAnswered) -> Self {
        Self { inner, held }
    }
}

impl HttpBody for Tracked {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.inner).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            let bytes = frame.data_ref().map_or(0, |data| data.len() as u64);
            this.held.meter.sent(bytes);
            if let Some(trace) = &mut this.held.trace {
                trace.sent(bytes);
            }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
