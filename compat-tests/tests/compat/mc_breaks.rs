//! Our own client where the way to the server is bad: connections that break within a body, a server that is away for a
//! moment. And what it does as long as one lets it: a mirror that follows its source, transfers that keep to a rate.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use compat_tests::server::{ACCESS_KEY, SECRET_KEY};
use compat_tests::tree;

use crate::mc::our_mc;
use crate::stage::{Stage, Test, good, refused, same_file};

const MIB: usize = 1024 * 1024;

pub(crate) fn tests() -> Vec<Test> {
    vec![
        Test::alone("our_mc_outlives_connections_that_break", breaks),
        Test::alone("our_mc_waits_for_a_server_that_comes_back", comes_back),
        Test::alone("our_mc_mirrors_what_changes", follows),
        Test::alone("our_mc_keeps_to_rates_and_sends_checksums", rates_and_sums),
        Test::alone("our_mc_removes_local_files", removes),
        Test::alone("our_mc_shows_its_verbs_to_whoever_names_none", shows_verbs),
        Test::alone("our_mc_takes_headers_and_places_of_hosts", headers_and_places),
        Test::alone("our_mc_has_the_server_copy_long_objects_in_parts", copies_in_parts),
    ]
}

fn mc(stage: &Stage, arguments: &[&str]) -> Command {
    let mut command = stage.command(&stage.program);
    command.arg("--config-dir").arg(stage.files.join("mc")).args(arguments);
    command
}

fn alias(stage: &Stage, name: &str, endpoint: &str) -> Result<()> {
    good(&mut mc(
        stage,
        &["alias", "set", name, endpoint, ACCESS_KEY, SECRET_KEY],
    ))
    .map(drop)
}

/// A way to a server on which the first connections break, each after some bytes in one of its directions.
struct BadWay {
    port: u16,
    broken: Arc<AtomicUsize>,
}

impl BadWay {
    fn to(port: u16, breaks: usize, after_bytes: usize) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let own = listener.local_addr()?.port();
        let broken = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&broken);
        // It ends with the test's process.
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(("127.0.0.1", port)) else {
                    continue;
                };
                for (from, to) in [(&client, &server), (&server, &client)] {
                    let (Ok(from), Ok(to)) = (from.try_clone(), to.try_clone()) else {
                        continue;
                    };
                    let count = Arc::clone(&count);
                    std::thread::spawn(move || carry(from, to, &count, breaks, after_bytes));
                }
            }
        });
        Ok(Self { port: own, broken })
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream, broken: &AtomicUsize, breaks: usize, after_bytes: usize) {
    let mut piece = vec![0; 64 * 1024];
    let (mut carried, mut lives_on) = (0, false);
    while let Ok(length) = from.read(&mut piece) {
        let Some(read) = piece.get(..length).filter(|read| !read.is_empty()) else {
            break;
        };
        if to.write_all(read).is_err() {
            break;
        }
        carried += length;
        if carried > after_bytes && !lives_on {
            if broken.fetch_add(1, Ordering::SeqCst) < breaks {
                drop(from.shutdown(Shutdown::Both));
                drop(to.shutdown(Shutdown::Both));
                return;
            }
            // Enough have broken.
            lives_on = true;
        }
    }
    drop(to.shutdown(Shutdown::Write));
}

fn breaks(stage: &mut Stage) -> Result<()> {
    stage.program = our_mc(stage)?;
    let server = stage.start()?;
    let large = tree::bytes(7, 40 * MIB + 3);
    stage.file("large", &large)?;
    for (name, line) in [
        ("up", ["cp", "large", "up/broken/large"]),
        ("down", ["cp", "down/broken/large", "got"]),
    ] {
        let way = BadWay::to(stage.setup.port, 5, 3 * MIB)?;
        alias(stage, name, &format!("http://127.0.0.1:{}", way.port))?;
        good(&mut mc(stage, &["mb", "--ignore-existing", &format!("{name}/broken")]))?;
        good(&mut mc(stage, &line))?;
        let broken = way.broken.load(Ordering::SeqCst);
        ensure!(broken >= 3, "only {broken} connections broke on the way {name}");
    }
    same_file(&stage.files.join("got"), &large)?;
    server.stop()
}

