//! Visibility as operators set it (`/v1/admin/visibility/…`): the default of a bucket, that of an object, what everybody
//! may do by the bucket's policy, and shares. Names of fields are a promise.
//!
//! It stores and shows; `access` is who honours it. The token of a link is told once, when it is made, and kept nowhere.

mod shares;

use std::sync::Arc;

use http::StatusCode;
use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use storage_engine::store::bucket::BucketError;
use storage_engine::store::clock::Timestamp;
use storage_engine::store::error::Fault;
use storage_engine::store::name::{BucketName, ObjectKey};
use storage_engine::store::object::labels::{LabelsError, ObjectPlace};
use storage_engine::store::record::labels::{Labels, Visibility};
use storage_engine::store::record::settings::{BucketAcl, BucketSettings, ObjectOwnership};
use storage_engine::store::settings::SettingsError;
use storage_engine::store::share::Share;
use time::OffsetDateTime;

pub use self::shares::{NewShare, ShareReport, SharesReport};
use super::answer::Answer;
use super::error::AdminError;
use super::identities::Permission;
use super::{Ask, Inner};
use crate::access::{self, Action, BucketFacts, BucketPolicy, Context, ObjectFacts, RequestFacts, Resource, is_denied};
use crate::auth::{Account, Accounts};
use crate::policy::anonymous::{self, Level as Anonymous};
use crate::policy::{Kind, Policy};

/// What can be asked about visibility.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    BucketGet,
    BucketSet,
    ObjectGet,
    ObjectSet,
    ShareList,
    ShareAdd,
    ShareRemove,
}

impl Verb {
    pub(super) fn permission(self) -> Permission {
        Permission::AnyOf(match self {
            Self::BucketGet | Self::ObjectGet | Self::ShareList => &[Action::AdminGetBucketVisibility],
            Self::BucketSet | Self::ObjectSet | Self::ShareAdd | Self::ShareRemove => {
                &[Action::AdminSetBucketVisibility]
            }
        })
    }
}

/// What everybody may do below a prefix by the bucket's policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrefixAccess {
    pub prefix: String,
    /// `download`, `upload` or `public`.
    pub anonymous: String,
}

/// How open a bucket is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketReport {
    pub bucket: String,
    /// Of objects that name none themselves: `private`, `public`, `protected` or `shared`.
    pub visibility: String,
    /// What its policy lets everybody do: `none`, `download`, `upload`, `public`, or `custom` where it says something that
    /// no canned policy says.
    pub anonymous: String,
    pub prefixes: Vec<PrefixAccess>,
    /// Its canned ACL.
    pub acl: String,
    /// What is public or protected counts as private, by the public access block or object ownership.
    pub ignores_public: bool,
    /// What its visibility stands for in words of the policy language, for all four levels.
    pub statements: serde_json::Value,
}

/// How open an object is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectReport {
    pub bucket: String,
    pub key: String,
    pub owner: String,
    /// What holds: its own, or its bucket's default.
    pub visibility: String,
    /// Its own is not set.
    pub inherited: bool,
    /// What the bucket's policy lets everybody do with it, as in [`BucketReport::anonymous`].
    pub anonymous: String,
    pub shares: usize,
}

/// What to set on a bucket; what is left out stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BucketChange {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub visibility: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anonymous: Option<String>,
    /// With `anonymous`: what it is about; empty is the whole bucket.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub prefix: String,
}

/// What to set on an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ObjectChange {
    /// A level, or `default`: that of the bucket.
    pub visibility: String,
}

impl Inner {
    pub(super) async fn visibility(&self, verb: Verb, ask: &Ask<'_>) -> Result<Answer, AdminError> {
        let bucket = bucket(ask)?;
        match verb {
            Verb::BucketGet => bucket_report(ask, &bucket).await,
            Verb::BucketSet => {
                set_bucket(ask, &bucket).await?;
                bucket_report(ask, &bucket).await
            }
            Verb::ObjectGet => object_report(ask, place(ask, bucket)?).await,
            Verb::ObjectSet => {
                let place = place(ask, bucket)?;
                set_object(ask, &place).await?;
                object_report(ask, place).await
            }
            Verb::ShareList => shares::list(ask, place(ask, bucket)?).await,
            Verb::ShareAdd => shares::add(ask, &place(ask, bucket)?).await,
            Verb::ShareRemove => {
                let place = place(ask, bucket)?;
                shares::remove(ask, &place).await?;
                shares::list(ask, place).await
            }
        }
    }
}

