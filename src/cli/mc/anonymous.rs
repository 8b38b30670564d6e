//! `mc anonymous`: what may be done without credentials, as the bucket policy that stands for it.

use clap::Subcommand;
use serde_json::{Value, json};

use super::client::ClientError;
use super::output::Failure;
use super::place::Remote;
use super::shell::Shell;
use super::walk::Walk;
use crate::policy::anonymous::{Level, level_of, levels, with_level};

#[derive(Debug, Subcommand)]
pub(super) enum AnonymousVerb {
    /// Let everybody do this below a bucket or prefix: private, public, download or upload
    Set {
        #[arg(value_name = "PERMISSION")]
        level: String,
        #[arg(value_name = "TARGET")]
        target: String,
    },
    /// Set the bucket policy from a JSON file
    SetJson {
        #[arg(value_name = "FILE")]
        file: String,
        #[arg(value_name = "TARGET")]
        target: String,
    },
    /// What everybody may do
    Get {
        #[arg(value_name = "TARGET")]
        target: String,
    },
    /// The bucket policy
    GetJson {
        #[arg(value_name = "TARGET")]
        target: String,
    },
    /// What everybody may do, prefix by prefix
    List {
        #[arg(value_name = "TARGET")]
        target: String,
    },
    /// URLs of the objects that everybody may read
    Links {
        /// Everything below
        #[arg(long, short)]
        recursive: bool,
        #[arg(value_name = "TARGET")]
        target: String,
    },
}

pub(super) async fn run(shell: &Shell, verb: AnonymousVerb) -> Result<(), Failure> {
    match verb {
        AnonymousVerb::Set { level, target } => set(shell, &level, &target).await,
        AnonymousVerb::SetJson { file, target } => set_json(shell, &file, &target).await,
        AnonymousVerb::Get { target } => get(shell, &target).await,
        AnonymousVerb::GetJson { target } => get_json(shell, &target).await,
        AnonymousVerb::List { target } => list(shell, &target).await,
        AnonymousVerb::Links { recursive, target } => links(shell, recursive, &target).await,
    }
}

/// The policy of a bucket; an empty one where there is none.
async fn read(remote: &Remote) -> Result<String, ClientError> {
    match remote.client.document(&remote.bucket, "", "policy").await {
        Err(error) if error.code() == "NoSuchBucketPolicy" => Ok(String::new()),
        result => result,
    }
}

fn said(operation: &str, target: &str, permission: &str) -> Value {
    json!({ "operation": operation, "status": "success", "bucket": target.trim_end_matches('/'), "permission": permission })
}

async fn set(shell: &Shell, level: &str, target: &str) -> Result<(), Failure> {
    let Some(wanted) = Level::parse(level) else {
        let hint = "Allowed values are [private, public, download, upload]";
        return Err(Failure::fatal(format!("Unrecognized permission `{level}`.")).hint(hint));
    };
    let remote = shell.bucket(target)?;
    let stored = async {
        let old = read(&remote).await?;
        let new = with_level(&old, &remote.bucket, &remote.key, wanted).map_err(ClientError::Unfit)?;
        match new {
            Some(new) => remote.client.put_document((&remote.bucket, ""), "policy", new).await,
            None => remote.client.remove_document(&remote.bucket, "", "policy").await,
        }
    };
    let failed = |error: ClientError| {
        Failure::fatal(format!("Unable to set anonymous `{level}` for `{target}`.")).because(&error)
    };
    stored.await.map_err(failed)?;
    let text = format!(
        "Access permission for `{}` is set to `{level}`",
        target.trim_end_matches('/')
    );
    shell.out.say(&said("set", target, level), &text);
    Ok(())
}

async fn set_json(shell: &Shell, file: &str, target: &str) -> Result<(), Failure> {
    let remote = shell.bucket(target)?;
    let failed = |error: ClientError| {
        Failure::fatal(format!("Unable to set anonymous `{file}` for `{target}`.")).because(&error)
    };
    let text = std::fs::read_to_string(file).map_err(|error| failed(ClientError::file(file.as_ref())(error)))?;
    let stored = remote.client.put_document((&remote.bucket, ""), "policy", text);
    stored.await.map_err(failed)?;
    let text = format!("Access permission for `{target}` is set from `{file}`");
    shell.out.say(&said("set-json", target, ""), &text);
    Ok(())
}

async fn get(shell: &Shell, target: &str) -> Result<(), Failure> {
    let remote = shell.bucket(target)?;
    let failed =
        |error: ClientError| Failure::fatal(format!("Unable to get anonymous access of `{target}`.")).because(&error);
    let text = read(&remote).await.map_err(failed)?;
    let word = Level::word_of(level_of(&text, &remote.bucket, &remote.key));
    shell.out.say(
        &said("get", target, word),
        &format!("Access permission for `{target}` is `{word}`"),
    );
    Ok(())
}

async fn get_json(shell: &Shell, target: &str) -> Result<(), Failure> {
    let remote = shell.bucket(target)?;
    let failed = |error: ClientError| {
        Failure::fatal(format!("Unable to get-json anonymous access of `{target}`.")).because(&error)
    };
    let text = read(&remote).await.map_err(failed)?;
    let word = Level::word_of(level_of(&text, &remote.bucket, &remote.key));
    let mut value = said("get-json", target, word);
    let document: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
    if let Some(fields) = value.as_object_mut().filter(|_| !document.is_null()) {
        fields.insert("anonymous".into(), document.clone());
    }
    let shown = if document.is_null() {
        "{}".to_owned()
    } else {
        serde_json::to_string_pretty(&document).unwrap_or_default()
    };
    shell.out.say(&value, &shown);
    Ok(())
}

async fn list(shell: &Shell, target: &str) -> Result<(), Failure> {
    let remote = shell.bucket(target)?;
    let failed =
        |error: ClientError| Failure::fatal(format!("Unable to list policies of target `{target}`.")).because(&error);
    let text = read(&remote).await.map_err(failed)?;
    for (prefix, level) in levels(&text, &remote.bucket) {
        let resource = format!("{}/{prefix}*", remote.bucket);
        let value = json!({ "operation": "list", "status": "success", "bucket": resource, "permission": level });
        shell.out.say(&value, &format!("{resource} => {level}"));
    }
    Ok(())
}

async fn links(shell: &Shell, recursive: bool, target: &str) -> Result<(), Failure> {
    let remote = shell.bucket(target)?;
    let failed =
        |error: ClientError| Failure::fatal(format!("Unable to list policies of target `{target}`.")).because(&error);
    let text = read(&remote).await.map_err(failed)?;
    for (prefix, level) in levels(&text, &remote.bucket) {
        if !matches!(level, "readonly" | "readwrite")
            || !prefix.starts_with(&remote.key) && !remote.key.starts_with(&prefix)
        {
            continue;
        }
        let below = if prefix.len() > remote.key.len() {
            &prefix
        } else {
            &remote.key
        };
        let mut walk = Walk::remote(&remote, below, "", recursive);
        while let Some(entry) = walk.next().await.map_err(failed)? {
            let path = crate::auth::sign::path_text(&format!("/{}/{}", remote.bucket, entry.full));
            let url = format!("{}{path}", remote.client.url());
            shell.out.say(&json!({ "status": "success", "url": url }), &url);
        }
    }
    Ok(())
}
