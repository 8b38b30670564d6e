//! Whatever a request says is done, or refused by a message that names it: nothing is answered well and passed over.

use serde_json::{Value, json};

use super::{Shop, Told, Who};
use crate::projects::{NewIssuer, NewIssuerKeys};

const TEXT: (&str, &str) = ("content-type", "text/plain");
const FORM: (&str, &str) = ("content-type", "multipart/form-data; boundary=b");
const JPEG: &[u8] = b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0\xff\xd9";

/// A form of these parts, each its head's rest and its bytes.
fn form(parts: &[(&str, &str)]) -> Vec<u8> {
    let part =
        |(head, bytes): &(&str, &str)| format!("--b\r\ncontent-disposition: form-data; {head}\r\n\r\n{bytes}\r\n");
    let parts: String = parts.iter().map(part).collect();
    format!("{parts}--b--\r\n").into_bytes()
}

const FILE: (&str, &str) = (
    "name=\"file\"; filename=\"a.txt\"\r\ncontent-type: text/plain",
    "in a form",
);

impl Shop {
    async fn patch_file(&self, who: &Who, id: &str, fields: Value) -> Told {
        let body = fields.to_string().into_bytes();
        self.ask(who, "PATCH", &format!("files/{id}"), &[], body).await
    }

    /// How many files somebody has, in whatever state.
    async fn count(&self, who: &Who) -> u64 {
        let mut count = 0;
        for state in ["pending", "active", "rejected"] {
            let told = self.get(who, &format!("files?state={state}")).await.is(200);
            count += told.field("/pagination/total").as_u64().unwrap();
        }
        count
    }

    async fn other_issuer(&self) {
        let issuer = NewIssuer {
            project: "shop".into(),
            alias: "other".into(),
            keys: NewIssuerKeys::Secret(crate::auth::SecretKey::new("another-secret-of-32-bytes-and-more-0")),
            issuer: Some("https://other.test".into()),
            algorithm: None,
            audience: None,
            subject_claim: None,
            groups_claim: None,
            role_claim: None,
            admin_roles: Vec::new(),
        };
        self.projects.add_issuer(issuer).await.unwrap();
    }
}

#[track_caller]
fn names(told: Told, text: &str) {
    let message = told.text("/error/message");
    assert!(message.contains(text), "{message}: {text}");
    told.refused(400, "common/invalid-request");
}

#[tokio::test]
async fn how_an_address_is_to_be_the_query_says_as_well_as_the_body() {
    let shop = Shop::new().await;
    let ann = shop.person("ann");
    let path = format!("files/{}/download-url", shop.file(&ann, "private").await);
    let once = "?oneTime=true&expiresIn=60&disposition=attachment";
    for told in [
        shop.get(&ann, &format!("{path}{once}")).await.is(200),
        shop.post(&ann, &format!("{path}{once}"), json!({})).await.is(200),
    ] {
        assert_eq!(told.field("/maxDownloads"), json!(1));
        assert!(told.text("/url").contains("X-Amz-Expires=60&"), "{}", told.text("/url"));
    }
    let both = shop
        .post(
            &ann,
            &format!("{path}{once}"),
            json!({ "expiresIn": 90, "oneTime": false }),
        )
        .await
        .is(200);
    assert_eq!(both.field("/maxDownloads"), Value::Null);
    assert!(both.text("/url").contains("X-Amz-Expires=90&"));
    for (wrong, name) in [
        ("oneTime=yes", "oneTime"),
        ("expiresIn=soon", "expiresIn"),
        ("maxDownloads=0", "maxDownloads"),
        ("disposition=x", "disposition"),
        ("transform=x/y", "transform"),
    ] {
        names(shop.get(&ann, &format!("{path}?{wrong}")).await, name);
    }
}

