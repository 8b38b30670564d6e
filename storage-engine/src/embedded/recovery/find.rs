//! What stands at the given paths. It opens and locks drives of a store; it formats nothing and changes nothing.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::join_all;

use super::adopt::EmptyDirectory;
use super::patience::Patience;
use crate::embedded::drive::{
    DirectoryId, Drive, DriveError, DriveOptions, MountFacts, Probe, directory_id, mount_facts_at, probe,
};
use crate::embedded::id::DriveId;
use crate::embedded::root::{Refusal, RootSlot, decode_slot, is_newer_slot};

/// Why a store cannot be opened, in words for the operator.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("no drives were given")]
    NoDrives,
    #[error("{path}: {reason}")]
    Drive { path: PathBuf, reason: String },
    #[error("{path} cannot be written: {reason}")]
    NotWritable { path: PathBuf, reason: String },
    #[error("{path} is full: {reason}")]
    Full { path: PathBuf, reason: String },
    /// The path holds something that is not ours; nothing on it was touched.
    #[error("{path} holds {what}; drystone does not touch it. Give an empty directory, or move the data away first")]
    Foreign { path: PathBuf, what: String },
    #[error("{path} and {other} are one directory; give each drive once")]
    Twice { path: PathBuf, other: PathBuf },
    /// Each entry: where drives of one store are, and its id.
    #[error("drives of different stores were given together; give those of one store: {}", .0.join("; "))]
    Mixed(Vec<String>),
    #[error("no drive can be used: {}", .0.join("; "))]
    Unusable(Vec<String>),
    #[error("{0}")]
    Refused(#[from] Refusal),
    #[error("parity EC:{parity} needs more than {drives} drives")]
    Parity { parity: u8, drives: usize },
    #[error("{0} drives are more than a store can have")]
    TooMany(usize),
    #[error("this processor cannot run drystone: {0}")]
    Cpu(&'static str),
    #[error("the log cannot be read: {0}")]
    Log(String),
    #[error("no checkpoint can be read: {0}")]
    Checkpoint(String),
    #[error("index: {0}")]
    Index(String),
    #[error("the drives cannot be written: {0}")]
    Write(String),
}

impl OpenError {
    /// An error of a file operation on a drive that is being made.
    pub fn making(path: &Path, error: &io::Error) -> Self {
        let (path, reason) = (path.to_owned(), error.to_string());
        match error.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Self::NotWritable { path, reason },
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full { path, reason },
            _ => Self::Drive { path, reason },
        }
    }

    /// Whether a later start may succeed without the operator changing what was given.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Refused(Refusal::TooFew { .. } | Refusal::LogMissing { .. } | Refusal::NoRoot)
            | Self::Log(_)
            | Self::Checkpoint(_)
            | Self::Write(_) => true,
            Self::NoDrives
            | Self::Unusable(_)
            | Self::NotWritable { .. }
            | Self::Full { .. }
            | Self::Drive { .. }
            | Self::Foreign { .. }
            | Self::Twice { .. }
            | Self::Mixed(_)
            | Self::Refused(Refusal::TwoStores(_))
            | Self::Parity { .. }
            | Self::TooMany(_)
            | Self::Cpu(_)
            | Self::Index(_) => false,
        }
    }
}

/// A drive of a store, locked, with its newest readable root.
pub struct FoundDrive {
    pub drive: Arc<Drive>,
    pub path: PathBuf,
    pub slot: RootSlot,
    /// The slot that does not hold `slot`: the next one to write.
    pub next_slot: usize,
}

/// How long a start waits for a drive that is locked.
const LOCK_PATIENCE: Duration = Duration::from_secs(1);

/// Everything the given paths hold.
#[derive(Default)]
pub struct Found {
    pub drives: Vec<FoundDrive>,
    /// Directories that hold nothing, or a format that never got as far as a root.
    pub empty: Vec<EmptyDirectory>,
    /// Paths with shard files, but without a root that can be read.
    pub nameless: Vec<PathBuf>,
    /// Paths that do not exist.
    pub unborn: Vec<PathBuf>,
    /// Paths that cannot be used now, and why.
    pub absent: Vec<(PathBuf, String)>,
}

impl Found {
    /// How the drives that were found are mounted, as far as that can be known.
    pub(super) fn mounts(&self) -> Vec<(DriveId, MountFacts)> {
        let mounts = self.drives.iter();
        mounts
            .filter_map(|found| Some((found.slot.drive, found.drive.mount_facts().ok()?)))
            .collect()
    }
}

/// What one path holds.
pub(super) enum Look {
    Member(Box<FoundDrive>),
    Empty(EmptyDirectory),
    Nameless,
    Unborn,
    Foreign(String),
    Absent(String),
}

