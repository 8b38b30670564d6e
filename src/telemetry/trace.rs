//! Traces: what each request was, how it was answered and how long that took, in MinIO's form, for who listens just now.
//!
//! Owns what of a request may be told: never a body, never a signature, token, password or key. It never holds a request
//! up; while nobody listens it keeps nothing.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{LOCATION, REFERER};
use http::{HeaderMap, Request, StatusCode};
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::feed::Feed;

/// The bits by which MinIO's clients know what a trace is about.
const S3: u64 = 4;
const INTERNAL: u64 = 8;

/// What is told of one head, in bytes of its names and values: no request that is served has more, and one that is refused
/// for its length must not be kept whole for whoever listens.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// What stands for what is left out.
const CUT: char = '…';

/// What stands in the place of a secret.
const HIDDEN: &str = "*REDACTED*";

/// One request that was answered.
#[derive(Debug)]
pub struct Traced {
    /// Of S3; else of the server's own paths.
    pub s3: bool,
    pub failed: bool,
    pub took: Duration,
    /// As MinIO's clients read it, with a line's end.
    pub document: Bytes,
}

/// Who serves a request writes here what the request is; in the extensions of a request that is traced.
#[derive(Clone, Debug, Default)]
pub struct Operation(Arc<OnceLock<&'static str>>);

impl Operation {
    /// Names the request, if it is traced.
    pub fn name(extensions: &http::Extensions, operation: &'static str) {
        if let Some(named) = extensions.get::<Self>() {
            // Who named it first knows best.
            let _known = named.0.set(operation);
        }
    }
}

/// Bytes of a request's body, counted as they come.
#[derive(Clone, Debug, Default)]
pub struct Received(Arc<AtomicU64>);

impl Received {
    pub fn add(&self, bytes: u64) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// A request that is traced, from its head on.
#[derive(Debug)]
pub struct Begun {
    at: OffsetDateTime,
    since: Instant,
    method: String,
    path: String,
    query: String,
    proto: String,
    headers: Value,
    host: String,
    client: String,
    operation: Operation,
    received: Received,
}

/// Whether a header or parameter of this name may hold a secret.
fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let parts = [
        "signature",
        "token",
        "password",
        "secret",
        "customer-key",
        "authorization",
        "drystone-share",
    ];
    parts.iter().any(|part| name.contains(part)) || name == "cookie" || name == "set-cookie"
}

/// How many bytes of a head may still be told.
struct Room(usize);

impl Room {
    /// The text, or as much of it as there is room for.
    fn take(&mut self, mut text: String) -> String {
        if text.len() > self.0 {
            text.truncate(text.floor_char_boundary(self.0));
            text.push(CUT);
        }
        self.0 = self.0.saturating_sub(text.len());
        text
    }
}

fn shown_headers(headers: &HeaderMap, room: &mut Room) -> Value {
    let mut shown = Map::new();
    for name in headers.keys() {
        if room.0 == 0 {
            break;
        }
        room.0 = room.0.saturating_sub(name.as_str().len());
        let values = headers
            .get_all(name)
            .iter()
            .map(|value| match is_secret(name.as_str()) {
                true => HIDDEN.into(),
                // They hold addresses, and those may be signed.
                false if [REFERER, LOCATION].contains(name) => {
                    let text = String::from_utf8_lossy(value.as_bytes());
                    match text.split_once('?') {
                        Some((address, query)) => format!("{address}?{}", shown_query(query)),
                        None => text.into_owned(),
                    }
                }
                false => String::from_utf8_lossy(value.as_bytes()).into_owned(),
            });
        let values: Vec<String> = values.map(|value| room.take(value)).collect();
        shown.insert(name.as_str().to_owned(), values.into());
    }
    Value::Object(shown)
}

fn shown_query(query: &str) -> String {
    let pairs = query.split('&').map(|pair| match pair.split_once('=') {
        Some((name, _)) if is_secret(&percent_decode_str(name).decode_utf8_lossy()) => format!("{name}={HIDDEN}"),
        Some(_) | None => pair.to_owned(),
    });
    pairs.collect::<Vec<_>>().join("&")
}

fn shown_time(at: OffsetDateTime) -> String {
    at.format(&Rfc3339).unwrap_or_default()
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl Begun {
    /// Begins to trace a request, which then carries what its parts write to.
    pub fn of<B>(request: &mut Request<B>, client: String) -> Self {
        let (operation, received) = (Operation::default(), Received::default());
        request.extensions_mut().insert(operation.clone());
        request.extensions_mut().insert(received.clone());
        let host = request.headers().get(http::header::HOST);
        let mut room = Room(HEAD_BYTES_MAX);
        Self {
            at: OffsetDateTime::now_utc(),
            since: Instant::now(),
            method: request.method().to_string(),
            path: room.take(request.uri().path().to_owned()),
            query: room.take(shown_query(request.uri().query().unwrap_or_default())),
            proto: format!("{:?}", request.version()),
            host: host.map_or_else(String::new, |host| {
                room.take(String::from_utf8_lossy(host.as_bytes()).into_owned())
            }),
            headers: shown_headers(request.headers(), &mut room),
            client,
            operation,
            received,
        }
    }

    /// The answer is known, and its body begins.
    pub fn answered(self, feed: Feed<Traced>, status: StatusCode, headers: &HeaderMap) -> Answered {
        Answered {
            first_byte: self.since.elapsed(),
            answered_at: OffsetDateTime::now_utc(),
            status,
            headers: shown_headers(headers, &mut Room(HEAD_BYTES_MAX)),
            begun: self,
            sent: 0,
            feed,
        }
    }

    /// What MinIO's clients call the request, and whether it is one of S3.
    fn named(&self) -> (String, bool) {
        if let Some(operation) = self.operation.0.get() {
            return match operation.contains('.') {
                true => ((*operation).to_owned(), false),
                false => (format!("s3.{}", minios_name(operation)), true),
            };
        }
        if let Some(rest) = self.path.strip_prefix("/minio/admin/v3/") {
            return (format!("admin.{rest}"), false);
        }
        for start in ["/minio/", "/v1/"] {
            if let Some(rest) = self.path.strip_prefix(start) {
                return (format!("internal.{rest}"), false);
            }
        }
        (format!("s3.{}", self.method), true)
    }
}

/// What MinIO calls an operation: mostly as AWS does.
fn minios_name(operation: &str) -> String {
    match operation {
        "create_bucket" => "PutBucket".into(),
        "create_multipart_upload" => "NewMultipartUpload".into(),
        "upload_part" => "PutObjectPart".into(),
        "upload_part_copy" => "CopyObjectPart".into(),
        "delete_objects" => "DeleteMultipleObjects".into(),
        "list_objects" => "ListObjectsV1".into(),
        "list_parts" => "ListObjectParts".into(),
        other => {
            let words = other.split('_').map(|word| {
                let mut letters = word.chars();
                let first = letters.next().map(|letter| letter.to_ascii_uppercase());
                first.into_iter().chain(letters).collect::<String>()
            });
            words.collect()
        }
    }
}

/// A traced request on its way out; told when it is dropped, which is after its last byte.
#[derive(Debug)]
pub struct Answered {
    begun: Begun,
    first_byte: Duration,
    answered_at: OffsetDateTime,
    status: StatusCode,
    headers: Value,
    sent: u64,
    feed: Feed<Traced>,
}

impl Answered {
    pub fn sent(&mut self, bytes: u64) {
        self.sent = self.sent.saturating_add(bytes);
    }

    fn traced(&mut self) -> Traced {
        let begun = &mut self.begun;
        let took = begun.since.elapsed();
        let (name, s3) = begun.named();
        let failed = self.status.as_u16() >= 400;
        let received = begun.received.0.load(Ordering::Relaxed);
        let error = match failed {
            true => self.status.canonical_reason().unwrap_or("error"),
            false => "",
        };
        let document = json!({
            "type": if s3 { S3 } else { INTERNAL },
            "nodename": begun.host,
            "funcname": name,
            "time": shown_time(begun.at),
            "path": begun.path,
            "dur": nanoseconds(took),
            "bytes": received.saturating_add(self.sent),
            "error": error,
            "http": {
                "request": {
                    "time": shown_time(begun.at),
                    "proto": begun.proto,
                    "method": begun.method,
                    "path": begun.path,
                    "rawquery": begun.query,
                    "headers": begun.headers.take(),
                    "client": begun.client,
                },
                "response": {
                    "time": shown_time(self.answered_at),
                    "headers": self.headers.take(),
                    "statuscode": self.status.as_u16(),
                },
                "stats": {
                    "inputbytes": received,
                    "outputbytes": self.sent,
                    "latency": nanoseconds(took),
                    "timetofirstbyte": nanoseconds(self.first_byte),
                },
            },
        });
        Traced {
            s3,
            failed,
            took,
            document: Bytes::from(format!("{document}\n")),
        }
    }
}

impl Drop for Answered {
    fn drop(&mut self) {
        let feed = self.feed.clone();
        feed.tell(|| self.traced());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::feed::Heard;

    #[tokio::test]
    async fn a_trace_tells_a_request_and_none_of_its_secrets() {
        let feed = Feed::default();
        let mut listener = feed.listen().unwrap();
        let mut request =
            Request::get("/wall/stone?X-Amz-Signature=5ec4e7&X-Amz-Security-Token=5ec4e7&a=b&LDAPPassword=5ec4e7&drystone-share=5ec4e7&X-Amz-Signatur%65=5ec4e7")
                .header("authorization", "AWS4 5ec4e7")
                .header("x-amz-server-side-encryption-customer-key", "5ec4e7")
                .header("referer", "https://s/b/k?X-Amz-Signature=5ec4e7")
                .header("x-amz-meta-colour", "red")
                .header("host", "here:9000")
                .body(())
                .unwrap();
        let begun = Begun::of(&mut request, "192.0.2.1".into());
        Operation::name(request.extensions(), "get_object");
        request.extensions().get::<Received>().unwrap().add(5);
        let headers = HeaderMap::from_iter([(http::header::ETAG, "\"e\"".parse().unwrap())]);
        let mut answered = begun.answered(feed.clone(), StatusCode::NOT_FOUND, &headers);
        answered.sent(7);
        drop(answered);
        let Some(Heard::Told(told)) = listener.next().await else {
            panic!("nothing was told")
        };
        let text = String::from_utf8(told.document.to_vec()).unwrap();
        assert!(!text.contains("5ec4e7") && text.ends_with('\n'), "{text}");
        let document: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((told.s3, told.failed), (true, true));
        assert_eq!(document["funcname"], "s3.GetObject");
        assert_eq!(document["type"], 4);
        assert_eq!(document["http"]["response"]["statuscode"], 404);
        assert_eq!(document["http"]["request"]["headers"]["x-amz-meta-colour"][0], "red");
        assert_eq!(document["http"]["request"]["headers"]["authorization"][0], HIDDEN);
        assert_eq!(document["http"]["stats"]["inputbytes"], 5);
        assert_eq!(document["http"]["stats"]["outputbytes"], 7);
        assert!(
            document["http"]["request"]["rawquery"]
                .as_str()
                .unwrap()
                .contains("a=b")
        );
    }

    #[test]
    fn a_head_that_is_too_long_is_told_of_and_not_kept_whole() {
        let long = "ä".repeat(40_000);
        let mut request = Request::get(format!("/wall/stone?X-Amz-Signature=5ec4e7&q={}", "q".repeat(3_000)))
            .header("a", long.as_bytes())
            .header("b", long.as_bytes())
            .body(())
            .unwrap();
        let begun = Begun::of(&mut request, String::new());
        let (feed, none) = (Feed::default(), HeaderMap::new());
        let mut answered = begun.answered(feed, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, &none);
        let told = String::from_utf8(answered.traced().document.to_vec()).unwrap();
        assert!(told.len() < 2 * HEAD_BYTES_MAX, "{}", told.len());
        assert!(told.contains(CUT) && told.contains("/wall/stone") && told.contains("431"));
        assert!(!told.contains("5ec4e7"));
    }

    #[test]
    fn requests_have_the_names_that_minios_clients_filter_by() {
        let named = |path: &str, operation: Option<&'static str>| {
            let mut request = Request::get(path).body(()).unwrap();
            let begun = Begun::of(&mut request, String::new());
            if let Some(operation) = operation {
                Operation::name(request.extensions(), operation);
            }
            begun.named()
        };
        for (path, operation, name, s3) in [
            ("/b/k", Some("put_object"), "s3.PutObject", true),
            ("/b", Some("list_objects_v2"), "s3.ListObjectsV2", true),
            ("/b/k", Some("upload_part"), "s3.PutObjectPart", true),
            ("/b/k", None, "s3.GET", true),
            ("/", Some("sts.Request"), "sts.Request", false),
            ("/minio/admin/v3/info", None, "admin.info", false),
            ("/minio/health/live", None, "internal.health/live", false),
            ("/v1/admin/heal", None, "internal.admin/heal", false),
        ] {
            assert_eq!(named(path, operation), (name.to_owned(), s3), "{path}");
        }
    }
}
