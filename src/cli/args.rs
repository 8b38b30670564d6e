//! The command line, as clap reads it, and the names under which the binary may be called. Pure.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand};

use super::call::Trust;
use super::export::{ExportArgs, ExportCommand};
use super::import::{ImportArgs, ImportCommand};
use super::projects::{AppVerb, IssuerVerb, KeyVerb, ProjectVerb};
use super::visibility::VisibilityVerb;
use crate::config::client::AdminArgs;
use crate::config::{EllipsesError, Secret, ServerArgs, expand};
use crate::images::worker::WorkerLimits;

/// What the command line asks for.
#[derive(Debug)]
pub enum Command {
    Server(ServerArgs),
    /// Its arguments, which the client reads by itself; the first is a name of the program.
    Mc(Vec<OsString>),
    Admin(AdminCommand),
    Visibility(VisibilityCommand),
    Apps(AppsCommand),
    Import(Box<ImportCommand>),
    Export(Box<ExportCommand>),
    Inspect(InspectCommand),
    Salvage(SalvageCommand),
    /// A process that the server starts for itself.
    ImageWorker(WorkerLimits),
}

/// What can still be had from raw drives, copied elsewhere.
#[derive(Debug)]
pub struct SalvageCommand {
    pub to: PathBuf,
    paths: Vec<String>,
    pub json: bool,
}

impl SalvageCommand {
    /// The drives' paths, with `{1...4}` spelled out.
    pub fn paths(&self) -> Result<Vec<PathBuf>, EllipsesError> {
        spelled_out(&self.paths)
    }
}

fn spelled_out(paths: &[String]) -> Result<Vec<PathBuf>, EllipsesError> {
    let expanded = paths.iter().map(|path| expand(path)).collect::<Result<Vec<_>, _>>()?;
    Ok(expanded.into_iter().flatten().map(PathBuf::from).collect())
}

/// A look at raw drives.
#[derive(Debug)]
pub struct InspectCommand {
    pub verb: InspectVerb,
    pub json: bool,
}

impl InspectCommand {
    /// The drives' paths, with `{1...4}` spelled out.
    pub fn paths(&self) -> Result<Vec<PathBuf>, EllipsesError> {
        let (InspectVerb::Store { paths }
        | InspectVerb::Segment { paths, .. }
        | InspectVerb::Frame { paths, .. }
        | InspectVerb::Object { paths, .. }) = &self.verb;
        spelled_out(paths)
    }
}

/// A question to a running server.
#[derive(Debug)]
pub struct AdminCommand {
    pub server: AdminArgs,
    pub trust: Option<Trust>,
    pub verb: AdminVerb,
    pub json: bool,
}

/// A question to a running server about visibility.
#[derive(Debug)]
pub struct VisibilityCommand {
    pub server: AdminArgs,
    pub trust: Option<Trust>,
    pub verb: VisibilityVerb,
    pub json: bool,
}

/// A question to a running server about the apps that use it.
#[derive(Debug)]
pub struct AppsCommand {
    pub server: AdminArgs,
    pub trust: Option<Trust>,
    pub verb: AppVerb,
    pub json: bool,
}

/// Drystone: a self-hosted, S3-compatible object store in one binary.
#[derive(Debug, Parser)]
#[command(
    name = "drystone",
    version,
    arg_required_else_help = true,
    disable_help_subcommand = true
)]
struct Root {
    #[command(flatten)]
    shared: Shared,
    #[command(subcommand)]
    verb: Verb,
}

/// Flags that MinIO takes before and after the command.
#[derive(Debug, Args)]
struct Shared {
    /// Folder with public.crt and private.key; TLS is on when both are there
    #[arg(long, short = 'S', value_name = "DIR", global = true)]
    certs_dir: Option<PathBuf>,
    /// JSON, one object a line
    #[arg(long, global = true)]
    json: bool,
    /// No banner
    #[arg(long, global = true)]
    quiet: bool,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run the store on these drives
    Server(Server),
    /// mc-compatible client
    #[command(disable_help_flag = true)]
    Mc {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENT")]
        arguments: Vec<OsString>,
    },
    /// Look after a running store
    Admin(Admin),
    /// Who may read an object, or put it, without a policy
    Visibility(Visibility),
    /// Apps that use the store, each with its environments
    Project(Asked<ProjectVerb>),
    /// Keys that the clients and servers of an app bring
    Key(Asked<KeyVerb>),
    /// Who vouches for the users of an app
    Issuer(Asked<IssuerVerb>),
    /// Bring files that are elsewhere into an app, with what is known of them
    Import(Box<ImportArgs>),
    /// Take the files of an app out, into a folder with a list that import reads
    Export(Box<ExportArgs>),
    /// Look at the raw drives of a store, running or not; reads only
    #[command(subcommand)]
    Inspect(InspectVerb),
    /// Copy what can still be read from the raw drives of a stopped store to a folder, when the store itself cannot be
    /// made to serve it; writes nothing to the drives
    Salvage {
        /// Where to: a folder that is empty or not there yet, on another disk
        #[arg(long, value_name = "DIR")]
        to: PathBuf,
        /// Drives, as many as there are left; /data{1...4} names four
        #[arg(value_name = "PATH", required = true)]
        paths: Vec<String>,
    },
    /// Makes images for the server that started it
    #[command(hide = true)]
    ImageWorker(ImageWorker),
}

