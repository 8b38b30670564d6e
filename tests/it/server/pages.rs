//! Files that would act as a page, with a script in them, through the whole server: what each of their addresses says.

use serde_json::{Value, json};

use super::images::send;
use super::links::{App, token};
use super::stack::start;

const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; media-src 'self'; sandbox";
const PAGE: &str = "<!doctype html><title>A page</title><script>alert(document.domain)</script>";
const DRAWING: &str = "<?xml version=\"1.0\"?>\n<svg xmlns=\"http://www.w3.org/2000/svg\" onload=\"alert(1)\">\
                       <script>alert(document.domain)</script></svg>";

impl App {
    /// A public file of ann's, sent as being of this type.
    async fn sent(&self, name: &str, declared: &str, content: &str) -> Value {
        let target = format!("/v1/files/upload?filename={name}&visibility=public");
        let headers = format!("{}Content-Type: {declared}\r\n", self.of_ann());
        let answer = send(self.address, "POST", &target, &headers, content.as_bytes()).await;
        assert_eq!(answer.status, 201, "{}", answer.head);
        serde_json::from_slice(&answer.body).unwrap()
    }

    fn of_ann(&self) -> String {
        format!("X-API-Key: {}\r\nAuthorization: Bearer {}\r\n", self.key, token("ann"))
    }

    fn content(&self, file: &str) -> String {
        format!("http://{}/v1/files/{file}/content", self.address)
    }

    /// GET and HEAD of an address answer with these headers, with those that hold for every file, and with no others that
    /// say how it is shown.
    async fn says(&self, address: &str, headers: &str, (content, expected): (&str, &[(&str, &str)])) {
        let target = address.strip_prefix(&format!("http://{}", self.address)).unwrap();
        for method in ["GET", "HEAD"] {
            let answer = send(self.address, method, target, headers, b"").await;
            assert_eq!(answer.status, 200, "{method} {address}: {}", answer.head);
            let always = [
                ("content-security-policy", POLICY),
                ("x-content-type-options", "nosniff"),
            ];
            let said: Vec<(&str, &str)> = ["content-type", "content-disposition", always[0].0, always[1].0]
                .into_iter()
                .flat_map(|name| answer.headers(name).into_iter().map(move |value| (name, value)))
                .collect();
            assert_eq!(said, [expected, &always].concat(), "{method} {address}");
            let body = if method == "GET" { content } else { "" };
            assert_eq!(answer.body, body.as_bytes());
        }
    }

    /// An address to read the file from, asked for with these wishes.
    async fn link(&self, file: &str, wishes: Value) -> String {
        let path = format!("/{file}/download-url");
        let (code, told) = self.ask(Some("ann"), "POST", &path, wishes).await;
        assert_eq!(code, 200, "{told}");
        told["url"].as_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn a_page_and_a_drawing_with_scripts_are_saved_by_every_address_and_act_in_none() {
    let server = start(&[]).await;
    let app = App::new(server.addresses()[0]).await;
    for (name, declared, content, kind) in [
        ("a.html", "text/html", PAGE, "text/html"),
        ("a.svg", "image/svg+xml", DRAWING, "image/svg+xml"),
        // What it is said to be makes it nothing else.
        ("b.png", "image/png", PAGE, "text/html"),
        ("c.png", "image/png", DRAWING, "image/svg+xml"),
        ("d.txt", "application/octet-stream", PAGE, "text/html"),
    ] {
        let told = app.sent(name, declared, content).await;
        let text = |field: &str| told[field].as_str().unwrap().to_owned();
        let (id, public, open) = (text("id"), text("publicUrl"), text("url"));
        let named = format!("attachment; filename=\"{name}\"");
        let saved = [("content-type", kind), ("content-disposition", named.as_str())];
        // S3 tells the type that was declared, which no browser looks behind.
        let by_link = [("content-type", declared), saved[1]];
        let by_key = match declared {
            // Neither is opened as a page.
            "image/png" | "application/octet-stream" => vec![("content-type", declared)],
            _ => vec![("content-type", declared), ("content-disposition", "attachment")],
        };
        let plain = public.split('?').next().unwrap();
        for (address, headers, expected) in [
            (app.content(&id), app.of_ann(), saved.to_vec()),
            (public.clone(), String::new(), saved.to_vec()),
            (format!("{plain}?download=1"), String::new(), saved.to_vec()),
            (app.link(&id, json!({})).await, String::new(), by_link.to_vec()),
            (
                app.link(&id, json!({ "stable": true })).await,
                String::new(),
                by_link.to_vec(),
            ),
            (
                app.link(&id, json!({ "disposition": "attachment" })).await,
                String::new(),
                by_link.to_vec(),
            ),
            (open, String::new(), by_key),
        ] {
            app.says(&address, &headers, (content, &expected)).await;
        }
    }
    server.stop().await.unwrap();
}
