//! What clients send to the S3 front over a store in memory: XML bodies, Range and date headers, continuation tokens,
//! names. Nothing may end in a server error, and what is answered is checked against the store or a second reading.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use drystone::auth::Identity;
use drystone::s3::{S3Config, S3Service, service};
use http::{HeaderValue, Request};
use http_body_util::{BodyExt, Full};
use quick_xml::events::Event;
use storage_engine::memory::MemoryBackend;
use storage_engine::store::clock::{Clock, Timestamp};
use storage_engine::store::name::{BucketName, ObjectKey};
use storage_engine::store::{Epoch, Store};

use super::book;
use super::second::encode;

/// When everything in these stores was written, in seconds.
const WRITTEN: u64 = 1_700_000_000;

struct Standing;

impl Clock for Standing {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(WRITTEN * 1000)
    }
}

thread_local! {
    static RUNTIME: RefCell<tokio::runtime::Runtime> =
        RefCell::new(tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap());
}

struct Server(S3Service);

struct Answer {
    status: u16,
    body: Bytes,
}

impl Server {
    /// With the bucket `bucket` and these keys in it, each with a body of 100 bytes.
    fn with(keys: &[&str]) -> Self {
        let store = Store::new(Arc::new(MemoryBackend::new()), Arc::new(Standing), Epoch([7; 16]));
        let config = S3Config {
            domains: Vec::new(),
            region: None,
            host_id: "host".to_owned(),
            events: Default::default(),
        };
        let server = Self(service(store, Arc::new(BTreeMap::new()), config));
        assert_eq!(server.ask("PUT", "/bucket", &[], b"").status, 200);
        for key in keys {
            let path = format!("/bucket/{}", encode(key.as_bytes(), false));
            assert_eq!(server.ask("PUT", &path, &[], &content()).status, 200);
        }
        server
    }

    /// Asks, and holds the answer to what every answer must be.
    fn ask(&self, method: &str, path: &str, headers: &[(&str, &[u8])], body: &[u8]) -> Answer {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "localhost:9000");
        for (name, value) in headers {
            request = request.header(*name, HeaderValue::from_bytes(value).unwrap());
        }
        let mut request = request.body(Full::new(Bytes::copy_from_slice(body))).unwrap();
        request
            .headers_mut()
            .insert("content-length", HeaderValue::from(body.len()));
        request.extensions_mut().insert(Identity::Root);
        let (status, body) = RUNTIME.with_borrow_mut(|runtime| {
            runtime.block_on(async {
                let response = self.0.handle(request).await;
                (
                    response.status().as_u16(),
                    response.into_body().collect().await.unwrap().to_bytes(),
                )
            })
        });
        assert!(
            status < 500 || status == 501,
            "{method} {path}: {status} {}",
            String::from_utf8_lossy(&body)
        );
        if status >= 400 && method != "HEAD" {
            assert!(
                !texts(&body, &[b"Code"]).is_empty(),
                "an error without a code: {}",
                String::from_utf8_lossy(&body)
            );
        }
        Answer { status, body }
    }

    fn keys(&self) -> BTreeSet<String> {
        let page = self.ask("GET", "/bucket?list-type=2", &[], b"");
        texts(&page.body, &[b"Contents", b"Key"]).into_iter().collect()
    }
}

fn content() -> Vec<u8> {
    (0..100).collect()
}

/// The texts of all elements that stand at the end of `path`, wherever that begins.
fn texts(document: &[u8], path: &[&[u8]]) -> Vec<String> {
    let mut reader = quick_xml::Reader::from_reader(document);
    let (mut open, mut found, mut text): (Vec<Vec<u8>>, Vec<String>, String) = Default::default();
    loop {
        match reader.read_event() {
            Ok(Event::Start(tag)) => {
                open.push(tag.local_name().as_ref().to_vec());
                text.clear();
            }
            Ok(Event::Text(piece)) => text += &String::from_utf8_lossy(&piece),
            Ok(Event::CData(piece)) => text += &String::from_utf8_lossy(&piece),
            Ok(Event::GeneralRef(name)) => {
                let raw = format!("&{};", String::from_utf8_lossy(&name));
                text += &quick_xml::escape::unescape(&raw).unwrap_or_default();
            }
            Ok(Event::End(_)) => {
                if open
                    .iter()
                    .rev()
                    .zip(path.iter().rev())
                    .filter(|(have, want)| have == *want)
                    .count()
                    == path.len()
                {
                    found.push(std::mem::take(&mut text));
                }
                open.pop();
            }
            Ok(Event::Eof) | Err(_) => return found,
            Ok(_) => {}
        }
    }
}

