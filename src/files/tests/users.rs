//! Users whom the app's servers deal with: shut out, links revoked, files removed or handed on.

use serde_json::{Value, json};
use storage_engine::store::files::{FileFilter, FileQuery, FileState};

use super::{Shop, Told, Who, bucket};

const ANN: &str = "app:shop/own|ann";
const BOB: &str = "app:shop/own|bob";
const TEXT: [(&str, &str); 1] = [("content-type", "text/plain")];

impl Shop {
    async fn of_user(&self, verb: &str, sub: &str) -> Told {
        let named = json!({ "sub": sub, "issuer": "own" });
        self.post(&self.server(), &format!("files/users/{verb}"), named).await
    }

    async fn deal(&self, sub: &str, more: Value) -> Told {
        let mut said = json!({ "sub": sub, "issuer": "own" });
        said.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.post(&self.server(), "files/users/files", said).await
    }

    /// Where an address that somebody asks for takes a file.
    async fn address(&self, who: &Who) -> String {
        let url = self
            .post(who, "files/upload-url", json!({}))
            .await
            .is(200)
            .text("/uploadUrl");
        url.strip_prefix("https://files.test/v1/").unwrap().to_owned()
    }

    async fn send_to(&self, address: &str) -> Told {
        self.ask(&Vec::new(), "POST", address, &TEXT, b"words".to_vec()).await
    }

    /// How many files of an owner there are in this state.
    async fn count_of(&self, owner: &str, state: FileState) -> usize {
        let filter = FileFilter {
            state: Some(state),
            owner: Some(owner.into()),
            ..FileFilter::default()
        };
        let query = FileQuery::oldest_first(filter, 100, None);
        self.store.list_files(&bucket(), &query).await.unwrap().files.len()
    }
}

#[tokio::test]
async fn who_is_blocked_is_let_nothing_by_anything_until_they_are_let_in_again() {
    let shop = Shop::new().await;
    let (ann, bob) = (shop.person("ann"), shop.person("bob"));
    let file = shop.file(&ann, "protected").await;
    let (anns, bobs) = (shop.address(&ann).await, shop.address(&bob).await);
    let token = shop.uploader(json!({ "sub": "ann", "issuer": "own" })).await;
    let told = shop.of_user("block", "ann").await.is(200);
    assert_eq!(
        (told.text("/ownerId"), told.field("/blocked")),
        (ANN.to_owned(), json!(true))
    );
    for path in [format!("files/{file}"), "files".to_owned()] {
        shop.get(&ann, &path).await.refused(403, "PROJECT_ACCESS_DENIED");
    }
    let admin = shop.person_as("ann", "admin");
    shop.get(&admin, "files").await.refused(403, "PROJECT_ACCESS_DENIED");
    // Neither does a server act for them.
    let mut server = shop.server();
    server.push(ann[1].clone());
    shop.get(&server, "files").await.refused(403, "PROJECT_ACCESS_DENIED");
    let uploaded = |who: Who| {
        let shop = &shop;
        async move {
            let path = "files/upload?filename=a.gif";
            let kind = [("content-type", "image/gif")];
            shop.ask(&who, "POST", path, &kind, b"GIF89a\x0A\0\x14\0\0\0\0;".to_vec())
                .await
        }
    };
    uploaded(token.clone()).await.refused(403, "PROJECT_ACCESS_DENIED");
    shop.send_to(&anns).await.refused(403, "file/access-denied");
    // Her file is there, and nobody else is concerned.
    shop.get(&bob, &format!("files/{file}")).await.is(200);
    shop.send_to(&bobs).await.is(200);

    let listed = shop.get(&shop.server(), "files/users").await.is(200);
    assert_eq!(listed.field("/items").as_array().unwrap().len(), 1);
    assert_eq!(listed.text("/items/0/sub"), "ann");
    let told = shop.of_user("unblock", "ann").await.is(200);
    assert_eq!(told.field("/blocked"), json!(false));
    shop.get(&ann, &format!("files/{file}")).await.is(200);
    // What she was given before stays revoked, what she is given now stands.
    uploaded(token).await.refused(401, "INVALID_TOKEN");
    shop.send_to(&anns).await.refused(403, "file/access-denied");
    let fresh = shop.address(&ann).await;
    shop.send_to(&fresh).await.is(200);
    let token = shop.uploader(json!({ "sub": "ann", "issuer": "own" })).await;
    uploaded(token).await.is(201);
}

