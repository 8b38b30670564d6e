//! Drives that come back, are replaced or rot: the store is made whole again by itself, and says so only when it is.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use storage_engine::backend::{Backend, DriveState};
use storage_engine::embedded::Embedded;
use storage_engine::embedded::drive::{Fault, FaultPlan, FaultRule, Operation};
use storage_engine::embedded::heal::{CensusDepth, HealState};

use crate::scene::{Bodies, Scene, body, copy_tree, delete, expect, files_below, kill, put, read, until_whole};

const LARGE: usize = 700_000;
const BODIES: Bodies = Bodies { count: 5, large: LARGE };

async fn open(scene: &Scene) -> Arc<Embedded> {
    scene.try_open(scene.healing()).await.unwrap()
}

/// The store of four is read with any two of these drives away.
async fn any_two_may_be_lost(scene: &Scene, drives: &[usize], rounds: &[u64]) {
    for a in drives {
        for b in drives.iter().filter(|b| *b > a) {
            scene.remove(*a);
            scene.remove(*b);
            let store = open(scene).await;
            for round in rounds {
                BODIES.check(&store, *round).await;
            }
            kill(store).await;
            scene.bring_back(*a);
            scene.bring_back(*b);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_drive_was_out_during_writes_and_came_back_any_two_others_may_be_lost() {
    let scene = Scene::new(4);
    let store = open(&scene).await;
    BODIES.fill(&store, 1).await;
    kill(store).await;
    scene.remove(2);
    let store = open(&scene).await;
    BODIES.fill(&store, 2).await;
    delete(&store, "1/large/0").await;
    put(&store, "1/large/0", &body(150, LARGE)).await;
    assert_eq!(store.health().tolerated_losses, 1);
    kill(store).await;
    scene.bring_back(2);
    // While it was away a file of it rotted: nothing has read it since.
    let rotten = shard_files(&scene.drive(2), "extent").pop().unwrap();
    flip(&rotten, 5000);
    let store = open(&scene).await;
    until_whole(&store).await;
    assert_eq!(store.health().tolerated_losses, 2);
    kill(store).await;
    any_two_may_be_lost(&scene, &[1, 3, 4], &[1, 2]).await;
}

/// Verifies every file of every drive.
async fn until_verified(store: &Embedded) {
    store.scrub_now();
    for _ in 0..600 {
        let scrubs = store.heal_status().scrubs;
        if scrubs.len() == 4 && scrubs.iter().all(|scrub| scrub.passed_at.is_some()) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("never verified: {:?}", store.heal_status());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drive_that_was_away_is_verified_even_if_the_store_is_killed_before_it_gets_to_that() {
    let scene = Scene::new(4);
    let store = open(&scene).await;
    BODIES.fill(&store, 1).await;
    until_verified(&store).await;
    kill(store).await;
    scene.remove(2);
    let store = open(&scene).await;
    BODIES.fill(&store, 2).await;
    kill(store).await;
    scene.bring_back(2);
    let rotten = shard_files(&scene.drive(2), "extent").pop().unwrap();
    let was = std::fs::read(&rotten).unwrap();
    flip(&rotten, 5000);
    // The first of these starts makes the drive's root as new as the others'.
    for _ in 0..2 {
        kill(open(&scene).await).await;
    }
    let store = open(&scene).await;
    assert!(
        becomes(&rotten, &was, Duration::from_secs(30)).await,
        "{:?}",
        store.heal_status()
    );
    until_whole(&store).await;
    kill(store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drive_taken_in_by_a_running_store_is_verified_even_if_that_is_killed_at_once() {
    let scene = Scene::new(4);
    let store = open(&scene).await;
    BODIES.fill(&store, 1).await;
    until_verified(&store).await;
    kill(store).await;
    let plan = Arc::new(FaultPlan::default());
    let mut slow = scene.with_faults(&plan);
    slow.heal.bytes_per_second = 1;
    let store = scene.try_open(slow).await.unwrap();
    plan.arm(FaultRule {
        operation: Operation::SyncFile,
        path_part: "data2/.drystone/log".into(),
        after: 0,
        times: 1,
        fault: Fault::Hang,
    });
    put(&store, "hung", &body(9, 100)).await;
    assert_eq!(state(&store, 2), DriveState::Out);
    let rotten = shard_files(&scene.drive(2), "extent").pop().unwrap();
    let was = std::fs::read(&rotten).unwrap();
    flip(&rotten, 5000);
    plan.disarm();
    plan.release();
    until(&store, 2, DriveState::In).await;
    kill(store).await;
    let store = open(&scene).await;
    assert!(
        becomes(&rotten, &was, Duration::from_secs(30)).await,
        "{:?}",
        store.heal_status()
    );
    kill(store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drive_that_was_away_and_hangs_when_it_is_written_holds_up_no_start() {
    let scene = Scene::new(4);
    let store = open(&scene).await;
    BODIES.fill(&store, 1).await;
    kill(store).await;
    scene.remove(2);
    let store = open(&scene).await;
    BODIES.fill(&store, 2).await;
    kill(store).await;
    scene.bring_back(2);
    let plan = Arc::new(FaultPlan::default());
    let rule = plan.arm_always(Operation::Write, "data2/.drystone/scrub", Fault::Hang);
    let mut options = scene.with_faults(&plan);
    options.drive.answer_within = Duration::from_secs(2);
    let began = tokio::time::Instant::now();
    let store = scene.try_open(options).await.unwrap();
    assert!(plan.fired(rule) > 0 && began.elapsed() < Duration::from_secs(60));
    assert_ne!(state(&store, 2), DriveState::In);
    BODIES.check(&store, 1).await;
    BODIES.fill(&store, 3).await;
    plan.disarm();
    plan.release();
    until(&store, 2, DriveState::In).await;
    until_whole(&store).await;
    BODIES.check(&store, 3).await;
    kill(store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wiped_drive_is_filled_again_by_itself() {
    let scene = Scene::new(4);
    let store = open(&scene).await;
    BODIES.fill(&store, 1).await;
    kill(store).await;
    scene.wipe(3);
    let store = open(&scene).await;
    assert_eq!(
        store
            .health()
            .drives
            .iter()
            .filter(|d| d.state == DriveState::In)
            .count(),
        4
    );
    put(&store, "later", &body(7, LARGE)).await;
    let census = until_whole(&store).await;
    assert!(census.segments > 5 && census.whole == census.segments);
    assert!(store.heal_status().shards_healed >= 5, "{:?}", store.heal_status());
    assert_eq!(store.health().tolerated_losses, 2);
    kill(store).await;
    any_two_may_be_lost(&scene, &[1, 2, 4], &[1]).await;
    // What the record said of the new places is known to the next start, also without an index.
    let _ = std::fs::remove_dir_all(scene.drive(1).join(".drystone/index"));
    let store = open(&scene).await;
    until_whole(&store).await;
    assert_eq!(store.heal_status().shards_healed, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_of_four_wiped_drives_are_filled_again_with_the_operators_word() {
    let scene = Scene::new(4);
    let store = open(&scene).await;
    BODIES.fill(&store, 1).await;
    kill(store).await;
    scene.wipe(1);
    scene.wipe(3);
    let mut forced = scene.healing();
    forced.adopt = true;
    let store = scene.try_open(forced).await.unwrap();
    BODIES.check(&store, 1).await;
    until_whole(&store).await;
    assert_eq!(store.health().tolerated_losses, 2);
    kill(store).await;
    any_two_may_be_lost(&scene, &[1, 2, 3, 4], &[1]).await;
}

/// The shard files in a folder of a drive, largest last.
fn shard_files(drive: &Path, folder: &str) -> Vec<PathBuf> {
    let mut files = files_below(&drive.join(".drystone").join(folder));
    files.sort_by_key(|(_, len)| *len);
    files.into_iter().map(|(path, _)| path).collect()
}

fn flip(file: &Path, at: usize) {
    use std::os::unix::fs::FileExt;
    let open = std::fs::File::options().read(true).write(true).open(file).unwrap();
    let mut byte = [0];
    open.read_exact_at(&mut byte, at as u64).unwrap();
    open.write_all_at(&[byte[0] ^ 0x40], at as u64).unwrap();
    open.sync_all().unwrap();
}

/// Whether the file becomes again what it was, but for its header, which says when it was made.
async fn becomes(file: &Path, was: &[u8], within: Duration) -> bool {
    let until = tokio::time::Instant::now() + within;
    while tokio::time::Instant::now() < until {
        if std::fs::read(file).unwrap()[4096..] == was[4096..] {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    false
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_byte_that_a_read_meets_is_mended_and_the_right_bytes_are_served() {
    let scene = Scene::new(4);
    let store = open(&scene).await;
    put(&store, "large", &body(1, LARGE)).await;
    until_whole(&store).await;
    let mut mended = 0;
    for n in 1..=4 {
        let file = shard_files(&scene.drive(n), "extent").pop().unwrap();
        let was = std::fs::read(&file).unwrap();
        flip(&file, was.len() / 2);
        expect(&store, "large", &body(1, LARGE)).await;
        if becomes(&file, &was, Duration::from_secs(4)).await {
            mended += 1;
            continue;
        }
        // A parity shard: it is found by who looks for it.
        assert_eq!(store.census(CensusDepth::Frames).await.unwrap().bad_shards, 1);
        store.heal_now();
        assert!(becomes(&file, &was, Duration::from_secs(20)).await);
    }
    assert_eq!(mended, 2, "a read meets the data shards");
    until_whole(&store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_flipped_in_the_log_are_mended_once_it_is_sealed() {
    let scene = Scene::new(4);
    let store = open(&scene).await;
    put(&store, "small", &body(1, 100_000)).await;
    until_whole(&store).await;
    // The segment is the open one: a read that meets the damage has it sealed.
    let files: Vec<(PathBuf, Vec<u8>)> = (1..=4)
        .map(|n| scene.log_files(n).pop().unwrap())
        .map(|path| (path.clone(), std::fs::read(path).unwrap()))
        .collect();
    // One with data, which a read meets, and one with parity, which it does not.
    let flipped = |file: &Path| file.extension().is_some_and(|shard| shard == "00" || shard == "03");
    for (file, was) in files.iter().filter(|(file, _)| flipped(file)) {
        flip(file, 4096 + (was.len() - 4096) * 3 / 4);
    }
    for n in 0..4 {
        expect(&store, "small", &body(1, 100_000)).await;
        put(&store, &format!("more/{n}"), &body(n, 5000)).await;
    }
    for (file, was) in &files {
        let end = was.iter().rposition(|byte| *byte != 0).unwrap() + 1;
        let mended = || std::fs::read(file).unwrap()[4096..].starts_with(&was[4096..end]);
        for _ in 0..300 {
            if mended() {
                break;
            }
            // What no read meets is found by counting, once the segment is sealed.
            store.census(CensusDepth::Frames).await.unwrap();
            store.heal_now();
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert!(mended(), "{}: {:?}", file.display(), store.heal_status());
    }
    until_whole(&store).await;
}

/// Healing stops at this operation, then the power goes.
async fn dies_at(operation: Operation, after: u64) {
    let scene = Scene::new(4);
    let store = open(&scene).await;
    BODIES.fill(&store, 1).await;
    kill(store).await;
    scene.wipe(3);
    let plan = Arc::new(FaultPlan::with_power_cuts());
    let directories = operation == Operation::SyncDirectory || operation == Operation::Rename;
    let path_part = if directories { "data3/.drystone/extent" } else { ".new" };
    let rule = plan.arm(FaultRule {
        operation,
        path_part: path_part.into(),
        after,
        times: u64::MAX,
        fault: Fault::Hang,
    });
    let store = scene.try_open(scene.with_faults(&plan)).await.unwrap();
    for _ in 0..200 {
        if plan.fired(rule) > 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(plan.fired(rule) > 0, "{operation:?} {after}");
    BODIES.check(&store, 1).await;
    kill(store).await;
    plan.disarm();
    plan.release();
    scene.wait_for_locks().await;
    plan.power_cut(scene.root.path()).unwrap();
    let store = scene.try_open(scene.with_faults(&plan)).await.unwrap();
    BODIES.check(&store, 1).await;
    until_whole(&store).await;
    assert!(unfinished(&scene).is_empty(), "{operation:?}: {:?}", unfinished(&scene));
    kill(store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn healing_that_dies_at_any_step_is_gone_on_with_and_nothing_is_lost() {
    let steps: &[u64] = match std::env::var_os("DRYSTONE_LONG_TESTS") {
        Some(_) => &[0, 1, 2, 5, 9, 14],
        None => &[1],
    };
    let operations = [
        Operation::Create,
        Operation::Write,
        Operation::SyncFile,
        Operation::Rename,
        Operation::SyncDirectory,
    ];
    for after in steps {
        futures::future::join_all(operations.map(|operation| dies_at(operation, *after))).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn healing_that_does_not_sync_is_caught_by_a_power_cut_and_costs_no_byte() {
    let scene = Scene::new(4);
    let store = open(&scene).await;
    BODIES.fill(&store, 1).await;
    kill(store).await;
    scene.wipe(3);
    let plan = Arc::new(FaultPlan::with_power_cuts());
    let lie = plan.arm_always(Operation::SyncFile, ".new", Fault::Pretend);
    let store = scene.try_open(scene.with_faults(&plan)).await.unwrap();
    until_whole(&store).await;
    assert!(plan.fired(lie) >= 5);
    kill(store).await;
    plan.disarm();
    scene.wait_for_locks().await;
    assert!(plan.power_cut(&scene.drive(3)).unwrap() >= 5);
    let store = scene.try_open(scene.with_faults(&plan)).await.unwrap();
    BODIES.check(&store, 1).await;
    assert!(store.census(CensusDepth::Frames).await.unwrap().bad_shards >= 5);
    store.heal_now();
    for _ in 0..100 {
        if store.census(CensusDepth::Files).await.unwrap().is_clean() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    until_whole(&store).await;
}

fn unfinished(scene: &Scene) -> Vec<PathBuf> {
    let all = files_below(scene.root.path()).into_iter().map(|(path, _)| path);
    all.filter(|path| path.extension().is_some_and(|e| e == "new"))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_shard_file_that_reads_back_wrong_never_takes_its_place() {
    let scene = Scene::new(4);
    let plan = Arc::new(FaultPlan::default());
    let store = scene.try_open(scene.with_faults(&plan)).await.unwrap();
    put(&store, "large", &body(1, LARGE)).await;
    until_whole(&store).await;
    let file = shard_files(&scene.drive(2), "extent").pop().unwrap();
    let was = std::fs::read(&file).unwrap();
    flip(&file, was.len() / 2);
    let damaged = std::fs::read(&file).unwrap();
    // A drive that says "written" and wrote nothing.
    let lie = plan.arm(FaultRule {
        operation: Operation::Write,
        path_part: ".new".into(),
        after: 2,
        times: 1,
        fault: Fault::Pretend,
    });
    assert_eq!(store.census(CensusDepth::Frames).await.unwrap().bad_shards, 1);
    store.heal_now();
    for _ in 0..100 {
        if plan.fired(lie) > 0 && store.heal_status().state == HealState::Waiting {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let status = store.heal_status();
    assert_eq!(plan.fired(lie), 1);
    assert_eq!(status.state, HealState::Waiting, "it is not whole");
    assert!(status.reasons.iter().any(|r| r.contains("give back")), "{status:?}");
    assert!(std::fs::read(&file).unwrap() == damaged, "what stood there was touched");
    store.heal_now();
    assert!(becomes(&file, &was, Duration::from_secs(10)).await);
    until_whole(&store).await;
    assert!(unfinished(&scene).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn healing_goes_on_beside_writes_and_deletes() {
    let scene = Scene::new(4);
    let store = open(&scene).await;
    BODIES.fill(&store, 1).await;
    kill(store).await;
    scene.wipe(2);
    let store = open(&scene).await;
    let writers: Vec<_> = (0..3u64)
        .map(|writer| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                for n in 0..40 {
                    let name = format!("w{writer}/{}", n % 8);
                    let len = if n % 3 == 0 { 300_000 } else { 2000 };
                    put(&store, &name, &body(writer * 1000 + n, len)).await;
                    if n % 5 == 4 {
                        delete(&store, &name).await;
                    }
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    until_whole(&store).await;
    BODIES.check(&store, 1).await;
    assert!(read(&store, "w0/0").await.unwrap().is_some());
    kill(store).await;
    any_two_may_be_lost(&scene, &[1, 3, 4], &[1]).await;
}

fn state(store: &Embedded, drive: usize) -> DriveState {
    store.health().drives[drive - 1].state
}

async fn until(store: &Embedded, drive: usize, wanted: DriveState) {
    for _ in 0..600 {
        if state(store, drive) == wanted {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("drive {drive} is never {wanted:?}: {:?}", store.health().drives);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drive_that_hung_is_taken_in_again_once_it_answers_and_not_before() {
    let scene = Scene::new(4);
    let plan = Arc::new(FaultPlan::default());
    let store = scene.try_open(scene.with_faults(&plan)).await.unwrap();
    BODIES.fill(&store, 1).await;
    let hung = plan.arm(FaultRule {
        operation: Operation::SyncFile,
        path_part: "data2/.drystone/log".into(),
        after: 0,
        times: 1,
        fault: Fault::Hang,
    });
    put(&store, "hung", &body(9, 100)).await;
    assert_eq!(plan.fired(hung), 1);
    assert_eq!(state(&store, 2), DriveState::Out);
    BODIES.fill(&store, 2).await;
    // Longer than several looks: what it had on its way has not returned.
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(state(&store, 2), DriveState::Out);
    let reason = store.health().drives[1].reason.clone();
    assert!(reason.contains("uses it"), "{reason}");
    plan.disarm();
    plan.release();
    until(&store, 2, DriveState::In).await;
    BODIES.fill(&store, 3).await;
    until_whole(&store).await;
    assert_eq!(store.health().tolerated_losses, 2);
    kill(store).await;
    any_two_may_be_lost(&scene, &[1, 3, 4], &[1, 2, 3]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drive_wiped_under_a_running_store_is_adopted_and_filled_without_a_start() {
    let scene = Scene::new(4);
    let store = open(&scene).await;
    BODIES.fill(&store, 1).await;
    let old = store.health().drives[1].id.clone();
    let aside = scene.root.path().join("aside");
    copy_tree(&scene.drive(2), &aside, &["index", "lock"]);
    scene.wipe(2);
    for _ in 0..600 {
        let drive = store.health().drives[1].clone();
        if drive.id != old && drive.state == DriveState::In {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_ne!(store.health().drives[1].id, old, "{:?}", store.health().drives);
    BODIES.fill(&store, 2).await;
    until_whole(&store).await;
    assert_eq!(store.health().tolerated_losses, 2);
    kill(store).await;
    any_two_may_be_lost(&scene, &[1, 3, 4], &[1, 2]).await;
    // The old drive is found again: it is gone, and is neither used nor touched.
    scene.remove(2);
    copy_tree(&aside, &scene.drive(2), &[]);
    let before = files_below(&scene.drive(2).join(".drystone/extent"));
    let store = open(&scene).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let drive = store.health().drives[1].clone();
    assert!(
        drive.state == DriveState::Missing && drive.reason.contains("no member"),
        "{drive:?}"
    );
    BODIES.check(&store, 2).await;
    kill(store).await;
    assert_eq!(files_below(&scene.drive(2).join(".drystone/extent")), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_one_of_eight_drives_away_and_two_wiped_a_stale_one_that_is_back_lets_the_store_go_on() {
    let scene = Scene::new(8);
    let store = open(&scene).await;
    BODIES.fill(&store, 1).await;
    // Away while the store runs: the root calls it out, and it misses what is written.
    scene.remove(1);
    BODIES.fill(&store, 2).await;
    assert_eq!(store.health().tolerated_losses, 3, "{:?}", store.health().drives);
    kill(store).await;
    scene.bring_back(1);
    scene.remove(4);
    scene.wipe(2);
    scene.wipe(3);
    // Five of the eight old members are here, and one of these five was out.
    let store = open(&scene).await;
    BODIES.check(&store, 2).await;
    BODIES.fill(&store, 3).await;
    kill(store).await;
    scene.bring_back(4);
    let store = open(&scene).await;
    until_whole(&store).await;
    assert_eq!(store.health().tolerated_losses, 4, "{:?}", store.health().drives);
    BODIES.check(&store, 3).await;
    kill(store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_byte_in_the_newest_checkpoint_is_followed_by_a_whole_one() {
    let scene = Scene::new(4);
    let store = open(&scene).await;
    BODIES.fill(&store, 1).await;
    kill(store).await;
    let before: Vec<PathBuf> = (1..=4)
        .flat_map(|n| shard_files(&scene.drive(n), "checkpoint"))
        .collect();
    // One with data, which the start reads, and one with parity, which it does not.
    let flipped = |file: &&PathBuf| file.extension().is_some_and(|shard| shard == "00" || shard == "03");
    before.iter().filter(flipped).for_each(|file| flip(file, 4096 + 60));
    // Without an index the start reads the checkpoint.
    let _ = std::fs::remove_dir_all(scene.drive(1).join(".drystone/index"));
    let store = open(&scene).await;
    BODIES.check(&store, 1).await;
    for _ in 0..300 {
        let now: Vec<PathBuf> = (1..=4)
            .flat_map(|n| shard_files(&scene.drive(n), "checkpoint"))
            .collect();
        if now.iter().filter(|file| !before.contains(file)).count() == 4 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let now = (1..=4).flat_map(|n| shard_files(&scene.drive(n), "checkpoint"));
    assert_eq!(
        now.filter(|file| !before.contains(file)).count(),
        4,
        "no new checkpoint"
    );
    until_whole(&store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shard_file_that_is_never_read_in_time_is_made_anew() {
    use std::os::unix::fs::MetadataExt;
    let scene = Scene::new(4);
    let plan = Arc::new(FaultPlan::default());
    let store = scene.try_open(scene.with_faults(&plan)).await.unwrap();
    BODIES.fill(&store, 1).await;
    until_whole(&store).await;
    let (file, _) = files_below(&scene.drive(2).join(".drystone/extent")).swap_remove(0);
    let inode = || std::fs::metadata(&file).map(|meta| meta.ino()).ok();
    let before = inode();
    // As a sector that the drive tries again and again: longer than a read may take, so the drive is out before it fails.
    let rule = plan.arm(FaultRule {
        operation: Operation::Read,
        path_part: file.to_string_lossy().into_owned(),
        after: 0,
        times: 3,
        fault: Fault::Delay(Duration::from_secs(8)),
    });
    store.scrub_now();
    for _ in 0..1200 {
        if inode() != before {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(
        plan.fired(rule),
        3,
        "it was tried more than once: {:?}",
        store.heal_status()
    );
    assert!(inode().is_some() && inode() != before, "{:?}", store.heal_status());
    until_whole(&store).await;
    BODIES.check(&store, 1).await;
}
