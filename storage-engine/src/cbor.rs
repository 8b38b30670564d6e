//! What the derived readers of stored values leave open: an optional field whose variant is unknown. They would skip it
//! as if it were absent; here it is refused. It knows no format.

use minicbor::decode::{Decoder, Error};
use minicbor::{Decode, data::Type};

/// Reads an optional field. A variant that this program does not know is an error: taken for an absent field, a newer
/// program's body would count as dead.
pub(crate) fn known<'b, C, T: Decode<'b, C>>(decoder: &mut Decoder<'b>, context: &mut C) -> Result<Option<T>, Error> {
    if decoder.datatype()? == Type::Null {
        decoder.skip()?;
        return Ok(None);
    }
    match T::decode(decoder, context) {
        Err(error) if error.is_unknown_variant() => Err(Error::message(error.to_string())),
        read => read.map(Some),
    }
}

#[cfg(test)]
mod tests {
    use crate::embedded::id::SegmentId;
    use crate::embedded::record::{Body, RowRecord, from_cbor, to_cbor};
    use crate::embedded::root::{Root, tests_support};
    use crate::embedded::segment::Piece;

    /// The bytes with the one place where `from` stands replaced by `to`.
    fn changed(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
        let places: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at..].starts_with(from)).collect();
        let [at] = places[..] else {
            panic!("{from:?} stands {} times", places.len())
        };
        [&bytes[..at], to, &bytes[at + from.len()..]].concat()
    }

    #[test]
    fn a_row_whose_body_is_of_an_unknown_kind_is_refused_and_never_read_as_one_without_a_body() {
        let piece = Piece {
            segment: SegmentId::from_bytes([7; 16]),
            offset: 4096,
            len: 10,
        };
        let row = RowRecord {
            rev: 1,
            value: b"value".to_vec().into(),
            body: Some(Body::Direct {
                len: 10,
                pieces: vec![piece],
            }),
            parent_len: None,
        };
        let bytes = to_cbor(&row);
        assert_eq!(from_cbor::<RowRecord>("row", &bytes).unwrap(), row);
        let newer = changed(&bytes, &[0x82, 0x00, 0x82, 0x0a], &[0x82, 0x09, 0x82, 0x0a]);
        assert!(from_cbor::<RowRecord>("row", &newer).is_err());
        let without = RowRecord { body: None, ..row };
        assert_eq!(from_cbor::<RowRecord>("row", &to_cbor(&without)).unwrap(), without);
    }

    #[test]
    fn an_old_table_with_a_member_in_an_unknown_state_is_refused_and_never_read_as_no_old_table() {
        let mut root = tests_support::root(1, 1);
        root.members = vec![tests_support::member(2)];
        root.old_members = Some(vec![tests_support::member(3)]);
        let bytes = to_cbor(&root);
        assert_eq!(from_cbor::<Root>("root", &bytes).unwrap(), root);
        // A member is id, state, mount: the state stands behind the sixteen bytes of the id.
        let newer = changed(
            &bytes,
            &[[3; 16].as_slice(), &[0]].concat(),
            &[[3; 16].as_slice(), &[9]].concat(),
        );
        assert!(from_cbor::<Root>("root", &newer).is_err());
    }
}
