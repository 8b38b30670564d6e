//! Projects, their keys and issuers through the whole server: the admin routes for every kind of caller, and the command
//! line.

use std::net::SocketAddr;
use std::process::Output;

use serde_json::{Value, json};

use super::admin::{ask_bytes, document, exchange_bytes};
use super::identities::Client;
use super::images::send;
use super::stack::{PASSWORD, USER, exchange, presigned, start};
use super::support::status;

pub(super) const ROOT: (&str, &str) = (USER, PASSWORD);
const LOW: (&str, &str) = ("pebble", "pebble-secret");
const SECRET: &str = "canary-secret-of-the-issuer-0123456789";

/// Status and document of a request to `/v1/admin/projects…`.
pub(super) async fn ask(
    address: SocketAddr,
    who: (&str, &str),
    method: &str,
    path: &str,
    body: &Value,
) -> (u16, Value) {
    let path = format!("/v1/admin/projects{path}");
    let body = if body.is_null() {
        Vec::new()
    } else {
        body.to_string().into_bytes()
    };
    let answer = exchange_bytes(address, &ask_bytes(who, method, &path, &body)).await;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    (status(&answer), document(&answer))
}

pub(super) async fn on_s3(address: SocketAddr, method: &str, path: &str, body: &str) -> String {
    let host = address.to_string();
    let target = presigned(PASSWORD, method, &host, path);
    let length = body.len();
    let request = format!(
        "{method} {target} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    exchange(address, &request).await
}

#[tokio::test]
async fn a_project_is_made_used_and_removed_by_the_admin_api() {
    let server = start(&[]).await;
    let address = server.addresses()[0];
    let root = async |method: &str, path: &str, body: Value| ask(address, ROOT, method, path, &body).await;
    let shop = json!({ "project": "shop", "description": "a shop", "environments": ["dev", "prod"] });
    let (code, told) = root("POST", "", shop.clone()).await;
    let expected = json!({ "project": "shop", "description": "a shop", "envelope": "both", "environments": [
        { "environment": "dev", "bucket": "shop-dev", "default_visibility": "private", "logical": [] },
        { "environment": "prod", "bucket": "shop-prod", "default_visibility": "private", "logical": [] }] });
    assert_eq!((code, &told), (200, &expected));
    assert_eq!(root("GET", "?project=shop", Value::Null).await, (200, expected.clone()));
    assert_eq!(
        root("GET", "", Value::Null).await,
        (200, json!({ "projects": [expected] }))
    );
    assert_eq!(root("POST", "", shop).await.0, 409);
    let rules = on_s3(address, "GET", "/shop-dev?cors", "").await;
    assert!(rules.contains("<ExposeHeader>ETag</ExposeHeader>"), "{rules}");

    assert_eq!(status(&on_s3(address, "PUT", "/shop-dev/f/a.txt", "text").await), 200);
    let dev = "/environments?project=shop&environment=dev";
    let (code, told) = root("DELETE", dev, Value::Null).await;
    assert!(
        code == 409 && told["Message"].as_str().unwrap().contains("files"),
        "{told}"
    );
    assert_eq!(status(&on_s3(address, "DELETE", "/shop-dev/f/a.txt", "").await), 204);
    assert_eq!(root("DELETE", dev, Value::Null).await.0, 200);
    assert_eq!(root("DELETE", "?project=shop", Value::Null).await.0, 409);
    let prod = dev.replace("dev", "prod");
    assert_eq!(root("DELETE", &prod, Value::Null).await.0, 200);
    assert_eq!(
        root("DELETE", "?project=shop", Value::Null).await,
        (200, json!({ "projects": [] }))
    );
    assert_eq!(status(&on_s3(address, "GET", "/shop-dev", "").await), 404);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn keys_and_issuers_are_made_listed_and_taken_back_and_their_secrets_told_once_or_never() {
    let server = start(&[]).await;
    let address = server.addresses()[0];
    let root = async |method: &str, path: &str, body: Value| ask(address, ROOT, method, path, &body).await;
    let shop = json!({ "project": "shop", "environments": ["dev", "prod"] });
    assert_eq!(root("POST", "", shop).await.0, 200);
    let key = json!({ "project": "shop", "environment": "dev", "type": "secret", "name": "relay",
        "scopes": ["files:read", "files:create"], "expires": "2100-01-01T00:00:00Z" });
    let (code, made) = root("POST", "/keys", key).await;
    let secret = made["key"].as_str().unwrap().to_owned();
    assert_eq!(
        (code, secret.len(), secret.starts_with("sk_")),
        (200, 67, true),
        "{made}"
    );
    assert_eq!(made["expires"], json!("2100-01-01T00:00:00Z"));
    let key = json!({ "project": "shop", "environment": "dev", "type": "publishable", "origins": ["https://a.test"] });
    let public = root("POST", "/keys", key).await.1;
    assert!(public["key"].as_str().unwrap().starts_with("pk_") && public["scopes"] == json!(["files:*"]));
    let (_, listed) = root("GET", "/keys?project=shop&environment=dev", Value::Null).await;
    assert!(!listed.to_string().contains(&secret[3..]), "{listed}");
    assert!(listed.to_string().contains(public["key"].as_str().unwrap()));
    let none = json!({ "keys": [] });
    assert_eq!(
        root("GET", "/keys?project=shop&environment=prod", Value::Null).await,
        (200, none)
    );
    let path = format!("/keys?key={}", made["id"].as_str().unwrap());
    assert!(root("DELETE", &path, Value::Null).await.1["revoked"].is_string());
    assert_eq!(root("DELETE", &format!("{path}&forget=true"), Value::Null).await.0, 200);
    assert_eq!(root("DELETE", &path, Value::Null).await.0, 404);

    let issuer = json!({ "project": "shop", "alias": "own", "secret": SECRET, "admin_roles": ["admin"] });
    let (code, added) = root("POST", "/issuers", issuer).await;
    assert_eq!(
        (code, &added["keys"], &added["algorithm"]),
        (200, &json!("secret"), &json!("HS256"))
    );
    let (_, listed) = root("GET", "/issuers?project=shop", Value::Null).await;
    assert!(listed["issuers"][0] == added && !listed.to_string().contains(SECRET));
    let gone = root("DELETE", "/issuers?project=shop&alias=own", Value::Null).await;
    assert_eq!(gone, (200, json!({ "issuers": [] })));
    server.stop().await.unwrap();
}

#[tokio::test]
async fn files_that_name_no_visibility_are_as_their_environment_has_it_by_s3_too() {
    let server = start(&[]).await;
    let address = server.addresses()[0];
    let root = async |method: &str, path: &str, body: Value| ask(address, ROOT, method, path, &body).await;
    let shop = json!({ "project": "shop", "environments": ["dev", "prod"] });
    assert_eq!(root("POST", "", shop).await.0, 200);
    let default = |environment: &str, level: &str| json!({ "project": "shop", "environment": environment, "default_visibility": level });
    let anonymous = async |path: &str| {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        status(&exchange(address, &request).await)
    };
    assert_eq!(
        status(&on_s3(address, "PUT", "/shop-dev/before.txt", "text").await),
        200
    );
    let (code, told) = root("PUT", "", default("dev", "public")).await;
    assert_eq!(
        (code, &told["environments"][0]["default_visibility"]),
        (200, &json!("public"))
    );
    assert_eq!(told["environments"][1]["default_visibility"], json!("private"));
    for bucket in ["shop-dev", "shop-prod"] {
        assert_eq!(
            status(&on_s3(address, "PUT", &format!("/{bucket}/after.txt"), "text").await),
            200
        );
    }
    assert_eq!(anonymous("/shop-dev/after.txt").await, 200);
    assert_eq!(
        anonymous("/shop-dev/before.txt").await,
        403,
        "what was there stays as it is"
    );
    assert_eq!(anonymous("/shop-prod/after.txt").await, 403, "another environment");
    assert_eq!(root("PUT", "", default("dev", "private")).await.0, 200);
    assert_eq!(anonymous("/shop-dev/after.txt").await, 200);
    for (wrong, refusal) in [
        (default("dev", "shared"), ARGUMENT),
        (default("dev", "open"), ARGUMENT),
        (default("none", "public"), (404, "ENVIRONMENT_NOT_FOUND")),
        (json!({ "project": "shop" }), ARGUMENT),
        (json!({ "project": "shop", "default_visibility": "public" }), ARGUMENT),
        (
            json!({ "project": "shop", "environment": "dev", "envelope": "bare" }),
            ARGUMENT,
        ),
    ] {
        let (code, told) = root("PUT", "", wrong.clone()).await;
        assert_eq!(
            (code, told["Code"].as_str().unwrap_or_default()),
            refusal,
            "{wrong} {told}"
        );
    }
    // What keeps the bucket closed keeps it closed.
    let block =
        "<PublicAccessBlockConfiguration><BlockPublicAcls>true</BlockPublicAcls></PublicAccessBlockConfiguration>";
    let answer = on_s3(address, "PUT", "/shop-prod?publicAccessBlock", block).await;
    assert_eq!(status(&answer), 200, "{answer}");
    assert_eq!(root("PUT", "", default("prod", "public")).await.0, 409);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_file_that_is_set_back_to_the_default_is_listed_as_it_is_read() {
    let server = start(&[]).await;
    let address = server.addresses()[0];
    let root = async |method: &str, path: &str, body: Value| {
        let (code, told) = ask(address, ROOT, method, path, &body).await;
        assert_eq!(code, 200, "{told}");
        told
    };
    root("POST", "", json!({ "project": "shop", "environments": ["dev"] })).await;
    let key = json!({ "project": "shop", "environment": "dev", "type": "secret" });
    let key = root("POST", "/keys", key).await;
    let put = on_s3(address, "PUT", "/shop-dev/a.txt", "words").await;
    assert_eq!(status(&put), 200, "{put}");
    let public = json!({ "project": "shop", "environment": "dev", "default_visibility": "public" });
    root("PUT", "", public).await;
    let listed = async || {
        let key = format!("X-API-Key: {}\r\n", key["key"].as_str().unwrap());
        let told = send(address, "GET", "/v1/files?visibility=public", &key, b"").await;
        let told: Value = serde_json::from_slice(&told.body).unwrap();
        told["items"].as_array().unwrap().len()
    };
    let anonymous = async || {
        let request = format!("GET /shop-dev/a.txt HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        status(&exchange(address, &request).await)
    };
    assert_eq!((anonymous().await, listed().await), (403, 0));
    let path = "/v1/admin/visibility/object?bucket=shop-dev&key=a.txt";
    let request = ask_bytes(ROOT, "PUT", path, br#"{"visibility": "default"}"#);
    exchange_bytes(address, &request).await;
    assert_eq!((anonymous().await, listed().await), (200, 1));
    server.stop().await.unwrap();
}

type Refusal = (u16, &'static str);
const ARGUMENT: Refusal = (400, "XMinioAdminInvalidArgument");

fn with(base: Value, more: &Value) -> Value {
    let mut all = base;
    all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    all
}

/// What makes no project or environment: path, document, and how it is refused.
fn wrong_projects() -> Vec<(&'static str, Value, Refusal)> {
    let environment = |project: &str, name: &str| json!({ "project": project, "environment": name });
    let of = "/environments";
    vec![
        ("", json!({ "project": "Shop" }), ARGUMENT),
        ("", json!({ "project": "a", "unheard": 1 }), (400, "InvalidRequest")),
        (of, environment("shop", "a-b"), ARGUMENT),
        (of, environment("shop", "taken"), (409, "Conflict")),
        (of, environment("none", "dev"), (404, "PROJECT_NOT_FOUND")),
    ]
}

/// What makes no key.
fn wrong_keys() -> Vec<(&'static str, Value, Refusal)> {
    let key = |more: Value, refusal| {
        let base = json!({ "project": "shop", "environment": "dev", "type": "publishable" });
        ("/keys", with(base, &more), refusal)
    };
    vec![
        key(json!({ "type": "master" }), ARGUMENT),
        key(json!({ "scopes": ["posts:read"] }), ARGUMENT),
        key(json!({ "origins": ["a.test"] }), ARGUMENT),
        key(json!({ "type": "secret", "origins": ["https://a.test"] }), ARGUMENT),
        key(json!({ "expires": "tomorrow" }), ARGUMENT),
        key(json!({ "environment": "none" }), (404, "ENVIRONMENT_NOT_FOUND")),
    ]
}

/// What makes no issuer.
fn wrong_issuers() -> Vec<(&'static str, Value, Refusal)> {
    let issuer = |more: Value| {
        let base = json!({ "project": "shop", "alias": "own" });
        ("/issuers", with(base, &more), ARGUMENT)
    };
    vec![
        issuer(json!({})),
        issuer(json!({ "secret": "short" })),
        issuer(json!({ "secret": SECRET, "jwks_url": "https://i.test" })),
        issuer(json!({ "secret": SECRET, "algorithm": "RS256" })),
        issuer(json!({ "secret": SECRET, "algorithm": "none" })),
        issuer(json!({ "secret": SECRET, "alias": "key" })),
        issuer(json!({ "jwks_url": "https://i.test/keys" })),
        issuer(json!({ "discovery": "ftp://i.test" })),
        issuer(json!({ "discovery": "https://i.test", "algorithm": "HS256" })),
    ]
}

#[tokio::test]
async fn what_makes_no_project_key_or_issuer_is_refused_with_what_is_wrong() {
    let server = start(&[]).await;
    let address = server.addresses()[0];
    let root = async |method: &str, path: &str, body: Value| ask(address, ROOT, method, path, &body).await;
    let shop = json!({ "project": "shop", "environments": ["dev"] });
    assert_eq!(root("POST", "", shop).await.0, 200);
    assert_eq!(status(&on_s3(address, "PUT", "/shop-taken", "").await), 200);
    for (path, body, refusal) in [wrong_projects(), wrong_keys(), wrong_issuers()].concat() {
        let (code, told) = root("POST", path, body.clone()).await;
        let found = (code, told["Code"].as_str().unwrap_or_default());
        assert_eq!(found, refusal, "{path} {body}: {told}");
        assert!(!told.to_string().contains(SECRET), "{told}");
    }
    for (path, name) in [
        ("?project=none", "PROJECT_NOT_FOUND"),
        ("/environments?project=shop&environment=none", "ENVIRONMENT_NOT_FOUND"),
        ("/keys?key=none", "KEY_NOT_FOUND"),
        ("/issuers?project=shop&alias=none", "ISSUER_NOT_FOUND"),
    ] {
        let (code, told) = root("DELETE", path, Value::Null).await;
        assert_eq!((code, &told["Code"]), (404, &json!(name)), "{path}");
    }
    server.stop().await.unwrap();
}

#[tokio::test]
async fn what_holds_for_the_files_of_a_logical_bucket_is_set_shown_and_reset() {
    let server = start(&[]).await;
    let address = server.addresses()[0];
    let root = async |method: &str, path: &str, body: Value| ask(address, ROOT, method, path, &body).await;
    let shop = json!({ "project": "shop", "environments": ["dev"] });
    assert_eq!(root("POST", "", shop).await.0, 200);
    let base = json!({ "project": "shop", "environment": "dev", "name": "images" });
    let images = json!({ "max_size": 5_000_000, "types": ["image/*"], "visibility": "public" });
    let (code, told) = root("PUT", "/buckets", with(base.clone(), &images)).await;
    let rest = json!({ "name": "images", "ttl_seconds": null, "gc": "off", "confirm": "auto", "scan": "on",
        "sizes": "at-most", "guest_upload": "off" });
    let shown = with(rest, &images);
    assert_eq!((code, &told["environments"][0]["logical"]), (200, &json!([shown])));
    for (more, refusal) in [
        (json!({ "name": "a b" }), ARGUMENT),
        (json!({ "types": ["image"] }), ARGUMENT),
        (json!({ "visibility": "open" }), ARGUMENT),
        (json!({ "max_size": -1 }), (400, "InvalidRequest")),
        (json!({ "gc": "all" }), ARGUMENT),
        (json!({ "confirm": "never" }), ARGUMENT),
        (json!({ "sizes": "about" }), ARGUMENT),
        (json!({ "guest_upload": "yes" }), ARGUMENT),
        (json!({ "ttl_seconds": 1 }), ARGUMENT),
        (json!({ "environment": "none" }), (404, "ENVIRONMENT_NOT_FOUND")),
    ] {
        let (code, told) = root("PUT", "/buckets", with(base.clone(), &more)).await;
        assert_eq!((code, told["Code"].as_str().unwrap_or_default()), refusal, "{more}");
    }
    let path = "/buckets?project=shop&environment=dev&name=images";
    let (code, told) = root("DELETE", path, Value::Null).await;
    assert_eq!((code, &told["environments"][0]["logical"]), (200, &json!([])));
    server.stop().await.unwrap();
}

#[tokio::test]
async fn who_may_look_at_projects_changes_none_and_who_has_no_right_learns_nothing() {
    let client = Client::with_users().await;
    let address = client.address;
    let shop = json!({ "project": "shop", "environments": ["dev"] });
    assert_eq!(ask(address, ROOT, "POST", "", &shop).await.0, 200);
    let looks =
        json!({ "Version": "2012-10-17", "Statement": [{ "Effect": "Allow", "Action": ["admin:GetProject"] }] });
    let path = "add-canned-policy?name=looker";
    let added = client.send(ROOT, "PUT", path, looks.to_string().as_bytes()).await;
    assert_eq!(added.0, 200);
    assert_eq!(ask(address, LOW, "GET", "?project=none", &Value::Null).await.0, 403);
    let attach = json!({ "policies": ["looker"], "user": LOW.0 });
    assert_eq!(
        client.seal(ROOT, "POST", "idp/builtin/policy/attach", attach).await.0,
        200
    );
    for path in ["", "?project=shop", "/keys?project=shop", "/issuers?project=shop"] {
        assert_eq!(ask(address, LOW, "GET", path, &Value::Null).await.0, 200, "{path}");
    }
    let key = json!({ "project": "shop", "environment": "dev", "type": "secret" });
    for (method, path, body) in [
        ("POST", "", shop),
        ("POST", "/keys", key),
        ("DELETE", "?project=shop", Value::Null),
        ("DELETE", "/environments?project=shop&environment=dev", Value::Null),
        ("POST", "/issuers", Value::Null),
        ("PUT", "/buckets", Value::Null),
    ] {
        assert_eq!(ask(address, LOW, method, path, &body).await.0, 403, "{method} {path}");
    }
    let keys = ask(address, ROOT, "GET", "/keys?project=shop", &Value::Null).await;
    assert_eq!(keys, (200, json!({ "keys": [] })));
    client.server.stop().await.unwrap();
}

fn drystone(address: SocketAddr, line: &str) -> Output {
    std::process::Command::new(env!("CARGO_BIN_EXE_drystone"))
        .args(line.split_whitespace())
        .env_clear()
        .env("DRYSTONE_ENDPOINT", format!("http://{address}"))
        .env("MINIO_ROOT_USER", USER)
        .env("MINIO_ROOT_PASSWORD", PASSWORD)
        .output()
        .unwrap()
}

async fn said(address: SocketAddr, line: &str) -> (bool, String) {
    let line = line.to_owned();
    let output = tokio::task::spawn_blocking(move || drystone(address, &line))
        .await
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_line_makes_a_project_its_keys_and_an_issuer_in_three_lines() {
    let server = start(&[]).await;
    let address = server.addresses()[0];
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    std::fs::write(&file, format!("{SECRET}\n")).unwrap();
    let (done, text) = said(address, "project add shop").await;
    assert!(done && text.contains("dev  bucket shop-dev"), "{text}");
    let (done, text) = said(address, "key make shop/dev --origin https://a.test").await;
    assert!(done && text.contains("    pk_"), "{text}");
    let line = format!("issuer add shop own --hs256-secret-file {}", file.display());
    let (done, text) = said(address, &line).await;
    assert!(
        done && text.contains("HS256 by a secret") && !text.contains(SECRET),
        "{text}"
    );

    let (done, text) = said(address, "key make shop/dev --secret --json").await;
    let made: Value = serde_json::from_str(&text).unwrap();
    assert!(done && made["key"].as_str().unwrap().starts_with("sk_"), "{text}");
    let id = made["id"].as_str().unwrap();
    let (done, text) = said(address, &format!("key revoke {id}")).await;
    assert!(done && text.contains("REVOKED"), "{text}");
    let (_, text) = said(address, "key list shop").await;
    assert_eq!(
        text.lines().filter(|line| line.contains("shop/dev")).count(),
        2,
        "{text}"
    );
    assert!(said(address, &format!("key remove {id}")).await.0);
    assert!(said(address, "project env add shop/prod").await.1.contains("shop-prod"));
    assert!(said(address, "issuer list shop").await.1.contains("own"));
    for (line, expected) in [
        ("project remove shop", "still has environments"),
        ("project info none", "PROJECT_NOT_FOUND"),
        ("key make shop", "PROJECT/ENV"),
        (
            "issuer add shop two --hs256-secret-file /does/not/exist",
            "/does/not/exist",
        ),
    ] {
        let (done, text) = said(address, line).await;
        assert!(!done && text.contains(expected), "{line}: {text}");
    }
    for line in [
        "issuer remove shop own",
        "project env remove shop/prod",
        "project env remove shop/dev",
    ] {
        assert!(said(address, line).await.0, "{line}");
    }
    let (done, text) = said(address, "project remove shop").await;
    assert!(done && text.contains("no projects"), "{text}");
    server.stop().await.unwrap();
}
