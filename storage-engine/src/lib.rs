//! Drystone's storage engine: a library with no HTTP in it.
//!
//! - [`backend`]: the seam. Ordered rows, conditional commit, bodies.
//! - [`memory`]: a backend in memory, for tests and as the simplest statement of the promises.
//! - [`store`]: S3 semantics over any backend: buckets, objects, multipart uploads, listings.
//! - [`embedded`]: the backend on local drives: an erasure-coded log and extents, with a disposable index.

pub mod backend;
mod cbor;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
pub mod embedded;
pub mod limits;
pub mod memory;
#[cfg(test)]
mod planted;
pub mod store;
