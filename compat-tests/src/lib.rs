//! What judges Drystone from outside: starts the real server binary, fetches real clients, and measures.
//!
//! Nothing in here links the server or its engine; it knows only the binary, its command line and S3.

pub mod bench;
pub mod cache;
pub mod clamd;
pub mod clients;
pub mod daemon;
pub mod mounts;
pub mod process;
pub mod s3;
pub mod server;
pub mod sign;
pub mod slapd;
pub mod soak;
pub mod strace;
pub mod tree;
pub mod upload;
