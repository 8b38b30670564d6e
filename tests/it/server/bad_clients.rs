//! Clients that are slow, too large, ambiguous or too many. After each, the server still answers a good one.

use std::time::{Duration, Instant};

use bytes::Bytes;
use drystone::http::body::{empty, full};
use drystone::http::connection::Patience;
use drystone::http::pace::Pace;
use drystone::http::turn::Turn;
use http::Response;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::support::{Rig, RigSettings, count_body, status};

const GOOD: &str = "GET /good HTTP/1.1\r\nHost: a\r\n\r\n";

async fn assert_well(rig: &Rig) {
    let answer = rig.exchange(GOOD).await;
    assert!(answer.ends_with("/good 0"), "{answer}");
}

fn impatient() -> Patience {
    Patience {
        head: Duration::from_millis(400),
        idle: Duration::from_millis(4_000),
        write: Duration::from_millis(400),
        ..Patience::default()
    }
}

#[tokio::test]
async fn a_client_that_expects_to_continue_with_nothing_gets_no_second_answer_on_its_connection() {
    let rig = Rig::with(RigSettings::default(), count_body).await;
    let put = |expect: &str| format!("PUT /k HTTP/1.1\r\nHost: a\r\n{expect}Content-Length: 0\r\n\r\n");
    let answer = rig.exchange(&put("Expect: 100-continue\r\n")).await;
    assert_eq!(status(&answer), 200, "{answer}");
    assert!(answer.to_ascii_lowercase().contains("connection: close"), "{answer}");
    let answer = rig.exchange(&put("")).await;
    assert!(!answer.to_ascii_lowercase().contains("connection: close"), "{answer}");
}

#[tokio::test]
async fn a_dripping_head_is_cut_and_an_idle_connection_is_not() {
    let rig = Rig::with(
        RigSettings {
            patience: impatient(),
            ..RigSettings::default()
        },
        count_body,
    )
    .await;
    let mut dripping = rig.connect().await;
    let mut idle = rig.connect().await;
    let drip = async {
        loop {
            for byte in "GET / HTTP/1.1\r\nHost: a\r\nX-Long: aaaaaaaaaaaaaaaaaaaaaaaaa".bytes() {
                tokio::time::sleep(Duration::from_millis(50)).await;
                if dripping.0.write_all(&[byte]).await.is_err() {
                    return;
                }
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), drip)
        .await
        .expect("the dripping connection is cut");
    idle.send(GOOD).await;
    assert!(idle.read_answer().await.ends_with("/good 0"));
    // Keep-alive: as patient again after a request as before the first.
    tokio::time::sleep(Duration::from_millis(800)).await;
    idle.send(GOOD).await;
    assert!(idle.read_answer().await.ends_with("/good 0"));
    let begun = Instant::now();
    assert_eq!(idle.read_to_close().await, "");
    assert!(
        begun.elapsed() > Duration::from_millis(1_000),
        "closed after {:?}",
        begun.elapsed()
    );
    assert_well(&rig).await;
}

#[tokio::test]
async fn a_dripping_body_is_told_request_timeout_and_a_steady_one_passes() {
    let pace = Pace {
        window: Duration::from_millis(400),
        window_bytes_min: 400,
    };
    let rig = Rig::with(
        RigSettings {
            pace,
            ..RigSettings::default()
        },
        count_body,
    )
    .await;
    let mut slow = rig.connect().await;
    slow.send("PUT /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nabc")
        .await;
    let answer = slow.read_answer().await;
    assert_eq!(status(&answer), 400, "{answer}");
    assert!(
        answer.contains("<Code>RequestTimeout</Code>") && answer.contains("connection: close"),
        "{answer}"
    );

    let mut steady = rig.connect().await;
    steady
        .send("PUT /steady HTTP/1.1\r\nHost: a\r\nContent-Length: 2000\r\n\r\n")
        .await;
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        steady.send(&"x".repeat(200)).await;
    }
    assert!(steady.read_answer().await.ends_with("/steady 2000"));
    assert_well(&rig).await;
}

#[tokio::test]
async fn a_client_that_never_reads_is_cut() {
    let front = |_| async { Response::new(full(Bytes::from(vec![b'x'; 64 * 1024 * 1024]))) };
    let rig = Rig::with(
        RigSettings {
            patience: impatient(),
            ..RigSettings::default()
        },
        front,
    )
    .await;
    let mut deaf = rig.connect().await;
    deaf.send(GOOD).await;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let text = rig.edge.metrics().text(None, None).unwrap();
    assert!(text.contains("minio_s3_requests_inflight_total 0"), "{text}");
    assert!(text.contains("drystone_http_connections 0"), "{text}");
}

