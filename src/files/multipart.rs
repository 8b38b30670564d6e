//! A file in parts: begun, an address for each part, put together or given up.
//!
//! The id of an upload names the file as well, so that no key is needed beside it.

use std::collections::HashSet;

use serde_json::{Value, json};
use storage_engine::limits::OBJECT_BYTES_MAX;
use storage_engine::store::Store;
use storage_engine::store::condition::WriteCondition;
use storage_engine::store::files::{File, FileState};
use storage_engine::store::multipart::begin::BeginUpload;
use storage_engine::store::multipart::complete::{CompleteUpload, NamedPart};
use storage_engine::store::multipart::list::ListParts;
use storage_engine::store::name::{PartNumber, UploadId};
use storage_engine::store::record::object::Metadata;

use super::answer::Answer;
use super::call::{Call, Known, object_key};
use super::error::{Code, FilesError};
use super::fields::Fields;
use super::plan::Plan;
use super::single::{UPLOAD_SECONDS, arrived};
use super::view;
use crate::intake::{Expected, size_of_parts};
use crate::links::PartAsk;

/// The highest number of a part.
pub(super) const PARTS_MAX: u16 = 10_000;
/// Addresses that are given out at once.
pub(super) const URLS_MAX: usize = 1_000;
/// How long the address of a part lasts, in seconds.
pub(super) const PART_SECONDS: u32 = UPLOAD_SECONDS;
/// Parts asked of the store at once.
const PARTS_PAGE: usize = 1_000;

/// An upload of a file that is announced.
struct Begun {
    known: Known,
    upload: UploadId,
    text: String,
}

/// `POST /files/multipart/init`.
pub(super) async fn init(call: &Call<'_>, fields: &Fields) -> Result<Answer, FilesError> {
    let plan = Plan::read(call, fields).await?;
    if let Some(size) = plan.size.filter(|size| *size > OBJECT_BYTES_MAX) {
        let message = format!("The file has {size} bytes; at most {OBJECT_BYTES_MAX} are stored (5 TiB).");
        return Err(FilesError::because(Code::TOO_LARGE, message));
    }
    let (id, file) = plan.file(call)?;
    let store = call.open_to_make(&file.key, file.bucket.as_deref()).await?;
    call.announce(&store, (id, &file)).await?;
    let begin = BeginUpload {
        bucket: call.caller.bucket.clone(),
        key: object_key(&file)?,
        metadata: Metadata {
            content_type: file.declared_type.clone(),
            ..Metadata::default()
        },
        labels: file.labels.clone(),
        initiator: file.labels.owner.clone(),
        checksum: None,
    };
    let upload = match store.begin_upload(begin).await {
        Ok(upload) => upload,
        Err(error) => {
            call.take_back(&store, id).await;
            return Err(error.into());
        }
    };
    Ok(Answer::ok(json!({
        "uploadId": format!("{}{upload}", id.to_string().replace('-', "")),
        "key": file.key,
        "filename": file.name,
        "fileId": id.to_string(),
        "maxSize": file.limits.max_size,
    })))
}

/// `POST /files/multipart/presigned-url`.
pub(super) async fn part_url(call: &Call<'_>, fields: &Fields) -> Result<Answer, FilesError> {
    let number = part_number(fields.get("partNumber"))?;
    let begun = begun(call, fields).await?;
    call.open_to_finish_upload(&begun.known).await?;
    Ok(Answer::ok(url_of(call, &begun, number).await?))
}

/// `POST /files/multipart/presigned-urls`: many at once.
pub(super) async fn part_urls(call: &Call<'_>, fields: &Fields) -> Result<Answer, FilesError> {
    let numbers = fields.list("partNumbers", URLS_MAX)?;
    if numbers.is_empty() {
        return Err(FilesError::field(format!(
            "partNumbers is required: a list of 1 to {URLS_MAX} numbers."
        )));
    }
    let begun = begun(call, fields).await?;
    call.open_to_finish_upload(&begun.known).await?;
    let mut urls = Vec::with_capacity(numbers.len());
    for number in numbers {
        urls.push(url_of(call, &begun, part_number(Some(number))?).await?);
    }
    Ok(Answer::ok(json!({ "urls": urls, "uploadId": begun.text })))
}

