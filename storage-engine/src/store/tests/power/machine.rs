//! A machine that can lose its power: drives on loop-mounted file systems whose journal and page cache can be thrown
//! away at any moment. It knows nothing of the store on them.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

pub(super) const DRIVES: usize = 4;
/// For each drive; far above the reserve. Sparse: only what is written takes space.
const DRIVE_BYTES: u64 = 1 << 30;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Xfs,
    Ext4,
}

/// How many file systems the drives share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// All drives lose their power in one instant.
    One,
    /// Each drive can lose its own.
    Each,
}

pub(super) fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|e| format!("{command:?}: {e}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)))
}

/// One loop-mounted image, and a program that holds it open and waits for the word to shut it down: starting one at the
/// moment of the cut would take longer than what the cut is to hit.
struct Volume {
    image: PathBuf,
    mount: PathBuf,
    switch: Option<Child>,
}

impl Volume {
    fn make((image, bytes): (PathBuf, u64), mount: PathBuf, kind: Kind) -> Result<Self, String> {
        let made = File::create(&image).and_then(|file| file.set_len(bytes));
        made.and_then(|()| std::fs::create_dir(&mount))
            .map_err(|e| e.to_string())?;
        match kind {
            Kind::Xfs => run(Command::new("mkfs.xfs").arg("-q").arg(&image))?,
            Kind::Ext4 => run(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&image))?,
        }
        let mut volume = Self {
            image,
            mount,
            switch: None,
        };
        volume.attach()?;
        Ok(volume)
    }

    fn is_attached(&self) -> bool {
        self.switch.is_some()
    }

    fn attach(&mut self) -> Result<(), String> {
        if self.is_attached() {
            return Ok(());
        }
        self.wait_until_let_go()?;
        run(Command::new("mount")
            .args(["-o", "loop"])
            .args([&self.image, &self.mount]))?;
        let mut switch = Command::new("xfs_io");
        switch.arg("-x").arg(&self.mount).stdin(Stdio::piped());
        switch.stdout(Stdio::null()).stderr(Stdio::piped());
        self.switch = Some(switch.spawn().map_err(|e| format!("xfs_io: {e}"))?);
        Ok(())
    }

    /// An unmounted file system may live on for a moment in the mount namespace of a process that just ended; mounted
    /// before that is over it would be the same one, still shut down.
    fn wait_until_let_go(&self) -> Result<(), String> {
        for _ in 0..1000 {
            let used = Command::new("losetup").arg("-j").arg(&self.image).output();
            if used.map_err(|e| format!("losetup: {e}"))?.stdout.is_empty() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Err(format!("{} stays in use", self.image.display()))
    }

    /// Says the word; without `-f`, which would write the journal first.
    fn cut(&mut self) {
        let pipe = self.switch.as_mut().and_then(|switch| switch.stdin.as_mut());
        let told = pipe.map(|pipe| pipe.write_all(b"shutdown\n").and_then(|()| pipe.flush()));
        if !matches!(told, Some(Ok(()))) {
            let said = self.switch.take().map(Child::wait_with_output);
            panic!("{} cannot be cut: {told:?}, {said:?}", self.mount.display());
        }
    }

    /// Waits until a cut is done, and proves it.
    fn settle(&mut self) {
        let switch = self.switch.take().expect("a volume that is cut is attached");
        let ended = switch.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(ended.status.success() && said.is_empty(), "the cut failed: {said}");
        let refused = File::create(self.mount.join("after-the-cut"));
        assert!(refused.is_err(), "{} takes writes after its cut", self.mount.display());
    }

    fn detach(&mut self) -> Result<(), String> {
        if let Some(mut switch) = self.switch.take() {
            drop(switch.stdin.take());
            switch.wait().map_err(|e| e.to_string())?;
        }
        let mut done = Ok(());
        for _ in 0..200 {
            done = run(Command::new("umount").arg(&self.mount));
            if done.is_ok() {
                return Ok(());
            }
            // What a killed process had open may still be closing.
            std::thread::sleep(Duration::from_millis(20));
        }
        done
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        if self.switch.is_some() {
            // A test that fails while a child runs: the mount goes when that ends.
            if self.detach().is_err() {
                let _ = run(Command::new("umount").arg("-l").arg(&self.mount));
            }
        }
    }
}

