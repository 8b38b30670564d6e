//! `drystone server`: configuration, logs, runtime, and the server until it is told to stop.

use std::path::Path;
use std::process::ExitCode;

use crate::config::{Config, ServerArgs, Vars};
use crate::server::{self, exit};
use crate::telemetry;

/// Runs the store until SIGTERM or SIGINT.
pub fn run(args: ServerArgs) -> ExitCode {
    let read = |path: &Path| std::fs::read_to_string(path);
    let config = match Config::resolve(args, Vars::of_process(), &read) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("drystone: {error}");
            return ExitCode::from(exit::USAGE);
        }
    };
    if let Err(error) = telemetry::log::start(config.output) {
        eprintln!("drystone: cannot start logging: {error}");
        return ExitCode::FAILURE;
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("drystone: cannot start threads: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(server::run(config)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::from(error.exit_code())
        }
    }
}
