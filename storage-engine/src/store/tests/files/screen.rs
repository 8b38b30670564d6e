//! Bytes that nobody reads until they were scanned: held back at every door, and whatever is done with their file.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{announced, id, png};
use crate::store::clock::Timestamp;
use crate::store::files::{File, FileError, FileId, FileState, Removed, Screen};
use crate::store::name::BucketName;
use crate::store::object::copy::{CopyObject, CopySource};
use crate::store::object::labels::ObjectPlace;
use crate::store::record::labels::{Barred, Visibility};
use crate::store::record::scan::{ScanRecord, ScanVerdict};
use crate::store::record::settings::Quota;
use crate::store::tests::{Fixture, key, with_catalogue};

/// Holds back what comes in for every bucket of the application but one.
#[derive(Default)]
struct Held(AtomicUsize);

const FREE: &str = "free";

impl Screen for Held {
    fn holds_back(&self, _: &BucketName, file: &File) -> bool {
        file.bucket.as_deref() != Some(FREE)
    }

    fn came(&self, _: &BucketName) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

async fn screened() -> (Fixture, Arc<Held>) {
    let (all, held) = (with_catalogue().await, Arc::new(Held::default()));
    let store = all.store.screened(Arc::clone(&held) as Arc<dyn Screen>);
    (Fixture { store, ..all }, held)
}

fn scan(verdict: ScanVerdict) -> ScanRecord {
    ScanRecord {
        verdict,
        engine: "own".into(),
        signature: None,
        at: Timestamp::from_millis(9),
        released: None,
    }
}

impl Fixture {
    /// A file whose bytes wait to be scanned.
    async fn waiting(&self, n: u64, name: &str) -> FileId {
        let id = self.create(n, name).await;
        self.witnessed().put(&format!("k/{name}"), "bytes").await;
        id
    }

    async fn turn(&self, id: FileId, state: FileState) -> Result<File, FileError> {
        let change = |file: &mut File| file.state = state;
        self.store.change_file(&self.bucket, id, None, change).await
    }

