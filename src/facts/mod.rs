//! What a decision needs to know of bucket and object, loaded for every front, and kept ready while it does not change.
//!
//! Owns the compiled policies of buckets, each under the revision of the settings it was compiled from, so that a change
//! counts for every request that begins after it was answered. It never decides, and never sees a request.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use storage_engine::backend::Rev;
use storage_engine::store::Store;
use storage_engine::store::bucket::{BucketPage, ListBuckets};
use storage_engine::store::clock::Timestamp;
use storage_engine::store::error::Fault;
use storage_engine::store::files::File;
use storage_engine::store::multipart::list::{ListParts, ListPartsError};
use storage_engine::store::name::{BucketName, ObjectKey};
use storage_engine::store::object::labels::ObjectPlace;
use storage_engine::store::record::labels::{self, Labels};
use storage_engine::store::record::object::Object;
use storage_engine::store::record::settings::{self, BucketSettings, ObjectOwnership};
use storage_engine::store::share::{self, ShareAccess, ShareTarget};

use crate::access::{
    Barred, BucketAcl, BucketFacts, BucketPolicy, ObjectFacts, Share, SharedWith, Visibility, any_policy, owner_id_of,
};
use crate::auth::{Account, Identity};
use crate::policy::{Kind, Policy};

/// Buckets whose policies are kept compiled; all are forgotten when there are more.
const KEPT_MAX: usize = 4_096;

/// Bytes of the texts of compiled policies; all are forgotten when there are more. What is compiled takes some times that.
const KEPT_BYTES_MAX: usize = 8 << 20;
/// How often a bucket that changes while it is looked at is looked at.
const LOOKS_MAX: usize = 16;

/// Why nothing can be said.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LookError {
    /// The bucket was changed each time that it was looked at.
    #[error("the bucket changed again and again")]
    Changing,
    #[error(transparent)]
    Fault(#[from] Fault),
}

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
pub(crate) enum Standing {
    /// No policy looks at whose it is, so the rights are the same whichever bucket has the name.
    Unasked,
    Absent,
    /// The one whose record has this revision.
    At(Rev),
}

/// A bucket as it was looked at for a decision.
pub(crate) struct Looked {
    pub(crate) facts: BucketFacts,
    pub(crate) standing: Standing,
    /// What the facts were read from; `None`: nothing is set, or there is no such bucket.
    pub(crate) settings: Option<Arc<BucketSettings>>,
}

impl Looked {
    fn unasked(facts: BucketFacts) -> Self {
        Self {
            facts,
            standing: Standing::Unasked,
            settings: None,
        }
    }

    /// What is known where no bucket is meant.
    pub(crate) fn nothing() -> Self {
        Self::unasked(BucketFacts::default())
    }
}

/// A clone shares the policies that were compiled.
#[derive(Clone)]
pub(crate) struct Facts {
    store: Store,
    compiled: Arc<Mutex<Kept>>,
}

impl Facts {
    pub(crate) fn new(store: Store) -> Self {
        Self {
            store,
            compiled: Arc::default(),
        }
    }

