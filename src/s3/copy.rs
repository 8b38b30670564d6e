//! CopyObject and UploadPartCopy.

use http::{Extensions, HeaderMap};
use s3s::dto::{
    CopyObjectInput, CopyObjectOutput, CopyObjectResult, CopyPartResult, CopySource as WireSource, ETag as WireETag,
    MetadataDirective, UploadPartCopyInput, UploadPartCopyOutput,
};
use s3s::{S3Request, S3Response};
use storage_engine::store::Store;
use storage_engine::store::condition::ETagMatch;
use storage_engine::store::multipart::part::UploadPartCopyError;
use storage_engine::store::object::copy::{CopyObject, CopyObjectError, CopySource, CopySourceError};
use storage_engine::store::object::get::{GetObject, Selection};
use storage_engine::store::object::labels::ObjectPlace;
use storage_engine::store::object::put::Stored;

use super::acl;
use super::catalogue;
use super::conditions::{self, RangeHeader};
use super::convert::{
    self, bucket_name, checksum_text, object_key, set_checksum, storage_class, texts, type_name, wire_time,
};
use super::downloads;
use super::error::{Code, Failure};
use super::front::{Basis, Front};
use super::multipart::place;
use super::normalise::Lifted;
use super::object::{action_on, put_failed, version};
use super::tagging;
use crate::access::{Action, Resource};

/// How often a source that is replaced while it is looked at is looked at.
const SOURCE_RACES_MAX: usize = 8;

pub(crate) async fn object(
    front: &Front,
    req: S3Request<CopyObjectInput>,
) -> Result<S3Response<CopyObjectOutput>, Failure> {
    // What was judged and what is copied must be one source. When it is replaced in between, the new one is judged.
    for _ in 0..SOURCE_RACES_MAX {
        match copy_once(front, req.input.clone(), (req.extensions.clone(), &req.headers)).await {
            Ok(response) => return Ok(response),
            Err(CopyFailed::SourceChanged) => {}
            Err(CopyFailed::Refused(failure)) => return Err(failure),
        }
    }
    Err(CopySourceError::Changed.into())
}

/// Why a copy was not made.
enum CopyFailed {
    /// The source is another one than was judged.
    SourceChanged,
    Refused(Failure),
}

impl From<Failure> for CopyFailed {
    fn from(failure: Failure) -> Self {
        Self::Refused(failure)
    }
}

async fn copy_once(
    front: &Front,
    input: CopyObjectInput,
    (mut extensions, headers): (Extensions, &HeaderMap),
) -> Result<S3Response<CopyObjectOutput>, CopyFailed> {
    let (bucket, key) = (bucket_name(input.bucket)?, object_key(input.key)?);
    let lifted = extensions.get::<Lifted>().cloned().unwrap_or_default();
    let source = source(input.copy_source, &lifted)?;
    let (read, basis) = open_source(front, &extensions, &source).await?;
    let (directive, header) = (input.tagging_directive.as_ref(), input.tagging.as_deref());
    let (tags, tagged) = tagging::of_copy(
        front,
        (&read, &mut extensions),
        (directive, header),
        &source,
        (&bucket, &key),
    )
    .await?;
    let opened = front
        .open_as_judged(&extensions, Action::PutObject, &bucket, &key)
        .await?;
    let store = basis.bind(opened.store, &source.bucket, &source.key);
    let store = tagged.bind(store, &source.bucket, &source.key);
    let acl = input.acl.as_ref().map(|acl| acl.as_str());
    let onto_itself = (&source.bucket, &source.key) == (&bucket, &key);
    let acl = acl::of_copy(front, &extensions, (acl, onto_itself), (&bucket, &key)).await?;
    let (settings, offered) = (opened.settings.as_deref(), acl.is_some_and(|acl| acl.offered));
    acl.map_or(Ok(()), |acl| acl.check(settings))?;
    let class = storage_class(input.storage_class.clone())?;
    let replaced = texts!(input);
    let metadata = match input.metadata_directive.as_ref().map(MetadataDirective::as_str) {
        None | Some(MetadataDirective::COPY) => None,
        Some(MetadataDirective::REPLACE) => Some(convert::metadata(replaced, &lifted)?),
        Some(_) => return Err(Failure::argument("Unknown metadata directive.").into()),
    };
    let checksum = input
        .checksum_algorithm
        .as_ref()
        .map(|name| convert::algorithm(name.as_str()))
        .transpose()?;
    let read_from = (source.bucket.clone(), source.key.clone());
    let place = (bucket.clone(), key.clone());
    let owner = front.owner_of_new(&extensions, (&bucket, settings), offered).await?;
    let event = front.event((&extensions, headers), &bucket, Some(&key));
    let copy = CopyObject {
        source,
        bucket,
        key,
        metadata,
        storage_class: class,
        tags,
        owner,
        visibility: acl.map(|acl| acl.visibility),
        offered,
        checksum,
        condition: conditions::of_write(&lifted),
    };
    let copy = async move { store.copy_object(copy).await };
    let told = event.after("s3:ObjectCreated:Copy", copy, |stored| {
        Some((stored.size, stored.etag.to_string()))
    });
    let stored = match told.await {
        Ok(stored) => stored,
        Err(CopyObjectError::Source(CopySourceError::Changed)) => return Err(CopyFailed::SourceChanged),
        Err(CopyObjectError::Source(error)) => {
            let place = (&read_from.0, &read_from.1);
            return Err(front.told(&extensions, place, error.into()).await.into());
        }
        Err(error) => return Err(Failure::from(error).into()),
    };
    front.settle(opened.settings.as_deref(), (&place.0, &place.1)).await?;
    Ok(copied(&stored))
}

