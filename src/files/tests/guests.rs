//! What guests put where a logical bucket takes their files, and what they may do with it afterwards: nothing.

use serde_json::{Value, json};
use storage_engine::store::body::NewBody;
use storage_engine::store::multipart::part::PartPlace;
use storage_engine::store::name::{ObjectKey, PartNumber, UploadId};
use storage_engine::store::projects::OfProject;
use storage_engine::store::record::labels::Visibility;
use storage_engine::store::record::settings::PublicAccessBlock;

use super::{Shop, Told, Who, bucket};
use crate::projects::{Confirm, LogicalBucket};

const SIGN_IN: &str = "common/authentication-required";
const TUS: (&str, &str) = ("tus-resumable", "1.0.0");
/// A file `a.txt` in the logical bucket `inbox`, as tus says it.
const SAID: (&str, &str) = ("upload-metadata", "filename YS50eHQ=,bucket aW5ib3g=");

impl Shop {
    /// Sets what holds for the logical bucket `inbox`.
    pub(super) async fn inbox(&self, rules: LogicalBucket) {
        let of = OfProject::new("shop", "dev");
        self.projects.set_logical(of, "inbox", Some(rules)).await.unwrap();
    }

    async fn send(&self, who: &Who, query: &str) -> Told {
        let path = format!("files/upload?filename=a.txt{query}");
        self.ask(who, "POST", &path, &[("content-type", "text/plain")], b"words".to_vec())
            .await
    }
}

pub(super) fn open() -> LogicalBucket {
    LogicalBucket {
        guest_upload: true,
        ..LogicalBucket::default()
    }
}

fn named(more: Value) -> Value {
    let mut fields = json!({ "filename": "a.txt", "contentType": "text/plain", "bucket": "inbox" });
    fields
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    fields
}

/// Path and query of an address below `/v1/`.
fn below(url: &str) -> String {
    url.split_once("/v1/").unwrap().1.to_owned()
}

#[tokio::test]
async fn guests_put_files_where_they_may_by_every_way_and_nowhere_else() {
    let shop = Shop::new().await;
    let guest = shop.guest();
    shop.inbox(LogicalBucket::default()).await;
    let ways = [
        "files/presigned-url",
        "files/presigned-post",
        "files/upload-url",
        "files/multipart/init",
        "s3/multipart",
    ];
    let asked = |fields: Value| {
        let mut fields = fields;
        fields["type"] = json!("text/plain");
        fields
    };
    for on in [false, true] {
        if on {
            shop.inbox(open()).await;
        }
        for way in ways {
            let told = shop.post(&guest, way, asked(named(json!({})))).await;
            assert_eq!(told.status, if on { 200 } else { 401 }, "{way} {told:?}");
            // No other bucket, no bucket, and none by its category.
            for other in [
                json!({ "bucket": "media" }),
                json!({ "bucket": null, "category": "images" }),
            ] {
                let told = shop.post(&guest, way, asked(named(other))).await;
                told.refused(401, SIGN_IN);
            }
        }
        let told = shop
            .get(&guest, "s3/params?filename=a.txt&type=text/plain&bucket=inbox")
            .await;
        assert_eq!(told.status, if on { 200 } else { 401 });
        let told = shop.send(&guest, "&bucket=inbox").await;
        assert_eq!(told.status, if on { 201 } else { 401 });
        shop.send(&guest, "").await.refused(401, SIGN_IN);
        let tus = shop
            .ask(&guest, "POST", "tus", &[TUS, SAID, ("upload-length", "5")], Vec::new())
            .await;
        assert_eq!(tus.status, if on { 201 } else { 401 });
        let nowhere = [TUS, ("upload-metadata", "filename YS50eHQ="), ("upload-length", "5")];
        shop.ask(&guest, "POST", "tus", &nowhere, Vec::new())
            .await
            .refused(401, SIGN_IN);
        let piece = [TUS, SAID, ("upload-length", "5"), ("upload-concat", "partial")];
        shop.ask(&guest, "POST", "tus", &piece, Vec::new())
            .await
            .refused(401, SIGN_IN);
        let fetched = json!({ "url": "http://127.0.0.1:1/", "bucket": "inbox" });
        shop.post(&guest, "files/from-url", fetched).await.refused(401, SIGN_IN);
    }
    // A key that makes no files makes none for guests.
    let reading = vec![(
        "x-api-key",
        shop.key(crate::projects::KeyKind::Publishable, &["files:read"]).await,
    )];
    shop.send(&reading, "&bucket=inbox")
        .await
        .refused(403, "SCOPE_INSUFFICIENT");
    // Who is signed in owns what they put there.
    let told = shop.send(&shop.person("ann"), "&bucket=inbox").await.is(201);
    assert_eq!(
        (told.text("/ownerId"), told.text("/ownerType")),
        ("ann".into(), "user".into())
    );
}

