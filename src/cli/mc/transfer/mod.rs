//! Moving bytes between files and servers: what `cp`, `mv`, `put`, `get`, `pipe` and `mirror` have in common. A transfer
//! is one file or object to one other; several run at once, and what fails is told and does not stop the others.

pub(super) mod copy;
mod download;
mod follow;
pub(super) mod metadata;
pub(super) mod mirror;
mod moving;
pub(super) mod single;

use std::fs::File;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use http::HeaderMap;
use indicatif::{ProgressBar, ProgressStyle};
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::client::{ClientError, Source, Stat, Stream, Style, Uploading};
use super::output::{Failure, precise};
use super::place::Remote;
use super::shell::Shell;
use metadata::Wanted;
use moving::{Copied, FileState, apart};

/// Transfers that run at once.
const LANES: usize = 4;
/// Servers copy objects up to this size by themselves in one request.
const COPY_BYTES_MAX: u64 = 5 * 1024 * 1024 * 1024;

/// One end of a transfer.
#[derive(Clone)]
pub(super) enum End {
    File { path: PathBuf, shown: String },
    Object(Remote),
}

impl End {
    /// As people write it.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::File { shown, .. } => shown.clone(),
            Self::Object(remote) => remote.shown(),
        }
    }
}

/// One file or object to be copied.
#[derive(Clone)]
pub(super) struct Job {
    pub(super) from: End,
    pub(super) to: End,
    pub(super) size: u64,
}

/// What is done so far, and how it is shown.
pub(super) struct Ledger<'a> {
    shell: &'a Shell,
    bar: Option<ProgressBar>,
    begun: Instant,
    state: Mutex<Sums>,
}

#[derive(Default)]
struct Sums {
    total: u64,
    moved: u64,
    jobs: u64,
}

impl<'a> Ledger<'a> {
    pub(super) fn new(shell: &'a Shell) -> Self {
        let bar = shell.out.shows_progress().then(|| {
            let bar = ProgressBar::new(0);
            let template = "{wide_msg} {bytes} / {total_bytes} [{bar:25}] {bytes_per_sec} {eta}";
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style);
            }
            bar
        });
        Self {
            shell,
            bar,
            begun: Instant::now(),
            state: Mutex::default(),
        }
    }

    /// A job has been found.
    pub(super) fn expect(&self, job: &Job) {
        let mut state = self.state.lock();
        state.jobs += 1;
        state.total += job.size;
        if let Some(bar) = &self.bar {
            bar.set_length(state.total);
            bar.set_message(job.from.shown());
        }
    }

    /// Bytes are where they belong.
    pub(super) fn moved(&self, bytes: u64) {
        self.state.lock().moved += bytes;
        if let Some(bar) = &self.bar {
            bar.inc(bytes);
        }
    }

    /// Says that one thing is done; `value` gets the counters that scripts know.
    pub(super) fn say(&self, mut value: Value, text: &str) {
        let (jobs, total) = {
            let state = self.state.lock();
            (state.jobs, state.total)
        };
        if let Some(fields) = value.as_object_mut() {
            fields.insert("totalCount".into(), json!(jobs));
            fields.insert("totalSize".into(), json!(total));
        }
        match &self.bar {
            // The bar names what it is at.
            Some(_) => {}
            None => self.shell.out.say(&value, text),
        }
    }

    /// Ends the bar, and sums up.
    pub(super) fn close(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        let state = self.state.lock();
        let took = self.begun.elapsed();
        let speed = per_second(state.moved, took);
        let value = json!({
            "status": "success",
            "total": state.total,
            "transferred": state.moved,
            "duration": u64::try_from(took.as_nanos()).unwrap_or(u64::MAX),
            "speed": speed,
        });
        let seconds = took.as_secs();
        let cells = [
            ("Total", precise(state.total)),
            ("Transferred", precise(state.moved)),
            ("Duration", format!("{:02}m{:02}s", seconds / 60, seconds % 60)),
            ("Speed", format!("{}/s", precise(speed as u64))),
        ];
        self.shell.out.say(&value, &table(&cells));
    }
}

