//! The checksums S3 keeps beside an object: CRC32, CRC32C, CRC64NVME, SHA-1, SHA-256.
//!
//! Owns computing them, of a whole body, as a checksum of the parts' checksums, and joined from parts.
//! Never reads a body itself.

use aws_lc_rs::digest::{self, Context};
use crc_fast::{CrcAlgorithm, Digest as Crc};
use minicbor::{Decode, Encode};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum ChecksumAlgorithm {
    #[n(0)]
    Crc32,
    #[n(1)]
    Crc32c,
    #[n(2)]
    Crc64Nvme,
    #[n(3)]
    Sha1,
    #[n(4)]
    Sha256,
}

/// Of what a multipart object's checksum is taken: of all its bytes, or of its parts' checksums.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum ChecksumType {
    #[n(0)]
    FullObject,
    #[n(1)]
    Composite,
}

/// A checksum's value; CRCs big-endian, as their base64 text has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub enum Checksum {
    #[n(0)]
    Crc32(#[cbor(n(0), with = "minicbor::bytes")] [u8; 4]),
    #[n(1)]
    Crc32c(#[cbor(n(0), with = "minicbor::bytes")] [u8; 4]),
    #[n(2)]
    Crc64Nvme(#[cbor(n(0), with = "minicbor::bytes")] [u8; 8]),
    #[n(3)]
    Sha1(#[cbor(n(0), with = "minicbor::bytes")] [u8; 20]),
    #[n(4)]
    Sha256(#[cbor(n(0), with = "minicbor::bytes")] [u8; 32]),
}

/// An object's checksum and of what it was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub struct ObjectChecksum {
    #[n(0)]
    pub value: Checksum,
    #[n(1)]
    pub kind: ChecksumType,
}

impl ChecksumAlgorithm {
    pub const ALL: [Self; 5] = [Self::Crc32, Self::Crc32c, Self::Crc64Nvme, Self::Sha1, Self::Sha256];

    /// Length of a value in bytes.
    pub const fn len_bytes(self) -> usize {
        match self {
            Self::Crc32 | Self::Crc32c => 4,
            Self::Crc64Nvme => 8,
            Self::Sha1 => 20,
            Self::Sha256 => 32,
        }
    }

    /// Whether multipart uploads may ask for this pair. Secure hashes cannot be joined; CRC64NVME has no composite form.
    pub const fn allows(self, kind: ChecksumType) -> bool {
        match kind {
            ChecksumType::FullObject => matches!(self, Self::Crc32 | Self::Crc32c | Self::Crc64Nvme),
            ChecksumType::Composite => !matches!(self, Self::Crc64Nvme),
        }
    }

    /// The type of a multipart upload that names only the algorithm.
    pub const fn default_type(self) -> ChecksumType {
        match self {
            Self::Crc64Nvme => ChecksumType::FullObject,
            Self::Crc32 | Self::Crc32c | Self::Sha1 | Self::Sha256 => ChecksumType::Composite,
        }
    }

    /// The checksum of these bytes.
    pub fn of(self, bytes: &[u8]) -> Checksum {
        let mut hasher = ChecksumHasher::new(self);
        hasher.update(bytes);
        hasher.finish()
    }

    fn crc(self) -> Option<CrcAlgorithm> {
        match self {
            Self::Crc32 => Some(CrcAlgorithm::Crc32IsoHdlc),
            Self::Crc32c => Some(CrcAlgorithm::Crc32Iscsi),
            Self::Crc64Nvme => Some(CrcAlgorithm::Crc64Nvme),
            Self::Sha1 | Self::Sha256 => None,
        }
    }
}

impl Checksum {
    /// A value from its bytes; `None` if their number is not the algorithm's.
    pub fn from_bytes(algorithm: ChecksumAlgorithm, bytes: &[u8]) -> Option<Self> {
        Some(match algorithm {
            ChecksumAlgorithm::Crc32 => Self::Crc32(bytes.try_into().ok()?),
            ChecksumAlgorithm::Crc32c => Self::Crc32c(bytes.try_into().ok()?),
            ChecksumAlgorithm::Crc64Nvme => Self::Crc64Nvme(bytes.try_into().ok()?),
            ChecksumAlgorithm::Sha1 => Self::Sha1(bytes.try_into().ok()?),
            ChecksumAlgorithm::Sha256 => Self::Sha256(bytes.try_into().ok()?),
        })
    }

    pub fn algorithm(&self) -> ChecksumAlgorithm {
        match self {
            Self::Crc32(_) => ChecksumAlgorithm::Crc32,
            Self::Crc32c(_) => ChecksumAlgorithm::Crc32c,
            Self::Crc64Nvme(_) => ChecksumAlgorithm::Crc64Nvme,
            Self::Sha1(_) => ChecksumAlgorithm::Sha1,
            Self::Sha256(_) => ChecksumAlgorithm::Sha256,
        }
    }

    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Crc32(bytes) | Self::Crc32c(bytes) => bytes,
            Self::Crc64Nvme(bytes) => bytes,
            Self::Sha1(bytes) => bytes,
            Self::Sha256(bytes) => bytes,
        }
    }

    /// The register of a CRC; `None` for the others.
    fn register(&self) -> Option<u64> {
        match self {
            Self::Crc32(bytes) | Self::Crc32c(bytes) => Some(u64::from(u32::from_be_bytes(*bytes))),
            Self::Crc64Nvme(bytes) => Some(u64::from_be_bytes(*bytes)),
            Self::Sha1(_) | Self::Sha256(_) => None,
        }
    }

    fn from_register(algorithm: ChecksumAlgorithm, register: u64) -> Option<Self> {
        let bytes = register.to_be_bytes();
        let (_, low) = bytes.split_at(bytes.len().saturating_sub(algorithm.len_bytes()));
        Self::from_bytes(algorithm, low)
    }
}

/// Computes one checksum as the bytes come.
pub struct ChecksumHasher(State);

enum State {
    Crc(ChecksumAlgorithm, Box<Crc>),
    Sha(ChecksumAlgorithm, Context),
}

impl ChecksumHasher {
    pub fn new(algorithm: ChecksumAlgorithm) -> Self {
        Self(match (algorithm, algorithm.crc()) {
            (_, Some(crc)) => State::Crc(algorithm, Box::new(Crc::new(crc))),
            (ChecksumAlgorithm::Sha1, None) => State::Sha(algorithm, Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY)),
            (_, None) => State::Sha(algorithm, Context::new(&digest::SHA256)),
        })
    }

    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            State::Crc(_, crc) => crc.update(bytes),
            State::Sha(_, context) => context.update(bytes),
        }
    }

    pub fn finish(self) -> Checksum {
        let checksum = match self.0 {
            State::Crc(algorithm, crc) => Checksum::from_register(algorithm, crc.finalize()),
            State::Sha(algorithm, context) => Checksum::from_bytes(algorithm, context.finish().as_ref()),
        };
        checksum.expect("a hasher gives as many bytes as its algorithm has")
    }
}

