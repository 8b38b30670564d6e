//! Quotas: how much a bucket may hold, held to exactly while it is written to.
//!
//! Owns, for every bucket with a quota, a ledger of what the bucket holds: counted once from its rows, then carried on by
//! every commit that changes it, and counted anew every hour. It lives in memory, so one process writes to a store that
//! has quotas. Buckets without one cost a look at their settings and a shared lock that nobody waits for. It never counts
//! parts of uploads that are not completed: they are no objects yet.

use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher, Hash};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{RwLock, watch};
use tokio::time::Instant;

use crate::backend::{Batch, CommitError, Key, Rev};
use crate::limits::LIST_ITEMS_MAX;
use crate::store::error::{CommitRefused, Fault};
use crate::store::name::BucketName;
use crate::store::record::Record;
use crate::store::record::object::Object;
use crate::store::record::settings::BucketSettings;
use crate::store::{Store, key};

/// How long a write waits for a count that is going on; then it is judged by what was counted so far.
const PATIENCE: Duration = Duration::from_secs(5);
/// How old a count may be.
const COUNT_AGE_MAX: Duration = Duration::from_secs(60 * 60);
/// How long a count that failed is not tried again.
const REST: Duration = Duration::from_secs(10);
/// Locks of what is entered in no ledger.
const UNKEPT: usize = 64;
/// Keys of one bucket whose commits may go on at the same time.
const TURNS: usize = 64;

/// A write that would make its bucket hold more than it may. Nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the bucket may hold {quota} bytes and would hold {needed} with this")]
pub struct OverQuota {
    pub quota: u64,
    pub needed: u64,
}

/// A commit of an object's row that was not done, or may not have been.
#[derive(Debug)]
pub(super) enum SizedRefused {
    OverQuota(OverQuota),
    Condition {
        index: usize,
        found: Option<Rev>,
    },
    /// See [`CommitError::PartChanged`].
    PartChanged,
    Fault(Fault),
}

impl From<CommitError> for SizedRefused {
    fn from(error: CommitError) -> Self {
        if let CommitError::PartChanged = error {
            return Self::PartChanged;
        }
        match CommitRefused::from(error) {
            CommitRefused::Condition { index, found } => Self::Condition { index, found },
            CommitRefused::Fault(fault) => Self::Fault(fault),
        }
    }
}

impl From<Fault> for SizedRefused {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl SizedRefused {
    /// For batches that join no parts and make nothing larger.
    pub(super) fn of_removal(self) -> CommitRefused {
        match self {
            Self::Condition { index, found } => CommitRefused::Condition { index, found },
            Self::Fault(fault) => CommitRefused::Fault(fault),
            Self::OverQuota(over) => CommitRefused::Fault(Fault::Internal(format!("a removal was refused: {over}"))),
            Self::PartChanged => CommitRefused::Fault(Fault::Internal("a batch without parts missed one".into())),
        }
    }
}

/// What is set on a bucket, as it was while nobody began to count what the bucket holds.
struct Books<'s> {
    _unkept: Option<tokio::sync::RwLockReadGuard<'s, ()>>,
    settings: Option<Arc<BucketSettings>>,
}

/// A failed look for room.
#[derive(Debug)]
pub(super) enum NoRoom {
    OverQuota(OverQuota),
    Fault(Fault),
}

impl From<Fault> for NoRoom {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// The ledgers of one store.
pub(super) struct Ledgers {
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
struct Unkept<'a> {
    ledgers: &'a Ledgers,
    bucket: &'a BucketName,
}

impl Drop for Unkept<'_> {
    fn drop(&mut self) {
        self.ledgers.forget(self.bucket);
    }
}

impl Ledgers {
    fn of(&self, bucket: &BucketName) -> Arc<Ledger> {
        let mut ledgers = self.by_bucket.lock();
        Arc::clone(ledgers.entry(bucket.clone()).or_default())
    }

    fn unkept(&self, bucket: &BucketName) -> Option<&RwLock<()>> {
        self.unkept.get(place_of(bucket, UNKEPT))
    }

