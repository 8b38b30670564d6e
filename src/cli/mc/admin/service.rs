//! `mc admin service`: restart or stop a server, and wait until it is back.

use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use http::Method;
use serde_json::json;

use super::api::document;
use super::{Api, Server};
use crate::cli::mc::client::{Ask, Client};
use crate::cli::mc::output::Failure;
use crate::cli::mc::shell::Shell;

/// Between two looks whether the server is back.
const PAUSE: Duration = Duration::from_millis(500);
/// How long a server may be away.
const PATIENCE: Duration = Duration::from_secs(300);

#[derive(Debug, Subcommand)]
pub(in crate::cli::mc) enum ServiceVerb {
    /// Execute the server's program anew, and wait until it is back
    Restart(RestartArgs),
    /// End it
    Stop(Server),
    /// Take no S3 requests
    Freeze(Server),
    /// Take them again
    Unfreeze(Server),
}

#[derive(Debug, Args)]
pub(in crate::cli::mc) struct RestartArgs {
    /// Only ask whether it could
    #[arg(long)]
    dry_run: bool,
    /// Wait until it takes writes, too
    #[arg(long, short)]
    wait: bool,
    #[arg(value_name = "ALIAS")]
    alias: String,
}

pub(super) async fn run(shell: &Shell, verb: ServiceVerb) -> Result<(), Failure> {
    match verb {
        ServiceVerb::Restart(args) => restart(shell, &args).await,
        ServiceVerb::Stop(server) => order(shell, &server, "stop", "is being stopped").await,
        ServiceVerb::Freeze(server) => order(shell, &server, "freeze", "takes no S3 requests").await,
        ServiceVerb::Unfreeze(server) => order(shell, &server, "unfreeze", "takes S3 requests").await,
    }
}

async fn ask(api: &Api, action: &str, dry_run: bool) -> Result<serde_json::Value, Failure> {
    let dry_run = if dry_run { "true" } else { "false" };
    let query = [("action", action), ("dry-run", dry_run), ("type", "2")];
    let answered = api.plain(Method::POST, "service", &query, "").await;
    let message = format!("Unable to {action} the server.");
    let answered = answered.map_err(|error| Failure::fatal(message).because(&error))?;
    Ok(document(&answered.body).unwrap_or_default())
}

async fn order(shell: &Shell, server: &Server, action: &str, done: &str) -> Result<(), Failure> {
    let api = Api::of(shell, &server.alias)?;
    let result = ask(&api, action, false).await?;
    let value = json!({ "status": "success", "serverURL": api.alias, "action": action, "result": result });
    shell.out.say(&value, &format!("`{}` {done}.", api.alias));
    Ok(())
}

async fn restart(shell: &Shell, args: &RestartArgs) -> Result<(), Failure> {
    let api = Api::of(shell, &args.alias)?;
    let begun = Instant::now();
    let result = ask(&api, "restart", args.dry_run).await?;
    let late = || Failure::fatal(format!("`{}` is not back after {} s.", api.alias, PATIENCE.as_secs()));
    if !args.dry_run {
        // It answers before it goes: what answers at once is still the old one.
        tokio::time::sleep(PAUSE).await;
        back(api.client(), "minio/health/live").await.ok_or_else(late)?;
    }
    let restarted = begun.elapsed();
    if args.wait {
        back(api.client(), "minio/health/cluster").await.ok_or_else(late)?;
    }
    let taken = begun.elapsed();
    let nanos = |span: Duration| u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
    let value = json!({
        "status": "success",
        "serverURL": api.alias,
        "result": result,
        "restartDuration": nanos(restarted),
        "waitingDuration": nanos(taken - restarted),
        "timeTaken": nanos(taken),
        "state": 2,
    });
    let text = match args.dry_run {
        true => format!("`{}` could be restarted.", api.alias),
        false => format!("`{}` is back after {:.1} s.", api.alias, taken.as_secs_f64()),
    };
    shell.out.say(&value, &text);
    Ok(())
}

/// Asks until the answer is good; `None` when it takes too long.
async fn back(client: &Client, path: &str) -> Option<()> {
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        if client.health(&Ask::of(Method::GET, "", path)).await.is_ok() {
            return Some(());
        }
        tokio::time::sleep(PAUSE).await;
    }
    None
}
