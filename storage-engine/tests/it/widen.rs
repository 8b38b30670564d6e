//! What was written while drives were away gets all its shards once they are back, by itself, also when that is cut short.

use std::sync::Arc;
use std::time::Duration;

use storage_engine::embedded::Embedded;
use storage_engine::embedded::drive::{Fault, FaultPlan, FaultRule, Operation};
use storage_engine::embedded::heal::CensusDepth;

use crate::scene::{Bodies, Scene, files_below, kill, put, until_whole};

const BODIES: Bodies = Bodies {
    count: 4,
    large: 400_000,
};

/// Waits until nothing is narrow any more.
async fn until_wide(store: &Embedded) {
    for _ in 0..600 {
        let census = store.census(CensusDepth::Files).await.unwrap();
        if census.narrow == 0 && store.moving_status().widening.segments_left == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let census = store.census(CensusDepth::Files).await;
    panic!("never wide: {census:?} {:?}", store.moving_status());
}

/// With each two of the five away all is read: EC:2.
async fn any_two_may_be_lost(scene: &Scene, rounds: &[u64]) {
    for (a, b) in [(1, 2), (3, 4), (5, 1)] {
        scene.remove(a);
        scene.remove(b);
        let store = scene.try_open(scene.healing()).await.unwrap();
        for round in rounds {
            BODIES.check(&store, *round).await;
        }
        kill(store).await;
        scene.bring_back(a);
        scene.bring_back(b);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn data_written_degraded_is_widened_when_the_drive_is_back_and_what_was_wide_stays() {
    let scene = Scene::new(5);
    let store = scene.try_open(scene.healing()).await.unwrap();
    BODIES.fill(&store, 1).await;
    store.close().await;
    kill(store).await;
    let before = files_below(&scene.drive(1).join(".drystone/extent"));
    scene.remove(5);
    let store = scene.try_open(scene.healing()).await.unwrap();
    BODIES.fill(&store, 2).await;
    let census = store.census(CensusDepth::Files).await.unwrap();
    assert!(census.narrow >= 4, "{census:?}");
    assert!(census.narrow_bytes >= 4 * 400_000, "{census:?}");
    assert_eq!(census.could_be_wider, 0, "the drive is still away");
    // It comes back to the running store; a log segment that was open meanwhile is narrow, too.
    scene.bring_back(5);
    for _ in 0..600 {
        if store.moving_status().widening.bytes_done >= 4 * 400_000 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    until_wide(&store).await;
    let widening = store.moving_status().widening;
    assert!(widening.segments_done >= 4 && widening.bytes_left == 0, "{widening:?}");
    let census = until_whole(&store).await;
    assert_eq!((census.narrow, census.narrow_bytes), (0, 0));
    BODIES.check(&store, 1).await;
    BODIES.check(&store, 2).await;
    let after = files_below(&scene.drive(1).join(".drystone/extent"));
    assert!(
        before.iter().all(|file| after.contains(file)),
        "what was wide was not touched"
    );
    assert!(!files_below(&scene.drive(5).join(".drystone/extent")).is_empty());
    kill(store).await;
    any_two_may_be_lost(&scene, &[1, 2]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_drive_makes_nothing_narrow_that_was_written_to_all_there_were() {
    let scene = Scene::new(4);
    let store = scene.try_open(scene.healing()).await.unwrap();
    BODIES.fill(&store, 1).await;
    let fifth = scene.drive(5);
    std::fs::create_dir(&fifth).unwrap();
    store.add_drives(&[fifth], false).await.unwrap();
    put(&store, "another", &crate::scene::body(7, 400_000)).await;
    let census = until_whole(&store).await;
    assert_eq!((census.narrow, census.could_be_wider), (0, 0));
    assert_eq!(store.moving_status().widening.segments_done, 0);
}

/// The widening stops at this operation, then the power goes.
async fn widening_dies_at(operation: Operation, path_part: &str, after: u64) {
    let scene = Scene::new(5);
    let plan = Arc::new(FaultPlan::with_power_cuts());
    let store = scene.try_open(scene.with_faults(&plan)).await.unwrap();
    BODIES.fill(&store, 1).await;
    store.close().await;
    kill(store).await;
    scene.remove(5);
    let store = scene.try_open(scene.with_faults(&plan)).await.unwrap();
    BODIES.fill(&store, 2).await;
    let rule = plan.arm(FaultRule {
        operation,
        path_part: path_part.into(),
        after,
        times: u64::MAX,
        fault: Fault::Hang,
    });
    scene.bring_back(5);
    for _ in 0..400 {
        if plan.fired(rule) > 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(plan.fired(rule) > 0, "{operation:?} {path_part}");
    kill(store).await;
    plan.disarm();
    plan.release();
    scene.wait_for_locks().await;
    plan.power_cut(scene.root.path()).unwrap();
    any_two_may_be_lost(&scene, &[1, 2]).await;
    let store = scene.try_open(scene.healing()).await.unwrap();
    until_wide(&store).await;
    until_whole(&store).await;
    BODIES.check(&store, 1).await;
    BODIES.check(&store, 2).await;
    kill(store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_widening_that_dies_with_the_power_is_gone_on_with_and_nothing_is_lost() {
    for (operation, part, after) in [
        (Operation::SyncFile, "data5/.drystone/extent", 0),
        (Operation::SyncDirectory, "data2/.drystone/extent", 0),
        (Operation::Write, "data1/.drystone/extent", 3),
    ] {
        widening_dies_at(operation, part, after).await;
    }
}
