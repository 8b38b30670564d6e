//! Whole ways of a file: announced, sent, registered, read, changed, deleted, brought back.

use serde_json::{Value, json};
use storage_engine::store::body::NewBody;
use storage_engine::store::condition::WriteCondition;
use storage_engine::store::name::ObjectKey;
use storage_engine::store::object::put::PutObject;
use storage_engine::store::projects::OfProject;
use storage_engine::store::record::labels::Labels;
use storage_engine::store::record::object::Metadata;

use super::{Shop, Who, bucket};
use crate::images::sign::signature;
use crate::projects::{Envelope, NewImages};

/// As a client that PUTs to the address it was given, where nobody looks at the bytes.
async fn arrive(shop: &Shop, key: &str, bytes: &'static [u8]) {
    let put = PutObject {
        bucket: bucket(),
        key: ObjectKey::parse(key.to_owned()).unwrap(),
        metadata: Metadata::default(),
        labels: Labels::default(),
        body: NewBody::from_bytes(bytes),
        condition: WriteCondition::default(),
    };
    shop.store.put_object(put).await.unwrap();
}

async fn change(shop: &Shop, who: &Who, path: &str, fields: Value) -> super::Told {
    shop.ask(who, "PATCH", path, &[], fields.to_string().into_bytes()).await
}

/// What keeps a file from acting as a page, as browsers read it.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; media-src 'self'; sandbox";
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x02\x80\0\0\x01\xe0\x08\x06\0\0\0";

/// A public photo of somebody, announced, sent and registered; its id and key.
async fn photo(shop: &Shop, who: &Who) -> (String, String) {
    let wanted = json!({ "filename": "my photo.png", "contentType": "image/png", "visibility": "public" });
    let told = shop.post(who, "files/presigned-url", wanted).await.is(200);
    let key = told.text("/key");
    arrive(shop, &key, PNG).await;
    let said = json!({ "alt": "a cat", "tags": ["cat"], "custom": { "n": 1 } });
    let register =
        json!({ "s3Key": key, "originalName": "Photo.png", "mimeType": "image/png", "size": 1, "metadata": said });
    shop.post(who, "files", register).await.is(201);
    (told.text("/fileId"), key)
}

#[tokio::test]
async fn a_file_is_announced_sent_and_registered() {
    let shop = Shop::new().await;
    let (ann, bob) = (shop.person("ann"), shop.person("bob"));
    let wanted = json!({ "filename": "my photo.png", "contentType": "image/png", "fileSize": PNG.len(), "visibility": "public", "category": "images" });
    let told = shop.post(&ann, "files/presigned-url", wanted).await.is(200);
    let (key, id) = (told.text("/key"), told.text("/fileId"));
    assert!(
        told.text("/url")
            .starts_with(&format!("https://files.test/shop-dev/{key}?")),
        "{}",
        told.text("/url")
    );
    assert_eq!(
        (told.text("/filename"), told.text("/method")),
        ("my photo.png".into(), "PUT".into())
    );
    assert_eq!(told.field("/data/key"), told.field("/key"));
    assert_eq!(told.field("/maxSize"), json!(PNG.len()));
    assert!(key.ends_with("/my-photo.png"), "{key}");
    // Announced only: its owner sees it, nobody else does, and it is in no list.
    assert_eq!(
        shop.get(&ann, &format!("files/{id}")).await.is(200).text("/status"),
        "pending"
    );
    shop.get(&bob, &format!("files/{id}"))
        .await
        .refused(403, "file/access-denied");
    let register = json!({ "s3Key": key, "originalName": "Photo.png", "mimeType": "image/png", "size": 1, "bucket": "images", "metadata": { "alt": "a cat", "tags": ["cat"], "custom": { "n": 1 } } });
    shop.post(&ann, "files", register.clone())
        .await
        .refused(409, "file/invalid-state");

    arrive(&shop, &key, PNG).await;
    shop.post(&bob, "files", register.clone())
        .await
        .refused(403, "file/access-denied");
    let file = shop.post(&ann, "files", register.clone()).await.is(201);
    assert_eq!(file.field("/size"), json!(PNG.len()));
    assert_eq!((file.field("/width"), file.field("/height")), (json!(640), json!(480)));
    assert_eq!(
        (file.text("/ownerId"), file.text("/ownerType")),
        ("ann".into(), "user".into())
    );
    assert_eq!(file.text("/url"), format!("https://files.test/shop-dev/{key}"));
    shop.post(&ann, "files", register)
        .await
        .refused(409, "file/s3-key-already-exists");
}

