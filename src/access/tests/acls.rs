//! What the ACL of a bucket lets, and who began an upload.

use std::sync::Arc;

use super::{OBJECT, ann_id, bucket_policy, caller, identity_policy, may, statements, user, with};
use crate::access::{Action, BucketAcl, BucketFacts, Context, ObjectFacts};
use crate::auth::{Caller, Identity};
use crate::policy::Policy;

#[test]
fn the_acl_of_a_bucket_lists_and_puts_and_opens_no_object() {
    let lists = [
        Action::ListBucket,
        Action::ListBucketMultipartUploads,
        Action::ListBucketVersions,
    ];
    for (acl, [anonymous, signed_in], puts) in [
        (BucketAcl::PublicRead, [true, true], false),
        (BucketAcl::PublicReadWrite, [true, true], true),
        (BucketAcl::AuthenticatedRead, [false, true], false),
    ] {
        for ignore_public in [false, true] {
            let bucket = BucketFacts {
                acl: Some(acl),
                ignore_public,
                ..BucketFacts::default()
            };
            for (identity, lets) in [(Identity::Anonymous, anonymous), (caller(user("ann")), signed_in)] {
                for action in Action::ALL {
                    let named = lists.contains(action) || (puts && *action == Action::PutObject);
                    let found = may(&identity, *action, OBJECT, with(&bucket));
                    assert_eq!(found, lets && named && !ignore_public, "{acl:?} {action:?}");
                }
            }
        }
    }
}

#[test]
fn guests_put_a_new_file_where_they_may_and_do_nothing_else() {
    let deny = bucket_policy("Deny", "s3:PutObject", r#""*""#, "");
    let closed = BucketFacts {
        ignore_public: true,
        ..BucketFacts::default()
    };
    let object = ObjectFacts::default();
    for (bucket, takes_guests, object, lets) in [
        (&BucketFacts::default(), true, None, true),
        (&BucketFacts::default(), false, None, false),
        (&BucketFacts::default(), true, Some(&object), false),
        (&closed, true, None, false),
        (&deny, true, None, false),
    ] {
        for (identity, is_guest) in [(Identity::Anonymous, true), (caller(user("ann")), false)] {
            for action in Action::ALL {
                let context = Context {
                    takes_guests,
                    object,
                    ..with(bucket)
                };
                let expected = lets && is_guest && *action == Action::PutObject;
                assert_eq!(may(&identity, *action, OBJECT, context), expected, "{action:?}");
            }
        }
    }
}

/// As on AWS a writer says who reads what it writes; a right to write that a policy gives is none to open anything.
#[test]
fn who_writes_by_the_acl_of_a_bucket_opens_what_it_writes_and_nothing_that_stands() {
    let bucket = |acl, ignore_public| BucketFacts {
        acl,
        ignore_public,
        ..BucketFacts::default()
    };
    let puts = identity_policy(&statements("Allow", "s3:PutObject", ""));
    let denied = identity_policy(&statements("Deny", "s3:PutObjectAcl", ""));
    let with_policy = |policy: &Arc<Policy>| Caller {
        policies: vec![Arc::clone(policy)],
        ..user("ann")
    };
    let narrow = Caller {
        session: Some(Arc::clone(&puts)),
        ..user("ann")
    };
    let everybody = Some(BucketAcl::PublicReadWrite);
    for (identity, bucket, at_write, expected) in [
        (Identity::Anonymous, bucket(everybody, false), true, true),
        (Identity::Anonymous, bucket(everybody, false), false, false),
        (Identity::Anonymous, bucket(everybody, true), true, false),
        (
            Identity::Anonymous,
            bucket(Some(BucketAcl::PublicRead), false),
            true,
            false,
        ),
        (Identity::Anonymous, bucket(None, false), true, false),
        (caller(user("ann")), bucket(everybody, false), true, true),
        (
            caller(user("ann")),
            bucket(Some(BucketAcl::AuthenticatedRead), false),
            true,
            false,
        ),
        (caller(with_policy(&puts)), bucket(None, false), true, false),
        (caller(with_policy(&puts)), bucket(everybody, false), true, true),
        (caller(with_policy(&denied)), bucket(everybody, false), true, false),
        (caller(narrow), bucket(everybody, false), true, false),
        (
            Identity::Anonymous,
            bucket_policy("Allow", "s3:PutObject", r#""*""#, ""),
            true,
            false,
        ),
    ] {
        let context = Context {
            at_write,
            ..with(&bucket)
        };
        let found = may(&identity, Action::PutObjectAcl, OBJECT, context);
        assert_eq!(found, expected, "{identity:?} {bucket:?} {at_write}");
        // Nor does it say anything else of it.
        for action in [Action::PutObjectTagging, Action::PutObjectVersionAcl, Action::GetObject] {
            assert!(!may(&identity, action, OBJECT, context), "{action:?}");
        }
    }
}

#[test]
fn who_began_an_upload_lists_its_parts_and_gives_it_up_unless_a_policy_is_against_it() {
    let policies = |effect: &str, action: &str| vec![identity_policy(&statements(effect, action, ""))];
    let mine = || caller(user("ann"));
    let denied = caller(Caller {
        policies: policies("Deny", "s3:AbortMultipartUpload"),
        ..user("ann")
    });
    let narrow = caller(Caller {
        session: policies("Allow", "s3:ListMultipartUploadParts").pop(),
        ..user("ann")
    });
    let ann = ann_id();
    for (identity, initiator, [lists, gives_up]) in [
        (mine(), Some(ann.as_str()), [true, true]),
        (mine(), None, [false, false]),
        (caller(user("bob")), Some(ann.as_str()), [false, false]),
        (Identity::Anonymous, Some(ann.as_str()), [false, false]),
        (Identity::Anonymous, None, [false, false]),
        (denied, Some(ann.as_str()), [true, false]),
        (narrow, Some(ann.as_str()), [true, false]),
    ] {
        let context = Context {
            initiator,
            ..Context::default()
        };
        for action in Action::ALL {
            let expected = match action {
                Action::ListMultipartUploadParts => lists,
                Action::AbortMultipartUpload => gives_up,
                _ => false,
            };
            assert_eq!(
                may(&identity, *action, OBJECT, context),
                expected,
                "{identity:?} {action:?}"
            );
        }
    }
}
