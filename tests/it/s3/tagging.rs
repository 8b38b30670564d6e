//! Tags of objects and buckets, by document and by header.

use super::{Ask, Server};

const TWO: &str =
    "<Tagging><TagSet><Tag><Key>b</Key><Value>2</Value></Tag><Tag><Key>a</Key><Value/></Tag></TagSet></Tagging>";

fn tagging(count: usize) -> String {
    let tags: String = (0..count)
        .map(|n| format!("<Tag><Key>k{n}</Key><Value>v</Value></Tag>"))
        .collect();
    format!("<Tagging xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><TagSet>{tags}</TagSet></Tagging>")
}

fn tagged(ask: Ask<'_>) -> Ask<'_> {
    ask.header("x-amz-tagging", "foo=bar&bar")
}

async fn keys(server: &Server, path: &str) -> Vec<String> {
    server
        .get(&format!("{path}?tagging"))
        .send()
        .await
        .is(200)
        .elements("Key")
}

#[tokio::test]
async fn tags_of_an_object_are_set_shown_counted_and_removed() {
    let server = Server::with_bucket().await;
    let stored = server.store("/bucket/a", "bytes").await;
    server.put("/bucket/a?tagging").body(TWO).send().await.is(200);
    let shown = server.get("/bucket/a?tagging").send().await.is(200);
    assert_eq!(shown.elements("Key"), ["a", "b"]);
    assert_eq!(shown.elements("Value")[1], "2");
    for answer in [
        server.get("/bucket/a").send().await.is(200),
        server.head("/bucket/a").send().await.is(200),
    ] {
        assert_eq!(answer.header("x-amz-tagging-count"), Some("2"));
        assert_eq!(answer.header("etag"), stored.header("etag"));
    }
    server.delete("/bucket/a?tagging").send().await.is(204);
    assert_eq!(keys(&server, "/bucket/a").await, [""; 0]);
    let bare = server.get("/bucket/a").send().await.is(200);
    assert_eq!(bare.header("x-amz-tagging-count"), None);
    assert_eq!(bare.body, "bytes");
    server
        .put("/bucket/absent?tagging")
        .body(TWO)
        .send()
        .await
        .fails(404, "NoSuchKey");
    server
        .put("/absent/a?tagging")
        .body(TWO)
        .send()
        .await
        .fails(404, "NoSuchBucket");
    server
        .get("/bucket/absent?tagging")
        .send()
        .await
        .fails(404, "NoSuchKey");
}

#[tokio::test]
async fn tags_come_with_put_upload_and_copy() {
    let server = Server::with_bucket().await;
    tagged(server.put("/bucket/put")).body("x").send().await.is(200);
    assert_eq!(keys(&server, "/bucket/put").await, ["bar", "foo"]);
    let begun = tagged(server.post("/bucket/joined?uploads")).send().await.is(200);
    let upload = begun.element("UploadId").unwrap();
    let part = server
        .put(&format!("/bucket/joined?partNumber=1&uploadId={upload}"))
        .body("part")
        .send()
        .await
        .is(200);
    let etag = part.header("etag").unwrap();
    server
        .post(&format!("/bucket/joined?uploadId={upload}"))
        .body(format!(
            "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part></CompleteMultipartUpload>"
        ))
        .send()
        .await
        .is(200);
    assert_eq!(keys(&server, "/bucket/joined").await, ["bar", "foo"]);
    let copy = |to: &str| server.put(to).header("x-amz-copy-source", "bucket/put");
    copy("/bucket/copied").send().await.is(200);
    assert_eq!(keys(&server, "/bucket/copied").await, ["bar", "foo"]);
    let replaced = copy("/bucket/replaced").header("x-amz-tagging-directive", "REPLACE");
    replaced.header("x-amz-tagging", "new=1").send().await.is(200);
    assert_eq!(keys(&server, "/bucket/replaced").await, ["new"]);
    let without = copy("/bucket/bare").header("x-amz-tagging-directive", "REPLACE");
    without.send().await.is(200);
    assert_eq!(keys(&server, "/bucket/bare").await, [""; 0]);
    let unknown = copy("/bucket/x").header("x-amz-tagging-directive", "MOVE");
    unknown.send().await.fails(400, "InvalidArgument");
    server.store("/bucket/put", "again").await;
    assert_eq!(keys(&server, "/bucket/put").await, [""; 0]);
}

#[tokio::test]
async fn tags_that_are_not_valid_are_refused_and_change_nothing() {
    let server = Server::with_bucket().await;
    server.store("/bucket/a", "x").await;
    server.put("/bucket/a?tagging").body(TWO).send().await.is(200);
    let one = |key: &str, value: &str| {
        format!("<Tagging><TagSet><Tag><Key>{key}</Key><Value>{value}</Value></Tag></TagSet></Tagging>")
    };
    for document in [
        tagging(11),
        one("", "v"),
        one(&"k".repeat(129), "v"),
        one("k", &"v".repeat(257)),
        one("aws:k", "v"),
        one("drystone:visibility", "public"),
        one("a&lt;b", "v"),
    ] {
        server
            .put("/bucket/a?tagging")
            .body(document)
            .send()
            .await
            .fails(400, "InvalidTag");
    }
    for document in [
        "",
        "<Tagging/>",
        "<Tagging><TagSet><Tag><Key>a</Key></Tag></TagSet></Tagging>",
        "<Tagging><TagSet/><Other/></Tagging>",
        "no xml",
    ] {
        let refused = server.put("/bucket/a?tagging").body(document).send().await.is(400);
        assert!(refused.text().contains("<Code>M"), "{document}: {}", refused.text());
    }
    server
        .put("/bucket/a?tagging")
        .header("content-md5", "1B2M2Y8AsgTpgAmY7PhCfg==")
        .body(TWO)
        .send()
        .await
        .fails(400, "BadDigest");
    let header = server.put("/bucket/new").header("x-amz-tagging", "aws:a=1").body("x");
    header.send().await.fails(400, "InvalidTag");
    server.head("/bucket/new").send().await.is(404);
    assert_eq!(keys(&server, "/bucket/a").await, ["a", "b"]);
    server.put("/bucket/a?tagging").body(tagging(10)).send().await.is(200);
}

#[tokio::test]
async fn tags_of_a_bucket_are_set_shown_and_removed() {
    let server = Server::with_bucket().await;
    server.get("/bucket?tagging").send().await.fails(404, "NoSuchTagSet");
    server.put("/bucket?tagging").body(tagging(50)).send().await.is(200);
    assert_eq!(keys(&server, "/bucket").await.len(), 50);
    let many = server.put("/bucket?tagging").body(tagging(51)).send().await;
    many.fails(400, "InvalidTag");
    server.delete("/bucket?tagging").send().await.is(204);
    server.get("/bucket?tagging").send().await.fails(404, "NoSuchTagSet");
    server
        .put("/absent?tagging")
        .body(TWO)
        .send()
        .await
        .fails(404, "NoSuchBucket");
    server.put("/bucket?tagging").body(TWO).send().await.is(200);
    server.delete("/bucket").send().await.is(204);
    server.put("/bucket").send().await.is(200);
    server.get("/bucket?tagging").send().await.fails(404, "NoSuchTagSet");
}

#[tokio::test]
async fn nobody_without_a_right_reads_or_changes_tags() {
    let server = Server::with_bucket().await;
    server.store("/bucket/a", "x").await;
    for path in ["/bucket?tagging", "/bucket/a?tagging", "/bucket/absent?tagging"] {
        for ask in [server.get(path), server.put(path).body(TWO), server.delete(path)] {
            ask.anonymous().send().await.fails(403, "AccessDenied");
        }
    }
    assert_eq!(keys(&server, "/bucket/a").await, [""; 0]);
}
