//! Put, get, head, delete: bytes, headers and ranges.

use super::Server;

#[tokio::test]
async fn an_object_comes_back_as_it_was_put() {
    let server = Server::with_bucket().await;
    let stored = server.store("/bucket/a/b.txt", "hello world").await;
    assert_eq!(stored.header("etag"), Some("\"5eb63bbbe01eeed093cb22bb8f5acdc3\""));
    let got = server.get("/bucket/a/b.txt").send().await.is(200);
    assert_eq!(got.text(), "hello world");
    for (name, value) in [
        ("etag", "\"5eb63bbbe01eeed093cb22bb8f5acdc3\""),
        ("content-length", "11"),
        ("content-type", "binary/octet-stream"),
        ("accept-ranges", "bytes"),
    ] {
        assert_eq!(got.header(name), Some(value), "{name}");
    }
    assert!(got.header("last-modified").unwrap().ends_with(" GMT"));
    let head = server.head("/bucket/a/b.txt").send().await.is(200);
    assert_eq!((head.header("content-length"), head.body.len()), (Some("11"), 0));
    server.store("/bucket/empty", "").await;
    let empty = server.get("/bucket/empty").send().await.is(200);
    assert_eq!((empty.header("content-length"), empty.body.len()), (Some("0"), 0));
}

#[tokio::test]
async fn delete_is_idempotent_and_leaves_nothing() {
    let server = Server::with_bucket().await;
    server.store("/bucket/a", "x").await;
    server.delete("/bucket/a").send().await.is(204);
    server.delete("/bucket/a").send().await.is(204);
    server.get("/bucket/a").send().await.fails(404, "NoSuchKey");
    server.head("/bucket/a").send().await.fails(404, "NoSuchKey");
    server
        .delete("/missing-bucket/a")
        .send()
        .await
        .fails(404, "NoSuchBucket");
    server.get("/missing-bucket/a").send().await.fails(404, "NoSuchBucket");
    server
        .put("/missing-bucket/a")
        .body("x")
        .send()
        .await
        .fails(404, "NoSuchBucket");
}

#[tokio::test]
async fn metadata_is_kept_and_echoed() {
    let server = Server::with_bucket().await;
    let headers = [
        ("content-type", "text/html; charset=utf-8"),
        ("cache-control", "max-age=3600"),
        ("content-disposition", "attachment; filename=\"a.html\""),
        ("content-encoding", "gzip"),
        ("content-language", "de-DE, en"),
        ("expires", "Thu, 01 Dec 2033 16:00:00 GMT"),
        ("x-amz-meta-colour", "red"),
        ("x-amz-meta-two-words", "a b"),
        ("x-amz-storage-class", "STANDARD_IA"),
    ];
    let mut put = server.put("/bucket/a").body("x");
    for (name, value) in headers {
        put = put.header(name, value);
    }
    put.send().await.is(200);
    for method in ["GET", "HEAD"] {
        let got = server.ask(method, "/bucket/a").send().await.is(200);
        for (name, value) in headers {
            assert_eq!(got.header(name), Some(value), "{method} {name}");
        }
    }
    server.store("/bucket/standard", "x").await;
    assert_eq!(
        server
            .head("/bucket/standard")
            .send()
            .await
            .header("x-amz-storage-class"),
        None
    );
}

#[tokio::test]
async fn texts_that_s3s_would_refuse_are_kept_as_they_came() {
    let server = Server::with_bucket().await;
    server
        .put("/bucket/a")
        .header("expires", "-1")
        .header("content-disposition", "attachment; filename=\"ü.txt\"")
        .header("x-amz-meta-list", "1")
        .header("x-amz-meta-list", "2")
        .body("x")
        .send()
        .await
        .is(200);
    let got = server.get("/bucket/a").send().await.is(200);
    assert_eq!(got.header("expires"), Some("-1"));
    assert_eq!(
        got.header("content-disposition"),
        Some("attachment; filename=\"ü.txt\"")
    );
    assert_eq!(got.header("x-amz-meta-list"), Some("1,2"));
}

#[tokio::test]
async fn metadata_outside_ascii_is_answered_as_encoded_words() {
    let server = Server::with_bucket().await;
    let encoded = "=?UTF-8?B?w7xtbGF1dA==?=";
    for sent in ["ümlaut", encoded] {
        server
            .put("/bucket/a")
            .header("x-amz-meta-name", sent)
            .body("x")
            .send()
            .await
            .is(200);
        let got = server.head("/bucket/a").send().await.is(200);
        assert_eq!(got.header("x-amz-meta-name"), Some(encoded), "{sent}");
    }
}

