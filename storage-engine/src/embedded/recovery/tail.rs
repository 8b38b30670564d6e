//! The kept tail: its operations made ready to be written again at the head of a new segment, with their small bodies
//! read from the old one.

use bytes::Bytes;

use crate::backend::{Key, ReadError};
use crate::embedded::erasure::Codec;
use crate::embedded::log::{FoundRecord, PendingBody, PendingOp, PendingPut, SmallBody};
use crate::embedded::record::{Body, RowOp};
use crate::embedded::segment::{Piece, Segment, SegmentReader};

/// The operations of the tail record as pending ones. Rows keep their revisions.
pub async fn pending_ops(
    found: &FoundRecord,
    segment: &Segment,
    codec: &Codec,
    reader: &SegmentReader,
) -> Result<Vec<PendingOp>, ReadError> {
    let mut pending = Vec::with_capacity(found.record.ops.len());
    for op in &found.record.ops {
        let key = Key::new(op.key().to_vec());
        let RowOp::Put { row, .. } = op else {
            pending.push(PendingOp::Delete(key));
            continue;
        };
        let own = |pieces: &[Piece]| match pieces {
            [piece] if in_record(found, segment, piece) => Some(*piece),
            _ => None,
        };
        let read = |piece: Piece| async move {
            let len = usize::try_from(piece.len).unwrap_or(usize::MAX);
            let data: Bytes = reader
                .read_stripe(segment, piece.offset, len)
                .await
                .map_err(ReadError::from)?;
            SmallBody::encode(data, codec).map_err(|e| ReadError::Corrupt(e.to_string()))
        };
        let body = match &row.body {
            None => PendingBody::None,
            Some(body @ Body::Direct { pieces, .. }) => match own(pieces) {
                Some(piece) => PendingBody::Small(read(piece).await?),
                None => PendingBody::Placed(body.clone()),
            },
            Some(body @ Body::Joined { len, list, sums }) => match own(list) {
                Some(piece) => PendingBody::Joined {
                    len: *len,
                    sums: sums.clone(),
                    list: read(piece).await?,
                },
                None => PendingBody::Placed(body.clone()),
            },
        };
        let value = Bytes::copy_from_slice(&row.value);
        pending.push(PendingOp::Put(PendingPut {
            key,
            value,
            body,
            parent_len: row.parent_len,
            rev: Some(row.rev),
        }));
    }
    Ok(pending)
}

/// The piece stands in the record itself: it moves with it. A row that was only re-pointed names an older place.
fn in_record(found: &FoundRecord, segment: &Segment, piece: &Piece) -> bool {
    let record = found.offset..found.offset + found.record.len;
    piece.segment == segment.id && record.contains(&piece.offset)
}
