//! Making the next checkpoint of a running store: where the committer stands, the log since the last one, merge, root.

use std::sync::Arc;
use std::time::Duration;

use super::{Housekeeper, Newest};
use crate::backend::ServiceState;
use crate::embedded::checkpoint::{CheckpointError, CheckpointRef, LogDelta, Position, differences};
use crate::embedded::checkpoint_io::{self, NewCheckpoint, Target};
use crate::embedded::core::Shared;
use crate::embedded::id::SegmentId;
use crate::embedded::log::{Committer, LogDrives};
use crate::embedded::recovery::replay;
use crate::embedded::root::{Root, RootError};
use crate::embedded::segment::Segment;
use crate::embedded::table::TableSnapshot;
#[cfg(test)]
use crate::{embedded::checkpoint::CheckpointEntry, planted};

/// How long the log of a drive is waited for; the others have it too.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// Checkpoints that are kept.
const KEPT: usize = 2;

impl Housekeeper {
    /// Writes, verifies and names a checkpoint of everything that is applied now.
    pub(in crate::embedded) async fn make_checkpoint(
        &mut self,
        shared: &Arc<Shared>,
        committer: &Committer,
    ) -> Result<(), String> {
        let metadata_bytes = shared.service.metadata_bytes();
        let Some(report) = committer.position().await else {
            return Ok(());
        };
        // The root after the position: it names the segment the position lies in.
        let root = shared.keeper.lock().root().clone();
        let (made, unreadable) = merge_from_newest_readable(shared, &root, report.position).await?;
        let (reference, in_root) = (made.reference.clone(), Arc::clone(shared));
        let named = tokio::task::spawn_blocking(move || {
            let mut dropped = Vec::new();
            let changed = in_root.change_root(|root| {
                dropped = take_out(root, &unreadable);
                root.checkpoints.push(reference);
                dropped.extend(trim(root));
            });
            changed.map(|()| dropped)
        });
        let dropped = match named.await.map_err(|e| e.to_string())? {
            Ok(dropped) => dropped,
            Err(error @ RootError::NoMajority { .. }) => return Err(error.to_string()),
            Err(error @ RootError::Unknown(_)) => {
                // It may be named: its files stay, and a start finds out.
                made.staged.keep();
                shared.service.fall_back(ServiceState::ReadOnly(error.to_string()));
                return Err(error.to_string());
            }
        };
        made.staged.keep();
        dropped
            .iter()
            .for_each(|segment| super::freeing::remove_files(shared, segment));
        shared.service.metadata_checkpointed(metadata_bytes);
        shared.service.checkpoint_made();
        // What healing had to leave to it is done.
        shared.service.damage.bell.notify_one();
        self.waiting_since = None;
        let written = made.written;
        compare(shared, &written.table, &report.table);
        tracing::info!(rows = written.rows, bytes = written.bytes, "a checkpoint was made");
        self.newest = Some(Newest {
            table: written.table,
            position: report.position,
            bytes: written.bytes,
        });
        Ok(())
    }
}

/// A new checkpoint out of the newest one that can be read and the log after it; also those that could not be read.
/// They are not needed any more: the new one is made from what an older one and a longer stretch of the log say.
async fn merge_from_newest_readable(
    shared: &Arc<Shared>,
    root: &Root,
    to: Position,
) -> Result<(NewCheckpoint, Vec<SegmentId>), String> {
    let mut unreadable = Vec::new();
    let mut reason = "the root names no checkpoint".to_owned();
    for previous in root.checkpoints.iter().rev() {
        let delta = read_delta(shared, root.clone(), previous.position, to).await?;
        #[cfg(test)]
        let delta = match planted::is(planted::Bug::CheckpointFromIndex) {
            true => as_the_index_has_it(shared, previous, delta).await?,
            false => delta,
        };
        let (parity, epoch, candidates) = shared.extent_candidates();
        let target = Target {
            store: shared.store,
            epoch,
            parity,
            candidates,
        };
        match checkpoint_io::write(target, &shared.reader, Some(previous), delta, to).await {
            Ok(made) => return Ok((made, unreadable)),
            Err(error @ (CheckpointError::Read(_) | CheckpointError::Decode(_) | CheckpointError::Other(_))) => {
                tracing::error!(%error, "a checkpoint cannot be read; the next one is made from the older");
                unreadable.push(previous.segment.id);
                reason = error.to_string();
            }
            Err(error @ (CheckpointError::Merge(_) | CheckpointError::Write(_))) => return Err(error.to_string()),
        }
    }
    Err(reason)
}

