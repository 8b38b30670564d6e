//! Who may not, what is not there, and what an error looks like.

use super::Server;
use super::settings::tenant;

#[tokio::test]
async fn anonymous_callers_may_nothing() {
    let server = Server::with_bucket().await;
    server.store("/bucket/a", "x").await;
    let asks = [
        ("GET", "/"),
        ("GET", "/bucket"),
        ("HEAD", "/bucket"),
        ("PUT", "/other"),
        ("DELETE", "/bucket"),
        ("GET", "/bucket?location"),
        ("GET", "/bucket?uploads"),
        ("GET", "/bucket?versions"),
        ("GET", "/bucket/a"),
        ("GET", "/bucket/absent"),
        ("HEAD", "/bucket/a"),
        ("PUT", "/bucket/a"),
        ("DELETE", "/bucket/a"),
        ("GET", "/bucket/a?acl"),
        ("GET", "/bucket/a?tagging"),
        ("POST", "/bucket/a?uploads"),
    ];
    for (method, path) in asks {
        server
            .ask(method, path)
            .anonymous()
            .send()
            .await
            .fails(403, "AccessDenied");
    }
    let delete = server
        .post("/bucket?delete")
        .body("<Delete><Object><Key>a</Key></Object></Delete>");
    delete.anonymous().send().await.fails(403, "AccessDenied");
    let copy = server.put("/bucket/b").header("x-amz-copy-source", "bucket/a");
    copy.anonymous().send().await.fails(403, "AccessDenied");
    assert_eq!(server.get("/bucket/a").send().await.is(200).text(), "x");
}

#[tokio::test]
async fn an_error_document_names_what_it_is_about() {
    let server = Server::with_bucket().await;
    let error = server.get("/bucket/a%20b").send().await.fails(404, "NoSuchKey");
    assert_eq!(error.header("content-type"), Some("application/xml"));
    assert!(
        error
            .text()
            .starts_with("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error>")
    );
    for (name, value) in [
        ("Message", "The specified key does not exist."),
        ("Key", "a b"),
        ("BucketName", "bucket"),
        ("Resource", "/bucket/a%20b"),
        ("HostId", "host"),
    ] {
        assert_eq!(error.element(name).as_deref(), Some(value), "{name}");
    }
    let head = server.head("/bucket/a").send().await.fails(404, "NoSuchKey");
    assert_eq!(
        head.header("x-minio-error-desc"),
        Some("\"The specified key does not exist.\"")
    );
    assert_eq!(head.body.len(), 0);
}

#[tokio::test]
async fn another_owner_than_expected_is_refused() {
    let server = Server::with_bucket().await;
    let listed = server.get("/").send().await.is(200);
    let owner = listed.element("ID").unwrap();
    server
        .head("/bucket")
        .header("x-amz-expected-bucket-owner", &owner)
        .send()
        .await
        .is(200);
    for header in ["x-amz-expected-bucket-owner", "x-amz-source-expected-bucket-owner"] {
        let put = server.put("/bucket/a").header(header, "111122223333").body("x");
        put.send().await.fails(403, "AccessDenied");
    }
    server.head("/bucket/a").send().await.fails(404, "NoSuchKey");
    server.put("/anns").by(tenant("ann")).send().await.is(200);
    for (path, source, owner, status) in [
        ("/anns/a", None, "id-of-ann", 200),
        ("/anns/a", None, owner.as_str(), 403),
        ("/bucket/a", None, "id-of-ann", 403),
        ("/absent/a", None, "id-of-ann", 404),
        ("/bucket/b", Some("/anns/a"), "id-of-ann", 200),
        ("/bucket/b", Some("anns%2Fa"), owner.as_str(), 403),
        ("/anns/b", None, "", 403),
    ] {
        let put = server.put(path).body(if source.is_some() { "" } else { "x" });
        let put = match source {
            None => put.header("x-amz-expected-bucket-owner", owner),
            Some(source) => put
                .header("x-amz-copy-source", source)
                .header("x-amz-source-expected-bucket-owner", owner),
        };
        assert_eq!(put.send().await.status, status, "{path} {source:?} {owner}");
    }
    server
        .put("/bucket/a")
        .header("x-amz-request-payer", "requester")
        .body("x")
        .send()
        .await
        .is(200);
}

#[tokio::test]
async fn limits_of_metadata_and_classes_hold() {
    let server = Server::with_bucket().await;
    let put = |len: usize| {
        server
            .put("/bucket/a")
            .header("x-amz-meta-k", &"v".repeat(len))
            .body("x")
    };
    put(2047).send().await.is(200);
    put(2048).send().await.fails(400, "MetadataTooLarge");
    let begin = server
        .post("/bucket/a?uploads")
        .header("x-amz-meta-k", &"v".repeat(2048));
    begin.send().await.fails(400, "MetadataTooLarge");
    let odd = server
        .put("/bucket/b")
        .header("x-amz-storage-class", "MARBLE")
        .body("x");
    odd.send().await.fails(400, "InvalidStorageClass");
    server.head("/bucket/b").send().await.fails(404, "NoSuchKey");
}

#[tokio::test]
async fn methods_that_mean_nothing_here_are_refused() {
    let server = Server::with_bucket().await;
    for (method, path) in [
        ("PATCH", "/bucket/a"),
        ("POST", "/"),
        ("POST", "/bucket"),
        ("PUT", "/"),
        ("DELETE", "/"),
    ] {
        server.ask(method, path).send().await.fails(405, "MethodNotAllowed");
    }
    let preflight = server
        .ask("OPTIONS", "/bucket/a")
        .header("origin", "http://a")
        .header("access-control-request-method", "GET")
        .anonymous();
    preflight.send().await.fails(403, "AccessForbidden");
}

#[tokio::test]
async fn that_a_bucket_is_missing_is_said_to_everybody_and_that_a_key_is_to_those_who_may_list_it() {
    let server = Server::with_bucket().await;
    for ask in [
        server.get("/absent/a"),
        server.get("/absent?list-type=2"),
        server.delete("/absent/a"),
        server.put("/absent?policy").body("{}"),
    ] {
        ask.anonymous().send().await.fails(404, "NoSuchBucket");
    }
    server
        .get("/bucket/a")
        .anonymous()
        .send()
        .await
        .fails(403, "AccessDenied");
    server
        .put("/absent")
        .anonymous()
        .send()
        .await
        .fails(403, "AccessDenied");
    let listing = r#"{"Statement":{"Effect":"Allow","Principal":"*","Action":"s3:ListBucket",
        "Resource":"arn:aws:s3:::bucket","Condition":{"StringLike":{"s3:prefix":"public/*"}}}}"#;
    server.put("/bucket?policy").body(listing).send().await.is(204);
    server.store("/bucket/public/there", "x").await.is(200);
    for (path, status) in [
        ("/bucket/public/a", 404),
        ("/bucket/public/there", 403),
        ("/bucket/private/a", 403),
        // Only a listing has a prefix.
        ("/bucket/private/a?prefix=public/", 403),
    ] {
        assert_eq!(server.head(path).anonymous().send().await.status, status, "{path}");
    }
}
