//! The storage engine as the server opens and closes it.

use std::sync::Arc;

use futures::future::BoxFuture;
use storage_engine::backend::Backend;

use super::exit::EngineError;
use crate::config::Config;

/// An open engine, and how to close it so that the next start needs no recovery.
pub struct Engine {
    pub backend: Arc<dyn Backend>,
    pub close: Box<dyn FnOnce() -> BoxFuture<'static, Result<(), String>> + Send>,
}

/// Opens the engine of a configuration.
pub type OpenEngine = Box<dyn FnOnce(&Config) -> BoxFuture<'static, Result<Engine, EngineError>> + Send + Sync>;

/// The engine on local drives.
pub fn embedded() -> OpenEngine {
    Box::new(|_config| {
        Box::pin(async {
            Err(EngineError::Other(
                "the storage engine on drives is not part of this build yet".to_owned(),
            ))
        })
    })
}
