//! The answers of the IAM API, as AWS writes them. Pure.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use quick_xml::escape::escape;
use storage_engine::store::clock::Timestamp;

use super::{Ask, NAMESPACE};
use crate::identity::{GroupView, RoleView, UserView};
use crate::policy::ACCOUNT_ID;
use crate::sts::error::StsError;
use crate::sts::written;

const ITEMS_DEFAULT: usize = 100;
const ITEMS_MAX: usize = 1_000;

/// A whole answer; `None`: there is nothing to tell.
pub(super) fn document(action: &str, result: Option<&str>, id: &str) -> String {
    let result = result.map_or_else(String::new, |result| {
        format!("<{action}Result>{result}</{action}Result>")
    });
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<{action}Response xmlns=\"{NAMESPACE}\">{result}\
         <ResponseMetadata><RequestId>{id}</RequestId></ResponseMetadata></{action}Response>"
    )
}

pub(super) fn element(name: &str, text: &str) -> String {
    format!("<{name}>{}</{name}>", escape(text))
}

fn date(name: &str, at: Timestamp) -> Result<String, StsError> {
    Ok(element(name, &written(at)?))
}

/// What stands in a `User`. The ARN is the one that policies name the user by, which has no path in it.
pub(super) fn user(user: &UserView) -> Result<String, StsError> {
    Ok([
        element("Path", user.path.as_deref().unwrap_or("/")),
        element("UserName", &user.name),
        element("UserId", &user.canonical_id),
        element("Arn", &format!("arn:aws:iam::{ACCOUNT_ID}:user/{}", user.name)),
        date("CreateDate", user.created)?,
    ]
    .concat())
}

/// What stands in a `Group`.
pub(super) fn group(group: &GroupView) -> Result<String, StsError> {
    let arn = format!("arn:aws:iam::{ACCOUNT_ID}:group/{}", group.name);
    Ok([
        element("Path", group.path.as_deref().unwrap_or("/")),
        element("GroupName", &group.name),
        element("GroupId", &group.name),
        element("Arn", &arn),
        date("CreateDate", group.created)?,
    ]
    .concat())
}

/// What stands in a `Role`, but for its tags.
pub(super) fn role(role: &RoleView) -> Result<String, StsError> {
    let trust = utf8_percent_encode(&role.trust, NON_ALPHANUMERIC).to_string();
    let description = match role.description.as_str() {
        "" => String::new(),
        text => element("Description", text),
    };
    Ok([
        element("Path", role.path.as_deref().unwrap_or("/")),
        element("RoleName", &role.name),
        element("RoleId", &role.canonical_id),
        element("Arn", &role.arn()),
        date("CreateDate", role.created)?,
        element("AssumeRolePolicyDocument", &trust),
        description,
        element("MaxSessionDuration", &role.seconds_max.to_string()),
    ]
    .concat())
}

/// What stands in a tag.
pub(super) fn tag((key, value): &(String, String)) -> String {
    element("Key", key) + &element("Value", value)
}

/// How a list is sorted: upper and lower case do not count, unless nothing else differs.
fn order(name: &str) -> (String, &str) {
    (name.to_lowercase(), name)
}

/// One page of a list by name, as `Marker` and `MaxItems` ask for it.
pub(super) fn page<T>(
    ask: &Ask<'_>,
    list: &str,
    mut items: Vec<T>,
    name: impl Fn(&T) -> &str,
    shown: impl Fn(&T) -> Result<String, StsError>,
) -> Result<Option<String>, StsError> {
    let most = match ask.given("MaxItems")? {
        None => ITEMS_DEFAULT,
        Some(text) => {
            let most = text.parse().ok().filter(|most| (1..=ITEMS_MAX).contains(most));
            most.ok_or(StsError::Invalid("MaxItems is no number from 1 to 1000."))?
        }
    };
    let after = ask.given("Marker")?;
    items.sort_by(|one, other| order(name(one)).cmp(&order(name(other))));
    let left = items
        .iter()
        .filter(|item| after.is_none_or(|after| order(name(item)) > order(after)));
    let left: Vec<&T> = left.collect();
    let shown_now = left.iter().take(most);
    let members: Result<Vec<String>, StsError> = shown_now
        .map(|item| Ok(format!("<member>{}</member>", shown(item)?)))
        .collect();
    let more = left.len() > most;
    let marker = left.get(most.saturating_sub(1)).filter(|_| more);
    let marker = marker.map_or_else(String::new, |last| element("Marker", name(last)));
    let members = members?.concat();
    Ok(Some(format!(
        "<{list}>{members}</{list}><IsTruncated>{more}</IsTruncated>{marker}"
    )))
}
