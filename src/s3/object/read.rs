//! GetObject and HeadObject: what is asked for, and the answer's headers.

use http::header::{CONTENT_DISPOSITION, ETAG, EXPIRES, IF_RANGE, LAST_MODIFIED, RANGE};
use http::{Extensions, HeaderMap, HeaderValue, Uri};
use http_body_util::StreamBody;
use s3s::Body;
use s3s::dto::{
    ETag as WireETag, GetObjectInput, GetObjectOutput, HeadObjectInput, HeadObjectOutput, StreamingBlob,
    TimestampFormat,
};
use s3s::{S3Request, S3Response};
use storage_engine::backend::BodyStream;
use storage_engine::store::Store;
use storage_engine::store::condition::{ETagMatch, ReadConditions};
use storage_engine::store::name::{BucketName, ObjectKey, PartNumber, VersionId};
use storage_engine::store::object::get::{GetObject, GetObjectError, ObjectHead, Selection};
use storage_engine::store::record::object::Object;

use crate::access::{Action, Resource};
use crate::media;
use crate::s3::catalogue;
use crate::s3::conditions::{self, RangeHeader};
use crate::s3::convert::{bucket_name, checksum_text, content_type, http_time, object_key, set_checksum, type_name};
use crate::s3::downloads;
use crate::s3::error::{Code, Failure};
use crate::s3::front::{Basis, Front, Opened};
use crate::s3::link;
use crate::s3::normalise::Lifted;
use crate::s3::tagging;

use super::stranger;

/// A GET or HEAD on its way: what is asked for, and the store for a caller who may read it.
struct Reading<'r> {
    front: &'r Front,
    extensions: &'r Extensions,
    lifted: Lifted,
    get: GetObject,
    store: Store,
    basis: Basis,
    /// A browser may show the answer, so that it must not act as a page of this origin.
    is_shown: bool,
}

/// What the answer to a read has.
#[derive(Clone, Copy)]
enum Gives {
    Bytes,
    Head,
}

