//! Tokens for metrics: made by whoever knows a secret key, without asking the server, as MinIO's `mc` makes them.
//!
//! A JSON Web Token, HS512 and no other algorithm, signed with the secret key of the access key that it names.

use aws_lc_rs::hmac::{HMAC_SHA512, Key, verify};
use base64_simd::URL_SAFE_NO_PAD;
use serde::Deserialize;
use time::OffsetDateTime;

use super::credentials::{CredentialSource, SecretKey};
use super::identity::Identity;

/// Longest token that is looked at.
const TOKEN_BYTES_MAX: usize = 4 * 1024;
/// Who makes such tokens, as they say themselves; a token made for something else opens nothing.
const ISSUER: &str = "prometheus";

#[derive(Deserialize)]
struct Head {
    alg: String,
}

#[derive(Deserialize)]
struct Claims {
    /// The access key.
    sub: String,
    iss: String,
    /// Seconds since 1970.
    exp: i64,
}

fn part<T: for<'de> Deserialize<'de>>(text: &str) -> Option<T> {
    let bytes = URL_SAFE_NO_PAD.decode_to_vec(text.as_bytes()).ok()?;
    serde_json::from_slice(&bytes).ok()
}

/// The caller behind a token, if it is right and has not ended. `nobody` stands in for the secret of an unknown access key.
pub(super) fn verified(
    credentials: &dyn CredentialSource,
    nobody: &SecretKey,
    token: &str,
    now: OffsetDateTime,
) -> Option<Identity> {
    if token.len() > TOKEN_BYTES_MAX {
        return None;
    }
    let (signed, signature) = token.rsplit_once('.')?;
    let (head, claims) = signed.split_once('.')?;
    let (head, claims) = (part::<Head>(head)?, part::<Claims>(claims)?);
    let signature = URL_SAFE_NO_PAD.decode_to_vec(signature.as_bytes()).ok()?;
    let found = credentials.find(&claims.sub);
    let secret = found.as_ref().map_or(nobody, |credential| &credential.secret);
    let right = verify(&Key::new(HMAC_SHA512, secret.expose()), signed.as_bytes(), &signature).is_ok();
    let credential = found.filter(|_| right)?;
    let good = head.alg == "HS512"
        && claims.iss == ISSUER
        && claims.exp > now.unix_timestamp()
        // A temporary credential is its token, too, which nothing here carries.
        && credential.session_token.is_none();
    good.then_some(credential.identity)
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::hmac::sign;
    use time::macros::datetime;

    use super::*;
    use crate::auth::RootCredentials;

    const NOW: OffsetDateTime = datetime!(2026-01-01 00:00:00 UTC);

    fn made(head: &str, claims: &str, secret: &[u8]) -> String {
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode_to_string(bytes);
        let signed = format!("{}.{}", encode(head.as_bytes()), encode(claims.as_bytes()));
        let signature = sign(&Key::new(HMAC_SHA512, secret), signed.as_bytes());
        format!("{signed}.{}", encode(signature.as_ref()))
    }

    fn is_root(token: &str) -> bool {
        let root = RootCredentials::new("rock", SecretKey::new("granite-wall"));
        verified(&root, &SecretKey::new("nobody"), token, NOW) == Some(Identity::Root)
    }

    #[test]
    fn a_token_opens_for_its_maker_until_it_ends_and_in_no_other_form() {
        const HEAD: &str = r#"{"alg":"HS512","typ":"JWT"}"#;
        let claims = |sub: &str, iss: &str, exp: i64| format!(r#"{{"exp":{exp},"sub":"{sub}","iss":"{iss}"}}"#);
        let later = NOW.unix_timestamp() + 1;
        let (secret, good) = (b"granite-wall", claims("rock", "prometheus", later));
        assert!(is_root(&made(HEAD, &good, secret)));
        for (head, claims, secret, why) in [
            (HEAD, good.clone(), &b"granite-wal"[..], "another secret"),
            (HEAD, claims("pebble", "prometheus", later), secret, "an unknown key"),
            (
                HEAD,
                claims("pebble", "prometheus", later),
                b"nobody",
                "nobody's secret",
            ),
            (
                HEAD,
                claims("rock", "elsewhere", later),
                secret,
                "made for something else",
            ),
            (HEAD, claims("rock", "prometheus", later - 1), secret, "ended"),
            (r#"{"alg":"none"}"#, good.clone(), secret, "no algorithm"),
            (r#"{"alg":"HS256"}"#, good.clone(), secret, "another algorithm"),
            (
                HEAD,
                r#"{"sub":"rock","iss":"prometheus"}"#.into(),
                secret,
                "without an end",
            ),
        ] {
            assert!(!is_root(&made(head, &claims, secret)), "{why}");
        }
        let token = made(HEAD, &good, secret);
        let unsigned = token.rsplit_once('.').unwrap().0;
        for broken in [
            "",
            ".",
            "..",
            "a.b.c",
            unsigned,
            &format!("{unsigned}."),
            &"a.".repeat(9_000),
        ] {
            assert!(!is_root(broken), "{broken:.40}");
        }
    }
}
