//! Images by URL through the whole server: of a project's files, for every kind of caller, and under attack.

use std::fs::Permissions;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use drystone::auth::SecretKey;
use drystone::images::sign::signature;
use drystone::server::{Conditions, Server};
use serde_json::{Value, json};

use super::admin::exchange_bytes;
use super::binary::Running;
use super::projects::ask;
use super::stack::{PASSWORD, USER, in_memory, presigned, start};
use super::support::config;
use crate::images::bombs::liars;
use crate::images::pool::picture;

const ROOT: (&str, &str) = (USER, PASSWORD);
/// How long a file that is made to exhaust a decoder may keep its asker waiting: what is promised, and no guess of a test.
const BOMB_TIME_MAX: Duration = Duration::from_secs(5);
/// What such a file may make the server take, in bytes.
const BOMB_BYTES_MAX: u64 = 256 << 20;

pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: Vec<u8>,
}

impl Answer {
    /// What each line of this name in the head says.
    pub(super) fn headers(&self, name: &str) -> Vec<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        let named = lines.filter(|(known, _)| known.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value).collect()
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers(name).first().copied()
    }

    pub(super) fn kind(&self) -> &str {
        self.header("content-type").unwrap_or_default()
    }

    pub(super) fn width(&self) -> u32 {
        image::load_from_memory(&self.body).unwrap().width()
    }

    pub(super) fn code(&self) -> String {
        let document: Value = serde_json::from_slice(&self.body).unwrap();
        document["error"]["code"].as_str().unwrap().to_owned()
    }
}

pub(super) async fn send(address: SocketAddr, method: &str, target: &str, headers: &str, body: &[u8]) -> Answer {
    let host = address.to_string();
    send_to(address, &host, (method, target), headers, body).await
}

/// The same to a host of this name.
pub(super) async fn send_to(
    address: SocketAddr,
    host: &str,
    (method, target): (&str, &str),
    headers: &str,
    body: &[u8],
) -> Answer {
    let head = format!(
        "{method} {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n",
        body.len()
    );
    let answer = exchange_bytes(address, &[head.as_bytes(), body].concat()).await;
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(answer[..end].to_vec()).unwrap();
    Answer {
        status: head.split(' ').nth(1).unwrap().parse().unwrap(),
        head,
        body: answer[end + 4..].to_vec(),
    }
}

pub(super) async fn put(address: SocketAddr, key: &str, body: &[u8]) {
    let target = presigned(PASSWORD, "PUT", &address.to_string(), &format!("/shop-prod/{key}"));
    assert_eq!(send(address, "PUT", &target, "", body).await.status, 200);
}

/// Makes the project, and all its files public.
pub(super) async fn open_shop(address: SocketAddr) {
    let shop = json!({ "project": "shop", "environments": ["prod"] });
    assert_eq!(ask(address, ROOT, "POST", "", &shop).await.0, 200);
    let target = presigned(PASSWORD, "PUT", &address.to_string(), "/shop-prod?policy");
    let policy = json!({ "Version": "2012-10-17", "Statement": [{ "Effect": "Allow", "Principal": "*",
        "Action": "s3:GetObject", "Resource": "arn:aws:s3:::shop-prod/open/*" }] });
    let answer = send(address, "PUT", &target, "", policy.to_string().as_bytes()).await;
    assert!((200..300).contains(&answer.status), "{}", answer.head);
}

async fn get(address: SocketAddr, path: &str, headers: &str) -> Answer {
    send(address, "GET", &format!("/v1/img/shop/prod/{path}"), headers, b"").await
}

