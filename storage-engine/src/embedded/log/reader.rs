//! Reads records of a log segment back from the shard files that are present. It reports what stands at an offset and
//! never decides what counts.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::runtime::Handle;

use crate::embedded::drive::{Drive, Lane, ShardFile};
use crate::embedded::frame::{FRAME_HEADER_BYTES, FrameKind, FramePlace, RECORD_ALIGN, parse_header, verify};
use crate::embedded::id::DriveId;
use crate::embedded::record::{LogRecord, from_cbor};
use crate::embedded::segment::Segment;

/// Bytes read at once: the metadata of many small records, one after the other.
const WINDOW_BYTES: usize = 256 * 1024;

/// The drives that a log is read from. One that does not answer in time counts as missing from then on, so that it is
/// waited for once. To be asked where blocking is allowed.
pub struct LogDrives {
    drives: Vec<Arc<Drive>>,
    patience: Duration,
    runtime: Handle,
    silent: Mutex<BTreeSet<DriveId>>,
}

impl LogDrives {
    /// Waits up to `patience` for each answer. To be called on a thread of the runtime.
    pub fn new(drives: Vec<Arc<Drive>>, patience: Duration) -> Self {
        Self {
            drives,
            patience,
            runtime: Handle::current(),
            silent: Mutex::default(),
        }
    }

    fn is_silent(&self, drive: &Drive) -> bool {
        self.silent.lock().contains(&drive.id())
    }

    /// Has a drive's read lane do a job.
    fn ask<T: Send + 'static>(
        &self,
        drive: &Arc<Drive>,
        job: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        if self.is_silent(drive) {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let asked = async { tokio::time::timeout(self.patience, drive.run(Lane::Read, job)).await };
        self.runtime.block_on(asked).unwrap_or_else(|_| {
            let waited = self.patience;
            tracing::warn!(path = %drive.path().display(), ?waited, "a drive does not answer and is taken for missing");
            self.silent.lock().insert(drive.id());
            Err(io::ErrorKind::TimedOut.into())
        })
    }
}

/// An open shard file and the drive that has it.
type Shard = (Arc<Drive>, ShardFile);

/// A stretch of a shard file that was read.
struct Window {
    offset: u64,
    bytes: Bytes,
}

/// A log segment with the shard files that could be opened.
pub struct LogReader {
    segment: Segment,
    drives: Arc<LogDrives>,
    shards: Vec<Option<Shard>>,
    /// The last stretch of each shard that was read: records are read one after the other.
    windows: Mutex<BTreeMap<u8, Window>>,
}

/// The record at an offset.
#[derive(Clone, Debug)]
pub struct FoundRecord {
    pub offset: u64,
    pub record: LogRecord,
}

impl LogReader {
    /// Opens what `drives` have of the segment; drives that err count as absent and are named in the second value.
    pub fn open(segment: &Segment, drives: &Arc<LogDrives>) -> (Self, Vec<(DriveId, io::Error)>) {
        let mut errors = Vec::new();
        let mut shards = Vec::with_capacity(segment.geometry.shards());
        for (index, hint) in segment.drives.iter().enumerate() {
            let shard = u8::try_from(index).unwrap_or(u8::MAX);
            let mut found = None;
            // Any member's file with the right id and index counts; the drive list is a hint.
            let all = &drives.drives;
            let hinted = all.iter().filter(|d| d.id() == *hint);
            for drive in hinted.chain(all.iter().filter(|d| d.id() != *hint)) {
                let (kind, id) = (segment.kind, segment.id);
                if !drive.holds_shard(kind, id, shard) {
                    continue;
                }
                let on = Arc::clone(drive);
                match drives.ask(drive, move || on.open_shard(kind, id, shard)) {
                    Ok(Some(file)) => {
                        found = Some((Arc::clone(drive), file));
                        break;
                    }
                    Ok(None) => {}
                    Err(error) => errors.push((drive.id(), error)),
                }
            }
            shards.push(found);
        }
        let reader = Self {
            segment: segment.clone(),
            drives: Arc::clone(drives),
            shards,
            windows: Mutex::default(),
        };
        (reader, errors)
    }

    /// How many of the segment's shard files are on drives that answer.
    pub fn present(&self) -> usize {
        self.files().count()
    }

    pub fn segment(&self) -> &Segment {
        &self.segment
    }

    fn files(&self) -> impl Iterator<Item = (u8, &Shard)> {
        let numbered = (0u8..).zip(&self.shards);
        let open = numbered.filter_map(|(shard, file)| Some((shard, file.as_ref()?)));
        open.filter(|(_, (drive, _))| !self.drives.is_silent(drive))
    }

    fn read(&self, (drive, file): &Shard, offset: u64, len: usize) -> Option<Bytes> {
        let file = file.clone();
        self.drives.ask(drive, move || file.read_at(offset, len)).ok()
    }

    /// At least `len` bytes at `offset`, or all up to the end of the file.
    fn read_ahead(&self, shard: u8, file: &Shard, offset: u64, len: usize) -> Option<Bytes> {
        let within = |window: &Window| {
            let skip = usize::try_from(offset.checked_sub(window.offset)?).ok()?;
            let whole = window.bytes.len() >= skip.checked_add(len)?;
            whole.then(|| window.bytes.slice(skip..))
        };
        if let Some(bytes) = self.windows.lock().get(&shard).and_then(within) {
            return Some(bytes);
        }
        let bytes = self.read(file, offset, len.max(WINDOW_BYTES))?;
        let window = Window {
            offset,
            bytes: bytes.clone(),
        };
        self.windows.lock().insert(shard, window);
        Some(bytes)
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
        let len = |(drive, file): &Shard| {
            let file = file.clone();
            self.drives.ask(drive, move || file.len()).ok()
        };
        let end = self.files().filter_map(|(_, file)| len(file)).max().unwrap_or(0);
        let mut at = offset + RECORD_ALIGN;
        while at < end {
            if let Some(found) = self.record_at(at) {
                return Some(found);
            }
            at += RECORD_ALIGN;
        }
        None
    }

    fn read_copy(&self, shard: u8, file: &Shard, offset: u64) -> Option<LogRecord> {
        let place = FramePlace {
            segment: self.segment.id,
            shard,
            offset,
        };
        let mut bytes = self.read_ahead(shard, file, offset, FRAME_HEADER_BYTES)?;
        let header = parse_header(&place, bytes.get(..FRAME_HEADER_BYTES)?).ok()?;
        if header.kind != FrameKind::Record {
            return None;
        }
        let frame_len = FRAME_HEADER_BYTES + usize::try_from(header.payload_len).ok()?;
        if bytes.len() < frame_len {
            bytes = self.read_ahead(shard, file, offset, frame_len)?;
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
                self.read(file, at, frame_len)
                    .is_some_and(|bytes| verify(&place, &bytes).is_ok())
            });
            if good.count() < usize::from(geometry.data) {
                return false;
            }
            at += frame_len as u64;
        }
        true
    }
}
