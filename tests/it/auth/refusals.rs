//! What must be refused, and by which S3 error: the pitfalls of Signature Version 4, one test each.

use bytes::Bytes;
use drystone::auth::sign::{Signer, body_hash};
use drystone::auth::{AuthError, Identity, PayloadMode, SecretKey};
use http::{HeaderValue, Request};
use http_body_util::Full;
use time::{Duration, OffsetDateTime};

use super::{ACCESS_KEY, NOW, SECRET_KEY, authenticate, authenticator, outcome, request, signer};

const HOST: (&str, &str) = ("host", "localhost:9000");

fn signed_by(signer: &Signer, at: OffsetDateTime) -> Request<Full<Bytes>> {
    let (mut parts, body) = request("GET", "/bucket/key", &[HOST], b"").into_parts();
    signer
        .sign(&mut parts, &PayloadMode::SignedBody(body_hash(b"")), at)
        .unwrap();
    Request::from_parts(parts, body)
}

fn presigned_by(signer: &Signer, expires: u32, at: OffsetDateTime) -> Request<Full<Bytes>> {
    let (mut parts, body) = request("GET", "/bucket/key", &[HOST], b"").into_parts();
    signer.presign(&mut parts, expires, at).unwrap();
    Request::from_parts(parts, body)
}

fn other_target(mut request: Request<Full<Bytes>>, method: &str, target: &str) -> Request<Full<Bytes>> {
    *request.method_mut() = method.parse().unwrap();
    *request.uri_mut() = target.parse().unwrap();
    request
}

fn refusal(request: Request<Full<Bytes>>) -> AuthError {
    match authenticate(request) {
        Ok(_) => panic!("accepted"),
        Err(error) => error,
    }
}

fn code(request: Request<Full<Bytes>>) -> (&'static str, u16) {
    let error = refusal(request);
    (error.code(), error.status().as_u16())
}

#[test]
fn an_unknown_key_and_a_wrong_secret_have_their_own_codes() {
    let unknown = Signer::new("AKIAUNKNOWN", SecretKey::new(SECRET_KEY), "us-east-1");
    let wrong = Signer::new(ACCESS_KEY, SecretKey::new("not the secret"), "us-east-1");
    for (signer, expected) in [(unknown, "InvalidAccessKeyId"), (wrong, "SignatureDoesNotMatch")] {
        assert_eq!(code(signed_by(&signer, NOW)), (expected, 403));
        assert_eq!(code(presigned_by(&signer, 60, NOW)), (expected, 403));
    }
}

#[test]
fn headers_that_were_signed_and_did_not_arrive_are_named() {
    let headers = [HOST, ("range", "bytes=0-1"), ("x-amz-meta-a.b", "1")];
    let (mut parts, body) = request("GET", "/b/k", &headers, b"").into_parts();
    signer().sign(&mut parts, &PayloadMode::Unsigned, NOW).unwrap();
    parts.headers.remove("range");
    parts.headers.remove("x-amz-meta-a.b");
    let error = refusal(Request::from_parts(parts, body));
    assert_eq!(error.code(), "SignatureDoesNotMatch");
    let told = error.to_string();
    assert!(told.contains("as it arrived: range, x-amz-meta-a.b."), "{told}");
    // A wrong secret alone is no matter of headers.
    let wrong = Signer::new(ACCESS_KEY, SecretKey::new("another secret key"), "us-east-1");
    assert!(!refusal(signed_by(&wrong, NOW)).to_string().contains("arrived"));
}

#[test]
fn the_right_key_with_the_wrong_secret_is_refused_in_every_payload_mode() {
    let wrong = Signer::new(ACCESS_KEY, SecretKey::new("not the secret"), "us-east-1");
    for mode in [
        PayloadMode::SignedBody(body_hash(b"bytes")),
        PayloadMode::Unsigned,
        PayloadMode::StreamingSigned,
        PayloadMode::StreamingSignedTrailer,
        PayloadMode::StreamingUnsignedTrailer,
    ] {
        let (mut parts, _) = request("PUT", "/b/k", &[HOST, ("x-amz-decoded-content-length", "5")], b"").into_parts();
        let mut writer = wrong.sign(&mut parts, &mode, NOW).unwrap();
        let body = match mode.is_chunked() {
            true => [writer.chunk(b"bytes"), writer.finish(&[])].concat(),
            false => b"bytes".to_vec(),
        };
        let request = Request::from_parts(parts, Full::new(Bytes::from(body)));
        assert_eq!(code(request), ("SignatureDoesNotMatch", 403), "{mode:?}");
    }
}