pub(super) struct Machine {
    volumes: Vec<Volume>,
    layout: Layout,
    pub(super) dir: TempDir,
}

impl Machine {
    pub(super) fn new(kind: Kind, layout: Layout) -> Result<Self, String> {
        let dir = tempfile::tempdir().map_err(|e| e.to_string())?;
        let count = match layout {
            Layout::One => 1,
            Layout::Each => DRIVES,
        };
        let bytes = DRIVE_BYTES * (DRIVES / count) as u64;
        let make = |n| {
            let image = dir.path().join(format!("image{n}"));
            Volume::make((image, bytes), dir.path().join(format!("m{n}")), kind)
        };
        let volumes: Vec<Volume> = (0..count).map(make).collect::<Result<_, _>>()?;
        let machine = Self { volumes, layout, dir };
        for path in machine.drives() {
            std::fs::create_dir(path).map_err(|e| e.to_string())?;
        }
        run(&mut Command::new("sync"))?;
        Ok(machine)
    }

    /// Where each drive is; its parent is missing a file system while it is away.
    pub(super) fn drives(&self) -> Vec<PathBuf> {
        (0..DRIVES).map(|n| self.drive(n)).collect()
    }

    pub(super) fn drive(&self, n: usize) -> PathBuf {
        let volume = match self.layout {
            Layout::One => 0,
            Layout::Each => n,
        };
        self.dir.path().join(format!("m{volume}/d{n}"))
    }

    /// Takes the power from these drives (with [`Layout::One`] from all); nothing is waited for.
    pub(super) fn cut(&mut self, drives: &[usize]) {
        match self.layout {
            Layout::One => self.volumes.iter_mut().for_each(Volume::cut),
            Layout::Each => drives.iter().for_each(|n| self.volumes[*n].cut()),
        }
    }

    /// Puts what was cut on again, without the drives in `late`. Nothing may hold a drive any more.
    pub(super) fn power_on(&mut self, cut: &[usize], late: &[usize]) -> Result<(), String> {
        let cut: &[usize] = if self.layout == Layout::One { &[0] } else { cut };
        cut.iter().for_each(|n| self.volumes[*n].settle());
        for n in cut {
            // Its switch is gone already.
            self.volumes[*n].detach()?;
            self.volumes[*n].attach()?;
        }
        late.iter().try_for_each(|n| self.take_away(*n))
    }

    /// Takes a whole drive away as it is.
    pub(super) fn take_away(&mut self, n: usize) -> Result<(), String> {
        match self.layout {
            Layout::One => {
                std::fs::rename(self.drive(n), self.drive(n).with_extension("away")).map_err(|e| e.to_string())
            }
            Layout::Each => self.volumes[n].detach(),
        }
    }

    pub(super) fn bring_back(&mut self, n: usize) -> Result<(), String> {
        match self.layout {
            Layout::One => {
                let away = self.drive(n).with_extension("away");
                if away.exists() {
                    return std::fs::rename(away, self.drive(n)).map_err(|e| e.to_string());
                }
                Ok(())
            }
            Layout::Each => self.volumes[n].attach(),
        }
    }

    pub(super) fn bring_all_back(&mut self) -> Result<(), String> {
        (0..DRIVES).try_for_each(|n| self.bring_back(n))
    }

    /// Shard files of a kind of segment on a drive, with their lengths.
    pub(super) fn shard_files(&self, n: usize, folder: &str) -> Vec<(PathBuf, u64)> {
        let mut found = Vec::new();
        files_below(&self.drive(n).join(".drystone").join(folder), &mut found);
        found.sort();
        found
    }
}

pub(super) fn files_below(dir: &Path, found: &mut Vec<(PathBuf, u64)>) {
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        match entry.metadata() {
            Ok(meta) if meta.is_dir() => files_below(&entry.path(), found),
            Ok(meta) => found.push((entry.path(), meta.len())),
            Err(_) => {}
        }
    }
}
