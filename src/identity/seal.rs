//! How secrets are sealed at rest: one random key seals them all, and is itself sealed by what the operator knows.
//!
//! Owns the bytes described under "The directory" in docs/on-disk-format.md. It never stores anything, and never derives
//! a key while a request waits.

use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use storage_engine::store::clock::Timestamp;
use storage_engine::store::record::identity::{SealRecord, SealedBy};
use zeroize::Zeroizing;

use super::link::LinkSealer;
use crate::auth::SecretKey;
use crate::config::OperatorKey;

const VERSION: u8 = 1;
const NONCE_BYTES: usize = 12;
const KEY_BYTES: usize = 32;
const SALT_BYTES: usize = 16;
const SECRET_PURPOSE: &[u8] = b"drystone secret 1\0";
const TOKEN_PURPOSE: &[u8] = b"drystone session token 1\0";
const SETTING_PURPOSE: &[u8] = b"drystone setting 1\0";
const KEY_PURPOSE: &[u8] = b"drystone directory key 1";
/// Costs of Argon2id, by OWASP's advice. They stand in the row, so they may grow.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// Most memory that a row may ask for; one that asks for more is no row of ours.
const MEMORY_KIB_MAX: u32 = 1024 * 1024;

type KeyBytes = Zeroizing<[u8; KEY_BYTES]>;

/// Something that was sealed does not open: another key, another place, or damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it does not open with this key")]
pub struct NotOpened;

