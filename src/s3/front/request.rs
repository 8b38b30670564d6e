//! What an S3 request says for the conditions of policies: its connection, its signature, its query and its headers.
//!
//! Each header feeds the one key that is named after it. Where a request comes from and whether it is encrypted is the
//! listener's word.

use http::request::Parts;
use percent_encoding::percent_decode_str;
use storage_engine::limits::OBJECT_TAGS_MAX;
use storage_engine::store::tags::TagError;
use time::OffsetDateTime;

use crate::access::{RequestFacts, link_hash};
use crate::auth::{Payload, PayloadMode};
use crate::s3::error::Failure;
use crate::s3::guard::Parameter;

/// Query parameters and the condition keys they feed.
const PARAMETERS: &[(&str, &str)] = &[
    ("delimiter", "s3:delimiter"),
    ("max-keys", "s3:max-keys"),
    ("prefix", "s3:prefix"),
    ("versionId", "s3:versionid"),
];

/// The query parameter that brings the token of a link.
pub(crate) const LINK: &str = "drystone-share";

/// Headers and the condition keys they feed.
const HEADERS: &[(&str, &str)] = &[
    ("x-amz-acl", "s3:x-amz-acl"),
    ("x-amz-grant-full-control", "s3:x-amz-grant-full-control"),
    ("x-amz-grant-read", "s3:x-amz-grant-read"),
    ("x-amz-grant-read-acp", "s3:x-amz-grant-read-acp"),
    ("x-amz-grant-write", "s3:x-amz-grant-write"),
    ("x-amz-grant-write-acp", "s3:x-amz-grant-write-acp"),
    ("x-amz-metadata-directive", "s3:x-amz-metadata-directive"),
    ("x-amz-object-lock-legal-hold", "s3:object-lock-legal-hold"),
    ("x-amz-object-lock-mode", "s3:object-lock-mode"),
    (
        "x-amz-object-lock-retain-until-date",
        "s3:object-lock-retain-until-date",
    ),
    ("x-amz-object-ownership", "s3:x-amz-object-ownership"),
    ("x-amz-server-side-encryption", "s3:x-amz-server-side-encryption"),
    (
        "x-amz-server-side-encryption-aws-kms-key-id",
        "s3:x-amz-server-side-encryption-aws-kms-key-id",
    ),
    (
        "x-amz-server-side-encryption-customer-algorithm",
        "s3:x-amz-server-side-encryption-customer-algorithm",
    ),
    ("x-amz-storage-class", "s3:x-amz-storage-class"),
    ("x-amz-website-redirect-location", "s3:x-amz-website-redirect-location"),
];

/// Reads them of a request whose query was decoded.
pub(crate) fn facts(parts: &Parts, query: &[Parameter], now: OffsetDateTime) -> Result<RequestFacts, Failure> {
    let mut facts = RequestFacts::read(&parts.extensions, &parts.headers, now);
    for (name, value) in query {
        if let Some((_, key)) = PARAMETERS.iter().find(|(known, _)| known == name) {
            // Which of two was meant, a policy could take otherwise than who answers.
            if facts.has_said(key) {
                return Err(Failure::argument(format!(
                    "The parameter {name} is there more than once."
                )));
            }
            facts.say(*key, value);
        }
        if name == LINK && facts.link.is_none() {
            facts.link = link_hash(value);
        }
    }
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    for (header, key) in HEADERS.iter().copied() {
        for value in parts.headers.get_all(header) {
            facts.say(key, text(value));
        }
    }
    for source in parts.headers.get_all("x-amz-copy-source") {
        say_copy_source(&mut facts, &text(source));
    }
    for tags in parts.headers.get_all("x-amz-tagging") {
        say_tags(&mut facts, &text(tags))?;
    }
    if let (Some(payload), Some(_)) = (parts.extensions.get::<Payload>(), &facts.signing) {
        facts.say("s3:x-amz-content-sha256", content_sha256(&payload.mode));
    }
    Ok(facts)
}

/// Policies write it with and without the leading slash.
fn say_copy_source(facts: &mut RequestFacts, source: &str) {
    let source = source.split_once("?versionId=").map_or(source, |(source, _)| source);
    let source = percent_decode_str(source).decode_utf8_lossy();
    let bare = source.strip_prefix('/').unwrap_or(&source);
    facts.say("s3:x-amz-copy-source", bare);
    facts.say("s3:x-amz-copy-source", format!("/{bare}"));
}

/// The tags a request sets, written as a query. No object takes more than some, and the rest would only cost time.
fn say_tags(facts: &mut RequestFacts, text: &str) -> Result<(), Failure> {
    let count = text.split('&').filter(|pair| !pair.is_empty()).count();
    if count > OBJECT_TAGS_MAX {
        let max = OBJECT_TAGS_MAX;
        return Err(TagError::TooMany { count, max }.into());
    }
    for (key, value) in crate::s3::guard::parameters(Some(text)) {
        facts.say(format!("s3:requestobjecttag/{key}"), value);
        facts.say("s3:requestobjecttagkeys", key);
    }
    Ok(())
}

fn content_sha256(mode: &PayloadMode) -> String {
    match mode {
        PayloadMode::SignedBody(hash) => hex_simd::encode_to_string(hash, hex_simd::AsciiCase::Lower),
        PayloadMode::Unsigned => "UNSIGNED-PAYLOAD".to_owned(),
        PayloadMode::StreamingSigned => "STREAMING-AWS4-HMAC-SHA256-PAYLOAD".to_owned(),
        PayloadMode::StreamingSignedTrailer => "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER".to_owned(),
        PayloadMode::StreamingUnsignedTrailer => "STREAMING-UNSIGNED-PAYLOAD-TRAILER".to_owned(),
    }
}
