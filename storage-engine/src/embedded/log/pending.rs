//! What waits to be written to the log: row changes whose small bodies have no place yet.

use bytes::Bytes;
use minicbor::bytes::ByteVec;

use crate::backend::Key;
use crate::embedded::erasure::{Codec, CodecError, EncodedShard, Geometry};
use crate::embedded::record::{Body, RowOp, RowRecord, SegmentBytes};
use crate::embedded::segment::Piece;

/// Stands for an offset that is not known yet; no offset in a log segment takes more CBOR bytes than it.
pub const OFFSET_UNKNOWN: u64 = u32::MAX as u64;

/// A body that rides in the log, encoded in the request's task for the geometry that was open then.
#[derive(Clone, Debug)]
pub struct SmallBody {
    pub data: Bytes,
    pub geometry: Geometry,
    pub shards: Vec<EncodedShard>,
}

impl SmallBody {
    /// The body must fit one stripe.
    pub fn encode(data: Bytes, codec: &Codec) -> Result<Self, CodecError> {
        let shards = codec.encode_stripe(&data)?;
        Ok(Self {
            data,
            geometry: codec.geometry(),
            shards,
        })
    }

    /// The segment that takes the body may have another geometry than the one that was open at encoding.
    pub fn fit(&mut self, codec: &Codec) -> Result<(), CodecError> {
        if self.geometry != codec.geometry() {
            *self = Self::encode(self.data.clone(), codec)?;
        }
        Ok(())
    }
}

#[derive(Clone, Debug)]
pub enum PendingBody {
    None,
    /// In segments already.
    Placed(Body),
    Small(SmallBody),
    /// A joined body whose part list rides in the log.
    Joined {
        len: u64,
        sums: Vec<SegmentBytes>,
        list: SmallBody,
    },
}

impl PendingBody {
    pub fn small_mut(&mut self) -> Option<&mut SmallBody> {
        match self {
            Self::Small(body) | Self::Joined { list: body, .. } => Some(body),
            Self::None | Self::Placed(_) => None,
        }
    }

    pub fn small(&self) -> Option<&SmallBody> {
        match self {
            Self::Small(body) | Self::Joined { list: body, .. } => Some(body),
            Self::None | Self::Placed(_) => None,
        }
    }

    /// The body as a row names it once its stripe stands at `piece`.
    fn placed(&self, piece: impl Fn(u64) -> Piece) -> Option<Body> {
        match self {
            Self::None => None,
            Self::Placed(body) => Some(body.clone()),
            Self::Small(small) => {
                let len = small.data.len() as u64;
                Some(Body::Direct {
                    len,
                    pieces: vec![piece(len)],
                })
            }
            Self::Joined { len, sums, list } => Some(Body::Joined {
                len: *len,
                list: vec![piece(list.data.len() as u64)],
                sums: sums.clone(),
            }),
        }
    }
}

#[derive(Clone, Debug)]
pub struct PendingPut {
    pub key: Key,
    pub value: Bytes,
    pub body: PendingBody,
    pub parent_len: Option<u16>,
    /// A row that only moves keeps its revision; others get the revision of their batch.
    pub rev: Option<u64>,
}

#[derive(Clone, Debug)]
pub enum PendingOp {
    Put(PendingPut),
    Delete(Key),
}

impl PendingOp {
    pub fn body(&self) -> Option<&SmallBody> {
        match self {
            Self::Put(put) => put.body.small(),
            Self::Delete(_) => None,
        }
    }

    pub fn body_mut(&mut self) -> Option<&mut SmallBody> {
        match self {
            Self::Put(put) => put.body.small_mut(),
            Self::Delete(_) => None,
        }
    }

    /// About how many bytes of a record this takes in each shard file.
    pub fn record_bytes(&self) -> usize {
        let fixed = match self {
            Self::Put(put) => put.key.as_bytes().len() + put.value.len() + 128,
            Self::Delete(key) => key.as_bytes().len() + 32,
        };
        fixed
            + self
                .body()
                .and_then(|body| body.shards.first())
                .map_or(0, |shard| shard.payload.len() + 64)
    }

    /// The operation as a record says it; `piece` places the op's own small body.
    pub fn row_op(&self, rev: u64, piece: impl Fn(u64) -> Piece) -> RowOp {
        match self {
            Self::Put(put) => RowOp::Put {
                key: ByteVec::from(put.key.as_bytes().to_vec()),
                row: RowRecord {
                    rev: put.rev.unwrap_or(rev),
                    value: ByteVec::from(put.value.to_vec()),
                    body: put.body.placed(piece),
                    parent_len: put.parent_len,
                },
            },
            Self::Delete(key) => RowOp::Delete {
                key: ByteVec::from(key.as_bytes().to_vec()),
            },
        }
    }
}
