//! `mc ls`.

use clap::Args;
use serde_json::json;
use time::OffsetDateTime;

use super::client::{ClientError, UnfinishedPager};
use super::output::{Failure, clock, human, stamp};
use super::place::{Place, Remote, base_name};
use super::shell::Shell;
use super::walk::{Entry, Found, Walk, folder_key, look};

#[derive(Debug, Args)]
pub(super) struct LsArgs {
    /// Everything below, too
    #[arg(long, short)]
    recursive: bool,
    /// Uploads that were begun and not completed
    #[arg(long, short = 'I')]
    incomplete: bool,
    /// How many, and how large together
    #[arg(long)]
    summarize: bool,
    /// Only objects of this class
    #[arg(long, visible_alias = "sc", value_name = "CLASS")]
    storage_class: Option<String>,
    #[arg(value_name = "TARGET", default_value = ".")]
    targets: Vec<String>,
}

#[derive(Default)]
struct Sum {
    objects: u64,
    bytes: u64,
}

pub(super) async fn run(shell: &Shell, args: LsArgs) -> Result<(), Failure> {
    for target in &args.targets {
        let mut sum = Sum::default();
        if let Err(error) = list(shell, &args, &shell.place(target)?, &mut sum).await {
            shell.report(&Failure::error("Unable to list folder.").because(&error));
        }
        if args.summarize {
            let value = json!({ "totalObjects": sum.objects, "totalSize": sum.bytes });
            let text = format!("\nTotal Size: {}\nTotal Objects: {}", human(sum.bytes), sum.objects);
            shell.out.say(&value, &text);
        }
    }
    Ok(())
}

/// What was begun to be uploaded, and is no object yet.
async fn incomplete(shell: &Shell, args: &LsArgs, remote: &Remote, sum: &mut Sum) -> Result<(), ClientError> {
    for remote in shell.buckets_of(remote.clone()).await? {
        let url = remote.client.url_of(&remote.bucket, "");
        let mut pager = UnfinishedPager::new(&remote.client, &remote.bucket, &remote.key);
        while let Some(found) = pager.next().await? {
            let entry = Entry {
                folder: false,
                ..Entry::folder(found.key, found.begun)
            };
            show(shell, args, &entry, &url, sum);
        }
    }
    Ok(())
}

async fn list(shell: &Shell, args: &LsArgs, place: &Place, sum: &mut Sum) -> Result<(), ClientError> {
    if args.incomplete {
        return match place {
            Place::Remote(remote) => incomplete(shell, args, remote, sum).await,
            Place::Local(_) => Err(ClientError::Unfit("only servers have uploads".into())),
        };
    }
    let (mut walk, url) = match place {
        Place::Remote(remote) if remote.bucket.is_empty() => return buckets(shell, args, remote, sum).await,
        Place::Remote(remote) => {
            if !remote.is_folder_by_name() && matches!(look(remote).await?, Found::Object) {
                return object(shell, args, remote, sum).await;
            }
            let base = folder_key(&remote.key);
            let url = remote.client.url_of(&remote.bucket, &base);
            (Walk::remote(remote, &base, &base, args.recursive), url)
        }
        Place::Local(path) => {
            let meta = std::fs::metadata(path).map_err(ClientError::file(path))?;
            if !meta.is_dir() {
                let full = path.display().to_string();
                let entry = Entry::local(base_name(&full).to_owned(), full.clone(), &meta);
                show(shell, args, &entry, &full, sum);
                return Ok(());
            }
            let url = format!("{}/", path.display().to_string().trim_end_matches('/'));
            (Walk::local(path, args.recursive), url)
        }
    };
    while let Some(entry) = walk.next().await? {
        show(shell, args, &entry, &url, sum);
    }
    Ok(())
}

async fn buckets(shell: &Shell, args: &LsArgs, remote: &Remote, sum: &mut Sum) -> Result<(), ClientError> {
    if args.recursive {
        for bucket in shell.buckets_of(remote.clone()).await? {
            let url = format!("{}/", remote.client.url());
            let mut walk = Walk::remote(&bucket, "", "", true);
            while let Some(mut entry) = walk.next().await? {
                entry.name = format!("{}/{}", bucket.bucket, entry.name);
                show(shell, args, &entry, &url, sum);
            }
        }
        return Ok(());
    }
    for (name, modified) in remote.client.buckets().await? {
        let entry = Entry::folder(format!("{name}/"), modified);
        show(shell, args, &entry, &format!("{}/", remote.client.url()), sum);
    }
    Ok(())
}

async fn object(shell: &Shell, args: &LsArgs, remote: &Remote, sum: &mut Sum) -> Result<(), ClientError> {
    let mut walk = Walk::remote(remote, &remote.key, "", false);
    while let Some(mut entry) = walk.next().await? {
        if entry.full == remote.key {
            entry.name = base_name(&entry.full).to_owned();
            show(
                shell,
                args,
                &entry,
                &remote.client.url_of(&remote.bucket, &remote.key),
                sum,
            );
            return Ok(());
        }
    }
    Ok(())
}

fn show(shell: &Shell, args: &LsArgs, entry: &Entry, url: &str, sum: &mut Sum) {
    let unwanted = |class: &String| *class != entry.storage_class && !entry.folder;
    if args.storage_class.as_ref().is_some_and(unwanted) {
        return;
    }
    if !entry.folder {
        sum.objects += 1;
        sum.bytes += entry.size;
    }
    let value = described(entry, url);
    let class = if entry.storage_class.is_empty() {
        String::new()
    } else {
        format!(" {}", entry.storage_class)
    };
    let at = entry.modified.unwrap_or_else(OffsetDateTime::now_utc);
    let size = human(entry.size).replace(' ', "");
    shell.out.say(
        &value,
        &format!("[{}] {size:>6}{class} {}", clock(Some(at)), entry.name),
    );
}

/// An entry as JSON tells it.
pub(super) fn described(entry: &Entry, url: &str) -> serde_json::Value {
    // A common prefix has no time; what was seen now is dated now.
    let at = entry.modified.unwrap_or_else(OffsetDateTime::now_utc);
    let mut value = json!({
        "status": "success",
        "type": if entry.folder { "folder" } else { "file" },
        "lastModified": stamp(Some(at)),
        "size": entry.size,
        "key": entry.name,
        "etag": entry.etag,
        "url": url,
        "versionOrdinal": 1,
    });
    if let Some(fields) = value.as_object_mut().filter(|_| !entry.storage_class.is_empty()) {
        fields.insert("storageClass".into(), json!(entry.storage_class));
    }
    value
}
