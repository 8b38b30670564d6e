//! Every error of the Files API: status, code and words, and how it is written.
//!
//! Owns the one table of codes, and which code a failure below is. What went wrong with the store goes to the log, never to
//! the client.

use std::borrow::Cow;

use http::header::{HeaderName, HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode, header};
use serde_json::json;
use storage_engine::backend::ReadError;
use storage_engine::store::condition::WriteRefused;
use storage_engine::store::error::{BodyError, Fault};
use storage_engine::store::files::FileError;
use storage_engine::store::multipart::abort::AbortUploadError;
use storage_engine::store::multipart::begin::BeginUploadError;
use storage_engine::store::multipart::complete::CompleteUploadError;
use storage_engine::store::multipart::list::ListPartsError;
use storage_engine::store::object::get::GetObjectError;
use storage_engine::store::object::put::PutObjectError;
use storage_engine::store::quota::OverQuota;

use super::upload::AfterFile;
use crate::access::{Barred, Denied};
use crate::facts::LookError;
use crate::http::body::{self, Body};
use crate::intake::Refused;
use crate::links::LinkError;
use crate::media::{KeyError, MimeError, Mismatch, NameError};
use crate::outbound::OutboundError;
use crate::projects::AppRefused;

/// An error by its code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code {
    pub status: u16,
    pub name: &'static str,
    message: &'static str,
}

/// Writes the table: one line a code.
macro_rules! codes {
    ($($name:ident = $status:literal $code:literal $message:literal;)*) => {
        impl Code {
            $(pub(crate) const $name: Self = Self { status: $status, name: $code, message: $message };)*
            /// Every code that this front answers with, beside those of keys and tokens.
            pub const ALL: &[Self] = &[$(Self::$name),*];
        }
    };
}

