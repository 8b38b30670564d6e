//! The hashes of a body in one pass: in place while it is small, in a task beside it once it is large.
//!
//! MD5 is the slowest thing that happens to a large body. Beside its way, it runs on one core while another encodes the
//! same bytes. Owns no verdict: it says what it found.

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures::channel::mpsc;
use futures::{FutureExt, StreamExt};
use md5::{Digest, Md5};
use tokio::task::JoinHandle;

use crate::store::checksum::{Checksum, ChecksumAlgorithm, ChecksumHasher};

/// Bodies over this many bytes are hashed in a task of their own.
const BESIDE_BYTES: u64 = 256 * 1024;
/// Chunks that may wait for their hash: enough to even out, few enough to bound memory.
const CHUNKS_WAITING: usize = 2;

/// What one pass over a body found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Digests {
    pub(super) len: u64,
    pub(super) md5: [u8; 16],
    pub(super) checksum: Option<Checksum>,
}

/// A body's hashes while it comes in. Dropped before its end, it leaves nothing running.
pub(super) struct Hashing {
    len: u64,
    place: Place,
}

enum Place {
    Here(Hasher),
    Beside {
        chunks: mpsc::Sender<Bytes>,
        done: JoinHandle<Hasher>,
    },
    Ended,
}

struct Hasher {
    md5: Md5,
    checksum: Option<ChecksumHasher>,
}

impl Hasher {
    fn update(&mut self, bytes: &[u8]) {
        self.md5.update(bytes);
        if let Some(checksum) = &mut self.checksum {
            checksum.update(bytes);
        }
    }
}

/// The hashes were lost with their task: a bug, or the end of the process.
#[derive(Debug, thiserror::Error)]
#[error("the body could not be hashed to its end")]
pub(super) struct HashingLost;

impl Hashing {
    pub(super) fn new(checksum: Option<ChecksumAlgorithm>) -> Self {
        let checksum = checksum.map(ChecksumHasher::new);
        Self {
            len: 0,
            place: Place::Here(Hasher {
                md5: Md5::new(),
                checksum,
            }),
        }
    }

    /// Bytes taken so far.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Ready when a chunk may be taken.
    pub(super) fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), HashingLost>> {
        match &mut self.place {
            Place::Here(_) => Poll::Ready(Ok(())),
            Place::Beside { chunks, .. } => chunks.poll_ready(cx).map_err(|_| HashingLost),
            Place::Ended => Poll::Ready(Err(HashingLost)),
        }
    }

    /// Takes a chunk; only after `poll_ready`.
    pub(super) fn update(&mut self, chunk: &Bytes) -> Result<(), HashingLost> {
        self.len += chunk.len() as u64;
        match &mut self.place {
            Place::Here(hasher) => {
                hasher.update(chunk);
                if self.len > BESIDE_BYTES {
                    self.go_beside();
                }
                Ok(())
            }
            Place::Beside { chunks, .. } => chunks.start_send(chunk.clone()).map_err(|_| HashingLost),
            Place::Ended => Err(HashingLost),
        }
    }

    fn go_beside(&mut self) {
        self.place = match std::mem::replace(&mut self.place, Place::Ended) {
            Place::Here(mut hasher) => {
                let (chunks, mut waiting) = mpsc::channel::<Bytes>(CHUNKS_WAITING);
                let done = tokio::spawn(async move {
                    while let Some(chunk) = waiting.next().await {
                        hasher.update(&chunk);
                    }
                    hasher
                });
                Place::Beside { chunks, done }
            }
            place @ (Place::Beside { .. } | Place::Ended) => place,
        };
    }

    /// Ready, once, with the hashes of all that was taken.
    pub(super) fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Result<Digests, HashingLost>> {
        if let Place::Beside { chunks, .. } = &mut self.place {
            chunks.close_channel();
        }
        let hasher = match &mut self.place {
            Place::Here(_) => None,
            Place::Beside { done, .. } => Some(ready!(done.poll_unpin(cx)).map_err(|_| HashingLost)?),
            Place::Ended => return Poll::Ready(Err(HashingLost)),
        };
        let hasher = match (std::mem::replace(&mut self.place, Place::Ended), hasher) {
            (_, Some(hasher)) | (Place::Here(hasher), None) => hasher,
            (Place::Beside { .. } | Place::Ended, None) => return Poll::Ready(Err(HashingLost)),
        };
        Poll::Ready(Ok(Digests {
            len: self.len,
            md5: hasher.md5.finalize().into(),
            checksum: hasher.checksum.map(ChecksumHasher::finish),
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    async fn digests(bytes: &Bytes, chunk: usize) -> Digests {
        let mut hashing = Hashing::new(Some(ChecksumAlgorithm::Sha256));
        let mut rest = bytes.clone();
        while !rest.is_empty() {
            poll_fn(|cx| hashing.poll_ready(cx)).await.unwrap();
            hashing.update(&rest.split_to(rest.len().min(chunk))).unwrap();
        }
        let digests = poll_fn(|cx| hashing.poll_end(cx)).await.unwrap();
        assert!(poll_fn(|cx| hashing.poll_end(cx)).await.is_err());
        digests
    }

    #[tokio::test]
    async fn hashes_are_the_same_here_and_beside() {
        for len in [0, 1, 262_144, 262_145, 1_000_000] {
            let bytes: Bytes = (0..len).map(|i| ((i * 31) >> 3) as u8).collect();
            let expected = Digests {
                len: len as u64,
                md5: Md5::digest(&bytes).into(),
                checksum: Some(ChecksumAlgorithm::Sha256.of(&bytes)),
            };
            for chunk in [1_000, 100_000, 2_000_000] {
                assert_eq!(
                    digests(&bytes, chunk).await,
                    expected,
                    "{len} bytes in chunks of {chunk}"
                );
            }
        }
    }
}
