//! System calls of a running process, recorded, failed or made its last, by strace. It knows threads and calls, nothing
//! of what the process is.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::process::{run_any, wait};

const LIMIT: Duration = Duration::from_secs(30);

/// Why no process can be traced here; `None` when one can. Tries it.
#[must_use]
pub fn missing() -> Option<String> {
    let tried = || -> Result<()> {
        let mut sleeper = Command::new("sleep").arg("30").spawn().context("starting sleep")?;
        let folder = tempfile::tempdir()?;
        let struck = Strike::begin(
            Whose::Process(sleeper.id()),
            &["fsync"],
            &Blow::Nothing,
            &folder.path().join("log"),
        );
        let struck = struck.and_then(Strike::end);
        sleeper.kill()?;
        sleeper.wait()?;
        struck.map(drop)
    };
    let version = run_any(Command::new("strace").arg("-V"), LIMIT);
    version
        .and_then(|_| tried())
        .err()
        .map(|error| format!("no process can be traced: {error:#}"))
}

/// The threads of a process with their names, oldest first.
///
/// # Errors
/// When the process is gone.
pub fn threads(process: u32) -> Result<Vec<(u32, String)>> {
    let mut all = Vec::new();
    for entry in fs::read_dir(format!("/proc/{process}/task"))? {
        let entry = entry?;
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // One may end while it is looked at.
        if let Ok(name) = fs::read_to_string(entry.path().join("comm")) {
            all.push((id, name.trim().to_owned()));
        }
    }
    all.sort_unstable();
    Ok(all)
}

/// What happens to the n-th of some calls of each traced thread, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blow {
    /// All are recorded.
    Nothing,
    /// The process is killed before the call is done.
    Kill(usize),
    /// The call is not done and fails with this error.
    Once(&'static str, usize),
    /// So does every later one.
    ForGood(&'static str, usize),
    /// Every call is done so much later.
    Late(Duration),
}

/// Whose calls are meant.
#[derive(Debug, Clone, Copy)]
pub enum Whose<'a> {
    /// All threads of a process, also those it starts later.
    Process(u32),
    /// These threads and no others.
    Threads(&'a [u32]),
}

/// A running strace.
#[derive(Debug)]
pub struct Strike {
    strace: Child,
    log: PathBuf,
}

impl Strike {
    /// Attaches, and returns when all are traced.
    ///
    /// # Errors
    /// When one of them cannot be traced.
    pub fn begin(whose: Whose<'_>, calls: &[&str], blow: &Blow, log: &Path) -> Result<Self> {
        let calls = calls.join(",");
        let mut command = Command::new("strace");
        command.arg("-o").arg(log).arg(format!("--trace={calls}"));
        let inject = |what: String| format!("--inject={calls}:{what}");
        match blow {
            Blow::Nothing => {}
            Blow::Kill(n) => drop(command.arg(inject(format!("signal=KILL:when={n}")))),
            Blow::Once(error, n) => drop(command.arg(inject(format!("error={error}:when={n}")))),
            Blow::Late(by) => drop(command.arg(inject(format!("delay_enter={}", by.as_micros())))),
            Blow::ForGood(error, n) => drop(command.arg(inject(format!("error={error}:when={n}+")))),
        }
        // Following means all threads of the process, whichever is named.
        let mut missing = match whose {
            Whose::Process(process) => {
                command.arg("-f").arg("-p").arg(process.to_string());
                1
            }
            Whose::Threads(threads) => {
                for thread in threads {
                    command.arg("-p").arg(thread.to_string());
                }
                threads.len()
            }
        };
        let mut strace = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("starting strace")?;
        let said = strace.stderr.take().context("strace has no standard error")?;
        let (sender, heard) = std::sync::mpsc::channel();
        // Read to the end: strace must never wait for its reader.
        std::thread::spawn(move || {
            for line in BufReader::new(said).lines().map_while(Result::ok) {
                drop(sender.send(line));
            }
        });
        let mut struck = Self {
            strace,
            log: log.to_path_buf(),
        };
        while missing > 0 {
            match heard.recv_timeout(LIMIT) {
                Ok(line) if line.contains("attached") => missing -= 1,
                Ok(line) => {
                    struck.stop()?;
                    bail!("strace: {line}");
                }
                Err(error) => {
                    struck.stop()?;
                    bail!("strace said nothing of {missing} threads: {error}");
                }
            }
        }
        Ok(struck)
    }

    /// Lets go of the process and tells whether a call was failed or delayed.
    ///
    /// # Errors
    /// When strace does not end.
    pub fn end(mut self) -> Result<bool> {
        self.stop()?;
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        Ok(log.contains("(INJECTED)") || log.contains("(DELAYED)"))
    }

    /// Lets go of the process and gives what was recorded: per thread its calls in order, each as strace prints it.
    ///
    /// # Errors
    /// When strace does not end or its log cannot be read.
    pub fn recorded(mut self) -> Result<BTreeMap<u32, Vec<String>>> {
        self.stop()?;
        let mut calls: BTreeMap<u32, Vec<String>> = BTreeMap::new();
        for line in fs::read_to_string(&self.log)?.lines() {
            let Some((thread, call)) = line.split_once(' ') else {
                continue;
            };
            let (Ok(thread), call) = (thread.parse(), call.trim()) else {
                continue;
            };
            if call.starts_with(|first: char| first.is_ascii_lowercase()) {
                calls.entry(thread).or_default().push(call.to_owned());
            }
        }
        Ok(calls)
    }

    fn stop(&mut self) -> Result<()> {
        if self.strace.try_wait()?.is_none() {
            let id = i32::try_from(self.strace.id()).ok().and_then(Pid::from_raw);
            // It may end just now with what it traced.
            let _ = kill_process(id.context("a process id")?, Signal::INT);
        }
        ensure!(wait(&mut self.strace, LIMIT)?.is_some(), "strace does not end");
        Ok(())
    }
}

impl Drop for Strike {
    fn drop(&mut self) {
        if matches!(self.strace.try_wait(), Ok(None)) && self.strace.kill().is_ok() {
            drop(self.strace.wait());
        }
    }
}
