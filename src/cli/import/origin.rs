//! Where files come from: this machine, or other servers, where a list names URLs.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use http::header::{LOCATION, USER_AGENT};
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use url::Url;

use super::item::{Item, Place};
use crate::cli::app::reading::{self, Hashing, Looked};
use crate::cli::app::{AGENT, PATIENCE, Pool, causes, pool};
use crate::cli::call::Trust;

const REDIRECTS_MAX: usize = 5;

/// A file of this run, which goes with it.
#[derive(Debug)]
pub(super) struct Spool(PathBuf);

impl Spool {
    /// A new one in a folder, readable by nobody else.
    fn new(folder: &Path) -> io::Result<(Self, File)> {
        let path = folder.join(format!(".drystone-import-{}", uuid::Uuid::new_v4()));
        let mut options = File::options();
        options.write(true).create_new(true);
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(&path)?;
        Ok((Self(path), file))
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        // Whoever finds it later sees by its name what it is.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// See the module.
pub(super) struct Origin {
    /// Of other servers nothing was said on the command line.
    others: Pool,
    /// Where what is fetched lies until it was sent.
    folder: PathBuf,
}

impl Origin {
    pub(super) fn new(folder: PathBuf) -> Result<Self, String> {
        let others = pool(&Trust::Machine { also: PathBuf::new() })?;
        Ok(Self { others, folder })
    }

    /// Reads the bytes of a file to their end, and finds whether they are what was said of them.
    pub(super) async fn look_at(&self, item: &Item) -> Result<(Looked, Option<Spool>), String> {
        let (looked, spool) = match &item.place {
            Place::File(path) => {
                let named = |error: std::io::Error| format!("{}: {error}", path.display());
                (reading::look_at(path.clone()).await.map_err(named)?, None)
            }
            Place::Url(url) => self
                .fetch(url.clone())
                .await
                .map_err(|why| format!("not fetched: {why}"))?,
        };
        if item.size.is_some_and(|size| size != looked.size) {
            let said = item.size.unwrap_or_default();
            return Err(format!("it has {} bytes, and not {said} as is said of it", looked.size));
        }
        if item.sha256.is_some_and(|sha256| sha256 != looked.sha256) {
            return Err("its bytes do not have the sha256 that is said of it".to_owned());
        }
        Ok((looked, spool))
    }

    /// Fetches a file of another server.
    async fn fetch(&self, mut url: Url) -> Result<(Looked, Option<Spool>), String> {
        for _ in 0..=REDIRECTS_MAX {
            let request = Request::get(url.as_str()).header(USER_AGENT, AGENT);
            let request = request
                .body(reading::whole(Bytes::new()))
                .map_err(|error| error.to_string())?;
            let called = tokio::time::timeout(PATIENCE, self.others.request(request)).await;
            let answer = called
                .map_err(|_| "no answer in time")?
                .map_err(|error| causes(&error))?;
            let status = answer.status();
            if status.is_redirection() {
                let to = answer.headers().get(LOCATION).and_then(|to| to.to_str().ok());
                let to = to
                    .and_then(|to| url.join(to).ok())
                    .filter(|to| matches!(to.scheme(), "http" | "https"));
                url = to.ok_or("it is redirected to no URL")?;
                continue;
            }
            if status != StatusCode::OK {
                return Err(format!("the answer was {status}"));
            }
            let (looked, spool) = spooled(answer, &self.folder).await?;
            return Ok((looked, Some(spool)));
        }
        Err("it is redirected too often".to_owned())
    }
}

/// The bytes of an answer, in a file of this run.
async fn spooled(answer: Response<Incoming>, folder: &Path) -> Result<(Looked, Spool), String> {
    let (spool, mut file) = Spool::new(folder).map_err(|error| error.to_string())?;
    let (mut body, mut hashing) = (answer.into_body(), Hashing::new());
    loop {
        let frame = tokio::time::timeout(PATIENCE, body.frame()).await;
        let Some(frame) = frame.map_err(|_| "nothing more came")? else {
            break;
        };
        if let Ok(piece) = frame.map_err(|error| causes(&error))?.into_data() {
            hashing.take(&piece);
            file = reading::append(file, piece).await.map_err(|error| error.to_string())?;
        }
    }
    let (size, sha256) = hashing.end();
    let path = spool.path().to_path_buf();
    Ok((Looked { path, size, sha256 }, spool))
}
