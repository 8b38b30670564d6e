use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use futures::{StreamExt, stream};

use super::*;
use crate::backend::{Backend, Batch, BlobClass, BodySource, Key, NewBody, Op, Put};
use crate::embedded::housekeeping::Housekeeper;
use crate::embedded::segment::SegmentKind;
use crate::embedded::table::SegmentTable;
use crate::embedded::table::tests::segment;
use crate::embedded::{Embedded, OpenOptions};

#[test]
fn a_segment_has_one_job_at_a_time_and_is_not_condemned_under_it() {
    let table = SegmentTable::default();
    table.declare(segment(1));
    let id = segment(1).id;
    let (_, lease) = table.lease(id).unwrap();
    assert!(table.lease(id).is_none(), "another job");
    assert!(table.condemn([id]).is_empty(), "deletion is a job, too");
    drop(lease);
    assert_eq!(table.condemn([id]), [id]);
    assert!(table.lease(id).is_none(), "it is on its way out");
    table.pardon(&[id]);
    assert!(table.lease(id).is_some());
}

#[test]
fn a_shard_that_was_made_anew_elsewhere_is_not_given_up_any_more() {
    let (board, id) = (HealBoard::default(), segment(1).id);
    let [slow, other] = [8, 9].map(|n| DriveId::from_bytes([n; 16]));
    for _ in 0..super::status::LATE_MAX {
        board.set_late(id, 2, slow);
        board.set_late(id, 3, slow);
    }
    assert!(board.is_given_up(id, 2) && board.is_given_up(id, 3));
    board.made_anew(id, 2, other);
    assert!(!board.is_given_up(id, 2), "it is read on the other drive");
    assert!(board.is_given_up(id, 3));
}

fn paths(dir: &tempfile::TempDir) -> Vec<PathBuf> {
    (1..=4).map(|n| dir.path().join(format!("d{n}"))).collect()
}

fn eager() -> HealOptions {
    HealOptions {
        duty_percent: 100,
        bytes_per_second: 1 << 40,
        ..HealOptions::default()
    }
}

async fn open(dir: &tempfile::TempDir) -> Arc<Embedded> {
    let options = OpenOptions {
        drives: paths(dir),
        heal: eager(),
        ..OpenOptions::default()
    };
    Embedded::open(options).await.unwrap()
}

async fn put(store: &Embedded, key: &str, len: usize) {
    let source: BodySource<'_> = stream::iter([Ok(bytes::Bytes::from(vec![7; len]))]).boxed();
    let blob = store.put_blob(BlobClass::Object, source, None).await.unwrap();
    let put = Put {
        key: Key::new(key.to_owned()),
        value: "v".into(),
        body: NewBody::Blob(blob),
        parent_len: None,
    };
    let ops = vec![Op::Put(put)];
    store.commit(Batch { require: vec![], ops }).await.unwrap();
}

