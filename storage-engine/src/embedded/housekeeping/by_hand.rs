//! Housekeeping whenever a test says so, and not when it is due.

use super::Housekeeper;
use crate::backend::Key;
use crate::embedded::Embedded;
use crate::embedded::record::RowOp;

/// What looks after one run of a store, by hand.
pub(crate) struct ByHand(Housekeeper);

impl ByHand {
    pub(crate) fn of(store: &Embedded) -> Result<Self, String> {
        let running = store.running()?;
        Housekeeper::new(&running.shared)
            .map(Self)
            .ok_or_else(|| "no log segment is open".to_owned())
    }

    /// A checkpoint, and what it allows to be deleted.
    pub(crate) async fn checkpoint(&mut self, store: &Embedded) -> Result<(), String> {
        let running = store.running()?;
        let committer = running.committer.as_ref().ok_or("the store is read-only")?;
        self.0.make_checkpoint(&running.shared, committer).await?;
        self.0.free_dead(&running.shared, committer).await?;
        self.0.sweep_orphans(&running.shared).await
    }

    /// Takes a row out of the index alone, as a database does that loses one silently.
    pub(crate) fn lose_from_index(store: &Embedded, key: &Key) -> Result<(), String> {
        let running = store.running()?;
        let lost = RowOp::Delete {
            key: key.as_bytes().to_vec().into(),
        };
        let applied = running.shared.index.apply(&[lost]);
        applied.map_err(|error| error.to_string())
    }

    /// Compaction as if space were short.
    pub(crate) async fn compact(&mut self, store: &Embedded) -> Result<(), String> {
        let running = store.running()?;
        let committer = running.committer.as_ref().ok_or("the store is read-only")?;
        self.0.compact(&running.shared, committer, true).await
    }
}
