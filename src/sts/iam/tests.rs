//! The IAM API over a directory in memory, and what its users may do with what it gives out.

use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::auth::{Account, Identity, PayloadMode, Realm, SecretKey};
use crate::identity::{NewUser, Target};
use crate::openid::tests::{Pair, TestIssuer, by_claim};
use crate::sts::tests::{ALICE, Ground, READ_X, ROOT, by_token, element, ground, ground_with, signer};

pub(super) fn coded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

fn form(action: &str, fields: &[(&str, &str)]) -> String {
    let mut form = format!("Action={action}&Version=2010-05-08");
    for (name, value) in fields {
        form.push_str(&format!("&{name}={}", coded(value)));
    }
    form
}

impl Ground {
    /// The status and, of a refusal, the code; else the document.
    pub(super) async fn iam(&self, by: (&str, &str), action: &str, fields: &[(&str, &str)]) -> (u16, String) {
        let (status, xml) = self.ask(Some(&signer(by)), &form(action, fields)).await;
        assert!(xml.contains("https://iam.amazonaws.com/doc/2010-05-08/"), "{xml}");
        match status.as_u16() {
            200 => {
                assert!(xml.contains(&format!("<{action}Response ")), "{xml}");
                (200, xml)
            }
            refused => (refused, element(&xml, "Code")),
        }
    }

    pub(super) async fn done(&self, action: &str, fields: &[(&str, &str)]) -> String {
        let (status, told) = self.iam(ROOT, action, fields).await;
        assert_eq!(status, 200, "{action}: {told}");
        told
    }

    pub(super) async fn refused(&self, action: &str, fields: &[(&str, &str)], status: u16, code: &str) {
        let told = self.iam(ROOT, action, fields).await;
        assert_eq!(told, (status, code.to_owned()), "{action} {fields:?}");
    }
}

#[tokio::test]
async fn a_user_that_is_made_signs_with_its_key_and_has_its_inline_policy() {
    let ground = ground().await;
    let zoe = ("UserName", "zoe");
    let made = ground.done("CreateUser", &[zoe, ("Path", "/staff/")]).await;
    assert_eq!(
        (element(&made, "Path"), element(&made, "UserName")),
        ("/staff/".into(), "zoe".into())
    );
    assert_eq!(element(&made, "Arn"), "arn:aws:iam::000000000000:user/zoe");
    ground.refused("CreateUser", &[zoe], 409, "EntityAlreadyExists").await;
    ground
        .refused("CreateUser", &[("UserName", ROOT.0)], 403, "AccessDenied")
        .await;
    ground
        .refused("CreateUser", &[("UserName", "a=b")], 400, "ValidationError")
        .await;
    ground
        .refused(
            "CreateUser",
            &[("UserName", "yan"), ("Path", "staff")],
            400,
            "ValidationError",
        )
        .await;

    let key = ground.done("CreateAccessKey", &[zoe]).await;
    let (access_key, secret) = (element(&key, "AccessKeyId"), element(&key, "SecretAccessKey"));
    let signs = signer((&access_key, &secret));
    let policy = [zoe, ("PolicyName", "read-x"), ("PolicyDocument", READ_X)];
    ground.done("PutUserPolicy", &policy).await;
    let Ok(Identity::Caller(caller)) = ground.caller(&signs) else {
        panic!("not let in");
    };
    assert_eq!(caller.account, Account::User("zoe".into()));
    assert_eq!(
        caller.policies.iter().map(|policy| policy.text()).collect::<Vec<_>>(),
        [READ_X]
    );
    let told = ground.done("GetUserPolicy", &policy[..2]).await;
    let document = element(&told, "PolicyDocument");
    assert_eq!(percent_decode_str(&document).decode_utf8().unwrap(), READ_X);
    ground
        .refused(
            "PutUserPolicy",
            &[zoe, ("PolicyName", "x"), ("PolicyDocument", "{")],
            400,
            "MalformedPolicyDocument",
        )
        .await;
    ground
        .refused("GetUserPolicy", &[zoe, ("PolicyName", "none")], 404, "NoSuchEntity")
        .await;
}

