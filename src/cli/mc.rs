//! The `mc`-compatible client. So far one verb of it: `ready`.

use std::process::ExitCode;

use super::args::McCommand;
use super::print;
use super::ready;
use crate::config::{Vars, client};

/// Runs one command of the client.
pub fn run(command: McCommand) -> ExitCode {
    match command {
        McCommand::Ready(args) => match client::host(&args.alias, &Vars::of_process()) {
            Ok(host) => ready::run(&host, &args),
            Err(error) => {
                print::problem(format_args!("mc: {error}"));
                ExitCode::FAILURE
            }
        },
        McCommand::NotBuilt(verb) => {
            print::problem(format_args!(
                "mc: '{verb}' is not built yet; only 'mc ready ALIAS' is. Use MinIO's own mc meanwhile: it works against this server."
            ));
            ExitCode::FAILURE
        }
    }
}
