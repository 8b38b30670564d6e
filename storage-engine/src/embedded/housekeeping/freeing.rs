//! Deleting: first a record notes it, then the files go. What could not be recorded stays.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::oneshot;

use super::{Housekeeper, rooted};
use crate::backend::CommitError;
use crate::embedded::compact::{Known, Shard, is_dead, is_orphan, lies_past};
use crate::embedded::core::Shared;
use crate::embedded::drive::Drive;
use crate::embedded::frame::{SHARD_HEADER_BYTES, ShardHeader};
use crate::embedded::id::SegmentId;
use crate::embedded::log::{Committer, Queued};
use crate::embedded::segment::Segment;

/// Segments whose removal one record notes.
const REMOVED_MAX: usize = 4096;

/// Removes a segment's shard files wherever they are, in the background. What a crash leaves, the sweep of the next run
/// finds.
pub(super) fn remove_files(shared: &Shared, segment: &Segment) {
    let shards = u8::try_from(segment.geometry.shards()).unwrap_or(u8::MAX);
    for drive in shared.present_drives() {
        for shard in (0..shards).filter(|shard| drive.holds_shard(segment.kind, segment.id, *shard)) {
            drive.remove_shard_later(segment.kind, segment.id, shard);
        }
    }
}

impl Housekeeper {
    /// Deletes segments that the newest checkpoint of this run and the counters call dead.
    pub(in crate::embedded) async fn free_dead(
        &mut self,
        shared: &Arc<Shared>,
        committer: &Committer,
    ) -> Result<(), String> {
        let Some(newest) = &self.newest else { return Ok(()) };
        let rooted = rooted(shared);
        let grounds = newest.grounds(&rooted);
        let dead = |id: &SegmentId| is_dead(*id, &grounds, shared.table.live(*id), shared.table.pins(*id));
        let dead: Vec<SegmentId> = newest.table.keys().copied().filter(dead).take(REMOVED_MAX).collect();
        let condemned = shared.table.condemn(dead);
        if condemned.is_empty() {
            return Ok(());
        }
        let segments: Vec<Segment> = condemned.iter().filter_map(|id| shared.table.segment(*id)).collect();
        match record_removal(shared, committer, condemned.clone()).await {
            Ok(()) => {
                tracing::debug!(segments = segments.len(), "dead segments are removed");
                segments.iter().for_each(|segment| remove_files(shared, segment));
                Ok(())
            }
            // The next start decides.
            Err(error @ CommitError::Unknown(_)) => Err(error.to_string()),
            Err(error) => {
                shared.table.pardon(&condemned);
                Err(error.to_string())
            }
        }
    }

    /// Removes, once per run, the shard files of earlier runs that nothing names.
    pub(in crate::embedded) async fn sweep_orphans(&mut self, shared: &Arc<Shared>) -> Result<(), String> {
        let (start_epoch, head_seq) = (self.start_epoch, self.head_seq);
        let Some(newest) = self
            .newest
            .as_ref()
            .filter(|newest| lies_past(&newest.position, head_seq))
        else {
            return Ok(());
        };
        if std::mem::replace(&mut self.swept, true) {
            return Ok(());
        }
        let (shared, table, newest_position) = (Arc::clone(shared), newest.table.clone(), newest.position);
        let sweep = move || {
            let rooted = rooted(&shared);
            let current: BTreeSet<SegmentId> = shared.table.snapshot().into_keys().collect();
            let grounds = crate::embedded::compact::Grounds {
                newest: &table,
                rooted: &rooted,
            };
            let known = Known {
                grounds,
                newest_position,
                current: &current,
                start_epoch,
                head_seq,
            };
            for drive in shared.present_drives() {
                if let Err(error) = sweep_drive(&drive, &known) {
                    tracing::warn!(path = %drive.path().display(), %error, "a drive could not be swept");
                }
            }
        };
        tokio::task::spawn_blocking(sweep).await.map_err(|e| e.to_string())
    }
}

/// A record without changes of rows that notes the removal.
async fn record_removal(
    shared: &Arc<Shared>,
    committer: &Committer,
    removed: Vec<SegmentId>,
) -> Result<(), CommitError> {
    let (reply, answer) = oneshot::channel();
    let locks = shared.locks.lock(&[], &[]).await;
    committer.queue(Queued {
        ops: Vec::new(),
        staged: Vec::new(),
        pins: Vec::new(),
        removed,
        locks,
        reply,
    });
    let ended = |_| Err(CommitError::Unknown("the committer ended".into()));
    answer.await.unwrap_or_else(ended).map(drop)
}

fn sweep_drive(drive: &Arc<Drive>, known: &Known<'_>) -> std::io::Result<()> {
    for listed in drive.list_shards()? {
        let id = listed.segment;
        if known.current.contains(&id) || known.grounds.rooted.contains(&id) || known.grounds.newest.contains_key(&id) {
            continue;
        }
        let header = read_header(drive, &listed);
        let kind = header.as_ref().map_or(listed.kind_hint, |header| header.kind);
        let shard = Shard {
            segment: id,
            kind,
            created_epoch: header.map(|header| header.created_epoch),
        };
        if is_orphan(&shard, known) {
            tracing::info!(segment = %id, shard = listed.shard, path = %drive.path().display(), "an orphan is removed");
            drive.remove_shard_later(kind, id, listed.shard);
        }
    }
    Ok(())
}

fn read_header(drive: &Drive, listed: &crate::embedded::drive::ShardListing) -> Option<ShardHeader> {
    let file = drive
        .open_shard(listed.kind_hint, listed.segment, listed.shard)
        .ok()??;
    let bytes = file.read_at(0, usize::try_from(SHARD_HEADER_BYTES).ok()?).ok()?;
    ShardHeader::decode(listed.segment, listed.shard, &bytes).ok()
}
