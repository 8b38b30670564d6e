//! The operations this front serves, each handed to its family in one line; s3s answers 501 for the rest.
//!
//! Owns nothing but the table; it never decodes a request.

use s3s::dto;
use s3s::{S3, S3Request, S3Response, S3Result};

use super::Front;
use crate::access::Action;
use crate::s3::error::Code;
use crate::s3::{
    acl, bucket, config_reads, copy, cors, delete, list, list_parts, multipart, object, policy, settings, tagging,
};
use crate::telemetry::trace::Operation;

/// Writes the trait of s3s from lines of operation, input, output and what answers it: the handler that serves it; or,
/// of configuration nobody can set yet, the action it is and what is true of every bucket or object there is.
macro_rules! operations {
    (
        served { $($served:ident: $served_in:ident -> $served_out:ident = $handler:path;)* }
        told_of_bucket { $($told:ident: $told_in:ident -> $told_out:ident = $told_action:ident, $told_answer:expr;)* }
        absent_from_bucket { $($absent:ident: $absent_in:ident -> $absent_out:ident = $absent_action:ident, $code:ident;)* }
        unlocked_object { $($lock:ident: $lock_in:ident -> $lock_out:ident = $lock_action:ident;)* }
    ) => {
        #[async_trait::async_trait]
        impl S3 for Front {
            $(async fn $served(&self, req: S3Request<dto::$served_in>) -> S3Result<S3Response<dto::$served_out>> {
                Operation::name(&req.extensions, stringify!($served));
                Ok($handler(self, req).await?)
            })*

            $(async fn $told(&self, req: S3Request<dto::$told_in>) -> S3Result<S3Response<dto::$told_out>> {
                Operation::name(&req.extensions, stringify!($told));
                config_reads::of_bucket(self, &req.extensions, Action::$told_action, req.input.bucket).await?;
                Ok(S3Response::new($told_answer))
            })*

            $(async fn $absent(&self, req: S3Request<dto::$absent_in>) -> S3Result<S3Response<dto::$absent_out>> {
                Operation::name(&req.extensions, stringify!($absent));
                let (action, code) = (Action::$absent_action, Code::$code);
                Ok(config_reads::missing(self, &req.extensions, action, req.input.bucket, code).await?)
            })*

            $(async fn $lock(&self, req: S3Request<dto::$lock_in>) -> S3Result<S3Response<dto::$lock_out>> {
                Operation::name(&req.extensions, stringify!($lock));
                let object = (req.input.bucket, req.input.key, req.input.version_id);
                Ok(config_reads::no_lock(self, &req.extensions, Action::$lock_action, object).await?)
            })*
        }
    };
}

