//! The public keys of an issuer, and the algorithms that each may have signed with. Pure.

use aws_lc_rs::rsa::PublicKeyComponents;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384,
    RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512,
    RsaParameters, UnparsedPublicKey, VerificationAlgorithm,
};
use base64_simd::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::Value;

/// Most keys of one issuer that are looked at.
const KEYS_MAX: usize = 64;
const RSA_BYTES: std::ops::RangeInclusive<usize> = 256..=1_024;
const EXPONENT_BYTES_MAX: usize = 8;

/// How a token may be signed: only so that its issuer alone can have done it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(super) enum Algorithm {
    #[serde(rename = "RS256")]
    Rs256,
    #[serde(rename = "RS384")]
    Rs384,
    #[serde(rename = "RS512")]
    Rs512,
    #[serde(rename = "PS256")]
    Ps256,
    #[serde(rename = "PS384")]
    Ps384,
    #[serde(rename = "PS512")]
    Ps512,
    #[serde(rename = "ES256")]
    Es256,
    #[serde(rename = "ES384")]
    Es384,
    #[serde(rename = "EdDSA")]
    EdDsa,
}

impl Algorithm {
    /// By its name in a token's head or a key; `None`: there is no such algorithm here.
    pub(super) fn named(name: &str) -> Option<Self> {
        serde_json::from_value(Value::String(name.to_owned())).ok()
    }
}

/// The keys of one issuer.
#[derive(Clone, Debug, Default)]
pub(super) struct KeySet(Vec<IssuerKey>);

#[derive(Clone, Debug)]
struct IssuerKey {
    id: Option<String>,
    /// The only one it signs with, if the issuer says so.
    algorithm: Option<Algorithm>,
    key: PublicKey,
}

#[derive(Clone, Debug)]
enum PublicKey {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    P256(Vec<u8>),
    P384(Vec<u8>),
    Ed25519(Vec<u8>),
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<Value>,
}

/// A key as RFC 7517 writes it.
#[derive(Deserialize)]
struct Written {
    kty: String,
    #[serde(rename = "use")]
    used_for: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    kid: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl KeySet {
    /// Reads a set; keys of other kinds or for other uses are left out. `None`: it is no set.
    pub(super) fn parse(json: &[u8]) -> Option<Self> {
        let set: Set = serde_json::from_slice(json).ok()?;
        let keys = set.keys.into_iter().take(KEYS_MAX);
        Some(Self(keys.filter_map(IssuerKey::read).collect()))
    }

    /// How many keys can sign tokens.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    fn candidates(&self, id: Option<&str>, algorithm: Algorithm) -> impl Iterator<Item = &IssuerKey> {
        self.0.iter().filter(move |key| {
            let named = id.is_none_or(|id| key.id.as_deref() == Some(id));
            named && key.may_sign_by(algorithm)
        })
    }

    /// Whether one of them may have made such a signature.
    pub(super) fn has(&self, id: Option<&str>, algorithm: Algorithm) -> bool {
        self.candidates(id, algorithm).next().is_some()
    }

    /// Whether one of them, that of this id if one is named, signed the text.
    pub(super) fn signed(&self, id: Option<&str>, algorithm: Algorithm, text: &[u8], signature: &[u8]) -> bool {
        self.candidates(id, algorithm)
            .any(|key| key.key.signed(algorithm, text, signature))
    }
}

fn decoded(text: Option<&String>) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode_to_vec(text?.as_bytes()).ok()
}

/// A point of a curve as it goes uncompressed.
fn point(written: &Written, coordinate_bytes: usize) -> Option<Vec<u8>> {
    let (x, y) = (decoded(written.x.as_ref())?, decoded(written.y.as_ref())?);
    let whole = x.len() == coordinate_bytes && y.len() == coordinate_bytes;
    whole.then(|| [&[4_u8][..], &x, &y].concat())
}

impl IssuerKey {
    fn read(value: Value) -> Option<Self> {
        let written: Written = serde_json::from_value(value).ok()?;
        let signs = written.used_for.as_deref().is_none_or(|used_for| used_for == "sig")
            && written
                .key_ops
                .as_ref()
                .is_none_or(|ops| ops.iter().any(|op| op == "verify"));
        if !signs {
            return None;
        }
        let algorithm = match &written.alg {
            None => None,
            Some(name) => Some(Algorithm::named(name)?),
        };
        let key = match (written.kty.as_str(), written.crv.as_deref()) {
            ("RSA", _) => {
                let (n, e) = (decoded(written.n.as_ref())?, decoded(written.e.as_ref())?);
                let sized = RSA_BYTES.contains(&n.len()) && (1..=EXPONENT_BYTES_MAX).contains(&e.len());
                sized.then_some(PublicKey::Rsa { n, e })?
            }
            ("EC", Some("P-256")) => PublicKey::P256(point(&written, 32)?),
            ("EC", Some("P-384")) => PublicKey::P384(point(&written, 48)?),
            ("OKP", Some("Ed25519")) => PublicKey::Ed25519(decoded(written.x.as_ref())?),
            _ => return None,
        };
        Some(Self {
            id: written.kid,
            algorithm,
            key,
        })
    }

    fn may_sign_by(&self, algorithm: Algorithm) -> bool {
        use Algorithm::{EdDsa, Es256, Es384, Ps256, Ps384, Ps512, Rs256, Rs384, Rs512};
        let kind = match algorithm {
            Rs256 | Rs384 | Rs512 | Ps256 | Ps384 | Ps512 => matches!(self.key, PublicKey::Rsa { .. }),
            Es256 => matches!(self.key, PublicKey::P256(_)),
            Es384 => matches!(self.key, PublicKey::P384(_)),
            EdDsa => matches!(self.key, PublicKey::Ed25519(_)),
        };
        kind && self.algorithm.is_none_or(|own| own == algorithm)
    }
}

fn rsa_parameters(algorithm: Algorithm) -> Option<&'static RsaParameters> {
    Some(match algorithm {
        Algorithm::Rs256 => &RSA_PKCS1_2048_8192_SHA256,
        Algorithm::Rs384 => &RSA_PKCS1_2048_8192_SHA384,
        Algorithm::Rs512 => &RSA_PKCS1_2048_8192_SHA512,
        Algorithm::Ps256 => &RSA_PSS_2048_8192_SHA256,
        Algorithm::Ps384 => &RSA_PSS_2048_8192_SHA384,
        Algorithm::Ps512 => &RSA_PSS_2048_8192_SHA512,
        Algorithm::Es256 | Algorithm::Es384 | Algorithm::EdDsa => return None,
    })
}

impl PublicKey {
    fn signed(&self, algorithm: Algorithm, text: &[u8], signature: &[u8]) -> bool {
        let by = |how: &'static dyn VerificationAlgorithm, key: &[u8]| {
            UnparsedPublicKey::new(how, key).verify(text, signature).is_ok()
        };
        match self {
            Self::Rsa { n, e } => rsa_parameters(algorithm).is_some_and(|how| {
                let key = PublicKeyComponents { n, e };
                key.verify(how, text, signature).is_ok()
            }),
            Self::P256(key) => by(&ECDSA_P256_SHA256_FIXED, key),
            Self::P384(key) => by(&ECDSA_P384_SHA384_FIXED, key),
            Self::Ed25519(key) => by(&ED25519, key),
        }
    }
}
