//! The server's settings as `mc admin config` reads and changes them.
//!
//! [`ServerSettings`] owns what is stored of them: it changes the rows in the store, has what can change at once take
//! effect, and tells what holds. The texts are MinIO's; which settings there are is in `config::stored`. A secret never
//! leaves it.

mod asked;
mod kept;
mod shown;

use http::StatusCode;

use super::error::AdminError;
use crate::config::stored::{SUBSYSTEMS, Subsystem};

pub use self::asked::words_of;
pub use self::kept::{ServerSettings, Wiring};
pub(super) use self::shown::help;

/// What MinIO calls the group of a kind that has no name.
const UNNAMED: &str = "_";
/// Stands in the place of a secret; sent back, it leaves the secret as it is.
const REDACTED: &str = "*redacted*";

fn refusal(code: &'static str, status: StatusCode, message: String) -> AdminError {
    AdminError::Minio { code, status, message }
}

/// A value or a text that makes no sense.
fn wrong(message: String) -> AdminError {
    refusal("XMinioConfigError", StatusCode::BAD_REQUEST, message)
}

fn no_such_target(name: &str) -> AdminError {
    let message = format!("There is no {name} here.");
    refusal("XMinioAdminNoSuchConfigTarget", StatusCode::BAD_REQUEST, message)
}

/// A group as clients name it: `group` or `group:target`. The target is `None` if none was said, empty for the group
/// without a name.
fn group(name: &str) -> Result<(&'static Subsystem, Option<String>), AdminError> {
    let (subsystem, target) = match name.split_once(':') {
        Some((subsystem, target)) => (subsystem, Some(target)),
        None => (name, None),
    };
    let found = SUBSYSTEMS.iter().find(|known| known.name == subsystem);
    let found = found.ok_or_else(|| {
        let message = format!("There are no settings {subsystem} here.");
        refusal("XMinioConfigNotFoundError", StatusCode::NOT_FOUND, message)
    })?;
    let target = target.map(|target| match target {
        UNNAMED => String::new(),
        named => named.to_ascii_lowercase(),
    });
    let named = target.as_deref().unwrap_or_default();
    if !named.is_empty() && !found.has_targets {
        let message = format!("{subsystem} has no targets.");
        return Err(refusal(
            "XMinioAdminNoSuchConfigTarget",
            StatusCode::BAD_REQUEST,
            message,
        ));
    }
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if named.len() > TARGET_BYTES_MAX || !named.bytes().all(letter) {
        let message = format!("The name of a target has at most {TARGET_BYTES_MAX} letters, digits, '_' and '-'.");
        return Err(refusal(
            "XMinioAdminNoSuchConfigTarget",
            StatusCode::BAD_REQUEST,
            message,
        ));
    }
    Ok((found, target))
}

const TARGET_BYTES_MAX: usize = 64;

/// A group as it is written: `group` or `group:target`.
fn written(subsystem: &str, target: &str) -> String {
    match target {
        "" => subsystem.to_owned(),
        target => format!("{subsystem}:{target}"),
    }
}
