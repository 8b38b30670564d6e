//! Housekeeping decisions: what is dead, what is an orphan, when a checkpoint is due, what to compact, how much space to
//! keep; and the copying of live bodies into packs. It never deletes a file and never changes the root: it says what may
//! go, and the committer records it first.

mod bodies;
mod dead;
mod due;
mod pick;
mod space;
mod stubborn;

pub use bodies::{CompactError, CompactStore, Repoint, compact};
pub use dead::{Grounds, Known, Shard, is_dead, is_orphan, lies_past};
pub use due::{DueFacts, DueReason, checkpoint_due};
pub use pick::{Candidate, pick};
pub use space::{DriveSpace, Reserve, Room};
pub use stubborn::Stubborn;
