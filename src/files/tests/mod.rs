//! The front over a store in memory, asked as apps ask it; tokens are of an issuer with a secret.

mod defaults;
mod downloads;
mod ends;
mod flows;
mod guests;
mod life;
mod lists;
mod matrix;
mod outward;
mod parts;
mod public;
mod quotas;
mod refusals;
mod resumable;
mod rules;
mod said;
mod sizes;
mod upload_tokens;
mod users;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aws_lc_rs::hmac;
use base64_simd::URL_SAFE_NO_PAD;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use storage_engine::backend::Backend;
use storage_engine::memory::MemoryBackend;
use storage_engine::store::clock::{Clock, SystemClock, Timestamp};
use storage_engine::store::name::BucketName;
use storage_engine::store::{Epoch, Store};
use time::OffsetDateTime;

use super::{FilesService, Outward};
use crate::auth::SecretKey;
use crate::http::body::RequestBody;
use crate::http::origin::Origins;
use crate::identity::{Directory, Federation, Root, SealKeys};
use crate::links::Links;
use crate::openid::{Issuers, Pace};
use crate::outbound::{Outbound, Rules};
use crate::policy::Network;
use crate::projects::{KeyKind, NewIssuer, NewIssuerKeys, NewProjectKey, Projects};
use crate::webhooks::Webhooks;

const SECRET: &str = "canary-secret-of-the-issuer-0123456789";

/// The project `shop` with the environment `dev`, three people and their keys.
pub(super) struct Shop {
    pub(super) service: FilesService,
    pub(super) store: Store,
    pub(super) projects: Projects,
    pub(super) links: Links,
    pub(super) publishable: String,
    pub(super) secret: String,
    pub(super) webhooks: Webhooks,
    /// The clock of the webhooks.
    pub(super) later: Arc<Later>,
    pub(super) outbound: Outbound,
}

/// A clock that stands until it is put forward.
pub(super) struct Later(AtomicU64);

impl Default for Later {
    fn default() -> Self {
        Self(AtomicU64::new(SystemClock.now().millis()))
    }
}

impl Later {
    pub(super) fn forward(&self, by: Duration) {
        self.0
            .fetch_add(u64::try_from(by.as_millis()).unwrap(), Ordering::SeqCst);
    }
}

impl Clock for Later {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }
}

/// What came back.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) bytes: Vec<u8>,
}

impl Told {
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or(Value::Null)
    }

    /// One field, also of a list or an object inside: `/items/0/id`.
    pub(super) fn field(&self, path: &str) -> Value {
        self.json().pointer(path).cloned().unwrap_or(Value::Null)
    }

    pub(super) fn text(&self, path: &str) -> String {
        self.field(path).as_str().unwrap_or_default().to_owned()
    }

    pub(super) fn code(&self) -> String {
        self.text("/error/code")
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    #[track_caller]
    pub(super) fn is(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.bytes));
        self
    }

    #[track_caller]
    pub(super) fn refused(self, status: u16, code: &str) {
        assert_eq!(
            (self.status, self.code().as_str()),
            (status, code),
            "{}",
            String::from_utf8_lossy(&self.bytes)
        );
    }
}

/// The app bucket of the shop.
pub(super) fn bucket() -> BucketName {
    BucketName::parse("shop-dev").unwrap()
}

