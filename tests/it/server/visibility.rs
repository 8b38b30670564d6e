//! Visibility and shares through the whole server: the admin routes for every kind of caller, the command line, and what
//! they change for a browser that has a link.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::admin::{ask_bytes, document, exchange_bytes};
use super::identities::Client;
use super::stack::{PASSWORD, USER, exchange, presigned, start};
use super::support::status;
use super::users::{self, signer};

const ROOT: (&str, &str) = (USER, PASSWORD);

/// Status and document of a request to `/v1/admin/visibility/…`.
async fn ask(address: SocketAddr, who: (&str, &str), method: &str, path: &str, body: &Value) -> (u16, Value) {
    let path = format!("/v1/admin/visibility/{path}");
    let body = if body.is_null() {
        Vec::new()
    } else {
        body.to_string().into_bytes()
    };
    let answer = exchange_bytes(address, &ask_bytes(who, method, &path, &body)).await;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    (status(&answer), document(&answer))
}

async fn put(address: SocketAddr, path: &str, body: &str) {
    assert_eq!(put_status(address, path, body).await, 200);
}

async fn set_policy(address: SocketAddr, policy: &str) {
    assert_eq!(put_status(address, "/wall?policy", policy).await, 204);
}

async fn put_status(address: SocketAddr, path: &str, body: &str) -> u16 {
    let host = address.to_string();
    let target = presigned(PASSWORD, "PUT", &host, path);
    let length = body.len();
    let put =
        format!("PUT {target} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}");
    status(&exchange(address, &put).await)
}

async fn get(address: SocketAddr, target: &str) -> String {
    exchange(
        address,
        &format!("GET {target} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"),
    )
    .await
}

const OBJECT: &str = "object?bucket=wall&key=a%20b";
const SHARES: &str = "shares?bucket=wall&key=a%20b";

#[tokio::test]
async fn an_object_is_opened_shared_and_closed_by_the_admin_api_and_every_answer_follows_at_once() {
    let client = Client::with_users().await;
    let address = client.address;
    put(address, "/wall/a%20b", "stone").await;
    let nothing = Value::Null;
    let (code, told) = ask(address, ROOT, "GET", OBJECT, &nothing).await;
    let expected = json!({ "bucket": "wall", "key": "a b", "owner": "root", "visibility": "private",
        "inherited": true, "anonymous": "none", "shares": 0 });
    assert_eq!((code, &told), (200, &expected));
    assert_eq!(status(&get(address, "/wall/a%20b").await), 403);
    for (level, shown, code) in [
        ("public", "public", 200),
        ("protected", "protected", 403),
        ("default", "private", 403),
    ] {
        let set = ask(address, ROOT, "PUT", OBJECT, &json!({ "visibility": level })).await;
        assert_eq!((set.0, &set.1["visibility"]), (200, &json!(shown)));
        assert_eq!(status(&get(address, "/wall/a%20b").await), code, "{level}");
    }
    // A link is told once, opens the object to whoever has it, and is taken back at once.
    let link = json!({ "type": "link", "access": "read", "name": "for the press" });
    let (code, made) = ask(address, ROOT, "POST", SHARES, &link).await;
    assert_eq!(
        (code, &made["type"], &made["name"]),
        (200, &json!("link"), &json!("for the press"))
    );
    let url = made["link"].as_str().unwrap();
    let (_, target) = url.split_once("here:9000").unwrap();
    let answer = get(address, target).await;
    assert!(
        answer.ends_with("\r\n\r\nstone") && answer.contains("referrer-policy: no-referrer"),
        "{answer}"
    );
    assert!(
        answer.contains("x-content-type-options: nosniff") && answer.contains("; sandbox"),
        "{answer}"
    );
    let (_, listed) = ask(address, ROOT, "GET", SHARES, &nothing).await;
    assert_eq!(
        (&listed["counting"], listed["shares"].as_array().unwrap().len()),
        (&json!(true), 1)
    );
    assert!(!listed.to_string().contains("drystone-share"), "{listed}");
    let remove = format!("{SHARES}&share={}", made["share"].as_str().unwrap());
    assert_eq!(ask(address, ROOT, "DELETE", &remove, &nothing).await.0, 200);
    assert_eq!(status(&get(address, target).await), 403);
    let (code, told) = ask(address, ROOT, "DELETE", &remove, &nothing).await;
    assert_eq!((code, &told["Code"]), (404, &json!("NoSuchShare")));
    client.server.stop().await.unwrap();
}

