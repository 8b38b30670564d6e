//! Shard files that are missing, cut, zeroed, flipped, swapped or from elsewhere.

use super::*;
use crate::embedded::frame::{FrameError, SHARD_HEADER_BYTES};

/// Replaces a shard file's contents. A new file, so that no open handle or cached page shows the old ones.
fn rewrite(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = std::fs::read(path).unwrap();
    change(&mut bytes);
    std::fs::write(path, bytes).unwrap();
}

#[tokio::test]
async fn m_missing_shards_give_the_bytes_and_are_reported() {
    let wall = Wall::new(4, 2, 64);
    let body = body_of(1000);
    let (segment, piece) = wall.store(&body).await;
    for shard in [1, 3] {
        let on = wall.drives.get(&segment.drives[shard]).unwrap();
        on.remove_shard(SegmentKind::Extent, segment.id, u8::try_from(shard).unwrap())
            .unwrap();
    }
    assert_eq!(wall.read(&segment, piece).await.unwrap(), body);
    let reported = wall.reported();
    assert!(
        reported
            .iter()
            .all(|d| d.why == Why::Missing && d.segment == segment.id)
    );
    let mut shards: Vec<u8> = reported.iter().map(|d| d.shard).collect();
    shards.sort_unstable();
    shards.dedup();
    assert_eq!(shards, [1, 3]);
}

#[tokio::test]
async fn one_more_than_m_damaged_is_corrupt_and_one_more_out_of_reach_is_unavailable() {
    let wall = Wall::new(2, 1, 64);
    let (segment, piece) = wall.store(&body_of(100)).await;
    for shard in [0, 2] {
        rewrite(&wall.shard_path(&segment, shard), |bytes| {
            bytes.truncate(SHARD_HEADER_BYTES as usize + 10)
        });
    }
    let corrupt = wall.read(&segment, piece).await.unwrap_err();
    assert!(matches!(corrupt, SegmentReadError::Corrupt(_)), "{corrupt}");

    let wall = Wall::new(2, 1, 64);
    let (segment, piece) = wall.store(&body_of(100)).await;
    rewrite(&wall.shard_path(&segment, 0), |bytes| {
        bytes.truncate(SHARD_HEADER_BYTES as usize + 10)
    });
    wall.drives.remove(&segment.drives[1]).unwrap();
    let unavailable = wall.read(&segment, piece).await.unwrap_err();
    assert!(matches!(unavailable, SegmentReadError::Unavailable(_)), "{unavailable}");
}

#[tokio::test]
async fn drives_that_are_away_are_no_damage() {
    let wall = Wall::new(2, 2, 64);
    let body = body_of(500);
    let (segment, piece) = wall.store(&body).await;
    wall.drives.remove(&segment.drives[0]).unwrap();
    wall.drives.remove(&segment.drives[3]).unwrap();
    assert_eq!(wall.read(&segment, piece).await.unwrap(), body);
    assert_eq!(wall.reported(), []);
}

#[tokio::test]
async fn a_zeroed_shard_file_is_made_good() {
    let wall = Wall::new(2, 1, 64);
    let body = body_of(1000);
    let (segment, piece) = wall.store(&body).await;
    rewrite(&wall.shard_path(&segment, 1), |bytes| bytes.fill(0));
    assert_eq!(wall.read(&segment, piece).await.unwrap(), body);
    assert!(
        wall.reported()
            .iter()
            .all(|d| d.why == Why::Frame(FrameError::NoMagic) && d.shard == 1)
    );
}

#[tokio::test]
async fn two_shard_files_swapped_are_detected() {
    let wall = Wall::new(2, 1, 64);
    let (segment, piece) = wall.store(&body_of(100)).await;
    let (zero, one) = (wall.shard_path(&segment, 0), wall.shard_path(&segment, 1));
    let (a, b) = (std::fs::read(&zero).unwrap(), std::fs::read(&one).unwrap());
    std::fs::write(&zero, b).unwrap();
    std::fs::write(&one, a).unwrap();
    let refused = wall.read(&segment, piece).await.unwrap_err();
    assert!(matches!(refused, SegmentReadError::Corrupt(_)), "{refused}");
    assert!(
        wall.reported()
            .iter()
            .any(|d| d.why == Why::Frame(FrameError::WrongPlace))
    );
}

#[tokio::test]
async fn a_stripe_of_another_segment_or_another_place_is_detected() {
    let wall = Wall::new(1, 1, 64);
    let body = body_of(128);
    let (segment, piece) = wall.store(&body).await;
    let (other, _) = wall.store(&[0; 128]).await;
    let foreign = std::fs::read(wall.shard_path(&other, 0)).unwrap();
    rewrite(&wall.shard_path(&segment, 0), |bytes| *bytes = foreign);
    assert_eq!(wall.read(&segment, piece).await.unwrap(), body);
    assert!(
        wall.reported()
            .iter()
            .all(|d| d.why == Why::Frame(FrameError::WrongPlace))
    );

    let (segment, piece) = wall.store(&body).await;
    rewrite(&wall.shard_path(&segment, 0), |bytes| {
        let first = SHARD_HEADER_BYTES as usize;
        bytes.copy_within(first..first + 112, first + 112);
    });
    assert_eq!(wall.read(&segment, piece).await.unwrap(), body);
    assert_eq!(wall.reported().len(), 1);
}

#[tokio::test]
async fn every_flipped_byte_of_a_shard_is_made_good() {
    let wall = Wall::new(2, 1, 32);
    let body = body_of(60);
    let (segment, piece) = wall.store(&body).await;
    let path = wall.shard_path(&segment, 1);
    let good = std::fs::read(&path).unwrap();
    for at in SHARD_HEADER_BYTES as usize..good.len() {
        rewrite(&path, |bytes| {
            bytes.clone_from(&good);
            bytes[at] ^= 1;
        });
        assert_eq!(wall.read(&segment, piece).await.unwrap(), body, "byte {at}");
        assert_eq!(wall.reported().len(), 1, "byte {at}");
    }
}

#[tokio::test]
async fn a_shard_is_found_on_another_drive_than_the_hint_says() {
    let wall = Wall::new(2, 1, 64);
    let body = body_of(300);
    let (segment, piece) = wall.store(&body).await;
    let mut moved = Segment::clone(&segment);
    moved.drives.rotate_left(1);
    assert_eq!(wall.read(&Arc::new(moved), piece).await.unwrap(), body);
    assert_eq!(wall.reported(), []);
}

#[tokio::test]
async fn a_frame_of_a_newer_format_is_neither_data_nor_damage() {
    let wall = Wall::new(1, 0, 64);
    let (segment, piece) = wall.store(&body_of(10)).await;
    rewrite(&wall.shard_path(&segment, 0), |bytes| {
        let frame = &mut bytes[SHARD_HEADER_BYTES as usize..];
        frame[4] = 2;
        let crc = crc32fast::hash(&frame[..44]);
        frame[44..48].copy_from_slice(&crc.to_le_bytes());
    });
    let refused = wall.read(&segment, piece).await.unwrap_err();
    assert!(matches!(refused, SegmentReadError::Unavailable(_)), "{refused}");
    assert_eq!(wall.reported(), []);
}

#[tokio::test]
async fn a_piece_that_names_a_wrong_length_gives_no_bytes() {
    let wall = Wall::new(1, 0, 64);
    let (segment, piece) = wall.store(&body_of(40)).await;
    let wrong = Piece { len: 39, ..piece };
    assert!(wall.read(&segment, wrong).await.is_err());
}
