//! Whole policies: what they mean, what is refused, and the canned ones.

mod agreement;
mod reference;

use super::canned;
use super::{Effect, Keys, Kind, Policy, PolicyError, Principal, Question, Values, WHOLE_STORE};

/// Names and single values of a request.
pub(super) struct Given<'a>(pub(super) &'a [(&'a str, &'a str)]);

impl Keys for Given<'_> {
    fn get(&self, name: &str) -> Values<'_> {
        let found = self.0.iter().find(|(known, _)| *known == name);
        found.map_or(Values::Missing, |(_, value)| Values::one(value))
    }
}

const BUCKET: Kind<'_> = Kind::Bucket { bucket: "photos" };

fn judge(policy: &Policy, action: &str, resource: &str, principal: Principal<'_>) -> Effect {
    policy.judge(&Question {
        action,
        resource,
        principal,
        keys: &Given(&[("aws:username", "ann")]),
    })
}

fn identity(statements: &str) -> Result<Policy, PolicyError> {
    let text = format!(r#"{{"Version": "2012-10-17", "Statement": {statements}}}"#);
    Policy::parse(text.as_bytes(), Kind::Identity)
}

fn bucket(statements: &str) -> Result<Policy, PolicyError> {
    let text = format!(r#"{{"Version": "2012-10-17", "Id": "x", "Statement": {statements}}}"#);
    Policy::parse(text.as_bytes(), BUCKET)
}

const ANN: Principal<'_> = Principal::User {
    name: "ann",
    canonical_id: None,
};

#[test]
fn a_deny_wins_wherever_it_stands_and_silence_allows_nothing() {
    let allow = r#"{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}"#;
    let deny = r#"{"Effect": "Deny", "Action": ["S3:deleteobject"], "Resource": ["arn:aws:s3:::photos/keep/*"]}"#;
    for statements in [format!("[{allow}, {deny}]"), format!("[{deny}, {allow}]")] {
        let policy = identity(&statements).unwrap();
        let ask = |action, resource| judge(&policy, action, resource, ANN);
        assert_eq!(ask("s3:DeleteObject", "arn:aws:s3:::photos/keep/1"), Effect::Deny);
        assert_eq!(ask("s3:DeleteObject", "arn:aws:s3:::photos/1"), Effect::Allow);
        assert_eq!(ask("admin:ServerInfo", WHOLE_STORE), Effect::Silent);
    }
    assert_eq!(
        judge(&identity(deny).unwrap(), "s3:GetObject", "arn:aws:s3:::photos/1", ANN),
        Effect::Silent
    );
}

#[test]
fn negated_elements_mean_everything_else() {
    let policy =
        identity(r#"{"Effect": "Allow", "NotAction": "s3:Delete*", "NotResource": "arn:aws:s3:::photos/secret/*"}"#)
            .unwrap();
    let ask = |action, resource| judge(&policy, action, resource, ANN);
    assert_eq!(ask("s3:GetObject", "arn:aws:s3:::photos/1"), Effect::Allow);
    assert_eq!(ask("s3:DeleteObject", "arn:aws:s3:::photos/1"), Effect::Silent);
    assert_eq!(ask("s3:GetObject", "arn:aws:s3:::photos/secret/1"), Effect::Silent);

    let only_ann =
        r#"{"Effect": "Deny", "NotPrincipal": {"AWS": "arn:aws:iam:::user/ann"}, "Action": "s3:*", "Resource": "*"}"#;
    let policy = bucket(only_ann).unwrap();
    let ask = |principal| judge(&policy, "s3:GetObject", "arn:aws:s3:::photos/1", principal);
    assert_eq!(ask(ANN), Effect::Silent);
    assert_eq!(ask(Principal::Anonymous), Effect::Deny);
    assert_eq!(ask(Principal::Root), Effect::Deny);
}

#[test]
fn variables_in_resources_are_the_callers_and_a_missing_one_matches_nothing() {
    let home =
        r#"{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::photos/home/${aws:username}/*"}"#;
    let policy = identity(home).unwrap();
    assert_eq!(
        judge(&policy, "s3:GetObject", "arn:aws:s3:::photos/home/ann/1", ANN),
        Effect::Allow
    );
    assert_eq!(
        judge(&policy, "s3:GetObject", "arn:aws:s3:::photos/home/bob/1", ANN),
        Effect::Silent
    );
    let nobody = |policy: &Policy, resource| {
        policy.judge(&Question {
            action: "s3:GetObject",
            resource,
            principal: Principal::Anonymous,
            keys: &Given(&[]),
        })
    };
    assert_eq!(nobody(&policy, "arn:aws:s3:::photos/home//1"), Effect::Silent);
    let not_home = identity(&home.replace("\"Resource\"", "\"NotResource\"")).unwrap();
    assert_eq!(nobody(&not_home, "arn:aws:s3:::photos/other"), Effect::Silent);
    let only_home = home.replace("\"Resource\"", "\"NotResource\"").replace("Allow", "Deny");
    let only_home = identity(&only_home).unwrap();
    assert_eq!(
        nobody(&only_home, "arn:aws:s3:::photos/other"),
        Effect::Deny,
        "a Deny of all but a home holds for who has none"
    );
    // Variables came with Version 2012-10-17; without it they would silently be plain text.
    assert!(Policy::parse(format!(r#"{{"Statement": {home}}}"#).as_bytes(), Kind::Identity).is_err());
}

#[test]
fn rights_in_one_bucket_are_no_rights_over_the_store() {
    let policy =
        identity(r#"{"Effect": "Allow", "Action": "*", "Resource": ["arn:aws:s3:::photos", "arn:aws:s3:::photos/*"]}"#)
            .unwrap();
    assert_eq!(judge(&policy, "admin:ServerInfo", WHOLE_STORE, ANN), Effect::Silent);
    assert_eq!(judge(&policy, "s3:ListAllMyBuckets", WHOLE_STORE, ANN), Effect::Silent);
    assert_eq!(
        judge(&policy, "s3:ListBucket", "arn:aws:s3:::photos", ANN),
        Effect::Allow
    );
    // As MinIO's own documents are written: the resource of an admin statement says nothing.
    let admin =
        identity(r#"{"Effect": "Allow", "Action": "admin:ServerInfo", "Resource": "arn:aws:s3:::photos"}"#).unwrap();
    assert_eq!(judge(&admin, "admin:ServerInfo", WHOLE_STORE, ANN), Effect::Allow);
}

/// A right beside it that needs no resource once made a role's ARN mean every role.
#[test]
fn a_right_to_one_role_is_none_to_others_whatever_stands_beside_it() {
    let role = |name: &str| format!("arn:aws:iam::000000000000:role/{name}");
    let (own, other) = (role("readonly-app"), role("admin-app"));
    for arn in [
        "arn:aws:iam::000000000000:role/readonly-app",
        "arn:aws:iam:::role/readonly-app",
        "arn:aws:iam:::role/read*",
    ] {
        for (actions, admin) in [
            (r#"["sts:AssumeRole", "admin:GetUser"]"#, true),
            (r#"["admin:*", "sts:*"]"#, true),
            (
                r#"["sts:AssumeRole", "kms:Status", "iam:GetRole", "admin:GetUser"]"#,
                true,
            ),
            (r#"["sts:AssumeRole", "s3:GetObject", "admin:GetUser"]"#, false),
            (r#""sts:*""#, false),
            (r#""?ts:assumerole""#, false),
            (r#""*""#, false),
        ] {
            let resource = format!(r#"["{arn}", "arn:aws:s3:::photos/*"]"#);
            for resource in [format!("\"{arn}\""), resource] {
                let elements = format!(r#""Action": {actions}, "Resource": {resource}"#);
                let policy = identity(&format!(r#"{{"Effect": "Allow", {elements}}}"#)).unwrap();
                let ask = |action, resource: &str| judge(&policy, action, resource, ANN);
                assert_eq!(ask("sts:AssumeRole", &own), Effect::Allow, "{elements}");
                assert_eq!(ask("sts:AssumeRole", &other), Effect::Silent, "{elements}");
                assert_eq!(ask("sts:AssumeRole", WHOLE_STORE), Effect::Silent, "{elements}");
                // As ever: rights of the admin API have no resource, unless S3's stand beside them.
                let expected = if admin { Effect::Allow } else { Effect::Silent };
                assert_eq!(ask("admin:GetUser", WHOLE_STORE), expected, "{elements}");

                let policy = identity(&format!(r#"{{"Effect": "Deny", {elements}}}"#)).unwrap();
                let ask = |action, resource: &str| judge(&policy, action, resource, ANN);
                assert_eq!(ask("sts:AssumeRole", &own), Effect::Deny, "{elements}");
                assert_eq!(ask("sts:AssumeRole", &other), Effect::Silent, "{elements}");
                assert_eq!(ask("sts:AssumeRole", WHOLE_STORE), Effect::Deny, "{elements}");
            }
        }
    }
    let all_but = r#"{"Effect": "Allow", "Action": ["sts:AssumeRole", "admin:GetUser"], "NotResource": "arn:aws:iam:::role/admin-app"}"#;
    let policy = identity(all_but).unwrap();
    assert_eq!(judge(&policy, "sts:AssumeRole", &own, ANN), Effect::Allow);
    assert_eq!(judge(&policy, "sts:AssumeRole", &other, ANN), Effect::Silent);
    assert_eq!(judge(&policy, "admin:GetUser", WHOLE_STORE, ANN), Effect::Allow);
}

#[test]
fn a_resource_of_another_account_is_none_of_this_store() {
    let deny = r#"{"Effect": "Deny", "Action": "sts:AssumeRole", "Resource": "arn:aws:iam::123456789012:role/app"}"#;
    let app = "arn:aws:iam::000000000000:role/app";
    assert_eq!(
        judge(&identity(deny).unwrap(), "sts:AssumeRole", app, ANN),
        Effect::Silent
    );
    let any = deny.replace("123456789012", "*");
    assert_eq!(
        judge(&identity(&any).unwrap(), "sts:AssumeRole", app, ANN),
        Effect::Deny
    );
}

#[test]
fn canned_policies_are_valid_and_mean_what_their_names_say() {
    let names: Vec<_> = canned::ALL.iter().map(|canned| canned.name).collect();
    assert_eq!(
        names,
        [
            "consoleAdmin",
            "diagnostics",
            "owner",
            "readonly",
            "readwrite",
            "writeonly"
        ]
    );
    let object = "arn:aws:s3:::photos/1";
    for (name, action, resource, expected) in [
        ("consoleAdmin", "admin:CreateUser", WHOLE_STORE, Effect::Allow),
        ("consoleAdmin", "s3:DeleteBucket", "arn:aws:s3:::photos", Effect::Allow),
        ("diagnostics", "admin:ServerInfo", WHOLE_STORE, Effect::Allow),
        ("diagnostics", "admin:CreateUser", WHOLE_STORE, Effect::Silent),
        ("diagnostics", "s3:GetObject", object, Effect::Silent),
        ("readonly", "s3:GetObject", object, Effect::Allow),
        ("readonly", "s3:PutObject", object, Effect::Silent),
        ("readwrite", "s3:PutObject", object, Effect::Allow),
        ("readwrite", "admin:ServerInfo", WHOLE_STORE, Effect::Silent),
        ("writeonly", "s3:PutObject", object, Effect::Allow),
        ("writeonly", "s3:GetObject", object, Effect::Silent),
        ("owner", "s3:CreateBucket", "arn:aws:s3:::photos", Effect::Allow),
        ("owner", "s3:GetObject", object, Effect::Silent),
    ] {
        let policy = Policy::parse(canned::find(name).unwrap().document.as_bytes(), Kind::Identity).unwrap();
        assert_eq!(judge(&policy, action, resource, ANN), expected, "{name} {action}");
    }
    let owner = Policy::parse(canned::find("owner").unwrap().document.as_bytes(), Kind::Identity).unwrap();
    for (owner_of_bucket, expected) in [("ann", Effect::Allow), ("bob", Effect::Silent)] {
        let question = Question {
            action: "s3:DeleteBucket",
            resource: "arn:aws:s3:::photos",
            principal: ANN,
            keys: &Given(&[
                ("aws:principalaccount", "ann"),
                ("aws:resourceaccount", owner_of_bucket),
            ]),
        };
        assert_eq!(owner.judge(&question), expected);
    }
}

#[test]
fn documents_of_mc_anonymous_are_accepted_and_public() {
    let download = r#"[{"Effect":"Allow","Principal":{"AWS":["*"]},"Action":["s3:GetBucketLocation","s3:ListBucket"],"Resource":["arn:aws:s3:::photos"],"Sid":""},
        {"Effect":"Allow","Principal":{"AWS":["*"]},"Action":["s3:GetObject"],"Resource":["arn:aws:s3:::photos/*"],"Sid":""}]"#;
    let policy = bucket(download).unwrap();
    assert!(policy.is_public());
    assert_eq!(
        judge(&policy, "s3:GetObject", "arn:aws:s3:::photos/1", Principal::Anonymous),
        Effect::Allow
    );
    assert_eq!(
        judge(&policy, "s3:PutObject", "arn:aws:s3:::photos/1", Principal::Anonymous),
        Effect::Silent
    );
    assert!(policy.text().contains(r#""Sid":"""#));
}

#[test]
fn a_policy_is_public_unless_it_bounds_who_or_from_where() {
    for (more, public) in [
        (r#""Principal": "*""#, true),
        (r#""Principal": {"AWS": "ann"}"#, false),
        (
            r#""Principal": "*", "Condition": {"IpAddress": {"aws:SourceIp": "203.0.113.0/24"}}"#,
            false,
        ),
        (
            r#""Principal": "*", "Condition": {"IpAddress": {"aws:SourceIp": "0.0.0.0/1"}}"#,
            true,
        ),
        (
            r#""Principal": "*", "Condition": {"NotIpAddress": {"aws:SourceIp": "203.0.113.0/24"}}"#,
            true,
        ),
        (
            r#""Principal": "*", "Condition": {"StringLike": {"aws:username": "a*"}}"#,
            true,
        ),
        (
            r#""Principal": "*", "Condition": {"StringEquals": {"aws:username": "ann"}}"#,
            false,
        ),
        (
            r#""Principal": "*", "Condition": {"StringEqualsIfExists": {"aws:username": "ann"}}"#,
            true,
        ),
        (
            r#""Principal": "*", "Condition": {"Bool": {"aws:SecureTransport": "true"}}"#,
            true,
        ),
    ] {
        let policy = bucket(&format!(
            r#"{{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::photos/*", {more}}}"#
        ))
        .unwrap();
        assert_eq!(policy.is_public(), public, "{more}");
    }
}

#[test]
fn policies_that_need_the_object_say_so() {
    let statement = |more: &str| {
        identity(&format!(r#"{{"Effect": "Allow", "Action": "s3:GetObject", {more}}}"#))
            .unwrap()
            .looks_at_existing_object("s3:GetObject")
    };
    assert!(!statement(
        r#""Resource": "*", "Condition": {"StringEquals": {"s3:RequestObjectTag/a": "b"}}"#
    ));
    assert!(statement(
        r#""Resource": "*", "Condition": {"StringEquals": {"s3:ExistingObjectTag/a": "b"}}"#
    ));
    assert!(statement(
        r#""Resource": "*", "Condition": {"StringLike": {"s3:prefix": "${s3:ExistingObjectTag/a}"}}"#
    ));
    assert!(statement(
        r#""Resource": "arn:aws:s3:::photos/${drystone:ObjectOwner}""#
    ));
}

/// A condition on tags for reading made every write wait for the object that stood there.
#[test]
fn policies_need_the_object_for_the_actions_whose_statements_look_at_it() {
    let condition = r#""Resource": "*", "Condition": {"StringEquals": {"s3:ExistingObjectTag/a": "b"}}"#;
    for (actions, puts, gets) in [
        (r#""Action": "s3:GetObject""#, false, true),
        (r#""Action": ["s3:Put*", "s3:List*"]"#, true, false),
        (r#""NotAction": "s3:GetObject""#, true, false),
    ] {
        let plain = r#"{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}"#;
        let policy = identity(&format!(r#"[{plain}, {{"Effect": "Deny", {actions}, {condition}}}]"#)).unwrap();
        assert_eq!(policy.looks_at_existing_object("s3:PutObject"), puts, "{actions}");
        assert_eq!(policy.looks_at_existing_object("s3:GetObject"), gets, "{actions}");
    }
}

#[test]
fn a_document_that_cannot_be_meant_is_refused_and_the_statement_named() {
    let ok = r#"{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}"#;
    assert!(identity(ok).is_ok());
    for (wrong, reason) in [
        (
            r#"{"Action": "s3:GetObject", "Resource": "*"}"#.to_owned(),
            "Effect must be",
        ),
        (ok.replace("Allow", "allow"), "Effect must be"),
        (
            ok.replace("s3:GetObject", "s3:GetObjects"),
            "no action \"s3:GetObjects\"",
        ),
        (ok.replace("\"s3:GetObject\"", "[]"), "empty list"),
        (ok.replace("\"*\"", "\"photos/*\""), "is no resource"),
        (ok.replace("\"*\"", "\"arn:aws:s3:::/x\""), "is no resource"),
        (ok.replace("Resource", "Resources"), "no element \"Resources\""),
        (ok.replace(", \"Resource\": \"*\"", ""), "required field Resource"),
        (
            ok.replace("\"Action\"", "\"NotAction\": \"s3:GetObject\", \"Action\""),
            "cannot stand together",
        ),
        (
            ok.replace("\"Effect\"", "\"Principal\": \"*\", \"Effect\""),
            "must not have a Principal",
        ),
        (ok.replace("\"Effect\"", "\"Sid\": 7, \"Effect\""), "Sid must be"),
        ("7".to_owned(), "is an object"),
    ] {
        let error = identity(&format!("[{ok}, {wrong}]")).unwrap_err().to_string();
        assert!(
            error.starts_with("Statement 2") && error.contains(reason),
            "{wrong}: {error}"
        );
    }
    let named = identity(&ok.replace("\"Effect\": \"Allow\"", "\"Sid\": \"Mine\", \"Effect\": \"?\"")).unwrap_err();
    assert!(named.to_string().starts_with("Statement 1 (Sid \"Mine\"): "));
    for wrong in [
        "",
        "[]",
        "{}",
        r#"{"Version": "2012-10-17", "Statement": []}"#,
        r#"{"Version": "2015-01-01", "Statement": []}"#,
        &format!(r#"{{"Statement": [{ok}], "More": 1}}"#),
        &format!(r#"{{"Statement": [{ok}], "Statement": [{ok}]}}"#),
        &format!(r#"{{"Statement": [{ok}]}} trailing"#),
    ] {
        assert!(Policy::parse(wrong.as_bytes(), Kind::Identity).is_err(), "{wrong}");
    }
    assert!(Policy::parse(&[0xff, 0xfe], Kind::Identity).is_err());
}

#[test]
fn a_bucket_policy_stays_in_its_bucket_and_its_actions_fit_its_resources() {
    let statement = |action: &str, resource: &str| {
        bucket(&format!(
            r#"{{"Effect": "Allow", "Principal": "*", "Action": {action}, "Resource": {resource}}}"#
        ))
    };
    for (action, resource) in [
        (r#""s3:GetObject""#, r#""arn:aws:s3:::photos/*""#),
        (r#""s3:GetObject""#, r#""arn:aws:s3:::photos*""#),
        (r#""s3:GetObject""#, r#""arn:aws:s3:::*""#),
        (r#""s3:GetObject""#, r#""arn:aws:s3:::*/*""#),
        (r#""s3:GetObject""#, r#""*""#),
        (r#""s3:*""#, r#""arn:aws:s3:::photos""#),
        (r#""*""#, r#""arn:aws:s3:::photos/*""#),
        (
            r#"["s3:ListBucket", "s3:GetObject"]"#,
            r#"["arn:aws:s3:::photos", "arn:aws:s3:::photos/a"]"#,
        ),
    ] {
        assert!(statement(action, resource).is_ok(), "{action} {resource}");
    }
    let fit = "does not apply to any resource";
    for (action, resource, reason) in [
        (
            r#""s3:GetObject""#,
            r#""arn:aws:s3:::other/*""#,
            "not in the bucket photos",
        ),
        (
            r#""s3:GetObject""#,
            r#""arn:aws:s3:::photosx/*""#,
            "not in the bucket photos",
        ),
        (
            r#""s3:GetObject""#,
            r#"["arn:aws:s3:::photos/*", "arn:aws:iam:::user/a"]"#,
            "not in the bucket photos",
        ),
        (r#""s3:GetObject""#, r#""arn:aws:s3:::photos""#, fit),
        (r#""s3:ListBucket""#, r#""arn:aws:s3:::photos/*""#, fit),
        (
            r#"["s3:GetObject", "s3:ListBucket"]"#,
            r#""arn:aws:s3:::photos/*""#,
            fit,
        ),
        (r#""s3:ListAllMyBuckets""#, r#""arn:aws:s3:::photos""#, fit),
        (r#""admin:ServerInfo""#, r#""arn:aws:s3:::photos""#, "no action of S3"),
    ] {
        let error = statement(action, resource).unwrap_err().to_string();
        assert!(error.contains(reason), "{action} {resource}: {error}");
    }
    assert!(
        bucket(r#"{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}"#)
            .unwrap_err()
            .to_string()
            .contains("Principal")
    );
    let all_but = r#"{"Effect": "Allow", "NotPrincipal": {"AWS": "ann"}, "Action": "s3:*", "Resource": "*"}"#;
    assert!(bucket(all_but).unwrap_err().to_string().contains("NotPrincipal"));
}

#[test]
fn documents_beyond_their_size_are_refused() {
    let of = |size: usize| {
        let rest = r#"{"Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}"#;
        format!("{rest}{}", " ".repeat(size - rest.len()))
    };
    for (kind, limit) in [
        (Kind::Identity, super::MAX_IDENTITY_POLICY),
        (Kind::Session, super::MAX_SESSION_POLICY),
    ] {
        assert!(Policy::parse(of(limit).as_bytes(), kind).is_ok());
        assert_eq!(
            Policy::parse(of(limit + 1).as_bytes(), kind),
            Err(PolicyError::TooLarge { limit })
        );
    }
}
