//! Collection through the whole server, over drives, with a clock of the test's own: what applications abandon in every way
//! goes, what lives stays, and what is kept is what it was. `DRYSTONE_ABANDONED` says how many are abandoned.
//!
//! What is kept is every row of the engine with the length of its body: no figure of a catalogue tells of parts, of bytes of
//! resumable uploads, of versions and counters, and files of the drives grow and shrink by segments.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use base64_simd::STANDARD;
use drystone::server::{Conditions, OpenEngine, Server, embedded};
use futures::StreamExt;
use parking_lot::Mutex;
use serde_json::{Value, json};
use storage_engine::backend::{Backend, Key};
use storage_engine::limits::SCAN_ROWS_MAX;
use storage_engine::store::clock::{Clock, SystemClock, Timestamp};

use super::projects::{ROOT, ask, on_s3};
use super::stack::{PASSWORD, USER, exchange};
use super::support::{config_over, status};

const HOUR: u64 = 3_600_000;
pub(super) const DAY: u64 = 24 * HOUR;
/// Requests at once.
const AT_ONCE: usize = 16;
/// Kinds of what is abandoned. Not kinds of their own, as they are the same upload by another name: `files/presigned-post`
/// and `s3/params`, `files/multipart/…` and `s3/multipart/…` (each by turns), and uploads in parts that are signed with
/// credentials of `s3/sts`, which are on S3 what those of any other account are: begun without a record.
const KINDS: usize = 20;
/// Those whose files wait for bytes.
const ANNOUNCED: [usize; 10] = [0, 2, 3, 4, 9, 10, 12, 13, 15, 16];
/// Uploads that are begun.
const UPLOADS: [usize; 7] = [2, 3, 10, 11, 12, 13, 14];

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

/// The server of an app, with its secret key and that of its pages.
struct App {
    address: SocketAddr,
    key: String,
    public: String,
    /// A file that links are given out for.
    linked: String,
}

impl App {
    async fn new(address: SocketAddr) -> Self {
        let shop = json!({ "project": "shop", "environments": ["prod"] });
        assert_eq!(ask(address, ROOT, "POST", "", &shop).await.0, 200);
        let mut keys = Vec::new();
        for kind in ["secret", "publishable"] {
            let key = json!({ "project": "shop", "environment": "prod", "type": kind });
            let (_, made) = ask(address, ROOT, "POST", "/keys", &key).await;
            keys.push(made["key"].as_str().unwrap().to_owned());
        }
        let public = keys.pop().unwrap();
        let key = keys.pop().unwrap();
        let mut app = Self {
            address,
            key,
            public,
            linked: String::new(),
        };
        let rules = [
            ("strict", json!({ "confirm": "required" })),
            ("pictures", json!({ "allowedTypes": ["image/*"] })),
            ("posts", json!({ "gc": "unreferenced" })),
            ("inbox", json!({ "guestUpload": true })),
        ];
        for (name, rules) in rules {
            let path = format!("files/buckets/{name}");
            app.call("PUT", &path, "", &rules.to_string()).await.is(200);
        }
        app.linked = app.relayed("").await;
        app
    }

