//! The whole server over a store in memory: authentication, S3, default buckets, and a proxy that ends TLS.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use drystone::admin::drives::{Fleet, Order};
use drystone::admin::heal::Healing;
use drystone::admin::index::Indexing;
use drystone::auth::SecretKey;
use drystone::auth::sign::Signer;
use drystone::server::{Conditions, Engine, OpenEngine, Server};
use http::Request;
use storage_engine::backend::Backend;
use storage_engine::embedded::IndexCheck;
use storage_engine::embedded::fleet::{DriveChange, FleetError};
use storage_engine::embedded::heal::{HealStatus, MovingStatus};
use storage_engine::memory::MemoryBackend;
use time::OffsetDateTime;
use tokio::net::TcpStream;

use super::support::{Raw, config, status};
use super::tls;

pub(super) const USER: &str = "rock";
pub(super) const PASSWORD: &str = "granite-wall";

/// Healing that counts how often it was asked for, and tells the count as shards.
#[derive(Default)]
struct Asked(AtomicU64);

impl Healing for Asked {
    fn status(&self) -> HealStatus {
        HealStatus {
            shards_healed: self.0.load(Ordering::Relaxed),
            ..HealStatus::default()
        }
    }
    fn heal_now(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
    fn scrub_now(&self) {
        self.0.fetch_add(100, Ordering::Relaxed);
    }
}

impl Fleet for Asked {
    fn status(&self) -> MovingStatus {
        MovingStatus {
            shards_moved: self.0.load(Ordering::Relaxed),
            ..MovingStatus::default()
        }
    }
    fn order(&self, order: Order) -> futures::future::BoxFuture<'static, Result<Vec<DriveChange>, FleetError>> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Box::pin(std::future::ready(match order {
            Order::Drain(named) if named.drive == "/away" => Err(FleetError::Unknown(named.drive)),
            Order::Drain(named) => Ok(vec![DriveChange {
                id: "1d".into(),
                path: named.drive,
            }]),
            Order::Remove(_) => Err(FleetError::Refused("drain it first".into())),
            Order::Parity(_) => Err(FleetError::Unavailable("read-only".into())),
            _ => Ok(Vec::new()),
        }))
    }
}

impl Indexing for Asked {
    fn verify(&self) -> futures::future::BoxFuture<'static, Result<IndexCheck, String>> {
        Box::pin(std::future::ready(Ok(IndexCheck {
            rows: 3,
            wrong: 1,
            examples: vec!["differs: c/wall/stone".into()],
            ..IndexCheck::default()
        })))
    }
    fn rebuild(&self) -> Result<(), String> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

pub(super) fn in_memory() -> Conditions {
    over(MemoryBackend::default())
}

/// As [`in_memory`], over what is there already.
pub(super) fn over(backend: impl Backend + 'static) -> Conditions {
    let open_engine: OpenEngine = Box::new(move |_| {
        Box::pin(async move {
            let close = Box::new(|| -> futures::future::BoxFuture<'static, Result<(), String>> {
                Box::pin(std::future::ready(Ok(())))
            });
            Ok(Engine {
                backend: Arc::new(backend),
                healing: Some(Arc::new(Asked::default())),
                fleet: Some(Arc::new(Asked::default())),
                index: Some(Arc::new(Asked::default())),
                close,
            })
        })
    });
    Conditions {
        open_engine,
        drain_time: Duration::from_secs(2),
        // The process of the tests is no image worker.
        image_worker: env!("CARGO_BIN_EXE_drystone").into(),
        ..Conditions::default()
    }
}

pub(super) async fn start(vars: &[(&str, &str)]) -> Server {
    start_over(MemoryBackend::default(), vars).await
}

pub(super) async fn start_over(backend: impl Backend + 'static, vars: &[(&str, &str)]) -> Server {
    let root = [
        ("MINIO_ROOT_USER", USER),
        ("MINIO_ROOT_PASSWORD", PASSWORD),
        ("MINIO_DEFAULT_BUCKETS", "wall,pile"),
    ];
    let vars: Vec<(&str, &str)> = root.into_iter().chain(vars.iter().copied()).collect();
    Server::start(config(&vars), over(backend)).await.unwrap()
}