fn bucket(ask: &Ask<'_>) -> Result<BucketName, AdminError> {
    BucketName::parse(ask.query.must("bucket")?).map_err(|error| AdminError::Argument(error.to_string()))
}

fn place(ask: &Ask<'_>, bucket: BucketName) -> Result<ObjectPlace, AdminError> {
    let key = ObjectKey::parse(ask.query.must("key")?).map_err(|error| AdminError::Argument(error.to_string()))?;
    let version = None;
    Ok(ObjectPlace { bucket, key, version })
}

fn read<T: DeserializeOwned>(ask: &Ask<'_>) -> Result<T, AdminError> {
    serde_json::from_slice(&ask.body).map_err(|error| AdminError::Unreadable(error.to_string()))
}

fn level(name: &str) -> Result<Visibility, AdminError> {
    let unknown = || {
        AdminError::Argument(format!(
            "'{name}' is no visibility; there are public, private, protected and shared."
        ))
    };
    Visibility::parse(name).ok_or_else(unknown)
}

/// What of the settings keeps closed what a change would open.
fn kept_closed(settings: &BucketSettings) -> Option<AdminError> {
    let block = settings.public_access_block.unwrap_or_default();
    let because = |why: &str| {
        Some(AdminError::Refused(format!(
            "Nothing was opened: {why} of the bucket forbids it."
        )))
    };
    match settings.ownership {
        _ if block.block_public_acls => because("BlockPublicAcls in the public access block"),
        Some(ObjectOwnership::BucketOwnerEnforced) => because("object ownership BucketOwnerEnforced"),
        Some(ObjectOwnership::BucketOwnerPreferred | ObjectOwnership::ObjectWriter) | None => None,
    }
}

fn is_open_to_many(visibility: Visibility) -> bool {
    matches!(visibility, Visibility::Public | Visibility::Protected)
}

async fn set_bucket(ask: &Ask<'_>, bucket: &BucketName) -> Result<(), AdminError> {
    make(ask, bucket, &read(ask)?).await
}

/// Makes the change, unless what is set on the bucket or a policy is against it.
pub(super) async fn make(ask: &Ask<'_>, bucket: &BucketName, change: &BucketChange) -> Result<(), AdminError> {
    let visibility = change.visibility.as_deref().map(level).transpose()?;
    let unknown = |word: &str| {
        AdminError::Argument(format!(
            "'{word}' is nothing that everybody may do; there are none, download, upload and public."
        ))
    };
    let anonymous = change.anonymous.as_deref();
    let anonymous = anonymous.map(|word| Anonymous::parse(word).ok_or_else(|| unknown(word)));
    let anonymous = anonymous.transpose()?;
    if visibility.is_none() && anonymous.is_none() {
        return Err(AdminError::Argument(
            "Neither visibility nor anonymous is given.".into(),
        ));
    }
    // What closes is denied to nobody who may set it: a Deny keeps shut, not open.
    let opened = visibility.filter(|level| *level != Visibility::Private);
    let opens_by_policy = anonymous.is_some_and(|level| level != Anonymous::None);
    let actions = [
        opened.map(|_| Action::PutBucketAcl),
        opens_by_policy.then_some(Action::PutBucketPolicy),
    ];
    let request = opening(ask, opened);
    let owner = owner_of(ask, bucket).await?;
    let refused = Mutex::new(None);
    // Decided on the settings that are changed: a block or a Deny that was set meanwhile holds.
    let changed = ask.reach.store.change_settings(bucket, |settings| {
        let facts = bucket_facts(bucket, settings, &owner);
        let context = Context {
            request: Some(&request),
            bucket: Some(&facts),
            ..Context::default()
        };
        let resource = Resource::Bucket(bucket.as_str());
        let mut actions = actions.iter().flatten();
        if actions.any(|action| is_denied(ask.identity, *action, resource, &context)) {
            *refused.lock() = Some(AdminError::AccessDenied);
            return;
        }
        let mut after = settings.clone();
        let done = change_bucket(
            &mut after,
            bucket,
            visibility,
            anonymous.map(|level| (change.prefix.as_str(), level)),
        );
        if done.is_ok() {
            *settings = after;
        }
        *refused.lock() = done.err();
    });
    changed.await?;
    refused.into_inner().map_or(Ok(()), Err)
}

