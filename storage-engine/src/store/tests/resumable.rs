//! Resumable uploads.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use md5::{Digest, Md5};
use proptest::prelude::*;
use tokio::sync::oneshot;

use super::{Fixture, MIB, bucket, fixture, key, pattern};
use crate::backend::{BodySource, SourceError};
use crate::store::Store;
use crate::store::checksum::ChecksumAlgorithm;
use crate::store::etag::ETag;
use crate::store::list::ListError;
use crate::store::multipart::abort::AbortUploadError;
use crate::store::multipart::list::ListUploads;
use crate::store::multipart::part::UploadPartError;
use crate::store::name::{BucketName, UploadId};
use crate::store::record::object::Metadata;
use crate::store::record::resumable::{Purpose, Resumable, Target};
use crate::store::resumable::ResumableError;
use crate::store::resumable::append::{Append, AppendError, Appended, BodyDigest, DigestRequest};
use crate::store::resumable::begin::{BeginResumable, BeginResumableError};
use crate::store::resumable::finish::FinishError;

const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

pub(super) fn target(name: &str) -> Target {
    Target {
        key: name.to_owned(),
        metadata: Metadata {
            content_type: Some("text/x".into()),
            ..Metadata::default()
        },
        labels: Default::default(),
        file: Some([9; 16]),
    }
}

fn becomes(name: &str) -> Purpose {
    Purpose::Object(target(name))
}

const PIECE: Purpose = Purpose::Partial { of: None };

fn whole(bytes: &Bytes) -> BodySource<'static> {
    let chunks: Vec<Bytes> = bytes.chunks(50_000).map(Bytes::copy_from_slice).collect();
    Box::pin(futures::stream::iter(chunks.into_iter().map(Ok)))
}

fn breaking_off(bytes: &Bytes) -> BodySource<'static> {
    let lost = futures::stream::iter([Err(SourceError::from("connection lost"))]);
    Box::pin(whole(bytes).chain(lost))
}

/// A body that hangs after these bytes, and says when all of them were taken.
fn hanging(bytes: &Bytes) -> (BodySource<'static>, oneshot::Receiver<()>) {
    let (taken, told) = oneshot::channel();
    let hang = futures::stream::once(async move {
        let _ = taken.send(());
        std::future::pending().await
    });
    (Box::pin(whole(bytes).chain(hang)), told)
}

impl Fixture {
    fn begin_of(&self, purpose: Purpose, length: Option<u64>) -> BeginResumable {
        BeginResumable {
            bucket: self.bucket.clone(),
            purpose,
            owner: Some("ann".into()),
            length,
            size_max: None,
            life_ms: DAY_MS,
            said: "filename YQ==".into(),
        }
    }

    pub(super) async fn resume(&self, purpose: Purpose, length: Option<u64>) -> UploadId {
        self.store
            .begin_resumable(self.begin_of(purpose, length))
            .await
            .unwrap()
            .0
    }

    fn append_of(&self, upload: UploadId, offset: u64, body: BodySource<'static>) -> Append {
        Append {
            bucket: self.bucket.clone(),
            upload,
            offset,
            body,
            len: None,
            digest: DigestRequest::None,
            last: false,
        }
    }

    pub(super) async fn append(&self, upload: UploadId, offset: u64, bytes: &Bytes) -> Result<Appended, AppendError> {
        self.store.append(self.append_of(upload, offset, whole(bytes))).await
    }

    pub(super) async fn at_rest(&self, upload: UploadId) -> Resumable {
        self.store.resumable_at_rest(&self.bucket, &upload).await.unwrap()
    }
}

