//! A drive that lost its root but kept its shard files, and files that only look like such a drive.

use std::path::{Path, PathBuf};

use storage_engine::backend::{Backend, DriveState};
use storage_engine::embedded::Embedded;

use crate::scene::{Scene, body, copy_tree, expect, files_below, is_read_only, kill, put};

fn health_of(store: &Embedded, path: &Path) -> (DriveState, String) {
    let health = store.health();
    let drive = health.drives.iter().find(|drive| Path::new(&drive.path) == path);
    let drive = drive.expect("a member");
    (drive.state, drive.reason.clone())
}

async fn fill(scene: &Scene) {
    let store = scene.open().await;
    put(&store, "small", &body(1, 5000)).await;
    put(&store, "large", &body(2, 500_000)).await;
    kill(store).await;
}

async fn check(store: &Embedded) {
    expect(store, "small", &body(1, 5000)).await;
    expect(store, "large", &body(2, 500_000)).await;
}

fn roots(drive: &Path) -> Vec<PathBuf> {
    let roots = ["root.0", "root.1"].map(|name| drive.join(".drystone").join(name));
    roots.into_iter().filter(|root| root.exists()).collect()
}

fn lose_roots(drive: &Path) {
    let roots = roots(drive);
    assert!(!roots.is_empty());
    roots.iter().for_each(|root| std::fs::remove_file(root).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drive_that_lost_its_root_is_known_by_its_shard_files() {
    for how in ["removed", "zeroed", "emptied"] {
        let scene = Scene::new(4);
        fill(&scene).await;
        for root in roots(&scene.drive(2)) {
            match how {
                "removed" => std::fs::remove_file(&root).unwrap(),
                "zeroed" => std::fs::write(&root, vec![0; std::fs::metadata(&root).unwrap().len() as usize]).unwrap(),
                _ => std::fs::write(&root, b"").unwrap(),
            }
        }
        let store = scene.open().await;
        assert_eq!(health_of(&store, &scene.drive(2)).0, DriveState::In, "{how}");
        check(&store).await;
        put(&store, "after", &body(3, 5000)).await;
        kill(store).await;
        // It is really used: with two others gone the store cannot be read without it.
        scene.remove(3);
        scene.remove(4);
        let store = scene.open().await;
        assert!(is_read_only(&store), "{how}: {:?}", store.health().state);
        check(&store).await;
        expect(&store, "after", &body(3, 5000)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_drives_of_four_without_roots_stay_unknown_and_untouched_until_a_majority_knows_itself() {
    let scene = Scene::new(4);
    fill(&scene).await;
    let aside = scene.root.path().join("aside");
    for n in [1, 2] {
        copy_tree(&scene.drive(n), &aside.join(n.to_string()), &[]);
        lose_roots(&scene.drive(n));
    }
    let before = files_below(&scene.drive(1).join(".drystone/log"));
    let store = scene.open().await;
    assert!(is_read_only(&store), "{:?}", store.health().state);
    check(&store).await;
    let (state, reason) = health_of(&store, &scene.drive(1));
    assert!(state == DriveState::Missing && reason.contains("too few"), "{reason}");
    kill(store).await;
    assert!(roots(&scene.drive(1)).is_empty());
    assert_eq!(files_below(&scene.drive(1).join(".drystone/log")), before);
    // One of them knows itself again: now the other can be told.
    std::fs::remove_dir_all(scene.drive(1)).unwrap();
    copy_tree(&aside.join("1"), &scene.drive(1), &[]);
    let store = scene.open().await;
    assert_eq!(health_of(&store, &scene.drive(2)).0, DriveState::In);
    check(&store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn shard_files_that_contradict_the_store_give_no_identity() {
    for what in [
        "a copy of another drive",
        "a drive of another store",
        "files of two drives",
        "a newer root",
    ] {
        let scene = Scene::new(4);
        fill(&scene).await;
        let victim = scene.drive(3);
        match what {
            "a copy of another drive" => {
                std::fs::remove_dir_all(&victim).unwrap();
                copy_tree(&scene.drive(2), &victim, &["root.0", "root.1", "lock"]);
            }
            "a drive of another store" => {
                let other = Scene::new(4);
                fill(&other).await;
                std::fs::remove_dir_all(&victim).unwrap();
                copy_tree(&other.drive(3), &victim, &["root.0", "root.1", "lock"]);
            }
            "files of two drives" => {
                lose_roots(&victim);
                copy_tree(
                    &scene.drive(2).join(".drystone/log"),
                    &victim.join(".drystone/log"),
                    &[],
                );
            }
            _ => {
                for root in roots(&victim) {
                    let mut bytes = std::fs::read(&root).unwrap();
                    bytes[8] = 99;
                    let crc = crc32fast::hash(&bytes[..20]);
                    bytes[20..24].copy_from_slice(&crc.to_le_bytes());
                    std::fs::write(&root, bytes).unwrap();
                }
            }
        }
        let before = files_below(&victim);
        let store = scene.open().await;
        let (state, reason) = health_of(&store, &victim);
        assert_eq!(state, DriveState::Missing, "{what}: {reason}");
        check(&store).await;
        put(&store, "after", &body(3, 5000)).await;
        kill(store).await;
        let mut after = files_below(&victim);
        after.retain(|(path, _)| !path.ends_with("lock") || before.iter().any(|(known, _)| known == path));
        assert_eq!(before, after, "{what}: the drive was touched");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_directory_given_twice_is_refused() {
    let scene = Scene::new(4);
    fill(&scene).await;
    let link = scene.root.path().join("link");
    std::os::unix::fs::symlink(scene.drive(1), &link).unwrap();
    let mut options = scene.options();
    options.drives.push(link);
    let Err(error) = scene.try_open(options).await else {
        panic!("opened");
    };
    assert!(error.to_string().contains("one directory"), "{error}");
    check(&*scene.open().await).await;
}
