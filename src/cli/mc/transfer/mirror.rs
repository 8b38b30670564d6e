//! `mc mirror`: makes a folder or bucket hold what another holds.

use std::collections::{BTreeSet, VecDeque};
use std::path::Path;

use clap::Args;
use regex::Regex;
use serde_json::json;
use time::OffsetDateTime;

use super::follow::{Changes, Listener};
use super::metadata::Wanted;
use super::{End, Job, Jobs, Ledger, Manner};
use crate::cli::mc::client::ClientError;
use crate::cli::mc::compare::{Compare, Pair};
use crate::cli::mc::diff::folder;
use crate::cli::mc::find::wildcard;
use crate::cli::mc::output::Failure;
use crate::cli::mc::place::{Place, Remote, below};
use crate::cli::mc::remove::Age;
use crate::cli::mc::shell::Shell;
use crate::cli::mc::walk::{Entry, Walk, folder_key};

#[derive(Debug, Args)]
pub(in crate::cli::mc) struct MirrorArgs {
    /// Also what is there and differs
    #[arg(long)]
    overwrite: bool,
    /// Remove what the source has not
    #[arg(long)]
    remove: bool,
    /// Only say what would be done
    #[arg(long, conflicts_with = "watch")]
    dry_run: bool,
    /// Then go on, and mirror what changes as it changes
    #[arg(long, short)]
    watch: bool,
    /// What breaks is tried again anyway; accepted so that scripts work
    #[arg(long)]
    retry: bool,
    /// What fails never stops the rest; accepted so that scripts work
    #[arg(long)]
    skip_errors: bool,
    /// There is a summary anyway; accepted so that scripts work
    #[arg(long)]
    summary: bool,
    /// Not what fits a pattern with * and ?; may be given again
    #[arg(long, value_name = "PATTERN", value_parser = wildcard)]
    exclude: Vec<Regex>,
    /// Region of a bucket that is made
    #[arg(long, value_name = "REGION", default_value = "us-east-1")]
    region: String,
    #[command(flatten)]
    age: Age,
    #[command(flatten)]
    wanted: Wanted,
    /// Keep mode and time of files
    #[arg(long, short = 'a')]
    preserve: bool,
    #[arg(value_name = "SOURCE")]
    source: String,
    #[arg(value_name = "TARGET")]
    target: String,
}

pub(in crate::cli::mc) async fn run(shell: &Shell, args: MirrorArgs) -> Result<(), Failure> {
    let source = folder(shell, &args.source).await?;
    let target = shell.place(&args.target)?;
    prepare(&args, &target).await?;
    let unheard = |error: ClientError| Failure::fatal(format!("Unable to watch `{}`.", args.source)).because(&error);
    // It is listened before the first look, so that nothing falls in between.
    let listener = match args.watch {
        true => Some(Listener::begin(&source).await.map_err(unheard)?),
        false => None,
    };
    let ledger = Ledger::new(shell);
    let manner = Manner {
        wanted: args.wanted.clone().with_attributes(args.preserve),
        moves: false,
        events: true,
    };
    let mut plan = Plan::new(shell, &args, source, target);
    plan.all(&ledger, &manner).await?;
    let Some(listener) = listener else {
        ledger.close();
        return Ok(());
    };
    loop {
        match listener.next().await.map_err(unheard)? {
            Changes::All => {
                let mut again = Plan::new(shell, &args, plan.source.clone(), plan.target.clone());
                again.all(&ledger, &manner).await?;
            }
            Changes::Names(names) => plan.some(&ledger, &manner, names).await?,
        }
    }
}

async fn prepare(args: &MirrorArgs, target: &Place) -> Result<(), Failure> {
    let Place::Remote(remote) = target else { return Ok(()) };
    let failed = |error: &ClientError| Failure::fatal(format!("Unable to mirror to `{}`.", args.target)).because(error);
    if remote.bucket.is_empty() {
        return Err(
            Failure::fatal(format!("`{}` names no bucket.", args.target)).hint("Whole servers are not mirrored yet")
        );
    }
    if remote
        .client
        .has_bucket(&remote.bucket)
        .await
        .map_err(|error| failed(&error))?
        || args.dry_run
    {
        return Ok(());
    }
    remote
        .client
        .make_bucket(&remote.bucket, &args.region, false)
        .await
        .map_err(|error| failed(&error))
}

