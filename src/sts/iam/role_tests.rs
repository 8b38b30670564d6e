//! Roles: made over the IAM API, taken on over the token service, and what they open.

use std::sync::Arc;

use http::StatusCode;
use percent_encoding::percent_decode_str;

use super::tests::coded;
use crate::access::{Action, BucketFacts, BucketPolicy, Context, Resource, decide};
use crate::auth::sign::Signer;
use crate::auth::{Account, AssumedRole, Caller, Identity, SecretKey};
use crate::identity::{AccessKeyChange, KeyParent, NewAccessKey, NewUser, Target};
use crate::openid::tests::{Pair, TestIssuer, by_claim};
use crate::policy::{Kind, Policy};
use crate::sts::tests::{ALICE, Given, Ground, READ_X, ROOT, by_token, element, ground, ground_with, signer};

const APP: (&str, &str) = ("RoleName", "app");
const APP_ARN: &str = "arn:aws:iam::000000000000:role/app";

/// A trust policy with one statement for this action, its principal and the rest of it.
fn trust(action: &str, principal: &str, rest: &str) -> String {
    format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":"sts:{action}","Principal":{principal}{rest}}}]}}"#
    )
}

fn trusting_alice() -> String {
    trust("AssumeRole", r#"{"AWS":"arn:aws:iam::000000000000:user/alice"}"#, "")
}

fn trusting_account() -> String {
    trust("AssumeRole", r#"{"AWS":"arn:aws:iam::000000000000:root"}"#, "")
}

fn assume(arn: &str, rest: &str) -> String {
    let arn = coded(arn);
    format!("Action=AssumeRole&Version=2011-06-15&RoleSessionName=me&RoleArn={arn}{rest}")
}

fn user(name: &str, secret: &str) -> NewUser {
    NewUser {
        name: name.into(),
        secret: SecretKey::new(secret),
        enabled: true,
    }
}

/// The role `app` with this trust policy and the right to read in bucket x.
async fn ground_with_app(trust: &str) -> Ground {
    let ground = ground().await;
    make_app(&ground, trust).await;
    ground
}

async fn make_app(ground: &Ground, trust: &str) {
    ground
        .done("CreateRole", &[APP, ("AssumeRolePolicyDocument", trust)])
        .await;
    let reads = [APP, ("PolicyName", "read-x"), ("PolicyDocument", READ_X)];
    ground.done("PutRolePolicy", &reads).await;
}

impl Ground {
    async fn trusts(&self, trust: &str) {
        self.done("UpdateAssumeRolePolicy", &[APP, ("PolicyDocument", trust)])
            .await;
    }

    /// The status, and of a refusal the code.
    async fn asked(&self, by: &Signer, form: &str) -> (u16, String) {
        let (status, xml) = self.ask(Some(by), form).await;
        match status {
            StatusCode::OK => (200, String::new()),
            refused => (refused.as_u16(), element(&xml, "Code")),
        }
    }

    async fn allow(&self, user: &str, document: &str) {
        let target = Target::User(user.into());
        self.directory
            .put_inline(&target, "given", document.as_bytes())
            .await
            .unwrap();
    }

    fn known(&self, by: &Signer) -> Arc<Caller> {
        match self.caller(by) {
            Ok(Identity::Caller(caller)) => caller,
            other => panic!("not let in: {other:?}"),
        }
    }
}

fn denied() -> (u16, String) {
    (403, "AccessDenied".to_owned())
}

fn granted() -> (u16, String) {
    (200, String::new())
}

fn reads(identity: &Identity, bucket: Option<&BucketFacts>) -> bool {
    let key = Resource::Object { bucket: "x", key: "k" };
    let context = Context {
        bucket,
        ..Context::default()
    };
    decide(identity, Action::GetObject, key, &context).is_ok()
}

#[tokio::test]
async fn a_role_is_made_told_changed_and_removed() {
    let ground = ground().await;
    let (name, document) = (("RoleName", "App"), trusting_alice());
    let trust = ("AssumeRolePolicyDocument", document.as_str());
    let given = [
        name,
        trust,
        ("Path", "/team/"),
        ("Description", "what <it> is"),
        ("MaxSessionDuration", "7200"),
        ("Tags.member.1.Key", "team"),
        ("Tags.member.1.Value", "blue"),
    ];
    let made = ground.done("CreateRole", &given).await;
    assert_eq!(element(&made, "Arn"), "arn:aws:iam::000000000000:role/team/App");
    assert_eq!(
        (element(&made, "Path"), element(&made, "RoleId").len()),
        ("/team/".into(), 64)
    );
    let told = element(&made, "AssumeRolePolicyDocument");
    assert_eq!(percent_decode_str(&told).decode_utf8().unwrap(), document);
    for taken in ["App", "APP"] {
        let again = [("RoleName", taken), trust];
        ground.refused("CreateRole", &again, 409, "EntityAlreadyExists").await;
    }
    let lower = ("RoleName", "app");
    let told = ground.done("GetRole", &[lower]).await;
    assert_eq!(element(&told, "RoleId"), element(&made, "RoleId"));
    assert_eq!(element(&told, "Description"), "what &lt;it&gt; is");
    assert!(told.contains("<Key>team</Key><Value>blue</Value>"), "{told}");

    let change = [name, ("Description", "other"), ("MaxSessionDuration", "43200")];
    ground.done("UpdateRole", &change).await;
    ground.done("UntagRole", &[lower, ("TagKeys.member.1", "Team")]).await;
    let tag = [name, ("Tags.member.1.Key", "k"), ("Tags.member.1.Value", "v")];
    ground.done("TagRole", &tag).await;
    let tags = ground.done("ListRoleTags", &[name]).await;
    assert!(
        tags.contains("<Tags><member><Key>k</Key>") && !tags.contains("team"),
        "{tags}"
    );
    let told = ground.done("GetRole", &[name]).await;
    assert_eq!(
        (element(&told, "Description"), element(&told, "MaxSessionDuration")),
        ("other".into(), "43200".into())
    );
}

#[tokio::test]
async fn a_role_goes_only_when_it_has_no_policies() {
    let ground = ground().await;
    let (name, lower, document) = (("RoleName", "App"), ("RoleName", "app"), trusting_alice());
    ground
        .done("CreateRole", &[name, ("AssumeRolePolicyDocument", &document)])
        .await;
    ground
        .done(
            "AttachRolePolicy",
            &[lower, ("PolicyArn", "arn:aws:iam::aws:policy/readonly")],
        )
        .await;
    let inline = [lower, ("PolicyName", "p"), ("PolicyDocument", READ_X)];
    ground.done("PutRolePolicy", &inline).await;
    let listed = ground.done("ListRolePolicies", &[name]).await;
    assert!(listed.contains("<member>p</member>"), "{listed}");
    let listed = ground.done("ListAttachedRolePolicies", &[name]).await;
    assert_eq!(element(&listed, "PolicyName"), "readonly");
    assert_eq!(
        element(&ground.done("GetRolePolicy", &inline[..2]).await, "RoleName"),
        "App"
    );
    ground.refused("DeleteRole", &[name], 409, "DeleteConflict").await;
    ground.done("DeleteRolePolicy", &inline[..2]).await;
    ground.refused("DeleteRole", &[name], 409, "DeleteConflict").await;
    ground
        .done(
            "DetachRolePolicy",
            &[name, ("PolicyArn", "arn:aws:iam::aws:policy/readonly")],
        )
        .await;
    ground.done("DeleteRole", &[lower]).await;
    for action in [
        "GetRole",
        "DeleteRole",
        "UpdateRole",
        "ListRolePolicies",
        "ListRoleTags",
    ] {
        ground.refused(action, &[name], 404, "NoSuchEntity").await;
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_role_is_said_and_makes_none() {
    let ground = ground().await;
    let good = trusting_alice();
    for bad in [
        "{",
        READ_X,
        &trust("AssumeRole", r#""*""#, r#","Resource":"*""#),
        &good.replace("sts:AssumeRole", "s3:GetObject"),
        &good.replace("sts:AssumeRole", "*"),
        &good.replace("Principal", "NotPrincipal"),
        &good.replace("\"Action\"", "\"NotAction\""),
        &trust("AssumeRole", r#"{"AWS":"arn:aws:iam:::user/*"}"#, ""),
        &trust(
            "AssumeRole",
            r#""*""#,
            r#","Condition":{"StringEquals":{"aws:Nonsense":"x"}}"#,
        ),
        &trust("AssumeRole", r#""*""#, &format!(r#","Sid":"{}""#, "x".repeat(4_096))),
    ] {
        let fields = [APP, ("AssumeRolePolicyDocument", bad)];
        ground
            .refused("CreateRole", &fields, 400, "MalformedPolicyDocument")
            .await;
    }
    let trust = ("AssumeRolePolicyDocument", good.as_str());
    for (fields, status, code) in [
        (&[APP][..], 400, "ValidationError"),
        (&[trust], 400, "ValidationError"),
        (&[("RoleName", "a/b"), trust], 400, "ValidationError"),
        (&[APP, trust, ("Path", "x")], 400, "ValidationError"),
        (&[APP, trust, ("MaxSessionDuration", "3599")], 400, "ValidationError"),
        (&[APP, trust, ("MaxSessionDuration", "43201")], 400, "ValidationError"),
        (&[APP, trust, ("Tags.member.1.Key", "aws:x")], 400, "ValidationError"),
        (&[APP, trust, ("PermissionsBoundary", "x")], 501, "NotImplemented"),
    ] {
        ground.refused("CreateRole", fields, status, code).await;
    }
    assert!(ground.directory.roles().unwrap().is_empty());
}

#[tokio::test]
async fn roles_are_listed_in_pages_by_path_and_whatever_the_case_of_their_names() {
    let ground = ground().await;
    let document = trusting_alice();
    for (name, path) in [("aa", "/x/"), ("Ab", "/x/y/"), ("ac", "/z/"), ("Ad", "/x/")] {
        let fields = [
            ("RoleName", name),
            ("Path", path),
            ("AssumeRolePolicyDocument", document.as_str()),
        ];
        ground.done("CreateRole", &fields).await;
    }
    let mut seen = Vec::new();
    let mut marker = String::new();
    loop {
        let page = ground
            .done(
                "ListRoles",
                &[("MaxItems", "1"), ("PathPrefix", "/x/"), ("Marker", &marker)],
            )
            .await;
        seen.push(element(&page, "RoleName"));
        if element(&page, "IsTruncated") == "false" {
            break;
        }
        marker = element(&page, "Marker");
    }
    assert_eq!(seen, ["aa", "Ab", "Ad"]);
}

#[tokio::test]
async fn who_is_trusted_by_name_has_the_rights_of_the_role_and_no_others() {
    let ground = ground_with_app(&trusting_alice()).await;
    ground
        .directory
        .put_user(&Identity::Root, user("bob", "bobs-secret"))
        .await
        .unwrap();
    let all = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}"#;
    ground.allow("alice", all).await;
    let given = ground.given(ALICE, &assume(APP_ARN, "")).await;
    let caller = ground.known(&given.signer());
    assert_eq!(caller.account, Account::Role(AssumedRole::new("app", "/", "me")));
    assert_eq!(
        caller.policies.iter().map(|policy| policy.text()).collect::<Vec<_>>(),
        [READ_X]
    );
    let identity = Identity::Caller(Arc::clone(&caller));
    assert!(reads(&identity, None));
    let put = Resource::Object { bucket: "x", key: "k" };
    assert!(decide(&identity, Action::PutObject, put, &Context::default()).is_err());

    let who = "Action=GetCallerIdentity&Version=2011-06-15";
    let (_, xml) = ground.ask(Some(&given.signer()), who).await;
    let session = "arn:aws:sts::000000000000:assumed-role/app/me";
    assert_eq!(element(&xml, "Arn"), session);
    assert_eq!(element(&xml, "UserId"), format!("{}:me", caller.canonical_id));
    let (_, xml) = ground.ask(Some(&signer(ALICE)), &assume(APP_ARN, "")).await;
    assert_eq!(element(&xml, "Arn"), session);
    assert_eq!(element(&xml, "AssumedRoleId"), format!("{}:me", caller.canonical_id));

    let nothing = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:PutObject","Resource":"*"}]}"#;
    let narrow = assume(APP_ARN, &format!("&Policy={}", coded(nothing)));
    let narrowed = ground.known(&ground.given(ALICE, &narrow).await.signer());
    let narrowed = Identity::Caller(narrowed);
    assert!(!reads(&narrowed, None));
    assert!(decide(&narrowed, Action::PutObject, put, &Context::default()).is_err());

    let bob = signer(("bob", "bobs-secret"));
    assert_eq!(ground.asked(&bob, &assume(APP_ARN, "")).await, denied());
    // Root is the account, which no statement names here.
    assert_eq!(ground.asked(&signer(ROOT), &assume(APP_ARN, "")).await, denied());
    let (status, xml) = ground.ask(None, &assume(APP_ARN, "")).await;
    assert_eq!((status.as_u16(), element(&xml, "Code")), denied());
}

#[tokio::test]
async fn only_the_very_arn_of_a_role_means_it_and_what_means_none_chooses_nothing() {
    let ground = ground_with_app(&trusting_alice()).await;
    for (arn, found) in [
        ("arn:aws:iam:::role/app", granted()),
        ("arn:aws:iam::000000000000:role/team/app", denied()),
        ("arn:aws:iam::000000000000:role/App", denied()),
        ("arn:aws:iam::000000000000:role/none", denied()),
        ("arn:aws:iam::000000000000:role/", denied()),
    ] {
        assert_eq!(ground.asked(&signer(ALICE), &assume(arn, "")).await, found, "{arn}");
    }
    for dummy in ["arn:xxx:xxx:xxx:xxxx", "arn:aws:iam::123456789012:role/app", "app", ""] {
        let given = ground.given(ALICE, &assume(dummy, "")).await;
        let caller = ground.known(&given.signer());
        assert_eq!(caller.account, Account::User("alice".into()), "{dummy}");
    }
    let unnamed = assume(APP_ARN, "").replace("RoleSessionName=me", "RoleSessionName=");
    let asked = |code: &str| (400, code.to_owned());
    assert_eq!(ground.asked(&signer(ALICE), &unnamed).await, asked("MissingParameter"));
    for (rest, code) in [
        ("&DurationSeconds=3601", "InvalidParameterValue"),
        ("&DurationSeconds=899", "InvalidParameterValue"),
        ("&Policy=%7B", "MalformedPolicyDocument"),
    ] {
        assert_eq!(ground.asked(&signer(ALICE), &assume(APP_ARN, rest)).await, asked(code));
    }
    let bad = assume(APP_ARN, "").replace("SessionName=me", "SessionName=a%2Fb");
    assert_eq!(ground.asked(&signer(ALICE), &bad).await, asked("InvalidParameterValue"));
}

#[tokio::test]
async fn a_role_that_trusts_the_account_wants_a_policy_of_the_user_too() {
    let ground = ground_with_app(&trusting_account()).await;
    let alice = signer(ALICE);
    let ask = assume(APP_ARN, "");
    let may = |effect: &str, resource: &str| {
        format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"{effect}","Action":"sts:AssumeRole","Resource":"{resource}"}}]}}"#
        )
    };
    assert_eq!(ground.asked(&alice, &ask).await, denied());
    ground
        .allow("alice", &may("Allow", "arn:aws:iam::000000000000:role/other"))
        .await;
    assert_eq!(ground.asked(&alice, &ask).await, denied());
    ground
        .allow("alice", &may("Allow", "arn:aws:iam::000000000000:role/a*"))
        .await;
    assert_eq!(ground.asked(&alice, &ask).await, granted());
    assert_eq!(ground.asked(&signer(ROOT), &ask).await, granted());

    // A Deny wins wherever it stands, and one on a role leaves the others alone.
    ground.trusts(&trusting_alice()).await;
    ground
        .allow("alice", &may("Deny", "arn:aws:iam::000000000000:role/other"))
        .await;
    assert_eq!(ground.asked(&alice, &ask).await, granted());
    ground.allow("alice", &may("Deny", APP_ARN)).await;
    assert_eq!(ground.asked(&alice, &ask).await, denied());
    assert_eq!(ground.asked(&alice, &assume("", "")).await, denied());
    ground.allow("alice", &may("Allow", "*")).await;
    let two = r#"{"Version":"2012-10-17","Statement":[
        {"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"AWS":"*"}},
        {"Effect":"Deny","Action":"sts:AssumeRole","Principal":{"AWS":"alice"}}]}"#;
    ground.trusts(two).await;
    assert_eq!(ground.asked(&alice, &ask).await, denied());
    assert_eq!(ground.asked(&signer(ROOT), &ask).await, granted());
}

