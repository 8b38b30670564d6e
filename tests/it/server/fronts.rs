//! Who sees a file, by every way to its bytes: each level of visibility for each caller at each front, against the table of
//! docs/files-api.md as it is written down here once more; and the fronts against each other.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64_simd::{STANDARD, URL_SAFE_NO_PAD};
use drystone::auth::PayloadMode;
use drystone::auth::sign::{Signer, body_hash};
use http::Request;
use serde_json::{Value, json};
use time::OffsetDateTime;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::images::{Answer, send};
use super::projects;
use super::stack::{PASSWORD, USER, start};
use super::users::{self, element};
use crate::images::pool::picture;

const LEVELS: [&str; 4] = ["public", "protected", "private", "shared"];
const KEY_ID: &str = "k";

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Caller {
    /// Brings nothing.
    Nobody,
    /// Brings a publishable key.
    Guest,
    /// Users of the app.
    Owner,
    Other,
    /// The file is shared with their address.
    Shared,
    /// A server of the app, with a secret key.
    Server,
    /// The root user of the store.
    S3Root,
    /// Whom the app's own issuer vouches for to S3: it is the owner, somebody else, and whom it is shared with.
    S3Owner,
    S3Other,
    S3Shared,
}

const CALLERS: [Caller; 10] = [
    Caller::Nobody,
    Caller::Guest,
    Caller::Owner,
    Caller::Other,
    Caller::Shared,
    Caller::Server,
    Caller::S3Root,
    Caller::S3Owner,
    Caller::S3Other,
    Caller::S3Shared,
];

/// A way to the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Front {
    /// `GET /v1/files/:id/content`.
    Content,
    /// An address that this caller had made to download it from; of S3's callers one they signed themselves.
    Link,
    /// An image of it, by URL.
    Image,
    /// GET of the object by S3.
    Object,
    /// The same, signed with a credential for uploads that this caller was given.
    Uploads,
    /// HEAD of the resumable upload it came by.
    Resumable,
    /// `GET /v1/pub/…`.
    Public,
}

const FRONTS: [Front; 7] = [
    Front::Content,
    Front::Link,
    Front::Image,
    Front::Object,
    Front::Uploads,
    Front::Resumable,
    Front::Public,
];

/// The table of the documentation. Whom an issuer vouches for to S3 is nobody's app user: they own no file of an app's.
fn sees(level: &str, caller: Caller) -> bool {
    match caller {
        Caller::Owner | Caller::Server | Caller::S3Root => true,
        Caller::Shared | Caller::S3Shared => level != "private",
        Caller::Other | Caller::S3Other | Caller::S3Owner => level == "public" || level == "protected",
        Caller::Nobody | Caller::Guest => level == "public",
    }
}

/// What is answered; `None`: they do not come that way.
fn expected(level: &str, caller: Caller, front: Front) -> Option<u16> {
    let of_s3 = matches!(
        caller,
        Caller::S3Root | Caller::S3Owner | Caller::S3Other | Caller::S3Shared
    );
    let of_app = !of_s3 && caller != Caller::Nobody;
    let by_level = Some(if sees(level, caller) { 200 } else { 403 });
    match front {
        Front::Public if level == "public" => Some(200),
        Front::Public => Some(404),
        Front::Content | Front::Link | Front::Uploads | Front::Resumable if caller == Caller::Nobody => Some(401),
        Front::Content | Front::Uploads | Front::Resumable if of_s3 => None,
        Front::Object if of_app => None,
        // Nothing is read by it, whoever sees the file.
        Front::Uploads => Some(if caller == Caller::Guest { 401 } else { 403 }),
        // An upload is its maker's, whoever sees the file.
        Front::Resumable => Some(match caller {
            Caller::Owner | Caller::Server => 200,
            Caller::Guest => 401,
            _ => 403,
        }),
        Front::Content | Front::Link | Front::Image | Front::Object => by_level,
    }
}

/// An issuer of tokens on a port of this machine.
struct Issuer {
    url: String,
    pair: EcdsaKeyPair,
}

