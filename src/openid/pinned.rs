//! Issuers of an app's tokens: each with one algorithm, said beforehand, and with keys of that one kind.
//!
//! What a token says of its algorithm is compared, never followed: a public key is never tried as a secret, and nothing that
//! is unsigned holds. Whose word counts for what is not known here.

use std::sync::{Arc, OnceLock};

use aws_lc_rs::hmac::{self, HMAC_SHA256, HMAC_SHA384, HMAC_SHA512};
use http::Uri;
use serde_json::{Map, Value};
use time::{Duration, OffsetDateTime};

use super::error::OpenIdError;
use super::fetch::Fetch;
use super::issuer::{Issuer, Pace, Place};
use super::keys::Algorithm;
use super::token::{self, Expected, Parts, Token};

/// How far the issuer's clock and this one may be apart.
const LEEWAY: Duration = Duration::seconds(60);

/// What proves the tokens of an issuer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IssuerKeys {
    /// A secret that it shares with us; given anew for each token, and kept nowhere here.
    Secret,
    /// A set of keys.
    KeySet(Uri),
    /// What its discovery document names. It must call itself as it is called here.
    Discovery(Uri),
}

/// What cannot be an issuer.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PinError {
    /// No such algorithm, or not with such keys.
    #[error("a secret signs with HS256, HS384 or HS512; key pairs with RS, PS (256, 384, 512), ES256, ES384 or EdDSA")]
    Algorithm,
    /// Keys that are fetched are those of somebody.
    #[error("an issuer whose keys are fetched needs the name that its tokens carry as iss")]
    NoIssuer,
    /// Nothing can be fetched.
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
}

/// Makes issuers, which share what fetches their documents.
#[derive(Clone)]
pub struct Issuers {
    /// Made when the first issuer needs it: it reads all certificates of the machine.
    fetch: Arc<OnceLock<Fetch>>,
    pace: Pace,
}

impl Issuers {
    /// `pace`: how often each issuer may be asked for its keys.
    pub fn new(pace: Pace) -> Self {
        Self {
            fetch: Arc::default(),
            pace,
        }
    }

    fn fetch(&self) -> Result<Fetch, rustls::Error> {
        if let Some(fetch) = self.fetch.get() {
            return Ok(fetch.clone());
        }
        let made = Fetch::new()?;
        Ok(self.fetch.get_or_init(|| made).clone())
    }

    /// An issuer whose tokens say `issuer` as `iss` (`None`: whatever they say) and `audience` as `aud`, and are signed
    /// with `algorithm` alone. Nothing is fetched yet.
    pub fn pinned(
        &self,
        keys: IssuerKeys,
        algorithm: &str,
        issuer: Option<String>,
        audience: Option<String>,
    ) -> Result<Pinned, PinError> {
        let fetched = |place: Place| {
            Algorithm::named(algorithm).ok_or(PinError::Algorithm)?;
            let issuer = Issuer::new(place, self.fetch()?, self.pace);
            Ok::<Proof, PinError>(Proof::Keys(Box::new(issuer)))
        };
        let proof = match (keys, &issuer) {
            (IssuerKeys::Secret, _) => Proof::Secret(hmac_named(algorithm).ok_or(PinError::Algorithm)?),
            (IssuerKeys::KeySet(_) | IssuerKeys::Discovery(_), None) => return Err(PinError::NoIssuer),
            (IssuerKeys::KeySet(url), Some(name)) => {
                let issuer = name.clone();
                fetched(Place::KeySet { url, issuer })?
            }
            (IssuerKeys::Discovery(url), Some(_)) => fetched(Place::Discovery(url))?,
        };
        Ok(Pinned {
            issuer,
            audience,
            algorithm: algorithm.to_owned(),
            proof,
        })
    }
}

fn hmac_named(name: &str) -> Option<hmac::Algorithm> {
    match name {
        "HS256" => Some(HMAC_SHA256),
        "HS384" => Some(HMAC_SHA384),
        "HS512" => Some(HMAC_SHA512),
        _ => None,
    }
}

/// An issuer with one algorithm.
pub struct Pinned {
    issuer: Option<String>,
    audience: Option<String>,
    algorithm: String,
    proof: Proof,
}

enum Proof {
    Secret(hmac::Algorithm),
    Keys(Box<Issuer>),
}

/// What a token was proved to say.
#[derive(Clone, Debug, PartialEq)]
pub struct Proved {
    pub claims: Map<String, Value>,
    /// When it ends.
    pub ends: OffsetDateTime,
}

/// Who a token says made it; not proved, so it tells whom to ask and nothing else.
pub fn issuer_said(token: &str) -> Result<Option<String>, OpenIdError> {
    let claims = Parts::parse(token)?.claims()?;
    Ok(claims.get("iss").and_then(Value::as_str).map(str::to_owned))
}

impl Pinned {
    /// What `token` proves at `now`. `secret`: of an issuer with [`IssuerKeys::Secret`]. Asks other issuers for their keys
    /// where they are not known; bounded in time and size.
    pub async fn proved(&self, token: &str, secret: Option<&[u8]>, now: OffsetDateTime) -> Result<Proved, OpenIdError> {
        let parts = Parts::parse(token)?;
        if parts.algorithm != self.algorithm {
            return Err(OpenIdError::Refused(
                "it is not signed with the algorithm of its issuer",
            ));
        }
        let claims = match (&self.proof, secret) {
            (Proof::Secret(algorithm), Some(secret)) => {
                let key = hmac::Key::new(*algorithm, secret);
                hmac::verify(&key, parts.signed.as_bytes(), &parts.signature)
                    .map_err(|_| OpenIdError::Refused("its signature is not the issuer's"))?;
                parts.claims()?
            }
            (Proof::Secret(_), None) => return Err(OpenIdError::Unreachable),
            (Proof::Keys(issuer), _) => {
                let token = Token::of(parts)?;
                let known = issuer.keys(|keys| token.may_be_signed_by(keys)).await?;
                if self.issuer.as_ref() != Some(&known.issuer) {
                    return Err(OpenIdError::Refused("its issuer calls itself something else"));
                }
                if !token.is_signed_by(&known.keys) {
                    return Err(OpenIdError::Refused("no key of the issuer made its signature"));
                }
                token.claims()?
            }
        };
        let expected = Expected {
            issuer: self.issuer.as_deref(),
            client: self.audience.as_deref(),
            leeway: LEEWAY,
        };
        let ends = token::check(&claims, &expected, now)?;
        Ok(Proved { claims, ends })
    }
}
