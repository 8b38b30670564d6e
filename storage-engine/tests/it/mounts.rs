//! File systems of their own for drives: small ones in memory, mounted and bound as an operator or a container does it.
//! Needs root; without it a test is skipped with a message, with CI=true that fails.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Says that one test could not run; with CI=true that is an error.
pub(crate) fn skip_or_fail(what: &str, reason: &str) {
    assert!(
        std::env::var_os("CI").is_none(),
        "{what} cannot be tested here: {reason}"
    );
    eprintln!("SKIPPED (1 test): {what} cannot be tested here: {reason}");
}

pub(crate) fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|e| format!("{command:?}: {e}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)))
}

/// Something mounted; unmounted on drop.
pub(crate) struct Mounted {
    point: PathBuf,
}

impl Mounted {
    /// A new, empty file system of this size in memory.
    pub(crate) fn memory(point: &Path, mebibytes: u64) -> Result<Self, String> {
        std::fs::create_dir_all(point).map_err(|e| e.to_string())?;
        let size = format!("size={mebibytes}m,mode=0755");
        run(Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "drive"])
            .arg(point))?;
        Ok(Self { point: point.into() })
    }

    /// The directory `from`, seen at `point` too.
    pub(crate) fn bind(from: &Path, point: &Path) -> Result<Self, String> {
        run(Command::new("mount").arg("--bind").arg(from).arg(point))?;
        Ok(Self { point: point.into() })
    }

    /// Forbids all writes, or allows them again.
    pub(crate) fn read_only(&self, read_only: bool) -> Result<(), String> {
        let mode = if read_only { "remount,ro" } else { "remount,rw" };
        let mut done = Ok(());
        for _ in 0..100 {
            // What was open for writing a moment ago may still be closing.
            done = run(Command::new("mount").args(["-o", mode]).arg(&self.point));
            if done.is_ok() {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        done
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        for _ in 0..100 {
            if run(Command::new("umount").arg(&self.point)).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let _ = run(Command::new("umount").arg("-l").arg(&self.point));
    }
}
