//! Every kind of rot on every kind of file: on one drive, on as many as parity bears, and on one more.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::{Housekeeper, Yard, bytes, checkpoint, delete, put};
use crate::backend::{Backend, Key, ReadError, ServiceState};
use crate::embedded::heal::CensusDepth;
use crate::embedded::{Embedded, OpenOptions};

const DRIVES: usize = 4;
const PARITY: usize = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Records and the small bodies in them.
    Log,
    Extent,
    Checkpoint,
    /// Which drive it is, and the state of the store.
    Root,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rot {
    Missing,
    Truncated,
    Emptied,
    /// One bit of every frame (of every slot, for a root), so far behind its beginning.
    Flipped(usize),
    /// Every file has the bytes of another one of its kind on the same drive.
    Swapped,
    /// Every file has the bytes it had earlier, or those of an earlier file of its kind.
    Stale,
}

/// Magic, version, shard, segment, offset and checksum of a frame's header, and its payload.
const FLIPS: [usize; 8] = [0, 4, 6, 20, 33, 45, 48, 60];

fn rots() -> impl Iterator<Item = Rot> {
    let whole = [Rot::Missing, Rot::Truncated, Rot::Emptied, Rot::Swapped, Rot::Stale];
    whole.into_iter().chain(FLIPS.map(Rot::Flipped))
}

fn files_below(dir: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            files_below(&path, found);
        } else {
            found.push(path);
        }
    }
    found.sort();
}

fn files_of(drive: &Path, place: Place) -> Vec<PathBuf> {
    let folder = drive.join(".drystone");
    let mut found = Vec::new();
    match place {
        Place::Log => files_below(&folder.join("log"), &mut found),
        Place::Extent => files_below(&folder.join("extent"), &mut found),
        Place::Checkpoint => files_below(&folder.join("checkpoint"), &mut found),
        Place::Root => found.extend(["root.0", "root.1"].map(|slot| folder.join(slot))),
    }
    found
}

fn copy_tree(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(|entry| entry.unwrap()) {
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if entry.file_name() == "index" {
            continue;
        }
        if path.is_dir() {
            copy_tree(&path, &target);
        } else {
            std::fs::copy(&path, &target).unwrap();
        }
    }
}

/// A closed store with all kinds of files, a copy from its early days, and what its keys hold.
struct Template {
    yard: Yard,
    early: tempfile::TempDir,
    holds: BTreeMap<String, Vec<u8>>,
}

impl Template {
    async fn new() -> Self {
        let yard = Yard::of(DRIVES);
        let early = tempfile::tempdir().unwrap();
        let mut holds = BTreeMap::new();
        let store = yard.open().await;
        let mut write = async |range: std::ops::Range<u64>| {
            for n in range {
                for (name, len) in [
                    (format!("small/{}", n % 7), 3000),
                    (format!("large/{}", n % 3), 300_000),
                ] {
                    put(&store, &name, bytes(n, len)).await;
                    holds.insert(name, bytes(n, len));
                }
            }
        };
        write(0..4).await;
        copy_tree(yard.dir.path(), early.path());
        write(4..8).await;
        put(&store, "gone", bytes(9, 3000)).await;
        let running = store.running().unwrap();
        let mut keeper = Housekeeper::new(&running.shared).unwrap();
        checkpoint(&mut keeper, &running).await;
        delete(&store, "gone").await;
        write(8..10).await;
        drop(running);
        drop(keeper);
        store.close().await;
        drop(store);
        Self { yard, early, holds }
    }

    /// The bytes that stand in for a file's own.
    fn stale(&self, place: Place, drive: usize, path: &Path) -> Vec<u8> {
        let early = self.early.path().join(format!("d{}", drive + 1));
        let same = files_of(&early, place)
            .into_iter()
            .find(|old| old.file_name() == path.file_name());
        let old = same.or_else(|| files_of(&early, place).into_iter().next());
        old.map(|old| std::fs::read(old).unwrap()).unwrap_or_default()
    }

    fn rot(&self, drive: (usize, &Path), place: Place, rot: Rot) {
        let files = files_of(drive.1, place);
        assert!(!files.is_empty(), "nothing to rot: {place:?}");
        let contents: Vec<Vec<u8>> = files.iter().map(|file| std::fs::read(file).unwrap()).collect();
        for (at, (file, own)) in files.iter().zip(&contents).enumerate() {
            let rotten = match rot {
                Rot::Missing => {
                    std::fs::remove_file(file).unwrap();
                    continue;
                }
                Rot::Truncated => own[..own.len() / 2].to_vec(),
                Rot::Emptied => Vec::new(),
                Rot::Flipped(behind) => flipped(own, place, behind),
                Rot::Swapped => contents[(at + 1) % contents.len()].clone(),
                Rot::Stale => self.stale(place, drive.0, file),
            };
            std::fs::write(file, rotten).unwrap();
        }
    }
}

fn flipped(own: &[u8], place: Place, behind: usize) -> Vec<u8> {
    let mut bytes = own.to_vec();
    let starts: Vec<usize> = match place {
        Place::Root => vec![0],
        Place::Log | Place::Extent | Place::Checkpoint => {
            (0..own.len()).filter(|at| own[*at..].starts_with(b"DSFR")).collect()
        }
    };
    for start in starts {
        if let Some(byte) = bytes.get_mut(start + behind) {
            *byte ^= 1 << (behind % 8);
        }
    }
    bytes
}

