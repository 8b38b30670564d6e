//! `mc stat`.

use clap::Args;
use serde_json::{Map, Value, json};
use time::OffsetDateTime;

use super::client::{Ask, ClientError, Stat};
use super::output::{Failure, clock, human, stamp};
use super::place::{Place, Remote, base_name};
use super::shell::Shell;
use super::walk::{Entry, Found, Walk, folder_key, look};

#[derive(Debug, Args)]
pub(super) struct StatArgs {
    /// Everything below
    #[arg(long, short)]
    recursive: bool,
    /// Do not look for a folder where there is no object
    #[arg(long)]
    no_list: bool,
    #[arg(value_name = "TARGET", required = true)]
    targets: Vec<String>,
}

pub(super) async fn run(shell: &Shell, args: StatArgs) -> Result<(), Failure> {
    for target in &args.targets {
        let shown = match shell.place(target)? {
            Place::Local(path) => local(shell, &path.display().to_string()),
            Place::Remote(remote) => of_remote(shell, &args, &remote).await,
        };
        shown.map_err(|error| Failure::fatal(format!("Unable to stat `{target}`.")).because(&error))?;
    }
    Ok(())
}

fn local(shell: &Shell, path: &str) -> Result<(), ClientError> {
    let meta = std::fs::metadata(path).map_err(ClientError::file(path.as_ref()))?;
    let base = base_name(path);
    let slash = if meta.is_dir() { "/" } else { "" };
    show(
        shell,
        &Entry::local(format!("{base}{slash}"), path.to_owned(), &meta),
        None,
    );
    Ok(())
}

async fn of_remote(shell: &Shell, args: &StatArgs, remote: &Remote) -> Result<(), ClientError> {
    if remote.bucket.is_empty() {
        for (name, modified) in remote.client.buckets().await? {
            show(shell, &Entry::folder(format!("{name}/"), modified), None);
        }
        return Ok(());
    }
    if args.recursive || remote.key.ends_with('/') {
        return listed(shell, args, remote).await;
    }
    if remote.key.is_empty() {
        return bucket(shell, remote).await;
    }
    match remote.client.stat(&remote.bucket, &remote.key).await {
        Ok(stat) => {
            object(shell, base_name(&remote.key), &stat);
            Ok(())
        }
        Err(error) if error.is_absent() && !args.no_list => {
            if !matches!(look(&remote.with_key(format!("{}/", remote.key))).await?, Found::Folder) {
                return Err(error);
            }
            show(
                shell,
                &Entry::folder(format!("{}/", base_name(&remote.key)), None),
                None,
            );
            Ok(())
        }
        Err(error) => Err(error),
    }
}

async fn listed(shell: &Shell, args: &StatArgs, remote: &Remote) -> Result<(), ClientError> {
    let base = folder_key(&remote.key);
    // Names in a recursive list begin with the last part of what was asked for.
    let from = if args.recursive {
        base.len() - base_name(&base).len().min(base.len())
    } else {
        base.len()
    };
    let cut = if args.recursive && !base.is_empty() {
        from.saturating_sub(1)
    } else {
        from
    };
    let mut walk = Walk::remote(remote, &base, base.get(..cut).unwrap_or_default(), args.recursive);
    let mut found = false;
    while let Some(entry) = walk.next().await? {
        found = true;
        if entry.folder {
            show(shell, &entry, None);
        } else {
            let stat = remote.client.stat(&remote.bucket, &entry.full).await?;
            object(shell, &entry.name, &stat);
        }
    }
    if found || remote.key.is_empty() {
        return Ok(());
    }
    // A folder that holds nothing is none, unless an object stands for it.
    let stat = remote.client.stat(&remote.bucket, &remote.key).await?;
    object(shell, base_name(&remote.key), &stat);
    Ok(())
}

fn object(shell: &Shell, name: &str, stat: &Stat) {
    let entry = Entry {
        name: name.to_owned(),
        full: name.to_owned(),
        folder: false,
        size: stat.size,
        modified: stat.modified,
        etag: stat.etag.clone(),
        storage_class: String::new(),
    };
    show(shell, &entry, Some(stat));
}

