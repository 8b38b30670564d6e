//! A real virus scanner (ClamAV's clamd, from Debian) on loopback, with one signature of its own; ends with its value.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::daemon::{Daemon, is_there, program};
use crate::server::free_port;

/// The file that every scanner is tested with: harmless, and found by all of them. In two halves, so that a scanner of the
/// machine does not find it here.
pub const EICAR: [&str; 2] = [
    r"X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR-STANDARD-",
    r"ANTIVIRUS-TEST-FILE!$H+H*",
];
/// Most bytes that it takes at once.
pub const STREAM_BYTES_MAX: usize = 2 << 20;

/// A running scanner.
pub struct Clamd {
    _daemon: Daemon,
    /// Where it listens.
    pub port: u16,
}

/// Why there is none to start; `None`: it is installed.
#[must_use]
pub fn missing() -> Option<&'static str> {
    (!is_there("clamd")).then_some("the Debian package clamav-daemon is not installed")
}

impl Clamd {
    /// Starts one in `folder`, on `port` if one is given. It knows [`EICAR`], wherever that stands, and nothing else, so
    /// nothing need be fetched.
    ///
    /// # Errors
    /// When it cannot be started, or does not listen within a minute.
    pub fn start(folder: &Path, port: Option<u16>) -> Result<Self> {
        let database: PathBuf = folder.join("database");
        fs::create_dir_all(&database)?;
        let hex: String = EICAR.concat().bytes().map(|byte| format!("{byte:02x}")).collect();
        fs::write(database.join("own.ndb"), format!("Eicar-Test-Signature:0:*:{hex}\n"))?;
        let port = match port {
            Some(port) => port,
            None => free_port()?,
        };
        let settings = folder.join("clamd.conf");
        let text = format!(
            "DatabaseDirectory {}\nTCPAddr 127.0.0.1\nTCPSocket {port}\nForeground yes\nLogFile {}\n\
             StreamMaxLength {STREAM_BYTES_MAX}\n",
            database.display(),
            folder.join("clamd.log").display(),
        );
        fs::write(&settings, text)?;
        let mut command = program("clamd");
        command.arg("--config-file").arg(&settings);
        Ok(Self {
            _daemon: Daemon::start(command, port, folder.join("clamd.err"))?,
            port,
        })
    }
}
