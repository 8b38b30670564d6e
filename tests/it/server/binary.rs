//! The binary's own words: what it answers to a wrong command line or environment, and that it never tells a secret.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output};
use std::time::Duration;

pub(super) fn drystone(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_drystone"))
        .args(arguments)
        .env_clear()
        .envs(variables.iter().copied())
        .output()
        .unwrap()
}

pub(super) fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

#[test]
fn a_wrong_command_line_or_environment_is_exit_code_2_with_the_cure() {
    type Case<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)], &'a str);
    let table: [Case<'_>; 7] = [
        (&["server", "/data", "--ftp=x"], &[], "--ftp"),
        (&["server"], &[], "MINIO_VOLUMES"),
        (&["server", "/data{1..4}"], &[], "three dots"),
        (&["server", "/data", "--address", "nonsense"], &[], "HOST:PORT"),
        (
            &["server", "/data"],
            &[("MINIO_ROOT_USER", "ab"), ("MINIO_ROOT_PASSWORD", "12345678")],
            "at least 3",
        ),
        (
            &["server", "/data"],
            &[("MINIO_ROOT_USER", "abc"), ("MINIO_ROOT_PASSWORD", "1234567")],
            "at least 8",
        ),
        (
            &["server", "/data"],
            &[("MINIO_ROOT_USER", "abc")],
            "MINIO_ROOT_PASSWORD is not",
        ),
    ];
    for (arguments, variables, cure) in table {
        let output = drystone(arguments, variables);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", text(&output));
        assert!(text(&output).contains(cure), "{arguments:?}: {}", text(&output));
    }
}

#[test]
fn the_version_is_told() {
    let version = drystone(&["--version"], &[]);
    assert!(
        version.status.success() && text(&version).contains(env!("CARGO_PKG_VERSION")),
        "{}",
        text(&version)
    );
}

