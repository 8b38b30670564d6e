//! MinIO's verbs about users, groups, policies and access keys: their forms and who may ask. The directory does what they
//! say; this reads, asks it once, and tells.

mod access_keys;
mod groups;
mod ldap;
mod policies;
mod users;

use std::borrow::Cow;

use bytes::Bytes;
use http::StatusCode;
use serde::de::DeserializeOwned;
use storage_engine::store::clock::Timestamp;
use storage_engine::store::error::Fault;

use super::answer::Answer;
use super::error::AdminError;
use super::query::Query;
use super::usage::shown_millis;
use super::{Ask, Inner};
use crate::access::Action;
use crate::identity::IdentityError;

/// What can be asked about identities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    UserAdd,
    UserList,
    UserInfo,
    UserStatus,
    UserRemove,
    GroupChange,
    GroupInfo,
    GroupList,
    GroupStatus,
    PolicyAdd,
    PolicyList,
    PolicyInfo,
    PolicyRemove,
    PolicyAttach,
    PolicyDetach,
    PolicySet,
    PolicyEntities,
    KeyAdd,
    KeyList,
    KeyListBulk,
    KeyInfo,
    AccessKeyInfo,
    TemporaryInfo,
    KeyUpdate,
    KeyRemove,
    TokensRevoke,
    PersonsTokensRevoke,
    LdapPolicyAttach,
    LdapPolicyDetach,
    LdapPolicyEntities,
    LdapTokensRevoke,
    LdapList,
    LdapInfo,
    /// Not built: it says so to who may change settings.
    LdapChange,
}

/// Who may ask for something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Permission {
    /// Who has one of these rights.
    AnyOf(&'static [Action]),
    /// Everybody who is known and not denied this right, about what is their own; about the rest the verb itself asks.
    Own(Action),
}

impl Verb {
    pub(super) fn permission(self, query: Option<&Query>) -> Permission {
        let status = query.and_then(|query| query.get("status"));
        let enables = status.is_some_and(|status| is_enabled(status).unwrap_or(false));
        Permission::AnyOf(match self {
            Self::UserAdd => &[Action::AdminCreateUser],
            Self::UserList => &[Action::AdminListUsers],
            Self::UserInfo => return Permission::Own(Action::AdminGetUser),
            Self::UserStatus if enables => &[Action::AdminEnableUser],
            Self::UserStatus => &[Action::AdminDisableUser],
            Self::UserRemove => &[Action::AdminDeleteUser],
            Self::GroupChange => &[Action::AdminAddUserToGroup],
            Self::GroupInfo => &[Action::AdminGetGroup],
            Self::GroupList => &[Action::AdminListGroups],
            Self::GroupStatus if enables => &[Action::AdminEnableGroup],
            Self::GroupStatus => &[Action::AdminDisableGroup],
            Self::PolicyAdd => &[Action::AdminCreatePolicy],
            Self::PolicyList => &[Action::AdminListUserPolicies],
            Self::PolicyInfo => &[Action::AdminGetPolicy],
            Self::PolicyRemove => &[Action::AdminDeletePolicy],
            Self::PolicyAttach
            | Self::PolicyDetach
            | Self::PolicySet
            | Self::LdapPolicyAttach
            | Self::LdapPolicyDetach => &[
                Action::AdminAttachUserOrGroupPolicy,
                Action::AdminUpdatePolicyAssociation,
            ],
            Self::PolicyEntities | Self::LdapPolicyEntities => &[Action::AdminListUserPolicies],
            Self::KeyAdd => return Permission::Own(Action::AdminCreateServiceAccount),
            Self::KeyUpdate => return Permission::Own(Action::AdminUpdateServiceAccount),
            Self::KeyRemove | Self::TokensRevoke => return Permission::Own(Action::AdminRemoveServiceAccount),
            Self::KeyList | Self::KeyListBulk | Self::KeyInfo | Self::AccessKeyInfo => {
                return Permission::Own(Action::AdminListServiceAccounts);
            }
            Self::TemporaryInfo => &[Action::AdminListTemporaryAccounts],
            Self::LdapList | Self::LdapInfo | Self::LdapChange => &[Action::AdminConfigUpdate],
            Self::PersonsTokensRevoke | Self::LdapTokensRevoke => &[Action::AdminRemoveServiceAccount],
        })
    }
}

