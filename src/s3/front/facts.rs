//! What a decision needs to know of bucket and object, loaded, and kept ready while it does not change.
//!
//! Owns the compiled policies of buckets, each under the revision of the settings it was compiled from, so that a change
//! counts for every request that begins after it was answered. It never decides.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use storage_engine::backend::Rev;
use storage_engine::store::Store;
use storage_engine::store::bucket::{BucketError, BucketPage, ListBuckets};
use storage_engine::store::condition::ReadConditions;
use storage_engine::store::name::{BucketName, ObjectKey};
use storage_engine::store::object::get::{GetObject, GetObjectError, Selection};
use storage_engine::store::record::labels;
use storage_engine::store::record::object::Object;

use crate::access::{BucketFacts, BucketPolicy, ObjectFacts, Visibility, account_of, any_policy};
use crate::auth::{Account, Identity};
use crate::policy::{Kind, Policy};
use crate::s3::error::Failure;

/// Buckets whose policies are kept compiled; all are forgotten when there are more.
const KEPT_MAX: usize = 4_096;

/// The revision of the settings, and their policy; `None`: it cannot be read.
type Compiled = (Rev, Option<Arc<Policy>>);

pub(super) struct Facts {
    store: Store,
    compiled: Mutex<HashMap<BucketName, Compiled>>,
}

impl Facts {
    pub(super) fn new(store: Store) -> Self {
        Self {
            store,
            compiled: Mutex::default(),
        }
    }

    /// What is set on `bucket`; nothing if there is no such bucket.
    pub(super) async fn of_bucket(&self, identity: &Identity, bucket: &str) -> Result<BucketFacts, Failure> {
        let Ok(bucket) = BucketName::parse(bucket) else {
            return Ok(BucketFacts::default());
        };
        let mut facts = BucketFacts::default();
        if let Some((settings, rev)) = self.store.bucket_settings(&bucket).await? {
            let block = settings.public_access_block.unwrap_or_default();
            facts.restrict_public = block.restrict_public_buckets;
            facts.ignore_public = block.ignore_public_acls;
            if let Some(text) = &settings.policy {
                facts.policy = self.compiled(&bucket, rev, text);
            }
        }
        let needs_owner = any_policy(identity, Some(&facts), Policy::looks_at_bucket_owner)
            || !matches!(facts.policy, BucketPolicy::None);
        if needs_owner {
            facts.owner = match self.store.head_bucket(&bucket).await {
                Ok(found) => Some(owner_name(found.owner)),
                // What is not there is whose it would be if the caller made it.
                Err(BucketError::NoSuchBucket) => account_of(identity).map(str::to_owned),
                Err(BucketError::Fault(fault)) => return Err(fault.into()),
            };
        }
        Ok(facts)
    }

    /// A page of all buckets there are, for whoever filters it.
    pub(super) async fn buckets(&self, list: ListBuckets) -> Result<BucketPage, Failure> {
        Ok(self.store.list_buckets(list).await?)
    }

    fn compiled(&self, bucket: &BucketName, rev: Rev, text: &str) -> BucketPolicy {
        let ready = |policy: Option<Arc<Policy>>| policy.map_or(BucketPolicy::Unreadable, BucketPolicy::Set);
        if let Some((known, policy)) = self.compiled.lock().get(bucket)
            && *known == rev
        {
            return ready(policy.clone());
        }
        let kind = Kind::Bucket {
            bucket: bucket.as_str(),
        };
        let policy = match Policy::parse(text.as_bytes(), kind) {
            Ok(policy) => Some(Arc::new(policy)),
            Err(error) => {
                tracing::error!(%bucket, %error, "the bucket's policy cannot be read; only root may use the bucket");
                None
            }
        };
        let mut compiled = self.compiled.lock();
        if compiled.len() >= KEPT_MAX && !compiled.contains_key(bucket) {
            compiled.clear();
        }
        compiled.insert(bucket.clone(), (rev, policy.clone()));
        ready(policy)
    }

    /// What is stored about an object; `None` if there is none.
    pub(super) async fn of_object(&self, bucket: &str, key: &str) -> Result<Option<ObjectFacts>, Failure> {
        let (Ok(bucket), Ok(key)) = (BucketName::parse(bucket), ObjectKey::parse(key)) else {
            return Ok(None);
        };
        let get = GetObject {
            bucket,
            key,
            version: None,
            selection: Selection::Whole,
            conditions: ReadConditions::default(),
        };
        match self.store.head_object(&get).await {
            Ok(head) => self.of_record(&get.bucket, &head.object).await.map(Some),
            Err(GetObjectError::NoSuchBucket | GetObjectError::NoSuchKey | GetObjectError::NoSuchVersion) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// What a record of an object in `bucket` says to a decision.
    pub(super) async fn of_record(&self, bucket: &BucketName, object: &Object) -> Result<ObjectFacts, Failure> {
        let visibility = match object.labels.visibility {
            Some(own) => Some(own),
            None => {
                let settings = self.store.bucket_settings(bucket).await?;
                settings.and_then(|(settings, _)| settings.visibility)
            }
        };
        let tags = object.labels.tags.iter();
        Ok(ObjectFacts {
            tags: tags.map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
            owner: owner_name(object.labels.owner.clone()),
            visibility: visibility.map(level),
        })
    }
}

fn level(stored: labels::Visibility) -> Visibility {
    match stored {
        labels::Visibility::Private => Visibility::Private,
        labels::Visibility::Public => Visibility::Public,
        labels::Visibility::Protected => Visibility::Protected,
        labels::Visibility::Shared => Visibility::Shared,
    }
}

fn owner_name(owner: Option<String>) -> String {
    owner.unwrap_or_else(|| Account::Root.name().to_owned())
}