/// Jobs that are known already.
struct Ready(VecDeque<Job>);

impl Jobs for Ready {
    async fn next(&mut self) -> Result<Option<Job>, Failure> {
        Ok(self.0.pop_front())
    }
}

/// Whether a target holds something already.
async fn is_there(end: &End) -> Result<bool, ClientError> {
    match end {
        End::File { path, .. } => Ok(path.exists()),
        End::Object(remote) => match remote.client.stat(&remote.bucket, &remote.key).await {
            Ok(_) => Ok(true),
            Err(error) if error.is_absent() => Ok(false),
            Err(error) => Err(error),
        },
    }
}

struct Plan<'a> {
    compare: Compare,
    now: OffsetDateTime,
    shell: &'a Shell,
    args: &'a MirrorArgs,
    source: Place,
    target: Place,
    /// Names of what the source has not.
    doomed: Vec<String>,
}

impl Jobs for Plan<'_> {
    async fn next(&mut self) -> Result<Option<Job>, Failure> {
        let failed = |error: ClientError| Failure::fatal("Unable to compare source and target.").because(&error);
        while let Some(pair) = self.compare.next().await.map_err(failed)? {
            let entry = match pair {
                Pair::Same => continue,
                Pair::OnlySecond(entry) => {
                    if self.args.remove && !self.is_excluded(&entry.name) {
                        self.doomed.push(entry.name);
                    }
                    continue;
                }
                Pair::OnlyFirst(entry) => entry,
                Pair::Size(entry, _) | Pair::Younger(entry, _) if self.args.overwrite => entry,
                Pair::Younger(..) => continue,
                Pair::Size(entry, _) => {
                    if !self.is_excluded(&entry.name) {
                        self.refuse(&entry);
                    }
                    continue;
                }
            };
            if self.is_excluded(&entry.name) || !self.args.age.wants(entry.modified, self.now) {
                continue;
            }
            match self.job(&entry) {
                Ok(job) if self.args.dry_run => self.would(&job),
                Ok(job) => return Ok(Some(job)),
                Err(error) => self
                    .shell
                    .report(&Failure::error(format!("Failed to copy `{}`.", entry.full)).because(&error)),
            }
        }
        Ok(None)
    }
}

impl<'a> Plan<'a> {
    fn new(shell: &'a Shell, args: &'a MirrorArgs, source: Place, target: Place) -> Self {
        // What is not there yet is not looked into.
        let there = match &target {
            Place::Local(path) => path.is_dir(),
            Place::Remote(_) => true,
        };
        let second = if there { Walk::below(&target) } else { Walk::nothing() };
        Self {
            compare: Compare::new(Walk::below(&source), second),
            now: OffsetDateTime::now_utc(),
            shell,
            args,
            source,
            target,
            doomed: Vec::new(),
        }
    }

    /// Mirrors everything.
    async fn all(&mut self, ledger: &Ledger<'_>, manner: &Manner) -> Result<(), Failure> {
        let shell = self.shell;
        let before = shell.failures();
        super::run(shell, ledger, manner, self).await?;
        if shell.failures() == before {
            // Nothing is removed where something could not be copied: the old may be the only one left.
            self.remove(ledger).await;
        } else if !self.doomed.is_empty() {
            shell.report(&Failure::error(
                "Nothing was removed, because something could not be copied.",
            ));
        }
        Ok(())
    }

    /// Mirrors what has changed: whether a name is there now decides what is done.
    async fn some(&mut self, ledger: &Ledger<'_>, manner: &Manner, names: BTreeSet<String>) -> Result<(), Failure> {
        let mut jobs = VecDeque::new();
        self.doomed.clear();
        for name in names {
            if self.is_excluded(&name) {
                continue;
            }
            match self.changed(&name).await {
                Ok(Some(job)) => jobs.push_back(job),
                Ok(None) => {}
                Err(error) => self
                    .shell
                    .report(&Failure::error(format!("Failed to copy `{name}`.")).because(&error)),
            }
        }
        super::run(self.shell, ledger, manner, &mut Ready(jobs)).await?;
        self.remove(ledger).await;
        Ok(())
    }

