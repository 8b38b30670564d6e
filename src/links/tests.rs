//! Links through the authenticator: what they let in, and what no change of theirs does.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use http::header::HOST;
use http::{Method, Request, Uri};
use http_body_util::Empty;
use storage_engine::memory::MemoryBackend;
use storage_engine::store::clock::{SystemClock, Timestamp};
use storage_engine::store::{Epoch, Store};
use time::macros::datetime;
use time::{Duration, OffsetDateTime};

use super::{
    Asker, AskerRights, Askers, Credentials, Download, Link, LinkAsk, LinkError, Links, PartAsk, Purpose,
    UploadCredential, UploadLimits, UploadsAsk,
};
use crate::access::{Action, Context, ObjectFacts, RequestFacts, Resource, Visibility, decide};
use crate::auth::sign::Signer;
use crate::auth::{
    Account, AuthError, Authenticated, Authenticator, Caller, CredentialSource, Federated, Identity, Kind, LinkTerms,
    LinkUse, PayloadMode, Realm, SecretKey, Terms,
};
use crate::identity::{Directory, Federation, Root, SealKeys};
use crate::policy::{self, Policy};

const NOW: OffsetDateTime = datetime!(2026-01-02 03:04:05.6 UTC);
const ORIGIN: &str = "https://store.test:9000";
const OWN: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}"#;

/// A project with one key.
struct OneKey;

impl Askers for OneKey {
    fn rights(&self, asker: &Asker, bucket: &str, purpose: Purpose) -> Option<AskerRights> {
        let of = |kind| Arc::new(Policy::parse(OWN.as_bytes(), kind).unwrap());
        let own = || of(policy::Kind::Identity);
        let stands = asker.key_id == "k1" && bucket == "shop-prod";
        (stands && asker.revoked >= self.revoked(asker, bucket)).then(|| AskerRights {
            policies: if asker.admin { vec![own()] } else { Vec::new() },
            session: (purpose == Purpose::Uploads).then(|| of(policy::Kind::Session)),
            ..AskerRights::default()
        })
    }

    fn revoked(&self, _asker: &Asker, _bucket: &str) -> Timestamp {
        Timestamp::default()
    }
}

struct Ground {
    links: Links,
    authenticator: Authenticator,
    directory: Directory,
}

async fn ground() -> Ground {
    let store = Store::new(Arc::new(MemoryBackend::new()), Arc::new(SystemClock), Epoch([1; 16]));
    let password = SecretKey::new("root-password");
    let root = Root {
        access_key: "rootkey".into(),
        secret: password.clone(),
    };
    let keys = SealKeys {
        operator: None,
        old_operator: None,
        password,
        old_password: None,
    };
    let directory = Directory::open(store, Arc::new(SystemClock), root, keys, Federation::new()).await;
    let links = Links::new(directory.clone(), Arc::new(OneKey), "us-east-1");
    let credentials = Credentials::new(directory.clone(), links.clone());
    Ground {
        links,
        authenticator: Authenticator::new(Arc::new(credentials), None).unwrap(),
        directory,
    }
}

/// How a link is asked for that repeats.
fn again() -> Download {
    Download {
        stable: true,
        ..Download::default()
    }
}

fn ann() -> Identity {
    Identity::Caller(Arc::new(Caller {
        access_key: String::new(),
        kind: Kind::Temporary { expires: NOW },
        account: Account::Federated(Federated::new("shop/main|ann")),
        canonical_id: "app:shop/main|ann".into(),
        groups: vec!["staff".into()],
        claims: BTreeMap::from([
            ("jwt:email".into(), vec!["ann@example.com".into()]),
            ("jwt:name".into(), vec!["Ann".into()]),
        ]),
        policies: Vec::new(),
        session: None,
    }))
}

fn asker() -> Asker {
    Asker::of(&ann(), "k1", false).unwrap()
}

