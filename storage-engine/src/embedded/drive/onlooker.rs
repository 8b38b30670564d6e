//! Who has a drive open, told without asking for its lock: even a lock that is held for a moment only could make a start
//! miss the drive.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::{FOLDER, LOCK_FILE};

/// The process that has the drive at `path` open, as far as the kernel tells: one outside this container it does not.
pub fn user_of(path: &Path) -> io::Result<Option<u32>> {
    let lock = std::fs::metadata(path.join(FOLDER).join(LOCK_FILE))?;
    let (major, minor) = (rustix::fs::major(lock.dev()), rustix::fs::minor(lock.dev()));
    let locks = std::fs::read_to_string("/proc/locks")?;
    Ok(holder(&locks, major, minor, lock.ino()))
}

/// Who holds a `flock` on this file, by the kernel's table of locks.
fn holder(locks: &str, major: u32, minor: u32, inode: u64) -> Option<u32> {
    let wanted = format!("{major:02x}:{minor:02x}:{inode}");
    locks.lines().find_map(|line| {
        // 1: FLOCK  ADVISORY  WRITE 4711 08:01:1234 0 EOF; a line of one who waits has "->" in the second place.
        let mut fields = line.split_whitespace().skip(1);
        let (kind, _, _) = (fields.next()?, fields.next()?, fields.next()?);
        let (process, file) = (fields.next()?, fields.next()?);
        if kind == "FLOCK" && file == wanted {
            process.parse().ok()
        } else {
            None
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::drive::Drive;

    #[test]
    fn the_holder_of_a_lock_is_read_from_the_kernels_table() {
        let table = "1: POSIX  ADVISORY  WRITE 11 08:01:77 0 EOF\n\
                     2: FLOCK  ADVISORY  WRITE 22 08:01:78 0 EOF\n\
                     2: -> FLOCK  ADVISORY  WRITE 33 08:01:78 0 EOF\n\
                     3: FLOCK  ADVISORY  WRITE 44 08:01:77 0 EOF\n\
                     4: OFDLCK ADVISORY  READ -1 00:06:1 0 EOF\nnonsense\n";
        assert_eq!(holder(table, 8, 1, 77), Some(44));
        assert_eq!(holder(table, 8, 1, 78), Some(22));
        assert_eq!(holder(table, 8, 2, 78), None);
    }

    #[test]
    fn a_drive_that_is_open_has_a_user_and_one_that_was_closed_has_none() {
        let dir = tempfile::tempdir().unwrap();
        let drive = Drive::open(dir.path(), true).unwrap();
        assert_eq!(user_of(dir.path()).unwrap(), Some(std::process::id()));
        drop(drive);
        for _ in 0..500 {
            if user_of(dir.path()).unwrap().is_none() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        panic!("the lock is still held");
    }
}
