//! The clients of the soak: they read, write, delete, upload in parts and list, for as long as they may, and judge every
//! answer. They know nothing of drives.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use http::{Method, StatusCode};

use super::keys::{Keys, Wrong};
use crate::s3::{Connection, Payload, Target, between};

/// A request that is not answered after this long is stuck.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
const BUCKET: &str = "soak";

/// What was counted.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) reads: AtomicU64,
    pub(super) writes: AtomicU64,
    pub(super) deletes: AtomicU64,
    pub(super) uploads: AtomicU64,
    pub(super) lists: AtomicU64,
    /// 503, or no connection, while something was being done to the store.
    pub(super) excused: AtomicU64,
    /// Those of them that only asked to read.
    pub(super) excused_reads: AtomicU64,
    /// Bytes of bodies that were sent and taken.
    pub(super) bytes_written: AtomicU64,
    pub(super) bytes_read: AtomicU64,
    pub(super) lost: AtomicU64,
    pub(super) resurrected: AtomicU64,
    pub(super) wrong_bytes: AtomicU64,
    pub(super) wrong_lists: AtomicU64,
    pub(super) stuck: AtomicU64,
    /// Refusals with nothing amiss, and any 500.
    pub(super) unexplained: AtomicU64,
    /// The first few, in words.
    pub(super) examples: Mutex<Vec<String>>,
}

impl Counts {
    fn note(&self, counter: &AtomicU64, example: String) {
        counter.fetch_add(1, Ordering::Relaxed);
        let mut examples = self.examples.lock().unwrap_or_else(PoisonError::into_inner);
        if examples.len() < 20 {
            examples.push(example);
        }
    }

    fn wrong(&self, wrong: Wrong, example: String) {
        let counter = match wrong {
            Wrong::Lost => &self.lost,
            Wrong::Resurrected => &self.resurrected,
            Wrong::Bytes => &self.wrong_bytes,
            Wrong::List => &self.wrong_lists,
        };
        self.note(counter, format!("{wrong:?}: {example}"));
    }

    /// All that must be zero.
    pub(super) fn violations(&self) -> Vec<(&'static str, u64)> {
        let all = [
            ("lost", &self.lost),
            ("resurrected", &self.resurrected),
            ("wrong bytes", &self.wrong_bytes),
            ("wrong listings", &self.wrong_lists),
            ("stuck requests", &self.stuck),
            ("unexplained refusals", &self.unexplained),
        ];
        all.into_iter()
            .map(|(name, counter)| (name, counter.load(Ordering::Relaxed)))
            .collect()
    }
}

/// What all clients share.
pub(super) struct World {
    pub(super) target: Target,
    pub(super) keys: Keys,
    pub(super) counts: Counts,
    pub(super) over: AtomicBool,
    /// Something is being done to the store, or was a moment ago.
    pub(super) amiss: AtomicBool,
}

/// There is no answer to judge; why, has been counted.
pub(super) struct NoAnswer;

/// One client with a connection of its own.
pub(super) struct Client {
    pub(super) world: Arc<World>,
    pub(super) number: usize,
    pub(super) clients: usize,
    connection: Option<Connection>,
    dice: u64,
}

impl Client {
    pub(super) fn new(world: Arc<World>, number: usize, clients: usize) -> Self {
        Self {
            world,
            number,
            clients,
            connection: None,
            dice: (number as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15),
        }
    }

    fn below(&mut self, end: usize) -> usize {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        usize::try_from(self.dice >> 11).unwrap_or_default() % end.max(1)
    }

