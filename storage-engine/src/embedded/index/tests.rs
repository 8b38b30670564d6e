use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::embedded::checkpoint::Position;
use crate::embedded::erasure::Geometry;
use crate::embedded::id::SegmentId;
use crate::embedded::segment::{Segment, SegmentKind};
use crate::embedded::table::{TableEntry, TableSnapshot};

fn options() -> IndexOptions {
    IndexOptions {
        cache_bytes: 8 << 20,
        ..IndexOptions::default()
    }
}

fn marker(seq: u64) -> Marker {
    let log_end = Position {
        segment: SegmentId::from_bytes([1; 16]),
        offset: 4096 * seq,
        seq,
        epoch: 1,
    };
    Marker {
        root_epoch: 1,
        root_nonce: 42,
        log_end,
    }
}

fn table() -> TableSnapshot {
    let geometry = Geometry {
        data: 2,
        parity: 1,
        unit: 131_072,
    };
    let segment = Segment {
        id: SegmentId::from_bytes([8; 16]),
        kind: SegmentKind::Log,
        geometry,
        drives: vec![],
        full_width: None,
    };
    [(
        segment.id,
        TableEntry {
            segment,
            live: 70,
            body_bytes: 100,
        },
    )]
    .into()
}

fn row(rev: u64, value: &str) -> RowRecord {
    RowRecord {
        rev,
        value: value.as_bytes().to_vec().into(),
        body: None,
        parent_len: None,
    }
}

fn put(key: &str, row: RowRecord) -> RowOp {
    RowOp::Put {
        key: key.as_bytes().to_vec().into(),
        row,
    }
}

fn delete(key: &str) -> RowOp {
    RowOp::Delete {
        key: key.as_bytes().to_vec().into(),
    }
}

fn all(index: &Index) -> Vec<(String, u64)> {
    let range = Key::new("")..Key::new(vec![0xFF; 8]);
    let page = index.scan::<RowView>(&range, 100_000).unwrap();
    assert!(!page.more);
    let text = |key: &Key| String::from_utf8(key.as_bytes().to_vec()).unwrap();
    page.items.iter().map(|(key, row)| (text(key), row.rev)).collect()
}

/// A directory with an index of `rows` rows that was closed cleanly at `marker(7)`.
fn closed(rows: u64) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let index = Index::create(dir.path(), options()).unwrap();
    let ops: Vec<_> = (0..rows)
        .map(|n| put(&format!("c/{n:05}"), row(n, "some value")))
        .collect();
    index.apply(&ops).unwrap();
    index.close(&marker(7), table()).unwrap();
    dir
}

fn tree_dir(dir: &Path) -> PathBuf {
    let mut trees = fs::read_dir(dir).unwrap().map(|e| e.unwrap().path());
    trees
        .find(|p| p.file_name().unwrap().to_str().unwrap().starts_with(TREE_PREFIX))
        .unwrap()
}

fn assert_set_aside(dir: &Path, expected: &Marker) {
    assert!(Index::open_clean(dir, expected, options()).unwrap().is_none());
    assert!(!dir.join(MARKER_NAME).exists());
    let is_tree = |e: fs::DirEntry| e.file_name().to_str().unwrap().starts_with(TREE_PREFIX);
    assert!(
        !fs::read_dir(dir).unwrap().any(|e| is_tree(e.unwrap())),
        "the tree is still there"
    );
}

#[test]
fn puts_and_deletes_are_read_back_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let index = Index::create(dir.path(), options()).unwrap();
    index.apply(&[put("a", row(1, "x")), put("b", row(1, "y"))]).unwrap();
    let full = index.stats().unwrap();
    index
        .apply(&[put("a", row(2, "longer")), delete("b"), delete("absent")])
        .unwrap();
    assert_eq!(index.get(b"a").unwrap(), Some(row(2, "longer")));
    assert_eq!(index.get_as::<StoredRev>(b"a").unwrap(), Some(StoredRev(2)));
    assert_eq!(index.get_raw(b"a").unwrap(), Some(to_cbor(&row(2, "longer"))));
    assert_eq!(index.get(b"b").unwrap(), None);
    assert_eq!(index.stats().unwrap().rows, 1);
    index.apply(&[put("a", row(3, "x")), put("b", row(3, "y"))]).unwrap();
    assert_eq!(index.stats().unwrap(), full);
    assert!(index.disk_bytes().unwrap() > 0);
    assert!(!index.is_bloated().unwrap());
}

