//! The ledgers of one store: what each bucket with a quota holds, what is claimed of it, and how far it is counted.

use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher, Hash};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{RwLock, watch};
use tokio::time::Instant;

use super::OverQuota;
use super::weight::{Account, Amounts, Change, Growth, Held};
use crate::backend::Key;
use crate::store::name::BucketName;
use crate::store::record::settings::BucketSettings;

/// How long a write waits for a count that is going on; then it is judged by what was counted so far.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
/// How old a count may be.
const COUNT_AGE_MAX: Duration = Duration::from_secs(60 * 60);
/// How long a count that failed is not tried again.
const REST: Duration = Duration::from_secs(10);
/// Locks of what is entered in no ledger.
const UNKEPT: usize = 64;
/// Rows of one bucket whose commits may go on at the same time.
const TURNS: usize = 64;

/// The ledgers of one store.
pub(in crate::store) struct Ledgers {
    by_bucket: Mutex<HashMap<BucketName, Arc<Ledger>>>,
    /// Shared by the commits that are entered in no ledger, because their bucket had no quota when they looked; by the hash
    /// of its name. A count begins when those are done that began before the quota was set.
    unkept: [RwLock<()>; UNKEPT],
}

impl Default for Ledgers {
    fn default() -> Self {
        Self {
            by_bucket: Mutex::default(),
            unkept: std::array::from_fn(|_| RwLock::default()),
        }
    }
}

/// A commit that is entered in no ledger; whatever a ledger says of the bucket is worth nothing after it.
pub(super) struct Unkept<'a> {
    pub(super) ledgers: &'a Ledgers,
    pub(super) bucket: &'a BucketName,
}

impl Drop for Unkept<'_> {
    fn drop(&mut self) {
        self.ledgers.forget(self.bucket);
    }
}

impl Ledgers {
    pub(super) fn of(&self, bucket: &BucketName) -> Arc<Ledger> {
        let mut ledgers = self.by_bucket.lock();
        Arc::clone(ledgers.entry(bucket.clone()).or_default())
    }

    pub(super) fn unkept(&self, bucket: &BucketName) -> Option<&RwLock<()>> {
        self.unkept.get(place_of(bucket, UNKEPT))
    }

    /// What the bucket holds is to be counted anew before anything is judged by it.
    pub(in crate::store) fn forget(&self, bucket: &BucketName) {
        if let Some(ledger) = self.by_bucket.lock().get(bucket) {
            let mut sums = ledger.sums.lock();
            let generation = sums.generation + 1;
            *sums = Sums {
                generation,
                claimed: std::mem::take(&mut sums.claimed),
                ..Sums::default()
            };
        }
    }
}

/// What one bucket holds.
pub(super) struct Ledger {
    /// Shared by the commits that change the bucket; the count reads a page while there is none.
    pub(super) moving: RwLock<()>,
    /// Commits on one row come one after another, so each knows what it replaces.
    turns: [tokio::sync::Mutex<()>; TURNS],
    pub(super) sums: Mutex<Sums>,
    /// Counts that have ended, well or not.
    pub(super) ended: watch::Sender<u64>,
}

impl Default for Ledger {
    fn default() -> Self {
        Self {
            moving: RwLock::default(),
            turns: std::array::from_fn(|_| tokio::sync::Mutex::default()),
            sums: Mutex::default(),
            ended: watch::Sender::new(0),
        }
    }
}

impl Ledger {
    /// The turns of all these rows, taken in one order by everybody.
    pub(super) async fn turns(&self, rows: impl Iterator<Item = &Key>) -> Vec<tokio::sync::MutexGuard<'_, ()>> {
        let places: BTreeSet<usize> = rows.map(|row| place_of(row, TURNS)).collect();
        let mut turns = Vec::with_capacity(places.len());
        for turn in places.into_iter().filter_map(|place| self.turns.get(place)) {
            turns.push(turn.lock().await);
        }
        turns
    }
}

/// Where something belongs among so many.
pub(in crate::store) fn place_of(what: &impl Hash, places: usize) -> usize {
    let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(what);
    usize::try_from(hash % places as u64).unwrap_or_default()
}

#[derive(Debug, Default)]
pub(super) struct Sums {
    /// What there is; `None`: not counted yet.
    pub(super) held: Option<Amounts>,
    /// By how much commits that are going on make sums larger.
    claimed: Amounts,
    pub(super) count: Option<Count>,
    counted_at: Option<Instant>,
    /// When the last count failed.
    pub(super) failed_at: Option<Instant>,
    /// Goes on whenever a count that runs is worth nothing any more.
    pub(super) generation: u64,
}

/// A count that is going on.
#[derive(Debug)]
pub(super) struct Count {
    pub(super) begun: Instant,
    /// Everything up to this row is counted.
    upto: Option<Key>,
    amounts: Amounts,
}

impl Count {
    pub(super) fn begin() -> Self {
        Self {
            begun: Instant::now(),
            upto: None,
            amounts: Amounts::default(),
        }
    }
}

impl Sums {
    /// The least that a sum comes to.
    fn figure(&self, account: &Account) -> Held {
        let counted = || self.count.as_ref().map(|count| count.amounts.of(account));
        match &self.held {
            Some(held) => held.of(account),
            None => counted().unwrap_or_default(),
        }
    }

    pub(super) fn judge(&self, growth: &Growth, settings: &BucketSettings) -> Result<(), OverQuota> {
        for (account, more, limit) in growth.limited(settings) {
            let claimed = self.claimed.of(account);
            limit.judge(self.figure(account).and(claimed), more)?;
        }
        Ok(())
    }

