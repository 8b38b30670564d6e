//! Reading stripes: any k good shards give the data. Every frame is verified at its place; what is bad or missing is
//! rebuilt in the same read and reported. It never writes.

use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures::stream::{self, Stream, StreamExt, TryStreamExt};
use tokio::task::JoinSet;

use super::damage::DamageSink;
use super::gather::Gathering;
use super::layout::{StripePart, stripes_of};
use super::shard_read::ShardSource;
use super::{Drives, Piece, Segment};
use crate::backend::ReadError;
use crate::embedded::erasure::Codecs;

/// Stripes a stream reads at a time: the one that is wanted and two ahead.
const STRIPES_READ: usize = 3;

/// Why a stripe cannot be given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SegmentReadError {
    /// Too few shards can be reached now; with their drives the stripe may be whole.
    #[error("unavailable: {0}")]
    Unavailable(String),
    /// So many shards that can be reached are damaged that the rest cannot make them good.
    #[error("corrupt: {0}")]
    Corrupt(String),
}

impl From<SegmentReadError> for ReadError {
    fn from(error: SegmentReadError) -> Self {
        match error {
            SegmentReadError::Unavailable(reason) => Self::Unavailable(reason),
            SegmentReadError::Corrupt(reason) => Self::Corrupt(reason),
        }
    }
}

struct Inner {
    source: ShardSource,
    codecs: Arc<Codecs>,
}

/// Reads segments from the drives that are present. Cheap to clone.
#[derive(Clone)]
pub struct SegmentReader {
    inner: Arc<Inner>,
}

impl SegmentReader {
    pub fn new(drives: Arc<Drives>, codecs: Arc<Codecs>, sink: Arc<dyn DamageSink>) -> Self {
        Self {
            inner: Arc::new(Inner {
                source: ShardSource::new(drives, sink),
                codecs,
            }),
        }
    }

    /// The codes in use, for writers to share.
    pub fn codecs(&self) -> &Codecs {
        &self.inner.codecs
    }

    /// The bytes `range` of a piece, in chunks. Only the shards that hold them are read, two stripes ahead. An error ends
    /// the stream.
    pub fn read_piece(
        &self,
        segment: Arc<Segment>,
        piece: Piece,
        range: Range<u64>,
    ) -> impl Stream<Item = Result<Bytes, SegmentReadError>> + Send + 'static + use<> {
        let reader = self.clone();
        let stripes: Vec<StripePart> = stripes_of(segment.geometry, piece, range).collect();
        let alone = stripes.len() == 1;
        stream::iter(stripes)
            .map(move |part| {
                let (reader, segment) = (reader.clone(), segment.clone());
                async move {
                    tokio::task::coop::consume_budget().await;
                    if alone {
                        return reader.read_part(&segment, &part).await;
                    }
                    reader.read_beside(segment, part).await
                }
            })
            .buffered(STRIPES_READ)
            .map_ok(|chunks| stream::iter(chunks.into_iter().map(Ok)))
            .try_flatten()
            .scan(false, |ended, item| {
                let go_on = !std::mem::replace(ended, item.is_err());
                std::future::ready(go_on.then_some(item))
            })
    }

    /// Reads in a task of its own, so that one core reads and verifies ahead while another sends. The task ends with this.
    async fn read_beside(self, segment: Arc<Segment>, part: StripePart) -> Result<Vec<Bytes>, SegmentReadError> {
        let mut task = JoinSet::new();
        task.spawn(async move { self.read_part(&segment, &part).await });
        match task.join_next().await {
            Some(Ok(read)) => read,
            Some(Err(error)) => Err(SegmentReadError::Unavailable(format!("a read did not end: {error}"))),
            None => Err(SegmentReadError::Unavailable("a read was lost".into())),
        }
    }

    /// The whole data of one stripe.
    pub async fn read_stripe(
        &self,
        segment: &Segment,
        offset: u64,
        data_len: usize,
    ) -> Result<Bytes, SegmentReadError> {
        let part = StripePart {
            offset,
            data_len,
            wanted: 0..data_len,
        };
        let mut chunks = self.read_part(segment, &part).await?;
        if chunks.len() == 1 {
            return Ok(chunks.swap_remove(0));
        }
        let mut data = BytesMut::with_capacity(data_len);
        for chunk in chunks {
            data.extend_from_slice(&chunk);
        }
        Ok(data.freeze())
    }

    /// The wanted bytes of one stripe, as they lie in its data shards; only those shards are read if they are good.
    pub async fn read_part(&self, segment: &Segment, part: &StripePart) -> Result<Vec<Bytes>, SegmentReadError> {
        let data_shards = usize::from(segment.geometry.data);
        let nameable =
            data_shards > 0 && part.data_len <= segment.geometry.stripe_bytes_max() && part.wanted.end <= part.data_len;
        if !nameable {
            let text = format!("segment {} has no stripe of {} bytes", segment.id, part.data_len);
            return Err(SegmentReadError::Corrupt(text));
        }
        if part.wanted.is_empty() {
            return Ok(Vec::new());
        }
        let shard_bytes = segment.geometry.shard_bytes(part.data_len);
        let first = part.wanted.start / shard_bytes;
        let last = ((part.wanted.end - 1) / shard_bytes).min(data_shards - 1);
        let payloads = self.read_data_shards(segment, part, first..last + 1).await?;
        let cut = (first..).zip(payloads).map(|(index, payload)| {
            let begin = index * shard_bytes;
            let from = part.wanted.start.saturating_sub(begin);
            let to = (part.wanted.end - begin).min(payload.len());
            payload.slice(from..to)
        });
        Ok(cut.collect())
    }

    /// The payloads of some data shards, rebuilt from others if need be.
    async fn read_data_shards(
        &self,
        segment: &Segment,
        part: &StripePart,
        wanted: Range<usize>,
    ) -> Result<Vec<Bytes>, SegmentReadError> {
        let gathering = Gathering::begin(&self.inner.source, segment, part, wanted.clone());
        let (found, whole) = gathering.complete().await?.into_found();
        if whole {
            return Ok(found
                .into_iter()
                .skip(wanted.start)
                .take(wanted.len())
                .flatten()
                .collect());
        }
        self.rebuild(segment, part, found, wanted)
    }

    fn rebuild(
        &self,
        segment: &Segment,
        part: &StripePart,
        found: Vec<Option<Bytes>>,
        wanted: Range<usize>,
    ) -> Result<Vec<Bytes>, SegmentReadError> {
        let rebuilt = self
            .inner
            .codecs
            .get(segment.geometry)
            .and_then(|codec| codec.rebuild_data(part.data_len, found));
        let mut data = rebuilt.map_err(|e| SegmentReadError::Corrupt(e.to_string()))?;
        data.truncate(wanted.end);
        Ok(data.split_off(wanted.start.min(data.len())))
    }
}
