//! The examples AWS publishes for Signature Version 4 in S3: the signer makes the published signatures, and the
//! verifier accepts them.

use drystone::auth::PayloadMode;
use drystone::auth::sign::body_hash;

use super::{NOW, authenticate, outcome, read, request, signer};

const HOST: (&str, &str) = ("host", "examplebucket.s3.amazonaws.com");

fn authorization(signed_headers: &str, signature: &str) -> String {
    format!(
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,\
         SignedHeaders={signed_headers},Signature={signature}"
    )
}

/// Signs a request and compares with the published header; then authenticates it and reads its body.
fn check(method: &str, uri: &str, headers: &[(&str, &str)], body: &[u8], published: &str) {
    let (mut parts, source) = request(method, uri, headers, body).into_parts();
    signer()
        .sign(&mut parts, &PayloadMode::SignedBody(body_hash(body)), NOW)
        .unwrap();
    assert_eq!(parts.headers["authorization"], published, "{method} {uri}");
    assert_eq!(
        outcome(http::Request::from_parts(parts, source)),
        Ok(body.to_vec()),
        "{method} {uri}"
    );
}

#[test]
fn get_object_with_a_range() {
    check(
        "GET",
        "/test.txt",
        &[HOST, ("range", "bytes=0-9")],
        b"",
        &authorization(
            "host;range;x-amz-content-sha256;x-amz-date",
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        ),
    );
}

#[test]
fn put_object_with_a_dollar_in_its_key() {
    let headers = [
        HOST,
        ("date", "Fri, 24 May 2013 00:00:00 GMT"),
        ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
    ];
    let published = authorization(
        "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
        "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
    );
    check(
        "PUT",
        "/test%24file.text",
        &headers,
        b"Welcome to Amazon S3.",
        &published,
    );
    // The same key, sent as it stands: decoded once and encoded once, it is the same path.
    check("PUT", "/test$file.text", &headers, b"Welcome to Amazon S3.", &published);
}

#[test]
fn get_bucket_lifecycle() {
    check(
        "GET",
        "/?lifecycle",
        &[HOST],
        b"",
        &authorization(
            "host;x-amz-content-sha256;x-amz-date",
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
        ),
    );
}

#[test]
fn list_objects_in_either_order_of_parameters() {
    let published = authorization(
        "host;x-amz-content-sha256;x-amz-date",
        "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
    );
    check("GET", "/?max-keys=2&prefix=J", &[HOST], b"", &published);
    check("GET", "/?prefix=J&max-keys=2", &[HOST], b"", &published);
}

#[test]
fn presigned_get_object() {
    let published = "/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256\
        &X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request\
        &X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host\
        &X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404";
    let (mut parts, _) = request("GET", "/test.txt", &[HOST], b"").into_parts();
    signer().presign(&mut parts, 86400, NOW).unwrap();
    assert_eq!(parts.uri, published);
    assert_eq!(outcome(request("GET", published, &[HOST], b"")), Ok(vec![]));
}

#[test]
fn upload_in_signed_chunks() {
    let mut headers = vec![
        ("host", "s3.amazonaws.com"),
        ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
        ("content-encoding", "aws-chunked"),
        ("x-amz-decoded-content-length", "66560"),
        ("content-length", "66824"),
    ];
    let uri = "/examplebucket/chunkObject.txt";
    let (mut parts, _) = request("PUT", uri, &headers, b"").into_parts();
    let mut writer = signer().sign(&mut parts, &PayloadMode::StreamingSigned, NOW).unwrap();
    let mut written = writer.chunk(&[b'a'; 65536]).to_vec();
    written.extend_from_slice(&writer.chunk(&[b'a'; 1024]));
    written.extend_from_slice(&writer.finish(&[]));

    let published = authorization(
        "content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;\
         x-amz-storage-class",
        "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
    );
    assert_eq!(parts.headers["authorization"], published);

    let body = [
        b"10000;chunk-signature=ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648\r\n".as_slice(),
        &[b'a'; 65536],
        b"\r\n400;chunk-signature=0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497\r\n",
        &[b'a'; 1024],
        b"\r\n0;chunk-signature=b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9\r\n\r\n",
    ]
    .concat();
    assert_eq!(body.len(), 66824);
    assert!(written == body, "the signer writes the published body");

    headers.extend([
        ("authorization", published.as_str()),
        ("x-amz-date", "20130524T000000Z"),
        ("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"),
    ]);
    assert_eq!(outcome(request("PUT", uri, &headers, &body)), Ok(vec![b'a'; 66560]));
}

#[test]
fn upload_in_signed_chunks_with_a_trailer() {
    let mut headers = vec![
        ("host", "s3.amazonaws.com"),
        ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
        ("content-encoding", "aws-chunked"),
        ("x-amz-decoded-content-length", "66560"),
        ("x-amz-trailer", "x-amz-checksum-crc32c"),
    ];
    let uri = "/examplebucket/chunkObject.txt";
    let (mut parts, _) = request("PUT", uri, &headers, b"").into_parts();
    let mut writer = signer()
        .sign(&mut parts, &PayloadMode::StreamingSignedTrailer, NOW)
        .unwrap();
    let mut written = writer.chunk(&[b'a'; 65536]).to_vec();
    written.extend_from_slice(&writer.chunk(&[b'a'; 1024]));
    written.extend_from_slice(&writer.finish(&[("x-amz-checksum-crc32c", "sOO8/Q==")]));

    let published = authorization(
        "content-encoding;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class;\
         x-amz-trailer",
        "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e",
    );
    assert_eq!(parts.headers["authorization"], published);

    let body = [
        b"10000;chunk-signature=b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2\r\n".as_slice(),
        &[b'a'; 65536],
        b"\r\n400;chunk-signature=1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7\r\n",
        &[b'a'; 1024],
        b"\r\n0;chunk-signature=2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992\r\n",
        b"x-amz-checksum-crc32c:sOO8/Q==\r\n",
        b"x-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n\r\n",
    ]
    .concat();
    assert!(written == body, "the signer writes the published body");

    headers.extend([
        ("authorization", published.as_str()),
        ("x-amz-date", "20130524T000000Z"),
        ("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"),
    ]);
    let authenticated = authenticate(request("PUT", uri, &headers, &body)).unwrap();
    let trailers = authenticated
        .request
        .extensions()
        .get::<drystone::auth::Payload>()
        .unwrap()
        .trailers
        .clone();
    assert_eq!(trailers.announced(), ["x-amz-checksum-crc32c"]);
    assert!(trailers.received().is_none());
    assert_eq!(read(authenticated.request.into_body()).unwrap(), vec![b'a'; 66560]);
    assert_eq!(trailers.received().unwrap()["x-amz-checksum-crc32c"], "sOO8/Q==");
}
