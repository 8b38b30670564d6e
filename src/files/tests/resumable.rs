//! Resumable uploads, as clients of tus and of the IETF's draft ask for them.

use base64_simd::STANDARD;
use http::Request;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use proptest::prelude::*;
use serde_json::json;
use storage_engine::store::checksum::ChecksumAlgorithm;

use super::{Shop, Told, Who};
use crate::http::body::{BoxError, RequestBody};

const TUS: (&str, &str) = ("tus-resumable", "1.0.0");
const BYTES: (&str, &str) = ("content-type", "application/offset+octet-stream");
const DRAFT: (&str, &str) = ("upload-draft-interop-version", "8");
/// The largest file in bytes: 5 TiB.
const SIZE_MAX: &str = "5497558138880";
const PARTIAL: (&str, &str) = ("content-type", "application/partial-upload");

fn said(pairs: &[(&str, &str)]) -> String {
    let coded = pairs
        .iter()
        .map(|(key, value)| format!("{key} {}", STANDARD.encode_to_string(value)));
    coded.collect::<Vec<_>>().join(",")
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| b'a' + (i % 23) as u8).collect()
}

/// A path below `/v1/` in an address.
fn path(told: &Told) -> String {
    let address = told.header("location");
    address
        .strip_prefix("https://files.test/v1/")
        .unwrap_or_else(|| panic!("{address}"))
        .to_owned()
}

