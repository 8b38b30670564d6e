//! Decisions: who may what by whose policy, and what a request may say of itself.

mod acls;
mod shares;

use std::collections::BTreeMap;
use std::sync::Arc;

use time::OffsetDateTime;
use time::macros::datetime;

use super::{
    Action, BucketFacts, BucketPolicy, Context, ObjectFacts, RequestFacts, Resource, Visibility, decide, decide_own,
    link_hash,
};
use crate::auth::{Account, Caller, Identity, Kind, SignedIn, Signing};
use crate::policy::{self, Policy};

const NOW: OffsetDateTime = datetime!(2026-01-02 03:04:05 UTC);
const OBJECT: Resource<'_> = Resource::Object {
    bucket: "photos",
    key: "2026/one.jpg",
};
const BUCKET: Resource<'_> = Resource::Bucket("photos");

fn statements(effect: &str, action: &str, more: &str) -> String {
    format!(
        r#"{{"Version": "2012-10-17", "Statement": {{"Effect": "{effect}", "Action": "{action}", "Resource": ["arn:aws:s3:::photos", "arn:aws:s3:::photos/*"]{more}}}}}"#
    )
}

fn identity_policy(text: &str) -> Arc<Policy> {
    Arc::new(Policy::parse(text.as_bytes(), policy::Kind::Identity).unwrap())
}

