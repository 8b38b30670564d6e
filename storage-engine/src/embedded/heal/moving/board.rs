//! What is told of drains and the rebalance. Plain values; nothing is decided here.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::Moved;
use super::sight::Held;
use crate::embedded::id::DriveId;

/// Reasons that are kept for who asks.
const REASONS_MAX: usize = 8;

/// How far a drive is drained.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Drain {
    pub id: String,
    pub path: String,
    /// It is here; what is on one that is away is made anew from the others.
    pub present: bool,
    /// Nothing that the store needs is on it any more: it may be removed.
    pub holds_nothing: bool,
    pub segments_left: u64,
    /// About so many bytes.
    pub bytes_left: u64,
    /// What was on it when the drain, or this run of the store, began.
    pub total_bytes: u64,
    pub bytes_per_second: u64,
    /// `None` while the rate is not known.
    pub eta: Option<Duration>,
}

/// How the rebalance stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rebalance {
    /// It is ordered, until the drives differ by no more than this.
    pub percent: Option<u8>,
    /// One ended by itself since the store was started.
    pub done: bool,
}

/// How far the widening of what was written while drives were away is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Widening {
    /// Segments that the drives which are in can make wider now, and their live bytes, as it was last looked.
    pub segments_left: u64,
    pub bytes_left: u64,
    /// Segments that were emptied into wider ones since the store was started, and the bytes written for it.
    pub segments_done: u64,
    pub bytes_done: u64,
}

/// How far everything is that moves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MovingStatus {
    pub drains: Vec<Drain>,
    pub rebalance: Rebalance,
    pub widening: Widening,
    /// Shards that were moved since the store was started, and about their bytes.
    pub shards_moved: u64,
    pub bytes_moved: u64,
    /// Why something waits, the last few reasons.
    pub reasons: Vec<String>,
}

struct Way {
    began: Instant,
    total: u64,
    left: Held,
    holds_nothing: bool,
}

#[derive(Default)]
struct Told {
    ways: BTreeMap<DriveId, Way>,
    shards_moved: u64,
    bytes_moved: u64,
    rebalanced: bool,
    widening: Widening,
    rung: bool,
    reasons: Vec<String>,
}

/// Where the mover writes how it stands, and where anyone may read it.
#[derive(Default)]
pub struct MovingBoard {
    told: Mutex<Told>,
    /// Rung when an order was given.
    pub bell: Notify,
}

impl MovingBoard {
    /// There is an order to look at.
    pub fn ring(&self) {
        {
            let mut told = self.told.lock();
            told.reasons.clear();
            told.rung = true;
            // What was drained before and was kept since begins anew.
            told.ways.values_mut().for_each(|way| way.holds_nothing = false);
        }
        self.bell.notify_one();
    }

    /// There may be something to do, though nobody ordered anything.
    pub(in crate::embedded) fn wake(&self) {
        self.told.lock().rung = true;
        self.bell.notify_one();
    }

    /// What could be wider.
    pub(super) fn set_narrow(&self, segments: u64, bytes: u64) {
        let mut told = self.told.lock();
        (told.widening.segments_left, told.widening.bytes_left) = (segments, bytes);
    }

    /// So much of it is wider.
    pub(super) fn widened(&self, segments: u64, bytes: u64) {
        let mut told = self.told.lock();
        told.widening.segments_done += segments;
        told.widening.bytes_done += bytes;
        told.widening.segments_left = told.widening.segments_left.saturating_sub(segments);
        told.widening.bytes_left = told.widening.bytes_left.saturating_sub(bytes);
    }

    /// Whether an order was given since this was last asked.
    pub(super) fn take_rung(&self) -> bool {
        std::mem::take(&mut self.told.lock().rung)
    }

    pub(super) fn set_left(&self, left: Vec<(DriveId, Held, bool)>, balancing: bool) {
        let mut told = self.told.lock();
        told.ways.retain(|id, _| left.iter().any(|(known, ..)| known == id));
        told.rebalanced &= !balancing;
        for (id, left, holds_nothing) in left {
            let way = told.ways.entry(id).or_insert_with(|| Way {
                began: Instant::now(),
                total: left.bytes,
                left,
                holds_nothing,
            });
            way.total = way.total.max(left.bytes);
            (way.left, way.holds_nothing) = (left, holds_nothing);
        }
    }

    /// These left the drives where they were.
    pub(super) fn noted(&self, moved: &[Moved]) {
        let mut told = self.told.lock();
        for moved in moved {
            for (_, on) in &moved.left {
                if let Some(way) = told.ways.get_mut(&on.id) {
                    way.left.segments = way.left.segments.saturating_sub(1);
                    way.left.bytes = way.left.bytes.saturating_sub(moved.bytes);
                }
            }
        }
    }

    pub(super) fn moved(&self, shards: u64, bytes: u64) {
        let mut told = self.told.lock();
        told.shards_moved += shards;
        told.bytes_moved += bytes;
    }

    pub(super) fn rebalanced(&self) {
        self.told.lock().rebalanced = true;
    }

    pub(super) fn reason(&self, reason: String) {
        let mut told = self.told.lock();
        if told.reasons.contains(&reason) {
            return;
        }
        if told.reasons.len() >= REASONS_MAX {
            told.reasons.remove(0);
        }
        told.reasons.push(reason);
    }

    /// A drive's drain; the caller names it. One that was not looked at yet holds something.
    pub(super) fn drain(&self, id: DriveId) -> Drain {
        let told = self.told.lock();
        let Some(way) = told.ways.get(&id) else {
            return Drain::default();
        };
        let seconds = way.began.elapsed().as_secs_f64();
        let done = way.total.saturating_sub(way.left.bytes) as f64;
        let rate = if seconds > 0.0 { done / seconds } else { 0.0 };
        let eta = Duration::try_from_secs_f64(way.left.bytes as f64 / rate).ok();
        Drain {
            holds_nothing: way.holds_nothing,
            segments_left: way.left.segments,
            bytes_left: way.left.bytes,
            total_bytes: way.total,
            bytes_per_second: rate as u64,
            eta: eta.filter(|_| way.left.bytes > 0),
            ..Drain::default()
        }
    }

    /// Everything but the drains.
    pub(super) fn status(&self) -> MovingStatus {
        let told = self.told.lock();
        MovingStatus {
            drains: Vec::new(),
            rebalance: Rebalance {
                percent: None,
                done: told.rebalanced,
            },
            widening: told.widening,
            shards_moved: told.shards_moved,
            bytes_moved: told.bytes_moved,
            reasons: told.reasons.clone(),
        }
    }
}
