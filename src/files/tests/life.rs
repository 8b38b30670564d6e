//! What becomes of a file after it was uploaded: versions, copies, references, and several files at once.

use serde_json::{Value, json};
use storage_engine::store::projects::OfProject;

use super::{Shop, Told, Who};
use crate::projects::{KeyKind, LogicalBucket};

const TEXT: [(&str, &str); 1] = [("content-type", "text/plain")];

async fn replace(shop: &Shop, who: &Who, id: &str, words: &str) -> Told {
    let path = format!("files/{id}/replace");
    shop.ask(who, "POST", &path, &TEXT, words.into()).await
}

async fn delete(shop: &Shop, who: &Who, path: &str) -> Told {
    shop.ask(who, "DELETE", path, &[], Vec::new()).await
}

async fn put(shop: &Shop, who: &Who, path: &str) -> Told {
    shop.ask(who, "PUT", path, &[], Vec::new()).await
}

async fn words(shop: &Shop, who: &Who, id: &str) -> String {
    let told = shop.get(who, &format!("files/{id}/content")).await.is(200);
    String::from_utf8(told.bytes).unwrap()
}

/// Ids and sizes of the versions of a file.
async fn versions(shop: &Shop, who: &Who, id: &str) -> Vec<(String, u64)> {
    let told = shop.get(who, &format!("files/{id}/versions")).await.is(200);
    let versions = told.field("/versions");
    let shown = |version: &Value| {
        let id = version["id"].as_str().unwrap();
        assert_eq!(version["current"], json!(id == "current"));
        (id.to_owned(), version["size"].as_u64().unwrap())
    };
    versions.as_array().unwrap().iter().map(shown).collect()
}

#[tokio::test]
async fn replaced_bytes_are_versions_that_come_back_and_can_be_taken_away() {
    let shop = Shop::new().await;
    let ann = shop.person("ann");
    let id = shop.file(&ann, "public").await;
    let link = shop
        .post(&ann, &format!("files/{id}/download-url"), json!({}))
        .await
        .is(200);
    replace(&shop, &ann, &id, "newer").await.is(200);
    replace(&shop, &ann, &id, "the newest").await.is(200);
    let told = shop.get(&ann, &format!("files/{id}/versions")).await.is(200);
    assert_eq!(
        (told.text("/versions/1/type"), told.field("/versions/0/replacedAt")),
        ("text/plain".into(), Value::Null)
    );
    for field in ["etag", "createdAt", "replacedAt", "sha256"] {
        assert!(!told.text(&format!("/versions/1/{field}")).is_empty(), "{field}");
    }
    let kept = versions(&shop, &ann, &id).await;
    assert_eq!(kept.iter().map(|(_, size)| *size).collect::<Vec<_>>(), [10, 5, 10]);

    let first = &kept[2].0;
    let path = format!("files/{id}/versions/{first}/restore");
    let back = shop.post(&ann, &path, json!({})).await.is(200);
    assert_eq!(
        (back.text("/id"), back.text("/visibility")),
        (id.clone(), "public".into())
    );
    assert_eq!(words(&shop, &ann, &id).await, "some words");
    shop.post(&ann, &path, json!({}))
        .await
        .refused(404, "file/version-not-found");
    let kept = versions(&shop, &ann, &id).await;
    assert_eq!(kept.iter().map(|(_, size)| *size).collect::<Vec<_>>(), [10, 10, 5]);

    let newer = format!("files/{id}/versions/{}", kept[2].0);
    delete(&shop, &ann, &newer).await.is(200);
    delete(&shop, &ann, &newer).await.refused(404, "file/version-not-found");
    delete(&shop, &ann, &format!("files/{id}/versions/none"))
        .await
        .refused(404, "file/version-not-found");
    delete(&shop, &ann, &format!("files/{id}/versions/current"))
        .await
        .refused(409, "file/invalid-state");
    assert_eq!(versions(&shop, &ann, &id).await.len(), 2);
    assert!(!link.text("/url").is_empty());
}

