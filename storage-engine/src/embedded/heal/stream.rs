//! Reading one shard of a segment from its first frame to its last, from every drive that has a file of it. Each frame is
//! verified at its place; nothing is written.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::timeout;

use crate::embedded::drive::{Lane, ShardFile};
use crate::embedded::frame::{
    FRAME_HEADER_BYTES, FrameHeader, FrameKind, FramePlace, SHARD_HEADER_BYTES, ShardHeader, ShardHeaderError,
    parse_header, verify,
};
use crate::embedded::id::{DriveId, StoreId};
use crate::embedded::segment::{PresentDrive, Segment};

/// Bytes read at once.
const WINDOW_BYTES: usize = 512 * 1024;
/// A drive that has not answered after this long is out of reach.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// Why a frame cannot be had from a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NoFrame {
    /// The drive does not answer now: nothing is known about the frame.
    Away(String),
    /// It is not there, cannot be read, or does not verify.
    Bad(String),
    /// A newer program wrote it: neither data nor damage.
    Newer,
}

impl NoFrame {
    fn of_io(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotConnected
            | io::ErrorKind::TimedOut
            | io::ErrorKind::Interrupted
            | io::ErrorKind::ResourceBusy
            | io::ErrorKind::OutOfMemory => Self::Away(error.to_string()),
            _ => Self::Bad(error.to_string()),
        }
    }
}

/// Does a job on the read lane of a drive, for a limited time.
async fn ask<T: Send + 'static>(
    on: &PresentDrive,
    job: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, NoFrame> {
    match timeout(ANSWER_WITHIN, on.drive.run(Lane::Read, job)).await {
        Ok(answer) => answer.map_err(|error| NoFrame::of_io(&error)),
        Err(_) => Err(NoFrame::Away(format!("no answer for {} s", ANSWER_WITHIN.as_secs()))),
    }
}

/// One file of a shard, read forward.
pub(super) struct FileStream {
    on: PresentDrive,
    file: ShardFile,
    shard: u8,
    window: (u64, Bytes),
}

impl FileStream {
    pub(super) fn new(on: PresentDrive, file: ShardFile, shard: u8) -> Self {
        let window = (0, Bytes::new());
        Self {
            on,
            file,
            shard,
            window,
        }
    }

    /// Opens what a drive has of a shard, and has it read from media instead of from memory.
    pub(super) async fn open(on: &PresentDrive, segment: &Segment, shard: u8) -> Result<Self, NoFrame> {
        let (drive, kind, id) = (on.drive.clone(), segment.kind, segment.id);
        let opened = ask(on, move || {
            let file = drive.open_afresh(kind, id, shard)?;
            Ok(file.inspect(ShardFile::drop_cache))
        });
        match opened.await? {
            Some(file) => Ok(Self::new(on.clone(), file, shard)),
            None => Err(NoFrame::Bad("the file is not there".into())),
        }
    }

    pub(super) fn drive(&self) -> DriveId {
        self.on.id
    }

    /// At least `len` bytes at `offset`, or all up to the end of the file.
    async fn bytes(&mut self, offset: u64, len: usize) -> Result<Bytes, NoFrame> {
        let (from, bytes) = &self.window;
        let skip = offset.checked_sub(*from).and_then(|skip| usize::try_from(skip).ok());
        let held = skip.filter(|skip| skip.checked_add(len).is_some_and(|end| end <= bytes.len()));
        if let Some(skip) = held {
            return Ok(bytes.slice(skip..));
        }
        let file = self.file.clone();
        let read = ask(&self.on, move || file.read_at(offset, len.max(WINDOW_BYTES))).await?;
        self.window = (offset, read.clone());
        Ok(read)
    }

    /// Whether the file has nothing at `offset` or behind; `false` if that cannot be known now.
    pub(super) async fn ends_at(&mut self, offset: u64) -> bool {
        self.bytes(offset, 1).await.is_ok_and(|bytes| bytes.is_empty())
    }

