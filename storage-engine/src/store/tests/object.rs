//! Objects: bodies, hashes, conditions, ranges.

use bytes::Bytes;
use md5::{Digest, Md5};

use super::{chunked, fixture, key, pattern};
use crate::backend::SourceError;
use crate::store::body::{ChecksumRequest, NewBody};
use crate::store::checksum::{ChecksumAlgorithm, ChecksumType, ObjectChecksum};
use crate::store::clock::Timestamp;
use crate::store::condition::{ConditionHeader, ETagMatch, WriteCondition, WriteRefused};
use crate::store::error::BodyError;
use crate::store::etag::ETag;
use crate::store::name::{PartNumber, VersionId};
use crate::store::object::delete::{DeleteObject, DeleteObjectError};
use crate::store::object::get::{GetObjectError, Selection};
use crate::store::object::put::{PutObject, PutObjectError};
use crate::store::record::object::Metadata;

fn md5(bytes: &[u8]) -> [u8; 16] {
    Md5::digest(bytes).into()
}

#[tokio::test]
async fn what_was_put_is_what_is_read() {
    let fixture = fixture().await;
    for size in [0, 1, 4096, 200_000, 3_000_000] {
        let bytes = pattern(size);
        let metadata = Metadata {
            content_type: Some("text/plain; charset=utf-8".into()),
            storage_class: Some("STANDARD".into()),
            user: vec![("name".into(), "välue".into())],
            ..Metadata::default()
        };
        let put = PutObject {
            metadata: metadata.clone(),
            ..fixture.put_of("some/key", bytes.clone())
        };
        let stored = fixture.store.put_object(put).await.unwrap();
        assert_eq!((stored.etag, stored.size), (ETag::Md5(md5(&bytes)), size as u64));
        let read = fixture.store.get_object(&fixture.get_of("some/key")).await.unwrap();
        assert_eq!(read.head.object.metadata, metadata.normalized());
        assert_eq!((read.head.range.clone(), read.head.partial), (0..size as u64, false));
        assert_eq!(read.head.object.modified, stored.modified);
        assert!(fixture.get("some/key").await == bytes);
    }
    assert_eq!(fixture.memory.bodies(), 1);
}

#[tokio::test]
async fn keys_of_any_bytes_are_just_keys() {
    let fixture = fixture().await;
    let keys = [
        "a", "a/", "a//", "/a", "../a", "./a", "a/../b", "a\u{1}b", "\u{FEFF}", "a b+c%2F", "é", "e\u{301}",
    ];
    for name in keys {
        fixture.put(name, name).await;
    }
    for name in keys {
        assert_eq!(fixture.get(name).await, name);
    }
}

#[tokio::test]
async fn every_checksum_is_computed_verified_and_kept() {
    let fixture = fixture().await;
    let bytes = pattern(300_000);
    for algorithm in ChecksumAlgorithm::ALL {
        let value = algorithm.of(&bytes);
        let late = Box::new(move || Ok(Some(value)));
        let requests = [
            ChecksumRequest::Compute(algorithm),
            ChecksumRequest::Verify(value),
            ChecksumRequest::VerifyAfter(algorithm, late),
        ];
        for request in requests {
            let body = chunked(vec![bytes.slice(..70_000), bytes.slice(70_000..)], None).with_checksum(request);
            let put = PutObject {
                body,
                ..fixture.put_of("k", "")
            };
            let stored = fixture.store.put_object(put).await.unwrap();
            assert_eq!(
                stored.checksum,
                Some(ObjectChecksum {
                    value,
                    kind: ChecksumType::FullObject
                })
            );
            let head = fixture.store.head_object(&fixture.get_of("k")).await.unwrap();
            assert_eq!(head.object.checksum, stored.checksum);
        }
    }
}

/// Three bytes, "new", in two chunks.
fn body_of_three(len: Option<u64>) -> NewBody<'static> {
    chunked(vec![Bytes::from_static(b"ne"), Bytes::from_static(b"w")], len)
}

type ExpectedError = fn(&BodyError) -> bool;

