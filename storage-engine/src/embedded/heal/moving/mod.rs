//! Moving shards off drives that are drained, and from fuller to emptier ones, and writing anew what was written while
//! drives were away: segment by segment, under its lease, each
//! shard made anew beside its new neighbours, synced and read back, then noted by a record of the log, and only then
//! removed where it was. What is to be done is found by looking at the root and at the drives, so a restart goes on where
//! it stopped. It never makes a segment poorer by a shard, not for a moment, and decides nothing about members.

mod board;
mod fit;
mod rewrite;
mod sight;
mod spread;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::timeout;

pub use self::board::{Drain, MovingBoard, MovingStatus, Rebalance, Widening};
pub(in crate::embedded) use self::sight::{holds_nothing, status, unreadable, without_place};

use self::sight::{Looked, Sight, Work};
use super::census::verify_shard;
use super::pace::{HealOptions, Pace};
use super::survey::{Needed, Survey};
use super::{make_shards, note_places};
use crate::embedded::compact::{Room, Stubborn};
use crate::embedded::core::Shared;
use crate::embedded::drive::Lane;
use crate::embedded::fleet::settle;
use crate::embedded::id::DriveId;
use crate::embedded::log::Committer;
use crate::embedded::segment::{PresentDrive, Segment};
use crate::embedded::supervise::until;
use crate::embedded::table::Lease;

/// How often it is looked whether something is to be moved.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How soon what failed is tried again.
const AGAIN_AFTER: Duration = Duration::from_secs(15);
/// How soon an index that no drive took is offered again: each try copies it.
const INDEX_AGAIN_AFTER: Duration = Duration::from_secs(300);
/// How long shards are moved before it is looked again what is most needed.
const TURN: Duration = Duration::from_secs(60);
/// Segments whose places one record notes.
const NOTED_MAX: usize = 64;
/// Longest time between two checkpoints that are asked for because a drained drive waits for them.
const CHECKPOINT_EVERY_MAX: Duration = Duration::from_secs(600);
/// How long the file systems have to tell their space.
const SPACE_WITHIN: Duration = Duration::from_secs(30);
/// Of the time at most one in so many is spent on looking while there is nothing to move.
const LOOK_SHARE: u32 = 20;

/// Moves shards in one run of a store.
struct Mover {
    shared: Arc<Shared>,
    committer: Committer,
    pace: Arc<Pace>,
    /// Without an order there is nothing to do: what earlier ones left was looked for.
    settled: bool,
    /// When bodies were last to be written anew and none could be: each try looks through the whole index.
    in_vain: Option<Instant>,
    /// When a checkpoint was last asked for, and how long to wait before the next.
    asked: Option<(Instant, Duration)>,
    room: Option<SeenRoom>,
    /// How long the last look through all segments took.
    look_took: Duration,
    /// Segments that could not be emptied lately.
    stubborn: Stubborn,
    /// What was to be written anew found no room lately: newer checkpoints make some.
    waits_for_room: bool,
    /// When the index could last be made on none of the drives.
    index_refused: Option<Instant>,
}

/// Moves shards until `stop` says so, or whoever has it is gone.
pub(in crate::embedded) fn tend(
    shared: Arc<Shared>,
    committer: Committer,
    options: HealOptions,
    stop: watch::Receiver<bool>,
) {
    tokio::spawn(until(stop, Mover::new(shared, committer, options).run()));
}

/// Moves and writes anew what can be now, beside whoever does so by himself.
#[cfg(test)]
pub(in crate::embedded) async fn move_now(shared: &Arc<Shared>, committer: &Committer) -> Result<(), String> {
    let mut mover = Mover::new(Arc::clone(shared), committer.clone(), HealOptions::default());
    while mover.turn().await? == Turn::More {}
    Ok(())
}

/// What the drives took at one look, without what was begun since.
struct SeenRoom {
    room: Room,
    at: Instant,
    /// The drives that were here.
    present: BTreeSet<DriveId>,
}

/// What a turn came to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// Nothing can be done now.
    Idle,
    /// There is more.
    More,
}

/// A segment whose shards are in their new places, and what is to be noted of it.
struct Moved {
    /// With the new list of drives.
    segment: Segment,
    /// Shards that are left where they were, and the drives.
    left: Vec<(u8, PresentDrive)>,
    /// About the bytes of one shard.
    bytes: u64,
    _lease: Lease,
}

impl Mover {
    fn new(shared: Arc<Shared>, committer: Committer, options: HealOptions) -> Self {
        Self {
            shared,
            committer,
            pace: Arc::new(Pace::new(options)),
            settled: false,
            in_vain: None,
            asked: None,
            room: None,
            look_took: Duration::ZERO,
            stubborn: Stubborn::default(),
            waits_for_room: false,
            index_refused: None,
        }
    }