#[tokio::test]
async fn a_user_with_another_name_is_the_same_user() {
    let ground = ground().await;
    let inline = [("UserName", ALICE.0), ("PolicyName", "own"), ("PolicyDocument", READ_X)];
    ground.done("PutUserPolicy", &inline).await;
    let key = ground.done("CreateAccessKey", &inline[..1]).await;
    let (access_key, secret) = (element(&key, "AccessKeyId"), element(&key, "SecretAccessKey"));
    let before = ground.directory.user(ALICE.0).unwrap();
    let assume = "Action=AssumeRole&Version=2011-06-15";
    let temporary = ground.given(ALICE, assume).await.signer();
    ground.done("CreateUser", &[("UserName", "zoe")]).await;
    for (fields, status, code) in [
        (
            &[("UserName", ALICE.0), ("NewUserName", "zoe")][..],
            409,
            "EntityAlreadyExists",
        ),
        (
            &[("UserName", ALICE.0), ("NewUserName", access_key.as_str())],
            409,
            "EntityAlreadyExists",
        ),
        (&[("UserName", ALICE.0), ("NewUserName", ROOT.0)], 403, "AccessDenied"),
        (&[("UserName", ALICE.0), ("NewUserName", "a=b")], 400, "ValidationError"),
        (&[("UserName", ALICE.0), ("NewPath", "x")], 400, "ValidationError"),
        (&[("UserName", "nobody"), ("NewUserName", "eve")], 404, "NoSuchEntity"),
        (&[("UserName", ROOT.0), ("NewUserName", "eve")], 404, "NoSuchEntity"),
    ] {
        ground.refused("UpdateUser", fields, status, code).await;
    }
    let moved = [("UserName", ALICE.0), ("NewUserName", "alva"), ("NewPath", "/staff/")];
    ground.done("UpdateUser", &moved).await;
    ground
        .refused("GetUser", &[("UserName", ALICE.0)], 404, "NoSuchEntity")
        .await;
    let after = ground.directory.user("alva").unwrap();
    assert_eq!(
        (&after.canonical_id, after.created),
        (&before.canonical_id, before.created)
    );
    assert_eq!(after.path.as_deref(), Some("/staff/"));
    let alva = [("UserName", "alva"), ("PolicyName", "own")];
    ground.done("GetUserPolicy", &alva).await;
    for by in [signer(("alva", ALICE.1)), signer((&access_key, &secret))] {
        let Ok(Identity::Caller(caller)) = ground.caller(&by) else {
            panic!("not let in");
        };
        assert_eq!(caller.account, Account::User("alva".into()));
        assert_eq!(caller.policies.len(), 1);
    }
    for by in [signer(ALICE), temporary] {
        assert_eq!(ground.caller(&by).unwrap_err().code(), "InvalidAccessKeyId");
    }
    // Nothing is left of the old name.
    ground.done("CreateUser", &[("UserName", ALICE.0)]).await;
    let (own, others) = ground
        .directory
        .policies_by_kind(&Target::User(ALICE.0.into()))
        .unwrap();
    assert!(own.is_empty() && others.is_empty());
    ground.done("DeleteUser", &[("UserName", ALICE.0)]).await;
    ground
        .done("UpdateUser", &[("UserName", "alva"), ("NewPath", "/")])
        .await;
    assert_eq!(ground.directory.user("alva").unwrap().path, None);
}

