//! What is uploaded is scanned, through the whole server: nobody reads bytes that wait or are in quarantine, by whatever
//! door; every way in leads by the scanner; and neither a scanner that is away nor a crash lets anything through.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use base64_simd::STANDARD;
use drystone::server::{Conditions, Server};
use serde_json::{Value, json};
use storage_engine::memory::MemoryBackend;
use storage_engine::store::clock::Clock;

use super::binary::Running;
use super::clamd::{BAD, FOUND, FakeClamd, Mood, OK};
use super::collect::{Ahead, DAY};
use super::images::{Answer, send};
use super::links::{SECRET, token};
use super::projects::{ROOT, ask};
use super::stack::{PASSWORD, USER, over, presigned, start};
use super::support::config;
use crate::images::pool::picture;

const JSON: &str = "Content-Type: application/json\r\n";
const TEXT: &str = "Content-Type: text/plain\r\n";

/// An app: a project with a secret key, a publishable one and an issuer.
pub(super) struct App {
    address: SocketAddr,
    secret: String,
    publishable: String,
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    Guest,
    Person(&'static str),
    Server,
}

impl App {
    pub(super) async fn new(address: SocketAddr) -> Self {
        let shop = json!({ "project": "shop", "environments": ["prod"] });
        assert_eq!(ask(address, ROOT, "POST", "", &shop).await.0, 200);
        let issuer = json!({ "project": "shop", "alias": "own", "secret": SECRET });
        assert_eq!(ask(address, ROOT, "POST", "/issuers", &issuer).await.0, 200);
        let (mut keys, kinds) = (Vec::new(), ["secret", "publishable"]);
        for kind in kinds {
            let key = json!({ "project": "shop", "environment": "prod", "type": kind });
            let (_, made) = ask(address, ROOT, "POST", "/keys", &key).await;
            keys.push(made["key"].as_str().unwrap().to_owned());
        }
        let [secret, publishable] = keys.try_into().unwrap();
        Self {
            address,
            secret,
            publishable,
        }
    }

    /// The headers that say who asks.
    fn says(&self, who: Who) -> String {
        match who {
            Who::Guest => format!("X-API-Key: {}\r\n", self.publishable),
            Who::Server => format!("X-API-Key: {}\r\n", self.secret),
            Who::Person(name) => format!(
                "X-API-Key: {}\r\nAuthorization: Bearer {}\r\n",
                self.publishable,
                token(name)
            ),
        }
    }

    async fn call(&self, who: Who, method: &str, path: &str, headers: &str, body: &[u8]) -> Answer {
        let headers = format!("{}{headers}", self.says(who));
        send(self.address, method, &format!("/v1/{path}"), &headers, body).await
    }

    async fn post(&self, who: Who, path: &str, fields: Value) -> Answer {
        self.call(who, "POST", path, JSON, fields.to_string().as_bytes()).await
    }

    /// To an address that was given out.
    async fn to(&self, method: &str, url: &str, headers: &str, body: &[u8]) -> Answer {
        let own = format!("http://{}", self.address);
        send(self.address, method, url.strip_prefix(&own).unwrap(), headers, body).await
    }

