//! Tags of objects and buckets: read, set, removed, and given with a write.
//!
//! Owns their spellings on the wire: the document, the header, the count. What a valid set is, the store says. A change
//! of tags never touches an object's bytes.

use http::Extensions;
use percent_encoding::percent_decode_str;
use s3s::dto::{
    DeleteBucketTaggingInput, DeleteBucketTaggingOutput, DeleteObjectTaggingInput, DeleteObjectTaggingOutput,
    GetBucketTaggingInput, GetBucketTaggingOutput, GetObjectTaggingInput, GetObjectTaggingOutput,
    PutBucketTaggingInput, PutBucketTaggingOutput, PutObjectTaggingInput, PutObjectTaggingOutput, Tag as WireTag,
    TaggingDirective,
};
use s3s::{S3Request, S3Response};
use storage_engine::store::Store;
use storage_engine::store::name::{BucketName, ObjectKey};
use storage_engine::store::object::copy::CopySource;
use storage_engine::store::object::labels::{LabelsError, ObjectPlace};
use storage_engine::store::record::labels::Labels;
use storage_engine::store::tags::{TagError, Tags};

use super::convert::{bucket_name, object_key};
use super::error::{Code, Failure};
use super::front::{Basis, Front};
use super::object::{relabel, version};
use crate::access::{Action, RequestTags, Resource};

/// The tags of an `x-amz-tagging` header or field: `a=1&b=2`, percent-encoded. `None`: it was not sent.
pub(crate) fn of_header(text: Option<&str>) -> Result<Option<Tags>, Failure> {
    let Some(text) = text else { return Ok(None) };
    let decode = |text: &str| {
        let spaced = text.replace('+', " ");
        percent_decode_str(&spaced).decode_utf8().map(|text| text.into_owned())
    };
    let pairs = text.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        Ok((decode(key)?, decode(value)?))
    });
    let pairs: Result<Vec<_>, std::str::Utf8Error> = pairs.collect();
    let malformed = "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without \
                     tag name duplicates.";
    let pairs = pairs.map_err(|_| Failure::argument(malformed))?;
    match Tags::of_object(pairs) {
        Ok(tags) => Ok(Some(tags)),
        Err(TagError::Twice) => Err(Failure::argument(malformed)),
        Err(error) => Err(error.into()),
    }
}

/// Tells `access` what tags the request brings.
pub(crate) fn announce(extensions: &mut Extensions, tags: &Tags) {
    if !tags.is_empty() {
        let pairs = tags.iter().map(|(key, value)| (key.to_owned(), value.to_owned()));
        extensions.insert(RequestTags(pairs.collect()));
    }
}

/// The tags a write gives its object, for a caller who may tag it.
pub(crate) async fn of_write(
    front: &Front,
    extensions: &mut Extensions,
    header: Option<&str>,
    (bucket, key): (&BucketName, &ObjectKey),
) -> Result<Tags, Failure> {
    let tags = of_header(header)?.unwrap_or_default();
    announce(extensions, &tags);
    if !tags.is_empty() {
        front
            .open_object(extensions, Action::PutObjectTagging, bucket, key)
            .await?;
    }
    Ok(tags)
}

