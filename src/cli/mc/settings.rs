//! `mc tag`, `mc cors`, `mc version` and `mc quota`: small documents that hang on buckets and objects. Whether a server
//! keeps them is the server's to say: its own words are shown.

use clap::{Args, Subcommand};
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};

use super::client::{Ask, ClientError, element};
use super::output::{Failure, bytes, human};
use super::place::Remote;
use super::shell::Shell;

#[derive(Debug, Subcommand)]
pub(super) enum TagVerb {
    /// Give a bucket or object these tags, in the place of others
    Set {
        #[arg(value_name = "TARGET")]
        target: String,
        #[arg(value_name = "KEY1=VALUE1&KEY2=VALUE2")]
        tags: String,
    },
    /// Show its tags
    #[command(visible_alias = "ls")]
    List(Target),
    /// Take its tags away
    #[command(visible_alias = "rm")]
    Remove(Target),
}

#[derive(Debug, Args)]
pub(super) struct Target {
    #[arg(value_name = "TARGET")]
    target: String,
}

pub(super) async fn tag(shell: &Shell, verb: TagVerb) -> Result<(), Failure> {
    match verb {
        TagVerb::Set { target, tags } => {
            let remote = shell.bucket(&target)?;
            let name = address(&remote);
            let failed = |error: ClientError| Failure::fatal(format!("Failed to set tags for {name}")).because(&error);
            let document = tagging(&tags).map_err(failed)?;
            remote
                .client
                .put_document((&remote.bucket, &remote.key), "tagging", document)
                .await
                .map_err(failed)?;
            shell.out.say(
                &json!({ "status": "success", "name": name }),
                &format!("Tags set for {name}."),
            );
            Ok(())
        }
        TagVerb::List(Target { target }) => list_tags(shell, &shell.bucket(&target)?).await,
        TagVerb::Remove(Target { target }) => {
            let remote = shell.bucket(&target)?;
            let name = address(&remote);
            let removed = remote
                .client
                .remove_document(&remote.bucket, &remote.key, "tagging")
                .await;
            removed.map_err(|error| Failure::fatal(format!("Unable to remove tags for {name}")).because(&error))?;
            shell.out.say(
                &json!({ "status": "success", "name": name }),
                &format!("Tags removed for {name}."),
            );
            Ok(())
        }
    }
}

fn address(remote: &Remote) -> String {
    remote
        .client
        .url_of(&remote.bucket, &remote.key)
        .trim_end_matches('/')
        .to_owned()
}

fn tagging(tags: &str) -> Result<String, ClientError> {
    let mut set = String::new();
    for pair in tags.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let decoded = |text: &str| {
            percent_decode_str(&text.replace('+', " "))
                .decode_utf8_lossy()
                .into_owned()
        };
        if key.is_empty() {
            return Err(ClientError::Unfit(format!("`{pair}` is not KEY=VALUE")));
        }
        set.push_str(&format!(
            "<Tag>{}{}</Tag>",
            element("Key", &decoded(key)),
            element("Value", &decoded(value))
        ));
    }
    if set.is_empty() {
        return Err(ClientError::Unfit(
            "no tags are given; use `mc tag remove` to take them away".into(),
        ));
    }
    Ok(format!("<Tagging><TagSet>{set}</TagSet></Tagging>"))
}

async fn list_tags(shell: &Shell, remote: &Remote) -> Result<(), Failure> {
    let name = address(remote);
    let ask = Ask {
        query: &[("tagging", "")],
        ..Ask::of(http::Method::GET, &remote.bucket, &remote.key)
    };
    let root = match remote.client.xml(&ask).await {
        Err(error) if error.code() == "NoSuchTagSet" => {
            let hint = "check 'mc tag set --help' on how to set tags";
            return Err(Failure::fatal(format!("No tags found  for {name}")).hint(hint));
        }
        result => result.map_err(|error| Failure::fatal(format!("Unable to fetch tags for {name}")).because(&error))?,
    };
    let tags = root.child("TagSet").into_iter().flat_map(|set| set.all("Tag"));
    let tags: Map<String, Value> = tags
        .map(|tag| (tag.text_of("Key").to_owned(), json!(tag.text_of("Value"))))
        .collect();
    let mut text = format!("Name : {name}");
    if tags.is_empty() {
        text.push_str("\nNo tags found");
    }
    for (key, value) in &tags {
        text.push_str(&format!("\n{key} : {}", value.as_str().unwrap_or_default()));
    }
    let mut value = json!({ "status": "success", "url": name, "versionID": "" });
    if let Some(fields) = value.as_object_mut().filter(|_| !tags.is_empty()) {
        fields.insert("tagset".into(), Value::Object(tags));
    }
    shell.out.say(&value, &text);
    Ok(())
}

