//! What reaches the routes: every signed form goes through authentication into a service that records it, and nothing
//! recorded looks signed. With its own provider unset, the S3 library refuses whatever still does.

use bytes::Bytes;
use drystone::auth::sign::body_hash;
use drystone::auth::{AuthBody, Identity, Payload, PayloadMode};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Request, Version};
use http_body::Body;
use http_body_util::Full;

use super::{NOW, authenticate, read, request, signer};

const BODY: &[u8] = b"some bytes of an object";
const HOST: (&str, &str) = ("host", "localhost:9000");

/// One request in a form a client may choose.
pub(super) struct Form {
    pub(super) name: &'static str,
    pub(super) request: Request<Full<Bytes>>,
    /// Whether the signature covers the bytes of the body.
    pub(super) covers_body: bool,
    identity: Identity,
}

/// A PUT of [`BODY`] in every form, and the GETs.
pub(super) fn forms() -> Vec<Form> {
    let decoded = BODY.len().to_string();
    let plain = [HOST, ("x-amz-meta-color", "deep  blue"), ("content-type", "text/plain")];
    let chunked = [
        HOST,
        ("content-encoding", "aws-chunked,gzip"),
        ("x-amz-decoded-content-length", decoded.as_str()),
        ("x-amz-meta-color", "deep  blue"),
    ];
    let announced = [chunked.as_slice(), &[("x-amz-trailer", "x-amz-checksum-crc32c")]].concat();
    let trailers = [("x-amz-checksum-crc32c", "Rbr7eg==")];
    let put = "/bucket/a%20key/%E2%82%AC?partNumber=1&uploadId=x%2Fy";
    let hash = PayloadMode::SignedBody(body_hash(BODY));
    vec![
        header_form(
            "header, empty body",
            "GET",
            "/bucket?list-type=2&prefix=a+b",
            &[HOST],
            (&empty(), b"", &[]),
        ),
        header_form("header, signed body", "PUT", put, &plain, (&hash, BODY, &[])),
        header_form(
            "header, unsigned body",
            "PUT",
            put,
            &plain,
            (&PayloadMode::Unsigned, BODY, &[]),
        ),
        header_form(
            "signed chunks",
            "PUT",
            put,
            &chunked,
            (&PayloadMode::StreamingSigned, BODY, &[]),
        ),
        header_form(
            "signed trailer",
            "PUT",
            put,
            &announced,
            (&PayloadMode::StreamingSignedTrailer, BODY, &trailers),
        ),
        header_form(
            "unsigned trailer",
            "PUT",
            put,
            &announced,
            (&PayloadMode::StreamingUnsignedTrailer, BODY, &trailers),
        ),
        presigned_form(
            "presigned GET",
            "GET",
            "/bucket/key?response-content-type=a%2Fb",
            &[HOST],
            b"",
        ),
        presigned_form("presigned PUT", "PUT", "/bucket/key?x-id=PutObject", &plain, BODY),
        anonymous_form(&announced),
    ]
}

fn anonymous_form(announced: &[(&str, &str)]) -> Form {
    let headers = [
        announced,
        &[("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER")],
    ]
    .concat();
    let body = b"17\r\nsome bytes of an object\r\n0\r\nx-amz-checksum-crc32c:Rbr7eg==\r\n\r\n";
    Form {
        name: "anonymous unsigned trailer",
        request: request("PUT", "/bucket/key", &headers, body),
        covers_body: false,
        identity: Identity::Anonymous,
    }
}

fn empty() -> PayloadMode {
    PayloadMode::SignedBody(body_hash(b""))
}

fn header_form(
    name: &'static str,
    method: &str,
    uri: &str,
    headers: &[(&str, &str)],
    (mode, body, trailers): (&PayloadMode, &[u8], &[(&str, &str)]),
) -> Form {
    let (mut parts, _) = request(method, uri, headers, b"").into_parts();
    let mut writer = signer().sign(&mut parts, mode, NOW).unwrap();
    let mut sent = body.to_vec();
    if mode.is_chunked() {
        let (first, second) = body.split_at(10);
        sent = [writer.chunk(first), writer.chunk(second), writer.finish(trailers)].concat();
    }
    parts.headers.insert("content-length", HeaderValue::from(sent.len()));
    let covers_body = !matches!(mode, PayloadMode::Unsigned | PayloadMode::StreamingUnsignedTrailer);
    let request = Request::from_parts(parts, Full::new(Bytes::from(sent)));
    Form {
        name,
        request,
        covers_body,
        identity: Identity::Root,
    }
}

