//! The policies that the server writes for those who come from apps. Pure.
//!
//! They are ordinary policies, so the one authorizer judges apps as everybody else. Each names the app bucket and nothing
//! beside it: whatever a token says, its bearer stays in there.

use std::sync::Arc;

use serde_json::{Value, json};
use storage_engine::store::name::BucketName;

use super::scopes::{Operation, Scopes};
use crate::policy::{Kind, Policy, PolicyError};

/// A file that does not stand yet.
fn absent() -> Value {
    json!({ "Null": { "drystone:ObjectOwner": "true" } })
}

/// A file that stands.
fn present() -> Value {
    json!({ "Null": { "drystone:ObjectOwner": "false" } })
}

/// A file whose owner the caller is.
fn own() -> Value {
    json!({ "StringEquals": { "drystone:ObjectOwner": "${aws:PrincipalAccount}" } })
}

fn allow(actions: &[&str], resource: &str, condition: Option<Value>) -> Value {
    let mut statement = json!({ "Effect": "Allow", "Action": actions, "Resource": resource });
    if let (Some(fields), Some(condition)) = (statement.as_object_mut(), condition) {
        fields.insert("Condition".to_owned(), condition);
    }
    statement
}

fn policy(statements: Vec<Value>, kind: Kind<'_>) -> Result<Arc<Policy>, PolicyError> {
    let document = json!({ "Version": "2012-10-17", "Statement": statements });
    Policy::parse(document.to_string().as_bytes(), kind).map(Arc::new)
}

/// What users of an app may do: put what does not stand yet, and everything with what is theirs. What others let them read
/// is their visibility's and shares' to say.
pub(super) fn of_users(bucket: &BucketName) -> Result<Arc<Policy>, PolicyError> {
    let files = format!("arn:aws:s3:::{bucket}/*");
    let new = ["s3:PutObject", "s3:PutObjectAcl", "s3:PutObjectTagging"];
    let theirs = [
        "s3:GetObject",
        "s3:GetObjectAcl",
        "s3:GetObjectAttributes",
        "s3:GetObjectTagging",
        "s3:PutObject",
        "s3:PutObjectAcl",
        "s3:PutObjectTagging",
        "s3:DeleteObject",
        "s3:DeleteObjectTagging",
    ];
    let statements = vec![allow(&new, &files, Some(absent())), allow(&theirs, &files, Some(own()))];
    policy(statements, Kind::Identity)
}

/// What may be done with a key of these scopes: all that its bearer may, and what a secret key and an app's admins may.
pub(super) fn of_scopes(bucket: &BucketName, scopes: &Scopes) -> Result<Arc<Policy>, PolicyError> {
    let (whole, files) = (format!("arn:aws:s3:::{bucket}"), format!("arn:aws:s3:::{bucket}/*"));
    let mut statements = Vec::new();
    if scopes.allow(Operation::Read) {
        let actions = [
            "s3:GetObject",
            "s3:GetObjectAcl",
            "s3:GetObjectAttributes",
            "s3:GetObjectTagging",
        ];
        statements.push(allow(&actions, &files, None));
    }
    if scopes.allow(Operation::List) {
        let actions = ["s3:ListBucket", "s3:ListBucketMultipartUploads", "s3:GetBucketLocation"];
        statements.push(allow(&actions, &whole, None));
    }
    let puts = ["s3:PutObject", "s3:PutObjectAcl", "s3:PutObjectTagging"];
    if scopes.allow(Operation::Create) {
        statements.push(allow(&puts, &files, Some(absent())));
    }
    if scopes.allow(Operation::Update) {
        statements.push(allow(&puts, &files, Some(present())));
        statements.push(allow(&["s3:DeleteObjectTagging"], &files, None));
    }
    if scopes.allow(Operation::Create) || scopes.allow(Operation::Update) {
        let parts = ["s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"];
        statements.push(allow(&parts, &files, None));
    }
    if scopes.allow(Operation::Delete) {
        statements.push(allow(&["s3:DeleteObject"], &files, None));
    }
    if statements.is_empty() {
        // A policy says something; this says nothing to anybody.
        statements.push(json!({ "Effect": "Deny", "Action": "s3:*", "Resource": files }));
    }
    policy(statements, Kind::Session)
}

