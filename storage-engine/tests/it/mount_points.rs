//! An empty directory where a drive was: a mount that failed, a container that bound the wrong thing, or a new drive.
//! Only the last is adopted; the others stay as empty as they are.

use std::path::Path;
use std::time::Duration;

use storage_engine::backend::{Backend, DriveState, ServiceState};
use storage_engine::embedded::{Embedded, OpenOptions};

use crate::mounts::{Mounted, skip_or_fail};
use crate::scene::{Scene, body, expect, is_not_ready, kill, put};

const SIZE: u64 = 400;

fn entries(dir: &Path) -> usize {
    std::fs::read_dir(dir).unwrap().count()
}

fn state(store: &Embedded, path: &Path) -> DriveState {
    let health = store.health();
    let drive = health.drives.iter().find(|drive| Path::new(&drive.path) == path);
    drive.expect("a member").state
}

/// The store runs without drive 2, whose path stays empty.
async fn runs_without_drive_2(scene: &Scene, what: &str, seed: u64) {
    let point = scene.drive(2);
    assert_eq!(entries(&point), 0, "{what}: nothing is tested");
    let store = scene.open().await;
    assert_eq!(state(&store, &point), DriveState::Missing, "{what}");
    expect(&store, "small", &body(1, 3000)).await;
    expect(&store, "large", &body(2, 500_000)).await;
    put(&store, what, &body(seed, 5000)).await;
    kill(store).await;
    assert_eq!(entries(&point), 0, "{what}: something was written");
}

