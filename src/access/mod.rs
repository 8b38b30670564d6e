//! MAY the caller do this: the one authorizer for every front.
//!
//! Owns the decision and its proof, [`Grant`]. It never looks at signatures (that is `auth`) and never touches stored
//! data: fronts hand in what is stored as plain values. What is protected is kept [`Behind`] a grant, so a handler that
//! forgot to ask does not compile.
//!
//! A Deny of any policy wins. Then root may. A caller may what its own policies, the bucket's policy or ACL, or the
//! object's visibility or a share allow, or may put a new file where guests may, or may give up and list what it uploads
//! itself, and, if its credential carries a policy itself, no more than that allows; by a link, or with a credential that
//! only uploads, nobody may more than it is for. Everything else is refused. Bytes that
//! are barred nobody reads, root neither.

mod action;
mod barred;
mod facts;
mod keys;
mod link;
mod own;
mod request;
mod role;
#[cfg(test)]
mod tests;
mod visibility;

use std::borrow::Cow;
use std::sync::Arc;

pub use action::Action;
pub use facts::{Barred, BucketAcl, BucketFacts, BucketPolicy, ObjectFacts, Share, SharedWith, Visibility};
pub use keys::owner_id_of;
pub use own::decide_own;
pub use request::{RequestFacts, RequestTags, link_hash};
pub use role::{RoleAsked, decide_role, decide_role_of_token};
pub use visibility::{is_visible_by, reads_object, shared_with};

use crate::auth::{Account, Caller, Identity};
use crate::policy::{Effect, Policy, Principal, Question, WHOLE_STORE};
use keys::Asked;

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

impl Resource<'_> {
    fn arn(&self) -> Cow<'static, str> {
        match self {
            Self::Service => Cow::Borrowed(WHOLE_STORE),
            Self::Bucket(bucket) => Cow::Owned(format!("arn:aws:s3:::{bucket}")),
            Self::Object { bucket, key } => Cow::Owned(format!("arn:aws:s3:::{bucket}/{key}")),
        }
    }
}

/// What a decision may depend on beside caller, action and resource. What is left out is unknown, and a condition on it
/// holds as AWS says of a missing key.
#[derive(Clone, Copy, Debug, Default)]
pub struct Context<'a> {
    pub request: Option<&'a RequestFacts>,
    /// The tags it brings in its body; `None`: those of its headers count.
    pub tags: Option<&'a RequestTags>,
    /// The bucket of the resource.
    pub bucket: Option<&'a BucketFacts>,
    /// The object of the resource, if there is one.
    pub object: Option<&'a ObjectFacts>,
    /// It is asked as a part of putting the object: its bytes will be the caller's.
    pub at_write: bool,
    /// It is to make a file in a logical bucket that those who are not signed in put files into, as the project says now.
    pub takes_guests: bool,
    /// The owner id of the account that began the upload that it is asked for; `None`: it is about no upload, or nobody
    /// known began it.
    pub initiator: Option<&'a str>,
}

/// Proof that [`decide`] allowed an action. Nothing else can make one.
#[derive(Debug)]
#[must_use = "a grant is what opens the store"]
pub struct Grant {
    action: Action,
    only_replaces: bool,
}

impl Grant {
    /// The action that was allowed.
    pub fn action(&self) -> Action {
        self.action
    }

    /// Nothing but a share allowed it: other bytes may be put in the place of the object that was judged, which stays whose
    /// it is and shared with whom it is, and nothing else may be done.
    pub fn only_replaces(&self) -> bool {
        self.only_replaces
    }
}

/// A refusal. Says nothing about whether the resource exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("access denied")]
pub struct Denied {
    /// The caller sent no credentials, so the answer may invite it to.
    pub anonymous: bool,
    /// They might read it, if anybody did. To others nothing is said of that.
    pub barred: Option<Barred>,
}

impl Denied {
    fn to(anonymous: bool) -> Self {
        Self {
            anonymous,
            barred: None,
        }
    }
}

/// Decides whether `identity` may perform `action` on `resource`. What is barred nobody reads: the one place that says so.
pub fn decide(
    identity: &Identity,
    action: Action,
    resource: Resource<'_>,
    context: &Context<'_>,
) -> Result<Grant, Denied> {
    let grant = decide_by_right(identity, action, resource, context)?;
    match barred::of(action, context) {
        None => Ok(grant),
        barred => Err(Denied {
            anonymous: matches!(identity, Identity::Anonymous),
            barred,
        }),
    }
}

