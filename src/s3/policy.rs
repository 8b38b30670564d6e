//! The policy of a bucket: set after it was checked, shown as it was written, removed.
//!
//! Owns what is refused at the door. What a policy means to a request is `access`'s.

use std::sync::atomic::{AtomicBool, Ordering};

use http::HeaderValue;
use http::header::CONTENT_TYPE;
use s3s::dto::{
    DeleteBucketPolicyInput, DeleteBucketPolicyOutput, GetBucketPolicyInput, GetBucketPolicyOutput,
    GetBucketPolicyStatusInput, GetBucketPolicyStatusOutput, PolicyStatus, PutBucketPolicyInput, PutBucketPolicyOutput,
};
use s3s::{S3Request, S3Response};
use storage_engine::store::name::BucketName;

use super::acl::is_open_to_many;
use super::convert::bucket_name;
use super::error::{Code, Failure};
use super::front::Front;
use crate::access::{Action, Resource};
use crate::policy::{Kind, Policy};

fn checked(bucket: &BucketName, text: &str) -> Result<Policy, Failure> {
    let kind = Kind::Bucket {
        bucket: bucket.as_str(),
    };
    Policy::parse(text.as_bytes(), kind).map_err(|error| Failure::because(Code::MALFORMED_POLICY, error.to_string()))
}

pub(crate) async fn put(
    front: &Front,
    req: S3Request<PutBucketPolicyInput>,
) -> Result<S3Response<PutBucketPolicyOutput>, Failure> {
    let bucket = bucket_name(req.input.bucket)?;
    let resource = Resource::Bucket(bucket.as_str());
    let store = front.open(&req.extensions, Action::PutBucketPolicy, resource).await?;
    let policy = checked(&bucket, &req.input.policy)?;
    let public = policy.is_public();
    let blocked = AtomicBool::new(false);
    // Decided on the settings that are changed: a block that was set meanwhile holds.
    store
        .change_settings(&bucket, |settings| {
            let blocks = settings
                .public_access_block
                .is_some_and(|block| block.block_public_policy);
            blocked.store(blocks && public, Ordering::Relaxed);
            if !(blocks && public) {
                settings.policy = Some(policy.text().to_owned());
            }
        })
        .await?;
    if blocked.into_inner() {
        return Err(Code::ACCESS_DENIED.into());
    }
    let mut response = S3Response::new(PutBucketPolicyOutput {});
    response.status = Some(http::StatusCode::NO_CONTENT);
    Ok(response)
}

pub(crate) async fn get(
    front: &Front,
    req: S3Request<GetBucketPolicyInput>,
) -> Result<S3Response<GetBucketPolicyOutput>, Failure> {
    let bucket = bucket_name(req.input.bucket)?;
    let resource = Resource::Bucket(bucket.as_str());
    let store = front.open(&req.extensions, Action::GetBucketPolicy, resource).await?;
    let settings = store.settings_of(&bucket).await?;
    let policy = settings.policy.clone().ok_or(Code::NO_SUCH_BUCKET_POLICY)?;
    let mut response = S3Response::new(GetBucketPolicyOutput { policy: Some(policy) });
    let json = HeaderValue::from_static("application/json");
    response.headers.insert(CONTENT_TYPE, json);
    Ok(response)
}

pub(crate) async fn delete(
    front: &Front,
    req: S3Request<DeleteBucketPolicyInput>,
) -> Result<S3Response<DeleteBucketPolicyOutput>, Failure> {
    let bucket = bucket_name(req.input.bucket)?;
    let resource = Resource::Bucket(bucket.as_str());
    let store = front
        .open(&req.extensions, Action::DeleteBucketPolicy, resource)
        .await?;
    store
        .change_settings(&bucket, |settings| settings.policy = None)
        .await?;
    Ok(S3Response::new(DeleteBucketPolicyOutput {}))
}

pub(crate) async fn status(
    front: &Front,
    req: S3Request<GetBucketPolicyStatusInput>,
) -> Result<S3Response<GetBucketPolicyStatusOutput>, Failure> {
    let bucket = bucket_name(req.input.bucket)?;
    let resource = Resource::Bucket(bucket.as_str());
    let store = front
        .open(&req.extensions, Action::GetBucketPolicyStatus, resource)
        .await?;
    let settings = store.settings_of(&bucket).await?;
    let by_policy = match settings.policy.as_deref() {
        Some(text) => checked(&bucket, text)?.is_public(),
        None => false,
    };
    let by_default = settings.visibility.is_some_and(is_open_to_many);
    // A bucket that nothing opens is not public; that is an answer, and no error.
    let policy_status = Some(PolicyStatus {
        is_public: Some(by_policy || by_default || settings.acl.is_some()),
    });
    Ok(S3Response::new(GetBucketPolicyStatusOutput { policy_status }))
}
