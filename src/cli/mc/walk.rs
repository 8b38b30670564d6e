//! Walks over what is below a place, local or on a server, in the order of keys, so that two walks can be compared step
//! by step. Holds a page, or the names of the folders it is in, never everything.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use time::OffsetDateTime;

use super::client::{ClientError, Pager};
use super::place::{Place, Remote};

/// A file, an object, or a folder.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// Below the place walked over; a folder's ends with `/`.
    pub(super) name: String,
    /// The whole key, or the whole path.
    pub(super) full: String,
    pub(super) folder: bool,
    pub(super) size: u64,
    pub(super) modified: Option<OffsetDateTime>,
    pub(super) etag: String,
    pub(super) storage_class: String,
}

impl Entry {
    /// A bucket or a common prefix; its name ends with `/`.
    pub(super) fn folder(name: String, modified: Option<OffsetDateTime>) -> Self {
        Self {
            full: name.clone(),
            name,
            folder: true,
            size: 0,
            modified,
            etag: String::new(),
            storage_class: String::new(),
        }
    }

    /// A local file or folder.
    pub(super) fn local(name: String, full: String, meta: &fs::Metadata) -> Self {
        Self {
            name,
            full,
            folder: meta.is_dir(),
            size: meta.len(),
            modified: meta.modified().ok().map(OffsetDateTime::from),
            etag: String::new(),
            storage_class: String::new(),
        }
    }
}

/// One walk.
pub(super) enum Walk {
    Remote {
        pager: Pager,
        base: String,
    },
    Local(LocalWalk),
    /// Over what is not there.
    Nothing,
}

impl Walk {
    /// Over all whose key begins with `prefix`; names are what follows `base`.
    pub(super) fn remote(remote: &Remote, prefix: &str, base: &str, recursive: bool) -> Self {
        Self::Remote {
            pager: Pager::new(&remote.client, &remote.bucket, prefix, recursive),
            base: base.to_owned(),
        }
    }

    /// Over a local folder. `recursive` gives files only; else files and folders of this one.
    pub(super) fn local(folder: &Path, recursive: bool) -> Self {
        Self::Local(LocalWalk {
            root: folder.to_path_buf(),
            recursive,
            open: Vec::new(),
            begun: false,
            passed_over: Vec::new(),
        })
    }

    /// Over nothing.
    pub(super) fn nothing() -> Self {
        Self::Nothing
    }

    /// Over all that is below a place that is a folder, recursively.
    pub(super) fn below(place: &Place) -> Self {
        match place {
            Place::Local(path) => Self::local(path, true),
            Place::Remote(remote) => {
                let base = folder_key(&remote.key);
                Self::remote(remote, &base, &base, true)
            }
        }
    }

    /// Names that were seen and passed over, because they are links that lead nowhere now.
    pub(super) fn passed_over(&self) -> &[String] {
        match self {
            Self::Local(walk) => &walk.passed_over,
            Self::Remote { .. } | Self::Nothing => &[],
        }
    }

    /// The next one.
    pub(super) async fn next(&mut self) -> Result<Option<Entry>, ClientError> {
        match self {
            Self::Nothing => Ok(None),
            Self::Local(walk) => tokio::task::block_in_place(|| walk.next()),
            Self::Remote { pager, base } => {
                let Some(listed) = pager.next().await? else {
                    return Ok(None);
                };
                Ok(Some(Entry {
                    name: listed.key.strip_prefix(base.as_str()).unwrap_or(&listed.key).to_owned(),
                    full: listed.key,
                    folder: listed.folder,
                    size: listed.size,
                    modified: listed.modified,
                    etag: listed.etag,
                    storage_class: listed.storage_class,
                }))
            }
        }
    }
}

/// A key as the prefix of what is below it.
pub(super) fn folder_key(key: &str) -> String {
    if key.is_empty() || key.ends_with('/') {
        key.to_owned()
    } else {
        format!("{key}/")
    }
}

/// A walk over local files. Links to files are followed, links to folders are not: they may lead in circles.
pub(super) struct LocalWalk {
    root: PathBuf,
    recursive: bool,
    /// For each folder it is in: what is still to come, last first.
    open: Vec<Vec<Entry>>,
    begun: bool,
    passed_over: Vec<String>,
}

/// What is at a path.
pub(super) enum Seen {
    There(fs::Metadata),
    Gone,
    /// A link that leads nowhere.
    LostLink,
}

/// Looks at a path. That nothing is there is said only where that is known; whatever else keeps from looking is an error.
pub(super) fn see(path: &Path) -> Result<Seen, ClientError> {
    let is_nowhere = |error: &io::Error| matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory);
    let unseen = |source: io::Error| ClientError::File {
        path: path.to_path_buf(),
        source,
    };
    match fs::metadata(path) {
        Ok(meta) => return Ok(Seen::There(meta)),
        Err(error) if is_nowhere(&error) || Errno::from_io_error(&error) == Some(Errno::LOOP) => {}
        Err(error) => return Err(unseen(error)),
    }
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(Seen::LostLink),
        Err(error) if is_nowhere(&error) => Ok(Seen::Gone),
        Err(error) => Err(unseen(error)),
    }
}

