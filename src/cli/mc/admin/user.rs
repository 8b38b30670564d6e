//! `mc admin user`: the accounts of a store, and what each may do.

use std::collections::BTreeMap;

use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Value, json};

use super::{Api, Named, Server, key, told, word, words};
use crate::cli::mc::alias::{ask_for_keys, ask_for_secret, secret};
use crate::cli::mc::client::ClientError;
use crate::cli::mc::output::Failure;
use crate::cli::mc::shell::Shell;
use crate::config::Secret;

#[derive(Debug, Subcommand)]
pub(in crate::cli::mc) enum UserVerb {
    /// Make a user, or give one another secret key
    Add(AddArgs),
    /// Let a user in no more
    Disable(Named),
    /// Let a user in again
    Enable(Named),
    /// Remove a user and its access keys
    #[command(visible_alias = "rm")]
    Remove(Named),
    /// All users
    #[command(visible_alias = "ls")]
    List(Server),
    /// One user
    Info(Named),
    /// What the policies of a user say
    Policy(Named),
    /// Access keys of a user
    #[command(subcommand)]
    Svcacct(key::SvcacctVerb),
    /// Temporary credentials
    #[command(subcommand)]
    Sts(StsVerb),
}

#[derive(Debug, Subcommand)]
pub(in crate::cli::mc) enum StsVerb {
    /// What is known of a temporary credential
    Info(key::InfoArgs),
}

#[derive(Debug, Args)]
pub(in crate::cli::mc) struct AddArgs {
    #[arg(value_name = "ALIAS")]
    alias: String,
    /// Asked for when it is left out
    #[arg(value_name = "ACCESSKEY")]
    access_key: Option<String>,
    /// Asked for when it is left out
    #[arg(value_name = "SECRETKEY", value_parser = secret)]
    secret_key: Option<Secret>,
}

pub(super) async fn run(shell: &Shell, verb: UserVerb) -> Result<(), Failure> {
    match verb {
        UserVerb::Add(args) => add(shell, args).await,
        UserVerb::Disable(named) => set_status(shell, &named, "disabled").await,
        UserVerb::Enable(named) => set_status(shell, &named, "enabled").await,
        UserVerb::Remove(named) => remove(shell, &named).await,
        UserVerb::List(server) => list(shell, &server).await,
        UserVerb::Info(named) => info(shell, &named).await,
        UserVerb::Policy(named) => policy(shell, &named).await,
        UserVerb::Svcacct(verb) => key::service_account(shell, verb).await,
        UserVerb::Sts(StsVerb::Info(args)) => key::info(shell, &args, "temporary-account-info").await,
    }
}

async fn add(shell: &Shell, args: AddArgs) -> Result<(), Failure> {
    let failed = |error: &ClientError| Failure::fatal("Unable to add new user").because(error);
    let api = Api::of(shell, &args.alias)?;
    let asked = match (args.access_key, args.secret_key) {
        (Some(name), Some(secret)) => Ok((name, secret)),
        (Some(name), None) => ask_for_secret().map(|secret| (name, secret)),
        (None, _) => ask_for_keys(),
    };
    let (name, secret) = asked.map_err(|error| failed(&error.into()))?;
    let body = json!({ "secretKey": secret.expose(), "status": "enabled" }).to_string();
    let query = [("accessKey", name.as_str())];
    let added = api.sealed(Method::PUT, "add-user", &query, body.as_bytes()).await;
    added.map_err(|error| failed(&error))?;
    let value = told([
        ("accessKey", json!(name)),
        ("secretKey", json!(secret.expose())),
        ("userStatus", json!("enabled")),
    ]);
    shell.out.say(&value, &format!("User `{name}` is there."));
    Ok(())
}

async fn set_status(shell: &Shell, named: &Named, status: &str) -> Result<(), Failure> {
    let (verb, name) = (status.trim_end_matches('d'), &named.name);
    let query = [("accessKey", name.as_str()), ("status", status)];
    let api = Api::of(shell, &named.alias)?;
    let set = api.plain(Method::PUT, "set-user-status", &query, "").await;
    set.map_err(|error| Failure::fatal(format!("Unable to {verb} user")).because(&error))?;
    shell.out.say(
        &told([("accessKey", json!(name))]),
        &format!("User `{name}` is {status}."),
    );
    Ok(())
}

async fn remove(shell: &Shell, named: &Named) -> Result<(), Failure> {
    let name = &named.name;
    let api = Api::of(shell, &named.alias)?;
    let query = [("accessKey", name.as_str())];
    let removed = api.plain(Method::DELETE, "remove-user", &query, "").await;
    removed.map_err(|error| Failure::fatal(format!("Unable to remove {name}")).because(&error))?;
    shell.out.say(
        &told([("accessKey", json!(name))]),
        &format!("User `{name}` is removed."),
    );
    Ok(())
}

