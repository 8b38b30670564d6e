//! Healing: what the store needs is looked through, and shards that are missing or bad are made anew from the others, the
//! segments with the fewest left first. What is to be done is found by looking, so a restart goes on where it stopped.
//! It changes nothing that stands: new files take their places whole, and the table changes by a record of the log.

mod census;
mod check;
pub(in crate::embedded) mod moving;
mod pace;
mod plan;
mod rebuild;
mod scrub;
mod status;
mod stream;
mod survey;
#[cfg(test)]
mod tests;
mod verify;
mod walk;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt;
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

pub use self::moving::{Drain, MovingBoard, MovingStatus, Rebalance, Widening};
pub use self::pace::HealOptions;
pub use self::scrub::Pass;
pub use self::status::{Census, CensusDepth, DriveHealing, DriveScrub, HealBoard, HealState, HealStatus};

use self::pace::Pace;
use self::rebuild::{Ground, Rebuild, RebuildError, rebuild};
pub(in crate::embedded) use self::scrub::keep_doubt;
use self::status::Left;
use self::survey::{Needed, Survey};
use self::verify::Verified;
use super::core::Shared;
use super::drive::Lane;
use super::id::{DriveId, SegmentId};
use super::log::{Committer, Fault, Queued};
use super::segment::{PresentDrive, Segment, StagedSegment};
use super::supervise::until;
use super::table::Lease;
use crate::backend::CommitError;

/// How long after a start healing begins.
const BEGIN_AFTER: Duration = Duration::from_secs(1);
/// How soon what could not be healed is tried again.
const AGAIN_AFTER: Duration = Duration::from_secs(15);
/// Least and most time between two rounds, in which as long as the last one took: readers who meet again and again what
/// cannot be mended ring for one each time.
const REST: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(60));
/// How often passes over the drives go on.
const VERIFY_EVERY: Duration = Duration::from_secs(300);
/// Segments whose drives one record notes.
const MOVED_MAX: usize = 64;

/// Heals one run of a store.
pub(super) struct Healer {
    shared: Arc<Shared>,
    committer: Committer,
    options: HealOptions,
    pace: Pace,
    /// Epoch of this start's log segment: older files belong to earlier runs.
    start_epoch: u64,
    /// Drives on which unfinished files of earlier runs were removed.
    tidied: BTreeSet<DriveId>,
    /// Segments that are on other drives than the table says, and the right to say so.
    moved: Vec<(Segment, Lease)>,
    asked_to_sweep: bool,
    /// How far the files of each drive are verified.
    passes: BTreeMap<DriveId, Pass>,
}

/// Heals until `stop` says so, or whoever has it is gone.
pub(super) fn heal(shared: Arc<Shared>, committer: Committer, options: HealOptions, stop: watch::Receiver<bool>) {
    let Some(healer) = Healer::new(shared, committer, options) else {
        return;
    };
    tokio::spawn(until(stop, healer.run()));
}

/// Counts the whole store, as often as it is asked.
pub(super) async fn take_census(
    shared: &Arc<Shared>,
    depth: CensusDepth,
    options: HealOptions,
) -> Result<Census, String> {
    let start_epoch = start_epoch(shared).ok_or("the store is read-only")?;
    Ok(census::count(shared, depth, start_epoch, &Pace::new(options)).await)
}

fn start_epoch(shared: &Shared) -> Option<u64> {
    shared.service.start_epoch()
}

impl Healer {
    /// `None` if nothing can be changed.
    pub(super) fn new(shared: Arc<Shared>, committer: Committer, options: HealOptions) -> Option<Self> {
        let start_epoch = start_epoch(&shared)?;
        Some(Self {
            shared,
            committer,
            options,
            pace: Pace::new(options),
            start_epoch,
            tidied: BTreeSet::new(),
            moved: Vec::new(),
            asked_to_sweep: false,
            passes: BTreeMap::new(),
        })
    }

    async fn run(mut self) {
        tokio::time::sleep(BEGIN_AFTER).await;
        let (mut again, mut counted, mut rest) = (true, Instant::now(), Duration::ZERO);
        // Nothing changes by itself while a drive is away for days.
        let mut patience = AGAIN_AFTER;
        loop {
            if self.shared.service.refuses_writes().is_some() {
                return;
            }
            let mut waits = false;
            if again || counted.elapsed() >= self.options.census_every {
                tokio::time::sleep(rest.saturating_sub(counted.elapsed())).await;
                let began = Instant::now();
                waits = !self.round().await;
                counted = Instant::now();
                rest = began.elapsed().clamp(REST.0, REST.1);
            }
            self.pace.restart();
            let verified = self.verify_drives().await;
            match verified {
                Verified::Found => {
                    again = true;
                    continue;
                }
                Verified::More => {
                    again = self.shared.service.damage.bell.notified().now_or_never().is_some();
                    continue;
                }
                Verified::Enough | Verified::Unanswered => {}
            }
            let pause = match (waits, verified) {
                (true, _) => patience,
                (false, Verified::Unanswered) => AGAIN_AFTER,
                (false, _) => VERIFY_EVERY,
            };
            let rung = timeout(pause, self.shared.service.damage.bell.notified()).await.is_ok();
            patience = match waits && !rung {
                true => (patience * 2).min(self.options.census_every.max(AGAIN_AFTER)),
                false => AGAIN_AFTER,
            };
            again = rung || waits;
        }
    }

