//! A store that is full: bodies are refused while the reserve is whole, deletes go on, and the space comes back.

use std::time::{Duration, Instant};

use bytes::Bytes;
use storage_engine::backend::{Backend, Batch, BlobClass, CommitError, NewBody, Op, PutBlobError, ServiceState};
use storage_engine::embedded::fleet::FleetError;
use storage_engine::embedded::heal::HealOptions;
use storage_engine::embedded::{Embedded, OpenOptions};

use crate::mounts::{Mounted, skip_or_fail};
use crate::scene::{Scene, body, expect, key, kill, list, put_op, read};

/// Two log segments per drive, the least that every drive keeps.
const RESERVE: u64 = 2 * 64 * 1024 * 1024;
const LARGE: usize = 2_000_000;
const SMALL: usize = 3000;

#[derive(Debug)]
enum Refused {
    Full,
    Other(String),
}

async fn try_put(store: &Embedded, name: &str, bytes: &Bytes) -> Result<(), Refused> {
    let chunks: Vec<_> = bytes.chunks(100_000).map(|chunk| Ok(bytes.slice_ref(chunk))).collect();
    let source = Box::pin(futures::stream::iter(chunks));
    let blob = store
        .put_blob(BlobClass::Object, source, None)
        .await
        .map_err(|error| match error {
            PutBlobError::Full(_) => Refused::Full,
            PutBlobError::Source(_) | PutBlobError::Unavailable(_) => Refused::Other(error.to_string()),
        })?;
    let ops = vec![put_op(name, name, NewBody::Blob(blob))];
    match store.commit(Batch { require: vec![], ops }).await {
        Ok(_) => Ok(()),
        Err(CommitError::Full(_)) => Err(Refused::Full),
        Err(error) => Err(Refused::Other(error.to_string())),
    }
}

/// Name, seed and length of the object with this number: every fourth is small.
fn object(n: u64) -> (String, Bytes) {
    let len = if n.is_multiple_of(4) { SMALL } else { LARGE };
    (format!("object/{n:04}"), body(n, len))
}

/// Puts until the store says that it is full; how many objects it took.
async fn fill(store: &Embedded, from: u64) -> u64 {
    for n in from.. {
        let (name, bytes) = object(n);
        match try_put(store, &name, &bytes).await {
            Ok(()) => {}
            Err(Refused::Full) => return n,
            Err(Refused::Other(error)) => panic!("{name}: {error}"),
        }
    }
    unreachable!()
}

fn free(scene: &Scene, store: &Embedded) -> u64 {
    let health = store.health();
    assert_eq!(health.drives.len(), scene.drives);
    health.drives.iter().map(|drive| drive.free_bytes).min().unwrap()
}

