//! Writing local files: beside the target first, then put in its place, so that a name never holds half of an object.

use std::fs::{self, File, FileTimes, Permissions};
use std::io::{Seek, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::metadata::Attributes;
use crate::cli::mc::client::{ClientError, Reading, Stat, Stream};
use crate::cli::mc::place::Remote;

const PIECE_BYTES: usize = 1024 * 1024;
/// How often an object that is replaced while it is read is read anew.
const BEGINNINGS_MAX: u32 = 5;

/// A file that is being written; gone again unless it is kept.
struct Draft {
    file: File,
    path: PathBuf,
    target: PathBuf,
    /// The deepest folder that was there before.
    above: Option<PathBuf>,
    kept: bool,
}

/// The deepest of a path's folders that is there.
fn deepest(folder: &Path) -> Option<PathBuf> {
    folder.ancestors().find(|folder| folder.is_dir()).map(Path::to_path_buf)
}

/// Makes names in a folder, and in those above it, outlive a loss of power. Those from `above` on were there before, but
/// another transfer may have made them a moment ago: they are synced, too, as far as this user may open them.
fn sync_folders(folder: &Path, above: Option<&Path>) -> Result<(), ClientError> {
    let mut old = false;
    for folder in folder.ancestors() {
        let synced = tokio::task::block_in_place(|| File::open(folder)?.sync_all());
        match synced {
            Err(_) if old => break,
            result => result.map_err(ClientError::file(folder))?,
        }
        old |= above.is_none_or(|above| above == folder);
    }
    Ok(())
}

impl Draft {
    fn new(target: &Path) -> Result<Self, ClientError> {
        if target.is_dir() {
            return Err(ClientError::Unfit(format!("`{}` is a folder", target.display())));
        }
        let above = target.parent().and_then(deepest);
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder).map_err(ClientError::file(folder))?;
        }
        let path = target.with_file_name(format!(".{}.part", uuid::Uuid::new_v4().simple()));
        let file = File::create_new(&path).map_err(ClientError::file(&path))?;
        Ok(Self {
            file,
            path,
            target: target.to_path_buf(),
            above,
            kept: false,
        })
    }

    fn write(&mut self, data: &[u8]) -> Result<(), ClientError> {
        tokio::task::block_in_place(|| self.file.write_all(data)).map_err(ClientError::file(&self.path))
    }

    /// Forgets what was written.
    fn empty(&mut self) -> Result<(), ClientError> {
        let emptied = self.file.set_len(0).and_then(|()| self.file.rewind());
        emptied.map_err(ClientError::file(&self.path))
    }

    /// Puts it in its place. When a `durable` one is there, it outlives a loss of power.
    fn keep(mut self, durable: bool) -> Result<(), ClientError> {
        if durable {
            tokio::task::block_in_place(|| self.file.sync_all()).map_err(ClientError::file(&self.path))?;
        }
        fs::rename(&self.path, &self.target).map_err(ClientError::file(&self.target))?;
        self.kept = true;
        match self.target.parent().filter(|_| durable) {
            Some(folder) => sync_folders(folder, self.above.as_deref()),
            None => Ok(()),
        }
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.kept {
            drop(fs::remove_file(&self.path));
        }
    }
}

/// An object into a file, with the mode and time it came with or durably, as wanted. A key that ends with `/` becomes a
/// folder; one with bytes cannot be one, and its name may be another's.
pub(super) async fn to_file(
    from: &Remote,
    target: &Path,
    (preserve, durable): (bool, bool),
    moved: &(dyn Fn(u64) + Sync),
) -> Result<Stat, ClientError> {
    let reading = from.client.read(&from.bucket, &from.key).await?;
    let stat = reading.stat().clone();
    if from.key.ends_with('/') && stat.size > 0 {
        let reason = format!("the key `{}` is a folder's, and has bytes; it is left out", from.key);
        return Err(ClientError::Unfit(reason));
    }
    if from.key.ends_with('/') {
        let above = deepest(target);
        fs::create_dir_all(target).map_err(ClientError::file(target))?;
        if durable {
            sync_folders(target, above.as_deref())?;
        }
        return Ok(stat);
    }
    let mut draft = Draft::new(target)?;
    let stat = fill(&mut draft, from, reading, moved).await?;
    if preserve {
        restore(&draft.file, &stat).map_err(ClientError::file(target))?;
    }
    draft.keep(durable)?;
    Ok(stat)
}

/// An object into a draft, from its begin again where another has taken its place: never some of each.
async fn fill(
    draft: &mut Draft,
    from: &Remote,
    mut reading: Reading,
    moved: &(dyn Fn(u64) + Sync),
) -> Result<Stat, ClientError> {
    let mut beginnings = 1;
    let mut size = 0_u64;
    loop {
        match reading.next().await {
            Ok(Some(data)) => {
                draft.write(&data)?;
                let length = u64::try_from(data.len()).unwrap_or_default();
                size += length;
                moved(length);
            }
            Ok(None) if size == reading.stat().size => return Ok(reading.stat().clone()),
            Ok(None) => {
                return Err(ClientError::Answer {
                    reason: format!("the object has {} bytes, and {size} came", reading.stat().size),
                });
            }
            Err(ClientError::Replaced) if beginnings < BEGINNINGS_MAX => {
                beginnings += 1;
                size = 0;
                draft.empty()?;
                reading = from.client.read(&from.bucket, &from.key).await?;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Local bytes into a file; gives their number.
pub(super) async fn from_stream(
    mut source: Stream,
    target: &Path,
    durable: bool,
    moved: &(dyn Fn(u64) + Sync),
) -> Result<u64, ClientError> {
    let mut draft = Draft::new(target)?;
    let mut size = 0_u64;
    loop {
        let data = source.next(PIECE_BYTES).await?;
        if data.is_empty() {
            draft.keep(durable)?;
            return Ok(size);
        }
        draft.write(&data)?;
        let length = u64::try_from(data.len()).unwrap_or_default();
        size += length;
        moved(length);
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
