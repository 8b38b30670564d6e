//! A scanner that is asked by HTTP, through the whole server: what each of its answers makes of a file, and that it can know
//! who asks.

use std::time::Duration;

use aws_lc_rs::hmac;
use base64_simd::STANDARD;
use drystone::server::Server;
use serde_json::json;

use super::receiver::{Authority, Came, Mood, Receiver};
use super::scan::{App, Who};
use super::stack::start;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo=";
const CLEAN: Mood = Mood::Says(200, r#"{"verdict":"clean"}"#);

/// A server whose scanner is at this address.
async fn scanned(url: &str, more: &[(&str, &str)]) -> (Server, App) {
    let vars = [
        ("DRYSTONE_SCAN", url),
        ("DRYSTONE_OUTBOUND_NETWORKS", "127.0.0.0/8,::1/128"),
        ("DRYSTONE_OUTBOUND_HTTP", "on"),
        ("MINIO_PROMETHEUS_AUTH_TYPE", "public"),
    ];
    let vars: Vec<(&str, &str)> = vars.into_iter().chain(more.iter().copied()).collect();
    let server = start(&vars).await;
    let app = App::new(server.addresses()[0]).await;
    (server, app)
}

fn url(receiver: &Receiver) -> String {
    format!("http://{}/scan", receiver.address)
}

/// Whether who knows the secret signed it.
fn is_signed(came: &Came) -> bool {
    let key = STANDARD.decode_to_vec(SECRET.strip_prefix("whsec_").unwrap()).unwrap();
    let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
    let head = format!("{}.{}.", came.header("webhook-id"), came.header("webhook-timestamp"));
    let signed = [head.as_bytes(), &came.body].concat();
    let Some(signature) = came.header("webhook-signature").strip_prefix("v1,") else {
        return false;
    };
    let signature = STANDARD.decode_to_vec(signature).unwrap();
    hmac::verify(&key, &signed, &signature).is_ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_it_answers_says_what_becomes_of_a_file_and_each_request_is_signed() {
    let scanner = Receiver::new(CLEAN).await;
    let (server, app) = scanned(&url(&scanner), &[("DRYSTONE_SCAN_SECRET", SECRET)]).await;
    // Larger than one piece of a body.
    let long = "words ".repeat(300_000);
    for (mood, body, status, verdict) in [
        (CLEAN, "some words", "active", "clean"),
        (CLEAN, long.as_str(), "active", "clean"),
        (
            Mood::Says(200, r#"{"verdict":"infected","signature":"Worm.X"}"#),
            "other words",
            "quarantined",
            "infected",
        ),
        (
            Mood::Says(200, r#"{"verdict":"too-large"}"#),
            "too many words",
            "quarantined",
            "too-large",
        ),
    ] {
        scanner.becomes(mood.clone());
        let id = app.upload("", body.as_bytes()).await["id"].as_str().unwrap().to_owned();
        let file = app.becomes(&id, status).await;
        assert_eq!(file["scan"]["verdict"], json!(verdict), "{mood:?} {file}");
        let readable = if status == "active" { 200 } else { 403 };
        assert_eq!(
            app.reads(Who::Person("ann"), &id).await.status / 100,
            readable / 100,
            "{mood:?}"
        );
        let came = scanner.came();
        let came = came.last().unwrap();
        assert_eq!(came.body, body.as_bytes());
        assert!(is_signed(came), "{:?}", came.headers);
        assert_eq!(
            (came.header("drystone-bucket"), came.header("drystone-file-id")),
            ("shop-prod", id.as_str())
        );
    }
    let ids: std::collections::BTreeSet<String> = scanner
        .came()
        .iter()
        .map(|came| came.header("webhook-id").to_owned())
        .collect();
    assert_eq!(ids.len(), 4, "each is a message of its own");
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_an_answer_of_the_right_form_a_file_waits_and_nobody_reads_it() {
    let elsewhere = Receiver::new(CLEAN).await;
    for mood in [
        Mood::Says(500, ""),
        Mood::Says(200, "all is well"),
        Mood::Says(204, r#"{"verdict":"clean"}"#),
        // It would say that it is clean.
        Mood::RedirectsTo(url(&elsewhere)),
    ] {
        let scanner = Receiver::new(mood.clone()).await;
        let (server, app) = scanned(&url(&scanner), &[]).await;
        let id = app.upload("", b"some words").await["id"].as_str().unwrap().to_owned();
        app.fails_to_scan(1).await;
        assert_eq!(app.file(&id).await["status"], json!("scanning"), "{mood:?}");
        assert!(app.reads(Who::Person("ann"), &id).await.status >= 400, "{mood:?}");
        scanner.becomes(CLEAN);
        app.becomes(&id, "active").await;
        // No secret was given.
        assert!(
            scanner
                .came()
                .iter()
                .all(|came| came.header("webhook-signature").is_empty())
        );
        server.stop().await.unwrap();
    }
    assert!(elsewhere.came().is_empty(), "no redirect is followed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_takes_its_time_or_is_away_is_waited_for() {
    let scanner = Receiver::new(Mood::Silent).await;
    let (server, app) = scanned(&url(&scanner), &[("DRYSTONE_SCAN_SECRET", SECRET)]).await;
    let id = app.upload("", b"some words").await["id"].as_str().unwrap().to_owned();
    for _ in 0..600 {
        if !scanner.came().is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(scanner.came().len(), 1);
    // It has all the bytes, and nobody reads them before it has answered.
    assert_eq!(app.file(&id).await["status"], json!("scanning"));
    assert!(app.reads(Who::Server, &id).await.status >= 400);
    scanner.becomes(CLEAN);
    app.becomes(&id, "active").await;
    assert_eq!(scanner.came().len(), 1);
    server.stop().await.unwrap();

    // Nobody listens there.
    let gone = url(&scanner);
    drop(scanner);
    let (server, app) = scanned(&gone, &[]).await;
    let id = app.upload("", b"some words").await["id"].as_str().unwrap().to_owned();
    app.fails_to_scan(1).await;
    assert_eq!(app.file(&id).await["status"], json!("scanning"));
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_with_a_certificate_of_the_operators_own_authority_is_asked_once_that_is_trusted() {
    let own = Authority::new();
    let scanner = Receiver::over(CLEAN, Some(own.vouches_for("localhost"))).await;
    let at = format!("https://localhost:{}/", scanner.address.port());
    let folder = tempfile::tempdir().unwrap();
    let certs = ("DRYSTONE_CERTS_DIR", folder.path().to_str().unwrap());
    let (server, app) = scanned(&at, &[certs]).await;
    let id = app.upload("", b"some words").await["id"].as_str().unwrap().to_owned();
    app.fails_to_scan(1).await;
    assert_eq!(app.file(&id).await["status"], json!("scanning"));
    assert!(scanner.came().is_empty());
    server.stop().await.unwrap();

    own.is_trusted_in(folder.path());
    let (server, app) = scanned(&at, &[certs]).await;
    let id = app.upload("", b"some words").await["id"].as_str().unwrap().to_owned();
    app.becomes(&id, "active").await;
    assert_eq!(scanner.came().len(), 1);
    server.stop().await.unwrap();
}