#[tokio::test]
async fn an_access_key_takes_on_a_role_unless_a_policy_of_its_own_says_no() {
    let ground = ground_with_app(&trusting_alice()).await;
    let parent = KeyParent::User("alice".into());
    let may = format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":"sts:AssumeRole","Resource":"{APP_ARN}"}}]}}"#
    );
    let ends = storage_engine::store::clock::Timestamp::from_millis(
        u64::try_from(time::OffsetDateTime::now_utc().unix_timestamp()).unwrap() * 1_000 + 1_200_000,
    );
    let key = |name: &str, policy: Option<&str>, expires| NewAccessKey {
        access_key: Some(name.into()),
        secret: Some(SecretKey::new("keys-secret")),
        policy: policy.map(str::to_owned),
        expires,
        ..NewAccessKey::of(parent.clone())
    };
    for new in [
        key("plain", None, None),
        key("reader", Some(READ_X), None),
        key("taker", Some(&may), None),
        key("ending", None, Some(ends)),
    ] {
        ground.directory.add_access_key(&Identity::Root, new).await.unwrap();
    }
    let ask = assume(APP_ARN, "");
    for (name, found) in [
        ("plain", granted()),
        ("reader", denied()),
        ("taker", granted()),
        ("ending", granted()),
    ] {
        assert_eq!(
            ground.asked(&signer((name, "keys-secret")), &ask).await,
            found,
            "{name}"
        );
    }
    let last = ground.given(("ending", "keys-secret"), &ask).await;
    let late = time::OffsetDateTime::now_utc() + time::Duration::seconds(1_260);
    assert_eq!(
        ground.caller_at(&last.signer(), late).unwrap_err().code(),
        "ExpiredToken"
    );

    // What was taken on with a key ends with it, and a key made anew does not bring it back.
    let given = ground.given(("plain", "keys-secret"), &ask).await;
    let by = Identity::Root;
    let off = AccessKeyChange {
        enabled: Some(false),
        ..AccessKeyChange::default()
    };
    ground.known(&given.signer());
    ground.directory.change_access_key(&by, "plain", off).await.unwrap();
    assert_eq!(ground.caller(&given.signer()).unwrap_err().code(), "InvalidAccessKeyId");
    ground.directory.remove_access_key(&by, "plain").await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    ground
        .directory
        .add_access_key(&by, key("plain", None, None))
        .await
        .unwrap();
    assert_eq!(ground.caller(&given.signer()).unwrap_err().code(), "InvalidAccessKeyId");
}

