//! Hosts that serve the images of one environment, and nothing else of the server.

use std::net::SocketAddr;

use bytes::Bytes;
use drystone::auth::SecretKey;
use drystone::images::sign::signature;
use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::net::TcpStream;

use super::images::{Answer, open_shop, put, send, send_to};
use super::projects::ask;
use super::stack::{PASSWORD, USER, presigned, start};
use crate::images::pool::picture;

const ROOT: (&str, &str) = (USER, PASSWORD);
const HOST: &str = "img.shop.test";

async fn set(address: SocketAddr, environment: &str, hosts: &[&str]) -> (u16, Value) {
    let asked = json!({ "project": "shop", "environment": environment, "hosts": hosts });
    ask(address, ROOT, "PUT", "/images", &asked).await
}

async fn get(address: SocketAddr, target: &str, headers: &str) -> Answer {
    send_to(address, HOST, ("GET", target), headers, b"").await
}

/// A shop with an open and a private picture, and its image host.
async fn shop(address: SocketAddr) {
    open_shop(address).await;
    put(address, "open/a.jpg", &picture(400, 300)).await;
    put(address, "own/a.jpg", &picture(400, 300)).await;
    let typed = presigned(PASSWORD, "PUT", &address.to_string(), "/shop-prod/open/typed.jpg");
    let kind = "Content-Type: image/jpeg\r\n";
    assert_eq!(send(address, "PUT", &typed, kind, &picture(400, 300)).await.status, 200);
    let (code, told) = set(address, "prod", &["IMG.shop.test"]).await;
    assert_eq!((code, &told["hosts"]), (200, &json!([HOST])), "{told}");
}

async fn key(address: SocketAddr, scope: &str) -> String {
    let key = json!({ "project": "shop", "environment": "prod", "type": "secret", "scopes": [scope] });
    let made = ask(address, ROOT, "POST", "/keys", &key).await.1;
    format!("X-API-Key: {}\r\n", made["key"].as_str().unwrap())
}

#[tokio::test]
async fn an_image_host_shows_every_caller_what_its_environment_shows_them() {
    let server = start(&[]).await;
    let address = server.addresses()[0];
    shop(address).await;
    for host in [HOST, "IMG.Shop.TEST", "img.shop.test:9000", "img.shop.test."] {
        let seen = send_to(address, host, ("GET", "/100x0/open/a.jpg?v=1"), "", b"").await;
        assert_eq!(
            (seen.status, seen.kind(), seen.width()),
            (200, "image/jpeg", 100),
            "{host}"
        );
        assert!(seen.head.contains("immutable"), "{}", seen.head);
    }
    let target = format!("http://{HOST}/100x0/open/a.jpg");
    assert_eq!(get(address, &target, "").await.width(), 100);
    assert_eq!(get(address, "/open/typed.jpg", "").await.width(), 400);
    let head = send_to(address, HOST, ("HEAD", "/100x0/open/a.jpg"), "", b"").await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    // Guests, keys with and without the right, and one that is none.
    let refused = get(address, "/100x0/own/a.jpg", "").await;
    assert_eq!((refused.status, refused.code().as_str()), (403, "file/access-denied"));
    let reads = key(address, "files:read").await;
    assert_eq!(get(address, "/100x0/own/a.jpg", &reads).await.width(), 100);
    let lists = key(address, "files:list").await;
    let refused = get(address, "/100x0/own/a.jpg", &lists).await;
    assert_eq!((refused.status, refused.code().as_str()), (403, "SCOPE_INSUFFICIENT"));
    let refused = get(address, "/100x0/open/a.jpg", "X-API-Key: sk_0\r\n").await;
    assert_eq!((refused.status, refused.code().as_str()), (401, "UNAUTHORIZED"));
    // What is behind the signature is signed, as anywhere.
    let asked = json!({ "project": "shop", "environment": "prod", "new_signing_key": true, "signed_only": true });
    let told = ask(address, ROOT, "PUT", "/images", &asked).await.1;
    assert_eq!(told["hosts"], json!([HOST]), "what is left out stays");
    let secret = SecretKey::new(told["signing_key"].as_str().unwrap().as_bytes());
    let wish = "120x0/open/a.jpg";
    let signed = format!("/{}/{wish}", signature(&secret, wish));
    assert_eq!(get(address, &signed, "").await.width(), 120);
    let forged = get(address, &signed.replace("120x0", "121x0"), "").await;
    assert_eq!(
        (forged.status, forged.code().as_str()),
        (403, "image/invalid-signature")
    );
    server.stop().await.unwrap();
}

