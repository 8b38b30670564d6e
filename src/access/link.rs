//! What a request may ask for that came by a link of a file, or with a credential that only uploads, whoever it counts as.
//! Pure.

use super::{Action, Context, Resource};
use crate::auth::{LinkTerms, LinkUse, Terms};

/// Whether it is what the terms are for, or came under none. Terms only ever narrow: what their asker may not, they do not
/// let.
pub(super) fn is_within(action: Action, resource: Resource<'_>, context: &Context<'_>) -> bool {
    let Some(terms) = context.request.and_then(|request| request.terms.as_ref()) else {
        return true;
    };
    let Resource::Object { bucket, key } = resource else {
        return false;
    };
    match terms {
        Terms::Link(terms) => bucket == terms.bucket && key == terms.key && action == asked(terms),
        Terms::Uploads(terms) => bucket == terms.bucket && uploads(action),
    }
}

fn asked(terms: &LinkTerms) -> Action {
    match &terms.lets {
        LinkUse::Get { .. } => Action::GetObject,
        LinkUse::Put { .. } | LinkUse::Part { .. } => Action::PutObject,
    }
}

/// Whether it is a step of an upload: neither reading nor saying anything of what is stored is.
fn uploads(action: Action) -> bool {
    matches!(
        action,
        Action::PutObject | Action::AbortMultipartUpload | Action::ListMultipartUploadParts
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use time::macros::datetime;

    use super::super::{RequestFacts, decide};
    use super::*;
    use crate::auth::{Identity, UploadTerms};

    const HERE: Resource<'_> = Resource::Object {
        bucket: "shop-dev",
        key: "a.png",
    };

    /// What even root may do under these terms.
    fn lets(terms: &Terms, resource: Resource<'_>) -> Vec<Action> {
        let mut request = RequestFacts::at(datetime!(2026-01-02 03:04:05 UTC));
        request.terms = Some(terms.clone());
        let context = Context {
            request: Some(&request),
            ..Context::default()
        };
        let may = |action: &Action| decide(&Identity::Root, *action, resource, &context).is_ok();
        Action::ALL.iter().copied().filter(may).collect()
    }

    fn elsewhere() -> [Resource<'static>; 3] {
        let other = Resource::Object {
            bucket: "shop-prod",
            key: "a.png",
        };
        [other, Resource::Bucket("shop-dev"), Resource::Service]
    }

    #[test]
    fn a_credential_that_uploads_lets_the_steps_of_an_upload_into_its_bucket_and_nothing_else() {
        let terms = Terms::Uploads(Arc::new(UploadTerms {
            bucket: "shop-dev".into(),
            expires: datetime!(2026-01-02 04:04:05 UTC),
            of_user: true,
        }));
        let mut found = lets(&terms, HERE);
        found.sort_by_key(|action| format!("{action:?}"));
        let steps = [
            Action::AbortMultipartUpload,
            Action::ListMultipartUploadParts,
            Action::PutObject,
        ];
        assert_eq!(found, steps);
        for resource in elsewhere() {
            assert_eq!(lets(&terms, resource), [], "{resource:?}");
        }
    }

    #[test]
    fn a_link_lets_the_one_thing_that_it_is_for() {
        let part = LinkUse::Part {
            upload: "u".into(),
            numbers: 1..=1,
            max_size: None,
        };
        for (use_of, action) in [(LinkUse::get(), Action::GetObject), (part, Action::PutObject)] {
            let terms = Terms::Link(Arc::new(LinkTerms {
                file: [1; 16],
                bucket: "shop-dev".into(),
                key: "a.png".into(),
                epoch: 0,
                expires: datetime!(2026-01-02 04:04:05 UTC),
                lets: use_of,
                takes_guests: false,
            }));
            assert_eq!(lets(&terms, HERE), [action]);
            let beside = Resource::Object {
                bucket: "shop-dev",
                key: "b.png",
            };
            for resource in elsewhere().into_iter().chain([beside]) {
                assert_eq!(lets(&terms, resource), [], "{resource:?}");
            }
        }
    }
}
