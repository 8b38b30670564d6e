//! One file at once: an address to send its bytes to, and saying that they are there.

use serde_json::json;
use storage_engine::limits::PUT_BYTES_MAX;
use storage_engine::store::files::{File, FileId, FileState};

use super::answer::Answer;
use super::call::{Call, Known, object_key};
use super::error::{Code, FilesError};
use super::fields::Fields;
use super::plan::{self, Plan, Said};
use super::view;
use crate::intake::Settled;
use crate::links::{Link, UploadLimits};
use crate::media::{FileName, MIME_CHARS_MAX, Mime, MimeError, check_key};

/// How long an address to send bytes to lasts, in seconds.
pub(super) const UPLOAD_SECONDS: u32 = 900;
pub(super) const UPLOAD_SECONDS_RANGE: (u32, u32) = (60, 3_600);

/// `POST /files/presigned-url`.
pub(super) async fn presign(call: &Call<'_>, fields: &Fields) -> Result<Answer, FilesError> {
    let plan = Plan::read(call, fields).await?;
    let seconds = fields
        .seconds("expiresIn", UPLOAD_SECONDS_RANGE)?
        .unwrap_or(UPLOAD_SECONDS);
    let Announced { id, file, link } = announce(call, &plan, seconds).await?;
    Ok(Answer::ok(json!({
        "url": link.url,
        "key": file.key,
        "filename": file.name,
        "contentType": file.declared_type,
        "fileId": id.to_string(),
        "method": "PUT",
        "headers": { "Content-Type": file.declared_type },
        "expiresAt": view::written(link.expires),
        "maxSize": file.limits.max_size,
    })))
}

/// A file that is announced, and the address that takes its bytes.
pub(super) struct Announced {
    pub(super) id: FileId,
    pub(super) file: File,
    pub(super) link: Link,
}

/// Announces a file, whose bytes come in one piece.
pub(super) async fn begin(call: &Call<'_>, plan: &Plan) -> Result<(FileId, File), FilesError> {
    if let Some(size) = plan.size.filter(|size| *size > PUT_BYTES_MAX) {
        let message = format!(
            "The file has {size} bytes; in one piece at most {PUT_BYTES_MAX} are taken (5 GiB). Larger ones come in parts \
             (/v1/files/multipart/init), or are resumable (/v1/tus)."
        );
        return Err(FilesError::because(Code::TOO_LARGE, message));
    }
    let (id, file) = plan.file(call)?;
    let store = call.open_to_make(&file.key, file.bucket.as_deref()).await?;
    call.announce(&store, (id, &file)).await?;
    Ok((id, file))
}

/// Announces a file, whose bytes are taken once.
pub(super) async fn announce(call: &Call<'_>, plan: &Plan, seconds: u32) -> Result<Announced, FilesError> {
    let (id, file) = begin(call, plan).await?;
    let asker = call.asker_to_put(&file)?;
    let limits = UploadLimits {
        max_size: file.limits.max_size,
        types: file.limits.types.clone(),
        once: true,
        ..UploadLimits::default()
    };
    let links = &call.inner.links;
    let link = links
        .upload_url(&call.link(&asker, (id, &file), seconds), limits)
        .await
        .map_err(FilesError::not_begun)?;
    Ok(Announced { id, file, link })
}

