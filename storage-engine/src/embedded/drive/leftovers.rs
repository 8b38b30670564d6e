//! What stands in the folder of a drive that nothing names: told as it is, for others to judge. It locks and changes
//! nothing.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::shards::parse_shard_name;
use super::{CHECKPOINT_DIR, EXTENT_DIR, FOLDER, LOCK_FILE, LOG_DIR, ROOT_SLOTS, SCRUB_FILE};
use crate::embedded::frame::SHARD_HEADER_BYTES;
use crate::embedded::id::SegmentId;
use crate::embedded::segment::SegmentKind;

/// A file without a byte on media other than zero is read up to this length; a longer one counts as one with content.
const HOLLOW_BYTES_MAX: u64 = 1 << 20;

/// A file that is longer is no root slot.
const ROOT_BYTES_MAX: u64 = 1 << 20;

/// One thing in a drive's folder besides its lock and its empty directories.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leftover {
    /// A file with the name of a shard, where shards of such a kind belong.
    Shard {
        kind: SegmentKind,
        segment: SegmentId,
        shard: u8,
        /// As many bytes of its beginning as a header has; fewer if it is shorter.
        head: Vec<u8>,
        /// Length of the file.
        len: u64,
        /// It is empty or holds nothing but zeros: made, and cut off before its first byte was on media.
        hollow: bool,
    },
    /// The first root slot, with its bytes.
    FirstRoot(Vec<u8>),
    /// Anything else, by its name inside the folder.
    Other(String),
}

/// Everything in the folder of the drive at `path` but the lock and empty directories. Blocks.
pub fn leftovers(path: &Path) -> io::Result<Vec<Leftover>> {
    let folder = path.join(FOLDER);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(&folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_dir = entry.file_type()?.is_dir();
        match name.as_str() {
            // How far a drive is verified says nothing of what it holds.
            LOCK_FILE | SCRUB_FILE | "scrub.new" if !is_dir => {}
            LOG_DIR if is_dir => shards_in(&entry.path(), SegmentKind::Log, &mut found)?,
            CHECKPOINT_DIR if is_dir => shards_in(&entry.path(), SegmentKind::Checkpoint, &mut found)?,
            EXTENT_DIR if is_dir => below_extents(&entry.path(), &mut found)?,
            name if Some(&name) == ROOT_SLOTS.first() && !is_dir && entry.metadata()?.len() <= ROOT_BYTES_MAX => {
                found.push(Leftover::FirstRoot(std::fs::read(entry.path())?));
            }
            name => found.push(Leftover::Other(name.to_owned())),
        }
    }
    Ok(found)
}

fn below_extents(dir: &Path, found: &mut Vec<Leftover>) -> io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            shards_in(&entry.path(), SegmentKind::Extent, found)?;
        } else {
            found.push(Leftover::Other(entry.file_name().to_string_lossy().into_owned()));
        }
    }
    Ok(())
}

fn shards_in(dir: &Path, kind: SegmentKind, found: &mut Vec<Leftover>) -> io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let key = parse_shard_name(&name).filter(|_| entry.file_type().is_ok_and(|kind| kind.is_file()));
        let Some((segment, shard)) = key else {
            found.push(Leftover::Other(name));
            continue;
        };
        let mut head = Vec::new();
        File::open(entry.path())?
            .take(SHARD_HEADER_BYTES)
            .read_to_end(&mut head)?;
        let len = entry.metadata()?.len();
        let hollow = head.iter().all(|byte| *byte == 0) && is_hollow(&entry.path())?;
        found.push(Leftover::Shard {
            kind,
            segment,
            shard,
            head,
            len,
            hollow,
        });
    }
    Ok(())
}

fn is_hollow(path: &Path) -> io::Result<bool> {
    let file = File::open(path)?;
    if file.metadata()?.len() > HOLLOW_BYTES_MAX {
        return Ok(false);
    }
    let mut bytes = Vec::new();
    file.take(HOLLOW_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(bytes.iter().all(|byte| *byte == 0))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn everything_but_the_lock_and_empty_directories_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let shard = format!("{}.02", "ab".repeat(16));
        for (file, content) in [
            ("lock", b"".as_slice()),
            ("root.0", &[0; 600]),
            ("log/trial", b"x"),
            (&format!("log/{shard}"), b""),
            (&format!("checkpoint/{shard}"), b"DSFR and more"),
            (&format!("extent/0000/{shard}"), &[0; 5000]),
            ("index/db", b"x"),
        ] {
            let whole = dir.path().join(FOLDER).join(file);
            fs::create_dir_all(whole.parent().unwrap()).unwrap();
            fs::write(whole, content).unwrap();
        }
        let mut found: Vec<String> = leftovers(dir.path())
            .unwrap()
            .into_iter()
            .map(|leftover| match leftover {
                Leftover::Shard {
                    kind,
                    shard,
                    head,
                    hollow,
                    ..
                } => {
                    format!("{kind:?} {shard} {} {hollow}", head.len())
                }
                Leftover::FirstRoot(bytes) => format!("first root of {} bytes", bytes.len()),
                Leftover::Other(name) => name,
            })
            .collect();
        found.sort();
        assert_eq!(
            found,
            [
                "Checkpoint 2 13 false",
                "Extent 2 4096 true",
                "Log 2 0 true",
                "first root of 600 bytes",
                "index",
                "trial"
            ]
        );
    }
}
