//! Empty drives that take the place of missing ones where something else is amiss: a change of the drives from before
//! that is not settled, an empty drive that cannot be used, roots that are not written.

use std::sync::Arc;
use std::time::Duration;

use storage_engine::backend::{Backend, DriveState};
use storage_engine::embedded::drive::{Fault, FaultPlan, FaultRule, Operation};
use storage_engine::embedded::fleet::FleetError;
use storage_engine::embedded::{Embedded, OpenOptions};

use crate::scene::{
    Bodies, Scene, body, delete, expect, is_not_ready, is_read_only, kill, put, until_drained, until_whole,
};

const BODIES: Bodies = Bodies {
    count: 4,
    large: 300_000,
};

fn name(scene: &Scene, n: usize) -> String {
    scene.drive(n).to_string_lossy().into_owned()
}

/// State, id and reason of the drive at a place.
fn drive(store: &Embedded, scene: &Scene, n: usize) -> Option<(DriveState, String, String)> {
    let path = name(scene, n);
    let found = store.health().drives.into_iter().find(|drive| drive.path == path)?;
    Some((found.state, found.id, found.reason))
}

fn unwritten_root(drive: usize, times: u64) -> FaultRule {
    FaultRule {
        operation: Operation::Write,
        path_part: format!("data{drive}/.drystone/root"),
        after: 0,
        times,
        fault: Fault::Fail(5),
    }
}

