//! Users, groups, policies and access keys through the admin API: what they may do to others and to themselves.

use std::net::SocketAddr;

use drystone::admin::is_built;
use drystone::admin::sealed::deriving::Sealer;
use drystone::auth::SecretKey;
use drystone::auth::sign::Signer;
use drystone::server::Server;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::admin::{ask_bytes, document, exchange_bytes, metrics, routes, token_of};
use super::stack::{PASSWORD, USER, start};
use super::support::status;
use super::users::{self, element, signer};

type Pair<'a> = (&'a str, &'a str);
const ROOT: Pair<'static> = (USER, PASSWORD);
const LOW: Pair<'static> = ("pebble", "pebble-secret");
const ADMIN: Pair<'static> = ("boulder", "boulder-secret");
const CHILD: Pair<'static> = ("PEBBLECHILD", "child-secret-1");

/// Who asks for what, and how the body goes and comes.
pub(super) struct Client {
    pub(super) server: Server,
    pub(super) address: SocketAddr,
    sealer: Sealer,
}

impl Client {
    async fn new() -> Self {
        let server = start(&[]).await;
        let address = server.addresses()[0];
        Self {
            server,
            address,
            sealer: Sealer::default(),
        }
    }

    /// Status, and the document; a sealed one is opened with the caller's secret.
    pub(super) async fn send(&self, who: Pair<'_>, method: &str, path: &str, body: &[u8]) -> (u16, Value) {
        let path = format!("/minio/admin/v3/{path}");
        let answer = exchange_bytes(self.address, &ask_bytes(who, method, &path, body)).await;
        let at = answer.windows(4).position(|end| end == b"\r\n\r\n").unwrap() + 4;
        let head = String::from_utf8_lossy(&answer[..at]).into_owned();
        if !head.contains("application/octet-stream") {
            return (status(&head), document(&String::from_utf8_lossy(&answer)));
        }
        let body = answer[at..].to_vec().into();
        let text = self.sealer.open(who.0, SecretKey::new(who.1), body).await.unwrap();
        (status(&head), serde_json::from_slice(&text).unwrap())
    }

    pub(super) async fn ask(&self, who: Pair<'_>, method: &str, path: &str) -> (u16, Value) {
        self.send(who, method, path, b"").await
    }

    pub(super) async fn seal(&self, who: Pair<'_>, method: &str, path: &str, body: Value) -> (u16, Value) {
        let text = Zeroizing::new(body.to_string().into_bytes());
        let body = self.sealer.seal(who.0, SecretKey::new(who.1), text).await.unwrap();
        self.send(who, method, path, &body).await
    }

    /// The status and code of a refusal, or 200 and nothing.
    async fn code(&self, who: Pair<'_>, method: &str, path: &str, body: Option<Value>) -> (u16, String) {
        let (status, told) = match body {
            Some(body) => self.seal(who, method, path, body).await,
            None => self.ask(who, method, path).await,
        };
        (status, told["Code"].as_str().unwrap_or_default().to_owned())
    }

    /// A user with no rights and a child key, and one who may do everything.
    pub(super) async fn with_users() -> Self {
        let client = Self::new().await;
        for (name, secret) in [LOW, ADMIN] {
            let path = format!("add-user?accessKey={name}");
            let body = json!({ "secretKey": secret, "status": "enabled" });
            assert_eq!(client.seal(ROOT, "PUT", &path, body).await.0, 200);
        }
        let attach = json!({ "policies": ["consoleAdmin"], "user": ADMIN.0 });
        let (status, told) = client.seal(ROOT, "POST", "idp/builtin/policy/attach", attach).await;
        assert_eq!((status, &told["policiesAttached"]), (200, &json!(["consoleAdmin"])));
        let key = json!({ "targetUser": LOW.0, "accessKey": CHILD.0, "secretKey": CHILD.1 });
        let (status, told) = client.seal(LOW, "PUT", "add-service-account", key).await;
        assert_eq!((status, &told["credentials"]["accessKey"]), (200, &json!(CHILD.0)));
        client
    }
}

