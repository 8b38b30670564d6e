//! The S3 error vocabulary and the one place that writes an error response.
//!
//! Handlers raise a [`Failure`]; what s3s raises itself (routing, XML, header syntax) passes through here too, so every
//! error leaves with the same fields: code, message, resource, request id, host id. It never decides what went wrong.

use std::borrow::Cow;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use http::{HeaderMap, Method, Response, StatusCode};
use s3s::{Body, S3Error, S3ErrorCode};
use storage_engine::store::condition::WriteRefused;
use storage_engine::store::error::Fault;

use super::target::Target;
use crate::facts::LookError;

/// An S3 error code with its status and the message used when nothing more exact is known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Code {
    pub(crate) name: &'static str,
    pub(crate) status: u16,
    pub(crate) message: &'static str,
}

impl PartialEq for Code {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

macro_rules! codes {
    ($($ident:ident = $name:literal, $status:literal, $message:literal;)*) => {
        impl Code {
            $(pub(crate) const $ident: Code = Code { name: $name, status: $status, message: $message };)*
            /// Every code this front can answer.
            pub(crate) const ALL: &[Code] = &[$(Code::$ident),*];
        }
    };
}

codes! {
    ACCESS_DENIED = "AccessDenied", 403, "Access Denied.";
    ACCESS_FORBIDDEN = "AccessForbidden", 403, "CORSResponse: This CORS request is not allowed. No CORS rule allows its Origin, Access-Control-Request-Method and Access-Control-Request-Headers.";
    ACL_NOT_SUPPORTED = "AccessControlListNotSupported", 400, "The bucket does not allow ACLs.";
    BAD_DIGEST = "BadDigest", 400, "The Content-MD5 or checksum value that you specified did not match what the server received.";
    BAD_REQUEST = "BadRequest", 400, "Insufficient information. Origin and Access-Control-Request-Method request headers needed.";
    BUCKET_ALREADY_EXISTS = "BucketAlreadyExists", 409, "The requested bucket name is not available.";
    BUCKET_ALREADY_OWNED = "BucketAlreadyOwnedByYou", 409, "Your previous request to create the named bucket succeeded and you already own it.";
    BUCKET_NOT_EMPTY = "BucketNotEmpty", 409, "The bucket you tried to delete is not empty.";
    CONDITIONAL_CONFLICT = "ConditionalRequestConflict", 409, "A conflicting conditional operation is in progress against this resource. Try again.";
    ENTITY_TOO_LARGE = "EntityTooLarge", 400, "Your proposed upload exceeds the maximum allowed object size.";
    ENTITY_TOO_SMALL = "EntityTooSmall", 400, "Your proposed upload is smaller than the minimum allowed object size.";
    ILLEGAL_LOCATION = "IllegalLocationConstraintException", 400, "The location constraint does not match the region of this endpoint.";
    INCOMPLETE_BODY = "IncompleteBody", 400, "You did not provide the number of bytes specified by the Content-Length HTTP header.";
    INVALID_ACL_WITH_OWNERSHIP = "InvalidBucketAclWithObjectOwnership", 400, "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting";
    INTERNAL_ERROR = "InternalError", 500, "We encountered an internal error. Please try again.";
    INVALID_ARGUMENT = "InvalidArgument", 400, "Invalid Argument.";
    INVALID_BUCKET_NAME = "InvalidBucketName", 400, "The specified bucket is not valid.";
    INVALID_CHUNK_SIZE = "InvalidChunkSizeError", 400, "A chunk of the body has an invalid size.";
    INVALID_DIGEST = "InvalidDigest", 400, "The Content-MD5 you specified is not valid.";
    INVALID_LOCATION = "InvalidLocationConstraint", 400, "The specified location constraint is not valid.";
    INVALID_PART = "InvalidPart", 400, "One or more of the specified parts could not be found. The part may not have been uploaded, or the specified entity tag may not match the part's entity tag.";
    INVALID_PART_NUMBER = "InvalidPartNumber", 416, "The requested partnumber is not satisfiable.";
    INVALID_PART_ORDER = "InvalidPartOrder", 400, "The list of parts was not in ascending order. The parts list must be specified in order by part number.";
    INVALID_POLICY_DOCUMENT = "InvalidPolicyDocument", 400, "The content of the form does not meet the conditions specified in the policy document.";
    INVALID_RANGE = "InvalidRange", 416, "The requested range is not satisfiable.";
    INVALID_REQUEST = "InvalidRequest", 400, "Invalid Request.";
    INVALID_STORAGE_CLASS = "InvalidStorageClass", 400, "The storage class you specified is not valid.";
    INVALID_TAG = "InvalidTag", 400, "The tag provided was not a valid tag.";
    INVALID_URI = "InvalidURI", 400, "Could not parse the specified URI.";
    KEY_TOO_LONG = "KeyTooLongError", 400, "Your key is too long.";
    MALFORMED_POLICY = "MalformedPolicy", 400, "The policy is not valid.";
    MALFORMED_POST = "MalformedPOSTRequest", 400, "The body of your POST request is not well-formed multipart/form-data.";
    MALFORMED_XML = "MalformedXML", 400, "The XML you provided was not well-formed or did not validate against our published schema.";
    MALFORMED_TRAILER = "MalformedTrailerError", 400, "The request contained trailing data that was not well-formed or did not conform to our published schema.";
    MAX_MESSAGE_LENGTH = "MaxMessageLengthExceeded", 400, "Your request was too large.";
    MAX_POST_PRE_DATA = "MaxPostPreDataLengthExceededError", 400, "Your POST request fields preceding the upload file were too large.";
    METADATA_TOO_LARGE = "MetadataTooLarge", 400, "Your metadata headers exceed the maximum allowed metadata size.";
    METHOD_NOT_ALLOWED = "MethodNotAllowed", 405, "The specified method is not allowed against this resource.";
    MISSING_CONTENT_LENGTH = "MissingContentLength", 411, "You must provide the Content-Length HTTP header.";
    MISSING_REQUEST_BODY = "MissingRequestBodyError", 400, "Request body is empty.";
    MISSING_SECURITY_HEADER = "MissingSecurityHeader", 400, "Your request is missing a required header.";
    NOT_IMPLEMENTED = "NotImplemented", 501, "A header or query you provided implies functionality that is not implemented.";
    NOT_MODIFIED = "NotModified", 304, "Not Modified";
    NO_SUCH_BUCKET = "NoSuchBucket", 404, "The specified bucket does not exist.";
    NO_SUCH_BUCKET_POLICY = "NoSuchBucketPolicy", 404, "The bucket policy does not exist.";
    NO_SUCH_CONFIGURATION = "NoSuchConfiguration", 404, "The specified configuration does not exist.";
    NO_SUCH_CORS = "NoSuchCORSConfiguration", 404, "The CORS configuration does not exist.";
    NO_SUCH_KEY = "NoSuchKey", 404, "The specified key does not exist.";
    NO_SUCH_LIFECYCLE = "NoSuchLifecycleConfiguration", 404, "The lifecycle configuration does not exist.";
    NO_SUCH_PUBLIC_ACCESS_BLOCK = "NoSuchPublicAccessBlockConfiguration", 404, "The public access block configuration was not found.";
    NO_SUCH_TAG_SET = "NoSuchTagSet", 404, "The TagSet does not exist.";
    NO_SUCH_UPLOAD = "NoSuchUpload", 404, "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed.";
    NO_SUCH_VERSION = "NoSuchVersion", 404, "The specified version does not exist.";
    NO_SUCH_WEBSITE = "NoSuchWebsiteConfiguration", 404, "The specified bucket does not have a website configuration.";
    OBJECT_LOCK_NOT_FOUND = "ObjectLockConfigurationNotFoundError", 404, "Object Lock configuration does not exist for this bucket.";
    OPERATION_ABORTED = "OperationAborted", 409, "A conflicting operation is in progress against this resource. Try again.";
    OWNERSHIP_CONTROLS_NOT_FOUND = "OwnershipControlsNotFoundError", 404, "The bucket ownership controls were not found.";
    PRECONDITION_FAILED = "PreconditionFailed", 412, "At least one of the pre-conditions you specified did not hold.";
    QUOTA_EXCEEDED = "XMinioAdminBucketQuotaExceeded", 400, "Bucket quota exceeded";
    REPLICATION_NOT_FOUND = "ReplicationConfigurationNotFoundError", 404, "The replication configuration was not found.";
    REQUEST_TIMEOUT = "RequestTimeout", 400, "Your socket connection to the server was not read from or written to within the timeout period.";
    SERVICE_UNAVAILABLE = "ServiceUnavailable", 503, "Service is unable to handle the request. Please retry.";
    SIGNATURE_DOES_NOT_MATCH = "SignatureDoesNotMatch", 403, "The request signature we calculated does not match the signature you provided.";
    SLOW_DOWN = "SlowDown", 503, "Please reduce your request rate.";
    SSE_NOT_FOUND = "ServerSideEncryptionConfigurationNotFoundError", 404, "The server side encryption configuration was not found.";
    STORAGE_FULL = "XMinioStorageFull", 507, "The drives are full but for a reserve that deleting needs. Delete objects, or give the store more space.";
    TOO_MANY_BUCKETS = "TooManyBuckets", 400, "You have attempted to create more buckets than allowed.";
    SHA256_MISMATCH = "XAmzContentSHA256Mismatch", 400, "The provided 'x-amz-content-sha256' header does not match what was computed.";
}

/// A refused or failed request, as the client will see it.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) code: Code,
    message: Option<Cow<'static, str>>,
    headers: Option<Box<HeaderMap>>,
}

