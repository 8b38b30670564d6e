//! What calls other servers: webhooks, and files that are fetched.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use parking_lot::Mutex;
use serde_json::{Value, json};
use storage_engine::store::record::event::EventKind;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{Shop, bucket};
use crate::webhooks::Webhooks;

/// A request as it came: its head and its body.
#[derive(Clone, Debug)]
struct Came {
    head: String,
    body: Vec<u8>,
}

impl Came {
    fn header(&self, name: &str) -> String {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        let mut found = lines.filter(|(known, _)| known.eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| value.to_owned()).unwrap_or_default()
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// A server that gives the answers in turn, the last for ever, and remembers what came.
struct Receiver {
    url: String,
    came: Arc<Mutex<Vec<Came>>>,
}

impl Receiver {
    async fn new(answers: &[String]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let came: Arc<Mutex<Vec<Came>>> = Arc::default();
        let (seen, mut answers) = (Arc::clone(&came), VecDeque::from(answers.to_vec()));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let Some(request) = request(&mut stream).await else {
                    continue;
                };
                seen.lock().push(request);
                let answer = match answers.len() {
                    1 => answers[0].clone(),
                    _ => answers.pop_front().unwrap(),
                };
                let _ = stream.write_all(answer.as_bytes()).await;
                let _ = stream.shutdown().await;
            }
        });
        Self { url, came }
    }

    fn came(&self) -> Vec<Came> {
        self.came.lock().clone()
    }

    fn kinds(&self) -> Vec<String> {
        let mut kinds: Vec<String> = self
            .came()
            .iter()
            .map(|came| came.json()["type"].as_str().unwrap().to_owned())
            .collect();
        kinds.sort();
        kinds
    }
}

async fn request(stream: &mut TcpStream) -> Option<Came> {
    let mut read = Vec::new();
    loop {
        let mut piece = [0; 4096];
        let len = stream.read(&mut piece).await.ok().filter(|len| *len > 0)?;
        read.extend_from_slice(&piece[..len]);
        let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") else {
            continue;
        };
        let head = String::from_utf8(read[..end].to_vec()).unwrap();
        let body = read[end + 4..].to_vec();
        let came = Came { head, body };
        let len = came.header("content-length").parse().unwrap_or(0);
        if came.body.len() >= len {
            return Some(came);
        }
    }
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\n{headers}content-length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn ok() -> String {
    answer("200 OK", "", "")
}

/// The address of a server that has one text.
pub(super) async fn text_server() -> String {
    let text = answer("200 OK", "content-type: text/plain\r\n", "some words");
    Receiver::new(&[text]).await.url
}

impl Shop {
    /// A webhook; its id and its secret.
    async fn hook(&self, url: &str, events: &[&str]) -> (String, String) {
        let fields = json!({ "url": url, "events": events });
        let told = self.post(&self.server(), "files/webhooks", fields).await.is(201);
        (told.text("/id"), told.text("/secret"))
    }

    /// What became of the deliveries to a webhook.
    async fn log(&self, hook: &str, status: &str) -> Vec<Value> {
        let path = format!("files/webhooks/{hook}/deliveries?status={status}");
        let told = self.get(&self.server(), &path).await.is(200);
        told.field("/items").as_array().unwrap().clone()
    }
}

#[tokio::test]
async fn a_receiver_is_told_of_a_file_and_can_prove_who_told_it() {
    let shop = Shop::new().await;
    let receiver = Receiver::new(&[ok()]).await;
    let all = ["file.received", "file.active", "file.rejected", "file.deleted"];
    let (hook, secret) = shop.hook(&receiver.url, &all).await;
    let ann = shop.person("ann");
    let file = shop.file(&ann, "private").await;
    shop.ask(&ann, "DELETE", &format!("files/{file}"), &[], Vec::new())
        .await
        .is(200);
    shop.webhooks.deliver_due().await;

    assert_eq!(receiver.kinds(), ["file.active", "file.deleted", "file.received"]);
    let key = base64_simd::STANDARD.decode_to_vec(secret.strip_prefix("whsec_").unwrap());
    let key = hmac::Key::new(hmac::HMAC_SHA256, &key.unwrap());
    for came in receiver.came() {
        let document = came.json();
        assert_eq!(document["data"]["id"], json!(file), "{document}");
        assert_eq!(
            (document["project"].as_str(), document["data"]["ownerId"].as_str()),
            (Some("shop"), Some("ann"))
        );
        assert_eq!(document["id"], json!(came.header("webhook-id")));
        let signed = format!("{}.{}.", came.header("webhook-id"), came.header("webhook-timestamp"));
        let signed = [signed.as_bytes(), &came.body].concat();
        let signature = came.header("webhook-signature");
        let signature = base64_simd::STANDARD.decode_to_vec(signature.strip_prefix("v1,").unwrap());
        assert!(hmac::verify(&key, &signed, &signature.unwrap()).is_ok());
    }
    let log = shop.log(&hook, "ended").await;
    assert_eq!(log.len(), 3);
    assert!(
        log.iter()
            .all(|one| one["status"] == "delivered" && one["httpStatus"] == 200)
    );
    // What was told is told no more.
    shop.webhooks.deliver_due().await;
    assert_eq!(receiver.came().len(), 3);
    let shown = shop
        .get(&shop.server(), &format!("files/webhooks/{hook}"))
        .await
        .is(200);
    assert!(!String::from_utf8_lossy(&shown.bytes).contains("whsec_"));
}

