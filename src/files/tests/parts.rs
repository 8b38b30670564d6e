//! Files in parts, also as Companion tells them.

use serde_json::json;
use storage_engine::store::body::NewBody;
use storage_engine::store::multipart::part::PartPlace;
use storage_engine::store::name::{ObjectKey, PartNumber, UploadId};

use super::{Shop, bucket};

#[tokio::test]
async fn companion_gives_a_form_for_a_file_in_one_piece() {
    let shop = Shop::new().await;
    let ann = shop.person("ann");
    let path = "s3/params?filename=a.txt&type=text/plain&metadata[name]=a.txt&metadata[alt]=a%20cat&visibility=public";
    let form = shop.get(&ann, path).await.is(200);
    assert_eq!(
        (form.text("/method"), form.text("/url"), form.field("/expires")),
        ("POST".to_owned(), "https://files.test/shop-dev".to_owned(), json!(900))
    );
    assert_eq!(form.text("/fields/Content-Type"), "text/plain");
    assert!(!form.text("/fields/policy").is_empty(), "{form:?}");
    let key = form.text("/fields/key");
    let (_, file, _) = shop.store.file_of_key(&bucket(), &key).await.unwrap().unwrap();
    assert_eq!(file.name, "a.txt");
    let told = shop.get(&ann, "files?state=pending").await.is(200);
    assert_eq!(
        told.field("/items/0/metadata"),
        json!({ "alt": "a cat", "custom": { "name": "a.txt" } })
    );
    for (wrong, code) in [
        ("s3/params", "common/invalid-request"),
        ("s3/params?filename=a/b", "file/invalid-path"),
        ("s3/params?filename=a&type=words", "file/invalid-format"),
    ] {
        shop.get(&ann, wrong).await.refused(400, code);
    }
}

#[tokio::test]
async fn companion_brings_a_file_in_parts_and_finds_what_arrived() {
    let shop = Shop::new().await;
    let ann = shop.person("ann");
    let asked =
        json!({ "filename": "a.bin", "type": "application/x-own", "metadata": { "name": "a.bin", "alt": "a cat" } });
    let begun = shop.post(&ann, "s3/multipart", asked).await.is(200);
    let (upload, key) = (begun.text("/uploadId"), begun.text("/key"));
    assert_eq!(
        begun.json(),
        json!({ "key": key, "uploadId": upload, "bucket": "shop-dev" })
    );
    let path = format!("s3/multipart/{upload}");
    let url = shop.get(&ann, &format!("{path}/1?key={key}")).await.is(200);
    assert!(url.text("/url").contains("partNumber=1&uploadId="), "{url:?}");
    assert_eq!(url.field("/expires"), json!(900));
    let urls = shop.get(&ann, &format!("{path}/batch?partNumbers=2,3")).await.is(200);
    assert!(
        urls.text("/presignedUrls/3").contains("partNumber=3&uploadId="),
        "{urls:?}"
    );
    for (wrong, code) in [
        ("0", "file/invalid-part-number-range"),
        ("10001", "file/invalid-part-number-range"),
        ("x", "file/invalid-part-number-range"),
        ("batch", "file/invalid-part-number-range"),
        ("batch?partNumbers=1,x", "file/invalid-part-number-range"),
        ("1?key=another", "common/invalid-request"),
    ] {
        shop.get(&ann, &format!("{path}/{wrong}")).await.refused(400, code);
    }
    let place = PartPlace {
        bucket: bucket(),
        key: ObjectKey::parse(key.clone()).unwrap(),
        upload: UploadId::parse(&upload[32..]).unwrap(),
        number: PartNumber::new(1).unwrap(),
    };
    let part = NewBody::from_bytes("part one");
    shop.store.upload_part(&place, part).await.unwrap();
    let parts = shop.get(&ann, &path).await.is(200);
    let etag = parts.text("/0/ETag");
    assert_eq!(parts.json(), json!([{ "PartNumber": 1, "ETag": etag, "Size": 8 }]));
    let complete = format!("{path}/complete?key={key}");
    for wrong in [json!({}), json!({ "parts": [{ "partNumber": 1, "etag": etag }] })] {
        assert_eq!(shop.post(&ann, &complete, wrong).await.status, 400);
    }
    let named = json!({ "parts": [{ "PartNumber": 1, "ETag": etag }] });
    let done = shop.post(&ann, &complete, named).await.is(200);
    let location = format!("https://files.test/shop-dev/{key}");
    assert_eq!(
        done.json(),
        json!({ "location": location, "key": key, "bucket": "shop-dev" })
    );
    let listed = shop.get(&ann, "files").await.is(200);
    assert_eq!(
        listed.field("/items/0/metadata"),
        json!({ "alt": "a cat", "custom": { "name": "a.bin" } })
    );
    // Given up, an upload takes its file along.
    let asked = json!({ "filename": "b.bin" });
    let begun = shop.post(&ann, "s3/multipart", asked).await.is(200);
    let path = format!("s3/multipart/{}", begun.text("/uploadId"));
    let gone = shop.ask(&ann, "DELETE", &path, &[], Vec::new()).await.is(200);
    assert_eq!(gone.json(), json!({}));
    shop.get(&ann, &path).await.refused(404, "file/upload-not-found");
}

