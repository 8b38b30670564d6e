//! What is set on logical buckets by the servers of an app, and what files take up.

use serde_json::{Value, json};

use super::{Shop, Told, Who};
use crate::projects::KeyKind;

impl Shop {
    pub(super) async fn put(&self, who: &Who, path: &str, fields: Value) -> Told {
        self.ask(who, "PUT", path, &[], fields.to_string().into_bytes()).await
    }
}

#[tokio::test]
async fn rules_of_a_logical_bucket_are_set_by_a_server_and_hold_for_what_comes() {
    let shop = Shop::new().await;
    let (server, ann) = (shop.server(), shop.person("ann"));
    let rules = json!({
        "maxSize": 20, "allowedTypes": ["text/*"], "defaultVisibility": "public", "ttlSeconds": 3600,
        "gc": "unreferenced", "confirm": "required", "scan": "off", "sizes": "exact",
        "guestUpload": true,
    });
    let set = shop.put(&server, "files/buckets/reports", rules.clone()).await.is(200);
    let mut expected = rules;
    expected["name"] = json!("reports");
    assert_eq!(set.field("/data"), expected);
    let told = shop.get(&ann, "files/buckets").await.is(200);
    assert_eq!(
        (told.field("/project"), told.field("/environment")),
        (json!("shop"), json!("dev"))
    );
    let listed = told.field("/items");
    assert!(listed.as_array().unwrap().contains(&expected), "{listed}");
    let one = shop.get(&ann, "files/buckets/reports").await.is(200).field("/data");
    assert_eq!(one, expected);
    let plain = shop.get(&ann, "files/buckets/media").await.is(200).field("/data");
    assert!(
        plain["maxSize"].is_null() && listed.as_array().unwrap().contains(&plain),
        "{plain}"
    );
    shop.get(&ann, "files/buckets/none")
        .await
        .refused(404, "common/not-found");
    let text = [("content-type", "text/plain")];
    let path = "files/upload?filename=a.txt&bucket=reports";
    let told = shop.ask(&ann, "POST", path, &text, b"words".to_vec()).await.is(201);
    assert_eq!(told.text("/visibility"), "public");
    let ends = told.text("/expiresAt");
    assert!(!ends.is_empty());
    let long = shop.ask(&ann, "POST", path, &text, vec![b'x'; 21]).await;
    assert!(matches!(long.status, 400 | 413), "{long:?}");
    // Set again, nothing of before holds.
    shop.put(&server, "files/buckets/reports", json!({})).await.is(200);
    let told = shop.ask(&ann, "POST", path, &text, vec![b'x'; 21]).await.is(201);
    assert_eq!(
        (told.text("/visibility"), told.field("/expiresAt")),
        ("private".into(), Value::Null)
    );
    for wrong in [
        json!({ "gc": "all" }),
        json!({ "confirm": "never" }),
        json!({ "scan": "later" }),
        json!({ "sizes": "about" }),
        json!({ "ttlSeconds": 1 }),
        json!({ "allowedTypes": ["text"] }),
        json!({ "defaultVisibility": "open" }),
        json!({ "guestUpload": "on" }),
    ] {
        let path = "files/buckets/reports";
        shop.put(&server, path, wrong)
            .await
            .refused(400, "common/invalid-request");
    }
    let narrow = vec![("x-api-key", shop.key(KeyKind::Secret, &["files:update"]).await)];
    shop.put(&narrow, "files/buckets/reports", json!({}))
        .await
        .refused(403, "SCOPE_INSUFFICIENT");
    let name = "files/buckets/No%20name";
    shop.put(&server, name, json!({}))
        .await
        .refused(400, "common/invalid-request");
}

#[tokio::test]
async fn usage_tells_what_is_there_what_is_announced_and_what_is_in_the_trash() {
    let shop = Shop::new().await;
    let (ann, bob) = (shop.person("ann"), shop.person("bob"));
    let text = [("content-type", "text/plain")];
    shop.file(&ann, "private").await;
    let path = "files/upload?filename=a.txt&bucket=media";
    let told = shop.ask(&ann, "POST", path, &text, b"words".to_vec()).await.is(201);
    let gone = format!("files/{}", told.text("/id"));
    shop.ask(&ann, "POST", path, &text, b"more words".to_vec())
        .await
        .is(201);
    shop.ask(&ann, "DELETE", &gone, &[], Vec::new()).await.is(200);
    let fields = json!({ "filename": "a.txt", "contentType": "text/plain", "fileSize": 15 });
    shop.post(&ann, "files/presigned-url", fields).await.is(200);
    let amount = |bytes: u64, count: u64| json!({ "bytes": bytes, "count": count });
    let expected = json!({
        "bytes": 20, "count": 2, "reserved": amount(15, 1), "trash": amount(5, 1),
        "buckets": [
            { "bucket": null, "bytes": 10, "count": 1 },
            { "bucket": "media", "bytes": 10, "count": 1 },
        ],
        "quota": null,
    });
    let used = shop.get(&ann, "files/usage").await.is(200);
    assert_eq!(used.field("/data"), expected);
    let used = shop.get(&shop.server(), "files/usage").await.is(200);
    assert_eq!(used.field("/data"), expected, "of all");
    let used = shop.get(&bob, "files/usage").await.is(200);
    let nothing = json!({
        "bytes": 0, "count": 0, "reserved": amount(0, 0), "trash": amount(0, 0), "buckets": [],
        "quota": null,
    });
    assert_eq!(used.field("/data"), nothing);
}
