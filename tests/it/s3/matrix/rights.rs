//! Rights are used on the very thing they were judged on: what changes in between, and what is written, is judged too.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use drystone::auth::Identity;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use storage_engine::backend::{
    Backend, Batch, Blob, BlobClass, BodyRef, BodySource, BodyStream, CommitError, Entry, GroupedScan, Health, Key,
    Page, PutBlobError, ReadError, Rev, Row,
};
use storage_engine::memory::MemoryBackend;
use storage_engine::store::bucket::NewBucket;
use storage_engine::store::clock::SystemClock;
use storage_engine::store::name::BucketName;
use storage_engine::store::record::settings::{BucketAcl, BucketSettings, ObjectOwnership, PublicAccessBlock};
use storage_engine::store::{Epoch, Store};

use super::super::Server;
use super::{Scene, canned_policy, document, policy, statement, user};

/// What somebody else does just before the next commit.
type Act = BoxFuture<'static, ()>;

struct Racing {
    memory: Arc<MemoryBackend>,
    act: Mutex<Option<Act>>,
}

#[async_trait]
impl Backend for Racing {
    async fn get(&self, key: &Key) -> Result<Option<Row>, ReadError> {
        self.memory.get(key).await
    }
    async fn scan(&self, range: Range<Key>, limit: usize) -> Result<Page<(Key, Row)>, ReadError> {
        self.memory.scan(range, limit).await
    }
    async fn scan_back(&self, range: Range<Key>, limit: usize) -> Result<Page<(Key, Row)>, ReadError> {
        self.memory.scan_back(range, limit).await
    }
    async fn scan_grouped(&self, scan: GroupedScan) -> Result<Page<Entry>, ReadError> {
        self.memory.scan_grouped(scan).await
    }
    async fn commit(&self, batch: Batch) -> Result<Rev, CommitError> {
        let act = self.act.lock().take();
        if let Some(act) = act {
            act.await;
        }
        self.memory.commit(batch).await
    }
    async fn put_blob(
        &self,
        class: BlobClass,
        source: BodySource<'_>,
        size_hint: Option<u64>,
    ) -> Result<Blob, PutBlobError> {
        self.memory.put_blob(class, source, size_hint).await
    }
    async fn join_blobs(&self, parts: &[BodyRef]) -> Result<Blob, PutBlobError> {
        self.memory.join_blobs(parts).await
    }
    async fn get_blob(&self, body: &BodyRef, range: Range<u64>) -> Result<BodyStream, ReadError> {
        self.memory.get_blob(body, range).await
    }
    async fn delete_blob(&self, blob: Blob) {
        self.memory.delete_blob(blob).await;
    }
    fn health(&self) -> Health {
        self.memory.health()
    }
}

/// A server, and the same store past it.
struct Race {
    server: Arc<Server>,
    racing: Arc<Racing>,
    store: Store,
}

impl Race {
    fn new() -> Self {
        let memory = Arc::new(MemoryBackend::new());
        let racing = Arc::new(Racing {
            memory: Arc::clone(&memory),
            act: Mutex::new(None),
        });
        Self {
            server: Arc::new(Server::over(Arc::clone(&racing) as Arc<dyn Backend>)),
            store: Store::new(memory, Arc::new(SystemClock), Epoch([8; 16])),
            racing,
        }
    }

    fn before_next_commit(&self, act: impl Future<Output = ()> + Send + 'static) {
        *self.racing.act.lock() = Some(Box::pin(act));
    }
}

fn bucket() -> BucketName {
    BucketName::parse("acme").unwrap()
}

async fn make(store: &Store, owner: &str) {
    let new = NewBucket {
        name: bucket(),
        region: String::new(),
        owner: Some(format!("id-of-{owner}")),
        settings: BucketSettings::default(),
    };
    store.make_bucket(new).await.unwrap();
}

const OPEN: &str = r#"{"Statement":{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":["arn:aws:s3:::acme/*","arn:aws:s3:::acme"]}}"#;

