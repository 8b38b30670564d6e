//! A file sent through this front: raw or by an HTML form, for servers and small pages.

use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::request::Parts;
use http_body_util::BodyDataStream;
use serde_json::{Map, Value, json};
use storage_engine::backend::SourceError;
use storage_engine::store::Store;
use storage_engine::store::body::{ChecksumRequest, NewBody};
use storage_engine::store::checksum::Checksum;
use storage_engine::store::condition::{ETagMatch, WriteCondition};
use storage_engine::store::files::{File, FileId};
use storage_engine::store::name::BucketName;
use storage_engine::store::object::put::PutObject;
use storage_engine::store::record::object::Metadata;
use storage_engine::store::record::scan::ScanRecord;

use super::answer::Answer;
use super::call::{Call, object_key};
use super::error::{Code, FilesError};
use super::fields::Fields;
use super::plan::Plan;
use super::view;
use crate::http::body::RequestBody;
use crate::intake::{Expected, watch};
use crate::media::{FileName, Mime};

/// Bytes of one field of a form beside the file.
const FIELD_BYTES_MAX: usize = 64 * 1024;
/// Fields of a form before the file.
const FIELDS_MAX: usize = 32;

/// What stands of the bytes in a request.
pub(super) struct Sent {
    pub(super) declared: Option<Mime>,
    pub(super) len: Option<u64>,
    pub(super) sha256: Option<[u8; 32]>,
}

/// `POST /files/upload`.
pub(super) async fn relay(call: &Call<'_>, parts: &Parts, body: RequestBody) -> Result<Answer, FilesError> {
    let kind = parts
        .headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .unwrap_or_default();
    match multer::parse_boundary(kind) {
        Ok(boundary) => by_form(call, body, boundary).await,
        Err(_) => raw(call, parts, kind, body).await,
    }
}

/// The body is the file; what is said of it stands in the query.
async fn raw(call: &Call<'_>, parts: &Parts, kind: &str, body: RequestBody) -> Result<Answer, FilesError> {
    let name = call.parameter("filename").ok_or_else(|| {
        FilesError::because(
            Code::INVALID_NAME,
            "filename is required: ?filename=photo.png, or a form with a file in it.",
        )
    })?;
    let sent = sent(parts)?;
    let mut said = Map::new();
    for name in [
        "visibility",
        "category",
        "bucket",
        "sha256",
        "fileSize",
        "deleteAfter",
        "maxDownloads",
    ] {
        if let Some(text) = call.parameter(name) {
            said.insert(name.to_owned(), field_value(name, text.to_owned())?);
        }
    }
    let fields = Fields::of(&Value::Object(said))?;
    let mime = Mime::parse(if kind.is_empty() {
        "application/octet-stream"
    } else {
        kind
    })?;
    let size = fields.size("fileSize")?.or(sent.len);
    let plan = Plan::of(call, (FileName::parse(name)?, mime, size), &fields).await?;
    let source = BodyDataStream::new(body);
    store(call, &plan, sent, source).await
}

/// The fields come before the file, which is the last one.
async fn by_form(call: &Call<'_>, body: RequestBody, boundary: String) -> Result<Answer, FilesError> {
    let malformed = |error: multer::Error| FilesError::field(format!("The form cannot be read: {error}."));
    let stream = BodyDataStream::new(body).map_err(std::io::Error::other);
    let mut form = multer::Multipart::new(stream, boundary);
    let mut said = Map::new();
    while let Some(mut field) = form.next_field().await.map_err(malformed)? {
        if let Some(name) = field.file_name().map(str::to_owned) {
            let mime = match field.content_type() {
                Some(kind) => Mime::parse(kind.as_ref())?,
                None => Mime::parse("application/octet-stream")?,
            };
            let fields = Fields::of(&Value::Object(said))?;
            let size = fields.size("fileSize")?;
            let plan = Plan::of(call, (FileName::parse(&name)?, mime.clone(), size), &fields).await?;
            let sent = Sent {
                declared: Some(mime),
                len: None,
                sha256: None,
            };
            let source = field.map_err(|error| -> SourceError { Box::new(error) });
            return store(call, &plan, sent, source.boxed()).await;
        }
        let name = field.name().unwrap_or_default().to_owned();
        let mut text = Vec::new();
        while let Some(bytes) = field.chunk().await.map_err(malformed)? {
            text.extend_from_slice(&bytes);
            if text.len() > FIELD_BYTES_MAX {
                return Err(Code::REQUEST_TOO_LARGE.into());
            }
        }
        let text = String::from_utf8(text).map_err(|_| FilesError::field(format!("{name} is not text.")))?;
        if said.len() >= FIELDS_MAX {
            return Err(FilesError::field(format!(
                "A form has at most {FIELDS_MAX} fields before its file."
            )));
        }
        said.insert(name.clone(), field_value(&name, text)?);
    }
    Err(FilesError::field("The form holds no file."))
}

/// What is no text in JSON is written as JSON in a form, and in a query.
fn field_value(name: &str, text: String) -> Result<Value, FilesError> {
    match name {
        "metadata" | "tags" | "fileSize" | "deleteAfter" | "maxDownloads" if !text.is_empty() => {
            serde_json::from_str(&text).map_err(|_| FilesError::field(format!("{name} must be JSON.")))
        }
        _ if text.is_empty() => Ok(Value::Null),
        _ => Ok(Value::String(text)),
    }
}

