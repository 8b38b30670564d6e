//! Upload tokens: what a server of an app gives out so that somebody who is not signed in may upload, within limits.
//!
//! Owns what a token carries and who comes with one. It is sealed as a link is and stored nowhere but for the count of its
//! files; it has its maker's rights to make files at most, as far as they go when it is used, and ends with the key it was
//! made with. It never lets anything be read, listed, changed or deleted.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName};
use serde::{Deserialize, Serialize};
use storage_engine::store::clock::Timestamp;
use storage_engine::store::counter::CounterName;
use storage_engine::store::name::BucketName;
use storage_engine::store::projects::OfProject;
use storage_engine::store::record::labels::Visibility;
use time::{Duration, OffsetDateTime};

use super::KeyKind;
use super::admit::{API_KEY, KEY_ALIAS, brought, only};
use super::caller::{AppCaller, AppRefused, AppUser};
use super::directory::Projects;
use super::policies;
use super::scopes::{Operation, Scopes};
use super::snapshot::{ReadyKey, Snapshot};
use super::users::user_name;
use crate::auth::{Kind, is_link_key};
use crate::identity::{IdentityError, LINK_TOKEN_CHARS_MAX};

/// Brings an upload token.
pub const UPLOAD_TOKEN: HeaderName = HeaderName::from_static("x-upload-token");

/// Bytes of project, alias and subject together, as of tokens of issuers.
pub(super) const NAME_BYTES_MAX: usize = 250;

/// What an upload token lets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadGrant {
    /// Names it; whatever is made with it is marked by this.
    pub id: [u8; 16],
    pub ends: OffsetDateTime,
    /// Media types its files may have, also as `image/*`; empty: any.
    pub types: Vec<String>,
    /// Most bytes of a file.
    pub max_size: Option<u64>,
    pub category: Option<String>,
    /// The logical bucket of its files.
    pub bucket: Option<String>,
    /// `None`: as files have it that name none.
    pub visibility: Option<Visibility>,
    /// What its maker calls what it is for; told with each file.
    pub operation: Option<String>,
    /// Whose its files are; `None`: the key's.
    pub user: Option<GrantedUser>,
    /// When what this user had been given was revoked last, before this was. Set when the token is made.
    pub revoked: Timestamp,
}

/// Somebody in whose name files are made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GrantedUser {
    /// The alias of the issuer that knows them.
    #[serde(rename = "a")]
    pub issuer: String,
    #[serde(rename = "s")]
    pub subject: String,
}

