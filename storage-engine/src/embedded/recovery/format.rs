//! The first root of a store, and new drives in directories that hold nothing: it writes nowhere else.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::find::{Found, FoundDrive, OpenError};
use super::start::OpenOptions;
use super::unfinished::left_by_a_first_format;
use crate::embedded::checkpoint::{LogDelta, Position};
use crate::embedded::checkpoint_io::{self, Target};
use crate::embedded::core::nonce;
use crate::embedded::damage_log::DamageLog;
use crate::embedded::drive::index_dir::make_dirs;
use crate::embedded::drive::{Drive, DriveError, Leftover, leftovers};
use crate::embedded::erasure::default_parity;
use crate::embedded::id::{DriveId, StoreId};
use crate::embedded::log::{Head, NewSegment, RecordFacts, write_new_segment};
use crate::embedded::root::{LogSegment, Member, MemberState, Root, RootSlot, encode_slot};
use crate::embedded::segment::{Drives, SegmentReader};

/// The epoch of a store's first root.
pub const FIRST_EPOCH: u64 = 1;

/// Opens an empty directory as a drive with a new id.
pub(super) fn new_drive(options: &OpenOptions, path: &Path) -> Result<(Arc<Drive>, Member), OpenError> {
    let failed = |e: std::io::Error| OpenError::making(path, &e);
    make_dirs(path).map_err(failed)?;
    let drive = Drive::open_with(path, true, options.drive.clone()).map_err(|error| match error {
        DriveError::Io { error, .. } => failed(error),
        DriveError::Locked(_) | DriveError::NotFormatted(_) => OpenError::Drive {
            path: path.to_owned(),
            reason: error.to_string(),
        },
    })?;
    let id = DriveId::random().map_err(failed)?;
    drive.set_id(id);
    let mount = drive.mount_facts().map_err(failed)?;
    let member = Member {
        id,
        state: MemberState::In,
        mount,
        path: path.to_string_lossy().into_owned(),
    };
    Ok((Arc::new(drive), member))
}

/// A new member takes the place of one that is gone from now on.
pub(super) fn put_in_place(root: &mut Root, old: DriveId, new: Member) {
    if let Some(place) = root.members.iter_mut().find(|member| member.id == old) {
        *place = new;
    }
    root.gone.push(old);
}

/// Takes away what a first format left here that was cut off. Looked at once more now that the drive is locked.
fn clear(drive: &Drive) -> Result<(), OpenError> {
    let failed = |e: std::io::Error| OpenError::making(drive.path(), &e);
    let left = leftovers(drive.path()).map_err(failed)?;
    left_by_a_first_format(&left).map_err(|why| OpenError::Drive {
        path: drive.path().to_owned(),
        reason: format!("it is not empty: {why}"),
    })?;
    for leftover in left {
        if let Leftover::Shard {
            kind, segment, shard, ..
        } = leftover
        {
            drive.remove_shard(kind, segment, shard).map_err(failed)?;
        }
    }
    Ok(())
}

/// All given drives, locked before anything is taken away from any.
fn cleared_drives(options: &OpenOptions) -> Result<Vec<(Arc<Drive>, Member)>, OpenError> {
    let made = options.drives.iter().map(|path| new_drive(options, path));
    let made = made.collect::<Result<Vec<_>, _>>()?;
    made.iter().try_for_each(|(drive, _)| clear(drive))?;
    Ok(made)
}

/// Makes a store on the given paths, all of which are empty, do not exist yet, or hold what a format left that was cut
/// off before its first root. It exists once its root is on more
/// than half of the drives; until then the paths count as empty.
pub async fn format(options: &OpenOptions) -> Result<Found, OpenError> {
    let count = options.drives.len();
    let parity = options.parity.unwrap_or_else(|| default_parity(count));
    if usize::from(parity) >= count {
        return Err(OpenError::Parity { parity, drives: count });
    }
    let made = cleared_drives(options)?;
    let store = StoreId::random().map_err(|e| OpenError::Write(e.to_string()))?;
    let drives: Vec<Arc<Drive>> = made.iter().map(|(drive, _)| Arc::clone(drive)).collect();
    let log = first_log(store, parity, &drives).await?;
    let position = Position {
        segment: log.segment.id,
        offset: crate::embedded::frame::SHARD_HEADER_BYTES,
        seq: 0,
        epoch: FIRST_EPOCH,
    };
    let present = Arc::new(Drives::default());
    drives
        .iter()
        .for_each(|drive| drop(present.insert(drive.id(), Arc::clone(drive))));
    let reader = SegmentReader::new(present, Arc::default(), Arc::new(DamageLog::default()));
    let target = Target {
        store,
        epoch: FIRST_EPOCH,
        parity,
        candidates: drives,
    };
    let checkpoint = checkpoint_io::write(target, &reader, None, LogDelta::default(), position)
        .await
        .map_err(|e| OpenError::Write(e.to_string()))?;
    let root = Root {
        store,
        epoch: FIRST_EPOCH,
        nonce: nonce(),
        parity,
        members: made.iter().map(|(_, member)| member.clone()).collect(),
        old_members: None,
        gone: Vec::new(),
        log: vec![LogSegment {
            segment: log.segment,
            valid_len: None,
            epoch: FIRST_EPOCH,
        }],
        checkpoints: vec![checkpoint.reference],
        rebalance: None,
    };
    let mut found = Found::default();
    for (drive, member) in made {
        let slot = RootSlot {
            drive: member.id,
            root: root.clone(),
        };
        let path = PathBuf::from(member.path);
        drive
            .write_root_slot(0, &encode_slot(&slot))
            .map_err(|e| OpenError::making(&path, &e))?;
        found.drives.push(FoundDrive {
            drive,
            path,
            slot,
            next_slot: 1,
        });
    }
    checkpoint.staged.keep();
    tracing::info!(%store, drives = count, parity, "a new store was formatted");
    Ok(found)
}

async fn first_log(store: StoreId, parity: u8, drives: &[Arc<Drive>]) -> Result<NewSegment, OpenError> {
    let candidates = drives.to_vec();
    let path_of = |id: DriveId| drives.iter().find(|drive| drive.id() == id).map(|drive| drive.path());
    let head = Head {
        facts: RecordFacts {
            seq: FIRST_EPOCH << 32,
            ..RecordFacts::default()
        },
        batches: Vec::new(),
    };
    let made = tokio::task::spawn_blocking(move || {
        let shape = (parity, candidates.len());
        write_new_segment(store, FIRST_EPOCH, shape, candidates, head, |faults| faults.is_empty())
    });
    let (made, faults) = made.await.map_err(|e| OpenError::Write(e.to_string()))?;
    let full = faults.iter().find(|fault| !fault.is_failure());
    if let Some((full, path)) = full.and_then(|full| Some((full, path_of(full.drive)?))) {
        return Err(OpenError::Full {
            path: path.to_owned(),
            reason: full.reason.clone(),
        });
    }
    let reasons = || {
        faults
            .iter()
            .map(|fault| fault.reason.clone())
            .collect::<Vec<_>>()
            .join("; ")
    };
    made.ok_or_else(|| OpenError::Write(reasons()))
}