/// Seconds a client is asked to wait before it tries again.
const RETRY_AFTER_SECONDS: u64 = 5;

/// Carries elements of the error document past s3s, which keeps an error's headers and nothing else of it. Taken off
/// again by [`finish`].
const FIELD: HeaderName = HeaderName::from_static("x-drystone-error-field");

impl Failure {
    pub(crate) fn new(code: Code) -> Self {
        let failure = Self {
            code,
            message: None,
            headers: None,
        };
        if code.status == 503 {
            return failure.with_header(RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECONDS));
        }
        failure
    }

    pub(crate) fn because(code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            message: Some(message.into()),
            ..Self::new(code)
        }
    }

    /// What asks for a feature that is not built; `what` names it.
    pub(crate) fn not_built(what: &str) -> Self {
        Self::because(
            Code::NOT_IMPLEMENTED,
            format!("{what} is not implemented by this server; nothing was stored."),
        )
    }

    pub(crate) fn argument(message: impl Into<Cow<'static, str>>) -> Self {
        Self::because(Code::INVALID_ARGUMENT, message)
    }

    pub(crate) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.get_or_insert_default().insert(name, value);
        self
    }

    /// One more element of the error document, behind the message.
    pub(crate) fn with_field(mut self, name: &str, value: impl std::fmt::Display) -> Self {
        if let Ok(field) = HeaderValue::try_from(format!("{name}={value}")) {
            self.headers.get_or_insert_default().append(FIELD, field);
        }
        self
    }

    /// What the client is told in words.
    pub(crate) fn message(&self) -> &str {
        self.message.as_deref().unwrap_or(self.code.message)
    }

    /// The response for a request that s3s never saw.
    pub(crate) fn into_response(self) -> Response<Body> {
        let mut response = Response::new(Body::from(bare_xml(self.code.name, self.message())));
        *response.status_mut() = status(self.code.status);
        *response.headers_mut() = self.headers.map(|headers| *headers).unwrap_or_default();
        response
    }
}

