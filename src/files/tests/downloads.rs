//! Files that are downloaded so often and no more.

use futures::future::join_all;
use serde_json::{Value, json};

use super::{Shop, Told, Who, bucket};

impl Shop {
    /// A public text file of somebody, which is given out so often; its path.
    async fn counted(&self, who: &Who, most: u32) -> String {
        let path = format!("files/upload?filename=note.txt&visibility=public&maxDownloads={most}");
        let kind = [("content-type", "text/plain")];
        let told = self
            .ask(who, "POST", &path, &kind, b"some words".to_vec())
            .await
            .is(201);
        assert_eq!(
            (told.field("/maxDownloads"), told.field("/downloadsLeft")),
            (json!(most), json!(most))
        );
        format!("files/{}", told.text("/id"))
    }

    async fn read(&self, who: &Who, file: &str, headers: &[(&str, &str)]) -> Told {
        self.ask(who, "GET", &format!("{file}/content"), headers, Vec::new())
            .await
    }
}

#[tokio::test]
async fn a_download_is_counted_and_what_brings_no_bytes_is_none() {
    let shop = Shop::new().await;
    let (ann, guest) = (shop.person("ann"), shop.guest());
    let file = shop.counted(&ann, 3).await;
    let left = async || shop.get(&ann, &file).await.is(200).field("/downloadsLeft");
    let head = shop
        .ask(&guest, "HEAD", &format!("{file}/content"), &[], Vec::new())
        .await
        .is(200);
    assert_eq!(head.header("cache-control"), "private, no-store");
    let etag = head.header("etag").to_owned();
    shop.read(&guest, &file, &[("if-none-match", &etag)]).await.is(304);
    shop.read(&guest, &file, &[("if-match", "\"other\"")]).await.is(412);
    shop.read(&guest, &file, &[("range", "bytes=99-")]).await.is(416);
    assert_eq!(left().await, json!(3));
    let told = shop.read(&guest, &file, &[("range", "bytes=0-3")]).await.is(206);
    assert_eq!(
        (told.bytes.as_slice(), told.header("cache-control")),
        (&b"some"[..], "private, no-store")
    );
    assert_eq!(left().await, json!(2));
    shop.read(&ann, &file, &[]).await.is(200);
    assert_eq!(left().await, json!(1));
    // Whoever else may see the file is not told.
    let seen = shop.get(&guest, &file).await.is(200);
    assert_eq!(
        (seen.field("/downloadsLeft"), seen.field("/publicUrl")),
        (Value::Null, Value::Null)
    );
    assert!(!seen.text("/url").is_empty());
    let told = join_all((0..5).map(|_| shop.read(&guest, &file, &[]))).await;
    assert_eq!(
        told.iter()
            .filter(|told| told.status == 200 && told.bytes == b"some words")
            .count(),
        1
    );
    for told in told.into_iter().filter(|told| told.status != 200) {
        told.refused(404, "file/not-found");
    }
}

#[tokio::test]
async fn what_was_downloaded_often_enough_is_in_the_trash_and_admins_alone_bring_it_back() {
    let shop = Shop::new().await;
    let (ann, eve) = (shop.person("ann"), shop.person_as("eve", "admin"));
    for admin in [eve, shop.server()] {
        let file = shop.counted(&ann, 1).await;
        shop.read(&ann, &file, &[]).await.is(200);
        for who in [&ann, &shop.guest(), &admin] {
            shop.get(who, &file).await.is(404);
            shop.read(who, &file, &[]).await.is(404);
        }
        let listed = shop.get(&ann, "files?state=trashed").await.is(200);
        assert_eq!(listed.field("/items/0/downloadsLeft"), json!(0));
        let restore = format!("{file}/restore");
        shop.post(&ann, &restore, json!({}))
            .await
            .refused(403, "file/access-denied");
        let back = shop.post(&admin, &restore, json!({})).await.is(200);
        assert_eq!(
            (back.text("/status"), back.field("/downloadsLeft")),
            ("active".into(), json!(1))
        );
        shop.read(&shop.guest(), &file, &[]).await.is(200);
    }
    // What its owner put there with downloads left they take out of it.
    let file = shop.counted(&ann, 2).await;
    shop.ask(&ann, "DELETE", &file, &[], Vec::new()).await.is(200);
    shop.post(&ann, &format!("{file}/restore"), json!({})).await.is(200);
}

