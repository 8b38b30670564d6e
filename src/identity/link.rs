//! How the terms of links are sealed: what stands in the query of a presigned URL, and the access key and secret that go
//! with it.
//!
//! Owns the bytes described under "Links" in docs/on-disk-format.md. Nothing of a link is stored, and nothing of it is
//! random: the same terms give the same link, so that a URL repeats and can be cached. It never looks into the terms.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};
use aws_lc_rs::hmac::{HMAC_SHA256, Key, Tag, sign};
use base64_simd::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::seal::SealError;
use crate::auth::{LINK_KEY_CHARS, LINK_KEY_START, SecretKey};

const VERSION: u8 = 1;
const NONCE_BYTES: usize = 12;
const KEY_BYTES: usize = 32;
/// Random-looking letters of an access key hold five bits each.
const NAME_BYTES: usize = 10;
/// Longest token that is given out, in characters: proxies take request lines of 8 KiB.
pub const LINK_TOKEN_CHARS_MAX: usize = 6 * 1024;

const PURPOSE: &[u8] = b"drystone link 1\0";
const NONCE_PURPOSE: &[u8] = b"drystone link nonce 1\0";
const NAME_PURPOSE: &[u8] = b"drystone link name 1\0";
const SECRET_PURPOSE: &[u8] = b"drystone link secret 1\0";

/// What signs the URL of one link.
#[derive(Clone, Debug)]
pub struct SealedLink {
    pub access_key: String,
    pub secret: SecretKey,
    /// Carries the terms.
    pub token: SecretKey,
}

/// Seals and opens the terms of links.
pub struct LinkSealer {
    terms: LessSafeKey,
    nonces: Key,
    names: Key,
    secrets: Key,
}

impl LinkSealer {
    /// Under the key that seals the directory's secrets.
    pub fn new(key: &[u8]) -> Result<Self, SealError> {
        let extracted = Salt::new(HKDF_SHA256, &[]).extract(key);
        let hmac = |purpose| Ok::<_, SealError>(Key::new(HMAC_SHA256, derived(&extracted, purpose)?.as_slice()));
        let terms = UnboundKey::new(&AES_256_GCM, derived(&extracted, PURPOSE)?.as_slice())
            .map_err(|_| SealError::Failed("AES-256-GCM took no key"))?;
        Ok(Self {
            terms: LessSafeKey::new(terms),
            nonces: hmac(NONCE_PURPOSE)?,
            names: hmac(NAME_PURPOSE)?,
            secrets: hmac(SECRET_PURPOSE)?,
        })
    }

    /// Seals the terms of one link. The same terms give the same link. One whose token is longer than
    /// [`LINK_TOKEN_CHARS_MAX`] never opens.
    pub fn seal(&self, terms: &[u8]) -> Result<SealedLink, SealError> {
        let nonce = self.nonce(terms);
        let mut sealed = terms.to_vec();
        self.terms
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(PURPOSE), &mut sealed)
            .map_err(|_| SealError::Failed("AES-256-GCM sealed nothing"))?;
        let sealed = [&[VERSION], nonce.as_slice(), &sealed].concat();
        Ok(SealedLink {
            access_key: self.access_key(&sealed),
            secret: self.secret(&sealed),
            token: SecretKey::new(URL_SAFE_NO_PAD.encode_to_string(&sealed)),
        })
    }

    /// The terms that a token was given out with under this access key, and the secret that signs; `None`: it is none of
    /// ours.
    pub fn open(&self, access_key: &str, token: &str) -> Option<(Zeroizing<Vec<u8>>, SecretKey)> {
        if token.len() > LINK_TOKEN_CHARS_MAX {
            return None;
        }
        let sealed = URL_SAFE_NO_PAD.decode_to_vec(token.as_bytes()).ok()?;
        if !bool::from(self.access_key(&sealed).as_bytes().ct_eq(access_key.as_bytes())) {
            return None;
        }
        let (version, rest) = sealed.split_first()?;
        let (nonce, rest) = rest.split_at_checked(NONCE_BYTES)?;
        if *version != VERSION {
            return None;
        }
        let mut text = Zeroizing::new(rest.to_vec());
        let length = self
            .terms
            .open_in_place(
                Nonce::try_assume_unique_for_key(nonce).ok()?,
                Aad::from(PURPOSE),
                text.as_mut_slice(),
            )
            .ok()?
            .len();
        text.truncate(length);
        // What is ours has the nonce of its own terms, so that not even two terms with one nonce would let forge a third.
        let is_ours = bool::from(self.nonce(&text).ct_eq(nonce));
        is_ours.then(|| (text, self.secret(&sealed)))
    }

    /// Of these terms and no others, as far as anybody can tell: two that differ have the same about as rarely as two
    /// random ones.
    fn nonce(&self, terms: &[u8]) -> [u8; NONCE_BYTES] {
        start_of(&sign(&self.nonces, terms))
    }

    fn access_key(&self, sealed: &[u8]) -> String {
        let bits = start_of::<NAME_BYTES>(&sign(&self.names, sealed))
            .into_iter()
            .fold(0_u128, |bits, byte| (bits << 8) | u128::from(byte));
        let letters = (LINK_KEY_START.len()..LINK_KEY_CHARS).rev();
        let letters = letters.map(|at| {
            let five = (bits >> (5 * (at - LINK_KEY_START.len()))) & 31;
            match u8::try_from(five).unwrap_or_default() {
                letter @ 0..26 => char::from(b'A' + letter),
                digit => char::from(b'2' + (digit - 26)),
            }
        });
        LINK_KEY_START.chars().chain(letters).collect()
    }

    fn secret(&self, sealed: &[u8]) -> SecretKey {
        SecretKey::new(URL_SAFE_NO_PAD.encode_to_string(sign(&self.secrets, sealed).as_ref()))
    }
}

