//! What a file was: kept when other bytes take its place, brought back, and gone with its file.

use std::sync::Arc;

use crate::backend::{Backend, CommitError};
use crate::limits::FILE_VERSIONS_MAX;
use crate::store::clock::Timestamp;
use crate::store::error::Fault;
use crate::store::files::{File, FileError, FileId, FileState, FileVersionId, Removed, ReplacedVersion};
use crate::store::object::put::PutObjectError;
use crate::store::record::labels::Visibility;
use crate::store::record::settings::Quota;
use crate::store::tests::files::png;
use crate::store::tests::{Fixture, Scripted, store_over, with_catalogue};

impl Fixture {
    /// Puts other bytes in the place of those of a file, which are kept.
    pub(super) async fn replace(&self, name: &str, body: &str) {
        let store = self.store.witnessed(png()).keeping_replaced();
        store.put_object(self.put_of(name, body.to_owned())).await.unwrap();
    }

    pub(super) async fn versions(&self, id: FileId) -> Vec<FileVersionId> {
        let versions = self.store.file_versions(&self.bucket, &id).await.unwrap();
        versions.into_iter().map(|(version, _)| version).collect()
    }

    async fn sizes(&self, id: FileId) -> Vec<u64> {
        let versions = self.store.file_versions(&self.bucket, &id).await.unwrap();
        versions.into_iter().map(|(_, was)| was.size).collect()
    }

    /// A file with bytes.
    async fn with_bytes(&self, n: u64, name: &str, body: &str) -> FileId {
        let id = self.create(n, name).await;
        self.witnessed().put(&format!("k/{name}"), body.to_owned()).await;
        id
    }
}

#[tokio::test]
async fn bytes_that_are_replaced_are_kept_and_come_back_whole() {
    let all = with_catalogue().await;
    let id = all.with_bytes(1, "a", "first").await;
    let first = all.file(id).await.unwrap();
    all.replace("k/a", "the second").await;
    assert_eq!(all.get("k/a").await, "the second");
    let second = all.file(id).await.unwrap();
    assert_eq!((second.size, second.epoch), (10, 1));
    all.agrees().await;
    let versions = all.store.file_versions(&all.bucket, &id).await.unwrap();
    let [(version, was)] = versions.as_slice() else {
        panic!("{versions:?}");
    };
    assert_eq!((was.size, was.etag, was.received), (5, first.etag, first.received));
    let back = all
        .store
        .restore_file_version(&all.bucket, id, *version, None)
        .await
        .unwrap();
    assert_eq!((back.size, back.etag, back.epoch), (5, first.etag, 2));
    assert_eq!(all.get("k/a").await, "first");
    assert_eq!(all.sizes(id).await, [10], "the present bytes became a version in turn");
    all.agrees().await;
    let gone = all.store.restore_file_version(&all.bucket, id, *version, None).await;
    assert!(matches!(gone, Err(FileError::NoSuchVersion)), "{gone:?}");
}

#[tokio::test]
async fn what_is_said_of_a_file_stays_when_its_bytes_come_back() {
    let all = with_catalogue().await;
    let id = all.with_bytes(1, "a", "first").await;
    all.replace("k/a", "second").await;
    let close = |file: &mut File| {
        file.labels.visibility = Some(Visibility::Private);
        file.name = "renamed".into();
    };
    all.store.change_file(&all.bucket, id, None, close).await.unwrap();
    let [version] = all.versions(id).await[..] else {
        panic!()
    };
    let back = all
        .store
        .restore_file_version(&all.bucket, id, version, None)
        .await
        .unwrap();
    assert_eq!(
        (back.name.as_str(), back.labels.visibility),
        ("renamed", Some(Visibility::Private))
    );
    assert_eq!(
        all.object("k/a").await.unwrap().labels.visibility,
        Some(Visibility::Private)
    );
    all.agrees().await;
}

