//! `mc admin logs`, `mc admin scanner status`, and the lists of `mc support top`: what a server tells of itself as long as
//! one listens.

use clap::{Args, Subcommand, ValueEnum};
use http::Method;
use serde_json::{Value, json};

use super::trace::{Wanted, sums};
use super::{Api, items, number, word};
use crate::cli::mc::client::ClientError;
use crate::cli::mc::output::Failure;
use crate::cli::mc::shell::Shell;

/// The bit that asks for figures of the scanner.
const SCANNER: &str = "1";

#[derive(Debug, Args)]
pub(in crate::cli::mc) struct LogsArgs {
    /// So many of those there are already
    #[arg(long, short, value_name = "COUNT", default_value_t = 10)]
    last: u32,
    /// Which of them
    #[arg(long = "type", short = 't', value_name = "TYPE", default_value = "all")]
    kind: LogKind,
    #[arg(value_name = "ALIAS")]
    alias: String,
    #[arg(value_name = "NODE")]
    node: Option<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LogKind {
    All,
    Minio,
    Application,
}

impl LogKind {
    fn word(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Minio => "minio",
            Self::Application => "application",
        }
    }
}

pub(super) async fn logs(shell: &Shell, args: &LogsArgs) -> Result<(), Failure> {
    let failed = |error: ClientError| Failure::fatal("Unable to listen to console logs").because(&error);
    let api = Api::of(shell, &args.alias)?;
    let last = args.last.to_string();
    let query = [
        ("node", args.node.as_deref().unwrap_or_default()),
        ("limit", &last),
        ("logType", args.kind.word()),
    ];
    let mut stream = api.stream(Method::GET, "log", &query).await.map_err(failed)?;
    while let Some(entry) = stream.next().await.map_err(failed)? {
        let text = entry_text(&entry);
        let mut value = json!({ "status": "success", "ConsoleMsg": "", "node": "" });
        if let (Some(told), Value::Object(fields)) = (value.as_object_mut(), entry) {
            told.extend(fields);
        }
        if !shell.out.say_on(&value, &text) {
            return Ok(());
        }
    }
    Err(Failure::fatal("Unable to listen to console logs").hint("The server ended the stream"))
}

/// An entry for people: its time, place and message, and what it is about.
fn entry_text(entry: &Value) -> String {
    let error = entry.pointer("/error/message").and_then(Value::as_str);
    // The line of a console has time and level in it, too: it is the last resort.
    let message = [
        word(entry, "message"),
        error.unwrap_or_default(),
        word(entry, "ConsoleMsg"),
    ];
    let message = message.into_iter().find(|text| !text.is_empty()).unwrap_or_default();
    let (time, level, node) = (word(entry, "time"), word(entry, "level"), word(entry, "node"));
    let mut text = format!("{time} {level} {node} {}", message.trim_end());
    let about = |name: &str| entry.pointer(&format!("/api/{name}")).and_then(Value::as_str);
    if let Some(call) = about("name").filter(|call| !call.is_empty()) {
        let place = [about("args/bucket"), about("args/object")];
        let place: Vec<&str> = place.into_iter().flatten().filter(|part| !part.is_empty()).collect();
        text.push_str(&format!("\n  {call} {}", place.join("/")));
    }
    for (name, shown) in [
        ("requestID", "request"),
        ("remotehost", "client"),
        ("userAgent", "user agent"),
    ] {
        let value = word(entry, name);
        if !value.is_empty() {
            text.push_str(&format!("\n  {shown}: {value}"));
        }
    }
    let variables = entry.pointer("/error/variables").and_then(Value::as_object);
    for (name, value) in variables.into_iter().flatten() {
        text.push_str(&format!("\n  {name}={}", value.as_str().unwrap_or_default()));
    }
    text
}

#[derive(Debug, Subcommand)]
pub(in crate::cli::mc) enum ScannerVerb {
    /// How verifying of the stored goes on
    #[command(visible_alias = "info")]
    Status(ScannerArgs),
}

#[derive(Debug, Args)]
pub(in crate::cli::mc) struct ScannerArgs {
    /// Only these servers, with commas between them
    #[arg(long, value_name = "HOSTS")]
    nodes: Option<String>,
    /// So often, then end; 0: until interrupted
    #[arg(short, value_name = "COUNT", default_value_t = 0)]
    n: u64,
    /// Seconds between two figures
    #[arg(long, value_name = "SECONDS", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..))]
    interval: u64,
    #[arg(value_name = "ALIAS")]
    alias: String,
}