#[test]
fn rows_that_depend_on_a_parent_are_counted_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let index = Index::create(dir.path(), options()).unwrap();
    let part = |rev| RowRecord {
        parent_len: Some(3),
        ..row(rev, "part")
    };
    index
        .apply(&[
            put("u/1", row(1, "upload")),
            put("u/1/1", part(1)),
            put("u/1/2", part(1)),
        ])
        .unwrap();
    assert_eq!(
        (index.dependents(b"u/1").unwrap(), index.dependents(b"u/").unwrap()),
        (2, 0)
    );
    index.apply(&[put("u/1/2", part(2)), delete("u/1/1")]).unwrap();
    assert_eq!(index.dependents(b"u/1").unwrap(), 1);
    index.apply(&[put("u/1/2", row(3, "no part any more"))]).unwrap();
    assert_eq!(index.dependents(b"u/1").unwrap(), 0);
}

#[test]
fn rows_that_depend_on_a_row_that_is_gone_go_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let index = Index::create(dir.path(), options()).unwrap();
    let on = |len| RowRecord {
        parent_len: Some(len),
        ..row(1, "part")
    };
    let upload = [
        put("u/1", row(1, "upload")),
        put("u/1!", row(1, "other")),
        put("u/1/1", on(3)),
        put("u/1/1/x", on(5)),
    ];
    index.apply(&upload).unwrap();
    index.apply(&[put("u/1", row(2, "still there"))]).unwrap();
    assert_eq!(index.stats().unwrap().rows, 4);
    index.apply(&[delete("u/1"), put("c", row(3, "object"))]).unwrap();
    assert_eq!(all(&index), [("c".to_owned(), 3), ("u/1!".to_owned(), 1)]);
    index.apply(&[put("u/1/2", on(3))]).unwrap();
    assert_eq!(index.get(b"u/1/2").unwrap(), None);
    index.apply(&[put("u/1", row(4, "again"))]).unwrap();
    assert_eq!((index.stats().unwrap().rows, index.dependents(b"u/1").unwrap()), (3, 0));
}

#[test]
fn an_index_closed_cleanly_is_used_again_once_and_only_for_the_same_state() {
    let dir = closed(500);
    let (index, counters) = Index::open_clean(dir.path(), &marker(7), options())
        .unwrap()
        .expect("a clean index");
    assert_eq!(counters, table());
    assert!(
        !dir.path().join(MARKER_NAME).exists(),
        "the marker must be gone before the first write"
    );
    assert_eq!(index.stats().unwrap().rows, 500);
    assert_eq!(all(&index).len(), 500);
    assert_eq!(index.get(b"c/00123").unwrap(), Some(row(123, "some value")));
    index.apply(&[put("d", row(900, "new"))]).unwrap();
    // Not closed, as after a crash: what is left is no index of a clean stop, and a new one sets it aside.
    drop(index);
    assert!(
        Index::open_clean(dir.path(), &marker(7), options()).unwrap().is_none(),
        "it was used twice"
    );
    drop(Index::create(dir.path(), options()).unwrap());
    let trees = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name());
    let trees = trees.filter(|name| name.to_str().unwrap().starts_with(TREE_PREFIX));
    assert_eq!(trees.count(), 1);
}

#[test]
fn an_index_of_yesterday_or_of_another_root_is_set_aside() {
    let dir = closed(10);
    assert_set_aside(dir.path(), &marker(8));
    let dir = closed(10);
    assert_set_aside(
        dir.path(),
        &Marker {
            root_nonce: 43,
            ..marker(7)
        },
    );
    let dir = closed(10);
    assert_set_aside(
        dir.path(),
        &Marker {
            root_epoch: 2,
            ..marker(7)
        },
    );
}

#[test]
fn an_index_whose_files_were_truncated_changed_or_deleted_is_set_aside() {
    for damage in ["cut", "zero", "delete", "delete all", "marker"] {
        let dir = closed(300);
        let tree = tree_dir(dir.path());
        let db = tree.join("db");
        match damage {
            "cut" => fs::OpenOptions::new()
                .write(true)
                .open(&db)
                .unwrap()
                .set_len(fs::metadata(&db).unwrap().len() - 1)
                .unwrap(),
            "zero" => {
                let mut bytes = fs::read(&db).unwrap();
                let at = bytes.iter().position(|b| *b != 0).unwrap();
                bytes[at] = 0;
                fs::write(&db, bytes).unwrap();
            }
            "delete" => fs::remove_file(&db).unwrap(),
            "delete all" => fs::remove_dir_all(&tree).unwrap(),
            _ => fs::write(dir.path().join(MARKER_NAME), b"nonsense").unwrap(),
        }
        assert_set_aside(dir.path(), &marker(7));
    }
}

#[test]
fn an_index_that_takes_too_long_to_open_is_set_aside() {
    let dir = closed(10);
    let hasty = IndexOptions {
        open_time_max: Duration::ZERO,
        ..options()
    };
    assert!(Index::open_clean(dir.path(), &marker(7), hasty).unwrap().is_none());
    let index = Index::create(dir.path(), options()).unwrap();
    assert!(all(&index).is_empty());
}