#[tokio::test]
async fn users_revoke_what_they_were_given_themselves_and_servers_for_whom_they_name() {
    let shop = Shop::new().await;
    let (ann, bob) = (shop.person("ann"), shop.person("bob"));
    for round in 0..2 {
        let (anns, bobs) = (shop.address(&ann).await, shop.address(&bob).await);
        match round {
            0 => shop.post(&ann, "files/users/revoke-urls", json!({})).await.is(200),
            _ => shop.of_user("revoke-urls", "ann").await.is(200),
        };
        shop.send_to(&anns).await.refused(403, "file/access-denied");
        shop.send_to(&bobs).await.is(200);
    }
    let named = json!({ "sub": "ann", "issuer": "own" });
    for who in [&bob, &shop.person_as("eve", "admin")] {
        shop.post(who, "files/users/revoke-urls", named.clone())
            .await
            .refused(403, "PERMISSION_DENIED");
    }
    let nobody = shop.post(&shop.server(), "files/users/revoke-urls", json!({})).await;
    nobody.refused(400, "common/invalid-request");
}

#[tokio::test]
async fn nobody_is_blocked_whom_nobody_can_vouch_for() {
    let shop = Shop::new().await;
    for (said, field) in [
        (json!({}), "sub"),
        (json!({ "sub": "ann", "issuer": "nope" }), "issuer"),
        (json!({ "sub": "ann", "issuer": "key" }), "issuer"),
        (json!({ "sub": "", "issuer": "own" }), "sub"),
        (json!({ "sub": 7, "issuer": "own" }), "sub"),
    ] {
        let told = shop.post(&shop.server(), "files/users/block", said.clone()).await;
        assert!(told.text("/error/message").contains(field), "{said}: {told:?}");
        told.refused(400, "common/invalid-request");
    }
    assert_eq!(shop.get(&shop.server(), "files/users").await.field("/items"), json!([]));
}

#[tokio::test]
async fn the_files_of_somebody_who_leaves_go_to_the_trash_for_good_or_to_another() {
    let shop = Shop::new().await;
    let (ann, bob) = (shop.person("ann"), shop.person("bob"));
    let mut files = Vec::new();
    for visibility in ["private", "public", "protected"] {
        files.push(shop.file(&ann, visibility).await);
    }
    shop.file(&bob, "private").await;
    let pending = json!({ "filename": "a.txt", "contentType": "text/plain" });
    shop.post(&ann, "files/presigned-url", pending).await.is(200);
    let path = format!("files/{}", files[0]);
    shop.ask(&ann, "DELETE", &path, &[], Vec::new()).await.is(200);

    for (more, field) in [
        (json!({}), "then"),
        (json!({ "then": "burn" }), "then"),
        (json!({ "then": "reassign" }), "to"),
        (
            json!({ "then": "reassign", "to": { "sub": "bob", "issuer": "nope" } }),
            "issuer",
        ),
    ] {
        let told = shop.deal("ann", more).await;
        assert!(told.text("/error/message").contains(field), "{told:?}");
        told.refused(400, "common/invalid-request");
    }
    // Bob gets them all, also what is announced and what is in the trash.
    let to = json!({ "then": "reassign", "to": { "sub": "bob", "issuer": "own" } });
    let told = shop.deal("ann", to).await.is(200);
    assert_eq!((told.field("/files"), told.field("/more")), (json!(4), json!(false)));
    shop.get(&ann, &format!("files/{}", files[1])).await.is(200);
    let told = shop.get(&bob, &format!("files/{}", files[1])).await.is(200);
    assert_eq!(told.text("/ownerId"), "bob");
    let change = json!({ "visibility": "private" }).to_string().into_bytes();
    let path = format!("files/{}/visibility", files[1]);
    shop.ask(&bob, "PATCH", &path, &[], change).await.is(200);
    shop.get(&ann, &format!("files/{}", files[1]))
        .await
        .refused(403, "file/access-denied");
    let restore = format!("files/{}/restore", files[0]);
    shop.post(&bob, &restore, json!({})).await.is(200);
    assert_eq!(shop.count_of(BOB, FileState::Active).await, 4);

    let told = shop.deal("bob", json!({ "then": "trash" })).await.is(200);
    assert_eq!(told.field("/files"), json!(5));
    assert_eq!(shop.count_of(BOB, FileState::Active).await, 0);
    assert_eq!(shop.count_of(BOB, FileState::Trashed).await, 4);
    let told = shop.deal("bob", json!({ "then": "purge" })).await.is(200);
    assert_eq!((told.field("/files"), told.field("/more")), (json!(4), json!(false)));
    assert_eq!(shop.count_of(BOB, FileState::Trashed).await, 0);
    assert_eq!(
        shop.deal("bob", json!({ "then": "purge" })).await.field("/files"),
        json!(0)
    );
}
