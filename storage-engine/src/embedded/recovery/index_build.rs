//! The index of a start: the one of a clean stop if it stands for exactly the state that was found, else a new one from
//! the newest readable checkpoint and the log after it.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::mpsc;

use super::find::OpenError;
use super::replay::{LogEnd, ReplayError, Verdict, replay};
use super::start::OpenOptions;
use crate::embedded::checkpoint::{CheckpointEntry, CheckpointRef, Position};
use crate::embedded::checkpoint_io;
use crate::embedded::core::apply;
use crate::embedded::drive::index_dir::remove_trees_in_background;
use crate::embedded::drive::{Drive, holds_anything, space_at};
use crate::embedded::frame::SHARD_HEADER_BYTES;
use crate::embedded::index::{Index, IndexError, IndexOptions, Marker, Matching};
use crate::embedded::log::LogDrives;
use crate::embedded::record::RowRecord;
use crate::embedded::root::Root;
use crate::embedded::segment::SegmentReader;
use crate::embedded::table::{SegmentTable, TableSnapshot};
#[cfg(test)]
use crate::planted;

/// Rows handed to the index at once.
const ROWS_PER_LOAD: usize = 4096;
/// Pages of a checkpoint that are read ahead of the comparison with an index.
const PAGES_AHEAD: usize = 2;
/// An index that a killed run left is mended up to this many rows and a quarter of all.
const MENDED_ROWS_MIN: u64 = 10_000;

/// An index that holds every committed row, with its counters, and where the log ends.
pub struct Built {
    pub index: Index,
    pub table: SegmentTable,
    pub end: LogEnd,
}

/// Less free space than this, and an index that failed failed for want of it.
const FULL_BELOW_BYTES: u64 = 1 << 20;

fn index_failed(dir: &Path, error: &IndexError) -> OpenError {
    let reason = error.to_string();
    if space_at(dir).is_ok_and(|space| space.free < FULL_BELOW_BYTES) {
        let path = dir.to_owned();
        return OpenError::Full { path, reason };
    }
    OpenError::Index(reason)
}

/// Makes the index, under the first drive that takes it unless the operator named a directory. Nothing else is written.
pub async fn build(
    options: &OpenOptions,
    root: &Root,
    drives: Vec<Arc<Drive>>,
    reader: &SegmentReader,
) -> Result<Built, OpenError> {
    let mut dirs: VecDeque<PathBuf> = match &options.index_dir {
        Some(dir) => VecDeque::from([dir.clone()]),
        None => drives.iter().map(|drive| drive.index_dir()).collect(),
    };
    let drives = Arc::new(LogDrives::new(drives, options.drive.answer_within));
    let mut failed = OpenError::NoDrives;
    while let Some(dir) = dirs.pop_front() {
        match build_in(&dir, root, &drives, reader).await {
            Err(error @ (OpenError::Index(_) | OpenError::Full { .. })) => {
                tracing::warn!(path = %dir.display(), %error, "no index can be made here");
                failed = error;
            }
            built => {
                // Where it stood while this place could not be used.
                dirs.retain(|dir| holds_anything(dir));
                remove_trees_in_background(dirs.into());
                return built;
            }
        }
    }
    Err(failed)
}

async fn build_in(
    dir: &Path,
    root: &Root,
    drives: &Arc<LogDrives>,
    reader: &SegmentReader,
) -> Result<Built, OpenError> {
    if let Some(built) = reuse(dir, root, drives).await? {
        return Ok(built);
    }
    let mut left = open_left(dir).await?;
    let mut reasons = Vec::new();
    for checkpoint in root.checkpoints.iter().rev() {
        if let Some(left) = left.take()
            && let Some(built) = mend(dir, root, checkpoint, drives, reader, left).await?
        {
            return Ok(built);
        }
        match rebuild(dir, root, checkpoint, drives, reader).await {
            Ok(built) => return Ok(built),
            Err(OpenError::Checkpoint(reason)) => {
                tracing::error!(%reason, "a checkpoint cannot be read; the older one is tried");
                reasons.push(reason);
            }
            Err(error) => return Err(error),
        }
    }
    Err(OpenError::Checkpoint(reasons.join("; ")))
}

