//! Links of files from their making to their answer: through the authenticator into the front, over a bucket with a
//! catalogue; and what other writes owe the catalogue.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use drystone::auth::{Account, Authenticator, Caller, Federated, Identity, Kind, SecretKey, sha256};
use drystone::identity::{Directory, Federation, Root, SealKeys};
use drystone::links::{
    Asker, AskerRights, Askers, Credentials, Download, Link, LinkAsk, Links, PartAsk, Purpose, UploadLimits,
};
use drystone::policy::{self, Policy};
use http::{Request, Uri};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use storage_engine::memory::MemoryBackend;
use storage_engine::store::bucket::NewBucket;
use storage_engine::store::clock::{SystemClock, Timestamp};
use storage_engine::store::files::{File, FileId, FileState};
use storage_engine::store::name::BucketName;
use storage_engine::store::record::labels::Visibility;
use storage_engine::store::record::settings::BucketSettings;
use storage_engine::store::{Epoch, Store};
use time::{Duration, OffsetDateTime};
use tokio::sync::Notify;

use super::{Answer, Server};

const ORIGIN: &str = "http://localhost:9000";
const ANN: &str = "app:shop/main|ann";
const BOB: &str = "app:shop/main|bob";
const GIF: &[u8] = b"GIF89a\x0A\0\x14\0\0\0\0;";
/// What users of an app may: put what does not stand, and everything with what is theirs.
const OF_USERS: &str = r#"{"Version":"2012-10-17","Statement":[
    {"Effect":"Allow","Action":"s3:PutObject","Resource":"arn:aws:s3:::shop-prod/*","Condition":{"Null":{"drystone:ObjectOwner":"true"}}},
    {"Effect":"Allow","Action":["s3:GetObject","s3:PutObject"],"Resource":"arn:aws:s3:::shop-prod/*","Condition":{"StringEquals":{"drystone:ObjectOwner":"${aws:PrincipalAccount}"}}}]}"#;

/// A project with one key, which can be revoked.
#[derive(Default)]
struct OneKey(AtomicBool);

impl Askers for OneKey {
    fn rights(&self, asker: &Asker, _: &str, _: Purpose) -> Option<AskerRights> {
        let own = Policy::parse(OF_USERS.as_bytes(), policy::Kind::Identity).unwrap();
        let stands = !self.0.load(Ordering::Relaxed);
        stands.then(|| AskerRights {
            takes_guests: asker.guest_in.as_deref() == Some("inbox"),
            policies: asker.person.iter().map(|_| Arc::new(own.clone())).collect(),
            session: None,
        })
    }

    fn revoked(&self, _: &Asker, _: &str) -> Timestamp {
        Timestamp::default()
    }
}

struct Scene {
    server: Server,
    store: Store,
    links: Links,
    authenticator: Authenticator,
    key: Arc<OneKey>,
}

fn app() -> BucketName {
    BucketName::parse("shop-prod").unwrap()
}

fn asker(owner: Option<&str>) -> Asker {
    let identity = match owner {
        None => Identity::Anonymous,
        Some(owner) => Identity::Caller(Arc::new(Caller {
            access_key: String::new(),
            kind: Kind::AccessKey,
            account: Account::Federated(Federated::new(owner.strip_prefix("app:").unwrap())),
            canonical_id: owner.to_owned(),
            groups: Vec::new(),
            claims: BTreeMap::new(),
            policies: Vec::new(),
            session: None,
        })),
    };
    Asker::of(&identity, "k1", false).unwrap()
}

/// A file that is announced.
#[derive(Clone, Copy)]
struct Announced {
    id: FileId,
    key: &'static str,
}

impl Scene {
    async fn new() -> Self {
        let backend = Arc::new(MemoryBackend::new());
        let store = Store::new(backend.clone(), Arc::new(SystemClock), Epoch([7; 16]));
        let new = NewBucket {
            name: app(),
            region: String::new(),
            owner: None,
            settings: BucketSettings {
                files: true,
                ..BucketSettings::default()
            },
        };
        store.make_bucket(new).await.unwrap();
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
        let directory = Directory::open(store.clone(), Arc::new(SystemClock), root, keys, Federation::new()).await;
        let key = Arc::new(OneKey::default());
        let links = Links::new(directory.clone(), key.clone(), "us-east-1");
        let credentials = Credentials::new(directory, links.clone());
        Self {
            server: Server::over(backend),
            store,
            links,
            authenticator: Authenticator::new(Arc::new(credentials), None).unwrap(),
            key,
        }
    }