async fn until_whole(store: &Embedded) {
    for _ in 0..600 {
        if store.heal_status().state == HealState::Whole {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("never whole: {:?}", store.heal_status());
}

#[tokio::test(flavor = "multi_thread")]
async fn where_healed_shards_are_stands_in_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    for n in 0..3 {
        put(&store, &format!("key/{n}"), 600_000).await;
    }
    store.close().await;
    drop(store);
    let wiped = dir.path().join("d3");
    std::fs::remove_dir_all(&wiped).unwrap();
    std::fs::create_dir(&wiped).unwrap();
    let store = open(&dir).await;
    until_whole(&store).await;
    // Killed: only what the log says comes through.
    drop(store);
    tokio::time::sleep(Duration::from_millis(500)).await;
    for path in paths(&dir) {
        let _ = std::fs::remove_dir_all(path.join(".drystone/index"));
    }
    let store = open(&dir).await;
    let running = store.running().unwrap();
    let members: BTreeSet<DriveId> = Survey::of(&running.shared).fleet.members;
    let live = running.shared.table.live_ids();
    assert_eq!(live.len(), 3);
    for id in live {
        let drives = running.shared.table.segment(id).unwrap().drives;
        assert!(drives.iter().all(|drive| members.contains(drive)), "{drives:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_open_log_segment_is_never_replaced_and_a_sealed_one_is() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    put(&store, "small", 5000).await;
    let running = store.running().unwrap();
    let shared = &running.shared;
    let open = shared.keeper.lock().root().open_log().unwrap().segment.clone();
    let first = shared.drives.get(&open.drives[0]).unwrap();
    let inode = || {
        let file = first.open_shard(open.kind, open.id, 0).unwrap().unwrap();
        std::fs::metadata(file.path()).unwrap().ino()
    };
    let committer = running.committer.clone().unwrap();
    let mut healer = Healer::new(Arc::clone(shared), committer.clone(), eager()).unwrap();
    let before = inode();
    shared.service.heal.set_bad(open.id, 0, open.drives[0]);
    healer.round().await;
    assert_eq!(inode(), before);
    put(&store, "more", 5000).await;
    committer.roll().await;
    shared.service.heal.set_bad(open.id, 0, open.drives[0]);
    healer.round().await;
    assert_ne!(inode(), before);
    let census = store.census(CensusDepth::Frames).await.unwrap();
    assert!(census.is_clean(), "{census:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_under_another_job_is_left_for_later() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    put(&store, "large", 600_000).await;
    until_whole(&store).await;
    let running = store.running().unwrap();
    let shared = &running.shared;
    let id = shared.table.live_ids()[0];
    let (entry, lease) = shared.table.lease(id).unwrap();
    shared.service.heal.set_bad(id, 1, entry.segment.drives[1]);
    let mut healer = Healer::new(Arc::clone(shared), running.committer.clone().unwrap(), eager()).unwrap();
    assert!(!healer.round().await);
    assert!(
        store
            .heal_status()
            .reasons
            .iter()
            .any(|reason| reason.contains("another job"))
    );
    drop(lease);
    assert!(healer.round().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_over_the_drives_is_kept_on_them_and_finds_what_nobody_reads() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    put(&store, "large", 600_000).await;
    until_whole(&store).await;
    let running = store.running().unwrap();
    let shared = &running.shared;
    let id = shared.table.live_ids()[0];
    let segment = shared.table.segment(id).unwrap();
    // A parity shard: no read of the body looks at it.
    let last = shared.drives.get(&segment.drives[3]).unwrap();
    let file = last.open_shard(segment.kind, id, 3).unwrap().unwrap();
    let path = file.path().to_owned();
    let was = std::fs::read(&path).unwrap();
    let mut bytes = was.clone();
    bytes[9000] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    store.scrub_now();
    let mended = || std::fs::read(&path).unwrap()[4096..] == was[4096..];
    for _ in 0..200 {
        let passed = |scrub: &DriveScrub| scrub.passed_at.is_some();
        if mended() && store.heal_status().scrubs.iter().filter(|scrub| passed(scrub)).count() == 4 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(mended(), "{:?}", store.heal_status());
    let passed = |store: &Embedded| -> Vec<Option<u64>> {
        let scrubs = store.heal_status().scrubs;
        scrubs.iter().map(|scrub| scrub.passed_at).collect()
    };
    let before = passed(&store);
    assert!(before.len() == 4 && before.iter().all(Option::is_some), "{before:?}");
    drop(running);
    store.close().await;
    drop(store);
    let store = open(&dir).await;
    until_whole(&store).await;
    for _ in 0..50 {
        if passed(&store) == before {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{:?} was {before:?}", passed(&store));
}

#[tokio::test(flavor = "multi_thread")]
async fn healing_beside_checkpoints_deletion_and_compaction_loses_nothing_and_mends_packs() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    for n in 0..30 {
        put(&store, &format!("key/{n}"), if n % 5 == 0 { 600_000 } else { 4000 }).await;
    }
    store.close().await;
    drop(store);
    let wiped = dir.path().join("d2");
    std::fs::remove_dir_all(&wiped).unwrap();
    std::fs::create_dir(&wiped).unwrap();
    let store = open(&dir).await;
    let running = store.running().unwrap();
    let (shared, committer) = (&running.shared, running.committer.as_ref().unwrap());
    let mut keeper = Housekeeper::new(shared).unwrap();
    for n in 0..24 {
        let ops = vec![Op::Delete(Key::new(format!("key/{n}")))];
        store.commit(Batch { require: vec![], ops }).await.unwrap();
        if n % 6 == 5 {
            keeper.make_checkpoint(shared, committer).await.unwrap();
            keeper.free_dead(shared, committer).await.unwrap();
            keeper.compact(shared, committer, true).await.unwrap();
            store.heal_now();
        }
    }
    let packs = || -> Vec<Segment> {
        let live = shared.table.live_ids().into_iter();
        let all = live.filter_map(|id| shared.table.segment(id));
        all.filter(|segment| segment.kind == SegmentKind::Pack).collect()
    };
    let mut patience = 100;
    while packs().is_empty() && patience > 0 {
        patience -= 1;
        keeper.compact(shared, committer, true).await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    until_whole(&store).await;
    let pack = packs().pop().expect("small bodies were moved into a pack");
    let drive = shared.drives.get(&pack.drives[0]).unwrap();
    let file = drive.open_shard(pack.kind, pack.id, 0).unwrap().unwrap();
    let was = std::fs::read(file.path()).unwrap();
    std::fs::write(file.path(), &was[..was.len() / 2]).unwrap();
    assert_eq!(store.census(CensusDepth::Frames).await.unwrap().bad_shards, 1);
    store.heal_now();
    for _ in 0..200 {
        if std::fs::read(file.path()).unwrap().get(4096..) == was.get(4096..) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(std::fs::read(file.path()).unwrap()[4096..] == was[4096..]);
    let census = store.census(CensusDepth::Frames).await.unwrap();
    assert!(census.whole == census.segments && census.bad_shards == 0, "{census:?}");
    for n in 24..30 {
        let row = store
            .get(&Key::new(format!("key/{n}")))
            .await
            .unwrap()
            .expect("it lives");
        let body = row.body.unwrap();
        let chunks = store.get_blob(&body, 0..body.len).await.unwrap();
        let bytes: usize = chunks
            .map(|chunk| chunk.unwrap().len())
            .fold(0, |sum, len| async move { sum + len })
            .await;
        assert_eq!(bytes as u64, body.len);
    }
}