/// What a caller without any right may ask of every route there is: about itself, and nothing else.
#[tokio::test]
async fn a_caller_without_rights_gets_what_is_its_own_and_nothing_else() {
    let client = Client::with_users().await;
    let own = [
        "accountinfo",
        "add-service-account",
        "delete-service-account",
        "info-access-key",
        "info-service-account",
        "list-access-keys-bulk",
        "list-service-accounts",
        "revoke-tokens/builtin",
        "update-service-account",
        "user-info",
    ];
    let mut asked = 0;
    for (method, path) in routes() {
        let about_itself = own.iter().any(|name| path == format!("/minio/admin/v3/{name}"));
        if about_itself && is_built(&method, &path) {
            continue;
        }
        for who in [LOW, CHILD] {
            let answer = exchange_bytes(client.address, &ask_bytes(who, method.as_str(), &path, b"")).await;
            let told = document(&String::from_utf8_lossy(&answer));
            let expected = (403, "AccessDenied", "Access Denied.");
            let found = (
                status(&String::from_utf8_lossy(&answer)),
                told["Code"].as_str().unwrap(),
                told["Message"].as_str().unwrap(),
            );
            assert_eq!(found, expected, "{who:?} {method} {path}");
        }
        asked += 1;
    }
    assert!(asked > 300, "{asked}");
    let (status, account) = client.ask(LOW, "GET", "accountinfo").await;
    assert_eq!(
        (status, &account["AccountName"], &account["Buckets"]),
        (200, &json!(LOW.0), &json!([]))
    );
    let (status, me) = client.ask(LOW, "GET", &format!("user-info?accessKey={}", LOW.0)).await;
    assert_eq!(
        (status, &me["status"], &me["policyName"]),
        (200, &json!("enabled"), &json!(""))
    );
    client.server.stop().await.unwrap();
}

/// Mechanisms of CVE-2021-43858, CVE-2022-24842, CVE-2023-27589 and CVE-2024-24747.
#[tokio::test]
async fn nobody_widens_themselves() {
    let client = Client::with_users().await;
    let denied = (403, "AccessDenied".to_owned());
    let everything = json!({ "Version": "2012-10-17",
        "Statement": [{ "Effect": "Allow", "Action": ["s3:*"], "Resource": ["arn:aws:s3:::*"] }] });
    // CVE-2021-43858: a user sets its own policy, or that of a user it makes.
    for (method, path, body) in [
        (
            "PUT",
            format!("add-user?accessKey={}", LOW.0),
            json!({ "secretKey": LOW.1, "policy": "consoleAdmin" }),
        ),
        (
            "PUT",
            "add-user?accessKey=another".into(),
            json!({ "secretKey": "another-secret" }),
        ),
        (
            "POST",
            "idp/builtin/policy/attach".into(),
            json!({ "policies": ["consoleAdmin"], "user": LOW.0 }),
        ),
        // CVE-2022-24842: a key of root, or of somebody else.
        ("PUT", "add-service-account".into(), json!({ "targetUser": USER })),
        ("PUT", "add-service-account".into(), json!({ "targetUser": ADMIN.0 })),
        (
            "PUT",
            "add-service-account".into(),
            json!({ "targetUser": "nobody-there" }),
        ),
    ] {
        for who in [LOW, CHILD] {
            assert_eq!(
                client.code(who, method, &path, Some(body.clone())).await,
                denied,
                "{who:?} {path} {body}"
            );
        }
    }
    let set = format!(
        "set-user-or-group-policy?policyName=consoleAdmin&userOrGroup={}&isGroup=false",
        LOW.0
    );
    assert_eq!(client.code(LOW, "PUT", &set, None).await, denied);
    // Who may do everything is still not root.
    let for_root = json!({ "targetUser": USER });
    assert_eq!(
        client.code(ADMIN, "PUT", "add-service-account", Some(for_root)).await,
        denied
    );
    // CVE-2023-27589: a user with root's access key.
    let path = format!("add-user?accessKey={USER}");
    let body = json!({ "secretKey": "taken-over", "status": "enabled" });
    for who in [ROOT, ADMIN] {
        let refused = client.code(who, "PUT", &path, Some(body.clone())).await;
        assert_eq!(refused, (409, "XMinioInvalidIAMCredentials".to_owned()));
    }
    assert_eq!(client.ask(ROOT, "GET", "info").await.0, 200, "root still works");
    // CVE-2024-24747: a child key changes itself.
    let path = format!("update-service-account?accessKey={}", CHILD.0);
    for change in [
        json!({ "newPolicy": everything }),
        json!({ "newExpiration": "2040-01-01T00:00:00Z" }),
    ] {
        assert_eq!(client.code(CHILD, "POST", &path, Some(change)).await, denied);
    }
    let path = format!("delete-service-account?accessKey={}", CHILD.0);
    assert_eq!(client.code(CHILD, "DELETE", &path, None).await, denied);
    client.server.stop().await.unwrap();
}

