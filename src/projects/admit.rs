//! Who a request comes from: its project key, then its token.
//!
//! In this order: the key's form, its hash among the known ones, whether it was revoked or has ended, where it may be
//! brought from; then the token's issuer, signature, audience and times. What the key allows is the most that whoever
//! brings it may do; the token never adds to it.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::header::{AUTHORIZATION, HeaderMap, ORIGIN};
use http::{HeaderName, HeaderValue};
use serde_json::{Map, Value};
use storage_engine::store::name::BucketName;
use storage_engine::store::record::projects::IssuerKeys;
use time::OffsetDateTime;

use super::KeyKind;
use super::caller::{AppCaller, AppRefused, AppUser};
use super::directory::Projects;
use super::issuers::sealed_as;
use super::keys::well_formed;
use super::scopes::{Operation, Scopes};
use super::snapshot::{ReadyIssuer, ReadyKey, Snapshot};
use crate::auth::{Account, Caller, Federated, Identity, Kind, sha256};
use crate::openid::{OpenIdError, Proved, condition_keys, issuer_said, texts};
use crate::policy::Policy;

/// Brings the project key.
pub const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
/// Most bytes of what files are owned under.
const OWNER_BYTES_MAX: usize = 256;
/// What a secret key's files are owned under, in the place of an issuer's alias.
pub(super) const KEY_ALIAS: &str = "key";

/// A token that was proved.
struct Vouched {
    user: AppUser,
    ends: OffsetDateTime,
}

impl Projects {
    /// Who comes with these headers at `now`. It waits for an issuer only where its keys are not known, for a bounded
    /// time.
    pub async fn admit(&self, headers: &HeaderMap, now: OffsetDateTime) -> Result<AppCaller, AppRefused> {
        let snapshot = self.snapshot().map_err(|_| AppRefused::not_open())?;
        if let Some(caller) = self.by_upload_token(&snapshot, headers, now)? {
            return Ok(caller);
        }
        let key = brought(&snapshot, headers, now)?;
        let vouched = match bearer(headers)? {
            None => None,
            Some(token) => Some(self.vouched(&snapshot, &key, token, now).await?),
        };
        key.caller(vouched)
    }

    /// Somebody of whom nothing is known and who brings nothing, at the environment that has this app bucket; `None`: none
    /// has. They read what everybody may read.
    pub fn anybody(&self, bucket: &BucketName) -> Result<Option<AppCaller>, AppRefused> {
        let snapshot = self.snapshot().map_err(|_| AppRefused::not_open())?;
        let found = snapshot.of_bucket(bucket);
        Ok(found.map(|(project, environment)| AppCaller {
            project: Arc::clone(project),
            environment: environment.clone(),
            bucket: bucket.clone(),
            key: KeyKind::Publishable,
            key_id: String::new(),
            scopes: Scopes::of([Operation::Read]),
            identity: Identity::Anonymous,
            user: None,
            upload: None,
        }))
    }

    /// Whom a token proves.
    async fn vouched(
        &self,
        snapshot: &Snapshot,
        key: &ReadyKey,
        token: &str,
        now: OffsetDateTime,
    ) -> Result<Vouched, AppRefused> {
        let project = key.project.name.as_str();
        let said = issuer_said(token).map_err(|error| AppRefused::token(&error))?;
        let found = snapshot.issuer(project, said.as_deref());
        let (alias, issuer) = found.ok_or_else(AppRefused::no_issuer)?;
        let secret = match &issuer.record.keys {
            IssuerKeys::Secret(sealed) => {
                let name = sealed_as(project, alias);
                let opened = self.inner.directory.open_setting(&name, sealed).await;
                let opened = opened.map_err(|_| AppRefused::not_open())?;
                Some(opened.ok_or_else(AppRefused::not_open)?)
            }
            IssuerKeys::KeySet(_) | IssuerKeys::Discovery(_) => None,
        };
        let secret = secret.as_ref().map(crate::auth::SecretKey::expose);
        let proved = issuer.pinned.proved(token, secret, now).await;
        let proved = proved.map_err(|error| AppRefused::token(&error))?;
        let vouched = user(alias, issuer, &proved).map_err(|error| AppRefused::token(&error))?;
        let name = format!("{alias}|{}", vouched.user.subject);
        match snapshot.is_blocked(&key.place(), &name) {
            true => Err(AppRefused::blocked()),
            false => Ok(vouched),
        }
    }
}

/// The only value of a header. Two of them could be read as one here and as the other elsewhere.
pub(super) fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h HeaderValue>, ()> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    match values.next() {
        None => Ok(first),
        Some(_) => Err(()),
    }
}

/// The key that a request brings, if it may be brought now and from there.
pub(super) fn brought(
    snapshot: &Snapshot,
    headers: &HeaderMap,
    now: OffsetDateTime,
) -> Result<Arc<ReadyKey>, AppRefused> {
    let value = only(headers, &API_KEY).map_err(|()| AppRefused::key("more than one API key was sent"))?;
    let value = value.ok_or_else(|| AppRefused::key("no API key was sent; it goes into the header X-API-Key"))?;
    let text = value.to_str().ok().filter(|text| well_formed(text).is_some());
    let text = text.ok_or_else(|| AppRefused::key("an API key is pk_ or sk_ and 64 hexadecimal digits"))?;
    let found = snapshot.key(&sha256(text.as_bytes()));
    let key = found.ok_or_else(|| AppRefused::key("this API key is not known"))?;
    if key.record.revoked.is_some() {
        return Err(AppRefused::revoked_key());
    }
    let millis = now.unix_timestamp_nanos() / 1_000_000;
    let ends = key.record.expires.map(|ends| i128::from(ends.millis()));
    if ends.is_some_and(|ends| ends <= millis) {
        return Err(AppRefused::key("this API key has expired"));
    }
    let origins: Vec<&HeaderValue> = headers.get_all(ORIGIN).iter().collect();
    match key.record.kind {
        KeyKind::Secret if !origins.is_empty() => Err(AppRefused::permission_denied(
            "A secret key was sent from a web page, where everybody can read it. Revoke it, and use a publishable one there.",
        )),
        KeyKind::Publishable | KeyKind::Secret => {
            let allowed = |origin: &&HeaderValue| origin.to_str().is_ok_and(|origin| key.origins.allow(origin));
            match origins.iter().all(allowed) {
                true => Ok(Arc::clone(key)),
                false => Err(AppRefused::origin()),
            }
        }
    }
}