/// What an image worker may use.
#[derive(Debug, Args)]
struct ImageWorker {
    #[arg(long)]
    address_space_bytes: u64,
    #[arg(long)]
    cpu_seconds: u64,
    #[arg(long)]
    pixels: u64,
}

impl ImageWorker {
    fn limits(&self) -> WorkerLimits {
        WorkerLimits {
            address_space_bytes: self.address_space_bytes,
            cpu_seconds: self.cpu_seconds,
            pixels: self.pixels,
        }
    }
}

/// What to look at on raw drives.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum InspectVerb {
    /// The roots: drives, members, log segments and checkpoints
    Store {
        /// Drives; /data{1...4} names four
        #[arg(value_name = "PATH", required = true)]
        paths: Vec<String>,
    },
    /// Every shard file of a segment: header, frames, and which of them are damaged
    Segment {
        /// Show the good frames, too
        #[arg(long)]
        frames: bool,
        #[arg(value_name = "SEGMENT-ID")]
        id: String,
        #[arg(value_name = "PATH", required = true)]
        paths: Vec<String>,
    },
    /// The frames at one offset of a segment
    Frame {
        #[arg(value_name = "SEGMENT-ID")]
        id: String,
        #[arg(value_name = "OFFSET")]
        offset: u64,
        #[arg(value_name = "PATH", required = true)]
        paths: Vec<String>,
    },
    /// Where an object's bytes lie, and whether every shard of them is good
    Object {
        #[arg(value_name = "BUCKET/KEY")]
        object: String,
        #[arg(value_name = "PATH", required = true)]
        paths: Vec<String>,
    },
}

#[derive(Debug, Args)]
struct Admin {
    #[command(flatten)]
    reach: Reach,
    #[command(subcommand)]
    verb: AdminVerb,
}

#[derive(Debug, Args)]
struct Visibility {
    #[command(flatten)]
    reach: Reach,
    #[command(subcommand)]
    verb: VisibilityVerb,
}

#[derive(Debug, Args)]
struct Asked<V: Subcommand> {
    #[command(flatten)]
    reach: Reach,
    #[command(subcommand)]
    verb: V,
}

/// Which server to ask, and as whom.
#[derive(Debug, Args)]
struct Reach {
    /// URL of the server [default: http://localhost:9000; or set DRYSTONE_ENDPOINT]
    #[arg(long, value_name = "URL", global = true)]
    endpoint: Option<String>,
    /// [or set MINIO_ROOT_USER]
    #[arg(long, value_name = "KEY", global = true)]
    access_key: Option<String>,
    /// [better: set MINIO_ROOT_PASSWORD, or MINIO_ROOT_PASSWORD_FILE: others on this machine can see arguments]
    #[arg(long, value_name = "SECRET", global = true)]
    secret_key: Option<String>,
    /// Certificates that the server's must be one of, or be signed by
    #[arg(long, value_name = "PEM-FILE", global = true)]
    cacert: Option<PathBuf>,
    /// Accept any TLS certificate; one of this machine's own is always accepted
    #[arg(long, global = true, conflicts_with = "cacert")]
    insecure: bool,
}

impl Reach {
    fn split(self) -> (AdminArgs, Option<Trust>) {
        let server = AdminArgs {
            endpoint: self.endpoint,
            access_key: self.access_key,
            secret_key: self.secret_key.map(Secret::new),
        };
        let trust = match self.cacert {
            Some(file) => Some(Trust::File(file)),
            None => self.insecure.then_some(Trust::Any),
        };
        (server, trust)
    }
}

