//! What a running store does by itself: checkpoints when they are due, deletion of what is dead, compaction, the sweep of
//! orphans, and refusing bodies when space is short. It follows the decisions of `compact` and changes the store only
//! through the committer and the root; a step that fails is tried again later and never stops the store.

mod freeing;
mod packs;
mod record_checkpoint;

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::checkpoint::Position;
use super::compact::{
    Candidate, DriveSpace, DueFacts, FileSystem, Grounds, Reserve, checkpoint_due, compact, pick, reserves,
};
use super::core::Shared;
use super::id::SegmentId;
use super::log::{Committer, LOG_SEGMENT_BYTES};
use super::supervise::Running;
use super::table::TableSnapshot;

/// How often the store is looked after.
const PERIOD: Duration = Duration::from_secs(10);
/// Least time between two rounds of compaction while space is not short.
const COMPACT_PERIOD: Duration = Duration::from_secs(60);

/// The newest checkpoint, as far as this run made or knows it.
struct Newest {
    table: TableSnapshot,
    position: Position,
    bytes: u64,
}

/// Looks after one run of a store.
pub(super) struct Housekeeper {
    /// Epoch and sequence number of the head record of this start.
    start_epoch: u64,
    head_seq: u64,
    /// Unknown until this run has made a checkpoint: until then nothing is deleted.
    newest: Option<Newest>,
    waiting_since: Option<Instant>,
    made_under_pressure: u32,
    swept: bool,
    compacted: Option<Instant>,
}

/// Starts looking after `running` until it ends.
pub(super) fn tend(running: Arc<Running>) -> Arc<Running> {
    let keeper = Housekeeper::new(&running.shared);
    if let (Some(keeper), true) = (keeper, running.committer.is_some()) {
        tokio::spawn(look_after(keeper, Arc::downgrade(&running)));
    }
    running
}

async fn look_after(mut keeper: Housekeeper, running: Weak<Running>) {
    loop {
        tokio::time::sleep(PERIOD).await;
        // Held only while there is work, so that an ended run lets its drives go.
        let Some(running) = running.upgrade() else { return };
        if running.shared.service.refuses_writes().is_some() {
            return;
        }
        if let Err(error) = keeper.look(&running).await {
            tracing::warn!(%error, "housekeeping did not get through; it is tried again");
        }
    }
}

impl Housekeeper {
    /// `None` if no log segment is open: then nothing can be changed.
    pub(super) fn new(shared: &Shared) -> Option<Self> {
        let start_epoch = shared.keeper.lock().root().open_log()?.epoch;
        Some(Self {
            start_epoch,
            head_seq: start_epoch << 32,
            newest: None,
            waiting_since: None,
            made_under_pressure: 0,
            swept: false,
            compacted: None,
        })
    }

    /// One round: space, checkpoint, deletion, orphans, compaction.
    async fn look(&mut self, running: &Running) -> Result<(), String> {
        let shared = &running.shared;
        let Some(committer) = &running.committer else {
            return Ok(());
        };
        let (pressure, capacity_bytes) = self.judge_space(shared).await?;
        if !pressure {
            self.made_under_pressure = 0;
        }
        let waiting_bytes = waiting_bytes(shared);
        self.waiting_since = (waiting_bytes > 0).then(|| self.waiting_since.unwrap_or_else(Instant::now));
        let facts = DueFacts {
            metadata_bytes: shared.service.metadata_bytes(),
            checkpoint_bytes: self.checkpoint_bytes(shared),
            waiting_bytes,
            waiting_for: self.waiting_since.map(|since| since.elapsed()),
            capacity_bytes,
            pressure,
            made_under_pressure: self.made_under_pressure,
        };
        if let Some(reason) = checkpoint_due(&facts) {
            tracing::debug!(?reason, "a checkpoint is due");
            self.make_checkpoint(shared, committer).await?;
            self.made_under_pressure += u32::from(pressure);
        }
        self.free_dead(shared, committer).await?;
        self.sweep_orphans(shared).await?;
        if pressure || self.compacted.is_none_or(|last| last.elapsed() >= COMPACT_PERIOD) {
            self.compacted = Some(Instant::now());
            self.compact(shared, committer, pressure).await?;
        }
        Ok(())
    }

