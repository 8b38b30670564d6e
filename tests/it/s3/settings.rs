//! Public access block and ownership controls.

use drystone::auth::Identity;

use super::Server;
use super::matrix::{policy, user};

const BLOCK: &str = "<PublicAccessBlockConfiguration><BlockPublicAcls>true</BlockPublicAcls>\
                     <RestrictPublicBuckets>true</RestrictPublicBuckets></PublicAccessBlockConfiguration>";

fn owned(by: &str) -> String {
    format!("<OwnershipControls><Rule><ObjectOwnership>{by}</ObjectOwnership></Rule></OwnershipControls>")
}

#[tokio::test]
async fn the_public_access_block_is_set_shown_and_removed() {
    let server = Server::with_bucket().await;
    let path = "/bucket?publicAccessBlock";
    server.put(path).body(BLOCK).send().await.is(200);
    let shown = server.get(path).send().await.is(200);
    let switch = |name: &str| shown.element(name).unwrap();
    assert_eq!(
        (switch("BlockPublicAcls"), switch("IgnorePublicAcls")),
        ("true".into(), "false".into())
    );
    assert_eq!(
        (switch("BlockPublicPolicy"), switch("RestrictPublicBuckets")),
        ("false".into(), "true".into())
    );
    server.delete(path).send().await.is(204);
    server
        .get(path)
        .send()
        .await
        .fails(404, "NoSuchPublicAccessBlockConfiguration");
    for bad in [
        "",
        "<PublicAccessBlockConfiguration><BlockAll>true</BlockAll></PublicAccessBlockConfiguration>",
    ] {
        server.put(path).body(bad).send().await.is(400);
    }
    server
        .put("/absent?publicAccessBlock")
        .body(BLOCK)
        .send()
        .await
        .fails(404, "NoSuchBucket");
}

#[tokio::test]
async fn ownership_controls_are_set_shown_and_removed() {
    let server = Server::with_bucket().await;
    let path = "/bucket?ownershipControls";
    for by in ["BucketOwnerEnforced", "BucketOwnerPreferred", "ObjectWriter"] {
        server.put(path).body(owned(by)).send().await.is(200);
        let shown = server.get(path).send().await.is(200);
        assert_eq!(shown.element("ObjectOwnership").as_deref(), Some(by));
    }
    server
        .put(path)
        .body(owned("Nobody"))
        .send()
        .await
        .fails(400, "MalformedXML");
    server.delete(path).send().await.is(204);
    server
        .get(path)
        .send()
        .await
        .fails(404, "OwnershipControlsNotFoundError");
    let made = server.put("/fresh").header("x-amz-object-ownership", "ObjectWriter");
    made.send().await.is(200);
    let shown = server.get("/fresh?ownershipControls").send().await.is(200);
    assert_eq!(shown.element("ObjectOwnership").as_deref(), Some("ObjectWriter"));
    let refused = server.put("/other").header("x-amz-object-ownership", "Nobody");
    refused.send().await.fails(400, "InvalidArgument");
    server.head("/other").send().await.is(404);
}

#[tokio::test]
async fn nobody_without_a_right_reads_or_changes_the_switches() {
    let server = Server::with_bucket().await;
    for (path, body) in [
        ("/bucket?publicAccessBlock", BLOCK.to_owned()),
        ("/bucket?ownershipControls", owned("ObjectWriter")),
    ] {
        for ask in [server.get(path), server.put(path).body(body), server.delete(path)] {
            ask.anonymous().send().await.fails(403, "AccessDenied");
        }
    }
    let missing = server.get("/absent?publicAccessBlock").anonymous().send().await;
    missing.fails(404, "NoSuchBucket");
    server.get("/bucket?ownershipControls").send().await.is(404);
    server.get("/bucket?publicAccessBlock").send().await.is(404);
}

pub(super) fn tenant(name: &str) -> Identity {
    let everything = r#"{"Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}"#;
    user(name, vec![policy(everything)], None)
}