/// Who asks: headers of a request.
pub(super) type Who = Vec<(&'static str, String)>;

impl Shop {
    pub(super) async fn new() -> Self {
        Self::over(Arc::new(MemoryBackend::new()), Arc::new(SystemClock)).await
    }

    /// Over this backend, with a store that goes by this clock.
    pub(super) async fn over(backend: Arc<dyn Backend>, clock: Arc<dyn Clock>) -> Self {
        let store = Store::new(backend, clock, Epoch([1; 16]));
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
        let directory = Directory::open(store.clone(), clock.clone(), root, keys, Federation::new()).await;
        let issuers = Issuers::new(Pace::default());
        let projects = Projects::open(store.clone(), clock, directory.clone(), issuers, "here".into()).await;
        projects.add_project("shop", "").await.unwrap();
        projects.add_environment("shop", "dev").await.unwrap();
        let issuer = NewIssuer {
            project: "shop".into(),
            alias: "own".into(),
            keys: NewIssuerKeys::Secret(SecretKey::new(SECRET)),
            issuer: None,
            algorithm: None,
            audience: None,
            subject_claim: None,
            groups_claim: None,
            role_claim: None,
            admin_roles: vec!["admin".into()],
        };
        projects.add_issuer(issuer).await.unwrap();
        let links = Links::new(directory, Arc::new(projects.clone()), "us-east-1");
        let origins = Origins {
            server_url: Some("https://files.test".into()),
            tls: true,
        };
        // Servers of the tests are on loopback.
        let rules = Rules {
            networks: vec![Network::parse("127.0.0.0/8").unwrap()],
            plain_http: true,
        };
        let outbound = Outbound::new(rules, &[]).unwrap();
        let later = Arc::new(Later::default());
        let webhooks = Webhooks::new(store.clone(), projects.clone(), outbound.clone(), later.clone());
        let outward = Outward {
            webhooks: webhooks.clone(),
            fetch: Some(outbound.clone()),
            scans: true,
        };
        let mut shop = Self {
            service: FilesService::new(store.clone(), projects.clone(), links.clone(), origins, outward),
            links,
            webhooks,
            later,
            outbound,
            store,
            projects,
            publishable: String::new(),
            secret: String::new(),
        };
        shop.publishable = shop.key(KeyKind::Publishable, &[]).await;
        shop.secret = shop.key(KeyKind::Secret, &[]).await;
        shop
    }

    pub(super) async fn key(&self, kind: KeyKind, scopes: &[&str]) -> String {
        let new = NewProjectKey {
            project: "shop".into(),
            environment: "dev".into(),
            kind,
            name: "k".into(),
            scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
            origins: Vec::new(),
            expires: None,
        };
        let made = self.projects.make_key(new).await.unwrap();
        String::from_utf8(made.key.expose().to_vec()).unwrap()
    }

    pub(super) fn guest(&self) -> Who {
        vec![("x-api-key", self.publishable.clone())]
    }

    pub(super) fn server(&self) -> Who {
        vec![("x-api-key", self.secret.clone())]
    }

    /// Somebody with a token of the issuer.
    pub(super) fn person(&self, name: &str) -> Who {
        self.person_as(name, "user")
    }

    pub(super) fn person_as(&self, name: &str, role: &str) -> Who {
        self.person_with(name, &json!({ "role": role }))
    }

    /// Somebody whose token claims something else, too.
    pub(super) fn person_with(&self, name: &str, more: &Value) -> Who {
        let mut claims = json!({
            "sub": name,
            "exp": OffsetDateTime::now_utc().unix_timestamp() + 600,
            "role": "user",
            "groups": [format!("{name}s")],
            "email": format!("{name}@shop.test"),
            "email_verified": true,
        });
        for (claim, value) in more.as_object().into_iter().flatten() {
            claims[claim] = value.clone();
        }
        vec![
            ("x-api-key", self.publishable.clone()),
            ("authorization", format!("Bearer {}", token(&claims))),
        ]
    }

    /// Somebody with an upload token that the app's server made for them.
    pub(super) async fn uploader(&self, fields: Value) -> Who {
        let told = self.post(&self.server(), "files/upload-tokens", fields).await.is(201);
        vec![("x-upload-token", told.text("/token"))]
    }

    pub(super) async fn ask(
        &self,
        who: &Who,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Told {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("/v1/{path}"))
            .header("host", "a");
        for (name, value) in who {
            request = request.header(*name, value);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body: RequestBody = Full::from(body).map_err(|never| match never {}).boxed();
        let response = self.service.handle(request.body(body).unwrap()).await;
        let (parts, body) = response.into_parts();
        Told {
            status: parts.status.as_u16(),
            headers: parts.headers,
            bytes: body.collect().await.unwrap().to_bytes().to_vec(),
        }
    }

    pub(super) async fn post(&self, who: &Who, path: &str, fields: Value) -> Told {
        self.ask(
            who,
            "POST",
            path,
            &[("content-type", "application/json")],
            fields.to_string().into_bytes(),
        )
        .await
    }

    pub(super) async fn get(&self, who: &Who, path: &str) -> Told {
        self.ask(who, "GET", path, &[], Vec::new()).await
    }

    /// A text file of somebody, sent through the front; its id.
    pub(super) async fn file(&self, who: &Who, visibility: &str) -> String {
        let path = format!("files/upload?filename=note.txt&visibility={visibility}");
        let told = self
            .ask(
                who,
                "POST",
                &path,
                &[("content-type", "text/plain")],
                b"some words".to_vec(),
            )
            .await
            .is(201);
        told.text("/id")
    }
}

fn token(claims: &Value) -> String {
    let coded = |bytes: &[u8]| URL_SAFE_NO_PAD.encode_to_string(bytes);
    let head = json!({"alg": "HS256", "typ": "JWT"}).to_string();
    let text = format!("{}.{}", coded(head.as_bytes()), coded(claims.to_string().as_bytes()));
    let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes()), text.as_bytes());
    format!("{text}.{}", coded(signature.as_ref()))
}
