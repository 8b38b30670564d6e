//! Access keys (MinIO's service accounts). About the keys of their own account everybody may ask; about those of others who
//! has the right. Root's keys are changed by root alone: who could make one would be root.

use std::collections::BTreeSet;

use http::StatusCode;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};
use storage_engine::store::clock::Timestamp;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use zeroize::Zeroizing;

use super::{Answer, Ask, at, document, is_enabled, together};
use crate::access::Action;
use crate::admin::error::AdminError;
use crate::auth::{Identity, Kind, SecretKey};
use crate::identity::{AccessKeyChange, AccessKeyView, KeyParent, NewAccessKey};

/// What MinIO's clients read as "does not expire".
const NO_END: &str = "1970-01-01T00:00:00Z";

/// A time in a body; MinIO's two ways of saying none are none.
fn end<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Timestamp>, D::Error> {
    let Some(text) = Option::<String>::deserialize(from)? else {
        return Ok(None);
    };
    let time = OffsetDateTime::parse(&text, &Rfc3339).map_err(serde::de::Error::custom)?;
    let millis = time.unix_timestamp_nanos() / 1_000_000;
    let millis = u64::try_from(millis).ok().filter(|millis| *millis > 0);
    Ok(millis.map(Timestamp::from_millis))
}

/// As [`end`]; nothing said leaves it as it is.
fn new_end<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Option<Timestamp>>, D::Error> {
    #[derive(Deserialize)]
    struct Said(#[serde(deserialize_with = "end")] Option<Timestamp>);
    Ok(Option::<Said>::deserialize(from)?.map(|said| said.0))
}

/// A policy in a body: an object, or nothing.
fn policy_text(policy: Option<Value>) -> Option<String> {
    match policy? {
        Value::Null => None,
        Value::String(text) => Some(text),
        document => Some(document.to_string()),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct AddKey {
    policy: Option<Value>,
    target_user: Option<String>,
    access_key: Option<String>,
    secret_key: Option<String>,
    name: Option<String>,
    description: Option<String>,
    /// Of older clients.
    comment: Option<String>,
    /// A new key is enabled; one of another status is made in two steps.
    status: Option<String>,
    #[serde(deserialize_with = "end")]
    expiration: Option<Timestamp>,
}

/// May the caller make, change or remove keys of this account? An access key or temporary credential may so only with the
/// right, also for its own account: what it makes or changes could outlive it.
fn may_change(ask: &Ask<'_>, account: &KeyParent, right: Action) -> Result<(), AdminError> {
    if matches!(ask.identity, Identity::Caller(caller) if caller.kind != Kind::User) {
        ask.must(right)?;
    }
    match (ask.account(), account) {
        (Some(own), account) if own == *account => Ok(()),
        (Some(_) | None, KeyParent::Root) => Err(AdminError::AccessDenied),
        (Some(_) | None, KeyParent::User(_)) => ask.must(right),
    }
}

/// `PUT add-service-account`.
pub(super) async fn add(ask: &Ask<'_>, text: &[u8]) -> Result<Answer, AdminError> {
    let asked: AddKey = document(text)?;
    let own_key = ask.caller.map(|caller| caller.access_key.as_str());
    let parent = match asked.target_user.as_deref() {
        None | Some("") => ask.account(),
        // A key that names itself means its account.
        Some(named) if own_key == Some(named) => ask.account(),
        Some(named) => Some(ask.reach.directory.account_named(named)),
    };
    let parent = parent.ok_or(AdminError::AccessDenied)?;
    may_change(ask, &parent, Action::AdminCreateServiceAccount)?;
    if !asked.status.as_deref().map_or(Ok(true), is_enabled)? {
        return Err(AdminError::Argument(
            "A new access key is enabled; disable it once it is there.".into(),
        ));
    }
    let some = |text: Option<String>| text.filter(|text| !text.is_empty());
    let secret = asked.secret_key.filter(|secret| !secret.is_empty());
    let new = NewAccessKey {
        parent,
        access_key: some(asked.access_key),
        secret: secret.map(SecretKey::new),
        policy: policy_text(asked.policy),
        name: asked.name.unwrap_or_default(),
        description: some(asked.description).or(asked.comment).unwrap_or_default(),
        expires: asked.expiration,
    };
    let made = ask.reach.directory.add_access_key(ask.identity, new).await?;
    let secret = Zeroizing::new(String::from_utf8_lossy(made.secret.expose()).into_owned());
    Answer::sealed(&json!({
        "credentials": {
            "accessKey": made.access_key,
            "secretKey": secret.as_str(),
            "expiration": made.expires.map_or_else(|| NO_END.to_owned(), at),
        },
    }))
}

fn fields(ask: &Ask<'_>, key: &AccessKeyView) -> Map<String, Value> {
    let mut fields = Map::new();
    fields.insert("parentUser".into(), ask.reach.directory.name_of(&key.parent).into());
    fields.insert("accountStatus".into(), if key.enabled { "on" } else { "off" }.into());
    fields.insert("impliedPolicy".into(), key.policy.is_none().into());
    fields.insert("name".into(), key.name.clone().into());
    fields.insert("description".into(), key.description.clone().into());
    if let Some(end) = key.expires {
        fields.insert("expiration".into(), at(end).into());
    }
    fields
}

fn listed(ask: &Ask<'_>, key: &AccessKeyView) -> Value {
    let mut fields = fields(ask, key);
    fields.insert("accessKey".into(), key.access_key.clone().into());
    // In lists clients look into it whether or not there is one.
    fields.entry("expiration").or_insert_with(|| NO_END.into());
    Value::Object(fields)
}

/// `GET list-service-accounts`.
pub(super) fn list(ask: &Ask<'_>) -> Result<Answer, AdminError> {
    let (own, directory) = (ask.account(), &ask.reach.directory);
    let named = ask.query.get("user").map(|name| directory.account_named(name));
    let account = named.or(own.clone()).ok_or(AdminError::AccessDenied)?;
    if own.as_ref() != Some(&account) {
        ask.must(Action::AdminListServiceAccounts)?;
    }
    let keys = directory.access_keys_of(&account)?;
    let keys: Vec<Value> = keys.iter().map(|key| listed(ask, key)).collect();
    Answer::sealed(&json!({ "accounts": keys }))
}

/// `GET list-access-keys-bulk`. Temporary credentials are not kept, so there are none to list.
pub(super) fn list_bulk(ask: &Ask<'_>) -> Result<Answer, AdminError> {
    let (with_keys, with_empty) = match ask.query.get("listType").unwrap_or("all") {
        "all" => (true, true),
        "users-only" => (false, true),
        "svcacc-only" => (true, false),
        "sts-only" => (false, false),
        other => return Err(AdminError::Argument(format!("There is no listType {other}."))),
    };
    let directory = &ask.reach.directory;
    let own = ask.account();
    // Each once, however often it is named; root is the first.
    let named = ask.query.all("users").map(|name| directory.account_named(name));
    let mut accounts: BTreeSet<KeyParent> = named.collect();
    if ask.query.is_true("all") {
        if !accounts.is_empty() {
            return Err(AdminError::Argument(
                "Ask for all users or for some, not for both.".into(),
            ));
        }
        let users = directory.users()?.into_iter();
        accounts = users.map(|user| KeyParent::User(user.name)).collect();
        accounts.insert(KeyParent::Root);
        ask.must(Action::AdminListServiceAccounts)?;
    } else if accounts.is_empty() {
        accounts.extend(own.clone());
    }
    if accounts.iter().any(|account| Some(account) != own.as_ref()) {
        ask.must(Action::AdminListServiceAccounts)?;
    }
    let mut told = Map::new();
    for account in accounts {
        let keys = match with_keys {
            true => directory.access_keys_of(&account)?,
            false => Vec::new(),
        };
        if with_empty || !keys.is_empty() {
            let keys: Vec<Value> = keys.iter().map(|key| listed(ask, key)).collect();
            // A user whom root took the name from is not told in root's place.
            let told = told.entry(directory.name_of(&account));
            told.or_insert_with(|| json!({ "serviceAccounts": keys, "stsKeys": [] }));
        }
    }
    Answer::sealed(&told)
}

/// A key that the caller may look at. Who may not learns nothing about whether there is one.
fn seen(ask: &Ask<'_>, access_key: &str) -> Result<AccessKeyView, AdminError> {
    let found = ask.reach.directory.access_key(access_key);
    let own = matches!((&found, ask.account()), (Ok(key), Some(own)) if key.parent == own);
    if !own {
        ask.must(Action::AdminListServiceAccounts)?;
    }
    Ok(found?)
}

/// The policy that holds for a key, as a text that holds JSON.
fn effective(ask: &Ask<'_>, key: &AccessKeyView) -> Result<String, AdminError> {
    if let Some(policy) = &key.policy {
        return Ok(policy.clone());
    }
    if key.parent == KeyParent::Root {
        return Ok(crate::admin::usage::everything().to_string());
    }
    let policies = ask.reach.directory.policies_of(&key.parent)?;
    together(policies.iter().map(|policy| policy.text())).map(|policy| policy.to_string())
}

/// `GET info-service-account`.
pub(super) fn info(ask: &Ask<'_>) -> Result<Answer, AdminError> {
    let key = seen(ask, ask.query.must("accessKey")?)?;
    let mut told = fields(ask, &key);
    told.insert("policy".into(), effective(ask, &key)?.into());
    Answer::sealed(&told)
}

/// `GET info-access-key`; of the caller's own key if none is named.
pub(super) fn info_of_any(ask: &Ask<'_>) -> Result<Answer, AdminError> {
    let own = ask.caller.map(|caller| caller.access_key.as_str());
    let access_key = ask.query.get("accessKey").or(own).ok_or(AdminError::AccessDenied)?;
    let key = seen(ask, access_key)?;
    let mut told = fields(ask, &key);
    told.insert("policy".into(), effective(ask, &key)?.into());
    told.insert("accessKey".into(), access_key.into());
    told.insert("userType".into(), "Service Account".into());
    told.insert("userProvider".into(), "builtin".into());
    Answer::sealed(&told)
}

/// `GET temporary-account-info`: nothing of temporary credentials is kept, so none is known by its key.
pub(super) fn temporary(ask: &Ask<'_>) -> Result<Answer, AdminError> {
    ask.query.must("accessKey")?;
    Err(AdminError::Minio {
        code: "XMinioAdminNoSuchAccessKey",
        status: StatusCode::NOT_FOUND,
        message: "Temporary credentials are not kept by the server, so nothing can be told of one by its access key."
            .into(),
    })
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct UpdateKey {
    new_policy: Option<Value>,
    new_secret_key: String,
    new_status: String,
    new_name: String,
    new_description: String,
    #[serde(deserialize_with = "new_end")]
    new_expiration: Option<Option<Timestamp>>,
}

/// A key that the caller may change.
pub(super) fn changeable(ask: &Ask<'_>, right: Action) -> Result<String, AdminError> {
    let access_key = ask.query.must("accessKey")?;
    let found = ask.reach.directory.access_key(access_key);
    let Ok(key) = &found else {
        ask.must(right)?;
        return Err(found.map_or_else(AdminError::from, |_| AdminError::AccessDenied));
    };
    may_change(ask, &key.parent, right)?;
    Ok(access_key.to_owned())
}

/// `POST update-service-account`.
pub(super) async fn update(ask: &Ask<'_>, access_key: &str, text: &[u8]) -> Result<Answer, AdminError> {
    let asked: UpdateKey = document(text)?;
    let some = |text: String| Some(text).filter(|text| !text.is_empty());
    let change = AccessKeyChange {
        policy: policy_text(asked.new_policy),
        secret: some(asked.new_secret_key).map(SecretKey::new),
        enabled: some(asked.new_status).map(|status| is_enabled(&status)).transpose()?,
        name: some(asked.new_name),
        description: some(asked.new_description),
        expires: asked.new_expiration,
    };
    let directory = &ask.reach.directory;
    directory.change_access_key(ask.identity, access_key, change).await?;
    Ok(Answer::Done(StatusCode::NO_CONTENT))
}

/// `DELETE delete-service-account`.
pub(super) async fn remove(ask: &Ask<'_>) -> Result<Answer, AdminError> {
    let access_key = changeable(ask, Action::AdminRemoveServiceAccount)?;
    let directory = &ask.reach.directory;
    directory.remove_access_key(ask.identity, &access_key).await?;
    Ok(Answer::Done(StatusCode::NO_CONTENT))
}

/// `POST revoke-tokens/builtin`: ends the temporary credentials of an account, all of them. Nothing of them is kept, so there
/// is no part of them to choose.
pub(super) async fn revoke(ask: &Ask<'_>) -> Result<Answer, AdminError> {
    let directory = &ask.reach.directory;
    let named = ask.query.get("user").map(|name| directory.account_named(name));
    let account = named.or(ask.account()).ok_or(AdminError::AccessDenied)?;
    // Of root's account nobody but root itself; a key that got into other hands must not shut out root's other clients.
    if account == KeyParent::Root && !matches!(ask.identity, Identity::Root) {
        return Err(AdminError::AccessDenied);
    }
    may_change(ask, &account, Action::AdminRemoveServiceAccount)?;
    revokes_all(ask)?;
    directory.revoke_temporary(&account).await?;
    Ok(Answer::Done(StatusCode::NO_CONTENT))
}

/// `POST revoke-tokens/openid`: ends the temporary credentials of somebody an identity provider vouches for, by the name
/// that `GetCallerIdentity` tells.
pub(super) async fn revoke_person(ask: &Ask<'_>) -> Result<Answer, AdminError> {
    let name = ask.query.get("user").filter(|name| name.contains('#'));
    let name = name.ok_or_else(|| AdminError::Argument("Name the user as ISSUER#SUBJECT.".into()))?;
    revokes_all(ask)?;
    ask.reach.directory.revoke_person(name).await?;
    Ok(Answer::Done(StatusCode::NO_CONTENT))
}

pub(super) fn revokes_all(ask: &Ask<'_>) -> Result<(), AdminError> {
    match (ask.query.get("tokenRevokeType"), ask.query.is_true("fullRevoke")) {
        (None, true) => Ok(()),
        (Some(_), false) => Err(AdminError::NotBuilt("Revoking temporary credentials by their type")),
        (Some(_), true) | (None, false) => Err(AdminError::Argument(
            "Say fullRevoke=true: all temporary credentials of the account are revoked.".into(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_read_as_clients_write_them() {
        let add: AddKey = document(
            br#"{"policy":{"Version":"2012-10-17"},"targetUser":"u","accessKey":null,"secretKey":"","name":"n",
                 "description":"","expiration":"2030-01-01T00:00:00.5Z"}"#,
        )
        .unwrap();
        assert_eq!(policy_text(add.policy).unwrap(), r#"{"Version":"2012-10-17"}"#);
        assert_eq!(add.expiration, Some(Timestamp::from_millis(1_893_456_000_500)));
        let bare: AddKey = document(b"{}").unwrap();
        assert_eq!((policy_text(bare.policy), bare.expiration), (None, None));
        for none in ["1970-01-01T00:00:00Z", "0001-01-01T00:00:00Z"] {
            let update: UpdateKey = document(format!(r#"{{"newExpiration":"{none}"}}"#).as_bytes()).unwrap();
            assert_eq!(update.new_expiration, Some(None), "{none}");
        }
        let untouched: UpdateKey = document(br#"{"newStatus":"off","newPolicy":null,"newExpiration":null}"#).unwrap();
        assert_eq!(
            (untouched.new_expiration, policy_text(untouched.new_policy)),
            (None, None)
        );
        assert!(document::<AddKey>(br#"{"expiration":"soon"}"#).is_err());
    }
}
