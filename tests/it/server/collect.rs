//! Collection through the whole server, over drives, with a clock of the test's own: what applications abandon in every way
//! goes, what lives stays, and what is used is what it was. `DRYSTONE_ABANDONED` says how many are abandoned.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use base64_simd::STANDARD;
use drystone::server::{Conditions, Server};
use futures::StreamExt;
use serde_json::{Value, json};
use storage_engine::store::clock::{Clock, SystemClock, Timestamp};

use super::projects::{ROOT, ask, on_s3};
use super::stack::{PASSWORD, USER, exchange};
use super::support::{config_over, status};

const HOUR: u64 = 3_600_000;
pub(super) const DAY: u64 = 24 * HOUR;
/// Requests at once.
const AT_ONCE: usize = 16;
const KINDS: usize = 9;

/// The system's clock, put forward.
#[derive(Default)]
pub(super) struct Ahead(pub(super) AtomicU64);

impl Clock for Ahead {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(SystemClock.now().millis() + self.0.load(Ordering::Relaxed))
    }
}

/// What came back.
struct Told {
    status: u16,
    head: String,
    body: Value,
}

impl Told {
    #[track_caller]
    fn is(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{} {}", self.head, self.body);
        self
    }

    fn text(&self, name: &str) -> String {
        self.body[name].as_str().unwrap_or_default().to_owned()
    }

    fn header(&self, name: &str) -> String {
        let found = self
            .head
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        found.unwrap_or_default().to_owned()
    }
}

/// The server of an app, with its secret key.
struct App {
    address: SocketAddr,
    key: String,
}

impl App {
    async fn new(address: SocketAddr) -> Self {
        let shop = json!({ "project": "shop", "environments": ["prod"] });
        assert_eq!(ask(address, ROOT, "POST", "", &shop).await.0, 200);
        let key = json!({ "project": "shop", "environment": "prod", "type": "secret" });
        let (_, made) = ask(address, ROOT, "POST", "/keys", &key).await;
        let key = made["key"].as_str().unwrap().to_owned();
        Self { address, key }
    }

    async fn send(&self, method: &str, target: &str, headers: &str, body: &str) -> Told {
        let request = format!(
            "{method} {target} HTTP/1.1\r\nHost: {}\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            self.address,
            body.len()
        );
        let answer = exchange(self.address, &request).await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        Told {
            status: status(&answer),
            head: head.to_owned(),
            body: serde_json::from_str(body).unwrap_or(Value::Null),
        }
    }

    async fn call(&self, method: &str, path: &str, headers: &str, body: &str) -> Told {
        let headers = format!("X-API-Key: {}\r\n{headers}", self.key);
        self.send(method, &format!("/v1/{path}"), &headers, body).await
    }

    async fn post(&self, path: &str, fields: Value) -> Told {
        self.call("POST", path, "Content-Type: application/json\r\n", &fields.to_string())
            .await
    }

    /// To an address that was given out.
    async fn to(&self, method: &str, url: &str, body: &str) -> Told {
        let own = format!("http://{}", self.address);
        let target = url.strip_prefix(&own).unwrap();
        self.send(method, target, "Content-Type: text/plain\r\n", body).await
    }

    /// A file that is sent through the server; its id.
    async fn relayed(&self, query: &str) -> String {
        let path = format!("files/upload?filename=a.txt{query}");
        let told = self
            .call("POST", &path, "Content-Type: text/plain\r\n", "some words")
            .await;
        told.is(201).text("id")
    }

    async fn announced(&self, path: &str, bucket: &str) -> Told {
        let fields = json!({ "filename": "a.txt", "contentType": "text/plain", "fileSize": 10, "bucket": bucket });
        self.post(path, fields).await.is(200)
    }

    /// An upload in parts with one part; what began it, and the part's ETag.
    async fn begun(&self, bucket: &str) -> (Told, String) {
        let begun = self.announced("files/multipart/init", bucket).await;
        let ask = json!({ "uploadId": begun.text("uploadId"), "partNumber": 1 });
        let url = self
            .post("files/multipart/presigned-url", ask)
            .await
            .is(200)
            .text("url");
        let part = self.to("PUT", &url, "some words").await.is(200);
        (begun, part.header("etag"))
    }

    /// One thing that nobody comes back for.
    async fn abandon(&self, kind: usize) {
        match kind {
            0 => drop(self.announced("files/presigned-url", "files").await),
            1 => {
                let url = self.announced("files/presigned-url", "strict").await.text("url");
                self.to("PUT", &url, "some words").await.is(200);
            }
            2 => drop(self.begun("files").await),
            3 => {
                let name = STANDARD.encode_to_string("a.txt");
                let headers =
                    format!("Tus-Resumable: 1.0.0\r\nUpload-Length: 10\r\nUpload-Metadata: filename {name}\r\n");
                let begun = self.call("POST", "tus", &headers, "").await.is(201);
                let own = format!("http://{}/v1/", self.address);
                let path = begun.header("location").replace(&own, "").replace("/v1/", "");
                let headers =
                    "Tus-Resumable: 1.0.0\r\nUpload-Offset: 0\r\nContent-Type: application/offset+octet-stream\r\n";
                self.call("PATCH", &path, headers, "some").await.is(204);
            }
            4 => drop(self.announced("files/upload-url", "files").await),
            5 => {
                let id = self.relayed("").await;
                self.call("DELETE", &format!("files/{id}"), "", "").await.is(200);
            }
            6 => drop(self.relayed("&bucket=temp").await),
            7 => {
                let id = self.relayed("").await;
                let path = format!("files/{id}/replace");
                let other = self.call("POST", &path, "Content-Type: text/plain\r\n", "others").await;
                other.is(200);
                self.call("DELETE", &format!("files/{id}"), "", "").await.is(200);
            }
            _ => {
                // Said to be an image, and none.
                let fields = json!({ "filename": "a.png", "contentType": "image/png", "bucket": "pictures" });
                let begun = self.post("files/multipart/init", fields).await.is(200);
                let upload = begun.text("uploadId");
                let ask = json!({ "uploadId": upload, "partNumber": 1 });
                let url = self
                    .post("files/multipart/presigned-url", ask)
                    .await
                    .is(200)
                    .text("url");
                let etag = self.to("PUT", &url, "%PDF-1.7\n\n").await.is(200).header("etag");
                let parts = json!({ "uploadId": upload, "parts": [{ "partNumber": 1, "etag": etag }] });
                self.post("files/multipart/complete", parts).await.is(400);
            }
        }
    }

