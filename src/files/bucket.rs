//! The logical buckets of an environment, what may be put into them, and what of it goes by itself.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use storage_engine::store::record::labels::Visibility;

use super::answer::Answer;
use super::call::Call;
use super::error::{Code, FilesError};
use super::fields::Fields;
use super::plan::{self, BUCKETS};
use crate::projects::{Confirm, Gc, LogicalBucket, Scan, Sizes, TTL_SECONDS_RANGE, is_type};

/// Types of one bucket.
pub(super) const TYPES_MAX: usize = 64;

/// What is set on a bucket. Its name may be repeated, so that what was told can be sent back.
const FIELDS: [&str; 10] = [
    "name",
    "maxSize",
    "allowedTypes",
    "defaultVisibility",
    "ttlSeconds",
    "gc",
    "confirm",
    "scan",
    "sizes",
    "guestUpload",
];

/// `GET /files/buckets`.
pub(super) async fn list(call: &Call<'_>) -> Result<Answer, FilesError> {
    let environment = call.caller.project.environments.get(&call.caller.environment);
    let own = environment
        .into_iter()
        .flat_map(|environment| environment.logical.keys());
    let names: BTreeSet<&str> = own.map(String::as_str).chain(BUCKETS).collect();
    let default = call.default_visibility().await?;
    let items: Vec<Value> = names
        .into_iter()
        .map(|name| item(name, call.caller.logical(name), default))
        .collect();
    Ok(Answer::ok(json!({
        "project": call.caller.project.name,
        "environment": call.caller.environment,
        "items": items,
    })))
}

/// `GET /files/buckets/:name`.
pub(super) async fn one(call: &Call<'_>) -> Result<Answer, FilesError> {
    let name = call.segment(0)?;
    let rules = call.caller.logical(name);
    match rules.is_some() || BUCKETS.contains(&name) {
        true => Ok(Answer::ok(item(name, rules, call.default_visibility().await?))),
        false => Err(FilesError::because(
            Code::NO_SUCH_ROUTE,
            "There is no logical bucket of this name.",
        )),
    }
}

/// `PUT /files/buckets/:name`: sets these rules in the place of all that were set.
pub(super) async fn set(call: &Call<'_>, fields: &Fields) -> Result<Answer, FilesError> {
    fields.only(&FIELDS)?;
    let name = call.segment(0)?;
    if fields.text("name")?.is_some_and(|said| said != name) {
        return Err(FilesError::field("name is not that of the path."));
    }
    let visibility = fields.level("defaultVisibility")?;
    let gc = fields.text("gc")?.map(|name| {
        let found = Gc::parse(name);
        found.ok_or_else(|| FilesError::field("gc must be off or unreferenced."))
    });
    let confirm = fields.text("confirm")?.map(|name| {
        let found = Confirm::parse(name);
        found.ok_or_else(|| FilesError::field("confirm must be auto or required."))
    });
    let scan = fields.text("scan")?.map(|name| {
        let found = Scan::parse(name);
        found.ok_or_else(|| FilesError::field("scan must be on or off."))
    });
    let sizes = fields.text("sizes")?.map(|name| {
        let found = Sizes::parse(name);
        found.ok_or_else(|| FilesError::field("sizes must be at-most or exact."))
    });
    let rules = LogicalBucket {
        max_size: fields.size("maxSize")?,
        types: types(fields)?,
        visibility,
        ttl_seconds: ttl_seconds(fields)?,
        gc: gc.transpose()?.unwrap_or_default(),
        confirm: confirm.transpose()?.unwrap_or_default(),
        scan: scan.transpose()?.unwrap_or_default(),
        sizes: sizes.transpose()?.unwrap_or_default(),
        guest_upload: fields.flag("guestUpload")?,
    };
    let place = call.caller.place();
    call.inner
        .projects
        .set_logical(place, name, Some(rules.clone()))
        .await?;
    Ok(Answer::ok(item(name, Some(&rules), call.default_visibility().await?)))
}

fn types(fields: &Fields) -> Result<Vec<String>, FilesError> {
    let types = fields.texts("allowedTypes", TYPES_MAX)?;
    match types.iter().all(|kind| is_type(kind)) {
        true => Ok(types),
        false => Err(FilesError::field(
            "allowedTypes must be a list of media types such as image/png or image/*; an empty one allows any.",
        )),
    }
}

fn ttl_seconds(fields: &Fields) -> Result<Option<u64>, FilesError> {
    let (least, most) = (*TTL_SECONDS_RANGE.start(), *TTL_SECONDS_RANGE.end());
    let wrong = || FilesError::field(format!("ttlSeconds must be a whole number from {least} to {most}."));
    match fields.number("ttlSeconds").map_err(|_| wrong())? {
        Some(seconds) if !TTL_SECONDS_RANGE.contains(&seconds) => Err(wrong()),
        seconds => Ok(seconds),
    }
}

/// `default`: of the files of the environment that name no visibility.
fn item(name: &str, rules: Option<&LogicalBucket>, default: Visibility) -> Value {
    json!({
        "name": name,
        "maxSize": rules.and_then(|rules| rules.max_size),
        "allowedTypes": rules.map(|rules| rules.types.clone()).unwrap_or_default(),
        "defaultVisibility": rules.and_then(|rules| rules.visibility).unwrap_or(default).name(),
        "ttlSeconds": plan::ttl_seconds(Some(name), rules),
        "gc": rules.map(|rules| rules.gc).unwrap_or_default().name(),
        "confirm": rules.map(|rules| rules.confirm).unwrap_or_default().name(),
        "scan": rules.map(|rules| rules.scan).unwrap_or_default().name(),
        "sizes": rules.map(|rules| rules.sizes).unwrap_or_default().name(),
        "guestUpload": rules.is_some_and(|rules| rules.guest_upload),
    })
}