impl From<Code> for Failure {
    fn from(code: Code) -> Self {
        Self::new(code)
    }
}

impl From<LookError> for Failure {
    fn from(error: LookError) -> Self {
        match error {
            LookError::Changing => Code::OPERATION_ABORTED.into(),
            LookError::Fault(fault) => fault.into(),
        }
    }
}

/// What the store could not do, through no fault of the request. The reason goes to the log: it may name drives.
impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        match &fault {
            Fault::Full(_) => {
                tracing::warn!(%fault, "a write was refused");
                Code::STORAGE_FULL.into()
            }
            Fault::Unavailable(_) => {
                tracing::warn!(%fault, "the store is unavailable");
                // The code is the one SDKs wait and try again for; the words are for the person who reads them.
                let message = "The store cannot do this at the moment: it is read-only, or too few drives can be \
                               reached. The server's log has the reason. Please try again later.";
                Failure::because(Code::SLOW_DOWN, message)
            }
            Fault::Unknown(_) => {
                tracing::error!(%fault, "the outcome of a write is unknown");
                let message = "The outcome of this write is not known yet. Please check and retry.";
                Failure::because(Code::SERVICE_UNAVAILABLE, message)
            }
            Fault::Corrupt(_) | Fault::Internal(_) => {
                tracing::error!(%fault, "the store failed");
                Code::INTERNAL_ERROR.into()
            }
        }
    }
}

