//! Completed uploads through checkpoints and sweeps, and what races with their completion.

use super::*;
use crate::backend::{CommitError, Require};

const PARTS: u64 = 3;

fn key(name: impl Into<String>) -> Key {
    Key::new(name.into())
}

/// `upload/7` with part rows `upload/7/1` and so on.
fn part_key(upload: &str, number: u64) -> String {
    format!("{upload}/{number}")
}

async fn commit(store: &Embedded, require: Vec<Require>, ops: Vec<Op>) -> Result<(), CommitError> {
    store.commit(Batch { require, ops }).await.map(drop)
}

async fn put_part(store: &Embedded, upload: &str, number: u64, body: Vec<u8>) -> Result<(), CommitError> {
    let source: BodySource<'_> = stream::iter([Ok(bytes::Bytes::from(body))]).boxed();
    let blob = store.put_blob(BlobClass::Part, source, None).await.unwrap();
    let put = Put {
        key: key(part_key(upload, number)),
        value: "part".into(),
        body: NewBody::Blob(blob),
        parent_len: Some(upload.len()),
    };
    commit(store, vec![Require::Present(key(upload))], vec![Op::Put(put)]).await
}

fn part_bytes(seed: u64) -> Vec<u8> {
    bytes(seed, 150_000 + usize::try_from(seed).unwrap())
}

/// An open upload with `PARTS` parts.
async fn begin(store: &Embedded, upload: &str, seed: u64) {
    let put = Put {
        key: key(upload),
        value: "open".into(),
        body: NewBody::None,
        parent_len: None,
    };
    commit(store, vec![], vec![Op::Put(put)]).await.unwrap();
    for number in 0..PARTS {
        put_part(store, upload, number, part_bytes(seed + number))
            .await
            .unwrap();
    }
}

/// Joins the parts as they are now and puts the object; gives the bytes it must have.
async fn complete(store: &Embedded, upload: &str, object: &str) -> Result<Vec<u8>, CommitError> {
    let unavailable = |reason: String| CommitError::Unavailable(reason);
    let (mut bodies, mut whole) = (Vec::new(), Vec::new());
    for number in 0..PARTS {
        let row = store.get(&key(part_key(upload, number))).await.unwrap();
        let body = row
            .and_then(|row| row.body)
            .ok_or_else(|| unavailable("no part".into()))?;
        let stream = store.get_blob(&body, 0..body.len).await;
        let stream = stream.map_err(|e| unavailable(e.to_string()))?;
        let chunks: Vec<bytes::Bytes> = stream.try_collect().await.map_err(|e| unavailable(e.to_string()))?;
        whole.extend(chunks.concat());
        bodies.push(body);
    }
    tokio::task::yield_now().await;
    let joined = store.join_blobs(&bodies).await;
    let joined = joined.map_err(|e| unavailable(e.to_string()))?;
    let put = Put {
        key: key(object),
        value: "object".into(),
        body: NewBody::Blob(joined),
        parent_len: None,
    };
    let ops = vec![Op::Put(put), Op::Delete(key(upload))];
    commit(store, vec![Require::Present(key(upload))], ops).await?;
    Ok(whole)
}

