//! The projects as they run: loading them, looking into them, changing them.

use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use storage_engine::store::Store;
use storage_engine::store::clock::{Clock, Timestamp};
use storage_engine::store::error::Fault;
use storage_engine::store::projects::{OfProject, ProjectChange};
use storage_engine::store::whole::ChangeWholeError;

use super::caller::Project;
use super::error::ProjectsError;
use super::snapshot::Snapshot;
use crate::identity::Directory;
use crate::openid::Issuers;

/// How often a change looks again when another store changed the projects meanwhile.
const RACES_MAX: usize = 16;
/// How long to wait before a store that could not be read is asked again.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// The projects of one store. Cheap to clone; clones are the same projects.
#[derive(Clone)]
pub struct Projects {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) store: Store,
    clock: Arc<dyn Clock>,
    /// Seals issuers' secrets.
    pub(super) directory: Directory,
    pub(super) issuers: Issuers,
    /// Of the app buckets it makes.
    pub(super) region: String,
    /// Why there is none: the store could not be read yet.
    state: ArcSwap<Result<Arc<Snapshot>, String>>,
    /// Held while the projects change or are read anew.
    turn: tokio::sync::Mutex<()>,
    /// Held while webhooks change: what is listened to follows them.
    pub(super) webhooks_turn: tokio::sync::Mutex<()>,
}

impl Projects {
    /// Reads the projects of `store`. It always comes back: while they cannot be read nobody comes from an app, and
    /// [`Self::keep_loading`] can help. `region`: of the app buckets it makes.
    pub async fn open(
        store: Store,
        clock: Arc<dyn Clock>,
        directory: Directory,
        issuers: Issuers,
        region: String,
    ) -> Self {
        let inner = Inner {
            store,
            clock,
            directory,
            issuers,
            region,
            state: ArcSwap::from_pointee(Err("they were not read yet".to_owned())),
            turn: tokio::sync::Mutex::new(()),
            webhooks_turn: tokio::sync::Mutex::new(()),
        };
        let projects = Self { inner: Arc::new(inner) };
        projects.inner.load().await;
        projects
    }

    /// Whether the projects could not be read yet.
    pub fn is_loading(&self) -> bool {
        self.inner.state.load().is_err()
    }

    /// Reads the projects again and again until they were read.
    pub async fn keep_loading(self) {
        while self.is_loading() {
            tokio::time::sleep(LOOK_AGAIN).await;
            self.inner.load().await;
        }
    }

    /// Who is shut out, and why; for the operator.
    pub fn troubles(&self) -> Vec<String> {
        match &**self.inner.state.load() {
            Ok(snapshot) => snapshot.troubles.clone(),
            Err(why) => vec![format!("the projects cannot be read: {why}")],
        }
    }

    /// The project of this name, as it stands.
    pub fn project(&self, name: &str) -> Result<Arc<Project>, ProjectsError> {
        let found = self.snapshot()?.project(name).cloned();
        found.ok_or_else(|| ProjectsError::NoSuchProject(name.to_owned()))
    }

    /// The environment whose images, and nothing else, a host with this name serves. In lower case, without port.
    pub fn image_host(&self, host: &str) -> Option<OfProject> {
        self.snapshot().ok()?.image_host(host).cloned()
    }

    pub(super) fn snapshot(&self) -> Result<Arc<Snapshot>, ProjectsError> {
        self.inner.snapshot()
    }

    /// Makes the change that `plan` thinks out for the projects as they stand; thought out anew when another change came
    /// first. Durable, and seen by every request that begins, when this returns. It goes on when the caller goes away.
    pub(super) async fn change<T, P>(&self, plan: P) -> Result<T, ProjectsError>
    where
        P: FnMut(&Snapshot, Timestamp) -> Result<(Vec<ProjectChange>, T), ProjectsError> + Send + 'static,
        T: Send + 'static,
    {
        let inner = Arc::clone(&self.inner);
        let task = tokio::spawn(async move { inner.change(plan).await });
        task.await
            .unwrap_or_else(|error| Err(Fault::Internal(format!("changing the projects: {error}")).into()))
    }
}

impl Inner {
    fn snapshot(&self) -> Result<Arc<Snapshot>, ProjectsError> {
        let state = self.state.load();
        state.as_ref().clone().map_err(ProjectsError::NotOpen)
    }

    fn show(&self, snapshot: Snapshot) {
        self.state.store(Arc::new(Ok(Arc::new(snapshot))));
    }

    async fn load(&self) {
        let _turn = self.turn.lock().await;
        if let Err(fault) = self.read().await {
            tracing::debug!(%fault, "the projects cannot be read yet");
            if self.snapshot().is_err() {
                self.state.store(Arc::new(Err(fault.to_string())));
            }
            return;
        }
        for trouble in self.snapshot().iter().flat_map(|snapshot| &snapshot.troubles) {
            tracing::error!("{trouble}");
        }
    }

    /// Reads the store and shows what is there. The turn is held.
    async fn read(&self) -> Result<(), Fault> {
        let rows = self.store.load_projects().await?;
        let before = self.snapshot().ok();
        self.show(Snapshot::build(rows, &self.issuers, before.as_deref()));
        Ok(())
    }

    async fn change<T, P>(self: Arc<Self>, mut plan: P) -> Result<T, ProjectsError>
    where
        P: FnMut(&Snapshot, Timestamp) -> Result<(Vec<ProjectChange>, T), ProjectsError>,
    {
        let _turn = self.turn.lock().await;
        for _ in 0..RACES_MAX {
            let before = self.snapshot()?;
            let (changes, answer) = plan(&before, self.clock.now())?;
            if changes.is_empty() || self.commit(&before, &changes).await? {
                return Ok(answer);
            }
        }
        Err(Fault::Unavailable("the projects changed again and again".into()).into())
    }

    /// Commits and shows; `false`: another change came first, and the projects were read anew. The turn is held.
    async fn commit(self: &Arc<Self>, before: &Snapshot, changes: &[ProjectChange]) -> Result<bool, ProjectsError> {
        match self.store.change_projects(before.rows.rev, changes).await {
            Ok(rev) => {
                let mut rows = before.rows.clone();
                rows.apply(changes);
                rows.rev = Some(rev);
                self.show(Snapshot::build(rows, &self.issuers, Some(before)));
                Ok(true)
            }
            Err(ChangeWholeError::Stale) => {
                self.read().await?;
                Ok(false)
            }
            Err(ChangeWholeError::TooLarge(why)) => Err(ProjectsError::TooMany(why)),
            Err(ChangeWholeError::Fault(fault)) => {
                if matches!(fault, Fault::Unknown(_)) {
                    tokio::spawn(read_until_known(Arc::downgrade(self)));
                }
                Err(fault.into())
            }
        }
    }
}

/// After a change whose outcome is unknown: reads until the store tells what became of it.
async fn read_until_known(inner: Weak<Inner>) {
    loop {
        tokio::time::sleep(LOOK_AGAIN).await;
        let Some(inner) = inner.upgrade() else { return };
        let _turn = inner.turn.lock().await;
        match inner.read().await {
            Ok(()) => return,
            Err(fault) => tracing::debug!(%fault, "whether a change of the projects happened is not known yet"),
        }
    }
}
