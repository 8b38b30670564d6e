//! Large bodies that lose drives on their way. Every test proves that its fault fired.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use storage_engine::backend::{
    Backend, Batch, Blob, BlobClass, CommitError, DriveState, NewBody, PutBlobError, SourceError,
};
use storage_engine::embedded::drive::{DriveOptions, Fault, FaultPlan, FaultRule, Operation};
use storage_engine::embedded::{Embedded, OpenOptions};

use crate::scene::{Scene, body, expect, is_read_only, kill, put_op, read, try_put};

const EIO: i32 = 5;
/// Twelve stripes of four drives.
const LARGE: usize = 3_000_000;

/// A store with faults; its own, so that several may run at once.
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

    async fn open(&self) -> Arc<Embedded> {
        let options = OpenOptions {
            drive: DriveOptions {
                faults: Some(Arc::clone(&self.plan)),
                ..DriveOptions::default()
            },
            ..self.scene.options()
        };
        self.scene.try_open(options).await.unwrap()
    }

    /// The fault meets everything of this kind on the drive's extents from the operation with this number on.
    fn arm(&self, operation: Operation, drive: usize, after: u64, fault: Fault) -> usize {
        self.plan.arm(FaultRule {
            operation,
            path_part: format!("data{drive}/.drystone/extent"),
            after,
            times: u64::MAX,
            fault,
        })
    }

    /// Shard files of extents on the drives but these, once what was begun in vain is removed.
    async fn until_files(&self, but: &[usize], wanted: usize) {
        let start = Instant::now();
        loop {
            let others = (1..=self.scene.drives).filter(|n| !but.contains(n));
            let files: usize = others
                .map(|n| count(&self.scene.drive(n).join(".drystone/extent")))
                .sum();
            if files == wanted {
                return;
            }
            assert!(start.elapsed() < Duration::from_secs(30), "{files} files of {wanted}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

fn count(dir: &Path) -> usize {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| if path.is_dir() { count(&path) } else { 1 }).sum()
}

async fn stage_in_chunks(store: &Embedded, bytes: &Bytes) -> Result<Blob, PutBlobError> {
    let chunks: Vec<Result<Bytes, SourceError>> = bytes.chunks(100_000).map(|part| Ok(bytes.slice_ref(part))).collect();
    store
        .put_blob(BlobClass::Part, Box::pin(futures::stream::iter(chunks)), None)
        .await
}

async fn put_in_chunks(store: &Embedded, name: &str, bytes: &Bytes) {
    let blob = stage_in_chunks(store, bytes).await.unwrap();
    let ops = vec![put_op(name, name, NewBody::Blob(blob))];
    store.commit(Batch { require: vec![], ops }).await.unwrap();
}

fn out(store: &Embedded) -> Vec<usize> {
    let drives = store.health().drives;
    (1..)
        .zip(drives)
        .filter(|(_, drive)| drive.state == DriveState::Out)
        .map(|(n, _)| n)
        .collect()
}

/// The drive fails at this step of one large body, which is stored all the same, and is there after a kill.
async fn goes_on(operation: Operation, after: u64, fault: Fault) {
    let what = format!("{operation:?} {after} {fault:?}");
    let rig = Rig::new(4);
    let store = rig.open().await;
    let rule = rig.arm(operation, 2, after, fault);
    let begun = Instant::now();
    put_in_chunks(&store, "large", &body(1, LARGE)).await;
    assert!(
        begun.elapsed() < Duration::from_secs(60),
        "{what}: {:?}",
        begun.elapsed()
    );
    assert!(rig.plan.fired(rule) > 0, "{what} never came");
    assert_eq!(out(&store), [2], "{what}");
    expect(&store, "large", &body(1, LARGE)).await;
    rig.until_files(&[2], 3).await;
    rig.plan.disarm();
    rig.plan.release();
    kill(store).await;
    let store = rig.open().await;
    expect(&store, "large", &body(1, LARGE)).await;
    kill(store).await;
}

/// Steps of one large body on one drive: creation, its header, its first, middle and last stripe, both syncs.
const STEPS: [(Operation, u64); 7] = [
    (Operation::Create, 0),
    (Operation::Write, 0),
    (Operation::Write, 1),
    (Operation::Write, 6),
    (Operation::Write, 12),
    (Operation::SyncFile, 0),
    (Operation::SyncDirectory, 0),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_body_goes_on_whatever_step_a_drive_fails_at() {
    for (operation, after) in STEPS {
        goes_on(operation, after, Fault::Fail(EIO)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_goes_on_whatever_step_a_drive_hangs_at() {
    let mut all = tokio::task::JoinSet::new();
    for (operation, after) in STEPS {
        all.spawn(goes_on(operation, after, Fault::Hang));
    }
    all.join_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_ends_though_the_drive_has_what_a_body_left_that_went_on_without_it() {
    let rig = Rig::new(5);
    let store = rig.scene.try_open(rig.scene.with_faults(&rig.plan)).await.unwrap();
    put_in_chunks(&store, "before", &body(2, LARGE)).await;
    let rule = rig.arm(Operation::Write, 2, 6, Fault::Fail(EIO));
    put_in_chunks(&store, "large", &body(1, LARGE)).await;
    assert!(rig.plan.fired(rule) > 0);
    let extents = rig.scene.drive(2).join(".drystone/extent");
    assert_eq!(
        count(&extents),
        2,
        "one is in use, and one was left when the body went on"
    );
    rig.plan.disarm();
    let second = rig.scene.drive(2).display().to_string();
    let begun = Instant::now();
    while store.drain_drive(&second).await.is_err() || out(&store) == [2] {
        assert!(begun.elapsed() < Duration::from_secs(60), "it never came back");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let is_empty = |store: &Embedded| store.moving_status().drains.iter().any(|drain| drain.holds_nothing);
    while !is_empty(&store) {
        assert!(
            begun.elapsed() < Duration::from_secs(150),
            "{:?} {} files",
            store.moving_status(),
            count(&extents)
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(count(&extents), 0);
    store.remove_drive(&second, false).await.unwrap();
    expect(&store, "before", &body(2, LARGE)).await;
    expect(&store, "large", &body(1, LARGE)).await;
    kill(store).await;
    let store = rig.scene.try_open(rig.scene.healing()).await.unwrap();
    expect(&store, "before", &body(2, LARGE)).await;
    expect(&store, "large", &body(1, LARGE)).await;
    kill(store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn as_many_drives_as_the_store_writes_without_may_fail_at_once() {
    let rig = Rig::new(8);
    let store = rig.open().await;
    let rules =
        [(2, 1), (5, 2), (7, 2)].map(|(drive, after)| rig.arm(Operation::Write, drive, after, Fault::Fail(EIO)));
    put_in_chunks(&store, "large", &body(1, LARGE)).await;
    assert!(rules.iter().all(|rule| rig.plan.fired(*rule) > 0));
    assert_eq!(out(&store), [2, 5, 7]);
    expect(&store, "large", &body(1, LARGE)).await;
    rig.until_files(&[2, 5, 7], 5).await;
    kill(store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_one_drive_too_many_failing_the_body_is_refused_and_nothing_of_it_is_seen() {
    let rig = Rig::new(4);
    let store = rig.open().await;
    try_put(&store, "large", &body(1, LARGE)).await.unwrap();
    let rules = [(2, 1), (3, 2)].map(|(drive, after)| rig.arm(Operation::Write, drive, after, Fault::Fail(EIO)));
    let refused = stage_in_chunks(&store, &body(2, LARGE)).await.map(|_| ());
    assert!(matches!(refused, Err(PutBlobError::Unavailable(_))), "{refused:?}");
    assert!(rules.iter().all(|rule| rig.plan.fired(*rule) > 0));
    assert!(!is_read_only(&store), "small bodies are still taken");
    expect(&store, "large", &body(1, LARGE)).await;
    // The first of the two to fail is out; its files are removed when it is back.
    let left = out(&store);
    assert_eq!(left.len(), 1, "{left:?}");
    rig.until_files(&left, 3).await;
    let again = try_put(&store, "other", &body(2, LARGE)).await;
    assert!(matches!(again, Err(CommitError::Unavailable(_))), "{again:?}");
    assert_eq!(read(&store, "other").await.unwrap(), None);
    kill(store).await;
}