/// The tags of a copy: those it brings, or the source's, for a caller who may read those. Judged is what will be written.
/// `None`: a copy onto itself, which keeps those that stand. And the source they are of, which must be what is copied.
pub(crate) async fn of_copy(
    front: &Front,
    (store, extensions): (&Store, &mut Extensions),
    (directive, header): (Option<&TaggingDirective>, Option<&str>),
    source: &CopySource,
    (bucket, key): (&BucketName, &ObjectKey),
) -> Result<(Option<Tags>, Basis), Failure> {
    match directive.map(TaggingDirective::as_str) {
        Some(TaggingDirective::REPLACE) => {
            let tags = of_write(front, extensions, header, (bucket, key)).await?;
            return Ok((Some(tags), Basis::Policies));
        }
        None | Some(TaggingDirective::COPY) => {}
        Some(_) => return Err(Failure::argument("Unknown tagging directive.")),
    }
    if header.is_some() {
        let message = "The header 'x-amz-tagging' can only be used with the tagging directive REPLACE.";
        return Err(Failure::because(Code::INVALID_REQUEST, message));
    }
    let place = ObjectPlace {
        bucket: source.bucket.clone(),
        key: source.key.clone(),
        version: source.version,
    };
    let found = store.look_at(&place).await?;
    let rev = found.as_ref().map(|(_, rev)| *rev);
    let tags = found.map(|(object, _)| object.labels.tags).unwrap_or_default();
    if !tags.is_empty() {
        let action = match source.version {
            Some(_) => Action::GetObjectVersionTagging,
            None => Action::GetObjectTagging,
        };
        front
            .open_object(extensions, action, &source.bucket, &source.key)
            .await?;
        announce(extensions, &tags);
        front
            .open_object(extensions, Action::PutObjectTagging, bucket, key)
            .await?;
    }
    let onto_itself = source.bucket == *bucket && source.key == *key;
    Ok(match onto_itself {
        true => (None, Basis::Policies),
        false => (Some(tags), Basis::Record(rev)),
    })
}

/// How many tags an answer about an object tells of; only those who may read them are told.
pub(crate) async fn count(
    front: &Front,
    extensions: &Extensions,
    tags: &Tags,
    (bucket, key): (&BucketName, &ObjectKey),
) -> Option<i32> {
    if tags.is_empty() {
        return None;
    }
    let may = front
        .open_object(extensions, Action::GetObjectTagging, bucket, key)
        .await;
    may.ok().and_then(|_| i32::try_from(tags.len()).ok())
}

fn pairs(tags: Vec<WireTag>) -> Result<Vec<(String, String)>, Failure> {
    let pair = |tag: WireTag| match (tag.key, tag.value) {
        (Some(key), Some(value)) => Ok((key, value)),
        (Some(_) | None, _) => Err(Code::MALFORMED_XML.into()),
    };
    tags.into_iter().map(pair).collect()
}

/// By their keys: a set has no other order.
fn wire(tags: &Tags) -> Vec<WireTag> {
    let tag = |(key, value): (&str, &str)| WireTag {
        key: Some(key.to_owned()),
        value: Some(value.to_owned()),
    };
    let mut set: Vec<WireTag> = tags.iter().map(tag).collect();
    set.sort_by(|a, b| a.key.cmp(&b.key));
    set
}

fn place(bucket: String, key: String, version_id: Option<String>) -> Result<ObjectPlace, Failure> {
    Ok(ObjectPlace {
        bucket: bucket_name(bucket)?,
        key: object_key(key)?,
        version: version(version_id)?,
    })
}

pub(crate) async fn put_object(
    front: &Front,
    mut req: S3Request<PutObjectTaggingInput>,
) -> Result<S3Response<PutObjectTaggingOutput>, Failure> {
    let input = req.input;
    let place = place(input.bucket, input.key, input.version_id)?;
    let tags = Tags::of_object(pairs(input.tagging.tag_set)?)?;
    announce(&mut req.extensions, &tags);
    let actions = (Action::PutObjectTagging, Action::PutObjectVersionTagging);
    let set = |labels: &mut Labels| labels.tags = tags.clone();
    relabel::change(front, &req.extensions, actions, &place, set).await?;
    Ok(S3Response::new(PutObjectTaggingOutput::default()))
}

pub(crate) async fn get_object(
    front: &Front,
    req: S3Request<GetObjectTaggingInput>,
) -> Result<S3Response<GetObjectTaggingOutput>, Failure> {
    let input = req.input;
    let place = place(input.bucket, input.key, input.version_id)?;
    let actions = (Action::GetObjectTagging, Action::GetObjectVersionTagging);
    let object = relabel::change(front, &req.extensions, actions, &place, |_| ()).await?;
    Ok(S3Response::new(GetObjectTaggingOutput {
        tag_set: wire(&object.labels.tags),
        version_id: None,
    }))
}

