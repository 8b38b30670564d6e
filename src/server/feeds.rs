//! What a running server tells those who listen: one feed of each kind, all of them closed when it stops.

use crate::admin::Streams;
use crate::s3::Happened;
use crate::telemetry::feed::Feed;
use crate::telemetry::journal::Journal;
use crate::telemetry::trace::Traced;

#[derive(Clone, Debug, Default)]
pub(super) struct Feeds {
    pub(super) trace: Feed<Traced>,
    pub(super) journal: Journal,
    /// Nothing is told in it: it counts and ends those who are sent samples.
    pub(super) samples: Feed<()>,
    pub(super) events: Feed<Happened>,
}

impl Feeds {
    /// Those for operators.
    pub(super) fn of_operators(&self) -> Streams {
        Streams {
            trace: self.trace.clone(),
            journal: self.journal.clone(),
            samples: self.samples.clone(),
        }
    }

    /// Answers that have no end of their own end now.
    pub(super) fn close(&self) {
        self.trace.close();
        self.journal.close();
        self.samples.close();
        self.events.close();
    }
}