/// Whose the bucket is, as policies know it.
async fn owner_of(ask: &Ask<'_>, bucket: &BucketName) -> Result<String, AdminError> {
    let found = ask.reach.store.look_at_bucket(bucket).await.map_err(faulty)?;
    let owner = found.and_then(|(found, _)| found.owner);
    Ok(owner.unwrap_or_else(|| Account::Root.name().to_owned()))
}

/// What of a bucket a Deny may ask.
fn bucket_facts(bucket: &BucketName, settings: &BucketSettings, owner: &str) -> BucketFacts {
    let kind = Kind::Bucket {
        bucket: bucket.as_str(),
    };
    let policy = settings
        .policy
        .as_ref()
        .map(|text| Policy::parse(text.as_bytes(), kind));
    BucketFacts {
        policy: match policy {
            None => BucketPolicy::None,
            Some(Ok(policy)) => BucketPolicy::Set(Arc::new(policy)),
            Some(Err(_)) => BucketPolicy::Unreadable,
        },
        owner: Some(owner.to_owned()),
        ..BucketFacts::default()
    }
}

/// What policies may ask of a request that opens something to this level: on S3 it would name a canned ACL.
fn opening(ask: &Ask<'_>, level: Option<Visibility>) -> RequestFacts {
    let mut facts = ask.facts.clone();
    match level {
        Some(Visibility::Public) => facts.say_only("s3:x-amz-acl", "public-read"),
        Some(Visibility::Protected) => facts.say_only("s3:x-amz-acl", "authenticated-read"),
        Some(Visibility::Private | Visibility::Shared) | None => {}
    }
    facts
}

/// The level that a change opens an object to, where a bucket has this default; `None`: it opens nothing.
fn opened(before: &Labels, after: &Labels, default: Option<Visibility>) -> Option<Visibility> {
    let level = |labels: &Labels| labels.visibility.or(default).unwrap_or(Visibility::Private);
    let is_new = |share: &Share| before.shares.iter().all(|known| known.id != share.id);
    match (level(before), level(after)) {
        (_, Visibility::Private) => None,
        (one, other) if one == other && !after.shares.iter().any(is_new) => None,
        (_, level) => Some(level),
    }
}

/// Changes the labels of an object, unless it opens the object and a policy denies the caller the action of S3 that this
/// is. What closes it is denied to nobody: a Deny keeps shut, not open.
async fn change_labels(
    ask: &Ask<'_>,
    place: &ObjectPlace,
    change: impl Fn(&mut Labels) + Send + Sync,
) -> Result<(), AdminError> {
    let settings = ask.reach.store.settings_of(&place.bucket).await?;
    let bucket = bucket_facts(&place.bucket, &settings, &owner_of(ask, &place.bucket).await?);
    let resource = Resource::Object {
        bucket: place.bucket.as_str(),
        key: place.key.as_str(),
    };
    let denied = Mutex::new(false);
    let unless_denied = |labels: &mut Labels| {
        let mut after = labels.clone();
        change(&mut after);
        let object = object_facts(labels, &settings);
        let is_denied = opened(labels, &after, settings.visibility).is_some_and(|level| {
            let request = opening(ask, Some(level));
            let context = Context {
                request: Some(&request),
                bucket: Some(&bucket),
                object: Some(&object),
                ..Context::default()
            };
            is_denied(ask.identity, Action::PutObjectAcl, resource, &context)
        });
        *denied.lock() = is_denied;
        if !is_denied {
            *labels = after;
        }
    };
    ask.reach.store.change_labels(place, None, unless_denied).await?;
    match denied.into_inner() {
        true => Err(AdminError::AccessDenied),
        false => Ok(()),
    }
}

/// What of an object a Deny may ask; whom it is shared with is no matter of whoever shares it.
fn object_facts(labels: &Labels, settings: &BucketSettings) -> ObjectFacts {
    let tags = labels.tags.iter();
    ObjectFacts {
        tags: tags.map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
        owner: labels.owner.clone().unwrap_or_else(|| Account::Root.name().to_owned()),
        visibility: labels.in_effect(settings.visibility).map(|stored| match stored {
            Visibility::Private => access::Visibility::Private,
            Visibility::Public => access::Visibility::Public,
            Visibility::Protected => access::Visibility::Protected,
            Visibility::Shared => access::Visibility::Shared,
        }),
        shares: Vec::new(),
        barred: labels.barred.map(crate::facts::barred),
    }
}

