//! Groups.

use http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use super::{Answer, Ask, at, is_enabled, joined, plain_document, status};
use crate::access::Action;
use crate::admin::error::AdminError;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ChangeMembers {
    group: String,
    #[serde(default)]
    members: Option<Vec<String>>,
    #[serde(default)]
    is_remove: bool,
    #[serde(default)]
    group_status: Option<String>,
}

/// `PUT update-group-members`.
pub(super) async fn change(ask: &Ask<'_>) -> Result<Answer, AdminError> {
    let asked: ChangeMembers = plain_document(&ask.body)?;
    let members = asked.members.unwrap_or_default();
    let directory = &ask.reach.directory;
    let wanted = asked.group_status.filter(|status| !status.is_empty());
    let wanted = wanted.map(|status| is_enabled(&status)).transpose()?;
    if asked.is_remove {
        directory.remove_members(&asked.group, &members).await?;
        return Ok(Answer::Done(StatusCode::OK));
    }
    if let Some(enabled) = wanted {
        ask.must(match enabled {
            true => Action::AdminEnableGroup,
            false => Action::AdminDisableGroup,
        })?;
    }
    directory.add_members(&asked.group, &members).await?;
    if let Some(enabled) = wanted {
        // What is so already stays untouched.
        if directory.group(&asked.group)?.enabled != enabled {
            directory.set_group_status(&asked.group, enabled).await?;
        }
    }
    Ok(Answer::Done(StatusCode::OK))
}

/// `GET group`.
pub(super) fn info(ask: &Ask<'_>) -> Result<Answer, AdminError> {
    let group = ask.reach.directory.group(ask.query.must("group")?)?;
    Ok(Answer::Document(json!({
        "name": group.name,
        "status": status(group.enabled),
        "members": group.members,
        "policy": joined(&group.policies),
        "updatedAt": at(group.updated),
    })))
}

/// `GET groups`.
pub(super) fn list(ask: &Ask<'_>) -> Result<Answer, AdminError> {
    Answer::of(ask.reach.directory.groups()?)
}

/// `PUT set-group-status`.
pub(super) async fn set_status(ask: &Ask<'_>) -> Result<Answer, AdminError> {
    let enabled = is_enabled(ask.query.must("status")?)?;
    let group = ask.query.must("group")?;
    ask.reach.directory.set_group_status(group, enabled).await?;
    Ok(Answer::Done(StatusCode::OK))
}
