//! Writing a segment: data in, stripes out to all its drives, with bounded memory. Whether and when the segment becomes
//! part of the store is decided elsewhere.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::future::{join_all, try_join_all};
use tokio::task::JoinHandle;

use super::layout::stripe_file_bytes;
use super::staged::{StagedSegment, StagedShard};
use super::{Piece, PresentDrive, Segment, SegmentKind};
use crate::embedded::drive::{Drive, Lane, ShardFile};
use crate::embedded::erasure::{Codec, EncodedShard};
use crate::embedded::frame::{FORMAT_VERSION, FrameKind, FramePlace, SHARD_HEADER_BYTES, ShardHeader, encode_header};
use crate::embedded::id::{DriveId, SegmentId, StoreId};

/// Stripes of one writer that are encoded or written at a time.
const STRIPES_IN_FLIGHT: usize = 4;
/// Stripes from this size on are encoded away from the async threads.
const INLINE_ENCODE_BYTES: usize = 64 * 1024;
/// Bytes of a shard file after which its writeback is begun.
const WRITEBACK_BYTES: u64 = 1024 * 1024;
/// A drive that has not done a step of an upload after this long fails it.
const GIVE_UP_AFTER: Duration = Duration::from_secs(30);

/// What a new segment is to be; its geometry is the codec's.
#[derive(Clone, Copy, Debug)]
pub struct NewSegment {
    pub kind: SegmentKind,
    pub store: StoreId,
    /// The start epoch.
    pub epoch: u64,
    /// As in [`Segment::full_width`].
    pub full_width: Option<u8>,
}

/// Why a segment could not be written. Nothing of it stays.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    #[error("drive {drive}: {error}")]
    Drive { drive: DriveId, error: io::Error },
    /// The caller broke a rule, or this process could not do its part.
    #[error("writing a segment: {0}")]
    Internal(String),
}

impl WriteError {
    /// Whether the drive is full rather than failing.
    pub fn is_full(&self) -> bool {
        match self {
            Self::Drive { error, .. } => {
                matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
            }
            Self::Internal(_) => false,
        }
    }

    /// Whether the drive was put out by somebody else meanwhile.
    pub fn is_of_a_drive_that_left(&self) -> bool {
        match self {
            Self::Drive { error, .. } => error.kind() == io::ErrorKind::NotConnected,
            Self::Internal(_) => false,
        }
    }

    /// The drive that failed, and its error: none where it is full, slow, already out, or not to blame.
    pub fn failed_drive(&self) -> Option<(DriveId, &io::Error)> {
        let Self::Drive { drive, error } = self else {
            return None;
        };
        let not_its_fault = matches!(
            error.kind(),
            io::ErrorKind::TimedOut
                | io::ErrorKind::Interrupted
                | io::ErrorKind::OutOfMemory
                | io::ErrorKind::ResourceBusy
                | io::ErrorKind::NotConnected
        );
        (!self.is_full() && !not_its_fault).then_some((*drive, error))
    }
}

#[derive(Clone)]
struct Target {
    id: DriveId,
    drive: Arc<Drive>,
    file: ShardFile,
}

struct Body {
    offset: u64,
    len: u64,
}

/// Writes one segment. After an error it must be dropped, or [`SegmentWriter::into_remains`] called.
pub struct SegmentWriter {
    segment: Segment,
    codec: Codec,
    shards: Vec<StagedShard>,
    targets: Arc<[Target]>,
    /// Data of the stripe that is being filled.
    buffer: BytesMut,
    /// Where the next stripe will stand.
    offset: u64,
    /// Where the next writeback begins.
    writeback_from: u64,
    body: Option<Body>,
    in_flight: VecDeque<JoinHandle<Result<(), WriteError>>>,
    /// Where the last body began, and how many of its bytes went on their way.
    sent: (u64, u64),
    /// What was given and not sent because of an error.
    unsent: Vec<Bytes>,
}

/// What a writer leaves that failed after one body, or in the midst of it: the bytes it sent can be read back as long as
/// this is kept, if enough of its drives have them.
pub struct Remains {
    segment: Arc<Segment>,
    piece: Piece,
    unsent: Vec<Bytes>,
    _shards: Vec<StagedShard>,
}

impl Remains {
    pub fn segment(&self) -> &Arc<Segment> {
        &self.segment
    }

    /// The bytes that were sent.
    pub fn piece(&self) -> Piece {
        self.piece
    }

    /// Those that follow and were not.
    pub fn unsent(&self) -> &[Bytes] {
        &self.unsent
    }
}

impl std::fmt::Debug for SegmentWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("SegmentWriter").field(&self.segment).finish()
    }
}

