//! The operations this front serves, each handed to its family; s3s answers 501 for the rest.
//!
//! Owns the one door to the store: [`Front::open`] asks `access` first. It holds no request state.

use http::Extensions;
use s3s::dto;
use s3s::{S3, S3Request, S3Response, S3Result};
use storage_engine::store::Store;

use super::error::{Code, Failure};
use super::{bucket, config_reads, copy, delete, list, list_parts, multipart, object};
use crate::access::{Action, Behind, Context, Resource, decide};
use crate::auth::Identity;

/// The handlers' common ground.
pub(crate) struct Front {
    store: Behind<Store>,
    region: Option<String>,
}

impl Front {
    pub(crate) fn new(store: Store, region: Option<String>) -> Self {
        Self {
            store: Behind::new(store),
            region,
        }
    }

    /// The region an operator named; others are refused then.
    pub(crate) fn own_region(&self) -> Option<&str> {
        self.region.as_deref()
    }

    /// The store, opened for one action the caller may take. No identity means anonymous.
    pub(crate) fn open(
        &self,
        extensions: &Extensions,
        action: Action,
        resource: Resource<'_>,
    ) -> Result<&Store, Failure> {
        self.open_for(extensions, action, resource, &Context::default())
    }

    pub(crate) fn open_for(
        &self,
        extensions: &Extensions,
        action: Action,
        resource: Resource<'_>,
        context: &Context,
    ) -> Result<&Store, Failure> {
        let identity = extensions.get::<Identity>().unwrap_or(&Identity::Anonymous);
        match decide(identity, action, resource, context) {
            Ok(grant) => Ok(self.store.with(&grant)),
            Err(denied) if denied.anonymous && context.overrides_response => {
                let message = "Request specific response headers cannot be used for anonymous GET requests.";
                Err(Failure::because(Code::INVALID_REQUEST, message))
            }
            Err(_) => Err(Code::ACCESS_DENIED.into()),
        }
    }
}

#[async_trait::async_trait]
impl S3 for Front {
    async fn create_bucket(
        &self,
        req: S3Request<dto::CreateBucketInput>,
    ) -> S3Result<S3Response<dto::CreateBucketOutput>> {
        Ok(bucket::create(self, req).await?)
    }

    async fn head_bucket(&self, req: S3Request<dto::HeadBucketInput>) -> S3Result<S3Response<dto::HeadBucketOutput>> {
        Ok(bucket::head(self, req).await?)
    }

    async fn delete_bucket(
        &self,
        req: S3Request<dto::DeleteBucketInput>,
    ) -> S3Result<S3Response<dto::DeleteBucketOutput>> {
        Ok(bucket::delete(self, req).await?)
    }

    async fn get_bucket_location(
        &self,
        req: S3Request<dto::GetBucketLocationInput>,
    ) -> S3Result<S3Response<dto::GetBucketLocationOutput>> {
        Ok(bucket::locate(self, req).await?)
    }

    async fn list_buckets(
        &self,
        req: S3Request<dto::ListBucketsInput>,
    ) -> S3Result<S3Response<dto::ListBucketsOutput>> {
        Ok(bucket::list(self, req).await?)
    }

    async fn list_objects(
        &self,
        req: S3Request<dto::ListObjectsInput>,
    ) -> S3Result<S3Response<dto::ListObjectsOutput>> {
        Ok(list::v1(self, req).await?)
    }

    async fn list_objects_v2(
        &self,
        req: S3Request<dto::ListObjectsV2Input>,
    ) -> S3Result<S3Response<dto::ListObjectsV2Output>> {
        Ok(list::v2(self, req).await?)
    }

    async fn list_object_versions(
        &self,
        req: S3Request<dto::ListObjectVersionsInput>,
    ) -> S3Result<S3Response<dto::ListObjectVersionsOutput>> {
        Ok(list::versions(self, req).await?)
    }