    async fn run(mut self) {
        loop {
            if self.shared.service.refuses_writes().is_some() {
                return;
            }
            self.pace.restart();
            let pause = match self.turn().await {
                Ok(Turn::More) => continue,
                Ok(Turn::Idle) => LOOK_EVERY.max(self.look_took * LOOK_SHARE),
                Err(reason) => {
                    tracing::warn!(%reason, "shards could not be moved; it is tried again");
                    self.shared.service.moving.reason(reason);
                    AGAIN_AFTER
                }
            };
            let _ = timeout(pause, self.shared.service.moving.bell.notified()).await;
        }
    }

    async fn turn(&mut self) -> Result<Turn, String> {
        if self.shared.keeper.lock().root().old_members.is_some() {
            let shared = Arc::clone(&self.shared);
            let _one_at_a_time = shared.membership.lock().await;
            settle(&shared).await?;
        }
        if self.shared.service.moving.take_rung() {
            self.settled = false;
            self.room = None;
            self.index_refused = None;
        }
        if self.settled && !sight::is_ordered(&self.shared) {
            return Ok(Turn::Idle);
        }
        let (sight, looked) = self.look().await?;
        if sight.open_log_leaves(&self.shared) {
            self.committer.roll().await;
        }
        // What fails keeps nothing else from being done: others may make the room that it needs.
        let mut failed = self.move_index().await.err();
        let (mut work, shifts) = (looked.work, (looked.shifts, looked.unseen));
        let nothing_to_move = work.is_empty();
        if nothing_to_move && !sight.is_draining() {
            match self.shifts(&sight, shifts).await {
                Ok(shifts) => work = shifts,
                Err(reason) => failed = Some(reason),
            }
        }
        match self.do_all(work).await {
            Ok(Turn::More) => return Ok(Turn::More),
            Ok(Turn::Idle) => {}
            Err(reason) => failed = Some(reason),
        }
        let narrower = !looked.wide.is_empty();
        let victims = if narrower { looked.wide } else { looked.narrow };
        self.settled = nothing_to_move && victims.is_empty() && failed.is_none();
        self.waits_for_room &= !victims.is_empty();
        let rested = self.in_vain.is_none_or(|at| at.elapsed() >= AGAIN_AFTER);
        if !victims.is_empty() && rested {
            match self.rewrite(victims, narrower).await {
                Ok(true) => {
                    // What was emptied is room for the next.
                    self.ask_for_checkpoint();
                    if let Some(reason) = failed {
                        self.shared.service.moving.reason(reason);
                    }
                    return Ok(Turn::More);
                }
                Ok(false) => {}
                Err(reason) => failed = Some(reason),
            }
            self.in_vain = Some(Instant::now());
        }
        if looked.left.unneeded > 0 || looked.log_waits || narrower || self.waits_for_room {
            self.ask_for_checkpoint();
        } else {
            self.asked = None;
        }
        failed.map_or(Ok(Turn::Idle), Err)
    }

    /// Looks through all segments, once, beside the requests.
    async fn look(&mut self) -> Result<(Sight, Looked), String> {
        let room = self.room().await?.clone();
        let (shared, began) = (Arc::clone(&self.shared), Instant::now());
        let looking = tokio::task::spawn_blocking(move || {
            let sight = Sight::of(&shared);
            let looked = sight.look(&shared, &room);
            (sight, looked)
        });
        let found = looking.await.map_err(|e| e.to_string())?;
        self.look_took = began.elapsed();
        Ok(found)
    }

    /// What the drives take above what they must keep: as it was lately, without what was begun since. Drives that came or
    /// went meanwhile have all asked again.
    async fn room(&mut self) -> Result<&mut Room, String> {
        let present: BTreeSet<DriveId> = self.shared.drives.present().into_iter().map(|on| on.id).collect();
        let known = self.room.take();
        let known = known.filter(|seen| seen.at.elapsed() < LOOK_EVERY && seen.present == present);
        let seen = match known {
            Some(seen) => seen,
            None => SeenRoom {
                room: self.shared.look_at_space(SPACE_WITHIN, None).await?.room,
                at: Instant::now(),
                present,
            },
        };
        Ok(&mut self.room.insert(seen).room)
    }

