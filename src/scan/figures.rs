//! What scanning did since the process began, for who watches it.

use std::collections::BTreeMap;
use std::time::Duration;

use parking_lot::Mutex;
use storage_engine::store::name::BucketName;

/// Figures of all scans.
#[derive(Debug, Default)]
pub struct Figures(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    verdicts: BTreeMap<&'static str, u64>,
    spent: Duration,
    /// By bucket, as it was last looked at.
    waiting: BTreeMap<BucketName, u64>,
}

/// What was done, and what waits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// How often what was said; `error`: nothing.
    pub verdicts: Vec<(&'static str, u64)>,
    /// Seconds that were spent on scans.
    pub seconds: u64,
    /// Files that wait to be scanned.
    pub waiting: u64,
}

impl Figures {
    pub(super) fn scanned(&self, verdict: &'static str, spent: Duration) {
        let mut state = self.0.lock();
        *state.verdicts.entry(verdict).or_default() += 1;
        state.spent = state.spent.saturating_add(spent);
    }

    pub(super) fn wait(&self, bucket: &BucketName, files: u64) {
        let mut state = self.0.lock();
        match files {
            0 => drop(state.waiting.remove(bucket)),
            files => drop(state.waiting.insert(bucket.clone(), files)),
        }
    }

    /// How it stands now.
    pub fn now(&self) -> Sums {
        let state = self.0.lock();
        Sums {
            verdicts: state.verdicts.iter().map(|(name, count)| (*name, *count)).collect(),
            seconds: state.spent.as_secs(),
            waiting: state.waiting.values().sum(),
        }
    }
}
