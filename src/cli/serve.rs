//! `drystone server`: configuration, logs, runtime, and the server until it is told to stop; or to start again, which the
//! process does by executing itself with the same arguments.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use super::print;
use crate::admin::power::Ending;
use crate::config::{Config, ServerArgs, Vars};
use crate::server::{self, exit};
use crate::telemetry;
use crate::telemetry::journal::Journal;

/// Where the system says which file this process executes.
const OWN_EXECUTABLE: &str = "/proc/self/exe";

/// Runs the store until SIGTERM, SIGINT or an order of an operator. `arguments` are those of the process, its name first.
pub fn run(args: ServerArgs, arguments: &[OsString]) -> ExitCode {
    let read = |path: &Path| std::fs::read_to_string(path);
    let config = match Config::resolve(args, Vars::of_process(), &read) {
        Ok(config) => config,
        Err(error) => {
            print::problem(format_args!("drystone: {error}"));
            return ExitCode::from(exit::USAGE);
        }
    };
    let journal = Journal::default();
    if let Err(error) = telemetry::log::start(config.output, journal.clone()) {
        print::problem(format_args!("drystone: cannot start logging: {error}"));
        return ExitCode::FAILURE;
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            print::problem(format_args!("drystone: cannot start threads: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let ended = runtime.block_on(server::run(config, journal));
    // Nothing of the old run may be left when the new one begins.
    drop(runtime);
    match ended {
        Ok(Ending::Stop) => ExitCode::SUCCESS,
        Ok(Ending::Restart) => {
            tracing::info!("starting again");
            let error = again(arguments);
            tracing::error!("told to start again, but this program cannot be executed: {error}");
            ExitCode::from(exit::NOT_RESTARTED)
        }
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::from(error.exit_code())
        }
    }
}

/// Executes the program of this process anew, in its place; returns only if that fails.
fn again(arguments: &[OsString]) -> io::Error {
    let executable = match std::fs::read_link(OWN_EXECUTABLE) {
        Ok(path) => in_place(path),
        Err(error) => return error,
    };
    let mut command = Command::new(executable);
    if let Some((name, rest)) = arguments.split_first() {
        command.arg0(name).args(rest);
    }
    command.exec()
}

/// A program that was replaced by a newer one goes on as that: the system marks the path of the old one.
fn in_place(path: PathBuf) -> PathBuf {
    let unmarked = path.to_str().and_then(|path| path.strip_suffix(" (deleted)"));
    unmarked.map(PathBuf::from).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replaced_program_is_followed_by_the_one_in_its_place() {
        assert_eq!(
            in_place("/usr/bin/drystone (deleted)".into()),
            PathBuf::from("/usr/bin/drystone")
        );
        assert_eq!(in_place("/usr/bin/drystone".into()), PathBuf::from("/usr/bin/drystone"));
    }
}
