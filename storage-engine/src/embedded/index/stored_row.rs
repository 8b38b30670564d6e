//! Reading rows back from their CBOR form, as much of them as a caller needs. Pure.

use bytes::Bytes;
use minicbor::Decoder;

use crate::embedded::record::{DecodeError, RowRecord, from_cbor};

/// A form in which a stored row can be read.
pub trait StoredRow: Sized {
    fn read(cbor: &[u8]) -> Result<Self, DecodeError>;
}

impl StoredRow for RowRecord {
    fn read(cbor: &[u8]) -> Result<Self, DecodeError> {
        from_cbor("row", cbor)
    }
}

/// A row without looking into its body: what a listing needs. All of it shares one allocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowView {
    pub rev: u64,
    pub value: Bytes,
    pub body: Option<BodyView>,
    pub parent_len: Option<u16>,
}

/// A body as a row names it, its places not decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BodyView {
    pub len: u64,
    /// CBOR of [`crate::embedded::record::Body`].
    pub cbor: Bytes,
}

impl StoredRow for RowView {
    fn read(cbor: &[u8]) -> Result<Self, DecodeError> {
        let bytes = Bytes::copy_from_slice(cbor);
        read_view(&bytes).map_err(|e| DecodeError {
            what: "row",
            cause: e.to_string(),
        })
    }
}

fn read_view(bytes: &Bytes) -> Result<RowView, minicbor::decode::Error> {
    let mut decoder = Decoder::new(bytes);
    let fields = decoder
        .array()?
        .ok_or_else(|| minicbor::decode::Error::message("indefinite length"))?;
    let rev = decoder.u64()?;
    let value = bytes.slice_ref(decoder.bytes()?);
    let mut body = None;
    if fields > 2 {
        let start = decoder.position();
        decoder.skip()?;
        let cbor = bytes.slice(start..decoder.position());
        let mut inner = Decoder::new(&cbor);
        if inner.datatype()? != minicbor::data::Type::Null {
            // A variant is an array of its number and the array of its fields; the length is the first of each.
            inner.array()?;
            inner.u32()?;
            inner.array()?;
            body = Some(BodyView {
                len: inner.u64()?,
                cbor,
            });
        }
    }
    let parent_len = if fields > 3 { decoder.decode()? } else { None };
    Ok(RowView {
        rev,
        value,
        body,
        parent_len,
    })
}

/// Only the row's revision, for checking conditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredRev(pub u64);

impl StoredRow for StoredRev {
    fn read(cbor: &[u8]) -> Result<Self, DecodeError> {
        let mut decoder = Decoder::new(cbor);
        let rev = decoder.array().and_then(|_| decoder.u64());
        rev.map(Self).map_err(|e| DecodeError {
            what: "row",
            cause: e.to_string(),
        })
    }
}

/// Length of the key of the row that a stored row depends on; cheap for the many that depend on none.
pub(super) fn parent_len(cbor: &[u8]) -> Result<Option<u16>, DecodeError> {
    let read = || -> Result<Option<u16>, minicbor::decode::Error> {
        let mut decoder = Decoder::new(cbor);
        // A trailing absent field is not written at all.
        if decoder.array()?.is_some_and(|fields| fields <= 3) {
            return Ok(None);
        }
        for _ in 0..3 {
            decoder.skip()?;
        }
        decoder.decode()
    };
    read().map_err(|e| DecodeError {
        what: "row",
        cause: e.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::embedded::id::SegmentId;
    use crate::embedded::record::{Body, SegmentBytes, to_cbor};
    use crate::embedded::segment::Piece;

    fn body() -> impl Strategy<Value = Body> {
        let piece = (any::<[u8; 16]>(), any::<u64>(), any::<u64>()).prop_map(|(id, offset, len)| Piece {
            segment: SegmentId::from_bytes(id),
            offset,
            len,
        });
        let pieces = prop::collection::vec(piece, 0..4);
        (any::<u64>(), pieces, any::<bool>()).prop_map(|(len, pieces, joined)| {
            if joined {
                let sums = pieces
                    .iter()
                    .map(|p| SegmentBytes {
                        segment: p.segment,
                        bytes: p.len,
                    })
                    .collect();
                Body::Joined {
                    len,
                    list: pieces,
                    sums,
                }
            } else {
                Body::Direct { len, pieces }
            }
        })
    }

    proptest! {
        #[test]
        fn every_view_of_a_row_says_what_the_row_says(
            rev in any::<u64>(),
            value in prop::collection::vec(any::<u8>(), 0..300),
            body in prop::option::of(body()),
            parent in prop::option::of(any::<u16>()),
        ) {
            let row = RowRecord { rev, value: value.clone().into(), body: body.clone(), parent_len: parent };
            let cbor = to_cbor(&row);
            prop_assert_eq!(RowRecord::read(&cbor).unwrap(), row);
            let view = RowView::read(&cbor).unwrap();
            prop_assert_eq!((view.rev, view.value.as_ref(), view.parent_len), (rev, value.as_slice(), parent));
            prop_assert_eq!(view.body.as_ref().map(|b| b.len), body.as_ref().map(Body::len));
            let decoded = view.body.map(|b| from_cbor::<Body>("body", &b.cbor).unwrap());
            prop_assert_eq!(decoded, body);
            prop_assert_eq!(StoredRev::read(&cbor).unwrap(), StoredRev(rev));
            prop_assert_eq!(parent_len(&cbor).unwrap(), parent);
        }

        #[test]
        fn garbage_is_refused_or_read_but_never_panics(cbor in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = RowRecord::read(&cbor);
            let _ = RowView::read(&cbor);
            let _ = StoredRev::read(&cbor);
            let _ = parent_len(&cbor);
        }
    }
}