/// A conditional write that was refused.
impl From<WriteRefused> for Failure {
    fn from(refused: WriteRefused) -> Self {
        match refused {
            WriteRefused::PreconditionFailed(_) => Code::PRECONDITION_FAILED.into(),
            WriteRefused::NoSuchKey => Code::NO_SUCH_KEY.into(),
            WriteRefused::Conflict => Code::CONDITIONAL_CONFLICT.into(),
        }
    }
}

impl From<Failure> for S3Error {
    fn from(failure: Failure) -> Self {
        let code = S3ErrorCode::from_bytes(failure.code.name.as_bytes()).unwrap_or(S3ErrorCode::InternalError);
        let mut error = S3Error::with_message(code, failure.message.unwrap_or(Cow::Borrowed(failure.code.message)));
        error.set_status_code(status(failure.code.status));
        if let Some(headers) = failure.headers {
            error.set_headers(*headers);
        }
        error
    }
}

fn status(code: u16) -> StatusCode {
    StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

fn bare_xml(code: &str, message: &str) -> String {
    format!(
        "<Error><Code>{code}</Code><Message>{}</Message></Error>",
        quick_xml::escape::partial_escape(message)
    )
}

/// The names a finished error carries besides its code.
pub(crate) struct Circumstances<'a> {
    pub(crate) method: &'a Method,
    pub(crate) target: Option<&'a Target>,
    pub(crate) resource: &'a str,
    pub(crate) request_id: &'a str,
    pub(crate) host_id: &'a str,
}

/// Completes an error response: full XML for a body, headers alone for HEAD and 304.
pub(crate) fn finish(response: &mut Response<Body>, about: &Circumstances<'_>) {
    let bytes = response.body().bytes().unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let code = element(&text, "Code").unwrap_or(Cow::Borrowed(Code::INTERNAL_ERROR.name));
    let known = Code::ALL.iter().find(|known| known.name == code);
    let message = element(&text, "Message")
        .or_else(|| known.map(|known| Cow::Borrowed(known.message)))
        .unwrap_or(Cow::Borrowed("The request could not be served."));
    response.headers_mut().remove(CONTENT_LENGTH);
    response.headers_mut().remove(CONTENT_TYPE);
    let fields = take_fields(response.headers_mut());
    if response.status() == StatusCode::NOT_MODIFIED {
        *response.body_mut() = Body::empty();
        return;
    }
    if about.method == Method::HEAD {
        let desc = HeaderValue::try_from(format!("\"{message}\""));
        let name = HeaderValue::try_from(code.as_ref());
        if let (Ok(name), Ok(desc)) = (name, desc) {
            response.headers_mut().insert("x-minio-error-code", name);
            response.headers_mut().insert("x-minio-error-desc", desc);
        }
        *response.body_mut() = Body::empty();
        return;
    }
    let xml = full_xml(&code, &message, &fields, about);
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    response
        .headers_mut()
        .insert(CONTENT_LENGTH, HeaderValue::from(xml.len()));
    *response.body_mut() = Body::from(Bytes::from(xml));
}

/// What [`Failure::with_field`] put there.
fn take_fields(headers: &mut HeaderMap) -> Vec<(String, String)> {
    let told = headers.get_all(FIELD).iter().filter_map(|field| {
        let (name, value) = std::str::from_utf8(field.as_bytes()).ok()?.split_once('=')?;
        Some((name.to_owned(), value.to_owned()))
    });
    let told = told.collect();
    headers.remove(FIELD);
    told
}

