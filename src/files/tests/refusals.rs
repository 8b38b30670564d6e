//! Every code of the documentation, reached.

use serde_json::{Value, json};
use storage_engine::store::body::NewBody;
use storage_engine::store::multipart::part::PartPlace;
use storage_engine::store::name::{ObjectKey, PartNumber, UploadId};
use storage_engine::store::projects::OfProject;

use super::{Shop, Told, bucket};
use crate::projects::{KeyKind, LogicalBucket};

fn wanted(more: Value) -> Value {
    let mut fields = json!({ "filename": "a.png", "contentType": "image/png" });
    if let (Some(fields), Value::Object(more)) = (fields.as_object_mut(), more) {
        fields.extend(more);
    }
    fields
}

async fn presign(shop: &Shop, more: Value) -> Told {
    shop.post(&shop.person("ann"), "files/presigned-url", wanted(more))
        .await
}

/// What schemathesis found when it went by the document.
#[tokio::test]
async fn what_no_file_can_have_is_refused_also_where_nothing_would_come_of_it() {
    let shop = Shop::new().await;
    let ann = shop.person("ann");
    let file = shop.file(&ann, "private").await;
    for method in ["PUT", "DELETE"] {
        let path = format!("files/{file}/refs/{}", "r".repeat(257));
        let told = shop.ask(&ann, method, &path, &[], Vec::new()).await;
        told.refused(400, "common/invalid-request");
    }
    shop.get(&ann, "files?sizeMin=9223372036854775808")
        .await
        .refused(400, "common/invalid-request");
    let path = format!("files/{file}/content?download={}", "n".repeat(256));
    for condition in ["\"other\"", "*"] {
        let told = shop
            .ask(&ann, "GET", &path, &[("if-match", condition)], Vec::new())
            .await;
        told.refused(400, "file/original-name-too-long");
    }
}

#[tokio::test]
async fn what_is_announced_wrongly_is_refused_by_its_code() {
    let shop = Shop::new().await;
    let rules = LogicalBucket {
        max_size: Some(10),
        types: vec!["image/*".into()],
        ..LogicalBucket::default()
    };
    let of = OfProject::new("shop", "dev");
    shop.projects.set_logical(of, "images", Some(rules)).await.unwrap();
    for (more, code) in [
        (json!({ "filename": null }), "file/invalid-name"),
        (json!({ "filename": " " }), "file/invalid-name"),
        (json!({ "filename": "a\u{202e}b" }), "file/invalid-name"),
        (json!({ "filename": "../a" }), "file/invalid-path"),
        (json!({ "filename": "n".repeat(256) }), "file/original-name-too-long"),
        (
            json!({ "contentType": format!("a/{}", "b".repeat(255)) }),
            "file/mime-type-too-long",
        ),
        (json!({ "contentType": "png" }), "file/invalid-format"),
        (json!({ "contentType": null }), "file/invalid-format"),
        (json!({ "fileSize": -1 }), "file/size-negative"),
        (json!({ "fileSize": "1" }), "common/invalid-request"),
        (
            json!({ "fileSize": 9_223_372_036_854_775_808_u64 }),
            "common/invalid-request",
        ),
        (json!({ "visibility": "open" }), "common/invalid-request"),
        (json!({ "category": "cats" }), "common/invalid-request"),
        (json!({ "bucket": "cats" }), "common/invalid-request"),
        (json!({ "metadata": [] }), "common/invalid-request"),
        (json!({ "tags": "cat" }), "common/invalid-request"),
        (json!({ "expiresIn": 59 }), "common/invalid-request"),
        (json!({ "sha256": "00" }), "common/invalid-request"),
        (json!({ "sha256": "x".repeat(64) }), "common/invalid-request"),
        (json!({ "deleteAfter": 0 }), "common/invalid-request"),
        (json!({ "deleteAfter": "soon" }), "common/invalid-request"),
        (json!({ "bucket": "images", "fileSize": 11 }), "file/file-too-large"),
        (json!({ "category": "images", "fileSize": 11 }), "file/file-too-large"),
        (
            json!({ "bucket": "images", "contentType": "text/html" }),
            "file/invalid-format",
        ),
    ] {
        presign(&shop, more).await.refused(400, code);
    }
    let ann = shop.person("ann");
    let upload = "files/upload?filename=a.png&bucket=images";
    let send = |kind: &'static str, bytes: &'static [u8]| {
        let (shop, ann) = (&shop, &ann);
        async move {
            shop.ask(ann, "POST", upload, &[("content-type", kind)], bytes.to_vec())
                .await
        }
    };
    send("image/png", b"<html></html>").await.refused(413, "file/too-large");
    send("image/png", b"<html>").await.refused(400, "file/invalid-format");
    send("image/png", b"x").await.refused(400, "file/invalid-format");
}

