//! Whom a request is about: what issuers of the project call people, and what their files are owned under.

use super::call::Call;
use super::error::{Code, FilesError};
use super::fields::told;

/// Beginning of the ids of owners that are of an app.
pub(super) const OF_APP: &str = "app:";
/// Whose the files are that nobody owns.
pub(super) const ROOT: &str = "root";
/// Hexadecimal digits of the id of a user of S3.
const S3_ID_CHARS: usize = 64;

/// What the files of somebody are owned under whom an issuer of the project calls `subject`.
pub(super) fn account(call: &Call<'_>, said: Option<&str>, subject: &str) -> Result<String, FilesError> {
    Ok(id(call, &issuer(call, said)?, subject))
}

/// What the files of a user of the project are owned under.
pub(super) fn id(call: &Call<'_>, issuer: &str, subject: &str) -> String {
    format!("{OF_APP}{}/{issuer}|{subject}", call.caller.project.name)
}

/// The alias of the issuer that is meant: the one that is named, else the caller's own, else the only one there is.
pub(super) fn issuer(call: &Call<'_>, said: Option<&str>) -> Result<String, FilesError> {
    let own = call.caller.user.as_ref().map(|user| user.issuer.as_str());
    if let (None, Some(own)) = (said, own) {
        return Ok(own.to_owned());
    }
    let mut known = call.inner.projects.issuers(&call.caller.project.name)?;
    match said {
        Some(alias) => match known.into_iter().find(|issuer| issuer.alias == alias) {
            Some(found) => Ok(found.alias),
            None => {
                let alias = told(alias);
                Err(FilesError::field(format!("issuer: the project has no issuer {alias}.")))
            }
        },
        None => match (known.pop(), known.is_empty()) {
            (Some(only), true) => Ok(only.alias),
            (Some(_), false) => Err(FilesError::field(
                "issuer is required: the alias of the issuer that knows the user; the project has several.",
            )),
            (None, _) => Err(FilesError::field(
                "The project has no issuer, so there are no users of it.",
            )),
        },
    }
}

/// The owner that the query names, if it does.
pub(super) fn of_query(call: &Call<'_>) -> Result<Option<String>, FilesError> {
    let said = call.parameter("issuer");
    match (call.parameter("ownerId"), said) {
        (Some(owner), _) => named(call, said, owner).map(Some),
        (None, Some(_)) => Err(FilesError::field(
            "issuer says who knows the ownerId, and there is none.",
        )),
        (None, None) => Ok(None),
    }
}

/// Applications name owners as their issuer does; in the catalogue they stand with the issuer they came by.
fn named(call: &Call<'_>, said: Option<&str>, owner: &str) -> Result<String, FilesError> {
    let of_s3 = owner.len() == S3_ID_CHARS && owner.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_other = said.is_none() && call.caller.user.is_none() && (owner == ROOT || of_s3);
    if owner.starts_with(OF_APP) || is_other {
        return Ok(owner.to_owned());
    }
    let own = call.caller.owner_id();
    let own = own.filter(|own| own.split_once('|').is_some_and(|(_, subject)| subject == owner));
    match (said, own) {
        (None, Some(own)) => Ok(own.to_owned()),
        (Some(_), _) | (None, None) => account(call, said, owner),
    }
}

/// The owner whose figures are told: who is named, if the caller may see those of everybody, else the caller.
pub(super) fn told_of(call: &Call<'_>, own: Option<&str>) -> Result<Option<String>, FilesError> {
    match of_query(call)? {
        Some(named) if own != Some(named.as_str()) => Err(FilesError::because(
            Code::ACCESS_DENIED,
            "What others take up is for admins and servers of the app to see.",
        )),
        Some(_) | None => Ok(own.map(str::to_owned)),
    }
}
