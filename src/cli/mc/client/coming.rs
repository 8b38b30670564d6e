//! Bounds on silence: an answer that does not begin, and one that stops within its body. Time counts while nothing moves,
//! so what flows slowly goes on for as long as it takes.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use parking_lot::Mutex;
use tokio::time::{Instant, Sleep};

use super::{Ask, ClientError};

/// How long a server may be silent, unless the command line says otherwise.
const SILENCE: Duration = Duration::from_secs(120);
/// As many times longer where the server has a body to store first.
const STORING: u32 = 2;
/// As many times longer where the server works before it answers: it copies, puts parts together, does an order.
const WORKING: u32 = 5;

/// So many signs of life of a server that has nothing to tell may be missed.
const PINGS: u32 = 3;
const PING_SECONDS_MAX: u64 = 10;

/// How long a server may be silent.
#[derive(Clone, Copy, Debug)]
pub(in crate::cli::mc) struct Patience(Duration);

impl Default for Patience {
    fn default() -> Self {
        Self(SILENCE)
    }
}

impl Patience {
    /// So long while a body comes; longer before an answer that takes work.
    pub(in crate::cli::mc) fn new(silence: Duration) -> Self {
        Self(silence.max(Duration::from_secs(1)))
    }

    /// Before the answer to a request.
    pub(super) fn before(self, ask: &Ask<'_>) -> Duration {
        let copies = ask.headers.contains_key("x-amz-copy-source");
        match ask.method {
            Method::POST => self.0 * WORKING,
            Method::PUT if copies || ask.bucket.is_empty() => self.0 * WORKING,
            Method::PUT => self.0 * STORING,
            _ => self.0,
        }
    }

    /// Between two pieces of a body.
    pub(super) fn within(self) -> Duration {
        self.0
    }

    /// With a server that may have nothing to tell: seconds after which it is to give a sign of life, and how long it may
    /// be silent then.
    pub(super) fn with_pings(self) -> (u64, Duration) {
        let ping = (self.0 / PINGS).as_secs().clamp(1, PING_SECONDS_MAX);
        (ping, self.0.max(PINGS * Duration::from_secs(ping)))
    }
}

/// When a request moved last.
#[derive(Clone)]
pub(super) struct Moved(Arc<Mutex<Instant>>);

impl Moved {
    pub(super) fn now() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }

    pub(super) fn again(&self) {
        *self.0.lock() = Instant::now();
    }

    fn at(&self) -> Instant {
        *self.0.lock()
    }
}

/// Waits for an answer; `None` when nothing moved for `patience`.
pub(super) async fn answered<T>(asking: impl Future<Output = T>, moved: &Moved, patience: Duration) -> Option<T> {
    tokio::pin!(asking);
    loop {
        let due = moved.at() + patience;
        tokio::select! {
            biased;
            answer = &mut asking => return Some(answer),
            () = tokio::time::sleep_until(due) => {
                if moved.at() + patience <= Instant::now() {
                    return None;
                }
            }
        }
    }
}

/// A body that does not come as it should.
#[derive(Debug, thiserror::Error)]
pub(in crate::cli::mc) enum Cut {
    #[error("{0}")]
    Broken(hyper::Error),
    #[error("{server} sent nothing for {} s", silence.as_secs())]
    Stalled { server: Arc<str>, silence: Duration },
}

impl Cut {
    /// As the error of a request whose answer, `what`, ended early.
    pub(in crate::cli::mc) fn of(self, what: &str) -> ClientError {
        match self {
            Self::Broken(error) => ClientError::Connection {
                reason: format!("{what} was cut off: {error}"),
                unsent: false,
            },
            Self::Stalled { server, silence } => ClientError::Stalled { server, silence },
        }
    }
}

/// The body of an answer, as it comes.
pub(in crate::cli::mc) struct Coming {
    body: Incoming,
    server: Arc<str>,
    silence: Duration,
    /// Runs while nothing comes that is waited for.
    timer: Option<Pin<Box<Sleep>>>,
}

impl Coming {
    /// Of a server's answer; `silence` is how long nothing may come.
    pub(super) fn of(answer: Response<Incoming>, server: Arc<str>, silence: Duration) -> Response<Self> {
        answer.map(|body| Self {
            body,
            server,
            silence,
            timer: None,
        })
    }
}

impl Coming {
    /// The same body, of which nothing may come for so long.
    pub(super) fn silent_for(self, silence: Duration) -> Self {
        Self { silence, ..self }
    }
}

impl Body for Coming {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        let this = self.get_mut();
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) {
            this.timer = None;
            return Poll::Ready(frame.map(|frame| frame.map_err(Cut::Broken)));
        }
        let silence = this.silence;
        let timer = this.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(silence)));
        ready!(timer.as_mut().poll(cx));
        let server = Arc::clone(&this.server);
        Poll::Ready(Some(Err(Cut::Stalled { server, silence })))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_of_life_come_well_before_patience_ends() {
        for (patience, ping, silence) in [(1, 1, 3), (5, 1, 5), (10, 3, 10), (30, 10, 30), (120, 10, 120)] {
            let asked = Patience::new(Duration::from_secs(patience)).with_pings();
            assert_eq!(asked, (ping, Duration::from_secs(silence)), "{patience}");
        }
    }

    #[tokio::test]
    async fn what_moves_is_waited_for_and_what_does_not_is_not() {
        let patience = Duration::from_secs(1);
        let moved = Moved::now();
        let slow = async {
            let begun = Instant::now();
            while begun.elapsed() < 3 * patience {
                tokio::time::sleep(patience / 20).await;
                moved.again();
            }
            7
        };
        assert_eq!(answered(slow, &moved, patience).await, Some(7));
        let begun = Instant::now();
        assert_eq!(answered(std::future::pending::<()>(), &moved, patience).await, None);
        assert!(begun.elapsed() >= patience / 2);
    }

    #[test]
    fn a_server_that_works_before_it_answers_is_given_more_time() {
        let patience = Patience::new(Duration::from_secs(10));
        let of = |method, bucket| patience.before(&Ask::of(method, bucket, "k")).as_secs();
        assert_eq!(
            (of(Method::GET, "b"), of(Method::PUT, "b"), of(Method::POST, "b")),
            (10, 20, 50)
        );
        assert_eq!(of(Method::PUT, ""), 50);
    }
}
