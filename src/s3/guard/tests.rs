//! Walks the whole table of the guard: sub-resource by method, header by write.

use super::table::{Asks, HEADERS, Level, OF_MAKING, SUB_RESOURCES};
use super::{check, parameters};
use crate::s3::error::{Code, Failure};
use crate::s3::target::Target;
use http::{HeaderMap, HeaderName, HeaderValue, Method};

fn target(level: Level) -> Target {
    match level {
        Level::Service => Target::Service,
        Level::Bucket => Target::Bucket {
            bucket: "bucket".into(),
        },
        Level::Object => Target::Object {
            bucket: "bucket".into(),
            key: "key".into(),
        },
    }
}

fn ask(method: &str, level: Level, query: &str) -> Result<(), Failure> {
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    check(&method, &target(level), &parameters(Some(query)), &HeaderMap::new())
}

fn code(answer: Result<(), Failure>) -> Option<Code> {
    answer.err().map(|failure| failure.code)
}

#[test]
fn every_sub_resource_is_served_by_its_methods_and_by_no_other() {
    for known in SUB_RESOURCES {
        for method in ["GET", "HEAD", "PUT", "POST", "DELETE"] {
            let served = known.methods.contains(&method);
            let query = if known.name == "uploadId" {
                "uploadId=x&partNumber=1".to_owned()
            } else {
                known.name.to_owned()
            };
            let answer = code(ask(method, known.level, &query));
            let expected = if served { None } else { Some(Code::NOT_IMPLEMENTED) };
            assert_eq!(answer, expected, "{method} ?{} on {:?}", known.name, known.level);
        }
    }
}

#[test]
fn an_unknown_sub_resource_never_passes_as_a_plain_operation() {
    for level in [Level::Bucket, Level::Object] {
        for query in ["frobnicate", "frobnicate=", "fresh-Feature"] {
            for method in ["GET", "HEAD", "PUT", "DELETE"] {
                assert_eq!(
                    code(ask(method, level, query)),
                    Some(Code::NOT_IMPLEMENTED),
                    "{method} ?{query}"
                );
            }
            assert_eq!(code(ask("POST", level, query)), Some(Code::METHOD_NOT_ALLOWED));
        }
        for method in ["PUT", "DELETE"] {
            assert_eq!(
                code(ask(method, level, "colour=red")),
                Some(Code::NOT_IMPLEMENTED),
                "{method}"
            );
        }
    }
    assert_eq!(
        code(ask("GET", Level::Service, "frobnicate")),
        Some(Code::NOT_IMPLEMENTED)
    );
    assert_eq!(code(ask("GET", Level::Object, "cors=1")), Some(Code::NOT_IMPLEMENTED));
    assert_eq!(code(ask("PUT", Level::Object, "policy")), Some(Code::NOT_IMPLEMENTED));
}

#[test]
fn cache_busters_on_reads_are_ignored_as_by_aws() {
    for query in [
        "v=3",
        "20240101",
        "_=1700000000",
        "response-content-type=a%2Fb&x-id=GetObject",
    ] {
        assert_eq!(code(ask("GET", Level::Object, query)), None, "{query}");
    }
}