fn per_second(bytes: u64, took: Duration) -> f64 {
    let seconds = took.as_secs_f64();
    if seconds > 0.0 { bytes as f64 / seconds } else { 0.0 }
}

fn table(cells: &[(&str, String)]) -> String {
    let widths: Vec<usize> = cells.iter().map(|(name, value)| name.len().max(value.len())).collect();
    let edge = |left: &str, middle: &str, right: &str| {
        let lines: Vec<String> = widths.iter().map(|width| "─".repeat(width + 2)).collect();
        format!("{left}{}{right}", lines.join(middle))
    };
    let row = |text: &dyn Fn(usize) -> String| {
        let cells: Vec<String> = widths
            .iter()
            .enumerate()
            .map(|(i, width)| format!(" {:width$} ", text(i)))
            .collect();
        format!("│{}│", cells.join("│"))
    };
    let names = row(&|i| cells.get(i).map(|(name, _)| (*name).to_owned()).unwrap_or_default());
    let values = row(&|i| cells.get(i).map(|(_, value)| value.clone()).unwrap_or_default());
    [edge("┌", "┬", "┐"), names, values, edge("└", "┴", "┘")].join("\n")
}

/// Where jobs come from, one after the other.
pub(super) trait Jobs {
    /// The next job; `None` when there is no more.
    async fn next(&mut self) -> Result<Option<Job>, Failure>;

    /// Hears of a job that failed and was told of.
    fn failed(&mut self, _job: Job) {}
}

/// How transfers are done.
pub(super) struct Manner {
    pub(super) wanted: Wanted,
    /// What was copied is removed from where it was.
    pub(super) moves: bool,
    /// Told in the form of events, which a mirror follows.
    pub(super) events: bool,
}

/// Runs all jobs, some at once. A job that fails is told of; a list that cannot be made ends it.
pub(super) async fn run(
    shell: &Shell,
    ledger: &Ledger<'_>,
    manner: &Manner,
    jobs: &mut impl Jobs,
) -> Result<(), Failure> {
    let mut flying = FuturesUnordered::new();
    let mut ended = None;
    loop {
        if ended.is_none() && flying.len() < LANES {
            match jobs.next().await {
                Ok(Some(job)) => {
                    ledger.expect(&job);
                    flying.push(one(shell, ledger, manner, job));
                }
                Ok(None) => ended = Some(Ok(())),
                Err(failure) => ended = Some(Err(failure)),
            }
            continue;
        }
        match flying.next().await {
            None => return ended.unwrap_or(Ok(())),
            Some(Ok(())) => {}
            Some(Err(job)) => jobs.failed(job),
        }
    }
}

/// Does one job, and tells of it; gives it back when it failed.
async fn one(shell: &Shell, ledger: &Ledger<'_>, manner: &Manner, job: Job) -> Result<(), Job> {
    let (from, to) = (job.from.shown(), job.to.shown());
    let moved = async {
        if !manner.moves {
            return transfer(ledger, &manner.wanted, &job, false).await.map(drop);
        }
        apart(&job.from, &job.to).await?;
        transfer(ledger, &manner.wanted, &job, true).await?.remove().await
    };
    match moved.await {
        Ok(()) => {
            let mut value = json!({ "status": "success", "source": from, "target": to, "size": job.size });
            if let Some(fields) = value.as_object_mut().filter(|_| manner.events) {
                fields.extend([("eventTime".to_owned(), json!("")), ("eventType".to_owned(), json!(""))]);
            }
            ledger.say(value, &format!("`{from}` -> `{to}`"));
            Ok(())
        }
        Err(error) => {
            let verb = if manner.moves { "move" } else { "copy" };
            shell.report(&Failure::error(format!("Failed to {verb} `{from}`.")).because(&error));
            Err(job)
        }
    }
}

