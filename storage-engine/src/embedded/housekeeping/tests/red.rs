//! What a damaged checkpoint or an index that lost a row must never do: hide or free what was acknowledged.

use minicbor::bytes::ByteVec;

use super::*;
use crate::embedded::checkpoint::CheckpointRef;
use crate::embedded::record::RowOp;

/// More metadata than is written before the newest checkpoint is read back, less than lies between the two.
const BETWEEN: u64 = 100 * 1024;

async fn put_rows(store: &Embedded, prefix: &str, count: usize) {
    for n in 0..count {
        let put = Put {
            key: Key::new(format!("{prefix}/{n:04}")),
            value: bytes(n as u64, 1024).into(),
            body: NewBody::None,
            parent_len: None,
        };
        let ops = vec![Op::Put(put)];
        store.commit(Batch { require: vec![], ops }).await.unwrap();
    }
}

/// Every row with its value and its body.
async fn everything(store: &Embedded) -> Vec<(Key, bytes::Bytes, Vec<u8>)> {
    let page = store.scan(Key::new("\0")..Key::new("\u{7f}"), 10_000).await.unwrap();
    assert!(!page.more);
    let mut found = Vec::new();
    for (key, row) in page.items {
        let body = match row.body {
            Some(_) => read(store, std::str::from_utf8(key.as_bytes()).unwrap()).await,
            None => Vec::new(),
        };
        found.push((key, row.value, body));
    }
    found
}

fn newest(store: &Embedded) -> CheckpointRef {
    let running = store.running().unwrap();
    let root = running.shared.keeper.lock().root().clone();
    assert_eq!(root.checkpoints.len(), 2);
    root.checkpoints.last().unwrap().clone()
}

/// Bytes of log metadata that the start had to replay: they tell which checkpoint it began from.
fn replayed(store: &Embedded) -> u64 {
    store.running().unwrap().shared.service.metadata_bytes()
}