#[derive(Debug, Subcommand)]
pub(super) enum CorsVerb {
    /// Set a bucket's CORS configuration from an XML file; `-` is standard input
    Set {
        #[arg(value_name = "TARGET")]
        target: String,
        #[arg(value_name = "FILE")]
        file: String,
    },
    /// Show it
    Get(Target),
    /// Take it away
    #[command(visible_alias = "rm")]
    Remove(Target),
}

pub(super) async fn cors(shell: &Shell, verb: CorsVerb) -> Result<(), Failure> {
    match verb {
        CorsVerb::Set { target, file } => {
            let remote = shell.bucket(&target)?;
            let read = if file == "-" {
                std::io::read_to_string(std::io::stdin())
            } else {
                std::fs::read_to_string(&file)
            };
            let unread = |error: std::io::Error| {
                Failure::fatal("Unable to open bucket CORS configuration file.").because(&error.into())
            };
            let text = read.map_err(unread)?.trim_start().to_owned();
            let stored = remote.client.put_document((&remote.bucket, ""), "cors", text).await;
            let message = format!("Unable to set bucket CORS configuration for {target}");
            stored.map_err(|error| Failure::fatal(message).because(&error))?;
            let text = format!("Set bucket CORS config successfully for `{target}`.");
            shell.out.say(&json!({ "op": "set", "status": "success" }), &text);
            Ok(())
        }
        CorsVerb::Get(Target { target }) => {
            let remote = shell.bucket(&target)?;
            match remote.client.document(&remote.bucket, "", "cors").await {
                Ok(text) => shell
                    .out
                    .say(&json!({ "op": "get", "status": "success", "cors": text }), &text),
                Err(error) if error.code() == "NoSuchCORSConfiguration" => {
                    shell
                        .out
                        .say(&json!({ "status": "not found" }), "No bucket CORS configuration found.");
                }
                Err(error) => {
                    let message = format!("Unable to get bucket CORS configuration for {target}");
                    return Err(Failure::fatal(message).because(&error));
                }
            }
            Ok(())
        }
        CorsVerb::Remove(Target { target }) => {
            let remote = shell.bucket(&target)?;
            let removed = remote.client.remove_document(&remote.bucket, "", "cors").await;
            let message = format!("Unable to remove bucket CORS configuration for {target}");
            removed.map_err(|error| Failure::fatal(message).because(&error))?;
            let text = format!("Removed bucket CORS config successfully for `{target}`.");
            shell.out.say(&json!({ "op": "remove", "status": "success" }), &text);
            Ok(())
        }
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum VersionVerb {
    /// Keep versions from now on
    Enable(Target),
    /// Keep no more versions; those there are stay
    Suspend(Target),
    /// Whether versions are kept
    Info(Target),
}

pub(super) async fn version(shell: &Shell, verb: VersionVerb) -> Result<(), Failure> {
    let (operation, Target { target }, wanted) = match verb {
        VersionVerb::Enable(target) => ("enable", target, Some("Enabled")),
        VersionVerb::Suspend(target) => ("suspend", target, Some("Suspended")),
        VersionVerb::Info(target) => ("info", target, None),
    };
    let remote = shell.bucket(&target)?;
    let shown = target.trim_end_matches('/');
    let status = match wanted {
        Some(status) => {
            let document = format!(
                "<VersioningConfiguration>{}</VersioningConfiguration>",
                element("Status", status)
            );
            let stored = remote
                .client
                .put_document((&remote.bucket, ""), "versioning", document)
                .await;
            stored.map_err(|error| Failure::fatal(format!("Unable to {operation} versioning")).because(&error))?;
            status.to_owned()
        }
        None => {
            let root = remote.client.xml_document(&remote.bucket, "versioning").await;
            let root = root.map_err(|error| Failure::fatal("Unable to get versioning info.").because(&error))?;
            root.text_of("Status").to_owned()
        }
    };
    let value = json!({ "Op": operation, "status": "success", "url": shown, "versioning": { "status": status, "MFADelete": "" } });
    let text = match status.as_str() {
        "" => format!("{shown} is un-versioned"),
        status => format!("{shown} versioning is {}", status.to_lowercase()),
    };
    shell.out.say(&value, &text);
    Ok(())
}

#[derive(Debug, Subcommand)]
pub(super) enum QuotaVerb {
    /// Let a bucket hold no more than this
    Set {
        #[arg(long, value_name = "SIZE", value_parser = size)]
        size: u64,
        #[arg(value_name = "TARGET")]
        target: String,
    },
    /// How much a bucket may hold
    Info(Target),
    /// Let it hold whatever fits
    Clear(Target),
}

fn size(text: &str) -> Result<u64, String> {
    bytes(text).ok_or_else(|| "not a size such as 64MiB".to_owned())
}

pub(super) async fn quota(shell: &Shell, verb: QuotaVerb) -> Result<(), Failure> {
    let (target, failure, wanted) = match verb {
        QuotaVerb::Set { size, target } => (target, "Unable to set bucket quota", Some(size)),
        QuotaVerb::Clear(Target { target }) => (target, "Unable to clear bucket quota config", Some(0)),
        QuotaVerb::Info(Target { target }) => (target, "Unable to get bucket quota", None),
    };
    let remote = shell.bucket(&target)?;
    let query = [("bucket", remote.bucket.as_str())];
    let (method, path, body) = match wanted {
        Some(size) => {
            let body = json!({ "quota": size, "size": size, "quotatype": "hard" }).to_string();
            (http::Method::PUT, "minio/admin/v3/set-bucket-quota", body)
        }
        None => (http::Method::GET, "minio/admin/v3/get-bucket-quota", String::new()),
    };
    let ask = Ask {
        query: &query,
        body: body.into(),
        ..Ask::of(method, "", path)
    };
    let answer = remote
        .client
        .text(&ask)
        .await
        .map_err(|error| Failure::fatal(failure).because(&error))?;
    let bucket = &remote.bucket;
    let (value, text) = match wanted {
        Some(0) => (
            json!({ "status": "success", "bucket": bucket }),
            format!("Successfully cleared bucket quota configured on `{bucket}`"),
        ),
        Some(size) => (
            json!({ "status": "success", "bucket": bucket, "quota": size, "type": "hard" }),
            format!("Successfully set bucket quota of {} on `{bucket}`", human(size)),
        ),
        None => {
            let found: Value = serde_json::from_str(&answer).unwrap_or_default();
            let number = |name: &str| found.get(name).and_then(Value::as_u64).filter(|number| *number > 0);
            let size = number("size").or_else(|| number("quota")).unwrap_or_default();
            let text = match size {
                0 => format!("Bucket `{bucket}` has no quota"),
                size => format!("Bucket `{bucket}` has hard quota of {}", human(size)),
            };
            (
                json!({ "status": "success", "bucket": bucket, "quota": size, "type": "hard" }),
                text,
            )
        }
    };
    shell.out.say(&value, &text);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_become_a_document() {
        let document = tagging("k=v&k%202=a+b%26").unwrap();
        assert_eq!(
            document,
            "<Tagging><TagSet><Tag><Key>k</Key><Value>v</Value></Tag><Tag><Key>k 2</Key><Value>a b&amp;</Value></Tag></TagSet></Tagging>"
        );
        assert!(tagging("").is_err() && tagging("=v").is_err());
    }
}
