//! Answers without an end through the whole server: traces, the log, samples; and that they end with the server.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use drystone::server::{Conditions, Server};
use drystone::telemetry::journal::Journal;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tracing_subscriber::prelude::*;

use super::admin::{ask_bytes, exchange_bytes};
use super::stack::{PASSWORD, USER, exchange, in_memory, presigned, start};
use super::support::{config, status};

/// A stream that is read as it comes.
struct Stream {
    connection: TcpStream,
    text: String,
}

impl Stream {
    async fn open(address: SocketAddr, path: &str) -> Self {
        let mut connection = TcpStream::connect(address).await.unwrap();
        let request = ask_bytes((USER, PASSWORD), "GET", &format!("/minio/admin/v3/{path}"), b"");
        connection.write_all(&request).await.unwrap();
        let mut stream = Self {
            connection,
            text: String::new(),
        };
        stream.until("text/event-stream").await;
        stream
    }

    /// Everything that came, once this is in it.
    async fn until(&mut self, words: &str) -> &str {
        let mut bytes = [0; 16 * 1024];
        while !self.text.contains(words) {
            let read = tokio::time::timeout(Duration::from_secs(20), self.connection.read(&mut bytes));
            let read = read.await.expect("more in time").unwrap();
            assert!(read > 0, "the stream ended: {}", self.text);
            self.text.push_str(&String::from_utf8_lossy(&bytes[..read]));
        }
        &self.text
    }

    /// The documents that came whole.
    fn documents(&self) -> Vec<Value> {
        let lines = self.text.lines().map(str::trim).filter(|line| line.starts_with('{'));
        lines.filter_map(|line| serde_json::from_str(line).ok()).collect()
    }
}

#[tokio::test]
async fn a_trace_tells_requests_as_they_are_answered_and_no_secret_of_theirs() {
    let server = start(&[]).await;
    let address = server.addresses()[0];
    let host = address.to_string();
    let mut all = Stream::open(address, "trace?s3=true&internal=true").await;
    let mut failed = Stream::open(address, "trace?s3=true&err=true&threshold=0s").await;
    let target = presigned(PASSWORD, "PUT", &host, "/wall/stone");
    let signature = target.split_once("X-Amz-Signature=").unwrap().1.to_owned();
    let put = format!("PUT {target} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello");
    assert_eq!(status(&exchange(address, &put).await), 200);
    let absent = presigned(PASSWORD, "GET", &host, "/wall/absent");
    let get = format!("GET {absent} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    assert_eq!(status(&exchange(address, &get).await), 404);
    let info = ask_bytes((USER, PASSWORD), "GET", "/minio/admin/v3/info", b"");
    exchange_bytes(address, &info).await;
    all.until("admin.info").await;
    failed.until("s3.GetObject").await;
    for text in [&all.text, &failed.text] {
        assert!(!text.contains(&signature) && !text.contains("Signature=0"), "{text}");
        assert!(
            !text.contains("Credential=rock/"),
            "the Authorization header is not told: {text}"
        );
    }
    let documents = all.documents();
    let of = |name: &str| documents.iter().find(|told| told["funcname"] == name).unwrap();
    let put = of("s3.PutObject");
    assert_eq!(
        (&put["type"], &put["path"]),
        (&Value::from(4), &Value::from("/wall/stone"))
    );
    assert_eq!(put["http"]["response"]["statuscode"], 200);
    assert_eq!(put["http"]["stats"]["inputbytes"], 5);
    assert_eq!(put["http"]["request"]["client"], "127.0.0.1");
    let get = of("s3.GetObject");
    assert_eq!(get["http"]["response"]["statuscode"], 404);
    assert!(get["http"]["stats"]["outputbytes"].as_u64().unwrap() > 100);
    assert_eq!(of("admin.info")["type"], 8);
    let names: Vec<_> = failed.documents().iter().map(|told| told["funcname"].clone()).collect();
    assert_eq!(names, ["s3.GetObject"]);
    // A stop does not wait for those who listen.
    let began = Instant::now();
    server.stop().await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(20));
}

