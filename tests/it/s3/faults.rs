//! A store that cannot: the client is told so, and never "not found" or a short body.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use drystone::auth::Identity;
use http::Request;
use http_body_util::{BodyExt, Full};
use storage_engine::backend::{
    Backend, Batch, Blob, BlobClass, BodyRef, BodySource, BodyStream, CommitError, Entry, GroupedScan, Health, Key,
    Page, PutBlobError, ReadError, Rev, Row,
};
use storage_engine::memory::MemoryBackend;

use super::Server;

/// What does not work; everything else is a store in memory.
#[derive(Clone, Copy, PartialEq)]
enum Broken {
    Reads,
    Full,
    Unknown,
    /// No upload in parts is begun.
    Uploads,
    BodiesEndEarly,
    /// What is committed is told to nobody for a while.
    LateAnswers,
}

struct Faulty(MemoryBackend, Broken);

impl Faulty {
    fn readable(&self) -> Result<(), ReadError> {
        match self.1 {
            Broken::Reads => Err(ReadError::Unavailable("drive /secret/path is gone".into())),
            _ => Ok(()),
        }
    }
}

#[async_trait]
impl Backend for Faulty {
    async fn get(&self, key: &Key) -> Result<Option<Row>, ReadError> {
        self.readable()?;
        self.0.get(key).await
    }
    async fn scan(&self, range: Range<Key>, limit: usize) -> Result<Page<(Key, Row)>, ReadError> {
        self.readable()?;
        self.0.scan(range, limit).await
    }
    async fn scan_back(&self, range: Range<Key>, limit: usize) -> Result<Page<(Key, Row)>, ReadError> {
        self.readable()?;
        self.0.scan_back(range, limit).await
    }
    async fn scan_grouped(&self, scan: GroupedScan) -> Result<Page<Entry>, ReadError> {
        self.readable()?;
        self.0.scan_grouped(scan).await
    }
    async fn commit(&self, batch: Batch) -> Result<Rev, CommitError> {
        let makes_bucket = batch.ops.iter().any(|op| op.key().as_bytes().starts_with(b"b/"));
        let begins = batch.ops.iter().any(|op| op.key().as_bytes().starts_with(b"u/"));
        match self.1 {
            Broken::Uploads if begins => Err(CommitError::Invalid("a rule on /secret/path")),
            Broken::Full if !makes_bucket => Err(CommitError::Full("no space on /secret/path".into())),
            Broken::Unknown if !makes_bucket => Err(CommitError::Unknown("two drives late".into())),
            Broken::LateAnswers if !makes_bucket => {
                let done = self.0.commit(batch).await;
                tokio::time::sleep(std::time::Duration::from_secs(1)).await;
                done
            }
            _ => self.0.commit(batch).await,
        }
    }
    async fn put_blob(
        &self,
        class: BlobClass,
        source: BodySource<'_>,
        size_hint: Option<u64>,
    ) -> Result<Blob, PutBlobError> {
        self.0.put_blob(class, source, size_hint).await
    }
    async fn join_blobs(&self, parts: &[BodyRef]) -> Result<Blob, PutBlobError> {
        self.0.join_blobs(parts).await
    }
    async fn get_blob(&self, body: &BodyRef, range: Range<u64>) -> Result<BodyStream, ReadError> {
        if self.1 != Broken::BodiesEndEarly {
            return self.0.get_blob(body, range).await;
        }
        let corrupt = ReadError::Corrupt("a stripe does not verify".into());
        Ok(Box::pin(futures::stream::iter([
            Ok(Bytes::from_static(b"begin")),
            Err(corrupt),
        ])))
    }
    async fn delete_blob(&self, blob: Blob) {
        self.0.delete_blob(blob).await;
    }
    fn health(&self) -> Health {
        self.0.health()
    }
}

/// A server whose answers to writes come late.
pub(super) fn late() -> Server {
    server(Broken::LateAnswers)
}

/// A store that begins no upload in parts, whose errors tell where it stands.
pub(crate) fn no_uploads() -> impl Backend {
    Faulty(MemoryBackend::new(), Broken::Uploads)
}

fn server(broken: Broken) -> Server {
    Server::over(Arc::new(Faulty(MemoryBackend::new(), broken)))
}

#[tokio::test]
async fn what_cannot_be_reached_is_unavailable_and_never_missing() {
    let server = server(Broken::Reads);
    for (method, path) in [
        ("GET", "/bucket/a"),
        ("HEAD", "/bucket/a"),
        ("HEAD", "/bucket"),
        ("GET", "/bucket?list-type=2"),
        ("GET", "/"),
        ("DELETE", "/bucket/a"),
        ("GET", "/bucket?policy"),
    ] {
        let answer = server.ask(method, path).send().await.fails(503, "SlowDown");
        assert_eq!(answer.header("retry-after"), Some("5"), "{method} {path}");
        assert!(!answer.text().contains("secret"), "{}", answer.text());
    }
}

#[tokio::test]
async fn a_full_store_and_an_unknown_outcome_say_so() {
    let full = server(Broken::Full);
    full.put("/bucket").send().await.is(200);
    let refused = full
        .put("/bucket/a")
        .body("x")
        .send()
        .await
        .fails(507, "XMinioStorageFull");
    assert!(!refused.text().contains("secret"), "{}", refused.text());
    full.get("/bucket/a").send().await.fails(404, "NoSuchKey");

    let unknown = server(Broken::Unknown);
    unknown.put("/bucket").send().await.is(200);
    let answer = unknown
        .put("/bucket/a")
        .body("x")
        .send()
        .await
        .fails(503, "ServiceUnavailable");
    assert_eq!(answer.header("retry-after"), Some("5"));
}

#[tokio::test]
async fn an_error_behind_the_first_byte_breaks_the_body() {
    let server = server(Broken::BodiesEndEarly);
    server.put("/bucket").send().await.is(200);
    server.store("/bucket/a", "begin and end").await;
    let mut request = Request::new(Full::new(Bytes::new()));
    *request.uri_mut() = "/bucket/a".parse().unwrap();
    request.extensions_mut().insert(Identity::Root);
    let response = server.service.handle(request).await;
    assert_eq!(
        (
            response.status().as_u16(),
            response.headers()["content-length"].as_bytes()
        ),
        (200, &b"13"[..])
    );
    let mut body = response.into_body();
    let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(first, "begin");
    assert!(body.frame().await.unwrap().is_err());
}