impl LocalWalk {
    fn next(&mut self) -> Result<Option<Entry>, ClientError> {
        if !self.begun {
            self.begun = true;
            let root = self.root.clone();
            self.enter(&root, "")?;
        }
        loop {
            let Some(folder) = self.open.last_mut() else {
                return Ok(None);
            };
            let Some(entry) = folder.pop() else {
                self.open.pop();
                continue;
            };
            if entry.folder && self.recursive {
                self.enter(&PathBuf::from(&entry.full), &entry.name)?;
                continue;
            }
            return Ok(Some(entry));
        }
    }

    fn enter(&mut self, folder: &Path, name: &str) -> Result<(), ClientError> {
        let mut entries = Vec::new();
        for found in fs::read_dir(folder).map_err(ClientError::file(folder))? {
            let found = found.map_err(ClientError::file(folder))?;
            let path = found.path();
            let not_text = || ClientError::Unfit(format!("the name of `{}` is not UTF-8", path.display()));
            let full = path.to_str().ok_or_else(not_text)?.to_owned();
            let base = found.file_name();
            let base = base.to_str().ok_or_else(not_text)?;
            let meta = match see(&path)? {
                Seen::There(meta) => meta,
                Seen::Gone => continue,
                Seen::LostLink => {
                    self.passed_over.push(format!("{name}{base}"));
                    continue;
                }
            };
            let linked = found.file_type().map_err(ClientError::file(&path))?.is_symlink();
            if !(meta.is_file() || (meta.is_dir() && !linked)) {
                continue;
            }
            let slash = if meta.is_dir() { "/" } else { "" };
            entries.push(Entry::local(format!("{name}{base}{slash}"), full, &meta));
        }
        entries.sort_by(|a, b| b.name.cmp(&a.name));
        self.open.push(entries);
        Ok(())
    }
}

/// What a name on a server stands for.
pub(super) enum Found {
    Object,
    Folder,
    Nothing,
}

/// Asks the server what a name stands for; an object wins over a folder of the same name.
pub(super) async fn look(remote: &Remote) -> Result<Found, ClientError> {
    if remote.key.is_empty() {
        let there = remote.bucket.is_empty() || remote.client.has_bucket(&remote.bucket).await?;
        return Ok(if there { Found::Folder } else { Found::Nothing });
    }
    if !remote.key.ends_with('/') {
        match remote.client.stat(&remote.bucket, &remote.key).await {
            Ok(_) => return Ok(Found::Object),
            Err(error) if error.is_absent() => {}
            Err(error) => return Err(error),
        }
    }
    let there = remote.client.has_keys(&remote.bucket, &folder_key(&remote.key)).await?;
    Ok(if there { Found::Folder } else { Found::Nothing })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn files_come_in_the_order_of_keys() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a/x", "a-b", "a.c", "b/c/d", "z"] {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, name).unwrap();
        }
        std::os::unix::fs::symlink("..", folder.path().join("b/up")).unwrap();
        std::os::unix::fs::symlink("nowhere", folder.path().join("b/broken")).unwrap();
        let mut walk = Walk::local(folder.path(), true);
        let mut names = Vec::new();
        while let Some(entry) = walk.next().await.unwrap() {
            names.push(entry.name);
        }
        let mut sorted = names.clone();
        sorted.sort();
        assert_eq!(names, sorted);
        assert_eq!(names, ["a-b", "a.c", "a/x", "b/c/d", "z"]);
        let mut flat = Walk::local(folder.path(), false);
        assert_eq!(flat.next().await.unwrap().unwrap().name, "a-b");
        assert_eq!(walk.passed_over(), ["b/broken"]);
    }

    #[test]
    fn only_what_is_surely_gone_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("file"), "x").unwrap();
        for (target, link) in [("nowhere", "broken"), ("self", "self"), ("file", "good")] {
            std::os::unix::fs::symlink(target, path(link)).unwrap();
        }
        assert!(matches!(see(&path("file")).unwrap(), Seen::There(_)));
        assert!(matches!(see(&path("good")).unwrap(), Seen::There(_)));
        assert!(matches!(see(&path("none")).unwrap(), Seen::Gone));
        assert!(matches!(see(&path("file/below")).unwrap(), Seen::Gone));
        assert!(matches!(see(&path("broken")).unwrap(), Seen::LostLink));
        assert!(matches!(see(&path("self")).unwrap(), Seen::LostLink));
        assert!(see(&path(&"n".repeat(300))).is_err(), "a name that cannot be looked at");
    }
}