impl Issuer {
    async fn start() -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let coded = |bytes: &[u8]| URL_SAFE_NO_PAD.encode_to_string(bytes);
        let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
        let key = json!({ "kty": "EC", "crv": "P-256", "kid": KEY_ID, "use": "sig", "x": coded(x), "y": coded(y) });
        let keys = json!({ "keys": [key] }).to_string();
        let about = json!({ "issuer": url, "jwks_uri": format!("{url}/keys") }).to_string();
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut asked = [0; 2048];
                let length = stream.read(&mut asked).await.unwrap_or_default();
                let told = match asked[..length].starts_with(b"GET /keys") {
                    true => &keys,
                    false => &about,
                };
                let answer = format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{told}",
                    told.len()
                );
                // Whoever asked may be gone.
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        Self { url, pair }
    }

    fn token(&self, name: &str) -> String {
        let coded = |value: Value| URL_SAFE_NO_PAD.encode_to_string(value.to_string());
        let claims = json!({
            "iss": self.url, "aud": "store", "sub": name, "policy": "diagnostics",
            "exp": OffsetDateTime::now_utc().unix_timestamp() + 3_600,
            "email": format!("{name}@shop.test"), "email_verified": true,
        });
        let head = coded(json!({ "alg": "ES256", "typ": "JWT", "kid": KEY_ID }));
        let signed = format!("{head}.{}", coded(claims));
        let signature = self.pair.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode_to_string(signature.as_ref()))
    }
}

/// The project `shop`, its issuer, and everybody who asks.
struct Scene {
    address: SocketAddr,
    /// What app callers send, and how S3's sign.
    headers: BTreeMap<Caller, String>,
    signers: BTreeMap<Caller, Signer>,
}

impl Scene {
    async fn new(address: SocketAddr, issuer: &Issuer) -> Self {
        let admin = async |path: &str, body: Value| {
            let (code, told) = projects::ask(address, projects::ROOT, "POST", path, &body).await;
            assert_eq!(code, 200, "{told}");
            told
        };
        admin("", json!({ "project": "shop", "environments": ["prod"] })).await;
        let own = json!({ "project": "shop", "alias": "own", "discovery": issuer.url, "algorithm": "ES256" });
        admin("/issuers", own).await;
        let mut keys = Vec::new();
        for kind in ["publishable", "secret"] {
            let key = json!({ "project": "shop", "environment": "prod", "type": kind });
            let made = admin("/keys", key).await;
            keys.push(format!("X-API-Key: {}\r\n", made["key"].as_str().unwrap()));
        }
        let user = |name: &str| format!("{}Authorization: Bearer {}\r\n", keys[0], issuer.token(name));
        let headers = [
            (Caller::Nobody, String::new()),
            (Caller::Guest, keys[0].clone()),
            (Caller::Owner, user("ann")),
            (Caller::Other, user("bob")),
            (Caller::Shared, user("sue")),
            (Caller::Server, keys[1].clone()),
        ];
        let mut signers = BTreeMap::from([(Caller::S3Root, users::signer((USER, PASSWORD)))]);
        for (caller, name) in [
            (Caller::S3Owner, "ann"),
            (Caller::S3Other, "bob"),
            (Caller::S3Shared, "sue"),
        ] {
            signers.insert(caller, assumed(address, &issuer.token(name)).await);
        }
        Self {
            address,
            headers: headers.into(),
            signers,
        }
    }

    async fn send(&self, caller: Caller, (method, path): (&str, &str), more: &str, body: &[u8]) -> Answer {
        let headers = self.headers.get(&caller).map(String::as_str).unwrap_or_default();
        send(self.address, method, path, &format!("{headers}{more}"), body).await
    }

    async fn told(&self, caller: Caller, ask: (&str, &str), fields: Value) -> Value {
        let kind = "Content-Type: application/json\r\n";
        let answer = self.send(caller, ask, kind, fields.to_string().as_bytes()).await;
        assert!((200..300).contains(&answer.status), "{ask:?} {}", answer.head);
        serde_json::from_slice(&answer.body).unwrap()
    }

    /// A signed request of S3's.
    async fn signed(&self, caller: Caller, path: &str) -> Answer {
        match self.signers.get(&caller) {
            Some(signer) => self.signed_by(signer, path).await,
            None => send(self.address, "GET", path, "", b"").await,
        }
    }

