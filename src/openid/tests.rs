//! Tokens of an issuer that runs here, over real HTTP, with keys made for the test.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
    RSA_PKCS1_SHA256, RSA_PKCS1_SHA512, RSA_PSS_SHA384, RsaEncoding,
};
use base64_simd::URL_SAFE_NO_PAD;
use parking_lot::Mutex;
use proptest::prelude::{any, prop_assert, proptest};
use serde_json::{Value, json};
use time::OffsetDateTime;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::keys::KeySet;
use super::token::Token;
use super::{OpenIdError, Pace, Provider, Providers, Vouched};
use crate::config::{Grants, OpenIdProvider};

pub(crate) const CLIENT: &str = "store";

fn coded(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode_to_string(bytes)
}

/// A key pair of an issuer.
pub(crate) enum Pair {
    Rsa(RsaKeyPair),
    P256(EcdsaKeyPair),
    P384(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl Pair {
    pub(crate) fn rsa() -> Self {
        Self::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap())
    }

    pub(crate) fn p256() -> Self {
        Self::P256(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
    }

    /// The modulus, out of the key's DER: two integers of known sizes.
    fn modulus(pair: &RsaKeyPair) -> Vec<u8> {
        let der = pair.public_key().as_ref().to_vec();
        assert_eq!((der.len(), &der[265..]), (270, &[2, 3, 1, 0, 1][..]));
        der[9..265].to_vec()
    }

    /// As a set of keys tells it.
    pub(crate) fn public(&self, id: &str) -> Value {
        let point = |key: &[u8], curve: &str| {
            let (x, y) = key[1..].split_at((key.len() - 1) / 2);
            json!({"kty": "EC", "crv": curve, "kid": id, "use": "sig", "x": coded(x), "y": coded(y)})
        };
        match self {
            Self::Rsa(pair) => {
                json!({"kty": "RSA", "kid": id, "use": "sig", "n": coded(&Self::modulus(pair)), "e": "AQAB"})
            }
            Self::P256(pair) => point(pair.public_key().as_ref(), "P-256"),
            Self::P384(pair) => point(pair.public_key().as_ref(), "P-384"),
            Self::Ed25519(pair) => {
                json!({"kty": "OKP", "crv": "Ed25519", "kid": id, "x": coded(pair.public_key().as_ref())})
            }
        }
    }

    fn sign(&self, algorithm: &str, text: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        let by_rsa = |pair: &RsaKeyPair, how: &'static dyn RsaEncoding| {
            let mut signature = vec![0; 256];
            pair.sign(how, &random, text, &mut signature).unwrap();
            signature
        };
        match (self, algorithm) {
            (Self::Rsa(pair), "RS256") => by_rsa(pair, &RSA_PKCS1_SHA256),
            (Self::Rsa(pair), "RS512") => by_rsa(pair, &RSA_PKCS1_SHA512),
            (Self::Rsa(pair), "PS384") => by_rsa(pair, &RSA_PSS_SHA384),
            (Self::P256(pair) | Self::P384(pair), _) => pair.sign(&random, text).unwrap().as_ref().to_vec(),
            (Self::Ed25519(pair), _) => pair.sign(text).as_ref().to_vec(),
            (Self::Rsa(_), other) => panic!("{other}"),
        }
    }

    pub(crate) fn token(&self, algorithm: &str, id: Option<&str>, claims: &Value) -> String {
        let mut head = json!({"alg": algorithm, "typ": "JWT"});
        if let Some(id) = id {
            head["kid"] = json!(id);
        }
        let signed = signed_part(&head, claims);
        format!("{signed}.{}", coded(&self.sign(algorithm, signed.as_bytes())))
    }
}

fn signed_part(head: &Value, claims: &Value) -> String {
    let (head, claims) = (head.to_string(), claims.to_string());
    format!("{}.{}", coded(head.as_bytes()), coded(claims.as_bytes()))
}

/// How the issuer answers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    Well,
    Failing,
    Elsewhere,
    Huge,
    Silent,
}

/// An issuer on a port of this machine.
#[derive(Clone)]
pub(crate) struct TestIssuer {
    pub(crate) url: String,
    keys: Arc<Mutex<Value>>,
    mood: Arc<Mutex<Mood>>,
    asked: Arc<AtomicUsize>,
}

