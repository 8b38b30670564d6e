//! Pages of other origins: which may read an answer, what their preflight is told, and what stays closed to them.

use storage_engine::store::record::settings::CorsRule;

use super::support::{Rig, RigSettings, count_body, status};

fn from_page(method: &str, path: &str, origin: &str, more: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nHost: a\r\nOrigin: {origin}\r\n{more}\r\n")
}

/// The connection is closed behind the answer: one with status 204 has no length that would tell its end.
fn preflight(path: &str, origin: &str, method: &str) -> String {
    let asked = format!(
        "Connection: close\r\nAccess-Control-Request-Method: {method}\r\nAccess-Control-Request-Headers: content-type,x-amz-date\r\n"
    );
    from_page("OPTIONS", path, origin, &asked)
}

async fn with_origins(origins: &'static str) -> Rig {
    let settings = RigSettings {
        vars: vec![("MINIO_API_CORS_ALLOW_ORIGIN", origins)],
        ..RigSettings::default()
    };
    Rig::with(settings, count_body).await
}

#[tokio::test]
async fn any_page_may_read_any_answer_unless_the_operator_says_otherwise() {
    let rig = Rig::new().await;
    let answer = rig
        .exchange(&from_page("GET", "/bucket/key", "https://app.test", ""))
        .await;
    assert_eq!(status(&answer), 200, "{answer}");
    assert!(answer.contains("access-control-allow-origin: *\r\n"), "{answer}");
    let exposed = answer
        .lines()
        .find(|line| line.starts_with("access-control-expose-headers: "));
    assert!(
        exposed.unwrap().contains("x-amz-request-id") && exposed.unwrap().contains("content-range"),
        "{answer}"
    );
    assert!(answer.contains("vary: Origin\r\n"), "{answer}");
    // A login that a proxy in front asks for is not for every page to use.
    assert!(!answer.contains("access-control-allow-credentials"), "{answer}");
    // Without an origin nothing of it is said.
    let answer = rig.exchange("GET /bucket/key HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(!answer.contains("access-control"), "{answer}");
}

#[tokio::test]
async fn a_page_may_read_errors_too() {
    let rig = Rig::new().await;
    let long = format!("X-Long: {}\r\n", "x".repeat(17_000));
    let large = rig
        .exchange(&from_page("GET", "/bucket/key", "https://app.test", &long))
        .await;
    let cut =
        "PUT /bucket/key HTTP/1.1\r\nHost: a\r\nOrigin: https://app.test\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n";
    let broken = rig.exchange(cut).await;
    rig.edge.close();
    let closed = rig
        .exchange(&from_page("GET", "/bucket/key", "https://app.test", ""))
        .await;
    for (answer, expected) in [(large, 400), (broken, 400), (closed, 503)] {
        assert_eq!(status(&answer), expected, "{answer}");
        assert!(answer.contains("access-control-allow-origin: *\r\n"), "{answer}");
    }
}

#[tokio::test]
async fn an_allowed_preflight_is_answered_before_any_front() {
    let rig = Rig::new().await;
    for method in ["GET", "HEAD", "PUT", "POST", "DELETE"] {
        let answer = rig
            .exchange(&preflight("/bucket/key", "https://app.test", method))
            .await;
        assert_eq!(status(&answer), 204, "{answer}");
        for line in [
            "access-control-allow-origin: *\r\n",
            "access-control-allow-methods: GET, HEAD, PUT, POST, DELETE\r\n",
            "access-control-allow-headers: content-type,x-amz-date\r\n",
            "access-control-max-age: 600\r\n",
        ] {
            assert!(answer.contains(line), "{line} is not in\n{answer}");
        }
    }
    // What is no preflight, or asks for a method that S3 does not have, is the front's.
    let no_such = rig
        .exchange(&preflight("/bucket/key", "https://app.test", "PATCH"))
        .await;
    let plain = rig
        .exchange(&from_page("OPTIONS", "/bucket/key", "https://app.test", ""))
        .await;
    let put = "Access-Control-Request-Method: PUT\r\nContent-Length: 0\r\n";
    let put = rig
        .exchange(&from_page("PUT", "/bucket/key", "https://app.test", put))
        .await;
    for answer in [no_such, plain, put] {
        assert!(answer.ends_with("/bucket/key 0"), "{answer}");
        assert!(!answer.contains("access-control-allow-methods"), "{answer}");
    }
}

#[tokio::test]
async fn only_named_origins_may_read_when_some_are_named() {
    let rig = with_origins("https://app.test, https://*.wall.test").await;
    for origin in ["https://app.test", "https://pics.wall.test"] {
        let get = rig.exchange(&from_page("GET", "/bucket/key", origin, "")).await;
        let before = rig.exchange(&preflight("/bucket/key", origin, "PUT")).await;
        for (answer, expected) in [(get, 200), (before, 204)] {
            assert_eq!(status(&answer), expected, "{answer}");
            let allowed = format!("access-control-allow-origin: {origin}\r\n");
            assert!(
                answer.contains(&allowed) && answer.contains("vary: Origin\r\n"),
                "{answer}"
            );
            assert!(
                answer.contains("access-control-allow-credentials: true\r\n"),
                "{answer}"
            );
        }
    }
    for origin in [
        "https://evil.test",
        "https://wall.test",
        "null",
        "https://app.test.evil.test",
    ] {
        let get = rig.exchange(&from_page("GET", "/bucket/key", origin, "")).await;
        let before = rig.exchange(&preflight("/bucket/key", origin, "PUT")).await;
        for answer in [get, before] {
            // The front answers; the browser keeps it from the page.
            assert!(answer.ends_with("/bucket/key 0"), "{answer}");
            assert!(
                !answer.contains("access-control-") && answer.contains("vary: Origin\r\n"),
                "{answer}"
            );
        }
    }
    let rig = with_origins("none").await;
    let answer = rig
        .exchange(&from_page("GET", "/bucket/key", "https://app.test", ""))
        .await;
    assert!(status(&answer) == 200 && !answer.contains("access-control"), "{answer}");
}

#[tokio::test]
async fn the_servers_own_paths_are_closed_to_pages() {
    let settings = RigSettings {
        vars: vec![("MINIO_PROMETHEUS_AUTH_TYPE", "public"), ("MINIO_DOMAIN", "s3.test")],
        ..RigSettings::default()
    };
    let rig = Rig::with(settings, count_body).await;
    for path in [
        "/minio/health/cluster",
        "/minio/v2/metrics/cluster",
        "/minio/admin/v3/info",
        "/v1/admin/info",
    ] {
        let get = rig.exchange(&from_page("GET", path, "https://app.test", "")).await;
        let before = rig.exchange(&preflight(path, "https://app.test", "PUT")).await;
        assert!(
            !get.contains("access-control") && !before.contains("access-control"),
            "{get}\n{before}"
        );
        // Below a bucket's host the same path is a key.
        let key = format!("GET {path} HTTP/1.1\r\nHost: pics.s3.test\r\nOrigin: https://app.test\r\n\r\n");
        let answer = rig.exchange(&key).await;
        assert!(answer.contains("access-control-allow-origin: *\r\n"), "{answer}");
    }
}

fn rules() -> Vec<CorsRule> {
    vec![CorsRule {
        origins: vec!["https://*.app".into()],
        methods: vec!["GET".into(), "PUT".into()],
        headers: vec!["x-amz-*".into(), "content-type".into()],
        expose: vec!["ETag".into()],
        max_age_seconds: Some(30),
        ..CorsRule::default()
    }]
}

#[tokio::test]
async fn a_bucket_with_rules_of_its_own_is_judged_by_them_alone() {
    let settings = RigSettings {
        rules: rules(),
        ..RigSettings::default()
    };
    let rig = Rig::with(settings, count_body).await;
    let allowed = rig.exchange(&preflight("/own/key", "https://one.app", "PUT")).await;
    assert_eq!(status(&allowed), 200, "{allowed}");
    for line in [
        "access-control-allow-origin: https://one.app\r\n",
        "access-control-allow-methods: GET, PUT\r\n",
        "access-control-allow-headers: content-type,x-amz-date\r\n",
        "access-control-max-age: 30\r\n",
        "access-control-expose-headers: ETag\r\n",
        "vary: Origin, Access-Control-Request-Headers, Access-Control-Request-Method\r\n",
    ] {
        assert!(allowed.contains(line), "{line} {allowed}");
    }
    // What the rule for all buckets would allow reaches the front, which refuses it.
    for (origin, method) in [("https://elsewhere", "GET"), ("https://one.app", "DELETE")] {
        let refused = rig.exchange(&preflight("/own/key", origin, method)).await;
        assert!(refused.contains("/own/key 0"), "{refused}");
        assert!(!refused.contains("access-control-allow"), "{refused}");
    }
    let read = rig.exchange(&from_page("GET", "/own/key", "https://one.app", "")).await;
    assert!(
        read.contains("access-control-allow-origin: https://one.app\r\n"),
        "{read}"
    );
    let kept = rig
        .exchange(&from_page("GET", "/own/key", "https://elsewhere", ""))
        .await;
    assert!(
        !kept.contains("access-control") && kept.contains("vary: Origin"),
        "{kept}"
    );
    let other = rig
        .exchange(&from_page("GET", "/other/key", "https://elsewhere", ""))
        .await;
    assert!(other.contains("access-control-allow-origin: *\r\n"), "{other}");
}
