//! Owner, tags and visibility of objects: kept through every way an object is made, changed without touching its bytes.

use super::{MIB, Scripted, fixture, key, pattern, store_over};
use crate::store::clock::Timestamp;
use crate::store::condition::{WriteCondition, WriteRefused};
use crate::store::judged::Found;
use crate::store::multipart::begin::BeginUpload;
use crate::store::object::copy::{CopyObject, CopyObjectError, CopySource};
use crate::store::object::delete::DeleteObject;
use crate::store::object::labels::{LabelsError, ObjectPlace};
use crate::store::object::put::{PutObject, PutObjectError};
use crate::store::record::labels::{Labels, Visibility};
use crate::store::record::object::Metadata;
use crate::store::share::{Share, ShareAccess, ShareId, ShareTarget};
use crate::store::tags::Tags;

fn tags(pairs: &[(&str, &str)]) -> Tags {
    Tags::of_object(pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()).unwrap()
}

fn alices() -> Labels {
    Labels {
        owner: Some("alice".into()),
        tags: tags(&[("colour", "red")]),
        visibility: Some(Visibility::Public),
        ..Labels::default()
    }
}

fn shared() -> Labels {
    let share = |id: u8, target: ShareTarget| Share {
        id: ShareId::from_bytes([id; 8]),
        target,
        access: ShareAccess::Write,
        made: Timestamp::from_millis(1),
        expires: None,
        name: None,
    };
    Labels {
        visibility: Some(Visibility::Shared),
        shares: vec![
            share(1, ShareTarget::User("bob".into())),
            share(2, ShareTarget::Link([7; 32])),
        ],
        ..alices()
    }
}

impl super::Fixture {
    fn object_place(&self, name: &str) -> ObjectPlace {
        ObjectPlace {
            bucket: self.bucket.clone(),
            key: key(name),
            version: None,
        }
    }

    async fn labels(&self, name: &str) -> Labels {
        let found = self.store.look_at(&self.object_place(name)).await.unwrap();
        found.unwrap().0.labels
    }

    fn relabelled(&self, from: &str, to: &str) -> CopyObject {
        CopyObject {
            source: CopySource {
                bucket: self.bucket.clone(),
                key: key(from),
                version: None,
                conditions: Default::default(),
            },
            bucket: self.bucket.clone(),
            key: key(to),
            metadata: None,
            storage_class: None,
            tags: None,
            owner: Some("bob".into()),
            visibility: None,
            offered: false,
            checksum: None,
            condition: WriteCondition::default(),
        }
    }
}

#[tokio::test]
async fn labels_come_with_a_put_and_with_an_upload_and_go_with_the_next_put() {
    let fixture = fixture().await;
    let put = PutObject {
        labels: alices(),
        ..fixture.put_of("k", "v")
    };
    fixture.store.put_object(put).await.unwrap();
    assert_eq!(fixture.labels("k").await, alices());
    fixture.put("k", "v").await;
    assert_eq!(fixture.labels("k").await, Labels::default());
    let begin = BeginUpload {
        bucket: fixture.bucket.clone(),
        key: key("joined"),
        metadata: Metadata::default(),
        labels: alices(),
        initiator: None,
        checksum: None,
    };
    let upload = fixture.store.begin_upload(begin).await.unwrap();
    let part = fixture.part("joined", upload, 1, &pattern(MIB)).await;
    let complete = fixture.complete_of("joined", upload, &[part]);
    fixture.store.complete_upload(complete).await.unwrap();
    assert_eq!(fixture.labels("joined").await, alices());
}

