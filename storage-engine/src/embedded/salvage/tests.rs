//! Stores that lose more than they bear, or what they start from: all that can be read comes out byte for byte, all else
//! is named as lost, and nothing on a drive changes.

use std::collections::BTreeMap;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use futures::{StreamExt, stream};

use super::*;
use crate::backend::{Backend, Batch, BlobClass, BodySource, NewBody, Op, Put, Require};
use crate::embedded::{ByHand, Embedded, OpenOptions};

struct Yard {
    dir: tempfile::TempDir,
    drives: usize,
}

impl Yard {
    fn of(drives: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { dir, drives }
    }

    fn drive(&self, n: usize) -> PathBuf {
        self.dir.path().join(format!("d{n}"))
    }

    fn drives(&self) -> Vec<PathBuf> {
        (1..=self.drives).map(|n| self.drive(n)).collect()
    }

    async fn open(&self) -> Arc<Embedded> {
        let options = OpenOptions {
            drives: self.drives(),
            ..OpenOptions::default()
        };
        Embedded::open(options).await.unwrap()
    }

    fn files(&self, folder: &str) -> Vec<PathBuf> {
        let below = |drive: PathBuf| files_below(&drive.join(".drystone").join(folder));
        self.drives()
            .into_iter()
            .filter(|drive| drive.exists())
            .flat_map(below)
            .collect()
    }
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let (mut found, mut open) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                open.push(entry)
            } else {
                found.push(entry)
            }
        }
    }
    found.sort();
    found
}

/// All that stands on the drives, and when it was written last.
fn photograph(yard: &Yard) -> Vec<(PathBuf, SystemTime, Vec<u8>)> {
    let files = files_below(yard.dir.path()).into_iter();
    files
        .map(|path| {
            let modified = std::fs::metadata(&path).unwrap().modified().unwrap();
            let bytes = std::fs::read(&path).unwrap();
            (path, modified, bytes)
        })
        .collect()
}

fn bytes(seed: u64, len: usize) -> Vec<u8> {
    (0..len as u64)
        .map(|n| u8::try_from((n * 31 + seed * 7 + n / 251) % 251).unwrap())
        .collect()
}

async fn commit(store: &Embedded, ops: Vec<Op>) {
    store.commit(Batch { require: vec![], ops }).await.unwrap();
}

async fn put_under(store: &Embedded, key: &str, body: Vec<u8>, class: BlobClass, parent_len: Option<usize>) {
    let source: BodySource<'_> = stream::iter([Ok(Bytes::from(body))]).boxed();
    let blob = store.put_blob(class, source, None).await.unwrap();
    let put = Put {
        key: Key::new(key.to_owned()),
        value: key.to_owned().into(),
        body: NewBody::Blob(blob),
        parent_len,
    };
    commit(store, vec![Op::Put(put)]).await;
}

type Bodies = BTreeMap<String, Vec<u8>>;

async fn put(store: &Embedded, bodies: &mut Bodies, key: &str, body: Vec<u8>) {
    put_under(store, key, body.clone(), BlobClass::Object, None).await;
    bodies.insert(key.to_owned(), body);
}

async fn delete(store: &Embedded, bodies: &mut Bodies, key: &str) {
    commit(store, vec![Op::Delete(Key::new(key.to_owned()))]).await;
    bodies.remove(key);
}

/// An upload of two large parts, completed.
async fn upload(store: &Embedded, bodies: &mut Bodies, key: &str) {
    let open = Put {
        key: Key::new("u".to_owned()),
        value: "open".into(),
        body: NewBody::None,
        parent_len: None,
    };
    commit(store, vec![Op::Put(open)]).await;
    let (mut parts, mut whole) = (Vec::new(), Vec::new());
    for number in 0..2_u64 {
        let (part, body) = (
            format!("u/{number}"),
            bytes(90 + number, 400_000 + usize::try_from(number).unwrap()),
        );
        put_under(store, &part, body.clone(), BlobClass::Part, Some(1)).await;
        whole.extend(body);
        parts.push(store.get(&Key::new(part)).await.unwrap().unwrap().body.unwrap());
    }
    let joined = store.join_blobs(&parts).await.unwrap();
    let put = Put {
        key: Key::new(key.to_owned()),
        value: key.to_owned().into(),
        body: NewBody::Blob(joined),
        parent_len: None,
    };
    let batch = Batch {
        require: vec![Require::Present(Key::new("u".to_owned()))],
        ops: vec![Op::Delete(Key::new("u".to_owned())), Op::Put(put)],
    };
    store.commit(batch).await.unwrap();
    bodies.insert(key.to_owned(), whole);
}

