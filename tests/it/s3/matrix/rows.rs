//! One row for every operation of the S3 front: a request, and exactly which actions it needs on what.

/// One operation as it is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    /// Its name in the table of operations.
    pub(super) operation: &'static str,
    pub(super) method: &'static str,
    /// `{upload}` is an upload of `bucket/m` with one part.
    pub(super) path: &'static str,
    pub(super) headers: &'static [(&'static str, &'static str)],
    /// `{etag}` is that part's.
    pub(super) body: &'static str,
    /// Every action it needs, and what on: a bucket, or a bucket and a key.
    pub(super) needs: &'static [(&'static str, &'static str)],
}

const fn row(
    operation: &'static str,
    method: &'static str,
    path: &'static str,
    needs: &'static [(&'static str, &'static str)],
) -> Row {
    Row {
        operation,
        method,
        path,
        headers: &[],
        body: "",
        needs,
    }
}

impl Row {
    const fn header(self, headers: &'static [(&'static str, &'static str)]) -> Self {
        Self { headers, ..self }
    }

    const fn body(self, body: &'static str) -> Self {
        Self { body, ..self }
    }
}

const COPY: &[(&str, &str)] = &[("x-amz-copy-source", "source/s")];
const COPY_VERSION: &[(&str, &str)] = &[("x-amz-copy-source", "source/s?versionId=null")];
const ATTRIBUTES: &[(&str, &str)] = &[("x-amz-object-attributes", "ETag")];
const DELETE: &str = "<Delete><Object><Key>a</Key></Object></Delete>";
const DELETE_VERSION: &str = "<Delete><Object><Key>a</Key><VersionId>null</VersionId></Object></Delete>";
const COMPLETE: &str =
    "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part></CompleteMultipartUpload>";

const TAGS: &[(&str, &str)] = &[("x-amz-tagging", "a=1")];
const PUBLIC: &[(&str, &str)] = &[("x-amz-acl", "public-read")];
const PRIVATE: &[(&str, &str)] = &[("x-amz-acl", "private")];
const TAGGING: &str = "<Tagging><TagSet><Tag><Key>a</Key><Value>1</Value></Tag></TagSet></Tagging>";
const CORS: &str = "<CORSConfiguration><CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET</AllowedMethod></CORSRule></CORSConfiguration>";
const OWNERSHIP: &str =
    "<OwnershipControls><Rule><ObjectOwnership>ObjectWriter</ObjectOwnership></Rule></OwnershipControls>";
const BLOCK: &str =
    "<PublicAccessBlockConfiguration><BlockPublicAcls>true</BlockPublicAcls></PublicAccessBlockConfiguration>";
const POLICY: &str = r#"{"Statement":{"Effect":"Allow","Principal":{"AWS":"carl"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::bucket/*"}}"#;

