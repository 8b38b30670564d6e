//! Several files at once: all of them change or none does.

use std::sync::Arc;

use crate::backend::{Backend, CommitError, Rev};
use crate::store::error::Fault;
use crate::store::files::{File, FileDeed, FileError, FileId, FileState, NotTogether};
use crate::store::object::put::PutObjectError;
use crate::store::record::settings::Quota;
use crate::store::tests::{Fixture, Scripted, store_over, with_catalogue};

impl Fixture {
    async fn rev(&self, id: FileId) -> Rev {
        self.store.file(&self.bucket, &id).await.unwrap().unwrap().1
    }

    pub(super) async fn together(&self, deeds: &[(FileId, FileDeed)]) -> Result<Vec<Option<File>>, NotTogether> {
        let mut judged = Vec::new();
        for (id, deed) in deeds {
            judged.push((*id, self.rev(*id).await, *deed));
        }
        self.store.change_files(&self.bucket, &judged).await
    }

    async fn state(&self, id: FileId) -> Option<(FileState, bool)> {
        let file = self.file(id).await?;
        Some((file.state, file.registered.is_some()))
    }
}

/// Three files with bytes, and one that waits for them.
async fn four() -> (Fixture, [FileId; 4]) {
    let all = with_catalogue().await;
    let mut ids = Vec::new();
    for n in 1..=4 {
        ids.push(all.create(n, &n.to_string()).await);
        if n < 4 {
            all.witnessed().put(&format!("k/{n}"), "bytes").await;
        }
    }
    (all, ids.try_into().unwrap())
}

#[tokio::test]
async fn files_are_registered_and_deleted_in_one_commit() {
    let (all, [one, two, three, waiting]) = four().await;
    all.replace("k/3", "newer").await;
    let rev = all.rev(one).await;
    let deeds = [
        (one, FileDeed::Register),
        (two, FileDeed::Trash),
        (three, FileDeed::Trash),
        (waiting, FileDeed::Trash),
    ];
    let files = all.together(&deeds).await.unwrap();
    let states: Vec<Option<FileState>> = files.iter().map(|file| file.as_ref().map(|file| file.state)).collect();
    let trashed = Some(FileState::Trashed);
    assert_eq!(states, [Some(FileState::Active), trashed, trashed, None]);
    assert_eq!(all.state(one).await, Some((FileState::Active, true)));
    assert_ne!(all.rev(one).await, rev);
    assert_eq!(all.rev(two).await, all.rev(three).await, "one commit");
    assert_eq!(all.state(waiting).await, None);
    all.agrees().await;
    all.store.restore_file(&all.bucket, two, None).await.unwrap();
    assert_eq!(all.get("k/2").await, "bytes");
    all.agrees().await;
}

#[tokio::test]
async fn one_that_cannot_be_leaves_all_as_they_were_and_is_named() {
    let (all, [one, two, three, waiting]) = four().await;
    all.store.trash_file(&all.bucket, three, None).await.unwrap();
    let cases = [
        (waiting, FileDeed::Register, FileState::Pending),
        (three, FileDeed::Trash, FileState::Trashed),
        (three, FileDeed::Register, FileState::Trashed),
    ];
    for (id, deed, state) in cases {
        let deeds = [(one, FileDeed::Register), (two, FileDeed::Trash), (id, deed)];
        let refused = all.together(&deeds).await.unwrap_err();
        assert_eq!(refused.at, Some(2));
        assert!(
            matches!(refused.error, FileError::State(found) if found == state),
            "{refused:?}"
        );
    }
    let twice = all
        .together(&[(one, FileDeed::Register), (one, FileDeed::Trash)])
        .await
        .unwrap_err();
    assert!(
        matches!((twice.at, &twice.error), (None, FileError::Invalid(_))),
        "{twice:?}"
    );
    assert_eq!(all.state(one).await, Some((FileState::Active, false)));
    assert_eq!(all.state(two).await, Some((FileState::Active, false)));
    all.agrees().await;
}

#[tokio::test]
async fn a_file_that_changes_meanwhile_holds_up_all_and_a_failed_commit_changes_none() {
    let (all, [one, two, three, _]) = four().await;
    let scripted = Scripted::over(&all.memory);
    let store = store_over(Arc::clone(&scripted) as Arc<dyn Backend>, 3);
    let deeds = [
        (one, all.rev(one).await, FileDeed::Register),
        (two, all.rev(two).await, FileDeed::Trash),
        (three, all.rev(three).await, FileDeed::Trash),
    ];
    scripted.fail_next_commit(CommitError::Full("no space".into()));
    let failed = store.change_files(&all.bucket, &deeds).await.unwrap_err();
    assert!(matches!(failed.error, FileError::Fault(Fault::Full(_))), "{failed:?}");
    let (other, at) = (all.store.clone(), all.bucket.clone());
    scripted.before_next_commit(move || {
        Box::pin(async move {
            let rename = |file: &mut File| file.name = "renamed".into();
            other.change_file(&at, two, None, rename).await.unwrap();
            None
        })
    });
    let raced = store.change_files(&all.bucket, &deeds).await.unwrap_err();
    assert!(
        matches!((raced.at, &raced.error), (Some(1), FileError::Changed)),
        "{raced:?}"
    );
    for id in [one, two, three] {
        assert_eq!(all.state(id).await, Some((FileState::Active, false)));
    }
    all.agrees().await;
}

#[tokio::test]
async fn files_that_are_deleted_together_make_room_for_as_much() {
    let (all, [one, two, three, _]) = four().await;
    let limited = all
        .store
        .change_settings(&all.bucket, |settings| settings.quota = Some(Quota { bytes: 15 }));
    limited.await.unwrap();
    let over = all.store.put_object(all.put_of("more", "x")).await;
    assert!(matches!(over, Err(PutObjectError::OverQuota(_))), "{over:?}");
    let deeds = [
        (one, FileDeed::Trash),
        (two, FileDeed::Trash),
        (three, FileDeed::Register),
    ];
    all.together(&deeds).await.unwrap();
    all.put("more", "ten bytes!").await;
    let over = all.store.put_object(all.put_of("and more", "x")).await;
    assert!(matches!(over, Err(PutObjectError::OverQuota(_))), "{over:?}");
    all.agrees().await;
}

#[tokio::test]
async fn more_than_one_commit_takes_is_refused_whole() {
    let all = with_catalogue().await;
    let mut deeds = Vec::new();
    for n in 1..=200 {
        let id = all.create(n, &n.to_string()).await;
        all.witnessed().put(&format!("k/{n}"), "bytes").await;
        deeds.push((id, FileDeed::Trash));
    }
    let refused = all.together(&deeds).await.unwrap_err();
    assert!(
        matches!((refused.at, &refused.error), (None, FileError::Invalid(_))),
        "{refused:?}"
    );
    assert_eq!(all.state(deeds[0].0).await, Some((FileState::Active, false)));
    deeds.truncate(10);
    all.together(&deeds).await.unwrap();
    all.agrees().await;
}