#[tokio::test]
async fn nothing_leads_past_the_count() {
    let shop = Shop::new().await;
    let (ann, bob) = (shop.person("ann"), shop.person("bob"));
    let public = shop.file(&ann, "public").await;
    let public = shop.get(&ann, &format!("files/{public}")).await.is(200);
    let address = public.text("/publicUrl").split_once("/v1/").unwrap().1.to_owned();
    shop.get(&Vec::new(), &address).await.is(200);
    let register = json!({ "s3Key": public.text("/key"), "originalName": "a", "mimeType": "text/plain", "size": 1, "maxDownloads": 2 });
    shop.post(&ann, "files", register)
        .await
        .refused(409, "file/s3-key-already-exists");
    let file = shop.counted(&ann, 2).await;
    shop.post(&bob, &format!("{file}/copy"), json!({}))
        .await
        .refused(403, "file/access-denied");
    let copied = shop.post(&ann, &format!("{file}/copy"), json!({})).await.is(201);
    assert_eq!(copied.field("/maxDownloads"), Value::Null);
    let seen = shop.get(&ann, &file).await.is(200);
    assert_eq!(seen.field("/downloadsLeft"), json!(2), "a copy is no download");
    let id = file.split_once('/').unwrap().1;
    let (known, _) = shop
        .store
        .file(&bucket(), &storage_engine::store::files::FileId::parse(id).unwrap())
        .await
        .unwrap()
        .unwrap();
    assert!(known.labels.counted);
    let image = json!({ "transform": "100x100" });
    shop.post(&ann, &format!("{file}/download-url"), image)
        .await
        .refused(400, "file/invalid-format");
}

#[tokio::test]
async fn every_way_to_make_a_file_says_how_often_it_is_given_out() {
    let shop = Shop::new().await;
    let ann = shop.person("ann");
    let asked = |most: Value| json!({ "filename": "a.txt", "contentType": "text/plain", "maxDownloads": most });
    for path in [
        "files/presigned-url",
        "files/presigned-post",
        "files/upload-url",
        "files/multipart/init",
    ] {
        let told = shop.post(&ann, path, asked(json!(7))).await.is(200);
        let seen = shop.get(&ann, &format!("files/{}", told.text("/fileId"))).await.is(200);
        assert_eq!(
            (seen.field("/maxDownloads"), seen.field("/downloadsLeft")),
            (json!(7), json!(7)),
            "{path}"
        );
        for wrong in [json!(0), json!(1_000_001), json!("1"), json!(-1), json!(1.5)] {
            shop.post(&ann, path, asked(wrong))
                .await
                .refused(400, "common/invalid-request");
        }
    }
    // `filename a`, `maxDownloads 3`, `deleteAfter 60`.
    let said = "filename YQ==,maxDownloads Mw==,deleteAfter NjA=";
    let tus = [
        ("tus-resumable", "1.0.0"),
        ("upload-length", "5"),
        ("upload-metadata", said),
    ];
    let told = shop.ask(&ann, "POST", "tus", &tus, Vec::new()).await.is(201);
    let seen = shop
        .get(&ann, &format!("files/{}", told.header("upload-file-id")))
        .await
        .is(200);
    assert_eq!(seen.field("/maxDownloads"), json!(3));
    assert!(!seen.text("/expiresAt").is_empty());
    for wrong in ["maxDownloads eA==", "maxDownloads LTE="] {
        let tus = [
            ("tus-resumable", "1.0.0"),
            ("upload-length", "5"),
            ("upload-metadata", wrong),
        ];
        shop.ask(&ann, "POST", "tus", &tus, Vec::new()).await.is(400);
    }
}