#[tokio::test]
async fn what_is_changed_at_a_role_or_whoever_took_it_on_counts_at_once() {
    let ground = ground_with_app(&trusting_alice()).await;
    let by = Identity::Root;
    let ask = assume(APP_ARN, "");
    let given = ground.given(ALICE, &ask).await.signer();
    let gone = |given: &Signer| ground.caller(given).unwrap_err().code();
    assert!(reads(&ground.caller(&given).unwrap(), None));
    let read_x = [APP, ("PolicyName", "read-x")];
    ground.done("DeleteRolePolicy", &read_x).await;
    assert!(!reads(&ground.caller(&given).unwrap(), None));
    ground
        .done("PutRolePolicy", &[read_x[0], read_x[1], ("PolicyDocument", READ_X)])
        .await;
    assert!(reads(&ground.caller(&given).unwrap(), None));

    ground.directory.set_user_status(&by, "alice", false).await.unwrap();
    assert_eq!(gone(&given), "InvalidAccessKeyId");
    ground.directory.set_user_status(&by, "alice", true).await.unwrap();
    ground.known(&given);
    ground
        .directory
        .revoke_temporary(&KeyParent::User("alice".into()))
        .await
        .unwrap();
    assert_eq!(gone(&given), "InvalidAccessKeyId");

    let given = ground.given(ALICE, &ask).await.signer();
    ground.directory.remove_user(&by, "alice").await.unwrap();
    ground.directory.put_user(&by, user(ALICE.0, ALICE.1)).await.unwrap();
    assert_eq!(gone(&given), "InvalidAccessKeyId");

    let given = ground.given(ALICE, &ask).await.signer();
    ground.done("DeleteRolePolicy", &read_x).await;
    ground.done("DeleteRole", &[APP]).await;
    assert_eq!(gone(&given), "InvalidAccessKeyId");
    make_app(&ground, &trusting_alice()).await;
    assert_eq!(gone(&given), "InvalidAccessKeyId");
}

