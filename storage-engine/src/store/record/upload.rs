//! The record of a multipart upload.

use minicbor::{Decode, Encode};

use crate::store::checksum::{ChecksumAlgorithm, ChecksumType};
use crate::store::clock::Timestamp;
use crate::store::record::Record;
use crate::store::record::labels::Labels;
use crate::store::record::object::Metadata;

#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Upload {
    #[n(0)]
    pub begun: Timestamp,
    /// What the finished object will say.
    #[n(1)]
    pub metadata: Metadata,
    #[cbor(n(2), decode_with = "crate::cbor::known")]
    pub checksum: Option<UploadChecksum>,
    #[n(3)]
    pub state: UploadState,
    /// Owner, tags and visibility of the finished object.
    #[cbor(n(4), skip_if = "Labels::is_empty")]
    pub labels: Labels,
    /// What the account that began it owns things under; `None`: root, nobody known, or not kept when it was begun.
    #[n(5)]
    pub initiator: Option<String>,
}

/// The checksum the finished object will have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct UploadChecksum {
    #[n(0)]
    pub algorithm: ChecksumAlgorithm,
    #[n(1)]
    pub kind: ChecksumType,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum UploadState {
    #[n(0)]
    Open,
    /// A Complete of the start with this epoch joins the parts; under another epoch it counts as open.
    #[n(1)]
    Completing(#[cbor(n(0), with = "minicbor::bytes")] [u8; 16]),
}

impl Record for Upload {
    const KIND: &'static str = "upload";
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::store::record::tests::{rejects_damage, survives};

    fn upload(begun: u64, content_type: Option<String>, epoch: Option<[u8; 16]>, algorithm: usize) -> Upload {
        let checksum = ChecksumAlgorithm::ALL.get(algorithm).map(|algorithm| UploadChecksum {
            algorithm: *algorithm,
            kind: algorithm.default_type(),
        });
        Upload {
            begun: Timestamp::from_millis(begun),
            metadata: Metadata {
                content_type,
                ..Metadata::default()
            },
            checksum,
            state: epoch.map_or(UploadState::Open, UploadState::Completing),
            labels: Labels {
                owner: Some("bob".into()),
                ..Labels::default()
            },
            initiator: epoch.map(|_| "ann".into()),
        }
    }

    proptest! {
        #[test]
        fn survives_its_value(begun: u64, content_type: Option<String>, epoch: Option<[u8; 16]>, algorithm in 0..6_usize) {
            survives(&upload(begun, content_type, epoch, algorithm));
        }
    }

    #[test]
    fn damage_is_refused() {
        rejects_damage(&upload(1_700_000_000_000, Some("text/plain".into()), Some([1; 16]), 2));
    }
}