/// The index of a clean stop: its marker must name this root and this end of the log.
async fn reuse(dir: &Path, root: &Root, drives: &Arc<LogDrives>) -> Result<Option<Built>, OpenError> {
    let Some(open) = root.open_log() else { return Ok(None) };
    let start = Position {
        segment: open.segment.id,
        offset: SHARD_HEADER_BYTES,
        seq: 0,
        epoch: open.epoch,
    };
    let (dir, root, drives) = (dir.to_owned(), root.clone(), Arc::clone(drives));
    let reused = tokio::task::spawn_blocking(move || {
        let end = match replay(&root, &start, &drives, |_, _| Ok(())) {
            Ok(end) => end,
            Err(error) => return Err(OpenError::Log(error.to_string())),
        };
        let log_end = clean_end(&end);
        #[cfg(test)]
        let log_end = log_end.or_else(|| end.committed.filter(|_| planted::is(planted::Bug::IndexTrusted)));
        let Some(log_end) = log_end else {
            return Ok(None);
        };
        let marker = Marker {
            root_epoch: root.epoch,
            root_nonce: root.nonce,
            log_end,
        };
        let opened = Index::open_clean(&dir, &marker, IndexOptions::default());
        let opened = opened.map_err(|e| index_failed(&dir, &e))?;
        Ok(opened.map(|(index, table)| Built {
            index,
            table: SegmentTable::from_snapshot(table),
            end,
        }))
    });
    reused.await.map_err(|e| OpenError::Index(e.to_string()))?
}

/// Where a clean stop leaves the log: behind a last record without operations, whose mark acknowledges all before it.
fn clean_end(end: &LogEnd) -> Option<Position> {
    let committed = end.committed?;
    let offset = match &end.tail {
        Some(tail) if tail.verdict == Verdict::Keep && tail.record.record.ops.is_empty() => {
            tail.record.offset + tail.record.record.len
        }
        Some(_) => return None,
        None => committed.offset,
    };
    Some(Position {
        offset,
        seq: 0,
        ..committed
    })
}

/// What a run left that was killed.
async fn open_left(dir: &Path) -> Result<Option<Index>, OpenError> {
    let path = dir.to_owned();
    let opened = tokio::task::spawn_blocking(move || Index::open_left(&path, IndexOptions::default())).await;
    let opened = opened.map_err(|e| OpenError::Index(e.to_string()))?;
    opened.map_err(|e| index_failed(dir, &e))
}

/// Makes what a killed run left equal to a rebuilt index: each row is compared with the checkpoint's and changed where it
/// differs, then the log is applied as ever. `None`: it is no good, or a rebuild is faster.
async fn mend(
    dir: &Path,
    root: &Root,
    checkpoint: &CheckpointRef,
    drives: &Arc<LogDrives>,
    reader: &SegmentReader,
    left: Index,
) -> Result<Option<Built>, OpenError> {
    tracing::info!(
        rows = checkpoint.rows,
        "comparing the index of a killed run with the checkpoint"
    );
    let left = Arc::new(left);
    let changed_max = checkpoint.rows / 4 + MENDED_ROWS_MIN;
    let table = match match_checkpoint(dir, &left, checkpoint, reader, changed_max).await {
        Ok(Some(table)) => table,
        Ok(None) => {
            tracing::info!("the index of the killed run is too different; it will be rebuilt");
            return Ok(None);
        }
        Err(OpenError::Index(reason)) => {
            tracing::warn!(%reason, "the index of the killed run is no good; it will be rebuilt");
            return Ok(None);
        }
        // The rebuild will say so, too, and try the older one.
        Err(OpenError::Checkpoint(_)) => return Ok(None),
        Err(error) => return Err(error),
    };
    match apply_log(root, checkpoint, drives, left, table).await {
        Err(OpenError::Index(reason)) => {
            tracing::warn!(%reason, "the index of the killed run is no good; it will be rebuilt");
            Ok(None)
        }
        built => built.map(Some),
    }
}

async fn match_checkpoint(
    dir: &Path,
    left: &Arc<Index>,
    checkpoint: &CheckpointRef,
    reader: &SegmentReader,
    changed_max: u64,
) -> Result<Option<TableSnapshot>, OpenError> {
    let index = Arc::clone(left);
    let (table, matched) = hand_over(checkpoint, reader, move |mut pages| {
        let mut matching = Matching::new(&index, changed_max);
        while let Some(rows) = pages.blocking_recv() {
            if !matching.meet(rows.iter().map(|(key, row)| (key.as_slice(), row)))? {
                return Ok(None);
            }
        }
        matching.end()
    })
    .await?;
    // An end of the pages that is not the end of the checkpoint made no index that anybody may use.
    let table = table?;
    match matched.map_err(|e| index_failed(dir, &e))? {
        Some(changed) => {
            tracing::info!(changed, "the index of the killed run is as the checkpoint");
            Ok(table)
        }
        None => Ok(None),
    }
}

