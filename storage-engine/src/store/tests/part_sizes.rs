//! How many bytes the parts of an upload have together: what its rows say, whatever comes at once.
use futures::future::join_all;

use super::{Fixture, Scripted, fixture, key, store_over};
use crate::backend::{Backend, Batch, CommitError, NewBody as RowBody, Op, Put};
use crate::store::body::NewBody;
use crate::store::clock::Timestamp;
use crate::store::etag::ETag;
use crate::store::key as rows;
use crate::store::multipart::begin::BeginUpload;
use crate::store::multipart::list::ListParts;
use crate::store::multipart::part::PartPlace;
use crate::store::name::{PartNumber, UploadId};
use crate::store::record::Record;
use crate::store::record::object::Metadata;
use crate::store::record::part::Part;

async fn stored(all: &Fixture, upload: UploadId) -> Vec<(u16, u64)> {
    let list = ListParts {
        bucket: all.bucket.clone(),
        key: key("k"),
        upload,
        after: 0,
        limit: 1000,
    };
    let page = all.store.list_parts(&list).await.unwrap();
    page.parts
        .iter()
        .map(|(number, part)| (number.get(), part.size))
        .collect()
}

fn place(all: &Fixture, upload: UploadId, number: u16) -> PartPlace {
    PartPlace {
        bucket: all.bucket.clone(),
        key: key("k"),
        upload,
        number: PartNumber::new(number).unwrap(),
    }
}

async fn begun(all: &Fixture) -> UploadId {
    let begin = BeginUpload {
        labels: Default::default(),
        initiator: None,
        bucket: all.bucket.clone(),
        key: key("k"),
        metadata: Metadata::default(),
        checksum: None,
    };
    all.store.begin_upload(begin).await.unwrap()
}

async fn put(all: &Fixture, place: &PartPlace, len: usize) -> bool {
    all.store
        .upload_part(place, NewBody::from_bytes(vec![1; len]))
        .await
        .is_ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sum_of_parts_is_that_of_their_rows_whatever_comes_at_once() {
    let all = fixture().await;
    let upload = begun(&all).await;
    for round in 0..40_usize {
        let puts = (0..24_usize).map(|n| {
            let (all, round) = (&all, round);
            async move {
                let place = place(all, upload, (n % 7 + 1) as u16);
                match (n + round) % 5 {
                    0 => drop(all.store.size_of_other_parts(&place).await.unwrap()),
                    // Forgotten while others are stored and summed.
                    1 if n == 11 => {
                        let row = rows::upload(&all.bucket, &key("k"), &upload);
                        all.store.inner.part_sizes.forget(&row);
                    }
                    _ => assert!(put(all, &place, n * 100 + round).await),
                }
            }
        });
        join_all(puts).await;
        let rows = stored(&all, upload).await;
        for without in 1..=9 {
            let expected: u64 = rows.iter().filter(|(n, _)| *n != without).map(|(_, size)| size).sum();
            let sum = all.store.size_of_other_parts(&place(&all, upload, without)).await;
            assert_eq!(sum.unwrap(), expected, "round {round} without {without}");
        }
    }
}

#[tokio::test]
async fn a_part_of_which_nobody_knows_whether_it_is_stored_has_the_rows_read_anew() {
    let all = fixture().await;
    let scripted = Scripted::over(&all.memory);
    let all = Fixture {
        store: store_over(scripted.clone(), 1),
        ..all
    };
    let upload = begun(&all).await;
    assert!(put(&all, &place(&all, upload, 1), 10).await);
    let third = place(&all, upload, 3);
    assert_eq!(all.store.size_of_other_parts(&third).await.unwrap(), 10);
    // It happens, and is answered as if nobody knew.
    let memory = all.memory.clone();
    let row = rows::upload(&all.bucket, &key("k"), &upload);
    let (part, parent) = (rows::part(&row, PartNumber::new(2).unwrap()), row.as_bytes().len());
    scripted.before_next_commit(move || {
        Box::pin(async move {
            let record = Part {
                size: 7,
                etag: ETag::Md5([1; 16]),
                modified: Timestamp::from_millis(1),
                checksum: None,
            };
            let put = Put {
                key: part,
                value: record.to_value(),
                body: RowBody::None,
                parent_len: Some(parent),
            };
            let batch = Batch {
                require: Vec::new(),
                ops: vec![Op::Put(put)],
            };
            memory.commit(batch).await.unwrap();
            Some(CommitError::Unknown("who knows".into()))
        })
    });
    assert!(!put(&all, &place(&all, upload, 2), 7).await);
    assert_eq!(all.store.size_of_other_parts(&third).await.unwrap(), 17);
    // One that is refused changes nothing.
    scripted.before_next_commit(|| Box::pin(async { Some(CommitError::Full("no space".into())) }));
    assert!(!put(&all, &place(&all, upload, 1), 500).await);
    assert_eq!(all.store.size_of_other_parts(&third).await.unwrap(), 17);
    // One that takes the place of another counts instead of it; an upload that has ended has nothing.
    assert!(put(&all, &place(&all, upload, 1), 25).await);
    assert_eq!(all.store.size_of_other_parts(&third).await.unwrap(), 32);
    all.store.abort_upload(&all.bucket, &key("k"), &upload).await.unwrap();
    assert_eq!(all.store.size_of_other_parts(&third).await.unwrap(), 0);
}
