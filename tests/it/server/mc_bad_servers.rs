//! `drystone mc` and servers that fall silent or answer with something else, and what it leaves when it is interrupted.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::binary::text;

const BOUND: Duration = Duration::from_secs(120);

/// What a made-up server does with a request.
enum Deed {
    Answer(String),
    /// Begins to answer, and goes on with nothing.
    Begin(String),
    Silence,
}

/// A server that does as it is told, and tells the first line of every request.
struct Fake {
    address: SocketAddr,
    asked: Receiver<String>,
}

impl Fake {
    fn new(deed: impl Fn(&str) -> Deed + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, asked) = channel();
        let deed = Arc::new(deed);
        // It ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (deed, tell) = (Arc::clone(&deed), tell.clone());
                std::thread::spawn(move || {
                    serve(stream, |head| {
                        let line = head.lines().next().unwrap_or_default().to_owned();
                        drop(tell.send(line));
                        deed(head)
                    })
                });
            }
        });
        Self { address, asked }
    }

    /// Waits for a request whose first line has this in it.
    fn is_asked(&self, what: &str) {
        let begun = Instant::now();
        while let Some(left) = BOUND.checked_sub(begun.elapsed()) {
            match self.asked.recv_timeout(left) {
                Ok(line) if line.contains(what) => return,
                Ok(_) => {}
                Err(_) => break,
            }
        }
        panic!("nobody asked for {what}");
    }
}

