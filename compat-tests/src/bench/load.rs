//! The load generator: many kept connections that each send prepared requests one after another, and how long each took.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use http::{Method, Request};
use http_body_util::Full;

use crate::s3::{Payload, Target};

/// How long requests took.
#[derive(Debug, Default)]
pub(super) struct Latencies {
    all: Vec<Duration>,
}

impl Latencies {
    /// Adds more.
    pub(super) fn extend(&mut self, more: Vec<Duration>) {
        self.all.extend(more);
    }

    /// How many.
    #[must_use]
    pub(super) fn count(&self) -> usize {
        self.all.len()
    }

    /// The latency in milliseconds that this share (0 to 1) of requests does not exceed; 0 when there are none.
    #[must_use]
    pub(super) fn quantile(&mut self, share: f64) -> f64 {
        self.all.sort_unstable();
        let last = self.all.len().saturating_sub(1);
        let at = (last as f64 * share).round() as usize;
        self.all.get(at).map_or(0.0, |latency| latency.as_secs_f64() * 1_000.0)
    }
}

/// What one run gave.
#[derive(Debug)]
pub(super) struct Run {
    /// Requests a second over all connections.
    pub(super) rate: f64,
    /// Each request's time.
    pub(super) latencies: Latencies,
    /// What was answered, if it was to be kept; in the order of connections, not of requests.
    pub(super) answers: Vec<Bytes>,
}

/// What becomes of answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answers {
    Kept,
    Dropped,
}

/// One request to prepare: method, path (not encoded), body.
pub(super) type Work = (Method, String, Bytes);

/// Signs all work beforehand and runs it as [`send`] does.
///
/// # Errors
/// When a connection breaks or an answer is no success.
pub(super) async fn run(
    target: &Target,
    connections: usize,
    payload: Payload,
    work: impl Iterator<Item = Work>,
) -> Result<Run> {
    let requests: Result<Vec<_>> = work
        .map(|(method, path, body)| target.request(method, &path, "", body, payload))
        .collect();
    send(target, connections, requests?, Answers::Dropped).await
}

/// Deals requests to `connections` and runs them; every answer must be 2xx.
///
/// # Errors
/// When a connection breaks or an answer is no success.
pub(super) async fn send(
    target: &Target,
    connections: usize,
    requests: Vec<Request<Full<Bytes>>>,
    answers: Answers,
) -> Result<Run> {
    let mut hands: Vec<Vec<Request<Full<Bytes>>>> = (0..connections).map(|_| Vec::new()).collect();
    for (index, request) in requests.into_iter().enumerate() {
        hands
            .get_mut(index % connections)
            .context("a connection")?
            .push(request);
    }
    let mut open = Vec::new();
    for hand in hands {
        open.push((target.connect().await?, hand));
    }
    let start = Instant::now();
    let tasks: Vec<_> = open
        .into_iter()
        .map(|(mut connection, hand)| {
            tokio::spawn(async move {
                let (mut own, mut kept) = (Vec::with_capacity(hand.len()), Vec::new());
                for request in hand {
                    let sent = Instant::now();
                    let status = match answers {
                        Answers::Dropped => connection.drain(request).await?.0,
                        Answers::Kept => {
                            let (status, answer) = connection.send(request).await?;
                            kept.push(answer);
                            status
                        }
                    };
                    ensure!(status.is_success(), "a request of the load was answered {status}");
                    own.push(sent.elapsed());
                }
                anyhow::Ok((own, kept))
            })
        })
        .collect();
    let (mut latencies, mut kept) = (Latencies::default(), Vec::new());
    for task in tasks {
        let (own, answers) = task.await??;
        latencies.extend(own);
        kept.extend(answers);
    }
    let seconds = start.elapsed().as_secs_f64();
    Ok(Run {
        rate: latencies.count() as f64 / seconds,
        latencies,
        answers: kept,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_nearest_ranks() {
        let mut latencies = Latencies::default();
        latencies.extend((1..=101).rev().map(Duration::from_millis).collect());
        assert_eq!(latencies.quantile(0.5), 51.0);
        assert_eq!(latencies.quantile(0.99), 100.0);
        assert_eq!(latencies.quantile(1.0), 101.0);
        assert_eq!(Latencies::default().quantile(0.5), 0.0);
    }
}
