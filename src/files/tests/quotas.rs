//! Quotas of owners, logical buckets and environments: set by servers, and every way that bytes come in is held to them.

use serde_json::{Value, json};
use storage_engine::store::body::NewBody;
use storage_engine::store::condition::WriteCondition;
use storage_engine::store::name::ObjectKey;
use storage_engine::store::object::put::{PutObject, PutObjectError};
use storage_engine::store::record::object::Metadata;

use super::{Shop, Told, Who, bucket};
use crate::projects::KeyKind;

const OVER: &str = "file/quota-exceeded";
const ANN: &str = "app:shop/own|ann";
const TEXT: (&str, &str) = ("content-type", "text/plain");
const TUS: (&str, &str) = ("tus-resumable", "1.0.0");
const PIECE: (&str, &str) = ("content-type", "application/offset+octet-stream");
const DRAFT: (&str, &str) = ("upload-draft-interop-version", "8");

impl Shop {
    async fn limit(&self, quotas: Value) -> Told {
        self.put(&self.server(), "files/quotas", quotas).await.is(200)
    }

    async fn upload(&self, who: &Who, name: &str, len: usize) -> Told {
        let path = format!("files/upload?filename={name}");
        self.ask(who, "POST", &path, &[TEXT], vec![b'x'; len]).await
    }

    /// What counts of ann's, in bytes and files.
    async fn used(&self) -> (u64, u64) {
        let told = self
            .get(&self.person("ann"), "files/usage?breakdown=false")
            .await
            .is(200);
        let of = |name: &str| told.field(&format!("/quota/used/{name}")).as_u64().unwrap();
        (of("bytes"), of("files"))
    }
}

fn ann_may(bytes: u64) -> Value {
    json!({ "owners": { ANN: { "bytes": bytes } } })
}

fn announcing(size: u64) -> Value {
    json!({ "filename": "a.txt", "contentType": "text/plain", "fileSize": size })
}

#[tokio::test]
async fn quotas_are_set_one_by_one_and_told_with_what_is_used_of_them() {
    let shop = Shop::new().await;
    let (server, ann) = (shop.server(), shop.person("ann"));
    let nothing = json!({ "environment": null, "defaultOwner": null, "owners": {}, "buckets": {} });
    let told = shop.get(&server, "files/quotas").await.is(200);
    assert_eq!(told.field("/data"), nothing);
    let usage = shop.get(&ann, "files/usage?breakdown=false").await.is(200);
    assert_eq!(usage.field("/data"), json!({ "quota": null }));
    shop.upload(&ann, "a.txt", 30).await.is(201);
    let path = "files/upload?filename=b.txt&bucket=images";
    shop.ask(&ann, "POST", path, &[TEXT], vec![b'x'; 5]).await.is(201);
    shop.limit(json!({ "environment": { "bytes": 1000, "files": 10 }, "defaultOwner": { "bytes": 100 } }))
        .await;
    let named = json!({ "issuer": "own", "owners": { "ann": { "bytes": 50, "files": 3 } }, "buckets": { "images": { "bytes": 7 } } });
    let told = shop.limit(named).await;
    let amount = |bytes: u64, files: u64| json!({ "bytes": bytes, "files": files });
    let expected = json!({
        "environment": { "bytes": 1000, "files": 10, "used": amount(35, 2), "left": amount(965, 8) },
        "defaultOwner": { "bytes": 100, "files": null },
        "owners": { ANN: { "bytes": 50, "files": 3, "used": amount(35, 2), "left": amount(15, 1) } },
        "buckets": { "images": { "bytes": 7, "files": null, "used": amount(5, 1), "left": { "bytes": 2, "files": null } } },
    });
    assert_eq!(told.field("/data"), expected);
    let told = shop.get(&server, "files/quotas").await.is(200);
    assert_eq!(told.field("/data"), expected);
    let usage = shop.get(&ann, "files/usage").await.is(200);
    assert_eq!(usage.field("/quota"), expected["owners"][ANN]);
    // Whoever is not named has the limit of everybody; a server has none, and sees that of all.
    let usage = shop.get(&shop.person("bob"), "files/usage").await.is(200);
    let of_bob = json!({ "bytes": 100, "files": null, "used": amount(0, 0), "left": { "bytes": 100, "files": null } });
    assert_eq!(usage.field("/quota"), of_bob);
    let usage = shop.get(&server, "files/usage").await.is(200);
    assert_eq!(usage.field("/quota"), expected["environment"]);
    let gone = json!({ "environment": null, "defaultOwner": null, "owners": { ANN: null }, "buckets": { "images": null, "gone": null } });
    assert_eq!(shop.limit(gone).await.field("/data"), nothing);
}

