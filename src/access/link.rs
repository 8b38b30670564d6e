//! What a request that came by a link of a file may ask for, whoever it counts as. Pure.

use super::{Action, Context, Resource};
use crate::auth::LinkUse;

/// Whether it is what the link is for, or came by none. A link only ever narrows: what its asker may not, it does not let.
pub(super) fn is_within(action: Action, resource: Resource<'_>, context: &Context<'_>) -> bool {
    let Some(terms) = context.request.and_then(|request| request.terms.as_ref()) else {
        return true;
    };
    let is_about = match resource {
        Resource::Object { bucket, key } => bucket == terms.bucket && key == terms.key,
        Resource::Service | Resource::Bucket(_) => false,
    };
    let asked = match &terms.lets {
        LinkUse::Get { .. } => Action::GetObject,
        LinkUse::Put { .. } | LinkUse::Part { .. } => Action::PutObject,
    };
    is_about && action == asked
}
