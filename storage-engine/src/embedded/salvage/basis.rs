//! The checkpoint to begin from: the newest that can be read to its end; else the beginning of one that the root names,
//! whose place in the log is known; else none. A checkpoint that no root names counts only if it is whole.

use std::sync::Arc;

use futures::StreamExt;
use futures::TryStreamExt;
use futures::stream::BoxStream;

use super::RowsFrom;
use super::shelf::Shelf;
use crate::embedded::checkpoint::{CheckpointEntry, CheckpointRef, Decoder, Position};
use crate::embedded::frame::{FRAME_HEADER_BYTES, FrameKind, FramePlace, SHARD_HEADER_BYTES, parse_header};
use crate::embedded::id::SegmentId;
use crate::embedded::record::RowRecord;
use crate::embedded::root::Root;
use crate::embedded::segment::{Piece, Segment, SegmentKind, SegmentReader};

/// A checkpoint on the drives.
#[derive(Clone)]
struct Candidate {
    segment: Arc<Segment>,
    piece: Piece,
    /// What the root says it must be.
    named: Option<CheckpointRef>,
}

/// What was read of one.
#[derive(Default)]
struct Reading {
    rows: u64,
    last_key: Option<Vec<u8>>,
    /// Where it stands in the log, if it was read to its end.
    position: Option<Position>,
    segments: Vec<Segment>,
    problem: String,
}

/// Rows of a checkpoint, one after the other, as far as they can be read.
pub(super) struct Entries {
    bytes: BoxStream<'static, Result<bytes::Bytes, String>>,
    decoder: Option<Decoder>,
    named: Option<CheckpointRef>,
}

impl Entries {
    fn of(candidate: &Candidate, reader: &SegmentReader) -> Self {
        let piece = candidate.piece;
        let bytes = reader.read_piece(Arc::clone(&candidate.segment), piece, 0..piece.len);
        Self {
            bytes: bytes.map_err(|error| error.to_string()).boxed(),
            decoder: Some(Decoder::default()),
            named: candidate.named.clone(),
        }
    }

    /// The next entry; `None` at its end, when all of it was found right.
    async fn next(&mut self) -> Result<Option<CheckpointEntry>, String> {
        while let Some(decoder) = &mut self.decoder {
            if let Some(entry) = decoder.next_entry().map_err(|error| error.to_string())? {
                return Ok(Some(entry));
            }
            match self.bytes.try_next().await? {
                Some(bytes) => decoder.push(&bytes),
                None => {
                    let Some(decoder) = self.decoder.take() else {
                        return Ok(None);
                    };
                    let crc = decoder.finish().map_err(|error| error.to_string())?;
                    if self.named.as_ref().is_some_and(|named| named.crc != crc) {
                        return Err("it is not the one that the root names".into());
                    }
                }
            }
        }
        Ok(None)
    }

    /// The next row; `None` behind the last.
    ///
    /// # Errors
    /// Why the rest cannot be read.
    pub(super) async fn next_row(&mut self) -> Result<Option<(Vec<u8>, RowRecord)>, String> {
        loop {
            match self.next().await? {
                Some(CheckpointEntry::Row { key, row }) => return Ok(Some((key.into(), row))),
                Some(CheckpointEntry::Segment(_) | CheckpointEntry::End(_)) => {}
                None => return Ok(None),
            }
        }
    }
}

/// A checkpoint that breaks off, and what the root says it is.
struct Beginning {
    candidate: Candidate,
    named: CheckpointRef,
    reading: Reading,
}

enum Found {
    Whole(Box<Candidate>, Position),
    Beginning(Box<Beginning>),
    Nothing,
}

/// What rows are read from before the log.
pub(super) struct Basis {
    found: Found,
    notes: Vec<String>,
}

impl Basis {
    /// Reads checkpoints until one is whole.
    pub(super) async fn find(root: Option<&Root>, shelf: &mut Shelf, reader: &SegmentReader) -> Self {
        let candidates = match root {
            Some(root) => named(root, shelf),
            None => unnamed(shelf),
        };
        let (mut notes, mut best) = (Vec::new(), None::<(Candidate, Reading)>);
        let mut newest = None::<(Candidate, Position, Vec<Segment>)>;
        for candidate in candidates {
            let reading = read(&candidate, reader).await;
            let Some(position) = reading.position else {
                let (id, problem) = (candidate.segment.id, &reading.problem);
                notes.push(format!("checkpoint {id} cannot be read to its end: {problem}"));
                if best.as_ref().is_none_or(|(_, before)| before.rows < reading.rows) {
                    best = Some((candidate, reading));
                }
                continue;
            };
            if root.is_some() {
                // They come newest first.
                newest = Some((candidate, position, reading.segments));
                break;
            }
            let age = |position: &Position| (position.epoch, position.seq);
            if newest
                .as_ref()
                .is_none_or(|(_, before, _)| age(before) < age(&position))
            {
                newest = Some((candidate, position, reading.segments));
            }
        }
        if let Some((candidate, position, segments)) = newest {
            shelf.declare(segments);
            // What an older checkpoint lacks, the longer log behind it has.
            notes.clear();
            return Self {
                found: Found::Whole(Box::new(candidate), position),
                notes,
            };
        }
        let begun = best.and_then(|(candidate, reading)| {
            let named = candidate.named.clone().filter(|_| reading.rows > 0)?;
            Some(Found::Beginning(Box::new(Beginning {
                candidate,
                named,
                reading,
            })))
        });
        notes.push(
            "without a whole checkpoint not all names are known: objects may be missing here that are not even in the \
             report, and what was deleted or replaced long ago may be here again"
                .into(),
        );
        Self {
            found: begun.unwrap_or(Found::Nothing),
            notes,
        }
    }