impl TestIssuer {
    pub(crate) async fn start(keys: Value) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            keys: Arc::new(Mutex::new(keys)),
            mood: Arc::new(Mutex::new(Mood::Well)),
            asked: Arc::default(),
        };
        let answering = issuer.clone();
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let issuer = answering.clone();
                tokio::spawn(async move {
                    let mut asked = vec![0; 4_096];
                    let read = stream.read(&mut asked).await.unwrap_or_default();
                    let asked = String::from_utf8_lossy(&asked[..read]).into_owned();
                    if let Some(answer) = issuer.answer(&asked) {
                        drop(stream.write_all(answer.as_bytes()).await);
                    } else {
                        // Until whoever asked has lost patience.
                        drop(stream.read(&mut [0]).await);
                    }
                });
            }
        });
        issuer
    }

    fn answer(&self, asked: &str) -> Option<String> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let (status, more, body) = match *self.mood.lock() {
            Mood::Silent => return None,
            Mood::Failing => ("500 Internal Server Error", String::new(), "{}".to_owned()),
            Mood::Elsewhere => ("302 Found", format!("Location: {}/keys\r\n", self.url), "{}".to_owned()),
            Mood::Huge => ("200 OK", String::new(), " ".repeat(600 * 1_024)),
            Mood::Well if asked.starts_with("GET /keys ") => ("200 OK", String::new(), self.keys.lock().to_string()),
            Mood::Well => {
                let document = json!({"issuer": self.url, "jwks_uri": format!("{}/keys", self.url)});
                ("200 OK", String::new(), document.to_string())
            }
        };
        let length = body.len();
        Some(format!(
            "HTTP/1.1 {status}\r\n{more}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        ))
    }

    pub(crate) fn set_keys(&self, keys: Value) {
        *self.keys.lock() = keys;
    }

    pub(crate) fn set_mood(&self, mood: Mood) {
        *self.mood.lock() = mood;
    }

    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    pub(crate) fn provider(&self, grants: Grants) -> OpenIdProvider {
        OpenIdProvider {
            name: String::new(),
            config_url: format!("{}/.well-known/openid-configuration", self.url)
                .parse()
                .unwrap(),
            client_id: CLIENT.to_owned(),
            grants,
        }
    }

    /// Claims that are right for a minute from now.
    pub(crate) fn claims(&self) -> Value {
        let now = OffsetDateTime::now_utc().unix_timestamp();
        json!({
            "iss": self.url, "sub": "ann", "aud": [CLIENT, "other"], "exp": now + 60, "nbf": now, "iat": now,
            "policy": "readonly, readwrite", "groups": ["a", "b"], "level": 7, "address": {"street": "x"},
        })
    }
}

/// No waiting between two looks.
pub(crate) fn eager() -> Pace {
    Pace {
        patience: Duration::from_secs(20),
        pause: Duration::ZERO,
        pause_after_failure: Duration::ZERO,
        ..Pace::default()
    }
}

pub(crate) fn by_claim() -> Grants {
    Grants::Claim("policy".into())
}

fn providers(settings: Vec<OpenIdProvider>, pace: Pace) -> Providers {
    Providers::new(settings, Some("here"), pace).unwrap()
}

fn only(providers: &Providers) -> &Provider {
    providers.iter().next().unwrap()
}

async fn vouched(providers: &Providers, token: &str) -> Result<Vouched, OpenIdError> {
    only(providers).vouched(token, OffsetDateTime::now_utc()).await
}

fn with(claims: &Value, name: &str, value: Value) -> Value {
    let mut claims = claims.clone();
    claims[name] = value;
    claims
}