#[test]
fn a_page_is_one_snapshot_while_batches_are_applied() {
    let dir = tempfile::tempdir().unwrap();
    let index = Index::create(dir.path(), options()).unwrap();
    let batch = |rev| {
        (0..200)
            .map(|n| put(&format!("k/{n:03}"), row(rev, "v")))
            .collect::<Vec<_>>()
    };
    index.apply(&batch(0)).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for rev in 1..60 {
                index.apply(&batch(rev)).unwrap();
            }
            done.store(true, Ordering::Release);
        });
        let mut seen = 0;
        while !done.load(Ordering::Acquire) {
            let page = all(&index);
            assert_eq!(page.len(), 200);
            assert!(
                page.iter().all(|(_, rev)| *rev == page[0].1),
                "a page mixes two batches"
            );
            let whole = GroupedScan {
                prefix: Key::new("k"),
                delimiter: bytes::Bytes::new(),
                after: None,
                limit: 200,
            };
            let revs = index.scan_grouped::<StoredRev>(&whole).unwrap().items;
            let rev = |item: &Grouped<StoredRev>| match item {
                Grouped::Row(_, rev) => rev.0,
                Grouped::Group(_) => panic!("no delimiter, no group"),
            };
            assert!(
                revs.iter().all(|item| rev(item) == rev(&revs[0])),
                "a grouped page mixes two batches"
            );
            seen += 1;
        }
        assert!(seen > 0);
    });
}

#[test]
fn grouped_pages_come_from_the_rows() {
    let dir = tempfile::tempdir().unwrap();
    let index = Index::create(dir.path(), options()).unwrap();
    let keys = ["b/a/1", "b/a/2", "b/c", "b/d/1", "c"];
    index
        .bulk_load(
            keys.iter()
                .map(|k| k.as_bytes())
                .zip(std::iter::repeat_n(&row(1, "v"), 9)),
        )
        .unwrap();
    let scan = GroupedScan {
        prefix: Key::new("b/"),
        delimiter: "/".into(),
        after: None,
        limit: 2,
    };
    let page = index.scan_grouped::<StoredRev>(&scan).unwrap();
    let expected = [
        Grouped::Group(Key::new("b/a/")),
        Grouped::Row(Key::new("b/c"), StoredRev(1)),
    ];
    assert_eq!((page.items.as_slice(), page.more), (expected.as_slice(), true));
}

#[test]
fn a_rebuild_moves_every_row_while_changes_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let index = Index::create(dir.path(), options()).unwrap();
    let ops: Vec<_> = (0..3000).map(|n| put(&format!("c/{n:05}"), row(0, "value"))).collect();
    index.apply(&ops).unwrap();
    let before = tree_dir(dir.path());
    let done = AtomicBool::new(false);
    let changed = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut rev = 0;
            while !done.load(Ordering::Acquire) {
                rev += 1;
                let n = rev * 7919 % 3000;
                index
                    .apply(&[
                        put(&format!("c/{n:05}"), row(rev, "changed")),
                        delete(&format!("c/{:05}", (n + 1) % 3000)),
                    ])
                    .unwrap();
            }
            rev
        });
        index.rebuild().unwrap();
        done.store(true, Ordering::Release);
        writer.join().unwrap()
    });
    let mut model: std::collections::BTreeMap<String, u64> = (0..3000).map(|n| (format!("c/{n:05}"), 0)).collect();
    for rev in 1..=changed {
        let n = rev * 7919 % 3000;
        model.insert(format!("c/{n:05}"), rev);
        model.remove(&format!("c/{:05}", (n + 1) % 3000));
    }
    assert_eq!(all(&index), model.into_iter().collect::<Vec<_>>());
    let stats = index.stats().unwrap();
    assert_eq!(stats.rows, all(&index).len() as u64);
    index.close(&marker(9), table()).unwrap();
    assert_ne!(tree_dir(dir.path()), before);
    let (index, _) = Index::open_clean(dir.path(), &marker(9), options())
        .unwrap()
        .expect("a clean index");
    assert_eq!(index.stats().unwrap(), stats);
}

#[test]
fn an_index_that_failed_or_was_closed_answers_nothing_any_more() {
    let dir = tempfile::tempdir().unwrap();
    let index = Index::create(dir.path(), options()).unwrap();
    index.apply(&[put("a", row(1, "x"))]).unwrap();
    index.fail(StoreError("disk full".to_owned()));
    assert!(matches!(index.get(b"a"), Err(IndexError::Failed(_))));
    assert!(matches!(index.apply(&[delete("a")]), Err(IndexError::Failed(_))));
    assert!(matches!(index.close(&marker(1), table()), Err(IndexError::Failed(_))));
    assert!(
        !dir.path().join(MARKER_NAME).exists(),
        "a failed index must not be marked as clean"
    );

    let dir = tempfile::tempdir().unwrap();
    let index = Index::create(dir.path(), options()).unwrap();
    index.close(&marker(1), table()).unwrap();
    assert!(matches!(index.get(b"a"), Err(IndexError::Closed)));
}
