//! `mc mirror`: makes a folder or bucket hold what another holds.

use std::collections::{BTreeSet, VecDeque};
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use clap::Args;
use regex::Regex;
use serde_json::json;
use time::OffsetDateTime;
use tokio::time::{Instant, sleep_until};

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
use crate::cli::mc::walk::{Entry, Seen, Walk, folder_key, see};

/// Before what failed while it was followed is tried again; then twice as long each time.
const PAUSE: Duration = Duration::from_secs(2);
const PAUSE_MAX: Duration = Duration::from_secs(300);

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
    /// No object of this storage class; may be given again
    #[arg(long, value_name = "CLASS")]
    exclude_storageclass: Vec<String>,
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
    let mut held = Held::new();
    held.put(std::mem::take(&mut plan.failed), plan.uncopied, Instant::now());
    loop {
        let changes = tokio::select! {
            changes = listener.next() => changes.map_err(unheard)?,
            () = sleep_until(held.due), if !held.names.is_empty() => Changes::Names(std::mem::take(&mut held.names)),
        };
        let (failed, uncopied) = match changes {
            Changes::All => {
                let mut again = Plan::new(shell, &args, plan.source.clone(), plan.target.clone());
                again.all(&ledger, &manner).await?;
                held.names.clear();
                (again.failed, again.uncopied)
            }
            Changes::Names(names) => {
                plan.some(&ledger, &manner, names, held.may_remove()).await?;
                (std::mem::take(&mut plan.failed), plan.uncopied)
            }
        };
        held.put(failed, uncopied, Instant::now());
    }
}

/// Names that are to be looked at again, because something failed.
struct Held {
    names: BTreeSet<String>,
    /// Some of them could not be copied.
    uncopied: bool,
    due: Instant,
    pause: Duration,
}

impl Held {
    fn new() -> Self {
        Self {
            names: BTreeSet::new(),
            uncopied: false,
            due: Instant::now(),
            pause: PAUSE,
        }
    }

    /// Whether nothing waits that what the source has not any more may have become.
    fn may_remove(&self) -> bool {
        self.names.is_empty() || !self.uncopied
    }