/// Bodies of every kind: small ones in the log and in a pack, large ones, one of parts; some before the last checkpoint,
/// some behind it; replaced and deleted ones.
async fn fill(yard: &Yard) -> Bodies {
    let mut bodies = Bodies::new();
    let store = yard.open().await;
    for n in 0..12 {
        put(
            &store,
            &mut bodies,
            &format!("old/small/{n}"),
            bytes(n, 3_000 + n as usize),
        )
        .await;
    }
    put(&store, &mut bodies, "old/large", bytes(50, 900_000)).await;
    put(&store, &mut bodies, "old/gone", bytes(51, 700_000)).await;
    upload(&store, &mut bodies, "old/of-parts").await;
    for n in 2..12 {
        delete(&store, &mut bodies, &format!("old/small/{n}")).await;
    }
    delete(&store, &mut bodies, "old/gone").await;
    store.close().await;
    drop(store);
    let store = yard.open().await;
    let mut keeper = ByHand::of(&store).unwrap();
    keeper.compact(&store).await.unwrap();
    keeper.checkpoint(&store).await.unwrap();
    put(&store, &mut bodies, "new/small", bytes(60, 5_000)).await;
    keeper.checkpoint(&store).await.unwrap();
    put(&store, &mut bodies, "new/large", bytes(61, 1_200_000)).await;
    put(&store, &mut bodies, "new/replaced", bytes(62, 300_000)).await;
    put(&store, &mut bodies, "new/replaced", bytes(63, 4_000)).await;
    put(&store, &mut bodies, "new/gone", bytes(64, 4_000)).await;
    delete(&store, &mut bodies, "new/gone").await;
    drop(keeper);
    store.close().await;
    bodies
}

#[derive(Default)]
struct Kept(Vec<u8>);

impl Sink for Kept {
    fn take(&mut self, bytes: &Bytes) -> std::io::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}

struct Had {
    account: Account,
    whole: Bodies,
    lost: BTreeMap<String, Vec<LostPiece>>,
    uncertain: Vec<String>,
}

/// Salvages, and sees that the drives are as before.
async fn salvage(yard: &Yard) -> Had {
    let before = photograph(yard);
    let drives: Vec<PathBuf> = yard.drives().into_iter().filter(|drive| drive.exists()).collect();
    let mut salvage = Salvage::open(&drives).unwrap();
    let (account, mut rows) = salvage.rows().await.unwrap();
    let (mut whole, mut lost, mut uncertain) = (Bodies::new(), BTreeMap::new(), Vec::new());
    while let Some(row) = rows.next().await {
        let key = String::from_utf8(row.key.as_bytes().to_vec()).unwrap();
        assert_eq!(row.value, key.as_bytes(), "the row is another key's");
        let mut kept = Kept::default();
        let missing = salvage.read(row.body.as_ref().unwrap(), &mut kept).await.unwrap();
        if missing.is_empty() {
            assert!(whole.insert(key.clone(), kept.0).is_none(), "{key} twice");
        } else {
            lost.insert(key.clone(), missing);
        }
        uncertain.extend((!row.is_certain).then_some(key));
    }
    drop((rows, salvage));
    assert!(photograph(yard) == before, "something on a drive changed");
    Had {
        account,
        whole,
        lost,
        uncertain,
    }
}

fn names<'a>(keys: impl Iterator<Item = &'a String>) -> Vec<&'a str> {
    keys.map(String::as_str).collect()
}