/// A user who may make and remove users kept all rights and slipped from a bucket policy's Deny on its name.
#[tokio::test]
async fn nobody_gives_their_own_account_another_name_by_any_credential() {
    let ground = ground().await;
    let may = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["admin:CreateUser","admin:DeleteUser"]},
        {"Effect":"Allow","Action":"sts:AssumeRole","Resource":"*"}]}"#;
    let own = ("UserName", ALICE.0);
    ground
        .done("PutUserPolicy", &[own, ("PolicyName", "p"), ("PolicyDocument", may)])
        .await;
    ground.done("CreateUser", &[("UserName", "zoe")]).await;
    let key = ground.done("CreateAccessKey", &[own]).await;
    let key = (element(&key, "AccessKeyId"), element(&key, "SecretAccessKey"));
    let temporary = ground.given(ALICE, "Action=AssumeRole&Version=2011-06-15").await;
    let renamed = form("UpdateUser", &[own, ("NewUserName", "alva")]);
    for by in [signer(ALICE), signer((&key.0, &key.1)), temporary.signer()] {
        let (status, xml) = ground.ask(Some(&by), &renamed).await;
        assert_eq!((status.as_u16(), element(&xml, "Code")), (403, "AccessDenied".into()));
        let moved = form("UpdateUser", &[own, ("NewUserName", ALICE.0), ("NewPath", "/x/")]);
        assert_eq!(ground.ask(Some(&by), &moved).await.0.as_u16(), 200);
    }
    assert!(ground.directory.user("alva").is_err());
    let other = [("UserName", "zoe"), ("NewUserName", "yan")];
    assert_eq!(ground.iam(ALICE, "UpdateUser", &other).await.0, 200);
    ground.done("UpdateUser", &[own, ("NewUserName", "alva")]).await;
}

#[tokio::test]
async fn a_provider_is_told_by_the_name_its_issuer_has_for_itself_once_that_is_known() {
    let pair = Pair::p256();
    let issuer = TestIssuer::start(serde_json::json!({"keys": [pair.public("k")]})).await;
    let mut settings = issuer.provider(by_claim());
    settings.config_url = format!("{}/inside/.well-known/openid-configuration", issuer.url)
        .parse()
        .unwrap();
    let ground = ground_with(vec![settings]).await;
    let host = issuer.url.strip_prefix("http://").unwrap();
    let arn = format!("arn:aws:iam::000000000000:oidc-provider/{host}");
    let (list, get) = ("ListOpenIDConnectProviders", "GetOpenIDConnectProvider");
    let before = format!("{arn}/inside");
    assert_eq!(element(&ground.done(list, &[]).await, "Arn"), before);
    let token = pair.token("ES256", Some("k"), &issuer.claims());
    let (status, xml) = ground.ask(None, &by_token(&token, "")).await;
    assert_eq!(status.as_u16(), 200, "{xml}");
    assert_eq!(element(&ground.done(list, &[]).await, "Arn"), arn);
    for named in [&arn, &before] {
        let told = ground.done(get, &[("OpenIDConnectProviderArn", named)]).await;
        assert_eq!(element(&told, "Url"), host);
    }
    // A trust policy that is made from what was told lets the issuer's people in.
    let trust = format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":"sts:AssumeRoleWithWebIdentity","Principal":{{"Federated":"{arn}"}}}}]}}"#
    );
    let role = [("RoleName", "app"), ("AssumeRolePolicyDocument", trust.as_str())];
    let made = ground.done("CreateRole", &role).await;
    let role = by_token(&token, &format!("&RoleArn={}", coded(&element(&made, "Arn"))));
    let (status, xml) = ground.ask(None, &role).await;
    assert_eq!(status.as_u16(), 200, "{xml}");
}