#[tokio::test]
async fn a_file_is_changed_deleted_and_brought_back() {
    let shop = Shop::new().await;
    let (ann, bob) = (shop.person("ann"), shop.person("bob"));
    let (id, key) = photo(&shop, &ann).await;
    let seen = shop.get(&bob, &format!("files/{id}")).await.is(200);
    assert_eq!(seen.field("/metadata"), json!({ "alt": "a cat", "tags": ["cat"] }));
    assert_eq!(
        (seen.field("/ownerId"), seen.text("/originalName")),
        (Value::Null, "Photo.png".into())
    );
    let more = json!({ "metadata": { "description": "black", "alt": null } });
    let file = change(&shop, &ann, &format!("files/{id}"), more).await.is(200);
    assert_eq!(
        file.field("/metadata"),
        json!({ "description": "black", "tags": ["cat"], "custom": { "n": 1 } })
    );
    let file = change(
        &shop,
        &ann,
        &format!("files/{id}/visibility"),
        json!({ "visibility": "private" }),
    )
    .await
    .is(200);
    assert_eq!(
        (file.text("/visibility"), file.field("/url"), file.text("/key")),
        ("private".into(), Value::Null, key)
    );
    shop.get(&bob, &format!("files/{id}"))
        .await
        .refused(403, "file/access-denied");

    shop.ask(&ann, "DELETE", &format!("files/{id}"), &[], Vec::new())
        .await
        .is(200);
    shop.get(&ann, &format!("files/{id}"))
        .await
        .refused(404, "file/not-found");
    shop.ask(&ann, "DELETE", &format!("files/{id}"), &[], Vec::new())
        .await
        .refused(404, "file/not-found");
    shop.post(&ann, &format!("files/{id}/restore"), json!({})).await.is(200);
    assert_eq!(shop.get(&ann, &format!("files/{id}/content")).await.is(200).bytes, PNG);
    shop.ask(&ann, "DELETE", &format!("files/{id}?purge=true"), &[], Vec::new())
        .await
        .is(200);
    shop.post(&ann, &format!("files/{id}/restore"), json!({}))
        .await
        .refused(404, "file/not-found");
}

#[tokio::test]
async fn what_its_maker_never_registers_is_usable_once_it_is_looked_at() {
    let shop = Shop::new().await;
    let ann = shop.person("ann");
    let told = shop
        .post(
            &ann,
            "files/presigned-url",
            json!({ "filename": "a.txt", "contentType": "text/plain" }),
        )
        .await
        .is(200);
    let path = format!("files/{}", told.text("/fileId"));
    arrive(&shop, &told.text("/key"), b"words").await;
    assert_eq!(shop.get(&ann, &path).await.is(200).text("/status"), "received");
    for _ in 0..2 {
        let file = shop.post(&ann, &format!("{path}/complete"), json!({})).await.is(200);
        assert_eq!(
            (file.text("/status"), file.text("/visibility")),
            ("active".into(), "private".into())
        );
    }
}

