//! Links of an app's files through the whole server, byte for byte as browsers use them.

use std::net::SocketAddr;

use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign};
use base64_simd::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::admin::{ask_bytes, document, exchange_bytes};
use super::projects::on_s3;
use super::stack::{PASSWORD, USER, exchange, start, start_over};
use super::support::status;
use crate::s3::faults::no_uploads;

pub(super) const SECRET: &str = "a-secret-of-the-issuer-of-32-bytes-or-more";
pub(super) const GIF: &str = "GIF89a\x0A\0\x14\0\0\0\0;";

/// A token of the project's own issuer.
pub(super) fn token(subject: &str) -> String {
    let encode = |value: Value| URL_SAFE_NO_PAD.encode_to_string(value.to_string());
    let ends = OffsetDateTime::now_utc().unix_timestamp() + 3_600;
    let head = encode(json!({ "alg": "HS256", "typ": "JWT" }));
    let signed = format!("{head}.{}", encode(json!({ "sub": subject, "exp": ends })));
    let key = Key::new(HMAC_SHA256, SECRET.as_bytes());
    let signature = URL_SAFE_NO_PAD.encode_to_string(sign(&key, signed.as_bytes()).as_ref());
    format!("{signed}.{signature}")
}

pub(super) struct App {
    pub(super) address: SocketAddr,
    pub(super) key: String,
    key_id: String,
}

impl App {
    /// A project with one environment, one publishable key and one issuer.
    pub(super) async fn new(address: SocketAddr) -> Self {
        let mut app = Self {
            address,
            key: String::new(),
            key_id: String::new(),
        };
        app.admin("POST", "", json!({ "project": "shop", "environments": ["prod"] }))
            .await;
        app.add_issuer().await;
        let key = json!({ "project": "shop", "environment": "prod", "type": "publishable" });
        let made = app.admin("POST", "/keys", key).await;
        let text = |name: &str| made[name].as_str().unwrap().to_owned();
        (app.key, app.key_id) = (text("key"), text("id"));
        app
    }

    /// The same app with a secret key, as its server has it.
    pub(super) async fn server_key(&self) -> Self {
        let key = json!({ "project": "shop", "environment": "prod", "type": "secret" });
        let made = self.admin("POST", "/keys", key).await;
        let text = |name: &str| made[name].as_str().unwrap().to_owned();
        Self {
            address: self.address,
            key: text("key"),
            key_id: text("id"),
        }
    }

    async fn add_issuer(&self) {
        let issuer = json!({ "project": "shop", "alias": "own", "secret": SECRET });
        self.admin("POST", "/issuers", issuer).await;
    }

    /// An order of root's to the admin API of projects.
    pub(super) async fn admin(&self, method: &str, path: &str, body: Value) -> Value {
        let path = format!("/v1/admin/projects{path}");
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let request = ask_bytes((USER, PASSWORD), method, &path, body.as_bytes());
        let answer = exchange_bytes(self.address, &request).await;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert_eq!(status(&answer), 200, "{answer}");
        document(&answer)
    }

    /// A request to the Files API by somebody, or by a guest.
    pub(super) async fn ask(&self, who: Option<&str>, method: &str, path: &str, body: Value) -> (u16, Value) {
        let bearer = who.map(|who| format!("Authorization: Bearer {}\r\n", token(who)));
        let body = body.to_string();
        let request = format!(
            "{method} /v1/files{path} HTTP/1.1\r\nHost: {}\r\nX-API-Key: {}\r\n{}Content-Type: application/json\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            self.address,
            self.key,
            bearer.unwrap_or_default(),
            body.len()
        );
        let answer = exchange(self.address, &request).await;
        (status(&answer), document(&answer))
    }

    /// A file that ann announces, and the URL for its bytes.
    pub(super) async fn announce(&self, more: Value) -> (String, String) {
        let mut said = json!({ "filename": "a b.gif", "contentType": "image/gif" });
        said.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let (code, told) = self.ask(Some("ann"), "POST", "/presigned-url", said).await;
        assert_eq!(code, 200, "{told}");
        let text = |name: &str| told[name].as_str().unwrap().to_owned();
        (text("fileId"), text("url"))
    }

