//! `mc ready`: asks a server's health until it is ready, as a container's health check does.

use std::process::ExitCode;
use std::time::Duration;

use http::{Method, StatusCode};

use super::args::ReadyArgs;
use super::call::{Call, CallError, Trust, is_loopback};
use super::print;
use crate::config::client::ServerHost;

const PAUSE: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(10);

/// Asks until the server is ready; whoever has less patience ends the process, as container engines do.
pub fn run(host: &ServerHost, args: &ReadyArgs) -> ExitCode {
    if host.tls && !args.insecure && !is_loopback(&host.host) {
        print::problem(format_args!(
            "mc: checking the certificate of another machine is not built yet; use --insecure (no secret is sent)"
        ));
        return ExitCode::FAILURE;
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            print::problem(format_args!("mc: {error}"));
            return ExitCode::FAILURE;
        }
    };
    runtime.block_on(async {
        loop {
            let answer = tokio::time::timeout(PATIENCE, ask(host, args)).await;
            let problem = match answer {
                Ok(Ok(StatusCode::OK)) => {
                    report(args, true, "The cluster is ready");
                    return ExitCode::SUCCESS;
                }
                Ok(Ok(StatusCode::PRECONDITION_FAILED)) => {
                    report(args, false, "The cluster would lose service without this server");
                    return ExitCode::FAILURE;
                }
                Ok(Ok(status)) => format!("The cluster is not ready: {status}"),
                Ok(Err(error)) => format!("The cluster is unreachable: {error}"),
                Err(_) => "The cluster is unreachable: no answer in time".to_owned(),
            };
            report(args, false, &problem);
            tokio::time::sleep(PAUSE).await;
        }
    })
}

fn report(args: &ReadyArgs, healthy: bool, text: &str) {
    if args.json {
        print::line(serde_json::json!({ "healthy": healthy, "message": text }));
    } else if !args.quiet {
        print::line(text);
    }
}

fn path(args: &ReadyArgs) -> &'static str {
    match (args.cluster_read, args.maintenance) {
        (false, false) => "/minio/health/cluster",
        (false, true) => "/minio/health/cluster?maintenance=true",
        (true, false) => "/minio/health/cluster/read",
        (true, true) => "/minio/health/cluster/read?maintenance=true",
    }
}

async fn ask(host: &ServerHost, args: &ReadyArgs) -> Result<StatusCode, CallError> {
    let call = Call {
        host,
        trust: &Trust::Any,
        signer: None,
        method: Method::GET,
        target: path(args),
        body: bytes::Bytes::new(),
        user_agent: concat!("drystone-mc/", env!("CARGO_PKG_VERSION")),
    };
    Ok(call.ask().await?.0)
}