#[tokio::test]
async fn what_a_guest_put_is_nobodys_and_admins_and_servers_alone_have_it() {
    let shop = Shop::new().await;
    shop.inbox(open()).await;
    let guest = shop.guest();
    let told = shop.send(&guest, "&bucket=inbox").await.is(201);
    assert_eq!(
        (
            told.field("/ownerId"),
            told.text("/ownerType"),
            told.text("/visibility")
        ),
        (Value::Null, "public".into(), "private".into())
    );
    let file = format!("files/{}", told.text("/id"));
    let key = told.text("/key");
    for who in [&guest, &shop.person("ann")] {
        for path in [file.clone(), format!("{file}/content"), format!("{file}/download-url")] {
            shop.get(who, &path).await.refused(403, "file/access-denied");
        }
        assert_eq!(
            shop.get(who, "files?bucket=inbox").await.is(200).field("/items"),
            json!([])
        );
        assert_eq!(
            shop.get(who, "files").await.is(200).field("/pagination/total"),
            json!(0)
        );
    }
    for (method, path) in [
        ("PATCH", file.clone()),
        ("DELETE", file.clone()),
        ("POST", format!("{file}/complete")),
        ("POST", format!("{file}/replace")),
        ("POST", format!("{file}/copy")),
        ("POST", format!("{file}/revoke-urls")),
        ("GET", format!("{file}/shares")),
        ("GET", "files?state=pending&limit=1".into()),
    ] {
        let told = shop.ask(&guest, method, &path, &[], b"{}".to_vec()).await;
        assert!(matches!(told.status, 400 | 401 | 403), "{method} {path} {told:?}");
    }
    let register = json!({ "s3Key": key, "originalName": "b.txt", "mimeType": "text/plain", "size": 5 });
    shop.post(&guest, "files", register.clone()).await.refused(401, SIGN_IN);
    for who in [shop.server(), shop.person_as("eve", "admin")] {
        assert_eq!(shop.get(&who, &format!("{file}/content")).await.is(200).bytes, b"words");
        let listed = shop.get(&who, "files?ownerType=public&bucket=inbox").await.is(200);
        assert_eq!(listed.field("/items/0/key"), json!(key));
    }
    // That the app knows of it, a server of the app says, and who reads it.
    let seen = shop.get(&shop.server(), &file).await.is(200);
    assert_eq!(seen.field("/registeredAt"), Value::Null);
    let mut register = register;
    register["visibility"] = json!("public");
    shop.post(&shop.server(), "files", register).await.is(201);
    assert_eq!(
        shop.get(&guest, &format!("{file}/content")).await.is(200).bytes,
        b"words"
    );
    assert_eq!(shop.ask(&guest, "DELETE", &file, &[], Vec::new()).await.status, 401);
}

#[tokio::test]
async fn a_guest_goes_on_with_an_upload_by_its_id_and_by_no_files_id() {
    let shop = Shop::new().await;
    shop.inbox(open()).await;
    let (guest, bob, ann) = (shop.guest(), shop.person("bob"), shop.person("ann"));
    let begun = shop
        .post(&guest, "files/multipart/init", named(json!({})))
        .await
        .is(200);
    let (upload, file) = (begun.text("/uploadId"), begun.text("/fileId"));
    let guessed = format!("{}{}", &upload[..32], "0".repeat(32));
    let anns = shop
        .post(&ann, "files/multipart/init", named(json!({})))
        .await
        .is(200)
        .text("/uploadId");
    let asked = |upload: &str| json!({ "uploadId": upload, "partNumber": 1, "partNumbers": [1], "parts": [{ "partNumber": 1, "etag": "x" }] });
    for (path, method) in [
        ("presigned-url", "POST"),
        ("presigned-urls", "POST"),
        (":upload/parts", "GET"),
        ("complete", "POST"),
        ("abort", "POST"),
    ] {
        let ask = async |who: &Who, upload: &str| {
            let path = format!("files/multipart/{}", path.replace(":upload", upload));
            let body = if method == "GET" {
                Vec::new()
            } else {
                asked(upload).to_string().into_bytes()
            };
            shop.ask(who, method, &path, &[], body).await
        };
        ask(&guest, &guessed).await.refused(404, "file/upload-not-found");
        ask(&guest, &anns).await.refused(403, "file/access-denied");
        ask(&bob, &upload).await.refused(403, "file/access-denied");
    }
    shop.post(&guest, &format!("files/{file}/complete"), json!({}))
        .await
        .refused(401, SIGN_IN);
    shop.post(&guest, "files:commit", json!({ "activate": [file] }))
        .await
        .refused(401, SIGN_IN);
}