/// Does one job, and gives what was copied. `durable` files outlive a loss of power from then on.
async fn transfer(ledger: &Ledger<'_>, wanted: &Wanted, job: &Job, durable: bool) -> Result<Copied, ClientError> {
    let moved = |bytes| ledger.moved(bytes);
    let opened = |path: &PathBuf| -> Result<(File, FileState), ClientError> {
        let file = File::open(path).map_err(ClientError::file(path))?;
        let state = FileState::of(&file.metadata().map_err(ClientError::file(path))?);
        Ok((file, state))
    };
    let of_object = |from: &Remote, stat: Stat| Copied::Object {
        remote: from.clone(),
        etag: stat.etag,
    };
    match (&job.from, &job.to) {
        (End::File { path, .. }, End::Object(to)) => {
            let headers = wanted.for_file(path)?;
            let (file, state) = opened(path)?;
            let path = path.clone();
            let source = Source::File {
                file,
                path: path.clone(),
            };
            let bytes = upload(to, headers, wanted.style(), &moved, source).await?;
            Ok(Copied::File { path, state, bytes })
        }
        (End::Object(from), End::File { path, .. }) => {
            let stat = download::to_file(from, path, (wanted.preserve, durable), &moved).await?;
            Ok(of_object(from, stat))
        }
        (End::Object(from), End::Object(to)) => Ok(of_object(from, copy_object(from, to, wanted, &moved).await?)),
        (End::File { path: from, .. }, End::File { path: to, .. }) => {
            let (source, state) = opened(from)?;
            let bytes = download::from_stream(Stream::of(source), to, durable, &moved).await?;
            let path = from.clone();
            Ok(Copied::File { path, state, bytes })
        }
    }
}

/// Uploads to one key.
pub(super) async fn upload(
    to: &Remote,
    headers: HeaderMap,
    style: Style,
    moved: &(dyn Fn(u64) + Sync),
    source: Source,
) -> Result<u64, ClientError> {
    let uploading = Uploading {
        client: &to.client,
        bucket: &to.bucket,
        key: &to.key,
        headers,
        style,
        moved,
    };
    uploading.run(source).await
}

async fn copy_object(
    from: &Remote,
    to: &Remote,
    wanted: &Wanted,
    moved: &(dyn Fn(u64) + Sync),
) -> Result<Stat, ClientError> {
    let stat = from.client.stat(&from.bucket, &from.key).await?;
    let replaced = wanted.over(stat.kept())?;
    let source = (from.bucket.as_str(), from.key.as_str());
    if from.client.alias() != to.client.alias() {
        let headers = replaced.unwrap_or_else(|| stat.kept());
        let reading = from.client.read(&from.bucket, &from.key).await?;
        if reading.stat().etag != stat.etag {
            let reason = "the object was replaced while it was copied".to_owned();
            return Err(ClientError::Answer { reason });
        }
        let sent = upload(to, headers, wanted.style(), moved, Source::object(reading)).await?;
        if sent != stat.size {
            let reason = format!("the object has {} bytes, and {sent} were sent", stat.size);
            return Err(ClientError::Answer { reason });
        }
        return Ok(stat);
    }
    if stat.size > COPY_BYTES_MAX {
        let uploading = Uploading {
            client: &to.client,
            bucket: &to.bucket,
            key: &to.key,
            // A copy in parts is a new object: what its source has goes with it by our hands.
            headers: replaced.unwrap_or_else(|| stat.kept()),
            style: Style::default(),
            moved,
        };
        uploading.copy(source, &stat).await?;
        return Ok(stat);
    }
    let target = (to.bucket.as_str(), to.key.as_str());
    from.client.copy(source, &stat.etag, target, replaced).await?;
    moved(stat.size);
    Ok(stat)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_is_a_table() {
        let shown = table(&[("Total", "7 B".into()), ("Speed", "229 B/s".into())]);
        assert_eq!(
            shown,
            "┌───────┬─────────┐\n│ Total │ Speed   │\n│ 7 B   │ 229 B/s │\n└───────┴─────────┘"
        );
    }
}