#[tokio::test]
async fn a_form_says_everything_before_its_file_and_holds_one() {
    let shop = Shop::new().await;
    let ann = shop.person("ann");
    for (more, told) in [
        (("name=\"visibility\"", "public"), "visibility comes after the file"),
        (("name=\"other\"; filename=\"b.txt\"", "another one"), "one file"),
    ] {
        let sent = shop
            .ask(&ann, "POST", "files/upload", &[FORM], form(&[FILE, more]))
            .await;
        names(sent, told);
    }
    assert_eq!(shop.count(&ann).await, 0);
    let before = form(&[("name=\"visibility\"", "public"), FILE]);
    let told = shop.ask(&ann, "POST", "files/upload", &[FORM], before).await.is(201);
    assert_eq!(told.text("/visibility"), "public");
}

#[tokio::test]
async fn other_bytes_come_raw_or_in_a_form_and_are_never_the_form_itself() {
    let shop = Shop::new().await;
    let ann = shop.person("ann");
    let id = shop.file(&ann, "private").await;
    let (replace, content) = (format!("files/{id}/replace"), format!("files/{id}/content"));
    let asked = shop.post(&ann, "files/upload-url", json!({})).await.is(200);
    let address = asked.text("/uploadUrl");
    let address = address.strip_prefix("https://files.test/v1/").unwrap();
    for path in [replace.as_str(), address] {
        let send = |headers: &'static [(&'static str, &'static str)], body: Vec<u8>| {
            let (shop, ann) = (&shop, &ann);
            async move { shop.ask(ann, "POST", path, headers, body).await }
        };
        names(send(&[], Vec::new()).await, "no body");
        let more = form(&[("name=\"visibility\"", "public"), FILE]);
        names(send(&[FORM], more).await, "no field visibility");
        names(send(&[FORM], form(&[FILE, FILE])).await, "one file");
        names(
            send(&[FORM], form(&[("name=\"file\"; filename=\"\"", "")])).await,
            "No file was chosen",
        );
        names(send(&[FORM], form(&[("name=\"file\"", "text")])).await, "holds no file");
        send(&[FORM], form(&[FILE])).await.is(200);
    }
    for content in [content.clone(), format!("files/{}/content", asked.text("/fileId"))] {
        let got = shop.get(&ann, &content).await.is(200);
        assert_eq!(
            (got.bytes.as_slice(), got.header("content-type")),
            (&b"in a form"[..], "text/plain")
        );
    }
    // Who wants no bytes to stand there says so.
    shop.ask(&ann, "POST", &replace, &[TEXT], Vec::new()).await.is(200);
    assert!(shop.get(&ann, &content).await.is(200).bytes.is_empty());
}

#[tokio::test]
async fn what_is_changed_of_a_file_is_changed_and_what_is_not_is_refused() {
    let shop = Shop::new().await;
    let (ann, bob) = (shop.person("ann"), shop.person("bob"));
    let id = shop.file(&ann, "public").await;
    let told = shop
        .patch_file(
            &ann,
            &id,
            json!({ "deleteAfter": 60, "category": "documents", "tags": ["a"] }),
        )
        .await
        .is(200);
    assert_eq!(
        (told.text("/category"), told.field("/tags")),
        ("documents".into(), json!(["a"]))
    );
    assert!(!told.text("/expiresAt").is_empty());
    for (wrong, name) in [
        (json!({ "bucket": "documents" }), "bucket"),
        (json!({ "mimeType": "image/png" }), "mimeType"),
        (json!({ "ownerId": "bob" }), "ownerId"),
        (json!({ "maxDownloads": 3 }), "maxDownloads"),
        (json!({ "category": "cats" }), "category"),
        (json!({ "deleteAfter": 0 }), "deleteAfter"),
    ] {
        names(shop.patch_file(&ann, &id, wrong).await, name);
    }
    // A file is sent back as it was told, and what other clients add is passed over.
    let mut same = shop.get(&ann, &format!("files/{id}")).await.is(200).field("/data");
    same["originalName"] = json!("other.txt");
    same["alsoKnownAs"] = json!("x");
    let told = shop.patch_file(&ann, &id, same.clone()).await.is(200);
    assert_eq!(told.text("/originalName"), "other.txt");
    shop.patch_file(&bob, &id, same)
        .await
        .refused(403, "file/access-denied");
    // A category brings the limits of the bucket of its name along.
    let rules = json!({ "allowedTypes": ["image/*"] });
    shop.put(&shop.server(), "files/buckets/images", rules).await.is(200);
    let told = shop.patch_file(&ann, &id, json!({ "category": "images" })).await;
    told.refused(400, "file/invalid-format");
    let waiting = json!({ "filename": "a.png", "contentType": "image/png" });
    let waiting = shop
        .post(&ann, "files/presigned-url", waiting)
        .await
        .is(200)
        .text("/fileId");
    let told = shop.patch_file(&ann, &waiting, json!({ "category": "images" })).await;
    told.refused(409, "file/invalid-state");
}

