//! Files and appendable uploads under power cuts: their lives go on from start to start, and after each start all of them are
//! what was acknowledged, and the catalogue, its objects and its index agree.

use std::collections::{BTreeMap, BTreeSet};

use super::Dice;
use super::ledger::{Line, State};
use super::process::{Process, say, stage};
use crate::backend::Backend;
use crate::embedded::drive::{Fault, FaultRule, Operation};
use crate::store::files::{FileFilter, FileId, FileQuery, FileSort, FileState, Viewer};
use crate::store::name::BucketName;
use crate::store::tests::agreement::agreed;
use crate::store::tests::lives::{Is, Lives, Place, Request, SLOTS, Who, permits};

/// Who writes to files at once, each to its own keys.
pub(super) const LANES: u64 = 2;
const PAGE: usize = 7;

impl Process {
    fn place(&self) -> Place {
        Place {
            store: self.store.clone(),
            bucket: BucketName::parse("files").unwrap(),
        }
    }

    /// Makes the bucket that keeps a catalogue.
    pub(super) async fn make_catalogue(&self) {
        // At a start after a cut it may be there already, or half made.
        let _ = self.place().make().await;
    }

    /// What a file or an upload is found to be, if it may be that.
    pub(super) async fn find(&self, who: Who, allowed: &[State]) -> Result<State, String> {
        let found = self.place().find(who).await?;
        let allowed: Vec<Is> = allowed.iter().map(|state| state.is()).collect();
        match permits(&allowed, found) {
            true => Ok(State::of(found)),
            false => Err(format!("{} is found", found.text())),
        }
    }

    /// Whether catalogue, objects and index agree, lists show every active file, and there is no file that nobody owes.
    pub(super) async fn tell_of_catalogue(&self, found: &BTreeMap<Who, Is>) -> Result<(), String> {
        let place = self.place();
        let files = agreed(self.backend.as_ref(), &place.bucket).await?;
        let active =
            |(id, file): (&FileId, &crate::store::files::File)| (file.state == FileState::Active).then_some(*id);
        let active: BTreeSet<FileId> = files.iter().filter_map(active).collect();
        let mut query = FileQuery {
            viewer: Viewer::All,
            filter: FileFilter::default(),
            sort: FileSort::default(),
            limit: PAGE,
            offset: 0,
            after: None,
            total: true,
        };
        let mut listed = BTreeSet::new();
        loop {
            let page = place.store.list_files(&place.bucket, &query).await;
            let page = page.map_err(|error| error.to_string())?;
            listed.extend(page.files.into_iter().map(|(id, _)| id));
            match page.next {
                Some(next) => query.after = Some(next),
                None => break,
            }
        }
        if listed != active {
            return Err(format!("{listed:?} are listed, {active:?} are active"));
        }
        let standing = |is: &&Is| matches!(is, Is::File { .. } | Is::Upload { done: true, .. });
        let owed = found.values().filter(standing).count();
        match files.len() == owed {
            true => Ok(()),
            false => Err(format!("{} files, not {owed}", files.len())),
        }
    }

    /// Asks, and notes the answer. What an error leaves is looked at.
    async fn live(&self, lives: &mut Lives, request: Request) -> Result<(), String> {
        let name = request.who.name();
        say(&Line::Try(name.clone(), State::of(request.to)));
        let asked = self.place().ask(&request).await;
        let is = match asked {
            Ok(()) => {
                say(&Line::Ack(name, State::of(request.to)));
                request.to
            }
            Err(_) => self.place().find(request.who).await?,
        };
        lives.note(request.who, is);
        asked
    }

    async fn live_file(&self, lives: &mut Lives, (slot, fresh): (u64, u64), dice: &mut Dice) -> Result<(), String> {
        let request = lives.next_of_file(slot, fresh, dice.below(12));
        self.live(lives, request).await
    }

    async fn live_upload(&self, lives: &mut Lives, fresh: u64, dice: &mut Dice) -> Result<(), String> {
        match lives.next_of_upload(dice.below(55)) {
            Some(request) => self.live(lives, request).await,
            None => {
                let (who, is) = self.place().begin(fresh).await?;
                say(&Line::Ack(who.name(), State::of(is)));
                lives.note(who, is);
                Ok(())
            }
        }
    }

    /// Goes on with the files of one lane for ever.
    pub(super) async fn write_files(&self, lane: u64, seed: u64, mut lives: Lives) {
        let mut dice = Dice(seed + lane);
        for step in 0.. {
            let slot = dice.below(SLOTS / LANES) * LANES + lane;
            let fresh = seed + step * LANES + lane;
            if self.live_file(&mut lives, (slot, fresh), &mut dice).await.is_err() {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        }
    }

    /// Goes on with uploads for ever.
    pub(super) async fn write_uploads(&self, seed: u64, mut lives: Lives) {
        let mut dice = Dice(seed);
        for step in 0.. {
            if self.live_upload(&mut lives, seed + step, &mut dice).await.is_err() {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        }
    }

    /// One request, which must be answered well.
    pub(super) async fn live_calmly(&self, lives: &mut Lives, fresh: u64, step: u64, dice: &mut Dice) {
        let done = match step % 3 {
            2 => self.live_upload(lives, fresh, dice).await,
            _ => self.live_file(lives, (dice.below(2), fresh), dice).await,
        };
        if let Err(error) = done {
            say(&Line::Bad(format!("a request is refused with nothing amiss: {error}")));
        }
    }

    /// A file gets its bytes with the power about to go: the second batch from there on is never synced.
    pub(super) async fn hang_a_life(&self, seed: u64) {
        let mut lives = Lives::default();
        let announce = lives.next_of_file(0, seed, 11);
        if let Err(error) = self.live(&mut lives, announce).await {
            return say(&Line::Bad(format!("no file is announced: {error}")));
        }
        self.plan().arm(FaultRule {
            operation: Operation::SyncFile,
            path_part: "/log/".to_owned(),
            after: self.backend.health().drives.len() as u64,
            times: u64::MAX,
            fault: Fault::Hang,
        });
        let put_and_change = async {
            for roll in [11, 1, 1] {
                let request = lives.next_of_file(0, seed + 1, roll);
                let _ = self.live(&mut lives, request).await;
            }
        };
        let drives = self.backend.health().drives.len();
        let hung = async {
            while self.plan().hanging() < drives {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
            stage("hung");
        };
        let _ = futures::future::join(put_and_change, hung).await;
    }
}
