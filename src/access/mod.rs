//! MAY the caller do this: the one authorizer for every front.
//!
//! Owns the decision and its proof, [`Grant`]. It never looks at signatures (that is `auth`) and never touches stored
//! data. What is protected is kept [`Behind`] a grant, so a handler that forgot to ask does not compile.
//!
//! Root may do everything and anonymous callers nothing; identities, policies and visibility extend [`decide`].

mod action;
mod request;

pub use action::Action;
pub use request::RequestTags;

use crate::auth::Identity;

/// What an action is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource<'a> {
    /// The service itself, as for listing buckets.
    Service,
    Bucket(&'a str),
    Object {
        bucket: &'a str,
        key: &'a str,
    },
}

/// Facts of the request that a decision may depend on.
#[derive(Clone, Copy, Debug, Default)]
pub struct Context {
    /// The request asks to override response headers, which anonymous callers may never do.
    pub overrides_response: bool,
}

/// Proof that [`decide`] allowed an action. Nothing else can make one.
#[derive(Debug)]
#[must_use = "a grant is what opens the store"]
pub struct Grant {
    action: Action,
}

impl Grant {
    /// The action that was allowed.
    pub fn action(&self) -> Action {
        self.action
    }
}

/// A refusal. Says nothing about whether the resource exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("access denied")]
pub struct Denied {
    /// The caller sent no credentials, so the answer may invite it to.
    pub anonymous: bool,
}

/// Decides whether `identity` may perform `action` on `resource`.
pub fn decide(
    identity: &Identity,
    action: Action,
    _resource: Resource<'_>,
    _context: &Context,
) -> Result<Grant, Denied> {
    match identity {
        Identity::Root => Ok(Grant { action }),
        Identity::Anonymous => Err(Denied { anonymous: true }),
        // Nothing reads policies yet, and without a policy nothing is allowed.
        Identity::Caller(_) => Err(Denied { anonymous: false }),
    }
}

/// Something that can be used only with a [`Grant`] in hand.
#[derive(Clone, Debug)]
pub struct Behind<T>(T);

impl<T> Behind<T> {
    pub fn new(inner: T) -> Self {
        Self(inner)
    }

    /// Opens it for one granted action.
    pub fn with(&self, _grant: &Grant) -> &T {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::{Action, Context, Denied, Identity, Resource, decide};

    #[test]
    fn root_may_do_everything_and_anonymous_nothing() {
        for action in Action::ALL {
            let resource = Resource::Object {
                bucket: "bucket",
                key: "key",
            };
            let grant = decide(&Identity::Root, *action, resource, &Context::default()).unwrap();
            assert_eq!(grant.action(), *action);
            let denied = decide(&Identity::Anonymous, *action, resource, &Context::default()).unwrap_err();
            assert_eq!(denied, Denied { anonymous: true });
        }
    }
}
