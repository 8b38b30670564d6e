//! Reading stripes: any k good shards give the data. Every frame is verified at its place; what is bad or missing is
//! rebuilt in the same read and reported. It never writes.

use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures::future::join_all;
use futures::stream::{self, Stream, StreamExt, TryStreamExt};

use super::damage::{Damage, DamageSink, Why};
use super::layout::{StripePart, stripes_of};
use super::{Drives, Piece, PresentDrive, Segment};
use crate::backend::ReadError;
use crate::embedded::drive::Lane;
use crate::embedded::erasure::Codecs;
use crate::embedded::frame::{FRAME_HEADER_BYTES, FrameError, FrameKind, FramePlace, verify};

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

/// A shard that could not be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lost {
    /// Its drive is not there or does not answer, or a newer program wrote it.
    OutOfReach,
    Damaged,
}

/// One frame of a stripe, to be read.
#[derive(Clone, Copy)]
struct Wanted {
    place: FramePlace,
    payload_len: usize,
    data_len: usize,
}

impl Wanted {
    fn frame_bytes(&self) -> usize {
        FRAME_HEADER_BYTES + self.payload_len
    }

    /// The payload, if the bytes are this frame.
    fn payload_of(&self, bytes: Bytes) -> Result<Bytes, FrameError> {
        let (header, payload) = verify(&self.place, &bytes)?;
        let as_named = header.kind == FrameKind::Stripe
            && header.data_len as usize == self.data_len
            && payload.len() == self.payload_len;
        if !as_named {
            return Err(FrameError::WrongContent);
        }
        Ok(bytes.slice(FRAME_HEADER_BYTES..))
    }
}

struct Inner {
    drives: Arc<Drives>,
    codecs: Arc<Codecs>,
    sink: Arc<dyn DamageSink>,
}

/// Reads segments from the drives that are present. Cheap to clone.
#[derive(Clone)]
pub struct SegmentReader {
    inner: Arc<Inner>,
}

