//! One file: shown, changed, put into the trash and taken out of it.

use serde_json::json;
use storage_engine::store::files::{File, FileState};
use storage_engine::store::record::labels::Visibility;

use super::answer::Answer;
use super::call::{Call, Known};
use super::error::{Code, FilesError};
use super::fields::Fields;
use super::plan::{self, Said};
use super::view::{self, Eyes};
use crate::access::Action;
use crate::media::FileName;

/// What of a file stays as it is, or is changed by another request. Clients send back whole files that they were told, so the
/// same value is passed over.
const KEPT: [&str; 15] = [
    "id",
    "s3Key",
    "key",
    "mimeType",
    "size",
    "bucket",
    "ownerId",
    "ownerType",
    "status",
    "relatedEntityId",
    "refs",
    "sha256",
    "shares",
    "expiresAt",
    "maxDownloads",
];

/// `GET /files/:id`.
pub(super) async fn get(call: &Call<'_>) -> Result<Answer, FilesError> {
    let known = call.named().await?;
    call.sees(&known.file).await?;
    Ok(shown(call, &known))
}

/// `PATCH /files/:id`.
pub(super) async fn patch(call: &Call<'_>, fields: &Fields) -> Result<Answer, FilesError> {
    let known = call.named().await?;
    let name = fields.text("originalName")?.map(FileName::parse).transpose()?;
    let said = Said::read(fields)?;
    let visibility = fields.visibility()?;
    let category = fields.text("category")?;
    category.map(plan::check_category).transpose()?;
    let lasts = plan::lasts(fields)?;
    let store = call.open(Action::PutObject, &known.file).await?;
    kept(call, &known, fields)?;
    may_be_of(call, &known.file, category)?;
    if visibility.is_some() {
        call.open(Action::PutObjectAcl, &known.file).await?;
    }
    let now = call.time();
    let change = |file: &mut File| {
        if let Some(name) = &name {
            name.as_str().clone_into(&mut file.name);
        }
        said.set(file);
        set_visibility(file, visibility);
        if let Some(category) = category {
            file.category = Some(category.to_owned());
        }
        plan::end_after(file, lasts, now);
    };
    let file = store
        .change_file(&call.caller.bucket, known.id, Some(known.rev), change)
        .await?;
    Ok(shown(call, &Known { file, ..known }))
}

/// Refuses another value for what is not changed so, rather than to answer that it was.
fn kept(call: &Call<'_>, known: &Known, fields: &Fields) -> Result<(), FilesError> {
    let shown = view::file(known.id, &known.file, call.place(), Eyes::Owner);
    let other = |name: &&&str| fields.get(name).is_some_and(|said| shown.get(**name) != Some(said));
    match KEPT.iter().find(other) {
        None => Ok(()),
        Some(name) => Err(FilesError::field(format!(
            "{name} is not changed by PATCH; originalName, visibility, category, metadata, tags and deleteAfter are."
        ))),
    }
}

/// A category brings the limits of the logical bucket of its name along, where the file is in none.
fn may_be_of(call: &Call<'_>, file: &File, category: Option<&str>) -> Result<(), FilesError> {
    let moves = file.bucket.is_none() && category.is_some() && category != file.category.as_deref();
    let Some(rules) = plan::rules(call, category).filter(|_| moves) else {
        return Ok(());
    };
    match file.state.has_bytes() {
        true => plan::check_stored(Some(rules), file),
        false => Err(FilesError::because(
            Code::STATE,
            "category has limits, and the file waits for its bytes, which are held to those it was announced with.",
        )),
    }
}

/// `PATCH /files/:id/visibility`.
pub(super) async fn patch_visibility(call: &Call<'_>, fields: &Fields) -> Result<Answer, FilesError> {
    let known = call.named().await?;
    fields.need("visibility")?;
    let visibility = fields.visibility()?;
    let store = call.open(Action::PutObjectAcl, &known.file).await?;
    let change = |file: &mut File| set_visibility(file, visibility);
    let file = store
        .change_file(&call.caller.bucket, known.id, Some(known.rev), change)
        .await?;
    Ok(shown(call, &Known { file, ..known }))
}

/// `DELETE /files/:id`: gone for everybody at once, kept in the trash for a while; with `?purge=true` for good.
pub(super) async fn delete(call: &Call<'_>) -> Result<Answer, FilesError> {
    let known = call.named_or_trashed().await?;
    let purge = match call.parameter("purge") {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => return Err(FilesError::field("purge must be true or false.")),
    };
    let store = call.open(Action::DeleteObject, &known.file).await?;
    if purge {
        store.purge_file(&call.caller.bucket, known.id, Some(known.rev)).await?;
    } else if known.file.state == FileState::Trashed {
        return Err(Code::NOT_FOUND.into());
    } else {
        store.trash_file(&call.caller.bucket, known.id, Some(known.rev)).await?;
    }
    Ok(Answer::ok(json!({})))
}

/// `POST /files/:id/restore`.
pub(super) async fn restore(call: &Call<'_>) -> Result<Answer, FilesError> {
    let known = call.named_or_trashed().await?;
    let store = call.open(Action::PutObject, &known.file).await?;
    let is_used_up = known.file.downloads.is_some_and(|downloads| downloads.left == 0);
    if is_used_up && !call.caller.is_admin() {
        let message =
            "The file was downloaded as often as it may be: admins and servers of the app alone bring it back.";
        return Err(FilesError::because(Code::ACCESS_DENIED, message));
    }
    let file = store
        .restore_file(&call.caller.bucket, known.id, Some(known.rev))
        .await?;
    Ok(shown(call, &Known { file, ..known }))
}

/// `POST /files/:id/revoke-urls`: no link that was given out opens anything any more.
pub(super) async fn revoke_urls(call: &Call<'_>) -> Result<Answer, FilesError> {
    let known = call.named().await?;
    let store = call.open(Action::PutObjectAcl, &known.file).await?;
    let change = |file: &mut File| file.epoch = file.epoch.wrapping_add(1);
    let file = store
        .change_file(&call.caller.bucket, known.id, Some(known.rev), change)
        .await?;
    Ok(Answer::ok(
        json!({ "id": known.id.to_string(), "revokedAt": view::moment(file.updated) }),
    ))
}

fn set_visibility(file: &mut File, visibility: Option<Visibility>) {
    if let Some(visibility) = visibility {
        file.labels.visibility = Some(visibility);
    }
}

fn shown(call: &Call<'_>, known: &Known) -> Answer {
    let eyes: Eyes = call.eyes(&known.file);
    Answer::ok(view::file(known.id, &known.file, call.place(), eyes))
}