/// `GET /files/multipart/:uploadId/parts`: what has arrived, to go on from there.
pub(super) async fn parts(call: &Call<'_>, fields: &Fields) -> Result<Answer, FilesError> {
    let begun = begun(call, fields).await?;
    let store = call.open_to_finish_upload(&begun.known).await?;
    let mut parts = Vec::new();
    let mut after = 0;
    loop {
        let list = ListParts {
            bucket: call.caller.bucket.clone(),
            key: object_key(&begun.known.file)?,
            upload: begun.upload,
            after,
            limit: PARTS_PAGE,
        };
        let page = store.list_parts(&list).await?;
        parts.extend(page.parts.iter().map(|(number, part)| {
            json!({ "partNumber": number.get(), "etag": format!("\"{}\"", part.etag), "size": part.size })
        }));
        match page.next {
            Some(next) => after = next.get(),
            None => break,
        }
    }
    Ok(Answer::ok(
        json!({ "uploadId": begun.text, "key": begun.known.file.key, "parts": parts }),
    ))
}

/// `POST /files/multipart/complete`.
pub(super) async fn complete(call: &Call<'_>, fields: &Fields) -> Result<Answer, FilesError> {
    let parts = named_parts(fields)?;
    let begun = begun(call, fields).await?;
    let store = call.open_to_finish_upload(&begun.known).await?;
    check_size(call, &store, &begun, &parts).await?;
    let complete = CompleteUpload {
        bucket: call.caller.bucket.clone(),
        key: object_key(&begun.known.file)?,
        upload: begun.upload,
        parts,
        condition: WriteCondition::default(),
        checksum: None,
        checksum_type: None,
        size: None,
    };
    store.complete_upload(complete).await?;
    let known = call.look(&begun.known.id.to_string()).await?;
    let known = arrived(call, known).await?;
    Ok(Answer::ok(json!({
        "key": known.file.key,
        "location": call.place().url(&known.file.key),
        "fileId": known.id.to_string(),
        "size": known.file.size,
        "status": known.file.state.name(),
        "etag": known.file.etag.map(|etag| format!("\"{etag}\"")),
    })))
}

/// Refuses to put together what has not the size that the file must have: what is missing may come still.
async fn check_size(call: &Call<'_>, store: &Store, begun: &Begun, parts: &[NamedPart]) -> Result<(), FilesError> {
    let file = &begun.known.file;
    // What was put together before may be asked for again.
    if file.limits.size.is_none() || file.state != FileState::Pending {
        return Ok(());
    }
    let numbers: HashSet<PartNumber> = parts.iter().map(|part| part.number).collect();
    let place = (&call.caller.bucket, &object_key(file)?);
    let size = size_of_parts(store, place, &begun.upload, |number| numbers.contains(&number)).await?;
    Ok(Expected::of(&file.limits, None).check_size(size)?)
}

/// `POST /files/multipart/abort`: the parts go, and the announced file with them.
pub(super) async fn abort(call: &Call<'_>, fields: &Fields) -> Result<Answer, FilesError> {
    let begun = begun(call, fields).await?;
    let store = call.open_to_finish_upload(&begun.known).await?;
    let file = &begun.known.file;
    store
        .abort_upload(&call.caller.bucket, &object_key(file)?, &begun.upload)
        .await?;
    if file.state == FileState::Pending {
        store
            .purge_file(&call.caller.bucket, begun.known.id, Some(begun.known.rev))
            .await?;
    }
    Ok(Answer::ok(json!({ "key": file.key })))
}

/// The upload that path or body name. Its id alone is enough; a key beside it must be the same file's.
async fn begun(call: &Call<'_>, fields: &Fields) -> Result<Begun, FilesError> {
    let text = match call.segment(0) {
        Ok(text) => text.to_owned(),
        Err(_) => fields.need("uploadId")?.to_owned(),
    };
    let (file, upload) = text.split_at_checked(32).ok_or(Code::NO_SUCH_UPLOAD)?;
    let upload = UploadId::parse(upload).map_err(|_| Code::NO_SUCH_UPLOAD)?;
    let known = match call.look(file).await {
        Err(error) if error.code() == Code::NOT_FOUND.name => return Err(Code::NO_SUCH_UPLOAD.into()),
        known => known?,
    };
    if fields.text("key")?.is_some_and(|key| key != known.file.key) {
        return Err(FilesError::field("key is not that of this upload."));
    }
    // All that tells the guest who began it from others is the upload's id.
    if call.is_of_guests(&known.file) && !stands(call, &known, upload).await? {
        return Err(Code::NO_SUCH_UPLOAD.into());
    }
    Ok(Begun { known, upload, text })
}

