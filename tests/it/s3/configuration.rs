//! Reads of configuration that nobody can set yet.

use super::Server;

#[tokio::test]
async fn bucket_configuration_is_truthfully_absent() {
    let server = Server::with_bucket().await;
    let absent = [
        ("analytics&id=x", "NoSuchConfiguration"),
        ("cors", "NoSuchCORSConfiguration"),
        ("encryption", "ServerSideEncryptionConfigurationNotFoundError"),
        ("intelligent-tiering&id=x", "NoSuchConfiguration"),
        ("inventory&id=x", "NoSuchConfiguration"),
        ("lifecycle", "NoSuchLifecycleConfiguration"),
        ("metrics&id=x", "NoSuchConfiguration"),
        ("object-lock", "ObjectLockConfigurationNotFoundError"),
        ("ownershipControls", "OwnershipControlsNotFoundError"),
        ("policy", "NoSuchBucketPolicy"),
        ("publicAccessBlock", "NoSuchPublicAccessBlockConfiguration"),
        ("replication", "ReplicationConfigurationNotFoundError"),
        ("tagging", "NoSuchTagSet"),
        ("website", "NoSuchWebsiteConfiguration"),
    ];
    for (query, code) in absent {
        server.get(&format!("/bucket?{query}")).send().await.fails(404, code);
        server
            .get(&format!("/missing-bucket?{query}"))
            .send()
            .await
            .fails(404, "NoSuchBucket");
        server
            .get(&format!("/bucket?{query}"))
            .anonymous()
            .send()
            .await
            .fails(403, "AccessDenied");
    }
    let empty = [
        ("accelerate", "AccelerateConfiguration"),
        ("acl", "<Permission>FULL_CONTROL</Permission>"),
        ("analytics", "ListBucketAnalyticsConfigurationResult"),
        (
            "intelligent-tiering",
            "ListBucketIntelligentTieringConfigurationsOutput",
        ),
        ("inventory", "ListInventoryConfigurationsResult"),
        ("logging", "BucketLoggingStatus"),
        ("metrics", "ListMetricsConfigurationsResult"),
        ("notification", "NotificationConfiguration"),
        ("requestPayment", "<Payer>BucketOwner</Payer>"),
        ("versioning", "VersioningConfiguration"),
    ];
    for (query, holds) in empty {
        let answer = server.get(&format!("/bucket?{query}")).send().await.is(200);
        assert!(answer.text().contains(holds), "{query}: {}", answer.text());
        assert!(!answer.text().contains("<Status>"), "{query}: {}", answer.text());
        server
            .get(&format!("/missing-bucket?{query}"))
            .send()
            .await
            .fails(404, "NoSuchBucket");
    }
}

#[tokio::test]
async fn object_configuration_is_truthfully_absent() {
    let server = Server::with_bucket().await;
    server.store("/bucket/a", "x").await;
    let acl = server.get("/bucket/a?acl").send().await.is(200);
    assert!(acl.text().contains("xsi:type=\"CanonicalUser\""), "{}", acl.text());
    assert_eq!(acl.elements("Permission"), ["FULL_CONTROL"]);
    let tags = server.get("/bucket/a?tagging").send().await.is(200);
    assert_eq!(tags.elements("Tag").len(), 0);
    assert!(tags.text().contains("<TagSet"), "{}", tags.text());
    for query in ["legal-hold", "retention"] {
        server
            .get(&format!("/bucket/a?{query}"))
            .send()
            .await
            .fails(400, "InvalidRequest");
    }
    for query in ["acl", "tagging", "legal-hold", "retention"] {
        server
            .get(&format!("/bucket/absent?{query}"))
            .send()
            .await
            .fails(404, "NoSuchKey");
    }
}
