//! What is told of healing: how the store stands, what is being done, how far it is. Plain values; nothing is decided here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::embedded::id::{DriveId, SegmentId};

/// How often verifying a shard file may end late and without an answer, while its drive comes back each time, before the
/// file is given up and made anew.
pub(super) const LATE_MAX: u32 = 3;
/// Reasons that are kept for who asks.
const REASONS_MAX: usize = 16;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HealState {
    /// Nothing is known yet, or nothing can be healed because the store takes no writes.
    #[default]
    Unknown,
    /// A census found nothing missing.
    Whole,
    /// Shards are being verified or made anew.
    Healing,
    /// Something is missing that cannot be made now; the reasons say what it waits for. It is tried again.
    Waiting,
}

/// How deep a census looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CensusDepth {
    /// Which shard files are there, and which of them are known to be bad.
    Files,
    /// Every frame of every shard file is read and verified.
    Frames,
}

/// A count of everything the store needs: segments that rows lead into and those that a start would replay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Census {
    pub depth: CensusDepth,
    pub segments: u64,
    /// Segments with k+m good shards on as many drives.
    pub whole: u64,
    /// Segments that are readable and lack shards.
    pub thin: u64,
    /// Segments with fewer than k good shards in reach.
    pub unreadable: u64,
    /// Shard files that were found bad and not made anew yet.
    pub bad_shards: u64,
    /// Shard files of earlier runs that nothing names.
    pub orphans: u64,
    /// Segments with live bytes that were made while drives were away, with fewer shards than the store has drives for.
    pub narrow: u64,
    /// Live bytes in them.
    pub narrow_bytes: u64,
    /// Of the segments, those that the drives which are in can make wider now.
    pub could_be_wider: u64,
    /// Bytes that were read to verify them.
    pub verified_bytes: u64,
    pub took: Duration,
}

impl Census {
    /// Nothing is missing, nothing is bad, nothing is left over.
    pub fn is_clean(&self) -> bool {
        self.whole == self.segments && self.bad_shards == 0 && self.orphans == 0
    }
}

/// What a drive still lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DriveHealing {
    pub id: String,
    pub path: String,
    /// Shard files that are to be made on it.
    pub shards_left: u64,
    /// About so many bytes.
    pub bytes_left: u64,
    /// It was out or behind: its files are being verified.
    pub in_doubt: bool,
}

/// How healing stands.
#[derive(Clone, Debug, Default)]
pub struct HealStatus {
    pub state: HealState,
    /// Why something waits, the first few reasons.
    pub reasons: Vec<String>,
    /// Bytes of the present work: estimated from what rows own.
    pub total_bytes: u64,
    pub done_bytes: u64,
    pub bytes_per_second: u64,
    /// `None` while nothing is to be done or the rate is not known.
    pub eta: Option<Duration>,
    /// Shard files made anew since the store was started.
    pub shards_healed: u64,
    pub drives: Vec<DriveHealing>,
    /// The last census, and how long ago it was.
    pub census: Option<(Census, Duration)>,
    /// How far each drive's files are verified.
    pub scrubs: Vec<DriveScrub>,
}

/// How far the files of a drive are verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DriveScrub {
    pub id: String,
    pub path: String,
    /// When all were last verified, in seconds since 1970; `None`: never, or not known.
    pub passed_at: Option<u64>,
    /// Segments verified in the present pass.
    pub verified: u64,
    /// Segments it has a part of.
    pub segments: u64,
}

/// What is left for one drive.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Left {
    pub(super) shards: u64,
    pub(super) bytes: u64,
}

#[derive(Default)]
struct Told {
    state: HealState,
    reasons: Vec<String>,
    total_bytes: u64,
    done_bytes: u64,
    began: Option<Instant>,
    shards_healed: u64,
    left: BTreeMap<DriveId, Left>,
    census: Option<(Census, Instant)>,
    scrubs: BTreeMap<DriveId, (Option<u64>, u64, u64)>,
}