/// Why the key of the secrets cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Sealed by another root password.
    #[error(
        "the secrets of users and access keys are sealed with another root password. Start once with the new password and \
         the one they are sealed with as MINIO_ROOT_PASSWORD_OLD, or go back to that one"
    )]
    OtherPassword,
    /// Sealed by an operator's key that was not given, or that is another.
    #[error(
        "the secrets of users and access keys are sealed with the operator's key '{0}', and {1}. Give that key with \
         DRYSTONE_KMS_KEY_FILE or MINIO_KMS_SECRET_KEY, or, if it is to be given up, once with DRYSTONE_KMS_KEY_OLD_FILE"
    )]
    OtherOperatorKey(String, &'static str),
    /// The row asks for what no version wrote.
    #[error("the record of the directory's key is not one this version can read")]
    Foreign,
    /// The system has no randomness, or a primitive failed.
    #[error("sealing failed: {0}")]
    Failed(&'static str),
}

/// What the operator knows: what may open the key of the secrets, and what shall seal it from now on.
#[derive(Clone, Debug)]
pub struct SealKeys {
    /// Seals, where it is given.
    pub operator: Option<OperatorKey>,
    /// The operator's key before the present one; only opens.
    pub old_operator: Option<OperatorKey>,
    /// The root password; seals where there is no operator's key.
    pub password: SecretKey,
    /// The root password before the present one; only opens.
    pub old_password: Option<SecretKey>,
}

/// Seals and opens secrets.
pub(super) struct Sealer {
    key: KeyBytes,
    secrets: LessSafeKey,
    tokens: LessSafeKey,
    settings: LessSafeKey,
    links: LinkSealer,
}

impl Sealer {
    fn new(key: KeyBytes) -> Result<Self, SealError> {
        Ok(Self {
            secrets: aes(&key)?,
            tokens: derive(key.as_slice(), TOKEN_PURPOSE)?,
            settings: derive(key.as_slice(), SETTING_PURPOSE)?,
            links: LinkSealer::new(key.as_slice())?,
            key,
        })
    }

    /// A new key. Slow (it derives one): not for a request's task.
    pub(super) fn generate(keys: &SealKeys, now: Timestamp) -> Result<(Self, SealRecord), SealError> {
        let mut key = KeyBytes::default();
        fill(key.as_mut_slice())?;
        let sealer = Self::new(key)?;
        let record = sealer.sealed_by(keys, now)?;
        Ok((sealer, record))
    }

    /// Opens the key, and seals it anew if it is not sealed by what shall seal it now. Slow, as [`Self::generate`].
    pub(super) fn open(
        record: &SealRecord,
        keys: &SealKeys,
        now: Timestamp,
    ) -> Result<(Self, Option<SealRecord>), SealError> {
        let (key, as_wanted) = match &record.by {
            SealedBy::RootPassword { .. } => {
                let by_password = |password: &SecretKey| {
                    let sealing = from_password(password, &record.by)?;
                    open(&sealing, KEY_PURPOSE, &record.sealed_key).map_err(|_| SealError::OtherPassword)
                };
                match (by_password(&keys.password), &keys.old_password) {
                    (Ok(key), _) => (key, keys.operator.is_none()),
                    (Err(SealError::OtherPassword), Some(old)) => (by_password(old)?, false),
                    (Err(error), _) => return Err(error),
                }
            }
            SealedBy::OperatorKey { name } => {
                let other = |why| SealError::OtherOperatorKey(name.clone(), why);
                let by_key = |operator: &OperatorKey| {
                    let opened = open(&derive(operator.key(), KEY_PURPOSE)?, KEY_PURPOSE, &record.sealed_key);
                    opened.map_err(|_| other("the key given is another"))
                };
                match (keys.operator.as_ref().map(by_key), &keys.old_operator) {
                    (Some(Ok(key)), _) => (key, keys.operator.as_ref().is_some_and(|given| given.name() == name)),
                    (Some(Err(SealError::OtherOperatorKey(..))) | None, Some(old)) => (by_key(old)?, false),
                    (Some(Err(error)), _) => return Err(error),
                    (None, None) => return Err(other("no such key was given")),
                }
            }
        };
        let key = KeyBytes::new(key.as_slice().try_into().map_err(|_| SealError::Foreign)?);
        let sealer = Self::new(key)?;
        let anew = match as_wanted {
            true => None,
            false => Some(sealer.sealed_by(keys, now)?),
        };
        Ok((sealer, anew))
    }

    fn sealed_by(&self, keys: &SealKeys, now: Timestamp) -> Result<SealRecord, SealError> {
        let (by, sealing) = match &keys.operator {
            Some(operator) => {
                let by = SealedBy::OperatorKey {
                    name: operator.name().to_owned(),
                };
                (by, derive(operator.key(), KEY_PURPOSE)?)
            }
            None => {
                let mut salt = [0; SALT_BYTES];
                fill(&mut salt)?;
                let by = SealedBy::RootPassword {
                    salt,
                    memory_kib: MEMORY_KIB,
                    passes: PASSES,
                    lanes: LANES,
                };
                let sealing = from_password(&keys.password, &by)?;
                (by, sealing)
            }
        };
        Ok(SealRecord {
            updated: now,
            by,
            sealed_key: seal(&sealing, KEY_PURPOSE, self.key.as_slice())?,
        })
    }

    /// Seals the secret of one access key; it opens for this access key only.
    pub(super) fn seal_secret(&self, access_key: &str, secret: &[u8]) -> Result<Vec<u8>, SealError> {
        seal(&self.secrets, &purpose(access_key), secret)
    }

    /// Seals what the token of one temporary credential carries; it opens for this access key only.
    pub(super) fn seal_token(&self, access_key: &str, text: &[u8]) -> Result<Vec<u8>, SealError> {
        seal(&self.tokens, &[TOKEN_PURPOSE, access_key.as_bytes()].concat(), text)
    }

    /// What a token given out with this access key carries.
    pub(super) fn open_token(&self, access_key: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, NotOpened> {
        open(&self.tokens, &[TOKEN_PURPOSE, access_key.as_bytes()].concat(), sealed)
    }

    /// Seals the secret of one setting of the server; it opens for this setting only.
    pub(super) fn seal_setting(&self, name: &str, secret: &[u8]) -> Result<Vec<u8>, SealError> {
        seal(&self.settings, &[SETTING_PURPOSE, name.as_bytes()].concat(), secret)
    }

    /// The secret that was sealed for this setting.
    pub(super) fn open_setting(&self, name: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, NotOpened> {
        open(&self.settings, &[SETTING_PURPOSE, name.as_bytes()].concat(), sealed)
    }

    /// What seals the terms of links.
    pub(super) fn links(&self) -> &LinkSealer {
        &self.links
    }

    /// The secret that was sealed for this access key.
    pub(super) fn open_secret(&self, access_key: &str, sealed: &[u8]) -> Result<SecretKey, NotOpened> {
        open(&self.secrets, &purpose(access_key), sealed).map(|secret| SecretKey::new(secret.to_vec()))
    }
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealer(…)")
    }
}

fn purpose(access_key: &str) -> Vec<u8> {
    [SECRET_PURPOSE, access_key.as_bytes()].concat()
}

fn fill(bytes: &mut [u8]) -> Result<(), SealError> {
    getrandom::fill(bytes).map_err(|_| SealError::Failed("no randomness from the system"))
}

fn aes(key: &[u8; KEY_BYTES]) -> Result<LessSafeKey, SealError> {
    let key = UnboundKey::new(&AES_256_GCM, key).map_err(|_| SealError::Failed("AES-256-GCM took no key"))?;
    Ok(LessSafeKey::new(key))
}

/// Length of what HKDF is asked for.
struct Aes256;

impl KeyType for Aes256 {
    fn len(&self) -> usize {
        KEY_BYTES
    }
}

fn derive(from: &[u8], purpose: &[u8]) -> Result<LessSafeKey, SealError> {
    let mut key = KeyBytes::default();
    let info = [purpose];
    let extracted = Salt::new(HKDF_SHA256, &[]).extract(from);
    extracted
        .expand(&info, Aes256)
        .and_then(|okm| okm.fill(key.as_mut_slice()))
        .map_err(|_| SealError::Failed("HKDF gave no key"))?;
    aes(&key)
}

fn from_password(password: &SecretKey, by: &SealedBy) -> Result<LessSafeKey, SealError> {
    let SealedBy::RootPassword {
        salt,
        memory_kib,
        passes,
        lanes,
    } = by
    else {
        return Err(SealError::Foreign);
    };
    if *memory_kib > MEMORY_KIB_MAX || *passes > 64 || *lanes > 64 {
        return Err(SealError::Foreign);
    }
    let params = Params::new(*memory_kib, *passes, *lanes, Some(KEY_BYTES)).map_err(|_| SealError::Foreign)?;
    let mut key = KeyBytes::default();
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(password.expose(), salt, key.as_mut_slice())
        .map_err(|_| SealError::Failed("Argon2id gave no key"))?;
    aes(&key)
}

fn seal(key: &LessSafeKey, purpose: &[u8], text: &[u8]) -> Result<Vec<u8>, SealError> {
    let mut nonce = [0; NONCE_BYTES];
    fill(&mut nonce)?;
    let mut sealed = text.to_vec();
    key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(purpose), &mut sealed)
        .map_err(|_| SealError::Failed("AES-256-GCM sealed nothing"))?;
    Ok([&[VERSION], nonce.as_slice(), &sealed].concat())
}

fn open(key: &LessSafeKey, purpose: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, NotOpened> {
    let (version, rest) = sealed.split_first().ok_or(NotOpened)?;
    let (nonce, rest) = rest.split_at_checked(NONCE_BYTES).ok_or(NotOpened)?;
    if *version != VERSION {
        return Err(NotOpened);
    }
    let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| NotOpened)?;
    let mut text = Zeroizing::new(rest.to_vec());
    let length = key
        .open_in_place(nonce, Aad::from(purpose), text.as_mut_slice())
        .map_err(|_| NotOpened)?
        .len();
    text.truncate(length);
    Ok(text)
}
