//! One shard file from its header to its end: what frames stand there, and whether each verifies in its place.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

use crate::embedded::drive::{Drive, ShardFile, ShardListing};
use crate::embedded::erasure::Geometry;
use crate::embedded::frame::{
    FRAME_HEADER_BYTES, FrameError, FrameKind, FramePlace, RECORD_ALIGN, SHARD_HEADER_BYTES, ShardHeader, parse_header,
    verify,
};
use crate::embedded::id::SegmentId;
use crate::embedded::record::{LogRecord, RowOp, from_cbor};
use crate::embedded::segment::{SegmentKind, stripe_file_bytes};

/// Bytes that are looked through at once for the next header.
const SOUGHT_BYTES: usize = 64 * 1024;

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

/// A shard file, opened if it can be.
struct Opened<'a> {
    drive: &'a Drive,
    listed: ShardListing,
    file: io::Result<ShardFile>,
}

/// The shard files of a segment on these drives.
pub(super) fn of(drives: &[Arc<Drive>], id: SegmentId) -> Vec<ShardSeen> {
    let open = |drive: &'_ Drive, listed: &ShardListing| -> io::Result<ShardFile> {
        let file = drive.open_shard(listed.kind_hint, listed.segment, listed.shard)?;
        file.ok_or_else(|| io::ErrorKind::NotFound.into())
    };
    let mut all = Vec::new();
    for drive in drives {
        let listed = drive.list_shards().unwrap_or_default();
        for listed in listed.into_iter().filter(|listed| listed.segment == id) {
            let file = open(drive, &listed);
            all.push(Opened { drive, listed, file });
        }
    }
    all.iter().map(|one| shard(one, &all)).collect()
}

fn shard(one: &Opened<'_>, all: &[Opened<'_>]) -> ShardSeen {
    let (drive, listed) = (one.drive, &one.listed);
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
    let problem = match &one.file {
        Ok(file) => walk(file, listed, all, &mut seen).err().map(|error| error.to_string()),
        Err(error) => Some(error.to_string()),
    };
    seen.problem = problem.unwrap_or_default();
    seen
}

/// A shard file that is walked through, and all of its segment: in each a frame stands at the same offset.
struct Walk<'a> {
    file: &'a ShardFile,
    listed: &'a ShardListing,
    all: &'a [Opened<'a>],
    /// As some header says.
    geometry: Option<Geometry>,
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

impl Walk<'_> {
    /// Where the frame behind this one begins. What a lost header does not tell, the same place in another shard file
    /// does; where none does, the next header is sought that holds.
    fn behind(&self, frame: &FrameSeen, data_bytes: Option<u32>, end: u64) -> io::Result<u64> {
        let at = frame.offset;
        if frame.kind.is_some() {
            return Ok(at.saturating_add(frame_bytes(frame.payload_bytes)));
        }
        if let (Some(geometry), Some(data_bytes)) = (self.geometry, data_bytes) {
            return Ok(at.saturating_add(stripe_file_bytes(geometry, data_bytes as usize)));
        }
        let told = self.all.iter().find_map(|other| {
            let head = other.file.as_ref().ok()?.read_at(at, FRAME_HEADER_BYTES).ok()?;
            let place = FramePlace {
                segment: other.listed.segment,
                shard: other.listed.shard,
                offset: at,
            };
            Some(parse_header(&place, &head).ok()?.payload_len)
        });
        match told {
            Some(payload_bytes) => Ok(at.saturating_add(frame_bytes(payload_bytes))),
            None => self.sought(at.saturating_add(1), end),
        }
    }

    /// The next place from `from` on where a header holds; `end` if none does.
    fn sought(&self, from: u64, end: u64) -> io::Result<u64> {
        let mut at = from;
        while at < end {
            let window = self.file.read_at(at, SOUGHT_BYTES + FRAME_HEADER_BYTES)?;
            let mut places = (at..end).zip(window.windows(FRAME_HEADER_BYTES)).take(SOUGHT_BYTES);
            if let Some((found, _)) = places.find(|(offset, bytes)| parse_header(&self.place(*offset), bytes).is_ok()) {
                return Ok(found);
            }
            at = at.saturating_add(SOUGHT_BYTES as u64);
        }
        Ok(end)
    }
}

fn told(error: &FrameError) -> String {
    error.to_string()
}

fn header_of(file: &ShardFile, listed: &ShardListing) -> io::Result<Result<ShardHeader, String>> {
    let head = file.read_at(0, usize::try_from(SHARD_HEADER_BYTES).unwrap_or(usize::MAX))?;
    Ok(ShardHeader::decode(listed.segment, listed.shard, &head).map_err(|error| error.to_string()))
}

fn walk(file: &ShardFile, listed: &ShardListing, all: &[Opened<'_>], seen: &mut ShardSeen) -> io::Result<()> {
    seen.header = header_of(file, listed)?;
    let other = || {
        let headers = all
            .iter()
            .filter_map(|other| header_of(other.file.as_ref().ok()?, &other.listed).ok()?.ok());
        headers.map(|header| header.geometry).next()
    };
    let walk = Walk {
        file,
        listed,
        all,
        geometry: seen.header.as_ref().ok().map(|header| header.geometry).or_else(other),
    };
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
        for data_bytes in &record.stripes {
            let (frame, _) = walk.frame(stripe)?;
            stripe = walk.behind(&frame, Some(*data_bytes), end)?;
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
        at = walk.behind(&frame, None, end)?;
        seen.frames.push(frame);
    }
    Ok(end)
}

fn frame_bytes(payload_bytes: u32) -> u64 {
    FRAME_HEADER_BYTES as u64 + u64::from(payload_bytes)
}
