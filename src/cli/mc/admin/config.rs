//! `mc admin config`: the server's settings, as text in the form that servers of this kind write. What a server takes only
//! from its environment it says itself.

use std::io::Read;

use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Map, Value, json};

use super::api::document;
use super::{Api, Server, items, told, word};
use crate::admin::settings::words_of;
use crate::cli::mc::client::ClientError;
use crate::cli::mc::output::Failure;
use crate::cli::mc::shell::Shell;

/// A longer text no server reads.
const TEXT_BYTES_MAX: u64 = 256 * 1024;

#[derive(Debug, Subcommand)]
pub(in crate::cli::mc) enum ConfigVerb {
    /// Settings of one kind; without a kind, which kinds there are
    Get(GetArgs),
    /// Change settings; without values, what can be set
    Set(SetArgs),
    /// Set back to what is without saying; without a kind, which kinds there are
    Reset(ResetArgs),
    /// What can be set, and how
    Help(HelpArgs),
    /// Changes of settings
    History(HistoryArgs),
    /// Take back all changes since one in the history
    Restore(RestoreArgs),
    /// All settings, to standard output
    Export(Server),
    /// Settings from standard input
    Import(Server),
}

#[derive(Debug, Args)]
pub(in crate::cli::mc) struct GetArgs {
    #[arg(value_name = "ALIAS")]
    alias: String,
    #[arg(value_name = "KIND[:TARGET]")]
    kind: Vec<String>,
}

#[derive(Debug, Args)]
pub(in crate::cli::mc) struct SetArgs {
    /// Tell the variables of the environment
    #[arg(long)]
    env: bool,
    #[arg(value_name = "ALIAS")]
    alias: String,
    #[arg(value_name = "KIND[:TARGET]")]
    kind: Option<String>,
    #[arg(value_name = "KEY=VALUE")]
    values: Vec<String>,
}

#[derive(Debug, Args)]
pub(in crate::cli::mc) struct ResetArgs {
    /// Tell the variables of the environment
    #[arg(long)]
    env: bool,
    #[arg(value_name = "ALIAS")]
    alias: String,
    #[arg(value_name = "KIND[:TARGET]")]
    kind: Option<String>,
    #[arg(value_name = "KEY")]
    keys: Vec<String>,
}

#[derive(Debug, Args)]
pub(in crate::cli::mc) struct HelpArgs {
    /// Tell the variables of the environment
    #[arg(long)]
    env: bool,
    #[arg(value_name = "ALIAS")]
    alias: String,
    #[arg(value_name = "KIND")]
    kind: Option<String>,
    #[arg(value_name = "KEY")]
    key: Option<String>,
}

#[derive(Debug, Args)]
pub(in crate::cli::mc) struct HistoryArgs {
    /// So many of them, the last ones
    #[arg(long, short = 'n', value_name = "COUNT", default_value_t = 10)]
    count: u32,
    /// Forget them all
    #[arg(long, short)]
    clear: bool,
    #[arg(value_name = "ALIAS")]
    alias: String,
}

#[derive(Debug, Args)]
pub(in crate::cli::mc) struct RestoreArgs {
    #[arg(value_name = "ALIAS")]
    alias: String,
    #[arg(value_name = "ID")]
    id: String,
}

pub(super) async fn run(shell: &Shell, verb: ConfigVerb) -> Result<(), Failure> {
    match verb {
        ConfigVerb::Get(args) => get(shell, &args).await,
        ConfigVerb::Set(args) => set(shell, &args).await,
        ConfigVerb::Reset(args) => reset(shell, &args).await,
        ConfigVerb::Help(args) => {
            let (kind, key) = (args.kind.unwrap_or_default(), args.key.unwrap_or_default());
            help(shell, &Api::of(shell, &args.alias)?, &kind, &key, args.env).await
        }
        ConfigVerb::History(args) => history(shell, &args).await,
        ConfigVerb::Restore(args) => restore(shell, &args).await,
        ConfigVerb::Export(server) => export(shell, &server).await,
        ConfigVerb::Import(server) => import(shell, &server).await,
    }
}

async fn help(shell: &Shell, api: &Api, kind: &str, key: &str, env: bool) -> Result<(), Failure> {
    let failed = |error: ClientError| Failure::fatal("Unable to get help for the sub-system").because(&error);
    let mut query = vec![("subSys", kind), ("key", key)];
    query.extend(env.then_some(("env", "")));
    let help = api.document("help-config-kv", &query).await.map_err(failed)?;
    let entries = items(&help, "keysHelp");
    let width = entries.iter().map(|entry| word(entry, "key").len()).max();
    let width = width.unwrap_or_default();
    let mut text = match word(&help, "description") {
        "" => String::new(),
        description => format!("{}: {description}\n", word(&help, "subSys")),
    };
    for entry in entries {
        let kind = match word(entry, "type") {
            "" => String::new(),
            kind => format!(" ({kind})"),
        };
        let (key, description) = (word(entry, "key"), word(entry, "description"));
        text.push_str(&format!("{key:<width$}  {description}{kind}\n"));
    }
    shell
        .out
        .say(&json!({ "status": "success", "help": help }), text.trim_end());
    Ok(())
}

