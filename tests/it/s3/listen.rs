//! The live stream of events: who may listen, and that exactly what happened is told, after it happened.

#![expect(clippy::indexing_slicing, reason = "a test that cannot go on has failed")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use drystone::auth::{Credential, CredentialSource, Identity, SecretKey, Standing};
use drystone::http::turn::Turn;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::sync::{Semaphore, oneshot};

use super::matrix::{document, policy, statement, user};
use super::{Ask, Server};

const ALL: &str = "events=s3:ObjectCreated:*&events=s3:ObjectRemoved:*&events=s3:ObjectAccessed:*";

/// A listener's end of the stream.
struct Ears {
    body: drystone::http::body::Body,
    text: String,
}

impl Ears {
    async fn open(ask: Ask<'_>) -> Result<Self, u16> {
        let server = ask.server;
        let response = server.service.handle(ask.request()).await;
        match response.status().as_u16() {
            200 => {
                assert_eq!(response.headers()["content-type"], "text/event-stream");
                let body = response.into_body();
                Ok(Self {
                    body,
                    text: String::new(),
                })
            }
            status => Err(status),
        }
    }

    /// The next event.
    async fn next(&mut self) -> Value {
        loop {
            if let Some((line, rest)) = self.text.split_once('\n') {
                let told: Value = serde_json::from_str(line.trim()).unwrap();
                self.text = rest.to_owned();
                if told["Records"].as_array().is_some_and(|records| !records.is_empty()) {
                    return told["Records"][0].clone();
                }
                continue;
            }
            let frame = tokio::time::timeout(Duration::from_secs(20), self.body.frame()).await;
            let frame = frame.unwrap().unwrap().unwrap();
            self.text
                .push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap());
        }
    }

    async fn name_and_key(&mut self) -> String {
        let told = self.next().await;
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let key = text(&told["s3"]["object"]["key"]);
        format!(
            "{} {}/{key}",
            text(&told["eventName"]),
            text(&told["s3"]["bucket"]["name"])
        )
    }
}

#[tokio::test]
async fn what_happened_is_told_after_it_happened_and_what_was_refused_is_not() {
    let server = Server::with_bucket().await;
    server.put("/other").send().await.is(200);
    let mut here = Ears::open(server.get(&format!("/bucket?ping=10&prefix=&suffix=&{ALL}")))
        .await
        .unwrap();
    let mut everywhere = Ears::open(server.get(&format!("/?{ALL}&events=s3:BucketCreated:*,s3:BucketRemoved:*")))
        .await
        .unwrap();
    let put = server
        .put("/bucket/a/b%20c")
        .header("x-amz-meta-colour", "red")
        .header("user-agent", "stone/1")
        .body("hello");
    put.send().await.is(200);
    let told = here.next().await;
    assert_eq!(told["eventName"], "s3:ObjectCreated:Put");
    assert_eq!(told["s3"]["object"]["key"], "a%2Fb+c");
    assert_eq!(told["s3"]["object"]["size"], 5);
    assert_eq!(told["s3"]["object"]["eTag"], "5d41402abc4b2a76b9719d911017c592");
    assert_eq!(told["s3"]["object"]["userMetadata"]["X-Amz-Meta-colour"], "red");
    assert_eq!(told["source"]["userAgent"], "stone/1");
    assert!(told["eventTime"].as_str().unwrap().ends_with('Z'));

    // Refused: nobody hears of it.
    let refused = server.put("/bucket/a/b%20c").header("if-none-match", "*").body("x");
    refused.send().await.is(412);
    server.get("/bucket/absent").send().await.is(404);
    let copy = server
        .put("/bucket/copy")
        .header("x-amz-copy-source", "/bucket/a/b%20c");
    copy.send().await.is(200);
    server.store("/other/far", "x").await;
    server.form("up/form").send().await.is(204);
    let begun = server.post("/bucket/parts?uploads").send().await.is(200);
    let id = begun.element("UploadId").unwrap();
    let part = server.put(&format!("/bucket/parts?partNumber=1&uploadId={id}"));
    let part = part.body("part").send().await.is(200);
    let etag = part.header("etag").unwrap();
    let parts = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part></CompleteMultipartUpload>"
    );
    let complete = server.post(&format!("/bucket/parts?uploadId={id}")).body(parts);
    complete.send().await.is(200);
    server.get("/bucket/copy").send().await.is(200);
    server.head("/bucket/copy").send().await.is(200);
    server.delete("/bucket/copy").send().await.is(204);
    let wanted = [
        "s3:ObjectCreated:Copy bucket/copy",
        "s3:ObjectCreated:Post bucket/up%2Fform",
        "s3:ObjectCreated:CompleteMultipartUpload bucket/parts",
        "s3:ObjectAccessed:Get bucket/copy",
        "s3:ObjectAccessed:Head bucket/copy",
        "s3:ObjectRemoved:Delete bucket/copy",
    ];
    for event in wanted {
        assert_eq!(here.name_and_key().await, event);
    }
    server.delete("/other/far").send().await.is(204);
    server.delete("/other").send().await.is(204);
    server.put("/third").send().await.is(200);
    let mut heard = Vec::new();
    while heard.last().is_none_or(|last: &String| !last.contains("third")) {
        heard.push(everywhere.name_and_key().await);
    }
    for event in wanted.into_iter().chain([
        "s3:ObjectCreated:Put other/far",
        "s3:ObjectRemoved:Delete other/far",
        "s3:BucketRemoved:* other/",
        "s3:BucketCreated:* third/",
    ]) {
        assert!(heard.iter().any(|told| told == event), "{event}: {heard:?}");
    }
}