#[tokio::test]
async fn what_is_misspelt_where_something_is_set_up_changes_nothing() {
    let shop = Shop::new().await;
    let server = shop.server();
    let rules = json!({ "allowedTypes": ["image/*"], "maxSize": 7 });
    let set = shop
        .put(&server, "files/buckets/media", rules)
        .await
        .is(200)
        .field("/data");
    names(
        shop.put(&server, "files/buckets/media", json!({ "alowedTypes": [] }))
            .await,
        "alowedTypes",
    );
    names(
        shop.put(&server, "files/buckets/media", json!({ "name": "files" }))
            .await,
        "name",
    );
    // What was told can be sent back.
    let again = shop.put(&server, "files/buckets/media", set.clone()).await.is(200);
    assert_eq!(again.field("/data"), set);
    let limits = json!({ "environment": { "bytes": 1000 } });
    let told = shop.put(&server, "files/quotas", limits).await.is(200).field("/data");
    shop.put(&server, "files/quotas", told).await.is(200);
    for (wrong, name) in [
        (json!({ "env": { "bytes": 7 } }), "env"),
        (
            json!({ "environment": { "byte": 7, "files": 7 } }),
            "environment: There is no field byte",
        ),
    ] {
        names(shop.put(&server, "files/quotas", wrong).await, name);
    }
    names(
        shop.post(
            &server,
            "files/webhooks",
            json!({ "url": "http://127.0.0.1:1/", "event": [] }),
        )
        .await,
        "event",
    );
    names(
        shop.post(&server, "files/upload-tokens", json!({ "maxSize": 7 })).await,
        "maxSize",
    );
    names(
        shop.post(&server, "files:commit", json!({ "remove": [] })).await,
        "remove",
    );
    for (wrong, name) in [
        (json!({ "ttlSeconds": -1 }), "ttlSeconds"),
        (json!({ "ttlSeconds": 1 }), "ttlSeconds"),
        (json!({ "allowedTypes": ["png"] }), "allowedTypes"),
        (json!({ "defaultVisibility": "open" }), "defaultVisibility"),
    ] {
        names(shop.put(&server, "files/buckets/media", wrong).await, name);
    }
}