#[tokio::test]
async fn the_providers_of_the_settings_are_shown_and_made_nowhere_else() {
    let pair = Pair::p256();
    let issuer = TestIssuer::start(serde_json::json!({"keys": [pair.public("k")]})).await;
    let ground = ground_with(vec![issuer.provider(by_claim())]).await;
    let host = issuer.url.strip_prefix("http://").unwrap();
    let arn = format!("arn:aws:iam::000000000000:oidc-provider/{host}");
    let listed = ground.done("ListOpenIDConnectProviders", &[]).await;
    assert_eq!(element(&listed, "Arn"), arn);
    let told = ground
        .done(
            "GetOpenIDConnectProvider",
            &[("OpenIDConnectProviderArn", arn.as_str())],
        )
        .await;
    assert_eq!(element(&told, "Url"), host);
    assert!(
        told.contains("<ClientIDList><member>store</member></ClientIDList>"),
        "{told}"
    );
    let other = [("OpenIDConnectProviderArn", "arn:aws:iam::000000000000:oidc-provider/x")];
    ground
        .refused("GetOpenIDConnectProvider", &other, 404, "NoSuchEntity")
        .await;
    for action in ["CreateOpenIDConnectProvider", "DeleteOpenIDConnectProvider"] {
        ground
            .refused(action, &[("Url", "https://x")], 501, "NotImplemented")
            .await;
    }
}

#[tokio::test]
async fn policies_and_keys_are_listed_and_a_user_goes_only_when_it_has_none() {
    let ground = ground().await;
    let zoe = ("UserName", "zoe");
    let policy = [zoe, ("PolicyName", "read-x"), ("PolicyDocument", READ_X)];
    let attached = [zoe, ("PolicyArn", "arn:aws:iam::aws:policy/readwrite")];
    ground.done("CreateUser", &[zoe]).await;
    ground.done("PutUserPolicy", &policy).await;
    ground.done("AttachUserPolicy", &attached).await;
    let listed = ground.done("ListAttachedUserPolicies", &[zoe]).await;
    let arn = element(&listed, "PolicyArn");
    assert_eq!(arn, "arn:aws:iam::000000000000:policy/readwrite");
    let listed = ground.done("ListUserPolicies", &[zoe]).await;
    assert!(listed.contains("<member>read-x</member>"), "{listed}");
    let inline = ("PolicyArn", "arn:aws:iam::aws:policy/inline/user/zoe/read-x");
    let to_alice = [("UserName", ALICE.0), inline];
    let no = "ValidationError";
    ground.refused("AttachUserPolicy", &to_alice, 400, no).await;

    let key = ground.done("CreateAccessKey", &[zoe]).await;
    let (access_key, secret) = (element(&key, "AccessKeyId"), element(&key, "SecretAccessKey"));
    let signs = signer((&access_key, &secret));
    assert!(ground.caller(&signs).is_ok());
    let (named, off) = (("AccessKeyId", access_key.as_str()), ("Status", "Inactive"));
    ground.done("UpdateAccessKey", &[zoe, named, off]).await;
    assert!(ground.caller(&signs).is_err());
    let listed = ground.done("ListAccessKeys", &[zoe]).await;
    assert_eq!(element(&listed, "Status"), "Inactive");
    let alices = [("UserName", ALICE.0), named];
    ground.refused("DeleteAccessKey", &alices, 404, "NoSuchEntity").await;

    ground.refused("DeleteUser", &[zoe], 409, "DeleteConflict").await;
    ground.done("DetachUserPolicy", &attached).await;
    let none = "NoSuchEntity";
    ground.refused("DetachUserPolicy", &attached, 404, none).await;
    ground.done("DeleteUserPolicy", &policy[..2]).await;
    ground.refused("DeleteUserPolicy", &policy[..2], 404, none).await;
    ground.refused("DeleteUser", &[zoe], 409, "DeleteConflict").await;
    ground.done("DeleteAccessKey", &[zoe, named]).await;
    ground.done("DeleteUser", &[zoe]).await;
    ground.refused("DeleteUser", &[zoe], 404, none).await;
    let left = ground.directory.policies().unwrap();
    assert!(!left.iter().any(|policy| policy.name.starts_with("inline/")));
}

