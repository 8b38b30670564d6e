//! What files take up: of a user their own, of an admin everybody's or one owner's.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use storage_engine::store::files::{FileFilter, FileQuery, FileSort, FileState, Viewer};
use storage_engine::store::quota::Account;
use storage_engine::store::record::settings::NamedFileQuota;

use super::answer::Answer;
use super::call::Call;
use super::error::FilesError;
use super::{list, owner, quotas};
use crate::projects::is_person;

/// Files looked at at once.
const PAGE: usize = 1_000;

/// How many files, and their bytes.
#[derive(Clone, Copy, Default)]
struct Amount {
    bytes: u64,
    count: u64,
}

/// What was added up.
#[derive(Default)]
struct Sums {
    buckets: BTreeMap<String, Amount>,
    all: Amount,
}

/// `GET /files/usage`.
pub(super) async fn usage(call: &Call<'_>) -> Result<Answer, FilesError> {
    let viewer = list::viewer(call).await?;
    let owner = match &viewer {
        Viewer::All => owner::of_query(call)?,
        Viewer::Somebody { owner, .. } => owner::told_of(call, owner.as_deref())?,
    };
    let quota = quota(call, owner.as_deref()).await?;
    if list::flag(call, "breakdown")? == Some(false) {
        return Ok(Answer::ok(json!({ "quota": quota })));
    }
    let of = |state| sums(call, &viewer, owner.as_deref(), state);
    let mut stored = Sums::default();
    for state in FileState::ALL.into_iter().filter(|state| state.has_bytes()) {
        let sums = of(state).await?;
        for (bucket, amount) in sums.buckets {
            add(stored.buckets.entry(bucket).or_default(), amount);
        }
        add(&mut stored.all, sums.all);
    }
    let (reserved, trash) = (of(FileState::Pending).await?.all, of(FileState::Trashed).await?.all);
    let named = |(name, amount): (String, Amount)| json!({ "bucket": Some(name).filter(|name| !name.is_empty()), "bytes": amount.bytes, "count": amount.count });
    let buckets: Vec<_> = stored.buckets.into_iter().map(named).collect();
    Ok(Answer::ok(json!({
        "bytes": stored.all.bytes,
        "count": stored.all.count,
        "buckets": buckets,
        "reserved": { "bytes": reserved.bytes, "count": reserved.count },
        "trash": { "bytes": trash.bytes, "count": trash.count },
        "quota": quota,
    })))
}

/// How much the files of an owner, or all, may take up, and what is left: as the ledger has it, so no file is looked at.
async fn quota(call: &Call<'_>, owner: Option<&str>) -> Result<Option<Value>, FilesError> {
    let set = call.inner.projects.file_quotas(&call.caller).await?;
    let (limit, account) = match owner {
        Some(owner) => {
            let default = set.default_owner.filter(|_| is_person(owner));
            let limit = NamedFileQuota::find(&set.owners, owner).or(default);
            (limit, Account::Owner(owner.to_owned()))
        }
        None => (set.environment, Account::Files),
    };
    let Some(limit) = limit else { return Ok(None) };
    let held = call.inner.records.held_by(&call.caller.bucket, &[account]).await?;
    Ok(Some(quotas::used(limit, held.and_then(|held| held.first().copied()))))
}

async fn sums(call: &Call<'_>, viewer: &Viewer, owner: Option<&str>, state: FileState) -> Result<Sums, FilesError> {
    let mut query = FileQuery {
        viewer: viewer.clone(),
        filter: FileFilter {
            owner: owner.map(str::to_owned),
            state: Some(state),
            ..FileFilter::default()
        },
        sort: FileSort::default(),
        limit: PAGE,
        offset: 0,
        after: None,
        total: false,
    };
    let mut sums = Sums::default();
    loop {
        let page = call.inner.records.list_files(&call.caller.bucket, &query).await?;
        for (_, file) in &page.files {
            let amount = Amount {
                bytes: file.size,
                count: 1,
            };
            let name = file.bucket.clone().unwrap_or_default();
            add(sums.buckets.entry(name).or_default(), amount);
            add(&mut sums.all, amount);
        }
        query.after = page.next;
        if query.after.is_none() {
            return Ok(sums);
        }
    }
}

fn add(sum: &mut Amount, amount: Amount) {
    sum.bytes = sum.bytes.saturating_add(amount.bytes);
    sum.count = sum.count.saturating_add(amount.count);
}