impl<'r> Reading<'r> {
    /// Opens the store for whoever may read the object, and settles what the range is meant for.
    async fn open(
        front: &'r Front,
        (extensions, uri): (&'r Extensions, &Uri),
        (lifted, mut get): (Lifted, GetObject),
    ) -> Result<Self, Failure> {
        if stranger::calls(extensions) && uri.query().is_some_and(|query| query.contains("response-")) {
            let message = "Request specific response headers cannot be used for anonymous GET requests.";
            return Err(Failure::because(Code::INVALID_REQUEST, message));
        }
        let action = action_on(get.version.is_some());
        let resource = Resource::Object {
            bucket: get.bucket.as_str(),
            key: get.key.as_str(),
        };
        let Opened { store, basis, settings } = front.open_judged(extensions, action, resource).await?;
        let is_shown = stranger::is_shown(extensions, catalogue::keeps_one(settings.as_deref()));
        if let Some(terms) = link::terms(extensions) {
            link::file(&store, terms, (&get.bucket, &get.key)).await?;
        }
        if let Err(failure) = honour_if_range(&store, &mut get, &lifted).await {
            return Err(front.told(extensions, (&get.bucket, &get.key), failure).await);
        }
        Ok(Self {
            front,
            extensions,
            lifted,
            get,
            store,
            basis,
            is_shown,
        })
    }

    fn place(&self) -> (&BucketName, &ObjectKey) {
        (&self.get.bucket, &self.get.key)
    }

    /// Why it failed, as this caller may be told it.
    async fn refused(&self, error: GetObjectError) -> Failure {
        let failure = refused(error, &self.get, &self.lifted);
        self.front.told(self.extensions, self.place(), failure).await
    }

    /// Judges once more on what was found, counts the use of a link that `gives` its bytes, and tells who listens of it.
    async fn allow(&self, headers: &HeaderMap, gives: Gives, found: &ObjectHead) -> Result<(), Failure> {
        let action = action_on(self.get.version.is_some());
        let judged = (self.front, self.basis);
        still_may(judged, self.extensions, (action, &self.get), &found.object).await?;
        downloads::admit(self.extensions, &self.get, &found.object)?;
        let event = match gives {
            Gives::Bytes => {
                link::count(&self.store, link::terms(self.extensions)).await?;
                downloads::count(&self.store, &self.get, &found.object).await?;
                "s3:ObjectAccessed:Get"
            }
            Gives::Head => "s3:ObjectAccessed:Head",
        };
        // A read is over when it is answered: who listens from then on has not missed it.
        if self.front.events().is_heard() {
            let (bucket, key) = self.place();
            let pending = self.front.event((self.extensions, headers), bucket, Some(key));
            pending.tell(event, Some((found.object.size, found.object.etag.to_string())));
        }
        Ok(())
    }

    /// What the browser is to do with what is `said` of it, of this type.
    fn disposition(&self, content_type: Option<&str>, said: Option<String>) -> Option<String> {
        match self.is_shown {
            true => media::safe_disposition(content_type, link::disposition(link::terms(self.extensions), said)),
            false => said,
        }
    }

    /// How many tags the answer tells of.
    async fn tag_count(&self, found: &ObjectHead) -> Option<i32> {
        tagging::count(self.front, self.extensions, &found.object.labels.tags, self.place()).await
    }
}

pub(crate) async fn get(front: &Front, req: S3Request<GetObjectInput>) -> Result<S3Response<GetObjectOutput>, Failure> {
    let input = req.input;
    let lifted = req.extensions.get::<Lifted>().cloned().unwrap_or_default();
    let get = lookup(input.bucket, input.key, input.version_id, input.part_number, &lifted)?;
    let reading = Reading::open(front, (&req.extensions, &req.uri), (lifted, get)).await?;
    let read = match reading.store.get_object(&reading.get).await {
        Ok(read) => read,
        Err(error) => return Err(reading.refused(error).await),
    };
    reading.allow(&req.headers, Gives::Bytes, &read.head).await?;
    let checksums = input.checksum_mode.is_some();
    let len = read.head.range.end.saturating_sub(read.head.range.start);
    let mut output = GetObjectOutput {
        body: Some(outgoing(read.body)),
        content_length: i64::try_from(len).ok(),
        ..GetObjectOutput::default()
    };
    describe!(output, read.head, checksums, reading.get.selection);
    output.tag_count = reading.tag_count(&read.head).await;
    output.cache_control = downloads::kept(&read.head.object, output.cache_control);
    let asked = input.response_content_disposition.clone();
    let kind = input.response_content_type.as_ref().or(output.content_type.as_ref());
    let disposition = reading.disposition(kind.map(String::as_str), asked.or(output.content_disposition.take()));
    output.content_disposition.clone_from(&disposition);
    let mut response = S3Response::new(output);
    if reading.is_shown {
        media::sandbox(&mut response.headers);
        // s3s sets what the query asks for over the output, and these headers over both.
        if let Some(text) = disposition {
            let value = HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("attachment"));
            response.headers.insert(CONTENT_DISPOSITION, value);
        }
    }
    if input.response_expires.is_none() {
        set_expires(&mut response.headers, &read.head);
    }
    Ok(response)
}

pub(crate) async fn head(
    front: &Front,
    req: S3Request<HeadObjectInput>,
) -> Result<S3Response<HeadObjectOutput>, Failure> {
    let input = req.input;
    let lifted = req.extensions.get::<Lifted>().cloned().unwrap_or_default();
    let get = lookup(input.bucket, input.key, input.version_id, input.part_number, &lifted)?;
    let reading = Reading::open(front, (&req.extensions, &req.uri), (lifted, get)).await?;
    let head = match reading.store.head_object(&reading.get).await {
        Ok(head) => head,
        Err(error) => return Err(reading.refused(error).await),
    };
    reading.allow(&req.headers, Gives::Head, &head).await?;
    let checksums = input.checksum_mode.is_some();
    let len = head.range.end.saturating_sub(head.range.start);
    let mut output = HeadObjectOutput {
        content_length: i64::try_from(len).ok(),
        ..HeadObjectOutput::default()
    };
    describe!(output, head, checksums, reading.get.selection);
    let tags = reading.tag_count(&head).await;
    output.cache_control = input.response_cache_control.or(output.cache_control);
    output.content_disposition = input.response_content_disposition.or(output.content_disposition);
    output.content_encoding = input.response_content_encoding.or(output.content_encoding);
    output.content_language = input.response_content_language.or(output.content_language);
    output.content_type = input.response_content_type.or(output.content_type);
    output.expires = input.response_expires;
    output.cache_control = downloads::kept(&head.object, output.cache_control);
    let said = output.content_disposition.take();
    output.content_disposition = reading.disposition(output.content_type.as_deref(), said);
    let mut response = S3Response::new(output);
    if reading.is_shown {
        media::sandbox(&mut response.headers);
    }
    if let Some(count) = tags {
        response.headers.insert("x-amz-tagging-count", HeaderValue::from(count));
    }
    if response.output.expires.is_none() {
        set_expires(&mut response.headers, &head);
    }
    Ok(response)
}