fn mallory() -> Identity {
    user("mallory", vec![canned_policy("owner")], None)
}

#[tokio::test]
async fn rights_on_a_bucket_that_is_not_there_are_none_on_the_one_somebody_makes() {
    let race = Race::new();
    let store = race.store.clone();
    race.before_next_commit(async move { make(&store, "bob").await });
    for ask in [
        race.server.put("/acme?policy").body(OPEN),
        race.server.put("/acme/a").body("x"),
        race.server.post("/acme/a?uploads"),
        race.server.delete("/acme"),
    ] {
        ask.by(mallory()).send().await.fails(404, "NoSuchBucket");
    }
    assert!(race.racing.act.lock().is_some(), "nothing was committed");
    race.server
        .put("/acme")
        .by(mallory())
        .send()
        .await
        .fails(409, "BucketAlreadyExists");
    let policy = race.server.put("/acme?policy").body(OPEN);
    policy.by(mallory()).send().await.fails(403, "AccessDenied");
}

#[tokio::test]
async fn rights_on_ones_own_bucket_are_none_on_the_one_made_in_its_place() {
    for (method, path) in [
        ("PUT", "/acme?policy"),
        ("PUT", "/acme/a"),
        ("POST", "/acme/a?uploads"),
        ("DELETE", "/acme"),
    ] {
        let race = Race::new();
        make(&race.store, "mallory").await;
        let store = race.store.clone();
        race.before_next_commit(async move {
            store.delete_bucket(&bucket()).await.unwrap();
            make(&store, "bob").await;
        });
        let ask = race
            .server
            .ask(method, path)
            .body(if method == "PUT" { OPEN } else { "" });
        ask.by(mallory()).send().await.fails(409, "OperationAborted");
        assert!(race.store.bucket_settings(&bucket()).await.unwrap().is_none());
        assert_eq!(
            race.store.head_bucket(&bucket()).await.unwrap().owner.as_deref(),
            Some("id-of-bob")
        );
        let listed = race.server.get("/acme").send().await.is(200);
        assert_eq!(listed.elements("Key"), [""; 0]);
    }
}

/// What everybody might write to by its ACL was deleted, and somebody else's private bucket took the write.
#[tokio::test]
async fn who_may_write_by_the_acl_of_a_bucket_writes_to_no_other_of_its_name() {
    let race = Race::new();
    make(&race.store, "ann").await;
    let open = race.server.put("/acme?acl").header("x-amz-acl", "public-read-write");
    open.send().await.is(200);
    let store = race.store.clone();
    race.before_next_commit(async move {
        store.delete_bucket(&bucket()).await.unwrap();
        make(&store, "bob").await;
    });
    let put = race.server.put("/acme/x").anonymous().body("x");
    put.send().await.fails(409, "OperationAborted");
    let listed = race.server.get("/acme").send().await.is(200);
    assert_eq!(listed.elements("Key"), [""; 0]);
}

#[tokio::test]
async fn labels_are_changed_on_the_object_that_was_judged() {
    let race = Race::new();
    make(&race.store, "bob").await;
    let tagged = |class: &str| {
        let put = race.server.put("/acme/a").body("x");
        put.header("x-amz-tagging", &format!("class={class}"))
    };
    tagged("open").send().await.is(200);
    let only_open = policy(
        r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*Object*","Resource":"*","Condition":{"StringEquals":{"s3:ExistingObjectTag/class":"open"}}}}"#,
    );
    let ann = user("ann", vec![only_open], None);
    let tags = "<Tagging><TagSet><Tag><Key>class</Key><Value>open</Value></Tag></TagSet></Tagging>";
    let again = |race: &Race| {
        let server = Arc::clone(&race.server);
        race.before_next_commit(async move {
            let put = server.put("/acme/a").body("x").header("x-amz-tagging", "class=secret");
            put.send().await.is(200);
        });
    };
    for ask in [
        race.server.put("/acme/a?tagging").body(tags.replace("open", "else")),
        race.server.delete("/acme/a?tagging"),
        race.server.put("/acme/a?acl").header("x-amz-acl", "public-read"),
    ] {
        tagged("open").send().await.is(200);
        again(&race);
        ask.by(ann.clone()).send().await.fails(403, "AccessDenied");
        let kept = race.server.get("/acme/a?tagging").send().await.is(200);
        assert_eq!(kept.elements("Value"), ["secret"]);
    }
}

