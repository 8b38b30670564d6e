//! What happens to the files in a folder, told by the kernel. Folders that are made later are watched, too, and the files
//! that were in them by then are told as written. It reads no file.

use std::collections::{HashMap, VecDeque};
use std::fs;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::inotify::{CreateFlags, ReadFlags, Reader, WatchFlags, add_watch, init};
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::client::ClientError;

const READ_BYTES: usize = 16 * 1024;
/// Reads that may wait to be looked at; what happens then waits in the kernel.
const READS_WAITING_MAX: usize = 16;

/// What happened to a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Happened {
    Written(PathBuf),
    Gone(PathBuf),
    /// More happened than the kernel kept: what, is not known. What happens from now on is.
    Lost,
}

/// A folder that is watched.
pub(super) struct FolderWatch {
    root: PathBuf,
    kernel: Arc<OwnedFd>,
    heard: Receiver<io::Result<Vec<Said>>>,
    folders: HashMap<i32, PathBuf>,
    recursive: bool,
    told: VecDeque<Happened>,
}

/// What the kernel said of one name.
struct Said {
    folder: i32,
    flags: ReadFlags,
    name: String,
}

impl FolderWatch {
    /// Watches a folder; with `recursive` those in it, too. What is there already is not told.
    pub(super) fn begin(folder: &Path, recursive: bool) -> Result<Self, ClientError> {
        let kernel = Arc::new(init(CreateFlags::CLOEXEC).map_err(io::Error::from)?);
        let (tell, heard) = channel(READS_WAITING_MAX);
        let listening = Arc::clone(&kernel);
        // A thread of its own: it waits in the kernel for as long as the program runs.
        std::thread::Builder::new()
            .name("folder-watch".to_owned())
            .spawn(move || listen(&listening, &tell))?;
        let mut watch = Self {
            root: folder.to_path_buf(),
            kernel,
            heard,
            folders: HashMap::new(),
            recursive,
            told: VecDeque::new(),
        };
        watch.add(folder).map_err(ClientError::file(folder))?;
        // Nobody waits for what was there before.
        watch.told.clear();
        Ok(watch)
    }

    /// Watches one folder more, and what is in it.
    fn add(&mut self, folder: &Path) -> io::Result<()> {
        let flags = WatchFlags::CLOSE_WRITE
            | WatchFlags::MOVED_TO
            | WatchFlags::MOVED_FROM
            | WatchFlags::DELETE
            | WatchFlags::CREATE
            | WatchFlags::ONLYDIR;
        let id = add_watch(&*self.kernel, folder, flags)?;
        self.folders.insert(id, folder.to_path_buf());
        if !self.recursive {
            return Ok(());
        }
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                self.add_later(&entry.path());
            } else {
                self.told.push_back(Happened::Written(entry.path()));
            }
        }
        Ok(())
    }

    /// As [`Self::add`]; a folder that is gone again needs no watching, of others what they hold is not known.
    fn add_later(&mut self, folder: &Path) {
        match self.add(folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => self.told.push_back(Happened::Lost),
            Ok(()) | Err(_) => {}
        }
    }

    /// Looks at the whole folder again: folders that were made while nobody told are watched from now on.
    fn look_again(&mut self) {
        let told = std::mem::take(&mut self.told);
        let root = self.root.clone();
        self.add_later(&root);
        // Whoever hears that something was lost looks at every file anyway.
        self.told = told;
        self.told.push_back(Happened::Lost);
    }

    /// The next that happens.
    pub(super) async fn next(&mut self) -> Result<Happened, ClientError> {
        loop {
            if let Some(happened) = self.told.pop_front() {
                return Ok(happened);
            }
            let ended = || io::Error::other("watching the folder ended");
            for said in self.heard.recv().await.ok_or_else(ended)?? {
                self.take(&said);
            }
        }
    }

    fn take(&mut self, said: &Said) {
        if said.flags.contains(ReadFlags::QUEUE_OVERFLOW) {
            self.look_again();
            return;
        }
        if said.flags.contains(ReadFlags::IGNORED) {
            self.folders.remove(&said.folder);
            return;
        }
        let Some(folder) = self.folders.get(&said.folder) else {
            return;
        };
        let path = folder.join(&said.name);
        let is_folder = said.flags.contains(ReadFlags::ISDIR);
        let came = said.flags.intersects(ReadFlags::CREATE | ReadFlags::MOVED_TO);
        if is_folder {
            if came && self.recursive {
                self.add_later(&path);
            } else if self.recursive && said.flags.intersects(ReadFlags::MOVED_FROM) {
                // A folder that was moved away took its files with it.
                self.told.push_back(Happened::Lost);
            }
            return;
        }
        if said.flags.intersects(ReadFlags::CLOSE_WRITE | ReadFlags::MOVED_TO) {
            self.told.push_back(Happened::Written(path));
        } else if said.flags.intersects(ReadFlags::DELETE | ReadFlags::MOVED_FROM) {
            self.told.push_back(Happened::Gone(path));
        }
    }
}

