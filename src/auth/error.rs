//! Every way authentication can refuse a request, with the S3 error each one is.
//!
//! An error never carries a secret, a signature the server calculated, or the text it signed.

use std::borrow::Cow;

use http::{HeaderValue, Response, StatusCode, header};

use super::body::BodyError;

/// Why a request was refused before any route saw it.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// No such access key, or it is disabled.
    #[error("The access key ID you provided does not exist in our records.")]
    InvalidAccessKeyId {
        /// The key as presented.
        access_key: String,
    },
    /// The secret, or a signed byte of the request, is wrong.
    #[error(
        "The request signature we calculated does not match the signature you provided. Check your key and signing \
         method.{}",
        .missing.as_ref().map(|names| format!(
            " Signed, but not in the request as it arrived: {names}. A proxy in between may have removed it."
        )).unwrap_or_default()
    )]
    SignatureDoesNotMatch {
        /// The key as presented.
        access_key: String,
        /// Headers that the signature covers and that did not arrive, separated by commas.
        missing: Option<String>,
    },
    /// The request's time is more than 15 minutes away from the server's.
    #[error(
        "The difference between the request time and the server's time is too large: the request says {request_time}, \
         the server's clock {server_time}."
    )]
    RequestTimeTooSkewed {
        /// The request's time as presented.
        request_time: String,
        /// The server's time, RFC 3339 in UTC.
        server_time: String,
    },
    /// A presigned URL outlived its `X-Amz-Expires`.
    #[error("Request has expired")]
    PresignedExpired {
        /// Seconds the URL was made for.
        expires_seconds: u32,
        /// When it ended, RFC 3339 in UTC.
        expired_at: String,
        /// The server's time, RFC 3339 in UTC.
        server_time: String,
    },
    /// A presigned URL's date lies in the future.
    #[error("Request is not valid yet")]
    PresignedNotYetValid {
        /// The server's time, RFC 3339 in UTC.
        server_time: String,
    },
    /// `x-amz-*` headers came that the signature does not cover.
    #[error("There were headers present in the request which were not signed")]
    HeadersNotSigned {
        /// Their names, separated by commas.
        names: String,
    },
    /// Neither `x-amz-date` nor a usable `Date` came with the signature.
    #[error("AWS authentication requires a valid Date or x-amz-date header")]
    DateMissing,
    /// The Authorization header cannot be understood.
    #[error("The authorization header is malformed; {0}.")]
    AuthorizationHeaderMalformed(Cow<'static, str>),
    /// The signature parameters of a presigned URL cannot be understood.
    #[error("{0}")]
    AuthorizationQueryParameters(Cow<'static, str>),
    /// The signature is for another region than the configured one.
    #[error("The authorization header is malformed; the region '{presented}' is wrong; expecting '{expected}'")]
    WrongRegion {
        /// The region in the credential scope.
        presented: String,
        /// The region this server is configured for.
        expected: String,
    },
    /// The request is authenticated in two ways at once, or by a scheme that is none of S3's.
    #[error("{0}")]
    InvalidArgument(&'static str),
    /// Signature version 2, which is refused for good.
    #[error(
        "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256. This request was \
         signed with Signature Version 2, which is refused. In boto3 set Config(signature_version='s3v4'); with aws CLI \
         version 1 run: aws configure set s3.signature_version s3v4"
    )]
    SignatureVersion2,
    /// A session token that does not belong to the access key, or one that is missing.
    #[error("The provided token is malformed or otherwise invalid.")]
    InvalidToken,
    /// A temporary credential that has ended.
    #[error("The provided token has expired.")]
    ExpiredToken,
    /// Users cannot be told from one another now. Root can sign in, and the log says why others cannot.
    #[error("The directory of users is not open; please try again later. The server's log says why.")]
    DirectoryNotOpen,
    /// The request cannot be understood.
    #[error("{0}")]
    InvalidRequest(&'static str),
    /// The path or query is not valid percent-encoded UTF-8.
    #[error("Couldn't parse the specified URI.")]
    InvalidUri,
    /// An aws-chunked body came without the length of what it decodes to.
    #[error("You must provide the x-amz-decoded-content-length header.")]
    DecodedLengthMissing,
    /// A form of authentication this server does not have.
    #[error("{0}")]
    NotImplemented(&'static str),
    /// The body is already known to be wrong.
    #[error(transparent)]
    Body(#[from] BodyError),
}

impl AuthError {
    /// The S3 error code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::InvalidAccessKeyId { .. } => "InvalidAccessKeyId",
            Self::SignatureDoesNotMatch { .. } => "SignatureDoesNotMatch",
            Self::RequestTimeTooSkewed { .. } => "RequestTimeTooSkewed",
            Self::PresignedExpired { .. }
            | Self::PresignedNotYetValid { .. }
            | Self::HeadersNotSigned { .. }
            | Self::DateMissing => "AccessDenied",
            Self::AuthorizationHeaderMalformed(_) | Self::WrongRegion { .. } => "AuthorizationHeaderMalformed",
            Self::AuthorizationQueryParameters(_) => "AuthorizationQueryParametersError",
            Self::InvalidArgument(_) => "InvalidArgument",
            Self::SignatureVersion2 | Self::InvalidRequest(_) => "InvalidRequest",
            Self::InvalidToken => "InvalidToken",
            Self::ExpiredToken => "ExpiredToken",
            Self::DirectoryNotOpen => "ServiceUnavailable",
            Self::InvalidUri => "InvalidURI",
            Self::DecodedLengthMissing => "MissingContentLength",
            Self::NotImplemented(_) => "NotImplemented",
            Self::Body(error) => error.code(),
        }
    }

    /// The HTTP status that goes with [`Self::code`].
    pub fn status(&self) -> StatusCode {
        match self {
            Self::InvalidAccessKeyId { .. }
            | Self::SignatureDoesNotMatch { .. }
            | Self::RequestTimeTooSkewed { .. }
            | Self::PresignedExpired { .. }
            | Self::PresignedNotYetValid { .. }
            | Self::HeadersNotSigned { .. }
            | Self::DateMissing => StatusCode::FORBIDDEN,
            Self::AuthorizationHeaderMalformed(_)
            | Self::AuthorizationQueryParameters(_)
            | Self::WrongRegion { .. }
            | Self::InvalidArgument(_)
            | Self::SignatureVersion2
            | Self::InvalidToken
            | Self::ExpiredToken
            | Self::InvalidRequest(_)
            | Self::InvalidUri => StatusCode::BAD_REQUEST,
            Self::DirectoryNotOpen => StatusCode::SERVICE_UNAVAILABLE,
            Self::DecodedLengthMissing => StatusCode::LENGTH_REQUIRED,
            Self::NotImplemented(_) => StatusCode::NOT_IMPLEMENTED,
            Self::Body(error) => error.status(),
        }
    }

    /// Elements of the error document besides Code, Message, Resource and RequestId.
    pub fn fields(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::InvalidAccessKeyId { access_key } | Self::SignatureDoesNotMatch { access_key, .. } => {
                vec![("AWSAccessKeyId", access_key.clone())]
            }
            Self::RequestTimeTooSkewed {
                request_time,
                server_time,
            } => vec![
                ("RequestTime", request_time.clone()),
                ("ServerTime", server_time.clone()),
                ("MaxAllowedSkewMilliseconds", "900000".to_owned()),
            ],
            Self::PresignedExpired {
                expires_seconds,
                expired_at,
                server_time,
            } => vec![
                ("X-Amz-Expires", expires_seconds.to_string()),
                ("Expires", expired_at.clone()),
                ("ServerTime", server_time.clone()),
            ],
            Self::PresignedNotYetValid { server_time } => vec![("ServerTime", server_time.clone())],
            Self::HeadersNotSigned { names } => vec![("HeadersNotSigned", names.clone())],
            Self::WrongRegion { expected, .. } => vec![("Region", expected.clone())],
            Self::DateMissing
            | Self::AuthorizationHeaderMalformed(_)
            | Self::AuthorizationQueryParameters(_)
            | Self::InvalidArgument(_)
            | Self::SignatureVersion2
            | Self::InvalidToken
            | Self::ExpiredToken
            | Self::DirectoryNotOpen
            | Self::InvalidRequest(_)
            | Self::InvalidUri
            | Self::DecodedLengthMissing
            | Self::NotImplemented(_)
            | Self::Body(_) => Vec::new(),
        }
    }

    /// The S3 error document. `resource` is the request's path.
    pub fn to_xml(&self, resource: &str, request_id: &str) -> String {
        let mut xml = String::with_capacity(384);
        xml.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error>");
        element(&mut xml, "Code", self.code());
        element(&mut xml, "Message", &self.to_string());
        for (name, text) in self.fields() {
            element(&mut xml, name, &text);
        }
        element(&mut xml, "Resource", resource);
        element(&mut xml, "RequestId", request_id);
        xml.push_str("</Error>");
        xml
    }

    /// The whole answer. Whoever sends it leaves the body out for HEAD; the code is in the headers too.
    pub fn to_response(&self, resource: &str, request_id: &str) -> Response<bytes::Bytes> {
        let xml = self.to_xml(resource, request_id);
        let mut response = Response::new(bytes::Bytes::from(xml));
        *response.status_mut() = self.status();
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/xml"));
        let description = HeaderValue::try_from(format!("\"{self}\""));
        if let (Ok(code), Ok(description)) = (HeaderValue::try_from(self.code()), description) {
            response.headers_mut().insert("x-minio-error-code", code);
            response.headers_mut().insert("x-minio-error-desc", description);
        }
        response
    }
}

fn element(xml: &mut String, name: &str, text: &str) {
    // XML 1.0 has no way to write most control characters, so they are left out.
    let text: Cow<'_, str> = if text.chars().any(char::is_control) {
        Cow::Owned(text.chars().filter(|c| !c.is_control()).collect())
    } else {
        Cow::Borrowed(text)
    };
    for piece in ["<", name, ">", &quick_xml::escape::escape(text), "</", name, ">"] {
        xml.push_str(piece);
    }
}
