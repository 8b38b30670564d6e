//! Drives that fail, hang, are slow or full, while a segment is written or read.

use std::process::Command;
use std::time::Duration;

use super::*;
use crate::embedded::drive::{Fault, Operation};

const EIO: i32 = 5;

fn watched(data: u8, parity: u8) -> (Wall, Arc<FaultPlan>) {
    let plan = Arc::new(FaultPlan::default());
    let geometry = Geometry { data, parity, unit: 64 };
    (Wall::with_plan(geometry, Some(plan.clone())), plan)
}

async fn write_all(wall: &Wall, len: usize) -> Result<StagedSegment, WriteError> {
    let mut writer = wall.writer(SegmentKind::Extent).await?;
    writer.begin_body()?;
    writer.write(Bytes::from(body_of(len))).await?;
    writer.end_body().await?;
    writer.finish().await
}

#[tokio::test]
async fn a_drive_that_fails_at_any_step_fails_the_writer_is_named_and_nothing_stays() {
    for operation in [
        Operation::Create,
        Operation::Write,
        Operation::SyncFile,
        Operation::SyncDirectory,
    ] {
        let (wall, plan) = watched(2, 1);
        let fault = plan.arm_always(operation, "d01/.drystone/extent", Fault::Fail(EIO));
        let failed = write_all(&wall, 1000).await.unwrap_err();
        let named = failed.failed_drive().map(|(drive, _)| drive);
        assert_eq!(named, Some(DriveId::from_bytes([1; 16])), "{operation:?}");
        assert!(failed.to_string().contains("d01"), "{failed}");
        assert!(plan.fired(fault) > 0, "{operation:?} did not happen");
        assert_eq!(wall.files_left().await, 0, "{operation:?}");
    }
}

#[tokio::test]
async fn every_shard_file_and_directory_is_synced_before_the_segment_is_staged() {
    let (wall, plan) = watched(2, 1);
    let files = plan.arm_always(Operation::SyncFile, "extent", Fault::Delay(Duration::ZERO));
    let directories = plan.arm_always(Operation::SyncDirectory, "extent", Fault::Delay(Duration::ZERO));
    let staged = write_all(&wall, 1000).await.unwrap();
    assert_eq!((plan.fired(files), plan.fired(directories)), (3, 3));
    staged.keep();
}

#[tokio::test]
async fn a_dropped_writer_and_a_dropped_segment_leave_nothing_and_a_kept_one_stays() {
    let wall = Wall::new(2, 1, 64);
    let mut writer = wall.writer(SegmentKind::Extent).await.unwrap();
    writer.begin_body().unwrap();
    writer.write(Bytes::from(body_of(10_000))).await.unwrap();
    drop(writer);
    drop(write_all(&wall, 1000).await.unwrap());
    assert_eq!(wall.files_left().await, 0);
    write_all(&wall, 1000).await.unwrap().keep();
    assert_eq!(wall.files_left().await, 3);
}

#[tokio::test]
async fn a_writer_that_is_dropped_while_its_files_are_made_leaves_nothing() {
    let (wall, plan) = watched(1, 1);
    let slow = plan.arm_always(Operation::Create, "d01", Fault::Hang);
    let creation = tokio::time::timeout(Duration::from_millis(50), wall.writer(SegmentKind::Extent));
    assert!(creation.await.is_err());
    assert_eq!(plan.fired(slow), 1);
    plan.disarm();
    plan.release();
    assert_eq!(wall.files_left().await, 0);
}

#[tokio::test]
async fn a_drive_with_read_errors_is_made_good_and_reported() {
    let (wall, plan) = watched(2, 1);
    let body = body_of(500);
    let (segment, piece) = wall.store(&body).await;
    let fault = plan.arm_always(Operation::Read, "d00", Fault::Fail(EIO));
    assert_eq!(wall.read(&segment, piece).await.unwrap(), body);
    assert!(plan.fired(fault) > 0);
    assert!(
        wall.reported()
            .iter()
            .all(|d| matches!(&d.why, Why::Unreadable(e) if e.contains("d00")))
    );
    let second = plan.arm_always(Operation::Read, "d01", Fault::Fail(EIO));
    let failed = wall.read(&segment, piece).await.unwrap_err();
    assert!(plan.fired(second) > 0);
    assert!(matches!(failed, SegmentReadError::Unavailable(_)), "{failed}");
}

#[tokio::test]
async fn a_hung_drive_that_is_shut_no_longer_holds_a_read() {
    // On a machine that is busy enough a read counts as late before its drive was asked, and the other drive answers.
    for _ in 0..20 {
        if a_drive_is_shut_while_a_read_hangs().await {
            return;
        }
    }
    panic!("twenty reads were answered before the drive that hangs was asked");
}

/// Whether the read was under way on the drive that hangs when it was shut.
async fn a_drive_is_shut_while_a_read_hangs() -> bool {
    let (wall, plan) = watched(1, 1);
    let body = body_of(50);
    let (segment, piece) = wall.store(&body).await;
    plan.arm_always(Operation::Read, "d00", Fault::Hang);
    let hung = wall.drives.get(&segment.drives[0]).unwrap();
    let mut read = std::pin::pin!(wall.read(&segment, piece));
    let hangs = async {
        while plan.hanging() == 0 {
            tokio::task::yield_now().await;
        }
    };
    let answered = tokio::select! {
        biased;
        answer = &mut read => Some(answer),
        () = hangs => None,
    };
    let hangs = answered.is_none();
    if hangs {
        hung.shut();
    }
    let answer = match answered {
        Some(answer) => answer,
        None => read.await,
    };
    assert_eq!(answer.unwrap(), body);
    assert!(!hangs || !hung.threads_done());
    plan.disarm();
    plan.release();
    hangs
}

