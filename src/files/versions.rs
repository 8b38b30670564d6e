//! What a file was before its bytes were replaced: shown, brought back, taken away.

use serde_json::{Value, json};
use storage_engine::store::clock::Timestamp;
use storage_engine::store::files::{File, FileVersion, FileVersionId};

use super::answer::Answer;
use super::call::{Call, Known};
use super::error::{Code, FilesError};
use super::view;
use crate::access::Action;

/// What the bytes that stand there are called in a list of versions.
const CURRENT: &str = "current";

/// `GET /files/:id/versions`: the newest first, which are the bytes that stand there.
pub(super) async fn list(call: &Call<'_>) -> Result<Answer, FilesError> {
    let known = call.named().await?;
    call.open(Action::GetObjectAcl, &known.file).await?;
    let kept = call.inner.records.file_versions(&call.caller.bucket, &known.id).await?;
    let mut versions = vec![shown(CURRENT, &known.file, None)];
    versions.extend(kept.into_iter().map(|(id, version)| was(&known.file, id, version)));
    Ok(Answer::ok(json!({ "versions": versions })))
}

/// `POST /files/:id/versions/:version/restore`: the bytes that stand there become a version in turn.
pub(super) async fn restore(call: &Call<'_>) -> Result<Answer, FilesError> {
    let known = call.named().await?;
    let store = call.open(Action::PutObject, &known.file).await?;
    let version = version(call, "These are the bytes that stand there already.")?;
    let file = store
        .restore_file_version(&call.caller.bucket, known.id, version, Some(known.rev))
        .await?;
    let known = Known { file, ..known };
    let eyes = call.eyes(&known.file);
    Ok(Answer::ok(view::file(known.id, &known.file, call.place(), eyes)))
}

/// `DELETE /files/:id/versions/:version`: for good.
pub(super) async fn remove(call: &Call<'_>) -> Result<Answer, FilesError> {
    let known = call.named().await?;
    let store = call.open(Action::DeleteObject, &known.file).await?;
    let version = version(
        call,
        "These are the bytes that stand there: to take them away, delete the file.",
    )?;
    store
        .remove_file_version(&call.caller.bucket, known.id, version)
        .await?;
    Ok(Answer::ok(json!({})))
}

/// The version that the path names; `current`: what is said of the one that is none.
fn version(call: &Call<'_>, current: &'static str) -> Result<FileVersionId, FilesError> {
    match call.segment(1)? {
        CURRENT => Err(FilesError::because(Code::STATE, current)),
        id => FileVersionId::parse(id).ok_or_else(|| Code::NO_SUCH_VERSION.into()),
    }
}

fn was(file: &File, id: FileVersionId, version: FileVersion) -> Value {
    let mut then = file.clone();
    let replaced = version.replaced;
    version.put_back(&mut then);
    shown(&id.to_string(), &then, Some(replaced))
}

fn shown(id: &str, file: &File, replaced: Option<Timestamp>) -> Value {
    json!({
        "id": id,
        "current": replaced.is_none(),
        "size": file.size,
        "etag": file.etag.map(|etag| format!("\"{etag}\"")),
        "type": view::served_type(file),
        "width": file.width,
        "height": file.height,
        "sha256": file.sha256.map(view::hex),
        "createdAt": view::moment(file.received.unwrap_or(file.created)),
        "replacedAt": replaced.map(view::moment),
    })
}
