//! Drives on real directories: the lock, the folder, root slots, shared syncs, and what a power cut takes.

use std::fs;

use super::*;
use crate::embedded::erasure::Geometry;
use crate::embedded::frame::FORMAT_VERSION;
use crate::embedded::id::StoreId;

fn extent_header(byte: u8) -> ShardHeader {
    ShardHeader {
        format: FORMAT_VERSION,
        store: StoreId::from_bytes([1; 16]),
        segment: SegmentId::from_bytes([byte; 16]),
        kind: SegmentKind::Extent,
        shard: 0,
        geometry: Geometry {
            data: 1,
            parity: 0,
            unit: 4096,
        },
        created_epoch: 1,
    }
}

#[test]
fn a_drive_is_opened_once_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let first = Drive::open(dir.path(), true).unwrap();
    assert!(matches!(Drive::open(dir.path(), false), Err(DriveError::Locked(_))));
    drop(first);
    Drive::open(dir.path(), false).unwrap();
}

/// A drive that goes just as it is looked at: what is told of its path then is of the directory below the mount point, by
/// which an empty one would be taken for its replacement.
#[test]
fn how_a_drive_is_mounted_is_not_told_by_what_stands_at_its_path_without_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("d1");
    let drive = Drive::open(&path, true).unwrap();
    assert!(drive.mount_facts().is_ok());
    fs::rename(&path, dir.path().join("away")).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(drive.mount_facts().is_err());
    let other = Drive::open(&path, true).unwrap();
    assert!(drive.mount_facts().is_err(), "another drive");
    assert!(other.mount_facts().is_ok());
    other.shut();
    assert!(other.mount_facts().is_err(), "shut");
}

#[test]
fn opening_without_formatting_makes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(
        Drive::open(dir.path(), false),
        Err(DriveError::NotFormatted(_))
    ));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_formatted_drive_counts_as_empty_until_a_root_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("not/there/yet");
    let drive = Drive::open(&path, true).unwrap();
    assert_eq!(probe(&path).unwrap(), Probe::Empty);
    drive.create_shard(&extent_header(1)).unwrap();
    assert_eq!(probe(&path).unwrap(), Probe::RootLost);
    drive.write_root_slot(0, b"root").unwrap();
    assert_eq!(probe(&path).unwrap(), Probe::HoldsRoot);
}

#[test]
fn root_slots_are_overwritten_one_by_one_and_may_shrink() {
    let dir = tempfile::tempdir().unwrap();
    let drive = Drive::open(dir.path(), true).unwrap();
    assert_eq!(drive.read_root_slots().unwrap(), [None, None]);
    drive.write_root_slot(1, b"a long one").unwrap();
    drive.write_root_slot(1, b"short").unwrap();
    drive.write_root_slot(0, b"other").unwrap();
    let slots = drive.read_root_slots().unwrap();
    assert_eq!(slots, [Some(b"other".to_vec()), Some(b"short".to_vec())]);
    assert!(drive.write_root_slot(2, b"").is_err());
}

#[tokio::test]
async fn uploads_share_directory_syncs() {
    let dir = tempfile::tempdir().unwrap();
    let plan = Arc::new(FaultPlan::default());
    let options = DriveOptions {
        faults: Some(plan.clone()),
        ..DriveOptions::default()
    };
    let drive = Arc::new(Drive::open_with(dir.path(), true, options).unwrap());
    let slow = plan.arm_always(
        Operation::SyncDirectory,
        "extent",
        Fault::Delay(std::time::Duration::from_millis(50)),
    );
    let headers: Vec<ShardHeader> = (0..20).map(extent_header).collect();
    for header in &headers {
        drive.create_shard(header).unwrap();
    }
    let syncs = headers.iter().map(|h| drive.share_shard_dir_sync(h.kind, h.segment));
    for outcome in futures::future::join_all(syncs).await {
        outcome.unwrap();
    }
    assert!(
        (1..=2).contains(&plan.fired(slow)),
        "{} syncs for 20 uploads",
        plan.fired(slow)
    );
}

#[tokio::test]
async fn who_shares_a_sync_on_a_shut_drive_gets_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let drive = Arc::new(Drive::open(dir.path(), true).unwrap());
    let header = extent_header(1);
    drive.create_shard(&header).unwrap();
    drive.shut();
    assert!(drive.share_shard_dir_sync(header.kind, header.segment).await.is_err());
}