    /// Keeps names until they are due; the longer, the more often something failed in a row.
    fn put(&mut self, failed: BTreeSet<String>, uncopied: bool, now: Instant) {
        self.uncopied = uncopied || (self.uncopied && !self.names.is_empty());
        match (failed.is_empty(), self.names.is_empty()) {
            (true, true) => self.pause = PAUSE,
            (true, false) => {}
            (false, nothing_waits) => {
                if nothing_waits {
                    self.due = now + self.pause;
                    self.pause = (self.pause * 2).min(PAUSE_MAX);
                }
                self.names.extend(failed);
            }
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

/// Jobs that are known already, and those of them that failed.
#[derive(Default)]
struct Ready {
    jobs: VecDeque<Job>,
    failed: Vec<Job>,
}

impl Jobs for Ready {
    async fn next(&mut self) -> Result<Option<Job>, Failure> {
        Ok(self.jobs.pop_front())
    }

    fn failed(&mut self, job: Job) {
        self.failed.push(job);
    }
}

/// Whether a target holds something already.
async fn is_there(end: &End) -> Result<bool, ClientError> {
    match end {
        End::File { path, .. } => path.try_exists().map_err(ClientError::file(path)),
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
    /// Names to be looked at again: something failed.
    failed: BTreeSet<String>,
    /// Something could not be copied, or waits for that.
    uncopied: bool,
    /// The source holds something.
    any: bool,
}

impl Jobs for Plan<'_> {
    async fn next(&mut self) -> Result<Option<Job>, Failure> {
        let failed = |error: ClientError| Failure::fatal("Unable to compare source and target.").because(&error);
        while let Some(pair) = self.compare.next().await.map_err(failed)? {
            self.any |= !matches!(pair, Pair::OnlySecond(_));
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
                    if !self.is_left_out(&entry) {
                        self.refuse(&entry);
                    }
                    continue;
                }
            };
            if self.is_left_out(&entry) || !self.args.age.wants(entry.modified, self.now) {
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

    fn failed(&mut self, job: Job) {
        self.note(&job);
    }
}

impl<'a> Plan<'a> {
    fn new(shell: &'a Shell, args: &'a MirrorArgs, source: Place, target: Place) -> Self {
        // What is not there yet is not looked into.
        let there = match &target {
            Place::Local(path) => !matches!(std::fs::metadata(path), Err(error) if error.kind() == ErrorKind::NotFound),
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
            failed: BTreeSet::new(),
            uncopied: false,
            any: false,
        }
    }

    /// Mirrors everything.
    async fn all(&mut self, ledger: &Ledger<'_>, manner: &Manner) -> Result<(), Failure> {
        let shell = self.shell;
        let before = shell.failures();
        super::run(shell, ledger, manner, self).await?;
        let failures = shell.failures() - before;
        if failures > 0 {
            // What failed in another way than a copy is not tried again by name.
            let all_again = usize::try_from(failures).is_ok_and(|failures| failures == self.failed.len());
            self.spare_all(all_again);
            return Ok(());
        }
        if !self.any && !self.doomed.is_empty() {
            // A name that was mistyped, or a disk that is not mounted, more often than what is meant.
            self.doomed.clear();
            let (source, target) = (&self.args.source, self.args.target.trim_end_matches('/'));
            let message = format!("Nothing was removed, because `{source}` holds nothing at all.");
            let hint =
                format!("Is it the right source? If all of `{target}` shall go: mc rm --recursive --force {target}/");
            shell.report(&Failure::error(message).hint(hint));
            return Ok(());
        }
        self.spare_passed_over();
        self.remove(ledger).await;
        Ok(())
    }

    /// Removes nothing where something could not be copied: the old may be the only one left. `again`: when what failed is
    /// tried again, so is this.
    fn spare_all(&mut self, again: bool) {
        self.uncopied = true;
        let doomed = std::mem::take(&mut self.doomed);
        if doomed.is_empty() {
            return;
        }
        self.failed.extend(doomed.into_iter().filter(|_| again));
        self.shell.report(&Failure::error(
            "Nothing was removed, because something could not be copied.",
        ));
    }

    /// Removes nothing of what may be behind a link that leads nowhere now.
    fn spare_passed_over(&mut self) {
        let links = self.compare.passed_over();
        let behind = |name: &str| {
            links.iter().find(|link| {
                name.strip_prefix(link.as_str())
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            })
        };
        let (shell, mut spared) = (self.shell, BTreeSet::new());
        self.doomed.retain(|name| match behind(name) {
            Some(link) => {
                spared.insert(link.clone());
                false
            }
            None => true,
        });
        for link in spared {
            let hint = "the source has it as a link that leads nowhere";
            shell.report(&Failure::error(format!("`{link}` was not removed.")).hint(hint));
        }
    }

    /// Mirrors what has changed: whether a name is there now decides what is done. Unless it `may_remove`, what the source
    /// has not any more is only noted, because something that is not copied yet may be the same.
    async fn some(
        &mut self,
        ledger: &Ledger<'_>,
        manner: &Manner,
        names: BTreeSet<String>,
        may_remove: bool,
    ) -> Result<(), Failure> {
        let before = self.shell.failures();
        let mut ready = Ready::default();
        self.doomed.clear();
        self.uncopied = !may_remove;
        for name in names {
            if self.is_excluded(&name) {
                continue;
            }
            match self.changed(&name).await {
                Ok(Some(job)) => ready.jobs.push_back(job),
                Ok(None) => {}
                Err(error) => {
                    self.shell
                        .report(&Failure::error(format!("Failed to copy `{name}`.")).because(&error));
                    self.failed.insert(name);
                }
            }
        }
        super::run(self.shell, ledger, manner, &mut ready).await?;
        for job in &ready.failed {
            self.note(job);
        }
        if self.shell.failures() != before {
            self.spare_all(true);
        } else if may_remove {
            self.remove(ledger).await;
        } else {
            self.failed.extend(self.doomed.drain(..));
        }
        Ok(())
    }

    /// Notes the name of a job that failed.
    fn note(&mut self, job: &Job) {
        let name = match (&self.source, &job.from) {
            (Place::Local(folder), End::File { path, .. }) => {
                path.strip_prefix(folder).ok().and_then(Path::to_str).map(str::to_owned)
            }
            (Place::Remote(remote), End::Object(from)) => {
                from.key.strip_prefix(&folder_key(&remote.key)).map(str::to_owned)
            }
            (Place::Local(_), End::Object(_)) | (Place::Remote(_), End::File { .. }) => None,
        };
        self.failed.extend(name);
    }

    /// What is to be copied for a name; what is not there any more is noted for removal.
    async fn changed(&mut self, name: &str) -> Result<Option<Job>, ClientError> {
        let entry = match &self.source {
            Place::Local(folder) => {
                let path = folder.join(name);
                match see(&path)? {
                    Seen::There(meta) if meta.is_file() => {
                        Some(Entry::local(name.to_owned(), path.display().to_string(), &meta))
                    }
                    Seen::There(meta) if meta.is_dir() => None,
                    // Neither to be copied nor gone.
                    Seen::There(_) | Seen::LostLink => return Ok(None),
                    Seen::Gone => {
                        // A source that is gone itself says nothing of what was in it.
                        std::fs::metadata(folder).map_err(ClientError::file(folder))?;
                        None
                    }
                }
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
                        storage_class: stat.class().to_owned(),
                        etag: stat.etag,
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
        if self.is_left_out(&entry) {
            return Ok(None);
        }
        let job = self.job(&entry)?;
        let wanted = self.args.overwrite || !is_there(&job.to).await?;
        Ok(Some(job).filter(|_| wanted))
    }

    /// Whether something of the source is not to be mirrored, by its name or by what it is.
    fn is_left_out(&self, entry: &Entry) -> bool {
        self.args.exclude_storageclass.contains(&entry.storage_class) || self.is_excluded(&entry.name)
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
                remove_end(&end).await
            };
            match removed {
                Ok(()) => {
                    let value = json!({ "status": "success", "source": "", "target": shown, "size": 0, "eventTime": "", "eventType": "" });
                    ledger.say(value, &format!("{dry}`` -> `{shown}`"));
                }
                Err(error) => {
                    self.failed.insert(name.clone());
                    self.shell
                        .report(&Failure::error(format!("Failed to remove `{shown}`.")).because(&error));
                }
            }
        }
    }
}

/// Removes one thing of the target; none there is a success.
async fn remove_end(end: &End) -> Result<(), ClientError> {
    match end {
        End::File { path, .. } => match std::fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(ClientError::file(path)(error)),
            Ok(()) | Err(_) => Ok(()),
        },
        End::Object(remote) => remote.client.remove(&remote.bucket, &remote.key).await,
    }
}

fn key_below(remote: &Remote, name: &str) -> String {
    format!("{}{name}", folder_key(&remote.key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_waits_longer_each_time_and_no_longer_than_the_most() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        let now = Instant::now();
        let mut held = Held::new();
        held.put(names(&["a"]), false, now);
        assert!(held.may_remove());
        assert_eq!(held.due, now + PAUSE);
        // What fails meanwhile waits with it.
        held.put(names(&["b"]), true, now + PAUSE / 2);
        assert!(!held.may_remove());
        assert_eq!((held.due, &held.names), (now + PAUSE, &names(&["a", "b"])));
        for _ in 0..20 {
            let again = std::mem::take(&mut held.names);
            held.put(again, false, now);
        }
        assert_eq!(held.due, now + PAUSE_MAX);
        held.names.clear();
        held.put(BTreeSet::new(), false, now);
        held.put(names(&["c"]), false, now);
        assert_eq!(held.due, now + PAUSE);
    }
}
