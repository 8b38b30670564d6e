//! What callers ask about their own account: nobody needs a right for it, and a policy can still deny it.

use super::keys::Asked;
use super::{Action, Context, Denied, Grant, Resource, principal, within_session};
use crate::auth::Identity;
use crate::policy::{Effect, Question};

/// Decides whether `identity` may perform `action` on what is its own: whoever is known may, unless one of its policies
/// denies it, and with a credential that carries a policy itself only what that allows. Whether it is the caller's own is for whoever asks to see to.
pub fn decide_own(identity: &Identity, action: Action, context: &Context<'_>) -> Result<Grant, Denied> {
    let caller = match identity {
        Identity::Anonymous => return Err(Denied::to(true)),
        Identity::Root => {
            return Ok(Grant {
                action,
                only_replaces: false,
            });
        }
        Identity::Caller(caller) => caller,
    };
    let arn = Resource::Service.arn();
    let keys = Asked { identity, context };
    let question = Question {
        action: action.name(),
        resource: &arn,
        principal: principal(identity),
        keys: &keys,
    };
    let denied = caller
        .policies
        .iter()
        .any(|policy| policy.judge(&question) == Effect::Deny);
    if denied || !within_session(caller, &question) {
        return Err(Denied::to(false));
    }
    Ok(Grant {
        action,
        only_replaces: false,
    })
}
