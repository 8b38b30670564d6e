//! Bodies that are encrypted with the secret key of whoever signed the request, as MinIO's admin clients do it. Pure:
//! bytes, salt and nonce come as arguments; [`deriving`] is where the time and the memory go.
//!
//! ```text
//! 0   32   salt
//! 32   1   suite: how the key is derived and which AEAD seals
//! 33   8   nonce prefix
//! 41       fragments: 16 KiB of text each (the last one less), every one followed by its tag of 16 bytes
//! ```
//! A fragment's nonce is the prefix and its number from 1 on. Its associated data is a flag (the last one or not) and the tag
//! of an empty text under number 0, so no fragment can be left out, moved, or taken from another message.

pub mod deriving;

use std::num::NonZeroU32;

use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::aead::{AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::pbkdf2;
use zeroize::Zeroizing;

const SALT_BYTES: usize = 32;
const PREFIX_BYTES: usize = 8;
const HEADER_BYTES: usize = SALT_BYTES + 1 + PREFIX_BYTES;
const TAG_BYTES: usize = 16;
const FRAGMENT_BYTES: usize = 16 * 1024;
const KEY_BYTES: usize = 32;

/// Of Argon2id: passes, KiB, lanes.
const ARGON2: (u32, u32, u32) = (1, 64 * 1024, 4);
const PBKDF2_ROUNDS: NonZeroU32 = NonZeroU32::new(8192).expect("8192 is not 0");

/// Flags in a fragment's associated data.
const MORE: u8 = 0x00;
const LAST: u8 = 0x80;

/// Why a sealed body cannot be opened, or made. It tells nothing about the secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Too short to be one, or sealed in a way that is not known.
    #[error("the body is not encrypted as the admin API's clients do it")]
    Unknown,
    /// Another secret, or a body that is not whole.
    #[error("the body does not open with the secret key of the caller")]
    Wrong,
    /// Too many bodies of the same caller wait already.
    #[error("too many encrypted requests of this access key wait already")]
    Busy,
    /// No memory for the key's derivation, or a text longer than fragments can be numbered.
    #[error("the body cannot be encrypted")]
    Unable,
}

/// How the key is derived and what seals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suite {
    Argon2idAes256Gcm,
    Argon2idChaCha20Poly1305,
    Pbkdf2Aes256Gcm,
}

impl Suite {
    fn parse(id: u8) -> Option<Self> {
        match id {
            0 => Some(Self::Argon2idAes256Gcm),
            1 => Some(Self::Argon2idChaCha20Poly1305),
            2 => Some(Self::Pbkdf2Aes256Gcm),
            _ => None,
        }
    }

    fn id(self) -> u8 {
        match self {
            Self::Argon2idAes256Gcm => 0,
            Self::Argon2idChaCha20Poly1305 => 1,
            Self::Pbkdf2Aes256Gcm => 2,
        }
    }
}

/// What stands before the fragments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub suite: Suite,
    pub salt: [u8; SALT_BYTES],
    pub prefix: [u8; PREFIX_BYTES],
}

impl Header {
    /// Takes a body apart: its header, and the fragments.
    pub fn split(body: &[u8]) -> Result<(Self, &[u8]), SealError> {
        let (salt, rest) = body.split_first_chunk::<SALT_BYTES>().ok_or(SealError::Unknown)?;
        let (suite, rest) = rest.split_first().ok_or(SealError::Unknown)?;
        let (prefix, fragments) = rest.split_first_chunk::<PREFIX_BYTES>().ok_or(SealError::Unknown)?;
        let header = Self {
            suite: Suite::parse(*suite).ok_or(SealError::Unknown)?,
            salt: *salt,
            prefix: *prefix,
        };
        Ok((header, fragments))
    }

