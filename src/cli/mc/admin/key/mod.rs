//! `mc admin accesskey` and `mc admin user svcacct`: access keys that belong to users. Two vocabularies, one store of keys.

mod list;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Map, Value, json};
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Date, Duration, OffsetDateTime, PrimitiveDateTime};

use super::api::document;
use super::{Api, told, word};
use crate::cli::mc::alias::secret;
use crate::cli::mc::client::ClientError;
use crate::cli::mc::output::{Failure, clock, seconds};
use crate::cli::mc::shell::Shell;
use crate::config::Secret;

/// What servers tell as the end of a key that has none.
const NO_END: &str = "1970-01-01T00:00:00Z";

#[derive(Debug, Subcommand)]
pub(in crate::cli::mc) enum SvcacctVerb {
    /// Make an access key of a user
    Add(AddArgs),
    /// The access keys of a user
    #[command(visible_alias = "ls")]
    List(list::OfUserArgs),
    /// Remove an access key
    #[command(visible_alias = "rm")]
    Remove(KeyArgs),
    /// One access key
    Info(InfoArgs),
    /// Change an access key
    #[command(visible_alias = "set")]
    Edit(EditArgs),
    /// Let it in again
    Enable(KeyArgs),
    /// Let it in no more
    Disable(KeyArgs),
}

#[derive(Debug, Subcommand)]
pub(in crate::cli::mc) enum AccessKeyVerb {
    /// Users and their access keys
    #[command(visible_alias = "ls")]
    List(list::ListArgs),
    /// Remove an access key
    #[command(visible_alias = "rm")]
    Remove(KeyArgs),
    /// Some access keys
    Info(list::SomeArgs),
    /// Make an access key
    Create(CreateArgs),
    /// Change an access key
    Edit(EditArgs),
    /// Let it in again
    Enable(KeyArgs),
    /// Let it in no more
    Disable(KeyArgs),
    /// End the temporary credentials of a user
    StsRevoke(RevokeArgs),
}

#[derive(Debug, Args)]
pub(in crate::cli::mc) struct RevokeArgs {
    #[arg(value_name = "ALIAS")]
    alias: String,
    #[arg(value_name = "USER", required_unless_present = "own")]
    user: Option<String>,
    /// Your own
    #[arg(long = "self", conflicts_with = "user")]
    own: bool,
    /// All of them
    #[arg(long, required_unless_present = "token_type")]
    all: bool,
    /// Those of this type
    #[arg(long, value_name = "TYPE", conflicts_with = "all")]
    token_type: Option<String>,
}

#[derive(Debug, Args)]
pub(in crate::cli::mc) struct KeyArgs {
    #[arg(value_name = "ALIAS")]
    alias: String,
    #[arg(value_name = "ACCESSKEY")]
    access_key: String,
}

#[derive(Debug, Args)]
pub(in crate::cli::mc) struct InfoArgs {
    #[arg(value_name = "ALIAS")]
    alias: String,
    #[arg(value_name = "ACCESSKEY")]
    access_key: String,
    /// Only its policy
    #[arg(long)]
    policy: bool,
}

/// What a key can have.
#[derive(Debug, Default, Args)]
pub(in crate::cli::mc) struct Traits {
    #[arg(long, value_name = "SECRET", value_parser = secret)]
    secret_key: Option<Secret>,
    /// File with a policy: the key may do what it and the user may do
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// When it ends, as 2030-01-31 or 2030-01-31T12:00:00Z; UTC unless it says otherwise
    #[arg(long, value_name = "TIME")]
    expiry: Option<String>,
    /// How long it lives, as 30d or 12h
    #[arg(long, value_name = "SPAN", value_parser = span, conflicts_with = "expiry")]
    expiry_duration: Option<u64>,
}

#[derive(Debug, Args)]
pub(in crate::cli::mc) struct AddArgs {
    #[arg(value_name = "ALIAS")]
    alias: String,
    #[arg(value_name = "USER")]
    user: String,
    /// The server makes one up otherwise
    #[arg(long, value_name = "ACCESSKEY")]
    access_key: Option<String>,
    #[command(flatten)]
    traits: Traits,
}

#[derive(Debug, Args)]
pub(in crate::cli::mc) struct CreateArgs {
    #[arg(value_name = "ALIAS")]
    alias: String,
    /// Whose key it is; your own otherwise
    #[arg(value_name = "USER")]
    user: Option<String>,
    /// The server makes one up otherwise
    #[arg(long, value_name = "ACCESSKEY")]
    access_key: Option<String>,
    #[command(flatten)]
    traits: Traits,
}

#[derive(Debug, Args)]
pub(in crate::cli::mc) struct EditArgs {
    #[arg(value_name = "ALIAS")]
    alias: String,
    #[arg(value_name = "ACCESSKEY")]
    access_key: String,
    #[command(flatten)]
    traits: Traits,
}