#[tokio::test]
async fn an_upload_in_pieces_becomes_the_object_it_was_begun_for() {
    let fixture = fixture().await;
    for (name, sizes) in [
        ("tiny", vec![1, 2, 3]),
        ("small", vec![100_000, 28_672]),
        ("one part", vec![300_000]),
        ("mixed", vec![10, 300_000, 5, 7, 2 * MIB, 1, 200_000]),
        ("small and large", vec![100_000, 100_000]),
    ] {
        let bytes = pattern(sizes.iter().sum());
        let upload = fixture.resume(becomes(name), Some(bytes.len() as u64)).await;
        let (mut rest, mut offset) = (bytes.clone(), 0);
        for size in &sizes {
            fixture.assert_absent(name).await;
            let appended = fixture.append(upload, offset, &rest.split_to(*size)).await.unwrap();
            offset += *size as u64;
            assert_eq!((appended.upload.offset, appended.broken_off), (offset, false));
        }
        assert!(fixture.get(name).await == bytes, "{name}");
        let head = fixture.store.head_object(&fixture.get_of(name)).await.unwrap();
        assert_eq!(head.object.metadata.content_type.as_deref(), Some("text/x"));
        if sizes.len() == 1 || bytes.len() <= 128 * 1024 {
            assert_eq!(head.object.etag, ETag::Md5(Md5::digest(&bytes).into()), "{name}");
        }
        // Whoever missed the answer finds out, and finishing again changes nothing.
        let again = fixture.store.finish_resumable(&fixture.bucket, &upload).await.unwrap();
        assert_eq!(again.done.map(|done| done.etag), Some(head.object.etag));
        let late = fixture.append(upload, offset, &Bytes::from_static(b"x")).await;
        assert!(matches!(late, Err(AppendError::Complete)), "{late:?}");
    }
    assert_eq!(fixture.memory.bodies(), 5);
}

#[tokio::test]
async fn an_upload_of_no_bytes_becomes_an_empty_object() {
    let fixture = fixture().await;
    let upload = fixture.resume(becomes("empty"), Some(0)).await;
    fixture.assert_absent("empty").await;
    fixture.store.finish_resumable(&fixture.bucket, &upload).await.unwrap();
    assert_eq!(fixture.get("empty").await, "");
    let open = fixture.resume(becomes("open"), None).await;
    let refused = fixture.store.finish_resumable(&fixture.bucket, &open).await;
    assert!(matches!(refused, Err(FinishError::NotComplete)), "{refused:?}");
}

#[tokio::test]
async fn a_million_small_pieces_are_not_kept_as_such() {
    let fixture = fixture().await;
    let bytes = pattern(30_000);
    let upload = fixture.resume(becomes("k"), Some(bytes.len() as u64)).await;
    let before = fixture.memory.rows();
    for (at, piece) in bytes.chunks(15).enumerate() {
        fixture
            .append(upload, at as u64 * 15, &Bytes::copy_from_slice(piece))
            .await
            .unwrap();
        assert!(fixture.memory.rows() <= before + 64, "{} rows", fixture.memory.rows());
    }
    assert!(fixture.get("k").await == bytes);
}

#[derive(Clone, Debug)]
enum Try {
    /// So many bytes from the right offset.
    Piece(usize),
    /// The same, but the client is lost after them.
    Lost(usize),
    /// From an offset that is wrong by so much.
    Wrong(u64),
    /// With a digest that is not that of the bytes.
    Spoiled(usize),
    /// With the right digest.
    Proved(usize),
}

fn tries() -> impl Strategy<Value = Vec<Try>> {
    let size = || prop_oneof![0..50_usize, 100_000..400_000_usize];
    prop::collection::vec(
        prop_oneof![
            4 => size().prop_map(Try::Piece),
            2 => size().prop_map(Try::Lost),
            1 => (1..1_000_000_u64).prop_map(Try::Wrong),
            1 => size().prop_map(Try::Spoiled),
            2 => size().prop_map(Try::Proved),
        ],
        0..40,
    )
}

