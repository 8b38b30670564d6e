//! Quotas: every way to write is held to them, also by many at once, and what leaves makes room at once.

use bytes::Bytes;

use super::{Fixture, MIB, Scripted, fixture, key, pattern, store_over};
use crate::backend::{Batch, NewBody as RowBody, Op, Put};
use crate::store::body::NewBody;
use crate::store::condition::{ReadConditions, WriteCondition};
use crate::store::key as row_key;
use crate::store::multipart::complete::CompleteUploadError;
use crate::store::multipart::part::UploadPartError;
use crate::store::object::copy::{CopyObject, CopyObjectError, CopySource};
use crate::store::object::delete::DeleteObject;
use crate::store::object::put::{PutObject, PutObjectError};
use crate::store::quota::{OverQuota, QuotaOf, QuotaUnit};
use crate::store::record::settings::Quota;

impl Fixture {
    async fn allow(&self, bytes: Option<u64>) {
        let quota = bytes.map(|bytes| Quota { bytes });
        let change = self
            .store
            .change_settings(&self.bucket, |settings| settings.quota = quota);
        change.await.unwrap();
    }

    async fn try_put(&self, name: &str, len: usize) -> Result<(), OverQuota> {
        match self.store.put_object(self.put_of(name, pattern(len))).await {
            Ok(_) => Ok(()),
            Err(PutObjectError::OverQuota(over)) => Err(over),
            Err(error) => panic!("{error}"),
        }
    }

    async fn remove(&self, name: &str) {
        let delete = DeleteObject {
            bucket: self.bucket.clone(),
            key: key(name),
            version: None,
            condition: WriteCondition::default(),
        };
        self.store.delete_object(&delete).await.unwrap();
    }

    async fn try_copy(&self, from: &str, to: &str) -> Result<(), OverQuota> {
        let copy = CopyObject {
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
            tags: None,
            owner: None,
            visibility: None,
            offered: false,
            checksum: None,
            condition: WriteCondition::default(),
        };
        match self.store.copy_object(copy).await {
            Ok(_) => Ok(()),
            Err(CopyObjectError::Put(PutObjectError::OverQuota(over))) => Err(over),
            Err(error) => panic!("{error}"),
        }
    }
}

fn over(quota: u64, needed: u64) -> Result<(), OverQuota> {
    Err(OverQuota {
        of: QuotaOf::Bucket,
        unit: QuotaUnit::Bytes,
        quota,
        needed,
    })
}

#[tokio::test]
async fn what_is_stored_already_counts_and_what_leaves_makes_room_at_once() {
    let fixture = fixture().await;
    fixture.put("before", pattern(60)).await;
    fixture.allow(Some(100)).await;
    assert_eq!(fixture.try_put("b", 41).await, over(100, 101));
    fixture.assert_absent("b").await;
    assert_eq!(fixture.try_put("b", 40).await, Ok(()));
    assert_eq!(fixture.try_put("c", 1).await, over(100, 101));
    assert_eq!(fixture.try_put("empty", 0).await, Ok(()));
    fixture.remove("before").await;
    assert_eq!(fixture.try_put("c", 60).await, Ok(()));
    assert_eq!(fixture.try_put("d", 1).await, over(100, 101));
    // After a start the books are made anew.
    let restarted = fixture.restarted();
    assert_eq!(restarted.try_put("d", 1).await, over(100, 101));
    restarted.remove("b").await;
    assert_eq!(restarted.try_put("d", 40).await, Ok(()));
}

#[tokio::test]
async fn an_overwrite_counts_by_its_difference_and_a_smaller_one_is_never_refused() {
    let fixture = fixture().await;
    fixture.allow(Some(100)).await;
    assert_eq!(fixture.try_put("a", 90).await, Ok(()));
    assert_eq!(fixture.try_put("a", 100).await, Ok(()));
    assert_eq!(fixture.try_put("a", 101).await, over(100, 101));
    fixture.allow(Some(10)).await;
    assert_eq!(fixture.try_put("a", 100).await, Ok(()), "nothing grows");
    assert_eq!(fixture.try_put("a", 50).await, Ok(()), "it shrinks");
    assert_eq!(fixture.try_put("a", 51).await, over(10, 51));
    fixture.allow(None).await;
    assert_eq!(fixture.try_put("a", 500).await, Ok(()));
    // What was written while nobody counted counts, too.
    fixture.allow(Some(500)).await;
    assert_eq!(fixture.try_put("b", 1).await, over(500, 501));
}

