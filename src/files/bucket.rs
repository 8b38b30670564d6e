//! The logical buckets of an environment, and what may be put into them.

use std::collections::BTreeSet;

use serde_json::json;
use storage_engine::store::record::labels::Visibility;

use super::answer::Answer;
use super::call::Call;
use super::error::FilesError;
use super::plan::{BUCKETS, TEMP, TEMP_MILLIS};

/// `GET /files/buckets`.
#[expect(clippy::unused_async, reason = "every handler is called alike")]
pub(super) async fn list(call: &Call<'_>) -> Result<Answer, FilesError> {
    let environment = call.caller.project.environments.get(&call.caller.environment);
    let own = environment
        .into_iter()
        .flat_map(|environment| environment.logical.keys());
    let names: BTreeSet<&str> = own.map(String::as_str).chain(BUCKETS).collect();
    let items = names.into_iter().map(|name| {
        let rules = call.caller.logical(name);
        json!({
            "name": name,
            "maxSize": rules.and_then(|rules| rules.max_size),
            "allowedTypes": rules.map(|rules| rules.types.clone()).unwrap_or_default(),
            "defaultVisibility": rules.and_then(|rules| rules.visibility).unwrap_or(Visibility::Private).name(),
            "ttlSeconds": (name == TEMP).then_some(TEMP_MILLIS / 1000),
        })
    });
    Ok(Answer::ok(json!({ "items": items.collect::<Vec<_>>() })))
}
