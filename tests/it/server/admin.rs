//! The admin API through the whole server: who may ask for what, and what `mc admin` and consoles are told.

use std::net::SocketAddr;
use std::time::Duration;

use drystone::admin::power::Ending;
use drystone::admin::{UNBUILT, is_built};
use drystone::auth::sign::{Signer, body_hash};
use drystone::auth::{PayloadMode, SecretKey};
use drystone::server::Server;
use http::{Method, Request};
use serde_json::Value;
use time::OffsetDateTime;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::stack::{PASSWORD, USER, exchange, in_memory, presigned, start};
use super::support::{config, status};

/// About everything: it needs neither a query nor a body.
const COLLECT: &str = "/v1/admin/projects/collect";
const METHODS: [Method; 4] = [Method::GET, Method::POST, Method::PUT, Method::DELETE];

/// Everyone who can ask, and what a route says to them.
const CALLERS: [Caller; 4] = [Caller::Anonymous, Caller::WrongSecret, Caller::Unknown, Caller::Root];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Caller {
    Anonymous,
    WrongSecret,
    Unknown,
    Root,
}

impl Caller {
    fn signer(self, region: &str) -> Option<Signer> {
        let (user, password) = match self {
            Self::Anonymous => return None,
            Self::WrongSecret => (USER, "not the password"),
            Self::Unknown => ("nobody", PASSWORD),
            Self::Root => (USER, PASSWORD),
        };
        Some(Signer::new(user, SecretKey::new(password), region))
    }
}

/// A request as MinIO's clients make it: header signature, the body's real hash, no region.
fn ask(caller: Caller, method: &str, path: &str, body: &str) -> String {
    let mode = PayloadMode::SignedBody(body_hash(body.as_bytes()));
    ask_as(&mode, caller, method, path, body)
}

/// A request whose signature says of its body what `mode` says.
fn ask_as(mode: &PayloadMode, caller: Caller, method: &str, path: &str, body: &str) -> String {
    let mut builder = Request::builder().method(method).uri(path).header("host", "here:9000");
    if mode.is_chunked() {
        builder = builder.header("x-amz-decoded-content-length", body.len());
    }
    let (mut parts, ()) = builder.body(()).unwrap().into_parts();
    let mut sent = body.to_owned();
    if let Some(signer) = caller.signer("") {
        let mut writer = signer.sign(&mut parts, mode, OffsetDateTime::now_utc()).unwrap();
        if mode.is_chunked() {
            let chunks = (!body.is_empty()).then(|| writer.chunk(body.as_bytes()));
            sent = String::from_utf8([chunks.unwrap_or_default(), writer.finish(&[])].concat()).unwrap();
        }
    }
    let body = sent;
    let mut text = format!(
        "{method} {path} HTTP/1.1\r\nConnection: close\r\nContent-Length: {}\r\n",
        body.len()
    );
    for (name, value) in &parts.headers {
        text.push_str(&format!("{name}: {}\r\n", value.to_str().unwrap()));
    }
    text + "\r\n" + &body
}

/// As [`ask`], by whoever has this pair, with a body that may be no text.
pub(super) fn ask_bytes((user, secret): (&str, &str), method: &str, path: &str, body: &[u8]) -> Vec<u8> {
    let builder = Request::builder().method(method).uri(path).header("host", "here:9000");
    let (mut parts, ()) = builder.body(()).unwrap().into_parts();
    let signer = Signer::new(user, SecretKey::new(secret), "");
    let mode = PayloadMode::SignedBody(body_hash(body));
    signer.sign(&mut parts, &mode, OffsetDateTime::now_utc()).unwrap();
    let mut text = format!(
        "{method} {path} HTTP/1.1\r\nConnection: close\r\nContent-Length: {}\r\n",
        body.len()
    );
    for (name, value) in &parts.headers {
        text.push_str(&format!("{name}: {}\r\n", value.to_str().unwrap()));
    }
    [text.as_bytes(), b"\r\n", body].concat()
}

/// The type of answers without an end.
const STREAM: &str = "content-type: text/event-stream";