#[tokio::test]
async fn bytes_nobody_looked_at_are_held_again_when_they_come_back() {
    let all = with_catalogue().await;
    let id = all.create(1, "a").await;
    all.put("k/a", "unseen").await;
    all.replace("k/a", "seen").await;
    assert_eq!(all.file(id).await.unwrap().state, FileState::Active);
    let [version] = all.versions(id).await[..] else {
        panic!()
    };
    let back = all
        .store
        .restore_file_version(&all.bucket, id, version, None)
        .await
        .unwrap();
    assert_eq!(back.state, FileState::Received);
    all.agrees().await;
}

#[tokio::test]
async fn a_file_keeps_few_versions_and_the_oldest_gives_way() {
    let all = with_catalogue().await;
    let id = all.with_bytes(1, "a", "").await;
    for length in 1..=FILE_VERSIONS_MAX + 2 {
        all.replace("k/a", &"x".repeat(length)).await;
    }
    let newest = (FILE_VERSIONS_MAX + 1) as u64;
    let expected: Vec<u64> = (2..=newest).rev().collect();
    assert_eq!(all.sizes(id).await, expected);
    all.agrees().await;
    // One that comes back gives its place to the one it takes the place of.
    let oldest = *all.versions(id).await.last().unwrap();
    all.store
        .restore_file_version(&all.bucket, id, oldest, None)
        .await
        .unwrap();
    let mut expected: Vec<u64> = (3..=newest + 1).rev().collect();
    assert_eq!(all.sizes(id).await, expected);
    all.agrees().await;
    let version = all.versions(id).await[1];
    all.store.remove_file_version(&all.bucket, id, version).await.unwrap();
    expected.remove(1);
    assert_eq!(all.sizes(id).await, expected);
    let again = all.store.remove_file_version(&all.bucket, id, version).await;
    assert!(matches!(again, Err(FileError::NoSuchVersion)), "{again:?}");
    all.agrees().await;
    assert_eq!(
        all.memory.bodies(),
        FILE_VERSIONS_MAX,
        "the present bytes and one less than may be kept"
    );
}

#[tokio::test]
async fn versions_lie_in_the_trash_with_their_file_and_go_with_it() {
    let all = with_catalogue().await;
    let id = all.with_bytes(1, "a", "first").await;
    all.replace("k/a", "second").await;
    let removed = all.store.trash_file(&all.bucket, id, None).await.unwrap();
    assert!(matches!(removed, Removed::Trashed(_)));
    all.agrees().await;
    // Another file with the key has versions of its own.
    all.witnessed().put("k/a", "another").await;
    let (other, _) = all.file_at("k/a").await.unwrap();
    all.replace("k/a", "and another").await;
    assert_eq!((all.sizes(id).await, all.sizes(other).await), (vec![5], vec![7]));
    all.agrees().await;
    let [version] = all.versions(id).await[..] else {
        panic!()
    };
    let refused = all.store.restore_file_version(&all.bucket, id, version, None).await;
    assert!(
        matches!(refused, Err(FileError::State(FileState::Trashed))),
        "{refused:?}"
    );
    all.store.purge_file(&all.bucket, id, None).await.unwrap();
    assert_eq!(all.sizes(id).await, [0; 0]);
    all.agrees().await;
    all.delete("k/a").await;
    assert_eq!(all.file(other).await, None);
    all.agrees().await;
    assert_eq!(all.memory.bodies(), 0);
    all.store.delete_bucket(&all.bucket).await.unwrap();
}

#[tokio::test]
async fn a_file_that_is_refused_keeps_none_of_its_bytes() {
    let all = with_catalogue().await;
    let id = all.with_bytes(1, "a", "first").await;
    all.replace("k/a", "second").await;
    all.store
        .reject_file(&all.bucket, id, None, "not an image")
        .await
        .unwrap();
    all.agrees().await;
    assert_eq!(all.memory.bodies(), 0);
}

