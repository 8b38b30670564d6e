//! Shares of an object: with whom it is shared, for what, and for how long.

use http::StatusCode;
use parking_lot::Mutex;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use storage_engine::store::clock::Timestamp;
use storage_engine::store::object::labels::ObjectPlace;
use storage_engine::store::record::labels::{Labels, Visibility};
use storage_engine::store::share::{self, Share, ShareAccess, ShareId, ShareTarget};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{change_labels, kept_closed, labels_of, now, read};
use crate::access::link_hash;
use crate::admin::Ask;
use crate::admin::answer::Answer;
use crate::admin::error::AdminError;
use crate::admin::usage::shown_millis;
use crate::auth::Accounts;
use crate::identity::person_id;

/// A share to make.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewShare {
    /// `user`, `group`, `email` or `link`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Name or address; none for a link.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// `read` or `write`.
    pub access: String,
    /// RFC 3339; left out: it does not end by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// A share as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShareReport {
    pub share: String,
    #[serde(rename = "type")]
    pub kind: String,
    /// Name or address; of a user who is gone the owner id; of a link nothing.
    pub id: String,
    pub access: String,
    pub made: String,
    pub expires: Option<String>,
    pub name: Option<String>,
    /// It has ended.
    pub ended: bool,
    /// Of a link that was just made: the query that brings its token. It is told this once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
}

/// The shares of an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SharesReport {
    pub bucket: String,
    pub key: String,
    /// They count: the object's visibility is `shared`.
    pub counting: bool,
    pub shares: Vec<ShareReport>,
}

const PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

pub(super) async fn list(ask: &Ask<'_>, place: ObjectPlace) -> Result<Answer, AdminError> {
    let labels = labels_of(ask, &place).await?;
    let settings = ask.reach.store.settings_of(&place.bucket).await?;
    let now = now();
    Answer::of(SharesReport {
        counting: labels.visibility.or(settings.visibility) == Some(Visibility::Shared),
        shares: labels.shares.iter().map(|share| report(ask, share, now)).collect(),
        bucket: place.bucket.as_str().to_owned(),
        key: place.key.into_string(),
    })
}

fn report(ask: &Ask<'_>, share: &Share, now: Timestamp) -> ShareReport {
    let (kind, id) = match &share.target {
        ShareTarget::User(id) => ("user", ask.reach.directory.user_of(id).unwrap_or_else(|| id.clone())),
        ShareTarget::Group(name) => ("group", name.clone()),
        ShareTarget::Email(address) => ("email", address.clone()),
        ShareTarget::Link(_) => ("link", String::new()),
    };
    ShareReport {
        share: share.id.to_string(),
        kind: kind.to_owned(),
        id,
        access: match share.access {
            ShareAccess::Read => "read",
            ShareAccess::Write => "write",
        }
        .to_owned(),
        made: shown_millis(share.made),
        expires: share.expires.map(shown_millis),
        name: share.name.clone(),
        ended: share.expires.is_some_and(|expires| expires <= now),
        link: None,
    }
}

/// With whom, and of a link its token.
fn target(ask: &Ask<'_>, asked: &NewShare) -> Result<(ShareTarget, Option<String>), AdminError> {
    let id = asked.id.clone();
    let target = match asked.kind.as_str() {
        // Who an identity provider vouches for is in no directory.
        "user" if id.starts_with("federated=") => {
            ShareTarget::User(person_id(id.strip_prefix("federated=").unwrap_or_default()))
        }
        "user" => ShareTarget::User(ask.reach.directory.user(&id)?.canonical_id),
        "group" => ShareTarget::Group(ask.reach.directory.group(&id).map(|_| id)?),
        "email" if id.contains('@') => ShareTarget::Email(id),
        "email" => return Err(AdminError::Argument(format!("'{id}' is no e-mail address."))),
        "link" if id.is_empty() => {
            let token = base64_simd::URL_SAFE_NO_PAD.encode_to_string(random::<32>()?);
            let hash = link_hash(&token).ok_or_else(|| AdminError::Internal("a token that is none".into()))?;
            return Ok((ShareTarget::Link(hash), Some(token)));
        }
        "link" => {
            return Err(AdminError::Argument(
                "A link is for whoever has it; it takes no id.".into(),
            ));
        }
        other => {
            return Err(AdminError::Argument(format!(
                "'{other}' is no type of share; there are user, group, email and link."
            )));
        }
    };
    Ok((target, None))
}

