//! The policy of a bucket: what is taken, what is refused, and that it comes back as it was written.

use super::Server;

const OPEN: &str = "{\r\n  \"Version\": \"2012-10-17\",\r\n  \"Statement\": [{\"Sid\": \"\", \"Effect\": \"Allow\", \
                    \"Principal\": {\"AWS\": [\"*\"]}, \"Action\": [\"s3:GetObject\"], \"Resource\": [\"arn:aws:s3:::bucket/*\"]}]}";

fn closed() -> String {
    OPEN.replace("\"Allow\"", "\"Deny\"")
}

#[tokio::test]
async fn a_policy_comes_back_to_the_byte_and_goes_with_its_bucket() {
    let server = Server::with_bucket().await;
    server.put("/bucket?policy").body(OPEN).send().await.is(204);
    let shown = server.get("/bucket?policy").send().await.is(200);
    assert_eq!(shown.text(), OPEN);
    assert_eq!(shown.header("content-type"), Some("application/json"));
    let status = server.get("/bucket?policyStatus").send().await.is(200);
    assert_eq!(
        status.element("IsPublic").map(|text| text.to_lowercase()).as_deref(),
        Some("true")
    );
    server.put("/bucket?policy").body(closed()).send().await.is(204);
    let status = server.get("/bucket?policyStatus").send().await.is(200);
    assert_eq!(
        status.element("IsPublic").map(|text| text.to_lowercase()).as_deref(),
        Some("false")
    );
    server.delete("/bucket?policy").send().await.is(204);
    let status = server.get("/bucket?policyStatus").send().await.is(200);
    let public = status.element("IsPublic").map(|text| text.to_lowercase());
    assert_eq!(public.as_deref(), Some("false"));
    server
        .get("/absent?policyStatus")
        .send()
        .await
        .fails(404, "NoSuchBucket");
    server
        .get("/bucket?policy")
        .send()
        .await
        .fails(404, "NoSuchBucketPolicy");
    server.delete("/bucket?policy").send().await.is(204);
    server.put("/bucket?policy").body(OPEN).send().await.is(204);
    server.delete("/bucket").send().await.is(204);
    server.put("/bucket").send().await.is(200);
    server
        .get("/bucket?policy")
        .send()
        .await
        .fails(404, "NoSuchBucketPolicy");
    server
        .put("/absent?policy")
        .body(OPEN.replace("bucket", "absent"))
        .send()
        .await
        .fails(404, "NoSuchBucket");
}

#[tokio::test]
async fn a_policy_that_is_not_valid_is_refused_and_the_old_one_stays() {
    let server = Server::with_bucket().await;
    server.put("/bucket?policy").body(OPEN).send().await.is(204);
    for document in [
        String::new(),
        "{".to_owned(),
        "[]".to_owned(),
        OPEN.replace("arn:aws:s3:::bucket/*", "arn:aws:s3:::other/*"),
        OPEN.replace("\"Principal\": {\"AWS\": [\"*\"]}, ", ""),
        OPEN.replace("s3:GetObject", &"x".repeat(20 * 1024)),
    ] {
        server
            .put("/bucket?policy")
            .body(document)
            .send()
            .await
            .fails(400, "MalformedPolicy");
    }
    assert_eq!(server.get("/bucket?policy").send().await.is(200).text(), OPEN);
}

#[tokio::test]
async fn a_public_policy_is_refused_where_such_are_blocked() {
    let server = Server::with_bucket().await;
    let block =
        "<PublicAccessBlockConfiguration><BlockPublicPolicy>true</BlockPublicPolicy></PublicAccessBlockConfiguration>";
    server.put("/bucket?publicAccessBlock").body(block).send().await.is(200);
    server
        .put("/bucket?policy")
        .body(OPEN)
        .send()
        .await
        .fails(403, "AccessDenied");
    server
        .get("/bucket?policy")
        .send()
        .await
        .fails(404, "NoSuchBucketPolicy");
    server.put("/bucket?policy").body(closed()).send().await.is(204);
}

#[tokio::test]
async fn nobody_without_a_right_reads_or_changes_a_policy() {
    let server = Server::with_bucket().await;
    for (path, status, code) in [
        ("/bucket?policy", 403, "AccessDenied"),
        ("/absent?policy", 404, "NoSuchBucket"),
    ] {
        for ask in [server.get(path), server.put(path).body(OPEN), server.delete(path)] {
            ask.anonymous().send().await.fails(status, code);
        }
    }
    server
        .get("/bucket?policyStatus")
        .anonymous()
        .send()
        .await
        .fails(403, "AccessDenied");
    server
        .get("/bucket?policy")
        .send()
        .await
        .fails(404, "NoSuchBucketPolicy");
}