async fn read(store: &Embedded, key: &str) -> Result<Option<Vec<u8>>, ReadError> {
    use futures::TryStreamExt;
    let Some(row) = store.get(&Key::new(key.to_owned())).await? else {
        return Ok(None);
    };
    let body = row.body.expect("every key here has a body");
    let chunks: Vec<bytes::Bytes> = store.get_blob(&body, 0..body.len).await?.try_collect().await?;
    Ok(Some(chunks.concat()))
}

/// Names of all shard files, to see that none is removed.
fn shard_files(drives: &[PathBuf]) -> BTreeSet<PathBuf> {
    let places = [Place::Log, Place::Extent, Place::Checkpoint];
    let all = drives
        .iter()
        .flat_map(|drive| places.map(|place| files_of(drive, place)));
    all.flatten().collect()
}

/// Healing lets a start settle for a second first: some cases, one and two drives each, are waited for.
fn is_healed_here(rot: Rot, harmed: &[usize]) -> bool {
    let long = std::env::var_os("DRYSTONE_BITROT_HEALS_ALL").is_some();
    let some = matches!(rot, Rot::Missing | Rot::Stale | Rot::Flipped(48)) && matches!(harmed, [2] | [1, 3]);
    harmed.len() <= PARITY && (long || some)
}

/// Within a minute every frame of every shard is good again. Says whether there was anything to heal.
async fn until_whole(store: &Embedded, case: &str) -> bool {
    if store.health().state != ServiceState::ReadWrite {
        // Two of four roots are gone: nothing may be written until an operator has spoken.
        return false;
    }
    let first = store.census(CensusDepth::Frames).await.unwrap();
    store.scrub_now();
    for _ in 0..300 {
        if store.census(CensusDepth::Frames).await.unwrap().is_clean() {
            return !first.is_clean();
        }
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    panic!("{case}: not whole after a minute, at first {first:?}");
}

/// One case; how many keys could not be read, and whether something was healed.
async fn play(template: &Template, place: Place, rot: Rot, harmed: &[usize]) -> (usize, bool) {
    // In memory where that can be: nothing here depends on a sync.
    let dir = tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .unwrap();
    copy_tree(template.yard.dir.path(), dir.path());
    let drives: Vec<PathBuf> = (1..=DRIVES).map(|n| dir.path().join(format!("d{n}"))).collect();
    for drive in harmed {
        template.rot((*drive, &drives[*drive]), place, rot);
    }
    let case = format!("{place:?} {rot:?} on {harmed:?}");
    let before = shard_files(&drives);
    let options = OpenOptions {
        drives: drives.clone(),
        ..OpenOptions::default()
    };
    let (mut unread, mut healed) = (0, false);
    match Embedded::open(options).await {
        Err(error) => {
            assert!(harmed.len() > PARITY, "{case}: {error}");
            unread = template.holds.len();
        }
        Ok(store) => {
            for (key, holds) in &template.holds {
                match read(&store, key).await {
                    Ok(Some(found)) => assert!(found == *holds, "{case}: {key} has other bytes"),
                    Ok(None) => panic!("{case}: {key} is said to be absent"),
                    Err(error) => {
                        assert!(harmed.len() > PARITY, "{case}: {key}: {error}");
                        unread += 1;
                    }
                }
            }
            let gone = read(&store, "gone").await;
            assert!(matches!(gone, Ok(None) | Err(_)), "{case}: a deleted key is back");
            if is_healed_here(rot, harmed) {
                healed = until_whole(&store, &case).await;
            }
            store.close().await;
        }
    }
    if harmed.len() > PARITY {
        let after = shard_files(&drives);
        assert!(
            after.is_superset(&before),
            "{case}: removed {:?}",
            before.difference(&after)
        );
    }
    (unread, healed)
}

/// All rots of one place; in how many cases beyond parity something could not be read, and in how many something was
/// healed.
async fn play_all(place: Place) -> (usize, usize) {
    let template = Template::new().await;
    let (mut cases, mut refused, mut healed) = (0, 0, 0);
    for rot in rots() {
        for harmed in [&[0][..], &[2], &[0, 1], &[1, 3], &[0, 1, 2]] {
            let (unread, whole_again) = play(&template, place, rot, harmed).await;
            cases += 1;
            refused += usize::from(unread > 0);
            healed += usize::from(whole_again);
        }
    }
    println!("{place:?}: {cases} cases, {refused} of them refused beyond parity, {healed} seen whole again");
    (refused, healed)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rotten_log_records_and_small_bodies_are_made_good_and_beyond_parity_refused() {
    let (refused, healed) = play_all(Place::Log).await;
    assert!(refused >= 8, "beyond parity only {refused} cases were refused");
    assert!(healed >= 6, "only {healed} cases were healed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rotten_extents_are_made_good_and_beyond_parity_refused() {
    let (refused, healed) = play_all(Place::Extent).await;
    assert_eq!(refused, rots().count());
    assert!(healed >= 6, "only {healed} cases were healed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rotten_checkpoints_are_made_good_and_beyond_parity_refused() {
    let (refused, healed) = play_all(Place::Checkpoint).await;
    // Stale, the older one is what it was, and serves.
    assert_eq!(refused, rots().count() - 1, "both checkpoints rot here");
    assert!(healed >= 2, "only {healed} cases were healed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rotten_roots_are_made_good_and_beyond_half_of_them_nothing_is_served() {
    let (refused, _) = play_all(Place::Root).await;
    assert!(refused >= 8, "beyond parity only {refused} cases were refused");
}
