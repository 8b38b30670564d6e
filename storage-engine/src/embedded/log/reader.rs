//! Reads records of a log segment back from the shard files that are present. It reports what stands at an offset and
//! never decides what counts.

use std::io;
use std::sync::Arc;

use crate::embedded::drive::{Drive, ShardFile};
use crate::embedded::frame::{FRAME_HEADER_BYTES, FrameKind, FramePlace, RECORD_ALIGN, parse_header, verify};
use crate::embedded::id::DriveId;
use crate::embedded::record::{LogRecord, from_cbor};
use crate::embedded::segment::Segment;

/// Bytes read at once; most records' metadata fits.
const WINDOW_BYTES: usize = 32 * 1024;

/// A log segment with the shard files that could be opened.
pub struct LogReader {
    segment: Segment,
    shards: Vec<Option<ShardFile>>,
}

/// The record at an offset.
#[derive(Clone, Debug)]
pub struct FoundRecord {
    pub offset: u64,
    pub record: LogRecord,
}

impl LogReader {
    /// Opens what `find` has of the segment; drives that err count as absent and are named in the second value.
    pub fn open(segment: &Segment, drives: &[Arc<Drive>]) -> (Self, Vec<(DriveId, io::Error)>) {
        let mut errors = Vec::new();
        let mut shards = Vec::with_capacity(segment.geometry.shards());
        for (index, hint) in segment.drives.iter().enumerate() {
            let shard = u8::try_from(index).unwrap_or(u8::MAX);
            let mut found = None;
            // Any member's file with the right id and index counts; the drive list is a hint.
            let hinted = drives.iter().filter(|d| d.id() == *hint);
            for drive in hinted.chain(drives.iter().filter(|d| d.id() != *hint)) {
                match drive.open_shard(segment.kind, segment.id, shard) {
                    Ok(Some(file)) => {
                        found = Some(file);
                        break;
                    }
                    Ok(None) => {}
                    Err(error) => errors.push((drive.id(), error)),
                }
            }
            shards.push(found);
        }
        (
            Self {
                segment: segment.clone(),
                shards,
            },
            errors,
        )
    }

    /// How many of the segment's shard files are present.
    pub fn present(&self) -> usize {
        self.shards.iter().flatten().count()
    }

    pub fn segment(&self) -> &Segment {
        &self.segment
    }

    fn files(&self) -> impl Iterator<Item = (u8, &ShardFile)> {
        self.shards
            .iter()
            .enumerate()
            .filter_map(|(i, file)| Some((u8::try_from(i).ok()?, file.as_ref()?)))
    }

    /// The record at `offset`, from the first shard file that has a good copy; `None` if no present one has.
    pub fn record_at(&self, offset: u64) -> Option<FoundRecord> {
        self.files().find_map(|(shard, file)| {
            let record = self.read_copy(shard, file, offset)?;
            Some(FoundRecord { offset, record })
        })
    }

    /// The first readable record behind `offset`. A record there proves that what stands at `offset` was acknowledged.
    pub fn next_readable(&self, offset: u64) -> Option<FoundRecord> {
        let end = self.files().filter_map(|(_, file)| file.len().ok()).max().unwrap_or(0);
        let mut at = offset + RECORD_ALIGN;
        while at < end {
            if let Some(found) = self.record_at(at) {
                return Some(found);
            }
            at += RECORD_ALIGN;
        }
        None
    }

    fn read_copy(&self, shard: u8, file: &ShardFile, offset: u64) -> Option<LogRecord> {
        let place = FramePlace {
            segment: self.segment.id,
            shard,
            offset,
        };
        let mut bytes = file.read_at(offset, WINDOW_BYTES).ok()?;
        let header = parse_header(&place, bytes.get(..FRAME_HEADER_BYTES)?).ok()?;
        if header.kind != FrameKind::Record {
            return None;
        }
        let frame_len = FRAME_HEADER_BYTES + usize::try_from(header.payload_len).ok()?;
        if bytes.len() < frame_len {
            bytes = file.read_at(offset, frame_len).ok()?;
        }
        let (_, payload) = verify(&place, bytes.get(..frame_len)?).ok()?;
        let record: LogRecord = from_cbor("log record", payload).ok()?;
        let sane = record.mark <= offset && record.len >= RECORD_ALIGN && record.len.is_multiple_of(RECORD_ALIGN);
        sane.then_some(record)
    }

    /// Whether k shards of every stripe of the record verify.
    pub fn is_whole(&self, found: &FoundRecord) -> bool {
        let geometry = self.segment.geometry;
        let mut at = found.offset + u64::from(found.record.body_at);
        for data_len in &found.record.stripes {
            let frame_len = FRAME_HEADER_BYTES + geometry.shard_bytes(*data_len as usize);
            let good = self.files().filter(|(shard, file)| {
                let place = FramePlace {
                    segment: self.segment.id,
                    shard: *shard,
                    offset: at,
                };
                file.read_at(at, frame_len)
                    .is_ok_and(|bytes| verify(&place, &bytes).is_ok())
            });
            if good.count() < usize::from(geometry.data) {
                return false;
            }
            at += frame_len as u64;
        }
        true
    }
}