    /// Sends requests until it is over.
    pub(super) async fn live(mut self) {
        while !self.world.over.load(Ordering::Relaxed) {
            let any = self.below(self.world.keys.count());
            // Of its own, every so manieth.
            let own = self.number + self.clients * self.below(self.world.keys.count() / self.clients);
            let done = match self.below(100) {
                0..60 => self.read(any).await,
                60..85 => self.write(own).await,
                85..95 => self.delete(own).await,
                95..98 => self.list().await,
                _ => self.upload(own).await,
            };
            if done.is_err() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }

    /// An answer below 500, or it is counted why there is none.
    async fn ask(
        &mut self,
        method: Method,
        path: &str,
        query: &str,
        body: Bytes,
    ) -> Result<(StatusCode, Bytes), NoAnswer> {
        let what = format!("{method} {path}");
        let reads = method == Method::GET;
        let sent = body.len() as u64;
        let amiss_before = self.world.amiss.load(Ordering::Relaxed);
        let asked = tokio::time::timeout(ANSWER_WITHIN, self.send(method, path, query, body)).await;
        let amiss = amiss_before || self.world.amiss.load(Ordering::Relaxed);
        let counts = &self.world.counts;
        let refused = match asked {
            Ok(Ok((status, body))) if status.as_u16() < 500 => {
                counts.bytes_written.fetch_add(sent, Ordering::Relaxed);
                counts.bytes_read.fetch_add(body.len() as u64, Ordering::Relaxed);
                return Ok((status, body));
            }
            Ok(Ok((StatusCode::SERVICE_UNAVAILABLE, said))) => {
                format!("{what}: 503 {}", String::from_utf8_lossy(&said))
            }
            Ok(Ok((status, said))) => {
                let example = format!("{what}: {status} {}", String::from_utf8_lossy(&said));
                counts.note(&counts.unexplained, example);
                return Err(NoAnswer);
            }
            Ok(Err(error)) => {
                self.connection = None;
                format!("{what}: {error:#}")
            }
            Err(_) => {
                self.connection = None;
                counts.note(&counts.stuck, format!("{what}: no answer after {ANSWER_WITHIN:?}"));
                return Err(NoAnswer);
            }
        };
        if amiss {
            counts.excused.fetch_add(1, Ordering::Relaxed);
            counts.excused_reads.fetch_add(u64::from(reads), Ordering::Relaxed);
        } else {
            counts.note(&counts.unexplained, refused);
        }
        Err(NoAnswer)
    }

    async fn send(&mut self, method: Method, path: &str, query: &str, body: Bytes) -> Result<(StatusCode, Bytes)> {
        let request = self
            .world
            .target
            .request(method, path, query, body, Payload::Unsigned)?;
        if self.connection.is_none() {
            self.connection = Some(self.world.target.connect().await?);
        }
        self.connection.as_mut().context("a connection")?.send(request).await
    }

    pub(super) async fn read(&mut self, key: usize) -> Result<(), NoAnswer> {
        let path = path(key);
        let before = self.world.keys.before(key);
        let (status, body) = self.ask(Method::GET, &path, "", Bytes::new()).await?;
        let counts = &self.world.counts;
        let judged = match status {
            StatusCode::OK => self.world.keys.judge(key, before, Some(&body)),
            StatusCode::NOT_FOUND => self.world.keys.judge(key, before, None),
            other => {
                counts.note(&counts.unexplained, format!("GET {path}: {other}"));
                return Ok(());
            }
        };
        counts.reads.fetch_add(1, Ordering::Relaxed);
        if let Err(wrong) = judged {
            counts.wrong(wrong, format!("GET {path}: {status}, {} bytes, {before:?}", body.len()));
        }
        Ok(())
    }

    fn settle(&self, key: usize, version: u64, status: StatusCode, counter: &AtomicU64, what: &str) {
        let counts = &self.world.counts;
        if status.is_success() {
            self.world.keys.acknowledged(key, version);
            counter.fetch_add(1, Ordering::Relaxed);
        } else {
            counts.note(&counts.unexplained, format!("{what}: {status}"));
        }
    }

    async fn write(&mut self, key: usize) -> Result<(), NoAnswer> {
        let length = match self.below(20) {
            0..14 => self.below(8_000),
            14..19 => 100_000 + self.below(300_000),
            _ => 1_000_000 + self.below(1_500_000),
        };
        let (version, body) = self.world.keys.begin(key, Some(length));
        let path = path(key);
        let (status, _) = self.ask(Method::PUT, &path, "", body.into()).await?;
        self.settle(key, version, status, &self.world.counts.writes, &path);
        Ok(())
    }

    async fn delete(&mut self, key: usize) -> Result<(), NoAnswer> {
        let (version, _) = self.world.keys.begin(key, None);
        let path = path(key);
        let (status, _) = self.ask(Method::DELETE, &path, "", Bytes::new()).await?;
        self.settle(key, version, status, &self.world.counts.deletes, &path);
        Ok(())
    }

    /// An upload of one part; what was begun and not completed is nobody's version.
    async fn upload(&mut self, key: usize) -> Result<(), NoAnswer> {
        let path = path(key);
        let (_, begun) = self.ask(Method::POST, &path, "uploads=", Bytes::new()).await?;
        let begun = String::from_utf8_lossy(&begun).into_owned();
        let Some(upload) = between(&begun, "UploadId") else {
            return Ok(());
        };
        let (version, body) = self.world.keys.begin(key, Some(200_000));
        let query = format!("partNumber=1&uploadId={upload}");
        self.ask(Method::PUT, &path, &query, body.into()).await?;
        let query = format!("uploadId={upload}");
        let (_, parts) = self.ask(Method::GET, &path, &query, Bytes::new()).await?;
        let parts = String::from_utf8_lossy(&parts).replace("&quot;", "\"");
        let Some(etag) = between(&parts, "ETag") else {
            return Ok(());
        };
        let part = format!("<Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part>");
        let list = format!("<CompleteMultipartUpload>{part}</CompleteMultipartUpload>");
        let (status, _) = self.ask(Method::POST, &path, &query, list.into()).await?;
        self.settle(key, version, status, &self.world.counts.uploads, &path);
        Ok(())
    }

    pub(super) async fn list(&mut self) -> Result<(), NoAnswer> {
        let before: Vec<_> = (0..self.world.keys.count())
            .map(|key| self.world.keys.before(key))
            .collect();
        let (mut listed, mut token) = (Vec::new(), String::new());
        loop {
            let query = match token.as_str() {
                "" => "list-type=2&max-keys=37".to_owned(),
                token => format!(
                    "continuation-token={}&list-type=2&max-keys=37",
                    crate::sign::encode(token, false)
                ),
            };
            let (_, page) = self
                .ask(Method::GET, &format!("/{BUCKET}"), &query, Bytes::new())
                .await?;
            let page = String::from_utf8_lossy(&page).into_owned();
            let keys = page
                .split("<Contents>")
                .skip(1)
                .filter_map(|entry| between(entry, "Key"));
            listed.extend(keys.map(str::to_owned));
            match between(&page, "NextContinuationToken") {
                Some(next) => token = next.to_owned(),
                None => break,
            }
        }
        let counts = &self.world.counts;
        counts.lists.fetch_add(1, Ordering::Relaxed);
        if let Err(wrong) = self.world.keys.judge_list(&before, &listed) {
            counts.wrong(wrong, format!("{} keys listed", listed.len()));
        }
        Ok(())
    }
}

fn path(key: usize) -> String {
    format!("/{BUCKET}/{}", Keys::name(key))
}

/// Makes the bucket.
pub(super) async fn make_bucket(target: &Target) -> Result<()> {
    target.ask(Method::PUT, &format!("/{BUCKET}"), "", Bytes::new()).await?;
    Ok(())
}

/// Reads and lists everything once more, with nothing else going on.
pub(super) async fn read_all(world: &Arc<World>) -> Result<()> {
    let mut client = Client::new(Arc::clone(world), 0, 1);
    for key in 0..world.keys.count() {
        ensure!(
            client.read(key).await.is_ok(),
            "{} cannot be read at the end",
            Keys::name(key)
        );
    }
    ensure!(client.list().await.is_ok(), "no listing at the end");
    Ok(())
}