#[tokio::test]
async fn a_receiver_that_failed_is_told_again_under_the_same_id() {
    let shop = Shop::new().await;
    let receiver = Receiver::new(&[
        answer("500 No", "", ""),
        answer("302 Found", "location: /\r\n", ""),
        ok(),
    ])
    .await;
    let (hook, _) = shop.hook(&receiver.url, &["file.active"]).await;
    shop.file(&shop.person("ann"), "private").await;
    shop.webhooks.deliver_due().await;
    shop.webhooks.deliver_due().await;
    assert_eq!(receiver.came().len(), 1, "it is not due yet");
    let waiting = shop.log(&hook, "waiting").await;
    assert_eq!(
        (&waiting[0]["attempts"], &waiting[0]["httpStatus"]),
        (&json!(1), &json!(500))
    );
    for _ in 0..2 {
        shop.later.forward(Duration::from_secs(60));
        shop.webhooks.deliver_due().await;
    }
    let came = receiver.came();
    assert_eq!(came.len(), 3);
    assert!(
        came.iter()
            .all(|one| one.header("webhook-id") == came[0].header("webhook-id"))
    );
    assert!(shop.log(&hook, "waiting").await.is_empty());
    assert_eq!(shop.log(&hook, "ended").await[0]["attempts"], json!(3));
}

#[tokio::test]
async fn a_receiver_that_is_gone_is_given_up_and_holds_up_nobody() {
    let shop = Shop::new().await;
    let (gone, _) = shop.hook("http://127.0.0.1:1/", &["file.active"]).await;
    let receiver = Receiver::new(&[ok()]).await;
    shop.hook(&receiver.url, &["file.active"]).await;
    shop.file(&shop.person("ann"), "private").await;
    shop.webhooks.deliver_due().await;
    assert_eq!(receiver.came().len(), 1);
    assert_eq!(shop.log(&gone, "waiting").await.len(), 1);
    shop.later.forward(Duration::from_secs(73 * 3_600));
    shop.webhooks.deliver_due().await;
    let dead = shop.log(&gone, "ended").await;
    assert_eq!((&dead[0]["status"], &dead[0]["attempts"]), (&json!("dead"), &json!(2)));
    assert!(dead[0]["error"].is_string());
    assert_eq!(receiver.came().len(), 1);
}

/// Delivered, tried again, dead, waiting, and seconds since the oldest happened.
fn figures(webhooks: &Webhooks) -> (u64, u64, u64, u64, u64) {
    let sums = webhooks.figures();
    let of = |name| sums.outcomes.iter().find(|(known, _)| *known == name).unwrap().1;
    (
        of("delivered"),
        of("retried"),
        of("dead"),
        sums.waiting,
        sums.oldest_seconds,
    )
}

