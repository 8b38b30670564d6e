//! Making shard files of a segment anew from the others: streamed with bounded memory, synced, read back past the page
//! cache, verified frame by frame, and only then put in their places. It never writes to a file that stands, and asks
//! nobody whether it should.

use std::sync::Arc;

use bytes::Bytes;
use futures::future::{join_all, try_join_all};

use super::check::check_file;
use super::pace::Pace;
use super::stream::{FileStream, NoFrame, ShardStream};
use super::walk::{Ends, Misplaced, Step, Walk};
use crate::embedded::drive::{Drive, Lane, Replacement};
use crate::embedded::erasure::Codec;
use crate::embedded::frame::{
    FORMAT_VERSION, FrameHeader, FrameKind, FramePlace, SHARD_HEADER_BYTES, ShardHeader, encode_header, payload_crc,
};
use crate::embedded::id::{DriveId, StoreId};
use crate::embedded::record::{LogRecord, from_cbor};
use crate::embedded::segment::{PresentDrive, Segment, WriteError, on_drive};
#[cfg(test)]
use crate::planted;

/// Bytes of a new file after which its writeback is begun.
const WRITEBACK_BYTES: u64 = 1024 * 1024;

/// What is to be made of a segment.
pub(super) struct Rebuild<'a> {
    pub(super) segment: &'a Segment,
    pub(super) ends: Ends,
    /// Shard and the drive that shall have it. Of each shard at most one.
    pub(super) targets: Vec<(u8, PresentDrive)>,
    /// Shards whose files are not to be read.
    pub(super) given_up: Vec<u8>,
}

/// The surroundings of a rebuild.
pub(super) struct Ground<'a> {
    pub(super) store: StoreId,
    /// The epoch that the new files' headers say.
    pub(super) epoch: u64,
    /// Where shards may be read.
    pub(super) present: &'a [PresentDrive],
    pub(super) codec: Codec,
    pub(super) pace: &'a Pace,
    /// Whether the segment is still part of the store.
    pub(super) lives: &'a (dyn Fn() -> bool + Sync),
}

/// Why shards could not be made. Nothing that stood was changed.
#[derive(Debug, thiserror::Error)]
pub(super) enum RebuildError {
    /// Drives that have shards do not answer now.
    #[error("too few shards can be reached: {0}")]
    Away(String),
    /// So much is damaged that the rest does not give it.
    #[error("too few good shards are left: {0}")]
    Lost(String),
    /// A newer program wrote a frame; it is left to that.
    #[error("a newer version wrote it")]
    Newer,
    #[error("it is not part of the store any more")]
    Gone,
    #[error(transparent)]
    Write(#[from] WriteError),
    /// What was written and synced does not read as it was written.
    #[error("drive {drive} does not give back what was written: {why}")]
    ReadBack { drive: DriveId, why: String },
}

impl From<Misplaced> for RebuildError {
    fn from(error: Misplaced) -> Self {
        Self::Lost(error.to_string())
    }
}

/// A new file on its way; dropping it removes it unless it was put in its place.
struct NewShard {
    on: PresentDrive,
    header: ShardHeader,
    replacement: Option<Replacement>,
    writeback_from: u64,
}

impl Drop for NewShard {
    fn drop(&mut self) {
        if let Some(replacement) = self.replacement.take() {
            self.on.drive.discard_later(replacement);
        }
    }
}

impl NewShard {
    async fn begin(on: PresentDrive, header: ShardHeader) -> Result<Self, WriteError> {
        let (drive, in_job) = (Arc::clone(&on.drive), header.clone());
        let begun = on_drive(on.id, on.drive.run(Lane::Bulk, move || NewFile::begin(drive, &in_job)));
        let replacement = begun.await?.keep();
        Ok(Self {
            on,
            header,
            replacement,
            writeback_from: SHARD_HEADER_BYTES,
        })
    }

    fn gone() -> WriteError {
        WriteError::Internal("a new shard file was put in its place twice".into())
    }