    async fn put_object(&self, req: S3Request<dto::PutObjectInput>) -> S3Result<S3Response<dto::PutObjectOutput>> {
        Ok(object::put(self, req).await?)
    }

    async fn get_object(&self, req: S3Request<dto::GetObjectInput>) -> S3Result<S3Response<dto::GetObjectOutput>> {
        Ok(object::get(self, req).await?)
    }

    async fn head_object(&self, req: S3Request<dto::HeadObjectInput>) -> S3Result<S3Response<dto::HeadObjectOutput>> {
        Ok(object::head(self, req).await?)
    }

    async fn get_object_attributes(
        &self,
        req: S3Request<dto::GetObjectAttributesInput>,
    ) -> S3Result<S3Response<dto::GetObjectAttributesOutput>> {
        Ok(object::attributes(self, req).await?)
    }

    async fn delete_object(
        &self,
        req: S3Request<dto::DeleteObjectInput>,
    ) -> S3Result<S3Response<dto::DeleteObjectOutput>> {
        Ok(delete::one(self, req).await?)
    }

    async fn delete_objects(
        &self,
        req: S3Request<dto::DeleteObjectsInput>,
    ) -> S3Result<S3Response<dto::DeleteObjectsOutput>> {
        Ok(delete::many(self, req).await?)
    }

    async fn copy_object(&self, req: S3Request<dto::CopyObjectInput>) -> S3Result<S3Response<dto::CopyObjectOutput>> {
        Ok(copy::object(self, req).await?)
    }

