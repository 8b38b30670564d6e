//! SHA-256 and its hexadecimal form, by aws-lc-rs.

use aws_lc_rs::digest::{Context, SHA256, digest};

/// SHA-256 of no bytes at all.
pub(super) const EMPTY_SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// 32 bytes as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy)]
pub(super) struct HexHash([u8; 64]);

impl HexHash {
    pub(super) fn of(hash: &[u8; 32]) -> Self {
        let mut text = [0; 64];
        let _ = hex_simd::encode(hash, hex_simd::Out::from_slice(&mut text), hex_simd::AsciiCase::Lower);
        Self(text)
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn as_str(&self) -> &str {
        // Only digits and letters are ever written into it.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// SHA-256 of bytes that are all there.
pub(super) fn sha256_hex(bytes: &[u8]) -> HexHash {
    HexHash::of(&sha256(bytes))
}

/// SHA-256 of bytes that are all there.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    to_array(digest(&SHA256, bytes).as_ref())
}

/// SHA-256 of bytes that come in pieces.
pub(super) struct Sha256(Context);

impl Sha256 {
    pub(super) fn new() -> Self {
        Self(Context::new(&SHA256))
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The hash of everything since the start or the last call; starts over.
    pub(super) fn take(&mut self) -> [u8; 32] {
        let done = std::mem::replace(&mut self.0, Context::new(&SHA256));
        to_array(done.finish().as_ref())
    }
}

/// A SHA-256 (or an HMAC with it) is 32 bytes by definition; a bug alone could make it anything else.
pub(super) fn to_array(hash: &[u8]) -> [u8; 32] {
    hash.try_into().expect("SHA-256 has 32 bytes")
}