#[tokio::test]
async fn an_image_is_shown_to_guests_to_links_and_to_keys_as_its_file_is() {
    let server = start(&[]).await;
    let address = server.addresses()[0];
    open_shop(address).await;
    put(address, "open/a.jpg", &picture(400, 300)).await;
    put(address, "own/a.jpg", &picture(400, 300)).await;
    let seen = get(address, "100x0/open/a.jpg", "").await;
    assert_eq!(
        (seen.status, seen.kind(), seen.width()),
        (200, "image/jpeg", 100),
        "{}",
        seen.head
    );
    let seen = get(address, "100x0/open/a.jpg", "Accept: image/webp,*/*\r\n").await;
    assert_eq!((seen.status, seen.kind()), (200, "image/webp"));
    let refused = get(address, "100x0/own/a.jpg", "").await;
    assert_eq!((refused.status, refused.code().as_str()), (403, "file/access-denied"));
    let of_file = presigned(PASSWORD, "GET", &address.to_string(), "/shop-prod/own/a.jpg");
    let query = of_file.split_once('?').unwrap().1;
    assert_eq!(
        get(address, &format!("100x0/own/a.jpg?{query}&v=1"), "").await.width(),
        100
    );
    let refused = get(address, &format!("100x0/open/b.jpg?{query}"), "").await;
    assert_eq!(refused.status, 403, "the signature is of another file");
    let key = json!({ "project": "shop", "environment": "prod", "type": "secret", "scopes": ["files:read"] });
    let made = ask(address, ROOT, "POST", "/keys", &key).await.1;
    let header = format!("X-API-Key: {}\r\n", made["key"].as_str().unwrap());
    assert_eq!(get(address, "100x0/own/a.jpg", &header).await.width(), 100);
    let key = json!({ "project": "shop", "environment": "prod", "type": "secret", "scopes": ["files:list"] });
    let made = ask(address, ROOT, "POST", "/keys", &key).await.1;
    let header = format!("X-API-Key: {}\r\n", made["key"].as_str().unwrap());
    let refused = get(address, "100x0/own/a.jpg", &header).await;
    assert_eq!((refused.status, refused.code().as_str()), (403, "SCOPE_INSUFFICIENT"));
    let refused = get(address, "100x0/open/a.jpg", "X-API-Key: sk_0\r\n").await;
    assert_eq!((refused.status, refused.code().as_str()), (401, "UNAUTHORIZED"));
    let missing = send(address, "GET", "/v1/img/shop/dev/100x0/open/a.jpg", "", b"").await;
    assert_eq!((missing.status, missing.code().as_str()), (404, "PROJECT_NOT_FOUND"));
    server.stop().await.unwrap();
}

#[tokio::test]
async fn an_operator_sets_the_key_and_the_presets_of_an_environments_images() {
    let server = start(&[]).await;
    let address = server.addresses()[0];
    open_shop(address).await;
    put(address, "open/a.jpg", &picture(400, 300)).await;
    let root = async |method: &str, path: &str, body: Value| ask(address, ROOT, method, path, &body).await;
    let of = "/images?project=shop&environment=prod";
    let expected = json!({ "project": "shop", "environment": "prod", "has_signing_key": false, "signed_only": false,
        "presets": {}, "unsigned_variants_per_hour": 32, "auto_formats": ["webp"], "hosts": [] });
    assert_eq!(root("GET", of, Value::Null).await, (200, expected));
    let asked = json!({ "project": "shop", "environment": "prod", "new_signing_key": true, "signed_only": true,
        "presets": { "card": "fit-in/64x64/filters:format(png)" }, "unsigned_variants_per_hour": 5 });
    let (code, told) = root("PUT", "/images", asked).await;
    assert_eq!((code, &told["has_signing_key"]), (200, &json!(true)), "{told}");
    let key = told["signing_key"].as_str().unwrap().to_owned();
    let (_, shown) = root("GET", of, Value::Null).await;
    assert!(
        !shown.to_string().contains(&key) && shown["unsigned_variants_per_hour"] == json!(5),
        "{shown}"
    );
    let signed = |wish: &str| format!("{}/{wish}", signature(&SecretKey::new(key.as_bytes()), wish));
    assert_eq!(get(address, &signed("120x0/open/a.jpg"), "").await.width(), 120);
    assert_eq!(
        get(address, "120x0/open/a.jpg", "").await.code(),
        "image/signature-required"
    );
    let card = get(address, "p/card/open/a.jpg", "").await;
    assert_eq!((card.kind(), card.width()), ("image/png", 64));
    // A new key takes the place of the old one; what is left out stays.
    let asked = json!({ "project": "shop", "environment": "prod", "new_signing_key": true });
    assert_eq!(root("PUT", "/images", asked).await.1["signed_only"], json!(true));
    assert_eq!(
        get(address, &signed("120x0/open/a.jpg"), "").await.code(),
        "image/invalid-signature"
    );
    // So does one that was made elsewhere, and nobody is told it.
    let own = "the key of another image server";
    let asked = json!({ "project": "shop", "environment": "prod", "signing_key": own });
    let (code, told) = root("PUT", "/images", asked).await;
    assert!(code == 200 && told.get("signing_key").is_none(), "{told}");
    let path = format!(
        "{}/120x0/open/a.jpg",
        signature(&SecretKey::new(own), "120x0/open/a.jpg")
    );
    assert_eq!(get(address, &path, "").await.width(), 120);
    for wrong in [
        json!({ "project": "shop", "environment": "prod", "signing_key": "short" }),
        json!({ "project": "shop", "environment": "prod", "signing_key": own, "new_signing_key": true }),
        json!({ "project": "shop", "environment": "prod", "presets": { "card": "5000x0" } }),
        json!({ "project": "shop", "environment": "prod", "presets": { "a/b": "50x0" } }),
        json!({ "project": "shop", "environment": "prod", "preset": {} }),
        json!({ "project": "shop", "environment": "prod", "auto_formats": ["jpeg"] }),
    ] {
        assert_eq!(root("PUT", "/images", wrong).await.0, 400);
    }
    let browser = "Accept: image/avif,image/webp,*/*;q=0.8\r\n";
    let asked = json!({ "project": "shop", "environment": "prod", "presets": { "card": "64x64" }, "auto_formats": [] });
    for (formats, kind) in [
        (json!(["avif", "webp"]), "image/avif"),
        (json!(["webp"]), "image/webp"),
        (json!([]), "image/jpeg"),
    ] {
        let mut asked = asked.clone();
        asked["auto_formats"] = formats.clone();
        assert_eq!(root("PUT", "/images", asked).await.1["auto_formats"], formats);
        assert_eq!(get(address, "p/card/open/a.jpg", browser).await.kind(), kind);
    }
    let elsewhere = json!({ "project": "shop", "environment": "dev", "signed_only": true });
    assert_eq!(root("PUT", "/images", elsewhere).await.0, 404);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn files_made_to_exhaust_a_decoder_neither_fill_the_server_nor_keep_it_from_serving() {
    let folder = tempfile::tempdir().unwrap();
    let variables = [("MINIO_ROOT_USER", USER), ("MINIO_ROOT_PASSWORD", PASSWORD)];
    let server = Running::start(folder.path(), &variables, &[]);
    let address = server.address;
    open_shop(address).await;
    put(address, "open/good.jpg", &picture(800, 600)).await;
    assert_eq!(get(address, "90x0/open/good.jpg", "").await.width(), 90);
    let before = server.memory_peak();
    let stored = presigned(PASSWORD, "GET", &address.to_string(), "/shop-prod/open/good.jpg");
    for (number, (name, bomb)) in liars().into_iter().enumerate() {
        let key = format!("open/bomb-{number}");
        put(address, &key, &bomb).await;
        let (path, good) = (format!("100x0/{key}"), format!("{}x0/open/good.jpg", 100 + number));
        let refused = async {
            let asked = Instant::now();
            let answer = get(address, &path, "").await;
            (answer, asked.elapsed())
        };
        let ((refused, took), made, read) =
            tokio::join!(refused, get(address, &good, ""), send(address, "GET", &stored, "", b""));
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (422, "image/too-large"),
            "{name}"
        );
        assert!(took < BOMB_TIME_MAX, "{name} took {took:?}");
        assert_eq!((made.status, read.status), (200, 200), "{name}");
    }
    let grown = server.memory_peak() - before;
    assert!(grown < BOMB_BYTES_MAX, "the server itself grew by {grown} bytes");
    assert_eq!(server.stop(), Some(0));
}

