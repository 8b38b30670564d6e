//! Who comes from apps, and who does not: over a store in memory, and an issuer on a port of this machine.

mod environments;

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use base64_simd::URL_SAFE_NO_PAD;
use http::header::{HeaderMap, ORIGIN};
use serde_json::{Value, json};
use storage_engine::backend::{Backend, Key};
use storage_engine::memory::MemoryBackend;
use storage_engine::store::body::NewBody;
use storage_engine::store::clock::{SystemClock, Timestamp};
use storage_engine::store::condition::WriteCondition;
use storage_engine::store::name::{BucketName, ObjectKey};
use storage_engine::store::object::delete::DeleteObject;
use storage_engine::store::object::put::PutObject;
use storage_engine::store::record::labels::Labels;
use storage_engine::store::record::object::Metadata;
use storage_engine::store::{Epoch, Store};
use time::OffsetDateTime;

use super::{
    AppCaller, AppRefused, KeyKind, NewIssuer, NewIssuerKeys, NewProjectKey, Operation, Projects, ProjectsError,
};
use crate::access::{Action, Context, ObjectFacts, Resource, decide};
use crate::auth::{Identity, SecretKey};
use crate::identity::{Directory, Federation, Root, SealKeys};
use crate::openid::tests::{Mood, Pair, TestIssuer, eager};
use crate::openid::{Issuers, Pace};

const SECRET: &str = "canary-secret-of-the-issuer-0123456789";

struct Ground {
    memory: MemoryBackend,
    store: Store,
    directory: Directory,
}

impl Ground {
    async fn new() -> Self {
        let memory = MemoryBackend::new();
        let store = Store::new(Arc::new(memory.clone()), Arc::new(SystemClock), Epoch([1; 16]));
        let keys = SealKeys {
            operator: None,
            old_operator: None,
            password: SecretKey::new("root-password"),
            old_password: None,
        };
        let root = Root {
            access_key: "rootkey".to_owned(),
            secret: keys.password.clone(),
        };
        let clock = Arc::new(SystemClock);
        let directory = Directory::open(store.clone(), clock, root, keys, Federation::new()).await;
        Self {
            memory,
            store,
            directory,
        }
    }

    async fn open(&self) -> Projects {
        self.open_at(eager()).await
    }

    async fn open_at(&self, pace: Pace) -> Projects {
        let issuers = Issuers::new(pace);
        let (store, directory) = (self.store.clone(), self.directory.clone());
        Projects::open(store, Arc::new(SystemClock), directory, issuers, "here".into()).await
    }

    async fn all_rows(&self) -> Vec<u8> {
        let all = Key::new("")..Key::new(vec![0xFF]);
        let page = self.memory.scan(all, 10_000).await.unwrap();
        let rows = page.items.iter();
        rows.flat_map(|(key, row)| [key.as_bytes(), &row.value].concat())
            .collect()
    }
}

async fn put(store: &Store, bucket: &BucketName, key: &ObjectKey) {
    let put = PutObject {
        bucket: bucket.clone(),
        key: key.clone(),
        metadata: Metadata::default(),
        labels: Labels::default(),
        body: NewBody::from_bytes("text"),
        condition: WriteCondition::default(),
    };
    store.put_object(put).await.unwrap();
}

async fn take_away(store: &Store, bucket: &BucketName, key: &ObjectKey) {
    let delete = DeleteObject {
        bucket: bucket.clone(),
        key: key.clone(),
        version: None,
        condition: WriteCondition::default(),
    };
    store.delete_object(&delete).await.unwrap();
}

/// The project `shop` with the environment `dev`.
async fn shop(ground: &Ground) -> Projects {
    let projects = ground.open().await;
    projects.add_project("shop", "").await.unwrap();
    projects.add_environment("shop", "dev").await.unwrap();
    projects
}

fn new_key(kind: KeyKind, scopes: &[&str]) -> NewProjectKey {
    NewProjectKey {
        project: "shop".into(),
        environment: "dev".into(),
        kind,
        name: "web".into(),
        scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
        origins: Vec::new(),
        expires: None,
    }
}

async fn key(projects: &Projects, kind: KeyKind, scopes: &[&str]) -> String {
    let made = projects.make_key(new_key(kind, scopes)).await.unwrap();
    String::from_utf8(made.key.expose().to_vec()).unwrap()
}