#[tokio::test]
async fn bytes_are_served_in_ranges_on_conditions_and_never_as_a_page() {
    let shop = Shop::new().await;
    let ann = shop.person("ann");
    let id = shop.file(&ann, "private").await;
    let path = format!("files/{id}/content");
    let whole = shop.get(&ann, &path).await.is(200);
    assert_eq!(
        (whole.bytes.as_slice(), whole.header("content-type")),
        (b"some words".as_slice(), "text/plain")
    );
    assert_eq!(whole.header("content-disposition"), "inline; filename=\"note.txt\"");
    assert_eq!(
        (whole.header("accept-ranges"), whole.header("cache-control")),
        ("bytes", "private, no-cache")
    );
    assert_eq!(whole.header("content-security-policy"), POLICY);
    let etag = whole.header("etag").to_owned();
    let ranged = |headers: Vec<(&'static str, String)>| {
        let (shop, ann, path) = (&shop, &ann, &path);
        async move {
            let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
            shop.ask(ann, "GET", path, &headers, Vec::new()).await
        }
    };
    let part = ranged(vec![("range", "bytes=5-".into())]).await.is(206);
    assert_eq!(
        (part.bytes.as_slice(), part.header("content-range")),
        (b"words".as_slice(), "bytes 5-9/10")
    );
    assert_eq!(ranged(vec![("range", "bytes=-2".into())]).await.is(206).bytes, b"ds");
    assert_eq!(
        ranged(vec![("range", "bytes=5-".into()), ("if-range", "\"other\"".into())])
            .await
            .is(200)
            .bytes
            .len(),
        10
    );
    assert_eq!(
        ranged(vec![("range", "bytes=5-".into()), ("if-range", etag.clone())])
            .await
            .is(206)
            .bytes
            .len(),
        5
    );
    let past = ranged(vec![("range", "bytes=10-".into())]).await;
    assert_eq!(past.header("content-range"), "bytes */10");
    past.refused(416, "file/range-not-satisfiable");
    let known = ranged(vec![("if-none-match", etag.clone())]).await.is(304);
    assert_eq!((known.header("etag"), known.bytes.len()), (etag.as_str(), 0));
    ranged(vec![("if-match", "\"other\"".into())])
        .await
        .refused(412, "common/precondition-failed");
    let head = shop.ask(&ann, "HEAD", &path, &[], Vec::new()).await.is(200);
    assert_eq!((head.header("content-length"), head.bytes.len()), ("10", 0));
    let saved = shop.get(&ann, &format!("{path}?download=%D0%B9.txt")).await.is(200);
    assert_eq!(
        saved.header("content-disposition"),
        "attachment; filename=\"_.txt\"; filename*=UTF-8''%D0%B9.txt"
    );
}

#[tokio::test]
async fn a_page_is_saved_and_never_shown_whatever_it_was_said_to_be() {
    let shop = Shop::new().await;
    let ann = shop.person("ann");
    let page = "<!doctype html><script>alert(1)</script>";
    let drawing = "<svg xmlns=\"http://www.w3.org/2000/svg\" onload=\"alert(1)\"><script>alert(2)</script></svg>";
    for (name, declared, content, kind) in [
        ("a.html", "text/html", page, "text/html"),
        ("a.png", "image/png", page, "text/html"),
        ("b.svg", "image/svg+xml", page, "text/html"),
        ("a.svg", "image/svg+xml", drawing, "image/svg+xml"),
        ("b.png", "image/png", drawing, "image/svg+xml"),
    ] {
        let path = format!("files/upload?filename={name}&visibility=public");
        let send = [("content-type", declared)];
        let told = shop.ask(&ann, "POST", &path, &send, content.into()).await.is(201);
        let public = told.text("/publicUrl").split_once("/v1/").unwrap().1.to_owned();
        let path = format!("files/{}/content", told.text("/id"));
        for (who, path) in [(shop.guest(), path), (Vec::new(), public)] {
            let got = shop.get(&who, &path).await.is(200);
            assert_eq!(got.bytes, content.as_bytes());
            for (header, value) in [
                ("content-type", kind.to_owned()),
                ("content-disposition", format!("attachment; filename=\"{name}\"")),
                ("content-security-policy", POLICY.to_owned()),
            ] {
                assert_eq!(got.header(header), value, "{path}");
            }
        }
    }
}

