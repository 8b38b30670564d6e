//! tus 1.0 with all its extensions: what each of its requests is answered.

use http::header::{CACHE_CONTROL, LOCATION};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use storage_engine::store::clock::Timestamp;
use storage_engine::store::record::resumable::Purpose;
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use super::asked::{self, Sent, TUS_VERSION, Wrong};
use super::digest::TUS_ALGORITHMS;
use super::incoming;
use super::metadata::{Concat, Said};
use super::upload::{More, NewUpload, Refused, Upload, address};
use crate::files::call::Call;
use crate::files::error::{Code, FilesError};
use crate::http::body::{self, Body, RequestBody};

pub(super) const RESUMABLE: HeaderName = HeaderName::from_static("tus-resumable");
pub(super) const OFFSET: HeaderName = HeaderName::from_static("upload-offset");
pub(super) const LENGTH: HeaderName = HeaderName::from_static("upload-length");
/// Names the file that an upload becomes: our own.
pub(super) const FILE: HeaderName = HeaderName::from_static("upload-file-id");
const VERSION: HeaderName = HeaderName::from_static("tus-version");
const EXTENSION: HeaderName = HeaderName::from_static("tus-extension");
const MAX_SIZE: HeaderName = HeaderName::from_static("tus-max-size");
const CHECKSUM_ALGORITHM: HeaderName = HeaderName::from_static("tus-checksum-algorithm");
const DEFER_LENGTH: HeaderName = HeaderName::from_static("upload-defer-length");
const METADATA: HeaderName = HeaderName::from_static("upload-metadata");
const CONCAT: HeaderName = HeaderName::from_static("upload-concat");
const EXPIRES: HeaderName = HeaderName::from_static("upload-expires");

const EXTENSIONS: &str = "creation,creation-with-upload,creation-defer-length,expiration,checksum,checksum-trailer,\
                          termination,concatenation,concatenation-unfinished";
const HTTP_DATE: &[BorrowedFormatItem<'_>] =
    format_description!("[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT");

/// Answers OPTIONS: what is spoken.
pub(super) fn options(headers: &mut HeaderMap, size_max: u64) {
    headers.insert(VERSION, HeaderValue::from_static(TUS_VERSION));
    headers.insert(EXTENSION, HeaderValue::from_static(EXTENSIONS));
    headers.insert(MAX_SIZE, HeaderValue::from(size_max));
    headers.insert(CHECKSUM_ALGORITHM, HeaderValue::from_static(TUS_ALGORITHMS));
}

/// A refusal of a version that is not spoken, or of a header that cannot be read.
pub(super) fn wrong(wrong: Wrong) -> FilesError {
    match wrong {
        Wrong::TusVersion => FilesError::because(
            Code::UPLOAD_VERSION,
            "Send Tus-Resumable: 1.0.0, or Upload-Draft-Interop-Version: 8.",
        )
        .with_header(VERSION, HeaderValue::from_static(TUS_VERSION)),
        Wrong::DraftVersion => FilesError::because(Code::UPLOAD_DRAFT, "Send Upload-Draft-Interop-Version: 8."),
        Wrong::Type(expected) => FilesError::because(
            Code::UPLOAD_TYPE,
            format!("The bytes of an upload are sent as {expected}."),
        ),
        Wrong::Header(unreadable) => FilesError::field(unreadable.0),
    }
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
        ("HEAD", Some(id)) => look(Upload::find(call, id).await?).await,
        ("PATCH", Some(id)) => {
            let appending = asked::tus_appending(headers).map_err(wrong)?;
            let mut upload = Upload::find(call, id).await?;
            if let Some(length) = appending.length {
                upload.set_length(appending.offset, length).await?;
            }
            let empty = appending.sent.len == Some(0);
            match send(&mut upload, appending.offset, appending.sent, body).await {
                Ok(()) => {}
                // A client that missed the last answer asks again with nothing left to send.
                Err(Refused::Complete) if empty => upload.rest().await?,
                Err(Refused::Complete) => return Err(Code::BODY_TOO_LARGE.into()),
                Err(refused) => return Err(refused),
            }
            let mut response = empty_answer(StatusCode::NO_CONTENT);
            progress(&upload, response.headers_mut());
            Ok(response)
        }
        ("DELETE", Some(id)) => {
            Upload::find(call, id).await?.end().await?;
            Ok(empty_answer(StatusCode::NO_CONTENT))
        }
        _ => Err(Code::METHOD_NOT_ALLOWED.into()),
    }
}

