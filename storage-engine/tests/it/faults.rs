//! Drives that err, are late, or stop in the middle of a change. Every test proves that its fault fired.

use std::sync::Arc;
use std::time::{Duration, Instant};

use storage_engine::backend::{Backend, Batch, CommitError, DriveState, Op, ReadError};
use storage_engine::embedded::drive::{DriveOptions, Fault, FaultPlan, FaultRule, Operation};
use storage_engine::embedded::{Embedded, OpenOptions};

use crate::scene::{Scene, body, expect, is_not_ready, is_read_only, key, kill, list, put, read, try_put};

const EIO: i32 = 5;

struct Rig {
    scene: Scene,
    plan: Arc<FaultPlan>,
}

impl Rig {
    fn new(drives: usize) -> Self {
        Self {
            scene: Scene::new(drives),
            plan: Arc::new(FaultPlan::default()),
        }
    }

    fn options(&self) -> OpenOptions {
        let drive = DriveOptions {
            faults: Some(Arc::clone(&self.plan)),
            ..DriveOptions::default()
        };
        OpenOptions {
            drive,
            ..self.scene.options()
        }
    }

    async fn open(&self) -> Arc<Embedded> {
        self.scene.try_open(self.options()).await.unwrap()
    }

    /// The fault meets the next `times` such operations on a path with this part.
    fn next(&self, operation: Operation, path_part: &str, times: u64, fault: Fault) -> usize {
        self.plan.arm(FaultRule {
            operation,
            path_part: path_part.into(),
            after: 0,
            times,
            fault,
        })
    }
}