fn presigned_form(name: &'static str, method: &str, uri: &str, headers: &[(&str, &str)], body: &'static [u8]) -> Form {
    let (mut parts, _) = request(method, uri, headers, b"").into_parts();
    signer().presign(&mut parts, 600, NOW).unwrap();
    parts.headers.insert("content-length", HeaderValue::from(body.len()));
    let request = Request::from_parts(parts, Full::new(Bytes::from_static(body)));
    Form {
        name,
        request,
        covers_body: false,
        identity: Identity::Root,
    }
}

/// Fails if anything of a signature, or of the encoding that carries one, is left.
fn assert_looks_unsigned(parts: &Parts, form: &str) {
    for name in [
        "authorization",
        "x-amz-content-sha256",
        "x-amz-date",
        "x-amz-security-token",
        "x-amz-decoded-content-length",
        "x-amz-trailer",
    ] {
        assert!(!parts.headers.contains_key(name), "{form}: {name} is left");
    }
    let query = parts.uri.query().unwrap_or_default().to_ascii_lowercase();
    for piece in ["x-amz-", "awsaccesskeyid", "signature"] {
        assert!(!query.contains(piece), "{form}: {piece} is left in {query}");
    }
    let codings = parts.headers.get_all("content-encoding");
    assert!(
        codings
            .iter()
            .all(|value| !value.to_str().unwrap().contains("aws-chunked")),
        "{form}"
    );
    assert!(!parts.headers.contains_key("transfer-encoding"), "{form}");
}

/// What a route would have seen.
struct Recorded {
    parts: Parts,
    identity: Identity,
    body: AuthBody,
}

fn through_authentication(request: Request<Full<Bytes>>) -> Recorded {
    let authenticated = authenticate(request).unwrap_or_else(|error| panic!("refused: {error}"));
    let (parts, body) = authenticated.request.into_parts();
    assert_eq!(parts.extensions.get::<Identity>(), Some(&authenticated.identity));
    Recorded {
        parts,
        identity: authenticated.identity,
        body,
    }
}

#[test]
fn no_form_of_a_signature_reaches_the_routes() {
    for form in forms() {
        let is_put = form.request.method() == "PUT";
        let path = form.request.uri().path().to_owned();
        let recorded = through_authentication(form.request);
        assert_looks_unsigned(&recorded.parts, form.name);
        assert_eq!(recorded.identity, form.identity, "{}", form.name);
        assert_eq!(recorded.parts.uri.path(), path, "{}", form.name);
        assert_eq!(recorded.parts.headers["host"], "localhost:9000", "{}", form.name);
        let payload = recorded.parts.extensions.get::<Payload>().unwrap().clone();
        if let Some(length) = recorded.parts.headers.get("content-length") {
            assert_eq!(
                payload.decoded_length,
                Some(length.to_str().unwrap().parse().unwrap()),
                "{}",
                form.name
            );
            assert_eq!(
                recorded.body.size_hint().exact(),
                payload.decoded_length,
                "{}",
                form.name
            );
        }
        let expected = if is_put { BODY } else { b"" };
        assert_eq!(read(recorded.body).unwrap(), expected, "{}", form.name);
        assert_eq!(
            payload.trailers.received().map_or(0, HeaderMap::len),
            payload.trailers.announced().len()
        );
    }
}

#[test]
fn what_the_client_asked_for_is_kept() {
    let mut seen = Vec::new();
    for form in forms() {
        let parts = through_authentication(form.request).parts;
        let encoding = parts
            .headers
            .get("content-encoding")
            .map(|value| value.to_str().unwrap().to_owned());
        seen.push((form.name, parts.uri.query().map(str::to_owned), encoding));
    }
    let expect = |name: &str, query: Option<&str>, encoding: Option<&str>| {
        let found = seen.iter().find(|(seen, _, _)| *seen == name).unwrap();
        assert_eq!((found.1.as_deref(), found.2.as_deref()), (query, encoding), "{name}");
    };
    expect("header, empty body", Some("list-type=2&prefix=a+b"), None);
    expect("signed chunks", Some("partNumber=1&uploadId=x%2Fy"), Some("gzip"));
    expect("presigned GET", Some("response-content-type=a%2Fb"), None);
    expect("presigned PUT", Some("x-id=PutObject"), None);
}