async fn played(tries: Vec<Try>, len: usize) {
    let fixture = fixture().await;
    let bytes = pattern(len);
    let upload = fixture.resume(becomes("k"), Some(len as u64)).await;
    let mut stored = 0;
    let mut tries = VecDeque::from(tries);
    while stored < len {
        let next = tries.pop_front().unwrap_or(Try::Piece(len - stored));
        let piece = |size: usize| bytes.slice(stored..len.min(stored + size));
        let at = stored as u64;
        match next {
            Try::Piece(size) => {
                fixture.append(upload, at, &piece(size)).await.unwrap();
                stored += piece(size).len();
            }
            Try::Lost(size) => {
                let lost = fixture.append_of(upload, at, breaking_off(&piece(size)));
                assert!(fixture.store.append(lost).await.unwrap().broken_off);
                stored += piece(size).len();
            }
            Try::Wrong(by) => {
                let wrong = fixture.append(upload, at + by, &piece(100)).await;
                assert!(
                    matches!(wrong, Err(AppendError::Offset { stored, .. }) if stored == at),
                    "{wrong:?}"
                );
            }
            Try::Spoiled(size) => {
                let mut append = fixture.append_of(upload, at, whole(&piece(size)));
                append.digest = DigestRequest::Is(BodyDigest::Md5([7; 16]));
                assert!(matches!(fixture.store.append(append).await, Err(AppendError::Digest)));
            }
            Try::Proved(size) => {
                let mut append = fixture.append_of(upload, at, whole(&piece(size)));
                let digest = ChecksumAlgorithm::Sha1.of(&piece(size));
                append.digest = DigestRequest::Is(BodyDigest::Checksum(digest));
                fixture.store.append(append).await.unwrap();
                stored += piece(size).len();
            }
        }
        assert_eq!(fixture.at_rest(upload).await.offset, stored as u64);
    }
    assert!(fixture.get("k").await == bytes);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn any_split_with_losses_and_retries_gives_exactly_the_body(tries in tries(), len in 1..3_000_000_usize) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(played(tries, len));
    }
}

#[tokio::test]
async fn of_a_body_with_a_digest_all_bytes_are_stored_or_none() {
    let fixture = fixture().await;
    for bytes in [pattern(1_000), pattern(300_000)] {
        let upload = fixture
            .resume(becomes(&format!("{}", bytes.len())), Some(bytes.len() as u64))
            .await;
        let sha256 = BodyDigest::Checksum(ChecksumAlgorithm::Sha256.of(&bytes));
        let with = |body, digest| Append {
            digest,
            ..fixture.append_of(upload, 0, body)
        };
        let refused = [
            (
                whole(&bytes),
                DigestRequest::Is(BodyDigest::Checksum(ChecksumAlgorithm::Crc32.of(b"other"))),
            ),
            (whole(&bytes), DigestRequest::Is(BodyDigest::Md5([0; 16]))),
            (whole(&bytes), DigestRequest::Judged(Box::new(|| false))),
        ];
        for (body, digest) in refused {
            let answer = fixture.store.append(with(body, digest)).await;
            assert!(matches!(answer, Err(AppendError::Digest)), "{answer:?}");
            assert_eq!(fixture.at_rest(upload).await.offset, 0);
        }
        let lost = fixture
            .store
            .append(with(breaking_off(&bytes), DigestRequest::Is(sha256)))
            .await;
        assert!(matches!(lost, Err(AppendError::BrokenOff)), "{lost:?}");
        assert_eq!(fixture.at_rest(upload).await.offset, 0);
        let (first, second) = (bytes.slice(..500), bytes.slice(500..));
        let judged = DigestRequest::Judged(Box::new(|| true));
        fixture.store.append(with(whole(&first), judged)).await.unwrap();
        let digest = DigestRequest::Is(BodyDigest::Checksum(ChecksumAlgorithm::Sha256.of(&second)));
        let rest = Append {
            digest,
            ..fixture.append_of(upload, 500, whole(&second))
        };
        let appended = fixture.store.append(rest).await.unwrap();
        assert!(appended.upload.done.is_some());
    }
}