fn ask(asker: &Asker) -> LinkAsk<'_> {
    LinkAsk {
        asker,
        owner: None,
        file: [5; 16],
        bucket: "shop-prod",
        key: "05/a b+€.png",
        epoch: 2,
        origin: ORIGIN,
        now: NOW,
        seconds: 3_600,
    }
}

impl Ground {
    async fn download(&self) -> Link {
        self.links
            .download_url(&ask(&asker()), Download::default())
            .await
            .unwrap()
    }

    fn come(
        &self,
        method: &Method,
        url: &str,
        headers: &[(&'static str, &str)],
        at: OffsetDateTime,
    ) -> Result<Authenticated, AuthError> {
        let uri: Uri = url.parse().unwrap();
        let target = uri.path_and_query().unwrap().as_str();
        let mut request = Request::builder().method(method.clone()).uri(target);
        request = request.header(HOST, uri.authority().unwrap().as_str());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.authenticator
            .authenticate_at(request.body(Empty::<Bytes>::new()).unwrap(), at)
    }

    fn code(&self, method: &Method, url: &str, headers: &[(&'static str, &str)], at: OffsetDateTime) -> &'static str {
        match self.come(method, url, headers, at) {
            Ok(_) => "let in",
            Err(error) => error.code(),
        }
    }
}

fn terms_of(authenticated: &Authenticated) -> Arc<LinkTerms> {
    match authenticated.request.extensions().get::<Terms>() {
        Some(Terms::Link(terms)) => Arc::clone(terms),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_link_counts_as_who_asked_for_it_and_for_nothing_else() {
    let ground = ground().await;
    let limits = UploadLimits {
        max_size: Some(10),
        min_size: 1,
        types: vec!["image/*".into()],
        once: true,
    };
    let link = ground.links.upload_url(&ask(&asker()), limits).await.unwrap();
    assert!(
        link.url
            .starts_with("https://store.test:9000/shop-prod/05/a%20b%2B%E2%82%AC.png?X-Amz-"),
        "{link:?}"
    );
    assert!(link.url.contains("&X-Amz-SignedHeaders=host&"));
    assert_eq!(link.expires, datetime!(2026-01-02 04:04:05 UTC));
    let came = ground
        .come(&Method::PUT, &link.url, &[("content-type", "image/png")], NOW)
        .unwrap();
    let Identity::Caller(caller) = &came.identity else {
        panic!("{:?}", came.identity)
    };
    assert_eq!(caller.owner_id(), "app:shop/main|ann");
    assert_eq!(caller.account.name(), "federated=shop/main|ann");
    // They matter to reading only.
    assert!(caller.groups.is_empty() && caller.claims.is_empty());
    let terms = terms_of(&came);
    assert_eq!(
        (terms.file, terms.epoch, terms.key.as_str()),
        ([5; 16], 2, "05/a b+€.png")
    );
    let LinkUse::Put { max_size, once, .. } = &terms.lets else {
        panic!("{terms:?}")
    };
    assert_eq!((*max_size, *once), (Some(10), true));
    assert_eq!(came.request.uri().query(), None);

    let came = ground
        .come(&Method::GET, &ground.download().await.url, &[], NOW)
        .unwrap();
    let Identity::Caller(caller) = &came.identity else {
        panic!("{:?}", came.identity)
    };
    assert_eq!(caller.groups, ["staff"]);
    assert_eq!(caller.claims.keys().collect::<Vec<_>>(), ["jwt:email"]);
}

#[tokio::test]
async fn nothing_but_its_one_action_on_its_one_key_is_allowed_by_a_link() {
    let ground = ground().await;
    let key = Resource::Object {
        bucket: "shop-prod",
        key: "05/a b+€.png",
    };
    let others = [
        Resource::Object {
            bucket: "shop-prod",
            key: "05/a",
        },
        Resource::Object {
            bucket: "shop-dev",
            key: "05/a b+€.png",
        },
        Resource::Bucket("shop-prod"),
        Resource::Service,
    ];
    for (admin, identity) in [(false, Identity::Anonymous), (false, ann()), (true, ann())] {
        let asker = Asker::of(&identity, "k1", admin).unwrap();
        let ask = ask(&asker);
        let part = PartAsk {
            upload: "u/1",
            number: 3,
            last: 10,
            max_size: None,
        };
        let made = [
            (
                Method::GET,
                Action::GetObject,
                ground.links.download_url(&ask, again()).await.unwrap(),
            ),
            (
                Method::PUT,
                Action::PutObject,
                ground.links.upload_url(&ask, UploadLimits::default()).await.unwrap(),
            ),
            (
                Method::PUT,
                Action::PutObject,
                ground.links.part_url(&ask, &part).await.unwrap(),
            ),
        ];
        for (method, action, link) in made {
            let came = ground.come(&method, &link.url, &[], NOW).unwrap();
            let request = came.request;
            let facts = RequestFacts::read(request.extensions(), request.headers(), NOW);
            let object = ObjectFacts {
                owner: "app:shop/main|ann".into(),
                visibility: Some(Visibility::Public),
                ..ObjectFacts::default()
            };
            let context = Context {
                request: Some(&facts),
                object: Some(&object),
                ..Context::default()
            };
            let may = |action: Action, resource| decide(&came.identity, action, resource, &context).is_ok();
            assert_eq!(
                may(action, key),
                action == Action::GetObject || admin,
                "{action:?} {identity:?}"
            );
            for every in Action::ALL {
                assert!(*every == action || !may(*every, key), "{every:?}");
                assert!(others.iter().all(|other| !may(*every, *other)), "{every:?}");
            }
        }
    }
}

#[tokio::test]
async fn whoever_changes_a_link_is_refused() {
    let ground = ground().await;
    let (get, url) = (&Method::GET, ground.download().await.url);
    assert_eq!(ground.code(get, &url, &[], NOW), "let in");
    assert_eq!(ground.code(&Method::HEAD, &url, &[], NOW), "let in");
    for method in [Method::PUT, Method::POST, Method::DELETE] {
        assert_eq!(
            ground.code(&method, &url, &[], NOW),
            "SignatureDoesNotMatch",
            "{method}"
        );
    }
    for (from, to) in [
        ("/05/", "/06/"),
        ("/shop-prod/", "/shop-dev/"),
        ("store.test:9000", "store.test"),
        ("X-Amz-Expires=3600", "X-Amz-Expires=3601"),
        (
            "&X-Amz-Signature=",
            "&response-content-type=text%2Fhtml&X-Amz-Signature=",
        ),
        ("&X-Amz-Signature=", "&versionId=null&X-Amz-Signature="),
        ("&X-Amz-Signature=", "&x-amz-acl=public-read&X-Amz-Signature="),
    ] {
        let changed = url.replace(from, to);
        assert_ne!(changed, url, "{from}");
        assert_eq!(
            ground.code(get, &changed, &[], NOW),
            "SignatureDoesNotMatch",
            "{changed}"
        );
    }
    let token_at = url.find("Security-Token=").unwrap() + "Security-Token=".len();
    let mut tampered = url.clone();
    let other = if url[token_at + 40..].starts_with('A') {
        "B"
    } else {
        "A"
    };
    tampered.replace_range(token_at + 40..=token_at + 40, other);
    assert_eq!(ground.code(get, &tampered, &[], NOW), "InvalidAccessKeyId");
    let key_at = url.find("DSLK").unwrap() + 4;
    let mut renamed = url.clone();
    let other = if url[key_at..].starts_with('A') { "B" } else { "A" };
    renamed.replace_range(key_at..=key_at, other);
    assert_eq!(ground.code(get, &renamed, &[], NOW), "InvalidAccessKeyId");
    let without = [
        &url[..token_at - "&X-Amz-Security-Token=".len()],
        &url[url.find("&X-Amz-Signature=").unwrap()..],
    ]
    .concat();
    assert_eq!(ground.code(get, &without, &[], NOW), "InvalidAccessKeyId");
    let unsigned = [("x-amz-acl", "public-read"), ("x-amz-copy-source", "/shop-prod/other")];
    for header in unsigned {
        assert_eq!(ground.code(get, &url, &[header], NOW), "AccessDenied", "{header:?}");
    }
}

#[tokio::test]
async fn a_link_ends_with_its_time_and_with_its_askers_key() {
    let ground = ground().await;
    let link = ground.download().await;
    let last = link.expires;
    assert_eq!(
        ground.code(&Method::GET, &link.url, &[], last - Duration::SECOND),
        "let in"
    );
    let late = ground.come(&Method::GET, &link.url, &[], last + Duration::SECOND);
    let late = late.err().unwrap();
    assert_eq!(
        (late.code(), late.to_string().as_str()),
        ("AccessDenied", "Request has expired")
    );

    // A URL that says more than its token, by a signature that is right.
    let text = super::carried::encode(
        &LinkTerms {
            file: [5; 16],
            bucket: "shop-prod".into(),
            key: "a".into(),
            epoch: 0,
            expires: NOW,
            lets: LinkUse::get(),
            takes_guests: false,
        },
        &asker(),
    );
    let sealed = ground.directory.seal_link(&text.unwrap()).await.unwrap();
    let token = String::from_utf8(sealed.token.expose().to_vec()).unwrap();
    let signer = Signer::new(&sealed.access_key, sealed.secret.clone(), "us-east-1").with_session_token(token);
    let target = super::signed(&signer, (ORIGIN, &Method::GET), "/shop-prod/a".into(), (NOW, 3_600)).unwrap();
    let url = format!("{ORIGIN}{target}");
    assert_eq!(ground.code(&Method::GET, &url, &[], NOW), "ExpiredToken");
    assert_eq!(ground.code(&Method::GET, &url, &[], NOW - Duration::SECOND), "let in");

    // Nobody knows the secret; who did could sign URLs with it and nothing else.
    let request = Request::get("/shop-prod/a")
        .header(HOST, "store.test:9000")
        .body(())
        .unwrap();
    let (mut parts, ()) = request.into_parts();
    signer
        .sign(&mut parts, &PayloadMode::Unsigned, NOW - Duration::SECOND)
        .unwrap();
    let request = Request::from_parts(parts, Empty::<Bytes>::new());
    let refused = ground.authenticator.authenticate_at(request, NOW - Duration::SECOND);
    assert_eq!(refused.err().unwrap().code(), "InvalidAccessKeyId");

    for (key, bucket) in [("k2", "shop-prod"), ("k1", "shop-dev")] {
        let asker = Asker::of(&ann(), key, false).unwrap();
        let ask = LinkAsk { bucket, ..ask(&asker) };
        let link = ground.links.download_url(&ask, Download::default()).await.unwrap();
        assert_eq!(
            ground.code(&Method::GET, &link.url, &[], NOW),
            "InvalidAccessKeyId",
            "{key} {bucket}"
        );
    }
}

#[tokio::test]
async fn a_link_opens_nothing_in_another_store() {
    let (ground, other) = (ground().await, ground().await);
    let url = ground.download().await.url;
    assert_eq!(other.code(&Method::GET, &url, &[], NOW), "InvalidAccessKeyId");
    // Also where the other gives out links itself.
    other.download().await;
    assert_eq!(other.code(&Method::GET, &url, &[], NOW), "InvalidAccessKeyId");
}

#[tokio::test]
async fn a_stable_link_is_the_same_for_a_quarter_of_its_life_and_has_three_left() {
    let ground = ground().await;
    let asker = asker();
    let at = |now| LinkAsk { now, ..ask(&asker) };
    let stable = async |now| ground.links.download_url(&at(now), again()).await.unwrap();
    let first = stable(datetime!(2026-01-02 03:00:00 UTC)).await;
    for seconds in [1, 450, 899] {
        let later = datetime!(2026-01-02 03:00:00 UTC) + Duration::seconds(seconds);
        let again = stable(later).await;
        assert!(again == first, "after {seconds} s");
        assert!(again.expires - later >= Duration::seconds(2_700));
        assert_eq!(ground.code(&Method::GET, &again.url, &[], later), "let in");
    }
    let next = stable(datetime!(2026-01-02 03:15:00 UTC)).await;
    assert!(next != first);
    let others = [
        LinkAsk { epoch: 3, ..at(NOW) },
        LinkAsk {
            file: [6; 16],
            ..at(NOW)
        },
        LinkAsk {
            seconds: 3_601,
            ..at(NOW)
        },
    ];
    let own = stable(NOW).await;
    for other in others {
        assert!(ground.links.download_url(&other, again()).await.unwrap() != own);
    }
    for how in [
        Download {
            disposition: Some("attachment".into()),
            ..again()
        },
        Download {
            shown_as: Some("300x200".into()),
            ..again()
        },
        Download {
            counter: Some([1; 16]),
            ..again()
        },
    ] {
        assert!(
            ground.links.download_url(&at(NOW), how.clone()).await.unwrap() != own,
            "{how:?}"
        );
    }
}

#[tokio::test]
async fn a_guest_stays_nobody_by_a_link() {
    let ground = ground().await;
    let asker = Asker::of(&Identity::Anonymous, "k1", false).unwrap();
    let link = ground
        .links
        .download_url(&ask(&asker), Download::default())
        .await
        .unwrap();
    let came = ground.come(&Method::GET, &link.url, &[], NOW).unwrap();
    assert_eq!(came.identity, Identity::Anonymous);
    assert_eq!(terms_of(&came).lets, LinkUse::get());
}

#[tokio::test]
async fn what_no_link_can_be_made_for_is_refused() {
    let ground = ground().await;
    assert!(matches!(
        Asker::of(&Identity::Root, "k1", true),
        Err(LinkError::NotOfAnApp)
    ));
    let asker = asker();
    for seconds in [0, 59, 604_801] {
        let ask = LinkAsk { seconds, ..ask(&asker) };
        let made = ground.links.download_url(&ask, Download::default()).await;
        assert!(matches!(made, Err(LinkError::Lifetime)), "{seconds}");
    }
    for (number, last) in [(0, 10), (11, 10), (1, 0)] {
        let part = PartAsk {
            upload: "u1",
            number,
            last,
            max_size: None,
        };
        let made = ground.links.part_url(&ask(&asker), &part).await;
        assert!(matches!(made, Err(LinkError::PartNumber { .. })), "{number} of {last}");
    }
    let Identity::Caller(caller) = ann() else {
        panic!("a caller")
    };
    let groups = (0..300)
        .map(|number| format!("a-group-of-a-large-house-{number}"))
        .collect();
    let crowd = Identity::Caller(Arc::new(Caller {
        groups,
        ..Caller::clone(&caller)
    }));
    let crowd = Asker::of(&crowd, "k1", false).unwrap();
    let made = ground.links.download_url(&ask(&crowd), Download::default()).await;
    assert!(matches!(made, Err(LinkError::TooLong { .. })));
    // To upload they need none of them.
    ground
        .links
        .upload_url(&ask(&crowd), UploadLimits::default())
        .await
        .unwrap();
    let evil = LinkAsk {
        origin: "https://a\nb",
        ..ask(&asker)
    };
    assert!(ground.links.download_url(&evil, Download::default()).await.is_err());
}

fn sign(given: &UploadCredential, method: &Method, at: OffsetDateTime) -> Request<Empty<Bytes>> {
    let token = String::from_utf8(given.token.expose().to_vec()).unwrap();
    let signer = Signer::new(&given.access_key, given.secret.clone(), "us-east-1").with_session_token(token);
    let request = Request::builder().method(method).uri("/shop-prod/a");
    let request = request.header(HOST, "store.test:9000").body(()).unwrap();
    let (mut parts, ()) = request.into_parts();
    let mode = PayloadMode::SignedBody(crate::auth::sign::body_hash(b""));
    signer.sign(&mut parts, &mode, at).unwrap();
    Request::from_parts(parts, Empty::new())
}

#[tokio::test]
async fn a_credential_for_uploads_signs_requests_to_s3_until_it_ends_and_is_for_no_other_action() {
    let ground = ground().await;
    let admin = Asker::of(&ann(), "k1", true).unwrap();
    let ask = UploadsAsk {
        asker: &admin,
        of_user: true,
        bucket: "shop-prod",
        now: NOW,
        seconds: 900,
    };
    let given = ground.links.upload_credential(&ask).await.unwrap();
    let come = |realm, at: OffsetDateTime| {
        let request = sign(&given, &Method::PUT, at);
        ground.authenticator.authenticate_in(realm, request, at)
    };
    let came = come(Realm::S3, NOW).unwrap();
    let facts = RequestFacts::read(came.request.extensions(), came.request.headers(), NOW);
    let context = Context {
        request: Some(&facts),
        ..Context::default()
    };
    let object = |bucket| Resource::Object { bucket, key: "a" };
    let uploads = [
        Action::PutObject,
        Action::AbortMultipartUpload,
        Action::ListMultipartUploadParts,
    ];
    // Its asker may everything; it lets no more than this all the same.
    let root = Identity::Root;
    for action in Action::ALL {
        let may = |resource| decide(&root, *action, resource, &context).is_ok();
        assert_eq!(may(object("shop-prod")), uploads.contains(action), "{action:?}");
        for other in [object("shop-dev"), Resource::Bucket("shop-prod"), Resource::Service] {
            assert!(!may(other), "{action:?} {other:?}");
        }
    }
    for realm in [Realm::Admin, Realm::Sts, Realm::Iam] {
        assert!(come(realm, NOW).is_err(), "{realm:?}");
    }
    let admin = come(Realm::Admin, NOW).err().unwrap();
    assert_eq!(admin.code(), "InvalidAccessKeyId");
    let last = given.expires;
    assert!(come(Realm::S3, last - Duration::SECOND).is_ok());
    assert_eq!(come(Realm::S3, last).err().unwrap().code(), "ExpiredToken");

    for seconds in [0, 899, 3_601] {
        let made = ground.links.upload_credential(&UploadsAsk { seconds, ..ask }).await;
        assert!(matches!(made, Err(LinkError::Lifetime)), "{seconds}");
    }
    let guest = Asker::of(&Identity::Anonymous, "k1", false).unwrap();
    let of_guest = UploadsAsk { asker: &guest, ..ask };
    let made = ground.links.upload_credential(&of_guest).await;
    assert!(matches!(made, Err(LinkError::NotOfAnApp)));
    for (key, bucket) in [("k2", "shop-prod"), ("k1", "shop-dev")] {
        let asker = Asker::of(&ann(), key, false).unwrap();
        let ask = UploadsAsk {
            asker: &asker,
            bucket,
            ..ask
        };
        let given = ground.links.upload_credential(&ask).await.unwrap();
        let request = sign(&given, &Method::PUT, NOW);
        let refused = ground.authenticator.authenticate_at(request, NOW).err().unwrap();
        assert_eq!(refused.code(), "InvalidAccessKeyId", "{key} {bucket}");
    }
}

#[tokio::test]
async fn a_credential_for_uploads_is_no_link() {
    let ground = ground().await;
    let asker = asker();
    let ask = UploadsAsk {
        asker: &asker,
        of_user: true,
        bucket: "shop-prod",
        now: NOW,
        seconds: 900,
    };
    let given = ground.links.upload_credential(&ask).await.unwrap();
    let token = String::from_utf8(given.token.expose().to_vec()).unwrap();
    assert!(ground.links.redeem(&given.access_key, &token, NOW).is_none());
}

#[tokio::test]
async fn other_credentials_are_found_beside_links() {
    let ground = ground().await;
    let credentials = Credentials::new(ground.directory.clone(), ground.links.clone());
    assert!(credentials.find("rootkey").is_some());
    assert!(credentials.find("DSLKAAAAAAAAAAAAAAAA").is_none());
    assert!(credentials.find_temporary("rootkey", "token").is_none());
    assert!(credentials.is_open());
}