    async fn barred(&self, name: &str) -> Option<Barred> {
        self.object(name).await.unwrap().labels.barred
    }
}

#[tokio::test]
async fn bytes_that_come_in_are_barred_until_somebody_lets_them_be_read() {
    let (all, held) = screened().await;
    let seen = all.waiting(1, "seen").await;
    assert_eq!(all.file(seen).await.unwrap().state, FileState::Scanning);
    assert_eq!(all.barred("k/seen").await, Some(Barred::Scanning));
    assert!(held.0.load(Ordering::Relaxed) > 0, "nobody was told");
    // Unseen ones are looked at first, and are not readable then either.
    let unseen = all.create(2, "unseen").await;
    all.put("k/unseen", "bytes").await;
    assert_eq!(all.file(unseen).await.unwrap().state, FileState::Received);
    assert_eq!(all.barred("k/unseen").await, Some(Barred::Scanning));
    let refused = all.turn(unseen, FileState::Active).await;
    assert!(
        matches!(refused, Err(FileError::State(FileState::Received))),
        "{refused:?}"
    );
    let before = held.0.load(Ordering::Relaxed);
    all.turn(unseen, FileState::Scanning).await.unwrap();
    assert!(held.0.load(Ordering::Relaxed) > before, "nobody was told");
    all.agrees().await;
    for (id, name) in [(seen, "k/seen"), (unseen, "k/unseen")] {
        all.turn(id, FileState::Quarantined).await.unwrap();
        assert_eq!(all.barred(name).await, Some(Barred::Quarantined));
        all.agrees().await;
        all.turn(id, FileState::Active).await.unwrap();
        assert_eq!(all.barred(name).await, None);
        all.agrees().await;
        all.turn(id, FileState::Scanning).await.unwrap();
        assert_eq!(all.barred(name).await, Some(Barred::Scanning));
        all.agrees().await;
    }
}

#[tokio::test]
async fn no_change_takes_a_file_into_a_state_that_is_not_next() {
    let (all, _) = screened().await;
    let pending = all.create(1, "pending").await;
    let waiting = all.waiting(2, "waiting").await;
    let bad = all.waiting(3, "bad").await;
    all.turn(bad, FileState::Quarantined).await.unwrap();
    let good = all.waiting(4, "good").await;
    all.turn(good, FileState::Active).await.unwrap();
    for (id, next) in [
        (pending, &[][..]),
        (waiting, &[FileState::Active, FileState::Quarantined]),
        (bad, &[FileState::Active, FileState::Scanning]),
        (good, &[FileState::Scanning]),
    ] {
        let from = all.file(id).await.unwrap().state;
        for state in FileState::ALL
            .into_iter()
            .filter(|state| *state != from && !next.contains(state))
        {
            let refused = all.turn(id, state).await;
            assert!(
                matches!(refused, Err(FileError::State(found)) if found == from),
                "{from:?} {state:?} {refused:?}"
            );
        }
    }
    // What was said of it cannot be unsaid of its object.
    let unbar = |file: &mut File| file.labels.barred = None;
    all.store.change_file(&all.bucket, bad, None, unbar).await.unwrap();
    assert_eq!(all.barred("k/bad").await, Some(Barred::Quarantined));
    all.agrees().await;
}

#[tokio::test]
async fn whatever_is_said_of_a_barred_object_it_stays_barred() {
    let (all, _) = screened().await;
    let id = all.waiting(1, "a").await;
    all.turn(id, FileState::Quarantined).await.unwrap();
    let place = ObjectPlace {
        bucket: all.bucket.clone(),
        key: key("k/a"),
        version: None,
    };
    let open = |labels: &mut crate::store::record::labels::Labels| labels.visibility = Some(Visibility::Public);
    all.store.change_labels(&place, None, open).await.unwrap();
    let onto_itself = CopyObject {
        source: CopySource {
            bucket: all.bucket.clone(),
            key: key("k/a"),
            version: None,
            conditions: Default::default(),
        },
        bucket: all.bucket.clone(),
        key: key("k/a"),
        metadata: Some(Default::default()),
        storage_class: None,
        tags: None,
        owner: None,
        visibility: Some(Visibility::Public),
        offered: false,
        checksum: None,
        condition: Default::default(),
    };
    all.store.copy_object(onto_itself).await.unwrap();
    assert_eq!(all.barred("k/a").await, Some(Barred::Quarantined));
    assert_eq!(all.file(id).await.unwrap().state, FileState::Quarantined);
    let labels = all.object("k/a").await.unwrap().labels;
    assert_eq!(labels.in_effect(Some(Visibility::Public)), Some(Visibility::Private));
    all.agrees().await;
}

#[tokio::test]
async fn barred_bytes_come_back_barred_out_of_the_trash_and_as_versions() {
    let (all, _) = screened().await;
    for (n, name, state) in [(1, "a", FileState::Scanning), (2, "b", FileState::Quarantined)] {
        let id = all.waiting(n, name).await;
        if state == FileState::Quarantined {
            all.turn(id, state).await.unwrap();
        }
        let removed = all.store.trash_file(&all.bucket, id, None).await.unwrap();
        assert!(matches!(removed, Removed::Trashed(_)), "{removed:?}");
        all.agrees().await;
        let back = all.store.restore_file(&all.bucket, id, None).await.unwrap();
        assert_eq!(back.state, state);
        all.agrees().await;
        // Clean bytes take the place of these, and give way to them again.
        all.turn(id, FileState::Active).await.unwrap();
        all.replace(&format!("k/{name}"), "other bytes").await;
        assert_eq!(all.file(id).await.unwrap().state, FileState::Scanning);
        all.turn(id, FileState::Quarantined).await.unwrap();
        let [clean] = all.versions(id).await[..] else {
            panic!("not one version");
        };
        let back = all
            .store
            .restore_file_version(&all.bucket, id, clean, None)
            .await
            .unwrap();
        assert_eq!((back.state, back.labels.barred), (FileState::Active, None));
        all.agrees().await;
        let [bad] = all.versions(id).await[..] else {
            panic!("not one version");
        };
        let back = all
            .store
            .restore_file_version(&all.bucket, id, bad, None)
            .await
            .unwrap();
        assert_eq!(
            (back.state, back.labels.barred),
            (FileState::Quarantined, Some(Barred::Quarantined))
        );
        all.agrees().await;
    }
}

#[tokio::test]
async fn bytes_that_were_scanned_before_are_not_held_back_and_say_so() {
    let (all, _) = screened().await;
    let id = all.create(1, "a").await;
    let clean = scan(ScanVerdict::Clean);
    let store = all.store.with_cleared(clean.clone()).witnessed(png());
    store.put_object(all.put_of("k/a", "bytes")).await.unwrap();
    let file = all.file(id).await.unwrap();
    assert_eq!((file.state, file.scan), (FileState::Active, Some(clean)));
    all.agrees().await;
    // Of others that come in their place nothing is known.
    all.witnessed().put("k/a", "others").await;
    let file = all.file(id).await.unwrap();
    assert_eq!((file.state, file.scan), (FileState::Scanning, None));
    all.agrees().await;
}

#[tokio::test]
async fn a_file_that_moves_to_where_bytes_are_scanned_is_held_back_unless_it_was() {
    let (all, held) = screened().await;
    for (n, known) in [(1, None), (2, Some(scan(ScanVerdict::Clean)))] {
        let file = File {
            bucket: Some(FREE.into()),
            ..announced(&n.to_string())
        };
        all.store.create_file(&all.bucket, id(n), &file).await.unwrap();
        all.witnessed().put(&file.key, "bytes").await;
        assert_eq!(all.file(id(n)).await.unwrap().state, FileState::Active);
        let note = |file: &mut File| file.scan.clone_from(&known);
        all.store.change_file(&all.bucket, id(n), None, note).await.unwrap();
        let before = held.0.load(Ordering::Relaxed);
        let moves = |file: &mut File| file.bucket = Some("media".into());
        let moved = all.store.change_file(&all.bucket, id(n), None, moves).await.unwrap();
        let expected = match known {
            None => FileState::Scanning,
            Some(_) => FileState::Active,
        };
        assert_eq!(moved.state, expected);
        assert_eq!(held.0.load(Ordering::Relaxed) > before, known.is_none());
        all.agrees().await;
    }
}

#[tokio::test]
async fn bytes_in_quarantine_count_and_those_that_go_do_not() {
    let (all, _) = screened().await;
    all.store
        .change_settings(&all.bucket, |settings| settings.quota = Some(Quota { bytes: 10 }))
        .await
        .unwrap();
    let (one, other) = (all.waiting(1, "one").await, all.waiting(2, "other").await);
    all.turn(one, FileState::Quarantined).await.unwrap();
    let full = all.store.put_object(all.put_of("k/third", "x")).await;
    assert!(full.is_err(), "{full:?}");
    all.store.purge_file(&all.bucket, one, None).await.unwrap();
    all.store.reject_file(&all.bucket, other, None, "why").await.unwrap();
    assert_eq!(all.object("k/one").await, None);
    all.put("k/third", "xxxxxxxxxx").await;
    all.agrees().await;
}
