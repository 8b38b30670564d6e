//! What a path holds before anything is opened, locked or written there.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::sync::Arc;

use super::faults::{FaultPlan, Operation, Seam};
use super::mounts::{self, MountFacts, Space};
use super::shards::parse_shard_name;
use super::slots;
use super::{CHECKPOINT_DIR, EXTENT_DIR, FOLDER, LOG_DIR, ROOT_SLOTS};

/// A file that is nobody's shard: written and removed to see whether a drive takes writes.
const TRIAL_FILE: &str = "trial";
const TRIAL_BYTES: usize = 4096;

/// What is found at a path that was given as a drive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    NoSuchPath,
    NotADirectory,
    /// Nothing, or nothing but `lost+found`, or a drive folder in which nothing was written yet.
    Empty,
    /// Something that is not ours; it is not touched. Says what.
    Foreign(String),
    /// At least one root slot is there; whether it verifies is not said.
    HoldsRoot,
    /// Shard files, but no root slot: an interrupted format, or a drive that lost its identity.
    RootLost,
}

/// The bytes of the root slots at a path, beside whoever has the drive open, if a file can be made, written, synced and
/// removed where the log stands: a drive that a store could go on with.
///
/// # Errors
/// What does not work. A drive without a root is never written. A full one works: it takes deletes of others.
pub fn try_out(path: &Path, faults: Option<Arc<FaultPlan>>) -> io::Result<[Option<Vec<u8>>; 2]> {
    let (folder, seam) = (path.join(FOLDER), Seam::new(faults));
    let slots = slots::read_both(&folder, &seam)?;
    if slots.iter().all(Option::is_none) {
        return Err(io::ErrorKind::NotFound.into());
    }
    let trial = folder.join(LOG_DIR).join(TRIAL_FILE);
    let tried = || -> io::Result<()> {
        let file = seam.get(Operation::Create, &trial, || File::create(&trial))?;
        let bytes = [1; TRIAL_BYTES];
        seam.write(&trial, 0, &[bytes], || file.write_all_at(&bytes, 0))?;
        seam.sync_file(&trial, || file.sync_data())?;
        seam.run(Operation::Remove, &trial, || std::fs::remove_file(&trial))
    };
    match tried() {
        Err(e) if !matches!(e.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => Err(e),
        Ok(()) | Err(_) => Ok(slots),
    }
}

/// Whether a directory exists and is not empty.
pub fn holds_anything(dir: &Path) -> bool {
    std::fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some())
}

/// Which directory a path leads to, whatever its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirectoryId {
    device: u64,
    inode: u64,
}

/// Which directory a path leads to now.
pub fn directory_id(path: &Path) -> io::Result<DirectoryId> {
    let found = std::fs::metadata(path)?;
    Ok(DirectoryId {
        device: found.dev(),
        inode: found.ino(),
    })
}

/// Facts of the mount a directory is on.
pub fn mount_facts_at(path: &Path) -> io::Result<MountFacts> {
    mounts::facts_of(path)
}

/// Space of the file system a directory is on.
pub fn space_at(path: &Path) -> io::Result<Space> {
    mounts::space_of(path)
}

/// Looks at a path without writing or locking.
///
/// # Errors
/// What could not be read: such a path is neither empty nor foreign.
pub fn probe(path: &Path) -> io::Result<Probe> {
    match std::fs::metadata(path) {
        Ok(found) if !found.is_dir() => return Ok(Probe::NotADirectory),
        Ok(_) => {}
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Probe::NoSuchPath),
        Err(e) if e.kind() == io::ErrorKind::NotADirectory => return Ok(Probe::NotADirectory),
        Err(e) => return Err(io::Error::new(e.kind(), format!("probe {}: {e}", path.display()))),
    }
    probe_directory(path).map_err(|e| io::Error::new(e.kind(), format!("probe {}: {e}", path.display())))
}

fn probe_directory(path: &Path) -> io::Result<Probe> {
    let mut foreign = None;
    let mut folder = false;
    for entry in std::fs::read_dir(path)? {
        let name = entry?.file_name();
        if name == ".minio.sys" {
            return Ok(Probe::Foreign(
                "the data of a MinIO (.minio.sys), whose format Drystone cannot read: start with empty drives and copy \
                 the objects over S3, while both run"
                    .into(),
            ));
        }
        if name == FOLDER {
            folder = true;
        } else if name != "lost+found" && foreign.is_none() {
            foreign = Some(name);
        }
    }
    if folder {
        return probe_folder(&path.join(FOLDER));
    }
    Ok(foreign.map_or(Probe::Empty, |name| Probe::Foreign(shown(&name))))
}

fn shown(name: &OsString) -> String {
    format!("{:?} and is no drive of a store", name.to_string_lossy())
}

fn probe_folder(folder: &Path) -> io::Result<Probe> {
    for slot in ROOT_SLOTS {
        if folder.join(slot).try_exists()? {
            return Ok(Probe::HoldsRoot);
        }
    }
    for dir in [LOG_DIR, CHECKPOINT_DIR, EXTENT_DIR] {
        if holds_shards(&folder.join(dir), dir == EXTENT_DIR)? {
            return Ok(Probe::RootLost);
        }
    }
    Ok(Probe::Empty)
}

fn holds_shards(dir: &Path, nested: bool) -> io::Result<bool> {
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(e) => return Err(e),
    };
    for entry in entries {
        let entry = entry?;
        let found = if nested && entry.file_type()?.is_dir() {
            holds_shards(&entry.path(), false)?
        } else {
            entry
                .file_name()
                .to_str()
                .is_some_and(|name| parse_shard_name(name).is_some())
        };
        if found {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Makes the files and directories (trailing slash) and probes.
    fn probe_with(made: &[&str]) -> Probe {
        let dir = tempfile::tempdir().unwrap();
        for path in made {
            let whole = dir.path().join(path);
            if path.ends_with('/') {
                fs::create_dir_all(whole).unwrap();
            } else {
                fs::create_dir_all(whole.parent().unwrap()).unwrap();
                fs::write(whole, b"").unwrap();
            }
        }
        probe(dir.path()).unwrap()
    }

    #[test]
    fn each_kind_of_directory_is_told_apart() {
        let shard = format!(".drystone/extent/0000/{}.00", "a".repeat(32));
        assert_eq!(probe_with(&[]), Probe::Empty);
        assert_eq!(probe_with(&["lost+found/"]), Probe::Empty);
        assert_eq!(probe_with(&[".drystone/lock", ".drystone/log/"]), Probe::Empty);
        assert_eq!(probe_with(&[&shard]), Probe::RootLost);
        assert_eq!(probe_with(&[".drystone/root.1", "lost+found/"]), Probe::HoldsRoot);
        assert!(matches!(probe_with(&["photo.jpg"]), Probe::Foreign(what) if what.contains("photo.jpg")));
    }

    #[test]
    fn a_minio_drive_is_foreign_whatever_else_it_holds() {
        let found = probe_with(&[".minio.sys/format.json", ".drystone/root.0"]);
        assert!(matches!(found, Probe::Foreign(what) if what.contains("MinIO")));
    }

    #[test]
    fn a_missing_path_and_a_file_are_no_directories() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(probe(&dir.path().join("none")).unwrap(), Probe::NoSuchPath);
        let file = dir.path().join("file");
        fs::write(&file, b"").unwrap();
        assert_eq!(probe(&file).unwrap(), Probe::NotADirectory);
        assert_eq!(probe(&file.join("below")).unwrap(), Probe::NotADirectory);
    }

    #[test]
    fn probing_writes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        probe(dir.path()).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
