//! The settings that are stored, at the start: what of them holds, and what they reach while the server runs.

use std::sync::Arc;

use storage_engine::store::Store;
use storage_engine::store::server_settings::ServerSettings as Rows;

use crate::admin::settings::{ServerSettings, Wiring};
use crate::config::Config;
use crate::config::stored::Stored;
use crate::http::edge::Edge;
use crate::identity::Directory;

/// What is stored; `None` if it cannot be read now. That keeps no server from starting.
pub(super) async fn load(store: &Store) -> Option<Rows> {
    match store.load_server_settings().await {
        Ok(rows) => Some(rows),
        Err(fault) => {
            tracing::warn!(%fault, "the stored settings cannot be read now: the server starts without them");
            None
        }
    }
}

/// The configuration with what is stored below it. What of that does not hold is told, and left out.
pub(super) fn holding(config: &Config, stored: Option<&Rows>) -> Config {
    if let Some(why) = stored.and_then(|rows| rows.unreadable.as_ref()) {
        tracing::error!("no stored setting has an effect: {why}");
    }
    let stored = stored.map(|rows| Stored::of(&rows.values)).unwrap_or_default();
    let (holding, troubles) = config.under(&stored);
    for trouble in troubles {
        let (subsystem, target) = (trouble.subsystem, trouble.target);
        tracing::error!(subsystem, target, "a stored setting has no effect: {}", trouble.reason);
    }
    for warning in holding
        .warnings
        .iter()
        .filter(|warning| !config.warnings.contains(warning))
    {
        tracing::warn!("{warning}");
    }
    holding
}

/// What the settings reach.
pub(super) fn wiring(config: &Config, store: &Store, directory: &Directory, edge: &Arc<Edge>) -> Wiring {
    // The edge holds whoever changes settings.
    let edge = Arc::downgrade(edge);
    Wiring {
        store: store.clone(),
        directory: directory.clone(),
        environment: config.environment.clone(),
        change: Arc::new(move |at_once| {
            if let Some(edge) = edge.upgrade() {
                edge.change(at_once);
            }
        }),
    }
}

/// Reads what could not be read at the start.
pub(super) async fn load_later(settings: ServerSettings) {
    settings.keep_loading().await;
    tracing::warn!("the stored settings were read late; those that hold from a start on hold from the next one on");
}