#[tokio::test]
async fn shares_open_a_file_to_whom_they_name_until_they_are_taken_back() {
    let shop = Shop::new().await;
    let (ann, guest) = (shop.person("ann"), shop.guest());
    let id = shop.file(&ann, "private").await;
    let (path, shares) = (format!("files/{id}/content"), format!("files/{id}/shares"));
    let link = shop
        .post(&ann, &shares, json!({ "type": "link", "name": "for the press" }))
        .await
        .is(201);
    let token = link.text("/token");
    assert!(link.text("/url").ends_with(&format!("?drystone-share={token}")));
    shop.get(&guest, &path).await.refused(403, "file/access-denied");
    shop.get(&guest, &format!("{path}?drystone-share={token}"))
        .await
        .is(200);
    let told = shop.get(&ann, &shares).await.is(200);
    assert_eq!(
        (told.text("/shares/0/name"), told.field("/shares/0/token")),
        ("for the press".into(), Value::Null)
    );
    shop.post(&ann, &shares, json!({ "type": "group", "id": "bobs" }))
        .await
        .is(201);
    shop.post(
        &ann,
        &shares,
        json!({ "type": "email", "id": "Cid@shop.test", "access": "write" }),
    )
    .await
    .is(201);
    shop.get(&shop.person("bob"), &path).await.is(200);
    shop.ask(
        &ann,
        "DELETE",
        &format!("{shares}/{}", link.text("/shareId")),
        &[],
        Vec::new(),
    )
    .await
    .is(200);
    shop.get(&guest, &format!("{path}?drystone-share={token}"))
        .await
        .refused(403, "file/access-denied");
    shop.ask(&ann, "DELETE", &shares, &[], Vec::new()).await.is(200);
    shop.get(&shop.person("bob"), &path)
        .await
        .refused(403, "file/access-denied");
}

#[tokio::test]
async fn a_share_to_write_lets_other_bytes_in_and_nothing_else() {
    let shop = Shop::new().await;
    let ann = shop.person("ann");
    let id = shop.file(&ann, "private").await;
    let (path, shares) = (format!("files/{id}/content"), format!("files/{id}/shares"));
    let email = json!({ "type": "email", "id": "Cid@shop.test", "access": "write" });
    shop.post(&ann, &shares, email).await.is(201);
    shop.post(&ann, &shares, json!({ "type": "group", "id": "bobs" }))
        .await
        .is(201);
    let cid = shop.person("cid");
    shop.ask(
        &shop.person("bob"),
        "POST",
        &format!("files/{id}/replace"),
        &[("content-type", "text/plain")],
        b"x".to_vec(),
    )
    .await
    .refused(403, "file/access-denied");
    let told = shop
        .ask(
            &cid,
            "POST",
            &format!("files/{id}/replace"),
            &[("content-type", "text/plain")],
            b"by cid".to_vec(),
        )
        .await
        .is(200);
    assert_eq!((told.text("/id"), told.field("/size")), (id.clone(), json!(6)));
    change(&shop, &cid, &format!("files/{id}"), json!({ "originalName": "c.txt" }))
        .await
        .refused(403, "file/access-denied");
    let file = shop.get(&ann, &format!("files/{id}")).await.is(200);
    assert_eq!(
        (file.text("/ownerId"), file.text("/visibility")),
        ("ann".into(), "shared".into())
    );
    assert_eq!(shop.get(&ann, &path).await.is(200).bytes, b"by cid");
}

#[tokio::test]
async fn lists_are_filtered_sorted_and_paged() {
    let shop = Shop::new().await;
    let ann = shop.person("ann");
    for (name, kind, size) in [
        ("b.txt", "text/plain", 3),
        ("a.csv", "text/csv", 5),
        ("C.txt", "text/plain", 4),
    ] {
        let path = format!("files/upload?filename={name}&visibility=public&bucket=documents");
        shop.ask(&ann, "POST", &path, &[("content-type", kind)], vec![b'x'; size])
            .await
            .is(201);
    }
    shop.file(&shop.person("bob"), "private").await;
    let names = |query: &'static str| {
        let (shop, ann) = (&shop, &ann);
        async move {
            let told = shop.get(ann, &format!("files?{query}")).await.is(200);
            let items = told.field("/items").as_array().cloned().unwrap_or_default();
            let names = items
                .iter()
                .map(|item| item["originalName"].as_str().unwrap_or_default().to_owned());
            names.collect::<Vec<_>>().join(" ")
        }
    };
    assert_eq!(names("").await, "C.txt a.csv b.txt");
    assert_eq!(names("sortDirection=asc").await, "b.txt a.csv C.txt");
    assert_eq!(
        names("sortBy=originalName&sortDirection=asc").await,
        "a.csv b.txt C.txt"
    );
    assert_eq!(names("sortBy=size").await, "a.csv C.txt b.txt");
    assert_eq!(names("search=c.T").await, "C.txt");
    assert_eq!(names("sizeMin=4&sizeMax=4").await, "C.txt");
    assert_eq!(names("bucket=images").await, "");
    assert_eq!(
        names("ownerId=ann&ownerType=user&visibility=public&limit=1&page=2").await,
        "a.csv"
    );
    let first = shop.get(&ann, "files?limit=2").await.is(200);
    let expected = json!({ "total": 3, "page": 1, "limit": 2, "totalPages": 2, "hasNextPage": true, "hasPrevPage": false, "hasNext": true, "hasPrev": false });
    let mut told = first.field("/pagination");
    let cursor = told.as_object_mut().unwrap().remove("nextCursor").unwrap();
    assert_eq!(told, expected);
    let second = shop
        .get(&ann, &format!("files?limit=2&cursor={}", cursor.as_str().unwrap()))
        .await
        .is(200);
    assert_eq!(
        (second.text("/items/0/originalName"), second.field("/items/1")),
        ("b.txt".into(), Value::Null)
    );
    let usage = shop.get(&ann, "files/usage").await.is(200);
    assert_eq!(
        (
            usage.field("/bytes"),
            usage.field("/count"),
            usage.text("/buckets/0/bucket")
        ),
        (json!(12), json!(3), "documents".into())
    );
}

