//! Roles of the IAM API.
//!
//! A role has rights from the start where a bucket's policy names it already. So making one, like saying who may take it on,
//! what it may do and which tags policies find on it, is giving out rights and needs the right to attach policies.

use super::Ask;
use super::answer::{self, page, tag as shown_tag};
use crate::access::Action;
use crate::identity::{NewRole, RoleChange, RoleView};
use crate::sts::error::StsError;

/// Most tags, or keys of tags, of one request.
const TAGS_MAX: usize = 50;

/// A role as it is told alone.
fn shown(role: &RoleView) -> Result<Option<String>, StsError> {
    let tags: String = role
        .tags
        .iter()
        .map(|tag| format!("<member>{}</member>", shown_tag(tag)))
        .collect();
    let tags = match tags.as_str() {
        "" => String::new(),
        tags => format!("<Tags>{tags}</Tags>"),
    };
    Ok(Some(format!("<Role>{}{tags}</Role>", answer::role(role)?)))
}

fn seconds(ask: &Ask<'_>) -> Result<Option<u32>, StsError> {
    let read = |text: &str| {
        text.parse()
            .map_err(|_| StsError::Invalid("MaxSessionDuration is no number."))
    };
    ask.given("MaxSessionDuration")?.map(read).transpose()
}

/// The tags of the form.
fn tags_given(ask: &Ask<'_>) -> Result<Vec<(String, String)>, StsError> {
    let mut tags = Vec::new();
    for number in 1..=TAGS_MAX.saturating_add(1) {
        let Some(key) = ask.form.one(&format!("Tags.member.{number}.Key"))? else {
            break;
        };
        let value = ask.form.one(&format!("Tags.member.{number}.Value"))?;
        tags.push((key.to_owned(), value.unwrap_or_default().to_owned()));
    }
    match tags.len() > TAGS_MAX {
        true => Err(StsError::Limit("A role has at most 50 tags.".to_owned())),
        false => Ok(tags),
    }
}

fn must_give_rights(ask: &Ask<'_>) -> Result<(), StsError> {
    ask.must(Action::AdminCreateUser)?;
    ask.must(Action::AdminAttachUserOrGroupPolicy)
}

pub(super) async fn create(ask: &Ask<'_>) -> Result<Option<String>, StsError> {
    must_give_rights(ask)?;
    if ask.given("PermissionsBoundary")?.is_some() {
        return Err(StsError::NotBuilt("PermissionsBoundary of a role".to_owned()));
    }
    let name = ask.needed("RoleName")?;
    let new = NewRole {
        name: name.to_owned(),
        path: ask.given("Path")?.map(str::to_owned),
        trust: ask.needed("AssumeRolePolicyDocument")?.to_owned(),
        description: ask.given("Description")?.unwrap_or_default().to_owned(),
        seconds_max: seconds(ask)?,
        tags: tags_given(ask)?,
    };
    ask.directory.create_role(new).await?;
    shown(&ask.directory.role(name)?)
}

pub(super) fn get(ask: &Ask<'_>) -> Result<Option<String>, StsError> {
    ask.must(Action::AdminGetUser)?;
    shown(&ask.directory.role(ask.needed("RoleName")?)?)
}

pub(super) fn list(ask: &Ask<'_>) -> Result<Option<String>, StsError> {
    ask.must(Action::AdminListUsers)?;
    let prefix = ask.given("PathPrefix")?.unwrap_or("/");
    let roles = ask.directory.roles()?.into_iter();
    let roles = roles.filter(|role| role.path.as_deref().unwrap_or("/").starts_with(prefix));
    page(ask, "Roles", roles.collect(), |role| &role.name, answer::role)
}

pub(super) async fn update(ask: &Ask<'_>) -> Result<Option<String>, StsError> {
    ask.must(Action::AdminCreateUser)?;
    let change = RoleChange {
        description: ask.form.one("Description")?.map(str::to_owned),
        seconds_max: seconds(ask)?,
        ..RoleChange::default()
    };
    ask.directory.change_role(ask.needed("RoleName")?, change).await?;
    Ok(Some(String::new()))
}

pub(super) async fn update_trust(ask: &Ask<'_>) -> Result<Option<String>, StsError> {
    must_give_rights(ask)?;
    let change = RoleChange {
        trust: Some(ask.needed("PolicyDocument")?.to_owned()),
        ..RoleChange::default()
    };
    ask.directory.change_role(ask.needed("RoleName")?, change).await?;
    Ok(None)
}

pub(super) async fn delete(ask: &Ask<'_>) -> Result<Option<String>, StsError> {
    ask.must(Action::AdminDeleteUser)?;
    let role = ask.known(ask.role()?);
    ask.directory.remove_bare(&role).await?;
    Ok(None)
}

pub(super) async fn tag(ask: &Ask<'_>) -> Result<Option<String>, StsError> {
    must_give_rights(ask)?;
    let tags = tags_given(ask)?;
    if tags.is_empty() {
        return Err(StsError::Missing("Tags.member.1.Key"));
    }
    ask.directory.tag_role(ask.needed("RoleName")?, tags).await?;
    Ok(None)
}

pub(super) async fn untag(ask: &Ask<'_>) -> Result<Option<String>, StsError> {
    must_give_rights(ask)?;
    let mut keys = Vec::new();
    for number in 1..=TAGS_MAX {
        let Some(key) = ask.form.one(&format!("TagKeys.member.{number}"))? else {
            break;
        };
        keys.push(key.to_owned());
    }
    if keys.is_empty() {
        return Err(StsError::Missing("TagKeys.member.1"));
    }
    ask.directory.untag_role(ask.needed("RoleName")?, keys).await?;
    Ok(None)
}

pub(super) fn tags(ask: &Ask<'_>) -> Result<Option<String>, StsError> {
    ask.must(Action::AdminGetUser)?;
    let role = ask.directory.role(ask.needed("RoleName")?)?;
    page(ask, "Tags", role.tags, |tag| &tag.0, |tag| Ok(shown_tag(tag)))
}
