//! The record of a bucket.

use minicbor::{Decode, Encode};

use crate::store::clock::Timestamp;
use crate::store::record::Record;

#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct BucketRecord {
    #[n(0)]
    pub created: Timestamp,
    /// The location constraint it was made with; empty: none.
    #[n(1)]
    pub region: String,
    #[n(2)]
    pub state: BucketState,
    /// The canonical id of the user who made it; `None`: root.
    #[n(3)]
    pub owner: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum BucketState {
    #[n(0)]
    Open,
    /// A deletion is looking whether it is empty; its gate is closed. The bucket still exists.
    #[n(1)]
    Deleting,
}

impl Record for BucketRecord {
    const KIND: &'static str = "bucket";
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::store::record::tests::{rejects_damage, survives};

    proptest! {
        #[test]
        fn survives_its_value(created: u64, region: String, deleting: bool, owner: Option<String>) {
            let state = if deleting { BucketState::Deleting } else { BucketState::Open };
            survives(&BucketRecord { created: Timestamp::from_millis(created), region, state, owner });
        }
    }

    #[test]
    fn damage_is_refused() {
        let created = Timestamp::from_millis(1_700_000_000_000);
        rejects_damage(&BucketRecord {
            created,
            region: "eu-central-1".into(),
            state: BucketState::Open,
            owner: Some("alice".into()),
        });
    }

    #[test]
    fn a_record_without_an_owner_is_the_first_form_and_roots() {
        let value = b"\x01\xa3\x00\x18\x2a\x01\x62eu\x02\x00";
        let record = BucketRecord {
            created: Timestamp::from_millis(42),
            region: "eu".into(),
            state: BucketState::Open,
            owner: None,
        };
        assert_eq!(BucketRecord::from_value(value).as_ref(), Ok(&record));
        assert_eq!(record.to_value().as_ref(), value);
    }
}
