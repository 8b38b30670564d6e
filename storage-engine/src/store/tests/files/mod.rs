//! The catalogue: it says what stands in the bucket, whichever door a change came through, and finds what it is asked for.

mod cost;
mod downloads;
mod outbox;
mod quotas;
mod random;
mod rebuild;
mod screen;
mod together;
mod versions;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::agreement::{agreed, rows_below};
use super::{Fixture, Scripted, bucket, key, store_over, with_catalogue};
use crate::backend::{Backend, CommitError, Key};
use crate::store::Store;
use crate::store::bucket::DeleteBucketError;
use crate::store::clock::Timestamp;
use crate::store::condition::WriteCondition;
use crate::store::error::Fault;
use crate::store::files::{
    File, FileError, FileFilter, FileId, FileQuery, FileSort, FileState, Removed, Seen, Viewer, Witness,
};
use crate::store::key as rows;
use crate::store::object::delete::DeleteObject;
use crate::store::object::labels::ObjectPlace;
use crate::store::object::put::{PutObject, PutObjectError};
use crate::store::record::labels::{Labels, Visibility};
use crate::store::record::object::Object;
use crate::store::record::settings::Quota;
use crate::store::share::{Share, ShareAccess, ShareId, ShareTarget};

struct Looked(Seen);

impl Witness for Looked {
    fn seen(&self) -> Seen {
        self.0.clone()
    }
}

pub(super) fn png() -> Arc<dyn Witness> {
    Arc::new(Looked(Seen {
        sha256: Some([7; 32]),
        sniffed_type: Some("image/png".into()),
        width: Some(3),
        height: Some(2),
    }))
}

fn id(n: u64) -> FileId {
    FileId::new(Timestamp::from_millis(1_700_000_000_000 + n), [n as u8; 10])
}

fn announced(name: &str) -> File {
    File {
        labels: Labels {
            owner: Some("ann".into()),
            visibility: Some(Visibility::Public),
            ..Labels::default()
        },
        ..File::pending(format!("k/{name}"), [1; 16], name.into(), Timestamp::from_millis(5))
    }
}

fn active(viewer: Viewer) -> FileQuery {
    FileQuery {
        viewer,
        filter: FileFilter::default(),
        sort: FileSort::default(),
        limit: 100,
        offset: 0,
        after: None,
        total: true,
    }
}

fn share(target: ShareTarget) -> Share {
    Share {
        id: ShareId::from_bytes([1; 8]),
        target,
        access: ShareAccess::Read,
        made: Timestamp::from_millis(1),
        expires: None,
        name: None,
    }
}

impl Fixture {
    fn witnessed(&self) -> Self {
        Self {
            store: self.store.witnessed(png()),
            memory: self.memory.clone(),
            bucket: self.bucket.clone(),
        }
    }

    async fn create(&self, n: u64, name: &str) -> FileId {
        self.store
            .create_file(&self.bucket, id(n), &announced(name))
            .await
            .unwrap();
        id(n)
    }

    async fn file(&self, id: FileId) -> Option<File> {
        self.store.file(&self.bucket, &id).await.unwrap().map(|(file, _)| file)
    }

    async fn file_at(&self, key: &str) -> Option<(FileId, File)> {
        let found = self.store.file_of_key(&self.bucket, key).await.unwrap();
        found.map(|(id, file, _)| (id, file))
    }

    async fn names(&self, query: &FileQuery) -> Vec<String> {
        let page = self.store.list_files(&self.bucket, query).await.unwrap();
        assert_eq!(
            page.total,
            query.total.then_some(page.files.len() as u64),
            "all fit the page"
        );
        page.files.into_iter().map(|(_, file)| file.name).collect()
    }

    async fn object(&self, name: &str) -> Option<Object> {
        let place = ObjectPlace {
            bucket: self.bucket.clone(),
            key: key(name),
            version: None,
        };
        self.store.look_at(&place).await.unwrap().map(|(object, _)| object)
    }

    async fn delete(&self, name: &str) {
        let delete = DeleteObject {
            bucket: self.bucket.clone(),
            key: key(name),
            version: None,
            condition: WriteCondition::default(),
        };
        self.store.delete_object(&delete).await.unwrap();
    }

