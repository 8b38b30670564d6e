//! Buckets.

use super::{bucket, fixture, key};
use crate::store::body::NewBody;
use crate::store::bucket::{BucketError, CreateBucketError, DeleteBucketError, ListBuckets};
use crate::store::condition::WriteCondition;
use crate::store::list::{ListError, ListObjects};
use crate::store::multipart::begin::{BeginUpload, BeginUploadError};
use crate::store::object::get::GetObjectError;
use crate::store::object::put::{PutObject, PutObjectError};
use crate::store::record::object::Metadata;

#[tokio::test]
async fn a_bucket_is_found_with_its_region_until_it_is_deleted() {
    let fixture = fixture().await;
    let name = bucket("other");
    let made = fixture.store.create_bucket(&name, "eu-west-3").await.unwrap();
    assert_eq!(made.region, "eu-west-3");
    assert_eq!(fixture.store.head_bucket(&name).await.unwrap(), made);
    let again = fixture.store.create_bucket(&name, "us-east-1").await;
    assert!(
        matches!(again, Err(CreateBucketError::Exists { owner: None })),
        "{again:?}"
    );
    assert_eq!(fixture.store.head_bucket(&name).await.unwrap(), made);
    fixture.store.delete_bucket(&name).await.unwrap();
    assert!(matches!(
        fixture.store.head_bucket(&name).await,
        Err(BucketError::NoSuchBucket)
    ));
    assert!(matches!(
        fixture.store.delete_bucket(&name).await,
        Err(DeleteBucketError::NoSuchBucket)
    ));
    fixture.store.create_bucket(&name, "").await.unwrap();
}

#[tokio::test]
async fn buckets_are_listed_in_pages_by_name() {
    let fixture = fixture().await;
    for name in ["zoo", "abd", "aaa", "abc-d", "mmm"] {
        fixture.store.create_bucket(&bucket(name), "").await.unwrap();
    }
    let all = ["aaa", "abc", "abc-d", "abd", "mmm", "zoo"];
    for limit in 1..8 {
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let page = fixture
                .store
                .list_buckets(ListBuckets {
                    after,
                    limit,
                    ..Default::default()
                })
                .await
                .unwrap();
            assert!(page.buckets.len() <= limit);
            seen.extend(page.buckets.into_iter().map(|bucket| bucket.name.to_string()));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(seen, all, "limit {limit}");
    }
    let list = ListBuckets {
        prefix: "ab".into(),
        after: Some("abc".into()),
        limit: 10,
    };
    let page = fixture.store.list_buckets(list).await.unwrap();
    assert_eq!(
        page.buckets
            .iter()
            .map(|bucket| bucket.name.as_str())
            .collect::<Vec<_>>(),
        ["abc-d", "abd"]
    );
    let none = fixture
        .store
        .list_buckets(ListBuckets {
            limit: 0,
            ..Default::default()
        })
        .await
        .unwrap();
    assert_eq!((none.buckets.len(), none.next), (0, None));
}

#[tokio::test]
async fn a_bucket_with_objects_is_not_deleted_and_stays_in_use() {
    let fixture = fixture().await;
    fixture.put("k", "v").await;
    let refused = fixture.store.delete_bucket(&fixture.bucket).await;
    assert!(matches!(refused, Err(DeleteBucketError::NotEmpty)), "{refused:?}");
    fixture.put("l", "v").await;
    assert_eq!(fixture.get("k").await, "v");
}

#[tokio::test]
async fn unfinished_uploads_leave_with_their_bucket() {
    let fixture = fixture().await;
    let begin = BeginUpload {
        labels: Default::default(),
        initiator: None,
        bucket: fixture.bucket.clone(),
        key: key("k"),
        metadata: Metadata::default(),
        checksum: None,
    };
    for _ in 0..600 {
        fixture.store.begin_upload(begin.clone()).await.unwrap();
    }
    fixture.store.delete_bucket(&fixture.bucket).await.unwrap();
    assert_eq!(fixture.memory.rows(), 0);
    let refused = fixture.store.begin_upload(begin).await;
    assert!(matches!(refused, Err(BeginUploadError::NoSuchBucket)), "{refused:?}");
}

#[tokio::test]
async fn nothing_is_found_or_stored_in_a_bucket_that_does_not_exist() {
    let fixture = fixture().await;
    let absent = bucket("absent");
    for size in [3, 1_000_000] {
        let put = PutObject {
            labels: Default::default(),
            bucket: absent.clone(),
            key: key("k"),
            metadata: Metadata::default(),
            body: NewBody::from_bytes(vec![1; size]),
            condition: WriteCondition::default(),
        };
        let answer = fixture.store.put_object(put).await;
        assert!(matches!(answer, Err(PutObjectError::NoSuchBucket)), "{answer:?}");
    }
    let mut get = fixture.get_of("k");
    get.bucket = absent.clone();
    assert!(matches!(
        fixture.store.head_object(&get).await,
        Err(GetObjectError::NoSuchBucket)
    ));
    let list = ListObjects {
        bucket: absent,
        prefix: String::new(),
        delimiter: String::new(),
        after: None,
        limit: 10,
    };
    assert!(matches!(
        fixture.store.list_objects(&list).await,
        Err(ListError::NoSuchBucket)
    ));
    assert_eq!(fixture.memory.bodies(), 0);
}
