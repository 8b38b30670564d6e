//! Geometry and the erasure code. It turns a stripe of data into shards and back; it never does I/O.

mod geometry;

pub use geometry::{Geometry, default_parity};