#[test]
fn aws_chunked_said_of_a_plain_body_is_forgotten() {
    for (said, kept) in [
        ("aws-chunked", None),
        ("aws-chunked, aws-chunked", None),
        ("gzip, aws-chunked", Some("gzip")),
        ("aws-chunked,gzip", Some("gzip")),
        ("deflate, AWS-Chunked, gzip", Some("deflate,gzip")),
        ("deflate, gzip", Some("deflate, gzip")),
    ] {
        let headers = [HOST, ("content-encoding", said)];
        let (mut parts, body) = request("PUT", "/b/k", &headers, BODY).into_parts();
        signer()
            .sign(&mut parts, &PayloadMode::SignedBody(body_hash(BODY)), NOW)
            .unwrap();
        let recorded = through_authentication(Request::from_parts(parts, body));
        let encoding = recorded.parts.headers.get("content-encoding");
        assert_eq!(encoding.map(HeaderValue::as_bytes), kept.map(str::as_bytes), "{said}");
        assert_eq!(read(recorded.body).unwrap(), BODY, "{said}");
    }
}

#[test]
fn a_request_without_credentials_is_anonymous_and_untouched() {
    let recorded = through_authentication(request("PUT", "/b/k?acl", &[HOST, ("content-length", "23")], BODY));
    assert_eq!(recorded.identity, Identity::Anonymous);
    assert_eq!(recorded.parts.uri, "/b/k?acl");
    assert_eq!(
        recorded.parts.extensions.get::<Payload>().unwrap().mode,
        PayloadMode::Unsigned
    );
    assert_eq!(read(recorded.body).unwrap(), BODY);
}

#[test]
fn the_authority_of_http2_is_the_host_that_was_signed() {
    let (mut parts, body) = request("GET", "https://files.example.com:9000/b/k", &[], b"").into_parts();
    parts.version = Version::HTTP_2;
    signer().sign(&mut parts, &empty(), NOW).unwrap();
    assert!(!parts.headers.contains_key("host"));
    let recorded = through_authentication(Request::from_parts(parts, body));
    assert_eq!(recorded.parts.headers["host"], "files.example.com:9000");
    assert_eq!(recorded.parts.uri, "https://files.example.com:9000/b/k");
}

#[test]
fn parameters_that_stand_for_headers_become_headers_again() {
    let uri = "/b/k?x-amz-acl=private&X-Amz-Server-Side-Encryption=AES256&x-amz-meta-a=b%20c\
        &x-amz-checksum-crc32=AAAAAA%3D%3D&x-amz-sdk-checksum-algorithm=CRC32&x-amz-checksum-mode=ENABLED&versionId=1";
    let (mut parts, body) = request("PUT", uri, &[HOST], BODY).into_parts();
    signer().presign(&mut parts, 600, NOW).unwrap();
    let recorded = through_authentication(Request::from_parts(parts, body));
    assert_looks_unsigned(&recorded.parts, "hoisted");
    assert_eq!(recorded.parts.uri, "/b/k?versionId=1");
    let headers = &recorded.parts.headers;
    assert_eq!(headers["x-amz-acl"], "private");
    assert_eq!(headers["x-amz-server-side-encryption"], "AES256");
    assert_eq!(headers["x-amz-meta-a"], "b c");
    assert_eq!(headers["x-amz-checksum-mode"], "ENABLED");
    // The checksum of the empty body an SDK presigned without: not a promise about the upload.
    assert!(!headers.contains_key("x-amz-checksum-crc32"));
    assert!(!headers.contains_key("x-amz-sdk-checksum-algorithm"));
}

#[test]
fn a_host_of_mixed_case_is_signed_as_received() {
    let (mut parts, body) = request("GET", "/b/k", &[("host", "LocalHost:9000")], b"").into_parts();
    signer().sign(&mut parts, &empty(), NOW).unwrap();
    let recorded = through_authentication(Request::from_parts(parts, body));
    assert_eq!(recorded.parts.headers["host"], "LocalHost:9000");
}

#[test]
fn a_presigned_request_may_still_promise_a_hash_of_its_body() {
    let hash = hex(&body_hash(BODY));
    let (mut parts, body) = request("PUT", "/b/k", &[HOST], BODY).into_parts();
    signer().presign(&mut parts, 600, NOW).unwrap();
    parts.headers.insert("x-amz-content-sha256", hash.parse().unwrap());
    let recorded = through_authentication(Request::from_parts(parts.clone(), body));
    assert_eq!(read(recorded.body).unwrap(), BODY);
    let other = Full::new(Bytes::from_static(b"other bytes of an objec"));
    let recorded = through_authentication(Request::from_parts(parts, other));
    assert_eq!(read(recorded.body).unwrap_err().code(), "XAmzContentSHA256Mismatch");
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