async fn get(shell: &Shell, args: &GetArgs) -> Result<(), Failure> {
    let api = Api::of(shell, &args.alias)?;
    if args.kind.is_empty() {
        return help(shell, &api, "", "", false).await;
    }
    let kind = args.kind.join(" ");
    let failed = |error: ClientError| Failure::fatal(format!("Unable to get server '{kind}' config")).because(&error);
    let text = api.opened("get-config-kv", &[("key", &kind)]).await.map_err(failed)?;
    let text = String::from_utf8_lossy(&text);
    let value = json!({ "status": "success", "config": parse(&text) });
    shell.out.say(&value, text.trim_end_matches('\n'));
    Ok(())
}

/// Lines of settings as JSON. What a value from the environment is told by stands before its line, as a comment.
fn parse(text: &str) -> Value {
    let mut kinds = Vec::new();
    let mut variables: Vec<(String, String)> = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if let Some(comment) = line.strip_prefix('#') {
            let pair = comment.trim().split_once('=');
            let named = pair.filter(|(name, _)| name.starts_with("MINIO_"));
            variables.extend(named.map(|(name, value)| (name.to_owned(), value.trim_matches('"').to_owned())));
            continue;
        }
        let words = words_of(line);
        let Some((name, pairs)) = words.split_first() else {
            continue;
        };
        let (kind, target) = name.split_once(':').unwrap_or((name, ""));
        let pairs = pairs.iter().map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let mut told = Map::from_iter([("key".to_owned(), json!(key)), ("value".to_owned(), json!(value))]);
            let variable = format!("MINIO_{kind}_{key}").to_uppercase();
            let of_target = format!("{variable}_{}", target.to_uppercase());
            if let Some((name, value)) = variables
                .iter()
                .find(|(name, _)| *name == variable || *name == of_target)
            {
                told.insert("envOverride".into(), json!({ "name": name, "value": value }));
            }
            Value::Object(told)
        });
        let mut told = Map::from_iter([
            ("subSystem".to_owned(), json!(kind)),
            ("kv".to_owned(), pairs.collect()),
        ]);
        if !target.is_empty() {
            told.insert("target".into(), json!(target));
        }
        kinds.push(Value::Object(told));
        variables.clear();
    }
    Value::Array(kinds)
}

/// One line of settings; values with blanks in quotes.
fn line(kind: &str, words: &[String]) -> String {
    let mut line = kind.to_owned();
    for word in words {
        match word.split_once('=') {
            Some((key, value)) if value.contains(char::is_whitespace) && !value.starts_with('"') => {
                line.push_str(&format!(" {key}=\"{value}\""));
            }
            Some(_) | None => line.push_str(&format!(" {word}")),
        }
    }
    line
}

/// What is changed, without the values: there are secrets among them.
fn named(kind: &str, words: &[String]) -> String {
    let keys = words.iter().filter_map(|word| word.split('=').next());
    std::iter::once(kind).chain(keys).collect::<Vec<_>>().join(" ")
}

/// Sends a change, and gives whether the server has to be started again for it.
async fn change(api: &Api, method: Method, verb: &str, text: &str) -> Result<bool, ClientError> {
    let answered = api.sealed(method, verb, &[], text.as_bytes()).await?;
    let applied = answered.headers.get("x-minio-config-applied");
    Ok(applied.is_none_or(|applied| applied != "true"))
}

fn changed(shell: &Shell, alias: &str, text: &str, restart: bool) {
    let hint = match restart {
        true => format!("\nStart the server again, and it has them: mc admin service restart {alias}"),
        false => String::new(),
    };
    shell.out.say(&told([]), &format!("{text}{hint}"));
}

async fn set(shell: &Shell, args: &SetArgs) -> Result<(), Failure> {
    let api = Api::of(shell, &args.alias)?;
    let kind = args.kind.as_deref().unwrap_or_default();
    if args.values.is_empty() {
        return help(shell, &api, kind, "", args.env).await;
    }
    let text = line(kind, &args.values);
    let set = change(&api, Method::PUT, "set-config-kv", &text).await;
    let message = || format!("Unable to set '{}' to server", named(kind, &args.values));
    let restart = set.map_err(|error| Failure::fatal(message()).because(&error))?;
    changed(shell, &api.alias, "The settings are taken.", restart);
    Ok(())
}

async fn reset(shell: &Shell, args: &ResetArgs) -> Result<(), Failure> {
    let api = Api::of(shell, &args.alias)?;
    let Some(kind) = args.kind.as_deref() else {
        return help(shell, &api, "", "", args.env).await;
    };
    let text = line(kind, &args.keys);
    let reset = change(&api, Method::DELETE, "del-config-kv", &text).await;
    let named = named(kind, &args.keys);
    let message = || format!("Unable to reset '{named}' on the server");
    let restart = reset.map_err(|error| Failure::fatal(message()).because(&error))?;
    changed(shell, &api.alias, &format!("'{named}' is set back."), restart);
    Ok(())
}

