//! The running store and its life: opened, brought on again by a new start when the drives allow more than they did,
//! and closed with a marker that spares the next start a rebuild. It handles no request itself.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures::future::join_all;
use parking_lot::RwLock;
use tokio::sync::{Mutex, watch};

use super::checkpoint::Position;
use super::comeback::{Absent, wait_for_drives};
use super::core::Shared;
use super::drive::try_out;
use super::heal::{Census, CensusDepth, HealStatus, heal, moving, take_census};
use super::housekeeping::tend;
use super::id::DriveId;
use super::index::Marker;
use super::index_check::{IndexCheck, check_index};
use super::log::Committer;
use super::recovery::{Occasion, OpenError, OpenOptions, Patience, Started, start};
use super::root::decode_slot;
use super::stuck::watch_lanes;
use crate::backend::ServiceState;

/// How often a store that cannot write tries its drives; doubled after each vain start up to the maximum.
const LOOK_AGAIN: Duration = Duration::from_secs(3);
const LOOK_AGAIN_MAX: Duration = Duration::from_secs(60);

/// One start's worth of a store.
pub(super) struct Running {
    pub shared: Arc<Shared>,
    pub committer: Option<Committer>,
    /// Given paths that are not in use, and why.
    pub absent: Absent,
    /// Says that the run ends; dropped with it.
    stop: watch::Sender<bool>,
}

impl Running {
    fn new(started: Started) -> Result<Self, OpenError> {
        let Started {
            shared,
            open,
            next_seq,
            absent,
            ..
        } = started;
        let committer = match open {
            None => None,
            Some(open) => {
                let committer = Committer::start(Arc::clone(&shared), Some(open), next_seq);
                Some(committer.map_err(|e| OpenError::Write(e.to_string()))?)
            }
        };
        Ok(Self {
            shared,
            committer,
            absent: Arc::new(parking_lot::Mutex::new(absent)),
            stop: watch::Sender::new(false),
        })
    }

    /// Ends the run and leaves the index clean if all of the log is applied to it.
    async fn end(&self, state: ServiceState) {
        self.stop.send_replace(true);
        let end = match &self.committer {
            Some(committer) => committer.close().await,
            None => None,
        };
        let applied = !self.shared.service.restart_wanted();
        self.shared.service.set_state(state);
        let root = self.shared.keeper.lock().root().clone();
        let marker = end.filter(|_| applied).map(|log_end| Marker {
            root_epoch: root.epoch,
            root_nonce: root.nonce,
            log_end: Position { seq: 0, ..log_end },
        });
        let Some(marker) = marker else {
            return self.shut_drives();
        };
        let shared = Arc::clone(&self.shared);
        let closed = tokio::task::spawn_blocking(move || shared.close_index(&marker)).await;
        match closed {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the index was not closed cleanly; the next start rebuilds it"),
            Err(error) => tracing::warn!(%error, "closing the index failed; the next start rebuilds it"),
        }
        self.shut_drives();
    }

    fn shut_drives(&self) {
        for drive in self.shared.present_drives() {
            drive.shut();
        }
        self.shared.keeper.lock().shut();
    }
}

/// Where a store stands in its life.
pub(super) enum Phase {
    Running(Arc<Running>),
    /// Nothing can be served; the reason names what is missed.
    NotReady(String),
    Closed,
}

/// The embedded backend: a store on local drives.
///
/// [`Embedded::open`] answers when it is known what can be served; with too few drives that is nothing, and the store
/// looks for them again by itself. Dropping it without [`Embedded::close`] loses nothing, but the next start rebuilds
/// the index.
pub struct Embedded {
    options: OpenOptions,
    patience: Arc<Patience>,
    /// Where drives were last used; more than were given, if some were added.
    known_paths: parking_lot::Mutex<Vec<PathBuf>>,
    /// A start succeeded: the operator's word about lost drives has been used.
    ran: AtomicBool,
    phase: RwLock<Arc<Phase>>,
    /// Held while a start or the close is under way.
    turn: Mutex<()>,
}

