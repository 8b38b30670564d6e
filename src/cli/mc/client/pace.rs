//! A bound on bytes per second, shared by everything that goes the same way; and bodies that keep to it.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use parking_lot::Mutex;
use tokio::time::Sleep;

use super::coming::Moved;

/// Bytes that go at once where there is no bound: as many as show that something moves.
const PIECE_BYTES: usize = 256 * 1024;
/// The most and the least that go at once where there is one; in between, what an eighth of a second takes.
const PACED_BYTES: (u64, u64) = (1024, 64 * 1024);

/// So many bytes a second and no more.
pub(in crate::cli::mc) struct Pace {
    bytes_per_second: u64,
    /// When all that was taken has passed.
    passed_at: Mutex<Instant>,
}

impl Pace {
    /// A bound that nothing has used yet.
    pub(in crate::cli::mc) fn new(bytes_per_second: u64) -> Self {
        Self {
            bytes_per_second: bytes_per_second.max(1),
            passed_at: Mutex::new(Instant::now()),
        }
    }

    /// How many bytes go at once.
    fn piece(&self) -> usize {
        let (least, most) = PACED_BYTES;
        usize::try_from((self.bytes_per_second / 8).clamp(least, most)).unwrap_or(PIECE_BYTES)
    }

    /// Takes so many bytes, and gives how long to wait before more are taken.
    pub(super) fn take(&self, bytes: usize, now: Instant) -> Duration {
        let span = Duration::from_secs_f64(bytes as f64 / self.bytes_per_second as f64);
        let mut passed_at = self.passed_at.lock();
        *passed_at = (*passed_at).max(now) + span;
        *passed_at - now
    }
}

/// A body to be sent: all at once, or at a pace.
pub(super) struct Sent {
    rest: Bytes,
    pace: Option<Arc<Pace>>,
    wait: Option<Pin<Box<Sleep>>>,
    moved: Moved,
}

impl Sent {
    /// `moved` hears whenever a piece goes.
    pub(super) fn new(body: Bytes, pace: Option<Arc<Pace>>, moved: Moved) -> Self {
        Self {
            rest: body,
            pace,
            wait: None,
            moved,
        }
    }
}

impl Body for Sent {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        if let Some(wait) = &mut this.wait {
            ready!(wait.as_mut().poll(cx));
            this.wait = None;
        }
        if this.rest.is_empty() {
            return Poll::Ready(None);
        }
        this.moved.again();
        let piece = match &this.pace {
            None => this.rest.split_to(PIECE_BYTES.min(this.rest.len())),
            Some(pace) => {
                let piece = this.rest.split_to(pace.piece().min(this.rest.len()));
                let wait = pace.take(piece.len(), Instant::now());
                this.wait = Some(Box::pin(tokio::time::sleep(wait)));
                piece
            }
        };
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(u64::try_from(self.rest.len()).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    #[test]
    fn whoever_takes_more_waits_longer_and_all_share_the_bound() {
        let pace = Pace::new(1_000);
        let now = *pace.passed_at.lock();
        assert_eq!(pace.take(500, now), Duration::from_millis(500));
        assert_eq!(pace.take(1_000, now), Duration::from_millis(1_500));
        // What was not used is not saved up.
        let later = now + Duration::from_secs(60);
        assert_eq!(pace.take(1_000, later), Duration::from_secs(1));
    }

    #[tokio::test]
    async fn a_body_arrives_whole_at_a_pace_and_without() {
        for pace in [None, Some(Arc::new(Pace::new(u64::MAX)))] {
            let whole = Bytes::from(vec![7; 3 * PIECE_BYTES + 1]);
            let sent = Sent::new(whole.clone(), pace, Moved::now());
            assert_eq!(sent.size_hint().exact(), u64::try_from(whole.len()).ok());
            assert_eq!(sent.collect().await.unwrap().to_bytes(), whole);
        }
    }
}