#[test]
fn a_clock_may_be_fifteen_minutes_off_and_no_more() {
    for minutes in [-15, 15] {
        assert!(authenticate(signed_by(&signer(), NOW + Duration::minutes(minutes))).is_ok());
    }
    for at in [NOW - Duration::seconds(901), NOW + Duration::seconds(901)] {
        let error = refusal(signed_by(&signer(), at));
        assert_eq!((error.code(), error.status().as_u16()), ("RequestTimeTooSkewed", 403));
        let xml = error.to_xml("/bucket/key", "0123456789ABCDEF");
        assert!(xml.contains("<ServerTime>2013-05-24T00:00:00Z</ServerTime>"), "{xml}");
        assert!(xml.contains("<RequestTime>2013052"), "{xml}");
        assert!(xml.contains("<RequestId>0123456789ABCDEF</RequestId>"), "{xml}");
    }
}

#[test]
fn a_presigned_url_lives_as_long_as_it_says() {
    assert!(authenticate(presigned_by(&signer(), 60, NOW - Duration::seconds(60))).is_ok());
    assert!(authenticate(presigned_by(&signer(), 604_800, NOW - Duration::days(6))).is_ok());
    let error = refusal(presigned_by(&signer(), 60, NOW - Duration::seconds(61)));
    assert_eq!((error.code(), error.status().as_u16()), ("AccessDenied", 403));
    assert_eq!(error.to_string(), "Request has expired");
    assert_eq!(error.fields()[0], ("X-Amz-Expires", "60".to_owned()));
    let error = refusal(presigned_by(&signer(), 60, NOW + Duration::minutes(16)));
    assert_eq!(
        (error.code(), error.to_string().as_str()),
        ("AccessDenied", "Request is not valid yet")
    );
}

#[test]
fn a_presigned_url_must_expire_within_a_week() {
    for expires in [0, 604_801, u32::MAX] {
        let refused = code(presigned_by(&signer(), expires, NOW));
        assert_eq!(refused, ("AuthorizationQueryParametersError", 400), "{expires}");
    }
    let valid = presigned_by(&signer(), 60, NOW).uri().to_string();
    for expires in ["-1", "+60", "", "6e1", "99999999999999999999", "%2060"] {
        let target = valid.replace("Expires=60", &format!("Expires={expires}"));
        let refused = code(request("GET", &target, &[HOST], b""));
        assert_eq!(refused, ("AuthorizationQueryParametersError", 400), "{expires}");
    }
}

#[test]
fn a_presigned_url_is_for_one_method_and_one_target() {
    let valid = presigned_by(&signer(), 60, NOW);
    let target = valid.uri().to_string();
    let refused = ("SignatureDoesNotMatch", 403);
    assert_eq!(code(other_target(valid.clone(), "DELETE", &target)), refused);
    assert_eq!(code(other_target(valid.clone(), "HEAD", &target)), refused);
    assert_eq!(
        code(other_target(
            valid.clone(),
            "GET",
            &target.replace("/key?", "/key?acl&")
        )),
        refused
    );
    assert_eq!(
        code(other_target(valid, "GET", &target.replace("/key?", "/other?"))),
        refused
    );
}

#[test]
fn a_presigned_url_needs_all_its_parameters_once() {
    let target = presigned_by(&signer(), 60, NOW).uri().to_string();
    let (path, query) = target.split_once('?').unwrap();
    for left_out in query.split('&') {
        let rest: Vec<&str> = query.split('&').filter(|piece| *piece != left_out).collect();
        let (name, _) = left_out.split_once('=').unwrap();
        let refused = code(request("GET", &format!("{path}?{}", rest.join("&")), &[HOST], b""));
        assert_eq!(refused, ("AuthorizationQueryParametersError", 400), "without {name}");
        for twin in [left_out.to_owned(), left_out.replace(name, &name.to_ascii_lowercase())] {
            let refused = code(request("GET", &format!("{target}&{twin}"), &[HOST], b""));
            assert_eq!(refused, ("AuthorizationQueryParametersError", 400), "{name} twice");
        }
    }
    // One of them alone is no anonymous request, whatever its letters.
    for alone in [
        "X-Amz-Signature=0",
        "x-amz-credential=AKIA",
        "X-AMZ-SECURITY-TOKEN=t",
        "X-Amz-Content-Sha256=0",
    ] {
        let refused = code(request("PUT", &format!("/b/k?{alone}"), &[HOST], b""));
        assert_eq!(refused, ("AuthorizationQueryParametersError", 400), "{alone}");
    }
}

