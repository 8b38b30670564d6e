//! What the store can do now, and which keys have no decided state. It is told by the log and by the start; it decides
//! nothing itself.

use std::collections::BTreeSet;
use std::ops::RangeBounds;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use parking_lot::RwLock;
use tokio::sync::{Mutex, Notify, OwnedMutexGuard};

use super::damage_log::DamageLog;
use super::heal::{HealBoard, MovingBoard};
use crate::backend::{Key, ServiceState};
use crate::embedded::erasure::Codec;

/// Shared by every request of a running store.
pub struct Service {
    state: RwLock<ServiceState>,
    /// Keys of batches that could neither be made durable nor voided.
    unknown: RwLock<BTreeSet<Key>>,
    any_unknown: AtomicBool,
    log_codec: RwLock<Option<Codec>>,
    /// Rung when only a new start can bring the store on.
    pub restart: Notify,
    restart_wanted: AtomicBool,
    full: AtomicBool,
    /// Why no extent can be written: a drive that the store cannot do without takes the log and no other files.
    extents_fail: RwLock<Option<String>>,
    /// Bytes of bodies that may come before the drives' space is looked at again.
    room: AtomicI64,
    /// Held while the drives' space is looked at for a body.
    looking: Arc<Mutex<()>>,
    /// A body was refused for want of room since the last round of housekeeping.
    refused: AtomicBool,
    /// Log metadata bytes since the newest checkpoint.
    metadata_bytes: AtomicU64,
    /// Something in the newest checkpoint is bad: another is to be made.
    checkpoint_wanted: AtomicBool,
    /// A drive came in that may hold what nothing names.
    sweep_wanted: AtomicBool,
    /// Epoch of the log segment that the start opened; 0 if it opened none.
    start_epoch: AtomicU64,
    /// What reads found damaged.
    pub damage: Arc<DamageLog>,
    /// How healing stands.
    pub heal: HealBoard,
    /// How far drains and the rebalance are.
    pub moving: MovingBoard,
    /// Rung when housekeeping should look at once.
    pub tend_now: Arc<Notify>,
}

impl Service {
    pub fn new(state: ServiceState, damage: Arc<DamageLog>) -> Self {
        Self {
            damage,
            heal: HealBoard::default(),
            moving: MovingBoard::default(),
            tend_now: Arc::default(),
            checkpoint_wanted: AtomicBool::new(false),
            sweep_wanted: AtomicBool::new(false),
            start_epoch: AtomicU64::new(0),
            state: RwLock::new(state),
            unknown: RwLock::new(BTreeSet::new()),
            any_unknown: AtomicBool::new(false),
            log_codec: RwLock::new(None),
            restart: Notify::new(),
            restart_wanted: AtomicBool::new(false),
            full: AtomicBool::new(false),
            extents_fail: RwLock::new(None),
            room: AtomicI64::new(0),
            looking: Arc::default(),
            refused: AtomicBool::new(false),
            metadata_bytes: AtomicU64::new(0),
        }
    }

    pub fn state(&self) -> ServiceState {
        self.state.read().clone()
    }

    pub fn set_state(&self, state: ServiceState) {
        *self.state.write() = state;
    }

    /// `None` when writes are taken, else why not.
    pub fn refuses_writes(&self) -> Option<String> {
        match &*self.state.read() {
            ServiceState::ReadWrite => None,
            ServiceState::ReadOnly(reason) | ServiceState::NotReady(reason) => Some(reason.clone()),
        }
    }

    /// `None` when reads are served, else why not.
    pub fn refuses_reads(&self) -> Option<String> {
        match &*self.state.read() {
            ServiceState::ReadWrite | ServiceState::ReadOnly(_) => None,
            ServiceState::NotReady(reason) => Some(reason.clone()),
        }
    }

    /// Nothing more can be written until a start, in this process or the next, has looked at the drives again.
    pub fn fall_back(&self, state: ServiceState) {
        tracing::error!(
            ?state,
            "the store stops taking writes until its drives have been looked at again"
        );
        self.set_state(state);
        self.restart_wanted.store(true, Ordering::Release);
        self.restart.notify_waiters();
    }

    /// Returns once [`Service::fall_back`] was called.
    pub async fn stopped(&self) {
        let bell = self.restart.notified();
        tokio::pin!(bell);
        bell.as_mut().enable();
        if !self.restart_wanted() {
            bell.await;
        }
    }