#[tokio::test]
async fn a_user_with_rights_does_what_they_say_and_changes_hold_at_once() {
    let client = Client::with_users().await;
    let (status, users) = client.ask(ADMIN, "GET", "list-users").await;
    assert_eq!((status, &users[ADMIN.0]["policyName"]), (200, &json!("consoleAdmin")));
    let only = json!({ "Version": "2012-10-17",
        "Statement": [{ "Effect": "Allow", "Action": ["admin:ListUsers"] }] });
    let put = client
        .send(
            ADMIN,
            "PUT",
            "add-canned-policy?name=lister",
            only.to_string().as_bytes(),
        )
        .await;
    assert_eq!(put.0, 200, "{}", put.1);
    let group = json!({ "group": "crew", "members": [LOW.0], "groupStatus": "", "isRemove": false });
    let joined = client
        .send(ADMIN, "PUT", "update-group-members", group.to_string().as_bytes())
        .await;
    assert_eq!(joined.0, 200, "{}", joined.1);
    assert_eq!(client.ask(LOW, "GET", "list-users").await.0, 403);
    let attach = json!({ "policies": ["lister"], "group": "crew" });
    assert_eq!(
        client
            .seal(ADMIN, "POST", "idp/builtin/policy/attach", attach.clone())
            .await
            .0,
        200
    );
    let again = client
        .code(ADMIN, "POST", "idp/builtin/policy/attach", Some(attach))
        .await;
    assert_eq!(again, (400, "XMinioAdminPolicyChangeAlreadyApplied".to_owned()));
    assert_eq!(client.ask(LOW, "GET", "list-users").await.0, 200);
    assert_eq!(
        client.ask(LOW, "GET", "groups").await.0,
        403,
        "the policy says nothing of groups"
    );
    let (_, entities) = client
        .ask(ADMIN, "GET", "idp/builtin/policy-entities?policy=lister")
        .await;
    assert_eq!(
        entities["policyMappings"],
        json!([{ "policy": "lister", "users": [], "groups": ["crew"] }])
    );
    let in_use = client
        .code(ADMIN, "DELETE", "remove-canned-policy?name=lister", None)
        .await;
    assert_eq!(in_use, (400, "XMinioIAMPolicyInUse".to_owned()));
    assert_eq!(
        client
            .ask(ADMIN, "PUT", "set-group-status?group=crew&status=disabled")
            .await
            .0,
        200
    );
    assert_eq!(client.ask(LOW, "GET", "list-users").await.0, 403);
    let disable = format!("set-user-status?accessKey={}&status=disabled", LOW.0);
    assert_eq!(client.ask(ADMIN, "PUT", &disable).await.0, 200);
    for who in [LOW, CHILD] {
        assert_eq!(
            client.ask(who, "GET", "accountinfo").await.1["Code"],
            "InvalidAccessKeyId",
            "{who:?}"
        );
    }
    let own = format!("set-user-status?accessKey={}&status=disabled", ADMIN.0);
    let refused = client.code(ADMIN, "PUT", &own, None).await;
    assert_eq!(refused, (403, "XMinioIAMActionNotAllowed".to_owned()));
    client.server.stop().await.unwrap();
}