    async fn write(&mut self, kind: FrameKind, offset: u64, payload: Bytes, data_len: u32) -> Result<(), WriteError> {
        let place = FramePlace {
            segment: self.header.segment,
            shard: self.header.shard,
            offset,
        };
        let len = u32::try_from(payload.len()).map_err(|e| WriteError::Internal(e.to_string()))?;
        let header = encode_header(kind, &place, len, payload_crc(&payload), data_len);
        let file = self.replacement.as_ref().ok_or_else(Self::gone)?.file().clone();
        let end = offset + header.len() as u64 + u64::from(len);
        let writeback = (end - self.writeback_from >= WRITEBACK_BYTES).then_some(self.writeback_from);
        if writeback.is_some() {
            self.writeback_from = end;
        }
        let job = move || {
            file.write_vectored_at(offset, &[Bytes::copy_from_slice(&header), payload])?;
            if let Some(from) = writeback {
                file.start_writeback(from, end - from);
            }
            Ok(())
        };
        on_drive(self.on.id, self.on.drive.run(Lane::Bulk, job)).await
    }

    /// Puts it on stable media and verifies what media hold.
    async fn settle(&self, rebuild: &Rebuild<'_>, ground: &Ground<'_>) -> Result<(), RebuildError> {
        let file = self.replacement.as_ref().ok_or_else(Self::gone)?.file().clone();
        let synced = file.clone();
        let sync = move || {
            synced.sync_data()?;
            // Clean now, so the kernel can let it go: what is read below comes from the drive.
            synced.drop_cache();
            Ok(())
        };
        on_drive(self.on.id, self.on.drive.run(Lane::Bulk, sync)).await?;
        #[cfg(test)]
        if planted::is(planted::Bug::NoReadBack) {
            return Ok(());
        }
        let written = FileStream::new(self.on.clone(), file, self.header.shard);
        let checked = check_file(written, rebuild.segment, ground.store, rebuild.ends, ground.pace).await;
        checked.map(drop).map_err(|why| match why {
            NoFrame::Away(reason) => RebuildError::Away(reason),
            NoFrame::Bad(why) => RebuildError::ReadBack { drive: self.on.id, why },
            NoFrame::Newer => RebuildError::Newer,
        })
    }

    /// Puts it in its place, durably.
    async fn install(mut self) -> Result<(), WriteError> {
        let replacement = self.replacement.take().ok_or_else(Self::gone)?;
        let (drive, header) = (Arc::clone(&self.on.drive), self.header.clone());
        let install = move || drive.install(&replacement, &header);
        on_drive(self.on.id, self.on.drive.run(Lane::Bulk, install)).await
    }
}

/// A file that a job made; nobody may be left to take it.
struct NewFile {
    drive: Arc<Drive>,
    replacement: Option<Replacement>,
}

impl NewFile {
    fn begin(drive: Arc<Drive>, header: &ShardHeader) -> std::io::Result<Self> {
        let replacement = Some(drive.begin_replacement(header)?);
        Ok(Self { drive, replacement })
    }