operations! {
    served {
        create_bucket: CreateBucketInput -> CreateBucketOutput = bucket::create;
        head_bucket: HeadBucketInput -> HeadBucketOutput = bucket::head;
        delete_bucket: DeleteBucketInput -> DeleteBucketOutput = bucket::delete;
        get_bucket_location: GetBucketLocationInput -> GetBucketLocationOutput = bucket::locate;
        list_buckets: ListBucketsInput -> ListBucketsOutput = bucket::list;
        list_objects: ListObjectsInput -> ListObjectsOutput = list::v1;
        list_objects_v2: ListObjectsV2Input -> ListObjectsV2Output = list::v2;
        list_object_versions: ListObjectVersionsInput -> ListObjectVersionsOutput = list::versions;
        put_object: PutObjectInput -> PutObjectOutput = object::put;
        get_object: GetObjectInput -> GetObjectOutput = object::get;
        head_object: HeadObjectInput -> HeadObjectOutput = object::head;
        get_object_attributes: GetObjectAttributesInput -> GetObjectAttributesOutput = object::attributes;
        delete_object: DeleteObjectInput -> DeleteObjectOutput = delete::one;
        delete_objects: DeleteObjectsInput -> DeleteObjectsOutput = delete::many;
        copy_object: CopyObjectInput -> CopyObjectOutput = copy::object;
        create_multipart_upload: CreateMultipartUploadInput -> CreateMultipartUploadOutput = multipart::create;
        upload_part: UploadPartInput -> UploadPartOutput = multipart::part;
        upload_part_copy: UploadPartCopyInput -> UploadPartCopyOutput = copy::part;
        complete_multipart_upload: CompleteMultipartUploadInput -> CompleteMultipartUploadOutput = multipart::complete;
        abort_multipart_upload: AbortMultipartUploadInput -> AbortMultipartUploadOutput = multipart::abort;
        list_parts: ListPartsInput -> ListPartsOutput = list_parts::parts;
        list_multipart_uploads: ListMultipartUploadsInput -> ListMultipartUploadsOutput = list_parts::uploads;
        get_bucket_acl: GetBucketAclInput -> GetBucketAclOutput = acl::get_bucket;
        put_bucket_acl: PutBucketAclInput -> PutBucketAclOutput = acl::put_bucket;
        get_object_acl: GetObjectAclInput -> GetObjectAclOutput = acl::get_object;
        put_object_acl: PutObjectAclInput -> PutObjectAclOutput = acl::put_object;
        get_bucket_cors: GetBucketCorsInput -> GetBucketCorsOutput = cors::get;
        put_bucket_cors: PutBucketCorsInput -> PutBucketCorsOutput = cors::put;
        delete_bucket_cors: DeleteBucketCorsInput -> DeleteBucketCorsOutput = cors::delete;
        get_bucket_policy: GetBucketPolicyInput -> GetBucketPolicyOutput = policy::get;
        put_bucket_policy: PutBucketPolicyInput -> PutBucketPolicyOutput = policy::put;
        delete_bucket_policy: DeleteBucketPolicyInput -> DeleteBucketPolicyOutput = policy::delete;
        get_bucket_policy_status: GetBucketPolicyStatusInput -> GetBucketPolicyStatusOutput = policy::status;
        get_bucket_tagging: GetBucketTaggingInput -> GetBucketTaggingOutput = tagging::get_bucket;
        put_bucket_tagging: PutBucketTaggingInput -> PutBucketTaggingOutput = tagging::put_bucket;
        delete_bucket_tagging: DeleteBucketTaggingInput -> DeleteBucketTaggingOutput = tagging::delete_bucket;
        get_object_tagging: GetObjectTaggingInput -> GetObjectTaggingOutput = tagging::get_object;
        put_object_tagging: PutObjectTaggingInput -> PutObjectTaggingOutput = tagging::put_object;
        delete_object_tagging: DeleteObjectTaggingInput -> DeleteObjectTaggingOutput = tagging::delete_object;
        get_public_access_block: GetPublicAccessBlockInput -> GetPublicAccessBlockOutput = settings::get_block;
        put_public_access_block: PutPublicAccessBlockInput -> PutPublicAccessBlockOutput = settings::put_block;
        delete_public_access_block: DeletePublicAccessBlockInput -> DeletePublicAccessBlockOutput = settings::delete_block;
        get_bucket_ownership_controls: GetBucketOwnershipControlsInput -> GetBucketOwnershipControlsOutput = settings::get_ownership;
        put_bucket_ownership_controls: PutBucketOwnershipControlsInput -> PutBucketOwnershipControlsOutput = settings::put_ownership;
        delete_bucket_ownership_controls: DeleteBucketOwnershipControlsInput -> DeleteBucketOwnershipControlsOutput = settings::delete_ownership;
    }
    told_of_bucket {
        get_bucket_accelerate_configuration: GetBucketAccelerateConfigurationInput -> GetBucketAccelerateConfigurationOutput = GetAccelerateConfiguration, Default::default();
        get_bucket_logging: GetBucketLoggingInput -> GetBucketLoggingOutput = GetBucketLogging, Default::default();
        get_bucket_notification_configuration: GetBucketNotificationConfigurationInput -> GetBucketNotificationConfigurationOutput = GetBucketNotification, Default::default();
        get_bucket_request_payment: GetBucketRequestPaymentInput -> GetBucketRequestPaymentOutput = GetBucketRequestPayment, config_reads::request_payment();
        get_bucket_versioning: GetBucketVersioningInput -> GetBucketVersioningOutput = GetBucketVersioning, Default::default();
        list_bucket_analytics_configurations: ListBucketAnalyticsConfigurationsInput -> ListBucketAnalyticsConfigurationsOutput = GetAnalyticsConfiguration, Default::default();
        list_bucket_intelligent_tiering_configurations: ListBucketIntelligentTieringConfigurationsInput -> ListBucketIntelligentTieringConfigurationsOutput = GetIntelligentTieringConfiguration, Default::default();
        list_bucket_inventory_configurations: ListBucketInventoryConfigurationsInput -> ListBucketInventoryConfigurationsOutput = GetInventoryConfiguration, Default::default();
        list_bucket_metrics_configurations: ListBucketMetricsConfigurationsInput -> ListBucketMetricsConfigurationsOutput = GetMetricsConfiguration, Default::default();
    }
    absent_from_bucket {
        get_bucket_analytics_configuration: GetBucketAnalyticsConfigurationInput -> GetBucketAnalyticsConfigurationOutput = GetAnalyticsConfiguration, NO_SUCH_CONFIGURATION;
        get_bucket_encryption: GetBucketEncryptionInput -> GetBucketEncryptionOutput = GetEncryptionConfiguration, SSE_NOT_FOUND;
        get_bucket_intelligent_tiering_configuration: GetBucketIntelligentTieringConfigurationInput -> GetBucketIntelligentTieringConfigurationOutput = GetIntelligentTieringConfiguration, NO_SUCH_CONFIGURATION;
        get_bucket_inventory_configuration: GetBucketInventoryConfigurationInput -> GetBucketInventoryConfigurationOutput = GetInventoryConfiguration, NO_SUCH_CONFIGURATION;
        get_bucket_lifecycle_configuration: GetBucketLifecycleConfigurationInput -> GetBucketLifecycleConfigurationOutput = GetLifecycleConfiguration, NO_SUCH_LIFECYCLE;
        get_bucket_metrics_configuration: GetBucketMetricsConfigurationInput -> GetBucketMetricsConfigurationOutput = GetMetricsConfiguration, NO_SUCH_CONFIGURATION;
        get_bucket_replication: GetBucketReplicationInput -> GetBucketReplicationOutput = GetReplicationConfiguration, REPLICATION_NOT_FOUND;
        get_bucket_website: GetBucketWebsiteInput -> GetBucketWebsiteOutput = GetBucketWebsite, NO_SUCH_WEBSITE;
        get_object_lock_configuration: GetObjectLockConfigurationInput -> GetObjectLockConfigurationOutput = GetBucketObjectLockConfiguration, OBJECT_LOCK_NOT_FOUND;
    }
    unlocked_object {
        get_object_legal_hold: GetObjectLegalHoldInput -> GetObjectLegalHoldOutput = GetObjectLegalHold;
        get_object_retention: GetObjectRetentionInput -> GetObjectRetentionOutput = GetObjectRetention;
    }
}