fn issuer(keys: NewIssuerKeys) -> NewIssuer {
    NewIssuer {
        project: "shop".into(),
        alias: "own".into(),
        keys,
        issuer: None,
        algorithm: None,
        audience: None,
        subject_claim: None,
        groups_claim: None,
        role_claim: None,
        admin_roles: vec!["admin".into()],
    }
}

fn by_secret() -> NewIssuer {
    issuer(NewIssuerKeys::Secret(SecretKey::new(SECRET)))
}

fn now() -> i64 {
    OffsetDateTime::now_utc().unix_timestamp()
}

fn claims() -> Value {
    json!({ "sub": "ann", "exp": now() + 60, "groups": ["b", "a"], "email": "ann@a.test" })
}

fn with(claims: &Value, name: &str, value: Value) -> Value {
    let mut claims = claims.clone();
    claims[name] = value;
    claims
}

fn coded(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode_to_string(bytes)
}

fn hmac_token(algorithm: &str, by: hmac::Algorithm, secret: &[u8], claims: &Value) -> String {
    let head = json!({"alg": algorithm, "typ": "JWT"}).to_string();
    let text = format!("{}.{}", coded(head.as_bytes()), coded(claims.to_string().as_bytes()));
    let signature = hmac::sign(&hmac::Key::new(by, secret), text.as_bytes());
    format!("{text}.{}", coded(signature.as_ref()))
}

fn token(claims: &Value) -> String {
    hmac_token("HS256", hmac::HMAC_SHA256, SECRET.as_bytes(), claims)
}

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        let name = http::HeaderName::from_bytes(name.as_bytes()).unwrap();
        headers.append(name, value.parse().unwrap());
    }
    headers
}

async fn admit(projects: &Projects, key: &str, token: Option<&str>) -> Result<AppCaller, AppRefused> {
    let bearer = token.map(|token| format!("Bearer {token}"));
    let mut pairs = vec![("x-api-key", key)];
    pairs.extend(bearer.as_deref().map(|bearer| ("authorization", bearer)));
    projects.admit(&headers(&pairs), OffsetDateTime::now_utc()).await
}

fn refused(result: Result<AppCaller, AppRefused>) -> (u16, &'static str) {
    let refused = result.unwrap_err();
    (refused.status.as_u16(), refused.code)
}

fn may(caller: &AppCaller, action: Action, owner: Option<&str>) -> bool {
    let object = owner.map(|owner| ObjectFacts {
        owner: owner.to_owned(),
        visibility: Some(crate::access::Visibility::Private),
        ..ObjectFacts::default()
    });
    let context = Context {
        object: object.as_ref(),
        ..Context::default()
    };
    let resource = Resource::Object {
        bucket: caller.bucket.as_str(),
        key: "f/a",
    };
    decide(&caller.identity, action, resource, &context).is_ok()
}

#[tokio::test]
async fn a_key_alone_is_a_guest_or_a_server_and_a_token_makes_a_user_or_an_admin() {
    let ground = Ground::new().await;
    let projects = shop(&ground).await;
    projects.add_issuer(by_secret()).await.unwrap();
    let (publishable, secret) = (
        key(&projects, KeyKind::Publishable, &[]).await,
        key(&projects, KeyKind::Secret, &[]).await,
    );
    let guest = admit(&projects, &publishable, None).await.unwrap();
    assert_eq!(
        (guest.identity.clone(), guest.key),
        (Identity::Anonymous, KeyKind::Publishable)
    );
    assert_eq!((guest.bucket.as_str(), guest.environment.as_str()), ("shop-dev", "dev"));
    assert!(!guest.is_admin() && guest.owner_id().is_none() && guest.require_signed_in().is_err());

    let server = admit(&projects, &secret, None).await.unwrap();
    let owner = format!("app:shop/key|{}", server.key_id);
    assert_eq!(server.owner_id(), Some(owner.as_str()));
    assert!(server.is_admin() && server.user.is_none() && server.require_signed_in().is_ok());
    assert!(may(&server, Action::DeleteObject, Some("app:shop/own|ann")));

    let ann = admit(&projects, &publishable, Some(&token(&claims()))).await.unwrap();
    assert_eq!(ann.owner_id(), Some("app:shop/own|ann"));
    let user = ann.user.clone().unwrap();
    assert_eq!((user.issuer.as_str(), user.subject.as_str()), ("own", "ann"));
    assert_eq!(
        (user.groups, user.is_admin),
        (vec!["a".to_owned(), "b".to_owned()], false)
    );
    assert_eq!(user.claims["jwt:email"], ["ann@a.test"]);
    assert!(may(&ann, Action::DeleteObject, Some("app:shop/own|ann")));
    assert!(!may(&ann, Action::DeleteObject, Some("app:shop/own|bob")));

    for roles in [json!("admin"), json!(["x", "admin"])] {
        let admin = token(&with(&claims(), "role", roles));
        let admin = admit(&projects, &publishable, Some(&admin)).await.unwrap();
        assert!(admin.is_admin() && may(&admin, Action::DeleteObject, Some("app:shop/own|bob")));
        assert_eq!(admin.owner_id(), Some("app:shop/own|ann"));
    }
    let not_admin = token(&with(&claims(), "role", json!("Admin")));
    assert!(
        !admit(&projects, &publishable, Some(&not_admin))
            .await
            .unwrap()
            .is_admin()
    );
    // With a secret key a token tells on whose behalf the server asks.
    let for_ann = admit(&projects, &secret, Some(&token(&claims()))).await.unwrap();
    assert_eq!(
        (for_ann.owner_id(), for_ann.is_admin()),
        (Some("app:shop/own|ann"), true)
    );
}

