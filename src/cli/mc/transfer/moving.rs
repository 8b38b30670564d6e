//! What `mv` needs beyond a copy: that source and target are two things, and that only what was copied is removed. It
//! copies nothing itself.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::End;
use crate::cli::mc::client::ClientError;
use crate::cli::mc::place::{Place, Remote};
use crate::cli::mc::walk::folder_key;

/// A file as it was when it was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FileState {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

impl FileState {
    pub(super) fn of(meta: &fs::Metadata) -> Self {
        Self {
            device: meta.dev(),
            inode: meta.ino(),
            size: meta.len(),
            modified: (meta.mtime(), meta.mtime_nsec()),
        }
    }
}

/// What was copied, exactly: nothing else may be removed in its name.
pub(super) enum Copied {
    File {
        path: PathBuf,
        state: FileState,
        bytes: u64,
    },
    Object {
        remote: Remote,
        etag: String,
    },
}

impl Copied {
    /// Removes the source of a copy; one that is another by now is left, and told of.
    pub(super) async fn remove(&self) -> Result<(), ClientError> {
        match self {
            Self::File { path, state, bytes } => {
                let now = fs::metadata(path).map_err(ClientError::file(path))?;
                if *bytes != state.size || FileState::of(&now) != *state {
                    return Err(ClientError::Unfit(format!(
                        "`{}` was changed while it was moved; it is left",
                        path.display()
                    )));
                }
                fs::remove_file(path).map_err(ClientError::file(path))
            }
            Self::Object { remote, etag } => remote.client.remove_if(&remote.bucket, &remote.key, etag).await,
        }
    }
}

/// Refuses what would be moved onto itself: the removal would take the only copy.
pub(super) async fn apart(from: &End, to: &End) -> Result<(), ClientError> {
    let same = match (from, to) {
        (End::File { path: from, .. }, End::File { path: to, .. }) => same_file(from, to)?,
        (End::Object(from), End::Object(to)) => same_object(from, to).await?,
        (End::File { .. }, End::Object(_)) | (End::Object(_), End::File { .. }) => false,
    };
    match same {
        true => Err(ClientError::Unfit(format!(
            "`{}` and `{}` are the same; nothing is moved onto itself",
            from.shown(),
            to.shown()
        ))),
        false => Ok(()),
    }
}

/// Also by way of links, hard or symbolic.
fn same_file(from: &Path, to: &Path) -> Result<bool, ClientError> {
    let there = match fs::metadata(to) {
        Ok(there) => there,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(false),
        Err(error) => return Err(ClientError::file(to)(error)),
    };
    let here = fs::metadata(from).map_err(ClientError::file(from))?;
    if (here.dev(), here.ino()) == (there.dev(), there.ino()) {
        return Ok(true);
    }
    let whole = |path: &Path| fs::canonicalize(path).map_err(ClientError::file(path));
    Ok(whole(from)? == whole(to)?)
}

/// Also by way of two aliases: two URLs may lead to one server.
async fn same_object(from: &Remote, to: &Remote) -> Result<bool, ClientError> {
    if (&from.bucket, &from.key) != (&to.bucket, &to.key) {
        return Ok(false);
    }
    if from.client.is_where(&to.client) {
        return Ok(true);
    }
    let there = match to.client.stat(&to.bucket, &to.key).await {
        Ok(there) => there,
        Err(error) if error.is_absent() || error.code() == "NoSuchBucket" => return Ok(false),
        Err(error) => return Err(error),
    };
    let here = from.client.stat(&from.bucket, &from.key).await?;
    Ok((here.size, here.etag, here.modified) == (there.size, there.etag, there.modified))
}

/// Whether what is moved from below `from` would come to lie below it again.
pub(super) fn leads_into(from: &Place, to: &Place) -> Result<bool, ClientError> {
    match (from, to) {
        (Place::Local(from), Place::Local(to)) => {
            let from = fs::canonicalize(from).map_err(ClientError::file(from))?;
            Ok(settled(to)?.starts_with(from))
        }
        (Place::Remote(from), Place::Remote(to)) => Ok(from.bucket == to.bucket
            && from.client.is_where(&to.client)
            && folder_key(&to.key).starts_with(&folder_key(&from.key))),
        (Place::Local(_), Place::Remote(_)) | (Place::Remote(_), Place::Local(_)) => Ok(false),
    }
}

/// A path without links, where its end need not be there yet.
fn settled(path: &Path) -> Result<PathBuf, ClientError> {
    match fs::canonicalize(path) {
        Ok(path) => Ok(path),
        Err(error) if error.kind() == ErrorKind::NotFound => match (path.parent(), path.file_name()) {
            (Some(folder), Some(name)) => Ok(settled(folder)?.join(name)),
            (None, _) | (_, None) => Err(ClientError::file(path)(error)),
        },
        Err(error) => Err(ClientError::file(path)(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(path: &Path) -> End {
        End::File {
            path: path.to_path_buf(),
            shown: path.display().to_string(),
        }
    }

    #[tokio::test]
    async fn a_file_is_not_moved_onto_itself_by_whatever_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir(path("in")).unwrap();
        fs::write(path("f"), "x").unwrap();
        fs::write(path("other"), "x").unwrap();
        fs::hard_link(path("f"), path("hard")).unwrap();
        std::os::unix::fs::symlink("f", path("soft")).unwrap();
        std::os::unix::fs::symlink(".", path("here")).unwrap();
        for same in ["f", "in/../f", "hard", "soft", "here/f"] {
            assert!(apart(&end(&path("f")), &end(&path(same))).await.is_err(), "{same}");
        }
        for other in ["other", "new", "in/f", "other/f"] {
            apart(&end(&path("f")), &end(&path(other))).await.unwrap();
        }
        let into = |to: &str| leads_into(&Place::Local(path("in")), &Place::Local(path(to))).unwrap();
        assert!(into("in") && into("in/new/er") && into("here/in/x") && !into("inner") && !into("here/new"));
    }

    #[tokio::test]
    async fn a_file_that_changed_since_it_was_copied_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        let copied = |bytes| Copied::File {
            path: path.clone(),
            state: FileState::of(&fs::metadata(&path).unwrap()),
            bytes,
        };
        fs::write(&path, "four").unwrap();
        assert!(copied(3).remove().await.is_err(), "not all of it was read");
        let before = copied(4);
        fs::write(&path, "longer").unwrap();
        assert!(before.remove().await.is_err());
        let before = copied(6);
        let file = fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
        assert!(before.remove().await.is_err());
        let before = copied(6);
        let beside = folder.path().join("g");
        fs::write(&beside, "longer").unwrap();
        fs::File::options()
            .write(true)
            .open(&beside)
            .unwrap()
            .set_modified(std::time::SystemTime::UNIX_EPOCH)
            .unwrap();
        fs::rename(&beside, &path).unwrap();
        assert!(before.remove().await.is_err(), "another file of that size and time");
        copied(6).remove().await.unwrap();
        assert!(!path.exists());
    }
}
