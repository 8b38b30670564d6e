//! Reads of configuration that cannot be set yet: AWS's own words for "nothing configured".
//!
//! Owns those answers, each only for a bucket or object that exists and a caller who may ask. SDKs, Terraform and
//! browsers read these before they do anything else. It never stores configuration.

use http::Extensions;
use s3s::dto::{GetBucketRequestPaymentOutput, Payer};
use storage_engine::store::bucket::BucketError;

use super::convert::bucket_name;
use super::error::{Code, Failure};
use super::front::Front;
use super::normalise::Lifted;
use super::object::lookup;
use crate::access::{Action, Resource};

impl From<BucketError> for Failure {
    fn from(error: BucketError) -> Self {
        match error {
            BucketError::NoSuchBucket => Code::NO_SUCH_BUCKET.into(),
            BucketError::Fault(fault) => fault.into(),
        }
    }
}

/// Succeeds if the caller may ask and the bucket exists.
pub(crate) async fn of_bucket(
    front: &Front,
    extensions: &Extensions,
    action: Action,
    bucket: String,
) -> Result<(), Failure> {
    let bucket = bucket_name(bucket)?;
    let store = front
        .open(extensions, action, Resource::Bucket(bucket.as_str()))
        .await?;
    store.head_bucket(&bucket).await?;
    Ok(())
}

/// The answer to a read of bucket configuration that does not exist.
pub(crate) async fn missing<T>(
    front: &Front,
    extensions: &Extensions,
    action: Action,
    bucket: String,
    code: Code,
) -> Result<T, Failure> {
    of_bucket(front, extensions, action, bucket).await?;
    Err(code.into())
}

/// Succeeds if the caller may ask and the object exists.
pub(crate) async fn of_object(
    front: &Front,
    extensions: &Extensions,
    action: Action,
    (bucket, key, version_id): (String, String, Option<String>),
) -> Result<(), Failure> {
    let get = lookup(bucket, key, version_id, None, &Lifted::default())?;
    let store = front.open_object(extensions, action, &get.bucket, &get.key).await?;
    match store.head_object(&get).await {
        Ok(_) => Ok(()),
        Err(error) => Err(front.told(extensions, (&get.bucket, &get.key), error.into()).await),
    }
}

/// Object lock is off on every bucket, and AWS refuses to speak of it then.
pub(crate) async fn no_lock<T>(
    front: &Front,
    extensions: &Extensions,
    action: Action,
    object: (String, String, Option<String>),
) -> Result<T, Failure> {
    of_object(front, extensions, action, object).await?;
    Err(Failure::because(
        Code::INVALID_REQUEST,
        "Bucket is missing Object Lock Configuration",
    ))
}

pub(crate) fn request_payment() -> GetBucketRequestPaymentOutput {
    GetBucketRequestPaymentOutput {
        payer: Some(Payer::from_static(Payer::BUCKET_OWNER)),
    }
}