fn change_bucket(
    settings: &mut BucketSettings,
    bucket: &BucketName,
    visibility: Option<Visibility>,
    anonymous: Option<(&str, Anonymous)>,
) -> Result<(), AdminError> {
    if let Some(visibility) = visibility {
        if is_open_to_many(visibility)
            && let Some(refusal) = kept_closed(settings)
        {
            return Err(refusal);
        }
        // As a bucket keeps it: private is what holds where nothing is set.
        settings.visibility = Some(visibility).filter(|visibility| *visibility != Visibility::Private);
    }
    if let Some((prefix, level)) = anonymous {
        let blocks = settings
            .public_access_block
            .is_some_and(|block| block.block_public_policy);
        if blocks && level != Anonymous::None {
            let why = "Nothing was opened: BlockPublicPolicy in the public access block of the bucket forbids it.";
            return Err(AdminError::Refused(why.into()));
        }
        let old = settings.policy.as_deref().unwrap_or_default();
        let new = anonymous::with_level(old, bucket.as_str(), prefix, level).map_err(AdminError::Refused)?;
        if let Some(text) = &new {
            let kind = Kind::Bucket {
                bucket: bucket.as_str(),
            };
            Policy::parse(text.as_bytes(), kind).map_err(|error| AdminError::Refused(error.to_string()))?;
        }
        settings.policy = new;
    }
    Ok(())
}

async fn bucket_report(ask: &Ask<'_>, bucket: &BucketName) -> Result<Answer, AdminError> {
    let settings = ask.reach.store.settings_of(bucket).await?;
    let policy = settings.policy.as_deref().unwrap_or_default();
    let prefixes = anonymous::levels(policy, bucket.as_str()).into_iter();
    let prefixes = prefixes.filter(|(prefix, _)| !prefix.is_empty());
    let block = settings.public_access_block.unwrap_or_default();
    Answer::of(BucketReport {
        bucket: bucket.as_str().to_owned(),
        visibility: settings.visibility.unwrap_or(Visibility::Private).name().to_owned(),
        anonymous: open_to_all(policy, bucket, "").to_owned(),
        prefixes: prefixes
            .map(|(prefix, level)| PrefixAccess {
                prefix,
                anonymous: word(level).to_owned(),
            })
            .collect(),
        acl: match settings.acl {
            None => "private",
            Some(BucketAcl::PublicRead) => "public-read",
            Some(BucketAcl::PublicReadWrite) => "public-read-write",
            Some(BucketAcl::AuthenticatedRead) => "authenticated-read",
        }
        .to_owned(),
        ignores_public: block.ignore_public_acls || settings.ownership == Some(ObjectOwnership::BucketOwnerEnforced),
        statements: statements(bucket.as_str()),
    })
}

fn open_to_all<'t>(policy: &'t str, bucket: &BucketName, key: &str) -> &'t str {
    word(anonymous::level_of(policy, bucket.as_str(), key))
}

