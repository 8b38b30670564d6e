//! Users.

use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Answer, Ask, at, document, is_enabled, joined, status};
use crate::access::Action;
use crate::admin::error::AdminError;
use crate::auth::SecretKey;
use crate::identity::{KeyParent, NewUser, UserView};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AddUser {
    #[serde(default)]
    secret_key: String,
    #[serde(default)]
    status: String,
    /// Never taken: policies are attached by who may attach them.
    #[serde(default)]
    policy: String,
}

fn told(user: &UserView) -> Value {
    json!({
        "status": status(user.enabled),
        "policyName": joined(&user.policies),
        "memberOf": user.groups,
        "updatedAt": at(user.updated),
        "userAuthInfo": { "type": "builtin" },
    })
}

/// `PUT add-user`.
pub(super) async fn add(ask: &Ask<'_>, text: &[u8]) -> Result<Answer, AdminError> {
    let name = ask.query.must("accessKey")?;
    let user: AddUser = document(text)?;
    if name == ask.reach.directory.root_access_key() {
        return Err(AdminError::Minio {
            code: "XMinioInvalidIAMCredentials",
            status: StatusCode::CONFLICT,
            message: "A user cannot have the access key of root.".into(),
        });
    }
    if !user.policy.is_empty() {
        return Err(AdminError::Argument(
            "Policies are attached to a user by themselves, not when it is made.".into(),
        ));
    }
    let enabled = user.status.is_empty() || is_enabled(&user.status)?;
    let new = NewUser {
        name: name.to_owned(),
        secret: SecretKey::new(user.secret_key),
        enabled,
    };
    ask.reach.directory.put_user(ask.identity, new).await?;
    Ok(Answer::Done(StatusCode::OK))
}

/// `GET list-users`.
pub(super) fn list(ask: &Ask<'_>) -> Result<Answer, AdminError> {
    if ask.query.get("bucket").is_some() {
        return Err(AdminError::NotBuilt("Listing the users of one bucket"));
    }
    let users = ask.reach.directory.users()?;
    let users: Map<String, Value> = users.iter().map(|user| (user.name.clone(), told(user))).collect();
    Answer::sealed(&users)
}

/// `GET user-info`.
pub(super) fn info(ask: &Ask<'_>) -> Result<Answer, AdminError> {
    let name = ask.query.must("accessKey")?;
    if ask.account() != Some(KeyParent::User(name.to_owned())) {
        ask.must(Action::AdminGetUser)?;
    }
    Ok(Answer::Document(told(&ask.reach.directory.user(name)?)))
}

/// `PUT set-user-status`.
pub(super) async fn set_status(ask: &Ask<'_>) -> Result<Answer, AdminError> {
    let enabled = is_enabled(ask.query.must("status")?)?;
    let name = ask.query.must("accessKey")?;
    ask.reach.directory.set_user_status(ask.identity, name, enabled).await?;
    Ok(Answer::Done(StatusCode::OK))
}

/// `DELETE remove-user`.
pub(super) async fn remove(ask: &Ask<'_>) -> Result<Answer, AdminError> {
    let name = ask.query.must("accessKey")?;
    ask.reach.directory.remove_user(ask.identity, name).await?;
    Ok(Answer::Done(StatusCode::OK))
}
