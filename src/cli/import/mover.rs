//! Brings one file after the other: announced with its hash, sent, registered, and looked at once more where it arrived.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::Method;
use parking_lot::Mutex;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::item::{Item, UNKNOWN};
use super::journal::{Done, Journal};
use super::origin::Origin;
use crate::cli::app::reading::{self, Looked, hex};
use crate::cli::app::{ApiError, LONG_PATIENCE, Server, TRIES};

/// Files with more bytes go in parts of so many, or larger ones where there would be too many.
const PART_BYTES: u64 = 64 << 20;
const PARTS_MAX: u64 = 10_000;
/// Of an upload token: as many files, bytes and seconds as one may have.
const TOKEN_FILES: u32 = 10_000;
const TOKEN_BYTES: u64 = 5 << 40;
const TOKEN_SECONDS: u32 = 24 * 3_600;
/// How many files of an earlier run are looked for before another is begun.
const SAMPLE: usize = 8;

/// What became of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Imported {
        size: u64,
    },
    /// It is there since an earlier run.
    Already,
    Failed(String),
    /// The run was given up before.
    NotTried,
}

/// Why a file was not brought.
struct Trouble {
    why: String,
    /// No other will be, either.
    ends_all: bool,
    /// Its bytes are not of the type that was said.
    of_type: bool,
}

impl From<ApiError> for Trouble {
    fn from(error: ApiError) -> Self {
        Self {
            ends_all: error.ends_all(),
            of_type: error.is("InvalidRequest") || error.is("file/invalid-format"),
            why: error.to_string(),
        }
    }
}

impl From<String> for Trouble {
    fn from(why: String) -> Self {
        Self {
            why,
            ends_all: false,
            of_type: false,
        }
    }
}

/// Which files one upload token makes: issuer and subject, bucket, category, visibility.
type Made = [Option<String>; 5];

/// See the module.
pub(super) struct Mover {
    server: Server,
    origin: Origin,
    journal: Journal,
    from: &'static str,
    tokens: tokio::sync::Mutex<BTreeMap<Made, Arc<str>>>,
    /// Why nothing more is tried.
    stopped: Mutex<Option<String>>,
}

impl Mover {
    pub(super) fn new((server, origin): (Server, Origin), journal: Journal, from: &'static str) -> Self {
        Self {
            server,
            origin,
            journal,
            from,
            tokens: tokio::sync::Mutex::default(),
            stopped: Mutex::default(),
        }
    }

    /// Why the run was given up.
    pub(super) fn stopped(&self) -> Option<String> {
        self.stopped.lock().clone()
    }

    pub(super) fn done(&self, ids: &[String]) -> Vec<Done> {
        self.journal.done(ids)
    }

    /// Refuses a file of what was done that tells of another environment, whose files would all be passed over.
    pub(super) async fn check_state(&self) -> Result<(), String> {
        let sample = self.journal.some_done(SAMPLE);
        for done in &sample {
            match self.server.file(&done.file_id).await {
                Err(error) if error.is("file/not-found") => {}
                Err(error) => return Err(error.to_string()),
                Ok(_) => return Ok(()),
            }
        }
        match sample.is_empty() {
            true => Ok(()),
            false => Err(
                "none of the files that an earlier run brought is there: it was another environment, \
                          or they were removed; give another file with --state"
                    .to_owned(),
            ),
        }
    }

    pub(super) async fn bring(&self, item: &Item) -> Outcome {
        if self.journal.is_done(&item.id) {
            return Outcome::Already;
        }
        if self.stopped.lock().is_some() {
            return Outcome::NotTried;
        }
        match self.brought(item).await {
            Ok(size) => Outcome::Imported { size },
            Err(trouble) => {
                if trouble.ends_all {
                    self.stopped.lock().get_or_insert(trouble.why.clone());
                }
                Outcome::Failed(trouble.why)
            }
        }
    }

    async fn brought(&self, item: &Item) -> Result<u64, Trouble> {
        let (looked, _until_sent) = self.origin.look_at(item).await?;
        let file_id = match self.arrived_before(item, &looked).await? {
            Some(file_id) => file_id,
            None => self.sent(item, &looked).await?,
        };
        let file = self.settled(&file_id, &looked).await?;
        self.dress(item, &file_id).await?;
        self.journal.end(done(item, &file_id, &file))?;
        Ok(looked.size)
    }

