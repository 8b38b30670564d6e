//! Verifying what the drives hold: files in which reads found damage, all files of drives in doubt, and in the course of
//! days all files of all drives. It notes what is bad and leaves mending to others.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Healer;
use super::census::verify_shard;
use super::scrub::{Pass, now};
use super::survey::{Needed, Survey};
use crate::embedded::drive::Lane;
use crate::embedded::id::{DriveId, SegmentId};
use crate::embedded::segment::PresentDrive;

/// How long drives are verified before healing has its turn again.
const TURN: Duration = Duration::from_secs(20);
/// How often it is kept on the drive how far the pass is.
const KEEP_EVERY: Duration = Duration::from_secs(10);

/// What a turn of verifying came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verified {
    /// Nothing more is due now.
    Enough,
    /// A drive did not answer: what is due there is due soon again.
    Unanswered,
    /// The turn was too short for all that is due.
    More,
    /// There is something for healing to do or to tell: bad files, or a drive that is in doubt no more.
    Found,
}

impl Healer {
    /// Verifies the whole files in which reads found damage.
    pub(super) async fn look_at_suspects(&self) {
        let suspects = self.shared.service.damage.take();
        if suspects.is_empty() {
            return;
        }
        self.shared.service.heal.verifying();
        let survey = Survey::of(&self.shared);
        if suspects.iter().any(|suspect| survey.is_open(suspect.segment)) {
            // Only sealed segments are healed.
            self.committer.roll().await;
        }
        let survey = Survey::of(&self.shared);
        for suspect in suspects {
            let id = suspect.segment;
            let newest = survey
                .checkpoint
                .as_ref()
                .is_some_and(|newest| newest.segment().id == id);
            match survey.drive(suspect.drive) {
                Some(on) if newest => drop(self.verify_checkpoint_on(&survey, on).await),
                Some(on) => drop(self.verify_segment_on(&survey, on, id).await),
                None => {}
            }
            if survey.is_checkpoint(id) {
                self.shared.service.want_checkpoint();
            }
            self.shared.service.damage.forget(id, suspect.shard);
        }
    }

    /// Verifies the files that a drive has of a segment, if it is needed. Says whether the drive answered.
    async fn verify_segment_on(&self, survey: &Survey, on: &PresentDrive, id: SegmentId) -> bool {
        let _pinned = self.shared.table.pin(id);
        let entry = self.shared.table.entry(id);
        match entry.and_then(|entry| survey.needed(entry)) {
            Some(needed) => self.verify_on(survey, on, &needed).await,
            None => true,
        }
    }

    /// Verifies a drive's part of the newest checkpoint. Says whether the drive answered.
    async fn verify_checkpoint_on(&self, survey: &Survey, on: &PresentDrive) -> bool {
        match &survey.checkpoint {
            Some(newest) => self.verify_on(survey, on, newest).await,
            None => true,
        }
    }

    async fn verify_on(&self, survey: &Survey, on: &PresentDrive, needed: &Needed) -> bool {
        for (shard, holders) in (0u8..).zip(survey.held(&self.shared, needed.segment())) {
            let its = holders.contains(&on.id);
            if its
                && verify_shard((&self.shared, survey), on, needed, shard, &self.pace)
                    .await
                    .is_none()
            {
                return false;
            }
        }
        true
    }

    /// Goes on with the passes over the drives for a while.
    pub(super) async fn verify_drives(&mut self) -> Verified {
        let until = Instant::now() + TURN;
        let asked = self.shared.service.heal.take_scrub_wanted();
        let bad_before = self.shared.service.heal.bad();
        let needed = Survey::of(&self.shared).needed_ids(&self.shared);
        let mut outcomes = Vec::new();
        for on in self.shared.drives.present() {
            let board = &self.shared.service.heal;
            let renewed = board.take_renewed(on.id);
            let mut pass = self.pass_of(&on).await;
            // Begun by a clock that was ahead.
            pass.began = pass.began.min(now());
            if asked || renewed {
                pass = pass.anew(now(), true);
                self.keep_pass(&on, pass).await;
            }
            if pass.in_doubt {
                // An earlier run did not get through.
                self.shared.service.heal.resume_doubt(on.id);
            }
            outcomes.push(self.go_on(&on, &needed, pass, until).await);
        }
        if self.shared.service.heal.bad() != bad_before {
            self.shared.count_losses_anew();
            return Verified::Found;
        }
        let worst = [Verified::Found, Verified::More, Verified::Unanswered]
            .into_iter()
            .find(|worst| outcomes.contains(worst));
        worst.unwrap_or(Verified::Enough)
    }

