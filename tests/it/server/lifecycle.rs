//! Start and stop: health before the store is open, draining, closing, and what stops a start.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use drystone::server::{Conditions, Engine, EngineError, OpenEngine, Server, ServerError};
use storage_engine::backend::{Backend, ServiceState};
use tokio::net::TcpStream;

use super::support::{HealthOnly, Raw, config, status};

/// Opens this backend after a while; the flag tells whether it was closed.
pub(super) fn opens(backend: Arc<HealthOnly>, after: Duration) -> (OpenEngine, Arc<AtomicBool>) {
    let closed = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&closed);
    let open: OpenEngine = Box::new(move |_| {
        Box::pin(async move {
            tokio::time::sleep(after).await;
            let close = Box::new(move || -> futures::future::BoxFuture<'static, Result<(), String>> {
                Box::pin(async move {
                    flag.store(true, Ordering::SeqCst);
                    Ok(())
                })
            });
            Ok(Engine {
                healing: None,
                fleet: None,
                index: None,
                backend: backend as Arc<dyn Backend>,
                close,
            })
        })
    });
    (open, closed)
}

fn conditions(open_engine: OpenEngine) -> Conditions {
    Conditions {
        open_engine,
        drain_time: Duration::from_secs(3),
        ..Conditions::default()
    }
}

#[tokio::test]
async fn a_stop_lets_requests_finish_closes_the_engine_and_frees_the_port() {
    let (open, closed) = opens(HealthOnly::new(ServiceState::ReadWrite), Duration::ZERO);
    let server = Server::start(config(&[]), conditions(open)).await.unwrap();
    let address = server.addresses()[0];
    let mut idle = Raw(TcpStream::connect(address).await.unwrap());
    let mut busy = Raw(TcpStream::connect(address).await.unwrap());
    // Half a request when the stop comes: it may finish.
    busy.send("GET /minio/health/live HTTP/1.1\r\nHost: a\r\n\r\nGET /minio/health/live HTTP/1.1\r\n")
        .await;
    assert_eq!(status(&busy.read_answer().await), 200);
    let stopping = tokio::spawn(server.stop());
    assert_eq!(idle.read_to_close().await, "");
    stopping.await.unwrap().unwrap();
    assert!(closed.load(Ordering::SeqCst));
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_request_that_never_ends_does_not_hold_the_stop_for_ever() {
    let (open, closed) = opens(HealthOnly::new(ServiceState::ReadWrite), Duration::ZERO);
    let drain_time = Duration::from_millis(300);
    let server = Server::start(
        config(&[]),
        Conditions {
            drain_time,
            ..conditions(open)
        },
    )
    .await
    .unwrap();
    let mut raw = Raw(TcpStream::connect(server.addresses()[0]).await.unwrap());
    raw.send("PUT /bucket/key HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nx")
        .await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    tokio::time::timeout(Duration::from_secs(5), server.stop())
        .await
        .unwrap()
        .unwrap();
    assert!(closed.load(Ordering::SeqCst));
}

#[tokio::test]
async fn while_the_engine_opens_health_says_so_and_nothing_else_is_served() {
    let (open, _closed) = opens(HealthOnly::new(ServiceState::ReadWrite), Duration::from_millis(1_500));
    let mut config = config(&[]);
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    config.address = drystone::config::ListenAddress::parse(&address.to_string()).unwrap();
    let starting = tokio::spawn(Server::start(config, conditions(open)));
    tokio::time::sleep(Duration::from_millis(500)).await;
    let ask = |path: &'static str| async move {
        let mut raw = Raw(TcpStream::connect(address).await.unwrap());
        raw.send(&format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        raw.read_answer().await
    };
    let live = ask("/minio/health/live").await;
    assert!(
        status(&live) == 200 && live.contains("x-minio-server-status: offline"),
        "{live}"
    );
    assert_eq!(status(&ask("/minio/health/cluster").await), 503);
    assert_eq!(status(&ask("/bucket").await), 503);
    // Each in the form that its clients read.
    for (path, form, code) in [
        ("/bucket", "application/xml", "<Code>ServiceUnavailable</Code>"),
        (
            "/minio/admin/v3/info",
            "application/json",
            "\"Code\":\"ServiceUnavailable\"",
        ),
        ("/v1/admin/info", "application/json", "\"Code\":\"ServiceUnavailable\""),
    ] {
        let answer = ask(path).await;
        assert!(
            status(&answer) == 503 && answer.contains(form) && answer.contains(code),
            "{answer}"
        );
    }
    let server = starting.await.unwrap().unwrap();
    assert_eq!(status(&ask("/minio/health/cluster").await), 200);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_start_that_fails_says_why_by_its_exit_code() {
    let (open, _closed) = opens(HealthOnly::new(ServiceState::ReadWrite), Duration::ZERO);
    let server = Server::start(config(&[]), conditions(open)).await.unwrap();
    let mut same_port = config(&[]);
    same_port.address = drystone::config::ListenAddress::parse(&server.addresses()[0].to_string()).unwrap();
    let (open, _closed) = opens(HealthOnly::new(ServiceState::ReadWrite), Duration::ZERO);
    let error = Server::start(same_port, conditions(open)).await.err().unwrap();
    assert_eq!(error.exit_code(), 3, "{error}");
    assert!(error.to_string().contains("taken by another program"), "{error}");
    server.stop().await.unwrap();

    for (engine_error, code) in [
        (EngineError::Drive("/data1 holds another store".into()), 4),
        (EngineError::NotWritable("chown".into()), 5),
        (EngineError::Full("/data1 is full".into()), 6),
        (EngineError::Other("else".into()), 1),
    ] {
        let open: OpenEngine = Box::new(move |_| Box::pin(async move { Err(engine_error) }));
        let error = Server::start(config(&[]), conditions(open)).await.err().unwrap();
        assert!(matches!(error, ServerError::Engine(_)));
        assert_eq!(error.exit_code(), code, "{error}");
    }
}

#[tokio::test]
async fn the_console_address_serves_one_page_that_says_where_it_stands() {
    let (open, _closed) = opens(HealthOnly::new(ServiceState::ReadWrite), Duration::ZERO);
    let server = Server::start(config(&[("MINIO_CONSOLE_ADDRESS", "127.0.0.1:0")]), conditions(open))
        .await
        .unwrap();
    let ask = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut raw = Raw(TcpStream::connect(server.console_addresses()[0]).await.unwrap());
    raw.send(&ask("/")).await;
    let page = raw.read_answer().await;
    assert!(status(&page) == 200 && page.contains("not built yet"), "{page}");
    raw.send(&ask("/login")).await;
    assert_eq!(status(&raw.read_answer().await), 404);
    raw.send("POST /api/v1/login HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
        .await;
    assert_eq!(status(&raw.read_answer().await), 501);
    server.stop().await.unwrap();
}
