//! How much more the drives take. It looks at their file systems, tells the service whether they are below their reserve,
//! and counts bodies on their way in against what is left, so that a fast writer never eats the reserve between two
//! looks. It frees nothing.

use std::sync::Arc;

use crate::embedded::compact::{DriveSpace, Reserve, reserves};
use crate::embedded::core::Shared;
use crate::embedded::index::IndexError;
use crate::embedded::log::LOG_SEGMENT_BYTES;

/// What a body takes besides its bytes: its part of a log record, padding included.
const BODY_OVERHEAD_BYTES: u64 = 8 * 1024;

/// There is no room for this body above the reserve.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the drives are below their reserve; delete something, or give the store more space")]
pub struct NoRoom;

/// What a look at the file systems found.
#[derive(Clone, Copy, Debug)]
pub struct Judged {
    /// Some file system is below its reserve.
    pub short: bool,
    /// Capacity of all drives together, in bytes.
    pub capacity: u64,
}

impl Shared {
    /// Looks at the file systems of all present drives and tells the service. Blocks.
    pub fn judge_space(&self) -> Result<Judged, IndexError> {
        let mut capacity = 0;
        let mut drives = Vec::new();
        for drive in self.present_drives() {
            // A drive that does not answer is the committer's matter.
            let (Ok(space), Ok(facts)) = (drive.space(), drive.mount_facts()) else {
                continue;
            };
            capacity += space.capacity;
            let holds_index = drive.index_dir().is_dir();
            drives.push(DriveSpace {
                device: facts.device,
                free: space.free,
                holds_index,
            });
        }
        let newest = self.keeper.lock().root().checkpoints.last().map(|last| last.piece.len);
        let reserve = Reserve {
            checkpoint_shard_bytes: newest.unwrap_or(0),
            index_bytes: self.index.disk_bytes()?,
            log_segment_bytes: LOG_SEGMENT_BYTES,
        };
        let systems = reserves(&drives, &reserve);
        let short = systems.values().any(|system| system.is_short());
        // A byte of a body takes at most one byte of each drive: what is left is counted low, and looked at again.
        let sharing = |device: &u64| drives.iter().filter(|drive| drive.device == *device).count() as u64;
        let left = systems
            .iter()
            .map(|(device, system)| system.free.saturating_sub(system.reserve) / sharing(device).max(1));
        self.service.set_room(left.min().unwrap_or(0));
        self.service.set_full(short);
        Ok(Judged { short, capacity })
    }

    /// Counts the beginning of a body.
    pub async fn take_room_for_body(self: &Arc<Self>) -> Result<(), NoRoom> {
        self.take_room(BODY_OVERHEAD_BYTES).await
    }

    /// Counts `bytes` of a body before they are written; looks at the drives again when what was left is used up.
    pub async fn take_room(self: &Arc<Self>, bytes: u64) -> Result<(), NoRoom> {
        if self.service.spend_room(bytes) {
            return Ok(());
        }
        let shared = Arc::clone(self);
        let judged = tokio::task::spawn_blocking(move || shared.judge_space()).await;
        // An index that failed ends the service by itself.
        if !matches!(judged, Ok(Ok(_))) || (!self.service.is_full() && self.service.spend_room(bytes)) {
            return Ok(());
        }
        self.service.note_refused();
        Err(NoRoom)
    }
}