proptest! {
    #[test]
    fn whatever_comes_as_a_token_or_a_set_of_keys_is_read_or_refused(
        parts in proptest::collection::vec(any::<Vec<u8>>(), 0..5),
        head in "\\{\"alg\":\"(RS256|ES256|EdDSA|none)\",\"kid\":\"[a-z]{0,3}\"\\}",
        kty in "(RSA|EC|OKP|oct)",
        crv in "(P-256|P-384|Ed25519)",
        number: Vec<u8>,
        claims: Vec<u8>,
    ) {
        let key = json!({
            "kty": kty, "crv": crv, "n": coded(&number), "e": coded(&claims), "x": coded(&number), "y": coded(&claims),
        });
        let keys = KeySet::parse(json!({"keys": [key]}).to_string().as_bytes()).unwrap();
        let written: Vec<String> = parts.iter().map(|part| coded(part)).collect();
        for text in [written.join("."), format!("{}.{}.{}", coded(head.as_bytes()), coded(&claims), coded(&number))] {
            let Ok(token) = Token::parse(&text) else { continue };
            prop_assert!(!token.is_signed_by(&keys));
            drop(token.claims());
        }
        for bytes in parts {
            prop_assert!(KeySet::parse(&bytes).is_none_or(|keys| keys.len() == 0));
        }
    }
}

#[tokio::test]
async fn every_kind_of_key_proves_its_issuers_tokens_and_their_claims_become_condition_keys() {
    let pairs = [
        (Pair::rsa(), "RS256"),
        (Pair::rsa(), "RS512"),
        (Pair::rsa(), "PS384"),
        (Pair::p256(), "ES256"),
        (
            Pair::P384(EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap()),
            "ES384",
        ),
        (Pair::Ed25519(Ed25519KeyPair::generate().unwrap()), "EdDSA"),
    ];
    let mut keys: Vec<Value> = pairs
        .iter()
        .enumerate()
        .map(|(n, (pair, _))| pair.public(&n.to_string()))
        .collect();
    // As issuers list them beside those that sign.
    keys.push(json!({"kty": "RSA", "kid": "enc", "use": "enc", "alg": "RSA-OAEP", "n": "AQAB", "e": "AQAB"}));
    keys.push(json!({"kty": "unheard-of"}));
    let issuer = TestIssuer::start(json!({"keys": keys})).await;
    let providers = providers(vec![issuer.provider(by_claim())], eager());
    for (n, (pair, algorithm)) in pairs.iter().enumerate() {
        for id in [Some(n.to_string()), None] {
            let token = pair.token(algorithm, id.as_deref(), &issuer.claims());
            let found = vouched(&providers, &token).await;
            let found = found.unwrap_or_else(|error| panic!("{algorithm}: {error}"));
            assert_eq!((found.subject.as_str(), found.audience.as_str()), ("ann", CLIENT));
            assert_eq!(found.issuer, issuer.url);
            assert_eq!(found.policies, Some(vec!["readonly".into(), "readwrite".into()]));
            assert_eq!(found.claims["jwt:groups"], ["a", "b"]);
            assert_eq!(found.claims["jwt:level"], ["7"]);
            assert!(!found.claims.contains_key("jwt:address"));
        }
    }
    assert_eq!(issuer.asked(), 2, "its keys are kept");
}

/// Claims that no signature makes right.
fn wrong_claims(good: &Value, now: i64) -> Vec<(&'static str, Value)> {
    vec![
        ("another issuer", with(good, "iss", json!("https://elsewhere"))),
        ("no issuer", with(good, "iss", Value::Null)),
        ("another audience", with(good, "aud", json!(["other"]))),
        ("no end", with(good, "exp", Value::Null)),
        ("an end that is none", with(good, "exp", json!("soon"))),
        ("not yet", with(good, "nbf", json!(now + 3_600))),
        ("made later", with(good, "iat", json!(now + 3_600))),
        ("no subject", with(good, "sub", Value::Null)),
        ("control characters", with(good, "sub", json!("a\nb"))),
        ("a long subject", with(good, "sub", json!("s".repeat(256)))),
        ("no policy", with(good, "policy", json!([]))),
        ("two claims for one condition key", with(good, "SUB", json!("root"))),
        ("large claims", with(good, "x", json!("x".repeat(6 * 1_024)))),
        ("a huge token", with(good, "x", json!("x".repeat(20 * 1_024)))),
    ]
}