#[tokio::test]
async fn no_token_adds_to_what_the_scopes_of_the_key_name() {
    let ground = Ground::new().await;
    let projects = shop(&ground).await;
    projects.add_issuer(by_secret()).await.unwrap();
    let admin = token(&with(&claims(), "role", json!("admin")));
    for kind in [KeyKind::Publishable, KeyKind::Secret] {
        let reading = key(&projects, kind, &["files:read"]).await;
        for token in [token(&claims()), admin.clone()] {
            let caller = admit(&projects, &reading, Some(&token)).await.unwrap();
            assert!(caller.require(Operation::Read).is_ok());
            assert_eq!(
                caller.require(Operation::Delete).unwrap_err().code,
                "SCOPE_INSUFFICIENT"
            );
            let own = caller.owner_id().map(str::to_owned);
            assert!(may(&caller, Action::GetObject, own.as_deref()));
            assert!(!may(&caller, Action::DeleteObject, own.as_deref()));
            assert!(!may(&caller, Action::PutObject, None));
        }
    }
    let guest = key(&projects, KeyKind::Publishable, &["files:list"]).await;
    let guest = admit(&projects, &guest, None).await.unwrap();
    assert_eq!(guest.require(Operation::Read).unwrap_err().status.as_u16(), 403);
}

#[tokio::test]
async fn a_key_that_is_none_or_none_any_more_or_from_elsewhere_lets_nobody_in() {
    let ground = Ground::new().await;
    let projects = shop(&ground).await;
    let good = key(&projects, KeyKind::Publishable, &[]).await;
    let unknown = format!("pk_{}", "0".repeat(64));
    let as_secret = good.replacen("pk_", "sk_", 1);
    let upper = good.to_ascii_uppercase().replacen("PK_", "pk_", 1);
    for wrong in [
        "",
        "pk_",
        "x",
        unknown.as_str(),
        as_secret.as_str(),
        upper.as_str(),
        &good[..66],
    ] {
        assert_eq!(
            refused(admit(&projects, wrong, None).await),
            (401, "UNAUTHORIZED"),
            "{wrong}"
        );
    }
    let at = OffsetDateTime::now_utc();
    let twice = headers(&[("x-api-key", &good), ("x-api-key", &good)]);
    for sent in [HeaderMap::new(), twice] {
        assert_eq!(refused(projects.admit(&sent, at).await), (401, "UNAUTHORIZED"));
    }

    let expires = Some(Timestamp::from_millis(u64::try_from(now()).unwrap() * 1_000 + 60_000));
    let ending = NewProjectKey {
        expires,
        ..new_key(KeyKind::Publishable, &[])
    };
    let ending = projects.make_key(ending).await.unwrap();
    let sent = headers(&[("x-api-key", std::str::from_utf8(ending.key.expose()).unwrap())]);
    assert!(projects.admit(&sent, at).await.is_ok());
    let later = at + time::Duration::seconds(61);
    assert_eq!(refused(projects.admit(&sent, later).await), (401, "UNAUTHORIZED"));

    let id = admit(&projects, &good, None).await.unwrap().key_id;
    assert!(projects.revoke_key(&id).await.unwrap().record.revoked.is_some());
    assert_eq!(refused(admit(&projects, &good, None).await), (401, "TOKEN_REVOKED"));
    projects.forget_key(&id).await.unwrap();
    assert_eq!(refused(admit(&projects, &good, None).await), (401, "UNAUTHORIZED"));
    assert!(matches!(
        projects.revoke_key(&id).await,
        Err(ProjectsError::NoSuchKey(_))
    ));
}

