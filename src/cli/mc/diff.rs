//! `mc diff`.

use clap::Args;
use serde_json::json;

use super::client::ClientError;
use super::compare::{Compare, Pair};
use super::output::Failure;
use super::place::Place;
use super::shell::Shell;
use super::walk::{Entry, Found, Walk, look};

/// What `diff` is in JSON.
const SIZE: u8 = 2;
const ONLY_FIRST: u8 = 5;
const ONLY_SECOND: u8 = 6;
const TIME: u8 = 7;

#[derive(Debug, Args)]
pub(super) struct DiffArgs {
    #[arg(value_name = "FIRST")]
    first: String,
    #[arg(value_name = "SECOND")]
    second: String,
}

pub(super) async fn run(shell: &Shell, args: DiffArgs) -> Result<(), Failure> {
    let first = folder(shell, &args.first).await?;
    let second = folder(shell, &args.second).await?;
    let mut compare = Compare::new(Walk::below(&first), Walk::below(&second));
    let failed = |error: ClientError| Failure::fatal("Unable to calculate the difference.").because(&error);
    while let Some(pair) = compare.next().await.map_err(failed)? {
        let (mark, one, other, kind) = match &pair {
            Pair::Same => continue,
            Pair::OnlyFirst(entry) => ("<", url(&first, entry), String::new(), ONLY_FIRST),
            Pair::OnlySecond(entry) => (">", String::new(), url(&second, entry), ONLY_SECOND),
            Pair::Size(one, other) => ("!", url(&first, one), url(&second, other), SIZE),
            Pair::Younger(one, other) => ("!", url(&first, one), url(&second, other), TIME),
        };
        let value = json!({ "status": "success", "first": one, "second": other, "diff": kind });
        let named = if other.is_empty() { &one } else { &other };
        shell.out.say(&value, &format!("{mark} {named}"));
    }
    Ok(())
}

/// A place that must be a folder.
pub(super) async fn folder(shell: &Shell, given: &str) -> Result<Place, Failure> {
    let place = shell.place(given)?;
    let failed = |error: &ClientError| Failure::fatal(format!("Unable to stat '{given}'.")).because(error);
    match &place {
        Place::Local(path) => {
            let meta = std::fs::metadata(path).map_err(|error| failed(&ClientError::file(path)(error)))?;
            if !meta.is_dir() {
                return Err(Failure::fatal(format!("`{given}` is not a folder.")));
            }
        }
        Place::Remote(remote) if remote.bucket.is_empty() => {
            return Err(Failure::fatal(format!("`{given}` names no bucket.")));
        }
        Place::Remote(remote) => {
            let there = remote
                .client
                .has_bucket(&remote.bucket)
                .await
                .map_err(|error| failed(&error))?;
            if !there {
                return Err(Failure::fatal(format!("Unable to stat '{given}'."))
                    .hint(format!("Bucket `{}` does not exist", remote.bucket)));
            }
            // A prefix below which there is nothing is an empty folder.
            if matches!(look(remote).await.map_err(|error| failed(&error))?, Found::Object) {
                return Err(Failure::fatal(format!("`{given}` is not a folder.")));
            }
        }
    }
    Ok(place)
}

fn url(place: &Place, entry: &Entry) -> String {
    match place {
        Place::Local(_) => entry.full.clone(),
        Place::Remote(remote) => remote.client.url_of(&remote.bucket, &entry.full),
    }
}
