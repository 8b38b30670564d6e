//! Copies.

use super::{fixture, key, pattern};
use crate::backend::Rev;
use crate::store::checksum::{ChecksumAlgorithm, ChecksumType};
use crate::store::condition::{ConditionHeader, ETagMatch, ReadConditions, WriteCondition, WriteRefused};
use crate::store::object::copy::{CopyObject, CopyObjectError, CopySource, CopySourceError};
use crate::store::object::labels::ObjectPlace;
use crate::store::object::put::{PutObject, PutObjectError};
use crate::store::record::object::Metadata;

fn said(content_type: &str) -> Metadata {
    Metadata {
        content_type: Some(content_type.into()),
        user: vec![("a".into(), "b".into())],
        ..Metadata::default()
    }
}

impl super::Fixture {
    fn copy_of(&self, from: &str, to: &str) -> CopyObject {
        CopyObject {
            tags: None,
            owner: None,
            visibility: None,
            offered: false,
            source: CopySource {
                bucket: self.bucket.clone(),
                key: key(from),
                version: None,
                conditions: ReadConditions::default(),
            },
            bucket: self.bucket.clone(),
            key: key(to),
            metadata: None,
            storage_class: None,
            checksum: None,
            condition: WriteCondition::default(),
        }
    }
}

#[tokio::test]
async fn a_copy_has_bytes_of_its_own_and_the_metadata_it_was_told() {
    let fixture = fixture().await;
    let bytes = pattern(500_000);
    let put = PutObject {
        metadata: said("text/one"),
        ..fixture.put_of("from", bytes.clone())
    };
    let source = fixture.store.put_object(put).await.unwrap();
    let copied = fixture.store.copy_object(fixture.copy_of("from", "to")).await.unwrap();
    assert_eq!((copied.etag, copied.size), (source.etag, source.size));
    let replaced = CopyObject {
        metadata: Some(said("text/two")),
        checksum: Some(ChecksumAlgorithm::Sha256),
        ..fixture.copy_of("from", "other")
    };
    let with_checksum = fixture.store.copy_object(replaced).await.unwrap();
    assert_eq!(
        with_checksum.checksum.unwrap().value,
        ChecksumAlgorithm::Sha256.of(&bytes)
    );
    fixture.put("from", "gone").await;
    for (name, content_type) in [("to", "text/one"), ("other", "text/two")] {
        assert!(fixture.get(name).await == bytes);
        let head = fixture.store.head_object(&fixture.get_of(name)).await.unwrap();
        assert_eq!(head.object.metadata, said(content_type));
    }
    // The algorithm goes with the object.
    let again = fixture
        .store
        .copy_object(fixture.copy_of("other", "again"))
        .await
        .unwrap();
    assert_eq!(again.checksum, with_checksum.checksum);
}

#[tokio::test]
async fn a_copy_onto_itself_keeps_the_bytes_and_must_change_something() {
    let fixture = fixture().await;
    for bytes in [pattern(0), pattern(300_000)] {
        let stored = fixture.put("k", bytes.clone()).await;
        let refused = fixture.store.copy_object(fixture.copy_of("k", "k")).await;
        assert!(matches!(refused, Err(CopyObjectError::NothingChanges)), "{refused:?}");
        let replace = CopyObject {
            metadata: Some(said("text/new")),
            ..fixture.copy_of("k", "k")
        };
        let copied = fixture.store.copy_object(replace).await.unwrap();
        assert_eq!(copied.etag, stored.etag);
        assert!(copied.modified > stored.modified);
        let class = CopyObject {
            storage_class: Some("STANDARD_IA".into()),
            ..fixture.copy_of("k", "k")
        };
        fixture.store.copy_object(class).await.unwrap();
        let sum = CopyObject {
            storage_class: Some("STANDARD_IA".into()),
            checksum: Some(ChecksumAlgorithm::Crc64Nvme),
            ..fixture.copy_of("k", "k")
        };
        let summed = fixture.store.copy_object(sum.clone()).await.unwrap().checksum.unwrap();
        assert_eq!(
            (summed.value, summed.kind),
            (ChecksumAlgorithm::Crc64Nvme.of(&bytes), ChecksumType::FullObject)
        );
        let refused = fixture.store.copy_object(sum).await;
        assert!(matches!(refused, Err(CopyObjectError::NothingChanges)), "{refused:?}");
        let head = fixture.store.head_object(&fixture.get_of("k")).await.unwrap();
        assert_eq!(
            head.object.metadata,
            Metadata {
                storage_class: Some("STANDARD_IA".into()),
                ..said("text/new")
            }
        );
        assert!(fixture.get("k").await == bytes);
    }
    assert_eq!(fixture.memory.bodies(), 1);
    fixture.put("k", "v").await;
    let standard = CopyObject {
        storage_class: Some("STANDARD".into()),
        ..fixture.copy_of("k", "k")
    };
    let refused = fixture.store.copy_object(standard).await;
    assert!(matches!(refused, Err(CopyObjectError::NothingChanges)), "{refused:?}");
}