    pub(super) fn notes(&self) -> Vec<String> {
        self.notes.clone()
    }

    /// Up to where in the log its rows are told.
    pub(super) fn position(&self) -> Option<Position> {
        match &self.found {
            Found::Whole(_, position) => Some(*position),
            Found::Beginning(begun) => Some(begun.named.position),
            Found::Nothing => None,
        }
    }

    /// The log before its position says nothing more.
    pub(super) fn is_whole(&self) -> bool {
        match &self.found {
            Found::Whole(..) => true,
            Found::Beginning(..) | Found::Nothing => false,
        }
    }

    /// Rows that it and the log after it tell stand for sure.
    pub(super) fn is_known(&self) -> bool {
        match &self.found {
            Found::Whole(..) | Found::Beginning(..) => true,
            Found::Nothing => false,
        }
    }

    /// The last key it tells of, where it breaks off.
    pub(super) fn last_key(&self) -> Option<Vec<u8>> {
        match &self.found {
            Found::Beginning(begun) => begun.reading.last_key.clone(),
            Found::Whole(..) | Found::Nothing => None,
        }
    }

    /// How many rows it must give when it is read again; one that was read to its end must not end early at all.
    pub(super) fn rows_known(&self) -> u64 {
        match &self.found {
            Found::Whole(..) => u64::MAX,
            Found::Beginning(begun) => begun.reading.rows,
            Found::Nothing => 0,
        }
    }

    pub(super) fn rows_from(&self) -> RowsFrom {
        match &self.found {
            Found::Whole(..) => RowsFrom::Checkpoint,
            Found::Beginning(begun) => RowsFrom::PartOfCheckpoint {
                rows_read: begun.reading.rows,
                rows_named: begun.named.rows,
            },
            Found::Nothing => RowsFrom::LogOnly,
        }
    }

    /// Its rows, from the first.
    pub(super) fn open(&self, reader: &SegmentReader) -> Option<Entries> {
        match &self.found {
            Found::Whole(candidate, _) => Some(Entries::of(candidate, reader)),
            Found::Beginning(begun) => Some(Entries::of(&begun.candidate, reader)),
            Found::Nothing => None,
        }
    }
}

async fn read(candidate: &Candidate, reader: &SegmentReader) -> Reading {
    let mut entries = Entries::of(candidate, reader);
    let (mut reading, mut position) = (Reading::default(), None);
    loop {
        match entries.next().await {
            Ok(Some(CheckpointEntry::Row { key, .. })) => {
                reading.rows += 1;
                reading.last_key = Some(key.into());
            }
            Ok(Some(CheckpointEntry::Segment(entry))) => reading.segments.push(entry.segment),
            Ok(Some(CheckpointEntry::End(end))) => position = Some(end.position),
            Ok(None) => {
                let named = candidate.named.as_ref().map(|named| named.position);
                let fits = named.is_none_or(|named| Some(named) == position);
                reading.position = position.filter(|_| fits);
                if !fits {
                    reading.problem = "it is not the one that the root names".into();
                }
                return reading;
            }
            Err(problem) => {
                reading.problem = problem;
                return reading;
            }
        }
    }
}

/// Those that the root names, newest first.
fn named(root: &Root, shelf: &mut Shelf) -> Vec<Candidate> {
    shelf.declare(root.checkpoints.iter().map(|named| named.segment.clone()));
    let candidates = root.checkpoints.iter().rev().filter_map(|named| {
        Some(Candidate {
            segment: Arc::new(shelf.segment(named.segment.id)?),
            piece: named.piece,
            named: Some(named.clone()),
        })
    });
    candidates.collect()
}

/// All that are on the drives. How long each is, its frames say.
fn unnamed(shelf: &mut Shelf) -> Vec<Candidate> {
    let ids = shelf.in_folder(SegmentKind::Checkpoint);
    let candidates = ids.into_iter().filter_map(|id| {
        let segment = shelf.segment(id)?;
        let len = data_bytes(shelf, id)?;
        Some(Candidate {
            segment: Arc::new(segment),
            piece: Piece {
                segment: id,
                offset: SHARD_HEADER_BYTES,
                len,
            },
            named: None,
        })
    });
    candidates.collect()
}

/// The data in the stripes of a segment, from the first to the last; `None` if one of them cannot be found.
fn data_bytes(shelf: &Shelf, id: SegmentId) -> Option<u64> {
    let (mut at, mut data, end) = (SHARD_HEADER_BYTES, 0_u64, shelf.longest(id));
    while at < end {
        let header = shelf.in_any(id, (at, FRAME_HEADER_BYTES), |shard, bytes| {
            let place = FramePlace {
                segment: id,
                shard,
                offset: at,
            };
            let header = parse_header(&place, bytes).ok()?;
            (header.kind == FrameKind::Stripe).then_some(header)
        })?;
        data = data.checked_add(u64::from(header.data_len))?;
        at = at.checked_add(FRAME_HEADER_BYTES as u64 + u64::from(header.payload_len))?;
    }
    Some(data)
}
