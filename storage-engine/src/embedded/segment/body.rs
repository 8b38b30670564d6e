//! A streamed body on its way into as many extents as it needs.

use std::future::Future;

use bytes::Bytes;
use futures::StreamExt;
use tokio::task::JoinHandle;

use super::{Piece, SegmentWriter, StagedSegment, WriteError};
use crate::backend::{BodySource, SourceError};
use crate::limits::EXTENT_BYTES_MAX;

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

/// Stores a body; `next_extent` makes the writer of the next extent whenever one is needed. A body of no bytes takes none.
pub async fn put_body<F, W>(mut source: BodySource<'_>, next_extent: F) -> Result<StagedBody, PutBodyError>
where
    F: FnMut() -> W,
    W: Future<Output = Result<SegmentWriter, WriteError>>,
{
    let mut extents = Extents {
        next_extent,
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

struct Extents<F> {
    next_extent: F,
    open: Option<Open>,
    /// The extent before, on its way to stable media while the next one is filled.
    syncing: Option<JoinHandle<Result<StagedSegment, WriteError>>>,
    staged: StagedBody,
}

impl<F, W> Extents<F>
where
    F: FnMut() -> W,
    W: Future<Output = Result<SegmentWriter, WriteError>>,
{
    async fn write(&mut self, mut chunk: Bytes) -> Result<(), WriteError> {
        while !chunk.is_empty() {
            let mut open = match self.open.take() {
                Some(open) => open,
                None => {
                    let mut writer = (self.next_extent)().await?;
                    writer.begin_body()?;
                    Open {
                        writer,
                        room: EXTENT_BYTES_MAX,
                    }
                }
            };
            let part = chunk.split_to(chunk.len().min(usize::try_from(open.room).unwrap_or(usize::MAX)));
            open.room -= part.len() as u64;
            self.staged.len += part.len() as u64;
            open.writer.write(part).await?;
            if open.room == 0 {
                self.close(open.writer).await?;
            } else {
                self.open = Some(open);
            }
        }
        Ok(())
    }

    async fn close(&mut self, mut writer: SegmentWriter) -> Result<(), WriteError> {
        self.staged.pieces.push(writer.end_body().await?);
        self.await_sync().await?;
        self.syncing = Some(tokio::spawn(writer.finish()));
        Ok(())
    }

    async fn await_sync(&mut self) -> Result<(), WriteError> {
        if let Some(syncing) = self.syncing.take() {
            let synced = syncing.await.map_err(|e| WriteError::Internal(e.to_string()))?;
            self.staged.segments.push(synced?);
        }
        Ok(())
    }

    async fn end(mut self) -> Result<StagedBody, WriteError> {
        if let Some(open) = self.open.take() {
            self.close(open.writer).await?;
        }
        self.await_sync().await?;
        Ok(self.staged)
    }
}