/// Whether they may it, as far as who they are goes.
fn decide_by_right(
    identity: &Identity,
    action: Action,
    resource: Resource<'_>,
    context: &Context<'_>,
) -> Result<Grant, Denied> {
    let arn = resource.arn();
    let keys = Asked { identity, context };
    let question = Question {
        action: action.name(),
        resource: &arn,
        principal: principal(identity),
        keys: &keys,
    };
    let by_bucket = match context.bucket {
        Some(bucket) => of_bucket(identity, action, bucket, &question),
        None => Effect::Silent,
    };
    let by_resource = by_bucket == Effect::Allow
        || visibility::of_acl(identity, action, context)
        || visibility::of_guests(identity, action, context)
        || visibility::of_upload(identity, action, context)
        || visibility::of_object(identity, action, context);
    let allowed = |by_resource: bool| match identity {
        _ if by_bucket == Effect::Deny => false,
        Identity::Root => true,
        Identity::Anonymous => by_resource,
        Identity::Caller(caller) => may(caller, &question, by_resource),
    };
    let granted = |only_replaces: bool| Grant { action, only_replaces };
    let denied = Denied::to(matches!(identity, Identity::Anonymous));
    if !link::is_within(action, resource, context) {
        return Err(denied);
    }
    if allowed(by_resource) {
        return Ok(granted(false));
    }
    if visibility::of_shares(identity, action, context) && allowed(true) {
        return Ok(granted(visibility::writes(action)));
    }
    Err(denied)
}

/// Whether a policy, of the bucket or of the caller, denies it, whatever else would allow it: for what has another name in
/// the admin API, and must not be a way around.
pub fn is_denied(identity: &Identity, action: Action, resource: Resource<'_>, context: &Context<'_>) -> bool {
    let arn = resource.arn();
    let keys = Asked { identity, context };
    let question = Question {
        action: action.name(),
        resource: &arn,
        principal: principal(identity),
        keys: &keys,
    };
    let denies = |policy: &Arc<Policy>| policy.judge(&question) == Effect::Deny;
    let by_caller = match identity {
        Identity::Caller(caller) => caller.policies.iter().chain(&caller.session).any(denies),
        Identity::Anonymous | Identity::Root => false,
    };
    let by_bucket = |bucket| of_bucket(identity, action, bucket, &question) == Effect::Deny;
    by_caller || context.bucket.is_some_and(by_bucket)
}

/// Whether some policy that is in play for these wants to know `ask` of it.
pub fn any_policy(identity: &Identity, bucket: Option<&BucketFacts>, ask: impl Fn(&Policy) -> bool) -> bool {
    let of_bucket = match bucket.map(|bucket| &bucket.policy) {
        Some(BucketPolicy::Set(policy)) => ask(policy),
        Some(BucketPolicy::None | BucketPolicy::Unreadable) | None => false,
    };
    let of_caller = match identity {
        Identity::Caller(caller) => caller.policies.iter().chain(&caller.session).any(|policy| ask(policy)),
        Identity::Anonymous | Identity::Root => false,
    };
    of_bucket || of_caller
}

fn principal(identity: &Identity) -> Principal<'_> {
    match identity {
        Identity::Anonymous => Principal::Anonymous,
        Identity::Root => Principal::Root,
        Identity::Caller(caller) => match &caller.account {
            Account::Root => Principal::Root,
            Account::User(name) => Principal::User {
                name,
                canonical_id: Some(caller.canonical_id.as_str()).filter(|id| !id.is_empty()),
            },
            Account::Federated(federated) => Principal::Federated { name: federated.name() },
            Account::Role(assumed) => Principal::Role {
                name: assumed.role(),
                session: assumed.session(),
            },
        },
    }
}

/// What the policy of the bucket says.
fn of_bucket(identity: &Identity, action: Action, bucket: &BucketFacts, question: &Question<'_>) -> Effect {
    // A policy must not lock out those who can mend it.
    let is_root = question.principal == Principal::Root;
    let mends = matches!(
        action,
        Action::GetBucketPolicy | Action::PutBucketPolicy | Action::DeleteBucketPolicy
    );
    let policy = match &bucket.policy {
        BucketPolicy::None => return Effect::Silent,
        BucketPolicy::Unreadable if is_root => return Effect::Silent,
        BucketPolicy::Unreadable => return Effect::Deny,
        BucketPolicy::Set(policy) => policy,
    };
    let owned = || bucket.owner.is_some() && bucket.owner.as_deref() == keys::owner_id_of(identity);
    match policy.judge(question) {
        Effect::Deny if mends && (is_root || owned()) => Effect::Silent,
        Effect::Allow if bucket.restrict_public && policy.is_public() && !owned() => Effect::Silent,
        effect => effect,
    }
}

/// Whether a caller of the directory may, given that the bucket's policy denies nothing. `by_resource`: bucket or object
/// let it.
fn may(caller: &Caller, question: &Question<'_>, by_resource: bool) -> bool {
    let mut allowed = by_resource || caller.account == Account::Root;
    for policy in &caller.policies {
        match policy.judge(question) {
            Effect::Deny => return false,
            Effect::Allow => allowed = true,
            Effect::Silent => {}
        }
    }
    allowed && within_session(caller, question)
}

/// Whether the policy of the caller's very credential, if it carries one, allows it.
fn within_session(caller: &Caller, question: &Question<'_>) -> bool {
    let session = caller.session.as_ref();
    session.is_none_or(|policy| policy.judge(question) == Effect::Allow)
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