#[tokio::test]
async fn a_change_of_labels_leaves_bytes_etag_and_time() {
    let fixture = fixture().await;
    for (name, size) in [("empty", 0), ("small", 1_000), ("large", 2 * MIB)] {
        let stored = fixture.put(name, pattern(size)).await;
        let place = fixture.object_place(name);
        let changed = fixture
            .store
            .change_labels(&place, None, |labels| *labels = alices())
            .await
            .unwrap();
        assert_eq!((changed.etag, changed.modified), (stored.etag, stored.modified));
        assert_eq!(fixture.labels(name).await, alices());
        assert_eq!(fixture.get(name).await, pattern(size));
        let (_, rev) = fixture.store.look_at(&place).await.unwrap().unwrap();
        fixture.store.change_labels(&place, None, |_| ()).await.unwrap();
        assert_eq!(fixture.store.look_at(&place).await.unwrap().unwrap().1, rev);
    }
    assert_eq!(fixture.memory.bodies(), 2);
}

#[tokio::test]
async fn labels_are_changed_on_the_object_that_was_judged_or_not_at_all() {
    let fixture = fixture().await;
    fixture.put("k", "one").await;
    let place = fixture.object_place("k");
    let (_, judged) = fixture.store.look_at(&place).await.unwrap().unwrap();
    let script = Scripted::over(&fixture.memory);
    let raced = store_over(script.clone(), 1);
    let other = (fixture.store.clone(), fixture.put_of("k", "two"));
    script.before_next_commit(move || {
        Box::pin(async move {
            other.0.put_object(other.1).await.unwrap();
            None
        })
    });
    let publish = |labels: &mut Labels| labels.visibility = Some(Visibility::Public);
    let refused = raced.change_labels(&place, Some(judged), publish).await;
    assert!(matches!(refused, Err(LabelsError::Changed)), "{refused:?}");
    assert_eq!(fixture.labels("k").await.visibility, None);
    let (_, judged) = fixture.store.look_at(&place).await.unwrap().unwrap();
    fixture
        .store
        .change_labels(&place, Some(judged), publish)
        .await
        .unwrap();
    assert_eq!(fixture.labels("k").await.visibility, Some(Visibility::Public));
    assert_eq!(fixture.get("k").await, "two");
    let absent = fixture
        .store
        .change_labels(&fixture.object_place("absent"), None, publish)
        .await;
    assert!(matches!(absent, Err(LabelsError::NoSuchKey)), "{absent:?}");
}

#[tokio::test]
async fn a_copy_takes_the_tags_and_neither_owner_nor_visibility() {
    let fixture = fixture().await;
    let put = PutObject {
        labels: alices(),
        ..fixture.put_of("k", "v")
    };
    fixture.store.put_object(put).await.unwrap();
    let copied = fixture.relabelled("k", "copied");
    fixture.store.copy_object(copied).await.unwrap();
    let expected = Labels {
        owner: Some("bob".into()),
        tags: alices().tags,
        ..Labels::default()
    };
    assert_eq!(fixture.labels("copied").await, expected);
    let replaced = CopyObject {
        tags: Some(tags(&[("size", "m")])),
        visibility: Some(Visibility::Protected),
        offered: false,
        ..fixture.relabelled("k", "replaced")
    };
    fixture.store.copy_object(replaced).await.unwrap();
    let expected = Labels {
        owner: Some("bob".into()),
        tags: tags(&[("size", "m")]),
        visibility: Some(Visibility::Protected),
        ..Labels::default()
    };
    assert_eq!(fixture.labels("replaced").await, expected);
}

#[tokio::test]
async fn a_copy_onto_itself_may_change_tags_or_visibility_and_leaves_the_owner() {
    let fixture = fixture().await;
    let put = PutObject {
        labels: alices(),
        ..fixture.put_of("k", "v")
    };
    fixture.store.put_object(put).await.unwrap();
    let nothing = fixture.store.copy_object(fixture.relabelled("k", "k")).await;
    assert!(matches!(nothing, Err(CopyObjectError::NothingChanges)), "{nothing:?}");
    let retagged = CopyObject {
        tags: Some(Tags::default()),
        ..fixture.relabelled("k", "k")
    };
    fixture.store.copy_object(retagged).await.unwrap();
    let expected = Labels {
        tags: Tags::default(),
        ..alices()
    };
    assert_eq!(fixture.labels("k").await, expected);
    assert_eq!(fixture.get("k").await, "v");
}

