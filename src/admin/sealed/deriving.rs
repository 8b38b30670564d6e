//! Sealing and opening for the admin API: on threads of their own, a few at a time.
//!
//! Each derivation of a key takes 64 MiB, so their number is bounded, whoever asks. Callers have proved who they are and
//! their bodies are small before anything is derived.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use super::{Header, SealError, Suite};
use crate::auth::SecretKey;

/// Derivations at once, over all callers.
const AT_ONCE: usize = 2;

/// Opens and seals bodies; clones share the bound.
#[derive(Clone)]
pub struct Sealer(Arc<Semaphore>);

impl Default for Sealer {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }
}

impl Sealer {
    /// What `body` says under the caller's secret.
    pub async fn open(&self, secret: SecretKey, body: Bytes) -> Result<Zeroizing<Vec<u8>>, SealError> {
        // Looked at first: what is no sealed body costs no memory.
        let (header, _) = Header::split(&body)?;
        self.apart(move || {
            let (_, fragments) = Header::split(&body)?;
            header.open(&header.derive(secret.expose())?, fragments)
        })
        .await
    }

    /// The body that says `text` under the caller's secret, in the suite that every client reads.
    pub async fn seal(&self, secret: SecretKey, text: Zeroizing<Vec<u8>>) -> Result<Vec<u8>, SealError> {
        let (mut salt, mut prefix) = ([0; 32], [0; 8]);
        getrandom::fill(&mut salt).map_err(|_| SealError::Unable)?;
        getrandom::fill(&mut prefix).map_err(|_| SealError::Unable)?;
        let header = Header {
            suite: Suite::Argon2idAes256Gcm,
            salt,
            prefix,
        };
        self.apart(move || header.seal(&header.derive(secret.expose())?, &text))
            .await
    }

    async fn apart<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, SealError> + Send + 'static,
    ) -> Result<T, SealError> {
        let turn = Arc::clone(&self.0).acquire_owned().await;
        let turn = turn.map_err(|_closed| SealError::Unable)?;
        let work = tokio::task::spawn_blocking(move || {
            // Held by the work itself: a caller who goes away frees no memory that is still in use.
            let _turn = turn;
            work()
        });
        work.await.unwrap_or(Err(SealError::Unable))
    }
}