impl SegmentReader {
    pub fn new(drives: Arc<Drives>, codecs: Arc<Codecs>, sink: Arc<dyn DamageSink>) -> Self {
        Self {
            inner: Arc::new(Inner { drives, codecs, sink }),
        }
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
        stream::iter(stripes)
            .map(move |part| {
                let (reader, segment) = (reader.clone(), segment.clone());
                async move {
                    tokio::task::coop::consume_budget().await;
                    reader.read_part(&segment, &part).await
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
        let shard_bytes = segment.geometry.shard_bytes(part.data_len);
        let data_shards = usize::from(segment.geometry.data);
        if shard_bytes == 0 || part.wanted.is_empty() || part.wanted.end > part.data_len {
            return Ok(Vec::new());
        }
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
        let need = usize::from(segment.geometry.data);
        let mut found: Vec<Option<Bytes>> = vec![None; segment.geometry.shards()];
        let mut lost = Vec::new();
        let mut unread: Vec<usize> = (0..found.len()).filter(|i| !wanted.contains(i)).collect();
        let mut reading: Vec<usize> = wanted.clone().collect();
        loop {
            let answers = join_all(reading.iter().map(|i| self.read_shard(segment, part, *i))).await;
            for (index, answer) in reading.drain(..).zip(answers) {
                match (answer, found.get_mut(index)) {
                    (Ok(payload), Some(slot)) => *slot = Some(payload),
                    (Ok(_), None) => {}
                    (Err(why), _) => lost.push(why),
                }
            }
            if lost.is_empty() {
                return Ok(wanted.filter_map(|i| found.get_mut(i)?.take()).collect());
            }
            let have = found.iter().flatten().count();
            if have >= need {
                return self.rebuild(segment, part, found, wanted);
            }
            if unread.is_empty() {
                return Err(too_few(segment, part.offset, have, &lost));
            }
            let more = unread.len().min(need - have);
            reading = unread.drain(..more).collect();
        }
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

    async fn read_shard(&self, segment: &Segment, part: &StripePart, index: usize) -> Result<Bytes, Lost> {
        let shard = u8::try_from(index).map_err(|_| Lost::OutOfReach)?;
        let wanted = Wanted {
            place: FramePlace {
                segment: segment.id,
                shard,
                offset: part.offset,
            },
            payload_len: segment.geometry.shard_bytes(part.data_len),
            data_len: part.data_len,
        };
        let hinted = segment.drives.get(index).and_then(|id| {
            let drive = self.inner.drives.get(id)?;
            Some(PresentDrive { id: *id, drive })
        });
        if let Some(payload) = hinted.as_ref().and_then(|on| read_cached(on, &wanted)) {
            return Ok(payload);
        }
        self.read_from_any(segment, hinted, &wanted).await
    }

    /// Tries the hinted drive, then every other drive that has the shard file.
    async fn read_from_any(
        &self,
        segment: &Segment,
        hinted: Option<PresentDrive>,
        wanted: &Wanted,
    ) -> Result<Bytes, Lost> {
        let hinted_id = hinted.as_ref().map(|on| on.id);
        let others = self
            .inner
            .drives
            .present()
            .into_iter()
            .filter(|on| Some(on.id) != hinted_id);
        let shard = wanted.place.shard;
        let holders: Vec<PresentDrive> = hinted
            .clone()
            .into_iter()
            .chain(others)
            .filter(|on| on.drive.holds_shard(segment.kind, segment.id, shard))
            .collect();
        let mut worst = Lost::OutOfReach;
        if let (Some(on), true) = (&hinted, holders.is_empty()) {
            self.report(on, wanted, Why::Missing);
            worst = Lost::Damaged;
        }
        for on in holders {
            match read_from(&on, segment, wanted).await {
                Ok(payload) => return Ok(payload),
                Err(Why::Frame(error)) if error.is_newer_format() => {}
                Err(Why::Unreadable(error)) => self.report(&on, wanted, Why::Unreadable(error)),
                Err(why @ (Why::Missing | Why::Frame(_))) => {
                    worst = Lost::Damaged;
                    self.report(&on, wanted, why);
                }
            }
        }
        Err(worst)
    }

    fn report(&self, on: &PresentDrive, wanted: &Wanted, why: Why) {
        self.inner.sink.damaged(Damage {
            segment: wanted.place.segment,
            shard: wanted.place.shard,
            drive: on.id,
            offset: wanted.place.offset,
            why,
        });
    }
}

/// The payload from an open file and the page cache, without leaving this thread; `None` whatever is in the way.
fn read_cached(on: &PresentDrive, wanted: &Wanted) -> Option<Bytes> {
    let file = on.drive.open_handle(wanted.place.segment, wanted.place.shard)?;
    let bytes = file.try_read_cached(wanted.place.offset, wanted.frame_bytes())?;
    wanted.payload_of(bytes).ok()
}

async fn read_from(on: &PresentDrive, segment: &Segment, wanted: &Wanted) -> Result<Bytes, Why> {
    let (drive, kind, wanted) = (on.drive.clone(), segment.kind, *wanted);
    let job = move || {
        let opened = drive.open_shard(kind, wanted.place.segment, wanted.place.shard)?;
        opened
            .map(|file| file.read_at(wanted.place.offset, wanted.frame_bytes()))
            .transpose()
    };
    match on.drive.run(Lane::Read, job).await {
        Ok(Some(bytes)) => wanted.payload_of(bytes).map_err(Why::Frame),
        Ok(None) => Err(Why::Missing),
        Err(error) => Err(Why::Unreadable(error.to_string())),
    }
}

fn too_few(segment: &Segment, offset: u64, have: usize, lost: &[Lost]) -> SegmentReadError {
    let need = usize::from(segment.geometry.data);
    let away = lost.iter().filter(|l| **l == Lost::OutOfReach).count();
    let damaged = lost.len() - away;
    let text = format!(
        "segment {} at {offset}: {have} of {need} shards are good, {damaged} damaged, {away} out of reach",
        segment.id
    );
    if have + away >= need {
        SegmentReadError::Unavailable(text)
    } else {
        SegmentReadError::Corrupt(text)
    }
}