    /// By root, over S3.
    async fn s3(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> Answer {
        let target = presigned(PASSWORD, method, &self.address.to_string(), path);
        send(self.address, method, &target, headers, body).await
    }

    /// A file of ann's, sent through the server.
    pub(super) async fn upload(&self, query: &str, body: &[u8]) -> Value {
        let path = format!("files/upload?filename=a.txt{query}");
        let told = self.call(Who::Person("ann"), "POST", &path, TEXT, body).await;
        assert_eq!(told.status, 201, "{}", told.head);
        document(&told)
    }

    pub(super) async fn file(&self, id: &str) -> Value {
        let told = self.call(Who::Server, "GET", &format!("files/{id}"), "", b"").await;
        assert_eq!(told.status, 200, "{}", told.head);
        document(&told)
    }

    /// Waits until the file is so.
    pub(super) async fn becomes(&self, id: &str, status: &str) -> Value {
        for _ in 0..600 {
            let file = self.file(id).await;
            if file["status"] == json!(status) {
                return file;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("never {status}: {}", self.file(id).await);
    }

    /// Waits until so many scans have failed.
    pub(super) async fn fails_to_scan(&self, times: u64) {
        for _ in 0..600 {
            let told = send(self.address, "GET", "/minio/v2/metrics/cluster", "", b"").await;
            let told = String::from_utf8_lossy(&told.body).into_owned();
            let failed = told
                .lines()
                .find_map(|line| line.strip_prefix("drystone_scan_total{verdict=\"error\"} "));
            if failed.is_some_and(|count| count.parse::<u64>().unwrap() >= times) {
                assert!(told.lines().any(|line| line == "drystone_scan_waiting 1"), "{told}");
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("it never failed");
    }

    pub(super) async fn reads(&self, who: Who, id: &str) -> Answer {
        self.call(who, "GET", &format!("files/{id}/content"), "", b"").await
    }
}

fn document(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or(Value::Null)
}

fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_default().to_owned()
}

async fn scanned(clamd: &FakeClamd, more: &[(&str, &str)]) -> (Server, App) {
    let setting = clamd.setting();
    let vars: Vec<(&str, &str)> = [("DRYSTONE_SCAN", setting.as_str())]
        .into_iter()
        .chain(more.iter().copied())
        .collect();
    let server = start(&vars).await;
    let app = App::new(server.addresses()[0]).await;
    (server, app)
}

/// Every door to the bytes of one public file of ann's, shared by a link as well: what each answers.
struct Doors {
    id: String,
    key: String,
    link: String,
    share: String,
    /// Its address for everybody.
    open: String,
}

impl Doors {
    async fn of(app: &App, id: &str) -> Self {
        let ann = Who::Person("ann");
        let link = app.post(ann, &format!("files/{id}/download-url"), json!({})).await;
        let share = app
            .post(ann, &format!("files/{id}/shares"), json!({ "type": "link" }))
            .await;
        assert_eq!((link.status, share.status), (200, 201), "{}", share.head);
        let file = app.file(id).await;
        Self {
            id: id.to_owned(),
            key: text(&file, "key"),
            open: text(&file, "publicUrl"),
            link: text(&document(&link), "url"),
            share: text(&document(&share), "token"),
        }
    }

    /// Door by door: what it is, what it answers, and whether it is one of those who may know that the file is there.
    async fn try_all(&self, app: &App) -> Vec<(String, Answer, bool)> {
        let (id, key) = (&self.id, &self.key);
        let mut tried = Vec::new();
        let people = [
            (Who::Guest, false),
            (Who::Person("bob"), false),
            (Who::Person("ann"), true),
            (Who::Server, true),
        ];
        for (who, knows) in people {
            for (method, path) in [
                ("GET", format!("files/{id}/content")),
                ("HEAD", format!("files/{id}/content")),
                ("GET", format!("files/{id}/download-url")),
            ] {
                let told = app.call(who, method, &path, "", b"").await;
                tried.push((format!("{who:?} {method} {path}"), told, knows));
            }
            let image = format!("img/shop/prod/40x0/{key}");
            tried.push((
                format!("{who:?} image"),
                app.call(who, "GET", &image, "", b"").await,
                false,
            ));
        }
        for who in [Who::Person("ann"), Who::Server] {
            let owner = app.says(Who::Person("ann"));
            let headers = if who == Who::Server {
                owner.replace(&app.publishable, &app.secret)
            } else {
                owner
            };
            let path = format!("/v1/files/{id}/copy");
            let told = send(app.address, "POST", &path, &format!("{headers}{JSON}"), b"{}").await;
            tried.push((format!("{who:?} copy"), told, true));
        }
        let object = format!("/shop-prod/{key}");
        tried.push(("link".into(), app.to("GET", &self.link, "", b"").await, false));
        tried.push((
            "link, its head".into(),
            app.to("HEAD", &self.link, "", b"").await,
            false,
        ));
        let shared = format!("{object}?drystone-share={}", self.share);
        tried.push(("share".into(), send(app.address, "GET", &shared, "", b"").await, false));
        tried.push((
            "anonymous".into(),
            send(app.address, "GET", &object, "", b"").await,
            false,
        ));
        tried.push(("root".into(), app.s3("GET", &object, "", b"").await, false));
        tried.push((
            "root, a range".into(),
            app.s3("GET", &object, "Range: bytes=0-3\r\n", b"").await,
            false,
        ));
        tried.push(("root, the head".into(), app.s3("HEAD", &object, "", b"").await, false));
        let part = app.s3("GET", &format!("{object}?partNumber=1"), "", b"").await;
        tried.push(("root, a part".into(), part, false));
        tried
    }

    async fn are_open(&self, app: &App) {
        for (door, answer, _) in self.try_all(app).await {
            assert!((200..300).contains(&answer.status), "{door}: {}", answer.head);
        }
        assert_eq!(app.to("GET", &self.open, "", b"").await.status, 200);
    }

    async fn are_shut(&self, app: &App, state: &str) {
        for (door, answer, knows) in self.try_all(app).await {
            let case = format!("{door} of a file that is {state}: {}", answer.head);
            match knows {
                true => assert_eq!(answer.status, 423, "{case}"),
                false => assert_eq!(answer.status, 403, "{case}"),
            }
            let waits = answer.head.contains("retry-after: ");
            assert_eq!(waits, knows && state == "scanning", "{case}");
        }
        // To everybody it is not there.
        assert_eq!(app.to("GET", &self.open, "", b"").await.status, 404, "{state}");
    }
}

/// The matrix: whatever the door and whoever comes, bytes are given out while the file is active, and in no other state.
#[tokio::test]
async fn nobody_reads_bytes_that_wait_or_are_in_quarantine_by_any_door() {
    let clamd = FakeClamd::new(Mood::Silent).await;
    let (server, app) = scanned(&clamd, &[]).await;
    let ann = Who::Person("ann");
    let image = "Content-Type: image/jpeg\r\n";
    let path = "files/upload?filename=a.jpg&visibility=public";
    let told = app.call(ann, "POST", path, image, &picture(80, 60)).await;
    let id = text(&document(&told), "id");
    assert_eq!(
        (told.status, text(&document(&told), "status")),
        (201, "scanning".into())
    );
    clamd.becomes(Mood::Says(OK));
    let file = app.becomes(&id, "active").await;
    assert_eq!(
        (&file["scan"]["verdict"], &file["scan"]["engine"]),
        (&json!("clean"), &json!("clamd"))
    );
    let doors = Doors::of(&app, &id).await;
    // A share by link counts while the file is shared: who may read it by its visibility needs none.
    doors.are_open(&app).await;
    let again = format!("files/{id}/scan");
    for (mood, state) in [(Mood::Silent, "scanning"), (Mood::Says(FOUND), "quarantined")] {
        clamd.becomes(mood);
        let told = app.post(Who::Server, &again, json!({})).await;
        assert_eq!(told.status, 200, "{}", told.head);
        app.becomes(&id, state).await;
        doors.are_shut(&app, state).await;
        // It is there for its owner and for servers, and for nobody else.
        for (who, status) in [(Who::Guest, 403), (Who::Person("bob"), 403), (ann, 200)] {
            let told = app.call(who, "GET", &format!("files/{id}"), "", b"").await;
            assert_eq!(told.status, status, "{who:?} {state}");
            let listed = app.call(who, "GET", &format!("files?state={state}"), "", b"").await;
            let found = document(&listed)["items"].as_array().map_or(0, Vec::len);
            assert_eq!(found, usize::from(who == ann), "{who:?} {state}");
        }
        assert_eq!(app.file(&id).await["url"], Value::Null);
    }

    let file = app.file(&id).await;
    assert_eq!(file["scan"]["signature"], json!("Eicar-Test-Signature"));
    let release = format!("files/{id}/release");
    let reason = json!({ "reason": "a false alarm" });
    for who in [ann, Who::Guest] {
        assert_eq!(app.post(who, &release, reason.clone()).await.status, 403);
    }
    assert_eq!(app.post(Who::Server, &release, json!({})).await.status, 400);
    let released = app.post(Who::Server, &release, reason.clone()).await;
    assert_eq!(released.status, 200, "{}", released.head);
    let scan = &document(&released)["scan"];
    assert_eq!(
        (&scan["verdict"], &scan["reason"]),
        (&json!("infected"), &json!("a false alarm"))
    );
    assert!(scan["releasedBy"].as_str().unwrap().starts_with("key "), "{scan}");
    assert_eq!(app.post(Who::Server, &release, reason).await.status, 409);
    doors.are_open(&app).await;
    server.stop().await.unwrap();
}

/// Sends a file in every way there is; the ids that are told at once.
async fn send_every_way(app: &App) -> Vec<String> {
    let ann = Who::Person("ann");
    let mut waiting = vec![text(&app.upload("", b"sent through").await, "id")];
    let announced = json!({ "filename": "a.txt", "contentType": "text/plain" });
    let said = document(&app.post(ann, "files/presigned-url", announced.clone()).await);
    assert_eq!(app.to("PUT", &text(&said, "url"), TEXT, b"by a link").await.status, 200);
    waiting.push(text(&said, "fileId"));
    let said = document(&app.post(ann, "files/upload-url", announced.clone()).await);
    assert_eq!(
        app.to("POST", &text(&said, "uploadUrl"), TEXT, b"by a post")
            .await
            .status,
        200
    );
    waiting.push(text(&said, "fileId"));
    let begun = document(&app.post(ann, "files/multipart/init", announced).await);
    let asked = json!({ "uploadId": begun["uploadId"], "partNumber": 1 });
    let url = text(
        &document(&app.post(ann, "files/multipart/presigned-url", asked).await),
        "url",
    );
    let part = app.to("PUT", &url, "", b"in parts").await;
    let etag = part.head.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap();
    let parts = json!({ "uploadId": begun["uploadId"], "parts": [{ "partNumber": 1, "etag": etag }] });
    let whole = app.post(ann, "files/multipart/complete", parts).await;
    assert_eq!(
        (whole.status, text(&document(&whole), "status")),
        (200, "scanning".into())
    );
    waiting.push(text(&document(&whole), "fileId"));
    let name = STANDARD.encode_to_string("a.txt");
    let tus = format!(
        "Tus-Resumable: 1.0.0\r\nUpload-Length: 6\r\nUpload-Metadata: filename {name}\r\n\
         Content-Type: application/offset+octet-stream\r\n"
    );
    assert_eq!(app.call(ann, "POST", "tus", &tus, b"by tus").await.status, 201);
    assert_eq!(app.s3("PUT", "/shop-prod/k/by-s3.txt", "", b"by s3").await.status, 200);
    waiting
}

#[tokio::test]
async fn every_way_in_leads_by_the_scanner() {
    let clamd = FakeClamd::new(Mood::Silent).await;
    let (server, app) = scanned(&clamd, &[]).await;
    let ann = Who::Person("ann");
    let waiting = send_every_way(&app).await;
    let listed = app
        .call(Who::Server, "GET", "files?state=scanning&limit=50", "", b"")
        .await;
    let listed = document(&listed);
    let listed: Vec<String> = listed["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| text(file, "id"))
        .collect();
    assert_eq!(listed.len(), 6, "{listed:?}");
    assert!(waiting.iter().all(|id| listed.contains(id)), "{waiting:?} {listed:?}");
    // Completing it says how it stands, as often as it is asked.
    for _ in 0..2 {
        let told = app
            .post(ann, &format!("files/{}/complete", waiting[1]), json!({}))
            .await;
        assert_eq!(
            (told.status, text(&document(&told), "status")),
            (200, "scanning".into())
        );
    }
    clamd.becomes(Mood::Honest);
    for id in &listed {
        app.becomes(id, "active").await;
    }
    let mut sent: Vec<String> = clamd
        .asked()
        .into_iter()
        .map(|bytes| String::from_utf8(bytes).unwrap())
        .collect();
    sent.sort();
    sent.dedup();
    assert_eq!(
        sent,
        ["by a link", "by a post", "by s3", "by tus", "in parts", "sent through"]
    );

    others_take_its_place(&app, &clamd, &waiting[0]).await;
    server.stop().await.unwrap();
}

/// A clean file of ann's, copied and replaced by bad bytes: those are barred wherever they go.
async fn others_take_its_place(app: &App, clamd: &FakeClamd, id: &str) {
    let ann = Who::Person("ann");
    // Bytes that were found clean are not scanned again under another name.
    let asked = clamd.asked().len();
    let copy = app.post(ann, &format!("files/{}/copy", id), json!({})).await;
    assert_eq!(
        (copy.status, text(&document(&copy), "status")),
        (201, "active".into()),
        "{}",
        copy.head
    );
    assert_eq!(clamd.asked().len(), asked);

    // What replaces them is read by nobody until it was scanned; what was there before can be brought back.
    let replace = format!("files/{}/replace", id);
    let told = app.call(ann, "POST", &replace, TEXT, BAD.as_bytes()).await;
    assert_eq!(
        (told.status, text(&document(&told), "status")),
        (200, "scanning".into()),
        "{}",
        told.head
    );
    app.becomes(id, "quarantined").await;
    assert_eq!(app.reads(ann, id).await.status, 423);
    let versions = app.call(ann, "GET", &format!("files/{}/versions", id), "", b"").await;
    let old = document(&versions)["versions"][1]["id"].as_str().unwrap().to_owned();
    let back = format!("files/{}/versions/{old}/restore", id);
    assert_eq!(app.post(ann, &back, json!({})).await.status, 200);
    let read = app.reads(ann, id).await;
    assert_eq!((read.status, read.body.as_slice()), (200, &b"sent through"[..]));
    // The bad bytes are a version now; brought back, they are in quarantine as they were.
    let versions = app.call(ann, "GET", &format!("files/{}/versions", id), "", b"").await;
    let bad = document(&versions)["versions"][1]["id"].as_str().unwrap().to_owned();
    let back = format!("files/{}/versions/{bad}/restore", id);
    let told = app.post(ann, &back, json!({})).await;
    assert_eq!(
        (told.status, text(&document(&told), "status")),
        (200, "quarantined".into())
    );
    assert_eq!(app.reads(ann, id).await.status, 423);
    // Neither does the trash let them out.
    let path = format!("files/{}", id);
    assert_eq!(app.call(ann, "DELETE", &path, "", b"").await.status, 200);
    let told = app.post(ann, &format!("{path}/restore"), json!({})).await;
    assert_eq!(
        (told.status, text(&document(&told), "status")),
        (200, "quarantined".into())
    );
    assert_eq!(app.reads(Who::Server, id).await.status, 423);
}

#[tokio::test]
async fn all_bytes_of_a_large_file_reach_the_scanner_and_no_others() {
    let clamd = FakeClamd::new(Mood::Honest).await;
    let (server, app) = scanned(&clamd, &[("DRYSTONE_SCAN_MAX_BYTES", "4000000")]).await;
    let large: Vec<u8> = (0..3_000_000_u32).map(|n| b'a' + (n % 23) as u8).collect();
    let id = text(&app.upload("", &large).await, "id");
    app.becomes(&id, "active").await;
    assert!(clamd.asked() == [large], "other bytes came");
    // At the very end.
    let bad = [vec![b'x'; 1_000_000], BAD.as_bytes().to_vec()].concat();
    let id = text(&app.upload("", &bad).await, "id");
    app.becomes(&id, "quarantined").await;
    // Larger than is scanned: it is not even sent.
    let id = text(&app.upload("", &vec![b'y'; 4_000_001]).await, "id");
    let file = app.becomes(&id, "quarantined").await;
    assert_eq!(
        (&file["scan"]["verdict"], clamd.asked().len()),
        (&json!("too-large"), 2)
    );
    // The scanner's own limit is lower: the same.
    clamd.becomes(Mood::Takes(1_000));
    let id = text(&app.upload("", &vec![b'z'; 2_000_000]).await, "id");
    let file = app.becomes(&id, "quarantined").await;
    assert_eq!(file["scan"]["verdict"], json!("too-large"));
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_scanner_that_says_nothing_of_use_lets_nothing_through_and_what_waited_goes_on_when_it_does() {
    for mood in [
        Mood::HangsUp,
        Mood::Says(""),
        Mood::Says("stream: OK"),
        Mood::Says("clean\0"),
        Mood::Says("stream: lstat() failed: No such file or directory. ERROR\0"),
    ] {
        let clamd = FakeClamd::new(mood.clone()).await;
        let (server, app) = scanned(&clamd, &[("MINIO_PROMETHEUS_AUTH_TYPE", "public")]).await;
        let id = text(&app.upload("", b"some words").await, "id");
        // Asked more than once, it stays as it is.
        app.fails_to_scan(2).await;
        assert_eq!(app.file(&id).await["status"], json!("scanning"), "{mood:?}");
        assert_eq!(app.reads(Who::Person("ann"), &id).await.status, 423, "{mood:?}");
        clamd.becomes(Mood::Honest);
        app.becomes(&id, "active").await;
        assert_eq!(app.reads(Who::Person("ann"), &id).await.status, 200, "{mood:?}");
        server.stop().await.unwrap();
    }
}

#[tokio::test]
async fn an_operator_may_let_files_pass_that_cannot_be_scanned() {
    let clamd = FakeClamd::new(Mood::HangsUp).await;
    let more = [
        ("DRYSTONE_SCAN_DOWN", "pass"),
        ("DRYSTONE_SCAN_TOO_LARGE", "pass"),
        ("DRYSTONE_SCAN_MAX_BYTES", "100"),
    ];
    let (server, app) = scanned(&clamd, &more).await;
    let id = text(&app.upload("", b"some words").await, "id");
    let file = app.becomes(&id, "active").await;
    assert_eq!(file["scan"]["verdict"], json!("not-scanned"));
    let id = text(&app.upload("", &[b'x'; 101]).await, "id");
    let file = app.becomes(&id, "active").await;
    assert_eq!(file["scan"]["verdict"], json!("too-large"));
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_logical_bucket_may_be_left_out_and_its_files_are_scanned_when_they_leave_it() {
    let clamd = FakeClamd::new(Mood::Honest).await;
    let (server, app) = scanned(&clamd, &[]).await;
    let rules = json!({ "scan": "off" }).to_string();
    let told = app
        .call(Who::Server, "PUT", "files/buckets/own", JSON, rules.as_bytes())
        .await;
    assert_eq!((told.status, &document(&told)["scan"]), (200, &json!("off")));
    let announced = json!({ "filename": "a.txt", "contentType": "text/plain", "bucket": "own" });
    let ann = Who::Person("ann");
    let said = document(&app.post(ann, "files/presigned-url", announced).await);
    assert_eq!(
        app.to("PUT", &text(&said, "url"), TEXT, BAD.as_bytes()).await.status,
        200
    );
    let id = text(&said, "fileId");
    assert_eq!(app.file(&id).await["status"], json!("active"));
    assert!(clamd.asked().is_empty());
    let moved = json!({ "s3Key": said["key"], "originalName": "a.txt", "mimeType": "text/plain", "size": 19,
        "bucket": "media" });
    let told = app.post(ann, "files", moved).await;
    assert_eq!(
        (told.status, text(&document(&told), "status")),
        (201, "scanning".into()),
        "{}",
        told.head
    );
    app.becomes(&id, "quarantined").await;
    server.stop().await.unwrap();
}

#[tokio::test]
async fn what_is_in_quarantine_counts_until_its_time_is_over_and_is_taken_away_then() {
    let (clamd, clock) = (FakeClamd::new(Mood::Honest).await, Arc::new(Ahead::default()));
    let setting = clamd.setting();
    let vars = [
        ("MINIO_ROOT_USER", USER),
        ("MINIO_ROOT_PASSWORD", PASSWORD),
        ("DRYSTONE_SCAN", setting.as_str()),
    ];
    let conditions = Conditions {
        clock: Arc::clone(&clock) as Arc<dyn Clock>,
        ..over(MemoryBackend::default())
    };
    let server = Server::start(config(&vars), conditions).await.unwrap();
    let app = App::new(server.addresses()[0]).await;
    let good = text(&app.upload("", b"some words").await, "id");
    let bad = text(&app.upload("", BAD.as_bytes()).await, "id");
    let kept = text(&app.upload("", BAD.as_bytes()).await, "id");
    app.becomes(&good, "active").await;
    app.becomes(&bad, "quarantined").await;
    app.becomes(&kept, "quarantined").await;
    let used = async || document(&app.call(Who::Server, "GET", "files/usage", "", b"").await);
    let full = used().await;
    assert_eq!(
        (&full["count"], &full["bytes"]),
        (&json!(3), &json!(10 + 2 * BAD.len()))
    );
    let collect = async |dry: bool| {
        let (code, told) = ask(
            app.address,
            ROOT,
            "POST",
            &format!("/collect?dry-run={dry}"),
            &Value::Null,
        )
        .await;
        assert_eq!((code, &told["failed"]), (200, &json!(0)), "{told}");
        told["collected"]["quarantined"].clone()
    };
    clock.0.store(6 * DAY, Ordering::Relaxed);
    assert_eq!((collect(true).await, collect(false).await), (json!(0), json!(0)));
    // Saying something of it gives it no more time; scanning it again does.
    let named = json!({ "originalName": "b.txt" }).to_string();
    let told = app
        .call(Who::Server, "PATCH", &format!("files/{bad}"), JSON, named.as_bytes())
        .await;
    assert_eq!(told.status, 200, "{}", told.head);
    assert_eq!(
        app.post(Who::Server, &format!("files/{kept}/scan"), json!({}))
            .await
            .status,
        200
    );
    app.becomes(&kept, "quarantined").await;
    clock.0.store(8 * DAY, Ordering::Relaxed);
    assert_eq!(
        (collect(true).await, app.file(&bad).await["status"].clone()),
        (json!(1), json!("quarantined"))
    );
    assert_eq!(collect(false).await, json!(1));
    assert_eq!(
        app.call(Who::Server, "GET", &format!("files/{bad}"), "", b"")
            .await
            .status,
        404
    );
    assert_eq!(app.file(&kept).await["status"], json!("quarantined"));
    assert_eq!(used().await["count"], json!(2));
    server.stop().await.unwrap();
}

/// A crash between the durable write and the scan: what was written is found by its state at the next start.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_crash_left_unscanned_is_scanned_after_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = free.local_addr().unwrap();
    drop(free);
    let scanner = format!("clamd:{nobody}");
    let vars = [
        ("MINIO_ROOT_USER", USER),
        ("MINIO_ROOT_PASSWORD", PASSWORD),
        ("DRYSTONE_SCAN", scanner.as_str()),
    ];
    let started = |folder: &std::path::Path| Running::start(folder, &vars, &[]);
    let running = started(folder.path());
    let mut app = App::new(running.address).await;
    let good = text(&app.upload("", b"some words").await, "id");
    let bad = text(&app.upload("", BAD.as_bytes()).await, "id");
    assert_eq!(app.file(&good).await["status"], json!("scanning"));
    // Killed, not stopped.
    drop(running);
    let running = started(folder.path());
    app.address = running.address;
    assert_eq!(app.file(&good).await["status"], json!("scanning"));
    assert_eq!(app.reads(Who::Server, &bad).await.status, 423);
    let clamd = FakeClamd::at(nobody, Mood::Honest).await;
    app.becomes(&good, "active").await;
    app.becomes(&bad, "quarantined").await;
    assert!(clamd.asked().len() >= 2);
    let read = app.reads(Who::Person("ann"), &good).await;
    assert_eq!((read.status, read.body.as_slice()), (200, &b"some words"[..]));
    assert_eq!(running.stop(), Some(0));
}
