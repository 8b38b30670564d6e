//! Multipart uploads.

use bytes::Bytes;
use md5::{Digest, Md5};

use super::{Fixture, MIB, fixture, key, pattern};
use crate::backend::{Backend, Batch, BlobClass, NewBody as RowBody, Op, Put};
use crate::store::body::{ChecksumRequest, NewBody};
use crate::store::checksum::{self, ChecksumAlgorithm, ChecksumType, ObjectChecksum};
use crate::store::clock::Timestamp;
use crate::store::condition::{ConditionHeader, ReadConditions, WriteCondition, WriteRefused};
use crate::store::error::BodyError;
use crate::store::etag::ETag;
use crate::store::key as rows;
use crate::store::list::Listed;
use crate::store::multipart::abort::AbortUploadError;
use crate::store::multipart::begin::{BeginUpload, BeginUploadError};
use crate::store::multipart::complete::{CompleteUpload, CompleteUploadError, NamedPart};
use crate::store::multipart::list::{ListParts, ListPartsError, ListUploads};
use crate::store::multipart::part::{PartPlace, UploadPartCopyError, UploadPartError};
use crate::store::name::{PartNumber, UploadId};
use crate::store::object::copy::{CopySource, CopySourceError};
use crate::store::object::get::{GetObjectError, Selection};
use crate::store::object::put::Stored;
use crate::store::record::Record;
use crate::store::record::object::{Metadata, Parts};
use crate::store::record::part::Part;
use crate::store::record::upload::UploadChecksum;

fn number(number: u16) -> PartNumber {
    PartNumber::new(number).unwrap()
}

fn named(part_number: u16, part: &Part) -> NamedPart {
    NamedPart {
        number: number(part_number),
        etag: part.etag.to_string(),
        checksum: None,
    }
}

impl Fixture {
    pub(super) async fn begin(&self, name: &str, checksum: Option<UploadChecksum>) -> UploadId {
        let metadata = Metadata {
            content_type: Some("text/x".into()),
            ..Metadata::default()
        };
        let begin = BeginUpload {
            labels: Default::default(),
            initiator: None,
            bucket: self.bucket.clone(),
            key: key(name),
            metadata,
            checksum,
        };
        self.store.begin_upload(begin).await.unwrap()
    }

    pub(super) fn place(&self, name: &str, upload: UploadId, part: u16) -> PartPlace {
        PartPlace {
            bucket: self.bucket.clone(),
            key: key(name),
            upload,
            number: number(part),
        }
    }

    pub(super) async fn part(&self, name: &str, upload: UploadId, part: u16, bytes: &Bytes) -> NamedPart {
        let place = self.place(name, upload, part);
        named(
            part,
            &self
                .store
                .upload_part(&place, NewBody::from_bytes(bytes.clone()))
                .await
                .unwrap(),
        )
    }

    pub(super) fn complete_of(&self, name: &str, upload: UploadId, parts: &[NamedPart]) -> CompleteUpload {
        CompleteUpload {
            bucket: self.bucket.clone(),
            key: key(name),
            upload,
            parts: parts.to_vec(),
            condition: WriteCondition::default(),
            checksum: None,
            checksum_type: None,
            size: None,
        }
    }

    async fn complete(&self, name: &str, upload: UploadId, parts: &[NamedPart]) -> Result<Stored, CompleteUploadError> {
        let done = self.store.complete_upload(self.complete_of(name, upload, parts)).await;
        done.map(|completed| completed.stored)
    }

    fn parts_of(&self, name: &str, upload: UploadId) -> ListParts {
        ListParts {
            bucket: self.bucket.clone(),
            key: key(name),
            upload,
            after: 0,
            limit: 1_000,
        }
    }