fn random<const N: usize>() -> Result<[u8; N], AdminError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| AdminError::Internal(format!("no randomness: {error}")))?;
    Ok(bytes)
}

fn expiry(text: &str, now: Timestamp) -> Result<Timestamp, AdminError> {
    let malformed = |_| AdminError::Argument(format!("'{text}' is no time such as 2030-01-31T12:00:00Z."));
    let time = OffsetDateTime::parse(text, &Rfc3339).map_err(malformed)?;
    let millis = u64::try_from(time.unix_timestamp_nanos() / 1_000_000).unwrap_or_default();
    match Timestamp::from_millis(millis) {
        expires if expires > now => Ok(expires),
        _ => Err(AdminError::Argument(format!(
            "'{text}' is past; a share ends later than now."
        ))),
    }
}

pub(super) async fn add(ask: &Ask<'_>, place: &ObjectPlace) -> Result<Answer, AdminError> {
    let asked: NewShare = read(ask)?;
    let access = match asked.access.as_str() {
        "read" => ShareAccess::Read,
        "write" => ShareAccess::Write,
        other => {
            return Err(AdminError::Argument(format!(
                "'{other}' is nothing a share can let; there are read and write."
            )));
        }
    };
    let made = now();
    let expires = asked.expires.as_deref().map(|text| expiry(text, made)).transpose()?;
    let (target, token) = target(ask, &asked)?;
    let settings = ask.reach.store.settings_of(&place.bucket).await?;
    if token.is_some()
        && let Some(refusal) = kept_closed(&settings)
    {
        return Err(refusal);
    }
    let new = Share {
        id: ShareId::from_bytes(random()?),
        target,
        access,
        made,
        expires,
        name: asked.name,
    };
    let refused = Mutex::new(None);
    let add = |labels: &mut Labels| {
        let mut after = labels.clone();
        let done = share_with(&mut after, settings.visibility, new.clone());
        if done.is_ok() {
            *labels = after;
        }
        *refused.lock() = done.err();
    };
    change_labels(ask, place, add).await?;
    if let Some(refusal) = refused.into_inner() {
        return Err(refusal);
    }
    let link = token.map(|token| {
        let key = utf8_percent_encode(place.key.as_str(), PATH);
        format!("{}/{}/{key}?drystone-share={token}", ask.origin, place.bucket)
    });
    Answer::of(ShareReport {
        link,
        ..report(ask, &new, made)
    })
}

/// Shares an object that is private or shared already; one that more people may read is not narrowed by the way.
fn share_with(labels: &mut Labels, default: Option<Visibility>, new: Share) -> Result<(), AdminError> {
    match labels.visibility.or(default) {
        None | Some(Visibility::Private | Visibility::Shared) => {}
        Some(open @ (Visibility::Public | Visibility::Protected)) => {
            return Err(AdminError::Refused(format!(
                "The object is {}, so shares of it would not count; set its visibility to shared or private first.",
                open.name()
            )));
        }
    }
    // What was shared before it was made private stays closed.
    if labels.visibility.or(default) != Some(Visibility::Shared) {
        labels.shares.clear();
    }
    share::add(&mut labels.shares, new)
        .map_err(|error| AdminError::Refused(format!("Nothing was shared: {error}.")))?;
    labels.visibility = Some(Visibility::Shared);
    Ok(())
}

pub(super) async fn remove(ask: &Ask<'_>, place: &ObjectPlace) -> Result<(), AdminError> {
    let text = ask.query.must("share")?;
    let no_such = || AdminError::Minio {
        code: "NoSuchShare",
        status: StatusCode::NOT_FOUND,
        message: format!("The object has no share {text}."),
    };
    let id = ShareId::parse(text).ok_or_else(no_such)?;
    let found = Mutex::new(false);
    let remove = |labels: &mut Labels| {
        let before = labels.shares.len();
        labels.shares.retain(|share| share.id != id);
        *found.lock() = labels.shares.len() < before;
    };
    change_labels(ask, place, remove).await?;
    match found.into_inner() {
        true => Ok(()),
        false => Err(no_such()),
    }
}
