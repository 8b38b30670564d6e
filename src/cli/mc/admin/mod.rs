//! `mc admin`: a server's identities, settings, health and power, in the words of MinIO's client. One file for each family
//! of verbs; `api` is the only one that asks. What a server has not built it says itself.

mod api;
mod config;
mod group;
mod heal;
mod info;
mod key;
mod policy;
mod pools;
mod prometheus;
mod service;
mod streams;
mod trace;
mod user;

use std::ffi::OsString;

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::output::Failure;
use super::shell::Shell;
pub(super) use api::Api;
pub(super) use streams::{TopVerb, top};

#[derive(Debug, Subcommand)]
pub(super) enum AdminVerb {
    /// The store, its drives, and what is wrong with them
    Info(info::InfoArgs),
    /// Users
    #[command(subcommand)]
    User(user::UserVerb),
    /// Groups of users
    #[command(subcommand)]
    Group(group::GroupVerb),
    /// What users and groups may do
    #[command(subcommand)]
    Policy(policy::PolicyVerb),
    /// Access keys of users
    #[command(subcommand)]
    Accesskey(key::AccessKeyVerb),
    /// The server's settings
    #[command(subcommand)]
    Config(config::ConfigVerb),
    /// How healing stands, or heal now
    Heal(heal::HealArgs),
    /// Restart or stop a server
    #[command(subcommand)]
    Service(service::ServiceVerb),
    /// Calls, while they happen
    Trace(trace::TraceArgs),
    /// What the server logs, while it does
    Logs(streams::LogsArgs),
    /// Verifying of what is stored
    #[command(subcommand)]
    Scanner(streams::ScannerVerb),
    /// What takes the most
    #[command(subcommand)]
    Top(TopVerb),
    /// Metrics
    #[command(subcommand)]
    Prometheus(prometheus::PrometheusVerb),
    /// Emptying of pools
    #[command(subcommand, visible_alias = "decom")]
    Decommission(pools::DecommissionVerb),
    /// Balance between drives
    #[command(subcommand)]
    Rebalance(pools::RebalanceVerb),
    /// Sites that hold the same
    #[command(subcommand)]
    Replicate(pools::ReplicateVerb),
    #[command(external_subcommand)]
    Other(Vec<OsString>),
}

#[derive(Debug, Args)]
pub(super) struct Server {
    #[arg(value_name = "ALIAS")]
    alias: String,
}

/// A server, and something on it that has a name.
#[derive(Debug, Args)]
pub(super) struct Named {
    #[arg(value_name = "ALIAS")]
    alias: String,
    #[arg(value_name = "NAME")]
    name: String,
}

pub(super) async fn run(shell: &Shell, verb: AdminVerb) -> Result<(), Failure> {
    match verb {
        AdminVerb::Info(args) => info::run(shell, &args).await,
        AdminVerb::User(verb) => user::run(shell, verb).await,
        AdminVerb::Group(verb) => group::run(shell, verb).await,
        AdminVerb::Policy(verb) => policy::run(shell, verb).await,
        AdminVerb::Accesskey(verb) => key::run(shell, verb).await,
        AdminVerb::Config(verb) => config::run(shell, verb).await,
        AdminVerb::Heal(args) => heal::run(shell, args).await,
        AdminVerb::Service(verb) => service::run(shell, verb).await,
        AdminVerb::Trace(args) => trace::run(shell, &args).await,
        AdminVerb::Logs(args) => streams::logs(shell, &args).await,
        AdminVerb::Scanner(verb) => streams::scanner(shell, verb).await,
        AdminVerb::Top(verb) => top(shell, verb).await,
        AdminVerb::Prometheus(verb) => prometheus::run(shell, verb).await,
        AdminVerb::Decommission(verb) => pools::decommission(shell, verb).await,
        AdminVerb::Rebalance(verb) => pools::rebalance(shell, verb).await,
        AdminVerb::Replicate(verb) => pools::replicate(shell, verb).await,
        AdminVerb::Other(words) => {
            let verb = words
                .first()
                .map(|verb| verb.to_string_lossy().into_owned())
                .unwrap_or_default();
            let hint = "See `drystone admin --help` for what can be asked of a store of ours";
            Err(Failure::fatal(format!("`admin {verb}` is not built yet in this client.")).hint(hint))
        }
    }
}

/// A line of JSON: success, and those of the fields that say something.
fn told<const N: usize>(fields: [(&str, Value); N]) -> Value {
    let mut line = Map::from_iter([("status".to_owned(), json!("success"))]);
    let said = fields.into_iter().filter(|(_, value)| !is_silent(value));
    line.extend(said.map(|(name, value)| (name.to_owned(), value)));
    Value::Object(line)
}

fn is_silent(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(values) => values.is_empty(),
        Value::Bool(true) | Value::Number(_) | Value::Object(_) => false,
    }
}

/// The text of a field; empty where there is none.
fn word<'v>(value: &'v Value, name: &str) -> &'v str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// The texts in a field that is a list.
fn words<'v>(value: &'v Value, name: &str) -> Vec<&'v str> {
    items(value, name).iter().filter_map(Value::as_str).collect()
}

/// What is in a field that is a list.
fn items<'v>(value: &'v Value, name: &str) -> &'v [Value] {
    value.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The number in a place of a document; 0 where there is none.
fn number(value: &Value, pointer: &str) -> u64 {
    value.pointer(pointer).and_then(Value::as_u64).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_that_say_nothing_are_left_out() {
        let line = told([
            ("a", json!("")),
            ("b", json!([])),
            ("c", json!(false)),
            ("d", Value::Null),
            ("e", json!(0)),
            ("f", json!({})),
            ("g", json!("x")),
        ]);
        assert_eq!(line, json!({ "status": "success", "e": 0, "f": {}, "g": "x" }));
    }
}