#[tokio::test]
async fn versions_are_the_owners_also_of_a_public_file_and_of_bytes_that_others_put() {
    let shop = Shop::new().await;
    let (ann, sue) = (shop.person("ann"), shop.person("sue"));
    let id = shop.file(&ann, "private").await;
    let share = json!({ "type": "user", "id": "sue", "access": "write" });
    shop.post(&ann, &format!("files/{id}/shares"), share).await.is(201);
    replace(&shop, &sue, &id, "by sue").await.is(200);
    let kept = versions(&shop, &ann, &id).await;
    assert_eq!(kept.len(), 2, "what sue put aside is ann's to bring back");
    let public = json!({ "visibility": "public" }).to_string().into_bytes();
    shop.ask(&ann, "PATCH", &format!("files/{id}/visibility"), &[], public)
        .await
        .is(200);
    for who in [&sue, &shop.person("bob")] {
        let path = format!("files/{id}/versions");
        shop.get(who, &path).await.refused(403, "file/access-denied");
        let version = format!("{path}/{}", kept[1].0);
        shop.post(who, &format!("{version}/restore"), json!({}))
            .await
            .refused(403, "file/access-denied");
        delete(&shop, who, &version).await.refused(403, "file/access-denied");
    }
    let admin = shop.person_as("eve", "admin");
    shop.post(&admin, &format!("files/{id}/versions/{}/restore", kept[1].0), json!({}))
        .await
        .is(200);
    assert_eq!(words(&shop, &ann, &id).await, "some words");
    delete(&shop, &ann, &format!("files/{id}")).await.is(200);
    shop.get(&ann, &format!("files/{id}/versions"))
        .await
        .refused(404, "file/not-found");
    shop.post(&ann, &format!("files/{id}/restore"), json!({})).await.is(200);
    assert_eq!(
        versions(&shop, &ann, &id).await.len(),
        2,
        "they were in the trash with it"
    );
}

#[tokio::test]
async fn a_copy_is_a_file_of_its_own_with_the_same_bytes() {
    let shop = Shop::new().await;
    let (ann, bob) = (shop.person("ann"), shop.person("bob"));
    let id = shop.file(&ann, "public").await;
    let said = json!({ "metadata": { "alt": "words", "custom": { "secret": 1 }, "tags": ["note"] } });
    shop.ask(&ann, "PATCH", &format!("files/{id}"), &[], said.to_string().into())
        .await
        .is(200);
    put(&shop, &ann, &format!("files/{id}/refs/post-1")).await.is(200);
    let path = format!("files/{id}/copy");
    let source = shop.get(&ann, &format!("files/{id}")).await.is(200);

    let own = shop.post(&ann, &path, json!({})).await.is(201);
    assert_ne!((own.text("/id"), own.text("/key")), (id.clone(), source.text("/key")));
    for same in ["originalName", "mimeType", "size", "sha256", "etag", "metadata"] {
        let same = format!("/{same}");
        assert_eq!(own.field(&same), source.field(&same), "{same}");
    }
    assert_eq!(
        (own.text("/visibility"), own.field("/refs")),
        ("private".into(), json!([])),
        "who may see it, and who needs it, is the copy's own"
    );
    assert_eq!(words(&shop, &ann, &own.text("/id")).await, "some words");

    let wanted = json!({
        "originalName": "mine.txt", "visibility": "protected", "bucket": "documents", "metadata": { "alt": "mine" },
    });
    let copy = shop.post(&bob, &path, wanted).await.is(201);
    assert_eq!(
        (
            copy.text("/originalName"),
            copy.text("/visibility"),
            copy.text("/bucket")
        ),
        ("mine.txt".into(), "protected".into(), "documents".into())
    );
    assert_eq!(copy.text("/ownerId"), "bob");
    assert_eq!(
        copy.field("/metadata"),
        json!({ "alt": "mine", "tags": ["note"] }),
        "what bob does not see he does not get"
    );
    delete(&shop, &ann, &format!("files/{id}?purge=true")).await.is(200);
    assert_eq!(words(&shop, &bob, &copy.text("/id")).await, "some words");
}

