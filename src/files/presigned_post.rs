//! A form that uploads one file: fields for a page to send by POST to the app bucket itself, as S3's forms are, without
//! script if need be. What it lets is signed and sealed as in every link.

use serde_json::{Map, Value, json};

use super::answer::Answer;
use super::call::Call;
use super::error::{Code, FilesError};
use super::fields::Fields;
use super::plan::Plan;
use super::single::{UPLOAD_SECONDS, UPLOAD_SECONDS_RANGE, begin};
use super::view;
use crate::links::UploadLimits;

/// `POST /files/presigned-post`.
pub(super) async fn make(call: &Call<'_>, fields: &Fields) -> Result<Answer, FilesError> {
    let plan = Plan::read(call, fields).await?;
    let seconds = fields
        .seconds("expiresIn", UPLOAD_SECONDS_RANGE)?
        .unwrap_or(UPLOAD_SECONDS);
    let min_size = fields.size("minSize")?.unwrap_or_default();
    if plan.max_size().is_some_and(|most| most < min_size) {
        return Err(FilesError::because(
            Code::TOO_SMALL,
            "minSize is more than the file may have here.",
        ));
    }
    let (id, file) = begin(call, &plan).await?;
    let limits = UploadLimits {
        max_size: file.limits.max_size,
        min_size,
        types: file.limits.types.clone(),
        once: true,
    };
    let asker = call.asker_to_put(&file)?;
    let ask = call.link(&asker, (id, &file), seconds);
    let kind = file.declared_type.as_deref().unwrap_or_default();
    let form = call.inner.links.upload_form(&ask, limits, kind).await;
    let form = form.map_err(FilesError::not_begun)?;
    let told = form
        .fields
        .into_iter()
        .map(|(name, value)| (name, Value::String(value)));
    Ok(Answer::ok(json!({
        "method": "POST",
        "url": form.url,
        "fields": told.collect::<Map<String, Value>>(),
        "fileField": "file",
        "key": file.key,
        "filename": file.name,
        "contentType": file.declared_type,
        "fileId": id.to_string(),
        "expiresAt": view::written(form.expires),
        "minSize": min_size,
        "maxSize": file.limits.max_size,
    })))
}