fn comes_back(stage: &mut Stage) -> Result<()> {
    stage.program = our_mc(stage)?;
    let server = stage.start()?;
    alias(stage, "s", &stage.setup.endpoint())?;
    good(&mut mc(stage, &["mb", "s/away"]))?;
    let many = stage.files.join("many");
    tree::write(&many, 300, &[])?;
    let mut mirror = Running::start(mc(stage, &["--limit-upload", "300KiB/s", "mirror", "many", "s/away"]))?;
    wait_for("the first objects", || {
        let listed = good(&mut mc(stage, &["ls", "--recursive", "s/away"]))?;
        Ok(listed.text().lines().count() >= 5)
    })?;
    server.stop()?;
    sleep(Duration::from_secs(1));
    let server = stage.start()?;
    let ended = mirror.0.wait()?;
    ensure!(ended.success(), "the mirror ended with {ended}");
    good(&mut mc(stage, &["mirror", "s/away", "back"]))?;
    tree::same(&many, &stage.files.join("back"))?;
    server.stop()?;
    // Nobody waits for a server that was never there.
    let begun = Instant::now();
    stage.file("one", b"x")?;
    refused("refused", &mut mc(stage, &["put", "one", "s/away/x"]))?;
    ensure!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    Ok(())
}

/// A command that goes on; ends with the test.
struct Running(Child);

