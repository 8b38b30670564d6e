//! What a power cut may take: written bytes that were never synced, and files whose directory was never synced. A test
//! records it beside the real files, stops its drives, and then takes it. Only fault plans use this.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Writes to one file since its last sync.
#[derive(Debug, Default)]
pub(super) struct Writes {
    /// Offset and length of each.
    ranges: Vec<(u64, u64)>,
    /// Length of the file when the first of them came: what stands behind it was never on media.
    synced_len: Option<u64>,
}

/// Everything that stands in the page cache only.
#[derive(Debug, Default)]
pub(super) struct Unsynced {
    files: HashMap<PathBuf, Writes>,
    entries: HashSet<PathBuf>,
}

impl Unsynced {
    /// To be called before the write is done.
    pub(super) fn write(&mut self, path: &Path, offset: u64, len: u64) {
        let writes = self.files.entry(path.to_owned()).or_default();
        if writes.synced_len.is_none() {
            writes.synced_len = Some(fs::metadata(path).map_or(0, |m| m.len()));
        }
        writes.ranges.push((offset, len));
    }

    pub(super) fn created(&mut self, path: &Path) {
        self.entries.insert(path.to_owned());
    }

    pub(super) fn removed(&mut self, path: &Path) {
        self.entries.remove(path);
        self.files.remove(path);
    }

    /// What was not synced under the old name is not under the new one. A name that is new is lost with its directory;
    /// where a file was replaced the new one stays, which is what a file system may do.
    pub(super) fn renamed(&mut self, from: &Path, to: &Path, replaced: bool) {
        let writes = self.files.remove(from);
        self.files.remove(to);
        self.files.extend(writes.map(|writes| (to.to_owned(), writes)));
        if self.entries.remove(from) && !replaced {
            self.entries.insert(to.to_owned());
        }
    }

    /// Takes what a sync that begins now will put on media; to be given back if it fails.
    pub(super) fn begin_sync(&mut self, path: &Path) -> Option<Writes> {
        self.files.remove(path)
    }

    pub(super) fn failed_sync(&mut self, path: &Path, writes: Writes) {
        let later = self.files.remove(path).unwrap_or_default();
        let mut all = writes;
        all.ranges.extend(later.ranges);
        self.files.insert(path.to_owned(), all);
    }

    pub(super) fn directory_synced(&mut self, dir: &Path) {
        self.entries.retain(|path| path.parent() != Some(dir));
    }

    /// Takes it all from the files below `dir`; returns how many files lost something.
    pub(super) fn lose(&mut self, dir: &Path) -> io::Result<usize> {
        let mut lost = 0;
        let entries = std::mem::take(&mut self.entries);
        for path in entries {
            if !path.starts_with(dir) {
                self.entries.insert(path);
                continue;
            }
            self.files.remove(&path);
            lost += 1;
            match fs::remove_file(&path) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                Ok(()) | Err(_) => {}
            }
        }
        let files = std::mem::take(&mut self.files);
        for (path, writes) in files {
            if !path.starts_with(dir) {
                self.files.insert(path, writes);
                continue;
            }
            lost += usize::from(lose_writes(&path, &writes)?);
        }
        Ok(lost)
    }
}

fn lose_writes(path: &Path, writes: &Writes) -> io::Result<bool> {
    let file = match File::options().write(true).open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(e) => return Err(e),
    };
    let kept_len = writes.synced_len.unwrap_or(0);
    for (offset, len) in &writes.ranges {
        let inside = offset.saturating_add(*len).min(kept_len).saturating_sub(*offset);
        file.write_all_at(&vec![0; usize::try_from(inside).unwrap_or(0)], *offset)?;
    }
    if file.metadata()?.len() > kept_len {
        file.set_len(kept_len)?;
    }
    Ok(true)
}