#[tokio::test]
async fn length_and_chunks_together_are_read_as_chunks_and_end_the_connection() {
    let rig = Rig::new().await;
    let smuggling = "POST /outer HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n\
                     0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut raw = rig.connect().await;
    raw.send(smuggling).await;
    let answers = raw.read_to_close().await;
    assert_eq!(answers.matches("HTTP/1.1 ").count(), 1, "{answers}");
    assert!(
        answers.contains("/outer 0") && !answers.contains("/smuggled"),
        "{answers}"
    );
    assert_well(&rig).await;
}

#[tokio::test]
async fn ambiguous_heads_are_refused() {
    let rig = Rig::new().await;
    let table = [
        (
            "two hosts",
            "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
            Some("InvalidRequest"),
        ),
        (
            "the same host twice",
            "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
            Some("InvalidRequest"),
        ),
        ("no host", "GET / HTTP/1.1\r\n\r\n", Some("InvalidRequest")),
        (
            "another host in the line",
            "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n",
            Some("InvalidRequest"),
        ),
        (
            "two lengths",
            "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
            None,
        ),
        (
            "a negative length",
            "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
            None,
        ),
        (
            "chunks not last",
            "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n",
            None,
        ),
        (
            "a folded header",
            "GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n",
            None,
        ),
        ("a space before the colon", "GET / HTTP/1.1\r\nHost : a\r\n\r\n", None),
        ("no HTTP", "\u{1}\u{2}\u{3} hello\r\n\r\n", None),
    ];
    for (what, bytes, code) in table {
        let answer = rig.exchange(bytes).await;
        assert_eq!(status(&answer), 400, "{what}: {answer}");
        if let Some(code) = code {
            assert!(answer.contains(&format!("<Code>{code}</Code>")), "{what}: {answer}");
        }
    }
    assert_well(&rig).await;
}

#[tokio::test]
async fn heads_larger_than_the_cap_are_refused() {
    let rig = Rig::new().await;
    let with_header = |bytes: usize| format!("GET / HTTP/1.1\r\nHost: a\r\nX-Large: {}\r\n\r\n", "a".repeat(bytes));
    assert_eq!(status(&rig.exchange(&with_header(15 * 1024)).await), 200);
    let answer = rig.exchange(&with_header(17 * 1024)).await;
    assert_eq!(status(&answer), 400, "{answer}");
    assert!(answer.contains("<Code>RequestHeaderSectionTooLarge</Code>"), "{answer}");
    let answer = rig.exchange(&with_header(1024 * 1024)).await;
    assert!(answer.is_empty() || status(&answer) == 431, "{answer}");
    let many: String = (0..1_000).map(|number| format!("X-{number}: 1\r\n")).collect();
    assert_eq!(
        status(&rig.exchange(&format!("GET / HTTP/1.1\r\nHost: a\r\n{many}\r\n")).await),
        431
    );
    assert_well(&rig).await;
}

#[tokio::test]
async fn connections_beyond_the_cap_are_refused() {
    let settings = RigSettings {
        vars: vec![("DRYSTONE_CONNECTIONS_MAX", "2")],
        ..RigSettings::default()
    };
    let rig = Rig::with(settings, count_body).await;
    let mut first = rig.connect().await;
    let mut second = rig.connect().await;
    for raw in [&mut first, &mut second] {
        raw.send(GOOD).await;
        assert_eq!(status(&raw.read_answer().await), 200);
    }
    let mut third = rig.connect().await;
    let mut byte = [0];
    let read = tokio::time::timeout(Duration::from_secs(5), third.0.read(&mut byte))
        .await
        .unwrap();
    assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
    assert!(
        rig.edge
            .metrics()
            .text(None, None)
            .unwrap()
            .contains("drystone_http_connections_refused_total 1")
    );
    drop(first);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_well(&rig).await;
}

#[tokio::test]
async fn requests_beyond_their_cap_wait_for_a_turn_and_then_are_told_to_slow_down() {
    let vars = vec![
        ("MINIO_API_REQUESTS_MAX", "1"),
        ("MINIO_API_REQUESTS_DEADLINE", "300ms"),
    ];
    let front = |_| async {
        tokio::time::sleep(Duration::from_millis(1_200)).await;
        Response::new(empty())
    };
    let rig = Rig::with(
        RigSettings {
            vars,
            ..RigSettings::default()
        },
        front,
    )
    .await;
    let mut first = rig.connect().await;
    first.send(GOOD).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let answer = rig.exchange(GOOD).await;
    assert_eq!(status(&answer), 503, "{answer}");
    assert!(answer.contains("<Code>SlowDown</Code>"), "{answer}");
    assert_eq!(status(&first.read_answer().await), 200);
    assert_eq!(status(&rig.exchange(GOOD).await), 200);
}