#[tokio::test]
async fn what_is_registered_or_put_together_wrongly_is_refused_by_its_code() {
    let shop = Shop::new().await;
    let ann = shop.person("ann");
    let register = |more: Value| {
        let mut fields = json!({ "s3Key": "a/b", "originalName": "a", "mimeType": "text/plain", "size": 1 });
        fields
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let (shop, ann) = (&shop, &ann);
        async move { shop.post(ann, "files", fields).await }
    };
    for (more, status, code) in [
        (json!({ "s3Key": "k".repeat(1025) }), 400, "file/s3-key-too-long"),
        (json!({ "s3Key": "../b" }), 400, "file/invalid-path"),
        (json!({ "s3Key": null }), 400, "common/invalid-request"),
        (
            json!({ "originalName": "n".repeat(256) }),
            400,
            "file/original-name-too-long",
        ),
        (json!({ "mimeType": "m".repeat(256) }), 400, "file/mime-type-too-long"),
        (json!({ "size": -1 }), 400, "file/size-negative"),
        (json!({ "size": null }), 400, "common/invalid-request"),
        (json!({ "width": 0.5 }), 400, "common/invalid-request"),
        (json!({}), 404, "file/not-found"),
    ] {
        register(more).await.refused(status, code);
    }
    let begun = shop.post(&ann, "files/multipart/init", wanted(json!({}))).await.is(200);
    let upload = begun.text("/uploadId");
    let part = |number: Value| json!({ "uploadId": upload, "partNumber": number });
    for number in [json!(0), json!(10_001), json!("1"), json!(1.5), Value::Null] {
        let told = shop.post(&ann, "files/multipart/presigned-url", part(number)).await;
        told.refused(400, "file/invalid-part-number-range");
    }
    let complete = |parts: Value| json!({ "uploadId": upload, "parts": parts });
    for parts in [
        json!([]),
        json!({}),
        json!([{ "partNumber": 1 }]),
        json!([{ "partNumber": 1, "etag": "\"none\"" }]),
    ] {
        let told = shop.post(&ann, "files/multipart/complete", complete(parts)).await;
        told.refused(400, "file/invalid-parts-array");
    }
    let other = json!({ "uploadId": "0".repeat(64), "partNumber": 1 });
    shop.post(&ann, "files/multipart/presigned-url", other)
        .await
        .refused(404, "file/upload-not-found");
}

#[tokio::test]
async fn parts_that_are_too_small_and_a_bucket_that_is_not_there_are_told_by_their_codes() {
    let shop = Shop::new().await;
    let ann = shop.person("ann");
    let begun = shop.post(&ann, "files/multipart/init", wanted(json!({}))).await.is(200);
    let upload = begun.text("/uploadId");
    let mut parts = Vec::new();
    for number in [1_u16, 2] {
        let place = PartPlace {
            bucket: bucket(),
            key: ObjectKey::parse(begun.text("/key")).unwrap(),
            upload: UploadId::parse(&upload[32..]).unwrap(),
            number: PartNumber::new(number).unwrap(),
        };
        let part = shop.store.upload_part(&place, NewBody::from_bytes("a few bytes"));
        parts.push(json!({ "partNumber": number, "etag": part.await.unwrap().etag.to_string() }));
    }
    let named = json!({ "uploadId": upload, "parts": parts });
    shop.post(&ann, "files/multipart/complete", named)
        .await
        .refused(400, "file/file-too-small");
    shop.post(&ann, "files/multipart/abort", json!({ "uploadId": upload }))
        .await
        .is(200);

    shop.store.delete_bucket(&bucket()).await.unwrap();
    for path in ["files/presigned-url", "files/multipart/init", "files/presigned-post"] {
        let told = shop.post(&ann, path, wanted(json!({}))).await;
        told.refused(500, "file/bucket-not-configured");
    }
}

