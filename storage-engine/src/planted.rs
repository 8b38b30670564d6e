//! Bugs planted in the engine in its own tests only, one per process, to prove that the model, the power cuts and the
//! crash states see such bugs.
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
    /// Directories are never synced (armed by the test's fault plan).
    NoDirectorySync,
    /// A batch is answered before its sync, which follows a moment later.
    EarlyAnswer,
    /// A start takes the index that is there for good, whatever its marker says.
    IndexTrusted,
    /// A checkpoint holds the rows that the index has, not those of the log.
    CheckpointFromIndex,
    /// A frame verifies in the file of another shard of its segment.
    ShardNotBound,
    /// A start serves the last batch from where it found it and does not write it again.
    TailNotRewritten,
    /// Healing writes over the file that stands.
    RepairInPlace,
    /// A replay takes records behind the valid length of a sealed segment.
    SealIgnored,
    /// Root slots are never synced (armed by the test's fault plan).
    RootNotSynced,
    /// Healing puts a file in its place that was not synced (armed by the test's fault plan).
    HealNotSynced,
    /// Healing does not look at what it wrote.
    NoReadBack,
    /// Healing writes the bytes of the next shard.
    HealWrongShard,
    /// What is made while drives are away does not say how wide it could have been.
    WidthForgotten,
    /// A batch is answered before it is visible, which follows a moment later.
    AnswerBeforeApply,
    /// A page of a listing that is not the first leaves its first key out.
    SkippedKey,
    /// What a batch changes in a catalogue is committed behind the rest of it (by the backend of the tests that look for it).
    CatalogueApart,
    /// What a batch writes down for those who listen is committed behind the rest of it (by the same backend).
    EventsApart,
}

impl Bug {
    /// Bugs that only a crash, or what it leaves behind, brings to light.
    pub(crate) const OF_CRASHES: [Self; 11] = [
        Self::SkippedSync,
        Self::NoDirectorySync,
        Self::EarlyAnswer,
        Self::IndexTrusted,
        Self::CheckpointFromIndex,
        Self::ShardNotBound,
        Self::TailNotRewritten,
        Self::RepairInPlace,
        Self::SealIgnored,
        Self::CatalogueApart,
        Self::EventsApart,
    ];

    /// Bugs that some state shows which a cut of the power may leave.
    pub(crate) const OF_STATES: [Self; 11] = [
        Self::SkippedSync,
        Self::NoDirectorySync,
        Self::EarlyAnswer,
        Self::RootNotSynced,
        Self::IndexTrusted,
        Self::TailNotRewritten,
        Self::RepairInPlace,
        Self::HealNotSynced,
        Self::SealIgnored,
        Self::CatalogueApart,
        Self::EventsApart,
    ];

    /// Bugs of healing.
    pub(crate) const OF_HEALING: [Self; 3] = [Self::HealNotSynced, Self::NoReadBack, Self::HealWrongShard];

    /// Bugs of the widening of what was written while drives were away.
    pub(crate) const OF_WIDENING: [Self; 1] = [Self::WidthForgotten];

    /// Bugs that show in what clients see at once.
    pub(crate) const OF_HISTORIES: [Self; 3] = [Self::StaleRow, Self::AnswerBeforeApply, Self::SkippedKey];

    /// Bugs that sequences of the model find.
    pub(crate) const ALL: [Self; 11] = [
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
        Self::CatalogueApart,
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
        let crashes = Bug::OF_CRASHES.into_iter().chain(Bug::OF_STATES);
        let mut all = Bug::ALL
            .into_iter()
            .chain(crashes)
            .chain(Bug::OF_HISTORIES)
            .chain(Bug::OF_HEALING)
            .chain(Bug::OF_WIDENING);
        all.find(|bug| bug.name() == name)
    })
}

/// Whether this process has this bug.
pub(crate) fn is(bug: Bug) -> bool {
    selected() == Some(bug)
}
