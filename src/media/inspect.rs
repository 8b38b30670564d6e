//! What is seen of a file's bytes as they pass: how many, their SHA-256, their type, the size of the image they are.
//!
//! Owns the accumulation, with at most [`HEADER_BYTES`](super::HEADER_BYTES) kept. It never reads and never stores.

use aws_lc_rs::digest::{Context, SHA256};

use super::header::{Dimensions, HEADER_BYTES, dimensions};
use super::sniff::{SNIFF_BYTES, sniff};

/// A file that is being looked at.
pub struct Inspection {
    head: Vec<u8>,
    size: u64,
    hash: Context,
}

/// What was seen of all of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspected {
    pub size: u64,
    pub sha256: [u8; 32],
    pub sniffed: Option<&'static str>,
    pub dimensions: Option<Dimensions>,
}

impl Default for Inspection {
    fn default() -> Self {
        Self {
            head: Vec::new(),
            size: 0,
            hash: Context::new(&SHA256),
        }
    }
}

impl Inspection {
    /// Looks at the bytes that come next.
    pub fn feed(&mut self, bytes: &[u8]) {
        let room = HEADER_BYTES.saturating_sub(self.head.len());
        self.head.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
        self.hash.update(bytes);
        self.size = self.size.saturating_add(bytes.len() as u64);
    }

    /// Whether so many bytes passed that [`Self::sniffed`] does not change any more.
    pub fn is_known(&self) -> bool {
        self.head.len() > SNIFF_BYTES
    }

    /// What the bytes are, as far as they passed.
    pub fn sniffed(&self) -> Option<&'static str> {
        sniff(&self.head)
    }

    /// What was seen, when all bytes passed.
    pub fn finish(self) -> Inspected {
        let mut sha256 = [0; 32];
        let digest = self.hash.finish();
        for (byte, seen) in sha256.iter_mut().zip(digest.as_ref()) {
            *byte = *seen;
        }
        Inspected {
            size: self.size,
            sha256,
            sniffed: sniff(&self.head),
            dimensions: dimensions(&self.head),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Inspection;
    use crate::auth::sha256;
    use crate::media::{dimensions, sniff};

    proptest! {
        #[test]
        fn it_sees_the_same_in_whatever_pieces(
            start in prop::sample::select(vec![&b"<html>"[..], b"GIF89a\x0A\0\x14\0", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x02", b"text"]),
            rest in prop::collection::vec(any::<u8>(), 0..100_000),
            step in 1..70_000_usize,
        ) {
            let bytes = [start, &rest].concat();
            let mut inspection = Inspection::default();
            for piece in bytes.chunks(step) {
                inspection.feed(piece);
                if inspection.is_known() {
                    prop_assert_eq!(inspection.sniffed(), sniff(&bytes));
                }
            }
            let seen = inspection.finish();
            prop_assert_eq!(seen.size, bytes.len() as u64);
            prop_assert_eq!(seen.sha256, sha256(&bytes));
            prop_assert_eq!(seen.sniffed, sniff(&bytes));
            prop_assert_eq!(seen.dimensions, dimensions(&bytes));
        }
    }
}
