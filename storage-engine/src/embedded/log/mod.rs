//! The log: the one place where a change becomes durable. It owns key locks, the committer, records and the reseat; it
//! never knows what a row means, and never reads sled to decide what is true.

mod append;
mod assemble;
mod committer;
mod company;
mod locks;
mod pending;
mod reader;
mod reseat;

pub use append::{Fault, FaultKind};
pub use assemble::{BatchOps, RecordFacts};
pub use committer::{Committer, LOG_SEGMENT_BYTES, Queued};
pub use locks::{HeldLocks, KeyLocks};
pub use pending::{PendingBody, PendingOp, PendingPut, SmallBody};
pub use reader::{FoundRecord, LogDrives, LogReader};
pub use reseat::{Head, NewSegment, choose_drives, write_new_segment};
