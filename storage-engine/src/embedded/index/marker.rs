//! The marker of a clean stop: what the index was when it was closed. Its bytes; never its file.
//!
//! A marker file is: magic (8 bytes) | version u32 | CRC-32 of the payload u32 | payload (CBOR of [`MarkerFile`]).
//! Integers are little-endian.

use minicbor::{Decode, Encode};

use super::IndexStats;
use crate::embedded::checkpoint::Position;
use crate::embedded::drive::index_dir::FileFacts;
use crate::embedded::record::{DecodeError, from_cbor, to_cbor};
use crate::embedded::table::TableEntry;

const MAGIC: &[u8; 8] = b"DSINDEX1";
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 16;

/// The state of the store that an index stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Marker {
    #[n(0)]
    pub root_epoch: u64,
    #[n(1)]
    pub root_nonce: u64,
    /// The end of the log that the index includes.
    #[n(2)]
    pub log_end: Position,
}

/// What stands in the marker file.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(super) struct MarkerFile {
    #[n(0)]
    pub(super) marker: Marker,
    /// Name of the tree's directory.
    #[n(1)]
    pub(super) tree: String,
    #[n(2)]
    pub(super) stats: IndexStats,
    /// Every file of the tree after it was closed and synced.
    #[n(3)]
    pub(super) files: Vec<FileFacts>,
    /// The counters that belong to the rows.
    #[n(4)]
    pub(super) table: Vec<TableEntry>,
}

pub(super) fn encode(file: &MarkerFile) -> Vec<u8> {
    framed(MAGIC, &to_cbor(file))
}

pub(super) fn decode(bytes: &[u8]) -> Result<MarkerFile, DecodeError> {
    from_cbor("index marker", unframed(MAGIC, bytes)?)
}

/// A payload behind magic, version and checksum.
pub(super) fn framed(magic: &[u8; 8], payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES + payload.len());
    bytes.extend_from_slice(magic);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&crc32fast::hash(payload).to_le_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// The payload, if magic, version and checksum are right.
pub(super) fn unframed<'a>(magic: &[u8; 8], bytes: &'a [u8]) -> Result<&'a [u8], DecodeError> {
    let bad = |cause: &str| DecodeError {
        what: "index marker",
        cause: cause.to_owned(),
    };
    let (header, payload) = bytes.split_at_checked(HEADER_BYTES).ok_or_else(|| bad("too short"))?;
    let (head, crc) = header.split_at(12);
    if head.strip_prefix(magic) != Some(VERSION.to_le_bytes().as_slice()) {
        return Err(bad("other magic or version"));
    }
    if crc != crc32fast::hash(payload).to_le_bytes() {
        return Err(bad("checksum does not match"));
    }
    Ok(payload)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::id::SegmentId;

    #[test]
    fn a_marker_reads_back_and_every_flip_and_cut_is_refused() {
        let position = Position {
            segment: SegmentId::from_bytes([3; 16]),
            offset: 4096,
            seq: 9,
            epoch: 2,
        };
        let file = MarkerFile {
            marker: Marker {
                root_epoch: 2,
                root_nonce: 77,
                log_end: position,
            },
            tree: "tree-1".into(),
            stats: IndexStats { rows: 3, bytes: 100 },
            files: vec![FileFacts {
                path: "db".into(),
                len: 10,
                crc: 1,
            }],
            table: vec![],
        };
        let bytes = encode(&file);
        assert_eq!(decode(&bytes).unwrap(), file);
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1;
            assert!(decode(&flipped).is_err(), "flip at {at} went unseen");
            assert!(decode(&bytes[..at]).is_err(), "cut at {at} went unseen");
        }
    }
}
