//! Settings of buckets: set, seen at once, gone with the bucket, and never another bucket's.

use std::sync::Arc;

use super::{Scripted, bucket, fixture, key, store_over};
use crate::limits::SETTINGS_BYTES_MAX;
use crate::store::bucket::{BucketError, CreateBucketError, DeleteBucketError, NewBucket};
use crate::store::object::delete::DeleteObject;
use crate::store::object::put::PutObjectError;
use crate::store::record::settings::{BucketSettings, Quota};
use crate::store::settings::SettingsError;

fn policy(text: &'static str) -> impl Fn(&mut BucketSettings) + Send + Sync {
    move |settings| settings.policy = Some(text.to_owned())
}

#[tokio::test]
async fn a_change_is_seen_at_once_and_leaves_the_other_settings() {
    let fixture = fixture().await;
    let (store, name) = (&fixture.store, &fixture.bucket);
    assert!(store.bucket_settings(name).await.unwrap().is_none());
    assert_eq!(*store.settings_of(name).await.unwrap(), BucketSettings::default());
    store.change_settings(name, policy("one")).await.unwrap();
    let (first, rev) = store.bucket_settings(name).await.unwrap().unwrap();
    assert_eq!(first.policy.as_deref(), Some("one"));
    let quota = |settings: &mut BucketSettings| settings.quota = Some(Quota { bytes: 7 });
    store.change_settings(name, quota).await.unwrap();
    let (second, later) = store.bucket_settings(name).await.unwrap().unwrap();
    assert!(later > rev);
    assert_eq!(
        (second.policy.as_deref(), second.quota),
        (Some("one"), Some(Quota { bytes: 7 }))
    );
    // A change to what stands already is none.
    store.change_settings(name, quota).await.unwrap();
    assert_eq!(store.bucket_settings(name).await.unwrap().unwrap().1, later);
    let nothing = |settings: &mut BucketSettings| *settings = BucketSettings::default();
    store.change_settings(name, nothing).await.unwrap();
    assert!(store.bucket_settings(name).await.unwrap().is_none());
}

#[tokio::test]
async fn another_store_over_the_same_rows_sees_what_one_has_set() {
    let fixture = fixture().await;
    let other = fixture.restarted();
    for text in ["one", "two", "three"] {
        fixture
            .store
            .change_settings(&fixture.bucket, policy(text))
            .await
            .unwrap();
        let (seen, _) = other.store.bucket_settings(&fixture.bucket).await.unwrap().unwrap();
        assert_eq!(seen.policy.as_deref(), Some(text));
    }
}

#[tokio::test]
async fn settings_go_with_their_bucket_and_one_made_anew_has_none_but_its_own() {
    let fixture = fixture().await;
    let (store, name) = (&fixture.store, &fixture.bucket);
    store.change_settings(name, policy("old")).await.unwrap();
    store.delete_bucket(name).await.unwrap();
    assert_eq!(fixture.memory.rows(), 0);
    assert!(store.bucket_settings(name).await.unwrap().is_none());
    let gone = store.settings_of(name).await;
    assert!(matches!(gone, Err(BucketError::NoSuchBucket)), "{gone:?}");
    let refused = store.change_settings(name, policy("late")).await;
    assert!(matches!(refused, Err(SettingsError::NoSuchBucket)), "{refused:?}");
    let nothing = store.change_settings(name, |_| ()).await;
    assert!(matches!(nothing, Err(SettingsError::NoSuchBucket)), "{nothing:?}");
    let new = NewBucket {
        name: name.clone(),
        region: String::new(),
        owner: Some("alice".into()),
        settings: BucketSettings {
            quota: Some(Quota { bytes: 1 }),
            ..BucketSettings::default()
        },
    };
    let made = store.make_bucket(new.clone()).await.unwrap();
    assert_eq!(made.owner.as_deref(), Some("alice"));
    assert_eq!(store.head_bucket(name).await.unwrap(), made);
    assert_eq!(*store.settings_of(name).await.unwrap(), new.settings);
    let taken = store.create_bucket(name, "").await;
    assert!(
        matches!(&taken, Err(CreateBucketError::Exists { owner: Some(owner) }) if owner == "alice"),
        "{taken:?}"
    );
}

