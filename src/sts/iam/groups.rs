//! Groups of the IAM API.

use super::Ask;
use super::answer::{self, page};
use crate::access::Action;
use crate::identity::{GroupView, KeyParent, Target};
use crate::sts::error::StsError;

fn shown(group: &GroupView) -> Result<String, StsError> {
    Ok(format!("<Group>{}</Group>", answer::group(group)?))
}

pub(super) async fn create(ask: &Ask<'_>) -> Result<Option<String>, StsError> {
    ask.must(Action::AdminAddUserToGroup)?;
    let (name, path) = (ask.needed("GroupName")?, ask.given("Path")?.map(str::to_owned));
    ask.directory.create_group(name, path).await?;
    shown(&ask.directory.group(name)?).map(Some)
}

pub(super) fn get(ask: &Ask<'_>) -> Result<Option<String>, StsError> {
    ask.must(Action::AdminGetGroup)?;
    let group = ask.directory.group(ask.needed("GroupName")?)?;
    let members = group.members.iter().filter_map(|name| ask.directory.user(name).ok());
    let users = page(ask, "Users", members.collect(), |user| &user.name, answer::user)?;
    Ok(Some(shown(&group)? + &users.unwrap_or_default()))
}

fn listed(ask: &Ask<'_>, names: &[String]) -> Result<Option<String>, StsError> {
    let prefix = ask.given("PathPrefix")?.unwrap_or("/");
    let groups = names.iter().filter_map(|name| ask.directory.group(name).ok());
    let groups = groups.filter(|group| group.path.as_deref().unwrap_or("/").starts_with(prefix));
    page(ask, "Groups", groups.collect(), |group| &group.name, answer::group)
}

pub(super) fn list(ask: &Ask<'_>) -> Result<Option<String>, StsError> {
    ask.must(Action::AdminListGroups)?;
    listed(ask, &ask.directory.groups()?)
}

pub(super) fn of_user(ask: &Ask<'_>) -> Result<Option<String>, StsError> {
    let name = ask.needed("UserName")?;
    ask.must_unless_own(&KeyParent::User(name.to_owned()), Action::AdminGetUser)?;
    listed(ask, &ask.directory.user(name)?.groups)
}

pub(super) async fn delete(ask: &Ask<'_>) -> Result<Option<String>, StsError> {
    ask.must(Action::AdminRemoveUserFromGroup)?;
    let target = Target::Group(ask.needed("GroupName")?.to_owned());
    ask.directory.remove_bare(&target).await?;
    Ok(None)
}

pub(super) async fn add(ask: &Ask<'_>) -> Result<Option<String>, StsError> {
    ask.must(Action::AdminAddUserToGroup)?;
    let (group, user) = (ask.needed("GroupName")?, ask.needed("UserName")?);
    // The directory makes a group that is not there; IAM does not.
    ask.directory.group(group)?;
    ask.directory.add_members(group, &[user.to_owned()]).await?;
    Ok(None)
}

pub(super) async fn remove(ask: &Ask<'_>) -> Result<Option<String>, StsError> {
    ask.must(Action::AdminRemoveUserFromGroup)?;
    let (group, user) = (ask.needed("GroupName")?, ask.needed("UserName")?);
    ask.directory.remove_members(group, &[user.to_owned()]).await?;
    Ok(None)
}