#[tokio::test]
async fn a_shared_object_that_is_written_over_stays_whose_it_is_and_shared_unless_the_write_names_a_visibility() {
    let fixture = fixture().await;
    let bobs = || Labels {
        owner: Some("bob".into()),
        ..Labels::default()
    };
    let stays = Labels {
        tags: Tags::default(),
        ..shared()
    };
    let put = |name: &str, labels: Labels| PutObject {
        labels,
        ..fixture.put_of(name, "v")
    };
    // By a PUT, by a copy, and by an upload in parts that was begun before it was shared.
    let begin = BeginUpload {
        bucket: fixture.bucket.clone(),
        key: key("k"),
        metadata: Metadata::default(),
        labels: bobs(),
        initiator: None,
        checksum: None,
    };
    let upload = fixture.store.begin_upload(begin).await.unwrap();
    let part = fixture.part("k", upload, 1, &pattern(MIB)).await;
    fixture.store.put_object(put("k", shared())).await.unwrap();
    fixture.store.put_object(put("k", bobs())).await.unwrap();
    assert_eq!(fixture.labels("k").await, stays);
    fixture.put("source", "s").await;
    let copy = fixture.relabelled("source", "k");
    fixture.store.copy_object(copy).await.unwrap();
    assert_eq!(fixture.labels("k").await, stays);
    let complete = fixture.complete_of("k", upload, &[part]);
    fixture.store.complete_upload(complete).await.unwrap();
    assert_eq!(fixture.labels("k").await, stays);
    // One that names a visibility makes an object of its own.
    let named = Labels {
        visibility: Some(Visibility::Private),
        ..bobs()
    };
    fixture.store.put_object(put("k", named.clone())).await.unwrap();
    assert_eq!(fixture.labels("k").await, named);
    // And what was deleted leaves nothing behind.
    fixture.store.put_object(put("gone", shared())).await.unwrap();
    let delete = DeleteObject {
        bucket: fixture.bucket.clone(),
        key: key("gone"),
        version: None,
        condition: WriteCondition::default(),
    };
    fixture.store.delete_object(&delete).await.unwrap();
    fixture.store.put_object(put("gone", bobs())).await.unwrap();
    assert_eq!(fixture.labels("gone").await, bobs());
}

#[tokio::test]
async fn whoever_may_only_replace_an_object_replaces_that_very_object_and_only_its_bytes() {
    let fixture = fixture().await;
    let put = |name: &str, labels: Labels| PutObject {
        labels,
        ..fixture.put_of(name, "v")
    };
    fixture.store.put_object(put("k", shared())).await.unwrap();
    let look = || async {
        fixture
            .store
            .look_at(&fixture.object_place("k"))
            .await
            .unwrap()
            .unwrap()
            .1
    };
    let judged = look().await;
    let narrow = fixture
        .store
        .only_on(&fixture.bucket, &key("k"), Found::Replaceable(judged));
    narrow.put_object(put("k", Labels::default())).await.unwrap();
    assert_eq!(fixture.labels("k").await, shared());
    // Its own write was one, too; and nothing else may be put.
    for name in ["k", "other"] {
        let refused = narrow.put_object(put(name, Labels::default())).await;
        assert!(
            matches!(refused, Err(PutObjectError::Refused(WriteRefused::Conflict))),
            "{refused:?}"
        );
    }
    let judged = look().await;
    let narrow = fixture
        .store
        .only_on(&fixture.bucket, &key("k"), Found::Replaceable(judged));
    let close = |labels: &mut Labels| labels.visibility = Some(Visibility::Private);
    fixture
        .store
        .change_labels(&fixture.object_place("k"), None, close)
        .await
        .unwrap();
    let refused = narrow.put_object(put("k", Labels::default())).await;
    assert!(
        matches!(refused, Err(PutObjectError::Refused(WriteRefused::Conflict))),
        "{refused:?}"
    );
}
