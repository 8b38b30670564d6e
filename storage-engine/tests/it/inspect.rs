//! Raw drives looked at from outside: beside a running store, with drives away, with bytes flipped. Nothing is changed.

use storage_engine::backend::{Backend, Batch, BlobClass, NewBody};
use storage_engine::embedded::inspect::{FrameSeen, InspectError, Inspection, Verdict};

use crate::scene::{Scene, body, expect, files_below, key, kill, put, put_op, stage};

fn look(scene: &Scene) -> Inspection {
    Inspection::open(&scene.options().drives).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn beside_a_running_store_everything_is_found_and_nothing_is_touched() {
    let scene = Scene::new(4);
    let store = scene.open().await;
    put(&store, "small", &body(1, 5000)).await;
    put(&store, "large", &body(2, 900_000)).await;
    put(&store, "small", &body(3, 6000)).await;
    let before: Vec<_> = (1..=4).map(|n| files_below(&scene.drive(n))).collect();
    let seen = look(&scene);
    assert!(
        seen.drives()
            .iter()
            .all(|drive| drive.used_by == Some(std::process::id()) && drive.problem.is_empty())
    );
    let root = seen.root().unwrap();
    assert_eq!((root.members.len(), root.parity), (4, 2));
    assert!(
        root.log.last().unwrap().valid_bytes.is_none(),
        "the last log segment is open"
    );
    for (name, len) in [("small", 6000), ("large", 900_000)] {
        let placed = seen.row(&key(name)).await.unwrap().expect("a row");
        assert_eq!(
            (placed.bytes, placed.verdict),
            (len, Verdict::Whole),
            "{name}: {placed:?}"
        );
        assert!(placed.pieces.iter().all(|piece| piece.shards.len() == 4));
    }
    assert!(seen.row(&key("never put")).await.unwrap().is_none());
    let open = &root.log.last().unwrap().id;
    let shards = seen.segment(open).unwrap();
    assert_eq!(shards.len(), 4);
    for shard in &shards {
        assert!(shard.damaged() == 0 && shard.header.is_ok(), "{shard:?}");
        let records = shard.frames.iter().filter(|frame| frame.record.is_some()).count();
        assert!(records >= 3, "{shard:?}");
    }
    assert!(matches!(seen.segment(&"0".repeat(32)), Err(InspectError::NoSegment)));
    assert!(matches!(seen.segment("short"), Err(InspectError::NotAnId)));
    drop(seen);
    let after: Vec<_> = (1..=4).map(|n| files_below(&scene.drive(n))).collect();
    assert_eq!(before, after, "looking changed a drive");
    put(&store, "after", &body(4, 5000)).await;
    expect(&store, "large", &body(2, 900_000)).await;
    kill(store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_row_is_gone_and_what_drives_lack_is_told_by_piece_and_shard() {
    let scene = Scene::new(4);
    let store = scene.open().await;
    put(&store, "large", &body(2, 900_000)).await;
    put(&store, "deleted", &body(1, 5000)).await;
    let delete = storage_engine::backend::Batch {
        require: vec![],
        ops: vec![storage_engine::backend::Op::Delete(key("deleted"))],
    };
    store.commit(delete).await.unwrap();
    store.close().await;
    drop(store);
    assert!(look(&scene).row(&key("deleted")).await.unwrap().is_none());

    let placed = look(&scene).row(&key("large")).await.unwrap().unwrap();
    let (piece, shard) = (&placed.pieces[0], &placed.pieces[0].shards[1]);
    let file = shard
        .path
        .clone()
        .unwrap()
        .join(format!(".drystone/extent/0000/{}.01", piece.segment));
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[9_000] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let seen = look(&scene);
    let damaged = seen.segment(&piece.segment).unwrap();
    let damaged: Vec<_> = damaged.iter().filter(|shard| shard.damaged() > 0).collect();
    assert_eq!(damaged.len(), 1);
    assert_eq!((damaged[0].shard, damaged[0].damaged()), (1, 1));
    let placed = seen.row(&key("large")).await.unwrap().unwrap();
    assert_eq!(placed.verdict, Verdict::Degraded);
    assert!(placed.pieces[0].shards[1].problem.contains("at 4096"), "{placed:?}");

    // Two more away: no longer enough shards of the damaged stripe; with half of the drives the root still speaks.
    let others: Vec<usize> = (1..=4)
        .filter(|n| scene.drive(*n) != damaged[0].drive)
        .take(2)
        .collect();
    others.iter().for_each(|n| scene.remove(*n));
    let placed = look(&scene).row(&key("large")).await.unwrap().unwrap();
    assert_eq!(placed.verdict, Verdict::Lost);
    assert!(
        placed.pieces[0]
            .shards
            .iter()
            .filter(|shard| shard.path.is_none())
            .count()
            == 2
    );
    scene.remove((1..=4).find(|n| scene.drive(*n).exists()).unwrap());
    assert!(matches!(look(&scene).root(), Err(InspectError::Root(_))));
}

/// Spoils the header of the frame at an offset.
fn spoil(file: &std::path::Path, offset: u64) {
    let mut bytes = std::fs::read(file).unwrap();
    bytes[usize::try_from(offset).unwrap() + 20] ^= 1;
    std::fs::write(file, bytes).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_frame_whose_header_is_lost_the_others_are_found() {
    let scene = Scene::new(4);
    let store = scene.open().await;
    put(&store, "large", &body(2, 900_000)).await;
    // Three small bodies of different lengths in one record.
    let mut ops = Vec::new();
    for n in 0..3_usize {
        let blob = stage(&store, BlobClass::Object, &body(n as u64, 3_000 + 700 * n)).await;
        ops.push(put_op(&format!("small/{n}"), "", NewBody::Blob(blob)));
    }
    store.commit(Batch { require: vec![], ops }).await.unwrap();
    let open = look(&scene).root().unwrap().log.last().unwrap().id.clone();
    store.close().await;
    drop(store);
    let frames = |id: &str| -> Vec<(usize, usize)> {
        let shards = look(&scene).segment(id).unwrap();
        shards
            .iter()
            .map(|shard| (shard.frames.len(), shard.damaged()))
            .collect()
    };
    let before = frames(&open);
    let shards = look(&scene).segment(&open).unwrap();
    let with_bodies = |frame: &FrameSeen| frame.record.as_ref().is_some_and(|record| record.bodies == 3);
    let record = shards[0].frames.iter().position(with_bodies).unwrap();
    let stripe = shards[0].frames[record + 1].offset;
    let file = shards[0]
        .drive
        .join(format!(".drystone/log/{open}.{:02}", shards[0].shard));
    spoil(&file, stripe);
    let expected: Vec<_> = before
        .iter()
        .enumerate()
        .map(|(n, (all, _))| (*all, usize::from(n == 0)))
        .collect();
    assert_eq!(frames(&open), expected);

    let placed = look(&scene).row(&key("large")).await.unwrap().unwrap();
    let extent = placed.pieces[0].segment.clone();
    let all = look(&scene).segment(&extent).unwrap();
    let stripes = all[0].frames.len();
    let second = all[0].frames[1].offset;
    for (spoiled, shard) in all.iter().enumerate() {
        spoil(
            &shard
                .drive
                .join(format!(".drystone/extent/0000/{extent}.{:02}", shard.shard)),
            second,
        );
        // At last no file tells any more how long the frame is.
        let expected: Vec<_> = (0..all.len()).map(|n| (stripes, usize::from(n <= spoiled))).collect();
        assert_eq!(frames(&extent), expected);
    }
}

#[test]
fn paths_that_are_no_drives_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let opened = Inspection::open(&[dir.path().to_owned(), dir.path().join("none")]);
    assert!(matches!(opened, Err(InspectError::NoDrives)));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nothing was made");
}
