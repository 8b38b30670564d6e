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
pub(in crate::cli) struct Whose<'a> {
    /// The command: `import`.
    pub(in crate::cli) command: &'static str,
    /// What it talks to: scheme and authority of the server, perhaps with more behind it.
    pub(in crate::cli) server: &'a str,
    /// What to give where the file tells of something else.
    pub(in crate::cli) instead: &'static str,
}

/// See the module.
pub(in crate::cli) struct Lines(Mutex<Open>);

struct Open {
    file: File,
    /// Bytes of whole lines.
    whole: u64,
    /// Why nothing more is written: the beginning of a line stands at the end and could not be taken away.
    spoilt: Option<String>,
}

impl Open {
    /// Writes a line, all of it or nothing: what came behind half a line would make the file unreadable.
    fn append(&mut self, line: &str) -> Result<(), String> {
        if let Some(why) = &self.spoilt {
            return Err(why.clone());
        }
        let written = self
            .file
            .write_all(line.as_bytes())
            .and_then(|()| self.file.sync_data());
        let Err(error) = written else {
            self.whole += line.len() as u64;
            return Ok(());
        };
        let back = self.file.set_len(self.whole);
        if let Err(error) = back.and_then(|()| self.file.seek(SeekFrom::Start(self.whole))) {
            self.spoilt = Some(error.to_string());
        }
        Err(error.to_string())
    }
}

impl Lines {
    /// Opens or makes the file, and reads what stands in it. No two runs have it at once.
    pub(in crate::cli) fn open<L: DeserializeOwned>(path: &Path, whose: Whose<'_>) -> Result<(Self, Vec<L>), String> {
        let named = |error: std::io::Error| format!("{}: {error}", path.display());
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false);
        // It names files that others on this machine may not know of.
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
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
        let open = Self(Mutex::new(Open {
            file,
            whole,
            spoilt: None,
        }));
        if whole == 0 {
            open.write(&json!({ whose.command: { "version": VERSION, "server": whose.server } }))?;
        }
        Ok((open, lines))
    }

    pub(in crate::cli) fn write(&self, line: &impl Serialize) -> Result<(), String> {
        let text = serde_json::to_string(line).map_err(|error| error.to_string());
        let written = text.and_then(|text| self.0.lock().append(&(text + "\n")));
        written.map_err(|error| format!("what was done cannot be written down: {error}"))
    }
}

/// What these lines say behind the first, and how many bytes of them are whole lines.
pub(in crate::cli) fn read<L: DeserializeOwned>(
    path: &Path,
    text: &str,
    whose: Whose<'_>,
) -> Result<(Vec<L>, usize), String> {
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
