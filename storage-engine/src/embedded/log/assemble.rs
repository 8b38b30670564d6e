//! Lays one record out: the metadata frame, then one stripe frame per small body, padded to the record alignment.
//! Pure: batches in, the bytes of every shard file out.

use bytes::{BufMut, Bytes, BytesMut};

use super::pending::{OFFSET_UNKNOWN, PendingOp, SmallBody};
use crate::embedded::erasure::Codec;
use crate::embedded::frame::{FRAME_HEADER_BYTES, FrameKind, FramePlace, RECORD_ALIGN, encode_header};
use crate::embedded::id::SegmentId;
use crate::embedded::record::{Body, LogRecord, RowOp, to_cbor};
use crate::embedded::segment::{Piece, Segment};

const STRIPE_ALIGN: usize = 64;

/// The changes of one client batch, in the order they were queued.
pub struct BatchOps<'a> {
    pub rev: u64,
    pub ops: &'a mut [PendingOp],
}

/// What else a record says.
#[derive(Clone, Debug, Default)]
pub struct RecordFacts {
    pub seq: u64,
    pub segments: Vec<Segment>,
    pub removed: Vec<SegmentId>,
}

/// A record ready to be written at its offset.
pub struct Assembled {
    /// Number of the record's first batch; the others count on from it.
    pub seq: u64,
    /// One buffer per shard file, all of the same length.
    pub shards: Vec<Bytes>,
    pub len: u64,
    /// Bytes of the metadata frame, padding included.
    pub metadata_len: u64,
    /// Bytes of the small bodies it carries.
    pub body_bytes: u64,
    /// The operations with their bodies in place, all batches in order.
    pub ops: Vec<RowOp>,
}

/// A record or its segment would outgrow what offsets can say; callers roll the segment long before.
#[derive(Debug, thiserror::Error)]
#[error("the record does not fit a log segment")]
pub struct TooLarge;

