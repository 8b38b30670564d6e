//! Checksums and digests of single uploads.

use super::Server;

/// Name, header suffix and value over `123456789`.
const VECTORS: [(&str, &str, &str); 5] = [
    ("CRC32", "crc32", "y/Q5Jg=="),
    ("CRC32C", "crc32c", "4waSgw=="),
    ("CRC64NVME", "crc64nvme", "rosUhgp5mIg="),
    ("SHA1", "sha1", "98O8HYCOBHMq32eZZczDTKeuNEE="),
    ("SHA256", "sha256", "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU="),
];

#[tokio::test]
async fn every_algorithm_is_verified_kept_and_told_on_request() {
    let server = Server::with_bucket().await;
    for (algorithm, suffix, value) in VECTORS {
        let header = format!("x-amz-checksum-{suffix}");
        let path = format!("/bucket/{suffix}");
        let stored = server
            .put(&path)
            .header(&header, value)
            .body("123456789")
            .send()
            .await
            .is(200);
        assert_eq!(stored.header(&header), Some(value));
        assert_eq!(stored.header("x-amz-checksum-type"), Some("FULL_OBJECT"));
        let told = server
            .head(&path)
            .header("x-amz-checksum-mode", "ENABLED")
            .send()
            .await
            .is(200);
        assert_eq!(told.header(&header), Some(value));
        assert_eq!(server.head(&path).send().await.is(200).header(&header), None);
        let part = server
            .get(&path)
            .header("x-amz-checksum-mode", "ENABLED")
            .header("range", "bytes=0-1");
        assert_eq!(part.send().await.is(206).header(&header), None);

        let wrong = server.put(&path).header(&header, value).body("12345678X").send().await;
        wrong.fails(400, "BadDigest");
        assert_eq!(server.get(&path).send().await.text(), "123456789");

        let computed = server
            .put(&path)
            .header("x-amz-sdk-checksum-algorithm", algorithm)
            .body("123456789");
        assert_eq!(computed.send().await.is(200).header(&header), Some(value));
    }
}

#[tokio::test]
async fn declarations_that_make_no_sense_are_refused_and_store_nothing() {
    let server = Server::with_bucket().await;
    let table: &[(&[(&str, &str)], &str)] = &[
        (&[("content-md5", "AAAAAAAAAAAAAAAAAAAAAA==")], "BadDigest"),
        (&[("content-md5", "AAAA")], "InvalidDigest"),
        (&[("content-md5", "")], "InvalidDigest"),
        (&[("content-md5", "not base64!")], "InvalidDigest"),
        (&[("x-amz-checksum-crc32", "AAAA")], "BadDigest"),
        (
            &[
                ("x-amz-checksum-crc32", "y/Q5Jg=="),
                ("x-amz-checksum-crc32c", "4waSgw=="),
            ],
            "InvalidRequest",
        ),
        (&[("x-amz-checksum-algorithm", "CRC99")], "InvalidRequest"),
        (
            &[
                ("x-amz-sdk-checksum-algorithm", "SHA1"),
                ("x-amz-checksum-crc32", "y/Q5Jg=="),
            ],
            "InvalidRequest",
        ),
    ];
    for (headers, code) in table {
        let mut put = server.put("/bucket/a").body("123456789");
        for (name, value) in *headers {
            put = put.header(name, value);
        }
        put.send().await.fails(400, code);
        server.head("/bucket/a").send().await.fails(404, "NoSuchKey");
    }
    server
        .put("/bucket/a")
        .header("content-md5", "JfnnlDI7RTiF9RgfG2JNCw==")
        .body("123456789")
        .send()
        .await
        .is(200);
}

#[tokio::test]
async fn a_body_needs_a_declared_length_that_holds() {
    let server = Server::with_bucket().await;
    server
        .put("/bucket/a")
        .without_length()
        .body("x")
        .send()
        .await
        .fails(411, "MissingContentLength");
    server
        .put("/bucket/a")
        .header("content-length", "5")
        .body("1234")
        .send()
        .await
        .fails(400, "IncompleteBody");
    server
        .put("/bucket/a")
        .header("content-length", "3")
        .body("1234")
        .send()
        .await
        .fails(400, "IncompleteBody");
    let too_large = (5_u64 * 1024 * 1024 * 1024 + 1).to_string();
    server
        .put("/bucket/a")
        .header("content-length", &too_large)
        .body("x")
        .send()
        .await
        .fails(400, "EntityTooLarge");
    server.head("/bucket/a").send().await.fails(404, "NoSuchKey");
}

#[tokio::test]
async fn a_chunked_body_says_itself_where_it_ends() {
    let server = Server::with_bucket().await;
    let chunked = server.put("/bucket/a").header("transfer-encoding", "chunked");
    chunked.body("unknown length").send().await.is(200);
    assert_eq!(server.get("/bucket/a").send().await.is(200).text(), "unknown length");
}
