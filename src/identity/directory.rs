//! The directory as it runs: loading it, looking into it, changing it, and finding credentials in it.

use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use storage_engine::store::Store;
use storage_engine::store::clock::{Clock, Timestamp};
use storage_engine::store::error::Fault;
use storage_engine::store::identity::{DirectoryChange, DirectoryRows};
use storage_engine::store::whole::ChangeWholeError;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::error::IdentityError;
use super::federated::Federation;
use super::link::SealedLink;
use super::seal::{SealError, SealKeys, Sealer};
use super::snapshot::Snapshot;
use crate::auth::{Accounts, Credential, CredentialSource, Identity, SecretKey};

/// How often a change looks again when another store changed the directory meanwhile.
const RACES_MAX: usize = 16;
/// How long to wait before a store that could not be read is asked again.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// The root user's pair, which is in no directory.
#[derive(Clone, Debug)]
pub struct Root {
    pub access_key: String,
    pub secret: SecretKey,
}

/// The directory of one store. Cheap to clone; clones are the same directory.
#[derive(Clone)]
pub struct Directory {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    clock: Arc<dyn Clock>,
    root: Root,
    keys: SealKeys,
    federation: Federation,
    state: ArcSwap<State>,
    /// Held while the directory changes or is read anew.
    turn: tokio::sync::Mutex<()>,
}

/// What is known of the directory.
enum State {
    /// The store could not be read yet.
    Loading(String),
    Open(Arc<Snapshot>),
    /// It was read and does not open; only an operator can help.
    Shut(String),
}

/// Why the directory is not open.
enum NotLoaded {
    Later(Fault),
    Shut(String),
}

impl From<Fault> for NotLoaded {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Unavailable(_) | Fault::Unknown(_) | Fault::Full(_) => Self::Later(fault),
            Fault::Corrupt(_) | Fault::Internal(_) => Self::Shut(fault.to_string()),
        }
    }
}

impl From<SealError> for NotLoaded {
    fn from(error: SealError) -> Self {
        Self::Shut(error.to_string())
    }
}

impl Directory {
    /// Reads the directory of `store`. It always comes back: while the directory cannot be read, or does not open with
    /// `keys`, only root gets in; [`Self::is_loading`] tells whether [`Self::keep_loading`] can help.
    pub async fn open(store: Store, clock: Arc<dyn Clock>, root: Root, keys: SealKeys, federation: Federation) -> Self {
        let inner = Inner {
            store,
            clock,
            root,
            keys,
            federation,
            state: ArcSwap::from_pointee(State::Loading("it was not read yet".to_owned())),
            turn: tokio::sync::Mutex::new(()),
        };
        let directory = Self { inner: Arc::new(inner) };
        directory.inner.load().await;
        directory
    }

    /// Whether the directory could not be read yet.
    pub fn is_loading(&self) -> bool {
        matches!(&**self.inner.state.load(), State::Loading(_))
    }

    /// Why the directory does not open, if it does not; for the operator.
    pub fn shut(&self) -> Option<String> {
        match &**self.inner.state.load() {
            State::Shut(why) => Some(why.clone()),
            State::Loading(_) | State::Open(_) => None,
        }
    }

    /// Who is shut out, and why; for the operator.
    pub fn troubles(&self) -> Vec<String> {
        match &**self.inner.state.load() {
            State::Open(snapshot) => snapshot.troubles.clone(),
            State::Shut(why) => vec![why.clone()],
            State::Loading(_) => Vec::new(),
        }
    }

    /// Reads the directory again and again until it was read.
    pub async fn keep_loading(self) {
        while self.is_loading() {
            tokio::time::sleep(LOOK_AGAIN).await;
            self.inner.load().await;
        }
    }

    /// The directory as it stands.
    pub(super) fn snapshot(&self) -> Result<Arc<Snapshot>, IdentityError> {
        self.inner.snapshot()
    }