/// Why no upload token was made.
#[derive(Debug, thiserror::Error)]
pub enum UploadTokenError {
    #[error("the token would be too long: it names too much")]
    TooLong,
    #[error("the project has no issuer with this alias")]
    NoSuchIssuer,
    #[error("the projects cannot be read")]
    NotOpen,
    #[error("the token cannot be written: {0}")]
    Writing(#[from] serde_json::Error),
    #[error(transparent)]
    Identity(#[from] IdentityError),
}

impl UploadGrant {
    /// What counts its files.
    pub fn counter(&self) -> CounterName {
        let seconds = u64::try_from(self.ends.unix_timestamp()).unwrap_or_default();
        CounterName {
            ends: Timestamp::from_millis(seconds.saturating_mul(1_000)),
            id: self.id,
        }
    }
}

/// As a token carries it. What this version does not know is refused and never passed over: it could be a limit. No link is
/// written like this.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Carried {
    #[serde(rename = "upload")]
    id: String,
    #[serde(rename = "b")]
    place: String,
    /// The id of the key it was made with.
    #[serde(rename = "i")]
    key_id: String,
    /// Seconds since 1970.
    #[serde(rename = "x")]
    ends: i64,
    #[serde(rename = "t", default, skip_serializing_if = "Vec::is_empty")]
    types: Vec<String>,
    #[serde(rename = "m", default, skip_serializing_if = "Option::is_none")]
    max_size: Option<u64>,
    #[serde(rename = "c", default, skip_serializing_if = "Option::is_none")]
    category: Option<String>,
    #[serde(rename = "l", default, skip_serializing_if = "Option::is_none")]
    bucket: Option<String>,
    #[serde(rename = "v", default, skip_serializing_if = "Option::is_none")]
    visibility: Option<String>,
    #[serde(rename = "o", default, skip_serializing_if = "Option::is_none")]
    operation: Option<String>,
    #[serde(rename = "u", default, skip_serializing_if = "Option::is_none")]
    user: Option<GrantedUser>,
    /// Milliseconds since 1970.
    #[serde(rename = "r", default, skip_serializing_if = "is_zero")]
    revoked: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the derived writer hands a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

fn encode(grant: &UploadGrant, place: &BucketName, key_id: &str) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::to_vec(&Carried {
        id: hex_simd::encode_to_string(grant.id, hex_simd::AsciiCase::Lower),
        place: place.as_str().to_owned(),
        key_id: key_id.to_owned(),
        ends: grant.ends.unix_timestamp(),
        types: grant.types.clone(),
        max_size: grant.max_size,
        category: grant.category.clone(),
        bucket: grant.bucket.clone(),
        visibility: grant.visibility.map(|level| level.name().to_owned()),
        operation: grant.operation.clone(),
        user: grant.user.clone(),
        revoked: grant.revoked.millis(),
    })
}

/// The grant, the app bucket it is for, and the id of its key; `None`: it is none that this version writes.
fn decode(bytes: &[u8]) -> Option<(UploadGrant, String, String)> {
    let carried: Carried = serde_json::from_slice(bytes).ok()?;
    let visibility = match carried.visibility {
        None => None,
        Some(name) => Some(Visibility::parse(&name)?),
    };
    let id = hex_simd::decode_to_vec(carried.id.as_bytes()).ok()?;
    let grant = UploadGrant {
        id: id.try_into().ok()?,
        ends: OffsetDateTime::from_unix_timestamp(carried.ends).ok()?,
        types: carried.types,
        max_size: carried.max_size,
        category: carried.category,
        bucket: carried.bucket,
        visibility,
        operation: carried.operation,
        user: carried.user,
        revoked: Timestamp::from_millis(carried.revoked),
    };
    Some((grant, carried.place, carried.key_id))
}

impl Projects {
    /// A token that lets this, made with the key of `caller`. Whoever has it may use it; what counts its files is the
    /// caller's to make.
    pub async fn make_upload_token(&self, caller: &AppCaller, grant: &UploadGrant) -> Result<String, UploadTokenError> {
        let mut grant = grant.clone();
        if let Some(user) = &grant.user {
            let snapshot = self.snapshot().map_err(|_| UploadTokenError::NotOpen)?;
            let name = format!("{}/{}|{}", caller.project.name, user.issuer, user.subject);
            if name.len() > NAME_BYTES_MAX {
                return Err(UploadTokenError::TooLong);
            }
            let is_alias = user.issuer != KEY_ALIAS && !user.issuer.contains('|');
            if !is_alias || !snapshot.answers_for(&caller.project.name, &name) {
                return Err(UploadTokenError::NoSuchIssuer);
            }
            grant.revoked = snapshot.links_revoked(&caller.place(), &user_name(user));
        }
        let text = encode(&grant, &caller.bucket, &caller.key_id)?;
        let sealed = self.inner.directory.seal_link(&text).await?;
        match sealed.token.expose().len() <= LINK_TOKEN_CHARS_MAX {
            true => Ok(format!(
                "{}.{}",
                sealed.access_key,
                String::from_utf8_lossy(sealed.token.expose())
            )),
            false => Err(UploadTokenError::TooLong),
        }
    }

    /// Who comes with an upload token; `None`: nobody brings one.
    pub(super) fn by_upload_token(
        &self,
        snapshot: &Snapshot,
        headers: &HeaderMap,
        now: OffsetDateTime,
    ) -> Result<Option<AppCaller>, AppRefused> {
        let value = only(headers, &UPLOAD_TOKEN).map_err(|()| AppRefused::upload_token("more than one was sent"))?;
        let Some(value) = value else { return Ok(None) };
        if headers.contains_key(AUTHORIZATION) {
            return Err(AppRefused::upload_token(
                "it stands in the place of a user's token, and both were sent",
            ));
        }
        let none = || AppRefused::upload_token("it is none of this server, or was changed");
        let (access_key, token) = value
            .to_str()
            .ok()
            .and_then(|text| text.split_once('.'))
            .ok_or_else(none)?;
        let opened = match is_link_key(access_key) {
            true => self.inner.directory.open_link(access_key, token),
            false => None,
        };
        let (text, _) = opened.ok_or_else(none)?;
        let (grant, place, key_id) = decode(&text).ok_or_else(none)?;
        if grant.ends <= now {
            return Err(AppRefused::upload_token_ended());
        }
        let key = snapshot.key_with_id(&key_id).filter(|key| key.bucket.as_str() == place);
        let key = key.filter(|key| key.record.kind == KeyKind::Secret && key.stands_at(now));
        let key = key.ok_or_else(|| AppRefused::upload_token("the key it was made with is revoked, or has ended"))?;
        if !key.scopes.allow(Operation::Create) {
            return Err(AppRefused::scope(Operation::Create));
        }
        if headers.contains_key(API_KEY) && brought(snapshot, headers, now)?.bucket != key.bucket {
            return Err(AppRefused::upload_token(
                "the API key beside it is of another environment",
            ));
        }
        key.caller_with(snapshot, grant).map(Some)
    }
}

impl ReadyKey {
    /// The environment it is for.
    pub(super) fn place(&self) -> OfProject {
        OfProject::new(&self.project.name, &self.record.environment)
    }