#[tokio::test]
async fn a_form_brings_a_file_and_what_is_said_of_it() {
    let shop = Shop::new().await;
    let form = "--b\r\ncontent-disposition: form-data; name=\"visibility\"\r\n\r\npublic\r\n--b\r\ncontent-disposition: form-data; \
                name=\"metadata\"\r\n\r\n{\"alt\":\"a\"}\r\n--b\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\
                content-type: text/plain\r\n\r\nin a form\r\n--b--\r\n";
    let kind = [("content-type", "multipart/form-data; boundary=b")];
    let told = shop
        .ask(&shop.server(), "POST", "files/upload", &kind, form.as_bytes().to_vec())
        .await
        .is(201);
    assert_eq!(
        (
            told.text("/visibility"),
            told.text("/ownerType"),
            told.text("/metadata/alt")
        ),
        ("public".into(), "service".into(), "a".into())
    );
    let got = shop
        .get(&shop.guest(), &format!("files/{}/content", told.text("/id")))
        .await
        .is(200);
    assert_eq!(got.bytes, b"in a form");
    // Nothing stays of what was not taken.
    let digest = [
        ("content-type", "text/plain"),
        ("repr-digest", "sha-256=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:"),
    ];
    let told = shop
        .ask(
            &shop.server(),
            "POST",
            "files/upload?filename=a.txt",
            &digest,
            b"x".to_vec(),
        )
        .await;
    told.refused(400, "file/digest-mismatch");
    assert_eq!(
        shop.get(&shop.server(), "files?state=pending")
            .await
            .is(200)
            .field("/pagination/total"),
        json!(0)
    );
}

#[tokio::test]
async fn many_addresses_are_given_out_at_once_and_each_fails_alone() {
    let shop = Shop::new().await;
    let ann = shop.person("ann");
    let (mine, theirs) = (
        shop.file(&ann, "private").await,
        shop.file(&shop.person("bob"), "private").await,
    );
    let told = shop
        .post(
            &ann,
            "files/download-urls",
            json!({ "ids": [mine, theirs, "none"], "expiresIn": 600 }),
        )
        .await
        .is(200);
    assert!(told.text("/items/0/url").starts_with("https://files.test/shop-dev/"));
    assert_eq!(told.text("/items/1/error/code"), "file/access-denied");
    assert_eq!(told.text("/items/2/error/code"), "file/not-found");
    let one = shop
        .post(&ann, &format!("files/{mine}/download-url"), json!({}))
        .await
        .is(200);
    assert_eq!(
        (one.text("/filename"), one.field("/size")),
        ("note.txt".into(), json!(10))
    );
    assert!(one.text("/expiresAt").ends_with('Z'));
    shop.post(&ann, &format!("files/{mine}/revoke-urls"), json!({}))
        .await
        .is(200);
}

