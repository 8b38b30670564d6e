//! What is stored about the thing an action is asked for, as plain values. Loading them is the fronts'.

use std::sync::Arc;

use crate::policy::Policy;

/// The policy set on a bucket.
#[derive(Clone, Debug, Default)]
pub enum BucketPolicy {
    #[default]
    None,
    Set(Arc<Policy>),
    /// What is stored cannot be read as a policy. Nobody but root gets past it: it may have denied anything.
    Unreadable,
}

/// What is set on the bucket an action is asked for.
#[derive(Clone, Debug, Default)]
pub struct BucketFacts {
    pub policy: BucketPolicy,
    /// The owner id of the account that made it. `None`: it was not asked for, since no policy looks at it.
    pub owner: Option<String>,
    /// A policy that is open to everybody allows something to the owner's account only.
    pub restrict_public: bool,
    /// What is public or protected by its visibility or ACL counts as private, and links open nothing.
    pub ignore_public: bool,
    /// `None`: private.
    pub acl: Option<BucketAcl>,
}

/// What a bucket lets others do without a policy that says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BucketAcl {
    /// Everybody lists it.
    PublicRead,
    /// Everybody lists it and puts objects into it.
    PublicReadWrite,
    /// Everybody who is signed in lists it.
    AuthenticatedRead,
}

/// Who may read an object without a policy that says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visibility {
    /// Its owner.
    Private,
    /// Everybody.
    Public,
    /// Everybody who is signed in.
    Protected,
    /// Its owner, and those it is shared with.
    Shared,
}

impl Visibility {
    /// As policies spell it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Private => "private",
            Self::Public => "public",
            Self::Protected => "protected",
            Self::Shared => "shared",
        }
    }
}

/// Why nobody reads the bytes of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Barred {
    /// They are to be scanned.
    Scanning,
    /// A scanner found something in them, or could not take them.
    Quarantined,
}

/// With whom an object is shared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SharedWith {
    /// The account with this owner id.
    User(String),
    /// The members of this group.
    Group(String),
    /// Whom an identity provider vouches to have this address.
    Email(String),
    /// Whoever brings the token with this SHA-256.
    Link([u8; 32]),
}

/// One share of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    pub with: SharedWith,
    /// To put other bytes in its place, too, and not to read only.
    pub write: bool,
    /// When it ends, in milliseconds since 1970; `None`: not by itself.
    pub expires_millis: Option<u64>,
}

/// What is stored about the object an action is asked for.
#[derive(Clone, Debug, Default)]
pub struct ObjectFacts {
    /// Its tags, in any order.
    pub tags: Vec<(String, String)>,
    /// The owner id of the account that wrote it.
    pub owner: String,
    /// Its own, or else the default of its bucket. `None`: neither is set, and policies alone decide.
    pub visibility: Option<Visibility>,
    /// They count while it is [`Visibility::Shared`].
    pub shares: Vec<Share>,
    /// Why nobody reads it, whatever would let them.
    pub barred: Option<Barred>,
}