#[tokio::test]
async fn a_copy_is_held_to_the_quota_of_where_it_goes() {
    let fixture = fixture().await;
    fixture.put("a", pattern(60)).await;
    fixture.allow(Some(100)).await;
    assert_eq!(fixture.try_copy("a", "b").await, over(100, 120));
    fixture.allow(Some(120)).await;
    assert_eq!(fixture.try_copy("a", "b").await, Ok(()));
    assert_eq!(fixture.try_copy("a", "b").await, Ok(()), "the same again grows nothing");
}

#[tokio::test]
async fn a_long_body_is_refused_before_it_is_taken_in() {
    let fixture = fixture().await;
    fixture.allow(Some(1_000)).await;
    let body = NewBody {
        source: Box::pin(futures::stream::pending()),
        ..NewBody::from_bytes(pattern(MIB))
    };
    let put = PutObject {
        body,
        ..fixture.put_of("a", Bytes::new())
    };
    let refused = fixture.store.put_object(put).await;
    assert!(matches!(refused, Err(PutObjectError::OverQuota(_))), "{refused:?}");
}

#[tokio::test]
async fn a_part_that_has_no_room_is_refused_and_so_is_the_object_of_parts_that_each_had() {
    let fixture = fixture().await;
    let part = pattern(5 * MIB);
    fixture.allow(Some(8 * MIB as u64)).await;
    let upload = fixture.begin("a", None).await;
    let refused = fixture
        .store
        .upload_part(&fixture.place("a", upload, 1), NewBody::from_bytes(pattern(9 * MIB)))
        .await;
    assert!(matches!(refused, Err(UploadPartError::OverQuota(_))), "{refused:?}");
    let parts = [
        fixture.part("a", upload, 1, &part).await,
        fixture.part("a", upload, 2, &part).await,
    ];
    let refused = fixture
        .store
        .complete_upload(fixture.complete_of("a", upload, &parts))
        .await;
    let wanted = OverQuota {
        of: QuotaOf::Bucket,
        unit: QuotaUnit::Bytes,
        quota: 8 * MIB as u64,
        needed: 10 * MIB as u64,
    };
    assert!(
        matches!(&refused, Err(CompleteUploadError::OverQuota(over)) if *over == wanted),
        "{refused:?}"
    );
    fixture.assert_absent("a").await;
    // The upload stands: with room made for it, it is completed.
    fixture.allow(Some(10 * MIB as u64)).await;
    fixture
        .store
        .complete_upload(fixture.complete_of("a", upload, &parts))
        .await
        .unwrap();
    assert_eq!(
        fixture.try_put("b", 1).await,
        over(10 * MIB as u64, 10 * MIB as u64 + 1)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_hundred_writers_at_once_get_in_as_many_as_fit_and_not_one_more() {
    let fixture = std::sync::Arc::new(fixture().await);
    fixture.put("before", pattern(50)).await;
    fixture.allow(Some(1_000)).await;
    let round = |names: fn(usize) -> String| {
        let fixture = std::sync::Arc::clone(&fixture);
        async move {
            let writers = (0..100).map(|n| {
                let fixture = std::sync::Arc::clone(&fixture);
                tokio::spawn(async move { fixture.try_put(&names(n), 50).await.is_ok() })
            });
            let done = futures::future::join_all(writers.collect::<Vec<_>>()).await;
            done.into_iter().filter(|stored| *stored.as_ref().unwrap()).count()
        }
    };
    assert_eq!(round(|n| format!("k{n}")).await, 19);
    // All onto the keys of three: what each replaces is known though they race. One of the three is there for sure.
    assert!(round(|n| ["before", "k1", "k2"][n % 3].to_owned()).await > 0);
    let list = crate::store::list::ListObjects {
        bucket: fixture.bucket.clone(),
        prefix: String::new(),
        delimiter: String::new(),
        after: None,
        limit: 1_000,
    };
    let stored: u64 = fixture
        .store
        .list_objects(&list)
        .await
        .unwrap()
        .items
        .iter()
        .map(|item| match item {
            crate::store::list::Listed::Item(listed) => listed.object.size,
            crate::store::list::Listed::CommonPrefix(_) => 0,
        })
        .sum();
    assert!(stored <= 1_000, "{stored}");
    assert_eq!(
        fixture.try_put("more", 1_001 - usize::try_from(stored).unwrap()).await,
        over(1_000, 1_001)
    );
    assert_eq!(
        fixture.try_put("more", 1_000 - usize::try_from(stored).unwrap()).await,
        Ok(())
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_count_is_exact_while_the_bucket_changes_under_it() {
    let fixture = std::sync::Arc::new(fixture().await);
    for n in 0..2_500 {
        fixture.put(&format!("k{n:04}"), pattern(1)).await;
    }
    fixture.allow(Some(1 << 40)).await;
    // The first of these begins the count of three pages, the others change what it counts.
    let changes = (0..200).map(|n| {
        let fixture = std::sync::Arc::clone(&fixture);
        tokio::spawn(async move {
            match n % 2 {
                0 => fixture.remove(&format!("k{:04}", n * 12)).await,
                _ => fixture.try_put(&format!("k{:04}", n * 12), 11).await.unwrap(),
            }
        })
    });
    for changed in futures::future::join_all(changes.collect::<Vec<_>>()).await {
        changed.unwrap();
    }
    let held = 2_500 - 100 + 100 * 10;
    fixture.allow(Some(held)).await;
    assert_eq!(fixture.try_put("more", 1).await, over(held, held + 1));
    fixture.allow(Some(held + 1)).await;
    assert_eq!(fixture.try_put("more", 1).await, Ok(()));
}

/// The count did not see the write, and the write did not see the quota: for an hour, nobody missed its bytes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_commits_while_the_quota_is_set_counts() {
    let plain = fixture().await;
    let script = Scripted::over(&plain.memory);
    let raced = std::sync::Arc::new(Fixture {
        store: store_over(script.clone(), 1),
        memory: plain.memory.clone(),
        bucket: plain.bucket.clone(),
    });
    let (tell, other) = tokio::sync::oneshot::channel();
    let meanwhile = std::sync::Arc::clone(&raced);
    script.before_next_commit(move || {
        Box::pin(async move {
            meanwhile.allow(Some(100)).await;
            let writer = tokio::spawn(async move { meanwhile.try_put("second", 10).await });
            drop(tell.send(writer));
            // As long as a count would take.
            tokio::time::sleep(std::time::Duration::from_millis(500)).await;
            None
        })
    });
    raced.put("first", pattern(60)).await;
    assert_eq!(other.await.unwrap().await.unwrap(), Ok(()));
    assert_eq!(raced.try_put("third", 31).await, over(100, 101));
    assert_eq!(raced.try_put("third", 30).await, Ok(()));
    // The same where a quota is taken away and set again: what came in between was entered nowhere.
    raced.allow(None).await;
    raced.put("fourth", pattern(50)).await;
    raced.allow(Some(200)).await;
    assert_eq!(raced.try_put("fifth", 51).await, over(200, 201));
}

/// One damaged row closed a bucket with a quota for every write, removals too.
#[tokio::test]
async fn an_object_that_cannot_be_read_closes_no_bucket_and_makes_room_for_another() {
    let fixture = fixture().await;
    fixture.put("good", pattern(60)).await;
    let damaged = Put {
        key: row_key::current(&fixture.bucket, &key("bad")),
        value: Bytes::from_static(b"no record"),
        body: RowBody::None,
        parent_len: None,
    };
    let batch = Batch {
        require: Vec::new(),
        ops: vec![Op::Put(damaged)],
    };
    fixture.store.backend().commit(batch).await.unwrap();
    fixture.allow(Some(100)).await;
    assert_eq!(fixture.try_put("b", 41).await, over(100, 101));
    assert_eq!(fixture.try_put("b", 10).await, Ok(()));
    assert_eq!(fixture.try_put("bad", 30).await, Ok(()));
    fixture.remove("good").await;
    assert_eq!(fixture.try_put("b", 71).await, over(100, 101));
    assert_eq!(fixture.try_put("b", 70).await, Ok(()));
}