#[tokio::test]
async fn a_request_that_is_refused_for_its_head_is_traced_without_its_secrets() {
    let server = start(&[]).await;
    let address = server.addresses()[0];
    let long = "x".repeat(20 * 1024);
    for (path, query, header) in [("long-query", long.as_str(), ""), ("long-header", "", long.as_str())] {
        let mut all = Stream::open(address, "trace?s3=true&internal=true").await;
        let get = format!(
            "GET /wall/{path}?X-Amz-Signature=5ec4e7&X-Amz-Security-Token=5ec4e7&q={query} HTTP/1.1\r\nHost: {address}\r\n\
             Authorization: AWS4-HMAC-SHA256 Credential=rock/5ec4e7\r\nX-Amz-Security-Token: 5ec4e7\r\n\
             Cookie: 5ec4e7\r\nX-Amz-Meta-Long: {header}\r\nConnection: close\r\n\r\n"
        );
        let refused = exchange(address, &get).await;
        assert!(
            status(&refused) == 400 && refused.contains("RequestHeaderSectionTooLarge"),
            "{refused}"
        );
        let told = all.until("\"statuscode\":400").await;
        assert!(told.contains(path) && !told.contains("5ec4e7"), "{told}");
    }
    server.stop().await.unwrap();
}

#[tokio::test]
async fn the_log_is_told_from_its_last_lines_on() {
    let journal = Journal::default();
    let conditions = Conditions {
        journal: journal.clone(),
        ..in_memory()
    };
    let root = [("MINIO_ROOT_USER", USER), ("MINIO_ROOT_PASSWORD", PASSWORD)];
    let server = Server::start(config(&root), conditions).await.unwrap();
    let address = server.addresses()[0];
    let subscriber = tracing_subscriber::registry().with(journal.clone());
    let log = |number: usize| tracing::warn!(number, "a drive is slow");
    tracing::subscriber::with_default(subscriber, || (0..20).for_each(log));
    let mut stream = Stream::open(address, "log?limit=2&logType=all").await;
    stream.until("number=19").await;
    let subscriber = tracing_subscriber::registry().with(journal);
    tracing::subscriber::with_default(subscriber, || log(20));
    stream.until("number=20").await;
    let documents = stream.documents();
    let lines: Vec<_> = documents.iter().map(|line| line["message"].as_str().unwrap()).collect();
    assert_eq!(
        lines,
        [
            "a drive is slow number=18",
            "a drive is slow number=19",
            "a drive is slow number=20"
        ]
    );
    let line = &documents[0];
    assert_eq!(line["level"], "WARNING");
    assert!(!line["deploymentid"].as_str().unwrap().is_empty());
    assert!(
        line["ConsoleMsg"]
            .as_str()
            .unwrap()
            .ends_with("WARNING a drive is slow number=18")
    );
    for query in ["limit=x", "logType=other"] {
        let asked = ask_bytes((USER, PASSWORD), "GET", &format!("/minio/admin/v3/log?{query}"), b"");
        let answer = exchange_bytes(address, &asked).await;
        assert_eq!(status(&String::from_utf8_lossy(&answer)), 400, "{query}");
    }
    server.stop().await.unwrap();
}

#[tokio::test]
async fn samples_are_as_many_as_were_asked_for_and_the_last_says_so() {
    let server = start(&[]).await;
    let address = server.addresses()[0];
    let mut stream = Stream::open(address, "metrics?types=1&n=2&interval=100ms&by-host=true").await;
    stream.until("\"final\":true").await;
    let documents = stream.documents();
    let last: Vec<_> = documents.iter().map(|sample| sample["final"].clone()).collect();
    assert_eq!(last, [false, true]);
    assert!(documents[0]["aggregated"]["scanner"]["collected"].is_string());
    assert!(documents[0]["aggregated"]["disk"].is_null());
    assert!(documents[0]["by_host"].as_object().unwrap().len() == 1);
    for (query, expected) in [("types=16", 501), ("types=x", 400), ("interval=soon", 400)] {
        let asked = ask_bytes(
            (USER, PASSWORD),
            "GET",
            &format!("/minio/admin/v3/metrics?{query}"),
            b"",
        );
        let answer = exchange_bytes(address, &asked).await;
        assert_eq!(status(&String::from_utf8_lossy(&answer)), expected, "{query}");
    }
    server.stop().await.unwrap();
}