#[tokio::test]
async fn users_are_known_by_an_issuer_that_there_is_and_the_only_one_needs_no_name() {
    let shop = Shop::new().await;
    let (server, ann) = (shop.server(), shop.person("ann"));
    let id = shop.file(&ann, "private").await;
    let of_ann = |path: &str| format!("{path}ownerId=ann");
    let listed = shop.get(&server, &of_ann("files?")).await.is(200);
    assert_eq!(listed.field("/pagination/total"), json!(1));
    let used = shop.get(&server, &of_ann("files/usage?")).await.is(200);
    assert_eq!(used.field("/count"), json!(1));
    shop.put(&server, "files/quotas", json!({ "owners": { "ann": { "files": 1 } } }))
        .await
        .is(200);
    let shares = format!("files/{id}/shares");
    let with = |more: Value| {
        let mut fields = json!({ "type": "user", "id": "bob" });
        fields
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        fields
    };
    shop.post(&server, &shares, with(json!({}))).await.is(201);
    shop.get(&shop.person("bob"), &format!("files/{id}/content"))
        .await
        .is(200);
    let nobodys = json!({ "type": "email", "id": "not-an-email" });
    names(shop.post(&ann, &shares, nobodys).await, "id must be an address");
    for who in [&server, &ann] {
        names(shop.post(who, &shares, with(json!({ "issuer": "nope" }))).await, "nope");
        names(shop.get(who, &of_ann("files?issuer=nope&")).await, "nope");
        names(shop.get(who, "files?issuer=own").await, "ownerId");
    }
    names(shop.get(&server, &of_ann("files/usage?issuer=nope&")).await, "nope");
    let limits = json!({ "owners": { "ann": { "files": 1 } }, "issuer": "nope" });
    names(shop.put(&server, "files/quotas", limits).await, "nope");
    let gone = json!({ "owners": { "ann": null }, "issuer": "nope" });
    shop.put(&server, "files/quotas", gone).await.is(200);
    // What others take up is not a user's to see, nor are they told their own in its place.
    let told = shop.get(&shop.person("bob"), &of_ann("files/usage?")).await;
    told.refused(403, "file/access-denied");
    shop.get(&ann, &of_ann("files/usage?")).await.is(200);
    shop.other_issuer().await;
    names(shop.get(&server, &of_ann("files?")).await, "issuer is required");
    names(shop.post(&server, &shares, with(json!({}))).await, "issuer is required");
    let listed = shop.get(&server, &of_ann("files?issuer=own&")).await.is(200);
    assert_eq!(listed.field("/pagination/total"), json!(1));
    let root = shop.get(&server, "files?ownerId=root").await.is(200);
    assert_eq!(root.field("/pagination/total"), json!(0));
}

#[tokio::test]
async fn a_cursor_goes_on_in_the_list_it_is_of() {
    let shop = Shop::new().await;
    let ann = shop.person("ann");
    for _ in 0..3 {
        shop.file(&ann, "private").await;
    }
    let first = shop.get(&ann, "files?limit=2&sortBy=size").await.is(200);
    let cursor = first.text("/pagination/nextCursor");
    let rest = shop
        .get(&ann, &format!("files?limit=2&sortBy=size&cursor={cursor}"))
        .await
        .is(200);
    assert_eq!(rest.field("/items").as_array().unwrap().len(), 1);
    for wrong in [
        "cursor=abc".to_owned(),
        "cursor=AAAAAAAA".to_owned(),
        format!("cursor={cursor}"),
        format!("sortBy=size&sortDirection=asc&cursor={cursor}"),
    ] {
        names(shop.get(&ann, &format!("files?{wrong}")).await, "cursor");
    }
}

#[tokio::test]
async fn what_a_raw_upload_says_beside_its_bytes_is_taken_and_held_to() {
    let shop = Shop::new().await;
    let ann = shop.person("ann");
    let path = "files/upload?filename=a.txt&tags=%5B%22a%22%5D&metadata=%7B%22alt%22%3A%22b%22%7D";
    let md5 = ("content-md5", "XUFAKrxLKna5cZ2REBfFkg==");
    let told = shop
        .ask(&ann, "POST", path, &[TEXT, md5], b"hello".to_vec())
        .await
        .is(201);
    assert_eq!(
        (told.text("/metadata/alt"), told.field("/tags")),
        ("b".into(), json!(["a"]))
    );
    for wrong in ["1B2M2Y8AsgTpgAmY7PhCfg==", "hello"] {
        let told = shop
            .ask(&ann, "POST", path, &[TEXT, ("content-md5", wrong)], b"hello".to_vec())
            .await;
        told.refused(400, "file/digest-mismatch");
    }
    names(
        shop.ask(&ann, "POST", "files/upload?filename=a&tags=x", &[TEXT], Vec::new())
            .await,
        "tags",
    );
    assert_eq!(shop.count(&ann).await, 1);
}