impl Shop {
    async fn tus(&self, who: &Who, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Told {
        let len = body.len().to_string();
        let mut all = vec![TUS, ("content-length", len.as_str())];
        all.extend(headers);
        self.ask(who, method, path, &all, body.to_vec()).await
    }

    async fn patch(&self, who: &Who, path: &str, offset: usize, more: &[(&str, &str)], body: &[u8]) -> Told {
        let offset = offset.to_string();
        let mut headers = vec![BYTES, ("upload-offset", offset.as_str())];
        headers.extend(more);
        self.tus(who, "PATCH", path, &headers, body).await
    }

    async fn begun(&self, who: &Who, length: usize) -> String {
        let (length, said) = (
            length.to_string(),
            said(&[("filename", "a.txt"), ("filetype", "text/plain")]),
        );
        let headers = [("upload-length", length.as_str()), ("upload-metadata", said.as_str())];
        path(&self.tus(who, "POST", "tus", &headers, b"").await.is(201))
    }

    /// The bytes of the file that an upload became.
    async fn received(&self, who: &Who, told: &Told) -> Vec<u8> {
        let file = told.header("upload-file-id").to_owned();
        self.get(who, &format!("files/{file}/content")).await.is(200).bytes
    }

    /// A PATCH that breaks off after these bytes.
    async fn broken(&self, who: &Who, path: &str, offset: usize, body: &[u8]) -> u16 {
        let frames = vec![
            Ok::<_, BoxError>(Frame::data(body.to_vec().into())),
            Err("connection lost".into()),
        ];
        let body: RequestBody = BodyExt::boxed(StreamBody::new(futures::stream::iter(frames)));
        let mut request = Request::builder()
            .method("PATCH")
            .uri(format!("/v1/{path}"))
            .header("host", "a");
        let offset = offset.to_string();
        for (name, value) in [TUS, BYTES, ("upload-offset", offset.as_str())] {
            request = request.header(name, value);
        }
        for (name, value) in who {
            request = request.header(*name, value);
        }
        self.service.handle(request.body(body).unwrap()).await.status().as_u16()
    }
}

#[tokio::test]
async fn a_file_comes_piece_by_piece_by_tus() {
    let shop = Shop::new().await;
    let ann = shop.person("ann");
    let bytes = pattern(200_000);
    let metadata = said(&[
        ("filename", "words.txt"),
        ("filetype", "text/plain"),
        ("visibility", "public"),
        ("mine", "x"),
    ]);
    let length = bytes.len().to_string();
    let headers = [
        ("upload-length", length.as_str()),
        ("upload-metadata", metadata.as_str()),
    ];
    let created = shop.tus(&ann, "POST", "tus", &headers, b"").await.is(201);
    assert_eq!(created.header("tus-resumable"), "1.0.0");
    assert!(created.header("upload-expires").ends_with(" GMT"));
    let (upload, file) = (path(&created), created.header("upload-file-id").to_owned());
    assert_eq!(
        shop.get(&ann, &format!("files/{file}"))
            .await
            .is(200)
            .text("/originalName"),
        "words.txt"
    );
    let mut offset = 0;
    for size in [10, 150_000, 49_990] {
        let told = shop
            .patch(&ann, &upload, offset, &[], &bytes[offset..offset + size])
            .await
            .is(204);
        offset += size;
        assert_eq!(told.header("upload-offset"), offset.to_string());
        assert_eq!(told.header("upload-expires").is_empty(), offset == bytes.len());
    }
    let head = shop.tus(&ann, "HEAD", &upload, &[], b"").await.is(200);
    assert_eq!(
        (head.header("upload-offset"), head.header("upload-length")),
        (length.as_str(), length.as_str())
    );
    assert_eq!(
        (head.header("upload-metadata"), head.header("cache-control")),
        (metadata.as_str(), "no-store")
    );
    let found = shop
        .get(&shop.person("bob"), &format!("files/{file}/content"))
        .await
        .is(200);
    assert!(found.bytes == bytes);
    // A client that missed the last answer asks again.
    shop.patch(&ann, &upload, offset, &[], b"").await.is(204);
    shop.patch(&ann, &upload, offset, &[], b"x").await.is(413);
    shop.tus(&ann, "DELETE", &upload, &[], b"")
        .await
        .refused(403, "upload/finished");
}

#[tokio::test]
async fn what_tus_has_of_refusals_is_told_as_it_says() {
    let shop = Shop::new().await;
    let ann = shop.person("ann");
    let versions = shop
        .ask(
            &ann,
            "POST",
            "tus",
            &[("tus-resumable", "0.2.2"), ("upload-length", "1")],
            vec![],
        )
        .await;
    assert_eq!((versions.status, versions.header("tus-version")), (412, "1.0.0"));
    shop.ask(&ann, "POST", "tus", &[("upload-length", "1")], vec![])
        .await
        .is(412);
    let post = async |headers: &[(&str, &str)], body: &[u8]| shop.tus(&ann, "POST", "tus", headers, body).await.status;
    assert_eq!(post(&[], b"").await, 400);
    assert_eq!(
        post(&[("upload-length", "1"), ("upload-defer-length", "1")], b"").await,
        400
    );
    assert_eq!(post(&[("upload-length", "-1")], b"").await, 400);
    assert_eq!(
        post(&[("upload-length", "1"), ("upload-metadata", "a !")], b"").await,
        400
    );
    assert_eq!(post(&[("upload-length", "9999999999999999")], b"").await, 413);
    assert_eq!(
        post(&[("upload-length", "1"), ("content-type", "text/plain")], b"x").await,
        415
    );
    let upload = shop.begun(&ann, 10).await;
    let bare = [("upload-offset", "0")];
    shop.tus(&ann, "PATCH", &upload, &bare, b"x")
        .await
        .refused(415, "upload/unsupported-media-type");
    shop.tus(&ann, "PATCH", &upload, &[BYTES], b"x").await.is(400);
    shop.patch(&ann, &upload, 3, &[], b"x")
        .await
        .refused(409, "upload/offset-mismatch");
    shop.patch(&ann, &upload, 0, &[], b"more than ten")
        .await
        .refused(413, "file/too-large");
    shop.patch(&ann, &upload, 0, &[("upload-checksum", "sha9 AAAA")], b"x")
        .await
        .is(400);
    let wrong = format!("sha1 {}", STANDARD.encode_to_string([7; 20]));
    shop.patch(&ann, &upload, 0, &[("upload-checksum", &wrong)], b"x")
        .await
        .refused(460, "upload/checksum-mismatch");
    let head = shop.tus(&ann, "HEAD", &upload, &[], b"").await.is(200);
    assert_eq!(head.header("upload-offset"), "0");
    for (algorithm, name) in [
        (ChecksumAlgorithm::Sha1, "sha1"),
        (ChecksumAlgorithm::Sha256, "sha256"),
        (ChecksumAlgorithm::Crc32, "crc32"),
    ] {
        let upload = shop.begun(&ann, 1).await;
        let right = format!("{name} {}", STANDARD.encode_to_string(algorithm.of(b"x").as_bytes()));
        shop.patch(&ann, &upload, 0, &[("upload-checksum", &right)], b"x")
            .await
            .is(204);
    }
    let put = shop.tus(&ann, "PUT", &upload, &[], b"").await.is(405);
    assert_eq!(put.header("allow"), "DELETE, HEAD, OPTIONS, PATCH");
    for unknown in ["tus/0123", "tus/00000000000000000000000000000000"] {
        let told = shop.tus(&ann, "HEAD", unknown, &[], b"").await.is(404);
        assert_eq!(told.header("upload-offset"), "");
    }
}

#[tokio::test]
async fn options_tell_what_is_spoken_without_a_key() {
    let shop = Shop::new().await;
    let told = shop.ask(&vec![], "OPTIONS", "tus", &[], vec![]).await.is(204);
    assert_eq!(
        (told.header("tus-version"), told.header("tus-resumable")),
        ("1.0.0", "1.0.0")
    );
    assert_eq!(told.header("tus-checksum-algorithm"), "sha1,sha256,crc32,md5");
    assert_eq!(told.header("tus-max-size"), SIZE_MAX);
    for extension in [
        "creation-with-upload",
        "creation-defer-length",
        "expiration",
        "checksum-trailer",
        "termination",
        "concatenation-unfinished",
    ] {
        assert!(
            told.header("tus-extension").split(',').any(|told| told == extension),
            "{extension}"
        );
    }
    assert_eq!(
        told.header("upload-limit"),
        format!("max-size={SIZE_MAX}, max-age=86400")
    );
    shop.ask(&vec![], "POST", "tus", &[TUS, ("upload-length", "1")], vec![])
        .await
        .is(401);
}

#[tokio::test]
async fn a_creation_may_bring_bytes_or_none_at_all_or_leave_the_length_open() {
    let shop = Shop::new().await;
    let ann = shop.person("ann");
    let with = shop
        .tus(&ann, "POST", "tus", &[BYTES, ("upload-length", "10")], b"stone")
        .await
        .is(201);
    assert_eq!(with.header("upload-offset"), "5");
    shop.patch(&ann, &path(&with), 5, &[], b" wall").await.is(204);
    assert_eq!(shop.received(&ann, &with).await, b"stone wall");
    let empty = shop
        .tus(&ann, "POST", "tus", &[("upload-length", "0")], b"")
        .await
        .is(201);
    assert_eq!(shop.received(&ann, &empty).await, b"");
    let open = shop
        .tus(&ann, "POST", "tus", &[("upload-defer-length", "1")], b"")
        .await
        .is(201);
    let upload = path(&open);
    shop.patch(&ann, &upload, 0, &[], b"stone").await.is(204);
    let head = shop.tus(&ann, "HEAD", &upload, &[], b"").await.is(200);
    assert_eq!(
        (head.header("upload-defer-length"), head.header("upload-length")),
        ("1", "")
    );
    shop.patch(&ann, &upload, 5, &[("upload-length", "3")], b"")
        .await
        .is(400);
    shop.patch(&ann, &upload, 5, &[("upload-length", "6")], b"s")
        .await
        .is(204);
    assert_eq!(shop.received(&ann, &open).await, b"stones");
}

#[tokio::test]
async fn an_upload_that_is_given_up_is_gone_with_its_file() {
    let shop = Shop::new().await;
    let ann = shop.person("ann");
    let created = shop
        .tus(&ann, "POST", "tus", &[BYTES, ("upload-length", "10")], b"stone")
        .await
        .is(201);
    let upload = path(&created);
    // Also by a client that can send nothing but POST.
    shop.tus(&ann, "POST", &upload, &[("x-http-method-override", "DELETE")], b"")
        .await
        .is(204);
    shop.tus(&ann, "HEAD", &upload, &[], b"").await.is(404);
    shop.patch(&ann, &upload, 5, &[], b" wall").await.is(404);
    shop.get(&ann, &format!("files/{}", created.header("upload-file-id")))
        .await
        .is(404);
}

#[tokio::test]
async fn only_who_began_an_upload_and_admins_go_on_with_it() {
    let shop = Shop::new().await;
    let ann = shop.person("ann");
    let upload = shop.begun(&ann, 10).await;
    for (who, status) in [
        (shop.guest(), 401),
        (vec![], 401),
        (shop.person("bob"), 403),
        (ann.clone(), 204),
        (shop.person_as("eve", "admin"), 204),
        (shop.server(), 204),
    ] {
        let offset: usize = shop
            .tus(&ann, "HEAD", &upload, &[], b"")
            .await
            .header("upload-offset")
            .parse()
            .unwrap();
        shop.patch(&who, &upload, offset, &[], b"x").await.is(status);
        let head = shop.tus(&who, "HEAD", &upload, &[], b"").await;
        assert_eq!(head.status, if status == 204 { 200 } else { status });
        assert_eq!(head.header("upload-offset").is_empty(), status != 204);
    }
    shop.tus(&shop.person("bob"), "DELETE", &upload, &[], b"").await.is(403);
    shop.tus(&shop.guest(), "POST", "tus", &[("upload-length", "1")], b"")
        .await
        .is(401);
    let reading = shop.key(crate::projects::KeyKind::Secret, &["files:read"]).await;
    shop.tus(
        &vec![("x-api-key", reading)],
        "POST",
        "tus",
        &[("upload-length", "1")],
        b"",
    )
    .await
    .refused(403, "SCOPE_INSUFFICIENT");
    shop.tus(&shop.server(), "DELETE", &upload, &[], b"").await.is(204);
}

#[tokio::test]
async fn uploads_in_parallel_become_one_file() {
    let shop = Shop::new().await;
    let ann = shop.person("ann");
    let bytes = pattern(300_000);
    let mut addresses = Vec::new();
    for piece in bytes.chunks(140_000) {
        let length = piece.len().to_string();
        let headers = [("upload-concat", "partial"), ("upload-length", length.as_str())];
        let created = shop.tus(&ann, "POST", "tus", &headers, b"").await.is(201);
        assert_eq!(created.header("upload-file-id"), "");
        addresses.push(created.header("location").to_owned());
    }
    let below = |address: &str| address.strip_prefix("https://files.test/v1/").unwrap().to_owned();
    for (at, piece) in bytes.chunks(140_000).enumerate().take(2) {
        shop.patch(&ann, &below(&addresses[at]), 0, &[], piece).await.is(204);
        let head = shop.tus(&ann, "HEAD", &below(&addresses[at]), &[], b"").await.is(200);
        assert_eq!(head.header("upload-concat"), "partial");
    }
    let (whole, metadata) = (
        format!("final;{}", addresses.join(" ")),
        said(&[("filename", "whole.txt"), ("filetype", "text/plain")]),
    );
    let headers = [
        ("upload-concat", whole.as_str()),
        ("upload-metadata", metadata.as_str()),
    ];
    let of_bob = shop.tus(&shop.person("bob"), "POST", "tus", &headers, b"").await;
    assert_eq!(of_bob.status, 403);
    let created = shop.tus(&ann, "POST", "tus", &headers, b"").await.is(201);
    let upload = path(&created);
    let unfinished = shop.tus(&ann, "HEAD", &upload, &[], b"").await.is(200);
    assert_eq!(
        (unfinished.header("upload-offset"), unfinished.header("upload-concat")),
        ("", whole.as_str())
    );
    shop.patch(&ann, &upload, 0, &[], b"x")
        .await
        .refused(403, "upload/made-of-others");
    shop.patch(&ann, &below(&addresses[2]), 0, &[], &bytes[280_000..])
        .await
        .is(204);
    let done = shop.tus(&ann, "HEAD", &upload, &[], b"").await.is(200);
    assert_eq!(
        (done.header("upload-offset"), done.header("upload-length")),
        ("300000", "300000")
    );
    assert!(shop.received(&ann, &done).await == bytes);
    let wrong = [("upload-concat", "final;https://elsewhere.test/x")];
    shop.tus(&ann, "POST", "tus", &wrong, b"").await.is(400);
}

#[tokio::test]
async fn a_logical_bucket_that_is_not_there_is_refused_before_any_byte() {
    let shop = Shop::new().await;
    let ann = shop.person("ann");
    let metadata = said(&[("filename", "a.png"), ("filetype", "image/png"), ("bucket", "unknown")]);
    let headers = [("upload-length", "5"), ("upload-metadata", metadata.as_str())];
    shop.tus(&ann, "POST", "tus", &headers, b"").await.is(400);
}

impl Shop {
    async fn draft(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Told {
        let len = body.len().to_string();
        let mut all = vec![DRAFT, ("content-length", len.as_str())];
        all.extend(headers);
        self.ask(&self.person("ann"), method, path, &all, body.to_vec()).await
    }
}

const LAST: (&str, &str) = ("upload-complete", "?1");
const MORE: (&str, &str) = ("upload-complete", "?0");
const TEXT: (&str, &str) = ("content-type", "text/plain");

#[tokio::test]
async fn a_file_comes_by_the_drafts_requests() {
    let shop = Shop::new().await;
    let ann = shop.person("ann");
    let named = ("content-disposition", "attachment; filename=\"wall.txt\"");
    let whole = shop
        .draft("POST", "tus", &[LAST, TEXT, named], b"stone wall")
        .await
        .is(201);
    assert_eq!(
        (whole.header("upload-complete"), whole.header("upload-offset")),
        ("?1", "10")
    );
    assert_eq!(whole.header("tus-resumable"), "");
    assert_eq!(shop.received(&ann, &whole).await, b"stone wall");
    let part = shop.draft("POST", "tus", &[MORE, TEXT], b"stone").await.is(201);
    assert_eq!(
        (part.header("upload-complete"), part.header("upload-offset")),
        ("?0", "5")
    );
    assert!(part.header("upload-limit").contains("max-age="));
    let upload = path(&part);
    let at = ("upload-offset", "5");
    let more = shop
        .draft("PATCH", &upload, &[PARTIAL, MORE, at], b" wall")
        .await
        .is(204);
    assert_eq!(
        (more.header("upload-complete"), more.header("upload-offset")),
        ("?0", "10")
    );
    let head = shop.draft("HEAD", &upload, &[], b"").await.is(204);
    assert_eq!(
        (head.header("upload-complete"), head.header("upload-offset")),
        ("?0", "10")
    );
    assert_eq!(head.header("cache-control"), "no-store");
    let last = shop
        .draft("PATCH", &upload, &[PARTIAL, LAST, ("upload-offset", "10")], b"")
        .await
        .is(204);
    assert_eq!(last.header("upload-complete"), "?1");
    assert_eq!(shop.received(&ann, &last).await, b"stone wall");
}

#[tokio::test]
async fn an_upload_that_one_protocol_began_the_other_goes_on_with_and_ends() {
    let shop = Shop::new().await;
    let ann = shop.person("ann");
    let upload = shop.begun(&ann, 10).await;
    shop.patch(&ann, &upload, 0, &[], b"sto").await.is(204);
    let head = shop.draft("HEAD", &upload, &[], b"").await.is(204);
    assert_eq!(
        (head.header("upload-offset"), head.header("upload-length")),
        ("3", "10")
    );
    assert_eq!(head.header("upload-complete"), "?0");
    let at = ("upload-offset", "3");
    let more = shop.draft("PATCH", &upload, &[PARTIAL, MORE, at], b"ne w").await;
    assert_eq!(more.is(204).header("upload-offset"), "7");
    // It has the length that the first one said: the last bytes are the last ones.
    let at = ("upload-offset", "7");
    let short = shop.draft("PATCH", &upload, &[PARTIAL, LAST, at], b"al").await.is(400);
    assert!(
        short.text("/type").ends_with("#inconsistent-upload-length"),
        "{short:?}"
    );
    let last = shop.draft("PATCH", &upload, &[PARTIAL, LAST, at], b"all").await.is(204);
    assert_eq!(
        (last.header("upload-complete"), last.header("upload-offset")),
        ("?1", "10")
    );
    assert_eq!(shop.received(&ann, &last).await, b"stone wall");
    let head = shop.tus(&ann, "HEAD", &upload, &[], b"").await.is(200);
    assert_eq!(head.header("upload-offset"), "10");
    // The other way round, where nobody said how long it is to be before.
    let begun = shop.draft("POST", "tus", &[MORE, TEXT], b"stone").await.is(201);
    let upload = path(&begun);
    let head = shop.tus(&ann, "HEAD", &upload, &[], b"").await.is(200);
    assert_eq!(
        (head.header("upload-offset"), head.header("upload-defer-length")),
        ("5", "1")
    );
    shop.patch(&ann, &upload, 5, &[("upload-length", "10")], b" wall")
        .await
        .is(204);
    let head = shop.draft("HEAD", &upload, &[], b"").await.is(204);
    assert_eq!(head.header("upload-complete"), "?1");
    assert_eq!(shop.received(&ann, &head).await, b"stone wall");
}

#[tokio::test]
async fn what_the_draft_has_of_refusals_is_told_as_problems() {
    let shop = Shop::new().await;
    let upload = path(&shop.draft("POST", "tus", &[MORE, TEXT], b"stone").await.is(201));
    let at = ("upload-offset", "5");
    let wrong = shop
        .draft("PATCH", &upload, &[PARTIAL, LAST, ("upload-offset", "3")], b"x")
        .await
        .is(409);
    assert_eq!(
        (wrong.header("content-type"), wrong.header("upload-offset")),
        ("application/problem+json", "5")
    );
    assert_eq!(wrong.field("/expected-offset"), json!(5));
    assert!(wrong.text("/type").ends_with("#mismatching-upload-offset"));
    shop.draft("PATCH", &upload, &[LAST, at], b"x").await.is(415);
    shop.draft("PATCH", &upload, &[PARTIAL, at], b"x").await.is(400);
    let digest = format!("sha-256=:{}:", STANDARD.encode_to_string([7; 32]));
    let spoiled = [PARTIAL, MORE, at, ("content-digest", digest.as_str())];
    shop.draft("PATCH", &upload, &spoiled, b"x")
        .await
        .refused(400, "file/digest-mismatch");
    shop.draft("HEAD", &upload, &[at], b"").await.is(400);
    shop.draft("PATCH", &upload, &[PARTIAL, LAST, at], b"s").await.is(204);
    let late = shop
        .draft("PATCH", &upload, &[PARTIAL, LAST, ("upload-offset", "6")], b"x")
        .await
        .is(400);
    assert!(late.text("/type").ends_with("#completed-upload"));
    let told = [MORE, ("upload-length", "8")];
    let upload = path(&shop.draft("POST", "tus", &told, b"abc").await.is(201));
    let longer = [PARTIAL, LAST, ("upload-offset", "3")];
    let longer = shop.draft("PATCH", &upload, &longer, b"123456").await.is(400);
    assert!(longer.text("/type").ends_with("#inconsistent-upload-length"));
    shop.draft("DELETE", &upload, &[], b"").await.is(204);
    shop.draft("HEAD", &upload, &[], b"").await.is(404);
}

#[tokio::test]
async fn the_digest_of_the_whole_is_held_against_all_that_came() {
    let shop = Shop::new().await;
    let ann = shop.person("ann");
    for (told, status) in [(&b"stone wall"[..], 204), (b"other", 400)] {
        let digest = ChecksumAlgorithm::Sha256.of(told);
        let digest = format!("sha-256=:{}:", STANDARD.encode_to_string(digest.as_bytes()));
        let headers = [DRAFT, ("upload-complete", "?0"), ("repr-digest", digest.as_str())];
        let begun = shop.ask(&ann, "POST", "tus", &headers, b"stone".to_vec()).await.is(201);
        let headers = [DRAFT, PARTIAL, ("upload-complete", "?1"), ("upload-offset", "5")];
        shop.ask(&ann, "PATCH", &path(&begun), &headers, b" wall".to_vec())
            .await
            .is(status);
        let file = shop
            .get(&ann, &format!("files/{}/content", begun.header("upload-file-id")))
            .await;
        assert_eq!(file.status == 200, status == 204);
    }
}

#[derive(Clone, Debug)]
enum Sent {
    Piece(usize),
    Broken(usize),
    Wrong(usize),
    Spoiled(usize),
    Asked,
}

fn sent() -> impl Strategy<Value = Vec<Sent>> {
    let size = || prop_oneof![0..40_usize, 1_000..150_000_usize];
    let one = prop_oneof![
        4 => size().prop_map(Sent::Piece),
        2 => size().prop_map(Sent::Broken),
        1 => (1..500_usize).prop_map(Sent::Wrong),
        1 => size().prop_map(Sent::Spoiled),
        1 => Just(Sent::Asked),
    ];
    prop::collection::vec(one, 0..20)
}

async fn played(all: Vec<Sent>, len: usize) {
    let shop = Shop::new().await;
    let ann = shop.person("ann");
    let bytes = pattern(len);
    let upload = shop.begun(&ann, len).await;
    let (mut stored, mut all) = (0, all.into_iter());
    while stored < len {
        let piece = |size: usize| &bytes[stored..len.min(stored + size)];
        match all.next().unwrap_or(Sent::Piece(len)) {
            Sent::Piece(size) => {
                shop.patch(&ann, &upload, stored, &[], piece(size)).await.is(204);
                stored += piece(size).len();
            }
            Sent::Broken(size) => {
                shop.broken(&ann, &upload, stored, piece(size)).await;
                stored += piece(size).len();
            }
            Sent::Wrong(by) => drop(shop.patch(&ann, &upload, stored + by, &[], piece(9)).await.is(409)),
            Sent::Spoiled(size) => {
                let wrong = format!("md5 {}", STANDARD.encode_to_string([7; 16]));
                let told = shop
                    .patch(&ann, &upload, stored, &[("upload-checksum", &wrong)], piece(size))
                    .await;
                told.is(460);
            }
            Sent::Asked => {
                let head = shop.tus(&ann, "HEAD", &upload, &[], b"").await.is(200);
                assert_eq!(head.header("upload-offset"), stored.to_string());
            }
        }
    }
    let head = shop.tus(&ann, "HEAD", &upload, &[], b"").await.is(200);
    assert!(shop.received(&ann, &head).await == bytes);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn any_split_with_losses_and_retries_gives_exactly_the_file(all in sent(), len in 1..600_000_usize) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(played(all, len));
    }
}
