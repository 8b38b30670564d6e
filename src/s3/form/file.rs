//! The bytes of a form on their way: never more in memory than one piece, never more of the file than its policy allows.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures::{Stream, StreamExt};
use http_body::Frame;
use http_body_util::BodyDataStream;
use multer::Field;
use parking_lot::Mutex;

use crate::http::body::BoxError;
use crate::s3::error::Code;

/// Most bytes read before the file begins or after it has ended: some of the file come with the fields in one piece.
const AROUND_BYTES_MAX: u64 = 1024 * 1024;

/// How many bytes of a form may still be read.
#[derive(Clone)]
pub(super) struct Window(Arc<AtomicU64>);

impl Default for Window {
    fn default() -> Self {
        Self(Arc::new(AtomicU64::new(AROUND_BYTES_MAX)))
    }
}

impl Window {
    /// The file begins: it has limits of its own.
    pub(super) fn open(&self) {
        self.0.store(u64::MAX, Ordering::Relaxed);
    }

    /// The file has ended.
    pub(super) fn close(&self) {
        self.0.store(AROUND_BYTES_MAX, Ordering::Relaxed);
    }

    pub(super) fn over<B>(&self, body: B) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let body = Box::pin(body);
        Pieces {
            body: BodyDataStream::new(body).map(|piece| piece.map_err(io::Error::other)),
            window: self.clone(),
            gave: false,
        }
    }
}

/// A body in pieces, one at each turn: the reader of forms would else read on for as long as something is there.
struct Pieces<S> {
    body: S,
    window: Window,
    gave: bool,
}

impl<S: Stream<Item = io::Result<Bytes>> + Unpin> Stream for Pieces<S> {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if std::mem::take(&mut self.gave) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let piece = ready!(self.body.poll_next_unpin(cx));
        self.gave = true;
        if let Some(Ok(bytes)) = &piece {
            // One piece may go over it: nothing says how large pieces are, and the file may begin in this one.
            let left = self.window.0.load(Ordering::Relaxed);
            if left == 0 {
                let reason = "the form has too much around its file";
                return Poll::Ready(Some(Err(io::Error::other(reason))));
            }
            self.window
                .0
                .store(left.saturating_sub(bytes.len() as u64), Ordering::Relaxed);
        }
        Poll::Ready(piece)
    }
}

/// Why the file of a form was refused while it came in.
#[derive(Clone, Default)]
pub(super) struct Verdict(Arc<Mutex<Option<Code>>>);

impl Verdict {
    pub(super) fn take(&self) -> Option<Code> {
        self.0.lock().take()
    }
}

/// The file, with the limits of its policy. A broken one ends in an error, so that nothing of it is kept.
pub(super) struct Limited {
    file: Field<'static>,
    length: Option<(u64, u64)>,
    seen: u64,
    verdict: Verdict,
}

impl Limited {
    pub(super) fn new(file: Field<'static>, length: Option<(u64, u64)>, verdict: Verdict) -> Self {
        Self {
            file,
            length,
            seen: 0,
            verdict,
        }
    }

    fn refuse(&self, code: Code) -> Option<io::Result<Frame<Bytes>>> {
        *self.verdict.0.lock() = Some(code);
        Some(Err(io::Error::other(code.message)))
    }
}

impl Stream for Limited {
    type Item = io::Result<Frame<Bytes>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let piece = ready!(self.file.poll_next_unpin(cx));
        let (least, most) = self.length.unwrap_or((0, u64::MAX));
        Poll::Ready(match piece {
            Some(Ok(bytes)) => {
                self.seen = self.seen.saturating_add(bytes.len() as u64);
                if self.seen > most {
                    self.refuse(Code::ENTITY_TOO_LARGE)
                } else {
                    Some(Ok(Frame::data(bytes)))
                }
            }
            Some(Err(error)) => Some(Err(io::Error::other(error))),
            None if self.seen < least => self.refuse(Code::ENTITY_TOO_SMALL),
            None => None,
        })
    }
}