impl SegmentWriter {
    /// Makes the shard files, shard i on `drives[i]`.
    pub async fn create(codec: Codec, drives: Vec<PresentDrive>, new: NewSegment) -> Result<Self, WriteError> {
        let geometry = codec.geometry();
        if drives.len() != geometry.shards() {
            let text = format!("{} drives for {} shards", drives.len(), geometry.shards());
            return Err(WriteError::Internal(text));
        }
        let id = SegmentId::random().map_err(|e| WriteError::Internal(format!("random id: {e}")))?;
        let segment = Segment {
            id,
            kind: new.kind,
            geometry,
            drives: drives.iter().map(|d| d.id).collect(),
            full_width: new.full_width,
        };
        let creations = (0..).zip(drives).map(|(shard, on)| {
            let header = ShardHeader {
                format: FORMAT_VERSION,
                store: new.store,
                segment: id,
                kind: new.kind,
                shard,
                geometry,
                created_epoch: new.epoch,
            };
            create_shard(on, header)
        });
        let shards = try_join_all(creations).await?;
        let targets = shards.iter().map(|shard| Target {
            id: shard.on.id,
            drive: shard.on.drive.clone(),
            file: shard.file.clone(),
        });
        Ok(Self {
            targets: targets.collect(),
            segment,
            codec,
            shards,
            buffer: BytesMut::new(),
            offset: SHARD_HEADER_BYTES,
            writeback_from: SHARD_HEADER_BYTES,
            body: None,
            in_flight: VecDeque::new(),
            sent: (SHARD_HEADER_BYTES, 0),
            unsent: Vec::new(),
        })
    }

    pub fn segment(&self) -> &Segment {
        &self.segment
    }

    /// Length of each shard file once everything given so far is written, but for the stripe that is being filled.
    pub fn file_bytes(&self) -> u64 {
        self.offset
    }

    /// Begins a body with its own stripe.
    pub fn begin_body(&mut self) -> Result<(), WriteError> {
        if self.body.is_some() {
            return Err(WriteError::Internal("a body is open".into()));
        }
        self.sent = (self.offset, 0);
        self.body = Some(Body {
            offset: self.offset,
            len: 0,
        });
        Ok(())
    }

    /// Adds bytes to the open body. Waits while four stripes are on their way.
    pub async fn write(&mut self, mut data: Bytes) -> Result<(), WriteError> {
        let Some(body) = &mut self.body else {
            return Err(WriteError::Internal("no body is open".into()));
        };
        body.len += data.len() as u64;
        let full = self.segment.geometry.stripe_bytes_max();
        while !data.is_empty() {
            if self.buffer.is_empty() && data.len() >= full {
                let stripe = data.split_to(full);
                self.write_stripe(stripe, &data).await?;
                continue;
            }
            let taken = data.split_to(data.len().min(full - self.buffer.len()));
            if self.buffer.is_empty() && self.buffer.capacity() < taken.len() {
                self.buffer.reserve(full);
            }
            self.buffer.extend_from_slice(&taken);
            if self.buffer.len() == full {
                let stripe = self.buffer.split().freeze();
                self.write_stripe(stripe, &data).await?;
            }
        }
        Ok(())
    }

    /// Ends the open body; its bytes may still be on their way. A piece of length 0 stands for no stripe at all.
    pub async fn end_body(&mut self) -> Result<Piece, WriteError> {
        if !self.buffer.is_empty() {
            let stripe = self.buffer.split().freeze();
            self.write_stripe(stripe, &Bytes::new()).await?;
        }
        let Some(body) = self.body.take() else {
            return Err(WriteError::Internal("no body is open".into()));
        };
        Ok(Piece {
            segment: self.segment.id,
            offset: body.offset,
            len: body.len,
        })
    }

    /// Puts everything on stable media: the data, the lengths and the directory entries of all shard files.
    pub async fn finish(mut self) -> Result<StagedSegment, WriteError> {
        self.sync().await?;
        Ok(self.into_staged())
    }

    /// As [`Self::finish`], but for the end: what was written is still this writer's.
    pub(super) async fn sync(&mut self) -> Result<(), WriteError> {
        if self.body.is_some() {
            return Err(WriteError::Internal("a body is open".into()));
        }
        while !self.in_flight.is_empty() {
            self.await_oldest().await?;
        }
        try_join_all(self.shards.iter().map(StagedShard::sync)).await?;
        Ok(())
    }

    /// To be called after [`Self::sync`] only.
    pub(super) fn into_staged(self) -> StagedSegment {
        StagedSegment::new(self.segment, self.offset, self.shards)
    }

    /// After an error: waits for what is on its way, and keeps what was written so that it can be read back.
    pub(super) async fn into_remains(mut self) -> Remains {
        while let Some(stripe) = self.in_flight.pop_front() {
            // Whether it can be read back will be seen.
            drop(stripe.await);
        }
        if !self.buffer.is_empty() {
            self.unsent.push(self.buffer.split().freeze());
        }
        let (offset, len) = self.sent;
        Remains {
            piece: Piece {
                segment: self.segment.id,
                offset,
                len,
            },
            segment: Arc::new(self.segment),
            unsent: self.unsent,
            _shards: self.shards,
        }
    }

