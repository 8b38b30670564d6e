//! Visibility, canned ACLs, canned bucket policies and shares, through authentication and the S3 front: who gets what by
//! which door.

mod matrix;
mod story;

use std::collections::BTreeMap;
use std::sync::Arc;

use drystone::access::link_hash;
use drystone::auth::sign::{Signer, body_hash};
use drystone::auth::{
    Account, Authenticator, Caller, Credential, CredentialSource, Identity, Kind, PayloadMode, SecretKey,
};
use drystone::policy::{self, Policy, canned};
use http::{HeaderMap, HeaderValue, Method, Request};
use http_body_util::{BodyExt, Full};
use storage_engine::memory::MemoryBackend;
use storage_engine::store::bucket::NewBucket;
use storage_engine::store::clock::{SystemClock, Timestamp};
use storage_engine::store::name::{BucketName, ObjectKey};
use storage_engine::store::object::labels::ObjectPlace;
use storage_engine::store::record::labels::{Labels, Visibility};
use storage_engine::store::record::settings::BucketSettings;
use storage_engine::store::share::{Share, ShareAccess, ShareId, ShareTarget};
use storage_engine::store::{Epoch, Store};
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

use super::{Answer, Server};

const SECRET: &str = "granite-wall";
const LINK: &str = "linklinklinklinklinklinklinklinklinklinkli0";
const WRITING_LINK: &str = "linklinklinklinklinklinklinklinklinklinkli1";

/// No method: a PUT with the canned ACL `public-read`.
const OPEN: &str = "OPEN";

/// Somebody who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    Anonymous,
    /// A user of the store whom nothing concerns.
    Other,
    /// Made the bucket, and wrote what is in it.
    Owner,
    /// It is shared with them, to read.
    Reader,
    /// In a group it is shared with, to read.
    Member,
    /// Has the address it is shared with, to read.
    Addressee,
    /// It is shared with them, to write.
    Writer,
    /// It was shared with them; the share has ended.
    Late,
    /// Nobody known, with a link to read.
    Holder,
    /// The same, with a link to write.
    WritingHolder,
    Root,
}

impl Who {
    const ALL: [Self; 11] = [
        Self::Anonymous,
        Self::Other,
        Self::Owner,
        Self::Reader,
        Self::Member,
        Self::Addressee,
        Self::Writer,
        Self::Late,
        Self::Holder,
        Self::WritingHolder,
        Self::Root,
    ];

    /// The name of the user; `None`: nobody who could sign.
    fn key(self) -> Option<&'static str> {
        Some(match self {
            Self::Anonymous | Self::Holder | Self::WritingHolder => return None,
            Self::Other => "bob",
            Self::Owner => "olga",
            Self::Reader => "ann",
            Self::Member => "gus",
            Self::Addressee => "eve",
            Self::Writer => "wim",
            Self::Late => "lou",
            Self::Root => "root",
        })
    }

    fn link(self) -> Option<&'static str> {
        match self {
            Self::Holder => Some(LINK),
            Self::WritingHolder => Some(WRITING_LINK),
            _ => None,
        }
    }
}

/// How a request says who sends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Door {
    Signed,
    Presigned,
    /// Without any signature; a link is one.
    Anonymous,
    /// An upload by HTML form, signed by its fields or by nobody.
    Post,
}

impl Door {
    const ALL: [Self; 4] = [Self::Signed, Self::Presigned, Self::Anonymous, Self::Post];

    /// Whether these can come in by it at all.
    fn admits(self, who: Who, verb: &str) -> bool {
        match self {
            Self::Signed | Self::Presigned => who.key().is_some(),
            Self::Anonymous => who.key().is_none(),
            Self::Post => matches!(verb, "PUT" | OPEN) && who.link().is_none(),
        }
    }
}

/// The users there are.
struct People;

