//! The record of an uploaded part of an open upload.

use minicbor::{Decode, Encode};

use crate::store::checksum::Checksum;
use crate::store::clock::Timestamp;
use crate::store::etag::ETag;
use crate::store::record::Record;

#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Part {
    /// Length in bytes.
    #[n(0)]
    pub size: u64,
    #[n(1)]
    pub etag: ETag,
    #[n(2)]
    pub modified: Timestamp,
    #[cbor(n(3), decode_with = "crate::cbor::known")]
    pub checksum: Option<Checksum>,
}

impl Record for Part {
    const KIND: &'static str = "part";
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::store::record::tests::{rejects_damage, survives};

    proptest! {
        #[test]
        fn survives_its_value(size: u64, md5: [u8; 16], modified: u64, sha: Option<[u8; 20]>) {
            let modified = Timestamp::from_millis(modified);
            survives(&Part { size, etag: ETag::Md5(md5), modified, checksum: sha.map(Checksum::Sha1) });
        }
    }

    #[test]
    fn damage_is_refused() {
        let modified = Timestamp::from_millis(1);
        rejects_damage(&Part {
            size: 300,
            etag: ETag::Md5([1; 16]),
            modified,
            checksum: Some(Checksum::Crc32([1; 4])),
        });
    }
}