/// Rights on what stood there when they were looked at are none on what somebody else put there before the commit.
#[tokio::test]
async fn an_object_is_written_and_removed_only_as_it_was_judged() {
    let race = Race::new();
    make(&race.store, "bob").await;
    let tagged = |key: &str, class: &str| {
        let put = race.server.put(&format!("/acme/{key}")).body("x");
        put.header("x-amz-tagging", &format!("class={class}"))
    };
    let only_open = policy(
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*Object*","Resource":"*"},{"Effect":"Deny","Action":["s3:PutObject","s3:DeleteObject"],"Resource":"*","Condition":{"StringEquals":{"s3:ExistingObjectTag/class":"locked"}}}]}"#,
    );
    let ann = user("ann", vec![only_open], None);
    tagged("source", "open").send().await.is(200);
    let begun = race.server.post("/acme/a?uploads").by(ann.clone()).send().await.is(200);
    let upload = begun.element("UploadId").unwrap();
    let part = race.server.put(&format!("/acme/a?partNumber=1&uploadId={upload}"));
    let part = part.by(ann.clone()).body("y").send().await.is(200);
    let etag = part.header("etag").unwrap().to_owned();
    let parts = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part></CompleteMultipartUpload>"
    );
    let copy = race.server.put("/acme/a").header("x-amz-copy-source", "/acme/source");
    let onto_itself = race.server.put("/acme/a").header("x-amz-copy-source", "/acme/a");
    let many = "<Delete><Object><Key>a</Key></Object></Delete>";
    for (ask, status) in [
        (race.server.put("/acme/a").body("y"), 409),
        (race.server.delete("/acme/a"), 409),
        (race.server.post("/acme?delete").body(many), 200),
        (copy, 409),
        (onto_itself.header("x-amz-metadata-directive", "REPLACE"), 409),
        (race.server.post(&format!("/acme/a?uploadId={upload}")).body(parts), 409),
    ] {
        tagged("a", "open").send().await.is(200);
        let server = Arc::clone(&race.server);
        race.before_next_commit(async move {
            let put = server
                .put("/acme/a")
                .body("kept")
                .header("x-amz-tagging", "class=locked");
            put.send().await.is(200);
        });
        let answer = ask.by(ann.clone()).send().await;
        assert_eq!(answer.status, status, "{}", answer.text());
        assert!(race.racing.act.lock().is_none(), "nothing was raced");
        assert_eq!(race.server.get("/acme/a").send().await.is(200).text(), "kept");
    }
}

#[tokio::test]
async fn the_tags_of_a_copy_are_judged_as_they_are_written() {
    let scene = Scene::new().await;
    let only_public = policy(
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject*","Resource":"*"},{"Effect":"Allow","Action":"s3:PutObject*","Resource":"*","Condition":{"StringEquals":{"s3:RequestObjectTag/class":"public"}}}]}"#,
    );
    let ann = user("ann", vec![only_public], None);
    let source = |class: &str| {
        let put = scene.server.put("/source/s").body("x");
        put.header("x-amz-tagging", &format!("class={class}"))
    };
    let copy = || {
        scene
            .server
            .put("/bucket/copy")
            .header("x-amz-copy-source", "source/s")
            .by(ann.clone())
    };
    source("secret").send().await.is(200);
    copy().send().await.fails(403, "AccessDenied");
    // What the header says is not what would be written.
    let said = copy().header("x-amz-tagging", "class=public");
    said.send().await.fails(400, "InvalidRequest");
    let said = copy().header("x-amz-tagging", "class=public");
    said.header("x-amz-tagging-directive", "COPY")
        .send()
        .await
        .fails(400, "InvalidRequest");
    scene.server.head("/bucket/copy").send().await.is(404);
    source("public").send().await.is(200);
    copy().send().await.is(200);
    let kept = scene.server.get("/bucket/copy?tagging").send().await.is(200);
    assert_eq!(kept.elements("Value"), ["public"]);
    let replaced = copy().header("x-amz-tagging", "class=public");
    replaced
        .header("x-amz-tagging-directive", "REPLACE")
        .send()
        .await
        .is(200);
    // Onto itself nothing changes by itself.
    let itself = scene.server.put("/source/s").header("x-amz-copy-source", "source/s");
    itself.send().await.fails(400, "InvalidRequest");
}

