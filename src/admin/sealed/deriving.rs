//! Sealing and opening for the admin API: on threads of their own, a few at a time.
//!
//! Each derivation of a key takes 64 MiB, so their number is bounded, whoever asks, and an access key has one at a time: it
//! holds up itself, not others. Callers have proved who they are and their bodies are small before anything is derived.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use super::{Header, SealError, Suite};
use crate::auth::SecretKey;

/// Derivations at once, over all callers.
const AT_ONCE: usize = 2;
/// Derivations of one access key: the one that is done, and those that wait for it.
const OF_ONE_KEY_MAX: usize = 16;

/// Opens and seals bodies; clones share the bounds.
#[derive(Clone)]
pub struct Sealer {
    turns: Arc<Semaphore>,
    lanes: Arc<Mutex<HashMap<String, Lane>>>,
}

/// The derivations of one access key.
struct Lane {
    turn: Arc<Semaphore>,
    count: usize,
}

/// A place in the lane of an access key; the lane goes with the last one.
struct Place {
    lanes: Arc<Mutex<HashMap<String, Lane>>>,
    access_key: String,
    turn: Arc<Semaphore>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut lanes = self.lanes.lock();
        if let Some(lane) = lanes.get_mut(&self.access_key) {
            lane.count = lane.count.saturating_sub(1);
            if lane.count == 0 {
                lanes.remove(&self.access_key);
            }
        }
    }
}

impl Default for Sealer {
    fn default() -> Self {
        Self {
            turns: Arc::new(Semaphore::new(AT_ONCE)),
            lanes: Arc::default(),
        }
    }
}

impl Sealer {
    /// What `body` says under the caller's secret.
    pub async fn open(
        &self,
        access_key: &str,
        secret: SecretKey,
        body: Bytes,
    ) -> Result<Zeroizing<Vec<u8>>, SealError> {
        // Looked at first: what is no sealed body costs no memory.
        let (header, _) = Header::split(&body)?;
        self.apart(access_key, move || {
            let (_, fragments) = Header::split(&body)?;
            header.open(&header.derive(secret.expose())?, fragments)
        })
        .await
    }

    /// The body that says `text` under the caller's secret, in the suite that every client reads.
    pub async fn seal(
        &self,
        access_key: &str,
        secret: SecretKey,
        text: Zeroizing<Vec<u8>>,
    ) -> Result<Vec<u8>, SealError> {
        let (mut salt, mut prefix) = ([0; 32], [0; 8]);
        getrandom::fill(&mut salt).map_err(|_| SealError::Unable)?;
        getrandom::fill(&mut prefix).map_err(|_| SealError::Unable)?;
        let header = Header {
            suite: Suite::Argon2idAes256Gcm,
            salt,
            prefix,
        };
        self.apart(access_key, move || header.seal(&header.derive(secret.expose())?, &text))
            .await
    }

    fn place(&self, access_key: &str) -> Result<Place, SealError> {
        let mut lanes = self.lanes.lock();
        let lane = lanes.entry(access_key.to_owned()).or_insert_with(|| Lane {
            turn: Arc::new(Semaphore::new(1)),
            count: 0,
        });
        if lane.count >= OF_ONE_KEY_MAX {
            return Err(SealError::Busy);
        }
        lane.count += 1;
        Ok(Place {
            lanes: Arc::clone(&self.lanes),
            access_key: access_key.to_owned(),
            turn: Arc::clone(&lane.turn),
        })
    }

    async fn apart<T: Send + 'static>(
        &self,
        access_key: &str,
        work: impl FnOnce() -> Result<T, SealError> + Send + 'static,
    ) -> Result<T, SealError> {
        let place = self.place(access_key)?;
        let own_turn = Arc::clone(&place.turn).acquire_owned().await;
        let own_turn = own_turn.map_err(|_closed| SealError::Unable)?;
        let turn = Arc::clone(&self.turns).acquire_owned().await;
        let turn = turn.map_err(|_closed| SealError::Unable)?;
        let work = tokio::task::spawn_blocking(move || {
            // Held by the work itself: a caller who goes away frees no memory that is still in use.
            let _held = (turn, own_turn, place);
            work()
        });
        work.await.unwrap_or(Err(SealError::Unable))
    }
}
