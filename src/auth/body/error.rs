//! What can be wrong with a body, found while it is read.

use std::error::Error;

use http::StatusCode;

/// Any error a body's source may end in.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// Why a body ended in an error. Nothing that was read of it may be kept.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The body's SHA-256 is not the signed one.
    #[error("The provided 'x-amz-content-sha256' header does not match what was computed.")]
    ContentSha256Mismatch,
    /// The body ended before its declared length.
    #[error("The body ended after {received} bytes, {declared} were declared.")]
    Shorter {
        /// Bytes declared.
        declared: u64,
        /// Bytes received.
        received: u64,
    },
    /// The body goes on after its declared length.
    #[error("The body is longer than the {declared} bytes that were declared.")]
    Longer {
        /// Bytes declared.
        declared: u64,
    },
    /// An aws-chunked body ended without its last chunk.
    #[error("The body ended before its last chunk.")]
    LastChunkMissing,
    /// A chunk's size is not a number of at most 16 hexadecimal digits.
    #[error("A chunk's size is not valid.")]
    ChunkSizeInvalid,
    /// The aws-chunked framing is broken.
    #[error("The aws-chunked encoding is malformed: {0}.")]
    ChunkMalformed(&'static str),
    /// A chunk's signature is wrong.
    #[error("A chunk's signature does not match the one the server calculated.")]
    ChunkSignatureMismatch,
    /// The trailers are broken, incomplete, not announced, or too large.
    #[error("The trailers are malformed: {0}.")]
    TrailerMalformed(&'static str),
    /// The signature over the trailers is wrong.
    #[error("The trailer's signature does not match the one the server calculated.")]
    TrailerSignatureMismatch,
    /// The connection failed, or a limit of the transport was hit.
    #[error("The request's body could not be read.")]
    Transport(#[source] BoxError),
}

impl BodyError {
    /// The S3 error code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::ContentSha256Mismatch => "XAmzContentSHA256Mismatch",
            Self::Shorter { .. } | Self::Longer { .. } | Self::LastChunkMissing | Self::Transport(_) => {
                "IncompleteBody"
            }
            Self::ChunkSizeInvalid => "InvalidChunkSizeError",
            Self::ChunkMalformed(_) => "InvalidRequest",
            Self::ChunkSignatureMismatch | Self::TrailerSignatureMismatch => "SignatureDoesNotMatch",
            Self::TrailerMalformed(_) => "MalformedTrailerError",
        }
    }

    /// The HTTP status that goes with [`Self::code`].
    pub fn status(&self) -> StatusCode {
        match self {
            Self::ChunkSignatureMismatch | Self::TrailerSignatureMismatch => StatusCode::FORBIDDEN,
            Self::ContentSha256Mismatch
            | Self::Shorter { .. }
            | Self::Longer { .. }
            | Self::LastChunkMissing
            | Self::ChunkSizeInvalid
            | Self::ChunkMalformed(_)
            | Self::TrailerMalformed(_)
            | Self::Transport(_) => StatusCode::BAD_REQUEST,
        }
    }

    /// The body error at the root of `error`, however deep a front has wrapped it.
    pub fn find<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Self> {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(found) = error.downcast_ref::<Self>() {
                return Some(found);
            }
            // An io::Error hides the error it carries from `source`.
            next = match error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
                Some(carried) => Some(carried),
                None => error.source(),
            };
        }
        None
    }
}