impl Inner {
    pub(super) async fn identities(&self, verb: Verb, ask: &Ask<'_>) -> Result<Answer, AdminError> {
        match verb {
            Verb::UserAdd => users::add(ask, &self.opened(ask).await?).await,
            Verb::UserList => users::list(ask),
            Verb::UserInfo => users::info(ask),
            Verb::UserStatus => users::set_status(ask).await,
            Verb::UserRemove => users::remove(ask).await,
            Verb::GroupChange => groups::change(ask).await,
            Verb::GroupInfo => groups::info(ask),
            Verb::GroupList => groups::list(ask),
            Verb::GroupStatus => groups::set_status(ask).await,
            Verb::PolicyAdd => policies::add(ask).await,
            Verb::PolicyList => policies::list(ask),
            Verb::PolicyInfo => policies::info(ask),
            Verb::PolicyRemove => policies::remove(ask).await,
            Verb::PolicyAttach => policies::rearrange(ask, &self.opened(ask).await?, true).await,
            Verb::PolicyDetach => policies::rearrange(ask, &self.opened(ask).await?, false).await,
            Verb::PolicySet => policies::set(ask).await,
            Verb::PolicyEntities => policies::entities(ask),
            Verb::KeyAdd => access_keys::add(ask, &self.opened(ask).await?).await,
            Verb::KeyList => access_keys::list(ask),
            Verb::KeyListBulk => access_keys::list_bulk(ask),
            Verb::KeyInfo => access_keys::info(ask),
            Verb::AccessKeyInfo => access_keys::info_of_any(ask),
            Verb::TemporaryInfo => access_keys::temporary(ask),
            Verb::KeyUpdate => {
                // Before a key is derived for the body.
                let access_key = access_keys::changeable(ask, Action::AdminUpdateServiceAccount)?;
                access_keys::update(ask, &access_key, &self.opened(ask).await?).await
            }
            Verb::KeyRemove => access_keys::remove(ask).await,
            Verb::TokensRevoke => access_keys::revoke(ask).await,
            Verb::PersonsTokensRevoke => access_keys::revoke_person(ask).await,
            Verb::LdapPolicyAttach => ldap::rearrange(ask, &self.opened(ask).await?, true).await,
            Verb::LdapPolicyDetach => ldap::rearrange(ask, &self.opened(ask).await?, false).await,
            Verb::LdapPolicyEntities => ldap::entities(ask),
            Verb::LdapTokensRevoke => ldap::revoke(ask).await,
            Verb::LdapList => ldap::list(ask),
            Verb::LdapInfo => ldap::info(ask),
            Verb::LdapChange => Err(AdminError::NotBuilt(
                "Setting the LDAP server by the admin API instead of by variables",
            )),
        }
    }
}

/// A document that came sealed.
fn document<T: DeserializeOwned>(text: &[u8]) -> Result<T, AdminError> {
    // The text may hold a secret, and so may what serde says of it.
    serde_json::from_slice(text).map_err(|_| AdminError::Minio {
        code: "XMinioAdminConfigBadJSON",
        status: StatusCode::BAD_REQUEST,
        message: "The body is not the JSON that this verb takes.".into(),
    })
}

/// A document that came as it is.
fn plain_document<T: DeserializeOwned>(body: &Bytes) -> Result<T, AdminError> {
    serde_json::from_slice(body).map_err(|error| AdminError::Minio {
        code: "XMinioMalformedJSON",
        status: StatusCode::BAD_REQUEST,
        message: format!("The body is not the JSON that this verb takes: {error}."),
    })
}

/// MinIO's two words for a status.
fn status(enabled: bool) -> &'static str {
    if enabled { "enabled" } else { "disabled" }
}

/// Whether a status says enabled; both of MinIO's ways to say it are taken.
fn is_enabled(status: &str) -> Result<bool, AdminError> {
    match status {
        "enabled" | "on" => Ok(true),
        "disabled" | "off" => Ok(false),
        other => Err(AdminError::Argument(format!("There is no status {other}."))),
    }
}

fn at(time: Timestamp) -> String {
    shown_millis(time)
}