#[tokio::test]
async fn a_copy_needs_what_reading_and_making_need() {
    let shop = Shop::new().await;
    let (ann, bob) = (shop.person("ann"), shop.person("bob"));
    let id = shop.file(&ann, "private").await;
    let path = format!("files/{id}/copy");
    shop.post(&bob, &path, json!({}))
        .await
        .refused(403, "file/access-denied");
    let makes = vec![("x-api-key", shop.key(KeyKind::Secret, &["files:create"]).await)];
    shop.post(&makes, &path, json!({}))
        .await
        .refused(403, "SCOPE_INSUFFICIENT");
    let limits = LogicalBucket {
        max_size: Some(5),
        ..LogicalBucket::default()
    };
    let of = OfProject::new("shop", "dev");
    shop.projects.set_logical(of, "avatars", Some(limits)).await.unwrap();
    shop.post(&ann, &path, json!({ "bucket": "avatars" }))
        .await
        .refused(400, "file/file-too-large");
    shop.post(&ann, &path, json!({ "bucket": "nowhere" }))
        .await
        .refused(400, "common/invalid-request");
    shop.post(&ann, &path, json!({ "originalName": "a/b" }))
        .await
        .refused(400, "file/invalid-path");
    let pending = json!({ "filename": "a.png", "contentType": "image/png" });
    let pending = shop.post(&ann, "files/presigned-url", pending).await.is(200);
    shop.post(&ann, &format!("files/{}/copy", pending.text("/fileId")), json!({}))
        .await
        .refused(409, "file/invalid-state");
    let listed = shop.get(&ann, "files").await.is(200);
    assert_eq!(
        listed.field("/items").as_array().unwrap().len(),
        1,
        "nothing was left of the others"
    );
}

#[tokio::test]
async fn references_are_kept_until_they_are_taken_away_or_the_file_goes() {
    let shop = Shop::new().await;
    let ann = shop.person("ann");
    let id = shop.file(&ann, "public").await;
    let refs = format!("files/{id}/refs");
    for _ in 0..2 {
        put(&shop, &ann, &format!("{refs}/post-1")).await.is(200);
    }
    let told = put(&shop, &ann, &format!("{refs}/a%2Fb")).await.is(200);
    assert_eq!(told.field("/refs"), json!(["post-1", "a/b"]));
    assert_eq!(
        shop.get(&ann, &refs).await.is(200).field("/refs"),
        json!(["post-1", "a/b"])
    );
    for _ in 0..2 {
        let left = delete(&shop, &ann, &format!("{refs}/post-1")).await.is(200);
        assert_eq!(left.field("/refs"), json!(["a/b"]));
    }
    for wrong in ["x".repeat(257), "%00".to_owned()] {
        put(&shop, &ann, &format!("{refs}/{wrong}"))
            .await
            .refused(400, "common/invalid-request");
    }
    for n in 1..100 {
        put(&shop, &ann, &format!("{refs}/{n}")).await.is(200);
    }
    put(&shop, &ann, &format!("{refs}/101st"))
        .await
        .refused(400, "common/invalid-request");
    let bob = shop.person("bob");
    shop.get(&bob, &refs).await.refused(403, "file/access-denied");
    put(&shop, &bob, &format!("{refs}/his"))
        .await
        .refused(403, "file/access-denied");
    delete(&shop, &ann, &format!("files/{id}")).await.is(200);
    put(&shop, &ann, &format!("{refs}/late"))
        .await
        .refused(404, "file/not-found");
    shop.post(&ann, &format!("files/{id}/restore"), json!({})).await.is(200);
    assert_eq!(
        shop.get(&ann, &refs).await.is(200).field("/refs"),
        json!([]),
        "nobody needs what was deleted"
    );
}

/// A file that is announced, and whose bytes were put by somebody who had its address.
async fn unregistered(shop: &Shop, who: &Who) -> String {
    let asked = json!({ "filename": "a.txt", "contentType": "text/plain" });
    let told = shop.post(who, "files/upload-url", asked).await.is(200);
    let url = told.text("/url");
    let path = url.strip_prefix("https://files.test/v1/").unwrap();
    shop.ask(&Vec::new(), "POST", path, &TEXT, b"words".to_vec())
        .await
        .is(200);
    told.text("/fileId")
}

async fn status(shop: &Shop, who: &Who, id: &str) -> (String, bool) {
    let told = shop.get(who, &format!("files/{id}")).await;
    (told.text("/status"), !told.text("/registeredAt").is_empty())
}