/// Whose object `path` is by its access control list.
async fn owner_of(server: &Server, path: &str) -> String {
    let shown = server.get(&format!("{path}?acl")).send().await.is(200);
    shown.element("ID").unwrap()
}

#[tokio::test]
async fn what_others_write_is_the_bucket_owners_where_ownership_says_so() {
    for (ownership, acl, whose) in [
        (None, "private", "id-of-bob"),
        (Some("ObjectWriter"), "bucket-owner-full-control", "id-of-bob"),
        (Some("BucketOwnerPreferred"), "private", "id-of-bob"),
        (Some("BucketOwnerPreferred"), "bucket-owner-full-control", "id-of-ann"),
        (Some("BucketOwnerEnforced"), "bucket-owner-full-control", "id-of-ann"),
    ] {
        let server = Server::new();
        let mut make = server.put("/anns").by(tenant("ann"));
        if let Some(ownership) = ownership {
            make = make.header("x-amz-object-ownership", ownership);
        }
        make.send().await.is(200);
        let put = server.put("/anns/a").by(tenant("bob")).header("x-amz-acl", acl);
        put.body("x").send().await.is(200);
        let copy = server.put("/anns/b").by(tenant("bob")).header("x-amz-acl", acl);
        copy.header("x-amz-copy-source", "/anns/a").send().await.is(200);
        let begin = server
            .post("/anns/c?uploads")
            .by(tenant("bob"))
            .header("x-amz-acl", acl);
        begin.send().await.is(200);
        let uploads = server.get("/anns?uploads").send().await.is(200);
        let case = format!("{ownership:?} {acl}");
        assert_eq!(owner_of(&server, "/anns/a").await, whose, "{case}");
        assert_eq!(owner_of(&server, "/anns/b").await, whose, "{case}");
        // Whoever began it, and whose it will be.
        assert_eq!(uploads.elements("ID"), ["id-of-bob", whose], "{case}");
    }
}

#[tokio::test]
async fn a_bucket_that_is_open_by_its_acl_is_not_closed_to_acls() {
    let server = Server::with_bucket().await;
    let path = "/bucket?ownershipControls";
    server
        .put("/bucket?acl")
        .header("x-amz-acl", "public-read")
        .send()
        .await
        .is(200);
    let refused = server.put(path).body(owned("BucketOwnerEnforced")).send().await;
    refused.fails(400, "InvalidBucketAclWithObjectOwnership");
    server
        .get(path)
        .send()
        .await
        .fails(404, "OwnershipControlsNotFoundError");
    server
        .put("/bucket?acl")
        .header("x-amz-acl", "private")
        .send()
        .await
        .is(200);
    server.put(path).body(owned("BucketOwnerEnforced")).send().await.is(200);
}

#[tokio::test]
async fn where_all_is_the_bucket_owners_an_acl_says_nothing_else_and_former_writers_lose_their_say() {
    let server = Server::new();
    server.put("/anns").by(tenant("ann")).send().await.is(200);
    let put = |key: &str, acl: &str| {
        let put = server.put(&format!("/anns/{key}")).by(tenant("bob")).body("x");
        put.header("x-amz-acl", acl)
    };
    put("a", "private").send().await.is(200);
    let bob_alone = || server.get("/anns/a").by(user("bob", Vec::new(), None));
    bob_alone().send().await.is(200);
    server
        .put("/anns?ownershipControls")
        .body(owned("BucketOwnerEnforced"))
        .send()
        .await
        .is(200);
    bob_alone().send().await.fails(403, "AccessDenied");
    put("b", "bucket-owner-full-control").send().await.is(200);
    for path in ["/anns/b", "/anns/c", "/anns/a?acl", "/anns?acl"] {
        let refused = server.put(path).by(tenant("bob")).header("x-amz-acl", "private");
        refused.send().await.fails(400, "AccessControlListNotSupported");
    }
}
