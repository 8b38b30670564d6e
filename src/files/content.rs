//! The bytes of a file, judged at each request: ranges, conditions, and headers that keep them from acting as a page.

use futures::TryStreamExt;
use http::header::{
    ACCEPT_RANGES, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_RANGE, LAST_MODIFIED,
    RANGE,
};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use storage_engine::store::clock::Timestamp;
use storage_engine::store::condition::ETagMatch;
use storage_engine::store::files::{File, FileState};
use storage_engine::store::object::get::{GetObject, ObjectHead, Selection};
use time::OffsetDateTime;
use time::macros::format_description;

use super::answer::private;
use super::call::{Call, object_key};
use super::error::{Code, FilesError};
use super::view;
use crate::access::Action;
use crate::http::body::{self, Body};
use crate::http::conditions::{self, RangeHeader};
use crate::media::{self, FileName};

/// `GET` and `HEAD /files/:id/content`.
pub(super) async fn read(call: &Call<'_>, parts: &Parts) -> Result<Response<Body>, FilesError> {
    let known = call.named().await?;
    let store = call.open(Action::GetObject, &known.file).await?;
    let file = &known.file;
    if !matches!(file.state, FileState::Active | FileState::Received) {
        return Err(FilesError::because(
            Code::NOT_FOUND,
            "No bytes have been uploaded to this file yet.",
        ));
    }
    let headers = &parts.headers;
    let get = GetObject {
        bucket: call.caller.bucket.clone(),
        key: object_key(file)?,
        version: None,
        selection: selection(headers, file),
        conditions: conditions::of_headers(headers),
    };
    let (head, body) = if parts.method == Method::HEAD {
        (store.head_object(&get).await?, body::empty())
    } else {
        let read = store.get_object(&get).await?;
        let frames = read.body.map_ok(Frame::data).map_err(Into::into);
        (read.head, StreamBody::new(frames).boxed_unsync())
    };
    let mut response = Response::new(body);
    if head.partial {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    describe(call, file, &head, response.headers_mut())?;
    Ok(response)
}

/// Which bytes. With `If-Range`, a range is meant only for the bytes it names; of any others the whole is wanted.
fn selection(headers: &HeaderMap, file: &File) -> Selection {
    let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let Some(range) = text(&RANGE).and_then(conditions::range) else {
        return Selection::Whole;
    };
    let same = text(&IF_RANGE).is_none_or(|wanted| match (conditions::date(wanted), &file.etag) {
        (Some(date), _) => file
            .received
            .is_some_and(|received| received.seconds() == date.seconds()),
        // A weak tag never stands for the same bytes.
        (None, Some(etag)) => !wanted.starts_with("W/") && ETagMatch::parse(wanted).matches(etag),
        (None, None) => false,
    });
    match range {
        _ if !same => Selection::Whole,
        RangeHeader::From { first, last } => Selection::From { first, last },
        RangeHeader::Suffix { length } => Selection::Last { len: length },
    }
}

fn describe(call: &Call<'_>, file: &File, head: &ObjectHead, headers: &mut HeaderMap) -> Result<(), FilesError> {
    let (object, range) = (&head.object, &head.range);
    let content_type = view::served_type(file);
    // A name that is asked for is held to the same rules as one that is kept.
    let disposition = match call.parameter("download") {
        None => media::attachment(&file.name, &content_type, true),
        Some(name) => media::attachment(FileName::parse(name)?.as_str(), &content_type, false),
    };
    let mut set = |name: HeaderName, text: String| {
        if let Ok(value) = HeaderValue::from_str(&text) {
            headers.insert(name, value);
        }
    };
    set(CONTENT_TYPE, content_type);
    set(CONTENT_DISPOSITION, disposition);
    set(CONTENT_LENGTH, range.end.saturating_sub(range.start).to_string());
    set(ETAG, format!("\"{}\"", object.etag));
    set(ACCEPT_RANGES, "bytes".to_owned());
    set(LAST_MODIFIED, http_date(object.modified));
    if head.partial {
        let last = range.end.saturating_sub(1);
        set(CONTENT_RANGE, format!("bytes {}-{last}/{}", range.start, object.size));
    }
    private(headers);
    media::sandbox(headers);
    headers.insert("referrer-policy", HeaderValue::from_static("no-referrer"));
    Ok(())
}

fn http_date(time: Timestamp) -> String {
    let seconds = i64::try_from(time.seconds()).unwrap_or_default();
    let form =
        format_description!("[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT");
    let time = OffsetDateTime::from_unix_timestamp(seconds).ok();
    time.and_then(|time| time.format(form).ok()).unwrap_or_default()
}
