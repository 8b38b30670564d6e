//! The settings of a bucket: read with one `get`, changed with one commit.
//!
//! Owns the row and its life: it goes with its bucket, and a bucket made anew has none. The row's revision says whether
//! anything changed, so whoever compiles a policy keeps it under that revision. It never judges what is set.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::backend::{Batch, NewBody, Op, Put, Require, Rev};
use crate::limits::SETTINGS_BYTES_MAX;
use crate::store::bucket::{BucketError, GateClosed};
use crate::store::error::{CommitRefused, Fault, faults_from_below};
use crate::store::name::BucketName;
use crate::store::record::Record;
use crate::store::record::settings::BucketSettings;
use crate::store::{RACES_MAX, Store, key};

/// Buckets whose decoded settings are kept; all are forgotten when there are more.
const KEPT_MAX: usize = 4_096;
/// Bytes of the rows that the kept settings were decoded from; all are forgotten when there are more.
const KEPT_BYTES_MAX: usize = 16 << 20;

/// Decoded settings, each under the revision it was decoded from.
#[derive(Default)]
pub(super) struct Kept(Mutex<Rows>);

#[derive(Default)]
struct Rows {
    by_bucket: HashMap<BucketName, KeptRow>,
    /// Of all rows together.
    bytes: usize,
}

struct KeptRow {
    rev: Rev,
    settings: Arc<BucketSettings>,
    bytes: usize,
}

impl Kept {
    fn find(&self, bucket: &BucketName, rev: Rev) -> Option<Arc<BucketSettings>> {
        let kept = self.0.lock();
        let row = kept.by_bucket.get(bucket)?;
        (row.rev == rev).then(|| Arc::clone(&row.settings))
    }

    /// Keeps what was decoded from a row of `bytes`.
    fn keep(&self, bucket: &BucketName, rev: Rev, (settings, bytes): (&Arc<BucketSettings>, usize)) {
        let mut kept = self.0.lock();
        if let Some(old) = kept.by_bucket.remove(bucket) {
            kept.bytes = kept.bytes.saturating_sub(old.bytes);
        }
        if kept.by_bucket.len() >= KEPT_MAX || kept.bytes.saturating_add(bytes) > KEPT_BYTES_MAX {
            *kept = Rows::default();
        }
        kept.bytes = kept.bytes.saturating_add(bytes);
        let settings = Arc::clone(settings);
        kept.by_bucket.insert(bucket.clone(), KeptRow { rev, settings, bytes });
    }
}

/// A change of settings that was refused. Nothing changed but after [`Fault::Unknown`].
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    #[error("no such bucket")]
    NoSuchBucket,
    /// The bucket was just being deleted; the same request may be sent again.
    #[error("the bucket is being deleted")]
    BucketBusy,
    #[error("the settings of a bucket have at most {SETTINGS_BYTES_MAX} bytes together; these have {bytes}")]
    TooLarge { bytes: usize },
    #[error(transparent)]
    Fault(#[from] Fault),
}

faults_from_below!(SettingsError);

/// More than one row of settings may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SettingsTooLarge {
    pub(super) bytes: usize,
}

impl From<SettingsTooLarge> for SettingsError {
    fn from(SettingsTooLarge { bytes }: SettingsTooLarge) -> Self {
        Self::TooLarge { bytes }
    }
}

impl From<GateClosed> for SettingsError {
    fn from(closed: GateClosed) -> Self {
        match closed {
            GateClosed::NoSuchBucket => Self::NoSuchBucket,
            GateClosed::Busy => Self::BucketBusy,
        }
    }
}

impl Store {
    /// What is set on a bucket, and the revision that changes with every change of it. `None`: nothing is set, or there
    /// is no such bucket. A change is seen by every call that begins after it was answered.
    pub async fn bucket_settings(&self, bucket: &BucketName) -> Result<Option<(Arc<BucketSettings>, Rev)>, Fault> {
        let Some(row) = self.inner.backend.get(&key::settings(bucket)).await? else {
            return Ok(None);
        };
        if let Some(kept) = self.inner.settings.find(bucket, row.rev) {
            return Ok(Some((kept, row.rev)));
        }
        let settings = Arc::new(BucketSettings::from_value(&row.value)?);
        let decoded = (&settings, row.value.len());
        self.inner.settings.keep(bucket, row.rev, decoded);
        Ok(Some((settings, row.rev)))
    }

