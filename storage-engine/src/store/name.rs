//! Names, parsed once at the edge and carried as types: buckets, keys, versions, uploads, part numbers.
//!
//! Owns the rules of what may be a name. Never touches rows, time or randomness.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use crate::limits::{OBJECT_KEY_BYTES_MAX, PARTS_MAX};
use crate::store::clock::Timestamp;

/// Why a text is not a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    #[error("a bucket name has 3 to 63 lowercase letters, digits, dots and hyphens, each label between alphanumerics")]
    Bucket,
    #[error("this bucket name is reserved")]
    ReservedBucket,
    #[error("an object key has at least one byte")]
    EmptyKey,
    #[error("an object key has at most 1024 bytes")]
    LongKey,
    #[error("an object key may not contain a NUL byte")]
    NulInKey,
    #[error("a part number lies between 1 and 10000")]
    PartNumber,
    #[error("not an upload id of this store")]
    UploadId,
    #[error("not a version id of this store")]
    VersionId,
}

/// A bucket name after AWS's rules for general purpose buckets.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BucketName(String);

/// Beginnings and ends that AWS keeps for itself. `amzn-s3-demo-` is not among them on purpose: every AWS example uses
/// it, and here it collides with nobody.
const RESERVED_PREFIXES: [&str; 2] = ["xn--", "sthree-"];
const RESERVED_SUFFIXES: [&str; 5] = ["-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"];
/// The path under which health, metrics and admin calls of MinIO's clients arrive.
const RESERVED_NAMES: [&str; 1] = ["minio"];

impl BucketName {
    /// Checks the rules; the name is kept as given.
    pub fn parse(text: impl Into<String>) -> Result<Self, NameError> {
        let text = text.into();
        let label_fits = |label: &str| {
            let bytes = label.as_bytes();
            let alphanumeric = |byte: Option<&u8>| byte.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
            alphanumeric(bytes.first())
                && alphanumeric(bytes.last())
                && bytes
                    .iter()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-')
        };
        if !(3..=63).contains(&text.len()) || !text.split('.').all(label_fits) || Ipv4Addr::from_str(&text).is_ok() {
            return Err(NameError::Bucket);
        }
        let reserved = RESERVED_NAMES.contains(&text.as_str())
            || RESERVED_PREFIXES.iter().any(|prefix| text.starts_with(prefix))
            || RESERVED_SUFFIXES.iter().any(|suffix| text.ends_with(suffix));
        if reserved {
            Err(NameError::ReservedBucket)
        } else {
            Ok(Self(text))
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BucketName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An object key: 1 to 1024 bytes of UTF-8 without NUL; `//`, `.`, `..` and a trailing `/` have no meaning in it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey(String);

impl ObjectKey {
    pub fn parse(text: impl Into<String>) -> Result<Self, NameError> {
        let text = text.into();
        match text.len() {
            0 => Err(NameError::EmptyKey),
            len if len > OBJECT_KEY_BYTES_MAX => Err(NameError::LongKey),
            _ if text.as_bytes().contains(&0) => Err(NameError::NulInKey),
            _ => Ok(Self(text)),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn into_string(self) -> String {
        self.0
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A version of a key. Buckets without versioning know only `Null`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum VersionId {
    Null,
    Id([u8; 16]),
}

impl VersionId {
    /// `null`, or 32 lowercase hexadecimal digits.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        if text == "null" {
            return Ok(Self::Null);
        }
        parse_hex16(text).map(Self::Id).ok_or(NameError::VersionId)
    }
}

impl fmt::Display for VersionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Id(bytes) => write_hex(f, bytes),
        }
    }
}

/// The id of a multipart upload; ids of one key sort by the time they were begun.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, minicbor::Encode, minicbor::Decode)]
#[cbor(transparent)]
pub struct UploadId(#[cbor(n(0), with = "minicbor::bytes")] [u8; 16]);

impl UploadId {
    /// An id from the time the upload was begun and ten random bytes.
    pub fn new(begun: Timestamp, random: [u8; 10]) -> Self {
        let [_, _, time @ ..] = begun.millis().to_be_bytes();
        let mut bytes = [0; 16];
        for (to, from) in bytes.iter_mut().zip(time.iter().chain(&random)) {
            *to = *from;
        }
        Self(bytes)
    }

    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// 32 lowercase hexadecimal digits.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        parse_hex16(text).map(Self).ok_or(NameError::UploadId)
    }
}

impl fmt::Display for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0)
    }
}

