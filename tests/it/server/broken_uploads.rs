//! Uploads that break or lie, to a whole server on drives: each is refused, the object that was there stays, nothing of
//! the upload is left, and the server answers the next request.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytes::Bytes;
use drystone::auth::sign::{ChunkWriter, Signer, body_hash};
use drystone::auth::{PayloadMode, SecretKey};
use drystone::server::{Conditions, Server};
use futures::TryStreamExt;
use http::Request;
use http::request::Parts;
use http_body::Frame;
use http_body_util::StreamBody;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use time::OffsetDateTime;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::support::{Raw, config_over, status};

const USER: &str = "rock";
const PASSWORD: &str = "granite-wall";
/// Stays in the log, and does not.
const LENGTHS: [usize; 2] = [2_000, 400_000];

/// How the client ends after what it sent.
#[derive(Clone, Copy, PartialEq)]
enum Ends {
    Waiting,
    /// Says that nothing more comes, and listens.
    Silent,
    Gone,
}

type Wire = fn(ChunkWriter, &[u8]) -> Vec<u8>;

/// One way to break an upload of a body.
struct Case {
    name: &'static str,
    mode: fn(&[u8]) -> PayloadMode,
    headers: &'static [(&'static str, &'static str)],
    /// Added to the length of what the body decodes to.
    declared_too_long: isize,
    wire: Wire,
    /// How many bytes of that are sent, of a hundred; all are declared.
    sent_of_100: usize,
    ends: Ends,
    /// Status and code, where an answer is owed.
    answer: Option<(u16, &'static str)>,
}

const WHOLE: Case = Case {
    name: "",
    mode: |_| PayloadMode::Unsigned,
    headers: &[],
    declared_too_long: 0,
    wire: |_, body| body.to_vec(),
    sent_of_100: 100,
    ends: Ends::Waiting,
    answer: None,
};
const CRC32C: (&str, &str) = ("x-amz-checksum-crc32c", "AAAAAA==");
const TRAILER: (&str, &str) = ("x-amz-trailer", "x-amz-checksum-crc32c");

fn two_chunks(writer: &mut ChunkWriter, body: &[u8]) -> Vec<u8> {
    let (first, second) = body.split_at(body.len() / 2);
    [writer.chunk(first), writer.chunk(second)].concat()
}

fn plain_cases() -> Vec<Case> {
    vec![
        Case {
            name: "the client is gone in mid-body",
            sent_of_100: 50,
            ends: Ends::Gone,
            ..WHOLE
        },
        Case {
            name: "the client says no more in mid-body",
            sent_of_100: 50,
            ends: Ends::Silent,
            ..WHOLE
        },
        Case {
            name: "a Content-MD5 of other bytes",
            headers: &[("content-md5", "AAAAAAAAAAAAAAAAAAAAAA==")],
            answer: Some((400, "BadDigest")),
            ..WHOLE
        },
        Case {
            name: "a Content-MD5 that is none",
            headers: &[("content-md5", "nonsense")],
            answer: Some((400, "InvalidDigest")),
            ..WHOLE
        },
        Case {
            name: "a signature over other bytes",
            mode: |_| PayloadMode::SignedBody(body_hash(b"other bytes")),
            answer: Some((400, "XAmzContentSHA256Mismatch")),
            ..WHOLE
        },
        Case {
            name: "the client is gone before the end of what it signed",
            mode: |body| PayloadMode::SignedBody(body_hash(body)),
            sent_of_100: 99,
            ends: Ends::Gone,
            ..WHOLE
        },
        Case {
            name: "a checksum of other bytes",
            headers: &[CRC32C],
            answer: Some((400, "BadDigest")),
            ..WHOLE
        },
        Case {
            name: "two checksums",
            headers: &[CRC32C, ("x-amz-checksum-crc32", "AAAAAA==")],
            answer: Some((400, "InvalidRequest")),
            ..WHOLE
        },
    ]
}

fn signed_chunks() -> Vec<Case> {
    const SIGNED: Case = Case {
        mode: |_| PayloadMode::StreamingSigned,
        wire: |mut writer, body| [&two_chunks(&mut writer, body), &writer.finish(&[])[..]].concat(),
        ..WHOLE
    };
    vec![
        Case {
            name: "a byte of a signed chunk is another",
            wire: |mut writer, body| {
                let mut wire = two_chunks(&mut writer, body);
                let last = wire.len() - 3;
                wire[last] ^= 1;
                [&wire, &writer.finish(&[])[..]].concat()
            },
            answer: Some((403, "SignatureDoesNotMatch")),
            ..SIGNED
        },
        Case {
            name: "signed chunks without the last",
            wire: |mut writer, body| two_chunks(&mut writer, body),
            answer: Some((400, "IncompleteBody")),
            ..SIGNED
        },
        Case {
            name: "signed chunks that decode to less than declared",
            declared_too_long: 10,
            answer: Some((400, "IncompleteBody")),
            ..SIGNED
        },
        Case {
            name: "signed chunks that decode to more than declared",
            declared_too_long: -10,
            answer: Some((400, "IncompleteBody")),
            ..SIGNED
        },
        Case {
            name: "the client is gone in a signed chunk",
            sent_of_100: 70,
            ends: Ends::Gone,
            ..SIGNED
        },
    ]
}

fn chunks_with_trailer() -> Vec<Case> {
    const TRAILED: Case = Case {
        mode: |_| PayloadMode::StreamingUnsignedTrailer,
        headers: &[TRAILER],
        wire: |mut writer, body| [&two_chunks(&mut writer, body), &writer.finish(&[CRC32C])[..]].concat(),
        ..WHOLE
    };
    vec![
        Case {
            name: "a trailer with the checksum of other bytes",
            answer: Some((400, "BadDigest")),
            ..TRAILED
        },
        Case {
            name: "no trailer where one was announced",
            wire: |mut writer, body| [&two_chunks(&mut writer, body), &writer.finish(&[])[..]].concat(),
            answer: Some((400, "MalformedTrailerError")),
            ..TRAILED
        },
        Case {
            name: "a chunk that is shorter than it says",
            wire: |_, body| {
                [
                    &format!("{:x}\r\n", body.len() + 1).into_bytes(),
                    body,
                    b"\r\n0\r\n\r\n",
                ]
                .concat()
            },
            answer: Some((400, "IncompleteBody")),
            ..TRAILED
        },
        Case {
            name: "a chunk whose size is none",
            wire: |_, body| [b"size\r\n", body, b"\r\n0\r\n\r\n"].concat(),
            answer: Some((400, "InvalidChunkSizeError")),
            ..TRAILED
        },
        Case {
            name: "the client is gone between the chunks and the trailer",
            sent_of_100: 99,
            ends: Ends::Gone,
            ..TRAILED
        },
    ]
}

/// Text that tells its own seed, so that a mix-up shows.
fn text(seed: usize, length: usize) -> String {
    let mut text = String::with_capacity(length + 24);
    while text.len() < length {
        text.push_str(&format!("{seed}-{};", text.len()));
    }
    text.truncate(length);
    text
}

struct Rig {
    _folder: tempfile::TempDir,
    drives: Vec<PathBuf>,
    server: Server,
    host: String,
}

impl Rig {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let drives: Vec<PathBuf> = (1..=4).map(|n| folder.path().join(format!("d{n}"))).collect();
        for drive in &drives {
            fs::create_dir(drive).unwrap();
        }
        let vars = [
            ("MINIO_ROOT_USER", USER),
            ("MINIO_ROOT_PASSWORD", PASSWORD),
            ("MINIO_DEFAULT_BUCKETS", "wall"),
        ];
        let paths = drives.iter().map(|drive| drive.to_str().unwrap().to_owned()).collect();
        let server = Server::start(config_over(paths, &vars), Conditions::default())
            .await
            .unwrap();
        let host = server.addresses()[0].to_string();
        Self {
            _folder: folder,
            drives,
            server,
            host,
        }
    }

