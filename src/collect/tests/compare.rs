//! Records and bytes that disagree are told, and nothing is done about them.

use storage_engine::backend::{Batch, Key, Op};
use storage_engine::store::key;

use super::*;

/// Takes a row away behind the store's back.
async fn lose(scene: &Scene, row: Key) {
    let batch = Batch {
        require: Vec::new(),
        ops: vec![Op::Delete(row)],
    };
    scene.memory.commit(batch).await.unwrap();
}

async fn compared(scene: &Scene) -> (u64, u64) {
    let rows = scene.memory.rows();
    let found = scene.collector.compare().await.unwrap();
    assert_eq!(scene.memory.rows(), rows, "nothing is mended");
    (found.without_bytes, found.without_record)
}

#[tokio::test]
async fn records_and_bytes_that_disagree_are_counted_in_both_directions() {
    let scene = scene().await;
    let (bucket, store) = (&scene.bucket, &scene.store);
    // Of every state there is, and more than a page.
    scene.announce("k/pending", |_| {}).await;
    for n in 0..1_100 {
        scene.put(&format!("many/{n}")).await;
    }
    let lost = scene.arrived("k/lost", "posts").await;
    let replaced = scene.arrived("k/replaced", "posts").await;
    scene.replace("k/replaced").await;
    let trashed = scene.arrived("k/trashed", "posts").await;
    store.trash_file(bucket, trashed, None).await.unwrap();
    let rejected = scene.arrived("k/rejected", "posts").await;
    store.reject_file(bucket, rejected, None, "no").await.unwrap();
    let unrecorded = scene.arrived("k/unrecorded", "posts").await;
    let untold = scene.arrived("k/untold", "posts").await;
    assert_eq!(compared(&scene).await, (0, 0));

    lose(&scene, key::current(bucket, &scene.key("k/lost"))).await;
    assert_eq!(compared(&scene).await, (1, 0));
    let (file, _) = store.file(bucket, &trashed).await.unwrap().unwrap();
    let kept = key::version(bucket, &scene.key("k/trashed"), &file.trash.unwrap());
    lose(&scene, kept).await;
    assert_eq!(compared(&scene).await, (2, 0));
    let versions = store.file_versions(bucket, &replaced).await.unwrap();
    let kept = key::version(bucket, &scene.key("k/replaced"), versions[0].0.as_bytes());
    lose(&scene, kept).await;
    assert_eq!(compared(&scene).await, (3, 0));
    lose(&scene, key::file(bucket, unrecorded.as_bytes())).await;
    assert_eq!(compared(&scene).await, (3, 1));
    lose(&scene, key::file_of_key(bucket, "k/untold")).await;
    assert_eq!(compared(&scene).await, (3, 2));
    let states = [scene.state(lost).await, scene.state(untold).await];
    assert_eq!(states, [Some(FileState::Active); 2]);
}

#[tokio::test]
async fn what_changes_while_it_is_compared_is_no_disagreement() {
    for moment in 0.. {
        let scene = Arc::new(scene().await);
        let id = scene.arrived("k/a", "posts").await;
        scene.replace("k/a").await;
        let other = Arc::clone(&scene);
        let act = async move {
            let (store, bucket) = (&other.store, &other.bucket);
            store.trash_file(bucket, id, None).await.unwrap();
            other.put("k/b").await;
        };
        scene.backend.after(moment, Box::pin(act));
        let found = scene.collector.compare().await.unwrap();
        assert_eq!((found.without_bytes, found.without_record), (0, 0), "{moment}");
        if scene.backend.nobody() {
            assert!(moment > 5, "{moment}");
            return;
        }
    }
}