pub(super) async fn exchange_bytes(address: SocketAddr, request: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    while stream.read_buf(&mut answer).await.unwrap() > 0 {
        let text = String::from_utf8_lossy(&answer);
        if text.contains("\r\n\r\n") && text.contains(STREAM) {
            // It has no end.
            break;
        }
    }
    answer
}

pub(super) fn document(answer: &str) -> Value {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let no_document = body.is_empty() || head.contains("application/octet-stream") || head.contains(STREAM);
    if head.starts_with("HTTP/1.1 2") && no_document {
        return Value::Null;
    }
    assert!(head.contains("content-type: application/json"), "{answer}");
    serde_json::from_str(body).unwrap()
}

async fn told(address: SocketAddr, request: &str) -> (u16, Value) {
    let answer = exchange_bytes(address, request.as_bytes()).await;
    let answer = String::from_utf8_lossy(&answer);
    (status(&answer), document(&answer))
}

/// MinIO's verbs that are built.
const MINIO_BUILT: [&str; 61] = [
    "accountinfo",
    "add-canned-policy",
    "add-service-account",
    "add-user",
    "background-heal/status",
    "clear-config-history-kv",
    "config",
    "datausageinfo",
    "del-config-kv",
    "delete-service-account",
    "get-bucket-quota",
    "get-config-kv",
    "group",
    "groups",
    "heal/",
    "help-config-kv",
    "idp-config/ldap",
    "idp-config/ldap/_",
    "idp/builtin/policy-entities",
    "idp/builtin/policy/attach",
    "idp/builtin/policy/detach",
    "idp/ldap/policy-entities",
    "idp/ldap/policy/attach",
    "idp/ldap/policy/detach",
    "info",
    "info-access-key",
    "info-canned-policy",
    "info-service-account",
    "list-access-keys-bulk",
    "list-canned-policies",
    "list-config-history-kv",
    "list-service-accounts",
    "list-users",
    "log",
    "metrics",
    "pools/cancel",
    "pools/decommission",
    "pools/list",
    "pools/status",
    "rebalance/start",
    "rebalance/status",
    "rebalance/stop",
    "remove-canned-policy",
    "remove-user",
    "restore-config-history-kv",
    "revoke-tokens/builtin",
    "revoke-tokens/ldap",
    "revoke-tokens/openid",
    "service",
    "set-bucket-quota",
    "set-config-kv",
    "set-group-status",
    "set-user-or-group-policy",
    "set-user-status",
    "site-replication/info",
    "storageinfo",
    "temporary-account-info",
    "trace",
    "update-group-members",
    "update-service-account",
    "user-info",
];

/// Every route there is, built or not, and some that no table knows.
pub(super) fn routes() -> Vec<(Method, String)> {
    let built = [
        "/v1/admin/info",
        "/v1/admin/heal",
        "/v1/admin/scrub",
        "/v1/admin/drives",
        "/v1/admin/drives/add",
        "/v1/admin/drives/drain",
        "/v1/admin/drives/keep",
        "/v1/admin/drives/remove",
        "/v1/admin/drives/replace",
        "/v1/admin/rebalance",
        "/v1/admin/parity",
        "/v1/admin/index/verify",
        "/v1/admin/index/rebuild",
        "/v1/admin/projects",
        "/v1/admin/projects/buckets",
        "/v1/admin/projects/environments",
        COLLECT,
        "/v1/admin/projects/images",
        "/v1/admin/projects/issuers",
        "/v1/admin/projects/keys",
        "/v1/admin/visibility/bucket",
        "/v1/admin/visibility/object",
        "/v1/admin/visibility/shares",
    ];
    let minio = MINIO_BUILT.map(|name| format!("/minio/admin/v3/{name}"));
    let unbuilt = UNBUILT.iter().map(|(name, _)| format!("/minio/admin/v3/{name}"));
    let unknown = [
        "/minio/admin/v3/",
        "/minio/admin/v4/info",
        "/minio/admin/v3/no-such",
        "/v1/admin/",
        "/v1/admin/x",
    ];
    let ours = built.into_iter().chain(unknown).map(str::to_owned);
    let paths = ours.chain(minio).chain(unbuilt);
    paths
        .flat_map(|path| METHODS.map(|method| (method, path.clone())))
        .collect()
}