#[tokio::test]
async fn ranges_select_bytes_and_what_is_no_range_is_ignored() {
    let server = Server::with_bucket().await;
    server.store("/bucket/a", "0123456789").await;
    let table = [
        ("bytes=0-3", 206, "0123", Some("bytes 0-3/10")),
        ("bytes=4-", 206, "456789", Some("bytes 4-9/10")),
        ("bytes=-3", 206, "789", Some("bytes 7-9/10")),
        ("bytes=-99", 206, "0123456789", Some("bytes 0-9/10")),
        ("bytes=8-99", 206, "89", Some("bytes 8-9/10")),
        ("bytes=0-1,4-5", 200, "0123456789", None),
        ("bytes=5-2", 200, "0123456789", None),
        ("lines=1-2", 200, "0123456789", None),
    ];
    for (range, status, body, content_range) in table {
        let got = server.get("/bucket/a").header("range", range).send().await.is(status);
        assert_eq!(
            (got.text().as_str(), got.header("content-range")),
            (body, content_range),
            "{range}"
        );
        let head = server.head("/bucket/a").header("range", range).send().await.is(status);
        assert_eq!(
            head.header("content-length"),
            Some(body.len().to_string().as_str()),
            "{range}"
        );
    }
    for range in ["bytes=10-", "bytes=10-20", "bytes=-0"] {
        let refused = server
            .get("/bucket/a")
            .header("range", range)
            .send()
            .await
            .fails(416, "InvalidRange");
        assert_eq!(refused.header("content-range"), Some("bytes */10"));
        assert_eq!(refused.element("ActualObjectSize").as_deref(), Some("10"));
        assert_eq!(refused.element("RangeRequested").as_deref(), Some(range));
    }
    server.store("/bucket/empty", "").await;
    server
        .get("/bucket/empty")
        .header("range", "bytes=0-0")
        .send()
        .await
        .fails(416, "InvalidRange");
}

#[tokio::test]
async fn part_numbers_of_a_plain_object_know_part_one() {
    let server = Server::with_bucket().await;
    server.store("/bucket/a", "0123456789").await;
    let part = server.get("/bucket/a?partNumber=1").send().await.is(206);
    assert_eq!(part.text(), "0123456789");
    assert_eq!(part.header("x-amz-mp-parts-count"), None);
    let refused = server
        .get("/bucket/a?partNumber=2")
        .send()
        .await
        .fails(416, "InvalidPartNumber");
    assert_eq!(refused.element("PartNumberRequested").as_deref(), Some("2"));
    assert_eq!(refused.element("ActualPartCount").as_deref(), Some("1"));
    for number in ["0", "10001", "-1", "x"] {
        server
            .get(&format!("/bucket/a?partNumber={number}"))
            .send()
            .await
            .fails(400, "InvalidArgument");
    }
    let both = server
        .get("/bucket/a?partNumber=1")
        .header("range", "bytes=0-1")
        .send()
        .await;
    both.fails(400, "InvalidRequest");
}

#[tokio::test]
async fn a_signed_reader_may_override_response_headers() {
    let server = Server::with_bucket().await;
    server
        .put("/bucket/a")
        .header("expires", "-1")
        .body("x")
        .send()
        .await
        .is(200);
    let path = "/bucket/a?response-content-type=text%2Fplain&response-cache-control=no-store\
                &response-content-disposition=attachment%3B%20filename%3Dx&response-content-encoding=br\
                &response-content-language=fr&response-expires=Thu%2C%2001%20Dec%202033%2016%3A00%3A00%20GMT";
    for method in ["GET", "HEAD"] {
        let got = server.ask(method, path).send().await.is(200);
        for (name, value) in [
            ("content-type", "text/plain"),
            ("cache-control", "no-store"),
            ("content-disposition", "attachment; filename=x"),
            ("content-encoding", "br"),
            ("content-language", "fr"),
            ("expires", "Thu, 01 Dec 2033 16:00:00 GMT"),
        ] {
            assert_eq!(got.header(name), Some(value), "{method} {name}");
        }
        server
            .ask(method, path)
            .anonymous()
            .send()
            .await
            .fails(400, "InvalidRequest");
    }
}

