//! A daemon of Debian on loopback, started for one test; it ends with its value.

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::process::tail;

/// How long it has to listen.
pub const LIMIT: Duration = Duration::from_secs(60);
const FOLDERS: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A running daemon.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
    log: PathBuf,
}

impl Drop for Daemon {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A program of the machine, daemons included.
pub(crate) fn program(name: &str) -> Command {
    let mut command = Command::new(name);
    command.env("PATH", FOLDERS).stdin(Stdio::null());
    command
}

/// Whether there is a program of this name.
pub(crate) fn is_there(name: &str) -> bool {
    FOLDERS.split(':').any(|folder| Path::new(folder).join(name).exists())
}

impl Daemon {
    /// Starts it in the foreground, with what it says in `log`, and waits until it listens on `port`.
    pub(crate) fn start(mut command: Command, port: u16, log: PathBuf) -> Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        let said = fs::File::create(&log)?;
        let child = command.stdout(Stdio::null()).stderr(said).spawn();
        let child = child.with_context(|| format!("starting {name}"))?;
        let mut daemon = Self { child, log };
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if daemon.child.try_wait()?.is_some() || start.elapsed() > LIMIT {
                let said = fs::read_to_string(&daemon.log).unwrap_or_default();
                bail!("{name} does not listen: {}", tail(&said));
            }
            sleep(Duration::from_millis(20));
        }
        Ok(daemon)
    }
}
