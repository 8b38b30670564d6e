//! Everything that was done to the files of a test's drives, in order and with its bytes: what a cut of the power at any
//! moment may leave is worked out from it afterwards, by [`super::cut`]. Only fault plans use this.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// A file whatever its name: what file systems call an inode.
pub type FileNumber = usize;

/// One thing that was done, and what it made durable.
#[derive(Clone, Debug)]
pub enum Change {
    Created {
        path: PathBuf,
        file: FileNumber,
    },
    Wrote {
        file: FileNumber,
        offset: u64,
        bytes: Vec<u8>,
    },
    Resized {
        file: FileNumber,
        len: u64,
    },
    /// All that was done to the file's bytes before change number `before` is on stable media.
    FileSynced {
        file: FileNumber,
        before: usize,
    },
    Renamed {
        from: PathBuf,
        to: PathBuf,
        file: FileNumber,
    },
    Removed {
        path: PathBuf,
    },
    /// All that was done to the directory's entries before change number `before` is on stable media.
    DirectorySynced {
        dir: PathBuf,
        before: usize,
    },
    /// The test changed what media hold: the file's whole content now, `None` if it is gone.
    Harmed {
        path: PathBuf,
        file: FileNumber,
        content: Option<Vec<u8>>,
    },
}

/// What was done so far. Files that it did not see being made are not known to it.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    changes: Vec<Change>,
    names: HashMap<PathBuf, FileNumber>,
    files: FileNumber,
}

impl Trace {
    /// How many changes there were: the moment between them and the next.
    pub fn moment(&self) -> usize {
        self.changes.len()
    }

    /// All changes, in the order in which they were done.
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    pub(super) fn created(&mut self, path: &Path) {
        let file = self.files;
        self.files += 1;
        self.names.insert(path.to_owned(), file);
        let path = path.to_owned();
        self.changes.push(Change::Created { path, file });
    }

    /// To be called before the write is done: a cut may fall into it.
    pub(super) fn wrote(&mut self, path: &Path, offset: u64, bytes: Vec<u8>) {
        if let Some(file) = self.names.get(path).copied() {
            self.changes.push(Change::Wrote { file, offset, bytes });
        }
    }

    pub(super) fn resized(&mut self, path: &Path, len: u64) {
        if let Some(file) = self.names.get(path).copied() {
            self.changes.push(Change::Resized { file, len });
        }
    }

    /// What a sync that begins now is about; to be given to [`Self::file_synced`] once it succeeded.
    pub(super) fn begin_sync(&self, path: &Path) -> Option<(FileNumber, usize)> {
        Some((*self.names.get(path)?, self.changes.len()))
    }

    pub(super) fn file_synced(&mut self, (file, before): (FileNumber, usize)) {
        self.changes.push(Change::FileSynced { file, before });
    }

    pub(super) fn renamed(&mut self, from: &Path, to: &Path) {
        if let Some(file) = self.names.remove(from) {
            self.names.insert(to.to_owned(), file);
            let (from, to) = (from.to_owned(), to.to_owned());
            self.changes.push(Change::Renamed { from, to, file });
        }
    }

    pub(super) fn removed(&mut self, path: &Path) {
        if self.names.remove(path).is_some() {
            let path = path.to_owned();
            self.changes.push(Change::Removed { path });
        }
    }

    /// `before`: the moment at which the sync began.
    pub(super) fn directory_synced(&mut self, dir: &Path, before: usize) {
        let dir = dir.to_owned();
        self.changes.push(Change::DirectorySynced { dir, before });
    }

    pub(super) fn harmed(&mut self, path: &Path, content: Option<Vec<u8>>) {
        if let Some(file) = self.names.get(path).copied() {
            if content.is_none() {
                self.names.remove(path);
            }
            let path = path.to_owned();
            self.changes.push(Change::Harmed { path, file, content });
        }
    }
}
