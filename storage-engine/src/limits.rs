//! Every cap of the engine in one place; the unit is in the name.

/// Longest row key in bytes.
pub const KEY_BYTES_MAX: usize = 4 * 1024;
/// Longest row value in bytes; what is larger is a body.
pub const VALUE_BYTES_MAX: usize = 64 * 1024;
/// Most rows one client batch may name.
pub const BATCH_OPS_MAX: usize = 1_000;
/// Most rows one page of a scan returns.
pub const SCAN_ROWS_MAX: usize = 10_000;
/// Bodies of objects up to this many bytes ride in the log; larger ones become extents.
pub const SMALL_BODY_BYTES_MAX: usize = 128 * 1024;

const _: () = assert!(VALUE_BYTES_MAX < SMALL_BODY_BYTES_MAX);
