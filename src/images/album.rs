//! What a project's environment says of its images.

use std::collections::BTreeMap;
use std::fmt;

use storage_engine::store::name::BucketName;

use super::limits::UNSIGNED_VARIANTS_PER_HOUR;
use super::options::Options;
use super::sign;
use crate::auth::SecretKey;

/// Formats that are chosen where a client says to take them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AutoFormats {
    pub avif: bool,
    pub webp: bool,
}

impl Default for AutoFormats {
    fn default() -> Self {
        // AVIF takes several times as long to make: docs/images.md has the figures.
        Self {
            avif: false,
            webp: true,
        }
    }
}

impl AutoFormats {
    /// Those with these names, as [`Self::names`] tells them; `None`: one of them is no such format.
    pub fn named<'a>(names: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let mut formats = Self {
            avif: false,
            webp: false,
        };
        for name in names {
            match name {
                "avif" => formats.avif = true,
                "webp" => formats.webp = true,
                _ => return None,
            }
        }
        Some(formats)
    }

    pub fn names(self) -> Vec<&'static str> {
        let named = [(self.avif, "avif"), (self.webp, "webp")];
        named.into_iter().filter_map(|(is, name)| is.then_some(name)).collect()
    }
}

/// The images of one environment.
#[derive(Clone)]
pub struct Album {
    /// Its app bucket: every key in a URL is one of this bucket's.
    pub bucket: BucketName,
    /// What signs URLs; `None`: no signature is the right one.
    pub signing_key: Option<SecretKey>,
    /// URLs that nobody signed make nothing but presets.
    pub signed_only: bool,
    pub presets: BTreeMap<String, Options>,
    /// What is chosen by itself for clients that say to take it.
    pub auto_formats: AutoFormats,
    /// Different images of one file that URLs without signature may have made in an hour.
    pub unsigned_variants_per_hour: u32,
}

impl Album {
    /// Of this bucket, with nothing set.
    pub fn new(bucket: BucketName) -> Self {
        Self {
            bucket,
            signing_key: None,
            signed_only: false,
            presets: BTreeMap::new(),
            auto_formats: AutoFormats::default(),
            unsigned_variants_per_hour: UNSIGNED_VARIANTS_PER_HOUR,
        }
    }

    /// Whether this is the signature of what follows it in a URL.
    pub fn is_signed(&self, signature: &str, signed: &str) -> bool {
        let key = self.signing_key.as_ref();
        key.is_some_and(|key| sign::is_signed(key, signature, signed))
    }
}

impl fmt::Debug for Album {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Album")
            .field("bucket", &self.bucket)
            .field("signed_only", &self.signed_only)
            .field("presets", &self.presets)
            .finish_non_exhaustive()
    }
}
