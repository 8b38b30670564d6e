//! `mc mirror --watch`: after everything is mirrored once, what changes at the source is mirrored as it changes. Where it is
//! not known what changed, because a connection broke or too much happened at once, everything is compared again.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::cli::mc::client::{ClientError, Events};
use crate::cli::mc::folder_watch::{FolderWatch, Happened};
use crate::cli::mc::place::{Place, Remote};
use crate::cli::mc::walk::folder_key;

/// Names that wait; of more it is only known that everything has to be compared.
const WAITING_MAX: usize = 100_000;
/// Before a stream of events that broke is asked for again.
const PAUSE: Duration = Duration::from_secs(2);
/// Changes that belong together, as the two names of a file that is moved, come within this time.
const SETTLING: Duration = Duration::from_millis(100);

/// What has changed at a source and is not mirrored yet.
#[derive(Default)]
struct Waiting {
    names: BTreeSet<String>,
    /// It is not known what else changed.
    lost: bool,
    /// Why nothing more will come.
    ended: Option<ClientError>,
}

/// What is to be mirrored next.
pub(super) enum Changes {
    /// These names; whether they are there now is to be looked at.
    Names(BTreeSet<String>),
    /// Everything may have changed.
    All,
}

/// Listens to a source.
pub(super) struct Listener {
    waiting: Arc<(Mutex<Waiting>, Notify)>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Listener {
    /// Begins to listen; from now on nothing that changes is missed. A server that has no events says so here.
    pub(super) async fn begin(source: &Place) -> Result<Self, ClientError> {
        let waiting = Arc::new((Mutex::new(Waiting::default()), Notify::new()));
        let heard = Heard(Arc::clone(&waiting));
        let task = match source {
            Place::Local(folder) => {
                let watch = FolderWatch::begin(folder, true)?;
                tokio::spawn(heard.of_folder(watch, folder.clone()))
            }
            Place::Remote(remote) => {
                let events = listen(remote).await?;
                tokio::spawn(heard.of_server(events, remote.clone()))
            }
        };
        Ok(Self { waiting, task })
    }

    /// Waits until something has changed. Nothing is lost when it is no longer waited for.
    pub(super) async fn next(&self) -> Result<Changes, ClientError> {
        let (waiting, notify) = &*self.waiting;
        loop {
            let begun = !waiting.lock().names.is_empty();
            if begun {
                tokio::time::sleep(SETTLING).await;
            }
            {
                let mut waiting = waiting.lock();
                if std::mem::take(&mut waiting.lost) {
                    waiting.names.clear();
                    return Ok(Changes::All);
                }
                if !waiting.names.is_empty() {
                    return Ok(Changes::Names(std::mem::take(&mut waiting.names)));
                }
                if let Some(error) = waiting.ended.take() {
                    return Err(error);
                }
            }
            notify.notified().await;
        }
    }
}

async fn listen(remote: &Remote) -> Result<Events, ClientError> {
    let prefix = folder_key(&remote.key);
    let names = ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"];
    remote.client.events(&remote.bucket, (&prefix, ""), &names).await
}

/// Keeps what is heard until somebody asks for it.
struct Heard(Arc<(Mutex<Waiting>, Notify)>);

impl Heard {
    fn change(&self, change: impl FnOnce(&mut Waiting)) {
        let (waiting, notify) = &*self.0;
        change(&mut waiting.lock());
        notify.notify_one();
    }

    fn name(&self, name: String) {
        self.change(|waiting| {
            if waiting.names.len() >= WAITING_MAX {
                waiting.lost = true;
            } else {
                waiting.names.insert(name);
            }
        });
    }

    async fn of_folder(self, mut watch: FolderWatch, folder: PathBuf) {
        loop {
            match watch.next().await {
                Ok(Happened::Written(path) | Happened::Gone(path)) => match name_below(&folder, &path) {
                    Some(name) => self.name(name),
                    None => self.change(|waiting| waiting.lost = true),
                },
                Ok(Happened::Lost) => self.change(|waiting| waiting.lost = true),
                Err(error) => return self.change(|waiting| waiting.ended = Some(error)),
            }
        }
    }

    async fn of_server(self, mut events: Events, remote: Remote) {
        let prefix = folder_key(&remote.key);
        loop {
            match events.next().await {
                Ok(Some(event)) => {
                    if let Some(name) = event.key.strip_prefix(&prefix).filter(|name| !name.is_empty()) {
                        self.name(name.to_owned());
                    }
                }
                Ok(None)
                | Err(ClientError::Connection { .. } | ClientError::Stalled { .. } | ClientError::Answer { .. }) => {
                    events = loop {
                        tokio::time::sleep(PAUSE).await;
                        match listen(&remote).await {
                            Ok(events) => break events,
                            // The server is away; it may come back.
                            Err(ClientError::Connection { .. } | ClientError::Stalled { .. }) => {}
                            Err(ClientError::Refused(refusal)) if refusal.status == 503 => {}
                            Err(error) => return self.change(|waiting| waiting.ended = Some(error)),
                        }
                    };
                    // What happened in between nobody told.
                    self.change(|waiting| waiting.lost = true);
                }
                Err(error) => return self.change(|waiting| waiting.ended = Some(error)),
            }
        }
    }
}

/// A file's name as the key below a target would have it; `None` when it is no text.
fn name_below(folder: &Path, path: &Path) -> Option<String> {
    path.strip_prefix(folder).ok()?.to_str().map(str::to_owned)
}