/// Lays the batches out as the record at `offset` of `segment`.
pub fn assemble(
    segment: &Segment,
    codec: &Codec,
    offset: u64,
    facts: RecordFacts,
    batches: &mut [BatchOps<'_>],
) -> Result<Assembled, TooLarge> {
    for body in batches
        .iter_mut()
        .flat_map(|batch| batch.ops.iter_mut())
        .filter_map(PendingOp::body_mut)
    {
        body.fit(codec).map_err(|_| TooLarge)?;
    }
    let small: Vec<_> = batches.iter().flat_map(|b| b.ops.iter()).map(PendingOp::body).collect();
    let record = lay_out(segment, offset, facts, batches, &small)?;
    let payload = to_cbor(&record);
    let metadata = Metadata {
        crc: crc32fast::hash(&payload),
        len: u32::try_from(payload.len()).map_err(|_| TooLarge)?,
        payload,
    };
    let len = usize::try_from(record.len).map_err(|_| TooLarge)?;
    let bodies: Vec<&SmallBody> = small.into_iter().flatten().collect();
    let shards = (0u8..)
        .take(segment.geometry.shards())
        .map(|shard| {
            let place = FramePlace {
                segment: segment.id,
                shard,
                offset,
            };
            shard_bytes(place, record.body_at as usize, len, &metadata, &bodies)
        })
        .collect();
    Ok(Assembled {
        seq: record.seq,
        shards,
        len: record.len,
        metadata_len: u64::from(record.body_at),
        body_bytes: record.stripes.iter().map(|len| u64::from(*len)).sum(),
        ops: record.ops,
    })
}

/// The record with every small body in its place.
fn lay_out(
    segment: &Segment,
    offset: u64,
    facts: RecordFacts,
    batches: &[BatchOps<'_>],
    small: &[Option<&SmallBody>],
) -> Result<LogRecord, TooLarge> {
    let place = |len| Piece {
        segment: segment.id,
        offset: OFFSET_UNKNOWN,
        len,
    };
    let ops = batches
        .iter()
        .flat_map(|b| b.ops.iter().map(move |op| op.row_op(b.rev, place)));
    let stripes = small.iter().flatten().map(|body| u32::try_from(body.data.len()));
    let mut record = LogRecord {
        seq: facts.seq,
        mark: offset,
        len: OFFSET_UNKNOWN,
        body_at: u32::MAX,
        stripes: stripes.collect::<Result<_, _>>().map_err(|_| TooLarge)?,
        segments: facts.segments,
        removed: facts.removed,
        ops: ops.collect(),
    };
    // The metadata frame's length is only known once the offsets in it are; placeholders bound it from above.
    let body_at = (FRAME_HEADER_BYTES + to_cbor(&record).len()).next_multiple_of(STRIPE_ALIGN);
    let mut at = offset + body_at as u64;
    for (op, body) in record.ops.iter_mut().zip(small) {
        if let Some(body) = body {
            set_offset(op, at);
            at += (FRAME_HEADER_BYTES + segment.geometry.shard_bytes(body.data.len())) as u64;
        }
    }
    let end = at.next_multiple_of(RECORD_ALIGN);
    if end >= OFFSET_UNKNOWN {
        return Err(TooLarge);
    }
    record.len = end - offset;
    record.body_at = u32::try_from(body_at).map_err(|_| TooLarge)?;
    Ok(record)
}

/// The encoded record, the same in every shard file.
struct Metadata {
    payload: Vec<u8>,
    len: u32,
    crc: u32,
}

/// What one shard file gets: the metadata, its shard of every body, zeros up to `len`. `place` is the record's.
fn shard_bytes(place: FramePlace, body_at: usize, len: usize, metadata: &Metadata, bodies: &[&SmallBody]) -> Bytes {
    let mut bytes = BytesMut::with_capacity(len);
    bytes.put_slice(&encode_header(FrameKind::Record, &place, metadata.len, metadata.crc, 0));
    bytes.put_slice(&metadata.payload);
    bytes.put_bytes(0, body_at.saturating_sub(bytes.len()));
    for body in bodies {
        let Some(piece) = body.shards.get(usize::from(place.shard)) else {
            continue;
        };
        let stands_at = FramePlace {
            offset: place.offset + bytes.len() as u64,
            ..place
        };
        let data_len = u32::try_from(body.data.len()).unwrap_or(u32::MAX);
        let piece_len = u32::try_from(piece.payload.len()).unwrap_or(u32::MAX);
        bytes.put_slice(&encode_header(
            FrameKind::Stripe,
            &stands_at,
            piece_len,
            piece.crc,
            data_len,
        ));
        bytes.put_slice(&piece.payload);
    }
    bytes.put_bytes(0, len.saturating_sub(bytes.len()));
    bytes.freeze()
}

/// Gives an op's own small body its place.
fn set_offset(op: &mut RowOp, at: u64) {
    let RowOp::Put { row, .. } = op else { return };
    let pieces = match &mut row.body {
        Some(Body::Direct { pieces, .. } | Body::Joined { list: pieces, .. }) => pieces,
        None => return,
    };
    for piece in pieces {
        piece.offset = at;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::Key;
    use crate::embedded::erasure::Geometry;
    use crate::embedded::frame::{SHARD_HEADER_BYTES, verify};
    use crate::embedded::id::DriveId;
    use crate::embedded::log::{PendingBody, PendingPut, SmallBody};
    use crate::embedded::record::from_cbor;
    use crate::embedded::segment::SegmentKind;

    fn put(key: &'static str, data: Vec<u8>, codec: &Codec) -> PendingOp {
        let body = PendingBody::Small(SmallBody::encode(data.into(), codec).unwrap());
        let value = Bytes::from_static(b"value");
        PendingOp::Put(PendingPut {
            key: Key::new(key),
            value,
            body,
            parent_len: None,
            rev: None,
        })
    }

    #[test]
    fn every_shard_file_gets_the_same_metadata_and_its_own_shard_of_each_body() {
        let geometry = Geometry {
            data: 2,
            parity: 2,
            unit: 128 * 1024,
        };
        let other = Codec::new(Geometry {
            data: 1,
            parity: 2,
            unit: 128 * 1024,
        })
        .unwrap();
        let codec = Codec::new(geometry).unwrap();
        let drives = (0..4).map(|n| DriveId::from_bytes([n; 16])).collect();
        let segment = Segment {
            id: SegmentId::from_bytes([5; 16]),
            kind: SegmentKind::Log,
            geometry,
            drives,
            full_width: None,
        };
        let bodies = [
            vec![1; 10],
            vec![2; 4097],
            (0..100_000).map(|n| (n % 251) as u8).collect(),
        ];
        // The second body was encoded for a segment that is not the open one any more.
        let mut first = [put("a", bodies[0].clone(), &codec), PendingOp::Delete(Key::new("gone"))];
        let mut second = [put("b", bodies[1].clone(), &other), put("c", bodies[2].clone(), &codec)];
        let mut batches = [
            BatchOps {
                rev: 70,
                ops: &mut first,
            },
            BatchOps {
                rev: 71,
                ops: &mut second,
            },
        ];
        let offset = SHARD_HEADER_BYTES + 3 * RECORD_ALIGN;
        let facts = RecordFacts {
            seq: 70,
            ..RecordFacts::default()
        };
        let made = assemble(&segment, &codec, offset, facts, &mut batches).unwrap();
        assert_eq!(made.shards.len(), 4);
        assert!(
            made.shards.iter().all(|bytes| bytes.len() as u64 == made.len) && made.len.is_multiple_of(RECORD_ALIGN)
        );
        for (shard, bytes) in made.shards.iter().enumerate() {
            let place = |offset| FramePlace {
                segment: segment.id,
                shard: shard as u8,
                offset,
            };
            let (header, payload) = verify(&place(offset), bytes).unwrap();
            assert_eq!(header.kind, FrameKind::Record);
            let record: LogRecord = from_cbor("log record", payload).unwrap();
            assert_eq!((record.seq, record.mark, record.len), (70, offset, made.len));
            assert_eq!(record.ops, made.ops);
            assert_eq!(record.stripes, [10, 4097, 100_000]);
        }
        for (op, data) in [(0, &bodies[0]), (2, &bodies[1]), (3, &bodies[2])] {
            assert_rebuilds(&made, &segment, offset, op, data);
        }
    }

    /// The body that an op names comes back from the parity shards alone.
    fn assert_rebuilds(made: &Assembled, segment: &Segment, offset: u64, op: usize, data: &[u8]) {
        let codec = Codec::new(segment.geometry).unwrap();
        let RowOp::Put { row, .. } = &made.ops[op] else {
            panic!()
        };
        assert_eq!(row.rev, if op == 0 { 70 } else { 71 });
        let Some(Body::Direct { pieces, .. }) = &row.body else {
            panic!()
        };
        let shards = made.shards.iter().enumerate().map(|(shard, bytes)| {
            let place = FramePlace {
                segment: segment.id,
                shard: shard as u8,
                offset: pieces[0].offset,
            };
            let (_, payload) = verify(&place, &bytes[(pieces[0].offset - offset) as usize..]).unwrap();
            (shard >= 2).then(|| Bytes::copy_from_slice(payload))
        });
        let rebuilt = codec.rebuild_stripe(data.len(), shards.collect()).unwrap();
        assert_eq!(rebuilt, data, "from parity alone");
    }
}
