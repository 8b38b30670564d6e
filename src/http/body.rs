//! The body types that travel between the edge and the fronts.

use std::convert::Infallible;

use bytes::Bytes;
use http_body_util::{
    BodyExt, Empty, Full,
    combinators::{BoxBody, UnsyncBoxBody},
};

/// An error of a body's source.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A request's body on its way to a front.
pub type RequestBody = BoxBody<Bytes, BoxError>;

/// A response's body on its way to the client.
pub type Body = UnsyncBoxBody<Bytes, BoxError>;

pub fn empty() -> Body {
    Empty::new().map_err(|never: Infallible| match never {}).boxed_unsync()
}

pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into())
        .map_err(|never: Infallible| match never {})
        .boxed_unsync()
}
