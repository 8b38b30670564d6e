//! Stops and starts: clean, killed, and with an index that is missing, old or broken.

use crate::scene::{Scene, body, copy_tree, delete, expect, kill, list, put, read, require_absent};
use storage_engine::backend::CommitError;

const SIZES: [usize; 8] = [0, 1, 511, 4096, 128 * 1024, 128 * 1024 + 1, 300_000, 3_000_000];

fn names() -> Vec<(String, u64, usize)> {
    SIZES
        .iter()
        .enumerate()
        .map(|(n, len)| (format!("key/{n}"), n as u64, *len))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_there_after_a_clean_stop_and_after_a_kill() {
    for drives in [1, 2, 4, 8] {
        let scene = Scene::new(drives);
        for round in 0..3u64 {
            let store = scene.open().await;
            for (name, seed, len) in names() {
                if round > 0 {
                    expect(&store, &name, &body(seed + (round - 1) * 100, len)).await;
                }
                put(&store, &name, &body(seed + round * 100, len)).await;
                expect(&store, &name, &body(seed + round * 100, len)).await;
            }
            put(&store, "gone", &body(1, 10)).await;
            delete(&store, "gone").await;
            assert_eq!(list(&store).await.len(), SIZES.len(), "{drives} drives, round {round}");
            if round == 0 {
                store.close().await;
            }
            kill(store).await;
        }
        let store = scene.open().await;
        for (name, seed, len) in names() {
            expect(&store, &name, &body(seed + 200, len)).await;
        }
        assert_eq!(read(&store, "gone").await.unwrap(), None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_from_yesterday_truncated_or_deleted_changes_nothing() {
    let scene = Scene::new(4);
    let index = scene.drive(1).join(".drystone/index");
    let yesterday = scene.root.path().join("yesterday");
    let store = scene.open().await;
    put(&store, "a", &body(1, 1000)).await;
    put(&store, "deleted", &body(1, 1000)).await;
    store.close().await;
    kill(store).await;
    copy_tree(&index, &yesterday, &[]);
    let store = scene.open().await;
    put(&store, "a", &body(2, 2000)).await;
    put(&store, "b", &body(3, 200_000)).await;
    delete(&store, "deleted").await;
    store.close().await;
    kill(store).await;
    for damage in ["yesterday", "truncated", "deleted"] {
        match damage {
            "yesterday" => {
                std::fs::remove_dir_all(&index).unwrap();
                copy_tree(&yesterday, &index, &[]);
            }
            "truncated" => {
                let mut cut = 0;
                for (path, len) in crate::scene::files_below(&index) {
                    if len > 100 {
                        std::fs::OpenOptions::new()
                            .write(true)
                            .open(&path)
                            .unwrap()
                            .set_len(len / 2)
                            .unwrap();
                        cut += 1;
                    }
                }
                assert!(cut > 0, "nothing was truncated");
            }
            _ => std::fs::remove_dir_all(&index).unwrap(),
        }
        let store = scene.open().await;
        assert_eq!(list(&store).await, ["a", "b"], "index {damage}");
        expect(&store, "a", &body(2, 2000)).await;
        expect(&store, "b", &body(3, 200_000)).await;
        store.close().await;
        kill(store).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_one_of_many_writers_that_require_absence_wins() {
    let scene = Scene::new(4);
    let store = scene.open().await;
    for round in 0..20u64 {
        let name = format!("contested/{round}");
        let tries = (0..16u64).map(|n| {
            let (store, name) = (store.clone(), name.clone());
            tokio::spawn(async move { (n, require_absent(&store, &name, &body(n, 100)).await) })
        });
        let mut won = Vec::new();
        for task in tries.collect::<Vec<_>>() {
            match task.await.unwrap() {
                (n, Ok(_)) => won.push(n),
                (
                    _,
                    Err(CommitError::Failed {
                        index: 0,
                        found: Some(_),
                    }),
                ) => {}
                (_, Err(error)) => panic!("{error}"),
            }
        }
        assert_eq!(won.len(), 1, "round {round}: {won:?}");
        expect(&store, &name, &body(won[0], 100)).await;
    }
}
