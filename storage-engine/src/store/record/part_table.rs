//! The table of the parts an object was made of: where each begins, and its checksum.
//!
//! It stands in the object's row while it is small; a large one follows the object's bytes in the object's body.

use minicbor::{Decode, Encode};

use crate::store::checksum::Checksum;
use crate::store::name::PartNumber;
use crate::store::record::Record;

/// Parts in ascending order of their numbers, which may have gaps.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct PartTable {
    #[n(0)]
    pub parts: Vec<TablePart>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct TablePart {
    #[n(0)]
    pub number: u16,
    /// Length in bytes.
    #[n(1)]
    pub size: u64,
    #[cbor(n(2), decode_with = "crate::cbor::known")]
    pub checksum: Option<Checksum>,
}

impl PartTable {
    /// The part with this number and the offset at which it begins in the object.
    pub fn find(&self, number: PartNumber) -> Option<(u64, &TablePart)> {
        let mut start = 0;
        for part in &self.parts {
            if part.number == number.get() {
                return Some((start, part));
            }
            start += part.size;
        }
        None
    }
}

impl Record for PartTable {
    const KIND: &'static str = "part table";
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::store::record::tests::{rejects_damage, survives};

    proptest! {
        #[test]
        fn survives_its_value(parts in prop::collection::vec((any::<u16>(), any::<u64>(), any::<Option<[u8; 32]>>()), 0..50)) {
            let part = |(number, size, sha): (u16, u64, Option<[u8; 32]>)| {
                TablePart { number, size, checksum: sha.map(Checksum::Sha256) }
            };
            survives(&PartTable { parts: parts.into_iter().map(part).collect() });
        }
    }

    #[test]
    fn damage_is_refused_and_parts_are_found_across_gaps() {
        let part = |number, size| TablePart {
            number,
            size,
            checksum: Some(Checksum::Crc32([1; 4])),
        };
        let table = PartTable {
            parts: vec![part(1, 10), part(3, 20), part(4, 5)],
        };
        rejects_damage(&table);
        assert_eq!(table.find(PartNumber::new(4).unwrap()), Some((30, &part(4, 5))));
        assert_eq!(table.find(PartNumber::new(2).unwrap()), None);
    }
}
