//! Users of the IAM API.

use super::Ask;
use super::answer::{self, element, page};
use crate::access::Action;
use crate::auth::Identity;
use crate::identity::{KeyParent, Target, UserMove, UserView};
use crate::policy::ACCOUNT_ID;
use crate::sts::error::StsError;

fn shown(user: &UserView) -> Result<Option<String>, StsError> {
    Ok(Some(format!("<User>{}</User>", answer::user(user)?)))
}

/// Fields that would be left out in silence.
fn unbuilt(ask: &Ask<'_>) -> Result<(), StsError> {
    for field in ["PermissionsBoundary", "Tags.member.1.Key"] {
        if ask.given(field)?.is_some() {
            return Err(StsError::NotBuilt(format!("{field} of a user")));
        }
    }
    Ok(())
}

pub(super) async fn create(ask: &Ask<'_>) -> Result<Option<String>, StsError> {
    ask.must(Action::AdminCreateUser)?;
    unbuilt(ask)?;
    let (name, path) = (ask.needed("UserName")?, ask.given("Path")?.map(str::to_owned));
    ask.directory.create_user(name, path).await?;
    shown(&ask.directory.user(name)?)
}

pub(super) fn get(ask: &Ask<'_>) -> Result<Option<String>, StsError> {
    let account = ask.account()?;
    ask.must_unless_own(&account, Action::AdminGetUser)?;
    match account {
        KeyParent::User(name) => shown(&ask.directory.user(&name)?),
        // Root is in no directory: there is no day it was made on.
        KeyParent::Root => {
            let key = ask.directory.root_access_key();
            let arn = format!("arn:aws:iam::{ACCOUNT_ID}:root");
            let told = [
                element("Path", "/"),
                element("UserName", key),
                element("UserId", ACCOUNT_ID),
                element("Arn", &arn),
            ];
            Ok(Some(format!("<User>{}</User>", told.concat())))
        }
    }
}

pub(super) fn list(ask: &Ask<'_>) -> Result<Option<String>, StsError> {
    ask.must(Action::AdminListUsers)?;
    let prefix = ask.given("PathPrefix")?.unwrap_or("/");
    let users = ask.directory.users()?.into_iter();
    let users = users.filter(|user| user.path.as_deref().unwrap_or("/").starts_with(prefix));
    page(ask, "Users", users.collect(), |user| &user.name, answer::user)
}

pub(super) async fn update(ask: &Ask<'_>) -> Result<Option<String>, StsError> {
    ask.must(Action::AdminCreateUser)?;
    let change = UserMove {
        name: ask.given("NewUserName")?.map(str::to_owned),
        path: ask.given("NewPath")?.map(str::to_owned),
    };
    // Whoever gives a user another name takes the old one away.
    if change.name.is_some() {
        ask.must(Action::AdminDeleteUser)?;
    }
    let name = ask.needed("UserName")?;
    ask.directory.move_user(ask.identity, name, change).await?;
    Ok(None)
}

pub(super) async fn delete(ask: &Ask<'_>) -> Result<Option<String>, StsError> {
    ask.must(Action::AdminDeleteUser)?;
    let name = ask.needed("UserName")?;
    if matches!(ask.identity, Identity::Caller(caller) if caller.account.name() == name) {
        return Err(StsError::NotAllowed("Nobody removes themselves.".to_owned()));
    }
    ask.directory.remove_bare(&Target::User(name.to_owned())).await?;
    Ok(None)
}
