//! What an object or a bucket carries for deciding who may do what: owner, tags, visibility, shares.
//!
//! Owns their stored form. It never decides anything by them.

use minicbor::{Decode, Encode};

use crate::store::share::Share;
use crate::store::tags::Tags;

/// Who may read something beside its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum Visibility {
    /// Its owner alone.
    #[n(0)]
    Private,
    /// Everybody, signed in or not.
    #[n(1)]
    Public,
    /// Every caller who is signed in.
    #[n(2)]
    Protected,
    /// Its owner, and those it is shared with.
    #[n(3)]
    Shared,
}

impl Visibility {
    pub const ALL: [Self; 4] = [Self::Private, Self::Public, Self::Protected, Self::Shared];

    /// Its name, as operators and policies spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Private => "private",
            Self::Public => "public",
            Self::Protected => "protected",
            Self::Shared => "shared",
        }
    }

    /// The level of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.name() == name)
    }
}

/// Why nobody reads the bytes of an object, whatever their rights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum Barred {
    /// They are to be scanned.
    #[n(0)]
    Scanning,
    /// A scanner found something in them, or could not take them.
    #[n(1)]
    Quarantined,
}

/// Of an object, or of an upload that becomes one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Labels {
    /// The canonical id of the user who wrote it, or what else its account owns things under; `None`: root.
    #[n(0)]
    pub owner: Option<String>,
    #[cbor(n(1), skip_if = "Tags::is_empty")]
    pub tags: Tags,
    /// `None`: the default of its bucket.
    #[cbor(n(2), decode_with = "crate::cbor::known")]
    pub visibility: Option<Visibility>,
    /// Whom it is shared with; they count while its visibility is [`Visibility::Shared`].
    #[cbor(n(3), skip_if = "Vec::is_empty")]
    pub shares: Vec<Share>,
    /// It was made public by a canned ACL that also names writing. ACLs show it; no right hangs on it.
    #[cbor(n(4), skip_if = "is_unset")]
    pub writing_named: bool,
    /// It was offered to the bucket's owner by a canned ACL. ACLs show it; no right hangs on it.
    #[cbor(n(5), skip_if = "is_unset")]
    pub offered: bool,
    /// It was not looked at yet, though its bucket has what comes in looked at: whatever its visibility is, nobody reads it
    /// but its owner and those who may everything.
    #[cbor(n(6), skip_if = "is_unset")]
    pub held: bool,
    /// Why nobody reads its bytes; `None`: whoever has the right does.
    #[cbor(n(7), decode_with = "crate::cbor::known")]
    pub barred: Option<Barred>,
    /// How often its bytes are given out is counted: its file says how often still.
    #[cbor(n(8), skip_if = "is_unset")]
    pub counted: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the derived writer hands a reference")]
fn is_unset(flag: &bool) -> bool {
    !*flag
}

impl Labels {
    /// Whether there is nothing to store.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The visibility that counts in a bucket with this default. What is held, or barred, is its owner's alone.
    pub fn in_effect(&self, default: Option<Visibility>) -> Option<Visibility> {
        match self.held || self.barred.is_some() {
            true => Some(Visibility::Private),
            false => self.visibility.or(default),
        }
    }

    /// What these are for an object that takes the place of one with `standing`. A shared object stays whose it is and
    /// shared with whom it is, unless the write names a visibility itself.
    pub(in crate::store) fn in_place_of(self, standing: &Self) -> Self {
        if self.visibility.is_some() || standing.visibility != Some(Visibility::Shared) {
            return self;
        }
        Self {
            owner: standing.owner.clone(),
            visibility: standing.visibility,
            shares: standing.shares.clone(),
            ..self
        }
    }
}