#[test]
fn a_failed_header_leaves_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let plan = Arc::new(FaultPlan::default());
    let options = DriveOptions {
        faults: Some(plan.clone()),
        ..DriveOptions::default()
    };
    let drive = Drive::open_with(dir.path(), true, options).unwrap();
    let full = plan.arm_always(Operation::Write, "extent", Fault::Fail(28));
    let error = drive.create_shard(&extent_header(1)).err().unwrap();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    assert!(error.to_string().contains(dir.path().to_str().unwrap()), "{error}");
    assert_eq!(plan.fired(full), 1);
    assert!(drive.list_shards().unwrap().is_empty());
    assert_eq!(
        fs::read_dir(dir.path().join(".drystone/extent/0000")).unwrap().count(),
        0
    );
}

/// Writes a root slot and a shard file as a correct program does, cuts the power and looks what is left.
fn survivors(mutant: Option<Operation>) -> (Option<Vec<u8>>, Option<Vec<u8>>) {
    let dir = tempfile::tempdir().unwrap();
    let plan = Arc::new(FaultPlan::with_power_cuts());
    let rule = mutant.map(|operation| plan.arm_always(operation, "", Fault::Pretend));
    let options = DriveOptions {
        faults: Some(plan.clone()),
        ..DriveOptions::default()
    };
    let drive = Drive::open_with(dir.path(), true, options).unwrap();
    let header = extent_header(1);
    let file = drive.create_shard(&header).unwrap();
    file.write_vectored_at(4096, &[bytes::Bytes::from_static(b"stone")])
        .unwrap();
    file.sync_data().unwrap();
    drive.sync_shard_dir(header.kind, header.segment).unwrap();
    file.write_vectored_at(4101, &[bytes::Bytes::from_static(b"never synced")])
        .unwrap();
    drive.write_root_slot(0, b"root").unwrap();
    drop((file, drive));
    assert!(
        plan.power_cut(dir.path()).unwrap() > 0,
        "the unsynced write is lost in any case"
    );
    assert!(rule.is_none_or(|rule| plan.fired(rule) > 0));

    let drive = Drive::open(dir.path(), false).unwrap();
    let [root, _] = drive.read_root_slots().unwrap();
    let shard = drive.open_shard(header.kind, header.segment, 0).unwrap();
    (root, shard.map(|file| file.read_at(4096, 100).unwrap().to_vec()))
}

#[test]
fn a_power_cut_takes_what_was_not_synced_and_nothing_else() {
    assert_eq!(survivors(None), (Some(b"root".to_vec()), Some(b"stone".to_vec())));
}

#[test]
fn a_power_cut_shows_a_missing_file_sync() {
    assert_eq!(
        survivors(Some(Operation::SyncFile)),
        (Some(Vec::new()), Some(Vec::new()))
    );
}

#[test]
fn a_power_cut_shows_a_missing_directory_sync() {
    assert_eq!(survivors(Some(Operation::SyncDirectory)), (None, None));
}

#[test]
fn a_shard_file_is_leaving_until_its_removal_was_tried() {
    let dir = tempfile::tempdir().unwrap();
    let plan = Arc::new(FaultPlan::default());
    let options = DriveOptions {
        faults: Some(Arc::clone(&plan)),
        ..DriveOptions::default()
    };
    let drive = Arc::new(Drive::open_with(dir.path(), true, options).unwrap());
    let remove = |byte: u8, fault| {
        let header = extent_header(byte);
        drive.create_shard(&header).unwrap();
        plan.arm_always(Operation::Remove, "extent", fault);
        drive.remove_shard_later(header.kind, header.segment, header.shard);
        (header.kind, header.segment, header.shard)
    };
    let (kind, segment, shard) = remove(1, Fault::Hang);
    assert!(drive.is_leaving(segment, shard), "it waits for its turn");
    plan.disarm();
    plan.release();
    let until_tried = |segment| {
        while drive.is_leaving(segment, 0) {
            std::thread::yield_now();
        }
    };
    until_tried(segment);
    assert!(!drive.holds_shard(kind, segment, shard));
    // One that could not be removed is there, and known to be.
    let (kind, segment, shard) = remove(2, Fault::Fail(5));
    until_tried(segment);
    assert!(drive.holds_shard(kind, segment, shard));
}
