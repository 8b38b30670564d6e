//! A file sent through this front: raw or by an HTML form, for servers and small pages.

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt, TryStreamExt};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::request::Parts;
use http_body::Body as _;
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
use super::fields::{Fields, told, written};
use super::plan::Plan;
use super::view;
use crate::http::body::RequestBody;
use crate::intake::{Expected, watch};
use crate::media::{FileName, Mime};

/// Bytes of one field of a form beside the file.
const FIELD_BYTES_MAX: usize = 64 * 1024;
/// Fields of a form before the file.
const FIELDS_MAX: usize = 32;

/// What the query of a raw upload may say of the file.
const SAID: [&str; 9] = [
    "visibility",
    "category",
    "bucket",
    "metadata",
    "tags",
    "sha256",
    "fileSize",
    "deleteAfter",
    "maxDownloads",
];

/// What stands of the bytes in a request.
#[derive(Default)]
pub(super) struct Sent {
    pub(super) declared: Option<Mime>,
    pub(super) len: Option<u64>,
    pub(super) sha256: Option<[u8; 32]>,
    /// `Content-MD5`.
    pub(super) md5: Option<[u8; 16]>,
}

/// The bytes of a file as they come.
pub(super) type Source = BoxStream<'static, Result<Bytes, SourceError>>;

/// A form, read up to its file.
struct Form {
    /// The fields before it.
    said: Map<String, Value>,
    name: String,
    declared: Option<Mime>,
    source: Source,
}

/// A form goes on behind its file, which is stored by then but for its end.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct AfterFile(String);

/// `POST /files/upload`.
pub(super) async fn relay(call: &Call<'_>, parts: &Parts, body: RequestBody) -> Result<Answer, FilesError> {
    match boundary(parts) {
        Some(boundary) => by_form(call, read_form(body, boundary).await?).await,
        None => raw(call, parts, body).await,
    }
}

/// Where the parts of a body end that is a form.
fn boundary(parts: &Parts) -> Option<String> {
    let kind = parts.headers.get(CONTENT_TYPE)?.to_str().ok()?;
    multer::parse_boundary(kind).ok()
}

/// The body is the file; what is said of it stands in the query.
async fn raw(call: &Call<'_>, parts: &Parts, body: RequestBody) -> Result<Answer, FilesError> {
    let name = call.parameter("filename").ok_or_else(|| {
        FilesError::because(
            Code::INVALID_NAME,
            "filename is required: ?filename=photo.png, or a form with a file in it.",
        )
    })?;
    let sent = sent(parts)?;
    let mime = sent.declared.clone().unwrap_or_else(Mime::unknown);
    let fields = call.said(&SAID)?;
    let size = fields.size("fileSize")?.or(sent.len);
    let plan = Plan::of(call, (FileName::parse(name)?, mime, size), &fields).await?;
    store(call, &plan, sent, BodyDataStream::new(body)).await
}

/// The fields come before the file, which is the last one.
async fn by_form(call: &Call<'_>, form: Form) -> Result<Answer, FilesError> {
    let mime = form.declared.clone().unwrap_or_else(Mime::unknown);
    let fields = Fields::of(&Value::Object(form.said))?;
    let size = fields.size("fileSize")?;
    let plan = Plan::of(call, (FileName::parse(&form.name)?, mime, size), &fields).await?;
    let sent = Sent {
        declared: form.declared,
        ..Sent::default()
    };
    store(call, &plan, sent, form.source).await
}