/// Looks at every path, each on a thread of its own: one that does not answer in time is missing. Something foreign
/// refuses the whole start; what is merely missing does not.
pub async fn find(paths: &[PathBuf], options: &DriveOptions, patience: &Patience) -> Result<Found, OpenError> {
    let looks = join_all(paths.iter().map(|path| look_in_time(path, options, patience))).await;
    let mut found = Found::default();
    let mut places: Vec<(DirectoryId, &PathBuf)> = Vec::new();
    for (path, (place, look)) in paths.iter().zip(looks) {
        let before = places
            .iter()
            .find(|(known, other)| Some(*known) == place || *other == path);
        if let Some((_, other)) = before {
            let (path, other) = (path.clone(), (*other).clone());
            return Err(OpenError::Twice { path, other });
        }
        places.extend(place.map(|place| (place, path)));
        match look {
            Look::Member(drive) => found.drives.push(*drive),
            Look::Empty(directory) => found.empty.push(directory),
            Look::Nameless => found.nameless.push(path.clone()),
            Look::Unborn if found.unborn.contains(path) => {
                let (path, other) = (path.clone(), path.clone());
                return Err(OpenError::Twice { path, other });
            }
            Look::Unborn => found.unborn.push(path.clone()),
            Look::Foreign(what) => {
                let path = path.clone();
                return Err(OpenError::Foreign { path, what });
            }
            Look::Absent(reason) => found.absent.push((path.clone(), reason)),
        }
    }
    drop_twins(&mut found);
    Ok(found)
}

/// Looks at a path, and at which directory it is. What answers too late is let go again.
pub(super) async fn look_in_time(
    path: &Path,
    options: &DriveOptions,
    patience: &Patience,
) -> (Option<DirectoryId>, Look) {
    let its = options.clone();
    let looking = move |path: &Path| (directory_id(path).ok(), look(path, &its));
    let looked = patience.ask(path, options.answer_within, looking).await;
    looked.unwrap_or_else(|reason| (None, Look::Absent(reason)))
}

/// Looks at one path. Blocks.
fn look(path: &Path, options: &DriveOptions) -> Look {
    match probe(path) {
        Ok(Probe::Foreign(what)) => Look::Foreign(what),
        Ok(Probe::HoldsRoot) => match open_member(path, options) {
            Ok(look) => look,
            Err(DriveError::Locked(_)) => Look::Absent("another process uses it".into()),
            Err(error) => Look::Absent(error.to_string()),
        },
        Ok(Probe::Empty) => match mount_facts_at(path) {
            Ok(mount) => Look::Empty(EmptyDirectory {
                path: path.to_owned(),
                mount,
            }),
            Err(error) => Look::Absent(error.to_string()),
        },
        Ok(Probe::RootLost) => Look::Nameless,
        Ok(Probe::NoSuchPath) => Look::Unborn,
        Ok(Probe::NotADirectory) => Look::Absent("it is not a directory".into()),
        Err(error) => Look::Absent(error.to_string()),
    }
}

/// Opens a drive; the last jobs of an earlier run of this process may hold it a moment longer.
fn open_once_free(path: &Path, options: &DriveOptions) -> Result<Drive, DriveError> {
    let start = Instant::now();
    loop {
        match Drive::open_with(path, false, options.clone()) {
            Err(DriveError::Locked(_)) if start.elapsed() < LOCK_PATIENCE => std::thread::sleep(LOCK_PATIENCE / 20),
            other => return other,
        }
    }
}

fn open_member(path: &Path, options: &DriveOptions) -> Result<Look, DriveError> {
    let drive = open_once_free(path, options)?;
    let slots = drive.read_root_slots().map_err(|error| DriveError::Io {
        path: path.to_owned(),
        error,
    })?;
    if slots.iter().flatten().any(|bytes| is_newer_slot(bytes)) {
        return Ok(Look::Absent("a newer version of drystone wrote its root".into()));
    }
    let newest = slots
        .iter()
        .enumerate()
        .filter_map(|(n, bytes)| Some((n, decode_slot(bytes.as_deref()?).ok()?)))
        .max_by_key(|(_, slot)| slot.root.age());
    let Some((n, slot)) = newest else {
        return Ok(Look::Nameless);
    };
    drive.set_id(slot.drive);
    Ok(Look::Member(Box::new(FoundDrive {
        drive: Arc::new(drive),
        path: path.to_owned(),
        slot,
        next_slot: 1 - n,
    })))
}

/// Two paths with one drive id: one is a copy, and nobody can say which. Neither is used.
fn drop_twins(found: &mut Found) {
    let ids: Vec<DriveId> = found.drives.iter().map(|d| d.slot.drive).collect();
    let is_twin = |id: DriveId| ids.iter().filter(|other| **other == id).count() > 1;
    let (twins, single): (Vec<_>, Vec<_>) = found.drives.drain(..).partition(|d| is_twin(d.slot.drive));
    found.drives = single;
    for twin in twins {
        let reason = format!(
            "drive {} is at another given path too; neither is used",
            twin.slot.drive
        );
        found.absent.push((twin.path, reason));
    }
}