    /// The file that an earlier run announced, if its bytes are there. What else it left goes.
    async fn arrived_before(&self, item: &Item, looked: &Looked) -> Result<Option<String>, Trouble> {
        let Some(file_id) = self.journal.begun(&item.id) else {
            return Ok(None);
        };
        match self.server.file(&file_id).await {
            Ok(file) if is_there(&file) && is_same(&file, looked) => Ok(Some(file_id)),
            Ok(_) => {
                self.purge(&file_id).await?;
                Ok(None)
            }
            Err(error) if error.is("file/not-found") => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Announces the file and sends its bytes; its new id. Where it was, nobody may have held its bytes against its type:
    /// what is refused for that is sent once more as what its bytes say they are.
    async fn sent(&self, item: &Item, looked: &Looked) -> Result<String, Trouble> {
        let kind = item.media_type();
        match self.sent_as(item, &kind, looked).await {
            Err(trouble) if trouble.of_type && kind != UNKNOWN => {}
            sent => return sent,
        }
        if let Some(refused) = self.journal.begun(&item.id) {
            self.purge(&refused).await?;
        }
        self.sent_as(item, UNKNOWN, looked).await
    }

    async fn sent_as(&self, item: &Item, kind: &str, looked: &Looked) -> Result<String, Trouble> {
        let fields = item.announced(self.from, kind, (looked.size, &looked.sha256));
        let in_parts = looked.size > PART_BYTES;
        let path = if in_parts {
            "files/multipart/init"
        } else {
            "files/presigned-url"
        };
        let announced = self.announce(item, path, &fields).await?;
        let text = |name: &str| {
            announced
                .get(name)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let file_id = text("fileId");
        self.journal.begin(&item.id, &file_id)?;
        match in_parts {
            true => self.send_parts(&file_id, &text("uploadId"), looked).await?,
            false => self.send_whole(&file_id, (&text("url"), kind), looked).await?,
        }
        Ok(file_id)
    }

    async fn announce(&self, item: &Item, path: &str, fields: &Value) -> Result<Value, Trouble> {
        let mut tries = 0;
        loop {
            let token = self.token(item).await?;
            let asked = self
                .server
                .ask((Method::POST, path), token.as_deref(), Some(fields))
                .await;
            let error = match asked {
                Ok(announced) => return Ok(announced),
                Err(error) => error,
            };
            let token_ended = error.is("file/upload-token-used-up") || error.is("TOKEN_EXPIRED");
            if token_ended && token.is_some() {
                self.tokens
                    .lock()
                    .await
                    .retain(|_, known| Some(&*known) != token.as_ref());
            } else if !error.may_pass() {
                return Err(error.into());
            }
            tries += 1;
            if tries == TRIES {
                return Err(error.into());
            }
            if !token_ended {
                tokio::time::sleep(error.pause(tries)).await;
            }
        }
    }

    /// A token whose files are the owner's; `None`: they are the server's own.
    async fn token(&self, item: &Item) -> Result<Option<Arc<str>>, Trouble> {
        let Some(owner) = &item.owner else {
            return Ok(None);
        };
        let made: Made = [
            Some(owner.issuer.clone()),
            Some(owner.subject.clone()),
            item.bucket.clone(),
            item.category.clone(),
            item.visibility.clone(),
        ];
        let mut tokens = self.tokens.lock().await;
        if let Some(token) = tokens.get(&made) {
            return Ok(Some(Arc::clone(token)));
        }
        let fields = json!({
            "issuer": owner.issuer, "sub": owner.subject, "bucket": item.bucket, "category": item.category,
            "visibility": item.visibility, "contentTypes": ["*/*"], "maxFileSize": TOKEN_BYTES,
            "maxFiles": TOKEN_FILES, "expiresIn": TOKEN_SECONDS,
        });
        let told = self
            .server
            .patiently((Method::POST, "files/upload-tokens"), Some(&fields))
            .await?;
        let token: Arc<str> = told.get("token").and_then(Value::as_str).unwrap_or_default().into();
        tokens.insert(made, Arc::clone(&token));
        Ok(Some(token))
    }

    async fn send_whole(&self, file_id: &str, (url, kind): (&str, &str), looked: &Looked) -> Result<(), Trouble> {
        let mut tries = 0;
        loop {
            let body = reading::range(looked.path.clone(), 0, looked.size);
            let error = match self.server.put(url, Some(kind), (body, looked.size)).await {
                Ok(_) => return Ok(()),
                Err(error) => error,
            };
            // The answer may be what was lost: then the next try is refused, since an address takes one file.
            if is_there(&self.server.file(file_id).await?) {
                return Ok(());
            }
            tries += 1;
            if !error.may_pass() || tries == TRIES {
                return Err(error.into());
            }
            tokio::time::sleep(error.pause(tries)).await;
        }
    }

    async fn send_parts(&self, file_id: &str, upload: &str, looked: &Looked) -> Result<(), Trouble> {
        let size = part_bytes(looked.size);
        let mut parts = Vec::new();
        for number in 1..=looked.size.div_ceil(size) {
            let start = (number - 1) * size;
            let etag = self
                .send_part(upload, number, looked, (start, size.min(looked.size - start)))
                .await?;
            parts.push(json!({ "partNumber": number, "etag": etag }));
        }
        let fields = json!({ "uploadId": upload, "parts": parts });
        let complete = (Method::POST, "files/multipart/complete");
        match self.server.ask_for(LONG_PATIENCE, complete, None, Some(&fields)).await {
            Ok(_) => Ok(()),
            Err(error) => match is_there(&self.server.file(file_id).await?) {
                true => Ok(()),
                false => Err(error.into()),
            },
        }
    }

    /// Sends a part; its ETag.
    async fn send_part(
        &self,
        upload: &str,
        number: u64,
        looked: &Looked,
        (start, length): (u64, u64),
    ) -> Result<String, Trouble> {
        let asked = json!({ "uploadId": upload, "partNumber": number });
        let mut tries = 0;
        loop {
            let told = self
                .server
                .patiently((Method::POST, "files/multipart/presigned-url"), Some(&asked))
                .await?;
            let url = told.get("url").and_then(Value::as_str).unwrap_or_default();
            let body = reading::range(looked.path.clone(), start, length);
            let error = match self.server.put(url, None, (body, length)).await {
                Ok(headers) => {
                    let etag = headers.get("etag").and_then(|etag| etag.to_str().ok());
                    return Ok(etag.unwrap_or_default().to_owned());
                }
                Err(error) => error,
            };
            tries += 1;
            if !error.may_pass() || tries == TRIES {
                return Err(error.into());
            }
            tokio::time::sleep(error.pause(tries)).await;
        }
    }

    /// Registers the file, and looks whether what is there is what was sent. If it is not, it goes.
    async fn settled(&self, file_id: &str, looked: &Looked) -> Result<Value, Trouble> {
        self.server
            .patiently((Method::POST, &format!("files/{file_id}/complete")), None)
            .await?;
        let file = self.server.file(file_id).await?;
        if is_there(&file) && is_same(&file, looked) {
            return Ok(file);
        }
        self.purge(file_id).await?;
        Err("what arrived is not what was sent; it was removed again"
            .to_owned()
            .into())
    }

    /// What can be said of a file only when it is there: who needs it, when it ends, and with whom it is shared. Said twice it is the same.
    async fn dress(&self, item: &Item, file_id: &str) -> Result<(), Trouble> {
        for name in &item.refs {
            let name = percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC);
            let path = format!("files/{file_id}/refs/{name}");
            self.server.patiently((Method::PUT, &path), None).await?;
        }
        let now = OffsetDateTime::now_utc();
        // Told when it is announced, it would count while the bytes are on their way.
        if let Some(seconds) = item.lasts(now) {
            let fields = json!({ "deleteAfter": seconds });
            let path = format!("files/{file_id}");
            self.server.patiently((Method::PATCH, &path), Some(&fields)).await?;
        }
        let shares = item.shares_at(now);
        if shares.is_empty() {
            return Ok(());
        }
        let path = format!("files/{file_id}/shares");
        let fields = json!({ "shares": shares });
        self.server.patiently((Method::PUT, &path), Some(&fields)).await?;
        // Sharing makes a private file a shared one, also where somebody had made it private again.
        if let Some(visibility) = &item.visibility {
            let (path, fields) = (
                format!("files/{file_id}/visibility"),
                json!({ "visibility": visibility }),
            );
            self.server.patiently((Method::PATCH, &path), Some(&fields)).await?;
        }
        Ok(())
    }

    async fn purge(&self, id: &str) -> Result<(), ApiError> {
        match self
            .server
            .patiently((Method::DELETE, &format!("files/{id}?purge=true")), None)
            .await
        {
            Err(error) if !error.is("file/not-found") => Err(error),
            Ok(_) | Err(_) => Ok(()),
        }
    }
}

/// As small as it can be, so that what breaks off is sent again soon.
fn part_bytes(size: u64) -> u64 {
    size.div_ceil(PARTS_MAX).max(PART_BYTES)
}

/// Whether bytes of the file have come and were not refused.
fn is_there(file: &Value) -> bool {
    let status = file.get("status").and_then(Value::as_str).unwrap_or("pending");
    !matches!(status, "pending" | "rejected" | "trashed")
}

fn is_same(file: &Value, looked: &Looked) -> bool {
    file.get("size").and_then(Value::as_u64) == Some(looked.size)
        && file.get("sha256").and_then(Value::as_str) == Some(&hex(&looked.sha256))
}

fn done(item: &Item, file_id: &str, file: &Value) -> Done {
    let text = |name: &str| file.get(name).and_then(Value::as_str).map(str::to_owned);
    Done {
        id: item.id.clone(),
        alias: item.alias.clone(),
        file_id: file_id.to_owned(),
        key: text("key").unwrap_or_default(),
        url: text("url"),
        public_url: text("publicUrl"),
        original_name: text("originalName").unwrap_or_default(),
        size: file.get("size").and_then(Value::as_u64).unwrap_or_default(),
        sha256: text("sha256").unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_never_has_more_parts_than_there_may_be() {
        for size in [
            PART_BYTES + 1,
            PART_BYTES * PARTS_MAX,
            PART_BYTES * PARTS_MAX + 1,
            5 << 40,
        ] {
            let part = part_bytes(size);
            assert!(part >= PART_BYTES && size.div_ceil(part) <= PARTS_MAX, "{size}");
        }
    }
}
