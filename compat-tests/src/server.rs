//! A real `drystone` process on loopback over drive directories in a folder of its own: started, asked, stopped and killed by its own id.
//!
//! Never looks into the drives; tests that take drives away do that themselves.

use std::env;
use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::cache::lock;
use crate::process::{tail, wait};

/// The access key of every store the suite starts.
pub const ACCESS_KEY: &str = "compat-root";
/// The secret key of every store the suite starts.
pub const SECRET_KEY: &str = "compat-secret-key";

const START_LIMIT: Duration = Duration::from_secs(60);
const STOP_LIMIT: Duration = Duration::from_secs(60);
const KILL_LIMIT: Duration = Duration::from_secs(1);

/// The server binary: `DRYSTONE_BIN`, else the release binary of this workspace, built by the first who asks.
///
/// # Errors
/// When the variable names no file, or the build fails.
pub fn binary() -> Result<PathBuf> {
    if let Some(given) = env::var_os("DRYSTONE_BIN").filter(|value| !value.is_empty()) {
        let binary = PathBuf::from(given);
        ensure!(binary.is_file(), "DRYSTONE_BIN names no file: {}", binary.display());
        return Ok(binary);
    }
    let workspace = workspace()?;
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace.join("target"), PathBuf::from);
    fs::create_dir_all(&target)?;
    let _one_build = lock(&target.join(".compat-build.lock"))?;
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args([
            "build",
            "--release",
            "--locked",
            "--package",
            "drystone",
            "--bin",
            "drystone",
        ])
        .current_dir(&workspace)
        .stdin(Stdio::null())
        .status()
        .context("running cargo for the server binary")?;
    ensure!(status.success(), "building the server binary ended with {status}");
    Ok(target.join("release/drystone"))
}

/// The folder of the workspace this crate was built in.
///
/// # Errors
/// When the crate does not lie in a workspace.
pub fn workspace() -> Result<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent()
        .map(Path::to_path_buf)
        .context("compat-tests lies in a workspace")
}

/// What a server is started with; one setup can be started again and again over the same drives and port.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The folder that holds the drives and the logs.
    pub folder: PathBuf,
    /// The drive directories, in the order of the command line.
    pub drives: Vec<PathBuf>,
    /// The loopback port.
    pub port: u16,
    /// The folder with `public.crt` and `private.key`; `None` serves plain HTTP.
    pub certificates: Option<PathBuf>,
    /// Environment added to the credentials.
    pub environment: Vec<(String, String)>,
}

impl Setup {
    /// A setup with four fresh drive directories under `folder` and a free port.
    ///
    /// # Errors
    /// When the folders cannot be made or no port is free.
    pub fn fresh(folder: &Path) -> Result<Self> {
        Self::with_drives(folder, 4)
    }

    /// A setup with so many fresh drive directories under `folder` and a free port.
    ///
    /// # Errors
    /// When the folders cannot be made or no port is free.
    pub fn with_drives(folder: &Path, count: usize) -> Result<Self> {
        let drives: Vec<PathBuf> = (1..=count)
            .map(|number| folder.join(format!("drive{number}")))
            .collect();
        for drive in &drives {
            fs::create_dir_all(drive)?;
        }
        Ok(Self {
            folder: folder.to_path_buf(),
            drives,
            port: free_port()?,
            certificates: None,
            environment: Vec::new(),
        })
    }

    /// Where clients reach it, path style.
    #[must_use]
    pub fn endpoint(&self) -> String {
        let scheme = if self.certificates.is_some() { "https" } else { "http" };
        format!("{scheme}://127.0.0.1:{}", self.port)
    }

    /// The file that collects what every start of this setup printed.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.folder.join("server.log")
    }

    /// The end of the log, for messages of failures.
    #[must_use]
    pub fn log_tail(&self) -> String {
        let log = fs::read(self.log()).unwrap_or_default();
        tail(&String::from_utf8_lossy(&log)).to_owned()
    }

    /// Starts the server and waits until it says that it is ready.
    ///
    /// # Errors
    /// When it cannot be started, ends, or is not ready within a minute; the message carries the end of its log.
    pub fn start(&self) -> Result<Server> {
        let mut server = self.spawn()?;
        let start = Instant::now();
        while !answers_ready(self.port, self.certificates.is_some()) {
            if let Some(status) = server.child.try_wait()? {
                bail!(
                    "the server ended with {status} before it was ready:\n{}",
                    self.log_tail()
                );
            }
            if start.elapsed() > START_LIMIT {
                bail!("the server was not ready after {START_LIMIT:?}:\n{}", self.log_tail());
            }
            sleep(Duration::from_millis(10));
        }
        server.ready_after = start.elapsed();
        Ok(server)
    }

    /// Starts the process without waiting for anything.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn spawn(&self) -> Result<Server> {
        let log = OpenOptions::new().create(true).append(true).open(self.log())?;
        let mut command = Command::new(binary()?);
        command
            .arg("server")
            .arg("--address")
            .arg(format!("127.0.0.1:{}", self.port));
        if let Some(certificates) = &self.certificates {
            command.arg("--certs-dir").arg(certificates);
        }
        for (name, _) in env::vars().filter(|(name, _)| name.starts_with("MINIO_") || name.starts_with("DRYSTONE_")) {
            command.env_remove(name);
        }
        let child = command
            .args(&self.drives)
            .env("MINIO_ROOT_USER", ACCESS_KEY)
            .env("MINIO_ROOT_PASSWORD", SECRET_KEY)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("starting the server binary")?;
        Ok(Server {
            setup: self.clone(),
            child,
            ready_after: Duration::ZERO,
        })
    }
}

