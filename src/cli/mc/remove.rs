//! `mc rm`, and removing all below a prefix.

use std::fs;
use std::io::BufRead;
use std::path::Path;

use clap::Args;
use serde_json::json;
use time::{Duration, OffsetDateTime};

use super::client::{ClientError, UnfinishedPager};
use super::output::{Failure, seconds};
use super::place::{Place, Remote};
use super::shell::Shell;
use super::walk::{Entry, Walk};

/// Removed with one request.
const BATCH: usize = 1000;

#[derive(Debug, Args)]
pub(super) struct RmArgs {
    /// Everything whose name begins so
    #[arg(long, short)]
    recursive: bool,
    /// Needed with --recursive
    #[arg(long)]
    force: bool,
    /// Together with --force: everything on a server
    #[arg(long)]
    dangerous: bool,
    /// Uploads that were begun and not completed, in the place of objects
    #[arg(long, short = 'I')]
    incomplete: bool,
    /// Only say what would be removed
    #[arg(long)]
    dry_run: bool,
    /// Read names from standard input, one a line
    #[arg(long)]
    stdin: bool,
    #[command(flatten)]
    age: Age,
    #[arg(value_name = "TARGET", required_unless_present = "stdin")]
    targets: Vec<String>,
}

/// Which ages are wanted.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct Age {
    /// Only what is older, as 7d10h31s
    #[arg(long, value_name = "SPAN", value_parser = span)]
    older_than: Option<u64>,
    /// Only what is newer, as 7d10h31s
    #[arg(long, value_name = "SPAN", value_parser = span)]
    newer_than: Option<u64>,
}

fn span(text: &str) -> Result<u64, String> {
    seconds(text).ok_or_else(|| "not a span of time such as 7d10h31s".to_owned())
}

impl Age {
    /// Whether something of this time is wanted.
    pub(super) fn wants(&self, modified: Option<OffsetDateTime>, now: OffsetDateTime) -> bool {
        let Some(modified) = modified else {
            return self.older_than.is_none() && self.newer_than.is_none();
        };
        let age = now - modified;
        let span = |seconds: u64| Duration::seconds(i64::try_from(seconds).unwrap_or(i64::MAX));
        self.older_than.is_none_or(|limit| age > span(limit)) && self.newer_than.is_none_or(|limit| age < span(limit))
    }
}

pub(super) async fn run(shell: &Shell, mut args: RmArgs) -> Result<(), Failure> {
    if args.recursive && !args.force {
        return Err(Failure::fatal(
            "Removal requires --force flag. This operation is *IRREVERSIBLE*. Please review carefully before performing this *DANGEROUS* operation.",
        ));
    }
    if args.stdin {
        for line in std::io::stdin().lock().lines() {
            let line = line.map_err(|error| Failure::fatal("Unable to read names.").because(&error.into()))?;
            args.targets.extend(Some(line).filter(|line| !line.is_empty()));
        }
    }
    for target in &args.targets {
        let remote = match shell.place(target)? {
            Place::Remote(remote) => remote,
            Place::Local(_) if args.incomplete => {
                let hint = "only servers have uploads that are not completed";
                shell.report(&Failure::error(format!("Failed to remove `{target}`.")).hint(hint));
                continue;
            }
            Place::Local(path) => {
                local(shell, &args, &path);
                continue;
            }
        };
        if remote.bucket.is_empty() && !(args.force && args.dangerous && args.recursive) {
            let hint = "If you are really sure, retry this command with ‘--dangerous’ and ‘--force’ flags";
            return Err(Failure::fatal("This operation results in site-wide removal of objects.").hint(hint));
        }
        if !args.recursive && args.incomplete {
            if let Err(error) = uploads(shell, &args, &remote).await {
                shell.report(&Failure::error(format!("Failed to remove `{target}`.")).because(&error));
            }
            continue;
        }
        if !args.recursive {
            one(shell, &args, &remote).await;
            continue;
        }
        let failed =
            |error: &ClientError| Failure::error(format!("Failed to remove `{target}` recursively.")).because(error);
        match shell.buckets_of(remote).await {
            Ok(buckets) => {
                for remote in buckets {
                    let removed = match args.incomplete {
                        true => uploads(shell, &args, &remote).await,
                        false => recursively(shell, &args, &remote).await,
                    };
                    if let Err(error) = removed {
                        shell.report(&failed(&error));
                    }
                }
            }
            Err(error) => shell.report(&failed(&error)),
        }
    }
    Ok(())
}

/// A file of this machine; with `--recursive` all in a folder, and the folders that are empty then.
fn local(shell: &Shell, args: &RmArgs, path: &Path) {
    let failed = |path: &Path, error: &ClientError| {
        shell.report(&Failure::error(format!("Failed to remove `{}`.", path.display())).because(error));
    };
    let meta = match fs::symlink_metadata(path) {
        Ok(meta) => meta,
        Err(error) => return failed(path, &ClientError::file(path)(error)),
    };
    if meta.is_dir() {
        if !args.recursive {
            let reason = "it is a folder; use --recursive and --force".to_owned();
            return failed(path, &ClientError::Unfit(reason));
        }
        let entries = match fs::read_dir(path) {
            Ok(entries) => entries,
            Err(error) => return failed(path, &ClientError::file(path)(error)),
        };
        for entry in entries.flatten() {
            local(shell, args, &entry.path());
        }
        // What was left in it was not wanted, or has been told of.
        if !args.dry_run && fs::read_dir(path).is_ok_and(|mut left| left.next().is_none()) {
            drop(fs::remove_dir(path));
        }
        return;
    }
    let modified = meta.modified().ok().map(OffsetDateTime::from);
    if !args.age.wants(modified, OffsetDateTime::now_utc()) {
        return;
    }
    if !args.dry_run
        && let Err(error) = fs::remove_file(path)
    {
        return failed(path, &ClientError::file(path)(error));
    }
    say(shell, args, &path.display().to_string());
}

