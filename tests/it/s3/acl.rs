//! Canned ACLs: the word for visibility that every S3 tool knows.

use super::{Answer, Ask, Server};

const ALL: &str = "http://acs.amazonaws.com/groups/global/AllUsers";
const SIGNED_IN: &str = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers";

fn open(ask: Ask<'_>) -> Ask<'_> {
    ask.header("x-amz-acl", "public-read")
}

async fn groups(server: &Server, path: &str) -> Vec<String> {
    let shown: Answer = server.get(&format!("{path}?acl")).send().await.is(200);
    let permissions = shown.elements("Permission");
    let (owners, others) = permissions.split_last().unwrap();
    assert_eq!(owners, "FULL_CONTROL");
    let others = others.iter().map(String::as_str).collect::<Vec<_>>();
    assert!(
        [&[][..], &["READ"], &["READ", "WRITE"]].contains(&&others[..]),
        "{others:?}"
    );
    shown.elements("URI")
}

#[tokio::test]
async fn a_canned_acl_sets_the_visibility_however_it_comes() {
    let server = Server::with_bucket().await;
    for (acl, shown) in [
        ("private", &[][..]),
        ("bucket-owner-full-control", &[]),
        ("public-read", &[ALL]),
        ("authenticated-read", &[SIGNED_IN]),
        ("public-read-write", &[ALL, ALL]),
    ] {
        server
            .put("/bucket/put")
            .header("x-amz-acl", acl)
            .body("x")
            .send()
            .await
            .is(200);
        assert_eq!(groups(&server, "/bucket/put").await, shown, "{acl}");
        server.store("/bucket/set", "x").await;
        server
            .put("/bucket/set?acl")
            .header("x-amz-acl", acl)
            .send()
            .await
            .is(200);
        assert_eq!(groups(&server, "/bucket/set").await, shown, "{acl}");
        let copy = server.put("/bucket/copy").header("x-amz-copy-source", "bucket/put");
        let copied = copy.header("x-amz-acl", acl).send().await;
        if acl == "public-read-write" {
            copied.fails(501, "NotImplemented");
        } else {
            copied.is(200);
            assert_eq!(groups(&server, "/bucket/copy").await, shown, "{acl}");
        }
        let begun = server.post("/bucket/joined?uploads").header("x-amz-acl", acl);
        let upload = begun.send().await.is(200).element("UploadId").unwrap();
        let at = format!("/bucket/joined?uploadId={upload}");
        let part = server.put(&format!("{at}&partNumber=1")).body("p").send().await.is(200);
        let etag = part.header("etag").unwrap();
        let parts = format!(
            "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part></CompleteMultipartUpload>"
        );
        server.post(&at).body(parts).send().await.is(200);
        assert_eq!(groups(&server, "/bucket/joined").await, shown, "{acl}");
    }
    // A copy is never as open as its source by itself.
    server
        .put("/bucket/open")
        .header("x-amz-acl", "public-read")
        .body("x")
        .send()
        .await
        .is(200);
    let copy = server.put("/bucket/closed").header("x-amz-copy-source", "bucket/open");
    copy.send().await.is(200);
    assert_eq!(groups(&server, "/bucket/closed").await, [""; 0]);
}

#[tokio::test]
async fn the_acl_of_a_bucket_says_who_lists_it_and_opens_no_object() {
    let server = Server::new();
    let bucket = server.put("/bucket").header("x-amz-acl", "public-read");
    bucket.send().await.is(200);
    server.store("/bucket/a", "x").await;
    open(server.put("/bucket/own").body("x")).send().await.is(200);
    for (acl, shown, lists, puts) in [
        ("public-read", &[ALL][..], 200, 403),
        ("public-read-write", &[ALL, ALL], 200, 200),
        ("authenticated-read", &[SIGNED_IN], 403, 403),
        ("bucket-owner-full-control", &[], 403, 403),
        ("public-read", &[ALL], 200, 403),
        ("private", &[], 403, 403),
    ] {
        server.put("/bucket?acl").header("x-amz-acl", acl).send().await.is(200);
        assert_eq!(groups(&server, "/bucket").await, shown, "{acl}");
        assert_eq!(groups(&server, "/bucket/a").await, [""; 0], "{acl}");
        let status = server.get("/bucket?policyStatus").send().await.is(200);
        let public = status.element("IsPublic").map(|text| text.to_lowercase());
        assert_eq!(
            public.as_deref(),
            Some(if shown.is_empty() { "false" } else { "true" }),
            "{acl}"
        );
        for path in ["/bucket", "/bucket?list-type=2", "/bucket?versions", "/bucket?uploads"] {
            server.get(path).anonymous().send().await.is(lists);
        }
        server.head("/bucket").anonymous().send().await.is(lists);
        server.put("/bucket/new").body("x").anonymous().send().await.is(puts);
        server.get("/bucket/a").anonymous().send().await.is(403);
        server.get("/bucket/own").anonymous().send().await.is(200);
        for ask in [
            server.delete("/bucket/a"),
            server.delete("/bucket"),
            open(server.put("/bucket/new")),
        ] {
            ask.anonymous().send().await.is(403);
        }
    }
}

#[tokio::test]
async fn what_a_bucket_keeps_closed_is_not_opened_by_an_acl() {
    let server = Server::with_bucket().await;
    server.store("/bucket/a", "x").await;
    let refused = |status: u16, code: &'static str| {
        let server = &server;
        async move {
            for ask in [
                server.put("/bucket/new").body("x"),
                server.put("/bucket/a?acl"),
                server.put("/bucket?acl"),
                server.post("/bucket/new?uploads"),
                server.put("/bucket/new").header("x-amz-copy-source", "bucket/a"),
            ] {
                open(ask).send().await.fails(status, code);
            }
            server.head("/bucket/new").send().await.is(404);
        }
    };
    let block =
        "<PublicAccessBlockConfiguration><BlockPublicAcls>true</BlockPublicAcls></PublicAccessBlockConfiguration>";
    server.put("/bucket?publicAccessBlock").body(block).send().await.is(200);
    refused(403, "AccessDenied").await;
    let private = server.put("/bucket/private").header("x-amz-acl", "private").body("x");
    private.send().await.is(200);
    server.delete("/bucket?publicAccessBlock").send().await.is(204);
    let owned =
        "<OwnershipControls><Rule><ObjectOwnership>BucketOwnerEnforced</ObjectOwnership></Rule></OwnershipControls>";
    server.put("/bucket?ownershipControls").body(owned).send().await.is(200);
    refused(400, "AccessControlListNotSupported").await;
    let both = server.put("/fresh").header("x-amz-acl", "public-read");
    let both = both.header("x-amz-object-ownership", "BucketOwnerEnforced");
    both.send().await.fails(400, "AccessControlListNotSupported");
    server.head("/fresh").send().await.is(404);
}