/// A worker that the kernel gives so many KiB for what it computes with, and not one page more.
fn worker_with(folder: &Path, kib: u32) -> PathBuf {
    let path = folder.join(format!("worker-{kib}"));
    let program = env!("CARGO_BIN_EXE_drystone");
    std::fs::write(&path, format!("#!/bin/sh\nulimit -d {kib} && exec {program} \"$@\"\n")).unwrap();
    std::fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
    path
}

#[tokio::test]
async fn files_made_to_exhaust_a_decoder_are_refused_with_little_memory() {
    let folder = tempfile::tempdir().unwrap();
    let root = [("MINIO_ROOT_USER", USER), ("MINIO_ROOT_PASSWORD", PASSWORD)];
    // A worker ends with such a file, so that nobody can ask it afterwards. What is left to the bound is its program.
    for (kib, is_enough) in [(192 << 10, true), (64, false)] {
        let conditions = Conditions {
            image_worker: worker_with(folder.path(), kib),
            ..in_memory()
        };
        let server = Server::start(config(&root), conditions).await.unwrap();
        let address = server.addresses()[0];
        open_shop(address).await;
        put(address, "open/good.jpg", &picture(80, 60)).await;
        let answer = get(address, "9x0/open/good.jpg", "").await;
        assert_eq!(answer.status == 200, is_enough, "{kib} KiB: {}", answer.head);
        for (number, (name, bomb)) in liars().into_iter().enumerate().filter(|_| is_enough) {
            let key = format!("open/bomb-{number}");
            put(address, &key, &bomb).await;
            let refused = get(address, &format!("9x0/{key}"), "").await;
            assert_eq!(
                (refused.status, refused.code().as_str()),
                (422, "image/too-large"),
                "{name}"
            );
        }
        server.stop().await.unwrap();
    }
}