#[tokio::test]
async fn a_read_goes_around_a_hung_drive_at_first_late_then_at_once() {
    let (wall, plan) = watched(2, 1);
    let body = body_of(5000);
    let (segment, piece) = wall.store(&body).await;
    let hung = plan.arm_always(Operation::Read, "d01", Fault::Hang);
    let begun = std::time::Instant::now();
    assert_eq!(wall.read(&segment, piece).await.unwrap(), body);
    assert!(plan.fired(hung) > 0);
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "40 stripes took {:?}",
        begun.elapsed()
    );
    assert_eq!(wall.reported(), [], "late is not damaged");
    plan.disarm();
    plan.release();
}

#[tokio::test]
async fn drives_that_are_all_slow_are_waited_for() {
    let (wall, plan) = watched(2, 1);
    let body = body_of(100);
    let (segment, piece) = wall.store(&body).await;
    let slow = plan.arm_always(Operation::Read, "", Fault::Delay(Duration::from_millis(700)));
    assert_eq!(wall.read(&segment, piece).await.unwrap(), body);
    assert!(plan.fired(slow) >= 2);
}

#[tokio::test]
async fn well_drives_are_read_no_more_often_than_their_stripes_need() {
    let (wall, plan) = watched(2, 2);
    let body = body_of(128 * 300);
    let (segment, piece) = wall.store(&body).await;
    let reads = plan.arm_always(Operation::Read, "extent", Fault::Delay(Duration::ZERO));
    assert_eq!(wall.read(&segment, piece).await.unwrap(), body);
    let fired = plan.fired(reads);
    // A busy machine may hold a read up for so long that another is sent after it, and one alone.
    let late = wall.reported.late.lock().len() as u64;
    assert!(
        (600..=600 + late).contains(&fired),
        "{fired} reads for 600 shards, {late} of them late"
    );
}

#[tokio::test]
async fn a_drive_that_is_always_slow_is_hardly_read() {
    let body = body_of(128 * 300);
    let mut waited = Vec::new();
    // On a machine that is busy the others are slow as well; then it is tried again, with drives nobody knows yet.
    let wall = loop {
        assert!(waited.len() < 10, "of 300 stripes {waited:?} waited for it");
        let (wall, plan) = watched(2, 2);
        let (segment, piece) = wall.store(&body).await;
        let slow = plan.arm_always(Operation::Read, "d01", Fault::Delay(Duration::from_millis(100)));
        assert_eq!(wall.read(&segment, piece).await.unwrap(), body);
        let fired = plan.fired(slow);
        assert!(fired > 0, "it was not slow");
        if fired < 100 {
            break wall;
        }
        waited.push(fired);
    };
    let late = std::mem::take(&mut *wall.reported.late.lock());
    assert!(
        late.contains(&DriveId::from_bytes([1; 16])),
        "nobody was told: {late:?}"
    );
    assert_eq!(wall.reported(), [], "slow is not damaged");
}

#[tokio::test]
async fn m_hung_drives_hold_up_no_read_and_gather_no_jobs() {
    let (wall, plan) = watched(2, 2);
    let body = body_of(128 * 100);
    let (segment, piece) = wall.store(&body).await;
    let rules = ["d00", "d01"].map(|drive| plan.arm_always(Operation::Read, drive, Fault::Hang));
    let begun = std::time::Instant::now();
    for _ in 0..20 {
        assert_eq!(wall.read(&segment, piece).await.unwrap(), body);
        assert_eq!(wall.read_range(&segment, piece, 70..90).await.unwrap(), body[70..90]);
    }
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert_eq!(plan.hanging(), 2, "the only read thread of each");
    plan.disarm();
    plan.release();
    // What waited behind the hung reads is nobody's any more and is not done.
    for (drive, rule) in [0, 1].into_iter().zip(rules) {
        let on = wall.drives.get(&segment.drives[drive]).unwrap();
        on.run(Lane::Read, || Ok(())).await.unwrap();
        assert_eq!(plan.fired(rule), 1);
    }
    assert_eq!(wall.read(&segment, piece).await.unwrap(), body);
}

/// A mounted file system, unmounted on drop.
struct Mounted(tempfile::TempDir);

impl Mounted {
    fn tmpfs(size: &str) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let options = format!("size={size}");
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(dir.path())
            .status();
        mount.is_ok_and(|status| status.success()).then(|| Self(dir))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[tokio::test]
async fn a_full_drive_is_told_from_a_failing_one_and_is_emptied_again() {
    let Some(small) = Mounted::tmpfs("1m") else {
        eprintln!("SKIPPED: mounting a small file system needs root");
        return;
    };
    let wall = Wall::new(1, 1, 64 * 1024);
    let full_id = DriveId::from_bytes([1; 16]);
    wall.drives.insert(full_id, Arc::new(open(small.0.path(), true, None)));
    let mut writer = wall.writer(SegmentKind::Extent).await.unwrap();
    writer.begin_body().unwrap();
    let mut outcome = Ok(());
    for _ in 0..40 {
        outcome = writer.write(Bytes::from(body_of(64 * 1024))).await;
        if outcome.is_err() {
            break;
        }
    }
    let full = outcome.unwrap_err();
    assert!(full.is_full(), "{full}");
    assert!(matches!(full, WriteError::Drive { drive, .. } if drive == full_id));
    assert!(full.failed_drive().is_none(), "a full drive stays in");
    drop(writer);
    assert_eq!(wall.files_left().await, 0);
    let emptied = async {
        // The stripes that were on their way hold their files a moment longer.
        let drive = wall.drives.get(&full_id).unwrap();
        while drive.space().unwrap().free < drive.space().unwrap().capacity / 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), emptied).await.unwrap();
    write_all(&wall, 1000).await.unwrap().keep();
    drop(wall);
}
