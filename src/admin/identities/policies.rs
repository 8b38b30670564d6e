//! Policies, and to whom they are attached.

use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use time::OffsetDateTime;

use super::{Answer, Ask, at, document, names, policy_value};
use crate::admin::error::AdminError;
use crate::admin::usage::{NEVER, shown};
use crate::identity::{Entities, EntitiesAsked, Target};

/// `PUT add-canned-policy`.
pub(super) async fn add(ask: &Ask<'_>) -> Result<Answer, AdminError> {
    let name = ask.query.must("name")?;
    ask.reach.directory.put_policy(name, &ask.body).await?;
    Ok(Answer::Done(StatusCode::OK))
}

/// `GET list-canned-policies`.
pub(super) fn list(ask: &Ask<'_>) -> Result<Answer, AdminError> {
    let policies = ask.reach.directory.policies()?;
    let told = policies
        .into_iter()
        .map(|policy| Ok((policy.name, policy_value(&policy.text)?)));
    Ok(Answer::Document(Value::Object(
        told.collect::<Result<Map<_, _>, AdminError>>()?,
    )))
}

/// `GET info-canned-policy`: with its dates, or the bare document as older clients want it.
pub(super) fn info(ask: &Ask<'_>) -> Result<Answer, AdminError> {
    let policy = ask.reach.directory.policy(ask.query.must("name")?)?;
    let document = policy_value(&policy.text)?;
    if ask.query.get("v") != Some("2") {
        return Ok(Answer::Document(document));
    }
    let date = |time: Option<_>| time.map_or_else(|| NEVER.to_owned(), at);
    Ok(Answer::Document(json!({
        "PolicyName": policy.name,
        "Policy": document,
        "CreateDate": date(policy.created),
        "UpdateDate": date(policy.updated),
    })))
}

/// `DELETE remove-canned-policy`.
pub(super) async fn remove(ask: &Ask<'_>) -> Result<Answer, AdminError> {
    ask.reach.directory.remove_policy(ask.query.must("name")?).await?;
    Ok(Answer::Done(StatusCode::OK))
}

/// Policies that are to be attached or detached.
pub(super) struct Rearrange {
    pub(super) policies: Vec<String>,
    pub(super) whom: Whom,
}

/// Who is named.
pub(super) enum Whom {
    User(String),
    Group(String),
}

impl Rearrange {
    pub(super) fn read(text: &[u8]) -> Result<Self, AdminError> {
        #[derive(Deserialize)]
        struct Written {
            #[serde(default)]
            policies: Vec<String>,
            #[serde(default)]
            user: String,
            #[serde(default)]
            group: String,
        }
        let written: Written = document(text)?;
        let whom = match (written.user.is_empty(), written.group.is_empty()) {
            (false, true) => Whom::User(written.user),
            (true, false) => Whom::Group(written.group),
            (true, true) | (false, false) => {
                return Err(AdminError::Argument("Name one user or one group.".into()));
            }
        };
        Ok(Self {
            policies: written.policies,
            whom,
        })
    }
}

/// `POST idp/builtin/policy/attach` and `detach`.
pub(super) async fn rearrange(ask: &Ask<'_>, text: &[u8], attach: bool) -> Result<Answer, AdminError> {
    let asked = Rearrange::read(text)?;
    let target = match asked.whom {
        Whom::User(name) => Target::User(name),
        Whom::Group(name) => Target::Group(name),
    };
    rearranged(ask, &target, &asked.policies, attach).await
}

/// Attaches or detaches, and tells what changed.
pub(super) async fn rearranged(
    ask: &Ask<'_>,
    target: &Target,
    policies: &[String],
    attach: bool,
) -> Result<Answer, AdminError> {
    let directory = &ask.reach.directory;
    let (done, field) = if attach {
        (directory.attach(target, policies).await?, "policiesAttached")
    } else {
        (directory.detach(target, policies).await?, "policiesDetached")
    };
    Answer::sealed(&json!({ field: done.changed, "updatedAt": at(done.updated) }))
}

/// `PUT set-user-or-group-policy`, of older clients.
pub(super) async fn set(ask: &Ask<'_>) -> Result<Answer, AdminError> {
    let name = ask.query.must("userOrGroup")?.to_owned();
    let target = match ask.query.is_true("isGroup") {
        true => Target::Group(name),
        false => Target::User(name),
    };
    let policies = names(ask.query.get("policyName").unwrap_or_default());
    ask.reach.directory.set_policies(&target, &policies).await?;
    Ok(Answer::Done(StatusCode::OK))
}

/// `GET idp/builtin/policy-entities`.
pub(super) fn entities(ask: &Ask<'_>) -> Result<Answer, AdminError> {
    told(&ask.reach.directory.entities(&entities_asked(ask))?)
}

/// Whose policies the query asks for.
pub(super) fn entities_asked(ask: &Ask<'_>) -> EntitiesAsked {
    let all = |name: &str| ask.query.all(name).map(str::to_owned).collect();
    EntitiesAsked {
        users: all("user"),
        groups: all("group"),
        policies: all("policy"),
    }
}

/// Who has which policies, as MinIO's clients read it.
pub(super) fn told(found: &Entities) -> Result<Answer, AdminError> {
    let of_groups = |groups: &[(String, Vec<String>)]| -> Vec<Value> {
        let each = groups.iter();
        each.map(|(group, policies)| json!({ "group": group, "policies": policies }))
            .collect()
    };
    let users = found.users.iter().map(|user| {
        json!({
            "user": user.user,
            "policies": user.policies,
            "memberOfMappings": of_groups(&user.groups),
        })
    });
    let policies = found
        .policies
        .iter()
        .map(|policy| json!({ "policy": policy.policy, "users": policy.users, "groups": policy.groups }));
    Answer::sealed(&json!({
        "timestamp": shown(OffsetDateTime::now_utc()),
        "userMappings": users.collect::<Vec<_>>(),
        "groupMappings": of_groups(&found.groups),
        "policyMappings": policies.collect::<Vec<_>>(),
    }))
}