    pub fn restart_wanted(&self) -> bool {
        self.restart_wanted.load(Ordering::Acquire)
    }

    pub fn mark_unknown(&self, keys: impl IntoIterator<Item = Key>) {
        self.unknown.write().extend(keys);
        self.any_unknown.store(true, Ordering::Release);
    }

    pub fn is_unknown(&self, key: &Key) -> bool {
        self.any_unknown.load(Ordering::Acquire) && self.unknown.read().contains(key)
    }

    pub fn any_unknown_in(&self, range: impl RangeBounds<Key>) -> bool {
        self.any_unknown.load(Ordering::Acquire) && self.unknown.read().range(range).next().is_some()
    }

    /// The code of the open log segment, to encode small bodies ahead.
    pub fn log_codec(&self) -> Option<Codec> {
        self.log_codec.read().clone()
    }

    pub fn set_log_codec(&self, codec: Codec) {
        *self.log_codec.write() = Some(codec);
    }

    /// Log metadata bytes since the newest checkpoint.
    pub fn metadata_bytes(&self) -> u64 {
        self.metadata_bytes.load(Ordering::Acquire)
    }

    pub fn add_metadata(&self, bytes: u64) {
        self.metadata_bytes.fetch_add(bytes, Ordering::AcqRel);
    }

    /// A checkpoint now includes this much of it.
    pub fn metadata_checkpointed(&self, bytes: u64) {
        self.metadata_bytes.fetch_sub(bytes, Ordering::AcqRel);
    }

    /// A checkpoint is to be made soon, whatever else speaks for one.
    pub fn want_checkpoint(&self) {
        self.checkpoint_wanted.store(true, Ordering::Release);
    }

    pub fn checkpoint_wanted(&self) -> bool {
        self.checkpoint_wanted.load(Ordering::Acquire)
    }

    pub fn checkpoint_made(&self) {
        self.checkpoint_wanted.store(false, Ordering::Release);
    }

    /// Orphans are to be looked for once more.
    pub fn want_sweep(&self) {
        self.sweep_wanted.store(true, Ordering::Release);
    }

    /// Whether that was asked for since this was last called.
    pub fn take_sweep_wanted(&self) -> bool {
        self.sweep_wanted.swap(false, Ordering::AcqRel)
    }

    /// The start opened a log segment; every file it finds from before has an older epoch.
    pub fn set_start_epoch(&self, epoch: u64) {
        self.start_epoch.store(epoch, Ordering::Release);
    }

    /// `None` if the start could not write.
    pub fn start_epoch(&self) -> Option<u64> {
        Some(self.start_epoch.load(Ordering::Acquire)).filter(|epoch| *epoch > 0)
    }

    /// Below the reserve only what frees space is taken.
    pub fn is_full(&self) -> bool {
        self.full.load(Ordering::Acquire)
    }

    pub fn set_full(&self, full: bool) {
        self.full.store(full, Ordering::Release);
    }

    /// What [`Service::note_extents`] was told last.
    pub fn why_extents_fail(&self) -> Option<String> {
        self.extents_fail.read().clone()
    }

    /// Whether extents can be written, as far as the last one told: `Err` says why not.
    pub fn note_extents(&self, outcome: Result<(), String>) {
        let failed = outcome.err();
        // Almost always nothing changes.
        if *self.extents_fail.read() == failed {
            return;
        }
        match &failed {
            Some(reason) => tracing::error!(%reason, "large bodies cannot be written; small ones can"),
            None => tracing::info!("large bodies can be written again"),
        }
        *self.extents_fail.write() = failed;
    }

    pub fn set_room(&self, bytes: u64) {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        self.room.store(bytes, Ordering::Release);
    }

    /// Takes bytes of what may still come; `false` if there is not so much left.
    pub fn spend_room(&self, bytes: u64) -> bool {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        let left = |room: i64| room.checked_sub(bytes).filter(|left| *left >= 0);
        self.room
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, left)
            .is_ok()
    }

    /// The turn to look at the drives' space for a body.
    pub async fn turn_to_look(&self) -> OwnedMutexGuard<()> {
        Arc::clone(&self.looking).lock_owned().await
    }

    pub fn note_refused(&self) {
        self.refused.store(true, Ordering::Release);
    }

    /// Whether a body was refused for want of room since this was last asked.
    pub fn take_refused(&self) -> bool {
        self.refused.swap(false, Ordering::AcqRel)
    }
}
