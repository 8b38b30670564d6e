//! `mc admin policy`: documents that say what users and groups may do, and whom they are attached to.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Value, json};

use super::api::document;
use super::{Api, Named, Server, is_silent, items, told, word, words};
use crate::cli::mc::client::ClientError;
use crate::cli::mc::output::Failure;
use crate::cli::mc::shell::Shell;

#[derive(Debug, Subcommand)]
pub(in crate::cli::mc) enum PolicyVerb {
    /// Make a policy from a file, or give one another document
    Create(CreateArgs),
    /// Remove a policy that is attached to nobody
    #[command(visible_alias = "rm")]
    Remove(Named),
    /// The names of all policies
    #[command(visible_alias = "ls")]
    List(Server),
    /// One policy
    Info(InfoArgs),
    /// Give a user or group policies
    Attach(AttachArgs),
    /// Take policies from a user or group
    Detach(AttachArgs),
    /// Which policies are attached to whom
    Entities(EntitiesArgs),
}

#[derive(Debug, Args)]
pub(in crate::cli::mc) struct CreateArgs {
    #[arg(value_name = "ALIAS")]
    alias: String,
    #[arg(value_name = "POLICY")]
    name: String,
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

#[derive(Debug, Args)]
pub(in crate::cli::mc) struct InfoArgs {
    #[arg(value_name = "ALIAS")]
    alias: String,
    #[arg(value_name = "POLICY")]
    name: String,
    /// Write the document to this file, too
    #[arg(long, short = 'f', value_name = "FILE")]
    policy_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(in crate::cli::mc) struct AttachArgs {
    #[arg(value_name = "ALIAS")]
    alias: String,
    #[arg(value_name = "POLICY", required = true)]
    policies: Vec<String>,
    #[arg(long, short, value_name = "USER")]
    user: Option<String>,
    #[arg(long, short, value_name = "GROUP")]
    group: Option<String>,
}

#[derive(Debug, Args)]
pub(in crate::cli::mc) struct EntitiesArgs {
    #[arg(value_name = "ALIAS")]
    alias: String,
    /// Of this user; may be given again
    #[arg(long, short, value_name = "USER")]
    user: Vec<String>,
    /// Of this group; may be given again
    #[arg(long, short, value_name = "GROUP")]
    group: Vec<String>,
    /// Of this policy; may be given again
    #[arg(long, short, value_name = "POLICY")]
    policy: Vec<String>,
}

pub(super) async fn run(shell: &Shell, verb: PolicyVerb) -> Result<(), Failure> {
    match verb {
        PolicyVerb::Create(args) => create(shell, &args).await,
        PolicyVerb::Remove(named) => remove(shell, &named).await,
        PolicyVerb::List(server) => list(shell, &server).await,
        PolicyVerb::Info(args) => info(shell, &args).await,
        PolicyVerb::Attach(args) => attach(shell, &args, "attach", "policiesAttached").await,
        PolicyVerb::Detach(args) => attach(shell, &args, "detach", "policiesDetached").await,
        PolicyVerb::Entities(args) => entities(shell, &args).await,
    }
}

/// A line about a policy whose document is not told.
fn named(name: &str) -> Value {
    let unknown = json!({ "PolicyName": "", "Policy": null });
    json!({ "status": "success", "policy": name, "policyInfo": unknown, "isGroup": false })
}

/// Reads a policy from a file.
pub(super) fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    let unread = |error| Failure::fatal("Unable to get policy").because(&ClientError::file(file)(error));
    std::fs::read(file).map_err(unread)
}

async fn create(shell: &Shell, args: &CreateArgs) -> Result<(), Failure> {
    let text = read(&args.file)?;
    let api = Api::of(shell, &args.alias)?;
    let query = [("name", args.name.as_str())];
    let made = api.plain(Method::PUT, "add-canned-policy", &query, text).await;
    made.map_err(|error| Failure::fatal("Unable to create new policy").because(&error))?;
    shell
        .out
        .say(&named(&args.name), &format!("Policy `{}` is there.", args.name));
    Ok(())
}

async fn remove(shell: &Shell, args: &Named) -> Result<(), Failure> {
    let api = Api::of(shell, &args.alias)?;
    let query = [("name", args.name.as_str())];
    let removed = api.plain(Method::DELETE, "remove-canned-policy", &query, "").await;
    removed.map_err(|error| Failure::fatal("Unable to remove policy").because(&error))?;
    shell
        .out
        .say(&named(&args.name), &format!("Policy `{}` is removed.", args.name));
    Ok(())
}

async fn list(shell: &Shell, server: &Server) -> Result<(), Failure> {
    let api = Api::of(shell, &server.alias)?;
    let policies = api.document("list-canned-policies", &[]).await;
    let policies = policies.map_err(|error| Failure::fatal("Unable to list policy").because(&error))?;
    for name in policies.as_object().into_iter().flat_map(|all| all.keys()) {
        shell.out.say(&named(name), name);
    }
    Ok(())
}

/// A policy as the server describes it; its document is in `Policy`.
pub(super) async fn fetch(api: &Api, name: &str) -> Result<Value, ClientError> {
    let found = api
        .document("info-canned-policy", &[("name", name), ("v", "2")])
        .await?;
    if word(&found, "PolicyName").is_empty() {
        // An older server answers with the document alone.
        return Ok(json!({ "PolicyName": name, "Policy": found }));
    }
    Ok(found)
}

async fn info(shell: &Shell, args: &InfoArgs) -> Result<(), Failure> {
    let api = Api::of(shell, &args.alias)?;
    let found = fetch(&api, &args.name).await;
    let found = found.map_err(|error| Failure::fatal("Unable to fetch policy").because(&error))?;
    if let Some(file) = &args.policy_file {
        let text = found.get("Policy").map(Value::to_string).unwrap_or_default();
        let unwritten = |error| Failure::fatal("Unable to write policy").because(&ClientError::file(file)(error));
        std::fs::write(file, text).map_err(unwritten)?;
    }
    let text = found.to_string();
    let value = json!({ "status": "success", "policy": args.name, "policyInfo": found, "isGroup": false });
    shell.out.say(&value, &text);
    Ok(())
}

async fn attach(shell: &Shell, args: &AttachArgs, verb: &str, field: &str) -> Result<(), Failure> {
    let failed = || Failure::fatal("Unable to make user/group policy association");
    let (kind, name) = match (&args.user, &args.group) {
        (Some(user), None) => ("user", user),
        (None, Some(group)) => ("group", group),
        (None, None) => return Err(failed().hint("Say whose policies: --user or --group")),
        (Some(_), Some(_)) => return Err(failed().hint("Name a user or a group, not both")),
    };
    let api = Api::of(shell, &args.alias)?;
    let body = json!({ "policies": args.policies, kind: name }).to_string();
    let path = format!("idp/builtin/policy/{verb}");
    let answer = match api.exchange(Method::POST, &path, body.as_bytes()).await {
        Ok(answer) => answer,
        // It is as it was asked for.
        Err(error) if error.code() == "XMinioAdminPolicyChangeAlreadyApplied" => Value::Null,
        Err(error) => return Err(failed().because(&error)),
    };
    let changed = match words(&answer, field) {
        changed if changed.is_empty() => args.policies.iter().map(String::as_str).collect(),
        changed => changed,
    };
    let text = format!("{}ed: {}\n{kind}: {name}", capital(verb), changed.join(", "));
    let value = told([(field, json!(changed)), (kind, json!(name))]);
    shell.out.say(&value, &text);
    Ok(())
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}

async fn entities(shell: &Shell, args: &EntitiesArgs) -> Result<(), Failure> {
    let failed = |error: ClientError| Failure::fatal("Unable to fetch policy entities").because(&error);
    let api = Api::of(shell, &args.alias)?;
    let asked = [("user", &args.user), ("group", &args.group), ("policy", &args.policy)];
    let query: Vec<(&str, &str)> = asked
        .iter()
        .flat_map(|(kind, names)| names.iter().map(|name| (*kind, name.as_str())))
        .collect();
    let text = api
        .opened("idp/builtin/policy-entities", &query)
        .await
        .map_err(failed)?;
    let mut result = document(&text).map_err(failed)?;
    if let Some(fields) = result.as_object_mut() {
        fields.retain(|_, value| !is_silent(value));
    }
    let shown = described(&result);
    let value = json!({ "status": "success", "result": result });
    shell.out.say(&value, &shown);
    Ok(())
}

fn described(result: &Value) -> String {
    let mut text = format!("As of {}", word(result, "timestamp"));
    for user in items(result, "userMappings") {
        text.push_str(&format!(
            "\nUser {}: {}",
            word(user, "user"),
            words(user, "policies").join(", ")
        ));
        for group in items(user, "memberOfMappings") {
            let policies = words(group, "policies").join(", ");
            text.push_str(&format!("\n  by group {}: {policies}", word(group, "group")));
        }
    }
    for group in items(result, "groupMappings") {
        let policies = words(group, "policies").join(", ");
        text.push_str(&format!("\nGroup {}: {policies}", word(group, "group")));
    }
    for policy in items(result, "policyMappings") {
        text.push_str(&format!("\nPolicy {}:", word(policy, "policy")));
        for (kind, names) in [("users", words(policy, "users")), ("groups", words(policy, "groups"))] {
            if !names.is_empty() {
                text.push_str(&format!("\n  {kind}: {}", names.join(", ")));
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entities_are_told_with_what_comes_by_groups() {
        let result = json!({
            "timestamp": "now",
            "userMappings": [{ "user": "a", "policies": ["p"], "memberOfMappings": [{ "group": "g", "policies": ["q", "r"] }] }],
            "policyMappings": [{ "policy": "p", "users": ["a"], "groups": [] }],
        });
        assert_eq!(
            described(&result),
            "As of now\nUser a: p\n  by group g: q, r\nPolicy p:\n  users: a"
        );
    }
}