    pub(super) fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }

    pub(super) fn federation(&self) -> &Federation {
        &self.inner.federation
    }

    /// Root's access key.
    pub fn root_access_key(&self) -> &str {
        &self.inner.root.access_key
    }

    /// Makes the change that `plan` thinks out for the directory as it stands; thought out anew when another change came
    /// first. Durable, and seen by every request that begins, when this returns. It goes on when the caller goes away.
    pub(super) async fn change<T, P>(&self, plan: P) -> Result<T, IdentityError>
    where
        P: FnMut(&Snapshot, Timestamp) -> Result<(Vec<DirectoryChange>, T), IdentityError> + Send + 'static,
        T: Send + 'static,
    {
        let inner = Arc::clone(&self.inner);
        let task = tokio::spawn(async move { inner.change(plan).await });
        task.await
            .unwrap_or_else(|error| Err(Fault::Internal(format!("changing the directory: {error}")).into()))
    }

    /// As [`Self::change`], for a plan that seals secrets.
    pub(super) async fn change_secrets<T, P>(&self, plan: P) -> Result<T, IdentityError>
    where
        P: FnMut(&Snapshot, Timestamp) -> Result<(Vec<DirectoryChange>, T), IdentityError> + Send + 'static,
        T: Send + 'static,
    {
        self.sealer().await?;
        self.change(plan).await
    }

    /// Seals the secret of the setting `name` as the users' are sealed: by the same key, through every change of the root
    /// password.
    pub async fn seal_setting(&self, name: &str, secret: &[u8]) -> Result<Vec<u8>, IdentityError> {
        let sealed = self.sealer().await?.seal_setting(name, secret);
        sealed.map_err(|error| super::internal(&error.to_string()))
    }

    /// The secret that was sealed for this setting; `None`: it does not open.
    pub async fn open_setting(&self, name: &str, sealed: &[u8]) -> Result<Option<SecretKey>, IdentityError> {
        let opened = self.sealer().await?.open_setting(name, sealed);
        Ok(opened.ok().map(|secret| SecretKey::new(secret.to_vec())))
    }

    /// Whether a secret that was sealed for this setting still opens.
    pub async fn opens_setting(&self, name: &str, sealed: &[u8]) -> Result<bool, IdentityError> {
        Ok(self.open_setting(name, sealed).await?.is_some())
    }

    /// Seals the terms of a link: see [`LinkSealer::seal`](super::LinkSealer::seal).
    pub async fn seal_link(&self, terms: &[u8]) -> Result<SealedLink, IdentityError> {
        let sealed = self.sealer().await?.links().seal(terms);
        sealed.map_err(|error| super::internal(&error.to_string()))
    }

    /// The terms of a link, and its secret: see [`LinkSealer::open`](super::LinkSealer::open).
    pub fn open_link(&self, access_key: &str, token: &str) -> Option<(Zeroizing<Vec<u8>>, SecretKey)> {
        let snapshot = self.snapshot().ok()?;
        snapshot.sealer.as_deref()?.links().open(access_key, token)
    }

    /// What seals secrets; made when the first one needs it.
    pub(super) async fn sealer(&self) -> Result<Arc<Sealer>, IdentityError> {
        if let Some(sealer) = self.snapshot()?.sealer.clone() {
            return Ok(sealer);
        }
        let inner = Arc::clone(&self.inner);
        let task = tokio::spawn(async move { inner.make_sealer().await });
        task.await
            .unwrap_or_else(|error| Err(Fault::Internal(format!("making the directory's key: {error}")).into()))
    }
}

impl Inner {
    fn snapshot(&self) -> Result<Arc<Snapshot>, IdentityError> {
        match &**self.state.load() {
            State::Open(snapshot) => Ok(Arc::clone(snapshot)),
            State::Loading(why) => Err(IdentityError::NotOpen(why.clone())),
            State::Shut(why) => Err(IdentityError::Shut(why.clone())),
        }
    }