pub(super) async fn scanner(shell: &Shell, verb: ScannerVerb) -> Result<(), Failure> {
    let ScannerVerb::Status(args) = verb;
    let failed = |error: ClientError| Failure::fatal("Unable to fetch scanner metrics").because(&error);
    let api = Api::of(shell, &args.alias)?;
    let (count, interval) = (args.n.to_string(), format!("{}s", args.interval));
    let query = [
        ("types", SCANNER),
        ("n", &count),
        ("interval", &interval),
        ("hosts", args.nodes.as_deref().unwrap_or_default()),
        ("disks", ""),
    ];
    let mut stream = api.stream(Method::GET, "metrics", &query).await.map_err(failed)?;
    while let Some(figures) = stream.next().await.map_err(failed)? {
        let last = figures.get("final").and_then(Value::as_bool) == Some(true);
        let text = scanner_text(figures.pointer("/aggregated/scanner").unwrap_or(&Value::Null));
        if !shell.out.say_on(&figures, &text) || last {
            return Ok(());
        }
    }
    Err(Failure::fatal("Unable to fetch scanner metrics").hint("The server ended the stream"))
}

fn scanner_text(scanner: &Value) -> String {
    let mut text = format!(
        "{}: pass {} since {}",
        word(scanner, "collected"),
        number(scanner, "/current_cycle"),
        word(scanner, "current_started")
    );
    for (name, count) in scanner
        .get("life_time_ops")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        let lately = number(scanner, &format!("/last_minute/actions/{name}/count"));
        text.push_str(&format!("\n  {name}: {count}, {lately} of them in the last minute"));
    }
    for path in items(scanner, "active").iter().filter_map(Value::as_str) {
        text.push_str(&format!("\n  at {path}"));
    }
    text
}

#[derive(Debug, Subcommand)]
pub(in crate::cli::mc) enum TopVerb {
    /// The calls that clients make, as sums
    Api(ApiArgs),
    /// The locks that are held longest
    Locks(LocksArgs),
}

#[derive(Debug, Args)]
pub(in crate::cli::mc) struct ApiArgs {
    #[command(flatten)]
    wanted: Wanted,
    #[arg(value_name = "ALIAS")]
    alias: String,
}

#[derive(Debug, Args)]
pub(in crate::cli::mc) struct LocksArgs {
    /// So many of them
    #[arg(long, value_name = "COUNT", default_value_t = 10)]
    count: u32,
    #[arg(value_name = "ALIAS")]
    alias: String,
}

pub(in crate::cli::mc) async fn top(shell: &Shell, verb: TopVerb) -> Result<(), Failure> {
    match verb {
        TopVerb::Api(args) => sums(shell, &Api::of(shell, &args.alias)?, &["s3"], &args.wanted).await,
        TopVerb::Locks(args) => {
            let api = Api::of(shell, &args.alias)?;
            let count = args.count.to_string();
            let locks = api
                .document("top/locks", &[("count", &count), ("stale", "false")])
                .await;
            let locks = locks.map_err(|error| Failure::fatal("Unable to get server locks list.").because(&error))?;
            for lock in locks.as_array().into_iter().flatten() {
                let (resource, kind) = (word(lock, "resource"), word(lock, "type"));
                let seconds = number(lock, "/elapsed") / 1_000_000_000;
                let value = json!({ "status": "success", "locks": lock });
                shell.out.say(&value, &format!("{seconds:>6} s  {kind:<5}  {resource}"));
            }
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_says_when_where_what_and_what_it_is_about() {
        let entry = json!({
            "time": "T", "level": "ERROR", "node": "n", "requestID": "R", "ConsoleMsg": "",
            "api": { "name": "PutObject", "args": { "bucket": "b", "object": "k" } },
            "error": { "message": "it broke", "variables": { "x": "y" } },
        });
        assert_eq!(
            entry_text(&entry),
            "T ERROR n it broke\n  PutObject b/k\n  request: R\n  x=y"
        );
        let short = json!({ "time": "T", "level": "INFO", "node": "n", "ConsoleMsg": "hello\n" });
        assert_eq!(entry_text(&short), "T INFO n hello");
    }

    #[test]
    fn the_scanners_figures_are_told() {
        let scanner = json!({
            "collected": "T", "current_cycle": 3, "current_started": "S", "life_time_ops": { "Scan": 5 },
            "last_minute": { "actions": { "Scan": { "count": 2 } } }, "active": ["a/b"],
        });
        assert_eq!(
            scanner_text(&scanner),
            "T: pass 3 since S\n  Scan: 5, 2 of them in the last minute\n  at a/b"
        );
    }
}