impl CredentialSource for People {
    fn find(&self, access_key: &str) -> Option<Credential> {
        let (groups, claims): (&[&str], &[(&str, &str)]) = match access_key {
            "root" => return Some(Credential::lasting(Identity::Root, SecretKey::new(SECRET))),
            "gus" => (&["crew"], &[]),
            "eve" => (&[], &[("jwt:email", "Eve@Example.com"), ("jwt:email_verified", "true")]),
            // Says so, and nobody has verified it.
            "bob" => (
                &[],
                &[("jwt:email", "eve@example.com"), ("jwt:email_verified", "false")],
            ),
            "olga" | "ann" | "wim" | "lou" => (&[], &[]),
            _ => return None,
        };
        let own = |name: &str| {
            let text = canned::find(name).unwrap().document;
            Arc::new(Policy::parse(text.as_bytes(), policy::Kind::Identity).unwrap())
        };
        let owned = |text: &&str| (*text).to_owned();
        let caller = Caller {
            access_key: access_key.to_owned(),
            kind: Kind::User,
            account: Account::User(access_key.to_owned()),
            canonical_id: format!("id-of-{access_key}"),
            groups: groups.iter().map(owned).collect(),
            claims: claims
                .iter()
                .map(|(name, value)| (owned(name), vec![owned(value)]))
                .collect::<BTreeMap<_, _>>(),
            policies: (access_key == "olga").then(|| own("owner")).into_iter().collect(),
            session: None,
        };
        let identity = Identity::Caller(Arc::new(caller));
        Some(Credential::lasting(identity, SecretKey::new(SECRET)))
    }
}

/// The shares of every object here, whatever its visibility.
fn shares() -> Vec<Share> {
    let long_ago = Timestamp::from_millis(1_000);
    let with = |id: u8, target: ShareTarget, access: ShareAccess| Share {
        id: ShareId::from_bytes([id; 8]),
        target,
        access,
        made: long_ago,
        expires: None,
        name: None,
    };
    let user = |name: &str| ShareTarget::User(format!("id-of-{name}"));
    let link = |token: &str| ShareTarget::Link(link_hash(token).unwrap());
    vec![
        with(1, user("ann"), ShareAccess::Read),
        with(2, ShareTarget::Group("crew".into()), ShareAccess::Read),
        with(3, ShareTarget::Email("eve@example.com".into()), ShareAccess::Read),
        with(4, user("wim"), ShareAccess::Write),
        Share {
            expires: Some(Timestamp::from_millis(2_000)),
            ..with(5, user("lou"), ShareAccess::Write)
        },
        with(6, link(LINK), ShareAccess::Read),
        with(7, link(WRITING_LINK), ShareAccess::Write),
    ]
}

/// `app`, olga's, with what she wrote into it.
struct Scene {
    server: Server,
    store: Store,
    authenticator: Arc<Authenticator>,
}

impl Scene {
    async fn new() -> Self {
        let backend = Arc::new(MemoryBackend::new());
        let store = Store::new(backend.clone(), Arc::new(SystemClock), Epoch([7; 16]));
        let new = NewBucket {
            name: BucketName::parse("app").unwrap(),
            region: String::new(),
            owner: Some("id-of-olga".to_owned()),
            settings: BucketSettings::default(),
        };
        store.make_bucket(new).await.unwrap();
        Self {
            server: Server::over(backend),
            store,
            authenticator: Arc::new(Authenticator::new(Arc::new(People), None).unwrap()),
        }
    }

    /// Has olga write an object with this content.
    async fn write(&self, key: &str, content: &'static str) {
        let target = format!("/app/{key}");
        self.send(Who::Owner, Door::Signed, "PUT", &target, content)
            .await
            .is(200);
    }

    async fn label(&self, key: &str, change: impl Fn(&mut Labels) + Send + Sync) {
        let place = ObjectPlace {
            bucket: BucketName::parse("app").unwrap(),
            key: ObjectKey::parse(key.to_owned()).unwrap(),
            version: None,
        };
        self.store.change_labels(&place, None, change).await.unwrap();
    }

    async fn set(&self, change: impl Fn(&mut BucketSettings) + Send + Sync) {
        let bucket = BucketName::parse("app").unwrap();
        self.store.change_settings(&bucket, change).await.unwrap();
    }

    /// A request by one of the doors.
    async fn send(&self, who: Who, door: Door, verb: &str, target: &str, body: &'static str) -> Answer {
        if door == Door::Post {
            let key = target.strip_prefix("/app/").unwrap();
            return self.post(who, (key, verb == OPEN), body).await;
        }
        let mut target = target.to_owned();
        if let Some(token) = who.link() {
            let mark = if target.contains('?') { '&' } else { '?' };
            target.push_str(&format!("{mark}drystone-share={token}"));
        }
        let mut request = head(verb, &target, body);
        let signer = who.key().map(signer);
        match (door, signer) {
            (Door::Signed, Some(signer)) => {
                let mode = PayloadMode::SignedBody(body_hash(body.as_bytes()));
                signer.sign(&mut request, &mode, OffsetDateTime::now_utc()).unwrap();
            }
            (Door::Presigned, Some(signer)) => presign(&signer, &mut request),
            (Door::Signed | Door::Presigned | Door::Anonymous | Door::Post, _) => {}
        }
        self.deliver(request, body).await
    }

