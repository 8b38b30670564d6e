//! What can be wrong with a configuration, each with what to do about it.

use std::io;
use std::path::PathBuf;

use super::address::AddressError;
use super::ellipses::{EXPANSION_MAX, EllipsesError};

/// A configuration that cannot be run. The text names the setting and the cure, never a secret.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("no drives: name at least one directory, as in 'drystone server /data{{1...4}}', or set MINIO_VOLUMES")]
    NoDrives,
    #[error(transparent)]
    Ellipses(#[from] EllipsesError),
    #[error("the drive '{0}' is named twice; every drive must be a directory of its own")]
    DriveTwice(String),
    #[error("'{0}' names another machine; this build runs on one machine, give directories of this one")]
    RemoteDrive(String),
    #[error("more than {EXPANSION_MAX} drives")]
    TooManyDrives,
    #[error(transparent)]
    Address(#[from] AddressError),
    #[error("{given} is set and {missing} is not; set both, or neither")]
    HalfCredentials { given: &'static str, missing: &'static str },
    #[error("the root user must have at least 3 characters (MINIO_ROOT_USER)")]
    UserTooShort,
    #[error("the root password must have at least 8 characters (MINIO_ROOT_PASSWORD)")]
    PasswordTooShort,
    #[error("the root user may hold only visible ASCII characters, and none of '=', ',' and '/' (MINIO_ROOT_USER)")]
    UserCharacters,
    #[error(
        "the key of DRYSTONE_{name}_FILE or MINIO_{other} is not NAME:KEY, where KEY is 32 bytes in base64 (make one \
         with: head -c 32 /dev/urandom | base64)"
    )]
    OperatorKey { name: &'static str, other: &'static str },
    #[error("cannot read '{}', named by {variable}: {source}", path.display())]
    SettingFile {
        variable: String,
        path: PathBuf,
        source: io::Error,
    },
    #[error("line {line} of '{}' is not NAME=VALUE", path.display())]
    EnvFileLine { path: PathBuf, line: usize },
    #[error("{variable}: '{value}' is not {expected}")]
    Value {
        variable: &'static str,
        value: String,
        expected: &'static str,
    },
    #[error("{variable} {problem}")]
    Provider { variable: String, problem: &'static str },
    #[error("MINIO_{variable} asks for {what}, which is not built yet; unset it to start without")]
    NotBuilt { variable: &'static str, what: &'static str },
}