/// Where healing writes how it stands, and where anyone may read it.
#[derive(Default)]
pub struct HealBoard {
    told: Mutex<Told>,
    /// Drives that were out or behind and whose files were not verified since.
    doubted: Mutex<BTreeSet<DriveId>>,
    /// Those of them whose verifying has to begin from the first file.
    renewed: Mutex<BTreeSet<DriveId>>,
    /// Shard files found bad that were not made anew since.
    bad: Mutex<BTreeSet<(SegmentId, u8, DriveId)>>,
    /// Shard files whose verifying ended late and without an answer, and how often since one was verified.
    late: Mutex<BTreeMap<(SegmentId, u8, DriveId), u32>>,
    scrub_wanted: AtomicBool,
}

impl HealBoard {
    /// Verifying a shard file ended late and without an answer once more; gives how often it did.
    pub(super) fn set_late(&self, segment: SegmentId, shard: u8, drive: DriveId) -> u32 {
        let mut late = self.late.lock();
        let times = late.entry((segment, shard, drive)).or_default();
        *times = times.saturating_add(1);
        *times
    }

    /// Whether a shard file of a segment is given up because it is never read in time: it is not to be read again.
    pub(super) fn is_given_up(&self, segment: SegmentId, shard: u8) -> bool {
        let late = self.late.lock();
        let mut of_shard = late
            .iter()
            .filter(|((id, index, _), _)| (*id, *index) == (segment, shard));
        of_shard.any(|(_, times)| *times >= LATE_MAX)
    }

    /// Notes drives whose files have to be verified, all of them, whatever was verified before.
    pub fn doubt(&self, drives: impl IntoIterator<Item = DriveId>) {
        for drive in drives {
            self.renewed.lock().insert(drive);
            self.doubted.lock().insert(drive);
        }
    }

    /// Verifying the files of a drive in doubt goes on where it stopped.
    pub(super) fn resume_doubt(&self, drive: DriveId) {
        self.doubted.lock().insert(drive);
    }

    /// Whether the files of a drive were called in doubt since this was last asked.
    pub(super) fn take_renewed(&self, drive: DriveId) -> bool {
        self.renewed.lock().remove(&drive)
    }

    /// All files of all drives are to be verified now.
    pub fn want_scrub(&self) {
        self.scrub_wanted.store(true, Ordering::Release);
    }

    pub(super) fn take_scrub_wanted(&self) -> bool {
        self.scrub_wanted.swap(false, Ordering::AcqRel)
    }

    pub(super) fn set_scrub(&self, drive: DriveId, passed: Option<u64>, verified: u64, segments: u64) {
        self.told.lock().scrubs.insert(drive, (passed, verified, segments));
    }

    /// The shard files that are known to be bad.
    pub(super) fn bad(&self) -> BTreeSet<(SegmentId, u8, DriveId)> {
        self.bad.lock().clone()
    }

    /// All files of a drive are verified, unless they came in doubt meanwhile.
    pub(super) fn trust(&self, drive: DriveId) {
        if !self.renewed.lock().contains(&drive) {
            self.doubted.lock().remove(&drive);
        }
    }

    pub(super) fn set_bad(&self, segment: SegmentId, shard: u8, drive: DriveId) {
        self.bad.lock().insert((segment, shard, drive));
    }

    pub(super) fn set_good(&self, segment: SegmentId, shard: u8, drive: DriveId) {
        self.bad.lock().remove(&(segment, shard, drive));
        self.late.lock().remove(&(segment, shard, drive));
    }

    /// A shard was made anew on a drive: nothing that was said of its files before is said of this one.
    pub(super) fn made_anew(&self, segment: SegmentId, shard: u8, drive: DriveId) {
        self.bad.lock().remove(&(segment, shard, drive));
        let of_shard = |(id, index, _): &(SegmentId, u8, DriveId)| (*id, *index) == (segment, shard);
        self.late.lock().retain(|file, _| !of_shard(file));
    }

    /// A shard file was removed.
    pub(super) fn file_gone(&self, segment: SegmentId, shard: u8, drive: DriveId) {
        self.set_good(segment, shard, drive);
    }

