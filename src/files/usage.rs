//! What files take up: of a user their own, of an admin everybody's or one owner's.

use std::collections::BTreeMap;

use serde_json::json;
use storage_engine::store::files::{FileFilter, FileQuery, FileSort, Viewer};

use super::answer::Answer;
use super::call::Call;
use super::error::FilesError;
use super::list;

/// Files looked at at once.
const PAGE: usize = 1_000;

/// `GET /files/usage`.
pub(super) async fn usage(call: &Call<'_>) -> Result<Answer, FilesError> {
    let viewer = list::viewer(call).await?;
    let owner = match &viewer {
        Viewer::All => call.parameter("ownerId").map(|owner| list::owner_id(call, owner)),
        Viewer::Somebody { owner, .. } => owner.clone(),
    };
    let mut query = FileQuery {
        viewer,
        filter: FileFilter {
            owner,
            ..FileFilter::default()
        },
        sort: FileSort::default(),
        limit: PAGE,
        offset: 0,
        after: None,
        total: false,
    };
    let mut buckets: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    let (mut bytes, mut count) = (0_u64, 0_u64);
    loop {
        let page = call.inner.records.list_files(&call.caller.bucket, &query).await?;
        for (_, file) in &page.files {
            let name = file.bucket.clone().unwrap_or_default();
            let of_bucket = buckets.entry(name).or_default();
            of_bucket.0 = of_bucket.0.saturating_add(file.size);
            of_bucket.1 = of_bucket.1.saturating_add(1);
            bytes = bytes.saturating_add(file.size);
            count = count.saturating_add(1);
        }
        query.after = page.next;
        if query.after.is_none() {
            break;
        }
    }
    let named = |(name, (bytes, count)): (String, (u64, u64))| json!({ "bucket": Some(name).filter(|name| !name.is_empty()), "bytes": bytes, "count": count });
    let buckets: Vec<_> = buckets.into_iter().map(named).collect();
    Ok(Answer::ok(
        json!({ "bytes": bytes, "count": count, "buckets": buckets }),
    ))
}
