//! Signing keys, the signatures they make, and the bounded cache of keys already derived.

use std::collections::HashMap;
use std::sync::Arc;

use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign};
use parking_lot::RwLock;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::credentials::SecretKey;
use super::hash::{EMPTY_SHA256, HexHash, to_array};

/// Keys kept. One serves all requests of one access key, day and region, so this is ample for a busy server; a
/// caller who signs for ever new regions only makes the cache start over.
const CACHED_KEYS: usize = 1024;

/// 64 lower-case hexadecimal digits.
#[derive(Clone, Copy)]
pub(super) struct Signature(HexHash);

impl Signature {
    pub(super) fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Compares in a time that does not depend on where the difference is.
    pub(super) fn matches(&self, presented: &[u8]) -> bool {
        bool::from(self.0.as_bytes().ct_eq(presented))
    }
}

/// What a signing key is good for.
#[derive(Clone, Copy)]
pub(super) struct Scope<'a> {
    pub(super) day: &'a str,
    pub(super) region: &'a str,
    pub(super) service: &'a str,
}

/// A key for one day, region and service.
#[derive(Clone)]
pub(super) struct SigningKey(Arc<Key>);

impl SigningKey {
    pub(super) fn derive(secret: &SecretKey, scope: Scope<'_>) -> Self {
        let mut start = Zeroizing::new(Vec::with_capacity(4 + secret.expose().len()));
        start.extend_from_slice(b"AWS4");
        start.extend_from_slice(secret.expose());
        let mut key = Key::new(HMAC_SHA256, &start);
        for step in [scope.day, scope.region, scope.service, "aws4_request"] {
            key = Key::new(HMAC_SHA256, sign(&key, step.as_bytes()).as_ref());
        }
        Self(Arc::new(key))
    }

    pub(super) fn sign(&self, text: &[u8]) -> Signature {
        Signature(HexHash::of(&to_array(sign(&self.0, text).as_ref())))
    }
}

/// The chain of signatures through an aws-chunked body; each covers the one before it.
pub(super) struct ChunkChain {
    key: SigningKey,
    /// `date \n scope \n`.
    prefix: String,
    previous: Signature,
}

impl ChunkChain {
    /// `seed`: the signature of the request's headers.
    pub(super) fn new(key: SigningKey, date: &str, scope: &str, seed: Signature) -> Self {
        Self {
            key,
            prefix: [date, "\n", scope, "\n"].concat(),
            previous: seed,
        }
    }

    /// The signature of the next chunk, which becomes part of the chain.
    pub(super) fn next_chunk(&mut self, data_hash: &[u8; 32]) -> Signature {
        self.next(
            "AWS4-HMAC-SHA256-PAYLOAD\n",
            &[EMPTY_SHA256, "\n", HexHash::of(data_hash).as_str()],
        )
    }

    /// The signature of the trailers, which ends the chain.
    pub(super) fn trailers(&mut self, trailers_hash: &HexHash) -> Signature {
        self.next("AWS4-HMAC-SHA256-TRAILER\n", &[trailers_hash.as_str()])
    }

    fn next(&mut self, algorithm: &str, rest: &[&str]) -> Signature {
        let mut text = [algorithm, &self.prefix, self.previous.as_str(), "\n"].concat();
        rest.iter().for_each(|piece| text.push_str(piece));
        self.previous = self.key.sign(text.as_bytes());
        self.previous
    }
}

/// Keys already derived, so that a request costs one HMAC instead of five. Only keys that verified a request are kept:
/// who has no credentials cannot fill it.
#[derive(Default)]
pub(super) struct SigningKeys {
    kept: RwLock<HashMap<String, (SecretKey, SigningKey)>>,
}

impl SigningKeys {
    /// The key kept for this access key and scope, unless its secret has changed since.
    pub(super) fn find(&self, access_key: &str, secret: &SecretKey, scope: Scope<'_>) -> Option<SigningKey> {
        let kept = self.kept.read();
        let (kept_secret, key) = kept.get(&index(access_key, scope))?;
        kept_secret.matches(secret.expose()).then(|| key.clone())
    }

    /// Keeps a key that has verified a request.
    pub(super) fn keep(&self, access_key: &str, secret: &SecretKey, scope: Scope<'_>, key: SigningKey) {
        let mut kept = self.kept.write();
        if kept.len() >= CACHED_KEYS {
            kept.clear();
        }
        kept.insert(index(access_key, scope), (secret.clone(), key));
    }
}

fn index(access_key: &str, scope: Scope<'_>) -> String {
    // None of the pieces can hold a line break.
    [access_key, scope.day, scope.region, scope.service].join("\n")
}

#[cfg(test)]
mod tests {
    use super::{CACHED_KEYS, Scope, SecretKey, SigningKey, SigningKeys};

    fn scope(region: &str) -> Scope<'_> {
        Scope {
            day: "20130524",
            region,
            service: "s3",
        }
    }

    #[test]
    fn a_changed_secret_is_never_served_the_old_key() {
        let keys = SigningKeys::default();
        let (old, new) = (SecretKey::new("old"), SecretKey::new("new"));
        keys.keep("AKID", &old, scope("a"), SigningKey::derive(&old, scope("a")));
        assert!(keys.find("AKID", &old, scope("a")).is_some());
        assert!(keys.find("AKID", &new, scope("a")).is_none());
        assert!(keys.find("AKID", &old, scope("b")).is_none());
        assert!(keys.find("AKIE", &old, scope("a")).is_none());
    }

    #[test]
    fn the_cache_stays_bounded() {
        let keys = SigningKeys::default();
        let secret = SecretKey::new("secret");
        let key = SigningKey::derive(&secret, scope("a"));
        for i in 0..3 * CACHED_KEYS {
            keys.keep("AKID", &secret, scope(&format!("region-{i}")), key.clone());
        }
        assert!(keys.kept.read().len() <= CACHED_KEYS);
    }
}