#[tokio::test]
async fn conditions_on_both_sides_are_kept() {
    let fixture = fixture().await;
    let stored = fixture.put("k", "v").await;
    let etag = Some(ETagMatch::parse(&stored.etag.to_string()));
    for to in ["k", "other"] {
        let mut copy = CopyObject {
            metadata: Some(said("x/y")),
            ..fixture.copy_of("k", to)
        };
        copy.source.conditions.if_none_match = etag.clone();
        let failed = fixture.store.copy_object(copy.clone()).await;
        let expected = ConditionHeader::IfNoneMatch;
        assert!(
            matches!(failed, Err(CopyObjectError::Source(CopySourceError::PreconditionFailed(h))) if h == expected)
        );
        copy.source.conditions = ReadConditions {
            if_match: etag.clone(),
            ..Default::default()
        };
        fixture.store.copy_object(copy.clone()).await.unwrap();
        copy.condition = WriteCondition::if_none_match_any();
        let failed = fixture.store.copy_object(copy).await;
        let expected = WriteRefused::PreconditionFailed(ConditionHeader::IfNoneMatch);
        assert!(matches!(failed, Err(CopyObjectError::Put(PutObjectError::Refused(refused))) if refused == expected));
    }
}

#[tokio::test]
async fn an_absent_source_is_named_as_what_it_is() {
    let fixture = fixture().await;
    for to in ["absent", "other"] {
        let failed = fixture.store.copy_object(fixture.copy_of("absent", to)).await;
        assert!(
            matches!(failed, Err(CopyObjectError::Source(CopySourceError::NoSuchKey))),
            "{failed:?}"
        );
    }
    let mut copy = fixture.copy_of("k", "other");
    copy.source.bucket = super::bucket("absent");
    let failed = fixture.store.copy_object(copy).await;
    assert!(
        matches!(failed, Err(CopyObjectError::Source(CopySourceError::NoSuchBucket))),
        "{failed:?}"
    );
    fixture.put("k", "v").await;
    let copy = CopyObject {
        bucket: super::bucket("absent"),
        ..fixture.copy_of("k", "other")
    };
    let failed = fixture.store.copy_object(copy).await;
    assert!(
        matches!(failed, Err(CopyObjectError::Put(PutObjectError::NoSuchBucket))),
        "{failed:?}"
    );
}

/// A right to read one object was a right to copy what was put in its place before the copy began.
#[tokio::test]
async fn what_was_put_in_the_place_of_the_judged_source_is_not_copied() {
    let fixture = fixture().await;
    let place = ObjectPlace {
        bucket: fixture.bucket.clone(),
        key: key("from"),
        version: None,
    };
    let on = |rev: Option<Rev>| fixture.store.only_on(&fixture.bucket, &key("from"), rev.into());
    fixture.put("from", "open").await;
    let (_, open) = fixture.store.look_at(&place).await.unwrap().unwrap();
    on(Some(open)).copy_object(fixture.copy_of("from", "to")).await.unwrap();
    fixture.put("from", "secret").await;
    for judged in [Some(open), None] {
        for to in ["to", "from"] {
            let mut copy = fixture.copy_of("from", to);
            copy.metadata = Some(said("text/two"));
            let refused = on(judged).copy_object(copy).await.unwrap_err();
            let changed = matches!(
                refused,
                CopyObjectError::Source(CopySourceError::Changed)
                    | CopyObjectError::Put(PutObjectError::Refused(WriteRefused::Conflict))
            );
            assert!(changed, "{refused}");
        }
    }
    assert!(fixture.get("to").await == "open");
    assert!(fixture.get("from").await == "secret");
}