/// The request target of a presigned URL.
pub(super) fn presigned(password: &str, method: &str, host: &str, path: &str) -> String {
    let signer = Signer::new(USER, SecretKey::new(password), "us-east-1");
    let (mut parts, ()) = Request::builder()
        .method(method)
        .uri(path)
        .header("host", host)
        .body(())
        .unwrap()
        .into_parts();
    signer.presign(&mut parts, 60, OffsetDateTime::now_utc()).unwrap();
    parts.uri.path_and_query().unwrap().to_string()
}

fn message(method: &str, target: &str, host: &str, body: &str) -> String {
    format!(
        "{method} {target} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

pub(super) async fn exchange(address: SocketAddr, bytes: &str) -> String {
    let mut raw = Raw(TcpStream::connect(address).await.unwrap());
    raw.send(bytes).await;
    raw.read_to_close().await
}

#[tokio::test]
async fn a_browser_without_credentials_is_told_access_denied_and_not_redirected() {
    let server = start(&[]).await;
    let address = server.addresses()[0];
    let answer = exchange(address, &message("GET", "/", "a", "")).await;
    assert_eq!(status(&answer), 403, "{answer}");
    assert!(
        answer.contains("<Code>AccessDenied</Code>") && answer.contains("application/xml"),
        "{answer}"
    );
    assert!(
        answer.contains("server: Drystone") && answer.contains("x-amz-request-id: "),
        "{answer}"
    );
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_link_signed_the_old_way_is_told_the_setting_that_signs_the_new_way() {
    let server = start(&[]).await;
    let target = "/wall/stone?AWSAccessKeyId=rock&Signature=c2lnbmF0dXJl&Expires=4102444800";
    let answer = exchange(server.addresses()[0], &message("GET", target, "a", "")).await;
    assert_eq!(status(&answer), 400, "{answer}");
    for part in [
        "AWS4-HMAC-SHA256",
        "Config(signature_version=",
        "aws configure set s3.signature_version s3v4",
    ] {
        assert!(answer.contains(part), "{part} is not in\n{answer}");
    }
    server.stop().await.unwrap();
}

#[tokio::test]
async fn default_buckets_are_there_and_a_presigned_round_trip_works() {
    let server = start(&[]).await;
    let address = server.addresses()[0];
    let host = address.to_string();
    let send = |method: &'static str, path: &'static str, body: &'static str| {
        let bytes = message(method, &presigned(PASSWORD, method, &host, path), &host, body);
        async move { exchange(address, &bytes).await }
    };
    assert_eq!(status(&send("HEAD", "/wall", "").await), 200);
    assert_eq!(status(&send("PUT", "/pile/stone", "dry").await), 200);
    let answer = send("GET", "/pile/stone", "").await;
    assert!(status(&answer) == 200 && answer.ends_with("\r\n\r\ndry"), "{answer}");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn errors_of_head_carry_their_code_in_a_header() {
    let server = start(&[]).await;
    let address = server.addresses()[0];
    let host = address.to_string();
    let table = [
        (PASSWORD, "/wall/none", 404, "NoSuchKey"),
        (PASSWORD, "/none-such", 404, "NoSuchBucket"),
        ("wrong-password", "/wall", 403, "SignatureDoesNotMatch"),
    ];
    for (password, path, expected, code) in table {
        let bytes = message("HEAD", &presigned(password, "HEAD", &host, path), &host, "");
        let answer = exchange(address, &bytes).await;
        assert_eq!(status(&answer), expected, "{answer}");
        assert!(answer.contains(&format!("x-minio-error-code: {code}\r\n")), "{answer}");
        assert!(answer.ends_with("\r\n\r\n"), "{answer}");
    }
    server.stop().await.unwrap();
}

#[tokio::test]
async fn only_the_named_region_may_sign_when_one_is_named() {
    let server = start(&[("MINIO_SITE_REGION", "eu-wall-1")]).await;
    let address = server.addresses()[0];
    let host = address.to_string();
    let answer = exchange(
        address,
        &message("GET", &presigned(PASSWORD, "GET", &host, "/wall"), &host, ""),
    )
    .await;
    assert!(
        status(&answer) == 400 && answer.contains("<Region>eu-wall-1</Region>"),
        "{answer}"
    );
    server.stop().await.unwrap();
}

/// nginx as people put it in front: it ends TLS, sends the host without its port, and does not buffer.
struct Proxy {
    child: Child,
    address: SocketAddr,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Proxy {
    fn start(folder: &Path, port: u16, upstream: SocketAddr) -> Self {
        let here = folder.display();
        let text = format!(
            "daemon off; master_process off; pid {here}/pid; error_log {here}/error.log;\n\
             events {{ worker_connections 64; }}\n\
             http {{\n\
               access_log off; client_body_temp_path {here}/b; proxy_temp_path {here}/p;\n\
               fastcgi_temp_path {here}/f; uwsgi_temp_path {here}/u; scgi_temp_path {here}/s;\n\
               server {{\n\
                 listen 127.0.0.1:{port} ssl; ssl_certificate {here}/public.crt; ssl_certificate_key {here}/private.key;\n\
                 client_max_body_size 0; ignore_invalid_headers off;\n\
                 location / {{\n\
                   proxy_pass http://{upstream}; proxy_set_header Host $host; proxy_http_version 1.1;\n\
                   proxy_set_header Connection \"\"; proxy_buffering off; proxy_request_buffering off;\n\
                 }}\n\
               }}\n\
             }}\n"
        );
        std::fs::write(folder.join("nginx.conf"), text).unwrap();
        let child = Command::new("nginx")
            .args(["-p", folder.to_str().unwrap(), "-e", "error.log", "-c"])
            .arg(folder.join("nginx.conf"))
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        Self {
            child,
            address: SocketAddr::from(([127, 0, 0, 1], port)),
        }
    }
}

fn nginx_is_here() -> bool {
    let here = Command::new("nginx").arg("-v").stderr(Stdio::null()).status().is_ok();
    assert!(
        here || std::env::var_os("CI").is_none(),
        "nginx is missing (Debian: nginx-light)"
    );
    if !here {
        eprintln!("skipped: nginx is not installed");
    }
    here
}

#[tokio::test]
async fn behind_a_proxy_that_ends_tls_and_drops_the_port_signatures_still_hold() {
    if !nginx_is_here() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let trusted = tls::write_pair(folder.path());
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let url = format!("https://store.test:{port}");
    let server = start(&[("MINIO_SERVER_URL", &url), ("MINIO_DOMAIN", "store.test")]).await;
    let proxy = Proxy::start(folder.path(), port, server.addresses()[0]);
    for _ in 0..100 {
        if TcpStream::connect(proxy.address).await.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let body: &'static str = Box::leak("stone ".repeat(200_000).into_boxed_str());
    let (path_style, bucket_host) = (format!("store.test:{port}"), format!("wall.store.test:{port}"));
    let table = [
        ("PUT", &path_style, "/wall/a", body, 200),
        ("GET", &path_style, "/wall/a", "", 200),
        ("GET", &bucket_host, "/a", "", 200),
        ("PUT", &bucket_host, "/minio/health/live", "a key like any other", 200),
        ("GET", &bucket_host, "/minio/health/live", "", 200),
    ];
    for (method, host, path, body, expected) in table {
        let mut stream = tls::connect(proxy.address, &trusted, b"http/1.1").await.unwrap();
        let target = presigned(PASSWORD, method, host, path);
        let answer = tls::exchange(&mut stream, &message(method, &target, host, body)).await;
        assert_eq!(status(&answer), expected, "{method} {host} {path}: {answer}");
        if path == "/a" {
            assert!(answer.ends_with("stone stone ") && answer.len() > 1_200_000);
        }
    }
    // Without the port in MINIO_SERVER_URL the same signature does not hold: the test sees what it is about.
    let mut stream = tls::connect(proxy.address, &trusted, b"http/1.1").await.unwrap();
    let target = presigned(PASSWORD, "GET", "elsewhere.test:1", "/wall/a");
    let answer = tls::exchange(&mut stream, &message("GET", &target, "elsewhere.test:1", "")).await;
    assert_eq!(status(&answer), 403, "{answer}");
    server.stop().await.unwrap();
}