fn serve(mut stream: TcpStream, deed: impl Fn(&str) -> Deed) {
    let mut read = Vec::new();
    let mut piece = [0; 64 * 1024];
    loop {
        let end = read.windows(4).position(|four| four == b"\r\n\r\n");
        let Some(end) = end else {
            match stream.read(&mut piece) {
                Ok(length @ 1..) => read.extend_from_slice(&piece[..length]),
                Ok(_) | Err(_) => return,
            }
            continue;
        };
        let head = String::from_utf8_lossy(&read[..end]).to_ascii_lowercase();
        let length = head.split("content-length: ").nth(1);
        let length = length.map_or(0, |text| text.lines().next().unwrap().trim().parse().unwrap());
        let deed = deed(&String::from_utf8_lossy(&read[..end]));
        let answer = match deed {
            Deed::Answer(answer) => answer,
            Deed::Begin(answer) => {
                drop(stream.write_all(answer.as_bytes()));
                return wait_for_its_end(stream);
            }
            Deed::Silence => return wait_for_its_end(stream),
        };
        let whole = end + 4 + length;
        while read.len() < whole {
            match stream.read(&mut piece) {
                Ok(length @ 1..) => read.extend_from_slice(&piece[..length]),
                Ok(_) | Err(_) => return,
            }
        }
        drop(read.drain(..whole));
        if stream.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

fn wait_for_its_end(mut stream: TcpStream) {
    let mut piece = [0; 64 * 1024];
    while let Ok(1..) = stream.read(&mut piece) {}
}

/// The head of an answer with an object in it, or with some of it.
fn object(etag: &str, size: usize, range: Option<(usize, usize)>) -> String {
    let (status, length, range) = match range {
        None => ("200 OK", size, String::new()),
        Some((first, last)) => (
            "206 Partial Content",
            last + 1 - first,
            format!("Content-Range: bytes {first}-{last}/{size}\r\n"),
        ),
    };
    format!(
        "HTTP/1.1 {status}\r\nETag: \"{etag}\"\r\nContent-Length: {length}\r\n{range}\
         Last-Modified: Sat, 21 Nov 2026 14:50:31 GMT\r\nx-amz-request-id: 1\r\n\r\n"
    )
}

fn empty(status: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nx-amz-request-id: 1\r\n\r\n")
}

fn mc(folder: &Path, fake: SocketAddr, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_drystone"));
    command
        .arg("mc")
        .args(arguments)
        .env_clear()
        .env("MC_CONFIG_DIR", folder.join("config"))
        .env("MC_HOST_fake", format!("http://rock:granite-wall@{fake}"))
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn run(folder: &Path, fake: &Fake, arguments: &[&str]) -> Output {
    let arguments = [&["--conn-read-deadline", "1s"], arguments].concat();
    let child = mc(folder, fake.address, &arguments).spawn().unwrap();
    ended(child)
}

/// Waits for its end.
fn ended(mut child: Child) -> Output {
    let begun = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if begun.elapsed() > BOUND {
            drop(child.kill());
            panic!("it does not end: {}", text(&child.wait_with_output().unwrap()));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    child.wait_with_output().unwrap()
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

fn names(folder: &Path) -> Vec<String> {
    let found = fs::read_dir(folder).unwrap().flatten();
    let names = found.map(|file| file.file_name().to_string_lossy().into_owned());
    names.filter(|name| name != "config").collect()
}

fn wait_for(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < BOUND, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_server_that_takes_a_request_and_says_nothing_is_named_and_left() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "x").unwrap();
    let fake = Fake::new(|_| Deed::Silence);
    for line in [
        &["ls", "fake/wall"][..],
        &["stat", "fake/wall/k"],
        &["put", "file", "fake/wall/k"],
        &["admin", "info", "fake"],
    ] {
        let output = run(folder.path(), &fake, line);
        let said = text(&output);
        assert_eq!(output.status.code(), Some(1), "{line:?}: {said}");
        let named = said.contains(&fake.address.to_string()) && said.contains("sent nothing for");
        assert!(named, "{line:?}: {said}");
    }
}

/// A download from a server that falls silent after `came` of the object `a` and then answers with `then`.
fn cut_download(came: &'static str, then: impl Fn(&str) -> Deed + Send + Sync + 'static) -> (Output, Option<String>) {
    let (folder, fake) = cuts(came, then);
    let output = run(folder.path(), &fake, &["get", "fake/wall/k", "out"]);
    let got = fs::read_to_string(folder.path().join("out")).ok();
    let left = names(folder.path());
    assert_eq!(left.len(), usize::from(got.is_some()), "{left:?}");
    (output, got)
}

fn cuts(came: &'static str, then: impl Fn(&str) -> Deed + Send + Sync + 'static) -> (tempfile::TempDir, Fake) {
    let folder = tempfile::tempdir().unwrap();
    let begun = std::sync::atomic::AtomicBool::new(false);
    let fake = Fake::new(move |head| {
        if head.starts_with("HEAD") {
            return Deed::Answer(object("a", 10, None));
        }
        if !begun.swap(true, std::sync::atomic::Ordering::SeqCst) {
            return Deed::Begin(object("a", 10, None) + came);
        }
        then(&head.to_ascii_lowercase())
    });
    (folder, fake)
}

#[test]
fn what_is_shown_goes_on_in_the_same_object_or_ends() {
    let (folder, fake) = cuts("0123", |_| Deed::Answer(object("a", 10, Some((4, 9))) + "456789"));
    let output = run(folder.path(), &fake, &["cat", "fake/wall/k"]);
    assert!(output.status.success(), "{}", text(&output));
    assert_eq!(output.stdout, b"0123456789");
    let (folder, fake) = cuts("0123", |_| Deed::Answer(object("b", 10, Some((4, 9))) + "uvwxyz"));
    let output = run(folder.path(), &fake, &["cat", "fake/wall/k"]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert_eq!(output.stdout, b"0123");
    assert!(
        text(&output).contains("replaced while it was read"),
        "{}",
        text(&output)
    );
}

#[test]
fn a_download_that_stops_goes_on_where_it_ended_and_only_there() {
    let (output, got) = cut_download("0123", |head| {
        assert!(
            head.contains("range: bytes=4-") && head.contains("if-match: \"a\""),
            "{head}"
        );
        Deed::Answer(object("a", 10, Some((4, 9))) + "456789")
    });
    assert!(output.status.success(), "{}", text(&output));
    assert_eq!(got.as_deref(), Some("0123456789"));
    // A server, or a cache, that goes on at another place.
    for range in [(3, 8), (0, 5)] {
        let (output, got) = cut_download("0123", move |_| Deed::Answer(object("a", 10, Some(range)) + "abcdef"));
        assert_eq!(output.status.code(), Some(1), "{}", text(&output));
        assert_eq!(got, None);
    }
}

#[test]
fn a_download_begins_anew_when_another_object_takes_the_place_and_never_mixes_them() {
    let refuses = |head: &str| match head.contains("range: ") {
        true => Deed::Answer(empty("412 Precondition Failed")),
        false => Deed::Answer(object("b", 4, None) + "wxyz"),
    };
    // One that does not know the condition.
    let ignores = |head: &str| match head.contains("range: ") {
        true => Deed::Answer(object("b", 10, Some((4, 9))) + "uvwxyz"),
        false => Deed::Answer(object("b", 4, None) + "wxyz"),
    };
    for (output, got) in [cut_download("0123", refuses), cut_download("0123", ignores)] {
        assert!(output.status.success(), "{}", text(&output));
        assert_eq!(got.as_deref(), Some("wxyz"));
    }
}

fn is_quiet(output: &Output, code: i32) {
    assert_eq!(output.status.code(), Some(code), "{}", text(output));
    assert!(!text(output).contains("ERROR"), "{}", text(output));
}

#[test]
fn an_interrupted_upload_is_taken_back_also_one_that_is_just_being_begun() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("large"), vec![7; 11 << 20]).unwrap();
    let begun = "<InitiateMultipartUploadResult><UploadId>u1</UploadId></InitiateMultipartUploadResult>";
    let begun = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{begun}", begun.len());
    for (at, by, code) in [
        ("PUT /wall/large", Signal::INT, 130),
        ("POST /wall/large", Signal::INT, 130),
        ("PUT /wall/large", Signal::TERM, 143),
    ] {
        let slow = if at.starts_with("POST") { 1_000 } else { 0 };
        let begun = begun.clone();
        let fake = Fake::new(move |head| {
            if head.starts_with("POST") {
                std::thread::sleep(Duration::from_millis(slow));
                Deed::Answer(begun.clone())
            } else if head.starts_with("DELETE") {
                Deed::Answer(empty("204 No Content"))
            } else {
                Deed::Silence
            }
        });
        let line = ["put", "--part-size", "5MiB", "large", "fake/wall/large"];
        let child = mc(folder.path(), fake.address, &line).spawn().unwrap();
        fake.is_asked(at);
        signal(&child, by);
        is_quiet(&ended(child), code);
        fake.is_asked("DELETE /wall/large?uploadId=u1");
    }
}

/// A server that did not answer one of them kept all others from being taken back.
#[test]
fn what_is_known_is_taken_back_though_another_upload_is_never_begun() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("in")).unwrap();
    for name in ["known", "never"] {
        fs::write(folder.path().join("in").join(name), vec![7; 17 << 20]).unwrap();
    }
    let begun = "<InitiateMultipartUploadResult><UploadId>u1</UploadId></InitiateMultipartUploadResult>";
    let begun = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{begun}", begun.len());
    let fake = Fake::new(move |head| {
        if head.starts_with("POST /wall/known?uploads") {
            Deed::Answer(begun.clone())
        } else if head.starts_with("DELETE") {
            Deed::Answer(empty("204 No Content"))
        } else if head.starts_with("HEAD") || head.starts_with("GET") {
            Deed::Answer(empty("404 Not Found"))
        } else {
            Deed::Silence
        }
    });
    let line = ["cp", "--recursive", "in/", "fake/wall/"];
    let mut child = mc(folder.path(), fake.address, &line).spawn().unwrap();
    let (begun, mut asked) = (Instant::now(), Vec::new());
    let is_asked = |asked: &[String], what: &str| asked.iter().any(|line: &String| line.starts_with(what));
    while !(is_asked(&asked, "PUT /wall/known") && is_asked(&asked, "POST /wall/never")) {
        assert!(begun.elapsed() < BOUND, "{asked:?}");
        if let Some(ended) = child.try_wait().unwrap() {
            panic!("{ended}: {}, {asked:?}", text(&child.wait_with_output().unwrap()));
        }
        asked.extend(fake.asked.recv_timeout(Duration::from_millis(20)));
    }
    signal(&child, Signal::INT);
    fake.is_asked("DELETE /wall/known?uploadId=u1");
    // The other is waited for; a second signal ends that.
    signal(&child, Signal::INT);
    is_quiet(&ended(child), 130);
}

#[test]
fn a_watch_asks_for_signs_of_life_before_its_patience_ends() {
    let folder = tempfile::tempdir().unwrap();
    let fake = Fake::new(|_| Deed::Begin("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n \r\n".to_owned()));
    let line = ["--conn-read-deadline", "10s", "watch", "fake/wall"];
    let child = mc(folder.path(), fake.address, &line).spawn().unwrap();
    fake.is_asked("&ping=3&");
    signal(&child, Signal::INT);
    is_quiet(&ended(child), 130);
}

#[test]
fn an_interrupted_download_leaves_nothing_half_written() {
    let folder = tempfile::tempdir().unwrap();
    let fake = Fake::new(|head| match head.starts_with("HEAD") {
        true => Deed::Answer(object("a", 10, None)),
        false => Deed::Begin(object("a", 10, None) + "0123"),
    });
    let child = mc(folder.path(), fake.address, &["get", "fake/wall/k", "out"])
        .spawn()
        .unwrap();
    wait_for("the draft", || names(folder.path()).len() == 1);
    signal(&child, Signal::INT);
    is_quiet(&ended(child), 130);
    assert_eq!(names(folder.path()), [""; 0]);
    // What waits for standard input leaves, too.
    for target in ["./piped", "fake/wall/k"] {
        let mut command = mc(folder.path(), fake.address, &["pipe", target]);
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        input.write_all(b"some").unwrap();
        match target {
            "./piped" => wait_for("the draft", || names(folder.path()).len() == 1),
            // Nothing tells that it waits; whatever it is at, it leaves.
            _ => std::thread::sleep(Duration::from_secs(2)),
        }
        signal(&child, Signal::INT);
        is_quiet(&ended(child), 130);
        drop(input);
        assert_eq!(names(folder.path()), [""; 0]);
    }
}

#[test]
fn what_goes_on_for_ever_leaves_when_it_is_interrupted() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["watched", "source", "target"] {
        fs::create_dir(folder.path().join(name)).unwrap();
    }
    fs::write(folder.path().join("source/first"), "x").unwrap();
    let fake = Fake::new(|_| Deed::Begin("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n \r\n".to_owned()));
    for (line, asked) in [
        (&["admin", "trace", "fake"][..], Some("GET /minio/admin/v3/trace")),
        (&["watch", "fake/wall"], Some("events=")),
        (&["mirror", "--watch", "source", "target"], None),
    ] {
        let child = mc(folder.path(), fake.address, line).spawn().unwrap();
        match asked {
            Some(asked) => fake.is_asked(asked),
            None => wait_for("the first copy", || folder.path().join("target/first").exists()),
        }
        signal(&child, Signal::INT);
        is_quiet(&ended(child), 130);
    }
    let mut child = mc(folder.path(), fake.address, &["watch", "./watched"])
        .spawn()
        .unwrap();
    let mut output = child.stdout.take().unwrap();
    let (tell, told) = channel();
    // Read to its end: `watch` ends by itself when nobody reads it.
    std::thread::spawn(move || {
        while let Ok(1..) = output.read(&mut [0; 1024]) {
            let _heard = tell.send(true);
        }
    });
    wait_for("the first event", || {
        fs::write(folder.path().join("watched/x"), "x").unwrap();
        told.try_recv() == Ok(true)
    });
    signal(&child, Signal::INT);
    is_quiet(&ended(child), 130);
}

