//! Every operation of the S3 front for every kind of caller: exactly the actions it needs open it, nothing less does.

mod rights;
mod rows;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use drystone::auth::{Account, Caller, Identity, Kind};
use drystone::policy::{self, Policy, canned};
use rows::{ROWS, Row};
use storage_engine::memory::MemoryBackend;
use storage_engine::store::bucket::NewBucket;
use storage_engine::store::clock::SystemClock;
use storage_engine::store::name::BucketName;
use storage_engine::store::record::settings::{BucketSettings, PublicAccessBlock};
use storage_engine::store::{Epoch, Store};

use super::{Answer, Server};

/// Every operation there is, by its name in the front's own table.
fn operations() -> BTreeSet<&'static str> {
    let table = include_str!("../../../../src/s3/front/operations.rs");
    let (_, table) = table.rsplit_once("operations! {").unwrap();
    let lines = table.lines().filter(|line| line.contains("Input -> "));
    lines.map(|line| line.trim().split(':').next().unwrap()).collect()
}

/// `bucket` with `a` and an upload of `m`, `source` with `s`, and `empty`, all of them olga's.
struct Scene {
    server: Server,
    store: Store,
    upload: String,
    etag: String,
}

impl Scene {
    async fn new() -> Self {
        let backend = Arc::new(MemoryBackend::new());
        let store = Store::new(backend.clone(), Arc::new(SystemClock), Epoch([7; 16]));
        for name in ["bucket", "source", "empty"] {
            let new = NewBucket {
                name: BucketName::parse(name).unwrap(),
                region: String::new(),
                owner: Some("id-of-olga".to_owned()),
                settings: BucketSettings::default(),
            };
            store.make_bucket(new).await.unwrap();
        }
        let server = Server::over(backend);
        server.store("/bucket/a", "x").await;
        server.store("/source/s", "x").await;
        let begun = server.post("/bucket/m?uploads").send().await.is(200);
        let upload = begun.element("UploadId").unwrap();
        let part = server.put(&format!("/bucket/m?partNumber=1&uploadId={upload}"));
        let part = part.body("x").send().await.is(200);
        let etag = part.header("etag").unwrap().trim_matches('"').to_owned();
        Self {
            server,
            store,
            upload,
            etag,
        }
    }

    async fn set(&self, bucket: &str, change: impl Fn(&mut BucketSettings) + Send + Sync) {
        let bucket = BucketName::parse(bucket).unwrap();
        self.store.change_settings(&bucket, change).await.unwrap();
    }

    async fn ask(&self, row: &Row, identity: &Identity) -> Answer {
        let mut ask = self.server.ask(row.method, &row.path.replace("{upload}", &self.upload));
        for (name, value) in row.headers {
            ask = ask.header(name, value);
        }
        ask.body(row.body.replace("{etag}", &self.etag))
            .by(identity.clone())
            .send()
            .await
    }
}

/// Whether the caller was let in. One that is let in may still learn that something is not there or not built.
fn let_in(answer: &Answer) -> bool {
    let refused = answer.status == 403 || answer.text().contains("<Code>AccessDenied</Code>");
    assert!(refused || answer.status < 500, "{answer:?}");
    !refused
}

pub(super) fn policy(text: &str) -> Arc<Policy> {
    Arc::new(Policy::parse(text.as_bytes(), policy::Kind::Identity).unwrap())
}

