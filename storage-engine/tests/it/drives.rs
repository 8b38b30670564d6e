//! The life of drives: added, drained, removed, replaced and balanced while the store is used, with drives away, with
//! deaths in between; and what is refused.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use storage_engine::backend::{Backend, DriveState};
use storage_engine::embedded::drive::{Fault, FaultPlan, FaultRule, Operation};
use storage_engine::embedded::fleet::FleetError;
use storage_engine::embedded::heal::HealOptions;
use storage_engine::embedded::{Embedded, OpenOptions};

use crate::scene::{
    Bodies, Scene, body, copy_tree, delete, eager, expect, files_below, kill, put, read, try_put, until_drained,
    until_whole,
};

const LARGE: usize = 300_000;
const BODIES: Bodies = Bodies { count: 8, large: LARGE };

async fn open(scene: &Scene) -> Arc<Embedded> {
    scene.try_open(scene.healing()).await.unwrap()
}

/// A directory for a new drive.
fn new_drive(scene: &Scene, n: usize) -> PathBuf {
    let path = scene.drive(n);
    std::fs::create_dir(&path).unwrap();
    path
}

fn name(scene: &Scene, n: usize) -> String {
    scene.drive(n).to_string_lossy().into_owned()
}

fn state_of(store: &Embedded, path: &str) -> Option<DriveState> {
    let drives = store.health().drives;
    drives
        .into_iter()
        .find(|drive| drive.path == path)
        .map(|drive| drive.state)
}

/// Shard files of a drive.
fn shard_files(drive: &std::path::Path) -> Vec<PathBuf> {
    let folders = ["log", "extent", "checkpoint"].map(|folder| drive.join(".drystone").join(folder));
    let files = folders.iter().flat_map(|folder| files_below(folder));
    files.map(|(path, _)| path).collect()
}

fn refusal<T: std::fmt::Debug>(answer: Result<T, FleetError>) -> String {
    match answer.unwrap_err() {
        FleetError::Refused(reason) => reason,
        other => panic!("{other:?}"),
    }
}

/// Four who write and delete, four who read what was written, all at once.
struct Load {
    stop: AtomicBool,
    /// Acknowledged and never deleted: key, seed, length.
    kept: Mutex<Vec<(String, u64, usize)>>,
    errors: Mutex<Vec<String>>,
    operations: AtomicU64,
}

impl Load {
    fn begin(store: &Arc<Embedded>) -> (Arc<Self>, Vec<tokio::task::JoinHandle<()>>) {
        let load = Arc::new(Self {
            stop: AtomicBool::new(false),
            kept: Mutex::default(),
            errors: Mutex::default(),
            operations: AtomicU64::new(0),
        });
        let mut tasks = Vec::new();
        for n in 0..4 {
            tasks.push(tokio::spawn(Arc::clone(&load).write(Arc::clone(store), n)));
            tasks.push(tokio::spawn(Arc::clone(&load).read(Arc::clone(store), n)));
        }
        (load, tasks)
    }

    fn done(&self, outcome: Result<(), String>) {
        self.operations.fetch_add(1, Ordering::Relaxed);
        if let Err(error) = outcome {
            self.errors.lock().push(error);
        }
    }

    async fn write(self: Arc<Self>, store: Arc<Embedded>, n: u64) {
        let mut turn = 0;
        while !self.stop.load(Ordering::Relaxed) {
            turn += 1;
            let seed = n * 1_000_000 + turn;
            let len = if turn % 3 == 0 {
                140_000 + (seed % 977) as usize
            } else {
                2_000 + (seed % 977) as usize
            };
            let key = format!("load/{n}/{turn}");
            let outcome = try_put(&store, &key, &body(seed, len)).await;
            let acknowledged = outcome.is_ok();
            self.done(outcome.map(drop).map_err(|e| format!("put {key}: {e}")));
            if acknowledged && turn % 4 == 0 {
                delete(&store, &key).await;
                self.done(Ok(()));
            } else if acknowledged {
                self.kept.lock().push((key, seed, len));
            }
            tokio::time::sleep(Duration::from_millis(15)).await;
        }
    }

