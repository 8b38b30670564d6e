//! The record of a counter.

use minicbor::{Decode, Encode};

use crate::store::record::Record;

/// How many uses are left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct CounterRecord {
    /// One or more: with the last one the row goes.
    #[n(0)]
    pub left: u32,
}

impl Record for CounterRecord {
    const KIND: &'static str = "counter";
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::record::tests::{rejects_damage, survives};

    #[test]
    fn survives_its_value_and_refuses_damage() {
        for left in [1, 20, u32::MAX] {
            survives(&CounterRecord { left });
        }
        rejects_damage(&CounterRecord { left: 7 });
    }
}