    /// Verifies what reads found, makes anew what is missing, and counts. Says whether nothing is left to be done.
    pub(super) async fn round(&mut self) -> bool {
        self.pace.restart();
        self.forget_absent();
        self.tidy().await;
        self.look_at_suspects().await;
        let mut work = self.plan();
        work.sort_by_key(|(spare, id)| (*spare, *id));
        for (_, id) in work {
            if let Err(reason) = self.heal_segment(id).await {
                tracing::warn!(segment = %id, %reason, "a segment could not be healed; it is tried again");
                self.shared.service.heal.reason(format!("segment {id}: {reason}"));
            }
            if self.moved.len() >= MOVED_MAX {
                self.tell_moved().await;
            }
        }
        self.tell_moved().await;
        let census = census::count(&self.shared, CensusDepth::Files, self.start_epoch, &self.pace).await;
        let clean = census.is_clean();
        if census.orphans > 0 && !std::mem::replace(&mut self.asked_to_sweep, true) {
            // Only a checkpoint of this run can tell that nothing names them.
            self.shared.service.want_checkpoint();
        }
        self.shared.count_losses_anew();
        if census.could_be_wider > 0 {
            self.shared.service.moving.wake();
        }
        self.shared.service.heal.end(census);
        clean
    }

    /// Removes files that an earlier run began and did not finish.
    async fn tidy(&mut self) {
        for on in self.shared.drives.present() {
            if !self.tidied.insert(on.id) {
                continue;
            }
            let drive = Arc::clone(&on.drive);
            match on.drive.run(Lane::Bulk, move || drive.discard_unfinished()).await {
                Ok(0) => {}
                Ok(files) => tracing::info!(path = %on.drive.path().display(), files, "unfinished shard files removed"),
                Err(error) => {
                    self.tidied.remove(&on.id);
                    tracing::warn!(path = %on.drive.path().display(), %error, "unfinished shard files are left");
                }
            }
        }
    }

    /// The segments about which something can be done, with what they can spare.
    fn plan(&self) -> Vec<(i32, SegmentId)> {
        let survey = Survey::of(&self.shared);
        let mut left: BTreeMap<DriveId, Left> = BTreeMap::new();
        let (mut work, mut reasons) = (Vec::new(), BTreeSet::new());
        for id in survey.needed_ids(&self.shared) {
            let entry = self.shared.table.entry(id);
            let Some(needed) = entry.and_then(|entry| survey.needed(entry)) else {
                continue;
            };
            let finding = survey.judge(&self.shared, needed.segment());
            for (_, drive) in &finding.targets {
                let left = left.entry(*drive).or_default();
                left.shards += 1;
                left.bytes += needed.shard_bytes();
            }
            if finding.spare < 0 {
                reasons.insert(format!("segment {id} has too few shards in reach"));
            }
            reasons.extend(
                finding
                    .awaited
                    .iter()
                    .map(|drive| format!("drive {drive} is waited for")),
            );
            if finding.homeless > 0 {
                reasons.insert("there are fewer drives than shards".to_owned());
            }
            // What left a drained drive is noted by who moved it.
            let gone = needed
                .segment()
                .drives
                .iter()
                .any(|drive| !survey.fleet.members.contains(drive));
            let moved = gone && finding.moved.is_some();
            if finding.spare >= 0 && (!finding.targets.is_empty() || moved) {
                work.push((finding.spare, id));
            }
        }
        if !work.is_empty() {
            tracing::info!(segments = work.len(), "healing");
        }
        self.shared.service.heal.begin(left);
        reasons
            .into_iter()
            .for_each(|reason| self.shared.service.heal.reason(reason));
        work
    }

    /// Makes anew what a segment lacks, as far as there are drives for it.
    async fn heal_segment(&mut self, id: SegmentId) -> Result<(), String> {
        let Some((entry, lease)) = self.shared.table.lease(id) else {
            return Err("another job is at work on it".into());
        };
        // Under the lease: what was planned may have changed.
        let survey = Survey::of(&self.shared);
        let Some(needed) = survey.needed(entry) else {
            return Ok(());
        };
        let finding = survey.judge(&self.shared, needed.segment());
        let with_drive = |(shard, drive): &(u8, DriveId)| Some((*shard, survey.drive(*drive)?.clone()));
        let targets: Vec<(u8, PresentDrive)> = finding.targets.iter().filter_map(with_drive).collect();
        if !targets.is_empty() {
            self.make(&survey, &needed, targets).await?;
        }
        let moved = Survey::of(&self.shared).judge(&self.shared, needed.segment()).moved;
        if let Some(drives) = moved {
            let segment = Segment {
                drives,
                ..needed.entry.segment
            };
            self.moved.push((segment, lease));
        }
        Ok(())
    }