#[tokio::test]
async fn awss_own_policies_are_attached_by_their_arns_and_mean_what_they_say() {
    let ground = ground().await;
    let zoe = ("UserName", "zoe");
    ground.done("CreateUser", &[zoe]).await;
    let full = ("PolicyArn", "arn:aws:iam::aws:policy/AmazonS3FullAccess");
    ground
        .refused("DetachUserPolicy", &[zoe, full], 404, "NoSuchEntity")
        .await;
    ground.done("AttachUserPolicy", &[zoe, full]).await;
    ground.done("AttachUserPolicy", &[zoe, full]).await;
    let listed = ground.done("ListAttachedUserPolicies", &[zoe]).await;
    let expected = "<member><PolicyName>AmazonS3FullAccess</PolicyName>\
                    <PolicyArn>arn:aws:iam::aws:policy/AmazonS3FullAccess</PolicyArn></member>";
    assert!(listed.contains(expected), "{listed}");
    let unknown = ("PolicyArn", "arn:aws:iam::aws:policy/AmazonSNSFullAccess");
    ground
        .refused("AttachUserPolicy", &[zoe, unknown], 404, "NoSuchEntity")
        .await;
    ground.done("DetachUserPolicy", &[zoe, full]).await;
    ground.done("DeleteUser", &[zoe]).await;

    // Nobody gives them another meaning, and they are in nobody's way.
    let refused = ground
        .directory
        .put_policy("aws/AmazonS3FullAccess", READ_X.as_bytes())
        .await;
    assert!(refused.is_err());
    let listed = ground.directory.policies().unwrap();
    assert!(listed.iter().all(|policy| !policy.name.starts_with("aws/")));

    let reads = ("PolicyArn", "arn:aws:iam::aws:policy/IAMReadOnlyAccess");
    assert_eq!(ground.iam(ALICE, "ListRoles", &[]).await.0, 403);
    ground.done("AttachUserPolicy", &[("UserName", ALICE.0), reads]).await;
    for action in ["ListRoles", "ListUsers", "ListGroups"] {
        assert_eq!(ground.iam(ALICE, action, &[]).await.0, 200, "{action}");
    }
    assert_eq!(ground.iam(ALICE, "CreateUser", &[("UserName", "new")]).await.0, 403);
    let admin = ("PolicyArn", "arn:aws:iam::aws:policy/IAMFullAccess");
    ground.done("AttachUserPolicy", &[("UserName", ALICE.0), admin]).await;
    assert_eq!(ground.iam(ALICE, "CreateUser", &[("UserName", "new")]).await.0, 200);
}

#[tokio::test]
async fn setting_the_policies_of_a_user_leaves_the_inline_ones() {
    let ground = ground().await;
    let alice = Target::User("alice".into());
    let inline = [("UserName", ALICE.0), ("PolicyName", "own"), ("PolicyDocument", READ_X)];
    ground.done("PutUserPolicy", &inline).await;
    for named in [&["readonly".to_owned()][..], &[]] {
        ground.directory.set_policies(&alice, named).await.unwrap();
        let (own, others) = ground.directory.policies_by_kind(&alice).unwrap();
        assert_eq!((own, others), (vec!["own".to_owned()], named.to_vec()));
    }
    let Ok(Identity::Caller(caller)) = ground.caller(&signer(ALICE)) else {
        panic!("not let in");
    };
    assert_eq!(caller.policies.len(), 1);
}

#[tokio::test]
async fn a_group_gives_its_members_its_policies() {
    let ground = ground().await;
    let (crew, alice) = (("GroupName", "crew"), ("UserName", ALICE.0));
    ground
        .refused("AddUserToGroup", &[crew, alice], 404, "NoSuchEntity")
        .await;
    ground.done("CreateGroup", &[crew]).await;
    ground.refused("CreateGroup", &[crew], 409, "EntityAlreadyExists").await;
    ground
        .refused("AddUserToGroup", &[crew, ("UserName", "nobody")], 404, "NoSuchEntity")
        .await;
    ground.done("AddUserToGroup", &[crew, alice]).await;
    ground
        .done(
            "PutGroupPolicy",
            &[crew, ("PolicyName", "p"), ("PolicyDocument", READ_X)],
        )
        .await;
    let Ok(Identity::Caller(caller)) = ground.caller(&signer(ALICE)) else {
        panic!("not let in");
    };
    assert_eq!(caller.policies.len(), 1);
    assert!(
        ground
            .done("GetGroup", &[crew])
            .await
            .contains("<UserName>alice</UserName>")
    );
    assert!(
        ground
            .done("ListGroupsForUser", &[alice])
            .await
            .contains("<GroupName>crew</GroupName>")
    );
    ground.refused("DeleteGroup", &[crew], 409, "DeleteConflict").await;
    ground.done("RemoveUserFromGroup", &[crew, alice]).await;
    ground.refused("DeleteGroup", &[crew], 409, "DeleteConflict").await;
    ground.done("DeleteGroupPolicy", &[crew, ("PolicyName", "p")]).await;
    ground.done("DeleteGroup", &[crew]).await;
    ground.refused("GetGroup", &[crew], 404, "NoSuchEntity").await;
}

