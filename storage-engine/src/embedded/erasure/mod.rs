//! Geometry and the erasure code. It turns a stripe of data into shards and back; it never does I/O.

mod codec;
mod cpu;
mod geometry;

pub use codec::{Codec, CodecError, Codecs, EncodedShard};
pub use cpu::cpu_supported;
pub use geometry::{EXTENT_SHARDS_MAX, Geometry, default_parity};
