//! What a running store does by itself: checkpoints when they are due, deletion of what is dead, compaction, the sweep of
//! orphans, and refusing bodies when space is short. It follows the decisions of `compact` and changes the store only
//! through the committer and the root; a step that fails is tried again later and never stops the store.

mod absence;
#[cfg(test)]
mod by_hand;
mod freeing;
pub(in crate::embedded) mod packs;
mod record_checkpoint;
mod room;

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

#[cfg(test)]
pub(crate) use self::by_hand::ByHand;
pub(super) use self::record_checkpoint::read_delta;
pub(super) use self::room::NoRoom;
use super::checkpoint::Position;
use super::checkpoint_io::present;
use super::compact::{Candidate, DueFacts, Grounds, Stubborn, checkpoint_due, compact, pick};
use super::core::Shared;
use super::id::SegmentId;
use super::log::Committer;
use super::supervise::Running;
use super::table::{Lease, TableSnapshot, spare};

/// How often the store is looked after.
const PERIOD: Duration = Duration::from_secs(10);
/// How long a round waits for the file systems to tell their space.
const LOOK_WITHIN: Duration = Duration::from_secs(30);
/// So much must be dead in the open log segment to be worth a new one when space is short.
const DEAD_IN_OPEN_BYTES: u64 = 1 << 20;
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
    /// Bytes that still waited to be freed at the end of the last round.
    left_waiting: u64,
    swept: bool,
    /// Files are left that the checkpoint at this position still knows, and nothing else does.
    left_until_past: Option<Position>,
    compacted: Option<Instant>,
    /// Segments that compaction could not empty lately.
    stubborn: Stubborn,
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
    let bell = running
        .upgrade()
        .map(|running| Arc::clone(&running.shared.service.tend_now));
    let Some(bell) = bell else { return };
    loop {
        let _ = tokio::time::timeout(PERIOD, bell.notified()).await;
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
            left_waiting: 0,
            swept: false,
            left_until_past: None,
            compacted: None,
            stubborn: Stubborn::default(),
        })
    }

    /// One round: absent drives, space, checkpoint, deletion, orphans, compaction.
    async fn look(&mut self, running: &Running) -> Result<(), String> {
        let shared = &running.shared;
        let Some(committer) = &running.committer else {
            return Ok(());
        };
        for absent in shared.absent_drives().await {
            committer.lose(absent);
        }
        let judged = shared.look_at_space(LOOK_WITHIN, None).await?;
        let pressure = judged.short || shared.service.take_refused();
        if pressure && dead_in_open(shared) >= DEAD_IN_OPEN_BYTES {
            committer.roll().await;
        }
        let waiting_bytes = waiting(shared);
        if !pressure || waiting_bytes > self.left_waiting {
            // Two checkpoints free what waited when the first was made; what died since then needs two more.
            self.made_under_pressure = 0;
        }
        self.waiting_since = (waiting_bytes > 0).then(|| self.waiting_since.unwrap_or_else(Instant::now));
        let facts = DueFacts {
            metadata_bytes: shared.service.metadata_bytes(),
            checkpoint_bytes: self.checkpoint_bytes(shared),
            waiting_bytes,
            waiting_for: self.waiting_since.map(|since| since.elapsed()),
            capacity_bytes: judged.capacity,
            thin: is_thin(shared) || shared.service.checkpoint_wanted(),
            pressure,
            made_under_pressure: self.made_under_pressure,
        };
        if let Some(reason) = checkpoint_due(&facts) {
            tracing::debug!(?reason, "a checkpoint is due");
            self.make_checkpoint(shared, committer).await?;
            self.made_under_pressure += u32::from(pressure);
        }
        self.free_dead(shared, committer).await?;
        self.swept &= !shared.service.take_sweep_wanted();
        self.left_waiting = waiting(shared);
        self.sweep_orphans(shared).await?;
        self.sweep_brought(shared, committer).await;
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

    /// Moves live bodies out of the emptiest segments.
    pub(super) async fn compact(
        &mut self,
        shared: &Arc<Shared>,
        committer: &Committer,
        pressure: bool,
    ) -> Result<(), String> {
        let open = open_log(shared);
        let candidate = |(id, stored, live, kind)| Candidate {
            id,
            kind,
            sealed: Some(id) != open,
            live,
            stored,
        };
        let now = Instant::now();
        let stored = shared.table.stored().into_iter();
        let stored = stored.filter(|(id, ..)| !self.stubborn.holds(*id, now));
        let candidates: Vec<Candidate> = stored.map(candidate).collect();
        // A segment that another job works on waits for the next round.
        let lease = |id: SegmentId| Some((id, shared.table.lease(id)?.1));
        let leased: Vec<(SegmentId, Lease)> = pick(&candidates, pressure).into_iter().filter_map(lease).collect();
        let victims: BTreeSet<SegmentId> = leased.iter().map(|(id, _)| *id).collect();
        if victims.is_empty() {
            return Ok(());
        }
        let ground = Arc::new(packs::PackGround {
            shared: Arc::clone(shared),
            committer: committer.clone(),
        });
        let moved = compact(&ground, victims.clone()).await.map_err(|e| e.to_string())?;
        let live = |id: SegmentId| shared.table.live(id).unwrap_or(0);
        self.stubborn.note(victims, live, Instant::now());
        drop(leased);
        tracing::debug!(moved, "live bodies were moved into packs");
        Ok(())
    }
}

/// The log segment that is being written.
fn open_log(shared: &Shared) -> Option<SegmentId> {
    shared.keeper.lock().root().open_log().map(|log| log.segment.id)
}

/// Bytes of segments that nothing leads into any more and that are still there.
fn waiting(shared: &Shared) -> u64 {
    let open = open_log(shared);
    let stored = shared.table.stored();
    stored
        .into_iter()
        .filter(|(id, _, live, _)| *live == 0 && Some(*id) != open)
        .map(|(_, stored, ..)| stored.max(1))
        .sum()
}

/// Whether the newest checkpoint bears fewer losses of drives than one made now would.
fn is_thin(shared: &Shared) -> bool {
    let newest = shared.keeper.lock().root().checkpoints.last().cloned();
    let (parity, _, drives) = shared.extent_candidates();
    let parity = usize::from(parity);
    let drives = present(drives);
    let bad = |segment, shard, drive| shared.service.heal.is_bad(segment, shard, drive);
    newest.is_some_and(|newest| drives.len() > parity && spare(&newest.segment, &drives, bad) < parity)
}

/// Bytes of bodies in the open log segment that nothing leads into any more.
fn dead_in_open(shared: &Shared) -> u64 {
    let open = open_log(shared);
    let stored = shared.table.stored();
    let dead = stored.into_iter().filter(|(id, ..)| Some(*id) == open);
    dead.map(|(_, stored, live, _)| stored.saturating_sub(live)).sum()
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
