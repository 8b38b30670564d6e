//! The bytes of a checkpoint's body: encoder and decoder with bounded memory. Pure. The decoder trusts nothing: order,
//! counts, lengths and the end are checked as the bytes come.
//!
//! A body is: magic (8 bytes) | version u32 | zero u32, then entries: length u32 | CBOR of [`CheckpointEntry`]. First
//! the rows in the order of their keys, then the segment table in the order of the ids, then one end. Integers are
//! little-endian.

use bytes::{Buf, Bytes, BytesMut};
use minicbor::bytes::{ByteSlice, ByteVec};
use minicbor::{Decode, Encode};

use super::Position;
use crate::embedded::id::SegmentId;
use crate::embedded::record::{DecodeError, RowRecord, byte_slice, from_cbor};
use crate::embedded::table::TableEntry;

const MAGIC: &[u8; 8] = b"DSCHKPT1";
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 16;
/// Longest entry; a row of an upload over very many segments is some MiB.
const ENTRY_BYTES_MAX: usize = 64 << 20;

/// One entry of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Decode)]
pub enum CheckpointEntry {
    #[n(0)]
    Row {
        #[n(0)]
        key: ByteVec,
        #[n(1)]
        row: RowRecord,
    },
    #[n(1)]
    Segment(#[n(0)] TableEntry),
    #[n(2)]
    End(#[n(0)] End),
}

/// The last entry: what came before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct End {
    #[n(0)]
    pub rows: u64,
    #[n(1)]
    pub segments: u64,
    #[n(2)]
    pub position: Position,
}

#[derive(Encode)]
enum EntryRef<'a> {
    #[n(0)]
    Row {
        #[n(0)]
        key: &'a ByteSlice,
        #[n(1)]
        row: &'a RowRecord,
    },
    #[n(1)]
    Segment(#[n(0)] &'a TableEntry),
    #[n(2)]
    End(#[n(0)] End),
}

/// Makes the bytes of a body, in the order in which they stand.
pub struct Encoder {
    pending: Vec<u8>,
    crc: crc32fast::Hasher,
    rows: u64,
    segments: u64,
}

impl Default for Encoder {
    fn default() -> Self {
        let mut pending = MAGIC.to_vec();
        pending.extend_from_slice(&VERSION.to_le_bytes());
        pending.extend_from_slice(&0_u32.to_le_bytes());
        Self {
            pending,
            crc: crc32fast::Hasher::new(),
            rows: 0,
            segments: 0,
        }
    }
}

impl Encoder {
    pub fn row(&mut self, key: &[u8], row: &RowRecord) {
        self.rows += 1;
        self.entry(&EntryRef::Row {
            key: byte_slice(key),
            row,
        });
    }

    pub fn segment(&mut self, entry: &TableEntry) {
        self.segments += 1;
        self.entry(&EntryRef::Segment(entry));
    }

    pub fn end(&mut self, position: Position) {
        self.entry(&EntryRef::End(End {
            rows: self.rows,
            segments: self.segments,
            position,
        }));
    }

    fn entry(&mut self, entry: &EntryRef<'_>) {
        let start = self.pending.len();
        self.pending.extend_from_slice(&[0; 4]);
        // Writing to a Vec cannot fail and no encoder here returns a custom error.
        let Ok(()) = minicbor::encode(entry, &mut self.pending) else {
            unreachable!("encoding to memory failed")
        };
        let len = u32::try_from(self.pending.len() - start - 4).unwrap_or(u32::MAX);
        if let Some(prefix) = self.pending.get_mut(start..start + 4) {
            prefix.copy_from_slice(&len.to_le_bytes());
        }
    }

    /// Bytes that wait to be taken.
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    /// Takes the bytes made since the last call.
    pub fn take(&mut self) -> Bytes {
        let bytes = Bytes::from(std::mem::take(&mut self.pending));
        self.crc.update(&bytes);
        bytes
    }

    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// CRC-32 of all bytes taken.
    pub fn crc(&self) -> u32 {
        self.crc.clone().finalize()
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Header,
    Rows,
    Segments,
    Ended,
}

/// Reads a body from pieces of any size.
pub struct Decoder {
    buffer: BytesMut,
    crc: crc32fast::Hasher,
    stage: Stage,
    rows: u64,
    segments: u64,
    last_key: Option<Vec<u8>>,
    last_segment: Option<SegmentId>,
}

impl Default for Decoder {
    fn default() -> Self {
        Self {
            buffer: BytesMut::new(),
            crc: crc32fast::Hasher::new(),
            stage: Stage::Header,
            rows: 0,
            segments: 0,
            last_key: None,
            last_segment: None,
        }
    }
}

impl Decoder {
    pub fn push(&mut self, bytes: &[u8]) {
        self.crc.update(bytes);
        self.buffer.extend_from_slice(bytes);
    }

    /// The next entry; `None` if it takes more bytes.
    pub fn next_entry(&mut self) -> Result<Option<CheckpointEntry>, DecodeError> {
        if self.stage == Stage::Header && !self.header()? {
            return Ok(None);
        }
        let Some((prefix, rest)) = self.buffer.split_first_chunk::<4>() else {
            return Ok(None);
        };
        if self.stage == Stage::Ended {
            return Err(bad("bytes behind its end"));
        }
        let len = usize::try_from(u32::from_le_bytes(*prefix)).map_err(|_| bad("length"))?;
        if len > ENTRY_BYTES_MAX {
            return Err(bad("an entry is too long"));
        }
        let Some(cbor) = rest.get(..len) else { return Ok(None) };
        let entry = from_cbor("checkpoint entry", cbor)?;
        self.buffer.advance(4 + len);
        self.check(&entry)?;
        Ok(Some(entry))
    }

    /// Call it when there are no more bytes: the CRC-32 of all of them, if the body is whole.
    pub fn finish(self) -> Result<u32, DecodeError> {
        if self.stage != Stage::Ended || !self.buffer.is_empty() {
            return Err(bad("it does not end where it should"));
        }
        Ok(self.crc.finalize())
    }

    fn header(&mut self) -> Result<bool, DecodeError> {
        let Some(header) = self.buffer.get(..HEADER_BYTES) else {
            return Ok(false);
        };
        let Some(version) = header.strip_prefix(MAGIC) else {
            return Err(bad("wrong magic"));
        };
        if version != [VERSION.to_le_bytes(), [0; 4]].concat() {
            return Err(bad("written by a newer version of drystone; this one cannot read it"));
        }
        self.buffer.advance(HEADER_BYTES);
        self.stage = Stage::Rows;
        Ok(true)
    }

    fn check(&mut self, entry: &CheckpointEntry) -> Result<(), DecodeError> {
        match entry {
            CheckpointEntry::Row { key, .. } => {
                if self.stage > Stage::Rows
                    || self
                        .last_key
                        .as_ref()
                        .is_some_and(|last| last.as_slice() >= key.as_slice())
                {
                    return Err(bad("rows are out of order"));
                }
                let last = self.last_key.get_or_insert_default();
                last.clear();
                last.extend_from_slice(key);
                self.rows += 1;
            }
            CheckpointEntry::Segment(entry) => {
                let id = entry.segment.id;
                if self.stage > Stage::Segments || self.last_segment.is_some_and(|last| last >= id) {
                    return Err(bad("the segment table is out of order"));
                }
                self.stage = Stage::Segments;
                self.last_segment = Some(id);
                self.segments += 1;
            }
            CheckpointEntry::End(end) => {
                if (end.rows, end.segments) != (self.rows, self.segments) {
                    return Err(bad("its counts do not agree"));
                }
                self.stage = Stage::Ended;
            }
        }
        Ok(())
    }
}

fn bad(cause: &str) -> DecodeError {
    DecodeError {
        what: "checkpoint",
        cause: cause.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::table::tests::{direct, row, segment};

    fn position() -> Position {
        Position {
            segment: segment(9).id,
            offset: 8192,
            seq: 77,
            epoch: 3,
        }
    }

    fn sample() -> (Vec<u8>, u32) {
        let mut encoder = Encoder::default();
        encoder.row(b"a", &row(1, direct(&[(1, 10)]), None));
        encoder.row(b"b", &row(2, None, Some(1)));
        encoder.segment(&TableEntry {
            segment: segment(1),
            live: 10,
            body_bytes: 30,
        });
        encoder.end(position());
        let bytes = encoder.take();
        (bytes.to_vec(), encoder.crc())
    }

    fn decode(bytes: &[u8], step: usize) -> Result<(Vec<CheckpointEntry>, u32), DecodeError> {
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

    #[test]
    fn a_body_reads_back_whatever_the_pieces_it_comes_in() {
        let (bytes, crc) = sample();
        let (entries, read_crc) = decode(&bytes, usize::MAX).unwrap();
        assert_eq!((entries.len(), read_crc), (4, crc));
        assert_eq!(
            entries[1],
            CheckpointEntry::Row {
                key: b"b".to_vec().into(),
                row: row(2, None, Some(1))
            }
        );
        assert_eq!(
            entries[3],
            CheckpointEntry::End(End {
                rows: 2,
                segments: 1,
                position: position()
            })
        );
        for step in [1, 2, 3, 7, 20] {
            assert_eq!(decode(&bytes, step).unwrap().0, entries);
        }
    }

    #[test]
    fn every_cut_and_every_byte_behind_the_end_is_refused() {
        let (bytes, crc) = sample();
        for at in 0..bytes.len() {
            assert!(decode(&bytes[..at], 16).is_err(), "a cut at {at} went unseen");
            let mut flipped = bytes.clone();
            flipped[at] ^= 4;
            assert!(
                !decode(&flipped, 16).is_ok_and(|(_, flipped_crc)| flipped_crc == crc),
                "a flip at {at} went unseen"
            );
        }
        for more in [&[0][..], &[0; 4], &[9; 40]] {
            assert!(decode(&[&bytes, more].concat(), 16).is_err());
        }
    }

    #[test]
    fn rows_and_segments_out_of_order_and_wrong_counts_are_refused() {
        let refused = |make: &dyn Fn(&mut Encoder)| {
            let mut encoder = Encoder::default();
            make(&mut encoder);
            let bytes = encoder.take();
            assert!(decode(&bytes, 64).is_err());
        };
        let entry = |n| TableEntry {
            segment: segment(n),
            live: 0,
            body_bytes: 0,
        };
        refused(&|e| {
            ["b", "a"]
                .iter()
                .for_each(|key| e.row(key.as_bytes(), &row(1, None, None)))
        });
        refused(&|e| {
            ["a", "a"]
                .iter()
                .for_each(|key| e.row(key.as_bytes(), &row(1, None, None)))
        });
        refused(&|e| [2, 1].iter().for_each(|n| e.segment(&entry(*n))));
        refused(&|e| {
            e.segment(&entry(1));
            e.row(b"a", &row(1, None, None));
        });
        refused(&|e| {
            e.rows = 1;
            e.end(position());
        });
    }
}
