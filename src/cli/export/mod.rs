//! `drystone export`: takes the files of an app out, into a folder with a manifest that `drystone import` reads.
//!
//! It works from any machine, through the Files API, with a secret key of the app. Some pages of records are in memory at a time, and a
//! piece of each file that is being read. What is there already, by size and SHA-256, is not read again; nothing in the
//! folder is ever removed. It never reads a drive of the store.

mod fetch;
mod fresh;
mod manifest;
mod place;
mod row;
mod state;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use futures::{Stream, StreamExt, stream};
use http::Method;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use self::fetch::{Said, Trouble};
use self::manifest::Manifest;
use self::row::Record;
use self::state::{State, Summed};
use super::admin::bytes as shown_bytes;
use super::app::{AppReach, Server};
use super::import;
use super::print;
use crate::config::Vars;

/// Records of a page.
const PAGE: usize = 50;
/// For each file that is read, so many more may wait for their line of the manifest.
const WAITING: usize = 32;
/// How often a file is begun anew because it was replaced while it was read.
const CHANGES_MAX: u32 = 3;
/// Files whose bytes nobody reads yet, or any more.
const UNREADABLE: [&str; 3] = ["received", "scanning", "quarantined"];

/// Where to.
#[derive(Clone, Debug, Args)]
pub struct ExportArgs {
    /// Where to: made if it is not there; one of an earlier run of the same environment is gone on with
    #[arg(value_name = "FOLDER")]
    pub folder: PathBuf,
    #[command(flatten)]
    pub reach: AppReach,
    /// Files at once, 1 to 64
    #[arg(long, value_name = "COUNT", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub parallel: u16,
}

/// A whole command.
#[derive(Clone, Debug)]
pub struct ExportCommand {
    pub args: ExportArgs,
    pub json: bool,
    pub quiet: bool,
}

/// What became of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    Exported(u64),
    /// Its bytes are there since an earlier run.
    Already,
    /// It was removed since it was listed.
    Gone,
    /// It is being scanned or in quarantine since it was listed.
    Unreadable,
    /// It is given out so often, and reading it would use that up.
    Counted,
    Failed(String),
    /// The run was given up before.
    NotTried,
}

/// What came of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sum {
    exported: u64,
    already: u64,
    counted: u64,
    unreadable: u64,
    failed: u64,
    /// Bytes of what was exported.
    bytes: u64,
}

impl Sum {
    fn count(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Exported(size) => {
                self.exported += 1;
                self.bytes = self.bytes.saturating_add(*size);
            }
            Outcome::Already => self.already += 1,
            Outcome::Counted => self.counted += 1,
            Outcome::Failed(_) => self.failed += 1,
            Outcome::Gone | Outcome::Unreadable | Outcome::NotTried => {}
        }
    }
}

/// Runs the command: 0 when every file is there that can be read, 1 when some are not or the server cannot be used, 2 when the
/// command makes no sense.
pub fn run(command: ExportCommand) -> ExitCode {
    match command.args.reach.server(&Vars::of_process()) {
        Ok(server) => import::to_the_end(async move { Ok(export(&command, server).await?.failed) }),
        Err(message) => import::senseless(&message),
    }
}

async fn export(command: &ExportCommand, server: Server) -> Result<Sum, String> {
    let folder = &command.args.folder;
    let environment = server.check().await?;
    fresh::folder(folder).map_err(|error| match folder.exists() && !folder.is_dir() {
        true => format!("{}: it is no folder", folder.display()),
        false => format!("{}: {error}", folder.display()),
    })?;
    let parallel = usize::from(command.args.parallel);
    let exporter = Exporter {
        state: State::open(folder, &format!("{}/{environment}", server.origin))?,
        server,
        folder: folder.clone(),
        turns: Semaphore::new(parallel),
        stopped: Mutex::default(),
    };
    let mut manifest = Manifest::new(folder)?;
    let (page, total) = exporter.page(None).await?;
    let said = Progress::new(command, total);
    let mut sum = Sum::default();
    let moving = exporter.records(page).map(|file| async {
        let done = exporter.one(&file).await;
        (file, done)
    });
    // In the order of the list, with room for those that are done behind one that takes long.
    let mut moving = std::pin::pin!(moving.buffered(parallel * WAITING));
    while let Some((file, (outcome, row))) = moving.next().await {
        if let Some(row) = row {
            manifest.add(&row)?;
        }
        sum.count(&outcome);
        said.one(&file, &outcome);
    }
    if let Some(why) = exporter.stopped.lock().clone() {
        return Err(format!(
            "{why}; what is in the folder stays, and the same command goes on"
        ));
    }
    for state in UNREADABLE {
        sum.unreadable += exporter.total(state).await?;
    }
    let place = manifest.publish()?;
    said.sum(&sum, &place);
    Ok(sum)
}