    fn keep(mut self) -> Option<Replacement> {
        self.replacement.take()
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if let Some(replacement) = self.replacement.take() {
            self.drive.discard_later(replacement);
        }
    }
}

/// Makes the targets' files and puts them in their places. Gives the bytes written.
pub(super) async fn rebuild(rebuild: &Rebuild<'_>, ground: &Ground<'_>) -> Result<u64, RebuildError> {
    let segment = rebuild.segment;
    let begun = rebuild.targets.iter().map(|(shard, on)| {
        let header = ShardHeader {
            format: FORMAT_VERSION,
            store: ground.store,
            segment: segment.id,
            kind: segment.kind,
            shard: *shard,
            geometry: segment.geometry,
            created_epoch: ground.epoch,
        };
        NewShard::begin(on.clone(), header)
    });
    let mut new = try_join_all(begun).await?;
    let written = fill(rebuild, ground, &mut new).await?;
    try_join_all(new.iter().map(|shard| shard.settle(rebuild, ground))).await?;
    if !(ground.lives)() {
        return Err(RebuildError::Gone);
    }
    try_join_all(new.into_iter().map(NewShard::install)).await?;
    Ok(written)
}

/// Writes every frame of the segment to the new files.
async fn fill(rebuild: &Rebuild<'_>, ground: &Ground<'_>, new: &mut [NewShard]) -> Result<u64, RebuildError> {
    let segment = rebuild.segment;
    let mut sources = Sources::open(rebuild, ground).await;
    let mut walk = Walk::new(segment.kind, segment.geometry, rebuild.ends);
    let mut written = 0;
    loop {
        let bytes = match walk.step() {
            Step::End => return Ok(written),
            Step::Record(offset) => match sources.record(segment, offset).await {
                Ok((record, payload)) => {
                    walk.pass_record(&record)?;
                    let bytes = payload.len();
                    let writes = new
                        .iter_mut()
                        .map(|shard| shard.write(FrameKind::Record, offset, payload.clone(), 0));
                    try_join_all(writes).await?;
                    bytes
                }
                Err(RebuildError::Lost(_)) if walk.may_end_here() => return Ok(written),
                Err(error) => return Err(error),
            },
            Step::Stripe { offset, data_len } => match sources.shards_of(rebuild, offset, data_len).await {
                Ok((data_len, found)) => {
                    walk.pass_stripe(data_len)?;
                    write_stripe(ground, new, offset, (data_len, found)).await?
                }
                // What a table counts may be less than what stands: only where every file ends, all has been seen.
                Err(RebuildError::Lost(_)) if walk.may_end_here() && sources.end_at(offset).await => {
                    return Ok(written);
                }
                Err(error) => return Err(error),
            },
        };
        let bytes = bytes as u64 * new.len() as u64;
        written += bytes;
        ground.pace.passed(bytes).await;
    }
}

/// Rebuilds a stripe as far as its shards were not found as they are, and writes the new files' shards of it; gives the
/// bytes of one.
async fn write_stripe(
    ground: &Ground<'_>,
    new: &mut [NewShard],
    offset: u64,
    (data_len, mut found): (usize, Vec<Option<Bytes>>),
) -> Result<usize, RebuildError> {
    let there = |shard: &NewShard| found.get(usize::from(shard.header.shard)).is_some_and(Option::is_some);
    if !new.iter().all(there) {
        let codec = ground.codec.clone();
        let all = tokio::task::spawn_blocking(move || codec.rebuild_shards(data_len, found));
        let all = all.await.map_err(|e| WriteError::Internal(e.to_string()))?;
        let all = all.map_err(|e| RebuildError::Lost(e.to_string()))?;
        found = all.into_iter().map(Some).collect();
    }
    let told = u32::try_from(data_len).map_err(|e| WriteError::Internal(e.to_string()))?;
    let writes = new.iter_mut().map(|shard| {
        let index = usize::from(shard.header.shard);
        #[cfg(test)]
        let index = match planted::is(planted::Bug::HealWrongShard) {
            true => (index + 1) % found.len(),
            false => index,
        };
        let payload = found.get(index).cloned().flatten();
        async move {
            let none = || WriteError::Internal("the code gives no such shard".into());
            let payload = payload.ok_or_else(none)?;
            shard.write(FrameKind::Stripe, offset, payload, told).await
        }
    });
    try_join_all(writes).await?;
    Ok(found.iter().flatten().next().map_or(0, Bytes::len))
}

/// The shards that are read from, those that are made anew last: of a damaged file the good frames still count.
struct Sources {
    shards: Vec<ShardStream>,
}

impl Sources {
    async fn open(rebuild: &Rebuild<'_>, ground: &Ground<'_>) -> Self {
        let segment = rebuild.segment;
        let all = 0..u8::try_from(segment.geometry.shards()).unwrap_or(u8::MAX);
        let is_target = |shard: &u8| rebuild.targets.iter().any(|(target, _)| target == shard);
        let (last, first): (Vec<u8>, Vec<u8>) = all.partition(is_target);
        let opening = first.into_iter().chain(last);
        let opening = opening.filter(|shard| !rebuild.given_up.contains(shard));
        let opening = opening.map(|shard| ShardStream::open(ground.present, segment, shard, ground.store));
        let mut shards = join_all(opening).await;
        shards.retain(|shard| !shard.is_empty() || shard.is_away());
        Self { shards }
    }

    /// Whether no file has anything at `offset` or behind.
    async fn end_at(&mut self, offset: u64) -> bool {
        let asked = self.shards.iter_mut().map(|shard| shard.ends_at(offset));
        join_all(asked).await.into_iter().all(|ends| ends)
    }

    /// A record's metadata: every shard file has the same.
    async fn record(&mut self, segment: &Segment, offset: u64) -> Result<(LogRecord, Bytes), RebuildError> {
        let mut reasons = Reasons::default();
        for shard in &mut self.shards {
            match shard.frame(segment, offset, FrameKind::Record).await {
                Ok((_, payload)) => match from_cbor("log record", &payload) {
                    Ok(record) => return Ok((record, payload)),
                    Err(error) => reasons.note(NoFrame::Bad(error.to_string())),
                },
                Err(why) => reasons.note(why),
            }
        }
        Err(reasons.error(offset))
    }