    async fn signed_by(&self, signer: &Signer, path: &str) -> Answer {
        let request = Request::get(path).header("host", self.address.to_string());
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        let mode = PayloadMode::SignedBody(body_hash(b""));
        signer.sign(&mut parts, &mode, OffsetDateTime::now_utc()).unwrap();
        let mut headers = String::new();
        for (name, value) in parts.headers.iter().filter(|(name, _)| *name != "host") {
            headers += &format!("{name}: {}\r\n", value.to_str().unwrap());
        }
        send(self.address, "GET", path, &headers, b"").await
    }

    /// The query of an address of S3's that these signed; nothing of those who cannot sign.
    fn query(&self, caller: Caller, path: &str) -> String {
        let Some(signer) = self.signers.get(&caller) else {
            return String::new();
        };
        let request = Request::get(path).header("host", self.address.to_string());
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        signer.presign(&mut parts, 600, OffsetDateTime::now_utc()).unwrap();
        format!("?{}", parts.uri.query().unwrap())
    }
}

/// Whom a token makes of its bearer at S3.
async fn assumed(address: SocketAddr, token: &str) -> Signer {
    let form = format!("Action=AssumeRoleWithWebIdentity&Version=2011-06-15&WebIdentityToken={token}");
    let answer = users::ask(address, None, ("POST", "/"), "localhost", &form).await;
    let text = |name: &str| element(&answer, name);
    let signer = users::signer((&text("AccessKeyId"), &text("SecretAccessKey")));
    signer.with_session_token(text("SessionToken"))
}

/// A picture of ann's that came by a resumable upload, of one level, shared with sue's address if that counts.
struct Picture {
    id: String,
    key: String,
    upload: String,
    public: String,
}

impl Picture {
    async fn new(scene: &Scene, level: &str) -> Self {
        let bytes = picture(40, 30);
        let said = |name: &str, value: &str| format!("{name} {}", STANDARD.encode_to_string(value));
        let more = format!(
            "Tus-Resumable: 1.0.0\r\nUpload-Length: {}\r\nUpload-Metadata: {},{},{}\r\nContent-Type: application/offset+octet-stream\r\n",
            bytes.len(),
            said("filename", "a.jpg"),
            said("filetype", "image/jpeg"),
            said("visibility", "public"),
        );
        let begun = scene.send(Caller::Owner, ("POST", "/v1/tus"), &more, &bytes).await;
        assert_eq!(begun.status, 201, "{}", begun.head);
        let header = |name: &str| {
            let mut lines = begun.head.lines();
            let found = lines.find_map(|line| line.strip_prefix(&format!("{name}: ")));
            found
                .unwrap_or_else(|| panic!("no {name} in {}", begun.head))
                .to_owned()
        };
        let (id, upload) = (header("upload-file-id"), header("location"));
        let origin = format!("http://{}", scene.address);
        let path = |url: &str| url.strip_prefix(&origin).unwrap_or(url).to_owned();
        let file = scene
            .told(Caller::Owner, ("GET", &format!("/v1/files/{id}")), json!({}))
            .await;
        let public = path(file["publicUrl"].as_str().expect("it is public"));
        if level == "shared" {
            let share = json!({ "type": "email", "id": "sue@shop.test" });
            let shares = format!("/v1/files/{id}/shares");
            scene.told(Caller::Owner, ("POST", &shares), share).await;
        }
        let at = format!("/v1/files/{id}/visibility");
        let set = scene
            .told(Caller::Owner, ("PATCH", &at), json!({ "visibility": level }))
            .await;
        assert_eq!(set["visibility"], json!(level));
        Self {
            key: file["key"].as_str().unwrap().to_owned(),
            upload: path(&upload),
            id,
            public,
        }
    }