fn span(text: &str) -> Result<u64, String> {
    seconds(text).ok_or_else(|| "not a span of time such as 30d or 12h".to_owned())
}

impl Traits {
    /// When the key shall end, as servers read it.
    fn end(&self, now: OffsetDateTime) -> Result<Option<String>, Failure> {
        let end = match (&self.expiry, self.expiry_duration) {
            (Some(text), _) => moment(text).ok_or_else(|| {
                let hint = "Write it as 2030-01-31, 2030-01-31T12:00 or 2030-01-31T12:00:00Z";
                Failure::fatal(format!("`{text}` is no time")).hint(hint)
            })?,
            (None, Some(span)) => now + Duration::seconds(i64::try_from(span).unwrap_or(i64::MAX)),
            (None, None) => return Ok(None),
        };
        Ok(end.format(&Rfc3339).ok())
    }

    fn policy(&self) -> Result<Option<Value>, Failure> {
        let Some(file) = &self.policy else { return Ok(None) };
        let unfit = |error| Failure::fatal("Unable to get policy").because(&error);
        document(&super::policy::read(file)?).map(Some).map_err(unfit)
    }
}

fn moment(text: &str) -> Option<OffsetDateTime> {
    let whole = || OffsetDateTime::parse(text, &Rfc3339).ok();
    let day = || Date::parse(text, format_description!("[year]-[month]-[day]")).ok();
    let minute = format_description!("[year]-[month]-[day]T[hour]:[minute]");
    let second = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]");
    let within = || {
        let minute = PrimitiveDateTime::parse(text, minute).ok();
        minute.or_else(|| PrimitiveDateTime::parse(text, second).ok())
    };
    whole()
        .or_else(|| day().map(|day| day.midnight().assume_utc()))
        .or_else(|| within().map(PrimitiveDateTime::assume_utc))
}

pub(super) async fn service_account(shell: &Shell, verb: SvcacctVerb) -> Result<(), Failure> {
    let done = |what: &str, key: &str| format!("Access key `{key}` is {what}.");
    match verb {
        SvcacctVerb::Add(args) => {
            let message = "Unable to add a new service account.";
            let new = New {
                user: &args.user,
                access_key: args.access_key.as_deref(),
                traits: &args.traits,
            };
            let made = new.make(&Api::of(shell, &args.alias)?, message).await?;
            let mut value = told(made.fields());
            if let Some(fields) = value.as_object_mut() {
                fields.insert("accountStatus".into(), json!("enabled"));
                fields.retain(|name, _| !matches!(name.as_str(), "name" | "description"));
            }
            shell.out.say(&value, &made.described());
            Ok(())
        }
        SvcacctVerb::List(args) => list::of_user(shell, &args).await,
        SvcacctVerb::Remove(args) => {
            let message = "Unable to remove the specified service account";
            remove(shell, &args, message, &done("removed", &args.access_key)).await
        }
        SvcacctVerb::Info(args) => info(shell, &args, "info-service-account").await,
        SvcacctVerb::Edit(args) => {
            let message = "Unable to edit the specified service account";
            edit(shell, &args, message, &done("changed", &args.access_key)).await
        }
        SvcacctVerb::Enable(args) => {
            let message = "Unable to enable the specified service account";
            set_status(shell, &args, "on", message, &done("enabled", &args.access_key)).await
        }
        SvcacctVerb::Disable(args) => {
            let message = "Unable to disable the specified service account";
            set_status(shell, &args, "off", message, &done("disabled", &args.access_key)).await
        }
    }
}

pub(super) async fn run(shell: &Shell, verb: AccessKeyVerb) -> Result<(), Failure> {
    let done = |what: &str, key: &str| format!("Access key `{key}` is {what}.");
    match verb {
        AccessKeyVerb::List(args) => list::run(shell, &args).await,
        AccessKeyVerb::Remove(args) => {
            let text = done("removed", &args.access_key);
            remove(shell, &args, "Unable to remove service account.", &text).await
        }
        AccessKeyVerb::Info(args) => list::some(shell, &args).await,
        AccessKeyVerb::Create(args) => {
            let user = args.user.as_deref().unwrap_or_default();
            let new = New {
                user,
                access_key: args.access_key.as_deref(),
                traits: &args.traits,
            };
            let api = Api::of(shell, &args.alias)?;
            let made = new.make(&api, "Unable to add service account.").await?;
            shell.out.say(&told(made.fields()), &made.described());
            Ok(())
        }
        AccessKeyVerb::Edit(args) => {
            let nothing = matches!(
                &args.traits,
                Traits {
                    secret_key: None,
                    policy: None,
                    name: None,
                    description: None,
                    expiry: None,
                    expiry_duration: None
                }
            );
            if nothing {
                return Err(Failure::fatal("invalid flags").hint("Say what is to be changed"));
            }
            let text = done("changed", &args.access_key);
            edit(shell, &args, "Unable to edit service account.", &text).await
        }
        AccessKeyVerb::StsRevoke(args) => revoke(shell, &args).await,
        AccessKeyVerb::Enable(args) => {
            let text = done("enabled", &args.access_key);
            set_status(shell, &args, "on", "Unable to enable service account.", &text).await
        }
        AccessKeyVerb::Disable(args) => {
            let text = done("disabled", &args.access_key);
            set_status(shell, &args, "off", "Unable to disable service account.", &text).await
        }
    }
}

