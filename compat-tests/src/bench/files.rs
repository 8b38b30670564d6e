//! Files of apps, as an app's server asks for them: announced, sent to the addresses given out, and listed.

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use http::{Method, Request};
use http_body_util::Full;
use serde_json::{Value, json};

use super::CONNECTIONS;
use super::load::{Answers, Run, send};
use super::machine::cpu_seconds;
use super::table::Table;
use super::work::Scale;
use crate::s3::Target;
use crate::tree;

const SIZE: usize = 4_096;
/// How the bytes of a PNG begin.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";
/// Pages asked for with each filter.
const PAGES: usize = 200;
/// What lists are asked for, after `total=false&limit=20`.
const FILTERS: [(&str, &str); 7] = [
    ("all", ""),
    ("logical bucket", "&bucket=images"),
    ("type", "&mimeType=image/*"),
    (
        "logical bucket and category, by name",
        "&bucket=images&category=exports&sortBy=originalName&sortDirection=asc",
    ),
    ("search in names", "&search=photo-00042"),
    ("search in names, by name", "&search=42&sortBy=originalName"),
    ("sizes, by size", "&sizeMin=90&sizeMax=110&sortBy=size"),
];

/// Of files: milliseconds of the slowest filter's median page.
#[derive(Debug, Clone, Copy)]
pub(super) struct FilesFigures {
    pub(super) slowest_page_ms: f64,
}

/// An app's server.
struct App<'t> {
    target: &'t Target,
    /// The store's process, for processor time.
    id: Option<u32>,
    key: String,
}

/// Measures the Files API with a project of its own.
pub(super) async fn measure(
    target: &Target,
    id: Option<u32>,
    scale: &Scale,
    table: &mut Table,
) -> Result<FilesFigures> {
    let admin = |path: &'static str, asked: Value| async move {
        let answer = target.ask(Method::POST, path, "", asked.to_string()).await?;
        anyhow::Ok(serde_json::from_slice::<Value>(&answer)?)
    };
    admin(
        "/v1/admin/projects",
        json!({ "project": "bench", "environments": ["files"] }),
    )
    .await?;
    let asked = json!({ "project": "bench", "environment": "files", "type": "secret" });
    let made = admin("/v1/admin/projects/keys", asked).await?;
    let key = made.get("key").and_then(Value::as_str).context("a key that was made")?;
    let app = App {
        target,
        id,
        key: key.to_owned(),
    };
    app.uploads(scale.small / 10, table).await?;
    app.fill(scale.listed).await?;
    app.lists(scale.listed, table).await
}