/// Input: which request, document.
pub(super) fn xml_body(data: &[u8]) {
    let Some((route, document)) = data.split_first() else {
        return;
    };
    match route % 3 {
        0 => {
            let before = ["a", "b/c", "d&e", " f "];
            let server = Server::with(&before);
            let answer = server.ask("POST", "/bucket?delete", &[], document);
            let named: BTreeSet<String> = texts(document, &[b"Object", b"Key"]).into_iter().collect();
            let left = server.keys();
            for key in before.iter().filter(|key| !left.contains(**key)) {
                assert_eq!(answer.status, 200, "refused, and {key:?} is gone");
                assert!(named.contains(*key), "{key:?} was not named and is gone");
            }
            for key in texts(&answer.body, &[b"Deleted", b"Key"]) {
                assert!(!left.contains(&key), "{key:?} is said to be deleted and stands");
            }
        }
        1 => {
            let server = Server::with(&[]);
            let begun = server.ask("POST", "/bucket/k?uploads", &[], b"");
            let id = texts(&begun.body, &[b"UploadId"]).remove(0);
            let part = format!("/bucket/k?partNumber=1&uploadId={id}");
            assert_eq!(server.ask("PUT", &part, &[], &content()).status, 200);
            let answer = server.ask("POST", &format!("/bucket/k?uploadId={id}"), &[], document);
            let made = server.ask("GET", "/bucket/k", &[], b"");
            match answer.status {
                200 => assert!(
                    made.status == 200 && made.body == content(),
                    "completed without its bytes"
                ),
                _ => assert_eq!(made.status, 404, "refused, and the object is there"),
            }
        }
        _ => {
            let server = Server::with(&[]);
            let made = server.ask("PUT", "/another", &[], document).status == 200;
            assert_eq!(server.ask("HEAD", "/another", &[], b"").status == 200, made);
        }
    }
}

/// The bytes a header asks for of 100; `None`: all, because it is no single range. Empty: none of them.
fn range_by_the_book(text: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(text).ok()?;
    let (unit, spec) = text.split_once('=')?;
    let (first, last) = spec.trim().split_once('-')?;
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !unit.trim().eq_ignore_ascii_case("bytes")
        || !digits(first)
        || !digits(last)
        || (first.is_empty() && last.is_empty())
    {
        return None;
    }
    // Longer numbers than there can be bytes all mean the same.
    let number = |text: &str| {
        text.trim_start_matches('0')
            .get(..15)
            .map_or_else(|| text.parse().unwrap_or(u128::MAX), |_| u128::MAX)
    };
    let last = if last.is_empty() { None } else { Some(number(last)) };
    let (from, to) = match (first.is_empty(), last) {
        (true, Some(length)) => (100 - length.min(100), 100),
        (_, Some(last)) if number(first) > last => return None,
        (_, Some(last)) => (number(first), last.saturating_add(1).min(100)),
        (_, None) => (number(first), 100),
    };
    Some(
        content()
            .into_iter()
            .enumerate()
            .filter(|(at, _)| (from..to).contains(&(*at as u128)))
            .map(|(_, byte)| byte)
            .collect(),
    )
}

/// Whether HTTP can carry these bytes as a header's value.
fn is_value(data: &[u8]) -> bool {
    data.trim_ascii() == data && HeaderValue::from_bytes(data).is_ok()
}

pub(super) fn range_header(data: &[u8]) {
    if !is_value(data) {
        return;
    }
    let server = Server::with(&["k"]);
    let answer = server.ask("GET", "/bucket/k", &[("range", data)], b"");
    match range_by_the_book(data) {
        None => assert_eq!((answer.status, answer.body.as_ref()), (200, content().as_slice())),
        Some(bytes) if bytes.is_empty() => assert_eq!(answer.status, 416),
        Some(bytes) => assert_eq!((answer.status, answer.body.as_ref()), (206, bytes.as_slice())),
    }
}

/// Input: text of a date, or, after an `@`, the number of a second whose date is written here.
pub(super) fn http_date(data: &[u8]) {
    let server = Server::with(&["k"]);
    let number = data.strip_prefix(b"@").and_then(|rest| book::number(rest, 0, 5));
    let seconds = number.map(|number| number % 253_402_300_800);
    let text = seconds.map_or_else(|| data.to_vec(), |seconds| book::http_date(seconds).into_bytes());
    if !is_value(&text) {
        return;
    }
    let ask = |name| server.ask("GET", "/bucket/k", &[(name, text.as_slice())], b"").status;
    let (since, unless) = (ask("if-modified-since"), ask("if-unmodified-since"));
    match seconds {
        Some(seconds) => {
            assert_eq!(
                since,
                if seconds >= WRITTEN { 304 } else { 200 },
                "{}",
                String::from_utf8_lossy(&text)
            );
            assert_eq!(
                unless,
                if seconds < WRITTEN { 412 } else { 200 },
                "{}",
                String::from_utf8_lossy(&text)
            );
        }
        None => {
            // Not changed since, and changed since: no date says both.
            assert!(
                matches!((since, unless), (200, 200 | 412) | (304, 200)),
                "{since} {unless}"
            );
        }
    }
}

