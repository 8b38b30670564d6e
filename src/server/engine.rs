//! The storage engine as the server opens and closes it.

use std::path::Path;
use std::sync::Arc;

use futures::future::BoxFuture;
use storage_engine::backend::Backend;
use storage_engine::embedded::fleet::{DriveChange, FleetError};
use storage_engine::embedded::heal::{HealStatus, MovingStatus};
use storage_engine::embedded::{Embedded, IndexCheck, OpenError, OpenOptions};

use super::exit::EngineError;
use super::machine;
use crate::admin::drives::{Fleet, Order};
use crate::admin::heal::Healing;
use crate::admin::index::Indexing;
use crate::config::Config;

/// An open engine, and how to close it so that the next start needs no recovery.
pub struct Engine {
    pub backend: Arc<dyn Backend>,
    /// `None` for a backend that has nothing to heal.
    pub healing: Option<Arc<dyn Healing>>,
    /// `None` for a backend without drives of its own.
    pub fleet: Option<Arc<dyn Fleet>>,
    /// `None` for a backend without an index of its own.
    pub index: Option<Arc<dyn Indexing>>,
    pub close: CloseEngine,
}

/// Closes an engine: everything acknowledged stays, and the next start finds it marked clean.
pub type CloseEngine = Box<dyn FnOnce() -> BoxFuture<'static, Result<(), String>> + Send>;

/// Opens the engine of a configuration.
pub type OpenEngine = Box<dyn FnOnce(&Config) -> BoxFuture<'static, Result<Engine, EngineError>> + Send + Sync>;

/// The engine on local drives.
pub fn embedded() -> OpenEngine {
    Box::new(|config| {
        let options = OpenOptions {
            drives: config.drives.clone(),
            parity: config.parity,
            index_dir: config.index_dir.clone(),
            adopt: config.adopt,
            add: config.add_drives,
            ..OpenOptions::default()
        };
        Box::pin(async move {
            let store = Embedded::open(options).await.map_err(explain)?;
            let closing = Arc::clone(&store);
            Ok(Engine {
                healing: Some(Arc::new(OfStore(Arc::clone(&store)))),
                fleet: Some(Arc::new(OfStore(Arc::clone(&store)))),
                index: Some(Arc::new(OfStore(Arc::clone(&store)))),
                backend: store,
                close: Box::new(move || {
                    Box::pin(async move {
                        closing.close().await;
                        Ok(())
                    })
                }),
            })
        })
    })
}

/// The healing, the drives and the index of a store on local drives.
struct OfStore(Arc<Embedded>);

impl Healing for OfStore {
    fn status(&self) -> HealStatus {
        self.0.heal_status()
    }

    fn heal_now(&self) {
        self.0.heal_now();
    }

    fn scrub_now(&self) {
        self.0.scrub_now();
    }
}

impl Indexing for OfStore {
    fn verify(&self) -> BoxFuture<'static, Result<IndexCheck, String>> {
        let store = Arc::clone(&self.0);
        Box::pin(async move { store.check_index().await })
    }

    fn rebuild(&self) -> Result<(), String> {
        self.0.rebuild_index()
    }
}

impl Fleet for OfStore {
    fn status(&self) -> MovingStatus {
        self.0.moving_status()
    }

    fn order(&self, order: Order) -> BoxFuture<'static, Result<Vec<DriveChange>, FleetError>> {
        let store = Arc::clone(&self.0);
        // A task of its own: an order that was begun does not end with whoever gave it.
        let carried_out = tokio::spawn(async move { carry_out(&store, order).await });
        let ended = |error: tokio::task::JoinError| Err(FleetError::Unavailable(error.to_string()));
        Box::pin(async move { carried_out.await.unwrap_or_else(ended) })
    }
}

async fn carry_out(store: &Embedded, order: Order) -> Result<Vec<DriveChange>, FleetError> {
    match order {
        Order::Add(add) => store.add_drives(&add.paths, add.force).await,
        Order::Drain(named) => Ok(vec![store.drain_drive(&named.drive).await?]),
        Order::Keep(named) => Ok(vec![store.keep_drive(&named.drive).await?]),
        Order::Remove(remove) => Ok(vec![store.remove_drive(&remove.drive, remove.lost).await?]),
        Order::Replace(replace) => {
            let replaced = store.replace_drive(&replace.drive, &replace.path, replace.lost, replace.force);
            let (old, new) = replaced.await?;
            Ok(vec![old, new])
        }
        Order::Rebalance(percent) => store.rebalance(percent).await.map(|()| Vec::new()),
        Order::Parity(parity) => store.set_parity(parity.parity).await.map(|()| Vec::new()),
    }
}

/// The engine's reason, with what the operator can do about it.
fn explain(error: OpenError) -> EngineError {
    let text = error.to_string();
    match error {
        OpenError::NotWritable { path, .. } => EngineError::NotWritable(not_writable(&path, &text)),
        OpenError::Full { .. } => EngineError::Full(format!("{text}; free some space, then start again")),
        OpenError::Foreign { .. } => EngineError::Drive(format!(
            "{text}. Buckets to begin with are named in MINIO_DEFAULT_BUCKETS, not made as folders"
        )),
        OpenError::NoDrives
        | OpenError::Drive { .. }
        | OpenError::Twice { .. }
        | OpenError::Mixed(_)
        | OpenError::Unusable(_)
        | OpenError::Refused(_)
        | OpenError::Parity { .. }
        | OpenError::TooMany(_) => EngineError::Drive(text),
        OpenError::Cpu(_)
        | OpenError::Log(_)
        | OpenError::Checkpoint(_)
        | OpenError::Index(_)
        | OpenError::Write(_) => EngineError::Other(text),
    }
}

/// What the rights there say is wrong, and the command that helps; else the engine's own words.
fn not_writable(path: &Path, text: &str) -> String {
    let found = machine::not_writable(&[path.to_owned()]);
    found
        .into_iter()
        .next()
        .map_or_else(|| text.to_owned(), |drive| drive.message)
}
