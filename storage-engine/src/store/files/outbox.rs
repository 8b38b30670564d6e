//! What happened to files, written down for whoever listens: in the batch of the change itself, so that whatever was
//! answered is told, whatever happens to the process.
//!
//! Owns the rows of `e/`. Which listeners there are, and how they are told, is not its to know: it is handed their ids.

use std::collections::HashMap;

use parking_lot::Mutex;

use super::{File, FileId, FileState, index};
use crate::backend::{Batch, Key, Op, Require};
use crate::limits::LIST_ITEMS_MAX;
use crate::store::Store;
use crate::store::clock::Timestamp;
use crate::store::error::{CommitRefused, Fault};
use crate::store::key;
use crate::store::name::BucketName;
use crate::store::quota::{OverQuota, QuotaOf};
use crate::store::record::Record;
use crate::store::record::event::{DeliveryRecord, DeliveryState, EventKind, EventRecord};
use crate::store::settings::SettingsError;
use crate::store::whole::put;

/// Names an event: made as a file's id is, so that events sort by the time they happened.
pub type EventId = FileId;
/// Names a listener.
pub type ListenerId = [u8; 16];

/// How often a bucket that holds as much as it may is told of.
const OVER_QUOTA_MILLIS: u64 = 60 * 60 * 1000;
/// Buckets that are remembered for it.
const OVER_QUOTA_BUCKETS_MAX: usize = 4_096;
/// Rows that are taken away together.
const ROWS_AT_ONCE: usize = 500;

/// When it was last told of each bucket that it holds as much as it may.
#[derive(Default)]
pub(in crate::store) struct ToldOfQuota(Mutex<HashMap<BucketName, Timestamp>>);

impl ToldOfQuota {
    fn is_due(&self, bucket: &BucketName, now: Timestamp) -> bool {
        let mut told = self.0.lock();
        let last = told.get(bucket).map(|last| last.millis());
        if last.is_some_and(|last| now.millis() < last.saturating_add(OVER_QUOTA_MILLIS)) {
            return false;
        }
        if told.len() >= OVER_QUOTA_BUCKETS_MAX {
            told.clear();
        }
        told.insert(bucket.clone(), now);
        true
    }
}

/// What a change of a file is for those who listen. Pure.
fn kinds(before: Option<&File>, after: Option<&File>) -> Vec<EventKind> {
    let (from, to) = (before.map(|file| file.state), after.map(|file| file.state));
    let arrived = |file: Option<&File>| file.and_then(|file| Some((file.received?, file.etag)));
    let bytes_came = arrived(after).is_some_and(|bytes| arrived(before) != Some(bytes));
    let mut kinds = Vec::new();
    if bytes_came {
        kinds.push(EventKind::Received);
    }
    match (from, to) {
        (from, Some(FileState::Active)) if from != to || bytes_came => kinds.push(EventKind::Active),
        (from, Some(FileState::Rejected)) if from != to => kinds.push(EventKind::Rejected),
        (from, Some(FileState::Quarantined)) if from != to => kinds.push(EventKind::Quarantined),
        (from, Some(FileState::Trashed)) if from != to => kinds.push(EventKind::Deleted),
        // Of what was only announced nobody knew.
        (Some(from), None) if from != FileState::Pending => kinds.push(EventKind::Deleted),
        _ => {}
    }
    kinds
}

impl Store {
    /// The rows that a change of a file needs: those it is found by, and what is told to those who listen.
    pub(super) async fn file_ops(
        &self,
        bucket: &BucketName,
        id: FileId,
        before: Option<&File>,
        after: Option<&File>,
    ) -> Result<Vec<Op>, Fault> {
        let mut ops = index::ops(bucket, id, before, after);
        let kinds = kinds(before, after);
        if kinds.is_empty() {
            return Ok(ops);
        }
        let listened = self.listened(bucket).await?;
        for kind in kinds.into_iter().filter(|kind| listened & kind.bit() != 0) {
            let event = EventRecord {
                kind,
                at: self.now(),
                id: Some(*id.as_bytes()),
                from: before.map(|file| file.state),
                file: after.or(before).cloned(),
                purged: after.is_none(),
            };
            ops.push(put(
                key::event(bucket, self.next_file_id()?.as_bytes()),
                event.to_value(),
            ));
        }
        Ok(ops)
    }

