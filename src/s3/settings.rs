//! Switches of a bucket: public access block and object ownership, and how a refused change of settings looks.
//!
//! It stores and shows them; `access` and [`super::acl`] are who honours them.

use parking_lot::Mutex;
use s3s::dto::{
    DeleteBucketOwnershipControlsInput, DeleteBucketOwnershipControlsOutput, DeletePublicAccessBlockInput,
    DeletePublicAccessBlockOutput, GetBucketOwnershipControlsInput, GetBucketOwnershipControlsOutput,
    GetPublicAccessBlockInput, GetPublicAccessBlockOutput, ObjectOwnership as WireOwnership, OwnershipControls,
    OwnershipControlsRule, PublicAccessBlockConfiguration, PutBucketOwnershipControlsInput,
    PutBucketOwnershipControlsOutput, PutPublicAccessBlockInput, PutPublicAccessBlockOutput,
};
use s3s::{S3Request, S3Response};
use storage_engine::store::record::settings::{ObjectOwnership, PublicAccessBlock};
use storage_engine::store::settings::SettingsError;

use super::convert::bucket_name;
use super::error::{Code, Failure};
use super::front::Front;
use crate::access::{Action, Resource};

pub(crate) async fn put_block(
    front: &Front,
    req: S3Request<PutPublicAccessBlockInput>,
) -> Result<S3Response<PutPublicAccessBlockOutput>, Failure> {
    let bucket = bucket_name(req.input.bucket)?;
    let asked = req.input.public_access_block_configuration;
    let block = PublicAccessBlock {
        block_public_acls: asked.block_public_acls.unwrap_or_default(),
        ignore_public_acls: asked.ignore_public_acls.unwrap_or_default(),
        block_public_policy: asked.block_public_policy.unwrap_or_default(),
        restrict_public_buckets: asked.restrict_public_buckets.unwrap_or_default(),
    };
    let resource = Resource::Bucket(bucket.as_str());
    let store = front
        .open(&req.extensions, Action::PutBucketPublicAccessBlock, resource)
        .await?;
    store
        .change_settings(&bucket, |settings| settings.public_access_block = Some(block))
        .await?;
    Ok(S3Response::new(PutPublicAccessBlockOutput {}))
}

pub(crate) async fn get_block(
    front: &Front,
    req: S3Request<GetPublicAccessBlockInput>,
) -> Result<S3Response<GetPublicAccessBlockOutput>, Failure> {
    let bucket = bucket_name(req.input.bucket)?;
    let resource = Resource::Bucket(bucket.as_str());
    let store = front
        .open(&req.extensions, Action::GetBucketPublicAccessBlock, resource)
        .await?;
    let settings = store.settings_of(&bucket).await?;
    let block = settings.public_access_block.ok_or(Code::NO_SUCH_PUBLIC_ACCESS_BLOCK)?;
    Ok(S3Response::new(GetPublicAccessBlockOutput {
        public_access_block_configuration: Some(PublicAccessBlockConfiguration {
            block_public_acls: Some(block.block_public_acls),
            ignore_public_acls: Some(block.ignore_public_acls),
            block_public_policy: Some(block.block_public_policy),
            restrict_public_buckets: Some(block.restrict_public_buckets),
        }),
    }))
}

pub(crate) async fn delete_block(
    front: &Front,
    req: S3Request<DeletePublicAccessBlockInput>,
) -> Result<S3Response<DeletePublicAccessBlockOutput>, Failure> {
    let bucket = bucket_name(req.input.bucket)?;
    let resource = Resource::Bucket(bucket.as_str());
    // AWS has no action of its own for this.
    let store = front
        .open(&req.extensions, Action::PutBucketPublicAccessBlock, resource)
        .await?;
    store
        .change_settings(&bucket, |settings| settings.public_access_block = None)
        .await?;
    Ok(S3Response::new(DeletePublicAccessBlockOutput {}))
}

/// Object ownership by its name on the wire.
pub(crate) fn ownership(name: &WireOwnership) -> Option<ObjectOwnership> {
    match name.as_str() {
        WireOwnership::BUCKET_OWNER_ENFORCED => Some(ObjectOwnership::BucketOwnerEnforced),
        WireOwnership::BUCKET_OWNER_PREFERRED => Some(ObjectOwnership::BucketOwnerPreferred),
        WireOwnership::OBJECT_WRITER => Some(ObjectOwnership::ObjectWriter),
        _ => None,
    }
}