async fn revoke(shell: &Shell, args: &RevokeArgs) -> Result<(), Failure> {
    let api = Api::of(shell, &args.alias)?;
    let mut query = Vec::new();
    query.extend(args.user.as_deref().map(|user| ("user", user)));
    query.extend(args.token_type.as_deref().map(|kind| ("tokenRevokeType", kind)));
    query.extend(args.all.then_some(("fullRevoke", "true")));
    let revoked = api.plain(Method::POST, "revoke-tokens/builtin", &query, "").await;
    revoked.map_err(|error| Failure::fatal("Unable to revoke tokens.").because(&error))?;
    let value = told([("user", json!(args.user))]);
    shell.out.say(&value, "The temporary credentials are ended.");
    Ok(())
}

/// A key that is to be made.
struct New<'a> {
    /// Empty: the caller.
    user: &'a str,
    access_key: Option<&'a str>,
    traits: &'a Traits,
}

/// A key that was made.
struct Made {
    access_key: String,
    secret: Secret,
    end: String,
    name: String,
    description: String,
}

impl New<'_> {
    async fn make(&self, api: &Api, message: &str) -> Result<Made, Failure> {
        let failed = |error: ClientError| Failure::fatal(message).because(&error);
        let traits = self.traits;
        let (name, description) = (
            traits.name.clone().unwrap_or_default(),
            traits.description.clone().unwrap_or_default(),
        );
        let mut body = json!({
            "targetUser": self.user,
            "accessKey": self.access_key.unwrap_or_default(),
            "secretKey": traits.secret_key.as_ref().map_or("", |secret| secret.expose()),
            "name": name,
            "description": description,
        });
        if let Some(fields) = body.as_object_mut() {
            let end = traits.end(OffsetDateTime::now_utc())?;
            fields.extend(end.map(|end| ("expiration".to_owned(), json!(end))));
            fields.extend(traits.policy()?.map(|policy| ("policy".to_owned(), policy)));
        }
        let answer = api
            .exchange(Method::PUT, "add-service-account", body.to_string().as_bytes())
            .await
            .map_err(failed)?;
        let made = answer.get("credentials").cloned().unwrap_or_default();
        let end = match word(&made, "expiration") {
            "" => NO_END,
            end => end,
        };
        Ok(Made {
            access_key: word(&made, "accessKey").to_owned(),
            secret: Secret::new(word(&made, "secretKey")),
            end: end.to_owned(),
            name,
            description,
        })
    }
}