#[test]
fn every_header_that_asks_for_something_unbuilt_is_refused_on_every_write() {
    for rule in HEADERS {
        let name = if rule.name.ends_with('-') {
            format!("{}something", rule.name)
        } else {
            rule.name.to_owned()
        };
        let asking: Vec<&str> = match rule.asks {
            Asks::Unless(_) => vec!["something", ""],
            Asks::When(values) => values.to_vec(),
        };
        for value in asking {
            for level in rule.levels {
                for (method, query) in [
                    ("PUT", ""),
                    ("DELETE", ""),
                    ("PUT", "partNumber=1&uploadId=x"),
                    ("POST", "uploads"),
                    ("POST", "delete"),
                ] {
                    let plain = ask(method, *level, query).is_ok();
                    let mut headers = HeaderMap::new();
                    headers.insert(
                        HeaderName::try_from(name.as_str()).unwrap(),
                        HeaderValue::from_str(value).unwrap(),
                    );
                    let method = Method::from_bytes(method.as_bytes()).unwrap();
                    let answer = code(check(&method, &target(*level), &parameters(Some(query)), &headers));
                    if plain {
                        assert_eq!(
                            answer,
                            Some(Code::NOT_IMPLEMENTED),
                            "{method} ?{query} with {name}: {value}"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn values_that_ask_for_nothing_pass() {
    let harmless = [
        ("x-amz-acl", "private"),
        ("x-amz-acl", "bucket-owner-full-control"),
        ("x-amz-bucket-object-lock-enabled", "False"),
        ("x-amz-tagging-directive", "COPY"),
        ("x-amz-storage-class", "STANDARD"),
        ("x-amz-sdk-checksum-algorithm", "CRC32"),
        ("x-amz-meta-grant-read", "x"),
        ("x-amz-request-payer", "requester"),
    ];
    for (name, value) in harmless {
        let headers = HeaderMap::from_iter([(HeaderName::from_static(name), HeaderValue::from_static(value))]);
        assert_eq!(
            code(check(&Method::PUT, &target(Level::Object), &[], &headers)),
            None,
            "{name}: {value}"
        );
    }
}

#[test]
fn what_matters_only_to_what_is_made_is_not_lost_in_another_write() {
    for rule in OF_MAKING {
        let name = HeaderName::from_static(rule.name);
        let headers = HeaderMap::from_iter([(name, HeaderValue::from_static("public-read"))]);
        for (method, query, taken) in [
            (Method::PUT, "", true),
            (Method::POST, "uploads", true),
            (Method::PUT, "acl", true),
            (Method::PUT, "tagging", false),
            (Method::PUT, "partNumber=1&uploadId=x", false),
            (Method::POST, "uploadId=x", false),
            (Method::DELETE, "", false),
        ] {
            if rule.name == "x-amz-object-ownership" && taken {
                continue;
            }
            let answer = code(check(
                &method,
                &target(Level::Object),
                &parameters(Some(query)),
                &headers,
            ));
            let expected = if taken { None } else { Some(Code::NOT_IMPLEMENTED) };
            assert_eq!(answer, expected, "{}: {method} ?{query}", rule.name);
        }
    }
}

#[test]
fn keys_of_a_customer_do_not_fit_objects_that_are_not_encrypted() {
    let name = HeaderName::from_static("x-amz-server-side-encryption-customer-algorithm");
    let headers = HeaderMap::from_iter([(name, HeaderValue::from_static("AES256"))]);
    for method in [Method::GET, Method::HEAD] {
        assert_eq!(
            code(check(&method, &target(Level::Object), &[], &headers)),
            Some(Code::INVALID_REQUEST)
        );
    }
}

#[test]
fn half_of_a_part_upload_never_becomes_an_object() {
    for query in ["partNumber=1", "uploadId=x", "versionId=null"] {
        assert_eq!(
            code(ask("PUT", Level::Object, query)),
            Some(Code::INVALID_ARGUMENT),
            "{query}"
        );
    }
    assert_eq!(
        code(ask("GET", Level::Bucket, "list-type=3")),
        Some(Code::INVALID_ARGUMENT)
    );
}

#[test]
fn methods_that_s3_does_not_have_are_refused() {
    for (method, level) in [
        ("PATCH", Level::Object),
        ("PUT", Level::Service),
        ("DELETE", Level::Service),
        ("HEAD", Level::Service),
        ("POST", Level::Service),
        ("POST", Level::Bucket),
        ("TRACE", Level::Object),
    ] {
        assert_eq!(
            code(ask(method, level, "")),
            Some(Code::METHOD_NOT_ALLOWED),
            "{method} {level:?}"
        );
    }
    assert_eq!(code(ask("OPTIONS", Level::Object, "")), Some(Code::BAD_REQUEST));
}