#[tokio::test]
async fn a_listener_hears_the_events_and_keys_it_asked_for() {
    let server = Server::with_bucket().await;
    let query = "/bucket?prefix=in/&suffix=.txt&events=s3:ObjectRemoved:Delete";
    let mut ears = Ears::open(server.get(query)).await.unwrap();
    for key in ["in/a.txt", "in/a.jpg", "out/a.txt", "in/b.txt"] {
        let path = format!("/bucket/{key}");
        server.store(&path, "x").await;
        server.delete(&path).send().await.is(204);
    }
    assert_eq!(ears.name_and_key().await, "s3:ObjectRemoved:Delete bucket/in%2Fa.txt");
    assert_eq!(ears.name_and_key().await, "s3:ObjectRemoved:Delete bucket/in%2Fb.txt");
    for (query, status) in [
        ("/bucket?events=s3:Nothing:*", 400),
        ("/bucket?events=", 400),
        ("/bucket?events=s3:ObjectCreated:*&ping=never", 400),
        ("/absent?events=s3:ObjectCreated:*", 404),
    ] {
        assert_eq!(Ears::open(server.get(query)).await.err(), Some(status), "{query}");
    }
    // Of a key there is no such thing.
    server.store("/bucket/k", "x").await;
    server
        .get("/bucket/k?events=x")
        .send()
        .await
        .fails(501, "NotImplemented");
}

#[tokio::test]
async fn only_who_may_listen_is_let_in() {
    let server = Server::with_bucket().await;
    let may = |action: &str, on: &str| user("ann", vec![document(&[statement("Allow", action, on)])], None);
    let (here, everywhere) = ("/bucket?events=s3:ObjectCreated:*", "/?events=s3:ObjectCreated:*");
    let everything = statement("Allow", "s3:*", "*");
    let denied = |action: &str| {
        let policies = vec![document(&[everything.clone(), statement("Deny", action, "*")])];
        user("ann", policies, None)
    };
    for (who, of_bucket, of_all) in [
        (user("ann", Vec::new(), None), false, false),
        (may("s3:ListenBucketNotification", "bucket"), true, false),
        (may("s3:ListenBucketNotification", "other"), false, false),
        (may("s3:GetObject", "*"), false, false),
        (may("s3:ListBucket", "bucket"), false, false),
        (may("s3:ListenNotification", "*"), false, true),
        (may("s3:*", "*"), true, true),
        (denied("s3:ListenBucketNotification"), false, true),
        (denied("s3:ListenNotification"), true, false),
        (drystone::auth::Identity::Root, true, true),
    ] {
        for (path, let_in) in [(here, of_bucket), (everywhere, of_all)] {
            let opened = Ears::open(server.get(path).by(who.clone())).await;
            assert_eq!(opened.err(), (!let_in).then_some(403), "{who:?} {path}");
        }
    }
    for path in [here, everywhere] {
        assert_eq!(Ears::open(server.get(path).anonymous()).await.err(), Some(403));
    }
}