/// A running server; dropping it stops it.
#[derive(Debug)]
pub struct Server {
    /// What it was started with.
    pub setup: Setup,
    /// How long it took from start to ready.
    pub ready_after: Duration,
    child: Child,
}

impl Server {
    /// The process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends SIGTERM and waits for the end.
    ///
    /// # Errors
    /// When it does not end within a minute or ends with a failure.
    pub fn stop(mut self) -> Result<()> {
        let status = self.terminate()?;
        ensure!(
            status.success(),
            "after SIGTERM the server ended with {status}:\n{}",
            self.setup.log_tail()
        );
        Ok(())
    }

    /// Kills it with SIGKILL, as `kill -9` does, and waits for the end.
    ///
    /// # Errors
    /// When the process cannot be killed.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill().context("killing the server")?;
        self.child.wait().context("waiting for the killed server")?;
        Ok(())
    }

    /// Whether the process still runs.
    ///
    /// # Errors
    /// When the process cannot be asked.
    pub fn runs(&mut self) -> Result<bool> {
        Ok(self.child.try_wait().context("asking the server process")?.is_none())
    }

    /// Waits a moment for the end by a SIGKILL that was not ours; false if it still runs or ended otherwise.
    ///
    /// # Errors
    /// When the process cannot be asked.
    pub fn was_killed(&mut self) -> Result<bool> {
        let ended = wait(&mut self.child, KILL_LIMIT)?;
        Ok(ended.is_some_and(|status| status.signal() == Some(9)))
    }

    fn terminate(&mut self) -> Result<ExitStatus> {
        let id = i32::try_from(self.child.id())
            .ok()
            .and_then(Pid::from_raw)
            .context("a process id")?;
        if self.child.try_wait()?.is_none() {
            kill_process(id, Signal::TERM).context("sending SIGTERM to the server")?;
        }
        wait(&mut self.child, STOP_LIMIT)?.ok_or_else(|| {
            anyhow!(
                "the server still runs {STOP_LIMIT:?} after SIGTERM:\n{}",
                self.setup.log_tail()
            )
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.terminate().is_err() && self.child.kill().is_ok() {
            drop(self.child.wait());
        }
    }
}

/// A port that was free a moment ago on 127.0.0.1.
///
/// # Errors
/// When none is free.
pub fn free_port() -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").context("a free port")?;
    Ok(listener.local_addr()?.port())
}

/// Asks the readiness endpoint; over TLS a finished connection counts, the clients check the rest.
fn answers_ready(port: u16, tls: bool) -> bool {
    let Ok(mut connection) = TcpStream::connect(("127.0.0.1", port)) else {
        return false;
    };
    if tls {
        return true;
    }
    let request = "GET /minio/health/ready HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n";
    let mut answer = Vec::new();
    connection.set_read_timeout(Some(Duration::from_secs(5))).is_ok()
        && connection.write_all(request.as_bytes()).is_ok()
        && connection.read_to_end(&mut answer).is_ok()
        && answer.starts_with(b"HTTP/1.1 200")
}

/// The first panic that a server's log tells of, with the lines after it. Panics inside sled do not count: the engine
/// catches each, takes it for a failed index and makes another.
#[must_use]
pub fn panic_in(log: &str) -> Option<String> {
    log.match_indices("panicked at").find_map(|(at, _)| {
        let told = log.get(at..)?;
        let place = told.lines().next()?;
        let text: Vec<&str> = told.lines().take(4).collect();
        (!place.contains("/sled-")).then(|| text.join(" "))
    })
}

/// Copies what a failed test needs for reading to a place that outlives its temporary folder; for `DRYSTONE_COMPAT_KEEP`.
///
/// # Errors
/// When the copy fails.
pub fn keep_log(setup: &Setup, name: &str) -> Result<()> {
    if let Some(folder) = env::var_os("DRYSTONE_COMPAT_KEEP").map(PathBuf::from) {
        fs::create_dir_all(&folder)?;
        let mut copy = File::create(folder.join(format!("{name}.log")))?;
        std::io::copy(&mut File::open(setup.log())?, &mut copy)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::panic_in;

    #[test]
    fn a_panic_of_ours_is_found_behind_one_inside_sled() {
        let inside = "thread 'drive' panicked at /r/sled-0.34.7/src/pagecache/logger.rs:467:41:\ncalled unwrap\n";
        let ours = "thread 'main' panicked at src/s3/mod.rs:1:1:\nindex out of bounds\n";
        assert_eq!(panic_in(inside), None);
        let found = panic_in(&format!("{inside}{ours}"));
        assert!(found.is_some_and(|text| text.contains("src/s3/mod.rs:1:1: index out of bounds")));
    }
}