/// Whether the file has this upload.
async fn stands(call: &Call<'_>, known: &Known, upload: UploadId) -> Result<bool, FilesError> {
    let list = ListParts {
        bucket: call.caller.bucket.clone(),
        key: object_key(&known.file)?,
        upload,
        after: 0,
        limit: 1,
    };
    Ok(call.inner.facts.initiator_of(list).await?.is_some())
}

async fn url_of(call: &Call<'_>, begun: &Begun, number: PartNumber) -> Result<Value, FilesError> {
    let (id, file): (_, &File) = (begun.known.id, &begun.known.file);
    let asker = call.asker_to_put(file)?;
    let upload = begun.upload.to_string();
    let part = PartAsk {
        upload: &upload,
        number: number.get(),
        last: PARTS_MAX,
        max_size: file.limits.max_size,
    };
    let link = call
        .inner
        .links
        .part_url(&call.link(&asker, (id, file), PART_SECONDS), &part)
        .await
        .map_err(FilesError::not_begun)?;
    Ok(json!({ "url": link.url, "partNumber": number.get(), "expiresAt": view::written(link.expires) }))
}

fn part_number(value: Option<&Value>) -> Result<PartNumber, FilesError> {
    let number = value
        .and_then(Value::as_u64)
        .and_then(|number| u16::try_from(number).ok());
    let number = number.and_then(|number| PartNumber::new(number).ok());
    number.ok_or_else(|| Code::INVALID_PART_NUMBER.into())
}

/// The parts as the client names them. Their ETags come as they were answered, with quotes.
fn named_parts(fields: &Fields) -> Result<Vec<NamedPart>, FilesError> {
    let items = match fields.get("parts") {
        Some(Value::Array(items)) if !items.is_empty() && items.len() <= usize::from(PARTS_MAX) => items,
        _ => return Err(Code::INVALID_PARTS.into()),
    };
    let mut parts = Vec::with_capacity(items.len());
    for item in items {
        let etag = item.get("etag").and_then(Value::as_str).ok_or(Code::INVALID_PARTS)?;
        parts.push(NamedPart {
            number: part_number(item.get("partNumber"))?,
            etag: etag.trim_matches('"').to_owned(),
            checksum: None,
        });
    }
    if !parts.is_sorted_by(|one, other| one.number < other.number) {
        return Err(Code::INVALID_PARTS.into());
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::{Fields, named_parts};

    #[test]
    fn parts_are_named_in_order_with_their_etags() {
        let read = |text: &str| named_parts(&Fields::parse(text.as_bytes()).unwrap());
        let parts = read(r#"{"parts":[{"partNumber":1,"etag":"\"ab\""},{"partNumber":3,"etag":"cd"}]}"#).unwrap();
        let told: Vec<_> = parts
            .iter()
            .map(|part| (part.number.get(), part.etag.as_str()))
            .collect();
        assert_eq!(told, [(1, "ab"), (3, "cd")]);
        for (wrong, code) in [
            (r"{}", "file/invalid-parts-array"),
            (r#"{"parts":[]}"#, "file/invalid-parts-array"),
            (r#"{"parts":{}}"#, "file/invalid-parts-array"),
            (r#"{"parts":[{"partNumber":1}]}"#, "file/invalid-parts-array"),
            (
                r#"{"parts":[{"partNumber":2,"etag":"a"},{"partNumber":1,"etag":"b"}]}"#,
                "file/invalid-parts-array",
            ),
            (
                r#"{"parts":[{"partNumber":0,"etag":"a"}]}"#,
                "file/invalid-part-number-range",
            ),
            (
                r#"{"parts":[{"partNumber":10001,"etag":"a"}]}"#,
                "file/invalid-part-number-range",
            ),
            (
                r#"{"parts":[{"partNumber":"1","etag":"a"}]}"#,
                "file/invalid-part-number-range",
            ),
        ] {
            assert_eq!(read(wrong).unwrap_err().code(), code, "{wrong}");
        }
    }
}
