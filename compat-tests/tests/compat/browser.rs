//! A real browser: a page of another origin uploads, reads, shows and deletes with presigned links, and reads errors.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use compat_tests::clients::{Client, scripts};
use compat_tests::s3::{Target, plain_http};
use compat_tests::server::Setup;

use crate::stage::{Stage, Test};

const CASES: usize = 7;
/// A browser that starts for the first time on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) fn tests() -> Vec<Test> {
    vec![Test::with(
        Client::Chromium,
        "a_page_in_a_browser_uses_presigned_links",
        page,
    )]
}

/// A process that ends with the test.
struct Browser(Child);

impl Drop for Browser {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn page(stage: &mut Stage) -> Result<()> {
    let server = stage.start()?;
    let second = stage.files.join("second");
    std::fs::create_dir(&second)?;
    let mut closed = Setup::fresh(&second)?;
    closed.environment.push((
        "MINIO_API_CORS_ALLOW_ORIGIN".to_owned(),
        "https://elsewhere.test".to_owned(),
    ));
    let other = closed.start()?;
    let links = links(&stage.setup, &closed)?;

    let listener = TcpListener::bind("127.0.0.1:0").context("a port for the page")?;
    let page = format!("http://{}/", listener.local_addr()?);
    let (reports, reported) = channel();
    let document = std::fs::read(scripts("browser/page.html")?)?;
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(stream) = stream else { return };
            // A browser also opens connections that it never uses: each is served on its own.
            let (document, links, reports) = (document.clone(), links.clone(), reports.clone());
            std::thread::spawn(move || drop(serve(stream, &document, &links, &reports)));
        }
    });
    let report = browse(stage, &page, &reported)?;
    ensure!(
        report.contains(&format!("cases: {CASES} passed of {CASES}")),
        "the page reported:\n{report}"
    );
    other.stop()?;
    server.stop()
}

/// Runs the browser on the page until the page has reported.
fn browse(stage: &Stage, page: &str, reported: &Receiver<String>) -> Result<String> {
    let profile = format!("--user-data-dir={}", stage.files.join("profile").display());
    let mut command = stage.command(&stage.program);
    command
        // Its sandbox needs user namespaces, which root in a container often has not.
        .args([
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
        ])
        .args(["--no-first-run", "--disable-background-networking", &profile, page])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let _browser = Browser(command.spawn().context("starting the browser")?);
    reported
        .recv_timeout(PATIENCE)
        .with_context(|| format!("the page reported nothing for {PATIENCE:?}"))
}

/// The links the page gets, as JSON.
fn links(open: &Setup, closed: &Setup) -> Result<String> {
    for setup in [open, closed] {
        let link = Target::suite(&setup.endpoint())?.link("PUT", "/pages");
        let (status, _) = plain_http("PUT", &format!("{}{link}", setup.endpoint()), b"")?;
        ensure!(status == 200, "making the bucket answered {status}");
    }
    let link = |setup: &Setup, method: &str, key: &str| -> Result<String> {
        let target = Target::suite(&setup.endpoint())?;
        Ok(format!(
            "{}{}",
            setup.endpoint(),
            target.link(method, &format!("/pages/{key}"))
        ))
    };
    let text = serde_json::json!({
        "put_text": link(open, "PUT", "a text")?,
        "get_text": link(open, "GET", "a text")?,
        "delete_text": link(open, "DELETE", "a text")?,
        "put_picture": link(open, "PUT", "picture.png")?,
        "get_picture": link(open, "GET", "picture.png")?,
        "put_large": link(open, "PUT", "large")?,
        "head_large": link(open, "HEAD", "large")?,
        "get_missing": link(open, "GET", "missing")?,
        "closed": link(closed, "GET", "a text")?,
    });
    Ok(text.to_string())
}

/// The page's own server: the page, its links, and the place where it leaves its report. One request a connection.
fn serve(stream: TcpStream, document: &[u8], links: &str, reports: &Sender<String>) -> Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        let Some((name, value)) = header.trim_end().split_once(':') else {
            break;
        };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse()?;
        }
    }
    let (kind, body) = match line.split(' ').nth(1) {
        Some("/") => ("text/html", document),
        Some("/links.json") => ("application/json", links.as_bytes()),
        Some("/report") => {
            let mut report = vec![0; length];
            reader.read_exact(&mut report)?;
            reports.send(String::from_utf8_lossy(&report).into_owned())?;
            ("text/plain", &b""[..])
        }
        _ => ("text/plain", &b""[..]),
    };
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    let mut stream = stream;
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)?;
    Ok(())
}
