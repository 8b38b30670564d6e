//! Drives that the server's user may not write: what is said, with which exit code, and what works all the same.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, ErrorKind};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// Root may write everywhere, so a test that runs as root runs the server as somebody else.
const SOMEBODY: u32 = 12_345;

struct Scene {
    folder: tempfile::TempDir,
    binary: PathBuf,
}

fn everything_below(path: &Path, change: &dyn Fn(&Path)) {
    change(path);
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            everything_below(&entry.unwrap().path(), change);
        }
    }
}

impl Scene {
    /// Four empty directories, which the server may write.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let binary = folder.path().join("drystone");
        // Where the build puts it, somebody else may have no access.
        fs::copy(env!("CARGO_BIN_EXE_drystone"), &binary).unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        let scene = Self { folder, binary };
        for n in 1..=4 {
            fs::create_dir(scene.drive(n)).unwrap();
            scene.give(&scene.drive(n), own_uid());
        }
        scene
    }

    fn drive(&self, n: usize) -> PathBuf {
        self.folder.path().join(format!("d{n}"))
    }

    fn give(&self, path: &Path, uid: u32) {
        if rustix::process::geteuid().is_root() {
            everything_below(path, &|path| chown(path, Some(uid), Some(uid)).unwrap());
        }
    }

    /// The directories of a drive take nothing new, or take it again.
    fn close(&self, n: usize, closed: bool) {
        let mode = if closed { 0o555 } else { 0o755 };
        everything_below(&self.drive(n), &|path| {
            if path.is_dir() {
                fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
            }
        });
    }

    fn start(&self) -> Child {
        let mut command = Command::new(&self.binary);
        if rustix::process::geteuid().is_root() {
            command.uid(SOMEBODY).gid(SOMEBODY);
        }
        command
            .args(["server", "--address", "127.0.0.1:0", "--json"])
            .arg(self.folder.path().join("d{1...4}"))
            .env_clear()
            .env("MINIO_ROOT_USER", "rock")
            .env("MINIO_ROOT_PASSWORD", "granite-wall")
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        loop {
            match command.spawn() {
                // A process that another test forks just now still holds the copy open for writing.
                Err(error) if error.kind() == ErrorKind::ExecutableFileBusy => {
                    std::thread::sleep(Duration::from_millis(10));
                }
                started => return started.unwrap(),
            }
        }
    }

    /// The exit code of a start that fails, and what it said.
    fn refused(&self) -> (Option<i32>, String) {
        let output = self.start().wait_with_output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    }

    /// What a start said until it served; the server is stopped again.
    fn told_until_serving(&self) -> String {
        let mut child = self.start();
        let said = BufReader::new(child.stderr.take().unwrap());
        let (lines, heard) = mpsc::channel();
        std::thread::spawn(move || said.lines().map_while(Result::ok).try_for_each(|line| lines.send(line)));
        let mut told = String::new();
        while !told.contains("\"serving\"") {
            let line = heard.recv_timeout(Duration::from_secs(60));
            told += &line.unwrap_or_else(|_| panic!("never served:\n{told}"));
        }
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        assert!(child.wait().unwrap().success());
        told
    }
}

fn own_uid() -> u32 {
    let me = rustix::process::geteuid();
    if me.is_root() { SOMEBODY } else { me.as_raw() }
}

#[test]
fn when_no_drive_can_be_written_each_is_told_with_the_command_that_helps() {
    let scene = Scene::new();
    (1..=4).for_each(|n| scene.close(n, true));
    let (code, told) = scene.refused();
    assert_eq!(code, Some(5), "{told}");
    for n in 1..=4 {
        let cure = format!("chmod -R u+rwX '{}'", scene.drive(n).display());
        assert!(
            told.contains(&cure) && told.contains(&format!("uid {}", own_uid())),
            "{told}"
        );
    }
    if rustix::process::geteuid().is_root() {
        (1..=4).for_each(|n| scene.give(&scene.drive(n), 0));
        let (code, told) = scene.refused();
        let cure = format!("chown -R {SOMEBODY}:{SOMEBODY} '{}'", scene.drive(4).display());
        assert!(code == Some(5) && told.contains(&cure), "{told}");
    }
}

#[test]
fn a_store_is_made_on_all_its_drives_or_not_at_all_and_runs_without_one_later() {
    let scene = Scene::new();
    scene.close(3, true);
    let (code, told) = scene.refused();
    assert_eq!(code, Some(5), "{told}");
    assert!(told.contains(&scene.drive(3).display().to_string()), "{told}");
    // What the first attempt left behind is no hindrance.
    scene.close(3, false);
    assert!(scene.told_until_serving().contains("4 of 4 drives"));
    scene.close(3, true);
    let told = scene.told_until_serving();
    assert!(told.contains("3 of 4 drives, EC:2, 1 more may be lost"), "{told}");
    assert!(
        told.contains("d3 is out: ") && told.contains("Permission denied"),
        "{told}"
    );
    scene.close(3, false);
    assert!(scene.told_until_serving().contains("4 of 4 drives"));
}