#[test]
fn uploads_that_were_begun_are_listed_and_taken_back_by_name_and_by_folder() {
    let folder = tempfile::tempdir().unwrap();
    let upload = |key: &str, id: &str| {
        format!("<Upload><Key>{key}</Key><UploadId>{id}</UploadId><Initiated>2026-01-02T03:04:05Z</Initiated></Upload>")
    };
    let list = format!(
        "<ListMultipartUploadsResult><IsTruncated>false</IsTruncated>{}{}</ListMultipartUploadsResult>",
        upload("in/k", "u1"),
        upload("in/k2", "u2")
    );
    let fake = Fake::new(move |head| match head.starts_with("DELETE") {
        true => Deed::Answer(empty("204 No Content")),
        false => Deed::Answer(format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{list}",
            list.len()
        )),
    });
    let aborted = || -> Vec<String> {
        let lines = fake.asked.try_iter().filter(|line| line.starts_with("DELETE"));
        lines.map(|line| line.split(' ').nth(1).unwrap().to_owned()).collect()
    };
    let good = |line: &[&str]| {
        let output = run(folder.path(), &fake, line);
        assert!(output.status.success(), "{line:?}: {}", text(&output));
        text(&output)
    };
    let listed = good(&["ls", "--incomplete", "fake/wall"]);
    assert!(listed.contains("in/k\n") && listed.contains("in/k2\n"), "{listed}");
    good(&["rm", "-I", "--recursive", "--force", "--dry-run", "fake/wall"]);
    good(&["rm", "-I", "--newer-than", "1d", "fake/wall/in/k"]);
    assert_eq!(aborted(), [""; 0]);
    good(&["rm", "-I", "fake/wall/in/k"]);
    assert_eq!(aborted(), ["/wall/in/k?uploadId=u1"]);
    good(&["rm", "-I", "--recursive", "--force", "fake/wall/in"]);
    assert_eq!(aborted(), ["/wall/in/k?uploadId=u1", "/wall/in/k2?uploadId=u2"]);
}
