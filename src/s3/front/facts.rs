//! What a decision needs to know of bucket and object, loaded, and kept ready while it does not change.
//!
//! Owns the compiled policies of buckets, each under the revision of the settings it was compiled from, so that a change
//! counts for every request that begins after it was answered. It never decides.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use storage_engine::backend::Rev;
use storage_engine::store::Store;
use storage_engine::store::bucket::{BucketPage, ListBuckets};
use storage_engine::store::clock::Timestamp;
use storage_engine::store::name::{BucketName, ObjectKey};
use storage_engine::store::object::labels::ObjectPlace;
use storage_engine::store::record::labels;
use storage_engine::store::record::object::Object;
use storage_engine::store::record::settings::{self, BucketSettings, ObjectOwnership};
use storage_engine::store::share::{self, ShareAccess, ShareTarget};

use crate::access::{
    BucketAcl, BucketFacts, BucketPolicy, ObjectFacts, Share, SharedWith, Visibility, any_policy, owner_id_of,
};
use crate::auth::{Account, Identity};
use crate::policy::{Kind, Policy};
use crate::s3::error::{Code, Failure};

/// Buckets whose policies are kept compiled; all are forgotten when there are more.
const KEPT_MAX: usize = 4_096;

/// Bytes of the texts of compiled policies; all are forgotten when there are more. What is compiled takes some times that.
const KEPT_BYTES_MAX: usize = 8 << 20;
/// How often a bucket that changes while it is looked at is looked at.
const LOOKS_MAX: usize = 16;

/// The policies that are kept compiled.
#[derive(Default)]
struct Kept {
    by_bucket: HashMap<BucketName, Compiled>,
    /// Of all their texts together.
    bytes: usize,
}

struct Compiled {
    /// Of the settings that the policy is in.
    rev: Rev,
    /// `None`: it cannot be read.
    policy: Option<Arc<Policy>>,
    bytes: usize,
}

impl Kept {
    fn keep(&mut self, bucket: &BucketName, compiled: Compiled) {
        if let Some(old) = self.by_bucket.remove(bucket) {
            self.bytes = self.bytes.saturating_sub(old.bytes);
        }
        if self.by_bucket.len() >= KEPT_MAX || self.bytes.saturating_add(compiled.bytes) > KEPT_BYTES_MAX {
            *self = Self::default();
        }
        self.bytes = self.bytes.saturating_add(compiled.bytes);
        self.by_bucket.insert(bucket.clone(), compiled);
    }
}

/// Which bucket was judged on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// No policy looks at whose it is, so the rights are the same whichever bucket has the name.
    Unasked,
    Absent,
    /// The one whose record has this revision.
    At(Rev),
}

/// A clone shares the policies that were compiled.
#[derive(Clone)]
pub(super) struct Facts {
    store: Store,
    compiled: Arc<Mutex<Kept>>,
}

impl Facts {
    pub(super) fn new(store: Store) -> Self {
        Self {
            store,
            compiled: Arc::default(),
        }
    }

    /// What is set on `bucket`, and which bucket that is; nothing if there is no such bucket.
    pub(super) async fn of_bucket(
        &self,
        identity: &Identity,
        bucket: &str,
    ) -> Result<(BucketFacts, Standing), Failure> {
        let Ok(bucket) = BucketName::parse(bucket) else {
            return Ok((BucketFacts::default(), Standing::Unasked));
        };
        for _ in 0..LOOKS_MAX {
            let settings = self.store.bucket_settings(&bucket).await?;
            let before = settings.as_ref().map(|(_, rev)| *rev);
            let mut facts = match &settings {
                Some((settings, rev)) => self.of_settings(&bucket, settings, *rev),
                None => BucketFacts::default(),
            };
            let needs_owner = any_policy(identity, Some(&facts), Policy::looks_at_bucket_owner)
                || !matches!(facts.policy, BucketPolicy::None)
                || facts.acl.is_some();
            if !needs_owner {
                return Ok((facts, Standing::Unasked));
            }
            let found = self.store.look_at_bucket(&bucket).await?;
            // Owner and settings must be of one bucket.
            let after = self.store.bucket_settings(&bucket).await?.map(|(_, rev)| rev);
            if before != after {
                continue;
            }
            let (owner, standing) = match found {
                Some((found, rev)) => (Some(owner_or_root(found.owner)), Standing::At(rev)),
                // What is not there is whose it would be if the caller made it; the door opens for nothing else.
                None => (owner_id_of(identity).map(str::to_owned), Standing::Absent),
            };
            facts.owner = owner;
            return Ok((facts, standing));
        }
        Err(Code::OPERATION_ABORTED.into())
    }

    fn of_settings(&self, bucket: &BucketName, settings: &BucketSettings, rev: Rev) -> BucketFacts {
        let block = settings.public_access_block.unwrap_or_default();
        BucketFacts {
            policy: match &settings.policy {
                Some(text) => self.compiled(bucket, rev, text),
                None => BucketPolicy::None,
            },
            owner: None,
            restrict_public: block.restrict_public_buckets,
            // Where the owner of the bucket owns all that is in it, ACLs are off.
            ignore_public: block.ignore_public_acls || settings.ownership == Some(ObjectOwnership::BucketOwnerEnforced),
            acl: settings.acl.map(|acl| match acl {
                settings::BucketAcl::PublicRead => BucketAcl::PublicRead,
                settings::BucketAcl::PublicReadWrite => BucketAcl::PublicReadWrite,
                settings::BucketAcl::AuthenticatedRead => BucketAcl::AuthenticatedRead,
            }),
        }
    }

