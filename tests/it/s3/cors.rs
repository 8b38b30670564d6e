//! The CORS configuration of a bucket. What pages are told by it stands in `server/cors.rs`.

use super::Server;

const RULES: &str = "<CORSConfiguration><CORSRule><ID>one</ID><AllowedOrigin>https://*.app</AllowedOrigin>\
                     <AllowedMethod>GET</AllowedMethod><AllowedMethod>PUT</AllowedMethod><AllowedHeader>*</AllowedHeader>\
                     <ExposeHeader>ETag</ExposeHeader><MaxAgeSeconds>60</MaxAgeSeconds></CORSRule>\
                     <CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET</AllowedMethod></CORSRule></CORSConfiguration>";

fn one(inside: &str) -> String {
    format!("<CORSConfiguration><CORSRule>{inside}</CORSRule></CORSConfiguration>")
}

#[tokio::test]
async fn rules_are_set_shown_as_they_were_set_and_removed() {
    let server = Server::with_bucket().await;
    server.put("/bucket?cors").body(RULES).send().await.is(200);
    let shown = server.get("/bucket?cors").send().await.is(200);
    assert_eq!(shown.elements("AllowedOrigin"), ["https://*.app", "*"]);
    assert_eq!(shown.elements("AllowedMethod"), ["GET", "PUT", "GET"]);
    assert_eq!(shown.elements("AllowedHeader"), ["*"]);
    assert_eq!(shown.elements("ExposeHeader"), ["ETag"]);
    assert_eq!(shown.elements("MaxAgeSeconds"), ["60"]);
    assert_eq!(shown.elements("ID"), ["one"]);
    server.delete("/bucket?cors").send().await.is(204);
    server
        .get("/bucket?cors")
        .send()
        .await
        .fails(404, "NoSuchCORSConfiguration");
    server
        .put("/absent?cors")
        .body(RULES)
        .send()
        .await
        .fails(404, "NoSuchBucket");
}

#[tokio::test]
async fn rules_that_are_not_valid_are_refused_and_the_old_ones_stay() {
    let server = Server::with_bucket().await;
    server.put("/bucket?cors").body(RULES).send().await.is(200);
    let (origin, method) = ("<AllowedOrigin>*</AllowedOrigin>", "<AllowedMethod>GET</AllowedMethod>");
    let many = format!(
        "<CORSConfiguration>{}</CORSConfiguration>",
        format!("<CORSRule>{origin}{method}</CORSRule>").repeat(101)
    );
    for (document, code) in [
        (
            one(&format!("<AllowedOrigin>*a*</AllowedOrigin>{method}")),
            "InvalidRequest",
        ),
        (
            one(&format!("{origin}<AllowedMethod>PATCH</AllowedMethod>")),
            "InvalidRequest",
        ),
        (
            one(&format!(
                "{origin}{method}<ExposeHeader>x&#13;&#10;set-cookie: a</ExposeHeader>"
            )),
            "InvalidRequest",
        ),
        (one(&format!("{origin}{method}<Other/>")), "MalformedXML"),
        (one(origin), "MalformedXML"),
        ("<CORSConfiguration/>".to_owned(), "MalformedXML"),
        (many, "MalformedXML"),
    ] {
        server.put("/bucket?cors").body(document).send().await.fails(400, code);
    }
    let shown = server.get("/bucket?cors").send().await.is(200);
    assert_eq!(shown.elements("ID"), ["one"]);
}

#[tokio::test]
async fn a_preflight_that_nothing_allowed_is_refused_in_the_words_of_s3() {
    let server = Server::with_bucket().await;
    let preflight = server.ask("OPTIONS", "/bucket/a").header("origin", "https://a");
    let preflight = preflight.header("access-control-request-method", "GET").anonymous();
    preflight.send().await.fails(403, "AccessForbidden");
    let incomplete = server
        .ask("OPTIONS", "/bucket/a")
        .header("origin", "https://a")
        .anonymous();
    incomplete.send().await.fails(400, "BadRequest");
}

#[tokio::test]
async fn nobody_without_a_right_reads_or_changes_the_rules() {
    let server = Server::with_bucket().await;
    for (path, status, code) in [
        ("/bucket?cors", 403, "AccessDenied"),
        ("/absent?cors", 404, "NoSuchBucket"),
    ] {
        for ask in [server.get(path), server.put(path).body(RULES), server.delete(path)] {
            ask.anonymous().send().await.fails(status, code);
        }
    }
    server
        .get("/bucket?cors")
        .send()
        .await
        .fails(404, "NoSuchCORSConfiguration");
}
