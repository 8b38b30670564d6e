//! One shard file from its header to its end: what frames stand there, and whether each verifies in its place.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

use crate::embedded::drive::{Drive, ShardFile, ShardListing};
use crate::embedded::frame::{
    FRAME_HEADER_BYTES, FrameError, FrameKind, FramePlace, RECORD_ALIGN, SHARD_HEADER_BYTES, ShardHeader, parse_header,
    verify,
};
use crate::embedded::id::SegmentId;
use crate::embedded::record::{LogRecord, RowOp, from_cbor};
use crate::embedded::segment::{SegmentKind, stripe_file_bytes};

/// What a log record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordSeen {
    pub seq: u64,
    /// Everything before this offset of the segment is acknowledged.
    pub mark: u64,
    /// Bytes of the whole record.
    pub bytes: u64,
    pub puts: usize,
    pub deletes: usize,
    /// Small bodies in it.
    pub bodies: usize,
}

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameSeen {
    /// Where it begins in its shard file.
    pub offset: u64,
    /// `None` where no header can be read.
    pub kind: Option<FrameKind>,
    pub payload_bytes: u32,
    /// Data bytes of its whole stripe; 0 for other frames.
    pub data_bytes: u32,
    /// Why it does not verify; empty if it does.
    pub problem: String,
    pub record: Option<RecordSeen>,
}

/// One shard file.
#[derive(Clone, Debug)]
pub struct ShardSeen {
    /// The drive that has it.
    pub drive: PathBuf,
    pub segment: String,
    pub shard: u8,
    pub bytes: u64,
    /// What its header says; the error if it cannot be read.
    pub header: Result<ShardHeader, String>,
    /// In the order of the file. Of a log they end with the last that verifies.
    pub frames: Vec<FrameSeen>,
    /// Bytes behind the last frame: of a log what was never written, or is void.
    pub rest_bytes: u64,
    /// Why the file could not be read to its end; empty if it could.
    pub problem: String,
}

impl ShardSeen {
    /// Frames that do not verify.
    pub fn damaged(&self) -> usize {
        self.frames.iter().filter(|frame| !frame.problem.is_empty()).count()
    }
}

/// The shard files of a segment on one drive.
pub(super) fn of(drive: &Arc<Drive>, id: SegmentId) -> Vec<ShardSeen> {
    let listed = drive.list_shards().unwrap_or_default();
    let wanted = listed.into_iter().filter(|listed| listed.segment == id);
    wanted.map(|listed| shard(drive, &listed)).collect()
}

fn shard(drive: &Drive, listed: &ShardListing) -> ShardSeen {
    let mut seen = ShardSeen {
        drive: drive.path().to_owned(),
        segment: listed.segment.to_string(),
        shard: listed.shard,
        bytes: listed.bytes,
        header: Err("it was not read".into()),
        frames: Vec::new(),
        rest_bytes: 0,
        problem: String::new(),
    };
    let walked = match drive.open_shard(listed.kind_hint, listed.segment, listed.shard) {
        Ok(Some(file)) => walk(&file, listed, &mut seen),
        Ok(None) => Err(io::ErrorKind::NotFound.into()),
        Err(error) => Err(error),
    };
    if let Err(error) = walked {
        seen.problem = error.to_string();
    }
    seen
}

/// A shard file and the frame that is looked at.
struct Walk<'a> {
    file: &'a ShardFile,
    listed: &'a ShardListing,
}

impl Walk<'_> {
    fn place(&self, offset: u64) -> FramePlace {
        FramePlace {
            segment: self.listed.segment,
            shard: self.listed.shard,
            offset,
        }
    }

    /// The frame at an offset, and its payload if it verifies.
    fn frame(&self, offset: u64) -> io::Result<(FrameSeen, Option<Bytes>)> {
        let place = self.place(offset);
        let mut seen = FrameSeen {
            offset,
            kind: None,
            payload_bytes: 0,
            data_bytes: 0,
            problem: String::new(),
            record: None,
        };
        let head = self.file.read_at(offset, FRAME_HEADER_BYTES)?;
        let header = match parse_header(&place, &head) {
            Ok(header) => header,
            Err(error) => {
                seen.problem = told(&error);
                return Ok((seen, None));
            }
        };
        (seen.kind, seen.payload_bytes, seen.data_bytes) = (Some(header.kind), header.payload_len, header.data_len);
        let whole = FRAME_HEADER_BYTES + usize::try_from(header.payload_len).unwrap_or(usize::MAX / 2);
        let bytes = self.file.read_at(offset, whole)?;
        match verify(&place, &bytes) {
            Ok((_, payload)) => {
                let payload = bytes.slice_ref(payload);
                Ok((seen, Some(payload)))
            }
            Err(error) => {
                seen.problem = told(&error);
                Ok((seen, None))
            }
        }
    }
}

