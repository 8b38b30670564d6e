//! Timers of one connection: how long it may be idle, take to send a request's head, or refuse to take an answer.
//!
//! hyper's own header timer also runs between requests; an idle keep-alive connection deserves more patience than a
//! dripping head, so the difference is made here, below hyper, where the bytes pass.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// How patient the server is with a connection.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// From the first byte of a request's head to its last.
    pub head: Duration,
    /// Between requests, and before the first.
    pub idle: Duration,
    /// Without the client taking one byte of an answer.
    pub write: Duration,
    pub tls_handshake: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(10),
            idle: Duration::from_secs(60),
            write: Duration::from_secs(60),
            tls_handshake: Duration::from_secs(10),
        }
    }
}

/// What the requests of a connection tell its timers.
#[derive(Debug, Default)]
pub struct Activity {
    in_flight: AtomicUsize,
    begun: AtomicUsize,
    /// On HTTP/2, bytes between requests are frames of the protocol, not the head of a request.
    multiplexed: AtomicBool,
}

/// One request being worked on; ends when dropped.
#[derive(Debug)]
pub struct InFlight(Arc<Activity>);

impl Activity {
    pub fn begin(self: &Arc<Self>, version: http::Version) -> InFlight {
        if version == http::Version::HTTP_2 {
            self.multiplexed.store(true, Ordering::Relaxed);
        }
        self.begun.fetch_add(1, Ordering::AcqRel);
        self.in_flight.fetch_add(1, Ordering::AcqRel);
        InFlight(Arc::clone(self))
    }

    fn is_idle(&self) -> bool {
        self.in_flight.load(Ordering::Acquire) == 0
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A connection whose reads and writes fail with `TimedOut` when its client is too slow.
pub struct Timed<T> {
    inner: T,
    activity: Arc<Activity>,
    patience: Patience,
    /// Requests begun when the times below were last right.
    begun: usize,
    idle_since: Option<Instant>,
    head_since: Option<Instant>,
    read_alarm: Option<Pin<Box<Sleep>>>,
    stalled_since: Option<Instant>,
    write_alarm: Option<Pin<Box<Sleep>>>,
}

impl<T> Timed<T> {
    pub fn new(inner: T, activity: Arc<Activity>, patience: Patience) -> Self {
        Self {
            inner,
            activity,
            patience,
            begun: 0,
            idle_since: Some(Instant::now()),
            head_since: None,
            read_alarm: None,
            stalled_since: None,
            write_alarm: None,
        }
    }

    /// Forgets times from before the latest request: its head has come, and waiting starts anew after it.
    fn notice_requests(&mut self) {
        let begun = self.activity.begun.load(Ordering::Acquire);
        if begun != self.begun || !self.activity.is_idle() {
            self.begun = begun;
            self.head_since = None;
            self.idle_since = None;
        }
    }

    fn read_something(&mut self) {
        self.notice_requests();
        if self.activity.is_idle() && !self.activity.multiplexed.load(Ordering::Relaxed) {
            self.head_since.get_or_insert_with(Instant::now);
        }
    }

    /// When waiting for bytes must end; `None` while a request is worked on.
    fn read_deadline(&mut self) -> Option<Instant> {
        self.notice_requests();
        if !self.activity.is_idle() {
            return None;
        }
        Some(match self.head_since {
            Some(since) if !self.activity.multiplexed.load(Ordering::Relaxed) => since + self.patience.head,
            _ => *self.idle_since.get_or_insert_with(Instant::now) + self.patience.idle,
        })
    }

    fn write_blocked(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let deadline = *self.stalled_since.get_or_insert_with(Instant::now) + self.patience.write;
        poll_alarm(&mut self.write_alarm, deadline, cx).map(|()| timed_out("the client does not take the answer"))
    }
}

fn poll_alarm(alarm: &mut Option<Pin<Box<Sleep>>>, deadline: Instant, cx: &mut Context<'_>) -> Poll<()> {
    let alarm = alarm.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
    if alarm.deadline() != deadline {
        alarm.as_mut().reset(deadline);
    }
    alarm.as_mut().poll(cx)
}

fn timed_out(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, why)
}

impl<T: AsyncRead + Unpin> AsyncRead for Timed<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        match Pin::new(&mut this.inner).poll_read(cx, buf) {
            Poll::Ready(result) => {
                this.read_something();
                Poll::Ready(result)
            }
            Poll::Pending => {
                let Some(deadline) = this.read_deadline() else {
                    return Poll::Pending;
                };
                poll_alarm(&mut this.read_alarm, deadline, cx)
                    .map(|()| Err(timed_out("the client sent no request in time")))
            }
        }
    }
}

impl<T: AsyncWrite + Unpin> Timed<T> {
    fn watched<R>(
        &mut self,
        cx: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut T>, &mut Context<'_>) -> Poll<io::Result<R>>,
    ) -> Poll<io::Result<R>> {
        match write(Pin::new(&mut self.inner), cx) {
            Poll::Ready(result) => {
                self.stalled_since = None;
                Poll::Ready(result)
            }
            Poll::Pending => self.write_blocked(cx).map(Err),
        }
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Timed<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().watched(cx, |inner, cx| inner.poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut()
            .watched(cx, |inner, cx| inner.poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().watched(cx, |inner, cx| inner.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().watched(cx, |inner, cx| inner.poll_shutdown(cx))
    }
}