    async fn ask(&self, scene: &Scene, caller: Caller, front: Front) -> Answer {
        let object = format!("/shop-prod/{}", self.key);
        match front {
            Front::Content => {
                let path = format!("/v1/files/{}/content", self.id);
                scene.send(caller, ("GET", &path), "", b"").await
            }
            Front::Link if scene.signers.contains_key(&caller) => {
                let target = format!("{object}{}", scene.query(caller, &object));
                send(scene.address, "GET", &target, "", b"").await
            }
            Front::Link => {
                let path = format!("/v1/files/{}/download-url", self.id);
                let made = scene.send(caller, ("POST", &path), "", b"").await;
                if made.status != 200 {
                    return made;
                }
                let told: Value = serde_json::from_slice(&made.body).unwrap();
                let (_, target) = told["url"].as_str().unwrap().split_once("/shop-prod/").unwrap();
                send(scene.address, "GET", &format!("/shop-prod/{target}"), "", b"").await
            }
            Front::Image => {
                let query = scene.query(caller, &object);
                let path = format!("/v1/img/shop/prod/20x0/{}{query}", self.key);
                scene.send(caller, ("GET", &path), "", b"").await
            }
            Front::Object => scene.signed(caller, &object).await,
            Front::Uploads => {
                let given = scene.send(caller, ("GET", "/v1/s3/sts"), "", b"").await;
                if given.status != 200 {
                    return given;
                }
                let told: Value = serde_json::from_slice(&given.body).unwrap();
                let text = |name: &str| told["credentials"][name].as_str().unwrap().to_owned();
                let signer = users::signer((&text("AccessKeyId"), &text("SecretAccessKey")));
                scene
                    .signed_by(&signer.with_session_token(text("SessionToken")), &object)
                    .await
            }
            Front::Resumable => {
                let more = "Tus-Resumable: 1.0.0\r\n";
                scene.send(caller, ("HEAD", &self.upload), more, b"").await
            }
            Front::Public => scene.send(caller, ("GET", &self.public), "", b"").await,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_way_to_a_file_lets_in_whom_its_visibility_says_and_all_ways_agree() {
    let issuer = Issuer::start().await;
    let discovery = format!("{}/.well-known/openid-configuration", issuer.url);
    let server = start(&[
        ("MINIO_IDENTITY_OPENID_CONFIG_URL", &discovery),
        ("MINIO_IDENTITY_OPENID_CLIENT_ID", "store"),
    ])
    .await;
    let scene = Scene::new(server.addresses()[0], &issuer).await;
    let (mut cells, mut wrong) = (0, Vec::new());
    for level in LEVELS {
        let picture = Picture::new(&scene, level).await;
        let mut found = BTreeMap::new();
        for caller in CALLERS {
            for front in FRONTS {
                let Some(expected) = expected(level, caller, front) else {
                    continue;
                };
                let answer = picture.ask(&scene, caller, front).await;
                if answer.status != expected {
                    wrong.push(format!(
                        "{level} {caller:?} {front:?}: {} and not {expected}",
                        answer.status
                    ));
                }
                found.insert((caller, front), answer.status);
                cells += 1;
            }
        }
        wrong.extend(disagreements(level, &found));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(
        cells,
        4 * (6 * 7 - 5 + 4 * 4),
        "every caller was asked at every front they come by"
    );
    server.stop().await.unwrap();
}

/// Where two ways to one file did not answer the same: one caller's at several fronts, and the same rights by REST and by
/// S3. It knows no rule.
fn disagreements(level: &str, found: &BTreeMap<(Caller, Front), u16>) -> Vec<String> {
    let same = [
        (Caller::Guest, Caller::Nobody),
        (Caller::Other, Caller::S3Other),
        (Caller::Shared, Caller::S3Shared),
        (Caller::Server, Caller::S3Root),
    ];
    let by_app = [Front::Content, Front::Link, Front::Image];
    let by_s3 = [Front::Object, Front::Link, Front::Image];
    let mut pairs = Vec::new();
    for caller in [
        Caller::Guest,
        Caller::Owner,
        Caller::Other,
        Caller::Shared,
        Caller::Server,
    ] {
        pairs.extend(by_app.map(|front| ((caller, Front::Content), (caller, front))));
    }
    for (app, s3) in same {
        let fronts = if s3 == Caller::Nobody {
            &[Front::Object, Front::Image][..]
        } else {
            &by_s3
        };
        pairs.extend(fronts.iter().map(|front| ((app, Front::Content), (s3, *front))));
    }
    let differ = pairs.into_iter().filter(|(one, other)| found[one] != found[other]);
    differ
        .map(|(one, other)| format!("{level}: {one:?} and {other:?} disagree"))
        .collect()
}