/// What may be done with a credential that only uploads: put what does not stand yet, and go on with an upload or give it up.
/// Whose upload that must be is said by the rights of who has it.
pub(super) fn of_uploads(bucket: &BucketName) -> Result<Arc<Policy>, PolicyError> {
    let files = format!("arn:aws:s3:::{bucket}/*");
    let parts = ["s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"];
    let statements = vec![
        allow(&["s3:PutObject"], &files, Some(absent())),
        allow(&parts, &files, None),
    ];
    policy(statements, Kind::Session)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::access::{Action, Context, ObjectFacts, Resource, Visibility, decide};
    use crate::auth::{Account, Caller, Federated, Identity};

    const ANN: &str = "app:shop/own|ann";

    fn bucket() -> BucketName {
        BucketName::parse("shop-dev").unwrap()
    }

    fn caller(policy: Arc<Policy>, scopes: &Scopes) -> Identity {
        Identity::Caller(Arc::new(Caller {
            access_key: "0123".into(),
            kind: crate::auth::Kind::AccessKey,
            account: Account::Federated(Federated::new("shop/own|ann")),
            canonical_id: ANN.into(),
            groups: Vec::new(),
            claims: BTreeMap::new(),
            policies: vec![policy],
            session: Some(of_scopes(&bucket(), scopes).unwrap()),
        }))
    }

    fn of(owner: &str, visibility: Visibility) -> ObjectFacts {
        ObjectFacts {
            owner: owner.to_owned(),
            visibility: Some(visibility),
            ..ObjectFacts::default()
        }
    }

    fn may(identity: &Identity, action: Action, bucket: &str, object: Option<&ObjectFacts>) -> bool {
        let resource = match action {
            Action::ListBucket => Resource::Bucket(bucket),
            _ => Resource::Object { bucket, key: "f/a.txt" },
        };
        let context = Context {
            object,
            ..Context::default()
        };
        decide(identity, action, resource, &context).is_ok()
    }

    #[test]
    fn users_have_what_is_theirs_and_of_others_what_is_visible_in_their_bucket_alone() {
        let user = caller(of_users(&bucket()).unwrap(), &Scopes::all());
        let (mine, others) = (
            of(ANN, Visibility::Private),
            of("app:shop/own|bob", Visibility::Private),
        );
        let (open, signed_in) = (of("x", Visibility::Public), of("x", Visibility::Protected));
        let table = [
            (Action::GetObject, [false, true, false, true, true]),
            (Action::PutObject, [true, true, false, false, false]),
            (Action::PutObjectAcl, [true, true, false, false, false]),
            (Action::DeleteObject, [false, true, false, false, false]),
            (Action::DeleteBucket, [false; 5]),
            (Action::ListBucket, [false; 5]),
        ];
        for (action, expected) in table {
            let objects = [None, Some(&mine), Some(&others), Some(&open), Some(&signed_in)];
            for (object, expected) in objects.into_iter().zip(expected) {
                assert_eq!(
                    may(&user, action, "shop-dev", object),
                    expected,
                    "{action:?} {object:?}"
                );
                assert!(!may(&user, action, "shop-prod", object), "{action:?} {object:?}");
            }
        }
    }

    #[test]
    fn what_only_uploads_puts_what_does_not_stand_and_nothing_else() {
        let Identity::Caller(user) = caller(of_users(&bucket()).unwrap(), &Scopes::all()) else {
            unreachable!("a caller")
        };
        let uploader = Identity::Caller(Arc::new(Caller {
            session: Some(of_uploads(&bucket()).unwrap()),
            ..Caller::clone(&user)
        }));
        let stands = [
            None,
            Some(of(ANN, Visibility::Private)),
            Some(of("x", Visibility::Public)),
        ];
        for object in &stands {
            for action in Action::ALL {
                let expected = *action == Action::PutObject && object.is_none();
                let found = may(&uploader, *action, "shop-dev", object.as_ref());
                assert_eq!(found, expected, "{action:?} {object:?}");
                assert!(!may(&uploader, *action, "shop-prod", object.as_ref()), "{action:?}");
            }
        }
        for (initiator, expected) in [(None, false), (Some("x"), false), (Some(ANN), true)] {
            let context = Context {
                initiator,
                ..Context::default()
            };
            let resource = Resource::Object {
                bucket: "shop-dev",
                key: "f",
            };
            for action in [Action::AbortMultipartUpload, Action::ListMultipartUploadParts] {
                assert_eq!(
                    decide(&uploader, action, resource, &context).is_ok(),
                    expected,
                    "{initiator:?}"
                );
            }
        }
    }

    #[test]
    fn scopes_let_admins_do_what_they_name_and_bound_everybody() {
        let table = [
            ("files:read", Action::GetObject, [true, true]),
            ("files:list", Action::ListBucket, [true, true]),
            ("files:create", Action::PutObject, [true, false]),
            ("files:update", Action::PutObject, [false, true]),
            ("files:update", Action::PutObjectAcl, [false, true]),
            ("files:delete", Action::DeleteObject, [true, true]),
        ];
        let others = of("app:shop/own|bob", Visibility::Private);
        let (mine, open) = (of(ANN, Visibility::Private), of("x", Visibility::Public));
        for (name, action, expected) in table {
            let scopes = Scopes::parse(&[name]).unwrap();
            let admin = caller(of_scopes(&bucket(), &scopes).unwrap(), &scopes);
            for (object, expected) in [None, Some(&others)].into_iter().zip(expected) {
                assert_eq!(may(&admin, action, "shop-dev", object), expected, "{name} {object:?}");
                assert!(!may(&admin, action, "other", object), "{name}");
            }
            let user = caller(of_users(&bucket()).unwrap(), &scopes);
            let needed = [
                (Action::GetObject, "files:read"),
                (Action::PutObject, "files:update"),
                (Action::DeleteObject, "files:delete"),
            ];
            for (other, scope) in needed {
                let allowed = may(&user, other, "shop-dev", Some(&mine));
                assert_eq!(allowed, name == scope, "{name} {other:?}");
            }
            assert_eq!(
                may(&user, Action::GetObject, "shop-dev", Some(&open)),
                name == "files:read"
            );
        }
        let nothing = Scopes::default();
        let admin = caller(of_scopes(&bucket(), &nothing).unwrap(), &nothing);
        for action in [
            Action::GetObject,
            Action::PutObject,
            Action::DeleteObject,
            Action::ListBucket,
        ] {
            assert!(!may(&admin, action, "shop-dev", Some(&mine)), "{action:?}");
        }
    }
}
