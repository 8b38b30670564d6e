//! A server on a free loopback port over a store that only has a health, and a client that sends raw bytes.

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use drystone::config::{Config, ServerArgs, Vars};
use drystone::http::body::{Body, RequestBody, full};
use drystone::http::connection::Patience;
use drystone::http::edge::{Answering, BucketRules, Edge, Service};
use drystone::http::listener::{Connections, bind};
use drystone::http::pace::Pace;
use drystone::telemetry::metrics::Metrics;
use drystone::usage::Usage;
use http::request::Parts;
use http::{HeaderMap, Request, Response, Uri};
use http_body_util::BodyExt;
use hyper_util::server::graceful::GracefulShutdown;
use parking_lot::Mutex;
use storage_engine::backend::{
    Backend, Batch, Blob, BlobClass, BodyRef, BodySource, BodyStream, CommitError, DriveHealth, DriveState, Entry,
    GroupedScan, Health, Key, Page, PutBlobError, ReadError, Rev, Row, ServiceState,
};
use storage_engine::store::clock::SystemClock;
use storage_engine::store::record::settings::CorsRule;
use storage_engine::store::{Epoch, Store};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;

/// A backend that holds nothing and can be put into any state of health.
pub(super) struct HealthOnly(Mutex<Health>);

impl HealthOnly {
    pub(super) fn new(state: ServiceState) -> Arc<Self> {
        let drive = |number: usize| DriveHealth {
            id: format!("id-{number}"),
            path: format!("/data{number}"),
            state: DriveState::In,
            reason: String::new(),
            capacity_bytes: 1_000,
            free_bytes: 400,
        };
        let drives = (1..=4).map(drive).collect();
        Arc::new(Self(Mutex::new(Health {
            store: "id".into(),
            state,
            large_bodies_fail: None,
            drives,
            parity: 2,
            tolerated_losses: 2,
        })))
    }

    pub(super) fn set(&self, state: ServiceState) {
        self.0.lock().state = state;
    }
}

const NOTHING: &str = "this backend holds nothing";

#[async_trait]
impl Backend for HealthOnly {
    async fn get(&self, _: &Key) -> Result<Option<Row>, ReadError> {
        Err(ReadError::Unavailable(NOTHING.into()))
    }
    async fn scan(&self, _: Range<Key>, _: usize) -> Result<Page<(Key, Row)>, ReadError> {
        Err(ReadError::Unavailable(NOTHING.into()))
    }
    async fn scan_back(&self, _: Range<Key>, _: usize) -> Result<Page<(Key, Row)>, ReadError> {
        Err(ReadError::Unavailable(NOTHING.into()))
    }
    async fn scan_grouped(&self, _: GroupedScan) -> Result<Page<Entry>, ReadError> {
        Err(ReadError::Unavailable(NOTHING.into()))
    }
    async fn commit(&self, _: Batch) -> Result<Rev, CommitError> {
        Err(CommitError::Unavailable(NOTHING.into()))
    }
    async fn put_blob(&self, _: BlobClass, _: BodySource<'_>, _: Option<u64>) -> Result<Blob, PutBlobError> {
        Err(PutBlobError::Unavailable(NOTHING.into()))
    }
    async fn join_blobs(&self, _: &[BodyRef]) -> Result<Blob, PutBlobError> {
        Err(PutBlobError::Unavailable(NOTHING.into()))
    }
    async fn get_blob(&self, _: &BodyRef, _: Range<u64>) -> Result<BodyStream, ReadError> {
        Err(ReadError::Unavailable(NOTHING.into()))
    }
    async fn delete_blob(&self, _: Blob) {}
    fn health(&self) -> Health {
        self.0.lock().clone()
    }
}

/// A configuration from variables, listening on a free loopback port.
pub(super) fn config(vars: &[(&str, &str)]) -> Config {
    config_over(vec!["/data".into()], vars)
}

/// The same over these drives.
pub(super) fn config_over(paths: Vec<String>, vars: &[(&str, &str)]) -> Config {
    let args = ServerArgs {
        paths,
        address: Some("127.0.0.1:0".into()),
        ..ServerArgs::default()
    };
    let vars: Vars = vars.iter().copied().collect();
    Config::resolve(args, vars, &|_| Err(std::io::ErrorKind::NotFound.into())).unwrap()
}

/// An edge with a front of the test's own, listening.
pub(super) struct Rig {
    pub(super) address: SocketAddr,
    pub(super) edge: Arc<Edge>,
    pub(super) backend: Arc<HealthOnly>,
    _stop: watch::Sender<bool>,
}