    async fn announce(&self, key: &'static str, change: impl FnOnce(&mut File)) -> Announced {
        let now = Timestamp::from_millis(1_700_000_000_000);
        let id = self.store.next_file_id().unwrap();
        let mut file = File::pending(key.to_owned(), [9; 16], "name.gif".to_owned(), now);
        file.labels.owner = Some(ANN.to_owned());
        file.labels.visibility = Some(Visibility::Private);
        change(&mut file);
        self.store.create_file(&app(), id, &file).await.unwrap();
        Announced { id, key }
    }

    /// A file of ann's with bytes.
    async fn uploaded(&self, key: &'static str, visibility: Visibility) -> Announced {
        let file = self
            .announce(key, |file| file.labels.visibility = Some(visibility))
            .await;
        let link = self.upload(&file, UploadLimits::default()).await;
        self.put(&link, GIF).await.is(200);
        file
    }

    async fn file(&self, file: &Announced) -> File {
        self.store.file(&app(), &file.id).await.unwrap().unwrap().0
    }

    async fn upload(&self, file: &Announced, limits: UploadLimits) -> Link {
        let once = UploadLimits { once: true, ..limits };
        let asker = asker(Some(ANN));
        self.links
            .upload_url(&self.ask(&asker, file).await, once)
            .await
            .unwrap()
    }

    async fn download(&self, owner: Option<&str>, file: &Announced) -> Link {
        let asker = asker(owner);
        self.links
            .download_url(&self.ask(&asker, file).await, Download::default())
            .await
            .unwrap()
    }

    async fn ask<'a>(&self, asker: &'a Asker, file: &Announced) -> LinkAsk<'a> {
        LinkAsk {
            asker,
            owner: None,
            file: *file.id.as_bytes(),
            bucket: "shop-prod",
            key: file.key,
            epoch: self.file(file).await.epoch,
            origin: ORIGIN,
            now: OffsetDateTime::now_utc(),
            seconds: 600,
        }
    }

    async fn put(&self, link: &Link, body: &'static [u8]) -> Answer {
        self.send("PUT", &link.url, &[("content-type", "image/gif")], body)
            .await
    }

    async fn get(&self, link: &Link) -> Answer {
        self.send("GET", &link.url, &[], b"").await
    }

    async fn send(&self, method: &str, url: &str, headers: &[(&str, &str)], body: &'static [u8]) -> Answer {
        let mut headers = headers.to_vec();
        let length = body.len().to_string();
        if method == "PUT" {
            headers.push(("content-length", &length));
        }
        self.deliver(method, url, &headers, Full::from(body)).await
    }

    async fn deliver<B>(&self, method: &str, url: &str, headers: &[(&str, &str)], body: B) -> Answer
    where
        B: http_body::Body<Data = Bytes> + Send + Sync + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let uri: Uri = url.parse().unwrap();
        let mut request = Request::builder()
            .method(method)
            .uri(uri.path_and_query().unwrap().as_str());
        request = request.header("host", uri.authority().unwrap().as_str());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let about = format!("{method} {url}");
        let response = match self.authenticator.authenticate(request.body(body).unwrap()) {
            Ok(authenticated) => self.server.service.handle(authenticated.request).await,
            Err(error) => {
                let (parts, body) = error.to_response(uri.path(), "").into_parts();
                let body = Full::from(body).map_err(|never| match never {}).boxed_unsync();
                http::Response::from_parts(parts, body)
            }
        };
        let (parts, body) = response.into_parts();
        Answer {
            about,
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: body.collect().await.unwrap().to_bytes(),
        }
    }
}