    /// What the bucket holds is to be counted anew before anything is judged by it.
    pub(super) fn forget(&self, bucket: &BucketName) {
        if let Some(ledger) = self.by_bucket.lock().get(bucket) {
            let mut sums = ledger.sums.lock();
            let generation = sums.generation + 1;
            *sums = Sums {
                generation,
                claimed: sums.claimed,
                ..Sums::default()
            };
        }
    }
}

/// What one bucket holds.
struct Ledger {
    /// Shared by the commits that change the bucket; the count reads a page while there is none.
    moving: RwLock<()>,
    /// Commits on one key come one after another, so each knows what it replaces.
    turns: [tokio::sync::Mutex<()>; TURNS],
    sums: Mutex<Sums>,
    /// Counts that have ended, well or not.
    ended: watch::Sender<u64>,
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

#[derive(Debug, Default)]
struct Sums {
    /// Bytes of all objects; `None`: not counted yet.
    held: Option<u64>,
    /// Bytes by which commits that are going on make the bucket larger.
    claimed: u64,
    count: Option<Count>,
    counted_at: Option<Instant>,
    /// When the last count failed.
    failed_at: Option<Instant>,
    /// Goes on whenever a count that runs is worth nothing any more.
    generation: u64,
}

/// A count that is going on.
#[derive(Debug)]
struct Count {
    begun: Instant,
    /// Everything up to this row is counted.
    upto: Option<Key>,
    bytes: u64,
}

impl Count {
    fn begin() -> Self {
        Self {
            begun: Instant::now(),
            upto: None,
            bytes: 0,
        }
    }
}

fn changed(sum: u64, old: u64, new: u64) -> u64 {
    sum.saturating_sub(old).saturating_add(new)
}

impl Sums {
    /// The least that the bucket holds.
    fn figure(&self) -> u64 {
        let counted = self.count.as_ref().map_or(0, |count| count.bytes);
        self.held.unwrap_or(counted)
    }

    fn judge(&self, growth: u64, quota: u64) -> Result<(), OverQuota> {
        let needed = self.figure().saturating_add(self.claimed).saturating_add(growth);
        match growth == 0 || needed <= quota {
            true => Ok(()),
            false => Err(OverQuota { quota, needed }),
        }
    }

    fn claim(&mut self, growth: u64, quota: u64) -> Result<(), OverQuota> {
        self.judge(growth, quota)?;
        self.claimed = self.claimed.saturating_add(growth);
        Ok(())
    }

    fn give_up(&mut self, growth: u64) {
        self.claimed = self.claimed.saturating_sub(growth);
    }

    /// The row has another size now.
    fn settle(&mut self, row_key: &Key, old: u64, new: u64) {
        self.give_up(new.saturating_sub(old));
        self.held = self.held.map(|held| changed(held, old, new));
        if let Some(count) = self.count.as_mut().filter(|count| count.upto.as_ref() >= Some(row_key)) {
            count.bytes = changed(count.bytes, old, new);
        }
    }

    /// Nobody knows whether the row has another size now: counted as if it were larger, until the next count.
    fn doubt(&mut self, growth: u64) {
        self.give_up(growth);
        self.held = self.held.map(|held| held.saturating_add(growth));
        self.counted_at = None;
        self.count = None;
        self.generation += 1;
    }

    fn count_is_due(&self) -> bool {
        let old = |at: Instant| at.elapsed() > COUNT_AGE_MAX;
        let rested = self.failed_at.is_none_or(|at| at.elapsed() > REST);
        self.count.is_none() && rested && (self.held.is_none() || self.counted_at.is_none_or(old))
    }
}

impl Ledger {
    /// The turns of all these rows, taken in one order by everybody.
    async fn turns(&self, rows: &[(Key, u64)]) -> Vec<tokio::sync::MutexGuard<'_, ()>> {
        let places: BTreeSet<usize> = rows.iter().map(|(row_key, _)| place_of(row_key, TURNS)).collect();
        let mut turns = Vec::with_capacity(places.len());
        for turn in places.into_iter().filter_map(|place| self.turns.get(place)) {
            turns.push(turn.lock().await);
        }
        turns
    }
}

/// Where something belongs among so many.
pub(super) fn place_of(what: &impl Hash, places: usize) -> usize {
    let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(what);
    usize::try_from(hash % places as u64).unwrap_or_default()
}

