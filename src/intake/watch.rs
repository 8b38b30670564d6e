//! A body that is looked at while it streams: it ends in an error as soon as it cannot be what it must be.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures::{Stream, StreamExt};
use parking_lot::Mutex;
use storage_engine::backend::{BodySource, SourceError};
use storage_engine::store::files::{Seen, Witness};

use super::{Expected, Refused};
use crate::media::{Inspected, Inspection};

/// What was seen of a body, once it has ended.
#[derive(Default)]
pub struct Look(Mutex<Option<Seen>>);

impl Witness for Look {
    fn seen(&self) -> Seen {
        self.0.lock().clone().unwrap_or_default()
    }
}

/// As the catalogue keeps it of bytes that must be what is `expected`.
pub(super) fn seen(inspected: &Inspected, expected: &Expected) -> Seen {
    Seen {
        sha256: Some(inspected.sha256),
        sniffed_type: expected.kept_type(inspected.sniffed),
        width: inspected.dimensions.map(|image| image.width),
        height: inspected.dimensions.map(|image| image.height),
    }
}

/// The same body, held to what it must be; and what was seen of it, for the store that takes it.
pub fn watch(source: BodySource<'_>, expected: Expected) -> (BodySource<'_>, Arc<Look>) {
    let look = Arc::new(Look::default());
    let watched = Watched {
        source,
        expected,
        inspection: Some(Inspection::default()),
        size: 0,
        type_is_checked: false,
        look: Arc::clone(&look),
    };
    (Box::pin(watched), look)
}

/// The same body, that ends in an error when it has more than `room` bytes, `max` being what is told of that.
pub fn cap(source: BodySource<'_>, room: u64, max: u64) -> BodySource<'_> {
    let mut left = room;
    Box::pin(source.map(move |piece| {
        let piece = piece?;
        left = left.checked_sub(piece.len() as u64).ok_or(Refused::TooLarge { max })?;
        Ok(piece)
    }))
}

struct Watched<'a> {
    source: BodySource<'a>,
    expected: Expected,
    /// `None`: it has ended, well or not.
    inspection: Option<Inspection>,
    size: u64,
    type_is_checked: bool,
    look: Arc<Look>,
}

impl Watched<'_> {
    fn take(&mut self, bytes: &Bytes) -> Result<(), Refused> {
        self.size = self.size.saturating_add(bytes.len() as u64);
        self.expected.check_size_so_far(self.size)?;
        let Some(inspection) = &mut self.inspection else {
            return Ok(());
        };
        inspection.feed(bytes);
        if !self.type_is_checked && inspection.is_known() {
            self.type_is_checked = true;
            self.expected.check_type(inspection.sniffed())?;
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), Refused> {
        let Some(inspection) = self.inspection.take() else {
            return Ok(());
        };
        self.expected.check_size(self.size)?;
        self.expected.check_type(inspection.sniffed())?;
        let inspected = inspection.finish();
        self.expected.check_digest(&inspected.sha256)?;
        *self.look.0.lock() = Some(seen(&inspected, &self.expected));
        Ok(())
    }
}

