//! Credentials that only upload, as a page gets them and signs with them: what they store and whose it is, and that nothing
//! else is let by them.

use std::net::SocketAddr;

use drystone::auth::PayloadMode;
use drystone::auth::sign::{Signer, body_hash};
use http::Request;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::images::{Answer, send};
use super::links::{SECRET, token};
use super::projects::{self, ROOT};
use super::stack::start;
use super::users::{self, element};

const GIF: &[u8] = b"GIF89a\x0A\0\x14\0\0\0\0;";
const PART: usize = 5 << 20;

struct App {
    address: SocketAddr,
    publishable: String,
    publishable_id: String,
    secret: String,
}

/// What somebody was given, and how it signs.
#[derive(Clone)]
struct Given {
    access_key: String,
    secret: String,
    token: String,
}

impl Given {
    fn signer(&self) -> Signer {
        users::signer((&self.access_key, &self.secret)).with_session_token(self.token.clone())
    }
}

impl App {
    async fn new(address: SocketAddr) -> Self {
        let mut app = Self {
            address,
            publishable: String::new(),
            publishable_id: String::new(),
            secret: String::new(),
        };
        let made = json!({ "project": "shop", "environments": ["prod", "dev"] });
        app.admin("POST", "", made).await;
        app.add_issuer().await;
        (app.publishable, app.publishable_id) = app.key("publishable", json!([])).await;
        (app.secret, _) = app.key("secret", json!([])).await;
        app
    }

    async fn key(&self, kind: &str, scopes: Value) -> (String, String) {
        let mut key = json!({ "project": "shop", "environment": "prod", "type": kind });
        if scopes != json!([]) {
            key["scopes"] = scopes;
        }
        let made = self.admin("POST", "/keys", key).await;
        let text = |name: &str| made[name].as_str().unwrap().to_owned();
        (text("key"), text("id"))
    }

    async fn add_issuer(&self) {
        let issuer = json!({ "project": "shop", "alias": "own", "secret": SECRET });
        self.admin("POST", "/issuers", issuer).await;
    }

    async fn admin(&self, method: &str, path: &str, body: Value) -> Value {
        let (code, told) = projects::ask(self.address, ROOT, method, path, &body).await;
        assert_eq!(code, 200, "{told}");
        told
    }

    fn user(&self, name: &str) -> String {
        format!(
            "X-API-Key: {}\r\nAuthorization: Bearer {}\r\n",
            self.publishable,
            token(name)
        )
    }

    fn server(&self) -> String {
        format!("X-API-Key: {}\r\n", self.secret)
    }

    /// A request to the Files API.
    async fn files(&self, who: &str, (method, path): (&str, &str), fields: Value) -> (u16, Value) {
        let headers = format!("{who}Content-Type: application/json\r\n");
        let body = if fields.is_null() {
            String::new()
        } else {
            fields.to_string()
        };
        let answer = send(self.address, method, &format!("/v1/{path}"), &headers, body.as_bytes()).await;
        (answer.status, serde_json::from_slice(&answer.body).unwrap_or_default())
    }

    async fn good(&self, who: &str, ask: (&str, &str), fields: Value) -> Value {
        let (code, told) = self.files(who, ask, fields).await;
        assert!((200..300).contains(&code), "{ask:?} {told}");
        told
    }

    async fn given(&self, who: &str) -> Given {
        let told = self.good(who, ("GET", "s3/sts"), Value::Null).await;
        assert_eq!(
            (&told["bucket"], &told["region"]),
            (&json!("shop-prod"), &json!("us-east-1"))
        );
        let text = |name: &str| told["credentials"][name].as_str().unwrap().to_owned();
        Given {
            access_key: text("AccessKeyId"),
            secret: text("SecretAccessKey"),
            token: text("SessionToken"),
        }
    }

