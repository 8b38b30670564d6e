//! Shares: whom an object is shared with, what they may do, and until when.
//!
//! Owns what a valid share is and its stored form. Of a link only the hash of its token is kept. It never decides
//! anything: `shared` is a visibility, and who honours shares is above the engine.

use minicbor::{Decode, Encode};

use crate::limits::{SHARE_NAME_BYTES_MAX, SHARE_TARGET_BYTES_MAX, SHARES_MAX};
use crate::store::clock::Timestamp;

/// Names a share among those of its object; random.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct ShareId(#[cbor(n(0), with = "minicbor::bytes")] [u8; 8]);

impl ShareId {
    pub const fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(bytes)
    }

    /// Reads sixteen hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let well_formed = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = well_formed.then(|| u64::from_str_radix(text, 16).ok()).flatten()?;
        Some(Self(number.to_be_bytes()))
    }
}

impl std::fmt::Display for ShareId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0))
    }
}

/// With whom.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum ShareTarget {
    /// The account that owns things under this id: a user who is made anew under an old name is another one.
    #[n(0)]
    User(#[n(0)] String),
    /// Whoever is a member of this group.
    #[n(1)]
    Group(#[n(0)] String),
    /// Whom an identity provider vouches to have this address; without regard to the case of its letters.
    #[n(2)]
    Email(#[n(0)] String),
    /// Whoever brings the token with this SHA-256.
    #[n(3)]
    Link(#[cbor(n(0), with = "minicbor::bytes")] [u8; 32]),
}

/// What those it is shared with may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum ShareAccess {
    #[n(0)]
    Read,
    /// Read it, and put other bytes in its place.
    #[n(1)]
    Write,
}

/// One share of an object.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Share {
    #[n(0)]
    pub id: ShareId,
    #[n(1)]
    pub target: ShareTarget,
    #[n(2)]
    pub access: ShareAccess,
    #[n(3)]
    pub made: Timestamp,
    /// From when on it counts no more; `None`: it does not end by itself.
    #[n(4)]
    pub expires: Option<Timestamp>,
    /// What its maker calls it.
    #[n(5)]
    pub name: Option<String>,
}

/// Why a share was not taken. Nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShareError {
    #[error("an object has at most {SHARES_MAX} shares")]
    TooMany,
    #[error("the name of a user or group, and an e-mail address, has 1 to {SHARE_TARGET_BYTES_MAX} bytes")]
    TargetLength,
    #[error("the name of a share has at most {SHARE_NAME_BYTES_MAX} bytes")]
    NameLength,
    #[error("it is shared with them already; remove that share first")]
    Twice,
}

/// Takes one more share. With one that has ended by `share.made` for the same target it takes its place.
pub fn add(shares: &mut Vec<Share>, share: Share) -> Result<(), ShareError> {
    let length = match &share.target {
        ShareTarget::User(name) | ShareTarget::Group(name) | ShareTarget::Email(name) => name.len(),
        ShareTarget::Link(hash) => hash.len(),
    };
    if length == 0 || length > SHARE_TARGET_BYTES_MAX {
        return Err(ShareError::TargetLength);
    }
    if share
        .name
        .as_ref()
        .is_some_and(|name| name.len() > SHARE_NAME_BYTES_MAX)
    {
        return Err(ShareError::NameLength);
    }
    let ended = |known: &Share| known.expires.is_some_and(|expires| expires <= share.made);
    let same = |known: &Share| known.target == share.target;
    if shares.iter().any(|known| same(known) && !ended(known)) {
        return Err(ShareError::Twice);
    }
    let left = shares.iter().filter(|known| !same(known)).count();
    if left >= SHARES_MAX {
        return Err(ShareError::TooMany);
    }
    shares.retain(|known| !same(known));
    shares.push(share);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(target: ShareTarget, expires: Option<u64>) -> Share {
        Share {
            id: ShareId::from_bytes([1; 8]),
            target,
            access: ShareAccess::Read,
            made: Timestamp::from_millis(1_000),
            expires: expires.map(Timestamp::from_millis),
            name: None,
        }
    }

    #[test]
    fn ids_read_back() {
        let id = ShareId::from_bytes([0, 1, 2, 0xab, 0xcd, 0xef, 7, 9]);
        assert_eq!(id.to_string(), "000102abcdef0709");
        assert_eq!(ShareId::parse(&id.to_string()), Some(id));
        for wrong in ["", "1", "+00102abcdef0709", "000102abcdef070x", "000102abcdef07090"] {
            assert_eq!(ShareId::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_target_is_shared_with_once_and_anew_after_the_share_ended() {
        let ann = || ShareTarget::User("ann".into());
        let mut shares = Vec::new();
        add(&mut shares, share(ann(), Some(1_500))).unwrap();
        assert_eq!(add(&mut shares, share(ann(), None)), Err(ShareError::Twice));
        add(&mut shares, share(ShareTarget::Group("ann".into()), None)).unwrap();
        let later = Share {
            made: Timestamp::from_millis(1_500),
            ..share(ann(), None)
        };
        add(&mut shares, later.clone()).unwrap();
        assert_eq!((shares.len(), shares.last()), (2, Some(&later)));
    }

    #[test]
    fn shares_over_a_limit_are_refused() {
        let mut shares = Vec::new();
        for n in 0..SHARES_MAX {
            add(&mut shares, share(ShareTarget::User(n.to_string()), None)).unwrap();
        }
        let one_more = share(ShareTarget::Link([7; 32]), None);
        assert_eq!(add(&mut shares, one_more.clone()), Err(ShareError::TooMany));
        let mut shares = Vec::new();
        for name in [String::new(), "n".repeat(SHARE_TARGET_BYTES_MAX + 1)] {
            let wrong = share(ShareTarget::Email(name), None);
            assert_eq!(add(&mut shares, wrong), Err(ShareError::TargetLength));
        }
        let named = Share {
            name: Some("n".repeat(SHARE_NAME_BYTES_MAX + 1)),
            ..one_more
        };
        assert_eq!(add(&mut shares, named), Err(ShareError::NameLength));
        assert_eq!(shares, []);
    }
}