#[tokio::test]
async fn what_is_put_by_a_link_is_an_active_file_that_its_owner_gets_by_another() {
    let scene = Scene::new().await;
    let announced = scene
        .announce("01/a b.gif", |file| file.declared_type = Some("image/gif".into()))
        .await;
    let limits = UploadLimits {
        max_size: Some(GIF.len() as u64),
        min_size: 1,
        types: vec!["image/*".into()],
        once: true,
    };
    let upload = scene.upload(&announced, limits).await;
    let answer = scene.put(&upload, GIF).await.is(200);
    assert!(answer.header("etag").is_some());
    assert_eq!(answer.header("cache-control"), Some("private, no-store"));
    let file = scene.file(&announced).await;
    assert_eq!((file.state, file.size), (FileState::Active, GIF.len() as u64));
    assert_eq!(
        (file.sha256, file.width, file.height),
        (Some(sha256(GIF)), Some(10), Some(20))
    );
    assert_eq!(file.sniffed_type.as_deref(), Some("image/gif"));
    assert_eq!(file.labels.owner.as_deref(), Some(ANN));

    let asker = asker(Some(ANN));
    let named = Some("attachment; filename=\"holiday.gif\"".to_owned());
    let ask = scene.ask(&asker, &announced).await;
    let how = Download {
        disposition: named,
        stable: true,
        ..Download::default()
    };
    let link = scene.links.download_url(&ask, how).await.unwrap();
    let answer = scene.get(&link).await.is(200);
    assert_eq!(answer.body, GIF);
    assert_eq!(answer.header("content-type"), Some("image/gif"));
    assert_eq!(
        answer.header("content-disposition"),
        Some("attachment; filename=\"holiday.gif\"")
    );
    assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
    assert!(answer.header("content-security-policy").unwrap().contains("sandbox"));
    let kept = answer
        .header("cache-control")
        .unwrap()
        .strip_prefix("private, max-age=")
        .unwrap();
    let kept: u64 = kept.parse().unwrap();
    assert!((400..=600).contains(&kept), "{kept}");
    let answer = scene.send("HEAD", &link.url, &[], b"").await.is(200);
    assert_eq!(answer.header("content-length"), Some("14"));
    assert_eq!(
        answer.header("content-disposition"),
        Some("attachment; filename=\"holiday.gif\"")
    );
    let answer = scene
        .send("GET", &link.url, &[("range", "bytes=0-2")], b"")
        .await
        .is(206);
    assert_eq!(answer.body, "GIF".as_bytes());
}

#[tokio::test]
async fn a_changed_link_and_one_used_for_something_else_are_refused() {
    let scene = Scene::new().await;
    let file = scene.uploaded("02/a.gif", Visibility::Private).await;
    let other = scene.announce("02/b.gif", |_| {}).await;
    let url = scene.download(Some(ANN), &file).await.url;
    let at = url.find("Security-Token=").unwrap() + 60;
    let mut tampered = url.clone();
    tampered.replace_range(at..=at, if url[at..].starts_with('A') { "B" } else { "A" });
    for (method, url, status, code) in [
        ("GET", tampered, 403, "InvalidAccessKeyId"),
        ("GET", url.replace("/a.gif", "/b.gif"), 403, "SignatureDoesNotMatch"),
        ("PUT", url.clone(), 403, "SignatureDoesNotMatch"),
        ("DELETE", url.clone(), 403, "SignatureDoesNotMatch"),
        (
            "GET",
            url.replace("&X-Amz-Signature", "&response-content-type=text%2Fhtml&X-Amz-Signature"),
            403,
            "SignatureDoesNotMatch",
        ),
    ] {
        scene.send(method, &url, &[], b"").await.fails(status, code);
    }
    let upload = scene.upload(&other, UploadLimits::default()).await;
    for header in [
        ("x-amz-copy-source", "/shop-prod/02/a.gif"),
        ("x-amz-acl", "public-read"),
        ("x-amz-tagging", "a=b"),
        ("x-amz-meta-a", "b"),
    ] {
        let answer = scene
            .send("PUT", &upload.url, &[header], GIF)
            .await
            .fails(403, "AccessDenied");
        assert_eq!(answer.element("HeadersNotSigned").as_deref(), Some(header.0));
    }
    assert_eq!(scene.file(&other).await.state, FileState::Pending);
}

#[tokio::test]
async fn a_link_whose_time_is_over_opens_nothing_and_takes_nothing() {
    let scene = Scene::new().await;
    let file = scene.uploaded("02/a.gif", Visibility::Private).await;
    let waits = scene.announce("02/b.gif", |_| {}).await;
    let asker = asker(Some(ANN));
    let since = async |seconds: i64, file: &Announced| LinkAsk {
        now: OffsetDateTime::now_utc() - Duration::seconds(seconds),
        ..scene.ask(&asker, file).await
    };
    let past = since(601, &file).await;
    let read = scene.links.download_url(&past, Download::default()).await.unwrap();
    let past = since(601, &waits).await;
    let put = scene.links.upload_url(&past, UploadLimits::default()).await.unwrap();
    let part = PartAsk {
        upload: "1",
        number: 1,
        last: 1,
        max_size: None,
    };
    let part = scene.links.part_url(&past, &part).await.unwrap();
    for answer in [
        scene.get(&read).await,
        scene.put(&put, GIF).await,
        scene.put(&part, GIF).await,
    ] {
        let answer = answer.fails(403, "AccessDenied");
        assert_eq!(answer.element("Message").as_deref(), Some("Request has expired"));
    }
    assert_eq!(scene.file(&waits).await.state, FileState::Pending);
    let half = since(300, &waits).await;
    let put = scene.links.upload_url(&half, UploadLimits::default()).await.unwrap();
    scene.put(&put, GIF).await.is(200);
}