/// What to ask of a running server.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum AdminVerb {
    /// The store, its drives, and what is wrong with them
    Info,
    /// The drives
    #[command(subcommand)]
    Drive(DriveVerb),
    /// Healing: what is missing, what is made anew
    #[command(subcommand)]
    Heal(HealVerb),
    /// Verifying all that is stored
    #[command(subcommand)]
    Scrub(ScrubVerb),
    /// Moving data from fuller to emptier drives
    #[command(subcommand)]
    Rebalance(RebalanceVerb),
    /// How many drives new data can lose
    #[command(subcommand)]
    Parity(ParityVerb),
    /// The index, which is made from what the drives hold
    #[command(subcommand)]
    Index(IndexVerb),
}

/// What to ask about the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Subcommand)]
pub enum IndexVerb {
    /// Compare it with what checkpoint and log say, beside everything else that goes on
    Verify,
    /// Make it anew; meanwhile every request is told to come again
    Rebuild,
}

/// What to ask about the rebalance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Subcommand)]
pub enum RebalanceVerb {
    /// Begin; it ends by itself
    Start {
        /// How much drives may differ in the end, of how full they are on average
        #[arg(long, value_name = "PERCENT", default_value_t = 10)]
        percent: u8,
        /// Show how far it is until it has ended
        #[arg(long)]
        wait: bool,
    },
    /// How it stands
    Status,
    /// End it where it is
    Stop,
}

/// What to ask about parity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Subcommand)]
pub enum ParityVerb {
    /// Parity of what is written from now on; what is stored keeps its own
    Set {
        #[arg(value_name = "SHARDS")]
        parity: u8,
    },
}

/// What to ask about healing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Subcommand)]
pub enum HealVerb {
    /// How it stands
    Status,
    /// Look through the store and heal now, not when it is time
    Start,
}

/// What to ask about verifying.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Subcommand)]
pub enum ScrubVerb {
    /// How far each drive is
    Status,
    /// Verify every file of every drive now
    Start,
}

/// What to ask about drives.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum DriveVerb {
    /// Every drive: state, path, space, and why it is not in
    #[command(visible_alias = "ls")]
    List,
    /// What is moved between drives, and how far it is
    Status,
    /// Take empty directories of the server's machine in as new drives
    Add {
        /// Whole paths; /data{9...12} names four
        #[arg(value_name = "PATH", required = true)]
        paths: Vec<String>,
        /// Also if they look like mount points whose drives are not mounted
        #[arg(long)]
        force: bool,
    },
    /// Move all that a drive holds to the others; it gets nothing new
    Drain {
        /// Id or path
        #[arg(value_name = "DRIVE")]
        drive: String,
        /// Show how far it is until the drive holds nothing
        #[arg(long)]
        wait: bool,
    },
    /// Take a drain back; what was moved stays moved
    #[command(visible_alias = "undrain")]
    Keep {
        /// Id or path
        #[arg(value_name = "DRIVE")]
        drive: String,
    },
    /// Take a drive out of the store for good, once it holds nothing
    Remove {
        /// Id or path
        #[arg(value_name = "DRIVE")]
        drive: String,
        /// It is away and never comes back: what it held is made anew from the others
        #[arg(long)]
        lost: bool,
    },
    /// Put a new, empty drive at another path in the place of one
    Replace {
        /// Id or path
        #[arg(value_name = "DRIVE")]
        drive: String,
        #[arg(value_name = "PATH")]
        path: String,
        /// The old one is away and never comes back
        #[arg(long)]
        lost: bool,
        /// Also if the new one looks like a mount point whose drive is not mounted
        #[arg(long)]
        force: bool,
        /// Show how far it is until the old drive holds nothing
        #[arg(long)]
        wait: bool,
    },
}

#[derive(Debug, Args)]
struct Server {
    /// Drives: one directory each; /data{1...4} names four [or set MINIO_VOLUMES]
    #[arg(value_name = "PATH")]
    paths: Vec<String>,
    /// Address to listen on [default: :9000; 127.0.0.1:9000 when no credentials are set]
    #[arg(long, value_name = "HOST:PORT")]
    address: Option<String>,
    /// Address of the web console, which is not built yet; it serves one page that says so
    #[arg(long, value_name = "HOST:PORT")]
    console_address: Option<String>,
    /// Folder of the index [default: on the first usable drive]
    #[arg(long, value_name = "DIR")]
    index_dir: Option<PathBuf>,
    /// Take an empty drive as the replacement of one that is gone for good
    #[arg(long)]
    adopt: bool,
    /// Take empty directories at paths where the store never had a drive in as new drives
    #[arg(long)]
    add_drives: bool,
}