#[tokio::test]
async fn lists_come_in_pages_and_by_path() {
    let ground = ground().await;
    for (name, path) in [("u-1", "/a/"), ("u-2", "/a/b/"), ("u-3", "/c/")] {
        ground.done("CreateUser", &[("UserName", name), ("Path", path)]).await;
    }
    let first = ground
        .done("ListUsers", &[("MaxItems", "2"), ("PathPrefix", "/")])
        .await;
    assert_eq!(
        (element(&first, "IsTruncated"), element(&first, "Marker")),
        ("true".into(), "u-1".into())
    );
    let rest = ground.done("ListUsers", &[("Marker", "u-1")]).await;
    assert!(
        !rest.contains(">u-1<") && rest.contains(">u-3<") && !rest.contains("<Marker>"),
        "{rest}"
    );
    let below = ground.done("ListUsers", &[("PathPrefix", "/a/")]).await;
    assert!(below.contains(">u-2<") && !below.contains(">u-3<") && !below.contains(">alice<"));
    ground
        .refused("ListUsers", &[("MaxItems", "0")], 400, "ValidationError")
        .await;
}

const TRUST: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"AWS":"alice"}}]}"#;

/// Every action, with fields that name what is there.
const EVERY: &[(&str, &[(&str, &str)])] = &[
    ("CreateUser", &[("UserName", "new")]),
    ("GetUser", &[("UserName", "bob")]),
    ("ListUsers", &[]),
    ("UpdateUser", &[("UserName", "bob"), ("NewPath", "/x/")]),
    ("UpdateUser", &[("UserName", "bob"), ("NewUserName", "rob")]),
    ("UpdateUser", &[("UserName", "rob"), ("NewUserName", "bob")]),
    ("ListOpenIDConnectProviders", &[]),
    ("GetOpenIDConnectProvider", &[("OpenIDConnectProviderArn", "x")]),
    ("DeleteUser", &[("UserName", "bob")]),
    (
        "PutUserPolicy",
        &[("UserName", "bob"), ("PolicyName", "p"), ("PolicyDocument", READ_X)],
    ),
    ("GetUserPolicy", &[("UserName", "bob"), ("PolicyName", "p")]),
    ("ListUserPolicies", &[("UserName", "bob")]),
    ("DeleteUserPolicy", &[("UserName", "bob"), ("PolicyName", "p")]),
    (
        "AttachUserPolicy",
        &[("UserName", "bob"), ("PolicyArn", "arn:aws:iam::aws:policy/readwrite")],
    ),
    (
        "DetachUserPolicy",
        &[("UserName", "bob"), ("PolicyArn", "arn:aws:iam::aws:policy/readwrite")],
    ),
    ("ListAttachedUserPolicies", &[("UserName", "bob")]),
    ("CreateAccessKey", &[("UserName", "bob")]),
    ("ListAccessKeys", &[("UserName", "bob")]),
    (
        "UpdateAccessKey",
        &[("UserName", "bob"), ("AccessKeyId", "x"), ("Status", "Inactive")],
    ),
    ("DeleteAccessKey", &[("UserName", "bob"), ("AccessKeyId", "x")]),
    ("CreateGroup", &[("GroupName", "new")]),
    ("GetGroup", &[("GroupName", "crew")]),
    ("ListGroups", &[]),
    (
        "CreateRole",
        &[("RoleName", "new"), ("AssumeRolePolicyDocument", TRUST)],
    ),
    ("GetRole", &[("RoleName", "app")]),
    ("ListRoles", &[]),
    ("UpdateRole", &[("RoleName", "app"), ("Description", "x")]),
    (
        "UpdateAssumeRolePolicy",
        &[("RoleName", "app"), ("PolicyDocument", TRUST)],
    ),
    (
        "TagRole",
        &[
            ("RoleName", "app"),
            ("Tags.member.1.Key", "k"),
            ("Tags.member.1.Value", "v"),
        ],
    ),
    ("ListRoleTags", &[("RoleName", "app")]),
    ("UntagRole", &[("RoleName", "app"), ("TagKeys.member.1", "k")]),
    (
        "PutRolePolicy",
        &[("RoleName", "app"), ("PolicyName", "p"), ("PolicyDocument", READ_X)],
    ),
    ("GetRolePolicy", &[("RoleName", "app"), ("PolicyName", "p")]),
    ("ListRolePolicies", &[("RoleName", "app")]),
    ("DeleteRolePolicy", &[("RoleName", "app"), ("PolicyName", "p")]),
    (
        "AttachRolePolicy",
        &[("RoleName", "app"), ("PolicyArn", "arn:aws:iam::aws:policy/readwrite")],
    ),
    ("ListAttachedRolePolicies", &[("RoleName", "app")]),
    (
        "DetachRolePolicy",
        &[("RoleName", "app"), ("PolicyArn", "arn:aws:iam::aws:policy/readwrite")],
    ),
    ("DeleteRole", &[("RoleName", "app")]),
    ("DeleteGroup", &[("GroupName", "crew")]),
    ("AddUserToGroup", &[("GroupName", "crew"), ("UserName", "alice")]),
    ("RemoveUserFromGroup", &[("GroupName", "crew"), ("UserName", "bob")]),
    ("ListGroupsForUser", &[("UserName", "bob")]),
    (
        "PutGroupPolicy",
        &[("GroupName", "crew"), ("PolicyName", "p"), ("PolicyDocument", READ_X)],
    ),
    ("GetGroupPolicy", &[("GroupName", "crew"), ("PolicyName", "p")]),
    ("ListGroupPolicies", &[("GroupName", "crew")]),
    ("DeleteGroupPolicy", &[("GroupName", "crew"), ("PolicyName", "p")]),
    (
        "AttachGroupPolicy",
        &[
            ("GroupName", "crew"),
            ("PolicyArn", "arn:aws:iam::aws:policy/readwrite"),
        ],
    ),
    (
        "DetachGroupPolicy",
        &[
            ("GroupName", "crew"),
            ("PolicyArn", "arn:aws:iam::aws:policy/readwrite"),
        ],
    ),
    ("ListAttachedGroupPolicies", &[("GroupName", "crew")]),
    ("GetUser", &[("UserName", ROOT.0)]),
    ("CreateAccessKey", &[("UserName", ROOT.0)]),
    ("ListAccessKeys", &[("UserName", ROOT.0)]),
];