/// Overwrites all stripes of the first `count` shards of a checkpoint, data shards first.
fn damage(yard: &Yard, checkpoint: &CheckpointRef, count: u8) {
    for shard in 0..count {
        let name = format!("{}.{shard:02x}", checkpoint.segment.id);
        let mut holders = yard
            .drives()
            .into_iter()
            .map(|drive| drive.join(".drystone/checkpoint").join(&name));
        let path = holders
            .find(|path| path.exists())
            .expect("the checkpoint has this shard");
        let good = std::fs::read(&path).unwrap();
        assert!(good.len() > 8192, "there is something to damage");
        let mut spoiled = good.clone();
        spoiled[4096..].iter_mut().for_each(|byte| *byte = !*byte);
        std::fs::write(&path, &spoiled).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_damaged_on_m_drives_is_used_and_of_one_that_is_destroyed_the_older_takes_the_place() {
    for (damaged, falls_back) in [(0, false), (2, false), (3, true), (4, true)] {
        let yard = Yard::of(4);
        let store = yard.open().await;
        let running = store.running().unwrap();
        let mut keeper = Housekeeper::new(&running.shared).unwrap();
        put(&store, "small", bytes(1, 5000)).await;
        put(&store, "gone", bytes(9, 600_000)).await;
        checkpoint(&mut keeper, &running).await;
        put(&store, "large", bytes(2, 600_000)).await;
        delete(&store, "gone").await;
        put_rows(&store, "row", 200).await;
        checkpoint(&mut keeper, &running).await;
        put(&store, "late", bytes(3, 7000)).await;
        delete(&store, "row/0000").await;
        let before = everything(&store).await;
        assert_eq!(before.len(), 202);
        let spoiled = newest(&store);
        drop((running, keeper));
        store.close().await;
        drop(store);
        damage(&yard, &spoiled, damaged);
        let closed = yard.open_without_index().await;
        assert!(everything(&closed).await == before, "{damaged} shards damaged");
        let replayed_bytes = replayed(&closed);
        assert_eq!(
            replayed_bytes > BETWEEN,
            falls_back,
            "{damaged} shards damaged, {replayed_bytes} bytes replayed"
        );
        // The next checkpoint does not need the destroyed one either, and drops it.
        put(&closed, "after", bytes(4, 5000)).await;
        let running = closed.running().unwrap();
        let mut keeper = Housekeeper::new(&running.shared).unwrap();
        checkpoint(&mut keeper, &running).await;
        let named: Vec<_> = running.shared.keeper.lock().root().checkpoints.clone();
        assert_eq!(named.contains(&spoiled), !falls_back, "{damaged} shards damaged");
        let before = everything(&closed).await;
        drop((running, keeper));
        let store = yard.reopen(closed, true).await;
        assert!(replayed(&store) < BETWEEN);
        assert!(everything(&store).await == before);
    }
}

/// Takes a row out of the index as a database that loses it would: nothing else learns of it.
fn lose(running: &Running, key: &str) -> RowOp {
    let op = RowOp::Delete {
        key: ByteVec::from(key.as_bytes().to_vec()),
    };
    running.shared.index.apply(std::slice::from_ref(&op)).unwrap();
    assert!(running.shared.index.get(key.as_bytes()).unwrap().is_none());
    op
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_the_index_lost_keeps_its_body_through_checkpoint_sweep_and_compaction() {
    let yard = Yard::of(4);
    let store = yard.open().await;
    for n in 0..20 {
        put(&store, &format!("key/{n:02}"), bytes(n, 3000)).await;
    }
    put(&store, "large", bytes(50, 600_000)).await;
    put(&store, "dead", bytes(51, 600_000)).await;
    for n in 3..20 {
        delete(&store, &format!("key/{n:02}")).await;
    }
    // The segment with the small bodies is sealed by this start.
    let store = yard.reopen(store, false).await;
    let running = store.running().unwrap();
    lose(&running, "key/00");
    lose(&running, "large");
    delete(&store, "dead").await;
    let mut keeper = Housekeeper::new(&running.shared).unwrap();
    let committer = running.committer.as_ref().unwrap();
    keeper.compact(&running.shared, committer, true).await.unwrap();
    let packs = running.shared.table.stored();
    assert!(
        packs
            .iter()
            .any(|(_, _, live, kind)| *kind == SegmentKind::Pack && *live == 6000),
        "{packs:?}"
    );
    for _ in 0..3 {
        checkpoint(&mut keeper, &running).await;
    }
    // What is dead went (the pack and one extent stay), so the sweep was at work.
    yard.files_become(&running, SegmentKind::Extent, 2 * 4).await;
    drop((running, keeper));
    let store = yard.reopen(store, true).await;
    assert!(read(&store, "large").await == bytes(50, 600_000));
    for n in 0..3 {
        assert!(read(&store, &format!("key/{n:02}")).await == bytes(n, 3000));
    }
    assert!(store.get(&Key::new("dead")).await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn counters_that_follow_an_index_that_lost_a_row_are_found_out_and_free_nothing() {
    let yard = Yard::of(4);
    let store = yard.open().await;
    put(&store, "large", bytes(50, 600_000)).await;
    let running = store.running().unwrap();
    let mut keeper = Housekeeper::new(&running.shared).unwrap();
    let committer = running.committer.as_ref().unwrap();
    let lost = RowOp::Delete {
        key: ByteVec::from(b"large".to_vec()),
    };
    running.shared.apply(&[lost], &[], std::iter::empty()).unwrap();
    assert!(store.get(&Key::new("large")).await.unwrap().is_none());
    keeper.make_checkpoint(&running.shared, committer).await.unwrap();
    assert!(
        running.shared.service.refuses_writes().is_some(),
        "recount and counters differ: the index is given up"
    );
    let _ = keeper.free_dead(&running.shared, committer).await;
    let _ = keeper.sweep_orphans(&running.shared).await;
    assert_eq!(yard.files(&running, SegmentKind::Extent), 4);
    drop((running, keeper));
    // The store starts anew by itself, with an index made from checkpoint and log.
    until_writable(&store).await;
    assert!(read(&store, "large").await == bytes(50, 600_000));
}

async fn until_writable(store: &Embedded) {
    for _ in 0..300 {
        if store.health().state == ServiceState::ReadWrite {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{:?}", store.health().state);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_lost_a_row_or_has_one_too_many_is_told_and_made_anew_when_asked() {
    let yard = Yard::new();
    let store = yard.open().await;
    for n in 0..40 {
        put(&store, &format!("row{n}"), bytes(n, 600)).await;
    }
    let right = store.check_index().await.unwrap();
    assert!(right.is_right(), "{right:?}");
    assert_eq!(right.rows, 40);
    let running = store.running().unwrap();
    let row = running.shared.index.get(b"row7").unwrap().unwrap();
    let put_away = RowOp::Put {
        key: b"row7x".to_vec().into(),
        row: row.clone(),
    };
    let lost = RowOp::Delete {
        key: b"row7".to_vec().into(),
    };
    let other = RowOp::Put {
        key: b"row9".to_vec().into(),
        row,
    };
    running.shared.index.apply(&[put_away, lost, other]).unwrap();
    let wrong = store.check_index().await.unwrap();
    assert_eq!((wrong.rows, wrong.wrong), (40, 3), "{wrong:?}");
    for told in [
        "is missing in the index: row7",
        "is in the index only: row7x",
        "differs: row9",
    ] {
        assert!(
            wrong.examples.iter().any(|example| example == told),
            "{told}: {wrong:?}"
        );
    }
    drop(running);
    store.rebuild_index().unwrap();
    let refused = store.get(&Key::new("row1")).await;
    assert!(
        matches!(refused, Err(crate::backend::ReadError::Unavailable(_))),
        "{refused:?}"
    );
    until_writable(&store).await;
    assert!(store.check_index().await.unwrap().is_right());
    assert!(read(&store, "row7").await == bytes(7, 600));
    assert!(store.get(&Key::new("row7x")).await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_fails_is_made_anew_also_when_nobody_writes() {
    let yard = Yard::new();
    let store = yard.open().await;
    put(&store, "large", bytes(50, 600_000)).await;
    store.running().unwrap().shared.index.give_up("planted");
    let unavailable = store.get(&Key::new("large")).await;
    assert!(
        matches!(unavailable, Err(crate::backend::ReadError::Unavailable(_))),
        "{unavailable:?}"
    );
    for _ in 0..300 {
        if store.get(&Key::new("large")).await.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(read(&store, "large").await == bytes(50, 600_000));
    until_writable(&store).await;
    put(&store, "after", bytes(1, 10)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_body_whose_condition_fails_leaves_no_file() {
    let yard = Yard::new();
    let store = yard.open().await;
    let source: BodySource<'_> = stream::iter([Ok(bytes::Bytes::from(bytes(1, 600_000)))]).boxed();
    let blob = store.put_blob(BlobClass::Object, source, None).await.unwrap();
    let running = store.running().unwrap();
    assert_eq!(yard.files(&running, SegmentKind::Extent), 3);
    let put = Put {
        key: Key::new("key"),
        value: "v".into(),
        body: NewBody::Blob(blob),
        parent_len: None,
    };
    let require = vec![crate::backend::Require::Present(Key::new("key"))];
    let ops = vec![Op::Put(put)];
    let refused = store.commit(Batch { require, ops }).await;
    assert!(
        matches!(refused, Err(crate::backend::CommitError::Failed { .. })),
        "{refused:?}"
    );
    yard.files_become(&running, SegmentKind::Extent, 0).await;
}
