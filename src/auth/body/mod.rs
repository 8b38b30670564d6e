//! The body a route reads: plain bytes, verified while they stream.
//!
//! Owns the withholding of the last fragment until everything that can be verified was. It never holds more than one
//! fragment of its source, and never verifies checksum values (whoever stores the bytes does).

mod error;

pub use error::{BodyError, BoxError};

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

type Source = Pin<Box<dyn Body<Data = Bytes, Error = BoxError> + Send + Sync>>;

/// A request's body after authentication: data frames only. A body that ended in an error must not be committed;
/// [`BodyError::find`] tells why it ended.
pub struct AuthBody {
    source: Source,
}

impl Body for AuthBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.source.as_mut().poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.source.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.source.size_hint()
    }
}
