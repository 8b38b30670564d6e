//! `mc cp` and `mc mv`: which files and objects go where.

use std::collections::{BTreeSet, VecDeque};
use std::path::Path;

use clap::Args;
use time::OffsetDateTime;

use super::metadata::Wanted;
use super::moving::{apart, leads_into};
use super::{End, Job, Jobs, Ledger, Manner};
use crate::cli::mc::client::ClientError;
use crate::cli::mc::output::Failure;
use crate::cli::mc::place::{Place, base_name, below};
use crate::cli::mc::remove::Age;
use crate::cli::mc::shell::Shell;
use crate::cli::mc::walk::{Found, Walk, look};

#[derive(Debug, Args)]
pub(in crate::cli::mc) struct CpArgs {
    /// Folders, with everything below
    #[arg(long, short)]
    recursive: bool,
    #[command(flatten)]
    age: Age,
    #[command(flatten)]
    wanted: Wanted,
    /// Keep mode and time of files
    #[arg(long, short = 'a')]
    preserve: bool,
    #[arg(value_name = "SOURCE... TARGET", num_args = 2.., required = true)]
    places: Vec<String>,
}

pub(in crate::cli::mc) async fn run(shell: &Shell, mut args: CpArgs, moves: bool) -> Result<(), Failure> {
    let given = args.places.pop().unwrap_or_default();
    let unprepared = || Failure::fatal("Unable to prepare URL for copying.");
    let target = shell.place(&given)?;
    if let Place::Remote(remote) = &target
        && remote.bucket.is_empty()
    {
        return Err(unprepared().hint(format!("`{given}` names no bucket")));
    }
    let folder = is_folder(&target, &given)
        .await
        .map_err(|error| unprepared().because(&error))?;
    if args.places.len() > 1 && !folder {
        return Err(unprepared().hint(format!("Unable to guess the type of copy operation; several sources need a folder, and `{given}` is none: write `{given}/`")));
    }
    let mut plan = Plan {
        open: None,
        ready: VecDeque::new(),
        age: args.age,
        now: OffsetDateTime::now_utc(),
        shell,
    };
    let target = Target {
        place: target,
        given,
        folder,
    };
    let mut roots = VecDeque::new();
    for source in &args.places {
        roots.push_back(root(shell, source, &target, args.recursive).await?);
    }
    if moves {
        check_move(&roots, &plan.age, plan.now).await?;
    }
    let manner = Manner {
        wanted: args.wanted.with_attributes(args.preserve),
        moves,
        events: false,
    };
    let ledger = Ledger::new(shell);
    for root in roots {
        match root {
            Root::One(job, _) => plan.ready.push_back(job),
            Root::All(walk, source, ends) => {
                plan.open = Some((walk, source, ends));
                super::run(shell, &ledger, &manner, &mut plan).await?;
            }
        }
    }
    super::run(shell, &ledger, &manner, &mut plan).await?;
    ledger.close();
    Ok(())
}

/// Where things go.
struct Target {
    place: Place,
    given: String,
    folder: bool,
}

impl Target {
    /// The end for a name below the target.
    fn end(&self, name: &str) -> Result<End, ClientError> {
        match &self.place {
            Place::Local(path) => Ok(End::File {
                path: below(path, name)?,
                shown: joined(&self.given, name),
            }),
            Place::Remote(remote) => Ok(End::Object(remote.with_key(joined(&remote.key, name)))),
        }
    }

    /// The target itself.
    fn itself(&self) -> End {
        match &self.place {
            Place::Local(path) => End::File {
                path: path.clone(),
                shown: self.given.clone(),
            },
            Place::Remote(remote) => End::Object(remote.clone()),
        }
    }

    fn named(&self, name: &str) -> Result<End, ClientError> {
        if self.folder { self.end(name) } else { Ok(self.itself()) }
    }
}

fn joined(folder: &str, name: &str) -> String {
    if folder.is_empty() || folder.ends_with('/') {
        format!("{folder}{name}")
    } else {
        format!("{folder}/{name}")
    }
}

/// Whether a target takes things into it: by its name, or because it is there as one.
async fn is_folder(target: &Place, given: &str) -> Result<bool, ClientError> {
    match target {
        Place::Local(path) => Ok(given.ends_with('/') || path.is_dir()),
        Place::Remote(remote) if remote.is_folder_by_name() => Ok(true),
        Place::Remote(remote) => Ok(matches!(look(remote).await?, Found::Folder)),
    }
}

/// What one source asks for.
enum Root {
    /// With its name below the target.
    One(Job, String),
    All(Walk, Place, Ends),
}

impl Root {
    /// The name below the target, or what the names of many begin with.
    fn name(&self) -> &str {
        match self {
            Self::One(_, name) => name,
            Self::All(_, _, ends) => &ends.before,
        }
    }

    /// Whether something of both may come to have one name.
    fn may_meet(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::One(..), Self::One(..)) => self.name() == other.name(),
            (Self::All(..), Self::One(..)) => other.name().starts_with(self.name()),
            (Self::One(..), Self::All(..)) => self.name().starts_with(other.name()),
            (Self::All(..), Self::All(..)) => {
                self.name().starts_with(other.name()) || other.name().starts_with(self.name())
            }
        }
    }
}

