//! The commands of the binary: what they are called, what they take, and which of them are built.
//!
//! It parses and dispatches; it owns no rule about values (that is `config`) and opens nothing itself.

pub mod admin;
mod app;
pub mod args;
mod call;
mod drives;
mod export;
mod healing;
mod images;
mod import;
pub mod inspect;
pub mod mc;
mod print;
mod projects;
pub mod salvage;
pub mod serve;
mod visibility;

use std::ffi::OsString;
use std::process::ExitCode;

use args::{Command, parse};

/// Runs the command that these arguments name; the first is the name the program was called by.
pub fn run(arguments: Vec<OsString>) -> ExitCode {
    match parse(arguments.clone()) {
        Ok(Command::Server(args)) => serve::run(args, &arguments),
        Ok(Command::Mc(arguments)) => mc::run(arguments),
        Ok(Command::Admin(command)) => admin::run(command),
        Ok(Command::Visibility(command)) => admin::run_visibility(command),
        Ok(Command::Apps(command)) => admin::run_apps(command),
        Ok(Command::Import(command)) => import::run(*command),
        Ok(Command::Export(command)) => export::run(*command),
        Ok(Command::Inspect(command)) => inspect::run(&command),
        Ok(Command::Salvage(command)) => salvage::run(&command),
        Ok(Command::ImageWorker(limits)) => crate::images::worker::run(limits),
        Err(error) => {
            // Help and version are errors to clap, and success to whoever asked.
            let failed = error.use_stderr();
            // Whoever asked may be gone.
            let _ = error.print();
            ExitCode::from(if failed { crate::server::exit::USAGE } else { 0 })
        }
    }
}
