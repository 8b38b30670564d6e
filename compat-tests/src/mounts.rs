//! Drives that are file systems of their own: small images, loop-mounted, that can be full or lose their power.
//!
//! Needs root, loop devices and the xfs tools; knows nothing of the store on them.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::process::run;

const LIMIT: Duration = Duration::from_secs(60);
/// The smallest image that mkfs.xfs takes.
const SMALLEST_BYTES: u64 = 300 << 20;

/// Why no image can be mounted here; `None` when it can. Tries it: also root cannot in many a container.
#[must_use]
pub fn missing() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("only root may mount an image".to_owned());
    }
    let tried = || -> Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("drive");
        fs::create_dir(&path)?;
        Mounted::at(&path, SMALLEST_BYTES).map(drop)
    };
    tried().err().map(|error| format!("no image can be mounted: {error:#}"))
}

/// A mounted image; dropping it unmounts it.
#[derive(Debug)]
pub struct Mounted {
    path: PathBuf,
}

impl Mounted {
    /// Makes an image of `bytes` beside the folder `path` and mounts it there. It takes only the space that is written.
    ///
    /// # Errors
    /// When the image cannot be made or mounted.
    pub fn at(path: &Path, bytes: u64) -> Result<Self> {
        let image = path.with_extension("image");
        File::create(&image)?.set_len(bytes)?;
        run(Command::new("mkfs.xfs").arg("-q").arg(&image), LIMIT)?;
        run(Command::new("mount").args(["-o", "loop"]).args([&image, path]), LIMIT)?;
        Ok(Self {
            path: path.to_path_buf(),
        })
    }

    /// Takes the power away: from now on every access fails, and what was not synced is lost.
    ///
    /// # Errors
    /// When the file system does not do it.
    pub fn cut(&self) -> Result<()> {
        run(
            Command::new("xfs_io").args(["-x", "-c", "shutdown"]).arg(&self.path),
            LIMIT,
        )?;
        Ok(())
    }

    /// Writes a file of its own until only `left` bytes are free.
    ///
    /// # Errors
    /// When the space cannot be asked for or taken.
    pub fn fill_up_to(&self, left: u64) -> Result<()> {
        let space = rustix::fs::statvfs(&self.path).context("asking for free space")?;
        let bytes = (space.f_bavail * space.f_frsize).saturating_sub(left);
        let ballast = File::create(self.ballast())?;
        rustix::fs::fallocate(&ballast, rustix::fs::FallocateFlags::empty(), 0, bytes).context("taking the space")
    }

    /// Gives the space back that [`Self::fill_up_to`] took.
    ///
    /// # Errors
    /// When the file cannot be removed.
    pub fn make_room(&self) -> Result<()> {
        Ok(fs::remove_file(self.ballast())?)
    }

    fn ballast(&self) -> PathBuf {
        self.path.join("ballast")
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let unmount = |how: &[&str]| run(Command::new("umount").args(how).arg(&self.path), LIMIT).is_ok();
        // A server that was just stopped may still hold a file; a lazy unmount waits for it.
        if !unmount(&[]) {
            unmount(&["-l"]);
        }
    }
}