pub(super) async fn store<S>(call: &Call<'_>, plan: &Plan, sent: Sent, source: S) -> Result<Answer, FilesError>
where
    S: Stream<Item = Result<Bytes, SourceError>> + Send + Unpin,
{
    store_cleared(call, plan, sent, (source, None)).await
}

/// As [`store`], of bytes that a scanner said something of before, if it did.
pub(super) async fn store_cleared<S>(
    call: &Call<'_>,
    plan: &Plan,
    sent: Sent,
    (source, cleared): (S, Option<ScanRecord>),
) -> Result<Answer, FilesError>
where
    S: Stream<Item = Result<Bytes, SourceError>> + Send + Unpin,
{
    let (id, file) = plan.file(call)?;
    let store = call.open_to_make(&file.key, file.bucket.as_deref()).await?;
    let store = match cleared {
        Some(scan) => store.with_cleared(scan),
        None => store,
    };
    call.announce(&store, (id, &file)).await?;
    let condition = WriteCondition {
        if_none_match: Some(ETagMatch::parse("*")),
        ..WriteCondition::default()
    };
    if let Err(error) = put(&call.caller.bucket, &store, (&file, sent, condition), source).await {
        call.take_back(&store, id).await;
        return Err(error);
    }
    registered(call, &store, id).await
}

async fn registered(call: &Call<'_>, store: &Store, id: FileId) -> Result<Answer, FilesError> {
    let file = match call.caller.is_guest() {
        // That the app knows of it, its server says.
        true => store.file(&call.caller.bucket, &id).await?.ok_or(Code::NOT_FOUND)?.0,
        false => {
            let now = call.time();
            let change = |file: &mut File| {
                file.registered.get_or_insert(now);
            };
            store.change_file(&call.caller.bucket, id, None, change).await?
        }
    };
    let mut fields = view::file(id, &file, call.place(), view::Eyes::Owner);
    if let Some(fields) = fields.as_object_mut() {
        fields.insert("fileId".to_owned(), json!(id.to_string()));
        fields.insert("contentType".to_owned(), json!(view::served_type(&file)));
    }
    Ok(Answer::created(fields))
}

/// Stores the bytes of a file that is known; it is active then.
pub(super) async fn put<S>(
    bucket: &BucketName,
    store: &Store,
    (file, sent, condition): (&File, Sent, WriteCondition),
    source: S,
) -> Result<(), FilesError>
where
    S: Stream<Item = Result<Bytes, SourceError>> + Send + Unpin,
{
    let mut expected = Expected::of(&file.limits, file.declared_type.as_deref());
    expected.also_declared(sent.declared.as_ref().map(Mime::as_str));
    expected.check_announced(sent.len)?;
    let (source, look) = watch(Box::pin(source), expected);
    let put = PutObject {
        bucket: bucket.clone(),
        key: object_key(file)?,
        metadata: Metadata {
            content_type: file.declared_type.clone(),
            ..Metadata::default()
        },
        labels: file.labels.clone(),
        body: NewBody {
            source,
            len: sent.len,
            content_md5: None,
            checksum: match sent.sha256 {
                Some(sha256) => ChecksumRequest::Verify(Checksum::Sha256(sha256)),
                None => ChecksumRequest::None,
            },
        },
        condition,
    };
    store.witnessed(look).put_object(put).await?;
    Ok(())
}

/// What the headers say of a raw body.
pub(super) fn sent(parts: &Parts) -> Result<Sent, FilesError> {
    let text = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
    let declared = text(CONTENT_TYPE.as_str()).map(Mime::parse).transpose()?;
    let len = text(CONTENT_LENGTH.as_str()).and_then(|len| len.parse().ok());
    let mut sha256 = None;
    for name in ["repr-digest", "content-digest", "digest"] {
        if let Some(digest) = text(name) {
            sha256 = sha256.or(digest_of(digest)?);
        }
    }
    Ok(Sent { declared, len, sha256 })
}

/// The SHA-256 in `sha-256=:…:` (RFC 9530) or `sha-256=…` (RFC 3230), in base64; other digests are not looked at.
fn digest_of(text: &str) -> Result<Option<[u8; 32]>, FilesError> {
    let named = text.split(',').filter_map(|one| one.trim().split_once('='));
    let mut found = named.filter(|(name, _)| name.eq_ignore_ascii_case("sha-256"));
    let Some((_, value)) = found.next() else {
        return Ok(None);
    };
    let bytes = base64_simd::STANDARD.decode_to_vec(value.trim_matches(':')).ok();
    let digest = bytes.and_then(|bytes| bytes.try_into().ok());
    let wrong = || FilesError::because(Code::BAD_DIGEST, "A digest is written as sha-256=:base64:.");
    digest.map(Some).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::digest_of;

    #[test]
    fn digests_are_read_in_both_forms() {
        let hash = crate::auth::sha256(b"stone");
        let text = base64_simd::STANDARD.encode_to_string(hash);
        for form in [
            format!("sha-256=:{text}:"),
            format!("SHA-256={text}"),
            format!("md5=x, sha-256=:{text}:"),
        ] {
            assert_eq!(digest_of(&form).unwrap(), Some(hash), "{form}");
        }
        assert_eq!(digest_of("md5=:x:").unwrap(), None);
        for wrong in ["sha-256=:x:", "sha-256=", "sha-256=:aGVsbG8=:"] {
            assert!(digest_of(wrong).is_err(), "{wrong}");
        }
    }
}
