//! What bucket and object let without any policy: the bucket's canned ACL, an object's visibility, its shares; what guests
//! may put; and an upload whoever began it. Pure.
//!
//! Each is a statement the server writes itself, computed from what is stored: it only ever allows, so every Deny and every
//! policy inside a credential stands above it.

use super::facts::{BucketAcl, ObjectFacts, Share, SharedWith, Visibility};
use super::{Action, Context, keys};
use crate::auth::{Caller, Identity, Terms};

/// Whether visibility or a share has a say in `action`, so that the object's record must be known.
pub fn is_visible_by(action: Action) -> bool {
    reads_object(action) || writes(action) || reads_acl(action)
}

/// Whether it is about reading an object.
pub fn reads_object(action: Action) -> bool {
    matches!(action, Action::GetObject | Action::GetObjectVersion)
}

/// Whether it is to see who may read an object.
fn reads_acl(action: Action) -> bool {
    matches!(action, Action::GetObjectAcl | Action::GetObjectVersionAcl)
}

/// What a share to write lets beside reading.
pub(super) fn writes(action: Action) -> bool {
    action == Action::PutObject
}

/// Whether the bucket's canned ACL lets these do it, as AWS reads its grants: READ lists, WRITE puts objects, and says of
/// them who reads them. It opens no object that stands there.
pub(super) fn of_acl(identity: &Identity, action: Action, context: &Context<'_>) -> bool {
    let Some(bucket) = context.bucket.filter(|bucket| !bucket.ignore_public) else {
        return false;
    };
    let lists = matches!(
        action,
        Action::ListBucket | Action::ListBucketVersions | Action::ListBucketMultipartUploads
    );
    match bucket.acl {
        None => false,
        Some(BucketAcl::PublicRead) => lists,
        Some(BucketAcl::PublicReadWrite) => lists || writes(action) || opens_its_own(action, context),
        // To AWS the group of all who are signed in is as public as everybody.
        Some(BucketAcl::AuthenticatedRead) => lists && keys::owner_id_of(identity).is_some(),
    }
}

/// Whether a guest may put it: a file that does not stand yet, and nothing that is said of it beside.
pub(super) fn of_guests(identity: &Identity, action: Action, context: &Context<'_>) -> bool {
    let ignores_public = context.bucket.is_some_and(|bucket| bucket.ignore_public);
    let terms = context.request.and_then(|request| request.terms.as_ref());
    let by_link = matches!(terms, Some(Terms::Link(terms)) if terms.takes_guests);
    let is_open = context.takes_guests || by_link;
    let is_new = writes(action) && context.object.is_none();
    is_open && is_new && !ignores_public && matches!(identity, Identity::Anonymous)
}

/// Whether it is to open what the caller puts itself. What is said of the object beside that, as its tags, policies may
/// build on: nobody says that without a right.
fn opens_its_own(action: Action, context: &Context<'_>) -> bool {
    context.at_write && action == Action::PutObjectAcl
}

/// Whether it is about an upload that these began: as with AWS they may list its parts and give it up.
pub(super) fn of_upload(identity: &Identity, action: Action, context: &Context<'_>) -> bool {
    let of_upload = matches!(action, Action::AbortMultipartUpload | Action::ListMultipartUploadParts);
    of_upload && context.initiator.is_some() && context.initiator == keys::owner_id_of(identity)
}

/// Whether the object's visibility lets these read it. Whose it is sees also what is set, as with AWS.
pub(super) fn of_object(identity: &Identity, action: Action, context: &Context<'_>) -> bool {
    let is_asked = |_: &&ObjectFacts| reads_object(action) || reads_acl(action);
    let Some(object) = context.object.filter(is_asked) else {
        return false;
    };
    let ignores_public = context.bucket.is_some_and(|bucket| bucket.ignore_public);
    let account = keys::owner_id_of(identity);
    let by_level = match object.visibility {
        None => return false,
        Some(Visibility::Public) => !ignores_public,
        // To AWS the group of all who are signed in is as public as everybody.
        Some(Visibility::Protected) => !ignores_public && account.is_some(),
        Some(Visibility::Private | Visibility::Shared) => false,
    };
    (by_level && reads_object(action)) || account == Some(object.owner.as_str())
}