#[tokio::test]
async fn bytes_of_which_nothing_is_said_are_what_they_are_also_where_types_are_limited() {
    let shop = Shop::new().await;
    let ann = shop.person("ann");
    let rules = json!({ "allowedTypes": ["image/*"] });
    shop.put(&shop.server(), "files/buckets/avatars", rules).await.is(200);
    for kind in ["", "application/octet-stream"] {
        let wanted = json!({ "filename": "a", "contentType": kind, "bucket": "avatars" });
        let told = shop.post(&ann, "files/presigned-url", wanted).await.is(200);
        assert_eq!(told.text("/contentType"), "application/octet-stream", "{kind}");
    }
    let path = "files/upload?filename=a&bucket=avatars";
    let curl = ("content-type", "application/x-www-form-urlencoded");
    for kind in [&[][..], &[curl], &[("content-type", "")]] {
        let told = shop.ask(&ann, "POST", path, kind, JPEG.to_vec()).await.is(201);
        assert_eq!(told.text("/mimeType"), "image/jpeg", "{kind:?}");
        let told = shop.ask(&ann, "POST", path, kind, b"a,b\n1,2\n".to_vec()).await;
        told.refused(400, "file/invalid-format");
    }
    let told = shop
        .ask(&ann, "POST", "files/upload?filename=n.csv", &[curl], b"a,b\n".to_vec())
        .await;
    assert_eq!(told.is(201).text("/mimeType"), "text/plain");
    // What is announced and what comes are both told where they differ.
    let told = shop
        .ask(&ann, "POST", path, &[("content-type", "image/png")], JPEG.to_vec())
        .await;
    let message = told.text("/error/message");
    assert_eq!(
        message,
        "The file was announced as image/png, and its bytes are image/jpeg."
    );
    told.refused(400, "file/invalid-format");
    // A file of bytes that nothing is known of is none that is moved to where types are limited.
    let unknown = shop
        .ask(&ann, "POST", "files/upload?filename=x", &[], b"\0\x01\x02\x03".to_vec())
        .await
        .is(201);
    let told = shop
        .patch_file(&ann, &unknown.text("/id"), json!({ "category": "images" }))
        .await
        .is(200);
    assert_eq!(told.text("/category"), "images");
    let rules = json!({ "allowedTypes": ["image/*"] });
    shop.put(&shop.server(), "files/buckets/documents", rules).await.is(200);
    let told = shop
        .patch_file(&ann, &unknown.text("/id"), json!({ "category": "documents" }))
        .await;
    told.refused(400, "file/invalid-format");
}

#[tokio::test]
async fn what_is_too_large_for_the_way_it_is_to_come_is_told_when_it_is_announced() {
    let shop = Shop::new().await;
    let ann = shop.person("ann");
    let wanted = |size: u64| json!({ "filename": "a", "contentType": "video/mp4", "fileSize": size });
    let most: u64 = 5 << 30;
    for path in ["files/presigned-url", "files/presigned-post", "files/upload-url"] {
        shop.post(&ann, path, wanted(most)).await.is(200);
        let told = shop.post(&ann, path, wanted(most + 1)).await;
        let message = told.text("/error/message");
        assert!(message.contains("/v1/files/multipart/init"), "{message}");
        told.refused(400, "file/file-too-large");
    }
    shop.post(&ann, "files/multipart/init", wanted(most + 1)).await.is(200);
    let told = shop.post(&ann, "files/multipart/init", wanted((5 << 40) + 1)).await;
    told.refused(400, "file/file-too-large");
    assert_eq!(shop.count(&ann).await, 4);
}