#[tokio::test]
async fn an_address_takes_one_post_and_no_second_one() {
    let shop = Shop::new().await;
    let ann = shop.person("ann");
    let told = shop.post(&ann, "files/upload-url", json!({})).await.is(200);
    let url = told.text("/uploadUrl");
    let path = url.strip_prefix("https://files.test/v1/").unwrap();
    let kind = [("content-type", "text/plain")];
    let nobody = Vec::new();
    let forged = path.replace("X-Amz-Security-Token=", "X-Amz-Security-Token=A");
    shop.ask(&nobody, "POST", &forged, &kind, b"words".to_vec())
        .await
        .refused(403, "file/access-denied");
    let digest = [
        kind[0],
        ("digest", "sha-256=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="),
    ];
    shop.ask(&nobody, "POST", path, &digest, b"words".to_vec())
        .await
        .refused(400, "file/digest-mismatch");
    let stored = shop.ask(&nobody, "POST", path, &kind, b"words".to_vec()).await.is(200);
    assert_eq!(
        (stored.text("/storageId"), stored.field("/size")),
        (told.text("/fileId"), json!(5))
    );
    assert_eq!(stored.text("/contentType"), "text/plain");
    shop.ask(&nobody, "POST", path, &kind, b"again".to_vec())
        .await
        .refused(409, "file/invalid-state");
    let got = shop
        .get(&ann, &format!("files/{}/content", told.text("/fileId")))
        .await
        .is(200);
    assert_eq!(got.bytes, b"words");
}

#[tokio::test]
async fn an_address_to_read_from_says_how_often_it_may_be_used_and_what_it_shows() {
    let shop = Shop::new().await;
    let ann = shop.person("ann");
    let (id, key) = photo(&shop, &ann).await;
    let path = format!("files/{id}/download-url");
    let once = shop.post(&ann, &path, json!({ "oneTime": true })).await.is(200);
    assert_eq!(once.field("/maxDownloads"), json!(1));
    let again = shop.post(&ann, &path, json!({ "oneTime": true })).await.is(200);
    assert_ne!(once.text("/url"), again.text("/url"));
    let free = shop.post(&ann, &path, json!({})).await.is(200);
    assert_eq!(free.field("/maxDownloads"), Value::Null);

    let preset = NewImages {
        new_key: false,
        presets: Some([("card".to_owned(), "fit-in/400x300".to_owned())].into()),
        ..NewImages::default()
    };
    let of = OfProject::new("shop", "dev");
    shop.projects.set_images(of.clone(), preset).await.unwrap();
    for transform in ["p/card", "fit-in/400x300"] {
        let told = shop.post(&ann, &path, json!({ "transform": transform })).await.is(200);
        let expected = format!("https://files.test/v1/img/shop/dev/fit-in/400x300/{key}?X-Amz-");
        assert!(told.text("/url").starts_with(&expected), "{}", told.text("/url"));
        assert_eq!(told.text("/transform"), "fit-in/400x300");
    }
    // With a key its URL is signed, and none of those of which a file has only so many.
    let keyed = NewImages {
        new_key: true,
        signed_only: Some(true),
        ..NewImages::default()
    };
    let secret = shop.projects.set_images(of.clone(), keyed).await.unwrap().unwrap();
    let told = shop.post(&ann, &path, json!({ "transform": "30x20" })).await.is(200);
    let signed = format!("30x20/{key}");
    let expected = format!(
        "https://files.test/v1/img/shop/dev/{}/{signed}?X-Amz-",
        signature(&secret, &signed)
    );
    assert!(told.text("/url").starts_with(&expected), "{}", told.text("/url"));
    let note = shop.file(&ann, "private").await;
    shop.post(
        &ann,
        &format!("files/{note}/download-url"),
        json!({ "transform": "30x20" }),
    )
    .await
    .refused(400, "file/invalid-format");
}

