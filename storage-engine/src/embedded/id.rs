//! Random 128-bit names of stores, drives and segments. They are never reused; nothing is derived from them.

use std::fmt;

use minicbor::{Decode, Encode};

macro_rules! random_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
        #[cbor(transparent)]
        pub struct $name(#[cbor(with = "minicbor::bytes")] [u8; 16]);

        impl $name {
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            pub const fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }

            /// A new id from the operating system's random source.
            pub fn random() -> std::io::Result<Self> {
                let mut bytes = [0; 16];
                getrandom::fill(&mut bytes).map_err(|e| std::io::Error::other(e.to_string()))?;
                Ok(Self(bytes))
            }

            /// Reads the 32 lower-case hexadecimal digits that `Display` writes.
            pub fn parse(text: &str) -> Option<Self> {
                if text.len() != 32 || !text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
                    return None;
                }
                Some(Self(u128::from_str_radix(text, 16).ok()?.to_be_bytes()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:032x}", u128::from_be_bytes(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }
    };
}

random_id!(
    /// A store: the set of drives that were formatted together.
    StoreId
);
random_id!(
    /// A drive of a store.
    DriveId
);
random_id!(
    /// A segment: one set of shard files.
    SegmentId
);