#[tokio::test]
async fn every_route_asks_who_is_calling_before_it_says_anything() {
    let server = start(&[]).await;
    let address = server.addresses()[0];
    let mut served = 0;
    for (method, path) in routes() {
        for caller in CALLERS {
            let (status, document) = told(address, &ask(caller, method.as_str(), &path, "")).await;
            let code = document["Code"].as_str().unwrap_or_default();
            let expected = match caller {
                Caller::Anonymous => (403, "AccessDenied"),
                Caller::WrongSecret => (403, "SignatureDoesNotMatch"),
                Caller::Unknown => (403, "InvalidAccessKeyId"),
                Caller::Root if wants_a_body(&method, &path) => (400, "InvalidRequest"),
                Caller::Root if is_built(&method, &path) && said_of(&method, &path).is_some() => {
                    said_of(&method, &path).unwrap()
                }
                Caller::Root if is_built(&method, &path) => (200, ""),
                Caller::Root if METHODS.iter().any(|other| is_built(other, &path)) => (405, "MethodNotAllowed"),
                Caller::Root => (501, "NotImplemented"),
            };
            assert_eq!((status, code), expected, "{caller:?} {method} {path}: {document}");
            served += u32::from(status == 200);
            if status != 200 {
                assert_eq!(document["Resource"], path.as_str());
                assert!(!document["RequestId"].as_str().unwrap().is_empty());
            }
        }
    }
    assert_eq!(served, 35);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn no_route_takes_a_body_that_the_signature_leaves_out() {
    let server = start(&[]).await;
    let address = server.addresses()[0];
    let order = r#"{"drive":"/data1"}"#;
    let mut asked = 0;
    for (method, path) in routes() {
        for mode in [
            PayloadMode::Unsigned,
            PayloadMode::StreamingSigned,
            PayloadMode::StreamingSignedTrailer,
            PayloadMode::StreamingUnsignedTrailer,
        ] {
            let cases = [
                (Caller::Root, order, (400, "InvalidRequest")),
                (Caller::Root, "", (400, "InvalidRequest")),
                (Caller::WrongSecret, order, (403, "SignatureDoesNotMatch")),
            ];
            // What is not built is refused before anything is looked up: one case of it is enough.
            let wanted = if is_built(&method, &path) { cases.len() } else { 1 };
            for (caller, body, expected) in cases.into_iter().take(wanted) {
                let request = ask_as(&mode, caller, method.as_str(), &path, body);
                let (status, document) = told(address, &request).await;
                let code = document["Code"].as_str().unwrap_or_default();
                assert_eq!((status, code), expected, "{mode:?} {method} {path}: {document}");
                let words = document["Message"].as_str().unwrap();
                assert!(
                    status == 403 || words.contains("x-amz-content-sha256 must be"),
                    "{words}"
                );
            }
        }
        asked += u32::from(is_built(&method, &path));
    }
    assert!(asked >= 63, "{asked} built routes were asked");
    let drives = told(address, &ask(Caller::Root, "GET", "/v1/admin/drives", "")).await.1;
    assert_eq!(drives["shards_moved"], 0, "nothing was ordered");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_body_that_is_said_to_be_too_large_is_refused_before_it_comes() {
    let server = start(&[]).await;
    let address = server.addresses()[0];
    let gib = (1_u64 << 30).to_string();
    for (method, path) in routes() {
        if !is_built(&method, &path) {
            continue;
        }
        // A client that waits for 100 Continue sends nothing of it.
        let request = ask(Caller::Root, method.as_str(), &path, "");
        let request = request.replacen(
            "Content-Length: 0",
            &format!("Content-Length: {gib}\r\nExpect: 100-continue"),
            1,
        );
        let (status, document) = told(address, &request).await;
        assert_eq!(
            (status, &document["Code"]),
            (413, &Value::from("EntityTooLarge")),
            "{method} {path}"
        );
    }
    // One that comes all the same is told, too; one that is just small enough is read.
    let fits = "x".repeat(256 * 1024);
    for (body, expected) in [(fits.clone() + "x", 413), (fits, 400)] {
        let (status, document) = told(address, &ask(Caller::Root, "POST", "/v1/admin/parity", &body)).await;
        assert_eq!(status, expected, "{document}");
    }
    server.stop().await.unwrap();
}

/// What is answered to who does not say what to do, or asks for what a store of one pool does not have.
fn said_of(method: &Method, path: &str) -> Option<(u16, &'static str)> {
    let lists = path == "/v1/admin/projects" && *method == Method::GET;
    let asks_more = path.starts_with("/v1/admin/projects") && !lists && path != COLLECT;
    if path.starts_with("/v1/admin/visibility/") || asks_more {
        return Some((400, "XMinioAdminInvalidArgument"));
    }
    Some(match path.strip_prefix("/minio/admin/v3/")? {
        "set-config-kv" | "del-config-kv" => (400, "XMinioAdminConfigBadJSON"),
        "config" if *method == Method::PUT => (400, "XMinioAdminConfigBadJSON"),
        "add-user" | "add-service-account" => (400, "XMinioAdminConfigBadJSON"),
        "idp/builtin/policy/attach" | "idp/builtin/policy/detach" => (400, "XMinioAdminConfigBadJSON"),
        "idp/ldap/policy/attach" | "idp/ldap/policy/detach" => (400, "XMinioAdminConfigBadJSON"),
        "idp-config/ldap/_" if *method != Method::GET => (501, "NotImplemented"),
        "idp-config/ldap/_" => (400, "XMinioAdminConfigIDPCfgNameDoesNotExist"),
        "idp/ldap/policy-entities" => (501, "XMinioLDAPNotEnabled"),
        "update-group-members" => (400, "XMinioMalformedJSON"),
        "info-access-key" => (404, "XMinioAdminNoSuchAccessKey"),
        "pools/decommission" | "pools/cancel" => (400, "XMinioDecommissionNotAllowed"),
        "rebalance/status" => (404, "XMinioAdminRebalanceNotStarted"),
        "service"
        | "clear-config-history-kv"
        | "restore-config-history-kv"
        | "get-bucket-quota"
        | "set-bucket-quota"
        | "pools/status"
        | "user-info"
        | "set-user-status"
        | "remove-user"
        | "group"
        | "set-group-status"
        | "add-canned-policy"
        | "info-canned-policy"
        | "remove-canned-policy"
        | "set-user-or-group-policy"
        | "info-service-account"
        | "temporary-account-info"
        | "revoke-tokens/builtin"
        | "revoke-tokens/openid"
        | "revoke-tokens/ldap"
        | "update-service-account"
        | "delete-service-account" => (400, "XMinioAdminInvalidArgument"),
        _ => return None,
    })
}

/// Orders that say in their body what they are about.
fn wants_a_body(method: &Method, path: &str) -> bool {
    let orders = path.starts_with("/v1/admin/drives/") || path == "/v1/admin/rebalance" || path == "/v1/admin/parity";
    let of_projects = path.starts_with("/v1/admin/projects") && [Method::POST, Method::PUT].contains(method);
    of_projects && path != COLLECT && is_built(method, path) || orders && *method == Method::POST
}

#[tokio::test]
async fn orders_about_drives_are_carried_out_for_who_may_and_refused_in_the_stores_words() {
    let server = start(&[]).await;
    let address = server.addresses()[0];
    let order = |caller, path: &str, body: &str| ask(caller, "POST", &format!("/v1/admin/{path}"), body);
    for caller in [Caller::Anonymous, Caller::WrongSecret, Caller::Unknown] {
        let refused = told(address, &order(caller, "drives/drain", r#"{"drive":"/data1"}"#)).await;
        assert_eq!(refused.0, 403, "{caller:?}");
    }
    let before = told(address, &ask(Caller::Root, "GET", "/v1/admin/drives", "")).await.1;
    assert_eq!(before["shards_moved"], 0, "nothing was ordered");
    let (status, drained) = told(address, &order(Caller::Root, "drives/drain", r#"{"drive":"/data1"}"#)).await;
    assert_eq!((status, &drained["changed"][0]["path"]), (200, &Value::from("/data1")));
    for (path, body, status, code) in [
        ("drives/drain", r#"{"drive":"/away"}"#, 404, "NoSuchDrive"),
        ("drives/remove", r#"{"drive":"/data1"}"#, 409, "Conflict"),
        (
            "drives/remove",
            r#"{"drive":"/data1","also":"/data2"}"#,
            400,
            "InvalidRequest",
        ),
        ("parity", r#"{"parity":2}"#, 503, "ServiceUnavailable"),
        ("rebalance", r#"{"percent":5}"#, 200, ""),
        ("drives/add", r#"{"paths":["/data9"]}"#, 200, ""),
    ] {
        let (found, document) = told(address, &order(Caller::Root, path, body)).await;
        assert_eq!(
            (found, document["Code"].as_str().unwrap_or_default()),
            (status, code),
            "{path} {body}"
        );
    }
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_signature_holds_for_one_request_and_its_body_and_never_as_a_link() {
    let server = start(&[("MINIO_SITE_REGION", "eu-north-1")]).await;
    let address = server.addresses()[0];
    // No region is compared: MinIO's clients sign for none.
    let good = ask(Caller::Root, "GET", "/minio/admin/v3/info", "");
    assert_eq!(told(address, &good).await.0, 200);
    let moved = good.replacen("/minio/admin/v3/info", "/minio/admin/v3/storageinfo", 1);
    assert_eq!(told(address, &moved).await.1["Code"], "SignatureDoesNotMatch");
    let body = ask(Caller::Root, "GET", "/v1/admin/info", "one body").replace("one body", "an other");
    assert_eq!(told(address, &body).await.1["Code"], "XAmzContentSHA256Mismatch");
    let link = presigned(PASSWORD, "GET", "here:9000", "/v1/admin/info");
    let (status, refused) = told(
        address,
        &format!("GET {link} HTTP/1.1\r\nHost: here:9000\r\nConnection: close\r\n\r\n"),
    )
    .await;
    assert_eq!(
        (status, refused["Code"].as_str()),
        (400, Some("InvalidArgument")),
        "{refused}"
    );
    // S3 takes no signature without a region, whoever made it.
    let s3 = exchange(address, &ask(Caller::Root, "GET", "/wall", "")).await;
    assert!(s3.contains("AuthorizationHeaderMalformed"), "{s3}");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn figures_are_those_of_what_is_stored() {
    let server = start(&[]).await;
    let address = server.addresses()[0];
    let host = address.to_string();
    for (key, body) in [("a", "stone".to_owned()), ("b", "x".repeat(2_000))] {
        let target = presigned(PASSWORD, "PUT", &host, &format!("/wall/{key}"));
        let put = format!(
            "PUT {target} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        assert_eq!(status(&exchange(address, &put).await), 200);
    }
    let get = async |path: &str| {
        let (status, document) = told(
            address,
            &ask(Caller::Root, "GET", &format!("/minio/admin/v3/{path}"), ""),
        )
        .await;
        assert_eq!(status, 200, "{document}");
        document
    };
    let info = get("info").await;
    for (path, wanted) in [
        ("/buckets/count", 2),
        ("/objects/count", 2),
        ("/versions/count", 2),
        ("/deletemarkers/count", 0),
        ("/usage/size", 2_005),
        ("/pools/0/0/usage", 2_005),
        ("/pools/0/0/objectsCount", 2),
    ] {
        assert_eq!(info.pointer(path), Some(&Value::from(wanted)), "{path} in {info}");
    }
    let usage = get("datausageinfo?capacity=true").await;
    for (path, wanted) in [
        ("/objectsCount", 2),
        ("/objectsTotalSize", 2_005),
        ("/bucketsCount", 2),
        ("/bucketsSizes/wall", 2_005),
        ("/bucketsUsageInfo/wall/objectsCount", 2),
        ("/bucketsUsageInfo/pile/objectsCount", 0),
        ("/bucketsUsageInfo/wall/objectsSizesHistogram/LESS_THAN_1024_B", 1),
        (
            "/bucketsUsageInfo/wall/objectsSizesHistogram/BETWEEN_1024_B_AND_1_MB",
            1,
        ),
    ] {
        assert_eq!(usage.pointer(path), Some(&Value::from(wanted)), "{path} in {usage}");
    }
    assert!(usage["lastUpdate"].as_str().unwrap().starts_with("20") && usage["capacity"].is_number());
    let account = get("accountinfo").await;
    assert_eq!(account["AccountName"], USER);
    let buckets = account["Buckets"].as_array().unwrap();
    assert_eq!(
        (buckets[0]["name"].as_str(), buckets[1]["size"].as_u64()),
        (Some("pile"), Some(2_005))
    );
    assert_eq!(buckets[1]["access"], serde_json::json!({ "read": true, "write": true }));
    let metrics = metrics(address, "bucket", Some(&token(PASSWORD))).await;
    assert!(
        metrics.contains("minio_bucket_usage_total_bytes{bucket=\"wall\"} 2005"),
        "{metrics}"
    );
    server.stop().await.unwrap();
}

/// As `mc admin prometheus generate` makes it.
fn token(secret: &str) -> String {
    token_of(USER, secret)
}

pub(super) fn token_of(user: &str, secret: &str) -> String {
    use aws_lc_rs::hmac::{HMAC_SHA512, Key, sign};
    use base64_simd::URL_SAFE_NO_PAD;
    let encode = |text: &[u8]| URL_SAFE_NO_PAD.encode_to_string(text);
    let claims = format!(r#"{{"exp":4924952268,"sub":"{user}","iss":"prometheus"}}"#);
    let signed = format!(
        "{}.{}",
        encode(br#"{"alg":"HS512","typ":"JWT"}"#),
        encode(claims.as_bytes())
    );
    let signature = sign(&Key::new(HMAC_SHA512, secret.as_bytes()), signed.as_bytes());
    format!("{signed}.{}", encode(signature.as_ref()))
}

pub(super) async fn metrics(address: SocketAddr, of: &str, token: Option<&str>) -> String {
    let token = token
        .map(|token| format!("Authorization: Bearer {token}\r\n"))
        .unwrap_or_default();
    let head = format!("GET /minio/v2/metrics/{of} HTTP/1.1\r\nHost: a\r\n{token}Connection: close\r\n\r\n");
    exchange(address, &head).await
}

#[tokio::test]
async fn metrics_are_for_who_brings_a_token_of_a_key() {
    let server = start(&[]).await;
    let address = server.addresses()[0];
    for of in ["cluster", "node", "bucket", "resource"] {
        assert_eq!(status(&metrics(address, of, Some(&token(PASSWORD))).await), 200, "{of}");
        for bad in [None, Some(""), Some("a.b.c"), Some(token("another secret").as_str())] {
            let answer = metrics(address, of, bad).await;
            assert!(
                status(&answer) == 403 && !answer.contains("minio_"),
                "{of} {bad:?}: {answer}"
            );
        }
    }
    assert_eq!(
        status(&metrics(address, "elsewhere", Some(&token(PASSWORD))).await),
        501
    );
    server.stop().await.unwrap();
}

#[tokio::test]
async fn the_server_is_told_to_end_by_who_may_and_answers_before_it_does() {
    let server = start(&[]).await;
    let address = server.addresses()[0];
    let path = |query: &str| format!("/minio/admin/v3/service?{query}");
    for caller in [Caller::Anonymous, Caller::WrongSecret, Caller::Unknown] {
        assert_eq!(
            told(address, &ask(caller, "POST", &path("action=stop"), "")).await.0,
            403,
            "{caller:?}"
        );
    }
    let rehearsal = told(
        address,
        &ask(Caller::Root, "POST", &path("action=restart&dry-run=true&type=2"), ""),
    )
    .await;
    assert_eq!((rehearsal.0, &rehearsal.1["dryRun"]), (200, &Value::from(true)));
    let freeze = told(address, &ask(Caller::Root, "POST", &path("action=freeze"), "")).await;
    assert_eq!(freeze.0, 501);
    assert!(
        tokio::time::timeout(Duration::from_millis(50), server.ordered())
            .await
            .is_err()
    );
    let (code, answer) = told(address, &ask(Caller::Root, "POST", &path("action=restart&type=2"), "")).await;
    assert_eq!((code, &answer["results"][0]["host"]), (200, &Value::from("here:9000")));
    assert_eq!(server.ordered().await, Ending::Restart);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn healing_is_asked_for_by_post_and_told_by_get() {
    let server = start(&[]).await;
    let address = server.addresses()[0];
    let shards = async |method: &str, path: &str| {
        let (status, report) = told(address, &ask(Caller::Root, method, path, "")).await;
        assert_eq!(status, 200, "{report}");
        report["shards_healed"].as_u64().unwrap()
    };
    assert_eq!(shards("GET", "/v1/admin/heal").await, 0);
    assert_eq!(shards("POST", "/v1/admin/heal").await, 1);
    assert_eq!(shards("POST", "/v1/admin/scrub").await, 101);
    assert_eq!(shards("GET", "/v1/admin/heal").await, 101);
    let (_, minio) = told(
        address,
        &ask(Caller::Root, "POST", "/minio/admin/v3/background-heal/status", ""),
    )
    .await;
    assert!(
        minio["sets"][0]["disks"].is_array() && minio["sc_parity"]["STANDARD"].is_number(),
        "{minio}"
    );
    server.stop().await.unwrap();
}

#[tokio::test]
async fn the_documents_have_the_forms_that_clients_read() {
    let server = start(&[("MINIO_SITE_REGION", "eu-north-1")]).await;
    let address = server.addresses()[0];
    let (_, info) = told(
        address,
        &ask(Caller::Root, "GET", "/minio/admin/v3/info?metrics=false", ""),
    )
    .await;
    assert_eq!(info["mode"], "online");
    assert_eq!(info["region"], "eu-north-1");
    assert_eq!(info["backend"]["backendType"], "Erasure");
    assert_eq!(info["servers"][0]["endpoint"], "here:9000");
    assert_eq!(info["servers"][0]["scheme"], "http");
    let (_, storage) = told(address, &ask(Caller::Root, "GET", "/minio/admin/v3/storageinfo", "")).await;
    assert!(
        storage["Disks"].is_array() && storage["Backend"]["Type"] == 2,
        "{storage}"
    );
    let (_, status) = told(address, &ask(Caller::Root, "GET", "/v1/admin/info", "")).await;
    assert_eq!(status["state"], "read-write");
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    assert!(status["drives"].is_array() && status["store"] == "memory", "{status}");
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_asks_by_tls_and_checks_the_certificate_it_was_told() {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (certificate, other) = (folder.path().join("public.crt"), folder.path().join("other.crt"));
    std::fs::write(folder.path().join("private.key"), made.signing_key.serialize_pem()).unwrap();
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    let another = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    std::fs::write(&other, another.cert.pem()).unwrap();
    let mut config = config(&[("MINIO_ROOT_USER", USER), ("MINIO_ROOT_PASSWORD", PASSWORD)]);
    config.certs_dirs = vec![folder.path().to_owned()];
    let server = Server::start(config, in_memory()).await.unwrap();
    let endpoint = format!("https://localhost:{}", server.addresses()[0].port());
    let run = async |arguments: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_drystone"));
        command
            .args(["admin", "info", "--json", "--endpoint", &endpoint])
            .args(arguments)
            .env_clear()
            .env("MINIO_ROOT_USER", USER)
            .env("MINIO_ROOT_PASSWORD", PASSWORD);
        let output = tokio::task::spawn_blocking(move || command.output().unwrap())
            .await
            .unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    // Of this machine any certificate is taken, unless one is named.
    for good in [&[][..], &["--insecure"], &["--cacert", certificate.to_str().unwrap()]] {
        let (code, said) = run(good).await;
        assert!(
            code == Some(0) && said.contains("read-write"),
            "{good:?}: {code:?} {said}"
        );
    }
    let (code, said) = run(&["--cacert", other.to_str().unwrap()]).await;
    assert!(code == Some(1) && said.contains("certificate"), "{code:?} {said}");
    let (code, said) = run(&["--cacert", "/no/such/file"]).await;
    assert!(code == Some(1) && said.contains("/no/such/file"), "{code:?} {said}");
    server.stop().await.unwrap();
}