fn ownership_name(ownership: ObjectOwnership) -> &'static str {
    match ownership {
        ObjectOwnership::BucketOwnerEnforced => WireOwnership::BUCKET_OWNER_ENFORCED,
        ObjectOwnership::BucketOwnerPreferred => WireOwnership::BUCKET_OWNER_PREFERRED,
        ObjectOwnership::ObjectWriter => WireOwnership::OBJECT_WRITER,
    }
}

pub(crate) async fn put_ownership(
    front: &Front,
    req: S3Request<PutBucketOwnershipControlsInput>,
) -> Result<S3Response<PutBucketOwnershipControlsOutput>, Failure> {
    let bucket = bucket_name(req.input.bucket)?;
    let [rule] = req.input.ownership_controls.rules.as_slice() else {
        return Err(Code::MALFORMED_XML.into());
    };
    let ownership = ownership(&rule.object_ownership).ok_or(Code::MALFORMED_XML)?;
    let resource = Resource::Bucket(bucket.as_str());
    let store = front
        .open(&req.extensions, Action::PutBucketOwnershipControls, resource)
        .await?;
    let checked = Mutex::new(Ok::<_, Failure>(()));
    // Decided on the settings that are changed.
    store
        .change_settings(&bucket, |settings| {
            let is_opened = settings.acl.is_some();
            *checked.lock() = match ownership {
                ObjectOwnership::BucketOwnerEnforced if is_opened => Err(Code::INVALID_ACL_WITH_OWNERSHIP.into()),
                ObjectOwnership::BucketOwnerEnforced
                | ObjectOwnership::BucketOwnerPreferred
                | ObjectOwnership::ObjectWriter => {
                    settings.ownership = Some(ownership);
                    Ok(())
                }
            };
        })
        .await?;
    checked.into_inner()?;
    Ok(S3Response::new(PutBucketOwnershipControlsOutput {}))
}

pub(crate) async fn get_ownership(
    front: &Front,
    req: S3Request<GetBucketOwnershipControlsInput>,
) -> Result<S3Response<GetBucketOwnershipControlsOutput>, Failure> {
    let bucket = bucket_name(req.input.bucket)?;
    let resource = Resource::Bucket(bucket.as_str());
    let store = front
        .open(&req.extensions, Action::GetBucketOwnershipControls, resource)
        .await?;
    let settings = store.settings_of(&bucket).await?;
    let ownership = settings.ownership.ok_or(Code::OWNERSHIP_CONTROLS_NOT_FOUND)?;
    let rule = OwnershipControlsRule {
        object_ownership: WireOwnership::from_static(ownership_name(ownership)),
    };
    Ok(S3Response::new(GetBucketOwnershipControlsOutput {
        ownership_controls: Some(OwnershipControls { rules: vec![rule] }),
    }))
}

pub(crate) async fn delete_ownership(
    front: &Front,
    req: S3Request<DeleteBucketOwnershipControlsInput>,
) -> Result<S3Response<DeleteBucketOwnershipControlsOutput>, Failure> {
    let bucket = bucket_name(req.input.bucket)?;
    let resource = Resource::Bucket(bucket.as_str());
    // AWS has no action of its own for this.
    let store = front
        .open(&req.extensions, Action::PutBucketOwnershipControls, resource)
        .await?;
    store
        .change_settings(&bucket, |settings| settings.ownership = None)
        .await?;
    Ok(S3Response::new(DeleteBucketOwnershipControlsOutput {}))
}

impl From<SettingsError> for Failure {
    fn from(error: SettingsError) -> Self {
        match error {
            SettingsError::NoSuchBucket => Code::NO_SUCH_BUCKET.into(),
            SettingsError::BucketBusy => Code::OPERATION_ABORTED.into(),
            SettingsError::TooLarge { .. } => Failure::because(Code::INVALID_REQUEST, error.to_string()),
            SettingsError::Fault(fault) => fault.into(),
        }
    }
}