    async fn await_oldest(&mut self) -> Result<(), WriteError> {
        let Some(oldest) = self.in_flight.front_mut() else {
            return Ok(());
        };
        let outcome = oldest.await;
        self.in_flight.pop_front();
        outcome.unwrap_or_else(|e| Err(WriteError::Internal(e.to_string())))
    }

    /// Sends a stripe on its way; on an error it and the `rest` that was given with it are kept.
    async fn write_stripe(&mut self, data: Bytes, rest: &Bytes) -> Result<(), WriteError> {
        while self.in_flight.len() >= STRIPES_IN_FLIGHT {
            if let Err(error) = self.await_oldest().await {
                self.unsent = vec![data, rest.clone()];
                return Err(error);
            }
        }
        let offset = self.offset;
        self.sent.1 += data.len() as u64;
        self.offset += stripe_file_bytes(self.segment.geometry, data.len());
        let mut writeback = None;
        if self.offset - self.writeback_from >= WRITEBACK_BYTES {
            writeback = Some((self.writeback_from, self.offset - self.writeback_from));
            self.writeback_from = self.offset;
        }
        let stripe = Stripe {
            codec: self.codec.clone(),
            targets: self.targets.clone(),
            segment: self.segment.id,
            offset,
            data,
            writeback,
        };
        self.in_flight.push_back(tokio::spawn(stripe.write()));
        Ok(())
    }
}

async fn create_shard(on: PresentDrive, header: ShardHeader) -> Result<StagedShard, WriteError> {
    let id = on.id;
    let drive = on.drive.clone();
    // A file that is made after nobody waits any more is removed with the answer that nobody takes.
    on_drive(id, drive.run(Lane::Bulk, move || StagedShard::create(on, header))).await
}

/// One stripe on its way to the drives.
struct Stripe {
    codec: Codec,
    targets: Arc<[Target]>,
    segment: SegmentId,
    offset: u64,
    data: Bytes,
    /// Offset and length of what is to be written back once this stripe is written.
    writeback: Option<(u64, u64)>,
}

impl Stripe {
    async fn write(self) -> Result<(), WriteError> {
        let shards = self.encode().await?;
        let data_len = u32::try_from(self.data.len()).map_err(|e| WriteError::Internal(e.to_string()))?;
        let writes = (0..)
            .zip(self.targets.iter().zip(shards))
            .map(|(shard, (target, encoded))| {
                let place = FramePlace {
                    segment: self.segment,
                    shard,
                    offset: self.offset,
                };
                write_frame(target, place, encoded, data_len, self.writeback)
            });
        // All of them also where one fails: the others are what the stripe can be read back from.
        join_all(writes).await.into_iter().collect()
    }

    async fn encode(&self) -> Result<Vec<EncodedShard>, WriteError> {
        let encoded = if self.data.len() < INLINE_ENCODE_BYTES {
            self.codec.encode_stripe(&self.data)
        } else {
            let (codec, data) = (self.codec.clone(), self.data.clone());
            tokio::task::spawn_blocking(move || codec.encode_stripe(&data))
                .await
                .map_err(|e| WriteError::Internal(e.to_string()))?
        };
        encoded.map_err(|e| WriteError::Internal(e.to_string()))
    }
}

async fn write_frame(
    target: &Target,
    place: FramePlace,
    encoded: EncodedShard,
    data_len: u32,
    writeback: Option<(u64, u64)>,
) -> Result<(), WriteError> {
    let payload_len = u32::try_from(encoded.payload.len()).map_err(|e| WriteError::Internal(e.to_string()))?;
    let header = encode_header(FrameKind::Stripe, &place, payload_len, encoded.crc, data_len);
    let file = target.file.clone();
    let job = move || {
        file.write_vectored_at(place.offset, &[Bytes::copy_from_slice(&header), encoded.payload])?;
        if let Some((from, len)) = writeback {
            file.start_writeback(from, len);
        }
        Ok(())
    };
    on_drive(target.id, target.drive.run(Lane::Bulk, job)).await
}

/// Waits for a step of writing, but not for ever, and names the drive in its error.
pub async fn on_drive<T>(drive: DriveId, step: impl Future<Output = io::Result<T>>) -> Result<T, WriteError> {
    let done = tokio::time::timeout(GIVE_UP_AFTER, step).await;
    let done = done.unwrap_or_else(|_| {
        let text = format!("no answer for {} s", GIVE_UP_AFTER.as_secs());
        Err(io::Error::new(io::ErrorKind::TimedOut, text))
    });
    done.map_err(|error| WriteError::Drive { drive, error })
}