/// A policy of the bucket: effect, action, principal and what else is in the statement.
fn bucket_policy(effect: &str, action: &str, principal: &str, more: &str) -> BucketFacts {
    let text = statements(effect, action, &format!(r#", "Principal": {principal}{more}"#));
    let kind = policy::Kind::Bucket { bucket: "photos" };
    BucketFacts {
        policy: BucketPolicy::Set(Arc::new(Policy::parse(text.as_bytes(), kind).unwrap())),
        owner: Some("id-of-olga".to_owned()),
        ..BucketFacts::default()
    }
}

fn user(name: &str) -> Caller {
    Caller {
        access_key: format!("{name}-key"),
        kind: Kind::User,
        account: Account::User(name.to_owned()),
        canonical_id: format!("id-of-{name}"),
        groups: Vec::new(),
        claims: BTreeMap::new(),
        policies: Vec::new(),
        session: None,
    }
}

fn caller(caller: Caller) -> Identity {
    Identity::Caller(Arc::new(caller))
}

fn may(identity: &Identity, action: Action, resource: Resource<'_>, context: Context<'_>) -> bool {
    decide(identity, action, resource, &context).is_ok()
}

fn with(bucket: &BucketFacts) -> Context<'_> {
    Context {
        bucket: Some(bucket),
        ..Context::default()
    }
}

#[test]
fn without_any_policy_root_may_everything_and_others_nothing() {
    let nobody = caller(user("ann"));
    for action in Action::ALL {
        assert!(may(&Identity::Root, *action, OBJECT, Context::default()));
        assert!(!may(&nobody, *action, OBJECT, Context::default()));
        let denied = decide(&Identity::Anonymous, *action, OBJECT, &Context::default()).unwrap_err();
        assert!(denied.anonymous);
    }
}

#[test]
fn a_callers_own_policies_and_the_buckets_are_a_union_and_any_deny_wins() {
    let (allow, deny) = (
        statements("Allow", "s3:GetObject", ""),
        statements("Deny", "s3:GetObject", ""),
    );
    let own = |texts: &[&String]| {
        let policies = texts.iter().map(|text| identity_policy(text)).collect();
        caller(Caller {
            policies,
            ..user("ann")
        })
    };
    let silent = BucketFacts::default();
    let bucket_allows = bucket_policy("Allow", "s3:GetObject", r#"{"AWS": "ann"}"#, "");
    let bucket_denies = bucket_policy("Deny", "s3:GetObject", r#"{"AWS": "ann"}"#, "");
    for (policies, bucket, expected) in [
        (&[][..], &silent, false),
        (&[&allow], &silent, true),
        (&[], &bucket_allows, true),
        (&[&allow], &bucket_allows, true),
        (&[&allow], &bucket_denies, false),
        (&[&deny], &bucket_allows, false),
        (&[&allow, &deny], &silent, false),
        (&[&deny, &allow], &bucket_allows, false),
    ] {
        assert_eq!(
            may(&own(policies), Action::GetObject, OBJECT, with(bucket)),
            expected,
            "{policies:?}"
        );
    }
    assert!(!may(
        &caller(user("bob")),
        Action::GetObject,
        OBJECT,
        with(&bucket_allows)
    ));
    assert!(!may(
        &Identity::Anonymous,
        Action::GetObject,
        OBJECT,
        with(&bucket_allows)
    ));
}

#[test]
fn a_credentials_own_policy_only_ever_takes_away() {
    // CVE-2025-62506, CVE-2024-24747, GHSA-566f: a child never exceeds its parent, a session never its policy, and a
    // policy that only denies allows nothing.
    let (get, all) = (statements("Allow", "s3:GetObject", ""), statements("Allow", "s3:*", ""));
    let deny_put = statements("Deny", "s3:PutObject", "");
    let of = |account: Account, own: Option<&String>, session: &String| {
        caller(Caller {
            kind: Kind::AccessKey,
            account,
            policies: own.into_iter().map(|text| identity_policy(text)).collect(),
            session: Some(identity_policy(session)),
            ..user("ann")
        })
    };
    let ann = || Account::User("ann".to_owned());
    let open = bucket_policy("Allow", "s3:*", r#""*""#, "");
    for (identity, context, gets, puts) in [
        (of(ann(), Some(&all), &get), Context::default(), true, false),
        (of(ann(), Some(&get), &all), Context::default(), true, false),
        (of(ann(), None, &all), Context::default(), false, false),
        (of(ann(), Some(&all), &deny_put), Context::default(), false, false),
        (of(ann(), None, &get), with(&open), true, false),
        (of(Account::Root, None, &get), Context::default(), true, false),
        (of(Account::Root, None, &deny_put), with(&open), false, false),
    ] {
        assert_eq!(may(&identity, Action::GetObject, OBJECT, context), gets);
        assert_eq!(may(&identity, Action::PutObject, OBJECT, context), puts);
    }
}

#[test]
fn nobody_can_lock_root_or_the_owner_out_of_the_policy_itself() {
    let shut = bucket_policy("Deny", "s3:*", r#""*""#, "");
    assert!(!may(&Identity::Root, Action::GetObject, OBJECT, with(&shut)));
    let full = identity_policy(&statements("Allow", "s3:*", ""));
    let named = |name: &str| {
        caller(Caller {
            policies: vec![Arc::clone(&full)],
            ..user(name)
        })
    };
    for action in [
        Action::GetBucketPolicy,
        Action::PutBucketPolicy,
        Action::DeleteBucketPolicy,
    ] {
        assert!(may(&Identity::Root, action, BUCKET, with(&shut)));
        assert!(may(&named("olga"), action, BUCKET, with(&shut)));
        assert!(!may(&named("ann"), action, BUCKET, with(&shut)));
        // Who owns a bucket has no rights by that alone.
        assert!(!may(&caller(user("olga")), action, BUCKET, with(&shut)));
    }
}

#[test]
fn a_policy_nobody_can_read_shuts_all_but_root_out() {
    let unreadable = BucketFacts {
        policy: BucketPolicy::Unreadable,
        ..BucketFacts::default()
    };
    let full = identity_policy(&statements("Allow", "s3:*", ""));
    let ann = caller(Caller {
        policies: vec![full],
        ..user("ann")
    });
    assert!(may(&Identity::Root, Action::GetObject, OBJECT, with(&unreadable)));
    assert!(!may(&ann, Action::GetObject, OBJECT, with(&unreadable)));
    assert!(!may(&Identity::Anonymous, Action::GetObject, OBJECT, with(&unreadable)));
}

#[test]
fn a_restricted_public_bucket_is_its_owners_alone() {
    // GHSA-x298: every way of listing stops at the block, versions included.
    let open = bucket_policy("Allow", "s3:List*", r#""*""#, "");
    let restricted = BucketFacts {
        restrict_public: true,
        ..open.clone()
    };
    for action in [
        Action::ListBucket,
        Action::ListBucketVersions,
        Action::ListBucketMultipartUploads,
    ] {
        assert!(may(&Identity::Anonymous, action, BUCKET, with(&open)));
        assert!(!may(&Identity::Anonymous, action, BUCKET, with(&restricted)));
        assert!(!may(&caller(user("ann")), action, BUCKET, with(&restricted)));
        assert!(may(&caller(user("olga")), action, BUCKET, with(&restricted)));
    }
    let narrow = BucketFacts {
        restrict_public: true,
        ..bucket_policy("Allow", "s3:ListBucket", r#"{"AWS": "ann"}"#, "")
    };
    assert!(may(&caller(user("ann")), Action::ListBucket, BUCKET, with(&narrow)));
}

#[test]
fn the_owner_policy_opens_ones_own_buckets_and_no_others() {
    let owner = identity_policy(policy::canned::find("owner").unwrap().document);
    let olga = caller(Caller {
        policies: vec![owner],
        ..user("olga")
    });
    let owned_by = |name: &str| BucketFacts {
        owner: Some(name.to_owned()),
        ..BucketFacts::default()
    };
    for action in [Action::PutObject, Action::DeleteBucket, Action::PutBucketPolicy] {
        assert!(may(&olga, action, OBJECT, with(&owned_by("id-of-olga"))));
        assert!(!may(&olga, action, OBJECT, with(&owned_by("id-of-bob"))));
        assert!(!may(&olga, action, OBJECT, with(&owned_by("root"))));
        assert!(!may(&olga, action, OBJECT, Context::default()));
    }
    assert!(may(&olga, Action::CreateBucket, BUCKET, Context::default()));
    assert!(!may(
        &olga,
        Action::AdminServerInfo,
        Resource::Service,
        Context::default()
    ));
}

/// A user was removed and another made under the name: what the first one had made was the second one's.
#[test]
fn a_user_made_anew_under_an_old_name_owns_nothing_of_the_old_one() {
    let policies = vec![identity_policy(policy::canned::find("owner").unwrap().document)];
    let old = Caller {
        policies,
        ..user("olga")
    };
    let new = Caller {
        canonical_id: "id-of-the-second-olga".to_owned(),
        ..old.clone()
    };
    let bucket = BucketFacts {
        owner: Some(old.owner_id().to_owned()),
        ..BucketFacts::default()
    };
    let object = ObjectFacts {
        owner: old.owner_id().to_owned(),
        visibility: Some(Visibility::Private),
        ..ObjectFacts::default()
    };
    let elsewhere = Context {
        object: Some(&object),
        ..Context::default()
    };
    for (olga, expected) in [(caller(old), true), (caller(new), false)] {
        assert_eq!(may(&olga, Action::DeleteBucket, BUCKET, with(&bucket)), expected);
        assert_eq!(may(&olga, Action::GetObject, OBJECT, elsewhere), expected);
    }
}

/// What a condition key is for a caller, told by which value allows.
fn value_is(identity: &Identity, context: Context<'_>, key: &str, value: &str) -> bool {
    let condition = format!(r#", "Condition": {{"StringEquals": {{"{key}": "{value}"}}}}"#);
    let bucket = BucketFacts {
        owner: context.bucket.and_then(|bucket| bucket.owner.clone()),
        ..bucket_policy("Allow", "s3:GetObject", r#""*""#, &condition)
    };
    let context = Context {
        bucket: Some(&bucket),
        ..context
    };
    may(identity, Action::GetObject, OBJECT, context)
}

#[test]
fn condition_keys_tell_caller_connection_and_record() {
    let mut request = RequestFacts::at(NOW);
    request.source = Some("203.0.113.9".parse().unwrap());
    request.secure = true;
    request.signing = Some(Signing {
        form: SignedIn::Query,
        time: NOW - time::Duration::seconds(5),
    });
    request.say("s3:prefix", "2026/");
    let object = ObjectFacts {
        tags: vec![("Team".to_owned(), "blue".to_owned())],
        owner: "id-of-olga".to_owned(),
        visibility: Some(Visibility::Shared),
        ..ObjectFacts::default()
    };
    let bucket = BucketFacts {
        owner: Some("id-of-olga".to_owned()),
        ..BucketFacts::default()
    };
    let context = Context {
        request: Some(&request),
        bucket: Some(&bucket),
        object: Some(&object),
        ..Context::default()
    };
    let ann = caller(Caller {
        groups: vec!["dev".to_owned(), "ops".to_owned()],
        claims: BTreeMap::from([("jwt:Mail".to_owned(), vec!["ann@example.com".to_owned()])]),
        ..user("ann")
    });
    for (key, value) in [
        ("aws:username", "ann"),
        ("aws:userid", "ann"),
        ("aws:PrincipalType", "User"),
        ("aws:PrincipalArn", "arn:aws:iam::000000000000:user/ann"),
        ("aws:PrincipalAccount", "id-of-ann"),
        ("aws:ResourceAccount", "id-of-olga"),
        ("s3:ResourceAccount", "id-of-olga"),
        ("aws:groups", "ops"),
        ("jwt:mail", "ann@example.com"),
        ("aws:CurrentTime", "2026-01-02T03:04:05Z"),
        ("aws:EpochTime", "1767323045"),
        ("aws:SourceIp", "203.0.113.9"),
        ("aws:SecureTransport", "true"),
        ("s3:authType", "REST-QUERY-STRING"),
        ("s3:signatureversion", "AWS4-HMAC-SHA256"),
        ("s3:signatureAge", "5000"),
        ("s3:prefix", "2026/"),
        ("s3:ExistingObjectTag/Team", "blue"),
        ("drystone:ObjectOwner", "id-of-olga"),
        ("drystone:Visibility", "shared"),
    ] {
        assert!(value_is(&ann, context, key, value), "{key}");
        assert!(!value_is(&ann, context, key, "other"), "{key}");
    }
    for key in [
        "aws:username",
        "aws:userid",
        "aws:PrincipalAccount",
        "aws:groups",
        "jwt:mail",
    ] {
        for value in ["", "ann", "root"] {
            assert!(!value_is(&Identity::Anonymous, context, key, value), "{key}");
        }
    }
    assert!(!value_is(&ann, Context::default(), "s3:ExistingObjectTag/Team", ""));
}

#[test]
fn what_a_request_says_of_itself_never_becomes_who_or_from_where() {
    // GHSA-fc6g (CVE-2026-21862), GHSA-6r96: every key of identity and connection, said by a client.
    let mut request = RequestFacts::at(NOW);
    let keys = [
        "aws:username",
        "aws:userid",
        "aws:principaltype",
        "aws:principalarn",
        "aws:principalaccount",
        "aws:resourceaccount",
        "aws:groups",
        "aws:sourceip",
        "aws:securetransport",
        "aws:currenttime",
        "aws:epochtime",
        "aws:principaltag/team",
        "jwt:sub",
        "ldap:user",
        "s3:authtype",
        "s3:signatureage",
        "s3:signatureversion",
        "s3:existingobjecttag/team",
        "drystone:objectowner",
    ];
    for key in keys {
        request.say(key, "spoofed");
    }
    let context = Context {
        request: Some(&request),
        ..Context::default()
    };
    for identity in [Identity::Anonymous, caller(user("ann"))] {
        for key in keys {
            assert!(!value_is(&identity, context, key, "spoofed"), "{key}");
        }
    }
}

#[test]
fn visibility_lets_read_and_its_owner_see_it_and_nothing_else_and_yields_to_every_deny() {
    let ann = || caller(user("ann"));
    let olga = || caller(user("olga"));
    let block = BucketFacts {
        ignore_public: true,
        ..BucketFacts::default()
    };
    let open = BucketFacts::default();
    // Whether: anonymous, ann, olga (its owner) may read.
    for (visibility, bucket, expected) in [
        (None, &open, [false, false, false]),
        (Some(Visibility::Private), &open, [false, false, true]),
        (Some(Visibility::Shared), &open, [false, false, true]),
        (Some(Visibility::Protected), &open, [false, true, true]),
        (Some(Visibility::Public), &open, [true, true, true]),
        (Some(Visibility::Public), &block, [false, false, true]),
        (Some(Visibility::Protected), &block, [false, false, true]),
    ] {
        let object = ObjectFacts {
            owner: "id-of-olga".to_owned(),
            visibility,
            ..ObjectFacts::default()
        };
        let context = |bucket| Context {
            object: Some(&object),
            ..with(bucket)
        };
        let denies = bucket_policy("Deny", "s3:GetObject*", r#""*""#, "");
        let callers = [(Identity::Anonymous, false), (ann(), false), (olga(), true)];
        for ((identity, owns), expected) in callers.into_iter().zip(expected) {
            for action in Action::ALL {
                let lets = match action {
                    Action::GetObject | Action::GetObjectVersion => expected,
                    // Whose it is sees what is set as well.
                    Action::GetObjectAcl | Action::GetObjectVersionAcl => owns && expected,
                    _ => false,
                };
                let found = may(&identity, *action, OBJECT, context(bucket));
                assert_eq!(found, lets, "{visibility:?} {action:?} {identity:?}");
            }
            for action in [Action::GetObject, Action::GetObjectAcl] {
                assert!(!may(&identity, action, OBJECT, context(&denies)));
            }
        }
        let own_deny = caller(Caller {
            policies: vec![identity_policy(&statements("Deny", "s3:GetObject", ""))],
            ..user("olga")
        });
        let narrow = caller(Caller {
            session: Some(identity_policy(&statements("Allow", "s3:PutObject", ""))),
            ..user("olga")
        });
        assert!(!may(&own_deny, Action::GetObject, OBJECT, context(bucket)));
        assert!(!may(&narrow, Action::GetObject, OBJECT, context(bucket)));
    }
}

#[test]
fn of_its_own_account_a_caller_may_what_its_credential_does_not_leave_out() {
    let own = |policies: &[&str], session: Option<&str>| {
        let caller = caller(Caller {
            policies: policies.iter().map(|text| identity_policy(text)).collect(),
            session: session.map(identity_policy),
            ..user("ann")
        });
        decide_own(&caller, Action::GetObject, &Context::default()).is_ok()
    };
    let (allow, deny) = (
        r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}}"#,
        r#"{"Version": "2012-10-17", "Statement": {"Effect": "Deny", "Action": "s3:GetObject", "Resource": "*"}}"#,
    );
    let other =
        r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "s3:PutObject", "Resource": "*"}}"#;
    for (policies, session, expected) in [
        (&[][..], None, true),
        (&[deny], None, false),
        (&[], Some(allow), true),
        (&[], Some(deny), false),
        // Silent: it allows something else only.
        (&[], Some(other), false),
        (&[allow], Some(other), false),
        (&[deny], Some(allow), false),
    ] {
        assert_eq!(own(policies, session), expected, "{policies:?} {session:?}");
    }
    assert!(decide_own(&Identity::Root, Action::GetObject, &Context::default()).is_ok());
    assert!(decide_own(&Identity::Anonymous, Action::GetObject, &Context::default()).is_err());
}

#[test]
fn only_what_could_be_a_token_is_taken_for_one() {
    for wrong in [
        "",
        "t",
        &"t".repeat(42),
        &"t".repeat(44),
        &("t".repeat(42) + "+"),
        &("t".repeat(41) + "ü"),
    ] {
        assert_eq!(link_hash(wrong), None, "{wrong}");
    }
    assert_ne!(link_hash(&"t".repeat(43)), link_hash(&"u".repeat(43)));
}

fn ann_id() -> String {
    user("ann").owner_id().to_owned()
}