/// `POST /files`: the application says that it knows of a file, and what of it.
pub(super) async fn register(call: &Call<'_>, fields: &Fields) -> Result<Answer, FilesError> {
    let key = fields.need("s3Key")?;
    check_key(key)?;
    let name = FileName::parse(plan::need(fields, "originalName", Code::INVALID_NAME)?)?;
    let declared = plan::need(fields, "mimeType", Code::INVALID_FORMAT)?;
    if declared.chars().count() > MIME_CHARS_MAX {
        return Err(MimeError::TooLong.into());
    }
    Mime::declared(declared)?;
    let size = fields.size("size")?;
    let size = size.ok_or_else(|| FilesError::field("size is required: a number of bytes."))?;
    for pixels in ["width", "height"] {
        fields.number(pixels)?;
    }
    let visibility = fields.visibility()?;
    let bucket = plan::bucket(call, fields)?;
    let said = Said::by(call, fields)?;
    let lasts = plan::lasts(fields)?;
    let downloads = plan::downloads(fields)?;
    let known = call.look_by_key(key).await?;
    let store = call.open_to_finish(&known).await?;
    if call.caller.upload.is_some() {
        plan::fixed("visibility", visibility, known.file.labels.visibility)?;
    }
    if known.file.registered.is_some() {
        return Err(Code::KEY_EXISTS.into());
    }
    let known = arrived(call, known).await?;
    check_size(call, &known.file, (bucket.as_deref(), size))?;
    plan::check_stored(plan::rules(call, bucket.as_deref()), &known.file)?;
    let now = call.time();
    let ttl = |name: &Option<String>| plan::ttl_of(call, name.as_deref());
    let ttls = (ttl(&known.file.bucket), ttl(&bucket));
    let change = |file: &mut File| {
        name.as_str().clone_into(&mut file.name);
        if let Some(visibility) = visibility {
            file.labels.visibility = Some(visibility);
        }
        if bucket.is_some() {
            plan::set_bucket(file, bucket.clone(), ttls, now);
        }
        plan::end_after(file, lasts, now);
        if let Some(most) = downloads {
            file.give_out(most);
        }
        said.set(file);
        file.registered = Some(now);
    };
    let file = store
        .change_file(&call.caller.bucket, known.id, Some(known.rev), change)
        .await?;
    Ok(Answer::created(view::file(
        known.id,
        &file,
        call.place(),
        view::Eyes::Owner,
    )))
}

/// Refuses to register a file as one of another size, where sizes are exact: in the logical bucket that it is put into, or else
/// where it is.
fn check_size(call: &Call<'_>, file: &File, (bucket, said): (Option<&str>, u64)) -> Result<(), FilesError> {
    let name = bucket.or(file.bucket.as_deref()).or(file.category.as_deref());
    match plan::has_exact_sizes(plan::rules(call, name)) && file.size != said {
        true => Err(FilesError::because(
            Code::SIZE_MISMATCH,
            format!("The file has {} bytes and not {said}.", file.size),
        )),
        false => Ok(()),
    }
}

/// `POST /files/:id/complete`: as [`register`], of a file whose key is known; asked again, it answers the same.
pub(super) async fn complete(call: &Call<'_>) -> Result<Answer, FilesError> {
    let known = call.named().await?;
    let store = call.open_to_finish(&known).await?;
    let known = arrived(call, known).await?;
    let now = call.time();
    let change = |file: &mut File| {
        file.registered.get_or_insert(now);
    };
    let file = store.change_file(&call.caller.bucket, known.id, None, change).await?;
    Ok(Answer::ok(view::file(known.id, &file, call.place(), view::Eyes::Owner)))
}

/// A file waits for its bytes.
pub(super) fn no_bytes() -> FilesError {
    FilesError::because(Code::STATE, "No bytes have been uploaded to this file yet.")
}

/// The file, once its bytes are there and were looked at.
pub(super) async fn arrived(call: &Call<'_>, known: Known) -> Result<Known, FilesError> {
    match known.file.state {
        FileState::Active | FileState::Scanning | FileState::Quarantined => Ok(known),
        FileState::Received => {
            let key = object_key(&known.file)?;
            match call.inner.inspector.settle((&call.caller.bucket, &key)).await? {
                Settled::Nothing | Settled::Active | Settled::Scanning => call.look(&known.id.to_string()).await,
                Settled::Rejected(refused) => Err(refused.into()),
            }
        }
        FileState::Pending => Err(no_bytes()),
        FileState::Rejected => {
            let why = known.file.rejected.unwrap_or_default();
            Err(FilesError::because(
                Code::INVALID_FORMAT,
                format!("The upload was refused: {why}"),
            ))
        }
        FileState::Trashed => Err(Code::NOT_FOUND.into()),
    }
}
