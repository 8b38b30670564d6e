//! Users of an app who are shut out, or whose links were revoked, through the whole server.

use serde_json::json;

use super::links::{App, GIF, fails};
use super::stack::start;
use super::support::status;

async fn order(server: &App, verb: &str) {
    let (code, told) = server
        .ask(
            None,
            "POST",
            &format!("/users/{verb}"),
            json!({ "sub": "ann", "issuer": "own" }),
        )
        .await;
    assert_eq!(code, 200, "{told}");
}

#[tokio::test]
async fn links_of_a_user_and_to_their_files_end_when_they_are_revoked_or_the_user_is_blocked() {
    let server = start(&[]).await;
    let app = App::new(server.addresses()[0]).await;
    let back_end = app.server_key().await;
    let (file, upload) = app.announce(json!({ "visibility": "protected" })).await;
    assert_eq!(status(&app.put(&upload, GIF).await), 200);
    let (bobs_file, bobs_upload) = {
        let said = json!({ "filename": "b.gif", "contentType": "image/gif", "visibility": "protected" });
        let (_, told) = app.ask(Some("bob"), "POST", "/presigned-url", said).await;
        let text = |name: &str| told[name].as_str().unwrap().to_owned();
        (text("fileId"), text("url"))
    };
    assert_eq!(status(&app.put(&bobs_upload, GIF).await), 200);
    for verb in ["revoke-urls", "block"] {
        let own = app.download_url(Some("ann"), &file).await;
        let by_bob = app.download_url(Some("bob"), &file).await;
        let by_server = back_end.download_url(None, &file).await;
        let (_, waiting) = app.announce(json!({})).await;
        let of_bob = app.download_url(Some("bob"), &bobs_file).await;
        let all = [&own, &by_bob, &by_server];
        for url in all {
            assert_eq!(status(&app.get(url).await), 200, "{url}");
        }
        order(&back_end, verb).await;
        for url in all {
            fails(&app.get(url).await, 403, "InvalidAccessKeyId");
        }
        fails(&app.put(&waiting, GIF).await, 403, "InvalidAccessKeyId");
        assert_eq!(status(&app.get(&of_bob).await), 200);
        // What is given out after it stands, also where the same URL was asked for again.
        let again = app.download_url(Some("bob"), &file).await;
        assert_eq!(status(&app.get(&again).await), 200);
    }
    let (code, told) = app.ask(Some("ann"), "GET", "", json!({})).await;
    assert_eq!(
        (code, &told["error"]["code"]),
        (403, &json!("PROJECT_ACCESS_DENIED")),
        "{told}"
    );
    order(&back_end, "unblock").await;
    let (code, told) = app.ask(Some("ann"), "GET", "", json!({})).await;
    assert_eq!(code, 200, "{told}");
    server.stop().await.unwrap();
}