    async fn rows_below(&self, beginning: Key) -> BTreeMap<Key, bytes::Bytes> {
        rows_below(&self.memory, beginning).await.unwrap()
    }

    /// Files, objects and index rows say the same.
    async fn agrees(&self) {
        agreed(&self.memory, &self.bucket).await.unwrap();
    }
}

#[tokio::test]
async fn a_file_that_was_announced_is_active_with_its_bytes_and_what_was_seen_of_them() {
    let all = with_catalogue().await;
    let id = all.create(1, "a.png").await;
    assert_eq!(all.names(&active(Viewer::All)).await, [""; 0]);
    all.witnessed().put("k/a.png", "bytes").await;
    let file = all.file(id).await.unwrap();
    assert_eq!((file.state, file.size), (FileState::Active, 5));
    assert_eq!(
        (file.sha256, file.sniffed_type.as_deref()),
        (Some([7; 32]), Some("image/png"))
    );
    assert_eq!((file.width, file.height), (Some(3), Some(2)));
    let object = all.object("k/a.png").await.unwrap();
    assert_eq!(
        (object.labels.owner.as_deref(), object.labels.visibility),
        (Some("ann"), Some(Visibility::Public))
    );
    assert!(!object.labels.held);
    assert_eq!(all.names(&active(Viewer::All)).await, ["a.png"]);
    all.agrees().await;
}

#[tokio::test]
async fn bytes_nobody_looked_at_are_held_until_somebody_did() {
    let all = with_catalogue().await;
    let id = all.create(1, "a").await;
    all.put("k/a", "bytes").await;
    assert_eq!(all.file(id).await.unwrap().state, FileState::Received);
    assert!(all.object("k/a").await.unwrap().labels.held);
    assert_eq!(all.names(&active(Viewer::All)).await, [""; 0]);
    let activate = |file: &mut File| file.state = FileState::Active;
    all.store.change_file(&all.bucket, id, None, activate).await.unwrap();
    assert!(!all.object("k/a").await.unwrap().labels.held);
    assert_eq!(all.names(&active(Viewer::All)).await, ["a"]);
    all.agrees().await;
    let back = |file: &mut File| file.state = FileState::Received;
    let refused = all.store.change_file(&all.bucket, id, None, back).await;
    assert!(
        matches!(refused, Err(FileError::State(FileState::Active))),
        "{refused:?}"
    );
}

#[tokio::test]
async fn an_object_nobody_announced_becomes_a_file() {
    let all = with_catalogue().await;
    all.witnessed().put("reports/2026/may.pdf", "bytes").await;
    let (_, file) = all.file_at("reports/2026/may.pdf").await.unwrap();
    assert_eq!((file.name.as_str(), file.state), ("may.pdf", FileState::Active));
    assert_eq!(file.labels.visibility, Some(Visibility::Private));
    all.agrees().await;
    all.delete("reports/2026/may.pdf").await;
    assert_eq!(all.file_at("reports/2026/may.pdf").await, None);
    all.agrees().await;
}

#[tokio::test]
async fn what_is_put_in_the_place_of_a_file_stays_the_file_and_whose_it_is() {
    let all = with_catalogue().await;
    let id = all.create(1, "a").await;
    all.witnessed().put("k/a", "one").await;
    let put = PutObject {
        labels: Labels {
            owner: Some("eve".into()),
            ..Labels::default()
        },
        ..all.put_of("k/a", "other")
    };
    all.witnessed().store.put_object(put).await.unwrap();
    let file = all.file(id).await.unwrap();
    assert_eq!((file.size, file.labels.owner.as_deref()), (5, Some("ann")));
    assert_eq!(file.labels.visibility, Some(Visibility::Public));
    all.agrees().await;
}

