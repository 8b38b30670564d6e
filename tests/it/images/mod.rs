//! Images by URL: the worker processes, as the server runs them.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

pub(crate) mod bombs;
pub(crate) mod pool;
mod service;