    /// Whether a shard file is known to be bad.
    pub fn is_bad(&self, segment: SegmentId, shard: u8, drive: DriveId) -> bool {
        let bad = self.bad.lock();
        !bad.is_empty() && bad.contains(&(segment, shard, drive))
    }

    /// Forgets bad shards of segments that are not needed any more; gives the number of the others.
    pub(super) fn keep_bad(&self, needed: impl Fn(SegmentId) -> bool) -> u64 {
        let mut bad = self.bad.lock();
        bad.retain(|(segment, ..)| needed(*segment));
        self.late.lock().retain(|(segment, ..), _| needed(*segment));
        bad.len() as u64
    }

    /// The work of a round is known.
    pub(super) fn begin(&self, left: BTreeMap<DriveId, Left>) {
        let mut told = self.told.lock();
        told.total_bytes = left.values().map(|left| left.bytes).sum();
        told.done_bytes = 0;
        told.began = Some(Instant::now());
        told.left = left;
        told.reasons.clear();
        told.state = HealState::Healing;
    }

    pub(super) fn verifying(&self) {
        self.told.lock().state = HealState::Healing;
    }

    pub(super) fn healed(&self, drive: DriveId, bytes: u64) {
        let mut told = self.told.lock();
        told.done_bytes += bytes;
        told.shards_healed += 1;
        if let Some(left) = told.left.get_mut(&drive) {
            left.shards = left.shards.saturating_sub(1);
            left.bytes = left.bytes.saturating_sub(bytes);
        }
    }

    pub(super) fn reason(&self, reason: String) {
        let mut told = self.told.lock();
        if told.reasons.len() < REASONS_MAX && !told.reasons.contains(&reason) {
            told.reasons.push(reason);
        }
    }

    /// The round is over: what it came to.
    pub(super) fn end(&self, census: Census) {
        let in_doubt = !self.doubted.lock().is_empty();
        let mut told = self.told.lock();
        told.state = match (census.is_clean() && told.reasons.is_empty(), in_doubt) {
            (true, false) => HealState::Whole,
            (true, true) => HealState::Healing,
            (false, _) => HealState::Waiting,
        };
        told.began = None;
        told.census = Some((census, Instant::now()));
    }

    /// How healing stands; `path_of` names the drives.
    pub fn status(&self, path_of: impl Fn(DriveId) -> Option<String>) -> HealStatus {
        let doubted = self.doubted.lock().clone();
        let told = self.told.lock();
        let seconds = told.began.map_or(0.0, |began| began.elapsed().as_secs_f64());
        let rate = match seconds > 0.0 && told.done_bytes > 0 {
            true => told.done_bytes as f64 / seconds,
            false => 0.0,
        };
        let left = told.total_bytes.saturating_sub(told.done_bytes) as f64;
        let mut ids: BTreeSet<DriveId> = told.left.keys().copied().collect();
        ids.extend(&doubted);
        let drives = ids.into_iter().map(|id| {
            let left = told.left.get(&id).copied().unwrap_or_default();
            DriveHealing {
                id: id.to_string(),
                path: path_of(id).unwrap_or_default(),
                shards_left: left.shards,
                bytes_left: left.bytes,
                in_doubt: doubted.contains(&id),
            }
        });
        let scrubs = told.scrubs.iter().filter_map(|(id, (passed_at, verified, segments))| {
            Some(DriveScrub {
                id: id.to_string(),
                path: path_of(*id)?,
                passed_at: *passed_at,
                verified: *verified,
                segments: *segments,
            })
        });
        HealStatus {
            scrubs: scrubs.collect(),
            state: told.state,
            reasons: told.reasons.clone(),
            total_bytes: told.total_bytes,
            done_bytes: told.done_bytes,
            bytes_per_second: rate as u64,
            eta: (rate > 0.0 && left > 0.0).then(|| Duration::from_secs_f64(left / rate)),
            shards_healed: told.shards_healed,
            drives: drives.collect(),
            census: told.census.as_ref().map(|(census, at)| (census.clone(), at.elapsed())),
        }
    }
}
