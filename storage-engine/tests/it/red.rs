//! The failures the format was designed against, each as a story (`docs/on-disk-format.md`, "What must survive").

use std::path::Path;

use storage_engine::backend::{Backend, Batch, BlobClass, CommitError, NewBody, Op, Put, ReadError};
use storage_engine::embedded::Embedded;

use crate::scene::{
    Scene, body, collect, expect, is_not_ready, is_read_only, key, kill, list, put, put_op, read, stage, try_put,
};

/// What a drive's firmware, a snapshot or a careless hand does to a file.
fn spoil(path: &Path, how: &str, earlier: &[u8]) {
    let now = std::fs::read(path).unwrap();
    let spoiled = match how {
        "stale" => earlier.to_vec(),
        "truncated" => now[..now.len() / 2].to_vec(),
        "emptied" => Vec::new(),
        _ => vec![0; now.len()],
    };
    assert_ne!(now, spoiled, "the {how} file is as it was: nothing is tested");
    std::fs::write(path, spoiled).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_drives_log_spoiled_after_an_acknowledgement_loses_nothing() {
    for how in ["stale", "truncated", "zeroed", "emptied"] {
        for victim in 1..=4 {
            let scene = Scene::new(4);
            let store = scene.open().await;
            put(&store, "first", &body(1, 9000)).await;
            let log = scene.log_files(victim).pop().unwrap();
            let earlier = std::fs::read(&log).unwrap();
            put(&store, "second", &body(2, 9000)).await;
            put(&store, "third", &body(3, 70_000)).await;
            kill(store).await;
            spoil(&log, how, &earlier);
            // The spoiled drive's index must not save it either.
            let _ = std::fs::remove_dir_all(scene.drive(1).join(".drystone/index"));
            let store = scene.open().await;
            for (name, bytes) in [
                ("first", body(1, 9000)),
                ("second", body(2, 9000)),
                ("third", body(3, 70_000)),
            ] {
                expect(&store, name, &bytes).await;
            }
            put(&store, "fourth", &body(4, 100)).await;
            kill(store).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn any_two_drives_may_die_right_after_an_acknowledgement() {
    let scene = Scene::new(4);
    let store = scene.open().await;
    let mut round = 0u64;
    kill(store).await;
    for a in 1..=4 {
        for b in (a + 1)..=4 {
            round += 1;
            let store = scene.open().await;
            put(&store, &format!("small/{round}"), &body(round, 5000)).await;
            put(&store, &format!("large/{round}"), &body(round, 700_000)).await;
            kill(store).await;
            scene.remove(a);
            scene.remove(b);
            let store = scene.open().await;
            for seen in 1..=round {
                expect(&store, &format!("small/{seen}"), &body(seen, 5000)).await;
                expect(&store, &format!("large/{seen}"), &body(seen, 700_000)).await;
            }
            kill(store).await;
            scene.bring_back(a);
            scene.bring_back(b);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn any_four_of_sixteen_drives_may_die_right_after_an_acknowledgement() {
    let scene = Scene::new(16);
    let store = scene.open().await;
    put(&store, "small", &body(1, 5000)).await;
    put(&store, "large", &body(2, 3_000_000)).await;
    kill(store).await;
    for first in [1, 4, 7, 10, 13] {
        let lost = first..first + 4;
        lost.clone().for_each(|n| scene.remove(n));
        let store = scene.open().await;
        expect(&store, "small", &body(1, 5000)).await;
        expect(&store, "large", &body(2, 3_000_000)).await;
        put(&store, "more", &body(first as u64, 10)).await;
        kill(store).await;
        lost.for_each(|n| scene.bring_back(n));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_drives_with_three_late_at_start_and_then_back_lose_nothing() {
    let scene = Scene::new(8);
    let store = scene.open().await;
    for n in 0..5u64 {
        put(&store, &format!("before/{n}"), &body(n, 6000)).await;
    }
    kill(store).await;
    for late in [[1, 2, 3], [6, 7, 8], [2, 5, 8]] {
        late.iter().for_each(|n| scene.remove(*n));
        let store = scene.open().await;
        put(&store, &format!("without/{late:?}"), &body(late[0] as u64, 6000)).await;
        kill(store).await;
        late.iter().for_each(|n| scene.bring_back(*n));
        let store = scene.open().await;
        for n in 0..5u64 {
            expect(&store, &format!("before/{n}"), &body(n, 6000)).await;
        }
        expect(&store, &format!("without/{late:?}"), &body(late[0] as u64, 6000)).await;
        kill(store).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_halves_started_one_after_the_other_at_most_one_ever_writes() {
    let scene = Scene::new(4);
    let store = scene.open().await;
    put(&store, "old", &body(1, 100)).await;
    kill(store).await;
    // The left half is served while the right one is away, and the other way round.
    for gone in [[1, 2], [3, 4]] {
        gone.iter().for_each(|n| scene.remove(*n));
        let store = scene.open().await;
        assert!(is_read_only(&store));
        assert!(matches!(
            try_put(&store, "old", &body(9, 100)).await,
            Err(CommitError::Unavailable(_))
        ));
        expect(&store, "old", &body(1, 100)).await;
        kill(store).await;
        gone.iter().for_each(|n| scene.bring_back(*n));
    }
    // Three drives go on without the fourth; then the fourth with one of them: the newer state wins.
    scene.remove(4);
    let store = scene.open().await;
    put(&store, "old", &body(2, 100)).await;
    kill(store).await;
    scene.bring_back(4);
    scene.remove(1);
    scene.remove(2);
    let store = scene.open().await;
    assert!(is_read_only(&store));
    expect(&store, "old", &body(2, 100)).await;
    kill(store).await;
    // The stale drive alone is less than half: it never speaks for the store.
    scene.remove(3);
    let store = scene.open().await;
    assert!(is_not_ready(&store));
    assert!(matches!(read(&store, "old").await, Err(ReadError::Unavailable(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_swapped_shard_files_of_one_segment_are_detected() {
    let scene = Scene::new(4);
    let store = scene.open().await;
    put(&store, "large", &body(5, 600_000)).await;
    kill(store).await;
    let shard_file = |n: usize| {
        let files = crate::scene::files_below(&scene.drive(n).join(".drystone/extent"));
        files.into_iter().map(|(path, _)| path).next().unwrap()
    };
    let (a, b) = (shard_file(1), shard_file(2));
    let (bytes_a, bytes_b) = (std::fs::read(&a).unwrap(), std::fs::read(&b).unwrap());
    assert_ne!(bytes_a, bytes_b);
    std::fs::write(&a, bytes_b).unwrap();
    std::fs::write(&b, bytes_a).unwrap();
    let store = scene.open().await;
    expect(&store, "large", &body(5, 600_000)).await;
    kill(store).await;
    // With a third shard gone there are not enough left: an honest error, never other bytes.
    std::fs::remove_file(shard_file(3)).unwrap();
    let store = scene.open().await;
    assert!(read(&store, "large").await.is_err());
}

async fn move_onto_itself(store: &Embedded, name: &str, value: &str) {
    let rev = store.get(&key(name)).await.unwrap().unwrap().rev;
    let require = vec![storage_engine::backend::Require::RevIs(key(name), rev)];
    let ops = vec![put_op(name, value, NewBody::Moved(key(name)))];
    store.commit(Batch { require, ops }).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_moves_to_its_own_row_stays_live_through_restarts() {
    let scene = Scene::new(4);
    let store = scene.open().await;
    put(&store, "small", &body(1, 1000)).await;
    put(&store, "large", &body(2, 500_000)).await;
    for name in ["small", "large"] {
        move_onto_itself(&store, name, name).await;
        move_onto_itself(&store, name, name).await;
    }
    kill(store).await;
    let store = scene.open().await;
    expect(&store, "small", &body(1, 1000)).await;
    expect(&store, "large", &body(2, 500_000)).await;
}

/// Puts an upload row and its part rows, as the layer above does.
async fn upload(store: &Embedded, parts: &[bytes::Bytes]) {
    store
        .commit(Batch {
            require: vec![],
            ops: vec![put_op("u/1", "u/1", NewBody::None)],
        })
        .await
        .unwrap();
    for (n, bytes) in parts.iter().enumerate() {
        let blob = stage(store, BlobClass::Part, bytes).await;
        let row = Put {
            key: key(&format!("u/1/{n:05}")),
            value: "part".into(),
            body: NewBody::Blob(blob),
            parent_len: Some(3),
        };
        store
            .commit(Batch {
                require: vec![],
                ops: vec![Op::Put(row)],
            })
            .await
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn joined_parts_live_on_when_their_rows_are_gone() {
    let scene = Scene::new(4);
    let store = scene.open().await;
    let parts: Vec<_> = (0..5u64).map(|n| body(n, 200_000 + n as usize)).collect();
    upload(&store, &parts).await;
    let rows = store.scan(key("u/1/")..key("u/10"), 100).await.unwrap().items;
    assert_eq!(rows.len(), 5);
    let bodies: Vec<_> = rows.into_iter().map(|(_, row)| row.body.unwrap()).collect();
    let joined = store.join_blobs(&bodies).await.unwrap();
    let ops = vec![
        put_op("object", "object", NewBody::Blob(joined)),
        Op::Delete(key("u/1")),
    ];
    store.commit(Batch { require: vec![], ops }).await.unwrap();
    assert_eq!(list(&store).await, ["object"], "part rows outlive their upload");
    let whole: bytes::Bytes = parts.concat().into();
    expect(&store, "object", &whole).await;
    kill(store).await;
    let store = scene.open().await;
    expect(&store, "object", &whole).await;
    let row = store.get(&key("object")).await.unwrap().unwrap().body.unwrap();
    let across = collect(store.get_blob(&row, 199_990..400_020).await.unwrap())
        .await
        .unwrap();
    assert_eq!(across, whole.slice(199_990..400_020));
    scene_without_two(scene, store, &whole).await;
}

async fn scene_without_two(scene: Scene, store: std::sync::Arc<Embedded>, whole: &bytes::Bytes) {
    kill(store).await;
    scene.remove(2);
    scene.remove(3);
    let store = scene.open().await;
    expect(&store, "object", whole).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_aborted_upload_leaves_no_rows() {
    let scene = Scene::new(4);
    let store = scene.open().await;
    upload(&store, &[body(1, 300_000)]).await;
    store
        .commit(Batch {
            require: vec![],
            ops: vec![Op::Delete(key("u/1"))],
        })
        .await
        .unwrap();
    assert!(list(&store).await.is_empty());
    assert!(store.get(&key("u/1/00000")).await.unwrap().is_none());
    kill(store).await;
    let store = scene.open().await;
    assert!(list(&store).await.is_empty());
}
