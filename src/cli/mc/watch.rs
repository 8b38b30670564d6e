//! `mc watch`: tells what happens to objects on a server, or to files in a folder, while it happens.

use clap::Args;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::client::{ClientError, Event};
use super::folder_watch::{FolderWatch, Happened};
use super::output::{Failure, human, stamp};
use super::place::{Place, Remote};
use super::shell::Shell;

/// Words of the command line, and what servers call it.
const KINDS: [(&str, &[&str]); 6] = [
    ("put", &["s3:ObjectCreated:*"]),
    ("delete", &["s3:ObjectRemoved:*"]),
    ("get", &["s3:ObjectAccessed:*"]),
    ("replica", &["s3:Replication:*"]),
    ("ilm", &["s3:ObjectRestore:*", "s3:ObjectTransition:*"]),
    ("scanner", &["s3:Scanner:ManyVersions", "s3:Scanner:BigPrefix"]),
];

#[derive(Debug, Args)]
pub(super) struct WatchArgs {
    /// What to tell: put, delete, get, replica, ilm, scanner
    #[arg(long, value_name = "EVENTS", value_delimiter = ',', value_parser = kind, default_value = "put,delete,get")]
    events: Vec<&'static str>,
    /// Only keys that begin so
    #[arg(long, value_name = "PREFIX")]
    prefix: Option<String>,
    /// Only keys that end so
    #[arg(long, value_name = "SUFFIX")]
    suffix: Option<String>,
    /// Folders in the folder, too; on a server all keys are told anyway
    #[arg(long)]
    recursive: bool,
    #[arg(value_name = "TARGET")]
    target: String,
}

fn kind(word: &str) -> Result<&'static str, String> {
    let found = KINDS.iter().find(|(name, _)| *name == word);
    found.map(|(name, _)| *name).ok_or_else(|| {
        let names = KINDS.map(|(name, _)| name).join(", ");
        format!("it is one of {names}")
    })
}

pub(super) async fn run(shell: &Shell, args: &WatchArgs) -> Result<(), Failure> {
    let failed = |error: ClientError| Failure::fatal("Unable to watch for events.").because(&error);
    match shell.place(&args.target)? {
        Place::Remote(remote) => server(shell, args, &remote).await.map_err(failed),
        Place::Local(path) => {
            let mut watch = FolderWatch::begin(&path, args.recursive).map_err(failed)?;
            loop {
                let happened = watch.next().await.map_err(failed)?;
                if !file(shell, args, &happened) {
                    return Ok(());
                }
            }
        }
    }
}

async fn server(shell: &Shell, args: &WatchArgs, remote: &Remote) -> Result<(), ClientError> {
    let names: Vec<&str> = KINDS
        .iter()
        .filter(|(word, _)| args.events.contains(word))
        .flat_map(|(_, names)| names.iter().copied())
        .collect();
    let prefix = args.prefix.as_deref().unwrap_or(&remote.key);
    let suffix = args.suffix.as_deref().unwrap_or_default();
    let mut events = remote.client.events(&remote.bucket, (prefix, suffix), &names).await?;
    while let Some(event) = events.next().await? {
        let Event { name, time, size, .. } = &event;
        let path = remote.client.url_of(&event.bucket, &event.key);
        if !say(shell, (name, time), *size, &path, &event.source) {
            return Ok(());
        }
    }
    Err(ClientError::Answer {
        reason: "the server ended the stream".to_owned(),
    })
}

/// Tells of a file, if it is asked for; gives whether somebody may still listen.
fn file(shell: &Shell, args: &WatchArgs, happened: &Happened) -> bool {
    let (path, word, name) = match happened {
        Happened::Written(path) => (path, "put", "s3:ObjectCreated:Put"),
        Happened::Gone(path) => (path, "delete", "s3:ObjectRemoved:Delete"),
        Happened::Lost => {
            let hint =
                "more happened at once than the kernel keeps, or a folder was moved away; look into the folder itself";
            shell.report(&Failure::error("Some events were missed.").hint(hint));
            return true;
        }
    };
    let shown = path.display().to_string();
    let base = path.file_name().map(|name| name.to_string_lossy().into_owned());
    let base = base.unwrap_or_default();
    let fits = args.events.contains(&word)
        && args.prefix.as_deref().is_none_or(|prefix| base.starts_with(prefix))
        && args.suffix.as_deref().is_none_or(|suffix| base.ends_with(suffix));
    if !fits {
        return true;
    }
    let size = std::fs::metadata(path).map_or(0, |meta| meta.len());
    let now = stamp(Some(OffsetDateTime::now_utc()));
    say(shell, (name, &now), size, &shown, &json!({}))
}

fn say(shell: &Shell, (name, time): (&str, &str), size: u64, path: &str, source: &Value) -> bool {
    let events = json!({ "time": time, "size": size, "path": path, "type": name });
    let value = json!({ "status": "success", "events": events, "source": source });
    let size = if size > 0 { human(size) } else { String::new() };
    shell.out.say_on(&value, &format!("[{time}] {size:>8} {name} {path}"))
}
