//! The store over local drives: what was answered is there after a restart.

use std::sync::Arc;

use bytes::Bytes;

use super::{Fixture, MIB, bucket, key, pattern, store_over};
use crate::embedded::{Embedded, OpenOptions};
use crate::memory::MemoryBackend;
use crate::store::condition::WriteCondition;
use crate::store::list::{ListObjects, Listed};
use crate::store::object::delete::DeleteObject;
use crate::store::object::put::PutObjectError;

async fn open(dir: &std::path::Path, epoch: u8) -> (Arc<Embedded>, Fixture) {
    let options = OpenOptions {
        drives: (1..=4).map(|n| dir.join(format!("data{n}"))).collect(),
        ..OpenOptions::default()
    };
    let drives = Embedded::open(options).await.unwrap();
    let fixture = Fixture {
        store: store_over(drives.clone(), epoch),
        memory: MemoryBackend::new(),
        bucket: bucket("abc"),
    };
    (drives, fixture)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn objects_and_uploads_survive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (drives, fixture) = open(dir.path(), 1).await;
    fixture.store.create_bucket(&fixture.bucket, "eu").await.unwrap();
    let (small, large) = (pattern(4096), pattern(3 * MIB + 7));
    for (name, bytes) in [
        ("small", &small),
        ("large", &large),
        ("a/empty", &Bytes::new()),
        ("gone", &small),
    ] {
        fixture.put(name, Bytes::from_static(b"first")).await;
        fixture.put(name, bytes.clone()).await;
    }
    let delete = DeleteObject {
        bucket: fixture.bucket.clone(),
        key: key("gone"),
        version: None,
        condition: WriteCondition::default(),
    };
    fixture.store.delete_object(&delete).await.unwrap();
    let parts = [pattern(5 * MIB), pattern(100)];
    let done = fixture.begin("joined", None).await;
    let open_still = fixture.begin("later", None).await;
    let mut named = Vec::new();
    for (at, bytes) in (1..).zip(&parts) {
        named.push(fixture.part("joined", done, at, bytes).await);
    }
    let first = fixture.part("later", open_still, 1, &small).await;
    let first_time = fixture
        .store
        .complete_upload(fixture.complete_of("joined", done, &named))
        .await
        .unwrap();
    drives.close().await;
    drop((drives, fixture));

    let (drives, fixture) = open(dir.path(), 2).await;
    assert_eq!(fixture.store.head_bucket(&fixture.bucket).await.unwrap().region, "eu");
    fixture.store.sweep_ended_uploads().await.unwrap();
    assert!(fixture.get("small").await == small && fixture.get("large").await == large);
    assert!(fixture.get("a/empty").await.is_empty());
    assert!(fixture.get("joined").await == parts.concat());
    fixture.assert_absent("gone").await;
    let again = fixture
        .store
        .complete_upload(fixture.complete_of("joined", done, &named))
        .await
        .unwrap();
    assert_eq!(again.stored, first_time.stored);
    assert_eq!((first_time.before, again.before), (false, true));
    fixture
        .store
        .complete_upload(fixture.complete_of("later", open_still, &[first]))
        .await
        .unwrap();
    assert!(fixture.get("later").await == small);
    let twice = fixture
        .put_if("small", "other", WriteCondition::if_none_match_any())
        .await;
    assert!(matches!(twice, Err(PutObjectError::Refused(_))), "{twice:?}");
    assert_eq!(listing(&fixture).await, ["a/", "joined", "large", "later", "small"]);
    drives.close().await;
}

/// Keys and common prefixes at the top of the bucket.
async fn listing(fixture: &Fixture) -> Vec<String> {
    let list = ListObjects {
        bucket: fixture.bucket.clone(),
        prefix: String::new(),
        delimiter: "/".into(),
        after: None,
        limit: 1_000,
    };
    let page = fixture.store.list_objects(&list).await.unwrap();
    page.items
        .into_iter()
        .map(|item| match item {
            Listed::Item(listed) => listed.key.into_string(),
            Listed::CommonPrefix(prefix) => prefix,
        })
        .collect()
}
