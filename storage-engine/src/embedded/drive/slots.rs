//! The two root slots of a drive: small files that are overwritten in place, one at a time.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::ROOT_SLOTS;
use super::faults::{Operation, Seam};

pub(super) fn read_both(folder: &Path, seam: &Seam) -> io::Result<[Option<Vec<u8>>; 2]> {
    let [zero, one] = ROOT_SLOTS.map(|name| {
        let path = folder.join(name);
        seam.get(Operation::Read, &path, || match std::fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        })
    });
    Ok([zero?, one?])
}

pub(super) fn write(folder: &Path, seam: &Seam, slot: usize, bytes: &[u8]) -> io::Result<()> {
    let name = ROOT_SLOTS.get(slot).ok_or(io::ErrorKind::InvalidInput)?;
    let path = folder.join(name);
    let is_new = !path.try_exists()?;
    let file = seam.get(Operation::Open, &path, || {
        File::options().write(true).create(true).truncate(false).open(&path)
    })?;
    if is_new {
        seam.created(&path);
    }
    let len = bytes.len() as u64;
    seam.write(&path, 0, &[bytes], || {
        file.write_all_at(bytes, 0)?;
        file.set_len(len)
    })?;
    seam.resized(&path, len);
    seam.sync_file(&path, || file.sync_data())?;
    // Always: a process that died after it made the file may not have come to this.
    seam.sync_directory(folder, || File::open(folder)?.sync_all())
}
