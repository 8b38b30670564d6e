//! Request bodies: XML documents read whole, object data streamed; and what their errors mean.
//!
//! Owns the limit of a document, its digests, and the translation of a failed body into an S3 error. It never keeps
//! object data.

use std::error::Error;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Method};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use md5::{Digest, Md5};
use quick_xml::events::Event;

use super::convert::{declared_checksum, decode_md5};
use super::error::{Code, Failure};
use super::guard::Parameter;
use super::target::Target;
use crate::auth::{BodyError, Payload};
use crate::http::body::BoxError;
use crate::intake::Refused;

/// Largest XML document of a request, in bytes: DeleteObjects with 1,000 long keys stays below it.
pub(crate) const XML_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Whether the body of this request is a document (the guard has refused all others that would be).
pub(crate) fn is_document(method: &Method, target: &Target, query: &[Parameter]) -> bool {
    let about_object = query.iter().any(|(name, _)| name == "acl" || name == "tagging");
    method == Method::POST || (method == Method::PUT && (about_object || matches!(target, Target::Bucket { .. })))
}

/// The elements that a document of a PUT may hold, by its sub-resource.
fn elements(query: &[Parameter]) -> Option<&'static [&'static str]> {
    let find = |(name, _): &Parameter| match name.as_str() {
        // Judged as a whole: any list of grants is refused. A policy is no XML.
        "acl" | "policy" => Some(None),
        "cors" => Some(Some(CORS)),
        "ownershipControls" => Some(Some(OWNERSHIP)),
        "publicAccessBlock" => Some(Some(BLOCK)),
        "tagging" => Some(Some(TAGGING)),
        _ => None,
    };
    query.iter().find_map(find).unwrap_or(Some(CREATE_BUCKET))
}

const CREATE_BUCKET: &[&str] = &["CreateBucketConfiguration", "LocationConstraint"];
const TAGGING: &[&str] = &["Tagging", "TagSet", "Tag", "Key", "Value"];
const BLOCK: &[&str] = &[
    "PublicAccessBlockConfiguration",
    "BlockPublicAcls",
    "IgnorePublicAcls",
    "BlockPublicPolicy",
    "RestrictPublicBuckets",
];
const OWNERSHIP: &[&str] = &["OwnershipControls", "Rule", "ObjectOwnership"];
const CORS: &[&str] = &[
    "CORSConfiguration",
    "CORSRule",
    "ID",
    "AllowedOrigin",
    "AllowedMethod",
    "AllowedHeader",
    "ExposeHeader",
    "MaxAgeSeconds",
];

/// Reads a document whole and verifies every digest that was declared for it. A checksum sent with a document about an
/// object is the object's, not the document's.
pub(crate) async fn document<B>(parts: &Parts, target: &Target, query: &[Parameter], body: B) -> Result<Bytes, Failure>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let limited = Limited::new(body, XML_BYTES_MAX);
    let bytes = limited.collect().await.map_err(|error| failed(&*error))?.to_bytes();
    if let Some(declared) = parts.headers.get("content-md5") {
        let declared = declared
            .to_str()
            .ok()
            .and_then(decode_md5)
            .ok_or(Code::INVALID_DIGEST)?;
        if Md5::digest(&bytes).as_slice() != declared {
            return Err(Code::BAD_DIGEST.into());
        }
    }
    if let (&Method::PUT, Some(elements)) = (&parts.method, elements(query)) {
        check_elements(&bytes, elements)?;
    }
    if parts.method == Method::POST && matches!(target, Target::Object { .. }) {
        return Ok(bytes);
    }
    let trailers = parts
        .extensions
        .get::<Payload>()
        .and_then(|payload| payload.trailers.received());
    let no_trailers = HeaderMap::new();
    for headers in [&parts.headers, trailers.unwrap_or(&no_trailers)] {
        if declared_checksum(headers)?.is_some_and(|declared| declared.algorithm().of(&bytes) != declared) {
            return Err(Code::BAD_DIGEST.into());
        }
    }
    Ok(bytes)
}

/// A field of a document that is not built must not be skipped in silence, as the XML reader would.
fn check_elements(document: &[u8], elements: &[&str]) -> Result<(), Failure> {
    let mut reader = quick_xml::Reader::from_reader(document);
    loop {
        let tag = match reader.read_event() {
            Ok(Event::Start(tag) | Event::Empty(tag)) => tag,
            Ok(Event::Eof) => return Ok(()),
            Ok(_) => continue,
            Err(_) => return Err(Code::MALFORMED_XML.into()),
        };
        match tag.local_name().as_ref() {
            known if elements.iter().any(|element| element.as_bytes() == known) => {}
            b"Tags" => return Err(Failure::not_built("tagging a new bucket")),
            b"Location" | b"Bucket" => return Err(Failure::not_built("a directory bucket")),
            _ => return Err(Code::MALFORMED_XML.into()),
        }
    }
}

/// What went wrong with a body, as an S3 error.
pub(crate) fn failed(error: &(dyn Error + 'static)) -> Failure {
    if error.is::<LengthLimitError>() {
        return Code::MAX_MESSAGE_LENGTH.into();
    }
    if let Some(refused) = Refused::find(error) {
        return refused.clone().into();
    }
    match BodyError::find(error) {
        Some(found) => {
            let code = Code::ALL.iter().find(|known| known.name == found.code());
            Failure::because(code.copied().unwrap_or(Code::INCOMPLETE_BODY), found.to_string())
        }
        None => Code::INCOMPLETE_BODY.into(),
    }
}