#[tokio::test]
async fn nobody_without_an_account_lists_buckets_however_open_they_are() {
    let scene = Scene::new().await;
    let open = OPEN.replace("acme", "bucket");
    scene
        .set("bucket", |settings| settings.policy = Some(open.clone()))
        .await;
    scene.server.get("/bucket").anonymous().send().await.is(200);
    scene
        .server
        .get("/")
        .anonymous()
        .send()
        .await
        .fails(403, "AccessDenied");
}

#[tokio::test]
async fn what_keeps_acls_closed_closes_to_all_who_are_signed_in_too() {
    let scene = Scene::new().await;
    for acl in ["public-read", "authenticated-read"] {
        let put = scene.server.put("/bucket/v").header("x-amz-acl", acl).body("x");
        put.send().await.is(200);
        let read = || scene.server.get("/bucket/v").by(user("ann", Vec::new(), None)).send();
        read().await.is(200);
        let block = PublicAccessBlock {
            ignore_public_acls: true,
            ..PublicAccessBlock::default()
        };
        scene
            .set("bucket", |settings| settings.public_access_block = Some(block))
            .await;
        read().await.fails(403, "AccessDenied");
        scene
            .set("bucket", |settings| settings.public_access_block = None)
            .await;
        read().await.is(200);
        let enforced = ObjectOwnership::BucketOwnerEnforced;
        scene
            .set("bucket", |settings| settings.ownership = Some(enforced))
            .await;
        read().await.fails(403, "AccessDenied");
        scene.set("bucket", |settings| settings.ownership = None).await;
    }
}

#[tokio::test]
async fn an_upload_does_not_open_what_was_closed_after_it_was_begun() {
    let scene = Scene::new().await;
    let begun = scene
        .server
        .post("/bucket/o?uploads")
        .header("x-amz-acl", "public-read");
    let upload = begun.send().await.is(200).element("UploadId").unwrap();
    let at = format!("/bucket/o?uploadId={upload}");
    let part = scene
        .server
        .put(&format!("{at}&partNumber=1"))
        .body("p")
        .send()
        .await
        .is(200);
    let etag = part.header("etag").unwrap();
    let parts = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part></CompleteMultipartUpload>"
    );
    let block = PublicAccessBlock {
        block_public_acls: true,
        ..PublicAccessBlock::default()
    };
    scene
        .set("bucket", |settings| settings.public_access_block = Some(block))
        .await;
    let complete = || scene.server.post(&at).body(parts.clone()).send();
    complete().await.fails(403, "AccessDenied");
    scene.server.head("/bucket/o").send().await.is(404);
    scene
        .set("bucket", |settings| settings.public_access_block = None)
        .await;
    complete().await.is(200);
    // Sent again it is answered again.
    complete().await.is(200);
}