#[tokio::test]
async fn what_an_application_made_replaced_and_deleted_is_committed_at_once() {
    let shop = Shop::new().await;
    let ann = shop.person("ann");
    let (old, unwanted) = (shop.file(&ann, "private").await, shop.file(&ann, "private").await);
    let (made, new) = (unregistered(&shop, &ann).await, unregistered(&shop, &ann).await);
    let nothing = shop.post(&ann, "files:commit", json!({})).await.is(200);
    assert_eq!(nothing.field("/activated"), json!([]));
    let changes = json!({ "activate": [made], "replace": [{ "old": old, "new": new }], "delete": [unwanted] });
    let told = shop.post(&ann, "files:commit", changes.clone()).await.is(200);
    for (path, id, state) in [
        ("/activated/0", &made, "active"),
        ("/replaced/0/new", &new, "active"),
        ("/replaced/0/old", &old, "trashed"),
        ("/deleted/0", &unwanted, "trashed"),
    ] {
        let item = told.field(path);
        let found = (item["id"].as_str(), item["status"].as_str());
        assert_eq!(found, (Some(id.as_str()), Some(state)), "{path}");
    }
    for id in [&made, &new] {
        assert_eq!(status(&shop, &ann, id).await, ("active".into(), true));
    }
    for id in [&old, &unwanted] {
        shop.get(&ann, &format!("files/{id}"))
            .await
            .refused(404, "file/not-found");
    }
    shop.post(&ann, "files:commit", changes)
        .await
        .refused(404, "file/not-found");
    shop.post(&ann, &format!("files/{old}/restore"), json!({}))
        .await
        .is(200);
}

#[tokio::test]
async fn a_commit_with_one_wrong_item_changes_nothing_and_names_it() {
    let shop = Shop::new().await;
    let (ann, bob) = (shop.person("ann"), shop.person("bob"));
    let (kept, made) = (shop.file(&ann, "private").await, unregistered(&shop, &ann).await);
    let (public, others) = (shop.file(&bob, "public").await, shop.file(&bob, "private").await);
    let pending = json!({ "filename": "a.png", "contentType": "image/png" });
    let pending = shop.post(&ann, "files/presigned-url", pending).await.is(200);
    let pending = pending.text("/fileId");
    let nowhere = "01900000-0000-7000-8000-000000000000";
    let waiting = (409, "file/invalid-state");
    let (denied, missing, invalid) = (
        (403, "file/access-denied"),
        (404, "file/not-found"),
        (400, "common/invalid-request"),
    );
    let cases = [
        (json!({ "delete": [public] }), denied, "delete[1]"),
        (
            json!({ "replace": [{ "old": others, "new": "" }] }),
            missing,
            "replace[0].new",
        ),
        (
            json!({ "replace": [{ "old": others, "new": pending }] }),
            denied,
            "replace[0].old",
        ),
        (json!({ "activate": [pending] }), waiting, "activate[1]"),
        (json!({ "remove": [] }), invalid, "There is no field remove here"),
        (json!({ "activate": [others] }), denied, "activate[1]"),
        (json!({ "delete": [nowhere] }), missing, "delete[1]"),
        (json!({ "delete": [kept] }), invalid, "delete[1]"),
        (json!({ "replace": [{ "old": public }] }), invalid, "replace[0].new"),
        (json!({ "replace": ["x"] }), invalid, "replace[0]: "),
        (json!({ "delete": [7] }), invalid, "delete"),
        (json!({ "delete": vec![nowhere; 1_000] }), invalid, ""),
    ];
    for (wrong, (status_code, code), place) in cases {
        let mut changes = json!({ "activate": [made], "delete": [kept] });
        for (list, items) in wrong.as_object().unwrap() {
            let mut all = changes[list].as_array().cloned().unwrap_or_default();
            all.extend(items.as_array().unwrap().clone());
            changes[list] = json!(all);
        }
        let told = shop.post(&ann, "files:commit", changes).await;
        let message = told.text("/error/message");
        assert!(message.starts_with(place), "{message} {place}");
        told.refused(status_code, code);
        assert_eq!(status(&shop, &ann, &kept).await, ("active".into(), true));
        assert_eq!(status(&shop, &ann, &made).await, ("active".into(), false));
    }
    let admin = shop.person_as("eve", "admin");
    let both = json!({ "delete": [public, kept] });
    shop.post(&admin, "files:commit", both).await.is(200);
}

#[tokio::test]
async fn a_commit_needs_the_scopes_of_everything_in_it() {
    let shop = Shop::new().await;
    let ann = shop.person("ann");
    let id = shop.file(&ann, "private").await;
    for (scopes, list, allowed) in [
        (["files:update", "files:create"], "delete", false),
        (["files:update", "files:delete"], "activate", false),
        (["files:update", "files:create"], "activate", true),
        (["files:update", "files:delete"], "delete", true),
    ] {
        let server = vec![("x-api-key", shop.key(KeyKind::Secret, &scopes).await)];
        let told = shop.post(&server, "files:commit", json!({ list: [id] })).await;
        match allowed {
            true => drop(told.is(200)),
            false => told.refused(403, "SCOPE_INSUFFICIENT"),
        }
    }
}