#[test]
fn a_credential_in_the_query_does_not_open_an_unsigned_trailer() {
    let body = b"5\r\nbytes\r\n0\r\n\r\n";
    let headers = [
        HOST,
        ("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"),
        ("x-amz-decoded-content-length", "5"),
    ];
    let bare = "/b/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3\
        %2Faws4_request";
    assert_eq!(
        code(request("PUT", bare, &headers, body)),
        ("AuthorizationQueryParametersError", 400)
    );
    let forged = format!(
        "{bare}&X-Amz-Date=20130524T000000Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host%3Bx-amz-content-sha256%3B\
         x-amz-decoded-content-length&X-Amz-Signature={}",
        "0".repeat(64)
    );
    assert_eq!(
        code(request("PUT", &forged, &headers, body)),
        ("SignatureDoesNotMatch", 403)
    );
}

#[test]
fn two_mechanisms_at_once_are_refused() {
    let mut both = signed_by(&signer(), NOW);
    *both.uri_mut() = presigned_by(&signer(), 60, NOW).uri().clone();
    assert_eq!(code(both), ("InvalidArgument", 400));
    let mut twice = signed_by(&signer(), NOW);
    let authorization = twice.headers()["authorization"].clone();
    twice.headers_mut().append("authorization", authorization);
    assert_eq!(code(twice), ("InvalidRequest", 400));
}

#[test]
fn signature_version_2_and_foreign_schemes_are_refused() {
    let version_2 = request("GET", "/b/k", &[HOST, ("authorization", "AWS AKIA:c2lnbmF0dXJl")], b"");
    assert_eq!(code(version_2), ("InvalidRequest", 400));
    let target = "/b/k?AWSAccessKeyId=AKIA&Expires=1369353600&Signature=c2ln";
    assert_eq!(code(request("GET", target, &[HOST], b"")), ("InvalidRequest", 400));
    for scheme in [
        "Basic cm9vdDpzZWNyZXQ=",
        "Bearer eyJhbGciOi",
        "",
        "AWS4-HMAC-SHA512 Credential=x",
    ] {
        let refused = code(request("GET", "/b/k", &[HOST, ("authorization", scheme)], b""));
        assert_eq!(refused, ("InvalidArgument", 400), "{scheme}");
    }
}

#[test]
fn asymmetric_signatures_are_not_implemented() {
    let header = [
        HOST,
        (
            "authorization",
            "AWS4-ECDSA-P256-SHA256 Credential=a/b, SignedHeaders=host, Signature=00",
        ),
    ];
    assert_eq!(code(request("GET", "/b/k", &header, b"")), ("NotImplemented", 501));
    let target = "/b/k?X-Amz-Algorithm=AWS4-ECDSA-P256-SHA256";
    assert_eq!(code(request("GET", target, &[HOST], b"")), ("NotImplemented", 501));
    for mode in [
        "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD",
        "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER",
    ] {
        let mut chunked = signed_by(&signer(), NOW);
        chunked
            .headers_mut()
            .insert("x-amz-content-sha256", HeaderValue::from_static(mode));
        assert_eq!(code(chunked), ("NotImplemented", 501));
    }
}

#[test]
fn uploads_by_form_are_not_implemented() {
    for (uri, kind) in [
        ("/bucket", "multipart/form-data; boundary=x"),
        ("/", "  Multipart/Form-Data"),
        ("/b/k?acl", "multipart/form-data"),
    ] {
        let form = request("POST", uri, &[HOST, ("content-type", kind)], b"--x");
        assert_eq!(code(form), ("NotImplemented", 501), "{uri}");
    }
    let delete = request(
        "POST",
        "/bucket?delete",
        &[HOST, ("content-type", "application/xml")],
        b"<Delete/>",
    );
    assert!(authenticate(delete).is_ok());
}

