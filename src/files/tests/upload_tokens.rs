//! Upload tokens: what somebody may do who has nothing but one.

use serde_json::{Value, json};
use storage_engine::store::projects::OfProject;

use super::{Shop, Told, Who};
use crate::projects::LogicalBucket;

const GIF: &[u8] = b"GIF89a\x0A\0\x14\0\0\0\0;";

fn gif() -> Value {
    json!({ "filename": "a.gif", "contentType": "image/gif" })
}

async fn upload(shop: &Shop, who: &Who, query: &str, bytes: &[u8]) -> Told {
    let path = format!("files/upload?filename=a.gif{query}");
    shop.ask(who, "POST", &path, &[("content-type", "image/gif")], bytes.to_vec())
        .await
}

#[tokio::test]
async fn a_token_makes_as_many_files_as_it_says_whoever_races_and_however_they_are_begun() {
    let shop = Shop::new().await;
    let who = shop.uploader(json!({ "maxFiles": 3 })).await;
    let told = futures::future::join_all((0..8).map(|_| upload(&shop, &who, "", GIF))).await;
    let made = told.iter().filter(|told| told.status == 201).count();
    assert_eq!(made, 3);
    for told in told.into_iter().filter(|told| told.status != 201) {
        told.refused(403, "file/upload-token-used-up");
    }
    for path in ["files/presigned-url", "files/upload-url", "files/multipart/init"] {
        shop.post(&who, path, gif())
            .await
            .refused(403, "file/upload-token-used-up");
    }
    let tus = [
        ("tus-resumable", "1.0.0"),
        ("upload-length", "5"),
        ("upload-metadata", "filetype aW1hZ2UvZ2lm"),
    ];
    shop.ask(&who, "POST", "tus", &tus, Vec::new())
        .await
        .refused(403, "file/upload-token-used-up");
}

#[tokio::test]
async fn a_token_lets_what_it_names_and_nothing_else_be_said_of_its_files() {
    let shop = Shop::new().await;
    let said = json!({
        "sub": "ann", "issuer": "own", "contentTypes": ["image/*"], "maxFileSize": 20, "bucket": "avatars",
        "category": "images", "visibility": "public", "op": "newAvatar",
    });
    let who = shop.uploader(said).await;
    let file = upload(&shop, &who, "", GIF).await.is(201);
    assert_eq!(
        (file.text("/ownerId"), file.text("/visibility")),
        ("ann".into(), "public".into())
    );
    assert_eq!(file.text("/metadata/operation"), "newAvatar");
    // It is ann's, who has it with a token of her own.
    let seen = shop
        .get(&shop.person("ann"), &format!("files/{}", file.text("/id")))
        .await
        .is(200);
    assert_eq!(seen.text("/bucket"), "avatars");
    for (more, code) in [
        (json!({ "visibility": "private" }), "file/access-denied"),
        (json!({ "bucket": "documents" }), "file/access-denied"),
        (json!({ "category": "media" }), "file/access-denied"),
        (json!({ "fileSize": 21 }), "file/file-too-large"),
        (json!({ "contentType": "text/plain" }), "file/invalid-format"),
    ] {
        let mut fields = gif();
        fields
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let told = shop.post(&who, "files/presigned-url", fields).await;
        assert_eq!(told.code(), code, "{more}");
    }
    let same = json!({ "filename": "a.gif", "contentType": "image/gif", "visibility": "public", "bucket": "avatars" });
    let told = shop.post(&who, "files/presigned-url", same).await.is(200);
    assert_eq!(told.field("/maxSize"), json!(20));
    upload(&shop, &who, "", &[GIF, b"and more than that"].concat())
        .await
        .refused(413, "file/too-large");
    // What it does not name is not the sender's to choose either.
    let plain = shop.uploader(json!({})).await;
    let mut fields = gif();
    fields["visibility"] = json!("public");
    shop.post(&plain, "files/presigned-url", fields)
        .await
        .refused(403, "file/access-denied");
    let file = upload(&shop, &plain, "", GIF).await.is(201);
    assert_eq!(
        (file.text("/visibility"), file.text("/ownerType")),
        ("private".into(), "service".into())
    );
}

#[tokio::test]
async fn a_token_and_its_bucket_hold_together() {
    let shop = Shop::new().await;
    let rules = LogicalBucket {
        max_size: Some(10),
        types: vec!["image/png".into(), "text/plain".into()],
        ..LogicalBucket::default()
    };
    let of = OfProject::new("shop", "dev");
    shop.projects.set_logical(of, "avatars", Some(rules)).await.unwrap();
    let who = shop
        .uploader(json!({ "bucket": "avatars", "contentTypes": ["image/*"], "maxFileSize": 100 }))
        .await;
    shop.post(&who, "files/presigned-url", gif())
        .await
        .refused(400, "file/invalid-format");
    let png = json!({ "filename": "a.png", "contentType": "image/png" });
    let told = shop.post(&who, "files/presigned-url", png.clone()).await.is(200);
    assert_eq!(told.field("/maxSize"), json!(10));
    let text = json!({ "filename": "a.txt", "contentType": "text/plain" });
    shop.post(&who, "files/presigned-url", text)
        .await
        .refused(400, "file/invalid-format");
    let never = shop
        .uploader(json!({ "bucket": "avatars", "contentTypes": ["video/*"] }))
        .await;
    shop.post(&never, "files/presigned-url", png)
        .await
        .refused(400, "file/invalid-format");
}

