//! Canned ACLs: the word for visibility that every S3 tool knows.

use std::sync::Arc;

use drystone::auth::Identity;
use storage_engine::memory::MemoryBackend;
use storage_engine::store::clock::SystemClock;
use storage_engine::store::name::BucketName;
use storage_engine::store::record::labels::Visibility;
use storage_engine::store::record::settings::BucketSettings;
use storage_engine::store::{Epoch, Store};

use super::matrix::{canned_policy, document, statement, user};
use super::{Answer, Ask, Server};

const ALL: &str = "http://acs.amazonaws.com/groups/global/AllUsers";
const SIGNED_IN: &str = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers";

const TAGS: &str = "<Tagging><TagSet><Tag><Key>scanned</Key><Value>yes</Value></Tag></TagSet></Tagging>";

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
        // Who may write says who reads what they wrote.
        let opened = open(server.put("/bucket/mine").body("x"));
        opened.anonymous().send().await.is(puts);
        let read = server.get("/bucket/mine").anonymous().send().await;
        assert_eq!(read.status == 200, puts == 200, "{acl}");
        server.delete("/bucket/mine").send().await.is(204);
        server.get("/bucket/a").anonymous().send().await.is(403);
        server.get("/bucket/own").anonymous().send().await.is(200);
        for ask in [
            server.delete("/bucket/a"),
            server.delete("/bucket"),
            open(server.put("/bucket/a?acl")),
            server.put("/bucket/a?tagging").body(TAGS),
            server.put("/bucket/new").header("x-amz-tagging", "scanned=yes"),
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

/// An upload of one part by these, opened by its canned ACL; the status of its beginning, or of its end.
async fn opened_upload(server: &Server, by: &Identity, path: &str) -> u16 {
    let begun = open(server.post(&format!("{path}?uploads")))
        .by(by.clone())
        .send()
        .await;
    let Some(upload) = begun.element("UploadId") else {
        return begun.status;
    };
    let at = format!("{path}?uploadId={upload}");
    let part = server.put(&format!("{at}&partNumber=1")).body("p").by(by.clone());
    let etag = part.send().await.is(200).header("etag").unwrap().to_owned();
    let parts = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part></CompleteMultipartUpload>"
    );
    server.post(&at).body(parts).by(by.clone()).send().await.status
}

#[tokio::test]
async fn a_canned_acl_at_a_write_needs_a_right_of_its_own_or_the_acl_of_the_bucket() {
    let allow = |action: &str| statement("Allow", action, "bucket/*");
    let deny = statement("Deny", "s3:PutObjectAcl", "*");
    let may = |statements: &[String], session: Option<&[String]>| {
        user("ann", vec![document(statements)], session.map(document))
    };
    let (puts, everything) = ([allow("s3:PutObject")], [allow("s3:*")]);
    let read_own = [allow("s3:PutObject"), allow("s3:GetObject")];
    // Of a bucket that is private, and of one that everybody writes to: whether it is put, and whether it is opened.
    for (who, identity, private, open_to_all) in [
        ("anonymous", Identity::Anonymous, [403, 403], [200, 200]),
        ("no policy", user("ann", Vec::new(), None), [403, 403], [200, 200]),
        ("a key that only writes", may(&puts, None), [200, 403], [200, 200]),
        ("one that reads, too", may(&read_own, None), [200, 403], [200, 200]),
        (
            "one that may not open anything",
            may(&[puts[0].clone(), deny.clone()], None),
            [200, 403],
            [200, 403],
        ),
        (
            "a session that only writes",
            may(&everything, Some(&puts)),
            [200, 403],
            [200, 403],
        ),
        ("everything", may(&everything, None), [200, 200], [200, 200]),
        ("root", Identity::Root, [200, 200], [200, 200]),
    ] {
        for (acl, expected) in [("private", private), ("public-read-write", open_to_all)] {
            let server = Server::new();
            server.put("/bucket").header("x-amz-acl", acl).send().await.is(200);
            server.store("/bucket/standing", "s").await;
            let put = server.put("/bucket/a").body("x").by(identity.clone()).send().await;
            let opened = open(server.put("/bucket/b").body("x"))
                .by(identity.clone())
                .send()
                .await;
            let upload = opened_upload(&server, &identity, "/bucket/c").await;
            assert_eq!([put.status, opened.status], expected, "{who}, {acl}");
            assert_eq!(upload, expected[1], "an upload by {who}, {acl}");
            for key in ["b", "c"] {
                let read = server.get(&format!("/bucket/{key}")).anonymous().send().await;
                assert_eq!(read.status == 200, expected[1] == 200, "what {who} wrote, {acl}");
            }
            // What stands there is nobody's to open, or to copy from.
            let may_read = who == "everything" || who == "root" || who == "one that reads, too";
            let copy = open(server.put("/bucket/copy")).header("x-amz-copy-source", "bucket/standing");
            let copied = copy.by(identity.clone()).send().await;
            let expected_copy = if may_read { expected[1] } else { 403 };
            assert_eq!(copied.status, expected_copy, "a copy by {who}, {acl}");
            let turned = open(server.put("/bucket/standing?acl"))
                .by(identity.clone())
                .send()
                .await;
            let may_turn = who == "everything" || who == "root";
            assert_eq!(turned.status, if may_turn { 200 } else { 403 }, "{who}, {acl}");
        }
    }
}