#[tokio::test]
async fn no_way_to_ask_tells_what_is_not_there_to_those_who_may_not_list() {
    let scene = Scene::new().await;
    let (gets, puts) = (
        statement("Allow", "s3:GetObject*", "*"),
        statement("Allow", "s3:PutObject*", "*"),
    );
    let lists = statement("Allow", "s3:ListBucket", "bucket");
    let reader = user("ann", vec![document(&[gets.clone(), puts.clone()])], None);
    let lister = user("ann", vec![document(&[gets, puts, lists])], None);
    let server = &scene.server;
    let asks = || {
        [
            server.get("/bucket/absent?tagging"),
            server.get("/bucket/absent?acl"),
            server.get("/bucket/absent?retention"),
            server.get("/bucket/absent?legal-hold"),
            server
                .get("/bucket/absent?attributes")
                .header("x-amz-object-attributes", "ETag"),
            server
                .get("/bucket/absent")
                .header("range", "bytes=0-1")
                .header("if-range", "\"x\""),
            server.put("/bucket/absent?acl").header("x-amz-acl", "private"),
            server.put("/bucket/copy").header("x-amz-copy-source", "bucket/absent"),
            server
                .put(&format!("/bucket/m?partNumber=2&uploadId={}", scene.upload))
                .header("x-amz-copy-source", "bucket/absent"),
            server
                .put(&format!("/bucket/m?partNumber=2&uploadId={}", scene.upload))
                .header("x-amz-copy-source", "bucket/absent")
                .header("x-amz-copy-source-range", "bytes=0-1"),
        ]
    };
    for ask in asks() {
        ask.by(reader.clone()).send().await.fails(403, "AccessDenied");
    }
    for ask in asks() {
        ask.by(lister.clone()).send().await.fails(404, "NoSuchKey");
    }
}

#[tokio::test]
async fn who_makes_a_bucket_needs_a_right_for_what_is_set_on_it() {
    let scene = Scene::new().await;
    let makes = statement("Allow", "s3:CreateBucket", "*");
    let owns = statement("Allow", "s3:PutBucketOwnershipControls", "*");
    let only = user("ann", vec![document(std::slice::from_ref(&makes))], None);
    let both = user("ann", vec![document(&[makes, owns])], None);
    let ask = |identity: &Identity| {
        let put = scene
            .server
            .put("/fresh")
            .header("x-amz-object-ownership", "ObjectWriter");
        put.by(identity.clone()).send()
    };
    ask(&only).await.fails(403, "AccessDenied");
    scene.server.head("/fresh").send().await.is(404);
    ask(&both).await.is(200);
}

#[tokio::test]
async fn a_header_with_too_many_tags_is_refused_before_anything_is_judged() {
    let scene = Scene::new().await;
    let tags = |count: usize| (0..count).map(|n| format!("k{n}=v")).collect::<Vec<_>>().join("&");
    let put = |count: usize| {
        scene
            .server
            .put("/bucket/t")
            .header("x-amz-tagging", &tags(count))
            .anonymous()
    };
    put(11).send().await.fails(400, "InvalidTag");
    put(10).send().await.fails(403, "AccessDenied");
}