fn full_xml(code: &str, message: &str, fields: &[(String, String)], about: &Circumstances<'_>) -> String {
    let mut xml = String::with_capacity(512);
    xml.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error>");
    let mut field = |name: &str, value: &str| {
        xml.push('<');
        xml.push_str(name);
        xml.push('>');
        xml.push_str(&super::xml::text(value));
        xml.push_str("</");
        xml.push_str(name);
        xml.push('>');
    };
    field("Code", code);
    field("Message", message);
    for (name, value) in fields {
        field(name, value);
    }
    let (bucket, key) = match about.target {
        None | Some(Target::Service) => (None, None),
        Some(Target::Bucket { bucket }) => (Some(bucket), None),
        Some(Target::Object { bucket, key }) => (Some(bucket), Some(key)),
    };
    if let Some(key) = key {
        field("Key", key);
    }
    if let Some(bucket) = bucket {
        field("BucketName", bucket);
    }
    field("Resource", about.resource);
    field("RequestId", about.request_id);
    field("HostId", about.host_id);
    xml.push_str("</Error>");
    xml
}

/// The text of the first element of this name in XML that s3s or [`bare_xml`] wrote.
fn element<'a>(xml: &'a str, name: &str) -> Option<Cow<'a, str>> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    let (value, _) = rest.split_once(&format!("</{name}>"))?;
    quick_xml::escape::unescape(value).ok()
}

#[cfg(test)]
mod tests {
    use super::{Circumstances, Code, Failure, finish};
    use crate::s3::target::Target;
    use http::{Method, StatusCode};
    use s3s::{S3Error, S3ErrorCode};

    fn about<'a>(method: &'a Method, target: &'a Target) -> Circumstances<'a> {
        Circumstances {
            method,
            target: Some(target),
            resource: "/b/a<b",
            request_id: "R1",
            host_id: "H1",
        }
    }

    #[test]
    fn an_error_names_what_it_is_about() {
        let target = Target::Object {
            bucket: "b".into(),
            key: "a<b\u{1}".into(),
        };
        let mut response = Failure::because(Code::NO_SUCH_KEY, "gone & lost").into_response();
        finish(&mut response, &about(&Method::GET, &target));
        let body = String::from_utf8(response.body().bytes().unwrap().to_vec()).unwrap();
        assert_eq!(response.status(), StatusCode::NOT_FOUND);
        assert!(
            body.contains("<Code>NoSuchKey</Code><Message>gone &amp; lost</Message>"),
            "{body}"
        );
        assert!(
            body.contains("<Key>a&lt;b&#x1;</Key><BucketName>b</BucketName><Resource>/b/a&lt;b</Resource>"),
            "{body}"
        );
        assert!(
            body.contains("<RequestId>R1</RequestId><HostId>H1</HostId></Error>"),
            "{body}"
        );
    }

    #[test]
    fn further_fields_reach_the_document_through_s3s_and_no_header() {
        let target = Target::Bucket { bucket: "b".into() };
        let failure = Failure::new(Code::INVALID_RANGE)
            .with_field("ActualObjectSize", 7)
            .with_field("RangeRequested", "bytes=<9-");
        let mut response = S3Error::from(failure).to_http_response().unwrap();
        finish(&mut response, &about(&Method::GET, &target));
        let body = String::from_utf8(response.body().bytes().unwrap().to_vec()).unwrap();
        let fields = "<ActualObjectSize>7</ActualObjectSize><RangeRequested>bytes=&lt;9-</RangeRequested><BucketName>";
        assert!(body.contains(fields), "{body}");
        let kept: Vec<_> = response
            .headers()
            .keys()
            .filter(|name| name.as_str().contains("drystone"))
            .collect();
        assert!(kept.is_empty(), "{kept:?}");
    }

    #[test]
    fn an_error_of_a_head_request_is_told_in_headers() {
        let target = Target::Bucket { bucket: "b".into() };
        let mut response = S3Error::new(S3ErrorCode::NoSuchBucket).to_http_response().unwrap();
        finish(&mut response, &about(&Method::HEAD, &target));
        assert_eq!(response.headers().get("x-minio-error-code").unwrap(), "NoSuchBucket");
        assert_eq!(
            response.headers().get("x-minio-error-desc").unwrap(),
            "\"The specified bucket does not exist.\""
        );
        assert!(response.body().bytes().unwrap().is_empty());
    }

    #[test]
    fn every_code_survives_the_way_through_s3s() {
        for code in Code::ALL {
            let error = S3Error::from(Failure::new(*code));
            assert_eq!(error.code().as_str(), code.name);
            assert_eq!(error.status_code().unwrap().as_u16(), code.status);
        }
    }
}