    fn checkpoint_bytes(&self, shared: &Shared) -> u64 {
        let in_root = || {
            shared
                .keeper
                .lock()
                .root()
                .checkpoints
                .last()
                .map_or(0, |last| last.piece.len)
        };
        self.newest.as_ref().map_or_else(in_root, |newest| newest.bytes)
    }

    /// Whether some file system is below its reserve, and the capacity of all. Tells the service.
    async fn judge_space(&self, shared: &Arc<Shared>) -> Result<(bool, u64), String> {
        let checkpoint_bytes = self.checkpoint_bytes(shared);
        let shared = Arc::clone(shared);
        let look = move || -> Result<(bool, u64), String> {
            let mut capacity = 0;
            let mut drives = Vec::new();
            for drive in shared.present_drives() {
                // A drive that does not answer is the committer's matter.
                let (Ok(space), Ok(facts)) = (drive.space(), drive.mount_facts()) else {
                    continue;
                };
                capacity += space.capacity;
                let holds_index = drive.index_dir().is_dir();
                drives.push(DriveSpace {
                    device: facts.device,
                    free: space.free,
                    holds_index,
                });
            }
            let reserve = Reserve {
                checkpoint_shard_bytes: checkpoint_bytes,
                index_bytes: shared.index.disk_bytes().map_err(|e| e.to_string())?,
                log_segment_bytes: LOG_SEGMENT_BYTES,
            };
            let short = reserves(&drives, &reserve).values().any(FileSystem::is_short);
            shared.service.set_full(short);
            Ok((short, capacity))
        };
        tokio::task::spawn_blocking(look).await.map_err(|e| e.to_string())?
    }

    /// Moves live bodies out of the emptiest segments.
    pub(super) async fn compact(
        &mut self,
        shared: &Arc<Shared>,
        committer: &Committer,
        pressure: bool,
    ) -> Result<(), String> {
        let open = shared.keeper.lock().root().open_log().map(|log| log.segment.id);
        let candidate = |(id, stored, live, kind)| Candidate {
            id,
            kind,
            sealed: Some(id) != open,
            live,
            stored,
        };
        let candidates: Vec<Candidate> = shared.table.stored().into_iter().map(candidate).collect();
        let victims: BTreeSet<SegmentId> = pick(&candidates, pressure).into_iter().collect();
        if victims.is_empty() {
            return Ok(());
        }
        let ground = Arc::new(packs::PackGround {
            shared: Arc::clone(shared),
            committer: committer.clone(),
        });
        let moved = compact(&ground, victims).await.map_err(|e| e.to_string())?;
        tracing::debug!(moved, "live bodies were moved into packs");
        Ok(())
    }
}

/// Bytes of segments that nothing leads into any more and that are still there.
fn waiting_bytes(shared: &Shared) -> u64 {
    let open = shared.keeper.lock().root().open_log().map(|log| log.segment.id);
    let stored = shared.table.stored();
    stored
        .into_iter()
        .filter(|(id, _, live, _)| *live == 0 && Some(*id) != open)
        .map(|(_, stored, ..)| stored.max(1))
        .sum()
}

/// Segments that the root names.
fn rooted(shared: &Shared) -> BTreeSet<SegmentId> {
    let keeper = shared.keeper.lock();
    let root = keeper.root();
    let log = root.log.iter().map(|log| log.segment.id);
    log.chain(root.checkpoints.iter().map(|checkpoint| checkpoint.segment.id))
        .collect()
}

impl Newest {
    fn grounds<'a>(&'a self, rooted: &'a BTreeSet<SegmentId>) -> Grounds<'a> {
        Grounds {
            newest: &self.table,
            rooted,
        }
    }
}

#[cfg(test)]
mod tests;