/// The two keys of a user, to the user and to who may see all.
async fn keys_are_listed(client: &Client) {
    let (_, listed) = client.ask(LOW, "GET", "list-service-accounts").await;
    assert_eq!(listed["accounts"].as_array().unwrap().len(), 2, "{listed}");
    let (_, bulk) = client
        .ask(ADMIN, "GET", "list-access-keys-bulk?listType=svcacc-only&all=true")
        .await;
    assert_eq!(bulk[LOW.0]["serviceAccounts"].as_array().unwrap().len(), 2, "{bulk}");
    assert_eq!(bulk[USER], Value::Null, "an account without keys");
    let (code, _) = client
        .ask(LOW, "GET", "list-access-keys-bulk?listType=all&all=true")
        .await;
    assert_eq!(code, 403);
    let (_, own) = client.ask(LOW, "GET", "list-access-keys-bulk?listType=all").await;
    assert!(own[LOW.0]["stsKeys"].is_array(), "{own}");
}

/// A key of [`LOW`], by its owner; of one that is gone or never was, nothing is said to who may not see it.
async fn a_key_is_changed_and_removed(client: &Client, (key, secret): (&str, &str)) {
    let path = format!("update-service-account?accessKey={key}");
    let changed = client
        .seal(
            LOW,
            "POST",
            &path,
            json!({ "newStatus": "off", "newDescription": "weekly" }),
        )
        .await;
    assert_eq!(changed.0, 204);
    let (_, told) = client
        .ask(LOW, "GET", &format!("info-service-account?accessKey={key}"))
        .await;
    assert_eq!(
        (&told["accountStatus"], &told["description"]),
        (&json!("off"), &json!("weekly"))
    );
    assert_eq!(told["expiration"], "2040-01-01T00:00:00Z", "what nobody named stays");
    assert_eq!(
        client.ask((key, secret), "GET", "accountinfo").await.1["Code"],
        "InvalidAccessKeyId"
    );
    assert_eq!(
        client
            .ask(LOW, "DELETE", &format!("delete-service-account?accessKey={key}"))
            .await
            .0,
        204
    );
    let gone = client
        .code(ROOT, "DELETE", &format!("delete-service-account?accessKey={key}"), None)
        .await;
    assert_eq!(gone, (404, "XMinioAdminNoSuchAccessKey".to_owned()));
    let unknown = client
        .code(LOW, "GET", "info-service-account?accessKey=none-such", None)
        .await;
    assert_eq!(
        unknown,
        (403, "AccessDenied".to_owned()),
        "nothing is said of what is there"
    );
}

#[tokio::test]
async fn access_keys_are_told_listed_changed_and_removed_by_whose_they_are() {
    let client = Client::with_users().await;
    let readonly = json!({ "Version": "2012-10-17",
        "Statement": [{ "Effect": "Allow", "Action": ["s3:GetObject"], "Resource": ["arn:aws:s3:::*"] }] });
    let new =
        json!({ "policy": readonly, "name": "backup", "description": "nightly", "expiration": "2040-01-01T00:00:00Z" });
    let (status, made) = client.seal(LOW, "PUT", "add-service-account", new).await;
    assert_eq!(
        (status, &made["credentials"]["expiration"]),
        (200, &json!("2040-01-01T00:00:00Z"))
    );
    let key = made["credentials"]["accessKey"].as_str().unwrap().to_owned();
    let secret = made["credentials"]["secretKey"].as_str().unwrap().to_owned();
    for verb in ["info-service-account", "info-access-key"] {
        let (status, told) = client.ask(LOW, "GET", &format!("{verb}?accessKey={key}")).await;
        assert_eq!(
            (status, &told["parentUser"], &told["name"]),
            (200, &json!(LOW.0), &json!("backup"))
        );
        assert_eq!(
            (&told["accountStatus"], &told["impliedPolicy"]),
            (&json!("on"), &json!(false))
        );
        let policy: Value = serde_json::from_str(told["policy"].as_str().unwrap()).unwrap();
        assert_eq!(policy, readonly);
    }
    // Its own policy says nothing of this, so it may not.
    let (status, told) = client.ask((&key, &secret), "GET", "info-access-key").await;
    assert_eq!((status, &told["Code"]), (403, &json!("AccessDenied")));
    keys_are_listed(&client).await;
    a_key_is_changed_and_removed(&client, (&key, &secret)).await;
    client.server.stop().await.unwrap();
}

