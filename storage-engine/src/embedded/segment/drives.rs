//! The drives that are present now, by id. Whoever takes a drive in or out of service says so here.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use parking_lot::{Mutex, RwLock};

use crate::embedded::drive::Drive;
use crate::embedded::id::DriveId;

/// An open drive and its id.
#[derive(Clone, Debug)]
pub struct PresentDrive {
    pub id: DriveId,
    pub drive: Arc<Drive>,
}

/// All present drives of a store.
#[derive(Debug, Default)]
pub struct Drives {
    present: RwLock<BTreeMap<DriveId, Arc<Drive>>>,
    /// Openings of drives that were taken out.
    former: Mutex<BTreeMap<DriveId, Vec<Weak<Drive>>>>,
}

impl Drives {
    /// Makes a drive present; returns the one that had its id before.
    pub fn insert(&self, id: DriveId, drive: Arc<Drive>) -> Option<Arc<Drive>> {
        let before = self.present.write().insert(id, drive);
        self.note_former(id, before.as_ref());
        before
    }

    /// Takes a drive out; what is on its way there goes on.
    pub fn remove(&self, id: &DriveId) -> Option<Arc<Drive>> {
        let removed = self.present.write().remove(id);
        self.note_former(*id, removed.as_ref());
        removed
    }

    fn note_former(&self, id: DriveId, drive: Option<&Arc<Drive>>) {
        if let Some(drive) = drive {
            self.former.lock().entry(id).or_default().push(Arc::downgrade(drive));
        }
    }

    /// Whether nobody holds on to a drive as it was before it was taken out: whatever was begun on it then has ended.
    pub fn former_are_gone(&self, id: DriveId) -> bool {
        let mut former = self.former.lock();
        let Some(known) = former.get_mut(&id) else { return true };
        known.retain(|drive| drive.strong_count() > 0);
        known.is_empty()
    }

    pub fn get(&self, id: &DriveId) -> Option<Arc<Drive>> {
        self.present.read().get(id).cloned()
    }

    /// All present drives, ordered by id.
    pub fn present(&self) -> Vec<PresentDrive> {
        let present = self.present.read();
        let drives = present.iter().map(|(id, drive)| PresentDrive {
            id: *id,
            drive: drive.clone(),
        });
        drives.collect()
    }
}