    /// A request to S3 that is signed in its headers, those that are given with the rest.
    async fn s3(&self, signer: &Signer, (method, path): (&str, &str), more: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        request = request.header("host", self.address.to_string());
        for (name, value) in more {
            request = request.header(*name, *value);
        }
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        let mode = PayloadMode::SignedBody(body_hash(body));
        signer.sign(&mut parts, &mode, OffsetDateTime::now_utc()).unwrap();
        let mut headers = String::new();
        for (name, value) in parts.headers.iter().filter(|(name, _)| *name != "host") {
            headers += &format!("{name}: {}\r\n", value.to_str().unwrap());
        }
        send(self.address, method, path, &headers, body).await
    }

    async fn put(&self, given: &Given, key: &str, body: &[u8]) -> Answer {
        let kind = [("content-type", "image/gif")];
        self.s3(&given.signer(), ("PUT", &format!("/shop-prod/{key}")), &kind, body)
            .await
    }

    /// The file with this key as the app's server sees it.
    async fn file(&self, key: &str) -> Value {
        let told = self.good(&self.server(), ("GET", "files?limit=100"), Value::Null).await;
        let items = told["items"].as_array().unwrap();
        let mut found = items.iter().filter(|file| file["key"] == json!(key));
        found.next().unwrap_or_else(|| panic!("no {key} in {told}")).clone()
    }

    /// A file of somebody's that is announced; its id and its key.
    async fn announced(&self, who: &str, size: usize) -> (String, String) {
        let said = json!({ "filename": "a.gif", "contentType": "image/gif", "fileSize": size });
        let told = self.good(who, ("POST", "files/presigned-url"), said).await;
        let text = |name: &str| told[name].as_str().unwrap().to_owned();
        (text("fileId"), text("key"))
    }
}

#[track_caller]
fn refused(answer: &Answer, code: &str) {
    let text = String::from_utf8_lossy(&answer.body);
    assert!(text.contains(&format!("<Code>{code}</Code>")), "{} {text}", answer.head);
}