#[tokio::test]
async fn figures_tell_what_came_of_deliveries_and_how_long_the_oldest_waits() {
    let shop = Shop::new().await;
    let webhooks = &shop.webhooks;
    let receiver = Receiver::new(&[answer("500 No", "", ""), answer("500 No", "", ""), ok()]).await;
    shop.hook(&receiver.url, &["file.active"]).await;
    assert_eq!(figures(webhooks), (0, 0, 0, 0, 0));
    let ann = shop.person("ann");
    shop.file(&ann, "private").await;
    webhooks.deliver_due().await;
    assert_eq!(figures(webhooks), (0, 1, 0, 1, 0));
    // The store has a clock of its own, which goes on.
    shop.later.forward(Duration::from_secs(100));
    let (.., waiting, oldest) = figures(webhooks);
    assert!(waiting == 1 && (50..=100).contains(&oldest), "{oldest}");
    shop.later.forward(Duration::from_secs(60));
    // It is refused once more, and so is nothing that came after it.
    webhooks.deliver_due().await;
    let (delivered, retried, dead, waiting, oldest) = figures(webhooks);
    assert_eq!((delivered, retried, dead, waiting), (0, 2, 0, 1));
    assert!((110..=160).contains(&oldest), "{oldest}");
    // A newer one goes by it, and the old one stays the oldest.
    shop.file(&ann, "private").await;
    webhooks.deliver_due().await;
    let (delivered, retried, _, waiting, oldest) = figures(webhooks);
    assert_eq!((delivered, retried, waiting), (1, 2, 1));
    assert!(oldest >= 110, "{oldest}");

    // The next server finds what waits.
    let clock = Arc::clone(&shop.later);
    let next = Webhooks::new(shop.store.clone(), shop.projects.clone(), shop.outbound.clone(), clock);
    next.deliver_due().await;
    let (.., waiting, oldest) = figures(&next);
    assert!(waiting == 1 && oldest >= 110, "{waiting} {oldest}");
    shop.later.forward(Duration::from_secs(120));
    next.deliver_due().await;
    assert_eq!(figures(&next), (1, 0, 0, 0, 0));

    // One that is given up.
    shop.hook("http://127.0.0.1:1/", &["file.active"]).await;
    shop.file(&ann, "private").await;
    next.deliver_due().await;
    let (delivered, retried, dead, waiting, _) = figures(&next);
    assert_eq!((delivered, retried, dead, waiting), (2, 1, 0, 1));
    shop.later.forward(Duration::from_secs(73 * 3_600));
    next.deliver_due().await;
    assert_eq!(figures(&next), (2, 1, 1, 0, 0));
}

#[tokio::test]
async fn a_stop_in_the_removal_of_the_last_webhook_leaves_nothing_that_grows() {
    let shop = Shop::new().await;
    let bucket = bucket();
    let everything = EventKind::ALL.into_iter().fold(0, |set, kind| set | kind.bit());
    // The webhook has gone, and listening had not ended yet.
    shop.store.listen(&bucket, everything).await.unwrap();
    let ann = shop.person("ann");
    shop.file(&ann, "private").await;
    assert!(!shop.store.events(&bucket, 10).await.unwrap().is_empty());
    shop.webhooks.mend().await.unwrap();
    assert!(shop.store.events(&bucket, 10).await.unwrap().is_empty());
    shop.file(&ann, "private").await;
    assert!(shop.store.events(&bucket, 10).await.unwrap().is_empty());

    let receiver = Receiver::new(&[ok()]).await;
    shop.hook(&receiver.url, &["file.active"]).await;
    shop.file(&ann, "private").await;
    shop.webhooks.mend().await.unwrap();
    shop.webhooks.deliver_due().await;
    assert_eq!(receiver.kinds(), ["file.active"]);
}

#[tokio::test]
async fn what_waited_when_the_server_stopped_is_told_by_the_next_one() {
    let shop = Shop::new().await;
    let receiver = Receiver::new(&[answer("503 Later", "", ""), ok()]).await;
    shop.hook(&receiver.url, &["file.active"]).await;
    let ann = shop.person("ann");
    shop.file(&ann, "private").await;
    shop.webhooks.deliver_due().await;
    // Written down, and handed to nobody before the stop.
    shop.file(&ann, "private").await;
    let clock = Arc::clone(&shop.later);
    let next = Webhooks::new(shop.store.clone(), shop.projects.clone(), shop.outbound.clone(), clock);
    shop.later.forward(Duration::from_secs(60));
    next.deliver_due().await;
    let ids: std::collections::BTreeSet<String> =
        receiver.came().iter().map(|came| came.header("webhook-id")).collect();
    assert_eq!((receiver.came().len(), ids.len()), (3, 2));
}

