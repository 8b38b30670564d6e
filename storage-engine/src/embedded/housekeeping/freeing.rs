//! Deleting: first a record notes it, then the files go. What could not be recorded stays.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::{Housekeeper, rooted};
use crate::backend::CommitError;
use crate::embedded::checkpoint::Position;
use crate::embedded::compact::{Grounds, Known, Shard, is_dead, is_orphan, lies_past};
use crate::embedded::core::Shared;
use crate::embedded::drive::{Drive, Lane};
use crate::embedded::frame::{SHARD_HEADER_BYTES, ShardHeader};
use crate::embedded::id::SegmentId;
use crate::embedded::log::{Committer, Queued};
use crate::embedded::segment::Segment;
use crate::embedded::table::TableSnapshot;

/// How long the sweep of a drive is waited for.
const SWEEP_WITHIN: Duration = Duration::from_secs(120);
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
        let current = shared.table.snapshot().into_keys().collect();
        let moment = Arc::new(Moment {
            newest: newest.table.clone(),
            newest_position: newest.position,
            rooted: rooted(shared),
            current,
            start_epoch,
            head_seq,
        });
        let sweeps = shared
            .present_drives()
            .map(|drive| sweep_in_time(drive, Arc::clone(&moment)));
        // One that could not be swept is swept with the next checkpoint.
        self.swept = join_all(sweeps).await.into_iter().all(|swept| swept);
        Ok(())
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

/// What is known at the moment a sweep begins. It stays true of what earlier runs left.
struct Moment {
    newest: TableSnapshot,
    newest_position: Position,
    rooted: BTreeSet<SegmentId>,
    current: BTreeSet<SegmentId>,
    start_epoch: u64,
    head_seq: u64,
}

impl Moment {
    fn known(&self) -> Known<'_> {
        Known {
            grounds: Grounds {
                newest: &self.newest,
                rooted: &self.rooted,
            },
            newest_position: self.newest_position,
            current: &self.current,
            start_epoch: self.start_epoch,
            head_seq: self.head_seq,
        }
    }
}

/// Sweeps a drive on a thread of its own; one that hangs holds nobody up. Says whether it was swept.
async fn sweep_in_time(drive: Arc<Drive>, moment: Arc<Moment>) -> bool {
    let swept = Arc::clone(&drive);
    let sweep = drive.run(Lane::Bulk, move || sweep_drive(&swept, &moment.known()));
    let late = |_| Err(std::io::Error::from(std::io::ErrorKind::TimedOut));
    let outcome = timeout(SWEEP_WITHIN, sweep).await.unwrap_or_else(late);
    if let Err(error) = &outcome {
        tracing::warn!(path = %drive.path().display(), %error, "a drive could not be swept");
    }
    outcome.is_ok()
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