#[tokio::test]
async fn a_newer_request_ends_one_that_hangs_and_finds_what_arrived_of_it() {
    let fixture = fixture().await;
    let bytes = pattern(400_000);
    let upload = fixture.resume(becomes("k"), Some(bytes.len() as u64)).await;
    for (from, to) in [(0, 40), (40, 300_000)] {
        let (body, taken) = hanging(&bytes.slice(from..to));
        let older = fixture.append_of(upload, from as u64, body);
        let older = tokio::spawn({
            let store = fixture.store.clone();
            async move { store.append(older).await }
        });
        taken.await.unwrap();
        let found = fixture.at_rest(upload).await;
        assert_eq!(found.offset, to as u64);
        let older = older.await.unwrap();
        assert!(
            matches!(older, Err(AppendError::Upload(ResumableError::Superseded))),
            "{older:?}"
        );
    }
    fixture.append(upload, 300_000, &bytes.slice(300_000..)).await.unwrap();
    assert!(fixture.get("k").await == bytes);
}

#[tokio::test]
async fn more_bytes_than_an_upload_may_have_are_refused() {
    let fixture = fixture().await;
    let limited = BeginResumable {
        size_max: Some(1_000),
        ..fixture.begin_of(becomes("k"), None)
    };
    let too_long = BeginResumable {
        length: Some(1_001),
        ..limited.clone()
    };
    let refused = fixture.store.begin_resumable(too_long).await;
    assert!(
        matches!(refused, Err(BeginResumableError::TooLarge { max: 1_000 })),
        "{refused:?}"
    );
    let (upload, _) = fixture.store.begin_resumable(limited).await.unwrap();
    let mut declared = fixture.append_of(upload, 0, hanging(&Bytes::new()).0);
    declared.len = Some(1_001);
    for append in [declared, fixture.append_of(upload, 0, whole(&pattern(1_001)))] {
        let refused = fixture.store.append(append).await;
        assert!(
            matches!(refused, Err(AppendError::TooLarge { max: 1_000 })),
            "{refused:?}"
        );
        assert_eq!(fixture.at_rest(upload).await.offset, 0);
    }
    let set = async |length| {
        fixture
            .store
            .set_resumable_length(&fixture.bucket, &upload, length)
            .await
    };
    assert!(matches!(set(1_001).await, Err(ResumableError::TooLarge { max: 1_000 })));
    fixture.append(upload, 0, &pattern(600)).await.unwrap();
    assert!(matches!(
        set(599).await,
        Err(ResumableError::Shorter {
            offset: 600,
            given: 599
        })
    ));
    set(700).await.unwrap();
    assert!(matches!(
        set(701).await,
        Err(ResumableError::OtherLength { known: 700, given: 701 })
    ));
    fixture.append(upload, 600, &pattern(700).slice(600..)).await.unwrap();
    assert!(fixture.get("k").await == pattern(700));
}

#[tokio::test]
async fn the_last_body_of_an_upload_of_unknown_length_ends_it() {
    let fixture = fixture().await;
    let bytes = pattern(1_000);
    let last = |upload, offset, body| Append {
        last: true,
        ..fixture.append_of(upload, offset, body)
    };
    let upload = fixture.resume(becomes("k"), None).await;
    let lost = fixture
        .store
        .append(last(upload, 0, breaking_off(&bytes.slice(..400))))
        .await
        .unwrap();
    assert!(lost.broken_off && lost.upload.length.is_none());
    let done = fixture
        .store
        .append(last(upload, 400, whole(&bytes.slice(400..))))
        .await
        .unwrap();
    assert!(done.upload.done.is_some() && fixture.get("k").await == bytes);
    let upload = fixture.resume(becomes("short"), Some(1_001)).await;
    let short = fixture.store.append(last(upload, 0, whole(&bytes))).await;
    assert!(
        matches!(
            short,
            Err(AppendError::Short {
                stored: 1_000,
                length: 1_001
            })
        ),
        "{short:?}"
    );
}