impl Stream for Watched<'_> {
    type Item = Result<Bytes, SourceError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.inspection.is_none() {
            return Poll::Ready(None);
        }
        let looked = match ready!(this.source.as_mut().poll_next(cx)) {
            Some(Ok(bytes)) => this.take(&bytes).map(|()| Some(bytes)),
            Some(Err(error)) => {
                this.inspection = None;
                return Poll::Ready(Some(Err(error)));
            }
            None => this.end().map(|()| None),
        };
        Poll::Ready(match looked {
            Ok(bytes) => bytes.map(Ok),
            Err(refused) => {
                this.inspection = None;
                Some(Err(Box::new(refused)))
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures::TryStreamExt;
    use storage_engine::store::files::Witness;

    use super::super::{Expected, Refused};
    use super::{cap, watch};
    use crate::auth::sha256;

    const GIF: &[u8] = b"GIF89a\x0A\0\x14\0\0\0\0;";

    async fn take(
        pieces: Vec<Vec<u8>>,
        expected: Expected,
    ) -> Result<(Vec<u8>, storage_engine::store::files::Seen), Refused> {
        let pieces = pieces.into_iter().map(|piece| Ok(Bytes::from(piece)));
        let (body, look) = watch(Box::pin(futures::stream::iter(pieces)), expected);
        match body.try_collect::<Vec<_>>().await {
            Ok(taken) => Ok((taken.concat(), look.seen())),
            Err(error) => Err(Refused::find(&*error).expect("a refusal").clone()),
        }
    }

    fn images(max_size: Option<u64>) -> Expected {
        Expected {
            max_size,
            types: vec![vec!["image/*".into()]],
            ..Expected::default()
        }
    }

    #[tokio::test]
    async fn what_is_as_it_must_be_passes_and_was_seen() {
        let pieces = GIF.chunks(3).map(<[u8]>::to_vec).collect();
        let (taken, seen) = take(pieces, images(Some(GIF.len() as u64))).await.unwrap();
        assert_eq!(taken, GIF);
        assert_eq!(seen.sha256, Some(sha256(GIF)));
        assert_eq!(seen.sniffed_type.as_deref(), Some("image/gif"));
        assert_eq!((seen.width, seen.height), (Some(10), Some(20)));
    }

    #[tokio::test]
    async fn what_is_too_large_ends_at_the_piece_that_is_too_much() {
        let endless = vec![vec![b'x'; 10]; 1_000];
        let refused = take(
            endless,
            Expected {
                max_size: Some(25),
                ..Expected::default()
            },
        )
        .await;
        assert_eq!(refused.unwrap_err(), Refused::TooLarge { max: 25 });
        let small = Expected {
            min_size: 5,
            ..Expected::default()
        };
        assert_eq!(
            take(vec![b"four".to_vec()], small.clone()).await.unwrap_err(),
            Refused::TooSmall { min: 5 }
        );
        assert!(take(vec![b"fives".to_vec()], small).await.is_ok());
    }

    #[tokio::test]
    async fn what_is_of_another_type_is_refused_as_soon_as_it_shows() {
        for pieces in [
            vec![b"<html>".to_vec()],
            vec![vec![b'a'; 9_000], b"\0".repeat(1 << 20)],
            vec![],
        ] {
            assert!(matches!(take(pieces, images(None)).await, Err(Refused::Type(_))));
        }
        let said = |declared: &str| Expected {
            declared: vec![declared.to_owned()],
            ..images(None)
        };
        assert!(take(vec![GIF.to_vec()], said("image/gif; x=1")).await.is_ok());
        assert!(take(vec![GIF.to_vec()], said("application/octet-stream")).await.is_ok());
        for lie in ["image/png", "text/plain"] {
            assert!(
                matches!(take(vec![GIF.to_vec()], said(lie)).await, Err(Refused::Type(_))),
                "{lie}"
            );
        }
    }

    #[tokio::test]
    async fn what_has_another_sha256_than_was_announced_is_refused_at_its_end() {
        let announced = |sha256| Expected {
            sha256: Some(sha256),
            ..Expected::default()
        };
        let pieces = || GIF.chunks(5).map(<[u8]>::to_vec).collect();
        let (taken, seen) = take(pieces(), announced(sha256(GIF))).await.unwrap();
        assert_eq!((taken.as_slice(), seen.sha256), (GIF, Some(sha256(GIF))));
        assert_eq!(take(pieces(), announced([0; 32])).await.unwrap_err(), Refused::Digest);
        assert_eq!(take(vec![], announced(sha256(GIF))).await.unwrap_err(), Refused::Digest);
    }

    #[tokio::test]
    async fn what_is_announced_is_refused_before_it_comes() {
        let mut expected = images(Some(10));
        expected.also_at_most(Some(20));
        expected.also_at_most(None);
        assert_eq!(expected.check_announced(Some(10)), Ok(()));
        assert_eq!(expected.check_announced(Some(11)), Err(Refused::TooLarge { max: 10 }));
        expected.also_declared(Some("application/octet-stream"));
        expected.also_declared(Some("IMAGE/PNG; a=b"));
        assert_eq!(expected.check_announced(None), Ok(()));
        expected.also_of(&["image/jpeg".to_owned()]);
        assert!(matches!(expected.check_announced(None), Err(Refused::Type(_))));
    }

    #[tokio::test]
    async fn a_body_with_a_cap_ends_at_the_piece_that_is_too_much() {
        for (room, fits) in [(0, false), (5, false), (6, true)] {
            let pieces = [Ok(Bytes::from_static(b"abc")), Ok(Bytes::from_static(b"def"))];
            let body = cap(Box::pin(futures::stream::iter(pieces)), room, 9);
            match body.try_collect::<Vec<_>>().await {
                Ok(_) => assert!(fits, "{room}"),
                Err(error) => assert_eq!(Refused::find(&*error), Some(&Refused::TooLarge { max: 9 })),
            }
        }
    }

    #[tokio::test]
    async fn a_body_that_breaks_was_not_seen() {
        let broken = vec![Ok(Bytes::from_static(GIF)), Err("gone".into())];
        let (body, look) = watch(Box::pin(futures::stream::iter(broken)), Expected::default());
        assert!(body.try_collect::<Vec<_>>().await.is_err());
        assert_eq!(look.seen(), storage_engine::store::files::Seen::default());
    }
}
