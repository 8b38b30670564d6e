//! Checkpoints on the drives: written as a segment of their own, read back from media before anyone names them. It
//! never decides when one is due or what it holds.

use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;

use super::checkpoint::{
    CheckpointError, CheckpointReader, CheckpointRef, CheckpointSink, LogDelta, Position, Written, write_merged,
};
use super::drive::Drive;
use super::erasure::{Codec, Geometry};
use super::id::StoreId;
use super::log::choose_drives;
use super::segment::{NewSegment, PresentDrive, SegmentKind, SegmentReader, SegmentWriter, StagedSegment};
use crate::backend::ReadError;

/// Bytes of a checkpoint as its reader takes them.
pub type CheckpointBytes = BoxStream<'static, Result<Bytes, ReadError>>;

/// A checkpoint that is on stable media and was read back; nothing names it yet.
pub struct NewCheckpoint {
    pub reference: CheckpointRef,
    pub staged: StagedSegment,
    pub written: Written,
}

struct Sink {
    writer: SegmentWriter,
}

#[async_trait::async_trait]
impl CheckpointSink for Sink {
    async fn write(&mut self, bytes: Bytes) -> Result<(), String> {
        self.writer.write(bytes).await.map_err(|e| e.to_string())
    }
}

/// A reader of the checkpoint that `reference` names.
pub fn open(reader: &SegmentReader, reference: &CheckpointRef) -> CheckpointReader<CheckpointBytes> {
    let segment = Arc::new(reference.segment.clone());
    let bytes = reader.read_piece(segment, reference.piece, 0..reference.piece.len);
    CheckpointReader::new(
        reference.clone(),
        bytes.map(|item| item.map_err(ReadError::from)).boxed(),
    )
}

/// Where a new checkpoint goes.
pub struct Target {
    pub store: StoreId,
    pub epoch: u64,
    pub parity: u8,
    pub candidates: Vec<Arc<Drive>>,
}

/// Merges `previous` with `delta` into a new checkpoint, syncs it, and reads it back past the page cache.
pub async fn write(
    target: Target,
    reader: &SegmentReader,
    previous: Option<&CheckpointRef>,
    delta: LogDelta,
    position: Position,
) -> Result<NewCheckpoint, CheckpointError> {
    let failed = |reason: String| CheckpointError::Write(reason);
    let geometry = Geometry::for_extent(target.candidates.len(), target.parity)
        .ok_or_else(|| failed("too few drives are in".into()))?;
    let codec = Codec::new(geometry).map_err(|e| failed(e.to_string()))?;
    let drives = present(choose_drives(&target.candidates, geometry.shards()));
    let new = NewSegment {
        kind: SegmentKind::Checkpoint,
        store: target.store,
        epoch: target.epoch,
        // Never widened: the next one is made anew.
        full_width: None,
    };
    let mut writer = SegmentWriter::create(codec, drives.clone(), new)
        .await
        .map_err(|e| failed(e.to_string()))?;
    writer.begin_body().map_err(|e| failed(e.to_string()))?;
    let mut sink = Sink { writer };
    let previous = previous.map(|reference| open(reader, reference));
    let written = write_merged(previous, delta, position, &mut sink).await?;
    let piece = sink.writer.end_body().await.map_err(|e| failed(e.to_string()))?;
    let staged = sink.writer.finish().await.map_err(|e| failed(e.to_string()))?;
    let reference = CheckpointRef {
        segment: staged.segment().clone(),
        piece,
        position,
        rows: written.rows,
        crc: written.crc,
    };
    forget_cached(&drives, &reference);
    let read_back = open(reader, &reference).verify().await;
    read_back.map_err(|e| failed(format!("it cannot be read back: {e}")))?;
    Ok(NewCheckpoint {
        reference,
        staged,
        written,
    })
}

pub fn present(drives: Vec<Arc<Drive>>) -> Vec<PresentDrive> {
    drives
        .into_iter()
        .map(|drive| PresentDrive { id: drive.id(), drive })
        .collect()
}

/// What is read back must come from the drives, not from memory.
fn forget_cached(drives: &[PresentDrive], reference: &CheckpointRef) {
    for (shard, drive) in (0u8..).zip(drives) {
        if let Ok(Some(file)) = drive
            .drive
            .open_shard(SegmentKind::Checkpoint, reference.segment.id, shard)
        {
            file.drop_cache();
        }
    }
}