#[tokio::test]
async fn a_guest_brings_an_upload_in_parts_to_its_end() {
    let shop = Shop::new().await;
    shop.inbox(open()).await;
    let guest = shop.guest();
    let begun = shop
        .post(&guest, "files/multipart/init", named(json!({})))
        .await
        .is(200);
    let (upload, file) = (begun.text("/uploadId"), begun.text("/fileId"));
    let asked = |upload: &str| json!({ "uploadId": upload, "partNumber": 1 });
    shop.post(&guest, "files/multipart/presigned-url", asked(&upload))
        .await
        .is(200);
    let place = PartPlace {
        bucket: bucket(),
        key: ObjectKey::parse(begun.text("/key")).unwrap(),
        upload: UploadId::parse(&upload[32..]).unwrap(),
        number: PartNumber::new(1).unwrap(),
    };
    shop.store
        .upload_part(&place, NewBody::from_bytes("words"))
        .await
        .unwrap();
    let parts = shop
        .get(&guest, &format!("files/multipart/{upload}/parts"))
        .await
        .is(200);
    let complete = json!({ "uploadId": upload, "parts": [{ "partNumber": 1, "etag": parts.text("/parts/0/etag") }] });
    let told = shop
        .post(&guest, "files/multipart/complete", complete.clone())
        .await
        .is(200);
    assert_eq!(
        (told.text("/fileId"), told.text("/status")),
        (file.clone(), "active".into())
    );
    // It is a file now, and the id of what was an upload opens nothing.
    for path in ["files/multipart/complete", "files/multipart/abort"] {
        shop.post(&guest, path, complete.clone())
            .await
            .refused(404, "file/upload-not-found");
    }
    let seen = shop.get(&shop.server(), &format!("files/{file}")).await.is(200);
    assert_eq!(
        (seen.text("/status"), seen.field("/registeredAt")),
        ("active".into(), Value::Null)
    );

    let begun = shop
        .post(&guest, "files/multipart/init", named(json!({})))
        .await
        .is(200);
    let given_up = json!({ "uploadId": begun.text("/uploadId") });
    shop.post(&guest, "files/multipart/abort", given_up).await.is(200);
    shop.get(&shop.server(), &format!("files/{}", begun.text("/fileId")))
        .await
        .is(404);
}

#[tokio::test]
async fn a_guest_goes_on_with_a_resumable_upload_and_others_of_guests_stay_apart() {
    let shop = Shop::new().await;
    shop.inbox(open()).await;
    let (guest, ann) = (shop.guest(), shop.person("ann"));
    let new = [TUS, SAID, ("upload-length", "5")];
    let upload = below(
        shop.ask(&guest, "POST", "tus", &new, Vec::new())
            .await
            .is(201)
            .header("location"),
    );
    let anns = below(
        shop.ask(&ann, "POST", "tus", &new, Vec::new())
            .await
            .is(201)
            .header("location"),
    );
    let bytes = ("content-type", "application/offset+octet-stream");
    let patch = [TUS, bytes, ("upload-offset", "0")];
    for (who, upload) in [(&guest, &anns), (&ann, &upload)] {
        shop.ask(who, "PATCH", upload, &patch, b"wo".to_vec())
            .await
            .refused(403, "file/access-denied");
        assert_eq!(shop.ask(who, "HEAD", upload, &[TUS], Vec::new()).await.status, 403);
        shop.ask(who, "DELETE", upload, &[TUS], Vec::new())
            .await
            .refused(403, "file/access-denied");
    }
    shop.ask(&guest, "PATCH", &upload, &patch, b"wo".to_vec()).await.is(204);
    // Where the switch is off there is no going on.
    shop.inbox(LogicalBucket::default()).await;
    let rest = [TUS, bytes, ("upload-offset", "2")];
    shop.ask(&guest, "PATCH", &upload, &rest, b"rds".to_vec())
        .await
        .refused(401, SIGN_IN);
    shop.inbox(open()).await;
    shop.ask(&guest, "PATCH", &upload, &rest, b"rds".to_vec()).await.is(204);
    let head = shop.ask(&guest, "HEAD", &upload, &[TUS], Vec::new()).await.is(200);
    assert_eq!(head.header("upload-offset"), "5");
    let file = format!("files/{}", head.header("upload-file-id"));
    shop.get(&guest, &file).await.refused(403, "file/access-denied");
    let seen = shop.get(&shop.server(), &file).await.is(200);
    assert_eq!(
        (seen.text("/status"), seen.field("/registeredAt")),
        ("active".into(), Value::Null)
    );
}