    pub(super) fn claim(&mut self, growth: &Growth, settings: &BucketSettings) -> Result<(), OverQuota> {
        self.judge(growth, settings)?;
        self.enter(growth);
        Ok(())
    }

    /// As [`Self::claim`], without being refused.
    pub(super) fn enter(&mut self, growth: &Growth) {
        self.claimed.grow(growth);
    }

    pub(super) fn give_up(&mut self, growth: &Growth) {
        self.claimed.shrink(growth);
    }

    /// The rows count for something else now.
    pub(super) fn settle(&mut self, changes: &[Change], growth: &Growth) {
        self.give_up(growth);
        for change in changes {
            if let Some(held) = &mut self.held {
                held.change(change);
            }
            let counted = self.count.as_mut();
            if let Some(count) = counted.filter(|count| count.upto.as_ref() >= Some(&change.row)) {
                count.amounts.change(change);
            }
        }
    }

    /// Nobody knows whether the rows count for something else now: counted as if they counted for more, until the next count.
    pub(super) fn doubt(&mut self, growth: &Growth) {
        self.give_up(growth);
        if let Some(held) = &mut self.held {
            held.grow(growth);
        }
        self.counted_at = None;
        self.count = None;
        self.generation += 1;
    }

    pub(super) fn count_is_due(&self) -> bool {
        let old = |at: Instant| at.elapsed() > COUNT_AGE_MAX;
        let rested = self.failed_at.is_none_or(|at| at.elapsed() > REST);
        self.count.is_none() && rested && (self.held.is_none() || self.counted_at.is_none_or(old))
    }

    /// Takes in one more page of a count, up to some row; `false`: the count is worth nothing any more.
    pub(super) fn counted(&mut self, generation: u64, (amounts, upto): (Amounts, Key), is_whole: bool) -> bool {
        if self.generation != generation {
            return false;
        }
        let Some(mut count) = self.count.take() else {
            return false;
        };
        count.amounts.join(amounts);
        count.upto = Some(upto);
        if is_whole {
            self.held = Some(count.amounts);
            self.counted_at = Some(Instant::now());
        } else {
            self.count = Some(count);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::super::weight::{QuotaOf, QuotaUnit, Weight};
    use super::*;
    use crate::store::record::settings::Quota;

    fn row(name: &str) -> Key {
        Key::new(name.as_bytes().to_vec())
    }

    fn change(name: &str, old: u64, new: u64) -> Change {
        Change {
            row: row(name),
            old: Weight::of_object(old),
            new: Weight::of_object(new),
        }
    }

    fn by(bytes: u64) -> Growth {
        Growth::of(&[change("a", 0, bytes)])
    }

    fn limited(bytes: u64) -> BucketSettings {
        BucketSettings {
            quota: Some(Quota { bytes }),
            ..BucketSettings::default()
        }
    }

    fn holding(bytes: u64) -> Sums {
        Sums {
            held: Some(Amounts::with(Account::Objects, bytes)),
            ..Sums::default()
        }
    }

    impl Sums {
        fn objects(&self) -> (Option<u64>, u64) {
            let held = self.held.as_ref().map(|held| held.of(&Account::Objects).bytes);
            (held, self.claimed.of(&Account::Objects).bytes)
        }
    }

    #[test]
    fn what_was_claimed_counts_until_it_is_settled_or_given_up() {
        let mut sums = holding(60);
        assert_eq!(sums.claim(&by(40), &limited(100)), Ok(()));
        let over = OverQuota {
            of: QuotaOf::Bucket,
            unit: QuotaUnit::Bytes,
            quota: 100,
            needed: 101,
        };
        assert_eq!(sums.claim(&by(1), &limited(100)), Err(over));
        assert_eq!(
            sums.claim(&by(0), &limited(10)),
            Ok(()),
            "what grows by nothing has room in a bucket that is over"
        );
        sums.give_up(&by(40));
        assert_eq!(sums.claim(&by(30), &limited(100)), Ok(()));
        sums.settle(&[change("a", 10, 40)], &by(30));
        assert_eq!(sums.objects(), (Some(90), 0));
        sums.settle(&[change("a", 40, 0)], &by(0));
        assert_eq!(sums.objects(), (Some(50), 0));
    }

    #[test]
    fn a_count_takes_in_what_changes_behind_it_and_not_what_lies_before_it() {
        let mut sums = Sums {
            count: Some(Count {
                upto: Some(row("m")),
                amounts: Amounts::with(Account::Objects, 100),
                ..Count::begin()
            }),
            ..Sums::default()
        };
        sums.settle(&[change("a", 10, 30)], &by(0));
        sums.settle(&[change("m", 0, 5)], &by(0));
        sums.settle(&[change("z", 0, 1_000)], &by(0));
        assert_eq!(sums.figure(&Account::Objects).bytes, 125);
        assert!(sums.held.is_none());
        let page = Amounts::with(Account::Objects, 7);
        assert!(!sums.counted(1, (page.clone(), row("q")), true), "another count");
        assert!(sums.counted(0, (page, row("q")), true));
        assert_eq!(sums.objects(), (Some(132), 0));
    }

    #[test]
    fn a_write_of_unknown_outcome_counts_as_done_and_asks_for_a_count() {
        let mut sums = Sums {
            counted_at: Some(Instant::now()),
            ..holding(10)
        };
        assert!(!sums.count_is_due());
        sums.claim(&by(5), &limited(100)).unwrap();
        sums.doubt(&by(5));
        assert_eq!(sums.objects(), (Some(15), 0));
        assert!(sums.count_is_due());
    }
}