impl Embedded {
    /// Opens the store, or formats one where the paths hold nothing and know of none. An error is a matter for the
    /// operator; drives that are merely missing are not.
    pub async fn open(options: OpenOptions) -> Result<Arc<Self>, OpenError> {
        let patience = Arc::new(Patience::default());
        let first = start(&options, &patience, Occasion::First).await;
        let phase = match first.and_then(Running::new) {
            Ok(running) => Phase::Running(look_after(running, &options, &patience)),
            Err(error) if error.may_pass() => {
                tracing::error!(%error, "the store is not ready");
                Phase::NotReady(error.to_string())
            }
            Err(error) => return Err(error),
        };
        let store = Arc::new(Self {
            known_paths: parking_lot::Mutex::new(options.drives.clone()),
            ran: AtomicBool::new(matches!(phase, Phase::Running(_))),
            options,
            patience,
            phase: RwLock::new(Arc::new(phase)),
            turn: Mutex::new(()),
        });
        if store.options.add {
            store.add_given().await;
        }
        tokio::spawn(supervise(Arc::downgrade(&store)));
        Ok(store)
    }

    /// The present run, or why there is none.
    pub(super) fn running(&self) -> Result<Arc<Running>, String> {
        match &**self.phase.read() {
            Phase::Running(running) => Ok(Arc::clone(running)),
            Phase::NotReady(reason) => Err(reason.clone()),
            Phase::Closed => Err("the store is closed".into()),
        }
    }

    /// How healing stands; with a store that is not running, nothing is known.
    pub fn heal_status(&self) -> HealStatus {
        let Ok(running) = self.running() else {
            return HealStatus::default();
        };
        let root = running.shared.keeper.lock().root().clone();
        let path_of = |id| root.member(id).map(|member| member.path.clone());
        running.shared.service.heal.status(path_of)
    }

    /// Has the store looked through now, and healed, instead of when it is time.
    pub fn heal_now(&self) {
        if let Ok(running) = self.running() {
            running.shared.service.damage.bell.notify_one();
        }
    }

    /// Has all files of all drives verified now, as fast as healing may go.
    pub fn scrub_now(&self) {
        if let Ok(running) = self.running() {
            running.shared.service.heal.want_scrub();
            running.shared.service.damage.bell.notify_one();
        }
    }

    /// Compares the index with what checkpoint and log say, beside everything else that goes on.
    ///
    /// # Errors
    /// The store is not running, or read-only, or checkpoint or log cannot be read; the text says why.
    pub async fn check_index(&self) -> Result<IndexCheck, String> {
        let running = self.running()?;
        let committer = running.committer.as_ref().ok_or("the store is read-only")?;
        check_index(&running.shared, committer).await
    }

    /// Gives the index up, and has another made from checkpoint and log. Until that is done, which begins within seconds,
    /// every request is told to come again.
    ///
    /// # Errors
    /// The store is not running; the text says why.
    pub fn rebuild_index(&self) -> Result<(), String> {
        let running = self.running()?;
        let why = "an operator asked for another one";
        running.shared.index.give_up(why);
        let state = ServiceState::NotReady(format!("the index is made anew: {why}"));
        running.shared.service.fall_back(state);
        Ok(())
    }

    /// Counts what the store needs and what of it is there.
    ///
    /// # Errors
    /// The store is not running, or read-only; the text says why.
    pub async fn census(&self, depth: CensusDepth) -> Result<Census, String> {
        let running = self.running()?;
        take_census(&running.shared, depth, self.options.heal).await
    }

    pub(super) fn options(&self) -> &OpenOptions {
        &self.options
    }

    pub(super) fn patience(&self) -> &Patience {
        &self.patience
    }

    pub(super) fn paths(&self) -> &[PathBuf] {
        &self.options.drives
    }

    fn set_phase(&self, phase: Phase) {
        *self.phase.write() = Arc::new(phase);
    }

    fn is_closed(&self) -> bool {
        matches!(&**self.phase.read(), Phase::Closed)
    }

    /// Ends the store: what is queued is finished, the index closed and marked clean. Nothing is served afterwards.
    pub async fn close(&self) {
        let _turn = self.turn.lock().await;
        if let Ok(running) = self.running() {
            running.end(ServiceState::NotReady("the store is closed".into())).await;
        }
        self.set_phase(Phase::Closed);
    }