#[tokio::test]
async fn a_share_is_with_a_user_who_is_there_and_goes_with_that_user() {
    let client = Client::with_users().await;
    let address = client.address;
    put(address, "/wall/a%20b", "stone").await;
    let pebble = json!({ "type": "user", "id": "pebble", "access": "read" });
    let (code, made) = ask(address, ROOT, "POST", SHARES, &pebble).await;
    assert_eq!(
        (code, &made["id"], &made["link"]),
        (200, &json!("pebble"), &Value::Null)
    );
    let twice = ask(address, ROOT, "POST", SHARES, &pebble).await;
    assert_eq!((twice.0, &twice.1["Code"]), (409, &json!("Conflict")));
    let read = |secret: &'static str| async move {
        let signer = signer(("pebble", secret));
        status(&users::ask(address, Some(&signer), ("GET", "/wall/a%20b"), "h", "").await)
    };
    assert_eq!(read("pebble-secret").await, 200);
    assert_eq!(client.ask(ROOT, "DELETE", "remove-user?accessKey=pebble").await.0, 200);
    let anew = json!({ "secretKey": "pebble-second", "status": "enabled" });
    assert_eq!(client.seal(ROOT, "PUT", "add-user?accessKey=pebble", anew).await.0, 200);
    assert_eq!(read("pebble-second").await, 403, "another user of that name");
    client.server.stop().await.unwrap();
}

#[tokio::test]
async fn a_link_begins_where_clients_reach_the_server() {
    let proxies = "DRYSTONE_TRUSTED_PROXIES";
    for (name, value, begins) in [
        (
            "MINIO_SERVER_URL",
            "https://files.test:8443",
            "https://files.test:8443/wall/a%20b?",
        ),
        (proxies, "127.0.0.1/32", "https://here:9000/wall/a%20b?"),
        // Nobody else says by what a client came.
        (proxies, "10.0.0.0/8", "http://here:9000/wall/a%20b?"),
    ] {
        let server = start(&[(name, value)]).await;
        let address = server.addresses()[0];
        put(address, "/wall/a%20b", "stone").await;
        let path = format!("/v1/admin/visibility/{SHARES}");
        let link = json!({ "type": "link", "access": "read" }).to_string();
        let request = ask_bytes(ROOT, "POST", &path, link.as_bytes());
        let request = String::from_utf8(request).unwrap();
        let request = request.replacen("\r\n", "\r\nX-Forwarded-Proto: https\r\n", 1);
        let answer = exchange(address, &request).await;
        assert_eq!(status(&answer), 200, "{answer}");
        let link = document(&answer)["link"].as_str().unwrap().to_owned();
        assert!(link.starts_with(begins), "{name}={value}: {link}");
        server.stop().await.unwrap();
    }
}

const ARGUMENT: &str = "XMinioAdminInvalidArgument";