#[tokio::test]
async fn many_keys_are_deleted_in_one_request() {
    let server = Server::with_bucket().await;
    for key in ["a", "b", "c&d"] {
        server.store(&format!("/bucket/{}", key.replace('&', "%26")), "x").await;
    }
    let body = "<Delete><Object><Key>a</Key></Object><Object><Key>c&amp;d</Key><VersionId>null</VersionId></Object>\
                <Object><Key>absent</Key></Object><Object><Key>b</Key><ETag>\"0\"</ETag></Object>\
                <Object><Key>b</Key><Size>1</Size></Object></Delete>";
    let answer = server.post("/bucket?delete").body(body).send().await.is(200);
    assert_eq!(answer.elements("Key"), ["a", "c&amp;d", "absent", "b", "b"]);
    assert_eq!(answer.elements("Code"), ["PreconditionFailed", "NotImplemented"]);
    let listed = server.get("/bucket").send().await.is(200);
    assert_eq!(listed.elements("Key"), ["b"]);
    let quiet = "<Delete><Quiet>true</Quiet><Object><Key>b</Key></Object></Delete>";
    let answer = server.post("/bucket?delete").body(quiet).send().await.is(200);
    assert_eq!(answer.elements("Deleted").len(), 0);
    assert_eq!(server.get("/bucket").send().await.elements("Key").len(), 0);
}

#[tokio::test]
async fn a_document_of_keys_has_its_limits_and_digests() {
    let server = Server::with_bucket().await;
    let keys = |count: usize| {
        let keys: String = (0..count).map(|i| format!("<Object><Key>{i}</Key></Object>")).collect();
        format!("<Delete>{keys}</Delete>")
    };
    assert_eq!(
        server
            .post("/bucket?delete")
            .body(keys(1000))
            .send()
            .await
            .is(200)
            .elements("Deleted")
            .len(),
        1000
    );
    server
        .post("/bucket?delete")
        .body(keys(1001))
        .send()
        .await
        .fails(400, "MalformedXML");
    server
        .post("/bucket?delete")
        .body(keys(0))
        .send()
        .await
        .fails(400, "MalformedXML");
    server
        .post("/bucket?delete")
        .body("<Delete><Object>")
        .send()
        .await
        .fails(400, "MalformedXML");
    server
        .post("/bucket?delete")
        .send()
        .await
        .fails(400, "MissingRequestBodyError");
    server
        .post("/missing-bucket?delete")
        .body(keys(1))
        .send()
        .await
        .fails(404, "NoSuchBucket");
    let wrong = [
        ("content-md5", "AAAAAAAAAAAAAAAAAAAAAA==", "BadDigest"),
        ("content-md5", "nonsense", "InvalidDigest"),
        ("x-amz-checksum-crc32", "AAAAAA==", "BadDigest"),
        ("x-amz-checksum-crc32", "AAAA", "BadDigest"),
    ];
    server.store("/bucket/0", "x").await;
    for (name, value, code) in wrong {
        server
            .post("/bucket?delete")
            .header(name, value)
            .body(keys(1))
            .send()
            .await
            .fails(400, code);
    }
    server.get("/bucket/0").send().await.is(200);
    let huge = format!("<Delete>{}</Delete>", " ".repeat(3 * 1024 * 1024));
    server
        .post("/bucket?delete")
        .body(huge)
        .send()
        .await
        .fails(400, "MaxMessageLengthExceeded");
}

#[tokio::test]
async fn attributes_tell_what_was_asked_for() {
    let server = Server::with_bucket().await;
    server
        .put("/bucket/a")
        .header("x-amz-checksum-algorithm", "SHA256")
        .body("abc")
        .send()
        .await
        .is(200);
    let asked = "ETag,Checksum,ObjectSize,StorageClass,ObjectParts";
    let answer = server
        .get("/bucket/a?attributes")
        .header("x-amz-object-attributes", asked)
        .send()
        .await
        .is(200);
    assert_eq!(answer.element("ObjectSize").as_deref(), Some("3"));
    assert_eq!(answer.element("StorageClass").as_deref(), Some("STANDARD"));
    let sha = "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=";
    assert_eq!(answer.element("ChecksumSHA256").as_deref(), Some(sha));
    assert!(
        answer
            .element("ETag")
            .unwrap()
            .contains("900150983cd24fb0d6963f7d28e17f72")
    );
    assert_eq!(answer.element("ObjectParts"), None);
    server
        .get("/bucket/a?attributes")
        .send()
        .await
        .fails(400, "InvalidRequest");
    let odd = server
        .get("/bucket/a?attributes")
        .header("x-amz-object-attributes", "Colour")
        .send()
        .await;
    odd.fails(400, "InvalidArgument");
}