#[tokio::test]
async fn what_is_left_of_the_settings_of_a_bucket_before_is_not_found_on_one_made_anew() {
    let fixture = fixture().await;
    let (store, name) = (&fixture.store, super::bucket("again"));
    let left = BucketSettings {
        policy: Some("old".into()),
        ..BucketSettings::default()
    };
    let ops = vec![super::super::settings::settings_op(&name, &left).unwrap()];
    let batch = crate::backend::Batch { require: vec![], ops };
    crate::backend::Backend::commit(&fixture.memory, batch).await.unwrap();
    store.create_bucket(&name, "").await.unwrap();
    assert_eq!(*store.settings_of(&name).await.unwrap(), BucketSettings::default());
    assert!(store.bucket_settings(&name).await.unwrap().is_none());
}

#[tokio::test]
async fn settings_larger_than_a_row_are_refused_and_change_nothing() {
    let fixture = fixture().await;
    let large = |settings: &mut BucketSettings| settings.policy = Some("x".repeat(SETTINGS_BYTES_MAX));
    let refused = fixture.store.change_settings(&fixture.bucket, large).await;
    assert!(matches!(refused, Err(SettingsError::TooLarge { .. })), "{refused:?}");
    assert!(fixture.store.bucket_settings(&fixture.bucket).await.unwrap().is_none());
}

#[tokio::test]
async fn a_change_that_lost_a_race_keeps_what_the_other_set() {
    let fixture = fixture().await;
    let script = Scripted::over(&fixture.memory);
    let raced = store_over(script.clone(), 1);
    let (other, name) = (fixture.store.clone(), fixture.bucket.clone());
    script.before_next_commit(move || {
        Box::pin(async move {
            other.change_settings(&name, policy("theirs")).await.unwrap();
            None
        })
    });
    let quota = |settings: &mut BucketSettings| settings.quota = Some(Quota { bytes: 9 });
    raced.change_settings(&fixture.bucket, quota).await.unwrap();
    let (both, _) = fixture.store.bucket_settings(&fixture.bucket).await.unwrap().unwrap();
    assert_eq!(
        (both.policy.as_deref(), both.quota),
        (Some("theirs"), Some(Quota { bytes: 9 }))
    );
}

