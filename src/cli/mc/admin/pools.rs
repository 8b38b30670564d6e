//! `mc admin decommission`, `rebalance` and `replicate`: how a store's drives and sites stand together. A store of ours is
//! one pool; whatever a server does not have it says itself.

use clap::Subcommand;
use http::Method;
use serde_json::{Value, json};

use super::api::document;
use super::{Api, Server, number, told, word};
use crate::cli::mc::client::ClientError;
use crate::cli::mc::output::{Failure, human};
use crate::cli::mc::shell::Shell;

#[derive(Debug, Subcommand)]
pub(in crate::cli::mc) enum DecommissionVerb {
    /// The pools, and which of them are being emptied
    Status(Server),
}

#[derive(Debug, Subcommand)]
pub(in crate::cli::mc) enum RebalanceVerb {
    /// Move what is stored from fuller to emptier drives
    Start(Server),
    /// How that goes on
    Status(Server),
    /// End it
    Stop(Server),
}

#[derive(Debug, Subcommand)]
pub(in crate::cli::mc) enum ReplicateVerb {
    /// Whether the store is one of several sites
    Info(Server),
}

pub(super) async fn decommission(shell: &Shell, verb: DecommissionVerb) -> Result<(), Failure> {
    let DecommissionVerb::Status(server) = verb;
    let failed = |error: ClientError| Failure::fatal("Unable to get status for all pools").because(&error);
    let api = Api::of(shell, &server.alias)?;
    let pools = api.document("pools/list", &[]).await.map_err(failed)?;
    let lines = pools.as_array().into_iter().flatten().map(|pool| {
        let figure = |name: &str| human(number(pool, &format!("/decommissionInfo/{name}")));
        let is = |name: &str| {
            pool.pointer(&format!("/decommissionInfo/{name}"))
                .and_then(Value::as_bool)
                == Some(true)
        };
        let state = match (is("complete"), is("failed"), is("canceled")) {
            (true, _, _) => "emptied",
            (_, true, _) => "emptying failed",
            (_, _, true) => "emptying was ended",
            (false, false, false) => "in use",
        };
        let (id, free, total) = (number(pool, "/id"), figure("currentSize"), figure("totalSize"));
        format!("{id}  {state}, {free} of {total} free\n   {}", word(pool, "cmdline"))
    });
    let text = lines.collect::<Vec<_>>().join("\n");
    shell.out.say(&pools, &text);
    Ok(())
}

pub(super) async fn rebalance(shell: &Shell, verb: RebalanceVerb) -> Result<(), Failure> {
    match verb {
        RebalanceVerb::Start(server) => {
            let failed = |error: ClientError| Failure::fatal("Unable to start rebalance").because(&error);
            let api = Api::of(shell, &server.alias)?;
            let begun = api
                .plain(Method::POST, "rebalance/start", &[], "")
                .await
                .map_err(failed)?;
            let begun = document(&begun.body).map_err(failed)?;
            let value = told([("url", json!(api.alias)), ("id", json!(word(&begun, "id")))]);
            shell
                .out
                .say(&value, &format!("`{}` moves from fuller to emptier drives.", api.alias));
        }
        RebalanceVerb::Status(server) => {
            let api = Api::of(shell, &server.alias)?;
            let status = api.document("rebalance/status", &[]).await;
            let status = status.map_err(|error| Failure::fatal("Unable to get rebalance status").because(&error))?;
            let lines = super::items(&status, "pools").iter().map(|pool| {
                let used = pool.get("used").and_then(Value::as_f64).unwrap_or_default() * 100.0;
                let moved = human(number(pool, "/progress/bytes"));
                let (id, state) = (number(pool, "/id"), word(pool, "status"));
                format!("Pool {id}: {state}, {used:.1} % full, {moved} moved")
            });
            let text = lines.collect::<Vec<_>>().join("\n");
            shell.out.say(&status, &text);
        }
        RebalanceVerb::Stop(server) => {
            let api = Api::of(shell, &server.alias)?;
            let ended = api.plain(Method::POST, "rebalance/stop", &[], "").await;
            ended.map_err(|error| Failure::fatal("Unable to stop rebalance").because(&error))?;
            let value = told([("url", json!(api.alias))]);
            shell
                .out
                .say(&value, &format!("`{}` moves no more between its drives.", api.alias));
        }
    }
    Ok(())
}

pub(super) async fn replicate(shell: &Shell, verb: ReplicateVerb) -> Result<(), Failure> {
    let ReplicateVerb::Info(server) = verb;
    let api = Api::of(shell, &server.alias)?;
    let info = api.document("site-replication/info", &[("api-version", "1")]).await;
    let info = info.map_err(|error| Failure::fatal("Unable to get cluster replication information").because(&error))?;
    let text = match info.get("enabled").and_then(Value::as_bool) {
        Some(true) => format!("The sites of `{}`:\n{info:#}", word(&info, "name")),
        Some(false) | None => "The store is no site of several.".to_owned(),
    };
    shell.out.say(&info, &text);
    Ok(())
}