#[tokio::test]
async fn nothing_but_images_answers_on_an_image_host() {
    let server = start(&[]).await;
    let address = server.addresses()[0];
    shop(address).await;
    let s3 = |method: &str, path: &str| presigned(PASSWORD, method, HOST, path);
    for (target, status) in [
        ("/".to_owned(), 400),
        ("/minio/health/live".to_owned(), 403),
        ("/minio/v2/metrics/cluster".to_owned(), 403),
        ("/v1/openapi.json".to_owned(), 403),
        ("/v1/files".to_owned(), 403),
        // Below this host it is a path whose options stand behind a folder.
        ("/v1/img/shop/prod/100x0/open/a.jpg".to_owned(), 400),
        ("/shop-prod/open/a.jpg".to_owned(), 403),
        (s3("GET", "/"), 400),
        (s3("GET", "/wall"), 403),
        (s3("GET", "/shop-prod?list-type=2"), 403),
        (s3("GET", "/v1/admin/projects"), 403),
        (s3("GET", "/minio/admin/v3/info"), 403),
    ] {
        let answer = get(address, &target, "").await;
        assert_eq!(answer.status, status, "{target}: {}", answer.head);
        let code = answer.code();
        assert!(
            code.starts_with("file/") || code == "PROJECT_NOT_FOUND" || code == "image/invalid-options",
            "{target}: {code}"
        );
    }
    for (method, target) in [
        ("PUT", s3("PUT", "/shop-prod/open/b.jpg")),
        ("DELETE", s3("DELETE", "/shop-prod/open/a.jpg")),
        ("POST", "/".to_owned()),
        ("POST", "/v1/tus".to_owned()),
        ("OPTIONS", "/v1/tus".to_owned()),
        ("OPTIONS", "*".to_owned()),
        ("PATCH", "/open/a.jpg".to_owned()),
    ] {
        let answer = send_to(address, HOST, (method, &target), "Tus-Resumable: 1.0.0\r\n", b"").await;
        assert_eq!(answer.status, 405, "{method} {target}: {}", answer.head);
        assert!(answer.head.contains("allow: GET, HEAD"), "{}", answer.head);
    }
    let page = "Origin: https://app.test\r\nAccess-Control-Request-Method: GET\r\n";
    let preflight = send_to(address, HOST, ("OPTIONS", "/100x0/open/a.jpg"), page, b"").await;
    assert_eq!(preflight.status, 204, "{}", preflight.head);
    // By any other name it is the server.
    for host in ["shop.test", "a.img.shop.test", "img.shop.test.evil.test"] {
        let live = send_to(address, host, ("GET", "/minio/health/live"), "", b"").await;
        assert_eq!(live.status, 200, "{host}");
    }
    assert_eq!(send(address, "GET", "/shop-prod/open/a.jpg", "", b"").await.status, 200);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_host_is_of_one_environment_and_free_again_when_that_is_gone() {
    let server = start(&[("MINIO_DOMAIN", "s3.test")]).await;
    let address = server.addresses()[0];
    shop(address).await;
    let dev = json!({ "project": "shop", "environment": "dev" });
    assert_eq!(ask(address, ROOT, "POST", "/environments", &dev).await.0, 200);
    assert_eq!(set(address, "dev", &["other.test", HOST]).await.0, 409);
    for own in [
        "s3.test",
        "B.S3.test",
        "127.0.0.1",
        "localhost",
        "img.test:80",
        "*.test",
    ] {
        assert_eq!(set(address, "dev", &[own]).await.0, 400, "{own}");
    }
    assert_eq!(set(address, "dev", &["other.test"]).await.0, 200);
    // Of the other one: it has no such file.
    let seen = send_to(address, "other.test", ("GET", "/100x0/open/a.jpg"), "", b"").await;
    assert_eq!(seen.status, 403, "{}", seen.head);
    let gone = "/environments?project=shop&environment=dev";
    assert_eq!(ask(address, ROOT, "DELETE", gone, &Value::Null).await.0, 200);
    assert_eq!(set(address, "prod", &["other.test"]).await.0, 200);
    let seen = send_to(address, "other.test", ("GET", "/100x0/open/a.jpg"), "", b"").await;
    assert_eq!(seen.width(), 100);
    // The one that was given up is nobody's at once.
    assert_eq!(get(address, "/minio/health/live", "").await.status, 200);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_link_to_a_file_shows_its_image_on_the_image_host_where_the_server_knows_its_own_name() {
    for (vars, status) in [(&[("MINIO_SERVER_URL", "https://store.test")][..], 200), (&[], 403)] {
        let server = start(vars).await;
        let address = server.addresses()[0];
        shop(address).await;
        let link = presigned(PASSWORD, "GET", "store.test", "/shop-prod/own/a.jpg");
        let query = link.split_once('?').unwrap().1;
        let seen = get(address, &format!("/100x0/own/a.jpg?{query}"), "").await;
        assert_eq!(seen.status, status, "{}", seen.head);
        let refused = get(address, &format!("/100x0/own/b.jpg?{query}"), "").await;
        assert_eq!(refused.status, 403, "the link is for another file");
        let own = set(address, "prod", &["Store.test"]).await.0;
        assert_eq!(own, if status == 200 { 400 } else { 200 });
        server.stop().await.unwrap();
    }
}

#[tokio::test]
async fn the_authority_of_http2_names_an_image_host() {
    let server = start(&[]).await;
    let address = server.addresses()[0];
    shop(address).await;
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .unwrap();
    let driven = tokio::spawn(connection);
    let request = Request::get(format!("http://{HOST}/100x0/open/a.jpg"));
    let answer = sender
        .send_request(request.body(Empty::<Bytes>::new()).unwrap())
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    let image = answer.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(image::load_from_memory(&image).unwrap().width(), 100);
    drop(sender);
    driven.await.unwrap().unwrap();
    server.stop().await.unwrap();
}
