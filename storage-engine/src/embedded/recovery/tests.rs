//! Starts after a process was killed: what its index still holds must make no difference but in time.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use crate::backend::{Backend, Batch, Key, NewBody, Op, Put};
use crate::embedded::record::{RowOp, RowRecord};
use crate::embedded::{ByHand, Embedded, OpenOptions};

const CHILD_DIR: &str = "DRYSTONE_KILLED_DIR";
const CHILD_SEED: &str = "DRYSTONE_KILLED_SEED";

fn options(dir: &Path) -> OpenOptions {
    OpenOptions {
        drives: (1..=3).map(|n| dir.join(format!("d{n}"))).collect(),
        ..OpenOptions::default()
    }
}

async fn open(dir: &Path) -> Arc<Embedded> {
    Embedded::open(options(dir)).await.unwrap()
}

/// Drops everything a run has, as a kill does; waits until its drives can be had again.
async fn kill(store: Arc<Embedded>, dir: &Path) {
    drop(store);
    for path in options(dir).drives {
        let lock = std::fs::File::open(path.join(".drystone/lock")).unwrap();
        for _ in 0..500 {
            if lock.try_lock().is_ok() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

fn put(key: String, parent_len: Option<usize>, value: u64) -> Op {
    Op::Put(Put {
        key: Key::new(key.into_bytes()),
        value: format!("value {value}").into_bytes().into(),
        body: NewBody::None,
        parent_len,
    })
}

/// Some hundred rows, each a batch's change: puts, deletes, and rows that go with the row they depend on.
async fn work(store: &Embedded, seed: u64) {
    for turn in 0..60u64 {
        let at = |n: u64| (n * 7919 + seed * 131 + turn * 17) % 1_000;
        let mut ops: BTreeMap<Vec<u8>, Op> = BTreeMap::new();
        for n in 0..40 {
            let key = format!("c/{:04}", at(n));
            let op = match at(n) % 5 {
                0 => Op::Delete(Key::new(key.clone().into_bytes())),
                _ => put(key.clone(), None, seed * 1_000 + turn),
            };
            ops.insert(key.into_bytes(), op);
        }
        let ops = ops.into_values().collect();
        store.commit(Batch { require: vec![], ops }).await.unwrap();
        let parent = format!("u/{:02}", at(1) % 20);
        let ops = vec![put(parent.clone(), None, turn)];
        store.commit(Batch { require: vec![], ops }).await.unwrap();
        let child = put(format!("{parent}/{turn:02}"), Some(parent.len()), turn);
        store
            .commit(Batch {
                require: vec![],
                ops: vec![child],
            })
            .await
            .unwrap();
        if turn % 7 == 0 {
            let ops = vec![Op::Delete(Key::new(format!("u/{:02}", at(2) % 20).into_bytes()))];
            store.commit(Batch { require: vec![], ops }).await.unwrap();
        }
    }
}

/// All that an index says: rows, counters of dependents, live bytes of segments.
#[derive(Debug, PartialEq)]
struct Said {
    rows: Vec<(Vec<u8>, RowRecord)>,
    dependents: Vec<u64>,
    stats: crate::embedded::index::IndexStats,
    live: BTreeMap<crate::embedded::id::SegmentId, u64>,
}

fn said(store: &Embedded) -> Said {
    let running = store.running().unwrap();
    let index = &running.shared.index;
    let page = index
        .scan::<RowRecord>(&(Key::new("")..Key::new(vec![0xFF; 8])), usize::MAX)
        .unwrap();
    let rows: Vec<_> = page
        .items
        .into_iter()
        .map(|(key, row)| (key.as_bytes().to_vec(), row))
        .collect();
    let table = running.shared.table.snapshot();
    Said {
        dependents: rows.iter().map(|(key, _)| index.dependents(key).unwrap()).collect(),
        rows,
        stats: index.stats().unwrap(),
        live: table
            .into_iter()
            .map(|(id, entry)| (id, entry.live))
            .filter(|(_, live)| *live > 0)
            .collect(),
    }
}

/// The tree that is in use: its name is another one after a rebuild.
fn tree(dir: &Path) -> PathBuf {
    let indexes = options(dir)
        .drives
        .into_iter()
        .map(|drive| drive.join(".drystone/index"));
    let entries = indexes.filter_map(|index| std::fs::read_dir(index).ok()).flatten();
    let mut trees = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("tree-"));
    trees.next().expect("there is an index")
}

/// What a store says with its index thrown away and made anew.
async fn said_anew(store: Arc<Embedded>, dir: &Path) -> (Arc<Embedded>, Said) {
    store.close().await;
    kill(store, dir).await;
    for drive in options(dir).drives {
        let _ = std::fs::remove_dir_all(drive.join(".drystone/index"));
    }
    let store = open(dir).await;
    let said = said(&store);
    (store, said)
}

/// Runs in a process of its own, which ends at once and closes nothing.
#[test]
fn child_works_and_is_killed() {
    let (Ok(dir), Ok(seed)) = (std::env::var(CHILD_DIR), std::env::var(CHILD_SEED)) else {
        return;
    };
    let seed: u64 = seed.parse().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    runtime.unwrap().block_on(async {
        let store = open(Path::new(&dir)).await;
        work(&store, seed).await;
        let mut by_hand = ByHand::of(&store).unwrap();
        by_hand.checkpoint(&store).await.unwrap();
        work(&store, seed + 500).await;
        println!("worked");
        std::process::abort();
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_a_killed_process_left_is_opened_again_and_says_what_a_new_one_does() {
    let dir = tempfile::tempdir().unwrap();
    for n in 1..=3 {
        std::fs::create_dir(dir.path().join(format!("d{n}"))).unwrap();
    }
    for seed in 0..4 {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args([
            "--exact",
            "embedded::recovery::tests::child_works_and_is_killed",
            "--nocapture",
        ]);
        child.env(CHILD_DIR, dir.path()).env(CHILD_SEED, seed.to_string());
        let output = tokio::task::spawn_blocking(move || child.output())
            .await
            .unwrap()
            .unwrap();
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(told.contains("worked") && !output.status.success(), "{told}");
        let left = tree(dir.path());
        let store = open(dir.path()).await;
        assert_eq!(tree(dir.path()), left, "the index was made anew");
        let opened = said(&store);
        assert!(opened.rows.len() > 500, "{} rows", opened.rows.len());
        let (store, anew) = said_anew(store, dir.path()).await;
        assert_ne!(tree(dir.path()), left);
        assert!(
            opened == anew,
            "killed at {seed}: what was opened again says something else"
        );
        store.close().await;
        kill(store, dir.path()).await;
    }
}

/// A store whose run was dropped without a close after some work, and what its index should say.
async fn killed(dir: &Path, meanwhile: impl FnOnce(&Embedded)) -> Said {
    for n in 1..=3 {
        std::fs::create_dir(dir.join(format!("d{n}"))).unwrap();
    }
    let store = open(dir).await;
    work(&store, 1).await;
    let mut by_hand = ByHand::of(&store).unwrap();
    by_hand.checkpoint(&store).await.unwrap();
    work(&store, 2).await;
    let right = said(&store);
    meanwhile(&store);
    drop(by_hand);
    kill(store, dir).await;
    right
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_the_index_lost_or_made_up_are_put_right() {
    let dir = tempfile::tempdir().unwrap();
    let right = killed(dir.path(), |store| {
        let rows = said(store).rows;
        for (key, _) in rows.iter().step_by(3) {
            ByHand::lose_from_index(store, &Key::new(key.clone())).unwrap();
        }
        let made_up = rows.iter().step_by(4).map(|(key, row)| RowOp::Put {
            key: [key.as_slice(), b"!"].concat().into(),
            row: RowRecord {
                parent_len: None,
                ..row.clone()
            },
        });
        let stale = rows.iter().step_by(5).map(|(key, row)| RowOp::Put {
            key: key.clone().into(),
            row: RowRecord { rev: 1, ..row.clone() },
        });
        let ops: Vec<RowOp> = made_up.chain(stale).collect();
        store.running().unwrap().shared.index.apply(&ops).unwrap();
    })
    .await;
    let left = tree(dir.path());
    let store = open(dir.path()).await;
    assert_eq!(tree(dir.path()), left, "the index was made anew");
    assert!(said(&store) == right);
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_database_that_a_killed_process_left_costs_a_rebuild_at_most() {
    for damage in 0..3 {
        let dir = tempfile::tempdir().unwrap();
        let right = killed(dir.path(), |_| ()).await;
        let file = tree(dir.path()).join("db");
        let mut bytes = std::fs::read(&file).unwrap();
        match damage {
            0 => bytes.truncate(bytes.len() / 3),
            1 => bytes
                .iter_mut()
                .skip(5_000)
                .step_by(4_096)
                .for_each(|byte| *byte ^= 0x40),
            _ => bytes.fill(0),
        }
        std::fs::write(&file, bytes).unwrap();
        let store = open(dir.path()).await;
        assert!(said(&store) == right, "damage {damage}");
        store.close().await;
        kill(store, dir.path()).await;
    }
}