    /// What is set on a bucket that exists; all of it unset if nothing is.
    pub async fn settings_of(&self, bucket: &BucketName) -> Result<Arc<BucketSettings>, BucketError> {
        match self.bucket_settings(bucket).await? {
            Some((settings, _)) => Ok(settings),
            None if self.bucket_exists(bucket).await? => Ok(Arc::default()),
            None => Err(BucketError::NoSuchBucket),
        }
    }

    /// Changes what is set on a bucket. `change` is called again when another change came in between, and what it leaves
    /// is durable and seen by every later request when this returns `Ok`.
    pub async fn change_settings(
        &self,
        bucket: &BucketName,
        change: impl Fn(&mut BucketSettings) + Send + Sync,
    ) -> Result<(), SettingsError> {
        let row_key = key::settings(bucket);
        for _ in 0..RACES_MAX {
            let (before, unchanged) = match self.inner.backend.get(&row_key).await? {
                Some(row) => (
                    BucketSettings::from_value(&row.value)?,
                    Require::RevIs(row_key.clone(), row.rev),
                ),
                None => (BucketSettings::default(), Require::Absent(row_key.clone())),
            };
            let mut after = before.clone();
            change(&mut after);
            if after == before {
                return match self.bucket_exists(bucket).await? {
                    true => Ok(()),
                    false => Err(SettingsError::NoSuchBucket),
                };
            }
            let mut ops = vec![settings_op(bucket, &after)?];
            if after.files && !before.files {
                ops.extend(self.mark_if_empty(bucket).await?);
            }
            if !before.has_quota() && after.has_quota() {
                // Nobody kept the books until now.
                self.inner.ledgers.forget(bucket);
            }
            // Whoever deletes the bucket closes its gate first, so nothing can be set behind the deletion.
            let require = vec![self.is_open(bucket), unchanged];
            match self.commit(Batch { require, ops }).await {
                Ok(_) => return Ok(()),
                Err(CommitRefused::Condition { index: 0, .. }) => {
                    return Err(self.why_gate_closed(bucket).await?.into());
                }
                Err(CommitRefused::Condition { .. }) => {}
                Err(CommitRefused::Fault(fault)) => return Err(fault.into()),
            }
        }
        Err(Fault::Unavailable("the settings of the bucket changed again and again".into()).into())
    }
}

/// What makes these the settings of a bucket. With nothing set there is no row.
pub(super) fn settings_op(bucket: &BucketName, settings: &BucketSettings) -> Result<Op, SettingsTooLarge> {
    let key = key::settings(bucket);
    if *settings == BucketSettings::default() {
        return Ok(Op::Delete(key));
    }
    let value = settings.to_value();
    if value.len() > SETTINGS_BYTES_MAX {
        return Err(SettingsTooLarge { bytes: value.len() });
    }
    Ok(Op::Put(Put {
        key,
        value,
        body: NewBody::None,
        parent_len: None,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_settings_are_forgotten_when_they_are_too_many_bytes() {
        let kept = Kept::default();
        let name = |n: usize| BucketName::parse(format!("bucket-{n}")).unwrap();
        let settings = Arc::new(BucketSettings::default());
        let third = KEPT_BYTES_MAX / 3;
        for n in 0..3 {
            kept.keep(&name(n), Rev(1), (&settings, third));
        }
        // The same row again weighs once.
        kept.keep(&name(0), Rev(2), (&settings, third));
        assert!((0..3).all(|n| kept.find(&name(n), Rev(if n == 0 { 2 } else { 1 })).is_some()));
        kept.keep(&name(3), Rev(1), (&settings, third));
        assert!(kept.find(&name(3), Rev(1)).is_some());
        assert!((0..3).all(|n| kept.find(&name(n), Rev(if n == 0 { 2 } else { 1 })).is_none()));
        assert_eq!(kept.0.lock().bytes, third);
    }
}