    /// What is used, as the app sees it.
    async fn used(&self) -> Value {
        self.call("GET", "files/usage", "", "").await.is(200).body["data"].clone()
    }

    async fn collect(&self, dry: bool) -> Value {
        let (code, told) = ask(
            self.address,
            ROOT,
            "POST",
            &format!("/collect?dry-run={dry}"),
            &Value::Null,
        )
        .await;
        assert_eq!((code, &told["failed"]), (200, &json!(0)), "{told}");
        told["collected"].clone()
    }

    /// How often something stands in a list of S3.
    async fn on_s3(&self, query: &str, what: &str) -> usize {
        let answer = on_s3(self.address, "GET", &format!("/shop-prod?{query}"), "").await;
        assert_eq!(status(&answer), 200, "{answer}");
        answer.matches(what).count()
    }
}

fn how_many() -> usize {
    let asked = std::env::var("DRYSTONE_ABANDONED").ok();
    asked.map_or(90, |count| count.parse().expect("DRYSTONE_ABANDONED is a number"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_abandoned_uploads_of_every_kind_what_is_used_is_what_it_was_and_what_lives_stays() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), Arc::new(Ahead::default()));
    let conditions = Conditions {
        clock: Arc::clone(&clock) as Arc<dyn Clock>,
        image_worker: env!("CARGO_BIN_EXE_drystone").into(),
        ..Conditions::default()
    };
    let drives = vec![folder.path().display().to_string()];
    let root = [("MINIO_ROOT_USER", USER), ("MINIO_ROOT_PASSWORD", PASSWORD)];
    let server = Server::start(config_over(drives, &root), conditions).await.unwrap();
    let app = Arc::new(App::new(server.addresses()[0]).await);
    let strict = json!({ "confirm": "required" }).to_string();
    app.call("PUT", "files/buckets/strict", "", &strict).await.is(200);
    let pictures = json!({ "allowedTypes": ["image/*"] }).to_string();
    app.call("PUT", "files/buckets/pictures", "", &pictures).await.is(200);
    let mut live = Vec::new();
    for bucket in ["", "&bucket=strict", "&bucket=images"] {
        for _ in 0..3 {
            live.push(app.relayed(bucket).await);
        }
    }
    let before = app.used().await;
    assert_eq!(before["count"], json!(9));

    let (count, begun) = (how_many(), Instant::now());
    let abandoned = futures::stream::iter(0..count).map(|n| {
        let app = Arc::clone(&app);
        tokio::spawn(async move { app.abandon(n % KINDS).await })
    });
    let abandoned: Vec<_> = abandoned.buffer_unordered(AT_ONCE).collect().await;
    assert!(abandoned.iter().all(Result::is_ok), "abandoning failed");
    let full = app.used().await;
    eprintln!("{count} abandoned in {:.1?}: {full}", begun.elapsed());
    assert_ne!(full, before);
    assert_eq!(app.collect(false).await["announced"], json!(0), "nothing is over yet");

    clock.0.store(DAY + HOUR, Ordering::Relaxed);
    // These came just now: an upload in parts keeps its file.
    let fresh: Vec<Told> = futures::stream::iter(0..3)
        .then(|_| async { app.begun("files").await.0 })
        .collect()
        .await;
    let would = app.collect(true).await;
    let begun = Instant::now();
    let did = app.collect(false).await;
    eprintln!("first pass in {:.1?}: {did}", begun.elapsed());
    let of = |kind: usize| json!((count + KINDS - 1 - kind) / KINDS);
    assert_eq!(would, did, "what a dry pass says");
    assert_eq!((&did["unregistered"], &did["ended"]), (&of(1), &of(6)));
    for upload in &fresh {
        let path = format!("files/multipart/{}/parts", upload.text("uploadId"));
        let parts = app.call("GET", &path, "", "").await.is(200);
        assert_eq!(parts.body["parts"].as_array().map(Vec::len), Some(1));
        let abort = json!({ "uploadId": upload.text("uploadId") });
        app.post("files/multipart/abort", abort).await.is(200);
    }

    clock.0.store(10 * DAY, Ordering::Relaxed);
    let begun = Instant::now();
    let did = app.collect(false).await;
    eprintln!("second pass in {:.1?}: {did}", begun.elapsed());
    let again = app.collect(false).await;
    assert!(
        again.as_object().unwrap().values().all(|count| *count == json!(0)),
        "{again}"
    );
    assert_eq!(app.used().await, before);
    assert_eq!(app.on_s3("list-type=2", "<Key>").await, live.len());
    assert_eq!(app.on_s3("uploads", "<Upload>").await, 0);
    for id in &live {
        let read = app.call("GET", &format!("files/{id}/content"), "", "").await.is(200);
        assert!(read.head.contains("content-length: 10"), "{}", read.head);
    }
    server.stop().await.unwrap();
}