    /// Whether there is a bucket of this name.
    pub(super) async fn is_there(&self, bucket: &str) -> Result<bool, Failure> {
        match BucketName::parse(bucket) {
            Ok(bucket) => Ok(self.store.look_at_bucket(&bucket).await?.is_some()),
            // What can be no name is no bucket's, and is told to be wrong by whoever reads it.
            Err(_) => Ok(true),
        }
    }

    /// The canonical id of a bucket's owner, the inner `None` being root; `None`: there is no such bucket.
    pub(super) async fn owner_of(&self, bucket: &str) -> Result<Option<Option<String>>, Failure> {
        let Ok(bucket) = BucketName::parse(bucket) else {
            return Ok(None);
        };
        let found = self.store.look_at_bucket(&bucket).await?;
        Ok(found.map(|(found, _)| found.owner))
    }

    pub(super) async fn ownership(&self, bucket: &BucketName) -> Result<Option<ObjectOwnership>, Failure> {
        let settings = self.store.bucket_settings(bucket).await?;
        Ok(settings.and_then(|(settings, _)| settings.ownership))
    }

    /// Whose everything in `bucket` is, if its object ownership says so; `given`: the writer offers it. The inner `None` is
    /// root.
    pub(super) async fn owner_of_all(
        &self,
        bucket: &BucketName,
        given: bool,
    ) -> Result<Option<Option<String>>, Failure> {
        let is_owners = match self.ownership(bucket).await? {
            Some(ObjectOwnership::BucketOwnerEnforced) => true,
            Some(ObjectOwnership::BucketOwnerPreferred) => given,
            Some(ObjectOwnership::ObjectWriter) | None => false,
        };
        if !is_owners {
            return Ok(None);
        }
        Ok(self.store.look_at_bucket(bucket).await?.map(|(found, _)| found.owner))
    }

    /// A page of all buckets there are, for whoever filters it.
    pub(super) async fn buckets(&self, list: ListBuckets) -> Result<BucketPage, Failure> {
        Ok(self.store.list_buckets(list).await?)
    }

    fn compiled(&self, bucket: &BucketName, rev: Rev, text: &str) -> BucketPolicy {
        let ready = |policy: Option<Arc<Policy>>| policy.map_or(BucketPolicy::Unreadable, BucketPolicy::Set);
        if let Some(known) = self.compiled.lock().by_bucket.get(bucket)
            && known.rev == rev
        {
            return ready(known.policy.clone());
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
        let compiled = Compiled {
            rev,
            policy: policy.clone(),
            bytes: text.len(),
        };
        self.compiled.lock().keep(bucket, compiled);
        ready(policy)
    }

    /// What is stored about an object, and its revision; `None` if there is none.
    pub(super) async fn of_object(&self, bucket: &str, key: &str) -> Result<Option<(ObjectFacts, Rev)>, Failure> {
        let (Ok(bucket), Ok(key)) = (BucketName::parse(bucket), ObjectKey::parse(key)) else {
            return Ok(None);
        };
        let place = ObjectPlace {
            bucket,
            key,
            version: None,
        };
        match self.store.look_at(&place).await? {
            Some((object, rev)) => Ok(Some((self.of_record(&place.bucket, &object).await?, rev))),
            None => Ok(None),
        }
    }

    /// What a record of an object in `bucket` says to a decision.
    pub(super) async fn of_record(&self, bucket: &BucketName, object: &Object) -> Result<ObjectFacts, Failure> {
        let settings = self.store.bucket_settings(bucket).await?.map(|(settings, _)| settings);
        let visibility = match (object.labels.visibility, &settings) {
            (Some(own), _) => Some(own),
            (None, settings) => settings.as_ref().and_then(|settings| settings.visibility),
        };
        // What others wrote before it was so is the bucket owner's as well.
        let owner = match settings.and_then(|settings| settings.ownership) {
            Some(ObjectOwnership::BucketOwnerEnforced) => {
                let found = self.store.look_at_bucket(bucket).await?;
                found.map_or_else(|| object.labels.owner.clone(), |(found, _)| found.owner)
            }
            Some(ObjectOwnership::BucketOwnerPreferred | ObjectOwnership::ObjectWriter) | None => {
                object.labels.owner.clone()
            }
        };
        let tags = object.labels.tags.iter();
        Ok(ObjectFacts {
            tags: tags.map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
            owner: owner_or_root(owner),
            visibility: visibility.map(level),
            shares: match visibility {
                Some(labels::Visibility::Shared) => object.labels.shares.iter().map(share).collect(),
                Some(_) | None => Vec::new(),
            },
        })
    }
}

fn share(stored: &share::Share) -> Share {
    Share {
        with: match stored.target.clone() {
            ShareTarget::User(name) => SharedWith::User(name),
            ShareTarget::Group(name) => SharedWith::Group(name),
            ShareTarget::Email(address) => SharedWith::Email(address),
            ShareTarget::Link(hash) => SharedWith::Link(hash),
        },
        write: match stored.access {
            ShareAccess::Read => false,
            ShareAccess::Write => true,
        },
        expires_millis: stored.expires.map(Timestamp::millis),
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

pub(super) fn owner_or_root(owner: Option<String>) -> String {
    owner.unwrap_or_else(|| Account::Root.name().to_owned())
}