/// A page of the list, and where the next one begins.
type Page = (Vec<Value>, Option<String>);

struct Exporter {
    server: Server,
    folder: PathBuf,
    state: State,
    /// Of the files that are read at once.
    turns: Semaphore,
    /// Why nothing more is tried.
    stopped: Mutex<Option<String>>,
}

impl Exporter {
    /// A page, oldest first, so that what comes while it runs comes last; and with the first one how many files there are.
    async fn page(&self, cursor: Option<&str>) -> Result<(Page, Option<u64>), String> {
        let mut path = format!("files?sortBy=createdAt&sortDirection=asc&limit={PAGE}");
        if let Some(cursor) = cursor {
            path = format!("{path}&cursor={cursor}");
        }
        let told = self.server.patiently((Method::GET, &path), None).await;
        let told = told.map_err(|error| format!("the list: {error}"))?;
        let items = told.get("items").and_then(Value::as_array);
        let items = items.ok_or("the list: the answer is no Drystone's")?.clone();
        let next = told.pointer("/pagination/nextCursor").and_then(Value::as_str);
        let total = told.pointer("/pagination/total").and_then(Value::as_u64);
        Ok(((items, next.map(str::to_owned)), total))
    }

    /// How many files are in this state.
    async fn total(&self, state: &str) -> Result<u64, String> {
        let path = format!("files?state={state}&limit=1");
        let told = self.server.patiently((Method::GET, &path), None).await;
        let told = told.map_err(|error| error.to_string())?;
        Ok(told
            .pointer("/pagination/total")
            .and_then(Value::as_u64)
            .unwrap_or_default())
    }

    /// Every record from this page on. A page that cannot be had ends all.
    fn records(&self, first: Page) -> impl Stream<Item = Value> {
        let (items, next) = first;
        let later = stream::unfold(next, move |next| async move {
            let next = next.filter(|_| self.stopped.lock().is_none())?;
            match self.page(Some(&next)).await {
                Ok(((items, next), _)) => Some((stream::iter(items), next)),
                Err(why) => {
                    self.stopped.lock().get_or_insert(why);
                    None
                }
            }
        });
        stream::iter(items).chain(later.flatten())
    }

    /// Brings one file; what became of it, and its line of the manifest if it is there.
    async fn one(&self, file: &Value) -> (Outcome, Option<Value>) {
        let _turn = self.turns.acquire().await;
        if self.stopped.lock().is_some() {
            return (Outcome::NotTried, None);
        }
        match self.as_it_stands(file).await {
            Ok(done) => done,
            Err(Trouble::Api(error)) if error.is("file/not-found") => (Outcome::Gone, None),
            Err(trouble) => {
                let why = trouble.to_string();
                if trouble.ends_all() {
                    self.stopped.lock().get_or_insert(why.clone());
                }
                (Outcome::Failed(why), None)
            }
        }
    }

    /// Brings a file; anew if it is replaced meanwhile.
    async fn as_it_stands(&self, file: &Value) -> Result<(Outcome, Option<Value>), Trouble> {
        let mut record = Record::of(file).map_err(Trouble::Wrong)?;
        for _ in 0..CHANGES_MAX {
            match self.brought(&record).await {
                Err(Trouble::Api(error)) if error.is("common/precondition-failed") => {}
                done => return done,
            }
            record = Record::of(&self.server.file(&record.id).await?).map_err(Trouble::Wrong)?;
        }
        let why = "it is replaced again and again while it is read".to_owned();
        Err(Trouble::Wrong(why))
    }

