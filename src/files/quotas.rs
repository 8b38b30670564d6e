//! Quotas of an environment: what its servers set, and how much of each is used.

use serde_json::{Map, Value, json};
use storage_engine::store::quota::{Account, Held};
use storage_engine::store::record::settings::{FileQuota, FileQuotas, NamedFileQuota};

use super::answer::Answer;
use super::call::Call;
use super::error::FilesError;
use super::fields::Fields;
use super::owner::{OF_APP, ROOT};
use super::{owner, plan};
use crate::projects::{QuotaChange, QuotaChanges};

const FIELDS: [&str; 5] = ["environment", "defaultOwner", "owners", "buckets", "issuer"];
/// What a limit is; and what is told beside it, so that it can be sent back.
const LIMIT: [&str; 4] = ["bytes", "files", "used", "left"];

/// `GET /files/quotas`.
pub(super) async fn get(call: &Call<'_>) -> Result<Answer, FilesError> {
    let quotas = call.inner.projects.file_quotas(&call.caller).await?;
    Ok(Answer::ok(document(call, &quotas).await?))
}

/// `PUT /files/quotas`: sets what is named and leaves the rest; null takes away.
pub(super) async fn set(call: &Call<'_>, fields: &Fields) -> Result<Answer, FilesError> {
    fields.only(&FIELDS)?;
    // What is wrong is told also where nobody is named by it.
    let issuer = fields.text("issuer")?.or(call.parameter("issuer"));
    let changes = QuotaChanges {
        environment: change(fields, "environment")?,
        default_owner: change(fields, "defaultOwner")?,
        owners: named(fields, "owners", |name, change| owner_id(call, issuer, name, change))?,
        buckets: named(fields, "buckets", |name, change| bucket(call, name, change))?,
    };
    call.inner.projects.set_file_quotas(&call.caller, &changes).await?;
    get(call).await
}

/// Whose files a limit of an owner is about. It is taken away also of whom an issuer knew that is there no more.
fn owner_id(call: &Call<'_>, issuer: Option<&str>, name: &str, change: QuotaChange) -> Result<String, FilesError> {
    if name.starts_with(OF_APP) || name == ROOT {
        return Ok(name.to_owned());
    }
    match (change, issuer) {
        (QuotaChange::Remove, Some(issuer)) => Ok(owner::id(call, issuer, name)),
        (QuotaChange::Remove | QuotaChange::Set(_), _) => owner::account(call, issuer, name),
    }
}

/// A limit is set for a bucket that there is, and taken away from any.
fn bucket(call: &Call<'_>, name: &str, change: QuotaChange) -> Result<String, FilesError> {
    match change {
        QuotaChange::Set(_) => Ok(plan::known_bucket(call, name)?.unwrap_or_default()),
        QuotaChange::Remove => Ok(name.to_owned()),
    }
}

/// What becomes of one limit; `None`: nothing is said of it.
fn change(fields: &Fields, name: &str) -> Result<Option<QuotaChange>, FilesError> {
    fields.stated(name).map(|value| limit(value, name)).transpose()
}

fn named(
    fields: &Fields,
    name: &str,
    whose: impl Fn(&str, QuotaChange) -> Result<String, FilesError>,
) -> Result<Vec<(String, QuotaChange)>, FilesError> {
    let changes = fields.object(name)?.into_iter().flatten().map(|(key, value)| {
        let change = limit(value, &format!("{name}.{key}"))?;
        Ok((whose(key, change)?, change))
    });
    changes.collect()
}

/// `{bytes, files}`, one of them at least; or null.
fn limit(value: &Value, name: &str) -> Result<QuotaChange, FilesError> {
    if value.is_null() {
        return Ok(QuotaChange::Remove);
    }
    let wrong = || FilesError::field(format!("{name} must be an object with bytes, files or both, or null."));
    let fields = Fields::of(value).map_err(|_| wrong())?;
    fields.only(&LIMIT).map_err(|error| error.at(name))?;
    let quota = FileQuota {
        bytes: fields.size("bytes")?,
        files: fields.number("files")?,
    };
    match quota {
        FileQuota {
            bytes: None,
            files: None,
        } => Err(wrong()),
        quota => Ok(QuotaChange::Set(quota)),
    }
}

/// What is set, and beside each what is used of it.
async fn document(call: &Call<'_>, quotas: &FileQuotas) -> Result<Value, FilesError> {
    let mut accounts = vec![Account::Files];
    accounts.extend(quotas.owners.iter().map(|owner| Account::Owner(owner.name.clone())));
    accounts.extend(
        quotas
            .buckets
            .iter()
            .map(|bucket| Account::Logical(bucket.name.clone())),
    );
    let held = call.inner.records.held_by(&call.caller.bucket, &accounts).await?;
    let mut held = held.into_iter().flatten();
    let of_all = held.next();
    let environment = quotas.environment.map(|quota| used(quota, of_all));
    let mut of = |named: &[NamedFileQuota]| -> Map<String, Value> {
        let told = named.iter().map(|one| (one.name.clone(), used(one.quota, held.next())));
        told.collect()
    };
    let (owners, buckets) = (of(&quotas.owners), of(&quotas.buckets));
    Ok(json!({
        "environment": environment,
        "defaultOwner": quotas.default_owner.map(|quota| json!({ "bytes": quota.bytes, "files": quota.files })),
        "owners": owners,
        "buckets": buckets,
    }))
}

/// A limit with what is used of it and what is left; `held`: `None` where nobody knows.
pub(super) fn used(FileQuota { bytes, files }: FileQuota, held: Option<Held>) -> Value {
    let left = |most: Option<u64>, held: u64| most.map(|most| most.saturating_sub(held));
    json!({
        "bytes": bytes,
        "files": files,
        "used": held.map(|held| json!({ "bytes": held.bytes, "files": held.files })),
        "left": held.map(|held| json!({ "bytes": left(bytes, held.bytes), "files": left(files, held.files) })),
    })
}