#[tokio::test]
async fn a_secret_key_never_comes_from_a_page_and_a_publishable_one_from_pages_it_names() {
    let ground = Ground::new().await;
    let projects = shop(&ground).await;
    let named = NewProjectKey {
        origins: vec!["https://a.test".into(), "http://localhost:*".into()],
        ..new_key(KeyKind::Publishable, &[])
    };
    let named = projects.make_key(named).await.unwrap();
    let named = std::str::from_utf8(named.key.expose()).unwrap().to_owned();
    let (any, secret) = (
        key(&projects, KeyKind::Publishable, &[]).await,
        key(&projects, KeyKind::Secret, &[]).await,
    );
    let table = [
        (&named, Some("https://a.test"), None),
        (&named, Some("http://localhost:3000"), None),
        (&named, None, None),
        (&named, Some("https://b.test"), Some((403, "PROJECT_ACCESS_DENIED"))),
        (&named, Some("null"), Some((403, "PROJECT_ACCESS_DENIED"))),
        (&any, Some("https://b.test"), None),
        (&any, Some("null"), None),
        (&secret, None, None),
        (&secret, Some("https://a.test"), Some((403, "PERMISSION_DENIED"))),
        (&secret, Some("null"), Some((403, "PERMISSION_DENIED"))),
    ];
    for (key, origin, expected) in table {
        let mut sent = headers(&[("x-api-key", key)]);
        if let Some(origin) = origin {
            sent.insert(ORIGIN, origin.parse().unwrap());
        }
        let found = projects.admit(&sent, OffsetDateTime::now_utc()).await;
        assert_eq!(
            found.err().map(|no| (no.status.as_u16(), no.code)),
            expected,
            "{origin:?}"
        );
    }
    let on_secret = NewProjectKey {
        origins: vec!["https://a.test".into()],
        ..new_key(KeyKind::Secret, &[])
    };
    assert!(matches!(
        projects.make_key(on_secret).await,
        Err(ProjectsError::Invalid(_))
    ));
}