    /// What the rebalance would move now; none left, it is over.
    async fn shifts(&self, sight: &Sight, (work, unseen): (Vec<Work>, Option<DriveId>)) -> Result<Vec<Work>, String> {
        let Some(percent) = sight.rebalance else {
            return Ok(Vec::new());
        };
        if let Some(drive) = unseen {
            return Err(format!("drive {drive} does not tell its free space"));
        }
        if work.is_empty() {
            let shared = Arc::clone(&self.shared);
            let _one_at_a_time = shared.membership.lock().await;
            let done = move |root: &mut crate::embedded::root::Root| {
                if root.rebalance == Some(percent) {
                    root.rebalance = None;
                }
            };
            shared.service.moving.rebalanced();
            shared.change_root_beside(done).await?;
            tracing::info!(percent, "the drives are balanced");
        }
        Ok(work)
    }

    /// Does the work in turn for a while. What was moved is noted in any case.
    async fn do_all(&mut self, work: Vec<Work>) -> Result<Turn, String> {
        let until = Instant::now() + TURN;
        let (mut moved, mut failed, mut done) = (Vec::new(), None, 0_usize);
        for work in work {
            match self.do_one(&work).await {
                Ok(Some(one)) => {
                    moved.push(one);
                    done += 1;
                }
                Ok(None) => {}
                Err(reason) => failed = Some(format!("segment {}: {reason}", work.segment)),
            }
            if moved.len() >= NOTED_MAX {
                self.note(std::mem::take(&mut moved)).await?;
            }
            if Instant::now() >= until {
                break;
            }
        }
        self.note(moved).await?;
        match (failed, done) {
            (Some(reason), 0) => Err(reason),
            (Some(reason), _) => {
                self.shared.service.moving.reason(reason);
                Ok(Turn::More)
            }
            (None, 0) => Ok(Turn::Idle),
            (None, _) => Ok(Turn::More),
        }
    }

    /// Makes the shards of one segment where they shall be. `None`: nothing was to be done after all.
    async fn do_one(&mut self, work: &Work) -> Result<Option<Moved>, String> {
        let Some((entry, lease)) = self.shared.table.lease(work.segment) else {
            return Ok(None);
        };
        // Under the lease: what was planned may have changed.
        let survey = Survey::of(&self.shared);
        let Some(needed) = survey.needed(entry) else {
            return Ok(None);
        };
        let targets = sight::targets(&self.shared, &survey, &needed, work);
        let room = self.room().await?;
        if let Some((_, full)) = targets.iter().find(|(_, on)| !room.spend(on.id, needed.shard_bytes())) {
            let path = full.drive.path().display();
            return Err(format!(
                "{path} has no room above what it must keep free; delete something, or add a drive"
            ));
        }
        let made: BTreeSet<u8> = targets.iter().map(|(shard, _)| *shard).collect();
        if !targets.is_empty() {
            let bytes = needed.shard_bytes() * targets.len() as u64;
            let shards = targets.len() as u64;
            let ways = (&self.shared, &self.committer, &*self.pace);
            make_shards(ways, &survey, &needed, targets).await?;
            self.shared.service.moving.moved(shards, bytes);
        }
        let drives = sight::places(&self.shared, &survey, &needed, work);
        let segment = Segment {
            drives,
            ..needed.entry.segment.clone()
        };
        let left = self.left_twice(&survey, &needed, &segment, &made).await;
        if left.is_empty() && segment.drives == needed.segment().drives {
            return Ok(None);
        }
        Ok(Some(Moved {
            segment,
            left,
            bytes: needed.shard_bytes(),
            _lease: lease,
        }))
    }

    /// Files of shards that stand where the new list says, too. What this turn did not make is verified there first.
    async fn left_twice(
        &self,
        survey: &Survey,
        needed: &Needed,
        segment: &Segment,
        made: &BTreeSet<u8>,
    ) -> Vec<(u8, PresentDrive)> {
        let mut left = Vec::new();
        for (shard, holders) in (0u8..).zip(survey.held(&self.shared, needed.segment())) {
            let Some(home) = segment.drives.get(usize::from(shard)) else {
                continue;
            };
            // A file that is known to be bad is a copy, too: nobody reads it, and it would stay for ever.
            let others: Vec<DriveId> = survey.copies(needed.segment(), shard).filter(|id| id != home).collect();
            let Some(on) = survey
                .drive(*home)
                .filter(|_| holders.contains(home) && !others.is_empty())
            else {
                continue;
            };
            if !made.contains(&shard) {
                // Of a drive that does not answer nothing is known; then both stay.
                let read = verify_shard((&self.shared, survey), on, needed, shard, &self.pace).await;
                if self.shared.service.heal.is_bad(segment.id, shard, *home) {
                    self.shared.service.damage.bell.notify_one();
                }
                if read.is_none_or(|bytes| bytes == 0) {
                    continue;
                }
            }
            left.extend(
                others
                    .into_iter()
                    .filter_map(|id| Some((shard, survey.drive(id)?.clone()))),
            );
        }
        left
    }