#[tokio::test]
async fn an_address_that_would_be_too_long_is_told_so_and_one_to_upload_needs_no_groups() {
    let shop = Shop::new().await;
    let groups: Vec<String> = (0..150).map(|n| format!("a-group-with-a-long-name-{n:04}")).collect();
    let crowd = shop.person_with("ann", &json!({ "groups": groups }));
    let file = shop.file(&crowd, "private").await;
    let told = shop
        .post(&crowd, &format!("files/{file}/download-url"), json!({}))
        .await;
    told.refused(400, "common/invalid-request");
    shop.post(&crowd, "files/presigned-url", wanted(json!({})))
        .await
        .is(200);
}

#[tokio::test]
async fn paths_methods_bodies_and_keys_that_are_wrong_are_told_so() {
    let shop = Shop::new().await;
    let ann = shop.person("ann");
    shop.get(&ann, "elsewhere").await.refused(404, "common/not-found");
    let told = shop.ask(&ann, "PUT", "files/1", &[], Vec::new()).await;
    assert_eq!(told.header("allow"), "DELETE, GET, PATCH");
    told.refused(405, "common/method-not-allowed");
    shop.post(&ann, "auth/signin", json!({}))
        .await
        .refused(501, "common/not-implemented");
    shop.get(&ann, "files/no-id").await.refused(404, "file/not-found");
    let long = vec![b' '; (1 << 20) + 1];
    shop.ask(&ann, "POST", "files/presigned-url", &[], long)
        .await
        .refused(413, "common/request-too-large");
    shop.ask(&ann, "POST", "files/presigned-url", &[], b"{".to_vec())
        .await
        .refused(400, "common/invalid-request");
    // A publishable key does not become a secret one, and a secret one is none of a page's.
    let forged = vec![("x-api-key", shop.publishable.replace("pk_", "sk_"))];
    shop.get(&forged, "files").await.refused(401, "UNAUTHORIZED");
    let mut page = shop.server();
    page.push(("origin", "https://shop.test".to_owned()));
    shop.get(&page, "files").await.refused(403, "PERMISSION_DENIED");
    let mut unsigned = shop.guest();
    unsigned.push((
        "authorization",
        "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbm4ifQ.".to_owned(),
    ));
    shop.get(&unsigned, "files").await.refused(401, "INVALID_TOKEN");
    let reads = vec![("x-api-key", shop.key(KeyKind::Secret, &["files:read"]).await)];
    shop.get(&reads, "files").await.refused(403, "SCOPE_INSUFFICIENT");
    for query in [
        "limit=0",
        "limit=101",
        "page=0",
        "sortBy=x",
        "sortDirection=up",
        "state=x",
        "cursor=%20",
        "sha256=0",
        "createdFrom=today",
        "ownerType=x",
    ] {
        shop.get(&ann, &format!("files?{query}"))
            .await
            .refused(400, "common/invalid-request");
    }
    shop.get(&shop.guest(), "files?state=trashed")
        .await
        .refused(403, "file/access-denied");
}

#[tokio::test]
async fn addresses_to_read_from_that_cannot_be_are_refused() {
    let shop = Shop::new().await;
    let ann = shop.person("ann");
    for wrong in [
        json!({ "maxDownloads": 0 }),
        json!({ "maxDownloads": 1.5 }),
        json!({ "maxDownloads": 1_000_001 }),
        json!({ "oneTime": 1 }),
        json!({ "oneTime": true, "maxDownloads": 2 }),
        json!({ "oneTime": true, "stable": true }),
        json!({ "maxDownloads": 2, "stable": true }),
        json!({ "transform": "" }),
        json!({ "transform": "300x200/a.png" }),
        json!({ "transform": "99999x200" }),
        json!({ "transform": "p/none" }),
        json!({ "expiresIn": 59 }),
    ] {
        let mut fields = wrong.clone();
        fields["ids"] = json!(["x"]);
        let told = shop.post(&ann, "files/download-urls", fields).await;
        assert_eq!(
            (told.status, told.code().as_str()),
            (400, "common/invalid-request"),
            "{wrong}"
        );
    }
    let told = shop.post(
        &ann,
        "files/download-urls",
        json!({ "ids": ["x"], "transform": "300x200/filters:format(heic)" }),
    );
    told.await.refused(501, "common/not-implemented");
    // A counted address leaves a row behind, and guests are anybody.
    let counted = json!({ "ids": ["x"], "oneTime": true });
    shop.post(&shop.guest(), "files/download-urls", counted)
        .await
        .refused(401, "common/authentication-required");
}
