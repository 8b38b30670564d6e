//! Files by their public ids: who reads them, as what, for how long it is kept, and when they are not there.

use serde_json::{Value, json};
use storage_engine::store::name::BucketName;

use super::{Shop, Told, Who, bucket};

const NOBODY: &Who = &Vec::new();
const LASTING: &str = "public, max-age=31536000, immutable";
const SHORT: &str = "public, max-age=3600, s-maxage=60";

async fn level(shop: &Shop, file: &str, visibility: &str) -> Told {
    let level = json!({ "visibility": visibility }).to_string().into_bytes();
    let path = format!("files/{file}/visibility");
    shop.ask(&shop.person("ann"), "PATCH", &path, &[], level).await.is(200)
}

/// What stands below `/v1/` in the public URL of a file, which is public then; without and with its version.
async fn address(shop: &Shop, file: &str) -> (String, String) {
    let url = level(shop, file, "public").await.text("/publicUrl");
    let path = url.strip_prefix("https://files.test/v1/").expect(&url).to_owned();
    let plain = path.split_once('?').unwrap().0.to_owned();
    (plain, path)
}

#[tokio::test]
async fn anybody_reads_a_public_file_by_its_public_id_with_ranges_and_conditions() {
    let shop = Shop::new().await;
    let file = shop.file(&shop.person("ann"), "public").await;
    let (plain, versioned) = address(&shop, &file).await;
    let told = shop.get(NOBODY, &versioned).await.is(200);
    assert_eq!(told.bytes, b"some words");
    for (name, value) in [
        ("content-type", "text/plain"),
        ("content-disposition", "inline; filename=\"note.txt\""),
        ("cache-control", LASTING),
        ("accept-ranges", "bytes"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-resource-policy", "cross-origin"),
        ("vary", ""),
    ] {
        assert_eq!(told.header(name), value, "{name}");
    }
    assert!(told.header("content-security-policy").ends_with("sandbox"));
    let etag = told.header("etag").to_owned();

    let head = shop.ask(NOBODY, "HEAD", &plain, &[], Vec::new()).await.is(200);
    assert_eq!((head.bytes.len(), head.header("content-length")), (0, "10"));
    assert_eq!(head.header("cache-control"), SHORT);
    let part = shop
        .ask(NOBODY, "GET", &plain, &[("range", "bytes=5-")], Vec::new())
        .await;
    let part = part.is(206);
    assert_eq!(
        (part.bytes.as_slice(), part.header("content-range")),
        (b"words".as_slice(), "bytes 5-9/10")
    );
    let known = [("if-none-match", etag.as_str())];
    let known = shop.ask(NOBODY, "GET", &versioned, &known, Vec::new()).await.is(304);
    assert_eq!((known.bytes.len(), known.header("cache-control")), (0, LASTING));
    let beyond = [("range", "bytes=10-")];
    let beyond = shop.ask(NOBODY, "GET", &versioned, &beyond, Vec::new()).await;
    assert_eq!(beyond.header("cache-control"), "no-store");
    beyond.refused(416, "file/range-not-satisfiable");
    let other = [("if-match", "\"0\"")];
    let other = shop.ask(NOBODY, "GET", &plain, &other, Vec::new()).await;
    other.refused(412, "common/precondition-failed");

    let (id, _) = plain.rsplit_once('/').unwrap();
    let named = shop.get(NOBODY, &format!("{id}/any%20thing.html")).await.is(200);
    assert_eq!(named.header("content-disposition"), "inline; filename=\"note.txt\"");
    let saved = shop.get(NOBODY, &format!("{plain}?download=1")).await.is(200);
    assert_eq!(saved.header("content-disposition"), "attachment; filename=\"note.txt\"");
    for wrong in ["?v=", "?v=0", "?v=0000000000000000"] {
        let told = shop.get(NOBODY, &format!("{plain}{wrong}")).await.is(200);
        assert_eq!(told.header("cache-control"), SHORT, "{wrong}");
    }
    // What a request brings says nothing here.
    let wrong = vec![("x-api-key", "pk_none".to_owned())];
    shop.get(&wrong, &plain).await.is(200);
    shop.ask(NOBODY, "POST", &plain, &[], Vec::new())
        .await
        .refused(405, "common/method-not-allowed");
    shop.get(NOBODY, id).await.refused(404, "common/not-found");
}

#[tokio::test]
async fn what_is_not_public_is_not_there_for_anybody() {
    let shop = Shop::new().await;
    let ann = shop.person("ann");
    let file = shop.file(&ann, "public").await;
    let (plain, versioned) = address(&shop, &file).await;
    let callers = [
        Vec::new(),
        shop.guest(),
        ann.clone(),
        shop.person_as("eve", "admin"),
        shop.server(),
    ];
    for visibility in ["private", "protected", "shared"] {
        let told = level(&shop, &file, visibility).await;
        assert_eq!(
            (told.field("/publicUrl"), told.field("/url")),
            (Value::Null, Value::Null)
        );
        for who in &callers {
            for path in [&plain, &versioned] {
                let told = shop.get(who, path).await;
                assert_eq!(told.header("cache-control"), "no-store");
                told.refused(404, "file/not-found");
            }
        }
    }
    level(&shop, &file, "public").await;
    shop.get(NOBODY, &versioned).await.is(200);

    shop.ask(&ann, "DELETE", &format!("files/{file}"), &[], Vec::new())
        .await
        .is(200);
    shop.get(NOBODY, &versioned).await.refused(404, "file/not-found");
    shop.post(&ann, &format!("files/{file}/restore"), json!({}))
        .await
        .is(200);
    shop.get(NOBODY, &versioned).await.is(200);
    shop.ask(&ann, "DELETE", &format!("files/{file}?purge=true"), &[], Vec::new())
        .await
        .is(200);
    shop.get(NOBODY, &versioned).await.refused(404, "file/not-found");

    let pending = json!({ "filename": "a.png", "contentType": "image/png", "visibility": "public" });
    let pending = shop
        .post(&ann, "files/presigned-url", pending)
        .await
        .is(200)
        .text("/fileId");
    let told = shop.get(&ann, &format!("files/{pending}")).await.is(200);
    assert_eq!(told.field("/publicUrl"), Value::Null);
}

#[tokio::test]
async fn no_other_id_opens_a_file() {
    let shop = Shop::new().await;
    let ann = shop.person("ann");
    let (one, two) = (shop.file(&ann, "public").await, shop.file(&ann, "public").await);
    let one = address(&shop, &one).await.0;
    let two = address(&shop, &two).await.0;
    let (front, coded) = one.rsplit_once('.').unwrap().0.rsplit_once('.').unwrap();
    let coded = coded.strip_suffix("/note").unwrap();
    let of_two = two.strip_prefix("pub/shop-dev.").unwrap();
    let flipped = |at: usize| {
        let mut coded = coded.as_bytes().to_vec();
        coded[at] = if coded[at] == b'A' { b'B' } else { b'A' };
        String::from_utf8(coded).unwrap()
    };
    assert_eq!((front, coded.len()), ("pub/shop-dev", 43));
    shop.get(NOBODY, &format!("{front}.{coded}/x")).await.is(200);
    for wrong in [
        // The secret of another file, of none, and none at all.
        format!("{front}.{}{}/x", &coded[..22], &of_two[22..43]),
        format!("{front}.{}/x", flipped(22)),
        format!("{front}.{}/x", flipped(41)),
        format!("{front}.{}/x", &coded[..22]),
        // Another file with the same secret, and another bucket.
        format!("{front}.{}/x", flipped(0)),
        format!("pub/shop-prod.{coded}/x"),
        format!("pub/.{coded}/x"),
        format!("pub/{coded}/x"),
        format!("pub/..%2F..%2Fshop-dev.{coded}/x"),
    ] {
        shop.get(NOBODY, &wrong).await.refused(404, "file/not-found");
    }
}

#[tokio::test]
async fn a_version_in_the_url_is_that_of_the_bytes_which_stand_there() {
    let shop = Shop::new().await;
    let ann = shop.person("ann");
    let file = shop.file(&ann, "public").await;
    let (plain, before) = address(&shop, &file).await;
    let kind = [("content-type", "text/html")];
    let page = b"<!DOCTYPE html><script>alert(1)</script>".to_vec();
    let told = shop
        .ask(&ann, "POST", &format!("files/{file}/replace"), &kind, page)
        .await;
    let after = told.is(200).text("/publicUrl");
    let after = after.strip_prefix("https://files.test/v1/").unwrap();
    assert!(after.starts_with(&plain) && after != before, "{after}");
    let told = shop.get(NOBODY, after).await.is(200);
    assert_eq!(told.header("cache-control"), LASTING);
    assert!(told.header("content-type").starts_with("text/html"));
    assert!(told.header("content-disposition").starts_with("attachment;"));
    let told = shop.get(NOBODY, &before).await.is(200);
    assert!(told.bytes.starts_with(b"<!DOCTYPE"));
    assert_eq!(told.header("cache-control"), SHORT, "other bytes than the URL was for");
}

#[tokio::test]
async fn policies_of_the_bucket_close_public_files_and_open_no_others() {
    let shop = Shop::new().await;
    let file = shop.file(&shop.person("ann"), "public").await;
    let path = address(&shop, &file).await.1;
    let set = async |policy: Option<Value>| {
        let text = policy.map(|statement| {
            let mut statement = statement;
            statement["Principal"] = json!("*");
            statement["Resource"] = json!("arn:aws:s3:::shop-dev/*");
            json!({ "Version": "2012-10-17", "Statement": [statement] }).to_string()
        });
        let bucket = bucket();
        let change = shop
            .store
            .change_settings(&bucket, |settings| settings.policy.clone_from(&text));
        change.await.unwrap();
    };
    set(Some(json!({ "Effect": "Deny", "Action": "s3:GetObject" }))).await;
    shop.get(NOBODY, &path).await.refused(404, "file/not-found");
    set(Some(json!({ "Effect": "Allow", "Action": "s3:GetObject" }))).await;
    shop.get(NOBODY, &path).await.is(200);
    level(&shop, &file, "private").await;
    shop.get(NOBODY, &path).await.refused(404, "file/not-found");
    set(None).await;
    let elsewhere = BucketName::parse("shop-prod").unwrap();
    assert!(shop.projects.anybody(&elsewhere).unwrap().is_none());
}
