//! Drives whose folder is gone while their files are still open: unmounted, moved away or deleted under a running store.
//! What the log writes there reaches no start, so such a drive must leave even if the store can then only be read. It
//! looks at the root alone; a drive that errs or does not answer is left to those who write to it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio::time::timeout;

use crate::embedded::core::Shared;
use crate::embedded::drive::{Drive, Lane};
use crate::embedded::id::DriveId;
use crate::embedded::log::Fault;
use crate::embedded::root::decode_slot;

/// How long a drive may take to show its root before it is left for the next look.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

impl Shared {
    /// The drives in service that have no root any more where they were opened.
    pub async fn absent_drives(&self) -> Vec<Fault> {
        let looks = self.present_drives().map(|drive| async move {
            let why = timeout(ANSWER_WITHIN, why_absent(&drive)).await.ok().flatten();
            why.map(|error| Fault::from_io(drive.id(), &error))
        });
        join_all(looks).await.into_iter().flatten().collect()
    }
}

/// Another drive that was mounted over this one has a root, too. One that does not verify is no sign of that.
fn is_of(bytes: &[u8], drive: DriveId) -> bool {
    decode_slot(bytes).map_or(true, |slot| slot.drive == drive)
}

async fn why_absent(drive: &Arc<Drive>) -> Option<io::Error> {
    let asked = Arc::clone(drive);
    match drive.run(Lane::Bulk, move || asked.read_root_slots()).await {
        Ok(slots) if !slots.iter().flatten().any(|bytes| is_of(bytes, drive.id())) => Some(io::Error::new(
            io::ErrorKind::NotFound,
            format!("{}: the drive is not there any more", drive.path().display()),
        )),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Some(error),
        Ok(_) | Err(_) => None,
    }
}