/// A server on drives of its own; killed when the test ends without having stopped it.
pub(super) struct Running {
    child: Child,
    pub(super) address: SocketAddr,
    log: PathBuf,
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

const CANARY: &str = "canary-7f3a-granite";

impl Running {
    pub(super) fn start(folder: &Path, variables: &[(&str, &str)], flags: &[&str]) -> Self {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let log = folder.join("log");
        let child = Command::new(env!("CARGO_BIN_EXE_drystone"))
            .arg("server")
            .arg(folder.join("d{1...4}"))
            .args(["--address", &address.to_string()])
            .args(flags)
            .env_clear()
            .envs(variables.iter().copied())
            .stdout(std::fs::File::create(folder.join("out")).unwrap())
            .stderr(std::fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let running = Self { child, address, log };
        assert!(running.becomes_ready(), "not ready:\n{}", running.told());
        running
    }

    fn becomes_ready(&self) -> bool {
        (0..300).any(|_| {
            std::thread::sleep(Duration::from_millis(100));
            ask(self.address, "/minio/health/cluster").starts_with("HTTP/1.1 200")
        })
    }

    fn told(&self) -> String {
        let read = |path: &Path| std::fs::read_to_string(path).unwrap_or_default();
        format!("{}{}", read(&self.log), read(&self.log.with_file_name("out")))
    }

    /// The most memory that the process itself has had, in bytes.
    pub(super) fn memory_peak(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        peak.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
    }

    /// SIGTERM, and the exit code.
    pub(super) fn stop(mut self) -> Option<i32> {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.child.wait().unwrap().code()
    }
}

fn ask(address: SocketAddr, path: &str) -> String {
    let Ok(mut stream) = TcpStream::connect(address) else {
        return String::new();
    };
    let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    let mut answer = Vec::new();
    drop(
        stream
            .write_all(request.as_bytes())
            .and_then(|()| stream.read_to_end(&mut answer)),
    );
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn a_server_starts_on_new_drives_says_where_it_stands_and_stops_cleanly_on_sigterm() {
    let folder = tempfile::tempdir().unwrap();
    let variables = [
        ("MINIO_ROOT_USER", "rock"),
        ("MINIO_ROOT_PASSWORD", CANARY),
        ("MINIO_DEFAULT_BUCKETS", "wall"),
        ("MINIO_TYPO_ONE", "1"),
        ("MINIO_TYPO_TWO", "2"),
        ("DRYSTONE_LOG", "trace"),
    ];
    for _ in 0..2 {
        let running = Running::start(folder.path(), &variables, &[]);
        assert!(ask(running.address, "/wall?token=secret-token").starts_with("HTTP/1.1 403"));
        let told = running.told();
        assert_eq!(told.matches("MINIO_TYPO_ONE, MINIO_TYPO_TWO").count(), 1, "{told}");
        assert!(told.contains("4 of 4 drives, EC:2, 2 more may be lost"), "{told}");
        assert!(!told.contains(CANARY) && !told.contains("secret-token"), "{told}");
        let log = running.log.clone();
        assert_eq!(running.stop(), Some(0), "{}", std::fs::read_to_string(log).unwrap());
    }
}

#[test]
fn a_second_server_on_the_same_port_says_that_the_port_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::start(folder.path(), &[], &["--json"]);
    let other = tempfile::tempdir().unwrap();
    let output = drystone(
        &[
            "server",
            other.path().to_str().unwrap(),
            "--address",
            &running.address.to_string(),
        ],
        &[("MINIO_ROOT_USER", "rock"), ("MINIO_ROOT_PASSWORD", CANARY)],
    );
    assert_eq!(output.status.code(), Some(3), "{}", text(&output));
    assert!(text(&output).contains("taken by another program") && text(&output).contains("--address"));
    assert_eq!(
        std::fs::read_dir(other.path()).unwrap().count(),
        0,
        "a start that failed has touched the drive"
    );
    for line in std::fs::read_to_string(&running.log).unwrap().lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(line.get("message").is_some() && line.get("level").is_some(), "{line}");
    }
    assert_eq!(running.stop(), Some(0));
}

#[test]
fn generated_credentials_are_kept_and_not_told_to_a_log() {
    let folder = tempfile::tempdir().unwrap();
    let address = "0.0.0.0:0";
    let start = || {
        let mut child = Command::new(env!("CARGO_BIN_EXE_drystone"))
            .arg("server")
            .arg(folder.path().join("d{1...4}"))
            .args(["--address", address])
            .env_clear()
            .stdout(std::fs::File::create(folder.path().join("out")).unwrap())
            .stderr(std::fs::File::create(folder.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        let file = |number: usize| folder.path().join(format!("d{number}/.drystone/credentials"));
        let kept = (0..300).any(|_| {
            std::thread::sleep(Duration::from_millis(100));
            let out = std::fs::read_to_string(folder.path().join("out")).unwrap();
            out.contains("drives") && (1..=4).all(|number| file(number).exists())
        });
        drop(child.kill());
        drop(child.wait());
        let log = std::fs::read_to_string(folder.path().join("log")).unwrap();
        assert!(kept, "{log}");
        let text = std::fs::read_to_string(file(3)).unwrap();
        let password = text
            .lines()
            .find_map(|line| line.strip_prefix("MINIO_ROOT_PASSWORD="))
            .unwrap()
            .to_owned();
        let told = log + &std::fs::read_to_string(folder.path().join("out")).unwrap();
        assert!(
            told.contains(".drystone/credentials") && !told.contains(&password),
            "{told}"
        );
        password
    };
    assert_eq!(start(), start());
}

#[test]
fn a_folder_of_other_software_is_refused_untouched() {
    let folder = tempfile::tempdir().unwrap();
    let drive = folder.path().join("d1");
    std::fs::create_dir_all(drive.join(".minio.sys")).unwrap();
    let output = drystone(
        &["server", drive.to_str().unwrap(), "--address", "127.0.0.1:0"],
        &[("MINIO_ROOT_USER", "rock"), ("MINIO_ROOT_PASSWORD", CANARY)],
    );
    assert_eq!(output.status.code(), Some(4), "{}", text(&output));
    assert!(text(&output).contains("minio"), "{}", text(&output));
    assert_eq!(std::fs::read_dir(&drive).unwrap().count(), 1);
}

/// What the server says and its exit code when it does not start on these drives.
fn refused(paths: &[&Path], flags: &[&str]) -> (Option<i32>, String) {
    let mut arguments = vec!["server", "--address", "127.0.0.1:0"];
    arguments.extend(paths.iter().map(|path| path.to_str().unwrap()));
    arguments.extend(flags);
    let output = drystone(
        &arguments,
        &[("MINIO_ROOT_USER", "rock"), ("MINIO_ROOT_PASSWORD", CANARY)],
    );
    (output.status.code(), text(&output))
}

#[test]
fn a_path_that_cannot_be_a_drive_is_refused_with_the_cure() {
    let folder = tempfile::tempdir().unwrap();
    let (file, buckets) = (folder.path().join("file"), folder.path().join("data"));
    std::fs::write(&file, "").unwrap();
    std::fs::create_dir_all(buckets.join("uploads")).unwrap();
    let (code, told) = refused(&[&file], &[]);
    assert!(code == Some(4) && told.contains("not a directory"), "{told}");
    assert!(!told.contains("chown"), "{told}");
    let (code, told) = refused(&[&buckets], &[]);
    assert!(
        code == Some(4) && told.contains("\"uploads\"") && told.contains("MINIO_DEFAULT_BUCKETS"),
        "{told}"
    );
}

#[test]
fn a_taken_console_port_is_told_by_its_own_flag() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, told) = refused(&[&folder.path().join("d")], &["--console-address", &address]);
    assert!(
        code == Some(3) && told.contains("another port with --console-address"),
        "{told}"
    );
}

#[test]
fn drives_of_two_stores_are_told_by_their_paths() {
    let [one, two] = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    for folder in [&one, &two] {
        assert_eq!(Running::start(folder.path(), &[], &[]).stop(), Some(0));
    }
    let foreign = two.path().join("d2");
    let own: Vec<_> = [1, 3, 4].map(|n| one.path().join(format!("d{n}"))).into();
    let (code, told) = refused(&[&own[0], &foreign, &own[1], &own[2]], &[]);
    let alone = format!("{} of store ", foreign.display());
    assert!(code == Some(4) && told.contains(&alone), "{told}");
    assert!(!told.contains(&format!(", {alone}")), "{told}");
}

#[test]
fn what_a_store_keeps_from_the_day_it_was_made_is_not_passed_over_in_silence() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(Running::start(folder.path(), &[], &[]).stop(), Some(0));
    let fifth = folder.path().join("fifth");
    let parity = [("MINIO_STORAGE_CLASS_STANDARD", "EC:1")];
    let running = Running::start(folder.path(), &parity, &[fifth.to_str().unwrap()]);
    let told = running.told();
    assert!(
        told.contains("EC:1 has no effect: the store was made with EC:2"),
        "{told}"
    );
    assert!(
        told.contains("this path is not used") && told.contains("fifth"),
        "{told}"
    );
    assert_eq!(running.stop(), Some(0));
    assert!(!fifth.exists());
}