pub(crate) async fn delete_object(
    front: &Front,
    req: S3Request<DeleteObjectTaggingInput>,
) -> Result<S3Response<DeleteObjectTaggingOutput>, Failure> {
    let input = req.input;
    let place = place(input.bucket, input.key, input.version_id)?;
    let actions = (Action::DeleteObjectTagging, Action::DeleteObjectVersionTagging);
    let remove = |labels: &mut Labels| labels.tags = Tags::default();
    relabel::change(front, &req.extensions, actions, &place, remove).await?;
    Ok(S3Response::new(DeleteObjectTaggingOutput::default()))
}

pub(crate) async fn put_bucket(
    front: &Front,
    req: S3Request<PutBucketTaggingInput>,
) -> Result<S3Response<PutBucketTaggingOutput>, Failure> {
    let bucket = bucket_name(req.input.bucket)?;
    let tags = Tags::of_bucket(pairs(req.input.tagging.tag_set)?)?;
    let resource = Resource::Bucket(bucket.as_str());
    let store = front.open(&req.extensions, Action::PutBucketTagging, resource).await?;
    store
        .change_settings(&bucket, |settings| settings.tags = tags.clone())
        .await?;
    Ok(S3Response::new(PutBucketTaggingOutput {}))
}

pub(crate) async fn get_bucket(
    front: &Front,
    req: S3Request<GetBucketTaggingInput>,
) -> Result<S3Response<GetBucketTaggingOutput>, Failure> {
    let bucket = bucket_name(req.input.bucket)?;
    let resource = Resource::Bucket(bucket.as_str());
    let store = front.open(&req.extensions, Action::GetBucketTagging, resource).await?;
    let settings = store.settings_of(&bucket).await?;
    if settings.tags.is_empty() {
        return Err(Code::NO_SUCH_TAG_SET.into());
    }
    let tag_set = wire(&settings.tags);
    Ok(S3Response::new(GetBucketTaggingOutput { tag_set }))
}

pub(crate) async fn delete_bucket(
    front: &Front,
    req: S3Request<DeleteBucketTaggingInput>,
) -> Result<S3Response<DeleteBucketTaggingOutput>, Failure> {
    let bucket = bucket_name(req.input.bucket)?;
    let resource = Resource::Bucket(bucket.as_str());
    // AWS has no action of its own for this.
    let store = front.open(&req.extensions, Action::PutBucketTagging, resource).await?;
    store
        .change_settings(&bucket, |settings| settings.tags = Tags::default())
        .await?;
    Ok(S3Response::new(DeleteBucketTaggingOutput {}))
}

impl From<TagError> for Failure {
    fn from(error: TagError) -> Self {
        Failure::because(Code::INVALID_TAG, format!("The tags are not valid: {error}."))
    }
}

impl From<LabelsError> for Failure {
    fn from(error: LabelsError) -> Self {
        match error {
            LabelsError::NoSuchBucket => Code::NO_SUCH_BUCKET.into(),
            LabelsError::NoSuchKey => Code::NO_SUCH_KEY.into(),
            LabelsError::NoSuchVersion => Code::NO_SUCH_VERSION.into(),
            LabelsError::Changed => Code::OPERATION_ABORTED.into(),
            LabelsError::Fault(fault) => fault.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::of_header;
    use crate::s3::error::Code;

    #[test]
    fn a_header_of_tags_is_a_query() {
        let tags = of_header(Some("foo=bar&bar&a%20b+c=%C3%BC%3D&&")).unwrap().unwrap();
        assert!(tags.iter().eq([("foo", "bar"), ("bar", ""), ("a b c", "ü=")]));
        assert_eq!(of_header(None).unwrap(), None);
        assert!(of_header(Some("")).unwrap().unwrap().is_empty());
    }

    #[test]
    fn a_header_that_is_no_set_of_tags_is_refused() {
        for (text, code) in [
            ("a=1&a=1", Code::INVALID_ARGUMENT),
            ("a=%FF", Code::INVALID_ARGUMENT),
            ("=1", Code::INVALID_TAG),
            ("aws:a=1", Code::INVALID_TAG),
            ("drystone:visibility=public", Code::INVALID_TAG),
            ("a=%0D%0A", Code::INVALID_TAG),
            ("1&2&3&4&5&6&7&8&9&10&11", Code::INVALID_TAG),
        ] {
            assert_eq!(of_header(Some(text)).unwrap_err().code, code, "{text}");
        }
    }
}
