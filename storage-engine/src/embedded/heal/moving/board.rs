//! What is told of drains and the rebalance. Plain values; nothing is decided here.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Notify;

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

/// How far everything is that moves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MovingStatus {
    pub drains: Vec<Drain>,
    pub rebalance: Rebalance,
    /// Shards that were moved since the store was started, and about their bytes.
    pub shards_moved: u64,
    pub bytes_moved: u64,
    /// Why something waits, the last few reasons.
    pub reasons: Vec<String>,
}

struct Way {
    began: Instant,
    total: u64,
}

#[derive(Default)]
struct Told {
    ways: BTreeMap<DriveId, Way>,
    shards_moved: u64,
    bytes_moved: u64,
    rebalanced: bool,
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
        self.told.lock().reasons.clear();
        self.bell.notify_one();
    }

    pub(super) fn set_left(&self, left: Vec<(DriveId, u64, u64)>, balancing: bool) {
        let mut told = self.told.lock();
        told.ways.retain(|id, _| left.iter().any(|(known, ..)| known == id));
        told.rebalanced &= !balancing;
        for (id, _, bytes) in left {
            let way = told.ways.entry(id).or_insert_with(|| Way {
                began: Instant::now(),
                total: bytes,
            });
            way.total = way.total.max(bytes);
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

    /// A drive's drain with so much left; the caller names it.
    pub(super) fn drain(&self, id: DriveId, segments_left: u64, bytes_left: u64) -> Drain {
        let told = self.told.lock();
        let way = told.ways.get(&id);
        let total_bytes = way.map_or(bytes_left, |way| way.total.max(bytes_left));
        let seconds = way.map_or(0.0, |way| way.began.elapsed().as_secs_f64());
        let done = total_bytes.saturating_sub(bytes_left) as f64;
        let rate = if seconds > 0.0 { done / seconds } else { 0.0 };
        let eta = bytes_left as f64 / rate;
        Drain {
            segments_left,
            bytes_left,
            total_bytes,
            bytes_per_second: rate as u64,
            eta: Duration::try_from_secs_f64(eta).ok().filter(|_| bytes_left > 0),
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
            shards_moved: told.shards_moved,
            bytes_moved: told.bytes_moved,
            reasons: told.reasons.clone(),
        }
    }
}