/// What is still done for a caller who has left is bounded, too.
#[tokio::test]
async fn a_turn_is_the_next_requests_when_nothing_goes_on_for_the_first() {
    let vars = vec![
        ("MINIO_API_REQUESTS_MAX", "1"),
        ("MINIO_API_REQUESTS_DEADLINE", "300ms"),
    ];
    let (end, ended) = tokio::sync::watch::channel(false);
    let front = move |mut request: http::Request<_>| {
        let mut ended = ended.clone();
        async move {
            if request.uri().path() == "/left" {
                let turn = request.extensions_mut().remove::<Turn>().unwrap();
                tokio::spawn(async move {
                    drop(ended.wait_for(|ended| *ended).await);
                    drop(turn);
                });
            }
            count_body(request).await
        }
    };
    let settings = RigSettings {
        vars,
        ..RigSettings::default()
    };
    let rig = Rig::with(settings, front).await;
    let left = rig.exchange("GET /left HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(status(&left), 200, "{left}");
    assert_eq!(status(&rig.exchange(GOOD).await), 503);
    end.send_replace(true);
    let began = Instant::now();
    while status(&rig.exchange(GOOD).await) != 200 {
        assert!(began.elapsed() < Duration::from_secs(60), "the turn is lost");
    }
}

#[tokio::test]
async fn a_panic_is_a_500_with_an_id_and_ends_nothing_else() {
    let front = |request: http::Request<_>| async move {
        assert!(request.uri().path() != "/bug", "a planted bug");
        count_body(request).await
    };
    let rig = Rig::with(RigSettings::default(), front).await;
    let answer = rig.exchange("GET /bug HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(status(&answer), 500, "{answer}");
    assert!(
        answer.contains("<Code>InternalError</Code>") && !answer.contains("planted"),
        "{answer}"
    );
    let id = answer
        .lines()
        .find_map(|line| line.strip_prefix("x-amz-request-id: "))
        .unwrap();
    assert!(answer.contains(&format!("<RequestId>{id}</RequestId>")), "{answer}");
    assert_eq!(rig.edge.metrics().panics(), 1);
    assert_well(&rig).await;
}

#[tokio::test]
async fn a_body_is_invited_only_when_somebody_reads_it() {
    let front = |request: http::Request<_>| async move {
        if request.uri().path() == "/refused" {
            return Response::builder().status(403).body(empty()).unwrap();
        }
        count_body(request).await
    };
    let rig = Rig::with(RigSettings::default(), front).await;
    let put =
        |path: &str| format!("PUT {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
    let mut raw = rig.connect().await;
    raw.send(&put("/taken")).await;
    assert!(raw.read_answer().await.starts_with("HTTP/1.1 100 Continue"));
    raw.send("body").await;
    assert!(raw.read_answer().await.ends_with("/taken 4"));
    let answer = rig.exchange(&put("/refused")).await;
    assert_eq!(status(&answer), 403, "{answer}");
    assert!(answer.to_ascii_lowercase().contains("connection: close"), "{answer}");
}

/// The connection was closed behind the answer without a word. botocore sent its next request on it, met the end, and
/// reported the answer before, without its body, as that of the next request.
#[tokio::test]
async fn the_end_of_a_connection_is_announced_with_the_answer_to_an_upload_that_was_not_invited() {
    let front = |request: http::Request<_>| async move {
        if request.uri().path() == "/refused" {
            return Response::builder().status(403).body(full("no")).unwrap();
        }
        count_body(request).await
    };
    let rig = Rig::with(RigSettings::default(), front).await;
    let mut raw = rig.connect().await;
    raw.send(&format!(
        "PUT /refused HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n{GOOD}"
    ))
    .await;
    let answers = raw.read_to_close().await;
    assert_eq!(status(&answers), 403, "{answers}");
    assert!(answers.to_ascii_lowercase().contains("connection: close"), "{answers}");
    // Nor is the start of what follows taken for the body, and the rest of it for a request.
    assert_eq!(answers.matches("HTTP/1.1").count(), 1, "{answers}");
}

#[tokio::test]
async fn a_refused_upload_still_gets_its_answer_and_keeps_the_connection() {
    let front = |request: http::Request<_>| async move {
        if request.uri().path() == "/refused" {
            return Response::builder().status(403).body(full("no")).unwrap();
        }
        count_body(request).await
    };
    let rig = Rig::with(RigSettings::default(), front).await;
    let mut raw = rig.connect().await;
    let length = 4 * 1024 * 1024;
    raw.send(&format!(
        "PUT /refused HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n"
    ))
    .await;
    raw.send(&"x".repeat(length)).await;
    let answer = raw.read_answer().await;
    assert_eq!(status(&answer), 403, "{answer}");
    raw.send(GOOD).await;
    assert!(raw.read_answer().await.ends_with("/good 0"));
}