impl Made {
    fn fields(&self) -> [(&'static str, Value); 5] {
        [
            ("accessKey", json!(self.access_key)),
            ("secretKey", json!(self.secret.expose())),
            ("name", json!(self.name)),
            ("description", json!(self.description)),
            ("expiration", json!(self.end)),
        ]
    }

    fn described(&self) -> String {
        format!(
            "Access Key: {}\nSecret Key: {}\nExpiration: {}",
            self.access_key,
            self.secret.expose(),
            end_shown(&self.end)
        )
    }
}

/// The end of a key; `None` when it has none.
fn end_of(key: &Value) -> Option<&str> {
    Some(word(key, "expiration")).filter(|end| !end.is_empty() && !end.starts_with("0001-") && *end != NO_END)
}

fn end_shown(end: &str) -> String {
    let time = OffsetDateTime::parse(end, &Rfc3339).ok();
    match time.filter(|time| time.unix_timestamp() > 0) {
        None => "none".to_owned(),
        time => clock(time),
    }
}

async fn remove(shell: &Shell, args: &KeyArgs, message: &str, text: &str) -> Result<(), Failure> {
    let api = Api::of(shell, &args.alias)?;
    let query = [("accessKey", args.access_key.as_str())];
    let removed = api.plain(Method::DELETE, "delete-service-account", &query, "").await;
    removed.map_err(|error| Failure::fatal(message).because(&error))?;
    shell.out.say(&told([("accessKey", json!(args.access_key))]), text);
    Ok(())
}

async fn set_status(shell: &Shell, args: &KeyArgs, status: &str, message: &str, text: &str) -> Result<(), Failure> {
    let api = Api::of(shell, &args.alias)?;
    let changed = update(&api, &args.access_key, json!({ "newStatus": status })).await;
    changed.map_err(|error| Failure::fatal(message).because(&error))?;
    shell.out.say(&told([("accessKey", json!(args.access_key))]), text);
    Ok(())
}

async fn edit(shell: &Shell, args: &EditArgs, message: &str, text: &str) -> Result<(), Failure> {
    let api = Api::of(shell, &args.alias)?;
    let traits = &args.traits;
    let mut body = Map::new();
    let mut set = |name: &str, value: Option<Value>| body.extend(value.map(|value| (name.to_owned(), value)));
    set(
        "newSecretKey",
        traits.secret_key.as_ref().map(|secret| json!(secret.expose())),
    );
    set("newPolicy", traits.policy()?);
    set("newName", traits.name.as_ref().map(|name| json!(name)));
    set("newDescription", traits.description.as_ref().map(|text| json!(text)));
    set(
        "newExpiration",
        traits.end(OffsetDateTime::now_utc())?.map(|end| json!(end)),
    );
    let changed = update(&api, &args.access_key, Value::Object(body)).await;
    changed.map_err(|error| Failure::fatal(message).because(&error))?;
    shell.out.say(&told([("accessKey", json!(args.access_key))]), text);
    Ok(())
}

async fn update(api: &Api, access_key: &str, body: Value) -> Result<(), ClientError> {
    let query = [("accessKey", access_key)];
    let text = body.to_string();
    let answered = api
        .sealed(Method::POST, "update-service-account", &query, text.as_bytes())
        .await;
    answered.map(drop)
}

/// What a server says of one key; `verb` is how it is asked.
async fn fetch(api: &Api, verb: &str, access_key: &str) -> Result<Value, ClientError> {
    document(&api.opened(verb, &[("accessKey", access_key)]).await?)
}

/// The policy of a key: a text that holds JSON, to servers.
fn policy_of(key: &Value) -> Value {
    serde_json::from_str(word(key, "policy")).unwrap_or_default()
}

fn told_of(access_key: &str, key: &Value) -> Value {
    told([
        ("accessKey", json!(access_key)),
        ("parentUser", json!(word(key, "parentUser"))),
        ("accountStatus", json!(word(key, "accountStatus"))),
        ("impliedPolicy", key.get("impliedPolicy").cloned().unwrap_or_default()),
        ("policy", policy_of(key)),
        ("name", json!(word(key, "name"))),
        ("description", json!(word(key, "description"))),
        ("expiration", json!(end_of(key))),
    ])
}

fn described(access_key: &str, key: &Value) -> String {
    let implied = key.get("impliedPolicy").and_then(Value::as_bool) == Some(true);
    format!(
        "Access Key : {access_key}\nUser       : {}\nStatus     : {}\nPolicy     : {}\nName       : {}\nDescription: {}\nExpiration : {}",
        word(key, "parentUser"),
        word(key, "accountStatus"),
        if implied { "as its user" } else { "its own" },
        word(key, "name"),
        word(key, "description"),
        end_shown(word(key, "expiration")),
    )
}

pub(super) async fn info(shell: &Shell, args: &InfoArgs, verb: &str) -> Result<(), Failure> {
    let api = Api::of(shell, &args.alias)?;
    let message = "Unable to get information of the specified service account";
    let key = fetch(&api, verb, &args.access_key).await;
    let key = key.map_err(|error| Failure::fatal(message).because(&error))?;
    if args.policy {
        let policy = policy_of(&key);
        shell.out.say(&policy, &format!("{policy:#}"));
        return Ok(());
    }
    shell
        .out
        .say(&told_of(&args.access_key, &key), &described(&args.access_key, &key));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_read_in_the_forms_that_people_write() {
        for (text, read) in [
            ("2030-01-01", "2030-01-01T00:00:00Z"),
            ("2030-01-01T10:20", "2030-01-01T10:20:00Z"),
            ("2030-01-01T10:20:30", "2030-01-01T10:20:30Z"),
            ("2030-01-01T10:20:30+02:00", "2030-01-01T10:20:30+02:00"),
        ] {
            assert_eq!(moment(text).unwrap().format(&Rfc3339).unwrap(), read);
        }
        for text in ["", "tomorrow", "2030-13-01", "2030-01-01 10:20"] {
            assert_eq!(moment(text), None, "{text}");
        }
    }

    #[test]
    fn a_key_without_end_is_told_so() {
        for end in ["", NO_END, "0001-01-01T00:00:00Z"] {
            let key = json!({ "expiration": end });
            assert_eq!((end_of(&key), end_shown(end).as_str()), (None, "none"), "{end}");
        }
        let key = json!({ "expiration": "2030-01-01T00:00:00Z" });
        assert_eq!(end_of(&key), Some("2030-01-01T00:00:00Z"));
    }
}