fn show(shell: &Shell, entry: &Entry, stat: Option<&Stat>) {
    let kind = if entry.folder { "folder" } else { "file" };
    let metadata: Vec<(String, String)> = stat.map(Stat::metadata).unwrap_or_default();
    let at = entry.modified.unwrap_or_else(OffsetDateTime::now_utc);
    let mut value = json!({
        "status": "success",
        "name": entry.name,
        "lastModified": stamp(Some(at)),
        "size": entry.size,
        "etag": entry.etag,
        "type": kind,
    });
    let mut text = format!("Name      : {}\nDate      : {} \n", entry.name, clock(Some(at)));
    if !entry.folder {
        text.push_str(&format!("Size      : {:<6} \n", human(entry.size)));
    }
    if !entry.etag.is_empty() {
        text.push_str(&format!("ETag      : {} \n", entry.etag));
    }
    text.push_str(&format!("Type      : {kind} \n"));
    if !metadata.is_empty() {
        text.push_str("Metadata  :\n");
        let width = metadata.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
        for (name, value) in &metadata {
            text.push_str(&format!("  {name:width$}: {value} \n"));
        }
        let fields: Map<String, Value> = metadata.into_iter().map(|(name, value)| (name, json!(value))).collect();
        if let Some(all) = value.as_object_mut() {
            all.insert("metadata".into(), Value::Object(fields));
        }
    }
    shell.out.say(&value, &text);
}

async fn bucket(shell: &Shell, remote: &Remote) -> Result<(), ClientError> {
    let client = &remote.client;
    if !client.has_bucket(&remote.bucket).await? {
        return Err(ClientError::Unfit("Object does not exist".into()));
    }
    // What cannot be asked for is left out.
    let document = |name: &'static str| client.xml_document(&remote.bucket, name);
    let versioning = document("versioning")
        .await
        .map(|root| root.text_of("Status").to_owned());
    let location = document("location").await.map(|root| root.text().to_owned());
    let policy = client.document(&remote.bucket, "", "policy").await;
    let anonymous = match &policy {
        Ok(text) => crate::policy::anonymous::level_of(text, &remote.bucket, ""),
        Err(_) => "none",
    };
    let location = location.unwrap_or_default();
    let location = if location.is_empty() { "us-east-1" } else { &location };
    let versioning = versioning.unwrap_or_default();
    let now = OffsetDateTime::now_utc();
    let usage = usage(remote).await;
    let mut value = json!({
        "status": "success",
        "name": format!("{}/", remote.bucket),
        "lastModified": stamp(Some(now)),
        "size": 0,
        "type": "folder",
        "Versioning": { "status": versioning, "MFADelete": "" },
        "Policy": { "type": anonymous },
        "location": location,
    });
    if let (Some(fields), Some(usage)) = (value.as_object_mut(), &usage) {
        fields.insert("Usage".into(), usage.clone());
    }
    let mut text = format!(
        "Name      : {}\nType      : folder \n\nProperties:\n  Versioning: {}\n  Location: {location}\n  Anonymous: {}\n",
        remote.bucket,
        if versioning.is_empty() {
            "Un-versioned"
        } else {
            &versioning
        },
        if anonymous == "none" { "Disabled" } else { "Enabled" },
    );
    if let Some(usage) = &usage {
        let number = |name: &str| usage.get(name).and_then(Value::as_u64).unwrap_or_default();
        text.push_str(&format!(
            "\nUsage:\n  {} in {} objects, {} versions\n",
            human(number("size")),
            number("objectsCount"),
            number("versionsCount")
        ));
    }
    shell.out.say(&value, &text);
    Ok(())
}

/// What a bucket holds by the server's count; not told where the server has none, or may not tell it.
async fn usage(remote: &Remote) -> Option<Value> {
    let ask = Ask::of(http::Method::GET, "", "minio/admin/v3/datausageinfo");
    let text = remote.client.text(&ask).await.ok()?;
    let all: Value = serde_json::from_str(&text).ok()?;
    all.get("bucketsUsageInfo")?.get(&remote.bucket).cloned()
}
