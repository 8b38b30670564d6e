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