/// The checksum of a multipart object from its parts' checksums and lengths in bytes, in order. `None` if a part's
/// checksum is of another algorithm or the pair is not allowed.
pub fn of_parts(
    algorithm: ChecksumAlgorithm,
    kind: ChecksumType,
    parts: impl IntoIterator<Item = (Checksum, u64)>,
) -> Option<ObjectChecksum> {
    if !algorithm.allows(kind) {
        return None;
    }
    let value = match (kind, algorithm.crc()) {
        (ChecksumType::FullObject, Some(crc)) => {
            let mut whole = Crc::new(crc).finalize();
            for (part, len) in parts {
                let register = part.register().filter(|_| part.algorithm() == algorithm)?;
                whole = crc_fast::checksum_combine(crc, whole, register, len);
            }
            Checksum::from_register(algorithm, whole)?
        }
        (ChecksumType::FullObject, None) => return None,
        (ChecksumType::Composite, _) => {
            let mut hasher = ChecksumHasher::new(algorithm);
            for (part, _) in parts {
                if part.algorithm() != algorithm {
                    return None;
                }
                hasher.update(part.as_bytes());
            }
            hasher.finish()
        }
    };
    Some(ObjectChecksum { value, kind })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|b| format!("{b:02x}")).collect()
    }

    #[test]
    fn values_are_those_of_the_published_check_vectors() {
        let expected = [
            "cbf43926",
            "e3069283",
            "ae8b14860a799888",
            "f7c3bc1d808e04732adf679965ccc34ca7ae3441",
            "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225",
        ];
        for (algorithm, expected) in ChecksumAlgorithm::ALL.into_iter().zip(expected) {
            let checksum = algorithm.of(b"123456789");
            assert_eq!(hex(checksum.as_bytes()), expected);
            assert_eq!(Checksum::from_bytes(algorithm, checksum.as_bytes()), Some(checksum));
            assert_eq!(Checksum::from_bytes(algorithm, b"xyz"), None);
            assert_eq!(checksum.algorithm(), algorithm);
        }
    }

    #[test]
    fn full_object_crcs_of_parts_are_the_crc_of_the_whole() {
        let whole: Vec<u8> = (0..100_000_u32).map(|i| (i * 7 % 251) as u8).collect();
        for algorithm in [
            ChecksumAlgorithm::Crc32,
            ChecksumAlgorithm::Crc32c,
            ChecksumAlgorithm::Crc64Nvme,
        ] {
            let parts = [&whole[..1], &whole[1..1], &whole[1..70_000], &whole[70_000..]];
            let joined = of_parts(
                algorithm,
                ChecksumType::FullObject,
                parts.iter().map(|part| (algorithm.of(part), part.len() as u64)),
            );
            let expected = ObjectChecksum {
                value: algorithm.of(&whole),
                kind: ChecksumType::FullObject,
            };
            assert_eq!(joined, Some(expected), "{algorithm:?}");
        }
    }

    #[test]
    fn composite_is_the_checksum_of_checksums_and_pairs_aws_refuses_are_refused() {
        let sha = ChecksumAlgorithm::Sha256;
        let parts = [sha.of(b"a"), sha.of(b"b")];
        let joined = of_parts(sha, ChecksumType::Composite, parts.map(|part| (part, 1))).unwrap();
        assert_eq!(
            joined.value,
            sha.of(&[parts[0].as_bytes(), parts[1].as_bytes()].concat())
        );
        assert_eq!(of_parts(sha, ChecksumType::FullObject, []), None);
        assert_eq!(
            of_parts(ChecksumAlgorithm::Crc64Nvme, ChecksumType::Composite, []),
            None
        );
        let mixed = [(ChecksumAlgorithm::Crc32.of(b"a"), 1)];
        assert_eq!(
            of_parts(ChecksumAlgorithm::Crc32c, ChecksumType::FullObject, mixed),
            None
        );
        assert_eq!(of_parts(sha, ChecksumType::Composite, mixed), None);
    }
}