#[tokio::test]
async fn bytes_that_are_written_over_by_other_doors_are_not_kept() {
    let all = with_catalogue().await;
    let id = all.with_bytes(1, "a", "first").await;
    all.put("k/a", "second").await;
    assert_eq!(all.sizes(id).await, [0; 0]);
    assert_eq!(all.memory.bodies(), 1);
    all.agrees().await;
}

#[tokio::test]
async fn a_replacement_that_fails_or_comes_second_leaves_everything_as_it_was() {
    let all = with_catalogue().await;
    let id = all.with_bytes(1, "a", "first").await;
    let scripted = Scripted::over(&all.memory);
    let store = store_over(Arc::clone(&scripted) as Arc<dyn Backend>, 3);
    let store = store.witnessed(png()).keeping_replaced();
    scripted.fail_next_commit(CommitError::Full("no space".into()));
    let failed = store.put_object(all.put_of("k/a", "second")).await;
    assert!(
        matches!(failed, Err(PutObjectError::Fault(Fault::Full(_)))),
        "{failed:?}"
    );
    assert_eq!((all.get("k/a").await, all.sizes(id).await), ("first".into(), vec![]));
    all.agrees().await;
    let (other, put) = (
        all.store.witnessed(png()).keeping_replaced(),
        all.put_of("k/a", "the other"),
    );
    scripted.before_next_commit(move || {
        Box::pin(async move {
            other.put_object(put).await.unwrap();
            None
        })
    });
    let raced = store.put_object(all.put_of("k/a", "second")).await;
    assert!(matches!(raced, Err(PutObjectError::Refused(_))), "{raced:?}");
    assert_eq!(
        (all.get("k/a").await, all.sizes(id).await),
        ("the other".into(), vec![5])
    );
    all.agrees().await;
    // What comes back is what it was asked for, though others came in between.
    let [version] = all.versions(id).await[..] else {
        panic!()
    };
    let (other, put) = (
        all.store.witnessed(png()).keeping_replaced(),
        all.put_of("k/a", "third"),
    );
    scripted.before_next_commit(move || {
        Box::pin(async move {
            other.put_object(put).await.unwrap();
            None
        })
    });
    store
        .restore_file_version(&all.bucket, id, version, None)
        .await
        .unwrap();
    assert_eq!(
        (all.get("k/a").await, all.sizes(id).await),
        ("first".into(), vec![5, 9])
    );
    all.agrees().await;
}

#[tokio::test]
async fn versions_count_for_no_quota_until_they_come_back() {
    let all = with_catalogue().await;
    let id = all.with_bytes(1, "a", "nine byte").await;
    all.replace("k/a", "x").await;
    let limited = all
        .store
        .change_settings(&all.bucket, |settings| settings.quota = Some(Quota { bytes: 5 }));
    limited.await.unwrap();
    let [version] = all.versions(id).await[..] else {
        panic!()
    };
    let refused = all.store.restore_file_version(&all.bucket, id, version, None).await;
    assert!(matches!(refused, Err(FileError::OverQuota(_))), "{refused:?}");
    assert_eq!((all.get("k/a").await, all.sizes(id).await), ("x".into(), vec![9]));
    all.agrees().await;
}

#[tokio::test]
async fn versions_of_all_files_are_found_page_by_page() {
    let all = with_catalogue().await;
    let mut ids = Vec::new();
    for n in 1..=3 {
        let id = all.with_bytes(n, &n.to_string(), "first").await;
        all.replace(&format!("k/{n}"), "second").await;
        all.replace(&format!("k/{n}"), "third").await;
        ids.extend([id, id]);
    }
    let (mut found, mut after) = (Vec::<ReplacedVersion>::new(), None);
    loop {
        let page = all
            .store
            .replaced_versions(&all.bucket, after.as_ref(), 2)
            .await
            .unwrap();
        let Some(last) = page.last().copied() else { break };
        after = Some(last);
        found.extend(page);
    }
    assert_eq!(found.iter().map(|version| version.file).collect::<Vec<_>>(), ids);
    assert!(found.iter().all(|version| version.replaced > Timestamp::from_millis(0)));
}