#[tokio::test]
async fn wrong_quotas_and_wrong_callers_are_refused_and_change_nothing() {
    let shop = Shop::new().await;
    let server = shop.server();
    let many: serde_json::Map<String, Value> = (0..=200)
        .map(|n| (format!("app:shop/own|{n}"), json!({ "bytes": 1 })))
        .collect();
    for (wrong, status, code) in [
        (json!({ "environment": 7 }), 400, "common/invalid-request"),
        (json!({ "environment": {} }), 400, "common/invalid-request"),
        (
            json!({ "environment": { "bytes": "7" } }),
            400,
            "common/invalid-request",
        ),
        (json!({ "environment": { "bytes": -1 } }), 400, "file/size-negative"),
        (
            json!({ "environment": { "files": 0.5 } }),
            400,
            "common/invalid-request",
        ),
        (
            json!({ "owners": { "ann": { "bytes": 1 } }, "issuer": "nope" }),
            400,
            "common/invalid-request",
        ),
        (json!({ "owners": [] }), 400, "common/invalid-request"),
        (json!({ "env": { "bytes": 1 } }), 400, "common/invalid-request"),
        (json!({ "issuer": 7 }), 400, "common/invalid-request"),
        (
            json!({ "buckets": { "unknown": { "bytes": 1 } } }),
            400,
            "common/invalid-request",
        ),
        (
            json!({ "owners": { "app:": null, "app:x": { "byte": 1 } } }),
            400,
            "common/invalid-request",
        ),
        (
            json!({ "owners": { (format!("app:{}", "x".repeat(253))): { "bytes": 1 } } }),
            400,
            "common/invalid-request",
        ),
        (json!({ "owners": many }), 409, "common/too-many"),
    ] {
        let told = shop.put(&server, "files/quotas", wrong).await;
        told.refused(status, code);
    }
    let quotas = json!({ "environment": { "bytes": 1 } });
    for who in [shop.person("ann"), shop.person_as("eve", "admin"), shop.guest()] {
        assert!(matches!(
            shop.put(&who, "files/quotas", quotas.clone()).await.status,
            401 | 403
        ));
        assert!(matches!(shop.get(&who, "files/quotas").await.status, 401 | 403));
    }
    let narrow = vec![("x-api-key", shop.key(KeyKind::Secret, &["files:update"]).await)];
    shop.put(&narrow, "files/quotas", quotas)
        .await
        .refused(403, "SCOPE_INSUFFICIENT");
    let told = shop.get(&server, "files/quotas").await.is(200);
    assert_eq!(told.field("/environment"), Value::Null);
}

#[tokio::test]
async fn what_is_announced_is_reserved_until_it_comes_or_is_given_up() {
    let shop = Shop::new().await;
    let ann = shop.person("ann");
    shop.limit(ann_may(100)).await;
    let first = shop.post(&ann, "files/presigned-url", announcing(60)).await.is(200);
    assert_eq!(shop.used().await, (60, 1));
    shop.post(&ann, "files/presigned-url", announcing(41))
        .await
        .refused(403, OVER);
    let parts = shop.post(&ann, "files/multipart/init", announcing(40)).await.is(200);
    shop.upload(&ann, "b.txt", 1).await.refused(403, OVER);
    let abort = json!({ "uploadId": parts.text("/uploadId"), "key": parts.text("/key") });
    shop.post(&ann, "files/multipart/abort", abort).await.is(200);
    assert_eq!(shop.used().await, (60, 1));
    let begun = [TUS, ("upload-length", "40")];
    let upload = shop.ask(&ann, "POST", "tus", &begun, Vec::new()).await.is(201);
    assert_eq!(shop.used().await, (100, 2));
    let path = upload.header("location").split_once("/v1/").unwrap().1.to_owned();
    shop.ask(&ann, "DELETE", &path, &[TUS], Vec::new()).await.is(204);
    let gone = format!("files/{}", first.text("/fileId"));
    shop.ask(&ann, "DELETE", &gone, &[], Vec::new()).await.is(200);
    assert_eq!(shop.used().await, (0, 0));
    // Of what came the bytes count, also in the trash; purged, they count no more.
    let file = shop.upload(&ann, "b.txt", 100).await.is(201).text("/id");
    shop.ask(&ann, "DELETE", &format!("files/{file}"), &[], Vec::new())
        .await
        .is(200);
    shop.upload(&ann, "c.txt", 1).await.refused(403, OVER);
    let purged = format!("files/{file}?purge=true");
    shop.ask(&ann, "DELETE", &purged, &[], Vec::new()).await.is(200);
    assert_eq!(shop.used().await, (0, 0));
}