/// A batch after which objects' rows have other sizes.
struct SizedCommit {
    rows: Vec<(Key, u64)>,
    quota: u64,
    is_counted: bool,
}

enum Tried {
    Done(Result<Rev, SizedRefused>),
    /// It makes the bucket larger, which nobody has counted.
    Uncounted(Box<Batch>),
}

impl SizedCommit {
    async fn run(self, store: Store, ledger: Arc<Ledger>, batch: Batch) -> Tried {
        let _moving = ledger.moving.read().await;
        let _turns = ledger.turns(&self.rows).await;
        let (mut olds, mut growth) = (Vec::with_capacity(self.rows.len()), 0_u64);
        for (row_key, size) in &self.rows {
            let old = match store.size_of(row_key).await {
                Ok(old) => old,
                Err(fault) => return Tried::Done(Err(fault.into())),
            };
            growth = growth.saturating_add(size.saturating_sub(old));
            olds.push(old);
        }
        if growth > 0 && !self.is_counted {
            return Tried::Uncounted(Box::new(batch));
        }
        let claimed = ledger.sums.lock().claim(growth, self.quota);
        if let Err(over) = claimed {
            return Tried::Done(Err(SizedRefused::OverQuota(over)));
        }
        let claim = Claim {
            sums: Some(&ledger.sums),
            growth,
        };
        let committed = store.inner.backend.commit(batch).await;
        match &committed {
            Ok(_) => claim.end(|sums| {
                for ((row_key, size), old) in self.rows.iter().zip(olds) {
                    sums.settle(row_key, old, *size);
                }
            }),
            Err(CommitError::Unknown(_)) => drop(claim),
            Err(
                CommitError::Failed { .. }
                | CommitError::Invalid(_)
                | CommitError::PartChanged
                | CommitError::Full(_)
                | CommitError::Unavailable(_),
            ) => claim.end(|sums| sums.give_up(growth)),
        }
        Tried::Done(committed.map_err(SizedRefused::from))
    }
}

/// Bytes that are claimed; where nobody says how that ended, they are in doubt.
struct Claim<'a> {
    sums: Option<&'a Mutex<Sums>>,
    growth: u64,
}

impl Claim<'_> {
    fn end(mut self, how: impl FnOnce(&mut Sums)) {
        if let Some(sums) = self.sums.take() {
            how(&mut sums.lock());
        }
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        if let Some(sums) = self.sums.take() {
            sums.lock().doubt(self.growth);
        }
    }
}

impl Store {
    /// How many bytes a bucket may hold; `None`: as many as fit.
    async fn quota_of(&self, bucket: &BucketName) -> Result<Option<u64>, Fault> {
        let settings = self.bucket_settings(bucket).await?;
        Ok(settings
            .and_then(|(settings, _)| settings.quota)
            .map(|quota| quota.bytes))
    }

    /// Whether an object of `size` bytes has room in place of what the row holds now, so that a body that has none is
    /// refused before it is taken in. The commit decides.
    pub(super) async fn look_for_room(&self, bucket: &BucketName, row_key: &Key, size: u64) -> Result<(), NoRoom> {
        let Some(quota) = self.quota_of(bucket).await? else {
            return Ok(());
        };
        let growth = size.saturating_sub(self.size_of(row_key).await?);
        if growth == 0 {
            return Ok(());
        }
        let ledger = self.inner.ledgers.of(bucket);
        self.await_count(bucket, &ledger).await?;
        let judged = ledger.sums.lock().judge(growth, quota);
        if judged.is_err() {
            self.tell_over_quota(bucket).await;
        }
        judged.map_err(NoRoom::OverQuota)
    }

    /// What the row counts for; nothing, if it cannot be read: it can be written over and removed.
    async fn size_of(&self, row_key: &Key) -> Result<u64, Fault> {
        match self.current(row_key).await {
            Ok(current) => Ok(current.map_or(0, |current| current.object.size)),
            Err(Fault::Corrupt(_)) => Ok(0),
            Err(fault) => Err(fault),
        }
    }

