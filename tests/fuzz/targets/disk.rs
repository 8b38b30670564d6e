//! What is read from drives: frames, shard file headers, log records, rows, checkpoints, root slots.
//!
//! The first byte of an input says whether checksums are made right first: then the decoder behind them is reached.

use std::fmt::Debug;

use storage_engine::embedded::checkpoint::{CheckpointEntry, Decoder, Encoder};
use storage_engine::embedded::frame::{FrameError, FrameKind, FramePlace, ShardHeader, parse_header, verify};
use storage_engine::embedded::heal::Pass;
use storage_engine::embedded::id::SegmentId;
use storage_engine::embedded::index::{RowView, StoredRev, StoredRow};
use storage_engine::embedded::record::{Body, DecodeError, LogRecord, RowRecord, from_cbor, to_cbor};
use storage_engine::embedded::root::{decode_slot, encode_slot, is_newer_slot};

use super::book;

const SET_RIGHT: u8 = 1;
const OWN_PLACE: u8 = 2;

fn split(data: &[u8]) -> Option<(u8, Vec<u8>)> {
    let (mode, bytes) = data.split_first()?;
    Some((*mode, bytes.to_vec()))
}

/// Where the frame says it stands.
fn place_told(bytes: &[u8]) -> Option<FramePlace> {
    Some(FramePlace {
        segment: SegmentId::from_bytes(bytes.get(16..32)?.try_into().ok()?),
        shard: *bytes.get(6)?,
        offset: book::number(bytes, 32, 8)?,
    })
}

pub(super) fn frame(data: &[u8]) {
    let Some((mode, mut bytes)) = split(data) else { return };
    if mode & SET_RIGHT != 0 {
        book::reseal_frame(&mut bytes);
    }
    let elsewhere = FramePlace {
        segment: SegmentId::from_bytes([7; 16]),
        shard: 3,
        offset: 8192,
    };
    let place = place_told(&bytes)
        .filter(|_| mode & OWN_PLACE != 0)
        .unwrap_or(elsewhere);
    let told = book::frame(&bytes).filter(|told| {
        (told.segment, told.shard, told.offset) == (place.segment.as_bytes(), u64::from(place.shard), place.offset)
    });
    match (verify(&place, &bytes), told) {
        (Ok((header, payload)), Some(told)) => {
            let kind = match header.kind {
                FrameKind::ShardHeader => 1,
                FrameKind::Record => 2,
                FrameKind::Stripe => 3,
            };
            assert_eq!((kind, u64::from(header.data_len)), (told.kind, told.data_len));
            assert_eq!(payload, told.payload);
            assert_eq!(parse_header(&place, &bytes), Ok(header));
        }
        (Err(error), None) => {
            let newer = matches!(error, FrameError::UnknownVersion(_) | FrameError::UnknownKind(_));
            assert!(
                !newer || bytes[4] != 1 || bytes[7] != 0 || !(1..=3).contains(&bytes[5]),
                "{error}"
            );
        }
        (Ok(_), None) => panic!("a frame verifies that does not by the book"),
        (Err(error), Some(_)) => panic!("a frame that is right by the book: {error}"),
    }
}

pub(super) fn shard_header(data: &[u8]) {
    let Some((mode, mut bytes)) = split(data) else { return };
    if mode & SET_RIGHT != 0 {
        if let Some(kind) = bytes.get_mut(5) {
            *kind = 1;
        }
        book::reseal_frame(&mut bytes);
    }
    let Some(place) = place_told(&bytes) else { return };
    let Ok(header) = ShardHeader::decode(place.segment, place.shard, &bytes) else {
        return;
    };
    let told = book::frame(&bytes).expect("a header without right checksums was taken");
    assert_eq!((told.kind, told.offset), (1, 0));
    assert_eq!(
        (header.segment, header.shard, header.format),
        (place.segment, place.shard, 1)
    );
    let again = ShardHeader::decode(place.segment, place.shard, &header.encode()).unwrap();
    assert_eq!(again, header);
}

/// What was read is what is read again from its own bytes.
fn same_again<T: Debug + PartialEq>(
    value: &T,
    bytes: impl FnOnce(&T) -> Vec<u8>,
    read: impl FnOnce(&[u8]) -> Result<T, DecodeError>,
) {
    let again = read(&bytes(value)).unwrap();
    assert_eq!(again, *value);
}