#[tokio::test]
async fn bytes_that_are_not_what_they_must_be_are_refused_and_the_file_waits_on() {
    let scene = Scene::new().await;
    let file = scene
        .announce("03/a.gif", |file| file.limits.max_size = Some(100))
        .await;
    let limits = UploadLimits {
        max_size: Some(40),
        min_size: 5,
        types: vec!["image/gif".into(), "image/png".into()],
        once: true,
    };
    let link = scene.upload(&file, limits).await;
    let long = &[b'G'; 41];
    let page = b"<html><script>alert(1)</script>";
    for (kind, body, code) in [
        ("image/gif", &long[..], "EntityTooLarge"),
        ("image/gif", b"GIF8", "EntityTooSmall"),
        ("image/gif", page, "InvalidRequest"),
        ("image/gif; a=b", page, "InvalidRequest"),
        ("image/jpeg", GIF, "InvalidRequest"),
        ("text/html", page, "InvalidRequest"),
        ("image/png", GIF, "InvalidRequest"),
        ("application/octet-stream", page, "InvalidRequest"),
    ] {
        let answer = scene.send("PUT", &link.url, &[("content-type", kind)], body).await;
        answer.fails(400, code);
        assert_eq!(scene.file(&file).await.state, FileState::Pending, "{kind}");
    }
    // One that does not say how long it is.
    let pieces = vec![Bytes::from_static(GIF); 100];
    let pieces = pieces
        .into_iter()
        .map(|piece| Ok::<_, std::io::Error>(Frame::data(piece)));
    let endless = StreamBody::new(futures::stream::iter(pieces));
    let chunked = [("transfer-encoding", "chunked"), ("content-type", "image/gif")];
    let answer = scene.deliver("PUT", &link.url, &chunked, endless).await;
    answer.fails(400, "EntityTooLarge");
    assert_eq!(scene.file(&file).await.state, FileState::Pending);
    scene.server.get("/shop-prod/03/a.gif").send().await.is(404);

    // Browsers send no type where they know none.
    scene.send("PUT", &link.url, &[], GIF).await.is(200);
    assert_eq!(scene.file(&file).await.state, FileState::Active);
}

#[tokio::test]
async fn a_link_to_upload_takes_bytes_once() {
    let scene = Scene::new().await;
    let file = scene.announce("04/a.gif", |_| {}).await;
    let link = scene.upload(&file, UploadLimits::default()).await;
    scene.put(&link, GIF).await.is(200);
    scene.put(&link, b"others").await.fails(412, "PreconditionFailed");
    let answer = scene.get(&scene.download(Some(ANN), &file).await).await.is(200);
    assert_eq!(answer.body, GIF);

    let raced = scene.announce("04/b.gif", |_| {}).await;
    let link = scene.upload(&raced, UploadLimits::default()).await;
    let (one, other) = tokio::join!(scene.put(&link, GIF), scene.put(&link, GIF));
    let mut answers = [one.status, other.status];
    answers.sort_unstable();
    assert!(answers == [200, 409] || answers == [200, 412], "{answers:?}");

    let asker = asker(Some(ANN));
    let again = scene
        .links
        .upload_url(&scene.ask(&asker, &file).await, UploadLimits::default())
        .await
        .unwrap();
    scene.put(&again, b"newer bytes").await.is(200);
    scene.put(&again, b"newest bytes").await.is(200);
    let answer = scene.get(&scene.download(Some(ANN), &file).await).await.is(200);
    assert_eq!(answer.body, "newest bytes".as_bytes());
}