#[test]
fn headers_of_amazon_must_be_signed() {
    for name in [
        "x-amz-acl",
        "x-amz-meta-owner",
        "x-amz-copy-source",
        "x-amz-security-token",
        "x-amz-trailer",
    ] {
        let mut added = signed_by(&signer(), NOW);
        added.headers_mut().insert(name, HeaderValue::from_static("private"));
        let error = refusal(added);
        assert_eq!((error.code(), error.status().as_u16()), ("AccessDenied", 403), "{name}");
        assert_eq!(error.fields(), [("HeadersNotSigned", name.to_owned())]);
    }
    for name in ["x-amz-acl", "x-amz-meta-owner", "x-amz-tagging"] {
        let mut added = presigned_by(&signer(), 60, NOW);
        added.headers_mut().insert(name, HeaderValue::from_static("private"));
        assert_eq!(code(added), ("AccessDenied", 403), "{name}");
    }
    for name in ["x-amz-user-agent", "x-amzn-trace-id", "content-type", "range"] {
        let mut added = presigned_by(&signer(), 60, NOW);
        added.headers_mut().insert(name, HeaderValue::from_static("bytes=0-1"));
        assert!(authenticate(added).is_ok(), "{name}");
    }
}

/// The claim of a header, taken apart so that each part can be wrong.
fn with_authorization(change: impl Fn(&str) -> String) -> (&'static str, u16) {
    let mut request = signed_by(&signer(), NOW);
    let authorization = change(request.headers()["authorization"].to_str().unwrap());
    request
        .headers_mut()
        .insert("authorization", authorization.parse().unwrap());
    code(request)
}

#[test]
fn a_malformed_claim_is_told_from_a_wrong_signature() {
    let malformed = ("AuthorizationHeaderMalformed", 400);
    for (from, to) in [
        ("/20130524/", "/20130525/"),
        ("/s3/", "/ec2/"),
        ("/us-east-1/", "//"),
        ("aws4_request", "aws4_requests"),
        ("Credential=AKIAIOSFODNN7EXAMPLE", "Credential="),
        ("/us-east-1/s3/aws4_request", ""),
        ("SignedHeaders=host;", "SignedHeaders="),
        ("host;x-amz-content-sha256", "x-amz-content-sha256;host"),
        ("SignedHeaders=host;", "SignedHeaders=host;host;"),
        ("SignedHeaders=host", "SignedHeaders=Host"),
        ("SignedHeaders=", "SignedHeaders=;"),
        ("Signature=", "Signature=00,Signature="),
        ("Signature=", "Extra=1,Signature="),
        ("Signature=", "Signature"),
        ("Credential=", "credential="),
    ] {
        assert_eq!(
            with_authorization(|text| text.replace(from, to)),
            malformed,
            "{from} -> {to}"
        );
    }
    for (from, to) in [
        ("/us-east-1/", "/eu-west-1/"),
        ("Signature=", "Signature=0"),
        ("x-amz-date", "x-amz-datf"),
    ] {
        let refused = with_authorization(|text| text.replace(from, to));
        assert!(
            matches!(refused.0, "SignatureDoesNotMatch" | "AccessDenied"),
            "{from} -> {to}: {refused:?}"
        );
    }
    let scheme_only = request("GET", "/b", &[HOST, ("authorization", "AWS4-HMAC-SHA256")], b"");
    assert_eq!(code(scheme_only), malformed);
}

#[test]
fn spaces_after_the_commas_are_allowed_and_optional() {
    let mut request = signed_by(&signer(), NOW);
    let authorization = request.headers()["authorization"].to_str().unwrap().replace(',', ", ");
    request
        .headers_mut()
        .insert("authorization", authorization.parse().unwrap());
    assert!(authenticate(request).is_ok());
}

#[test]
fn a_request_without_a_date_or_a_payload_hash_is_refused() {
    let mut undated = signed_by(&signer(), NOW);
    undated.headers_mut().remove("x-amz-date");
    assert_eq!(code(undated), ("AccessDenied", 403));
    let mut unhashed = signed_by(&signer(), NOW);
    unhashed.headers_mut().remove("x-amz-content-sha256");
    assert_eq!(code(unhashed), ("InvalidRequest", 400));
    for hash in [
        "",
        "abc",
        "STREAMING-AWS4-HMAC-SHA256-EVENTS",
        &"0".repeat(66),
        &"g".repeat(64),
    ] {
        let mut odd = signed_by(&signer(), NOW);
        odd.headers_mut().insert("x-amz-content-sha256", hash.parse().unwrap());
        assert_eq!(code(odd), ("InvalidArgument", 400), "{hash}");
    }
}