#[tokio::test]
async fn nobody_without_the_right_does_or_sees_anything_of_others() {
    let ground = ground().await;
    let bob = NewUser {
        name: "bob".into(),
        secret: SecretKey::new("bobs-secret"),
        enabled: true,
    };
    ground.directory.put_user(&Identity::Root, bob).await.unwrap();
    ground.directory.add_members("crew", &["bob".to_owned()]).await.unwrap();
    ground
        .done(
            "CreateRole",
            &[("RoleName", "app"), ("AssumeRolePolicyDocument", TRUST)],
        )
        .await;
    let everything =
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::*"}]}"#;
    ground
        .directory
        .put_inline(&Target::User("alice".into()), "own", everything.as_bytes())
        .await
        .unwrap();
    let state = || {
        let directory = &ground.directory;
        let (users, policies) = (directory.users().unwrap(), directory.policies().unwrap());
        (users, policies, directory.roles().unwrap())
    };
    let before = state();
    for (action, fields) in EVERY {
        let told = ground.iam(ALICE, action, fields).await;
        assert_eq!(told, (403, "AccessDenied".to_owned()), "{action}");
        let (status, xml) = ground.ask(None, &form(action, fields)).await;
        assert_eq!(
            (status.as_u16(), element(&xml, "Code").as_str()),
            (403, "AccessDenied"),
            "{action}"
        );
    }
    assert_eq!(state(), before);

    // Of themselves.
    for (action, fields, status) in [
        ("GetUser", &[][..], 200),
        ("GetUser", &[("UserName", "alice")], 200),
        ("ListUserPolicies", &[("UserName", "alice")], 200),
        ("GetUserPolicy", &[("UserName", "alice"), ("PolicyName", "own")], 200),
        ("ListAttachedUserPolicies", &[("UserName", "alice")], 200),
        ("ListGroupsForUser", &[("UserName", "alice")], 200),
        ("CreateAccessKey", &[], 200),
        ("ListAccessKeys", &[], 200),
        (
            "PutUserPolicy",
            &[("UserName", "alice"), ("PolicyName", "own"), ("PolicyDocument", READ_X)],
            403,
        ),
        ("DeleteUserPolicy", &[("UserName", "alice"), ("PolicyName", "own")], 403),
        ("DeleteUser", &[("UserName", "alice")], 403),
    ] {
        assert_eq!(ground.iam(ALICE, action, fields).await.0, status, "{action}");
    }

    // Who has the rights does all of it, but nothing to root.
    let admins = ["consoleAdmin".to_owned()];
    ground
        .directory
        .attach(&Target::User("alice".into()), &admins)
        .await
        .unwrap();
    for (action, fields) in EVERY {
        let (status, told) = ground.iam(ALICE, action, fields).await;
        let of_root = fields.contains(&("UserName", ROOT.0)) && *action == "CreateAccessKey";
        assert_eq!(status == 403, of_root, "{action}: {told}");
        assert!(status < 500, "{action}: {told}");
    }
}

