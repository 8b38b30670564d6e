//! What was written while a drive was away has all its shards once the drive is back; with a bug planted it has not.

use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};

use crate::backend::{Backend, Batch, BlobClass, BodySource, Key, NewBody, Op, Put, ServiceState};
use crate::embedded::heal::HealOptions;
use crate::embedded::{ByHand, Embedded, OpenOptions};
use crate::planted::{self, Bug};

/// How long the store has to widen what could be wider.
const WITHIN: Duration = Duration::from_secs(20);

async fn open(dir: &Path) -> std::sync::Arc<Embedded> {
    let options = OpenOptions {
        drives: (1..=4).map(|n| dir.join(format!("d{n}"))).collect(),
        heal: HealOptions {
            duty_percent: 100,
            bytes_per_second: 1 << 40,
            ..HealOptions::default()
        },
        ..OpenOptions::default()
    };
    for _ in 0..200 {
        if let Ok(store) = Embedded::open(options.clone()).await
            && !matches!(store.health().state, ServiceState::NotReady(_))
        {
            return store;
        }
        // The threads of the run before let go of the drives a moment later.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the store does not open");
}

fn bytes_of(n: u8) -> Bytes {
    let len = if n.is_multiple_of(2) { 5_000 } else { 300_000 };
    Bytes::from(vec![n; len + usize::from(n)])
}

async fn put(store: &Embedded, n: u8) {
    let source: BodySource<'_> = stream::iter([Ok(bytes_of(n))]).boxed();
    let blob = store.put_blob(BlobClass::Object, source, None).await.unwrap();
    let put = Put {
        key: Key::new(vec![n]),
        value: "v".into(),
        body: NewBody::Blob(blob),
        parent_len: None,
    };
    let ops = vec![Op::Put(put)];
    store.commit(Batch { require: vec![], ops }).await.unwrap();
}

async fn reads(store: &Embedded, n: u8) -> bool {
    let Ok(Some(row)) = store.get(&Key::new(vec![n])).await else {
        return false;
    };
    let Some(body) = row.body else { return false };
    let Ok(stream) = store.get_blob(&body, 0..body.len).await else {
        return false;
    };
    let chunks: Vec<Bytes> = stream.try_collect().await.unwrap_or_default();
    chunks.concat() == bytes_of(n)
}

async fn end(store: std::sync::Arc<Embedded>) {
    store.close().await;
    drop(store);
}

/// Says what is wrong; `Ok` if all was widened and can be read with any two drives away.
async fn is_widened() -> Result<(), String> {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    end(open(dir.path()).await).await;
    std::fs::rename(at("d4"), at("away")).unwrap();
    let store = open(dir.path()).await;
    for n in 1..=6 {
        put(&store, n).await;
    }
    end(store).await;
    std::fs::rename(at("away"), at("d4")).unwrap();
    let store = open(dir.path()).await;
    let began = Instant::now();
    // Not what a segment says of itself counts, but how many shards it has.
    let narrow = || {
        let widths = ByHand::widths(&store).unwrap();
        widths.into_iter().filter(|shards| *shards < 4).count()
    };
    while narrow() > 0 {
        if began.elapsed() > WITHIN {
            return Err(format!("{} segments are as narrow as they were written", narrow()));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    end(store).await;
    for (a, b) in [("d1", "d2"), ("d3", "d4"), ("d1", "d4")] {
        for name in [a, b] {
            std::fs::rename(at(name), at(&format!("{name}.away"))).unwrap();
        }
        let store = open(dir.path()).await;
        for n in 1..=6 {
            if !reads(&store, n).await {
                return Err(format!("{n} is not read without {a} and {b}"));
            }
        }
        end(store).await;
        for name in [a, b] {
            std::fs::rename(at(&format!("{name}.away")), at(name)).unwrap();
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_while_a_drive_was_away_has_all_its_shards_once_it_is_back() {
    if planted::selected().is_none() {
        assert_eq!(is_widened().await, Ok(()));
    }
}

/// Runs in a process of its own: what is planted is planted for all of it.
#[tokio::test(flavor = "multi_thread")]
async fn child_widens_with_a_planted_bug() {
    let Some(bug) = planted::selected() else { return };
    match is_widened().await {
        Ok(()) => println!("{bug:?} survived"),
        Err(why) => println!("{bug:?} caught: {why}"),
    }
}

#[test]
fn every_planted_bug_of_widening_is_caught() {
    let child = "store::tests::machine::widening::child_widens_with_a_planted_bug";
    super::every_bug_is_caught(&Bug::OF_WIDENING, child);
}
