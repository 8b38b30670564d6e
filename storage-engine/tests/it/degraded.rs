//! Drives that are missing: what still works, and that nothing is removed or denied that merely cannot be reached.

use std::collections::BTreeSet;

use storage_engine::backend::{Backend, CommitError, ReadError};

use crate::scene::{Scene, body, expect, files_below, is_not_ready, is_read_only, key, kill, list, put, read, try_put};

async fn fill(scene: &Scene) {
    let store = scene.open().await;
    for n in 0..10u64 {
        put(&store, &format!("small/{n}"), &body(n, 3000 + n as usize)).await;
        put(&store, &format!("large/{n}"), &body(n + 50, 400_000 + n as usize)).await;
    }
    kill(store).await;
}

async fn check(store: &storage_engine::embedded::Embedded) {
    for n in 0..10u64 {
        expect(store, &format!("small/{n}"), &body(n, 3000 + n as usize)).await;
        expect(store, &format!("large/{n}"), &body(n + 50, 400_000 + n as usize)).await;
    }
    assert_eq!(
        list(store).await.iter().filter(|name| !name.starts_with("new")).count(),
        20
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn four_drives_write_with_one_lost_and_read_with_two_lost() {
    let scene = Scene::new(4);
    fill(&scene).await;
    for lost in 1..=4 {
        scene.remove(lost);
        let store = scene.open().await;
        check(&store).await;
        put(&store, &format!("new/{lost}"), &body(7, 5000)).await;
        put(&store, &format!("new-large/{lost}"), &body(7, 500_000)).await;
        expect(&store, &format!("new-large/{lost}"), &body(7, 500_000)).await;
        kill(store).await;
        scene.bring_back(lost);
    }
    for (a, b) in [(1, 2), (1, 3), (2, 4), (3, 4)] {
        scene.remove(a);
        scene.remove(b);
        let store = scene.open().await;
        assert!(is_read_only(&store), "{:?}", store.health().state);
        check(&store).await;
        for lost in 1..=4 {
            expect(&store, &format!("new-large/{lost}"), &body(7, 500_000)).await;
        }
        let refused = try_put(&store, "refused", &body(1, 10)).await;
        assert!(matches!(refused, Err(CommitError::Unavailable(_))), "{refused:?}");
        kill(store).await;
        scene.bring_back(a);
        scene.bring_back(b);
    }
    let store = scene.open().await;
    check(&store).await;
    put(&store, "new/after", &body(9, 10)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_three_of_four_drives_lost_nothing_is_served_denied_or_removed() {
    let scene = Scene::new(4);
    fill(&scene).await;
    for n in 1..=3 {
        scene.remove(n);
    }
    let before: BTreeSet<_> = files_below(&scene.drive(4)).into_iter().collect();
    let store = scene.open().await;
    assert!(is_not_ready(&store));
    let message = format!("{:?}", store.health().state);
    assert!(
        message.contains("data1") && message.contains("data2") && message.contains("data3"),
        "{message}"
    );
    assert!(matches!(read(&store, "small/1").await, Err(ReadError::Unavailable(_))));
    assert!(matches!(
        store.get(&key("never/put")).await,
        Err(ReadError::Unavailable(_))
    ));
    assert!(matches!(
        try_put(&store, "x", &body(1, 1)).await,
        Err(CommitError::Unavailable(_))
    ));
    kill(store).await;
    let after: BTreeSet<_> = files_below(&scene.drive(4)).into_iter().collect();
    assert_eq!(before, after, "something was written or removed");
    for n in 1..=3 {
        scene.bring_back(n);
    }
    check(&*scene.open().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_drives_write_with_three_lost_and_read_with_four_lost() {
    let scene = Scene::new(8);
    fill(&scene).await;
    for n in 1..=3 {
        scene.remove(n);
    }
    let store = scene.open().await;
    check(&store).await;
    put(&store, "new/three", &body(3, 500_000)).await;
    kill(store).await;
    scene.remove(4);
    let store = scene.open().await;
    assert!(is_read_only(&store), "{:?}", store.health().state);
    check(&store).await;
    expect(&store, "new/three", &body(3, 500_000)).await;
    kill(store).await;
    scene.remove(5);
    let store = scene.open().await;
    assert!(is_not_ready(&store));
    kill(store).await;
    for n in 1..=5 {
        scene.bring_back(n);
    }
    let store = scene.open().await;
    check(&store).await;
    expect(&store, "new/three", &body(3, 500_000)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_drives_read_with_one_lost() {
    let scene = Scene::new(2);
    fill(&scene).await;
    for lost in [1, 2] {
        scene.remove(lost);
        let store = scene.open().await;
        assert!(is_read_only(&store));
        check(&store).await;
        kill(store).await;
        scene.bring_back(lost);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_lost_too_many_drives_goes_on_by_itself_when_they_are_back() {
    let scene = Scene::new(4);
    fill(&scene).await;
    scene.remove(1);
    scene.remove(2);
    let store = scene.open().await;
    assert!(is_read_only(&store));
    scene.bring_back(1);
    scene.bring_back(2);
    for _ in 0..200 {
        if !is_read_only(&store) && !is_not_ready(&store) {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    check(&store).await;
    put(&store, "new/again", &body(1, 1000)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_still_be_lost_is_told_as_it_is_also_after_a_drive_was_replaced() {
    let scene = Scene::new(4);
    let store = scene.open().await;
    assert_eq!(store.health().tolerated_losses, 2);
    put(&store, "large", &body(1, 400_000)).await;
    assert_eq!(store.health().tolerated_losses, 2);
    kill(store).await;
    scene.remove(2);
    let store = scene.open().await;
    assert_eq!(store.health().tolerated_losses, 1);
    kill(store).await;
    // A new drive in its place has none of what was written before.
    std::fs::create_dir(scene.drive(2)).unwrap();
    let mut options = scene.options();
    options.adopt = true;
    let store = scene.try_open(options).await.unwrap();
    put(&store, "later", &body(2, 400_000)).await;
    let health = store.health();
    assert!(
        health
            .drives
            .iter()
            .all(|drive| drive.state == storage_engine::backend::DriveState::In)
    );
    // Healing and a checkpoint that the new drive has a part of come by themselves.
    for _ in 0..600 {
        if store.health().tolerated_losses == 2 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert_eq!(store.health().tolerated_losses, 2);
    kill(store).await;
    scene.remove(3);
    scene.remove(4);
    let store = scene.open().await;
    expect(&store, "later", &body(2, 400_000)).await;
    expect(&store, "large", &body(1, 400_000)).await;
    assert_eq!(store.health().tolerated_losses, 0, "it told the truth");
}
