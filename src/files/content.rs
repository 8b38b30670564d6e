//! The bytes of a file, judged at each request: ranges, conditions, and headers that keep them from acting as a page.

use futures::TryStreamExt;
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_RANGE,
    LAST_MODIFIED, RANGE,
};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use storage_engine::store::Store;
use storage_engine::store::clock::Timestamp;
use storage_engine::store::condition::ETagMatch;
use storage_engine::store::counter::CountError;
use storage_engine::store::files::File;
use storage_engine::store::name::BucketName;
use storage_engine::store::object::get::{GetObject, ObjectHead, Selection};
use storage_engine::store::record::object::Object;
use time::OffsetDateTime;
use time::macros::format_description;

use super::answer::private;
use super::call::{Call, object_key};
use super::error::{Code, FilesError};
use super::single::no_bytes;
use super::view;
use crate::access::Action;
use crate::http::KEPT_BY_NOBODY;
use crate::http::body::{self, Body};
use crate::http::conditions::{self, RangeHeader};
use crate::media::{self, FileName};

/// `GET` and `HEAD /files/:id/content`.
pub(super) async fn read(call: &Call<'_>, parts: &Parts) -> Result<Response<Body>, FilesError> {
    let known = call.named().await?;
    let store = call.open(Action::GetObject, &known.file).await?;
    let file = &known.file;
    if !file.state.has_bytes() {
        return Err(no_bytes());
    }
    // A name that is asked for is held to the same rules as one that is kept, whatever the conditions say.
    let saved_as = call.parameter("download").map(FileName::parse).transpose()?;
    let opened = Opened::of(&store, &call.caller.bucket, file, parts).await?;
    call.still_may(Action::GetObject, file, opened.object()).await?;
    let counted = opened.object().labels.counted;
    if counted && parts.method != Method::HEAD {
        count(&store, &call.caller.bucket, file).await?;
    }
    let mut response = match saved_as {
        None => opened.response(file, &file.name, true),
        Some(name) => opened.response(file, name.as_str(), false),
    };
    private(response.headers_mut());
    if counted {
        let nobody = HeaderValue::from_static(KEPT_BY_NOBODY);
        response.headers_mut().insert(CACHE_CONTROL, nobody);
    }
    Ok(response)
}

/// Bytes of a file, chosen and opened for whoever was let.
pub(super) struct Opened {
    head: ObjectHead,
    body: Body,
}

impl Opened {
    /// Those that a GET or HEAD asks for, with its range and conditions.
    pub(super) async fn of(store: &Store, bucket: &BucketName, file: &File, parts: &Parts) -> Result<Self, FilesError> {
        let headers = &parts.headers;
        let get = GetObject {
            bucket: bucket.clone(),
            key: object_key(file)?,
            version: None,
            selection: selection(headers, file),
            conditions: conditions::of_headers(headers),
        };
        if parts.method == Method::HEAD {
            let (head, body) = (store.head_object(&get).await?, body::empty());
            return Ok(Self { head, body });
        }
        let read = store.get_object(&get).await?;
        let frames = read.body.map_ok(Frame::data).map_err(Into::into);
        let body = StreamBody::new(frames).boxed_unsync();
        Ok(Self { head: read.head, body })
    }

    /// Whether they are those that the record is about.
    pub(super) fn is_of(&self, file: &File) -> bool {
        file.etag.is_none_or(|etag| etag == self.head.object.etag)
    }

    /// The object that they are of.
    pub(super) fn object(&self) -> &Object {
        &self.head.object
    }

    /// The answer that holds them, under this name; `inline`: shown if their type is a safe one, and not saved.
    pub(super) fn response(self, file: &File, name: &str, inline: bool) -> Response<Body> {
        let mut response = Response::new(self.body);
        if self.head.partial {
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        }
        describe(file, &self.head, (name, inline), response.headers_mut());
        response
    }
}

/// Counts a download, before its first byte goes out.
async fn count(store: &Store, bucket: &BucketName, file: &File) -> Result<(), FilesError> {
    match store.count_download(bucket, &object_key(file)?).await {
        Ok(()) => Ok(()),
        // It is in the trash by now.
        Err(CountError::NothingLeft) => Err(Code::NOT_FOUND.into()),
        Err(CountError::Fault(fault)) => Err(fault.into()),
    }
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

fn describe(file: &File, head: &ObjectHead, (name, inline): (&str, bool), headers: &mut HeaderMap) {
    let (object, range) = (&head.object, &head.range);
    let content_type = view::served_type(file);
    let disposition = media::attachment(name, &content_type, inline);
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
    media::sandbox(headers);
    headers.insert("referrer-policy", HeaderValue::from_static("no-referrer"));
}

fn http_date(time: Timestamp) -> String {
    let seconds = i64::try_from(time.seconds()).unwrap_or_default();
    let form =
        format_description!("[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT");
    let time = OffsetDateTime::from_unix_timestamp(seconds).ok();
    time.and_then(|time| time.format(form).ok()).unwrap_or_default()
}