#[tokio::test]
async fn who_may_read_an_object_and_its_file_changes_with_either() {
    let all = with_catalogue().await;
    let id = all.create(1, "a").await;
    all.witnessed().put("k/a", "bytes").await;
    let place = ObjectPlace {
        bucket: all.bucket.clone(),
        key: key("k/a"),
        version: None,
    };
    let private = |labels: &mut Labels| labels.visibility = Some(Visibility::Private);
    all.store.change_labels(&place, None, private).await.unwrap();
    assert_eq!(all.file(id).await.unwrap().labels.visibility, Some(Visibility::Private));
    let shared = |file: &mut File| {
        file.labels.visibility = Some(Visibility::Shared);
        file.labels.shares = vec![share(ShareTarget::User("bob".into()))];
    };
    all.store.change_file(&all.bucket, id, None, shared).await.unwrap();
    let object = all.object("k/a").await.unwrap();
    assert_eq!(
        (object.labels.visibility, object.labels.shares.len()),
        (Some(Visibility::Shared), 1)
    );
    assert_eq!(all.get("k/a").await, "bytes");
    all.agrees().await;
}

#[tokio::test]
async fn what_is_in_the_trash_comes_back_whole_or_goes_for_good() {
    let all = with_catalogue().await;
    let id = all.create(1, "a").await;
    all.witnessed().put("k/a", "bytes").await;
    let removed = all.store.trash_file(&all.bucket, id, None).await.unwrap();
    assert!(matches!(removed, Removed::Trashed(_)));
    all.assert_absent("k/a").await;
    assert_eq!(all.names(&active(Viewer::All)).await, [""; 0]);
    all.agrees().await;
    let restored = all.store.restore_file(&all.bucket, id, None).await.unwrap();
    assert_eq!((restored.state, restored.epoch), (FileState::Active, 1));
    assert_eq!(all.get("k/a").await, "bytes");
    all.agrees().await;
    all.store.trash_file(&all.bucket, id, None).await.unwrap();
    all.witnessed().put("k/a", "another").await;
    let taken = all.store.restore_file(&all.bucket, id, None).await;
    assert!(matches!(taken, Err(FileError::KeyTaken)), "{taken:?}");
    all.agrees().await;
    all.store.purge_file(&all.bucket, id, None).await.unwrap();
    assert_eq!(all.file(id).await, None);
    assert_eq!(all.memory.bodies(), 1, "the bytes of the other file");
    all.agrees().await;
}

/// What was public when it was deleted would otherwise be public again for whoever made it private meanwhile.
#[tokio::test]
async fn what_is_said_of_a_file_in_the_trash_holds_when_it_comes_back() {
    let all = with_catalogue().await;
    for (name, witnessed) in [("seen", true), ("unseen", false)] {
        let id = all.create(u64::from(witnessed), name).await;
        if witnessed {
            all.witnessed().put(&format!("k/{name}"), "bytes").await;
        } else {
            all.put(&format!("k/{name}"), "bytes").await;
        }
        all.store.trash_file(&all.bucket, id, None).await.unwrap();
        let close = |file: &mut File| file.labels.visibility = Some(Visibility::Private);
        all.store.change_file(&all.bucket, id, None, close).await.unwrap();
        all.agrees().await;
        let restored = all.store.restore_file(&all.bucket, id, None).await.unwrap();
        assert_eq!(restored.state == FileState::Active, witnessed);
        let object = all.object(&format!("k/{name}")).await.unwrap();
        assert_eq!(object.labels.visibility, Some(Visibility::Private));
        assert_eq!(all.get(&format!("k/{name}")).await, "bytes");
        all.agrees().await;
    }
}

/// A file in the trash shares its key with whatever came after it, and has no say about that.
#[tokio::test]
async fn a_change_of_a_file_in_the_trash_leaves_the_file_that_has_its_key_now_alone() {
    let all = with_catalogue().await;
    let id = all.create(1, "a").await;
    all.witnessed().put("k/a", "bytes").await;
    all.store.trash_file(&all.bucket, id, None).await.unwrap();
    all.witnessed().put("k/a", "another").await;
    let open = |file: &mut File| file.labels.visibility = Some(Visibility::Shared);
    all.store.change_file(&all.bucket, id, None, open).await.unwrap();
    let object = all.object("k/a").await.unwrap();
    assert_eq!(
        (object.labels.owner, object.labels.visibility),
        (None, Some(Visibility::Private))
    );
    all.agrees().await;
}

