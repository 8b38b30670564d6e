//! AWS's IAM query API over the directory: users, groups and roles, their own and attached policies, and access keys.
//!
//! Decodes, asks `access` for the right that MinIO's admin API names for the same thing, and calls the directory once.
//! What the directory has no word for (login profiles, instance profiles, versions of policies, …) answers 501.

mod answer;
mod groups;
mod keys;
mod policies;
mod providers;
#[cfg(test)]
mod role_tests;
mod roles;
#[cfg(test)]
mod tests;
mod users;

use super::error::StsError;
use super::form::Form;
use crate::access::{Action, Context, RequestFacts, Resource, decide, decide_own};
use crate::auth::{Identity, Kind};
use crate::identity::{Directory, KeyParent, Target, account_of};
use crate::openid::Providers;

/// What stands in the field `Version` of every request.
pub(super) const VERSION: &str = "2010-05-08";
/// The namespace of every document.
pub(super) const NAMESPACE: &str = "https://iam.amazonaws.com/doc/2010-05-08/";

/// One request, with all it is answered from.
pub(super) struct Ask<'a> {
    pub(super) identity: &'a Identity,
    pub(super) form: &'a Form,
    pub(super) facts: &'a RequestFacts,
    pub(super) directory: &'a Directory,
    pub(super) providers: &'a Providers,
}

