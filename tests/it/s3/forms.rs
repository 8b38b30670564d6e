//! Uploads by HTML form: every condition of a policy, every answer, and nothing that a form says beside its policy.

use std::sync::Arc;

use drystone::auth::sign::Signer;
use drystone::auth::{Authenticator, RootCredentials, SecretKey};
use http::{HeaderValue, Method, Request};
use http_body_util::{BodyExt, Full};
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

use super::{Answer, Server};

const SECRET: &str = "granite-wall";

/// A form on its way, signed by root unless it is changed.
pub(super) struct Form<'s> {
    server: &'s Server,
    path: String,
    conditions: Vec<String>,
    fields: Vec<(String, String)>,
    file: (&'static str, Vec<u8>),
    expires: Duration,
    signer: Option<Signer>,
    tail: &'static str,
}

fn signer(key: &str, secret: &str) -> Signer {
    Signer::new(key, SecretKey::new(secret.as_bytes()), "us-east-1")
}

impl Server {
    /// A form for `key` whose policy allows just that.
    pub(super) fn form(&self, key: &str) -> Form<'_> {
        Form {
            server: self,
            path: "/bucket".to_owned(),
            conditions: vec![
                r#"{"bucket": "bucket"}"#.to_owned(),
                r#"["starts-with", "$key", "up/"]"#.to_owned(),
            ],
            fields: vec![("key".to_owned(), key.to_owned())],
            file: ("name.txt", b"file".to_vec()),
            expires: Duration::minutes(5),
            signer: Some(signer("root", SECRET)),
            tail: "--x--\r\n",
        }
    }
}