#[tokio::test]
async fn revoking_takes_every_link_of_a_file_and_of_a_key_at_once() {
    let scene = Scene::new().await;
    let file = scene.uploaded("05/a.gif", Visibility::Public).await;
    let waiting = scene.announce("05/b.gif", |_| {}).await;
    let (own, guest) = (
        scene.download(Some(ANN), &file).await,
        scene.download(None, &file).await,
    );
    let upload = scene.upload(&waiting, UploadLimits::default()).await;
    scene.get(&own).await.is(200);
    scene.get(&guest).await.is(200);
    for id in [file.id, waiting.id] {
        let revoke = |file: &mut File| file.epoch += 1;
        scene.store.change_file(&app(), id, None, revoke).await.unwrap();
    }
    scene.get(&own).await.fails(403, "AccessDenied");
    scene.get(&guest).await.fails(403, "AccessDenied");
    scene.put(&upload, GIF).await.fails(403, "AccessDenied");
    let fresh = scene.download(Some(ANN), &file).await;
    scene.get(&fresh).await.is(200);
    scene.key.0.store(true, Ordering::Relaxed);
    scene.get(&fresh).await.fails(403, "InvalidAccessKeyId");
}

#[tokio::test]
async fn what_is_revoked_or_taken_away_while_its_bytes_come_gets_none_of_them() {
    let scene = Scene::new().await;
    for (key, trash) in [("10/a.gif", false), ("10/b.gif", true)] {
        let file = scene.announce(key, |_| {}).await;
        let asker = asker(Some(ANN));
        let again = scene.ask(&asker, &file).await;
        let link = scene.links.upload_url(&again, UploadLimits::default()).await.unwrap();
        // The request is judged before its bytes are waited for.
        let (judged, changed) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (tell, wait) = (Arc::clone(&judged), Arc::clone(&changed));
        let body = futures::stream::once(async move {
            tell.notify_one();
            wait.notified().await;
            Ok::<_, std::io::Error>(Frame::data(Bytes::from_static(GIF)))
        });
        let headers = [("transfer-encoding", "chunked"), ("content-type", "image/gif")];
        let coming = scene.deliver("PUT", &link.url, &headers, StreamBody::new(Box::pin(body)));
        let changing = async {
            let patience = std::time::Duration::from_secs(60);
            tokio::time::timeout(patience, judged.notified())
                .await
                .expect("a request that waits for its bytes");
            match trash {
                true => drop(scene.store.trash_file(&app(), file.id, None).await.unwrap()),
                false => {
                    let revoke = |file: &mut File| file.epoch += 1;
                    scene.store.change_file(&app(), file.id, None, revoke).await.unwrap();
                }
            }
            changed.notify_one();
        };
        let (answer, ()) = tokio::join!(coming, changing);
        answer.fails(409, "ConditionalRequestConflict");
        assert!(
            scene
                .store
                .file_of_key(&app(), key)
                .await
                .unwrap()
                .is_none_or(|(_, file, _)| file.state == FileState::Pending)
        );
        scene.server.get(&format!("/shop-prod/{key}")).send().await.is(404);
    }
}

#[tokio::test]
async fn a_link_lets_no_more_than_its_asker_may_when_it_is_used() {
    let scene = Scene::new().await;
    let file = scene.uploaded("06/a.gif", Visibility::Protected).await;
    let askers = [Some(ANN), Some(BOB), None];
    let mut links = Vec::new();
    for owner in askers {
        links.push(scene.download(owner, &file).await);
    }
    for (visibility, expected) in [
        (Visibility::Protected, [200, 200, 403]),
        (Visibility::Public, [200, 200, 200]),
        (Visibility::Private, [200, 403, 403]),
        (Visibility::Shared, [200, 403, 403]),
    ] {
        let change = |file: &mut File| file.labels.visibility = Some(visibility);
        scene.store.change_file(&app(), file.id, None, change).await.unwrap();
        for (link, expected) in links.iter().zip(expected) {
            scene.get(link).await.is(expected);
        }
    }
    // Nobody writes over what is somebody else's.
    let bob = asker(Some(BOB));
    let over = scene
        .links
        .upload_url(&scene.ask(&bob, &file).await, UploadLimits::default())
        .await
        .unwrap();
    scene.put(&over, b"others").await.fails(403, "AccessDenied");
    scene.store.trash_file(&app(), file.id, None).await.unwrap();
    scene.get(&links[0]).await.fails(403, "AccessDenied");
}