impl Client {
    /// A temporary credential of a caller.
    async fn temporary(&self, who: Pair<'_>) -> Signer {
        let form = "Action=AssumeRole&Version=2011-06-15&DurationSeconds=900";
        let given = users::ask(self.address, Some(&signer(who)), ("POST", "/"), "localhost", form).await;
        let (key, secret) = (element(&given, "AccessKeyId"), element(&given, "SecretAccessKey"));
        signer((&key, &secret)).with_session_token(element(&given, "SessionToken"))
    }

    /// The status of a request without a body, signed by any credential.
    async fn status(&self, by: Option<&Signer>, method: &str, path: &str) -> u16 {
        let path = format!("/minio/admin/v3/{path}");
        status(&users::ask(self.address, by, (method, &path), "localhost", "").await)
    }
}

#[tokio::test]
async fn temporary_credentials_are_revoked_by_their_account_or_who_has_the_right_and_roots_by_root() {
    let client = Client::with_users().await;
    let path = |user: &str| format!("revoke-tokens/builtin?user={user}&tokenRevokeType=&fullRevoke=true");
    let of = |who: Pair<'_>| signer(who);
    for (by, user, expected) in [
        (None, LOW.0, 403),
        (Some(of(CHILD)), LOW.0, 403),
        (Some(client.temporary(LOW).await), LOW.0, 403),
        (Some(of(LOW)), ADMIN.0, 403),
        (Some(of(LOW)), "nobody-there", 403),
        (Some(of(LOW)), USER, 403),
        (Some(of(ADMIN)), USER, 403),
        (Some(client.temporary(ROOT).await), USER, 403),
        (Some(of(ADMIN)), "nobody-there", 404),
    ] {
        let kept = [client.temporary(LOW).await, client.temporary(ROOT).await];
        let found = client.status(by.as_ref(), "POST", &path(user)).await;
        assert_eq!(found, expected, "{user}");
        for kept in &kept {
            assert_eq!(client.status(Some(kept), "GET", "accountinfo").await, 200, "{user}");
        }
    }
    for (by, user, whose) in [
        (LOW, "", LOW),
        (LOW, LOW.0, LOW),
        (ADMIN, LOW.0, LOW),
        (ROOT, LOW.0, LOW),
        (ROOT, USER, ROOT),
    ] {
        let given = client.temporary(whose).await;
        assert_eq!(client.status(Some(&given), "GET", "accountinfo").await, 200);
        assert_eq!(client.status(Some(&of(by)), "POST", &path(user)).await, 204);
        assert_eq!(client.status(Some(&given), "GET", "accountinfo").await, 403, "{user}");
    }
    for (query, expected) in [
        ("builtin", 400),
        ("builtin?tokenRevokeType=app", 501),
        ("builtin?tokenRevokeType=app&fullRevoke=true", 400),
    ] {
        let found = client
            .status(Some(&of(ROOT)), "POST", &format!("revoke-tokens/{query}"))
            .await;
        assert_eq!(found, expected, "{query}");
    }
    let person = "revoke-tokens/openid?user=https://id.example.com%23ann&fullRevoke=true";
    for (by, path, expected) in [
        (None, person, 403),
        (Some(of(LOW)), person, 403),
        (Some(of(ADMIN)), person, 204),
        (Some(of(ROOT)), person, 204),
        (Some(of(ROOT)), "revoke-tokens/openid?user=ann&fullRevoke=true", 400),
        (Some(of(ROOT)), "revoke-tokens/openid?user=https://id%23ann", 400),
    ] {
        assert_eq!(client.status(by.as_ref(), "POST", path).await, expected, "{path}");
    }
    let by_ldap = "revoke-tokens/ldap?user=ann&fullRevoke=true";
    for (by, path, expected) in [
        (None, by_ldap, 403),
        (Some(of(LOW)), by_ldap, 403),
        // There is no LDAP server.
        (Some(of(ADMIN)), by_ldap, 501),
        (Some(of(ROOT)), "revoke-tokens/ldap?user=ann", 400),
        (Some(of(ROOT)), "revoke-tokens/plugin?fullRevoke=true", 501),
    ] {
        assert_eq!(client.status(by.as_ref(), "POST", path).await, expected, "{path}");
    }
    client.server.stop().await.unwrap();
}

