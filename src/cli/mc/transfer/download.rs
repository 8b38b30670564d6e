//! Writing local files: beside the target first, then put in its place, so that a name never holds half of an object.

use std::fs::{self, File, FileTimes, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::metadata::Attributes;
use crate::cli::mc::client::{ClientError, Stat};
use crate::cli::mc::place::Remote;

const PIECE_BYTES: usize = 1024 * 1024;

/// A file that is being written; gone again unless it is kept.
struct Draft {
    file: File,
    path: PathBuf,
    target: PathBuf,
    kept: bool,
}

impl Draft {
    fn new(target: &Path) -> Result<Self, ClientError> {
        if target.is_dir() {
            return Err(ClientError::Unfit(format!("`{}` is a folder", target.display())));
        }
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder).map_err(ClientError::file(folder))?;
        }
        let path = target.with_file_name(format!(".{}.part", uuid::Uuid::new_v4().simple()));
        let file = File::create_new(&path).map_err(ClientError::file(&path))?;
        Ok(Self {
            file,
            path,
            target: target.to_path_buf(),
            kept: false,
        })
    }

    fn write(&mut self, data: &[u8]) -> Result<(), ClientError> {
        tokio::task::block_in_place(|| self.file.write_all(data)).map_err(ClientError::file(&self.path))
    }

    fn keep(mut self) -> Result<(), ClientError> {
        fs::rename(&self.path, &self.target).map_err(ClientError::file(&self.target))?;
        self.kept = true;
        Ok(())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.kept {
            drop(fs::remove_file(&self.path));
        }
    }
}

/// An object into a file. A key that ends with `/` becomes a folder.
pub(super) async fn to_file(
    from: &Remote,
    target: &Path,
    preserve: bool,
    moved: &(dyn Fn(u64) + Sync),
) -> Result<(), ClientError> {
    let mut reading = from.client.read(&from.bucket, &from.key).await?;
    let stat = reading.stat().clone();
    if from.key.ends_with('/') && stat.size == 0 {
        return fs::create_dir_all(target).map_err(ClientError::file(target));
    }
    let mut draft = Draft::new(target)?;
    let mut size = 0_u64;
    while let Some(data) = reading.next().await? {
        draft.write(&data)?;
        let length = u64::try_from(data.len()).unwrap_or_default();
        size += length;
        moved(length);
    }
    if size != stat.size {
        return Err(ClientError::Answer {
            reason: format!("the object has {} bytes, and {size} came", stat.size),
        });
    }
    if preserve {
        restore(&draft.file, &stat).map_err(ClientError::file(target))?;
    }
    draft.keep()
}

/// Local bytes into a file.
pub(super) fn from_reader(
    mut source: impl Read,
    target: &Path,
    moved: &(dyn Fn(u64) + Sync),
) -> Result<(), ClientError> {
    let mut draft = Draft::new(target)?;
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let length = tokio::task::block_in_place(|| source.read(&mut piece))?;
        let Some(data) = piece.get(..length).filter(|data| !data.is_empty()) else {
            return draft.keep();
        };
        draft.write(data)?;
        moved(u64::try_from(length).unwrap_or_default());
    }
}

/// Mode and time that `--preserve` stored. Owners are left alone: names on another machine mean other people.
fn restore(file: &File, stat: &Stat) -> std::io::Result<()> {
    let attributes = Attributes::read(&stat.headers);
    if let Some(mode) = attributes.mode {
        file.set_permissions(Permissions::from_mode(mode & 0o777))?;
    }
    match attributes.modified {
        Some(modified) => file.set_times(FileTimes::new().set_modified(modified)),
        None => Ok(()),
    }
}