    /// The key of a message under a password. Argon2id takes 64 MiB and tens of milliseconds: never on a thread that
    /// serves requests.
    pub fn derive(&self, password: &[u8]) -> Result<MessageKey, SealError> {
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        match self.suite {
            Suite::Argon2idAes256Gcm | Suite::Argon2idChaCha20Poly1305 => {
                let (passes, kib, lanes) = ARGON2;
                let params = Params::new(kib, passes, lanes, Some(KEY_BYTES)).map_err(|_| SealError::Unable)?;
                Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
                    .hash_password_into(password, &self.salt, key.as_mut_slice())
                    .map_err(|_| SealError::Unable)?;
            }
            Suite::Pbkdf2Aes256Gcm => {
                let out = key.as_mut_slice();
                pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, PBKDF2_ROUNDS, &self.salt, password, out);
            }
        }
        Ok(MessageKey(key))
    }

    /// The whole body that says `text`.
    pub fn seal(&self, key: &MessageKey, text: &[u8]) -> Result<Vec<u8>, SealError> {
        let stream = Stream::new(self, key)?;
        let fragments = text.len().div_ceil(FRAGMENT_BYTES).max(1);
        let mut body = Vec::with_capacity(HEADER_BYTES + text.len() + fragments * TAG_BYTES);
        body.extend_from_slice(&self.salt);
        body.push(self.suite.id());
        body.extend_from_slice(&self.prefix);
        let mut rest = text;
        for number in 1_u32.. {
            let (fragment, after) = rest.split_at_checked(FRAGMENT_BYTES).unwrap_or((rest, &[]));
            let last = after.is_empty();
            let mut piece = fragment.to_vec();
            let sealed = stream.key.seal_in_place_append_tag(
                stream.nonce(number),
                Aad::from(stream.associated(last)),
                &mut piece,
            );
            sealed.map_err(|_| SealError::Unable)?;
            body.append(&mut piece);
            if last {
                return Ok(body);
            }
            rest = after;
        }
        Err(SealError::Unable)
    }

    /// What the fragments say; all of it or nothing.
    pub fn open(&self, key: &MessageKey, fragments: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let stream = Stream::new(self, key)?;
        let mut text = Zeroizing::new(Vec::with_capacity(fragments.len()));
        let mut rest = fragments;
        for number in 1_u32.. {
            let (fragment, after) = rest.split_at_checked(FRAGMENT_BYTES + TAG_BYTES).unwrap_or((rest, &[]));
            let last = after.is_empty();
            let mut piece = Zeroizing::new(fragment.to_vec());
            let associated = Aad::from(stream.associated(last));
            let opened = stream.key.open_in_place(stream.nonce(number), associated, &mut piece);
            text.extend_from_slice(opened.map_err(|_| SealError::Wrong)?);
            if last {
                return Ok(text);
            }
            rest = after;
        }
        Err(SealError::Wrong)
    }
}

/// The key of one message; wiped when it goes, and never shown.
pub struct MessageKey(Zeroizing<[u8; KEY_BYTES]>);

impl MessageKey {
    /// A key that was derived elsewhere.
    pub fn new(bytes: [u8; KEY_BYTES]) -> Self {
        Self(Zeroizing::new(bytes))
    }
}

/// What all fragments of a message share.
struct Stream {
    key: LessSafeKey,
    prefix: [u8; PREFIX_BYTES],
    /// The tag of an empty text under number 0.
    binding: [u8; TAG_BYTES],
}

impl Stream {
    fn new(header: &Header, key: &MessageKey) -> Result<Self, SealError> {
        let algorithm = match header.suite {
            Suite::Argon2idAes256Gcm | Suite::Pbkdf2Aes256Gcm => &AES_256_GCM,
            Suite::Argon2idChaCha20Poly1305 => &CHACHA20_POLY1305,
        };
        let key = UnboundKey::new(algorithm, key.0.as_slice()).map_err(|_| SealError::Unable)?;
        let mut stream = Self {
            key: LessSafeKey::new(key),
            prefix: header.prefix,
            binding: [0; TAG_BYTES],
        };
        let empty = stream
            .key
            .seal_in_place_separate_tag(stream.nonce(0), Aad::empty(), &mut []);
        let tag = empty.map_err(|_| SealError::Unable)?;
        stream.binding = tag.as_ref().try_into().map_err(|_| SealError::Unable)?;
        Ok(stream)
    }

    fn nonce(&self, number: u32) -> Nonce {
        let mut nonce = [0; PREFIX_BYTES + 4];
        let (prefix, counter) = nonce.split_at_mut(PREFIX_BYTES);
        prefix.copy_from_slice(&self.prefix);
        counter.copy_from_slice(&number.to_le_bytes());
        Nonce::assume_unique_for_key(nonce)
    }

    fn associated(&self, last: bool) -> [u8; 1 + TAG_BYTES] {
        let mut data = [if last { LAST } else { MORE }; 1 + TAG_BYTES];
        data.split_at_mut(1).1.copy_from_slice(&self.binding);
        data
    }
}

#[cfg(test)]
mod tests;