impl Running {
    fn start(mut command: Command) -> Result<Self> {
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Self(child))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn wait_for(what: &str, mut is_so: impl FnMut() -> Result<bool>) -> Result<()> {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(60) {
        if is_so()? {
            return Ok(());
        }
        sleep(Duration::from_millis(200));
    }
    bail!("waited in vain for {what}")
}

fn follows(stage: &mut Stage) -> Result<()> {
    stage.program = our_mc(stage)?;
    let server = stage.start()?;
    alias(stage, "s", &stage.setup.endpoint())?;
    stage.file("source/old", b"old")?;
    good(&mut mc(stage, &["mb", "s/follow"]))?;
    let line = ["mirror", "--watch", "--remove", "--overwrite", "source", "s/follow/to"];
    let _mirror = Running::start(mc(stage, &line))?;
    let holds = |key: &str, content: &str| {
        let key = format!("s/follow/to/{key}");
        wait_for(&key, || {
            let mut cat = mc(stage, &["cat", &key]);
            Ok(cat
                .output()
                .is_ok_and(|said| said.status.success() && said.stdout == content.as_bytes()))
        })
    };
    holds("old", "old")?;
    stage.file("source/deep/er/new", b"new")?;
    holds("deep/er/new", "new")?;
    stage.file("source/old", b"newer")?;
    holds("old", "newer")?;
    fs::remove_file(stage.files.join("source/old"))?;
    wait_for("the removal", || {
        Ok(!mc(stage, &["stat", "s/follow/to/old"]).output()?.status.success())
    })?;
    holds("deep/er/new", "new")?;
    server.stop()
}

fn rates_and_sums(stage: &mut Stage) -> Result<()> {
    stage.program = our_mc(stage)?;
    let server = stage.start()?;
    alias(stage, "s", &stage.setup.endpoint())?;
    good(&mut mc(stage, &["mb", "s/sums"]))?;
    let (small, large) = (tree::bytes(3, 10_000), tree::bytes(4, 11 * MIB));
    stage.file("small", &small)?;
    stage.file("large", &large)?;
    for kind in ["CRC64NVME", "CRC32", "crc32c", "SHA1", "SHA256"] {
        good(&mut mc(stage, &["cp", "--checksum", kind, "small", "s/sums/small"]))?;
        let part = [
            "put",
            "--checksum",
            kind,
            "--part-size",
            "5MiB",
            "--parallel",
            "2",
            "large",
            "s/sums/large",
        ];
        good(&mut mc(stage, &part))?;
        let stat = good(&mut mc(stage, &["--json", "stat", "s/sums/large"]))?.text();
        ensure!(stat.contains("-3\""), "three parts were asked for: {stat}");
    }
    good(&mut mc(stage, &["cp", "s/sums/large", "s/sums/small", "got/"]))?;
    same_file(&stage.files.join("got/small"), &small)?;
    same_file(&stage.files.join("got/large"), &large)?;
    refused("MD5", &mut mc(stage, &["cp", "--checksum", "MD5", "small", "s/sums/x"]))?;
    for line in [
        ["--limit-upload", "4MiB/s", "cp", "large", "s/sums/slow"],
        ["--limit-download", "4MiB/s", "cp", "s/sums/large", "slow"],
    ] {
        let begun = Instant::now();
        good(&mut mc(stage, &line))?;
        let took = begun.elapsed();
        ensure!(took > Duration::from_secs(2), "{line:?} took {took:?}: no bound");
    }
    same_file(&stage.files.join("slow"), &large)?;
    refused("rate", &mut mc(stage, &["--limit-upload", "fast", "ls"]))?;
    server.stop()
}

fn removes(stage: &mut Stage) -> Result<()> {
    stage.program = our_mc(stage)?;
    let here = |name: &str| stage.files.join(name).exists();
    for name in ["one", "tree/a/x", "tree/y"] {
        stage.file(name, b"x")?;
    }
    good(&mut mc(stage, &["rm", "./one"]))?;
    ensure!(!here("one"), "a file is removed");
    refused("not found", &mut mc(stage, &["rm", "./one"]))?;
    refused("folder", &mut mc(stage, &["rm", "./tree"]))?;
    let young = ["rm", "--recursive", "--force", "--older-than", "1d", "./tree"];
    good(&mut mc(stage, &young))?;
    good(&mut mc(stage, &["rm", "--recursive", "--force", "--dry-run", "./tree"]))?;
    ensure!(
        here("tree/a/x") && here("tree/y"),
        "nothing is removed that is not wanted"
    );
    let said = good(&mut mc(stage, &["--json", "rm", "--recursive", "--force", "./tree"]))?.text();
    ensure!(said.lines().count() == 2, "{said}");
    ensure!(!here("tree"), "a folder is removed with what is in it");
    Ok(())
}

fn shows_verbs(stage: &mut Stage) -> Result<()> {
    stage.program = our_mc(stage)?;
    for (line, verb) in [
        (vec!["admin"], "prometheus"),
        (vec!["admin", "user"], "svcacct"),
        (vec!["tag"], "remove"),
    ] {
        let said = good(&mut mc(stage, &line))?.text();
        ensure!(said.contains(verb), "{line:?}: {said}");
    }
    // As in MinIO's client: what has no word at all is no question.
    let alone = stage.command(&stage.program).output()?;
    ensure!(!alone.status.success(), "a bare mc");
    Ok(())
}

fn headers_and_places(stage: &mut Stage) -> Result<()> {
    stage.program = our_mc(stage)?;
    let server = stage.start()?;
    stage.file("f", b"x")?;
    let port = stage.setup.port;
    let (place, host) = (
        format!("store.invalid:{port}=127.0.0.1"),
        format!("http://store.invalid:{port}"),
    );
    let there = ["--resolve", &place, "--custom-header", "X-Amz-Meta-From: home"];
    let run = |line: &[&str]| good(mc(stage, &there).args(line));
    run(&["alias", "set", "s", &host, ACCESS_KEY, SECRET_KEY])?;
    run(&["mb", "s/headers"])?;
    run(&["cp", "f", "s/headers/f"])?;
    let stat = run(&["--json", "stat", "s/headers/f"])?.text();
    ensure!(stat.contains(r#""X-Amz-Meta-From":"home""#), "{stat}");
    refused("name:value", &mut mc(stage, &["-H", "nothing", "ls"]))?;
    refused("10.0.0.1", &mut mc(stage, &["--resolve", "a=b", "ls"]))?;
    server.stop()
}

/// A server that has one object of 6 GiB, by its own account, and remembers what it was asked.
fn server_of_a_long_object(seen: Arc<Mutex<Vec<String>>>) -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    // It ends with the test's process.
    std::thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let Ok(request) = request(&mut client) else { continue };
            let line = request.lines().next().unwrap_or_default().to_owned();
            let (status, headers, body) = answer(&line);
            seen.lock().unwrap_or_else(PoisonError::into_inner).push(request);
            let length = if headers.is_empty() {
                format!("Content-Length: {}\r\n", body.len())
            } else {
                headers
            };
            drop(write!(
                client,
                "HTTP/1.1 {status}\r\nx-amz-request-id: 1\r\n{length}Connection: close\r\n\r\n{body}"
            ));
        }
    });
    Ok(port)
}

