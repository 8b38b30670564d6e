//! What `drystone import` and `drystone export` have in common: the server of an app as its Files API is asked, bytes on their way,
//! and lines that tell the next run what this one did.
//!
//! It never reads or writes a drive of the store, and decides nothing about files.

pub(super) mod lines;
pub(super) mod reading;
mod server;

pub use self::server::AppReach;
pub(super) use self::server::{AGENT, ApiError, LONG_PATIENCE, PATIENCE, Pool, Server, TRIES, causes, pool};
