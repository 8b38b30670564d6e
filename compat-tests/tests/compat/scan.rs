//! What is uploaded is scanned by a real clamd.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use compat_tests::clamd::{self, Clamd, EICAR, STREAM_BYTES_MAX};
use compat_tests::clients::in_ci;
use compat_tests::s3::told_http;
use compat_tests::server::free_port;
use serde_json::{Value, json};

use crate::files::project;
use crate::stage::{LIMIT, Stage, Test};

pub(crate) fn tests() -> Vec<Test> {
    vec![Test::alone("a_real_clamd_scans_what_is_uploaded", scanned)]
}

/// Whether the test is left out for want of a scanner; in CI it is not.
fn left_out() -> Result<bool> {
    match clamd::missing() {
        None => Ok(false),
        Some(why) if in_ci() => bail!("{why}"),
        Some(why) => {
            println!("skipped: {why}");
            Ok(true)
        }
    }
}

/// The text at a place of a document; none: empty.
fn text<'v>(document: &'v Value, pointer: &str) -> &'v str {
    document.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The server of an app, with its secret key.
struct App<'s> {
    stage: &'s Stage,
    key: String,
}

impl App<'_> {
    fn ask(&self, method: &str, path: &str, body: &[u8]) -> Result<(u16, Vec<u8>)> {
        let url = format!("{}/v1/files{path}", self.stage.setup.endpoint());
        let headers = [
            ("x-api-key", self.key.as_str()),
            ("content-type", "application/octet-stream"),
        ];
        told_http(method, &url, &headers, body)
    }

    fn document(&self, method: &str, path: &str, body: &[u8]) -> Result<(u16, Value)> {
        let (status, body) = self.ask(method, path, body)?;
        Ok((status, serde_json::from_slice(&body).unwrap_or(Value::Null)))
    }

    /// Uploads a file; its id.
    fn upload(&self, body: &[u8]) -> Result<String> {
        let (status, told) = self.document("POST", "/upload?filename=a.bin", body)?;
        ensure!(status == 201, "{status} {told}");
        Ok(text(&told, "/id").to_owned())
    }

    fn becomes(&self, id: &str, wanted: &str) -> Result<Value> {
        let begun = Instant::now();
        loop {
            let (status, told) = self.document("GET", &format!("/{id}"), b"")?;
            if text(&told, "/status") == wanted {
                return Ok(told);
            }
            ensure!(
                status == 200 && begun.elapsed() < LIMIT,
                "not {wanted}: {status} {told}"
            );
            sleep(Duration::from_millis(100));
        }
    }

    fn reads(&self, id: &str) -> Result<u16> {
        Ok(self.ask("GET", &format!("/{id}/content"), b"")?.0)
    }
}

fn scanned(stage: &mut Stage) -> Result<()> {
    if left_out()? {
        return Ok(());
    }
    let (port, folder) = (free_port()?, stage.files.join("clamd"));
    stage.setup.environment = vec![("DRYSTONE_SCAN".to_owned(), format!("clamd:127.0.0.1:{port}"))];
    let server = stage.start()?;
    let app = App {
        stage,
        key: project(stage)?.secret().to_owned(),
    };
    let eicar = EICAR.concat().into_bytes();
    // It is not there yet: everything waits, and nobody reads.
    let (good, bad) = (app.upload(b"some words")?, app.upload(&eicar)?);
    ensure!(
        (app.reads(&good)?, app.reads(&bad)?) == (423, 423),
        "what waits is read"
    );
    let clamd = Clamd::start(&folder, Some(port))?;
    app.becomes(&good, "active")?;
    ensure!(app.reads(&good)? == 200, "what is clean is read");
    let found = app.becomes(&bad, "quarantined")?;
    let name = text(&found, "/scan/signature");
    ensure!(name.starts_with("Eicar-Test-Signature"), "{found}");
    ensure!(app.reads(&bad)? == 423, "what is in quarantine is read");
    // Deep in many pieces, and nothing at all.
    let deep = app.upload(&[vec![b'x'; 1_500_000], eicar.clone(), vec![b'y'; 100_000]].concat())?;
    app.becomes(&deep, "quarantined")?;
    let empty = app.upload(b"")?;
    app.becomes(&empty, "active")?;
    let clean = app.upload(&vec![b'z'; STREAM_BYTES_MAX - 1])?;
    app.becomes(&clean, "active")?;
    // More than it takes: it says so, and hangs up.
    let large = app.upload(&vec![b'z'; 3 * STREAM_BYTES_MAX])?;
    let large = app.becomes(&large, "quarantined")?;
    ensure!(text(&large, "/scan/verdict") == "too-large", "{large}");
    let reason = json!({ "reason": "it is the test file" }).to_string();
    let (status, told) = app.document("POST", &format!("/{bad}/release"), reason.as_bytes())?;
    ensure!(status == 200 && text(&told, "/status") == "active", "{status} {told}");
    ensure!(
        app.ask("GET", &format!("/{bad}/content"), b"")? == (200, eicar),
        "released bytes"
    );
    drop(clamd);
    let waits = app.upload(b"more words")?;
    ensure!(app.reads(&waits)? == 423, "what waits is read");
    let _clamd = Clamd::start(&folder, Some(port))?;
    app.becomes(&waits, "active")?;
    server.stop()
}