    /// Whether it may be used at `now`.
    pub(super) fn stands_at(&self, now: OffsetDateTime) -> bool {
        let millis = now.unix_timestamp_nanos() / 1_000_000;
        let has_ended = |ends: Timestamp| i128::from(ends.millis()) <= millis;
        self.record.revoked.is_none() && !self.record.expires.is_some_and(has_ended)
    }

    /// Whether guests put files into the logical bucket of this name.
    pub(super) fn takes_guests(&self, name: &str) -> bool {
        let environment = self.project.environments.get(&self.record.environment);
        let rules = environment.and_then(|environment| environment.logical.get(name));
        rules.is_some_and(|rules| rules.guest_upload)
    }

    /// Somebody with an upload token: a user who may make files and nothing else.
    fn caller_with(&self, snapshot: &Snapshot, grant: UploadGrant) -> Result<AppCaller, AppRefused> {
        let project = &self.project.name;
        let name = match &grant.user {
            Some(GrantedUser { issuer, subject }) => format!("{project}/{issuer}|{subject}"),
            None => format!("{project}/{KEY_ALIAS}|{}", self.id),
        };
        if !snapshot.answers_for(project, &name) {
            return Err(AppRefused::upload_token("nobody vouches for its user any more"));
        }
        if let Some(user) = grant.user.as_ref().map(user_name) {
            let place = self.place();
            if snapshot.is_blocked(&place, &user) {
                return Err(AppRefused::blocked());
            }
            if grant.revoked < snapshot.links_revoked(&place, &user) {
                return Err(AppRefused::upload_token("what its user had been given was revoked"));
            }
        }
        let scopes = Scopes::parse(&["files:create"]).map_err(|_| AppRefused::not_open())?;
        let session = policies::of_scopes(&self.bucket, &scopes).map_err(|_| AppRefused::not_open())?;
        let kind = Kind::Temporary {
            expires: grant.ends + Duration::SECOND,
        };
        let user = grant.user.as_ref().map(|user| AppUser {
            issuer: user.issuer.clone(),
            subject: user.subject.clone(),
            groups: Vec::new(),
            claims: BTreeMap::new(),
            is_admin: false,
        });
        let identity = self.identity(&name, kind, (Arc::clone(&self.of_users), session), user.as_ref());
        Ok(AppCaller {
            project: Arc::clone(&self.project),
            environment: self.record.environment.clone(),
            bucket: self.bucket.clone(),
            // It never counts as the secret key it was made with.
            key: KeyKind::Publishable,
            key_id: self.id.clone(),
            scopes,
            identity,
            user,
            upload: Some(Arc::new(grant)),
        })
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    fn full() -> UploadGrant {
        UploadGrant {
            id: [0xab; 16],
            ends: datetime!(2026-01-02 03:04:05 UTC),
            types: vec!["image/*".into()],
            max_size: Some(9),
            category: Some("images".into()),
            bucket: Some("avatars".into()),
            visibility: Some(Visibility::Public),
            operation: Some("avatar".into()),
            user: Some(GrantedUser {
                issuer: "own".into(),
                subject: "ann".into(),
            }),
            revoked: Timestamp::default(),
        }
    }

    fn bare() -> UploadGrant {
        UploadGrant {
            types: Vec::new(),
            max_size: None,
            category: None,
            bucket: None,
            visibility: None,
            operation: None,
            user: None,
            ..full()
        }
    }

    /// Tokens that were given out stay what they were.
    #[test]
    fn what_tokens_carry_reads_on() {
        const HEAD: &str = r#"{"upload":"abababababababababababababababab","b":"shop-dev","i":"k1","x":1767323045"#;
        const REST: &str =
            r#","t":["image/*"],"m":9,"c":"images","l":"avatars","v":"public","o":"avatar","u":{"a":"own","s":"ann"}"#;
        let place = BucketName::parse("shop-dev").unwrap();
        for (grant, text) in [(bare(), format!("{HEAD}}}")), (full(), format!("{HEAD}{REST}}}"))] {
            let written = encode(&grant, &place, "k1").unwrap();
            assert_eq!(String::from_utf8(written).unwrap(), text);
            let expected = (grant, "shop-dev".to_owned(), "k1".to_owned());
            assert_eq!(decode(text.as_bytes()), Some(expected));
            // No link is read as a token, nor a token as a link.
            assert_eq!(crate::links::carried::decode(text.as_bytes()), None);
            for wrong in [
                text.replace("\"x\":", "\"q\":1,\"x\":"),
                text.replace("\"upload\":", "\"f\":"),
                text.replace("abab", "ab"),
            ] {
                assert_eq!(decode(wrong.as_bytes()), None, "{wrong}");
            }
        }
        let open = format!(r#"{HEAD},"v":"open"}}"#);
        assert_eq!(decode(open.as_bytes()), None);
    }
}
