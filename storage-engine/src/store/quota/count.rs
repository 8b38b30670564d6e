//! Counting what a bucket holds, page by page, with commits going on between the pages.

use std::sync::Arc;

use tokio::time::Instant;

use super::commit::Subject;
use super::ledger::{Count, Ledger, PATIENCE};
use super::weight::{Account, Amounts, Held};
use crate::backend::{Key, Page, Row};
use crate::limits::LIST_ITEMS_MAX;
use crate::store::error::Fault;
use crate::store::name::BucketName;
use crate::store::{Store, key};

impl Store {
    /// What each of these sums comes to; `None`: nobody knows, because the bucket has no quota or could not be counted in
    /// time. What is being written while this looks may not count yet.
    pub async fn held_by(&self, bucket: &BucketName, accounts: &[Account]) -> Result<Option<Vec<Held>>, Fault> {
        if self.limits_of(bucket).await?.is_none() {
            return Ok(None);
        }
        let ledger = self.inner.ledgers.of(bucket);
        match self.await_count(bucket, &ledger).await {
            Ok(()) => {}
            Err(Fault::Unavailable(_)) => return Ok(None),
            Err(fault) => return Err(fault),
        }
        let sums = ledger.sums.lock();
        Ok(sums
            .held
            .as_ref()
            .map(|held| accounts.iter().map(|account| held.of(account)).collect()))
    }

    /// Returns when the bucket is counted, or its count takes too long.
    pub(super) async fn await_count(&self, bucket: &BucketName, ledger: &Arc<Ledger>) -> Result<(), Fault> {
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
        if let Some(unkept) = self.inner.ledgers.unkept(bucket) {
            drop(unkept.write().await);
        }
        // In the order of their keys: whatever stands up to where the count is has been counted.
        let (objects, files) = (key::currents(bucket, ""), key::files(bucket));
        debug_assert!(objects < files, "objects are counted first");
        for (subject, beginning, is_last) in [(Subject::Object, objects, false), (Subject::File, files, true)] {
            let Some(end) = beginning.after_prefix() else {
                return Ok(());
            };
            let mut next = Some(beginning);
            while let Some(start) = next {
                let _still = ledger.moving.write().await;
                let page = self.inner.backend.scan(start..end.clone(), LIST_ITEMS_MAX).await?;
                let last = page.items.last().map(|(row, _)| row.clone()).filter(|_| page.more);
                next = last.as_ref().map(Key::successor);
                let amounts = amounts_of(bucket, subject, &page);
                let is_whole = is_last && last.is_none();
                let upto = last.unwrap_or_else(|| end.clone());
                if !ledger.sums.lock().counted(generation, (amounts, upto), is_whole) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

fn amounts_of(bucket: &BucketName, subject: Subject, page: &Page<(Key, Row)>) -> Amounts {
    let mut amounts = Amounts::default();
    for (_, row) in &page.items {
        match subject.weigh(&row.value) {
            Ok(weight) => amounts.add(&weight),
            Err(error) => tracing::warn!(%bucket, %error, "what cannot be read counts for nothing"),
        }
    }
    amounts
}