#[test]
fn a_configured_region_is_the_only_one() {
    let authenticator = authenticator(Some("eu-central-1"));
    let error = match authenticator.authenticate_at(signed_by(&signer(), NOW), NOW) {
        Ok(_) => panic!("accepted"),
        Err(error) => error,
    };
    assert_eq!(
        (error.code(), error.status().as_u16()),
        ("AuthorizationHeaderMalformed", 400)
    );
    assert!(error.to_xml("/", "1").contains("<Region>eu-central-1</Region>"));
    let there = Signer::new(ACCESS_KEY, SecretKey::new(SECRET_KEY), "eu-central-1");
    assert!(authenticator.authenticate_at(signed_by(&there, NOW), NOW).is_ok());
}

#[test]
fn a_session_token_with_root_credentials_is_refused() {
    let with_token = signer().with_session_token("IQoJb3JpZ2luX2VjE");
    assert_eq!(code(signed_by(&with_token, NOW)), ("InvalidToken", 400));
    assert_eq!(code(presigned_by(&with_token, 60, NOW)), ("InvalidToken", 400));
}

#[test]
fn paths_are_signed_as_they_are_routed() {
    // Pairs of one path in two spellings that decode to the same key: signed as one, sent as the other.
    for (signed, sent) in [
        ("/b/a%2Fb", "/b/a/b"),
        ("/b/%61", "/b/a"),
        ("/b/a%7Eb", "/b/a~b"),
        ("/b/a+b", "/b/a%2Bb"),
    ] {
        let (mut parts, body) = request("GET", signed, &[HOST], b"").into_parts();
        signer()
            .sign(&mut parts, &PayloadMode::SignedBody(body_hash(b"")), NOW)
            .unwrap();
        parts.uri = sent.parse().unwrap();
        assert!(
            authenticate(Request::from_parts(parts, body)).is_ok(),
            "{signed} as {sent}"
        );
    }
    // And pairs that are different keys.
    for (signed, sent) in [
        ("/b/a%2520b", "/b/a%20b"),
        ("/b//a", "/b/a"),
        ("/b/a", "/b//a"),
        ("/b/x/../a", "/b/a"),
        ("/b/%2e%2e/a", "/a"),
        ("/b/./a", "/b/a"),
        ("/b/a/", "/b/a"),
        ("/b/a+b", "/b/a%20b"),
        ("/b/A", "/b/a"),
    ] {
        let (mut parts, body) = request("GET", signed, &[HOST], b"").into_parts();
        signer()
            .sign(&mut parts, &PayloadMode::SignedBody(body_hash(b"")), NOW)
            .unwrap();
        assert!(
            authenticate(Request::from_parts(parts.clone(), body.clone())).is_ok(),
            "{signed} itself"
        );
        parts.uri = sent.parse().unwrap();
        let refused = code(Request::from_parts(parts, body));
        assert_eq!(refused, ("SignatureDoesNotMatch", 403), "{signed} as {sent}");
    }
}

#[test]
fn targets_with_two_readings_are_refused_signed_or_not() {
    for target in ["/b/%zz", "/b/%", "/b/%ff", "/b?prefix=%c3", "/b?%=1"] {
        assert_eq!(
            code(request("GET", target, &[HOST], b"")),
            ("InvalidURI", 400),
            "{target}"
        );
    }
    let mut two_hosts = request("GET", "/b", &[HOST, ("host", "evil.example.com")], b"");
    assert_eq!(code(two_hosts.clone()), ("InvalidRequest", 400));
    two_hosts.headers_mut().remove("host");
    *two_hosts.uri_mut() = "http://a.example.com/b".parse().unwrap();
    two_hosts
        .headers_mut()
        .insert("host", HeaderValue::from_static("b.example.com"));
    assert_eq!(code(two_hosts), ("InvalidRequest", 400));
}

#[test]
fn duplicate_parameters_are_signed_one_by_one() {
    let (mut parts, body) = request("GET", "/b?prefix=a&prefix=b", &[HOST], b"").into_parts();
    signer()
        .sign(&mut parts, &PayloadMode::SignedBody(body_hash(b"")), NOW)
        .unwrap();
    let request = Request::from_parts(parts, body);
    assert!(authenticate(request.clone()).is_ok());
    for target in [
        "/b?prefix=a",
        "/b?prefix=b",
        "/b?prefix=a&prefix=a",
        "/b?prefix=a&prefix=b&prefix=b",
    ] {
        assert_eq!(
            code(other_target(request.clone(), "GET", target)),
            ("SignatureDoesNotMatch", 403),
            "{target}"
        );
    }
}