/// A policy took the one prefix for the question and the stream took the other.
#[tokio::test]
async fn who_may_listen_under_one_prefix_hears_no_other_by_naming_two() {
    let server = Server::with_bucket().await;
    let home = r#"{"Statement":{"Effect":"Allow","Action":"s3:ListenBucketNotification","Resource":"*",
        "Condition":{"StringLike":{"s3:prefix":"home/ann/*"}}}}"#;
    let ann = || user("ann", vec![policy(home)], None);
    for (prefixes, heard) in [
        ("prefix=home/ann/", Ok(())),
        ("prefix=home/", Err(403)),
        ("prefix=&prefix=home/ann/", Err(400)),
        ("prefix=home/ann/&prefix=", Err(400)),
    ] {
        let ask = server.get(&format!("/bucket?{ALL}&{prefixes}")).by(ann());
        assert_eq!(Ears::open(ask).await.map(drop), heard, "{prefixes}");
    }
}

/// A directory of one user, who may come to be somebody else.
#[derive(Clone)]
struct Directory(Arc<Mutex<Option<Identity>>>);

impl CredentialSource for Directory {
    fn find(&self, _: &str) -> Option<Credential> {
        let identity = self.0.lock().unwrap().clone()?;
        Some(Credential::lasting(identity, SecretKey::new("granite-wall")))
    }
}

impl Directory {
    fn of(identity: Identity) -> Self {
        Self(Arc::new(Mutex::new(Some(identity))))
    }

    fn becomes(&self, identity: Option<Identity>) {
        *self.0.lock().unwrap() = identity;
    }

    /// As if signed by the user.
    async fn listen(&self, server: &Server, path: &str) -> Ears {
        let identity = self.0.lock().unwrap().clone().unwrap();
        let mut request = server.get(path).by(identity).request();
        let standing = Standing::new(Arc::new(self.clone()), "ann-key", None);
        request.extensions_mut().insert(standing);
        let response = server.service.handle(request).await;
        assert_eq!(response.status(), 200);
        Ears {
            body: response.into_body(),
            text: String::new(),
        }
    }
}

impl Ears {
    /// Everything until the end, which comes in time.
    async fn until_the_end(mut self) -> String {
        let all = async {
            while let Some(frame) = self.body.frame().await {
                let frame = frame.unwrap();
                self.text
                    .push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap());
            }
            self.text
        };
        tokio::time::timeout(Duration::from_secs(60), all).await.unwrap()
    }
}

