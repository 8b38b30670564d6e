//! What every test stands on: a fresh folder, four fresh drives, a running server, and a client's environment.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use compat_tests::clients::Client;
use compat_tests::process::{Output, run, run_any};
use compat_tests::server::{ACCESS_KEY, SECRET_KEY, Server, Setup, keep_log};
use tokio::runtime::Runtime;

/// The longest a single command of a client may take.
pub(crate) const LIMIT: Duration = Duration::from_secs(600);

/// What must be fetched before a test can run.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Needs {
    /// Nothing but the server.
    Nothing,
    /// This client.
    Client(Client),
    /// These clients; the program of the first is the stage's.
    Clients(&'static [Client]),
    /// Loop-mounted images for drives.
    Mounts,
    /// strace, and that it may trace.
    Strace,
}

impl Needs {
    /// The clients among it.
    pub(crate) fn clients(&self) -> &[Client] {
        match self {
            Self::Client(client) => std::slice::from_ref(client),
            Self::Clients(clients) => clients,
            Self::Nothing | Self::Mounts | Self::Strace => &[],
        }
    }
}

/// One test: a name, what it needs, and what it does on its stage.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Test {
    pub(crate) name: &'static str,
    pub(crate) needs: Needs,
    pub(crate) play: fn(&mut Stage) -> Result<()>,
}

impl Test {
    pub(crate) fn with(client: Client, name: &'static str, play: fn(&mut Stage) -> Result<()>) -> Self {
        Self {
            name,
            needs: Needs::Client(client),
            play,
        }
    }

    pub(crate) fn with_all(clients: &'static [Client], name: &'static str, play: fn(&mut Stage) -> Result<()>) -> Self {
        Self {
            name,
            needs: Needs::Clients(clients),
            play,
        }
    }

    pub(crate) fn alone(name: &'static str, play: fn(&mut Stage) -> Result<()>) -> Self {
        Self {
            name,
            needs: Needs::Nothing,
            play,
        }
    }
}

/// A test's own world, gone when the test ends.
pub(crate) struct Stage {
    /// The client's program, as fetched.
    pub(crate) program: PathBuf,
    /// A folder for the test's own files.
    pub(crate) files: PathBuf,
    /// How the server is started.
    pub(crate) setup: Setup,
}

/// What the suite's own client runs on.
pub(crate) fn runtime() -> Result<Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?)
}

/// Plays a test on a fresh stage; a failure carries the end of the server's log.
pub(crate) fn run_on_stage(test: &Test, program: &Path) -> Result<()> {
    let folder = tempfile::Builder::new().prefix("drystone-compat-").tempdir()?;
    let files = folder.path().join("files");
    fs::create_dir(&files)?;
    let setup = Setup::fresh(folder.path())?;
    let mut stage = Stage {
        program: program.to_path_buf(),
        files,
        setup,
    };
    let played = (test.play)(&mut stage);
    if stage.setup.log().exists() {
        keep_log(&stage.setup, test.name)?;
    }
    played.map_err(|error| anyhow!("{error:#}\nthe server said at the end:\n{}", stage.setup.log_tail()))
}

impl Stage {
    /// Starts the server of this stage.
    pub(crate) fn start(&self) -> Result<Server> {
        self.setup.start()
    }

    /// A command with nothing of the caller's cloud configuration and with the store's credentials where AWS tools look.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        for (name, _) in std::env::vars() {
            let configures = ["AWS_", "MC_", "RCLONE_", "RESTIC_", "MINIO_", "DRYSTONE_", "PYTHON"];
            let proxies = name.to_ascii_lowercase().ends_with("_proxy");
            if proxies || configures.iter().any(|start| name.starts_with(start)) {
                command.env_remove(name);
            }
        }
        command
            .env("HOME", &self.files)
            .env("XDG_CONFIG_HOME", self.files.join("config"))
            .env("XDG_CACHE_HOME", self.files.join("cache"))
            .env("LC_ALL", "C.UTF-8")
            .env("AWS_ACCESS_KEY_ID", ACCESS_KEY)
            .env("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
            .env("AWS_DEFAULT_REGION", "us-east-1")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("AWS_MAX_ATTEMPTS", "1")
            .env("AWS_PAGER", "")
            .current_dir(&self.files);
        command
    }

    /// Writes a file of the test and gives its path.
    pub(crate) fn file(&self, name: &str, content: &[u8]) -> Result<PathBuf> {
        let path = self.files.join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(&path, content)?;
        Ok(path)
    }
}

/// Runs a client's script and demands that every case passed, and at least `cases` of them.
pub(crate) fn script(command: &mut Command, cases: usize) -> Result<()> {
    let output = run_any(command, Duration::from_secs(600))?;
    let said = output.everything();
    ensure!(
        output.status.success(),
        "cases failed:\n{}",
        compat_tests::process::tail(&said)
    );
    let passed = said
        .lines()
        .find_map(|line| {
            line.strip_prefix("cases: ")?
                .split_once(" passed")?
                .0
                .parse::<usize>()
                .ok()
        })
        .context("the script printed no count of cases")?;
    ensure!(passed >= cases, "only {passed} of {cases} cases ran");
    Ok(())
}

/// Runs a command that must succeed.
pub(crate) fn good(command: &mut Command) -> Result<Output> {
    run(command, LIMIT)
}

/// Runs a command that must fail and say `code`.
pub(crate) fn refused(code: &str, command: &mut Command) -> Result<()> {
    let output = run_any(command, LIMIT)?;
    let said = output.everything();
    ensure!(
        !output.status.success(),
        "{code} was expected, the command succeeded: {said}"
    );
    ensure!(said.contains(code), "{code} was expected, the command said: {said}");
    Ok(())
}

/// Demands equal bytes without printing them.
pub(crate) fn same_bytes(left: &[u8], right: &[u8], what: &str) -> Result<()> {
    ensure!(
        left == right,
        "{what}: {} bytes are not the {} bytes expected",
        left.len(),
        right.len()
    );
    Ok(())
}

/// Demands equal bytes of a file.
pub(crate) fn same_file(path: &Path, right: &[u8]) -> Result<()> {
    let left = fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    same_bytes(&left, right, &path.display().to_string())
}

/// Fetches a link without a client library and gives status and body, by curl-like plain HTTP/1.1.
pub(crate) use compat_tests::s3::plain_http;