/// Hears what the kernel says, until nobody wants to know or it fails.
fn listen(kernel: &OwnedFd, tell: &Sender<io::Result<Vec<Said>>>) {
    let mut space = [MaybeUninit::uninit(); READ_BYTES];
    let mut reader = Reader::new(kernel, &mut space);
    loop {
        let heard = hear(&mut reader);
        let failed = heard.is_err();
        if tell.blocking_send(heard).is_err() || failed {
            return;
        }
    }
}

/// What one read gives, at least one.
fn hear(reader: &mut Reader<'_, &OwnedFd>) -> io::Result<Vec<Said>> {
    let mut all = Vec::new();
    loop {
        match reader.next() {
            Ok(event) => all.push(Said {
                folder: event.wd(),
                flags: event.events(),
                name: event
                    .file_name()
                    .map(|name| name.to_string_lossy().into_owned())
                    .unwrap_or_default(),
            }),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        if !all.is_empty() && reader.is_buffer_empty() {
            return Ok(all);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn files_are_told_also_in_folders_that_are_made_later() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir(root.join("old")).unwrap();
        fs::write(root.join("before"), "x").unwrap();
        let mut watch = FolderWatch::begin(root, true).unwrap();
        fs::write(root.join("old/a"), "x").unwrap();
        assert_eq!(watch.next().await.unwrap(), Happened::Written(root.join("old/a")));
        fs::create_dir_all(root.join("new/deep")).unwrap();
        fs::write(root.join("new/deep/b"), "x").unwrap();
        // The file may be told by its writing and by the look into its folder.
        let told = watch.next().await.unwrap();
        assert_eq!(told, Happened::Written(root.join("new/deep/b")));
        fs::remove_file(root.join("before")).unwrap();
        loop {
            match watch.next().await.unwrap() {
                Happened::Written(path) => assert_eq!(path, root.join("new/deep/b")),
                other => break assert_eq!(other, Happened::Gone(root.join("before"))),
            }
        }
    }

    /// What the kernel had no room for was forgotten: folders made meanwhile stayed unwatched for ever.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_folder_that_was_made_while_the_kernel_had_no_room_is_watched_from_then_on() {
        let bound = std::time::Duration::from_secs(60);
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let mut watch = FolderWatch::begin(root, true).unwrap();
        fs::create_dir_all(root.join("new/deep")).unwrap();
        // The kernel tells of the new folder, and nobody hears it.
        let mut lost = false;
        while !lost {
            let said = tokio::time::timeout(bound, watch.heard.recv()).await.unwrap();
            lost = said.unwrap().unwrap().iter().any(|said| said.name == "new");
        }
        watch.take(&Said {
            folder: -1,
            flags: ReadFlags::QUEUE_OVERFLOW,
            name: String::new(),
        });
        assert_eq!(watch.next().await.unwrap(), Happened::Lost);
        fs::write(root.join("new/deep/b"), "x").unwrap();
        let told = tokio::time::timeout(bound, watch.next()).await.unwrap().unwrap();
        assert_eq!(told, Happened::Written(root.join("new/deep/b")));
    }
}