    /// The frame at `offset`, if it is of this kind.
    pub(super) async fn frame(
        &mut self,
        segment: &Segment,
        offset: u64,
        kind: FrameKind,
    ) -> Result<(FrameHeader, Bytes), NoFrame> {
        let place = FramePlace {
            segment: segment.id,
            shard: self.shard,
            offset,
        };
        let bad = |error: crate::embedded::frame::FrameError| match error.is_newer_format() {
            true => NoFrame::Newer,
            false => NoFrame::Bad(format!("at {offset}: {error}")),
        };
        let head = self.bytes(offset, FRAME_HEADER_BYTES).await?;
        let header = parse_header(&place, &head).map_err(bad)?;
        if header.kind != kind {
            return Err(NoFrame::Bad(format!("at {offset}: a frame of another kind")));
        }
        let len = usize::try_from(header.payload_len).unwrap_or(usize::MAX);
        let end = FRAME_HEADER_BYTES.saturating_add(len);
        let whole = self.bytes(offset, end).await?;
        verify(&place, &whole).map_err(bad)?;
        Ok((header, whole.slice(FRAME_HEADER_BYTES..end)))
    }

    /// Whether the file begins as a shard file of this segment and store does.
    pub(super) async fn check_header(&mut self, segment: &Segment, store: StoreId) -> Result<(), NoFrame> {
        let len = usize::try_from(SHARD_HEADER_BYTES).unwrap_or(usize::MAX);
        let bytes = self.bytes(0, len).await?;
        let header = match ShardHeader::decode(segment.id, self.shard, &bytes) {
            Ok(header) => header,
            Err(ShardHeaderError::Frame(error)) if error.is_newer_format() => return Err(NoFrame::Newer),
            Err(error) => return Err(NoFrame::Bad(error.to_string())),
        };
        let right = header.store == store && header.kind == segment.kind && header.geometry == segment.geometry;
        match right {
            true => Ok(()),
            false => Err(NoFrame::Bad("its header says another segment".into())),
        }
    }
}

/// All files of one shard. Usually there is one.
pub(super) struct ShardStream {
    pub(super) shard: u8,
    files: Vec<FileStream>,
    /// Drives that have a file which could not be opened now.
    away: Option<String>,
}

impl ShardStream {
    /// Opens the shard on every drive that has it. Files that are not a shard of this segment are left out.
    pub(super) async fn open(drives: &[PresentDrive], segment: &Segment, shard: u8, store: StoreId) -> Self {
        let mut stream = Self {
            shard,
            files: Vec::new(),
            away: None,
        };
        for on in drives {
            if !on.drive.holds_shard(segment.kind, segment.id, shard) {
                continue;
            }
            let opened = match FileStream::open(on, segment, shard).await {
                Ok(mut file) => match file.check_header(segment, store).await {
                    Ok(()) | Err(NoFrame::Bad(_)) => Ok(file),
                    Err(other) => Err(other),
                },
                Err(error) => Err(error),
            };
            match opened {
                Ok(file) => stream.files.push(file),
                Err(NoFrame::Away(reason)) => stream.away = Some(reason),
                Err(NoFrame::Bad(_) | NoFrame::Newer) => {}
            }
        }
        stream
    }

    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// A drive that has it does not answer now.
    pub(super) fn is_away(&self) -> bool {
        self.away.is_some()
    }

    /// Whether all its files end at or before `offset`.
    pub(super) async fn ends_at(&mut self, offset: u64) -> bool {
        let mut ends = self.away.is_none();
        for file in &mut self.files {
            ends &= file.ends_at(offset).await;
        }
        ends
    }

    /// The frame at `offset` from the first file that has a good one.
    pub(super) async fn frame(
        &mut self,
        segment: &Segment,
        offset: u64,
        kind: FrameKind,
    ) -> Result<(FrameHeader, Bytes), NoFrame> {
        let mut worst = match &self.away {
            Some(reason) => NoFrame::Away(reason.clone()),
            None => NoFrame::Bad("no drive that is here has it".into()),
        };
        for file in &mut self.files {
            match file.frame(segment, offset, kind).await {
                Ok(found) => return Ok(found),
                Err(why) => {
                    tracing::trace!(drive = %file.drive(), shard = self.shard, offset, ?why, "no frame");
                    worst = match (worst, why) {
                        (NoFrame::Newer, _) => NoFrame::Newer,
                        (NoFrame::Away(reason), NoFrame::Bad(_)) => NoFrame::Away(reason),
                        (_, why) => why,
                    };
                }
            }
        }
        Err(worst)
    }
}