#[track_caller]
fn good(answer: &Answer) -> String {
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    assert!((200..300).contains(&answer.status), "{} {text}", answer.head);
    text
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_stores_files_of_its_users_with_credentials_of_its_own() {
    let server = start(&[]).await;
    let app = App::new(server.addresses()[0]).await;
    let given = app.given(&app.user("ann")).await;
    good(&app.put(&given, "uppy/a.gif", GIF).await);
    let file = app.file("uppy/a.gif").await;
    for (name, value) in [
        ("ownerId", json!("ann")),
        ("ownerType", json!("user")),
        ("visibility", json!("private")),
        ("status", json!("active")),
        ("mimeType", json!("image/gif")),
        ("width", json!(10)),
    ] {
        assert_eq!(file[name], value, "{name} of {file}");
    }
    let content = format!("files/{}/content", file["id"].as_str().unwrap());
    for (who, code) in [(app.user("ann"), 200), (app.user("bob"), 403), (app.server(), 200)] {
        assert_eq!(app.files(&who, ("GET", &content), Value::Null).await.0, code, "{who}");
    }

    // By a URL that the page signs, as Uppy does.
    let path = "/shop-prod/uppy/b.gif";
    let request = Request::put(path).header("host", app.address.to_string());
    let (mut parts, ()) = request.body(()).unwrap().into_parts();
    given
        .signer()
        .presign(&mut parts, 600, OffsetDateTime::now_utc())
        .unwrap();
    let target = parts.uri.to_string();
    good(&send(app.address, "PUT", &target, "Content-Type: image/gif\r\n", GIF).await);
    assert_eq!(app.file("uppy/b.gif").await["ownerId"], json!("ann"));

    // The app's server stores what is the app's own.
    let of_server = app.given(&app.server()).await;
    good(&app.put(&of_server, "uppy/c.gif", GIF).await);
    assert_eq!(app.file("uppy/c.gif").await["ownerType"], json!("service"));

    // What a user may have at most holds here, too.
    let quotas = json!({ "defaultOwner": { "files": 2 } });
    app.good(&app.server(), ("PUT", "files/quotas"), quotas).await;
    refused(
        &app.put(&given, "uppy/d.gif", GIF).await,
        "XMinioAdminBucketQuotaExceeded",
    );
    good(&app.put(&of_server, "uppy/d.gif", GIF).await);
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_stands_is_read_shown_or_changed_with_credentials_for_uploads() {
    let server = start(&[]).await;
    let app = App::new(server.addresses()[0]).await;
    let (ann, bob) = (app.user("ann"), app.user("bob"));
    let given = app.given(&ann).await;
    good(&app.put(&given, "own.gif", GIF).await);
    good(&app.put(&app.given(&bob).await, "bobs.gif", GIF).await);
    let public = json!({ "visibility": "public" });
    for key in ["own.gif", "bobs.gif"] {
        let id = app.file(key).await["id"].as_str().unwrap().to_owned();
        let path = format!("files/{id}/visibility");
        app.good(&app.server(), ("PATCH", &path), public.clone()).await;
    }
    // Root itself could write there.
    let asks = [
        ("GET", "/shop-prod/own.gif"),
        ("GET", "/shop-prod/bobs.gif"),
        ("HEAD", "/shop-prod/own.gif"),
        ("GET", "/shop-prod/own.gif?attributes"),
        ("GET", "/shop-prod/own.gif?tagging"),
        ("GET", "/shop-prod/own.gif?acl"),
        ("PUT", "/shop-prod/own.gif?tagging"),
        ("PUT", "/shop-prod/own.gif?acl"),
        ("DELETE", "/shop-prod/own.gif"),
        ("DELETE", "/shop-prod/own.gif?tagging"),
        ("GET", "/shop-prod"),
        ("GET", "/shop-prod?list-type=2"),
        ("GET", "/shop-prod?uploads"),
        ("GET", "/shop-prod?location"),
        ("GET", "/shop-prod?policy"),
        ("GET", "/shop-prod?events=s3:ObjectCreated:*"),
        ("POST", "/shop-prod?delete"),
        ("DELETE", "/shop-prod"),
        ("PUT", "/another-bucket"),
        ("GET", "/"),
        // Nothing may be written over, one's own neither.
        ("PUT", "/shop-prod/own.gif"),
        ("PUT", "/shop-prod/bobs.gif"),
        ("POST", "/shop-prod/bobs.gif?uploads"),
        // Another environment's.
        ("PUT", "/shop-dev/new.gif"),
    ];
    for (method, path) in asks {
        let body = if matches!(method, "PUT" | "POST") { GIF } else { b"" };
        let answer = app.s3(&given.signer(), (method, path), &[], body).await;
        assert_eq!(answer.status, 403, "{method} {path} {}", answer.head);
        if method != "HEAD" {
            refused(&answer, "AccessDenied");
        }
    }
    for header in [
        ("x-amz-acl", "public-read"),
        ("x-amz-acl", "bucket-owner-full-control"),
        ("x-amz-tagging", "a=b"),
        ("x-amz-copy-source", "/shop-prod/bobs.gif"),
        ("x-amz-copy-source", "/shop-prod/own.gif"),
    ] {
        for ask in [("PUT", "/shop-prod/new.gif"), ("POST", "/shop-prod/new.gif?uploads")] {
            refused(&app.s3(&given.signer(), ask, &[header], b"").await, "AccessDenied");
        }
    }
    for key in ["a/../own.gif", "a//b.gif", "a/"] {
        refused(&app.put(&given, key, GIF).await, "InvalidArgument");
    }
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_that_the_files_api_gave_out_stay_their_files_own() {
    let server = start(&[]).await;
    let app = App::new(server.addresses()[0]).await;
    let (ann, bob) = (app.user("ann"), app.user("bob"));
    let given = app.given(&ann).await;
    let (_, bobs) = app.announced(&bob, GIF.len()).await;
    refused(&app.put(&given, &bobs, GIF).await, "AccessDenied");
    let begun = app
        .s3(
            &given.signer(),
            ("POST", &format!("/shop-prod/{bobs}?uploads")),
            &[],
            b"",
        )
        .await;
    refused(&begun, "AccessDenied");
    refused(
        &app.put(&given, "0123456789abcdef0123456789abcdef/a.gif", GIF).await,
        "AccessDenied",
    );

    // One's own, as it was announced.
    let (id, own) = app.announced(&ann, GIF.len()).await;
    refused(&app.put(&given, &own, &[GIF, GIF].concat()).await, "EntityTooLarge");
    good(&app.put(&given, &own, GIF).await);
    assert_eq!(app.file(&own).await["id"], json!(id));
    // What is in the trash comes back to where it was.
    let path = format!("files/{id}");
    app.good(&ann, ("DELETE", &path), Value::Null).await;
    for given in [&given, &app.given(&bob).await] {
        refused(&app.put(given, &own, GIF).await, "AccessDenied");
    }
    app.good(&ann, ("POST", &format!("{path}/restore")), Value::Null).await;
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_in_parts_is_its_makers_alone() {
    let server = start(&[]).await;
    let app = App::new(server.addresses()[0]).await;
    let given = app.given(&app.user("ann")).await;
    let key = "/shop-prod/uppy/large.bin";
    let begin = async |given: &Given| {
        let begun = app
            .s3(&given.signer(), ("POST", &format!("{key}?uploads")), &[], b"")
            .await;
        element(&good(&begun), "UploadId")
    };
    let upload = begin(&given).await;
    let at = format!("{key}?uploadId={upload}");
    let part = |number: u16| format!("{key}?partNumber={number}&uploadId={upload}");
    let (first, last) = (vec![b'a'; PART], b"the rest".to_vec());
    let mut named = String::new();
    for (number, body) in [(1, &first), (2, &last)] {
        let answer = app.s3(&given.signer(), ("PUT", &part(number)), &[], body).await;
        good(&answer);
        let etag = answer
            .head
            .lines()
            .find_map(|line| line.strip_prefix("etag: "))
            .unwrap();
        named += &format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>");
    }
    let document = format!("<CompleteMultipartUpload>{named}</CompleteMultipartUpload>");

    // Others have the same right to begin one, and none on hers; the app's server with such a credential neither.
    for who in [app.user("bob"), app.server()] {
        let other = app.given(&who).await;
        for method in ["GET", "DELETE"] {
            refused(&app.s3(&other.signer(), (method, &at), &[], b"").await, "AccessDenied");
        }
    }
    let listed = app
        .s3(&app.given(&app.user("ann")).await.signer(), ("GET", &at), &[], b"")
        .await;
    assert_eq!(good(&listed).matches("<PartNumber>").count(), 2);
    let done = app.s3(&given.signer(), ("POST", &at), &[], document.as_bytes()).await;
    good(&done);
    let file = app.file("uppy/large.bin").await;
    assert_eq!(
        (&file["ownerId"], &file["ownerType"], &file["size"]),
        (&json!("ann"), &json!("user"), &json!(PART + last.len()))
    );

    let other = "/shop-prod/uppy/other.bin";
    let begun = app
        .s3(&given.signer(), ("POST", &format!("{other}?uploads")), &[], b"")
        .await;
    let at = format!("{other}?uploadId={}", element(&good(&begun), "UploadId"));
    good(&app.s3(&given.signer(), ("DELETE", &at), &[], b"").await);
    refused(&app.s3(&given.signer(), ("GET", &at), &[], b"").await, "NoSuchUpload");
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn they_open_nothing_but_s3_and_go_with_no_other_key() {
    let server = start(&[]).await;
    let app = App::new(server.addresses()[0]).await;
    let ann = app.given(&app.user("ann")).await;
    let bob = app.given(&app.user("bob")).await;
    let put = async |signer: Signer| app.s3(&signer, ("PUT", "/shop-prod/new.gif"), &[], GIF).await;
    let root = super::stack::USER;
    let password = super::stack::PASSWORD;
    for (access_key, secret, token, code) in [
        (&ann.access_key, &ann.secret, Some(&bob.token), "InvalidAccessKeyId"),
        (&bob.access_key, &ann.secret, Some(&ann.token), "InvalidAccessKeyId"),
        (&ann.access_key, &bob.secret, Some(&ann.token), "SignatureDoesNotMatch"),
        (&ann.access_key, &ann.secret, None, "InvalidAccessKeyId"),
        (&root.to_owned(), &password.to_owned(), Some(&ann.token), "InvalidToken"),
    ] {
        let signer = users::signer((access_key, secret));
        let signer = match token {
            Some(token) => signer.with_session_token(token.clone()),
            None => signer,
        };
        refused(&put(signer).await, code);
    }
    for form in [
        "Action=GetCallerIdentity&Version=2011-06-15",
        "Action=AssumeRole&Version=2011-06-15&RoleArn=arn:x:x:x:x&RoleSessionName=x",
    ] {
        let answer = users::ask(app.address, Some(&ann.signer()), ("POST", "/"), "localhost", form).await;
        assert!(answer.contains("InvalidClientTokenId"), "{answer}");
    }
    let answer = app.s3(&ann.signer(), ("GET", "/minio/admin/v3/info"), &[], b"").await;
    assert!(answer.status == 403 && String::from_utf8_lossy(&answer.body).contains("InvalidAccessKeyId"));
    // A form says who may send what; these say that themselves.
    let signed = ann.signer().post_form(OffsetDateTime::now_utc(), |signing| {
        let mut conditions = vec![json!({ "bucket": "shop-prod" }), json!(["starts-with", "$key", ""])];
        conditions.extend(signing.iter().map(|(name, value)| json!({ *name: value })));
        let policy = json!({ "expiration": "2099-01-01T00:00:00.000Z", "conditions": conditions });
        base64_simd::STANDARD.encode_to_string(policy.to_string())
    });
    let fields = [("key", "form.gif".to_owned()), ("policy", signed.policy)];
    let mut form = String::new();
    for (name, value) in fields.into_iter().chain(signed.fields) {
        form += &format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
    }
    form += "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\nx\r\n--b--\r\n";
    let kind = "Content-Type: multipart/form-data; boundary=b\r\n";
    let answer = send(app.address, "POST", "/shop-prod", kind, form.as_bytes()).await;
    refused(&answer, "InvalidAccessKeyId");
    good(&put(ann.signer()).await);
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn they_end_with_what_lets_whoever_asked_for_them() {
    let server = start(&[]).await;
    let app = App::new(server.addresses()[0]).await;
    let given = app.given(&app.user("ann")).await;
    good(&app.put(&given, "1.gif", GIF).await);
    app.admin("DELETE", "/issuers?project=shop&alias=own", Value::Null)
        .await;
    refused(&app.put(&given, "2.gif", GIF).await, "InvalidAccessKeyId");
    app.add_issuer().await;
    good(&app.put(&given, "2.gif", GIF).await);
    app.admin("DELETE", &format!("/keys?key={}", app.publishable_id), Value::Null)
        .await;
    refused(&app.put(&given, "3.gif", GIF).await, "InvalidAccessKeyId");

    // Who may not make files gets none; neither do guests, nor whoever has an upload token.
    let (reads, _) = app.key("secret", json!(["files:read", "files:update"])).await;
    let (publishable, _) = app.key("publishable", json!([])).await;
    let token = app
        .good(&app.server(), ("POST", "files/upload-tokens"), json!({}))
        .await;
    let uploader = format!("X-Upload-Token: {}\r\n", token["token"].as_str().unwrap());
    for (who, status, code) in [
        (format!("X-API-Key: {reads}\r\n"), 403, "SCOPE_INSUFFICIENT"),
        (
            format!("X-API-Key: {publishable}\r\n"),
            401,
            "common/authentication-required",
        ),
        (uploader, 403, "file/access-denied"),
    ] {
        let (found, told) = app.files(&who, ("GET", "s3/sts"), Value::Null).await;
        assert_eq!((found, &told["error"]["code"]), (status, &json!(code)), "{told}");
    }
    for (wrong, code) in [
        ("899", 400),
        ("3601", 400),
        ("soon", 400),
        ("900", 200),
        ("3600", 200),
        ("", 200),
    ] {
        let path = format!("s3/sts?expiresIn={wrong}");
        assert_eq!(
            app.files(&app.server(), ("GET", &path), Value::Null).await.0,
            code,
            "{wrong}"
        );
    }
    server.stop().await.unwrap();
}