codes! {
    INVALID_NAME = 400 "file/invalid-name" "The file name is not valid.";
    TOO_LARGE = 400 "file/file-too-large" "The file is larger than is allowed here.";
    BODY_TOO_LARGE = 413 "file/too-large" "The file is larger than is allowed here.";
    TOO_SMALL = 400 "file/file-too-small" "The file is smaller than is allowed here.";
    INVALID_FORMAT = 400 "file/invalid-format" "Files of this type are not allowed here.";
    INVALID_PATH = 400 "file/invalid-path" "The name or key holds what could be taken for a path.";
    INVALID_PART_NUMBER = 400 "file/invalid-part-number-range" "partNumber must be a whole number from 1 to 10000.";
    INVALID_PARTS = 400 "file/invalid-parts-array" "parts must be a list of {partNumber, etag} in ascending order, as they were uploaded.";
    KEY_TOO_LONG = 400 "file/s3-key-too-long" "The key has more than 1024 bytes.";
    NAME_TOO_LONG = 400 "file/original-name-too-long" "A file name has at most 255 bytes.";
    MIME_TOO_LONG = 400 "file/mime-type-too-long" "A media type has at most 255 characters.";
    SIZE_NEGATIVE = 400 "file/size-negative" "The size of a file is not negative.";
    INVALID_REQUEST = 400 "common/invalid-request" "The request is not valid.";
    INCOMPLETE_BODY = 400 "common/incomplete-body" "The body ended before it was whole.";
    BAD_DIGEST = 400 "file/digest-mismatch" "The digest that was sent is not that of the bytes.";
    SIZE_MISMATCH = 400 "file/size-mismatch" "The file has not as many bytes as were announced.";
    SHA256_MISMATCH = 400 "file/sha256-mismatch" "The SHA-256 of the bytes is not the one that was announced.";
    ACCESS_DENIED = 403 "file/access-denied" "You may not do this with this file.";
    TOKEN_USED_UP = 403 "file/upload-token-used-up" "The upload token has made as many files as it may.";
    QUOTA = 403 "file/quota-exceeded" "There is no room left for this file.";
    NOT_FOUND = 404 "file/not-found" "There is no such file.";
    NO_SUCH_VERSION = 404 "file/version-not-found" "The file has no such version: it was brought back, or taken away.";
    NO_SUCH_UPLOAD = 404 "file/upload-not-found" "There is no such upload: it was completed or given up, or never begun.";
    NO_SUCH_ROUTE = 404 "common/not-found" "There is nothing at this path.";
    METHOD_NOT_ALLOWED = 405 "common/method-not-allowed" "This method is not one of this path.";
    KEY_EXISTS = 409 "file/s3-key-already-exists" "A file with this key is registered already.";
    STATE = 409 "file/invalid-state" "This cannot be done with the file as it stands.";
    CONFLICT = 409 "common/conflict" "It was changed meanwhile. Please try again.";
    RATE = 429 "RATE_LIMIT_EXCEEDED" "Too much was begun from here. Please try again later.";
    LOCKED = 423 "file/locked" "The file is in quarantine: nobody reads its bytes unless a server of the app releases it.";
    SCAN_OFF = 403 "file/scan-disabled" "This server has no scanner.";
    PRECONDITION_FAILED = 412 "common/precondition-failed" "A condition of the request does not hold.";
    REQUEST_TOO_LARGE = 413 "common/request-too-large" "A JSON body has at most 1 MiB.";
    NO_SUCH_WEBHOOK = 404 "webhook/not-found" "There is no such webhook.";
    TOO_MANY = 409 "common/too-many" "There are as many as there may be.";
    INVALID_URL = 400 "file/invalid-url" "The address is not valid.";
    URL_NOT_ALLOWED = 403 "file/url-not-allowed" "The address leads to where this server does not call.";
    FETCH_OFF = 403 "file/from-url-disabled" "This server fetches no files from other servers.";
    FETCH_FAILED = 502 "file/fetch-failed" "The file could not be fetched.";
    FETCH_TIMED_OUT = 504 "file/fetch-timed-out" "The other server did not answer in time.";
    RANGE = 416 "file/range-not-satisfiable" "The range is not within the file.";
    UPLOAD_LENGTH = 400 "upload/inconsistent-length" "What is said of the upload's length does not fit together.";
    UPLOAD_COMPLETE = 400 "upload/complete" "The upload has all its bytes.";
    UPLOAD_DRAFT = 400 "upload/unsupported-draft" "Another version of the draft is spoken here.";
    UPLOAD_FINISHED = 403 "upload/finished" "The upload is finished. To take the file away, delete the file.";
    UPLOAD_TAKEN = 403 "upload/is-a-piece" "The upload is a piece of another one, and ends with it.";
    UPLOAD_MADE_OF_OTHERS = 403 "upload/made-of-others" "Nothing is appended to an upload that is made of others.";
    UPLOAD_OFFSET = 409 "upload/offset-mismatch" "The bytes do not begin where the upload ends.";
    UPLOAD_SUPERSEDED = 409 "upload/superseded" "A newer request about the upload came.";
    UPLOAD_EXPIRED = 410 "upload/expired" "The upload has expired.";
    UPLOAD_VERSION = 412 "upload/unsupported-version" "Another version of the protocol is spoken here.";
    UPLOAD_TYPE = 415 "upload/unsupported-media-type" "The bytes of an upload are of another type.";
    UPLOAD_DIGEST = 460 "upload/checksum-mismatch" "The checksum that was sent is not that of the bytes.";
    INTERNAL = 500 "common/internal-error" "An internal error happened. It has been logged.";
    BUCKET_NOT_CONFIGURED = 500 "file/bucket-not-configured" "The bucket of this environment is not there.";
    UPLOAD_INIT_FAILED = 500 "file/upload-init-failed" "The upload could not be begun. The server's log has the reason.";
    NOT_BUILT = 501 "common/not-implemented" "This is not built yet.";
    UNAVAILABLE = 503 "common/unavailable" "The store cannot do this at the moment. Please try again later.";
    FULL = 507 "common/storage-full" "The store is full.";
}

