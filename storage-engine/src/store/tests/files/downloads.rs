//! Files whose bytes are given out so often and no more.

use futures::future::join_all;

use super::super::{key, with_catalogue};
use super::{announced, id};
use crate::store::counter::CountError;
use crate::store::files::{Downloads, FileState};

#[tokio::test]
async fn as_many_get_a_file_as_it_is_given_out_and_the_last_takes_it_to_the_trash() {
    let all = with_catalogue().await;
    let mut file = announced("a");
    file.give_out(3);
    all.store.create_file(&all.bucket, id(1), &file).await.unwrap();
    let place = key("k/a");
    let count = || all.store.count_download(&all.bucket, &place);
    assert!(
        matches!(count().await, Err(CountError::NothingLeft)),
        "nothing is there"
    );
    all.witnessed().put("k/a", "bytes").await;
    assert!(all.object("k/a").await.unwrap().labels.counted);
    let before = all.file(id(1)).await.unwrap();
    count().await.unwrap();
    let after = all.file(id(1)).await.unwrap();
    let left = |left| Some(Downloads { most: 3, left });
    assert_eq!((after.downloads, after.updated), (left(2), before.updated));
    all.agrees().await;
    let mut won = 0;
    for told in join_all((0..12).map(|_| count())).await {
        match told {
            Ok(()) => won += 1,
            Err(CountError::NothingLeft) => {}
            Err(CountError::Fault(fault)) => panic!("{fault}"),
        }
    }
    assert_eq!(won, 2);
    let gone = all.file(id(1)).await.unwrap();
    assert_eq!((gone.state, gone.downloads), (FileState::Trashed, left(0)));
    all.assert_absent("k/a").await;
    all.agrees().await;

    // Another file under the key is not counted for it, and it comes back with all of its downloads.
    all.create(2, "a").await;
    assert!(matches!(count().await, Err(CountError::NothingLeft)));
    all.store.purge_file(&all.bucket, id(2), None).await.unwrap();
    let back = all.store.restore_file(&all.bucket, id(1), None).await.unwrap();
    assert_eq!((back.state, back.downloads), (FileState::Active, left(3)));
    assert!(all.object("k/a").await.unwrap().labels.counted);
    count().await.unwrap();
    all.agrees().await;
}

#[tokio::test]
async fn what_is_said_of_a_file_leaves_its_downloads_as_they_are_and_its_trash_gives_none_back() {
    let all = with_catalogue().await;
    all.create(1, "a").await;
    all.witnessed().put("k/a", "bytes").await;
    let limit = |file: &mut crate::store::files::File| file.give_out(2);
    all.store.change_file(&all.bucket, id(1), None, limit).await.unwrap();
    assert!(all.object("k/a").await.unwrap().labels.counted);
    all.store.count_download(&all.bucket, &key("k/a")).await.unwrap();
    // Other bytes are no other file.
    all.witnessed().put("k/a", "other bytes").await;
    assert!(all.object("k/a").await.unwrap().labels.counted);
    all.store.trash_file(&all.bucket, id(1), None).await.unwrap();
    let back = all.store.restore_file(&all.bucket, id(1), None).await.unwrap();
    assert_eq!(back.downloads, Some(Downloads { most: 2, left: 1 }));
    all.agrees().await;
}
