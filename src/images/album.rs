//! What a project's environment says of its images.

use std::collections::BTreeMap;
use std::fmt;

use storage_engine::store::name::BucketName;

use super::limits::UNSIGNED_VARIANTS_PER_HOUR;
use super::options::Options;
use super::sign;
use crate::auth::SecretKey;

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