impl Ask<'_> {
    /// The document that answers it.
    pub(super) async fn answer(&self, id: &str) -> Result<String, StsError> {
        if matches!(self.identity, Identity::Anonymous) {
            return Err(StsError::AccessDenied);
        }
        let action = self.needed("Action")?;
        let result = match action {
            "CreateUser" => users::create(self).await,
            "GetUser" => users::get(self),
            "ListUsers" => users::list(self),
            "UpdateUser" => users::update(self).await,
            "DeleteUser" => users::delete(self).await,
            "PutUserPolicy" => policies::put(self, self.user()?).await,
            "GetUserPolicy" => policies::get(self, self.user()?),
            "ListUserPolicies" => policies::list(self, self.user()?),
            "DeleteUserPolicy" => policies::delete(self, self.user()?).await,
            "AttachUserPolicy" => policies::attach(self, self.user()?, true).await,
            "DetachUserPolicy" => policies::attach(self, self.user()?, false).await,
            "ListAttachedUserPolicies" => policies::list_attached(self, self.user()?),
            "CreateAccessKey" => keys::create(self).await,
            "ListAccessKeys" => keys::list(self),
            "UpdateAccessKey" => keys::update(self).await,
            "DeleteAccessKey" => keys::delete(self).await,
            "CreateGroup" => groups::create(self).await,
            "GetGroup" => groups::get(self),
            "ListGroups" => groups::list(self),
            "DeleteGroup" => groups::delete(self).await,
            "AddUserToGroup" => groups::add(self).await,
            "RemoveUserFromGroup" => groups::remove(self).await,
            "ListGroupsForUser" => groups::of_user(self),
            "PutGroupPolicy" => policies::put(self, self.group()?).await,
            "GetGroupPolicy" => policies::get(self, self.group()?),
            "ListGroupPolicies" => policies::list(self, self.group()?),
            "DeleteGroupPolicy" => policies::delete(self, self.group()?).await,
            "AttachGroupPolicy" => policies::attach(self, self.group()?, true).await,
            "DetachGroupPolicy" => policies::attach(self, self.group()?, false).await,
            "ListAttachedGroupPolicies" => policies::list_attached(self, self.group()?),
            "CreateRole" => roles::create(self).await,
            "GetRole" => roles::get(self),
            "ListRoles" => roles::list(self),
            "UpdateRole" => roles::update(self).await,
            "UpdateAssumeRolePolicy" => roles::update_trust(self).await,
            "DeleteRole" => roles::delete(self).await,
            "TagRole" => roles::tag(self).await,
            "UntagRole" => roles::untag(self).await,
            "ListRoleTags" => roles::tags(self),
            "PutRolePolicy" => policies::put(self, self.role()?).await,
            "GetRolePolicy" => policies::get(self, self.role()?),
            "ListRolePolicies" => policies::list(self, self.role()?),
            "DeleteRolePolicy" => policies::delete(self, self.role()?).await,
            "AttachRolePolicy" => policies::attach(self, self.role()?, true).await,
            "DetachRolePolicy" => policies::attach(self, self.role()?, false).await,
            "ListAttachedRolePolicies" => policies::list_attached(self, self.role()?),
            "ListOpenIDConnectProviders" => providers::list(self),
            "GetOpenIDConnectProvider" => providers::get(self),
            "CreateOpenIDConnectProvider"
            | "DeleteOpenIDConnectProvider"
            | "AddClientIDToOpenIDConnectProvider"
            | "RemoveClientIDFromOpenIDConnectProvider"
            | "UpdateOpenIDConnectProviderThumbprint" => Err(providers::unbuilt(action)),
            other => Err(StsError::NotBuilt(format!(
                "{} of IAM",
                other.chars().take(128).collect::<String>()
            ))),
        }?;
        Ok(answer::document(action, result.as_deref(), id))
    }

    fn given(&self, field: &str) -> Result<Option<&str>, StsError> {
        Ok(self.form.one(field)?.filter(|text| !text.is_empty()))
    }

    fn needed(&self, field: &'static str) -> Result<&str, StsError> {
        self.given(field)?.ok_or(StsError::Missing(field))
    }

    /// The user that is named.
    fn user(&self) -> Result<Target, StsError> {
        Ok(Target::User(self.needed("UserName")?.to_owned()))
    }

    /// The group that is named.
    fn group(&self) -> Result<Target, StsError> {
        Ok(Target::Group(self.needed("GroupName")?.to_owned()))
    }

    /// The role that is named.
    fn role(&self) -> Result<Target, StsError> {
        Ok(Target::Role(self.needed("RoleName")?.to_owned()))
    }

    /// The target under the very name that the directory has it by. Only for whoever has the right to know.
    fn known(&self, target: Target) -> Target {
        match &target {
            Target::Role(name) => self.directory.role(name).map_or(target, |role| Target::Role(role.name)),
            Target::User(_) | Target::Group(_) | Target::Ldap(_) => target,
        }
    }

    fn context(&self) -> Context<'_> {
        Context {
            request: Some(self.facts),
            ..Context::default()
        }
    }

    /// Refuses who has not this right. What is granted is done by the directory, which is behind no grant.
    fn must(&self, right: Action) -> Result<(), StsError> {
        let granted = decide(self.identity, right, Resource::Service, &self.context());
        granted.map(drop).map_err(|_| StsError::AccessDenied)
    }

    /// Refuses who is neither this account and not denied the right, nor has it.
    fn must_unless_own(&self, account: &KeyParent, right: Action) -> Result<(), StsError> {
        match account_of(self.identity).as_ref() == Some(account) {
            true => {
                let granted = decide_own(self.identity, right, &self.context());
                granted.map(drop).map_err(|_| StsError::AccessDenied)
            }
            false => self.must(right),
        }
    }

    /// As [`Self::must_unless_own`] for changes of access keys: root's are root's, and a credential that is not the user's
    /// own needs the right even for its own account.
    fn must_change_keys(&self, account: &KeyParent, right: Action) -> Result<(), StsError> {
        if matches!(self.identity, Identity::Caller(caller) if caller.kind != Kind::User) {
            self.must(right)?;
        }
        if *account == KeyParent::Root && account_of(self.identity) != Some(KeyParent::Root) {
            return Err(StsError::AccessDenied);
        }
        self.must_unless_own(account, right)
    }

    /// The account that `UserName` names, or else the caller's own.
    fn account(&self) -> Result<KeyParent, StsError> {
        match self.given("UserName")? {
            Some(name) => Ok(self.directory.account_named(name)),
            None => account_of(self.identity).ok_or(StsError::Missing("UserName")),
        }
    }
}
