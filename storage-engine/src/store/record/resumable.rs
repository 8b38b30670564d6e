//! The records of a resumable upload, and of a part that was appended to it.

use minicbor::{Decode, Encode};

use crate::store::clock::Timestamp;
use crate::store::etag::ETag;
use crate::store::name::UploadId;
use crate::store::record::Record;
use crate::store::record::labels::Labels;
use crate::store::record::object::Metadata;

/// An upload that is appended to from an offset.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Resumable {
    #[n(0)]
    pub begun: Timestamp,
    #[n(1)]
    pub purpose: Purpose,
    /// What the account that began it owns things under; `None`: root, or nobody known.
    #[n(2)]
    pub owner: Option<String>,
    /// Bytes it will have; `None`: not known yet.
    #[n(3)]
    pub length: Option<u64>,
    /// Most bytes it may have; `None`: as many as an object.
    #[n(4)]
    pub size_max: Option<u64>,
    /// Bytes that are stored: where the next ones belong.
    #[n(5)]
    pub offset: u64,
    /// How long it lives after it was written to, in milliseconds.
    #[n(6)]
    pub life_ms: u64,
    #[n(7)]
    pub expires: Timestamp,
    /// The number of the next part.
    #[n(8)]
    pub next_part: u32,
    /// What the client said of it, handed back and never looked into.
    #[n(9)]
    pub said: String,
    /// The object that came of it; `None`: not finished.
    #[n(10)]
    pub done: Option<Done>,
    #[n(11)]
    pub loose: Loose,
}

/// What an upload is for.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Purpose {
    /// It becomes an object.
    #[n(0)]
    Object(#[n(0)] Target),
    /// It becomes a piece of another upload, which is known once that one was begun.
    #[n(1)]
    Partial {
        #[n(0)]
        of: Option<UploadId>,
    },
    /// It becomes an object made of these uploads.
    #[n(2)]
    Final {
        #[n(0)]
        target: Target,
        #[n(1)]
        partials: Vec<UploadId>,
    },
}

/// The object that an upload becomes.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Target {
    #[n(0)]
    pub key: String,
    #[n(1)]
    pub metadata: Metadata,
    #[cbor(n(2), skip_if = "Labels::is_empty")]
    pub labels: Labels,
    /// The file that it is the body of.
    #[cbor(n(3), with = "minicbor::bytes")]
    pub file: Option<[u8; 16]>,
}

/// The object that came of an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Done {
    #[n(0)]
    pub etag: ETag,
    /// Length in bytes.
    #[n(1)]
    pub size: u64,
    #[n(2)]
    pub modified: Timestamp,
}

/// The newest parts, which may yet be written anew as one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Loose {
    /// The number of the first of them.
    #[n(0)]
    pub from: u32,
    #[n(1)]
    pub count: u32,
    #[n(2)]
    pub bytes: u64,
}

impl Resumable {
    /// Whether all its bytes are stored.
    pub fn is_complete(&self) -> bool {
        self.length == Some(self.offset)
    }

    /// Whether nobody wrote to it for so long that nobody may go on with it.
    pub fn has_expired(&self, now: Timestamp) -> bool {
        self.expires < now
    }

    /// The object that it becomes; `None`: it is a piece of another upload.
    pub fn target(&self) -> Option<&Target> {
        match &self.purpose {
            Purpose::Object(target) | Purpose::Final { target, .. } => Some(target),
            Purpose::Partial { .. } => None,
        }
    }
}

impl Record for Resumable {
    const KIND: &'static str = "resumable upload";
}

/// A part that was appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct AppendedPart {
    /// Length in bytes, at least one.
    #[n(0)]
    pub size: u64,
    #[cbor(n(1), with = "minicbor::bytes")]
    pub md5: [u8; 16],
    /// Whether it can become a piece of an object without being copied.
    #[n(2)]
    pub joinable: bool,
}

impl Record for AppendedPart {
    const KIND: &'static str = "appended part";
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::store::record::tests::{rejects_damage, survives};

    fn target(key: String, file: Option<[u8; 16]>) -> Target {
        Target {
            key,
            metadata: Metadata {
                content_type: Some("text/plain".into()),
                ..Metadata::default()
            },
            labels: Labels {
                owner: Some("bob".into()),
                ..Labels::default()
            },
            file,
        }
    }

    fn upload(purpose: Purpose, length: Option<u64>, offset: u64, done: bool) -> Resumable {
        Resumable {
            begun: Timestamp::from_millis(1),
            purpose,
            owner: Some("bob".into()),
            length,
            size_max: Some(7),
            offset,
            life_ms: 5,
            expires: Timestamp::from_millis(6),
            next_part: 9,
            said: "filename YQ==".into(),
            done: done.then_some(Done {
                etag: ETag::Md5([1; 16]),
                size: offset,
                modified: Timestamp::from_millis(2),
            }),
            loose: Loose {
                from: 1,
                count: 2,
                bytes: 3,
            },
        }
    }

    proptest! {
        #[test]
        fn survives_its_value(
            key: String,
            file: Option<[u8; 16]>,
            length: Option<u64>,
            offset: u64,
            done: bool,
            of: Option<[u8; 16]>,
            partials in prop::collection::vec(any::<[u8; 16]>(), 0..5),
        ) {
            let partials = partials.into_iter().map(UploadId::from_bytes).collect();
            for purpose in [
                Purpose::Object(target(key.clone(), file)),
                Purpose::Partial { of: of.map(UploadId::from_bytes) },
                Purpose::Final { target: target(key, file), partials },
            ] {
                survives(&upload(purpose, length, offset, done));
            }
        }

        #[test]
        fn a_part_survives_its_value(size: u64, md5: [u8; 16], joinable: bool) {
            survives(&AppendedPart { size, md5, joinable });
        }
    }

    #[test]
    fn damage_is_refused() {
        rejects_damage(&upload(
            Purpose::Object(target("k".into(), Some([3; 16]))),
            Some(300),
            100,
            true,
        ));
        rejects_damage(&AppendedPart {
            size: 300,
            md5: [1; 16],
            joinable: true,
        });
    }
}
