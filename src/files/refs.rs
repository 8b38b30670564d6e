//! References to a file: who of the application needs it, in the application's own words. What is needed is not collected.

use serde_json::json;
use storage_engine::limits::FILE_TEXT_BYTES_MAX;
use storage_engine::store::files::File;

use super::answer::Answer;
use super::call::Call;
use super::error::FilesError;
use crate::access::Action;

/// `GET /files/:id/refs`.
pub(super) async fn list(call: &Call<'_>) -> Result<Answer, FilesError> {
    let known = call.named().await?;
    call.open(Action::GetObjectAcl, &known.file).await?;
    Ok(Answer::ok(json!({ "refs": known.file.refs })))
}

/// `PUT /files/:id/refs/:ref`; as often as you like.
pub(super) async fn add(call: &Call<'_>) -> Result<Answer, FilesError> {
    change(call, |refs, name| {
        if !refs.iter().any(|known| known == name) {
            refs.push(name.to_owned());
        }
    })
    .await
}

/// `DELETE /files/:id/refs/:ref`; also of one that the file has not.
pub(super) async fn remove(call: &Call<'_>) -> Result<Answer, FilesError> {
    change(call, |refs, name| refs.retain(|known| known != name)).await
}

/// Changes the references as they are by then: several servers of an application may do so at once.
async fn change(call: &Call<'_>, wanted: impl Fn(&mut Vec<String>, &str) + Send + Sync) -> Result<Answer, FilesError> {
    let known = call.named().await?;
    let store = call.open(Action::PutObject, &known.file).await?;
    let name = call.segment(1)?;
    // One that no file can have is a mistake, also where it is taken away.
    if name.len() > FILE_TEXT_BYTES_MAX {
        return Err(FilesError::field(format!(
            "A reference has at most {FILE_TEXT_BYTES_MAX} bytes."
        )));
    }
    let change = |file: &mut File| wanted(&mut file.refs, name);
    let file = store.change_file(&call.caller.bucket, known.id, None, change).await?;
    Ok(Answer::ok(json!({ "refs": file.refs })))
}
