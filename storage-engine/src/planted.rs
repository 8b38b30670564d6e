//! Bugs planted in the engine in its own tests only, one per process, to prove that the model sees such bugs.
//!
//! The places are marked `planted::is`; none of them exists in a build that is not a test's.

use std::sync::OnceLock;

/// Names the bug that a test process has.
pub(crate) const VARIABLE: &str = "DRYSTONE_PLANTED";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bug {
    /// Syncs of log files only pretend (armed by the test's fault plan).
    SkippedSync,
    /// An answer is given with k − 1 shards written (armed by the test's fault plan).
    AckedAtKMinusOne,
    /// Reads of a part of a stripe do not look at its checksum.
    UncheckedRange,
    /// A listing ends one page early.
    LostLastPage,
    /// An object that replaces another keeps its ETag.
    OldETag,
    /// Complete leaves a part's bytes out.
    ForgottenPart,
    /// A segment that still has live bytes counts as dead.
    DeadWhileLive,
    /// A replay of the log overlooks deletes.
    ResurrectedDelete,
    /// The index keeps the old row when one with a body is replaced.
    StaleRow,
    /// A write that is older by the clock than what stands is dropped.
    ClockOrder,
}

impl Bug {
    pub(crate) const ALL: [Self; 10] = [
        Self::SkippedSync,
        Self::AckedAtKMinusOne,
        Self::UncheckedRange,
        Self::LostLastPage,
        Self::OldETag,
        Self::ForgottenPart,
        Self::DeadWhileLive,
        Self::ResurrectedDelete,
        Self::StaleRow,
        Self::ClockOrder,
    ];

    pub(crate) fn name(self) -> String {
        format!("{self:?}")
    }
}

/// The bug this process has, if any.
pub(crate) fn selected() -> Option<Bug> {
    static SELECTED: OnceLock<Option<Bug>> = OnceLock::new();
    *SELECTED.get_or_init(|| {
        let name = std::env::var(VARIABLE).ok()?;
        Bug::ALL.into_iter().find(|bug| bug.name() == name)
    })
}

/// Whether this process has this bug.
pub(crate) fn is(bug: Bug) -> bool {
    selected() == Some(bug)
}
