//! Which path belongs to whom: health, metrics, what is reserved, and what is a bucket's.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use storage_engine::backend::ServiceState;
use tokio::net::TcpStream;

use super::support::{Rig, RigSettings, count_body, status};

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")
}

#[tokio::test]
async fn health_follows_the_store() {
    let rig = Rig::new().await;
    let answer = rig.exchange(&get("/minio/health/cluster")).await;
    assert_eq!(status(&answer), 200, "{answer}");
    assert!(
        answer.contains("x-minio-write-quorum: 3") && answer.contains("x-amz-request-id: "),
        "{answer}"
    );
    let answer = rig
        .exchange("HEAD /minio/health/live HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .await;
    assert_eq!(status(&answer), 200, "{answer}");
    rig.backend.set(ServiceState::ReadOnly("two drives are missing".into()));
    assert_eq!(status(&rig.exchange(&get("/minio/health/cluster")).await), 503);
    assert_eq!(status(&rig.exchange(&get("/minio/health/cluster/read")).await), 200);
    assert_eq!(status(&rig.exchange(&get("/minio/health/ready")).await), 200);
    rig.backend
        .set(ServiceState::NotReady("three drives are missing".into()));
    let answer = rig.exchange(&get("/minio/health/live")).await;
    assert!(
        status(&answer) == 200 && answer.contains("x-minio-server-status: offline"),
        "{answer}"
    );
    assert_eq!(status(&rig.exchange(&get("/minio/health/ready")).await), 503);
    // The edge closed: the engine is not open yet, or not any more.
    rig.edge.close();
    assert_eq!(status(&rig.exchange(&get("/minio/health/cluster")).await), 503);
    let answer = rig.exchange(&get("/bucket/key")).await;
    assert!(
        status(&answer) == 503 && answer.contains("<Code>ServiceUnavailable</Code>"),
        "{answer}"
    );
}

#[tokio::test]
async fn what_is_not_built_answers_501_and_reaches_no_front() {
    let rig = Rig::new().await;
    for path in [
        "/minio/v2/metrics/elsewhere",
        "/minio/metrics/v3",
        "/minio/prometheus/metrics",
        "/minio/webrpc",
    ] {
        let answer = rig.exchange(&get(path)).await;
        assert_eq!(status(&answer), 501, "{path}: {answer}");
        assert!(answer.contains("<Code>NotImplemented</Code>"), "{path}: {answer}");
    }
    for path in ["/minio/admin/v3/info", "/minio/admin/", "/v1/admin/info", "/v1/admin/"] {
        let answer = rig.exchange(&get(path)).await;
        assert!(answer.ends_with("the admin front"), "{path}: {answer}");
    }
    for path in ["/v1/files/a", "/v1/", "/v1", "//v1/files", "/v1/administration"] {
        let answer = rig.exchange(&get(path)).await;
        assert!(answer.ends_with("the files front"), "{path}: {answer}");
    }
    assert_eq!(status(&rig.exchange(&get("/minio/health/else")).await), 404);
    let post = "POST /minio/health/live HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(status(&rig.exchange(post).await), 405);
    for path in [
        "/",
        "/bucket",
        "/minio",
        "/minio/",
        "/minio-data/key",
        "/v1x/key",
        "/v2/key",
        "//minio/x",
    ] {
        let answer = rig.exchange(&get(path)).await;
        assert!(answer.ends_with(&format!("{path} 0")), "{path}: {answer}");
    }
}

#[tokio::test]
async fn pages_of_any_origin_call_the_files_api_and_are_refused_in_its_words() {
    let rig = Rig::new().await;
    let ask = "OPTIONS /v1/files HTTP/1.1\r\nHost: a\r\nOrigin: https://app.test\r\nAccess-Control-Request-Method: \
               PATCH\r\nAccess-Control-Request-Headers: x-api-key\r\nConnection: close\r\n\r\n";
    let answer = rig.exchange(ask).await;
    assert_eq!(status(&answer), 204, "{answer}");
    for line in [
        "access-control-allow-origin: *",
        "access-control-allow-headers: x-api-key",
        "access-control-max-age: 3600",
    ] {
        assert!(answer.contains(line), "{line}: {answer}");
    }
    let from_page = "GET /v1/files HTTP/1.1\r\nHost: a\r\nOrigin: https://app.test\r\n\r\n";
    let answer = rig.exchange(from_page).await;
    assert_eq!(answer.matches("access-control-allow-origin: *").count(), 1, "{answer}");
    assert!(!answer.contains("access-control-allow-credentials"), "{answer}");
    rig.edge.close();
    let answer = rig.exchange(from_page).await;
    assert_eq!(status(&answer), 503, "{answer}");
    assert!(
        answer.contains("\"code\":\"common/unavailable\"") && answer.contains("access-control-allow-origin: *"),
        "{answer}"
    );
}

#[tokio::test]
async fn on_a_virtual_host_every_path_is_a_key() {
    let settings = RigSettings {
        vars: vec![("MINIO_DOMAIN", "s3.test")],
        ..RigSettings::default()
    };
    let rig = Rig::with(settings, count_body).await;
    for path in [
        "/minio/health/live",
        "/minio/v2/metrics/cluster",
        "/v1/files",
        "/minio/admin/v3/info",
    ] {
        let on = |host: &str| format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let answer = rig.exchange(&on("pics.s3.test:9000")).await;
        assert!(answer.ends_with(&format!("{path} 0")), "{answer}");
        assert!(!rig.exchange(&on("s3.test:9000")).await.ends_with(&format!("{path} 0")));
    }
}

#[tokio::test]
async fn metrics_are_closed_unless_the_operator_opens_them() {
    let rig = Rig::new().await;
    for path in ["/minio/v2/metrics/cluster", "/minio/v2/metrics/node"] {
        let answer = rig.exchange(&get(path)).await;
        assert_eq!(status(&answer), 403, "{answer}");
        assert!(answer.contains("MINIO_PROMETHEUS_AUTH_TYPE=public"), "{answer}");
        let with = |token: &str| format!("GET {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n\r\n");
        assert_eq!(status(&rig.exchange(&with("another token")).await), 403);
        assert_eq!(status(&rig.exchange(&with("the token")).await), 200);
    }
    let settings = RigSettings {
        vars: vec![("MINIO_PROMETHEUS_AUTH_TYPE", "public")],
        ..RigSettings::default()
    };
    let rig = Rig::with(settings, count_body).await;
    rig.exchange(&get("/bucket")).await;
    let answer = rig.exchange(&get("/minio/v2/metrics/cluster")).await;
    for line in [
        "minio_cluster_drive_online_total 4",
        "minio_cluster_write_quorum 3",
        "minio_cluster_capacity_raw_free_bytes 1600",
        "minio_node_drive_free_bytes{drive=\"/data3\"} 400",
        "drystone_http_requests_total{method=\"GET\",status=\"200\"} 1",
    ] {
        assert!(answer.lines().any(|have| have == line), "{line} is not in\n{answer}");
    }
}

#[tokio::test]
async fn http2_with_prior_knowledge_is_served_beside_http1() {
    let rig = Rig::new().await;
    let stream = TcpStream::connect(rig.address).await.unwrap();
    let (sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    let ask = |path: &str| {
        let request = Request::get(format!("http://{}{path}", rig.address))
            .body(Empty::<Bytes>::new())
            .unwrap();
        let mut sender = sender.clone();
        async move { sender.send_request(request).await.unwrap() }
    };
    let (first, second) = tokio::join!(ask("/minio/health/live"), ask("/bucket/key"));
    assert_eq!((first.status().as_u16(), first.version()), (200, http::Version::HTTP_2));
    let body = second.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "/bucket/key 0");
    // An HTTP/2 connection between requests outlives the patience for a head.
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(ask("/minio/health/live").await.status(), 200);
}
