//! Storing one body of any length: the stream is cut into extents, each synced while the next one is filled. It knows
//! nothing of who the body is for. A drive that fails on the way costs an extent, not the body: what was written so far
//! is read back from the other drives into a new extent on drives that are in.

use std::future::Future;

use bytes::Bytes;
use futures::StreamExt;
use tokio::task::JoinHandle;

use super::writer::Remains;
use super::{Piece, SegmentReader, SegmentWriter, StagedSegment, WriteError};
use crate::backend::{BodySource, SourceError};
use crate::limits::EXTENT_BYTES_MAX;

/// Times one extent is begun anew because a drive failed: more than there are drives to lose.
const TRIES_MAX: usize = 16;

/// A body that is on stable media whole, and that nothing names yet. Dropping it removes it in the background.
#[derive(Debug)]
pub struct StagedBody {
    pub len: u64,
    pub pieces: Vec<Piece>,
    pub segments: Vec<StagedSegment>,
}

/// Why a body was not stored. Nothing of it stays.
#[derive(Debug, thiserror::Error)]
pub enum PutBodyError {
    /// The source of the body failed; its error, unchanged.
    #[error("body source: {0}")]
    Source(SourceError),
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// The drives that a body is written to, as the store has them.
pub trait Ground: Sync {
    /// The writer of a new extent on drives that are in.
    fn next_extent(&self) -> impl Future<Output = Result<SegmentWriter, WriteError>> + Send;

    /// A drive failed: returns once the store does without it, or with the error if it cannot, or if no drive is to blame.
    fn without(&self, error: WriteError) -> impl Future<Output = Result<(), WriteError>> + Send;

    /// Reads what was written.
    fn reader(&self) -> &SegmentReader;

    /// Most data bytes of one extent.
    fn extent_bytes_max(&self) -> u64 {
        EXTENT_BYTES_MAX
    }
}

/// Stores a body. One of no bytes takes no extent.
pub async fn put_body(mut source: BodySource<'_>, ground: &impl Ground) -> Result<StagedBody, PutBodyError> {
    let mut extents = Extents {
        ground,
        open: None,
        syncing: None,
        staged: StagedBody {
            len: 0,
            pieces: Vec::new(),
            segments: Vec::new(),
        },
    };
    while let Some(chunk) = source.next().await {
        extents.write(chunk.map_err(PutBodyError::Source)?).await?;
    }
    Ok(extents.end().await?)
}

struct Open {
    writer: SegmentWriter,
    /// Data bytes the extent still takes.
    room: u64,
}

/// The extent before, on its way to stable media while the next one is filled.
type Syncing = JoinHandle<(SegmentWriter, Result<(), WriteError>)>;

struct Extents<'a, G> {
    ground: &'a G,
    open: Option<Open>,
    syncing: Option<Syncing>,
    staged: StagedBody,
}

async fn sync(mut writer: SegmentWriter) -> (SegmentWriter, Result<(), WriteError>) {
    let synced = writer.sync().await;
    (writer, synced)
}

impl<G: Ground> Extents<'_, G> {
    async fn write(&mut self, mut chunk: Bytes) -> Result<(), WriteError> {
        while !chunk.is_empty() {
            let mut open = match self.open.take() {
                Some(open) => open,
                None => Open {
                    writer: self.next_extent().await?,
                    room: self.ground.extent_bytes_max(),
                },
            };
            let part = chunk.split_to(chunk.len().min(usize::try_from(open.room).unwrap_or(usize::MAX)));
            open.room -= part.len() as u64;
            self.staged.len += part.len() as u64;
            if let Err(error) = open.writer.write(part).await {
                (open.writer, _) = self.go_on(open.writer, error, false).await?;
            }
            if open.room == 0 {
                self.close(open.writer).await?;
            } else {
                self.open = Some(open);
            }
        }
        Ok(())
    }

    /// A new extent with its body begun; drives that fail at this are done without.
    async fn next_extent(&self) -> Result<SegmentWriter, WriteError> {
        for _ in 0..TRIES_MAX {
            match self.ground.next_extent().await {
                Ok(mut writer) => {
                    writer.begin_body()?;
                    return Ok(writer);
                }
                Err(error) => self.ground.without(error).await?,
            }
        }
        Err(WriteError::Internal("one drive after the other failed".into()))
    }

    /// Goes on without a drive on which `writer` failed: all that it was given is written again, to another extent. With
    /// `end` the body in it ends there, and its piece is given, too.
    async fn go_on(
        &self,
        writer: SegmentWriter,
        mut error: WriteError,
        end: bool,
    ) -> Result<(SegmentWriter, Option<Piece>), WriteError> {
        let remains = writer.into_remains().await;
        for _ in 0..TRIES_MAX {
            self.ground.without(error).await?;
            match self.written_again(&remains, end).await {
                Ok(written) => return Ok(written),
                Err(again) => error = again,
            }
        }
        Err(error)
    }

    async fn written_again(&self, remains: &Remains, end: bool) -> Result<(SegmentWriter, Option<Piece>), WriteError> {
        let mut writer = self.next_extent().await?;
        let piece = remains.piece();
        let stripes = self
            .ground
            .reader()
            .read_piece(remains.segment().clone(), piece, 0..piece.len);
        let mut stripes = std::pin::pin!(stripes);
        while let Some(chunk) = stripes.next().await {
            let unreadable = |e| WriteError::Internal(format!("what was written cannot be read again: {e}"));
            writer.write(chunk.map_err(unreadable)?).await?;
        }
        for chunk in remains.unsent() {
            writer.write(chunk.clone()).await?;
        }
        let piece = match end {
            true => Some(writer.end_body().await?),
            false => None,
        };
        Ok((writer, piece))
    }

    async fn close(&mut self, mut writer: SegmentWriter) -> Result<(), WriteError> {
        let piece = match writer.end_body().await {
            Ok(piece) => piece,
            Err(error) => {
                let (new, piece) = self.go_on(writer, error, true).await?;
                writer = new;
                piece.ok_or_else(|| WriteError::Internal("an ended body has no piece".into()))?
            }
        };
        self.await_sync().await?;
        self.staged.pieces.push(piece);
        self.syncing = Some(tokio::spawn(sync(writer)));
        Ok(())
    }

    async fn await_sync(&mut self) -> Result<(), WriteError> {
        let Some(syncing) = self.syncing.take() else {
            return Ok(());
        };
        let (mut writer, mut synced) = syncing.await.map_err(|e| WriteError::Internal(e.to_string()))?;
        for _ in 0..TRIES_MAX {
            let Err(error) = synced else { break };
            let (new, piece) = self.go_on(writer, error, true).await?;
            if let (Some(last), Some(piece)) = (self.staged.pieces.last_mut(), piece) {
                *last = piece;
            }
            (writer, synced) = sync(new).await;
        }
        synced?;
        self.staged.segments.push(writer.into_staged());
        Ok(())
    }

    async fn end(mut self) -> Result<StagedBody, WriteError> {
        if let Some(open) = self.open.take() {
            self.close(open.writer).await?;
        }
        self.await_sync().await?;
        // Bytes pass through several hands when drives fail: none of them may have lost any.
        let stored: u64 = self.staged.pieces.iter().map(|piece| piece.len).sum();
        if stored != self.staged.len {
            let text = format!("{stored} bytes are stored of {}", self.staged.len);
            return Err(WriteError::Internal(text));
        }
        Ok(self.staged)
    }
}