/// The answer that tells of the copy, as it was stored.
fn copied(stored: &Stored) -> S3Response<CopyObjectOutput> {
    let mut result = CopyObjectResult {
        e_tag: Some(WireETag::Strong(stored.etag.to_string())),
        last_modified: Some(wire_time(stored.modified)),
        ..CopyObjectResult::default()
    };
    if let Some(checksum) = stored.checksum {
        set_checksum!(result, checksum.value, checksum_text(&checksum.value, None));
        result.checksum_type = Some(type_name(checksum.kind).to_owned().into());
    }
    S3Response::new(CopyObjectOutput {
        copy_object_result: Some(result),
        ..CopyObjectOutput::default()
    })
}

pub(crate) async fn part(
    front: &Front,
    req: S3Request<UploadPartCopyInput>,
) -> Result<S3Response<UploadPartCopyOutput>, Failure> {
    let input = req.input;
    let lifted = req.extensions.get::<Lifted>().cloned().unwrap_or_default();
    let mut source = source(input.copy_source, &lifted)?;
    let (_, basis) = open_source(front, &req.extensions, &source).await?;
    let place = place(input.bucket, input.key, &input.upload_id, input.part_number)?;
    let store = front
        .open_object(&req.extensions, Action::PutObject, &place.bucket, &place.key)
        .await?;
    let store = basis.bind(store, &source.bucket, &source.key);
    let selection = match select(&store, &mut source, input.copy_source_range.as_deref()).await {
        Ok(selection) => selection,
        Err(failure) => {
            return Err(front
                .told(&req.extensions, (&source.bucket, &source.key), failure)
                .await);
        }
    };
    let part = match store.upload_part_copy(&place, &source, selection).await {
        Ok(part) => part,
        Err(UploadPartCopyError::Source(error)) => {
            return Err(front
                .told(&req.extensions, (&source.bucket, &source.key), error.into())
                .await);
        }
        Err(error) => return Err(error.into()),
    };
    let mut result = CopyPartResult {
        e_tag: Some(WireETag::Strong(part.etag.to_string())),
        last_modified: Some(wire_time(part.modified)),
        ..CopyPartResult::default()
    };
    if let Some(checksum) = part.checksum {
        set_checksum!(result, checksum, checksum_text(&checksum, None));
    }
    Ok(S3Response::new(UploadPartCopyOutput {
        copy_part_result: Some(result),
        ..UploadPartCopyOutput::default()
    }))
}

