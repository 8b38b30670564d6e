//! How a request's body is covered by its signature, and what the routes may know about it.
//!
//! The modes are a closed list: a new one must be thought about everywhere, so nothing may match on it with a default
//! arm.

use std::sync::{Arc, OnceLock};

use http::{HeaderMap, HeaderName};

use super::error::AuthError;

/// How the body is protected, from `x-amz-content-sha256` (or its absence).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PayloadMode {
    /// The whole body must have this SHA-256.
    SignedBody([u8; 32]),
    /// The body is not covered by any signature (`UNSIGNED-PAYLOAD`, presigned and anonymous requests).
    Unsigned,
    /// aws-chunked, each chunk signed.
    StreamingSigned,
    /// aws-chunked, each chunk and the trailers signed.
    StreamingSignedTrailer,
    /// aws-chunked with trailers, nothing of it signed; the seed signature in the headers is.
    StreamingUnsignedTrailer,
}

impl PayloadMode {
    /// Reads the value of `x-amz-content-sha256`.
    pub(super) fn parse(text: &str) -> Result<Self, AuthError> {
        match text {
            "UNSIGNED-PAYLOAD" => return Ok(Self::Unsigned),
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD" => return Ok(Self::StreamingSigned),
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER" => return Ok(Self::StreamingSignedTrailer),
            "STREAMING-UNSIGNED-PAYLOAD-TRAILER" => return Ok(Self::StreamingUnsignedTrailer),
            "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD" | "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER" => {
                return Err(AuthError::NotImplemented(
                    "Signature Version 4A (ECDSA) is not implemented. Please use AWS4-HMAC-SHA256.",
                ));
            }
            _hash => {}
        }
        let mut hash = [0; 32];
        // The decoder panics when there is more than fits, so the length comes first.
        if text.len() == 64 && hex_simd::decode(text.as_bytes(), hex_simd::Out::from_slice(&mut hash)).is_ok() {
            return Ok(Self::SignedBody(hash));
        }
        Err(AuthError::InvalidArgument(
            "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, \
             STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER or a valid sha256 value.",
        ))
    }

    /// Whether the body is aws-chunked.
    pub fn is_chunked(&self) -> bool {
        match self {
            Self::SignedBody(_) | Self::Unsigned => false,
            Self::StreamingSigned | Self::StreamingSignedTrailer | Self::StreamingUnsignedTrailer => true,
        }
    }
}

/// Facts about the body, put into the request's extensions.
#[derive(Clone, Debug)]
pub struct Payload {
    /// How the body is protected.
    pub mode: PayloadMode,
    /// Bytes the client declared for the decoded body; `None` when it declared none.
    pub decoded_length: Option<u64>,
    /// The trailers that follow the body.
    pub trailers: Trailers,
}

/// The trailers of one request, shared between the body (which fills them) and the route (which reads them).
#[derive(Clone, Debug, Default)]
pub struct Trailers {
    announced: Arc<[HeaderName]>,
    received: Arc<OnceLock<HeaderMap>>,
}

impl Trailers {
    pub(super) fn announced_as(names: Vec<HeaderName>) -> Self {
        Self {
            announced: names.into(),
            received: Arc::default(),
        }
    }

    /// The names announced in `x-amz-trailer`; all of them arrive, and no others, or the body ends in an error.
    pub fn announced(&self) -> &[HeaderName] {
        &self.announced
    }

    /// The trailers, once the body has ended without an error; `None` before. Values are not verified against the body
    /// here: whoever stores the bytes does that.
    pub fn received(&self) -> Option<&HeaderMap> {
        self.received.get()
    }

    pub(super) fn arrived(&self, trailers: HeaderMap) {
        // The body ends once; a second end would be the same trailers again.
        let _ = self.received.set(trailers);
    }
}