/// A copy onto itself leaves whose the object is: who writes by the bucket's ACL would open what somebody else has shared
/// with them alone.
#[tokio::test]
async fn a_copy_onto_itself_opens_nothing_that_stands_without_the_right_to() {
    let server = Server::new();
    let bucket = server.put("/bucket").header("x-amz-acl", "public-read-write");
    bucket.send().await.is(200);
    let by = |name: &str| user(name, Vec::new(), None);
    let mine = server.put("/bucket/a").header("x-amz-acl", "authenticated-read");
    mine.body("x").by(by("ann")).send().await.is(200);
    let onto_itself = |who: Identity| {
        let copy = open(server.put("/bucket/a")).header("x-amz-copy-source", "bucket/a");
        copy.header("x-amz-metadata-directive", "REPLACE").by(who)
    };
    onto_itself(by("bob")).send().await.fails(403, "AccessDenied");
    server.get("/bucket/a").anonymous().send().await.is(403);
    let acls = statement("Allow", "s3:PutObjectAcl", "bucket/*");
    let may = user("bob", vec![document(&[acls])], None);
    onto_itself(may).send().await.is(200);
    server.get("/bucket/a").anonymous().send().await.is(200);
}

#[tokio::test]
async fn whose_an_object_is_sees_its_acl_once_a_visibility_is_set() {
    let server = Server::new();
    let bucket = server.put("/bucket").header("x-amz-acl", "public-read-write");
    bucket.send().await.is(200);
    let by = |name: &str| user(name, Vec::new(), None);
    let put = server.put("/bucket/a").header("x-amz-acl", "private").body("x");
    put.by(by("ann")).send().await.is(200);
    server.put("/bucket/b").body("x").by(by("ann")).send().await.is(200);
    server.get("/bucket/a?acl").by(by("ann")).send().await.is(200);
    let denied = statement("Deny", "s3:GetObjectAcl", "*");
    let denied = user("ann", vec![document(&[denied])], None);
    for (path, who) in [
        ("/bucket/a?acl", by("bob")),
        ("/bucket/a?acl", Identity::Anonymous),
        ("/bucket/a?acl", denied),
        // Where none is set, policies alone decide, as in MinIO.
        ("/bucket/b?acl", by("ann")),
    ] {
        server.get(path).by(who).send().await.fails(403, "AccessDenied");
    }
}

#[tokio::test]
async fn what_is_offered_to_the_owner_of_the_bucket_is_shown_as_theirs_too() {
    let server = Server::new();
    let olga = || user("olga", vec![canned_policy("owner")], None);
    let bucket = server.put("/bucket").header("x-amz-acl", "public-read-write");
    bucket.by(olga()).send().await.is(200);
    let bob = || {
        let acls = statement("Allow", "s3:*ObjectAcl", "*");
        user("bob", vec![document(&[acls])], None)
    };
    let owners = || async {
        let shown = server.get("/bucket/a?acl").by(bob()).send().await.is(200);
        assert_eq!(shown.elements("URI"), [""; 0]);
        let full = shown.elements("Permission");
        assert!(full.iter().all(|permission| permission == "FULL_CONTROL"), "{full:?}");
        let mut ids = shown.elements("ID");
        // The last is the owner's, outside the list.
        ids.pop();
        ids
    };
    let put = |acl: &str| server.put("/bucket/a").header("x-amz-acl", acl).body("x").by(bob());
    put("bucket-owner-full-control").send().await.is(200);
    assert_eq!(owners().await, ["id-of-bob", "id-of-olga"]);
    put("private").send().await.is(200);
    assert_eq!(owners().await, ["id-of-bob"]);
    let turn = server
        .put("/bucket/a?acl")
        .header("x-amz-acl", "bucket-owner-full-control");
    turn.by(bob()).send().await.is(200);
    assert_eq!(owners().await, ["id-of-bob", "id-of-olga"]);
    let turn = server.put("/bucket/a?acl").header("x-amz-acl", "private");
    turn.by(bob()).send().await.is(200);
    assert_eq!(owners().await, ["id-of-bob"]);
    // It is shown once where it is theirs already.
    let own = server.put("/bucket/a").header("x-amz-acl", "bucket-owner-full-control");
    own.body("x").by(olga()).send().await.is(200);
    assert_eq!(owners().await, ["id-of-olga"]);
}

#[tokio::test]
async fn a_bucket_that_is_made_private_is_so_by_default_too() {
    let backend = Arc::new(MemoryBackend::new());
    let store = Store::new(backend.clone(), Arc::new(SystemClock), Epoch([7; 16]));
    let server = Server::over(backend);
    server.put("/bucket").send().await.is(200);
    server.store("/bucket/a", "x").await;
    let bucket = BucketName::parse("bucket").unwrap();
    for (visibility, is_public, stays) in [
        (Visibility::Public, true, false),
        (Visibility::Protected, true, false),
        (Visibility::Shared, false, true),
    ] {
        let set = |settings: &mut BucketSettings| settings.visibility = Some(visibility);
        store.change_settings(&bucket, set).await.unwrap();
        let status = server.get("/bucket?policyStatus").send().await.is(200);
        let told = status.element("IsPublic").map(|text| text.to_lowercase());
        assert_eq!(told, Some(is_public.to_string()), "{visibility:?}");
        let acl = |acl: &str| server.put("/bucket?acl").header("x-amz-acl", acl).send();
        // What is listed by everybody is no less open than it was.
        acl("public-read").await.is(200);
        let kept = store.settings_of(&bucket).await.unwrap().visibility;
        assert_eq!(kept, Some(visibility));
        acl("private").await.is(200);
        let kept = store.settings_of(&bucket).await.unwrap().visibility;
        assert_eq!(kept.is_some(), stays, "{visibility:?}");
        let read = server.get("/bucket/a").anonymous().send().await;
        read.fails(403, "AccessDenied");
    }
}