    /// A request that was prepared before.
    async fn deliver(&self, head: http::request::Parts, body: &'static str) -> Answer {
        let about = format!("{} {}", head.method, head.uri);
        let authenticated = self
            .authenticator
            .authenticate(Request::from_parts(head, Full::from(body)))
            .unwrap();
        self.answered(about, authenticated.request).await
    }

    async fn answered<B>(&self, about: String, request: Request<B>) -> Answer
    where
        B: http_body::Body<Data = bytes::Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (parts, body) = self.server.service.handle(request).await.into_parts();
        Answer {
            about,
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: body.collect().await.unwrap().to_bytes(),
        }
    }

    async fn post(&self, who: Who, (key, open): (&str, bool), content: &str) -> Answer {
        let mut fields = vec![("key".to_owned(), key.to_owned())];
        if open {
            fields.push(("acl".to_owned(), "public-read".to_owned()));
        }
        if let Some(user) = who.key() {
            fields.extend(signed_fields(&signer(user)));
        }
        let mut body = String::new();
        for (name, value) in fields {
            body.push_str(&format!(
                "--x\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
            ));
        }
        body.push_str(&format!(
            "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\n{content}\r\n--x--\r\n"
        ));
        let mut request = Request::new(Full::from(body).map_err(|never| match never {}).boxed());
        *request.method_mut() = Method::POST;
        *request.uri_mut() = "/app".parse().unwrap();
        let kind = HeaderValue::from_static("multipart/form-data; boundary=x");
        request.headers_mut().insert("content-type", kind);
        let host = HeaderValue::from_static("localhost:9000");
        request.headers_mut().insert("host", host);
        let admitted = self.authenticator.admit_form(request).unwrap();
        self.answered(format!("POST /app {key}"), admitted).await
    }
}

fn signer(user: &str) -> Signer {
    Signer::new(user, SecretKey::new(SECRET), "us-east-1")
}

fn presign(signer: &Signer, request: &mut http::request::Parts) {
    let length = request.headers.remove("content-length");
    signer.presign(request, 3_600, OffsetDateTime::now_utc()).unwrap();
    request
        .headers
        .extend(length.map(|length| (http::header::CONTENT_LENGTH, length)));
}

fn head(verb: &str, target: &str, body: &str) -> http::request::Parts {
    let mut headers = HeaderMap::new();
    headers.insert("host", HeaderValue::from_static("localhost:9000"));
    if matches!(verb, "PUT" | OPEN) {
        headers.insert("content-length", HeaderValue::from(body.len()));
    }
    if verb == OPEN {
        headers.insert("x-amz-acl", HeaderValue::from_static("public-read"));
    }
    let (mut parts, ()) = Request::builder()
        .method(if verb == OPEN { "PUT" } else { verb })
        .uri(target)
        .body(())
        .unwrap()
        .into_parts();
    parts.headers = headers;
    parts
}

/// The fields of a form whose policy allows any key of the bucket, and any canned ACL.
fn signed_fields(signer: &Signer) -> Vec<(String, String)> {
    let now = OffsetDateTime::now_utc();
    let expiration = (now + Duration::minutes(5)).format(&Rfc3339).unwrap();
    let signed = signer.post_form(now, |own| {
        let mut conditions = vec![
            r#"{"bucket":"app"}"#.to_owned(),
            r#"["starts-with","$key",""]"#.to_owned(),
            r#"["starts-with","$acl",""]"#.to_owned(),
        ];
        conditions.extend(own.iter().map(|(name, value)| format!("{{\"{name}\":\"{value}\"}}")));
        let policy = format!(
            r#"{{"expiration":"{expiration}","conditions":[{}]}}"#,
            conditions.join(",")
        );
        base64_simd::STANDARD.encode_to_string(policy)
    });
    let fields = signed.fields.into_iter().map(|(name, value)| (name.to_owned(), value));
    fields.chain([("policy".to_owned(), signed.policy)]).collect()
}

/// Shared, and everything else as it is.
fn share(labels: &mut Labels) {
    labels.visibility = Some(Visibility::Shared);
    labels.shares = shares();
}