    /// Parts put below the store: what counts here is their number, not their bytes.
    async fn many_parts(&self, name: &str, upload: UploadId, count: u16, bytes: &Bytes) -> Vec<NamedPart> {
        let upload_key = rows::upload(&self.bucket, &key(name), &upload);
        let mut all = Vec::new();
        for at in 1..=count {
            let crc = ChecksumAlgorithm::Crc32.of(&at.to_be_bytes());
            let part = Part {
                size: bytes.len() as u64,
                etag: ETag::Md5(Md5::digest(at.to_be_bytes()).into()),
                modified: Timestamp::default(),
                checksum: Some(crc),
            };
            let source = Box::pin(futures::stream::iter([Ok(bytes.clone())]));
            let blob = self.memory.put_blob(BlobClass::Part, source, None).await.unwrap();
            let put = Put {
                key: rows::part(&upload_key, number(at)),
                value: part.to_value(),
                body: RowBody::Blob(blob),
                parent_len: Some(upload_key.as_bytes().len()),
            };
            self.memory
                .commit(Batch {
                    require: vec![],
                    ops: vec![Op::Put(put)],
                })
                .await
                .unwrap();
            all.push(named(at, &part));
        }
        all
    }

    /// Waits until the sweeping behind an ended upload is done: then only `rows` stand.
    async fn swept(&self, rows: usize) {
        for _ in 0..1_000 {
            if self.memory.rows() == rows {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
        panic!("{} rows stand, not {rows}", self.memory.rows());
    }
}

#[tokio::test]
async fn parts_become_one_object_without_leftovers() {
    let fixture = fixture().await;
    fixture.put("k", "old").await;
    let upload = fixture.begin("k", None).await;
    let parts = [pattern(5 * MIB), pattern(5 * MIB + 1), pattern(10)];
    let mut all = Vec::new();
    // In any order, with gaps.
    for (at, bytes) in [(7, &parts[2]), (1, &parts[0]), (5, &parts[1])] {
        all.push(fixture.part("k", upload, at, bytes).await);
    }
    all.sort_by_key(|part| part.number);
    assert_eq!(fixture.get("k").await, "old");
    let stored = fixture.complete("k", upload, &all).await.unwrap();
    let md5s: Vec<u8> = parts.iter().flat_map(Md5::digest).collect();
    assert_eq!(
        stored.etag,
        ETag::Multipart {
            md5: Md5::digest(&md5s).into(),
            parts: 3
        }
    );
    let whole: Bytes = parts.concat().into();
    assert!(fixture.get("k").await == whole);
    let mut get = fixture.get_of("k");
    for (at, expected) in [(1, &parts[0]), (5, &parts[1]), (7, &parts[2])] {
        get.selection = Selection::Part(number(at));
        let read = fixture.store.get_object(&get).await.unwrap();
        assert_eq!(read.head.object.parts.as_ref().map(Parts::count), Some(3));
        assert!(read.head.partial && fixture.read(&get).await.unwrap() == *expected);
    }
    get.selection = Selection::Part(number(2));
    assert!(matches!(
        fixture.read(&get).await,
        Err(GetObjectError::NoSuchPart { count: 3 })
    ));
    let head = fixture.store.head_object(&fixture.get_of("k")).await.unwrap();
    assert_eq!(head.object.metadata.content_type.as_deref(), Some("text/x"));
    // Bucket, gate, object.
    fixture.swept(3).await;
    assert_eq!(fixture.memory.bodies(), 1);
}

#[tokio::test]
async fn complete_sent_again_answers_the_same_until_the_object_is_another() {
    let fixture = fixture().await;
    let upload = fixture.begin("k", None).await;
    let parts = [fixture.part("k", upload, 1, &pattern(10)).await];
    let stored = fixture.complete("k", upload, &parts).await.unwrap();
    assert_eq!(fixture.complete("k", upload, &parts).await.unwrap(), stored);
    assert_eq!(fixture.restarted().complete("k", upload, &parts).await.unwrap(), stored);
    fixture.put("k", "another").await;
    let answer = fixture.complete("k", upload, &parts).await;
    assert!(matches!(answer, Err(CompleteUploadError::NoSuchUpload)), "{answer:?}");
    assert_eq!(fixture.get("k").await, "another");
}

#[tokio::test]
async fn a_list_of_parts_that_does_not_fit_is_refused_and_the_upload_stays() {
    let fixture = fixture().await;
    let upload = fixture.begin("k", None).await;
    let first = fixture.part("k", upload, 1, &pattern(5 * MIB)).await;
    let small = fixture.part("k", upload, 2, &pattern(10)).await;
    let third = fixture.part("k", upload, 3, &pattern(20)).await;
    let other_etag = NamedPart {
        etag: third.etag.clone(),
        ..first.clone()
    };
    let not_uploaded = NamedPart {
        number: number(4),
        ..third.clone()
    };
    let checksum = Some(ChecksumAlgorithm::Crc32.of(b""));
    let other_checksum = NamedPart {
        checksum,
        ..first.clone()
    };
    type Expected = fn(&CompleteUploadError) -> bool;
    let cases: [(&[NamedPart], Expected); 7] = [
        (&[], |e| matches!(e, CompleteUploadError::NoParts)),
        (&[small.clone(), first.clone()], |e| {
            matches!(e, CompleteUploadError::PartOrder)
        }),
        (&[first.clone(), first.clone()], |e| {
            matches!(e, CompleteUploadError::PartOrder)
        }),
        (
            &[first.clone(), not_uploaded],
            |e| matches!(e, CompleteUploadError::InvalidPart(n) if n.get() == 4),
        ),
        (
            &[other_etag, third.clone()],
            |e| matches!(e, CompleteUploadError::InvalidPart(n) if n.get() == 1),
        ),
        (&[other_checksum], |e| matches!(e, CompleteUploadError::InvalidPart(_))),
        (
            &[first.clone(), small, third.clone()],
            |e| matches!(e, CompleteUploadError::PartTooSmall { number, size: 10 } if number.get() == 2),
        ),
    ];
    for (parts, expected) in cases {
        match fixture.complete("k", upload, parts).await {
            Err(error) => assert!(expected(&error), "{error:?}"),
            Ok(stored) => panic!("{parts:?} became {stored:?}"),
        }
        fixture.assert_absent("k").await;
    }
    let sized = CompleteUpload {
        size: Some(1),
        ..fixture.complete_of("k", upload, &[first.clone(), third.clone()])
    };
    let refused = fixture.store.complete_upload(sized).await;
    assert!(
        matches!(refused, Err(CompleteUploadError::SizeMismatch { declared: 1, .. })),
        "{refused:?}"
    );
    // A part may still be sent again; the old one is out, and parts that are not named are left out.
    let again = fixture.part("k", upload, 3, &pattern(30)).await;
    let refused = fixture.complete("k", upload, &[first.clone(), third]).await;
    assert!(
        matches!(refused, Err(CompleteUploadError::InvalidPart(n)) if n.get() == 3),
        "{refused:?}"
    );
    fixture.complete("k", upload, &[first, again]).await.unwrap();
    assert!(fixture.get("k").await == [pattern(5 * MIB), pattern(30)].concat());
    fixture.swept(3).await;
    assert_eq!(fixture.memory.bodies(), 1);
}

#[tokio::test]
async fn checksums_of_parts_become_the_objects() {
    let fixture = fixture().await;
    let parts = [pattern(5 * MIB), pattern(100)];
    let whole = parts.concat();
    for algorithm in ChecksumAlgorithm::ALL {
        for kind in [ChecksumType::FullObject, ChecksumType::Composite] {
            let wanted = UploadChecksum { algorithm, kind };
            if !algorithm.allows(kind) {
                let begin = BeginUpload {
                    labels: Default::default(),
                    initiator: None,
                    bucket: fixture.bucket.clone(),
                    key: key("k"),
                    metadata: Metadata::default(),
                    checksum: Some(wanted),
                };
                let refused = fixture.store.begin_upload(begin).await;
                assert!(matches!(refused, Err(BeginUploadError::ChecksumType(_))), "{refused:?}");
                continue;
            }
            let upload = fixture.begin("k", Some(wanted)).await;
            let mut all = Vec::new();
            for (at, bytes) in (1..).zip(&parts) {
                let checksum = algorithm.of(bytes);
                let named = fixture.part("k", upload, at, bytes).await;
                all.push(NamedPart {
                    checksum: Some(checksum),
                    ..named
                });
            }
            let expected = match kind {
                ChecksumType::FullObject => ObjectChecksum {
                    value: algorithm.of(&whole),
                    kind,
                },
                ChecksumType::Composite => {
                    let of = parts.iter().map(|part| (algorithm.of(part), part.len() as u64));
                    checksum::of_parts(algorithm, kind, of).unwrap()
                }
            };
            let complete = fixture.complete_of("k", upload, &all);
            let wrong = CompleteUpload {
                checksum: Some(algorithm.of(b"other")),
                ..complete.clone()
            };
            let refused = fixture.store.complete_upload(wrong).await;
            assert!(
                matches!(refused, Err(CompleteUploadError::ChecksumMismatch)),
                "{refused:?}"
            );
            let right = CompleteUpload {
                checksum: Some(expected.value),
                checksum_type: Some(kind),
                ..complete
            };
            let stored = fixture.store.complete_upload(right).await.unwrap().stored;
            assert_eq!(stored.checksum, Some(expected));
            let mut get = fixture.get_of("k");
            get.selection = Selection::Part(number(2));
            let head = fixture.store.head_object(&get).await.unwrap();
            assert_eq!(
                (head.object.checksum, head.part_checksum),
                (Some(expected), all[1].checksum)
            );
        }
    }
}

#[tokio::test]
async fn a_part_of_another_algorithm_or_a_wrong_value_is_refused() {
    let fixture = fixture().await;
    let kind = ChecksumType::FullObject;
    let upload = fixture
        .begin(
            "k",
            Some(UploadChecksum {
                algorithm: ChecksumAlgorithm::Crc32c,
                kind,
            }),
        )
        .await;
    let place = fixture.place("k", upload, 1);
    let other = ChecksumRequest::Compute(ChecksumAlgorithm::Sha1);
    let answer = fixture
        .store
        .upload_part(&place, NewBody::from_bytes("part").with_checksum(other))
        .await;
    assert!(
        matches!(answer, Err(UploadPartError::ChecksumAlgorithm { .. })),
        "{answer:?}"
    );
    let wrong = ChecksumRequest::Verify(ChecksumAlgorithm::Crc32c.of(b"other"));
    let answer = fixture
        .store
        .upload_part(&place, NewBody::from_bytes("part").with_checksum(wrong))
        .await;
    assert!(
        matches!(answer, Err(UploadPartError::Body(BodyError::ChecksumMismatch(_)))),
        "{answer:?}"
    );
    assert!(
        fixture
            .store
            .list_parts(&fixture.parts_of("k", upload))
            .await
            .unwrap()
            .parts
            .is_empty()
    );
    assert_eq!(fixture.memory.bodies(), 0);
}

#[tokio::test]
async fn ten_thousand_parts_are_kept_and_found() {
    let fixture = fixture().await;
    let kind = ChecksumType::Composite;
    let upload = fixture
        .begin(
            "k",
            Some(UploadChecksum {
                algorithm: ChecksumAlgorithm::Crc32,
                kind,
            }),
        )
        .await;
    let bytes = pattern(5 * MIB);
    let all = fixture.many_parts("k", upload, 10_000, &bytes).await;
    let stored = fixture.complete("k", upload, &all).await.unwrap();
    assert_eq!(stored.size, 10_000 * bytes.len() as u64);
    let mut get = fixture.get_of("k");
    get.selection = Selection::Part(number(9_999));
    let read = fixture.store.get_object(&get).await.unwrap();
    let start = 9_998 * bytes.len() as u64;
    assert_eq!(read.head.range, start..start + bytes.len() as u64);
    assert_eq!(
        read.head.part_checksum,
        Some(ChecksumAlgorithm::Crc32.of(&9_999_u16.to_be_bytes()))
    );
    assert!(matches!(
        read.head.object.parts,
        Some(Parts::InBody { count: 10_000, .. })
    ));
    assert!(fixture.read(&get).await.unwrap() == bytes);
    get.selection = Selection::Last { len: 10 };
    assert_eq!(fixture.read(&get).await.unwrap(), bytes.slice(bytes.len() - 10..));
    let (_, table) = fixture.store.object_parts(&fixture.get_of("k")).await.unwrap();
    assert_eq!(table.unwrap().parts.len(), 10_000);
    fixture.swept(3).await;
    assert_eq!(fixture.memory.bodies(), 1);
}

#[tokio::test]
async fn an_aborted_upload_leaves_nothing_and_takes_nothing() {
    let fixture = fixture().await;
    let upload = fixture.begin("k", None).await;
    let part = fixture.part("k", upload, 1, &pattern(10)).await;
    fixture
        .store
        .abort_upload(&fixture.bucket, &key("k"), &upload)
        .await
        .unwrap();
    fixture.swept(2).await;
    assert_eq!(fixture.memory.bodies(), 0);
    let answer = fixture.store.abort_upload(&fixture.bucket, &key("k"), &upload).await;
    assert!(matches!(answer, Err(AbortUploadError::NoSuchUpload)), "{answer:?}");
    let answer = fixture
        .store
        .upload_part(&fixture.place("k", upload, 2), NewBody::from_bytes("x"))
        .await;
    assert!(matches!(answer, Err(UploadPartError::NoSuchUpload)), "{answer:?}");
    let answer = fixture.complete("k", upload, &[part]).await;
    assert!(matches!(answer, Err(CompleteUploadError::NoSuchUpload)), "{answer:?}");
    let answer = fixture.store.list_parts(&fixture.parts_of("k", upload)).await;
    assert!(matches!(answer, Err(ListPartsError::NoSuchUpload)), "{answer:?}");
}

#[tokio::test]
async fn an_object_or_a_range_of_it_becomes_a_part() {
    let fixture = fixture().await;
    fixture.put("source", pattern(1_000)).await;
    let upload = fixture.begin("k", None).await;
    let source = CopySource {
        bucket: fixture.bucket.clone(),
        key: key("source"),
        version: None,
        conditions: ReadConditions::default(),
    };
    let place = fixture.place("k", upload, 1);
    let beyond = Selection::From {
        first: 1_000,
        last: None,
    };
    let answer = fixture.store.upload_part_copy(&place, &source, beyond).await;
    let unsatisfiable = CopySourceError::RangeNotSatisfiable { size: 1_000 };
    assert!(matches!(&answer, Err(UploadPartCopyError::Source(e)) if e.to_string() == unsatisfiable.to_string()));
    let range = Selection::From {
        first: 10,
        last: Some(19),
    };
    let part = fixture.store.upload_part_copy(&place, &source, range).await.unwrap();
    assert_eq!(part.size, 10);
    fixture.complete("k", upload, &[named(1, &part)]).await.unwrap();
    assert_eq!(fixture.get("k").await, pattern(1_000).slice(10..20));
    let whole = fixture.store.upload_part_copy(&place, &source, Selection::Whole).await;
    assert!(
        matches!(whole, Err(UploadPartCopyError::Part(UploadPartError::NoSuchUpload))),
        "{whole:?}"
    );
}

#[tokio::test]
async fn complete_keeps_to_conditions() {
    let fixture = fixture().await;
    let stored = fixture.put("k", "there").await;
    let upload = fixture.begin("k", None).await;
    let parts = [fixture.part("k", upload, 1, &pattern(10)).await];
    let complete = fixture.complete_of("k", upload, &parts);
    let none_match = CompleteUpload {
        condition: WriteCondition::if_none_match_any(),
        ..complete.clone()
    };
    let refused = fixture.store.complete_upload(none_match).await;
    let expected = WriteRefused::PreconditionFailed(ConditionHeader::IfNoneMatch);
    assert!(matches!(refused, Err(CompleteUploadError::Refused(refused)) if refused == expected));
    assert_eq!(fixture.get("k").await, "there");
    let if_match = CompleteUpload {
        condition: WriteCondition::if_match(&stored.etag),
        ..complete
    };
    fixture.store.complete_upload(if_match).await.unwrap();
    assert_eq!(fixture.get("k").await, pattern(10));
}

#[tokio::test]
async fn parts_are_listed_in_pages() {
    let fixture = fixture().await;
    let upload = fixture.begin("k", None).await;
    for at in [1, 2, 5, 300, 10_000] {
        fixture.part("k", upload, at, &pattern(usize::from(at))).await;
    }
    for limit in 1..7 {
        let mut list = ListParts {
            limit,
            ..fixture.parts_of("k", upload)
        };
        let mut seen = Vec::new();
        loop {
            let page = fixture.store.list_parts(&list).await.unwrap();
            seen.extend(page.parts.iter().map(|(number, part)| (number.get(), part.size)));
            let Some(next) = page.next else { break };
            list.after = next.get();
        }
        assert_eq!(
            seen,
            [(1, 1), (2, 2), (5, 5), (300, 300), (10_000, 10_000)],
            "limit {limit}"
        );
    }
}

#[tokio::test]
async fn uploads_are_listed_in_pages_with_groups_and_markers() {
    let fixture = fixture().await;
    let mut expected = Vec::new();
    for name in ["a", "a", "a/1", "a/2", "b", "c/x/y", "ü"] {
        let upload = fixture.begin(name, None).await;
        // So many parts that a page of rows does not reach over them.
        if name == "a/1" {
            fixture.many_parts(name, upload, 700, &Bytes::from_static(b"x")).await;
        }
        fixture.part(name, upload, 1, &pattern(1)).await;
        expected.push((name, upload));
    }
    let list_all = async |prefix: &str, delimiter: &str, limit: usize| {
        let mut list = ListUploads {
            bucket: fixture.bucket.clone(),
            prefix: prefix.into(),
            delimiter: delimiter.into(),
            key_marker: None,
            upload_marker: None,
            limit,
        };
        let mut seen = Vec::new();
        loop {
            let page = fixture.store.list_uploads(&list).await.unwrap();
            assert!(page.items.len() <= limit);
            for item in &page.items {
                list.upload_marker = None;
                seen.push(match item {
                    Listed::CommonPrefix(prefix) => format!("[{prefix}]"),
                    Listed::Item(listed) => {
                        list.upload_marker = Some(listed.id);
                        assert!(expected.contains(&(listed.key.as_str(), listed.id)));
                        listed.key.as_str().to_owned()
                    }
                });
            }
            match page.next {
                Some(next) => list.key_marker = Some(next),
                None => return seen,
            }
        }
    };
    for limit in [1, 2, 3, 1_000] {
        assert_eq!(
            list_all("", "", limit).await,
            ["a", "a", "a/1", "a/2", "b", "c/x/y", "ü"],
            "limit {limit}"
        );
        assert_eq!(
            list_all("", "/", limit).await,
            ["a", "a", "[a/]", "b", "[c/]", "ü"],
            "limit {limit}"
        );
        assert_eq!(list_all("a/", "/", limit).await, ["a/1", "a/2"], "limit {limit}");
        assert_eq!(list_all("c/", "/", limit).await, ["[c/x/]"], "limit {limit}");
    }
    // A key marker alone leaves that key out.
    let after = ListUploads {
        bucket: fixture.bucket.clone(),
        prefix: String::new(),
        delimiter: String::new(),
        key_marker: Some("a/2".into()),
        upload_marker: None,
        limit: 1,
    };
    let page = fixture.store.list_uploads(&after).await.unwrap();
    assert!(matches!(&page.items[..], [Listed::Item(listed)] if listed.key.as_str() == "b"));
    assert_eq!(page.next.as_deref(), Some("b"));
}

#[tokio::test]
async fn part_rows_left_by_a_crash_are_swept_and_the_rest_stays() {
    let fixture = fixture().await;
    let ended = fixture.begin("a", None).await;
    fixture.part("a", ended, 1, &pattern(10)).await;
    fixture.part("a", ended, 2, &pattern(10)).await;
    let open = fixture.begin("b", None).await;
    fixture.part("b", open, 1, &pattern(10)).await;
    // The upload's row goes, the sweep behind it never runs.
    let row = rows::upload(&fixture.bucket, &key("a"), &ended);
    fixture
        .memory
        .commit(Batch {
            require: vec![],
            ops: vec![Op::Delete(row)],
        })
        .await
        .unwrap();
    let restarted = fixture.restarted();
    assert_eq!(restarted.store.sweep_ended_uploads().await.unwrap(), 1);
    assert_eq!(restarted.store.sweep_ended_uploads().await.unwrap(), 0);
    // Bucket, gate, the open upload and its part.
    assert_eq!((fixture.memory.rows(), fixture.memory.bodies()), (4, 1));
    assert_eq!(
        fixture
            .store
            .list_parts(&fixture.parts_of("b", open))
            .await
            .unwrap()
            .parts
            .len(),
        1
    );
}