impl fmt::Debug for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UploadId({self})")
    }
}

/// The number of a part: 1 to 10,000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartNumber(u16);

impl PartNumber {
    pub fn new(number: u16) -> Result<Self, NameError> {
        if (1..=PARTS_MAX).contains(&number) {
            Ok(Self(number))
        } else {
            Err(NameError::PartNumber)
        }
    }

    pub fn get(self) -> u16 {
        self.0
    }
}

impl fmt::Display for PartNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

pub(super) fn write_hex(f: &mut fmt::Formatter<'_>, bytes: &[u8; 16]) -> fmt::Result {
    write!(f, "{:032x}", u128::from_be_bytes(*bytes))
}

pub(super) fn parse_hex16(text: &str) -> Option<[u8; 16]> {
    let digits = text.len() == 32 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    if !digits {
        return None;
    }
    u128::from_str_radix(text, 16).ok().map(u128::to_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bucket_names_follow_the_rules_of_aws() {
        for good in [
            "abc",
            "a-b",
            "a.b.c",
            "1bucket",
            "my--bucket",
            &"a".repeat(63),
            "amzn-s3-demo-bucket",
            "256.1.1.1",
        ] {
            assert_eq!(BucketName::parse(good).unwrap().as_str(), good);
        }
        for bad in [
            "",
            "ab",
            "Abc",
            "a_b",
            "-ab",
            "ab-",
            "a..b",
            ".ab",
            "ab.",
            "a.-b",
            "a-.b",
            "192.168.5.4",
            "a/b",
            "bücher",
        ] {
            assert_eq!(BucketName::parse(bad), Err(NameError::Bucket), "{bad}");
        }
        assert_eq!(BucketName::parse("a".repeat(64)), Err(NameError::Bucket));
        for reserved in [
            "minio",
            "xn--abc",
            "sthree-abc",
            "abc-s3alias",
            "abc--ol-s3",
            "abc.mrap",
            "abc--x-s3",
        ] {
            assert_eq!(
                BucketName::parse(reserved),
                Err(NameError::ReservedBucket),
                "{reserved}"
            );
        }
    }

    #[test]
    fn object_keys_are_any_text_but_empty_long_or_with_nul() {
        for good in [
            "a",
            "/",
            "//",
            "../x",
            ".",
            "a/",
            "ключ",
            "a\u{1}b",
            "\u{10FFFF}",
            &"k".repeat(1024),
        ] {
            assert_eq!(ObjectKey::parse(good).unwrap().as_str(), good);
        }
        assert_eq!(ObjectKey::parse(""), Err(NameError::EmptyKey));
        assert_eq!(ObjectKey::parse("k".repeat(1025)), Err(NameError::LongKey));
        assert_eq!(ObjectKey::parse("a\0b"), Err(NameError::NulInKey));
    }

    #[test]
    fn ids_survive_their_text_and_later_uploads_sort_later() {
        let early = UploadId::new(Timestamp::from_millis(1_700_000_000_000), [0xFF; 10]);
        let late = UploadId::new(Timestamp::from_millis(1_700_000_000_001), [0; 10]);
        assert!(early < late && early.to_string() < late.to_string());
        assert_eq!(UploadId::parse(&early.to_string()), Ok(early));
        for bad in [
            "",
            "null",
            &"g".repeat(32),
            &"A".repeat(32),
            &"a".repeat(31),
            "+0000000000000000000000000000000",
        ] {
            assert_eq!(UploadId::parse(bad), Err(NameError::UploadId), "{bad}");
        }
        assert_eq!(VersionId::parse("null"), Ok(VersionId::Null));
        let id = VersionId::Id([7; 16]);
        assert_eq!(VersionId::parse(&id.to_string()), Ok(id));
        assert!(PartNumber::new(0).is_err() && PartNumber::new(10_001).is_err());
        assert_eq!(PartNumber::new(10_000).unwrap().get(), 10_000);
    }
}