fn states(store: &Embedded) -> Vec<DriveState> {
    store.health().drives.iter().map(|drive| drive.state).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn all_drives_three_seconds_late_is_a_slow_machine_and_puts_no_drive_out() {
    let rig = Rig::new(4);
    let store = rig.open().await;
    put(&store, "before", &body(1, 100)).await;
    let rule = rig.next(Operation::SyncFile, "/log/", 4, Fault::Delay(Duration::from_secs(3)));
    let start = Instant::now();
    put(&store, "slow", &body(2, 100)).await;
    assert!(start.elapsed() >= Duration::from_secs(3));
    assert_eq!(rig.plan.fired(rule), 4);
    assert_eq!(states(&store), [DriveState::In; 4]);
    expect(&store, "slow", &body(2, 100)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_hung_drive_costs_one_write_about_two_seconds_and_is_put_out() {
    let rig = Rig::new(4);
    let store = rig.open().await;
    put(&store, "before", &body(1, 100)).await;
    let rule = rig.next(Operation::SyncFile, "data2/.drystone/log", u64::MAX, Fault::Hang);
    let start = Instant::now();
    put(&store, "hung", &body(2, 100)).await;
    let waited = start.elapsed();
    assert!(
        waited >= Duration::from_secs(2) && waited < Duration::from_secs(30),
        "{waited:?}"
    );
    assert_eq!(rig.plan.fired(rule), 1);
    assert_eq!(states(&store)[1], DriveState::Out);
    put(&store, "after", &body(3, 100)).await;
    assert_eq!(rig.plan.fired(rule), 1, "the drive that is out was asked");
    rig.plan.disarm();
    rig.plan.release();
    kill(store).await;
    let store = rig.open().await;
    assert_eq!(
        states(&store),
        [DriveState::In; 4],
        "a start readmits a drive that answers"
    );
    for (n, name) in ["before", "hung", "after"].into_iter().enumerate() {
        expect(&store, name, &body(n as u64 + 1, 100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drive_that_errs_is_left_out_and_the_write_succeeds() {
    for (operation, errno) in [
        (Operation::SyncFile, EIO),
        (Operation::Write, EIO),
        (Operation::Write, 30),
    ] {
        let rig = Rig::new(4);
        let store = rig.open().await;
        put(&store, "before", &body(1, 5000)).await;
        let rule = rig.next(operation, "data3/.drystone/log", u64::MAX, Fault::Fail(errno));
        put(&store, "while", &body(2, 5000)).await;
        assert_eq!(rig.plan.fired(rule), 1, "the failed file was tried again");
        assert_eq!(states(&store)[2], DriveState::Out);
        put(&store, "after", &body(3, 400_000)).await;
        kill(store).await;
        rig.plan.disarm();
        let store = rig.open().await;
        for (n, (name, len)) in [("before", 5000), ("while", 5000), ("after", 400_000)]
            .into_iter()
            .enumerate()
        {
            expect(&store, name, &body(n as u64 + 1, len)).await;
        }
    }
}

/// EACCES: what a drive answers that belongs to another user.
const EACCES: i32 = 13;

#[tokio::test(flavor = "multi_thread")]
async fn a_drive_that_takes_no_new_files_is_out_from_the_start_and_health_says_why() {
    let rig = Rig::new(4);
    let store = rig.open().await;
    put(&store, "before", &body(1, 400_000)).await;
    kill(store).await;
    let rule = rig
        .plan
        .arm_always(Operation::Create, "data3/.drystone/", Fault::Fail(EACCES));
    let store = rig.open().await;
    assert!(rig.plan.fired(rule) > 0);
    let health = store.health();
    assert_eq!(states(&store)[2], DriveState::Out);
    assert!(
        health.drives[2].reason.contains("Permission denied"),
        "{}",
        health.drives[2].reason
    );
    assert_eq!(health.tolerated_losses, 1);
    expect(&store, "before", &body(1, 400_000)).await;
    put(&store, "small", &body(2, 100)).await;
    put(&store, "large", &body(3, 400_000)).await;
    kill(store).await;
    rig.plan.disarm();
    let store = rig.open().await;
    assert_eq!(states(&store), [DriveState::In; 4]);
    expect(&store, "large", &body(3, 400_000)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drive_that_fails_large_bodies_only_is_left_out_and_the_body_goes_on() {
    for errno in [EACCES, EIO, 30] {
        let rig = Rig::new(4);
        let store = rig.open().await;
        let rule = rig
            .plan
            .arm_always(Operation::Create, "data3/.drystone/extent", Fault::Fail(errno));
        put(&store, "large", &body(1, 400_000)).await;
        assert_eq!(states(&store)[2], DriveState::Out);
        assert_eq!(rig.plan.fired(rule), 1);
        expect(&store, "large", &body(1, 400_000)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_drive_that_the_store_cannot_write_without_stays_in() {
    let rig = Rig::new(4);
    let store = rig.open().await;
    kill(store).await;
    rig.scene.remove(1);
    let store = rig.open().await;
    rig.plan
        .arm_always(Operation::Create, "data3/.drystone/extent", Fault::Fail(EIO));
    for _ in 0..3 {
        let failed = try_put(&store, "large", &body(1, 400_000)).await;
        assert!(matches!(failed, Err(CommitError::Unavailable(_))), "{failed:?}");
        put(&store, "small", &body(2, 100)).await;
    }
    assert_eq!(states(&store)[2], DriveState::In);
    assert!(!is_read_only(&store));
    let why = store
        .health()
        .large_bodies_fail
        .expect("health says that large bodies fail");
    assert!(why.contains("data3"), "{why}");
    // Nobody sends a large body meanwhile, as those do who go by its health.
    rig.plan.disarm();
    let works = || store.health().large_bodies_fail.is_none();
    soon("the store sees by itself that large bodies work", works).await;
    put(&store, "large", &body(1, 400_000)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_without_files_left_puts_no_drive_out() {
    const EMFILE: i32 = 24;
    let rig = Rig::new(4);
    let store = rig.open().await;
    let rule = rig.next(Operation::Create, "data3/.drystone/extent", 1, Fault::Fail(EMFILE));
    let failed = try_put(&store, "large", &body(1, 400_000)).await;
    assert!(matches!(failed, Err(CommitError::Unavailable(_))), "{failed:?}");
    put(&store, "small", &body(2, 100)).await;
    put(&store, "large", &body(1, 400_000)).await;
    assert_eq!(rig.plan.fired(rule), 1);
    assert_eq!(states(&store), [DriveState::In; 4]);
}

async fn until_decided(store: &Embedded, name: &str) -> Option<bytes::Bytes> {
    for _ in 0..300 {
        match read(store, name).await {
            Ok(found) => return found,
            Err(ReadError::Unavailable(_)) => tokio::time::sleep(Duration::from_millis(100)).await,
            Err(error) => panic!("{error}"),
        }
    }
    panic!("never decided");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_delete_answers_503_until_it_is_decided_and_then_never_changes() {
    let rig = Rig::new(4);
    let store = rig.open().await;
    put(&store, "victim", &body(1, 5000)).await;
    put(&store, "other", &body(2, 5000)).await;
    // Two of four drives fail in one batch: the record is on the two others, and no majority can void it.
    let rules = [3, 4].map(|n| rig.next(Operation::SyncFile, &format!("data{n}/"), u64::MAX, Fault::Fail(EIO)));
    let outcome = store
        .commit(Batch {
            require: vec![],
            ops: vec![Op::Delete(key("victim"))],
        })
        .await;
    assert!(matches!(outcome, Err(CommitError::Unknown(_))), "{outcome:?}");
    assert!(rules.iter().all(|rule| rig.plan.fired(*rule) >= 1));
    assert!(matches!(read(&store, "victim").await, Err(ReadError::Unavailable(_))));
    expect(&store, "other", &body(2, 5000)).await;
    let page = store.scan(key("a")..key("z"), 10).await;
    assert!(
        matches!(page, Err(ReadError::Unavailable(_))),
        "a listing says nothing about an undecided key"
    );
    assert!(matches!(
        try_put(&store, "victim", &body(3, 10)).await,
        Err(CommitError::Unavailable(_))
    ));
    rig.plan.disarm();
    let decided = until_decided(&store, "victim").await;
    for _ in 0..2 {
        kill_when_idle(&store).await;
        assert_eq!(read(&store, "victim").await.unwrap(), decided);
    }
    kill(store).await;
    let store = rig.open().await;
    assert_eq!(read(&store, "victim").await.unwrap(), decided);
    expect(&store, "other", &body(2, 5000)).await;
}

/// Lets the store's own restart finish.
async fn kill_when_idle(store: &Embedded) {
    for _ in 0..100 {
        if !is_read_only(store) && !is_not_ready(store) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// One life: opens, puts until something fails, and dies. What was acknowledged is noted.
async fn live(rig: &Rig, life: u64, acknowledged: &mut Vec<(String, u64)>, maybe: &mut Vec<(String, u64)>) {
    let Ok(store) = rig.scene.try_open(rig.options()).await else {
        return;
    };
    for n in 0..3 {
        let (name, seed) = (format!("life{life}/{n}"), life * 10 + n);
        match try_put(&store, &name, &body(seed, 3000)).await {
            Ok(_) => acknowledged.push((name, seed)),
            Err(_) => maybe.push((name, seed)),
        }
    }
    kill(store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dying_at_each_step_of_a_reseat_twice_in_a_row_loses_nothing() {
    let mut fired = 0;
    for operation in [
        Operation::Create,
        Operation::Write,
        Operation::SyncFile,
        Operation::SyncDirectory,
    ] {
        for after in 0..16 {
            let rig = Rig::new(4);
            let (mut acknowledged, mut maybe) = (Vec::new(), Vec::new());
            live(&rig, 0, &mut acknowledged, &mut maybe).await;
            assert_eq!(acknowledged.len(), 3);
            // Every start reseats. From the given step on nothing reaches any drive: the process might as well be dead.
            for life in 1..=2 {
                let dies = FaultRule {
                    operation,
                    path_part: "/.drystone/".into(),
                    after,
                    times: u64::MAX,
                    fault: Fault::Fail(EIO),
                };
                let rule = rig.plan.arm(dies);
                live(&rig, life, &mut acknowledged, &mut maybe).await;
                fired += rig.plan.fired(rule);
                rig.plan.disarm();
            }
            let store = rig.open().await;
            for (name, seed) in &acknowledged {
                expect(&store, name, &body(*seed, 3000)).await;
            }
            for (name, seed) in &maybe {
                if let Some(found) = read(&store, name).await.unwrap() {
                    assert!(found == body(*seed, 3000), "{name} is mixed");
                }
            }
            let listed = list(&store).await.len();
            assert!(listed >= acknowledged.len() && listed <= acknowledged.len() + maybe.len());
            put(&store, "goes on", &body(1, 10)).await;
            kill(store).await;
        }
    }
    assert!(fired > 100, "only {fired} faults fired");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drive_that_hangs_does_not_hold_up_a_start_and_counts_as_missing() {
    for (operation, path) in [
        (Operation::Read, "data2/.drystone/log"),
        (Operation::Open, "data2/.drystone/log"),
        (Operation::Read, "data2/.drystone/root"),
        (Operation::List, "data2/.drystone/extent"),
        (Operation::Read, "data2/.drystone/checkpoint"),
    ] {
        let rig = Rig::new(4);
        let mut options = rig.options();
        options.drive.answer_within = Duration::from_secs(1);
        let store = rig.scene.try_open(options.clone()).await.unwrap();
        put(&store, "small", &body(1, 5000)).await;
        put(&store, "large", &body(2, 400_000)).await;
        kill(store).await;
        let _ = std::fs::remove_dir_all(rig.scene.drive(1).join(".drystone/index"));
        let rule = rig.next(operation, path, u64::MAX, Fault::Hang);
        let start = Instant::now();
        let store = rig.scene.try_open(options.clone()).await.unwrap();
        let waited = start.elapsed();
        assert!(rig.plan.fired(rule) > 0, "{operation:?} {path} never hung");
        assert!(waited < Duration::from_secs(10), "{operation:?} {path}: {waited:?}");
        assert!(
            !is_read_only(&store) && !is_not_ready(&store),
            "{:?}",
            store.health().state
        );
        expect(&store, "small", &body(1, 5000)).await;
        expect(&store, "large", &body(2, 400_000)).await;
        put(&store, "while", &body(3, 400_000)).await;
        rig.plan.disarm();
        rig.plan.release();
        kill(store).await;
        let store = rig.scene.try_open(options).await.unwrap();
        assert_eq!(states(&store), [DriveState::In; 4], "{operation:?} {path}");
        expect(&store, "while", &body(3, 400_000)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_too_many_drives_hanging_a_start_says_which_are_missed_and_goes_on_when_they_answer() {
    let rig = Rig::new(4);
    let mut options = rig.options();
    options.drive.answer_within = Duration::from_secs(1);
    let store = rig.scene.try_open(options.clone()).await.unwrap();
    put(&store, "small", &body(1, 5000)).await;
    kill(store).await;
    for n in 1..=3 {
        rig.next(
            Operation::Read,
            &format!("data{n}/.drystone/root"),
            u64::MAX,
            Fault::Hang,
        );
    }
    let store = rig.scene.try_open(options).await.unwrap();
    assert!(is_not_ready(&store));
    assert!(matches!(read(&store, "small").await, Err(ReadError::Unavailable(_))));
    let state = format!("{:?}", store.health().state);
    assert!((1..=3).all(|n| state.contains(&format!("data{n}"))), "{state}");
    rig.plan.disarm();
    rig.plan.release();
    let start = Instant::now();
    while is_not_ready(&store) {
        assert!(start.elapsed() < Duration::from_secs(60), "it never went on");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    expect(&store, "small", &body(1, 5000)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drive_folder_that_went_away_is_left_out_and_none_is_made_in_its_place() {
    let rig = Rig::new(4);
    let store = rig.open().await;
    put(&store, "large", &body(1, 900_000)).await;
    rig.scene.remove(2);
    expect(&store, "large", &body(1, 900_000)).await;
    put(&store, "large", &body(3, 900_000)).await;
    assert_eq!(states(&store)[1], DriveState::Out);
    expect(&store, "large", &body(3, 900_000)).await;
    assert!(
        !rig.scene.drive(2).exists(),
        "a folder was made where the drive had been"
    );
    kill(store).await;
    rig.scene.bring_back(2);
    let store = rig.open().await;
    assert_eq!(states(&store), [DriveState::In; 4]);
    expect(&store, "large", &body(3, 900_000)).await;
}

/// Three of four drives fail in everything they write.
fn fail_three(rig: &Rig) {
    for n in 1..=3 {
        for operation in [Operation::Create, Operation::Write, Operation::SyncFile] {
            rig.next(operation, &format!("data{n}/"), u64::MAX, Fault::Fail(EIO));
        }
    }
}

async fn until_writable(store: &Embedded) -> Duration {
    let start = Instant::now();
    while is_read_only(store) || is_not_ready(store) {
        assert!(start.elapsed() < Duration::from_secs(60), "{:?}", store.health().state);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    start.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn drives_that_fail_together_leave_what_is_stored_readable_without_a_pause_until_they_are_back() {
    let rig = Rig::new(4);
    let store = rig.open().await;
    put(&store, "small", &body(1, 5000)).await;
    put(&store, "large", &body(2, 400_000)).await;
    fail_three(&rig);
    assert!(try_put(&store, "victim", &body(3, 100)).await.is_err());
    assert!(is_read_only(&store), "{:?}", store.health().state);
    // Longer than several looks at the drives: none of them may cost a single read.
    let (start, mut reads) = (Instant::now(), 0);
    while start.elapsed() < Duration::from_secs(12) {
        expect(&store, "small", &body(1, 5000)).await;
        expect(&store, "large", &body(2, 400_000)).await;
        assert!(is_read_only(&store), "{:?}", store.health().state);
        reads += 1;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(reads > 100, "only {reads} reads");
    rig.plan.disarm();
    let waited = until_writable(&store).await;
    assert!(waited < Duration::from_secs(20), "{waited:?}");
    put(&store, "victim", &body(4, 100)).await;
    for (name, seed, len) in [("small", 1, 5000), ("large", 2, 400_000), ("victim", 4, 100)] {
        expect(&store, name, &body(seed, len)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_stopped_reading_does_not_keep_a_store_from_starting_anew() {
    use futures::StreamExt;

    let rig = Rig::new(4);
    let store = rig.open().await;
    put(&store, "large", &body(2, 20_000_000)).await;
    let row = store.get(&key("large")).await.unwrap().unwrap().body.unwrap();
    let mut stalled = store.get_blob(&row, 0..row.len).await.unwrap();
    let mut got = stalled.next().await.unwrap().unwrap().len() as u64;
    fail_three(&rig);
    assert!(try_put(&store, "victim", &body(3, 100)).await.is_err());
    assert!(is_read_only(&store), "{:?}", store.health().state);
    rig.plan.disarm();
    let waited = until_writable(&store).await;
    assert!(waited < Duration::from_secs(20), "{waited:?}");
    put(&store, "after", &body(4, 100)).await;
    // What was being read ends with an error or whole, never short.
    let mut ended = None;
    while let Some(chunk) = stalled.next().await {
        match chunk {
            Ok(chunk) => got += chunk.len() as u64,
            Err(error) => ended = Some(error),
        }
    }
    assert!(
        ended.is_some() || got == row.len,
        "{got} of {} bytes and a clean end",
        row.len
    );
}

/// The store looks after itself every ten seconds.
async fn soon(what: &str, holds: impl Fn() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(60), "{what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn drives_deleted_under_a_running_store_are_missed_also_when_only_the_log_is_written() {
    let rig = Rig::new(4);
    let store = rig.open().await;
    put(&store, "before", &body(1, 5000)).await;
    // Their open files still take what the log writes, and no start will ever find it.
    std::fs::remove_dir_all(rig.scene.drive(2)).unwrap();
    soon("the first is not missed", || states(&store)[1] == DriveState::Out).await;
    put(&store, "with one gone", &body(2, 5000)).await;
    rig.scene.remove(3);
    soon("the second is not missed", || is_read_only(&store)).await;
    let refused = try_put(&store, "with two gone", &body(3, 5000)).await;
    assert!(matches!(refused, Err(CommitError::Unavailable(_))), "{refused:?}");
    expect(&store, "with one gone", &body(2, 5000)).await;
    rig.scene.bring_back(3);
    soon("it does not go on", || !is_read_only(&store) && !is_not_ready(&store)).await;
    put(&store, "after", &body(4, 5000)).await;
    kill(store).await;
    let store = rig.open().await;
    for (name, seed) in [("before", 1), ("with one gone", 2), ("after", 4)] {
        expect(&store, name, &body(seed, 5000)).await;
    }
}
