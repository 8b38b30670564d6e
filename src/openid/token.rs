//! One token: taken apart, its signature checked, its claims judged. Pure.
//!
//! JSON Web Signatures in their compact form, signed with a key pair and in no other way: what a public key could make as
//! well as a private one (HMAC), or nothing at all (`none`), is no algorithm here.

use base64_simd::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Map, Value};
use time::{Duration, OffsetDateTime};

use super::error::OpenIdError;
use super::keys::{Algorithm, KeySet};

/// Longest token that is looked at, in bytes.
const TOKEN_BYTES_MAX: usize = 16 * 1024;
/// How far the issuer's clock and this one may be apart.
pub(super) const LEEWAY: Duration = Duration::seconds(30);

#[derive(Deserialize)]
struct Head {
    alg: String,
    kid: Option<String>,
    /// Extensions that must be understood; none is.
    crit: Option<Value>,
}

/// A token that has the form of one. Nothing in it is to be believed before [`Token::is_signed_by`].
pub(super) struct Token<'t> {
    key_id: Option<String>,
    algorithm: Algorithm,
    signed: &'t str,
    payload: &'t str,
    signature: Vec<u8>,
}

fn decoded(part: &str) -> Result<Vec<u8>, OpenIdError> {
    let bytes = URL_SAFE_NO_PAD.decode_to_vec(part.as_bytes());
    bytes.map_err(|_| OpenIdError::Malformed("a part of it is not base64url"))
}

impl<'t> Token<'t> {
    pub(super) fn parse(text: &'t str) -> Result<Self, OpenIdError> {
        const FORM: OpenIdError = OpenIdError::Malformed("it is no signed JSON Web Token");
        if text.len() > TOKEN_BYTES_MAX {
            return Err(OpenIdError::Malformed("it is larger than 16 KiB"));
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(FORM)?;
        let (head, payload) = signed.split_once('.').ok_or(FORM)?;
        if payload.contains('.') {
            return Err(FORM);
        }
        let head: Head = serde_json::from_slice(&decoded(head)?).map_err(|_| FORM)?;
        if head.crit.is_some() {
            return Err(OpenIdError::Refused("it asks for an extension that is not known"));
        }
        let algorithm = serde_json::from_value(Value::String(head.alg));
        Ok(Self {
            key_id: head.kid,
            algorithm: algorithm.map_err(|_| OpenIdError::Refused("it is not signed by a key pair"))?,
            signed,
            payload,
            signature: decoded(signature)?,
        })
    }

    /// Whether a key that may have signed it is among these.
    pub(super) fn may_be_signed_by(&self, keys: &KeySet) -> bool {
        keys.has(self.key_id.as_deref(), self.algorithm)
    }

    pub(super) fn is_signed_by(&self, keys: &KeySet) -> bool {
        let (id, text) = (self.key_id.as_deref(), self.signed.as_bytes());
        keys.signed(id, self.algorithm, text, &self.signature)
    }

    pub(super) fn claims(&self) -> Result<Map<String, Value>, OpenIdError> {
        let claims = serde_json::from_slice(&decoded(self.payload)?);
        claims.map_err(|_| OpenIdError::Malformed("its claims are no JSON object"))
    }
}

/// A time as tokens write it: seconds since 1970, with or without a fraction.
fn time(claims: &Map<String, Value>, name: &str) -> Result<Option<OffsetDateTime>, OpenIdError> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    let wrong = || OpenIdError::Malformed("a time in it is none");
    let whole = value.as_i64().or_else(|| {
        let seconds = value.as_f64().filter(|seconds| seconds.abs() < 1e12)?;
        // Within the bounds just checked, so nothing is cut off but the fraction.
        Some(seconds.floor() as i64)
    });
    let time = OffsetDateTime::from_unix_timestamp(whole.ok_or_else(wrong)?);
    time.map(Some).map_err(|_| wrong())
}

/// Whether a claim is, or lists, this text.
fn names(claim: Option<&Value>, text: &str) -> bool {
    match claim {
        Some(Value::String(one)) => one == text,
        Some(Value::Array(list)) => list.iter().any(|one| one.as_str() == Some(text)),
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_)) | None => false,
    }
}

/// Whether the claims hold at `now` for tokens of `issuer` to `client`; answers when they end.
pub(super) fn check(
    claims: &Map<String, Value>,
    issuer: &str,
    client: &str,
    now: OffsetDateTime,
) -> Result<OffsetDateTime, OpenIdError> {
    // A logout token (OpenID Connect Back-Channel Logout 1.0, 2.4) says that somebody left, not that they are here.
    if claims.contains_key("events") {
        return Err(OpenIdError::Refused("it tells of events and is nobody's identity"));
    }
    if claims.get("iss").and_then(Value::as_str) != Some(issuer) {
        return Err(OpenIdError::Refused("another issuer made it"));
    }
    if !names(claims.get("aud"), client) && claims.get("azp").and_then(Value::as_str) != Some(client) {
        return Err(OpenIdError::Refused("it is meant for another client"));
    }
    let ends = time(claims, "exp")?.ok_or(OpenIdError::Refused("it never ends"))?;
    let ends = ends.checked_add(LEEWAY).ok_or(OpenIdError::Refused("it never ends"))?;
    if ends <= now {
        return Err(OpenIdError::Expired);
    }
    let soon = now.saturating_add(LEEWAY);
    for name in ["nbf", "iat"] {
        if time(claims, name)?.is_some_and(|begins| begins > soon) {
            return Err(OpenIdError::Refused("it does not hold yet"));
        }
    }
    Ok(ends)
}