/// Why a request was not served.
#[derive(Debug)]
pub(crate) struct FilesError {
    status: StatusCode,
    code: &'static str,
    message: Cow<'static, str>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl From<Code> for FilesError {
    fn from(code: Code) -> Self {
        Self::because(code, code.message)
    }
}

impl FilesError {
    /// With words of its own.
    pub(crate) fn because(code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status: StatusCode::from_u16(code.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            code: code.name,
            message: message.into(),
            headers: Vec::new(),
        }
    }

    /// A field or parameter that is not as it must be.
    pub(crate) fn field(message: impl Into<Cow<'static, str>>) -> Self {
        Self::because(Code::INVALID_REQUEST, message)
    }

    /// An address to upload to that could not be made: by its reason, or as bkend's clients know it.
    pub(super) fn not_begun(error: LinkError) -> Self {
        match error {
            LinkError::Identity(_) | LinkError::Signing(_) | LinkError::Writing(_) => {
                tracing::error!(%error, "an upload could not be begun");
                Code::UPLOAD_INIT_FAILED.into()
            }
            LinkError::Lifetime | LinkError::NotOfAnApp | LinkError::TooLong { .. } | LinkError::PartNumber { .. } => {
                error.into()
            }
        }
    }

    /// The same, about one of several things that were asked for.
    pub(crate) fn at(mut self, place: &str) -> Self {
        self.message = format!("{place}: {}", self.message).into();
        self
    }

    pub(crate) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    pub(crate) fn code(&self) -> &'static str {
        self.code
    }

    /// Whether it says that the client has the bytes already.
    pub(crate) fn is_not_modified(&self) -> bool {
        self.status == StatusCode::NOT_MODIFIED
    }

    /// As an item of a list of answers.
    pub(crate) fn item(&self) -> serde_json::Value {
        json!({ "code": self.code, "message": self.message })
    }

    /// The whole answer.
    pub(crate) fn response(self) -> Response<Body> {
        // What was not asked for in vain has no words.
        let bare = self.is_not_modified();
        let document = json!({
            "success": false,
            "error": { "code": self.code, "message": self.message },
            "statusCode": self.status.as_u16(),
            "message": self.message,
        });
        let body = if bare {
            body::empty()
        } else {
            body::full(document.to_string())
        };
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        if !bare {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("2"));
        }
        headers.extend(self.headers);
        response
    }
}

impl From<AppRefused> for FilesError {
    fn from(refused: AppRefused) -> Self {
        Self {
            status: refused.status,
            code: refused.code,
            message: refused.message,
            headers: Vec::new(),
        }
    }
}

impl From<Denied> for FilesError {
    fn from(denied: Denied) -> Self {
        match denied.barred {
            None => Code::ACCESS_DENIED.into(),
            Some(Barred::Quarantined) => Code::LOCKED.into(),
            // It is worth to come again.
            Some(Barred::Scanning) => Self::because(Code::LOCKED, "The file is being scanned. Please try again soon.")
                .with_header(RETRY_AFTER, HeaderValue::from_static("5")),
        }
    }
}

/// The reason goes to the log: it may name drives.
impl From<Fault> for FilesError {
    fn from(fault: Fault) -> Self {
        match &fault {
            Fault::Full(_) => {
                tracing::warn!(%fault, "a write was refused");
                Code::FULL.into()
            }
            Fault::Unavailable(_) | Fault::Unknown(_) => {
                tracing::warn!(%fault, "the store is unavailable");
                Code::UNAVAILABLE.into()
            }
            Fault::Corrupt(_) | Fault::Internal(_) => {
                tracing::error!(%fault, "the store failed");
                Code::INTERNAL.into()
            }
        }
    }
}