#[tokio::test]
async fn whoever_may_not_listen_any_more_hears_nothing_more() {
    let server = Server::with_bucket().await;
    let may = |action: &str| user("ann", vec![document(&[statement("Allow", action, "*")])], None);
    for path in [format!("/bucket?{ALL}"), format!("/?{ALL}")] {
        for (after, happens) in [
            (None, true),
            (None, false),
            (Some(user("ann", Vec::new(), None)), true),
            (Some(may("s3:GetObject")), false),
        ] {
            let directory = Directory::of(may("s3:*"));
            let mut ears = directory.listen(&server, &path).await;
            server.store("/bucket/heard", "x").await;
            assert_eq!(ears.name_and_key().await, "s3:ObjectCreated:Put bucket/heard");
            directory.becomes(after);
            if happens {
                server.store("/bucket/secret", "x").await;
            }
            let rest = ears.until_the_end().await;
            assert!(!rest.contains("secret"), "{rest}");
        }
    }
    // The bucket's own policy has a say, too.
    let directory = Directory::of(may("s3:*"));
    let mut ears = directory.listen(&server, &format!("/bucket?{ALL}")).await;
    server.store("/bucket/heard", "x").await;
    assert_eq!(ears.name_and_key().await, "s3:ObjectCreated:Put bucket/heard");
    let denies = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*",
        "Action":"s3:ListenBucketNotification","Resource":"arn:aws:s3:::bucket"}]}"#;
    server.put("/bucket?policy").body(denies).send().await.is(204);
    server.store("/bucket/secret", "x").await;
    assert!(!ears.until_the_end().await.contains("secret"));
}

#[tokio::test]
async fn one_account_cannot_take_the_places_of_all_listeners() {
    let server = Server::with_bucket().await;
    let path = format!("/bucket?{ALL}");
    let may = |name: &str| user(name, vec![document(&[statement("Allow", "s3:*", "*")])], None);
    let mut open = Vec::new();
    for _ in 0..16 {
        open.push(Ears::open(server.get(&path).by(may("ann"))).await.unwrap());
    }
    assert_eq!(Ears::open(server.get(&path).by(may("ann"))).await.err(), Some(503));
    for _ in 0..17 {
        open.push(Ears::open(server.get(&path)).await.unwrap());
    }
    Ears::open(server.get(&path).by(may("bob"))).await.map(drop).unwrap();
}

