//! DeleteObject and DeleteObjects.

use futures::StreamExt;
use s3s::dto::{
    DeleteObjectInput, DeleteObjectOutput, DeleteObjectsInput, DeleteObjectsOutput, DeletedObject, Error as WireError,
    ObjectIdentifier,
};
use s3s::{S3Request, S3Response};
use storage_engine::store::condition::{ETagMatch, WriteCondition};
use storage_engine::store::name::BucketName;
use storage_engine::store::object::delete::{DeleteObject, DeleteObjectError};

use super::conditions;
use super::convert::{bucket_name, object_key};
use super::error::{Code, Failure};
use super::front::Front;
use super::normalise::Lifted;
use super::object::version;
use crate::access::Action;
use crate::auth::Identity;

/// Most keys of one DeleteObjects.
const KEYS_MAX: usize = 1_000;
/// Deletions of one request on their way at once: enough to share the store's syncs.
const CONCURRENT: usize = 64;
/// What listeners are told of a deletion.
const REMOVED: &str = "s3:ObjectRemoved:Delete";

pub(crate) async fn one(
    front: &Front,
    req: S3Request<DeleteObjectInput>,
) -> Result<S3Response<DeleteObjectOutput>, Failure> {
    let input = req.input;
    let (bucket, key) = (bucket_name(input.bucket)?, object_key(input.key)?);
    let action = action_on(input.version_id.as_deref());
    let opened = front.open_as_judged(&req.extensions, action, &bucket, &key).await?;
    let store = opened.store;
    let lifted = req.extensions.get::<Lifted>().cloned().unwrap_or_default();
    let condition = conditions::of_write(&lifted);
    let echo = input.version_id.clone();
    let event = front.event((&req.extensions, &req.headers), &bucket, Some(&key));
    let delete = DeleteObject {
        bucket,
        key,
        version: version(input.version_id)?,
        condition,
    };
    let delete = async move { store.delete_object(&delete).await };
    event.after(REMOVED, delete, |()| None).await?;
    let output = DeleteObjectOutput {
        version_id: echo,
        ..DeleteObjectOutput::default()
    };
    Ok(S3Response::new(output))
}

pub(crate) async fn many(
    front: &Front,
    req: S3Request<DeleteObjectsInput>,
) -> Result<S3Response<DeleteObjectsOutput>, Failure> {
    let bucket = bucket_name(req.input.bucket)?;
    let delete = req.input.delete;
    if delete.objects.is_empty() || delete.objects.len() > KEYS_MAX {
        return Err(Code::MALFORMED_XML.into());
    }
    let quiet = delete.quiet.unwrap_or(false);
    let (bucket, extensions) = (&bucket, &req.extensions);
    let request = (extensions, &req.headers);
    let mut answers = futures::stream::iter(delete.objects)
        .map(|object| async move {
            let (key, version_id) = (object.key.clone(), object.version_id.clone());
            (key, version_id, listed(front, request, bucket, object).await)
        })
        .buffered(CONCURRENT);
    let (mut deleted, mut errors) = (Vec::new(), Vec::new());
    while let Some((key, version_id, answer)) = answers.next().await {
        match answer {
            Ok(()) if quiet => {}
            Ok(()) => deleted.push(DeletedObject {
                key: Some(key),
                version_id,
                ..DeletedObject::default()
            }),
            Err(failure) if failure.code == Code::NO_SUCH_BUCKET => return Err(failure),
            Err(failure) => errors.push(WireError {
                code: Some(failure.code.name.to_owned()),
                message: Some(failure.message().to_owned()),
                key: Some(key),
                version_id,
            }),
        }
    }
    let anonymous = matches!(extensions.get::<Identity>(), None | Some(Identity::Anonymous));
    let denied = |error: &WireError| error.code.as_deref() == Some(Code::ACCESS_DENIED.name);
    if anonymous && deleted.is_empty() && !errors.is_empty() && errors.iter().all(denied) {
        return Err(Code::ACCESS_DENIED.into());
    }
    let output = DeleteObjectsOutput {
        deleted: Some(deleted),
        errors: Some(errors),
        request_charged: None,
    };
    Ok(S3Response::new(output))
}

/// Deleting a version that is named is an action of its own.
fn action_on(version: Option<&str>) -> Action {
    match version {
        Some(_) => Action::DeleteObjectVersion,
        None => Action::DeleteObject,
    }
}

/// One entry of a DeleteObjects document.
async fn listed(
    front: &Front,
    request: (&http::Extensions, &http::HeaderMap),
    bucket: &BucketName,
    object: ObjectIdentifier,
) -> Result<(), Failure> {
    if object.last_modified_time.is_some() || object.size.is_some() {
        return Err(Failure::not_built("a condition on modification time or size"));
    }
    let key = object_key(object.key)?;
    let action = action_on(object.version_id.as_deref());
    let opened = front.open_as_judged(request.0, action, bucket, &key).await?;
    let store = opened.store;
    let event = front.event(request, bucket, Some(&key));
    let if_match = object.e_tag.map(|etag| ETagMatch::parse(etag.value()));
    let condition = WriteCondition {
        if_match,
        if_none_match: None,
    };
    let version = version(object.version_id)?;
    let delete = DeleteObject {
        bucket: bucket.clone(),
        key,
        version,
        condition,
    };
    let delete = async move { store.delete_object(&delete).await };
    event.after(REMOVED, delete, |()| None).await?;
    Ok(())
}

impl From<DeleteObjectError> for Failure {
    fn from(error: DeleteObjectError) -> Self {
        match error {
            DeleteObjectError::NoSuchBucket => Code::NO_SUCH_BUCKET.into(),
            DeleteObjectError::Refused(refused) => refused.into(),
            DeleteObjectError::Fault(fault) => fault.into(),
        }
    }
}