impl From<LookError> for FilesError {
    fn from(error: LookError) -> Self {
        match error {
            LookError::Changing => Code::CONFLICT.into(),
            LookError::Fault(fault) => fault.into(),
        }
    }
}

impl From<FileError> for FilesError {
    fn from(error: FileError) -> Self {
        match error {
            FileError::NoSuchBucket => Code::BUCKET_NOT_CONFIGURED.into(),
            FileError::BucketBusy | FileError::Changed => Code::CONFLICT.into(),
            FileError::NoSuchFile => Code::NOT_FOUND.into(),
            FileError::NoSuchVersion => Code::NO_SUCH_VERSION.into(),
            FileError::KeyTaken => Code::KEY_EXISTS.into(),
            FileError::State(state) => Self::because(
                Code::STATE,
                format!("This cannot be done: the file is {}.", state.name()),
            ),
            FileError::Invalid(rule) => Self::field(format!("Not taken: {rule}.")),
            FileError::OverQuota(over) => over.into(),
            FileError::Fault(fault) => fault.into(),
        }
    }
}

impl From<NameError> for FilesError {
    fn from(error: NameError) -> Self {
        let code = match error {
            NameError::Empty | NameError::Unprintable => Code::INVALID_NAME,
            NameError::TooLong => Code::NAME_TOO_LONG,
            NameError::Path => Code::INVALID_PATH,
        };
        Self::because(code, error.to_string())
    }
}

impl From<KeyError> for FilesError {
    fn from(error: KeyError) -> Self {
        let code = match error {
            KeyError::TooLong => Code::KEY_TOO_LONG,
            KeyError::Path => Code::INVALID_PATH,
        };
        Self::because(code, error.to_string())
    }
}

impl From<MimeError> for FilesError {
    fn from(error: MimeError) -> Self {
        let code = match error {
            MimeError::TooLong => Code::MIME_TOO_LONG,
            MimeError::Malformed => Code::INVALID_FORMAT,
        };
        Self::because(code, error.to_string())
    }
}

impl From<Mismatch> for FilesError {
    fn from(error: Mismatch) -> Self {
        Self::because(Code::INVALID_FORMAT, error.to_string())
    }
}

impl From<Refused> for FilesError {
    fn from(refused: Refused) -> Self {
        let code = match refused {
            Refused::TooLarge { .. } => Code::BODY_TOO_LARGE,
            Refused::TooSmall { .. } => Code::TOO_SMALL,
            Refused::Size { .. } => Code::SIZE_MISMATCH,
            Refused::Type(_) => Code::INVALID_FORMAT,
            Refused::Digest => Code::SHA256_MISMATCH,
        };
        Self::because(code, refused.to_string())
    }
}

impl From<LinkError> for FilesError {
    fn from(error: LinkError) -> Self {
        match error {
            LinkError::Lifetime => Self::field("expiresIn must be a whole number of seconds from 60 to 604800."),
            LinkError::NotOfAnApp => Code::ACCESS_DENIED.into(),
            // It is the caller's groups and claims that make it long, and the next one is as long.
            LinkError::TooLong { .. } => Self::field(format!("{error}.")),
            LinkError::PartNumber { .. } => Code::INVALID_PART_NUMBER.into(),
            LinkError::Identity(_) | LinkError::Signing(_) | LinkError::Writing(_) => {
                tracing::error!(%error, "a link could not be made");
                Code::INTERNAL.into()
            }
        }
    }
}

