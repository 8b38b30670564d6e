//! A real browser: pages of another origin upload, read, show and delete with presigned links and forms, and read errors.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use compat_tests::clients::{Client, scripts};
use compat_tests::s3::{Target, plain_http};
use compat_tests::server::Setup;

use crate::scripts::told;
use crate::stage::{Stage, Test, good};

/// Cases of the page with links.
const LINK_CASES: usize = 7;
/// Cases of the page with forms.
const FORM_CASES: usize = 6;
/// A browser that starts for the first time on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) fn tests() -> Vec<Test> {
    vec![
        Test::with(Client::Chromium, "a_page_in_a_browser_uses_presigned_links", page),
        Test::with_all(
            &[Client::Chromium, Client::AwsSdkJs],
            "a_page_in_a_browser_uploads_by_presigned_forms",
            forms,
        ),
    ]
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
    keep_pages_out(&mut closed);
    let other = closed.start()?;
    let links = links(&stage.setup, &closed)?;
    let listener = TcpListener::bind("127.0.0.1:0").context("a port for the page")?;
    let report = browse(stage, listener, "browser/page.html", links)?;
    passed(&report, LINK_CASES)?;
    other.stop()?;
    server.stop()
}

/// The forms are presigned by the SDK that the server of such a page would use. Only one bucket has rules for the page.
fn forms(stage: &mut Stage) -> Result<()> {
    keep_pages_out(&mut stage.setup);
    let server = stage.start()?;
    let listener = TcpListener::bind("127.0.0.1:0").context("a port for the page")?;
    let mut command = stage.command(Path::new("node"));
    command
        .env("COMPAT_MODULES", Client::AwsSdkJs.fetch()?)
        .env("COMPAT_PAGE", format!("http://{}", listener.local_addr()?))
        .arg(scripts("browser/forms.mjs")?);
    let forms = good(told(&mut command, stage))?.text();
    let report = browse(stage, listener, "browser/forms.html", forms)?;
    passed(&report, FORM_CASES)?;
    let endpoint = stage.setup.endpoint();
    let look = |path: &str| {
        plain_http(
            "GET",
            &format!("{endpoint}{}", Target::suite(&endpoint)?.link("GET", path)),
            b"",
        )
    };
    // A browser asks nobody before it sends a form: rules say what a page may read, not what it may write.
    let (status, body) = look("/unruled/unread/notes.txt")?;
    ensure!(
        status == 200 && body == "from a form, ünïcode".as_bytes(),
        "the form without rules: {status}"
    );
    for path in [
        "/ruled/pictures/huge.png",
        "/ruled/pictures/notes.txt",
        "/ruled/pictures/../other",
        "/unruled/temporary/notes.txt",
    ] {
        let (status, _) = look(path)?;
        ensure!(status == 404, "{path} was refused, and answers {status}");
    }
    server.stop()
}

/// Has the operator name another origin than any page's.
fn keep_pages_out(setup: &mut Setup) {
    let origin = ("MINIO_API_CORS_ALLOW_ORIGIN", "https://elsewhere.test");
    setup.environment.push((origin.0.to_owned(), origin.1.to_owned()));
}

fn passed(report: &str, cases: usize) -> Result<()> {
    ensure!(
        report.contains(&format!("cases: {cases} passed of {cases}")),
        "the page reported:\n{report}"
    );
    Ok(())
}

/// Serves the page with its links and runs the browser on it until it has reported.
fn browse(stage: &Stage, listener: TcpListener, document: &str, links: String) -> Result<String> {
    let page = format!("http://{}/", listener.local_addr()?);
    let (reports, reported) = channel();
    let site = Arc::new(Site {
        document: std::fs::read(scripts(document)?)?,
        cases: std::fs::read(scripts("browser/cases.js")?)?,
        links,
    });
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(stream) = stream else { return };
            // A browser also opens connections that it never uses: each is served on its own.
            let (site, reports) = (Arc::clone(&site), reports.clone());
            std::thread::spawn(move || drop(serve(stream, &site, &reports)));
        }
    });
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
        .args(["--no-first-run", "--disable-background-networking", &profile, &page])
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

/// What the page's own server has.
struct Site {
    document: Vec<u8>,
    cases: Vec<u8>,
    /// JSON.
    links: String,
}

/// The page's own server: the page, its links, and the place where it leaves its report. One request a connection.
fn serve(stream: TcpStream, site: &Site, reports: &Sender<String>) -> Result<()> {
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
        Some("/") => ("text/html", site.document.as_slice()),
        Some("/cases.js") => ("text/javascript", site.cases.as_slice()),
        Some("/links.json") => ("application/json", site.links.as_bytes()),
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
