//! Entity tags: what an object's content is called on the wire.
//!
//! Owns their two forms and their text. Never computes a hash, never decides a condition.

use std::fmt;

use minicbor::{Decode, Encode};

use crate::store::name::{parse_hex16, write_hex};

/// MD5 of the content, or MD5 of the parts' MD5s with their number. Shown without quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub enum ETag {
    #[n(0)]
    Md5(#[cbor(n(0), with = "minicbor::bytes")] [u8; 16]),
    #[n(1)]
    Multipart {
        #[cbor(n(0), with = "minicbor::bytes")]
        md5: [u8; 16],
        #[n(1)]
        parts: u16,
    },
}

impl ETag {
    /// Reads the text of an ETag, with or without its quotes; `None` if this store never makes such a one.
    pub fn parse(text: &str) -> Option<Self> {
        let text = unquoted(text);
        match text.split_once('-') {
            None => parse_hex16(text).map(Self::Md5),
            Some((md5, parts)) => Some(Self::Multipart {
                md5: parse_hex16(md5)?,
                parts: parts.parse().ok()?,
            }),
        }
    }

    /// The 16 bytes of MD5, of content or of parts.
    pub fn md5(&self) -> &[u8; 16] {
        match self {
            Self::Md5(md5) | Self::Multipart { md5, .. } => md5,
        }
    }
}

/// A text without the quotes around it; clients leave out one or both.
pub(super) fn unquoted(text: &str) -> &str {
    let text = text.strip_prefix('"').unwrap_or(text);
    text.strip_suffix('"').unwrap_or(text)
}

impl fmt::Display for ETag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Md5(md5) => write_hex(f, md5),
            Self::Multipart { md5, parts } => {
                write_hex(f, md5)?;
                write!(f, "-{parts}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_survive_their_text() {
        for etag in [
            ETag::Md5([0xAB; 16]),
            ETag::Multipart {
                md5: [1; 16],
                parts: 10_000,
            },
        ] {
            assert_eq!(ETag::parse(&etag.to_string()), Some(etag));
            assert_eq!(ETag::parse(&format!("\"{etag}\"")), Some(etag));
        }
        assert_eq!(
            ETag::Multipart { md5: [1; 16], parts: 3 }.to_string(),
            format!("{}-3", "01".repeat(16))
        );
        for foreign in ["", "abc", "-1", &format!("{}-", "0".repeat(32)), &"z".repeat(32)] {
            assert_eq!(ETag::parse(foreign), None, "{foreign}");
        }
    }
}