impl From<BodyError> for FilesError {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::Source(source) => match (Refused::find(&*source), OutboundError::find(&*source)) {
                (Some(refused), _) => refused.clone().into(),
                (None, Some(broken)) => broken.clone().into(),
                // Of a copy, whose bytes come from below.
                (None, None) => match source.downcast::<ReadError>() {
                    Ok(error) => Fault::from(*error).into(),
                    Err(source) => match source.downcast::<AfterFile>() {
                        Ok(refused) => Self::field(refused.to_string()),
                        Err(_) => Code::INCOMPLETE_BODY.into(),
                    },
                },
            },
            BodyError::Incomplete { .. } | BodyError::Overlong { .. } => Code::INCOMPLETE_BODY.into(),
            BodyError::TooLarge { .. } => Code::BODY_TOO_LARGE.into(),
            BodyError::BadDigest | BodyError::ChecksumMismatch(_) => Code::BAD_DIGEST.into(),
        }
    }
}

impl From<OverQuota> for FilesError {
    fn from(over: OverQuota) -> Self {
        Self::because(Code::QUOTA, over.told())
    }
}

impl From<PutObjectError> for FilesError {
    fn from(error: PutObjectError) -> Self {
        match error {
            PutObjectError::NoSuchBucket => Code::BUCKET_NOT_CONFIGURED.into(),
            PutObjectError::BucketBusy => Code::CONFLICT.into(),
            PutObjectError::Metadata(error) => Self::field(error.to_string()),
            PutObjectError::Refused(refused) => refused.into(),
            PutObjectError::OverQuota(over) => over.into(),
            PutObjectError::Body(error) => error.into(),
            PutObjectError::Fault(fault) => fault.into(),
        }
    }
}

impl From<WriteRefused> for FilesError {
    fn from(refused: WriteRefused) -> Self {
        match refused {
            WriteRefused::Conflict => Code::CONFLICT.into(),
            WriteRefused::PreconditionFailed(_) | WriteRefused::NoSuchKey => Code::PRECONDITION_FAILED.into(),
        }
    }
}

impl From<GetObjectError> for FilesError {
    fn from(error: GetObjectError) -> Self {
        match error {
            GetObjectError::NoSuchBucket => Code::BUCKET_NOT_CONFIGURED.into(),
            GetObjectError::NoSuchKey | GetObjectError::NoSuchVersion => Code::NOT_FOUND.into(),
            GetObjectError::Changed => Code::CONFLICT.into(),
            GetObjectError::NotModified { etag, .. } => {
                let not_modified = Self {
                    status: StatusCode::NOT_MODIFIED,
                    ..Self::from(Code::PRECONDITION_FAILED)
                };
                match HeaderValue::try_from(format!("\"{etag}\"")) {
                    Ok(etag) => not_modified.with_header(header::ETAG, etag),
                    Err(_) => not_modified,
                }
            }
            GetObjectError::PreconditionFailed(_) => Code::PRECONDITION_FAILED.into(),
            GetObjectError::RangeNotSatisfiable { size } => match HeaderValue::try_from(format!("bytes */{size}")) {
                Ok(range) => Self::from(Code::RANGE).with_header(header::CONTENT_RANGE, range),
                Err(_) => Code::RANGE.into(),
            },
            GetObjectError::NoSuchPart { .. } => Code::RANGE.into(),
            GetObjectError::Fault(fault) => fault.into(),
        }
    }
}

impl From<BeginUploadError> for FilesError {
    fn from(error: BeginUploadError) -> Self {
        match error {
            BeginUploadError::NoSuchBucket => Code::BUCKET_NOT_CONFIGURED.into(),
            BeginUploadError::BucketBusy => Code::CONFLICT.into(),
            BeginUploadError::Metadata(error) => Self::field(error.to_string()),
            BeginUploadError::ChecksumType(_) => Code::UPLOAD_INIT_FAILED.into(),
            BeginUploadError::Fault(fault @ (Fault::Corrupt(_) | Fault::Internal(_))) => {
                tracing::error!(%fault, "an upload in parts could not be begun");
                Code::UPLOAD_INIT_FAILED.into()
            }
            BeginUploadError::Fault(fault) => fault.into(),
        }
    }
}

