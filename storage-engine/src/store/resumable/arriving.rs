//! A body that may break off: cut into parts as it comes, each of which ends cleanly with what arrived.
//!
//! Owns where a part ends and why nothing more comes. Never stores anything.

use std::collections::VecDeque;
use std::pin::Pin;

use bytes::Bytes;
use futures::StreamExt;

use crate::backend::{BodySource, SourceError};

/// Why a body broke off before its end.
#[derive(Debug)]
pub(super) enum Broken {
    Source(SourceError),
    /// A newer request about the same upload came.
    Superseded,
    /// It is longer than there is room for.
    Overlong,
}

pub(super) struct Arriving {
    source: BodySource<'static>,
    superseded: Pin<Box<dyn Future<Output = ()> + Send>>,
    /// Bytes that may still come.
    room: u64,
    /// What came and was not taken yet.
    waiting: VecDeque<Bytes>,
    ended: bool,
    broken: Option<Broken>,
}

impl Arriving {
    pub(super) fn new(
        source: BodySource<'static>,
        superseded: impl Future<Output = ()> + Send + 'static,
        room: u64,
    ) -> Self {
        Self {
            source,
            superseded: Box::pin(superseded),
            room,
            waiting: VecDeque::new(),
            ended: false,
            broken: None,
        }
    }

    /// Waits until `bytes` are there or nothing more comes, and says how many are.
    pub(super) async fn look_ahead(&mut self, bytes: usize) -> usize {
        let mut there = self.waiting.iter().map(Bytes::len).sum();
        while there < bytes {
            let Some(chunk) = self.receive().await else { break };
            there += chunk.len();
            self.waiting.push_back(chunk);
        }
        there
    }

    /// The next `bytes` at most, as a body that ends cleanly in any case.
    pub(super) fn part(&mut self, bytes: u64) -> BodySource<'_> {
        Box::pin(futures::stream::unfold((self, bytes), |(arriving, left)| async move {
            if left == 0 {
                return None;
            }
            let mut chunk = match arriving.waiting.pop_front() {
                Some(chunk) => chunk,
                None => arriving.receive().await?,
            };
            let fits = usize::try_from(left).unwrap_or(usize::MAX);
            if chunk.len() > fits {
                arriving.waiting.push_front(chunk.split_off(fits));
            }
            let left = left - chunk.len() as u64;
            Some((Ok(chunk), (arriving, left)))
        }))
    }

    /// Why it broke off; `None`: it did not.
    pub(super) fn broken(&self) -> Option<&Broken> {
        self.broken.as_ref()
    }

    async fn receive(&mut self) -> Option<Bytes> {
        while !self.ended {
            let item = tokio::select! {
                biased;
                () = &mut self.superseded => Some(Err(Broken::Superseded)),
                item = self.source.next() => item.map(|item| item.map_err(Broken::Source)),
            };
            match item {
                None => self.ended = true,
                Some(Err(broken)) => self.break_off(broken),
                Some(Ok(chunk)) if chunk.len() as u64 > self.room => self.break_off(Broken::Overlong),
                Some(Ok(chunk)) if chunk.is_empty() => {}
                Some(Ok(chunk)) => {
                    self.room -= chunk.len() as u64;
                    return Some(chunk);
                }
            }
        }
        None
    }

    fn break_off(&mut self, broken: Broken) {
        self.ended = true;
        self.broken = Some(broken);
    }
}

#[cfg(test)]
mod tests {
    use futures::TryStreamExt;

    use super::*;

    async fn taken(mut arriving: Arriving, part: u64) -> (Vec<Bytes>, Option<Broken>) {
        let mut parts = Vec::new();
        while arriving.look_ahead(1).await > 0 {
            let chunks: Vec<Bytes> = arriving.part(part).try_collect().await.unwrap();
            parts.push(Bytes::from(chunks.concat()));
        }
        (parts, arriving.broken)
    }

    fn source(items: Vec<Result<&'static str, &'static str>>) -> BodySource<'static> {
        let items = items.into_iter();
        let items = items.map(|item| item.map(Bytes::from).map_err(SourceError::from));
        Box::pin(futures::stream::iter(items))
    }

    #[tokio::test]
    async fn a_body_is_cut_into_parts_and_ends_cleanly_wherever_it_breaks_off() {
        let whole = || source(vec![Ok("abc"), Ok(""), Ok("defgh"), Ok("i")]);
        let never = std::future::pending;
        let (parts, broken) = taken(Arriving::new(whole(), never(), 9), 4).await;
        assert_eq!(
            (parts, broken.is_none()),
            (vec!["abcd".into(), "efgh".into(), "i".into()], true)
        );
        let (parts, broken) = taken(
            Arriving::new(source(vec![Ok("abc"), Err("gone"), Ok("x")]), never(), 9),
            2,
        )
        .await;
        assert_eq!(parts, ["ab", "c"]);
        assert!(matches!(broken, Some(Broken::Source(error)) if error.to_string() == "gone"));
        let (parts, broken) = taken(Arriving::new(whole(), never(), 8), 100).await;
        assert_eq!(parts, ["abcdefgh"]);
        assert!(matches!(broken, Some(Broken::Overlong)));
    }

    #[tokio::test]
    async fn a_newer_request_ends_a_body_that_hangs() {
        let hanging = source(vec![Ok("abc")]).chain(futures::stream::pending());
        let (told, newer) = tokio::sync::oneshot::channel::<()>();
        let newer = async move { drop(newer.await) };
        let arriving = Arriving::new(Box::pin(hanging), newer, 9);
        let task = tokio::spawn(taken(arriving, 100));
        tokio::task::yield_now().await;
        told.send(()).unwrap();
        let (parts, broken) = task.await.unwrap();
        assert!(parts.is_empty() || parts == ["abc"]);
        assert!(matches!(broken, Some(Broken::Superseded)));
    }
}
