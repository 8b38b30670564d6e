//! Deleting: first a record notes it, then the files go. What could not be recorded stays.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::{Housekeeper, Newest, rooted};
use crate::backend::CommitError;
use crate::embedded::checkpoint::Position;
use crate::embedded::compact::{Grounds, Known, Shard, is_dead, is_orphan, lies_past};
use crate::embedded::core::{ShardOnDrive, Shared};
use crate::embedded::drive::{Drive, Lane};
use crate::embedded::frame::{SHARD_HEADER_BYTES, ShardHeader};
use crate::embedded::id::{DriveId, SegmentId};
use crate::embedded::log::{Committer, Queued};
use crate::embedded::segment::{Segment, SegmentKind};
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

    /// Removes, once per run, the shard files of earlier runs that nothing names; once more after the next checkpoint what
    /// only the newest one still knows. A drive that is back has files of segments that were removed without it.
    pub(in crate::embedded) async fn sweep_orphans(&mut self, shared: &Arc<Shared>) -> Result<(), String> {
        let (start_epoch, head_seq) = (self.start_epoch, self.head_seq);
        let Some(newest) = self
            .newest
            .as_ref()
            .filter(|newest| lies_past(&newest.position, head_seq))
        else {
            return Ok(());
        };
        let position = newest.position;
        if self.left_until_past.is_some_and(|left_at| left_at != position) {
            (self.swept, self.left_until_past) = (false, None);
        }
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
        let all = join_all(sweeps).await.into_iter().all(|all| all);
        self.left_until_past = (!all).then_some(position);
        Ok(())
    }
}

impl Housekeeper {
    /// Removes what drives had with them when they came back in this run, if nothing names it and nothing will: whoever
    /// made it had the drive as it was before, and nobody has that any more. Bodies that went on without a drive leave
    /// such files there.
    pub(in crate::embedded) async fn sweep_brought(&self, shared: &Arc<Shared>, committer: &Committer) {
        let is_past = |newest: &Newest| lies_past(&newest.position, self.head_seq);
        let Some(newest) = self.newest.as_ref().filter(|newest| is_past(newest)) else {
            return;
        };
        let brought: Vec<(DriveId, Vec<ShardOnDrive>)> = {
            let mut brought = shared.brought.lock();
            brought.retain(|id, files| !files.is_empty() && shared.drives.get(id).is_some());
            let ended = brought.iter().filter(|(id, _)| shared.drives.former_are_gone(**id));
            ended.map(|(id, files)| (*id, files.clone())).collect()
        };
        if brought.is_empty() {
            return;
        }
        // What had ended by now is in the table, or in the root, once the committer has come to this.
        if committer.position().await.is_none() || shared.service.refuses_writes().is_some() {
            return;
        }
        let rooted = rooted(shared);
        for (id, files) in brought {
            let Some(drive) = shared.drives.get(&id) else { continue };
            let is_named = |segment: &SegmentId| rooted.contains(segment) || shared.table.live(*segment).is_some();
            // What the newest checkpoint still knows waits: a start may go on from it.
            let (waits, ended): (Vec<_>, Vec<_>) = files
                .into_iter()
                .partition(|(segment, ..)| !is_named(segment) && newest.table.contains_key(segment));
            for (segment, shard, hint) in ended.into_iter().filter(|(segment, ..)| !is_named(segment)) {
                let on = Arc::clone(&drive);
                let read = drive.run(Lane::Read, move || Ok(read_header(&on, segment, shard, hint)));
                if let Some(header) = read.await.ok().flatten() {
                    tracing::info!(%segment, shard, path = %drive.path().display(), "what a body left that went on elsewhere is removed");
                    drive.remove_shard_later(header.kind, segment, shard);
                }
            }
            if let Some(files) = shared.brought.lock().get_mut(&id) {
                *files = waits;
            }
        }
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

/// Sweeps a drive, for a limited time: one that hangs holds nobody up. `false` if something is left for the next
/// checkpoint.
async fn sweep_in_time(drive: Arc<Drive>, moment: Arc<Moment>) -> bool {
    let swept = timeout(SWEEP_WITHIN, sweep_drive(&drive, &moment.known())).await;
    if swept.is_err() {
        tracing::warn!(path = %drive.path().display(), "a drive could not be swept in time; the next start does it");
    }
    swept.unwrap_or(true)
}

/// Each header is read in a job of its own: a long one would look like a drive that hangs. `false` if there is something
/// that only the newest checkpoint still knows.
async fn sweep_drive(drive: &Arc<Drive>, known: &Known<'_>) -> bool {
    let mut all = true;
    for (id, shard, kind_hint) in drive.known_shards() {
        let removed_since = known.grounds.newest.contains_key(&id) && !known.current.contains(&id);
        if removed_since && !known.grounds.rooted.contains(&id) && !drive.is_leaving(id, shard) {
            all = false;
        }
        if known.current.contains(&id) || known.grounds.rooted.contains(&id) || known.grounds.newest.contains_key(&id) {
            continue;
        }
        let on = Arc::clone(drive);
        let read = drive.run(Lane::Read, move || Ok(read_header(&on, id, shard, kind_hint)));
        let header = read.await.ok().flatten();
        let kind = header.as_ref().map_or(kind_hint, |header| header.kind);
        let found = Shard {
            segment: id,
            kind,
            created_epoch: header.map(|header| header.created_epoch),
        };
        if is_orphan(&found, known) {
            tracing::info!(segment = %id, shard, path = %drive.path().display(), "an orphan is removed");
            drive.remove_shard_later(kind, id, shard);
        }
    }
    all
}

fn read_header(drive: &Drive, segment: SegmentId, shard: u8, kind: SegmentKind) -> Option<ShardHeader> {
    let file = drive.open_shard(kind, segment, shard).ok()??;
    let bytes = file.read_at(0, usize::try_from(SHARD_HEADER_BYTES).ok()?).ok()?;
    ShardHeader::decode(segment, shard, &bytes).ok()
}
