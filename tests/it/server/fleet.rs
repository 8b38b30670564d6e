//! Drives added, drained and removed as an operator does it, on the real binary by its command line, while clients use it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;

use super::binary::Running;
use super::stack::{PASSWORD, USER, presigned};

const VARIABLES: [(&str, &str); 2] = [("MINIO_ROOT_USER", USER), ("MINIO_ROOT_PASSWORD", PASSWORD)];

/// One request of a client; the whole answer.
fn client(address: SocketAddr, method: &str, path: &str, body: &str) -> String {
    let host = address.to_string();
    let target = presigned(PASSWORD, method, &host, path);
    let head = format!(
        "{method} {target} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    let mut answer = Vec::new();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body.as_bytes()).unwrap();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

fn admin(address: SocketAddr, arguments: &[&str]) -> Output {
    let endpoint = format!("http://{address}");
    Command::new(env!("CARGO_BIN_EXE_drystone"))
        .args(["admin", "--endpoint", &endpoint, "--json"])
        .args(arguments)
        .env_clear()
        .envs(VARIABLES)
        .output()
        .unwrap()
}

/// The last line of an answer; the command must have been done.
fn done(address: SocketAddr, arguments: &[&str]) -> Value {
    let output = admin(address, arguments);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{arguments:?}: {text}");
    serde_json::from_str(text.lines().last().unwrap()).unwrap()
}

/// Bytes that tell their key.
fn body_of(key: &str) -> String {
    key.repeat(1 + 200_000 / key.len() * usize::from(key.ends_with('0')))
}

fn write_and_read(address: SocketAddr, stop: &AtomicBool) -> (usize, Vec<String>) {
    let (mut turn, mut wrong) = (0, Vec::new());
    while !stop.load(Ordering::Relaxed) {
        turn += 1;
        let path = format!("/load/key-{turn}");
        let put = client(address, "PUT", &path, &body_of(&path));
        let got = client(address, "GET", &path, "");
        if !put.starts_with("HTTP/1.1 200") || !got.ends_with(&body_of(&path)) {
            wrong.push(format!(
                "{path}: {} … {}",
                put.lines().next().unwrap_or_default(),
                got.len()
            ));
        }
    }
    (turn, wrong)
}

fn shard_files(drive: &Path) -> usize {
    let below = |dir: &str| walk(&drive.join(".drystone").join(dir));
    below("log") + below("extent") + below("checkpoint")
}

fn walk(dir: &Path) -> usize {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| if path.is_dir() { walk(&path) } else { 1 }).sum()
}

#[test]
fn an_operator_adds_a_drive_drains_one_and_takes_it_out_and_no_client_notices() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::start(folder.path(), &VARIABLES, &[]);
    let address = running.address;
    assert!(client(address, "PUT", "/load", "").starts_with("HTTP/1.1 200"));
    let path = |n: usize| folder.path().join(format!("d{n}")).to_string_lossy().into_owned();
    let stop = AtomicBool::new(false);
    let (turns, wrong) = std::thread::scope(|scope| {
        let load = scope.spawn(|| write_and_read(address, &stop));
        let operator = || {
            let unmade = admin(address, &["drive", "add", &path(5)]);
            let told = String::from_utf8_lossy(&unmade.stdout).into_owned();
            assert!(!unmade.status.success() && told.contains("no such directory"), "{told}");
            std::fs::create_dir(path(5)).unwrap();
            let added = done(address, &["drive", "add", &path(5)]);
            assert_eq!(added["changed"][0]["path"], path(5));
            let early = admin(address, &["drive", "remove", &path(1)]);
            let told = String::from_utf8_lossy(&early.stdout).into_owned();
            assert!(!early.status.success() && told.contains("drain it first"), "{told}");
            let drained = done(address, &["drive", "drain", &path(1), "--wait"]);
            assert_eq!(drained["drains"][0]["holds_nothing"], true);
            let removed = done(address, &["drive", "remove", &path(1)]);
            assert_eq!(removed["changed"][0]["path"], path(1));
            assert_eq!(shard_files(Path::new(&path(1))), 0);
            assert_eq!(
                done(address, &["parity", "set", "1"])["changed"],
                Value::Array(Vec::new())
            );
            done(address, &["rebalance", "start", "--wait"]);
            let info = done(address, &["info"]);
            let paths: Vec<&str> = info["drives"]
                .as_array()
                .unwrap()
                .iter()
                .filter_map(|d| d["path"].as_str())
                .collect();
            assert_eq!(paths, [path(2), path(3), path(4), path(5)]);
            assert_eq!(info["parity"], 1);
        };
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(operator));
        stop.store(true, Ordering::Relaxed);
        let load = load.join().unwrap();
        outcome.unwrap();
        load
    });
    assert!(wrong.is_empty(), "{wrong:?}");
    assert!(turns > 20, "{turns}");
    for turn in 1..=turns {
        let path = format!("/load/key-{turn}");
        assert!(client(address, "GET", &path, "").ends_with(&body_of(&path)), "{path}");
    }
    assert_eq!(running.stop(), Some(0));
}
