//! What a request to the admin API was signed with: its clients encrypt with it what is secret in bodies and answers.

use super::credentials::SecretKey;

/// The credential of the caller; in the extensions of a signed request to the admin API, and of no other.
#[derive(Clone, Debug)]
pub struct SignedWith {
    /// The access key as presented.
    pub access_key: String,
    /// Its secret; not shown by `Debug`.
    pub secret: SecretKey,
}

impl SignedWith {
    pub(super) fn new(access_key: &str, secret: SecretKey) -> Self {
        Self {
            access_key: access_key.to_owned(),
            secret,
        }
    }
}