async fn read_form(body: RequestBody, boundary: String) -> Result<Form, FilesError> {
    let malformed = |error: multer::Error| FilesError::field(format!("The form cannot be read: {error}."));
    let stream = BodyDataStream::new(body).map_err(std::io::Error::other);
    let mut form = multer::Multipart::new(stream, boundary);
    let mut said = Map::new();
    while let Some(mut field) = form.next_field().await.map_err(malformed)? {
        if let Some(name) = field.file_name().map(str::to_owned) {
            let declared = field.content_type().map(|kind| Mime::parse(kind.as_ref()));
            return Ok(Form {
                said,
                name,
                declared: declared.transpose()?,
                source: last_of(form, field),
            });
        }
        let name = field.name().unwrap_or_default().to_owned();
        let mut text = Vec::new();
        while let Some(bytes) = field.chunk().await.map_err(malformed)? {
            text.extend_from_slice(&bytes);
            if text.len() > FIELD_BYTES_MAX {
                return Err(Code::REQUEST_TOO_LARGE.into());
            }
        }
        let text = String::from_utf8(text).map_err(|_| FilesError::field(format!("{} is not text.", told(&name))))?;
        if said.len() >= FIELDS_MAX {
            return Err(FilesError::field(format!(
                "A form has at most {FIELDS_MAX} fields before its file."
            )));
        }
        said.insert(name.clone(), written(&name, text)?);
    }
    Err(FilesError::field("The form holds no file."))
}

/// The bytes of the file of a form. They end in an error, so that nothing is stored, where the form goes on behind them: what
/// follows was to say something of the file, or is another one.
fn last_of(form: multer::Multipart<'static>, file: multer::Field<'static>) -> Source {
    let steps = futures::stream::try_unfold((form, Some(file)), |(mut form, file)| async move {
        let Some(mut file) = file else { return Ok(None) };
        if let Some(bytes) = file.chunk().await? {
            return Ok(Some((bytes, (form, Some(file)))));
        }
        // The form gives out its next field when nobody has this one any more.
        drop(file);
        match form.next_field().await? {
            None => Ok(None),
            Some(field) => {
                let name = told(field.name().unwrap_or_default());
                let refused = match field.file_name() {
                    Some(_) => {
                        AfterFile("A form holds one file; send the next one by a request of its own.".to_owned())
                    }
                    None => AfterFile(format!("The field {name} comes after the file; put it before it.")),
                };
                Err(SourceError::from(refused))
            }
        }
    });
    steps.boxed()
}

/// The file that a request brings and says nothing of: its body, or what a form holds alone.
pub(super) async fn file_of(parts: &Parts, body: RequestBody) -> Result<(Sent, Source), FilesError> {
    if let Some(boundary) = boundary(parts) {
        let form = read_form(body, boundary).await?;
        if let Some(name) = form.said.keys().next() {
            let name = told(name);
            return Err(FilesError::field(format!(
                "A form holds the file alone here, and no field {name}."
            )));
        }
        if form.name.is_empty() {
            return Err(FilesError::field("No file was chosen in the form."));
        }
        let sent = Sent {
            declared: form.declared,
            ..Sent::default()
        };
        return Ok((sent, form.source));
    }
    let sent = sent(parts)?;
    let is_empty = sent.len == Some(0) || body.is_end_stream();
    if is_empty && sent.declared.is_none() && sent.sha256.is_none() {
        return Err(FilesError::field(
            "The request has no body. If the file is to be empty, say so by a Content-Type.",
        ));
    }
    Ok((sent, BodyDataStream::new(body).boxed()))
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
            content_md5: sent.md5,
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
    let declared = text(CONTENT_TYPE.as_str()).map(Mime::declared).transpose()?;
    let len = text(CONTENT_LENGTH.as_str()).and_then(|len| len.parse().ok());
    let mut sha256 = None;
    for name in ["repr-digest", "content-digest", "digest"] {
        if let Some(digest) = text(name) {
            sha256 = sha256.or(digest_of(digest)?);
        }
    }
    Ok(Sent {
        // What curl says of whatever it posts is no word on it.
        declared: declared.filter(|mime| mime.essence() != "application/x-www-form-urlencoded"),
        len,
        sha256,
        md5: text("content-md5").map(md5_of).transpose()?,
    })
}

fn md5_of(text: &str) -> Result<[u8; 16], FilesError> {
    let bytes = base64_simd::STANDARD.decode_to_vec(text.trim()).ok();
    let md5 = bytes.and_then(|bytes| bytes.try_into().ok());
    md5.ok_or_else(|| FilesError::because(Code::BAD_DIGEST, "Content-MD5 is an MD5 in base64."))
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