    /// One drive's part of that.
    async fn go_on(
        &mut self,
        on: &PresentDrive,
        needed: &BTreeSet<SegmentId>,
        mut pass: Pass,
        until: Instant,
    ) -> Verified {
        let survey = Survey::of(&self.shared);
        let known = on.drive.known_shards().into_iter().map(|(id, ..)| id);
        let held: BTreeSet<SegmentId> = known.filter(|id| needed.contains(id)).collect();
        let left = pass.left(&held);
        let mut verified = held.len() - left.len();
        let (mut kept, mut outcome) = (Instant::now(), Verified::Enough);
        for id in &left {
            let waits = !pass.in_doubt && verified >= pass.due(held.len(), now(), self.options.scrub_within);
            if waits {
                break;
            }
            if Instant::now() >= until {
                outcome = Verified::More;
                break;
            }
            if !self.verify_segment_on(&survey, on, *id).await {
                outcome = Verified::Unanswered;
                break;
            }
            pass.upto = Some(*id);
            verified += 1;
            if kept.elapsed() >= KEEP_EVERY {
                self.keep_pass(on, pass).await;
                kept = Instant::now();
            }
        }
        let its_time = pass.due(1, now(), self.options.scrub_within) > 0;
        if verified >= held.len() && (pass.in_doubt || its_time && !held.is_empty()) {
            match self.verify_checkpoint_on(&survey, on).await {
                true => {
                    if pass.in_doubt {
                        outcome = Verified::Found;
                    }
                    pass = Pass::ended(now());
                    self.shared.service.heal.trust(on.id);
                }
                false => outcome = Verified::Unanswered,
            }
        }
        let board = &self.shared.service.heal;
        board.set_scrub(on.id, pass.passed, verified as u64, held.len() as u64);
        if self.passes.get(&on.id) != Some(&pass) {
            self.keep_pass(on, pass).await;
        }
        outcome
    }

    /// Where the pass over a drive stands. What is kept and cannot be read puts the drive in doubt.
    async fn pass_of(&mut self, on: &PresentDrive) -> Pass {
        if let Some(pass) = self.passes.get(&on.id) {
            return *pass;
        }
        let drive = Arc::clone(&on.drive);
        let kept = on.drive.run(Lane::Read, move || drive.read_scrub()).await;
        let known = kept.as_ref().ok().and_then(Option::as_ref);
        if let Some(pass) = known.and_then(|bytes| Pass::decode(bytes)) {
            self.passes.insert(on.id, pass);
            return pass;
        }
        // Kept at once: however often the store is started, the pass began now.
        let pass = Pass::default().anew(now(), !matches!(kept, Ok(None)));
        self.keep_pass(on, pass).await;
        pass
    }

    async fn keep_pass(&mut self, on: &PresentDrive, pass: Pass) {
        self.passes.insert(on.id, pass);
        let (drive, bytes) = (Arc::clone(&on.drive), pass.encode());
        if let Err(error) = on.drive.run(Lane::Bulk, move || drive.write_scrub(&bytes)).await {
            tracing::debug!(path = %on.drive.path().display(), %error, "how far the drive is verified is not kept");
        }
    }

    /// Drives that left are read anew when they are back.
    pub(super) fn forget_absent(&mut self) {
        let present: BTreeSet<DriveId> = self.shared.drives.present().iter().map(|on| on.id).collect();
        self.passes.retain(|id, _| present.contains(id));
        self.tidied.retain(|id| present.contains(id));
    }
}
