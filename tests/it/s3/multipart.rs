//! Multipart uploads.

use super::{Answer, Server};

const MIB5: usize = 5 * 1024 * 1024;

async fn begin(server: &Server, key: &str, headers: &[(&str, &str)]) -> String {
    let mut ask = server.post(&format!("/bucket/{key}?uploads"));
    for (name, value) in headers {
        ask = ask.header(name, value);
    }
    ask.send().await.is(200).element("UploadId").unwrap()
}

async fn part(server: &Server, key: &str, id: &str, number: u32, body: Vec<u8>) -> String {
    let path = format!("/bucket/{key}?partNumber={number}&uploadId={id}");
    server
        .put(&path)
        .body(body)
        .send()
        .await
        .is(200)
        .header("etag")
        .unwrap()
        .to_owned()
}

fn document(parts: &[(u32, &str)]) -> String {
    let parts: String = parts
        .iter()
        .map(|(number, etag)| format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"))
        .collect();
    format!(
        "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{parts}</CompleteMultipartUpload>"
    )
}

async fn complete(server: &Server, key: &str, id: &str, parts: &[(u32, &str)]) -> Answer {
    server
        .post(&format!("/bucket/{key}?uploadId={id}"))
        .body(document(parts))
        .send()
        .await
}

#[tokio::test]
async fn parts_become_one_object_with_the_metadata_of_its_begin() {
    let server = Server::with_bucket().await;
    let id = begin(&server, "big", &[("content-type", "text/plain"), ("x-amz-meta-a", "1")]).await;
    let second = part(&server, "big", &id, 7, b"tail".to_vec()).await;
    part(&server, "big", &id, 2, vec![b'x'; MIB5]).await;
    let first = part(&server, "big", &id, 2, vec![b'y'; MIB5]).await;
    server.get("/bucket/big").send().await.fails(404, "NoSuchKey");
    let done = complete(&server, "big", &id, &[(2, &first), (7, &second)])
        .await
        .is(200);
    let etag = done.element("ETag").unwrap();
    assert!(etag.ends_with("-2\""), "{etag}");
    assert_eq!(
        done.element("Location").as_deref(),
        Some("http://localhost:9000/bucket/big")
    );
    let again = complete(&server, "big", &id, &[(2, &first), (7, &second)])
        .await
        .is(200);
    assert_eq!(again.element("ETag"), Some(etag.clone()));

    let got = server.get("/bucket/big").send().await.is(200);
    assert_eq!(got.body.len(), MIB5 + 4);
    assert!(got.body.starts_with(b"yyy") && got.body.ends_with(b"ytail"));
    assert_eq!(got.header("etag"), Some(etag.as_str()));
    assert_eq!(
        (got.header("content-type"), got.header("x-amz-meta-a")),
        (Some("text/plain"), Some("1"))
    );
    let part = server.get("/bucket/big?partNumber=7").send().await.is(206);
    assert_eq!(
        (part.text().as_str(), part.header("x-amz-mp-parts-count")),
        ("tail", Some("2"))
    );
    let edge = server
        .get("/bucket/big")
        .header("range", &format!("bytes={}-{MIB5}", MIB5 - 1))
        .send()
        .await
        .is(206);
    assert_eq!(edge.text(), "yt");
    assert_eq!(server.get("/bucket?uploads").send().await.elements("Upload").len(), 0);
}

#[tokio::test]
async fn a_complete_that_does_not_fit_leaves_the_upload_as_it_was() {
    let server = Server::with_bucket().await;
    let id = begin(&server, "a", &[]).await;
    let one = part(&server, "a", &id, 1, vec![1; 100]).await;
    let two = part(&server, "a", &id, 2, vec![2; 100]).await;
    let cases: [(&[(u32, &str)], &str); 6] = [
        (&[(1, &one), (2, &two)], "EntityTooSmall"),
        (&[(2, &two), (1, &one)], "InvalidPartOrder"),
        (&[(1, &one), (1, &one)], "InvalidPartOrder"),
        (&[(1, &two)], "InvalidPart"),
        (&[(3, &one)], "InvalidPart"),
        (&[], "MalformedXML"),
    ];
    for (parts, code) in cases {
        complete(&server, "a", &id, parts).await.fails(400, code);
    }
    let path = format!("/bucket/a?uploadId={id}");
    server
        .post(&path)
        .body("<CompleteMultipartUpload><Part>")
        .send()
        .await
        .fails(400, "MalformedXML");
    server.post(&path).send().await.fails(400, "MalformedXML");
    server
        .post(&path)
        .header("if-match", "*")
        .body(document(&[(2, &two)]))
        .send()
        .await
        .fails(404, "NoSuchKey");
    let sized = server
        .post(&path)
        .header("x-amz-mp-object-size", "99")
        .body(document(&[(2, &two)]));
    sized.send().await.fails(400, "InvalidRequest");
    server.head("/bucket/a").send().await.fails(404, "NoSuchKey");
    let listed = server.get(&path).send().await.is(200);
    assert_eq!(listed.elements("PartNumber"), ["1", "2"]);
    complete(&server, "a", &id, &[(2, &two)]).await.is(200);
    assert_eq!(server.get("/bucket/a").send().await.is(200).body.len(), 100);
}

#[tokio::test]
async fn unknown_uploads_and_odd_part_numbers_are_refused() {
    let server = Server::with_bucket().await;
    let id = begin(&server, "a", &[]).await;
    for unknown in ["nonsense", "0123456789abcdef0123456789abcdef"] {
        let path = format!("/bucket/a?uploadId={unknown}");
        server.get(&path).send().await.fails(404, "NoSuchUpload");
        server.delete(&path).send().await.fails(404, "NoSuchUpload");
        server
            .put(&format!("{path}&partNumber=1"))
            .body("x")
            .send()
            .await
            .fails(404, "NoSuchUpload");
        complete(&server, "a", unknown, &[(1, "\"x\"")])
            .await
            .fails(404, "NoSuchUpload");
    }
    server
        .get(&format!("/bucket/other?uploadId={id}"))
        .send()
        .await
        .fails(404, "NoSuchUpload");
    for number in ["0", "10001", "x"] {
        let path = format!("/bucket/a?partNumber={number}&uploadId={id}");
        server.put(&path).body("x").send().await.fails(400, "InvalidArgument");
    }
    part(&server, "a", &id, 10000, b"x".to_vec()).await;
    server.delete(&format!("/bucket/a?uploadId={id}")).send().await.is(204);
    server
        .delete(&format!("/bucket/a?uploadId={id}"))
        .send()
        .await
        .fails(404, "NoSuchUpload");
    server
        .post("/missing-bucket/a?uploads")
        .send()
        .await
        .fails(404, "NoSuchBucket");
}

#[tokio::test]
async fn uploads_and_parts_are_listed_in_pages() {
    let server = Server::with_bucket().await;
    let mut ids = Vec::new();
    for key in ["a", "b", "b", "dir/c"] {
        ids.push(begin(&server, key, &[]).await);
    }
    let all = server.get("/bucket?uploads").send().await.is(200);
    assert_eq!(all.elements("Key"), ["a", "b", "b", "dir/c"]);
    let grouped = server.get("/bucket?uploads&delimiter=/&prefix=d").send().await.is(200);
    assert_eq!(grouped.elements("CommonPrefixes"), ["<Prefix>dir/</Prefix>"]);
    let page = server.get("/bucket?uploads&max-uploads=2").send().await.is(200);
    let (key, id) = (
        page.element("NextKeyMarker").unwrap(),
        page.element("NextUploadIdMarker").unwrap(),
    );
    let rest = server
        .get(&format!("/bucket?uploads&key-marker={key}&upload-id-marker={id}"))
        .send()
        .await
        .is(200);
    assert_eq!(rest.elements("Key"), ["b", "dir/c"]);
    let skipped = server.get("/bucket?uploads&key-marker=b").send().await.is(200);
    assert_eq!(skipped.elements("Key"), ["dir/c"]);

    let id = ids.first().unwrap();
    for number in [1, 3, 5] {
        part(&server, "a", id, number, vec![0; number as usize]).await;
    }
    let page = server
        .get(&format!("/bucket/a?uploadId={id}&max-parts=2"))
        .send()
        .await
        .is(200);
    assert_eq!(
        (page.elements("PartNumber"), page.element("IsTruncated")),
        (vec!["1".into(), "3".into()], Some("true".into()))
    );
    assert_eq!(page.element("NextPartNumberMarker").as_deref(), Some("3"));
    let rest = server
        .get(&format!("/bucket/a?uploadId={id}&part-number-marker=3"))
        .send()
        .await
        .is(200);
    assert_eq!(
        (rest.elements("PartNumber"), rest.elements("Size")),
        (vec!["5".to_owned()], vec!["5".to_owned()])
    );
}

#[tokio::test]
async fn parts_can_be_copied_from_objects() {
    let server = Server::with_bucket().await;
    server.store("/bucket/source", "0123456789").await;
    let id = begin(&server, "a", &[]).await;
    let path = format!("/bucket/a?partNumber=1&uploadId={id}");
    let copy = |range: &'static str| {
        let ask = server.put(&path).header("x-amz-copy-source", "bucket/source");
        if range.is_empty() {
            ask
        } else {
            ask.header("x-amz-copy-source-range", range)
        }
    };
    for bad in ["bytes=0-", "bytes=-3", "0-3", "bytes=3-1", "bytes=a-b"] {
        copy(bad).send().await.fails(400, "InvalidArgument");
    }
    copy("bytes=5-10").send().await.fails(416, "InvalidRange");
    let etag = copy("bytes=2-4").send().await.is(200).element("ETag").unwrap();
    complete(&server, "a", &id, &[(1, &etag)]).await.is(200);
    assert_eq!(server.get("/bucket/a").send().await.text(), "234");
    copy("").send().await.fails(404, "NoSuchUpload");
}