#[tokio::test]
async fn bytes_are_held_to_the_sha256_that_was_announced() {
    let shop = Shop::new().await;
    let ann = shop.person("ann");
    let hash = crate::auth::sha256(PNG);
    let hex = hex_simd::encode_to_string(hash, hex_simd::AsciiCase::Lower);
    let base64 = base64_simd::STANDARD.encode_to_string(hash);
    let wanted = |sha256: &str| json!({ "filename": "a.png", "contentType": "image/png", "sha256": sha256 });
    for said in [hex.as_str(), base64.as_str()] {
        let told = shop.post(&ann, "files/presigned-url", wanted(said)).await.is(200);
        arrive(&shop, &told.text("/key"), PNG).await;
        let path = format!("files/{}", told.text("/fileId"));
        assert_eq!(
            shop.post(&ann, &format!("{path}/complete"), json!({}))
                .await
                .is(200)
                .text("/sha256"),
            hex
        );
        // It was said of the first bytes, and not of those that take their place.
        let send = [("content-type", "image/png")];
        let other = [PNG, b"more"].concat();
        shop.ask(&ann, "POST", &format!("{path}/replace"), &send, other)
            .await
            .is(200);
    }
    let told = shop
        .post(&ann, "files/presigned-url", wanted(&"0".repeat(64)))
        .await
        .is(200);
    arrive(&shop, &told.text("/key"), PNG).await;
    let path = format!("files/{}/complete", told.text("/fileId"));
    shop.post(&ann, &path, json!({}))
        .await
        .refused(400, "file/sha256-mismatch");
    let key = ObjectKey::parse(told.text("/key")).unwrap();
    let get = storage_engine::store::object::get::GetObject {
        bucket: bucket(),
        key,
        version: None,
        selection: storage_engine::store::object::get::Selection::Whole,
        conditions: Default::default(),
    };
    assert!(shop.store.head_object(&get).await.is_err(), "its bytes are gone");
    let relay = format!("files/upload?filename=a.png&sha256={}", "0".repeat(64));
    shop.ask(&ann, "POST", &relay, &[("content-type", "image/png")], PNG.to_vec())
        .await
        .refused(400, "file/sha256-mismatch");
}

#[tokio::test]
async fn a_file_is_asked_to_end_by_itself() {
    let shop = Shop::new().await;
    let ann = shop.person("ann");
    let ends = async |id: &str| {
        let id = storage_engine::store::files::FileId::parse(id).unwrap();
        let (file, _) = shop.store.file(&bucket(), &id).await.unwrap().unwrap();
        file.expires.map(|ends| (ends.millis() - file.created.millis()) / 1_000)
    };
    let wanted = json!({ "filename": "a.png", "contentType": "image/png", "deleteAfter": 90, "bucket": "temp" });
    let told = shop.post(&ann, "files/presigned-url", wanted).await.is(200);
    assert_eq!(ends(&told.text("/fileId")).await, Some(90));
    let told = shop
        .ask(
            &ann,
            "POST",
            "files/upload?filename=a.txt&deleteAfter=30",
            &[("content-type", "text/plain")],
            b"x".to_vec(),
        )
        .await
        .is(201);
    assert_eq!(ends(&told.text("/id")).await, Some(30));
    let told = shop.post(
        &ann,
        "files/presigned-url",
        json!({ "filename": "a.png", "contentType": "image/png" }),
    );
    let told = told.await.is(200);
    assert_eq!(ends(&told.text("/fileId")).await, None);
    arrive(&shop, &told.text("/key"), PNG).await;
    let register = json!({
        "s3Key": told.text("/key"), "originalName": "a.png", "mimeType": "image/png", "size": 1, "deleteAfter": 3_600,
    });
    shop.post(&ann, "files", register).await.is(201);
    let after = ends(&told.text("/fileId")).await.unwrap();
    assert!((3_600..3_660).contains(&after), "{after}");
}

#[tokio::test]
async fn a_project_is_answered_in_the_form_it_asks_for() {
    let shop = Shop::new().await;
    let ann = shop.person("ann");
    let wanted = json!({ "filename": "a.png", "contentType": "image/png" });
    for (envelope, wrapped) in [(Envelope::Bare, false), (Envelope::Both, true)] {
        shop.projects.set_envelope("shop", envelope).await.unwrap();
        let told = shop.post(&ann, "files/presigned-url", wanted.clone()).await.is(200);
        assert!(!told.text("/key").is_empty());
        assert_eq!(told.field("/success") == json!(true), wrapped);
        assert_eq!(told.field("/data/key") == told.field("/key"), wrapped);
        // Also where no key says whose answer it is.
        let address = shop
            .post(&ann, "files/upload-url", wanted.clone())
            .await
            .is(200)
            .text("/uploadUrl");
        let path = address.split_once("/v1/").unwrap().1.to_owned();
        let send = [("content-type", "image/png")];
        let told = shop.ask(&Vec::new(), "POST", &path, &send, PNG.to_vec()).await.is(200);
        assert_eq!(told.field("/success") == json!(true), wrapped);
    }
}
