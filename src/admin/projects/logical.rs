//! The rules of logical buckets, as operators set them.

use serde::{Deserialize, Serialize};
use storage_engine::store::projects::OfProject;
use storage_engine::store::record::labels::Visibility;

use super::{AdminError, Ask};
use crate::projects::{Confirm, Gc, LogicalBucket, Scan, Sizes};

const ON: &str = "on";
const OFF: &str = "off";

/// What is set on a logical bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogicalReport {
    pub name: String,
    /// Most bytes of a file.
    pub max_size: Option<u64>,
    /// Types a file may have; empty: any.
    pub types: Vec<String>,
    /// Of files that name none themselves; none: private.
    pub visibility: Option<String>,
    /// After how many seconds files end by themselves; none: they do not.
    #[serde(default)]
    pub ttl_seconds: Option<u64>,
    /// `off` or `unreferenced`.
    #[serde(default)]
    pub gc: String,
    /// `auto` or `required`.
    #[serde(default)]
    pub confirm: String,
    /// `on` or `off`.
    #[serde(default)]
    pub scan: String,
    /// `at-most` or `exact`.
    #[serde(default)]
    pub sizes: String,
    /// `on` or `off`.
    #[serde(default)]
    pub guest_upload: String,
}

/// What to set on a logical bucket, in the place of all that was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogicalAsked {
    pub project: String,
    pub environment: String,
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_size: Option<u64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub types: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub visibility: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_seconds: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gc: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirm: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scan: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sizes: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guest_upload: Option<String>,
}

/// Sets what is asked for.
pub(super) async fn set(ask: &Ask<'_>, asked: &LogicalAsked) -> Result<(), AdminError> {
    let (of, logical) = read(asked)?;
    Ok(ask.reach.projects.set_logical(of, &asked.name, Some(logical)).await?)
}

pub(super) fn logical_report((name, logical): (&String, &LogicalBucket)) -> LogicalReport {
    LogicalReport {
        name: name.clone(),
        max_size: logical.max_size,
        types: logical.types.clone(),
        visibility: logical.visibility.map(|level| level.name().to_owned()),
        ttl_seconds: logical.ttl_seconds,
        gc: logical.gc.name().to_owned(),
        confirm: logical.confirm.name().to_owned(),
        scan: logical.scan.name().to_owned(),
        sizes: logical.sizes.name().to_owned(),
        guest_upload: if logical.guest_upload { ON } else { OFF }.to_owned(),
    }
}

fn read(asked: &LogicalAsked) -> Result<(OfProject, LogicalBucket), AdminError> {
    let unknown = || AdminError::Argument("A visibility is public, private, protected or shared.".to_owned());
    let visibility = asked
        .visibility
        .as_deref()
        .map(|name| Visibility::parse(name).ok_or_else(unknown));
    let wrong = |rule: &str| AdminError::Argument(rule.to_owned());
    let gc = asked.gc.as_deref();
    let gc = gc.map(|name| Gc::parse(name).ok_or_else(|| wrong("A gc is off or unreferenced.")));
    let confirm = asked.confirm.as_deref();
    let confirm = confirm.map(|name| Confirm::parse(name).ok_or_else(|| wrong("A confirm is auto or required.")));
    let scan = asked.scan.as_deref();
    let scan = scan.map(|name| Scan::parse(name).ok_or_else(|| wrong("A scan is on or off.")));
    let sizes = asked.sizes.as_deref();
    let sizes = sizes.map(|name| Sizes::parse(name).ok_or_else(|| wrong("Sizes are at-most or exact.")));
    let guest_upload = match asked.guest_upload.as_deref() {
        Some(ON) => true,
        None | Some(OFF) => false,
        Some(_) => return Err(wrong("A guest upload is on or off.")),
    };
    let logical = LogicalBucket {
        max_size: asked.max_size,
        types: asked.types.clone(),
        visibility: visibility.transpose()?,
        ttl_seconds: asked.ttl_seconds,
        gc: gc.transpose()?.unwrap_or_default(),
        confirm: confirm.transpose()?.unwrap_or_default(),
        scan: scan.transpose()?.unwrap_or_default(),
        sizes: sizes.transpose()?.unwrap_or_default(),
        guest_upload,
    };
    Ok((OfProject::new(&asked.project, &asked.environment), logical))
}