pub(super) fn statement(effect: &str, action: &str, on: &str) -> String {
    let resource = if on == "*" {
        "*".to_owned()
    } else {
        format!("arn:aws:s3:::{on}")
    };
    format!(r#"{{"Effect":"{effect}","Action":"{action}","Resource":"{resource}"}}"#)
}

pub(super) fn document(statements: &[String]) -> Arc<Policy> {
    policy(&format!(
        r#"{{"Version":"2012-10-17","Statement":[{}]}}"#,
        statements.join(",")
    ))
}

pub(super) fn user(name: &str, policies: Vec<Arc<Policy>>, session: Option<Arc<Policy>>) -> Identity {
    Identity::Caller(Arc::new(Caller {
        access_key: format!("{name}-key"),
        kind: Kind::User,
        account: Account::User(name.to_owned()),
        canonical_id: format!("id-of-{name}"),
        groups: Vec::new(),
        claims: BTreeMap::new(),
        policies,
        session,
    }))
}

pub(super) fn canned_policy(name: &str) -> Arc<Policy> {
    policy(canned::find(name).unwrap().document)
}

/// Every kind of caller with what it must be answered: whether the row lets it in.
fn callers(row: &Row) -> Vec<(String, Identity, bool)> {
    let everything = || document(&[statement("Allow", "s3:*", "*")]);
    let exact: Vec<_> = row
        .needs
        .iter()
        .map(|(action, on)| statement("Allow", action, on))
        .collect();
    let reads_only = row
        .needs
        .iter()
        .all(|(action, _)| ["s3:GetObject", "s3:GetBucketLocation"].contains(action));
    let elsewhere = [
        statement("Allow", "s3:*", "other"),
        statement("Allow", "s3:*", "other/*"),
    ];
    // Whoever makes a bucket owns none by that name yet.
    let by_ownership = row.operation == "create_bucket";
    let mut callers = vec![
        ("anonymous".to_owned(), Identity::Anonymous, false),
        ("no policy".to_owned(), user("ann", Vec::new(), None), false),
        (
            "wrong bucket".to_owned(),
            user("ann", vec![document(&elsewhere)], None),
            false,
        ),
        (
            "read-only".to_owned(),
            user("ann", vec![canned_policy("readonly")], None),
            reads_only,
        ),
        (
            "exactly its actions".to_owned(),
            user("ann", vec![document(&exact)], None),
            true,
        ),
        ("everything".to_owned(), user("ann", vec![everything()], None), true),
        (
            "owner".to_owned(),
            user("olga", vec![canned_policy("owner")], None),
            true,
        ),
        (
            "another owner".to_owned(),
            user("bob", vec![canned_policy("owner")], None),
            by_ownership,
        ),
        ("root".to_owned(), Identity::Root, true),
    ];
    for (index, (action, on)) in row.needs.iter().enumerate() {
        let mut less = exact.clone();
        less.remove(index);
        if !less.is_empty() {
            callers.push((
                format!("without {action}"),
                user("ann", vec![document(&less)], None),
                false,
            ));
        }
        let denied = document(&[statement("Allow", "s3:*", "*"), statement("Deny", action, on)]);
        let session = || Some(Arc::clone(&denied));
        callers.push((
            format!("{action} denied"),
            user("ann", vec![Arc::clone(&denied)], None),
            false,
        ));
        callers.push((
            format!("session with Deny of {action}"),
            user("ann", vec![everything()], session()),
            false,
        ));
    }
    callers
}

/// What is wrong with a row, if anything is.
async fn faults(row: &Row) -> Vec<String> {
    let mut faults = Vec::new();
    for (who, identity, expected) in callers(row) {
        let answer = Scene::new().await.ask(row, &identity).await;
        if let_in(&answer) != expected {
            faults.push(format!("{} {} for {who}: {}", row.method, row.path, answer.status));
        }
    }
    faults
}

#[test]
fn every_operation_has_its_row() {
    let with_row: BTreeSet<_> = ROWS.iter().map(|row| row.operation).chain(["list_buckets"]).collect();
    assert_eq!(with_row, operations());
}

#[tokio::test]
async fn every_operation_lets_in_exactly_whom_its_actions_let_in() {
    for row in ROWS {
        assert_eq!(faults(row).await, Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_row_planted_wrong_is_found() {
    let find = |operation: &str| *ROWS.iter().find(|row| row.operation == operation).unwrap();
    for (operation, needs) in [
        ("get_object", &[("s3:PutObject", "bucket/a")][..]),
        ("get_object", &[("s3:GetObject", "bucket/b")]),
        ("head_bucket", &[("s3:GetBucketLocation", "bucket")]),
        ("copy_object", &[("s3:PutObject", "bucket/copy")]),
        ("upload_part_copy", &[("s3:GetObject", "source/s")]),
        (
            "put_object",
            &[("s3:PutObject", "bucket/new"), ("s3:GetObject", "bucket/new")],
        ),
    ] {
        let planted = Row {
            needs,
            ..find(operation)
        };
        assert!(!faults(&planted).await.is_empty(), "{operation} {needs:?}");
    }
}

#[tokio::test]
async fn a_bucket_policy_opens_each_operation_to_exactly_whom_it_names() {
    for row in ROWS {
        // One bucket's policy opens no other bucket, and none that is not there yet.
        let [(action, on)] = row.needs else { continue };
        let bucket = on.split('/').next().unwrap();
        if row.operation == "create_bucket" {
            continue;
        }
        let statement = |effect: &str, principal: &str| {
            format!(
                r#"{{"Statement":[{{"Effect":"{effect}","Principal":{principal},"Action":"{action}","Resource":"arn:aws:s3:::{on}"}}]}}"#
            )
        };
        let ann = r#"{"AWS":"arn:aws:iam:::user/ann"}"#;
        let full = || vec![document(&[self::statement("Allow", "s3:*", "*")])];
        for (text, anonymous, named, other, full_named) in [
            (statement("Allow", r#""*""#), true, true, true, true),
            (statement("Allow", ann), false, true, false, true),
            (statement("Deny", ann), false, false, false, false),
        ] {
            for (identity, expected) in [
                (Identity::Anonymous, anonymous),
                (user("ann", Vec::new(), None), named),
                (user("bob", Vec::new(), None), other),
                (user("ann", full(), None), full_named),
            ] {
                let scene = Scene::new().await;
                scene.set(bucket, |settings| settings.policy = Some(text.clone())).await;
                let answer = scene.ask(row, &identity).await;
                assert_eq!(let_in(&answer), expected, "{} {} {text}", row.method, row.path);
            }
        }
    }
}

#[tokio::test]
async fn callers_are_shown_the_buckets_they_may_use_and_no_others() {
    let scene = Scene::new().await;
    let list = |identity: Identity| scene.server.get("/").by(identity).send();
    let names = |answer: Answer| {
        let names = answer.is(200).elements("Name");
        names.join(" ")
    };
    let may = |statements: &[String]| user("ann", vec![document(statements)], None);
    assert_eq!(names(list(Identity::Root).await), "bucket empty source");
    assert_eq!(
        names(list(user("olga", vec![canned_policy("owner")], None)).await),
        "bucket empty source"
    );
    assert_eq!(names(list(user("bob", vec![canned_policy("owner")], None)).await), "");
    assert_eq!(
        names(list(may(&[statement("Allow", "s3:ListBucket", "source")])).await),
        "source"
    );
    assert_eq!(
        names(list(may(&[statement("Allow", "s3:GetBucketLocation", "b*")])).await),
        "bucket"
    );
    list(Identity::Anonymous).await.fails(403, "AccessDenied");
    list(user("ann", Vec::new(), None)).await.fails(403, "AccessDenied");
    list(may(&[statement("Allow", "s3:GetObject", "*")]))
        .await
        .fails(403, "AccessDenied");
}

#[tokio::test]
async fn a_change_of_a_bucket_policy_counts_at_once_and_goes_with_the_bucket() {
    let scene = Scene::new().await;
    let get = || scene.server.get("/bucket/a").anonymous().send();
    get().await.fails(403, "AccessDenied");
    let open = r#"{"Statement":{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::bucket/*"}}"#;
    for _ in 0..3 {
        scene
            .set("bucket", |settings| settings.policy = Some(open.to_owned()))
            .await;
        get().await.is(200);
        scene.set("bucket", |settings| settings.policy = None).await;
        get().await.fails(403, "AccessDenied");
    }
    let open = open.replace("bucket", "empty");
    scene
        .set("empty", |settings| settings.policy = Some(open.clone()))
        .await;
    scene.server.delete("/empty").send().await.is(204);
    scene.server.put("/empty").send().await.is(200);
    scene.server.store("/empty/a", "x").await;
    scene
        .server
        .get("/empty/a")
        .anonymous()
        .send()
        .await
        .fails(403, "AccessDenied");
}

#[tokio::test]
async fn what_is_not_there_is_told_only_to_those_who_may_list() {
    // CVE-2024-36107: a condition is not answered before the caller is judged either.
    let scene = Scene::new().await;
    let gets = statement("Allow", "s3:GetObject", "bucket/*");
    let reader = user("ann", vec![document(std::slice::from_ref(&gets))], None);
    let lister = user(
        "ann",
        vec![document(&[gets, statement("Allow", "s3:ListBucket", "bucket")])],
        None,
    );
    for method in ["GET", "HEAD"] {
        let ask = |path: &str, identity: &Identity| scene.server.ask(method, path).by(identity.clone()).send();
        ask("/bucket/a", &reader).await.is(200);
        ask("/bucket/absent", &reader).await.fails(403, "AccessDenied");
        ask("/bucket/absent", &lister).await.fails(404, "NoSuchKey");
        for (path, status, code) in [
            ("/bucket/a", 403, "AccessDenied"),
            ("/bucket/absent", 403, "AccessDenied"),
            // Names of buckets are no secret.
            ("/nowhere/a", 404, "NoSuchBucket"),
        ] {
            let ask = scene.server.ask(method, path).anonymous();
            let ask = ask.header("if-modified-since", "Fri, 01 Jan 2100 00:00:00 GMT");
            ask.send().await.fails(status, code);
        }
    }
}

#[tokio::test]
async fn headers_a_client_made_up_are_no_conditions() {
    // GHSA-fc6g (CVE-2026-21862), GHSA-6r96: no header feeds where from, how secure, or who.
    let scene = Scene::new().await;
    for (condition, header, value) in [
        (
            r#"{"IpAddress":{"aws:SourceIp":"203.0.113.0/24"}}"#,
            "x-forwarded-for",
            "203.0.113.9",
        ),
        (
            r#"{"IpAddress":{"aws:SourceIp":"203.0.113.0/24"}}"#,
            "x-real-ip",
            "203.0.113.9",
        ),
        (
            r#"{"IpAddress":{"aws:SourceIp":"203.0.113.0/24"}}"#,
            "forwarded",
            "for=203.0.113.9",
        ),
        (
            r#"{"Bool":{"aws:SecureTransport":"true"}}"#,
            "x-forwarded-proto",
            "https",
        ),
        (r#"{"StringEquals":{"aws:username":"ann"}}"#, "username", "ann"),
        (r#"{"StringEquals":{"aws:username":"ann"}}"#, "x-amz-username", "ann"),
        (r#"{"StringEquals":{"jwt:sub":"ann"}}"#, "jwt-sub", "ann"),
        (
            r#"{"StringEquals":{"s3:ExistingObjectTag/a":"b"}}"#,
            "x-amz-meta-a",
            "b",
        ),
    ] {
        let open = format!(
            r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::bucket/*","Condition":{condition}}}}}"#
        );
        scene
            .set("bucket", |settings| settings.policy = Some(open.clone()))
            .await;
        let get = scene.server.get("/bucket/a").anonymous().header(header, value);
        get.send().await.fails(403, "AccessDenied");
    }
}

/// Action, what on, condition, and a request for which it holds and one for which it does not.
const CONDITIONS: &[(&str, &str, &str, &str, &str)] = &[
    (
        "s3:ListBucket",
        "bucket",
        r#"{"StringEquals":{"s3:prefix":"home/"}}"#,
        "GET /bucket?prefix=home/",
        "GET /bucket",
    ),
    (
        "s3:ListBucket",
        "bucket",
        r#"{"StringEquals":{"s3:delimiter":"/"}}"#,
        "GET /bucket?list-type=2&delimiter=%2F",
        "GET /bucket?delimiter=a",
    ),
    (
        "s3:ListBucket",
        "bucket",
        r#"{"NumericLessThanEquals":{"s3:max-keys":"10"}}"#,
        "GET /bucket?max-keys=10",
        "GET /bucket?max-keys=11",
    ),
    (
        "s3:PutObject",
        "bucket/*",
        r#"{"StringEquals":{"s3:x-amz-storage-class":"STANDARD"}}"#,
        "PUT /bucket/b x-amz-storage-class=STANDARD",
        "PUT /bucket/b",
    ),
    (
        "s3:PutObject",
        "bucket/*",
        r#"{"StringEquals":{"s3:x-amz-acl":"private"}}"#,
        "PUT /bucket/b x-amz-acl=private",
        "PUT /bucket/b",
    ),
    (
        "s3:*Object",
        "*",
        r#"{"StringLike":{"s3:x-amz-copy-source":"source/*"}}"#,
        "PUT /bucket/b x-amz-copy-source=/source/s",
        "PUT /bucket/b x-amz-copy-source=bucket/a",
    ),
    (
        "s3:GetObject",
        "bucket/*",
        r#"{"StringLike":{"aws:Referer":"https://example.com/*"}}"#,
        "GET /bucket/a referer=https://example.com/page",
        "GET /bucket/a referer=https://example.org/",
    ),
];

#[tokio::test]
async fn the_query_and_the_headers_feed_the_conditions_that_are_named_after_them() {
    let scene = Scene::new().await;
    for (action, on, condition, right, wrong) in CONDITIONS {
        let resource = if *on == "*" {
            "*".to_owned()
        } else {
            format!("arn:aws:s3:::{on}")
        };
        let text = format!(
            r#"{{"Statement":{{"Effect":"Allow","Action":"{action}","Resource":"{resource}","Condition":{condition}}}}}"#
        );
        let ann = user("ann", vec![policy(&text)], None);
        for (request, expected) in [(right, true), (wrong, false)] {
            let mut words = request.split(' ');
            let mut ask = scene.server.ask(words.next().unwrap(), words.next().unwrap());
            if let Some((name, value)) = words.next().and_then(|header| header.split_once('=')) {
                ask = ask.header(name, value);
            }
            let answer = ask.by(ann.clone()).send().await;
            assert_eq!(let_in(&answer), expected, "{request} {condition}");
        }
    }
}

#[tokio::test]
async fn the_public_access_block_shuts_what_a_policy_opened() {
    // GHSA-x298: also the list of versions.
    let scene = Scene::new().await;
    let open = r#"{"Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:List*","Resource":"arn:aws:s3:::bucket"},
        {"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::bucket/*"}]}"#;
    let block = PublicAccessBlock {
        restrict_public_buckets: true,
        ..PublicAccessBlock::default()
    };
    for (block, status) in [(None, 200), (Some(block), 403)] {
        scene
            .set("bucket", |settings| {
                settings.policy = Some(open.to_owned());
                settings.public_access_block = block;
            })
            .await;
        for path in [
            "/bucket",
            "/bucket?list-type=2",
            "/bucket?versions",
            "/bucket?uploads",
            "/bucket/a",
        ] {
            scene.server.get(path).anonymous().send().await.is(status);
            scene
                .server
                .get(path)
                .by(user("bob", Vec::new(), None))
                .send()
                .await
                .is(status);
            scene
                .server
                .get(path)
                .by(user("olga", Vec::new(), None))
                .send()
                .await
                .is(200);
        }
    }
}

#[tokio::test]
async fn a_stored_policy_nobody_can_read_lets_only_root_in() {
    let scene = Scene::new().await;
    scene
        .set("bucket", |settings| settings.policy = Some("{".to_owned()))
        .await;
    let full = document(&[statement("Allow", "s3:*", "*")]);
    scene
        .server
        .get("/bucket/a")
        .by(user("ann", vec![full], None))
        .send()
        .await
        .fails(403, "AccessDenied");
    scene.server.get("/bucket/a").send().await.is(200);
}

#[tokio::test]
async fn a_change_of_visibility_counts_at_once_for_every_caller() {
    let scene = Scene::new().await;
    let put = |visibility: &str| {
        let put = scene.server.put("/bucket/v").header("x-amz-acl", visibility).body("x");
        put.by(user("olga", vec![canned_policy("owner")], None)).send()
    };
    let turn = |acl: &'static str| scene.server.put("/bucket/v?acl").header("x-amz-acl", acl).send();
    let read = |identity: Identity| scene.server.get("/bucket/v").by(identity).send();
    put("private").await.is(200);
    for (acl, anonymous, signed) in [
        ("private", 403, 403),
        ("public-read", 200, 200),
        ("authenticated-read", 403, 200),
        ("private", 403, 403),
        ("public-read", 200, 200),
    ] {
        turn(acl).await.is(200);
        read(Identity::Anonymous).await.is(anonymous);
        read(user("ann", Vec::new(), None)).await.is(signed);
        read(user("olga", Vec::new(), None)).await.is(200);
        for method in ["PUT", "DELETE"] {
            scene
                .server
                .ask(method, "/bucket/v")
                .anonymous()
                .send()
                .await
                .fails(403, "AccessDenied");
        }
        scene
            .server
            .get("/bucket/v?acl")
            .anonymous()
            .send()
            .await
            .fails(403, "AccessDenied");
    }
    // The default of the bucket is for objects that name none themselves.
    scene.server.get("/bucket/a").anonymous().send().await.is(403);
    let public = Some(storage_engine::store::record::labels::Visibility::Public);
    scene.set("bucket", |settings| settings.visibility = public).await;
    scene.server.get("/bucket/a").anonymous().send().await.is(200);
    turn("private").await.is(200);
    read(Identity::Anonymous).await.is(403);
}