async fn create(call: &Call<'_>, headers: &HeaderMap, body: RequestBody) -> Result<Response<Body>, Refused> {
    let creation = asked::tus_creation(headers).map_err(wrong)?;
    let mut upload = match &creation.concat {
        Some(Concat::Partial) => Upload::begin_piece(call, creation.length, &creation.said).await?,
        Some(Concat::Final(_)) | None => {
            let pieces = match creation.concat {
                Some(Concat::Final(addresses)) => Some(addresses),
                Some(Concat::Partial) | None => None,
            };
            let said = Said::read(&creation.said).map_err(|unreadable| FilesError::field(unreadable.0))?;
            let new = NewUpload {
                said,
                header: creation.said,
                length: creation.length,
                digest: None,
                pieces,
            };
            Upload::begin(call, new).await?
        }
    };
    let with_bytes = creation.body.is_some();
    match creation.body {
        Some(sent) => send(&mut upload, 0, sent, body).await?,
        None => upload.rest().await?,
    }
    let mut response = empty_answer(StatusCode::CREATED);
    let headers = response.headers_mut();
    headers.insert(LOCATION, text(&upload.address())?);
    progress(&upload, headers);
    if !with_bytes {
        headers.remove(OFFSET);
    }
    Ok(response)
}

async fn send(upload: &mut Upload<'_>, offset: u64, sent: Sent, body: RequestBody) -> Result<(), Refused> {
    let (source, digest) = incoming::open(body, sent.digest);
    let more = More {
        offset,
        len: sent.len,
        source,
        digest,
        last: false,
    };
    upload.append(more).await.map(drop)
}

async fn look(mut upload: Upload<'_>) -> Result<Response<Body>, Refused> {
    upload.rest().await?;
    let mut response = empty_answer(StatusCode::OK);
    let headers = response.headers_mut();
    progress(&upload, headers);
    match upload.record.length {
        Some(length) => drop(headers.insert(LENGTH, HeaderValue::from(length))),
        None if matches!(upload.record.purpose, Purpose::Final { .. }) => {}
        None => drop(headers.insert(DEFER_LENGTH, HeaderValue::from_static("1"))),
    }
    if !upload.header().is_empty() {
        headers.insert(METADATA, text(upload.header())?);
    }
    match &upload.record.purpose {
        Purpose::Object(_) => {}
        Purpose::Partial { .. } => drop(headers.insert(CONCAT, HeaderValue::from_static("partial"))),
        Purpose::Final { partials, .. } => {
            let addresses = partials.iter().map(|id| address(upload.call(), id));
            let addresses: Vec<String> = addresses.collect();
            headers.insert(CONCAT, text(&format!("final;{}", addresses.join(" ")))?);
        }
    }
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// How far it is, and how long it lives. Of one that is made of others nothing is told before it is made.
fn progress(upload: &Upload<'_>, headers: &mut HeaderMap) {
    let record = &upload.record;
    let is_final = matches!(record.purpose, Purpose::Final { .. });
    if !is_final || record.done.is_some() {
        headers.insert(OFFSET, HeaderValue::from(record.offset));
    }
    if record.done.is_none()
        && let Some(expires) = http_date(record.expires)
    {
        headers.insert(EXPIRES, expires);
    }
    if let Some(file) = upload.file() {
        headers.insert(FILE, file);
    }
}

pub(super) fn empty_answer(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(body::empty());
    *response.status_mut() = status;
    response
}

/// A value that came in a header, or is made of digits and letters.
pub(super) fn text(value: &str) -> Result<HeaderValue, Refused> {
    HeaderValue::from_str(value).map_err(|_| Code::INTERNAL.into())
}

fn http_date(time: Timestamp) -> Option<HeaderValue> {
    let seconds = i64::try_from(time.seconds()).ok()?;
    let time = OffsetDateTime::from_unix_timestamp(seconds).ok()?;
    HeaderValue::from_str(&time.format(HTTP_DATE).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_have_the_form_of_http() {
        let date = http_date(Timestamp::from_millis(784_111_777_999)).unwrap();
        assert_eq!(date, "Sun, 06 Nov 1994 08:49:37 GMT");
    }
}