    /// What is set on `bucket`, and which bucket that is; nothing if there is no such bucket.
    pub(crate) async fn of_bucket(&self, identity: &Identity, bucket: &str) -> Result<Looked, LookError> {
        let Ok(bucket) = BucketName::parse(bucket) else {
            return Ok(Looked::nothing());
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
                return Ok(Looked {
                    settings: settings.map(|(settings, _)| settings),
                    ..Looked::unasked(facts)
                });
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
            return Ok(Looked {
                facts,
                standing,
                settings: settings.map(|(settings, _)| settings),
            });
        }
        Err(LookError::Changing)
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
    pub(crate) async fn is_there(&self, bucket: &str) -> Result<bool, LookError> {
        match BucketName::parse(bucket) {
            Ok(bucket) => Ok(self.store.look_at_bucket(&bucket).await?.is_some()),
            // What can be no name is no bucket's, and is told to be wrong by whoever reads it.
            Err(_) => Ok(true),
        }
    }

    /// The canonical id of a bucket's owner, the inner `None` being root; `None`: there is no such bucket.
    pub(crate) async fn owner_of(&self, bucket: &BucketName) -> Result<Option<Option<String>>, LookError> {
        let found = self.store.look_at_bucket(bucket).await?;
        Ok(found.map(|(found, _)| found.owner))
    }

    /// Whose everything in `bucket` is, if the object ownership in its `settings` says so; `given`: the writer offers it.
    /// The inner `None` is root.
    pub(crate) async fn owner_of_all(
        &self,
        bucket: &BucketName,
        settings: Option<&BucketSettings>,
        given: bool,
    ) -> Result<Option<Option<String>>, LookError> {
        match settings.and_then(|settings| settings.ownership) {
            Some(ObjectOwnership::BucketOwnerEnforced) => self.owner_of(bucket).await,
            Some(ObjectOwnership::BucketOwnerPreferred) if given => self.owner_of(bucket).await,
            Some(ObjectOwnership::BucketOwnerPreferred | ObjectOwnership::ObjectWriter) | None => Ok(None),
        }
    }

    /// What the account that began an upload owns things under, the inner `None` being root or nobody known; `None`: there
    /// is no such upload.
    pub(crate) async fn initiator_of(&self, upload: ListParts) -> Result<Option<Option<String>>, LookError> {
        match self.store.list_parts(&upload).await {
            Ok(page) => Ok(Some(page.upload.initiator)),
            Err(ListPartsError::NoSuchBucket | ListPartsError::NoSuchUpload) => Ok(None),
            Err(ListPartsError::Fault(fault)) => Err(fault.into()),
        }
    }

    /// The file with this key, but for one that gave it free, as in the trash.
    pub(crate) async fn file_of_key(&self, bucket: &BucketName, key: &str) -> Result<Option<File>, LookError> {
        let found = self.store.file_of_key(bucket, key).await?;
        Ok(found.map(|(_, file, _)| file))
    }

    /// A page of all buckets there are, for whoever filters it.
    pub(crate) async fn buckets(&self, list: ListBuckets) -> Result<BucketPage, LookError> {
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

    /// What is stored about an object, and its revision; `None` if there is none. `settings`: of its bucket.
    pub(crate) async fn of_object(
        &self,
        (bucket, key): (&str, &str),
        settings: Option<&BucketSettings>,
    ) -> Result<Option<(ObjectFacts, Rev)>, LookError> {
        let (Ok(bucket), Ok(key)) = (BucketName::parse(bucket), ObjectKey::parse(key)) else {
            return Ok(None);
        };
        let place = ObjectPlace {
            bucket,
            key,
            version: None,
        };
        match self.store.look_at(&place).await? {
            Some((object, rev)) => Ok(Some((self.of_record(&place.bucket, settings, &object).await?, rev))),
            None => Ok(None),
        }
    }

    /// What an object carries; `None`: there is none.
    pub(crate) async fn labels_of(&self, place: &ObjectPlace) -> Result<Option<Labels>, LookError> {
        Ok(self.store.look_at(place).await?.map(|(object, _)| object.labels))
    }

    /// What a record of an object in `bucket`, with these settings, says to a decision.
    pub(crate) async fn of_record(
        &self,
        bucket: &BucketName,
        settings: Option<&BucketSettings>,
        object: &Object,
    ) -> Result<ObjectFacts, LookError> {
        self.of_labels(bucket, settings, &object.labels).await
    }

    /// What the labels of an object in `bucket`, with these settings, say to a decision; also of one that is to come.
    pub(crate) async fn of_labels(
        &self,
        bucket: &BucketName,
        settings: Option<&BucketSettings>,
        labels: &Labels,
    ) -> Result<ObjectFacts, LookError> {
        let by_default = settings.and_then(|settings| settings.visibility);
        let visibility = labels.in_effect(by_default);
        // What others wrote before it was so is the bucket owner's as well.
        let owner = self.owner_of_all(bucket, settings, false).await?;
        let owner = owner.unwrap_or_else(|| labels.owner.clone());
        let tags = labels.tags.iter();
        Ok(ObjectFacts {
            tags: tags.map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
            owner: owner_or_root(owner),
            visibility: visibility.map(level),
            shares: match visibility {
                Some(labels::Visibility::Shared) => labels.shares.iter().map(share).collect(),
                Some(_) | None => Vec::new(),
            },
            barred: labels.barred.map(barred),
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

pub(crate) fn barred(stored: labels::Barred) -> Barred {
    match stored {
        labels::Barred::Scanning => Barred::Scanning,
        labels::Barred::Quarantined => Barred::Quarantined,
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

pub(crate) fn owner_or_root(owner: Option<String>) -> String {
    owner.unwrap_or_else(|| Account::Root.name().to_owned())
}