/// The word of `mc anonymous`, but that private means a visibility here.
fn word(level: &'static str) -> &'static str {
    match level {
        "none" => "none",
        other => Anonymous::word_of(other),
    }
}

/// What the levels stand for, as statements that a policy could have.
fn statements(bucket: &str) -> serde_json::Value {
    let objects = format!("arn:aws:s3:::{bucket}/*");
    let allow = |sid: &str, actions: &[&str], condition: serde_json::Value| serde_json::json!({ "Sid": sid, "Effect": "Allow", "Principal": "*", "Action": actions, "Resource": objects, "Condition": condition });
    let read = ["s3:GetObject", "s3:GetObjectVersion"];
    serde_json::json!([
        allow(
            "Public",
            &read,
            serde_json::json!({ "StringEquals": { "drystone:Visibility": "public" } })
        ),
        allow(
            "Protected",
            &read,
            serde_json::json!({
            "StringEquals": { "drystone:Visibility": "protected" }, "Null": { "aws:PrincipalAccount": "false" } })
        ),
        allow(
            "Owner",
            &read,
            serde_json::json!({
            "StringEquals": { "drystone:ObjectOwner": "${aws:PrincipalAccount}" }, "Null": { "drystone:Visibility": "false" } })
        ),
        allow(
            "SharedToRead",
            &read,
            serde_json::json!({ "StringEquals": { "drystone:Share": ["read", "write"] } })
        ),
        allow(
            "SharedToWrite",
            &["s3:PutObject"],
            serde_json::json!({ "StringEquals": { "drystone:Share": "write" } })
        ),
    ])
}

async fn set_object(ask: &Ask<'_>, place: &ObjectPlace) -> Result<(), AdminError> {
    let change: ObjectChange = read(ask)?;
    let settings = ask.reach.store.settings_of(&place.bucket).await?;
    let visibility = match change.visibility.as_str() {
        // A file of an app always has a level of its own, which lists tell and find it by.
        "default" if settings.files => Some(settings.visibility.unwrap_or(Visibility::Private)),
        "default" => None,
        name => Some(level(name)?),
    };
    if visibility.is_some_and(is_open_to_many)
        && let Some(refusal) = kept_closed(&settings)
    {
        return Err(refusal);
    }
    let set = |labels: &mut Labels| {
        // Whom it was shared with before it was closed is not let in again by the way.
        if labels.visibility != visibility {
            labels.shares.clear();
        }
        labels.visibility = visibility;
        labels.writing_named = false;
        labels.offered = false;
    };
    change_labels(ask, place, set).await?;
    Ok(())
}

async fn labels_of(ask: &Ask<'_>, place: &ObjectPlace) -> Result<Labels, AdminError> {
    let object = ask.reach.store.change_labels(place, None, |_| ()).await?;
    Ok(object.labels)
}

async fn object_report(ask: &Ask<'_>, place: ObjectPlace) -> Result<Answer, AdminError> {
    let labels = labels_of(ask, &place).await?;
    let settings = ask.reach.store.settings_of(&place.bucket).await?;
    let policy = settings.policy.as_deref().unwrap_or_default();
    let standing = labels.visibility.or(settings.visibility);
    Answer::of(ObjectReport {
        owner: match &labels.owner {
            None => "root".to_owned(),
            Some(id) => ask.reach.directory.user_of(id).unwrap_or_else(|| id.clone()),
        },
        visibility: standing.unwrap_or(Visibility::Private).name().to_owned(),
        inherited: labels.visibility.is_none(),
        anonymous: open_to_all(policy, &place.bucket, place.key.as_str()).to_owned(),
        shares: labels.shares.len(),
        bucket: place.bucket.as_str().to_owned(),
        key: place.key.into_string(),
    })
}

fn now() -> Timestamp {
    let millis = OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000;
    Timestamp::from_millis(u64::try_from(millis).unwrap_or_default())
}

fn missing(code: &'static str, message: String) -> AdminError {
    AdminError::Minio {
        code,
        status: StatusCode::NOT_FOUND,
        message,
    }
}

fn faulty(fault: Fault) -> AdminError {
    match fault {
        Fault::Unavailable(_) | Fault::Unknown(_) | Fault::Full(_) => AdminError::Unavailable(fault.to_string()),
        Fault::Corrupt(_) | Fault::Internal(_) => AdminError::Internal(fault.to_string()),
    }
}

impl From<BucketError> for AdminError {
    fn from(error: BucketError) -> Self {
        match error {
            BucketError::NoSuchBucket => missing("NoSuchBucket", error.to_string()),
            BucketError::Fault(fault) => faulty(fault),
        }
    }
}

impl From<SettingsError> for AdminError {
    fn from(error: SettingsError) -> Self {
        match error {
            SettingsError::NoSuchBucket => missing("NoSuchBucket", error.to_string()),
            SettingsError::BucketBusy | SettingsError::TooLarge { .. } => Self::Refused(error.to_string()),
            SettingsError::Fault(fault) => faulty(fault),
        }
    }
}

impl From<LabelsError> for AdminError {
    fn from(error: LabelsError) -> Self {
        match error {
            LabelsError::NoSuchBucket => missing("NoSuchBucket", error.to_string()),
            LabelsError::NoSuchKey => missing("NoSuchKey", error.to_string()),
            LabelsError::NoSuchVersion => missing("NoSuchVersion", error.to_string()),
            LabelsError::Changed => Self::Refused(error.to_string()),
            LabelsError::Fault(fault) => faulty(fault),
        }
    }
}