/// The text a token goes on behind, read a second time: base64 of `1` and the text, in the alphabet of addresses.
fn token_by_the_book(token: &[u8]) -> Option<String> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut bits = Vec::new();
    for byte in token {
        let value = ALPHABET.iter().position(|known| known == byte)?;
        bits.extend((0..6).rev().map(|bit| value >> bit & 1));
    }
    let whole = bits.len() / 8 * 8;
    // What is left over is padding: less than six bits, and all zero.
    if bits.len() - whole >= 6 || bits[whole..].contains(&1) {
        return None;
    }
    let bytes: Vec<u8> = bits[..whole]
        .chunks(8)
        .map(|bits| bits.iter().fold(0, |byte, bit| byte << 1 | *bit as u8))
        .collect();
    String::from_utf8(bytes.strip_prefix(b"1")?.to_vec()).ok()
}

/// Input: page size and kind of listing, token or marker.
pub(super) fn list_token(data: &[u8]) {
    const KEYS: [&str; 6] = ["a", "a/", "a//b", "a/b", "b", "\u{ffff}"];
    let Some((mode, token)) = data.split_first() else {
        return;
    };
    let server = Server::with(&KEYS);
    let (limit, marker) = (1 + mode % 3, encode(token, true));
    let (name, after) = match mode / 3 % 3 {
        0 => ("list-type=2&continuation-token", token_by_the_book(token)),
        1 => ("list-type=2&start-after", String::from_utf8(token.to_vec()).ok()),
        _ => ("marker", String::from_utf8(token.to_vec()).ok()),
    };
    let mut page = server.ask("GET", &format!("/bucket?max-keys={limit}&{name}={marker}"), &[], b"");
    if std::str::from_utf8(token).is_err() {
        // Refused before the front in the running server; here it must only not fail.
        return;
    }
    let after = if token.is_empty() { Some(String::new()) } else { after };
    let Some(after) = after else {
        return assert_eq!(page.status, 400, "{marker} is no token");
    };
    let mut seen = Vec::new();
    loop {
        assert_eq!(page.status, 200, "{marker}: {}", String::from_utf8_lossy(&page.body));
        let keys = texts(&page.body, &[b"Contents", b"Key"]);
        assert!(keys.len() <= usize::from(limit));
        seen.extend(keys);
        if texts(&page.body, &[b"IsTruncated"]) != ["true"] {
            break;
        }
        let next = match texts(&page.body, &[b"NextContinuationToken"]).pop() {
            Some(next) => format!("list-type=2&continuation-token={next}"),
            None => format!("marker={}", encode(seen.last().unwrap().as_bytes(), true)),
        };
        page = server.ask("GET", &format!("/bucket?max-keys={limit}&{next}"), &[], b"");
    }
    let expected: Vec<&str> = KEYS.into_iter().filter(|key| *key > after.as_str()).collect();
    assert_eq!(seen, expected, "behind {after:?}");
}

fn is_bucket_by_the_book(name: &str) -> bool {
    let bytes = name.as_bytes();
    let edge = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let letters = bytes
        .iter()
        .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-".contains(byte));
    let dots = ["..", ".-", "-."].iter().any(|pair| name.contains(pair));
    let numbers: Vec<&str> = name.split('.').collect();
    let octet = |part: &&str| part.parse::<u8>().is_ok_and(|number| number.to_string() == **part);
    let address = numbers.len() == 4 && numbers.iter().all(octet);
    let kept = ["xn--", "sthree-"].iter().any(|start| name.starts_with(start))
        || ["-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"]
            .iter()
            .any(|end| name.ends_with(end))
        || name == "minio";
    (3..=63).contains(&bytes.len())
        && letters
        && edge(bytes.first())
        && edge(bytes.last())
        && !dots
        && !address
        && !kept
}

/// A name as bucket and as key: what may be one is one, and a key comes back as it was given.
pub(super) fn names(data: &[u8]) {
    let Ok(name) = std::str::from_utf8(data) else { return };
    assert_eq!(
        BucketName::parse(name).is_ok(),
        is_bucket_by_the_book(name),
        "{name:?} as a bucket"
    );
    let fits = (1..=1024).contains(&name.len()) && !name.contains('\0');
    assert_eq!(ObjectKey::parse(name).is_ok(), fits, "{name:?} as a key");
    if name.len() > 2000 {
        return;
    }
    let server = Server::with(&["other"]);
    let path = format!("/bucket/{}", encode(data, false));
    let put = server.ask("PUT", &path, &[], b"stone").status;
    if name.is_empty() {
        return;
    }
    assert_eq!(put == 200, fits, "{name:?}: {put}");
    if fits {
        let got = server.ask("GET", &path, &[], b"");
        assert_eq!((got.status, got.body.as_ref()), (200, b"stone".as_slice()), "{name:?}");
        let mut expected: BTreeSet<String> = ["other", name].map(str::to_owned).into();
        assert_eq!(server.keys(), expected);
        assert_eq!(server.ask("DELETE", &path, &[], b"").status, 204);
        expected.remove(name);
        assert_eq!(
            server.keys().contains("other"),
            expected.contains("other"),
            "{name:?} took another key along"
        );
    }
}
