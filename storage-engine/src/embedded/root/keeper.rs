//! Changes of the root: one at a time, each with a higher epoch, written to every present drive that is in, and valid
//! once it is on more than half of the members. It decides nothing about what a change says.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::state::{Root, RootSlot, encode_slot};
use crate::embedded::drive::{Drive, Lane};
use crate::embedded::id::DriveId;

/// How long a change waits for a majority before its outcome is unknown.
const MAJORITY_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a change that counts already waits for the other drives.
const STRAGGLER_TIMEOUT: Duration = Duration::from_secs(2);

#[derive(Clone, Debug, thiserror::Error)]
pub enum RootError {
    /// Not even tried: too few drives are there. Nothing changed.
    #[error("a change of the root needs a majority of the drives; {in_reach} of {members} are in reach")]
    NoMajority { in_reach: usize, members: usize },
    /// Tried, and on fewer drives than a majority: the next start decides whether it counts.
    #[error("the outcome of a change of the root is unknown: {0}")]
    Unknown(String),
}

struct RootDrive {
    drive: Arc<Drive>,
    /// The slot that does not hold the newest root known to be good on this drive.
    next_slot: usize,
    /// A write to a slot has not returned: until it does the other slot is the only good one and stays untouched.
    busy: Arc<AtomicBool>,
}

/// Owns the root of a running store.
pub struct RootKeeper {
    root: Root,
    epoch_floor: u64,
    drives: Vec<RootDrive>,
}

impl RootKeeper {
    /// `drives`: each present drive with the slot to write next.
    pub fn new(root: Root, drives: Vec<(Arc<Drive>, usize)>) -> Self {
        let drives = drives
            .into_iter()
            .map(|(drive, next_slot)| RootDrive {
                drive,
                next_slot,
                busy: Arc::new(AtomicBool::new(false)),
            })
            .collect();
        Self {
            epoch_floor: root.epoch,
            root,
            drives,
        }
    }

    /// Takes a drive in for the changes to come, in place of an earlier opening of it: what that had on its way has
    /// returned, or it could not have been opened again.
    pub fn join(&mut self, drive: Arc<Drive>, next_slot: usize) {
        self.drives.retain(|known| known.drive.id() != drive.id());
        self.drives.push(RootDrive {
            drive,
            next_slot,
            busy: Arc::new(AtomicBool::new(false)),
        });
    }

    /// Lets go of a drive that could not be taken in: it can be opened again.
    pub fn leave(&mut self, id: DriveId) {
        self.drives.retain(|known| known.drive.id() != id);
    }

    /// Lets go of all drives for good; some may be known here alone.
    pub fn shut(&self) {
        self.drives.iter().for_each(|known| known.drive.shut());
    }

    /// The root as last changed with success.
    pub fn root(&self) -> &Root {
        &self.root
    }

    /// A change now would reach a majority, as far as is known.
    pub fn can_change(&self) -> bool {
        self.root.has_majority(|id| self.reachable(id))
    }

    /// Whether the drive is here to take changes.
    pub fn knows(&self, id: DriveId) -> bool {
        self.drives.iter().any(|known| known.drive.id() == id)
    }

    /// The slot of a drive that a change writes next.
    pub fn next_slot(&self, id: DriveId) -> Option<usize> {
        let known = self.drives.iter().find(|known| known.drive.id() == id);
        known.map(|known| known.next_slot)
    }

    fn reachable(&self, id: DriveId) -> bool {
        self.drives
            .iter()
            .any(|d| d.drive.id() == id && !d.busy.load(Ordering::Acquire))
            && self.root.serves(id)
    }

    /// Makes a change count, or says that it did not (`NoMajority`) or may not have (`Unknown`).
    /// Returns the drives that could not be written; they should be put out. Blocks on the drives.
    pub fn change(&mut self, nonce: u64, edit: impl FnOnce(&mut Root)) -> Result<Vec<DriveId>, RootError> {
        let mut next = self.root.clone();
        edit(&mut next);
        self.epoch_floor += 1;
        next.epoch = self.epoch_floor;
        next.nonce = nonce;
        // Both tables count, so whoever is in either is written to: also the drive that is about to leave.
        let takes = |id: DriveId| next.serves(id);
        let targets: Vec<usize> = (0..self.drives.len())
            .filter(|i| {
                self.drives
                    .get(*i)
                    .is_some_and(|d| takes(d.drive.id()) && !d.busy.load(Ordering::Acquire))
            })
            .collect();
        let ids: Vec<DriveId> = targets
            .iter()
            .filter_map(|i| self.drives.get(*i))
            .map(|d| d.drive.id())
            .collect();
        if !next.has_majority(|id| ids.contains(&id)) {
            return Err(RootError::NoMajority {
                in_reach: ids.len(),
                members: next.members.len(),
            });
        }
        let (written, failed) = self.write(&targets, &next);
        if !next.has_majority(|id| written.contains(&id)) {
            return Err(RootError::Unknown(failed.join("; ")));
        }
        for drive in self.drives.iter_mut().filter(|d| written.contains(&d.drive.id())) {
            drive.next_slot = 1 - drive.next_slot;
        }
        if self.root.old_members.is_some() && next.old_members.is_none() {
            // Until here a drive that leaves counted in the table from before.
            self.drives.retain(|known| next.member(known.drive.id()).is_some());
        }
        self.root = next;
        Ok(ids.into_iter().filter(|id| !written.contains(id)).collect())
    }

    /// Writes `next` to the drives `targets` and waits; returns who has it and why others do not.
    fn write(&self, targets: &[usize], next: &Root) -> (Vec<DriveId>, Vec<String>) {
        let (done, results) = mpsc::channel();
        for target in targets.iter().filter_map(|i| self.drives.get(*i)) {
            let id = target.drive.id();
            let bytes = encode_slot(&RootSlot {
                drive: id,
                root: next.clone(),
            });
            let (slot, drive, busy, done) = (
                target.next_slot,
                Arc::clone(&target.drive),
                Arc::clone(&target.busy),
                done.clone(),
            );
            busy.store(true, Ordering::Release);
            let job = move || drive.write_root_slot(slot, &bytes);
            target.drive.submit(Lane::Log, job, move |result| {
                busy.store(false, Ordering::Release);
                let _ = done.send((id, result));
            });
        }
        drop(done);
        let start = Instant::now();
        let (mut written, mut failed) = (Vec::new(), Vec::new());
        while written.len() + failed.len() < targets.len() {
            let counts = next.has_majority(|id| written.contains(&id));
            let patience = if counts { STRAGGLER_TIMEOUT } else { MAJORITY_TIMEOUT };
            let Ok((id, result)) = results.recv_timeout(patience.saturating_sub(start.elapsed())) else {
                break;
            };
            match result {
                Ok(()) => written.push(id),
                Err(error) => failed.push(error.to_string()),
            }
        }
        (written, failed)
    }
}