#[tokio::test]
async fn nothing_is_set_on_a_bucket_that_was_deleted_between_look_and_commit() {
    let fixture = fixture().await;
    fixture
        .store
        .change_settings(&fixture.bucket, policy("old"))
        .await
        .unwrap();
    for made_anew in [false, true] {
        let script = Scripted::over(&fixture.memory);
        let raced = store_over(script.clone(), 1);
        let (other, name) = (fixture.store.clone(), fixture.bucket.clone());
        script.before_next_commit(move || {
            Box::pin(async move {
                other.delete_bucket(&name).await.unwrap();
                if made_anew {
                    other.create_bucket(&name, "").await.unwrap();
                }
                None
            })
        });
        // What it changes was read from the bucket that is gone; the new one begins from nothing.
        let add = |settings: &mut BucketSettings| settings.quota = Some(Quota { bytes: 5 });
        let answer = raced.change_settings(&fixture.bucket, add).await;
        let found = fixture.store.bucket_settings(&fixture.bucket).await.unwrap();
        if made_anew {
            answer.unwrap();
            let (found, _) = found.unwrap();
            assert_eq!((&found.policy, found.quota), (&None, Some(Quota { bytes: 5 })));
        } else {
            assert!(matches!(answer, Err(SettingsError::NoSuchBucket)), "{answer:?}");
            assert!(found.is_none());
            fixture.store.create_bucket(&fixture.bucket, "").await.unwrap();
            fixture
                .store
                .change_settings(&fixture.bucket, policy("old"))
                .await
                .unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_setting_outlives_its_bucket_however_many_set_and_delete_at_once() {
    let fixture = fixture().await;
    let name = bucket("busy");
    for _ in 0..60 {
        fixture.store.create_bucket(&name, "").await.unwrap();
        let start = Arc::new(tokio::sync::Barrier::new(4));
        let mut tasks = Vec::new();
        for text in ["a", "b", "c"] {
            let (store, name, start) = (fixture.store.clone(), name.clone(), start.clone());
            tasks.push(tokio::spawn(async move {
                start.wait().await;
                match store.change_settings(&name, policy(text)).await {
                    Ok(()) | Err(SettingsError::NoSuchBucket | SettingsError::BucketBusy) => {}
                    Err(error) => panic!("{error:?}"),
                }
            }));
        }
        start.wait().await;
        let deleted = fixture.store.delete_bucket(&name).await;
        for task in tasks {
            task.await.unwrap();
        }
        // A writer that met the closed gate may have opened it again: then the bucket is still there.
        match deleted {
            Ok(()) => {}
            Err(DeleteBucketError::Busy) => fixture.store.delete_bucket(&name).await.unwrap(),
            Err(error) => panic!("{error:?}"),
        }
        assert!(fixture.store.bucket_settings(&name).await.unwrap().is_none());
    }
}

#[tokio::test]
async fn who_was_judged_on_a_bucket_writes_nothing_to_the_one_made_in_its_place() {
    let fixture = fixture().await;
    let (store, name) = (&fixture.store, &fixture.bucket);
    let (_, rev) = store.look_at_bucket(name).await.unwrap().unwrap();
    let judged = store.only_while(name, rev);
    judged.change_settings(name, policy("mine")).await.unwrap();
    judged.put_object(fixture.put_of("a", "mine")).await.unwrap();
    let delete = DeleteObject {
        bucket: name.clone(),
        key: key("a"),
        version: None,
        condition: Default::default(),
    };
    store.delete_object(&delete).await.unwrap();
    store.delete_bucket(name).await.unwrap();
    store.create_bucket(name, "").await.unwrap();
    let refused = judged.change_settings(name, policy("mine")).await;
    assert!(matches!(refused, Err(SettingsError::BucketBusy)), "{refused:?}");
    let refused = judged.put_object(fixture.put_of("a", "mine")).await;
    assert!(matches!(refused, Err(PutObjectError::BucketBusy)), "{refused:?}");
    let refused = judged.delete_bucket(name).await;
    assert!(matches!(refused, Err(DeleteBucketError::Busy)), "{refused:?}");
    assert!(store.bucket_settings(name).await.unwrap().is_none());
    fixture.assert_absent("a").await;
    // Of other buckets nothing was said.
    let other = bucket("other");
    store.create_bucket(&other, "").await.unwrap();
    judged.change_settings(&other, policy("open")).await.unwrap();
}

#[tokio::test]
async fn a_put_reads_the_settings_of_its_bucket_once_and_its_event_once_more() {
    for quota in [None, Some(crate::store::record::settings::Quota { bytes: 1_000 })] {
        for files in [false, true] {
            let all = super::fixture().await;
            let changed = all.store.change_settings(&all.bucket, |settings| {
                (settings.files, settings.quota) = (files, quota);
            });
            changed.await.unwrap();
            let scripted = super::Scripted::over(&all.memory);
            let store = super::store_over(scripted.clone(), 1);
            let now = crate::store::clock::Timestamp::from_millis(1);
            let file = crate::store::files::File::pending("k".into(), [1; 16], "a".into(), now);
            let id = crate::store::files::FileId::new(now, [1; 10]);
            store.create_file(&all.bucket, id, &file).await.unwrap();
            let reads = || scripted.settings_reads.load(std::sync::atomic::Ordering::Relaxed);
            let before = reads();
            store.put_object(all.put_of("k", "bytes")).await.unwrap();
            // Whoever tells what happened to a file looks for itself whether somebody listens.
            let most = 1 + u64::from(files);
            assert!(
                (1..=most).contains(&(reads() - before)),
                "{quota:?}, catalogue: {files}"
            );
        }
    }
}
