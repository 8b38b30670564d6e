//! `drystone import`: brings files that are elsewhere into an app, with what is known of them, through the Files API.
//!
//! It works from any machine, with a secret key of the app. What was done is written down as it is done, so a run that
//! broke off is gone on with, and a second run brings nothing twice. It never reads or writes a drive of the store.

mod item;
mod journal;
mod map;
mod mover;
mod origin;
mod rows;
mod shapes;
mod source;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use futures::StreamExt;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};

use self::item::Item;
use self::journal::Journal;
use self::mover::{Mover, Outcome};
use self::origin::Origin;
use super::admin::bytes as shown_bytes;
use super::app::{AppReach, Server};
use super::print;
use crate::config::Vars;
use crate::server::exit;

/// Where the files are now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Source {
    /// A folder, with all that is below it
    Folder,
    /// A list of files: JSON Lines, JSON or CSV
    Manifest,
    /// A list of bkend's file objects, and a folder with their bytes
    Bkend,
    /// The unpacked folder of a Convex snapshot with file storage
    Convex,
    /// Rows of Supabase's storage.objects, and a folder BUCKET/NAME with their bytes
    Supabase,
}

impl Source {
    /// Its name, as it stands in the metadata of what came from there.
    fn name(self) -> &'static str {
        match self {
            Self::Folder => "folder",
            Self::Manifest => "manifest",
            Self::Bkend => "bkend",
            Self::Convex => "convex",
            Self::Supabase => "supabase",
        }
    }
}

/// What is brought, from where, and as what.
#[derive(Clone, Debug, Args)]
pub struct ImportArgs {
    /// A folder, or a list of files
    #[arg(value_name = "SOURCE")]
    pub source: PathBuf,
    /// What SOURCE is
    #[arg(long, value_enum, default_value = "folder")]
    pub from: Source,
    /// Where the bytes are that a list names [default: the folder of the list]
    #[arg(long, value_name = "DIR")]
    pub files: Option<PathBuf>,
    #[command(flatten)]
    pub reach: AppReach,
    /// Logical bucket of files that name none
    #[arg(long, value_name = "NAME")]
    pub bucket: Option<String>,
    /// Of files that say nothing of it: public, private, protected or shared [default: as their bucket has it]
    #[arg(long, value_name = "LEVEL", value_parser = ["public", "private", "protected", "shared"])]
    pub visibility: Option<String>,
    /// Whose files are that name nobody: what the issuer calls them
    #[arg(long, value_name = "SUBJECT", requires = "issuer")]
    pub owner: Option<String>,
    /// The issuer of the project that knows the owners
    #[arg(long, value_name = "ALIAS")]
    pub issuer: Option<String>,
    /// All files become the server's own, whoever the list says owns them
    #[arg(long, conflicts_with_all = ["owner", "issuer"])]
    pub no_owners: bool,
    /// A bucket of Supabase's whose files are public; may be repeated
    #[arg(long = "public-bucket", value_name = "NAME")]
    pub public_buckets: Vec<String>,
    /// Files at once
    #[arg(long, value_name = "COUNT", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub parallel: u16,
    /// What was done, to go on from there [default: SOURCE's name and .import]
    #[arg(long, value_name = "FILE")]
    pub state: Option<PathBuf>,
    /// What became of each file, written at the end: .jsonl or .csv [default: SOURCE's name and .map.jsonl]
    #[arg(long, value_name = "FILE")]
    pub map: Option<PathBuf>,
    /// Look at everything, and bring nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// A whole command.
#[derive(Clone, Debug)]
pub struct ImportCommand {
    pub args: ImportArgs,
    pub json: bool,
    pub quiet: bool,
}

/// What came of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sum {
    imported: u64,
    already: u64,
    failed: u64,
    /// Bytes of what was imported.
    bytes: u64,
}

impl Sum {
    fn count(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Imported { size } => {
                self.imported += 1;
                self.bytes = self.bytes.saturating_add(*size);
            }
            Outcome::Already => self.already += 1,
            Outcome::Failed(_) => self.failed += 1,
            Outcome::NotTried => {}
        }
    }
}

/// Runs the command: 0 when every file is there, 1 when some are not or the server cannot be used, 2 when the command makes no
/// sense.
pub fn run(command: ImportCommand) -> ExitCode {
    match Plan::of(&command) {
        Ok(plan) => to_the_end(async move { Ok(plan.run().await?.failed) }),
        Err(message) => senseless(&message),
    }
}

/// The end of a command that makes no sense.
pub(super) fn senseless(message: &str) -> ExitCode {
    print::problem(format_args!("drystone: {message}"));
    ExitCode::from(exit::USAGE)
}

/// Does all of it, and gives the end of the command; `work` tells how many files failed.
pub(super) fn to_the_end(work: impl Future<Output = Result<u64, String>>) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return senseless(&format!("cannot start: {error}")),
    };
    let ran = runtime.block_on(work);
    // Reads of files that nobody waits for any more may go on for a while.
    runtime.shutdown_background();
    match ran {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(message) => {
            print::problem(format_args!("drystone: {message}"));
            ExitCode::FAILURE
        }
    }
}

/// Everything that is to be done, thought out.
struct Plan {
    command: ImportCommand,
    items: Vec<Result<Item, (String, String)>>,
    server: Server,
    origin: Origin,
    state: PathBuf,
    map: PathBuf,
}