async fn rebuild(
    dir: &Path,
    root: &Root,
    checkpoint: &CheckpointRef,
    drives: &Arc<LogDrives>,
    reader: &SegmentReader,
) -> Result<Built, OpenError> {
    tracing::info!(
        rows = checkpoint.rows,
        "rebuilding the index from a checkpoint and the log after it"
    );
    let index = Arc::new(Index::create(dir, IndexOptions::default()).map_err(|e| index_failed(dir, &e))?);
    let filled = Arc::clone(&index);
    let (table, loaded) = hand_over(checkpoint, reader, move |mut pages| {
        while let Some(rows) = pages.blocking_recv() {
            filled.bulk_load(rows.iter().map(|(key, row)| (key.as_slice(), row)))?;
        }
        Ok(())
    })
    .await?;
    loaded.map_err(|e| index_failed(dir, &e))?;
    let table = table?.ok_or_else(|| OpenError::Index("a checkpoint was loaded in part".into()))?;
    apply_log(root, checkpoint, drives, index, table).await
}

/// Applies the log after a checkpoint to an index that is as the checkpoint.
async fn apply_log(
    root: &Root,
    checkpoint: &CheckpointRef,
    drives: &Arc<LogDrives>,
    index: Arc<Index>,
    table: TableSnapshot,
) -> Result<Built, OpenError> {
    let table = Arc::new(SegmentTable::from_snapshot(table));
    root.log.iter().for_each(|log| table.declare(log.segment.clone()));
    let (in_replay, counted) = (Arc::clone(&index), Arc::clone(&table));
    let (root, position, drives) = (root.clone(), checkpoint.position, Arc::clone(drives));
    let replayed = tokio::task::spawn_blocking(move || {
        replay(&root, &position, &drives, |segment, found| {
            let record = &found.record;
            counted.add_body_bytes(segment, record.stripes.iter().map(|len| u64::from(*len)).sum());
            let removed = record.removed.iter().copied();
            apply(&in_replay, &counted, &record.ops, &record.segments, removed).map_err(|e| e.to_string())
        })
    });
    let end = replayed.await.map_err(|e| OpenError::Log(e.to_string()))?;
    let end = end.map_err(|error| match error {
        ReplayError::Apply(reason) => OpenError::Index(reason),
        ReplayError::Damaged { .. } | ReplayError::Unconnected => OpenError::Log(error.to_string()),
    })?;
    let index = Arc::into_inner(index).ok_or_else(|| OpenError::Index("still in use".into()))?;
    let table = Arc::into_inner(table).ok_or_else(|| OpenError::Index("still in use".into()))?;
    Ok(Built { index, table, end })
}

/// Rows of a checkpoint, in ascending order.
type Rows = Vec<(Vec<u8>, RowRecord)>;

/// Hands all rows of a checkpoint to `take`, which may block, and gives its segment table beside what `take` came to.
async fn hand_over<T: Send + 'static>(
    checkpoint: &CheckpointRef,
    reader: &SegmentReader,
    take: impl FnOnce(mpsc::Receiver<Rows>) -> Result<T, IndexError> + Send + 'static,
) -> Result<(Result<Option<TableSnapshot>, OpenError>, Result<T, IndexError>), OpenError> {
    let (pages, to_take) = mpsc::channel(PAGES_AHEAD);
    let taking = tokio::task::spawn_blocking(move || take(to_take));
    let table = read_checkpoint(checkpoint, reader, pages).await;
    let taken = taking.await.map_err(|e| OpenError::Index(e.to_string()))?;
    Ok((table, taken))
}

/// Reads a checkpoint to its end; `None` if nobody takes the rows any more.
async fn read_checkpoint(
    checkpoint: &CheckpointRef,
    reader: &SegmentReader,
    pages: mpsc::Sender<Rows>,
) -> Result<Option<TableSnapshot>, OpenError> {
    let mut entries = checkpoint_io::open(reader, checkpoint);
    let mut table = TableSnapshot::new();
    let mut rows = Rows::with_capacity(ROWS_PER_LOAD);
    while let Some(entry) = entries.next().await.map_err(|e| OpenError::Checkpoint(e.to_string()))? {
        match entry {
            CheckpointEntry::Row { key, row } => rows.push((key.into(), row)),
            CheckpointEntry::Segment(entry) => {
                table.insert(entry.segment.id, entry);
            }
            CheckpointEntry::End(_) => {}
        }
        if rows.len() >= ROWS_PER_LOAD && pages.send(std::mem::take(&mut rows)).await.is_err() {
            return Ok(None);
        }
    }
    Ok(pages.send(rows).await.is_ok().then_some(table))
}
