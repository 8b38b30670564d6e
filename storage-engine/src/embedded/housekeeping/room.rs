//! How much more the drives take. It looks at their file systems, tells the service whether they are below their reserve,
//! and counts bodies on their way in against what is left, so that a fast writer never eats the reserve between two
//! looks. It frees nothing.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OwnedMutexGuard;
use tokio::time::timeout;

use crate::embedded::compact::{DriveSpace, Reserve, Room};
use crate::embedded::core::Shared;
use crate::embedded::index::IndexError;
use crate::embedded::log::LOG_SEGMENT_BYTES;

/// What a body takes besides its bytes: its part of a log record, padding included.
const BODY_OVERHEAD_BYTES: u64 = 8 * 1024;

/// How long a body waits for the file systems to answer.
const LOOK_WITHIN: Duration = Duration::from_secs(2);
/// What may come before they are asked again, when they do not.
const UNSEEN_BYTES: u64 = 64 << 20;

/// There is no room for this body above the reserve.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the drives are below their reserve; delete something, or give the store more space")]
pub struct NoRoom;

/// What a look at the file systems found.
#[derive(Clone, Debug)]
pub struct Judged {
    /// Some file system is below its reserve.
    pub short: bool,
    /// Capacity of all drives together, in bytes.
    pub capacity: u64,
    /// What each drive takes above what its file system must keep.
    pub room: Room,
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
            let space = DriveSpace {
                device: facts.device,
                free: space.free,
                holds_index: drive.index_dir().is_dir(),
            };
            drives.push((drive.id(), space));
        }
        let newest = self.keeper.lock().root().checkpoints.last().map(|last| last.piece.len);
        let reserve = Reserve {
            checkpoint_shard_bytes: newest.unwrap_or(0),
            index_bytes: self.index.disk_bytes()?,
            log_segment_bytes: LOG_SEGMENT_BYTES,
        };
        let room = Room::of(&drives, &reserve);
        let short = room.is_short();
        // What is left is counted low, and looked at again.
        self.service.set_room(room.for_bodies());
        self.service.set_full(short);
        Ok(Judged { short, capacity, room })
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
        // Waited for here, so that what another look finds is enough for this body, too.
        let turn = match timeout(LOOK_WITHIN, self.service.turn_to_look()).await {
            Ok(turn) => turn,
            Err(_) => return self.go_on_unseen(),
        };
        if self.service.spend_room(bytes) {
            return Ok(());
        }
        match self.look_at_space(LOOK_WITHIN, Some(turn)).await {
            Err(_) => self.go_on_unseen(),
            Ok(_) if !self.service.is_full() && self.service.spend_room(bytes) => Ok(()),
            Ok(_) => {
                self.service.note_refused();
                Err(NoRoom)
            }
        }
    }

    /// [`Self::judge_space`], for a limited time. One look at a time, whoever asks (`turn` is that of a caller who has it
    /// already): a look that hangs keeps its turn, so that a hung drive costs one thread and not one for every look.
    ///
    /// # Errors
    /// The index failed, which ends the service by itself, or a file system does not answer.
    pub async fn look_at_space(
        self: &Arc<Self>,
        within: Duration,
        turn: Option<OwnedMutexGuard<()>>,
    ) -> Result<Judged, String> {
        let untold = || "a file system does not tell its free space".to_owned();
        let turn = match turn {
            Some(turn) => turn,
            None => timeout(within, self.service.turn_to_look())
                .await
                .map_err(|_| untold())?,
        };
        let shared = Arc::clone(self);
        let look = tokio::task::spawn_blocking(move || {
            let judged = shared.judge_space();
            drop(turn);
            judged
        });
        match timeout(within, look).await {
            Ok(Ok(judged)) => judged.map_err(|e| e.to_string()),
            Ok(Err(failed)) => Err(failed.to_string()),
            Err(_) => Err(untold()),
        }
    }

    /// A drive that does not answer is the committer's matter, not that of every body.
    fn go_on_unseen(&self) -> Result<(), NoRoom> {
        self.service.set_room(UNSEEN_BYTES);
        Ok(())
    }
}