#[tokio::test]
async fn s3_neither_sees_nor_touches_a_resumable_upload() {
    let fixture = fixture().await;
    let upload = fixture.resume(becomes("k"), Some(10)).await;
    fixture.append(upload, 0, &pattern(5)).await.unwrap();
    let list = ListUploads {
        bucket: fixture.bucket.clone(),
        prefix: String::new(),
        delimiter: String::new(),
        key_marker: None,
        upload_marker: None,
        limit: 100,
    };
    let listed: Result<_, ListError> = fixture.store.list_uploads(&list).await;
    assert!(listed.unwrap().items.is_empty());
    let place = fixture.place("k", upload, 1);
    let body = crate::store::body::NewBody::from_bytes("x");
    let part = fixture.store.upload_part(&place, body).await;
    assert!(matches!(part, Err(UploadPartError::NoSuchUpload)), "{part:?}");
    let aborted = fixture.store.abort_upload(&fixture.bucket, &key("k"), &upload).await;
    assert!(matches!(aborted, Err(AbortUploadError::NoSuchUpload)), "{aborted:?}");
    fixture.store.sweep_ended_uploads().await.unwrap();
    assert_eq!(fixture.at_rest(upload).await.offset, 5);
}

#[tokio::test]
async fn an_object_that_came_meanwhile_is_not_written_over() {
    let fixture = fixture().await;
    let upload = fixture.resume(becomes("k"), Some(4)).await;
    fixture.put("k", "other").await;
    let refused = fixture.append(upload, 0, &Bytes::from_static(b"mine")).await;
    assert!(
        matches!(refused, Err(AppendError::Finish(FinishError::Refused(_)))),
        "{refused:?}"
    );
    assert_eq!(fixture.get("k").await, "other");
    assert_eq!(fixture.at_rest(upload).await.offset, 4);
}

#[tokio::test]
async fn an_ended_upload_is_gone_and_leaves_nothing() {
    let fixture = fixture().await;
    let (rows, bodies) = (fixture.memory.rows(), fixture.memory.bodies());
    let upload = fixture.resume(becomes("k"), Some(500_000)).await;
    fixture.append(upload, 0, &pattern(300_000)).await.unwrap();
    fixture.append(upload, 300_000, &pattern(7)).await.unwrap();
    let ended = fixture
        .store
        .terminate_resumable(&fixture.bucket, &upload)
        .await
        .unwrap();
    assert_eq!(ended.target().map(|target| target.key.as_str()), Some("k"));
    let late = fixture.append(upload, 300_007, &pattern(7)).await;
    assert!(
        matches!(late, Err(AppendError::Upload(ResumableError::NoSuchUpload))),
        "{late:?}"
    );
    assert_eq!(fixture.memory.bodies(), bodies);
    settled(async || fixture.memory.rows() == rows).await;
}