/// The store, for a caller who may read what is copied, and on what that was decided.
async fn open_source(front: &Front, extensions: &Extensions, source: &CopySource) -> Result<(Store, Basis), Failure> {
    let resource = Resource::Object {
        bucket: source.bucket.as_str(),
        key: source.key.as_str(),
    };
    let action = action_on(source.version.is_some());
    let opened = front.open_judged(extensions, action, resource).await?;
    // Downloads are counted of files only.
    if catalogue::keeps_one(opened.settings.as_deref()) {
        let place = ObjectPlace {
            bucket: source.bucket.clone(),
            key: source.key.clone(),
            version: source.version,
        };
        if let Some(labels) = front.labels_of(&place).await? {
            downloads::admit_copy(extensions, &labels)?;
        }
    }
    Ok((opened.store, opened.basis))
}

fn source(wire: WireSource, lifted: &Lifted) -> Result<CopySource, Failure> {
    let WireSource::Bucket {
        bucket,
        key,
        version_id,
    } = wire
    else {
        return Err(Failure::not_built("copying from an access point"));
    };
    Ok(CopySource {
        bucket: bucket_name(bucket.into())?,
        key: object_key(key.into())?,
        version: version(version_id.map(Into::into))?,
        conditions: conditions::of_copy_source(lifted),
    })
}

/// The range of a part copy. Unlike a GET's it must lie within the source, which is pinned by its ETag.
async fn select(store: &Store, source: &mut CopySource, range: Option<&str>) -> Result<Selection, Failure> {
    let Some(range) = range else {
        return Ok(Selection::Whole);
    };
    let Some(RangeHeader::From {
        first,
        last: Some(last),
    }) = conditions::range(range)
    else {
        let message = "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last \
                       are the zero-based offsets of the first and last bytes to copy";
        return Err(Failure::argument(message));
    };
    let whole = GetObject {
        bucket: source.bucket.clone(),
        key: source.key.clone(),
        version: source.version,
        selection: Selection::Whole,
        conditions: source.conditions.clone(),
    };
    let object = store.head_object(&whole).await.map_err(CopySourceError::from)?.object;
    if last >= object.size {
        let message = format!(
            "Range specified is not valid for source object of size: {}",
            object.size
        );
        let failure = Failure::because(Code::INVALID_RANGE, message);
        return Err(failure
            .with_field("ActualObjectSize", object.size)
            .with_field("RangeRequested", range));
    }
    source.conditions.if_match = Some(ETagMatch::OneOf(vec![object.etag.to_string()]));
    Ok(Selection::From {
        first,
        last: Some(last),
    })
}

impl From<CopySourceError> for Failure {
    fn from(error: CopySourceError) -> Self {
        match error {
            CopySourceError::NoSuchBucket => Code::NO_SUCH_BUCKET.into(),
            CopySourceError::NoSuchKey => Code::NO_SUCH_KEY.into(),
            CopySourceError::NoSuchVersion => Code::NO_SUCH_VERSION.into(),
            CopySourceError::Changed => Code::OPERATION_ABORTED.into(),
            CopySourceError::PreconditionFailed(_) => Code::PRECONDITION_FAILED.into(),
            CopySourceError::RangeNotSatisfiable { size } => {
                Failure::new(Code::INVALID_RANGE).with_field("ActualObjectSize", size)
            }
            CopySourceError::TooLarge => {
                let message = "The specified copy source is larger than the maximum allowable size for a copy source: \
                               5368709120";
                Failure::because(Code::INVALID_REQUEST, message)
            }
            CopySourceError::Fault(fault) => fault.into(),
        }
    }
}

impl From<CopyObjectError> for Failure {
    fn from(error: CopyObjectError) -> Self {
        match error {
            CopyObjectError::Source(error) => error.into(),
            CopyObjectError::NothingChanges => {
                let message = "This copy request is illegal because it is trying to copy an object to itself without \
                               changing the object's metadata, storage class, website redirect location or \
                               encryption attributes.";
                Failure::because(Code::INVALID_REQUEST, message)
            }
            CopyObjectError::Put(error) => put_failed(error),
        }
    }
}

impl From<UploadPartCopyError> for Failure {
    fn from(error: UploadPartCopyError) -> Self {
        match error {
            UploadPartCopyError::Part(error) => error.into(),
            UploadPartCopyError::Source(error) => error.into(),
        }
    }
}