/// What was judged before the read must hold of what was read.
pub(super) async fn still_may(
    (front, basis): (&Front, Basis),
    extensions: &Extensions,
    (action, get): (Action, &GetObject),
    found: &Object,
) -> Result<(), Failure> {
    if basis == Basis::Policies {
        return Ok(());
    }
    front
        .still_may(extensions, action, (&get.bucket, &get.key), found)
        .await
}

/// The headers that GET and HEAD share; their output types differ in name only.
macro_rules! describe {
    ($output:expr, $head:expr, $checksums:expr, $selection:expr) => {{
        let (head, object) = (&$head, &$head.object);
        $output.accept_ranges = Some("bytes".to_owned());
        $output.cache_control = object.metadata.cache_control.clone();
        $output.content_disposition = object.metadata.content_disposition.clone();
        $output.content_encoding = object.metadata.content_encoding.clone();
        $output.content_language = object.metadata.content_language.clone();
        $output.content_range = content_range(head);
        $output.content_type = Some(content_type(&object.metadata));
        $output.e_tag = Some(WireETag::Strong(object.etag.to_string()));
        $output.last_modified = Some(http_time(object.modified));
        $output.storage_class = object.metadata.storage_class.clone().map(Into::into);
        if !object.metadata.user.is_empty() {
            $output.metadata = Some(object.metadata.user.iter().cloned().collect());
        }
        let of_part = matches!($selection, Selection::Part(_));
        if of_part {
            let parts = object.parts.as_ref().map(|parts| parts.count());
            $output.parts_count = parts.and_then(|count| i32::try_from(count).ok());
        }
        if $checksums {
            if let Some(checksum) = &head.part_checksum {
                set_checksum!($output, checksum, checksum_text(checksum, None));
                let kind = object.checksum.as_ref().map(|checksum| checksum.kind);
                $output.checksum_type = kind.map(|kind| type_name(kind).to_owned().into());
            } else if let Some(checksum) = object.checksum.as_ref().filter(|_| !head.partial) {
                let parts = super::attributes::composite_of(object);
                set_checksum!($output, checksum.value, checksum_text(&checksum.value, parts));
                $output.checksum_type = Some(type_name(checksum.kind).to_owned().into());
            }
        }
    }};
}
use describe;

/// Reading a version that is named is an action of its own.
pub(crate) fn action_on(version: bool) -> Action {
    if version {
        Action::GetObjectVersion
    } else {
        Action::GetObject
    }
}

/// What a GET or HEAD asks for.
pub(crate) fn lookup(
    bucket: String,
    key: String,
    version_id: Option<String>,
    part_number: Option<i32>,
    lifted: &Lifted,
) -> Result<GetObject, Failure> {
    let range = lifted.text(RANGE).and_then(conditions::range);
    let selection = match (range, part_number) {
        (Some(_), Some(_)) => {
            let message = "Cannot specify both Range header and partNumber query parameter";
            return Err(Failure::because(Code::INVALID_REQUEST, message));
        }
        (Some(RangeHeader::From { first, last }), None) => Selection::From { first, last },
        (Some(RangeHeader::Suffix { length }), None) => Selection::Last { len: length },
        (None, Some(number)) => Selection::Part(part(number)?),
        (None, None) => Selection::Whole,
    };
    Ok(GetObject {
        bucket: bucket_name(bucket)?,
        key: object_key(key)?,
        version: version(version_id)?,
        selection,
        conditions: conditions::of_read(lifted),
    })
}

/// A part number as the query has it.
pub(crate) fn part(number: i32) -> Result<PartNumber, Failure> {
    let number = u16::try_from(number)
        .ok()
        .and_then(|number| PartNumber::new(number).ok());
    number.ok_or_else(|| Failure::argument("Part number must be an integer between 1 and 10000, inclusive"))
}

pub(crate) fn version(text: Option<String>) -> Result<Option<VersionId>, Failure> {
    let Some(text) = text else { return Ok(None) };
    VersionId::parse(&text)
        .map(Some)
        .map_err(|_| Failure::argument("Invalid version id specified"))
}

