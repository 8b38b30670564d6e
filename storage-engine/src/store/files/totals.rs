//! How many files a list has, kept until the catalogue changes: counting is the one thing a list does whose cost follows
//! all of its files.
//!
//! Owns the figures and when they count no more. A change that its caller did not wait for is known a little later, so no
//! figure is older than [`AGE_MAX`].

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::{FileFilter, FileQuery, Viewer};
use crate::store::name::BucketName;

/// How old a figure may be.
const AGE_MAX: Duration = Duration::from_secs(10);
/// Figures that are kept of one bucket; all are forgotten when there are more.
const KEPT_MAX: usize = 256;

/// What is known of the lists of all buckets.
#[derive(Default)]
pub(in crate::store) struct Totals(Mutex<HashMap<BucketName, OfBucket>>);

#[derive(Default)]
struct OfBucket {
    /// Goes on with every change of the catalogue.
    changes: u64,
    figures: Vec<Figure>,
}

struct Figure {
    viewer: Viewer,
    filter: FileFilter,
    total: u64,
    counted: Instant,
}

/// What is known of a list, and since when.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Known {
    pub(super) total: Option<u64>,
    changes: u64,
}

impl Totals {
    /// The catalogue of the bucket changed, or may have.
    pub(in crate::store) fn forget(&self, bucket: &BucketName) {
        let mut all = self.0.lock();
        let known = all.entry(bucket.clone()).or_default();
        known.changes += 1;
        known.figures.clear();
    }

    pub(super) fn find(&self, bucket: &BucketName, query: &FileQuery) -> Known {
        let all = self.0.lock();
        let Some(known) = all.get(bucket) else {
            return Known::default();
        };
        let mut fresh = known.figures.iter().filter(|figure| figure.counted.elapsed() < AGE_MAX);
        let found = fresh.find(|figure| figure.viewer == query.viewer && figure.filter == query.filter);
        Known {
            total: found.map(|figure| figure.total),
            changes: known.changes,
        }
    }

    /// Keeps what was counted since `before`, unless something changed meanwhile.
    pub(super) fn keep(&self, bucket: &BucketName, query: &FileQuery, before: Known, total: u64) {
        let mut all = self.0.lock();
        let known = all.entry(bucket.clone()).or_default();
        if known.changes != before.changes {
            return;
        }
        if known.figures.len() >= KEPT_MAX {
            known.figures.clear();
        }
        known
            .figures
            .retain(|figure| figure.viewer != query.viewer || figure.filter != query.filter);
        known.figures.push(Figure {
            viewer: query.viewer.clone(),
            filter: query.filter.clone(),
            total,
            counted: Instant::now(),
        });
    }
}

/// A change of a bucket's catalogue that is going on; when it ends, however it ends, no figure of before counts.
pub(in crate::store) struct Changing<'t> {
    pub(in crate::store) totals: &'t Totals,
    pub(in crate::store) bucket: &'t BucketName,
}

impl Drop for Changing<'_> {
    fn drop(&mut self) {
        self.totals.forget(self.bucket);
    }
}
