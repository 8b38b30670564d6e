//! Runs one program to its end within a time limit and hands back everything it said; never leaves one running.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

/// What a program left behind: its exit status and both of its streams.
#[derive(Debug)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// Everything written to standard output.
    pub stdout: Vec<u8>,
    /// Everything written to standard error, as text.
    pub stderr: String,
}

impl Output {
    /// Standard output as text; bytes that are not UTF-8 are replaced.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Both streams as text, for looking for an error code wherever a client prints it.
    #[must_use]
    pub fn everything(&self) -> String {
        format!("{}{}", self.text(), self.stderr)
    }
}

/// Runs `command` without standard input and returns its output whatever its exit status; stops it by its own id after `limit`.
///
/// # Errors
/// When it cannot be started, or the limit passed.
pub fn run_any(command: &mut Command, limit: Duration) -> Result<Output> {
    let folder = tempfile::tempdir().context("a folder for the output of a program")?;
    let (out, err) = (folder.path().join("out"), folder.path().join("err"));
    let shown = shown(command);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(File::create(&out)?)
        .stderr(File::create(&err)?)
        .spawn()
        .with_context(|| format!("starting {shown}"))?;
    let ended = wait(&mut child, limit)?;
    let stdout = read(&out)?;
    let stderr = String::from_utf8_lossy(&read(&err)?).into_owned();
    let Some(status) = ended else {
        child
            .kill()
            .and_then(|()| child.wait())
            .context("stopping a program that took too long")?;
        bail!("{shown} was still running after {limit:?}: {}", tail(&stderr));
    };
    Ok(Output { status, stdout, stderr })
}

/// Runs `command` and demands success.
///
/// # Errors
/// As [`run_any`], and when the exit status is not 0; the message carries what it said.
pub fn run(command: &mut Command, limit: Duration) -> Result<Output> {
    let output = run_any(command, limit)?;
    let said = output.everything();
    ensure!(
        output.status.success(),
        "{} ended with {}: {}",
        shown(command),
        output.status,
        tail(&said)
    );
    Ok(output)
}

/// Waits for `child` at most `limit`; `None` when it still runs.
///
/// # Errors
/// When the child cannot be asked.
pub fn wait(child: &mut Child, limit: Duration) -> Result<Option<ExitStatus>> {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().context("asking a child process")? {
            return Ok(Some(status));
        }
        if start.elapsed() > limit {
            return Ok(None);
        }
        sleep(Duration::from_millis(5));
    }
}

/// The last 6,000 characters of a text, for messages.
#[must_use]
pub fn tail(text: &str) -> &str {
    let from = text.len().saturating_sub(6_000);
    let from = (from..=text.len())
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(text.len());
    text.get(from..).unwrap_or_default()
}

/// The command as a person would type it, without its environment (which carries secrets).
fn shown(command: &Command) -> String {
    let mut line = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args() {
        line.push(' ');
        line.push_str(&argument.to_string_lossy());
    }
    line
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}
