//! The storage engine as the server opens and closes it.

use std::path::Path;
use std::sync::Arc;

use futures::future::BoxFuture;
use storage_engine::backend::Backend;
use storage_engine::embedded::heal::HealStatus;
use storage_engine::embedded::{Embedded, OpenError, OpenOptions};

use super::exit::EngineError;
use super::machine;
use crate::admin::heal::Healing;
use crate::config::Config;

/// An open engine, and how to close it so that the next start needs no recovery.
pub struct Engine {
    pub backend: Arc<dyn Backend>,
    /// `None` for a backend that has nothing to heal.
    pub healing: Option<Arc<dyn Healing>>,
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
            ..OpenOptions::default()
        };
        Box::pin(async move {
            let store = Embedded::open(options).await.map_err(explain)?;
            let closing = Arc::clone(&store);
            Ok(Engine {
                healing: Some(Arc::new(OfStore(Arc::clone(&store)))),
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

/// The healing of a store on local drives.
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