#[tokio::test]
async fn a_token_that_the_issuers_key_did_not_sign_for_this_store_and_this_time_is_refused() {
    let (pair, other) = (Pair::rsa(), Pair::rsa());
    let issuer = TestIssuer::start(json!({"keys": [pair.public("k")]})).await;
    let providers = providers(vec![issuer.provider(by_claim())], eager());
    let good = issuer.claims();
    let now = OffsetDateTime::now_utc().unix_timestamp();
    let signed = |claims: &Value| pair.token("RS256", Some("k"), claims);
    let Pair::Rsa(rsa) = &pair else { unreachable!() };
    let hmac_with = |secret: &[u8]| {
        let text = signed_part(&json!({"alg": "HS256", "kid": "k"}), &good);
        let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), text.as_bytes());
        format!("{text}.{}", coded(signature.as_ref()))
    };
    let der = AsDer::<aws_lc_rs::encoding::PublicKeyX509Der<'_>>::as_der(rsa.public_key()).unwrap();
    let token = signed(&good);
    let (text, signature) = token.rsplit_once('.').unwrap();
    let forged = signed_part(&json!({"alg": "RS256", "kid": "k"}), &with(&good, "sub", json!("root")));
    let crit = {
        let text = signed_part(&json!({"alg": "RS256", "kid": "k", "crit": ["exp"]}), &good);
        format!("{text}.{}", coded(&pair.sign("RS256", text.as_bytes())))
    };
    let tokens = [
        ("none", format!("{}.", signed_part(&json!({"alg": "none"}), &good))),
        ("HMAC with the modulus", hmac_with(&Pair::modulus(rsa))),
        ("HMAC with the key's DER", hmac_with(der.as_ref())),
        (
            "another key under the same name",
            other.token("RS256", Some("k"), &good),
        ),
        ("a key nobody knows", other.token("RS256", Some("other"), &good)),
        (
            "an algorithm of another kind of key",
            Pair::p256().token("ES256", Some("k"), &good),
        ),
        ("other claims under the signature", format!("{forged}.{signature}")),
        ("no signature", format!("{text}.")),
        ("an extension", crit),
        ("nothing", String::new()),
        ("dots", "....".to_owned()),
        ("four parts", format!("{token}.x")),
    ];
    let of_claims = wrong_claims(&good, now)
        .into_iter()
        .map(|(why, claims)| (why, signed(&claims)));
    for (why, token) in tokens.into_iter().chain(of_claims) {
        let found = vouched(&providers, &token).await.expect_err(why);
        assert!(
            !matches!(found, OpenIdError::Expired | OpenIdError::Unreachable),
            "{why}: {found}"
        );
    }
    let ended = signed(&with(&good, "exp", json!(now - 3_600)));
    assert_eq!(vouched(&providers, &ended).await, Err(OpenIdError::Expired));
    let by_azp = with(&with(&good, "aud", json!("account")), "azp", json!(CLIENT));
    for good in [good.clone(), by_azp, with(&good, "exp", json!(now - 5))] {
        assert!(vouched(&providers, &signed(&good)).await.is_ok(), "{good}");
    }
}

#[tokio::test]
async fn a_key_holds_only_with_the_algorithm_that_its_issuer_names() {
    let pair = Pair::rsa();
    let mut key = pair.public("k");
    key["alg"] = json!("PS384");
    let issuer = TestIssuer::start(json!({"keys": [key]})).await;
    let providers = providers(vec![issuer.provider(by_claim())], eager());
    assert!(
        vouched(&providers, &pair.token("PS384", Some("k"), &issuer.claims()))
            .await
            .is_ok()
    );
    assert!(
        vouched(&providers, &pair.token("RS256", Some("k"), &issuer.claims()))
            .await
            .is_err()
    );
}

#[tokio::test]
async fn new_keys_of_the_issuer_are_taken_and_old_ones_end_without_a_restart() {
    let (first, second) = (Pair::p256(), Pair::p256());
    let issuer = TestIssuer::start(json!({"keys": [first.public("1")]})).await;
    let providers = providers(vec![issuer.provider(by_claim())], eager());
    let (old, new) = (
        first.token("ES256", Some("1"), &issuer.claims()),
        second.token("ES256", Some("2"), &issuer.claims()),
    );
    assert!(vouched(&providers, &old).await.is_ok());
    assert!(vouched(&providers, &new).await.is_err());
    issuer.set_keys(json!({"keys": [second.public("2")]}));
    assert!(vouched(&providers, &new).await.is_ok());
    assert!(vouched(&providers, &old).await.is_err());
}