/// The planted bug: what the index does not have is not in the checkpoint.
#[cfg(test)]
async fn as_the_index_has_it(
    shared: &Shared,
    previous: &CheckpointRef,
    mut delta: LogDelta,
) -> Result<LogDelta, String> {
    let mut keys: Vec<Vec<u8>> = delta.rows().cloned().collect();
    let mut entries = checkpoint_io::open(&shared.reader, previous);
    while let Some(entry) = entries.next().await.map_err(|e| e.to_string())? {
        if let CheckpointEntry::Row { key, .. } = entry {
            keys.push(key.into());
        }
    }
    for key in keys {
        if shared.index.get(&key).map_err(|e| e.to_string())?.is_none() {
            delta.lose(key);
        }
    }
    Ok(delta)
}

/// Takes checkpoints out of the root and gives their segments.
fn take_out(root: &mut Root, ids: &[SegmentId]) -> Vec<Segment> {
    let (out, kept) = root
        .checkpoints
        .drain(..)
        .partition(|kept| ids.contains(&kept.segment.id));
    root.checkpoints = kept;
    let out: Vec<CheckpointRef> = out;
    out.into_iter().map(|checkpoint| checkpoint.segment).collect()
}

/// Keeps the last checkpoints and the log since the older of them. Gives the checkpoints that are dropped.
fn trim(root: &mut Root) -> Vec<Segment> {
    let drop_to = root.checkpoints.len().saturating_sub(KEPT);
    let dropped = root
        .checkpoints
        .drain(..drop_to)
        .map(|checkpoint| checkpoint.segment)
        .collect();
    let older = root.checkpoints.first().map(|checkpoint| checkpoint.position.segment);
    if let Some(first) = root.log.iter().position(|log| Some(log.segment.id) == older) {
        root.log.drain(..first);
    }
    dropped
}

/// Counters that disagree with a count from nothing were led by an index that cannot be trusted.
fn compare(shared: &Shared, recounted: &TableSnapshot, counted: &TableSnapshot) {
    let wrong: Vec<_> = differences(recounted, counted)
        .into_iter()
        .filter(|difference| difference.recounted.unwrap_or(0) != difference.counted.unwrap_or(0))
        .collect();
    for difference in &wrong {
        tracing::error!(?difference, "live bytes were counted wrong");
    }
    if !wrong.is_empty() {
        let reason = "the index does not agree with the checkpoint and is rebuilt".to_owned();
        shared.service.fall_back(ServiceState::ReadOnly(reason));
    }
}

/// The log between the previous checkpoint and `to`. What is being written behind `to` is not looked at.
pub(in crate::embedded) async fn read_delta(
    shared: &Arc<Shared>,
    mut root: Root,
    from: Position,
    to: Position,
) -> Result<LogDelta, String> {
    let last = root.log.iter().position(|log| log.segment.id == to.segment);
    let last = last.ok_or("the root does not name the open log segment")?;
    root.log.truncate(last + 1);
    if let Some(open) = root.log.last_mut() {
        open.valid_len = Some(to.offset);
    }
    let drives = Arc::new(LogDrives::new(shared.present_drives().collect(), ANSWER_WITHIN));
    let read = move || -> Result<LogDelta, String> {
        let mut delta = LogDelta::default();
        root.log.iter().for_each(|log| delta.declare(log.segment.clone()));
        let absorbed = replay(&root, &from, &drives, |segment, found| {
            delta.absorb(segment, found.record.clone());
            Ok(())
        });
        absorbed.map_err(|e| e.to_string())?;
        Ok(delta)
    };
    tokio::task::spawn_blocking(read).await.map_err(|e| e.to_string())?
}