#[tokio::test]
async fn whoever_took_on_a_role_takes_on_no_other_and_is_given_nothing() {
    let ground = ground_with_app(&trust("AssumeRole", r#""*""#, "")).await;
    let role = ground.given(ALICE, &assume(APP_ARN, "")).await.signer();
    let own = ground.given(ALICE, &assume("", "")).await.signer();
    for by in [role, own] {
        for arn in [APP_ARN, ""] {
            assert_eq!(ground.asked(&by, &assume(arn, "")).await, denied(), "{arn}");
        }
    }
}

#[tokio::test]
async fn a_trust_policy_asks_for_what_was_said_with_the_asking() {
    let condition =
        r#","Condition":{"StringEquals":{"sts:ExternalId":"secret-1"},"StringLike":{"sts:RoleSessionName":"m*"}}"#;
    let ground = ground_with_app(&trust("AssumeRole", r#"{"AWS":"alice"}"#, condition)).await;
    let alice = signer(ALICE);
    for (rest, found) in [
        ("", denied()),
        ("&ExternalId=secret-2", denied()),
        ("&ExternalId=secret-1", granted()),
    ] {
        assert_eq!(ground.asked(&alice, &assume(APP_ARN, rest)).await, found, "{rest}");
    }
    let other = assume(APP_ARN, "&ExternalId=secret-1").replace("SessionName=me", "SessionName=you");
    assert_eq!(ground.asked(&alice, &other).await, denied());
    let (status, code) = ground.asked(&alice, &assume("", "&ExternalId=secret-1")).await;
    assert_eq!((status, code.as_str()), (501, "NotImplemented"));
}

#[tokio::test]
async fn policies_know_who_took_on_a_role() {
    let ground = ground().await;
    ground
        .done(
            "CreateRole",
            &[APP, ("Path", "/team/"), ("AssumeRolePolicyDocument", &trusting_alice())],
        )
        .await;
    ground
        .done(
            "TagRole",
            &[APP, ("Tags.member.1.Key", "team"), ("Tags.member.1.Value", "blue")],
        )
        .await;
    let arn = "arn:aws:iam::000000000000:role/team/app";
    let given = ground.given(ALICE, &assume(arn, "")).await.signer();
    let role = ground.caller(&given).unwrap();
    let alice = ground.caller(&signer(ALICE)).unwrap();
    let id = ground.known(&given).canonical_id.clone();
    let bucket = |principal: &str, rest: &str| BucketFacts {
        policy: BucketPolicy::Set(Arc::new(
            Policy::parse(
                format!(
                    r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":"s3:GetObject",
                    "Principal":{principal},"Resource":"arn:aws:s3:::x/*"{rest}}}]}}"#
                )
                .as_bytes(),
                Kind::Bucket { bucket: "x" },
            )
            .unwrap(),
        )),
        ..BucketFacts::default()
    };
    let when = |key: &str, value: &str| format!(r#","Condition":{{"StringEquals":{{"{key}":"{value}"}}}}"#);
    for (principal, rest, expected) in [
        (format!(r#"{{"AWS":"{arn}"}}"#), String::new(), true),
        (
            r#"{"AWS":"arn:aws:sts::000000000000:assumed-role/app/me"}"#.to_owned(),
            String::new(),
            true,
        ),
        (
            r#"{"AWS":"arn:aws:sts::000000000000:assumed-role/app/you"}"#.to_owned(),
            String::new(),
            false,
        ),
        (
            r#"{"AWS":"arn:aws:iam::000000000000:user/app"}"#.to_owned(),
            String::new(),
            false,
        ),
        (r#"{"AWS":"alice"}"#.to_owned(), String::new(), false),
        (
            r#"{"AWS":"arn:aws:iam::000000000000:root"}"#.to_owned(),
            String::new(),
            false,
        ),
        (r#""*""#.to_owned(), when("aws:PrincipalArn", arn), true),
        (r#""*""#.to_owned(), when("aws:userid", &format!("{id}:me")), true),
        (r#""*""#.to_owned(), when("aws:userid", &format!("{id}:you")), false),
        (r#""*""#.to_owned(), when("aws:username", "alice"), false),
        (r#""*""#.to_owned(), when("aws:PrincipalTag/team", "blue"), true),
        (r#""*""#.to_owned(), when("aws:PrincipalTag/team", "red"), false),
        (r#""*""#.to_owned(), when("aws:PrincipalType", "AssumedRole"), true),
    ] {
        let facts = bucket(&principal, &rest);
        assert_eq!(reads(&role, Some(&facts)), expected, "{principal} {rest}");
    }
    let facts = bucket(&format!(r#"{{"AWS":"{arn}"}}"#), "");
    assert!(!reads(&alice, Some(&facts)));
}

#[tokio::test]
async fn a_token_of_a_provider_takes_on_the_role_that_trusts_its_issuer() {
    let pair = Pair::p256();
    let issuer = TestIssuer::start(serde_json::json!({"keys": [pair.public("k")]})).await;
    let ground = ground_with(vec![issuer.provider(by_claim())]).await;
    let host = issuer.url.strip_prefix("http://").unwrap();
    let named = format!(r#"{{"Federated":"arn:aws:iam::000000000000:oidc-provider/{host}"}}"#);
    let is = |key: &str, value: &str| format!(r#","Condition":{{"StringEquals":{{"{host}:{key}":"{value}"}}}}"#);
    make_app(&ground, &trust("AssumeRoleWithWebIdentity", &named, &is("sub", "ann"))).await;
    let mut claims = issuer.claims();
    // The role says what they may do; the token need not.
    claims.as_object_mut().unwrap().remove("policy");
    let token = pair.token("ES256", Some("k"), &claims);
    let ask = by_token(&token, &format!("&RoleArn={}", coded(APP_ARN)));
    let (status, xml) = ground.ask(None, &ask).await;
    assert_eq!(status, StatusCode::OK, "{xml}");
    assert_eq!(element(&xml, "Arn"), "arn:aws:sts::000000000000:assumed-role/app/me");
    assert_eq!(element(&xml, "SubjectFromWebIdentityToken"), "ann");
    let given = Given::of(&xml).signer();
    let caller = ground.known(&given);
    assert_eq!(caller.account, Account::Role(AssumedRole::new("app", "/", "me")));
    assert_eq!(
        caller.policies.iter().map(|policy| policy.text()).collect::<Vec<_>>(),
        [READ_X]
    );
    assert_eq!(caller.claims["jwt:sub"], ["ann"]);

    let audience = element(&xml, "Audience");
    let may = |trusting: String| {
        let (ground, ask) = (&ground, &ask);
        async move {
            ground.trusts(&trusting).await;
            ground.ask(None, ask).await.0.as_u16()
        }
    };
    let web = "AssumeRoleWithWebIdentity";
    let bare = format!(r#"{{"Federated":"{host}"}}"#);
    for (trusting, status) in [
        (trust(web, &bare, ""), 200),
        (trust(web, &named, &is("aud", &audience)), 200),
        (trust(web, &named, &is("app_id", &audience)), 200),
        (trust(web, &named, &is("aud", "other")), 403),
        (trust(web, &named, &is("sub", "bob")), 403),
        (
            trust(web, &named, r#","Condition":{"StringEquals":{"jwt:groups":"a"}}"#),
            200,
        ),
        (trust("AssumeRole", &named, ""), 403),
        (trust(web, r#""*""#, ""), 403),
        (trust(web, r#"{"AWS":"arn:aws:iam::000000000000:root"}"#, ""), 403),
        (trust(web, r#"{"Federated":"accounts.google.com"}"#, ""), 403),
    ] {
        assert_eq!(may(trusting.clone()).await, status, "{trusting}");
    }
    let none = by_token(&token, &format!("&RoleArn={}", coded("arn:aws:iam:::role/none")));
    assert_eq!(ground.ask(None, &none).await.0, StatusCode::FORBIDDEN);
    let forged = Pair::p256().token("ES256", Some("k"), &claims);
    ground.trusts(&trust(web, &bare, "")).await;
    let forged = by_token(&forged, &format!("&RoleArn={}", coded(APP_ARN)));
    assert_eq!(ground.ask(None, &forged).await.0, StatusCode::BAD_REQUEST);

    let name = format!("{}#ann", issuer.url);
    ground.known(&given);
    ground.directory.revoke_person(&name).await.unwrap();
    assert_eq!(ground.caller(&given).unwrap_err().code(), "InvalidAccessKeyId");
}

#[tokio::test]
async fn who_may_make_users_alone_gets_no_more_by_making_roles() {
    let ground = ground_with_app(&trusting_account()).await;
    let powerful = [
        ("RoleName", "app"),
        ("PolicyArn", "arn:aws:iam::aws:policy/consoleAdmin"),
    ];
    ground.done("AttachRolePolicy", &powerful).await;
    let makes =
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["admin:CreateUser","admin:GetUser"]}]}"#;
    ground.allow("alice", makes).await;
    let document = trusting_alice();
    let own = ("RoleName", "own");
    let trust = ("AssumeRolePolicyDocument", document.as_str());
    // Also one that starts without policies: a bucket's policy may name it already.
    assert_eq!(ground.iam(ALICE, "CreateRole", &[own, trust]).await, denied());
    ground.done("CreateRole", &[own, trust]).await;
    for (action, fields) in [
        (
            "PutRolePolicy",
            &[own, ("PolicyName", "p"), ("PolicyDocument", READ_X)][..],
        ),
        ("AttachRolePolicy", &[own, powerful[1]]),
        (
            "TagRole",
            &[own, ("Tags.member.1.Key", "k"), ("Tags.member.1.Value", "v")],
        ),
        ("UpdateAssumeRolePolicy", &[APP, ("PolicyDocument", &document)]),
        (
            "CreateRole",
            &[("RoleName", "tagged"), trust, ("Tags.member.1.Key", "k")],
        ),
        ("DeleteRole", &[own]),
    ] {
        assert_eq!(ground.iam(ALICE, action, fields).await, denied(), "{action}");
    }
    assert_eq!(ground.asked(&signer(ALICE), &assume(APP_ARN, "")).await, denied());
    let given = ground
        .given(ALICE, &assume("arn:aws:iam::000000000000:role/own", ""))
        .await;
    let caller = ground.known(&given.signer());
    assert!(caller.policies.is_empty());
    assert!(!reads(&Identity::Caller(caller), None));
    assert_eq!(ground.iam(ALICE, "ListRoles", &[]).await, denied());
}

#[tokio::test]
async fn a_policy_of_a_role_is_in_use_and_inline_ones_are_bounded() {
    let ground = ground_with_app(&trusting_alice()).await;
    ground.directory.put_policy("mine", READ_X.as_bytes()).await.unwrap();
    ground
        .done("AttachRolePolicy", &[APP, ("PolicyArn", "arn:aws:iam:::policy/mine")])
        .await;
    let refused = ground.directory.remove_policy("mine").await.unwrap_err();
    assert!(refused.to_string().contains("role 'app'"), "{refused}");
    for number in 1..100 {
        let target = Target::Role("app".into());
        let name = format!("p{number}");
        ground
            .directory
            .put_inline(&target, &name, READ_X.as_bytes())
            .await
            .unwrap();
    }
    let more = [APP, ("PolicyName", "more"), ("PolicyDocument", READ_X)];
    ground.refused("PutRolePolicy", &more, 409, "LimitExceeded").await;
    // One that is there can still be changed.
    ground
        .done(
            "PutRolePolicy",
            &[APP, ("PolicyName", "p1"), ("PolicyDocument", READ_X)],
        )
        .await;
    // As many, and the most access keys, go with a user in one change.
    let target = Target::User("alice".into());
    for number in 0..100 {
        let name = format!("p{number}");
        ground
            .directory
            .put_inline(&target, &name, READ_X.as_bytes())
            .await
            .unwrap();
    }
    ground.directory.remove_user(&Identity::Root, "alice").await.unwrap();
    let left = ground.directory.policies().unwrap();
    assert!(!left.iter().any(|policy| policy.name.starts_with("inline/user/")));
}