#[tokio::test]
async fn an_address_given_to_a_guest_is_good_as_long_as_guests_are() {
    let shop = Shop::new().await;
    shop.inbox(open()).await;
    let guest = shop.guest();
    let nobody = Vec::new();
    let told = shop.post(&guest, "files/upload-url", named(json!({}))).await.is(200);
    let (path, file) = (
        below(&told.text("/uploadUrl")),
        format!("files/{}", told.text("/fileId")),
    );
    let put = async || {
        let kind = [("content-type", "text/plain")];
        shop.ask(&nobody, "POST", &path, &kind, b"words".to_vec()).await
    };
    shop.inbox(LogicalBucket::default()).await;
    put().await.refused(403, "file/access-denied");
    shop.inbox(open()).await;
    // What makes nothing public makes guests nobody.
    for (on, status) in [(true, 403), (false, 200)] {
        let block = PublicAccessBlock {
            ignore_public_acls: on,
            ..PublicAccessBlock::default()
        };
        shop.store
            .change_settings(&bucket(), |settings| settings.public_access_block = Some(block))
            .await
            .unwrap();
        put().await.is(status);
    }
    put().await.refused(409, "file/invalid-state");
    assert_eq!(
        shop.get(&shop.server(), &format!("{file}/content")).await.is(200).bytes,
        b"words"
    );
}

#[tokio::test]
async fn what_guests_put_has_the_limits_of_its_bucket_and_its_visibility() {
    let shop = Shop::new().await;
    let (guest, ann) = (shop.guest(), shop.person("ann"));
    shop.inbox(LogicalBucket {
        types: vec!["text/*".into()],
        visibility: Some(Visibility::Protected),
        ttl_seconds: Some(60),
        confirm: Confirm::Required,
        ..open()
    })
    .await;
    let told = shop.post(&guest, "files/presigned-url", named(json!({}))).await.is(200);
    assert_eq!(told.field("/maxSize"), json!(10 << 20));
    for (more, status, code) in [
        (json!({ "fileSize": (10 << 20) + 1 }), 400, "file/file-too-large"),
        (json!({ "contentType": "image/png" }), 400, "file/invalid-format"),
        (json!({ "visibility": "public" }), 403, "file/access-denied"),
        (json!({ "visibility": "private" }), 403, "file/access-denied"),
    ] {
        shop.post(&guest, "files/presigned-url", named(more))
            .await
            .refused(status, code);
    }
    // Others have no such limit there, and say who sees their files.
    let more = json!({ "fileSize": (10 << 20) + 1, "visibility": "public" });
    shop.post(&ann, "files/presigned-url", named(more)).await.is(200);
    let told = shop
        .send(&guest, "&bucket=inbox&visibility=protected&deleteAfter=86400")
        .await
        .is(201);
    assert_eq!(told.text("/visibility"), "protected");
    let ends = |told: &Told| {
        time::OffsetDateTime::parse(&told.text("/expiresAt"), &time::format_description::well_known::Rfc3339).unwrap()
    };
    let soon = shop.send(&guest, "&bucket=inbox&deleteAfter=10").await.is(201);
    assert!(
        ends(&told) - ends(&soon) > time::Duration::ZERO && ends(&told) - ends(&soon) < time::Duration::seconds(3_600)
    );
    shop.inbox(LogicalBucket {
        max_size: Some(4),
        ..open()
    })
    .await;
    shop.send(&guest, "&bucket=inbox").await.refused(413, "file/too-large");
    let large = LogicalBucket {
        max_size: Some(20 << 20),
        ..open()
    };
    shop.inbox(large).await;
    let told = shop.post(&guest, "files/presigned-url", named(json!({}))).await.is(200);
    assert_eq!(told.field("/maxSize"), json!(20 << 20));
    let quota = json!({ "buckets": { "inbox": { "files": 1 } } });
    shop.put(&shop.server(), "files/quotas", quota).await.is(200);
    shop.send(&guest, "&bucket=inbox")
        .await
        .refused(403, "file/quota-exceeded");
}

#[tokio::test]
async fn guests_begin_so_many_uploads_and_are_told_when_to_come_again() {
    let shop = Shop::new().await;
    shop.inbox(open()).await;
    let guest = shop.guest();
    let begin = async |who: &Who| shop.post(who, "files/presigned-url", named(json!({}))).await;
    let mut begun = 0;
    let refused = loop {
        let told = begin(&guest).await;
        match told.status {
            200 => begun += 1,
            _ => break told,
        }
    };
    assert!(begun >= 20, "{begun}");
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    assert!((1..=6).contains(&wait), "{wait}");
    refused.refused(429, "RATE_LIMIT_EXCEEDED");
    // Users and servers are not counted.
    for who in [shop.person("ann"), shop.server()] {
        begin(&who).await.is(200);
    }
}