fn bodies_that_are_not_as_declared() -> Vec<(NewBody<'static>, ExpectedError)> {
    let body = body_of_three;
    let wrong = ChecksumAlgorithm::Crc32c.of(b"other");
    let failing = || {
        let chunks = [
            Ok(Bytes::from_static(b"new")),
            Err(SourceError::from("connection reset")),
        ];
        NewBody {
            source: Box::pin(futures::stream::iter(chunks)),
            ..body(None)
        }
    };
    let late = |answer: Result<_, SourceError>| {
        ChecksumRequest::VerifyAfter(ChecksumAlgorithm::Crc32c, Box::new(move || answer))
    };
    vec![
        (body(Some(4)), |e| {
            matches!(
                e,
                BodyError::Incomplete {
                    declared: 4,
                    received: 3
                }
            )
        }),
        (body(Some(2)), |e| matches!(e, BodyError::Overlong { declared: 2 })),
        (body(Some(0)), |e| matches!(e, BodyError::Overlong { declared: 0 })),
        (body(Some(u64::MAX)), |e| matches!(e, BodyError::TooLarge { .. })),
        (
            NewBody {
                content_md5: Some([0; 16]),
                ..body(None)
            },
            |e| matches!(e, BodyError::BadDigest),
        ),
        (body(Some(3)).with_checksum(ChecksumRequest::Verify(wrong)), |e| {
            matches!(e, BodyError::ChecksumMismatch(ChecksumAlgorithm::Crc32c))
        }),
        (body(Some(3)).with_checksum(late(Ok(Some(wrong)))), |e| {
            matches!(e, BodyError::ChecksumMismatch(_))
        }),
        (body(Some(3)).with_checksum(late(Err("no trailer".into()))), |e| {
            matches!(e, BodyError::Source(_))
        }),
        (
            failing(),
            |e| matches!(e, BodyError::Source(source) if source.to_string() == "connection reset"),
        ),
    ]
}

#[tokio::test]
async fn a_body_that_is_not_as_declared_changes_nothing() {
    let fixture = fixture().await;
    fixture.put("k", "old").await;
    for (at, (body, expected)) in bodies_that_are_not_as_declared().into_iter().enumerate() {
        match fixture
            .store
            .put_object(PutObject {
                body,
                ..fixture.put_of("k", "")
            })
            .await
        {
            Err(PutObjectError::Body(error)) => assert!(expected(&error), "case {at}: {error:?}"),
            answer => panic!("case {at}: {answer:?}"),
        }
        assert_eq!(fixture.get("k").await, "old");
        assert_eq!(fixture.memory.bodies(), 1);
    }
    let good = NewBody {
        content_md5: Some(md5(b"new")),
        ..body_of_three(Some(3))
    };
    fixture
        .store
        .put_object(PutObject {
            body: good,
            ..fixture.put_of("k", "")
        })
        .await
        .unwrap();
    assert_eq!(fixture.get("k").await, "new");
}

#[tokio::test]
async fn metadata_over_the_limit_is_refused_before_the_body_is_read() {
    let fixture = fixture().await;
    let metadata = Metadata {
        user: vec![("a".into(), "b".repeat(2048))],
        ..Metadata::default()
    };
    let body = NewBody {
        source: Box::pin(futures::stream::poll_fn(|_| panic!("the body is not read"))),
        ..NewBody::from_bytes("")
    };
    let refused = fixture
        .store
        .put_object(PutObject {
            metadata,
            body,
            ..fixture.put_of("k", "")
        })
        .await;
    assert!(matches!(refused, Err(PutObjectError::Metadata(_))), "{refused:?}");
}

#[tokio::test]
async fn ranges_select_what_http_says() {
    let fixture = fixture().await;
    fixture.put("k", "0123456789").await;
    fixture.put("empty", "").await;
    let from = |first, last| Selection::From { first, last };
    let table = [
        (from(0, None), Some("0123456789")),
        (from(3, Some(5)), Some("345")),
        (from(9, Some(9)), Some("9")),
        (from(5, Some(u64::MAX)), Some("56789")),
        (Selection::Last { len: 3 }, Some("789")),
        (Selection::Last { len: 300 }, Some("0123456789")),
        (Selection::Part(PartNumber::new(1).unwrap()), Some("0123456789")),
        (from(10, None), None),
        (from(5, Some(4)), None),
        (Selection::Last { len: 0 }, None),
    ];
    for (selection, expected) in table {
        let mut get = fixture.get_of("k");
        get.selection = selection;
        match (fixture.read(&get).await, expected) {
            (Ok(bytes), Some(expected)) => assert_eq!(bytes, expected, "{selection:?}"),
            (Err(GetObjectError::RangeNotSatisfiable { size: 10 }), None) => {}
            (answer, _) => panic!("{selection:?}: {answer:?}"),
        }
    }
    let mut get = fixture.get_of("empty");
    get.selection = Selection::Last { len: 1 };
    assert!(matches!(
        fixture.read(&get).await,
        Err(GetObjectError::RangeNotSatisfiable { size: 0 })
    ));
    get.selection = Selection::Part(PartNumber::new(2).unwrap());
    assert!(matches!(
        fixture.read(&get).await,
        Err(GetObjectError::NoSuchPart { count: 1 })
    ));
}