async fn until_in(store: &Embedded, scene: &Scene, n: usize) {
    for _ in 0..600 {
        if drive(store, scene, n).is_some_and(|(state, ..)| state == DriveState::In) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("never in: {:?}", store.health());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_adoption_does_not_forget_a_removal_that_is_not_settled() {
    let scene = Scene::new(4);
    let plan = Arc::new(FaultPlan::default());
    let store = scene.try_open(scene.with_faults(&plan)).await.unwrap();
    BODIES.fill(&store, 1).await;
    let fourth = name(&scene, 4);
    store.drain_drive(&fourth).await.unwrap();
    until_drained(&store, &fourth).await;
    // That the fourth is removed stands on the first alone.
    let rules = [2, 3, 4].map(|n| plan.arm(unwritten_root(n, 1)));
    let answer = store.remove_drive(&fourth, false).await;
    assert!(matches!(answer, Err(FleetError::Unavailable(_))), "{answer:?}");
    assert!(rules.iter().all(|rule| plan.fired(*rule) == 1));
    kill(store).await;
    plan.disarm();
    // The third is swapped for an empty drive.
    scene.wait_for_locks().await;
    scene.remove(3);
    std::fs::create_dir(scene.drive(3)).unwrap();
    let store = scene.try_open(scene.healing()).await.unwrap();
    BODIES.check(&store, 1).await;
    assert!(drive(&store, &scene, 3).is_some_and(|(state, ..)| state == DriveState::In));
    assert_eq!(drive(&store, &scene, 4).map(|(state, ..)| state), None, "it is removed");
    delete(&store, "1/small/0").await;
    put(&store, "newer", &body(5, 3000)).await;
    store.close().await;
    kill(store).await;
    // The old third and the removed one are half of the four from before. They know nothing of what came after.
    scene.remove(1);
    scene.remove(2);
    std::fs::rename(scene.drive(3), scene.root.path().join("new3")).unwrap();
    scene.bring_back(3);
    let mut two = scene.healing();
    two.drives.drain(..2);
    let store = scene.try_open(two).await.unwrap();
    assert!(
        is_not_ready(&store),
        "an old state is served: {:?}",
        store.health().state
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_operators_word_an_adoption_carries_a_removal_on_that_is_not_settled() {
    let scene = Scene::new(4);
    let plan = Arc::new(FaultPlan::default());
    let store = scene.try_open(scene.with_faults(&plan)).await.unwrap();
    BODIES.fill(&store, 1).await;
    let fourth = name(&scene, 4);
    store.drain_drive(&fourth).await.unwrap();
    until_drained(&store, &fourth).await;
    let rules = [2, 3, 4].map(|n| plan.arm(unwritten_root(n, 1)));
    assert!(store.remove_drive(&fourth, false).await.is_err());
    assert!(rules.iter().all(|rule| plan.fired(*rule) == 1));
    kill(store).await;
    plan.disarm();
    scene.wait_for_locks().await;
    // The third is gone for good, and the one that was to be removed is away.
    scene.remove(3);
    scene.remove(4);
    std::fs::create_dir(scene.drive(3)).unwrap();
    let mut forced = scene.healing();
    forced.adopt = true;
    let store = scene.try_open(forced).await.unwrap();
    BODIES.check(&store, 1).await;
    BODIES.fill(&store, 2).await;
    until_whole(&store).await;
    store.close().await;
    kill(store).await;
    scene.bring_back(4);
    let store = scene.try_open(scene.healing()).await.unwrap();
    assert_eq!(
        drive(&store, &scene, 4).map(|(state, ..)| state),
        None,
        "it stays removed"
    );
    BODIES.check(&store, 1).await;
    BODIES.check(&store, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_starts_without_an_empty_drive_that_cannot_be_adopted_and_takes_it_later() {
    let scene = Scene::new(4);
    let store = scene.try_open(scene.healing()).await.unwrap();
    BODIES.fill(&store, 1).await;
    kill(store).await;
    scene.wait_for_locks().await;
    scene.remove(4);
    // Another process has it open.
    std::fs::create_dir_all(scene.drive(4).join(".drystone")).unwrap();
    let lock = std::fs::File::create(scene.drive(4).join(".drystone/lock")).unwrap();
    lock.lock().unwrap();
    let store = Embedded::open(scene.healing()).await.unwrap();
    BODIES.check(&store, 1).await;
    BODIES.fill(&store, 2).await;
    let (state, _, reason) = drive(&store, &scene, 4).unwrap();
    assert_eq!(state, DriveState::Missing);
    assert!(reason.contains("in use"), "{reason}");
    drop(lock);
    until_in(&store, &scene, 4).await;
    until_whole(&store).await;
    BODIES.check(&store, 1).await;
    BODIES.check(&store, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_adoption_that_no_majority_takes_leaves_a_store_that_reads_at_once_and_writes_later() {
    let scene = Scene::new(4);
    let plan = Arc::new(FaultPlan::default());
    let store = scene.try_open(scene.with_faults(&plan)).await.unwrap();
    BODIES.fill(&store, 1).await;
    kill(store).await;
    scene.wait_for_locks().await;
    scene.remove(4);
    std::fs::create_dir(scene.drive(4)).unwrap();
    let rules = [1, 2, 3].map(|n| plan.arm(unwritten_root(n, u64::MAX)));
    let store = scene.try_open(scene.with_faults(&plan)).await.unwrap();
    assert!(rules.iter().all(|rule| plan.fired(*rule) > 0));
    assert!(is_read_only(&store), "{:?}", store.health().state);
    BODIES.check(&store, 1).await;
    plan.disarm();
    until_in(&store, &scene, 4).await;
    until_whole(&store).await;
    BODIES.fill(&store, 2).await;
    BODIES.check(&store, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_adoption_by_a_running_store_whose_second_change_fails_is_completed() {
    let scene = Scene::new(4);
    let plan = Arc::new(FaultPlan::default());
    let store = scene.try_open(scene.with_faults(&plan)).await.unwrap();
    BODIES.fill(&store, 1).await;
    let old = drive(&store, &scene, 2).unwrap().1;
    // The first change waits for the new drive; by then the others have it.
    let first = plan.arm(FaultRule {
        operation: Operation::Write,
        path_part: "data2/.drystone/root".into(),
        after: 0,
        times: 1,
        fault: Fault::Delay(Duration::from_millis(1500)),
    });
    std::fs::remove_dir_all(scene.drive(2)).unwrap();
    std::fs::create_dir(scene.drive(2)).unwrap();
    for _ in 0..3000 {
        if plan.fired(first) > 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let second = [1, 3, 4].map(|n| plan.arm(unwritten_root(n, 1)));
    for _ in 0..600 {
        if second.iter().all(|rule| plan.fired(*rule) > 0) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(second.iter().all(|rule| plan.fired(*rule) > 0));
    until_in(&store, &scene, 2).await;
    assert_ne!(drive(&store, &scene, 2).unwrap().1, old);
    until_whole(&store).await;
    BODIES.check(&store, 1).await;
    BODIES.fill(&store, 2).await;
    kill(store).await;
    scene.remove(3);
    scene.remove(4);
    let store = scene.try_open(scene.healing()).await.unwrap();
    BODIES.check(&store, 1).await;
    BODIES.check(&store, 2).await;
    expect(&store, "1/small/0", &body(100, 3000)).await;
}

/// The soak met it: drives that had changed places, and one of them was wiped later. What was recorded of its mount was
/// of the place where it had been formatted, so nothing in its new place looked like it, and the store waited for ever.
#[tokio::test(flavor = "multi_thread")]
async fn after_two_drives_changed_places_an_empty_one_is_adopted_in_the_place_of_either() {
    let scene = Scene::new(4);
    // Not on the drive that is wiped: a write that is under way when the index goes with it may end unknown.
    let options = || OpenOptions {
        index_dir: Some(scene.root.path().join("index")),
        ..scene.healing()
    };
    let store = scene.try_open(options()).await.unwrap();
    BODIES.fill(&store, 1).await;
    kill(store).await;
    let aside = scene.root.path().join("aside");
    std::fs::rename(scene.drive(1), &aside).unwrap();
    std::fs::rename(scene.drive(2), scene.drive(1)).unwrap();
    std::fs::rename(&aside, scene.drive(2)).unwrap();
    let store = scene.try_open(options()).await.unwrap();
    let [first, second] = [1, 2].map(|n| drive(&store, &scene, n).unwrap().1);
    scene.wipe(1);
    // Under a running store it is adopted by itself.
    BODIES.fill(&store, 2).await;
    until_in_anew(&store, &scene, 1, &first).await;
    until_whole(&store).await;
    // And by a start.
    kill(store).await;
    scene.wipe(2);
    let store = scene.try_open(options()).await.unwrap();
    until_in_anew(&store, &scene, 2, &second).await;
    until_whole(&store).await;
    BODIES.check(&store, 2).await;
    kill(store).await;
}

/// Waits until another drive than `old` is in at a place.
async fn until_in_anew(store: &Embedded, scene: &Scene, n: usize, old: &str) {
    for _ in 0..600 {
        if drive(store, scene, n).is_some_and(|(state, id, _)| state == DriveState::In && id != old) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("drive {n} was not adopted: {:?}", store.health().drives);
}
