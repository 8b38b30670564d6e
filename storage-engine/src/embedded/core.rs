//! What every part of a running store shares: index, segment table, drives, root and service state, and the few
//! operations that need several of them. It starts nothing and decides nothing about records.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::drive::Drive;
use super::erasure::Geometry;
use super::id::{DriveId, SegmentId, StoreId};
use super::index::{Index, IndexError, Marker};
use super::log::{Fault, HeldLocks, KeyLocks};
use super::record::RowOp;
use super::root::{Root, RootError, RootKeeper};
use super::segment::{Drives, Segment, SegmentKind, SegmentReader};
use super::service::Service;
use super::table::{SegmentTable, live_delta, spare};
use crate::backend::ServiceState;
#[cfg(test)]
use crate::planted;

pub struct Shared {
    pub store: StoreId,
    pub service: Service,
    pub index: Index,
    pub table: SegmentTable,
    pub drives: Arc<Drives>,
    pub reader: SegmentReader,
    pub keeper: Mutex<RootKeeper>,
    pub locks: Arc<KeyLocks>,
    /// Held by whoever changes who is a member, or what a member is to do: one at a time.
    pub membership: tokio::sync::Mutex<()>,
    /// Paths of all drives that were in use in this run.
    used_paths: Mutex<BTreeSet<PathBuf>>,
    /// Files that drives had with them when they came back in this run, and that nothing named then.
    pub brought: Mutex<BTreeMap<DriveId, Vec<ShardOnDrive>>>,
    tolerated: Mutex<Option<Tolerated>>,
    /// Locks of batches with an unknown outcome: never released, the next start begins without them.
    held: Mutex<Vec<HeldLocks>>,
}

/// A shard file, and what kind of segment its place says it is of.
pub type ShardOnDrive = (SegmentId, u8, SegmentKind);

/// How long an answer of [`Shared::tolerated_losses`] holds while the root stays the same.
const TOLERATED_FOR: Duration = Duration::from_secs(5);

struct Tolerated {
    root: (u64, u64),
    counted: Instant,
    losses: usize,
}

/// A random number that tells two roots of one epoch apart.
pub fn nonce() -> u64 {
    // Without randomness the epoch alone orders roots; a clash of nonces is then possible but harmless on one host.
    getrandom::u64().unwrap_or(0)
}

/// Makes committed operations visible: live counters first, then the index. Rows that depend on a row which is deleted
/// go with it.
pub fn apply(
    index: &Index,
    table: &SegmentTable,
    ops: &[RowOp],
    segments: &[Segment],
    removed: impl Iterator<Item = SegmentId>,
) -> Result<(), IndexError> {
    segments.iter().for_each(|segment| table.declare(segment.clone()));
    let delta = live_delta(index, ops)?;
    table.apply(&delta);
    removed.for_each(|id| table.remove(id));
    #[cfg(test)]
    if planted::is(planted::Bug::StaleRow) {
        let replaces = |op: &RowOp| match op {
            RowOp::Put { key, row } => row.body.is_some() && matches!(index.get(key), Ok(Some(_))),
            RowOp::Delete { .. } => false,
        };
        let kept: Vec<RowOp> = ops.iter().filter(|op| !replaces(op)).cloned().collect();
        return index.apply(&kept);
    }
    index.apply(ops)
}

impl Shared {
    pub fn new(
        store: StoreId,
        service: Service,
        index: Index,
        table: SegmentTable,
        drives: Arc<Drives>,
        reader: SegmentReader,
        keeper: RootKeeper,
    ) -> Self {
        let (keeper, held) = (Mutex::new(keeper), Mutex::new(Vec::new()));
        let tolerated = Mutex::new(None);
        let used_paths = drives.present().iter().map(|on| on.drive.path().to_owned()).collect();
        Self {
            store,
            service,
            index,
            table,
            drives,
            reader,
            keeper,
            locks: KeyLocks::new(),
            membership: tokio::sync::Mutex::new(()),
            used_paths: Mutex::new(used_paths),
            brought: Mutex::default(),
            tolerated,
            held,
        }
    }

    /// Makes committed operations visible in this store.
    pub fn apply(
        &self,
        ops: &[RowOp],
        segments: &[Segment],
        removed: impl Iterator<Item = SegmentId>,
    ) -> Result<(), IndexError> {
        apply(&self.index, &self.table, ops, segments, removed)
    }

    /// Closes the index and leaves beside it what the next start needs to use it: the segment table and the marker.
    pub fn close_index(&self, marker: &Marker) -> Result<(), IndexError> {
        self.index.close(marker, self.table.snapshot())
    }

    /// Whether the store could go on writing without these drives.
    pub fn writable_without(&self, out: &[DriveId]) -> bool {
        let keeper = self.keeper.lock();
        let root = keeper.root();
        // One that a removal takes out holds nothing for the store; until that is settled it counts for the root alone.
        let well = |id| match root.member(id) {
            Some(_) => self.serves(root, id),
            None => keeper.knows(id),
        };
        root.is_writable_with(|id| !out.contains(&id) && well(id))
    }

