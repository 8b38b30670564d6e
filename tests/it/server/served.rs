//! What strangers put into an app, as browsers are shown it: no page and no picture acts in the server's name.

use drystone::auth::sign::{Signer, body_hash};
use drystone::auth::{PayloadMode, SecretKey};
use http::Request;
use serde_json::json;
use time::OffsetDateTime;

use super::links::App;
use super::projects::on_s3;
use super::stack::{PASSWORD, USER, exchange, presigned, start};
use super::support::status;

/// The whole policy: a word of it that is written wrong fails open.
const SANDBOX: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; media-src 'self'; sandbox";
const HTML: &str = "<!doctype html><html><body><script>alert(document.domain)</script></body></html>";
const SVG: &str =
    "<svg xmlns=\"http://www.w3.org/2000/svg\" onload=\"alert(document.domain)\"><script>alert(1)</script></svg>";
const PNG: &str = "not looked at";

/// What an answer has under this name.
fn header<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    let (head, _) = answer.split_once("\r\n\r\n")?;
    let lines = head.lines().filter_map(|line| line.split_once(": "));
    let mut found = lines.filter(|(known, _)| known.eq_ignore_ascii_case(name));
    found.next().map(|(_, value)| value)
}

/// The headers that keep it from acting as a page, with what the browser is to do with it.
#[track_caller]
fn acts_not(answer: &str, disposition: Option<&str>, what: &str) {
    assert_eq!(status(answer), 200, "{what}: {answer}");
    assert_eq!(header(answer, "content-disposition"), disposition, "{what}");
    assert_eq!(header(answer, "content-security-policy"), Some(SANDBOX), "{what}");
    assert_eq!(header(answer, "x-content-type-options"), Some("nosniff"), "{what}");
}

impl App {
    /// A public file of ann's; its id, and its path on S3.
    async fn public(&self, name: &str, kind: &str, bytes: &str) -> (String, String) {
        let said = json!({ "filename": name, "contentType": kind, "visibility": "public" });
        let (id, url) = self.announce(said).await;
        let sent = self
            .send("PUT", &url, &format!("Content-Type: {kind}\r\n"), bytes)
            .await;
        assert_eq!(status(&sent), 200, "{sent}");
        let plain = url.split('?').next().unwrap().to_owned();
        (
            id,
            plain
                .strip_prefix(&format!("http://{}", self.address))
                .unwrap()
                .to_owned(),
        )
    }

    /// What a browser is shown that opens an address which root signed for it.
    async fn signed(&self, method: &str, path: &str) -> String {
        let host = self.address.to_string();
        let target = presigned(PASSWORD, method, &host, path);
        let request = format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        exchange(self.address, &request).await
    }
}

#[tokio::test]
async fn pages_and_drawings_of_an_app_are_saved_and_never_shown_by_whatever_address_a_browser_opens() {
    let server = start(&[]).await;
    let app = App::new(server.addresses()[0]).await;
    for (name, kind, bytes) in [("page.html", "text/html", HTML), ("mark.svg", "image/svg+xml", SVG)] {
        let (id, path) = app.public(name, kind, bytes).await;
        let saved = Some("attachment");
        let plain = app.get(&format!("http://{}{path}", app.address)).await;
        acts_not(&plain, saved, &format!("{name} without a signature"));
        assert!(
            plain.ends_with(bytes) && header(&plain, "content-type") == Some(kind),
            "{plain}"
        );
        for method in ["GET", "HEAD"] {
            acts_not(
                &app.signed(method, &path).await,
                saved,
                &format!("{method} {name} signed"),
            );
            let asked = "response-content-disposition=inline%3B%20filename%3D%22a.png%22";
            let answer = app.signed(method, &format!("{path}?{asked}")).await;
            let named = Some("attachment; filename=\"a.png\"");
            acts_not(&answer, named, &format!("{method} {name} signed, to be shown"));
        }
        let link = app.download_url(Some("ann"), &id).await;
        let named = format!("attachment; filename=\"{name}\"");
        acts_not(&app.get(&link).await, Some(&named), &format!("{name} by a link"));
    }
    // A picture stays one, unless the address calls it a page.
    let (_, path) = app.public("a.png", "image/png", PNG).await;
    acts_not(&app.signed("GET", &path).await, None, "a picture");
    for method in ["GET", "HEAD"] {
        let as_page = app
            .signed(method, &format!("{path}?response-content-type=text%2Fhtml"))
            .await;
        acts_not(&as_page, Some("attachment"), "a picture as a page");
        assert_eq!(header(&as_page, "content-type"), Some("text/html"));
        let shown = app
            .signed(method, &format!("{path}?response-content-disposition=inline"))
            .await;
        acts_not(&shown, Some("inline"), "a picture, to be shown");
    }
    server.stop().await.unwrap();
}

#[tokio::test]
async fn who_signs_in_headers_and_who_keeps_no_apps_files_gets_what_was_stored() {
    let server = start(&[]).await;
    let app = App::new(server.addresses()[0]).await;
    let (_, path) = app.public("page.html", "text/html", HTML).await;
    let signer = Signer::new(USER, SecretKey::new(PASSWORD), "us-east-1");
    let request = Request::get(&path).header("host", app.address.to_string());
    let (mut parts, ()) = request.body(()).unwrap().into_parts();
    let mode = PayloadMode::SignedBody(body_hash(b""));
    signer.sign(&mut parts, &mode, OffsetDateTime::now_utc()).unwrap();
    let lines = parts
        .headers
        .iter()
        .map(|(name, value)| format!("{name}: {}\r\n", value.to_str().unwrap()));
    let lines: String = lines.collect();
    let answer = exchange(
        app.address,
        &format!("GET {path} HTTP/1.1\r\n{lines}Connection: close\r\n\r\n"),
    )
    .await;
    assert_eq!(status(&answer), 200, "{answer}");
    assert_eq!(
        (
            header(&answer, "content-disposition"),
            header(&answer, "content-security-policy")
        ),
        (None, None)
    );
    assert_eq!(status(&on_s3(app.address, "PUT", "/wall/page.html", HTML).await), 200);
    let shown = "/wall/page.html?response-content-disposition=inline&response-content-type=text%2Fhtml";
    let answer = app.signed("GET", shown).await;
    assert_eq!(status(&answer), 200, "{answer}");
    assert_eq!(
        (
            header(&answer, "content-disposition"),
            header(&answer, "content-security-policy")
        ),
        (Some("inline"), None)
    );
    server.stop().await.unwrap();
}
