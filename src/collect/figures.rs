//! What collection did since the process began, for who watches it.

use parking_lot::Mutex;
use storage_engine::store::clock::Timestamp;

use super::Collected;

/// Figures of all passes; dry ones are none.
#[derive(Debug, Default)]
pub struct Figures(Mutex<Sum>);

#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    collected: Collected,
    last: Option<Last>,
}

/// When the last pass ended, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Last {
    pub ended: Timestamp,
    /// It went through all buckets.
    pub is_whole: bool,
}

impl Figures {
    pub(super) fn note(&self, pass: &Collected, is_whole: bool, ended: Timestamp) {
        let mut sum = self.0.lock();
        sum.collected.add(pass);
        sum.last = Some(Last { ended, is_whole });
    }

    /// What went in all passes together, and the last one; none: there was none yet.
    pub fn now(&self) -> (Collected, Option<Last>) {
        let sum = *self.0.lock();
        (sum.collected, sum.last)
    }
}

impl Collected {
    fn add(&mut self, other: &Self) {
        self.announced += other.announced;
        self.uploads += other.uploads;
        self.ended += other.ended;
        self.unregistered += other.unregistered;
        self.unreferenced += other.unreferenced;
        self.trash += other.trash;
        self.versions += other.versions;
        self.rejected += other.rejected;
        self.quarantined += other.quarantined;
        self.failed += other.failed;
    }
}