    /// Starts anew if the store cannot write and its drives could.
    async fn look_again(&self) -> Outlook {
        let _turn = self.turn.lock().await;
        match self.running() {
            Err(_) if self.is_closed() => return Outlook::Writes,
            Err(_) => {}
            Ok(running) => {
                let service = &running.shared.service;
                if let Some(error) = running.shared.index.why_failed() {
                    // Nothing can be read without it, and a start makes another, whether it can write or not.
                    service.fall_back(ServiceState::NotReady(format!("the index failed: {error}")));
                } else if service.refuses_writes().is_none() {
                    return Outlook::Writes;
                } else if !self.could_write(&running).await {
                    // What can be read is read meanwhile: a start that could not write either would only interrupt it.
                    return Outlook::Waits;
                }
                tracing::info!("starting anew");
                *self.known_paths.lock() = running.shared.known_paths(&self.options.drives);
                self.set_phase(Phase::NotReady("starting anew".into()));
                running.end(ServiceState::NotReady("starting anew".into())).await;
            }
        }
        let options = OpenOptions {
            adopt: self.options.adopt && !self.ran.load(Ordering::Acquire),
            drives: self.known_paths.lock().clone(),
            ..self.options.clone()
        };
        let again = start(&options, &self.patience, Occasion::Again).await;
        match again.and_then(Running::new) {
            Ok(new) => {
                self.ran.store(true, Ordering::Release);
                let writes = new.committer.is_some();
                self.set_phase(Phase::Running(look_after(new, &self.options, &self.patience)));
                if writes { Outlook::Writes } else { Outlook::Vain }
            }
            Err(error) => {
                tracing::error!(%error, "the new start failed");
                self.set_phase(Phase::NotReady(error.to_string()));
                Outlook::Vain
            }
        }
    }

    /// Tries the drives out beside the running store: whether so many of its members are here and take writes that a
    /// start could write.
    async fn could_write(&self, running: &Running) -> bool {
        let options = &self.options;
        let paths = running.shared.known_paths(&options.drives);
        let tried = paths.iter().map(|path| {
            let faults = options.drive.faults.clone();
            let question = |path: &Path| try_out(path, faults);
            self.patience.ask(path, options.drive.answer_within, question)
        });
        let tried = join_all(tried).await;
        let newest = |slots: [Option<Vec<u8>>; 2]| {
            let readable = slots.into_iter().flatten().filter_map(|bytes| decode_slot(&bytes).ok());
            readable.max_by_key(|slot| slot.root.age())
        };
        let well: Vec<DriveId> = tried
            .into_iter()
            .filter_map(|answer| newest(answer.ok()?.ok()?))
            .map(|slot| slot.drive)
            .collect();
        running
            .shared
            .keeper
            .lock()
            .root()
            .is_writable_with(|id| well.contains(&id))
    }
}

/// Does `work` until it is done, `stop` says so, or whoever could say so is gone.
pub(super) async fn until(mut stop: watch::Receiver<bool>, work: impl Future<Output = ()>) {
    tokio::select! {
        biased;
        _ = stop.wait_for(|stop| *stop) => {}
        () = work => {}
    }
}

/// Starts what a run does by itself.
fn look_after(running: Running, options: &OpenOptions, patience: &Arc<Patience>) -> Arc<Running> {
    if let Some(committer) = &running.committer {
        let stop = || running.stop.subscribe();
        let shared = || Arc::clone(&running.shared);
        heal(shared(), committer.clone(), options.heal, stop());
        moving::tend(shared(), committer.clone(), options.heal, stop());
        let told = (Arc::clone(&running.absent), stop());
        let (asking, faults) = (Arc::clone(patience), options.drive.faults.clone());
        watch_lanes(shared(), committer.clone(), asking, faults, stop());
        wait_for_drives(shared(), committer.clone(), options.clone(), Arc::clone(patience), told);
    }
    tend(Arc::new(running))
}

/// What a look at a store that cannot write came to.
enum Outlook {
    Writes,
    /// Its drives could not do better.
    Waits,
    /// It was started, and still cannot write.
    Vain,
}

/// Looks after the store until it is dropped or closed.
async fn supervise(store: Weak<Embedded>) {
    let mut pause = LOOK_AGAIN;
    loop {
        tokio::time::sleep(pause).await;
        let Some(store) = store.upgrade() else { return };
        if store.is_closed() {
            return;
        }
        pause = match store.look_again().await {
            Outlook::Writes | Outlook::Waits => LOOK_AGAIN,
            Outlook::Vain => (pause * 2).min(LOOK_AGAIN_MAX),
        };
        if let Ok(running) = store.running() {
            running.shared.try_extents().await;
        }
    }
}