    /// Commits a batch after which the object row `row_key` holds `size` bytes, nothing for a removal. Refused if the
    /// bucket has a quota and would hold more than that; a batch that makes nothing larger never is. In a bucket with a
    /// quota it runs to its end when the caller goes away.
    pub(super) async fn commit_sized(
        &self,
        bucket: &BucketName,
        row_key: &Key,
        size: u64,
        batch: Batch,
    ) -> Result<Rev, SizedRefused> {
        let mut batch = batch;
        let mut turn = None;
        let (books, _following) = loop {
            let books = self.open_books(bucket).await?;
            let Some(turns) = self.catalogue_turn(books.settings.as_deref(), row_key)? else {
                break (books, None);
            };
            let Some(mine) = turn.take().or_else(|| turns.try_lock().ok()) else {
                // Nobody waits for a turn with the books open: a count waits for those, and whoever has the turn for it.
                drop(books);
                turn = Some(turns.lock().await);
                continue;
            };
            let following = self.follow_in_turn(bucket, (mine, row_key), &mut batch).await?;
            break (books, Some(following));
        };
        self.commit_with(books, bucket, &[(row_key.clone(), size)], batch).await
    }

    /// The same, for several rows and a batch that has with it what the catalogue needs.
    pub(super) async fn commit_counted(
        &self,
        bucket: &BucketName,
        rows: &[(Key, u64)],
        batch: Batch,
    ) -> Result<Rev, SizedRefused> {
        let books = self.open_books(bucket).await?;
        self.commit_with(books, bucket, rows, batch).await
    }

