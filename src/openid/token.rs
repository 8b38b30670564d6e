//! One token: taken apart, its signature checked, its claims judged. Pure.
//!
//! JSON Web Signatures in their compact form. A [`Token`] is signed with a key pair and in no other way: what a public key
//! could make as well as a private one (HMAC), or nothing at all (`none`), is no algorithm of it.

use base64_simd::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Map, Value};
use time::{Duration, OffsetDateTime};

use super::error::OpenIdError;
use super::keys::{Algorithm, KeySet};

/// Longest token that is looked at, in bytes.
const TOKEN_BYTES_MAX: usize = 16 * 1024;
/// How far the clock of a configured provider and this one may be apart.
pub(super) const LEEWAY: Duration = Duration::seconds(30);

#[derive(Deserialize)]
struct Head {
    alg: String,
    kid: Option<String>,
    /// Extensions that must be understood; none is.
    crit: Option<Value>,
}

/// What the three parts of a token hold. Nothing in it is to be believed before its signature was checked.
pub(super) struct Parts<'t> {
    /// The name of the algorithm, as the token says it.
    pub(super) algorithm: String,
    key_id: Option<String>,
    pub(super) signed: &'t str,
    payload: &'t str,
    pub(super) signature: Vec<u8>,
}

/// A token that says it is signed with a key pair. Nothing in it is to be believed before [`Token::is_signed_by`].
pub(super) struct Token<'t> {
    algorithm: Algorithm,
    parts: Parts<'t>,
}

fn decoded(part: &str) -> Result<Vec<u8>, OpenIdError> {
    let bytes = URL_SAFE_NO_PAD.decode_to_vec(part.as_bytes());
    bytes.map_err(|_| OpenIdError::Malformed("a part of it is not base64url"))
}

impl<'t> Parts<'t> {
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
        Ok(Self {
            algorithm: head.alg,
            key_id: head.kid,
            signed,
            payload,
            signature: decoded(signature)?,
        })
    }

    pub(super) fn claims(&self) -> Result<Map<String, Value>, OpenIdError> {
        let claims = serde_json::from_slice(&decoded(self.payload)?);
        claims.map_err(|_| OpenIdError::Malformed("its claims are no JSON object"))
    }
}

impl<'t> Token<'t> {
    pub(super) fn parse(text: &'t str) -> Result<Self, OpenIdError> {
        Self::of(Parts::parse(text)?)
    }

    pub(super) fn of(parts: Parts<'t>) -> Result<Self, OpenIdError> {
        let algorithm = Algorithm::named(&parts.algorithm);
        let algorithm = algorithm.ok_or(OpenIdError::Refused("it is not signed by a key pair"))?;
        Ok(Self { algorithm, parts })
    }

    /// Whether a key that may have signed it is among these.
    pub(super) fn may_be_signed_by(&self, keys: &KeySet) -> bool {
        keys.has(self.parts.key_id.as_deref(), self.algorithm)
    }

    pub(super) fn is_signed_by(&self, keys: &KeySet) -> bool {
        let (id, text) = (self.parts.key_id.as_deref(), self.parts.signed.as_bytes());
        keys.signed(id, self.algorithm, text, &self.parts.signature)
    }

    pub(super) fn claims(&self) -> Result<Map<String, Value>, OpenIdError> {
        self.parts.claims()
    }
}

/// A time as tokens write it: seconds since 1970, with or without a fraction.
fn time(claims: &Map<String, Value>, name: &str) -> Result<Option<OffsetDateTime>, OpenIdError> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    let wrong = || {
        OpenIdError::Malformed(match name {
            "exp" => "exp must be a number of seconds since 1970, neither a text nor milliseconds",
            _ => "nbf and iat must be numbers of seconds since 1970, neither texts nor milliseconds",
        })
    };
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

/// What claims must say.
pub(super) struct Expected<'e> {
    /// Who made the token; `None`: anybody whose key signed it.
    pub(super) issuer: Option<&'e str>,
    /// Whom it was made for; `None`: anybody.
    pub(super) client: Option<&'e str>,
    /// How far the issuer's clock and this one may be apart.
    pub(super) leeway: Duration,
}

/// Whether the claims are as they must be and hold at `now`; answers when they end.
pub(super) fn check(
    claims: &Map<String, Value>,
    expected: &Expected<'_>,
    now: OffsetDateTime,
) -> Result<OffsetDateTime, OpenIdError> {
    // A logout token (OpenID Connect Back-Channel Logout 1.0, 2.4) says that somebody left, not that they are here.
    if claims.contains_key("events") {
        return Err(OpenIdError::Refused("it tells of events and is nobody's identity"));
    }
    let says = |name: &str, text: &str| claims.get(name).and_then(Value::as_str) == Some(text);
    if expected.issuer.is_some_and(|issuer| !says("iss", issuer)) {
        return Err(OpenIdError::Refused("another issuer made it"));
    }
    let is_for = |client: &str| names(claims.get("aud"), client) || says("azp", client);
    if expected.client.is_some_and(|client| !is_for(client)) {
        return Err(OpenIdError::Refused("it is meant for another client"));
    }
    let ends = time(claims, "exp")?.ok_or(OpenIdError::Refused("it never ends"))?;
    let ends = ends
        .checked_add(expected.leeway)
        .ok_or(OpenIdError::Refused("it never ends"))?;
    if ends <= now {
        return Err(OpenIdError::Expired);
    }
    let soon = now.saturating_add(expected.leeway);
    for name in ["nbf", "iat"] {
        if time(claims, name)?.is_some_and(|begins| begins > soon) {
            return Err(OpenIdError::Refused("it does not hold yet"));
        }
    }
    Ok(ends)
}