fn wreck(file: &Path, from: u64) {
    let len = std::fs::metadata(file).unwrap().len();
    let open = std::fs::File::options().write(true).open(file).unwrap();
    let zeros = vec![0; usize::try_from(len.saturating_sub(from)).unwrap()];
    open.write_all_at(&zeros, from).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn all_of_a_store_that_is_well_comes_out_and_nothing_is_left_to_say() {
    let yard = Yard::of(4);
    let bodies = fill(&yard).await;
    let had = salvage(&yard).await;
    assert!(had.account.is_complete(), "{:?}", had.account);
    assert_eq!(names(had.whole.keys()), names(bodies.keys()));
    assert!(had.whole == bodies && had.lost.is_empty() && had.uncertain.is_empty());
    // As many drives away as the parity bears: the same.
    std::fs::rename(yard.drive(1), yard.dir.path().join("away1")).unwrap();
    std::fs::rename(yard.drive(3), yard.dir.path().join("away3")).unwrap();
    let had = salvage(&yard).await;
    assert!(had.account.is_complete() && had.whole == bodies, "{:?}", had.account);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_every_root_lost_all_comes_out_by_what_log_and_checkpoints_say() {
    let yard = Yard::of(4);
    let bodies = fill(&yard).await;
    for drive in yard.drives() {
        std::fs::remove_file(drive.join(".drystone/root.0")).unwrap();
        wreck(&drive.join(".drystone/root.1"), 0);
    }
    let had = salvage(&yard).await;
    assert_eq!(had.account.rows_from, RowsFrom::Checkpoint);
    assert!(!had.account.is_complete(), "without a root nobody can be sure");
    assert_eq!(names(had.whole.keys()), names(bodies.keys()));
    assert!(had.whole == bodies && had.lost.is_empty());
    for file in yard.files("checkpoint") {
        wreck(&file, 0);
    }
    // Names of the second half stand in the log that is left; what was deleted there stays deleted.
    let had = salvage(&yard).await;
    assert_eq!(had.account.rows_from, RowsFrom::LogOnly);
    for key in bodies.keys().filter(|key| key.starts_with("new/")) {
        assert!(had.whole.get(key) == bodies.get(key), "{key}");
    }
    assert!(!had.whole.contains_key("new/gone"));
    assert_eq!(had.uncertain.len(), had.whole.len() + had.lost.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_checkpoint_stands_in_for_a_newer_one_that_is_damaged() {
    let yard = Yard::of(4);
    let bodies = fill(&yard).await;
    let mut files = yard.files("checkpoint");
    files.sort_by_key(|file| std::fs::metadata(file).unwrap().modified().unwrap());
    for newest in files.iter().rev().take(4) {
        wreck(newest, 4096);
    }
    let had = salvage(&yard).await;
    assert!(had.account.is_complete(), "{:?}", had.account);
    assert!(had.whole == bodies && had.lost.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn beyond_the_parity_what_cannot_be_read_is_named_as_lost_with_what_is_missing() {
    let yard = Yard::of(4);
    let bodies = fill(&yard).await;
    // One large body loses its shards on three of four drives from some place on; the others are well.
    let longest = |drive: usize| {
        let files = files_below(&yard.drive(drive).join(".drystone/extent")).into_iter();
        files.max_by_key(|file| std::fs::metadata(file).unwrap().len()).unwrap()
    };
    for drive in 2..=4 {
        wreck(&longest(drive), 300_000);
    }
    let had = salvage(&yard).await;
    assert_eq!(names(had.lost.keys()), ["new/large"]);
    let missing = &had.lost["new/large"];
    let file = longest(1);
    assert!(
        missing.len() == 1 && file.to_str().unwrap().contains(&missing[0].segment),
        "{missing:?}"
    );
    let rest = bodies.iter().filter(|(key, _)| *key != "new/large");
    assert!(rest.eq(had.whole.iter()));
    // With three of the drives gone nothing can be read; the log still has the names that it told.
    for drive in 2..=4 {
        std::fs::rename(yard.drive(drive), yard.dir.path().join(format!("away{drive}"))).unwrap();
    }
    let had = salvage(&yard).await;
    assert!(
        had.whole.is_empty() && !had.account.is_complete(),
        "{:?}",
        names(had.whole.keys())
    );
    for key in bodies.keys().filter(|key| key.starts_with("new/")) {
        assert!(
            had.lost.contains_key(key) || !had.account.undecided.is_empty(),
            "{key} is not named"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_checkpoint_that_breaks_off_its_beginning_counts_and_the_log_tells_more() {
    let yard = Yard::of(4);
    let store = yard.open().await;
    let mut bodies = Bodies::new();
    put(&store, &mut bodies, "first", bytes(1, 2_000)).await;
    // Rows enough for several stripes of a checkpoint.
    for round in 0..8 {
        let op = |n: u32| {
            Op::Put(Put {
                key: Key::new(format!("row/{round}/{n:04}")),
                value: vec![7; 1_000].into(),
                body: NewBody::None,
                parent_len: None,
            })
        };
        commit(&store, (0..100).map(op).collect()).await;
    }
    put(&store, &mut bodies, "seen-in-the-old-log", bytes(2, 2_000)).await;
    put(&store, &mut bodies, "replaced", bytes(3, 2_000)).await;
    let mut keeper = ByHand::of(&store).unwrap();
    keeper.checkpoint(&store).await.unwrap();
    keeper.checkpoint(&store).await.unwrap();
    put(&store, &mut bodies, "replaced", bytes(4, 2_000)).await;
    drop(keeper);
    store.close().await;
    drop(store);
    for file in yard.files("checkpoint") {
        if std::fs::metadata(&file).unwrap().len() > 200_000 {
            wreck(&file, 140_000);
        }
    }
    let before = photograph(&yard);
    let mut salvage = Salvage::open(&yard.drives()).unwrap();
    let (account, mut rows) = salvage.rows().await.unwrap();
    let RowsFrom::PartOfCheckpoint { rows_read, rows_named } = account.rows_from else {
        panic!("{account:?}");
    };
    assert!(
        rows_read > 100 && rows_read < rows_named && !account.is_complete(),
        "{account:?}"
    );
    let mut found = BTreeMap::new();
    while let Some(row) = rows.next().await {
        let key = String::from_utf8(row.key.as_bytes().to_vec()).unwrap();
        if let Some(body) = &row.body {
            let mut kept = Kept::default();
            assert_eq!(salvage.read(body, &mut kept).await.unwrap(), []);
            assert!(kept.0 == bodies[&key], "{key}");
        }
        assert!(found.insert(key.clone(), row.is_certain).is_none(), "{key} twice");
    }
    assert_eq!((found["first"], found["replaced"]), (true, true));
    assert!(!found["seen-in-the-old-log"], "it may have been deleted since");
    assert_eq!(found.len(), 3 + 800, "the log is all there");
    assert!(photograph(&yard) == before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_that_cannot_be_read_a_second_time_is_told() {
    let yard = Yard::of(4);
    let bodies = fill(&yard).await;
    let mut salvage = Salvage::open(&yard.drives()).unwrap();
    let (account, mut rows) = salvage.rows().await.unwrap();
    assert!(account.is_complete(), "{account:?}");
    for file in yard.files("checkpoint") {
        wreck(&file, 0);
    }
    let mut found = 0;
    while rows.next().await.is_some() {
        found += 1;
    }
    assert!(found < bodies.len(), "what only the checkpoint tells is missing");
    assert!(rows.broke_off().is_some(), "and nobody would know");
}

#[tokio::test(flavor = "multi_thread")]
async fn drives_of_two_stores_and_paths_without_any_are_refused() {
    let (one, other) = (Yard::of(3), Yard::of(3));
    for yard in [&one, &other] {
        yard.open().await.close().await;
    }
    let mixed = [one.drive(1), other.drive(1)];
    assert!(matches!(Salvage::open(&mixed), Err(SalvageError::TwoStores(_))));
    for yard in [&one, &other] {
        for slot in ["root.0", "root.1"] {
            let _ = std::fs::remove_file(yard.drive(1).join(".drystone").join(slot));
        }
    }
    let mut rootless = Salvage::open(&mixed).unwrap();
    assert!(matches!(rootless.rows().await, Err(SalvageError::TwoStores(_))));
    let nowhere = [one.dir.path().to_owned()];
    assert!(matches!(Salvage::open(&nowhere), Err(SalvageError::NoDrives)));
}
