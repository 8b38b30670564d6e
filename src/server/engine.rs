//! The storage engine as the server opens and closes it.

use std::sync::Arc;

use futures::future::BoxFuture;
use storage_engine::backend::Backend;
use storage_engine::embedded::{Embedded, OpenError, OpenOptions};

use super::exit::EngineError;
use crate::config::Config;

/// An open engine, and how to close it so that the next start needs no recovery.
pub struct Engine {
    pub backend: Arc<dyn Backend>,
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
            let engine = Embedded::open(options).await.map_err(|error| refused(&error))?;
            let closing = Arc::clone(&engine);
            let close: CloseEngine = Box::new(move || {
                Box::pin(async move {
                    closing.close().await;
                    Ok(())
                })
            });
            Ok(Engine { backend: engine, close })
        })
    })
}

/// What the operator must know of a store that cannot be opened until something is changed.
fn refused(error: &OpenError) -> EngineError {
    let text = error.to_string();
    if text.contains(NO_SPACE) {
        return EngineError::Full(format!("{text}; free some space on that file system and start again"));
    }
    match error {
        OpenError::Unusable(_)
        | OpenError::Drive { .. }
        | OpenError::Foreign { .. }
        | OpenError::Twice { .. }
        | OpenError::Refused(_) => EngineError::Drive(text),
        OpenError::NoDrives
        | OpenError::Parity { .. }
        | OpenError::TooMany(_)
        | OpenError::Cpu(_)
        | OpenError::Log(_)
        | OpenError::Checkpoint(_)
        | OpenError::Index(_)
        | OpenError::Write(_) => EngineError::Other(text),
    }
}

/// How the standard library ends the text of ENOSPC.
const NO_SPACE: &str = "(os error 28)";