impl Plan {
    fn of(command: &ImportCommand) -> Result<Self, String> {
        let args = &command.args;
        let stem = args
            .source
            .file_name()
            .map_or_else(|| "import".into(), |name| name.to_string_lossy().into_owned());
        let beside = |end: &str| PathBuf::from(format!("{stem}.{end}"));
        let state = args.state.clone().unwrap_or_else(|| beside("import"));
        Ok(Self {
            server: args.reach.server(&Vars::of_process())?,
            origin: Origin::new(beside_of(&state))?,
            items: source::items(args)?,
            state,
            map: args.map.clone().unwrap_or_else(|| beside("map.jsonl")),
            command: command.clone(),
        })
    }

    async fn run(self) -> Result<Sum, String> {
        self.server.check().await?;
        let said = Said::new(&self.command, &self.items);
        if self.command.args.dry_run {
            return self.rehearse(&said).await;
        }
        let journal = Journal::open(&self.state, &self.server.origin)?;
        let ids: Vec<String> = self
            .items
            .iter()
            .filter_map(|item| Some(item.as_ref().ok()?.id.clone()))
            .collect();
        let mover = Mover::new((self.server, self.origin), journal, self.command.args.from.name());
        mover.check_state().await?;
        let sum = Self::bring(self.items, &mover, (&said, self.command.args.parallel)).await;
        map::write(&self.map, mover.done(&ids))?;
        said.sum(&sum, &format!("what became of them: {}", self.map.display()));
        match mover.stopped() {
            Some(why) => Err(why),
            None => Ok(sum),
        }
    }

    async fn bring(items: Vec<Result<Item, (String, String)>>, mover: &Mover, (said, parallel): (&Said, u16)) -> Sum {
        let mut sum = Sum::default();
        let moving = futures::stream::iter(items).map(|item| async move {
            let item = match item {
                Ok(item) => item,
                Err((id, why)) => return (id, Outcome::Failed(why)),
            };
            let outcome = mover.bring(&item).await;
            (item.id, outcome)
        });
        let mut moving = std::pin::pin!(moving.buffer_unordered(usize::from(parallel)));
        while let Some((id, outcome)) = moving.next().await {
            sum.count(&outcome);
            said.one(&id, &outcome);
        }
        sum
    }

    /// Reads every file, and tells what would be done.
    async fn rehearse(self, said: &Said) -> Result<Sum, String> {
        let done = journal::read(&self.state, &self.server.origin)?;
        let mut sum = Sum::default();
        for item in self.items {
            let (id, outcome) = match item {
                Err((id, why)) => (id, Outcome::Failed(why)),
                Ok(item) if done.done.contains_key(&item.id) => (item.id, Outcome::Already),
                Ok(item) => {
                    let seen = self.origin.look_at(&item).await;
                    let outcome = match seen {
                        Ok((file, _)) => Outcome::Imported { size: file.size },
                        Err(why) => Outcome::Failed(why),
                    };
                    said.would(&item, &outcome);
                    (item.id, outcome)
                }
            };
            sum.count(&outcome);
            if let Outcome::Failed(_) = &outcome {
                said.one(&id, &outcome);
            }
        }
        said.sum(&sum, "a rehearsal: nothing was changed");
        Ok(sum)
    }
}

/// Where what is fetched lies until it was sent: beside what was done.
fn beside_of(state: &Path) -> PathBuf {
    let beside = state.parent().filter(|folder| !folder.as_os_str().is_empty());
    beside.unwrap_or(Path::new(".")).to_path_buf()
}

/// What is said while it runs, and at its end.
struct Said {
    bar: ProgressBar,
    json: bool,
    quiet: bool,
}

impl Said {
    fn new(command: &ImportCommand, items: &[Result<Item, (String, String)>]) -> Self {
        let target = match command.json || command.quiet {
            true => ProgressDrawTarget::hidden(),
            // None where nobody looks: hidden unless it is a terminal.
            false => ProgressDrawTarget::stderr(),
        };
        let bar = ProgressBar::with_draw_target(u64::try_from(items.len()).ok(), target);
        if let Ok(style) =
            ProgressStyle::with_template("{pos} of {len} files  {wide_bar}  {elapsed} (about {eta} more)")
        {
            bar.set_style(style);
        }
        Self {
            bar,
            json: command.json,
            quiet: command.quiet,
        }
    }

    fn one(&self, id: &str, outcome: &Outcome) {
        self.bar.inc(1);
        self.bar.suspend(|| match (outcome, self.json) {
            (Outcome::NotTried, _) => {}
            (outcome, true) => print::line(outcome.told(id)),
            (Outcome::Failed(why), false) => print::problem(format_args!("{id}: {why}")),
            (Outcome::Imported { .. } | Outcome::Already, false) => {}
        });
    }

    fn would(&self, item: &Item, outcome: &Outcome) {
        if let Outcome::Imported { size } = outcome {
            match self.json {
                true => print::line(json!({ "status": "would import", "id": item.id, "size": size })),
                false if self.quiet => {}
                false => print::line(item.shown(*size)),
            }
        }
    }

    fn sum(&self, sum: &Sum, more: &str) {
        self.bar.finish_and_clear();
        let Sum {
            imported,
            already,
            failed,
            bytes,
        } = *sum;
        match self.json {
            true => print::line(
                json!({ "status": "done", "imported": imported, "already": already, "failed": failed,
                "bytes": bytes }),
            ),
            false => print::line(format_args!(
                "imported {imported} ({}), there already {already}, failed {failed}; {more}",
                shown_bytes(bytes)
            )),
        }
    }
}

impl Outcome {
    fn told(&self, id: &str) -> Value {
        match self {
            Self::Imported { size } => json!({ "status": "imported", "id": id, "size": size }),
            Self::Already => json!({ "status": "already", "id": id }),
            Self::Failed(why) => json!({ "status": "failed", "id": id, "error": why }),
            Self::NotTried => Value::Null,
        }
    }
}