    async fn brought(&self, record: &Record) -> Result<(Outcome, Option<Value>), Trouble> {
        if UNREADABLE.contains(&record.status.as_str()) {
            return Ok((Outcome::Unreadable, None));
        }
        if record.status != "active" {
            return Ok((Outcome::Gone, None));
        }
        if record.max_downloads.is_some() {
            return Ok((Outcome::Counted, None));
        }
        let below = place::of(&record.id, &record.original_name);
        let below = below.ok_or_else(|| Trouble::Wrong("its id is none of a file".to_owned()))?;
        let path = self.folder.join(&below);
        let etag = record.etag.as_deref();
        let known = match &record.sha256 {
            Some(sha256) => Some(sha256.clone()),
            None => etag.and_then(|etag| self.state.sha256(&record.id, etag)),
        };
        let row = |sha256: &str| Some(record.row(&below.to_string_lossy(), sha256));
        if let Some(sha256) = &known
            && fetch::are_here(&path, record.size, sha256).await
        {
            return Ok((Outcome::Already, row(sha256)));
        }
        let said = Said {
            id: &record.id,
            size: record.size,
            etag,
            sha256: record.sha256.as_deref(),
        };
        let sha256 = fetch::bring(&self.server, said, &path).await?;
        if let (None, Some(etag)) = (&record.sha256, etag) {
            let (id, etag, sha256) = (record.id.clone(), etag.to_owned(), sha256.clone());
            self.state.keep(Summed { id, etag, sha256 }).map_err(Trouble::Wrong)?;
        }
        Ok((Outcome::Exported(record.size), row(&sha256)))
    }
}

/// What is said while it runs, and at its end.
struct Progress {
    bar: ProgressBar,
    json: bool,
}

impl Progress {
    fn new(command: &ExportCommand, total: Option<u64>) -> Self {
        let target = match command.json || command.quiet {
            true => ProgressDrawTarget::hidden(),
            // None where nobody looks: hidden unless it is a terminal.
            false => ProgressDrawTarget::stderr(),
        };
        let bar = ProgressBar::with_draw_target(total, target);
        if let Ok(style) =
            ProgressStyle::with_template("{pos} of {len} files  {wide_bar}  {elapsed} (about {eta} more)")
        {
            bar.set_style(style);
        }
        Self {
            bar,
            json: command.json,
        }
    }

    fn one(&self, file: &Value, outcome: &Outcome) {
        self.bar.inc(1);
        let (status, error) = match outcome {
            Outcome::Exported(_) => ("exported", None),
            Outcome::Already => ("already", None),
            Outcome::Gone => ("gone", None),
            Outcome::Unreadable => ("unreadable", None),
            Outcome::Counted => ("counted", None),
            Outcome::Failed(why) => ("failed", Some(why)),
            Outcome::NotTried => return,
        };
        self.bar.suspend(|| match (self.json, error) {
            (true, error) => {
                print::line(json!({ "status": status, "id": file.get("id"), "key": file.get("key"), "error": error }));
            }
            (false, Some(why)) => {
                let text = |name: &str| file.get(name).and_then(Value::as_str).unwrap_or_default();
                print::problem(format_args!("{} ({}): {why}", text("key"), text("id")));
            }
            (false, None) => {}
        });
    }

    fn sum(&self, sum: &Sum, place: &Path) {
        self.bar.finish_and_clear();
        let Sum {
            exported,
            already,
            counted,
            unreadable,
            failed,
            bytes,
        } = *sum;
        if self.json {
            print::line(
                json!({ "status": "done", "exported": exported, "already": already, "counted": counted,
                "unreadable": unreadable, "failed": failed, "bytes": bytes }),
            );
            return;
        }
        let mut text = format!(
            "exported {exported} ({}), there already {already}, failed {failed}",
            shown_bytes(bytes)
        );
        if counted > 0 {
            text.push_str(&format!(", left out {counted} that are given out so often"));
        }
        if unreadable > 0 {
            text.push_str(&format!(", left out {unreadable} that are scanned or in quarantine"));
        }
        print::line(format_args!("{text}; the list of them: {}", place.display()));
    }
}
