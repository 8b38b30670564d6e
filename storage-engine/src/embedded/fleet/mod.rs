//! The life of the drives of a running store: added, drained, kept after all, removed, replaced, and the parity of what is
//! written from now on. It owns the rules of who may become or stop being a member and makes each change count in the
//! root, by both tables, one change at a time; a drain and a rebalance it only orders. It never moves a shard: that is done
//! segment by segment under `heal`, which finds its work by looking at the root; and it never touches a file of a drive.

mod joint;
mod orders;
mod rules;

pub(in crate::embedded) use self::joint::{Refusing, change_members, settle};
pub use self::orders::DriveChange;

/// Why an order about drives was not carried out. Nothing was changed, unless it is said.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FleetError {
    /// No member has this id or path.
    #[error("no drive of the store is called {0}; 'drive list' shows their paths and ids")]
    Unknown(String),
    /// The order itself makes no sense, however the store stands.
    #[error("{0}")]
    Invalid(String),
    /// It would take away what the store needs, or does not fit how it stands.
    #[error("{0}")]
    Refused(String),
    /// The store cannot be changed now.
    #[error("{0}")]
    Unavailable(String),
}
