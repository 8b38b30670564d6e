//! The `mc`-compatible client: MinIO's words and flags over a small S3 client of our own.
//!
//! One file for each family of verbs; `shell` is what they stand on, `client` the only one that sends anything. A flag
//! that is not built is refused by its name, never ignored.

mod admin;
mod alias;
mod anonymous;
mod bucket;
mod client;
mod compare;
mod diff;
mod find;
mod folder_watch;
mod interrupt;
mod list;
mod not_built;
mod output;
mod ping;
mod place;
mod read;
mod ready;
mod remove;
mod settings;
mod share;
mod shell;
mod stat;
mod transfer;
mod usage;
mod walk;
mod watch;

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};

use crate::cli::print;
use crate::config::Vars;
use interrupt::{Ended, conduct};
use output::{Failure, Output};
use shell::{General, Shell};
use transfer::{copy, mirror, single};

/// mc-compatible client.
#[derive(Debug, Parser)]
#[command(name = "mc", version, disable_help_subcommand = true, arg_required_else_help = true)]
struct Root {
    #[command(flatten)]
    general: General,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Servers by name
    #[command(subcommand)]
    Alias(alias::AliasVerb),
    /// Show buckets, objects and files
    Ls(list::LsArgs),
    /// Make buckets
    Mb(bucket::MbArgs),
    /// Remove buckets
    Rb(bucket::RbArgs),
    /// Copy files and objects
    Cp(copy::CpArgs),
    /// Move files and objects
    Mv(copy::CpArgs),
    /// Upload one file
    Put(single::PutArgs),
    /// Download one object
    Get(single::GetArgs),
    /// Upload standard input
    Pipe(single::PipeArgs),
    /// Show what is in objects and files
    Cat(read::CatArgs),
    /// Show their first lines
    Head(read::HeadArgs),
    /// Remove objects
    Rm(remove::RmArgs),
    /// Show what is known of buckets, objects and files
    Stat(stat::StatArgs),
    /// Look for objects and files
    Find(find::FindArgs),
    /// Show folders as a tree
    Tree(usage::TreeArgs),
    /// How much is below
    Du(usage::DuArgs),
    /// Show how two folders differ
    Diff(diff::DiffArgs),
    /// Make a folder or bucket hold what another holds
    Mirror(mirror::MirrorArgs),
    /// Let others in for a while
    #[command(subcommand)]
    Share(share::ShareVerb),
    /// Tags of buckets and objects
    #[command(subcommand)]
    Tag(settings::TagVerb),
    /// Whose pages may use a bucket from a browser
    #[command(subcommand)]
    Cors(settings::CorsVerb),
    /// Versions of objects
    #[command(subcommand)]
    Version(settings::VersionVerb),
    /// How much a bucket may hold
    #[command(subcommand)]
    Quota(settings::QuotaVerb),
    /// What happens to objects or files, while it does
    Watch(watch::WatchArgs),
    /// A look into a server at work
    #[command(subcommand)]
    Support(SupportVerb),
    /// Whether servers are alive
    Ping(ping::PingArgs),
    /// What everybody may do without credentials
    #[command(subcommand)]
    Anonymous(anonymous::AnonymousVerb),
    /// Look after a server
    #[command(subcommand)]
    Admin(admin::AdminVerb),
    /// Wait until a server can take requests
    Ready(ready::ReadyArgs),
    #[command(external_subcommand)]
    Other(Vec<OsString>),
}

#[derive(Debug, Subcommand)]
enum SupportVerb {
    /// What takes the most
    #[command(subcommand)]
    Top(Box<admin::TopVerb>),
    #[command(external_subcommand)]
    Other(Vec<OsString>),
}

/// Runs one command of the client; the first argument is a name of the program.
pub fn run(arguments: Vec<OsString>) -> ExitCode {
    let verbs = arguments.len() > 1;
    let root = match Root::try_parse_from(arguments) {
        Ok(root) => root,
        Err(error) => {
            // Help and version are errors to clap, and success to whoever asked.
            // A group of verbs without a verb is a question for help, too.
            if verbs && error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
                print::line(error.render());
                return ExitCode::SUCCESS;
            }
            if let Some(failure) = not_built::flag(&error) {
                Output::default().fail(&failure);
                return ExitCode::FAILURE;
            }
            let failed = error.use_stderr();
            drop(error.print());
            return if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS };
        }
    };
    let shell = Arc::new(Shell::new(root.general, Vars::of_process()));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_all()
        .build();
    let ended = match runtime {
        Ok(runtime) => {
            let (its_shell, verb) = (Arc::clone(&shell), root.verb);
            conduct(runtime, &shell, || async move { dispatch(&its_shell, verb).await })
        }
        Err(error) => Ended::Done(Err(Failure::fatal("Unable to start.").because(&error.into()))),
    };
    match ended {
        Ended::Done(Ok(())) => {}
        Ended::Done(Err(failure)) => shell.report(&failure),
        Ended::Interrupted(code) => return ExitCode::from(code),
    }
    if shell.has_failed() {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

async fn dispatch(shell: &Shell, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Alias(verb) => alias::run(shell, verb).await,
        Verb::Ls(args) => list::run(shell, args).await,
        Verb::Mb(args) => bucket::make(shell, args).await,
        Verb::Rb(args) => bucket::remove(shell, args).await,
        Verb::Cp(args) => copy::run(shell, args, false).await,
        Verb::Mv(args) => copy::run(shell, args, true).await,
        Verb::Put(args) => single::put(shell, args).await,
        Verb::Get(args) => single::get(shell, args).await,
        Verb::Pipe(args) => single::pipe(shell, args).await,
        Verb::Cat(args) => read::cat(shell, args).await,
        Verb::Head(args) => read::head(shell, args).await,
        Verb::Rm(args) => remove::run(shell, args).await,
        Verb::Stat(args) => stat::run(shell, args).await,
        Verb::Find(args) => find::run(shell, args).await,
        Verb::Tree(args) => usage::tree(shell, args).await,
        Verb::Du(args) => usage::du(shell, args).await,
        Verb::Diff(args) => diff::run(shell, args).await,
        Verb::Mirror(args) => mirror::run(shell, args).await,
        Verb::Share(verb) => share::run(shell, verb).await,
        Verb::Tag(verb) => settings::tag(shell, verb).await,
        Verb::Cors(verb) => settings::cors(shell, verb).await,
        Verb::Version(verb) => settings::version(shell, verb).await,
        Verb::Quota(verb) => settings::quota(shell, verb).await,
        Verb::Watch(args) => watch::run(shell, &args).await,
        Verb::Support(SupportVerb::Top(verb)) => admin::top(shell, *verb).await,
        Verb::Support(SupportVerb::Other(words)) => Err(not_built::support(&words)),
        Verb::Ping(args) => ping::run(shell, args).await,
        Verb::Anonymous(verb) => anonymous::run(shell, verb).await,
        Verb::Admin(verb) => admin::run(shell, verb).await,
        Verb::Ready(args) => ready::run(shell, args).await,
        Verb::Other(arguments) => Err(not_built::verb(&arguments)),
    }
}