    /// Notes where segments are now, and then lets go what stands where they were.
    async fn note(&self, moved: Vec<Moved>) -> Result<(), String> {
        let segments: Vec<Segment> = moved.iter().map(|moved| moved.segment.clone()).collect();
        if segments.is_empty() {
            return Ok(());
        }
        note_places(&self.shared, &self.committer, segments).await?;
        for moved in &moved {
            for (shard, on) in moved.left.iter().filter(|(shard, _)| self.stands(moved, *shard)) {
                let (drive, kind, id, shard) = (Arc::clone(&on.drive), moved.segment.kind, moved.segment.id, *shard);
                let removed = on.drive.run(Lane::Bulk, move || drive.remove_shard(kind, id, shard));
                match removed.await {
                    Ok(()) => self.shared.service.heal.file_gone(id, shard, on.id),
                    Err(error) => tracing::warn!(segment = %id, shard, %error, "a shard file that was moved is left"),
                }
            }
        }
        self.shared.service.moving.noted(&moved);
        self.shared.count_losses_anew();
        Ok(())
    }

    /// Whether a moved shard still stands where it was made: its drive may have left since.
    fn stands(&self, moved: &Moved, shard: u8) -> bool {
        let home = moved.segment.drives.get(usize::from(shard)).copied();
        home.is_some_and(|home| {
            let here = self.shared.drives.get(&home).is_some();
            here && !self.shared.service.heal.is_bad(moved.segment.id, shard, home)
        })
    }

    /// The index leaves a drive that is drained while it is in use, for the first of the others that takes it.
    async fn move_index(&mut self) -> Result<(), String> {
        let rests = self.index_refused.is_some_and(|at| at.elapsed() < INDEX_AGAIN_AFTER);
        let Some((from, others)) = self.index_moves().filter(|_| !rests) else {
            return Ok(());
        };
        let shared = Arc::clone(&self.shared);
        let bytes = tokio::task::spawn_blocking(move || shared.index.disk_bytes()).await;
        let bytes = bytes.map_err(|e| e.to_string())?.map_err(|e| e.to_string())?;
        let mut refused = Vec::new();
        for to in others {
            if !self.room().await?.spend(to.id, bytes) {
                refused.push(format!("{} (no room)", to.drive.path().display()));
                continue;
            }
            let (shared, dir) = (Arc::clone(&self.shared), to.drive.index_dir());
            let at = dir.clone();
            let moving = tokio::task::spawn_blocking(move || shared.index.move_to(&at));
            moving.await.map_err(|e| e.to_string())?.map_err(|e| e.to_string())?;
            // A database that cannot be made leaves the old one in use.
            let (from, to) = (from.drive.path().display(), to.drive.path().display());
            if self.shared.index.lies_under(&dir) {
                tracing::info!(%from, %to, "the index left a drained drive");
                return Ok(());
            }
            refused.push(to.to_string());
        }
        let reason = format!(
            "the index does not leave {}: it cannot be made on {}",
            from.drive.path().display(),
            refused.join(", ")
        );
        self.shared.service.moving.reason(reason);
        self.index_refused = Some(Instant::now());
        Ok(())
    }

    /// The drained drive that has the index, and the drives that could have it.
    fn index_moves(&self) -> Option<(PresentDrive, Vec<PresentDrive>)> {
        let present = self.shared.drives.present();
        let keeper = self.shared.keeper.lock();
        let members = &keeper.root().members;
        let here = |id: DriveId| present.iter().find(|on| on.id == id).cloned();
        let mut drained = members.iter().filter(|member| member.state.is_draining());
        let from = drained
            .find_map(|member| here(member.id).filter(|on| self.shared.index.lies_under(&on.drive.index_dir())))?;
        let stays = members.iter().filter(|member| member.state.takes_new());
        let others: Vec<PresentDrive> = stays.filter_map(|member| here(member.id)).collect();
        (!others.is_empty()).then_some((from, others))
    }

    /// Dead segments and old checkpoints go with newer checkpoints: one is made soon, the next after a longer while.
    fn ask_for_checkpoint(&mut self) {
        let now = Instant::now();
        let pause = match self.asked {
            Some((at, pause)) if now < at + pause => return,
            Some((_, pause)) => (pause * 2).min(CHECKPOINT_EVERY_MAX),
            None => Duration::from_secs(1),
        };
        self.asked = Some((now, pause));
        self.shared.service.want_checkpoint();
        self.shared.service.want_sweep();
        self.shared.service.tend_now.notify_one();
    }
}