#[tokio::test]
async fn a_file_that_was_refused_leaves_no_bytes_and_says_why() {
    let all = with_catalogue().await;
    let id = all.create(1, "a").await;
    all.put("k/a", "bytes").await;
    all.store
        .reject_file(&all.bucket, id, None, "not an image")
        .await
        .unwrap();
    let file = all.file(id).await.unwrap();
    assert_eq!(
        (file.state, file.rejected.as_deref()),
        (FileState::Rejected, Some("not an image"))
    );
    all.assert_absent("k/a").await;
    assert_eq!(all.memory.bodies(), 0);
    all.agrees().await;
}

#[tokio::test]
async fn what_stands_at_the_key_of_a_file_that_waits_for_its_bytes_does_not_go_with_it() {
    let all = with_catalogue().await;
    let id = all.create(1, "a").await;
    let keeps = |files| {
        all.store
            .change_settings(&all.bucket, move |settings| settings.files = files)
    };
    keeps(false).await.unwrap();
    all.put("k/a", "written past the catalogue").await;
    keeps(true).await.unwrap();
    all.store.purge_file(&all.bucket, id, None).await.unwrap();
    assert_eq!(all.file(id).await, None);
    assert_eq!(all.get("k/a").await, "written past the catalogue");
}

#[tokio::test]
async fn a_key_is_announced_once_and_not_where_an_object_stands() {
    let all = with_catalogue().await;
    all.create(1, "a").await;
    for (n, name) in [(2, "a"), (1, "b")] {
        let again = all.store.create_file(&all.bucket, id(n), &announced(name)).await;
        assert!(matches!(again, Err(FileError::KeyTaken)), "{again:?}");
    }
    let nowhere = all.store.create_file(&bucket("nowhere"), id(3), &announced("c")).await;
    assert!(matches!(nowhere, Err(FileError::NoSuchBucket)), "{nowhere:?}");
    let long = File {
        metadata: "m".repeat(20_000),
        ..announced("d")
    };
    let refused = all.store.create_file(&all.bucket, id(4), &long).await;
    assert!(matches!(refused, Err(FileError::Invalid(_))), "{refused:?}");
    all.agrees().await;
}

#[tokio::test]
async fn a_bucket_with_files_is_not_empty() {
    let all = with_catalogue().await;
    let id = all.create(1, "a").await;
    let refused = all.store.delete_bucket(&all.bucket).await;
    assert!(matches!(refused, Err(DeleteBucketError::NotEmpty)), "{refused:?}");
    all.store.purge_file(&all.bucket, id, None).await.unwrap();
    all.store.delete_bucket(&all.bucket).await.unwrap();
    assert!(all.rows_below(rows::catalogue(&all.bucket)).await.is_empty());
}

#[tokio::test]
async fn a_file_that_comes_back_must_have_room() {
    let all = with_catalogue().await;
    let limited = |quota| {
        all.store.change_settings(&all.bucket, move |settings| {
            settings.quota = Some(Quota { bytes: quota })
        })
    };
    let id = all.create(1, "a").await;
    all.witnessed().put("k/a", "12345678").await;
    limited(10).await.unwrap();
    all.store.trash_file(&all.bucket, id, None).await.unwrap();
    all.witnessed().put("k/b", "12345678").await;
    let full = all.store.restore_file(&all.bucket, id, None).await;
    assert!(matches!(full, Err(FileError::OverQuota(_))), "{full:?}");
    all.agrees().await;
    all.delete("k/b").await;
    all.store.restore_file(&all.bucket, id, None).await.unwrap();
    all.agrees().await;
}

#[tokio::test]
async fn files_that_end_by_themselves_are_found_when_they_have() {
    let all = with_catalogue().await;
    let ends = |millis| Timestamp::from_millis(millis);
    for (n, at) in [(1, 300), (2, 100), (3, 200)] {
        let id = all.create(n, &n.to_string()).await;
        let change = move |file: &mut File| file.expires = Some(Timestamp::from_millis(at));
        all.store.change_file(&all.bucket, id, None, change).await.unwrap();
    }
    all.witnessed().put("k/3", "bytes").await;
    all.agrees().await;
    let due = async |millis, limit| all.store.due_files(&all.bucket, ends(millis), limit).await.unwrap();
    assert_eq!(due(99, 10).await, []);
    assert_eq!(due(200, 10).await, [id(2), id(3)]);
    assert_eq!(due(300, 2).await, [id(2), id(3)]);
    all.store.trash_file(&all.bucket, id(3), None).await.unwrap();
    all.store
        .change_file(&all.bucket, id(2), None, |file| file.expires = None)
        .await
        .unwrap();
    assert_eq!(due(u64::MAX, 10).await, [id(1)]);
    all.agrees().await;
}