    fn built(&self, rows: DirectoryRows, sealer: Option<Arc<Sealer>>, before: Option<&Snapshot>) -> Snapshot {
        Snapshot::build(rows, sealer, &self.root.access_key, before)
    }

    fn show(&self, snapshot: Snapshot) -> Arc<Snapshot> {
        let snapshot = Arc::new(snapshot);
        self.state.store(Arc::new(State::Open(Arc::clone(&snapshot))));
        snapshot
    }

    async fn load(&self) {
        let _turn = self.turn.lock().await;
        let was_loading = !matches!(&**self.state.load(), State::Open(_));
        match self.read().await {
            Ok(snapshot) => {
                for trouble in snapshot.troubles.iter().filter(|_| was_loading) {
                    tracing::error!("{trouble}");
                }
            }
            Err(NotLoaded::Later(fault)) => {
                tracing::debug!(%fault, "the directory of users cannot be read yet");
                if was_loading {
                    self.state.store(Arc::new(State::Loading(fault.to_string())));
                }
            }
            Err(NotLoaded::Shut(why)) => {
                tracing::error!(
                    "only root can sign in; users and access keys are refused, nothing of them is lost: {why}"
                );
                self.state.store(Arc::new(State::Shut(why)));
            }
        }
    }

    /// Reads the store and shows what is there. The turn is held.
    async fn read(&self) -> Result<Arc<Snapshot>, NotLoaded> {
        let rows = self.store.load_directory().await?;
        let before = self.snapshot().ok();
        let Some(record) = rows.seal.clone() else {
            return Ok(self.show(self.built(rows, None, before.as_deref())));
        };
        let known = before
            .as_ref()
            .filter(|before| before.rows.seal.as_ref() == Some(&record))
            .and_then(|before| before.sealer.clone());
        if known.is_some() {
            return Ok(self.show(self.built(rows, known, before.as_deref())));
        }
        let (keys, now) = (self.keys.clone(), self.clock.now());
        let opened = tokio::task::spawn_blocking(move || Sealer::open(&record, &keys, now)).await;
        let (sealer, anew) = opened.map_err(|error| NotLoaded::Shut(format!("opening its key: {error}")))??;
        let mut rows = rows;
        if let Some(anew) = anew {
            let changes = [DirectoryChange::Seal(anew)];
            match self.store.change_directory(rows.rev, &changes).await {
                Ok(rev) => {
                    rows.apply(&changes);
                    rows.rev = Some(rev);
                    tracing::info!(
                        "the key of the users' secrets is sealed anew; the password or key before is needed no longer"
                    );
                }
                // Both keys open it as long as both are given, so nothing is lost by trying again at the next start.
                Err(error) => {
                    tracing::warn!("the key of the users' secrets could not be sealed anew: {error}");
                    rows = self.store.load_directory().await?;
                }
            }
        }
        Ok(self.show(self.built(rows, Some(Arc::new(sealer)), before.as_deref())))
    }

    async fn change<T, P>(self: Arc<Self>, mut plan: P) -> Result<T, IdentityError>
    where
        P: FnMut(&Snapshot, Timestamp) -> Result<(Vec<DirectoryChange>, T), IdentityError>,
    {
        let _turn = self.turn.lock().await;
        for _ in 0..RACES_MAX {
            let before = self.snapshot()?;
            let (changes, answer) = plan(&before, self.clock.now())?;
            if changes.is_empty() {
                return Ok(answer);
            }
            if self.commit(&before, &changes, before.sealer.clone()).await? {
                return Ok(answer);
            }
        }
        Err(Fault::Unavailable("the directory changed again and again".into()).into())
    }