/// AWS lets whoever began an upload list its parts and give it up; what was begun by the bucket's ACL could only be ended.
#[tokio::test]
async fn an_upload_is_its_initiators_to_list_and_to_give_up() {
    let puts = || statement("Allow", "s3:PutObject", "bucket/*");
    let deny = |action: &str| statement("Deny", action, "*");
    let may = |name: &str, statements: &[String]| user(name, vec![document(statements)], None);
    let only = |action: &str| {
        let session = document(&[statement("Allow", action, "*")]);
        user("ann", vec![document(&[puts()])], Some(session))
    };
    for enforced in [false, true] {
        for (who, identity, [lists, gives_up]) in [
            ("who began it", may("ann", &[puts()]), [200, 204]),
            (
                "the same with no rights any more",
                user("ann", Vec::new(), None),
                [200, 204],
            ),
            ("anonymous", Identity::Anonymous, [403, 403]),
            ("another who may write", may("bob", &[puts()]), [403, 403]),
            (
                "the owner of the bucket",
                user("olga", vec![canned_policy("owner")], None),
                [200, 204],
            ),
            ("root", Identity::Root, [200, 204]),
            (
                "who may not list",
                may("ann", &[puts(), deny("s3:ListMultipartUploadParts")]),
                [403, 204],
            ),
            (
                "who may not give up",
                may("ann", &[puts(), deny("s3:AbortMultipartUpload")]),
                [200, 403],
            ),
            ("a session that writes", only("s3:PutObject"), [403, 403]),
            ("a session that gives up", only("s3:AbortMultipartUpload"), [403, 204]),
        ] {
            let scene = Scene::new().await;
            let ownership = enforced.then_some(ObjectOwnership::BucketOwnerEnforced);
            scene.set("bucket", |settings| settings.ownership = ownership).await;
            let begun = scene.server.post("/bucket/mine?uploads").by(may("ann", &[puts()]));
            let upload = begun.send().await.is(200).element("UploadId").unwrap();
            let path = format!("/bucket/mine?uploadId={upload}");
            let listed = scene.server.get(&path).by(identity.clone()).send().await;
            assert_eq!(listed.status, lists, "{who}");
            if lists == 200 {
                let owner = if enforced { "id-of-olga" } else { "id-of-ann" };
                assert_eq!(listed.elements("ID"), ["id-of-ann", owner], "{who}");
            }
            let given_up = scene.server.delete(&path).by(identity).send().await;
            assert_eq!(given_up.status, gives_up, "{who}");
            // And no other upload.
            let other = format!("/bucket/m?uploadId={}", scene.upload);
            let bob = scene.server.delete(&other).by(may("bob", &[puts()]));
            bob.send().await.fails(403, "AccessDenied");
        }
    }
}

/// Whoever gave an upload up and lost the answer was told, when asking again, that it was not theirs to give up.
#[tokio::test]
async fn who_could_have_begun_an_upload_is_told_that_there_is_none() {
    let puts = || statement("Allow", "s3:PutObject", "bucket/*");
    let may = |name: &str, statements: &[String]| user(name, vec![document(statements)], None);
    let scene = Scene::new().await;
    let begun = scene.server.post("/bucket/mine?uploads").by(may("ann", &[puts()]));
    let upload = begun.send().await.is(200).element("UploadId").unwrap();
    let path = format!("/bucket/mine?uploadId={upload}");
    let ann = scene.server.delete(&path).by(may("ann", &[puts()]));
    ann.send().await.is(204);
    let deny = |action: &str| statement("Deny", action, "*");
    let told = (404, "NoSuchUpload");
    let refused = (403, "AccessDenied");
    for (identity, [listing, giving_up]) in [
        (may("ann", &[puts()]), [told, told]),
        (may("bob", &[puts()]), [told, told]),
        (may("ann", &[puts(), deny("s3:AbortMultipartUpload")]), [told, refused]),
        (may("ann", &[puts(), deny("s3:PutObject")]), [refused, refused]),
        (user("ann", Vec::new(), None), [refused, refused]),
        (Identity::Anonymous, [refused, refused]),
    ] {
        for path in [path.as_str(), "/bucket/mine?uploadId=bm8tc3VjaA"] {
            for (method, (status, code)) in [("GET", listing), ("DELETE", giving_up)] {
                let ask = scene.server.ask(method, path).by(identity.clone());
                ask.send().await.fails(status, code);
            }
        }
    }
}

#[tokio::test]
async fn an_upload_that_nobody_known_began_is_no_strangers() {
    let scene = Scene::new().await;
    let everybody = Some(BucketAcl::PublicReadWrite);
    scene.set("bucket", |settings| settings.acl = everybody).await;
    let begun = scene.server.post("/bucket/x?uploads").anonymous().send().await.is(200);
    let path = format!("/bucket/x?uploadId={}", begun.element("UploadId").unwrap());
    for who in [Identity::Anonymous, user("ann", Vec::new(), None)] {
        for method in ["GET", "DELETE"] {
            let ask = scene.server.ask(method, &path).by(who.clone());
            ask.send().await.fails(403, "AccessDenied");
        }
    }
    scene.server.delete(&path).send().await.is(204);
}
