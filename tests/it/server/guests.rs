//! Uploads of guests through the whole server: the addresses they are given are used on S3.

use serde_json::{Value, json};

use super::links::{App, AskedForm, GIF, fails};
use super::stack::{exchange, start};
use super::support::status;

impl App {
    async fn guests_upload(&self, whether: &str) {
        let asked = json!({ "project": "shop", "environment": "prod", "name": "inbox", "guest_upload": whether });
        self.admin("PUT", "/buckets", asked).await;
    }

    /// What a guest is told who begins an upload in the logical bucket `inbox`.
    async fn begun(&self, how: &str) -> Value {
        let (code, told) = self.ask(None, "POST", how, inbox()).await;
        assert_eq!(code, 200, "{told}");
        told
    }

    /// A guest who begins an upload behind a proxy.
    async fn begun_from(&self, address: &str) -> String {
        let body = inbox().to_string();
        let request = format!(
            "POST /v1/files/presigned-url HTTP/1.1\r\nHost: {}\r\nX-API-Key: {}\r\nX-Forwarded-For: {address}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            self.address,
            self.key,
            body.len()
        );
        exchange(self.address, &request).await
    }
}

fn inbox() -> Value {
    json!({ "filename": "a b.gif", "contentType": "image/gif", "bucket": "inbox" })
}

/// What a header of an answer says.
fn header<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    let (head, _) = answer.split_once("\r\n\r\n")?;
    let mut lines = head.lines().filter_map(|line| line.split_once(": "));
    lines.find_map(|(known, value)| known.eq_ignore_ascii_case(name).then_some(value))
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap()
}

#[tokio::test]
async fn guests_upload_where_the_operator_lets_them_and_read_nothing_of_it() {
    let server = start(&[]).await;
    let app = App::new(server.addresses()[0]).await;
    let (code, told) = app.ask(None, "POST", "/presigned-url", inbox()).await;
    assert_eq!(
        (code, &told["error"]["code"]),
        (401, &json!("common/authentication-required"))
    );
    app.guests_upload("on").await;

    let told = app.begun("/presigned-url").await;
    let (file, url) = (text(&told, "fileId"), text(&told, "url"));
    assert_eq!(told["maxSize"], json!(10 << 20));
    app.guests_upload("off").await;
    fails(&app.put(url, GIF).await, 403, "AccessDenied");
    app.guests_upload("on").await;
    fails(
        &app.send("PUT", url, "x-amz-acl: public-read\r\n", GIF).await,
        403,
        "AccessDenied",
    );
    assert_eq!(status(&app.put(url, GIF).await), 200);
    // Where something stands a guest puts nothing.
    fails(&app.put(url, GIF).await, 403, "AccessDenied");
    let at = url.split('?').next().unwrap();
    fails(&app.get(at).await, 403, "AccessDenied");
    fails(&app.send("PUT", at, "", GIF).await, 403, "AccessDenied");
    for who in [None, Some("ann")] {
        assert_eq!(app.ask(who, "GET", &format!("/{file}"), json!({})).await.0, 403);
        let (_, listed) = app.ask(who, "GET", "?bucket=inbox", json!({})).await;
        assert_eq!(listed["items"], json!([]));
    }

    let form = AskedForm::of(&app, None, inbox()).await;
    let answer = form.post(&form.fields, GIF).await;
    assert_eq!(status(&answer), 201, "{answer}");

    let told = app.begun("/multipart/init").await;
    let upload = text(&told, "uploadId");
    let asked = json!({ "uploadId": upload, "partNumber": 1 });
    let (_, part) = app.ask(None, "POST", "/multipart/presigned-url", asked).await;
    let answer = app.send("PUT", text(&part, "url"), "", GIF).await;
    assert_eq!(status(&answer), 200, "{answer}");
    let parts = json!({ "uploadId": upload, "parts": [{ "partNumber": 1, "etag": header(&answer, "etag").unwrap() }] });
    let (code, told) = app.ask(None, "POST", "/multipart/complete", parts).await;
    assert_eq!((code, &told["status"]), (200, &json!("active")), "{told}");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn guests_are_counted_by_the_address_they_come_from() {
    let server = start(&[("DRYSTONE_TRUSTED_PROXIES", "127.0.0.1")]).await;
    let app = App::new(server.addresses()[0]).await;
    app.guests_upload("on").await;
    let mut begun = 0;
    let refused = loop {
        let answer = app.begun_from("198.51.100.7").await;
        match status(&answer) {
            200 => begun += 1,
            _ => break answer,
        }
    };
    assert!(begun >= 20, "{begun}");
    assert_eq!(status(&refused), 429, "{refused}");
    assert!(
        refused.contains("RATE_LIMIT_EXCEEDED") && header(&refused, "retry-after").is_some(),
        "{refused}"
    );
    assert_eq!(status(&app.begun_from("198.51.100.8").await), 200);
    server.stop().await.unwrap();
}