    async fn make_sealer(self: Arc<Self>) -> Result<Arc<Sealer>, IdentityError> {
        let _turn = self.turn.lock().await;
        for _ in 0..RACES_MAX {
            let before = self.snapshot()?;
            if let Some(sealer) = before.sealer.clone() {
                return Ok(sealer);
            }
            let (keys, now) = (self.keys.clone(), self.clock.now());
            let made = tokio::task::spawn_blocking(move || Sealer::generate(&keys, now)).await;
            let made = made.map_err(|error| Fault::Internal(format!("making the directory's key: {error}")))?;
            let (sealer, record) = made.map_err(|error| Fault::Internal(error.to_string()))?;
            let sealer = Arc::new(sealer);
            let changes = [DirectoryChange::Seal(record)];
            if self.commit(&before, &changes, Some(Arc::clone(&sealer))).await? {
                return Ok(sealer);
            }
        }
        Err(Fault::Unavailable("the directory changed again and again".into()).into())
    }

    /// Commits and shows; `false`: another change came first, and the directory was read anew. The turn is held.
    async fn commit(
        self: &Arc<Self>,
        before: &Snapshot,
        changes: &[DirectoryChange],
        sealer: Option<Arc<Sealer>>,
    ) -> Result<bool, IdentityError> {
        match self.store.change_directory(before.rows.rev, changes).await {
            Ok(rev) => {
                let mut rows = before.rows.clone();
                rows.apply(changes);
                rows.rev = Some(rev);
                self.show(self.built(rows, sealer, Some(before)));
                Ok(true)
            }
            Err(ChangeWholeError::Stale) => match self.read().await {
                Ok(_) => Ok(false),
                Err(NotLoaded::Later(fault)) => Err(fault.into()),
                Err(NotLoaded::Shut(why)) => Err(IdentityError::Shut(why)),
            },
            Err(ChangeWholeError::TooLarge(why)) => Err(IdentityError::TooMany(why)),
            Err(ChangeWholeError::Fault(fault)) => {
                if matches!(fault, Fault::Unknown(_)) {
                    tokio::spawn(read_until_known(Arc::downgrade(self), before.rows.rev));
                }
                Err(fault.into())
            }
        }
    }
}

/// After a change whose outcome is unknown: reads until the store tells what became of it.
async fn read_until_known(inner: Weak<Inner>, before: Option<storage_engine::backend::Rev>) {
    loop {
        tokio::time::sleep(LOOK_AGAIN).await;
        let Some(inner) = inner.upgrade() else { return };
        let _turn = inner.turn.lock().await;
        match inner.read().await {
            Ok(_) => return,
            Err(NotLoaded::Later(fault)) => {
                tracing::debug!(?before, %fault, "whether a change of the directory happened is not known yet");
            }
            Err(NotLoaded::Shut(why)) => {
                tracing::error!("the directory of users no longer reads: {why}");
                return;
            }
        }
    }
}

impl Accounts for Directory {
    fn user_of(&self, canonical_id: &str) -> Option<String> {
        self.snapshot().ok()?.user_of(canonical_id).map(str::to_owned)
    }
}

impl CredentialSource for Directory {
    fn find(&self, access_key: &str) -> Option<Credential> {
        let root = &self.inner.root;
        if bool::from(root.access_key.as_bytes().ct_eq(access_key.as_bytes())) {
            return Some(Credential::lasting(Identity::Root, root.secret.clone()));
        }
        let state = self.inner.state.load();
        let State::Open(snapshot) = &**state else { return None };
        let holder = snapshot.holder(access_key, self.inner.clock.now())?;
        let identity = Identity::Caller(Arc::clone(&holder.caller));
        Some(Credential::lasting(identity, holder.secret.clone()))
    }

    fn find_temporary(&self, access_key: &str, token: &str) -> Option<Credential> {
        let state = self.inner.state.load();
        let State::Open(snapshot) = &**state else { return None };
        snapshot.temporary(access_key, token, &self.inner.federation)
    }

    fn is_open(&self) -> bool {
        matches!(&**self.inner.state.load(), State::Open(_))
    }
}
