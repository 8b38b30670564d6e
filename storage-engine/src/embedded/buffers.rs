//! Large buffers that are used again. A fresh one costs more than what is done with it: the allocator hands large zeroed
//! memory out as pages the kernel has yet to give, one fault each. It never says what a buffer held before.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

/// Shorter buffers are left to the allocator, which keeps them at hand itself.
const LEN_MIN: usize = 16 * 1024;
/// Bytes one pool keeps for later.
const KEPT_BYTES_MAX: usize = 4 * 1024 * 1024;

#[derive(Default)]
struct Kept {
    /// The one that came back last goes out first: it may still be in the processor's cache.
    buffers: Vec<Vec<u8>>,
    bytes: usize,
}

impl Kept {
    fn take(&mut self) -> Option<Vec<u8>> {
        let buffer = self.buffers.pop()?;
        self.bytes -= buffer.len();
        Some(buffer)
    }

    fn put(&mut self, buffer: Vec<u8>) {
        if self.bytes + buffer.len() <= KEPT_BYTES_MAX {
            self.bytes += buffer.len();
            self.buffers.push(buffer);
        }
    }
}

/// A pool of buffers; clones share it.
#[derive(Clone, Default)]
pub struct Buffers {
    kept: Arc<Mutex<Kept>>,
}

impl Buffers {
    /// A buffer of `len` bytes that may hold anything: the caller fills all of it.
    pub fn take(&self, len: usize) -> Buffer {
        if len < LEN_MIN {
            return Buffer {
                bytes: vec![0; len],
                len,
                home: None,
            };
        }
        let mut bytes = self.kept.lock().take().unwrap_or_default();
        if bytes.len() < len {
            bytes.resize(len, 0);
        }
        Buffer {
            bytes,
            len,
            home: Some(self.clone()),
        }
    }
}

/// A buffer that goes back to its pool when nobody holds it any more.
pub struct Buffer {
    /// At least `len` bytes.
    bytes: Vec<u8>,
    len: usize,
    home: Option<Buffers>,
}

impl Buffer {
    /// Gives it out for reading.
    pub fn freeze(mut self) -> Bytes {
        match self.home {
            Some(_) => Bytes::from_owner(self),
            None => std::mem::take(&mut self.bytes).into(),
        }
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or(&self.bytes)
    }
}

impl AsMut<[u8]> for Buffer {
    fn as_mut(&mut self) -> &mut [u8] {
        let len = self.len.min(self.bytes.len());
        self.bytes.split_at_mut(len).0
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Some(home) = &self.home {
            home.kept.lock().put(std::mem::take(&mut self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_used_again_once_its_last_reader_is_gone() {
        let buffers = Buffers::default();
        let mut first = buffers.take(100_000);
        first.as_mut().fill(7);
        let at = first.as_ref().as_ptr();
        let bytes = first.freeze();
        let slice = bytes.slice(10..20);
        drop(bytes);
        assert_ne!(buffers.take(100_000).as_ref().as_ptr(), at, "a reader still holds it");
        assert_eq!(slice, [7; 10].as_slice());
        drop(slice);
        let again = buffers.take(50_000);
        assert_eq!(again.as_ref().as_ptr(), at);
        assert_eq!(again.as_ref().len(), 50_000);
        assert_eq!(again.freeze().len(), 50_000);
    }

    #[test]
    fn no_more_is_kept_than_allowed() {
        let buffers = Buffers::default();
        drop((0..100).map(|_| buffers.take(1 << 20)).collect::<Vec<_>>());
        assert_eq!(buffers.kept.lock().bytes, KEPT_BYTES_MAX);
        drop(buffers.take(KEPT_BYTES_MAX * 2));
        assert!(buffers.kept.lock().bytes <= KEPT_BYTES_MAX);
    }

    #[test]
    fn short_ones_are_plain_memory() {
        let buffers = Buffers::default();
        assert_eq!(buffers.take(0).freeze(), Bytes::new());
        assert_eq!(buffers.take(5).freeze(), [0; 5].as_slice());
        assert_eq!(buffers.kept.lock().bytes, 0);
    }
}