async fn export(shell: &Shell, server: &Server) -> Result<(), Failure> {
    let api = Api::of(shell, &server.alias)?;
    let text = api.opened("config", &[]).await;
    let text = text.map_err(|error| Failure::fatal("Unable to get server config").because(&error))?;
    let value = told([("value", json!(base64_simd::STANDARD.encode_to_string(&*text)))]);
    shell
        .out
        .say(&value, String::from_utf8_lossy(&text).trim_end_matches('\n'));
    Ok(())
}

async fn import(shell: &Shell, server: &Server) -> Result<(), Failure> {
    let failed = |error: ClientError| Failure::fatal("Unable to set server config").because(&error);
    let api = Api::of(shell, &server.alias)?;
    let mut text = String::new();
    let mut input = std::io::stdin().lock().take(TEXT_BYTES_MAX + 1);
    let length = input.read_to_string(&mut text).map_err(|error| failed(error.into()))?;
    if u64::try_from(length).unwrap_or(u64::MAX) > TEXT_BYTES_MAX {
        let reason = format!("the settings have more than {TEXT_BYTES_MAX} bytes");
        return Err(failed(ClientError::Unfit(reason)));
    }
    let restart = change(&api, Method::PUT, "config", &text).await.map_err(failed)?;
    changed(shell, &api.alias, "The settings are taken.", restart);
    Ok(())
}

async fn history(shell: &Shell, args: &HistoryArgs) -> Result<(), Failure> {
    let api = Api::of(shell, &args.alias)?;
    if args.clear {
        let query = [("restoreId", "all")];
        let cleared = api.plain(Method::DELETE, "clear-config-history-kv", &query, "").await;
        cleared.map_err(|error| Failure::fatal("Unable to clear server configuration.").because(&error))?;
        shell.out.say(&told([]), "The history of the settings is forgotten.");
        return Ok(());
    }
    let failed = |error: ClientError| Failure::fatal("Unable to list server history configuration").because(&error);
    let count = args.count.to_string();
    let text = api.opened("list-config-history-kv", &[("count", &count)]).await;
    let entries = match text.map_err(failed)? {
        text if text.is_empty() => json!([]),
        text => document(&text).map_err(failed)?,
    };
    let lines = entries.as_array().into_iter().flatten().map(|entry| {
        let (id, made) = (word(entry, "restoreId"), word(entry, "createTime"));
        format!("{id}  {made}\n{}", word(entry, "data"))
    });
    let text = lines.collect::<Vec<_>>().join("\n");
    let value = json!({ "status": "success", "entries": entries });
    if shell.out.json || !text.is_empty() {
        shell.out.say(&value, &text);
    }
    Ok(())
}

async fn restore(shell: &Shell, args: &RestoreArgs) -> Result<(), Failure> {
    let api = Api::of(shell, &args.alias)?;
    let query = [("restoreId", args.id.as_str())];
    let restored = api.plain(Method::PUT, "restore-config-history-kv", &query, "").await;
    restored.map_err(|error| Failure::fatal("Unable to restore server configuration.").because(&error))?;
    let value = told([("restoreID", json!(args.id))]);
    shell
        .out
        .say(&value, &format!("The settings are those before `{}`.", args.id));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_with_targets_quotes_and_what_the_environment_says() {
        let text = "# MINIO_API_REQUESTS_MAX=5\napi requests_max=5 cors=\"a b\" \n\n# notify_webhook off\nnotify_webhook:one endpoint=";
        let expected = json!([
            { "subSystem": "api", "kv": [
                { "key": "requests_max", "value": "5", "envOverride": { "name": "MINIO_API_REQUESTS_MAX", "value": "5" } },
                { "key": "cors", "value": "a b" },
            ] },
            { "subSystem": "notify_webhook", "target": "one", "kv": [{ "key": "endpoint", "value": "" }] },
        ]);
        assert_eq!(parse(text), expected);
        assert_eq!(parse(""), json!([]));
    }

    #[test]
    fn what_is_told_of_a_change_has_keys_and_no_values() {
        let words = ["client_secret=canary", "enable", "auth_token=a=canary b"].map(str::to_owned);
        assert_eq!(
            named("identity_openid:one", &words),
            "identity_openid:one client_secret enable auth_token"
        );
    }

    #[test]
    fn a_value_with_blanks_is_quoted_once() {
        let words = ["a=1", "b=x y", "c=\"p q\"", "d"].map(str::to_owned);
        assert_eq!(line("api:t", &words), "api:t a=1 b=\"x y\" c=\"p q\" d");
        assert_eq!(words_of("k a=\"x y\" b="), ["k", "a=x y", "b="]);
    }
}
