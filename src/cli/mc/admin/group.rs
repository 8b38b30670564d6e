//! `mc admin group`: groups of users.

use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Value, json};

use super::{Api, Named, Server, told, word, words};
use crate::cli::mc::client::ClientError;
use crate::cli::mc::output::Failure;
use crate::cli::mc::shell::Shell;

#[derive(Debug, Subcommand)]
pub(in crate::cli::mc) enum GroupVerb {
    /// Add users to a group, which is made if it is not there
    Add(AddArgs),
    /// Remove users from a group; without users, an empty group
    #[command(visible_alias = "rm")]
    Remove(RemoveArgs),
    /// One group
    Info(Named),
    /// All groups
    #[command(visible_alias = "ls")]
    List(Server),
    /// Give the members what the group may do
    Enable(Named),
    /// Take it from them
    Disable(Named),
}

#[derive(Debug, Args)]
pub(in crate::cli::mc) struct AddArgs {
    #[arg(value_name = "ALIAS")]
    alias: String,
    #[arg(value_name = "GROUP")]
    group: String,
    #[arg(value_name = "USER", required = true)]
    members: Vec<String>,
}

#[derive(Debug, Args)]
pub(in crate::cli::mc) struct RemoveArgs {
    #[arg(value_name = "ALIAS")]
    alias: String,
    #[arg(value_name = "GROUP")]
    group: String,
    #[arg(value_name = "USER")]
    members: Vec<String>,
}

pub(super) async fn run(shell: &Shell, verb: GroupVerb) -> Result<(), Failure> {
    match verb {
        GroupVerb::Add(args) => {
            let failed = |error: ClientError| Failure::fatal("Unable to add new group").because(&error);
            let api = Api::of(shell, &args.alias)?;
            change(&api, &args.group, &args.members, false).await.map_err(failed)?;
            let text = format!("Group `{}` has {} now, too.", args.group, args.members.join(", "));
            shell.out.say(&changed(&args.group, &args.members), &text);
            Ok(())
        }
        GroupVerb::Remove(args) => {
            let failed = |error: ClientError| Failure::fatal("Could not perform remove operation").because(&error);
            let api = Api::of(shell, &args.alias)?;
            change(&api, &args.group, &args.members, true).await.map_err(failed)?;
            let text = match args.members.join(", ") {
                members if members.is_empty() => format!("Group `{}` is removed.", args.group),
                members => format!("Group `{}` no longer has {members}.", args.group),
            };
            shell.out.say(&changed(&args.group, &args.members), &text);
            Ok(())
        }
        GroupVerb::Info(named) => info(shell, &named).await,
        GroupVerb::List(server) => list(shell, &server).await,
        GroupVerb::Enable(named) => set_status(shell, &named, "enabled").await,
        GroupVerb::Disable(named) => set_status(shell, &named, "disabled").await,
    }
}

async fn change(api: &Api, group: &str, members: &[String], remove: bool) -> Result<(), ClientError> {
    let body = json!({ "group": group, "members": members, "groupStatus": "", "isRemove": remove }).to_string();
    api.plain(Method::PUT, "update-group-members", &[], body)
        .await
        .map(drop)
}

fn changed(group: &str, members: &[String]) -> Value {
    told([("groupName", json!(group)), ("members", json!(members))])
}

async fn info(shell: &Shell, named: &Named) -> Result<(), Failure> {
    let api = Api::of(shell, &named.alias)?;
    let group = api.document("group", &[("group", named.name.as_str())]).await;
    let group = group.map_err(|error| Failure::fatal("Unable to fetch group info").because(&error))?;
    let (status, policies) = (word(&group, "status"), word(&group, "policy"));
    let members = words(&group, "members");
    let text = format!(
        "Group    : {}\nStatus   : {status}\nPolicies : {policies}\nMembers  : {}",
        named.name,
        members.join(", ")
    );
    let value = told([
        ("groupName", json!(named.name)),
        ("members", json!(members)),
        ("groupStatus", json!(status)),
        ("groupPolicy", json!(policies)),
    ]);
    shell.out.say(&value, &text);
    Ok(())
}

async fn list(shell: &Shell, server: &Server) -> Result<(), Failure> {
    let api = Api::of(shell, &server.alias)?;
    let groups = api.document("groups", &[]).await;
    let groups = groups.map_err(|error| Failure::fatal("Unable to list groups").because(&error))?;
    let names: Vec<&str> = groups
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let text = names.join("\n");
    let value = told([("groups", json!(names))]);
    if shell.out.json || !text.is_empty() {
        shell.out.say(&value, &text);
    }
    Ok(())
}

async fn set_status(shell: &Shell, named: &Named, status: &str) -> Result<(), Failure> {
    let api = Api::of(shell, &named.alias)?;
    let query = [("group", named.name.as_str()), ("status", status)];
    let set = api.plain(Method::PUT, "set-group-status", &query, "").await;
    set.map_err(|error| Failure::fatal("Unable set group status").because(&error))?;
    let value = told([("groupName", json!(named.name)), ("groupStatus", json!(status))]);
    shell.out.say(&value, &format!("Group `{}` is {status}.", named.name));
    Ok(())
}