impl std::fmt::Debug for LinkSealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LinkSealer(…)")
    }
}

/// Length of what HKDF is asked for.
struct Bytes32;

impl KeyType for Bytes32 {
    fn len(&self) -> usize {
        KEY_BYTES
    }
}

fn derived(extracted: &Prk, purpose: &[u8]) -> Result<Zeroizing<[u8; KEY_BYTES]>, SealError> {
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    let info = [purpose];
    extracted
        .expand(&info, Bytes32)
        .and_then(|okm| okm.fill(key.as_mut_slice()))
        .map_err(|_| SealError::Failed("HKDF gave no key"))?;
    Ok(key)
}

fn start_of<const N: usize>(tag: &Tag) -> [u8; N] {
    let mut start = [0; N];
    for (to, from) in start.iter_mut().zip(tag.as_ref()) {
        *to = *from;
    }
    start
}

#[cfg(test)]
mod tests {
    use super::{LINK_TOKEN_CHARS_MAX, LinkSealer};
    use crate::auth::is_link_key;

    const TERMS: &[u8] = br#"{"f":"0190"}"#;

    fn sealer() -> LinkSealer {
        LinkSealer::new(&[7; 32]).unwrap()
    }

    fn text(token: &crate::auth::SecretKey) -> String {
        String::from_utf8(token.expose().to_vec()).unwrap()
    }

    #[test]
    fn the_same_terms_give_the_same_link_and_others_another() {
        let (one, again) = (sealer().seal(TERMS).unwrap(), sealer().seal(TERMS).unwrap());
        assert_eq!(one.access_key, again.access_key);
        assert_eq!(text(&one.token), text(&again.token));
        assert!(one.secret.matches(again.secret.expose()));
        let other = sealer().seal(br#"{"f":"0191"}"#).unwrap();
        assert_ne!(one.access_key, other.access_key);
        assert!(!one.secret.matches(other.secret.expose()));
        assert_ne!(text(&one.token).get(..18), text(&other.token).get(..18), "one nonce");
        let elsewhere = LinkSealer::new(&[8; 32]).unwrap().seal(TERMS).unwrap();
        assert_ne!(one.access_key, elsewhere.access_key);
    }

    #[test]
    fn what_was_sealed_opens_with_the_secret_it_was_given_out_with() {
        for length in [0, 1, 12, 300, 4_000] {
            let terms = vec![b'x'; length];
            let link = sealer().seal(&terms).unwrap();
            assert!(is_link_key(&link.access_key), "{}", link.access_key);
            let (opened, secret) = sealer().open(&link.access_key, &text(&link.token)).unwrap();
            assert_eq!(opened.as_slice(), terms);
            assert!(link.secret.matches(secret.expose()));
        }
    }

    #[test]
    fn what_was_changed_or_is_another_stores_does_not_open() {
        let link = sealer().seal(TERMS).unwrap();
        let token = text(&link.token);
        let elsewhere = LinkSealer::new(&[8; 32]).unwrap();
        assert!(elsewhere.open(&link.access_key, &token).is_none());
        let other = sealer().seal(b"{}").unwrap();
        assert!(sealer().open(&other.access_key, &token).is_none());
        for at in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            if changed != token {
                assert!(sealer().open(&link.access_key, &changed).is_none(), "{at}");
            }
        }
        let long = "A".repeat(LINK_TOKEN_CHARS_MAX + 1);
        for wrong in ["", "A", "AAAA", "====", long.as_str()] {
            assert!(sealer().open(&link.access_key, wrong).is_none());
        }
    }

    #[test]
    fn nothing_of_a_link_shows_in_what_is_logged() {
        let link = sealer().seal(TERMS).unwrap();
        let shown = format!("{link:?} {:?}", sealer());
        assert!(!shown.contains(&text(&link.token)), "{shown}");
        assert!(!shown.contains(&text(&link.secret)), "{shown}");
    }
}