#[derive(Default)]
pub(super) struct RigSettings {
    pub(super) vars: Vec<(&'static str, &'static str)>,
    pub(super) patience: Patience,
    pub(super) pace: Pace,
    /// The CORS rules of the bucket `own`.
    pub(super) rules: Vec<CorsRule>,
}

/// What the front of most tests answers: how many bytes it read, or that the body ended in an error.
pub(super) async fn count_body(request: Request<RequestBody>) -> Response<Body> {
    let path = request.uri().path().to_owned();
    match request.into_body().collect().await {
        Ok(body) => Response::new(full(format!("{path} {}", body.to_bytes().len()))),
        Err(_) => Response::builder().status(400).body(full("broken body")).unwrap(),
    }
}

impl Rig {
    pub(super) async fn new() -> Self {
        Self::with(RigSettings::default(), count_body).await
    }

    pub(super) async fn with<F, A>(settings: RigSettings, front: F) -> Self
    where
        F: Fn(Request<RequestBody>) -> A + Send + Sync + 'static,
        A: Future<Output = Response<Body>> + Send + 'static,
    {
        let config = config(&settings.vars);
        let metrics = Arc::new(Metrics::new());
        let edge = Arc::new(Edge::new(
            &config,
            (Arc::clone(&metrics), Default::default()),
            settings.pace,
            7,
        ));
        let backend = HealthOnly::new(ServiceState::ReadWrite);
        let s3 = Arc::new(move |request| -> Answering { Box::pin(front(request)) });
        let admin = Arc::new(|_| -> Answering { Box::pin(async { Response::new(full("the admin front")) }) });
        edge.open(Service {
            image_hosts: Arc::new(|_: &str| None),
            backend: Arc::clone(&backend) as _,
            s3,
            admin,
            files: Arc::new(|_| -> Answering { Box::pin(async { Response::new(full("the files front")) }) }),
            cors: Arc::new(move |uri: &Uri, _: &HeaderMap| -> BucketRules {
                let own = uri.path().starts_with("/own/").then(|| settings.rules.clone());
                Box::pin(async move { own })
            }),
            by_itself: None,
            scraper: Arc::new(|token: &str, _: &Parts| token == "the token"),
            usage: Usage::new(Store::new(
                Arc::clone(&backend) as _,
                Arc::new(SystemClock),
                Epoch([0; 16]),
            )),
        });
        let connections = Connections::new(config.limits.connections_max, settings.patience, metrics);
        let listener = bind(&config.address, "--address").await.unwrap().remove(0);
        let address = listener.local_addr().unwrap();
        let (stop, stopping) = watch::channel(false);
        let answering = Arc::clone(&edge);
        let handler = move |request, activity| Arc::clone(&answering).answer(request, activity);
        tokio::spawn(connections.accept(listener, None, handler, Arc::new(GracefulShutdown::new()), stopping));
        Self {
            address,
            edge,
            backend,
            _stop: stop,
        }
    }

    pub(super) async fn connect(&self) -> Raw {
        Raw(TcpStream::connect(self.address).await.unwrap())
    }

    /// The whole answer to raw bytes, read until the server closes or is quiet.
    pub(super) async fn exchange(&self, bytes: &str) -> String {
        let mut raw = self.connect().await;
        raw.send(bytes).await;
        raw.read_answer().await
    }
}

/// A client that sends what it likes.
pub(super) struct Raw(pub(super) TcpStream);

impl Raw {
    pub(super) async fn send(&mut self, bytes: &str) {
        self.0.write_all(bytes.as_bytes()).await.unwrap();
    }

    /// One answer with the body that its Content-Length announces, or what came until the connection was closed.
    pub(super) async fn read_answer(&mut self) -> String {
        let mut bytes = Vec::new();
        let read = async {
            loop {
                let mut buffer = [0; 8192];
                match self.0.read(&mut buffer).await {
                    Ok(0) | Err(_) => return,
                    Ok(count) => bytes.extend_from_slice(&buffer[..count]),
                }
                if is_whole(&bytes) {
                    return;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(20), read)
            .await
            .expect("an answer or a closed connection in time");
        String::from_utf8(bytes).unwrap()
    }

    /// Everything until the server closes the connection.
    pub(super) async fn read_to_close(&mut self) -> String {
        let mut bytes = Vec::new();
        let read = async { drop(self.0.read_to_end(&mut bytes).await) };
        tokio::time::timeout(Duration::from_secs(20), read)
            .await
            .expect("a closed connection in time");
        String::from_utf8(bytes).unwrap()
    }
}

fn is_whole(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return false;
    };
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    if head.starts_with("HTTP/1.1 100") {
        return body.is_empty();
    }
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
    length.is_some_and(|length| body.len() >= length)
}

pub(super) fn status(answer: &str) -> u16 {
    answer
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .unwrap_or(0)
}