/// Reads a command line whose first argument is the name the program was called by.
pub fn parse(mut arguments: Vec<OsString>) -> Result<Command, clap::Error> {
    let called = arguments
        .first()
        .map(Path::new)
        .and_then(Path::file_name)
        .map(OsString::from)
        .unwrap_or_default();
    if called == "mc" {
        return Ok(Command::Mc(arguments));
    }
    // Compose files for MinIO's image may begin with the program's name: `command: minio server /data`.
    if arguments
        .get(1)
        .is_some_and(|first| first == "minio" || first == "drystone")
    {
        arguments.remove(1);
    }
    // Its flags are its own, also those that the server has, too.
    if arguments.get(1).is_some_and(|verb| verb == "mc") {
        return Ok(Command::Mc(arguments.split_off(1)));
    }
    Ok(command_of(Root::try_parse_from(arguments)?))
}

fn command_of(root: Root) -> Command {
    match root.verb {
        Verb::Server(server) => Command::Server(ServerArgs {
            paths: server.paths,
            address: server.address,
            console_address: server.console_address,
            certs_dir: root.shared.certs_dir,
            index_dir: server.index_dir,
            adopt: server.adopt,
            add_drives: server.add_drives,
            json: root.shared.json,
            quiet: root.shared.quiet,
        }),
        Verb::Mc { arguments } => {
            let flags = [("--json", root.shared.json), ("--quiet", root.shared.quiet)];
            let flags = flags.into_iter().filter_map(|(flag, given)| given.then_some(flag));
            let words = std::iter::once("mc").chain(flags).map(OsString::from);
            Command::Mc(words.chain(arguments).collect())
        }
        Verb::Inspect(verb) => Command::Inspect(InspectCommand {
            verb,
            json: root.shared.json,
        }),
        Verb::Salvage { to, paths } => Command::Salvage(SalvageCommand {
            to,
            paths,
            json: root.shared.json,
        }),
        Verb::ImageWorker(worker) => Command::ImageWorker(worker.limits()),
        Verb::Admin(Admin { reach, verb }) => {
            let (server, trust) = reach.split();
            Command::Admin(AdminCommand {
                server,
                trust,
                verb,
                json: root.shared.json,
            })
        }
        Verb::Project(Asked { reach, verb }) => apps(reach, AppVerb::Project(verb), root.shared.json),
        Verb::Key(Asked { reach, verb }) => apps(reach, AppVerb::Key(verb), root.shared.json),
        Verb::Issuer(Asked { reach, verb }) => apps(reach, AppVerb::Issuer(verb), root.shared.json),
        Verb::Import(args) => Command::Import(Box::new(ImportCommand {
            args: *args,
            json: root.shared.json,
            quiet: root.shared.quiet,
        })),
        Verb::Export(args) => Command::Export(Box::new(ExportCommand {
            args: *args,
            json: root.shared.json,
            quiet: root.shared.quiet,
        })),
        Verb::Visibility(Visibility { reach, verb }) => {
            let (server, trust) = reach.split();
            Command::Visibility(VisibilityCommand {
                server,
                trust,
                verb,
                json: root.shared.json,
            })
        }
    }
}

