//! Other bytes in the place of a file's: id, key, owner and who may see it stay, and the old bytes are kept as a version.

use http::request::Parts;
use storage_engine::store::condition::{ETagMatch, WriteCondition};
use storage_engine::store::files::FileState;

use super::answer::Answer;
use super::call::Call;
use super::error::{Code, FilesError};
use super::{plan, upload, view};
use crate::http::body::RequestBody;

/// `POST /files/:id/replace`: the body is the file, or a form that holds it.
pub(super) async fn replace(call: &Call<'_>, parts: &Parts, body: RequestBody) -> Result<Answer, FilesError> {
    let known = call.named().await?;
    let store = call.open_to_replace(&known.file).await?;
    if known.file.state != FileState::Active {
        return Err(Code::STATE.into());
    }
    let (sent, source) = upload::file_of(parts, body).await?;
    let mut file = known.file.clone();
    if let Some(rules) = plan::rules(call, file.bucket.as_deref().or(file.category.as_deref())) {
        file.limits.max_size = rules.max_size;
        file.limits.types.clone_from(&rules.types);
    } else {
        file.limits.max_size = None;
    }
    if let Some(declared) = &sent.declared {
        plan::check(&file.limits, sent.len, declared)?;
        file.declared_type = Some(declared.as_str().to_owned());
    }
    // Who sees the bytes that stand there replaces them, and no others that came meanwhile.
    let condition = WriteCondition {
        if_match: file.etag.map(|etag| ETagMatch::parse(&format!("\"{etag}\""))),
        ..WriteCondition::default()
    };
    let store = store.keeping_replaced();
    upload::put(&call.caller.bucket, &store, (&file, sent, condition), source).await?;
    let known = call.look(&known.id.to_string()).await?;
    Ok(Answer::ok(view::file(
        known.id,
        &known.file,
        call.place(),
        call.eyes(&known.file),
    )))
}
