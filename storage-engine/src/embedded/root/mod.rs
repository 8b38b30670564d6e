//! The root: the small record on every member that says which state is newest. This module owns its form, the rules of
//! who may speak for the store (`elect`) and the procedure that changes it (`keeper`); it never reads the log.

mod elect;
mod keeper;
mod state;

pub use elect::{Election, Refusal, elect};
pub use keeper::{RootError, RootKeeper};
#[cfg(test)]
pub use state::tests as tests_support;
pub use state::{
    LogSegment, MEMBERS_MAX, Member, MemberState, Root, RootSlot, decode_slot, encode_slot, is_newer_slot,
};