/// Waits for what runs in the background.
async fn settled(done: impl AsyncFn() -> bool) {
    for _ in 0..6_000 {
        if done().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("not settled after a minute");
}

#[tokio::test]
async fn an_upload_expires_when_nobody_writes_to_it_and_is_swept() {
    let fixture = fixture().await;
    let (rows, bodies) = (fixture.memory.rows(), fixture.memory.bodies());
    // The clock of these tests goes on by a second whenever it is read.
    let begin = BeginResumable {
        life_ms: 20_000,
        ..fixture.begin_of(becomes("k"), Some(100))
    };
    let (upload, _) = fixture.store.begin_resumable(begin).await.unwrap();
    for at in 0..10 {
        fixture.append(upload, at * 5, &pattern(5)).await.unwrap();
    }
    assert_eq!(fixture.store.sweep_expired_resumables().await.unwrap(), 0);
    while fixture.store.now().millis() % 60_000 != 0 {}
    let expired = fixture.store.resumable(&fixture.bucket, &upload).await;
    assert!(matches!(expired, Err(ResumableError::Expired)), "{expired:?}");
    let late = fixture.append(upload, 50, &pattern(5)).await;
    assert!(
        matches!(late, Err(AppendError::Upload(ResumableError::Expired))),
        "{late:?}"
    );
    assert_eq!(fixture.store.sweep_expired_resumables().await.unwrap(), 1);
    let gone = fixture.store.resumable(&fixture.bucket, &upload).await;
    assert!(matches!(gone, Err(ResumableError::NoSuchUpload)), "{gone:?}");
    assert_eq!(fixture.memory.bodies(), bodies);
    settled(async || fixture.memory.rows() == rows).await;
}

#[tokio::test]
async fn a_deleted_bucket_takes_its_uploads_along() {
    let fixture = fixture().await;
    let upload = fixture.resume(becomes("k"), Some(500_000)).await;
    fixture.append(upload, 0, &pattern(300_000)).await.unwrap();
    let piece = fixture.resume(PIECE, None).await;
    fixture.store.delete_bucket(&fixture.bucket).await.unwrap();
    for id in [upload, piece] {
        let gone = fixture.store.resumable(&fixture.bucket, &id).await;
        assert!(matches!(gone, Err(ResumableError::NoSuchUpload)), "{gone:?}");
    }
    assert_eq!(fixture.memory.bodies(), 0);
    let nowhere = BeginResumable {
        bucket: bucket("nowhere"),
        ..fixture.begin_of(becomes("k"), None)
    };
    let refused = fixture.store.begin_resumable(nowhere).await;
    assert!(matches!(refused, Err(BeginResumableError::NoSuchBucket)), "{refused:?}");
}

fn made_of(name: &str, partials: &[UploadId]) -> Purpose {
    Purpose::Final {
        target: target(name),
        partials: partials.to_vec(),
    }
}

#[tokio::test]
async fn uploads_become_one_object_in_the_order_they_are_named() {
    let fixture = fixture().await;
    for (name, sizes) in [("small", [10, 0, 20]), ("mixed", [300_000, 10, 2 * MIB])] {
        let bytes = pattern(sizes.iter().sum());
        let (mut rest, mut pieces) = (bytes.clone(), Vec::new());
        for size in sizes {
            let piece = fixture.resume(PIECE, Some(size as u64)).await;
            pieces.push((piece, rest.split_to(size)));
        }
        for (piece, bytes) in pieces.iter().rev().filter(|(_, bytes)| !bytes.is_empty()) {
            fixture.append(*piece, 0, bytes).await.unwrap();
        }
        let ids: Vec<UploadId> = pieces.iter().map(|(id, _)| *id).collect();
        let upload = fixture.resume(made_of(name, &ids), None).await;
        let refused = fixture.append(upload, 0, &Bytes::from_static(b"x")).await;
        assert!(matches!(refused, Err(AppendError::MadeOfOthers)), "{refused:?}");
        let done = fixture.store.finish_resumable(&fixture.bucket, &upload).await.unwrap();
        assert_eq!(done.offset, bytes.len() as u64);
        assert!(fixture.get(name).await == bytes, "{name}");
        for id in ids {
            let gone = fixture.store.resumable(&fixture.bucket, &id).await;
            assert!(matches!(gone, Err(ResumableError::NoSuchUpload)), "{gone:?}");
        }
    }
    assert_eq!(fixture.memory.bodies(), 2);
}

#[tokio::test]
async fn an_object_is_made_of_uploads_that_are_not_complete_yet_once_they_are() {
    let fixture = fixture().await;
    let bytes = pattern(400_000);
    let pieces = [
        fixture.resume(PIECE, Some(150_000)).await,
        fixture.resume(PIECE, Some(250_000)).await,
    ];
    fixture.append(pieces[0], 0, &bytes.slice(..150_000)).await.unwrap();
    let upload = fixture.resume(made_of("k", &pieces), None).await;
    let early = fixture.store.finish_resumable(&fixture.bucket, &upload).await;
    assert!(matches!(early, Err(FinishError::NotComplete)), "{early:?}");
    fixture
        .append(pieces[1], 0, &bytes.slice(150_000..200_000))
        .await
        .unwrap();
    let taken = fixture.store.terminate_resumable(&fixture.bucket, &pieces[1]).await;
    assert!(matches!(taken, Err(ResumableError::Taken)), "{taken:?}");
    fixture
        .append(pieces[1], 50_000, &bytes.slice(200_000..))
        .await
        .unwrap();
    settled(async || {
        fixture
            .store
            .resumable(&fixture.bucket, &upload)
            .await
            .unwrap()
            .done
            .is_some()
    })
    .await;
    assert!(fixture.get("k").await == bytes);
}

#[tokio::test]
async fn no_object_is_made_of_what_is_no_piece_or_somebody_elses() {
    let fixture = fixture().await;
    let piece = fixture.resume(PIECE, Some(1)).await;
    let object = fixture.resume(becomes("k"), Some(1)).await;
    let begin = async |partials: &[UploadId]| {
        fixture
            .store
            .begin_resumable(fixture.begin_of(made_of("f", partials), None))
            .await
    };
    assert!(matches!(begin(&[]).await, Err(BeginResumableError::HowMany)));
    assert!(matches!(begin(&[piece; 129]).await, Err(BeginResumableError::HowMany)));
    assert!(matches!(begin(&[piece, piece]).await, Err(BeginResumableError::Twice(id)) if id == piece));
    assert!(matches!(begin(&[piece, object]).await, Err(BeginResumableError::NoPiece(id)) if id == object));
    let unknown = UploadId::from_bytes([3; 16]);
    assert!(matches!(begin(&[unknown]).await, Err(BeginResumableError::NoPiece(id)) if id == unknown));
    let (first, _) = begin(&[piece]).await.unwrap();
    assert!(matches!(begin(&[piece]).await, Err(BeginResumableError::NoPiece(id)) if id == piece));
    // What it was made of ends with it.
    fixture
        .store
        .terminate_resumable(&fixture.bucket, &first)
        .await
        .unwrap();
    let gone = fixture.store.resumable(&fixture.bucket, &piece).await;
    assert!(matches!(gone, Err(ResumableError::NoSuchUpload)), "{gone:?}");
}

/// Sends what is missing of an upload, a piece at a time, for as long as anything comes of it.
async fn write_on(store: &Store, bucket: &BucketName, upload: UploadId, bytes: &Bytes) {
    for _ in 0..200 {
        let Ok(found) = store.resumable(bucket, &upload).await else {
            return;
        };
        let from = found.offset as usize;
        let append = Append {
            bucket: bucket.clone(),
            upload,
            offset: found.offset,
            body: whole(&bytes.slice(from..bytes.len().min(from + 30_000))),
            len: None,
            digest: DigestRequest::None,
            last: false,
        };
        let appended = store.append(append).await;
        if appended.is_ok_and(|appended| appended.upload.done.is_some()) {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_that_race_each_other_an_end_and_a_finish_never_mix_bytes() {
    let fixture = fixture().await;
    for round in 0..24_u8 {
        let name = format!("k{round}");
        let bytes = pattern(200_000);
        let upload = fixture.resume(becomes(&name), Some(bytes.len() as u64)).await;
        let writers: Vec<_> = (0..4)
            .map(|_| {
                let (store, bytes) = (fixture.store.clone(), bytes.clone());
                let bucket = fixture.bucket.clone();
                tokio::spawn(async move { write_on(&store, &bucket, upload, &bytes).await })
            })
            .collect();
        if round % 3 == 0 {
            let _ = fixture.store.terminate_resumable(&fixture.bucket, &upload).await;
        }
        for writer in writers {
            writer.await.unwrap();
        }
        // They may have ended each other's turns until all of them gave up; one alone gets through.
        write_on(&fixture.store, &fixture.bucket, upload, &bytes).await;
        match fixture.store.resumable(&fixture.bucket, &upload).await {
            Ok(found) => {
                assert!(found.done.is_some(), "{found:?}");
                assert!(fixture.get(&name).await == bytes);
            }
            Err(ResumableError::NoSuchUpload) => fixture.assert_absent(&name).await,
            Err(error) => panic!("{error:?}"),
        }
    }
}
