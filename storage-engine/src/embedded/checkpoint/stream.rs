//! Checkpoints as streams: reading one with everything checked, and writing the next from it, with bounded memory. It
//! never chooses where the bytes go.

use bytes::Bytes;
use futures::{Stream, StreamExt};

use super::{CheckpointEntry, CheckpointRef, Decoder, Encoder, End, LogDelta, Merge, MergeError, Position};
use crate::backend::ReadError;
use crate::embedded::record::DecodeError;
use crate::embedded::table::{TableEntry, TableSnapshot};

/// Bytes collected before they are written.
const CHUNK_BYTES: usize = 256 * 1024;

/// A checkpoint that could not be read or made.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    #[error("cannot read the checkpoint: {0}")]
    Read(#[from] ReadError),
    #[error(transparent)]
    Decode(#[from] DecodeError),
    #[error(transparent)]
    Merge(#[from] MergeError),
    #[error("cannot write the checkpoint: {0}")]
    Write(String),
    /// The bytes are well formed, but not those the reference speaks of.
    #[error("this is not the checkpoint that was asked for: {0} differs")]
    Other(&'static str),
}

/// Reads a checkpoint entry by entry. Only when it gave `None` was all of it checked.
pub struct CheckpointReader<S> {
    reference: CheckpointRef,
    bytes: S,
    decoder: Option<Decoder>,
    read: u64,
}

impl<S: Stream<Item = Result<Bytes, ReadError>> + Unpin> CheckpointReader<S> {
    /// Reads from `bytes`, the whole body that `reference` names.
    pub fn new(reference: CheckpointRef, bytes: S) -> Self {
        Self {
            reference,
            bytes,
            decoder: Some(Decoder::default()),
            read: 0,
        }
    }

    /// The next row or segment, in order; `None` after the last, when the whole was found right. After an error there
    /// is no going on, and what was read before it must not be relied on.
    pub async fn next(&mut self) -> Result<Option<CheckpointEntry>, CheckpointError> {
        while let Some(decoder) = &mut self.decoder {
            match decoder.next_entry()? {
                Some(CheckpointEntry::End(end)) => self.check_end(&end)?,
                Some(entry) => return Ok(Some(entry)),
                None => match self.bytes.next().await {
                    Some(bytes) => {
                        let bytes = bytes?;
                        self.read += bytes.len() as u64;
                        decoder.push(&bytes);
                    }
                    None => self.check_whole()?,
                },
            }
        }
        Ok(None)
    }

    /// Reads to the end without keeping anything.
    pub async fn verify(mut self) -> Result<(), CheckpointError> {
        while self.next().await?.is_some() {}
        Ok(())
    }

    fn check_end(&self, end: &End) -> Result<(), CheckpointError> {
        if end.rows != self.reference.rows {
            return Err(CheckpointError::Other("the number of rows"));
        }
        if end.position != self.reference.position {
            return Err(CheckpointError::Other("the position"));
        }
        Ok(())
    }

    fn check_whole(&mut self) -> Result<(), CheckpointError> {
        let Some(decoder) = self.decoder.take() else {
            return Ok(());
        };
        if decoder.finish()? != self.reference.crc {
            return Err(CheckpointError::Other("the checksum"));
        }
        if self.read != self.reference.piece.len {
            return Err(CheckpointError::Other("the length"));
        }
        Ok(())
    }
}

/// Where the bytes of a new checkpoint go.
#[async_trait::async_trait]
pub trait CheckpointSink: Send {
    /// Takes the next bytes; the error says what went wrong.
    async fn write(&mut self, bytes: Bytes) -> Result<(), String>;
}

/// What was written.
#[derive(Debug)]
pub struct Written {
    pub rows: u64,
    pub crc: u32,
    pub bytes: u64,
    /// The segment table of the new checkpoint, with live bytes recounted.
    pub table: TableSnapshot,
}

/// Merges `previous` with the log up to `position` and writes the result. Reads and writes a chunk at a time.
pub async fn write_merged<S: Stream<Item = Result<Bytes, ReadError>> + Unpin>(
    previous: Option<CheckpointReader<S>>,
    delta: LogDelta,
    position: Position,
    sink: &mut impl CheckpointSink,
) -> Result<Written, CheckpointError> {
    let mut output = Output {
        encoder: Encoder::default(),
        bytes: 0,
        sink,
    };
    let mut merge = Merge::new(delta);
    let mut previous_table: Vec<TableEntry> = Vec::new();
    if let Some(mut previous) = previous {
        while let Some(entry) = previous.next().await? {
            match entry {
                CheckpointEntry::Row { key, row } => {
                    while merge.change_before(Some(&key), &mut |key, row| output.encoder.row(key, row)) {
                        output.drain(CHUNK_BYTES).await?;
                    }
                    merge.row(&key, &row, &mut |key, row| output.encoder.row(key, row))?;
                    output.drain(CHUNK_BYTES).await?;
                }
                CheckpointEntry::Segment(entry) => previous_table.push(entry),
                CheckpointEntry::End(_) => {}
            }
        }
    }
    while merge.change_before(None, &mut |key, row| output.encoder.row(key, row)) {
        output.drain(CHUNK_BYTES).await?;
    }
    let table = merge.finish(previous_table, &mut |key, row| output.encoder.row(key, row))?;
    output.drain(CHUNK_BYTES).await?;
    for entry in table.values() {
        output.encoder.segment(entry);
        output.drain(CHUNK_BYTES).await?;
    }
    output.encoder.end(position);
    output.drain(1).await?;
    Ok(Written {
        rows: output.encoder.rows(),
        crc: output.encoder.crc(),
        bytes: output.bytes,
        table,
    })
}

struct Output<'a, W> {
    encoder: Encoder,
    bytes: u64,
    sink: &'a mut W,
}

impl<W: CheckpointSink> Output<'_, W> {
    /// Writes what waits if it is at least `bytes_min`.
    async fn drain(&mut self, bytes_min: usize) -> Result<(), CheckpointError> {
        if self.encoder.pending() < bytes_min {
            return Ok(());
        }
        let mut waiting = self.encoder.take();
        self.bytes += waiting.len() as u64;
        while !waiting.is_empty() {
            let chunk = waiting.split_to(waiting.len().min(CHUNK_BYTES));
            self.sink.write(chunk).await.map_err(CheckpointError::Write)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use futures::stream;

    use super::*;
    use crate::embedded::record::LogRecord;
    use crate::embedded::segment::Piece;
    use crate::embedded::table::tests::{direct, put, row, segment};

    #[derive(Default)]
    struct Memory {
        bytes: Vec<u8>,
        largest: usize,
    }

    #[async_trait::async_trait]
    impl CheckpointSink for Memory {
        async fn write(&mut self, bytes: Bytes) -> Result<(), String> {
            self.largest = self.largest.max(bytes.len());
            self.bytes.extend_from_slice(&bytes);
            Ok(())
        }
    }

    fn position(seq: u64) -> Position {
        Position {
            segment: segment(1).id,
            offset: 4096,
            seq,
            epoch: 1,
        }
    }

    fn reference(written: &Written, at: Position) -> CheckpointRef {
        let piece = Piece {
            segment: segment(8).id,
            offset: 4096,
            len: written.bytes,
        };
        CheckpointRef {
            segment: segment(8),
            piece,
            position: at,
            rows: written.rows,
            crc: written.crc,
        }
    }

    type Source = stream::Iter<std::vec::IntoIter<Result<Bytes, ReadError>>>;

    fn source(bytes: &[u8], step: usize) -> Source {
        let chunks: Vec<_> = bytes
            .chunks(step)
            .map(|chunk| Ok(Bytes::copy_from_slice(chunk)))
            .collect();
        stream::iter(chunks)
    }

    fn delta(keys: std::ops::Range<u32>, seq: u64) -> LogDelta {
        let mut delta = LogDelta::default();
        delta.declare(segment(1));
        let ops = keys
            .map(|n| put(format!("c/{n:06}").as_bytes(), row(seq, direct(&[(1, 100)]), None)))
            .collect();
        let record = LogRecord {
            body_at: 0,
            seq,
            mark: 0,
            len: 0,
            stripes: vec![],
            segments: vec![],
            removed: vec![],
            ops,
        };
        delta.absorb(segment(1).id, record);
        delta
    }

    async fn rows(mut reader: CheckpointReader<Source>) -> Result<Vec<u64>, CheckpointError> {
        let mut revs = Vec::new();
        while let Some(entry) = reader.next().await? {
            if let CheckpointEntry::Row { row, .. } = entry {
                revs.push(row.rev);
            }
        }
        Ok(revs)
    }

    #[tokio::test]
    async fn a_checkpoint_is_merged_upon_another_in_chunks_and_reads_back() {
        let mut first = Memory::default();
        let written = write_merged::<Source>(None, delta(0..9000, 1), position(1), &mut first)
            .await
            .unwrap();
        assert!(first.bytes.len() > CHUNK_BYTES && first.largest <= CHUNK_BYTES);
        let previous = CheckpointReader::new(reference(&written, position(1)), source(&first.bytes, 10_000));
        let mut second = Memory::default();
        let written = write_merged(Some(previous), delta(4000..9500, 2), position(2), &mut second)
            .await
            .unwrap();
        assert_eq!((written.rows, written.table[&segment(1).id].live), (9500, 950_000));
        let reader = CheckpointReader::new(reference(&written, position(2)), source(&second.bytes, 777));
        let revs = rows(reader).await.unwrap();
        assert_eq!(revs.iter().filter(|rev| **rev == 1).count(), 4000);
        assert_eq!(revs.len(), 9500);
    }

    #[tokio::test]
    async fn an_empty_checkpoint_is_whole() {
        let mut memory = Memory::default();
        let written = write_merged::<Source>(None, LogDelta::default(), position(0), &mut memory)
            .await
            .unwrap();
        let reader = CheckpointReader::new(reference(&written, position(0)), source(&memory.bytes, 5));
        reader.verify().await.unwrap();
    }

    #[tokio::test]
    async fn a_reader_refuses_what_its_reference_does_not_speak_of() {
        let mut memory = Memory::default();
        let written = write_merged::<Source>(None, delta(0..10, 1), position(1), &mut memory)
            .await
            .unwrap();
        let good = reference(&written, position(1));
        let read = |reference: CheckpointRef| CheckpointReader::new(reference, source(&memory.bytes, 64)).verify();
        read(good.clone()).await.unwrap();
        assert!(
            read(CheckpointRef {
                rows: 11,
                ..good.clone()
            })
            .await
            .is_err()
        );
        assert!(read(CheckpointRef { crc: 0, ..good.clone() }).await.is_err());
        assert!(
            read(CheckpointRef {
                position: position(2),
                ..good.clone()
            })
            .await
            .is_err()
        );
        assert!(
            read(CheckpointRef {
                piece: Piece { len: 1, ..good.piece },
                ..good.clone()
            })
            .await
            .is_err()
        );
        let cut = memory.bytes.len() - 1;
        let cut = CheckpointReader::new(good.clone(), source(&memory.bytes[..cut], 64));
        assert!(cut.verify().await.is_err());
        let failed = vec![
            Ok(Bytes::copy_from_slice(&memory.bytes[..100])),
            Err(ReadError::Unavailable("drive".into())),
        ];
        let failed = CheckpointReader::new(good, stream::iter(failed));
        assert!(matches!(failed.verify().await, Err(CheckpointError::Read(_))));
    }
}