/// Everything deletion and compaction can do, and what the checkpoints say of the counters.
async fn sweep_all(running: &Running) {
    let mut keeper = Housekeeper::new(&running.shared).unwrap();
    for _ in 0..3 {
        checkpoint(&mut keeper, running).await;
        let committer = running.committer.as_ref().unwrap();
        keeper.compact(&running.shared, committer, true).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_completed_object_lives_on_when_its_part_rows_are_gone_and_everything_was_swept() {
    let yard = Yard::of(4);
    let store = yard.open().await;
    begin(&store, "upload/1", 10).await;
    put_part(&store, "upload/1", 9, part_bytes(99)).await.unwrap();
    let whole = complete(&store, "upload/1", "object").await.unwrap();
    let page = store.scan(key("upload/")..key("upload0"), 10).await.unwrap();
    assert!(page.items.is_empty(), "part rows outlive their upload");
    let running = store.running().unwrap();
    sweep_all(&running).await;
    // The part that the object does not use is gone: the sweep was at work.
    yard.files_become(&running, SegmentKind::Extent, 3 * 4).await;
    assert!(read(&store, "object").await == whole);
    drop(running);
    let store = yard.reopen(store, true).await;
    assert!(read(&store, "object").await == whole);
    sweep_all(&store.running().unwrap()).await;
    let store = yard.reopen(store, true).await;
    assert!(read(&store, "object").await == whole);
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_sent_again_and_aborts_against_complete_free_no_live_byte() {
    let yard = Yard::of(4);
    let store = yard.open().await;
    let (mut standing, mut lost_races) = (Vec::new(), 0);
    for round in 0..24_u64 {
        let (upload, object) = (format!("upload/{round}"), format!("object/{round}"));
        begin(&store, &upload, round * 10).await;
        let completes = tokio::spawn({
            let (store, upload, object) = (Arc::clone(&store), upload.clone(), object.clone());
            async move { complete(&store, &upload, &object).await }
        });
        let other = tokio::spawn({
            let (store, upload) = (Arc::clone(&store), upload.clone());
            async move {
                if round % 2 == 0 {
                    return put_part(&store, &upload, 1, part_bytes(round * 10 + 7)).await;
                }
                tokio::time::sleep(Duration::from_millis(round % 8)).await;
                commit(
                    &store,
                    vec![Require::Present(key(&upload))],
                    vec![Op::Delete(key(upload))],
                )
                .await
            }
        });
        let (completed, other) = (completes.await.unwrap(), other.await.unwrap());
        lost_races += usize::from(completed.is_err()) + usize::from(other.is_err());
        match completed {
            Ok(whole) => standing.push((object, whole)),
            Err(error) => assert!(
                !matches!(error, CommitError::Unknown(_)) && store.get(&key(object)).await.unwrap().is_none(),
                "{error}"
            ),
        }
        if round % 6 == 5 {
            sweep_all(&store.running().unwrap()).await;
        }
    }
    assert!(
        !standing.is_empty() && lost_races > 0,
        "{} stand, {lost_races} races lost",
        standing.len()
    );
    let store = yard.reopen(store, true).await;
    sweep_all(&store.running().unwrap()).await;
    for (object, whole) in standing {
        assert!(read(&store, &object).await == whole, "{object}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_joined_part_keeps_its_files_until_its_batch_ended() {
    let yard = Yard::of(4);
    let store = yard.open().await;
    begin(&store, "upload/1", 10).await;
    let row = store.get(&key("upload/1/0")).await.unwrap().unwrap();
    let joined = store.join_blobs(&[row.body.unwrap()]).await.unwrap();
    commit(&store, vec![], vec![Op::Delete(key("upload/1"))]).await.unwrap();
    let running = store.running().unwrap();
    sweep_all(&running).await;
    yard.files_become(&running, SegmentKind::Extent, 4).await;
    drop(joined);
    sweep_all(&running).await;
    yard.files_become(&running, SegmentKind::Extent, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_moved_onto_their_own_row_while_others_replace_them_stay_live() {
    let yard = Yard::of(4);
    let store = yard.open().await;
    for (name, len) in [("small", 3000), ("large", 300_000)] {
        put(&store, name, bytes(1, len)).await;
        for round in 0..12_u64 {
            let mover = tokio::spawn({
                let (store, rev) = (Arc::clone(&store), store.get(&key(name)).await.unwrap().unwrap().rev);
                async move {
                    let put = Put {
                        key: key(name),
                        value: "moved".into(),
                        body: NewBody::Moved(key(name)),
                        parent_len: None,
                    };
                    commit(&store, vec![Require::RevIs(key(name), rev)], vec![Op::Put(put)]).await
                }
            });
            if round % 3 == 0 {
                put(&store, name, bytes(round, len)).await;
            }
            let _ = mover.await.unwrap();
            let last = round / 3 * 3;
            assert!(read(&store, name).await == bytes(last, len), "{name}, round {round}");
        }
    }
    sweep_all(&store.running().unwrap()).await;
    let store = yard.reopen(store, true).await;
    assert!(read(&store, "small").await == bytes(9, 3000));
    assert!(read(&store, "large").await == bytes(9, 300_000));
}
