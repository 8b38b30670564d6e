//! A store of every released format is kept and must open: each fixture is copied aside, opened, and read to the last
//! byte. `DRYSTONE_WRITE_FIXTURE=1 cargo test -p storage-engine --test it fixture` writes the one of this version.

use std::path::{Path, PathBuf};

use storage_engine::backend::{Backend, Batch, BlobClass, NewBody, Op};

use crate::scene::{Scene, body, copy_tree, delete, expect, kill, list, put, put_op, stage};

const LARGE: usize = 150_000;
/// The index may be deleted at any time, and the lock is nobody's.
const LEFT_OUT: [&str; 2] = ["index", "lock"];

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/v1")
}

async fn write_fixture() {
    let scene = Scene::new(4);
    let store = scene.open().await;
    put(&store, "small", &body(1, 1000)).await;
    put(&store, "empty", &body(2, 0)).await;
    put(&store, "deleted", &body(3, 10)).await;
    put(&store, "large", &body(4, LARGE)).await;
    delete(&store, "deleted").await;
    store
        .commit(Batch {
            require: vec![],
            ops: vec![put_op("u/1", "u/1", NewBody::None)],
        })
        .await
        .unwrap();
    let part = stage(&store, BlobClass::Part, &body(5, 30_000)).await;
    let row = storage_engine::backend::Put {
        key: crate::scene::key("u/1/1"),
        value: "part".into(),
        body: NewBody::Blob(part),
        parent_len: Some(3),
    };
    store
        .commit(Batch {
            require: vec![],
            ops: vec![Op::Put(row)],
        })
        .await
        .unwrap();
    let part = store
        .get(&crate::scene::key("u/1/1"))
        .await
        .unwrap()
        .unwrap()
        .body
        .unwrap();
    let joined = store.join_blobs(&[part]).await.unwrap();
    let ops = vec![
        put_op("joined", "joined", NewBody::Blob(joined)),
        Op::Delete(crate::scene::key("u/1")),
    ];
    store.commit(Batch { require: vec![], ops }).await.unwrap();
    kill(store).await;
    // The second life begins a second log segment.
    let store = scene.open().await;
    put(&store, "later", &body(6, 500)).await;
    store.close().await;
    kill(store).await;
    for n in 1..=4 {
        copy_tree(&scene.drive(n), &fixture().join(format!("data{n}")), &LEFT_OUT);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_of_format_version_1_opens_whole_and_with_two_drives_missing() {
    if std::env::var_os("DRYSTONE_WRITE_FIXTURE").is_some() {
        write_fixture().await;
    }
    for missing in [vec![], vec![1, 3], vec![2, 4]] {
        let scene = Scene::new(4);
        for n in (1..=4).filter(|n| !missing.contains(n)) {
            copy_tree(&fixture().join(format!("data{n}")), &scene.drive(n), &LEFT_OUT);
        }
        let store = scene.open().await;
        assert_eq!(
            list(&store).await,
            ["empty", "joined", "large", "later", "small"],
            "without {missing:?}"
        );
        for (name, seed, len) in [
            ("small", 1, 1000),
            ("empty", 2, 0),
            ("large", 4, LARGE),
            ("joined", 5, 30_000),
            ("later", 6, 500),
        ] {
            expect(&store, name, &body(seed, len)).await;
        }
        kill(store).await;
    }
}