impl Form<'_> {
    fn to(mut self, path: &str) -> Self {
        path.clone_into(&mut self.path);
        self
    }

    fn field(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    fn condition(mut self, condition: &str) -> Self {
        self.conditions.push(condition.to_owned());
        self
    }

    /// A field, and the condition that allows any value of it.
    fn said(self, name: &str, value: &str) -> Self {
        self.condition(&format!("[\"starts-with\", \"${name}\", \"\"]"))
            .field(name, value)
    }

    pub(super) fn file(mut self, name: &'static str, bytes: Vec<u8>) -> Self {
        self.file = (name, bytes);
        self
    }

    fn expiring(mut self, after: Duration) -> Self {
        self.expires = after;
        self
    }

    fn signed_by(mut self, signer: Option<Signer>) -> Self {
        self.signer = signer;
        self
    }

    fn cut(mut self) -> Self {
        self.tail = "";
        self
    }

    fn body(&self) -> Vec<u8> {
        let now = OffsetDateTime::now_utc();
        let mut fields = self.fields.clone();
        if let Some(signer) = &self.signer {
            let document = |own: &[(&str, String)]| {
                let mut conditions = self.conditions.clone();
                conditions.extend(own.iter().map(|(name, value)| format!("{{\"{name}\": \"{value}\"}}")));
                let expiration = (now + self.expires).format(&Rfc3339).unwrap();
                format!(
                    "{{\"expiration\": \"{expiration}\", \"conditions\": [{}]}}",
                    conditions.join(", ")
                )
            };
            let signed = signer.post_form(now, |own| base64_simd::STANDARD.encode_to_string(document(own)));
            let own = signed.fields.into_iter().map(|(name, value)| (name.to_owned(), value));
            fields.extend(own.chain([("policy".to_owned(), signed.policy)]));
        }
        let mut body = Vec::new();
        for (name, value) in fields {
            body.extend_from_slice(
                format!("--x\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n").as_bytes(),
            );
        }
        let (name, bytes) = &self.file;
        body.extend_from_slice(format!("--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\nContent-Type: text/html\r\n\r\n").as_bytes());
        body.extend_from_slice(bytes);
        if !self.tail.is_empty() {
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(self.tail.as_bytes());
        body
    }

    pub(super) async fn send(self) -> Answer {
        let root = RootCredentials::new("root", SecretKey::new(SECRET.as_bytes()));
        let authenticator = Arc::new(Authenticator::new(Arc::new(root), None).unwrap());
        let body = self.body();
        let mut request = Request::new(Full::from(body).map_err(|never| match never {}).boxed());
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.path.parse().unwrap();
        let kind = HeaderValue::from_static("multipart/form-data; boundary=x");
        request.headers_mut().insert("content-type", kind);
        let host = HeaderValue::from_static("localhost:9000");
        request.headers_mut().insert("host", host);
        let admitted = authenticator.admit_form(request).unwrap();
        let response = self.server.service.handle(admitted).await;
        let (parts, body) = response.into_parts();
        Answer {
            about: format!("POST {}", self.path),
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: body.collect().await.unwrap().to_bytes(),
        }
    }
}

async fn nothing_stored(server: &Server) {
    assert_eq!(server.get("/bucket").send().await.is(200).elements("Key"), [""; 0]);
}

#[tokio::test]
async fn a_signed_form_stores_its_file_with_what_its_fields_say() {
    let server = Server::with_bucket().await;
    let tags = "<Tagging><TagSet><Tag><Key>a</Key><Value>1</Value></Tag></TagSet></Tagging>";
    let form = server
        .form("up/${filename}")
        .said("Content-Type", "text/plain")
        .said("x-amz-meta-colour", "red");
    let form = form.said("tagging", tags).said("acl", "public-read");
    let stored = form.send().await.is(204);
    assert_eq!(
        stored.header("location"),
        Some("http://localhost:9000/bucket/up/name%2Etxt")
    );
    let read = server.get("/bucket/up/name.txt").send().await.is(200);
    assert_eq!(read.body, "file");
    assert_eq!(read.header("etag"), stored.header("etag"));
    assert_eq!(read.header("content-type"), Some("text/plain"));
    assert_eq!(read.header("x-amz-meta-colour"), Some("red"));
    assert_eq!(read.header("x-amz-tagging-count"), Some("1"));
    let acl = server.get("/bucket/up/name.txt?acl").send().await.is(200);
    assert_eq!(acl.elements("Permission"), ["READ", "FULL_CONTROL"]);
}

#[tokio::test]
async fn a_large_file_comes_in_whole_and_a_cut_one_not_at_all() {
    let server = Server::with_bucket().await;
    let bytes: Vec<u8> = (0..5_000_000_u32).map(|n| (n % 251) as u8).collect();
    server.form("up/large").file("f", bytes.clone()).send().await.is(204);
    let read = server.get("/bucket/up/large").send().await.is(200);
    assert!(read.body == bytes);
    server
        .form("up/cut")
        .file("f", bytes)
        .cut()
        .send()
        .await
        .fails(400, "IncompleteBody");
    server.head("/bucket/up/cut").send().await.is(404);
}

#[tokio::test]
async fn success_is_told_as_the_form_asks() {
    let server = Server::with_bucket().await;
    for (asked, status) in [("200", 200), ("201", 201), ("204", 204), ("404", 204), ("x", 204)] {
        let form = server.form("up/a&b").said("success_action_status", asked);
        let answer = form.send().await.is(status);
        let told = if asked == "201" { 1 } else { 0 };
        assert_eq!(answer.elements("PostResponse").len(), told, "{asked}");
        if told == 1 {
            assert_eq!(answer.element("Key").as_deref(), Some("up/a&amp;b"));
            assert_eq!(answer.element("Bucket").as_deref(), Some("bucket"));
        }
    }
    let form = server
        .form("up/a b")
        .said("success_action_redirect", "https://app.test/done?x=1");
    let answer = form.send().await.is(303);
    let to = answer.header("location").unwrap();
    assert!(
        to.starts_with("https://app.test/done?x=1&bucket=bucket&key=up%2Fa%20b&etag=%22"),
        "{to}"
    );
    let form = server
        .form("up/c")
        .said("success_action_redirect", "javascript:alert(1)");
    assert!(
        !form
            .send()
            .await
            .is(204)
            .header("location")
            .unwrap()
            .contains("javascript")
    );
}

#[tokio::test]
async fn every_condition_holds_and_every_field_needs_one() {
    let server = Server::with_bucket().await;
    let denied = [
        server.form("down/a"),
        server.form("up/a").field("acl", "public-read"),
        server.form("up/a").field("x-amz-meta-a", "1"),
        server.form("up/a").field("Content-Type", "text/html"),
        server
            .form("up/a")
            .field("success_action_redirect", "https://evil.test/"),
        server
            .form("up/a")
            .condition(r#"["eq", "$Content-Type", "image/png"]"#)
            .field("Content-Type", "text/html"),
        server
            .form("up/a")
            .condition(r#"["starts-with", "$Content-Type", "image/"]"#)
            .field("Content-Type", "text/html"),
        server.form("up/a").condition(r#"{"x-amz-meta-a": "1"}"#),
        server.form("up/a").expiring(Duration::seconds(-1)),
    ];
    for form in denied {
        form.send().await.fails(403, "AccessDenied");
    }
    let length = |low: u32, high: u32| format!("[\"content-length-range\", {low}, {high}]");
    server
        .form("up/a")
        .condition(&length(0, 3))
        .send()
        .await
        .fails(400, "EntityTooLarge");
    server
        .form("up/a")
        .condition(&length(5, 9))
        .send()
        .await
        .fails(400, "EntityTooSmall");
    server
        .form("up/a")
        .condition("{}")
        .send()
        .await
        .fails(400, "InvalidPolicyDocument");
    nothing_stored(&server).await;
    server
        .form("up/a")
        .condition(&length(4, 4))
        .field("x-ignore-this", "1")
        .send()
        .await
        .is(204);
}

#[tokio::test]
async fn the_address_says_the_bucket_and_no_field_says_another() {
    let server = Server::with_bucket().await;
    server.put("/other").send().await.is(200);
    // Signed for another bucket than it is sent to, with and without a field that says so.
    server.form("up/a").to("/other").send().await.fails(403, "AccessDenied");
    // What looks like a bucket is a query, a longer path or a fragment once it is decoded again.
    for path in [
        "/bucket%3Fpolicy%26x",
        "/bucket%252Fup",
        "/bucket%23x",
        "/bucket%3Fpolicy",
    ] {
        let form = server.form("up/a").to(path).signed_by(None);
        form.send().await.fails(400, "InvalidBucketName");
    }
    let named = server.form("up/a").said("bucket", "other");
    named.send().await.fails(400, "InvalidArgument");
    let twice = server.form("up/a").field("key", "up/b");
    twice.send().await.fails(400, "InvalidArgument");
    let copy = server.form("up/a").said("x-amz-copy-source", "other/a");
    copy.send().await.fails(501, "NotImplemented");
    let path = server.form("up/../../other/a");
    path.send().await.is(204);
    assert_eq!(server.get("/other").send().await.is(200).elements("Key"), [""; 0]);
    assert_eq!(
        server.get("/bucket").send().await.is(200).elements("Key"),
        ["up/../../other/a"]
    );
}

#[tokio::test]
async fn what_is_not_built_is_refused_in_a_form_too() {
    let server = Server::with_bucket().await;
    for (name, value) in [
        ("x-amz-server-side-encryption", "AES256"),
        ("x-amz-website-redirect-location", "/b"),
        ("x-amz-object-lock-mode", "COMPLIANCE"),
        ("x-amz-grant-read", "id=x"),
        ("x-amz-storage-class", "GLACIER"),
        ("acl", "log-delivery-write"),
    ] {
        server
            .form("up/a")
            .said(name, value)
            .send()
            .await
            .fails(501, "NotImplemented");
    }
    server
        .form("up/a")
        .said("tagging", "<Tagging/>")
        .send()
        .await
        .fails(400, "MalformedXML");
    let sum = server.form("up/a").said("x-amz-checksum-crc32", "AAAAAA==");
    sum.send().await.fails(400, "BadDigest");
    nothing_stored(&server).await;
}

#[tokio::test]
async fn nobody_uploads_by_form_without_a_right() {
    let server = Server::with_bucket().await;
    let unsigned = server.form("up/a").signed_by(None);
    unsigned.send().await.fails(403, "AccessDenied");
    let wrong = server.form("up/a").signed_by(Some(signer("root", "other-secret")));
    wrong.send().await.fails(403, "SignatureDoesNotMatch");
    let unknown = server.form("up/a").signed_by(Some(signer("nobody", SECRET)));
    unknown.send().await.fails(403, "InvalidAccessKeyId");
    let token = server
        .form("up/a")
        .signed_by(Some(signer("root", SECRET).with_session_token("t")));
    token.send().await.fails(400, "InvalidToken");
    let half = server.form("up/a").signed_by(None).field("x-amz-signature", "s");
    half.send().await.fails(400, "InvalidArgument");
    let old = server
        .form("up/a")
        .signed_by(None)
        .field("AWSAccessKeyId", "root")
        .field("signature", "s");
    old.send().await.fails(400, "InvalidRequest");
    nothing_stored(&server).await;
}

#[tokio::test]
async fn nobody_signs_a_form_for_a_bucket_that_everybody_writes_to() {
    let server = Server::new();
    let bucket = server.put("/bucket").header("x-amz-acl", "public-read-write");
    bucket.send().await.is(200);
    let form = |key: &str| {
        let form = server.form(key).signed_by(None);
        form.field("acl", "public-read").field("Content-Type", "text/plain")
    };
    form("up/a").send().await.is(204);
    let read = server.get("/bucket/up/a").anonymous().send().await.is(200);
    assert_eq!(
        (read.text().as_str(), read.header("content-type")),
        ("file", Some("text/plain"))
    );
    let told = form("up/b").field("success_action_status", "201").send().await.is(201);
    assert_eq!(told.element("Key").as_deref(), Some("up/b"));
    // Policies may build on tags: they need a right of their own.
    let tags = "<Tagging><TagSet><Tag><Key>a</Key><Value>1</Value></Tag></TagSet></Tagging>";
    form("up/c")
        .field("tagging", tags)
        .send()
        .await
        .fails(403, "AccessDenied");
    server.head("/bucket/up/c").send().await.is(404);
    server
        .put("/bucket?acl")
        .header("x-amz-acl", "public-read")
        .send()
        .await
        .is(200);
    form("up/d").send().await.fails(403, "AccessDenied");
    server.head("/bucket/up/d").send().await.is(404);
}