/// The token that a request brings; `None`: it brings none.
fn bearer(headers: &HeaderMap) -> Result<Option<&str>, AppRefused> {
    const FORM: &str = "it goes into one header Authorization, after the word Bearer";
    let malformed = || AppRefused::token(&OpenIdError::Malformed(FORM));
    let value = only(headers, &AUTHORIZATION).map_err(|()| malformed())?;
    let Some(value) = value else { return Ok(None) };
    let (scheme, token) = value
        .to_str()
        .ok()
        .and_then(|text| text.split_once(' '))
        .ok_or_else(malformed)?;
    match scheme.eq_ignore_ascii_case("bearer") {
        true => Ok(Some(token.trim())),
        false => Err(malformed()),
    }
}

/// A claim by its name, or by the names of objects and the claim inside them, with dots between.
fn claim<'c>(claims: &'c Map<String, Value>, name: &str) -> Option<&'c Value> {
    if let Some(found) = claims.get(name) {
        return Some(found);
    }
    let (object, rest) = name.split_once('.')?;
    claim(claims.get(object)?.as_object()?, rest)
}

/// Who the claims say it is.
fn user(alias: &str, issuer: &ReadyIssuer, proved: &Proved) -> Result<Vouched, OpenIdError> {
    let (record, claims) = (&issuer.record, &proved.claims);
    let several = |name: &str| claim(claims, name).and_then(texts).unwrap_or_default();
    let subject = match claim(claims, &record.subject_claim) {
        Some(Value::String(subject)) => subject.clone(),
        Some(Value::Number(number)) if !number.is_f64() => number.to_string(),
        Some(_) | None => String::new(),
    };
    if subject.is_empty() {
        return Err(OpenIdError::Refused("it names no subject"));
    }
    if subject.chars().any(char::is_control) {
        return Err(OpenIdError::Refused("its subject holds control characters"));
    }
    let mut groups = several(&record.groups_claim);
    groups.sort();
    groups.dedup();
    let roles = several(&record.role_claim);
    let user = AppUser {
        issuer: alias.to_owned(),
        subject,
        groups,
        claims: condition_keys(claims)?,
        is_admin: roles.iter().any(|role| record.admin_roles.contains(role)),
    };
    Ok(Vouched {
        user,
        ends: proved.ends,
    })
}

impl ReadyKey {
    fn caller(&self, vouched: Option<Vouched>) -> Result<AppCaller, AppRefused> {
        let name = |alias: &str, subject: &str| format!("{}/{alias}|{subject}", self.project.name);
        let admin = Arc::clone(&self.of_scopes);
        let most = || Arc::clone(&self.of_scopes);
        let identity = match (&vouched, self.record.kind) {
            (None, KeyKind::Publishable) => Identity::Anonymous,
            (None, KeyKind::Secret) => {
                let name = name(KEY_ALIAS, &self.id);
                self.identity(&name, Kind::AccessKey, (admin, most()), None)
            }
            (Some(Vouched { user, ends }), kind) => {
                let is_admin = kind == KeyKind::Secret || user.is_admin;
                let policy = if is_admin { admin } else { Arc::clone(&self.of_users) };
                let name = name(&user.issuer, &user.subject);
                self.identity(&name, Kind::Temporary { expires: *ends }, (policy, most()), Some(user))
            }
        };
        if let Identity::Caller(caller) = &identity
            && caller.canonical_id.len() > OWNER_BYTES_MAX
        {
            let error = OpenIdError::Refused("its subject is longer than a file's owner can be");
            return Err(AppRefused::token(&error));
        }
        Ok(AppCaller {
            project: Arc::clone(&self.project),
            environment: self.record.environment.clone(),
            bucket: self.bucket.clone(),
            key: self.record.kind,
            key_id: self.id.clone(),
            scopes: self.scopes.clone(),
            identity,
            user: vouched.map(|vouched| vouched.user),
            upload: None,
        })
    }

    /// Somebody of the app, with the rights of `policy` and `most` of them.
    pub(super) fn identity(
        &self,
        name: &str,
        kind: Kind,
        (policy, most): (Arc<Policy>, Arc<Policy>),
        user: Option<&AppUser>,
    ) -> Identity {
        Identity::Caller(Arc::new(Caller {
            access_key: self.id.clone(),
            kind,
            account: Account::Federated(Federated::new(name)),
            // No canonical id of a user is like this.
            canonical_id: format!("app:{name}"),
            groups: user.map(|user| user.groups.clone()).unwrap_or_default(),
            claims: user.map_or_else(BTreeMap::new, |user| user.claims.clone()),
            policies: vec![policy],
            session: Some(most),
        }))
    }
}
