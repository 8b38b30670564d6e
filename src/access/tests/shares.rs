//! Shares of objects: what they let, how long, and what is stronger.

use std::collections::BTreeMap;

use super::{NOW, OBJECT, ann_id, bucket_policy, caller, identity_policy, may, statements, user, with};
use crate::access::{
    Action, BucketFacts, Context, ObjectFacts, RequestFacts, Share, SharedWith, Visibility, decide, link_hash,
};
use crate::auth::{Caller, Identity};

fn share(with: SharedWith, write: bool) -> Share {
    Share {
        with,
        write,
        expires_millis: None,
    }
}

fn object(visibility: Visibility, share: Share) -> ObjectFacts {
    ObjectFacts {
        owner: "olga".to_owned(),
        visibility: Some(visibility),
        shares: vec![share],
        ..ObjectFacts::default()
    }
}

#[test]
fn a_share_lets_what_it_says_while_it_counts_and_yields_to_every_deny() {
    let token = "t".repeat(43);
    let of_crew = || {
        caller(Caller {
            groups: vec!["crew".to_owned()],
            ..user("ann")
        })
    };
    let with_address = |verified: &str| {
        let claims = [("jwt:email", "Ann@Example.com"), ("jwt:email_verified", verified)];
        let claims = claims.map(|(name, value)| (name.to_owned(), vec![value.to_owned()]));
        caller(Caller {
            claims: BTreeMap::from(claims),
            ..user("ann")
        })
    };
    let ann = || caller(user("ann"));
    let bucket = BucketFacts::default();
    let mut request = RequestFacts::at(NOW);
    request.link = link_hash(&token);
    let plain = RequestFacts::at(NOW);
    let to_ann = || SharedWith::User(ann_id());
    let email = || SharedWith::Email("ann@example.com".to_owned());
    let link = || SharedWith::Link(link_hash(&token).unwrap());
    for (identity, target, request, expected) in [
        (ann(), to_ann(), &plain, true),
        (caller(user("bob")), to_ann(), &plain, false),
        (Identity::Anonymous, to_ann(), &plain, false),
        (of_crew(), SharedWith::Group("crew".to_owned()), &plain, true),
        (ann(), SharedWith::Group("crew".to_owned()), &plain, false),
        (with_address("true"), email(), &plain, true),
        (with_address("false"), email(), &plain, false),
        (ann(), email(), &plain, false),
        (Identity::Anonymous, link(), &request, true),
        (ann(), link(), &request, true),
        (Identity::Anonymous, link(), &plain, false),
        (ann(), SharedWith::Link([0; 32]), &request, false),
    ] {
        for write in [false, true] {
            let shared = object(Visibility::Shared, share(target.clone(), write));
            let context = |object| Context {
                request: Some(request),
                object: Some(object),
                ..with(&bucket)
            };
            for action in Action::ALL {
                let reads = matches!(action, Action::GetObject | Action::GetObjectVersion);
                let writes = *action == Action::PutObject && write;
                let grant = decide(&identity, *action, OBJECT, &context(&shared));
                assert_eq!(grant.is_ok(), expected && (reads || writes), "{target:?} {action:?}");
                // A right that only a share gives is one on that very object.
                assert!(grant.is_err() || grant.unwrap().only_replaces() == writes);
            }
            for closed in [Visibility::Private, Visibility::Protected] {
                let closed = object(closed, share(target.clone(), write));
                let context = Context {
                    request: Some(request),
                    object: Some(&closed),
                    ..with(&bucket)
                };
                assert!(!may(&identity, Action::PutObject, OBJECT, context));
            }
        }
    }
}

#[test]
fn a_share_is_bounded_by_the_callers_own_policies_and_a_right_of_its_own_is_more() {
    let bucket = BucketFacts::default();
    let shared = object(Visibility::Shared, share(SharedWith::User(ann_id()), true));
    let ann = || caller(user("ann"));
    let narrow = caller(Caller {
        session: Some(identity_policy(&statements("Allow", "s3:GetObject", ""))),
        ..user("ann")
    });
    let own_deny = caller(Caller {
        policies: vec![identity_policy(&statements("Deny", "s3:GetObject", ""))],
        ..user("ann")
    });
    let context = Context {
        object: Some(&shared),
        ..with(&bucket)
    };
    assert!(may(&narrow, Action::GetObject, OBJECT, context) && !may(&narrow, Action::PutObject, OBJECT, context));
    assert!(!may(&own_deny, Action::GetObject, OBJECT, context) && may(&own_deny, Action::PutObject, OBJECT, context));
    let denies = bucket_policy("Deny", "s3:*", r#""*""#, "");
    for action in [Action::GetObject, Action::PutObject] {
        let context = Context {
            object: Some(&shared),
            ..with(&denies)
        };
        assert!(!may(&ann(), action, OBJECT, context));
    }
    // A policy can ask what it is shared with the caller for.
    let condition = r#", "Condition": {"StringEquals": {"drystone:Share": "write"}}"#;
    let asks = bucket_policy("Allow", "s3:GetObjectTagging", r#""*""#, condition);
    for (identity, expected) in [(ann(), true), (caller(user("bob")), false)] {
        let context = Context {
            object: Some(&shared),
            ..with(&asks)
        };
        assert_eq!(may(&identity, Action::GetObjectTagging, OBJECT, context), expected);
    }
    // Who may by a policy as well may more than replace.
    let full = caller(Caller {
        policies: vec![identity_policy(&statements("Allow", "s3:*", ""))],
        ..user("ann")
    });
    let granted = decide(&full, Action::PutObject, OBJECT, &context).unwrap();
    assert!(!granted.only_replaces());
}

#[test]
fn a_share_ends_at_its_time_and_counts_for_nothing_where_the_time_is_not_known() {
    let millis = u64::try_from(NOW.unix_timestamp() * 1_000).unwrap();
    let request = RequestFacts::at(NOW);
    for (expires_millis, known, expected) in [
        (Some(millis + 1), true, true),
        (Some(millis), true, false),
        (Some(millis - 1), true, false),
        (Some(millis + 1), false, false),
        (None, false, true),
    ] {
        let object = ObjectFacts {
            visibility: Some(Visibility::Shared),
            shares: vec![Share {
                with: SharedWith::User(ann_id()),
                write: false,
                expires_millis,
            }],
            ..ObjectFacts::default()
        };
        let context = Context {
            request: known.then_some(&request),
            object: Some(&object),
            ..Context::default()
        };
        let found = may(&caller(user("ann")), Action::GetObject, OBJECT, context);
        assert_eq!(found, expected, "{expires_millis:?} {known}");
    }
}
