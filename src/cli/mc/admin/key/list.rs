//! Lists of access keys: of one user, of all, of some that are named.

use std::collections::BTreeMap;

use clap::Args;
use serde_json::{Map, Value, json};

use super::{Api, described, document, end_of, end_shown, fetch, told, told_of, word};
use crate::cli::mc::admin::{is_silent, items};
use crate::cli::mc::client::ClientError;
use crate::cli::mc::output::Failure;
use crate::cli::mc::shell::Shell;

#[derive(Debug, Args)]
pub(in crate::cli::mc) struct OfUserArgs {
    #[arg(value_name = "ALIAS")]
    alias: String,
    #[arg(value_name = "USER")]
    user: String,
}

#[derive(Debug, Args)]
pub(in crate::cli::mc) struct SomeArgs {
    #[arg(value_name = "ALIAS")]
    alias: String,
    #[arg(value_name = "ACCESSKEY", required = true)]
    access_keys: Vec<String>,
}

#[derive(Debug, Args)]
pub(in crate::cli::mc) struct ListArgs {
    #[arg(value_name = "ALIAS")]
    alias: String,
    /// Of these users; otherwise of all whom you may list
    #[arg(value_name = "USER")]
    users: Vec<String>,
    /// Users, not their keys
    #[arg(long, group = "what")]
    users_only: bool,
    /// Only temporary credentials
    #[arg(long, group = "what")]
    temp_only: bool,
    /// Only access keys
    #[arg(long, group = "what")]
    svcacc_only: bool,
    /// Your own
    #[arg(long = "self")]
    own: bool,
    /// Of all users
    #[arg(long)]
    all: bool,
}

pub(super) async fn of_user(shell: &Shell, args: &OfUserArgs) -> Result<(), Failure> {
    let failed = |error: ClientError| Failure::fatal("Unable to list service accounts").because(&error);
    let api = Api::of(shell, &args.alias)?;
    let query = [("user", args.user.as_str())];
    let text = api.opened("list-service-accounts", &query).await.map_err(failed)?;
    let answer = document(&text).map_err(failed)?;
    for key in items(&answer, "accounts") {
        let value = told([
            ("accessKey", json!(word(key, "accessKey"))),
            ("expiration", json!(end_of(key))),
        ]);
        let text = format!("{:<20}  {}", word(key, "accessKey"), end_shown(word(key, "expiration")));
        shell.out.say(&value, &text);
    }
    Ok(())
}

pub(super) async fn some(shell: &Shell, args: &SomeArgs) -> Result<(), Failure> {
    let api = Api::of(shell, &args.alias)?;
    for access_key in &args.access_keys {
        match fetch(&api, "info-access-key", access_key).await {
            Ok(key) => shell.out.say(&told_of(access_key, &key), &described(access_key, &key)),
            Err(error) => {
                let message = format!("Unable to retrieve access key {access_key} info.");
                shell.report(&Failure::error(message).because(&error));
            }
        }
    }
    Ok(())
}

type Users = BTreeMap<String, Value>;

async fn bulk(api: &Api, kind: &str, all: bool, users: &[String]) -> Result<Users, ClientError> {
    let mut query = vec![("listType", kind)];
    query.extend(all.then_some(("all", "true")));
    query.extend(users.iter().map(|user| ("users", user.as_str())));
    let text = api.opened("list-access-keys-bulk", &query).await?;
    serde_json::from_slice(&text).map_err(|error| ClientError::Answer {
        reason: format!("the answer is no list of access keys: {error}"),
    })
}

pub(super) async fn run(shell: &Shell, args: &ListArgs) -> Result<(), Failure> {
    let failed = |error: ClientError| Failure::fatal("Unable to list access keys.").because(&error);
    if args.own && args.all || !args.users.is_empty() && (args.own || args.all) {
        return Err(Failure::fatal("Invalid flags.").hint("Name users, or use one of --self and --all"));
    }
    let kind = match args {
        ListArgs { users_only: true, .. } => "users-only",
        ListArgs { temp_only: true, .. } => "sts-only",
        ListArgs { svcacc_only: true, .. } => "svcacc-only",
        _ => "all",
    };
    let api = Api::of(shell, &args.alias)?;
    let all = args.users.is_empty() && !args.own;
    let users = match bulk(&api, kind, all, &args.users).await {
        // Whoever may not list all is told of the own ones, unless all were asked for.
        Err(error) if all && !args.all && error.code() == "AccessDenied" => bulk(&api, kind, false, &[]).await,
        answer => answer,
    };
    for (user, keys) in users.map_err(failed)? {
        let (temporary, keys) = (items(&keys, "stsKeys"), items(&keys, "serviceAccounts"));
        let value = json!({
            "status": "success",
            "user": user,
            "stsKeys": temporary.iter().map(lean).collect::<Vec<_>>(),
            "svcaccs": keys.iter().map(lean).collect::<Vec<_>>(),
        });
        let mut text = format!("User: {user}");
        for (kind, keys) in [("Temporary credentials", temporary), ("Access keys", keys)] {
            if keys.is_empty() {
                continue;
            }
            text.push_str(&format!("\n  {kind}:"));
            for key in keys {
                let (name, end) = (word(key, "name"), end_shown(word(key, "expiration")));
                text.push_str(&format!("\n    {:<20}  ends: {end}  {name}", word(key, "accessKey")));
                text.truncate(text.trim_end().len());
            }
        }
        shell.out.say(&value, &text);
    }
    Ok(())
}

/// A listed key without the texts that say nothing.
fn lean(key: &Value) -> Value {
    let fields = key.as_object().into_iter().flatten();
    let said = fields.filter(|(_, value)| value.is_boolean() || !is_silent(value));
    Value::Object(
        said.map(|(name, value)| (name.clone(), value.clone()))
            .collect::<Map<_, _>>(),
    )
}
