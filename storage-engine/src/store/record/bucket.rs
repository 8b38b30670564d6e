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
        fn survives_its_value(created: u64, region: String, deleting: bool) {
            let state = if deleting { BucketState::Deleting } else { BucketState::Open };
            survives(&BucketRecord { created: Timestamp::from_millis(created), region, state });
        }
    }

    #[test]
    fn damage_is_refused() {
        let created = Timestamp::from_millis(1_700_000_000_000);
        rejects_damage(&BucketRecord {
            created,
            region: "eu-central-1".into(),
            state: BucketState::Open,
        });
    }
}