    async fn connect(&self) -> Raw {
        Raw(TcpStream::connect(&self.host).await.unwrap())
    }

    /// A signed request, and what writes its chunks.
    fn parts(&self, method: &str, uri: &str, mode: &PayloadMode, headers: &[(&str, &str)]) -> (Parts, ChunkWriter) {
        let mut request = Request::builder().method(method).uri(uri).header("host", &self.host);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        let signer = Signer::new(USER, SecretKey::new(PASSWORD), "us-east-1");
        let writer = signer.sign(&mut parts, mode, OffsetDateTime::now_utc()).unwrap();
        (parts, writer)
    }

    /// The head of a signed request over HTTP/1.1, and what writes its chunks.
    fn head(&self, method: &str, path: &str, mode: &PayloadMode, headers: &[(&str, &str)]) -> (String, ChunkWriter) {
        let (parts, writer) = self.parts(method, path, mode, headers);
        let mut head = format!("{method} {path} HTTP/1.1\r\n");
        for (name, value) in &parts.headers {
            head.push_str(&format!("{name}: {}\r\n", value.to_str().unwrap()));
        }
        (head, writer)
    }

    /// A request that is not broken; its answer's body.
    async fn good(&self, method: &str, path: &str, body: &str) -> String {
        let (head, _) = self.head(method, path, &PayloadMode::Unsigned, &[]);
        let mut raw = self.connect().await;
        raw.send(&format!(
            "{head}content-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        ))
        .await;
        let answer = raw.read_to_close().await;
        assert!(matches!(status(&answer), 200 | 204), "{method} {path}: {answer}");
        answer.split_once("\r\n\r\n").unwrap().1.to_owned()
    }

    /// Sends a broken upload; what the server says to it, if anything.
    async fn send(&self, case: &Case, path: &str, body: &str) -> String {
        let body = body.as_bytes();
        let mode = (case.mode)(body);
        let decoded = body
            .len()
            .checked_add_signed(case.declared_too_long)
            .unwrap()
            .to_string();
        let mut headers = case.headers.to_vec();
        if mode.is_chunked() {
            headers.push(("content-encoding", "aws-chunked"));
            headers.push(("x-amz-decoded-content-length", &decoded));
        }
        let (head, writer) = self.head("PUT", path, &mode, &headers);
        let wire = (case.wire)(writer, body);
        let mut raw = self.connect().await;
        raw.send(&format!("{head}content-length: {}\r\n\r\n", wire.len())).await;
        // The server may have answered and hung up before it took all.
        let _ = raw.0.write_all(&wire[..wire.len() * case.sent_of_100 / 100]).await;
        match case.ends {
            Ends::Waiting => raw.read_answer().await,
            Ends::Silent => {
                raw.0.shutdown().await.unwrap();
                raw.read_to_close().await
            }
            Ends::Gone => {
                tokio::time::sleep(Duration::from_millis(20)).await;
                String::new()
            }
        }
    }

    /// Shard files of large bodies, on all drives.
    fn extents(&self) -> usize {
        let below = |drive: &PathBuf| files_below(&drive.join(".drystone/extent"));
        self.drives.iter().map(below).sum()
    }

    /// Nothing new stays on the drives, and the object that was there is as it was.
    async fn assert_untouched(&self, what: &str, extents: usize, old: &str) {
        assert_eq!(self.good("GET", "/wall/old", "").await, old, "{what}");
        let start = Instant::now();
        while self.extents() != extents {
            assert!(
                start.elapsed() < Duration::from_secs(20),
                "{what}: shard files are left"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let listing = self.good("GET", "/wall?list-type=2", "").await;
        assert!(listing.contains("<KeyCount>1</KeyCount>"), "{what}: {listing}");
    }
}

fn files_below(folder: &Path) -> usize {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let below = |path: PathBuf| if path.is_dir() { files_below(&path) } else { 1 };
    entries.map(|entry| below(entry.unwrap().path())).sum()
}

fn all_cases() -> Vec<Case> {
    [plain_cases(), signed_chunks(), chunks_with_trailer()]
        .into_iter()
        .flatten()
        .collect()
}

fn assert_refused(case: &Case, answer: &str) {
    assert_ne!(status(answer), 200, "{}: {answer}", case.name);
    if let Some((expected, code)) = case.answer {
        assert_eq!(status(answer), expected, "{}: {answer}", case.name);
        assert!(
            answer.contains(&format!("<Code>{code}</Code>")),
            "{}: {answer}",
            case.name
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_upload_leaves_the_object_as_it_was_and_nothing_behind() {
    let rig = Rig::new().await;
    for (round, length) in LENGTHS.into_iter().enumerate() {
        let old = text(round, 300_000);
        rig.good("PUT", "/wall/old", &old).await;
        let extents = rig.extents();
        for case in all_cases() {
            let answer = rig.send(&case, "/wall/old", &text(9, length)).await;
            assert_refused(&case, &answer);
            rig.assert_untouched(case.name, extents, &old).await;
        }
    }
    rig.server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_part_leaves_its_upload_as_it_was_and_nothing_behind() {
    let rig = Rig::new().await;
    let old = text(1, 300_000);
    rig.good("PUT", "/wall/old", &old).await;
    let begun = rig.good("POST", "/wall/old?uploads=", "").await;
    let upload = begun.split("UploadId>").nth(1).unwrap().trim_end_matches("</");
    let part = format!("/wall/old?partNumber=2&uploadId={upload}");
    let kept = text(2, 200_000);
    rig.good("PUT", &part, &kept).await;
    let extents = rig.extents();
    for case in all_cases() {
        let answer = rig.send(&case, &part, &text(9, LENGTHS[1])).await;
        assert_refused(&case, &answer);
        rig.assert_untouched(case.name, extents, &old).await;
        let parts = rig.good("GET", &format!("/wall/old?uploadId={upload}"), "").await;
        assert_eq!(parts.matches("<PartNumber>").count(), 1, "{}: {parts}", case.name);
    }
    let parts = rig.good("GET", &format!("/wall/old?uploadId={upload}"), "").await;
    let tag = parts.split("ETag>").nth(1).unwrap().trim_end_matches("</");
    let document = format!(
        "<CompleteMultipartUpload><Part><PartNumber>2</PartNumber><ETag>{tag}</ETag></Part></CompleteMultipartUpload>"
    );
    rig.good("POST", &format!("/wall/old?uploadId={upload}"), &document)
        .await;
    assert_eq!(rig.good("GET", "/wall/old", "").await, kept);
    rig.server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_whose_head_is_refused_leaves_the_object_as_it_was() {
    let rig = Rig::new().await;
    let old = text(1, 300_000);
    rig.good("PUT", "/wall/old", &old).await;
    let extents = rig.extents();
    let (long_key, long_value) = (format!("/wall/{}", "k".repeat(1_025)), "v".repeat(2_100));
    let many: Vec<(String, String)> = (0..3).map(|n| (format!("x-amz-meta-{n}"), "v".repeat(1_000))).collect();
    let many: Vec<(&str, &str)> = many
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    type Head<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str);
    let table: [Head<'_>; 5] = [
        ("/wall/old", &[("x-amz-meta-a", &long_value)], "MetadataTooLarge"),
        ("/wall/old", &many, "MetadataTooLarge"),
        (&long_key, &[], "KeyTooLongError"),
        ("/wall/old", &[("x-amz-storage-class", "MARBLE")], "InvalidStorageClass"),
        ("/Wall/old", &[], "InvalidBucketName"),
    ];
    for (path, headers, code) in table {
        let (head, _) = rig.head("PUT", path, &PayloadMode::Unsigned, headers);
        let mut raw = rig.connect().await;
        raw.send(&format!("{head}content-length: 400000\r\n\r\n")).await;
        let _ = raw.0.write_all(text(9, 400_000).as_bytes()).await;
        let answer = raw.read_answer().await;
        assert_eq!(status(&answer), 400, "{path}: {answer}");
        assert!(answer.contains(&format!("<Code>{code}</Code>")), "{path}: {answer}");
        rig.assert_untouched(code, extents, &old).await;
    }
    rig.server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_http2_that_breaks_leaves_the_object_and_the_streams_beside_it() {
    let rig = Rig::new().await;
    let old = text(1, 300_000);
    rig.good("PUT", "/wall/old", &old).await;
    let extents = rig.extents();
    let stream = TcpStream::connect(&rig.host).await.unwrap();
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    let put = |path: &str, frames: Vec<Result<Bytes, std::io::Error>>| {
        let uri = format!("http://{}{path}", rig.host);
        let declared = [("content-length", "400000")];
        let (parts, _) = rig.parts("PUT", &uri, &PayloadMode::Unsigned, &declared);
        let body = StreamBody::new(futures::stream::iter(frames).map_ok(Frame::data));
        let mut sender = sender.clone();
        async move { sender.send_request(Request::from_parts(parts, body)).await }
    };
    let body = Bytes::from(text(9, 400_000));
    let half = || body.slice(..200_000);
    let gone = || std::io::Error::other("gone");
    let broken: [(&str, Vec<Result<Bytes, std::io::Error>>); 3] = [
        ("reset in mid-body", vec![Ok(half()), Err(gone())]),
        ("ended before its length", vec![Ok(half())]),
        ("longer than its length", vec![Ok(body.clone()), Ok(half())]),
    ];
    for (what, frames) in broken {
        let beside = put("/wall/beside", vec![Ok(body.clone())]);
        let (answer, beside) = tokio::join!(put("/wall/old", frames), beside);
        assert!(answer.is_err() || answer.unwrap().status() != 200, "{what}");
        assert_eq!(beside.unwrap().status(), 200, "{what}: the stream beside it");
        rig.good("DELETE", "/wall/beside", "").await;
        assert_eq!(rig.good("GET", "/wall/old", "").await, old, "{what}");
    }
    // What was stored beside and deleted keeps its four files for a while; the broken ones keep none.
    let start = Instant::now();
    while rig.extents() > extents + 3 * 4 {
        assert!(start.elapsed() < Duration::from_secs(20), "shard files are left");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    rig.server.stop().await.unwrap();
}