    async fn read(self: Arc<Self>, store: Arc<Embedded>, n: u64) {
        let mut turn = n as usize;
        while !self.stop.load(Ordering::Relaxed) {
            turn = turn.wrapping_mul(31).wrapping_add(7);
            let pick = {
                let kept = self.kept.lock();
                (!kept.is_empty()).then(|| kept[turn % kept.len()].clone())
            };
            if let Some((key, seed, len)) = pick {
                self.done(match read(&store, &key).await {
                    Ok(Some(bytes)) if bytes == body(seed, len) => Ok(()),
                    Ok(Some(_)) => Err(format!("{key} has other bytes")),
                    Ok(None) => Err(format!("{key} is not there")),
                    Err(error) => Err(format!("get {key}: {error:?}")),
                });
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn end(&self, tasks: Vec<tokio::task::JoinHandle<()>>) {
        self.stop.store(true, Ordering::Relaxed);
        for task in tasks {
            task.await.unwrap();
        }
        let errors = self.errors.lock();
        assert!(
            errors.is_empty(),
            "{} errors: {:?}",
            errors.len(),
            &errors[..errors.len().min(5)]
        );
    }

    async fn check(&self, store: &Embedded) {
        let kept = self.kept.lock().clone();
        for (key, seed, len) in kept {
            expect(store, &key, &body(seed, len)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn adding_a_ninth_drive_and_draining_the_first_under_load_fails_nobody() {
    let mut scene = Scene::new(8);
    let store = open(&scene).await;
    assert_eq!(store.health().parity, 4);
    BODIES.fill(&store, 1).await;
    let (load, tasks) = Load::begin(&store);
    tokio::time::sleep(Duration::from_millis(500)).await;
    let ninth = new_drive(&scene, 9);
    store.add_drives(std::slice::from_ref(&ninth), false).await.unwrap();
    assert_eq!(state_of(&store, &name(&scene, 9)), Some(DriveState::In));
    // Segments on nine drives, which eight cannot have again.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert!(!shard_files(&ninth).is_empty(), "new segments use it at once");
    let first = name(&scene, 1);
    store.drain_drive(&first).await.unwrap();
    assert_eq!(state_of(&store, &first), Some(DriveState::Draining));
    until_drained(&store, &first).await;
    assert!(store.moving_status().shards_moved > 0);
    let until = Instant::now() + Duration::from_millis(500);
    while Instant::now() < until {
        assert_eq!(
            shard_files(&scene.drive(1)),
            Vec::<PathBuf>::new(),
            "nothing new comes to it"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    store.remove_drive(&first, false).await.unwrap();
    assert_eq!(state_of(&store, &first), None);
    std::fs::remove_dir_all(scene.drive(1)).unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    load.end(tasks).await;
    assert!(load.operations.load(Ordering::Relaxed) > 200);
    until_whole(&store).await;
    assert_eq!(store.health().tolerated_losses, 4);
    store.close().await;
    kill(store).await;
    scene.drives = 9;
    for n in 2..=5 {
        scene.remove(n);
    }
    let store = open(&scene).await;
    BODIES.check(&store, 1).await;
    load.check(&store).await;
}

/// Slow enough to be caught in the middle.
fn slowly(scene: &Scene) -> OpenOptions {
    OpenOptions {
        heal: HealOptions {
            bytes_per_second: 300_000,
            ..eager()
        },
        ..scene.options()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_goes_on_after_a_clean_stop_and_after_a_death() {
    for clean in [true, false] {
        let scene = Scene::new(5);
        let store = scene.try_open(slowly(&scene)).await.unwrap();
        BODIES.fill(&store, 1).await;
        store.add_drives(&[new_drive(&scene, 6)], false).await.unwrap();
        let first = name(&scene, 1);
        store.drain_drive(&first).await.unwrap();
        for _ in 0..200 {
            if store.moving_status().shards_moved > 0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let before = store.moving_status();
        assert!(before.shards_moved > 0 && !before.drains[0].holds_nothing, "{before:?}");
        if clean {
            store.close().await;
        }
        kill(store).await;
        // The sixth stands on no command line: it is found where it was.
        let store = open(&scene).await;
        assert_eq!(state_of(&store, &name(&scene, 6)), Some(DriveState::In));
        assert_eq!(state_of(&store, &first), Some(DriveState::Draining));
        BODIES.check(&store, 1).await;
        until_drained(&store, &first).await;
        BODIES.check(&store, 1).await;
        until_whole(&store).await;
        assert_eq!(store.health().tolerated_losses, 2);
        assert_eq!(shard_files(&scene.drive(1)), Vec::<PathBuf>::new());
    }
}

/// The store stops at this operation, then the power goes. With drives that the drained one is not among, all is read.
async fn a_drain_dies_at(operation: Operation, path_part: &str, after: u64) {
    let scene = Scene::new(5);
    let plan = Arc::new(FaultPlan::with_power_cuts());
    let store = scene.try_open(scene.with_faults(&plan)).await.unwrap();
    BODIES.fill(&store, 1).await;
    store.add_drives(&[new_drive(&scene, 6)], false).await.unwrap();
    let rule = plan.arm(FaultRule {
        operation,
        path_part: path_part.into(),
        after,
        times: u64::MAX,
        fault: Fault::Hang,
    });
    let first = name(&scene, 1);
    store.drain_drive(&first).await.unwrap();
    for _ in 0..400 {
        if plan.fired(rule) > 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(plan.fired(rule) > 0, "{operation:?} {path_part} {after}");
    kill(store).await;
    plan.disarm();
    plan.release();
    let mut all = Scene::new(6);
    std::mem::swap(&mut all.root, &mut { scene }.root);
    all.wait_for_locks().await;
    plan.power_cut(all.root.path()).unwrap();
    // Whatever was half moved: any two drives may be lost now.
    for (a, b) in [(2, 3), (1, 6), (4, 5)] {
        all.remove(a);
        all.remove(b);
        let store = open(&all).await;
        BODIES.check(&store, 1).await;
        kill(store).await;
        all.bring_back(a);
        all.bring_back(b);
    }
    let store = all.try_open(all.with_faults(&plan)).await.unwrap();
    BODIES.check(&store, 1).await;
    until_drained(&store, &first).await;
    until_whole(&store).await;
    BODIES.check(&store, 1).await;
    let unfinished = files_below(all.root.path());
    let unfinished = unfinished
        .iter()
        .filter(|(path, _)| path.extension().is_some_and(|e| e == "new"));
    assert_eq!(unfinished.count(), 0, "{operation:?}");
    kill(store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_that_dies_with_the_power_at_any_step_is_gone_on_with_and_nothing_is_lost() {
    let steps: &[u64] = match std::env::var_os("DRYSTONE_LONG_TESTS") {
        Some(_) => &[0, 1, 3, 6],
        None => &[1],
    };
    let operations = [
        (Operation::Write, ".new"),
        (Operation::SyncFile, ".new"),
        (Operation::Rename, "data6/.drystone/extent"),
        (Operation::SyncDirectory, "data6/.drystone/extent"),
        (Operation::Remove, "data1/.drystone/extent"),
    ];
    for (operation, part) in operations {
        for step in steps {
            a_drain_dies_at(operation, part, *step).await;
        }
    }
}

/// Adding dies at this write of a root; then the power goes.
async fn an_addition_dies_at(operation: Operation, path_part: &str, after: u64) {
    let mut scene = Scene::new(4);
    let plan = Arc::new(FaultPlan::with_power_cuts());
    let store = scene.try_open(scene.with_faults(&plan)).await.unwrap();
    BODIES.fill(&store, 1).await;
    let fifth = new_drive(&scene, 5);
    let rule = plan.arm(FaultRule {
        operation,
        path_part: path_part.into(),
        after,
        times: u64::MAX,
        fault: Fault::Hang,
    });
    let adding = {
        let (store, fifth) = (Arc::clone(&store), fifth.clone());
        tokio::spawn(async move { store.add_drives(&[fifth], false).await })
    };
    for _ in 0..200 {
        if plan.fired(rule) > 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(plan.fired(rule) > 0, "{operation:?} {path_part}");
    tokio::time::sleep(Duration::from_millis(300)).await;
    adding.abort();
    let _ = adding.await;
    plan.release();
    plan.disarm();
    kill(store).await;
    scene.drives = 5;
    scene.wait_for_locks().await;
    plan.power_cut(scene.root.path()).unwrap();
    let store = open(&scene).await;
    BODIES.check(&store, 1).await;
    BODIES.fill(&store, 2).await;
    let members = store.health().drives.len();
    assert!(members == 4 || members == 5, "{members}");
    kill(store).await;
    // Half of a root that reached a few is never taken for the store: the old four, less one, decide alone.
    scene.remove(4);
    let store = open(&scene).await;
    BODIES.check(&store, 1).await;
    BODIES.check(&store, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_addition_that_dies_at_any_step_leaves_a_store_that_goes_on() {
    for (part, after) in [
        ("data5/.drystone/root", 0),
        ("data1/.drystone/root", 0),
        ("data1/.drystone/root", 1),
        ("data5/.drystone/root", 1),
    ] {
        an_addition_dies_at(Operation::Write, part, after).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_addition_counts_only_on_a_majority_of_the_drives_from_before_too() {
    let scene = Scene::new(4);
    let plan = Arc::new(FaultPlan::default());
    let store = scene.try_open(scene.with_faults(&plan)).await.unwrap();
    BODIES.fill(&store, 1).await;
    // Three of five have the new root, and only two of the four from before.
    let rules = ["data3/.drystone/root", "data4/.drystone/root"].map(|part| {
        plan.arm(FaultRule {
            operation: Operation::Write,
            path_part: part.into(),
            after: 0,
            times: 1,
            fault: Fault::Fail(5),
        })
    });
    let answer = store.add_drives(&[new_drive(&scene, 5)], false).await;
    assert!(rules.iter().all(|rule| plan.fired(*rule) == 1));
    assert!(matches!(answer, Err(FleetError::Unavailable(_))), "{answer:?}");
    assert!(
        try_put(&store, "early", &body(9, 3000)).await.is_err(),
        "nobody knows yet who the members are"
    );
    plan.disarm();
    kill(store).await;
    let store = open(&scene).await;
    BODIES.check(&store, 1).await;
    BODIES.fill(&store, 2).await;
    BODIES.check(&store, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_index_leaves_a_drained_drive_for_the_next_one_that_takes_it() {
    let scene = Scene::new(4);
    let store = open(&scene).await;
    BODIES.fill(&store, 1).await;
    // Where the second drive would have it, something stands in the way.
    let index = |n: usize| scene.drive(n).join(".drystone/index");
    let _ = std::fs::remove_dir_all(index(2));
    std::fs::write(index(2), b"no directory").unwrap();
    let first = name(&scene, 1);
    store.drain_drive(&first).await.unwrap();
    until_drained(&store, &first).await;
    assert!(index(3).is_dir(), "{:?}", store.moving_status());
    store.remove_drive(&first, false).await.unwrap();
    BODIES.check(&store, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_counts_the_leaving_drive_among_those_from_before() {
    let scene = Scene::new(4);
    let plan = Arc::new(FaultPlan::default());
    let store = scene.try_open(scene.with_faults(&plan)).await.unwrap();
    BODIES.fill(&store, 1).await;
    let first = name(&scene, 1);
    store.drain_drive(&first).await.unwrap();
    until_drained(&store, &first).await;
    // Two of the three that stay have the new root: of the four from before that is no majority without the one that goes.
    let rule = plan.arm(FaultRule {
        operation: Operation::Write,
        path_part: "data4/.drystone/root".into(),
        after: 0,
        times: 1,
        fault: Fault::Fail(5),
    });
    store.remove_drive(&first, false).await.unwrap();
    assert_eq!(plan.fired(rule), 1);
    BODIES.check(&store, 1).await;
    BODIES.fill(&store, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_cut_off_between_its_two_changes_is_settled_by_the_next_start() {
    let scene = Scene::new(2);
    let plan = Arc::new(FaultPlan::with_power_cuts());
    let options = OpenOptions {
        parity: Some(0),
        ..scene.with_faults(&plan)
    };
    let store = scene.try_open(options).await.unwrap();
    BODIES.fill(&store, 1).await;
    let second = name(&scene, 2);
    store.drain_drive(&second).await.unwrap();
    until_drained(&store, &second).await;
    // The change that counts in both tables stands on both drives; the one that settles it is not written any more.
    let rule = plan.arm(FaultRule {
        operation: Operation::Write,
        path_part: "data1/.drystone/root".into(),
        after: 1,
        times: u64::MAX,
        fault: Fault::Fail(5),
    });
    let answer = store.remove_drive(&second, false).await;
    assert!(matches!(answer, Err(FleetError::Unavailable(_))), "{answer:?}");
    assert!(plan.fired(rule) > 0);
    kill(store).await;
    plan.disarm();
    scene.wait_for_locks().await;
    plan.power_cut(scene.root.path()).unwrap();
    let store = open(&scene).await;
    // Of two members the one that stays is no majority: the leaving drive still counted.
    BODIES.check(&store, 1).await;
    BODIES.fill(&store, 2).await;
    assert_eq!(state_of(&store, &second), None, "it is removed");
    store.close().await;
    kill(store).await;
    // Settled, nobody asks for it any more.
    scene.remove(2);
    let store = open(&scene).await;
    BODIES.check(&store, 1).await;
    BODIES.check(&store, 2).await;
    BODIES.fill(&store, 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_is_refused_with_the_reason() {
    let scene = Scene::new(3);
    let store = open(&scene).await;
    BODIES.fill(&store, 1).await;
    let foreign = new_drive(&scene, 7);
    std::fs::write(foreign.join("photo.jpg"), b"mine").unwrap();
    assert!(refusal(store.add_drives(&[foreign], false).await).contains("photo.jpg"));
    assert!(refusal(store.add_drives(&[scene.drive(8)], false).await).contains("no such directory"));
    assert!(refusal(store.add_drives(&[scene.drive(2)], false).await).contains("belongs there"));
    assert!(refusal(store.add_drives(&["data9".into()], false).await).contains("whole path"));
    let inside = scene.drive(1).join("inside");
    assert!(refusal(store.add_drives(&[inside], false).await).contains("inside"));
    let linked = scene.root.path().join("linked");
    std::os::unix::fs::symlink(scene.drive(1), &linked).unwrap();
    assert!(!refusal(store.add_drives(&[linked], false).await).is_empty());
    assert_eq!(
        store.drain_drive("/nowhere").await.unwrap_err(),
        FleetError::Unknown("/nowhere".into())
    );
    let second = name(&scene, 2);
    assert!(refusal(store.remove_drive(&second, false).await).contains("drain it first"));
    assert!(
        refusal(store.remove_drive(&second, true).await).contains("drain it first"),
        "it is here"
    );
    assert!(refusal(store.keep_drive(&second).await).contains("not drained"));
    store.drain_drive(&second).await.unwrap();
    let told = refusal(store.drain_drive(&name(&scene, 3)).await);
    assert!(
        told.contains("1 of 3 drives") && told.contains("EC:1 needs 2"),
        "{told}"
    );
    assert!(refusal(store.set_parity(2).await).contains("EC:2"));
    store.keep_drive(&second).await.unwrap();
    assert_eq!(state_of(&store, &second), Some(DriveState::In));
    assert!(store.moving_status().drains.is_empty());
    until_whole(&store).await;
    BODIES.check(&store, 1).await;
    // Two drives are the least that EC:1 can do with.
    store.drain_drive(&second).await.unwrap();
    until_drained(&store, &second).await;
    store.remove_drive(&second, false).await.unwrap();
    until_whole(&store).await;
    BODIES.check(&store, 1).await;
    assert!(refusal(store.drain_drive(&name(&scene, 3)).await).contains("too few"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_drive_that_comes_back_is_refused_and_left_untouched() {
    let scene = Scene::new(5);
    let store = open(&scene).await;
    BODIES.fill(&store, 1).await;
    let stale = scene.root.path().join("stale");
    store.close().await;
    kill(store).await;
    copy_tree(&scene.drive(1), &stale, &["index"]);
    let store = open(&scene).await;
    let first = name(&scene, 1);
    store.drain_drive(&first).await.unwrap();
    until_drained(&store, &first).await;
    store.remove_drive(&first, false).await.unwrap();
    until_whole(&store).await;
    BODIES.fill(&store, 2).await;
    assert!(refusal(store.add_drives(&[scene.drive(1)], false).await).contains("removed from this store"));
    store.close().await;
    kill(store).await;
    // As it is, and as it was when it was full.
    for round in 0..2 {
        let files = files_below(&scene.drive(1));
        let store = open(&scene).await;
        assert_eq!(store.health().drives.len(), 4);
        BODIES.check(&store, 1).await;
        BODIES.check(&store, 2).await;
        until_whole(&store).await;
        store.close().await;
        kill(store).await;
        let of_shards = |files: &[(PathBuf, u64)]| {
            files
                .iter()
                .map(|(path, _)| path.clone())
                .collect::<BTreeSet<PathBuf>>()
        };
        assert_eq!(of_shards(&files), of_shards(&files_below(&scene.drive(1))), "{round}");
        std::fs::remove_dir_all(scene.drive(1)).unwrap();
        copy_tree(&stale, &scene.drive(1), &[]);
    }
    // It and one more are no majority of anything.
    for n in [3, 4, 5] {
        scene.remove(n);
    }
    let store = open(&scene).await;
    assert!(crate::scene::is_not_ready(&store));
}

#[tokio::test(flavor = "multi_thread")]
async fn five_drives_become_four_and_what_was_on_all_five_is_written_anew() {
    let scene = Scene::new(5);
    let store = open(&scene).await;
    BODIES.fill(&store, 1).await;
    store.drain_drive(&name(&scene, 3)).await.unwrap();
    until_drained(&store, &name(&scene, 3)).await;
    BODIES.check(&store, 1).await;
    store.remove_drive(&name(&scene, 3), false).await.unwrap();
    until_whole(&store).await;
    assert_eq!(store.health().tolerated_losses, 2);
    kill(store).await;
    scene.remove(3);
    for (a, b) in [(1, 2), (4, 5)] {
        scene.remove(a);
        scene.remove(b);
        let store = open(&scene).await;
        BODIES.check(&store, 1).await;
        kill(store).await;
        scene.bring_back(a);
        scene.bring_back(b);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drive_is_drained_while_another_is_away_and_also_when_it_is_away_itself() {
    let scene = Scene::new(6);
    let store = open(&scene).await;
    assert_eq!(store.health().parity, 3);
    store.set_parity(2).await.unwrap();
    BODIES.fill(&store, 1).await;
    store.add_drives(&[new_drive(&scene, 7)], false).await.unwrap();
    store.close().await;
    kill(store).await;
    scene.remove(4);
    let store = open(&scene).await;
    let first = name(&scene, 1);
    store.drain_drive(&first).await.unwrap();
    until_drained(&store, &first).await;
    BODIES.check(&store, 1).await;
    store.remove_drive(&first, false).await.unwrap();
    // The one that is away for good: what it had is made anew.
    let fourth = name(&scene, 4);
    assert!(refusal(store.remove_drive(&fourth, false).await).contains("lost for good"));
    store.drain_drive(&fourth).await.unwrap();
    until_drained(&store, &fourth).await;
    store.remove_drive(&fourth, false).await.unwrap();
    until_whole(&store).await;
    BODIES.check(&store, 1).await;
    assert_eq!(store.health().drives.len(), 5);
    assert_eq!(store.health().tolerated_losses, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drive_is_replaced_by_one_elsewhere_whether_it_is_here_or_lost() {
    let scene = Scene::new(4);
    let store = open(&scene).await;
    BODIES.fill(&store, 1).await;
    let (second, third) = (name(&scene, 2), name(&scene, 3));
    let (old, new) = store
        .replace_drive(&second, &new_drive(&scene, 5), false, false)
        .await
        .unwrap();
    assert_eq!((old.path, new.path), (second.clone(), name(&scene, 5)));
    until_drained(&store, &second).await;
    store.remove_drive(&second, false).await.unwrap();
    until_whole(&store).await;
    store.close().await;
    kill(store).await;
    scene.remove(3);
    let store = open(&scene).await;
    let sixth = new_drive(&scene, 6);
    assert!(refusal(store.replace_drive(&third, &sixth, false, false).await).contains("lost for good"));
    store.replace_drive(&third, &sixth, true, false).await.unwrap();
    until_whole(&store).await;
    BODIES.check(&store, 1).await;
    assert_eq!(store.health().tolerated_losses, 2);
    assert!(!shard_files(&sixth).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebalance_fills_a_new_drive_and_ends_by_itself_also_after_a_death() {
    let scene = Scene::new(4);
    let store = scene.try_open(slowly(&scene)).await.unwrap();
    for n in 0..24 {
        put(&store, &format!("large/{n}"), &body(n, LARGE)).await;
    }
    store.add_drives(&[new_drive(&scene, 5)], false).await.unwrap();
    let bytes_on = |n: usize| {
        let files = files_below(&scene.drive(n).join(".drystone/extent"));
        files.iter().map(|(_, len)| *len).sum::<u64>()
    };
    assert_eq!(bytes_on(5), 0);
    store.rebalance(Some(10)).await.unwrap();
    for _ in 0..200 {
        if bytes_on(5) > 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    kill(store).await;
    let store = open(&scene).await;
    assert_eq!(store.moving_status().rebalance.percent, Some(10), "it is still ordered");
    for _ in 0..600 {
        if store.moving_status().rebalance.percent.is_none() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(store.moving_status().rebalance.done, "{:?}", store.moving_status());
    let all: Vec<u64> = (1..=5).map(bytes_on).collect();
    let mean = all.iter().sum::<u64>() / 5;
    assert!(all.iter().all(|bytes| bytes.abs_diff(mean) < mean / 5), "{all:?}");
    until_whole(&store).await;
    for n in 0..24 {
        expect(&store, &format!("large/{n}"), &body(n, LARGE)).await;
    }
    kill(store).await;
    for n in [1, 5] {
        scene.remove(n);
    }
    let store = open(&scene).await;
    for n in 0..24 {
        expect(&store, &format!("large/{n}"), &body(n, LARGE)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_operators_word_a_start_takes_in_given_directories_where_no_drive_was() {
    let mut scene = Scene::new(4);
    let store = open(&scene).await;
    BODIES.fill(&store, 1).await;
    store.close().await;
    kill(store).await;
    new_drive(&scene, 5);
    scene.drives = 5;
    let store = open(&scene).await;
    assert_eq!(store.health().drives.len(), 4, "not by itself");
    store.close().await;
    kill(store).await;
    let with_word = || OpenOptions {
        add: true,
        ..scene.healing()
    };
    let store = scene.try_open(with_word()).await.unwrap();
    assert_eq!(state_of(&store, &name(&scene, 5)), Some(DriveState::In));
    store.close().await;
    kill(store).await;
    // Where a drive was an empty directory is that drive, missing, and no new one.
    std::fs::remove_dir_all(scene.drive(2)).unwrap();
    std::os::unix::fs::symlink("/proc/self/fd", scene.root.path().join("x")).unwrap();
    let store = scene.try_open(with_word()).await.unwrap();
    assert_eq!(store.health().drives.len(), 5);
    assert_eq!(state_of(&store, &name(&scene, 2)), Some(DriveState::Missing));
    BODIES.check(&store, 1).await;
}