    async fn listened(&self, bucket: &BucketName) -> Result<u32, Fault> {
        let settings = self.bucket_settings(bucket).await?;
        Ok(settings.map_or(0, |(settings, _)| settings.listened))
    }

    /// Tells that a write was refused for the quota of all; at most once in an hour. That one owner or logical bucket has as
    /// much as it may is told to nobody but who writes. What cannot be told now is not told: nothing was changed.
    pub(in crate::store) async fn tell_over_quota(&self, bucket: &BucketName, over: OverQuota) {
        match over.of {
            QuotaOf::Bucket | QuotaOf::Environment => {}
            QuotaOf::Owner | QuotaOf::LogicalBucket => return,
        }
        let telling = async {
            let now = self.now();
            if self.listened(bucket).await? & EventKind::OverQuota.bit() == 0
                || !self.inner.told_of_quota.is_due(bucket, now)
            {
                return Ok(false);
            }
            let event = EventRecord {
                kind: EventKind::OverQuota,
                at: now,
                id: None,
                from: None,
                file: None,
                purged: false,
            };
            let row = key::event(bucket, self.next_file_id()?.as_bytes());
            let batch = Batch {
                require: vec![self.is_open(bucket)],
                ops: vec![put(row, event.to_value())],
            };
            done(self.commit(batch).await)
        };
        let told: Result<bool, Fault> = telling.await;
        if let Err(fault) = told {
            tracing::debug!(%bucket, %fault, "nobody is told that a bucket holds as much as it may");
        }
    }

    /// Sets which kinds of events somebody listens to. Every change that begins when this has returned is written down.
    pub async fn listen(&self, bucket: &BucketName, kinds: u32) -> Result<(), SettingsError> {
        self.change_settings(bucket, |settings| settings.listened = kinds).await
    }

    /// The oldest events that nobody was told of yet.
    pub async fn events(&self, bucket: &BucketName, limit: usize) -> Result<Vec<(EventId, EventRecord)>, Fault> {
        let beginning = key::events(bucket);
        let rows = self.outbox_rows(&beginning, None, limit).await?;
        let read =
            |(row, value): (Key, bytes::Bytes)| Ok((id_behind(&row, &beginning)?, EventRecord::from_value(&value)?));
        rows.into_iter().map(read).collect()
    }

    /// Hands an event out: for each of the listeners a delivery stands when the event itself is gone. `false`: it was handed
    /// out already.
    pub async fn hand_out(
        &self,
        bucket: &BucketName,
        event: EventId,
        deliveries: &[(ListenerId, DeliveryRecord)],
    ) -> Result<bool, Fault> {
        let row = key::event(bucket, event.as_bytes());
        let standing = |(listener, delivery): &(ListenerId, DeliveryRecord)| {
            put(
                delivery_row(bucket, listener, event, delivery.state),
                delivery.to_value(),
            )
        };
        let mut ops: Vec<Op> = deliveries.iter().map(standing).collect();
        ops.push(Op::Delete(row.clone()));
        let batch = Batch {
            require: vec![Require::Present(row)],
            ops,
        };
        done(self.commit(batch).await)
    }

    /// Puts a delivery that was not there: one that nothing happened for.
    pub async fn put_delivery(
        &self,
        bucket: &BucketName,
        listener: &ListenerId,
        event: EventId,
        delivery: &DeliveryRecord,
    ) -> Result<bool, Fault> {
        let row = delivery_row(bucket, listener, event, delivery.state);
        let batch = Batch {
            require: vec![self.is_open(bucket), Require::Absent(row.clone())],
            ops: vec![put(row, delivery.to_value())],
        };
        done(self.commit(batch).await)
    }

    /// Notes what became of a delivery that waited. `false`: it waits no more.
    pub async fn note_delivery(
        &self,
        bucket: &BucketName,
        listener: &ListenerId,
        event: EventId,
        delivery: &DeliveryRecord,
    ) -> Result<bool, Fault> {
        let waiting = key::waiting_delivery(bucket, listener, event.as_bytes());
        let mut ops = vec![put(
            delivery_row(bucket, listener, event, delivery.state),
            delivery.to_value(),
        )];
        if delivery.state != DeliveryState::Waiting {
            ops.push(Op::Delete(waiting.clone()));
        }
        let batch = Batch {
            require: vec![Require::Present(waiting)],
            ops,
        };
        done(self.commit(batch).await)
    }

