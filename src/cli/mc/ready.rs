//! `mc ready`: asks a server's health until it is ready, as a container's health check does.

use std::time::Duration;

use clap::Args;
use http::Method;
use serde_json::json;

use super::client::{Ask, Client, ClientError};
use super::output::Failure;
use super::shell::Shell;

const PAUSE: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, Args)]
pub(super) struct ReadyArgs {
    /// Be content when reads are served
    #[arg(long)]
    cluster_read: bool,
    /// Ask whether the server may be stopped without losing service
    #[arg(long)]
    maintenance: bool,
    /// Name of the server
    #[arg(value_name = "ALIAS")]
    alias: String,
}

/// Asks until the server is ready; whoever has less patience ends the process, as container engines do.
pub(super) async fn run(shell: &Shell, args: ReadyArgs) -> Result<(), Failure> {
    let name = args.alias.trim_end_matches('/');
    let client = shell.client(name)?;
    loop {
        let problem = match tokio::time::timeout(PATIENCE, ask(&client, &args)).await {
            Ok(Ok(())) => {
                say(shell, &args, name, true, &format!("The cluster '{name}' is ready"));
                return Ok(());
            }
            Ok(Err(ClientError::Refused(refusal))) if refusal.status == 412 => {
                return Err(Failure::fatal(format!(
                    "The cluster '{name}' would lose service without this server."
                )));
            }
            Ok(Err(ClientError::Refused(refusal))) => format!("The cluster '{name}' is not ready: {}", refusal.status),
            Ok(Err(error)) => format!("The cluster '{name}' is unreachable: {error}"),
            Err(_) => format!("The cluster '{name}' is unreachable: no answer in time"),
        };
        say(shell, &args, name, false, &problem);
        tokio::time::sleep(PAUSE).await;
    }
}

fn say(shell: &Shell, args: &ReadyArgs, name: &str, healthy: bool, text: &str) {
    let value = json!({
        "status": if healthy { "success" } else { "error" },
        "alias": name,
        "healthy": healthy,
        "maintenanceMode": args.maintenance,
        "message": text,
    });
    if shell.out.json || !shell.out.quiet {
        shell.out.say(&value, text);
    }
}

async fn ask(client: &Client, args: &ReadyArgs) -> Result<(), ClientError> {
    let key = if args.cluster_read {
        "minio/health/cluster/read"
    } else {
        "minio/health/cluster"
    };
    let maintenance = [("maintenance", "true")];
    let ask = Ask {
        query: if args.maintenance { &maintenance } else { &[] },
        ..Ask::of(Method::GET, "", key)
    };
    client.health(&ask).await
}
