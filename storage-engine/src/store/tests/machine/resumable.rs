//! Resumable uploads and power cuts: a byte that was acknowledged is there, one that was not is there in its place or not
//! at all, and the object has exactly the bytes.

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};

use super::ground::Ground;
use crate::backend::{BodySource, SourceError};
use crate::store::clock::Timestamp;
use crate::store::condition::ReadConditions;
use crate::store::name::{ObjectKey, UploadId};
use crate::store::object::get::{GetObject, Selection};
use crate::store::record::resumable::{Purpose, Resumable};
use crate::store::resumable::append::{Append, DigestRequest};
use crate::store::resumable::begin::BeginResumable;
use crate::store::tests::agreement::agreed;
use crate::store::tests::pattern;
use crate::store::tests::resumable::target;

const DAY_MS: u64 = 24 * 60 * 60 * 1_000;
/// Bytes that a client sends at a time: what rides in the log, what becomes a part of its own, what is cut off.
const PIECES: [usize; 7] = [17, 300_000, 40_000, 3, 200_000, 90_000, 131_073];

async fn begin(ground: &Ground, purpose: Purpose, length: u64) -> UploadId {
    let begin = BeginResumable {
        bucket: ground.bucket.clone(),
        purpose,
        owner: None,
        length: Some(length),
        size_max: None,
        life_ms: DAY_MS,
        said: String::new(),
    };
    ground.store().begin_resumable(begin).await.unwrap().0
}

fn append_of(ground: &Ground, upload: UploadId, offset: usize, body: BodySource<'static>) -> Append {
    Append {
        bucket: ground.bucket.clone(),
        upload,
        offset: offset as u64,
        body,
        len: None,
        digest: DigestRequest::None,
        last: false,
    }
}

async fn at_rest(ground: &Ground, upload: UploadId) -> Resumable {
    ground.store().resumable_at_rest(&ground.bucket, &upload).await.unwrap()
}

async fn read(ground: &Ground, name: &str) -> Bytes {
    let get = GetObject {
        bucket: ground.bucket.clone(),
        key: ObjectKey::parse(name).unwrap(),
        version: None,
        selection: Selection::Whole,
        conditions: ReadConditions::default(),
    };
    let found = ground.store().get_object(&get).await.unwrap();
    let chunks: Vec<Bytes> = found.body.try_collect().await.unwrap();
    chunks.concat().into()
}

/// Sends the whole, with a power cut before every third piece, and now and then one in the midst of a piece.
async fn send(ground: &mut Ground, upload: UploadId, bytes: &Bytes, seed: usize) {
    let mut stored = 0;
    for (turn, piece) in PIECES.iter().cycle().skip(seed).enumerate() {
        if stored == bytes.len() {
            return;
        }
        let piece = bytes.slice(stored..bytes.len().min(stored + piece));
        let chunks: Vec<Bytes> = piece.chunks(7_000).map(Bytes::copy_from_slice).collect();
        let chunks = futures::stream::iter(chunks.into_iter().map(Ok));
        if (turn + seed) % 4 == 1 {
            // Nobody waits for the answer, and the client is lost.
            let slow = chunks.then(|chunk| async {
                tokio::task::yield_now().await;
                chunk
            });
            let lost = slow
                .take(1 + seed % 20)
                .chain(futures::stream::iter([Err(SourceError::from("lost"))]));
            let (store, append) = (
                ground.store().clone(),
                append_of(ground, upload, stored, Box::pin(lost)),
            );
            let sending = tokio::spawn(async move { store.append(append).await.map(drop) });
            for _ in 0..seed % 9 {
                tokio::task::yield_now().await;
            }
            sending.abort();
            drop(sending.await);
            ground.dirty_reboot().await.unwrap();
            let found = at_rest(ground, upload).await.offset as usize;
            assert!(
                (stored..=stored + piece.len()).contains(&found),
                "{found} after {stored}"
            );
            stored = found;
            continue;
        }
        let appended = ground
            .store()
            .append(append_of(ground, upload, stored, Box::pin(chunks)))
            .await
            .unwrap();
        stored += piece.len();
        assert_eq!(appended.upload.offset, stored as u64);
        if (turn + seed).is_multiple_of(3) {
            ground.dirty_reboot().await.unwrap();
            assert_eq!(at_rest(ground, upload).await.offset, stored as u64);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_bytes_of_an_upload_survive_every_cut_of_the_power() {
    for seed in 0..4 {
        let mut ground = Ground::new().await.unwrap();
        if seed % 2 == 1 {
            let files = ground
                .store()
                .change_settings(&ground.bucket, |settings| settings.files = true);
            files.await.unwrap();
        }
        let bytes = pattern(900_000 + seed);
        let upload = begin(&ground, Purpose::Object(target("k")), bytes.len() as u64).await;
        send(&mut ground, upload, &bytes, seed).await;
        ground.dirty_reboot().await.unwrap();
        let done = at_rest(&ground, upload).await.done.expect("the last byte finished it");
        assert!(done.modified > Timestamp::from_millis(0));
        assert!(read(&ground, "k").await == bytes, "seed {seed}");
        if seed % 2 == 1 {
            let files = agreed(ground.store().backend().as_ref(), &ground.bucket).await.unwrap();
            assert_eq!(files.len(), 1, "the catalogue follows what becomes of an upload");
        }
        ground.checkpoint().await.unwrap();
        ground.compact().await.unwrap();
        ground.dirty_reboot().await.unwrap();
        assert!(read(&ground, "k").await == bytes, "seed {seed}, compacted");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_made_of_several_uploads_outlives_them_on_drives() {
    let mut ground = Ground::new().await.unwrap();
    let bytes = pattern(1_100_000);
    let mut pieces = Vec::new();
    for (seed, piece) in bytes.chunks(500_000).enumerate() {
        let upload = begin(&ground, Purpose::Partial { of: None }, piece.len() as u64).await;
        send(&mut ground, upload, &Bytes::copy_from_slice(piece), seed + 2).await;
        pieces.push(upload);
    }
    let purpose = Purpose::Final {
        target: target("k"),
        partials: pieces,
    };
    let begin = BeginResumable {
        bucket: ground.bucket.clone(),
        purpose,
        owner: None,
        length: None,
        size_max: None,
        life_ms: DAY_MS,
        said: String::new(),
    };
    let (upload, _) = ground.store().begin_resumable(begin).await.unwrap();
    ground.dirty_reboot().await.unwrap();
    ground.store().finish_resumable(&ground.bucket, &upload).await.unwrap();
    ground.store().sweep_expired_resumables().await.unwrap();
    ground.dirty_reboot().await.unwrap();
    ground.checkpoint().await.unwrap();
    ground.compact().await.unwrap();
    ground.dirty_reboot().await.unwrap();
    assert!(read(&ground, "k").await == bytes);
}