#[tokio::test]
async fn parts_by_link_are_held_to_their_numbers_and_to_what_all_may_have() {
    let scene = Scene::new().await;
    let file = scene.announce("07/a.bin", |file| file.limits.max_size = Some(12)).await;
    let begun = scene.server.post("/shop-prod/07/a.bin?uploads").send().await.is(200);
    let upload = begun.element("UploadId").unwrap();
    let asker = asker(Some(ANN));
    let ask = scene.ask(&asker, &file).await;
    let part = async |number| {
        let part = PartAsk {
            upload: &upload,
            number,
            last: 3,
            max_size: Some(10),
        };
        scene.links.part_url(&ask, &part).await
    };
    assert!(part(4).await.is_err());
    let (first, second) = (part(1).await.unwrap(), part(2).await.unwrap());
    scene.send("PUT", &first.url, &[], b"123456").await.is(200);
    // Sent anew it takes the place of the one before.
    let etag = scene.send("PUT", &first.url, &[], b"abcdef").await.is(200);
    scene
        .send("PUT", &second.url, &[], b"12345")
        .await
        .fails(400, "EntityTooLarge");
    let pieces = [Bytes::from_static(b"123"), Bytes::from_static(b"45")];
    let pieces = pieces.map(|piece| Ok::<_, std::io::Error>(Frame::data(piece)));
    let chunked = StreamBody::new(futures::stream::iter(pieces));
    let answer = scene
        .deliver("PUT", &second.url, &[("transfer-encoding", "chunked")], chunked)
        .await;
    answer.fails(400, "EntityTooLarge");
    for changed in [
        first.url.replace("partNumber=1", "partNumber=3"),
        first.url.replace("partNumber=1", "partNumber=9999"),
    ] {
        scene
            .send("PUT", &changed, &[], b"1")
            .await
            .fails(403, "SignatureDoesNotMatch");
    }
    let etag = etag.header("etag").unwrap();
    let document = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part></CompleteMultipartUpload>"
    );
    let complete = format!("/shop-prod/07/a.bin?uploadId={upload}");
    scene.server.post(&complete).body(document).send().await.is(200);
    let stored = scene.file(&file).await;
    assert_eq!((stored.state, stored.size), (FileState::Active, 6));
    assert_eq!(stored.sha256, Some(sha256(b"abcdef")));
    scene
        .send("PUT", &second.url, &[], b"1")
        .await
        .fails(412, "PreconditionFailed");
}

#[tokio::test]
async fn what_other_writes_store_is_looked_at_and_held_to_what_was_announced() {
    let scene = Scene::new().await;
    let images = |file: &mut File| {
        file.limits.types = vec!["image/*".into()];
        file.limits.max_size = Some(20);
    };
    let file = scene.announce("08/a.gif", images).await;
    let put = |body: &'static [u8]| scene.server.put("/shop-prod/08/a.gif").body(body).send();
    put(b"<html>").await.fails(400, "InvalidRequest");
    put(&[b'x'; 21]).await.fails(400, "EntityTooLarge");
    put(GIF).await.is(200);
    let stored = scene.file(&file).await;
    assert_eq!((stored.state, stored.sha256), (FileState::Active, Some(sha256(GIF))));

    // A copy and a joined upload are looked at once they stand.
    let copied = scene
        .server
        .put("/shop-prod/08/copy")
        .header("x-amz-copy-source", "/shop-prod/08/a.gif");
    copied.send().await.is(200);
    let (_, copy, _) = scene.store.file_of_key(&app(), "08/copy").await.unwrap().unwrap();
    assert_eq!((copy.state, copy.width), (FileState::Active, Some(10)));
    for (key, body, status, state) in [
        ("08/c.gif", GIF, 200, FileState::Active),
        ("08/d.gif", b"<html>", 400, FileState::Rejected),
    ] {
        let announced = scene.announce(key, images).await;
        let begun = scene
            .server
            .post(&format!("/shop-prod/{key}?uploads"))
            .send()
            .await
            .is(200);
        let upload = begun.element("UploadId").unwrap();
        let part = format!("/shop-prod/{key}?partNumber=1&uploadId={upload}");
        let etag = scene.server.put(&part).body(body).send().await.is(200);
        let document = format!(
            "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{}</ETag></Part></CompleteMultipartUpload>",
            etag.header("etag").unwrap()
        );
        let complete = format!("/shop-prod/{key}?uploadId={upload}");
        scene.server.post(&complete).body(document).send().await.is(status);
        assert_eq!(scene.file(&announced).await.state, state, "{key}");
        let expected = if status == 200 { 200 } else { 404 };
        scene.server.get(&format!("/shop-prod/{key}")).send().await.is(expected);
    }
}
