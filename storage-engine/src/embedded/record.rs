//! What the log, checkpoints and the index say: rows, bodies and log records, and their CBOR form.
//! Field numbers are never reused. Pure: no I/O, no clock.

use minicbor::bytes::{ByteSlice, ByteVec};
use minicbor::{Decode, Encode};

use super::id::SegmentId;
use super::segment::{Piece, Segment};

/// Where the bytes of a body are. Every piece is owned by exactly one row.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub enum Body {
    /// The pieces in order.
    #[n(0)]
    Direct {
        #[n(0)]
        len: u64,
        #[n(1)]
        pieces: Vec<Piece>,
    },
    /// A completed upload: the pieces of its parts stand in a list, itself a body of this row.
    #[n(1)]
    Joined {
        #[n(0)]
        len: u64,
        /// Pieces of the encoded part list ([`PartList`]).
        #[n(1)]
        list: Vec<Piece>,
        /// Live bytes per segment of all pieces the list names, so that counting never reads the list.
        #[n(2)]
        sums: Vec<SegmentBytes>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub struct SegmentBytes {
    #[n(0)]
    pub segment: SegmentId,
    #[n(1)]
    pub bytes: u64,
}

/// The list behind a joined body: the pieces of all parts, in order.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct PartList {
    #[n(0)]
    pub pieces: Vec<Piece>,
}

impl Body {
    pub fn len(&self) -> u64 {
        match self {
            Self::Direct { len, .. } | Self::Joined { len, .. } => *len,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Live bytes this body keeps in each segment; a segment may be named more than once.
    pub fn live_bytes(&self) -> impl Iterator<Item = SegmentBytes> + '_ {
        let (pieces, sums) = match self {
            Self::Direct { pieces, .. } => (pieces, [].as_slice()),
            Self::Joined { list, sums, .. } => (list, sums.as_slice()),
        };
        let own = pieces.iter().map(|piece| SegmentBytes {
            segment: piece.segment,
            bytes: piece.len,
        });
        own.chain(sums.iter().copied())
    }
}

/// A committed row as the log, checkpoints and the index hold it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct RowRecord {
    #[n(0)]
    pub rev: u64,
    #[n(1)]
    pub value: ByteVec,
    #[cbor(n(2), decode_with = "crate::cbor::known")]
    pub body: Option<Body>,
    /// Length of the key prefix that is the parent's key; the row owns nothing while that row is absent.
    #[n(3)]
    pub parent_len: Option<u16>,
}

/// One absolute change of one row.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum RowOp {
    #[n(0)]
    Put {
        #[n(0)]
        key: ByteVec,
        #[n(1)]
        row: RowRecord,
    },
    #[n(1)]
    Delete {
        #[n(0)]
        key: ByteVec,
    },
}

impl RowOp {
    pub fn key(&self) -> &[u8] {
        match self {
            Self::Put { key, .. } | Self::Delete { key } => key,
        }
    }
}

/// The metadata of one record of the log, replicated in a metadata frame to every drive of the segment.
/// The bodies' stripe frames follow it in the order of `stripes`.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct LogRecord {
    /// Number of the record's first batch: start epoch in the high bits, orders records, need not be dense.
    #[n(0)]
    pub seq: u64,
    /// The commit mark: everything of this segment before this offset is acknowledged or void for ever.
    #[n(1)]
    pub mark: u64,
    /// Bytes of the whole record in every shard file, padding included.
    #[n(2)]
    pub len: u64,
    /// Where the first stripe's frame stands, counted from the record's start.
    #[n(7)]
    pub body_at: u32,
    /// Data bytes of each stripe that follows.
    #[n(3)]
    pub stripes: Vec<u32>,
    /// Segments that rows name from this record on, with all that is needed to read them.
    #[n(4)]
    pub segments: Vec<Segment>,
    /// Segments whose files are gone for good.
    #[n(5)]
    pub removed: Vec<SegmentId>,
    #[n(6)]
    pub ops: Vec<RowOp>,
}

/// Why bytes are not what they should be.
#[derive(Clone, Debug, thiserror::Error)]
#[error("not a valid {what}: {cause}")]
pub struct DecodeError {
    pub what: &'static str,
    pub cause: String,
}

/// The CBOR form of a value.
pub fn to_cbor<T: Encode<()>>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    // Writing to a Vec cannot fail and no encoder here returns a custom error.
    let Ok(()) = minicbor::encode(value, &mut bytes) else {
        unreachable!("encoding to memory failed")
    };
    bytes
}

/// Reads a value from its CBOR form; bytes behind it are an error.
pub fn from_cbor<'b, T: Decode<'b, ()>>(what: &'static str, bytes: &'b [u8]) -> Result<T, DecodeError> {
    let mut decoder = minicbor::Decoder::new(bytes);
    let value = decoder.decode().map_err(|e| DecodeError {
        what,
        cause: e.to_string(),
    })?;
    if decoder.position() != bytes.len() {
        return Err(DecodeError {
            what,
            cause: format!("{} bytes behind its end", bytes.len() - decoder.position()),
        });
    }
    Ok(value)
}

/// A borrowed view as CBOR sees it.
pub fn byte_slice(bytes: &[u8]) -> &ByteSlice {
    bytes.into()
}