pub(super) fn log_record(data: &[u8]) {
    let read = |bytes: &[u8]| from_cbor::<LogRecord>("log record", bytes);
    if let Ok(record) = read(data) {
        same_again(&record, to_cbor, read);
        let behind = [data, b"\0"].concat();
        assert!(read(&behind).is_err(), "bytes behind the end went unseen");
    }
}

pub(super) fn row(data: &[u8]) {
    let whole = RowRecord::read(data);
    let (view, rev) = (RowView::read(data), StoredRev::read(data));
    let Ok(row) = whole else { return };
    same_again(&row, to_cbor, RowRecord::read);
    assert_eq!(rev.unwrap().0, row.rev);
    // The quick reader refuses forms that are never written; what it reads must be the same.
    let Ok(view) = view else { return };
    assert_eq!(
        (view.rev, view.value.as_ref(), view.parent_len),
        (row.rev, row.value.as_slice(), row.parent_len)
    );
    assert_eq!(
        view.body.as_ref().map(|body| body.len),
        row.body.as_ref().map(Body::len)
    );
    if let Some(body) = view.body {
        assert_eq!(from_cbor::<Body>("body", &body.cbor).ok(), row.body);
    }
}

fn entries(bytes: &[u8], step: usize) -> Result<(Vec<CheckpointEntry>, u32), DecodeError> {
    let mut decoder = Decoder::default();
    let mut entries = Vec::new();
    for chunk in bytes.chunks(step) {
        decoder.push(chunk);
        while let Some(entry) = decoder.next_entry()? {
            entries.push(entry);
        }
    }
    Ok((entries, decoder.finish()?))
}

pub(super) fn checkpoint(data: &[u8]) {
    let Some((step, bytes)) = split(data) else { return };
    let whole = entries(&bytes, usize::MAX);
    let pieces = entries(&bytes, usize::from(step).max(1));
    assert_eq!(
        whole.is_ok(),
        pieces.is_ok(),
        "how it is cut decides whether it is right"
    );
    let (Ok(whole), Ok(pieces)) = (whole, pieces) else {
        return;
    };
    assert_eq!(whole, pieces);
    assert_eq!(whole.1, book::crc32(&bytes));
    let (mut encoder, mut last, mut counts) = (Encoder::default(), None::<Vec<u8>>, (0, 0));
    for (at, entry) in whole.0.iter().enumerate() {
        match entry {
            CheckpointEntry::Row { key, row } => {
                assert!(
                    last.as_ref().is_none_or(|last| last.as_slice() < key.as_slice()),
                    "rows out of order"
                );
                last = Some(key.to_vec());
                counts.0 += 1;
                encoder.row(key, row);
            }
            CheckpointEntry::Segment(entry) => {
                counts.1 += 1;
                encoder.segment(entry);
            }
            CheckpointEntry::End(end) => {
                assert_eq!((end.rows, end.segments, at + 1), (counts.0, counts.1, whole.0.len()));
                encoder.end(end.position);
            }
        }
    }
    assert_eq!(entries(&encoder.take(), 4096).unwrap().0, whole.0);
}

/// What a drive keeps of how far it is verified: magic, CRC-32 of the rest, CBOR.
pub(super) fn scrub_pass(data: &[u8]) {
    let Some((mode, mut bytes)) = split(data) else { return };
    if mode & SET_RIGHT != 0
        && let Some((header, payload)) = bytes.split_at_mut_checked(12)
    {
        header[..8].copy_from_slice(b"DSSCRUB1");
        header[8..].copy_from_slice(&book::crc32(payload).to_le_bytes());
    }
    let Some(pass) = Pass::decode(&bytes) else { return };
    assert!(bytes.starts_with(b"DSSCRUB1"), "something else was taken");
    assert_eq!(bytes[8..12], book::crc32(&bytes[12..]).to_le_bytes());
    assert_eq!(Pass::decode(&pass.encode()), Some(pass));
}

pub(super) fn root_slot(data: &[u8]) {
    let Some((mode, mut bytes)) = split(data) else { return };
    if mode & SET_RIGHT != 0 {
        book::reseal_slot(&mut bytes);
    }
    let told = book::slot(&bytes);
    // Whole by the book, a slot may still be refused for its content.
    if let Ok(slot) = decode_slot(&bytes) {
        assert!(told.is_some(), "a slot without right checksums was taken");
        assert!(
            !is_newer_slot(&bytes),
            "a slot that can be read counts as a newer program's"
        );
        same_again(&slot, encode_slot, decode_slot);
    }
}