#[tokio::test]
async fn what_is_not_built_is_said_and_signatures_for_the_token_service_open_nothing() {
    let ground = ground().await;
    for action in [
        "CreateInstanceProfile",
        "CreateLoginProfile",
        "CreateOpenIDConnectProvider",
        "Nonsense",
    ] {
        ground.refused(action, &[], 501, "NotImplemented").await;
    }
    let boundary = [
        ("UserName", "zoe"),
        ("PermissionsBoundary", "arn:aws:iam::aws:policy/readonly"),
    ];
    ground.refused("CreateUser", &boundary, 501, "NotImplemented").await;
    ground.refused("GetUserPolicy", &[], 400, "ValidationError").await;
    let body = form("ListUsers", &[]);
    for (service, realm) in [
        ("sts", Realm::Iam),
        ("iam", Realm::Sts),
        ("iam", Realm::S3),
        ("s3", Realm::Iam),
    ] {
        let (mut parts, ()) = http::Request::post("/")
            .header("host", "localhost")
            .body(())
            .unwrap()
            .into_parts();
        let mode = PayloadMode::SignedBody(crate::auth::sign::body_hash(body.as_bytes()));
        let now = time::OffsetDateTime::now_utc();
        signer(ROOT).for_service(service).sign(&mut parts, &mode, now).unwrap();
        let request = http::Request::from_parts(parts, http_body_util::Full::new(bytes::Bytes::from(body.clone())));
        let refused = ground.authenticator.authenticate_in(realm, request, now).err().unwrap();
        assert_eq!(refused.code(), "AuthorizationHeaderMalformed", "{service}");
    }
}