async fn one(shell: &Shell, args: &RmArgs, remote: &Remote) {
    let removed = async {
        if remote.key.is_empty() {
            return Err(ClientError::Unfit(
                "it is a bucket; use --recursive to remove what is in it, or `mc rb`".into(),
            ));
        }
        let stat = remote.client.stat(&remote.bucket, &remote.key).await?;
        if !args.age.wants(stat.modified, OffsetDateTime::now_utc()) {
            return Ok(false);
        }
        if !args.dry_run {
            remote.client.remove(&remote.bucket, &remote.key).await?;
        }
        Ok(true)
    };
    match removed.await {
        Ok(true) => say(shell, args, &remote.shown()),
        Ok(false) => {}
        Err(error) => shell.report(&Failure::error(format!("Failed to remove `{}`.", remote.shown())).because(&error)),
    }
}

/// Takes back what was begun to be uploaded to a key, or with `--recursive` to all that begin so.
async fn uploads(shell: &Shell, args: &RmArgs, remote: &Remote) -> Result<(), ClientError> {
    let now = OffsetDateTime::now_utc();
    let mut pager = UnfinishedPager::new(&remote.client, &remote.bucket, &remote.key);
    while let Some(found) = pager.next().await? {
        if !(args.recursive || found.key == remote.key) || !args.age.wants(found.begun, now) {
            continue;
        }
        let shown = remote.shown_key(&found.key);
        let removed = if args.dry_run {
            Ok(())
        } else {
            pager.abort(&found).await
        };
        match removed {
            Ok(()) => say(shell, args, &shown),
            Err(error) => shell.report(&Failure::error(format!("Failed to remove `{shown}`.")).because(&error)),
        }
    }
    Ok(())
}

fn say(shell: &Shell, args: &RmArgs, shown: &str) {
    let value = json!({
        "status": "success",
        "key": shown,
        "deleteMarker": false,
        "versionID": "",
        "modTime": null,
        "dryRun": args.dry_run,
    });
    let text = if args.dry_run {
        format!("DRYRUN: Removing `{shown}`.")
    } else {
        format!("Removed `{shown}`.")
    };
    shell.out.say(&value, &text);
}

async fn recursively(shell: &Shell, args: &RmArgs, remote: &Remote) -> Result<(), ClientError> {
    let now = OffsetDateTime::now_utc();
    let mut wants = |entry: &Entry| args.age.wants(entry.modified, now);
    if args.dry_run {
        let mut walk = Walk::remote(remote, &remote.key, "", true);
        while let Some(entry) = walk.next().await? {
            if wants(&entry) {
                say(shell, args, &remote.shown_key(&entry.full));
            }
        }
        return Ok(());
    }
    let mut told = |key: &str, refused: Option<&ClientError>| {
        let shown = remote.shown_key(key);
        match refused {
            None => say(shell, args, &shown),
            Some(error) => shell.report(&Failure::error(format!("Failed to remove `{shown}`.")).because(error)),
        }
    };
    remove_below(remote, &remote.key, &mut wants, &mut told).await
}

/// Removes all that is wanted among what begins with `prefix`, a batch at a time, and tells of each.
pub(super) async fn remove_below(
    remote: &Remote,
    prefix: &str,
    wants: &mut dyn FnMut(&Entry) -> bool,
    told: &mut dyn FnMut(&str, Option<&ClientError>),
) -> Result<(), ClientError> {
    let mut walk = Walk::remote(remote, prefix, "", true);
    let mut batch: Vec<String> = Vec::new();
    loop {
        let entry = walk.next().await?;
        let ended = entry.is_none();
        batch.extend(entry.filter(|entry| wants(entry)).map(|entry| entry.full));
        if batch.is_empty() || !(ended || batch.len() >= BATCH) {
            if ended {
                return Ok(());
            }
            continue;
        }
        let refused = remote.client.remove_many(&remote.bucket, &batch).await?;
        for key in batch.drain(..) {
            told(
                &key,
                refused.iter().find(|(name, _)| *name == key).map(|(_, error)| error),
            );
        }
        if ended {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_the_age_is_wanted() {
        let now = OffsetDateTime::UNIX_EPOCH + Duration::days(100);
        let age = |older, newer| Age {
            older_than: older,
            newer_than: newer,
        };
        let then = Some(now - Duration::hours(2));
        assert!(age(Some(3_600), None).wants(then, now) && !age(Some(10_000), None).wants(then, now));
        assert!(age(None, Some(10_000)).wants(then, now) && !age(None, Some(3_600)).wants(then, now));
        assert!(age(None, None).wants(None, now) && !age(Some(1), None).wants(None, now));
    }
}