    async fn open_books(&self, bucket: &BucketName) -> Result<Books<'_>, Fault> {
        let unkept = match self.inner.ledgers.unkept(bucket) {
            Some(unkept) => Some(unkept.read().await),
            None => None,
        };
        // Looked at under the lock: whoever counts after a quota was set knows who did not see it.
        let settings = self.bucket_settings(bucket).await?;
        Ok(Books {
            _unkept: unkept,
            settings: settings.map(|(settings, _)| settings),
        })
    }

    async fn commit_with(
        &self,
        books: Books<'_>,
        bucket: &BucketName,
        rows: &[(Key, u64)],
        mut batch: Batch,
    ) -> Result<Rev, SizedRefused> {
        let ledgers = &self.inner.ledgers;
        let quota = books.settings.as_ref().and_then(|settings| settings.quota);
        let Some(quota) = quota.map(|quota| quota.bytes) else {
            let _forgotten = Unkept { ledgers, bucket };
            return Ok(self.inner.backend.commit(batch).await?);
        };
        drop(books);
        // What makes nothing larger waits for no count: a bucket can be emptied whatever is wrong with its rows.
        let mut is_counted = false;
        let ledger = self.inner.ledgers.of(bucket);
        loop {
            let store = self.clone();
            let sized = SizedCommit {
                rows: rows.to_vec(),
                quota,
                is_counted,
            };
            let task = tokio::spawn(sized.run(store, Arc::clone(&ledger), batch));
            match task.await {
                Ok(Tried::Done(done)) => {
                    if matches!(done, Err(SizedRefused::OverQuota(_))) {
                        self.tell_over_quota(bucket).await;
                    }
                    return done;
                }
                Ok(Tried::Uncounted(back)) => batch = *back,
                Err(error) => return Err(Fault::Internal(format!("writing within a quota: {error}")).into()),
            }
            self.await_count(bucket, &ledger).await?;
            is_counted = true;
        }
    }

    /// Returns when the bucket is counted, or its count takes too long.
    async fn await_count(&self, bucket: &BucketName, ledger: &Arc<Ledger>) -> Result<(), Fault> {
        loop {
            let mut ended = ledger.ended.subscribe();
            let until = {
                let mut sums = ledger.sums.lock();
                if sums.count_is_due() {
                    sums.count = Some(Count::begin());
                    let count = self.clone().count(bucket.clone(), Arc::clone(ledger), sums.generation);
                    tokio::spawn(count);
                }
                match &sums.count {
                    _ if sums.held.is_some() => return Ok(()),
                    Some(count) => count.begun + PATIENCE,
                    None => {
                        let reason = "what the bucket holds could not be counted, and it has a quota";
                        return Err(Fault::Unavailable(reason.into()));
                    }
                }
            };
            // Not in time: what was counted so far is the least that the bucket holds. What ended may have been a count
            // that was worth nothing any more.
            if tokio::time::timeout_at(until, ended.changed()).await.is_err() {
                return Ok(());
            }
        }
    }

    /// Counts what the bucket holds, page by page, with commits going on between the pages.
    async fn count(self, bucket: BucketName, ledger: Arc<Ledger>, generation: u64) {
        let counted = self.count_pages(&bucket, &ledger, generation).await;
        if let Err(fault) = counted {
            tracing::warn!(%fault, %bucket, "what a bucket with a quota holds was not counted");
            let mut sums = ledger.sums.lock();
            if sums.generation == generation {
                sums.count = None;
                sums.failed_at = Some(Instant::now());
            }
        }
        ledger.ended.send_modify(|ended| *ended += 1);
    }

    async fn count_pages(&self, bucket: &BucketName, ledger: &Ledger, generation: u64) -> Result<(), Fault> {
        let mut start = key::currents(bucket, "");
        let Some(end) = start.after_prefix() else { return Ok(()) };
        if let Some(unkept) = self.inner.ledgers.unkept(bucket) {
            drop(unkept.write().await);
        }
        loop {
            let _still = ledger.moving.write().await;
            let page = self
                .inner
                .backend
                .scan(start.clone()..end.clone(), LIST_ITEMS_MAX)
                .await?;
            let mut bytes = 0_u64;
            for (_, row) in &page.items {
                match Object::from_value(&row.value) {
                    Ok(object) => bytes = bytes.saturating_add(object.size),
                    Err(error) => tracing::warn!(%bucket, %error, "an object that cannot be read counts for nothing"),
                }
            }
            let last = page.items.last().map(|(row_key, _)| row_key.clone());
            let mut sums = ledger.sums.lock();
            if sums.generation != generation {
                return Ok(());
            }
            let Some(count) = sums.count.as_mut() else {
                return Ok(());
            };
            count.bytes = count.bytes.saturating_add(bytes);
            match last.filter(|_| page.more) {
                Some(last) => {
                    start = last.successor();
                    count.upto = Some(last);
                }
                None => {
                    sums.held = Some(count.bytes);
                    sums.counted_at = Some(Instant::now());
                    sums.count = None;
                    return Ok(());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str) -> Key {
        Key::new(name.as_bytes().to_vec())
    }

    #[test]
    fn what_was_claimed_counts_until_it_is_settled_or_given_up() {
        let mut sums = Sums {
            held: Some(60),
            ..Sums::default()
        };
        assert_eq!(sums.claim(40, 100), Ok(()));
        let over = OverQuota {
            quota: 100,
            needed: 101,
        };
        assert_eq!(sums.claim(1, 100), Err(over));
        assert_eq!(
            sums.claim(0, 10),
            Ok(()),
            "what grows by nothing has room in a bucket that is over"
        );
        sums.give_up(40);
        assert_eq!(sums.claim(30, 100), Ok(()));
        sums.settle(&row("a"), 10, 40);
        assert_eq!((sums.held, sums.claimed), (Some(90), 0));
        sums.settle(&row("a"), 40, 0);
        assert_eq!(sums.held, Some(50));
    }

    #[test]
    fn a_count_takes_in_what_changes_behind_it_and_not_what_lies_before_it() {
        let mut sums = Sums {
            count: Some(Count {
                upto: Some(row("m")),
                bytes: 100,
                ..Count::begin()
            }),
            ..Sums::default()
        };
        sums.settle(&row("a"), 10, 30);
        sums.settle(&row("m"), 0, 5);
        sums.settle(&row("z"), 0, 1_000);
        assert_eq!((sums.figure(), sums.held), (125, None));
    }

    #[test]
    fn a_write_of_unknown_outcome_counts_as_done_and_asks_for_a_count() {
        let mut sums = Sums {
            held: Some(10),
            counted_at: Some(Instant::now()),
            ..Sums::default()
        };
        assert!(!sums.count_is_due());
        sums.claim(5, 100).unwrap();
        sums.doubt(5);
        assert_eq!((sums.held, sums.claimed, sums.count_is_due()), (Some(15), 0, true));
    }
}