    /// What is to be copied for a name; what is not there any more is noted for removal.
    async fn changed(&mut self, name: &str) -> Result<Option<Job>, ClientError> {
        let entry = match &self.source {
            Place::Local(folder) => {
                let path = folder.join(name);
                let meta = std::fs::metadata(&path).ok().filter(std::fs::Metadata::is_file);
                meta.map(|meta| Entry::local(name.to_owned(), path.display().to_string(), &meta))
            }
            Place::Remote(remote) => {
                let key = key_below(remote, name);
                match remote.client.stat(&remote.bucket, &key).await {
                    Ok(stat) => Some(Entry {
                        full: key,
                        name: name.to_owned(),
                        folder: false,
                        size: stat.size,
                        modified: stat.modified,
                        etag: stat.etag,
                        storage_class: String::new(),
                    }),
                    Err(error) if error.is_absent() => None,
                    Err(error) => return Err(error),
                }
            }
        };
        let Some(entry) = entry else {
            if self.args.remove {
                self.doomed.push(name.to_owned());
            }
            return Ok(None);
        };
        let job = self.job(&entry)?;
        let wanted = self.args.overwrite || !is_there(&job.to).await?;
        Ok(Some(job).filter(|_| wanted))
    }

    fn is_excluded(&self, name: &str) -> bool {
        self.args.exclude.iter().any(|pattern| pattern.is_match(name))
    }

    fn refuse(&self, entry: &Entry) {
        let target = match &self.target {
            Place::Remote(remote) => remote.client.url_of(&remote.bucket, &key_below(remote, &entry.name)),
            Place::Local(path) => path.join(&entry.name).display().to_string(),
        };
        let message = "Failed to perform mirroring, with error condition (size)";
        let hint = format!("Overwrite not allowed for `{target}`. Use `--overwrite` to override this behavior.");
        self.shell.report(&Failure::error(message).hint(hint));
    }

    fn job(&self, entry: &Entry) -> Result<Job, ClientError> {
        let from = match &self.source {
            Place::Local(_) => End::File {
                path: Path::new(&entry.full).to_path_buf(),
                shown: entry.full.clone(),
            },
            Place::Remote(remote) => End::Object(remote.with_key(&entry.full)),
        };
        let to = self.end(&entry.name)?;
        let size = entry.size;
        Ok(Job { from, to, size })
    }

    fn end(&self, name: &str) -> Result<End, ClientError> {
        match &self.target {
            Place::Local(path) => Ok(End::File {
                path: below(path, name)?,
                shown: format!("{}/{name}", self.args.target.trim_end_matches('/')),
            }),
            Place::Remote(remote) => Ok(End::Object(remote.with_key(key_below(remote, name)))),
        }
    }

    fn would(&self, job: &Job) {
        let (from, to) = (job.from.shown(), job.to.shown());
        let value = json!({ "status": "success", "source": from, "target": to, "size": job.size, "dryRun": true });
        self.shell.out.say(&value, &format!("DRYRUN: `{from}` -> `{to}`"));
    }

    async fn remove(&mut self, ledger: &Ledger<'_>) {
        for name in &std::mem::take(&mut self.doomed) {
            let end = match self.end(name) {
                Ok(end) => end,
                Err(error) => {
                    self.shell
                        .report(&Failure::error(format!("Failed to remove `{name}`.")).because(&error));
                    continue;
                }
            };
            let shown = end.shown();
            let dry = if self.args.dry_run { "DRYRUN: " } else { "" };
            let removed = if self.args.dry_run {
                Ok(())
            } else {
                super::remove(&end).await
            };
            match removed {
                Ok(()) => {
                    let value = json!({ "status": "success", "source": "", "target": shown, "size": 0, "eventTime": "", "eventType": "" });
                    ledger.say(value, &format!("{dry}`` -> `{shown}`"));
                }
                Err(error) => self
                    .shell
                    .report(&Failure::error(format!("Failed to remove `{shown}`.")).because(&error)),
            }
        }
    }
}

fn key_below(remote: &Remote, name: &str) -> String {
    format!("{}{name}", folder_key(&remote.key))
}