    pub(super) async fn download_url(&self, who: Option<&str>, file: &str) -> String {
        let (code, told) = self.ask(who, "POST", &format!("/{file}/download-url"), json!({})).await;
        assert_eq!(code, 200, "{told}");
        told["url"].as_str().unwrap().to_owned()
    }

    /// A request to a URL as a browser sends it: nothing is said of who it is.
    pub(super) async fn send(&self, method: &str, url: &str, headers: &str, body: &str) -> String {
        let target = url
            .strip_prefix(&format!("http://{}", self.address))
            .expect("an own URL");
        let length = match method {
            "PUT" => format!("Content-Length: {}\r\n", body.len()),
            _ => String::new(),
        };
        let request = format!(
            "{method} {target} HTTP/1.1\r\nHost: {}\r\n{headers}{length}Connection: close\r\n\r\n{body}",
            self.address
        );
        exchange(self.address, &request).await
    }

    pub(super) async fn put(&self, url: &str, body: &str) -> String {
        self.send("PUT", url, "Content-Type: image/gif\r\n", body).await
    }

    pub(super) async fn get(&self, url: &str) -> String {
        self.send("GET", url, "", "").await
    }
}

pub(super) fn fails(answer: &str, code: u16, name: &str) {
    assert_eq!(status(answer), code, "{answer}");
    assert!(answer.contains(&format!("<Code>{name}</Code>")), "{answer}");
}

