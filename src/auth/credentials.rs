//! Access keys and their secrets: where they are looked up, and how a secret is held.
//!
//! A secret is wiped from memory when its last holder goes, and never reaches `Debug` output.

use std::fmt;
use std::sync::Arc;

use subtle::ConstantTimeEq;
use time::OffsetDateTime;
use zeroize::Zeroizing;

use super::identity::Identity;
use super::link::Terms;

/// A secret key or token. Cloning shares the bytes; they are wiped with the last clone.
#[derive(Clone)]
pub struct SecretKey(Arc<Zeroizing<Vec<u8>>>);

impl SecretKey {
    /// Takes over the bytes of a secret.
    pub fn new(secret: impl Into<Vec<u8>>) -> Self {
        Self(Arc::new(Zeroizing::new(secret.into())))
    }

    /// The secret itself; the caller must not copy it anywhere that is not wiped.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Compares in a time that depends on the lengths only.
    pub fn matches(&self, other: &[u8]) -> bool {
        bool::from(self.0.as_slice().ct_eq(other))
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(…)")
    }
}

/// What one access key stands for.
#[derive(Clone, Debug)]
pub struct Credential {
    /// The caller who holds this access key.
    pub identity: Identity,
    /// The key that signs.
    pub secret: SecretKey,
    /// The session token that must come with every request; `None` means that none may come.
    pub session_token: Option<SecretKey>,
    /// When a temporary credential ends.
    pub expires: Option<OffsetDateTime>,
    /// What its requests must keep to, if it is one that the server sealed for a narrow use.
    pub terms: Option<Terms>,
}

impl Credential {
    /// One that comes without a token and does not end by itself.
    pub fn lasting(identity: Identity, secret: SecretKey) -> Self {
        Self {
            identity,
            secret,
            session_token: None,
            expires: None,
            terms: None,
        }
    }
}

/// Looks access keys up. Called once a request, on the request's own task: it must not block.
pub trait CredentialSource: Send + Sync {
    /// The credential behind `access_key`, or `None` when there is no such key or it is disabled.
    fn find(&self, access_key: &str) -> Option<Credential>;

    /// The temporary credential that `token` was given out with under this access key; `None`: it is none of ours, or
    /// revoked. One that has ended is found, and says so.
    fn find_temporary(&self, _access_key: &str, _token: &str) -> Option<Credential> {
        None
    }

    /// Whether an access key that is not found is known not to exist.
    fn is_open(&self) -> bool {
        true
    }
}

/// The root user's pair alone, without a directory.
#[derive(Clone, Debug)]
pub struct RootCredentials {
    access_key: String,
    secret: SecretKey,
}

impl RootCredentials {
    /// Takes the pair as configured; the configuration has checked their lengths.
    pub fn new(access_key: impl Into<String>, secret: SecretKey) -> Self {
        Self {
            access_key: access_key.into(),
            secret,
        }
    }
}

impl CredentialSource for RootCredentials {
    fn find(&self, access_key: &str) -> Option<Credential> {
        if !bool::from(self.access_key.as_bytes().ct_eq(access_key.as_bytes())) {
            return None;
        }
        Some(Credential::lasting(Identity::Root, self.secret.clone()))
    }
}
