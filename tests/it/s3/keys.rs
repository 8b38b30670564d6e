//! Keys of any bytes S3 allows are just keys.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::Server;

fn path(key: &str) -> String {
    format!("/bucket/{}", utf8_percent_encode(key, NON_ALPHANUMERIC))
}

async fn survives(server: &Server, key: &str) {
    let body = format!("body of {key:?}");
    server.store(&path(key), body.clone()).await;
    assert_eq!(server.get(&path(key)).send().await.is(200).text(), body, "{key:?}");
    let encoded = utf8_percent_encode(key, NON_ALPHANUMERIC).to_string();
    let listed = server
        .get(&format!(
            "/bucket?list-type=2&encoding-type=url&prefix={encoded}&max-keys=1"
        ))
        .send()
        .await;
    let listed_key = listed.is(200).element("Key").unwrap().replace('+', " ");
    let listed_key = percent_encoding::percent_decode_str(&listed_key)
        .decode_utf8()
        .unwrap()
        .into_owned();
    assert_eq!(listed_key, key);
    server.delete(&path(key)).send().await.is(204);
    server.get(&path(key)).send().await.fails(404, "NoSuchKey");
}

#[tokio::test]
async fn every_ascii_byte_and_many_others_may_stand_in_a_key() {
    let server = Server::with_bucket().await;
    for byte in 1..=0x7F_u8 {
        survives(&server, &format!("a{}b", char::from(byte))).await;
        survives(&server, &char::from(byte).to_string()).await;
    }
    for key in ["é", "日本語/ファイル", "\u{10FFFF}", "e\u{301}", "\u{feff}", "😀"] {
        survives(&server, key).await;
    }
}

#[tokio::test]
async fn paths_are_never_normalised() {
    let server = Server::with_bucket().await;
    let keys = [
        "/",
        "//",
        "a//b",
        "../up",
        "a/../b",
        ".",
        "..",
        "./",
        "a/",
        "a/./b",
        "a b+c",
        "%2F",
        "%",
        "a?b#c",
        "bucket?acl",
    ];
    for key in keys {
        survives(&server, key).await;
    }
    server.store("/bucket/dir/", "folder").await;
    server.get("/bucket/dir").send().await.fails(404, "NoSuchKey");
    assert_eq!(server.get("/bucket/dir/").send().await.text(), "folder");
}

#[tokio::test]
async fn a_key_has_at_most_1024_bytes_and_no_nul() {
    let server = Server::with_bucket().await;
    survives(&server, &"k".repeat(1024)).await;
    survives(&server, &"é".repeat(512)).await;
    for method in ["PUT", "GET", "DELETE"] {
        server
            .ask(method, &path(&"k".repeat(1025)))
            .send()
            .await
            .fails(400, "KeyTooLongError");
    }
    server
        .put("/bucket/a%00b")
        .body("x")
        .send()
        .await
        .fails(400, "InvalidArgument");
    server
        .put("/bucket/%FF")
        .body("x")
        .send()
        .await
        .fails(400, "InvalidURI");
}

#[tokio::test]
async fn control_characters_in_a_plain_listing_are_references() {
    let server = Server::with_bucket().await;
    server.store("/bucket/a%01b%0Dc%26", "x").await;
    let listed = server.get("/bucket").send().await.is(200);
    assert_eq!(listed.element("Key").as_deref(), Some("a&#x1;b&#xD;c&amp;"));
    let missing = server.get("/bucket/x%02").send().await.fails(404, "NoSuchKey");
    assert_eq!(missing.element("Key").as_deref(), Some("x&#x2;"));
}
