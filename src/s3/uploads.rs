//! Requests with a credential that only uploads: held to the steps of an upload. Pure.
//!
//! Owns which requests these are and which keys they may name. Whether something stands there already is `access`'s to judge,
//! and whether somebody announced it the front's.

use http::{HeaderMap, Method};

use super::error::{Code, Failure};
use super::guard::Parameter;
use super::target::Target;
use crate::auth::UploadTerms;
use crate::media::check_key;

/// What a write says of an object beside its bytes, or brings from elsewhere: no page says that.
const NEVER: [&str; 4] = [
    "x-amz-acl",
    "x-amz-copy-source",
    "x-amz-tagging",
    "x-amz-tagging-directive",
];

/// Where an upload goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place<'a> {
    pub(crate) bucket: &'a str,
    pub(crate) key: &'a str,
}

/// Refuses every request but the steps of an upload into the bucket that the credential is for.
pub(crate) fn admit<'a>(
    terms: &UploadTerms,
    (method, target): (&Method, &'a Target),
    query: &[Parameter],
    headers: &HeaderMap,
) -> Result<Place<'a>, Failure> {
    let refused = || Failure::because(Code::ACCESS_DENIED, "This credential is for uploading new files alone.");
    let (bucket, key) = match target {
        Target::Object { bucket, key } if *bucket == terms.bucket => (bucket, key),
        Target::Object { .. } | Target::Bucket { .. } | Target::Service => return Err(refused()),
    };
    let is_said = |name: &&str| headers.contains_key(*name);
    if !is_step(method, query) || NEVER.iter().any(is_said) {
        return Err(refused());
    }
    check_key(key).map_err(|error| Failure::argument(error.to_string()))?;
    Ok(Place { bucket, key })
}

fn is_step(method: &Method, query: &[Parameter]) -> bool {
    let mut names: Vec<&str> = query.iter().map(|(name, _)| name.as_str()).collect();
    // What SDKs say of which operation they mean.
    names.retain(|name| *name != "x-id");
    names.sort_unstable();
    match *method {
        Method::PUT => matches!(names.as_slice(), [] | ["partNumber", "uploadId"]),
        Method::POST => matches!(names.as_slice(), ["uploadId"] | ["uploads"]),
        Method::DELETE => names == ["uploadId"],
        Method::GET => {
            names.retain(|name| !["max-parts", "part-number-marker"].contains(name));
            names == ["uploadId"]
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue, Method};
    use time::OffsetDateTime;

    use super::{Place, Target, UploadTerms, admit};
    use crate::s3::guard::parameters;

    fn admitted(method: &str, target: &Target, query: &str, headers: &[(&'static str, &'static str)]) -> bool {
        let terms = UploadTerms {
            bucket: "shop-dev".into(),
            expires: OffsetDateTime::UNIX_EPOCH,
            of_user: true,
        };
        let headers = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        let headers: HeaderMap = headers.collect();
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let place = admit(&terms, (&method, target), &parameters(Some(query)), &headers);
        place.is_ok_and(|place| {
            let expected = Place {
                bucket: "shop-dev",
                key: "a/b.png",
            };
            assert_eq!(place, expected);
            true
        })
    }

    fn object(bucket: &str, key: &str) -> Target {
        Target::Object {
            bucket: bucket.into(),
            key: key.into(),
        }
    }

    #[test]
    fn the_steps_of_an_upload_are_admitted_and_nothing_else() {
        let here = object("shop-dev", "a/b.png");
        let steps = [
            ("PUT", ""),
            ("PUT", "x-id=PutObject"),
            ("PUT", "partNumber=1&uploadId=u&x-id=UploadPart"),
            ("POST", "uploads"),
            ("POST", "uploadId=u"),
            ("GET", "uploadId=u"),
            ("GET", "uploadId=u&max-parts=2&part-number-marker=1"),
            ("DELETE", "uploadId=u"),
        ];
        for (method, query) in steps {
            assert!(admitted(method, &here, query, &[]), "{method} {query}");
            for other in [
                object("shop-prod", "a/b.png"),
                Target::Bucket {
                    bucket: "shop-dev".into(),
                },
                Target::Service,
                object("shop-dev", "a/../b.png"),
                object("shop-dev", "a//b.png"),
            ] {
                assert!(!admitted(method, &other, query, &[]), "{method} {query} {other:?}");
            }
            for header in [
                ("x-amz-acl", "private"),
                ("x-amz-acl", "public-read"),
                ("x-amz-copy-source", "/shop-dev/other"),
                ("x-amz-tagging", "a=b"),
                ("x-amz-tagging-directive", "REPLACE"),
            ] {
                assert!(
                    !admitted(method, &here, query, &[header]),
                    "{method} {query} {header:?}"
                );
            }
        }
        for (method, query) in [
            ("GET", ""),
            ("HEAD", ""),
            ("HEAD", "uploadId=u"),
            ("DELETE", ""),
            ("DELETE", "versionId=null"),
            ("PUT", "tagging"),
            ("PUT", "acl"),
            ("PUT", "uploadId=u"),
            ("PUT", "drystone-share=x"),
            ("POST", ""),
            ("POST", "delete"),
            ("POST", "uploads&uploadId=u"),
            ("GET", "uploads"),
            ("GET", "attributes"),
            ("GET", "uploadId=u&versionId=null"),
            ("OPTIONS", ""),
        ] {
            assert!(!admitted(method, &here, query, &[]), "{method} {query}");
        }
    }
}