async fn story(scene: &Scene) -> Result<(), String> {
    let _mounts = (1..=4)
        .map(|n| Mounted::memory(&scene.drive(n), 200))
        .collect::<Result<Vec<_>, _>>()?;
    let store = scene.open().await;
    let count = fill(&store, 0).await;
    assert!(count >= 20, "full after {count} objects: nothing is tested");
    let left = free(scene, &store);
    assert!(
        left > RESERVE - 4 * LARGE as u64,
        "a fast writer ate the reserve: {left} bytes are free"
    );
    assert_eq!(store.health().state, ServiceState::ReadWrite, "full is no stop");
    for n in 0..count {
        let (name, bytes) = object(n);
        expect(&store, &name, &bytes).await;
    }
    // What has no room for a large body may have it for small ones, but not for many.
    let mut small = 0;
    let refused = loop {
        match try_put(&store, &format!("small/{small:04}"), &body(small, SMALL)).await {
            Ok(()) => small += 1,
            Err(refused) => break refused,
        }
    };
    assert!(
        matches!(refused, Refused::Full) && small < 1000,
        "{small} small bodies: {refused:?}"
    );
    assert!(free(scene, &store) > RESERVE - LARGE as u64);
    // From here on nothing but deletes, until space is back.
    let kept = |n: u64| n.is_multiple_of(5);
    for n in (0..count).filter(|n| !kept(*n)) {
        let ops = vec![Op::Delete(key(&object(n).0))];
        let deleted = store.commit(Batch { require: vec![], ops }).await;
        assert!(deleted.is_ok(), "a delete was refused on a full store: {deleted:?}");
    }
    let start = Instant::now();
    while try_put(&store, "again", &body(7, LARGE)).await.is_err() {
        assert!(start.elapsed() < Duration::from_secs(120), "the space never came back");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    eprintln!("{count} objects until full; space was back after {:?}", start.elapsed());
    // The space is really back: most of what was there fits again.
    let second = fill(&store, 5000).await - 5000;
    assert!(second >= count / 2, "{count} objects fitted first, {second} then");
    kill(store).await;
    for n in 1..=4 {
        let _ = std::fs::remove_dir_all(scene.drive(n).join(".drystone/index"));
    }
    let store = scene.open().await;
    for n in (0..count).filter(|n| kept(*n)).chain(5000..5000 + second) {
        let (name, bytes) = object(n);
        expect(&store, &name, &bytes).await;
    }
    expect(&store, "again", &body(7, LARGE)).await;
    for n in 0..small {
        expect(&store, &format!("small/{n:04}"), &body(n, SMALL)).await;
    }
    let standing = (0..count).filter(|n| kept(*n)).count() as u64 + small + second + 1;
    assert_eq!(list(&store).await.len() as u64, standing);
    kill(store).await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_store_takes_deletes_until_the_space_returns() {
    let scene = Scene::new(4);
    if let Err(reason) = story(&scene).await {
        skip_or_fail("a full store", &reason);
    }
}

/// Five drives with 72 MiB each above what they must keep; 54 MiB on each of them, by the bodies' 3+2.
async fn five_that_do_not_become_four(scene: &Scene) -> Result<(), String> {
    let _mounts = (1..=6)
        .map(|n| Mounted::memory(&scene.drive(n), 200))
        .collect::<Result<Vec<_>, _>>()?;
    let healing = || OpenOptions {
        heal: HealOptions {
            duty_percent: 100,
            bytes_per_second: 1 << 40,
            ..HealOptions::default()
        },
        ..scene.options()
    };
    let store = scene.try_open(healing()).await.unwrap();
    let bytes = body(1, 18 << 20);
    for n in 0..9 {
        try_put(&store, &format!("large/{n}"), &bytes).await.unwrap();
    }
    let first = scene.drive(1).to_string_lossy().into_owned();
    // On four it is 2+2: 81 MiB on each, though all of the free space together is more than what the drive holds.
    let FleetError::Refused(told) = store.drain_drive(&first).await.unwrap_err() else {
        return Err("refused for another reason".into());
    };
    assert!(told.contains("does not fit") && told.contains("Add a drive"), "{told}");
    assert!(store.moving_status().drains.is_empty(), "nothing was begun");
    store.add_drives(&[scene.drive(6)], false).await.unwrap();
    store.drain_drive(&first).await.unwrap();
    let began = Instant::now();
    while !store.moving_status().drains.iter().all(|drain| drain.holds_nothing) {
        assert!(
            began.elapsed() < Duration::from_secs(240),
            "{:?}",
            store.moving_status()
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    store.remove_drive(&first, false).await.unwrap();
    for n in 0..9 {
        expect(&store, &format!("large/{n}"), &bytes).await;
    }
    kill(store).await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_that_cannot_fit_on_the_drives_that_stay_is_refused_at_the_order() {
    let scene = Scene::new(5);
    if let Err(reason) = five_that_do_not_become_four(&scene).await {
        skip_or_fail("a drain of full drives", &reason);
    }
}

const IN_LOG: usize = 100_000;

/// As many bodies that ride in the log as the store takes; how many.
async fn fill_log(store: &Embedded, from: u64) -> u64 {
    for n in from.. {
        match try_put(store, &format!("log/{n:06}"), &body(n, IN_LOG)).await {
            Ok(()) => {}
            Err(Refused::Full) => return n - from,
            Err(Refused::Other(error)) => panic!("{error}"),
        }
    }
    unreachable!()
}

async fn full_of_small_bodies(scene: &Scene) -> Result<(), String> {
    // So little room that one log segment takes all of it.
    let _mounts = (1..=4)
        .map(|n| Mounted::memory(&scene.drive(n), 160))
        .collect::<Result<Vec<_>, _>>()?;
    let store = scene.open().await;
    let count = fill_log(&store, 0).await;
    assert!(count >= 200, "full after {count} bodies: nothing is tested");
    let kept = |n: u64| n.is_multiple_of(10);
    for n in (0..count).filter(|n| !kept(*n)) {
        let ops = vec![Op::Delete(key(&format!("log/{n:06}")))];
        store.commit(Batch { require: vec![], ops }).await.unwrap();
    }
    let (start, mut second) = (Instant::now(), 0);
    while second < count / 2 {
        assert!(
            start.elapsed() < Duration::from_secs(150),
            "{count} bodies first, {second} since"
        );
        tokio::time::sleep(Duration::from_secs(1)).await;
        second += fill_log(&store, 100_000 + second).await;
    }
    eprintln!("{count} bodies first, {second} again after {:?}", start.elapsed());
    kill(store).await;
    let store = scene.open().await;
    for n in (0..count).filter(|n| kept(*n)).chain(100_000..100_000 + second) {
        expect(&store, &format!("log/{n:06}"), &body(n, IN_LOG)).await;
    }
    kill(store).await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn space_of_small_bodies_returns_from_the_open_log_segment_too() {
    let scene = Scene::new(4);
    if let Err(reason) = full_of_small_bodies(&scene).await {
        skip_or_fail("a store full of small bodies", &reason);
    }
}

/// Fills what is left of a file system, as another program would.
fn ballast(scene: &Scene, n: usize) -> std::path::PathBuf {
    let path = scene.drive(n).join(".drystone/ballast");
    let mut file = std::fs::File::create(&path).unwrap();
    let chunk = vec![1; 1024 * 1024];
    while std::io::Write::write_all(&mut file, &chunk).is_ok() {}
    path
}

async fn filled_by_others(scene: &Scene) -> Result<(), String> {
    let _mounts = (1..=4)
        .map(|n| Mounted::memory(&scene.drive(n), 200))
        .collect::<Result<Vec<_>, _>>()?;
    let store = scene.open().await;
    for n in 0..8 {
        let (name, bytes) = object(n);
        try_put(&store, &name, &bytes).await.unwrap();
    }
    let filled: Vec<_> = (1..=4).map(|n| ballast(scene, n)).collect();
    let mut full = 0;
    for n in 8..40 {
        let (name, bytes) = object(n);
        match try_put(&store, &name, &bytes).await {
            // What is in a page that the file system has already can still be written.
            Ok(()) => expect(&store, &name, &bytes).await,
            Err(Refused::Full) => full += 1,
            Err(Refused::Other(error)) => panic!("{name}: {error}"),
        }
    }
    assert!(full > 20, "only {full} bodies were refused");
    assert_eq!(store.health().state, ServiceState::ReadWrite, "full is no stop");
    for n in 0..8 {
        let (name, bytes) = object(n);
        expect(&store, &name, &bytes).await;
    }
    filled.iter().for_each(|path| std::fs::remove_file(path).unwrap());
    let start = Instant::now();
    while try_put(&store, "again", &body(7, LARGE)).await.is_err() {
        assert!(start.elapsed() < Duration::from_secs(60), "the store stays full");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    kill(store).await;
    let store = scene.open().await;
    for n in 0..8 {
        let (name, bytes) = object(n);
        expect(&store, &name, &bytes).await;
    }
    expect(&store, "again", &body(7, LARGE)).await;
    assert!(read(&store, "object/0010").await.is_ok());
    kill(store).await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn file_systems_filled_by_others_are_refused_as_full_and_used_again_when_there_is_room() {
    let scene = Scene::new(4);
    if let Err(reason) = filled_by_others(&scene).await {
        skip_or_fail("file systems filled by others", &reason);
    }
}
