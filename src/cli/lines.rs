//! A file of lines of JSON that only grows, in which a command writes what it has done: one that broke off, however it did,
//! goes on from there.
//!
//! The first line says which command's it is, and names the server. Every line is on stable media before the next thing
//! happens; the last one may be cut off.

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Of what lines say.
const VERSION: u64 = 1;

/// Whose lines they are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Whose<'a> {
    /// The command: `import`.
    pub(super) command: &'static str,
    /// Scheme and authority of the server it talks to.
    pub(super) server: &'a str,
    /// What to give where the file is of another server.
    pub(super) instead: &'static str,
}

/// See the module.
pub(super) struct Lines(Mutex<File>);

impl Lines {
    /// Opens or makes the file, and reads what stands in it. No two runs have it at once.
    pub(super) fn open<L: DeserializeOwned>(path: &Path, whose: Whose<'_>) -> Result<(Self, Vec<L>), String> {
        let named = |error: std::io::Error| format!("{}: {error}", path.display());
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false);
        let mut file = options.open(path).map_err(named)?;
        file.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => format!("{}: another {} is at it", path.display(), whose.command),
            TryLockError::Error(error) => named(error),
        })?;
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(named)?;
        let (lines, whole) = read(path, &text, whose)?;
        let whole = u64::try_from(whole).unwrap_or(u64::MAX);
        file.set_len(whole)
            .and_then(|()| file.seek(SeekFrom::Start(whole)))
            .map_err(named)?;
        let open = Self(Mutex::new(file));
        if whole == 0 {
            open.write(&json!({ whose.command: { "version": VERSION, "server": whose.server } }))?;
        }
        Ok((open, lines))
    }

    pub(super) fn write(&self, line: &impl Serialize) -> Result<(), String> {
        let unwritten = |error: &dyn std::fmt::Display| format!("what was done cannot be written down: {error}");
        let text = serde_json::to_string(line).map_err(|error| unwritten(&error))? + "\n";
        let mut file = self.0.lock();
        let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_data());
        written.map_err(|error| unwritten(&error))
    }
}

/// What these lines say behind the first, and how many bytes of them are whole lines.
pub(super) fn read<L: DeserializeOwned>(path: &Path, text: &str, whose: Whose<'_>) -> Result<(Vec<L>, usize), String> {
    let (mut lines, mut whole) = (Vec::new(), 0);
    for (at, line) in text.split_inclusive('\n').enumerate() {
        if !line.ends_with('\n') {
            break;
        }
        if at == 0 {
            check_first(path, line, whose)?;
        } else {
            let read = serde_json::from_str(line.trim_end());
            lines.push(read.map_err(|_| {
                let (path, command) = (path.display(), whose.command);
                format!("{path}: line {} is none of an {command}'s", at + 1)
            })?);
        }
        whole += line.len();
    }
    Ok((lines, whole))
}

fn check_first(path: &Path, line: &str, whose: Whose<'_>) -> Result<(), String> {
    let Whose {
        command,
        server,
        instead,
    } = whose;
    let path = path.display();
    let first: Value = serde_json::from_str(line.trim_end()).unwrap_or_default();
    let of = first.get(command).and_then(|of| of.get("server")?.as_str());
    let Some(of) = of else {
        return Err(format!("{path}: it is none of an {command}'s"));
    };
    if first.get(command).and_then(|of| of.get("version")?.as_u64()) != Some(VERSION) {
        return Err(format!("{path}: it is of another release of drystone"));
    }
    match of == server {
        true => Ok(()),
        false => Err(format!("{path}: it tells of an {command} with {of}; give {instead}")),
    }
}
