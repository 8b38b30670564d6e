//! Reading one shard of a stripe: from the drive that should have it, else from any other that does. It verifies, reports
//! damage, and remembers which drives were late.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::damage::{Damage, DamageSink, Why};
use super::lateness::{LATE_AFTER_MAX, avoid_for, late_after};
use super::layout::StripePart;
use super::{Drives, PresentDrive, Segment};
use crate::embedded::drive::Lane;
use crate::embedded::frame::{FRAME_HEADER_BYTES, FrameError, FrameKind, FramePlace, verify};
use crate::embedded::id::DriveId;
#[cfg(test)]
use crate::planted;

/// Stripes that were waited for before it is asked again how fast the drives are.
const ASK_EVERY: u64 = 32;

/// A shard that could not be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lost {
    /// Its drive is not there or does not answer, or a newer program wrote it.
    OutOfReach,
    Damaged,
}

/// The frame of one shard of a stripe.
#[derive(Clone, Copy)]
struct Wanted {
    place: FramePlace,
    payload_len: usize,
    data_len: usize,
    #[cfg(test)]
    unchecked: bool,
}

impl Wanted {
    fn new(segment: &Segment, part: &StripePart, shard: u8) -> Self {
        Self {
            place: FramePlace {
                segment: segment.id,
                shard,
                offset: part.offset,
            },
            payload_len: segment.geometry.shard_bytes(part.data_len),
            data_len: part.data_len,
            #[cfg(test)]
            unchecked: part.wanted != (0..part.data_len) && planted::is(planted::Bug::UncheckedRange),
        }
    }

    fn frame_bytes(&self) -> usize {
        FRAME_HEADER_BYTES + self.payload_len
    }

    /// The payload, if the bytes are this frame.
    fn payload_of(&self, bytes: Bytes) -> Result<Bytes, FrameError> {
        #[cfg(test)]
        if self.unchecked && bytes.len() == self.frame_bytes() {
            return Ok(bytes.slice(FRAME_HEADER_BYTES..));
        }
        let (header, payload) = verify(&self.place, &bytes)?;
        let as_named = header.kind == FrameKind::Stripe
            && header.data_len as usize == self.data_len
            && payload.len() == self.payload_len;
        if !as_named {
            return Err(FrameError::WrongContent);
        }
        Ok(bytes.slice(FRAME_HEADER_BYTES..))
    }
}

/// Where shards come from, and who hears of damage.
pub(super) struct ShardSource {
    drives: Arc<Drives>,
    sink: Arc<dyn DamageSink>,
    /// Drives that were late, and until when they are avoided.
    late: Mutex<HashMap<DriveId, Instant>>,
    /// Stripes that were waited for.
    waited: AtomicU64,
    /// What is late now, in microseconds.
    late_after: AtomicU64,
}

impl ShardSource {
    pub(super) fn new(drives: Arc<Drives>, sink: Arc<dyn DamageSink>) -> Self {
        Self {
            drives,
            sink,
            late: Mutex::default(),
            waited: AtomicU64::new(0),
            late_after: AtomicU64::new(0),
        }
    }

    fn hinted(&self, segment: &Segment, shard: u8) -> Option<PresentDrive> {
        let id = segment.drives.get(usize::from(shard))?;
        let drive = self.drives.get(id)?;
        Some(PresentDrive { id: *id, drive })
    }

    /// The payload from an open file and the page cache, without leaving this thread; `None` whatever is in the way.
    pub(super) fn cached(&self, segment: &Segment, part: &StripePart, shard: u8) -> Option<Bytes> {
        let wanted = Wanted::new(segment, part, shard);
        let on = self.hinted(segment, shard)?;
        let file = on.drive.open_handle(segment.id, shard)?;
        let bytes = file.try_read_cached(part.offset, wanted.frame_bytes())?;
        wanted.payload_of(bytes).ok()
    }