#[tokio::test]
async fn a_change_judged_on_an_older_file_is_refused() {
    let all = with_catalogue().await;
    let id = all.create(1, "a").await;
    let (_, judged) = all.store.file(&all.bucket, &id).await.unwrap().unwrap();
    let rename = |file: &mut File| file.name = "b".into();
    all.store
        .change_file(&all.bucket, id, Some(judged), rename)
        .await
        .unwrap();
    let again = |file: &mut File| file.name = "c".into();
    let late = all.store.change_file(&all.bucket, id, Some(judged), again).await;
    assert!(matches!(late, Err(FileError::Changed)), "{late:?}");
    let late = all.store.trash_file(&all.bucket, id, Some(judged)).await;
    assert!(matches!(late, Err(FileError::Changed)), "{late:?}");
    assert_eq!(all.file(id).await.unwrap().name, "b");
}

#[tokio::test]
async fn a_put_that_fails_or_comes_second_leaves_file_and_object_as_they_were() {
    let all = with_catalogue().await;
    let id = all.create(1, "a").await;
    let scripted = Scripted::over(&all.memory);
    let store: Store = store_over(Arc::clone(&scripted) as Arc<dyn Backend>, 3).witnessed(png());
    scripted.fail_next_commit(CommitError::Full("no space".into()));
    let failed = store.put_object(all.put_of("k/a", "bytes")).await;
    assert!(failed.is_err());
    assert_eq!(all.file(id).await.unwrap().state, FileState::Pending);
    all.agrees().await;
    let (other, at) = (all.store.clone(), all.bucket.clone());
    scripted.before_next_commit(move || {
        Box::pin(async move {
            let rename = |file: &mut File| file.name = "renamed".into();
            other.change_file(&at, id, None, rename).await.unwrap();
            None
        })
    });
    let raced = store.put_object(all.put_of("k/a", "bytes")).await;
    assert!(raced.is_err(), "what the file says was changed meanwhile: {raced:?}");
    assert_eq!(all.file(id).await.unwrap().name, "renamed");
    all.agrees().await;
    store.put_object(all.put_of("k/a", "bytes")).await.unwrap();
    all.agrees().await;
}

#[tokio::test]
async fn what_cannot_be_reached_is_no_empty_list() {
    let all = with_catalogue().await;
    all.create(1, "a").await;
    let row = rows::file(&all.bucket, id(1).as_bytes());
    let damaged = crate::backend::Batch {
        require: Vec::new(),
        ops: vec![crate::store::whole::put(row, bytes::Bytes::from_static(b"\x09"))],
    };
    all.memory.commit(damaged).await.unwrap();
    let pending = FileQuery {
        filter: FileFilter {
            state: Some(FileState::Pending),
            ..FileFilter::default()
        },
        ..active(Viewer::All)
    };
    let listed = all.store.list_files(&all.bucket, &pending).await;
    assert!(matches!(listed, Err(Fault::Corrupt(_))), "{listed:?}");
}

/// It would else count for nothing, and the bucket take more than its quota until it was counted anew.
#[tokio::test]
async fn purging_a_file_leaves_the_size_of_the_object_that_has_its_key_now_alone() {
    let all = with_catalogue().await;
    all.store
        .change_settings(&all.bucket, |settings| settings.quota = Some(Quota { bytes: 10 }))
        .await
        .unwrap();
    let id = all.create(1, "a").await;
    all.witnessed().put("k/a", "bytes").await;
    all.store.trash_file(&all.bucket, id, None).await.unwrap();
    all.witnessed().put("k/a", "eight by").await;
    all.store.purge_file(&all.bucket, id, None).await.unwrap();
    let more = all.store.put_object(all.put_of("k/b", b"more".to_vec())).await;
    assert!(matches!(more, Err(PutObjectError::OverQuota(_))), "{more:?}");
    all.agrees().await;
}
