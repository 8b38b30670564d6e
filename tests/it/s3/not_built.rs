//! What is not built answers 501 and stores nothing, end to end. The guard's own tests walk its whole table.

use super::Server;

const HEADERS: &[(&str, &str)] = &[
    ("x-amz-acl", "log-delivery-write"),
    ("x-amz-acl", "bucket-owner-read"),
    ("x-amz-copy-source-server-side-encryption-customer-key", "a"),
    ("x-amz-grant-full-control", "id=x"),
    ("x-amz-grant-read", "id=x"),
    ("x-amz-object-lock-legal-hold", "ON"),
    ("x-amz-object-lock-mode", "COMPLIANCE"),
    ("x-amz-object-lock-retain-until-date", "2033-01-01T00:00:00Z"),
    ("x-amz-server-side-encryption", "AES256"),
    ("x-amz-server-side-encryption", "aws:kms"),
    ("x-amz-server-side-encryption-aws-kms-key-id", "k"),
    ("x-amz-server-side-encryption-bucket-key-enabled", "true"),
    ("x-amz-server-side-encryption-context", "e30="),
    ("x-amz-server-side-encryption-customer-algorithm", "AES256"),
    ("x-amz-storage-class", "GLACIER"),
    ("x-amz-website-redirect-location", "/b"),
    ("x-amz-write-offset-bytes", "0"),
    ("x-amz-checksum-sha512", "AAAA"),
];

const OF_BUCKET: &[&str] = &[
    "accelerate",
    "analytics",
    "encryption",
    "intelligent-tiering",
    "inventory",
    "lifecycle",
    "logging",
    "metadataConfiguration",
    "metadataTable",
    "metrics",
    "notification",
    "object-lock",
    "policyStatus",
    "replication",
    "requestPayment",
    "versioning",
    "website",
    "never-heard-of",
];

#[tokio::test]
async fn writes_of_features_that_are_not_built_store_nothing() {
    let server = Server::with_bucket().await;
    for (name, value) in HEADERS.iter().copied() {
        let refused = server
            .put("/bucket/a")
            .header(name, value)
            .body("x")
            .send()
            .await
            .fails(501, "NotImplemented");
        assert!(refused.element("Message").unwrap().ends_with("nothing was stored."));
        server
            .put("/bucket/a")
            .header(name, value)
            .header("x-amz-copy-source", "bucket/b")
            .send()
            .await
            .is(501);
        server
            .post("/bucket/a?uploads")
            .header(name, value)
            .send()
            .await
            .fails(501, "NotImplemented");
        let query = format!(
            "/bucket/a?{}={}",
            name.replace("x-amz", "X-Amz"),
            value.replace('/', "%2F").replace('=', "%3D")
        );
        server.put(&query).body("x").send().await.fails(501, "NotImplemented");
    }
    for (name, value) in [
        ("x-amz-bucket-object-lock-enabled", "true"),
        ("x-amz-acl", "log-delivery-write"),
        ("x-amz-grant-read", "id=x"),
    ] {
        server
            .put("/fresh")
            .header(name, value)
            .send()
            .await
            .fails(501, "NotImplemented");
    }
    server.head("/fresh").send().await.fails(404, "NoSuchBucket");
    assert_eq!(server.get("/bucket").send().await.is(200).elements("Key").len(), 0);
    assert_eq!(
        server
            .get("/bucket?uploads")
            .send()
            .await
            .is(200)
            .elements("Upload")
            .len(),
        0
    );
}

#[tokio::test]
async fn writes_of_sub_resources_never_become_objects_or_buckets() {
    let server = Server::with_bucket().await;
    server.store("/bucket/kept", "x").await;
    for query in OF_BUCKET {
        server
            .put(&format!("/bucket?{query}"))
            .body("<A/>")
            .send()
            .await
            .fails(501, "NotImplemented");
        server
            .put(&format!("/fresh?{query}"))
            .body("<A/>")
            .send()
            .await
            .fails(501, "NotImplemented");
        server
            .delete(&format!("/bucket?{query}"))
            .send()
            .await
            .fails(501, "NotImplemented");
    }
    for query in [
        "legal-hold",
        "retention",
        "torrent",
        "encryption",
        "renameObject",
        "never-heard-of",
        "policy",
    ] {
        server
            .put(&format!("/bucket/a?{query}"))
            .body("<A/>")
            .send()
            .await
            .fails(501, "NotImplemented");
        server
            .delete(&format!("/bucket/kept?{query}"))
            .send()
            .await
            .fails(501, "NotImplemented");
    }
    for query in ["restore", "select&select-type=2", "never-heard-of"] {
        let answer = server.post(&format!("/bucket/kept?{query}")).body("<A/>").send().await;
        assert!(
            answer.status == 501 || answer.status == 405,
            "{query}: {}",
            answer.status
        );
    }
    for query in ["torrent", "session", "never-heard-of"] {
        server
            .get(&format!("/bucket/kept?{query}"))
            .send()
            .await
            .fails(501, "NotImplemented");
    }
    server.get("/bucket?session").send().await.fails(501, "NotImplemented");
    server.head("/fresh").send().await.fails(404, "NoSuchBucket");
    assert_eq!(server.get("/bucket").send().await.is(200).elements("Key"), ["kept"]);
    server.get("/bucket/kept").send().await.is(200);
}

#[tokio::test]
async fn a_body_that_asks_for_more_than_a_bucket_makes_none() {
    let server = Server::new();
    let directory = "<CreateBucketConfiguration><Location><Name>x</Name><Type>AvailabilityZone</Type></Location>\
                     </CreateBucketConfiguration>";
    server
        .put("/fresh")
        .body(directory)
        .send()
        .await
        .fails(501, "NotImplemented");
    server.head("/fresh").send().await.fails(404, "NoSuchBucket");
    let tags =
        "<CreateBucketConfiguration><Tags><Tag><Key>a</Key><Value>b</Value></Tag></Tags></CreateBucketConfiguration>";
    server
        .put("/fresh")
        .body(tags)
        .send()
        .await
        .fails(501, "NotImplemented");
    server.head("/fresh").send().await.fails(404, "NoSuchBucket");
}

#[tokio::test]
async fn browser_forms_are_not_taken_for_anything_else() {
    let server = Server::with_bucket().await;
    let form = server
        .post("/bucket")
        .header("content-type", "multipart/form-data; boundary=x")
        .body("--x--");
    form.send().await.fails(501, "NotImplemented");
    let begun = server
        .post("/bucket/a?uploads")
        .header("content-type", "multipart/form-data; boundary=x")
        .send()
        .await;
    begun.is(200);
}
