//! Housekeeping and healing whenever a test says so, and not when they are due.

use std::sync::Arc;

use super::Housekeeper;
use crate::backend::Key;
use crate::embedded::Embedded;
use crate::embedded::heal::{HealOptions, Healer, moving};
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
        self.0.sweep_orphans(&running.shared).await?;
        self.0.sweep_brought(&running.shared, committer).await;
        Ok(())
    }

    /// Writes anew what was written while drives were away, as far as that can be done now.
    pub(crate) async fn widen(store: &Embedded) -> Result<(), String> {
        let running = store.running()?;
        let committer = running.committer.as_ref().ok_or("the store is read-only")?;
        moving::move_now(&running.shared, committer).await
    }

    /// How many shards each segment has that holds live bytes.
    pub(crate) fn widths(store: &Embedded) -> Result<Vec<usize>, String> {
        let running = store.running()?;
        let table = &running.shared.table;
        let live = table.live_ids().into_iter().filter_map(|id| table.segment(id));
        Ok(live.map(|segment| segment.geometry.shards()).collect())
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

    /// Makes anew what is known to be missing or bad, once.
    ///
    /// # Errors
    /// Something is left to be done.
    pub(crate) async fn heal(store: &Embedded) -> Result<(), String> {
        let running = store.running()?;
        let committer = running.committer.clone().ok_or("the store is read-only")?;
        let healer = Healer::new(Arc::clone(&running.shared), committer, HealOptions::default());
        match healer.ok_or("the store is read-only")?.round().await {
            true => Ok(()),
            false => Err("it is not whole".to_owned()),
        }
    }
}