/// A client that left between the commit and its answer took the event with it.
#[tokio::test]
async fn what_was_committed_is_told_though_its_caller_has_left() {
    let server = super::faults::late();
    server.put("/bucket").send().await.is(200);
    let mut ears = Ears::open(server.get(&format!("/bucket?{ALL}"))).await.unwrap();
    for (ask, there, event) in [
        (server.put("/bucket/k").body("x"), 200, "s3:ObjectCreated:Put bucket/k"),
        (server.delete("/bucket/k"), 404, "s3:ObjectRemoved:Delete bucket/k"),
    ] {
        let (service, request) = (server.service.clone(), ask.request());
        let asking = tokio::spawn(async move { drop(service.handle(request).await) });
        let began = std::time::Instant::now();
        while server.head("/bucket/k").by(Identity::Root).send().await.status != there {
            assert!(began.elapsed() < Duration::from_secs(60), "{event}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        asking.abort();
        while ears.name_and_key().await != event {}
    }
}

/// Who mirrors a bucket listens first and lists then. A write that had begun before was neither listed nor told.
#[tokio::test]
async fn a_write_that_began_before_the_first_listener_is_told() {
    let server = Server::with_bucket().await;
    let (reads, read) = oneshot::channel();
    let (send_on, sent) = oneshot::channel();
    let body = futures::stream::once(async move {
        reads.send(()).unwrap();
        Ok::<_, std::io::Error>(Frame::data(sent.await.unwrap()))
    });
    let (parts, _) = server.put("/bucket/a/x").body("hello").request().into_parts();
    let request = http::Request::from_parts(parts, StreamBody::new(body));
    let service = server.service.clone();
    let putting = tokio::spawn(async move { service.handle(request).await.status() });
    read.await.unwrap();
    let mut ears = Ears::open(server.get(&format!("/bucket?{ALL}"))).await.unwrap();
    send_on.send(Bytes::from("hello")).unwrap();
    assert_eq!(putting.await.unwrap(), 200);
    assert_eq!(ears.name_and_key().await, "s3:ObjectCreated:Put bucket/a%2Fx");
}

#[tokio::test]
async fn a_complete_that_is_sent_again_is_told_once() {
    let server = Server::with_bucket().await;
    let mut ears = Ears::open(server.get(&format!("/bucket?{ALL}"))).await.unwrap();
    let begun = server.post("/bucket/parts?uploads").send().await.is(200);
    let id = begun.element("UploadId").unwrap();
    let part = server.put(&format!("/bucket/parts?partNumber=1&uploadId={id}"));
    let etag = part
        .body("part")
        .send()
        .await
        .is(200)
        .header("etag")
        .unwrap()
        .to_owned();
    let parts = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part></CompleteMultipartUpload>"
    );
    for _ in 0..2 {
        let complete = server.post(&format!("/bucket/parts?uploadId={id}")).body(parts.clone());
        complete.send().await.is(200);
    }
    server.store("/bucket/next", "x").await;
    let completed = "s3:ObjectCreated:CompleteMultipartUpload bucket/parts";
    assert_eq!(ears.name_and_key().await, completed);
    assert_eq!(ears.name_and_key().await, "s3:ObjectCreated:Put bucket/next");
}

#[tokio::test]
async fn who_listens_holds_up_nobody_who_waits_for_a_turn() {
    let server = Server::with_bucket().await;
    let turns = Arc::new(Semaphore::new(1));
    let mut request = server.get(&format!("/bucket?{ALL}")).request();
    let turn = Turn::of(Arc::clone(&turns).try_acquire_owned().unwrap());
    request.extensions_mut().insert(turn);
    let response = server.service.handle(request).await;
    assert_eq!(response.status(), 200);
    assert_eq!(turns.available_permits(), 1);
    drop(response);
}

/// The policy of the first bucket had let them in, and what was told before the next look went out.
#[tokio::test]
async fn who_listened_to_a_bucket_that_is_gone_hears_nothing_of_the_next_with_its_name() {
    let server = Server::with_bucket().await;
    let opens = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*",
        "Action":"s3:ListenBucketNotification","Resource":"arn:aws:s3:::bucket"}]}"#;
    for listens_to in [ALL, "events=s3:ObjectCreated:*"] {
        server.put("/bucket?policy").body(opens).send().await.is(204);
        let directory = Directory::of(user("ann", Vec::new(), None));
        let path = format!("/bucket?{listens_to}&events=s3:BucketRemoved:*");
        let mut ears = directory.listen(&server, &path).await;
        server.store("/bucket/heard", "x").await;
        assert_eq!(ears.name_and_key().await, "s3:ObjectCreated:Put bucket/heard");
        server.delete("/bucket/heard").send().await.is(204);
        server.delete("/bucket").send().await.is(204);
        server.put("/bucket").send().await.is(200);
        server.store("/bucket/secret", "x").await;
        server.delete("/bucket/secret").send().await.is(204);
        server.delete("/bucket").send().await.is(204);
        let rest = ears.until_the_end().await;
        assert_eq!(rest.matches("\"s3:BucketRemoved:*\"").count(), 1, "{rest}");
        assert!(!rest.contains("secret"), "{rest}");
        server.put("/bucket").send().await.is(200);
    }
}

/// The look at rights took the time of the request for that of the look.
#[tokio::test]
async fn a_right_that_ends_at_some_hour_ends_the_stream() {
    let server = Server::with_bucket().await;
    // Longer where the machine is too busy to begin in time.
    for seconds in [1, 5, 20, 40] {
        let until = OffsetDateTime::now_utc() + Duration::from_secs(seconds);
        let until = until.format(&Rfc3339).unwrap();
        let allows = format!(
            r#"{{"Statement":{{"Effect":"Allow","Action":"s3:*","Resource":"*",
                "Condition":{{"DateLessThan":{{"aws:CurrentTime":"{until}"}}}}}}}}"#
        );
        let ann = user("ann", vec![policy(&allows)], None);
        match Ears::open(server.get(&format!("/bucket?{ALL}")).by(ann)).await {
            Ok(ears) => {
                ears.until_the_end().await;
                return;
            }
            Err(status) => assert_eq!(status, 403),
        }
    }
    panic!("never let in");
}