pub(super) const ROWS: &[Row] = &[
    row("create_bucket", "PUT", "/fresh", &[("s3:CreateBucket", "fresh")]),
    row("head_bucket", "HEAD", "/bucket", &[("s3:ListBucket", "bucket")]),
    row("delete_bucket", "DELETE", "/empty", &[("s3:DeleteBucket", "empty")]),
    row(
        "get_bucket_location",
        "GET",
        "/bucket?location",
        &[("s3:GetBucketLocation", "bucket")],
    ),
    row("list_objects", "GET", "/bucket", &[("s3:ListBucket", "bucket")]),
    row(
        "list_objects_v2",
        "GET",
        "/bucket?list-type=2",
        &[("s3:ListBucket", "bucket")],
    ),
    row(
        "list_object_versions",
        "GET",
        "/bucket?versions",
        &[("s3:ListBucketVersions", "bucket")],
    ),
    row("put_object", "PUT", "/bucket/new", &[("s3:PutObject", "bucket/new")]).body("x"),
    row("get_object", "GET", "/bucket/a", &[("s3:GetObject", "bucket/a")]),
    row(
        "get_object",
        "GET",
        "/bucket/a?versionId=null",
        &[("s3:GetObjectVersion", "bucket/a")],
    ),
    row("head_object", "HEAD", "/bucket/a", &[("s3:GetObject", "bucket/a")]),
    row(
        "head_object",
        "HEAD",
        "/bucket/a?versionId=null",
        &[("s3:GetObjectVersion", "bucket/a")],
    ),
    row(
        "get_object_attributes",
        "GET",
        "/bucket/a?attributes",
        &[("s3:GetObject", "bucket/a"), ("s3:GetObjectAttributes", "bucket/a")],
    )
    .header(ATTRIBUTES),
    row(
        "get_object_attributes",
        "GET",
        "/bucket/a?attributes&versionId=null",
        &[
            ("s3:GetObjectVersion", "bucket/a"),
            ("s3:GetObjectVersionAttributes", "bucket/a"),
        ],
    )
    .header(ATTRIBUTES),
    row(
        "delete_object",
        "DELETE",
        "/bucket/a",
        &[("s3:DeleteObject", "bucket/a")],
    ),
    row(
        "delete_object",
        "DELETE",
        "/bucket/a?versionId=null",
        &[("s3:DeleteObjectVersion", "bucket/a")],
    ),
    row(
        "delete_objects",
        "POST",
        "/bucket?delete",
        &[("s3:DeleteObject", "bucket/a")],
    )
    .body(DELETE),
    row(
        "delete_objects",
        "POST",
        "/bucket?delete",
        &[("s3:DeleteObjectVersion", "bucket/a")],
    )
    .body(DELETE_VERSION),
    row(
        "copy_object",
        "PUT",
        "/bucket/copy",
        &[("s3:GetObject", "source/s"), ("s3:PutObject", "bucket/copy")],
    )
    .header(COPY),
    row(
        "copy_object",
        "PUT",
        "/bucket/copy",
        &[("s3:GetObjectVersion", "source/s"), ("s3:PutObject", "bucket/copy")],
    )
    .header(COPY_VERSION),
    row(
        "create_multipart_upload",
        "POST",
        "/bucket/m?uploads",
        &[("s3:PutObject", "bucket/m")],
    ),
    row(
        "upload_part",
        "PUT",
        "/bucket/m?partNumber=2&uploadId={upload}",
        &[("s3:PutObject", "bucket/m")],
    )
    .body("x"),
    row(
        "upload_part_copy",
        "PUT",
        "/bucket/m?partNumber=2&uploadId={upload}",
        &[("s3:GetObject", "source/s"), ("s3:PutObject", "bucket/m")],
    )
    .header(COPY),
    row(
        "upload_part_copy",
        "PUT",
        "/bucket/m?partNumber=2&uploadId={upload}",
        &[("s3:GetObjectVersion", "source/s"), ("s3:PutObject", "bucket/m")],
    )
    .header(COPY_VERSION),
    row(
        "complete_multipart_upload",
        "POST",
        "/bucket/m?uploadId={upload}",
        &[("s3:PutObject", "bucket/m")],
    )
    .body(COMPLETE),
    row(
        "abort_multipart_upload",
        "DELETE",
        "/bucket/m?uploadId={upload}",
        &[("s3:AbortMultipartUpload", "bucket/m")],
    ),
    row(
        "list_parts",
        "GET",
        "/bucket/m?uploadId={upload}",
        &[("s3:ListMultipartUploadParts", "bucket/m")],
    ),
    row(
        "list_multipart_uploads",
        "GET",
        "/bucket?uploads",
        &[("s3:ListBucketMultipartUploads", "bucket")],
    ),
    row(
        "get_bucket_accelerate_configuration",
        "GET",
        "/bucket?accelerate",
        &[("s3:GetAccelerateConfiguration", "bucket")],
    ),
    row("get_bucket_acl", "GET", "/bucket?acl", &[("s3:GetBucketAcl", "bucket")]),
    row(
        "get_bucket_logging",
        "GET",
        "/bucket?logging",
        &[("s3:GetBucketLogging", "bucket")],
    ),
    row(
        "get_bucket_notification_configuration",
        "GET",
        "/bucket?notification",
        &[("s3:GetBucketNotification", "bucket")],
    ),
    row(
        "get_bucket_request_payment",
        "GET",
        "/bucket?requestPayment",
        &[("s3:GetBucketRequestPayment", "bucket")],
    ),
    row(
        "get_bucket_versioning",
        "GET",
        "/bucket?versioning",
        &[("s3:GetBucketVersioning", "bucket")],
    ),
    row(
        "list_bucket_analytics_configurations",
        "GET",
        "/bucket?analytics",
        &[("s3:GetAnalyticsConfiguration", "bucket")],
    ),
    row(
        "list_bucket_intelligent_tiering_configurations",
        "GET",
        "/bucket?intelligent-tiering",
        &[("s3:GetIntelligentTieringConfiguration", "bucket")],
    ),
    row(
        "list_bucket_inventory_configurations",
        "GET",
        "/bucket?inventory",
        &[("s3:GetInventoryConfiguration", "bucket")],
    ),
    row(
        "list_bucket_metrics_configurations",
        "GET",
        "/bucket?metrics",
        &[("s3:GetMetricsConfiguration", "bucket")],
    ),
    row(
        "get_bucket_analytics_configuration",
        "GET",
        "/bucket?analytics&id=x",
        &[("s3:GetAnalyticsConfiguration", "bucket")],
    ),
    row(
        "get_bucket_cors",
        "GET",
        "/bucket?cors",
        &[("s3:GetBucketCORS", "bucket")],
    ),
    row(
        "get_bucket_encryption",
        "GET",
        "/bucket?encryption",
        &[("s3:GetEncryptionConfiguration", "bucket")],
    ),
    row(
        "get_bucket_intelligent_tiering_configuration",
        "GET",
        "/bucket?intelligent-tiering&id=x",
        &[("s3:GetIntelligentTieringConfiguration", "bucket")],
    ),
    row(
        "get_bucket_inventory_configuration",
        "GET",
        "/bucket?inventory&id=x",
        &[("s3:GetInventoryConfiguration", "bucket")],
    ),
    row(
        "get_bucket_lifecycle_configuration",
        "GET",
        "/bucket?lifecycle",
        &[("s3:GetLifecycleConfiguration", "bucket")],
    ),
    row(
        "get_bucket_metrics_configuration",
        "GET",
        "/bucket?metrics&id=x",
        &[("s3:GetMetricsConfiguration", "bucket")],
    ),
    row(
        "get_bucket_ownership_controls",
        "GET",
        "/bucket?ownershipControls",
        &[("s3:GetBucketOwnershipControls", "bucket")],
    ),
    row(
        "get_bucket_policy",
        "GET",
        "/bucket?policy",
        &[("s3:GetBucketPolicy", "bucket")],
    ),
    row(
        "get_bucket_policy_status",
        "GET",
        "/bucket?policyStatus",
        &[("s3:GetBucketPolicyStatus", "bucket")],
    ),
    row(
        "get_bucket_replication",
        "GET",
        "/bucket?replication",
        &[("s3:GetReplicationConfiguration", "bucket")],
    ),
    row(
        "get_bucket_tagging",
        "GET",
        "/bucket?tagging",
        &[("s3:GetBucketTagging", "bucket")],
    ),
    row(
        "get_bucket_website",
        "GET",
        "/bucket?website",
        &[("s3:GetBucketWebsite", "bucket")],
    ),
    row(
        "get_object_lock_configuration",
        "GET",
        "/bucket?object-lock",
        &[("s3:GetBucketObjectLockConfiguration", "bucket")],
    ),
    row(
        "get_public_access_block",
        "GET",
        "/bucket?publicAccessBlock",
        &[("s3:GetBucketPublicAccessBlock", "bucket")],
    ),
    row(
        "get_object_acl",
        "GET",
        "/bucket/a?acl",
        &[("s3:GetObjectAcl", "bucket/a")],
    ),
    row(
        "get_object_tagging",
        "GET",
        "/bucket/a?tagging",
        &[("s3:GetObjectTagging", "bucket/a")],
    ),
    row(
        "get_object_legal_hold",
        "GET",
        "/bucket/a?legal-hold",
        &[("s3:GetObjectLegalHold", "bucket/a")],
    ),
    row(
        "get_object_retention",
        "GET",
        "/bucket/a?retention",
        &[("s3:GetObjectRetention", "bucket/a")],
    ),
    row(
        "put_object",
        "PUT",
        "/bucket/new",
        &[("s3:PutObject", "bucket/new"), ("s3:PutObjectTagging", "bucket/new")],
    )
    .header(TAGS)
    .body("x"),
    row(
        "put_object",
        "PUT",
        "/bucket/new",
        &[("s3:PutObject", "bucket/new"), ("s3:PutObjectAcl", "bucket/new")],
    )
    .header(PUBLIC)
    .body("x"),
    row("put_object", "PUT", "/bucket/new", &[("s3:PutObject", "bucket/new")])
        .header(PRIVATE)
        .body("x"),
    row(
        "create_multipart_upload",
        "POST",
        "/bucket/m?uploads",
        &[("s3:PutObject", "bucket/m"), ("s3:PutObjectTagging", "bucket/m")],
    )
    .header(TAGS),
    row(
        "create_bucket",
        "PUT",
        "/fresh",
        &[("s3:CreateBucket", "fresh"), ("s3:PutBucketAcl", "fresh")],
    )
    .header(PUBLIC),
    row("put_bucket_acl", "PUT", "/bucket?acl", &[("s3:PutBucketAcl", "bucket")]).header(PUBLIC),
    row(
        "put_object_acl",
        "PUT",
        "/bucket/a?acl",
        &[("s3:PutObjectAcl", "bucket/a")],
    )
    .header(PUBLIC),
    row(
        "put_bucket_cors",
        "PUT",
        "/bucket?cors",
        &[("s3:PutBucketCORS", "bucket")],
    )
    .body(CORS),
    row(
        "delete_bucket_cors",
        "DELETE",
        "/bucket?cors",
        &[("s3:PutBucketCORS", "bucket")],
    ),
    row(
        "put_bucket_tagging",
        "PUT",
        "/bucket?tagging",
        &[("s3:PutBucketTagging", "bucket")],
    )
    .body(TAGGING),
    row(
        "delete_bucket_tagging",
        "DELETE",
        "/bucket?tagging",
        &[("s3:PutBucketTagging", "bucket")],
    ),
    row(
        "put_object_tagging",
        "PUT",
        "/bucket/a?tagging",
        &[("s3:PutObjectTagging", "bucket/a")],
    )
    .body(TAGGING),
    row(
        "delete_object_tagging",
        "DELETE",
        "/bucket/a?tagging",
        &[("s3:DeleteObjectTagging", "bucket/a")],
    ),
    row(
        "get_object_tagging",
        "GET",
        "/bucket/a?tagging&versionId=null",
        &[("s3:GetObjectVersionTagging", "bucket/a")],
    ),
    row(
        "get_object_acl",
        "GET",
        "/bucket/a?acl&versionId=null",
        &[("s3:GetObjectVersionAcl", "bucket/a")],
    ),
    row(
        "put_bucket_ownership_controls",
        "PUT",
        "/bucket?ownershipControls",
        &[("s3:PutBucketOwnershipControls", "bucket")],
    )
    .body(OWNERSHIP),
    row(
        "delete_bucket_ownership_controls",
        "DELETE",
        "/bucket?ownershipControls",
        &[("s3:PutBucketOwnershipControls", "bucket")],
    ),
    row(
        "put_public_access_block",
        "PUT",
        "/bucket?publicAccessBlock",
        &[("s3:PutBucketPublicAccessBlock", "bucket")],
    )
    .body(BLOCK),
    row(
        "delete_public_access_block",
        "DELETE",
        "/bucket?publicAccessBlock",
        &[("s3:PutBucketPublicAccessBlock", "bucket")],
    ),
    row(
        "put_bucket_policy",
        "PUT",
        "/bucket?policy",
        &[("s3:PutBucketPolicy", "bucket")],
    )
    .body(POLICY),
    row(
        "delete_bucket_policy",
        "DELETE",
        "/bucket?policy",
        &[("s3:DeleteBucketPolicy", "bucket")],
    ),
];