    /// Deliveries that wait, oldest event first, behind `after`.
    pub async fn waiting_deliveries(
        &self,
        bucket: &BucketName,
        listener: &ListenerId,
        (after, limit): (Option<EventId>, usize),
    ) -> Result<Vec<(EventId, DeliveryRecord)>, Fault> {
        let beginning = key::waiting_deliveries(bucket, listener);
        let after = after.map(|after| key::waiting_delivery(bucket, listener, after.as_bytes()));
        let rows = self.outbox_rows(&beginning, after, limit).await?;
        deliveries(rows, &beginning)
    }

    /// One delivery that waits.
    pub async fn waiting_delivery(
        &self,
        bucket: &BucketName,
        listener: &ListenerId,
        event: EventId,
    ) -> Result<Option<DeliveryRecord>, Fault> {
        let row = key::waiting_delivery(bucket, listener, event.as_bytes());
        let found = self.inner.backend.get(&row).await?;
        found.map(|row| Ok(DeliveryRecord::from_value(&row.value)?)).transpose()
    }

    /// Deliveries that have ended, newest event first, before `before`.
    pub async fn ended_deliveries(
        &self,
        bucket: &BucketName,
        listener: &ListenerId,
        (before, limit): (Option<EventId>, usize),
    ) -> Result<Vec<(EventId, DeliveryRecord)>, Fault> {
        let beginning = key::ended_deliveries(bucket, listener);
        let end = match before {
            Some(before) => key::ended_delivery(bucket, listener, before.as_bytes()),
            None => end_of(&beginning)?,
        };
        let range = beginning.clone()..end;
        let page = self.inner.backend.scan_back(range, limit.min(LIST_ITEMS_MAX)).await?;
        let rows = page.items.into_iter().map(|(row, found)| (row, found.value)).collect();
        deliveries(rows, &beginning)
    }

    /// Forgets the oldest deliveries that have ended, until `keep` are left; how many are left.
    pub async fn trim_deliveries(
        &self,
        bucket: &BucketName,
        listener: &ListenerId,
        keep: usize,
    ) -> Result<usize, Fault> {
        let beginning = key::ended_deliveries(bucket, listener);
        let range = beginning.clone()..end_of(&beginning)?;
        let page = self.inner.backend.scan(range, keep + ROWS_AT_ONCE).await?;
        let surplus = page.items.len().saturating_sub(keep);
        let old: Vec<Key> = page.items.into_iter().take(surplus).map(|(row, _)| row).collect();
        if old.is_empty() {
            return Ok(keep);
        }
        let ops = old.into_iter().map(Op::Delete).collect();
        let batch = Batch {
            require: Vec::new(),
            ops,
        };
        done(self.commit(batch).await)?;
        Ok(keep)
    }

    /// Forgets all deliveries to a listener.
    pub async fn forget_listener(&self, bucket: &BucketName, listener: &ListenerId) -> Result<(), Fault> {
        for beginning in [
            key::waiting_deliveries(bucket, listener),
            key::ended_deliveries(bucket, listener),
        ] {
            let removed = self.remove_outbox_rows(&beginning, Vec::new()).await;
            removed.map_err(|refused| match refused {
                CommitRefused::Fault(fault) => fault,
                CommitRefused::Condition { .. } => Fault::Internal("rows without a condition were refused".into()),
            })?;
        }
        Ok(())
    }

    /// Removes everything that is written down for those who listen, as long as `guard` holds.
    pub(in crate::store) async fn remove_events_of(
        &self,
        bucket: &BucketName,
        guard: &Require,
    ) -> Result<(), CommitRefused> {
        self.remove_outbox_rows(&key::outbox(bucket), vec![guard.clone()]).await
    }

    async fn remove_outbox_rows(&self, beginning: &Key, require: Vec<Require>) -> Result<(), CommitRefused> {
        loop {
            let rows = self.outbox_rows(beginning, None, ROWS_AT_ONCE).await;
            let rows = rows.map_err(CommitRefused::Fault)?;
            if rows.is_empty() {
                return Ok(());
            }
            let ops = rows.into_iter().map(|(row, _)| Op::Delete(row)).collect();
            let require = require.clone();
            self.commit(Batch { require, ops }).await?;
        }
    }

