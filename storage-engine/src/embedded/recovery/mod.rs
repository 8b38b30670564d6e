//! From given paths to a running store: find the drives, choose the root, format or adopt where that is allowed,
//! rebuild or accept the index, decide the log's tail, and begin a new log segment. Every step up to the first change
//! of the root only reads. It serves no request.

mod adopt;
mod adoption;
mod enlist;
mod find;
mod format;
mod identity;
mod index_build;
mod patience;
mod rejoin;
mod replay;
mod start;
mod tail;
#[cfg(test)]
mod tests;
mod unfinished;

pub use enlist::{EnlistError, enlist, judge};
pub use find::OpenError;
pub use patience::Patience;
pub use rejoin::rejoin;
pub use replay::{ReplayError, Verdict, replay};
pub use start::{Occasion, OpenOptions, Started, start};