impl From<IdentityError> for AdminError {
    fn from(error: IdentityError) -> Self {
        let message = error.to_string();
        let (code, status) = match error {
            IdentityError::NoSuchUser(_) => ("XMinioAdminNoSuchUser", StatusCode::NOT_FOUND),
            IdentityError::NoSuchGroup(_) => ("XMinioAdminNoSuchGroup", StatusCode::NOT_FOUND),
            IdentityError::NoSuchPolicy(_) => ("XMinioAdminNoSuchPolicy", StatusCode::NOT_FOUND),
            // No verb of MinIO names a role.
            IdentityError::NoSuchRole(_) => ("XMinioAdminInvalidArgument", StatusCode::NOT_FOUND),
            IdentityError::NoSuchAccessKey(_) => ("XMinioAdminNoSuchAccessKey", StatusCode::NOT_FOUND),
            IdentityError::GroupNotEmpty => ("XMinioAdminGroupNotEmpty", StatusCode::BAD_REQUEST),
            IdentityError::PolicyInUse(_) => ("XMinioIAMPolicyInUse", StatusCode::BAD_REQUEST),
            IdentityError::AlreadyThere(_) => ("XMinioAdminInvalidArgument", StatusCode::CONFLICT),
            IdentityError::NotBare(_) => ("XMinioAdminInvalidArgument", StatusCode::BAD_REQUEST),
            IdentityError::AlreadyApplied => ("XMinioAdminPolicyChangeAlreadyApplied", StatusCode::BAD_REQUEST),
            IdentityError::PolicyBuiltIn(_) | IdentityError::NotAllowed(_) => {
                ("XMinioIAMActionNotAllowed", StatusCode::FORBIDDEN)
            }
            IdentityError::AccessKeyTaken(_) | IdentityError::InvalidAccessKey(_) => {
                ("XMinioAdminInvalidAccessKey", StatusCode::BAD_REQUEST)
            }
            IdentityError::InvalidSecretKey(_) => ("XMinioAdminInvalidSecretKey", StatusCode::BAD_REQUEST),
            IdentityError::InvalidArgument(_) | IdentityError::TooMany(_) => {
                ("XMinioAdminInvalidArgument", StatusCode::BAD_REQUEST)
            }
            IdentityError::MalformedPolicy(_) => ("XMinioMalformedIAMPolicy", StatusCode::BAD_REQUEST),
            IdentityError::SessionPolicyTooLarge(_) => {
                ("XMinioIAMServiceAccountSessionPolicyTooLarge", StatusCode::BAD_REQUEST)
            }
            IdentityError::CredentialTooLarge { .. } => ("XDrystoneCredentialTooLarge", StatusCode::BAD_REQUEST),
            // Clients ask again for minutes after 503, which helps while it is loading and nothing else.
            IdentityError::Shut(_) => ("XDrystoneDirectoryShut", StatusCode::CONFLICT),
            IdentityError::NotOpen(_) => ("XMinioIAMNotInitialized", StatusCode::SERVICE_UNAVAILABLE),
            IdentityError::Fault(fault) => {
                return match fault {
                    Fault::Unavailable(_) | Fault::Unknown(_) | Fault::Full(_) => Self::Unavailable(message),
                    Fault::Corrupt(_) | Fault::Internal(_) => Self::Internal(message),
                };
            }
        };
        Self::Minio { code, status, message }
    }
}

/// Texts of policies as JSON values: they were checked when they were taken in.
fn policy_value(text: &str) -> Result<serde_json::Value, AdminError> {
    serde_json::from_str(text).map_err(|error| AdminError::Internal(format!("a stored policy: {error}")))
}

/// Several policies as the one document that allows and denies what they do together.
pub(super) fn together<'t>(texts: impl Iterator<Item = &'t str>) -> Result<serde_json::Value, AdminError> {
    let mut statements = Vec::new();
    for text in texts {
        match policy_value(text)?.get_mut("Statement").map(serde_json::Value::take) {
            Some(serde_json::Value::Array(more)) => statements.extend(more),
            Some(one) => statements.push(one),
            None => {}
        }
    }
    Ok(serde_json::json!({ "Version": "2012-10-17", "Statement": statements }))
}

/// A list as MinIO's clients write it: names with commas between.
fn names(list: &str) -> Vec<String> {
    let names = list.split(',').map(str::trim).filter(|name| !name.is_empty());
    names.map(str::to_owned).collect()
}

/// Never null: clients of other languages stumble over it.
fn joined(names: &[String]) -> Cow<'_, str> {
    match names {
        [] => Cow::Borrowed(""),
        [one] => Cow::Borrowed(one),
        many => Cow::Owned(many.join(",")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_are_put_together_and_lists_are_read_with_their_commas() {
        let one = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:GetObject"}}"#;
        let two = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"s3:*"},{"Effect":"Allow"}]}"#;
        let all = together([one, two].into_iter()).unwrap();
        assert_eq!(all["Statement"].as_array().unwrap().len(), 3);
        assert_eq!(all["Statement"][1]["Effect"], "Deny");
        assert_eq!(names("a, b,,c"), ["a", "b", "c"]);
        assert!(names("").is_empty() && joined(&[]).is_empty());
        assert_eq!(joined(&names("a,b")), "a,b");
    }

    #[test]
    fn enabling_needs_the_right_to_enable_however_it_is_said() {
        let asked = |verb: Verb, query: &str| verb.permission(Query::parse(Some(query)).ok().as_ref());
        for (status, user, group) in [
            ("enabled", Action::AdminEnableUser, Action::AdminEnableGroup),
            ("on", Action::AdminEnableUser, Action::AdminEnableGroup),
            ("disabled", Action::AdminDisableUser, Action::AdminDisableGroup),
            ("off", Action::AdminDisableUser, Action::AdminDisableGroup),
        ] {
            for (verb, right) in [(Verb::UserStatus, user), (Verb::GroupStatus, group)] {
                let Permission::AnyOf(rights) = asked(verb, &format!("status={status}")) else {
                    panic!("{verb:?}");
                };
                assert_eq!(rights, [right], "{status}");
            }
        }
    }

    #[test]
    fn a_body_that_may_hold_a_secret_is_not_quoted() {
        let refused = document::<bool>(br#""the secret""#).unwrap_err();
        assert!(!refused.to_string().contains("the secret"), "{refused}");
        assert!(is_enabled("on").unwrap() && !is_enabled("disabled").unwrap() && is_enabled("maybe").is_err());
    }
}
