//! The answers of the IAM API, as AWS writes them. Pure.

use quick_xml::escape::escape;
use storage_engine::store::clock::Timestamp;

use super::{Ask, NAMESPACE};
use crate::identity::{GroupView, UserView};
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

/// One page of a list that is sorted by name, as `Marker` and `MaxItems` ask for it.
pub(super) fn page<T>(
    ask: &Ask<'_>,
    list: &str,
    items: Vec<T>,
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
    let left = items.iter().filter(|item| after.is_none_or(|after| name(item) > after));
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