impl App<'_> {
    fn request(&self, method: Method, path: &str, kind: &str, body: impl Into<Bytes>) -> Result<Request<Full<Bytes>>> {
        let body = body.into();
        Request::builder()
            .method(method)
            .uri(path)
            .header("host", &self.target.authority)
            .header("x-api-key", &self.key)
            .header("content-type", kind)
            .header("content-length", body.len())
            .body(Full::new(body))
            .context("building a request")
    }

    /// Runs a load, and adds its rate, its latencies and the server's processor time a request to the table.
    async fn told(
        &self,
        what: &str,
        connections: usize,
        requests: Vec<Request<Full<Bytes>>>,
        table: &mut Table,
    ) -> Result<Run> {
        let count = requests.len() as f64;
        let before = self.id.map(cpu_seconds).transpose()?;
        let mut run = send(self.target, connections, requests, Answers::Kept).await?;
        let after = self.id.map(cpu_seconds).transpose()?;
        table.fact(format!("{what} @{connections}"), run.rate, "/s");
        table.fact(format!("{what} @{connections} p50"), run.latencies.quantile(0.5), "ms");
        table.fact(format!("{what} @{connections} p99"), run.latencies.quantile(0.99), "ms");
        if let Some((before, after)) = before.zip(after) {
            let cpu = (after - before) * 1e6 / count;
            table.fact(format!("server CPU, {what} @{connections}"), cpu, "us");
        }
        Ok(run)
    }

    /// Announces files, one after another and at once, and sends them to the addresses given out.
    async fn uploads(&self, count: usize, table: &mut Table) -> Result<()> {
        let announced = |number: usize| {
            let asked = json!({ "filename": format!("scan-{number:06}.bin"), "contentType": "application/octet-stream", "fileSize": SIZE });
            self.request(
                Method::POST,
                "/v1/files/presigned-url",
                "application/json",
                asked.to_string(),
            )
        };
        let one_by_one: Result<Vec<_>> = (0..count / 10).map(announced).collect();
        self.told("presign a file", 1, one_by_one?, table).await?;
        let at_once: Result<Vec<_>> = (0..count).map(announced).collect();
        let run = self.told("presign a file", CONNECTIONS, at_once?, table).await?;
        let body = Bytes::from(tree::bytes(21, SIZE));
        let puts: Result<Vec<_>> = run.answers.iter().map(|answer| self.put(answer, &body)).collect();
        self.told("PUT 4 KiB to a presigned address", CONNECTIONS, puts?, table)
            .await?;
        Ok(())
    }

    /// The PUT that a presigned address was given out for: it brings no key.
    fn put(&self, answer: &Bytes, body: &Bytes) -> Result<Request<Full<Bytes>>> {
        let answer: Value = serde_json::from_slice(answer)?;
        let url = answer.get("url").and_then(Value::as_str).context("an address")?;
        let path = url
            .strip_prefix("http://")
            .and_then(|rest| rest.strip_prefix(self.target.authority.as_str()))
            .with_context(|| format!("the address {url} is of another server"))?;
        Request::put(path)
            .header("host", &self.target.authority)
            .header("content-type", "application/octet-stream")
            .header("content-length", body.len())
            .body(Full::new(body.clone()))
            .context("building a request")
    }

    /// Stores files through the server, every second of them an image by its bytes, every seventh of a category.
    async fn fill(&self, count: usize) -> Result<()> {
        // In portions: they are all built beforehand.
        for start in (0..count).step_by(20_000) {
            let uploads: Result<Vec<_>> = (start..(start + 20_000).min(count))
                .map(|number| {
                    let (bucket, kind, beginning) = match number % 2 {
                        0 => ("images", "image/png", PNG),
                        _ => ("documents", "text/plain", &b"text"[..]),
                    };
                    let category = if number % 7 == 0 { "&category=exports" } else { "" };
                    let body = [beginning, &vec![b'x'; 50 + number % 100]].concat();
                    let path = format!("/v1/files/upload?filename=photo-{number:06}&bucket={bucket}{category}");
                    self.request(Method::POST, &path, kind, body)
                })
                .collect();
            send(self.target, CONNECTIONS, uploads?, Answers::Dropped).await?;
        }
        Ok(())
    }

    /// Pages of 20 with each filter, one after another.
    async fn lists(&self, count: usize, table: &mut Table) -> Result<FilesFigures> {
        let mut slowest: f64 = 0.0;
        for (name, filter) in FILTERS {
            let path = format!("/v1/files?total=false&limit=20{filter}");
            let pages: Result<Vec<_>> = (0..PAGES).map(|_| self.request(Method::GET, &path, "", "")).collect();
            let mut run = send(self.target, 1, pages?, Answers::Kept).await?;
            let last = run.answers.last().context("a page")?;
            let shown = serde_json::from_slice::<Value>(last)?;
            let shown = shown.get("items").and_then(Value::as_array).map_or(0, Vec::len);
            ensure!(shown > 0, "no file is listed by {name}");
            let p50 = run.latencies.quantile(0.5);
            table.fact(format!("a page of {count} files: {name}, p50"), p50, "ms");
            slowest = slowest.max(p50);
        }
        Ok(FilesFigures {
            slowest_page_ms: slowest,
        })
    }
}