    async fn create_multipart_upload(
        &self,
        req: S3Request<dto::CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<dto::CreateMultipartUploadOutput>> {
        Ok(multipart::create(self, req).await?)
    }

    async fn upload_part(&self, req: S3Request<dto::UploadPartInput>) -> S3Result<S3Response<dto::UploadPartOutput>> {
        Ok(multipart::part(self, req).await?)
    }

    async fn upload_part_copy(
        &self,
        req: S3Request<dto::UploadPartCopyInput>,
    ) -> S3Result<S3Response<dto::UploadPartCopyOutput>> {
        Ok(copy::part(self, req).await?)
    }

    async fn complete_multipart_upload(
        &self,
        req: S3Request<dto::CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<dto::CompleteMultipartUploadOutput>> {
        Ok(multipart::complete(self, req).await?)
    }

    async fn abort_multipart_upload(
        &self,
        req: S3Request<dto::AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<dto::AbortMultipartUploadOutput>> {
        Ok(multipart::abort(self, req).await?)
    }

    async fn list_parts(&self, req: S3Request<dto::ListPartsInput>) -> S3Result<S3Response<dto::ListPartsOutput>> {
        Ok(list_parts::parts(self, req).await?)
    }

    async fn list_multipart_uploads(
        &self,
        req: S3Request<dto::ListMultipartUploadsInput>,
    ) -> S3Result<S3Response<dto::ListMultipartUploadsOutput>> {
        Ok(list_parts::uploads(self, req).await?)
    }

    async fn get_bucket_accelerate_configuration(
        &self,
        req: S3Request<dto::GetBucketAccelerateConfigurationInput>,
    ) -> S3Result<S3Response<dto::GetBucketAccelerateConfigurationOutput>> {
        config_reads::of_bucket(
            self,
            &req.extensions,
            Action::GetAccelerateConfiguration,
            req.input.bucket,
        )
        .await?;
        Ok(S3Response::new(dto::GetBucketAccelerateConfigurationOutput::default()))
    }

    async fn get_bucket_acl(
        &self,
        req: S3Request<dto::GetBucketAclInput>,
    ) -> S3Result<S3Response<dto::GetBucketAclOutput>> {
        config_reads::of_bucket(self, &req.extensions, Action::GetBucketAcl, req.input.bucket).await?;
        Ok(S3Response::new(config_reads::bucket_acl()))
    }

    async fn get_bucket_logging(
        &self,
        req: S3Request<dto::GetBucketLoggingInput>,
    ) -> S3Result<S3Response<dto::GetBucketLoggingOutput>> {
        config_reads::of_bucket(self, &req.extensions, Action::GetBucketLogging, req.input.bucket).await?;
        Ok(S3Response::new(dto::GetBucketLoggingOutput::default()))
    }

    async fn get_bucket_notification_configuration(
        &self,
        req: S3Request<dto::GetBucketNotificationConfigurationInput>,
    ) -> S3Result<S3Response<dto::GetBucketNotificationConfigurationOutput>> {
        config_reads::of_bucket(self, &req.extensions, Action::GetBucketNotification, req.input.bucket).await?;
        Ok(S3Response::new(dto::GetBucketNotificationConfigurationOutput::default()))
    }

    async fn get_bucket_request_payment(
        &self,
        req: S3Request<dto::GetBucketRequestPaymentInput>,
    ) -> S3Result<S3Response<dto::GetBucketRequestPaymentOutput>> {
        config_reads::of_bucket(self, &req.extensions, Action::GetBucketRequestPayment, req.input.bucket).await?;
        Ok(S3Response::new(config_reads::request_payment()))
    }

    async fn get_bucket_versioning(
        &self,
        req: S3Request<dto::GetBucketVersioningInput>,
    ) -> S3Result<S3Response<dto::GetBucketVersioningOutput>> {
        config_reads::of_bucket(self, &req.extensions, Action::GetBucketVersioning, req.input.bucket).await?;
        Ok(S3Response::new(dto::GetBucketVersioningOutput::default()))
    }

    async fn list_bucket_analytics_configurations(
        &self,
        req: S3Request<dto::ListBucketAnalyticsConfigurationsInput>,
    ) -> S3Result<S3Response<dto::ListBucketAnalyticsConfigurationsOutput>> {
        config_reads::of_bucket(
            self,
            &req.extensions,
            Action::GetAnalyticsConfiguration,
            req.input.bucket,
        )
        .await?;
        Ok(S3Response::new(dto::ListBucketAnalyticsConfigurationsOutput::default()))
    }

    async fn list_bucket_intelligent_tiering_configurations(
        &self,
        req: S3Request<dto::ListBucketIntelligentTieringConfigurationsInput>,
    ) -> S3Result<S3Response<dto::ListBucketIntelligentTieringConfigurationsOutput>> {
        config_reads::of_bucket(
            self,
            &req.extensions,
            Action::GetIntelligentTieringConfiguration,
            req.input.bucket,
        )
        .await?;
        Ok(S3Response::new(
            dto::ListBucketIntelligentTieringConfigurationsOutput::default(),
        ))
    }

    async fn list_bucket_inventory_configurations(
        &self,
        req: S3Request<dto::ListBucketInventoryConfigurationsInput>,
    ) -> S3Result<S3Response<dto::ListBucketInventoryConfigurationsOutput>> {
        config_reads::of_bucket(
            self,
            &req.extensions,
            Action::GetInventoryConfiguration,
            req.input.bucket,
        )
        .await?;
        Ok(S3Response::new(dto::ListBucketInventoryConfigurationsOutput::default()))
    }

    async fn list_bucket_metrics_configurations(
        &self,
        req: S3Request<dto::ListBucketMetricsConfigurationsInput>,
    ) -> S3Result<S3Response<dto::ListBucketMetricsConfigurationsOutput>> {
        config_reads::of_bucket(self, &req.extensions, Action::GetMetricsConfiguration, req.input.bucket).await?;
        Ok(S3Response::new(dto::ListBucketMetricsConfigurationsOutput::default()))
    }

    async fn get_bucket_analytics_configuration(
        &self,
        req: S3Request<dto::GetBucketAnalyticsConfigurationInput>,
    ) -> S3Result<S3Response<dto::GetBucketAnalyticsConfigurationOutput>> {
        Ok(config_reads::missing(
            self,
            &req.extensions,
            Action::GetAnalyticsConfiguration,
            req.input.bucket,
            Code::NO_SUCH_CONFIGURATION,
        )
        .await?)
    }

    async fn get_bucket_cors(
        &self,
        req: S3Request<dto::GetBucketCorsInput>,
    ) -> S3Result<S3Response<dto::GetBucketCorsOutput>> {
        Ok(config_reads::missing(
            self,
            &req.extensions,
            Action::GetBucketCors,
            req.input.bucket,
            Code::NO_SUCH_CORS,
        )
        .await?)
    }

    async fn get_bucket_encryption(
        &self,
        req: S3Request<dto::GetBucketEncryptionInput>,
    ) -> S3Result<S3Response<dto::GetBucketEncryptionOutput>> {
        Ok(config_reads::missing(
            self,
            &req.extensions,
            Action::GetEncryptionConfiguration,
            req.input.bucket,
            Code::SSE_NOT_FOUND,
        )
        .await?)
    }

    async fn get_bucket_intelligent_tiering_configuration(
        &self,
        req: S3Request<dto::GetBucketIntelligentTieringConfigurationInput>,
    ) -> S3Result<S3Response<dto::GetBucketIntelligentTieringConfigurationOutput>> {
        Ok(config_reads::missing(
            self,
            &req.extensions,
            Action::GetIntelligentTieringConfiguration,
            req.input.bucket,
            Code::NO_SUCH_CONFIGURATION,
        )
        .await?)
    }

    async fn get_bucket_inventory_configuration(
        &self,
        req: S3Request<dto::GetBucketInventoryConfigurationInput>,
    ) -> S3Result<S3Response<dto::GetBucketInventoryConfigurationOutput>> {
        Ok(config_reads::missing(
            self,
            &req.extensions,
            Action::GetInventoryConfiguration,
            req.input.bucket,
            Code::NO_SUCH_CONFIGURATION,
        )
        .await?)
    }

    async fn get_bucket_lifecycle_configuration(
        &self,
        req: S3Request<dto::GetBucketLifecycleConfigurationInput>,
    ) -> S3Result<S3Response<dto::GetBucketLifecycleConfigurationOutput>> {
        Ok(config_reads::missing(
            self,
            &req.extensions,
            Action::GetLifecycleConfiguration,
            req.input.bucket,
            Code::NO_SUCH_LIFECYCLE,
        )
        .await?)
    }

    async fn get_bucket_metrics_configuration(
        &self,
        req: S3Request<dto::GetBucketMetricsConfigurationInput>,
    ) -> S3Result<S3Response<dto::GetBucketMetricsConfigurationOutput>> {
        Ok(config_reads::missing(
            self,
            &req.extensions,
            Action::GetMetricsConfiguration,
            req.input.bucket,
            Code::NO_SUCH_CONFIGURATION,
        )
        .await?)
    }

    async fn get_bucket_ownership_controls(
        &self,
        req: S3Request<dto::GetBucketOwnershipControlsInput>,
    ) -> S3Result<S3Response<dto::GetBucketOwnershipControlsOutput>> {
        Ok(config_reads::missing(
            self,
            &req.extensions,
            Action::GetBucketOwnershipControls,
            req.input.bucket,
            Code::OWNERSHIP_CONTROLS_NOT_FOUND,
        )
        .await?)
    }

    async fn get_bucket_policy(
        &self,
        req: S3Request<dto::GetBucketPolicyInput>,
    ) -> S3Result<S3Response<dto::GetBucketPolicyOutput>> {
        Ok(config_reads::missing(
            self,
            &req.extensions,
            Action::GetBucketPolicy,
            req.input.bucket,
            Code::NO_SUCH_BUCKET_POLICY,
        )
        .await?)
    }

    async fn get_bucket_policy_status(
        &self,
        req: S3Request<dto::GetBucketPolicyStatusInput>,
    ) -> S3Result<S3Response<dto::GetBucketPolicyStatusOutput>> {
        Ok(config_reads::missing(
            self,
            &req.extensions,
            Action::GetBucketPolicyStatus,
            req.input.bucket,
            Code::NO_SUCH_BUCKET_POLICY,
        )
        .await?)
    }

    async fn get_bucket_replication(
        &self,
        req: S3Request<dto::GetBucketReplicationInput>,
    ) -> S3Result<S3Response<dto::GetBucketReplicationOutput>> {
        Ok(config_reads::missing(
            self,
            &req.extensions,
            Action::GetReplicationConfiguration,
            req.input.bucket,
            Code::REPLICATION_NOT_FOUND,
        )
        .await?)
    }

    async fn get_bucket_tagging(
        &self,
        req: S3Request<dto::GetBucketTaggingInput>,
    ) -> S3Result<S3Response<dto::GetBucketTaggingOutput>> {
        Ok(config_reads::missing(
            self,
            &req.extensions,
            Action::GetBucketTagging,
            req.input.bucket,
            Code::NO_SUCH_TAG_SET,
        )
        .await?)
    }

    async fn get_bucket_website(
        &self,
        req: S3Request<dto::GetBucketWebsiteInput>,
    ) -> S3Result<S3Response<dto::GetBucketWebsiteOutput>> {
        Ok(config_reads::missing(
            self,
            &req.extensions,
            Action::GetBucketWebsite,
            req.input.bucket,
            Code::NO_SUCH_WEBSITE,
        )
        .await?)
    }

    async fn get_object_lock_configuration(
        &self,
        req: S3Request<dto::GetObjectLockConfigurationInput>,
    ) -> S3Result<S3Response<dto::GetObjectLockConfigurationOutput>> {
        Ok(config_reads::missing(
            self,
            &req.extensions,
            Action::GetBucketObjectLockConfiguration,
            req.input.bucket,
            Code::OBJECT_LOCK_NOT_FOUND,
        )
        .await?)
    }

    async fn get_public_access_block(
        &self,
        req: S3Request<dto::GetPublicAccessBlockInput>,
    ) -> S3Result<S3Response<dto::GetPublicAccessBlockOutput>> {
        Ok(config_reads::missing(
            self,
            &req.extensions,
            Action::GetBucketPublicAccessBlock,
            req.input.bucket,
            Code::NO_SUCH_PUBLIC_ACCESS_BLOCK,
        )
        .await?)
    }

    async fn get_object_acl(
        &self,
        req: S3Request<dto::GetObjectAclInput>,
    ) -> S3Result<S3Response<dto::GetObjectAclOutput>> {
        let object = (req.input.bucket, req.input.key, req.input.version_id);
        config_reads::of_object(self, &req.extensions, Action::GetObjectAcl, object).await?;
        Ok(S3Response::new(config_reads::object_acl()))
    }

    async fn get_object_tagging(
        &self,
        req: S3Request<dto::GetObjectTaggingInput>,
    ) -> S3Result<S3Response<dto::GetObjectTaggingOutput>> {
        let object = (req.input.bucket, req.input.key, req.input.version_id);
        config_reads::of_object(self, &req.extensions, Action::GetObjectTagging, object).await?;
        Ok(S3Response::new(config_reads::object_tagging()))
    }

    async fn get_object_legal_hold(
        &self,
        req: S3Request<dto::GetObjectLegalHoldInput>,
    ) -> S3Result<S3Response<dto::GetObjectLegalHoldOutput>> {
        let object = (req.input.bucket, req.input.key, req.input.version_id);
        Ok(config_reads::no_lock(self, &req.extensions, Action::GetObjectLegalHold, object).await?)
    }

    async fn get_object_retention(
        &self,
        req: S3Request<dto::GetObjectRetentionInput>,
    ) -> S3Result<S3Response<dto::GetObjectRetentionOutput>> {
        let object = (req.input.bucket, req.input.key, req.input.version_id);
        Ok(config_reads::no_lock(self, &req.extensions, Action::GetObjectRetention, object).await?)
    }
}