impl From<CompleteUploadError> for FilesError {
    fn from(error: CompleteUploadError) -> Self {
        match error {
            CompleteUploadError::NoSuchBucket => Code::BUCKET_NOT_CONFIGURED.into(),
            CompleteUploadError::BucketBusy => Code::CONFLICT.into(),
            CompleteUploadError::NoSuchUpload => Code::NO_SUCH_UPLOAD.into(),
            CompleteUploadError::Refused(refused) => refused.into(),
            CompleteUploadError::OverQuota(over) => over.into(),
            CompleteUploadError::Fault(fault) => fault.into(),
            CompleteUploadError::PartTooSmall { .. } => {
                Self::because(Code::TOO_SMALL, format!("Not completed: {error}."))
            }
            CompleteUploadError::TooLarge => Code::TOO_LARGE.into(),
            CompleteUploadError::NoParts
            | CompleteUploadError::PartOrder
            | CompleteUploadError::InvalidPart(_)
            | CompleteUploadError::SizeMismatch { .. }
            | CompleteUploadError::ChecksumMismatch
            | CompleteUploadError::ChecksumType => {
                Self::because(Code::INVALID_PARTS, format!("Not completed: {error}."))
            }
        }
    }
}

impl From<AbortUploadError> for FilesError {
    fn from(error: AbortUploadError) -> Self {
        match error {
            AbortUploadError::NoSuchBucket => Code::BUCKET_NOT_CONFIGURED.into(),
            AbortUploadError::NoSuchUpload => Code::NO_SUCH_UPLOAD.into(),
            AbortUploadError::Completing => Code::CONFLICT.into(),
            AbortUploadError::Fault(fault) => fault.into(),
        }
    }
}

impl From<ListPartsError> for FilesError {
    fn from(error: ListPartsError) -> Self {
        match error {
            ListPartsError::NoSuchBucket => Code::BUCKET_NOT_CONFIGURED.into(),
            ListPartsError::NoSuchUpload => Code::NO_SUCH_UPLOAD.into(),
            ListPartsError::Fault(fault) => fault.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use http_body_util::BodyExt;

    use super::{BeginUploadError, Code, Fault, FilesError, LinkError};

    #[test]
    fn every_code_stands_once() {
        let names: BTreeSet<_> = Code::ALL.iter().map(|code| code.name).collect();
        assert_eq!(names.len(), Code::ALL.len());
        assert!(
            Code::ALL
                .iter()
                .all(|code| (400..600).contains(&code.status) && !code.message.is_empty())
        );
    }

    #[test]
    fn an_upload_that_the_store_could_not_begin_is_told_apart_from_one_that_may_be_tried_again() {
        let broken = "a broken row".to_owned();
        for (fault, code) in [
            (Fault::Corrupt(broken.clone()), Code::UPLOAD_INIT_FAILED),
            (Fault::Internal(broken.clone()), Code::UPLOAD_INIT_FAILED),
            (Fault::Unavailable(broken.clone()), Code::UNAVAILABLE),
            (Fault::Full(broken), Code::FULL),
        ] {
            let told = FilesError::from(BeginUploadError::Fault(fault));
            assert_eq!((told.status.as_u16(), told.code), (code.status, code.name));
        }
        let unsealed = FilesError::not_begun(LinkError::Writing("no key".to_owned()));
        assert_eq!(unsealed.code, Code::UPLOAD_INIT_FAILED.name);
        assert_eq!(
            FilesError::not_begun(LinkError::Lifetime).code,
            Code::INVALID_REQUEST.name
        );
    }

    #[tokio::test]
    async fn both_forms_of_an_error_stand_in_one_body() {
        let response = FilesError::from(Code::NOT_FOUND).response();
        assert_eq!(response.status(), 404);
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        let document: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        let expected = serde_json::json!({
            "success": false,
            "error": { "code": "file/not-found", "message": "There is no such file." },
            "statusCode": 404,
            "message": "There is no such file.",
        });
        assert_eq!(document, expected);
    }
}