/// Refuses, before anything is moved, what would be moved onto itself, and what would take the place of another thing that
/// is moved: of both, one would be lost.
async fn check_move(roots: &VecDeque<Root>, age: &Age, now: OffsetDateTime) -> Result<(), Failure> {
    let refused = |error: &ClientError| Failure::fatal("Nothing is moved.").because(error);
    for root in roots {
        match root {
            Root::One(job, _) => apart(&job.from, &job.to).await.map_err(|error| refused(&error))?,
            Root::All(_, source, ends) => {
                let to = ends.place();
                if leads_into(source, &to).map_err(|error| refused(&error))? {
                    let (from, to) = (source.shown(), to.shown());
                    let reason = format!("`{to}` is in `{from}`; nothing is moved onto itself or into itself");
                    return Err(Failure::fatal("Nothing is moved.").hint(reason));
                }
            }
        }
    }
    let mut taken = BTreeSet::new();
    for (at, root) in roots.iter().enumerate() {
        if !roots
            .iter()
            .enumerate()
            .any(|(i, other)| i != at && root.may_meet(other))
        {
            continue;
        }
        match root {
            Root::One(_, name) => take(&mut taken, name.clone())?,
            Root::All(_, source, ends) => {
                let mut walk = Walk::below(source);
                while let Some(entry) = walk.next().await.map_err(|error| refused(&error))? {
                    if !entry.name.is_empty() && age.wants(entry.modified, now) {
                        take(&mut taken, format!("{}{}", ends.before, entry.name))?;
                    }
                }
            }
        }
    }
    Ok(())
}

fn take(taken: &mut BTreeSet<String>, name: String) -> Result<(), Failure> {
    let reason = format!("several sources would become `{name}`, and only the last of them would be left");
    match taken.insert(name) {
        true => Ok(()),
        false => Err(Failure::fatal("Nothing is moved.").hint(reason)),
    }
}

/// Where the things of a walk go: below the target, behind this name.
struct Ends {
    target: Target,
    before: String,
}

impl Ends {
    /// The folder they are in.
    fn place(&self) -> Place {
        match &self.target.place {
            Place::Local(path) => Place::Local(path.join(&self.before)),
            Place::Remote(remote) => Place::Remote(remote.with_key(joined(&remote.key, &self.before))),
        }
    }
}

async fn root(shell: &Shell, given: &str, target: &Target, recursive: bool) -> Result<Root, Failure> {
    let unprepared = || Failure::fatal("Unable to prepare URL for copying.");
    let guess = || unprepared().hint("Unable to guess the type of copy operation.");
    let need_flag = || unprepared().hint(format!("To copy or move '{given}' the --recursive flag is required."));
    let place = shell.place(given)?;
    let (is_folder, size) = match &place {
        Place::Local(path) => {
            let meta =
                std::fs::metadata(path).map_err(|_| guess().hint(format!("`{}` is not there", path.display())))?;
            (meta.is_dir(), meta.len())
        }
        Place::Remote(remote) if remote.bucket.is_empty() => {
            return Err(guess().hint(format!("`{given}` names no bucket")));
        }
        Place::Remote(remote) => match look(remote).await.map_err(|error| unprepared().because(&error))? {
            Found::Nothing => {
                return Err(guess().hint(format!(
                    "Unable to guess the type of copy operation; `{given}` does not exist"
                )));
            }
            Found::Folder => (true, 0),
            Found::Object => {
                let stat = remote.client.stat(&remote.bucket, &remote.key).await;
                (false, stat.map_err(|error| unprepared().because(&error))?.size)
            }
        },
    };
    let base = base_name(given);
    if !is_folder {
        let from = end_of(&place);
        let to = if recursive {
            target.end(base)
        } else {
            target.named(base)
        };
        let to = to.map_err(|error| unprepared().because(&error))?;
        return Ok(Root::One(Job { from, to, size }, base.to_owned()));
    }
    if !recursive {
        return Err(need_flag());
    }
    // `a/` stands for what is in it, `a` for the folder itself; a whole bucket is what is in it.
    let whole = matches!(&place, Place::Remote(remote) if remote.key.is_empty());
    let before = if given.ends_with('/') || whole || base.is_empty() || base == "." || base == ".." {
        String::new()
    } else {
        format!("{base}/")
    };
    let ends = Ends {
        target: Target {
            place: target.place.clone(),
            given: target.given.clone(),
            folder: true,
        },
        before,
    };
    Ok(Root::All(Walk::below(&place), place, ends))
}

fn end_of(place: &Place) -> End {
    match place {
        Place::Local(path) => local_end(path),
        Place::Remote(remote) => End::Object(remote.clone()),
    }
}

fn local_end(path: &Path) -> End {
    End::File {
        path: path.to_path_buf(),
        shown: path.display().to_string(),
    }
}

/// Jobs, found while the first of them run.
struct Plan<'a> {
    open: Option<(Walk, Place, Ends)>,
    ready: VecDeque<Job>,
    age: Age,
    now: OffsetDateTime,
    shell: &'a Shell,
}

impl Jobs for Plan<'_> {
    async fn next(&mut self) -> Result<Option<Job>, Failure> {
        if let Some(job) = self.ready.pop_front() {
            return Ok(Some(job));
        }
        while let Some((walk, source, ends)) = &mut self.open {
            let failed =
                |error: &ClientError| Failure::fatal(format!("Unable to list `{}`.", source.shown())).because(error);
            let Some(entry) = walk.next().await.map_err(|error| failed(&error))? else {
                self.open = None;
                continue;
            };
            if entry.name.is_empty() || !self.age.wants(entry.modified, self.now) {
                continue;
            }
            let from = match &*source {
                Place::Local(_) => local_end(Path::new(&entry.full)),
                Place::Remote(remote) => End::Object(remote.with_key(&entry.full)),
            };
            match ends.target.end(&format!("{}{}", ends.before, entry.name)) {
                Ok(to) => {
                    let size = entry.size;
                    return Ok(Some(Job { from, to, size }));
                }
                Err(error) => self
                    .shell
                    .report(&Failure::error(format!("Failed to copy `{}`.", from.shown())).because(&error)),
            }
        }
        Ok(None)
    }
}