/// Method, path and body of what is refused, and status, code and words that it is refused with.
#[rustfmt::skip]
const REFUSED: &[(&str, &str, &str, u16, &str, &str)] = &[
    ("PUT", OBJECT, r#"{"visibility":"open"}"#, 400, ARGUMENT, "public, private, protected and shared"),
    ("PUT", OBJECT, r#"{"level":"public"}"#, 400, "InvalidRequest", "level"),
    ("GET", "object?bucket=wall", r#""#, 400, ARGUMENT, "key is missing"),
    ("GET", "object?bucket=wall&key=none", r#""#, 404, "NoSuchKey", "no such key"),
    ("GET", "bucket?bucket=none", r#""#, 404, "NoSuchBucket", "no such bucket"),
    ("PUT", "bucket?bucket=wall", r#"{}"#, 400, ARGUMENT, "Neither"),
    ("PUT", "bucket?bucket=wall", r#"{"anonymous":"all"}"#, 400, ARGUMENT, "download"),
    ("POST", SHARES, r#"{"type":"user","id":"nobody","access":"read"}"#, 404, "XMinioAdminNoSuchUser", "nobody"),
    ("POST", SHARES, r#"{"type":"group","id":"none","access":"read"}"#, 404, "XMinioAdminNoSuchGroup", "none"),
    ("POST", SHARES, r#"{"type":"email","id":"ann","access":"read"}"#, 400, ARGUMENT, "e-mail"),
    ("POST", SHARES, r#"{"type":"link","id":"x","access":"read"}"#, 400, ARGUMENT, "takes no id"),
    ("POST", SHARES, r#"{"type":"all","access":"read"}"#, 400, ARGUMENT, "user, group, email and link"),
    ("POST", SHARES, r#"{"type":"link","access":"delete"}"#, 400, ARGUMENT, "read and write"),
    ("POST", SHARES, r#"{"type":"link","access":"read","expires":"soon"}"#, 400, ARGUMENT, "2030"),
    ("POST", SHARES, r#"{"type":"link","access":"read","expires":"2001-01-01T00:00:00Z"}"#, 400, ARGUMENT, "past"),
];

#[tokio::test]
async fn what_cannot_be_done_is_refused_with_what_to_do_and_changes_nothing() {
    let client = Client::with_users().await;
    let address = client.address;
    put(address, "/wall/a%20b", "stone").await;
    for (method, path, body, code, name, words) in REFUSED {
        let body = serde_json::from_str(body).unwrap_or_default();
        let (code, name, words) = (*code, *name, *words);
        let (found, told) = ask(address, ROOT, method, path, &body).await;
        assert_eq!(
            (found, &told["Code"]),
            (code, &json!(name)),
            "{method} {path} {body}: {told}"
        );
        assert!(told["Message"].as_str().unwrap().contains(words), "{told}");
    }
    let open = ask(address, ROOT, "PUT", OBJECT, &json!({ "visibility": "public" })).await;
    assert_eq!(open.0, 200);
    let (code, told) = ask(
        address,
        ROOT,
        "POST",
        SHARES,
        &json!({ "type": "link", "access": "read" }),
    )
    .await;
    assert!(
        code == 409 && told["Message"].as_str().unwrap().contains("is public"),
        "{told}"
    );
    // Who may only look changes nothing, and who has no right learns nothing.
    let looks = json!({ "Version": "2012-10-17", "Statement": [{ "Effect": "Allow", "Action": ["admin:GetBucketVisibility"] }] });
    let path = "add-canned-policy?name=looker";
    assert_eq!(
        client.send(ROOT, "PUT", path, looks.to_string().as_bytes()).await.0,
        200
    );
    let pebble = ("pebble", "pebble-secret");
    assert_eq!(ask(address, pebble, "GET", OBJECT, &Value::Null).await.0, 403);
    let attach = json!({ "policies": ["looker"], "user": "pebble" });
    assert_eq!(
        client.seal(ROOT, "POST", "idp/builtin/policy/attach", attach).await.0,
        200
    );
    assert_eq!(ask(address, pebble, "GET", OBJECT, &Value::Null).await.0, 200);
    assert_eq!(
        ask(address, pebble, "PUT", OBJECT, &json!({ "visibility": "private" }))
            .await
            .0,
        403
    );
    assert_eq!(status(&get(address, "/wall/a%20b").await), 200);
    client.server.stop().await.unwrap();
}

#[tokio::test]
async fn canned_policies_are_shown_as_what_they_let_and_written_as_mc_does() {
    let client = Client::with_users().await;
    let address = client.address;
    put(address, "/wall/in/doc", "stone").await;
    let bucket = "bucket?bucket=wall";
    for (word, code) in [("download", 200), ("upload", 403), ("public", 200), ("none", 403)] {
        let (done, told) = ask(address, ROOT, "PUT", bucket, &json!({ "anonymous": word })).await;
        assert_eq!((done, &told["anonymous"]), (200, &json!(word)), "{told}");
        assert_eq!(status(&get(address, "/wall/in/doc").await), code, "{word}");
        let object = ask(address, ROOT, "GET", "object?bucket=wall&key=in/doc", &Value::Null)
            .await
            .1;
        assert_eq!(
            (&object["anonymous"], &object["visibility"]),
            (&json!(word), &json!("private"))
        );
    }
    let below = json!({ "anonymous": "download", "prefix": "in/" });
    let (_, told) = ask(address, ROOT, "PUT", bucket, &below).await;
    assert_eq!(told["prefixes"], json!([{ "prefix": "in/", "anonymous": "download" }]));
    assert_eq!(status(&get(address, "/wall/in/doc").await), 200);
    let (_, told) = ask(address, ROOT, "PUT", bucket, &json!({ "visibility": "protected" })).await;
    assert_eq!(
        (&told["visibility"], &told["prefixes"][0]["prefix"]),
        (&json!("protected"), &json!("in/"))
    );
    // The statements shown are ones that a bucket policy takes.
    let shown = json!({ "Version": "2012-10-17", "Statement": told["statements"] }).to_string();
    let kind = drystone::policy::Kind::Bucket { bucket: "wall" };
    drystone::policy::Policy::parse(shown.as_bytes(), kind).unwrap();
    client.server.stop().await.unwrap();
}

/// Closing an object only laid its links to rest: sharing it with somebody else opened them again.
#[tokio::test]
async fn a_link_that_was_cut_off_stays_so_when_the_object_is_shared_again() {
    let client = Client::with_users().await;
    let address = client.address;
    put(address, "/wall/a%20b", "stone").await;
    for again in [
        (
            "POST",
            SHARES,
            json!({ "type": "email", "id": "ann@example.com", "access": "read" }),
        ),
        ("PUT", OBJECT, json!({ "visibility": "shared" })),
    ] {
        let link = json!({ "type": "link", "access": "read" });
        let (_, made) = ask(address, ROOT, "POST", SHARES, &link).await;
        let (_, target) = made["link"].as_str().unwrap().split_once("here:9000").unwrap();
        assert_eq!(status(&get(address, target).await), 200);
        let closed = ask(address, ROOT, "PUT", OBJECT, &json!({ "visibility": "private" })).await;
        assert_eq!(closed.0, 200);
        assert_eq!(status(&get(address, target).await), 403);
        let (method, path, body) = again;
        assert_eq!(ask(address, ROOT, method, path, &body).await.0, 200, "{path}");
        assert_eq!(status(&get(address, target).await), 403, "{path}");
    }
}

/// Whoever had the admin right opened what a bucket's policy said nobody should open.
#[tokio::test]
async fn a_deny_in_the_policy_of_a_bucket_holds_for_the_admin_api_too() {
    let client = Client::with_users().await;
    let address = client.address;
    put(address, "/wall/a%20b", "stone").await;
    let link = json!({ "type": "link", "access": "read" });
    let made = ask(address, ROOT, "POST", SHARES, &link).await.1;
    let remove = format!("{SHARES}&share={}", made["share"].as_str().unwrap());
    let deny = |action: &str, resource: &str| {
        json!({ "Version": "2012-10-17", "Statement": { "Effect": "Deny", "Principal": "*", "Action": action,
            "Resource": format!("arn:aws:s3:::wall{resource}") } })
        .to_string()
    };
    let bucket = "bucket?bucket=wall";
    let (opened, listed) = (json!({ "visibility": "public" }), json!({ "anonymous": "download" }));
    let asks = [
        ("PUT", bucket, &opened, "s3:PutBucketAcl", ""),
        ("PUT", OBJECT, &opened, "s3:PutObjectAcl", "/*"),
        ("POST", SHARES, &link, "s3:PutObjectAcl", "/*"),
    ];
    for (method, path, body, action, resource) in asks {
        set_policy(address, &deny(action, resource)).await;
        let (code, told) = ask(address, ROOT, method, path, body).await;
        assert_eq!((code, &told["Code"]), (403, &json!("AccessDenied")), "{method} {path}");
        set_policy(address, &deny("s3:DeleteObject", "/*")).await;
    }
    // A Deny keeps shut: whoever closes something again is not held up by it.
    let closed = json!({ "visibility": "private" });
    set_policy(address, &deny("s3:PutObjectAcl", "/*")).await;
    assert_eq!(ask(address, ROOT, "DELETE", &remove, &Value::Null).await.0, 200);
    assert_eq!(ask(address, ROOT, "PUT", OBJECT, &closed).await.0, 200);
    set_policy(address, &deny("s3:PutBucketAcl", "")).await;
    assert_eq!(ask(address, ROOT, "PUT", bucket, &closed).await.0, 200);
    // One of a canned ACL is of the level that it stands for.
    for (path, action, resource) in [(OBJECT, "s3:PutObjectAcl", "/*"), (bucket, "s3:PutBucketAcl", "")] {
        let mut policy: Value = serde_json::from_str(&deny(action, resource)).unwrap();
        policy["Statement"]["Condition"] = json!({ "StringEquals": { "s3:x-amz-acl": "public-read" } });
        set_policy(address, &policy.to_string()).await;
        for (level, expected) in [("public", 403), ("protected", 200), ("private", 200)] {
            let answer = ask(address, ROOT, "PUT", path, &json!({ "visibility": level })).await;
            assert_eq!(answer.0, expected, "{path} {level}: {}", answer.1);
        }
    }
    // Nobody who could mend it is kept from the policy itself.
    set_policy(address, &deny("s3:PutBucketPolicy", "")).await;
    assert_eq!(ask(address, ROOT, "PUT", bucket, &listed).await.0, 200);
    client.server.stop().await.unwrap();
}