fn told(error: &FrameError) -> String {
    error.to_string()
}

fn walk(file: &ShardFile, listed: &ShardListing, seen: &mut ShardSeen) -> io::Result<()> {
    let walk = Walk { file, listed };
    let head = file.read_at(0, usize::try_from(SHARD_HEADER_BYTES).unwrap_or(usize::MAX))?;
    seen.header = ShardHeader::decode(listed.segment, listed.shard, &head).map_err(|error| error.to_string());
    let end = file.len()?;
    let last = match listed.kind_hint {
        SegmentKind::Log => records(&walk, end, seen)?,
        SegmentKind::Extent | SegmentKind::Pack | SegmentKind::Checkpoint => stripes(&walk, end, seen)?,
    };
    seen.rest_bytes = end.saturating_sub(last);
    Ok(())
}

/// The frames of a log, up to the end of the last record that can be read.
fn records(walk: &Walk<'_>, end: u64, seen: &mut ShardSeen) -> io::Result<u64> {
    let (mut at, mut last) = (SHARD_HEADER_BYTES, SHARD_HEADER_BYTES);
    let mut unread: Option<FrameSeen> = None;
    while at < end {
        let (mut frame, payload) = walk.frame(at)?;
        let record = payload.and_then(|payload| from_cbor::<LogRecord>("log record", &payload).ok());
        let record = record.filter(|record| frame.kind == Some(FrameKind::Record) && record.len >= RECORD_ALIGN);
        let Some(record) = record else {
            // Damage only if a record stands further on; else it is the log's end.
            if frame.problem.is_empty() {
                frame.problem = "no log record stands here".into();
            }
            unread.get_or_insert(frame);
            at += RECORD_ALIGN;
            continue;
        };
        seen.frames.extend(unread.take());
        frame.record = Some(summary(&record));
        seen.frames.push(frame);
        let mut stripe = at + u64::from(record.body_at);
        for _ in &record.stripes {
            let (frame, _) = walk.frame(stripe)?;
            stripe += frame_bytes(&frame);
            seen.frames.push(frame);
        }
        at += record.len.next_multiple_of(RECORD_ALIGN);
        last = at;
    }
    Ok(last.min(end))
}

fn summary(record: &LogRecord) -> RecordSeen {
    let puts = record.ops.iter().filter(|op| matches!(op, RowOp::Put { .. })).count();
    RecordSeen {
        seq: record.seq,
        mark: record.mark,
        bytes: record.len,
        puts,
        deletes: record.ops.len() - puts,
        bodies: record.stripes.len(),
    }
}

/// The stripes of an extent, pack or checkpoint: back to back, all but the last of a body full.
fn stripes(walk: &Walk<'_>, end: u64, seen: &mut ShardSeen) -> io::Result<u64> {
    let mut at = SHARD_HEADER_BYTES;
    while at < end {
        let (frame, _) = walk.frame(at)?;
        let step = match (frame.kind, &seen.header) {
            (Some(_), _) => frame_bytes(&frame),
            // Where a header is lost, the next frame is sought where it stands if this one is full.
            (None, Ok(header)) => stripe_file_bytes(header.geometry, header.geometry.stripe_bytes_max()),
            (None, Err(_)) => end - at,
        };
        seen.frames.push(frame);
        at = at.saturating_add(step.max(1));
    }
    Ok(end)
}

fn frame_bytes(frame: &FrameSeen) -> u64 {
    FRAME_HEADER_BYTES as u64 + u64::from(frame.payload_bytes)
}