/// Whether a share lets these do it.
pub(super) fn of_shares(identity: &Identity, action: Action, context: &Context<'_>) -> bool {
    match access(identity, context) {
        None => false,
        Some(write) => reads_object(action) || (write && writes(action)),
    }
}

/// What the object is shared with these for, as policies spell it.
pub(super) fn share_name(identity: &Identity, context: &Context<'_>) -> Option<&'static str> {
    access(identity, context).map(|write| if write { "write" } else { "read" })
}

/// Whether the object is shared with these, and if so whether to write.
fn access(identity: &Identity, context: &Context<'_>) -> Option<bool> {
    let object = context.object?;
    if object.visibility != Some(Visibility::Shared) {
        return None;
    }
    let counting = object.shares.iter().filter(|share| counts(share, context));
    let mine = counting.filter(|share| is_with(&share.with, identity, context));
    mine.map(|share| share.write).reduce(|one, other| one || other)
}

/// Whether it has not ended. When that is not known, it has.
fn counts(share: &Share, context: &Context<'_>) -> bool {
    let Some(expires) = share.expires_millis else {
        return true;
    };
    let now = context.request.map(|request| request.time.unix_timestamp_nanos());
    now.is_some_and(|now| now < i128::from(expires) * 1_000_000)
}

fn is_with(with: &SharedWith, identity: &Identity, context: &Context<'_>) -> bool {
    match with {
        SharedWith::User(id) => keys::owner_id_of(identity) == Some(id.as_str()),
        SharedWith::Group(name) => caller(identity).is_some_and(|caller| caller.groups.contains(name)),
        SharedWith::Email(address) => caller(identity).is_some_and(|caller| has_address(caller, address)),
        // Whoever has a link may hand it on, so it is as public as what everybody may read.
        SharedWith::Link(hash) => {
            let brought = context.request.and_then(|request| request.link);
            let ignores_public = context.bucket.is_some_and(|bucket| bucket.ignore_public);
            !ignores_public && brought == Some(*hash)
        }
    }
}

/// With whose shares these see objects, but for links, whose tokens requests bring: for looking for what is shared with
/// them. Whether a share counts [`super::decide`] says.
pub fn shared_with(identity: &Identity) -> Vec<SharedWith> {
    let user = keys::owner_id_of(identity).map(|owner| SharedWith::User(owner.to_owned()));
    let Some(caller) = caller(identity) else {
        return user.into_iter().collect();
    };
    let groups = caller.groups.iter().cloned().map(SharedWith::Group);
    let addresses = caller
        .claims
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case("jwt:email"));
    let addresses = addresses
        .flat_map(|(_, values)| values)
        .filter(|address| has_address(caller, address));
    let emails = addresses.cloned().map(SharedWith::Email);
    user.into_iter().chain(groups).chain(emails).collect()
}

fn caller(identity: &Identity) -> Option<&Caller> {
    match identity {
        Identity::Caller(caller) => Some(caller),
        Identity::Anonymous | Identity::Root => None,
    }
}

/// Whether an identity provider says that the address is the caller's, and that it has verified it: where people can
/// enter any address, an unverified one is nobody's.
fn has_address(caller: &Caller, address: &str) -> bool {
    let says = |name: &str, value: &str| {
        let mut claims = caller.claims.iter();
        claims.any(|(known, values)| {
            known.eq_ignore_ascii_case(name) && matches!(values.as_slice(), [one] if one.eq_ignore_ascii_case(value))
        })
    };
    says("jwt:email", address) && says("jwt:email_verified", "true")
}