    /// All that is said of a file, and its bytes.
    async fn seen(&self, id: &str) -> (Value, String) {
        let said = self.call("GET", &format!("files/{id}"), "", "").await.is(200).body;
        let path = format!("/v1/files/{id}/content");
        let headers = format!("X-API-Key: {}\r\n", self.key);
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\n{headers}Connection: close\r\n\r\n",
            self.address
        );
        let answer = exchange(self.address, &request).await;
        assert_eq!(status(&answer), 200, "{answer}");
        let bytes = answer.split_once("\r\n\r\n").unwrap().1.to_owned();
        (said, bytes)
    }

    async fn all_seen(&self, ids: &[String]) -> Vec<(Value, String)> {
        futures::stream::iter(ids).then(|id| self.seen(id)).collect().await
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

    /// A request about resumable uploads, to the address of one or to where they are begun.
    async fn tus(&self, method: &str, url: &str, headers: &str, body: &str) -> Told {
        let own = format!("http://{}/v1/", self.address);
        let headers = format!("Tus-Resumable: 1.0.0\r\n{headers}");
        let path = url.strip_prefix(&own).or_else(|| url.strip_prefix("/v1/"));
        self.call(method, path.unwrap_or(url), &headers, body).await
    }

    /// A resumable upload whose first four bytes came; its address, and the id of its file.
    async fn resumed(&self, headers: &str) -> (String, String) {
        let name = STANDARD.encode_to_string("a.txt");
        let headers = format!("Upload-Metadata: filename {name}\r\n{headers}");
        let begun = self.tus("POST", "tus", &headers, "").await.is(201);
        let address = begun.header("location");
        self.append(&address, 0, "some").await;
        (address, begun.header("upload-file-id"))
    }

    async fn append(&self, address: &str, offset: u64, bytes: &str) {
        let headers = format!("Upload-Offset: {offset}\r\nContent-Type: application/offset+octet-stream\r\n");
        self.tus("PATCH", address, &headers, bytes).await.is(204);
    }

    /// One thing that nobody comes back for.
    async fn abandon(&self, kind: usize, n: usize) {
        match kind {
            0 => drop(self.announced("files/presigned-url", "files").await),
            1 => {
                let url = self.announced("files/presigned-url", "strict").await.text("url");
                self.to("PUT", &url, "some words").await.is(200);
            }
            2 if (n / KINDS).is_multiple_of(2) => drop(self.begun("files").await),
            2 => {
                let fields = json!({ "filename": "a.txt", "type": "text/plain" });
                self.post("s3/multipart", fields).await.is(200);
            }
            3 => drop(self.resumed("Upload-Length: 10\r\n").await),
            4 => drop(self.announced("files/upload-url", "files").await),
            5 => {
                let id = self.relayed("").await;
                self.call("DELETE", &format!("files/{id}"), "", "").await.is(200);
            }
            6 => drop(self.relayed("&bucket=temp").await),
            7 => {
                let id = self.relayed("").await;
                self.replaced(&id).await;
                self.call("DELETE", &format!("files/{id}"), "", "").await.is(200);
            }
            8 => self.refused().await,
            9 if (n / KINDS).is_multiple_of(2) => drop(self.announced("files/presigned-post", "files").await),
            9 => {
                let form = "s3/params?filename=a.txt&type=text/plain";
                self.call("GET", form, "", "").await.is(200);
            }
            _ => self.abandon_more(kind, n).await,
        }
    }

    async fn abandon_more(&self, kind: usize, n: usize) {
        match kind {
            10 => {
                let headers = "Upload-Draft-Interop-Version: 8\r\nUpload-Complete: ?0\r\nContent-Type: text/plain\r\n";
                self.call("POST", "tus", headers, "some").await.is(201);
            }
            // A piece that is never joined.
            11 => drop(self.resumed("Upload-Concat: partial\r\nUpload-Length: 10\r\n").await),
            12 => drop(self.resumed("Upload-Defer-Length: 1\r\n").await),
            // Joined pieces that are never complete.
            13 => {
                let mut pieces = Vec::new();
                for _ in 0..2 {
                    let piece = self.resumed("Upload-Concat: partial\r\nUpload-Length: 10\r\n");
                    pieces.push(piece.await.0);
                }
                let whole = format!("Upload-Concat: final;{}\r\n", pieces.join(" "));
                self.tus("POST", "tus", &whole, "").await.is(201);
            }
            14 => {
                let begun = on_s3(self.address, "POST", &format!("/shop-prod/plain/{n}?uploads"), "").await;
                assert_eq!(status(&begun), 200, "{begun}");
                let (_, upload) = begun.split_once("<UploadId>").unwrap();
                let (upload, _) = upload.split_once('<').unwrap();
                let part = format!("/shop-prod/plain/{n}?partNumber=1&uploadId={upload}");
                assert_eq!(status(&on_s3(self.address, "PUT", &part, "some words").await), 200);
            }
            15 => self.guest(n).await,
            16 => {
                let token = self
                    .post("files/upload-tokens", json!({ "contentTypes": ["*/*"] }))
                    .await;
                let headers = format!(
                    "X-Upload-Token: {}\r\nContent-Type: application/json\r\n",
                    token.is(201).text("token")
                );
                let fields = json!({ "filename": "a.txt", "contentType": "text/plain" }).to_string();
                let path = "/v1/files/presigned-url";
                self.send("POST", path, &headers, &fields).await.is(200);
            }
            17 => drop(self.relayed("&bucket=posts").await),
            18 => {
                let path = format!("files/{}/download-url", self.linked);
                self.post(&path, json!({ "oneTime": true })).await.is(200);
            }
            // Its bytes came, and then its time was over.
            _ => drop(self.relayed("&deleteAfter=86400").await),
        }
    }

    /// Somebody without an account begins an upload, each from an address of their own.
    async fn guest(&self, n: usize) {
        let headers = format!(
            "X-API-Key: {}\r\nX-Forwarded-For: 10.{}.{}.{}\r\nContent-Type: application/json\r\n",
            self.public,
            n / 65_536 % 256,
            n / 256 % 256,
            n % 256
        );
        let fields = json!({ "filename": "a.txt", "contentType": "text/plain", "bucket": "inbox" }).to_string();
        loop {
            let told = self.send("POST", "/v1/files/presigned-url", &headers, &fields).await;
            // All guests of a key together have a rate of their own.
            if told.status != 429 {
                told.is(200);
                return;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    /// Other bytes in the place of those of a file.
    async fn replaced(&self, id: &str) {
        let path = format!("files/{id}/replace");
        let other = self.call("POST", &path, "Content-Type: text/plain\r\n", "others").await;
        other.is(200);
    }

    /// Said to be an image, and none.
    async fn refused(&self) {
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
        let agrees = json!({ "without_bytes": 0, "without_record": 0 });
        let expected = if dry { agrees } else { Value::Null };
        assert_eq!(told["disagreeing"], expected);
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
    asked.map_or(6 * KINDS, |count| {
        count.parse().expect("DRYSTONE_ABANDONED is a number")
    })
}

/// How many of `count` are of these kinds.
fn of(count: usize, kinds: &[usize]) -> Value {
    let each = kinds.iter().map(|kind| (count + KINDS - 1 - kind) / KINDS);
    json!(each.sum::<usize>())
}

/// The engine of a server, for who looks past it.
#[derive(Clone, Default)]
struct Below(Arc<Mutex<Option<Arc<dyn Backend>>>>);

impl Below {
    fn open(&self) -> OpenEngine {
        let kept = self.clone();
        Box::new(move |config| {
            let opening = embedded()(config);
            Box::pin(async move {
                let engine = opening.await?;
                *kept.0.lock() = Some(Arc::clone(&engine.backend));
                Ok(engine)
            })
        })
    }

    /// The key of every row there is, and how long its body is. Not the directory of accounts: it is no app's, and its key of
    /// secrets is made when it is first needed.
    async fn rows(&self) -> BTreeMap<String, u64> {
        let backend = self.0.lock().clone().unwrap();
        let (mut start, end) = (Key::new(vec![0]), Key::new(vec![0xFF]));
        let mut rows = BTreeMap::new();
        loop {
            let page = backend.scan(start..end.clone(), SCAN_ROWS_MAX).await.unwrap();
            let others = page.items.iter().filter(|(key, _)| !key.as_bytes().starts_with(b"i/"));
            for (key, row) in others {
                let name = key.as_bytes().escape_ascii().to_string();
                rows.insert(name, row.body.as_ref().map_or(0, |body| body.len));
            }
            match page.items.last() {
                Some((last, _)) if page.more => start = last.successor(),
                Some(_) | None => return rows,
            }
        }
    }

    /// Waits until nothing else is kept; parts of what was given up go behind the answer.
    async fn keeps(&self, expected: &BTreeMap<String, u64>) {
        for _ in 0..600 {
            if self.rows().await == *expected {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let rows = self.rows().await;
        let more: Vec<_> = rows
            .iter()
            .filter(|row| !expected.contains_key(row.0))
            .take(40)
            .collect();
        let gone: Vec<_> = expected
            .iter()
            .filter(|row| !rows.contains_key(row.0))
            .take(40)
            .collect();
        panic!(
            "{} rows, not {}: more {more:?}, gone {gone:?}",
            rows.len(),
            expected.len()
        );
    }
}

/// What waits in its term: a day from when it was asked for, by the time of the system, which files go by.
struct InTerm {
    announced: Told,
    temporary: String,
    seen: (Value, String),
}

impl InTerm {
    async fn begin(app: &App) -> Self {
        let temporary = app.relayed("&bucket=temp").await;
        Self {
            announced: app.announced("files/presigned-url", "strict").await,
            seen: app.seen(&temporary).await,
            temporary,
        }
    }

    /// It is all there, and the bytes that were announced come; the files that there are then.
    async fn end(self, app: &App) -> [String; 2] {
        assert_eq!(app.seen(&self.temporary).await, self.seen);
        app.to("PUT", &self.announced.text("url"), "some words").await.is(200);
        let id = self.announced.text("fileId");
        assert_eq!(app.seen(&id).await.1, "some words");
        [self.temporary, id]
    }
}

/// What somebody is at while a pass is made.
struct UnderWay {
    parts: Vec<(Told, String)>,
    resumed: (String, String),
    replaced: String,
    seen: (Value, String),
}

impl UnderWay {
    async fn begin(app: &App) -> Self {
        let mut parts = Vec::new();
        for _ in 0..3 {
            parts.push(app.begun("files").await);
        }
        let replaced = app.relayed("").await;
        app.replaced(&replaced).await;
        Self {
            parts,
            resumed: app.resumed("Upload-Length: 10\r\n").await,
            seen: app.seen(&replaced).await,
            replaced,
        }
    }

    /// All of it is there and goes on to its end; the files that there are then.
    async fn end(self, app: &App) -> Vec<String> {
        assert_eq!(app.seen(&self.replaced).await, self.seen);
        let path = format!("files/{}/versions", self.replaced);
        let told = app.call("GET", &path, "", "").await.is(200);
        let versions = told.body["versions"].as_array().unwrap();
        let old = versions.last().unwrap()["id"].as_str().unwrap();
        app.call("POST", &format!("{path}/{old}/restore"), "", "").await.is(200);
        let mut came = vec![(self.replaced, "some words")];
        for (begun, etag) in &self.parts {
            let parts = json!({ "uploadId": begun.text("uploadId"), "parts": [{ "partNumber": 1, "etag": etag }] });
            app.post("files/multipart/complete", parts).await.is(200);
            came.push((begun.text("fileId"), "some words"));
        }
        let (address, file) = self.resumed;
        app.append(&address, 4, "others").await;
        came.push((file, "someothers"));
        let mut files = Vec::new();
        for (id, bytes) in came {
            assert_eq!(app.seen(&id).await.1, bytes, "{id}");
            files.push(id);
        }
        files
    }
}

fn is_nothing(collected: &Value) -> bool {
    let mut counts = collected.as_object().unwrap().values();
    counts.all(|count| *count == json!(0))
}

/// A pass, after a dry one that says the same.
async fn passed(app: &App) -> Value {
    let would = app.collect(true).await;
    let begun = Instant::now();
    let did = app.collect(false).await;
    eprintln!("a pass in {:.1?}: {did}", begun.elapsed());
    assert_eq!(would, did, "what a dry pass says");
    did
}

async fn start(folder: &Path, clock: &Arc<Ahead>, below: &Below) -> Server {
    let conditions = Conditions {
        open_engine: below.open(),
        clock: Arc::clone(clock) as Arc<dyn Clock>,
        image_worker: env!("CARGO_BIN_EXE_drystone").into(),
        ..Conditions::default()
    };
    let vars = [
        ("MINIO_ROOT_USER", USER),
        ("MINIO_ROOT_PASSWORD", PASSWORD),
        ("DRYSTONE_TRUSTED_PROXIES", "127.0.0.1"),
    ];
    let config = config_over(vec![folder.display().to_string()], &vars);
    Server::start(config, conditions).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_abandoned_uploads_of_every_kind_what_is_kept_is_what_it_was_and_what_lives_stays() {
    let (folder, clock, below) = (
        tempfile::tempdir().unwrap(),
        Arc::new(Ahead::default()),
        Below::default(),
    );
    let server = start(folder.path(), &clock, &below).await;
    let app = Arc::new(App::new(server.addresses()[0]).await);
    let mut live = vec![app.linked.clone()];
    for bucket in ["", "&bucket=strict", "&bucket=images"] {
        for _ in 0..3 {
            live.push(app.relayed(bucket).await);
        }
    }
    let share = json!({ "type": "link", "access": "read" });
    let shared = app.post(&format!("files/{}/shares", live[1]), share).await;
    assert!(matches!(shared.status, 200 | 201), "{}", shared.body);
    let (rows, used, seen) = (below.rows().await, app.used().await, app.all_seen(&live).await);
    assert_eq!(used["count"], json!(10));

    let (count, begun) = (how_many(), Instant::now());
    let abandoned = futures::stream::iter(0..count).map(|n| {
        let app = Arc::clone(&app);
        tokio::spawn(async move { app.abandon(n % KINDS, n).await })
    });
    let abandoned: Vec<_> = abandoned.buffer_unordered(AT_ONCE).collect().await;
    assert!(abandoned.iter().all(Result::is_ok), "abandoning failed");
    eprintln!("{count} abandoned in {:.1?}: {}", begun.elapsed(), app.used().await);
    assert_ne!(app.used().await, used);

    let in_term = InTerm::begin(&app).await;
    clock.0.store(DAY - HOUR, Ordering::Relaxed);
    assert!(is_nothing(&passed(&app).await), "nothing is over yet");
    let mut files = in_term.end(&app).await.to_vec();
    app.call("DELETE", &format!("files/{}", files[0]), "", "").await.is(200);
    files.remove(0);

    clock.0.store(DAY + HOUR, Ordering::Relaxed);
    let under_way = UnderWay::begin(&app).await;
    let did = passed(&app).await;
    let figures = ["announced", "uploads", "unregistered", "unreferenced", "ended"].map(|kind| did[kind].clone());
    let expected = [&ANNOUNCED[..], &UPLOADS, &[1], &[17], &[6, 19]].map(|kinds| of(count, kinds));
    assert_eq!(figures, expected);
    files.extend(under_way.end(&app).await);
    assert_eq!(app.all_seen(&live).await, seen);
    for id in &files {
        app.call("DELETE", &format!("files/{id}"), "", "").await.is(200);
    }

    clock.0.store(10 * DAY, Ordering::Relaxed);
    passed(&app).await;
    assert!(is_nothing(&passed(&app).await));
    below.keeps(&rows).await;
    assert_eq!((app.used().await, app.all_seen(&live).await), (used, seen));
    assert_eq!(app.on_s3("list-type=2", "<Key>").await, live.len());
    assert_eq!(app.on_s3("uploads", "<Upload>").await, 0);
    server.stop().await.unwrap();
}
