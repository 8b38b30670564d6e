//! The drives that are present now, by id. Whoever takes a drive in or out of service says so here.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::RwLock;

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
}

impl Drives {
    /// Makes a drive present; returns the one that had its id before.
    pub fn insert(&self, id: DriveId, drive: Arc<Drive>) -> Option<Arc<Drive>> {
        self.present.write().insert(id, drive)
    }

    /// Takes a drive out; what is on its way there goes on.
    pub fn remove(&self, id: &DriveId) -> Option<Arc<Drive>> {
        self.present.write().remove(id)
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
