//! Why the server ends, as an exit code and as a sentence that says what to do.

use crate::config::credentials::KeepError;
use crate::http::listener::BindError;
use crate::http::tls::TlsError;
use crate::ldap::LdapSetupError;
use crate::outbound::OutboundError;

/// The command line or the environment is wrong.
pub const USAGE: u8 = 2;
const ADDRESS: u8 = 3;
const DRIVE: u8 = 4;
const NOT_WRITABLE: u8 = 5;
const DISK_FULL: u8 = 6;
const CPU: u8 = 7;
const CERTIFICATE: u8 = 8;
const CREDENTIALS: u8 = 9;
/// Told to start again, and the program could not be executed.
pub const NOT_RESTARTED: u8 = 10;
const OTHER: u8 = 1;

/// Why the store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// A drive belongs to another store or to other software, or contradicts the others. Nothing was written.
    #[error("{0}")]
    Drive(String),
    /// No drive can be written.
    #[error("{0}")]
    NotWritable(String),
    #[error("{0}")]
    Full(String),
    #[error("{0}")]
    Other(String),
}

/// Why the server did not start, or did not stop cleanly.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    #[error(
        "this processor is too old: it lacks {0}, which the erasure code needs; run on x86-64-v3 (Haswell, Zen) or newer"
    )]
    Cpu(&'static str),
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(transparent)]
    Credentials(#[from] KeepError),
    #[error("no randomness from the system: {0}")]
    Random(getrandom::Error),
    #[error("no connection to an identity provider can be made: {0}")]
    Providers(rustls::Error),
    #[error("no connection to another server can be made: {0}")]
    Outbound(rustls::Error),
    #[error("DRYSTONE_SCAN: {0}")]
    Scanner(OutboundError),
    #[error(transparent)]
    Ldap(#[from] LdapSetupError),
    #[error("cannot wait for signals: {0}")]
    Signals(std::io::Error),
    #[error("a background thread ended before its work was done; this is a bug")]
    ThreadLost,
    #[error("the store did not close cleanly: {0}; the next start recovers from its log")]
    Close(String),
}

impl ServerError {
    /// The process's exit code; the table is in `docs/running.md`.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Cpu(_) => CPU,
            Self::Bind(_) => ADDRESS,
            Self::Tls(_) => CERTIFICATE,
            Self::Engine(EngineError::Drive(_)) => DRIVE,
            Self::Engine(EngineError::NotWritable(_)) => NOT_WRITABLE,
            Self::Engine(EngineError::Full(_)) => DISK_FULL,
            Self::Credentials(_) => CREDENTIALS,
            Self::Ldap(_) | Self::Scanner(_) => USAGE,
            Self::Engine(EngineError::Other(_))
            | Self::Random(_)
            | Self::Providers(_)
            | Self::Outbound(_)
            | Self::Signals(_)
            | Self::ThreadLost
            | Self::Close(_) => OTHER,
        }
    }
}