    /// What a stripe's targets need, by index, and how much data it holds: the very shards if files of them are here and
    /// good, as when a shard moves, else any k.
    async fn shards_of(
        &mut self,
        rebuild: &Rebuild<'_>,
        offset: u64,
        told: Option<usize>,
    ) -> Result<(usize, Vec<Option<Bytes>>), RebuildError> {
        match self.own(rebuild, offset, told).await {
            Some(found) => Ok(found),
            None => self.stripe(rebuild.segment, offset, told).await,
        }
    }

    /// The targets' own shards of a stripe, if each can be read.
    async fn own(
        &mut self,
        rebuild: &Rebuild<'_>,
        offset: u64,
        mut told: Option<usize>,
    ) -> Option<(usize, Vec<Option<Bytes>>)> {
        let segment = rebuild.segment;
        let mut found: Vec<Option<Bytes>> = vec![None; segment.geometry.shards()];
        for (target, _) in &rebuild.targets {
            let source = self.shards.iter_mut().find(|source| source.shard == *target)?;
            let frame = source.frame(segment, offset, FrameKind::Stripe).await.ok()?;
            let payload = as_told(segment, &mut told, offset, frame).ok()?;
            *found.get_mut(usize::from(*target))? = Some(payload);
        }
        Some((told?, found))
    }

    /// Any k shards of a stripe, by index, and how much data it holds.
    async fn stripe(
        &mut self,
        segment: &Segment,
        offset: u64,
        told: Option<usize>,
    ) -> Result<(usize, Vec<Option<Bytes>>), RebuildError> {
        let geometry = segment.geometry;
        let (need, mut have) = (usize::from(geometry.data), 0);
        let mut found: Vec<Option<Bytes>> = vec![None; geometry.shards()];
        let (mut told, mut reasons) = (told, Reasons::default());
        let mut unread: &mut [ShardStream] = &mut self.shards;
        while have < need && !unread.is_empty() {
            let wanted = (need - have).min(unread.len());
            let (now, later) = std::mem::take(&mut unread).split_at_mut(wanted);
            unread = later;
            let reading = now.iter_mut().map(|shard| async move {
                let frame = shard.frame(segment, offset, FrameKind::Stripe).await;
                (shard.shard, frame)
            });
            for (shard, frame) in join_all(reading).await {
                let payload = frame.and_then(|frame| as_told(segment, &mut told, offset, frame));
                match (payload, found.get_mut(usize::from(shard))) {
                    (Ok(payload), Some(slot)) => {
                        *slot = Some(payload);
                        have += 1;
                    }
                    (Ok(_), None) => {}
                    (Err(why), _) => reasons.note(why),
                }
            }
        }
        match told.filter(|_| have >= need) {
            Some(data_len) => Ok((data_len, found)),
            None => Err(reasons.error(offset)),
        }
    }
}

/// The payload of a frame that says the same about its stripe as the others.
fn as_told(
    segment: &Segment,
    told: &mut Option<usize>,
    offset: u64,
    (header, payload): (FrameHeader, Bytes),
) -> Result<Bytes, NoFrame> {
    let says = usize::try_from(header.data_len).unwrap_or(usize::MAX);
    let agrees = *told.get_or_insert(says) == says && segment.geometry.shard_bytes(says) == payload.len();
    match agrees {
        true => Ok(payload),
        false => Err(NoFrame::Bad(format!("at {offset}: a stripe of another length"))),
    }
}

/// Why shards did not come.
#[derive(Default)]
struct Reasons {
    away: Option<String>,
    newer: bool,
    bad: Option<String>,
}

impl Reasons {
    fn note(&mut self, why: NoFrame) {
        match why {
            NoFrame::Away(reason) => self.away = Some(reason),
            NoFrame::Newer => self.newer = true,
            NoFrame::Bad(why) => self.bad = Some(why),
        }
    }

    fn error(self, offset: u64) -> RebuildError {
        match (self.newer, self.away) {
            (true, _) => RebuildError::Newer,
            (false, Some(reason)) => RebuildError::Away(reason),
            (false, None) => {
                let why = self.bad.unwrap_or_else(|| "no drive that is here has it".into());
                RebuildError::Lost(format!("at {offset}: {why}"))
            }
        }
    }
}