#[tokio::test]
async fn lists_say_what_they_take_and_take_days_and_any_type() {
    let shop = Shop::new().await;
    let ann = shop.person("ann");
    shop.file(&ann, "private").await;
    for (query, count) in [
        ("createdFrom=2020-01-01", 1),
        ("createdTo=2020-01-01", 0),
        ("createdFrom=2020-01-01T00:00:00%2B02:00", 1),
        ("mimeType=*/*", 1),
        ("mimeType=image/*", 0),
    ] {
        let told = shop.get(&ann, &format!("files?{query}")).await.is(200);
        assert_eq!(told.field("/pagination/total"), json!(count), "{query}");
    }
    for (query, text) in [
        ("limit=abc", "from 1 to 100"),
        ("limit=101", "from 1 to 100"),
        ("page=-1", "of 1 or more"),
        ("createdFrom=2020-01-01T00:00:00+02:00", "%2B"),
        ("createdTo=2020-13-01", "2026-01-31"),
    ] {
        names(shop.get(&ann, &format!("files?{query}")).await, text);
    }
    let told = shop.get(&shop.guest(), "files?state=trashed").await;
    assert!(told.text("/error/message").starts_with("Guests are listed"));
    let uploader = shop.uploader(json!({})).await;
    let told = shop.get(&uploader, "files").await;
    assert!(told.text("/error/message").starts_with("An upload token"));
    told.refused(403, "SCOPE_INSUFFICIENT");
}

#[tokio::test]
async fn a_file_that_waits_for_its_bytes_is_there_and_cannot_be_read_yet() {
    let shop = Shop::new().await;
    let ann = shop.person("ann");
    let wanted = json!({ "filename": "a.txt", "contentType": "text/plain" });
    let announced = shop.post(&ann, "files/presigned-url", wanted).await.is(200);
    let id = announced.text("/fileId");
    shop.get(&ann, &format!("files/{id}")).await.is(200);
    for (method, path) in [
        ("GET", "content"),
        ("GET", "download-url"),
        ("POST", "download-url"),
        ("POST", "complete"),
        ("POST", "copy"),
        ("POST", "versions/current/restore"),
    ] {
        let path = format!("files/{id}/{path}");
        let told = shop.ask(&ann, method, &path, &[], Vec::new()).await;
        told.refused(409, "file/invalid-state");
    }
    for (more, code) in [
        (json!({ "originalName": null }), "file/invalid-name"),
        (json!({ "mimeType": null }), "file/invalid-format"),
    ] {
        let mut register =
            json!({ "s3Key": announced.text("/key"), "originalName": "a", "mimeType": "a/b", "size": 1 });
        register
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        shop.post(&ann, "files", register).await.refused(400, code);
    }
}

#[tokio::test]
async fn an_address_for_one_post_holds_nothing_that_is_not_looked_at_and_says_its_method() {
    let shop = Shop::new().await;
    let told = shop
        .post(&shop.person("ann"), "files/upload-url", json!({}))
        .await
        .is(200);
    let url = told.text("/uploadUrl");
    let (_, query) = url.split_once('?').unwrap();
    let names: Vec<&str> = query.split('&').filter_map(|pair| pair.split('=').next()).collect();
    assert_eq!(names, ["X-Amz-Credential", "X-Amz-Security-Token"]);
    let path = url.strip_prefix("https://files.test/v1/").unwrap();
    for method in ["GET", "PUT", "DELETE"] {
        let told = shop.ask(&Vec::new(), method, path, &[TEXT], b"words".to_vec()).await;
        assert_eq!(told.header("allow"), "POST");
        told.refused(405, "common/method-not-allowed");
    }
    shop.ask(&Vec::new(), "POST", path, &[TEXT], b"words".to_vec())
        .await
        .is(200);
}

#[tokio::test]
async fn a_token_whose_end_is_no_number_of_seconds_is_told_so() {
    let shop = Shop::new().await;
    for end in [json!("soon"), json!(1_900_000_000_000_u64)] {
        let told = shop
            .get(&shop.person_with("ann", &json!({ "exp": end })), "files")
            .await;
        assert!(
            told.text("/error/message").contains("exp must be a number of seconds"),
            "{end}"
        );
        told.refused(401, "INVALID_TOKEN");
    }
}