#[tokio::test]
async fn checksums_of_multipart_objects_are_composite_or_of_the_whole() {
    let server = Server::with_bucket().await;
    for (algorithm, kind, expected) in [
        ("SHA256", None, "COMPOSITE"),
        ("CRC32", Some("FULL_OBJECT"), "FULL_OBJECT"),
        ("CRC64NVME", None, "FULL_OBJECT"),
    ] {
        let suffix = algorithm.to_ascii_lowercase();
        let mut headers = vec![("x-amz-checksum-algorithm", algorithm)];
        headers.extend(kind.map(|kind| ("x-amz-checksum-type", kind)));
        let id = begin(&server, "a", &headers).await;
        let one = part(&server, "a", &id, 1, vec![1; MIB5]).await;
        let two = part(&server, "a", &id, 2, b"tail".to_vec()).await;
        let done = complete(&server, "a", &id, &[(1, &one), (2, &two)]).await.is(200);
        assert_eq!(done.element("ChecksumType").as_deref(), Some(expected), "{algorithm}");
        let value = done.element(&format!("Checksum{algorithm}")).unwrap();
        assert_eq!(value.ends_with("-2"), expected == "COMPOSITE", "{value}");
        let told = server
            .head("/bucket/a")
            .header("x-amz-checksum-mode", "ENABLED")
            .send()
            .await
            .is(200);
        assert_eq!(told.header(&format!("x-amz-checksum-{suffix}")), Some(value.as_str()));
        let attributes = server
            .get("/bucket/a?attributes")
            .header("x-amz-object-attributes", "ObjectParts,Checksum");
        let attributes = attributes.send().await.is(200);
        assert_eq!(
            (attributes.elements("PartNumber"), attributes.element("PartsCount")),
            (vec!["1".into(), "2".into()], Some("2".into()))
        );
        if expected == "FULL_OBJECT" {
            let mut whole = vec![1; MIB5];
            whole.extend_from_slice(b"tail");
            let single = server
                .put("/bucket/b")
                .header("x-amz-checksum-algorithm", algorithm)
                .body(whole);
            assert_eq!(
                single.send().await.is(200).header(&format!("x-amz-checksum-{suffix}")),
                Some(value.as_str())
            );
        }
    }
    let refused = server
        .post("/bucket/a?uploads")
        .header("x-amz-checksum-algorithm", "SHA256");
    refused
        .header("x-amz-checksum-type", "FULL_OBJECT")
        .send()
        .await
        .fails(400, "InvalidRequest");
    let id = begin(&server, "a", &[("x-amz-checksum-algorithm", "SHA256")]).await;
    let path = format!("/bucket/a?partNumber=1&uploadId={id}");
    server
        .put(&path)
        .header("x-amz-checksum-crc32", "y/Q5Jg==")
        .body("123456789")
        .send()
        .await
        .fails(400, "InvalidRequest");
}