    /// After which time a shard of the stripe that is waited for now is late.
    pub(super) fn late_after(&self) -> Duration {
        if self.waited.fetch_add(1, Ordering::Relaxed).is_multiple_of(ASK_EVERY) {
            let drives = self.drives.present();
            let usual = drives.iter().filter_map(|on| on.drive.read_latency().usual());
            let late = late_after(usual.collect());
            let micros = u64::try_from(late.as_micros()).unwrap_or(u64::MAX);
            self.late_after.store(micros, Ordering::Relaxed);
        }
        match self.late_after.load(Ordering::Relaxed) {
            0 => LATE_AFTER_MAX,
            micros => Duration::from_micros(micros),
        }
    }

    /// Notes that a shard's drive was late, and avoids it for a while.
    pub(super) fn was_late(&self, segment: &Segment, shard: u8, late_after: Duration) {
        if let Some(on) = self.hinted(segment, shard) {
            let avoided = avoid_for(late_after, on.drive.read_latency().usual());
            self.late.lock().insert(on.id, Instant::now() + avoided);
            self.sink.late(on.id);
        }
    }

    /// Whether a shard's drive was late a short while ago, or has not answered since it was.
    pub(super) fn is_late(&self, segment: &Segment, shard: u8) -> bool {
        let mut late = self.late.lock();
        if late.is_empty() {
            return false;
        }
        let now = Instant::now();
        late.retain(|id, until| *until > now || self.is_stuck(id));
        segment
            .drives
            .get(usize::from(shard))
            .is_some_and(|id| late.contains_key(id))
    }

    fn is_stuck(&self, id: &DriveId) -> bool {
        let oldest = self.drives.get(id).and_then(|drive| drive.oldest_job(Lane::Read));
        oldest.is_some_and(|begun| begun.elapsed() >= LATE_AFTER_MAX)
    }

    /// Tries the hinted drive, then every other drive that has the shard file.
    pub(super) async fn read(&self, segment: &Segment, part: &StripePart, shard: u8) -> Result<Bytes, Lost> {
        let wanted = Wanted::new(segment, part, shard);
        let hinted = self.hinted(segment, shard);
        let hinted_id = hinted.as_ref().map(|on| on.id);
        let others = self.drives.present().into_iter().filter(|on| Some(on.id) != hinted_id);
        let holders: Vec<PresentDrive> = hinted
            .clone()
            .into_iter()
            .chain(others)
            .filter(|on| on.drive.holds_shard(segment.kind, segment.id, shard))
            .collect();
        let mut worst = Lost::OutOfReach;
        if let (Some(on), true) = (&hinted, holders.is_empty()) {
            self.report(on, &wanted, Why::Missing);
            worst = Lost::Damaged;
        }
        for on in holders {
            match read_from(&on, segment, wanted).await {
                Ok(payload) => return Ok(payload),
                Err(Why::Frame(error)) if error.is_newer_format() => {}
                Err(Why::Unreadable(error)) => self.report(&on, &wanted, Why::Unreadable(error)),
                Err(why @ (Why::Missing | Why::Frame(_))) => {
                    worst = Lost::Damaged;
                    self.report(&on, &wanted, why);
                }
            }
        }
        Err(worst)
    }

    fn report(&self, on: &PresentDrive, wanted: &Wanted, why: Why) {
        self.sink.damaged(Damage {
            segment: wanted.place.segment,
            shard: wanted.place.shard,
            drive: on.id,
            offset: wanted.place.offset,
            why,
        });
    }
}

async fn read_from(on: &PresentDrive, segment: &Segment, wanted: Wanted) -> Result<Bytes, Why> {
    let (drive, kind, asked) = (on.drive.clone(), segment.kind, Instant::now());
    let job = move || {
        let opened = drive.open_shard(kind, wanted.place.segment, wanted.place.shard)?;
        let read = opened.map(|file| file.read_at(wanted.place.offset, wanted.frame_bytes()));
        // Noted here, where it is known also of reads that nobody waited for to the end.
        drive.read_latency().note(asked.elapsed());
        read.transpose()
    };
    match on.drive.run(Lane::Read, job).await {
        Ok(Some(bytes)) => wanted.payload_of(bytes).map_err(Why::Frame),
        Ok(None) => Err(Why::Missing),
        Err(error) => Err(Why::Unreadable(error.to_string())),
    }
}
