//! Object operations: put, get, head, attributes.

mod attributes;
mod read;
pub(crate) mod relabel;
mod stranger;
mod write;

pub(crate) use attributes::{BareETag, attributes};
pub(crate) use read::{action_on, get, head, lookup, part, version};
pub(crate) use write::{Asked, body_failed, new_body, put, put_failed};