#[tokio::test]
async fn reads_answer_conditions_and_versions() {
    let fixture = fixture().await;
    let stored = fixture.put("k", "v").await;
    let mut get = fixture.get_of("k");
    get.conditions.if_none_match = Some(ETagMatch::parse(&stored.etag.to_string()));
    match fixture.store.head_object(&get).await {
        Err(GetObjectError::NotModified { etag, modified }) => {
            assert_eq!((etag, modified), (stored.etag, stored.modified));
        }
        answer => panic!("{answer:?}"),
    }
    let mut get = fixture.get_of("k");
    get.conditions.if_unmodified_since = Some(Timestamp::from_millis(0));
    let failed = fixture.store.head_object(&get).await;
    assert!(matches!(
        failed,
        Err(GetObjectError::PreconditionFailed(ConditionHeader::IfUnmodifiedSince))
    ));
    let mut get = fixture.get_of("k");
    get.version = Some(VersionId::Null);
    assert_eq!(fixture.read(&get).await.unwrap(), "v");
    get.version = Some(VersionId::Id([1; 16]));
    assert!(matches!(fixture.read(&get).await, Err(GetObjectError::NoSuchVersion)));
}

#[tokio::test]
async fn deleting_is_idempotent_and_gives_the_body_up() {
    let fixture = fixture().await;
    fixture.put("k", "v").await;
    let delete = DeleteObject {
        bucket: fixture.bucket.clone(),
        key: key("k"),
        version: None,
        condition: WriteCondition::default(),
    };
    let of_version = DeleteObject {
        version: Some(VersionId::Id([1; 16])),
        ..delete.clone()
    };
    fixture.store.delete_object(&of_version).await.unwrap();
    assert_eq!(fixture.get("k").await, "v");
    for _ in 0..2 {
        fixture.store.delete_object(&delete).await.unwrap();
        fixture.assert_absent("k").await;
        assert_eq!(fixture.memory.bodies(), 0);
    }
    let elsewhere = DeleteObject {
        bucket: super::bucket("absent"),
        ..delete
    };
    let answer = fixture.store.delete_object(&elsewhere).await;
    assert!(matches!(answer, Err(DeleteObjectError::NoSuchBucket)), "{answer:?}");
}

#[tokio::test]
async fn conditional_writes_hold_to_what_stands() {
    let fixture = fixture().await;
    let failed = |answer: Result<_, PutObjectError>, header| match answer {
        Err(PutObjectError::Refused(WriteRefused::PreconditionFailed(found))) => assert_eq!(found, header),
        answer => panic!("{answer:?}"),
    };
    let first = fixture
        .put_if("k", "1", WriteCondition::if_none_match_any())
        .await
        .unwrap();
    let again = fixture.put_if("k", "2", WriteCondition::if_none_match_any()).await;
    failed(again, ConditionHeader::IfNoneMatch);
    let second = fixture
        .put_if("k", "2", WriteCondition::if_match(&first.etag))
        .await
        .unwrap();
    failed(
        fixture.put_if("k", "3", WriteCondition::if_match(&first.etag)).await,
        ConditionHeader::IfMatch,
    );
    assert_eq!(fixture.get("k").await, "2");
    let absent = fixture
        .put_if("absent", "3", WriteCondition::if_match(&first.etag))
        .await;
    assert!(
        matches!(absent, Err(PutObjectError::Refused(WriteRefused::NoSuchKey))),
        "{absent:?}"
    );
    // A large body is refused before it is read.
    let never_read = NewBody {
        source: Box::pin(futures::stream::poll_fn(|_| panic!("the body is not read"))),
        len: Some(1_000_000),
        ..NewBody::from_bytes("")
    };
    let condition = WriteCondition::if_none_match_any();
    let early = PutObject {
        body: never_read,
        condition,
        ..fixture.put_of("k", "")
    };
    failed(fixture.store.put_object(early).await, ConditionHeader::IfNoneMatch);

    let delete = |name: &str, etag: &ETag| DeleteObject {
        bucket: fixture.bucket.clone(),
        key: key(name),
        version: None,
        condition: WriteCondition::if_match(etag),
    };
    let refused = fixture.store.delete_object(&delete("k", &first.etag)).await;
    let expected = WriteRefused::PreconditionFailed(ConditionHeader::IfMatch);
    assert!(matches!(refused, Err(DeleteObjectError::Refused(refused)) if refused == expected));
    let refused = fixture.store.delete_object(&delete("absent", &first.etag)).await;
    assert!(
        matches!(refused, Err(DeleteObjectError::Refused(WriteRefused::NoSuchKey))),
        "{refused:?}"
    );
    fixture.store.delete_object(&delete("k", &second.etag)).await.unwrap();
    fixture.assert_absent("k").await;
}
