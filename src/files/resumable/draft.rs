//! The IETF's resumable uploads, interop version 8: what each of its requests is answered.
//!
//! Interim answers (104) are not sent: the HTTP library under this server sends none but 100. Clients that wait for none
//! lose nothing: the address stands in the answer of a creation without the last bytes.

use http::header::{CACHE_CONTROL, CONTENT_TYPE, LOCATION};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use serde_json::{Map, Value, json};

use super::asked::{self, Appending, INTEROP_VERSION};
use super::incoming;
use super::metadata::Said;
use super::tus::{FILE, LENGTH, OFFSET, empty_answer, text, wrong};
use super::upload::{LIFE_MS, More, NewUpload, Refused, Upload};
use crate::files::call::Call;
use crate::files::error::{Code, FilesError};
use crate::http::body::{self, Body, RequestBody};

const COMPLETE: HeaderName = HeaderName::from_static("upload-complete");
const LIMIT: HeaderName = HeaderName::from_static("upload-limit");
const VERSION: HeaderName = HeaderName::from_static("upload-draft-interop-version");
/// Where the types of problems are registered.
const PROBLEMS: &str = "https://iana.org/assignments/http-problem-types#";

/// Answers OPTIONS: what an upload may be.
pub(super) fn options(headers: &mut HeaderMap, size_max: u64) {
    if let Ok(limit) = text(&format!("max-size={size_max}, max-age={}", LIFE_MS / 1_000)) {
        headers.insert(LIMIT, limit);
    }
    headers.insert(VERSION, HeaderValue::from_static(INTEROP_VERSION));
}

/// Answers one request about an upload, or for a new one.
pub(super) async fn answer(
    call: &Call<'_>,
    (method, id): (&Method, Option<&str>),
    headers: &HeaderMap,
    body: RequestBody,
) -> Result<Response<Body>, Refused> {
    match (method.as_str(), id) {
        ("POST", None) => create(call, headers, body).await,
        ("HEAD", Some(id)) => {
            asked::draft_look(headers).map_err(wrong)?;
            let mut upload = Upload::find(call, id).await?;
            upload.rest().await?;
            let mut response = empty_answer(StatusCode::NO_CONTENT);
            progress(&upload, response.headers_mut())?;
            let headers = response.headers_mut();
            if let Some(length) = upload.record.length {
                headers.insert(LENGTH, HeaderValue::from(length));
            }
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
            Ok(response)
        }
        ("PATCH", Some(id)) => {
            let appending = asked::draft_appending(headers).map_err(wrong)?;
            let mut upload = Upload::find(call, id).await?;
            send(&mut upload, appending, body).await?;
            let mut response = empty_answer(StatusCode::NO_CONTENT);
            progress(&upload, response.headers_mut())?;
            Ok(response)
        }
        ("DELETE", Some(id)) => {
            asked::draft_look(headers).map_err(wrong)?;
            Upload::find(call, id).await?.end().await?;
            Ok(empty_answer(StatusCode::NO_CONTENT))
        }
        _ => Err(Code::METHOD_NOT_ALLOWED.into()),
    }
}

async fn create(call: &Call<'_>, headers: &HeaderMap, body: RequestBody) -> Result<Response<Body>, Refused> {
    let creation = asked::draft_creation(headers).map_err(wrong)?;
    let mut said = Said::read(&creation.said).map_err(|unreadable| FilesError::field(unreadable.0))?;
    said.filename = said.filename.or(creation.filename);
    said.content_type = said.content_type.or(creation.content_type);
    let new = NewUpload {
        said,
        header: creation.said,
        length: creation.appending.length,
        digest: creation.repr_digest,
        pieces: None,
    };
    let mut upload = Upload::begin(call, new).await?;
    let sent = send(&mut upload, creation.appending, body).await;
    let mut response = match sent {
        Ok(()) => empty_answer(StatusCode::CREATED),
        // The upload is there, and can be gone on with.
        Err(refused) => problem(refused),
    };
    let headers = response.headers_mut();
    headers.insert(LOCATION, text(&upload.address())?);
    progress(&upload, headers)?;
    Ok(response)
}

async fn send(upload: &mut Upload<'_>, appending: Appending, body: RequestBody) -> Result<(), Refused> {
    if upload.record.done.is_some() {
        return Err(Refused::Complete);
    }
    if let Some(length) = appending.length {
        upload.set_length(appending.offset, length).await?;
    }
    let (source, digest) = incoming::open(body, appending.sent.digest);
    let more = More {
        offset: appending.offset,
        len: appending.sent.len,
        source,
        digest,
        last: appending.last,
    };
    upload.append(more).await.map(drop)
}

fn progress(upload: &Upload<'_>, headers: &mut HeaderMap) -> Result<(), Refused> {
    let record = &upload.record;
    let complete = if record.done.is_some() { "?1" } else { "?0" };
    headers.insert(OFFSET, HeaderValue::from(record.offset));
    headers.insert(COMPLETE, HeaderValue::from_static(complete));
    let age = record.expires.seconds().saturating_sub(upload.call().time().seconds());
    let limit = match record.size_max {
        Some(max) => format!("max-size={max}, max-age={age}"),
        None => format!("max-age={age}"),
    };
    headers.insert(LIMIT, text(&limit)?);
    if let Some(file) = upload.file() {
        headers.insert(FILE, file);
    }
    Ok(())
}

/// A refusal as a problem (RFC 9457), where the draft has a type for it.
pub(super) fn problem(refused: Refused) -> Response<Body> {
    let (status, name, title, more) = match &refused {
        Refused::Offset { stored, given } => {
            let offsets = json!({ "expected-offset": stored, "provided-offset": given });
            let title = "offset from request does not match offset of resource";
            (StatusCode::CONFLICT, "mismatching-upload-offset", title, offsets)
        }
        Refused::Complete => {
            let title = "upload is already completed";
            (StatusCode::BAD_REQUEST, "completed-upload", title, Value::Null)
        }
        Refused::Length(_) => {
            let title = "inconsistent length values for upload";
            (
                StatusCode::BAD_REQUEST,
                "inconsistent-upload-length",
                title,
                Value::Null,
            )
        }
        // 460 is a word of tus.
        Refused::Digest => return FilesError::from(Code::BAD_DIGEST).response(),
        Refused::Other(_) => return refused.response(),
    };
    let mut document: Map<String, Value> = more.as_object().cloned().unwrap_or_default();
    document.insert("type".into(), json!(format!("{PROBLEMS}{name}")));
    document.insert("title".into(), json!(title));
    document.insert("status".into(), json!(status.as_u16()));
    let mut response = Response::new(body::full(Value::Object(document).to_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    if let Refused::Offset { stored, .. } = refused {
        headers.insert(OFFSET, HeaderValue::from(stored));
    }
    response
}
