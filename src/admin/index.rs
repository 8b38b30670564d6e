//! The index of the store as an operator asks about it (`/v1/admin/index/…`): comparing it with checkpoint and log, and
//! having it made anew. The engine does both; this asks and tells.

use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use storage_engine::embedded::IndexCheck;

/// A store with an index that can be made anew.
pub trait Indexing: Send + Sync {
    /// Compares it with checkpoint and log; the error says why that cannot be done now.
    fn verify(&self) -> BoxFuture<'static, Result<IndexCheck, String>>;
    /// Has it made anew; until that is done every request is told to come again.
    fn rebuild(&self) -> Result<(), String>;
}

/// What a comparison found; the names of fields are a promise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexReport {
    /// The index is what a start would make it.
    pub right: bool,
    pub rows: u64,
    /// Rows that differ, are missing, or are only in the index.
    pub wrong: u64,
    /// The first few of them.
    pub examples: Vec<String>,
    /// Segments whose live bytes are counted otherwise.
    pub counters_wrong: u64,
    /// Rows that were changed while they were compared, and not judged.
    pub in_motion: u64,
}

impl IndexReport {
    /// What the engine says.
    pub fn of(check: &IndexCheck) -> Self {
        Self {
            right: check.is_right(),
            rows: check.rows,
            wrong: check.wrong,
            examples: check.examples.clone(),
            counters_wrong: check.counters_wrong,
            in_motion: check.in_motion,
        }
    }
}

/// The answer to an order to make it anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rebuilding {
    /// It has begun, or begins within seconds.
    pub rebuilding: bool,
}
