//! Create, head, delete, list, locate.

use super::Server;

#[tokio::test]
async fn a_bucket_lives_from_create_to_delete() {
    let server = Server::new();
    server.head("/bucket").send().await.fails(404, "NoSuchBucket");
    let made = server.put("/bucket").send().await.is(200);
    assert_eq!(made.header("location"), Some("/bucket"));
    server.put("/bucket").send().await.fails(409, "BucketAlreadyOwnedByYou");
    let head = server.head("/bucket").send().await.is(200);
    assert_eq!(head.header("x-amz-bucket-region"), Some("us-east-1"));
    server.store("/bucket/a", "x").await;
    server.delete("/bucket").send().await.fails(409, "BucketNotEmpty");
    server.delete("/bucket/a").send().await.is(204);
    server.delete("/bucket").send().await.is(204);
    server.delete("/bucket").send().await.fails(404, "NoSuchBucket");
}

#[tokio::test]
async fn names_that_are_no_bucket_names_are_refused_whatever_is_asked() {
    let server = Server::new();
    for name in [
        "ab",
        "UPPER",
        "a_b",
        "a..b",
        "-ab",
        "ab-",
        "192.168.1.1",
        "minio",
        "xn--abc",
    ] {
        for method in ["PUT", "GET", "DELETE"] {
            server
                .ask(method, &format!("/{name}"))
                .send()
                .await
                .fails(400, "InvalidBucketName");
        }
        server
            .get(&format!("/{name}/key"))
            .send()
            .await
            .fails(400, "InvalidBucketName");
    }
    server
        .put(&format!("/{}", "a".repeat(64)))
        .send()
        .await
        .fails(400, "InvalidBucketName");
}

#[tokio::test]
async fn buckets_are_listed_in_pages_with_prefix_and_owner() {
    let server = Server::new();
    for name in ["alpha", "beta-1", "beta-2", "gamma"] {
        server.put(&format!("/{name}")).send().await.is(200);
    }
    let all = server.get("/").send().await.is(200);
    assert_eq!(all.elements("Name"), ["alpha", "beta-1", "beta-2", "gamma"]);
    assert!(all.text().contains("<ListAllMyBucketsResult") && all.element("ID").unwrap().len() == 64);
    let first = server.get("/?max-buckets=1&prefix=beta").send().await.is(200);
    assert_eq!(first.elements("Name"), ["beta-1"]);
    let token = first.element("ContinuationToken").unwrap();
    let rest = server
        .get(&format!("/?prefix=beta&continuation-token={token}"))
        .send()
        .await
        .is(200);
    assert_eq!(rest.elements("Name"), ["beta-2"]);
    assert_eq!(rest.element("ContinuationToken"), None);
    server.get("/?max-buckets=0").send().await.fails(400, "InvalidArgument");
}

fn location(region: &str) -> String {
    format!(
        "<CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><LocationConstraint>{region}\
         </LocationConstraint></CreateBucketConfiguration>"
    )
}

#[tokio::test]
async fn a_server_without_region_takes_any_and_one_with_region_its_own() {
    let server = Server::new();
    server.put("/anywhere").body(location("eu-west-1")).send().await.is(200);
    let located = server.get("/anywhere?location").send().await.is(200);
    assert!(
        located.text().ends_with(">eu-west-1</LocationConstraint>"),
        "{}",
        located.text()
    );
    server.put("/nowhere").send().await.is(200);
    let located = server.get("/nowhere?location").send().await.is(200);
    assert!(located.text().contains("<LocationConstraint"), "{}", located.text());
    assert!(!located.text().contains("us-east-1"), "{}", located.text());

    let server = Server::configured(&[], Some("eu-central-1"));
    server
        .put("/foreign")
        .body(location("eu-west-1"))
        .send()
        .await
        .fails(400, "IllegalLocationConstraintException");
    server.head("/foreign").send().await.fails(404, "NoSuchBucket");
    for (name, body) in [
        ("own", location("eu-central-1")),
        ("default", location("us-east-1")),
        ("none", String::new()),
    ] {
        server.put(&format!("/{name}-bucket")).body(body).send().await.is(200);
        let located = server.get(&format!("/{name}-bucket?location")).send().await.is(200);
        assert!(located.text().contains(">eu-central-1<"), "{}", located.text());
    }
}

/// It was made, and from then on every HEAD of the bucket failed: its region fits in no header.
#[tokio::test]
async fn a_region_that_cannot_stand_in_a_header_is_refused_and_makes_no_bucket() {
    let server = Server::new();
    for region in ["\u{16}", "a b", "\u{e9}", &"r".repeat(65)] {
        let asked = server.put("/bucket").body(location(region)).send().await;
        asked.fails(400, "InvalidLocationConstraint");
        server.head("/bucket").send().await.fails(404, "NoSuchBucket");
    }
    server
        .put("/bucket")
        .body(location(&"r".repeat(64)))
        .send()
        .await
        .is(200);
    server.head("/bucket").send().await.is(200);
}

#[tokio::test]
async fn a_bucket_may_be_the_first_label_of_the_host() {
    let server = Server::configured(&["s3.example.com"], None);
    let host = "pics.s3.example.com:9000";
    server.put("/").header("host", host).send().await.is(200);
    server
        .put("/v1/minio")
        .header("host", host)
        .body("hi")
        .send()
        .await
        .is(200);
    let by_path = server
        .get("/pics/v1/minio")
        .header("host", "s3.example.com")
        .send()
        .await
        .is(200);
    assert_eq!(by_path.text(), "hi");
    let listed = server.get("/?list-type=2").header("host", host).send().await.is(200);
    assert_eq!(listed.elements("Key"), ["v1/minio"]);
    server
        .get("/pics/v1/minio")
        .header("host", "10.0.0.7:9000")
        .send()
        .await
        .is(200);
    server
        .get("/v1/minio")
        .header("host", "evilpics-s3.example.com.org")
        .send()
        .await
        .fails(400, "InvalidBucketName");
}