/// With `If-Range`, a range is meant only for the object it names; of any other the whole is wanted.
async fn honour_if_range(store: &Store, get: &mut GetObject, lifted: &Lifted) -> Result<(), Failure> {
    let ranged = matches!(get.selection, Selection::From { .. } | Selection::Last { .. });
    let Some(wanted) = lifted.text(IF_RANGE).filter(|_| ranged) else {
        return Ok(());
    };
    let whole = GetObject {
        selection: Selection::Whole,
        conditions: ReadConditions::default(),
        ..get.clone()
    };
    let object = store.head_object(&whole).await?.object;
    let same = match conditions::date(wanted) {
        Some(date) => date.seconds() == object.modified.seconds(),
        // A weak tag never stands for the same bytes.
        None => !wanted.starts_with("W/") && ETagMatch::parse(wanted).matches(&object.etag),
    };
    if !same {
        get.selection = Selection::Whole;
    }
    Ok(())
}

/// The stream as s3s carries it; an error in it breaks the connection.
fn outgoing(stream: BodyStream) -> StreamingBlob {
    let frames = futures::TryStreamExt::map_ok(stream, http_body::Frame::data);
    StreamingBlob::from(Body::http_body_unsync(StreamBody::new(frames)))
}

fn content_range(head: &ObjectHead) -> Option<String> {
    let last = head.range.end.checked_sub(1).filter(|last| *last >= head.range.start)?;
    if !head.partial {
        return None;
    }
    Some(format!("bytes {}-{last}/{}", head.range.start, head.object.size))
}

/// `Expires` goes out as it came in, even if it is no date.
fn set_expires(headers: &mut HeaderMap, head: &ObjectHead) {
    let expires = head.object.metadata.expires.as_deref();
    if let Some(value) = expires.and_then(|text| HeaderValue::from_bytes(text.as_bytes()).ok()) {
        headers.insert(EXPIRES, value);
    }
}

/// The failure, with what of the request it is about.
fn refused(error: GetObjectError, get: &GetObject, lifted: &Lifted) -> Failure {
    let failure = Failure::from(error);
    if failure.code == Code::INVALID_RANGE
        && let Some(range) = lifted.text(RANGE)
    {
        return failure.with_field("RangeRequested", range);
    }
    match get.selection {
        Selection::Part(number) if failure.code == Code::INVALID_PART_NUMBER => {
            failure.with_field("PartNumberRequested", number.get())
        }
        Selection::Part(_) | Selection::Whole | Selection::From { .. } | Selection::Last { .. } => failure,
    }
}

impl From<GetObjectError> for Failure {
    fn from(error: GetObjectError) -> Self {
        match error {
            GetObjectError::NoSuchBucket => Code::NO_SUCH_BUCKET.into(),
            GetObjectError::NoSuchKey => Code::NO_SUCH_KEY.into(),
            GetObjectError::NoSuchVersion => Code::NO_SUCH_VERSION.into(),
            GetObjectError::Changed => Code::OPERATION_ABORTED.into(),
            GetObjectError::NotModified { etag, modified } => {
                let mut failure = Failure::new(Code::NOT_MODIFIED);
                if let Ok(value) = HeaderValue::try_from(format!("\"{etag}\"")) {
                    failure = failure.with_header(ETAG, value);
                }
                let mut date = Vec::new();
                if http_time(modified).format(TimestampFormat::HttpDate, &mut date).is_ok()
                    && let Ok(value) = HeaderValue::from_bytes(&date)
                {
                    failure = failure.with_header(LAST_MODIFIED, value);
                }
                failure
            }
            GetObjectError::PreconditionFailed(_) => Code::PRECONDITION_FAILED.into(),
            GetObjectError::RangeNotSatisfiable { size } => {
                let failure = Failure::new(Code::INVALID_RANGE).with_field("ActualObjectSize", size);
                match HeaderValue::try_from(format!("bytes */{size}")) {
                    Ok(value) => failure.with_header(http::header::CONTENT_RANGE, value),
                    Err(_) => failure,
                }
            }
            GetObjectError::NoSuchPart { count } => {
                Failure::new(Code::INVALID_PART_NUMBER).with_field("ActualPartCount", count)
            }
            GetObjectError::Fault(fault) => fault.into(),
        }
    }
}
