//! What is written comes back: whole, by range, in packs, streamed, and after random losses.

use futures::stream;
use proptest::prelude::*;

use super::*;
use crate::embedded::frame::SHARD_HEADER_BYTES;

#[tokio::test]
async fn bodies_of_every_length_around_stripes_come_back() {
    for (data, parity) in [(1, 0), (1, 1), (2, 1), (4, 2), (12, 4)] {
        let wall = Wall::new(data, parity, 64);
        let stripe = 64 * usize::from(data);
        for len in [1, 63, 64, 65, stripe - 1, stripe, stripe + 1, 5 * stripe + 7] {
            let body = body_of(len);
            let (segment, piece) = wall.store(&body).await;
            assert_eq!(piece.len, len as u64);
            assert_eq!(
                wall.read(&segment, piece).await.unwrap(),
                body,
                "{data}+{parity}, {len} bytes"
            );
            let length = std::fs::metadata(wall.shard_path(&segment, 0)).unwrap().len();
            assert_eq!(length, SHARD_HEADER_BYTES + piece_file_bytes(wall.geometry, piece.len));
        }
        assert_eq!(wall.reported(), []);
    }
}

#[tokio::test]
async fn every_range_comes_back() {
    let wall = Wall::new(2, 1, 8);
    let body = body_of(50);
    let (segment, piece) = wall.store(&body).await;
    for start in 0..=body.len() {
        for end in start..=body.len() {
            let read = wall
                .read_range(&segment, piece, start as u64..end as u64)
                .await
                .unwrap();
            assert_eq!(read, &body[start..end], "{start}..{end}");
        }
    }
}

#[tokio::test]
async fn a_pack_holds_many_bodies_each_with_its_own_stripes() {
    let wall = Wall::new(2, 1, 64);
    let mut writer = wall.writer(SegmentKind::Pack).await.unwrap();
    let mut stored = Vec::new();
    for len in [10, 0, 128, 300, 1] {
        writer.begin_body().unwrap();
        writer.write(Bytes::from(body_of(len))).await.unwrap();
        stored.push((writer.end_body().await.unwrap(), body_of(len)));
    }
    let staged = writer.finish().await.unwrap();
    assert_eq!(
        staged.file_bytes(),
        std::fs::metadata(wall.shard_path(staged.segment(), 2)).unwrap().len()
    );
    let segment = Arc::new(staged.keep());
    for (piece, body) in stored {
        assert_eq!(piece.len, body.len() as u64);
        assert_eq!(wall.read(&segment, piece).await.unwrap(), body);
    }
}

#[tokio::test]
async fn a_stripe_reads_as_one_block() {
    let wall = Wall::new(3, 1, 100);
    let body = body_of(250);
    let (segment, piece) = wall.store(&body).await;
    let read = wall.reader.read_stripe(&segment, piece.offset, 250).await.unwrap();
    assert_eq!(read, body);
}

#[tokio::test]
async fn a_streamed_body_is_stored_whole_and_an_empty_one_takes_no_extent() {
    let wall = Wall::new(2, 1, 4096);
    let body = body_of(100_000);
    let chunks: Vec<Result<Bytes, crate::backend::SourceError>> =
        body.chunks(777).map(|c| Ok(Bytes::copy_from_slice(c))).collect();
    let source = Box::pin(stream::iter(chunks));
    let staged = put_body(source, &wall).await.unwrap();
    assert_eq!(
        (staged.len, staged.pieces.len(), staged.segments.len()),
        (100_000, 1, 1)
    );
    let segment = Arc::new(staged.segments.into_iter().next().unwrap().keep());
    assert_eq!(wall.read(&segment, staged.pieces[0]).await.unwrap(), body);

    let empty = put_body(Box::pin(stream::empty()), &wall).await.unwrap();
    assert_eq!((empty.len, empty.pieces.len(), empty.segments.len()), (0, 0, 0));
}

#[tokio::test]
async fn a_failing_source_leaves_nothing() {
    let wall = Wall::new(2, 1, 64);
    let source = Box::pin(stream::iter([
        Ok(Bytes::from(body_of(1000))),
        Err("client went away".into()),
    ]));
    let failed = put_body(source, &wall).await.unwrap_err();
    assert!(matches!(failed, PutBodyError::Source(e) if e.to_string() == "client went away"));
    assert_eq!(wall.files_left().await, 0);
}

#[tokio::test]
async fn reads_and_writes_outside_a_body_are_refused() {
    let wall = Wall::new(1, 0, 64);
    let mut writer = wall.writer(SegmentKind::Extent).await.unwrap();
    assert!(writer.write(Bytes::from_static(b"x")).await.is_err());
    assert!(writer.end_body().await.is_err());
    writer.begin_body().unwrap();
    assert!(writer.begin_body().is_err());
    assert!(writer.finish().await.is_err());
    assert_eq!(wall.files_left().await, 0);
}

/// What one shard file suffers.
#[derive(Clone, Debug)]
enum Loss {
    Removed,
    Cut(f64),
    Zeroed(f64),
    Flipped(f64),
}

fn losses() -> impl Strategy<Value = Loss> {
    prop_oneof![
        Just(Loss::Removed),
        (0.0f64..1.0).prop_map(Loss::Cut),
        (0.0f64..1.0).prop_map(Loss::Zeroed),
        (0.0f64..1.0).prop_map(Loss::Flipped),
    ]
}

fn suffer(path: &Path, loss: &Loss) {
    let mut bytes = std::fs::read(path).unwrap();
    let at = |share: f64| ((bytes.len() as f64 * share) as usize).min(bytes.len() - 1);
    match loss {
        Loss::Removed => return std::fs::remove_file(path).unwrap(),
        Loss::Cut(share) => bytes.truncate(at(*share)),
        Loss::Zeroed(share) => {
            let from = at(*share);
            bytes[from..].fill(0);
        }
        Loss::Flipped(share) => {
            let at = at(*share);
            bytes[at] ^= 0x10;
        }
    }
    std::fs::write(path, bytes).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn up_to_m_shard_files_may_suffer_anything(
        data in 1u8..=6,
        parity in 0u8..=3,
        len in 1usize..20_000,
        from in 0.0f64..1.0,
        to in 0.0f64..1.0,
        first in any::<usize>(),
        suffered in proptest::collection::vec(losses(), 3),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let wall = Wall::new(data, parity, 512);
            let body = body_of(len);
            let (segment, piece) = wall.store(&body).await;
            for (i, loss) in suffered.iter().take(usize::from(parity)).enumerate() {
                let shard = u8::try_from((first % 64 + i) % wall.geometry.shards()).unwrap();
                suffer(&wall.shard_path(&segment, shard), loss);
            }
            prop_assert_eq!(wall.read(&segment, piece).await.unwrap(), body.clone());
            let (a, b) = ((len as f64 * from) as usize, (len as f64 * to) as usize);
            let (start, end) = (a.min(b), a.max(b));
            let part = wall.read_range(&segment, piece, start as u64..end as u64).await.unwrap();
            prop_assert_eq!(part, body[start..end].to_vec());
            Ok(())
        })?;
    }
}
