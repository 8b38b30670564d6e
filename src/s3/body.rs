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
use super::target::Target;
use crate::auth::{BodyError, Payload};
use crate::http::body::BoxError;

/// Largest XML document of a request, in bytes: DeleteObjects with 1,000 long keys stays below it.
pub(crate) const XML_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Whether the body of this request is an XML document (the guard has refused all others that would be).
pub(crate) fn is_document(method: &Method, target: &Target) -> bool {
    method == Method::POST || (method == Method::PUT && matches!(target, Target::Bucket { .. }))
}

/// Reads a document whole and verifies every digest that was declared for it. A checksum sent with a document about an
/// object is the object's, not the document's.
pub(crate) async fn document<B>(parts: &Parts, target: &Target, body: B) -> Result<Bytes, Failure>
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
    if parts.method == Method::PUT {
        check_bucket_configuration(&bytes)?;
    }
    if matches!(target, Target::Object { .. }) {
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
fn check_bucket_configuration(document: &[u8]) -> Result<(), Failure> {
    let mut reader = quick_xml::Reader::from_reader(document);
    loop {
        let tag = match reader.read_event() {
            Ok(Event::Start(tag) | Event::Empty(tag)) => tag,
            Ok(Event::Eof) => return Ok(()),
            Ok(_) => continue,
            Err(_) => return Err(Code::MALFORMED_XML.into()),
        };
        match tag.local_name().as_ref() {
            b"CreateBucketConfiguration" | b"LocationConstraint" => {}
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
    match BodyError::find(error) {
        Some(found) => {
            let code = Code::ALL.iter().find(|known| known.name == found.code());
            Failure::because(code.copied().unwrap_or(Code::INCOMPLETE_BODY), found.to_string())
        }
        None => Code::INCOMPLETE_BODY.into(),
    }
}