/// The policies of groups, each asked for once.
#[derive(Default)]
struct Groups(BTreeMap<String, Vec<String>>);

impl Groups {
    /// What a user has by the groups it is in.
    async fn of(&mut self, api: &Api, user: &Value) -> Result<Value, ClientError> {
        let mut told = Vec::new();
        for group in words(user, "memberOf") {
            if !self.0.contains_key(group) {
                let found = api.document("group", &[("group", group)]).await?;
                let policies = listed(word(&found, "policy"));
                self.0.insert(group.to_owned(), policies.map(str::to_owned).collect());
            }
            let policies = self.0.get(group);
            told.push(json!({ "name": group, "policies": policies }));
        }
        Ok(Value::Array(told))
    }
}

/// The names in a list with commas.
fn listed(names: &str) -> impl Iterator<Item = &str> {
    names.split(',').map(str::trim).filter(|name| !name.is_empty())
}

async fn list(shell: &Shell, server: &Server) -> Result<(), Failure> {
    let failed = |error: ClientError| Failure::fatal("Unable to list user").because(&error);
    let api = Api::of(shell, &server.alias)?;
    let text = api.opened("list-users", &[]).await.map_err(failed)?;
    let users: BTreeMap<String, Value> = serde_json::from_slice(&text).map_err(|error| {
        failed(ClientError::Answer {
            reason: format!("the answer is no list of users: {error}"),
        })
    })?;
    let mut groups = Groups::default();
    let width = users.keys().map(|name| name.chars().count()).max().unwrap_or_default();
    for (name, user) in &users {
        let (status, policies) = (word(user, "status"), word(user, "policyName"));
        let member_of = groups.of(&api, user).await.map_err(failed)?;
        let value = told([
            ("accessKey", json!(name)),
            ("policyName", json!(policies)),
            ("userStatus", json!(status)),
            ("memberOf", member_of),
        ]);
        let text = format!("{status:<10} {name:<width$}  {policies}");
        shell.out.say(&value, text.trim_end());
    }
    Ok(())
}

async fn info(shell: &Shell, named: &Named) -> Result<(), Failure> {
    let failed = |error: ClientError| Failure::fatal("Unable to get user info").because(&error);
    let api = Api::of(shell, &named.alias)?;
    let query = [("accessKey", named.name.as_str())];
    let user = api.document("user-info", &query).await.map_err(failed)?;
    let member_of = Groups::default().of(&api, &user).await.map_err(failed)?;
    let auth = user.get("userAuthInfo").cloned().unwrap_or_default();
    let kind = match word(&auth, "type") {
        "" => "builtin",
        kind => kind,
    };
    let authentication = format!("{kind} ({})", word(&auth, "authServer"));
    let (status, policies) = (word(&user, "status"), word(&user, "policyName"));
    let text = format!(
        "AccessKey      : {}\nStatus         : {status}\nPolicies       : {policies}\nMember of      : {}\nAuthentication : {kind}",
        named.name,
        words(&user, "memberOf").join(", "),
    );
    let value = told([
        ("accessKey", json!(named.name)),
        ("policyName", json!(policies)),
        ("userStatus", json!(status)),
        ("memberOf", member_of),
        ("authentication", json!(authentication)),
    ]);
    shell.out.say(&value, &text);
    Ok(())
}

/// All statements of all policies that are attached to the user itself, as one document.
async fn policy(shell: &Shell, named: &Named) -> Result<(), Failure> {
    let name = &named.name;
    let api = Api::of(shell, &named.alias)?;
    let user = api.document("user-info", &[("accessKey", name.as_str())]).await;
    let user = user.map_err(|error| Failure::fatal("Unable to get user info").because(&error))?;
    let message = "Unable to fetch user policy document";
    let mut statements = Vec::new();
    let mut version = json!("2012-10-17");
    for policy in listed(word(&user, "policyName")) {
        let found = super::policy::fetch(&api, policy).await;
        let found = found.map_err(|error| Failure::fatal(message).because(&error))?;
        let document = found.get("Policy").cloned().unwrap_or_default();
        match document.get("Statement") {
            Some(Value::Array(more)) => statements.extend(more.iter().cloned()),
            Some(one) => statements.push(one.clone()),
            None => {}
        }
        if let Some(said) = document.get("Version") {
            version = said.clone();
        }
    }
    if statements.is_empty() {
        return Err(Failure::fatal(message).hint(format!("no policy is attached to the user {name}")));
    }
    let document = json!({ "Version": version, "Statement": statements });
    shell.out.say(&document, &document.to_string());
    Ok(())
}
