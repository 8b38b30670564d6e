//! CopyObject.

use super::Server;

async fn with_source() -> Server {
    let server = Server::with_bucket().await;
    server.put("/other").send().await.is(200);
    let put = server
        .put("/bucket/from%20here")
        .header("content-type", "text/plain")
        .header("x-amz-meta-a", "1");
    put.header("x-amz-storage-class", "STANDARD_IA")
        .body("hello world")
        .send()
        .await
        .is(200);
    server
}

#[tokio::test]
async fn a_copy_has_the_bytes_and_by_default_the_metadata() {
    let server = with_source().await;
    let copy = server
        .put("/other/to")
        .header("x-amz-copy-source", "/bucket/from%20here")
        .send()
        .await
        .is(200);
    assert_eq!(
        copy.element("ETag").as_deref(),
        Some("\"5eb63bbbe01eeed093cb22bb8f5acdc3\"")
    );
    assert!(copy.element("LastModified").unwrap().ends_with('Z'));
    let got = server.get("/other/to").send().await.is(200);
    assert_eq!(got.text(), "hello world");
    assert_eq!(
        (got.header("content-type"), got.header("x-amz-meta-a")),
        (Some("text/plain"), Some("1"))
    );
    assert_eq!(got.header("x-amz-storage-class"), None);
    server.get("/bucket/from%20here").send().await.is(200);
}

#[tokio::test]
async fn replacing_metadata_takes_the_request_s() {
    let server = with_source().await;
    let copy = server
        .put("/bucket/to")
        .header("x-amz-copy-source", "bucket/from%20here");
    let copy = copy
        .header("x-amz-metadata-directive", "REPLACE")
        .header("x-amz-meta-b", "2");
    copy.header("content-type", "image/png").send().await.is(200);
    let got = server.head("/bucket/to").send().await.is(200);
    assert_eq!(
        (got.header("x-amz-meta-a"), got.header("x-amz-meta-b")),
        (None, Some("2"))
    );
    assert_eq!(got.header("content-type"), Some("image/png"));
}

#[tokio::test]
async fn a_copy_onto_itself_must_change_something() {
    let server = with_source().await;
    let onto = || {
        server
            .put("/bucket/from%20here")
            .header("x-amz-copy-source", "/bucket/from%20here")
    };
    onto()
        .header("x-amz-storage-class", "STANDARD_IA")
        .send()
        .await
        .fails(400, "InvalidRequest");
    onto()
        .header("x-amz-metadata-directive", "REPLACE")
        .header("x-amz-meta-a", "2")
        .send()
        .await
        .is(200);
    let got = server.get("/bucket/from%20here").send().await.is(200);
    assert_eq!(
        (got.text().as_str(), got.header("x-amz-meta-a")),
        ("hello world", Some("2"))
    );
}

#[tokio::test]
async fn conditions_bind_source_and_destination() {
    let server = with_source().await;
    let etag = "\"5eb63bbbe01eeed093cb22bb8f5acdc3\"";
    let past = "Wed, 21 Oct 2015 07:28:00 GMT";
    let table = [
        ("x-amz-copy-source-if-match", etag, 200),
        ("x-amz-copy-source-if-match", "\"x\"", 412),
        ("x-amz-copy-source-if-none-match", etag, 412),
        ("x-amz-copy-source-if-none-match", "\"x\"", 200),
        ("x-amz-copy-source-if-modified-since", past, 200),
        ("x-amz-copy-source-if-unmodified-since", past, 412),
        ("if-none-match", "*", 412),
        ("if-match", etag, 200),
    ];
    for (name, value, status) in table {
        let copy = server
            .put("/bucket/to")
            .header("x-amz-copy-source", "bucket/from%20here")
            .header(name, value);
        assert_eq!(copy.send().await.status, status, "{name}: {value}");
    }
}

#[tokio::test]
async fn sources_that_are_not_there_or_make_no_sense() {
    let server = with_source().await;
    let table = [
        ("bucket/absent", 404, "NoSuchKey"),
        ("missing-bucket/a", 404, "NoSuchBucket"),
        ("bucket/from%20here?versionId=nonsense", 400, "InvalidArgument"),
        (
            "bucket/from%20here?versionId=00000000000000000000000000000000",
            404,
            "NoSuchVersion",
        ),
        ("bucket", 400, "InvalidArgument"),
        ("bucket/", 400, "InvalidArgument"),
        (
            "arn:aws:s3:us-east-1:123456789012:accesspoint/ap/object/k",
            400,
            "InvalidArgument",
        ),
    ];
    for (source, status, code) in table {
        let answer = server
            .put("/bucket/to")
            .header("x-amz-copy-source", source)
            .send()
            .await;
        if source.starts_with("arn:") {
            assert!(answer.status == 501 || answer.status == 400, "{}", answer.text());
        } else {
            answer.fails(status, code);
        }
        server.head("/bucket/to").send().await.fails(404, "NoSuchKey");
    }
    let odd = server
        .put("/bucket/to")
        .header("x-amz-copy-source", "bucket/from%20here");
    odd.header("x-amz-metadata-directive", "MERGE")
        .send()
        .await
        .fails(400, "InvalidArgument");
    let copy = server
        .put("/bucket/to")
        .header("x-amz-copy-source", "bucket/from%20here?versionId=null");
    copy.header("x-amz-checksum-algorithm", "SHA1").send().await.is(200);
    let told = server
        .head("/bucket/to")
        .header("x-amz-checksum-mode", "ENABLED")
        .send()
        .await
        .is(200);
    assert_eq!(told.header("x-amz-checksum-sha1"), Some("Kq5sNclPz7QV2+lfQIuc6R7oRu0="));
}