#[tokio::test]
async fn a_file_comes_in_parts() {
    let shop = Shop::new().await;
    let ann = shop.person("ann");
    let told = shop
        .post(
            &ann,
            "files/multipart/init",
            json!({ "filename": "a.bin", "contentType": "application/x-own" }),
        )
        .await
        .is(200);
    let (upload, key) = (told.text("/uploadId"), told.text("/key"));
    let part = json!({ "key": key, "uploadId": upload, "partNumber": 1 });
    let url = shop.post(&ann, "files/multipart/presigned-url", part).await.is(200);
    assert!(
        url.text("/url").contains("partNumber=1&uploadId="),
        "{}",
        url.text("/url")
    );
    let urls = shop
        .post(
            &ann,
            "files/multipart/presigned-urls",
            json!({ "uploadId": upload, "partNumbers": [2, 3] }),
        )
        .await
        .is(200);
    assert_eq!(urls.field("/urls/1/partNumber"), json!(3));
    let place = PartPlace {
        bucket: bucket(),
        key: ObjectKey::parse(key.clone()).unwrap(),
        upload: UploadId::parse(&upload[32..]).unwrap(),
        number: PartNumber::new(1).unwrap(),
    };
    shop.store
        .upload_part(&place, NewBody::from_bytes("part one"))
        .await
        .unwrap();
    let parts = shop.get(&ann, &format!("files/multipart/{upload}/parts")).await.is(200);
    assert_eq!(
        (parts.field("/parts/0/partNumber"), parts.field("/parts/0/size")),
        (json!(1), json!(8))
    );
    let named =
        json!({ "key": key, "uploadId": upload, "parts": [{ "partNumber": 1, "etag": parts.text("/parts/0/etag") }] });
    for _ in 0..2 {
        let done = shop.post(&ann, "files/multipart/complete", named.clone()).await.is(200);
        assert_eq!(done.text("/location"), format!("https://files.test/shop-dev/{key}"));
    }
    let id = told.text("/fileId");
    assert_eq!(
        shop.get(&ann, &format!("files/{id}/content")).await.is(200).bytes,
        b"part one"
    );
    // Given up, an upload takes its file along.
    let told = shop
        .post(
            &ann,
            "files/multipart/initiate",
            json!({ "filename": "a.bin", "contentType": "a/b" }),
        )
        .await
        .is(200);
    let path = format!("files/multipart/{}/abort", told.text("/uploadId"));
    let gone = shop.post(&ann, &path, json!({})).await.is(200);
    assert_eq!(
        (gone.field("/success"), gone.field("/key")),
        (json!(true), told.field("/key"))
    );
    shop.post(&ann, &path, json!({}))
        .await
        .refused(404, "file/upload-not-found");
}