#[tokio::test]
async fn made_up_key_names_do_not_make_the_issuer_answer_again_and_again() {
    let pair = Pair::p256();
    let issuer = TestIssuer::start(json!({"keys": [pair.public("k")]})).await;
    let calm = Pace {
        pause: Duration::from_secs(3_600),
        ..eager()
    };
    let providers = providers(vec![issuer.provider(by_claim())], calm);
    for n in 0..20 {
        let token = pair.token("ES256", Some(&format!("made-up-{n}")), &issuer.claims());
        assert!(matches!(
            vouched(&providers, &token).await,
            Err(OpenIdError::Refused(_))
        ));
    }
    assert_eq!(issuer.asked(), 2);
    assert!(
        vouched(&providers, &pair.token("ES256", Some("k"), &issuer.claims()))
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn an_issuer_that_fails_hangs_or_sends_elsewhere_is_unreachable_and_known_keys_hold_on() {
    let pair = Pair::p256();
    let issuer = TestIssuer::start(json!({"keys": [pair.public("k")]})).await;
    let token = pair.token("ES256", Some("k"), &issuer.claims());
    for mood in [Mood::Failing, Mood::Elsewhere, Mood::Huge, Mood::Silent] {
        issuer.set_mood(mood);
        let hasty = Pace {
            patience: if mood == Mood::Silent {
                Duration::from_millis(100)
            } else {
                eager().patience
            },
            ..eager()
        };
        let providers = providers(vec![issuer.provider(by_claim())], hasty);
        assert_eq!(vouched(&providers, &token).await, Err(OpenIdError::Unreachable));
    }
    issuer.set_mood(Mood::Well);
    let forgetful = Pace {
        fresh: Duration::ZERO,
        ..eager()
    };
    let providers = providers(vec![issuer.provider(by_claim())], forgetful);
    assert!(vouched(&providers, &token).await.is_ok());
    issuer.set_mood(Mood::Failing);
    assert!(vouched(&providers, &token).await.is_ok());
}

#[tokio::test]
async fn a_role_chooses_the_provider_and_another_providers_key_opens_nothing() {
    let (pair, other) = (Pair::p256(), Pair::p256());
    let issuer = TestIssuer::start(json!({"keys": [pair.public("k")]})).await;
    let stranger = TestIssuer::start(json!({"keys": [other.public("k")]})).await;
    let of_role = OpenIdProvider {
        name: "ROLE".into(),
        client_id: "minio-client-app".into(),
        ..stranger.provider(Grants::Role(vec!["readonly".into()]))
    };
    let all = providers(vec![issuer.provider(by_claim()), of_role], eager());
    let role = "arn:minio:iam:here::role/nOybJqMNzNmroqEKq5D0EUsRZw0";
    assert_eq!(all.of_role(Some(role)).ok().and_then(Provider::role_arn), Some(role));
    assert_eq!(all.of_role(None).ok().and_then(Provider::role_arn), None);
    assert_eq!(
        all.of_role(Some("arn:aws:iam::1:role/x")).err(),
        Some(OpenIdError::NoRole)
    );
    assert_eq!(Providers::default().of_role(None).err(), Some(OpenIdError::NoProvider));
    let alone = providers(vec![issuer.provider(by_claim())], eager());
    assert!(
        alone.of_role(Some("arn:aws:iam::1:role/x")).is_ok(),
        "SDKs always name one"
    );

    let now = OffsetDateTime::now_utc();
    let token = other.token("ES256", Some("k"), &issuer.claims());
    assert!(all.of_role(None).unwrap().vouched(&token, now).await.is_err());
    let claims = with(&stranger.claims(), "aud", json!("minio-client-app"));
    let token = other.token("ES256", Some("k"), &claims);
    let found = all.of_role(Some(role)).unwrap().vouched(&token, now).await.unwrap();
    assert_eq!(found.policies, None);
    // Whoever runs one provider's discovery could otherwise speak for another one's people.
    let of = |role| all.of_role(role).unwrap();
    assert!(all.is_of_another(of(Some(role)), &issuer.url));
    assert!(!all.is_of_another(of(None), &issuer.url) && !all.is_of_another(of(Some(role)), &stranger.url));
}
