//! The bytes of one file, from the server to a file on this machine: written under another name, on stable media before they get
//! their own, and what they are is compared with what the server said of them.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http_body_util::BodyExt;

use super::fresh;
use crate::cli::app::reading::{self, Hashing, hex};
use crate::cli::app::{ApiError, Server, TRIES};

/// What is being written; beginning with a dot, it is the name of no file.
const PART: &str = ".part";
/// How long nothing may come.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the server says of the bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Said<'a> {
    pub(super) id: &'a str,
    pub(super) size: u64,
    pub(super) etag: Option<&'a str>,
    pub(super) sha256: Option<&'a str>,
}

/// Why they are not here.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    #[error("{0}")]
    Api(#[from] ApiError),
    #[error("{}: {error}", .path.display())]
    Disk { path: PathBuf, error: io::Error },
    /// Something about this file alone.
    #[error("{0}")]
    Wrong(String),
}

impl Trouble {
    /// Whether it would be the same with every other file.
    pub(super) fn ends_all(&self) -> bool {
        use io::ErrorKind::{QuotaExceeded, ReadOnlyFilesystem, StorageFull};
        match self {
            Self::Api(error) => error.ends_all(),
            Self::Disk { error, .. } => matches!(error.kind(), QuotaExceeded | ReadOnlyFilesystem | StorageFull),
            Self::Wrong(_) => false,
        }
    }
}

/// Whether the bytes with this SHA-256 are there: under this name, or under one that the file had before, which is changed to it.
pub(super) async fn are_here(path: &Path, size: u64, sha256: &str) -> bool {
    if has(path, size, sha256).await {
        return true;
    }
    let Some(beside) = path.parent().and_then(|folder| folder.read_dir().ok()) else {
        return false;
    };
    for other in beside.flatten().filter(|other| other.file_name() != PART) {
        if has(&other.path(), size, sha256).await {
            return std::fs::rename(other.path(), path).is_ok();
        }
    }
    false
}

/// Whether a file of this machine has these bytes. What is no file, or a link, has not.
async fn has(path: &Path, size: u64, sha256: &str) -> bool {
    let fits = path
        .symlink_metadata()
        .is_ok_and(|about| about.is_file() && about.len() == size);
    if !fits {
        return false;
    }
    let looked = reading::look_at(path.to_path_buf()).await;
    looked.is_ok_and(|looked| looked.size == size && hex(&looked.sha256) == sha256)
}

/// Brings the bytes to `to`; their SHA-256.
pub(super) async fn bring(server: &Server, said: Said<'_>, to: &Path) -> Result<String, Trouble> {
    let mut sink = Sink::new(to)?;
    let (mut tries, mut there) = (0, 0);
    while let Err(trouble) = sink.fill(server, said).await {
        let Trouble::Api(error) = &trouble else {
            return Err(trouble);
        };
        // A way that breaks often brings a large file too, as long as something comes.
        tries = if sink.hashing.size() > there { 1 } else { tries + 1 };
        there = sink.hashing.size();
        if !error.may_pass() || tries == TRIES {
            return Err(trouble);
        }
        tokio::time::sleep(error.pause(tries)).await;
    }
    sink.end(said, to).await
}

/// A file that is being written. What does not come to its end takes up no room.
struct Sink {
    part: PathBuf,
    /// It is in another thread while that writes.
    file: Option<File>,
    hashing: Hashing,
}

impl Drop for Sink {
    fn drop(&mut self) {
        // Of one that came to its end there is none of this name any more.
        let _gone = std::fs::remove_file(&self.part);
    }
}

impl Sink {
    fn new(to: &Path) -> Result<Self, Trouble> {
        let part = to.with_file_name(PART);
        let folder = to.parent().map_or(Ok(()), fresh::folder);
        let file = folder
            .and_then(|()| fresh::file(&part))
            .map_err(|error| on_disk(&part, error))?;
        Ok(Self {
            part,
            file: Some(file),
            hashing: Hashing::new(),
        })
    }

    /// Reads what is missing, until all is there.
    async fn fill(&mut self, server: &Server, said: Said<'_>) -> Result<(), Trouble> {
        let start = self.hashing.size();
        if start > 0 && start == said.size {
            return Ok(());
        }
        let path = format!("files/{}/content", said.id);
        let answer = server.read(&path, said.etag, start).await?;
        if start > 0 && answer.status() != StatusCode::PARTIAL_CONTENT {
            return Err(Trouble::Wrong(
                "the server does not go on where it broke off".to_owned(),
            ));
        }
        let mut body = answer.into_body();
        let lost = |why: String| ApiError::Unreachable(why);
        loop {
            let frame = tokio::time::timeout(PATIENCE, body.frame()).await;
            let Some(frame) = frame.map_err(|_| lost("nothing more came".to_owned()))? else {
                break;
            };
            let frame = frame.map_err(|error| lost(format!("it broke off: {error}")))?;
            if let Ok(piece) = frame.into_data() {
                self.take(piece, said.size).await?;
            }
        }
        match self.hashing.size() == said.size {
            true => Ok(()),
            false => Err(lost("it broke off".to_owned()).into()),
        }
    }

    async fn take(&mut self, piece: Bytes, most: u64) -> Result<(), Trouble> {
        self.hashing.take(&piece);
        if self.hashing.size() > most {
            return Err(Trouble::Wrong(format!("more came than the {most} bytes it has")));
        }
        let lost = || Trouble::Wrong("it could not be written before".to_owned());
        let file = self.file.take().ok_or_else(lost)?;
        let written = reading::append(file, piece).await;
        self.file = Some(written.map_err(|error| on_disk(&self.part, error))?);
        Ok(())
    }

    /// Gives the file its name, if it is the one that was wanted.
    async fn end(mut self, said: Said<'_>, to: &Path) -> Result<String, Trouble> {
        let (_, sha256) = std::mem::replace(&mut self.hashing, Hashing::new()).end();
        let sha256 = hex(&sha256);
        if said.sha256.is_some_and(|wanted| wanted != sha256) {
            return Err(Trouble::Wrong(
                "its bytes do not have the sha256 that is said of it".to_owned(),
            ));
        }
        let (part, named, file) = (self.part.clone(), to.to_path_buf(), self.file.take());
        let kept = tokio::task::spawn_blocking(move || {
            file.map_or(Ok(()), |file| file.sync_all())?;
            std::fs::rename(&part, &named)
        });
        let kept = kept.await.unwrap_or_else(|error| Err(io::Error::other(error)));
        kept.map_err(|error| on_disk(to, error))?;
        Ok(sha256)
    }
}

fn on_disk(path: &Path, error: io::Error) -> Trouble {
    let path = path.to_path_buf();
    Trouble::Disk { path, error }
}