fn request(client: &mut TcpStream) -> Result<String> {
    let mut read = Vec::new();
    let mut byte = [0];
    while !read.ends_with(b"\r\n\r\n") {
        client.read_exact(&mut byte)?;
        read.extend(byte);
    }
    let head = String::from_utf8_lossy(&read).to_lowercase();
    let length = head
        .split_once("content-length: ")
        .and_then(|(_, rest)| rest.split("\r\n").next()?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    client.read_exact(&mut body)?;
    read.extend(body);
    Ok(String::from_utf8_lossy(&read).into_owned())
}

fn answer(line: &str) -> (&'static str, String, String) {
    let xml = |body: &str| ("200 OK", String::new(), body.to_owned());
    if line.starts_with("HEAD /b/big") {
        let headers = "Content-Length: 6442450944\r\nETag: \"abc-12\"\r\nContent-Type: text/x\r\n\
            X-Amz-Meta-One: 1\r\nLast-Modified: Sat, 21 Nov 2026 14:50:31 GMT\r\n";
        return ("200 OK", headers.to_owned(), String::new());
    }
    match line {
        line if line.starts_with("HEAD") => ("404 Not Found", String::new(), String::new()),
        line if line.contains("list-type") => {
            xml("<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>")
        }
        line if line.contains("uploads=") => xml("<R><UploadId>id</UploadId></R>"),
        line if line.contains("partNumber=") => xml("<CopyPartResult><ETag>\"part\"</ETag></CopyPartResult>"),
        _ => xml("<CompleteMultipartUploadResult/>"),
    }
}

fn copies_in_parts(stage: &mut Stage) -> Result<()> {
    stage.program = our_mc(stage)?;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let port = server_of_a_long_object(Arc::clone(&seen))?;
    let mut copy = mc(stage, &["cp", "x/b/big", "x/b/copy"]);
    good(copy.env("MC_HOST_x", format!("http://access:secret-key@127.0.0.1:{port}")))?;
    let seen = seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let parts: Vec<&String> = seen.iter().filter(|request| request.contains("partNumber=")).collect();
    ensure!(parts.len() == 12, "{} parts of 512 MiB", parts.len());
    for (first, last) in (0..12_u64).map(|at| (at << 29, ((at + 1) << 29) - 1)) {
        let range = format!("x-amz-copy-source-range: bytes={first}-{last}\r\n");
        ensure!(
            parts.iter().filter(|part| part.contains(&range)).count() == 1,
            "{range}"
        );
    }
    let same = |part: &&String| part.contains("x-amz-copy-source-if-match: \"abc-12\"");
    ensure!(parts.iter().all(same), "every part must be of the same object");
    let begun = seen.iter().find(|request| request.contains("uploads="));
    ensure!(
        begun.is_some_and(|request| request.contains("x-amz-meta-one: 1")),
        "metadata goes with it"
    );
    let ended = seen
        .last()
        .is_some_and(|request| request.matches("<PartNumber>").count() == 12);
    ensure!(ended, "the upload is completed with all parts: {:?}", seen.last());
    Ok(())
}