async fn story(scene: &Scene) -> Result<(), String> {
    let mut mounts = Vec::new();
    for n in 1..=4 {
        mounts.push(Some(Mounted::memory(&scene.drive(n), SIZE)?));
    }
    let store = scene.open().await;
    put(&store, "small", &body(1, 3000)).await;
    put(&store, "large", &body(2, 500_000)).await;
    kill(store).await;

    mounts[1] = None;
    runs_without_drive_2(scene, "unmounted", 11).await;

    let host = scene.root.path().join("host");
    std::fs::create_dir(&host).map_err(|e| e.to_string())?;
    mounts[1] = Some(Mounted::bind(&host, &scene.drive(2))?);
    runs_without_drive_2(scene, "bound", 12).await;
    mounts[1] = None;
    assert_eq!(entries(&host), 0);

    // The same kind of file system, but a directory in it instead of the whole.
    let other = scene.root.path().join("other");
    let other_mount = Mounted::memory(&other, SIZE)?;
    std::fs::create_dir(other.join("empty")).map_err(|e| e.to_string())?;
    mounts[1] = Some(Mounted::bind(&other.join("empty"), &scene.drive(2))?);
    runs_without_drive_2(scene, "bound from a drive", 13).await;
    mounts[1] = None;
    drop(other_mount);

    // Three of four not mounted: nothing is served, adopted or formatted.
    mounts[2] = None;
    mounts[3] = None;
    let store = scene.open().await;
    assert!(is_not_ready(&store));
    kill(store).await;
    for n in 2..=4 {
        assert_eq!(entries(&scene.drive(n)), 0, "drive {n}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unmounted_mount_point_and_a_bound_directory_are_neither_adopted_nor_formatted() {
    let scene = Scene::new(4);
    if let Err(reason) = story(&scene).await {
        skip_or_fail("mount points", &reason);
    }
}

async fn replacement(scene: &Scene) -> Result<(), String> {
    let mut mounts = Vec::new();
    for n in 1..=4 {
        mounts.push(Some(Mounted::memory(&scene.drive(n), SIZE)?));
    }
    let store = scene.open().await;
    put(&store, "small", &body(1, 3000)).await;
    kill(store).await;
    // The other side of the same rule: what looks like the old drive is taken in.
    mounts[1] = None;
    mounts[1] = Some(Mounted::memory(&scene.drive(2), SIZE)?);
    let store = scene.open().await;
    assert_eq!(state(&store, &scene.drive(2)), DriveState::In);
    assert!(scene.drive(2).join(".drystone/root.0").exists());
    expect(&store, "small", &body(1, 3000)).await;
    put(&store, "large", &body(2, 500_000)).await;
    kill(store).await;
    // An index directory outside the drives remembers the store: with all drives unmounted none is formatted.
    let options = OpenOptions {
        index_dir: Some(scene.root.path().join("index")),
        ..scene.options()
    };
    let store = scene.try_open(options.clone()).await.unwrap();
    kill(store).await;
    mounts.clear();
    assert!(scene.try_open(options).await.is_err());
    for n in 1..=4 {
        assert_eq!(entries(&scene.drive(n)), 0, "drive {n}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_drive_where_the_old_one_was_mounted_is_adopted() {
    let scene = Scene::new(4);
    if let Err(reason) = replacement(&scene).await {
        skip_or_fail("adoption of a new drive", &reason);
    }
}

async fn first_drive_read_only(scene: &Scene) -> Result<(), String> {
    let mounts = (1..=4)
        .map(|n| Mounted::memory(&scene.drive(n), SIZE))
        .collect::<Result<Vec<_>, _>>()?;
    let store = scene.open().await;
    put(&store, "small", &body(1, 3000)).await;
    put(&store, "large", &body(2, 500_000)).await;
    kill(store).await;
    let index = |n: usize| scene.drive(n).join(".drystone/index");
    assert!(index(1).exists() && !index(2).exists());
    mounts[0].read_only(true)?;
    let store = scene.open().await;
    assert_eq!(state(&store, &scene.drive(1)), DriveState::Out);
    assert!(index(2).exists());
    expect(&store, "small", &body(1, 3000)).await;
    put(&store, "while", &body(3, 500_000)).await;
    store.close().await;
    kill(store).await;
    let store = scene.open().await;
    expect(&store, "while", &body(3, 500_000)).await;
    kill(store).await;
    // Back again, it has the index, and the other one goes.
    mounts[0].read_only(false)?;
    let store = scene.open().await;
    assert_eq!(state(&store, &scene.drive(1)), DriveState::In);
    for (name, seed, len) in [("small", 1, 3000), ("large", 2, 500_000), ("while", 3, 500_000)] {
        expect(&store, name, &body(seed, len)).await;
    }
    for _ in 0..100 {
        if !index(2).exists() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert!(!index(2).exists());
    kill(store).await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_whose_first_drive_is_read_only_keeps_its_index_on_another() {
    let scene = Scene::new(4);
    if let Err(reason) = first_drive_read_only(&scene).await {
        skip_or_fail("a read-only drive", &reason);
    }
}

/// The operator unmounts the last drive of a store that waits for the others, to look at a cable.
#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_store_does_not_format_over_the_empty_places_of_drives_it_has_seen() {
    let scene = Scene::new(4);
    let store = scene.open().await;
    put(&store, "small", &body(1, 3000)).await;
    kill(store).await;
    let unmount = |n: usize| {
        scene.remove(n);
        std::fs::create_dir(scene.drive(n)).unwrap();
    };
    (2..=4).for_each(unmount);
    let store = scene.open().await;
    assert!(is_not_ready(&store));
    unmount(1);
    let looked = |store: &Embedded| match store.health().state {
        ServiceState::NotReady(reason) => reason.contains("is the drive mounted?"),
        ServiceState::ReadOnly(_) | ServiceState::ReadWrite => panic!("another store was made"),
    };
    let waiting = async {
        while !looked(&store) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), waiting).await.unwrap();
    for n in 1..=4 {
        assert_eq!(entries(&scene.drive(n)), 0, "drive {n}");
        std::fs::remove_dir(scene.drive(n)).unwrap();
        scene.bring_back(n);
    }
    let back = async {
        while is_not_ready(&store) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), back).await.unwrap();
    expect(&store, "small", &body(1, 3000)).await;
}