#[tokio::test]
async fn what_was_begun_with_a_token_is_finished_with_it_and_nothing_else_is() {
    let shop = Shop::new().await;
    let named = json!({ "sub": "ann", "issuer": "own" });
    let (one, other) = (shop.uploader(named.clone()).await, shop.uploader(named).await);
    let ann = shop.person("ann");
    let begun = shop.post(&one, "files/multipart/init", gif()).await.is(200);
    let (upload, file) = (begun.text("/uploadId"), begun.text("/fileId"));
    let part = json!({ "uploadId": upload, "partNumber": 1 });
    shop.post(&one, "files/multipart/presigned-url", part.clone())
        .await
        .is(200);
    shop.get(&one, &format!("files/multipart/{upload}/parts")).await.is(200);
    for (path, fields) in [
        ("files/multipart/presigned-url", part.clone()),
        ("files/multipart/abort", json!({ "uploadId": upload })),
        (format!("files/{file}/complete").as_str(), json!({})),
    ] {
        shop.post(&other, path, fields).await.refused(403, "file/access-denied");
    }
    // Not even what is of the same user.
    let anns = shop.post(&ann, "files/multipart/init", gif()).await.is(200);
    let part = json!({ "uploadId": anns.text("/uploadId"), "partNumber": 1 });
    shop.post(&one, "files/multipart/presigned-url", part)
        .await
        .refused(403, "file/access-denied");
    for (method, path) in [
        ("GET", ""),
        ("DELETE", ""),
        ("POST", "/download-url"),
        ("POST", "/revoke-urls"),
    ] {
        shop.ask(&one, method, &format!("files/{file}{path}"), &[], Vec::new())
            .await
            .refused(403, "SCOPE_INSUFFICIENT");
    }
    shop.post(&one, "files/multipart/abort", json!({ "uploadId": upload }))
        .await
        .is(200);

    // Resumable uploads, too; pieces of one are not counted, and so not let.
    let tus = |more: (&'static str, &'static str)| {
        [
            ("tus-resumable", "1.0.0"),
            ("upload-length", "5"),
            ("upload-metadata", "filetype aW1hZ2UvZ2lm"),
            more,
        ]
    };
    let begun = shop
        .ask(&one, "POST", "tus", &tus(("x-none", "1")), Vec::new())
        .await
        .is(201);
    let place = begun.header("location").rsplit_once("/v1/").unwrap().1.to_owned();
    let head = [("tus-resumable", "1.0.0")];
    shop.ask(&one, "HEAD", &place, &head, Vec::new()).await.is(200);
    assert_eq!(shop.ask(&other, "HEAD", &place, &head, Vec::new()).await.status, 403);
    shop.ask(&one, "POST", "tus", &tus(("upload-concat", "partial")), Vec::new())
        .await
        .refused(403, "file/access-denied");
}

#[tokio::test]
async fn a_token_that_is_none_or_none_any_more_is_refused() {
    let shop = Shop::new().await;
    let who = shop.uploader(json!({})).await;
    let token = who[0].1.clone();
    let with = |token: &str| vec![("x-upload-token", token.to_owned())];
    let (key, sealed) = token.split_once('.').unwrap();
    for wrong in [
        String::new(),
        "x".into(),
        key.to_owned(),
        format!("{key}.A{sealed}"),
        format!("{key}.{sealed}A"),
    ] {
        shop.post(&with(&wrong), "files/presigned-url", gif())
            .await
            .refused(401, "INVALID_TOKEN");
    }
    // A link is no token.
    let ann = shop.person("ann");
    let link = shop.post(&ann, "files/presigned-url", gif()).await.is(200).text("/url");
    let part = |name: &str| {
        let (_, rest) = link.split_once(name).unwrap();
        rest.split(['&', '%']).next().unwrap().to_owned()
    };
    let forged = format!("{}.{}", part("X-Amz-Credential="), part("X-Amz-Security-Token="));
    shop.post(&with(&forged), "files/presigned-url", gif())
        .await
        .refused(401, "INVALID_TOKEN");
    // It stands alone, or beside a key of its environment.
    let mut both = shop.person("ann");
    both.push(("x-upload-token", token.clone()));
    shop.post(&both, "files/presigned-url", gif())
        .await
        .refused(401, "INVALID_TOKEN");
    let mut beside = shop.guest();
    beside.push(("x-upload-token", token.clone()));
    shop.post(&beside, "files/presigned-url", gif()).await.is(200);
    for wrong in [
        json!({ "maxFiles": 0 }),
        json!({ "contentTypes": [] }),
        json!({ "maxFileSize": 0 }),
        json!({ "expiresIn": 59 }),
        json!({ "bucket": "cats" }),
        json!({ "category": "cats" }),
        json!({ "visibility": "open" }),
        json!({ "sub": "ann", "issuer": "none" }),
        json!({ "maxSize": 7 }),
        json!({ "sub": "1", "issuer": "key" }),
        json!({ "sub": "1", "issuer": "own|2" }),
        json!({ "op": "" }),
    ] {
        let told = shop.post(&shop.server(), "files/upload-tokens", wrong.clone()).await;
        assert_eq!(
            (told.status, told.code().as_str()),
            (400, "common/invalid-request"),
            "{wrong}"
        );
    }
    // It ends with the key it was made with, and so do the addresses it was given.
    let keys = shop.projects.keys("shop", Some("dev")).unwrap();
    for key in keys {
        shop.projects.revoke_key(&key.id).await.unwrap();
    }
    shop.post(&who, "files/presigned-url", gif())
        .await
        .refused(401, "INVALID_TOKEN");
}
