//! A request's turn: one of the so many that are answered at a time (`requests_max`). It never says who waits for one.

use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;

/// In the extensions of a request that had to wait for its turn. Clones are one turn; it is the next request's when all of
/// them are gone, so what goes on for a request that its caller has left keeps one.
#[derive(Clone, Debug)]
pub struct Turn {
    _held: Arc<OwnedSemaphorePermit>,
}

impl Turn {
    /// The turn that this permit stands for.
    pub fn of(permit: OwnedSemaphorePermit) -> Self {
        Self {
            _held: Arc::new(permit),
        }
    }
}