/// Tokens that prove nobody, beside those that prove whom these claims name.
fn wrong_tokens(good: &Value) -> Vec<(&'static str, String)> {
    let unsigned = format!(
        "{}.{}.",
        coded(br#"{"alg":"none"}"#),
        coded(good.to_string().as_bytes())
    );
    let (text, _) = token(good)
        .rsplit_once('.')
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .unwrap();
    let forged = format!(
        "{}.{}",
        coded(br#"{"alg":"HS256"}"#),
        coded(with(good, "sub", json!("root")).to_string().as_bytes())
    );
    let signature = token(good).rsplit_once('.').unwrap().1.to_owned();
    vec![
        ("none", unsigned),
        ("no signature", format!("{text}.")),
        ("other claims", format!("{forged}.{signature}")),
        (
            "other secret",
            hmac_token("HS256", hmac::HMAC_SHA256, b"another secret of 32 bytes length", good),
        ),
        ("no secret", hmac_token("HS256", hmac::HMAC_SHA256, b"", good)),
        (
            "other algorithm",
            hmac_token("HS512", hmac::HMAC_SHA512, SECRET.as_bytes(), good),
        ),
        (
            "said algorithm",
            hmac_token("HS384", hmac::HMAC_SHA256, SECRET.as_bytes(), good),
        ),
        ("a key pair's", Pair::p256().token("ES256", None, good)),
        ("never ends", token(&with(good, "exp", Value::Null))),
        ("not yet", token(&with(good, "nbf", json!(now() + 3_600)))),
        (
            "other issuer",
            token(&with(good, "iss", json!("https://elsewhere.test"))),
        ),
        ("no issuer", token(&with(good, "iss", Value::Null))),
        ("other audience", token(&with(good, "aud", json!("other-app")))),
        ("no audience", token(&with(good, "aud", Value::Null))),
        ("no subject", token(&with(good, "sub", Value::Null))),
        ("empty subject", token(&with(good, "sub", json!("")))),
        ("control characters", token(&with(good, "sub", json!("a\nb")))),
        ("a long subject", token(&with(good, "sub", json!("s".repeat(250))))),
        ("large", token(&with(good, "x", json!("x".repeat(20 * 1_024))))),
        ("nothing", String::new()),
        ("words", "undefined".to_owned()),
        ("dots", "...".to_owned()),
    ]
}

#[tokio::test]
async fn a_token_that_proves_nobody_is_told_why_and_what_it_holds_is_not_told() {
    let ground = Ground::new().await;
    let projects = shop(&ground).await;
    let strict = NewIssuer {
        audience: Some("shop-app".into()),
        issuer: Some("https://own.test".into()),
        ..by_secret()
    };
    projects.add_issuer(strict).await.unwrap();
    let key = key(&projects, KeyKind::Publishable, &[]).await;
    let good = with(
        &with(&claims(), "aud", json!("shop-app")),
        "iss",
        json!("https://own.test"),
    );
    assert!(admit(&projects, &key, Some(&token(&good))).await.is_ok());
    for (why, token) in wrong_tokens(&good) {
        let found = admit(&projects, &key, Some(&token)).await;
        let message = found.as_ref().err().map(ToString::to_string).unwrap_or_default();
        assert!(!message.contains("shop-app") && !message.contains(".test"), "{message}");
        assert_eq!(refused(found), (401, "INVALID_TOKEN"), "{why}");
    }
    let ended = token(&with(&good, "exp", json!(now() - 61)));
    assert_eq!(
        refused(admit(&projects, &key, Some(&ended)).await),
        (401, "TOKEN_EXPIRED")
    );
    let just_ended = token(&with(&good, "exp", json!(now() - 30)));
    assert!(admit(&projects, &key, Some(&just_ended)).await.is_ok());
    for authorization in ["Basic YTpi", "Bearer", "", "Token x"] {
        let sent = headers(&[("x-api-key", &key), ("authorization", authorization)]);
        let found = projects.admit(&sent, OffsetDateTime::now_utc()).await;
        assert_eq!(refused(found), (401, "INVALID_TOKEN"), "{authorization}");
    }
    let bearer = format!("Bearer {}", token(&good));
    let twice = headers(&[
        ("x-api-key", &key),
        ("authorization", &bearer),
        ("authorization", &bearer),
    ]);
    let found = projects.admit(&twice, OffsetDateTime::now_utc()).await;
    assert_eq!(refused(found), (401, "INVALID_TOKEN"));
    projects.remove_issuer("shop", "own").await.unwrap();
    assert_eq!(
        refused(admit(&projects, &key, Some(&token(&good))).await),
        (401, "INVALID_TOKEN")
    );
}

/// Adds an issuer with a discovery document, `idp`, and one with a set of keys, `set`.
async fn add_fetched(projects: &Projects, discovery: &str, keys: &str) {
    let discovered = NewIssuer {
        alias: "idp".into(),
        groups_claim: Some("realm.groups".into()),
        ..issuer(NewIssuerKeys::Discovery(discovery.to_owned()))
    };
    let discovered = projects.add_issuer(discovered).await.unwrap();
    assert_eq!(discovered.record.issuer.as_deref(), Some(discovery));
    let set = NewIssuer {
        alias: "set".into(),
        issuer: Some("https://set.test".into()),
        algorithm: Some("ES256".into()),
        subject_claim: Some("user.id".into()),
        ..issuer(NewIssuerKeys::KeySet(format!("{}/keys", keys)))
    };
    projects.add_issuer(set).await.unwrap();
}

#[tokio::test]
async fn issuers_are_told_apart_by_their_name_and_their_users_never_own_under_one() {
    let ground = Ground::new().await;
    let projects = shop(&ground).await;
    let pair = Pair::rsa();
    let server = TestIssuer::start(json!({"keys": [pair.public("k")]})).await;
    let other = Pair::p256();
    let keys = TestIssuer::start(json!({"keys": [other.public("k")]})).await;
    projects.add_issuer(by_secret()).await.unwrap();
    add_fetched(&projects, &server.url, &keys.url).await;
    let key = key(&projects, KeyKind::Publishable, &[]).await;
    let of_server = with(
        &with(&claims(), "iss", json!(server.url)),
        "realm",
        json!({"groups": ["staff"]}),
    );
    let of_set = with(
        &with(&claims(), "iss", json!("https://set.test")),
        "user",
        json!({"id": 42}),
    );
    let table = [
        (token(&claims()), "app:shop/own|ann"),
        (pair.token("RS256", Some("k"), &of_server), "app:shop/idp|ann"),
        (other.token("ES256", Some("k"), &of_set), "app:shop/set|42"),
    ];
    for (token, owner) in &table {
        let caller = admit(&projects, &key, Some(token)).await.unwrap();
        assert_eq!(caller.owner_id(), Some(*owner));
        if owner.contains("idp") {
            assert_eq!(caller.user.unwrap().groups, ["staff"]);
        }
    }
    // Neither signs for another, whatever it calls itself, and a public key is no secret.
    let modulus = pair.public("k")["n"].as_str().unwrap().to_owned();
    for wrong in [
        token(&of_server),
        pair.token("RS256", Some("k"), &of_set),
        pair.token("RS256", Some("k"), &claims()),
        pair.token("RS512", Some("k"), &of_server),
        pair.token("PS384", Some("k"), &of_server),
        hmac_token("RS256", hmac::HMAC_SHA256, modulus.as_bytes(), &of_server),
        hmac_token("HS256", hmac::HMAC_SHA256, modulus.as_bytes(), &of_server),
    ] {
        assert_eq!(
            refused(admit(&projects, &key, Some(&wrong)).await),
            (401, "INVALID_TOKEN")
        );
    }
    let same = NewIssuer {
        alias: "again".into(),
        ..by_secret()
    };
    assert!(matches!(
        projects.add_issuer(same).await,
        Err(ProjectsError::Invalid(_))
    ));
    server.set_mood(Mood::Failing);
    let cold = ground.open().await;
    let found = admit(&cold, &key, Some(&table[1].0)).await;
    assert_eq!(refused(found), (503, "SERVICE_UNAVAILABLE"));
    assert!(
        admit(&cold, &key, Some(&table[0].0)).await.is_ok(),
        "others are not held up"
    );
}

#[tokio::test]
async fn a_document_of_another_issuer_vouches_for_nobody_and_made_up_key_names_cost_one_look() {
    let ground = Ground::new().await;
    let calm = Pace {
        pause: Duration::from_secs(3_600),
        ..eager()
    };
    let projects = ground.open_at(calm).await;
    projects.add_project("shop", "").await.unwrap();
    projects.add_environment("shop", "dev").await.unwrap();
    let pair = Pair::p256();
    let server = TestIssuer::start(json!({"keys": [pair.public("k")]})).await;
    let renamed = NewIssuer {
        issuer: Some("https://bank.test".into()),
        algorithm: Some("ES256".into()),
        ..issuer(NewIssuerKeys::Discovery(server.url.clone()))
    };
    projects.add_issuer(renamed).await.unwrap();
    let key = key(&projects, KeyKind::Publishable, &[]).await;
    let claims = with(&claims(), "iss", json!("https://bank.test"));
    for n in 0..10 {
        let token = pair.token("ES256", Some(&format!("made-up-{n}")), &claims);
        assert_eq!(
            refused(admit(&projects, &key, Some(&token)).await),
            (401, "INVALID_TOKEN")
        );
    }
    assert_eq!(server.asked(), 2);
    let token = pair.token("ES256", Some("k"), &claims);
    assert_eq!(
        refused(admit(&projects, &key, Some(&token)).await),
        (401, "INVALID_TOKEN")
    );
}

#[tokio::test]
async fn secrets_are_in_no_row_and_in_nothing_that_is_printed() {
    let ground = Ground::new().await;
    let projects = shop(&ground).await;
    let issuer = projects.add_issuer(by_secret()).await.unwrap();
    let made = projects.make_key(new_key(KeyKind::Secret, &[])).await.unwrap();
    let shown = projects.make_key(new_key(KeyKind::Publishable, &[])).await.unwrap();
    let secret = std::str::from_utf8(made.key.expose()).unwrap();
    let public = std::str::from_utf8(shown.key.expose()).unwrap();
    let rows = ground.all_rows().await;
    let holds = |text: &str| rows.windows(text.len()).any(|bytes| bytes == text.as_bytes());
    assert!(!holds(SECRET) && !holds(secret) && !holds(secret.split_at(3).1) && holds(public));
    assert_eq!(
        (made.view.record.text, shown.view.record.text.as_deref()),
        (None, Some(public))
    );
    let printed = format!("{:?} {issuer:?} {:?}", made.key, by_secret());
    assert!(!printed.contains(SECRET) && !printed.contains(secret), "{printed}");
    for weak in ["", "short", &"x".repeat(31)] {
        let weak = self::issuer(NewIssuerKeys::Secret(SecretKey::new(weak)));
        assert!(matches!(
            projects.add_issuer(weak).await,
            Err(ProjectsError::Invalid(_))
        ));
    }
}