#[tokio::test]
async fn where_sizes_are_exact_a_link_takes_as_many_bytes_as_were_announced() {
    let server = start(&[]).await;
    let app = App::new(server.addresses()[0]).await;
    let exact = json!({ "project": "shop", "environment": "prod", "name": "exact", "sizes": "exact" });
    app.admin("PUT", "/buckets", exact).await;
    let longer = GIF.len() + 5;
    let (_, at_most) = app.announce(json!({ "fileSize": longer, "bucket": "media" })).await;
    assert_eq!(status(&app.put(&at_most, GIF).await), 200);
    let (file, upload) = app.announce(json!({ "fileSize": longer, "bucket": "exact" })).await;
    fails(&app.put(&upload, GIF).await, 400, "EntityTooSmall");
    let (_, told) = app.ask(Some("ann"), "GET", &format!("/{file}"), json!({})).await;
    assert_eq!(told["status"], json!("pending"));
    assert_eq!(status(&app.put(&upload, &format!("{GIF}12345")).await), 200);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_page_uploads_and_downloads_by_links_and_nothing_else_is_let_by_them() {
    let server = start(&[]).await;
    let app = App::new(server.addresses()[0]).await;
    let (file, upload) = app.announce(json!({ "fileSize": GIF.len() })).await;
    let open = "x-amz-acl: public-read\r\n";
    fails(&app.send("PUT", &upload, open, GIF).await, 403, "AccessDenied");
    let answer = app.put(&upload, GIF).await;
    assert!(status(&answer) == 200 && answer.contains("etag: "), "{answer}");
    fails(&app.put(&upload, GIF).await, 412, "PreconditionFailed");

    let own = app.download_url(Some("ann"), &file).await;
    let answer = app.get(&own).await;
    assert!(status(&answer) == 200 && answer.ends_with(GIF), "{answer}");
    assert!(answer.contains("cache-control: private, max-age="), "{answer}");
    assert!(answer.contains("referrer-policy: no-referrer") && answer.contains("x-content-type-options: nosniff"));
    assert_eq!(status(&app.send("HEAD", &own, "", "").await), 200);
    let other = own.replacen("/shop-prod/", "/shop-prod/0", 1);
    for (method, url, code) in [
        ("PUT", own.clone(), "SignatureDoesNotMatch"),
        (
            "GET",
            format!("{own}&response-content-type=text/html"),
            "SignatureDoesNotMatch",
        ),
        ("GET", other, "SignatureDoesNotMatch"),
        (
            "GET",
            own.replace("Security-Token=", "Security-Token=A"),
            "InvalidAccessKeyId",
        ),
    ] {
        fails(&app.send(method, &url, "", "").await, 403, code);
    }
    assert_eq!(
        app.ask(Some("bob"), "POST", &format!("/{file}/download-url"), json!({}))
            .await
            .0,
        403
    );

    let show = async |visibility: &str| {
        let change = json!({ "visibility": visibility });
        let (code, told) = app.ask(Some("ann"), "PATCH", &format!("/{file}"), change).await;
        assert_eq!(code, 200, "{told}");
    };
    show("protected").await;
    let bobs = app.download_url(Some("bob"), &file).await;
    assert_eq!(status(&app.get(&bobs).await), 200);
    show("private").await;
    fails(&app.get(&bobs).await, 403, "AccessDenied");
    assert_eq!(status(&app.get(&own).await), 200);
    let (code, told) = app
        .ask(Some("ann"), "POST", &format!("/{file}/revoke-urls"), json!({}))
        .await;
    assert_eq!(code, 200, "{told}");
    fails(&app.get(&own).await, 403, "AccessDenied");

    let fresh = app.download_url(Some("ann"), &file).await;
    assert_eq!(status(&app.get(&fresh).await), 200);
    // Nobody vouches for her any more.
    app.admin("DELETE", "/issuers?project=shop&alias=own", Value::Null)
        .await;
    fails(&app.get(&fresh).await, 403, "InvalidAccessKeyId");
    app.add_issuer().await;
    assert_eq!(status(&app.get(&fresh).await), 200);
    app.admin("DELETE", &format!("/keys?key={}", app.key_id), Value::Null)
        .await;
    fails(&app.get(&fresh).await, 403, "InvalidAccessKeyId");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn of_all_who_open_a_one_time_link_at_once_one_gets_the_bytes() {
    let server = start(&[]).await;
    let app = App::new(server.addresses()[0]).await;
    let (file, upload) = app.announce(json!({})).await;
    assert_eq!(status(&app.put(&upload, GIF).await), 200);
    let ask = async |more: Value| {
        let (code, told) = app
            .ask(Some("ann"), "POST", &format!("/{file}/download-url"), more)
            .await;
        assert_eq!(code, 200, "{told}");
        told["url"].as_str().unwrap().to_owned()
    };
    for (more, uses) in [(json!({ "oneTime": true }), 1), (json!({ "maxDownloads": 3 }), 3)] {
        let url = ask(more).await;
        // Whoever looks first, or knows the bytes already, uses nothing up.
        for _ in 0..2 {
            assert_eq!(status(&app.send("HEAD", &url, "", "").await), 200);
            let etag = format!("If-None-Match: {}\r\n", etag_of(&app.send("HEAD", &url, "", "").await));
            assert_eq!(status(&app.send("GET", &url, &etag, "").await), 304);
        }
        let answers = futures::future::join_all((0..8).map(|_| app.get(&url))).await;
        let (served, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| status(answer) == 200);
        assert_eq!((served.len(), refused.len()), (uses, 8 - uses));
        for answer in served {
            assert!(
                answer.ends_with(GIF) && answer.contains("cache-control: private, no-store"),
                "{answer}"
            );
        }
        for answer in refused {
            fails(answer, 403, "AccessDenied");
        }
        fails(&app.get(&url).await, 403, "AccessDenied");
        assert_eq!(status(&app.send("HEAD", &url, "", "").await), 403);
    }
    // A part of the bytes is a use, too.
    let url = ask(json!({ "maxDownloads": 2 })).await;
    for range in ["Range: bytes=0-2\r\n", "Range: bytes=3-\r\n"] {
        assert_eq!(status(&app.send("GET", &url, range, "").await), 206);
    }
    fails(&app.get(&url).await, 403, "AccessDenied");
    // A link to an image gives out neither the file nor another image of it.
    let url = ask(json!({ "transform": "fit-in/5x5" })).await;
    assert_ne!(status(&app.get(&url).await), 403);
    let (whole, rest) = url.split_once("fit-in/5x5/").unwrap();
    let plain = format!("http://{}/shop-prod/{rest}", app.address);
    fails(&app.get(&plain).await, 403, "AccessDenied");
    for other in [format!("{whole}{rest}"), format!("{whole}fit-in/6x6/{rest}")] {
        assert_eq!(status(&app.get(&other).await), 403, "{other}");
    }
    server.stop().await.unwrap();
}

fn etag_of(answer: &str) -> &str {
    let line = answer.lines().find_map(|line| line.strip_prefix("etag: "));
    line.expect("an entity tag").trim()
}

#[tokio::test]
async fn bytes_that_are_not_those_that_were_announced_are_not_stored() {
    let server = start(&[]).await;
    let app = App::new(server.addresses()[0]).await;
    let (_, upload) = app.announce(json!({ "sha256": "0".repeat(64) })).await;
    fails(&app.put(&upload, GIF).await, 400, "BadDigest");
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, GIF.as_bytes());
    let hash = base64_simd::STANDARD.encode_to_string(hash.as_ref());
    let (file, upload) = app.announce(json!({ "sha256": hash })).await;
    fails(&app.put(&upload, "GIF89a, but other bytes").await, 400, "BadDigest");
    // Nothing of it was stored, so the same address takes the right ones.
    assert_eq!(status(&app.put(&upload, GIF).await), 200);
    let answer = app.get(&app.download_url(Some("ann"), &file).await).await;
    assert!(status(&answer) == 200 && answer.ends_with(GIF), "{answer}");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn an_address_of_a_file_that_was_deleted_before_its_bytes_came_stores_nothing() {
    let server = start(&[]).await;
    let app = App::new(server.addresses()[0]).await;
    for how in ["", "?purge=true"] {
        let (file, upload) = app.announce(json!({})).await;
        let (code, told) = app
            .ask(Some("ann"), "DELETE", &format!("/{file}{how}"), json!({}))
            .await;
        assert_eq!(code, 200, "{told}");
        for _ in 0..2 {
            fails(&app.put(&upload, GIF).await, 403, "AccessDenied");
        }
        let (code, told) = app.ask(Some("ann"), "GET", &format!("/{file}"), json!({})).await;
        assert_eq!((code, &told["error"]["code"]), (404, &json!("file/not-found")), "{how}");
        let at = upload.split('?').next().unwrap();
        let path = at.split_once(&app.address.to_string()).unwrap().1;
        fails(&on_s3(app.address, "GET", path, "").await, 404, "NoSuchKey");
    }
    let usage = app.ask(Some("ann"), "GET", "/usage", json!({})).await.1;
    assert_eq!((&usage["bytes"], &usage["count"]), (&json!(0), &json!(0)), "{usage}");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn an_upload_that_the_store_cannot_begin_leaves_no_file_and_tells_nothing_of_the_store() {
    let server = start_over(no_uploads(), &[]).await;
    let app = App::new(server.addresses()[0]).await;
    let said = json!({ "filename": "a.gif", "contentType": "image/gif", "fileSize": 40 });
    for path in ["/multipart/init", "/multipart/initiate"] {
        let (code, told) = app.ask(Some("ann"), "POST", path, said.clone()).await;
        assert_eq!((code, &told["error"]["code"]), (500, &json!("file/upload-init-failed")));
        assert!(!told.to_string().contains("secret"), "{told}");
    }
    let (_, pending) = app.ask(Some("ann"), "GET", "?state=pending", json!({})).await;
    assert_eq!(pending["items"], json!([]), "{pending}");
    // Whatever else is uploaded comes.
    let (_, upload) = app.announce(json!({})).await;
    assert_eq!(status(&app.put(&upload, GIF).await), 200);
    server.stop().await.unwrap();
}

/// A form as a browser sends it.
fn form(fields: &[(String, String)], file: &str) -> String {
    let field = |(name, value): &(String, String)| {
        format!("--x\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let fields: String = fields.iter().map(field).collect();
    let head = "Content-Disposition: form-data; name=\"file\"; filename=\"a b.gif\"\r\nContent-Type: image/gif";
    format!("{fields}--x\r\n{head}\r\n\r\n{file}\r\n--x--\r\n")
}

/// A form that somebody asked for, and the file it is for.
pub(super) struct AskedForm<'a> {
    app: &'a App,
    file: String,
    pub(super) fields: Vec<(String, String)>,
}

impl<'a> AskedForm<'a> {
    async fn new(app: &'a App) -> Self {
        let said = json!({ "filename": "a b.gif", "contentType": "image/gif", "fileSize": 40, "minSize": 5 });
        Self::of(app, Some("ann"), said).await
    }

    /// A form that somebody asks for, or a guest.
    pub(super) async fn of(app: &'a App, who: Option<&str>, said: Value) -> Self {
        let (code, told) = app.ask(who, "POST", "/presigned-post", said).await;
        assert_eq!(code, 200, "{told}");
        assert_eq!(told["url"], json!(format!("http://{}/shop-prod", app.address)));
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let fields = told["fields"].as_object().unwrap();
        Self {
            app,
            file: text(&told["fileId"]),
            fields: fields.iter().map(|(name, value)| (name.clone(), text(value))).collect(),
        }
    }

    fn field(&self, name: &str) -> &str {
        &self.fields.iter().find(|(known, _)| known == name).unwrap().1
    }

    /// The same fields with another one.
    fn with(&self, name: &str, value: &str) -> Vec<(String, String)> {
        let others = self.fields.iter().filter(|(known, _)| known != name).cloned();
        others.chain([(name.to_owned(), value.to_owned())]).collect()
    }

    pub(super) async fn post(&self, fields: &[(String, String)], file: &str) -> String {
        self.post_to("/shop-prod", fields, file).await
    }

    async fn post_to(&self, path: &str, fields: &[(String, String)], file: &str) -> String {
        let body = form(fields, file);
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: multipart/form-data; boundary=x\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            self.app.address,
            body.len()
        );
        exchange(self.app.address, &request).await
    }
}

#[tokio::test]
async fn a_form_uploads_one_file_within_its_limits_and_once() {
    let server = start(&[]).await;
    let app = App::new(server.addresses()[0]).await;
    let asked = AskedForm::new(&app).await;
    // Until its bytes are there it is pending, whatever else is sent.
    let large = format!("{GIF}{}", "x".repeat(40));
    for (bytes, code) in [(large.as_str(), "EntityTooLarge"), ("GIF8", "EntityTooSmall")] {
        fails(&asked.post(&asked.fields, bytes).await, 400, code);
    }
    let answer = asked.post(&asked.fields, GIF).await;
    assert_eq!(status(&answer), 201, "{answer}");
    assert!(
        answer.contains("<Key>") && answer.contains("<Bucket>shop-prod</Bucket>"),
        "{answer}"
    );
    fails(&asked.post(&asked.fields, GIF).await, 412, "PreconditionFailed");
    let (file, ann) = (&asked.file, Some("ann"));
    let (code, told) = app.ask(ann, "POST", &format!("/{file}/complete"), json!({})).await;
    assert_eq!((code, &told["size"]), (200, &json!(GIF.len())), "{told}");
    assert_eq!(told["status"], "active");
    let answer = app.get(&app.download_url(ann, file).await).await;
    assert!(status(&answer) == 200 && answer.ends_with(GIF), "{answer}");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_form_is_sent_as_it_was_given_out_and_opens_no_other_door() {
    let server = start(&[]).await;
    let app = App::new(server.addresses()[0]).await;
    let asked = AskedForm::new(&app).await;
    for wrong in [
        asked.with("key", "another"),
        asked.with("Content-Type", "text/html"),
        asked.with("acl", "public-read"),
        asked.with("x-amz-meta-a", "1"),
        asked.with("success_action_status", "200"),
    ] {
        fails(&asked.post(&wrong, GIF).await, 403, "AccessDenied");
    }
    let policy = base64_simd::STANDARD.decode_to_vec(asked.field("policy")).unwrap();
    let wider = String::from_utf8(policy).unwrap().replace("40]", "4000]");
    let wider = asked.with("policy", &base64_simd::STANDARD.encode_to_string(wider));
    fails(&asked.post(&wider, GIF).await, 403, "SignatureDoesNotMatch");
    // What seals it is taken by no address for one POST.
    let sealed = format!(
        "X-Amz-Credential={}&X-Amz-Security-Token={}",
        asked.field("x-amz-credential"),
        asked.field("x-amz-security-token")
    );
    let path = format!("/v1/files/upload-url/{}?{sealed}", asked.file);
    let answer = asked.post_to(&path, &[], GIF).await;
    assert_eq!(status(&answer), 403, "{answer}");
    // What was revoked is not sent any more.
    let revoke = format!("/{}/revoke-urls", asked.file);
    assert_eq!(app.ask(Some("ann"), "POST", &revoke, json!({})).await.0, 200);
    fails(&asked.post(&asked.fields, GIF).await, 403, "AccessDenied");
    server.stop().await.unwrap();
}