fn apps(reach: Reach, verb: AppVerb, json: bool) -> Command {
    let (server, trust) = reach.split();
    Command::Apps(AppsCommand {
        server,
        trust,
        verb,
        json,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(line: &str) -> Result<Command, clap::Error> {
        parse(line.split_whitespace().map(OsString::from).collect())
    }

    fn server(line: &str) -> ServerArgs {
        match command(line).unwrap() {
            Command::Server(args) => args,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_server_line_of_minio_is_understood() {
        let args = server("drystone server /data{1...4} --console-address :9001 --address :9000 --json --quiet");
        assert_eq!(args.paths, ["/data{1...4}"]);
        assert_eq!(args.address.as_deref(), Some(":9000"));
        assert_eq!(args.console_address.as_deref(), Some(":9001"));
        assert!(args.json && args.quiet && !args.adopt);
        for line in [
            "drystone minio server /data",
            "/usr/bin/minio server /data",
            "drystone drystone server /data",
            "drystone --json server /data",
        ] {
            assert_eq!(server(line).paths, ["/data"], "{line}");
        }
        let args = server("minio -S /certs server --index-dir /i --adopt /a /b");
        assert_eq!(
            (args.certs_dir, args.index_dir),
            (Some("/certs".into()), Some("/i".into()))
        );
        assert_eq!(args.paths, ["/a", "/b"]);
        assert!(args.adopt);
    }

    #[test]
    fn an_unknown_flag_is_refused_with_its_name() {
        let error = command("drystone server /data --ftp=address=:8021").unwrap_err();
        assert!(error.use_stderr() && error.to_string().contains("--ftp"), "{error}");
        assert!(command("drystone").unwrap_err().use_stderr());
        assert!(command("drystone serve /data").unwrap_err().use_stderr());
        assert!(!command("drystone --version").unwrap_err().use_stderr());
    }

    #[test]
    fn the_client_reads_its_arguments_by_itself() {
        for (line, read) in [
            ("mc ls -r x", "mc ls -r x"),
            ("/usr/bin/mc --json alias list", "/usr/bin/mc --json alias list"),
            ("drystone mc --json cp --recursive a b", "mc --json cp --recursive a b"),
            ("drystone mc --help", "mc --help"),
            ("drystone --json mc ls x", "mc --json ls x"),
        ] {
            match command(line).unwrap() {
                Command::Mc(arguments) => assert_eq!(arguments.join(std::ffi::OsStr::new(" ")), read),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn an_inspect_line_names_what_to_look_at_and_the_drives() {
        let inspect = |line: &str| match command(line).unwrap() {
            Command::Inspect(command) => command,
            other => panic!("{other:?}"),
        };
        let asked = inspect("drystone inspect object b/k/l /data{1...2} /x --json");
        assert!(asked.json && matches!(&asked.verb, InspectVerb::Object { object, .. } if object == "b/k/l"));
        let paths = asked.paths().unwrap();
        assert_eq!(
            paths,
            [PathBuf::from("/data1"), PathBuf::from("/data2"), PathBuf::from("/x")]
        );
        assert!(matches!(
            inspect("drystone inspect frame id 4096 /x").verb,
            InspectVerb::Frame { offset: 4096, .. }
        ));
        for line in [
            "drystone inspect",
            "drystone inspect store",
            "drystone inspect frame id x /x",
        ] {
            assert!(command(line).unwrap_err().use_stderr(), "{line}");
        }
    }

    #[test]
    fn a_salvage_line_names_the_drives_and_where_to() {
        let asked = match command("drystone salvage --to /out /data{1...2} /x --json").unwrap() {
            Command::Salvage(command) => command,
            other => panic!("{other:?}"),
        };
        assert!(asked.json && asked.to == Path::new("/out"));
        let paths = asked.paths().unwrap();
        assert_eq!(
            paths,
            [PathBuf::from("/data1"), PathBuf::from("/data2"), PathBuf::from("/x")]
        );
        for line in ["drystone salvage /x", "drystone salvage --to /out"] {
            assert!(command(line).unwrap_err().use_stderr(), "{line}");
        }
    }

    #[test]
    fn an_admin_line_names_server_caller_and_verb_in_any_order() {
        let admin = |line: &str| match command(line).unwrap() {
            Command::Admin(command) => command,
            other => panic!("{other:?}"),
        };
        let asked = admin("drystone admin info --json --endpoint http://x:1");
        assert_eq!((asked.verb, asked.json, asked.trust), (AdminVerb::Info, true, None));
        assert_eq!(asked.server.endpoint.as_deref(), Some("http://x:1"));
        let asked = admin("drystone admin --cacert /c drive list --access-key a --secret-key b");
        assert_eq!(asked.verb, AdminVerb::Drive(DriveVerb::List));
        assert_eq!(asked.trust, Some(Trust::File("/c".into())));
        assert!(!format!("{asked:?}").contains("\"b\""), "a secret in {asked:?}");
        assert_eq!(admin("drystone admin drive ls --insecure").trust, Some(Trust::Any));
        let drive = |line: &str| match admin(line).verb {
            AdminVerb::Drive(verb) => verb,
            other => panic!("{other:?}"),
        };
        let added = drive("drystone admin drive add /data{9...10} --force");
        assert!(matches!(added, DriveVerb::Add { paths, force: true } if paths == ["/data{9...10}"]));
        let (one, other) = ("drystone admin drive undrain /d1", "drystone admin drive keep /d1");
        assert_eq!(drive(one), drive(other));
        let removed = drive("drystone admin drive remove /d1");
        assert!(matches!(removed, DriveVerb::Remove { lost: false, .. }));
        let started = admin("drystone admin rebalance start").verb;
        let expected = RebalanceVerb::Start {
            percent: 10,
            wait: false,
        };
        assert_eq!(started, AdminVerb::Rebalance(expected));
        for line in [
            "drystone admin",
            "drystone admin nothing",
            "drystone admin drive add",
            "drystone admin drive replace /d1",
            "drystone admin parity set two",
            "drystone admin drive list --insecure --cacert x",
        ] {
            assert!(command(line).unwrap_err().use_stderr(), "{line}");
        }
    }
}
