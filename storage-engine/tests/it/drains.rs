//! Drains and removals where something is amiss: shards that rotted, segments that cannot be read any more, a removal
//! that is cut off between its two changes.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use storage_engine::backend::Backend;
use storage_engine::embedded::OpenOptions;
use storage_engine::embedded::drive::{Fault, FaultPlan, FaultRule, Operation};
use storage_engine::embedded::fleet::FleetError;

use crate::scene::{
    Bodies, Scene, body, expect, files_below, is_read_only, kill, put, read, try_put, until_drained, until_whole,
};

const LARGE: usize = 600_000;
const BODIES: Bodies = Bodies { count: 3, large: LARGE };

fn extents(drive: &Path) -> Vec<PathBuf> {
    let files = files_below(&drive.join(".drystone/extent"));
    files.into_iter().map(|(path, _)| path).collect()
}

fn flip(file: &Path) {
    let mut bytes = std::fs::read(file).unwrap();
    let at = bytes.len() - 2000;
    bytes[at] ^= 8;
    std::fs::write(file, bytes).unwrap();
}

fn name(scene: &Scene, n: usize) -> String {
    scene.drive(n).to_string_lossy().into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn shard_files_that_rotted_leave_a_drained_drive_too() {
    let scene = Scene::new(5);
    let store = scene
        .try_open(OpenOptions {
            parity: Some(1),
            ..scene.healing()
        })
        .await
        .unwrap();
    let fifth = name(&scene, 5);
    // Four of five drives each, so that a shard finds another place.
    store.drain_drive(&fifth).await.unwrap();
    BODIES.fill(&store, 1).await;
    until_drained(&store, &fifth).await;
    store.keep_drive(&fifth).await.unwrap();
    store.close().await;
    kill(store).await;
    let rotten = extents(&scene.drive(1));
    assert!(rotten.len() >= 3, "{rotten:?}");
    rotten.iter().for_each(|file| flip(file));
    let store = scene.try_open(scene.healing()).await.unwrap();
    let first = name(&scene, 1);
    store.drain_drive(&first).await.unwrap();
    until_drained(&store, &first).await;
    assert_eq!(extents(&scene.drive(1)), Vec::<PathBuf>::new());
    store.remove_drive(&first, false).await.unwrap();
    until_whole(&store).await;
    BODIES.check(&store, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_that_cannot_be_read_keeps_no_other_from_leaving_a_drained_drive() {
    let scene = Scene::new(4);
    let store = scene.try_open(scene.healing()).await.unwrap();
    put(&store, "lost", &body(7, LARGE)).await;
    let lost = extents(&scene.drive(1));
    assert_eq!(lost.len(), 1);
    let fifth = scene.drive(5);
    std::fs::create_dir(&fifth).unwrap();
    store.add_drives(std::slice::from_ref(&fifth), false).await.unwrap();
    // These are on all five: on four they have to be written anew.
    BODIES.fill(&store, 1).await;
    store.close().await;
    kill(store).await;
    let segment = lost[0].file_stem().unwrap().to_owned();
    for n in 2..=4 {
        let file = extents(&scene.drive(n))
            .into_iter()
            .find(|file| file.file_stem() == Some(&segment));
        std::fs::remove_file(file.unwrap()).unwrap();
    }
    // Whole, it would move as it is.
    flip(&lost[0]);
    let mut options = scene.healing();
    options.drives.push(fifth);
    let store = scene.try_open(options).await.unwrap();
    store.drain_drive(&name(&scene, 1)).await.unwrap();
    for _ in 0..1200 {
        if extents(&scene.drive(1)) == lost {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(extents(&scene.drive(1)), lost, "{:?}", store.moving_status());
    BODIES.check(&store, 1).await;
    assert!(read(&store, "lost").await.is_err(), "it is neither served nor denied");
    let drains = store.moving_status().drains;
    assert!(
        drains.iter().all(|drain| !drain.holds_nothing),
        "what is left of it stays: {drains:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_whose_second_change_fails_is_settled_by_the_running_store() {
    let scene = Scene::new(2);
    let plan = Arc::new(FaultPlan::default());
    let options = OpenOptions {
        parity: Some(0),
        ..scene.with_faults(&plan)
    };
    let store = scene.try_open(options).await.unwrap();
    BODIES.fill(&store, 1).await;
    let second = name(&scene, 2);
    store.drain_drive(&second).await.unwrap();
    until_drained(&store, &second).await;
    let rule = plan.arm(FaultRule {
        operation: Operation::Write,
        path_part: "data1/.drystone/root".into(),
        after: 1,
        times: 1,
        fault: Fault::Fail(5),
    });
    let answer = store.remove_drive(&second, false).await;
    assert!(matches!(answer, Err(FleetError::Unavailable(_))), "{answer:?}");
    assert_eq!(plan.fired(rule), 1);
    // Of two members the one that stays is no majority: the store must be able to open the other once more.
    let late = body(3, 5000);
    for _ in 0..300 {
        if try_put(&store, "late", &late).await.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(!is_read_only(&store), "{:?}", store.health().state);
    expect(&store, "late", &late).await;
    let paths: Vec<String> = store.health().drives.into_iter().map(|drive| drive.path).collect();
    assert!(!paths.contains(&second) || paths.len() == 2, "{paths:?}");
    BODIES.check(&store, 1).await;
    store.close().await;
    kill(store).await;
    scene.remove(2);
    let store = scene.try_open(scene.healing()).await.unwrap();
    BODIES.check(&store, 1).await;
    expect(&store, "late", &late).await;
    BODIES.fill(&store, 2).await;
}
