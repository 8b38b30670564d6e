//! Collection of what applications leave behind, at once instead of within the hour.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::super::answer::Answer;
use super::{AdminError, Ask, ProjectsError};

/// What one pass over all app buckets took away, or would have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CollectReport {
    /// Nothing was changed.
    pub dry_run: bool,
    /// How many, by kind; kinds of which there was none, too.
    pub collected: BTreeMap<String, u64>,
    /// What could not be taken away; the next pass tries again.
    pub failed: u64,
    /// Where records and bytes disagree; looked for by a dry run only, and never mended by one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disagreeing: Option<DisagreeingReport>,
}

/// Records and bytes that are not changed together, as they always should be. The log names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DisagreeingReport {
    /// Files, and versions of files, whose bytes are not there.
    pub without_bytes: u64,
    /// Objects that no file stands for.
    pub without_record: u64,
}

/// One pass; with `dry-run=true` nothing is changed, and records and bytes are compared.
pub(super) async fn collect(ask: &Ask<'_>) -> Result<Answer, AdminError> {
    let dry_run = match ask.query.get("dry-run") {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => return Err(AdminError::Argument("dry-run is true or false.".to_owned())),
    };
    let collected = ask.reach.collector.pass(dry_run).await.map_err(ProjectsError::from)?;
    let disagreeing = match dry_run {
        true => Some(ask.reach.collector.compare().await.map_err(ProjectsError::from)?),
        false => None,
    };
    let kinds = collected.kinds().map(|(kind, count)| (kind.to_owned(), count));
    Answer::of(CollectReport {
        dry_run,
        collected: kinds.into_iter().collect(),
        failed: collected.failed,
        disagreeing: disagreeing.map(|found| DisagreeingReport {
            without_bytes: found.without_bytes,
            without_record: found.without_record,
        }),
    })
}