#[tokio::test]
async fn every_way_that_bytes_come_in_is_held_to_the_quota() {
    let shop = Shop::new().await;
    let ann = shop.person("ann");
    let file = shop.upload(&ann, "a.txt", 60).await.is(201);
    let id = file.text("/id");
    shop.limit(ann_may(100)).await;
    let before = shop.used().await;
    assert_eq!(before, (60, 1));
    for path in [
        "files/presigned-url",
        "files/presigned-post",
        "files/upload-url",
        "files/multipart/init",
    ] {
        shop.post(&ann, path, announcing(41)).await.refused(403, OVER);
    }
    shop.upload(&ann, "b.txt", 41).await.refused(403, OVER);
    let replace = format!("files/{id}/replace");
    shop.ask(&ann, "POST", &replace, &[TEXT], vec![b'x'; 41])
        .await
        .refused(403, OVER);
    shop.post(&ann, &format!("files/{id}/copy"), json!({}))
        .await
        .refused(403, OVER);
    let begun = [TUS, ("upload-length", "41")];
    shop.ask(&ann, "POST", "tus", &begun, Vec::new()).await.is(403);
    let whole = [DRAFT, TEXT, ("upload-complete", "?1"), ("content-length", "41")];
    shop.ask(&ann, "POST", "tus", &whole, vec![b'x'; 41]).await.is(403);
    // A form says no size before its file: what is too much is refused at its end, and nothing is left of it.
    let form =
        "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\nContent-Type: text/plain\r\n\r\n";
    let form = format!("{form}{}\r\n--x--\r\n", "x".repeat(41));
    let kind = [("content-type", "multipart/form-data; boundary=x")];
    shop.ask(&ann, "POST", "files/upload", &kind, form.into_bytes())
        .await
        .refused(403, OVER);
    assert_eq!(shop.used().await, before);
    // A length that is told later is claimed when it is told.
    let open = [TUS, ("upload-defer-length", "1")];
    let open = shop.ask(&ann, "POST", "tus", &open, Vec::new()).await.is(201);
    let path = open.header("location").split_once("/v1/").unwrap().1.to_owned();
    let told = [TUS, PIECE, ("upload-offset", "0"), ("upload-length", "41")];
    shop.ask(&ann, "PATCH", &path, &told, b"x".to_vec()).await.is(403);
    let told = [TUS, PIECE, ("upload-offset", "0"), ("upload-length", "40")];
    shop.ask(&ann, "PATCH", &path, &told, b"x".to_vec()).await.is(204);
    assert_eq!(shop.used().await, (100, 2));
    shop.upload(&ann, "b.txt", 1).await.refused(403, OVER);
    let rest = [TUS, PIECE, ("upload-offset", "1")];
    shop.ask(&ann, "PATCH", &path, &rest, vec![b'x'; 39]).await.is(204);
    assert_eq!(shop.used().await, (100, 2));
    // Restored from the trash it counts as it did there.
    shop.ask(&ann, "DELETE", &format!("files/{id}"), &[], Vec::new())
        .await
        .is(200);
    shop.post(&ann, &format!("files/{id}/restore"), json!({})).await.is(200);
    assert_eq!(shop.used().await, (100, 2));
}

#[tokio::test]
async fn replaced_bytes_count_and_changing_places_with_them_does_not() {
    let shop = Shop::new().await;
    let ann = shop.person("ann");
    let id = shop.upload(&ann, "a.txt", 40).await.is(201).text("/id");
    shop.limit(ann_may(100)).await;
    let replace = format!("files/{id}/replace");
    shop.ask(&ann, "POST", &replace, &[TEXT], vec![b'y'; 60]).await.is(200);
    assert_eq!(shop.used().await, (100, 1));
    let versions = shop.get(&ann, &format!("files/{id}/versions")).await.is(200);
    let version = format!("files/{id}/versions/{}", versions.text("/versions/1/id"));
    shop.post(&ann, &format!("{version}/restore"), json!({})).await.is(200);
    assert_eq!(shop.used().await, (100, 1));
    let versions = shop.get(&ann, &format!("files/{id}/versions")).await.is(200);
    let version = format!("files/{id}/versions/{}", versions.text("/versions/1/id"));
    shop.ask(&ann, "DELETE", &version, &[], Vec::new()).await.is(200);
    assert_eq!(shop.used().await, (40, 1));
}

#[tokio::test]
async fn what_s3_puts_into_the_app_bucket_counts_for_the_environment_and_users_are_told_no_figures_of_all() {
    let shop = Shop::new().await;
    let ann = shop.person("ann");
    shop.limit(json!({ "environment": { "bytes": 100, "files": 3 }, "defaultOwner": { "bytes": 70 } }))
        .await;
    let put = |len: usize| PutObject {
        bucket: bucket(),
        key: ObjectKey::parse("plain").unwrap(),
        metadata: Metadata::default(),
        labels: Default::default(),
        body: NewBody::from_bytes(vec![b'x'; len]),
        condition: WriteCondition::default(),
    };
    shop.store.put_object(put(50)).await.unwrap();
    let over = shop.store.put_object(put(101)).await;
    assert!(matches!(over, Err(PutObjectError::OverQuota(_))), "{over:?}");
    let told = shop.upload(&ann, "a.txt", 51).await;
    assert_eq!(
        told.text("/error/message"),
        "No room is left for this file: the environment holds as much as it may."
    );
    told.refused(403, OVER);
    shop.upload(&ann, "a.txt", 50).await.is(201);
    let told = shop.upload(&ann, "b.txt", 21).await;
    assert_eq!(
        told.text("/error/message"),
        "No room is left: the owner may hold 70 bytes and would hold 71 with this."
    );
    told.refused(403, OVER);
    // There are as many as there may be, whatever they hold.
    shop.upload(&ann, "b.txt", 0).await.is(201);
    shop.upload(&ann, "c.txt", 0).await.refused(403, OVER);
}
