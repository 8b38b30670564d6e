//! Log lines on standard error, as text or as JSON.

use std::io::IsTerminal;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt;
use tracing_subscriber::prelude::*;

use super::journal::Journal;
use crate::config::Output;

/// Starts logging for the whole process, and keeps what is logged in `journal`, too. Fails when a subscriber is already set.
///
/// Libraries speak only when something is wrong, whatever the level: some of them print request headers, and with them
/// signatures and tokens, at finer levels.
pub fn start(output: Output, journal: Journal) -> Result<(), tracing_subscriber::util::TryInitError> {
    let level = LevelFilter::from_level(output.level);
    let targets = Targets::new()
        .with_default(LevelFilter::WARN)
        // It logs what clients do wrong as its own errors, and at lower levels whole requests.
        .with_target("s3s", LevelFilter::OFF)
        .with_target("drystone", level)
        .with_target("storage_engine", level);
    let colours = std::io::stderr().is_terminal();
    let lines = fmt::layer()
        .with_writer(std::io::stderr)
        .with_target(false)
        .with_ansi(colours);
    if output.json {
        tracing_subscriber::registry()
            .with(journal.with_filter(targets.clone()))
            .with(lines.json().flatten_event(true).with_filter(targets))
            .try_init()
    } else {
        tracing_subscriber::registry()
            .with(journal.with_filter(targets.clone()))
            .with(lines.with_filter(targets))
            .try_init()
    }
}