#[tokio::test]
async fn temporary_credentials_make_change_and_remove_no_access_keys_without_the_right() {
    let client = Client::with_users().await;
    let temporary = client.temporary(LOW).await;
    for (method, path) in [
        ("POST", format!("update-service-account?accessKey={}", CHILD.0)),
        ("DELETE", format!("delete-service-account?accessKey={}", CHILD.0)),
    ] {
        assert_eq!(client.status(Some(&temporary), method, &path).await, 403, "{path}");
    }
    let made = client.code(CHILD, "PUT", "add-service-account", Some(json!({}))).await;
    assert_eq!(made, (403, "AccessDenied".to_owned()));
    let path = format!("delete-service-account?accessKey={}", CHILD.0);
    assert_eq!(client.status(Some(&signer(LOW)), "DELETE", &path).await, 204);
    client.server.stop().await.unwrap();
}

#[tokio::test]
async fn a_group_is_enabled_with_its_members_only_by_who_may_enable_it() {
    let client = Client::with_users().await;
    let adder = json!({ "Version": "2012-10-17",
        "Statement": [{ "Effect": "Allow", "Action": ["admin:AddUserToGroup", "admin:DisableGroup"] }] });
    let text = adder.to_string();
    let put = client
        .send(ADMIN, "PUT", "add-canned-policy?name=adder", text.as_bytes())
        .await;
    assert_eq!(put.0, 200, "{}", put.1);
    let attach = json!({ "policies": ["adder"], "user": LOW.0 });
    let attached = client.seal(ADMIN, "POST", "idp/builtin/policy/attach", attach).await;
    assert_eq!(attached.0, 200, "{}", attached.1);
    for (status, expected) in [
        ("", 200),
        ("disabled", 200),
        ("off", 200),
        ("enabled", 403),
        ("on", 403),
    ] {
        let group = json!({ "group": "crew", "members": [LOW.0], "groupStatus": status, "isRemove": false });
        let text = group.to_string();
        let found = client.send(LOW, "PUT", "update-group-members", text.as_bytes()).await;
        assert_eq!(found.0, expected, "{status:?} {}", found.1);
    }
    let (_, crew) = client.ask(ADMIN, "GET", "group?group=crew").await;
    assert_eq!(crew["status"], "disabled");
    for status in ["on", "enabled"] {
        let path = format!("set-group-status?group=crew&status={status}");
        assert_eq!(client.ask(LOW, "PUT", &path).await.0, 403, "{status}");
    }
    client.server.stop().await.unwrap();
}

#[tokio::test]
async fn conditions_of_policies_hold_for_tokens_of_the_metrics() {
    let client = Client::with_users().await;
    for (network, expected) in [("127.0.0.0/8", 200), ("10.0.0.0/8", 403)] {
        let policy = json!({ "Version": "2012-10-17",
            "Statement": [{ "Effect": "Allow", "Action": ["admin:Prometheus"],
                "Condition": { "IpAddress": { "aws:SourceIp": network } } }] });
        let text = policy.to_string();
        let put = client
            .send(ROOT, "PUT", "add-canned-policy?name=scraper", text.as_bytes())
            .await;
        assert_eq!(put.0, 200, "{}", put.1);
        let set = format!(
            "set-user-or-group-policy?policyName=scraper&userOrGroup={}&isGroup=false",
            LOW.0
        );
        assert_eq!(client.ask(ROOT, "PUT", &set).await.0, 200);
        let answer = metrics(client.address, "cluster", Some(&token_of(LOW.0, LOW.1))).await;
        assert_eq!(status(&answer), expected, "{network}");
    }
    client.server.stop().await.unwrap();
}
