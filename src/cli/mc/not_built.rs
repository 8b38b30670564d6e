//! What MinIO's client has and this one has not, by name: so that whoever uses it is told that, and what is behind it.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::output::Failure;

/// Verbs and groups of verbs.
const VERBS: &[&str] = &[
    "batch",
    "encrypt",
    "event",
    "idp",
    "ilm",
    "legalhold",
    "license",
    "od",
    "replicate",
    "retention",
    "sql",
    "undo",
    "update",
];

/// Flags, by what they are about.
const FLAGS: &[(&str, &[&str])] = &[
    (
        "Versions of objects are not built: a server answers 501 (NotImplemented) to them.",
        &["--versions", "--version-id", "--vid", "--rewind", "--non-current"],
    ),
    (
        "Object lock is not built: a server answers 501 (NotImplemented) to it.",
        &["--retention-mode", "--retention-duration", "--legal-hold", "--bypass"],
    ),
    (
        "Encryption on the server is not built: a server answers 501 (NotImplemented) to it.",
        &["--enc-c", "--enc-s3", "--enc-kms"],
    ),
    ("Looking into archives is not built.", &["--zip"]),
    ("Lists of a server tell neither.", &["--metadata", "--tags"]),
    ("What is read begins at `--offset` or `--tail`.", &["--part-number"]),
    ("What is set on a bucket has verbs of its own.", &["--verbose"]),
    ("A store is one site.", &["--active-active"]),
    (
        "A body of more than 16 MiB goes in parts; `mc put --part-size` makes them larger.",
        &["--disable-multipart"],
    ),
    (
        "A server has its metrics: `mc admin prometheus`.",
        &["--monitoring-address"],
    ),
    ("Whole servers are not mirrored.", &["--exclude-bucket"]),
    ("`mc watch` tells what happens.", &["--watch"]),
];

/// The refusal of a command line for a flag that is known and not built.
pub(super) fn flag(error: &clap::Error) -> Option<Failure> {
    if error.kind() != ErrorKind::UnknownArgument {
        return None;
    }
    let Some(ContextValue::String(given)) = error.get(ContextKind::InvalidArg) else {
        return None;
    };
    let name = given.split(['=', ' ']).next().unwrap_or_default();
    let (why, _) = FLAGS.iter().find(|(_, flags)| flags.contains(&name))?;
    Some(Failure::fatal(format!("`{name}` is not built yet in this client.")).hint(*why))
}

/// The refusal of a verb that is not there.
pub(super) fn verb(arguments: &[OsString]) -> Failure {
    let verb = first_word(arguments);
    if VERBS.contains(&verb.as_str()) {
        return Failure::fatal(format!("`{verb}` is not built yet in this client."));
    }
    Failure::fatal(format!("`{verb}` is not a recognized command.")).hint("Get help using `--help` flag.")
}

/// The same of `support`.
pub(super) fn support(arguments: &[OsString]) -> Failure {
    Failure::fatal(format!(
        "`support {}` is not built yet in this client.",
        first_word(arguments)
    ))
}

fn first_word(arguments: &[OsString]) -> String {
    let first = arguments.first();
    first
        .map(|word| word.to_string_lossy().into_owned())
        .unwrap_or_default()
}