    async fn make(&self, survey: &Survey, needed: &Needed, targets: Vec<(u8, PresentDrive)>) -> Result<(), String> {
        let ids: Vec<DriveId> = targets.iter().map(|(_, on)| on.id).collect();
        let work = (&self.shared, &self.committer, &self.pace);
        make_shards(work, survey, needed, targets).await?;
        for drive in ids {
            self.shared.service.heal.healed(drive, needed.shard_bytes());
        }
        Ok(())
    }

    /// Notes on which drives segments are now. Not noted they are found all the same, only not at the first look: it is
    /// tried again.
    async fn tell_moved(&mut self) {
        let (segments, leases): (Vec<Segment>, Vec<Lease>) = std::mem::take(&mut self.moved).into_iter().unzip();
        if segments.is_empty() {
            return;
        }
        if let Err(error) = note_places(&self.shared, &self.committer, segments).await {
            tracing::warn!(%error, "where healed segments are could not be noted");
            self.shared.service.heal.reason(error);
        }
        drop(leases);
    }
}

/// Makes shard files of a segment and puts them in their places. A drive that fails is left out.
async fn make_shards(
    (shared, committer, pace): (&Arc<Shared>, &Committer, &Pace),
    survey: &Survey,
    needed: &Needed,
    targets: Vec<(u8, PresentDrive)>,
) -> Result<(), String> {
    let segment = needed.segment();
    let codec = shared.reader.codecs().get(segment.geometry);
    let ground = Ground {
        store: shared.store,
        epoch: shared.keeper.lock().root().epoch,
        present: &survey.present,
        codec: codec.map_err(|e| e.to_string())?,
        pace,
        lives: &|| shared.table.entry(segment.id).is_some(),
    };
    let mut plan = Rebuild {
        segment,
        ends: needed.ends,
        given_up: (0u8..)
            .zip(&segment.drives)
            .map(|(shard, _)| shard)
            .filter(|shard| shared.service.heal.is_given_up(segment.id, *shard))
            .collect(),
        targets,
    };
    let mut made = rebuild(&plan, &ground).await;
    let too_few = matches!(made, Err(RebuildError::Lost(_) | RebuildError::Away(_)));
    if too_few && !plan.given_up.is_empty() {
        // They may be late again; without them there is nothing to make it from.
        plan.given_up.clear();
        made = rebuild(&plan, &ground).await;
    }
    if let Err(error) = made {
        // One that took its place, and whose name is not on stable media, is not there yet: it is made once more.
        for (shard, on) in &plan.targets {
            if on.drive.holds_shard(segment.kind, segment.id, *shard) {
                shared.service.heal.set_bad(segment.id, *shard, on.id);
            }
        }
        if let RebuildError::Write(write) = &error
            && let Some((drive, cause)) = write.failed_drive()
        {
            drop(committer.leave_out(Fault::from_io(drive, cause)));
        }
        return Err(error.to_string());
    }
    for (shard, on) in &plan.targets {
        tracing::debug!(segment = %segment.id, shard, drive = %on.id, "a shard was made anew");
        shared.service.heal.made_anew(segment.id, *shard, on.id);
        shared.service.damage.forget(segment.id, *shard);
    }
    Ok(())
}

/// Notes in one record of the log on which drives segments are now, and in the root for those that it names. Durable when
/// it returns; what stands where they were before may go then.
async fn note_places(shared: &Arc<Shared>, committer: &Committer, segments: Vec<Segment>) -> Result<(), String> {
    let (reply, answer) = oneshot::channel();
    let locks = shared.locks.lock(&[], &[]).await;
    committer.queue(Queued {
        ops: Vec::new(),
        staged: segments.iter().cloned().map(StagedSegment::known).collect(),
        pins: Vec::new(),
        removed: Vec::new(),
        locks,
        reply,
    });
    let ended = |_| Err(CommitError::Unknown("the committer ended".into()));
    answer.await.unwrap_or_else(ended).map_err(|error| error.to_string())?;
    let rooted: Vec<Segment> = {
        let keeper = shared.keeper.lock();
        let named = |segment: &&Segment| keeper.root().log.iter().any(|log| log.segment.id == segment.id);
        segments.iter().filter(named).cloned().collect()
    };
    if rooted.is_empty() {
        return Ok(());
    }
    let changed = shared.change_root_beside(move |root| {
        for log in &mut root.log {
            if let Some(known) = rooted.iter().find(|known| known.id == log.segment.id) {
                log.segment.drives.clone_from(&known.drives);
            }
        }
    });
    changed.await.map(drop)
}