#[tokio::test]
async fn webhooks_are_changed_tried_and_taken_away() {
    let shop = Shop::new().await;
    let server = shop.server();
    let receiver = Receiver::new(&[ok()]).await;
    let (hook, _) = shop.hook(&receiver.url, &["file.active"]).await;
    let path = format!("files/webhooks/{hook}");
    let told = shop.post(&server, &format!("{path}/test"), json!({})).await.is(200);
    assert_eq!(
        (told.text("/status").as_str(), receiver.kinds()),
        ("delivered", vec!["test".into()])
    );
    assert_eq!(shop.log(&hook, "ended").await.len(), 1);

    let off = json!({ "active": false }).to_string().into_bytes();
    shop.ask(&server, "PATCH", &path, &[], off).await.is(200);
    shop.file(&shop.person("ann"), "private").await;
    shop.webhooks.deliver_due().await;
    let other = json!({ "active": true, "events": ["file.deleted"] })
        .to_string()
        .into_bytes();
    let told = shop.ask(&server, "PATCH", &path, &[], other).await.is(200);
    assert_eq!(told.field("/events"), json!(["file.deleted"]));
    shop.file(&shop.person("ann"), "private").await;
    shop.webhooks.deliver_due().await;
    assert_eq!(receiver.came().len(), 1);

    let listed = shop.get(&server, "files/webhooks").await.is(200);
    assert_eq!(listed.text("/items/0/id"), hook);
    shop.ask(&server, "DELETE", &path, &[], Vec::new()).await.is(200);
    shop.get(&server, &path).await.refused(404, "webhook/not-found");
    let again = shop.ask(&server, "DELETE", &path, &[], Vec::new()).await;
    again.refused(404, "webhook/not-found");
    for (fields, status, code) in [
        (json!({}), 400, "common/invalid-request"),
        (json!({ "url": "stone" }), 400, "file/invalid-url"),
        (json!({ "url": "http://10.0.0.1/" }), 403, "file/url-not-allowed"),
        (
            json!({ "url": receiver.url, "events": [] }),
            400,
            "common/invalid-request",
        ),
        (
            json!({ "url": receiver.url, "events": ["test"] }),
            400,
            "common/invalid-request",
        ),
        (
            json!({ "url": receiver.url, "active": 1 }),
            400,
            "common/invalid-request",
        ),
    ] {
        shop.post(&server, "files/webhooks", fields).await.refused(status, code);
    }
    for _ in 0..16 {
        shop.hook(&receiver.url, &["file.active"]).await;
    }
    let fields = json!({ "url": receiver.url });
    shop.post(&server, "files/webhooks", fields)
        .await
        .refused(409, "common/too-many");
}

#[tokio::test]
async fn a_file_of_another_server_becomes_a_file_here() {
    let shop = Shop::new().await;
    let ann = shop.person("ann");
    let text = answer("200 OK", "content-type: text/plain\r\n", "some words");
    let receiver = Receiver::new(&[answer("302 Found", "location: /b/note.txt\r\n", ""), text]).await;
    let fields = json!({ "url": receiver.url, "visibility": "public" });
    let told = shop.post(&ann, "files/from-url", fields).await.is(201);
    assert_eq!(
        (told.text("/originalName"), told.text("/mimeType"), told.field("/size")),
        ("note.txt".into(), "text/plain".into(), json!(10))
    );
    assert_eq!(
        (told.text("/status").as_str(), told.text("/ownerId").as_str()),
        ("active", "ann")
    );
    let path = format!("files/{}/content", told.text("/id"));
    assert_eq!(shop.get(&shop.guest(), &path).await.is(200).bytes, b"some words");
}

#[tokio::test]
async fn what_cannot_be_fetched_is_told_and_leaves_nothing() {
    let shop = Shop::new().await;
    let ann = shop.person("ann");
    let plain = "content-type: text/plain\r\n";
    let cut = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 99\r\n\r\nsome words".to_owned();
    for (sent, status, code) in [
        (
            answer("302 Found", "location: http://10.0.0.1/\r\n", ""),
            403,
            "file/url-not-allowed",
        ),
        (answer("404 Not Found", plain, ""), 502, "file/fetch-failed"),
        (cut, 502, "file/fetch-failed"),
    ] {
        let receiver = Receiver::new(&[sent]).await;
        let fields = json!({ "url": receiver.url, "filename": "a" });
        shop.post(&ann, "files/from-url", fields).await.refused(status, code);
        assert_eq!(receiver.came().len(), 1);
    }
    for url in ["http://10.0.0.1/", "http://[::1]/", "http://169.254.169.254/"] {
        let told = shop.post(&ann, "files/from-url", json!({ "url": url })).await;
        told.refused(403, "file/url-not-allowed");
    }
    let told = shop
        .post(&ann, "files/from-url", json!({ "url": "file:///etc/passwd" }))
        .await;
    told.refused(400, "file/invalid-url");
    let listed = shop.get(&shop.server(), "files?limit=100").await.is(200);
    assert_eq!(listed.field("/items"), json!([]));
}