    /// Most drives that may be lost with every acknowledged write still readable: what the segment with the fewest
    /// shards, the checkpoints and the root can bear. A drive that is out is lost already.
    pub fn tolerated_losses(&self) -> usize {
        let root = self.keeper.lock().root().clone();
        let mut known = self.tolerated.lock();
        if let Some(known) = &*known
            && known.root == root.age()
            && known.counted.elapsed() < TOLERATED_FOR
        {
            return known.losses;
        }
        let out = |id: DriveId| root.member(id).is_none_or(|member| !member.state.serves());
        let mut drives = self.drives.present();
        drives.retain(|on| !out(on.id));
        let half = root.members.len().div_ceil(2);
        let checkpoints = root.checkpoints.iter();
        let bad = |segment, shard, drive| self.service.heal.is_bad(segment, shard, drive);
        let checkpoint = checkpoints
            .map(|checkpoint| spare(&checkpoint.segment, &drives, bad))
            .max();
        let bounds = [
            Some(drives.len().saturating_sub(half)),
            checkpoint,
            self.table.spare(&drives, bad),
        ];
        let losses = bounds.into_iter().flatten().min().unwrap_or(0);
        *known = Some(Tolerated {
            root: root.age(),
            counted: Instant::now(),
            losses,
        });
        losses
    }

    /// Shard files came or went: the next [`Shared::tolerated_losses`] counts.
    pub fn count_losses_anew(&self) {
        *self.tolerated.lock() = None;
    }

    pub fn present_drives(&self) -> impl Iterator<Item = Arc<Drive>> {
        self.drives.present().into_iter().map(|present| present.drive)
    }

    /// The given paths, and those of drives that were in use in this run though nobody gave them.
    pub fn known_paths(&self, given: &[PathBuf]) -> Vec<PathBuf> {
        let keeper = self.keeper.lock();
        let members = keeper.root().members.iter().map(|member| PathBuf::from(&member.path));
        let used = self.used_paths.lock();
        let others = members.filter(|path| !given.contains(path) && used.contains(path));
        given.iter().cloned().chain(others).collect()
    }

    /// Notes what a drive has that nothing names, before it is in use again. Takes as long as it has files.
    pub fn note_brought(&self, id: DriveId, drive: &Drive) {
        let unnamed = |(segment, ..): &ShardOnDrive| self.table.live(*segment).is_none();
        let files: Vec<ShardOnDrive> = drive.known_shards().into_iter().filter(unnamed).collect();
        self.brought.lock().insert(id, files);
    }

    /// A drive is in use from now on.
    pub fn note_used(&self, drive: &Drive) {
        self.used_paths.lock().insert(drive.path().to_owned());
    }

    fn is_in(&self, root: &Root, id: DriveId) -> bool {
        root.member(id).is_some_and(|m| m.state.takes_new()) && self.drives.get(&id).is_some()
    }

    fn serves(&self, root: &Root, id: DriveId) -> bool {
        root.member(id).is_some_and(|m| m.state.serves()) && self.drives.get(&id).is_some()
    }

    /// Parity and the number of drives that could be, and the drives a new log segment may use after these faults.
    pub fn log_candidates(&self, faults: &[Fault]) -> ((u8, usize), Vec<Arc<Drive>>) {
        let keeper = self.keeper.lock();
        let root = keeper.root();
        let usable =
            |drive: &Arc<Drive>| self.is_in(root, drive.id()) && !faults.iter().any(|fault| fault.drive == drive.id());
        let shape = (root.parity, root.takers());
        (shape, self.present_drives().filter(usable).collect())
    }

    /// The width that a new extent or pack of this geometry falls short of, because drives are away.
    pub fn width_missed(&self, geometry: Geometry) -> Option<u8> {
        let (parity, takers) = {
            let keeper = self.keeper.lock();
            (keeper.root().parity, keeper.root().takers())
        };
        #[cfg(test)]
        if planted::is(planted::Bug::WidthForgotten) {
            return None;
        }
        geometry.short_of(Geometry::for_extent(takers, parity))
    }

    /// Parity and the drives a new extent may use.
    pub fn extent_candidates(&self) -> (u8, u64, Vec<Arc<Drive>>) {
        let keeper = self.keeper.lock();
        let root = keeper.root();
        let usable = |drive: &Arc<Drive>| self.is_in(root, drive.id());
        (root.parity, root.epoch, self.present_drives().filter(usable).collect())
    }

    /// Changes the root. Drives that could not be written are named in the log; their next write puts them out.
    pub fn change_root(&self, edit: impl FnOnce(&mut Root)) -> Result<(), RootError> {
        let failed = self.keeper.lock().change(nonce(), edit)?;
        for drive in failed {
            tracing::warn!(%drive, "a drive did not take a change of the root");
        }
        Ok(())
    }

    /// Changes the root on a thread that may wait. Gives the drives that did not take it. Where it is not known whether
    /// it counts, the store stops taking writes and a start decides.
    pub async fn change_root_beside(
        self: &Arc<Self>,
        edit: impl FnOnce(&mut Root) + Send + 'static,
    ) -> Result<Vec<DriveId>, String> {
        let in_change = Arc::clone(self);
        let changed = tokio::task::spawn_blocking(move || in_change.keeper.lock().change(nonce(), edit));
        match changed.await.map_err(|e| e.to_string())? {
            Ok(failed) => Ok(failed),
            Err(error @ RootError::NoMajority { .. }) => Err(error.to_string()),
            Err(error @ RootError::Unknown(_)) => {
                self.service.fall_back(ServiceState::ReadOnly(error.to_string()));
                Err(error.to_string())
            }
        }
    }

    /// Drives that were put out serve nothing any more until a start finds them well.
    pub fn drop_drives(&self, out: &[DriveId]) {
        for id in out {
            if let Some(drive) = self.drives.remove(id) {
                drive.shut();
            }
        }
    }

    pub fn hold_for_ever(&self, locks: HeldLocks) {
        self.held.lock().push(locks);
    }
}
