//! A first format that is cut off: before there is a root it is done anew by the next start; what might be a store is
//! not.

use std::path::Path;
use std::sync::Arc;

use storage_engine::backend::Backend;
use storage_engine::embedded::drive::{DriveOptions, Fault, FaultPlan, FaultRule, Operation};
use storage_engine::embedded::{Embedded, OpenError, OpenOptions};

use crate::scene::{Scene, body, expect, files_below, is_not_ready, kill, put};

const EIO: i32 = 5;

/// Starts a store from nothing and lets nothing reach the drives from operation `after` of this kind on, then takes what
/// was not synced. Whether the fault fired.
async fn cut(scene: &Scene, operation: Operation, after: u64) -> bool {
    let plan = Arc::new(FaultPlan::with_power_cuts());
    let options = OpenOptions {
        drive: DriveOptions {
            faults: Some(Arc::clone(&plan)),
            ..DriveOptions::default()
        },
        ..scene.options()
    };
    let rule = plan.arm(FaultRule {
        operation,
        path_part: "/.drystone/".into(),
        after,
        times: u64::MAX,
        fault: Fault::Fail(EIO),
    });
    // What would clean up after the failure is dead, too.
    plan.arm_always(Operation::Remove, "/.drystone/", Fault::Fail(EIO));
    if let Ok(store) = scene.try_open(options).await {
        kill(store).await;
    }
    plan.power_cut(scene.root.path()).unwrap();
    plan.fired(rule) > 0
}

fn has_root(scene: &Scene) -> bool {
    let root = |n, slot: &str| scene.drive(n).join(".drystone").join(slot).exists();
    (1..=scene.drives).any(|n| root(n, "root.0") || root(n, "root.1"))
}

fn shard_files(scene: &Scene) -> usize {
    let of = |n, dir: &str| files_below(&scene.drive(n).join(".drystone").join(dir)).len();
    (1..=scene.drives).map(|n| of(n, "log") + of(n, "checkpoint")).sum()
}

async fn works(scene: &Scene) {
    let store = scene.open().await;
    put(&store, "small", &body(1, 5000)).await;
    put(&store, "large", &body(2, 400_000)).await;
    kill(store).await;
    let store = scene.open().await;
    expect(&store, "small", &body(1, 5000)).await;
    expect(&store, "large", &body(2, 400_000)).await;
    kill(store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_format_cut_off_before_any_root_is_done_anew() {
    let mut with_files = 0;
    for operation in [
        Operation::Create,
        Operation::Write,
        Operation::SyncFile,
        Operation::SyncDirectory,
    ] {
        for after in 0..10 {
            let scene = Scene::new(4);
            assert!(
                cut(&scene, operation, after).await,
                "{operation:?} {after} did not fire"
            );
            if has_root(&scene) {
                break;
            }
            with_files += usize::from(shard_files(&scene) > 0);
            works(&scene).await;
        }
    }
    assert!(with_files >= 12, "only {with_files} cuts left shard files");
}

/// A first format that got as far as shard files on each of four drives.
async fn cut_scene() -> Scene {
    let scene = Scene::new(4);
    assert!(cut(&scene, Operation::SyncDirectory, 4).await);
    assert!(!has_root(&scene) && shard_files(&scene) > 0);
    scene
}

async fn refused(scene: &Scene, options: OpenOptions) -> String {
    let before: Vec<_> = (1..=scene.drives).map(|n| files_below(&scene.drive(n))).collect();
    let error = match scene.try_open(options).await {
        Err(error @ OpenError::Unusable(_)) => error.to_string(),
        Err(error) => panic!("{error}"),
        Ok(store) => {
            assert!(is_not_ready(&store), "{:?}", store.health().state);
            let reason = format!("{:?}", store.health().state);
            kill(store).await;
            reason
        }
    };
    let after: Vec<_> = (1..=scene.drives).map(|n| files_below(&scene.drive(n))).collect();
    assert_eq!(before, after, "a refused start changed something");
    error
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_may_be_more_than_an_unfinished_format_is_left_alone() {
    // A store that has lost every root.
    let scene = Scene::new(4);
    let store = scene.open().await;
    put(&store, "kept", &body(1, 5000)).await;
    kill(store).await;
    for n in 1..=4 {
        for slot in ["root.0", "root.1"] {
            std::fs::remove_file(scene.drive(n).join(".drystone").join(slot)).unwrap();
        }
    }
    let why = refused(&scene, scene.options()).await;
    assert!(why.contains("no readable root"), "{why}");

    // One drive among the unfinished ones is another store's that lost its roots.
    let unfinished = cut_scene().await;
    std::fs::remove_dir_all(unfinished.drive(2)).unwrap();
    std::fs::rename(scene.drive(2), unfinished.drive(2)).unwrap();
    refused(&unfinished, unfinished.options()).await;

    // Something stands there that no format makes.
    let strange = cut_scene().await;
    let mark = |path: &Path| std::fs::write(path, b"x").unwrap();
    mark(&strange.drive(3).join(".drystone/credentials"));
    let why = refused(&strange, strange.options()).await;
    assert!(why.contains("credentials"), "{why}");

    // An index outside the drives knows a store.
    let indexed = cut_scene().await;
    let index = indexed.root.path().join("index");
    std::fs::create_dir(&index).unwrap();
    mark(&index.join("db"));
    let options = OpenOptions {
        index_dir: Some(index),
        ..indexed.options()
    };
    refused(&indexed, options).await;
    works(&indexed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_format_under_way_in_another_process_is_left_alone() {
    let scene = cut_scene().await;
    let lock = std::fs::File::open(scene.drive(1).join(".drystone/lock")).unwrap();
    lock.try_lock().unwrap();
    let error = Embedded::open(scene.options())
        .await
        .err()
        .expect("the drive is locked");
    assert!(error.to_string().contains("in use"), "{error}");
    drop(lock);
    works(&scene).await;
}