#[test]
fn chunked_bodies_must_declare_what_they_decode_to() {
    let unsigned = ("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER");
    let body = b"5\r\nbytes\r\n0\r\n\r\n";
    assert_eq!(
        code(request("PUT", "/b/k", &[HOST, unsigned], body)),
        ("MissingContentLength", 411)
    );
    for length in ["", "-1", "+5", "5 5", "99999999999999999999"] {
        let headers = [HOST, unsigned, ("x-amz-decoded-content-length", length)];
        assert_eq!(
            code(request("PUT", "/b/k", &headers, body)),
            ("InvalidRequest", 400),
            "{length}"
        );
    }
    for announced in ["content-length", "x-amz-meta-a", "x-amz-checksum-crc32,host", ","] {
        let headers = [
            HOST,
            unsigned,
            ("x-amz-decoded-content-length", "5"),
            ("x-amz-trailer", announced),
        ];
        assert_eq!(
            code(request("PUT", "/b/k", &headers, body)),
            ("InvalidRequest", 400),
            "{announced}"
        );
    }
    let encoded = [
        HOST,
        ("content-encoding", "aws-chunked"),
        ("x-amz-decoded-content-length", "5"),
    ];
    assert_eq!(code(request("PUT", "/b/k", &encoded, body)), ("InvalidRequest", 400));
    for mode in [
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
    ] {
        let anonymous = [
            HOST,
            ("x-amz-content-sha256", mode),
            ("x-amz-decoded-content-length", "5"),
        ];
        assert_eq!(code(request("PUT", "/b/k", &anonymous, body)), ("InvalidRequest", 400));
    }
}

#[test]
fn a_body_that_is_not_the_signed_one_is_refused() {
    let (mut parts, _) = request("PUT", "/b/k", &[HOST], b"").into_parts();
    signer()
        .sign(&mut parts, &PayloadMode::SignedBody(body_hash(b"bytes")), NOW)
        .unwrap();
    let with = |body: &'static [u8], length: &str| {
        let mut parts = parts.clone();
        parts.headers.insert("content-length", length.parse().unwrap());
        outcome(Request::from_parts(parts, Full::new(Bytes::from_static(body))))
    };
    assert_eq!(with(b"bytes", "5"), Ok(b"bytes".to_vec()));
    assert_eq!(with(b"other", "5"), Err("XAmzContentSHA256Mismatch"));
    assert_eq!(with(b"byte", "5"), Err("IncompleteBody"));
    assert_eq!(with(b"bytes!", "5"), Err("IncompleteBody"));
    assert_eq!(with(b"", "0"), Err("XAmzContentSHA256Mismatch"));
}

#[test]
fn errors_show_no_secret_and_are_well_formed() {
    let wrong = Signer::new(ACCESS_KEY, SecretKey::new("not the secret"), "us-east-1");
    let request = signed_by(&wrong, NOW);
    let presented = request.headers()["authorization"]
        .to_str()
        .unwrap()
        .split("Signature=")
        .nth(1)
        .unwrap()
        .to_owned();
    let error = refusal(request);
    let xml = error.to_xml("/a&b/<key>\u{1}", "id");
    assert!(xml.contains("<Resource>/a&amp;b/&lt;key&gt;</Resource>"), "{xml}");
    assert!(
        xml.contains("<AWSAccessKeyId>AKIAIOSFODNN7EXAMPLE</AWSAccessKeyId>"),
        "{xml}"
    );
    for text in [
        &xml,
        &format!("{error:?}"),
        &format!("{:?}", SecretKey::new(SECRET_KEY)),
        &format!("{wrong:?}"),
    ] {
        assert!(
            !text.contains(SECRET_KEY) && !text.contains("not the secret") && !text.contains(&presented),
            "{text}"
        );
    }
    let response = error.to_response("/a", "id");
    assert_eq!(response.status(), 403);
    assert_eq!(response.headers()["content-type"], "application/xml");
    assert_eq!(response.headers()["x-minio-error-code"], "SignatureDoesNotMatch");
}

#[test]
fn the_root_user_is_recognised() {
    assert_eq!(
        authenticate(signed_by(&signer(), NOW)).unwrap().identity,
        Identity::Root
    );
    assert_eq!(
        authenticate(presigned_by(&signer(), 60, NOW)).unwrap().identity,
        Identity::Root
    );
}
