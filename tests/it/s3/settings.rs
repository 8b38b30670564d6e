//! Public access block and ownership controls.

use super::Server;

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
        ("/absent?publicAccessBlock", BLOCK.to_owned()),
    ] {
        for ask in [server.get(path), server.put(path).body(body), server.delete(path)] {
            ask.anonymous().send().await.fails(403, "AccessDenied");
        }
    }
    server.get("/bucket?ownershipControls").send().await.is(404);
    server.get("/bucket?publicAccessBlock").send().await.is(404);
}
