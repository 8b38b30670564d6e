//! One writer at a time for each resumable upload, and the newest wins: whoever comes ends the one before.
//!
//! A client that lost its connection comes back before the server has noticed. Owns who is the newest; what an older
//! writer does with what it has is its own business.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{OwnedMutexGuard, watch};

use crate::store::Store;
use crate::store::name::UploadId;

/// The uploads that this process changes just now.
#[derive(Default)]
pub(in crate::store) struct Writers(Mutex<HashMap<UploadId, Arc<Slot>>>);

#[derive(Default)]
struct Slot {
    turn: Arc<tokio::sync::Mutex<()>>,
    /// Counts who came.
    newest: watch::Sender<u64>,
}

/// A newer request about the same upload came while this one waited.
#[derive(Debug)]
pub(super) struct Superseded;

/// The right to change one upload. Ends when it is dropped.
pub(super) struct Turn {
    store: Store,
    id: UploadId,
    mine: u64,
    slot: Option<Arc<Slot>>,
    held: Option<OwnedMutexGuard<()>>,
}

impl Turn {
    /// Ends whoever writes to the upload now, and waits until that one has stored what it has.
    pub(super) async fn take(store: &Store, id: &UploadId) -> Result<Self, Superseded> {
        let slot = Arc::clone(store.inner.writers.0.lock().entry(*id).or_default());
        let mut mine = 0;
        slot.newest.send_modify(|newest| {
            *newest += 1;
            mine = *newest;
        });
        let waiting = Arc::clone(&slot.turn);
        let mut turn = Self {
            store: store.clone(),
            id: *id,
            mine,
            slot: Some(Arc::clone(&slot)),
            held: None,
        };
        turn.held = Some(waiting.lock_owned().await);
        if *slot.newest.borrow() == mine {
            Ok(turn)
        } else {
            Err(Superseded)
        }
    }

    /// Ready as soon as somebody else wants to change the upload.
    pub(super) fn superseded(&self) -> impl Future<Output = ()> + Send + 'static {
        let (newest, mine) = (self.slot.as_ref().map(|slot| slot.newest.subscribe()), self.mine);
        async move {
            if let Some(mut newest) = newest
                && newest.wait_for(|newest| *newest != mine).await.is_ok()
            {
                return;
            }
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut writers = self.store.inner.writers.0.lock();
        self.held = None;
        self.slot = None;
        if writers.get(&self.id).is_some_and(|slot| Arc::strong_count(slot) == 1) {
            writers.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::memory::MemoryBackend;
    use crate::store::Epoch;
    use crate::store::clock::SystemClock;

    #[tokio::test]
    async fn whoever_comes_ends_the_one_before_and_of_those_who_wait_the_last_goes_on() {
        let store = Store::new(Arc::new(MemoryBackend::new()), Arc::new(SystemClock), Epoch([1; 16]));
        let id = UploadId::from_bytes([7; 16]);
        let first = Turn::take(&store, &id).await.unwrap();
        let ended = first.superseded();
        let waiting = |store: Store| tokio::spawn(async move { Turn::take(&store, &id).await.map(drop).is_ok() });
        let second = waiting(store.clone());
        tokio::time::timeout(Duration::from_secs(60), ended)
            .await
            .expect("the second ends the first");
        let third = waiting(store.clone());
        let fourth_came = || *first.slot.as_ref().unwrap().newest.borrow() == 3;
        while !fourth_came() {
            tokio::task::yield_now().await;
        }
        drop(first);
        assert!(!second.await.unwrap() && third.await.unwrap());
        assert!(store.inner.writers.0.lock().is_empty());
    }
}