#[tokio::test]
async fn lists_of_grants_are_not_built_and_an_unknown_word_is_refused() {
    let server = Server::with_bucket().await;
    server.store("/bucket/a", "x").await;
    let grants = "<AccessControlPolicy><Owner><ID>x</ID></Owner><AccessControlList><Grant>\
                  <Grantee xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type=\"CanonicalUser\"><ID>x</ID></Grantee>\
                  <Permission>READ</Permission></Grant></AccessControlList></AccessControlPolicy>";
    for path in ["/bucket?acl", "/bucket/a?acl"] {
        server.put(path).body(grants).send().await.fails(501, "NotImplemented");
        server.put(path).send().await.fails(400, "MissingSecurityHeader");
        let header = server.put(path).header("x-amz-acl", "very-public");
        header.send().await.fails(400, "InvalidArgument");
        let header = server.put(path).header("x-amz-acl", "log-delivery-write");
        header.send().await.fails(501, "NotImplemented");
        server.delete(path).send().await.fails(501, "NotImplemented");
    }
    let part = server
        .put("/bucket/a?partNumber=1&uploadId=x")
        .header("x-amz-acl", "public-read");
    part.body("x").send().await.fails(501, "NotImplemented");
}

#[tokio::test]
async fn nobody_without_a_right_reads_or_changes_an_acl() {
    let server = Server::with_bucket().await;
    server.store("/bucket/a", "x").await;
    for path in ["/bucket?acl", "/bucket/a?acl", "/bucket/absent?acl"] {
        server.get(path).anonymous().send().await.fails(403, "AccessDenied");
        let put = server.put(path).header("x-amz-acl", "public-read");
        put.anonymous().send().await.fails(403, "AccessDenied");
    }
    assert_eq!(groups(&server, "/bucket/a").await, [""; 0]);
}