    async fn outbox_rows(
        &self,
        beginning: &Key,
        after: Option<Key>,
        limit: usize,
    ) -> Result<Vec<(Key, bytes::Bytes)>, Fault> {
        let start = after.map_or_else(|| beginning.clone(), |after| after.successor());
        let range = start..end_of(beginning)?;
        let page = self.inner.backend.scan(range, limit.min(LIST_ITEMS_MAX)).await?;
        Ok(page.items.into_iter().map(|(row, found)| (row, found.value)).collect())
    }
}

fn end_of(beginning: &Key) -> Result<Key, Fault> {
    let end = beginning.after_prefix();
    end.ok_or_else(|| Fault::Internal(format!("no end of {beginning:?}")))
}

fn delivery_row(bucket: &BucketName, listener: &ListenerId, event: EventId, state: DeliveryState) -> Key {
    match state {
        DeliveryState::Waiting => key::waiting_delivery(bucket, listener, event.as_bytes()),
        DeliveryState::Delivered | DeliveryState::Dead => key::ended_delivery(bucket, listener, event.as_bytes()),
    }
}

fn deliveries(rows: Vec<(Key, bytes::Bytes)>, beginning: &Key) -> Result<Vec<(EventId, DeliveryRecord)>, Fault> {
    let read =
        |(row, value): (Key, bytes::Bytes)| Ok((id_behind(&row, beginning)?, DeliveryRecord::from_value(&value)?));
    rows.into_iter().map(read).collect()
}

fn id_behind(row: &Key, beginning: &Key) -> Result<EventId, Fault> {
    let id = row.as_bytes().strip_prefix(beginning.as_bytes());
    let id = id.and_then(|id| id.try_into().ok()).map(EventId::from_bytes);
    id.ok_or_else(|| Fault::Corrupt(format!("a row of events with the key {row:?}")))
}

/// Whether the batch was taken.
fn done<T>(committed: Result<T, CommitRefused>) -> Result<bool, Fault> {
    match committed {
        Ok(_) => Ok(true),
        Err(CommitRefused::Condition { .. }) => Ok(false),
        Err(CommitRefused::Fault(fault)) => Err(fault),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(state: FileState, received: Option<u64>) -> File {
        File {
            state,
            received: received.map(Timestamp::from_millis),
            ..File::pending("k".into(), [0; 16], "a".into(), Timestamp::from_millis(1))
        }
    }

    #[test]
    fn each_step_of_a_files_life_is_told_by_its_kinds() {
        use EventKind::{Active, Deleted, Received, Rejected};
        use FileState as S;
        let pending = file(S::Pending, None);
        let received = file(S::Received, Some(5));
        let active = file(S::Active, Some(5));
        let cases: [(Option<&File>, Option<&File>, &[EventKind]); 14] = [
            (None, Some(&pending), &[]),
            (Some(&pending), None, &[]),
            (Some(&pending), Some(&received), &[Received]),
            (Some(&pending), Some(&active), &[Received, Active]),
            (None, Some(&active), &[Received, Active]),
            (Some(&received), Some(&active), &[Active]),
            (Some(&active), Some(&active), &[]),
            (Some(&active), Some(&file(S::Active, Some(6))), &[Received, Active]),
            (Some(&active), Some(&file(S::Received, Some(6))), &[Received]),
            (Some(&received), Some(&file(S::Rejected, Some(5))), &[Rejected]),
            (Some(&active), Some(&file(S::Trashed, Some(5))), &[Deleted]),
            (Some(&file(S::Trashed, Some(5))), Some(&active), &[Active]),
            (Some(&file(S::Trashed, Some(5))), None, &[Deleted]),
            (Some(&active), None, &[Deleted]),
        ];
        for (before, after, expected) in cases {
            let case = (before.map(|file| file.state), after.map(|file| file.state));
            assert_eq!(kinds(before, after), expected, "{case:?}");
        }
    }

    #[test]
    fn a_full_bucket_is_told_of_once_in_an_hour() {
        let (told, bucket) = (ToldOfQuota::default(), BucketName::parse("abc").unwrap());
        let at = |millis| told.is_due(&bucket, Timestamp::from_millis(millis));
        assert!(at(1));
        assert!(!at(OVER_QUOTA_MILLIS));
        assert!(at(OVER_QUOTA_MILLIS + 1));
        assert!(told.is_due(&BucketName::parse("other").unwrap(), Timestamp::from_millis(1)));
    }
}
